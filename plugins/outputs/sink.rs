//! The `sink` output.

use crate::null::Discard;
use ferrostash_conf::Options;
use ferrostash_plugin::{PluginDef, output};

/// Takes every event and does nothing with it, like `null`.
///
/// ```conf
/// output { sink { } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "sink")]
pub(crate) struct SinkOptions {}

pub(crate) static PLUGIN: PluginDef = output::<Discard<SinkOptions>>();
