//! What is to be done with an event: the action line and the document of a bulk request.

mod members;
#[cfg(test)]
mod tests;
mod update;

use ferrostash_event::{Event, FieldRef, ObjectRef, Template, TemplateError, Value, ValueRef};
use ferrostash_plugin::Ecs;

use super::data_stream::DataStream;
use super::options::ElasticsearchOptions;
use super::repetition::{Pace, Repetition};
use members::Members;
use update::Update;

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

/// The event with its join field as Elasticsearch wants it.
fn joined(event: &Event, parent: &Template, join_field: &FieldRef) -> Result<Event, Unmappable> {
    let name = event.get(join_field).map_or(Value::Null, ValueRef::to_value);
    let parent = parent.to_string(event).map_err(broken)?;
    let mut copy = event.clone();
    let join = Value::Object(vec![("name".into(), name), ("parent".into(), Value::String(parent))]);
    copy.set(join_field, join).map_err(|error| format!("`join_field` can't be set: {error}"))?;
    Ok(copy)
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
