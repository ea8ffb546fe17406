//! The `pipeline` input: what other pipelines of the process send.

use ferrostash_conf::Options;
use ferrostash_plugin::{
    BuildContext, BuildResult, Bus, BusListener, Input, InputContext, InputError, InputPlugin, PluginDef,
    StartError, input,
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Receives the events that `pipeline` outputs send to its address.
///
/// ```conf
/// input { pipeline { address => "audit" } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "pipeline")]
pub(crate) struct PipelineOptions {
    /// The address to listen at; one listener per address.
    #[option(required)]
    address: String,
}

pub(crate) static PLUGIN: PluginDef = input::<Pipeline>();

struct Pipeline {
    address: String,
    bus: Bus,
    id: Arc<str>,
    listener: Option<BusListener>,
}

impl InputPlugin for Pipeline {
    type Options = PipelineOptions;

    fn build(options: PipelineOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let (bus, id) = (cx.bus.clone(), Arc::clone(&cx.pipeline.id));
        Ok(Pipeline { address: options.address, bus, id, listener: None })
    }
}

impl Pipeline {
    fn listen(&mut self) -> Result<(), String> {
        if self.listener.is_none() {
            self.listener =
                Some(self.bus.listen(&self.address, &self.id).map_err(|taken| taken.to_string())?);
        }
        Ok(())
    }
}

impl Input for Pipeline {
    fn start<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        let listening = self.listen().map_err(StartError);
        Box::pin(async { listening })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            self.listen().map_err(InputError)?;
            let Some(listener) = &mut self.listener else { return Ok(()) };
            let done = listener.senders_done();
            let stopped = async {
                cx.shutdown.stopping().await;
                done.await;
            };
            tokio::pin!(stopped);
            let mut stopping = false;
            loop {
                let chunk = tokio::select! {
                    chunk = listener.receive() => chunk,
                    () = &mut stopped, if !stopping => {
                        stopping = true;
                        listener.stop();
                        continue;
                    }
                };
                let Some(mut chunk) = chunk else { break };
                chunk.is_relayed = true;
                if cx.push_chunk(chunk).await.is_err() {
                    break;
                }
            }
            self.listener = None;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use ferrostash_plugin::Chunk;
    use ferrostash_plugin::testing::{Harness, event, json};

    #[tokio::test]
    async fn events_arrive_with_the_common_options_applied() {
        let harness = Harness::new(PLUGINS);
        let mut running =
            harness.input(r#"pipeline { address => in1 tags => "p" }"#).unwrap().spawn().await.unwrap();
        let sender = harness.bus().sender(&["in1".to_owned()], "other");
        sender.send("in1", Chunk::new(vec![event(r#"{"a":1}"#)], Vec::new())).await.unwrap();
        assert_eq!(json(&running.events(1).await[0]), r#"{"a":1,"tags":["p"]}"#);
        running.stop().await.unwrap();
        assert!(!sender.is_listening("in1"));
    }

    #[tokio::test]
    async fn a_taken_address_stops_the_start() {
        let harness = Harness::new(PLUGINS);
        let _first = harness.bus().listen("in1", "other").unwrap();
        let refused = harness.input(r#"pipeline { address => in1 }"#).unwrap().spawn().await.err().unwrap();
        assert_eq!(
            refused,
            "Internal input at 'in1' already bound! Addresses must be globally unique across pipelines."
        );
    }
}
