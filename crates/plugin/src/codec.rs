//! Codecs: bytes to events and back.

use crate::framing::LineFramer;
use crate::raw_lines::Lines;
use ferrostash_event::{Event, Timestamp};
use std::time::Duration;

/// Where a codec's events go.
pub type EventSink<'a> = dyn FnMut(Event) + 'a;
/// Where the events of lines go: with the number of the line that each was made of.
pub type LineEventSink<'a> = dyn FnMut(usize, Event) + 'a;

/// A codec for one stream: it may keep half a line or half a multi-line event between calls.
///
/// Bad bytes are never an error of the stream: the codec tags an event with what it could not read.
pub trait Codec: Send + Sync {
    /// Reads `data`. A message codec (`plain`, `json`) takes it as one message, a stream codec (`line`, `json_lines`) as
    /// the next part of its stream.
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>);

    /// Whether [`Codec::decode`] wants whole lines, one or more of them each time, and not a stream cut anywhere. An input
    /// whose data is a raw stream then puts the lines together first.
    fn takes_lines(&self) -> bool {
        false
    }

    /// Gives what is kept: the stream has ended, or [`Codec::idle_flush`] has passed.
    fn flush(&mut self, sink: &mut EventSink<'_>) {
        let _ = sink;
    }

    /// After how much silence on the stream [`Codec::flush`] wants to be called.
    fn idle_flush(&self) -> Option<Duration> {
        None
    }

    /// Whether each call of [`Codec::decode`] stands for itself, so that any instance may take any line.
    fn is_stateless(&self) -> bool {
        false
    }

    /// How a stream is cut into lines of which each stands for itself. [`Codec::decode_lines`] of any instance may then take
    /// the place of [`Codec::decode`], on another thread. `None` where that is not so, and for a message codec.
    fn lines(&self) -> Option<LineFramer> {
        None
    }

    /// Makes the events of lines, for a codec that [is stateless](Codec::is_stateless) or says how [lines](Codec::lines)
    /// are cut.
    fn decode_lines(&mut self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        let _ = now;
        for (number, line) in lines.iter().enumerate() {
            self.decode(line, &mut |event| sink(number, event));
        }
    }

    /// Bytes that are kept for an event that is not complete.
    fn pending_bytes(&self) -> usize {
        0
    }

    /// Appends `event` as this codec writes it.
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

/// An event cannot be written by this codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub String);

/// A codec as it was configured, from which each stream gets one of its own.
pub trait CodecFactory: Send + Sync {
    /// A codec for a new stream.
    fn for_stream(&self) -> Box<dyn Codec>;
}

impl<C: Codec + Clone + Sync + 'static> CodecFactory for C {
    fn for_stream(&self) -> Box<dyn Codec> {
        Box::new(self.clone())
    }
}
