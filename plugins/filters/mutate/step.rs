//! One operation on one field.

use super::Fault;
use super::convert::Target;
use super::gsub::{self, Gsub};
use super::letter_case::LetterCase;
use crate::shared::{Field, ruby_split, ruby_strip};
use ferrostash_event::{ArrayRef, Event, FieldRef, Template, Value, ValueRef};
use ferrostash_plugin::FieldName;

/// What mutate does, in the order in which it does it.
pub(super) enum Step {
    /// A value for a field that is null.
    Coerce(Field, Template),
    Rename(FieldName, FieldName),
    /// A new value for a field that is there.
    Update(Field, Template),
    Replace(Field, Template),
    Convert(Field, Target),
    Gsub(Gsub),
    Case(Field, LetterCase),
    Strip(Field),
    Split(Field, Separator),
    Join(Field, Separator),
    /// The fields that are added to the first one.
    Merge(Field, Vec<Field>),
    Copy(Field, Field),
}

/// A separator as it was configured: Logstash finds out at an event that it is no string.
pub(super) enum Separator {
    Text(String),
    /// The Ruby class of what was given.
    Illegal(&'static str),
}

/// A worker's own room to work in.
#[derive(Clone, Default)]
pub(super) struct Scratch {
    text: String,
    gsub: gsub::Scratch,
}

impl Step {
    /// Works on one event. After an error nothing more may be done to it.
    pub(super) fn apply(&self, event: &mut Event, scratch: &mut Scratch) -> Result<(), Fault> {
        match self {
            Step::Coerce(field, value) => {
                let field = field.get()?;
                match event.get(field) {
                    Some(ValueRef::Null) => set(event, field, value, scratch),
                    _ => Ok(()),
                }
            }
            Step::Rename(from, to) => rename(event, from, to),
            Step::Update(field, value) => {
                let field = field.get()?;
                if event.contains(field) { set(event, field, value, scratch) } else { Ok(()) }
            }
            Step::Replace(field, value) => set(event, field.get()?, value, scratch),
            Step::Convert(field, target) => convert(event, field.get()?, *target, scratch),
            Step::Gsub(gsub) => gsub.apply(event, &mut scratch.gsub),
            Step::Case(field, case) => change_case(event, field.get()?, *case, scratch),
            Step::Strip(field) => strip(event, field.get()?),
            Step::Split(field, separator) => split(event, field.get()?, separator),
            Step::Join(field, separator) => join(event, field.get()?, separator, scratch),
            Step::Merge(field, added) => merge(event, field.get()?, added),
            Step::Copy(from, to) => copy(event, from.get()?, to),
        }
    }
}

fn set(event: &mut Event, field: &FieldRef, value: &Template, scratch: &mut Scratch) -> Result<(), Fault> {
    if let Some(text) = value.as_constant() {
        return Ok(event.set_str(field, text)?);
    }
    scratch.text.clear();
    value.render(event, &mut scratch.text)?;
    Ok(event.set_str(field, &scratch.text)?)
}

fn rename(event: &mut Event, from: &FieldName, to: &FieldName) -> Result<(), Fault> {
    // Both names are made before anything moves; a new name that is illegal costs the value, as in Logstash.
    let to = match to {
        FieldName::Template(template) => &match FieldRef::parse(&template.to_string(event)?) {
            Ok(field) => FieldName::Fixed(field),
            Err(error) => FieldName::Illegal(error.to_string()),
        },
        other => other,
    };
    let moved = |event: &mut Event, from: &FieldRef| match to {
        FieldName::Fixed(to) => event.rename(from, to).map(|_| ()).map_err(Fault::from),
        FieldName::Illegal(error) if event.remove(from) => Err(Fault::new(error.clone())),
        _ => Ok(()),
    };
    from.with(event, moved).map_err(Fault::new)?
}

fn convert(event: &mut Event, field: &FieldRef, target: Target, scratch: &mut Scratch) -> Result<(), Fault> {
    let converted = match event.get(field) {
        None | Some(ValueRef::Null | ValueRef::Object(_)) => return Ok(()),
        Some(ValueRef::Array(array)) => Some(map(array, |value| match value {
            ValueRef::Null => Ok(None),
            _ => target.convert(value),
        })?),
        Some(value) if target == Target::Text && !matches!(value, ValueRef::Str(_)) => {
            scratch.text.clear();
            value.write_ruby(&mut scratch.text);
            return Ok(event.set_str(field, &scratch.text)?);
        }
        Some(value) => target.convert(value)?,
    };
    Ok(converted.map_or(Ok(()), |value| event.set(field, value))?)
}

/// The list with each element changed; `None` leaves one as it is.
fn map(
    array: ArrayRef<'_>,
    mut f: impl FnMut(ValueRef<'_>) -> Result<Option<Value>, Fault>,
) -> Result<Value, Fault> {
    let element = |value: ValueRef<'_>| Ok(f(value)?.unwrap_or_else(|| value.to_value()));
    array.iter().map(element).collect::<Result<_, Fault>>().map(Value::Array)
}

fn change_case(
    event: &mut Event,
    field: &FieldRef,
    case: LetterCase,
    scratch: &mut Scratch,
) -> Result<(), Fault> {
    match event.get(field) {
        Some(ValueRef::Str(text)) => {
            scratch.text.clear();
            if case.write(text, &mut scratch.text) {
                event.set_str(field, &scratch.text)?;
            }
        }
        Some(ValueRef::Array(array)) => {
            let list = map(array, |value| {
                let mut out = String::new();
                Ok(value.as_str().filter(|text| case.write(text, &mut out)).map(|_| Value::String(out)))
            })?;
            event.set(field, list)?;
        }
        _ => {}
    }
    Ok(())
}

fn strip(event: &mut Event, field: &FieldRef) -> Result<(), Fault> {
    if let Some(span) = event.str_span(field) {
        let text = event.text(span);
        let stripped = ruby_strip(text);
        let start = text.find(stripped).unwrap_or_default();
        let end = start + stripped.len();
        if stripped.len() < text.len() {
            event.set_slice(field, span.slice(start..end))?;
        }
    } else if let Some(ValueRef::Array(array)) = event.get(field) {
        let list = map(array, |value| match value {
            ValueRef::Str(text) => Ok(Some(Value::from(ruby_strip(text)))),
            _ => Err(Fault::new(format!("undefined method 'strip' for {}", class(value)))),
        })?;
        event.set(field, list)?;
    }
    Ok(())
}

/// How Ruby speaks of a value in its complaints about methods.
fn class(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "nil",
        ValueRef::Bool(true) => "true",
        ValueRef::Bool(false) => "false",
        ValueRef::Int(_) | ValueRef::BigInt(_) => "an instance of Integer",
        ValueRef::Float(_) => "an instance of Float",
        ValueRef::Decimal(_) => "an instance of BigDecimal",
        ValueRef::Timestamp(_) => "an instance of LogStash::Timestamp",
        ValueRef::Str(_) => "an instance of String",
        ValueRef::Array(_) => "an instance of Array",
        ValueRef::Object(_) => "an instance of Hash",
    }
}

fn split(event: &mut Event, field: &FieldRef, separator: &Separator) -> Result<(), Fault> {
    let Some(text) = event.get_str(field) else { return Ok(()) };
    let pieces = match separator {
        Separator::Text(separator) => {
            ruby_split(text, separator, false).into_iter().map(Value::from).collect()
        }
        Separator::Illegal(class) => {
            return Err(Fault::new(format!("wrong argument type {class} (expected Regexp)")));
        }
    };
    Ok(event.set(field, Value::Array(pieces))?)
}

fn join(
    event: &mut Event,
    field: &FieldRef,
    separator: &Separator,
    scratch: &mut Scratch,
) -> Result<(), Fault> {
    let Some(ValueRef::Array(array)) = event.get(field) else { return Ok(()) };
    scratch.text.clear();
    match separator {
        Separator::Text(separator) => write_joined(array, separator, &mut scratch.text),
        Separator::Illegal(_) if array.is_empty() => {}
        Separator::Illegal(class) => {
            return Err(Fault::new(format!("no implicit conversion of {class} into String")));
        }
    }
    Ok(event.set_str(field, &scratch.text)?)
}

/// Ruby's `Array#join`: lists inside are joined too.
fn write_joined(array: ArrayRef<'_>, separator: &str, out: &mut String) {
    for (i, value) in array.iter().enumerate() {
        out.push_str(if i > 0 { separator } else { "" });
        match value {
            ValueRef::Array(inner) => write_joined(inner, separator, out),
            _ => value.write_ruby(out),
        }
    }
}

fn merge(event: &mut Event, field: &FieldRef, added: &[Field]) -> Result<(), Fault> {
    let is_absent = |name: &Field| {
        name.get().is_ok_and(|name| event.get(name).is_none_or(|value| matches!(value, ValueRef::Null)))
    };
    let base = event.get(field);
    // A list to which nothing is added stays as it is.
    if matches!(base, Some(ValueRef::Array(_))) && added.iter().all(is_absent) {
        return Ok(());
    }
    let mut base = base.map(ValueRef::to_value);
    for (number, name) in added.iter().enumerate() {
        // What is not added to once more need not be kept.
        let is_last = number + 1 == added.len();
        let more = event.get(name.get()?).map(ValueRef::to_value);
        let merged = match (&mut base, more) {
            (Some(Value::Object(members)), Some(Value::Object(more))) => {
                more.into_iter().for_each(|member| update(members, member));
                Value::Object(if is_last { std::mem::take(members) } else { members.clone() })
            }
            (Some(Value::Object(_)), _) | (_, Some(Value::Object(_))) => {
                tracing::error!(
                    dest_field = %field,
                    added_field = ?name,
                    limited = true,
                    "Not possible to merge an array and a hash: "
                );
                continue;
            }
            // A list grows from field to field; anything else is begun anew with each.
            (Some(Value::Array(list)), more) => {
                list.extend(elements(more));
                Value::Array(if is_last { std::mem::take(list) } else { list.clone() })
            }
            (other, more) => {
                let first = if is_last { other.take() } else { other.clone() };
                Value::Array(elements(first).into_iter().chain(elements(more)).collect())
            }
        };
        event.set(field, merged)?;
    }
    Ok(())
}

/// Ruby's `Array(value)`.
fn elements(value: Option<Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    }
}

fn update(members: &mut Vec<(String, Value)>, (name, value): (String, Value)) {
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => members.push((name, value)),
    }
}

fn copy(event: &mut Event, from: &FieldRef, to: &Field) -> Result<(), Fault> {
    match event.get(from) {
        None | Some(ValueRef::Null) => Ok(()),
        Some(_) => Ok(event.copy(from, to.get()?).map(|_| ())?),
    }
}
