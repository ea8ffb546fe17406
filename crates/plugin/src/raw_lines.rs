//! Lines that nobody has looked into yet.
//!
//! An input whose codec takes each line by itself need not make the events: it hands on the bytes, and the worker that
//! takes them makes the events where it filters them. They are then born, changed and freed on one thread, and a queue
//! full of lines weighs what the lines weigh.

use crate::decorate::InputDecoration;
use crate::metrics::PluginMetrics;
use ferrostash_event::Event;
use std::ops::Range;
use std::sync::Arc;

/// Makes events of lines, one after the other.
pub trait LineMaker: Send + Sync {
    /// Makes the events of `lines`; each comes with its number in the buffer.
    fn make(&self, lines: &mut dyn Iterator<Item = (usize, &[u8])>, sink: &mut Vec<Event>);
}

/// A run of lines in a shared buffer.
#[derive(Clone)]
pub struct RawLines {
    data: Arc<Vec<u8>>,
    /// Where each line of the buffer ends; the next one begins there.
    ends: Arc<Vec<u32>>,
    lines: Range<usize>,
    maker: Arc<dyn LineMaker>,
    pub(crate) decoration: Arc<InputDecoration>,
    pub(crate) metrics: Arc<PluginMetrics>,
}

impl RawLines {
    /// The lines of `data` that end (without their delimiters) at `ends`.
    pub fn new(data: Vec<u8>, ends: Vec<u32>, maker: Arc<dyn LineMaker>) -> RawLines {
        let lines = 0..ends.len();
        let (decoration, metrics) = (Arc::default(), Arc::default());
        RawLines { data: Arc::new(data), ends: Arc::new(ends), lines, maker, decoration, metrics }
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What the lines weigh, in bytes.
    pub fn byte_size(&self) -> usize {
        self.end_of(self.lines.end) - self.end_of(self.lines.start)
    }

    /// Takes up to `count` lines from the front.
    pub fn take_front(&mut self, count: usize) -> RawLines {
        let middle = self.lines.end.min(self.lines.start + count);
        let front = RawLines { lines: self.lines.start..middle, ..self.clone() };
        self.lines.start = middle;
        front
    }

    /// Makes the events, with the input's common options applied, and counts them for the input.
    pub fn make_events(&self, events: &mut Vec<Event>) {
        let before = events.len();
        events.reserve(self.len());
        let line = |number| {
            (number, self.data.get(self.end_of(number)..self.end_of(number + 1)).unwrap_or_default())
        };
        self.maker.make(&mut self.lines.clone().map(line), events);
        let made = events.get_mut(before..).unwrap_or_default();
        if !self.decoration.is_empty() {
            made.iter_mut().for_each(|event| self.decoration.apply(event));
        }
        self.metrics.events_out.add(made.len() as u64);
    }

    /// Where the line before `number` ends.
    fn end_of(&self, number: usize) -> usize {
        match number.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).map_or(self.data.len(), |end| *end as usize),
        }
    }
}

impl std::fmt::Debug for RawLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines, {} bytes", self.len(), self.byte_size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_event::{FieldRef, Timestamp};

    struct Messages;

    impl LineMaker for Messages {
        fn make(&self, lines: &mut dyn Iterator<Item = (usize, &[u8])>, sink: &mut Vec<Event>) {
            for (number, line) in lines {
                let text = format!("{number} {}", String::from_utf8_lossy(line));
                sink.push(Event::from_message(&text, Timestamp::EPOCH));
            }
        }
    }

    #[test]
    fn parts_make_the_events_of_their_lines() {
        let mut lines = RawLines::new(b"onetwothree".to_vec(), vec![3, 6, 11], Arc::new(Messages));
        assert_eq!((lines.len(), lines.byte_size()), (3, 11));
        let front = lines.take_front(2);
        assert_eq!((front.len(), front.byte_size(), lines.len(), lines.byte_size()), (2, 6, 1, 5));
        let mut events = Vec::new();
        front.make_events(&mut events);
        lines.make_events(&mut events);
        let message = FieldRef::literal("message");
        let texts: Vec<_> = events.iter().filter_map(|event| event.get_str(&message)).collect();
        assert_eq!(texts, ["0 one", "1 two", "2 three"]);
        assert_eq!((front.metrics.events_out.get(), lines.take_front(9).len(), lines.len()), (3, 1, 0));
    }
}
