//! The common options that change events: `add_field`, `remove_field`, `add_tag`, `remove_tag`, `type`, `tags`.

use ferrostash_conf::{CommonFilter, CommonInput, ConfKind, ConfValue};
use ferrostash_event::{Event, FieldRef, Template, Value, ValueRef};
use std::borrow::Cow;
use std::sync::LazyLock;

static TYPE: LazyLock<FieldRef> = LazyLock::new(|| FieldRef::literal("type"));

/// What a filter does to an event that it matched.
#[derive(Clone, Debug, Default)]
pub struct Decoration {
    add_field: Vec<(FieldName, Vec<Template>)>,
    remove_field: Vec<FieldName>,
    add_tag: Vec<Template>,
    remove_tag: Vec<Template>,
}

/// A field's name with `%{…}` in it.
#[derive(Clone, Debug)]
pub enum FieldName {
    /// The same for every event.
    Fixed(FieldRef),
    /// Made anew for every event.
    Template(Template),
    /// No field reference; every use of it fails with this sentence.
    Illegal(String),
}

impl FieldName {
    /// Reads a name; what is no field reference fails when it is used, as in Logstash.
    pub fn parse(text: &str) -> FieldName {
        let template = Template::parse(text);
        match template.as_constant() {
            None => FieldName::Template(template),
            Some(name) => match FieldRef::parse(name) {
                Ok(field) => FieldName::Fixed(field),
                Err(error) => FieldName::Illegal(error.to_string()),
            },
        }
    }

    /// Calls `f` with the field that `event` makes of the name.
    pub fn with<T>(
        &self,
        event: &mut Event,
        f: impl FnOnce(&mut Event, &FieldRef) -> T,
    ) -> Result<T, String> {
        match self {
            FieldName::Fixed(field) => Ok(f(event, field)),
            FieldName::Template(template) => {
                let name = template.to_string(event).map_err(|e| e.to_string())?;
                let field = FieldRef::parse(&name).map_err(|e| e.to_string())?;
                Ok(f(event, &field))
            }
            FieldName::Illegal(error) => Err(error.clone()),
        }
    }
}

impl Decoration {
    /// The decoration of a filter's common options.
    pub fn of_filter(common: &CommonFilter) -> Decoration {
        Decoration {
            add_field: fields(&common.add_field),
            remove_field: common.remove_field.iter().map(|name| FieldName::parse(name.as_str())).collect(),
            add_tag: common.add_tag.clone(),
            remove_tag: common.remove_tag.clone(),
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.add_field.is_empty()
            && self.remove_field.is_empty()
            && self.add_tag.is_empty()
            && self.remove_tag.is_empty()
    }

    /// Changes `event`, in Logstash's order. What was done before an error stays.
    pub fn apply(&self, event: &mut Event) -> Result<(), String> {
        for (name, values) in &self.add_field {
            for value in values {
                let value = text(value, event)?;
                name.with(event, |event, field| add_field(event, field, &value))??;
            }
        }
        for name in &self.remove_field {
            name.with(event, |event, field| event.remove(field))?;
        }
        // All tags are made before the first is added: `%{tags}` means the tags from before.
        match self.add_tag.as_slice() {
            [] => {}
            [tag] => event.push_tag(&text(tag, event)?),
            tags => {
                let tags = tags.iter().map(|tag| text(tag, event)).collect::<Result<Vec<_>, _>>()?;
                tags.iter().for_each(|tag| event.push_tag(tag));
            }
        }
        for tag in &self.remove_tag {
            event.remove_tag(&text(tag, event)?);
        }
        Ok(())
    }
}

/// What `event` makes of a template; a copy only where events make different texts of it.
fn text<'t>(template: &'t Template, event: &Event) -> Result<Cow<'t, str>, String> {
    match template.as_constant() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => template.to_string(event).map(Cow::Owned).map_err(|error| error.to_string()),
    }
}

fn fields(options: &[(Template, ConfValue)]) -> Vec<(FieldName, Vec<Template>)> {
    let text = |value: &ConfValue| Template::parse(&value.to_text().unwrap_or_else(|| value.inspect()));
    let values = |value: &ConfValue| match &value.kind {
        ConfKind::Array(list) => list.iter().map(text).collect(),
        // Ruby's Array(hash) is a list of pairs.
        ConfKind::Hash(_) => value.clone().into_list().iter().map(text).collect(),
        _ => vec![text(value)],
    };
    options.iter().map(|(name, value)| (FieldName::parse(name.as_str()), values(value))).collect()
}

/// Sets `field`, or makes a list of what is there and `value`.
pub fn add_field(event: &mut Event, field: &FieldRef, value: &str) -> Result<(), String> {
    let list = match event.get(field) {
        None => return event.set_str(field, value).map_err(|e| e.to_string()),
        Some(ValueRef::Null) => vec![Value::from(value)],
        Some(ValueRef::Array(array)) => {
            array.iter().map(ValueRef::to_value).chain([Value::from(value)]).collect()
        }
        // Ruby's Array(hash): a list of pairs.
        Some(ValueRef::Object(hash)) => {
            let pairs = hash.iter().map(|(key, v)| Value::Array(vec![Value::from(key), v.to_value()]));
            pairs.chain([Value::from(value)]).collect()
        }
        Some(other) => vec![other.to_value(), Value::from(value)],
    };
    event.set(field, Value::Array(list)).map_err(|e| e.to_string())
}

/// What an input does to each of its events.
#[derive(Clone, Debug, Default)]
pub struct InputDecoration {
    event_type: Option<Template>,
    decoration: Decoration,
}

impl InputDecoration {
    /// The decoration of an input's common options.
    pub fn of_input(common: &CommonInput) -> InputDecoration {
        let decoration = Decoration {
            add_field: fields(&common.add_field),
            add_tag: common.tags.clone().unwrap_or_default(),
            ..Decoration::default()
        };
        InputDecoration { event_type: common.event_type.as_deref().map(Template::parse), decoration }
    }

    /// Changes `event`; `type` is set only where there is none.
    pub fn apply(&self, event: &mut Event) {
        if let Some(event_type) = &self.event_type
            && !event.contains(&TYPE)
        {
            let _ = event_type.to_string(event).map(|text| event.set_str(&TYPE, &text));
        }
        if let Err(error) = self.decoration.apply(event) {
            tracing::warn!(error, "common options could not be applied");
            event.tag("_common_options_failure");
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.event_type.is_none() && self.decoration.is_empty()
    }
}
