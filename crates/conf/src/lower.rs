//! From what is written to what is meant: numbers, repeated options, duplicate keys, the structure of conditions.
//!
//! Logstash does this while it compiles the syntax tree, with a number of rules that nobody would guess. They are
//! kept, since configurations depend on them; what Logstash answers with a Ruby exception gets a proper error.

mod conditions;
mod escapes;
mod merge;

use crate::ast::{self, Document, SectionKind, ValueKind};
use crate::condition::Condition;
use crate::conf_value::{ConfKind, ConfValue, Pair, inspect_text};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plugin_block::{Attr, PluginBlock, PluginKind};
use crate::source::{Source, Span};

/// A plugin, or plugins under conditions.
#[derive(Clone, Debug)]
pub enum Statement {
    /// A plugin.
    Plugin(PluginBlock),
    /// `if … else if … else …`
    If(If),
}

/// `if` with all that belongs to it; at least one plugin is in it.
#[derive(Clone, Debug)]
pub struct If {
    /// From `if` to the last brace.
    pub span: Span,
    /// `if` and each `else if`: the first whose condition holds runs.
    pub arms: Vec<Arm>,
    /// What runs when none holds.
    pub otherwise: Vec<Statement>,
}

/// A condition with what it guards.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The condition.
    pub condition: Condition,
    /// What runs when it holds.
    pub body: Vec<Statement>,
}

/// The plugins of one text by section.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    /// All inputs.
    pub inputs: Vec<PluginBlock>,
    /// The filters, one after the other.
    pub filters: Vec<Statement>,
    /// The outputs, side by side.
    pub outputs: Vec<Statement>,
}

/// Works out one text. Errors go to `diagnostics`; what is returned is complete only when there are none.
pub fn lower(
    document: &Document,
    source: &Source,
    support_escapes: bool,
    diagnostics: &mut Diagnostics,
) -> Sections {
    let mut lowering = Lowering { source, support_escapes, diagnostics };
    let mut sections = Sections::default();
    for section in &document.sections {
        let (kind, list) = match section.kind {
            SectionKind::Input => {
                lowering.inputs(&section.body, &mut sections.inputs);
                continue;
            }
            SectionKind::Filter => (PluginKind::Filter, &mut sections.filters),
            SectionKind::Output => (PluginKind::Output, &mut sections.outputs),
        };
        list.extend(lowering.statements(&section.body, kind));
    }
    sections
}

struct Lowering<'s> {
    source: &'s Source,
    support_escapes: bool,
    diagnostics: &'s mut Diagnostics,
}

impl<'s> Lowering<'s> {
    fn text(&self, span: Span) -> &'s str {
        self.source.text.get(span.start..span.end).unwrap_or("")
    }

    /// Conditions around inputs are not asked by anybody: there is no event yet.
    fn inputs(&mut self, nodes: &[ast::Node], inputs: &mut Vec<PluginBlock>) {
        for node in nodes {
            match node {
                ast::Node::Plugin(plugin) => inputs.push(self.plugin(plugin, PluginKind::Input)),
                ast::Node::Branch(branch) => {
                    self.diagnostics.push(
                        Diagnostic::warning("a condition has no effect among inputs")
                            .at(Span { end: branch.span.start + 2, ..branch.span }, "all inputs inside run"),
                    );
                    for arm in &branch.arms {
                        self.inputs(&arm.body, inputs);
                    }
                    self.inputs(branch.otherwise.as_deref().unwrap_or_default(), inputs);
                }
            }
        }
    }

    fn statements(&mut self, nodes: &[ast::Node], kind: PluginKind) -> Vec<Statement> {
        let mut statements = Vec::new();
        for node in nodes {
            match node {
                ast::Node::Plugin(plugin) => statements.push(Statement::Plugin(self.plugin(plugin, kind))),
                ast::Node::Branch(branch) => statements.extend(self.branch(branch, kind).map(Statement::If)),
            }
        }
        statements
    }

    /// `None` when no plugin is inside: such a branch is not there, and its conditions are never asked.
    fn branch(&mut self, branch: &ast::Branch, kind: PluginKind) -> Option<If> {
        let mut arms = Vec::new();
        for arm in &branch.arms {
            let condition = self.condition(&arm.condition);
            let body = self.statements(&arm.body, kind);
            // A condition that was refused has been reported; the plugins inside are still worth checking.
            arms.extend(condition.map(|condition| Arm { condition, body }));
        }
        let otherwise = self.statements(branch.otherwise.as_deref().unwrap_or_default(), kind);
        let has_plugins = !otherwise.is_empty() || arms.iter().any(|arm| !arm.body.is_empty());
        has_plugins.then_some(If { span: branch.span, arms, otherwise })
    }

    fn plugin(&mut self, plugin: &ast::Plugin, kind: PluginKind) -> PluginBlock {
        let mut block = PluginBlock::bare(kind, self.text(plugin.name), plugin.name);
        block.span = plugin.span;
        for attribute in &plugin.attributes {
            let Some(value) = self.value(&attribute.value) else { continue };
            let written = self.text(attribute.name);
            let name = if attribute.quoted { unquoted(written) } else { written };
            let attr = Attr { name: name.to_owned(), name_span: attribute.name, value };
            if let Err(diagnostic) = merge::add(&mut block.options, attr) {
                self.diagnostics.push(*diagnostic);
            }
        }
        self.check_codec(&block);
        block
    }

    fn check_codec(&mut self, block: &PluginBlock) {
        let Some(codec) = block.option("codec") else { return };
        if block.kind == PluginKind::Codec
            || block.kind == PluginKind::Filter
            || !matches!(codec.value.kind, ConfKind::Array(_))
        {
            return;
        }
        let (kind, name) = (block.kind, &block.name);
        let line = self.source.line_column(block.span.start).line;
        self.diagnostics.push(
            Diagnostic::error(format!("{kind} `{name}` has more than one codec")).at(codec.name_span, "").logstash(
                "LogStash::ConfigurationError",
                format!(
                    "The {kind} plugin {name} at line {line} has multiple `codec` declarations - this is not a valid \
                     configuration, only one top-level `codec` per {kind} plugin is supported."
                ),
            ),
        );
    }

    /// `None` when it was refused.
    fn value(&mut self, value: &ast::Value) -> Option<ConfValue> {
        let kind = match &value.kind {
            ValueKind::Bareword => ConfKind::Text(self.text(value.span).to_owned()),
            ValueKind::String => ConfKind::Text(self.string(value.span)),
            ValueKind::Number => self.number(value.span)?,
            ValueKind::Array(values) => ConfKind::Array(self.array(values)?),
            ValueKind::Hash(entries) => ConfKind::Hash(self.hash(value.span, entries)?),
            ValueKind::Plugin(plugin) => ConfKind::Plugin(Box::new(self.plugin(plugin, PluginKind::Codec))),
        };
        Some(ConfValue::new(value.span, kind))
    }

    fn string(&self, span: Span) -> String {
        let inner = unquoted(self.text(span));
        if self.support_escapes { escapes::process(inner) } else { inner.to_owned() }
    }

    /// Ruby's `Integer()` and `Float()`: a leading zero means octal, a point needs a digit behind it.
    fn number(&mut self, span: Span) -> Option<ConfKind> {
        let text = self.text(span);
        let (function, number, help) = if text.contains('.') {
            ("Float", parse_float(text), "write a digit behind the point, or leave it out")
        } else {
            (
                "Integer",
                parse_integer(text),
                "a number that begins with 0 is octal: leave the zero out, or use quotes",
            )
        };
        if number.is_none() {
            self.diagnostics.push(
                Diagnostic::error(format!("`{text}` is no number")).at(span, "").help(help).logstash(
                    "ArgumentError",
                    format!("invalid value for {function}(): {}", inspect_text(text)),
                ),
            );
        }
        number
    }

    fn array(&mut self, values: &[ast::Value]) -> Option<Vec<ConfValue>> {
        let mut list = Vec::new();
        for value in values {
            if let ValueKind::Plugin(plugin) = &value.kind {
                self.refuse_plugin(plugin, "a list");
                return None;
            }
            list.push(self.value(value)?);
        }
        Some(list)
    }

    fn refuse_plugin(&mut self, plugin: &ast::Plugin, place: &str) {
        let message = "undefined method 'get' for an instance of \
                       Java::OrgLogstashConfigIrImperative::PluginStatement";
        self.diagnostics.push(
            Diagnostic::error(format!("{place} cannot contain a plugin block"))
                .at(plugin.name, "this reads as a plugin")
                .logstash("NoMethodError", message),
        );
    }

    fn hash(&mut self, span: Span, entries: &[ast::Entry]) -> Option<Vec<Pair>> {
        self.check_duplicate_keys(span, entries);
        let mut pairs: Vec<Pair> = Vec::new();
        for entry in entries {
            let key = self.hash_key(&entry.key)?;
            if let ValueKind::Plugin(plugin) = &entry.value.kind {
                self.refuse_plugin(plugin, "a hash");
                return None;
            }
            let value = self.value(&entry.value)?;
            // Keys that differ in their quotes only are not duplicates; the last one counts.
            match pairs.iter_mut().find(|pair| pair.key == key) {
                Some(pair) => pair.value = value,
                None => pairs.push(Pair { key, key_span: entry.key.span, value }),
            }
        }
        Some(pairs)
    }

    fn hash_key(&mut self, key: &ast::Value) -> Option<String> {
        match key.kind {
            ValueKind::String => Some(self.string(key.span)),
            ValueKind::Number => {
                let number = self.number(key.span)?;
                let class = if matches!(number, ConfKind::Float(_)) { "Double" } else { "Long" };
                let text = self.text(key.span);
                self.diagnostics.push(
                    Diagnostic::error("a key of a hash is no number")
                        .at(key.span, format!("write \"{text}\""))
                        .logstash("Java::JavaLang::IllegalStateException", class_cast(class)),
                );
                None
            }
            _ => Some(self.text(key.span).to_owned()),
        }
    }

    /// Keys are compared as written, quotes included.
    fn check_duplicate_keys(&mut self, span: Span, entries: &[ast::Entry]) {
        let mut seen: std::collections::HashMap<&str, (Span, bool)> = std::collections::HashMap::new();
        let mut repeated: Vec<(&str, Span, Span)> = Vec::new();
        for entry in entries {
            let key = self.text(entry.key.span);
            match seen.get_mut(key) {
                None => drop(seen.insert(key, (entry.key.span, false))),
                Some((_, true)) => {}
                Some((first, reported)) => {
                    *reported = true;
                    repeated.push((key, *first, entry.key.span));
                }
            }
        }
        let Some((key, first, again)) = repeated.first().copied() else { return };
        let keys: Vec<&str> = repeated.iter().map(|(key, ..)| *key).collect();
        let before = self.source.text.get(..span.start).unwrap_or("");
        let at = self.source.line_column(span.start);
        let message = format!(
            "Duplicate keys found in your configuration: [{}]\nAt line: {}, column {} (byte {})\nafter {before}{{",
            keys.join(", "),
            at.line,
            at.column,
            before.chars().count() + 1,
        );
        self.diagnostics.push(
            Diagnostic::error(format!("the key {key} is there twice"))
                .at(again, "again")
                .also(first, "first here")
                .logstash("LogStash::ConfigurationError", message),
        );
    }
}

/// Java's complaint about a number where it wants a string.
pub(crate) fn class_cast(class: &str) -> String {
    format!(
        "class java.lang.{class} cannot be cast to class java.lang.String (java.lang.{class} and java.lang.String \
         are in module java.base of loader 'bootstrap')"
    )
}

/// Without the first and the last character, which are quotes or slashes.
fn unquoted(text: &str) -> &str {
    text.get(1..text.len().saturating_sub(1)).unwrap_or("")
}

fn parse_float(text: &str) -> Option<ConfKind> {
    if text.ends_with('.') { None } else { text.parse().ok().map(ConfKind::Float) }
}

fn parse_integer(text: &str) -> Option<ConfKind> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    if digits.len() > 1 && digits.starts_with('0') {
        let value = i64::from_str_radix(digits, 8).ok()?;
        return Some(ConfKind::Int(if sign.is_empty() { value } else { -value }));
    }
    Some(text.parse().map_or_else(|_| ConfKind::BigInt(text.to_owned()), ConfKind::Int))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Protocol, SourceMap};

    fn lowered(text: &str) -> (Sections, Diagnostics) {
        let mut sources = SourceMap::new();
        let id = sources.add(Protocol::String, "config string", text);
        let source = sources.get(id).unwrap();
        let document = crate::grammar::parse(source).unwrap();
        let mut diagnostics = Diagnostics::new();
        let sections = lower(&document, source, false, &mut diagnostics);
        (sections, diagnostics)
    }

    fn option(text: &str) -> String {
        let (sections, diagnostics) = lowered(&format!("filter {{ x {{ {text} }} }}"));
        match diagnostics.logstash_error() {
            Some(error) => error.message.clone(),
            None => match sections.filters.first() {
                Some(Statement::Plugin(block)) => block.options[0].value.inspect(),
                _ => String::new(),
            },
        }
    }

    #[test]
    fn numbers_are_rubys() {
        assert_eq!(option("a => 010"), "8");
        assert_eq!(option("a => -3"), "-3");
        assert_eq!(option("a => 1.50"), "1.5");
        assert_eq!(option("a => 99999999999999999999"), "99999999999999999999");
        assert_eq!(option("a => 008"), "invalid value for Integer(): \"008\"");
        assert_eq!(option("a => 5."), "invalid value for Float(): \"5.\"");
    }

    #[test]
    fn repeated_options_are_joined() {
        assert_eq!(option("a => 'x' a => 'x'"), "\"x\"");
        assert_eq!(option("a => 'x' a => 'y' a => 'z'"), r#"["x", "y", "z"]"#);
        assert_eq!(option("a => ['x'] a => ['y', 'x']"), r#"["x", "y", "x"]"#);
        assert_eq!(
            option("a => { bb => '1' } 'a' => { bb => '2' cc => '3' }"),
            r#"{"bb" => ["1", "2"], "cc" => "3"}"#
        );
    }

    #[test]
    fn keys_count_once() {
        assert_eq!(option(r#"a => { "aa" => 1 'aa' => 2 aa => 3 }"#), r#"{"aa" => 3}"#);
        let message = option(r#"a => { "aa" => 1 "aa" => 2 }"#);
        assert!(message.starts_with("Duplicate keys found in your configuration: [\"aa\"]\nAt line: 1, column 19 (byte 19)\nafter filter { x { a => {"), "{message}");
    }

    #[test]
    fn a_branch_without_plugins_is_not_there() {
        assert!(lowered("filter { if [a] { } else if [b] { } else { } }").0.filters.is_empty());
        assert_eq!(lowered("filter { if [a] { } else { x {} } }").0.filters.len(), 1);
    }

    #[test]
    fn inputs_ignore_conditions() {
        let (sections, diagnostics) = lowered("input { if [a] { x {} } else { y {} } }");
        assert_eq!((sections.inputs.len(), diagnostics.error_count(), diagnostics.is_empty()), (2, 0, false));
    }
}
