//! The `sink` output.

use ferrostash_conf::Options;
use ferrostash_event::Event;
use ferrostash_plugin::{
    BatchEncoder, BuildContext, BuildResult, CodecFactory, Encoded, Output, OutputBatch, OutputContext,
    OutputError, OutputPlugin, PluginDef, output,
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Takes every event and does nothing with it, like `null`.
///
/// ```conf
/// output { sink { } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "sink")]
pub(crate) struct SinkOptions {}

pub(crate) static PLUGIN: PluginDef = output::<Sink>();

#[derive(Clone)]
struct Sink;

impl OutputPlugin for Sink {
    type Options = SinkOptions;
    const SHARED: bool = true;

    fn build(_: SinkOptions, _: Arc<dyn CodecFactory>, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Sink)
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        Some(Box::new(Sink))
    }
}

impl BatchEncoder for Sink {
    fn encode(&mut self, _: &mut dyn Iterator<Item = &Event>) -> Encoded {
        Encoded::new((), 0, Vec::new())
    }
}

impl Output for Sink {
    fn write<'a>(
        &'a mut self,
        _: &'a [OutputBatch],
        _: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async { Ok(()) })
    }
}
