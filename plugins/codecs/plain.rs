//! `plain`: a message is an event.

use crate::charset::Charset;
use crate::text::{TextEvents, TextFormat};
use ferrostash_conf::{Options, Spanned};
use ferrostash_event::{Event, Template, Timestamp};
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecPlugin, EncodeError, EventSink, LineEventSink, Lines, PluginDef,
    codec,
};

/// Takes each message as the text of one event, and writes events as text without anything between them.
///
/// Text that is not valid in its charset is kept: bytes that are not UTF-8 as `\xNN`, what other charsets don't define
/// as U+FFFD. With ECS the text is also in `[event][original]`.
///
/// ```conf
/// plain { charset => "ISO-8859-1" format => "%{message} of %{+yyyy-MM-dd}" }
/// ```
#[derive(Options, Clone)]
#[plugin(codec = "plain")]
pub(crate) struct PlainOptions {
    /// How events are written; without it, time, host and message with blanks between them. Not used for reading.
    format: Option<Spanned<Template>>,
    /// The charset of what is read. Writing is always UTF-8.
    #[option(default = "UTF-8")]
    charset: Charset,
}

pub(crate) static PLUGIN: PluginDef = codec::<Plain>();

#[derive(Clone)]
struct Plain {
    charset: Charset,
    events: TextEvents,
    format: TextFormat,
}

impl CodecPlugin for Plain {
    type Options = PlainOptions;

    fn build(options: PlainOptions, cx: &mut BuildContext<'_>) -> BuildResult<Plain> {
        let format = TextFormat::new(options.format, cx)?;
        Ok(Plain { charset: options.charset, events: TextEvents::new(cx.ecs), format })
    }
}

impl Codec for Plain {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        sink(self.events.event(&self.charset.decode(data), Timestamp::now()));
    }

    fn is_stateless(&self) -> bool {
        true
    }

    fn decode_lines(&mut self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        self.charset.decode_lines(lines, |number, text| sink(number, self.events.event(text, now)));
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.format.write(event, out)
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use crate::tests::{decode, encode, legacy, refusal};
    use ferrostash_plugin::testing::Harness;

    #[test]
    fn a_message_is_an_event() {
        let both = [r#"{"message":"a\nb","event":{"original":"a\nb"}}"#];
        assert_eq!(decode(&Harness::new(PLUGINS), "plain", &["a\nb"]), both);
        assert_eq!(decode(&legacy(), "plain", &["", "b"]), [r#"{"message":""}"#, r#"{"message":"b"}"#]);
        let latin = r#"plain { charset => "ISO-8859-1" format => "not for reading" }"#;
        assert_eq!(decode(&legacy(), latin, &[b"caf\xe9"]), [r#"{"message":"café"}"#]);
    }

    #[test]
    fn a_format() {
        let format = r#"plain { format => "%{message}-%{n} %{+yyyy} %{none}" }"#;
        assert_eq!(encode(format, &[r#"{"message":"m","n":1.50}"#]), "m-1.5 2026 %{none}");
    }

    #[test]
    fn without_a_format() {
        let host = r#"{"message":"m","host":{"name":"h"}}"#;
        assert_eq!(encode("plain", &[host]), "2026-01-02T03:04:05.678Z {name=h} m");
        assert_eq!(encode("plain", &["{}"]), "2026-01-02T03:04:05.678Z %{host} %{message}");
    }

    #[test]
    fn errors_of_options() {
        let broken = refusal(r#"plain { format => "%{[a}" }"#);
        assert!(broken.contains("Invalid FieldReference: `[a`"), "{broken}");
        let unknown = refusal(r#"plain { charset => "utf-8" }"#);
        assert!(unknown.contains("did you mean \"UTF-8\"?"), "{unknown}");
        let missing = refusal(r#"plain { charset => "EUC-TW" }"#);
        assert!(missing.contains("the charset `EUC-TW` is not built into this program"), "{missing}");
    }
}
