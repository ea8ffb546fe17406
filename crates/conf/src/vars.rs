//! `${NAME}` and `${NAME:default}` in options and conditions.
//!
//! Logstash replaces variables in two rounds, and so does this. The first one takes values that are nothing but a
//! variable, as they come. The second one finds variables within text, takes off quotes around the outcome and
//! makes a list of `[a, b]`; it sees the outcome of the first. Keys of hashes and regular expressions are left
//! alone.

use std::collections::HashMap;
use std::ops::Range;

use crate::condition::{Condition, ConditionKind, Operand};
use crate::conf_value::{ConfKind, ConfValue};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::java_hash;
use crate::lower::Statement;
use crate::plugin_block::PluginBlock;
use crate::source::Span;

/// Where variables are looked up: the keystore first, then the environment.
#[derive(Clone, Default)]
pub struct Vars {
    keystore: HashMap<String, String>,
    environment: HashMap<String, String>,
}

impl Vars {
    /// No variables.
    pub fn new() -> Vars {
        Vars::default()
    }

    /// Adds variables of the environment.
    #[must_use]
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Vars {
        self.environment.extend(variables);
        self
    }

    /// Adds entries of the keystore; their names are not case-sensitive.
    #[must_use]
    pub fn with_keystore(mut self, entries: impl IntoIterator<Item = (String, String)>) -> Vars {
        self.keystore.extend(entries.into_iter().map(|(name, secret)| (name.to_lowercase(), secret)));
        self
    }

    fn lookup(&self, name: &str) -> Option<(&str, bool)> {
        let secret = self.keystore.get(&name.to_lowercase()).map(|secret| (secret.as_str(), true));
        secret.or_else(|| self.environment.get(name).map(|value| (value.as_str(), false)))
    }

    /// Replaces the variables within a text, as in `logstash.yml` and `pipelines.yml`, without refining.
    ///
    /// # Errors
    /// Logstash's sentence about a variable that has no value.
    pub fn replace(&self, text: &str) -> Result<String, String> {
        self.replace_all(text)
            .map(|(text, _)| text)
            .map_err(|missing| missing.sentence("as an Environment entry"))
    }

    /// Replaces the variables within a value of `logstash.yml`: quotes around the outcome are taken off, and
    /// `[a, b]` becomes a list.
    ///
    /// # Errors
    /// Logstash's sentence about a variable that has no value.
    pub fn replace_refined(&self, text: &str) -> Result<ConfValue, String> {
        let mut value = ConfValue::text(text);
        if Placeholder::find(text).is_some() {
            let (replaced, secret) =
                self.replace_all(text).map_err(|missing| missing.sentence("as an Environment entry"))?;
            value.secret = secret;
            value.kind = refined(&replaced, &value);
        }
        Ok(value)
    }

    /// The text, and whether a secret went into it.
    fn replace_all(&self, text: &str) -> Result<(String, bool), Missing> {
        let (mut out, mut rest, mut secret) = (String::new(), text, false);
        while let Some(placeholder) = Placeholder::find(rest) {
            out.push_str(rest.get(..placeholder.range.start).unwrap_or(""));
            let (value, is_secret) = self.value_of(&placeholder, rest)?;
            out.push_str(value);
            secret |= is_secret;
            rest = rest.get(placeholder.range.end..).unwrap_or("");
        }
        out.push_str(rest);
        Ok((out, secret))
    }

    fn value_of<'v>(&'v self, placeholder: &Placeholder<'v>, text: &str) -> Result<(&'v str, bool), Missing> {
        self.lookup(placeholder.name).or(placeholder.default.map(|default| (default, false))).ok_or_else(
            || Missing {
                placeholder: text.get(placeholder.range.clone()).unwrap_or("").to_owned(),
                name: placeholder.name.to_owned(),
            },
        )
    }
}

impl std::fmt::Debug for Vars {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names: Vec<&String> = self.keystore.keys().chain(self.environment.keys()).collect();
        names.sort();
        f.debug_struct("Vars").field("names", &names).finish()
    }
}

/// A variable without value.
struct Missing {
    placeholder: String,
    name: String,
}

impl Missing {
    fn sentence(&self, environment: &str) -> String {
        let Missing { placeholder, name } = self;
        format!(
            "Cannot evaluate `{placeholder}`. Replacement variable `{name}` is not defined in a Logstash secret store \
             or {environment} and there is no default value given."
        )
    }

    fn report(&self, span: Span, environment: &str, class: &'static str) -> Diagnostic {
        Diagnostic::error(format!("the variable `{}` has no value", self.name))
            .at(span, "not in the keystore, not in the environment, and no default")
            .help(format!("a default is written ${{{}:value}}", self.name))
            .logstash(class, self.sentence(environment))
    }
}

/// `${name}` or `${name:default}` within a text.
struct Placeholder<'t> {
    range: Range<usize>,
    name: &'t str,
    default: Option<&'t str>,
}

impl<'t> Placeholder<'t> {
    /// The first one.
    fn find(text: &'t str) -> Option<Placeholder<'t>> {
        text.match_indices("${").find_map(|(start, _)| Placeholder::at(text, start))
    }

    /// The one that begins at `start`.
    fn at(text: &'t str, start: usize) -> Option<Placeholder<'t>> {
        let inner = text.get(start..)?.strip_prefix("${")?;
        let end = inner.find('}')?;
        let (name, default) = match inner.get(..end)?.split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (inner.get(..end)?, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let valid =
            name.chars().all(is_name) && name.starts_with(|c: char| is_name(c) && !c.is_ascii_digit());
        valid.then_some(Placeholder { range: start..start + 2 + end + 1, name, default })
    }

    /// The one that is the whole text.
    fn whole(text: &'t str) -> Option<Placeholder<'t>> {
        let at_start = text.starts_with("${").then(|| Placeholder::at(text, 0)).flatten();
        at_start.filter(|found| found.range == (0..text.len()))
    }
}

/// Replaces the variables of a plugin's options, codecs included.
pub fn expand_block(block: &mut PluginBlock, vars: &Vars, diagnostics: &mut Diagnostics) {
    let mut expansion = Expansion { vars, diagnostics };
    expansion.block(block);
}

/// Replaces the variables in conditions and in the plugins below them.
pub fn expand_statements(statements: &mut [Statement], vars: &Vars, diagnostics: &mut Diagnostics) {
    let mut expansion = Expansion { vars, diagnostics };
    expansion.statements(statements);
}

struct Expansion<'e> {
    vars: &'e Vars,
    diagnostics: &'e mut Diagnostics,
}

impl Expansion<'_> {
    fn statements(&mut self, statements: &mut [Statement]) {
        for statement in statements {
            match statement {
                Statement::Plugin(block) => self.block(block),
                Statement::If(branch) => {
                    for arm in &mut branch.arms {
                        self.condition(&mut arm.condition);
                        self.statements(&mut arm.body);
                    }
                    self.statements(&mut branch.otherwise);
                }
            }
        }
    }

    fn condition(&mut self, condition: &mut Condition) {
        match &mut condition.kind {
            ConditionKind::And(left, right)
            | ConditionKind::Or(left, right)
            | ConditionKind::Xor(left, right) => {
                self.condition(left);
                self.condition(right);
            }
            ConditionKind::Not(inner) => self.condition(inner),
            ConditionKind::Compare { left, right, .. } | ConditionKind::In { item: left, list: right } => {
                self.operand(left);
                self.operand(right);
            }
            ConditionKind::Truthy(_) | ConditionKind::Match { .. } => {}
        }
    }

    fn operand(&mut self, operand: &mut Operand) {
        if let Operand::Constant(value) = operand {
            self.whole(value);
        }
    }

    fn block(&mut self, block: &mut PluginBlock) {
        for attr in &mut block.options {
            self.whole(&mut attr.value);
            self.within(&mut attr.value, true);
            // What a variable brought in may name variables again; those are replaced, but not refined.
            self.within(&mut attr.value, false);
        }
    }

    /// First round: a value that is a variable and nothing else.
    fn whole(&mut self, value: &mut ConfValue) {
        match &mut value.kind {
            ConfKind::Text(text) => {
                let Some(placeholder) = Placeholder::whole(text) else { return };
                match self.vars.value_of(&placeholder, text) {
                    Ok((found, secret)) => {
                        let found = found.to_owned();
                        value.kind = ConfKind::Text(found);
                        value.secret |= secret;
                    }
                    Err(missing) => {
                        let class = "Java::JavaLang::IllegalStateException";
                        self.diagnostics.push(missing.report(value.span, "an environment entry", class));
                        value.kind = ConfKind::Missing;
                    }
                }
            }
            // Only strings directly in a list: what is deeper waits for the second round.
            ConfKind::Array(values) => {
                values
                    .iter_mut()
                    .filter(|value| value.as_text().is_some())
                    .for_each(|value| self.whole(value));
            }
            ConfKind::Hash(pairs) => {
                pairs.iter_mut().for_each(|pair| self.whole(&mut pair.value));
                java_hash::reorder(pairs);
            }
            ConfKind::Plugin(block) => self.block(block),
            ConfKind::Int(_)
            | ConfKind::BigInt(_)
            | ConfKind::Float(_)
            | ConfKind::Bool(_)
            | ConfKind::Missing => {}
        }
    }

    /// Second round: variables anywhere in texts, at any depth.
    fn within(&mut self, value: &mut ConfValue, refine: bool) {
        match &mut value.kind {
            ConfKind::Text(text) => {
                if Placeholder::find(text).is_none() {
                    return;
                }
                match self.vars.replace_all(text) {
                    Ok((text, secret)) => {
                        value.secret |= secret;
                        value.kind = if refine { refined(&text, value) } else { ConfKind::Text(text) };
                    }
                    Err(missing) => {
                        let class = "LogStash::ConfigurationError";
                        self.diagnostics.push(missing.report(value.span, "as an Environment entry", class));
                        value.kind = ConfKind::Missing;
                    }
                }
            }
            ConfKind::Array(values) => values.iter_mut().for_each(|value| self.within(value, refine)),
            ConfKind::Hash(pairs) => pairs.iter_mut().for_each(|pair| self.within(&mut pair.value, refine)),
            _ => {}
        }
    }
}

/// Without quotes around it, and as a list if it looks like one.
fn refined(text: &str, value: &ConfValue) -> ConfKind {
    let text = strip_quotes(text);
    let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return ConfKind::Text(text.to_owned());
    };
    let mut parts: Vec<&str> = inner.split(',').collect();
    while parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    let part = |part: &str| ConfValue {
        span: value.span,
        kind: ConfKind::Text(strip_quotes(part.trim()).to_owned()),
        secret: value.secret,
    };
    ConfKind::Array(parts.into_iter().map(part).collect())
}

fn strip_quotes(text: &str) -> &str {
    strip_enclosing(strip_enclosing(text, '\''), '"')
}

fn strip_enclosing(text: &str, mark: char) -> &str {
    match text.strip_prefix(mark) {
        Some(rest) if text.ends_with(mark) => rest.strip_suffix(mark).unwrap_or(rest),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin_block::{Attr, PluginKind};

    fn vars() -> Vars {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let environment =
            [("E_A", "one"), ("E_SQ", "'quoted'"), ("E_LIST", "[\"x\", 'y', z ]"), ("AGAIN", "${E_A}")];
        Vars::new().with_environment(environment.map(own)).with_keystore([("ES_PW", "hunter2")].map(own))
    }

    fn expanded(text: &str) -> String {
        let mut block = PluginBlock::bare(PluginKind::Filter, "x", Span::nowhere());
        let value = ConfValue::text(text);
        block.options.push(Attr { name: "a".to_owned(), name_span: Span::nowhere(), value });
        let mut diagnostics = Diagnostics::new();
        expand_block(&mut block, &vars(), &mut diagnostics);
        match diagnostics.logstash_error() {
            Some(error) => error.message.clone(),
            None => block.options[0].value.inspect(),
        }
    }

    #[test]
    fn whole_values_are_taken_as_they_are() {
        assert_eq!(expanded("${E_A}"), "\"one\"");
        assert_eq!(expanded("${E_SQ}"), "\"'quoted'\"");
        assert_eq!(expanded("${E_LIST}"), r#""[\"x\", 'y', z ]""#);
        assert_eq!(expanded("${NO:a b:c}"), "\"a b:c\"");
        assert_eq!(expanded("${NO:}"), "\"\"");
        assert_eq!(expanded("${AGAIN}"), "\"one\"");
        assert_eq!(expanded("%{E_A}"), "\"%{E_A}\"");
        // The event's own fields are not meant.
        assert_eq!(expanded("%{E_A}"), "\"%{E_A}\"");
    }

    #[test]
    fn parts_are_refined() {
        assert_eq!(expanded("'${E_A}'"), "\"one\"");
        assert_eq!(expanded("[${E_A}, ${NO:two}]"), r#"["one", "two"]"#);
        assert_eq!(expanded("${E_LIST}${NO:}"), r#"["x", "y", "z"]"#);
        assert_eq!(expanded("'plain'"), "\"'plain'\"");
        assert_eq!(expanded("${1A} ${} $E_A"), "\"${1A} ${} $E_A\"");
    }

    #[test]
    fn secrets_stay_hidden() {
        assert_eq!(expanded("${es_pw}"), "<password>");
        assert_eq!(expanded("Bearer ${ES_PW}"), "<password>");
        assert!(!format!("{:?}", vars()).contains("hunter2"));
    }

    #[test]
    fn settings() {
        assert_eq!(vars().replace("a: ${E_A} # ${NO:x}"), Ok("a: one # x".to_owned()));
        assert_eq!(vars().replace_refined("[${E_A}]").unwrap().inspect(), r#"["one"]"#);
        assert_eq!(vars().replace_refined("[a]").unwrap().inspect(), "\"[a]\"");
        assert!(vars().replace("${NO}").unwrap_err().contains("or as an Environment entry"));
    }

    #[test]
    fn missing_ones_are_errors() {
        assert_eq!(
            expanded("${NO}"),
            "Cannot evaluate `${NO}`. Replacement variable `NO` is not defined in a Logstash secret store or an \
             environment entry and there is no default value given."
        );
        assert!(expanded("a${NO}").contains("or as an Environment entry"));
    }
}
