//! Codecs: how the bytes of an input become events, and events the bytes of an output.
//!
//! A file is a codec, but for what several of them share: [`charset`] turns bytes into text, [`inspect`] spells text as
//! Ruby shows it, and [`text`] makes events of text and text of events.

mod charset;
mod dots;
mod inspect;
mod json;
mod json_lines;
mod line;
mod multiline;
mod plain;
mod rubydebug;
mod text;

use ferrostash_plugin::PluginDef;

/// The codecs of this crate.
pub static PLUGINS: &[&PluginDef] = &[
    &dots::PLUGIN,
    &json::PLUGIN,
    &json_lines::PLUGIN,
    &line::PLUGIN,
    &multiline::PLUGIN,
    &plain::PLUGIN,
    &rubydebug::PLUGIN,
];

#[cfg(test)]
mod tests {
    use ferrostash_event::{Event, Timestamp};
    use ferrostash_plugin::framing::{Delimiter, Frame};
    use ferrostash_plugin::testing::{Harness, event, json, test_time};
    use ferrostash_plugin::{Codec, Ecs, LineBuffers, LineChunk, LineEventSink, LineMaker, Lines};
    use std::sync::{Arc, Mutex};

    /// Legacy mode, in which `[event][original]` is not in the way of the reader.
    pub(crate) fn legacy() -> Harness {
        Harness::new(super::PLUGINS).ecs(Ecs::Disabled)
    }

    /// Decodes lines as a worker does.
    struct Worker(Mutex<Box<dyn Codec>>);

    impl LineMaker for Worker {
        fn make(&self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
            self.0.lock().unwrap().decode_lines(lines, now, sink);
        }
    }

    /// What a worker makes of these pieces of a stream, or of messages, where the codec takes each line by itself.
    fn decode_lines<B: AsRef<[u8]>>(codec: Box<dyn Codec>, pieces: &[B]) -> Option<Vec<Event>> {
        let mut framer = codec.lines();
        if framer.is_none() && !codec.is_stateless() {
            return None;
        }
        let delimiter = framer.as_ref().map(|framer| framer.delimiter().clone());
        let delimiter = delimiter.unwrap_or_else(|| Delimiter::new(b"\n").unwrap());
        let mut lines = LineChunk::new(delimiter, LineBuffers::default());
        for piece in pieces {
            match &mut framer {
                Some(framer) => framer.push_into(piece.as_ref(), &mut lines),
                None => lines.push(Frame { bytes: piece.as_ref(), truncated: false }),
            }
        }
        if let Some(framer) = &mut framer {
            framer.finish_into(&mut lines);
        }
        let mut events = Vec::new();
        lines.take(Arc::new(Worker(Mutex::new(codec)))).make_events(&mut events);
        Some(events)
    }

    /// All events of these pieces of a stream and its end, decoded here or by a worker, as JSON without `@version` and `@timestamp`.
    pub(crate) fn decode<B: AsRef<[u8]>>(harness: &Harness, text: &str, pieces: &[B]) -> Vec<String> {
        let mut codec = harness.codec(text).unwrap();
        let mut lines = Vec::new();
        let mut sink = |mut event: Event| {
            event.set_timestamp(test_time());
            lines.push(json(&event));
        };
        pieces.iter().for_each(|piece| codec.decode(piece.as_ref(), &mut sink));
        codec.flush(&mut sink);
        if let Some(mut by_worker) = decode_lines(harness.codec(text).unwrap(), pieces) {
            by_worker.iter_mut().for_each(|event| event.set_timestamp(test_time()));
            assert_eq!(by_worker.iter().map(json).collect::<Vec<_>>(), lines);
        }
        lines
    }

    /// What the codec writes of these events.
    pub(crate) fn encode(codec: &str, events: &[&str]) -> String {
        let mut codec = legacy().codec(codec).unwrap();
        let mut out = Vec::new();
        events.iter().for_each(|json| codec.encode(&event(json), &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    /// Why the codec is refused.
    pub(crate) fn refusal(codec: &str) -> String {
        legacy().codec(codec).err().unwrap()
    }

    #[test]
    fn the_examples_of_the_documentation() {
        Harness::new(super::PLUGINS).run_examples(super::PLUGINS);
    }
}
