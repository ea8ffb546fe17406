//! Batches in their wire form.
//!
//! A worker writes each event once into the buffer of its batch: the key, the headers, the value. Sending it, however
//! often, is then a matter of a few ranges.

use std::collections::HashMap;
use std::sync::Arc;

use ferrostash_event::{Event, FieldRef, TIMESTAMP, Template, Timestamp};
use ferrostash_plugin::{BatchEncoder, Buffer, Buffers, BuildContext, BuildResult, Codec, Encoded, Refused};
use rdkafka::message::{Header, OwnedHeaders};

use super::options::KafkaOutputOptions;
use super::producer::Source;
use super::topic::problem_of;

/// What is written of each event.
#[derive(Debug)]
pub(super) struct Recipe {
    topic: Template,
    key: Option<Template>,
    headers: Vec<(String, Template)>,
    /// Most bytes of an event: of `max_request_size`, and of what fits into `buffer_memory`.
    bytes_max: usize,
}

impl Recipe {
    pub(super) fn new(options: &KafkaOutputOptions, cx: &mut BuildContext<'_>) -> BuildResult<Recipe> {
        let headers = options.message_headers.iter().map(|(_, template)| ("message_headers", template));
        let keys = options.message_key.iter().map(|template| ("message_key", template));
        let mut refused: Option<Refused> = None;
        for (name, template) in headers.chain(keys).chain([("topic_id", &options.topic_id)]) {
            for problem in template.problems() {
                refused = Some(cx.refuse(format!("`{name}`: {problem}")));
            }
        }
        if let Some(problem) = options.topic_id.as_constant().and_then(problem_of) {
            refused = Some(cx.refuse(format!("`topic_id`: {problem}")));
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        let bytes_max = options.max_request_size.min(options.buffer_memory);
        Ok(Recipe {
            topic: options.topic_id.clone(),
            key: options.message_key.clone(),
            headers: options.message_headers.clone(),
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        })
    }

    /// Ranges of an event in the buffer of its batch.
    fn parts(&self) -> usize {
        usize::from(self.key.is_some()) + self.headers.len() + 1
    }
}

/// A batch in its wire form.
#[derive(Debug)]
pub(super) struct Payload {
    recipe: Arc<Recipe>,
    text: Buffer,
    records: Vec<Record>,
    /// Where the parts of the records end in the text.
    ends: Vec<usize>,
    topics: Vec<Box<str>>,
    /// The time of each event.
    times: Vec<Option<Timestamp>>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Which of the batch's topics it goes to.
    topic: usize,
    /// Which of the batch's events it is.
    event: usize,
    /// Where it begins in the text.
    start: usize,
}

/// An event in its wire form.
pub(super) struct Parts<'p> {
    pub(super) topic: &'p str,
    pub(super) key: Option<&'p [u8]>,
    pub(super) value: &'p [u8],
    /// The header's values, and how they are cut.
    payload: &'p Payload,
    header_ends: &'p [usize],
    headers_start: usize,
    /// Bytes of all parts.
    pub(super) bytes: usize,
}

impl Parts<'_> {
    /// The headers, where there are any.
    pub(super) fn headers(&self) -> Option<OwnedHeaders> {
        if self.header_ends.is_empty() {
            return None;
        }
        let (mut headers, mut start) =
            (OwnedHeaders::new_with_capacity(self.header_ends.len()), self.headers_start);
        for ((key, _), end) in self.payload.recipe.headers.iter().zip(self.header_ends) {
            let value = self.payload.text.get(start..*end);
            headers = headers.insert(Header { key, value });
            start = *end;
        }
        Some(headers)
    }
}

impl Payload {
    /// Number of events in it.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// One of them.
    pub(super) fn parts_of(&self, record: usize) -> Option<Parts<'_>> {
        let width = self.recipe.parts();
        let Record { topic, start, .. } = *self.records.get(record)?;
        let ends = self.ends.get(record * width..(record + 1) * width)?;
        let (key_end, ends) = match self.recipe.key {
            Some(_) => ends.split_first().map(|(end, ends)| (*end, ends))?,
            None => (start, ends),
        };
        let (end, header_ends) = ends.split_last()?;
        let value_start = header_ends.last().copied().unwrap_or(key_end);
        Some(Parts {
            topic: self.topics.get(topic)?,
            key: self.recipe.key.as_ref().and_then(|_| self.text.get(start..key_end)),
            value: self.text.get(value_start..*end)?,
            payload: self,
            header_ends,
            headers_start: key_end,
            bytes: end - start,
        })
    }

    /// Which of the batch's events a record is.
    pub(super) fn event_of(&self, record: usize) -> Option<usize> {
        self.records.get(record).map(|record| record.event)
    }

    /// What is left of an event where no dead letters are kept.
    pub(super) fn remains_of(&self, event: usize) -> Event {
        if let Some(time) = self.times.get(event).copied().flatten() {
            return Event::at(time);
        }
        let mut remains = Event::new();
        remains.remove(&FieldRef::literal(TIMESTAMP));
        remains
    }
}

/// Writes batches on a worker.
pub(super) struct RecordEncoder {
    source: Arc<Source>,
    codec: Box<dyn Codec>,
    buffers: Buffers,
    payload: Payload,
    refused: Vec<(Event, String)>,
    /// Places of the topics, by name.
    topics: HashMap<Box<str>, usize>,
    /// The topic of the event before: it is mostly the same.
    last_topic: usize,
    rendered: String,
}

impl RecordEncoder {
    pub(super) fn new(
        recipe: Arc<Recipe>,
        source: Arc<Source>,
        codec: Box<dyn Codec>,
        buffers: Buffers,
    ) -> RecordEncoder {
        RecordEncoder {
            source,
            codec,
            payload: empty(recipe, buffers.take(), (0, 0)),
            buffers,
            refused: Vec::new(),
            topics: HashMap::new(),
            last_topic: 0,
            rendered: String::new(),
        }
    }

    fn write(&mut self, event: &Event) {
        let number = self.payload.times.len();
        self.payload.times.push(event.timestamp());
        let (start, parts) = (self.payload.text.len(), self.payload.ends.len());
        match self.try_write(event, start) {
            Ok(topic) => self.payload.records.push(Record { topic, event: number, start }),
            Err(reason) => {
                self.payload.text.truncate(start);
                self.payload.ends.truncate(parts);
                self.refused.push((event.clone(), reason));
            }
        }
    }

    /// Writes the parts of an event; gives its topic.
    fn try_write(&mut self, event: &Event, start: usize) -> Result<usize, String> {
        let topic = self.topic_of(event)?;
        let RecordEncoder { payload: Payload { recipe, text, ends, .. }, codec, rendered, .. } = self;
        for template in recipe.key.iter().chain(recipe.headers.iter().map(|(_, template)| template)) {
            rendered.clear();
            template.render(event, rendered).map_err(|error| error.to_string())?;
            text.extend_from_slice(rendered.as_bytes());
            ends.push(text.len());
        }
        codec.encode(event, text).map_err(|error| error.to_string())?;
        ends.push(text.len());
        let bytes = text.len() - start;
        if bytes > recipe.bytes_max {
            return Err(format!(
                "the event has {bytes} bytes, more than max_request_size or buffer_memory allow ({})",
                recipe.bytes_max
            ));
        }
        Ok(topic)
    }

    /// The place of the event's topic among those of the batch.
    fn topic_of(&mut self, event: &Event) -> Result<usize, String> {
        let RecordEncoder { payload: Payload { recipe, topics, .. }, topics: places, rendered, .. } = self;
        let name = match recipe.topic.as_constant() {
            Some(name) => name,
            None => {
                rendered.clear();
                recipe.topic.render(event, rendered).map_err(|error| error.to_string())?;
                rendered
            }
        };
        if topics.get(self.last_topic).is_some_and(|last| **last == *name) {
            return Ok(self.last_topic);
        }
        self.last_topic = match places.get(name) {
            Some(place) => *place,
            None => {
                if let Some(problem) = problem_of(name) {
                    return Err(problem);
                }
                places.insert(name.into(), topics.len());
                topics.push(name.into());
                topics.len() - 1
            }
        };
        Ok(self.last_topic)
    }
}

impl BatchEncoder for RecordEncoder {
    fn encode(&mut self, events: &mut dyn Iterator<Item = &Event>) {
        events.for_each(|event| self.write(event));
    }

    fn byte_size(&self) -> usize {
        self.payload.text.len()
    }

    fn finish(&mut self) -> Encoded {
        let (size, before) = (self.byte_size(), (self.payload.times.len(), self.payload.ends.len()));
        let next = empty(Arc::clone(&self.payload.recipe), self.buffers.take(), before);
        self.topics.clear();
        self.last_topic = 0;
        Encoded::new(std::mem::replace(&mut self.payload, next), size, std::mem::take(&mut self.refused))
    }

    /// What a broker refuses goes to the dead letter queue as the event it was.
    fn keeps_events(&self) -> bool {
        self.source.keeps_letters()
    }
}

/// A batch to be filled with about as many events, in as many parts, as the one before.
fn empty(recipe: Arc<Recipe>, text: Buffer, (events, parts): (usize, usize)) -> Payload {
    Payload {
        recipe,
        text,
        records: Vec::with_capacity(events),
        ends: Vec::with_capacity(parts),
        topics: Vec::new(),
        times: Vec::with_capacity(events),
    }
}
