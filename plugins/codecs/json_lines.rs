//! `json_lines`: each line of a stream is a JSON document.

use crate::charset::Charset;
use crate::json::{failure, read_document};
use crate::line::{CUT_TAG, LineReader};
use ferrostash_conf::{Options, Spanned};
use ferrostash_event::json::JsonPlaces;
use ferrostash_event::{Event, FieldRef, Timestamp};
use ferrostash_plugin::framing::LineFramer;
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecFailures, CodecPlugin, EncodeError, EventSink, LineEventSink,
    Lines, PluginDef, codec,
};
use std::num::NonZeroUsize;

/// Reads each line as JSON, and writes events as lines of JSON.
///
/// A hash is one event, a list of hashes is one event each, a blank line is none. Text that is not JSON is kept in
/// `message`, with the tag `_jsonparsefailure`. A line that is too long is cut and kept the same way, with the tag
/// `_linetoolong` besides, and reading goes on behind its end. The last line of a stream needs no delimiter.
///
/// ```conf
/// json_lines { decode_size_limit_bytes => 20971520 }
/// ```
#[derive(Options, Clone)]
#[plugin(codec = "json_lines")]
pub(crate) struct JsonLinesOptions {
    /// The charset of what is read. Writing is always UTF-8.
    #[option(default = "UTF-8")]
    charset: Charset,
    /// What stands behind each line, in both directions. When it is empty, data is read as it comes.
    #[option(default = "\n")]
    delimiter: String,
    /// Longest line, in bytes, that is read.
    #[option(default = 536870912)]
    decode_size_limit_bytes: Spanned<usize>,
    /// The field that gets the hash; without it, its members become the event's own fields.
    #[option(kind = "field_reference")]
    target: Option<FieldRef>,
}

pub(crate) static PLUGIN: PluginDef = codec::<JsonLines>();

#[derive(Clone)]
struct JsonLines {
    reader: LineReader,
    documents: Documents,
    delimiter: Box<str>,
}

impl CodecPlugin for JsonLines {
    type Options = JsonLinesOptions;

    fn build(options: JsonLinesOptions, cx: &mut BuildContext<'_>) -> BuildResult<JsonLines> {
        let Spanned { value: limit_bytes, span } = options.decode_size_limit_bytes;
        let Some(limit_bytes) = NonZeroUsize::new(limit_bytes) else {
            return Err(cx.refuse_at(span, "decode_size_limit_bytes must be above 0"));
        };
        Ok(JsonLines {
            reader: LineReader::new(options.charset, &options.delimiter, limit_bytes),
            documents: Documents {
                places: JsonPlaces { target: options.target, original: None },
                failures: cx.codec_failures(),
            },
            delimiter: options.delimiter.into(),
        })
    }
}

impl Codec for JsonLines {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        let (documents, now) = (&self.documents, Timestamp::now());
        self.reader.read(data, |text, cut| documents.read(text, cut, now, sink));
    }

    fn flush(&mut self, sink: &mut EventSink<'_>) {
        let documents = &self.documents;
        self.reader.finish(|text, cut| documents.read(text, cut, Timestamp::now(), sink));
    }

    fn lines(&self) -> Option<LineFramer> {
        self.reader.framer()
    }

    fn decode_lines(&mut self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        let documents = &self.documents;
        self.reader.read_lines(lines, |number, text, cut| {
            documents.read(text, cut, now, &mut |event| sink(number, event));
        });
    }

    fn pending_bytes(&self) -> usize {
        self.reader.pending_bytes()
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        event.write_json(out);
        out.extend_from_slice(self.delimiter.as_bytes());
        Ok(())
    }
}

/// How documents become events.
#[derive(Clone)]
struct Documents {
    places: JsonPlaces,
    failures: CodecFailures,
}

impl Documents {
    fn read(&self, text: &str, cut: bool, now: Timestamp, sink: &mut EventSink<'_>) {
        if cut {
            // Even where the head of it is JSON, the event would not be what was sent.
            let mut event = failure(text, &self.failures, "the line is too long", now);
            event.tag(CUT_TAG);
            sink(event);
        } else {
            read_document(text, &self.places, &self.failures, now, sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use crate::tests::{decode, encode, legacy, refusal};
    use ferrostash_plugin::testing::Harness;

    #[test]
    fn a_line_is_a_document() {
        let ecs = Harness::new(PLUGINS);
        let events = decode(&ecs, "json_lines", &["{\"a\":1}\r\n\n  \n[{\"a\":2},{\"a\"", ":3}]\n{\"a\":4}"]);
        assert_eq!(events, [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":4}"#]);
    }

    #[test]
    fn what_is_not_json_is_kept() {
        let events = decode(&legacy(), "json_lines", &["{bad}\n{\"a\":1}\nplain"]);
        let kept = |text: &str| format!(r#"{{"message":"{text}","tags":["_jsonparsefailure"]}}"#);
        assert_eq!(events, [kept("{bad}"), r#"{"a":1}"#.to_owned(), kept("plain")]);
    }

    #[test]
    fn a_long_line_is_cut_and_reading_goes_on() {
        let codec = "json_lines { decode_size_limit_bytes => 8 }";
        let events = decode(
            &legacy(),
            codec,
            &["{\"a\":1}\n{\"long\":", "1}\n{\"b\":2}\n{} is long", " and has no end"],
        );
        let cut =
            |text: &str| format!(r#"{{"message":"{text}","tags":["_jsonparsefailure","_linetoolong"]}}"#);
        assert_eq!(
            events,
            [r#"{"a":1}"#.to_owned(), cut(r#"{\"long\":"#), r#"{"b":2}"#.to_owned(), cut("{} is lo")]
        );
        assert!(refusal("json_lines { decode_size_limit_bytes => 0 }").contains("must be above 0"));
    }

    #[test]
    fn target_and_delimiter() {
        let codec = r#"json_lines { target => "doc" delimiter => ";" }"#;
        assert_eq!(decode(&legacy(), codec, &["{\"a\":\n1};{};"]), [r#"{"doc":{"a":1}}"#, r#"{"doc":{}}"#]);
        let time = r#""@timestamp":"2026-01-02T03:04:05.678Z","@version":"1""#;
        assert_eq!(encode(codec, &[r#"{"a":"x\ny"}"#]), format!(r#"{{"a":"x\ny",{time}}};"#));
    }
}
