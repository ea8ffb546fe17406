//! The one list of the crates that plugins live in.

use ferrostash_plugin::Registry;

/// All plugins of this program.
#[must_use]
pub fn registry() -> Registry {
    Registry::new(&[
        ferrostash_codecs::PLUGINS,
        ferrostash_filters::PLUGINS,
        ferrostash_inputs::PLUGINS,
        #[cfg(feature = "kafka")]
        ferrostash_kafka::PLUGINS,
        ferrostash_outputs::PLUGINS,
    ])
}
