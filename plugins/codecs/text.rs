//! Events of text, and text of events: what the codecs without a format of their own share.

use ferrostash_conf::Spanned;
use ferrostash_event::{Event, FieldRef, Template, Timestamp};
use ferrostash_plugin::{BuildContext, BuildResult, CodecFailures, Ecs, EncodeError, EventSink};

/// The tag of what a codec was given that can only write.
const DECODE_FAILURE_TAG: &str = "_codecdecodefailure";

/// Makes events that carry a text in `message`.
#[derive(Clone)]
pub(crate) struct TextEvents {
    message: FieldRef,
    original: Option<FieldRef>,
}

impl TextEvents {
    pub(crate) fn new(ecs: Ecs) -> TextEvents {
        TextEvents { message: FieldRef::literal("message"), original: original_field(ecs) }
    }

    /// The event of `text`; in ECS mode `[event][original]` is the same text, not a copy of it.
    pub(crate) fn event(&self, text: &str, now: Timestamp) -> Event {
        let mut event = Event::from_message(text, now);
        if let (Some(original), Some(span)) = (&self.original, event.str_span(&self.message)) {
            // Nothing is in the way of a field of an event this new.
            let _ = event.set_slice(original, span);
        }
        event
    }
}

/// `[event][original]` in ECS mode.
pub(crate) fn original_field(ecs: Ecs) -> Option<FieldRef> {
    ecs.pick(None, Some(FieldRef::literal("event").child("original")))
}

/// How an event is written as text: the option `format`, or time, host and message.
#[derive(Clone)]
pub(crate) struct TextFormat {
    format: Option<Template>,
    host: FieldRef,
    message: FieldRef,
    scratch: String,
}

impl TextFormat {
    pub(crate) fn new(
        format: Option<Spanned<Template>>,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<TextFormat> {
        if let Some(Spanned { value, span }) = &format
            && let Some(problem) = value.problems().next()
        {
            return Err(cx.refuse_at(*span, format!("the format can never be written: {problem}")));
        }
        Ok(TextFormat { format: format.map(|format| format.value), ..TextFormat::default() })
    }

    /// Appends the text of `event`.
    pub(crate) fn write(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.scratch.clear();
        match &self.format {
            Some(format) => {
                format.render(event, &mut self.scratch).map_err(|e| EncodeError(e.to_string()))?;
            }
            None => self.write_summary(event),
        }
        out.extend_from_slice(self.scratch.as_bytes());
        Ok(())
    }

    /// Logstash's `Event#to_s`.
    fn write_summary(&mut self, event: &Event) {
        let out = &mut self.scratch;
        if let Some(timestamp) = event.timestamp() {
            timestamp.write_iso8601(out);
            out.push(' ');
        }
        for (i, (field, name)) in [(&self.host, "%{host}"), (&self.message, "%{message}")].iter().enumerate()
        {
            out.push_str(if i > 0 { " " } else { "" });
            match event.get(field) {
                Some(value) if !value.is_null() => value.write_java(out),
                _ => out.push_str(name),
            }
        }
    }
}

impl Default for TextFormat {
    fn default() -> TextFormat {
        TextFormat {
            format: None,
            host: FieldRef::literal("host"),
            message: FieldRef::literal("message"),
            scratch: String::new(),
        }
    }
}

/// What a codec that can only write makes of data: an event that keeps it. Logstash raises an error.
pub(crate) fn keep_undecodable(
    codec: &'static str,
    data: &[u8],
    failures: &CodecFailures,
    sink: &mut EventSink<'_>,
) {
    tracing::warn!(limited = true, codec, "this codec only writes: its input is kept as text");
    let mut event = Event::from_message(&String::from_utf8_lossy(data), Timestamp::now());
    failures.fail(&mut event, DECODE_FAILURE_TAG, format_args!("the codec {codec} only writes"));
    sink(event);
}
