//! Who answers: what every answer begins with, and the list of plugins.

use crate::agent::View;
use crate::settings::Settings;
use ferrostash_pipeline::{EndReason, Health};
use ferrostash_plugin::Registry;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::time::Instant;
use uuid::Uuid;

/// The Logstash that this program stands in for; clients look at it.
const LOGSTASH_VERSION: &str = "9.5.2";

/// This process.
pub(crate) struct Node {
    name: String,
    id: String,
    ephemeral_id: String,
    address: String,
    pipeline: Value,
    plugins: Vec<Value>,
    started: Instant,
}

impl Node {
    pub(crate) fn new(settings: &Settings, id: &str, registry: &Registry) -> Node {
        let plugin = |def: &ferrostash_plugin::PluginDef| json!({ "name": format!("logstash-{}-{}", def.kind.name(), def.name), "version": env!("CARGO_PKG_VERSION") });
        let mut plugins: Vec<Value> = registry.iter().map(plugin).collect();
        plugins.sort_by_key(|plugin| plugin["name"].to_string());
        Node {
            name: settings.node_name.clone(),
            id: id.to_owned(),
            ephemeral_id: Uuid::new_v4().to_string(),
            address: String::new(),
            pipeline: json!({
                "workers": settings.pipeline.worker_count(),
                "batch_size": settings.pipeline.batch_size,
                "batch_delay": settings.pipeline.batch_delay.as_millis() as u64,
            }),
            plugins,
            started: Instant::now(),
        }
    }

    /// With the address that was bound.
    pub(super) fn at(self, address: SocketAddr) -> Node {
        Node { address: address.to_string(), ..self }
    }

    /// Milliseconds since the start.
    pub(super) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// All plugins, by name.
    pub(super) fn plugins(&self) -> &[Value] {
        &self.plugins
    }

    /// What every answer begins with.
    pub(super) fn base(&self, view: &View) -> Map<String, Value> {
        let base = json!({
            "host": self.name,
            "version": LOGSTASH_VERSION,
            "http_address": self.address,
            "id": self.id,
            "name": self.name,
            "ephemeral_id": self.ephemeral_id,
            "snapshot": false,
            "status": status(view),
            "pipeline": self.pipeline,
            "ferrostash": { "version": env!("CARGO_PKG_VERSION") },
        });
        match base {
            Value::Object(base) => base,
            _ => Map::new(),
        }
    }
}

/// The worst of the pipelines.
fn status(view: &View) -> &'static str {
    let pipelines = view.pipelines();
    let red = pipelines.iter().any(|p| {
        p.running.health() == Health::Red || matches!(p.running.ended(), Some(EndReason::Crashed(_)))
    });
    let yellow =
        pipelines.iter().any(|p| p.running.ended().is_some() || p.running.health() == Health::Yellow);
    match (pipelines.is_empty(), red, yellow) {
        (true, ..) => "unknown",
        (_, true, _) => "red",
        (_, _, true) => "yellow",
        _ => "green",
    }
}
