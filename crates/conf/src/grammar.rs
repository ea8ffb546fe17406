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
use std::collections::HashMap;

use nom::{Err, IResult};

use crate::ast::{Attribute, Branch, Document, Entry, Node, Plugin, Section, SectionKind, Value, ValueKind};
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
    /// The furthest failure so far and the brackets that were open there, innermost first.
    unclosed: RefCell<(usize, Vec<usize>)>,
    /// Where the strings that were read end, by where they begin; `None` for one without end.
    strings: RefCell<HashMap<usize, Option<usize>>>,
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
            unclosed: RefCell::default(),
            strings: RefCell::default(),
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
            .or_else(|_| {
                self.literal(i, "output", "\"output\"").map(|(rest, _)| (rest, SectionKind::Output))
            })?;
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
            let mut unclosed = self.unclosed.borrow_mut();
            if unclosed.0 != failed_at {
                *unclosed = (failed_at, Vec::new());
            }
            unclosed.1.push(self.at(open));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Protocol, SourceMap};

    /// The rendered error, or nothing.
    fn error(text: &str) -> String {
        let mut sources = SourceMap::new();
        let id = sources.add(Protocol::File, "a.conf", text);
        match parse(sources.get(id).unwrap()) {
            Ok(_) => String::new(),
            Err(diagnostic) => diagnostic.render(&sources, false),
        }
    }

    /// Logstash's sentence.
    fn sentence(text: &str) -> String {
        error(text)
            .split_once("Logstash says: ")
            .map_or_else(String::new, |(_, text)| text.trim_end_matches('\n').to_owned())
    }

    #[test]
    fn accepts_what_logstash_accepts() {
        for text in [
            "",
            "# only a comment",
            "input {}\r\nfilter {} output{}# end",
            "filter { if[a]==1and[b]==\"x\"or![c]{mutate{}}elseif[d]in[\"x\",\"y\"]{mutate{}}else{mutate{}} }",
            "filter { mutate{}mutate{} iffy { } \"quoted\" { 'a' => bb } }",
            "filter { m { a => {\"a\"=>\"b\"\"c\"=>\"d\"1=>[[], {}]} b1 => json { c => -1.5 } } }",
            "filter { if [a =~ \"255$\"] and ([x] not in [y] or foo(1, [b]) != 5) { } }",
            "filter { if [a] not   \n in [b] { } if 5 { } if \"x\" =~ /a\\/b/ { } }",
        ] {
            assert_eq!(error(text), "", "{text}");
        }
    }

    #[test]
    fn says_what_logstash_says() {
        for (text, expected) in [
            (
                "x",
                "Expected one of [ \\t\\r\\n], \"#\", \"input\", \"filter\", \"output\" at line 1, column 1 (byte 1)",
            ),
            (
                "input {} }",
                "Expected one of [ \\t\\r\\n], \"#\", \"input\", \"filter\", \"output\" at line 1, column 10 (byte 10) after ",
            ),
            (
                "filter { if [a,b] {} }",
                "Expected one of [^\\]\\[,], \"]\", [A-Za-z0-9_-], [ \\t\\r\\n], \"#\", \"{\", [A-Za-z0-9_] at line 1, column \
                 15 (byte 15) after filter { if [a",
            ),
            ("# é\rinput {}", "Expected \"\\n\" at line 1, column 5 (byte 5) after # é\r"),
            (
                "filter { x { a => 'b",
                "Expected one of \"\\\\'\", any character, \"'\" at line 1, column 21 (byte 21) after filter { x { a => 'b",
            ),
        ] {
            assert_eq!(sentence(text), format!("LogStash::ConfigurationError: {expected}"), "{text}");
        }
    }

    #[test]
    fn shows_the_place_and_what_to_do() {
        assert_eq!(
            error("filter {\n  mutate { lowercase => [\"a\"], uppercase => [\"b\"] }\n}\n"),
            "\
error: unexpected `,`
 --> a.conf:2:30
  |
2 |   mutate { lowercase => [\"a\"], uppercase => [\"b\"] }
  |                              ^ expected `}`
  |
  = help: options, and the entries of a hash, are separated by blanks, without commas
Logstash says: LogStash::ConfigurationError: Expected one of [ \\t\\r\\n], \"#\", \"}\" at line 2, column 30 (byte 39) after \
filter {\n  mutate { lowercase => [\"a\"]
"
        );
        for (text, help) in [
            ("filter { mutate { a => [\"x\",] } }", "no comma behind the last element"),
            ("filter { mutate { a => [\"x\" \"y\"] } }", "a comma is missing"),
            ("filter { mutate { aa => x } }", "a word of one letter needs quotes: \"x\""),
            ("filter { mutate { aa => ${X} } }", "variables stand in quotes"),
            ("filter { mutate { aa = 1 } }", "joined by =>"),
            ("filter { if [a] && [b] { } }", "write `and`"),
            ("filter { if [a] { } elsif [b] { } }", "write `else if`"),
            ("filter { if [a] == true { } }", "a condition has no word `true`"),
            ("filter { mutate { }\noutput { stdout { } }", "a closing brace is missing before this"),
            ("filter { mutate { } } }", "a closing brace too many"),
            ("filters { }", ""),
            ("outptu { }", "did you mean `output`?"),
            ("\u{feff}input { }", "byte-order mark"),
            ("filter { mutate { aa => \u{201c}x\u{201d} } }", "straight quotes"),
            ("filter { mutate { aa => \"C:\\\" } }", "a backslash always keeps the next"),
        ] {
            assert!(error(text).contains(help) && !error(text).is_empty(), "{text}\n{}", error(text));
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_harm() {
        for (before, open) in [
            ("filter { if ", "("),
            ("filter { if ", "!("),
            ("filter { if [a] in ", "[["),
            ("filter { m { a => ", "["),
            ("filter { m { a => ", "{ aa => "),
            ("filter { m { a => ", "pp { b => "),
            ("filter { ", "if [a] { "),
            ("filter { if ", "ff("),
        ] {
            let text = format!("{before}{}", open.repeat(10_000));
            assert!(error(&text).contains("more than 128 levels of brackets"), "{open}");
        }
        let text = format!("filter {{ if {}[a]{} {{ }} }}", "(".repeat(100), ")".repeat(100));
        assert_eq!(error(&text), "");
    }

    #[test]
    fn time_grows_with_the_text_only() {
        let block = "  if [a] == \"x\" and ([b] in [\"1\", \"2\"]) { grok { match => { \"message\" => \"%{WORD:w}\" } } }\n";
        let text = format!("filter {{\n{}}}\n", block.repeat(4_000));
        let started = std::time::Instant::now();
        assert_eq!(error(&text), "");
        // A tenth of a second even without optimisation; re-reading at every level would take minutes.
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
