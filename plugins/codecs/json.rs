//! `json`: a message is a JSON document.

use crate::charset::Charset;
use crate::text::original_field;
use ferrostash_conf::Options;
use ferrostash_event::json::JsonPlaces;
use ferrostash_event::{Event, FieldRef, Timestamp};
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecFailures, CodecPlugin, EncodeError, EventSink, LineEventSink,
    Lines, PluginDef, codec,
};
use std::fmt::Display;

/// The tag of text that is not JSON.
pub(crate) const FAILURE_TAG: &str = "_jsonparsefailure";
/// Characters of a text that is not JSON which the log shows.
const LOGGED_CHARS_MAX: usize = 256;

/// Reads each message as JSON: a hash is one event, a list of hashes is one event each.
///
/// Text that is not JSON is kept in `message`, with the tag `_jsonparsefailure`. With ECS the text of a message that
/// is one event is also in `[event][original]`. Events are written as JSON without anything between them; see
/// `json_lines` for one per line.
///
/// ```conf
/// json { target => "[document]" }
/// ```
#[derive(Options, Clone)]
#[plugin(codec = "json")]
pub(crate) struct JsonOptions {
    /// The charset of what is read. Writing is always UTF-8.
    #[option(default = "UTF-8")]
    charset: Charset,
    /// The field that gets the hash; without it, its members become the event's own fields.
    #[option(kind = "field_reference")]
    target: Option<FieldRef>,
}

pub(crate) static PLUGIN: PluginDef = codec::<Json>();

#[derive(Clone)]
struct Json {
    charset: Charset,
    places: JsonPlaces,
    failures: CodecFailures,
}

impl CodecPlugin for Json {
    type Options = JsonOptions;

    fn build(options: JsonOptions, cx: &mut BuildContext<'_>) -> BuildResult<Json> {
        let places = JsonPlaces { target: options.target, original: original_field(cx.ecs) };
        Ok(Json { charset: options.charset, places, failures: cx.codec_failures() })
    }
}

impl Codec for Json {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        read_document(&self.charset.decode(data), &self.places, &self.failures, Timestamp::now(), sink);
    }

    fn is_stateless(&self) -> bool {
        true
    }

    fn decode_lines(&mut self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        self.charset.decode_lines(lines, |number, text| {
            read_document(text, &self.places, &self.failures, now, &mut |event| sink(number, event));
        });
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        event.write_json(out);
        Ok(())
    }
}

/// Passes the events of a document on, or one event that keeps the text.
pub(crate) fn read_document(
    text: &str,
    places: &JsonPlaces,
    failures: &CodecFailures,
    now: Timestamp,
    sink: &mut EventSink<'_>,
) {
    if let Err(error) = Event::read_json_into(text, places, now, sink) {
        let shown: String = text.chars().take(LOGGED_CHARS_MAX).collect();
        tracing::warn!(
            limited = true,
            %error,
            data = shown,
            "JSON parse error, original data now in message field"
        );
        sink(failure(text, failures, error, now));
    }
}

/// The event that keeps a text that is not JSON.
pub(crate) fn failure(text: &str, failures: &CodecFailures, reason: impl Display, now: Timestamp) -> Event {
    let mut event = Event::from_message(text, now);
    failures.fail(&mut event, FAILURE_TAG, reason);
    event
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use crate::tests::{decode, encode, legacy, refusal};
    use ferrostash_plugin::testing::Harness;

    #[test]
    fn hashes_and_lists() {
        let ecs = Harness::new(PLUGINS);
        assert_eq!(
            decode(&ecs, "json", &[r#"{"a":1.50} x"#]),
            [r#"{"a":1.5,"event":{"original":"{\"a\":1.50} x"}}"#]
        );
        assert_eq!(decode(&ecs, "json", &[r#"[{"a":1},{"a":2}]"#]), [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!(
            decode(&ecs, "json", &[r#"[{"a":1}]"#]),
            [r#"{"a":1,"event":{"original":"[{\"a\":1}]"}}"#]
        );
        assert_eq!(decode(&ecs, "json", &["[]", "", " \n"]), [""; 0]);
        assert_eq!(decode(&legacy(), "json", &[r#"{"a":1}"#]), [r#"{"a":1}"#]);
    }

    #[test]
    fn what_is_not_json_is_kept() {
        let kept = |text: &str| format!(r#"{{"message":"{text}","tags":["_jsonparsefailure"]}}"#);
        for text in ["5", "null", "{a:1}", "[1]"] {
            assert_eq!(decode(&Harness::new(PLUGINS), "json", &[text]), [kept(text)]);
        }
        let invalid = decode(&legacy(), "json", &[b"{\"a\":\"x\xff\"}"]);
        assert_eq!(invalid, [kept(r#"{\\\"a\\\":\\\"x\\xFF\\\"}"#)]);
        // Logstash finds the same: the text cannot be put below a string.
        assert_eq!(
            decode(&Harness::new(PLUGINS), "json", &[r#"{"event":"x"}"#]),
            [kept(r#"{\"event\":\"x\"}"#)]
        );
    }

    #[test]
    fn a_target() {
        let target = r#"json { target => "[doc][body]" charset => "ISO-8859-1" }"#;
        let events = decode(&legacy(), target, &[&b"{\"a\":\"\xe9\",\"@timestamp\":\"x\"}"[..], b"{"]);
        let failed = r#"{"message":"{","tags":["_jsonparsefailure"]}"#;
        assert_eq!(events, [r#"{"doc":{"body":{"a":"é","@timestamp":"x"}}}"#, failed]);
        assert!(refusal(r#"json { target => "[a" }"#).contains("Expected a valid field reference"));
    }

    #[test]
    fn writing() {
        let text = encode("json", &[r#"{"a":[1,2.0],"@metadata":{"m":1}}"#, r#"{"b":"é\n"}"#]);
        let time = r#""@timestamp":"2026-01-02T03:04:05.678Z","@version":"1""#;
        assert_eq!(text, format!(r#"{{"a":[1,2.0],{time}}}{{"b":"é\n",{time}}}"#));
    }
}
