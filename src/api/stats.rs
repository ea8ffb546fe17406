//! `/_node/stats`.

use super::node::Node;
use super::process::Process;
use crate::agent::{Managed, Reloads, View};
use ferrostash_pipeline::{LedgerCounts, Part};
use ferrostash_plugin::CustomMetric;
use ferrostash_queue::dead_letter_queue::{DeadLetterQueue, StoragePolicy};
use serde_json::{Map, Value, json};

/// All of it.
pub(super) fn all(node: &Node, view: &View) -> Map<String, Value> {
    let process = Process::now();
    let pipelines = view.pipelines();
    let stats = json!({
        "jvm": { "threads": { "count": process.threads }, "uptime_in_millis": node.uptime_ms() },
        "process": process.json(node.uptime_ms()),
        "events": total_events(&pipelines),
        "pipelines": pipelines.iter().map(|p| (p.settings.id.clone(), pipeline(p))).collect::<Map<_, _>>(),
        "reloads": { "successes": view.reloads.successes.get(), "failures": view.reloads.failures.get() },
        "os": {},
        "queue": { "events_count": 0 },
    });
    match stats {
        Value::Object(stats) => stats,
        _ => Map::new(),
    }
}

fn total_events(pipelines: &[std::sync::Arc<Managed>]) -> Value {
    if pipelines.is_empty() {
        return json!({});
    }
    let sum = |value: fn(&Managed) -> u64| pipelines.iter().map(|pipeline| value(pipeline)).sum::<u64>();
    json!({
        "in": sum(|p| p.running.ledger().received.get()),
        "filtered": sum(|p| p.running.ledger().filtered.get()),
        "out": sum(|p| p.running.ledger().out.get()),
        "duration_in_millis": sum(|p| p.running.ledger().duration.millis()),
        "queue_push_duration_in_millis": sum(|p| p.running.ledger().queue_push_duration.millis()),
    })
}

/// One pipeline.
pub(super) fn pipeline(managed: &Managed) -> Value {
    let running = &managed.running;
    let ledger = running.ledger();
    let stats = running.stats();
    let queues = running.output_queues();
    let mut stats = json!({
        "events": {
            "in": ledger.received.get(),
            "filtered": ledger.filtered.get(),
            "out": ledger.out.get(),
            "duration_in_millis": ledger.duration.millis(),
            "queue_push_duration_in_millis": ledger.queue_push_duration.millis(),
        },
        "ledger": counts(ledger.counts()),
        "plugins": {
            "inputs": stats.inputs.iter().map(input).collect::<Vec<_>>(),
            "codecs": [],
            "filters": stats.filters.iter().map(filter_or_output).collect::<Vec<_>>(),
            "outputs": stats.outputs.iter().map(filter_or_output).collect::<Vec<_>>(),
        },
        "reloads": reloads(&managed.reloads),
        "queue": {
            "type": "memory",
            "events_count": running.queue().events(),
            "queue_size_in_bytes": running.queue().bytes(),
            "max_queue_size_in_bytes": running.queue().bytes_max(),
        },
        "output_queues": stats.outputs.iter().zip(queues).map(|(part, queue)| json!({
            "id": &*part.id,
            "batches_count": queue.batches(),
            "queue_size_in_bytes": queue.bytes(),
        })).collect::<Vec<_>>(),
        "pipeline": {
            "workers": running.settings().workers,
            "batch_size": running.settings().batch_size,
            "batch_delay": running.settings().batch_delay.as_millis() as u64,
        },
        "hash": managed.hash,
        "ephemeral_id": managed.ephemeral_id,
    });
    if let (Some(queue), Value::Object(stats)) = (&managed.dead_letters, &mut stats) {
        stats.insert("dead_letter_queue".to_owned(), dead_letter_queue(queue));
    }
    stats
}

fn dead_letter_queue(queue: &DeadLetterQueue) -> Value {
    let stats = queue.stats();
    json!({
        "queue_size_in_bytes": stats.queue_size_bytes.get(),
        "max_queue_size_in_bytes": queue.max_bytes(),
        "storage_policy": match queue.storage_policy() {
            StoragePolicy::DropNewer => "drop_newer",
            StoragePolicy::DropOlder => "drop_older",
        },
        "written_events": stats.written_events.get(),
        "dropped_events": stats.dropped_events.get(),
        "expired_events": stats.expired_events.get(),
        "last_error": stats.last_error(),
    })
}

/// Every event is counted once on each side: `received + created` is the sum of the rest, but for what is in the queue.
fn counts(counts: LedgerCounts) -> Value {
    json!({
        "received": counts.received,
        "created": counts.created,
        "accepted": counts.accepted,
        "dead_lettered": counts.dead_lettered,
        "dropped_by_rule": counts.dropped,
        "abandoned": counts.abandoned,
        "in_flight": counts.in_flight,
    })
}

fn reloads(reloads: &Reloads) -> Value {
    let last = reloads.last();
    json!({
        "successes": reloads.successes.get(),
        "failures": reloads.failures.get(),
        "last_error": last.error.map(|message| json!({ "message": message, "backtrace": [] })),
        "last_success_timestamp": last.success_at.map(|at| at.to_string()),
        "last_failure_timestamp": last.failure_at.map(|at| at.to_string()),
    })
}

fn input(part: &Part) -> Value {
    let metrics = &part.metrics;
    let events = json!({
        "out": metrics.events_out.get(),
        "queue_push_duration_in_millis": metrics.queue_push_duration.millis(),
    });
    plugin(part, events)
}

fn filter_or_output(part: &Part) -> Value {
    let metrics = &part.metrics;
    let events = json!({
        "in": metrics.events_in.get(),
        "out": metrics.events_out.get(),
        "duration_in_millis": metrics.duration.millis(),
    });
    plugin(part, events)
}

/// Id and name, and unless `enable_metric` is off what was counted, the plugin's own numbers at their paths.
fn plugin(part: &Part, events: Value) -> Value {
    let mut entry = Map::new();
    entry.insert("id".into(), json!(&*part.id));
    entry.insert("name".into(), json!(&*part.name));
    if part.enable_metric {
        entry.insert("events".into(), events);
        part.metrics.customs().iter().for_each(|metric| put(&mut entry, metric));
    }
    Value::Object(entry)
}

fn put(entry: &mut Map<String, Value>, metric: &CustomMetric) {
    let Some((last, above)) = metric.path.split_last() else { return };
    let mut at = entry;
    for key in above {
        let below = at.entry(key.clone()).or_insert_with(|| json!({}));
        match below {
            Value::Object(map) => at = map,
            _ => return,
        }
    }
    at.insert(last.clone(), json!(metric.value.get()));
}
