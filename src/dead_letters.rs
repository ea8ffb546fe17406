//! What becomes of events that an output can never deliver while there is no dead letter queue: a warning.

use ferrostash_event::Event;
use ferrostash_plugin::DeadLetters;
use futures::future::BoxFuture;

/// Drops events with a warning, as Logstash does with its dead letter queue off.
pub(crate) struct Dropped;

impl DeadLetters for Dropped {
    fn write<'a>(&'a self, event: &'a Event, reason: &'a str) -> BoxFuture<'a, ()> {
        let timestamp = event.timestamp().map(|timestamp| timestamp.to_string());
        tracing::warn!(
            target: "logstash.deadletterqueue",
            limited = true,
            reason,
            event_timestamp = timestamp.as_deref(),
            "an event can't be delivered and is dropped"
        );
        Box::pin(async {})
    }

    fn keeps_events(&self) -> bool {
        false
    }
}
