//! The typed options of a plugin: their declaration, and how a block is read into them.
//!
//! `#[derive(Options)]` writes the [`OptionsDef`] of a struct. Reading a block finds everything that is wrong with
//! it, not just the first thing.

use crate::common;
use crate::conf_value::{ConfKind, ConfValue, inspect_text};
use crate::diagnostics::{Diagnostic, Diagnostics, suggest};
use crate::from_conf::{ConvertError, FromConf};
use crate::option_kind::{OptionKind, Refusal, check, show_values};
use crate::plugin_block::{Attr, PluginBlock, PluginKind};

/// One option as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionDef {
    /// Its name in configurations.
    pub name: &'static str,
    /// What it accepts.
    pub kind: OptionKind,
    /// Whether it takes a list of such values; one alone is then a list of one.
    pub list: bool,
    /// Whether it has to be there.
    pub required: bool,
    /// What it is when absent, as one would write it.
    pub default: Option<&'static str>,
    /// The values of an enumeration.
    pub values: &'static [&'static str],
    /// The least and the greatest number.
    pub range: Option<(i64, i64)>,
    /// Unit of a duration that is a number alone.
    pub unit: &'static str,
    /// It works, with this advice as warning.
    pub deprecated: Option<&'static str>,
    /// It is gone; using it is an error with this advice.
    pub obsolete: Option<&'static str>,
    /// Logstash has it and we don't yet; using it is an error with this reason.
    pub unsupported: Option<&'static str>,
    /// What it is for.
    pub doc: &'static str,
}

impl OptionDef {
    /// A string option that may be absent: the base that declarations are made from.
    pub const fn new(name: &'static str) -> OptionDef {
        OptionDef {
            name,
            kind: OptionKind::String,
            list: false,
            required: false,
            default: None,
            values: &[],
            range: None,
            unit: "s",
            deprecated: None,
            obsolete: None,
            unsupported: None,
            doc: "",
        }
    }

    /// What Logstash calls the type: the validator, or the set of values.
    pub fn type_name(&self) -> String {
        if self.kind == OptionKind::Enum { show_values(self.values) } else { self.kind.name().to_owned() }
    }
}

/// A struct of options; written by `#[derive(Options)]`.
pub trait OptionsDef: Sized {
    /// Kind and name of the plugin that they belong to; `None` for options that plugins have in common.
    const PLUGIN: Option<(PluginKind, &'static str)>;
    /// The doc comment of the struct.
    const DOC: &'static str;
    /// All options, in the order of the fields.
    const OPTIONS: &'static [OptionDef];

    /// Reads them with `reader`; `None` if one can't be read.
    fn read(reader: &mut OptionReader<'_>) -> Option<Self>;

    /// Reads a block. Every error in it is reported; `None` if there was one.
    fn from_conf(block: &PluginBlock, diagnostics: &mut Diagnostics) -> Option<Self>;
}

/// The lists one behind the other; `N` is how many options they have together.
pub const fn join_options<const N: usize>(lists: &[&[OptionDef]]) -> [OptionDef; N] {
    let mut all = [OptionDef::new(""); N];
    let (mut rest, mut at) = (lists, 0);
    while let [list, others @ ..] = rest {
        let (_, places) = all.split_at_mut(at);
        let (places, _) = places.split_at_mut(list.len());
        places.copy_from_slice(list);
        at += list.len();
        rest = others;
    }
    all
}

/// Reads the options of one block; used by what `#[derive(Options)]` writes.
pub struct OptionReader<'r> {
    block: &'r PluginBlock,
    defs: &'static [OptionDef],
    diagnostics: &'r mut Diagnostics,
    errors_before: usize,
}

impl<'r> OptionReader<'r> {
    /// Begins with a block: unknown options are reported, unless these are the `common` ones.
    pub fn new(
        block: &'r PluginBlock,
        defs: &'static [OptionDef],
        common: bool,
        diagnostics: &'r mut Diagnostics,
    ) -> OptionReader<'r> {
        let errors_before = diagnostics.error_count();
        let mut reader = OptionReader { block, defs, diagnostics, errors_before };
        if !common {
            reader.report_unknown();
        }
        reader.report_retired();
        reader
    }

    /// The values, if nothing was wrong.
    pub fn finish<T>(self, options: Option<T>) -> Option<T> {
        options.filter(|_| self.diagnostics.error_count() == self.errors_before)
    }

    /// An option that has to be there.
    pub fn required<T: FromConf>(&mut self, name: &str) -> Option<T> {
        if self.block.option(name).is_none() {
            self.report_missing(name);
            return None;
        }
        self.or_else(name, T::nothing)
    }

    /// An option that may be absent.
    pub fn optional<T: FromConf>(&mut self, name: &str) -> Option<Option<T>> {
        match self.read(name) {
            Read::Absent | Read::Nothing(_) => Some(None),
            Read::Value(value) => Some(Some(value)),
            Read::Refused => None,
        }
    }

    /// An option with a default that is written as in a configuration.
    pub fn with_default<T: FromConf>(
        &mut self,
        name: &str,
        default: impl FnOnce() -> ConfValue,
    ) -> Option<T> {
        match self.read(name) {
            Read::Value(value) => Some(value),
            Read::Nothing(attr) => self.nothing(attr, T::nothing()),
            Read::Refused => None,
            Read::Absent => {
                let def = self.def(name)?;
                let checked = check(&default(), def).ok().flatten();
                let checked = checked.filter(|value| def.range.is_none_or(|range| is_within(range, value)));
                let value = checked.and_then(|value| T::convert(&value).ok());
                if value.is_none() {
                    self.diagnostics
                        .push(Diagnostic::error(format!("the default of `{name}` does not fit its type")));
                }
                value
            }
        }
    }

    /// An option with a default of its own type.
    pub fn or_else<T: FromConf>(&mut self, name: &str, default: impl FnOnce() -> Option<T>) -> Option<T> {
        match self.read(name) {
            Read::Value(value) => Some(value),
            Read::Nothing(attr) => self.nothing(attr, T::nothing()),
            Read::Refused => None,
            Read::Absent => default(),
        }
    }

    fn nothing<T>(&mut self, attr: &Attr, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let message = format!("`{}` has no value", attr.name);
            self.diagnostics.push(Diagnostic::error(message).at(attr.value.span, "an empty list"));
        }
        value
    }

    fn def(&self, name: &str) -> Option<&'static OptionDef> {
        self.defs.iter().find(|def| def.name == name)
    }

    fn read<T: FromConf>(&mut self, name: &str) -> Read<'r, T> {
        let block = self.block;
        let Some((attr, def)) = block.option(name).zip(self.def(name)) else { return Read::Absent };
        // All three have been reported where they were found.
        if def.obsolete.is_some() || def.unsupported.is_some() || attr.value.is_missing() {
            return Read::Refused;
        }
        let value = match check(&attr.value, def) {
            Ok(Some(value)) => value,
            Ok(None) => return Read::Nothing(attr),
            Err(refusal) => {
                self.report_invalid(attr, def, refusal);
                return Read::Refused;
            }
        };
        if def.kind == OptionKind::Array && matches!(value.kind, ConfKind::Hash(_)) {
            let title =
                format!("`{}` of {} `{}` is a list, and here is a hash", attr.name, block.kind, block.name);
            self.diagnostics
                .push(Diagnostic::warning(title).at(value.span, "its entries have no meaning in a list"));
        }
        if let Some(range) = def.range.filter(|range| !is_within(*range, &value)) {
            self.report_out_of_range(attr, range);
            return Read::Refused;
        }
        match T::convert(&value) {
            Ok(value) => Read::Value(value),
            Err(ConvertError { span, message }) => {
                let span = if span.is_somewhere() { span } else { attr.value.span };
                let title = format!("`{}` of {} `{}` does not fit", attr.name, block.kind, block.name);
                self.diagnostics.push(Diagnostic::error(title).at(span, message));
                Read::Refused
            }
        }
    }

    fn report_out_of_range(&mut self, attr: &Attr, (min, max): (i64, i64)) {
        let PluginBlock { kind, name: plugin, .. } = self.block;
        let title = format!("`{}` of {kind} `{plugin}` is out of range", attr.name);
        let label = format!("must be from {min} to {max}");
        self.diagnostics.push(Diagnostic::error(title).at(attr.value.span, label));
    }

    fn report_unknown(&mut self) {
        let PluginBlock { kind, name: plugin, .. } = self.block;
        let common = common::option_names(*kind);
        for attr in &self.block.options {
            let name = attr.name.as_str();
            if self.def(name).is_some() || common.contains(&name) {
                continue;
            }
            let usable = self.defs.iter().filter(|def| def.obsolete.is_none()).map(|def| def.name);
            let label = match suggest(name, usable.chain(common.iter().copied())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "no such option".to_owned(),
            };
            self.diagnostics.push(
                Diagnostic::error(format!("unknown option `{name}` for {kind} `{plugin}`"))
                    .at(attr.name_span, label)
                    .logstash(
                        "LogStash::ConfigurationError",
                        format!("Unknown setting '{name}' for {plugin}"),
                    ),
            );
        }
    }

    /// Deprecated, obsolete and unsupported options that are used.
    fn report_retired(&mut self) {
        let PluginBlock { kind, name: plugin, .. } = self.block;
        for attr in &self.block.options {
            let Some(def) = self.def(&attr.name) else { continue };
            let name = def.name;
            if let Some(advice) = def.deprecated {
                self.diagnostics.push(
                    Diagnostic::warning(format!("the option `{name}` of {kind} `{plugin}` is deprecated"))
                        .at(attr.name_span, advice)
                        .logstash("WARN", deprecated_sentence(name, plugin, advice)),
                );
            }
            if let Some(advice) = def.obsolete {
                let advice = advice.replace("%PLUGIN%", plugin);
                self.diagnostics.push(
                    Diagnostic::error(format!("the option `{name}` of {kind} `{plugin}` is obsolete"))
                        .at(attr.name_span, "no longer available")
                        .help(advice.as_str())
                        .logstash("LogStash::ConfigurationError", obsolete_sentence(name, plugin, &advice)),
                );
            } else if let Some(reason) = def.unsupported {
                self.diagnostics.push(
                    Diagnostic::error(format!(
                        "the option `{name}` of {kind} `{plugin}` is not supported yet"
                    ))
                    .at(attr.name_span, reason),
                );
            }
        }
    }

    fn report_missing(&mut self, name: &str) {
        let PluginBlock { kind, name: plugin, .. } = self.block;
        let sentence = format!(
            "Missing a required setting for the {plugin} {kind} plugin:\n\n  {kind} {{\n    {plugin} {{\n      {name} \
             => # SETTING MISSING\n      ...\n    }}\n  }}"
        );
        self.diagnostics.push(
            Diagnostic::error(format!("{kind} `{plugin}` needs the option `{name}`"))
                .at(self.block.name_span, format!("`{name}` is missing"))
                .logstash("LogStash::ConfigurationError", sentence),
        );
    }

    fn report_invalid(&mut self, attr: &Attr, def: &OptionDef, refusal: Refusal) {
        let PluginBlock { kind, name: plugin, .. } = self.block;
        let name = def.name;
        let type_name = def.type_name();
        let shown = if def.kind.is_secret() { "<password>".to_owned() } else { attr.value.inspect() };
        let (label, class, sentence) = match refusal {
            Refusal::Raised { class, message } => {
                (format!("Expected {type_name}, got {shown}"), class, message)
            }
            Refusal::Note(note) => {
                let sentence = format!(
                    "Invalid setting for {plugin} {kind} plugin:\n\n  {kind} {{\n    {plugin} {{\n      # This setting must \
                     be a {type_name}\n      # {note}\n      {name} => {shown}\n      ...\n    }}\n  }}"
                );
                (note, "LogStash::ConfigurationError", sentence)
            }
        };
        let mut diagnostic = Diagnostic::error(format!("`{name}` of {kind} `{plugin}` is not valid"))
            .at(attr.value.span, label)
            .logstash(class, sentence);
        let near = attr.value.as_text().and_then(|text| suggest(text, def.values.iter().copied()));
        if let Some(near) = near {
            diagnostic = diagnostic.help(format!("did you mean {}?", inspect_text(near)));
        }
        self.diagnostics.push(diagnostic);
    }
}

/// Whether a number, or each of a list, lies there; what is no number does not.
fn is_within(range: (i64, i64), value: &ConfValue) -> bool {
    let (min, max) = range;
    match &value.kind {
        ConfKind::Int(number) => (min..=max).contains(number),
        ConfKind::Float(number) => (min as f64..=max as f64).contains(number),
        ConfKind::Array(values) => values.iter().all(|value| is_within(range, value)),
        _ => false,
    }
}

/// What reading one option gave.
enum Read<'r, T> {
    /// It is not there.
    Absent,
    /// It is there, as an empty list.
    Nothing(&'r Attr),
    /// It is there and fits.
    Value(T),
    /// It has been reported.
    Refused,
}

fn deprecated_sentence(name: &str, plugin: &str, advice: &str) -> String {
    format!(
        "You are using a deprecated config setting {} set in {plugin}. Deprecated settings will continue to work, but are \
         scheduled for removal from logstash in the future. {advice} If you have any questions about this, please ask it \
         on the https://discuss.elastic.co/c/logstash discussion forum",
        inspect_text(name)
    )
}

fn obsolete_sentence(name: &str, plugin: &str, advice: &str) -> String {
    format!(
        "The setting `{name}` in plugin `{plugin}` is obsolete and is no longer available. {advice} If you have any \
         questions about this, you are invited to visit https://discuss.elastic.co/c/logstash and ask."
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ferrostash_conf_derive::{OptionEnum, Options};
    use ferrostash_event::{FieldRef, Template};

    use super::*;
    use crate::lower::{Statement, lower};
    use crate::source::{Protocol, SourceMap};
    use crate::{CodecConf, CommonFilter, Password, Uri};

    const THREADS_MAX: i64 = 16;

    #[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
    enum Whitespace {
        Strict,
        Lenient,
    }

    /// Does things.
    ///
    /// And more.
    #[derive(Options, Debug)]
    #[plugin(filter = "demo")]
    struct Demo {
        /// Longest length.
        #[option(required)]
        length_bytes: u64,
        /// Some fields.
        fields: Option<Vec<FieldRef>>,
        #[option(default = "message")]
        source: FieldRef,
        #[option(default = [])]
        words: Vec<String>,
        #[option(default = "strict")]
        whitespace: Whitespace,
        #[option(rename = "match", default = {})]
        matches: Vec<(FieldRef, Template)>,
        #[option(default = -1)]
        count: i64,
        #[option(default = 1, range = 1..=THREADS_MAX)]
        threads: u64,
        password: Option<Password>,
        #[option(list, default = [])]
        hosts: Vec<Uri>,
        #[option(default = "1 hour", unit = "days")]
        pause: Duration,
        #[option(default = CodecConf::named("line"), default_text = "line")]
        codec: CodecConf,
        #[option(deprecated = "Use source.")]
        old: Option<String>,
        #[option(obsolete = "Use source.")]
        older: (),
        #[option(unsupported = "it needs a thing")]
        newer: (),
    }

    /// The options of `demo { … }`, or the rendered errors.
    fn read(text: &str) -> Result<Demo, String> {
        let mut sources = SourceMap::new();
        let id = sources.add(Protocol::File, "a.conf", format!("filter {{ demo {{ {text} }} }}"));
        let source = sources.get(id).unwrap();
        let mut diagnostics = Diagnostics::new();
        let document = crate::grammar::parse(source).unwrap();
        let sections = lower(&document, source, false, &mut diagnostics);
        let Some(Statement::Plugin(block)) = sections.filters.first() else { panic!("no plugin") };
        let demo = Demo::from_conf(block, &mut diagnostics);
        let common = CommonFilter::from_conf(block, &mut diagnostics);
        assert_eq!(demo.is_some() && common.is_some(), !diagnostics.has_errors());
        demo.filter(|_| common.is_some()).ok_or_else(|| diagnostics.render(&sources, false))
    }

    #[test]
    fn defaults() {
        let demo = read("length_bytes => 5").unwrap();
        assert_eq!((demo.length_bytes, demo.count, demo.whitespace), (5, -1, Whitespace::Strict));
        assert_eq!((demo.source.as_str(), demo.codec.name.as_str()), ("message", "line"));
        assert_eq!(demo.pause, Duration::from_secs(3600));
        assert!(
            demo.fields.is_none()
                && demo.words.is_empty()
                && demo.hosts.is_empty()
                && demo.matches.is_empty()
        );
        assert!(demo.password.is_none() && demo.old.is_none());
    }

    #[test]
    fn values() {
        let demo = read(
            r#"length_bytes => "5" fields => "[a][b]" whitespace => lenient match => ["message", "%{x}"] pause => 2
               password => "hunter2" hosts => "a:1 http://me:pw@b" codec => json { charset => "x" } words => [1, 2.50]
               add_tag => ["common"]"#,
        )
        .unwrap();
        assert_eq!(
            (demo.length_bytes, demo.whitespace, demo.words),
            (5, Whitespace::Lenient, vec!["1".into(), "2.5".into()])
        );
        assert_eq!(demo.fields.unwrap()[0].as_str(), "[a][b]");
        assert_eq!(demo.matches[0].1.as_str(), "%{x}");
        assert_eq!(demo.pause, Duration::from_secs(2 * 86_400));
        assert_eq!(demo.password.unwrap().reveal(), "hunter2");
        assert_eq!(format!("{:?}", demo.hosts), "[//a:1, http://me:xxxxxx@b]");
        assert_eq!(demo.codec.block.options.len(), 1);
    }

    #[test]
    fn all_errors_at_once() {
        let errors =
            read("lenght_bytes => 5 whitespace => loose count => [1, 2] older => 1 newer => 2 old => x1")
                .unwrap_err();
        for part in [
            "error: unknown option `lenght_bytes` for filter `demo`",
            "did you mean `length_bytes`?",
            "Unknown setting 'lenght_bytes' for demo",
            "error: filter `demo` needs the option `length_bytes`",
            "Missing a required setting for the demo filter plugin:\n\n  filter {\n    demo {\n      length_bytes => # SETTING MISSING\n      ...\n    }\n  }",
            "# This setting must be a [\"strict\", \"lenient\"]\n      # Expected one of [\"strict\", \"lenient\"], got [\"loose\"]\n      whitespace => \"loose\"\n",
            "# This setting must be a number\n      # Expected number, got [1, 2] (type Array)\n      count => [1, 2]\n",
            "The setting `older` in plugin `demo` is obsolete and is no longer available. Use source. If you",
            "error: the option `newer` of filter `demo` is not supported yet",
            "warning: the option `old` of filter `demo` is deprecated",
        ] {
            assert!(errors.contains(part), "{part}\n---\n{errors}");
        }
    }

    #[test]
    fn golden() {
        assert_eq!(
            read("length_bytes => 5 count => \"1.50\"").unwrap_err(),
            "\
error: `count` of filter `demo` is not valid
 --> a.conf:1:44
  |
1 | filter { demo { length_bytes => 5 count => \"1.50\" } }
  |                                            ^^^^^^ Expected number, got \"1.50\" (type 1.50)
Logstash says: LogStash::ConfigurationError: Invalid setting for demo filter plugin:

  filter {
    demo {
      # This setting must be a number
      # Expected number, got \"1.50\" (type 1.50)
      count => \"1.50\"
      ...
    }
  }

"
        );
    }

    #[test]
    fn what_rust_cannot_hold_is_refused() {
        for text in ["length_bytes => -1", "length_bytes => 1.5", "length_bytes => 99999999999999999999"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("`length_bytes` of filter `demo` does not fit"), "{error}");
        }
        assert!(read("length_bytes => 1 source => '[a'").unwrap_err().contains("Invalid FieldReference"));
        assert!(read("length_bytes => 1 words => { 'a' => 'b' }").unwrap().words.is_empty());
        assert_eq!(read("length_bytes => 1 source => []").unwrap().source.as_str(), "");
    }

    #[test]
    fn ranges() {
        assert_eq!(read("length_bytes => 1").unwrap().threads, 1);
        assert_eq!(read("length_bytes => 1 threads => '16'").unwrap().threads, 16);
        for text in ["0", "17", "-1", "16.5", "99999999999999999999"] {
            let error = read(&format!("length_bytes => 1 threads => {text}")).unwrap_err();
            assert!(error.contains("`threads` of filter `demo` is out of range"), "{error}");
            assert!(error.contains("a.conf:1:46"), "{error}");
            assert!(error.contains("must be from 1 to 16"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let error =
            read("length_bytes => 1 password => ['hunter2', 'x'] hosts => 'http://me:hunter2@'").unwrap_err();
        assert!(error.contains("Expected password (one value), got 2 values?"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn declarations() {
        assert_eq!(Demo::PLUGIN, Some((PluginKind::Filter, "demo")));
        assert_eq!(Demo::DOC, "Does things.\n\nAnd more.");
        let def = |name: &str| Demo::OPTIONS.iter().find(|def| def.name == name).unwrap();
        assert_eq!((def("length_bytes").kind, def("length_bytes").required), (OptionKind::Number, true));
        assert_eq!(def("length_bytes").doc, "Longest length.");
        assert_eq!((def("match").kind, def("match").default), (OptionKind::Hash, Some("{}")));
        assert_eq!((def("hosts").kind, def("hosts").list), (OptionKind::Uri, true));
        assert_eq!(
            (def("whitespace").values, def("count").default),
            (&["strict", "lenient"][..], Some("-1"))
        );
        assert_eq!(def("whitespace").type_name(), "[\"strict\", \"lenient\"]");
    }
}
