//! One log line, plain or JSON.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use serde_json::Value;
use tracing::field::{Field, Visit};

use super::{LogFormat, LogLevel};

/// The fields of an event or span, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: String,
    has_message: bool,
    /// Of a span only the ids are of interest, of an event they are parameters like any other.
    is_span: bool,
    pub(crate) params: Vec<(&'static str, Param)>,
    pub(crate) pipeline_id: Option<String>,
    pub(crate) plugin_id: Option<String>,
}

/// The value of a parameter.
#[derive(Clone, Debug)]
pub(crate) enum Param {
    Json(Value),
    /// What `Debug` or `Display` gave: printed as it is.
    Text(String),
}

impl Fields {
    pub(crate) fn of_span() -> Self {
        Self { is_span: true, ..Self::default() }
    }

    fn put(&mut self, field: &Field, value: Param) {
        let id = |value: Param| match value {
            Param::Json(Value::String(text)) | Param::Text(text) => text,
            Param::Json(other) => other.to_string(),
        };
        match field.name() {
            // A second one is a parameter that happens to have this name.
            "pipeline.id" if self.is_span => self.pipeline_id = Some(id(value)),
            "plugin.id" if self.is_span => self.plugin_id = Some(id(value)),
            _ if self.is_span => {}
            "message" if !self.has_message => {
                self.has_message = true;
                self.message = id(value);
            }
            "fatal" | "limited" => {}
            // Where a library that uses `log` was built says nothing to anybody.
            "log.target" | "log.module_path" | "log.file" | "log.line" => {}
            name => self.params.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Param::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Param::Json(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Param::Json(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Param::Json(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Param::Json(value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Param::Json(value.into()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, Param::Json(value.to_string().into()));
    }
}

/// All that a line shows.
pub(crate) struct Line<'a> {
    pub(crate) level: LogLevel,
    pub(crate) logger: &'a str,
    pub(crate) thread: &'a str,
    pub(crate) time: &'a jiff::Zoned,
    pub(crate) fields: &'a Fields,
}

impl Line<'_> {
    /// The line with its end.
    pub(crate) fn format(&self, format: LogFormat, fix_duplicate_message: bool) -> Vec<u8> {
        match format {
            LogFormat::Plain => self.plain().into_bytes(),
            LogFormat::Json => self.json(fix_duplicate_message),
        }
    }

    fn plain(&self) -> String {
        let time = self.time.strftime("%Y-%m-%dT%H:%M:%S,%3f");
        let level = self.level.as_str().to_ascii_uppercase();
        let mut line = format!("[{time}][{level:<5}][{:<25}]", self.logger);
        for id in [&self.fields.pipeline_id, &self.fields.plugin_id].into_iter().flatten() {
            line.push('[');
            push_one_line(&mut line, id);
            line.push(']');
        }
        line.push(' ');
        line.push_str(&self.fields.message);
        for (nr, (name, value)) in self.fields.params.iter().enumerate() {
            line.push_str(if nr == 0 { " {" } else { ", " });
            push_name(&mut line, name);
            match value {
                Param::Json(value) => push_inspected(&mut line, value),
                Param::Text(text) => push_one_line(&mut line, text),
            }
        }
        line.push_str(if self.fields.params.is_empty() { "\n" } else { "}\n" });
        line
    }

    fn json(&self, fix_duplicate_message: bool) -> Vec<u8> {
        // Written by hand because Logstash's order counts, and because a name may come twice when nobody fixes it.
        let mut line = Vec::with_capacity(256);
        let level = self.level.as_str().to_ascii_uppercase();
        let _ = write!(line, "{{\"level\":\"{level}\",\"loggerName\":");
        push_json(&mut line, &self.logger.into());
        let _ = write!(line, ",\"timeMillis\":{},\"thread\":", self.time.timestamp().as_millisecond());
        push_json(&mut line, &self.thread.into());
        let ids = [("pipeline.id", &self.fields.pipeline_id), ("plugin.id", &self.fields.plugin_id)];
        for (name, id) in ids.into_iter().filter_map(|(name, id)| Some((name, id.as_deref()?))) {
            let _ = write!(line, ",\"{name}\":");
            push_json(&mut line, &id.into());
        }
        line.extend_from_slice(b",\"logEvent\":{\"message\":");
        push_json(&mut line, &self.fields.message.as_str().into());
        for (name, value) in &self.fields.params {
            line.push(b',');
            let name = if *name == "message" && fix_duplicate_message { "message_1" } else { name };
            push_json(&mut line, &name.into());
            line.push(b':');
            match value {
                Param::Json(value) => push_json(&mut line, value),
                Param::Text(text) => push_json(&mut line, &text.as_str().into()),
            }
        }
        line.extend_from_slice(b"}}\n");
        line
    }
}

fn push_json(line: &mut Vec<u8>, value: &Value) {
    // Writing JSON values into memory can't fail.
    let _ = serde_json::to_writer(line, value);
}

/// As Ruby prints a hash: `name: ` for a plain symbol, `"a.b" => ` for other keys.
fn push_name(line: &mut String, name: &str) {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let _ = if plain { write!(line, "{name}: ") } else { write!(line, "\"{name}\" => ") };
}

fn push_inspected(line: &mut String, value: &Value) {
    let Value::String(text) = value else {
        let _ = if value.is_null() { write!(line, "nil") } else { write!(line, "{value}") };
        return;
    };
    line.push('"');
    for (at, c) in text.char_indices() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '#' if text.get(at + 1..).is_some_and(|rest| rest.starts_with(['{', '$', '@'])) => {
                line.push_str("\\#")
            }
            c => push_escaped(line, c),
        }
    }
    line.push('"');
}

/// A value from outside must not be able to begin a line of its own.
fn push_one_line(line: &mut String, text: &str) {
    text.chars().for_each(|c| push_escaped(line, c));
}

fn push_escaped(line: &mut String, c: char) {
    match c {
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        '\u{1b}' => line.push_str("\\e"),
        c if c.is_control() => {
            let _ = write!(line, "\\x{:02X}", u32::from(c));
        }
        c => line.push(c),
    }
}
