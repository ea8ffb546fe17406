//! The `heartbeat` input.

use crate::generator::{THREADS_MAX, host_field};
use ferrostash_conf::{OptionEnum, Options};
use ferrostash_event::{Event, FieldRef, Timestamp};
use ferrostash_plugin::{
    BuildContext, BuildResult, Input, InputContext, InputError, InputPlugin, PluginDef, input,
};
use futures::future::{BoxFuture, join_all};
use std::sync::Arc;
use std::time::Duration;

/// Sends an event at regular times, so that somebody notices when nothing comes any more.
///
/// ```conf
/// input { heartbeat { interval => 10 sequence => "epoch" } }
/// ```
#[derive(Options, Clone, Debug)]
#[plugin(input = "heartbeat")]
pub(crate) struct HeartbeatOptions {
    /// The event's `message`. `epoch` and `sequence` are old spellings of the option `sequence`.
    #[option(default = "ok")]
    message: String,
    /// Seconds between events.
    #[option(default = 60)]
    interval: f64,
    /// How many events to send; -1 goes on for ever.
    #[option(default = -1)]
    count: i64,
    /// What to put into `[event][sequence]` (`clock` without ECS): nothing, the seconds since 1970, or the event's number.
    sequence: Option<Sequence>,
    /// How many of these to run beside each other.
    #[option(default = 1, range = 1..=THREADS_MAX)]
    threads: u64,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the names are the option's words")]
enum Sequence {
    None,
    Epoch,
    Sequence,
}

pub(crate) static PLUGIN: PluginDef = input::<Heartbeat>();

struct Heartbeat {
    threads: u64,
    message: String,
    interval: Duration,
    count: Option<u64>,
    sequence: Sequence,
    host: Arc<str>,
    host_field: FieldRef,
    clock_field: FieldRef,
}

impl InputPlugin for Heartbeat {
    type Options = HeartbeatOptions;

    fn build(options: HeartbeatOptions, cx: &mut BuildContext<'_>) -> BuildResult<Self> {
        let interval =
            Duration::try_from_secs_f64(options.interval).ok().filter(|interval| !interval.is_zero());
        let Some(interval) = interval else {
            return Err(cx.refuse("`interval` must be a positive number of seconds"));
        };
        let sequence = options.sequence.unwrap_or(match options.message.as_str() {
            "epoch" => Sequence::Epoch,
            "sequence" => Sequence::Sequence,
            _ => Sequence::None,
        });
        Ok(Heartbeat {
            threads: options.threads,
            message: options.message,
            interval,
            count: u64::try_from(options.count).ok(),
            sequence,
            host: Arc::clone(&cx.pipeline.host),
            host_field: host_field(cx.ecs),
            clock_field: match cx.ecs.is_on() {
                true => FieldRef::literal("event").child("sequence"),
                false => FieldRef::literal("clock"),
            },
        })
    }
}

impl Heartbeat {
    fn beat(&self, number: u64) -> Event {
        let now = Timestamp::now();
        let mut event = Event::from_message(&self.message, now);
        // A new event has nothing in the way of these.
        let _ = event.set_str(&self.host_field, &self.host);
        let _ = match self.sequence {
            Sequence::None => Ok(()),
            Sequence::Epoch => event.set(&self.clock_field, now.secs()),
            Sequence::Sequence => event.set(&self.clock_field, number as i64),
        };
        event
    }

    async fn beats(&self, cx: &InputContext) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut number = 0;
        while self.count.is_none_or(|count| number < count) {
            tokio::select! {
                _ = ticks.tick() => {}
                () = cx.shutdown.stopping() => break,
            }
            number += 1;
            if cx.push(vec![self.beat(number)], None).await.is_err() {
                break;
            }
        }
    }
}

impl Input for Heartbeat {
    fn run<'a>(&'a mut self, cx: &'a InputContext) -> BoxFuture<'a, Result<(), InputError>> {
        Box::pin(async {
            join_all((0..self.threads).map(|_| self.beats(cx))).await;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::PLUGINS;
    use ferrostash_plugin::Ecs;
    use ferrostash_plugin::testing::Harness;

    #[tokio::test(start_paused = true)]
    async fn beats_with_their_number() {
        let text = r#"heartbeat { interval => 60 count => 2 sequence => "sequence" }"#;
        let mut running =
            Harness::new(PLUGINS).ecs(Ecs::Disabled).input(text).unwrap().spawn().await.unwrap();
        let mut events = running.json(1).await;
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        events.extend(running.json(1).await);
        assert!(events[1].contains(r#""message":"ok","host":"localhost","clock":2"#), "{events:?}");
        running.stop().await.unwrap();
    }

    #[test]
    fn a_bad_interval_is_refused() {
        let refused = Harness::new(PLUGINS).input("heartbeat { interval => 0 }").err().unwrap();
        assert!(refused.contains("`interval` must be a positive number"), "{refused}");
    }
}
