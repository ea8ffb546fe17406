//! The `stdout` output.

use ferrostash_conf::Options;
use ferrostash_event::Event;
use ferrostash_plugin::{
    BatchEncoder, Buffer, Buffers, BuildContext, BuildResult, Codec, CodecFactory, Encoded, Output,
    OutputBatch, OutputContext, OutputError, OutputPlugin, PluginDef, output,
};
use futures::future::BoxFuture;
use std::io::Write as _;
use std::sync::Arc;

/// Writes events to standard output; by default as `rubydebug`, for people to read.
///
/// ```conf
/// output { stdout { codec => json_lines } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(output = "stdout")]
pub(crate) struct StdoutOptions {}

pub(crate) static PLUGIN: PluginDef = output::<Stdout>();

#[derive(Clone)]
struct Stdout {
    codec: Arc<dyn CodecFactory>,
    buffers: Buffers,
}

impl OutputPlugin for Stdout {
    type Options = StdoutOptions;
    const CODEC: &'static str = "rubydebug";
    const BLOCKING: bool = true;

    fn build(_: StdoutOptions, codec: Arc<dyn CodecFactory>, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Stdout { codec, buffers: Buffers::default() })
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        Some(Box::new(TextEncoder {
            codec: self.codec.for_stream(),
            text: self.buffers.take(),
            buffers: self.buffers.clone(),
            refused: Vec::new(),
        }))
    }
}

/// Writes events one behind the other.
struct TextEncoder {
    codec: Box<dyn Codec>,
    text: Buffer,
    buffers: Buffers,
    refused: Vec<(Event, String)>,
}

impl BatchEncoder for TextEncoder {
    fn encode(&mut self, events: &mut dyn Iterator<Item = &Event>) {
        let TextEncoder { codec, text, refused, .. } = self;
        for event in events {
            let before = text.len();
            if let Err(error) = codec.encode(event, text) {
                text.truncate(before);
                refused.push((event.clone(), error.to_string()));
            }
        }
    }

    fn byte_size(&self) -> usize {
        self.text.len()
    }

    fn finish(&mut self) -> Encoded {
        let text = std::mem::replace(&mut self.text, self.buffers.take());
        let size = text.len();
        Encoded::new(text, size, std::mem::take(&mut self.refused))
    }
}

impl Output for Stdout {
    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        let texts: Vec<Arc<Buffer>> = batches.iter().filter_map(OutputBatch::payload).collect();
        Box::pin(async move {
            for (event, reason) in batches.iter().flat_map(OutputBatch::refused) {
                cx.bury(event, reason).await;
            }
            print(&texts)
                .map_err(|error| OutputError::Fatal(format!("standard output can't be written: {error}")))
        })
    }
}

/// Writes whole batches under the lock that the log uses too, so that lines never mix.
fn print(texts: &[Arc<Buffer>]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for text in texts {
        stdout.write_all(text)?;
    }
    stdout.flush()
}
