//! `/_node/stats`.

use super::ledger::{self, OutputLedger};
use super::node::Node;
use super::process::Process;
use crate::agent::{Managed, Reloads, View};
use ferrostash_pipeline::{OnDisk, OutputQueueGauges, Part, RunningPipeline, Spill};
use ferrostash_plugin::{CustomMetric, MetricRow};
use ferrostash_queue::PageStats;
use ferrostash_queue::dead_letter_queue::{DeadLetterQueue, StoragePolicy};
use ferrostash_queue::pages::CompressionStats;
use serde_json::{Map, Value, json};
use std::path::Path;

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
        "queue": { "events_count": pipelines.iter().map(|p| queue_events(&p.running)).sum::<u64>() },
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
    let counts = running.ledger();
    let stats = running.stats();
    let queues = running.output_queues();
    let mut stats = json!({
        "events": {
            "in": counts.received.get(),
            "filtered": counts.filtered.get(),
            "out": counts.out.get(),
            "duration_in_millis": counts.duration.millis(),
            "queue_push_duration_in_millis": counts.queue_push_duration.millis(),
        },
        "ledger": ledger::pipeline(running),
        "plugins": {
            "inputs": stats.inputs.iter().map(input).collect::<Vec<_>>(),
            "codecs": [],
            "filters": stats.filters.iter().map(filter_or_output).collect::<Vec<_>>(),
            "outputs": stats.outputs.iter().zip(queues).map(|(part, queue)| output(part, queue)).collect::<Vec<_>>(),
        },
        "reloads": reloads(&managed.reloads),
        "queue": queue(running),
        "output_queues": stats.outputs.iter().zip(queues).map(|(part, queue)| json!({
            "id": &*part.id,
            "batches_count": queue.batches(),
            "queue_size_in_bytes": queue.bytes(),
            "spill": queue.spill().map(spill),
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

/// Events that wait for the workers; of a persisted queue also those that are not settled.
pub(super) fn queue_events(running: &RunningPipeline) -> u64 {
    let in_memory = || running.queue().events() as u64;
    running.persisted_queue().map_or_else(in_memory, |queue| queue.stats().events)
}

/// What they weigh in memory, or on disk.
pub(super) fn queue_bytes(running: &RunningPipeline) -> u64 {
    let in_memory = || running.queue().bytes() as u64;
    running.persisted_queue().map_or_else(in_memory, |queue| queue.stats().bytes)
}

fn queue(running: &RunningPipeline) -> Value {
    let Some((pages, settings)) = running.persisted_queue().zip(running.settings().persisted.as_ref()) else {
        return json!({
            "type": "memory",
            "events_count": running.queue().events(),
            "queue_size_in_bytes": running.queue().bytes(),
            "max_queue_size_in_bytes": running.queue().bytes_max(),
        });
    };
    let (stats, OnDisk { dir, pages }) = (pages.stats(), &settings.on_disk);
    json!({
        "type": "persisted",
        "events": stats.events,
        "events_count": stats.events,
        "queue_size_in_bytes": stats.bytes,
        "max_queue_size_in_bytes": stats.bytes_max,
        "capacity": {
            "max_unread_events": pages.events_max,
            "page_capacity_in_bytes": pages.page_bytes_max,
            "max_queue_size_in_bytes": stats.bytes_max,
            "queue_size_in_bytes": stats.bytes,
        },
        "data": { "path": dir, "free_space_in_bytes": free_space(dir) },
        "compression": {
            "encode": compression(&stats.encode),
            "decode": compression(&stats.decode),
        },
        "pages": stats.pages,
        "is_full": stats.is_full,
        "is_disk_full": stats.is_disk_full,
        "is_disk_failing": stats.is_disk_failing,
        "damaged": damaged(&stats),
    })
}

fn spill(spill: &Spill) -> Value {
    let stats = spill.stats().unwrap_or_default();
    json!({
        "is_active": spill.is_active(),
        "path": spill.dir(),
        "events_count": stats.events,
        "queue_size_in_bytes": stats.bytes,
        "max_queue_size_in_bytes": spill.bytes_max(),
        "is_full": stats.is_full,
        "is_disk_full": stats.is_disk_full,
        "damaged": damaged(&stats),
    })
}

fn compression(stats: &CompressionStats) -> Value {
    json!({
        "in_bytes": stats.bytes_in,
        "out_bytes": stats.bytes_out,
        "duration_in_millis": u64::try_from(stats.time.as_millis()).unwrap_or(u64::MAX),
    })
}

/// What was set aside because it could not be read.
fn damaged(stats: &PageStats) -> Value {
    let damaged = &stats.damaged;
    json!({ "ranges": damaged.ranges, "bytes": damaged.bytes, "records": damaged.records, "events": damaged.events })
}

fn free_space(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
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

fn row(row: MetricRow) -> Value {
    let labels = row.labels.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    let values = row.values.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    Value::Object(labels.chain(values).collect())
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

fn output(part: &Part, queue: &OutputQueueGauges) -> Value {
    let mut entry = filter_or_output(part);
    if let (true, Value::Object(entry)) = (part.enable_metric, &mut entry) {
        entry.insert("ledger".into(), OutputLedger::of(part, queue).json());
    }
    entry
}

/// Id and name, and unless `enable_metric` is off what was counted, the plugin's own numbers at their paths.
fn plugin(part: &Part, events: Value) -> Value {
    let mut entry = Map::new();
    entry.insert("id".into(), json!(&*part.id));
    entry.insert("name".into(), json!(&*part.name));
    if part.enable_metric {
        entry.insert("events".into(), events);
        part.metrics.customs().iter().for_each(|metric| put(&mut entry, metric));
        if let Some(table) = part.metrics.own_table() {
            entry.insert(table.name.to_owned(), table.rows().into_iter().map(row).collect());
        }
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
