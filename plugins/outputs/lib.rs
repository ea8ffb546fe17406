//! Outputs: where events go. One file each, named as in configurations.

use ferrostash_plugin::PluginDef;

mod elasticsearch;
mod file;
mod null;
mod opensearch;
mod pipeline;
mod sink;
mod stdout;

/// The outputs of this crate.
pub static PLUGINS: &[&PluginDef] = &[
    &elasticsearch::PLUGIN,
    &file::PLUGIN,
    &null::PLUGIN,
    &opensearch::PLUGIN,
    &pipeline::PLUGIN,
    &sink::PLUGIN,
    &stdout::PLUGIN,
];

#[cfg(test)]
mod tests {
    use super::PLUGINS;
    use ferrostash_plugin::testing::Harness;

    #[test]
    fn examples_are_true() {
        Harness::new(PLUGINS).run_examples(PLUGINS);
    }
}
