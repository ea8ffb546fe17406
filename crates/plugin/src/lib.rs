//! What a plugin is: the traits of inputs, filters, outputs and codecs, how one is declared, and what it works with.

mod ack;
mod backoff;
mod buffers;
mod build;
mod bus;
mod codec;
mod decorate;
mod def;
mod ecs;
mod failures;
mod filter;
pub mod framing;
mod input;
mod line_chunk;
mod metrics;
mod output;
mod raw_lines;
mod shutdown;
#[cfg(feature = "testing")]
pub mod testing;
mod whole_lines;

pub use ack::{Ack, AckNote, AckTracker, CHUNKS_IN_FLIGHT_MAX, Outcome};
pub use backoff::Backoff;
pub use buffers::{Buffer, Buffers};
pub use build::{BuildContext, BuildResult, PipelineInfo, Refused};
pub use bus::{AddressTaken, Bus, BusListener, BusSender, Ending, Undelivered};
pub use codec::{Codec, CodecFactory, EncodeError, EventSink, LineEventSink};
pub use decorate::{Decoration, FieldName, InputDecoration, add_field};
pub use def::{
    Built, CodecPlugin, FilterPlugin, InputPlugin, Maker, OutputPlugin, PluginDef, Registry, codec, filter,
    input, output,
};
pub use ecs::Ecs;
pub use failures::{CodecFailure, CodecFailures, DeadLettering};
pub use filter::{EventFilter, Filter, FilterContext, Flushes, Matched};
pub use input::{Chunk, EventQueue, Input, InputContext, InputError, QueueClosed, Reserved, StartError};
pub use line_chunk::{LINE_CHUNK_BYTES, LineBuffers, LineChunk};
pub use metrics::{
    CUSTOM_METRICS_MAX, Counter, CustomMetric, METRIC_ROWS_MAX, MetricKind, MetricRow, MetricTable,
    PluginMetrics, Tally, Time,
};
pub use output::{
    Account, BatchEncoder, Buried, DeadLetters, Dropped, Encoded, FilteredBatch, Output, OutputBatch,
    OutputContext, OutputError, OutputFactory, Share,
};
pub use raw_lines::{LineMaker, Lines, RawLines};
pub use shutdown::Shutdown;
