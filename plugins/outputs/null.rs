//! The `null` output.

use ferrostash_conf::{Options, OptionsDef};
use ferrostash_event::Event;
use ferrostash_plugin::{
    BatchEncoder, BuildContext, BuildResult, CodecFactory, Encoded, Output, OutputBatch, OutputContext,
    OutputError, OutputPlugin, PluginDef, output,
};
use futures::future::BoxFuture;
use std::marker::PhantomData;
use std::sync::Arc;

/// Takes every event and does nothing with it: for measuring what comes before.
///
/// ```conf
/// output { null { } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "null")]
pub(crate) struct NullOptions {}

pub(crate) static PLUGIN: PluginDef = output::<Discard<NullOptions>>();

/// An output that does nothing, under the name that its options have.
pub(crate) struct Discard<O>(PhantomData<fn() -> O>);

impl<O> Clone for Discard<O> {
    fn clone(&self) -> Self {
        Discard(PhantomData)
    }
}

impl<O: OptionsDef + 'static> OutputPlugin for Discard<O> {
    type Options = O;
    const SHARED: bool = true;

    fn build(_: O, _: Arc<dyn CodecFactory>, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Discard(PhantomData))
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        Some(Box::new(Nothing))
    }
}

impl<O> Output for Discard<O> {
    fn write<'a>(
        &'a mut self,
        _: &'a [OutputBatch],
        _: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The worker need not keep the events for this output.
struct Nothing;

impl BatchEncoder for Nothing {
    fn encode(&mut self, _: &mut dyn Iterator<Item = &Event>) {}

    fn byte_size(&self) -> usize {
        0
    }

    fn finish(&mut self) -> Encoded {
        Encoded::new((), 0, Vec::new())
    }
}
