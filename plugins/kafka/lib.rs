//! The `kafka` input and output, on librdkafka.

use ferrostash_plugin::PluginDef;

mod client;
mod input;
mod link;
mod output;
#[cfg(test)]
mod testing;

/// The plugins of this crate.
pub static PLUGINS: &[&PluginDef] = &[&input::PLUGIN, &output::PLUGIN];

#[cfg(test)]
mod tests {
    use super::PLUGINS;
    use ferrostash_plugin::testing::Harness;

    #[test]
    fn examples_are_true() {
        Harness::new(PLUGINS).run_examples(PLUGINS);
    }
}
