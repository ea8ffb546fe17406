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
    use ferrostash_event::Event;
    use ferrostash_plugin::Ecs;
    use ferrostash_plugin::testing::{Harness, event, json, test_time};

    /// Legacy mode, in which `[event][original]` is not in the way of the reader.
    pub(crate) fn legacy() -> Harness {
        Harness::new(super::PLUGINS).ecs(Ecs::Disabled)
    }

    /// All events of these pieces of a stream and its end, as JSON without `@version` and `@timestamp`.
    pub(crate) fn decode<B: AsRef<[u8]>>(harness: &Harness, codec: &str, pieces: &[B]) -> Vec<String> {
        let mut codec = harness.codec(codec).unwrap();
        let mut lines = Vec::new();
        let mut sink = |mut event: Event| {
            event.set_timestamp(test_time());
            lines.push(json(&event));
        };
        pieces.iter().for_each(|piece| codec.decode(piece.as_ref(), &mut sink));
        codec.flush(&mut sink);
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
