//! What a worker does with a batch.

use crate::condition::Unanswered;
use crate::parts::{BuiltPipeline, FilterPart, OutputPart, Part};
use crate::steps::{Branching, Failed, Registers, Scope, Section, Step};
use ferrostash_event::{Batch, Event, Selection, Timestamp};
use ferrostash_plugin::{CodecFailure, Filter, FilterContext, Flushes};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The filter and output sections of a pipeline, for one worker.
///
/// After a panic in [`Program::run`] or [`Program::flush`] the program is to be replaced by [`Program::for_worker`].
pub struct Program {
    plan: Arc<Plan>,
    filters: Vec<Box<dyn Filter>>,
    tallies: Vec<Tally>,
    /// Where the filters' log lines belong.
    spans: Vec<tracing::Span>,
    registers: Registers,
    scratch: String,
    /// The filter that runs, by number.
    current: Option<usize>,
}

/// What all workers share.
struct Plan {
    filters: Section<FilterPart>,
    outputs: Section<Part>,
    ordered: bool,
    failed_conditions: FailedConditions,
}

/// What becomes of an event about which a condition could not be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedConditions {
    /// It is tagged `_condition_evaluation_failure` and goes on as if the condition did not hold.
    #[default]
    Tag,
    /// It leaves the pipeline for the dead letter queue.
    DeadLetter,
}

/// An event for the dead letter queue.
#[derive(Debug)]
pub struct DeadEvent {
    /// The event as it was when the condition was asked, or as the filter or codec left it.
    pub event: Event,
    /// The name of the plugin that could not use it.
    pub plugin_type: Arc<str>,
    /// That plugin's id.
    pub plugin_id: Arc<str>,
    /// Why it is there.
    pub reason: String,
}

/// Logstash's name and id of all conditions.
static IF_STATEMENT: LazyLock<Arc<str>> = LazyLock::new(|| "if-statement".into());

impl DeadEvent {
    fn of_filter(event: Event, part: &Part, reason: String) -> DeadEvent {
        DeadEvent { event, plugin_type: Arc::clone(&part.name), plugin_id: Arc::clone(&part.id), reason }
    }

    /// Takes the events out of which a codec could not read its data.
    pub(crate) fn of_codecs(events: &mut Vec<Event>) -> Vec<DeadEvent> {
        let mut dead = Vec::new();
        events.retain_mut(|event| match CodecFailure::take(event) {
            None => true,
            Some(CodecFailure { plugin_type, plugin_id, reason }) => {
                let (plugin_type, plugin_id) = (plugin_type.into(), plugin_id.into());
                dead.push(DeadEvent { event: std::mem::take(event), plugin_type, plugin_id, reason });
                false
            }
        });
        dead
    }

    pub(crate) fn of_condition(event: Event, reason: &Unanswered) -> DeadEvent {
        let plugin = || Arc::clone(&IF_STATEMENT);
        let reason = reason.dead_letter_reason();
        DeadEvent { event, plugin_type: plugin(), plugin_id: plugin(), reason }
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The events behind the filters, in order.
    pub events: Vec<Event>,
    /// For each output, in the order of the configuration: which of `events` it gets.
    pub routes: Vec<Selection>,
    /// Events for the dead letter queue.
    pub dead: Vec<DeadEvent>,
    /// Events that filters made.
    pub created: usize,
}

/// What a filter did since the last report.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    events_in: u64,
    events_out: u64,
    time: Duration,
}

/// What a pass over the filters is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Batch,
    Flush { at_end: bool },
}

impl Program {
    /// Takes the filter and output sections out of `built`, whose output plugins are returned in the order of
    /// [`Outcome::routes`].
    pub fn new(
        built: &mut BuiltPipeline,
        ordered: bool,
        failed_conditions: FailedConditions,
    ) -> (Program, Vec<OutputPart>) {
        let filters = Section::new(std::mem::take(&mut built.filters));
        let Section { steps, plugins: parts, registers } = Section::new(std::mem::take(&mut built.outputs));
        let plugins = parts.iter().map(|output: &OutputPart| output.part.clone()).collect();
        let outputs = Section { steps, plugins, registers };
        (Program::of(Arc::new(Plan { filters, outputs, ordered, failed_conditions })), parts)
    }

    fn of(plan: Arc<Plan>) -> Program {
        let filters: Vec<_> = plan.filters.plugins.iter().map(|part| (part.for_worker)()).collect();
        let tallies = vec![Tally::default(); filters.len()];
        let span = |filter: &FilterPart| {
            let part = &filter.part;
            tracing::info_span!("plugin", plugin.id = &*part.id, plugin.name = &*part.name)
        };
        let spans = plan.filters.plugins.iter().map(span).collect();
        let (registers, scratch) = (Registers::default(), String::new());
        Program { plan, filters, tallies, spans, registers, scratch, current: None }
    }

    /// The same program for another worker: its filters start anew, as they were configured.
    pub fn for_worker(&self) -> Program {
        Program::of(Arc::clone(&self.plan))
    }

    /// Takes events through the filters and finds out where they go.
    pub fn run(&mut self, events: Vec<Event>) -> Outcome {
        let mut outcome = Outcome::default();
        let now = Timestamp::now();
        if self.plan.ordered {
            outcome.events.reserve(events.len());
            for event in events {
                self.filter(Batch::new(vec![event]), Pass::Batch, now, &mut outcome);
            }
        } else {
            self.filter(Batch::new(events), Pass::Batch, now, &mut outcome);
        }
        self.report();
        self.route(&mut outcome);
        outcome
    }

    /// Asks filters for the events that they keep, and takes these through what follows each filter.
    ///
    /// `at_end` when no event will follow; else only filters that flush every five seconds are asked.
    pub fn flush(&mut self, at_end: bool) -> Outcome {
        let mut outcome = Outcome::default();
        self.filter(Batch::default(), Pass::Flush { at_end }, Timestamp::now(), &mut outcome);
        self.report();
        self.route(&mut outcome);
        outcome
    }

    /// Whether a filter is to be flushed every five seconds.
    pub fn flushes_periodically(&self) -> bool {
        self.plan.filters.plugins.iter().zip(&self.filters).any(|(part, filter)| match filter.flushes() {
            Flushes::Never => false,
            Flushes::OnRequest => part.periodic_flush,
            Flushes::Periodically => true,
        })
    }

    /// The filter that was at work when [`Program::run`] or [`Program::flush`] panicked.
    pub fn current_plugin(&self) -> Option<&Part> {
        self.plan.filters.plugins.get(self.current?).map(|filter| &filter.part)
    }

    /// One pass over the filter section.
    fn filter(&mut self, mut batch: Batch, pass: Pass, now: Timestamp, outcome: &mut Outcome) {
        let plan = Arc::clone(&self.plan);
        let events_before = batch.len();
        self.registers.reset(plan.filters.registers, Selection::all(batch.len()));
        let mut started = Instant::now();
        for step in &plan.filters.steps {
            match step {
                Step::Plugin { plugin, scope } => {
                    let (plugin, clock) = (*plugin, (now, &mut started));
                    self.plugin_step(plugin, scope, &mut batch, pass, clock, &mut outcome.dead);
                }
                Step::Branch { scope, then, .. } => {
                    self.branch_step(step, &mut batch, outcome);
                    if plan.ordered
                        && let Some((held, asked)) = self.registers.sides(scope, *then)
                    {
                        batch.put_first(held, asked);
                    }
                    started = Instant::now();
                }
            }
        }
        outcome.created += batch.len() - events_before;
        match outcome.events.is_empty() {
            true => outcome.events = batch.into_events(),
            false => outcome.events.append(&mut batch.into_events()),
        }
    }

    /// Runs one filter; `started` is when the step before ended, and is moved on.
    fn plugin_step(
        &mut self,
        number: usize,
        scope: &Scope,
        batch: &mut Batch,
        pass: Pass,
        (now, started): (Timestamp, &mut Instant),
        dead: &mut Vec<DeadEvent>,
    ) {
        let Some((part, filter)) = self.plan.filters.plugins.get(number).zip(self.filters.get_mut(number))
        else {
            return;
        };
        let selection = self.registers.take(scope);
        let flush = due(pass, filter.flushes(), part.periodic_flush);
        if selection.is_empty() && flush.is_none() {
            return;
        }
        self.current = Some(number);
        let entered = self.spans.get(number).map(tracing::Span::enter);
        let mut tally = Tally { events_in: selection.len() as u64, ..Tally::default() };
        let mut cx = FilterContext::new(now, &part.part.metrics, &part.decoration)
            .sending_failures(part.sends_failures);
        batch.next_step();
        if !selection.is_empty() {
            filter.filter(batch, &selection, &mut cx);
        }
        let mut made = cx.take_made();
        if let Some(at_end) = flush {
            let flushed = filter.flush(at_end, &mut cx);
            made.append(&mut cx.take_made());
            made.extend(flushed.into_iter().map(|event| (event, None)));
        }
        give_origins(&mut made, number, batch);
        drop(entered);
        let failed = cx.take_failed();
        if !failed.is_empty() {
            part.part.metrics.events_dead_lettered.add(failed.len() as u64);
            dead.extend(
                failed.into_iter().map(|(event, reason)| DeadEvent::of_filter(event, &part.part, reason)),
            );
        }
        tally.events_out = tally.events_in + made.len() as u64;
        tally.events_out -= self.settle(selection, scope, batch, made);
        let ended = Instant::now();
        tally.time = ended - *started;
        *started = ended;
        if let Some(total) = self.tallies.get_mut(number) {
            total.add(tally);
        }
        self.current = None;
    }

    /// Takes cancelled events out of the registers and puts new ones in; returns how many were cancelled.
    fn settle(
        &mut self,
        selection: Selection,
        scope: &Scope,
        batch: &mut Batch,
        made: Vec<(Event, Option<usize>)>,
    ) -> u64 {
        let is_cancelled = |slot: &usize| batch.get(*slot).is_some_and(Event::is_cancelled);
        let cancelled: Vec<usize> = selection.iter().filter(is_cancelled).collect();
        self.registers.put_back(scope, selection);
        cancelled.iter().for_each(|slot| self.registers.remove(scope, *slot));
        for (event, parent) in made {
            let slot = batch.add(event, parent);
            self.registers.insert(scope, slot);
        }
        cancelled.len() as u64
    }

    fn branch_step(&mut self, step: &Step, events: &mut impl crate::steps::Slots, outcome: &mut Outcome) {
        let Step::Branch { predicate, scope, then, otherwise } = step else { return };
        let branching = Branching { predicate, scope, then: *then, otherwise: *otherwise };
        let mut failed = Failed {
            policy: self.plan.failed_conditions,
            dead: &mut outcome.dead,
            scratch: &mut self.scratch,
        };
        self.registers.branch(&branching, events, &mut failed);
    }

    /// The output section: conditions only, nothing is delivered here.
    fn route(&mut self, outcome: &mut Outcome) {
        let plan = Arc::clone(&self.plan);
        outcome.routes = vec![Selection::none(); plan.outputs.plugins.len()];
        if outcome.events.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut outcome.events);
        self.registers.reset(plan.outputs.registers, Selection::all(events.len()));
        for step in &plan.outputs.steps {
            match step {
                Step::Plugin { plugin, scope } => {
                    let selection = self.registers.take(scope);
                    if let Some(route) = outcome.routes.get_mut(*plugin) {
                        route.clone_from(&selection);
                    }
                    self.registers.put_back(scope, selection);
                }
                Step::Branch { .. } => self.branch_step(step, &mut events, outcome),
            }
        }
        outcome.events = events;
    }

    /// Adds to the counters, once per batch.
    fn report(&mut self) {
        for (tally, filter) in self.tallies.iter_mut().zip(&self.plan.filters.plugins) {
            let tally = std::mem::take(tally);
            let metrics = &filter.part.metrics;
            if tally.events_in + tally.events_out > 0 {
                metrics.events_in.add(tally.events_in);
                metrics.events_out.add(tally.events_out);
            }
            if !tally.time.is_zero() {
                metrics.duration.add(tally.time);
            }
        }
    }
}

/// Whether a filter is to be flushed in this pass, and whether for the last time.
fn due(pass: Pass, flushes: Flushes, periodic_flush: bool) -> Option<bool> {
    let Pass::Flush { at_end } = pass else { return None };
    let asked = match flushes {
        Flushes::Never => false,
        Flushes::OnRequest => at_end || periodic_flush,
        Flushes::Periodically => true,
    };
    asked.then_some(at_end)
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.events_in += other.events_in;
        self.events_out += other.events_out;
        self.time += other.time;
    }
}

/// New events were read where their parents were; each is told apart by the step and its number among its siblings.
fn give_origins(made: &mut [(Event, Option<usize>)], step: usize, batch: &Batch) {
    let (mut last, mut siblings) = (None, 0);
    for (event, parent) in made {
        siblings = if *parent == last { siblings + 1 } else { 0 };
        last = *parent;
        let origin = parent.and_then(|slot| batch.get(slot)?.origin());
        event.set_origin(origin.map(|origin| origin.derive((step as u64) << 32 | siblings)));
    }
}
