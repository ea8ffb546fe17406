//! Messages on their way to the workers, which make the events of them.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ferrostash_event::{Event, FieldRef, Origin, Timestamp, Value};
use ferrostash_plugin::framing::{Delimiter, Frame};
use ferrostash_plugin::{
    Codec, CodecFactory, CodecFailures, LineBuffers, LineChunk, LineEventSink, LineMaker, Lines, RawLines,
};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

use super::avro::{self, AvroSchema};
use super::deserializer::Deserializer;
use super::schema_registry::SchemaRegistry;

/// What an event has that keeps a value which could not be read.
pub(crate) const FAILURE_TAG: &str = "_kafkadeserializationfailure";

/// Where newer writers name a value's schema, if they are told to.
const SCHEMA_HEADER: &str = "__value_schema_id";

/// How much of a message is told to its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detail {
    Nothing,
    Basic,
    Headers,
}

/// What all messages of an input have in common.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) codec: Arc<dyn CodecFactory>,
    /// A codec that joins messages, of which each member has one.
    pub(crate) stateful: Option<Stateful>,
    pub(crate) key: Deserializer,
    pub(crate) value: Deserializer,
    pub(crate) detail: Detail,
    pub(crate) group: Arc<str>,
    pub(crate) failures: CodecFailures,
    /// Values are Avro, by its schemas.
    pub(crate) registry: Option<Arc<SchemaRegistry>>,
}

/// A codec that makes events of several messages.
#[derive(Clone)]
pub(crate) struct Stateful(Arc<Mutex<Joining>>);

pub(crate) struct Joining {
    codec: Box<dyn Codec>,
    last: Option<Last>,
    /// No event was open before the messages that it was given last.
    began_anew: bool,
}

/// The last message that the codec was given.
struct Last {
    place: Place,
    offset: i64,
    detail: Option<Box<Details>>,
}

impl Stateful {
    pub(crate) fn new(codec: Box<dyn Codec>) -> Stateful {
        Stateful(Arc::new(Mutex::new(Joining { codec, last: None, began_anew: true })))
    }

    fn joining(&self) -> MutexGuard<'_, Joining> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn idle_flush(&self) -> Option<Duration> {
        self.joining().codec.idle_flush()
    }

    /// Whether something of what it was given is still to come.
    pub(crate) fn keeps_something(&self) -> bool {
        self.joining().codec.pending_bytes() > 0
    }

    /// Whether no event goes on from earlier messages into those that it was given last: reading may begin there again.
    pub(crate) fn began_anew(&self) -> bool {
        self.joining().began_anew
    }

    /// Ends the event that is still open. Events are told the message with which they were found to be complete, which is the one
    /// behind their own: so is this one.
    pub(crate) fn flush(&self, events: &mut Vec<Event>, group: &str) {
        let Joining { codec, last, .. } = &mut *self.joining();
        codec.flush(&mut |mut event| {
            if let Some(Last { place, offset, detail }) = last {
                let next = *offset + 1;
                event.set_origin(place.source.map(|source| Origin::new(source, next as u64, b"")));
                if let Some(details) = detail {
                    details.decorate(&mut event, place, next, group);
                }
            }
            events.push(event);
        });
    }
}

/// Where messages come from.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    /// See [`ferrostash_event::source_number`]; `None` where the cluster does not say which one it is.
    pub(crate) source: Option<u64>,
}

/// Messages of one or more partitions, in the order they were read.
pub(crate) struct Records {
    values: LineChunk,
    about: Vec<About>,
    places: Vec<Place>,
    schemas: BTreeSet<u32>,
    /// Bytes of keys and headers.
    bytes_beside: usize,
}

/// What is known of a message beside its value.
struct About {
    /// Which of the places.
    place: usize,
    offset: i64,
    detail: Option<Box<Details>>,
    /// Why the value can't be read.
    failure: Option<String>,
    /// The number of the value's schema, where it is Avro.
    schema: Option<u32>,
}

/// The schemas of a chunk, which are fetched before it is pushed: workers never wait.
pub(crate) type Schemas = HashMap<u32, Result<Arc<AvroSchema>, String>>;

/// Messages as they are handed on.
pub(crate) struct Values {
    pub(crate) lines: RawLines,
    /// The schemas that are needed, and where they are put.
    pub(crate) needed: Vec<u32>,
    pub(crate) schemas: Arc<OnceLock<Schemas>>,
}

/// For `decorate_events`.
#[derive(Clone)]
struct Details {
    key: Option<String>,
    timestamp: Option<i64>,
    headers: Vec<(String, String)>,
}

impl Records {
    /// No messages yet.
    pub(crate) fn new(delimiter: Delimiter, buffers: LineBuffers) -> Records {
        Records {
            values: LineChunk::new(delimiter, buffers),
            about: Vec::new(),
            places: Vec::new(),
            schemas: BTreeSet::new(),
            bytes_beside: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.about.len()
    }

    pub(crate) fn byte_size(&self) -> usize {
        self.values.byte_size() + self.bytes_beside
    }

    /// The number of a place that was not there before.
    pub(crate) fn add_place(&mut self, place: Place) -> usize {
        self.places.push(place);
        self.places.len() - 1
    }

    /// Adds a message from the place of that number.
    pub(crate) fn push(&mut self, message: &BorrowedMessage<'_>, place: usize, reading: &Reading) {
        // Logstash reads a value that isn't there as an empty one.
        let read = message.payload().map_or(Ok(Default::default()), |payload| reading.value.read(payload));
        let (bytes, mut failure) = match &read {
            Ok(bytes) => (&**bytes, None),
            Err(reason) => (message.payload().unwrap_or_default(), Some(reason.clone())),
        };
        let mut schema = None;
        if let (Some(_), Some(payload)) = (&reading.registry, message.payload()) {
            match avro::frame(payload) {
                // Its bytes are no frame, and can look like one.
                _ if has_header(message, SCHEMA_HEADER) => {
                    failure = Some(format!(
                        "its schema is named by the header `{SCHEMA_HEADER}`, which is not supported: the value has to name it"
                    ));
                }
                Ok((number, _)) => schema = Some(number),
                Err(error) => failure = Some(error.to_string()),
            }
            self.schemas.extend(schema);
        }
        self.values.push(Frame { bytes, truncated: false });
        let detail = (reading.detail > Detail::Nothing).then(|| Box::new(Details::of(message, reading)));
        self.bytes_beside += detail.as_ref().map_or(0, |detail| detail.byte_size());
        self.about.push(About { place, offset: message.offset(), detail, failure, schema });
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.about.clear();
        self.places.clear();
        self.schemas.clear();
        self.bytes_beside = 0;
    }

    /// The messages, none of which is left.
    pub(crate) fn take(&mut self, reading: &Arc<Reading>) -> Values {
        let (about, places) = (std::mem::take(&mut self.about), std::mem::take(&mut self.places));
        self.bytes_beside = 0;
        let needed = std::mem::take(&mut self.schemas).into_iter().collect();
        let schemas = Arc::<OnceLock<Schemas>>::default();
        let maker =
            RecordMaker { reading: Arc::clone(reading), about, places, schemas: Arc::clone(&schemas) };
        Values { lines: self.values.take(Arc::new(maker)), needed, schemas }
    }
}

fn has_header(message: &BorrowedMessage<'_>, name: &str) -> bool {
    message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == name))
}

impl Details {
    fn byte_size(&self) -> usize {
        let headers =
            self.headers.iter().map(|(name, value)| 2 * size_of::<String>() + name.len() + value.len());
        size_of::<Details>() + self.key.as_ref().map_or(0, String::len) + headers.sum::<usize>()
    }

    fn of(message: &BorrowedMessage<'_>, reading: &Reading) -> Details {
        // A key that can't be read is nothing to lose an event for.
        let text = |bytes: &[u8]| match reading.key.read(bytes) {
            Ok(key) => String::from_utf8_lossy(&key).into_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        };
        let headers = message.headers().filter(|_| reading.detail == Detail::Headers);
        let headers = headers.into_iter().flat_map(Headers::iter).filter_map(|header| {
            let value = std::str::from_utf8(header.value?).ok()?;
            Some((header.key.to_owned(), value.to_owned()))
        });
        Details {
            key: message.key().map(text),
            timestamp: message.timestamp().to_millis(),
            headers: headers.collect(),
        }
    }
}

/// Makes the events of messages, on a worker.
struct RecordMaker {
    reading: Arc<Reading>,
    about: Vec<About>,
    places: Vec<Place>,
    schemas: Arc<OnceLock<Schemas>>,
}

impl LineMaker for RecordMaker {
    fn bytes_beside(&self, lines: Range<usize>) -> usize {
        let about = self.about.get(lines).unwrap_or_default();
        about.iter().filter_map(|about| about.detail.as_ref()).map(|detail| detail.byte_size()).sum()
    }

    fn make(&self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        let about = self.about.get(lines.first..).unwrap_or_default();
        let mut finisher = Finisher { maker: self, last: None };
        let is_plain = |about: &About| about.failure.is_none() && about.schema.is_none();
        let are_plain = about.iter().take(lines.iter().count()).all(is_plain);
        if let Some(stateful) = &self.reading.stateful {
            let mut joining = stateful.joining();
            joining.began_anew = joining.codec.pending_bytes() == 0;
            for (number, (value, about)) in lines.iter().zip(about).enumerate() {
                let mut events = 0;
                let mut take = |event| {
                    events += 1;
                    sink(number, finisher.finish(event, number, value, about));
                };
                let is_read = self.decode(&mut *joining.codec, value, about, now, &mut take);
                // One line that has ended an event, and is kept itself, is the first of the next one.
                let is_first = is_read && events > 0 && joining.codec.pending_bytes() > 0;
                joining.began_anew |= number == 0 && is_first && !value.contains(&b'\n');
            }
            let last = about.get(..lines.iter().count()).unwrap_or(about).last();
            if let Some((place, about)) = last.and_then(|about| Some((self.places.get(about.place)?, about)))
            {
                let (place, detail) = (place.clone(), about.detail.clone());
                joining.last = Some(Last { place, offset: about.offset, detail });
            }
            return;
        }
        let mut codec = self.reading.codec.for_stream();
        if !are_plain || !codec.is_stateless() {
            for (number, (value, about)) in lines.iter().zip(about).enumerate() {
                let mut take = |event| sink(number, finisher.finish(event, number, value, about));
                self.decode(&mut *codec, value, about, now, &mut take);
                // A message ends what is in it, whatever its last bytes are.
                codec.flush(&mut take);
            }
            return;
        }
        let values: Vec<_> = lines.ranges().collect();
        codec.decode_lines(lines, now, &mut |number, event| {
            let value = values.get(number).and_then(|range| lines.bytes().get(range.clone()));
            if let Some((about, value)) = about.get(number).zip(value) {
                sink(number, finisher.finish(event, number, value, about));
            }
        });
    }
}

impl RecordMaker {
    /// Gives the codec one message, or makes an event that keeps what can't be read. Says which of them.
    fn decode(
        &self,
        codec: &mut dyn Codec,
        value: &[u8],
        about: &About,
        now: Timestamp,
        sink: &mut dyn FnMut(Event),
    ) -> bool {
        let read = match (&about.failure, about.schema) {
            (Some(reason), _) => Err(reason.clone()),
            (None, None) => Ok(Cow::Borrowed(value)),
            (None, Some(number)) => self.json_of(value, number).map(Cow::Owned),
        };
        match read {
            Ok(text) => {
                codec.decode(&text, sink);
                true
            }
            Err(reason) => {
                let place = self.places.get(about.place);
                tracing::warn!(
                    limited = true,
                    topic = place.map(|place| &*place.topic),
                    partition = place.map(|place| place.partition),
                    offset = about.offset,
                    reason,
                    "The value of a message can't be read: its event keeps it as it is."
                );
                let kept = match std::str::from_utf8(value) {
                    Ok(text) => Cow::Borrowed(text),
                    // Nothing of it is to be lost.
                    Err(_) => Cow::Owned(BASE64_STANDARD.encode(value)),
                };
                let mut event = Event::from_message(&kept, now);
                self.reading.failures.fail(&mut event, FAILURE_TAG, reason);
                sink(event);
                false
            }
        }
    }

    fn json_of(&self, value: &[u8], number: u32) -> Result<Vec<u8>, String> {
        let (_, body) = avro::frame(value).map_err(|error| error.to_string())?;
        let schema = self.schemas.get().and_then(|schemas| schemas.get(&number));
        let schema = schema
            .ok_or_else(|| format!("the schema {number} was not fetched"))?
            .as_ref()
            .map_err(String::clone)?;
        let mut json = Vec::with_capacity(2 * body.len());
        schema.decode(body, &mut json).map_err(|error| error.to_string())?;
        Ok(json)
    }
}

/// Tells events which message they are of.
struct Finisher<'a> {
    maker: &'a RecordMaker,
    /// The message of the last event, with its origin and the number of events of it.
    last: Option<(usize, Origin, u64)>,
}

impl Finisher<'_> {
    fn finish(&mut self, mut event: Event, number: usize, value: &[u8], about: &About) -> Event {
        let Some(place) = self.maker.places.get(about.place) else { return event };
        event.set_origin(self.origin(number, value, place, about.offset));
        if let Some(details) = &about.detail {
            details.decorate(&mut event, place, about.offset, &self.maker.reading.group);
        }
        event
    }

    fn origin(&mut self, number: usize, value: &[u8], place: &Place, offset: i64) -> Option<Origin> {
        if let Some((last, origin, events)) = &mut self.last
            && *last == number
        {
            *events += 1;
            return Some(origin.derive(*events));
        }
        let origin = Origin::new(place.source?, offset as u64, value);
        self.last = Some((number, origin, 0));
        Some(origin)
    }
}

/// The fields of `[@metadata][kafka]`.
struct Fields {
    topic: FieldRef,
    consumer_group: FieldRef,
    partition: FieldRef,
    offset: FieldRef,
    key: FieldRef,
    timestamp: FieldRef,
    headers: FieldRef,
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let kafka = FieldRef::parse("[@metadata][kafka]").unwrap_or_else(|_| FieldRef::literal("kafka"));
    Fields {
        topic: kafka.child("topic"),
        consumer_group: kafka.child("consumer_group"),
        partition: kafka.child("partition"),
        offset: kafka.child("offset"),
        key: kafka.child("key"),
        timestamp: kafka.child("timestamp"),
        headers: kafka.child("headers"),
    }
});

impl Details {
    fn decorate(&self, event: &mut Event, place: &Place, offset: i64, group: &str) {
        let fields = &*FIELDS;
        // A codec that put something else there has what it wanted.
        let _ = event.set_str(&fields.topic, &place.topic);
        let _ = event.set_str(&fields.consumer_group, group);
        let _ = event.set(&fields.partition, i64::from(place.partition));
        let _ = event.set(&fields.offset, offset);
        let _ = match &self.key {
            Some(key) => event.set_str(&fields.key, key),
            None => event.set(&fields.key, Value::Null),
        };
        let _ = event.set(&fields.timestamp, self.timestamp.unwrap_or(-1));
        for (name, value) in &self.headers {
            let _ = event.set_str(&fields.headers.child(name), value);
        }
    }
}
