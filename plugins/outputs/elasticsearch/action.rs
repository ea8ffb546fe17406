//! What is to be done with an event: the action line and the document of a bulk request.

use ferrostash_event::json::write_value;
use ferrostash_event::{Event, FieldRef, ObjectRef, Template, TemplateError, Value, ValueRef};
use ferrostash_plugin::Ecs;

use super::data_stream::DataStream;
use super::options::{ElasticsearchOptions, ScriptType};
use super::repetition::{Pace, Repetition};

/// The field of `@metadata` in which filters say what the document is to be.
const CONTROL: &str = "_ingest_document";
/// The field of `@metadata` in which they name its pipeline.
const TARGET_PIPELINE: &str = "target_ingest_pipeline";

/// The `document_id` that stands for an id made from the place that the event was read at.
pub(super) const AUTO: &str = "auto";

/// An action of the bulk API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

/// All actions, by name.
const ACTIONS: [(&str, Action); 4] = [
    ("index", Action::Index),
    ("delete", Action::Delete),
    ("create", Action::Create),
    ("update", Action::Update),
];

impl Action {
    pub(super) fn of(name: &str) -> Option<Action> {
        ACTIONS.iter().find(|(known, _)| *known == name).map(|(_, action)| *action)
    }

    fn name(self) -> &'static str {
        ACTIONS.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

/// What is known of the cluster only once it has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Events go to the alias of an index with a life cycle.
    pub(super) ilm: bool,
    /// Documents have types: Elasticsearch 7.
    pub(super) types: bool,
}

/// An event that can't be made a line of a bulk request; the sentence says why.
pub(super) type Unmappable = String;

/// Makes lines of bulk requests from events, as the options say.
#[derive(Clone, Debug)]
pub(super) struct Mapper {
    action: Target<Action>,
    index: Index,
    alias: Template,
    strict_index: bool,
    id: Id,
    routing: Option<Template>,
    pipeline: Option<Template>,
    version: Option<Template>,
    version_type: Option<String>,
    document_type: Option<Template>,
    parent: Option<Template>,
    join_field: Option<FieldRef>,
    update: Update,
    /// How often the action line changes that the options alone make.
    pace: Pace,
    /// The same where events go to the alias.
    alias_pace: Pace,
}

/// Something that is the same for all events, or each event's own.
#[derive(Clone, Debug)]
enum Target<T> {
    Fixed(T),
    Each(Template),
}

/// Where ids come from.
#[derive(Clone, Debug)]
enum Id {
    /// From the event alone, if it says so; else from the cluster.
    None,
    /// From the place that the event was read at.
    Derived,
    Given(Template),
}

impl Id {
    fn of(options: &ElasticsearchOptions, is_stream: bool) -> Id {
        match &options.document_id {
            Some(id) if id.as_str() == AUTO => Id::Derived,
            Some(id) if id.as_str().is_empty() => Id::None,
            Some(id) => Id::Given(id.clone()),
            // A data stream takes nothing twice, so that ids can only help.
            None if is_stream => Id::Derived,
            None => Id::None,
        }
    }

    fn template(&self) -> Option<&Template> {
        if let Id::Given(template) = self { Some(template) } else { None }
    }
}

#[derive(Clone, Debug)]
enum Index {
    Stream(DataStream),
    Named { name: Template, is_default: bool },
}

/// How documents are updated.
#[derive(Clone, Debug)]
struct Update {
    upsert: Option<Template>,
    doc_as_upsert: bool,
    script: Option<Template>,
    script_type: ScriptType,
    script_lang: String,
    script_var_name: String,
    scripted_upsert: bool,
    retry_on_conflict: u32,
}

impl Mapper {
    /// The mapper that the options describe.
    pub(super) fn new(options: &ElasticsearchOptions, stream: Option<DataStream>, ecs: Ecs) -> Mapper {
        let action = options.action.as_ref().map_or("index", Template::as_str);
        let default_index = ecs.pick("logstash-%{+yyyy.MM.dd}", "ecs-logstash-%{+yyyy.MM.dd}");
        let name = options.index.clone().unwrap_or_else(|| Template::parse(default_index));
        let alias = rollover_alias(options, ecs);
        let action = match Action::of(action) {
            _ if stream.is_some() => Target::Fixed(Action::Create),
            Some(action) => Target::Fixed(action),
            None => Target::Each(Template::parse(action)),
        };
        let rest = pace_beside_the_index(&action, options);
        let id = Id::of(options, stream.is_some());
        Mapper {
            pace: rest.max(stream.as_ref().map_or_else(|| Pace::of(&name), |_| Pace::Never)),
            alias_pace: rest.max(Pace::of(&alias)),
            action,
            index: match stream {
                Some(stream) => Index::Stream(stream),
                None => Index::Named { is_default: name.as_str() == default_index, name },
            },
            alias,
            strict_index: options.dlq_on_failed_indexname_interpolation,
            id,
            routing: options.routing.clone(),
            pipeline: options.pipeline.clone(),
            version: options.version.clone(),
            version_type: options.version_type.clone(),
            document_type: options.document_type.clone(),
            parent: options.parent.clone(),
            join_field: options.join_field.clone(),
            update: Update::new(options),
        }
    }

    /// Appends the lines of an event; what was appended before an error is for the caller to take back. Gives the action, and
    /// whether the id says where the event was read.
    pub(super) fn write(
        &self,
        event: &Event,
        facts: Facts,
        repetition: &mut Repetition,
        out: &mut Vec<u8>,
    ) -> Result<(Action, bool), Unmappable> {
        let (start, stretch) = (out.len(), self.stretch_of(event, facts));
        let repeated = stretch.and_then(|stretch| repetition.write(stretch, facts, out));
        let action = match repeated {
            Some(action) => action,
            None => self.write_action(event, facts, out)?,
        };
        if let (Some(stretch), None) = (stretch, repeated) {
            repetition.keep(stretch, facts, action, out.get(start..).unwrap_or_default());
        }
        let has_derived_id = self.write_derived_id(action, event, start, out);
        if action != Action::Delete {
            self.write_document(action, event, out)?;
            out.push(b'\n');
        }
        Ok((action, has_derived_id))
    }

    /// Puts the id that the event's origin gives into the action line at `start`.
    fn write_derived_id(&self, action: Action, event: &Event, start: usize, out: &mut Vec<u8>) -> bool {
        if !matches!(self.id, Id::Derived) || !matches!(action, Action::Index | Action::Create) {
            return false;
        }
        let Some(origin) = event.origin() else { return false };
        let control = event.metadata().get(CONTROL).and_then(ValueRef::as_object);
        if control.and_then(|control| said(control, "id")).is_some() {
            return false;
        }
        let place = start + "{\"\":{".len() + action.name().len();
        let member = format!("\"_id\":\"{}\",", origin.id());
        out.splice(place..place, member.bytes());
        true
    }

    /// For how long the event's action line is that of others too: where nothing in it is of the event alone.
    fn stretch_of(&self, event: &Event, facts: Facts) -> Option<i64> {
        let pace = if facts.ilm { self.pace.max(self.alias_pace) } else { self.pace };
        let stretch = pace.stretch_of(event)?;
        let metadata = event.metadata();
        let says_more = metadata.get(CONTROL).is_some() || metadata.get(TARGET_PIPELINE).is_some();
        let names_stream = matches!(&self.index, Index::Stream(stream) if stream.is_named_by(event));
        (!says_more && !names_stream).then_some(stretch)
    }

    fn write_action(&self, event: &Event, facts: Facts, out: &mut Vec<u8>) -> Result<Action, Unmappable> {
        let action = self.action(event)?;
        let control = event.metadata().get(CONTROL).and_then(ValueRef::as_object);
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(action.name().as_bytes());
        out.extend_from_slice(b"\":{");
        let mut members = Members { out, is_first: true, text: String::new() };
        self.write_place(event, control, facts, &mut members)?;
        if action == Action::Update {
            members.value("retry_on_conflict", ValueRef::Int(self.update.retry_on_conflict.into()));
        }
        self.write_version(event, control, &mut members)?;
        out.extend_from_slice(b"}}\n");
        Ok(action)
    }

    fn action(&self, event: &Event) -> Result<Action, Unmappable> {
        match &self.action {
            Target::Fixed(action) => Ok(*action),
            Target::Each(template) => {
                let name = template.to_string(event).map_err(broken)?;
                Action::of(&name).ok_or_else(|| format!("Elasticsearch doesn't support [{name}] action"))
            }
        }
    }

    /// Where the document goes: id, index, routing, pipeline, type.
    fn write_place(
        &self,
        event: &Event,
        control: Option<ObjectRef<'_>>,
        facts: Facts,
        members: &mut Members<'_>,
    ) -> Result<(), Unmappable> {
        members.template_or("_id", self.id.template(), event, control, "id")?;
        let index = members.render(|text| self.write_index(event, facts, text))?;
        if self.strict_index && has_placeholder(index) {
            return Err(format!(
                "Badly formatted index, after interpolation still contains placeholder: [{index}]"
            ));
        }
        let named =
            control.and_then(|control| said(control, "index")).filter(|_| self.is_default_index(facts));
        match named {
            Some(index) => members.value("_index", index),
            None => members.rendered("_index"),
        }
        match (&self.parent, &self.join_field) {
            // The routing of a child is its parent's id.
            (Some(parent), Some(_)) => members.template("routing", parent, event)?,
            (Some(parent), None) => {
                members.template_or("routing", self.routing.as_ref(), event, control, "routing")?;
                members.template("parent", parent, event)?;
            }
            _ => members.template_or("routing", self.routing.as_ref(), event, control, "routing")?,
        }
        self.write_pipeline(event, control, members)?;
        match &self.document_type {
            Some(kind) if facts.types => members.template("_type", kind, event),
            _ => Ok(()),
        }
    }

    fn write_index(&self, event: &Event, facts: Facts, text: &mut String) -> Result<(), TemplateError> {
        match &self.index {
            Index::Stream(stream) => {
                stream.write_name(event, text);
                Ok(())
            }
            Index::Named { .. } if facts.ilm => self.alias.render(event, text),
            Index::Named { name, .. } => name.render(event, text),
        }
    }

    fn is_default_index(&self, facts: Facts) -> bool {
        matches!(self.index, Index::Named { is_default: true, .. }) && !facts.ilm
    }

    /// An empty name means no pipeline.
    fn write_pipeline(
        &self,
        event: &Event,
        control: Option<ObjectRef<'_>>,
        members: &mut Members<'_>,
    ) -> Result<(), Unmappable> {
        let named = control.and_then(|control| said(control, "pipeline")).filter(|_| self.pipeline.is_none());
        let target = event.metadata().get(TARGET_PIPELINE).filter(|value| !value.is_null());
        match (named, &self.pipeline, target) {
            (Some(named), _, _) => members.value("pipeline", named),
            (None, Some(pipeline), _) => members.template_unless_empty("pipeline", pipeline, event)?,
            (None, None, Some(target)) => {
                let mut text = String::new();
                target.write_sprintf(&mut text);
                members.template_unless_empty("pipeline", &Template::parse(&text), event)?;
            }
            (None, None, None) => {}
        }
        Ok(())
    }

    fn write_version(
        &self,
        event: &Event,
        control: Option<ObjectRef<'_>>,
        members: &mut Members<'_>,
    ) -> Result<(), Unmappable> {
        if matches!(self.index, Index::Stream(_)) {
            return Ok(());
        }
        members.template_or("version", self.version.as_ref(), event, control, "version")?;
        match (&self.version_type, control.and_then(|control| said(control, "version_type"))) {
            (Some(kind), _) => members.value("version_type", ValueRef::Str(kind)),
            (None, Some(kind)) => members.value("version_type", kind),
            (None, None) => {}
        }
        Ok(())
    }

    fn write_document(&self, action: Action, event: &Event, out: &mut Vec<u8>) -> Result<(), Unmappable> {
        if action == Action::Update {
            return self.update.write(event, out, |out| self.write_source(event, out));
        }
        self.write_source(event, out)
    }

    fn write_source(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), Unmappable> {
        match (&self.index, &self.parent, &self.join_field) {
            (Index::Stream(stream), _, _) => stream.write_event(event, out),
            (_, Some(parent), Some(join_field)) => joined(event, parent, join_field)?.write_json(out),
            _ => event.write_json(out),
        }
        Ok(())
    }
}

/// How often what is beside the index in action lines changes.
fn pace_beside_the_index(action: &Target<Action>, options: &ElasticsearchOptions) -> Pace {
    let o = options;
    let templates = [&o.document_id, &o.routing, &o.pipeline, &o.version, &o.document_type, &o.parent];
    let action = if let Target::Each(template) = action { Pace::of(template) } else { Pace::Never };
    templates.into_iter().flatten().map(Pace::of).fold(action, Pace::max)
}

/// The alias of an index with a life cycle.
pub(super) fn rollover_alias(options: &ElasticsearchOptions, ecs: Ecs) -> Template {
    options
        .ilm_rollover_alias
        .clone()
        .unwrap_or_else(|| Template::parse(ecs.pick("logstash", "ecs-logstash")))
}

impl Update {
    fn new(options: &ElasticsearchOptions) -> Update {
        let text =
            |option: &Option<String>, default: &str| option.clone().unwrap_or_else(|| default.to_owned());
        let given =
            |option: &Option<Template>| option.clone().filter(|template| !template.as_str().is_empty());
        Update {
            upsert: given(&options.upsert),
            doc_as_upsert: options.doc_as_upsert.unwrap_or(false),
            script: given(&options.script),
            script_type: options.script_type.unwrap_or(ScriptType::Inline),
            script_lang: text(&options.script_lang, "painless"),
            script_var_name: text(&options.script_var_name, "event"),
            scripted_upsert: options.scripted_upsert.unwrap_or(false),
            retry_on_conflict: options.retry_on_conflict.unwrap_or(1),
        }
    }

    fn write(
        &self,
        event: &Event,
        out: &mut Vec<u8>,
        source: impl Fn(&mut Vec<u8>) -> Result<(), Unmappable>,
    ) -> Result<(), Unmappable> {
        match &self.script {
            Some(script) => self.write_script(script, event, out, &source)?,
            None => {
                out.extend_from_slice(b"{\"doc\":");
                source(out)?;
                if self.doc_as_upsert {
                    out.extend_from_slice(b",\"doc_as_upsert\":true");
                } else {
                    self.write_upsert(event, out)?;
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn write_script(
        &self,
        script: &Template,
        event: &Event,
        out: &mut Vec<u8>,
        source: &impl Fn(&mut Vec<u8>) -> Result<(), Unmappable>,
    ) -> Result<(), Unmappable> {
        out.extend_from_slice(b"{\"script\":{\"params\":{");
        write_value(ValueRef::Str(&self.script_var_name), out);
        out.push(b':');
        source(out)?;
        out.push(b'}');
        let mut members = Members { out, is_first: false, text: String::new() };
        let place = match self.script_type {
            ScriptType::Inline => "source",
            ScriptType::Indexed => "id",
            ScriptType::File => "file",
        };
        members.template(place, script, event)?;
        // A stored script has its language with it.
        if !self.script_lang.is_empty() && self.script_type != ScriptType::Indexed {
            members.value("lang", ValueRef::Str(&self.script_lang));
        }
        out.push(b'}');
        if self.scripted_upsert {
            out.extend_from_slice(b",\"scripted_upsert\":true,\"upsert\":{}");
        } else if self.doc_as_upsert {
            out.extend_from_slice(b",\"upsert\":");
            source(out)?;
        } else {
            self.write_upsert(event, out)?;
        }
        Ok(())
    }

    fn write_upsert(&self, event: &Event, out: &mut Vec<u8>) -> Result<(), Unmappable> {
        let Some(upsert) = &self.upsert else { return Ok(()) };
        let text = upsert.to_string(event).map_err(broken)?;
        let document: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("`upsert` is not JSON: {error}"))?;
        // Through a value, because the document has to stand on one line.
        out.extend_from_slice(b",\"upsert\":");
        out.extend_from_slice(document.to_string().as_bytes());
        Ok(())
    }
}

/// The event with its join field as Elasticsearch wants it.
fn joined(event: &Event, parent: &Template, join_field: &FieldRef) -> Result<Event, Unmappable> {
    let name = event.get(join_field).map_or(Value::Null, ValueRef::to_value);
    let parent = parent.to_string(event).map_err(broken)?;
    let mut copy = event.clone();
    let join = Value::Object(vec![("name".into(), name), ("parent".into(), Value::String(parent))]);
    copy.set(join_field, join).map_err(|error| format!("`join_field` can't be set: {error}"))?;
    Ok(copy)
}

/// The members of a JSON object, as they are written.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
    text: String,
}

impl Members<'_> {
    fn value(&mut self, name: &str, value: ValueRef<'_>) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        write_value(ValueRef::Str(name), self.out);
        self.out.push(b':');
        write_value(value, self.out);
    }

    /// Keeps a text for [`Members::rendered`].
    fn render(
        &mut self,
        render: impl FnOnce(&mut String) -> Result<(), TemplateError>,
    ) -> Result<&str, Unmappable> {
        self.text.clear();
        render(&mut self.text).map_err(broken)?;
        Ok(&self.text)
    }

    fn rendered(&mut self, name: &str) {
        let text = std::mem::take(&mut self.text);
        self.value(name, ValueRef::Str(&text));
        self.text = text;
    }

    fn template(&mut self, name: &str, template: &Template, event: &Event) -> Result<(), Unmappable> {
        self.render(|text| template.render(event, text))?;
        self.rendered(name);
        Ok(())
    }

    fn template_unless_empty(
        &mut self,
        name: &str,
        template: &Template,
        event: &Event,
    ) -> Result<(), Unmappable> {
        if !self.render(|text| template.render(event, text))?.is_empty() {
            self.rendered(name);
        }
        Ok(())
    }

    /// What the option says, else what the event's own control field says.
    fn template_or(
        &mut self,
        name: &str,
        option: Option<&Template>,
        event: &Event,
        control: Option<ObjectRef<'_>>,
        own: &str,
    ) -> Result<(), Unmappable> {
        if let Some(template) = option {
            return self.template(name, template, event);
        }
        if let Some(value) = control.and_then(|control| said(control, own)) {
            self.value(name, value);
        }
        Ok(())
    }
}

fn said<'e>(control: ObjectRef<'e>, name: &str) -> Option<ValueRef<'e>> {
    control.get(name).filter(|value| value.is_truthy())
}

/// Whether a `%{…}` was left as it is.
fn has_placeholder(text: &str) -> bool {
    text.match_indices("%{").any(|(at, _)| {
        let line = text.get(at..).and_then(|rest| rest.lines().next());
        line.is_some_and(|line| line.contains('}'))
    })
}

fn broken(error: TemplateError) -> Unmappable {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;
    use ferrostash_plugin::testing::event;

    fn map_with(text: &str, json: &str, facts: Facts) -> Result<String, Unmappable> {
        let options = options(text);
        let stream = DataStream::of(&options, Ecs::V8).unwrap();
        let mut event = event(json);
        event.remove(&FieldRef::literal("@version"));
        let mut out = Vec::new();
        Mapper::new(&options, stream, Ecs::V8).write(&event, facts, &mut Repetition::default(), &mut out)?;
        Ok(String::from_utf8(out).unwrap().replace(r#","@timestamp":"2026-01-02T03:04:05.678Z""#, ""))
    }

    fn map(text: &str, json: &str) -> Result<String, Unmappable> {
        map_with(text, json, Facts::default())
    }

    #[test]
    fn lines_of_each_action() {
        let json = r#"{"a":"x"}"#;
        let lines = |action: &str| {
            map(&format!("index => 'i' document_id => '%{{a}}' action => {action}"), json).unwrap()
        };
        assert_eq!(lines("index"), "{\"index\":{\"_id\":\"x\",\"_index\":\"i\"}}\n{\"a\":\"x\"}\n");
        assert!(lines("create").starts_with(r#"{"create":{"_id":"x","_index":"i"}}"#));
        assert_eq!(lines("delete"), "{\"delete\":{\"_id\":\"x\",\"_index\":\"i\"}}\n");
        let update = lines("update");
        assert!(
            update.starts_with(
                "{\"update\":{\"_id\":\"x\",\"_index\":\"i\",\"retry_on_conflict\":1}}\n{\"doc\":{"
            ),
            "{update}"
        );
        assert!(update.ends_with("\"a\":\"x\"}}\n"), "{update}");
    }

    #[test]
    fn actions_may_come_from_the_event() {
        let text = "index => 'i' action => '%{[@metadata][do]}'";
        assert_eq!(
            map(text, r#"{"@metadata":{"do":"delete"}}"#).unwrap(),
            "{\"delete\":{\"_index\":\"i\"}}\n"
        );
        let error = map(text, r#"{"@metadata":{"do":"destroy"}}"#).unwrap_err();
        assert_eq!(error, "Elasticsearch doesn't support [destroy] action");
    }

    #[test]
    fn index_names_need_their_fields() {
        let error = map("index => 'app-%{app}'", "{}").unwrap_err();
        assert_eq!(
            error,
            "Badly formatted index, after interpolation still contains placeholder: [app-%{app}]"
        );
        let loose =
            map("index => 'app-%{app}' dlq_on_failed_indexname_interpolation => false", "{}").unwrap();
        assert!(loose.contains(r#""_index":"app-%{app}""#));
        assert!(map("data_stream => false", "{}").unwrap().contains(r#""_index":"ecs-logstash-2026.01.02""#));
        let ilm = Facts { ilm: true, ..Facts::default() };
        let by_alias = map_with("data_stream => false ilm_rollover_alias => web", "{}", ilm).unwrap();
        assert!(by_alias.contains(r#""_index":"web""#));
    }

    #[test]
    fn routing_pipeline_version_type() {
        let text = "index => 'i' routing => '%{r}' pipeline => '%{[@metadata][p]}' version => '%{v}' version_type => external
                    document_type => doc";
        let types = Facts { types: true, ..Facts::default() };
        let lines = map_with(text, r#"{"r":"ro","v":7,"@metadata":{"p":"geo"}}"#, types).unwrap();
        let expected = r#"{"index":{"_index":"i","routing":"ro","pipeline":"geo","_type":"doc","version":"7","version_type":"external"}}"#;
        assert_eq!(lines.lines().next().unwrap(), expected);
        let lines = map(text, r#"{"r":"ro","v":7,"@metadata":{"p":""}}"#).unwrap();
        assert!(!lines.contains("pipeline") && !lines.contains("\"_type\""), "{lines}");
    }

    #[test]
    fn filters_may_say_what_the_document_is() {
        let json = r#"{"@metadata":{"_ingest_document":{"id":"7","index":"elsewhere","pipeline":"p","routing":"r","version":3}}}"#;
        let line = map("data_stream => false", json).unwrap();
        let expected =
            r#"{"index":{"_id":"7","_index":"elsewhere","routing":"r","pipeline":"p","version":3}}"#;
        assert_eq!(line.lines().next().unwrap(), expected);
        let line = map("index => 'i' document_id => own", json).unwrap();
        assert!(line.starts_with(r#"{"index":{"_id":"own","_index":"i","#), "{line}");
        let target = map("index => 'i'", r#"{"@metadata":{"target_ingest_pipeline":"t"}}"#).unwrap();
        assert!(target.contains(r#""pipeline":"t""#));
    }

    #[test]
    fn action_lines_repeat_where_they_are_the_same() {
        let lines = |text: &str, events: [&str; 3]| {
            let options = options(text);
            let mapper = Mapper::new(&options, DataStream::of(&options, Ecs::V8).unwrap(), Ecs::V8);
            let (mut repetition, mut out) = (Repetition::default(), Vec::new());
            for json in events {
                mapper.write(&event(json), Facts::default(), &mut repetition, &mut out).unwrap();
            }
            let text = String::from_utf8(out).unwrap();
            text.lines().step_by(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let days = ["2026-01-02T00:00:00Z", "2026-01-02T23:59:59Z", "2026-01-03T00:00:00Z"]
            .map(|time| format!(r#"{{"@timestamp":"{time}"}}"#));
        let daily = lines("index => 'i-%{+yyyy.MM.dd}'", days.each_ref().map(String::as_str));
        let names = ["2026.01.02", "2026.01.02", "2026.01.03"];
        assert_eq!(daily, names.map(|day| format!(r#"{{"index":{{"_index":"i-{day}"}}}}"#)));
        let control = r#"{"@metadata":{"_ingest_document":{"id":"7"}}}"#;
        let pipeline = r#"{"@metadata":{"target_ingest_pipeline":"p"}}"#;
        let own = lines("index => 'i'", ["{}", control, pipeline]);
        let expected = [r#""_index":"i""#, r#""_id":"7","_index":"i""#, r#""_index":"i","pipeline":"p""#];
        assert_eq!(own, expected.map(|members| format!(r#"{{"index":{{{members}}}}}"#)));
        let streams = lines("", ["{}", r#"{"data_stream":{"dataset":"web"}}"#, "{}"]);
        let names = ["generic", "web", "generic"];
        assert_eq!(streams, names.map(|name| format!(r#"{{"create":{{"_index":"logs-{name}-default"}}}}"#)));
        let each = lines("index => 'i' document_id => '%{n}'", [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
        assert!(each[0].contains(r#""_id":"1""#) && each[2].contains(r#""_id":"3""#), "{each:?}");
    }

    #[test]
    fn updates_with_upsert_and_script() {
        let document = |text: &str| {
            let lines =
                map(&format!("index => 'i' action => update document_id => '1' {text}"), r#"{"a":"x"}"#)
                    .unwrap();
            lines.lines().nth(1).unwrap().to_owned()
        };
        assert!(document("doc_as_upsert => true").ends_with(r#""a":"x"},"doc_as_upsert":true}"#));
        assert!(document(r#"upsert => '{"n": "%{a}"}'"#).ends_with(r#","upsert":{"n":"x"}}"#));
        let script = document("script => 'ctx.op = params.e' script_var_name => 'e' scripted_upsert => true");
        assert!(script.starts_with(r#"{"script":{"params":{"e":{"#), "{script}");
        assert!(
            script.ends_with(
                r#"},"source":"ctx.op = params.e","lang":"painless"},"scripted_upsert":true,"upsert":{}}"#
            ),
            "{script}"
        );
        let stored = document("script => 's' script_type => indexed upsert => '{}'");
        assert!(stored.ends_with(r#"},"id":"s"},"upsert":{}}"#), "{stored}");
        let error = map("index => 'i' action => update document_id => '1' upsert => '{'", "{}").unwrap_err();
        assert!(error.starts_with("`upsert` is not JSON"));
    }

    #[test]
    fn children_join_their_parents() {
        let lines =
            map("index => 'i' join_field => kind parent => '%{of}'", r#"{"kind":"answer","of":"q1"}"#)
                .unwrap();
        assert!(lines.starts_with(r#"{"index":{"_index":"i","routing":"q1"}}"#), "{lines}");
        assert!(lines.contains(r#""kind":{"name":"answer","parent":"q1"}"#), "{lines}");
    }
}
