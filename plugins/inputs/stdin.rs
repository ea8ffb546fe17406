//! The `stdin` input.

use crate::stream::{Stream, StreamFields};
use ferrostash_conf::Options;
use ferrostash_event::{Event, FieldRef};
use ferrostash_plugin::{
    BuildContext, BuildResult, Counter, Input, InputContext, InputError, InputPlugin, LineBuffers, PluginDef,
    StartError, input,
};
use futures::future::BoxFuture;
use std::io::Read;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Reads standard input; its end is the end of the input. A last line without a line end counts too.
///
/// ```conf
/// input { stdin { codec => json } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "stdin")]
pub(crate) struct StdinOptions {}

pub(crate) static PLUGIN: PluginDef = input::<Stdin>();

/// Bytes per read.
const READ_BYTES: usize = 64 * 1024;
/// Reads that wait for the pipeline.
const READS_WAITING_MAX: usize = 2;

struct Stdin {
    host: Arc<str>,
    host_field: FieldRef,
    reads: Option<mpsc::Receiver<std::io::Result<Vec<u8>>>>,
}

impl InputPlugin for Stdin {
    type Options = StdinOptions;
    const CODEC: &'static str = "line";
    const STREAM: bool = true;

    fn build(_: StdinOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let host_field = match cx.ecs.is_on() {
            true => FieldRef::literal("host").child("hostname"),
            false => FieldRef::literal("host"),
        };
        Ok(Stdin { host: Arc::clone(&cx.pipeline.host), host_field, reads: None })
    }
}

/// Reads until the end, in a thread of its own: a read of a terminal can't be called off.
fn read_all(mut source: impl Read, reads: &mpsc::Sender<std::io::Result<Vec<u8>>>) {
    loop {
        let mut buffer = vec![0; READ_BYTES];
        let result = match source.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                buffer.truncate(length);
                Ok(buffer)
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if reads.blocking_send(result).is_err() || failed {
            return;
        }
    }
}

/// What the events get.
struct Host {
    field: FieldRef,
    name: Arc<str>,
}

impl StreamFields for Host {
    fn apply(&self, event: &mut Event) {
        if !event.contains(&self.field) {
            // Fails only where the codec put something else in the way, which then counts more.
            let _ = event.set_str(&self.field, &self.name);
        }
    }
}

impl Input for Stdin {
    fn start<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        let (sender, reads) = mpsc::channel(READS_WAITING_MAX);
        self.reads = Some(reads);
        let thread = std::thread::Builder::new()
            .name("stdin".into())
            .spawn(move || read_all(std::io::stdin(), &sender));
        let started =
            thread.map(drop).map_err(|error| StartError(format!("standard input can't be read: {error}")));
        Box::pin(async { started })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            let Some(mut reads) = self.reads.take() else { return Ok(()) };
            let host = Host { field: self.host_field.clone(), name: Arc::clone(&self.host) };
            let mut stream = Stream::new(cx, host, &LineBuffers::default());
            let waiting = Counter::default();
            loop {
                let idle = async {
                    match stream.idle_flush() {
                        Some(after) => tokio::time::sleep(after).await,
                        None => std::future::pending().await,
                    }
                };
                let read = tokio::select! {
                    read = reads.recv() => read,
                    () = idle => {
                        stream.flush();
                        if stream.push(cx, &waiting).await.is_err() {
                            return Ok(());
                        }
                        continue;
                    }
                    () = cx.shutdown.stopping() => None,
                };
                let is_end = match read {
                    Some(Ok(data)) => {
                        stream.read(&data);
                        false
                    }
                    Some(Err(error)) => {
                        tracing::error!(%error, "standard input can't be read any more");
                        true
                    }
                    None => true,
                };
                if is_end {
                    stream.flush();
                }
                if stream.push(cx, &waiting).await.is_err() || is_end {
                    return Ok(());
                }
            }
        })
    }

    fn reloadable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PLUGINS;
    use ferrostash_plugin::Chunk;
    use ferrostash_plugin::testing::Harness;

    #[test]
    fn everything_is_read_in_pieces() {
        let (sender, mut reads) = mpsc::channel(16);
        let text = vec![b'x'; READ_BYTES + 10];
        read_all(&text[..], &sender);
        drop(sender);
        let mut lengths = Vec::new();
        while let Some(read) = reads.blocking_recv() {
            lengths.push(read.unwrap().len());
        }
        assert_eq!(lengths, [READ_BYTES, 10]);
    }

    #[tokio::test]
    async fn the_last_line_needs_no_end() {
        let harness = Harness::new(PLUGINS).input("stdin { }").unwrap();
        let (sender, reads) = mpsc::channel(4);
        let mut input = Stdin { host: "h".into(), host_field: FieldRef::literal("host"), reads: Some(reads) };
        sender.send(Ok(b"one\ntw".to_vec())).await.unwrap();
        sender.send(Ok(b"o".to_vec())).await.unwrap();
        drop(sender);
        let context = harness.context.clone();
        let mut chunks = harness.chunks;
        let (ran, first) = tokio::join!(input.run(&context), chunks.recv());
        ran.unwrap();
        let text = |chunk: Option<Chunk>| {
            let event = chunk.unwrap().into_events().remove(0);
            ["message", "host"]
                .map(|field| event.get_str(&FieldRef::literal(field)).unwrap_or("?").to_owned())
        };
        assert_eq!(text(first), ["one", "h"]);
        assert_eq!(text(chunks.recv().await), ["two", "h"]);
    }

    #[test]
    fn a_reload_cannot_take_stdin_away() {
        assert!(!Harness::new(PLUGINS).input("stdin { }").unwrap().input.reloadable());
    }
}
