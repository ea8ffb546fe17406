use std::sync::{Arc, Mutex};

use jiff::civil::date;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::logging::levels::Levels;

/// What the block logs, as text; the time is not part of it.
fn logged(format: LogFormat, level: LogLevel, block: impl FnOnce()) -> String {
    let settings = LogSettings { level, format, fix_duplicate_message_fields: true, folder: None };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let write = move |line: &[u8]| sink.lock().unwrap().extend_from_slice(line);
    let layer = LogLayer::new(&settings, Box::new(write)).with_filter(Levels::new(level));
    tracing::subscriber::with_default(Registry::default().with(layer), block);
    String::from_utf8(lines.lock().unwrap().clone()).unwrap()
}

/// Without the leading `[time]`.
fn untimed(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once(']').unwrap().1).collect()
}

#[test]
fn plain_lines_look_like_logstash() {
    let mut fields = Fields::default();
    fields.message = "Starting pipeline".into();
    fields.params.push(("pipeline_id", Param::Json("main".into())));
    fields.params.push(("pipeline.workers", Param::Json(2.into())));
    fields.pipeline_id = Some("main".into());
    let time = date(2026, 1, 2).at(3, 4, 5, 678_900_000).in_tz("UTC").unwrap();
    let line = Line {
        level: LogLevel::Info,
        logger: "logstash.agent",
        thread: "main",
        time: &time,
        fields: &fields,
    };
    assert_eq!(
        String::from_utf8(line.format(LogFormat::Plain, true)).unwrap(),
        "[2026-01-02T03:04:05,678][INFO ][logstash.agent           ][main] Starting pipeline \
         {pipeline_id: \"main\", \"pipeline.workers\" => 2}\n"
    );
    assert_eq!(
        String::from_utf8(line.format(LogFormat::Json, true)).unwrap(),
        "{\"level\":\"INFO\",\"loggerName\":\"logstash.agent\",\"timeMillis\":1767323045678,\"thread\":\"main\",\
         \"pipeline.id\":\"main\",\"logEvent\":{\"message\":\"Starting pipeline\",\"pipeline_id\":\"main\",\
         \"pipeline.workers\":2}}\n"
    );
}

#[test]
fn spans_give_the_ids() {
    let text = logged(LogFormat::Plain, LogLevel::Info, || {
        let _pipeline = tracing::info_span!("pipeline", pipeline.id = "main", other = 1).entered();
        let _plugin = tracing::info_span!("plugin", plugin.id = "grok_1").entered();
        tracing::warn!(target: "logstash.filters.grok", pattern = "%{X}", "Slow");
    });
    assert_eq!(
        untimed(&text),
        [r#"[WARN ][logstash.filters.grok    ][main][grok_1] Slow {pattern: "%{X}"}"#]
    );
}

#[test]
fn spans_reach_warnings_when_only_errors_are_logged() {
    let text = logged(LogFormat::Plain, LogLevel::Fatal, || {
        let _pipeline = tracing::info_span!("pipeline", pipeline.id = "main").entered();
        tracing::error!(target: "a", "hidden");
        tracing::error!(target: "a", fatal = true, "shown");
    });
    assert_eq!(untimed(&text), ["[FATAL][a                        ][main] shown"]);
}

#[test]
fn values_are_printed_as_ruby_does_and_stay_on_their_line() {
    let text = logged(LogFormat::Plain, LogLevel::Info, || {
        let cause = "line 1\nline 2";
        tracing::info!(target: "a", text = "a\"b\\\n#{x}", cause = %cause, list = ?[1, 2], yes = true, "Hi");
    });
    let expected = r#"{text: "a\"b\\\n\#{x}", cause: line 1\nline 2, list: [1, 2], yes: true}"#;
    assert_eq!(untimed(&text), [format!("[INFO ][a                        ] Hi {expected}")]);
}

#[test]
fn a_clashing_message_is_renamed_in_json() {
    let mut fields = Fields::default();
    fields.message = "Failed".into();
    fields.params.push(("message", Param::Text("why".into())));
    let time = jiff::Zoned::default();
    let line = Line { level: LogLevel::Error, logger: "a", thread: "t", time: &time, fields: &fields };
    let json = |fix| String::from_utf8(line.format(LogFormat::Json, fix)).unwrap();
    assert!(json(true).contains(r#"{"message":"Failed","message_1":"why"}"#), "{}", json(true));
    assert!(json(false).contains(r#"{"message":"Failed","message":"why"}"#), "{}", json(false));
}

#[test]
fn limited_lines_are_held_back() {
    let text = logged(LogFormat::Plain, LogLevel::Info, || {
        for _ in 0..LIMITED_PER_SECOND + 50 {
            tracing::warn!(target: "a", limited = true, "Bad line");
        }
        tracing::warn!(target: "a", "Other");
    });
    let bad = text.matches("Bad line").count();
    // A second may begin in between.
    assert!((LIMITED_PER_SECOND as usize..=2 * LIMITED_PER_SECOND as usize + 1).contains(&bad), "{text}");
    assert!(text.contains("Other"));
}

#[test]
fn the_level_of_a_logger_can_change_while_running() {
    let settings = LogSettings {
        level: LogLevel::Info,
        format: LogFormat::Plain,
        fix_duplicate_message_fields: true,
        folder: None,
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let write = move |line: &[u8]| sink.lock().unwrap().extend_from_slice(line);
    let (levels, handle) = tracing_subscriber::reload::Layer::new(Levels::new(LogLevel::Info));
    let layer = LogLayer::new(&settings, Box::new(write)).with_filter(levels);
    let handle = crate::logging::LogHandle { levels: handle, initial: LogLevel::Info };
    tracing::subscriber::with_default(Registry::default().with(layer), || {
        let log = |text: &'static str| tracing::debug!(target: "logstash.codecs.json", text, "D");
        log("before");
        handle.set_level("logstash.codecs", LogLevel::Debug);
        log("while");
        assert_eq!(handle.levels().len(), 2);
        handle.reset();
        log("after");
    });
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    assert_eq!(untimed(&text), [r#"[DEBUG][logstash.codecs.json     ] D {text: "while"}"#]);
}
