//! Inputs: where events come from. One file each, named as in configurations.

use ferrostash_plugin::PluginDef;

mod dead_letter_queue;
mod file;
mod generator;
mod heartbeat;
mod pipeline;
mod stdin;
mod stream;
mod tcp;

/// The inputs of this crate.
pub static PLUGINS: &[&PluginDef] = &[
    &dead_letter_queue::PLUGIN,
    &file::PLUGIN,
    &generator::PLUGIN,
    &heartbeat::PLUGIN,
    &pipeline::PLUGIN,
    &stdin::PLUGIN,
    &tcp::PLUGIN,
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
