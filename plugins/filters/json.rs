//! The json filter: a field's JSON becomes fields.

use crate::shared::{Field, excerpt};
use ferrostash_conf::Options;
use ferrostash_event::json::{JsonError, JsonNumbers, Parsed, ParsedKind};
use ferrostash_event::{Event, FieldRef, Key, TIMESTAMP, TextSpan, Timestamp, Value, ValueRef};
use ferrostash_plugin::{
    BuildContext, BuildResult, EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, filter,
};
use std::sync::Arc;

/// Reads the JSON in a field.
///
/// A hash becomes fields of the event, or what stands in `target`, which takes any other JSON value too. Names of the
/// hash are field references (`{"[a][b]": 1}` sets the field `b` of `a`). An `@timestamp` in it becomes the event's.
///
/// ```conf
/// filter { json { source => "message" remove_field => ["message"] } }
/// # in:  {"message": "{\"user\":{\"id\":7},\"ok\":true}"}
/// # out: {"user": {"id": 7}, "ok": true}
/// ```
///
/// ```conf
/// filter { json { source => "message" target => "doc" } }
/// # in:  {"message": "[1,2]"}
/// # out: {"message": "[1,2]", "doc": [1, 2]}
/// ```
#[derive(Options, Clone)]
#[plugin(filter = "json")]
pub(crate) struct JsonOptions {
    /// The field that holds the JSON.
    #[option(required)]
    source: String,
    /// The field that gets the value; the event itself when absent.
    #[option(kind = "field_reference")]
    target: Option<FieldRef>,
    /// Tags of events whose JSON could not be read.
    #[option(default = ["_jsonparsefailure"])]
    tag_on_failure: Vec<String>,
    /// Leaves alone what is no JSON: no tag, no warning.
    #[option(default = false)]
    skip_on_invalid_json: bool,
}

/// The declaration.
pub(crate) static PLUGIN: PluginDef = filter::<Json>();

/// The filter.
#[derive(Clone)]
pub(crate) struct Json {
    options: Arc<JsonOptions>,
    source: Field,
    failed_timestamp: FieldRef,
    timestamp: Key,
}

/// How an event went.
enum Outcome {
    Matched,
    /// There is nothing to read.
    Absent,
    /// The field holds no JSON; without an error it is no string.
    Invalid(Option<JsonError>),
    /// The JSON could not become fields.
    Failed(String),
}

impl FilterPlugin for Json {
    type Options = JsonOptions;

    fn build(options: JsonOptions, cx: &mut BuildContext<'_>) -> BuildResult<Json> {
        if cx.ecs.is_on() && options.target.is_none() {
            tracing::info!(
                "ECS compatibility is enabled but `target` option was not specified. This may cause fields to be set at \
                 the top-level of the event where they are likely to clash with the Elastic Common Schema. It is \
                 recommended to set the `target` option to avoid potential schema conflicts (if your data is ECS \
                 compliant or non-conflicting, feel free to ignore this message)"
            );
        }
        let source = Field::parse(&options.source, cx);
        Ok(Json {
            options: Arc::new(options),
            source,
            failed_timestamp: FieldRef::literal("_@timestamp"),
            timestamp: Key::new(TIMESTAMP),
        })
    }
}

impl EventFilter for Json {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched {
        let source = self.options.source.as_str();
        match self.read(event, cx.now) {
            Outcome::Matched => return Matched::Yes,
            Outcome::Absent => {}
            Outcome::Invalid(_) if self.options.skip_on_invalid_json => {}
            Outcome::Invalid(error) => {
                let no_text = || "the source is no string".to_owned();
                let exception = error.map_or_else(no_text, |error| error.to_string());
                let raw = self.raw(event);
                tracing::warn!(source, raw, exception, limited = true, "Error parsing json");
                cx.fail(event, &self.options.tag_on_failure, exception);
            }
            Outcome::Failed(exception) => {
                let raw = self.raw(event);
                tracing::warn!(source, raw, exception, limited = true, "Exception caught in json filter");
                cx.fail(event, &self.options.tag_on_failure, exception);
            }
        }
        Matched::No
    }

    fn decoration_failed(&mut self, event: &mut Event, error: &str) {
        let source = self.options.source.as_str();
        tracing::warn!(source, exception = error, limited = true, "Exception caught in json filter");
        self.tag(event);
    }
}

impl Json {
    fn read(&self, event: &mut Event, now: Timestamp) -> Outcome {
        let source = match self.source.get() {
            Ok(source) => source,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let Some(span) = event.str_span(source) else {
            return match event.get(source) {
                None | Some(ValueRef::Null | ValueRef::Bool(false)) => Outcome::Absent,
                Some(_) => Outcome::Invalid(None),
            };
        };
        let parsed = match parse_last(event, span) {
            Ok(parsed) => parsed,
            Err(error) => return Outcome::Invalid(Some(error)),
        };
        let result = match (&self.options.target, parsed) {
            (Some(target), Some(parsed)) => event.set_parsed(target, parsed).map_err(|e| e.to_string()),
            (Some(target), None) => event.set(target, Value::Null).map_err(|e| e.to_string()),
            (None, Some(parsed)) if event.parsed_kind(parsed) == ParsedKind::Object => {
                self.merge(event, parsed, now)
            }
            (None, _) => Err("Parsed JSON object/hash requires a target configuration option".to_owned()),
        };
        result.map_or_else(Outcome::Failed, |()| Outcome::Matched)
    }

    fn merge(&self, event: &mut Event, parsed: Parsed, now: Timestamp) -> Result<(), String> {
        let given = event.take_parsed(parsed, &self.timestamp);
        event.merge_parsed(parsed).map_err(|error| error.to_string())?;
        let timestamp = match &given {
            None | Some(Value::Null | Value::Bool(false)) => return Ok(()),
            Some(Value::String(text)) => Timestamp::parse(text),
            Some(_) => None,
        };
        match (timestamp, given) {
            (Some(timestamp), _) => event.set_timestamp(timestamp),
            (None, Some(given)) => self.refuse_timestamp(event, given, now),
            (None, None) => {}
        }
        Ok(())
    }

    fn refuse_timestamp(&self, event: &mut Event, given: Value, now: Timestamp) {
        event.set_timestamp(now);
        event.tag("_timestampparsefailure");
        let field = &self.failed_timestamp;
        let mut text = String::new();
        // Set first as it came: printing it as Ruby does needs it in an event.
        if event.set(field, given).is_ok()
            && let Some(value) = event.get(field)
        {
            value.write_ruby(&mut text);
        }
        tracing::warn!(
            value = excerpt(&text),
            limited = true,
            "Unrecognized @timestamp value, setting current time to @timestamp, original in _@timestamp field"
        );
        // A top-level field that is neither @timestamp nor tags takes every string.
        let _ = event.set_str(field, &text);
    }

    fn tag(&self, event: &mut Event) {
        self.options.tag_on_failure.iter().for_each(|tag| event.tag(tag));
    }

    /// The text that could not be read, for the log.
    fn raw<'e>(&self, event: &'e Event) -> &'e str {
        let text = self.source.get().ok().and_then(|source| event.get_str(source));
        text.map_or("", excerpt)
    }
}

/// Parses all JSON values in the text; the last one counts, and `None` stands for blank text.
fn parse_last(event: &mut Event, span: TextSpan) -> Result<Option<Parsed>, JsonError> {
    const BYTE_ORDER_MARK: &str = "\u{feff}";
    let mut rest = span;
    // The mark alone is no JSON.
    if event.text(span).starts_with(BYTE_ORDER_MARK) && span.len() > BYTE_ORDER_MARK.len() {
        rest = span.slice(BYTE_ORDER_MARK.len()..span.len());
    }
    let mut last = None;
    while !event.text(rest).bytes().all(is_blank) {
        let (parsed, end) = event.parse_json(rest, JsonNumbers::Decimals)?;
        let bytes = event.text(rest).as_bytes();
        let ends_in_digit = end.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        if ends_in_digit && bytes.get(end).is_some_and(|byte| !is_blank(*byte)) {
            return Err(JsonError { reason: "expected a blank behind the number", offset: end });
        }
        rest = rest.slice(end..rest.len());
        last = Some(parsed);
    }
    Ok(last)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use ferrostash_plugin::testing::{Harness, event, json, test_time};

    /// What `json { source => "message" … }` makes of an event, without `message`.
    fn run(options: &str, event: &str) -> String {
        let text = format!("json {{ source => 'message' {options} }}");
        let mut filter = Harness::new(crate::PLUGINS).filter(&text).unwrap();
        filter.run_json(&[event]).remove(0)
    }

    fn run_message(options: &str, message: &str) -> String {
        let text = format!("json {{ source => 'message' remove_field => 'message' {options} }}");
        let mut filter = Harness::new(crate::PLUGINS).filter(&text).unwrap();
        filter.run_message(message).remove(0)
    }

    #[test]
    fn fields_are_set_in_order() {
        assert_eq!(
            run_message("", r#"{"[a][b]":1,"c.d":2,"a":{"x":[null,1.50]}}"#),
            r#"{"a":{"x":[null,1.50]},"c.d":2}"#
        );
        assert_eq!(
            run("", r#"{"message":"{\"ok\":1,\"[bad\":2,\"after\":3}"}"#),
            r#"{"message":"{\"ok\":1,\"[bad\":2,\"after\":3}","ok":1,"tags":["_jsonparsefailure"]}"#
        );
        assert_eq!(
            run("", r#"{"message":"{\"tags\":5,\"x\":1}"}"#),
            r#"{"message":"{\"tags\":5,\"x\":1}","tags":["_jsonparsefailure"]}"#
        );
    }

    #[test]
    fn the_last_of_several_documents_counts() {
        for (message, out) in [
            (r#"{"a":1}{"b":2}"#, r#"{"b":2}"#),
            (" {\"a\":1}\n{\"b\":2}\r\n", r#"{"b":2}"#),
            (r#"5 {"a":1}"#, r#"{"a":1}"#),
            ("\u{feff}{\"a\":1}", r#"{"a":1}"#),
        ] {
            assert_eq!(run_message("", message), out, "{message}");
        }
        for bad in [
            r#"{"a":1},{"b":2}"#,
            r#"{"a":1} x"#,
            r#"{"a":1} 5"#,
            r#"5{"a":1}"#,
            "\u{feff}",
            "",
            " ",
            "null",
            "[1]",
        ] {
            assert!(run_message("", bad).ends_with(r#""tags":["_jsonparsefailure"]}"#), "{bad}");
        }
    }

    #[test]
    fn a_target_takes_everything() {
        for (message, out) in [
            ("5", "5"),
            ("\"x\"", "\"x\""),
            ("null", "null"),
            (" ", "null"),
            ("[{}]", "[{}]"),
            (r#"{"@timestamp":5}"#, r#"{"@timestamp":5}"#),
        ] {
            assert_eq!(run_message("target => '[t]'", message), format!("{{\"t\":{out}}}"), "{message}");
        }
        let out = run("target => '@timestamp' add_tag => 'never'", r#"{"message":"5"}"#);
        assert_eq!(out, r#"{"message":"5","tags":["_jsonparsefailure"]}"#);
    }

    #[test]
    fn only_strings_are_read() {
        for source in ["null", "false"] {
            assert_eq!(
                run("add_tag => 'never'", &format!("{{\"message\":{source}}}")),
                format!("{{\"message\":{source}}}")
            );
        }
        assert_eq!(run("", "{}"), "{}");
        for source in ["5", "true", "[]", "{}"] {
            let out = run("tag_on_failure => ['a', 'b']", &format!("{{\"message\":{source}}}"));
            assert_eq!(out, format!("{{\"message\":{source},\"tags\":[\"a\",\"b\"]}}"));
        }
    }

    #[test]
    fn what_is_no_json_may_be_skipped() {
        let event = r#"{"message":"nope"}"#;
        assert_eq!(run("skip_on_invalid_json => true add_tag => 'never'", event), event);
    }

    #[test]
    fn timestamps() {
        assert_eq!(
            run_message("", r#"{"@timestamp":"2020-02-03T04:05:06Z","a":1}"#),
            r#"{"@timestamp":"2020-02-03T04:05:06.000Z","a":1}"#
        );
        assert_eq!(run_message("", r#"{"@timestamp":null,"a":1}"#), r#"{"a":1}"#);
        for (given, kept) in [("5", "5"), ("1.50", "0.15e1"), ("\"x\"", "x"), ("[1,null]", "[1, nil]")] {
            let out = run_message("", &format!("{{\"@timestamp\":{given},\"a\":1}}"));
            assert_eq!(out, format!(r#"{{"a":1,"tags":["_timestampparsefailure"],"_@timestamp":"{kept}"}}"#));
        }
    }

    #[test]
    fn an_illegal_source_fails_at_each_event() {
        let mut filter = Harness::new(crate::PLUGINS).filter("json { source => '[a' }").unwrap();
        assert_eq!(filter.run_json(&["{}"]), [r#"{"tags":["_jsonparsefailure"]}"#]);
    }

    #[test]
    fn common_options_that_fail_are_tagged_too() {
        let out = run("add_field => { '@timestamp' => 'x' }", r#"{"message":"{}"}"#);
        assert_eq!(out, r#"{"message":"{}","tags":["_jsonparsefailure"]}"#);
    }

    #[test]
    fn strings_share_the_text_of_the_message() {
        let message = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
        let mut filter = Harness::new(crate::PLUGINS).filter("json { source => 'message' }").unwrap();
        let before = ferrostash_event::Event::from_message(&message, test_time());
        let size = before.byte_size();
        let after = filter.run(vec![before]).remove(0);
        assert!(after.byte_size() < size + 500, "{} from {size}", after.byte_size());
        assert!(json(&after).contains("xxx") && json(&event("{}")) == "{}");
    }
}
