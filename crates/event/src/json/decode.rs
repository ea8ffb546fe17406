//! JSON text straight into an event's arena.
//!
//! The text becomes the event's own buffer first, so a string without escapes is a pair of offsets. The grammar is
//! Jackson's (RFC 8259, no comments, no NaN); the limits are its limits too, so that hostile input costs what it does in
//! Logstash and no more.

#![expect(
    clippy::indexing_slicing,
    reason = "positions come from scanning the same text, node ranges from this arena"
)]

use super::scan::first_special;
use crate::event::{DATA, EVENT_TEXT_BYTES_MAX, Event, Kind, Node, SetError, TextSpan};
use crate::field_ref::{FieldRef, FieldRefError};
use crate::key::{JsonKey, Key, KeyId};
use crate::number::{Decimal, NUMBER_DIGITS_MAX};
use crate::value::{Value, ValueRef};
use ferrostash_joda::Timestamp;
use std::cell::Cell;

/// Deepest nesting of hashes and lists.
pub const JSON_DEPTH_MAX: usize = 1000;
/// Most events that one list of hashes may become.
pub const JSON_LIST_EVENTS_MAX: usize = 1_000_000;

/// What becomes of numbers with a fraction or an exponent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JsonNumbers {
    /// Doubles, as Logstash's codecs do.
    Doubles,
    /// Decimals with all their digits, as Logstash's json filter does.
    Decimals,
}

/// The text is not JSON that an event can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct JsonError {
    /// What was found, or expected.
    pub reason: &'static str,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
}

/// A value that was parsed into an event but is not part of it yet.
#[derive(Clone, Copy, Debug)]
pub struct Parsed(Node);

/// The kind of a [`Parsed`] value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParsedKind {
    /// A hash.
    Object,
    /// A list.
    Array,
    /// Null.
    Null,
    /// Everything else.
    Scalar,
}

/// Why parsed members could not become fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A key is no field reference.
    #[error("{0}")]
    Reference(#[from] FieldRefError),
    /// A field could not be set.
    #[error("{0}")]
    Set(#[from] SetError),
}

/// Where the fields of events that are read from JSON text go.
#[derive(Clone, Debug, Default)]
pub struct JsonPlaces {
    /// The field that gets the whole hash; without one, its members become the event's own fields.
    pub target: Option<FieldRef>,
    /// The field that gets the text, where one event alone comes of it and does not have that field yet.
    pub original: Option<FieldRef>,
}

impl Event {
    /// Calls `sink` with the event that a JSON hash describes, or one for each hash of a list; blank text gives none.
    ///
    /// Text behind the value is ignored, as in Logstash. `now` becomes `@timestamp` where there is none. Nothing is
    /// passed to `sink` when there is an error. Returns the number of events.
    pub fn read_json(text: &str, now: Timestamp, sink: &mut dyn FnMut(Event)) -> Result<usize, JsonError> {
        Event::read_json_into(text, &JsonPlaces::default(), now, sink)
    }

    /// As [`Event::read_json`], for codecs that put hash and text somewhere. The text of a hash is not copied.
    pub fn read_json_into(
        text: &str,
        places: &JsonPlaces,
        now: Timestamp,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, JsonError> {
        let start = skip_blank(text.as_bytes(), 0);
        if start == text.len() {
            return Ok(0);
        }
        if text.len() > EVENT_TEXT_BYTES_MAX {
            return error("more text than an event holds", 0);
        }
        let mut event = Event::bare(text.len() + 64);
        event.text.push_str(text);
        let (node, _) = event.parse_at(start, text.len(), JsonNumbers::Doubles)?;
        match node.kind {
            Kind::Object => {
                event.place(node, places, now)?;
                let whole = Node::new(Kind::Str, 0, text.len() as u32);
                event.place_original(whole, places)?;
                sink(event);
                Ok(1)
            }
            Kind::Array => event.read_list(node, text, places, now, sink),
            _ => error("an event must be a JSON hash or a list of hashes", start),
        }
    }

    fn read_list(
        &self,
        list: Node,
        text: &str,
        places: &JsonPlaces,
        now: Timestamp,
        sink: &mut dyn FnMut(Event),
    ) -> Result<usize, JsonError> {
        let members = self.members(list.a);
        if members.iter().any(|member| !matches!(member.kind, Kind::Object | Kind::Null)) {
            return error("a list of events must hold nothing but hashes", 0);
        }
        if members.len() > JSON_LIST_EVENTS_MAX {
            return error("more events in one list than are allowed", 0);
        }
        let make = |member: &Node| {
            let mut event = Event::bare(256);
            let copy = event.push_foreign(self, *member);
            event.place(copy, places, now).map(|()| event)
        };
        if let [one] = members {
            let mut event = make(one)?;
            let original = event.push_str(text);
            event.place_original(original, places)?;
            sink(event);
        } else if places.target.is_some() {
            // A hash that can't be set must be known before the first event has gone.
            members.iter().map(make).collect::<Step<Vec<Event>>>()?.into_iter().for_each(sink);
        } else {
            members.iter().try_for_each(|member| make(member).map(&mut *sink))?;
        }
        Ok(members.len())
    }

    fn place(&mut self, node: Node, places: &JsonPlaces, now: Timestamp) -> Step<()> {
        let Some(target) = &places.target else {
            self.become_fields(node, now);
            return Ok(());
        };
        self.adopt(now);
        self.set_node(target, node).or_else(|_| error("the target cannot be set to a hash", 0))
    }

    fn place_original(&mut self, text: Node, places: &JsonPlaces) -> Step<()> {
        match &places.original {
            Some(field) if !self.contains(field) => {
                self.set_node(field, text).or_else(|_| error("a field is in the way of the original text", 0))
            }
            _ => Ok(()),
        }
    }

    fn become_fields(&mut self, node: Node, now: Timestamp) {
        if node.kind == Kind::Object {
            self.set_members(DATA, node.a);
        }
        self.adopt(now);
    }

    /// Parses the JSON value in `span`, which is text of this event. Returns it with the offset behind it.
    pub fn parse_json(&mut self, span: TextSpan, numbers: JsonNumbers) -> Result<(Parsed, usize), JsonError> {
        let (start, end) = self.bounds(span);
        let from = skip_blank(&self.text.as_bytes()[..end], start);
        let (node, at) =
            self.parse_at(from, end, numbers).map_err(|e| JsonError { offset: e.offset - start, ..e })?;
        Ok((Parsed(node), at - start))
    }

    /// The kind of a parsed value.
    pub fn parsed_kind(&self, parsed: Parsed) -> ParsedKind {
        match parsed.0.kind {
            Kind::Object => ParsedKind::Object,
            Kind::Array => ParsedKind::Array,
            Kind::Null => ParsedKind::Null,
            _ => ParsedKind::Scalar,
        }
    }

    /// A parsed value, to look at before it is set.
    pub fn parsed_ref(&self, parsed: Parsed) -> ValueRef<'_> {
        self.resolve(parsed.0)
    }

    /// Sets `field` to a parsed value.
    pub fn set_parsed(&mut self, field: &FieldRef, parsed: Parsed) -> Result<(), SetError> {
        self.set_node(field, parsed.0)
    }

    /// Takes the member `name` out of a parsed hash.
    pub fn take_parsed(&mut self, parsed: Parsed, name: &Key) -> Option<Value> {
        (parsed.0.kind == Kind::Object).then(|| self.take_member(parsed.0.a, name)).flatten()
    }

    /// Sets each member of a parsed hash as a field; the names are field references. Stops at the first that fails.
    pub fn merge_parsed(&mut self, parsed: Parsed) -> Result<(), MergeError> {
        if parsed.0.kind != Kind::Object {
            return Ok(());
        }
        let range = self.ranges[parsed.0.a as usize];
        let (mut at, end) = (range.start, range.start + range.len);
        loop {
            at = self.merge_plain(at, end);
            if at == end {
                return Ok(());
            }
            let node = self.nodes[at as usize];
            let reference = FieldRef::parse(self.key_name(node.key))?;
            self.set_node(&reference, node.with_key(0))?;
            at += 1;
        }
    }

    fn parse_at(
        &mut self,
        start: usize,
        end: usize,
        numbers: JsonNumbers,
    ) -> Result<(Node, usize), JsonError> {
        let text = std::mem::take(&mut self.text);
        let mut parser = Parser {
            text: &text,
            bytes: &text.as_bytes()[..end],
            numbers,
            event: self,
            unescaped: String::new(),
            scratch: SCRATCH.take(),
            keys_read: 0,
            failure: JsonError { reason: "", offset: 0 },
        };
        let end = parser.value(start, 0, JSON_DEPTH_MAX);
        let Parser { unescaped, mut scratch, failure, .. } = parser;
        let node = scratch.stack.pop();
        scratch.stack.clear();
        SCRATCH.set(scratch);
        self.text = text;
        self.text.push_str(&unescaped);
        end.zip(node).map(|(end, node)| (node, end)).ok_or(failure)
    }
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// What one parse leaves for the next one on this thread.
#[derive(Default)]
struct Scratch {
    stack: Vec<Node>,
    /// The keys of the last text, in their order: the next text mostly has the same.
    predicted: Vec<(KeyId, JsonKey)>,
}

/// Most keys that are predicted.
const PREDICTED_MAX: usize = 1024;

struct Parser<'t, 'e> {
    text: &'t str,
    bytes: &'t [u8],
    numbers: JsonNumbers,
    event: &'e mut Event,
    /// Strings with escapes, resolved; goes behind the event's text at the end.
    unescaped: String,
    scratch: Scratch,
    keys_read: usize,
    /// Why the text is no JSON, once a method has said `None`.
    failure: JsonError,
}

type Step<T> = Result<T, JsonError>;

fn error<T>(reason: &'static str, offset: usize) -> Step<T> {
    Err(JsonError { reason, offset })
}

#[inline]
fn skip_blank(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(..=b' ') => skip_blanks(bytes, at),
        _ => at,
    }
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Each method reads something at a place and gives the place behind it, which fits in a register; values go onto the
/// stack.
impl Parser<'_, '_> {
    #[cold]
    fn fail<T>(&mut self, reason: &'static str, offset: usize) -> Option<T> {
        self.failure = JsonError { reason, offset };
        None
    }

    fn push(&mut self, node: Node) {
        self.scratch.stack.push(node);
    }

    /// Reads a value that becomes a member named `key`; blanks may stand before it.
    fn value(&mut self, at: usize, key: u32, depth: usize) -> Option<usize> {
        let at = skip_blank(self.bytes, at);
        match self.bytes.get(at) {
            Some(b'"') => {
                let (start, len, end) = self.string(at + 1)?;
                // What was unescaped lies behind the text, without quotes.
                let quoted = (start as usize) < self.text.len();
                self.push(Node { key, kind: Kind::Str, quoted, a: start, b: len });
                Some(end)
            }
            Some(b'-' | b'0'..=b'9') => self.number(at, key),
            Some(b'{') => self.object(at, key, depth),
            Some(b'[') => self.array(at + 1, key, depth),
            Some(b't') => self.word(at, "true", Kind::True, key),
            Some(b'f') => self.word(at, "false", Kind::False, key),
            Some(b'n') => self.word(at, "null", Kind::Null, key),
            Some(_) => self.fail("unexpected character where a value was expected", at),
            None => self.fail("unexpected end of the text where a value was expected", at),
        }
    }

    fn word(&mut self, at: usize, word: &str, kind: Kind, key: u32) -> Option<usize> {
        let end = at + word.len();
        let follows =
            self.bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'$');
        if self.bytes.get(at..end) == Some(word.as_bytes()) && !follows {
            self.push(Node::plain(kind).with_key(key));
            Some(end)
        } else {
            self.fail("unknown word (expected true, false or null)", at)
        }
    }

    /// Reads the hash whose brace stands at `at`.
    fn object(&mut self, mut at: usize, key: u32, depth: usize) -> Option<usize> {
        let Some(depth) = depth.checked_sub(1) else {
            return self.fail("nesting is deeper than 1000 levels", at + 1);
        };
        let base = self.scratch.stack.len();
        let first = skip_blank(self.bytes, at + 1);
        if self.bytes.get(first) == Some(&b'}') {
            return Some(self.close(Kind::Object, base, key, first + 1));
        }
        loop {
            let (member, behind) = self.key_and_colon(at)?;
            at = skip_blank(self.bytes, self.value(behind, member, depth)?);
            match self.bytes.get(at) {
                Some(b',') => {}
                Some(b'}') => return Some(self.close(Kind::Object, base, key, at + 1)),
                _ => return self.fail("expected a comma or a closing brace", at),
            }
        }
    }

    fn array(&mut self, at: usize, key: u32, depth: usize) -> Option<usize> {
        let Some(depth) = depth.checked_sub(1) else {
            return self.fail("nesting is deeper than 1000 levels", at);
        };
        let base = self.scratch.stack.len();
        let mut at = skip_blank(self.bytes, at);
        if self.bytes.get(at) == Some(&b']') {
            return Some(self.close(Kind::Array, base, key, at + 1));
        }
        loop {
            at = skip_blank(self.bytes, self.value(at, 0, depth)?);
            match self.bytes.get(at) {
                Some(b',') => at += 1,
                Some(b']') => return Some(self.close(Kind::Array, base, key, at + 1)),
                _ => return self.fail("expected a comma or a closing bracket", at),
            }
        }
    }

    /// Moves the members above `base` from the stack into a range, and puts the hash or list in their place.
    fn close(&mut self, kind: Kind, base: usize, key: u32, end: usize) -> usize {
        if kind == Kind::Object {
            self.drop_earlier_twins(base);
        }
        let range = self.event.push_range(&self.scratch.stack[base..]);
        self.scratch.stack.truncate(base);
        self.push(Node::new(kind, range, 0).with_key(key));
        end
    }

    /// Of several members with one name the last one counts.
    fn drop_earlier_twins(&mut self, base: usize) {
        const PAIRWISE_MAX: usize = 24;
        let members = &self.scratch.stack[base..];
        // Keys are numbered as they appear, so those of one hash mostly have a bit each.
        let (mut bits, mut shared) = (0u64, false);
        for node in members {
            let bit = 1 << (node.key & 63);
            shared |= bits & bit != 0 || Event::is_local(node.key);
            bits |= bit;
        }
        if !shared {
            return;
        }
        let twins = if members.len() <= PAIRWISE_MAX {
            members
                .iter()
                .enumerate()
                .any(|(i, node)| members[i + 1..].iter().any(|later| later.key == node.key))
        } else {
            let mut keys: Vec<u32> = members.iter().map(|node| node.key).collect();
            keys.sort_unstable();
            keys.windows(2).any(|pair| pair[0] == pair[1])
        };
        // Keys outside the table have a number each; two of them may still be the same text.
        let locals = members.iter().filter(|node| Event::is_local(node.key)).count() > 1;
        if !twins && !locals {
            return;
        }
        let name = |node: &Node| match Event::is_local(node.key) {
            true => self.local_name(node.key),
            false => KeyId(node.key).name().to_owned(),
        };
        let mut last = std::collections::HashMap::new();
        members.iter().enumerate().for_each(|(i, node)| {
            last.insert(name(node), i);
        });
        let kept: Vec<Node> = members
            .iter()
            .enumerate()
            .filter(|(i, node)| last.get(&name(node)) == Some(i))
            .map(|(_, n)| *n)
            .collect();
        self.scratch.stack.truncate(base);
        self.scratch.stack.extend(kept);
    }

    fn local_name(&self, key: u32) -> String {
        let (start, len) = self.event.local_place(key);
        let (start, end) = (start as usize, (start + len) as usize);
        let taken = self.text.len();
        let text = if start >= taken {
            self.unescaped.get(start - taken..end - taken)
        } else {
            self.text.get(start..end)
        };
        text.unwrap_or_default().to_owned()
    }

    /// The key behind the brace or comma at `at`, and the place behind its colon.
    #[inline]
    fn key_and_colon(&mut self, at: usize) -> Option<(u32, usize)> {
        let number = self.keys_read;
        self.keys_read += 1;
        if let Some((predicted, json)) = self.scratch.predicted.get(number)
            && json.follows(self.bytes.get(at..).unwrap_or_default())
        {
            return Some((predicted.0, at + json.len()));
        }
        self.unpredicted_key(skip_blank(self.bytes, at + 1), number)
    }

    fn unpredicted_key(&mut self, at: usize, number: usize) -> Option<(u32, usize)> {
        if self.bytes.get(at) != Some(&b'"') {
            return self.fail("expected a quoted key", at);
        }
        let (key, behind) = self.key(at + 1)?;
        if !Event::is_local(key) && number < PREDICTED_MAX {
            self.predict(number, KeyId(key));
        }
        let at = skip_blank(self.bytes, behind);
        match self.bytes.get(at) {
            Some(b':') => Some((key, at + 1)),
            _ => self.fail("expected a colon after the key", at),
        }
    }

    fn predict(&mut self, number: usize, key: KeyId) {
        let predicted = &mut self.scratch.predicted;
        if let Some(known) = predicted.get_mut(number) {
            *known = (key, key.json());
        } else if predicted.len() == number {
            // A key outside the table left a gap: what follows one is not predicted.
            predicted.push((key, key.json()));
        }
    }

    fn key(&mut self, at: usize) -> Option<(u32, usize)> {
        let (start, len, end) = self.string(at)?;
        let (from, taken) = (start as usize, self.text.len());
        let name = match from.checked_sub(taken) {
            Some(from) => &self.unescaped[from..from + len as usize],
            None => &self.text[from..from + len as usize],
        };
        let key = match KeyId::intern(name) {
            Some(id) => id.0,
            None => self.event.local_key_at(start, len),
        };
        Some((key, end))
    }

    /// The string that starts at `at`, behind its quote: where its text lies, how long it is, and the place behind.
    fn string(&mut self, at: usize) -> Option<(u32, u32, usize)> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let length = first_special(rest);
        match rest.get(length) {
            Some(b'"') => Some((at as u32, length as u32, at + length + 1)),
            Some(b'\\') => self.escaped_string(at),
            Some(_) => self.fail("control character in a string", at + length),
            None => self.fail("the string has no end", at.saturating_sub(1)),
        }
    }

    fn escaped_string(&mut self, start: usize) -> Option<(u32, u32, usize)> {
        let from = self.unescaped.len();
        let mut at = start;
        loop {
            let rest = &self.bytes[at..];
            let stop = first_special(rest);
            if stop == rest.len() {
                return self.fail("the string has no end", start.saturating_sub(1));
            }
            self.unescaped.push_str(&self.text[at..at + stop]);
            at += stop + 1;
            match rest[stop] {
                b'"' => {
                    let place = (self.text.len() + from) as u32;
                    return Some((place, (self.unescaped.len() - from) as u32, at));
                }
                b'\\' => at = self.escape(at)?,
                _ => return self.fail("control character in a string", at - 1),
            }
        }
    }

    /// The escape behind a backslash; returns the place behind it.
    fn escape(&mut self, at: usize) -> Option<usize> {
        let plain = match self.bytes.get(at) {
            Some(letter @ (b'"' | b'\\' | b'/')) => *letter as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(at + 1),
            _ => return self.fail("unknown escape", at),
        };
        self.unescaped.push(plain);
        Some(at + 1)
    }

    fn unicode_escape(&mut self, at: usize) -> Option<usize> {
        let Some(first) = self.hex4(at) else { return self.fail("expected four hex digits", at) };
        if (0xD800..0xDC00).contains(&first) && self.bytes.get(at + 4..at + 6) == Some(b"\\u") {
            let Some(second) = self.hex4(at + 6) else {
                return self.fail("expected four hex digits", at + 6);
            };
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                self.unescaped.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Some(at + 10);
            }
        }
        // Half a pair is no character. Logstash empties the whole string; we keep the rest of it.
        self.unescaped.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        Some(at + 4)
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4).filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }

    fn digits(&self, at: usize) -> usize {
        self.bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count()
    }

    fn number(&mut self, start: usize, key: u32) -> Option<usize> {
        /// As many digits always fit.
        const DIGITS: usize = 18;
        let (mut at, mut value) = (start, 0u64);
        while let Some(byte @ b'0'..=b'9') = self.bytes.get(at)
            && at - start < DIGITS
        {
            value = value * 10 + u64::from(byte - b'0');
            at += 1;
        }
        if at > start
            && (self.bytes[start] != b'0' || at == start + 1)
            && matches!(self.bytes.get(at), Some(b',' | b'}' | b']'))
        {
            self.push(Node::int(value as i64).with_key(key));
            return Some(at);
        }
        self.other_number(start, key)
    }

    /// A number that is negative, long, has a fraction or an exponent, or is none.
    fn other_number(&mut self, start: usize, key: u32) -> Option<usize> {
        let mut at = start + usize::from(self.bytes[start] == b'-');
        let whole = self.digits(at);
        if whole == 0 {
            return self.fail("expected a digit", at);
        }
        if whole > 1 && self.bytes[at] == b'0' {
            return self.fail("a number must not start with 0", at);
        }
        at += whole;
        let mut exact = true;
        if self.bytes.get(at) == Some(&b'.') {
            let fraction = self.digits(at + 1);
            if fraction == 0 {
                return self.fail("expected a digit after the point", at + 1);
            }
            at += 1 + fraction;
            exact = false;
        }
        if let Some(b'e' | b'E') = self.bytes.get(at) {
            at += 1 + usize::from(matches!(self.bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = self.digits(at);
            if exponent == 0 {
                return self.fail("expected a digit in the exponent", at);
            }
            at += exponent;
            exact = false;
        }
        if at - start > NUMBER_DIGITS_MAX {
            return self.fail("a number with more than 1000 digits", start);
        }
        if self
            .bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'+' | b'-'))
        {
            return self.fail("unexpected character in a number", at);
        }
        let node = if exact { self.integer(start, at) } else { self.fraction(start, at)? };
        self.push(node.with_key(key));
        Some(at)
    }

    fn integer(&mut self, start: usize, end: usize) -> Node {
        match self.text[start..end].parse() {
            Ok(value) => Node::int(value),
            Err(_) => Node::new(Kind::BigInt, start as u32, (end - start) as u32),
        }
    }

    fn fraction(&mut self, start: usize, end: usize) -> Option<Node> {
        let text = &self.text[start..end];
        if self.numbers == JsonNumbers::Doubles {
            let double = text.parse().ok().map(Node::float);
            return double.or_else(|| self.fail("not a number", start));
        }
        if Decimal::is_canonical(text) {
            return Some(Node::new(Kind::Decimal, start as u32, (end - start) as u32));
        }
        let Some(decimal) = Decimal::parse(text) else {
            return self.fail("the exponent is out of range", start);
        };
        let canonical = decimal.to_java();
        let place = (self.text.len() + self.unescaped.len()) as u32;
        self.unescaped.push_str(&canonical);
        Some(Node::new(Kind::Decimal, place, canonical.len() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, JsonError> {
        let mut events = Vec::new();
        Event::read_json(text, Timestamp::EPOCH, &mut |event| events.push(event))?;
        let line = |event: Event| {
            let mut out = Vec::new();
            event.write_json_with_metadata(&mut out);
            let text = String::from_utf8(out).unwrap();
            text.replace(r#","@version":"1""#, "").replace(r#","@timestamp":"1970-01-01T00:00:00.000Z""#, "")
        };
        Ok(events.into_iter().map(line).collect())
    }

    #[test]
    fn hashes_and_lists() {
        assert_eq!(
            read(r#" {"a":{"b":[1,-2.50,true,null,"x"]}} trailing"#).unwrap(),
            [r#"{"a":{"b":[1,-2.5,true,null,"x"]}}"#]
        );
        assert_eq!(read(r#"[{"n":1},{"n":2}]"#).unwrap(), [r#"{"n":1}"#, r#"{"n":2}"#]);
        assert_eq!(read(" \t").unwrap(), Vec::<String>::new());
        assert!(read(r#"[{"n":1},3]"#).is_err());
        assert!(read("5").is_err());
    }

    fn read_into(text: &str, target: Option<&str>) -> Result<Vec<String>, JsonError> {
        let field = |text| FieldRef::parse(text).unwrap();
        let places = JsonPlaces { target: target.map(field), original: Some(field("[event][original]")) };
        let mut lines = Vec::new();
        Event::read_json_into(text, &places, Timestamp::EPOCH, &mut |mut event| {
            event.remove(&field("@version"));
            event.remove(&field("@timestamp"));
            let mut out = Vec::new();
            event.write_json(&mut out);
            lines.push(String::from_utf8(out).unwrap());
        })
        .map(|count| assert_eq!(count, lines.len()))?;
        Ok(lines)
    }

    #[test]
    fn the_text_and_the_hash_in_fields() {
        let one = r#"{"a":1,"event":{"original":"{\"a\":1}"}}"#;
        assert_eq!(read_into(r#"{"a":1}"#, None).unwrap(), [one]);
        assert_eq!(
            read_into(r#"[{"a":1}]"#, None).unwrap(),
            [r#"{"a":1,"event":{"original":"[{\"a\":1}]"}}"#]
        );
        assert_eq!(read_into(r#"[{"a":1},{"a":2}]"#, None).unwrap(), [r#"{"a":1}"#, r#"{"a":2}"#]);
        let mine = r#"{"event":{"original":null}}"#;
        assert_eq!(read_into(mine, None).unwrap(), [mine]);
        assert!(read_into(r#"{"event":"x"}"#, None).is_err());
    }

    #[test]
    fn a_target() {
        assert_eq!(
            read_into(r#"[{"@timestamp":"x"},{"a":2}]"#, Some("[d][b]")).unwrap(),
            [r#"{"d":{"b":{"@timestamp":"x"}}}"#, r#"{"d":{"b":{"a":2}}}"#]
        );
        assert_eq!(
            read_into("[null,{}]", Some("tags")).unwrap_err().reason,
            "the target cannot be set to a hash"
        );
    }

    #[test]
    fn the_last_of_twins_counts() {
        assert_eq!(read(r#"{"a":1,"b":2,"a":{"c":3,"c":4}}"#).unwrap(), [r#"{"b":2,"a":{"c":4}}"#]);
        let long = "k".repeat(300);
        assert_eq!(read(&format!(r#"{{"{long}":1,"{long}":2}}"#)).unwrap(), [format!(r#"{{"{long}":2}}"#)]);
        let many: Vec<String> = (0..40).map(|i| format!(r#""f{}":{i}"#, i % 39)).collect();
        let line = read(&format!("{{{}}}", many.join(","))).unwrap().remove(0);
        assert!(line.ends_with(r#""f0":39}"#) && !line.contains(r#""f0":0"#));
    }

    #[test]
    fn strings() {
        assert_eq!(
            read(r#"{"s":"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00"}"#).unwrap(),
            ["{\"s\":\"\\\"\\\\/\\b\\f\\n\\r\\tAé😀\"}"]
        );
        assert_eq!(read(r#"{"s":"a\ud83dz"}"#).unwrap(), ["{\"s\":\"a\u{FFFD}z\"}"]);
        assert_eq!(read(r#"{"\u0061b":1}"#).unwrap(), [r#"{"ab":1}"#]);
    }

    #[test]
    fn numbers() {
        assert_eq!(
            read(r#"{"n":[-0,9223372036854775807,9223372036854775808,1e2,1e400]}"#).unwrap(),
            [r#"{"n":[0,9223372036854775807,9223372036854775808,100.0,"Infinity"]}"#]
        );
        for bad in [
            "00",
            "01",
            "-01",
            "+1",
            ".5",
            "5.",
            "0x10",
            "1_000",
            "1e",
            "1e+",
            "-",
            "NaN",
            "-Infinity",
            "nan",
        ] {
            assert!(read(&format!(r#"{{"n":{bad}}}"#)).is_err(), "{bad}");
        }
        assert!(read(&format!(r#"{{"n":{}}}"#, "1".repeat(1001))).is_err());
    }

    #[test]
    fn not_json() {
        for bad in [
            r#"{"a":"#,
            r#"{"a":1,}"#,
            "[1,]",
            "{n:1}",
            r#"{"n":9 "a":1}"#,
            "}",
            r#"{"a":tru}"#,
            r#"{"a":"x"#,
            "{\"a\":\"\t\"}",
            r#"{"a":"\x"}"#,
            "\u{feff}{}",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(read(&nested(JSON_DEPTH_MAX - 1)).is_ok());
        assert!(read(&nested(JSON_DEPTH_MAX)).is_err());
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn rules_for_new_events() {
        assert_eq!(
            read(r#"{"tags":5,"@metadata":{"m":1},"@timestamp":"x"}"#).unwrap(),
            [
                r#"{"tags":["_tagsparsefailure","_timestampparsefailure"],"_tags":[5],"_@timestamp":"x","@metadata":{"m":1}}"#
            ]
        );
    }

    #[test]
    fn decimals_of_the_filter() {
        let mut event = Event::from_message(r#"{"d":1.50,"[a][b]":1e3,"s":"x"}"#, Timestamp::EPOCH);
        let message = FieldRef::parse("message").unwrap();
        let span = event.str_span(&message).unwrap();
        let (parsed, end) = event.parse_json(span, JsonNumbers::Decimals).unwrap();
        assert_eq!((event.parsed_kind(parsed), end), (ParsedKind::Object, span.len()));
        event.merge_parsed(parsed).unwrap();
        event.remove(&message);
        assert_eq!(
            format!("{event:?}"),
            r#"{"@timestamp":"1970-01-01T00:00:00.000Z","@version":"1","d":1.50,"a":{"b":1E+3},"s":"x"}"#
        );
    }
}
