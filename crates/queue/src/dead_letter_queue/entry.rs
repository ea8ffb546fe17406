//! One entry of the queue: an event, and who could not use it and why.

use crate::logstash::{CborError, decode_event, encode_event};
use ferrostash_event::{Event, FieldRef, Timestamp, Value};
use std::sync::LazyLock;

/// Most earlier visits to a dead letter queue that an event remembers; the oldest ones are forgotten.
pub const HISTORY_MAX: usize = 16;
/// Longest reason in the history, in bytes.
const HISTORY_REASON_BYTES_MAX: usize = 1024;

static DEAD_LETTER_QUEUE: LazyLock<FieldRef> = LazyLock::new(|| field("[@metadata][dead_letter_queue]"));
static HISTORY: LazyLock<FieldRef> = LazyLock::new(|| field("[@metadata][dead_letter_queue][history]"));

fn field(name: &str) -> FieldRef {
    FieldRef::parse(name).unwrap_or_else(|_| FieldRef::literal(name))
}

/// An entry of a dead letter queue.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// When it was put there.
    pub entry_time: Timestamp,
    /// The event.
    pub event: Event,
    /// The name of the plugin that could not use it.
    pub plugin_type: String,
    /// That plugin's id.
    pub plugin_id: String,
    /// Why.
    pub reason: String,
}

/// Bytes that are no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A part is missing or cut off.
    #[error("the entry ends within its {0}")]
    Short(&'static str),
    /// The entry's time can't be read.
    #[error("`{0}` is no timestamp")]
    Time(String),
    /// The event can't be read.
    #[error("its event can't be read: {0}")]
    Event(#[from] CborError),
}

/// Writes an entry of now. An event that comes from a dead letter queue takes with it what it was there for.
pub(super) fn encode(event: &Event, plugin_type: &str, plugin_id: &str, reason: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.byte_size() + reason.len() + 128);
    let mut part = |bytes: &[u8]| {
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
    };
    part(Timestamp::now().to_string().as_bytes());
    let mut encoded = Vec::with_capacity(event.byte_size());
    match with_history(event) {
        Some(event) => encode_event(&event, &mut encoded),
        None => encode_event(event, &mut encoded),
    }
    part(&encoded);
    part(plugin_type.as_bytes());
    part(plugin_id.as_bytes());
    part(reason.as_bytes());
    out
}

/// How often an event was in a dead letter queue before, as far as it remembers.
pub fn earlier_visits(event: &Event) -> usize {
    let history = event.get(&HISTORY).and_then(|history| history.as_array()).map_or(0, |list| list.len());
    history + usize::from(event.contains(&DEAD_LETTER_QUEUE))
}

/// The event with its last visit at the end of its history; nothing where it never was in a dead letter queue.
fn with_history(event: &Event) -> Option<Event> {
    let visit = event.get(&DEAD_LETTER_QUEUE)?.as_object()?;
    let mut history: Vec<Value> = match visit.get("history").and_then(|history| history.as_array()) {
        Some(list) => list.iter().map(|visit| visit.to_value()).collect(),
        None => Vec::new(),
    };
    let last = visit.iter().filter(|(name, _)| *name != "history").map(|(name, value)| {
        let value = match value.as_str() {
            Some(text) if text.len() > HISTORY_REASON_BYTES_MAX => {
                let end = text.floor_char_boundary(HISTORY_REASON_BYTES_MAX);
                Value::from(format!("{}…", text.get(..end).unwrap_or_default()))
            }
            _ => value.to_value(),
        };
        (name.to_owned(), value)
    });
    history.push(Value::Object(last.collect()));
    history.drain(..history.len().saturating_sub(HISTORY_MAX));
    let mut event = event.clone();
    event.remove(&DEAD_LETTER_QUEUE);
    event.set(&HISTORY, Value::Array(history)).ok()?;
    Some(event)
}

impl DeadLetter {
    /// Reads an entry.
    ///
    /// # Errors
    /// [`EntryError`] when the bytes are no entry.
    pub fn decode(bytes: &[u8]) -> Result<DeadLetter, EntryError> {
        let (entry_time, event, [plugin_type, plugin_id, reason]) = parts(bytes)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(DeadLetter {
            entry_time,
            event: decode_event(event)?,
            plugin_type: text(plugin_type),
            plugin_id: text(plugin_id),
            reason: text(reason),
        })
    }

    /// The event as the input `dead_letter_queue` gives it: with what it was there for in `[@metadata][dead_letter_queue]`.
    pub fn into_event(self) -> Event {
        let mut event = self.event;
        let values = [
            ("plugin_type", Value::from(self.plugin_type)),
            ("plugin_id", Value::from(self.plugin_id)),
            ("reason", Value::from(self.reason)),
            ("entry_time", Value::from(self.entry_time)),
        ];
        for (name, value) in values {
            // Only a value that is no hash can stand in the way.
            if event.set(&DEAD_LETTER_QUEUE.child(name), value.clone()).is_err() {
                event.remove(&DEAD_LETTER_QUEUE);
                let _ = event.set(&DEAD_LETTER_QUEUE.child(name), value);
            }
        }
        event
    }
}

/// The time of an entry, without a look at its event.
pub(super) fn entry_time(bytes: &[u8]) -> Option<Timestamp> {
    parts(bytes).ok().map(|(time, ..)| time)
}

type Parts<'a> = (Timestamp, &'a [u8], [&'a [u8]; 3]);

fn parts(bytes: &[u8]) -> Result<Parts<'_>, EntryError> {
    let mut rest = bytes;
    let mut part = |name: &'static str| {
        let (length, behind) = rest.split_at_checked(4).ok_or(EntryError::Short(name))?;
        let length = length.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
        let (part, behind) = behind.split_at_checked(length).ok_or(EntryError::Short(name))?;
        rest = behind;
        Ok::<_, EntryError>(part)
    };
    let time = String::from_utf8_lossy(part("time")?).into_owned();
    let entry_time = Timestamp::parse(&time).ok_or(EntryError::Time(time))?;
    let event = part("event")?;
    Ok((entry_time, event, [part("plugin type")?, part("plugin id")?, part("reason")?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back() {
        let event = Event::from_message("hi", Timestamp::EPOCH);
        let bytes = encode(&event, "elasticsearch", "es", "no");
        let letter = DeadLetter::decode(&bytes).unwrap();
        assert_eq!(
            (&*letter.plugin_type, &*letter.plugin_id, &*letter.reason),
            ("elasticsearch", "es", "no")
        );
        assert_eq!(Some(letter.entry_time), entry_time(&bytes));
        for cut in 0..bytes.len() {
            assert!(DeadLetter::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let event = letter.into_event();
        assert_eq!(event.get_str(&field("[@metadata][dead_letter_queue][reason]")), Some("no"));
        assert_eq!(event.get_str(&field("message")), Some("hi"));
    }

    #[test]
    fn an_event_keeps_the_history_of_its_visits_within_bounds() {
        let mut event = Event::from_message("hi", Timestamp::EPOCH);
        for visit in 0..HISTORY_MAX + 3 {
            let reason = format!("visit {visit} {}", "x".repeat(2000));
            let bytes = encode(&event, "elasticsearch", "es", &reason);
            event = DeadLetter::decode(&bytes).unwrap().into_event();
            assert_eq!(earlier_visits(&event), (visit + 1).min(HISTORY_MAX + 1));
        }
        let history = event.get(&HISTORY).unwrap().as_array().unwrap();
        let first = history.get(0).unwrap().as_object().unwrap();
        let reason = first.get("reason").unwrap().as_str().unwrap();
        assert!(reason.starts_with("visit 2 x") && reason.len() < 1100, "{reason}");
        assert!(first.get("entry_time").is_some() && first.get("history").is_none());
        assert_eq!(event.get_str(&field("[@metadata][dead_letter_queue][plugin_id]")), Some("es"));
    }
}
