//! The `generator` input.

use ferrostash_conf::Options;
use ferrostash_event::{Event, FieldRef};
use ferrostash_plugin::{
    BuildContext, BuildResult, Ecs, Input, InputContext, InputError, InputPlugin, PluginDef, input,
};
use futures::future::{BoxFuture, join_all};
use std::sync::Arc;

/// Makes events by itself, as fast as the pipeline takes them: for measuring and trying out.
///
/// Each event has its number in `[event][sequence]` (`sequence` without ECS).
///
/// ```conf
/// input { generator { lines => ["one", "two"] count => 3 } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "generator")]
pub(crate) struct GeneratorOptions {
    /// The text that the codec makes events of.
    #[option(default = "Hello world!")]
    message: String,
    /// Texts to take in turn, instead of `message`.
    #[option(kind = "array")]
    lines: Option<Vec<String>>,
    /// How many times to take the message, or all of the lines; 0 goes on for ever.
    #[option(default = 0)]
    count: u64,
    /// How many of these to run beside each other; each counts for itself.
    #[option(default = 1, range = 1..=THREADS_MAX)]
    threads: u64,
}

pub(crate) static PLUGIN: PluginDef = input::<Generator>();

/// Most generators of one block.
pub(crate) const THREADS_MAX: i64 = 1024;

struct Generator {
    lines: Vec<String>,
    count: u64,
    threads: u64,
    host: Arc<str>,
    fields: Fields,
}

struct Fields {
    host: FieldRef,
    sequence: FieldRef,
}

impl InputPlugin for Generator {
    type Options = GeneratorOptions;

    fn build(options: GeneratorOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Generator {
            lines: options.lines.unwrap_or_else(|| vec![options.message]),
            count: options.count,
            threads: options.threads,
            host: Arc::clone(&cx.pipeline.host),
            fields: Fields { host: host_field(cx.ecs), sequence: sequence_field(cx.ecs) },
        })
    }
}

/// Where an input puts the name of this machine.
pub(crate) fn host_field(ecs: Ecs) -> FieldRef {
    match ecs.is_on() {
        true => FieldRef::literal("host").child("name"),
        false => FieldRef::literal("host"),
    }
}

fn sequence_field(ecs: Ecs) -> FieldRef {
    match ecs.is_on() {
        true => FieldRef::literal("event").child("sequence"),
        false => FieldRef::literal("sequence"),
    }
}

impl Generator {
    async fn generate(&self, cx: &InputContext) {
        let mut codec = cx.codec_for_stream();
        let mut events = Vec::with_capacity(cx.batch_size);
        let mut sequence = 0;
        while (self.count == 0 || sequence < self.count) && !self.lines.is_empty() {
            for line in &self.lines {
                codec.decode(line.as_bytes(), &mut |event| events.push(self.complete(event, sequence)));
                if events.len() >= cx.batch_size {
                    let full = std::mem::replace(&mut events, Vec::with_capacity(cx.batch_size));
                    if cx.shutdown.is_stopping() || cx.push(full, None).await.is_err() {
                        return;
                    }
                }
            }
            sequence += 1;
        }
        codec.flush(&mut |event| events.push(self.complete(event, sequence)));
        // A closed queue takes nothing more; what is generated is no loss.
        let _ = cx.push(events, None).await;
    }

    fn complete(&self, mut event: Event, sequence: u64) -> Event {
        // Both fail only where the codec put something else in the way, which then counts more.
        let _ = event.set_str(&self.fields.host, &self.host);
        let _ = event.set(&self.fields.sequence, sequence as i64);
        event
    }
}

impl Input for Generator {
    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            let generators = (0..self.threads).map(|_| self.generate(cx));
            tokio::select! {
                _ = join_all(generators) => {}
                () = cx.shutdown.stopping() => {}
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use ferrostash_plugin::Ecs;
    use ferrostash_plugin::testing::Harness;

    async fn run(harness: Harness, text: &str, count: usize) -> Vec<String> {
        harness.input(text).unwrap().spawn().await.unwrap().json(count).await.into_iter().map(strip).collect()
    }

    /// Without the time, which is the clock's.
    fn strip(json: String) -> String {
        let start = json.find("\"@timestamp\"").unwrap();
        let end = json[start..].find(',').unwrap();
        format!("{}{}", &json[..start], &json[start + end + 1..])
    }

    #[tokio::test]
    async fn lines_in_turn_with_their_number() {
        let events = run(Harness::new(PLUGINS), r#"generator { lines => ["a", "b"] count => 2 }"#, 4).await;
        assert_eq!(events[0], r#"{"message":"a","host":{"name":"localhost"},"event":{"sequence":0}}"#);
        assert_eq!(events[3], r#"{"message":"b","host":{"name":"localhost"},"event":{"sequence":1}}"#);
    }

    #[tokio::test]
    async fn without_ecs_and_with_common_options() {
        let harness = Harness::new(PLUGINS).ecs(Ecs::Disabled);
        let text = r#"generator { count => 1 type => "t" tags => "x" add_field => { "f" => "%{host}" } }"#;
        let events = run(harness, text, 1).await;
        assert_eq!(
            events,
            [
                r#"{"message":"Hello world!","host":"localhost","sequence":0,"type":"t","f":"localhost","tags":["x"]}"#
            ]
        );
    }

    #[tokio::test]
    async fn stops_while_the_queue_is_full() {
        let running =
            Harness::new(PLUGINS).input("generator { threads => 3 }").unwrap().spawn().await.unwrap();
        running.stop().await.unwrap();
    }
}
