//! `multiline`: lines that belong together are one event.
//!
//! A message is split into lines, and each line is matched against the pattern. A line that matches goes with the line
//! before it or with the next one; an event leaves as soon as it is known to be complete, is too large, or the stream
//! has been silent for a while.

use crate::charset::Charset;
use crate::text::{TextEvents, TextFormat};
use ferrostash_conf::{Bytes, OptionEnum, Options, Spanned};
use ferrostash_event::{Event, Timestamp};
use ferrostash_grok::{Grok, PatternLibrary, Regex};
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecPlugin, EncodeError, EventSink, PluginDef, codec,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LINES_TAG: &str = "multiline_codec_max_lines_reached";
const BYTES_TAG: &str = "multiline_codec_max_bytes_reached";
/// Capacity that survives a large event; more is given back to the allocator.
const KEPT_CAPACITY_BYTES: usize = 64 * 1024;

/// Joins lines that belong together, such as a stack trace, into one event.
///
/// Events of more than one line are tagged `multiline`. One that reaches `max_lines` or `max_bytes` is passed on as it
/// is, with a tag that says so; the rest of its lines make another event. With ECS the text is also in
/// `[event][original]`.
///
/// ```conf
/// multiline { pattern => "^%{TIMESTAMP_ISO8601} " negate => true what => "previous" auto_flush_interval => 5 }
/// ```
#[derive(Options, Clone)]
#[plugin(codec = "multiline")]
pub(crate) struct MultilineOptions {
    /// The regular expression that lines are matched against; it may use grok's patterns.
    #[option(required)]
    pattern: Spanned<String>,
    /// What a line that matches belongs to.
    #[option(required)]
    what: What,
    /// Whether lines that do not match are meant.
    #[option(default = false)]
    negate: bool,
    /// Directories, or globs, with files of more grok patterns.
    #[option(default = [])]
    patterns_dir: Vec<String>,
    /// The charset of what is read. Writing is always UTF-8.
    #[option(default = "UTF-8")]
    charset: Charset,
    /// The tag of events of more than one line; none when it is empty.
    #[option(default = "multiline")]
    multiline_tag: String,
    /// Lines that an event may have before it is passed on.
    #[option(default = 500)]
    max_lines: u64,
    /// Bytes that an event may have before it is passed on.
    #[option(default = "10 MiB")]
    max_bytes: Bytes,
    /// Seconds of silence after which an event is taken as complete.
    auto_flush_interval: Option<Spanned<f64>>,
}

/// What a line that matches belongs to.
#[derive(OptionEnum, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The line before it.
    Previous,
    /// The line behind it.
    Next,
}

pub(crate) static PLUGIN: PluginDef = codec::<Multiline>();

#[derive(Clone)]
struct Multiline {
    lines: Lines,
    charset: Charset,
    format: TextFormat,
    idle: Option<Duration>,
}

impl CodecPlugin for Multiline {
    type Options = MultilineOptions;

    fn build(options: MultilineOptions, cx: &mut BuildContext<'_>) -> BuildResult<Multiline> {
        let library = library(&options.patterns_dir, cx)?;
        let grok = Grok::compile(&library, &options.pattern.value, true)
            .map_err(|error| cx.refuse_at(options.pattern.span, error.to_string()))?;
        let engine = grok.regex().engine();
        cx.log_pattern(&options.pattern.value, engine.name(), engine.reason());
        let idle = options.auto_flush_interval.map(|Spanned { value, span }| {
            Duration::try_from_secs_f64(value)
                .map_err(|_| cx.refuse_at(span, "auto_flush_interval must be a number of seconds"))
        });
        Ok(Multiline {
            idle: idle.transpose()?,
            lines: Lines {
                regex: grok.regex().clone(),
                negate: options.negate,
                what: options.what,
                tag: options.multiline_tag.into(),
                max_lines: options.max_lines,
                max_bytes: options.max_bytes.0,
                events: TextEvents::new(cx.ecs),
                text: String::new(),
                count: 0,
            },
            charset: options.charset,
            format: TextFormat::default(),
        })
    }
}

/// The legacy patterns, which Logstash gives this codec in every mode, and those of the option.
fn library(patterns_dir: &[String], cx: &mut BuildContext<'_>) -> BuildResult<PatternLibrary> {
    let mut library = PatternLibrary::legacy();
    for entry in patterns_dir {
        let files = pattern_files(entry)
            .map_err(|problem| cx.refuse(format!("patterns_dir `{entry}`: {problem}")))?;
        if files.is_empty() {
            cx.warn(format!("patterns_dir `{entry}`: there is no file"));
        }
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            let added = text.and_then(|text| library.add_text(&text).map_err(|error| error.to_string()));
            added.map_err(|problem| cx.refuse(format!("pattern file {}: {problem}", file.display())))?;
        }
    }
    Ok(library)
}

/// The files of a directory, or those that a glob names, in the order of their names.
fn pattern_files(entry: &str) -> Result<Vec<PathBuf>, String> {
    let pattern = if Path::new(entry).is_dir() {
        format!("{}/*", glob::Pattern::escape(entry.trim_end_matches('/')))
    } else {
        entry.to_owned()
    };
    let found = glob::glob(&pattern).map_err(|error| error.to_string())?;
    let files: Result<Vec<PathBuf>, _> = found.collect();
    let mut files = files.map_err(|error| error.to_string())?;
    files.retain(|path| path.is_file());
    Ok(files)
}

impl Codec for Multiline {
    /// `data` is one or more whole lines.
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        let text = self.charset.decode(data);
        let text = text.trim_end_matches('\n');
        if !text.is_empty() {
            let now = Timestamp::now();
            text.split('\n').for_each(|line| self.lines.take(line, now, sink));
        }
    }

    fn takes_lines(&self) -> bool {
        true
    }

    fn flush(&mut self, sink: &mut EventSink<'_>) {
        self.lines.give(Timestamp::now(), sink);
    }

    fn idle_flush(&self) -> Option<Duration> {
        self.idle
    }

    fn pending_bytes(&self) -> usize {
        self.lines.text.len()
    }

    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.format.write(event, out)
    }
}

/// The lines of an event that is not complete, and the rules by which it gets complete.
#[derive(Clone)]
struct Lines {
    regex: Regex,
    negate: bool,
    what: What,
    tag: Box<str>,
    max_lines: u64,
    max_bytes: u64,
    events: TextEvents,
    /// The lines so far, with newlines between them.
    text: String,
    count: u64,
}

impl Lines {
    fn take(&mut self, line: &str, now: Timestamp, sink: &mut EventSink<'_>) {
        let belongs = self.matches(line) != self.negate;
        match self.what {
            What::Previous => {
                if !belongs || self.too_many_lines() || self.too_many_bytes() {
                    self.give(now, sink);
                }
                self.add(line);
            }
            What::Next => {
                self.add(line);
                if !belongs || self.too_many_lines() || self.too_many_bytes() {
                    self.give(now, sink);
                }
            }
        }
    }

    fn matches(&self, line: &str) -> bool {
        self.regex.is_match(line).unwrap_or_else(|error| {
            tracing::warn!(limited = true, %error, "the pattern was given up on a line");
            false
        })
    }

    fn add(&mut self, line: &str) {
        if self.count > 0 {
            self.text.push('\n');
        }
        self.text.push_str(line);
        self.count += 1;
    }

    fn too_many_lines(&self) -> bool {
        self.count > self.max_lines
    }

    /// Newlines between the lines are not counted.
    fn too_many_bytes(&self) -> bool {
        self.text.len() as u64 - self.count.saturating_sub(1) >= self.max_bytes
    }

    fn give(&mut self, now: Timestamp, sink: &mut EventSink<'_>) {
        if self.count == 0 {
            return;
        }
        let mut event = self.events.event(&self.text, now);
        let tags = [
            (self.count > 1 && !self.tag.is_empty(), &*self.tag),
            (self.too_many_bytes(), BYTES_TAG),
            (self.too_many_lines(), LINES_TAG),
        ];
        tags.iter().filter(|(applies, _)| *applies).for_each(|(_, tag)| event.tag(tag));
        self.count = 0;
        self.text.clear();
        self.text.shrink_to(KEPT_CAPACITY_BYTES);
        sink(event);
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use crate::tests::{decode, encode, legacy, refusal};
    use ferrostash_plugin::testing::Harness;
    use std::time::Duration;

    /// Messages with their tags behind a bar.
    fn events<B: AsRef<[u8]>>(options: &str, pieces: &[B]) -> Vec<String> {
        let short = |json: String| {
            json.replace(r#"{"message":""#, "").replace(r#"","tags":["#, "|").replace(['"', '}', ']'], "")
        };
        decode(&legacy(), &format!("multiline {{ {options} }}"), pieces).into_iter().map(short).collect()
    }

    const TRACE: &str = "Error: boom\n\tat a\n\tat b\nCaused by: x\n\t... 3 more\nnext\n";

    #[test]
    fn lines_that_belong_to_the_one_before() {
        assert_eq!(
            events(r#"pattern => "^\s" what => "previous""#, &[TRACE]),
            [r"Error: boom\n\tat a\n\tat b|multiline", r"Caused by: x\n\t... 3 more|multiline", "next"]
        );
        assert_eq!(
            events(
                r#"pattern => "^\d{4} " negate => true what => previous"#,
                &["lost", "2024 a", "b\n\nc", "2024 d\n"]
            ),
            ["lost", r"2024 a\nb\n\nc|multiline", "2024 d"]
        );
    }

    #[test]
    fn lines_that_belong_to_the_next() {
        assert_eq!(
            events(r#"pattern => "\\$" what => "next" multiline_tag => "ml""#, &["a\\\nb\\\nc\nd\ne\\\n"]),
            [r"a\\\nb\\\nc|ml", "d", r"e\\"]
        );
    }

    #[test]
    fn limits() {
        let lines = ["a", " 1", " 2", " 3", " 4", " 5", "b"];
        assert_eq!(
            events(r#"pattern => "^ " what => "previous" max_lines => 3"#, &lines),
            [r"a\n 1\n 2\n 3|multiline,multiline_codec_max_lines_reached", r" 4\n 5|multiline", "b"]
        );
        assert_eq!(
            events(r#"pattern => "^ " what => "previous" max_bytes => 5 multiline_tag => """#, &lines),
            [
                r"a\n 1\n 2|multiline_codec_max_bytes_reached",
                r" 3\n 4\n 5|multiline_codec_max_bytes_reached",
                "b"
            ]
        );
        assert_eq!(
            events(r#"pattern => "x" what => "next" max_lines => 0"#, &["x\nx"]),
            ["x|multiline_codec_max_lines_reached"; 2]
        );
    }

    #[test]
    fn patterns_of_grok() {
        let lines = "2024-03-05T10:11:12Z one\n tail\n2024-03-05 10:11 two";
        assert_eq!(
            events(r#"pattern => "^%{TIMESTAMP_ISO8601} " negate => true what => "previous""#, &[lines]),
            [r"2024-03-05T10:11:12Z one\n tail|multiline", "2024-03-05 10:11 two"]
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "START <\\d+>\n").unwrap();
        let mine = format!(
            r#"pattern => "^%{{START}}" negate => true what => "previous" patterns_dir => ["{}"]"#,
            folder.path().display()
        );
        assert_eq!(events(&mine, &["<1> a\nb\n<2> c"]), [r"<1> a\nb|multiline", "<2> c"]);
    }

    #[test]
    fn charset_and_ecs() {
        let latin = r#"multiline { pattern => "^ " what => "previous" charset => "ISO-8859-1" }"#;
        assert_eq!(
            decode(&Harness::new(PLUGINS), latin, &[b"\xe9\n b\n"]),
            [r#"{"message":"é\n b","event":{"original":"é\n b"},"tags":["multiline"]}"#]
        );
    }

    #[test]
    fn silence() {
        let codec = |options| {
            legacy().codec(&format!(r#"multiline {{ pattern => "x" what => "previous" {options} }}"#))
        };
        assert_eq!(codec("").unwrap().idle_flush(), None);
        let mut codec = codec("auto_flush_interval => 0.5").unwrap();
        assert_eq!(codec.idle_flush(), Some(Duration::from_millis(500)));
        codec.decode(b"abc", &mut |_| {});
        assert_eq!(codec.pending_bytes(), 3);
        codec.flush(&mut |_| {});
        assert_eq!(codec.pending_bytes(), 0);
    }

    #[test]
    fn errors_of_options() {
        assert!(refusal("multiline {}").contains("needs the option `pattern`"));
        assert!(refusal(r#"multiline { pattern => "%{NOPE}" what => "next" }"#).contains("NOPE"));
        assert!(refusal(r#"multiline { pattern => "(" what => "next" }"#).contains("pattern"));
        assert!(
            refusal(r#"multiline { pattern => "a" what => "last" }"#).contains(r#"["previous", "next"]"#)
        );
        let negative = refusal(r#"multiline { pattern => "a" what => "next" auto_flush_interval => -1 }"#);
        assert!(negative.contains("must be a number of seconds"), "{negative}");
    }

    #[test]
    fn writing_is_the_text_of_the_event() {
        let codec = r#"multiline { pattern => "a" what => "next" }"#;
        assert_eq!(encode(codec, &[r#"{"message":"m"}"#]), "2026-01-02T03:04:05.678Z %{host} m");
    }
}
