//! The harness that plugin tests run on: a plugin in the user's own syntax, events in, events out.
//!
//! ```text
//! let mut truncate = Harness::new(PLUGINS).filter(r#"truncate { length_bytes => 5 }"#)?;
//! assert_eq!(truncate.run_json(&[r#"{"message":"hello world"}"#]), [r#"{"message":"hello"}"#]);
//! ```

use crate::ack::Ack;
use crate::build::PipelineInfo;
use crate::bus::Bus;
use crate::codec::Codec;
use crate::decorate::Decoration;
use crate::def::{Built, Maker, PluginDef, Registry};
use crate::ecs::Ecs;
use crate::filter::{Filter, FilterContext};
use crate::input::{Chunk, EventQueue, Input, InputContext, QueueClosed, Reserved};
use crate::metrics::PluginMetrics;
use crate::output::{BatchEncoder, Buried, DeadLetters, FilteredBatch, Output, OutputBatch, OutputContext};
use crate::shutdown::Shutdown;
use ferrostash_conf::{
    Diagnostics, PluginBlock, PluginKind, Protocol, SourceMap, Statement, Vars, expand_block, grammar, lower,
};
use ferrostash_event::{Batch, Event, FieldRef, Selection, Timestamp};
use futures::future::BoxFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Builds plugins from configuration text.
#[derive(Clone)]
pub struct Harness {
    registry: Registry,
    pipeline: PipelineInfo,
    bus: Bus,
    vars: Vec<(String, String)>,
}

/// The time of every event that names none, and of every batch.
pub fn test_time() -> Timestamp {
    Timestamp::from_millis(1_767_323_045_678)
}

/// The event that a line of JSON describes.
pub fn event(json: &str) -> Event {
    let mut events = Vec::new();
    let read = Event::read_json(json, test_time(), &mut |event| events.push(event));
    assert!(read.is_ok(), "{json}: {read:?}");
    events.pop().unwrap_or_default()
}

/// The event as JSON; without `@version`, and without `@timestamp` where that is [`test_time`].
pub fn json(event: &Event) -> String {
    let mut event = event.clone();
    event.remove(&FieldRef::literal("@version"));
    if event.timestamp() == Some(test_time()) {
        event.remove(&FieldRef::literal("@timestamp"));
    }
    let mut out = Vec::new();
    event.write_json_with_metadata(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

impl Harness {
    /// A harness for the plugins of one crate. The codecs `plain`, `line`, `json` and `json_lines` are simple ones of the
    /// harness's own, unless the crate has them.
    pub fn new(plugins: &[&'static PluginDef]) -> Harness {
        let own = plugins.iter().any(|def| def.kind == PluginKind::Codec);
        let codecs: &[&'static PluginDef] = if own { &[] } else { &simple::PLUGINS };
        Harness {
            registry: Registry::new(&[plugins, codecs]),
            pipeline: PipelineInfo::default(),
            bus: Bus::default(),
            vars: Vec::new(),
        }
    }

    /// Uses another ECS mode than v8.
    pub fn ecs(mut self, ecs: Ecs) -> Harness {
        self.pipeline.ecs = ecs;
        self
    }

    /// Uses another description of the pipeline.
    pub fn pipeline(mut self, change: impl FnOnce(&mut PipelineInfo)) -> Harness {
        change(&mut self.pipeline);
        self
    }

    /// Sets an environment variable for `${NAME}`.
    pub fn env(mut self, name: &str, value: &str) -> Harness {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The bus of the pipelines that this harness builds.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Builds one plugin of `kind`, or gives the rendered diagnostics.
    pub fn build(&self, kind: PluginKind, text: &str) -> Result<Built, String> {
        let mut sources = SourceMap::new();
        // A codec can only stand in an input; the block is what counts.
        let whole = match kind {
            PluginKind::Codec => format!("input {{ x {{ codec => {text} }} }}"),
            _ => format!("{} {{ {text} }}", kind.name()),
        };
        let id = sources.add(Protocol::String, "test", whole);
        let mut diagnostics = Diagnostics::new();
        let built = self.build_source(kind, &sources, id, &mut diagnostics);
        built.ok_or_else(|| diagnostics.render(&sources, false))
    }

    fn build_source(
        &self,
        kind: PluginKind,
        sources: &SourceMap,
        id: ferrostash_conf::SourceId,
        diagnostics: &mut Diagnostics,
    ) -> Option<Built> {
        let source = sources.get(id)?;
        let document = match grammar::parse(source) {
            Ok(document) => document,
            Err(error) => {
                diagnostics.push(*error);
                return None;
            }
        };
        let sections = lower::lower(&document, source, false, diagnostics);
        let mut block = first_block(kind, sections)?;
        let vars = Vars::new().with_environment(self.vars.clone());
        expand_block(&mut block, &vars, diagnostics);
        let built = self.registry.build(&block, &self.pipeline, &self.bus, diagnostics).ok()?;
        (!diagnostics.has_errors()).then_some(built)
    }

    /// Builds a filter.
    pub fn filter(&self, text: &str) -> Result<FilterHarness, String> {
        let built = self.build(PluginKind::Filter, text)?;
        match built.maker {
            Maker::Filter { for_worker, decoration, .. } => Ok(FilterHarness {
                filter: for_worker(),
                decoration,
                metrics: built.metrics,
                now: test_time(),
            }),
            _ => Err("not a filter".into()),
        }
    }

    /// Builds a codec, for one stream.
    pub fn codec(&self, text: &str) -> Result<Box<dyn Codec>, String> {
        match self.build(PluginKind::Codec, text)?.maker {
            Maker::Codec(codec) => Ok(codec.for_stream()),
            _ => Err("not a codec".into()),
        }
    }

    /// Builds an input, with a queue to watch.
    pub fn input(&self, text: &str) -> Result<InputHarness, String> {
        let built = self.build(PluginKind::Input, text)?;
        let Maker::Input { input, codec, decoration, .. } = built.maker else {
            return Err("not an input".into());
        };
        let (sender, chunks) = mpsc::channel(QUEUE_CHUNKS);
        let context = InputContext {
            shutdown: Shutdown::new(),
            metrics: built.metrics,
            codec,
            queue: Arc::new(ChannelQueue(sender)),
            decoration,
            batch_size: self.pipeline.batch_size,
            settle_time: Duration::from_secs(5),
        };
        Ok(InputHarness { input, context, chunks })
    }

    /// Builds an output, with its dead letters to watch.
    pub fn output(&self, text: &str) -> Result<OutputHarness, String> {
        let built = self.build(PluginKind::Output, text)?;
        let Maker::Output { factory, .. } = built.maker else { return Err("not an output".into()) };
        let dead_letters = Arc::<Letters>::default();
        let context = OutputContext {
            shutdown: Shutdown::new(),
            metrics: built.metrics,
            dead_letters: Arc::clone(&dead_letters) as Arc<dyn DeadLetters>,
        };
        let (output, encoder) = (factory.for_worker(), factory.encoder().map(Mutex::new));
        Ok(OutputHarness { output, encoder, context, dead_letters })
    }

    /// Runs the examples in the plugins' documentation: ```` ```conf ```` blocks of filters with `# in:` and `# out:` lines
    /// are run, all others are built.
    ///
    /// # Panics
    /// An example does not do what it says.
    #[expect(clippy::panic, reason = "that is how a test fails")]
    pub fn run_examples(&self, plugins: &[&'static PluginDef]) {
        for def in plugins {
            for block in conf_blocks(def.doc) {
                if let Err(problem) = self.run_example(def, &block) {
                    panic!("example of {} `{}`:\n{block}\n{problem}", def.kind, def.name);
                }
            }
        }
    }

    fn run_example(&self, def: &PluginDef, block: &str) -> Result<(), String> {
        let lines = |prefix: &str| -> Vec<String> {
            block
                .lines()
                .filter_map(|line| Some(line.trim().strip_prefix(prefix)?.trim().to_owned()))
                .collect()
        };
        let text: String =
            block.lines().filter(|line| !line.trim().starts_with('#')).collect::<Vec<_>>().join("\n");
        let inner = text.trim().strip_prefix(def.kind.name()).map(str::trim);
        let inner =
            inner.and_then(|t| t.strip_prefix('{')).and_then(|t| t.strip_suffix('}')).unwrap_or(&text);
        if def.kind != PluginKind::Filter {
            return self.build(def.kind, inner).map(|_| ());
        }
        let (inputs, expected) = (lines("# in:"), lines("# out:"));
        let mut filter = self.filter(inner)?;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let compact = |text: &String| json(&event(text));
        let expected: Vec<String> = expected.iter().map(compact).collect();
        let got = filter.run_json(&inputs);
        if got == expected { Ok(()) } else { Err(format!("expected {expected:#?}\ngot {got:#?}")) }
    }
}

fn first_block(kind: PluginKind, mut sections: lower::Sections) -> Option<PluginBlock> {
    let plugin = |statement| match statement {
        Statement::Plugin(block) => Some(block),
        Statement::If(_) => None,
    };
    match kind {
        PluginKind::Input => sections.inputs.into_iter().next(),
        PluginKind::Filter => plugin(sections.filters.into_iter().next()?),
        PluginKind::Output => plugin(sections.outputs.into_iter().next()?),
        PluginKind::Codec => {
            let input = sections.inputs.pop()?;
            let value = input.options.into_iter().next()?.value;
            match value.kind {
                ferrostash_conf::ConfKind::Plugin(block) => Some(*block),
                ferrostash_conf::ConfKind::Text(name) => {
                    Some(PluginBlock::bare(PluginKind::Codec, name, value.span))
                }
                _ => None,
            }
        }
    }
}

/// The ```` ```conf ```` blocks of a documentation text.
fn conf_blocks(doc: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = doc;
    while let Some((_, after)) = rest.split_once("```conf\n") {
        let Some((block, behind)) = after.split_once("```") else { break };
        blocks.push(block.to_owned());
        rest = behind;
    }
    blocks
}

/// A filter with its common options.
pub struct FilterHarness {
    filter: Box<dyn Filter>,
    decoration: Arc<Decoration>,
    /// What the filter counted.
    pub metrics: Arc<PluginMetrics>,
    /// The time of the batches.
    pub now: Timestamp,
}

impl FilterHarness {
    /// Runs a batch; gives the events that go on, in order.
    pub fn run(&mut self, events: Vec<Event>) -> Vec<Event> {
        let mut batch = Batch::new(events);
        let all = Selection::all(batch.len());
        let mut cx = FilterContext::new(self.now, &self.metrics, &self.decoration);
        batch.next_step();
        self.filter.filter(&mut batch, &all, &mut cx);
        for (event, parent) in cx.take_made() {
            batch.add(event, parent);
        }
        batch.into_events()
    }

    /// As [`FilterHarness::run`], from and to JSON (see [`json()`] for what is left out).
    pub fn run_json(&mut self, events: &[&str]) -> Vec<String> {
        self.run(events.iter().map(|text| event(text)).collect()).iter().map(json).collect()
    }

    /// As [`FilterHarness::run_json`], for one event with this `message`.
    pub fn run_message(&mut self, message: &str) -> Vec<String> {
        self.run(vec![Event::from_message(message, test_time())]).iter().map(json).collect()
    }

    /// What the filter gives back at the end.
    pub fn flush(&mut self) -> Vec<Event> {
        let mut cx = FilterContext::new(self.now, &self.metrics, &self.decoration);
        self.filter.flush(true, &mut cx)
    }
}

/// All events that a codec makes of these pieces of a stream, its end included, as JSON.
pub fn decode_json(codec: &mut dyn Codec, pieces: &[&[u8]]) -> Vec<String> {
    let mut events = Vec::new();
    let mut sink = |event: Event| events.push(json(&event));
    pieces.iter().for_each(|piece| codec.decode(piece, &mut sink));
    codec.flush(&mut sink);
    events
}

const QUEUE_CHUNKS: usize = 4;

/// A narrow queue: an input that ignores back-pressure shows.
struct ChannelQueue(mpsc::Sender<Chunk>);

impl EventQueue for ChannelQueue {
    fn push(&self, chunk: Chunk) -> BoxFuture<'_, Result<(), QueueClosed>> {
        Box::pin(async { self.0.send(chunk).await.map_err(|_| QueueClosed) })
    }

    fn reserve(&self, bytes: usize) -> BoxFuture<'_, Reserved> {
        Box::pin(async move { Reserved { bytes, held: Box::new(()) } })
    }
}

/// An input before it runs.
pub struct InputHarness {
    /// The input.
    pub input: Box<dyn Input>,
    /// What it works with; `shutdown` stops it.
    pub context: InputContext,
    /// What it pushed.
    pub chunks: mpsc::Receiver<Chunk>,
}

impl InputHarness {
    /// Starts the input and runs it in the background.
    ///
    /// # Errors
    /// It can't start.
    pub async fn spawn(mut self) -> Result<RunningInput, String> {
        self.input.start(&self.context).await.map_err(|e| e.to_string())?;
        let context = self.context.clone();
        let mut input = self.input;
        let task = tokio::spawn({
            let context = context.clone();
            async move { input.run(&context).await.map_err(|e| e.to_string()) }
        });
        Ok(RunningInput { context, chunks: self.chunks, task })
    }
}

/// An input that runs.
pub struct RunningInput {
    /// What it works with; `shutdown` stops it.
    pub context: InputContext,
    /// What it pushed.
    pub chunks: mpsc::Receiver<Chunk>,
    /// Ends with the input.
    pub task: tokio::task::JoinHandle<Result<(), String>>,
}

/// Longest wait of a test for something that should come at once.
pub const TEST_PATIENCE: Duration = Duration::from_secs(10);

impl RunningInput {
    /// The next `count` events, settled at once; fewer when the input ends or patience does.
    pub async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            match tokio::time::timeout(TEST_PATIENCE, self.chunks.recv()).await {
                Ok(Some(chunk)) => events.extend(chunk.into_events()),
                _ => break,
            }
        }
        events
    }

    /// The next `count` events as JSON.
    pub async fn json(&mut self, count: usize) -> Vec<String> {
        self.events(count).await.iter().map(json).collect()
    }

    /// Stops the input and waits for its end.
    ///
    /// # Errors
    /// It failed, panicked, or did not end in time.
    pub async fn stop(mut self) -> Result<Vec<Event>, String> {
        self.context.shutdown.stop();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(TEST_PATIENCE, async {
            loop {
                tokio::select! {
                    chunk = self.chunks.recv() => rest.extend(chunk.into_iter().flat_map(Chunk::into_events)),
                    ended = &mut self.task => return ended,
                }
            }
        });
        let ended = ended.await.map_err(|_| "the input did not stop".to_owned())?;
        ended.map_err(|e| e.to_string())??;
        while let Ok(chunk) = self.chunks.try_recv() {
            rest.extend(chunk.into_events());
        }
        Ok(rest)
    }
}

/// An output before it runs.
pub struct OutputHarness {
    /// The output.
    pub output: Box<dyn Output>,
    encoder: Option<Mutex<Box<dyn BatchEncoder>>>,
    /// What it works with; `shutdown` ends it.
    pub context: OutputContext,
    /// What it could not deliver.
    pub dead_letters: Arc<Letters>,
}

impl OutputHarness {
    /// A batch of these events, as the engine hands it to this output.
    pub fn batch(&self, events: Vec<Event>) -> OutputBatch {
        self.batch_of(events, Vec::new())
    }

    /// The same, of chunks with these acks.
    pub fn batch_of(&self, events: Vec<Event>, acks: Vec<Ack>) -> OutputBatch {
        let all = Selection::all(events.len());
        match &self.encoder {
            None => OutputBatch::new(Arc::new(FilteredBatch::new(events, acks)), all),
            Some(encoder) => {
                let mut encoder = encoder.lock().unwrap_or_else(PoisonError::into_inner);
                let keeps_events = encoder.keeps_events();
                encoder.encode(&mut events.iter());
                let left = if keeps_events { events } else { Vec::new() };
                let batch = Arc::new(FilteredBatch::new(left, acks));
                OutputBatch::of_encoded(batch, all, encoder.finish().with_events(keeps_events))
            }
        }
    }
}

/// Dead letters kept in memory.
#[derive(Default, Debug)]
pub struct Letters(Mutex<Vec<(String, String)>>, AtomicBool);

impl Letters {
    /// Event (as JSON) and reason of each.
    pub fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on it says that it keeps no events.
    pub fn keep_no_events(&self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

impl DeadLetters for Letters {
    fn keeps_events(&self) -> bool {
        !self.1.load(Ordering::Relaxed)
    }

    fn write<'a>(&'a self, event: &'a Event, reason: &'a str) -> BoxFuture<'a, Buried> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((json(event), reason.to_owned()));
        Box::pin(async { Buried::Kept })
    }
}

/// Codecs that are just good enough for tests of inputs and outputs.
mod simple {
    use crate::build::{BuildContext, BuildResult};
    use crate::codec::{Codec, EncodeError, EventSink, LineEventSink};
    use crate::def::{CodecPlugin, PluginDef, codec};
    use crate::framing::LineFramer;
    use crate::raw_lines::Lines;
    use ferrostash_conf::Options;
    use ferrostash_event::{Event, FieldRef, Timestamp};
    use std::num::NonZeroUsize;

    pub(super) static PLUGINS: [&PluginDef; 4] = [&PLAIN, &LINE, &JSON, &JSON_LINES];

    static PLAIN: PluginDef = codec::<Simple<false, false, PlainOptions>>();
    static LINE: PluginDef = codec::<Simple<true, false, LineOptions>>();
    static JSON: PluginDef = codec::<Simple<false, true, JsonOptions>>();
    static JSON_LINES: PluginDef = codec::<Simple<true, true, JsonLinesOptions>>();

    /// Text.
    #[derive(Options, Clone, Debug)]
    #[plugin(codec = "plain")]
    pub(super) struct PlainOptions {}
    /// Lines.
    #[derive(Options, Clone, Debug)]
    #[plugin(codec = "line")]
    pub(super) struct LineOptions {}
    /// A JSON document.
    #[derive(Options, Clone, Debug)]
    #[plugin(codec = "json")]
    pub(super) struct JsonOptions {}
    /// Lines of JSON.
    #[derive(Options, Clone, Debug)]
    #[plugin(codec = "json_lines")]
    pub(super) struct JsonLinesOptions {}

    #[derive(Debug)]
    struct Simple<const LINES: bool, const JSON: bool, O> {
        buffer: Vec<u8>,
        options: std::marker::PhantomData<fn() -> O>,
    }

    impl<const LINES: bool, const JSON: bool, O> Clone for Simple<LINES, JSON, O> {
        fn clone(&self) -> Self {
            Simple { buffer: self.buffer.clone(), options: self.options }
        }
    }

    impl<const LINES: bool, const JSON: bool, O: ferrostash_conf::OptionsDef + 'static> CodecPlugin
        for Simple<LINES, JSON, O>
    {
        type Options = O;

        fn build(_: O, _: &mut BuildContext<'_>) -> BuildResult<Self> {
            Ok(Simple { buffer: Vec::new(), options: std::marker::PhantomData })
        }
    }

    impl<const LINES: bool, const JSON: bool, O> Codec for Simple<LINES, JSON, O> {
        fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
            if !LINES {
                return message::<JSON>(data, sink);
            }
            self.buffer.extend_from_slice(data);
            while let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                message::<JSON>(line.get(..end).unwrap_or_default(), sink);
            }
        }

        fn is_stateless(&self) -> bool {
            !LINES
        }

        fn lines(&self) -> Option<LineFramer> {
            LINES.then(|| LineFramer::new(b"\n", NonZeroUsize::MAX).ok()).flatten()
        }

        fn decode_lines(&mut self, lines: Lines<'_>, _: Timestamp, sink: &mut LineEventSink<'_>) {
            for (number, line) in lines.iter().enumerate() {
                message::<JSON>(line, &mut |event| sink(number, event));
            }
        }

        fn flush(&mut self, sink: &mut EventSink<'_>) {
            if !self.buffer.is_empty() {
                message::<JSON>(&std::mem::take(&mut self.buffer), sink);
            }
        }

        fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
            if JSON {
                event.write_json(out);
            } else {
                out.extend_from_slice(event.get_str(&FieldRef::literal("message")).unwrap_or("").as_bytes());
            }
            if LINES {
                out.push(b'\n');
            }
            Ok(())
        }
    }

    fn message<const JSON: bool>(data: &[u8], sink: &mut EventSink<'_>) {
        let text = String::from_utf8_lossy(data);
        if !JSON || Event::read_json(&text, Timestamp::now(), sink).is_err() {
            sink(Event::from_message(&text, Timestamp::now()));
        }
    }
}
