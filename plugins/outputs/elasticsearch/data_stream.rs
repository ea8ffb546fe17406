//! Data streams: when an output writes to one, to which, and the fields that say so.

use ferrostash_conf::OptionEnum;
use ferrostash_event::json::write_value;
use ferrostash_event::{Event, FieldRef, ObjectRef, Value, ValueRef};
use ferrostash_plugin::Ecs;

use super::options::{DataStreamChoice, DataStreamType, ElasticsearchOptions};

const TYPE: &str = "type";
const DATASET: &str = "dataset";
const NAMESPACE: &str = "namespace";

/// The data stream of an output.
#[derive(Clone, Debug)]
pub(super) struct DataStream {
    parts: [(&'static str, String); 3],
    /// Whether events are given the fields `data_stream.*`.
    sync_fields: bool,
    /// Whether those fields, where an event has them, decide.
    auto_routing: bool,
    field: FieldRef,
    /// `"data_stream":{…}`, for events that have no such field.
    member: Vec<u8>,
}

impl DataStream {
    /// The data stream that the options mean, if they mean one.
    ///
    /// # Errors
    /// Logstash's sentence, where options contradict each other.
    pub(super) fn of(options: &ElasticsearchOptions, ecs: Ecs) -> Result<Option<DataStream>, String> {
        let hindrances = hindrances(options);
        let is_wanted = match options.data_stream {
            Some(DataStreamChoice::True) if !hindrances.is_empty() => {
                return Err(format!("Invalid data stream configuration: {hindrances:?}"));
            }
            Some(DataStreamChoice::True) if !ecs.is_on() => {
                return Err("Invalid data stream configuration: `ecs_compatibility => disabled`".into());
            }
            Some(DataStreamChoice::True) => true,
            Some(DataStreamChoice::False) => false,
            Some(DataStreamChoice::Auto) | None => ecs.is_on() && hindrances.is_empty(),
        };
        let own = own_options(options);
        if !is_wanted && !own.is_empty() {
            return Err(format!(
                "Ambiguous configuration; data stream settings must not be present when data streams are disabled: {own:?}"
            ));
        }
        Ok(is_wanted.then(|| DataStream::new(options)))
    }

    fn new(options: &ElasticsearchOptions) -> DataStream {
        let text =
            |option: &Option<String>, default: &str| option.clone().unwrap_or_else(|| default.to_owned());
        let kind = options.data_stream_type.unwrap_or(DataStreamType::Logs).name().to_owned();
        let parts = [
            (TYPE, kind),
            (DATASET, text(&options.data_stream_dataset, "generic")),
            (NAMESPACE, text(&options.data_stream_namespace, "default")),
        ];
        let mut member = b"\"data_stream\":{".to_vec();
        for (at, (name, value)) in parts.iter().enumerate() {
            if at > 0 {
                member.push(b',');
            }
            write_value(ValueRef::Str(name), &mut member);
            member.push(b':');
            write_value(ValueRef::Str(value), &mut member);
        }
        member.push(b'}');
        DataStream {
            parts,
            sync_fields: options.data_stream_sync_fields.unwrap_or(true),
            auto_routing: options.data_stream_auto_routing.unwrap_or(true),
            field: FieldRef::literal("data_stream"),
            member,
        }
    }

    /// Whether an event may have a word in where it goes.
    pub(super) fn is_named_by(&self, event: &Event) -> bool {
        self.auto_routing && event.get(&self.field).is_some()
    }

    /// Appends the name of the data stream that an event goes to.
    pub(super) fn write_name(&self, event: &Event, out: &mut String) {
        let fields = event.get(&self.field).and_then(ValueRef::as_object).filter(|_| self.auto_routing);
        for (at, (name, default)) in self.parts.iter().enumerate() {
            if at > 0 {
                out.push('-');
            }
            match fields.and_then(|fields| said(fields, name)) {
                Some(value) => value.write_sprintf(out),
                None => out.push_str(default),
            }
        }
    }

    /// Appends the event as JSON, with the fields `data_stream.*`.
    pub(super) fn write_event(&self, event: &Event, out: &mut Vec<u8>) {
        if !self.sync_fields {
            return event.write_json(out);
        }
        match event.get(&self.field) {
            None => {
                event.write_json(out);
                out.pop();
                if !event.fields().is_empty() {
                    out.push(b',');
                }
                out.extend_from_slice(&self.member);
                out.push(b'}');
            }
            Some(value) if self.is_in_sync(value) => event.write_json(out),
            Some(value) => self.write_synced(event, value, out),
        }
    }

    fn is_in_sync(&self, value: ValueRef<'_>) -> bool {
        let Some(fields) = value.as_object() else { return false };
        self.parts.iter().all(|(name, default)| match said(fields, name) {
            Some(value) => self.auto_routing || value.as_str() == Some(default),
            None => false,
        })
    }

    fn write_synced(&self, event: &Event, value: ValueRef<'_>, out: &mut Vec<u8>) {
        let mut copy = event.clone();
        let fields = value.as_object();
        if fields.is_none() {
            tracing::warn!(
                limited = true,
                "Invalid 'data_stream' field type, due fields sync will overwrite"
            );
            let parts =
                self.parts.iter().map(|(name, default)| ((*name).to_owned(), Value::String(default.clone())));
            let _ = copy.set(&self.field, Value::Object(parts.collect()));
            return copy.write_json(out);
        }
        for (name, default) in &self.parts {
            let said = fields.and_then(|fields| said(fields, name));
            let other = said.is_some_and(|value| value.as_str() != Some(default));
            if other && !self.auto_routing {
                tracing::warn!(
                    limited = true,
                    field = name,
                    "Some data_stream fields are out of sync, these will be updated to reflect data-stream name"
                );
            }
            if said.is_none() || (other && !self.auto_routing) {
                let _ = copy.set_str(&self.field.child(name), default);
            }
        }
        copy.write_json(out);
    }
}

/// A field's value; null and false say nothing.
fn said<'e>(fields: ObjectRef<'e>, name: &str) -> Option<ValueRef<'e>> {
    fields.get(name).filter(|value| value.is_truthy())
}

/// The options that are set and have no meaning for data streams.
fn hindrances(options: &ElasticsearchOptions) -> Vec<&'static str> {
    let o = options;
    let set = [
        ("action", o.action.as_ref().is_some_and(|action| action.as_str() != "create")),
        ("index", o.index.is_some()),
        ("document_type", o.document_type.is_some()),
        ("manage_template", o.manage_template == Some(true)),
        ("template_name", o.template_name.is_some()),
        ("template", o.template.is_some()),
        ("template_overwrite", o.template_overwrite.is_some()),
        ("template_api", o.template_api.is_some()),
        ("version", o.version.is_some()),
        ("version_type", o.version_type.is_some()),
        ("parent", o.parent.is_some()),
        ("join_field", o.join_field.is_some()),
        ("upsert", o.upsert.is_some()),
        ("doc_as_upsert", o.doc_as_upsert.is_some()),
        ("script", o.script.is_some()),
        ("script_type", o.script_type.is_some()),
        ("script_lang", o.script_lang.is_some()),
        ("script_var_name", o.script_var_name.is_some()),
        ("scripted_upsert", o.scripted_upsert.is_some()),
        ("retry_on_conflict", o.retry_on_conflict.is_some()),
        ("ilm_enabled", o.ilm_enabled.is_some()),
        ("ilm_rollover_alias", o.ilm_rollover_alias.is_some()),
        ("ilm_pattern", o.ilm_pattern.is_some()),
        ("ilm_policy", o.ilm_policy.is_some()),
    ];
    names_of(&set)
}

/// The options that are set and have a meaning for data streams alone.
fn own_options(options: &ElasticsearchOptions) -> Vec<&'static str> {
    names_of(&[
        ("data_stream_type", options.data_stream_type.is_some()),
        ("data_stream_dataset", options.data_stream_dataset.is_some()),
        ("data_stream_namespace", options.data_stream_namespace.is_some()),
        ("data_stream_sync_fields", options.data_stream_sync_fields.is_some()),
        ("data_stream_auto_routing", options.data_stream_auto_routing.is_some()),
    ])
}

fn names_of(options: &[(&'static str, bool)]) -> Vec<&'static str> {
    options.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;
    use ferrostash_plugin::testing::event;

    fn stream(text: &str) -> Result<Option<DataStream>, String> {
        DataStream::of(&options(text), Ecs::V8)
    }

    fn written(text: &str, json: &str) -> (String, String) {
        let stream = stream(text).unwrap().unwrap();
        let (mut name, mut out) = (String::new(), Vec::new());
        let mut event = event(json);
        event.remove(&FieldRef::literal("@version"));
        event.remove(&FieldRef::literal("@timestamp"));
        stream.write_name(&event, &mut name);
        stream.write_event(&event, &mut out);
        (name, String::from_utf8(out).unwrap())
    }

    #[test]
    fn auto_is_on_when_nothing_speaks_against_it() {
        assert!(stream("").unwrap().is_some());
        assert!(
            stream("action => create manage_template => false routing => 'x' document_id => 'y'")
                .unwrap()
                .is_some()
        );
        for other in [
            "index => 'x'",
            "action => index",
            "ilm_enabled => false",
            "manage_template => true",
            "data_stream => false",
        ] {
            assert!(stream(other).unwrap().is_none(), "{other}");
        }
        assert!(DataStream::of(&options(""), Ecs::Disabled).unwrap().is_none());
    }

    #[test]
    fn contradictions_are_refused() {
        let sentence = stream("data_stream => true index => 'x'").unwrap_err();
        assert_eq!(sentence, "Invalid data stream configuration: [\"index\"]");
        let sentence = stream("index => 'x' data_stream_type => metrics").unwrap_err();
        assert!(sentence.ends_with("when data streams are disabled: [\"data_stream_type\"]"), "{sentence}");
        let disabled = DataStream::of(&options("data_stream => true"), Ecs::Disabled).unwrap_err();
        assert!(disabled.contains("`ecs_compatibility => disabled`"), "{disabled}");
    }

    #[test]
    fn events_without_the_fields_get_them() {
        let (name, json) = written("data_stream_dataset => nginx", r#"{"a":1}"#);
        assert_eq!(name, "logs-nginx-default");
        assert_eq!(json, r#"{"a":1,"data_stream":{"type":"logs","dataset":"nginx","namespace":"default"}}"#);
        assert_eq!(
            written("", "{}").1,
            r#"{"data_stream":{"type":"logs","dataset":"generic","namespace":"default"}}"#
        );
        assert_eq!(written("data_stream_sync_fields => false", r#"{"a":1}"#).1, r#"{"a":1}"#);
    }

    #[test]
    fn fields_of_the_event_decide_unless_routing_is_off() {
        let own = r#"{"data_stream":{"dataset":"app"}}"#;
        let (name, json) = written("", own);
        assert_eq!(name, "logs-app-default");
        assert_eq!(json, r#"{"data_stream":{"dataset":"app","type":"logs","namespace":"default"}}"#);
        let (name, json) = written("data_stream_auto_routing => false", own);
        assert_eq!(name, "logs-generic-default");
        assert_eq!(json, r#"{"data_stream":{"dataset":"generic","type":"logs","namespace":"default"}}"#);
        let (name, json) = written("", r#"{"data_stream":"odd"}"#);
        assert_eq!(name, "logs-generic-default");
        assert_eq!(json, r#"{"data_stream":{"type":"logs","dataset":"generic","namespace":"default"}}"#);
    }
}
