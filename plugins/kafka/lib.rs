//! The `kafka` input and output, on librdkafka.

use ferrostash_plugin::PluginDef;

mod client;
mod input;
mod output;

/// The plugins of this crate.
pub static PLUGINS: &[&PluginDef] = &[&output::PLUGIN];
