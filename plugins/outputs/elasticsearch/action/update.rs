//! What stands behind an `update`: a part of a document, or a script.

use ferrostash_event::json::write_value;
use ferrostash_event::{Event, Template, ValueRef};

use super::members::Members;
use super::{Unmappable, broken};
use crate::elasticsearch::options::{ElasticsearchOptions, ScriptType};

/// How documents are updated.
#[derive(Clone, Debug)]
pub(super) struct Update {
    upsert: Option<Template>,
    doc_as_upsert: bool,
    script: Option<Template>,
    script_type: ScriptType,
    script_lang: String,
    script_var_name: String,
    scripted_upsert: bool,
    pub(super) retry_on_conflict: u32,
}

impl Update {
    pub(super) fn new(options: &ElasticsearchOptions) -> Update {
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

    pub(super) fn write(
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
