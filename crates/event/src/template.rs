//! `%{…}`: text with fields and times in it (Logstash's sprintf).
//!
//! Parsed once, when a configuration is built. What Logstash only notices when an event comes by (an illegal reference, a
//! broken date pattern) stays an error of rendering here too, but [`Template::problems`] tells of it at once.

use crate::event::Event;
use crate::field_ref::FieldRef;
use ferrostash_joda::{JavaPattern, Locale, Pattern, Timestamp};

/// A parsed template.
#[derive(Clone)]
pub struct Template {
    raw: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Clone)]
enum Part {
    Text(Box<str>),
    /// `%{[a][b]}`, and how it was written: that is what stays when the field is missing.
    Field(FieldRef, Box<str>),
    /// `%{+yyyy.MM.dd}`.
    Joda(Pattern),
    /// `%{{yyyy-MM-dd}}`.
    Java(JavaPattern),
    /// `%{+%s}`.
    EpochSeconds,
    /// `%{{TIME_NOW}}`.
    Now,
    Broken(TemplateError),
}

/// Why a template can't be rendered; displays as Logstash's sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl Template {
    /// Parses a template; every text is one.
    pub fn parse(text: &str) -> Template {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find("%{") {
            let (before, tag) = rest.split_at(at);
            let Some((part, length)) = parse_tag(tag) else { break };
            push_text(&mut parts, before);
            parts.push(part);
            rest = tag.get(length..).unwrap_or_default();
        }
        push_text(&mut parts, rest);
        Template { raw: text.into(), parts: parts.into() }
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The text that every event gets, where the template names no field and no time.
    pub fn as_constant(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The fields it names.
    pub fn fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(field, _) => Some(field),
            _ => None,
        })
    }

    /// What makes every rendering fail.
    pub fn problems(&self) -> impl Iterator<Item = &TemplateError> {
        self.parts.iter().filter_map(|part| match part {
            Part::Broken(error) => Some(error),
            _ => None,
        })
    }

    /// Appends what `event` makes of it.
    pub fn render(&self, event: &Event, out: &mut String) -> Result<(), TemplateError> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(field, tag) => match event.get(field) {
                    Some(value) if !value.is_null() => value.write_sprintf(out),
                    _ => out.push_str(tag),
                },
                Part::Now => Timestamp::now().write_iso8601(out),
                Part::Broken(error) => return Err(error.clone()),
                Part::Joda(_) | Part::Java(_) | Part::EpochSeconds => {
                    // Without @timestamp there is no time to print: nothing, as in Logstash.
                    let Some(timestamp) = event.timestamp() else { continue };
                    part.write_time(timestamp, out)?;
                }
            }
        }
        Ok(())
    }

    /// What `event` makes of it, as a string of its own.
    pub fn to_string(&self, event: &Event) -> Result<String, TemplateError> {
        let mut out = String::with_capacity(self.raw.len() + 16);
        self.render(event, &mut out)?;
        Ok(out)
    }

    /// Whether every field that it names is there (and not null).
    pub fn is_resolved_by(&self, event: &Event) -> bool {
        self.fields().all(|field| event.get(field).is_some_and(|value| !value.is_null()))
    }
}

impl Part {
    fn write_time(&self, timestamp: Timestamp, out: &mut String) -> Result<(), TemplateError> {
        match self {
            Part::Joda(pattern) => pattern.format(timestamp, out),
            Part::Java(pattern) => {
                pattern.format(timestamp, out).map_err(|e| TemplateError(e.to_string()))?
            }
            Part::EpochSeconds => out.push_str(itoa::Buffer::new().format(timestamp.secs())),
            _ => {}
        }
        Ok(())
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
}

/// The part that starts with `%{`, and its length in bytes; `None` where it is not closed.
fn parse_tag(tag: &str) -> Option<(Part, usize)> {
    let inner = tag.get(2..)?;
    if let Some(java) = inner.strip_prefix('{') {
        let end = java.find("}}")?;
        return Some((java_part(java.get(..end)?), end + 5));
    }
    let end = inner.find('}')?;
    let name = inner.get(..end)?;
    let part = match name.strip_prefix('+') {
        Some("%s") => Part::EpochSeconds,
        // An empty name counts as an empty time format.
        None if name.is_empty() => Part::EpochSeconds,
        Some(pattern) => Pattern::new(pattern, Locale::en_us()).map_or_else(broken, Part::Joda),
        None => FieldRef::parse(name)
            .map_or_else(broken, |field| Part::Field(field, tag.get(..end + 3).unwrap_or_default().into())),
    };
    Some((part, end + 3))
}

fn java_part(pattern: &str) -> Part {
    match pattern {
        "TIME_NOW" => Part::Now,
        _ => JavaPattern::new(pattern).map_or_else(broken, Part::Java),
    }
}

fn broken(error: impl std::fmt::Display) -> Part {
    Part::Broken(TemplateError(error.to_string()))
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Template {}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn event() -> Event {
        let mut event = Event::at(Timestamp::from_millis(1_767_323_045_678));
        let fields = Value::Object(vec![("b".into(), Value::Int(1)), ("n".into(), Value::Null)]);
        event.set(&FieldRef::literal("a"), fields).unwrap();
        event.set(&FieldRef::literal("list"), vec!["x", "y"]).unwrap();
        event.set(&FieldRef::literal("f"), 1e10).unwrap();
        event
    }

    fn render(text: &str) -> String {
        Template::parse(text).to_string(&event()).unwrap_or_else(|e| format!("error: {e}"))
    }

    #[test]
    fn fields() {
        assert_eq!(render("<%{[a][b]}> %{list} %{f} %{a}"), "<1> x,y 1.0E10 {\"b\":1,\"n\":null}");
        assert_eq!(render("%{none} %{[a][n]} %{unclosed"), "%{none} %{[a][n]} %{unclosed");
        assert_eq!(render("%{[a}"), "error: Invalid FieldReference: `[a`");
        assert_eq!(Template::parse("%{[a}").problems().count(), 1);
        assert_eq!(Template::parse("plain").as_constant(), Some("plain"));
    }

    #[test]
    fn times() {
        assert_eq!(render("logs-%{+YYYY.MM.dd}"), "logs-2026.01.02");
        assert_eq!(render("%{{yyyy}}/%{+%s}/%{}"), "2026/1767323045/1767323045");
        assert!(render("%{{TIME_NOW}}").ends_with('Z'));
        let mut bare = event();
        bare.remove(&FieldRef::literal("@timestamp"));
        assert_eq!(Template::parse("<%{+yyyy}>").to_string(&bare).unwrap(), "<>");
    }
}
