//! The engine: from a configuration to running tasks.
//!
//! ```text
//! conf::Sections --build--> BuiltPipeline --Program::new--> Program (one per worker, no runtime needed)
//!                                 |
//!                                 +--Pipeline::start--> RunningPipeline (tasks on two runtimes)
//! ```
//!
//! * [`build`] makes the plugins of a configuration, compiles its conditions and draws its [`Graph`]. Nothing is open yet.
//!   A [`BuiltPipeline`] can also be put together by hand, from the parts in [`InputPart`], [`FilterPart`], [`OutputPart`].
//! * A [`Program`] is the filter and output sections as flat lists of steps over [`Selection`](ferrostash_event::Selection)s.
//!   [`Program::run`] takes a batch through the filters and says which events go to which output; [`Program::flush`] asks
//!   filters for what they keep. It is synchronous, so a test or a conformance run drives it directly.
//! * [`Pipeline::start`] opens outputs and inputs and starts the tasks: inputs push into a bounded queue, workers pull,
//!   run their program and hand batches to the bounded queue of each output, output tasks deliver with retries.
//!   [`RunningPipeline`] stops it in bounded time and says how it ended.
//!
//! What is lost and what is not: a batch's acks settle when its last output has let go of it, and are abandoned when an
//! event was given up: by a panic in a filter, by an output that can never work, by the end of the grace time. The
//! [`Ledger`] counts every event once on each side.

mod build;
mod condition;
mod graph;
mod input_task;
mod ledger;
mod output_queue;
mod output_task;
mod parts;
mod persisted_queue;
mod pipeline;
mod program;
mod rate_limit;
mod settings;
mod spill;
mod steps;
mod worker;

pub use build::{BuildParts, build};
pub use condition::{CONDITION_FAILURE_TAG, Predicate, Unanswered};
pub use ferrostash_queue::Budget;
pub use graph::{Edge, EdgeKind, Graph, Vertex, VertexKind, VertexSource};
pub use ledger::{Ledger, LedgerCounts, OutputCounts};
pub use output_queue::OutputQueueGauges;
pub use parts::{
    Arm, BuiltPipeline, FilterPart, ForWorker, If, InputPart, Node, OutputPart, Part, PluginStats,
};
pub use pipeline::{EndReason, Health, Pipeline, RunningPipeline, StartFailure};
pub use program::{DeadEvent, FailedConditions, Outcome, Program};
pub use settings::{
    OUTPUT_QUEUE_BATCHES_MAX, OUTPUT_QUEUE_BYTES_MAX, OnDisk, Persisted, Runtimes, Services, Settings,
};
pub use spill::Spill;
