//! The filters: what changes events between inputs and outputs.
//!
//! One file per filter, named like it. All of them are pure computation: no network, no waiting; what reads a file does
//! so when it is built. A filter never fails: it tags the event, counts, logs, and lets it go on.

mod clone;
mod date;
mod drop;
mod grok;
mod json;
mod mutate;
mod shared;
mod split;

use ferrostash_plugin::PluginDef;

/// The filters of this crate, by name.
pub static PLUGINS: &[&PluginDef] = &[
    &clone::PLUGIN,
    &date::PLUGIN,
    &drop::PLUGIN,
    &grok::PLUGIN,
    &json::PLUGIN,
    &mutate::PLUGIN,
    &split::PLUGIN,
];

#[cfg(test)]
mod tests {
    #[test]
    fn examples_do_what_they_say() {
        ferrostash_plugin::testing::Harness::new(super::PLUGINS).run_examples(super::PLUGINS);
    }
}
