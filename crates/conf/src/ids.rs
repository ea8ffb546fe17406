//! Ids of plugins: given ones are unique, the others are made of place and text, and so survive a restart.

use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::conf_value::{ConfKind, ConfValue};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::lower::{Statement, class_cast};
use crate::plugin_block::PluginBlock;
use crate::source::SourceMap;

/// SHA-256 as hex digits.
pub(crate) fn sha256_hex(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
    }
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Calls `visit` with every plugin of a section and its position, in the order of the text.
pub(crate) fn visit_statements<'s>(
    statements: &'s mut [Statement],
    position: &str,
    visit: &mut dyn FnMut(&str, &'s mut PluginBlock),
) {
    for (index, statement) in statements.iter_mut().enumerate() {
        let here = format!("{position}/{index}");
        match statement {
            Statement::Plugin(block) => visit(&here, block),
            Statement::If(branch) => {
                for (arm, body) in branch.arms.iter_mut().enumerate() {
                    visit_statements(&mut body.body, &format!("{here}/if{arm}"), visit);
                }
                visit_statements(&mut branch.otherwise, &format!("{here}/else"), visit);
            }
        }
    }
}

/// Reports ids that are the same before variables are replaced.
pub(crate) fn check_written(blocks: &[&PluginBlock], sources: &SourceMap, diagnostics: &mut Diagnostics) {
    let mut groups: Vec<(&str, Vec<&PluginBlock>)> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for block in blocks {
        let Some(id) = block.option("id").and_then(|attr| attr.value.as_text()) else { continue };
        match index.get(id).and_then(|at| groups.get_mut(*at)) {
            Some((_, group)) => group.push(block),
            None => {
                index.insert(id, groups.len());
                groups.push((id, vec![block]));
            }
        }
    }
    for (id, group) in groups.iter().filter(|(_, group)| group.len() > 1) {
        let vertices: Vec<String> = group.iter().map(|block| vertex(block, sources)).collect();
        let message = format!(
            "org.logstash.config.ir.InvalidIRException: Config has duplicate Ids: \nID: {id} {}",
            vertices.join("\n")
        );
        diagnostics.push(duplicate(id, group).logstash("Java::JavaLang::IllegalArgumentException", message));
    }
}

/// A plugin as Logstash's graph prints it.
fn vertex(block: &PluginBlock, sources: &SourceMap) -> String {
    let options: Vec<String> =
        block.options.iter().map(|attr| format!("\"{}\" => {}", attr.name, attr.value.inspect())).collect();
    let text = sources.slice(block.span);
    let protocol =
        sources.get(block.span.source).map_or_else(String::new, |source| source.protocol.to_string());
    let place = sources.place(block.span);
    format!("P[{}-{}{{{}}}|[{protocol}]{place}:```\n{text}\n```]", block.kind, block.name, options.join(", "))
}

fn duplicate(id: &str, group: &[&PluginBlock]) -> Diagnostic {
    let place = |block: &PluginBlock| block.option("id").map_or(block.name_span, |attr| attr.value.span);
    let mut diagnostic = Diagnostic::error(format!("the id `{id}` is given twice"));
    for (number, block) in group.iter().enumerate() {
        let label = if number == 0 { "first here" } else { "again" };
        diagnostic = match number {
            1 => diagnostic.at(place(block), label),
            _ => diagnostic.also(place(block), label),
        };
    }
    diagnostic
}

/// Gives every plugin its id, after variables have been replaced.
pub(crate) struct IdGiver<'d> {
    pub(crate) sources: &'d SourceMap,
    pub(crate) diagnostics: &'d mut Diagnostics,
    /// Ids that were given, with the plugins that have them.
    given: HashMap<String, PluginBlock>,
    /// Ids whose repetition has been reported already.
    reported: Vec<String>,
}

impl<'d> IdGiver<'d> {
    /// `reported` are ids that need not be reported again.
    pub(crate) fn new(
        sources: &'d SourceMap,
        diagnostics: &'d mut Diagnostics,
        reported: Vec<String>,
    ) -> IdGiver<'d> {
        IdGiver { sources, diagnostics, given: HashMap::new(), reported }
    }

    pub(crate) fn give(&mut self, position: &str, block: &mut PluginBlock) {
        match block.option("id").map(|attr| attr.value.clone()) {
            Some(value) => self.explicit(&value, block),
            None => block.id = sha256_hex(&[position, "\n", self.sources.slice(block.span)]),
        }
        for attr in &mut block.options {
            if let ConfKind::Plugin(codec) = &mut attr.value.kind {
                self.give(&format!("{position}/{}", attr.name), codec);
            }
        }
    }

    fn explicit(&mut self, value: &ConfValue, block: &mut PluginBlock) {
        let class = match value.kind {
            ConfKind::Text(_) | ConfKind::Missing => None,
            ConfKind::Float(_) => Some("Double"),
            _ => Some("Long"),
        };
        if let Some(class) = class {
            self.diagnostics.push(
                Diagnostic::error("an id is a string")
                    .at(value.span, "put it in quotes")
                    .logstash("Java::JavaLang::ClassCastException", class_cast(class)),
            );
        }
        let Some(id) = value.as_text() else { return };
        block.id = id.to_owned();
        block.has_explicit_id = true;
        match self.given.get(id) {
            Some(first) if !self.reported.iter().any(|reported| reported == id) => {
                let message = format!("Two plugins have the id '{id}', please fix this conflict");
                self.diagnostics
                    .push(duplicate(id, &[first, block]).logstash("LogStash::ConfigurationError", message));
            }
            Some(_) => {}
            None => drop(self.given.insert(id.to_owned(), block.clone())),
        }
    }
}
