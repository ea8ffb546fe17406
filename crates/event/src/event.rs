//! The event: one arena of text, nodes and ranges.
//!
//! All strings of an event lie in one buffer, all values in one list of 16-byte nodes, and the members of a hash or list
//! are a contiguous range of that list. Creating, copying and dropping an event is therefore a handful of allocations
//! whatever it holds, a capture of grok is a pair of offsets into `message`, and the size of an event is known without a
//! walk. What is overwritten stays behind until [`Event::compact_if_wasteful`] finds it worth copying the rest.
//!
//! The representation is private on purpose: nothing outside this crate may depend on it.

#![expect(
    clippy::indexing_slicing,
    reason = "node, range and text indices are made here and never outlive a compaction"
)]

use crate::field_ref::{FieldRef, Root, Segment};
use crate::key::{Key, KeyId, KeyRepr};
use crate::origin::Origin;
use crate::value::{Value, ValueRef};
use crate::{METADATA, TAGS, TIMESTAMP, VERSION};
use ferrostash_joda::Timestamp;
use std::sync::LazyLock;

mod spare;

/// Longest list that setting an element beyond its end may make.
pub const LIST_PAD_MAX: usize = 100_000;
/// Most text, in bytes, that one event holds; what comes after is cut.
pub const EVENT_TEXT_BYTES_MAX: usize = 1 << 31;

/// Top-level fields that an event has room for without moving them.
const FIELDS_EXPECTED: u32 = 24;
/// Fields of `@metadata` that an event has room for without moving them.
const METADATA_EXPECTED: u32 = 4;

/// Text above this size grows by an eighth instead of doubling.
const BIG_TEXT_BYTES: usize = 1 << 20;
/// An event below this size is never worth compacting.
const COMPACT_BYTES_MIN: usize = 16 * 1024;

pub(crate) const DATA: u32 = 0;
pub(crate) const META: u32 = 1;
/// A key that is not in the process-wide table: the rest of the bits are the range of its text.
const LOCAL: u32 = 1 << 31;

pub(crate) struct WellKnown {
    pub(crate) timestamp: KeyId,
    pub(crate) version: KeyId,
    pub(crate) metadata: KeyId,
    pub(crate) tags: KeyId,
    pub(crate) message: KeyId,
}

/// Interned before any data can fill the table.
pub(crate) static WELL_KNOWN: LazyLock<WellKnown> = LazyLock::new(|| {
    let key = |name| KeyId::intern(name).unwrap_or(KeyId(u32::MAX >> 1));
    WellKnown {
        timestamp: key(TIMESTAMP),
        version: key(VERSION),
        metadata: key(METADATA),
        tags: key(TAGS),
        message: key("message"),
    }
});

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Int,
    BigInt,
    Float,
    Decimal,
    /// Nanoseconds since 1970 in 64 bits.
    Timestamp,
    /// Seconds and nanoseconds in the range `a`.
    WideTimestamp,
    Str,
    Array,
    Object,
}

/// A value; `key` counts only inside a hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) key: u32,
    pub(crate) kind: Kind,
    /// A string that stands in quotes in the text, as JSON writes it: with nothing in it that needs an escape.
    pub(crate) quoted: bool,
    pub(crate) a: u32,
    pub(crate) b: u32,
}

impl Node {
    pub(crate) const NULL: Node = Node::plain(Kind::Null);

    pub(crate) const fn plain(kind: Kind) -> Node {
        Node::new(kind, 0, 0)
    }

    pub(crate) const fn new(kind: Kind, a: u32, b: u32) -> Node {
        Node { key: 0, kind, quoted: false, a, b }
    }

    pub(crate) fn bits(kind: Kind, bits: u64) -> Node {
        Node::new(kind, bits as u32, (bits >> 32) as u32)
    }

    pub(crate) fn int(value: i64) -> Node {
        Node::bits(Kind::Int, value as u64)
    }

    pub(crate) fn float(value: f64) -> Node {
        Node::bits(Kind::Float, value.to_bits())
    }

    fn value_bits(self) -> u64 {
        u64::from(self.a) | u64::from(self.b) << 32
    }

    pub(crate) fn with_key(self, key: u32) -> Node {
        Node { key, ..self }
    }
}

/// The members of a hash or list; also the place of a local key's text, or a wide timestamp.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) cap: u32,
}

/// A piece of an event's text, valid until the event is compacted (that is, within one filter call).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSpan {
    start: u32,
    len: u32,
}

impl TextSpan {
    /// The bytes `range` of this span, as a span.
    pub fn slice(self, range: std::ops::Range<usize>) -> TextSpan {
        let start = range.start.min(self.len as usize) as u32;
        let end = range.end.clamp(start as usize, self.len as usize) as u32;
        TextSpan { start: self.start + start, len: end - start }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Why a field could not be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The path leads through a value that is neither hash nor list.
    #[error(
        "Could not set field '{field}' on object '{on}' to value '{value}'.This is probably due to trying to set a field like [foo][bar] = someValuewhen [foo] is not either a map or a string"
    )]
    NotAContainer {
        /// The last name of the path.
        field: String,
        /// The value in the way.
        on: String,
        /// The value to be set.
        value: String,
    },
    /// `@timestamp` holds timestamps only.
    #[error("wrong argument type {0} (expected LogStash::Timestamp)")]
    Timestamp(&'static str),
    /// `@metadata` is a hash.
    #[error("[@metadata] must be a hash, not {0}")]
    Metadata(&'static str),
    /// `tags` is a string or a list of strings.
    #[error("Could not set tags to '{0}': tags must be a string or a list of strings")]
    Tags(String),
    /// The list index lies before the start or too far behind the end.
    #[error("list index {0} is out of range")]
    Index(i64),
}

/// One event.
pub struct Event {
    pub(crate) text: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) ranges: Vec<Range>,
    /// A bit for each top-level name, by its number: most names that are not there are known at a glance. A name that
    /// was removed may leave its bit behind.
    names: u64,
    origin: Option<Origin>,
    cancelled: bool,
    /// Text and nodes that were live after the last compaction, in bytes.
    compacted_bytes: u32,
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Event {
    fn clone(&self) -> Event {
        self.clone_into_room(Weight::default())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let (text, nodes) = (std::mem::take(&mut self.text), std::mem::take(&mut self.nodes));
        spare::keep(text, nodes, std::mem::take(&mut self.ranges));
    }
}

impl Event {
    /// An event of now: `@timestamp` and `@version` are set.
    pub fn new() -> Event {
        Event::at(Timestamp::now())
    }

    /// An event of `timestamp`: `@timestamp` and `@version` are set.
    pub fn at(timestamp: Timestamp) -> Event {
        let mut event = Event::bare(0);
        event.complete(timestamp);
        event
    }

    /// An event with nothing at all in it, and room for `text_bytes` of text.
    pub(crate) fn bare(text_bytes: usize) -> Event {
        let mut event = Event::in_room(text_bytes, 2 * FIELDS_EXPECTED as usize, 6);
        event.ranges.push(Range { start: 0, len: 0, cap: FIELDS_EXPECTED });
        event.ranges.push(Range { start: FIELDS_EXPECTED, len: 0, cap: METADATA_EXPECTED });
        event.nodes.resize((FIELDS_EXPECTED + METADATA_EXPECTED) as usize, Node::NULL);
        event
    }

    /// An event without even its two hashes, in a used arena if there is one.
    fn in_room(text_bytes: usize, nodes: usize, ranges: usize) -> Event {
        let (mut text, mut node_list, mut range_list) = spare::take();
        text.reserve(text_bytes);
        node_list.reserve(nodes);
        range_list.reserve(ranges);
        Event {
            text,
            nodes: node_list,
            ranges: range_list,
            names: 0,
            origin: None,
            cancelled: false,
            compacted_bytes: 0,
        }
    }

    /// A copy with room for more.
    fn clone_into_room(&self, room: Weight) -> Event {
        let mut copy = Event::in_room(
            self.text.len() + room.text,
            self.nodes.len() + room.nodes,
            self.ranges.len() + room.ranges,
        );
        copy.text.push_str(&self.text);
        copy.nodes.extend_from_slice(&self.nodes);
        copy.ranges.extend_from_slice(&self.ranges);
        copy.names = self.names;
        copy.origin = self.origin;
        copy.cancelled = self.cancelled;
        copy.compacted_bytes = self.compacted_bytes;
        copy
    }

    /// An event of `timestamp` with `message` set.
    pub fn from_message(message: &str, timestamp: Timestamp) -> Event {
        let mut event = Event::bare(message.len() + (message.len() / 64).clamp(64, 4096));
        let well_known = &*WELL_KNOWN;
        let time = event.push_timestamp(timestamp);
        event.append(DATA, time.with_key(well_known.timestamp.0));
        let version = event.push_str("1");
        event.append(DATA, version.with_key(well_known.version.0));
        let node = event.push_str(message);
        event.append(DATA, node.with_key(well_known.message.0));
        // Nothing of a new event is waste.
        event.compacted_bytes = u32::try_from(event.text.len()).unwrap_or(u32::MAX);
        event
    }

    /// The event that Logstash makes of a hash: `@metadata` split off, `@timestamp` coerced, illegal tags moved aside.
    ///
    /// `now` becomes `@timestamp` where the hash has none (or none that can be read).
    pub fn from_fields(fields: &[(String, Value)], now: Timestamp) -> Event {
        let mut event = Event::bare(256);
        for (name, value) in fields {
            let node = event.push_value(value);
            event.insert(DATA, &Key::new(name), node);
        }
        event.adopt(now);
        event
    }

    /// Applies the rules for new events to fields that were put in as they came.
    pub(crate) fn adopt(&mut self, now: Timestamp) {
        self.adopt_metadata();
        self.adopt_tags();
        self.adopt_timestamp(now);
        if self.find_id(DATA, WELL_KNOWN.version).is_none() {
            self.set_version();
        }
    }

    fn adopt_metadata(&mut self) {
        let Some(at) = self.find_id(DATA, WELL_KNOWN.metadata) else { return };
        // Anything but a hash has no place to go; Logstash refuses such an event, we keep the rest of it.
        let node = self.nodes[at];
        self.remove_at(DATA, at);
        if node.kind == Kind::Object {
            self.set_members(META, node.a);
        }
    }

    fn adopt_tags(&mut self) {
        let Some(at) = self.find_id(DATA, WELL_KNOWN.tags) else { return };
        let node = self.nodes[at];
        if self.tags_are_legal(node) {
            return;
        }
        let list = self.push_range(&[node.with_key(0)]);
        self.insert(DATA, &Key::new("_tags"), Node::new(Kind::Array, list, 0));
        self.replace_tags("_tagsparsefailure");
    }

    fn replace_tags(&mut self, tag: &str) {
        let tag = self.push_str(tag);
        let list = self.push_range(&[tag]);
        self.insert(DATA, &TAGS_KEY, Node::new(Kind::Array, list, 0));
    }

    fn tags_are_legal(&self, node: Node) -> bool {
        match node.kind {
            Kind::Str => true,
            Kind::Array => self.members(node.a).iter().all(|tag| tag.kind == Kind::Str),
            _ => false,
        }
    }

    fn adopt_timestamp(&mut self, now: Timestamp) {
        let Some(at) = self.find_id(DATA, WELL_KNOWN.timestamp) else {
            return self.set_timestamp(now);
        };
        let node = self.nodes[at];
        match self.resolve(node) {
            ValueRef::Timestamp(_) => {}
            ValueRef::Null => self.set_timestamp(now),
            ValueRef::Str(text) => match Timestamp::parse(text) {
                Some(timestamp) => self.set_timestamp(timestamp),
                None => self.refuse_timestamp(node, now),
            },
            _ => self.refuse_timestamp(node, now),
        }
    }

    fn refuse_timestamp(&mut self, node: Node, now: Timestamp) {
        self.insert(DATA, &Key::new("_@timestamp"), node);
        self.set_timestamp(now);
        self.tag("_timestampparsefailure");
    }

    fn complete(&mut self, timestamp: Timestamp) {
        self.set_timestamp(timestamp);
        self.set_version();
    }

    fn set_version(&mut self) {
        let node = self.push_str("1");
        self.insert(DATA, &VERSION_KEY, node);
    }

    // --- reading ---

    /// The value at `field`; `None` where there is none (a null that was set is `Some(ValueRef::Null)`).
    pub fn get(&self, field: &FieldRef) -> Option<ValueRef<'_>> {
        if field.path.is_empty() {
            return Some(ValueRef::Object(ObjectRef { event: self, range: root_range(field.root) }));
        }
        let at = self.find(field)?;
        Some(self.resolve(self.nodes[at]))
    }

    /// The text at `field`, where that is a string.
    pub fn get_str(&self, field: &FieldRef) -> Option<&str> {
        self.get(field)?.as_str()
    }

    /// Whether `field` is there, null or not; `[@metadata]` always.
    pub fn contains(&self, field: &FieldRef) -> bool {
        field.path.is_empty() || self.find(field).is_some()
    }

    /// The string at `field` as a span of this event's text, for [`Event::set_slice`].
    pub fn str_span(&self, field: &FieldRef) -> Option<TextSpan> {
        let at = self.find(field)?;
        let node = self.nodes[at];
        (node.kind == Kind::Str).then_some(TextSpan { start: node.a, len: node.b })
    }

    /// The text of a span.
    pub fn text(&self, span: TextSpan) -> &str {
        self.text.get(span.start as usize..(span.start + span.len) as usize).unwrap_or_default()
    }

    /// The top-level fields, without `@metadata`.
    pub fn fields(&self) -> ObjectRef<'_> {
        ObjectRef { event: self, range: DATA }
    }

    /// The fields of `@metadata`.
    pub fn metadata(&self) -> ObjectRef<'_> {
        ObjectRef { event: self, range: META }
    }

    /// `@timestamp`, unless it was removed.
    pub fn timestamp(&self) -> Option<Timestamp> {
        let at = self.find_id(DATA, WELL_KNOWN.timestamp)?;
        match self.resolve(self.nodes[at]) {
            ValueRef::Timestamp(timestamp) => Some(timestamp),
            _ => None,
        }
    }

    /// An owned copy of the fields, without `@metadata`.
    pub fn to_value(&self) -> Value {
        ValueRef::Object(self.fields()).to_value()
    }

    /// What this event weighs in memory, in bytes: what it holds and the room that it has.
    pub fn byte_size(&self) -> usize {
        size_of::<Event>()
            + self.text.capacity()
            + self.nodes.capacity() * size_of::<Node>()
            + self.ranges.capacity() * size_of::<Range>()
    }

    /// Where the event was read; `None` where that could not be found again.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// Says where the event was read.
    pub fn set_origin(&mut self, origin: Option<Origin>) {
        self.origin = origin;
    }

    /// Its text as it lies in memory: the same for events that were made in the same way of the same bytes.
    pub fn raw_text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether the event was dropped.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Drops the event: it goes no further than the present filter.
    pub fn cancel(&mut self) {
        self.cancelled = true;
    }

    // --- writing ---

    /// Sets `field`, making the hashes on its way.
    pub fn set(&mut self, field: &FieldRef, value: impl Into<Value>) -> Result<(), SetError> {
        let node = self.push_value(&value.into());
        self.set_node(field, node)
    }

    /// Sets `field` to a copy of a value of another event.
    pub fn set_ref(&mut self, field: &FieldRef, value: ValueRef<'_>) -> Result<(), SetError> {
        let node = self.push_ref(value);
        self.set_node(field, node)
    }

    /// A copy of this event with `field` set to a copy of a value of another one: [`Event::clone`] and
    /// [`Event::set_ref`] in memory that has room for both and for some more fields.
    pub fn clone_with(&self, field: &FieldRef, value: ValueRef<'_>) -> Result<Event, SetError> {
        const ROOM: Weight = Weight { text: 64, nodes: 32, ranges: 4 };
        let mut weight = ROOM;
        weight.add(value);
        let mut copy = self.clone_into_room(weight);
        copy.set_ref(field, value)?;
        Ok(copy)
    }

    /// Sets `field` to a string.
    pub fn set_str(&mut self, field: &FieldRef, text: &str) -> Result<(), SetError> {
        let node = self.push_str(text);
        self.set_node(field, node)
    }

    /// Sets `field` to a string that is already part of this event, without copying it.
    pub fn set_slice(&mut self, field: &FieldRef, span: TextSpan) -> Result<(), SetError> {
        self.set_node(field, Node::new(Kind::Str, span.start, span.len))
    }

    /// As [`Event::set_slice`], where there is no value yet or a null; whether it was so.
    pub fn fill_slice(&mut self, field: &FieldRef, span: TextSpan) -> Result<bool, SetError> {
        let there = self.find(field).map(|at| self.nodes[at].kind);
        if there.is_some_and(|kind| kind != Kind::Null) {
            return Ok(false);
        }
        let node = Node::new(Kind::Str, span.start, span.len);
        match field.plain {
            Some(id) if there.is_none() => self.append(DATA, node.with_key(id.0)),
            _ => self.set_node(field, node)?,
        }
        Ok(true)
    }

    /// Sets `@timestamp`.
    pub fn set_timestamp(&mut self, timestamp: Timestamp) {
        let node = self.push_timestamp(timestamp);
        self.insert(DATA, &TIMESTAMP_KEY, node);
    }

    /// Removes `field`; whether it was there. Elements of a list move up; `[@metadata]` is emptied.
    pub fn remove(&mut self, field: &FieldRef) -> bool {
        self.detach(field).is_some()
    }

    /// Removes `field` and returns its value.
    pub fn take(&mut self, field: &FieldRef) -> Option<Value> {
        let value = self.get(field)?.to_value();
        self.remove(field);
        Some(value)
    }

    /// Moves the value of `from` to `to` without copying it; `Ok(false)` where there is none. Where it cannot be set,
    /// the value is lost, as in Logstash.
    pub fn rename(&mut self, from: &FieldRef, to: &FieldRef) -> Result<bool, SetError> {
        match self.detach(from) {
            Some(node) => self.set_node(to, node).map(|()| true),
            None => Ok(false),
        }
    }

    /// Sets `to` to a deep copy of `from`; `Ok(false)` where there is none.
    pub fn copy(&mut self, from: &FieldRef, to: &FieldRef) -> Result<bool, SetError> {
        let node = if from.path.is_empty() {
            Node::new(Kind::Object, root_range(from.root), 0)
        } else {
            match self.find(from) {
                Some(at) => self.nodes[at],
                None => return Ok(false),
            }
        };
        let copy = self.copy_node(node);
        self.set_node(to, copy).map(|()| true)
    }

    /// Adds `tag` unless it is there already.
    pub fn tag(&mut self, tag: &str) {
        let present = match self.find_id(DATA, WELL_KNOWN.tags).map(|at| self.resolve(self.nodes[at])) {
            Some(ValueRef::Str(only)) => only == tag,
            Some(ValueRef::Array(tags)) => tags.iter().any(|t| t.as_str() == Some(tag)),
            _ => false,
        };
        if !present {
            self.push_tag(tag);
        }
    }

    /// Adds `tag`, also where it is there already (the common option `add_tag`).
    pub fn push_tag(&mut self, tag: &str) {
        let node = self.push_str(tag);
        let Some(at) = self.find_id(DATA, WELL_KNOWN.tags) else {
            let list = self.push_range(&[node]);
            return self.insert(DATA, &TAGS_KEY, Node::new(Kind::Array, list, 0));
        };
        let tags = self.nodes[at];
        match tags.kind {
            Kind::Array => self.append(tags.a, node),
            Kind::Null => {
                let list = self.push_range(&[node]);
                self.insert(DATA, &TAGS_KEY, Node::new(Kind::Array, list, 0));
            }
            _ => {
                let list = self.push_range(&[tags.with_key(0), node]);
                self.insert(DATA, &TAGS_KEY, Node::new(Kind::Array, list, 0));
            }
        }
    }

    /// Removes every tag equal to `tag`; a string becomes a list.
    pub fn remove_tag(&mut self, tag: &str) {
        let Some(at) = self.find_id(DATA, WELL_KNOWN.tags) else { return };
        let mut node = self.nodes[at];
        if node.kind == Kind::Str {
            let list = self.push_range(&[node.with_key(0)]);
            node = Node::new(Kind::Array, list, 0).with_key(node.key);
            self.nodes[at] = node;
        }
        if node.kind != Kind::Array {
            return;
        }
        let kept: Vec<Node> = self
            .members(node.a)
            .iter()
            .filter(|t| self.resolve(**t).as_str() != Some(tag))
            .copied()
            .collect();
        let range = &mut self.ranges[node.a as usize];
        range.len = kept.len() as u32;
        let start = range.start as usize;
        self.nodes[start..start + kept.len()].copy_from_slice(&kept);
    }

    /// Removes every field but those of `@metadata`.
    pub fn clear_fields(&mut self) {
        self.ranges[DATA as usize].len = 0;
    }

    /// Copies what is alive into a new arena when most of the old one is not. Spans become invalid.
    pub fn compact_if_wasteful(&mut self) {
        let used = self.text.len() + self.nodes.len() * size_of::<Node>();
        if used > COMPACT_BYTES_MIN && used > 2 * self.compacted_bytes as usize {
            self.compact();
        }
    }

    /// Says that nothing of the arena is waste.
    pub(crate) fn all_text_is_live(&mut self) {
        let used = self.text.len() + self.nodes.len() * size_of::<Node>();
        self.compacted_bytes = u32::try_from(used).unwrap_or(u32::MAX);
    }

    /// Copies what is alive into a new arena. Spans become invalid.
    pub fn compact(&mut self) {
        let mut fresh = Event::bare(256);
        let mut spans = Spans::default();
        for root in [DATA, META] {
            let members = fresh.adopt_members(self, root, &mut spans);
            fresh.set_members(root, members);
        }
        fresh.cancelled = self.cancelled;
        fresh.origin = self.origin;
        fresh.all_text_is_live();
        *self = fresh;
    }

    // --- the arena ---

    #[inline]
    pub(crate) fn members(&self, range: u32) -> &[Node] {
        let range = self.ranges[range as usize];
        &self.nodes[range.start as usize..(range.start + range.len) as usize]
    }

    pub(crate) fn resolve(&self, node: Node) -> ValueRef<'_> {
        let text = || self.text.get(node.a as usize..(node.a + node.b) as usize).unwrap_or_default();
        match node.kind {
            Kind::Null => ValueRef::Null,
            Kind::False => ValueRef::Bool(false),
            Kind::True => ValueRef::Bool(true),
            Kind::Int => ValueRef::Int(node.value_bits() as i64),
            Kind::BigInt => ValueRef::BigInt(text()),
            Kind::Float => ValueRef::Float(f64::from_bits(node.value_bits())),
            Kind::Decimal => ValueRef::Decimal(text()),
            Kind::Timestamp => {
                ValueRef::Timestamp(Timestamp::from_nanos(i128::from(node.value_bits() as i64)))
            }
            Kind::WideTimestamp => {
                let parts = self.ranges[node.a as usize];
                let secs = u64::from(parts.start) | u64::from(parts.len) << 32;
                ValueRef::Timestamp(Timestamp::from_parts(secs as i64, parts.cap))
            }
            Kind::Str => ValueRef::Str(text()),
            Kind::Array => ValueRef::Array(ArrayRef { event: self, range: node.a }),
            Kind::Object => ValueRef::Object(ObjectRef { event: self, range: node.a }),
        }
    }

    pub(crate) fn key_name(&self, key: u32) -> &str {
        if key & LOCAL == 0 {
            return KeyId(key).name();
        }
        let place = self.ranges[(key & !LOCAL) as usize];
        self.text.get(place.start as usize..(place.start + place.len) as usize).unwrap_or_default()
    }

    pub(crate) fn is_local(key: u32) -> bool {
        key & LOCAL != 0
    }

    /// Where the text of a local key lies.
    pub(crate) fn local_place(&self, key: u32) -> (u32, u32) {
        let place = self.ranges[(key & !LOCAL) as usize];
        (place.start, place.len)
    }

    /// A local key whose name is text of this event already.
    pub(crate) fn local_key_at(&mut self, start: u32, len: u32) -> u32 {
        self.ranges.push(Range { start, len, cap: 0 });
        (self.ranges.len() - 1) as u32 | LOCAL
    }

    fn local_key(&mut self, name: &str) -> u32 {
        let node = self.push_str(name);
        self.local_key_at(node.a, node.b)
    }

    #[inline]
    fn find_id(&self, range: u32, id: KeyId) -> Option<usize> {
        if range == DATA && self.names & name_bit(id.0) == 0 {
            return None;
        }
        let at = self.members(range).iter().position(|node| node.key == id.0)?;
        Some(self.ranges[range as usize].start as usize + at)
    }

    fn find_key(&self, range: u32, key: &Key) -> Option<usize> {
        match &key.0 {
            KeyRepr::Interned(id) => self.find_id(range, *id),
            KeyRepr::Owned(name) => self.find_local(range, name),
        }
    }

    fn find_local(&self, range: u32, name: &str) -> Option<usize> {
        let at =
            self.members(range).iter().position(|n| n.key & LOCAL != 0 && self.key_name(n.key) == name)?;
        Some(self.ranges[range as usize].start as usize + at)
    }

    fn find_name(&self, range: u32, name: &str) -> Option<usize> {
        match KeyId::intern(name) {
            Some(id) => self.find_id(range, id),
            None => self.find_local(range, name),
        }
    }

    fn find_in(&self, (range, kind): (u32, Kind), segment: &Segment) -> Option<usize> {
        if kind == Kind::Object {
            return self.find_key(range, &segment.key);
        }
        let Range { start, len, .. } = self.ranges[range as usize];
        let at = list_index(segment.index?, len as usize)?;
        Some(start as usize + at)
    }

    fn find_container(&self, root: u32, path: &[Segment]) -> Option<(u32, Kind)> {
        let mut at = (root, Kind::Object);
        for segment in path {
            let node = self.nodes[self.find_in(at, segment)?];
            if !matches!(node.kind, Kind::Array | Kind::Object) {
                return None;
            }
            at = (node.a, node.kind);
        }
        Some(at)
    }

    /// The place of a field's value.
    fn find(&self, field: &FieldRef) -> Option<usize> {
        if let Some(id) = field.plain {
            return self.find_id(DATA, id);
        }
        let (last, above) = field.path.split_last()?;
        self.find_in(self.find_container(root_range(field.root), above)?, last)
    }

    pub(crate) fn push_str(&mut self, text: &str) -> Node {
        let room = EVENT_TEXT_BYTES_MAX.saturating_sub(self.text.len());
        let text = if text.len() > room { &text[..text.floor_char_boundary(room)] } else { text };
        let start = self.text.len() as u32;
        if text.len() > self.text.capacity() - self.text.len() {
            self.grow_text(text.len());
        }
        self.text.push_str(text);
        Node::new(Kind::Str, start, text.len() as u32)
    }

    /// Makes room for more text. Doubling a line of many megabytes for the name of its host would be a waste.
    #[cold]
    fn grow_text(&mut self, bytes: usize) {
        let length = self.text.len();
        let spare = if length > BIG_TEXT_BYTES { length / 8 } else { length };
        self.text.reserve_exact(bytes.max(spare));
    }

    pub(crate) fn push_timestamp(&mut self, timestamp: Timestamp) -> Node {
        if let Ok(nanos) = i64::try_from(timestamp.to_nanos()) {
            return Node::bits(Kind::Timestamp, nanos as u64);
        }
        let secs = timestamp.secs() as u64;
        self.ranges.push(Range { start: secs as u32, len: (secs >> 32) as u32, cap: timestamp.nanos() });
        Node::new(Kind::WideTimestamp, (self.ranges.len() - 1) as u32, 0)
    }

    /// A new range with these members.
    pub(crate) fn push_range(&mut self, members: &[Node]) -> u32 {
        let (start, len) = (self.nodes.len() as u32, members.len() as u32);
        self.nodes.extend_from_slice(members);
        self.ranges.push(Range { start, len, cap: len });
        (self.ranges.len() - 1) as u32
    }

    fn push_value(&mut self, value: &Value) -> Node {
        match value {
            Value::Null => Node::NULL,
            Value::Bool(b) => Node::plain(if *b { Kind::True } else { Kind::False }),
            Value::Int(i) => Node::int(*i),
            Value::BigInt(text) => Node { kind: Kind::BigInt, ..self.push_str(text) },
            Value::Float(f) => Node::float(*f),
            Value::Decimal(text) => Node { kind: Kind::Decimal, ..self.push_str(text) },
            Value::Timestamp(timestamp) => self.push_timestamp(*timestamp),
            Value::String(text) => self.push_str(text),
            Value::Array(list) => {
                let members: Vec<Node> = list.iter().map(|value| self.push_value(value)).collect();
                Node::new(Kind::Array, self.push_range(&members), 0)
            }
            Value::Object(fields) => {
                let range = self.push_range(&[]);
                for (name, value) in fields {
                    let node = self.push_value(value);
                    self.insert(range, &Key::new(name), node);
                }
                Node::new(Kind::Object, range, 0)
            }
        }
    }

    fn push_ref(&mut self, value: ValueRef<'_>) -> Node {
        let (other, range, kind) = match value {
            ValueRef::Str(text) => return self.push_str(text),
            ValueRef::Array(array) => (array.event, array.range, Kind::Array),
            ValueRef::Object(object) => (object.event, object.range, Kind::Object),
            _ => return self.push_value(&value.to_value()),
        };
        let range = self.adopt_members(other, range, &mut Spans::default());
        Node::new(kind, range, 0)
    }

    /// Copies a range of another event, deeply.
    fn adopt_members(&mut self, other: &Event, range: u32, spans: &mut Spans) -> u32 {
        let (members, start) = (other.members(range), self.nodes.len());
        let len = members.len() as u32;
        // The places first: what the members hold comes behind them.
        self.nodes.resize(start + members.len(), Node::NULL);
        for (at, node) in members.iter().enumerate() {
            self.nodes[start + at] = self.adopt_node(other, *node, spans);
        }
        self.ranges.push(Range { start: start as u32, len, cap: len });
        (self.ranges.len() - 1) as u32
    }

    fn adopt_node(&mut self, other: &Event, node: Node, spans: &mut Spans) -> Node {
        let key = if node.key & LOCAL == 0 { node.key } else { self.local_key(other.key_name(node.key)) };
        let copy = match node.kind {
            Kind::Str if node.quoted => {
                // With its quotes.
                let place = self.push_str(other.text(TextSpan { start: node.a - 1, len: node.b + 2 }));
                Node { a: place.a + 1, quoted: place.b == node.b + 2, ..node }
            }
            Kind::Str | Kind::BigInt | Kind::Decimal => {
                let (a, b) = spans.place((node.a, node.b), || {
                    let place = self.push_str(other.text(TextSpan { start: node.a, len: node.b }));
                    (place.a, place.b)
                });
                Node { a, b, ..node }
            }
            Kind::Array | Kind::Object => Node { a: self.adopt_members(other, node.a, spans), ..node },
            Kind::WideTimestamp => {
                self.ranges.push(other.ranges[node.a as usize]);
                Node { a: (self.ranges.len() - 1) as u32, ..node }
            }
            _ => node,
        };
        copy.with_key(key)
    }

    /// A deep copy inside this event; text is shared.
    fn copy_node(&mut self, node: Node) -> Node {
        if !matches!(node.kind, Kind::Array | Kind::Object) {
            return node;
        }
        let members: Vec<Node> = self.members(node.a).to_vec();
        let members: Vec<Node> = members.into_iter().map(|n| self.copy_node(n).with_key(n.key)).collect();
        Node { a: self.push_range(&members), ..node }
    }

    /// Sets a member of a hash, replacing the one of that name.
    pub(crate) fn insert(&mut self, range: u32, key: &Key, node: Node) {
        let name = match &key.0 {
            KeyRepr::Interned(id) => return self.insert_id(range, *id, node),
            KeyRepr::Owned(name) => name,
        };
        match self.find_local(range, name) {
            Some(at) => self.nodes[at] = node.with_key(self.nodes[at].key),
            None => {
                let number = self.local_key(name);
                self.append(range, node.with_key(number));
            }
        }
    }

    #[inline]
    fn insert_id(&mut self, range: u32, id: KeyId, node: Node) {
        match self.find_id(range, id) {
            Some(at) => self.nodes[at] = node.with_key(id.0),
            None => self.append(range, node.with_key(id.0)),
        }
    }

    /// Sets the members of `range` that are plain fields, in order, up to the first one that is not; gives its place.
    pub(crate) fn merge_plain(&mut self, at: u32, end: u32) -> u32 {
        for at in at..end {
            let node = self.nodes[at as usize];
            if Event::is_local(node.key) || !KeyId(node.key).is_plain() {
                return at;
            }
            self.insert_id(DATA, KeyId(node.key), node);
        }
        end
    }

    pub(crate) fn take_member(&mut self, range: u32, name: &Key) -> Option<Value> {
        let at = self.find_key(range, name)?;
        let value = self.resolve(self.nodes[at]).to_value();
        self.remove_at(range, at);
        Some(value)
    }

    /// Copies a value of another event, deeply.
    pub(crate) fn push_foreign(&mut self, other: &Event, node: Node) -> Node {
        self.adopt_node(other, node, &mut Spans::default())
    }

    pub(crate) fn bounds(&self, span: TextSpan) -> (usize, usize) {
        (span.start as usize, (span.start + span.len) as usize)
    }

    /// Adds a member at the end of a hash or list.
    #[inline]
    pub(crate) fn append(&mut self, range: u32, node: Node) {
        if range == DATA {
            self.names |= name_bit(node.key);
        }
        let mut place = self.ranges[range as usize];
        if place.len == place.cap {
            place = self.grow_range(range);
        }
        self.nodes[(place.start + place.len) as usize] = node;
        self.ranges[range as usize].len = place.len + 1;
    }

    /// Makes room in a range that has none.
    #[cold]
    fn grow_range(&mut self, range: u32) -> Range {
        let Range { start, len, cap } = self.ranges[range as usize];
        let cap = (cap * 2).max(4);
        let from = start as usize;
        if from + len as usize == self.nodes.len() {
            // The last range grows where it is.
            self.nodes.resize(from + cap as usize, Node::NULL);
            self.ranges[range as usize].cap = cap;
        } else {
            let to = self.nodes.len();
            self.nodes.extend_from_within(from..from + len as usize);
            self.nodes.resize(to + cap as usize, Node::NULL);
            self.ranges[range as usize] = Range { start: to as u32, len, cap };
        }
        self.ranges[range as usize]
    }

    /// Makes the members of `range` those of the event or of `@metadata`.
    pub(crate) fn set_members(&mut self, root: u32, range: u32) {
        self.ranges[root as usize] = self.ranges[range as usize];
        if root == DATA {
            self.names = self.members(DATA).iter().fold(0, |names, node| names | name_bit(node.key));
        }
    }

    fn remove_at(&mut self, range: u32, at: usize) {
        let range = &mut self.ranges[range as usize];
        let end = (range.start + range.len) as usize;
        range.len -= 1;
        self.nodes.copy_within(at + 1..end, at);
    }

    /// Takes a value out of the event without freeing it.
    fn detach(&mut self, field: &FieldRef) -> Option<Node> {
        if let Some(id) = field.plain {
            let at = self.find_id(DATA, id)?;
            let node = self.nodes[at];
            self.remove_at(DATA, at);
            return Some(node.with_key(0));
        }
        let root = root_range(field.root);
        let Some((last, above)) = field.path.split_last() else {
            let all = self.members(root).to_vec();
            self.ranges[root as usize].len = 0;
            return Some(Node::new(Kind::Object, self.push_range(&all), 0));
        };
        let container = self.find_container(root, above)?;
        let at = self.find_in(container, last)?;
        let node = self.nodes[at];
        self.remove_at(container.0, at);
        Some(node.with_key(0))
    }

    pub(crate) fn set_node(&mut self, field: &FieldRef, node: Node) -> Result<(), SetError> {
        if let Some(id) = field.plain {
            self.insert_id(DATA, id, node);
            return Ok(());
        }
        let root = root_range(field.root);
        let Some((last, above)) = field.path.split_last() else {
            return self.set_root(root, node);
        };
        if root == DATA {
            self.check_reserved(field, node)?;
        }
        let mut at = (root, Kind::Object);
        for segment in above {
            at = match self.descend(at, segment).map_err(|on| self.not_a_container(last, on, node))? {
                Descent::Into(range, kind) => (range, kind),
                Descent::Lost => return Ok(()),
                Descent::OutOfRange(index) => return Err(SetError::Index(index)),
            };
        }
        self.put(at, last, node)
    }

    /// `@metadata` is replaced by a hash; an event as a whole cannot be set.
    fn set_root(&mut self, root: u32, node: Node) -> Result<(), SetError> {
        if node.kind != Kind::Object {
            return Err(SetError::Metadata(kind_name(node.kind)));
        }
        self.set_members(root, node.a);
        Ok(())
    }

    fn check_reserved(&self, field: &FieldRef, node: Node) -> Result<(), SetError> {
        let first = field.path.first().and_then(|segment| segment.key.id());
        if first == Some(WELL_KNOWN.timestamp) && field.path.len() == 1 {
            let legal = matches!(node.kind, Kind::Timestamp | Kind::WideTimestamp);
            return if legal { Ok(()) } else { Err(SetError::Timestamp(kind_name(node.kind))) };
        }
        if first == Some(WELL_KNOWN.tags) {
            let legal = field.path.len() == 1 && self.tags_are_legal(node);
            // An element of a list of tags may be replaced by a string.
            let element = field.path.len() == 2
                && field.path[1].index.is_some()
                && node.kind == Kind::Str
                && self.find_id(DATA, WELL_KNOWN.tags).is_some_and(|at| self.nodes[at].kind == Kind::Array);
            if !legal && !element {
                return Err(SetError::Tags(self.java_text(node)));
            }
        }
        Ok(())
    }

    /// Steps into a member, making a hash of what is missing. A null that was set is in the way like any other value,
    /// except in a list, where nulls also fill the gaps.
    fn descend(&mut self, (range, kind): (u32, Kind), segment: &Segment) -> Result<Descent, Node> {
        if kind == Kind::Array {
            let Some(index) = segment.index else { return Ok(Descent::Lost) };
            match self.pad_to(range, index) {
                Err(_) => return Ok(Descent::OutOfRange(index)),
                Ok(at) => return self.enter(at),
            }
        }
        match self.find_key(range, &segment.key) {
            Some(at) if self.nodes[at].kind == Kind::Null => Err(self.nodes[at]),
            Some(at) => self.enter(at),
            None => {
                self.insert(range, &segment.key, Node::NULL);
                let range = self.ranges[range as usize];
                self.enter((range.start + range.len - 1) as usize)
            }
        }
    }

    fn enter(&mut self, at: usize) -> Result<Descent, Node> {
        let node = self.nodes[at];
        match node.kind {
            Kind::Array | Kind::Object => Ok(Descent::Into(node.a, node.kind)),
            Kind::Null => {
                let range = self.push_range(&[]);
                self.nodes[at] = Node::new(Kind::Object, range, 0).with_key(node.key);
                Ok(Descent::Into(range, Kind::Object))
            }
            _ => Err(node),
        }
    }

    fn put(&mut self, (range, kind): (u32, Kind), segment: &Segment, node: Node) -> Result<(), SetError> {
        if kind == Kind::Object {
            self.insert(range, &segment.key, node);
            return Ok(());
        }
        // A name that is no number is lost on a list.
        let Some(index) = segment.index else { return Ok(()) };
        let at = self.pad_to(range, index)?;
        self.nodes[at] = node.with_key(0);
        Ok(())
    }

    /// The place of a list's element, padding the list with nulls up to it.
    fn pad_to(&mut self, range: u32, index: i64) -> Result<usize, SetError> {
        let len = self.ranges[range as usize].len as usize;
        if let Some(at) = list_index(index, len) {
            return Ok(self.ranges[range as usize].start as usize + at);
        }
        let wanted =
            usize::try_from(index).ok().filter(|at| *at < LIST_PAD_MAX).ok_or(SetError::Index(index))?;
        (len..=wanted).for_each(|_| self.append(range, Node::NULL));
        Ok(self.ranges[range as usize].start as usize + wanted)
    }

    fn not_a_container(&self, last: &Segment, on: Node, value: Node) -> SetError {
        SetError::NotAContainer {
            field: last.key.as_str().to_owned(),
            on: self.java_text(on),
            value: self.java_text(value),
        }
    }

    fn java_text(&self, node: Node) -> String {
        let mut text = String::new();
        self.resolve(node).write_java(&mut text);
        text
    }
}

/// What a value takes in an arena.
#[derive(Default)]
struct Weight {
    text: usize,
    nodes: usize,
    ranges: usize,
}

impl Weight {
    fn add(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Str(text) | ValueRef::BigInt(text) | ValueRef::Decimal(text) => self.text += text.len(),
            ValueRef::Array(array) => self.add_members(array.len(), array.iter()),
            ValueRef::Object(object) => self.add_members(object.len(), object.iter().map(|(_, value)| value)),
            _ => {}
        }
    }

    fn add_members<'a>(&mut self, len: usize, members: impl Iterator<Item = ValueRef<'a>>) {
        self.nodes += len;
        self.ranges += 1;
        members.for_each(|value| self.add(value));
    }
}

enum Descent {
    Into(u32, Kind),
    Lost,
    OutOfRange(i64),
}

/// Where spans went in a compaction, so that two fields that share text go on sharing it.
#[derive(Default)]
struct Spans(Vec<((u32, u32), (u32, u32))>);

impl Spans {
    /// Longer strings are looked up; for short ones a copy is cheaper than the search.
    const LOOKED_UP_BYTES: u32 = 64;
    const KEPT_MAX: usize = 64;

    fn place(&mut self, old: (u32, u32), push: impl FnOnce() -> (u32, u32)) -> (u32, u32) {
        if old.1 < Self::LOOKED_UP_BYTES {
            return push();
        }
        if let Some((_, new)) = self.0.iter().find(|(o, _)| *o == old) {
            return *new;
        }
        let new = push();
        if self.0.len() < Self::KEPT_MAX {
            self.0.push((old, new));
        }
        new
    }
}

static TIMESTAMP_KEY: LazyLock<Key> = LazyLock::new(|| Key(KeyRepr::Interned(WELL_KNOWN.timestamp)));
static VERSION_KEY: LazyLock<Key> = LazyLock::new(|| Key(KeyRepr::Interned(WELL_KNOWN.version)));
static TAGS_KEY: LazyLock<Key> = LazyLock::new(|| Key(KeyRepr::Interned(WELL_KNOWN.tags)));

fn name_bit(key: u32) -> u64 {
    1 << (key & 63)
}

fn root_range(root: Root) -> u32 {
    match root {
        Root::Event => DATA,
        Root::Metadata => META,
    }
}

fn list_index(index: i64, len: usize) -> Option<usize> {
    let at = if index < 0 { index + len as i64 } else { index };
    usize::try_from(at).ok().filter(|at| *at < len)
}

/// Ruby's name of a value's class.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "nil",
        Kind::False => "false",
        Kind::True => "true",
        Kind::Int | Kind::BigInt => "Integer",
        Kind::Float => "Float",
        Kind::Decimal => "BigDecimal",
        Kind::Timestamp | Kind::WideTimestamp => "LogStash::Timestamp",
        Kind::Str => "String",
        Kind::Array => "Array",
        Kind::Object => "Hash",
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        crate::json::append_value(ValueRef::Object(self.fields()), &mut text);
        f.write_str(&text)
    }
}

/// A list inside an event.
#[derive(Clone, Copy)]
pub struct ArrayRef<'a> {
    pub(crate) event: &'a Event,
    pub(crate) range: u32,
}

impl<'a> ArrayRef<'a> {
    /// Number of elements.
    pub fn len(self) -> usize {
        self.event.members(self.range).len()
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, from 0.
    pub fn get(self, index: usize) -> Option<ValueRef<'a>> {
        self.event.members(self.range).get(index).map(|node| self.event.resolve(*node))
    }

    /// The elements.
    pub fn iter(self) -> impl ExactSizeIterator<Item = ValueRef<'a>> + DoubleEndedIterator {
        self.event.members(self.range).iter().map(move |node| self.event.resolve(*node))
    }
}

impl std::fmt::Debug for ArrayRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A hash inside an event.
#[derive(Clone, Copy)]
pub struct ObjectRef<'a> {
    pub(crate) event: &'a Event,
    pub(crate) range: u32,
}

impl<'a> ObjectRef<'a> {
    /// Number of members.
    pub fn len(self) -> usize {
        self.event.members(self.range).len()
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The member named `name`, taken literally.
    pub fn get(self, name: &str) -> Option<ValueRef<'a>> {
        let at = self.event.find_name(self.range, name)?;
        Some(self.event.resolve(self.event.nodes[at]))
    }

    /// The members, in the order they were set.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (&'a str, ValueRef<'a>)> {
        self.event
            .members(self.range)
            .iter()
            .map(move |n| (self.event.key_name(n.key), self.event.resolve(*n)))
    }
}

impl std::fmt::Debug for ObjectRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Event {
        let mut event = Event::bare(0);
        Event::read_json(json, Timestamp::EPOCH, &mut |e| event = e).unwrap();
        event
    }

    fn field(text: &str) -> FieldRef {
        FieldRef::parse(text).unwrap()
    }

    #[test]
    fn a_null_is_there() {
        let event = event(r#"{"n":null,"l":[null]}"#);
        for (name, there) in
            [("n", true), ("[l][0]", true), ("[l][1]", false), ("m", false), ("@metadata", true)]
        {
            assert_eq!(event.contains(&field(name)), there, "{name}");
        }
    }

    #[test]
    fn a_null_is_in_the_way_unless_it_is_in_a_list() {
        let mut event = event(r#"{"n":null,"l":[null]}"#);
        assert!(matches!(event.set(&field("[n][x]"), 1), Err(SetError::NotAContainer { .. })));
        event.set(&field("[l][0][x]"), 1).unwrap();
        event.set(&field("[m][x]"), 1).unwrap();
        assert!(format!("{event:?}").contains(r#""n":null,"l":[{"x":1}]"#));
    }

    #[test]
    fn a_copy_with_a_value_of_another_event() {
        let list = event(r#"{"l":[{"k":["x",{"m":1.5}],"s":"t"}]}"#);
        let value = list.get(&field("[l][0]")).unwrap();
        let base = event(r#"{"a":1}"#);
        let mut copy = base.clone_with(&field("[p][q]"), value).unwrap();
        copy.set(&field("[p][q][k][1][n]"), 2).unwrap();
        let text = format!("{copy:?}");
        assert!(text.contains(r#""a":1,"#), "{text}");
        assert!(text.ends_with(r#""p":{"q":{"k":["x",{"m":1.5,"n":2}],"s":"t"}}}"#), "{text}");
        assert!(base.clone_with(&field("[a][b]"), value).is_err());
    }

    #[test]
    fn removing_a_tag_makes_a_list() {
        for (tags, left) in [(r#""x""#, "[]"), (r#""y""#, r#"["y"]"#), (r#"["x","y","x"]"#, r#"["y"]"#)] {
            let mut event = event(&format!(r#"{{"tags":{tags}}}"#));
            event.remove_tag("x");
            assert!(format!("{event:?}").contains(&format!(r#""tags":{left}"#)), "{event:?}");
        }
    }
}
