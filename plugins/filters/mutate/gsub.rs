//! `gsub`: Ruby's `String#gsub`, with `%{…}` in pattern and replacement.

use super::Fault;
use crate::shared::{Field, excerpt};
use ferrostash_event::{Event, Template, Value, ValueRef};
use ferrostash_grok::{Captures, Regex, Replacement};
use std::borrow::Cow;
use std::collections::HashMap;

/// Most patterns made of events' fields that a worker keeps compiled.
const PATTERNS_MAX: usize = 64;

/// One replacement in one field.
pub(super) struct Gsub {
    pub(super) field: Field,
    pub(super) pattern: Pattern,
    pub(super) replacement: Template,
}

/// What is searched for.
pub(super) enum Pattern {
    Fixed(Regex),
    /// A regular expression that each event makes anew.
    Template(Template),
}

/// A worker's own room to work in.
#[derive(Clone, Default)]
pub(super) struct Scratch {
    captures: Captures,
    patterns: HashMap<String, Regex>,
    replacement: String,
    pattern: String,
}

impl Gsub {
    pub(super) fn apply(&self, event: &mut Event, scratch: &mut Scratch) -> Result<(), Fault> {
        let field = self.field.get()?;
        let Some(value) = event.get(field) else { return Ok(()) };
        if !matches!(value, ValueRef::Str(_) | ValueRef::Array(_)) {
            return Ok(());
        }
        let regex = match &self.pattern {
            Pattern::Fixed(regex) => Cow::Borrowed(regex),
            Pattern::Template(template) => Cow::Owned(scratch.compile(template, event)?),
        };
        let replacement = match self.replacement.as_constant() {
            Some(text) => Replacement::new(text),
            None => {
                scratch.replacement.clear();
                self.replacement.render(event, &mut scratch.replacement)?;
                Replacement::new(&scratch.replacement)
            }
        };
        let captures = &mut scratch.captures;
        match value {
            ValueRef::Str(text) => {
                if let Cow::Owned(replaced) = regex.replace_all(text, &replacement, captures)? {
                    event.set_str(field, &replaced)?;
                }
            }
            ValueRef::Array(array) => {
                let mut replace = |element: ValueRef<'_>| match element {
                    ValueRef::Str(text) => {
                        Ok(Value::String(regex.replace_all(text, &replacement, captures)?.into_owned()))
                    }
                    other => {
                        warn_not_a_string(&self.field, other);
                        Ok(other.to_value())
                    }
                };
                let list = array.iter().map(&mut replace).collect::<Result<Vec<Value>, Fault>>()?;
                event.set(field, Value::Array(list))?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn warn_not_a_string(field: &Field, value: ValueRef<'_>) {
    let mut text = String::new();
    value.write_ruby_inspect(&mut text);
    tracing::warn!(
        field = ?field,
        value = excerpt(&text),
        limited = true,
        "gsub mutation is only applicable for strings and arrays of strings, skipping"
    );
}

impl Scratch {
    fn compile(&mut self, template: &Template, event: &Event) -> Result<Regex, Fault> {
        self.pattern.clear();
        template.render(event, &mut self.pattern)?;
        if let Some(known) = self.patterns.get(&self.pattern) {
            return Ok(known.clone());
        }
        let regex = Regex::new(&self.pattern)?;
        let (engine, reason) = (regex.engine().name(), regex.engine().reason());
        tracing::debug!(pattern = self.pattern, engine, reason, limited = true, "A pattern was compiled.");
        if self.patterns.len() >= PATTERNS_MAX {
            self.patterns.clear();
        }
        self.patterns.insert(self.pattern.clone(), regex.clone());
        Ok(regex)
    }
}
