//! The `stdout` output.

use ferrostash_conf::Options;
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecFactory, Output, OutputBatch, OutputContext, OutputError,
    OutputPlugin, PluginDef, output,
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

struct Stdout {
    factory: Arc<dyn CodecFactory>,
    codec: Box<dyn Codec>,
}

impl Clone for Stdout {
    fn clone(&self) -> Self {
        Stdout { factory: Arc::clone(&self.factory), codec: self.factory.for_stream() }
    }
}

impl OutputPlugin for Stdout {
    type Options = StdoutOptions;
    const CODEC: &'static str = "rubydebug";

    fn build(
        _: StdoutOptions,
        factory: Arc<dyn CodecFactory>,
        _: &mut BuildContext<'_>,
    ) -> BuildResult<Self> {
        Ok(Stdout { codec: factory.for_stream(), factory })
    }
}

impl Output for Stdout {
    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        let mut text = Vec::with_capacity(64 * 1024);
        let mut refused = Vec::new();
        for event in batches.iter().flat_map(OutputBatch::events) {
            let before = text.len();
            if let Err(error) = self.codec.encode(event, &mut text) {
                text.truncate(before);
                refused.push((event, error.to_string()));
            }
        }
        Box::pin(async move {
            for (event, reason) in refused {
                cx.dead_letters.write(event, &reason).await;
            }
            // A reader that does not keep up blocks the write: it has a thread of its own.
            let written = tokio::task::spawn_blocking(move || print(&text)).await;
            match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    Err(OutputError::Fatal(format!("standard output can't be written: {error}")))
                }
                Err(error) => Err(OutputError::Fatal(error.to_string())),
            }
        })
    }
}

/// Writes whole batches under the lock that the log uses too, so that lines never mix.
fn print(text: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}
