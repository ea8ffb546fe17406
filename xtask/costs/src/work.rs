//! What a case does.

use crate::{BATCH_EVENTS, Case, Kind, Work};
use anyhow::{Context as _, Result, anyhow, bail};
use ferrostash_conf::{Diagnostics, PluginKind, Protocol, SourceMap, Statement, grammar, lower};
use ferrostash_event::{Event, Template, Timestamp};
use ferrostash_pipeline::Predicate;
use ferrostash_plugin::framing::{Delimiter, Frame};
use ferrostash_plugin::testing::{FilterHarness, Harness, event, test_time};
use ferrostash_plugin::{
    BatchEncoder, Codec, Encoded, LineBuffers, LineChunk, LineEventSink, LineMaker, Lines, Maker, PluginDef,
    RawLines,
};
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};

/// Builds what the case needs.
pub(crate) fn of(case: Case) -> Result<Box<dyn Work>> {
    let Case { kind, conf, event } = case;
    let batch = Batch { sample: event, events: Vec::new() };
    Ok(match kind {
        Kind::Event => match conf {
            "copied" => Box::new(Copied { batch, copies: Vec::with_capacity(BATCH_EVENTS) }),
            _ => Box::new(Made { sample: event }),
        },
        Kind::Template => Box::new(Rendered { batch, template: Template::parse(conf), text: String::new() }),
        Kind::Condition => Box::new(Asked { batch, predicate: predicate(conf)?, scratch: String::new() }),
        Kind::Filter => {
            Box::new(Filtered { batch, filter: harness().filter(conf).map_err(|text| anyhow!(text))? })
        }
        Kind::Decode => decoding(harness().codec(conf).map_err(|text| anyhow!(text))?, event)?,
        Kind::Encode => {
            let codec = harness().codec(conf).map_err(|text| anyhow!(text))?;
            Box::new(Written { batch, codec, out: Vec::new() })
        }
        Kind::Output => Box::new(Encoding { batch, encoder: encoder(conf)?, encoded: None }),
    })
}

fn harness() -> Harness {
    let crates = [ferrostash_codecs::PLUGINS, ferrostash_filters::PLUGINS, ferrostash_outputs::PLUGINS];
    Harness::new(&crates.concat() as &[&'static PluginDef])
}

fn predicate(condition: &str) -> Result<Predicate> {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let id = sources.add(Protocol::String, "case", format!("filter {{ if {condition} {{ x {{ }} }} }}"));
    let source = sources.get(id).context("no source")?;
    let document = grammar::parse(source).map_err(|problem| anyhow!(problem.message))?;
    let sections = lower::lower(&document, source, false, &mut diagnostics);
    let Some(Statement::If(branch)) = sections.filters.first() else { bail!("no condition") };
    let arm = branch.arms.first().context("no condition")?;
    Predicate::compile(&arm.condition, &sources, &mut diagnostics)
        .ok_or_else(|| anyhow!(diagnostics.render(&sources, false)))
}

fn encoder(conf: &str) -> Result<Box<dyn BatchEncoder>> {
    match harness().build(PluginKind::Output, conf).map_err(|text| anyhow!(text))?.maker {
        Maker::Output { factory, .. } => factory.encoder().context("this output has no encoder"),
        _ => bail!("not an output"),
    }
}

/// The event of a sample.
fn made(sample: &str) -> Event {
    if sample.starts_with('{') { event(sample) } else { Event::from_message(sample, test_time()) }
}

/// The events of a case.
struct Batch {
    sample: &'static str,
    events: Vec<Event>,
}

impl Batch {
    fn make(&mut self) {
        self.events.extend((0..BATCH_EVENTS).map(|_| made(self.sample)));
    }
}

struct Made {
    sample: &'static str,
}

impl Work for Made {
    fn prepare(&mut self) {}

    fn run(&mut self) {
        if !self.sample.starts_with('{') {
            return (0..BATCH_EVENTS).for_each(|_| drop(black_box(made(self.sample))));
        }
        for _ in 0..BATCH_EVENTS {
            let _ = Event::read_json(self.sample, test_time(), &mut |event| drop(black_box(event)));
        }
    }

    fn clear(&mut self) {}
}

struct Copied {
    batch: Batch,
    copies: Vec<Event>,
}

impl Work for Copied {
    fn prepare(&mut self) {
        self.batch.make();
    }

    fn run(&mut self) {
        self.copies.extend(self.batch.events.iter().cloned());
    }

    fn clear(&mut self) {
        self.copies.clear();
        self.batch.events.clear();
    }
}

struct Rendered {
    batch: Batch,
    template: Template,
    text: String,
}

impl Work for Rendered {
    fn prepare(&mut self) {
        self.batch.make();
    }

    fn run(&mut self) {
        for event in &self.batch.events {
            self.text.clear();
            let _ = self.template.render(event, &mut self.text);
            black_box(&self.text);
        }
    }

    fn clear(&mut self) {
        self.batch.events.clear();
    }
}

struct Asked {
    batch: Batch,
    predicate: Predicate,
    scratch: String,
}

impl Work for Asked {
    fn prepare(&mut self) {
        self.batch.make();
    }

    fn run(&mut self) {
        for event in &self.batch.events {
            let _ = black_box(self.predicate.ask(event, &mut self.scratch));
        }
    }

    fn clear(&mut self) {
        self.batch.events.clear();
    }
}

struct Filtered {
    batch: Batch,
    filter: FilterHarness,
}

impl Work for Filtered {
    fn prepare(&mut self) {
        self.batch.make();
    }

    fn run(&mut self) {
        self.batch.events = self.filter.run(std::mem::take(&mut self.batch.events));
    }

    fn clear(&mut self) {
        self.batch.events.clear();
    }
}

/// How the worker, or else the input, gets events out of `codec`.
fn decoding(codec: Box<dyn Codec>, sample: &'static str) -> Result<Box<dyn Work>> {
    let events = Vec::with_capacity(BATCH_EVENTS);
    let delimiter = match codec.lines() {
        Some(framer) => framer.delimiter().clone(),
        None if codec.is_stateless() => Delimiter::new(b"\n")?,
        None => {
            let text = if codec.takes_lines() { format!("{sample}\n") } else { sample.to_owned() };
            return Ok(Box::new(Streamed { codec, text, events }));
        }
    };
    let codec = Arc::new(Lined(Mutex::new(codec)));
    let chunk = LineChunk::new(delimiter, LineBuffers::default());
    Ok(Box::new(Decoded { sample, codec, chunk, lines: None, events }))
}

/// A codec that makes events of lines on the worker.
struct Lined(Mutex<Box<dyn Codec>>);

impl LineMaker for Lined {
    fn make(&self, lines: Lines<'_>, now: Timestamp, sink: &mut LineEventSink<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).decode_lines(lines, now, sink);
    }
}

struct Decoded {
    sample: &'static str,
    codec: Arc<Lined>,
    chunk: LineChunk,
    lines: Option<RawLines>,
    events: Vec<Event>,
}

impl Work for Decoded {
    fn prepare(&mut self) {
        for _ in 0..BATCH_EVENTS {
            self.chunk.push(Frame { bytes: self.sample.as_bytes(), truncated: false });
        }
        // As an input does whose lines can be found again.
        let lines = self.chunk.take(Arc::clone(&self.codec) as Arc<dyn LineMaker>);
        self.lines = Some(lines.read_at(1, 0));
    }

    fn run(&mut self) {
        if let Some(lines) = &self.lines {
            lines.make_events(&mut self.events);
        }
    }

    fn clear(&mut self) {
        self.lines = None;
        self.events.clear();
    }
}

/// A codec that the input gives one line or message after the other.
struct Streamed {
    codec: Box<dyn Codec>,
    text: String,
    events: Vec<Event>,
}

impl Work for Streamed {
    fn prepare(&mut self) {}

    fn run(&mut self) {
        let events = &mut self.events;
        for _ in 0..BATCH_EVENTS {
            self.codec.decode(self.text.as_bytes(), &mut |event| events.push(event));
        }
    }

    fn clear(&mut self) {
        self.events.clear();
    }
}

struct Written {
    batch: Batch,
    codec: Box<dyn Codec>,
    out: Vec<u8>,
}

impl Work for Written {
    fn prepare(&mut self) {
        self.batch.make();
        self.out.clear();
    }

    fn run(&mut self) {
        for event in &self.batch.events {
            let _ = black_box(self.codec.encode(event, &mut self.out));
        }
    }

    fn clear(&mut self) {
        self.batch.events.clear();
    }
}

struct Encoding {
    batch: Batch,
    encoder: Box<dyn BatchEncoder>,
    encoded: Option<Encoded>,
}

impl Work for Encoding {
    fn prepare(&mut self) {
        self.batch.make();
    }

    fn run(&mut self) {
        self.encoder.encode(&mut self.batch.events.iter());
        self.encoded = Some(self.encoder.finish());
    }

    fn clear(&mut self) {
        self.batch.events.clear();
        self.encoded = None;
    }
}
