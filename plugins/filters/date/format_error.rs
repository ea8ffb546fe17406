//! A format that means nothing, reported where it is written.

use ferrostash_conf::{Diagnostic, Spanned};
use ferrostash_joda::PatternError;
use ferrostash_plugin::{BuildContext, Refused};

/// The formats that are names and not patterns.
const NAMES: [&str; 4] = ["ISO8601", "UNIX", "UNIX_MS", "TAI64N"];

pub(super) fn refuse(error: &PatternError, format: &Spanned<String>, cx: &mut BuildContext<'_>) -> Refused {
    let (kind, name) = cx.plugin;
    let meant = NAMES.iter().find(|name| name.eq_ignore_ascii_case(format.value.trim()));
    let label = meant.map_or_else(|| "here".to_owned(), |name| format!("did you mean `{name}`?"));
    let sentence = format!("{} for pattern '{}'", error.reason, format.value);
    cx.report(
        Diagnostic::error(format!("{kind} `{name}`: {error}"))
            .at(format.span, label)
            .logstash("Java::JavaLang::IllegalArgumentException", sentence),
    )
}
