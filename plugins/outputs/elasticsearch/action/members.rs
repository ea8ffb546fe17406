//! The members of an action line.

use ferrostash_event::json::write_value;
use ferrostash_event::{Event, ObjectRef, Template, TemplateError, ValueRef};

use super::{Unmappable, broken, said};

/// The members of a JSON object, as they are written.
pub(super) struct Members<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) is_first: bool,
    pub(super) text: String,
}

impl Members<'_> {
    pub(super) fn value(&mut self, name: &str, value: ValueRef<'_>) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        write_value(ValueRef::Str(name), self.out);
        self.out.push(b':');
        write_value(value, self.out);
    }

    /// Keeps a text for [`Members::rendered`].
    pub(super) fn render(
        &mut self,
        render: impl FnOnce(&mut String) -> Result<(), TemplateError>,
    ) -> Result<&str, Unmappable> {
        self.text.clear();
        render(&mut self.text).map_err(broken)?;
        Ok(&self.text)
    }

    pub(super) fn rendered(&mut self, name: &str) {
        let text = std::mem::take(&mut self.text);
        self.value(name, ValueRef::Str(&text));
        self.text = text;
    }

    pub(super) fn template(
        &mut self,
        name: &str,
        template: &Template,
        event: &Event,
    ) -> Result<(), Unmappable> {
        self.render(|text| template.render(event, text))?;
        self.rendered(name);
        Ok(())
    }

    pub(super) fn template_unless_empty(
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
    pub(super) fn template_or(
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
