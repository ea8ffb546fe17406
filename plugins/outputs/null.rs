//! The `null` output.

use ferrostash_conf::Options;
use ferrostash_event::Event;
use ferrostash_plugin::{
    BatchEncoder, BuildContext, BuildResult, CodecFactory, Encoded, Output, OutputBatch, OutputContext,
    OutputError, OutputPlugin, PluginDef, output,
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Takes every event and does nothing with it: for measuring what comes before.
///
/// ```conf
/// output { null { } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "null")]
pub(crate) struct NullOptions {}

pub(crate) static PLUGIN: PluginDef = output::<Null>();

#[derive(Clone)]
struct Null;

impl OutputPlugin for Null {
    type Options = NullOptions;
    const SHARED: bool = true;

    fn build(_: NullOptions, _: Arc<dyn CodecFactory>, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Null)
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        Some(Box::new(Null))
    }
}

impl BatchEncoder for Null {
    fn encode(&mut self, _: &mut dyn Iterator<Item = &Event>) -> Encoded {
        Encoded::new((), 0, Vec::new())
    }
}

impl Output for Null {
    fn write<'a>(
        &'a mut self,
        _: &'a [OutputBatch],
        _: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async { Ok(()) })
    }
}
