//! The `kafka` input and output, on librdkafka.

use ferrostash_plugin::PluginDef;

mod client;
mod input;
mod link;
mod output;

/// The plugins of this crate.
pub static PLUGINS: &[&PluginDef] = &[&input::PLUGIN];
