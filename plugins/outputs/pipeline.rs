//! The `pipeline` output: hands events to other pipelines of the process.

use ferrostash_conf::Options;
use ferrostash_event::{Event, source_number};
use ferrostash_plugin::{
    BuildContext, BuildResult, Bus, BusSender, Chunk, CodecFactory, Output, OutputBatch, OutputContext,
    OutputError, OutputPlugin, PluginDef, StartError, Undelivered, output,
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Hands events to pipelines whose `pipeline` input has the same address.
///
/// What becomes of an event there counts: an input is told "done" only when the last pipeline is.
///
/// ```conf
/// output { pipeline { send_to => ["audit"] } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "pipeline")]
pub(crate) struct PipelineOptions {
    /// The addresses to send to; each gets every event.
    #[option(required, list, kind = "string")]
    send_to: Vec<String>,
    /// Whether to wait for an address that nobody listens at; otherwise its events are dropped.
    #[option(default = true)]
    ensure_delivery: bool,
}

pub(crate) static PLUGIN: PluginDef = output::<Pipeline>();

#[derive(Clone)]
struct Pipeline {
    options: PipelineOptions,
    bus: Bus,
    pipeline: Arc<str>,
    id: Arc<str>,
    sender: Option<Arc<BusSender>>,
}

impl OutputPlugin for Pipeline {
    type Options = PipelineOptions;

    fn build(
        options: PipelineOptions,
        _: Arc<dyn CodecFactory>,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Self> {
        Ok(Pipeline {
            options,
            bus: cx.bus.clone(),
            pipeline: Arc::clone(&cx.pipeline.id),
            id: Arc::clone(&cx.id),
            sender: None,
        })
    }
}

impl Output for Pipeline {
    fn start<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, Result<(), StartError>> {
        self.sender = Some(Arc::new(self.bus.sender(&self.options.send_to, &self.pipeline)));
        Box::pin(async { Ok(()) })
    }

    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async move {
            let Some(sender) = &self.sender else { return Err(OutputError::Fatal("not started".into())) };
            for batch in batches {
                for address in &self.options.send_to {
                    // By two ways the same event may reach the same pipeline, as two events.
                    let way = source_number(&[self.id.as_bytes(), address.as_bytes()]);
                    let copy = |event: &Event| {
                        let mut copy = event.clone();
                        copy.set_origin(event.origin().map(|origin| origin.derive(way)));
                        copy
                    };
                    let chunk = Chunk::new(batch.events().map(copy).collect(), batch.acks().to_vec());
                    self.send(sender, address, chunk, cx).await?;
                }
            }
            Ok(())
        })
    }

    fn close<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, ()> {
        // Listeners see that nobody sends to them any more, and end.
        self.sender = None;
        Box::pin(async {})
    }
}

impl Pipeline {
    async fn send(
        &self,
        sender: &BusSender,
        address: &str,
        chunk: Chunk,
        cx: &OutputContext,
    ) -> Result<(), OutputError> {
        let mut chunk = chunk;
        loop {
            if !sender.is_listening(address) {
                if !self.options.ensure_delivery {
                    cx.metrics.events_dropped.add(chunk.len() as u64);
                    return Ok(());
                }
                tracing::warn!(limited = true, address, "nobody listens at the address, waiting");
                tokio::select! {
                    listening = sender.listening(address) => {
                        if listening.is_err() {
                            chunk.abandon();
                            return Err(OutputError::Abandoned);
                        }
                    }
                    () = cx.shutdown.abandoned() => {
                        chunk.abandon();
                        return Err(OutputError::Abandoned);
                    }
                }
            }
            tokio::select! {
                sent = sender.send(address, chunk) => match sent {
                    Ok(()) => return Ok(()),
                    Err(Undelivered(back)) => chunk = back,
                },
                // A chunk in the hands of the bus is dropped here: its acks are abandoned by the batch.
                () = cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use ferrostash_event::Selection;
    use ferrostash_plugin::testing::{Harness, event, json};
    use ferrostash_plugin::{FilteredBatch, OutputBatch};
    use std::sync::Arc;

    fn batch(text: &str) -> OutputBatch {
        OutputBatch::new(Arc::new(FilteredBatch::new(vec![event(text)], Vec::new())), Selection::all(1))
    }

    #[tokio::test]
    async fn events_reach_the_listener_with_their_metadata() {
        let harness = Harness::new(PLUGINS);
        let mut listener = harness.bus().listen("audit", "other").unwrap();
        let mut output = harness.output(r#"pipeline { send_to => audit }"#).unwrap();
        output.output.start(&output.context).await.unwrap();
        let batches = [batch(r#"{"a":1,"@metadata":{"m":2}}"#)];
        let (written, received) =
            tokio::join!(output.output.write(&batches, &output.context), listener.receive());
        written.unwrap();
        assert_eq!(json(&received.unwrap().events[0]), r#"{"a":1,"@metadata":{"m":2}}"#);
    }

    #[tokio::test]
    async fn without_ensure_delivery_events_for_nobody_are_dropped() {
        let mut output = Harness::new(PLUGINS)
            .output(r#"pipeline { send_to => nobody ensure_delivery => false }"#)
            .unwrap();
        output.output.start(&output.context).await.unwrap();
        output.output.write(&[batch("{}")], &output.context).await.unwrap();
    }

    #[tokio::test]
    async fn waits_for_an_address_until_the_grace_time_is_over() {
        let mut output = Harness::new(PLUGINS).output(r#"pipeline { send_to => nobody }"#).unwrap();
        output.output.start(&output.context).await.unwrap();
        let shutdown = output.context.shutdown.clone();
        let batches = [batch("{}")];
        let (written, ()) =
            tokio::join!(output.output.write(&batches, &output.context), async { shutdown.abandon() });
        assert!(written.is_err());
    }
}
