//! What an event costs in each plugin: the cases, and how a case runs.
//!
//! A case is a piece of configuration in users' syntax and an event. It runs over batches of [`BATCH_EVENTS`] events that
//! are made before and dropped after the part that is measured. `cargo xtask costs` counts the allocations of that part
//! in its own process and the instructions in this package's executable, and writes both to `docs/costs.md`.

mod list;
mod work;

use anyhow::{Context as _, Result};
use std::ops::ControlFlow;

pub use list::{ACCESS, LOG, cases};

/// Events of a batch, as many as a worker takes by default.
pub const BATCH_EVENTS: usize = 125;
/// Batches before caches, scratch and the arenas of a thread have their size.
pub const WARM_UP_BATCHES: usize = 8;
/// Batches of each case that the executable runs behind those, each in a call of its own to `measured_batch`.
pub const MEASURED_BATCHES: usize = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An event is made, copied and dropped; there is no configuration for that.
    Event,
    /// A template is rendered.
    Template,
    /// A condition is asked.
    Condition,
    /// A filter works on an event.
    Filter,
    /// A codec makes an event, as far as it can on the worker.
    Decode,
    /// A codec writes an event.
    Encode,
    /// The worker encodes an event for an output.
    Output,
}

impl Kind {
    /// The name of the kind in the table.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Template => "template",
            Kind::Condition => "condition",
            Kind::Filter => "filter",
            Kind::Decode => "decode",
            Kind::Encode => "encode",
            Kind::Output => "output",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What is measured.
    pub kind: Kind,
    /// The configuration, in users' syntax.
    pub conf: &'static str,
    /// The event: JSON, or else a line of text.
    pub event: &'static str,
}

/// Something that is done to batch after batch.
trait Work {
    /// Gets the next batch ready.
    fn prepare(&mut self);
    /// Does what is measured.
    fn run(&mut self);
    /// Drops what came out.
    fn clear(&mut self);
}

impl Case {
    /// Builds what the case needs and runs batches on a thread of their own, so that what other cases left behind is not
    /// seen. `measure` is called for each batch with what is to be measured, until it says that it has enough.
    ///
    /// # Errors
    /// The configuration is refused.
    pub fn run(self, mut measure: impl FnMut(&mut dyn FnMut()) -> ControlFlow<()> + Send) -> Result<()> {
        let run = || -> Result<()> {
            let mut work = work::of(self).with_context(|| format!("{} `{}`", self.kind.name(), self.conf))?;
            loop {
                work.prepare();
                let next = measure(&mut || work.run());
                work.clear();
                if next.is_break() {
                    return Ok(());
                }
            }
        };
        let ended = std::thread::scope(|scope| scope.spawn(run).join());
        ended.map_err(|_| anyhow::anyhow!("{} `{}` panicked", self.kind.name(), self.conf))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_conf::PluginKind;

    fn is_covered(kind: Kind, name: &str) -> bool {
        cases().iter().any(|case| case.kind == kind && case.conf.split(' ').next() == Some(name))
    }

    #[test]
    fn every_filter_and_codec_has_a_case() {
        for def in ferrostash_filters::PLUGINS.iter().chain(ferrostash_codecs::PLUGINS) {
            let kinds: &[Kind] = match def.kind {
                PluginKind::Codec => &[Kind::Decode, Kind::Encode],
                _ => &[Kind::Filter],
            };
            for kind in kinds {
                assert!(is_covered(*kind, def.name), "no case of kind {} for `{}`", kind.name(), def.name);
            }
        }
    }

    #[test]
    fn every_operation_of_mutate_has_a_case() {
        let mutate = ferrostash_filters::PLUGINS.iter().find(|def| def.name == "mutate").unwrap();
        for option in mutate.options.iter().filter(|option| option.name != "tag_on_failure") {
            let start = format!("mutate {{ {} => ", option.name);
            assert!(cases().iter().any(|case| case.conf.starts_with(&start)), "no case for {start}");
        }
    }

    #[test]
    fn no_case_is_there_twice() {
        for (at, case) in cases().iter().enumerate() {
            let same =
                |other: &&Case| (case.kind, case.conf, case.event) == (other.kind, other.conf, other.event);
            assert_eq!(cases().iter().position(|other| same(&other)), Some(at), "{case:?}");
        }
    }
}
