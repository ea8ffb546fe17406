//! `/metrics`: the same numbers as Prometheus's text.

use super::ledger::OutputLedger;
use super::node::Node;
use super::process::Process;
use super::stats::{queue_bytes, queue_events};
use crate::agent::{Managed, View};
use ferrostash_pipeline::Part;
use ferrostash_plugin::{MetricKind, MetricRow, MetricTable};
use ferrostash_queue::PageStats;
use ferrostash_queue::dead_letter_queue::DeadLetterQueue;
use prometheus::{Encoder as _, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The text format's media type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const PIPELINE: &[&str] = &["pipeline"];
const PLUGIN: &[&str] = &["pipeline", "kind", "plugin", "id"];
const OUTPUT: &[&str] = &["pipeline", "plugin", "id"];
const CUSTOM: &[&str] = &["pipeline", "kind", "plugin", "id", "metric"];

/// All metrics. They are put together anew for each scrape, from the counters that the pipelines keep.
pub(super) fn text(node: &Node, view: &View) -> prometheus::Result<String> {
    let metrics = Families(Registry::new());
    metrics.process(node)?;
    let reloads = metrics.counters("reloads_total", "Reloads of pipelines, by outcome.", &["outcome"])?;
    reloads.with_label_values(&["success"]).inc_by(view.reloads.successes.get());
    reloads.with_label_values(&["failure"]).inc_by(view.reloads.failures.get());
    metrics.pipelines(view)?;
    metrics.plugins(view)?;
    let mut out = Vec::new();
    TextEncoder::new().encode(&metrics.0.gather(), &mut out)?;
    String::from_utf8(out).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

struct Families(Registry);

impl Families {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let family = IntCounterVec::new(Opts::new(format!("ferrostash_{name}"), help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let family = IntGaugeVec::new(Opts::new(format!("ferrostash_{name}"), help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        let family = GaugeVec::new(Opts::new(format!("ferrostash_{name}"), help), labels)?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn process(&self, node: &Node) -> prometheus::Result<()> {
        let process = Process::now();
        let gauge = |name: &str, help: &str, value: u64| -> prometheus::Result<()> {
            let family = IntGaugeVec::new(Opts::new(name, help), &[])?;
            family.with_label_values::<&str>(&[]).set(i64::try_from(value).unwrap_or(i64::MAX));
            self.0.register(Box::new(family))
        };
        gauge("process_resident_memory_bytes", "Resident memory.", process.resident_bytes)?;
        gauge("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes)?;
        gauge("process_open_fds", "Open file descriptors.", process.open_files)?;
        gauge("process_max_fds", "Most file descriptors that may be open.", process.open_files_max)?;
        gauge("process_threads", "Threads.", process.threads)?;
        let cpu = self.seconds("process_cpu_seconds", "User and system time spent.", &[])?;
        cpu.with_label_values::<&str>(&[]).set(process.cpu_ms as f64 / 1e3);
        let uptime = self.seconds("uptime_seconds", "Time since the start.", &[])?;
        uptime.with_label_values::<&str>(&[]).set(node.uptime_ms() as f64 / 1e3);
        Ok(())
    }

    fn pipelines(&self, view: &View) -> prometheus::Result<()> {
        type Value = fn(&Managed) -> u64;
        let counters: [(&str, &str, Value); 9] = [
            ("pipeline_events_in_total", "Events that inputs pushed.", |p| p.running.ledger().received.get()),
            ("pipeline_events_filtered_total", "Events taken through the filters.", |p| {
                p.running.ledger().filtered.get()
            }),
            ("pipeline_events_out_total", "Events behind the filters.", |p| p.running.ledger().out.get()),
            (
                "pipeline_events_recovered_total",
                "Events of the persisted queue of an earlier run, or read once more.",
                |p| p.running.ledger().recovered.get(),
            ),
            ("pipeline_events_created_total", "Events that filters made.", |p| {
                p.running.ledger().created.get()
            }),
            ("pipeline_events_dropped_total", "Events that filters cancelled.", |p| {
                p.running.ledger().dropped.get()
            }),
            ("pipeline_events_accepted_total", "Events that all their outputs accepted.", |p| {
                p.running.ledger().accepted.get()
            }),
            (
                "pipeline_events_dead_lettered_total",
                "Events dead-lettered by conditions, filters and codecs.",
                |p| p.running.ledger().dead_lettered.get(),
            ),
            ("pipeline_events_abandoned_total", "Events given up, to be read again.", |p| {
                p.running.ledger().abandoned.get()
            }),
        ];
        let gauges: [(&str, &str, Value); 4] = [
            ("pipeline_events_in_flight", "Events between queue and settlement.", |p| {
                p.running.ledger().in_flight.get()
            }),
            ("pipeline_queue_events", "Events in the queue.", |p| queue_events(&p.running)),
            (
                "pipeline_queue_bytes",
                "What the events in the queue weigh, on disk where it is persisted.",
                |p| queue_bytes(&p.running),
            ),
            ("pipeline_up", "1 while the pipeline runs.", |p| u64::from(p.running.ended().is_none())),
        ];
        for (name, help, value) in [
            ("memory_bytes", "What events weigh that wait or are under way.", view.budget.bytes()),
            ("memory_max_bytes", "What they may weigh.", view.budget.bytes_max()),
        ] {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            self.gauges(name, help, &[])?.with_label_values::<&str>(&[]).set(value);
        }
        let pipelines = view.pipelines();
        for (name, help, value) in counters {
            let family = self.counters(name, help, PIPELINE)?;
            pipelines.iter().for_each(|p| family.with_label_values(&[&p.settings.id]).inc_by(value(p)));
        }
        for (name, help, value) in gauges {
            let family = self.gauges(name, help, PIPELINE)?;
            let set = |p: &Managed| family.with_label_values(&[&p.settings.id]).set(value(p) as i64);
            pipelines.iter().for_each(|p| set(p));
        }
        self.persisted_queues(&pipelines)?;
        self.outputs(&pipelines)?;
        self.dead_letter_queues(&pipelines)
    }

    fn persisted_queues(&self, pipelines: &[Arc<Managed>]) -> prometheus::Result<()> {
        type Value = fn(&PageStats) -> u64;
        let gauges: [(&str, &str, Value); 6] = [
            ("persisted_queue_max_bytes", "Most bytes of the pages.", |q| q.bytes_max),
            ("persisted_queue_pages", "Pages on the disk.", |q| q.pages),
            ("persisted_queue_full", "1 while inputs wait for room in the queue.", |q| u64::from(q.is_full)),
            ("persisted_queue_disk_full", "1 while inputs wait for room on the disk.", |q| {
                u64::from(q.is_disk_full || q.is_disk_failing)
            }),
            ("persisted_queue_damaged_ranges", "Ranges of bytes that were set aside.", |q| q.damaged.ranges),
            ("persisted_queue_damaged_events", "Events in them, as far as known.", |q| q.damaged.events),
        ];
        for (name, help, value) in gauges {
            let family = self.gauges(name, help, PIPELINE)?;
            for p in pipelines {
                let Some(queue) = p.running.persisted_queue() else { continue };
                family.with_label_values(&[&p.settings.id]).set(value(&queue.stats()) as i64);
            }
        }
        Ok(())
    }

    /// The account of each output.
    fn outputs(&self, pipelines: &[Arc<Managed>]) -> prometheus::Result<()> {
        type Value = fn(&OutputLedger) -> u64;
        let counters: [(&str, &str, Value); 5] = [
            ("output_events_offered_total", "Events that workers had for the output.", |l| l.offered),
            ("output_events_recovered_total", "Events that an earlier run left on disk for it.", |l| {
                l.recovered
            }),
            ("output_events_accepted_total", "Events that it accepted.", |l| l.accepted),
            ("output_events_abandoned_total", "Events given up for it, to be read again.", |l| l.abandoned),
            ("output_events_spilled_total", "Events that were kept on disk for it.", |l| l.spilled),
        ];
        let gauges: [(&str, &str, Value); 2] = [
            ("output_events_waiting", "Events that wait for it, in memory and on disk.", |l| l.waiting),
            ("output_events_on_disk", "Those of them on disk.", |l| l.on_disk),
        ];
        let outputs = || {
            pipelines.iter().flat_map(|p| {
                let parts = p.running.stats().outputs.iter().zip(p.running.output_queues());
                parts.map(move |(part, queue)| (p, part, OutputLedger::of(part, queue)))
            })
        };
        for (name, help, value) in counters {
            let family = self.counters(name, help, OUTPUT)?;
            for (p, part, ledger) in outputs() {
                family.with_label_values(&[&*p.settings.id, &*part.name, &*part.id]).inc_by(value(&ledger));
            }
        }
        for (name, help, value) in gauges {
            let family = self.gauges(name, help, OUTPUT)?;
            for (p, part, ledger) in outputs() {
                let gauge = family.with_label_values(&[&*p.settings.id, &*part.name, &*part.id]);
                gauge.set(value(&ledger) as i64);
            }
        }
        Ok(())
    }

    fn dead_letter_queues(&self, pipelines: &[Arc<Managed>]) -> prometheus::Result<()> {
        type Value = fn(&DeadLetterQueue) -> u64;
        let counters: [(&str, &str, Value); 3] = [
            ("dead_letter_queue_written_events_total", "Entries written.", |q| {
                q.stats().written_events.get()
            }),
            ("dead_letter_queue_dropped_events_total", "Entries dropped because it was full.", |q| {
                q.stats().dropped_events.get()
            }),
            ("dead_letter_queue_expired_events_total", "Entries deleted because of their age.", |q| {
                q.stats().expired_events.get()
            }),
        ];
        let gauges: [(&str, &str, Value); 2] = [
            ("dead_letter_queue_bytes", "Bytes of its segments.", |q| q.stats().queue_size_bytes.get()),
            ("dead_letter_queue_max_bytes", "Most bytes of its segments.", DeadLetterQueue::max_bytes),
        ];
        let queues = || pipelines.iter().filter_map(|p| Some((&p.settings.id, p.dead_letters.as_deref()?)));
        for (name, help, value) in counters {
            let family = self.counters(name, help, PIPELINE)?;
            queues().for_each(|(id, queue)| family.with_label_values(&[id]).inc_by(value(queue)));
        }
        for (name, help, value) in gauges {
            let family = self.gauges(name, help, PIPELINE)?;
            queues().for_each(|(id, queue)| family.with_label_values(&[id]).set(value(queue) as i64));
        }
        Ok(())
    }

    fn plugins(&self, view: &View) -> prometheus::Result<()> {
        let events_in = self.counters("plugin_events_in_total", "Events that came to the plugin.", PLUGIN)?;
        let events_out = self.counters("plugin_events_out_total", "Events that left the plugin.", PLUGIN)?;
        let dead_lettered = self.counters(
            "plugin_events_dead_lettered_total",
            "Events that went to the dead letter queue because of the plugin.",
            PLUGIN,
        )?;
        let dropped =
            self.counters("plugin_events_dropped_total", "Events that an output dropped by a rule.", PLUGIN)?;
        let duration = self.seconds("plugin_duration_seconds", "Time the plugin spent.", PLUGIN)?;
        let own = self.counters("plugin_own_total", "Counters of the plugin's own, by path.", CUSTOM)?;
        let own_gauges = self.gauges("plugin_own", "Gauges of the plugin's own, by path.", CUSTOM)?;
        let mut tables = Tables::default();
        for pipeline in view.pipelines() {
            let stats = pipeline.running.stats();
            let kinds: [(&str, &[Part]); 3] =
                [("input", &stats.inputs), ("filter", &stats.filters), ("output", &stats.outputs)];
            for (kind, part) in
                kinds.iter().flat_map(|(kind, parts)| parts.iter().map(move |part| (kind, part)))
            {
                if !part.enable_metric {
                    continue;
                }
                let labels = [&*pipeline.settings.id, kind, &part.name, &part.id];
                events_in.with_label_values(&labels).inc_by(part.metrics.events_in.get());
                events_out.with_label_values(&labels).inc_by(part.metrics.events_out.get());
                dead_lettered.with_label_values(&labels).inc_by(part.metrics.events_dead_lettered.get());
                dropped.with_label_values(&labels).inc_by(part.metrics.events_dropped.get());
                duration.with_label_values(&labels).set(part.metrics.duration.get().as_secs_f64());
                if let Some(table) = part.metrics.own_table() {
                    tables.add(&labels, table);
                }
                for metric in part.metrics.customs() {
                    let path = metric.path.join(".");
                    let labels = [&*pipeline.settings.id, kind, &part.name, &part.id, path.as_str()];
                    match metric.kind {
                        MetricKind::Counter => own.with_label_values(&labels).inc_by(metric.value.get()),
                        MetricKind::Gauge => {
                            own_gauges.with_label_values(&labels).set(metric.value.get() as i64)
                        }
                    }
                }
            }
        }
        tables.register(self)
    }
}

/// The tables of plugins: a family for each number, labelled as the rows are.
#[derive(Default)]
struct Tables(BTreeMap<TableFamily, Vec<(Vec<String>, i64)>>);

/// The name of a family, and the labels that its rows have beside the plugin's.
type TableFamily = (String, Vec<&'static str>);

impl Tables {
    fn add(&mut self, plugin: &[&str; 4], table: &MetricTable) {
        let [_, kind, name, _] = plugin;
        for MetricRow { labels, values } in table.rows() {
            let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
            let texts = plugin.iter().map(|text| (*text).to_owned());
            let texts: Vec<String> = texts.chain(labels.into_iter().map(|(_, text)| text)).collect();
            for (number, value) in values {
                let Some(value) = value else { continue };
                let family = format!("{name}_{kind}_{}_{number}", table.name);
                self.0.entry((family, names.clone())).or_default().push((texts.clone(), value));
            }
        }
    }

    fn register(self, families: &Families) -> prometheus::Result<()> {
        for ((name, own_labels), rows) in self.0 {
            let labels: Vec<&str> = PLUGIN.iter().copied().chain(own_labels).collect();
            let family =
                families.gauges(&name, "A number of the plugin's own, for each of its parts.", &labels)?;
            for (texts, value) in rows {
                family.with_label_values(&texts).set(value);
            }
        }
        Ok(())
    }
}
