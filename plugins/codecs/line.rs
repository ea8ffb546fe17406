//! `line`: each line of a stream is an event.

use crate::charset::Charset;
use crate::text::{TextEvents, TextFormat};
use ferrostash_conf::{Options, Spanned};
use ferrostash_event::{Event, Template, Timestamp};
use ferrostash_plugin::framing::{Frame, LineFramer};
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecPlugin, EncodeError, EventSink, LineEventSink, Lines, PluginDef,
    codec,
};
use std::num::NonZeroUsize;

/// Longest line, in bytes, that is read whole. What follows up to the delimiter is thrown away.
pub(crate) const LINE_BYTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add((32 << 20) - 1);
/// The tag of an event whose line was cut.
pub(crate) const CUT_TAG: &str = "_linetoolong";

/// Takes each line as the text of one event, and writes events as lines.
///
/// The last line of a stream needs no delimiter. A carriage return before the delimiter belongs to the line. A line of
/// more than 32 MiB is cut there, and the event is tagged `_linetoolong`. With ECS the text is also in
/// `[event][original]`.
///
/// ```conf
/// line { delimiter => "|" format => "%{message}" }
/// ```
#[derive(Options, Clone)]
#[plugin(codec = "line")]
pub(crate) struct LineOptions {
    /// How events are written; without it, time, host and message with blanks between them. Not used for reading.
    format: Option<Spanned<Template>>,
    /// The charset of what is read. Writing is always UTF-8.
    #[option(default = "UTF-8")]
    charset: Charset,
    /// What stands behind each line, in both directions. When it is empty, data is read as it comes.
    #[option(default = "\n")]
    delimiter: String,
}

pub(crate) static PLUGIN: PluginDef = codec::<Line>();

#[derive(Clone)]
struct Line {
    reader: LineReader,
    events: TextEvents,
    format: TextFormat,
    delimiter: Box<str>,
}

impl CodecPlugin for Line {
    type Options = LineOptions;

    fn build(options: LineOptions, cx: &mut BuildContext<'_>) -> BuildResult<Line> {
        Ok(Line {
            reader: LineReader::new(options.charset, &options.delimiter, LINE_BYTES_MAX),
            events: TextEvents::new(cx.ecs),
            format: TextFormat::new(options.format, cx)?,
            delimiter: options.delimiter.into(),
        })
    }
}

impl Codec for Line {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        let (events, now) = (&self.events, Timestamp::now());
        self.reader.read(data, |text, cut| sink(line_event(events, text, cut, now)));
    }

    fn flush(&mut self, sink: &mut EventSink<'_>) {
        let events = &self.events;
        self.reader.finish(|text, cut| sink(line_event(events, text, cut, Timestamp::now())));
    }

    fn lines(&self) -> Option<LineFramer> {
        self.reader.framer()
    }

    fn decode_lines(&mut self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        let events = &self.events;
        self.reader.read_lines(lines, |number, text, cut| sink(number, line_event(events, text, cut, now)));
    }

    fn pending_bytes(&self) -> usize {
        self.reader.pending_bytes()
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.format.write(event, out)?;
        out.extend_from_slice(self.delimiter.as_bytes());
        Ok(())
    }
}

fn line_event(events: &TextEvents, text: &str, cut: bool, now: Timestamp) -> Event {
    let mut event = events.event(text, now);
    if cut {
        event.tag(CUT_TAG);
    }
    event
}

/// The lines of one stream, as text.
#[derive(Clone)]
pub(crate) struct LineReader {
    charset: Charset,
    /// None where the delimiter is empty: then nothing can be held back either.
    framer: Option<LineFramer>,
}

impl LineReader {
    pub(crate) fn new(charset: Charset, delimiter: &str, limit_bytes: NonZeroUsize) -> LineReader {
        LineReader { charset, framer: LineFramer::new(delimiter.as_bytes(), limit_bytes).ok() }
    }

    /// Calls `line` with the text of each line that `data` completes, and whether it was cut.
    pub(crate) fn read(&mut self, data: &[u8], mut line: impl FnMut(&str, bool)) {
        let LineReader { charset, framer } = self;
        match framer {
            Some(framer) => framer.push(data, |frame| give(charset, frame, &mut line)),
            None if data.is_empty() => {}
            None => line(&charset.decode(data), false),
        }
    }

    /// Calls `line` with the number and the text of each line, and whether it was cut.
    pub(crate) fn read_lines(&self, lines: Lines<'_>, mut line: impl FnMut(usize, &str, bool)) {
        match lines.are_cut {
            false => self.charset.decode_lines(lines, |number, text| line(number, text, false)),
            true => lines.iter().enumerate().for_each(|(number, bytes)| {
                let frame = Frame { bytes, truncated: true };
                give(&self.charset, frame, &mut |text, cut| line(number, text, cut));
            }),
        }
    }

    /// How the stream is cut into lines; `None` where it is not.
    pub(crate) fn framer(&self) -> Option<LineFramer> {
        self.framer.clone()
    }

    /// Calls `line` with what came behind the last delimiter. The reader is as new afterwards.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(&str, bool)) {
        let LineReader { charset, framer } = self;
        if let Some(framer) = framer {
            framer.finish(|frame| give(charset, frame, &mut line));
        }
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.framer.as_ref().map_or(0, LineFramer::pending_bytes)
    }
}

fn give(charset: &Charset, frame: Frame<'_>, line: &mut impl FnMut(&str, bool)) {
    if frame.truncated {
        tracing::warn!(limited = true, kept_bytes = frame.bytes.len(), "a line is too long and was cut");
        line(&charset.decode_cut(frame.bytes), true);
    } else {
        line(&charset.decode(frame.bytes), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PLUGINS;
    use crate::tests::{decode, encode, legacy};
    use ferrostash_plugin::testing::Harness;
    use proptest::prelude::*;

    fn messages<B: AsRef<[u8]>>(codec: &str, pieces: &[B]) -> Vec<String> {
        let cut = |json: String| {
            json.strip_prefix(r#"{"message":""#).unwrap().strip_suffix("\"}").unwrap().to_owned()
        };
        decode(&legacy(), codec, pieces).into_iter().map(cut).collect()
    }

    #[test]
    fn a_line_is_an_event() {
        assert_eq!(messages("line", &["a\n\nb\r\n"]), ["a", "", "b\\r"]);
        assert_eq!(messages("line", &["a", "b\nc", "\nd", ""]), ["ab", "c", "d"]);
        assert_eq!(messages("line", &[""]), [""; 0]);
        let ecs = decode(&Harness::new(PLUGINS), "line", &["a\n"]);
        assert_eq!(ecs, [r#"{"message":"a","event":{"original":"a"}}"#]);
    }

    #[test]
    fn delimiters() {
        assert_eq!(
            messages(r#"line { delimiter => "<EOL>" }"#, &["a<EOL>b<EO<E", "OL>c\nd"]),
            ["a", "b<EO", "c\\nd"]
        );
        assert_eq!(messages(r#"line { delimiter => "" }"#, &["a\n", "", "b"]), ["a\\n", "b"]);
        assert_eq!(
            encode(r#"line { delimiter => "||" format => "%{message}" }"#, &[r#"{"message":"a"}"#]),
            "a||"
        );
        assert_eq!(encode(r#"line { format => "%{n}" }"#, &[r#"{"n":1}"#, r#"{"n":2}"#]), "1\n2\n");
    }

    #[test]
    fn a_line_of_other_bytes() {
        let lines = messages("line", &[b"good\nbad \xff\nfine\n"]);
        assert_eq!(lines, ["good", r"bad \\xFF", "fine"]);
        assert_eq!(messages(r#"line { charset => "ISO-8859-15" }"#, &[b"\xa4\n"]), ["€"]);
    }

    #[test]
    fn what_is_kept_is_counted_and_bounded() {
        let utf8 =
            <Charset as ferrostash_conf::FromConf>::convert(&ferrostash_conf::ConfValue::text("UTF-8"))
                .unwrap();
        let mut reader = LineReader::new(utf8, "\n", NonZeroUsize::new(4).unwrap());
        let mut lines = Vec::new();
        let mut line = |text: &str, cut: bool| lines.push((text.to_owned(), cut));
        reader.read(b"ab", &mut line);
        assert_eq!(reader.pending_bytes(), 2);
        reader.read("cé and more".as_bytes(), &mut line);
        reader.read(b" still\nnext\n", &mut line);
        reader.finish(&mut line);
        assert_eq!(lines, [("abc".to_owned(), true), ("next".to_owned(), false)]);
    }

    #[test]
    fn a_cut_line_is_tagged() {
        let long = vec![b'x'; LINE_BYTES_MAX.get() + 1];
        let mut codec = legacy().codec("line").unwrap();
        let mut sizes = Vec::new();
        codec.decode(&long, &mut |event| {
            let tags = event.get(&ferrostash_event::FieldRef::literal("tags")).unwrap().to_value();
            sizes.push((event.byte_size() > LINE_BYTES_MAX.get(), tags));
        });
        assert_eq!(sizes, [(true, vec![CUT_TAG].into())]);
    }

    proptest! {
        #[test]
        fn cuts_of_the_stream_do_not_matter(text in "[ab|\n]{0,40}", cut in 0usize..40) {
            let (head, tail) = text.split_at(cut.min(text.len()));
            for codec in ["line", r#"line { delimiter => "a|" }"#] {
                prop_assert_eq!(messages(codec, &[head, tail]), messages(codec, &[&text]));
            }
        }
    }
}
