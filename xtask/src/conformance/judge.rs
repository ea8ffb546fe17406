//! Whether what the engine did is what Logstash did.

use super::case::{Case, Expected, Kind, Unstable};
use super::encoded;
use crate::json::Json;

/// What the engine made of a case.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// These events came out.
    Events(Vec<Json>),
    /// These texts came out, one per event, in the recorded form.
    Encoded(Vec<Json>),
    /// The configuration was taken.
    Accepted,
    /// The configuration was refused: Logstash's sentence, or ours, and ours in full.
    Refused { sentence: String, report: String },
    /// The engine panicked, hung, or the case could not be run.
    Broken(String),
}

/// What is wrong with an outcome, a line per difference; empty when it passed.
pub(crate) type Faults = Vec<String>;

const IGNORED: &str = "<ignored>";

/// Compares `outcome` with what was recorded.
pub(crate) fn judge(case: &Case, outcome: &Outcome) -> Faults {
    let expected = &case.expected;
    match outcome {
        Outcome::Broken(reason) => vec![reason.clone()],
        Outcome::Accepted if expected.accepted() == Some(true) => Vec::new(),
        Outcome::Refused { sentence, .. } => refused(expected, sentence),
        Outcome::Events(events) => judge_events(case, events),
        Outcome::Encoded(entries) => judge_encoded(case, entries),
        Outcome::Accepted => {
            let error = expected.text("error").unwrap_or("?");
            vec![format!("was accepted, should be refused: {error}")]
        }
    }
}

/// A refusal counts wherever Logstash refuses as well. Ours always comes with the build, which is earlier than
/// Logstash's start of a pipeline; where Logstash only dies of data, the configuration must be taken.
fn refused(expected: &Expected, sentence: &str) -> Faults {
    let wanted = match (expected.accepted(), expected.text("pipeline_error")) {
        (Some(false), _) => expected.text("error").unwrap_or_default(),
        (None, Some(error)) if expected.text("stage") != Some("run") => error,
        _ => return vec![format!("was refused: {sentence}")],
    };
    // What is not built is no right reason to refuse.
    let unknown = "Couldn't find any";
    if sentence.contains("not supported yet") || (sentence.contains(unknown) && !wanted.contains(unknown)) {
        return vec![format!("was refused: {sentence}")];
    }
    match (place(wanted), place(sentence)) {
        (Some(wanted), found) if found != Some(wanted) => {
            vec![format!("was refused with: {sentence}"), format!("the place should be:{wanted}")]
        }
        _ => Vec::new(),
    }
}

/// The place that a syntax error names: ` line 1, column 17 (byte 17)`.
fn place(error: &str) -> Option<&str> {
    let from = error.strip_prefix("LogStash::ConfigurationError: Expected one of")?;
    let from = from.get(from.rfind(" at line ")? + " at".len()..)?;
    from.get(..=from.find(')')?)
}

fn judge_events(case: &Case, events: &[Json]) -> Faults {
    let expected = &case.expected;
    let Some(wanted) = expected.events().filter(|_| !crashed(expected)) else {
        return vec![unexpected_result(expected)];
    };
    let mut faults = Vec::new();
    if wanted.len() != events.len() {
        faults.push(format!("{} events, should be {}", events.len(), wanted.len()));
    }
    let unstable = expected.unstable();
    if unstable == Unstable::Everything {
        return faults;
    }
    let fields = match unstable {
        Unstable::Fields(fields) => fields,
        _ => Vec::new(),
    };
    for (at, (wanted, got)) in wanted.iter().zip(events).enumerate() {
        let (mut wanted, mut got) = (wanted.clone(), got.clone());
        case.ignore.iter().for_each(|field| mask(&mut got, field));
        for field in &fields {
            mask(&mut got, field);
            mask(&mut wanted, field);
        }
        wanted.differences(&got, &format!("event {at}: "), &mut faults);
    }
    faults
}

/// Puts `<ignored>` in the place of a value, if there is one.
fn mask(event: &mut Json, field: &[String]) {
    let mut value = Some(event);
    for name in field {
        value = value.and_then(|value| value.get_mut(name));
    }
    if let Some(value) = value {
        *value = Json::Text(IGNORED.to_owned());
    }
}

fn crashed(expected: &Expected) -> bool {
    expected.text("pipeline_error").is_some() || expected.text("decode_exception").is_some()
}

/// There is a result where Logstash had none: only a deviation makes that right.
fn unexpected_result(expected: &Expected) -> String {
    let error = ["error", "pipeline_error", "decode_exception"].iter().find_map(|name| expected.text(name));
    format!("there is a result, Logstash had: {}", error.unwrap_or("no events"))
}

fn judge_encoded(case: &Case, entries: &[Json]) -> Faults {
    let Some(wanted) = case.expected.encoded() else { return vec![unexpected_result(&case.expected)] };
    let mut faults = Vec::new();
    if wanted.len() != entries.len() {
        faults.push(format!("{} texts, should be {}", entries.len(), wanted.len()));
    }
    let codec = match &case.kind {
        Kind::Encode(codec) => {
            codec.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        }
        _ => "",
    };
    let decode = encoded::decoder(codec, &case.expected.unstable());
    for (at, (wanted, got)) in wanted.iter().zip(entries).enumerate() {
        let path = format!("text {at}: ");
        match decode {
            None => wanted.differences(got, &path, &mut faults),
            Some(decode) => match (decode(wanted), decode(got)) {
                (Ok(wanted), Ok(got)) => wanted.differences(&got, &path, &mut faults),
                (wanted_read, got_read) => {
                    let error =
                        wanted_read.err().or(got_read.err()).map(|e| e.to_string()).unwrap_or_default();
                    faults.push(format!("{path}{error}: {got}"));
                }
            },
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(kind: Kind, result: &str, ignore: &[&str]) -> Case {
        Case {
            area: "a".into(),
            name: "n".into(),
            why: String::new(),
            kind,
            settings: Vec::new(),
            env: Vec::new(),
            files: Vec::new(),
            input: Vec::new(),
            metadata: false,
            ignore: ignore.iter().map(|name| vec![(*name).to_owned()]).collect(),
            expected: Expected { result: Json::parse(result).unwrap() },
            deviation: None,
        }
    }

    fn events(list: &str) -> Outcome {
        Outcome::Events(Json::parse(list).unwrap().as_list().unwrap().to_vec())
    }

    fn filters(result: &str, ignore: &[&str]) -> Case {
        case(Kind::Filters("filter { }".into()), result, ignore)
    }

    #[test]
    fn events_must_be_equal_and_in_order() {
        let case = filters(r#"{"events": [{"a": 1}, {"a": 2}]}"#, &[]);
        assert!(judge(&case, &events(r#"[{"a": 1}, {"a": 2}]"#)).is_empty());
        assert_eq!(judge(&case, &events(r#"[{"a": 2}, {"a": 1}]"#)).len(), 2);
        assert_eq!(judge(&case, &events(r#"[{"a": 1}]"#)), ["1 events, should be 2"]);
        assert!(!judge(&case, &Outcome::Accepted).is_empty());
    }

    #[test]
    fn ignored_fields_must_still_be_there() {
        let case = filters(r#"{"events": [{"uuid": "<ignored>"}]}"#, &["uuid"]);
        assert!(judge(&case, &events(r#"[{"uuid": "x-y"}]"#)).is_empty());
        assert_eq!(judge(&case, &events("[{}]")).len(), 1);
    }

    #[test]
    fn unstable_fields_and_counts() {
        let fields = filters(r#"{"events": [{"a": 1, "t": 5}], "unstable": ["[t]"]}"#, &[]);
        assert!(judge(&fields, &events(r#"[{"a": 1, "t": 6}]"#)).is_empty());
        let count = filters(r#"{"events": [{"a": 1}], "unstable": true}"#, &[]);
        assert!(judge(&count, &events(r#"[{"b": 1}]"#)).is_empty());
        assert!(!judge(&count, &events("[]")).is_empty());
    }

    #[test]
    fn a_crash_of_logstash_is_never_a_pass_by_itself() {
        let case =
            filters(r#"{"pipeline_error": "NullPointerException", "stage": "run", "events": []}"#, &[]);
        assert!(!judge(&case, &events("[]")).is_empty());
        let refused = Outcome::Refused { sentence: "x".into(), report: String::new() };
        assert!(!judge(&case, &refused).is_empty());
        let case = filters(r#"{"pipeline_error": "TypeError", "stage": "build"}"#, &[]);
        assert!(judge(&case, &refused).is_empty());
        assert!(!judge(&case, &events("[]")).is_empty());
    }

    #[test]
    fn syntax_errors_name_the_same_place() {
        let error = "LogStash::ConfigurationError: Expected one of [ \\t\\r\\n], \\\" at line 3\\\" at line 1, column 17 (byte 17) after filter {";
        let case =
            case(Kind::Parse("x".into()), &format!(r#"{{"accepted": false, "error": "{error}"}}"#), &[]);
        let refused = |sentence: &str| Outcome::Refused { sentence: sentence.into(), report: String::new() };
        let ours = "LogStash::ConfigurationError: Expected one of x at line 1, column 17 (byte 17) after y";
        assert_eq!(judge(&case, &refused(ours)), Vec::<String>::new());
        assert_eq!(judge(&case, &refused(&ours.replace("17", "18"))).len(), 2);
        assert!(!judge(&case, &Outcome::Accepted).is_empty());
    }

    #[test]
    fn a_plugin_that_is_not_built_is_no_right_refusal() {
        let error = r#"{"accepted": false, "error": "(ConfigurationError) Something is wrong"}"#;
        let case = case(Kind::Config("x".into()), error, &[]);
        let refused = |sentence: &str| Outcome::Refused { sentence: sentence.into(), report: String::new() };
        assert!(judge(&case, &refused("LogStash::ConfigurationError: Unknown setting 'x' for y")).is_empty());
        let unknown = "LogStash::PluginLoadingError: Couldn't find any filter plugin named 'y'.";
        assert!(!judge(&case, &refused(unknown)).is_empty());
    }

    #[test]
    fn encoded_texts_are_compared_as_their_codec_says() {
        let encoded = |text: &str| Outcome::Encoded(vec![Json::Text(text.into())]);
        let result = r#"{"encoded": ["{\"a\":1,\"b\":2}\n"], "unstable": "key order"}"#;
        let json = case(Kind::Encode("json_lines { }".into()), result, &[]);
        assert!(judge(&json, &encoded("{\"b\":2,\"a\":1}\n")).is_empty());
        assert!(!judge(&json, &encoded("{\"b\":2,\"a\":1}")).is_empty());
        let line = case(Kind::Encode("line".into()), r#"{"encoded": ["a\n"]}"#, &[]);
        assert!(judge(&line, &encoded("a\n")).is_empty());
        assert!(!judge(&line, &encoded("a")).is_empty());
    }
}
