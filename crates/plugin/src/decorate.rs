//! The common options that change events: `add_field`, `remove_field`, `add_tag`, `remove_tag`, `type`, `tags`.

use ferrostash_event::{Event, FieldRef, Template, Value, ValueRef};

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
    pub fn with<T>(&self, event: &mut Event, f: impl FnOnce(&mut Event, &FieldRef) -> T) -> Result<T, String> {
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
    /// The decoration of these options; names and values may hold `%{…}`.
    pub fn new(
        add_field: &[(String, Vec<String>)],
        remove_field: &[String],
        add_tag: &[String],
        remove_tag: &[String],
    ) -> Decoration {
        let templates = |texts: &[String]| texts.iter().map(|text| Template::parse(text)).collect::<Vec<_>>();
        Decoration {
            add_field: add_field.iter().map(|(name, values)| (FieldName::parse(name), templates(values))).collect(),
            remove_field: remove_field.iter().map(|name| FieldName::parse(name)).collect(),
            add_tag: templates(add_tag),
            remove_tag: templates(remove_tag),
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.add_field.is_empty() && self.remove_field.is_empty() && self.add_tag.is_empty() && self.remove_tag.is_empty()
    }

    /// Changes `event`, in Logstash's order. What was done before an error stays.
    pub fn apply(&self, event: &mut Event) -> Result<(), String> {
        for (name, values) in &self.add_field {
            for value in values {
                let value = value.to_string(event).map_err(|e| e.to_string())?;
                name.with(event, |event, field| add_field(event, field, value))??;
            }
        }
        for name in &self.remove_field {
            name.with(event, |event, field| event.remove(field))?;
        }
        for tag in &self.add_tag {
            let tag = tag.to_string(event).map_err(|e| e.to_string())?;
            event.push_tag(&tag);
        }
        for tag in &self.remove_tag {
            let tag = tag.to_string(event).map_err(|e| e.to_string())?;
            event.remove_tag(&tag);
        }
        Ok(())
    }
}

/// Sets `field`, or makes a list of what is there and `value`.
pub fn add_field(event: &mut Event, field: &FieldRef, value: String) -> Result<(), String> {
    let list = match event.get(field) {
        None => return event.set_str(field, &value).map_err(|e| e.to_string()),
        Some(ValueRef::Null) => vec![Value::String(value)],
        Some(ValueRef::Array(array)) => array.iter().map(ValueRef::to_value).chain([Value::String(value)]).collect(),
        // Ruby's Array(hash): a list of pairs.
        Some(ValueRef::Object(hash)) => {
            let pairs = hash.iter().map(|(key, v)| Value::Array(vec![Value::from(key), v.to_value()]));
            pairs.chain([Value::String(value)]).collect()
        }
        Some(other) => vec![other.to_value(), Value::String(value)],
    };
    event.set(field, Value::Array(list)).map_err(|e| e.to_string())
}

/// What an input does to each of its events.
#[derive(Clone, Debug, Default)]
pub struct InputDecoration {
    type_: Option<Template>,
    decoration: Decoration,
}

impl InputDecoration {
    /// The decoration of `type`, `tags` and `add_field`.
    pub fn new(type_: Option<&str>, tags: &[String], add_field: &[(String, Vec<String>)]) -> InputDecoration {
        InputDecoration { type_: type_.map(Template::parse), decoration: Decoration::new(add_field, &[], tags, &[]) }
    }

    /// Changes `event`; `type` is set only where there is none.
    pub fn apply(&self, event: &mut Event) {
        if let Some(type_) = &self.type_ {
            let field = FieldRef::literal("type");
            if !event.contains(&field) {
                let _ = type_.to_string(event).map(|text| event.set_str(&field, &text));
            }
        }
        if let Err(error) = self.decoration.apply(event) {
            tracing::warn!(error, "common options could not be applied");
            event.tag("_common_options_failure");
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.type_.is_none() && self.decoration.is_empty()
    }
}
