//! One case for the eye.

use super::Verdict;
use super::case::{Case, Kind};
use super::judge::Outcome;
use std::fmt::Write as _;

/// Everything about these cases.
pub(crate) fn show(verdicts: &[Verdict]) -> String {
    verdicts.iter().map(one).collect()
}

fn one(verdict: &Verdict) -> String {
    let case = &*verdict.case;
    let mut out = format!("{}: {}\n", case.id(), case.why);
    given(case, &mut out);
    if let Some(why) = &case.deviation {
        let _ = writeln!(out, "-- deviation: {why}");
    }
    let _ = writeln!(out, "-- expected\n{}", lines(&case.expected.result));
    let _ = writeln!(out, "-- actual\n{}", actual(&verdict.outcome));
    if verdict.passed() {
        out.push_str("passed\n");
    } else {
        let _ = writeln!(out, "-- FAILED\n{}", verdict.faults.join("\n"));
    }
    out
}

fn given(case: &Case, out: &mut String) {
    for (title, entries) in [("settings", &case.settings), ("env", &case.env), ("files", &case.files)] {
        for (name, value) in entries {
            let _ = writeln!(out, "-- {title}: {name}: {value}");
        }
    }
    let (title, text) = match &case.kind {
        Kind::Filters(text) | Kind::Parse(text) | Kind::Config(text) => ("config", text),
        Kind::Decode(text, _) => ("decode", text),
        Kind::Encode(text) => ("encode", text),
        Kind::Unreadable(text) => ("unreadable", text),
    };
    let _ = writeln!(out, "-- {title}\n{}", text.trim_end());
    if let Kind::Decode(_, bytes) = &case.kind {
        let _ = writeln!(out, "-- bytes\n{}", bytes.escape_ascii());
    }
    if !case.input.is_empty() {
        out.push_str("-- input\n");
        case.input.iter().for_each(|event| _ = writeln!(out, "{event}"));
    }
}

/// Lists one entry a line.
fn lines(result: &crate::json::Json) -> String {
    let mut out = String::new();
    for (key, value) in result.as_map().unwrap_or_default() {
        match value.as_list() {
            Some(items) => {
                let _ = writeln!(out, "{key}:");
                items.iter().for_each(|item| _ = writeln!(out, "  {item}"));
            }
            None => _ = writeln!(out, "{key}: {value}"),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn actual(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Events(items) | Outcome::Encoded(items) => {
            items.iter().map(|item| format!("  {item}")).collect::<Vec<_>>().join("\n")
        }
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Refused { report, .. } => format!("refused\n{report}"),
        Outcome::Broken(reason) => reason.clone(),
    }
}
