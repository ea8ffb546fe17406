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
    use ferrostash_plugin::testing::Harness;

    #[test]
    fn the_examples_of_the_documentation() {
        Harness::new(super::PLUGINS).run_examples(super::PLUGINS);
    }
}
