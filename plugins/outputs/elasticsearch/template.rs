//! The index templates that an output brings along for its own index.

use ferrostash_plugin::Ecs;
use serde_json::{Map, Value, json};

use super::product::{Flavour, Product};

/// Longer texts are kept, and not searched as a whole.
const IGNORE_ABOVE: u32 = 1024;

/// ECS's fields that are neither texts to be found as a whole nor what their first value looks like, by type.
const ECS_FIELDS: [(&str, &[&str]); 5] = [
    (
        "date",
        &[
            "@timestamp",
            "event.created",
            "event.end",
            "event.ingested",
            "event.start",
            "file.accessed",
            "file.created",
            "file.ctime",
            "file.mtime",
            "package.installed",
            "process.end",
            "process.parent.start",
            "process.start",
            "tls.client.not_after",
            "tls.client.not_before",
            "tls.server.not_after",
            "tls.server.not_before",
        ],
    ),
    (
        "ip",
        &[
            "client.ip",
            "client.nat.ip",
            "destination.ip",
            "destination.nat.ip",
            "dns.resolved_ip",
            "host.ip",
            "observer.ip",
            "related.ip",
            "server.ip",
            "server.nat.ip",
            "source.ip",
            "source.nat.ip",
        ],
    ),
    (
        "geo_point",
        &[
            "client.geo.location",
            "destination.geo.location",
            "host.geo.location",
            "observer.geo.location",
            "server.geo.location",
            "source.geo.location",
        ],
    ),
    (
        "long",
        &[
            "client.as.number",
            "client.bytes",
            "client.packets",
            "client.port",
            "destination.as.number",
            "destination.bytes",
            "destination.packets",
            "destination.port",
            "dns.answers.ttl",
            "event.duration",
            "event.sequence",
            "event.severity",
            "file.size",
            "host.uptime",
            "http.request.body.bytes",
            "http.request.bytes",
            "http.response.body.bytes",
            "http.response.bytes",
            "http.response.status_code",
            "log.origin.file.line",
            "log.syslog.facility.code",
            "log.syslog.priority",
            "log.syslog.severity.code",
            "network.bytes",
            "network.packets",
            "process.exit_code",
            "process.parent.pid",
            "process.pid",
            "process.thread.id",
            "server.as.number",
            "server.bytes",
            "server.packets",
            "server.port",
            "source.as.number",
            "source.bytes",
            "source.packets",
            "source.port",
            "url.port",
        ],
    ),
    ("float", &["event.risk_score", "event.risk_score_norm"]),
];
/// ECS's fields that are read word by word.
const ECS_TEXTS: [&str; 2] = ["error.message", "message"];
/// Texts that are longer than a term may be.
const ECS_LONG_TEXTS: [&str; 2] = ["error.stack_trace", "event.original"];

/// The version of a legacy template.
const LEGACY_VERSION: u32 = 60001;

/// The template for the default index, with its pattern. A composable one has priority and version; without them it is a
/// legacy one.
pub(super) fn default_template(ecs: Ecs, product: &Product, composable: Option<(u32, u32)>) -> Value {
    let (pattern, settings, mappings) = match ecs {
        Ecs::Disabled => (
            "logstash-*",
            json!({"index.refresh_interval": "5s", "number_of_shards": 1}),
            mappings_without_ecs(),
        ),
        Ecs::V1 | Ecs::V8 => {
            let settings = json!({
                "index.mapping.total_fields.limit": 10_000,
                "index.refresh_interval": "5s",
                "number_of_shards": 1
            });
            ("ecs-logstash-*", settings, ecs_mappings(ecs, product))
        }
    };
    let mut template = json!({"settings": settings, "mappings": mappings});
    if let Some((priority, _)) = composable {
        template = json!({"template": template, "priority": priority});
    }
    if let Some(template) = template.as_object_mut() {
        template.insert("index_patterns".into(), json!(pattern));
        template.insert("version".into(), json!(composable.map_or(LEGACY_VERSION, |(_, version)| version)));
    }
    template
}

fn mappings_without_ecs() -> Value {
    let text = json!({"type": "text", "norms": false});
    let text_and_keyword = json!({
        "type": "text",
        "norms": false,
        "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}
    });
    let geo = json!({
        "ip": {"type": "ip"},
        "location": {"type": "geo_point"},
        "latitude": {"type": "half_float"},
        "longitude": {"type": "half_float"}
    });
    json!({
        "dynamic_templates": [
            {"message_field": {"path_match": "message", "match_mapping_type": "string", "mapping": text}},
            {"string_fields": {"match": "*", "match_mapping_type": "string", "mapping": text_and_keyword}}
        ],
        "properties": {
            "@timestamp": {"type": "date"},
            "@version": {"type": "keyword"},
            "geoip": {"dynamic": true, "properties": geo}
        }
    })
}

/// Texts are keywords; what ECS gives another type has it.
fn ecs_mappings(ecs: Ecs, product: &Product) -> Value {
    // The smaller kind of text is younger than ECS 1.
    let has_small_text = product.flavour != Flavour::OpenSearch && product.at_least(7, 14);
    let text = if ecs == Ecs::V8 && has_small_text {
        json!({"type": "match_only_text"})
    } else {
        json!({"type": "text", "norms": false})
    };
    let mut properties = Map::new();
    for (kind, fields) in ECS_FIELDS {
        fields.iter().for_each(|field| place(&mut properties, field, json!({"type": kind})));
    }
    ECS_TEXTS.iter().for_each(|field| place(&mut properties, field, text.clone()));
    let unsearched = json!({"type": "keyword", "index": false, "doc_values": false});
    ECS_LONG_TEXTS.iter().for_each(|field| place(&mut properties, field, unsearched.clone()));
    for field in ["@version", "ecs.version", "tags"] {
        place(&mut properties, field, json!({"type": "keyword", "ignore_above": IGNORE_ABOVE}));
    }
    let keyword = json!({"type": "keyword", "ignore_above": IGNORE_ABOVE});
    json!({
        "date_detection": false,
        "dynamic_templates": [
            {"strings_as_keyword": {"match_mapping_type": "string", "mapping": keyword}}
        ],
        "properties": properties
    })
}

/// Puts the mapping of a field, `a.b.c`, where it belongs.
fn place(properties: &mut Map<String, Value>, field: &str, mapping: Value) {
    let Some((first, rest)) = field.split_once('.') else {
        properties.insert(field.into(), mapping);
        return;
    };
    let object = properties.entry(first).or_insert_with(|| json!({"properties": {}}));
    if let Some(inner) = object.get_mut("properties").and_then(Value::as_object_mut) {
        place(inner, rest, mapping);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(ecs: Ecs, version: &str, flavour: Flavour, is_composable: bool) -> Value {
        let product = Product { version: version.into(), flavour };
        default_template(ecs, &product, is_composable.then_some((200, 80001)))
    }

    #[test]
    fn ecs_fields_have_their_types() {
        let template = template(Ecs::V8, "9.5.2", Flavour::Elasticsearch, true);
        assert_eq!(
            (&template["index_patterns"], &template["priority"]),
            (&json!("ecs-logstash-*"), &json!(200))
        );
        let mappings = &template["template"]["mappings"];
        for (field, kind) in [
            ("/@timestamp", "date"),
            ("/message", "match_only_text"),
            ("/source/properties/ip", "ip"),
            ("/source/properties/geo/properties/location", "geo_point"),
            ("/http/properties/response/properties/status_code", "long"),
            ("/log/properties/syslog/properties/priority", "long"),
            ("/tags", "keyword"),
        ] {
            let mapping = mappings["properties"].pointer(field).unwrap_or_else(|| panic!("{field}"));
            assert_eq!(mapping["type"], kind, "{field}");
        }
        let strings = &mappings["dynamic_templates"][0]["strings_as_keyword"]["mapping"];
        assert_eq!(strings, &json!({"type": "keyword", "ignore_above": 1024}));
    }

    #[test]
    fn older_clusters_and_relatives_get_what_they_know() {
        for (ecs, version, flavour) in [
            (Ecs::V1, "8.0.0", Flavour::Elasticsearch),
            (Ecs::V8, "7.10.2", Flavour::Elasticsearch),
            (Ecs::V8, "3.1.0", Flavour::OpenSearch),
        ] {
            let template = template(ecs, version, flavour, false);
            let text = json!({"type": "text", "norms": false});
            assert_eq!(template["mappings"]["properties"]["message"], text, "{version}");
            assert!(template.get("priority").is_none() && template["settings"].is_object());
        }
    }
}
