//! Events as bytes, for queues on disk.
//!
//! A record holds the events of one chunk. Names of fields are written once per record and then by number; the text of an
//! event is copied as it lies in memory, values are pairs of offsets into it. What comes back is the same event: kinds and
//! digits of numbers, order of fields, `@metadata`, origin.
//!
//! ```text
//! record  = version:u8 event*
//! event   = flags:u8 [origin: 16 bytes] text_len text members(fields) members(@metadata)
//! members = count (name value)*
//! name    = 0 len bytes          a name that gets the next number
//!         | 1 start len          a place in the event's text
//!         | number + 2
//! value   = kind:u8 what belongs to it
//! ```
//!
//! Numbers without a size are LEB128. Readers check everything: a record that was damaged in spite of its checksum gives an
//! error, never a panic or an event that reaches outside itself.

use crate::event::{DATA, EVENT_TEXT_BYTES_MAX, Event, Kind, META, Node};
use crate::json::JSON_DEPTH_MAX;
use crate::key::KeyId;
use crate::origin::Origin;
use ahash::AHashMap;
use ferrostash_joda::Timestamp;

/// Version of the format.
const VERSION: u8 = 1;
/// Deepest nesting that is written: what a reader of JSON allows, below a field that is as deep.
pub const WIRE_DEPTH_MAX: usize = 2 * JSON_DEPTH_MAX;

const HAS_ORIGIN: u8 = 1;

const NEW_NAME: u64 = 0;
const NAME_IN_TEXT: u64 = 1;
const NAMES_FROM: u64 = 2;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const BIG_INT: u8 = 4;
const FLOAT: u8 = 5;
const DECIMAL: u8 = 6;
const TIMESTAMP: u8 = 7;
const WIDE_TIMESTAMP: u8 = 8;
const STR: u8 = 9;
const QUOTED_STR: u8 = 10;
const ARRAY: u8 = 11;
const OBJECT: u8 = 12;

/// An event cannot be written, or a record not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The event is nested deeper than [`WIRE_DEPTH_MAX`].
    #[error("the event is nested deeper than {WIRE_DEPTH_MAX} levels")]
    TooDeep,
    /// The bytes are no record of this version.
    #[error("not a record of events, or damaged, at byte {0}")]
    Damaged(usize),
    /// A later version wrote it.
    #[error("the record has version {0}, this is version {VERSION}")]
    Version(u8),
}

/// Writes a record.
#[derive(Debug)]
pub struct WireWriter {
    out: Vec<u8>,
    names: AHashMap<u32, u64>,
}

impl WireWriter {
    /// A record with nothing in it, in memory that may have been used.
    pub fn new(mut memory: Vec<u8>) -> WireWriter {
        memory.clear();
        memory.push(VERSION);
        WireWriter { out: memory, names: AHashMap::new() }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// [`WireError::TooDeep`]; nothing is added then.
    pub fn push(&mut self, event: &Event) -> Result<(), WireError> {
        let (length, names) = (self.out.len(), self.names.len());
        let result = self.event(event);
        if result.is_err() {
            self.out.truncate(length);
            self.names.retain(|_, number| (*number - NAMES_FROM) < names as u64);
        }
        result
    }

    /// What was written so far, in bytes.
    pub fn byte_size(&self) -> usize {
        self.out.len()
    }

    /// The record.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn event(&mut self, event: &Event) -> Result<(), WireError> {
        let origin = event.origin();
        self.out.push(if origin.is_some() { HAS_ORIGIN } else { 0 });
        self.out.extend_from_slice(origin.map(Origin::to_bytes).as_ref().map_or(&[], |bytes| &bytes[..]));
        self.number(event.text.len() as u64);
        self.out.extend_from_slice(event.text.as_bytes());
        self.members(event, DATA, WIRE_DEPTH_MAX)?;
        self.members(event, META, WIRE_DEPTH_MAX)
    }

    fn members(&mut self, event: &Event, range: u32, depth: usize) -> Result<(), WireError> {
        let members = event.members(range);
        self.number(members.len() as u64);
        for node in members {
            self.name(event, node.key);
            self.value(event, *node, depth)?;
        }
        Ok(())
    }

    fn name(&mut self, event: &Event, key: u32) {
        if Event::is_local(key) {
            let (start, len) = event.local_place(key);
            self.number(NAME_IN_TEXT);
            return self.span(start, len);
        }
        let next = self.names.len() as u64 + NAMES_FROM;
        let number = *self.names.entry(key).or_insert(next);
        if number < next {
            return self.number(number);
        }
        let name = event.key_name(key);
        self.number(NEW_NAME);
        self.number(name.len() as u64);
        self.out.extend_from_slice(name.as_bytes());
    }

    fn value(&mut self, event: &Event, node: Node, depth: usize) -> Result<(), WireError> {
        let mut text = |kind| {
            self.out.push(kind);
            self.span(node.a, node.b);
        };
        match node.kind {
            Kind::Null => self.out.push(NULL),
            Kind::False => self.out.push(FALSE),
            Kind::True => self.out.push(TRUE),
            Kind::BigInt => text(BIG_INT),
            Kind::Decimal => text(DECIMAL),
            Kind::Str if node.quoted => text(QUOTED_STR),
            Kind::Str => text(STR),
            Kind::Int => self.bits(INT, node),
            Kind::Float => self.bits(FLOAT, node),
            Kind::Timestamp => self.bits(TIMESTAMP, node),
            Kind::WideTimestamp => {
                if let crate::ValueRef::Timestamp(timestamp) = event.resolve(node) {
                    self.out.push(WIDE_TIMESTAMP);
                    self.out.extend_from_slice(&timestamp.secs().to_le_bytes());
                    self.out.extend_from_slice(&timestamp.nanos().to_le_bytes());
                }
            }
            Kind::Array => {
                let depth = depth.checked_sub(1).ok_or(WireError::TooDeep)?;
                let members = event.members(node.a);
                self.out.push(ARRAY);
                self.number(members.len() as u64);
                for node in members {
                    self.value(event, *node, depth)?;
                }
            }
            Kind::Object => {
                self.out.push(OBJECT);
                self.members(event, node.a, depth.checked_sub(1).ok_or(WireError::TooDeep)?)?;
            }
        }
        Ok(())
    }

    fn bits(&mut self, kind: u8, node: Node) {
        self.out.push(kind);
        self.out.extend_from_slice(&node.a.to_le_bytes());
        self.out.extend_from_slice(&node.b.to_le_bytes());
    }

    fn span(&mut self, start: u32, len: u32) {
        self.number(u64::from(start));
        self.number(u64::from(len));
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }
}

/// Reads the events of a record, one after the other.
#[derive(Debug)]
pub struct WireReader<'a> {
    bytes: &'a [u8],
    at: usize,
    names: Vec<KeyName<'a>>,
    /// Members of the hashes and lists that are being read.
    stack: Vec<Node>,
}

/// A name of the record.
#[derive(Clone, Copy, Debug)]
enum KeyName<'a> {
    Interned(KeyId),
    /// The process has no number for it.
    Text(&'a str),
}

impl<'a> WireReader<'a> {
    /// A reader of the events of `record`.
    ///
    /// # Errors
    /// [`WireError::Version`], [`WireError::Damaged`].
    pub fn new(record: &'a [u8]) -> Result<WireReader<'a>, WireError> {
        match record.first() {
            Some(&VERSION) => Ok(WireReader { bytes: record, at: 1, names: Vec::new(), stack: Vec::new() }),
            Some(&version) => Err(WireError::Version(version)),
            None => Err(WireError::Damaged(0)),
        }
    }

    /// The next event; `None` at the end of the record.
    ///
    /// # Errors
    /// [`WireError::Damaged`]; nothing behind it can be read.
    pub fn next_event(&mut self) -> Result<Option<Event>, WireError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        self.event().map(Some).ok_or(WireError::Damaged(self.at))
    }

    fn event(&mut self) -> Option<Event> {
        let origin = match self.byte()? {
            0 => None,
            HAS_ORIGIN => Some(Origin::from_bytes(self.array()?)),
            _ => return None,
        };
        let text = self.text()?;
        if text.len() > EVENT_TEXT_BYTES_MAX {
            return None;
        }
        let mut event = Event::bare(text.len() + text.len() / 4);
        event.text.push_str(text);
        event.set_origin(origin);
        for root in [DATA, META] {
            let base = self.stack.len();
            self.members(&mut event, WIRE_DEPTH_MAX)?;
            self.stack.drain(base..).for_each(|node| event.append(root, node));
        }
        event.all_text_is_live();
        Some(event)
    }

    /// Reads members of a hash onto the stack.
    fn members(&mut self, event: &mut Event, depth: usize) -> Option<()> {
        for _ in 0..self.number()? {
            let key = self.name(event)?;
            let node = self.value(event, depth)?;
            self.stack.push(node.with_key(key));
        }
        Some(())
    }

    fn name(&mut self, event: &mut Event) -> Option<u32> {
        let name = match self.number()? {
            NEW_NAME => {
                let text = self.text()?;
                let name = KeyId::intern(text).map_or(KeyName::Text(text), KeyName::Interned);
                self.names.push(name);
                name
            }
            NAME_IN_TEXT => {
                let (start, len) = self.span(event)?;
                let name = event.text.get(start as usize..(start + len) as usize)?;
                return Some(match KeyId::intern(name) {
                    Some(id) => id.0,
                    None => event.local_key_at(start, len),
                });
            }
            number => *self.names.get(usize::try_from(number - NAMES_FROM).ok()?)?,
        };
        Some(match name {
            KeyName::Interned(id) => id.0,
            KeyName::Text(name) => {
                let place = event.push_str(name);
                event.local_key_at(place.a, place.b)
            }
        })
    }

    fn value(&mut self, event: &mut Event, depth: usize) -> Option<Node> {
        let text = |kind, (start, len): (u32, u32)| Node::new(kind, start, len);
        Some(match self.byte()? {
            NULL => Node::NULL,
            FALSE => Node::plain(Kind::False),
            TRUE => Node::plain(Kind::True),
            INT => Node::bits(Kind::Int, u64::from_le_bytes(self.array()?)),
            FLOAT => Node::bits(Kind::Float, u64::from_le_bytes(self.array()?)),
            TIMESTAMP => Node::bits(Kind::Timestamp, u64::from_le_bytes(self.array()?)),
            WIDE_TIMESTAMP => {
                let secs = i64::from_le_bytes(self.array()?);
                event.push_timestamp(Timestamp::from_parts(secs, u32::from_le_bytes(self.array()?)))
            }
            BIG_INT => text(Kind::BigInt, self.span(event)?),
            DECIMAL => text(Kind::Decimal, self.span(event)?),
            STR => text(Kind::Str, self.span(event)?),
            QUOTED_STR => {
                let (start, len) = self.span(event)?;
                let bytes = event.text.as_bytes();
                let quote = |at: Option<u32>| at.and_then(|at| bytes.get(at as usize)) == Some(&b'"');
                let quoted = quote(start.checked_sub(1)) && quote(start.checked_add(len));
                Node { quoted, ..Node::new(Kind::Str, start, len) }
            }
            ARRAY => {
                let base = self.stack.len();
                for _ in 0..self.number()? {
                    let node = self.value(event, depth.checked_sub(1)?)?;
                    self.stack.push(node);
                }
                self.close(event, Kind::Array, base)
            }
            OBJECT => {
                let base = self.stack.len();
                self.members(event, depth.checked_sub(1)?)?;
                self.close(event, Kind::Object, base)
            }
            _ => return None,
        })
    }

    fn close(&mut self, event: &mut Event, kind: Kind, base: usize) -> Node {
        let range = event.push_range(self.stack.get(base..).unwrap_or_default());
        self.stack.truncate(base);
        Node::new(kind, range, 0)
    }

    /// A place in the event's text.
    fn span(&mut self, event: &Event) -> Option<(u32, u32)> {
        let (start, len) = (u32::try_from(self.number()?).ok()?, u32::try_from(self.number()?).ok()?);
        event.text.get(start as usize..start.checked_add(len)? as usize)?;
        Some((start, len))
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        simdutf8::basic::from_utf8(self.take(len)?).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KEY_BYTES_MAX;
    use crate::{FieldRef, Value};

    fn record(events: &[Event]) -> Vec<u8> {
        let mut writer = WireWriter::new(Vec::new());
        events.iter().for_each(|event| writer.push(event).unwrap());
        writer.finish()
    }

    fn read(record: &[u8]) -> Result<Vec<Event>, WireError> {
        let mut reader = WireReader::new(record)?;
        std::iter::from_fn(|| reader.next_event().transpose()).collect()
    }

    fn event(json: &str) -> Event {
        let mut events = Vec::new();
        let now = Timestamp::from_nanos(1_700_000_000_123_456_789);
        Event::read_json(json, now, &mut |event| events.push(event)).unwrap();
        events.remove(0)
    }

    fn rich() -> Event {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        let mut event = event(&format!(
            r#"{{"s":"é\n","plain":"text","e":"","i":-7,"big":123456789012345678901234567890,"f":1.0,"d":2.50,"n":null,
                "t":true,"o":{{"a":[1,"x",{{"b":[]}}],"{long}":1}},"{long}":"v","tags":["a"],
                "@metadata":{{"m":{{"x":1}}}}}}"#
        ));
        event.set(&FieldRef::literal("wide"), Value::Timestamp(Timestamp::from_parts(1 << 40, 5))).unwrap();
        event.set(&FieldRef::literal("decimal"), Value::Decimal("1.50".into())).unwrap();
        event.set_origin(Some(Origin::new(1, 2, b"x")));
        event
    }

    #[test]
    fn events_come_back_as_they_were() {
        let events = [rich(), Event::from_message("plain", Timestamp::now()), rich()];
        let bytes = record(&events);
        let back = read(&bytes).unwrap();
        assert_eq!(back.len(), 3);
        for (event, back) in events.iter().zip(&back) {
            assert_eq!(back.to_value(), event.to_value());
            assert_eq!(format!("{:?}", back.metadata()), format!("{:?}", event.metadata()));
            assert_eq!((back.timestamp(), back.origin()), (event.timestamp(), event.origin()));
            let json = |event: &Event| {
                let mut out = Vec::new();
                event.write_json(&mut out);
                String::from_utf8(out).unwrap()
            };
            assert_eq!(json(back), json(event));
        }
        assert_eq!(record(&back), bytes, "and once more");
    }

    #[test]
    fn fields_can_be_changed_afterwards() {
        let mut back = read(&record(&[rich()])).unwrap().remove(0);
        let field = |text: &str| FieldRef::parse(text).unwrap();
        back.set_str(&field("[o][new]"), "y").unwrap();
        assert!(back.remove(&field("s")) && back.rename(&field("plain"), &field("moved")).unwrap());
        assert_eq!(back.get_str(&field("moved")), Some("text"));
        back.compact();
        assert_eq!(back.get_str(&field("[o][new]")), Some("y"));
        assert_eq!(back.origin(), rich().origin());
    }

    #[test]
    fn what_is_too_deep_is_refused_and_leaves_the_record_whole() {
        let nested = |depth: usize| format!(r#"{{"new{depth}":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let mut deep = event(&nested(900));
        for _ in 0..2 {
            let inner = deep.to_value();
            deep = event("{}");
            let path = "[x]".repeat(700);
            deep.set(&FieldRef::parse(&path).unwrap(), inner).unwrap();
        }
        let mut writer = WireWriter::new(Vec::new());
        writer.push(&event(r#"{"a":1}"#)).unwrap();
        assert_eq!(writer.push(&deep), Err(WireError::TooDeep));
        writer.push(&event(r#"{"a":2,"x":3,"b":4}"#)).unwrap();
        writer.push(&event(&nested(900))).unwrap();
        let back = read(&writer.finish()).unwrap();
        assert_eq!(back[1].get(&FieldRef::literal("x")).unwrap().to_value(), Value::Int(3));
        assert_eq!(back.len(), 3);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let bytes = record(&[rich(), rich()]);
        for length in 0..bytes.len() {
            // Where one event ends, the record may.
            let events = read(&bytes[..length]).unwrap_or_default();
            assert!(events.len() < 2);
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                for mut event in read(&damaged).unwrap_or_default() {
                    let mut out = Vec::new();
                    event.write_json(&mut out);
                    event.compact();
                }
            }
        }
        assert_eq!(read(&[9]).unwrap_err(), WireError::Version(9));
        assert_eq!(read(&[]).unwrap_err(), WireError::Damaged(0));
    }
}
