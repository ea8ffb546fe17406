//! From text to [`ast`](crate::ast), by the rules of Logstash's own grammar and nothing more.
//!
//! That grammar is a PEG: alternatives are tried in order and the first that fits is taken for good. Written out
//! as it stands it re-reads much of a text several times; here every choice is made from what begins it, so that
//! a text is read once. Two things are kept with care all the same: which texts are accepted, and what is noted
//! on the way about the furthest place that could not be read, because Logstash's error sentence is made of it.
//!
//! The functions are `nom` parsers. Their input is always the rest of the text, so an offset is a subtraction.

mod condition;
mod explain;
mod furthest;
mod terminals;

use std::cell::{Cell, RefCell};

use nom::{Err, IResult};

use crate::ast::{
    Attribute, Branch, Document, Entry, Node, Plugin, Section, SectionKind, Value, ValueKind,
};
use crate::diagnostics::Diagnostic;
use crate::source::{Source, SourceId, Span};
use furthest::Furthest;

/// How deep blocks, lists and parentheses may be nested; real configurations stay below twenty.
pub const NESTING_MAX: usize = 128;

/// What a rule of the grammar returns; what went wrong is in [`Furthest`].
type Parsed<'a, T> = IResult<&'a str, T, ()>;

/// Reads a whole text.
///
/// # Errors
/// The first place that the grammar does not accept, with Logstash's sentence.
pub fn parse(source: &Source) -> Result<Document, Box<Diagnostic>> {
    let grammar = Grammar::new(source);
    let (rest, document) = grammar.document();
    if rest.is_empty() && grammar.too_deep.get().is_none() {
        return Ok(document);
    }
    Err(Box::new(explain::explain(&grammar, rest)))
}

/// One reading of one text.
struct Grammar<'a> {
    source: SourceId,
    text: &'a str,
    furthest: RefCell<Furthest>,
    depth: Cell<usize>,
    /// Where [`NESTING_MAX`] was passed.
    too_deep: Cell<Option<usize>>,
    /// The furthest failure so far and the bracket that was open there.
    unclosed: Cell<Option<(usize, usize)>>,
    /// Opening quote of a string, or slash of an expression, that never ends.
    unterminated: Cell<Option<usize>>,
}

impl<'a> Grammar<'a> {
    fn new(source: &'a Source) -> Grammar<'a> {
        Grammar {
            source: source.id,
            text: &source.text,
            furthest: RefCell::default(),
            depth: Cell::new(0),
            too_deep: Cell::new(None),
            unclosed: Cell::new(None),
            unterminated: Cell::new(None),
        }
    }

    /// Offset of the rest `i`.
    fn at(&self, i: &str) -> usize {
        self.text.len() - i.len()
    }

    /// From the start of `from` to the start of `to`, both rests of the text.
    fn span(&self, from: &str, to: &str) -> Span {
        Span::new(self.source, self.at(from)..self.at(to))
    }

    /// `(cs section)* cs`: never fails, but may leave a rest.
    fn document(&self) -> (&'a str, Document) {
        let mut sections = Vec::new();
        let mut i = self.text;
        loop {
            let start = self.cs(i);
            match self.section(start) {
                Ok((rest, section)) => {
                    sections.push(section);
                    i = rest;
                }
                Err(_) => return (start, Document { sections }),
            }
        }
    }

    fn section(&self, i: &'a str) -> Parsed<'a, Section> {
        let (rest, kind) = self
            .literal(i, "input", "\"input\"")
            .map(|(rest, _)| (rest, SectionKind::Input))
            .or_else(|_| self.literal(i, "filter", "\"filter\"").map(|(rest, _)| (rest, SectionKind::Filter)))
            .or_else(|_| self.literal(i, "output", "\"output\"").map(|(rest, _)| (rest, SectionKind::Output)))?;
        let (rest, body) = self.block(self.cs(rest))?;
        Ok((rest, Section { kind, span: self.span(i, rest), body }))
    }

    /// `"{" cs ((branch / plugin) cs)* "}"`
    fn block(&self, i: &'a str) -> Parsed<'a, Vec<Node>> {
        let (rest, _) = self.literal(i, "{", "\"{\"")?;
        self.nested(i, || {
            let mut nodes = Vec::new();
            let mut rest = self.cs(rest);
            loop {
                match self.branch_or_plugin(rest) {
                    Ok((after, node)) => {
                        nodes.push(node);
                        rest = self.cs(after);
                    }
                    Err(Err::Error(())) => break,
                    Err(failure) => return Err(failure),
                }
            }
            let (rest, _) = self.literal(rest, "}", "\"}\"")?;
            Ok((rest, nodes))
        })
    }

    fn branch_or_plugin(&self, i: &'a str) -> Parsed<'a, Node> {
        match self.branch(i) {
            Ok((rest, branch)) => Ok((rest, Node::Branch(branch))),
            // `if` is a name as good as any: `iffy { }` is a plugin.
            Err(Err::Error(())) => self.plugin(i).map(|(rest, plugin)| (rest, Node::Plugin(plugin))),
            Err(failure) => Err(failure),
        }
    }

    /// `if (cs else_if)* (cs else)?`
    fn branch(&self, i: &'a str) -> Parsed<'a, Branch> {
        let (mut rest, first) = self.arm(i)?;
        let mut arms = vec![first];
        let mut otherwise = None;
        loop {
            match self.else_if(self.cs(rest)) {
                Ok((after, arm)) => {
                    arms.push(arm);
                    rest = after;
                }
                Err(Err::Error(())) => break,
                Err(failure) => return Err(failure),
            }
        }
        match self.otherwise(self.cs(rest)) {
            Ok((after, body)) => {
                otherwise = Some(body);
                rest = after;
            }
            Err(Err::Error(())) => {}
            Err(failure) => return Err(failure),
        }
        Ok((rest, Branch { span: self.span(i, rest), arms, otherwise }))
    }

    fn else_if(&self, i: &'a str) -> Parsed<'a, crate::ast::Arm> {
        let (rest, _) = self.literal(i, "else", "\"else\"")?;
        self.arm(self.cs(rest))
    }

    fn otherwise(&self, i: &'a str) -> Parsed<'a, Vec<Node>> {
        let (rest, _) = self.literal(i, "else", "\"else\"")?;
        self.block(self.cs(rest))
    }

    /// `"if" cs condition cs block`
    fn arm(&self, i: &'a str) -> Parsed<'a, crate::ast::Arm> {
        let (rest, _) = self.literal(i, "if", "\"if\"")?;
        let (rest, condition) = self.condition(self.cs(rest))?;
        let (rest, body) = self.block(self.cs(rest))?;
        Ok((rest, crate::ast::Arm { condition, body }))
    }

    /// `name cs "{" cs (attribute (whitespace cs attribute)*)? cs "}"`
    fn plugin(&self, i: &'a str) -> Parsed<'a, Plugin> {
        let (rest, (name, _)) = self.name(i)?;
        self.plugin_body(i, name, self.cs(rest))
    }

    fn plugin_body(&self, start: &'a str, name: Span, i: &'a str) -> Parsed<'a, Plugin> {
        let (rest, _) = self.literal(i, "{", "\"{\"")?;
        self.nested(i, || {
            let (rest, attributes) = self.attributes(self.cs(rest))?;
            let (rest, _) = self.literal(self.cs(rest), "}", "\"}\"")?;
            Ok((rest, Plugin { span: self.span(start, rest), name, attributes }))
        })
    }

    fn attributes(&self, i: &'a str) -> Parsed<'a, Vec<Attribute>> {
        let mut attributes = Vec::new();
        let (mut rest, mut next) = (i, i);
        // An option begins with a name; once that is there, nothing else can be meant.
        while let Ok((after, (name, quoted))) = self.name(next) {
            let (after, _) = self.literal(self.cs(after), "=>", "\"=>\"")?;
            let (after, value) = self.value(self.cs(after))?;
            attributes.push(Attribute { name, quoted, value });
            rest = after;
            match self.whitespace(after) {
                Ok((after, ())) => next = self.cs(after),
                Err(_) => break,
            }
        }
        Ok((rest, attributes))
    }

    /// `plugin / bareword / string / number / array / hash`
    fn value(&self, i: &'a str) -> Parsed<'a, Value> {
        if let Ok((after, (name, quoted))) = self.name(i) {
            let brace = self.cs(after);
            match self.plugin_body(i, name, brace) {
                Ok((rest, plugin)) => {
                    return Ok((rest, self.make(i, rest, ValueKind::Plugin(Box::new(plugin)))));
                }
                // Behind a name and a brace no other kind of value fits.
                Err(e) if brace.starts_with('{') => return Err(e),
                Err(_) if quoted => return Ok((after, self.make(i, after, ValueKind::String))),
                Err(_) => {}
            }
        } else if self.unterminated.get().is_some() {
            return Err(Err::Error(()));
        }
        if let Ok((rest, _)) = self.bareword(i) {
            return Ok((rest, self.make(i, rest, ValueKind::Bareword)));
        }
        if let Ok((rest, _)) = self.number(i) {
            return Ok((rest, self.make(i, rest, ValueKind::Number)));
        }
        if i.starts_with('[') {
            return self.array(i).map(|(rest, list)| (rest, self.make(i, rest, ValueKind::Array(list))));
        }
        self.fail(i, "\"[\"");
        self.hash(i).map(|(rest, entries)| (rest, self.make(i, rest, ValueKind::Hash(entries))))
    }

    fn make(&self, from: &str, to: &str, kind: ValueKind) -> Value {
        Value { span: self.span(from, to), kind }
    }

    /// `"[" cs (value (cs "," cs value)*)? cs "]"`
    fn array(&self, i: &'a str) -> Parsed<'a, Vec<Value>> {
        let (rest, _) = self.literal(i, "[", "\"[\"")?;
        self.nested(i, || {
            let mut values = Vec::new();
            let mut rest = self.cs(rest);
            match self.value(rest) {
                Ok((mut after, value)) => {
                    values.push(value);
                    while let Ok((next, _)) = self.literal(self.cs(after), ",", "\",\"") {
                        let (next, value) = self.value(self.cs(next))?;
                        values.push(value);
                        after = next;
                    }
                    rest = self.cs(after);
                }
                Err(Err::Error(())) => {}
                Err(failure) => return Err(failure),
            }
            let (rest, _) = self.literal(rest, "]", "\"]\"")?;
            Ok((rest, values))
        })
    }

    /// `"{" cs (entry (cs entry)*)? cs "}"`
    fn hash(&self, i: &'a str) -> Parsed<'a, Vec<Entry>> {
        let (rest, _) = self.literal(i, "{", "\"{\"")?;
        self.nested(i, || {
            let mut entries = Vec::new();
            let mut rest = self.cs(rest);
            while let Ok((after, key)) = self.hash_key(rest) {
                let (after, _) = self.literal(self.cs(after), "=>", "\"=>\"")?;
                let (after, value) = self.value(self.cs(after))?;
                entries.push(Entry { key, value });
                rest = self.cs(after);
            }
            let (rest, _) = self.literal(rest, "}", "\"}\"")?;
            Ok((rest, entries))
        })
    }

    /// `number / bareword / string`
    fn hash_key(&self, i: &'a str) -> Parsed<'a, Value> {
        if let Ok((rest, _)) = self.number(i) {
            return Ok((rest, self.make(i, rest, ValueKind::Number)));
        }
        if let Ok((rest, _)) = self.bareword(i) {
            return Ok((rest, self.make(i, rest, ValueKind::Bareword)));
        }
        self.string(i).map(|(rest, _)| (rest, self.make(i, rest, ValueKind::String)))
    }

    /// Runs what stands between the bracket at `open` and its partner, unless that is too deep.
    fn nested<T>(&self, open: &'a str, inside: impl FnOnce() -> Parsed<'a, T>) -> Parsed<'a, T> {
        if self.depth.get() >= NESTING_MAX {
            self.too_deep.set(Some(self.at(open)));
            return Err(Err::Failure(()));
        }
        self.depth.set(self.depth.get() + 1);
        let result = inside();
        self.depth.set(self.depth.get() - 1);
        if result.is_err() {
            let failed_at = self.furthest.borrow().at();
            // The innermost bracket reports first, and it is the one that matters.
            if self.unclosed.get().is_none_or(|(at, _)| at != failed_at) {
                self.unclosed.set(Some((failed_at, self.at(open))));
            }
        }
        result
    }
}
