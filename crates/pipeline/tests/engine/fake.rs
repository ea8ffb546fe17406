//! Plugins for tests, used in the user's own syntax. What a test sees of them is in the [`Probe`] of their name.

use ferrostash_conf::Options;
use ferrostash_event::{Event, FieldRef};
use ferrostash_plugin::{
    Ack, BuildContext, BuildResult, Bus, BusSender, Chunk, Codec, CodecFactory, CodecPlugin, EncodeError,
    EventFilter, EventSink, FilterContext, FilterPlugin, Flushes, Input, InputContext, InputError,
    InputPlugin, Matched, Output, OutputBatch, OutputContext, OutputError, OutputPlugin, PluginDef, Registry,
    StartError, codec, filter, input, output,
};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

pub(crate) fn registry() -> Registry {
    Registry::new(&[&[&PLAIN, &SOURCE, &FROM, &MARK, &COPY, &CANCEL, &BOOM, &LOOK, &KEEP, &SINK, &VIA]])
}

/// What an input is told to do next.
pub(crate) enum Order {
    Push(Vec<Event>, Option<Ack>),
    Fail,
    Panic,
}

/// The other side of a fake plugin.
pub(crate) struct Probe {
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    received_orders: tokio::sync::Mutex<mpsc::UnboundedReceiver<Order>>,
    written: Mutex<Vec<String>>,
    /// Permits for the writes of an output in mode `gate`.
    pub(crate) gate: Semaphore,
    pub(crate) starts: AtomicUsize,
    pub(crate) runs: AtomicUsize,
    pub(crate) writes: AtomicUsize,
    pub(crate) closes: AtomicUsize,
    pub(crate) idles: AtomicUsize,
}

static PROBES: LazyLock<Mutex<HashMap<String, Arc<Probe>>>> = LazyLock::new(Mutex::default);

/// The probe of the plugin with that name; every test uses names of its own.
pub(crate) fn probe(name: &str) -> Arc<Probe> {
    let new = || {
        let (orders, received_orders) = mpsc::unbounded_channel();
        Arc::new(Probe {
            orders,
            received_orders: tokio::sync::Mutex::new(received_orders),
            written: Mutex::default(),
            gate: Semaphore::new(0),
            starts: AtomicUsize::new(0),
            runs: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            closes: AtomicUsize::new(0),
            idles: AtomicUsize::new(0),
        })
    };
    Arc::clone(PROBES.lock().unwrap().entry(name.to_owned()).or_insert_with(new))
}

impl Probe {
    /// The messages that were written so far.
    pub(crate) fn written(&self) -> Vec<String> {
        self.written.lock().unwrap().clone()
    }

    pub(crate) fn push(&self, messages: &[&str], ack: Option<Ack>) {
        let events = messages.iter().map(|message| event(message)).collect();
        self.orders.send(Order::Push(events, ack)).unwrap();
    }

    fn write(&self, batches: &[OutputBatch]) {
        let events = batches.iter().flat_map(OutputBatch::events);
        self.written.lock().unwrap().extend(events.map(message_of));
    }
}

pub(crate) fn event(message: &str) -> Event {
    Event::from_message(message, ferrostash_event::Timestamp::EPOCH)
}

pub(crate) fn message_of(event: &Event) -> String {
    event.get_str(&FieldRef::literal("message")).unwrap_or_default().to_owned()
}

fn set_message(event: &mut Event, text: &str) {
    event.set_str(&FieldRef::literal("message"), text).unwrap();
}

fn count(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::SeqCst)
}

static PLAIN: PluginDef = codec::<Plain>();

/// Nothing.
#[derive(Options, Clone, Debug)]
#[plugin(codec = "plain")]
struct PlainOptions {}

#[derive(Clone)]
struct Plain;

impl CodecPlugin for Plain {
    type Options = PlainOptions;
    fn build(_: PlainOptions, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Plain)
    }
}

impl Codec for Plain {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        sink(event(&String::from_utf8_lossy(data)));
    }
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(message_of(event).as_bytes());
        Ok(())
    }
}

static SOURCE: PluginDef = input::<Source>();

/// Pushes what the test sends it.
#[derive(Options, Clone, Debug)]
#[plugin(input = "source")]
struct SourceOptions {
    /// Name of the probe.
    #[option(required)]
    name: String,
    /// Whether it listens to nothing but orders when it is told to stop.
    #[option(default = false)]
    deaf: bool,
    /// Whether it cannot start.
    #[option(default = false)]
    refuse: bool,
}

struct Source {
    probe: Arc<Probe>,
    options: SourceOptions,
}

impl InputPlugin for Source {
    type Options = SourceOptions;
    fn build(options: SourceOptions, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Source { probe: probe(&options.name), options })
    }
}

impl Input for Source {
    fn start<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        count(&self.probe.starts);
        let refuse = self.options.refuse;
        Box::pin(async move { if refuse { Err(StartError("the port is taken".into())) } else { Ok(()) } })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        count(&self.probe.runs);
        Box::pin(async move {
            let mut orders = self.probe.received_orders.lock().await;
            loop {
                let order = tokio::select! {
                    order = orders.recv() => order,
                    () = cx.shutdown.stopping(), if !self.options.deaf => return Ok(()),
                };
                match order {
                    // No events and no ack: the source has ended.
                    Some(Order::Push(events, None)) if events.is_empty() => return Ok(()),
                    Some(Order::Push(events, ack)) => {
                        cx.push(events, ack).await.map_err(|error| InputError(error.to_string()))?;
                    }
                    Some(Order::Fail) => return Err(InputError("the line is dead".into())),
                    Some(Order::Panic) => panic!("told to"),
                    None => return Ok(()),
                }
            }
        })
    }
}

static FROM: PluginDef = input::<From>();

/// Listens at an address of the bus.
#[derive(Options, Clone, Debug)]
#[plugin(input = "from")]
struct FromOptions {
    /// The address.
    #[option(required)]
    address: String,
}

struct From {
    address: String,
    pipeline: Arc<str>,
    bus: Bus,
    listener: Option<ferrostash_plugin::BusListener>,
}

impl InputPlugin for From {
    type Options = FromOptions;
    fn build(options: FromOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let pipeline = Arc::clone(&cx.pipeline.id);
        Ok(From { address: options.address, pipeline, bus: cx.bus.clone(), listener: None })
    }
}

impl Input for From {
    fn start<'a>(&'a mut self, _: &'a InputContext) -> BoxFuture<'a, Result<(), StartError>> {
        let listener =
            self.bus.listen(&self.address, &self.pipeline).map_err(|taken| StartError(taken.to_string()));
        Box::pin(async move {
            self.listener = Some(listener?);
            Ok(())
        })
    }

    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async move {
            let listener = self.listener.as_mut().unwrap();
            let stopped = async {
                cx.shutdown.stopping().await;
            };
            tokio::pin!(stopped);
            let mut stopping = false;
            loop {
                let done = listener.senders_done();
                tokio::select! {
                    chunk = listener.receive() => match chunk {
                        Some(chunk) => cx.push_chunk(chunk).await.map_err(|error| InputError(error.to_string()))?,
                        None => return Ok(()),
                    },
                    () = &mut stopped, if !stopping => stopping = true,
                    () = done, if stopping => listener.stop(),
                }
            }
        })
    }
}

macro_rules! filter_plugin {
    ($def:ident, $type:ident) => {
        static $def: PluginDef = filter::<$type>();

        impl FilterPlugin for $type {
            type Options = $type;
            fn build(options: $type, _: &mut BuildContext<'_>) -> BuildResult<Self> {
                Ok(options)
            }
        }
    };
}

/// Appends a letter to the message.
#[derive(Options, Clone, Debug)]
#[plugin(filter = "mark")]
struct Mark {
    /// The letter.
    #[option(required)]
    with: String,
}

filter_plugin!(MARK, Mark);

impl EventFilter for Mark {
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) -> Matched {
        let text = format!("{}{}", message_of(event), self.with);
        set_message(event, &text);
        Matched::Yes
    }
}

/// Makes two copies behind the event.
#[derive(Options, Clone, Debug)]
#[plugin(filter = "copy")]
struct Copy {
    /// What the copies' messages get behind them, beside their number.
    #[option(default = "-")]
    with: String,
}

filter_plugin!(COPY, Copy);

impl EventFilter for Copy {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched {
        for number in 1..=2 {
            let mut copy = event.clone();
            set_message(&mut copy, &format!("{}{}{number}", message_of(event), self.with));
            cx.emit_matched(copy);
        }
        Matched::Yes
    }
}

/// Cancels the event.
#[derive(Options, Clone, Debug)]
#[plugin(filter = "cancel")]
struct Cancel {}

filter_plugin!(CANCEL, Cancel);

impl EventFilter for Cancel {
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) -> Matched {
        event.cancel();
        Matched::Yes
    }
}

/// Panics at a message.
#[derive(Options, Clone, Debug)]
#[plugin(filter = "boom")]
struct Boom {
    /// The message.
    #[option(required)]
    at: String,
}

filter_plugin!(BOOM, Boom);

impl EventFilter for Boom {
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) -> Matched {
        assert!(message_of(event) != self.at, "told to");
        Matched::No
    }
}

/// Notes what it sees in its probe.
#[derive(Options, Clone, Debug)]
#[plugin(filter = "look")]
struct Look {
    /// Name of the probe.
    #[option(required)]
    name: String,
    /// A letter to tell two of them apart.
    #[option(required)]
    with: String,
}

filter_plugin!(LOOK, Look);

impl EventFilter for Look {
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) -> Matched {
        let seen = format!("{}{}", message_of(event), self.with);
        probe(&self.name).written.lock().unwrap().push(seen);
        Matched::Yes
    }
}

static KEEP: PluginDef = filter::<Keep>();

/// Gives copies of what it saw when it is flushed.
#[derive(Options, Clone, Debug)]
#[plugin(filter = "keep")]
struct KeepOptions {
    /// Whether it wants to be flushed every five seconds.
    #[option(default = false)]
    often: bool,
}

#[derive(Clone)]
struct Keep {
    often: bool,
    kept: Vec<Event>,
}

impl FilterPlugin for Keep {
    type Options = KeepOptions;
    fn build(options: KeepOptions, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Keep { often: options.often, kept: Vec::new() })
    }
}

impl EventFilter for Keep {
    fn filter(&mut self, event: &mut Event, _: &mut FilterContext<'_>) -> Matched {
        self.kept.push(event.clone());
        Matched::Yes
    }

    fn flushes(&self) -> Flushes {
        if self.often { Flushes::Periodically } else { Flushes::OnRequest }
    }

    fn flush(&mut self, at_end: bool, _: &mut FilterContext<'_>) -> Vec<Event> {
        let mut kept = std::mem::take(&mut self.kept);
        for event in &mut kept {
            let text = format!("{}{}", message_of(event), if at_end { "!" } else { "~" });
            set_message(event, &text);
        }
        kept
    }
}

static SINK: PluginDef = output::<Sink>();

/// Remembers what it gets.
#[derive(Options, Clone, Debug)]
#[plugin(output = "sink")]
struct Sink {
    /// Name of the probe.
    #[option(required)]
    name: String,
    /// `take`, `gate`, `never`, `retry`, `panic`, `fatal`, `abandon`, `refuse`.
    #[option(default = "take")]
    mode: String,
}

impl OutputPlugin for Sink {
    type Options = Sink;
    fn build(options: Sink, _: Arc<dyn CodecFactory>, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(options)
    }
}

impl Output for Sink {
    fn start<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, Result<(), StartError>> {
        count(&probe(&self.name).starts);
        let refuse = self.mode == "refuse";
        Box::pin(async move { if refuse { Err(StartError("no such host".into())) } else { Ok(()) } })
    }

    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        _: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        let probe = probe(&self.name);
        let attempt = count(&probe.writes);
        Box::pin(async move {
            match self.mode.as_str() {
                "gate" => probe.gate.acquire().await.unwrap().forget(),
                "never" => std::future::pending().await,
                "retry" if attempt < 2 => {
                    return Err(OutputError::Retry { after: None, reason: "not now".into() });
                }
                "panic" if attempt == 0 => panic!("told to"),
                "fatal" => return Err(OutputError::Fatal("the disk is gone".into())),
                "abandon" => return Err(OutputError::Abandoned),
                _ => {}
            }
            probe.write(batches);
            Ok(())
        })
    }

    fn idle<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, ()> {
        count(&probe(&self.name).idles);
        Box::pin(async {})
    }

    fn close<'a>(&'a mut self, _: &'a OutputContext) -> BoxFuture<'a, ()> {
        count(&probe(&self.name).closes);
        Box::pin(async {})
    }
}

static VIA: PluginDef = output::<Via>();

/// Sends to an address of the bus.
#[derive(Options, Clone, Debug)]
#[plugin(output = "via")]
struct ViaOptions {
    /// The address.
    #[option(required)]
    to: String,
}

#[derive(Clone)]
struct Via {
    to: String,
    sender: Arc<BusSender>,
}

impl OutputPlugin for Via {
    type Options = ViaOptions;
    fn build(options: ViaOptions, _: Arc<dyn CodecFactory>, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let sender = cx.bus.sender(std::slice::from_ref(&options.to), &cx.pipeline.id);
        Ok(Via { to: options.to, sender: Arc::new(sender) })
    }
}

impl Output for Via {
    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        Box::pin(async move {
            for batch in batches {
                let mut chunk = Chunk::new(batch.events().cloned().collect(), batch.acks().to_vec());
                loop {
                    let sent = tokio::select! {
                        sent = self.sender.send(&self.to, chunk) => sent,
                        () = cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
                    };
                    let Err(undelivered) = sent else { break };
                    chunk = undelivered.0;
                    tokio::select! {
                        found = self.sender.listening(&self.to) => found.map_err(|_| OutputError::Abandoned)?,
                        () = cx.shutdown.abandoned() => return Err(OutputError::Abandoned),
                    }
                }
            }
            Ok(())
        })
    }
}

/// Waits until `check` holds; fails after a minute of the test's time.
pub(crate) async fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never came true: {what}");
}
