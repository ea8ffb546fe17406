//! Oniguruma's syntax, read into a tree.
//!
//! The reader takes what [`crate::ruby`] wrote: names are numbers, `\w \d \s \h` are written out and comments are gone.
//! It is strict: what it is not sure about, errors included, it refuses with a reason, and the other engine decides.
//! Hence everything that it does take must mean here what it means there, oddities of repeated repeats
//! included, see [`nest`].

use super::class::CharSet;
use super::class_reader;
use super::repeat::{Sign, nest};
use super::tree::{Assert, INFINITE, Node};

/// Groups within groups.
const DEPTH_MAX: usize = 150;
/// Parts of an expression; larger ones are left to the other engine.
const PARTS_MAX: usize = 50_000;
/// The largest number in `{n,m}`, Oniguruma's own.
const REPEAT_MAX: u32 = 100_000;

/// Why an expression is left to the other engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsupported(pub(super) &'static str);

/// An expression as read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// Groups with numbers, the whole match (group 0) included.
    pub(super) groups: usize,
    /// Whether letters match without regard to case somewhere. Beyond ASCII, that is for the other engine.
    pub(super) ignores_case: bool,
    /// Whether a class lists every character, as `[\s\S]` does.
    pub(super) lists_all: bool,
}

/// Reads an expression. `named` says that it has named groups, so that plain ones don't capture.
pub(super) fn parse(text: &str, named: bool, dot_all: bool) -> Result<Parsed, Unsupported> {
    let flags = Flags { dot_all, ..Flags::default() };
    let mut reader = Reader {
        text,
        at: 0,
        named,
        flags,
        groups: 1,
        depth: 0,
        parts: 0,
        ignores_case: false,
        lists_all: false,
        behind: false,
    };
    let node = reader.alternatives()?;
    if reader.at < text.len() {
        return Err(Unsupported("unmatched parenthesis"));
    }
    Ok(Parsed { node, groups: reader.groups, ignores_case: reader.ignores_case, lists_all: reader.lists_all })
}

#[derive(Clone, Copy, Default)]
struct Flags {
    ignore_case: bool,
    extended: bool,
    dot_all: bool,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    named: bool,
    flags: Flags,
    groups: usize,
    depth: usize,
    parts: usize,
    ignores_case: bool,
    lists_all: bool,
    /// Inside a look-behind.
    behind: bool,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        while self.flags.extended && self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    /// Alternatives up to a closing parenthesis, which is not taken, or the end.
    fn alternatives(&mut self) -> Result<Node, Unsupported> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Unsupported("nested too deeply"));
        }
        let outside = self.flags;
        let mut nodes = vec![self.branch()?];
        while self.take("|") {
            nodes.push(self.branch()?);
        }
        self.flags = outside;
        self.depth -= 1;
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Alt(nodes) })
    }

    fn branch(&mut self) -> Result<Node, Unsupported> {
        let mut nodes = Vec::new();
        loop {
            self.skip_blanks();
            if let Some(text) = self.plain_text() {
                nodes.push(Node::Literal(text));
            }
            if self.peek().is_none_or(|c| matches!(c, '|' | ')')) {
                break;
            }
            self.parts += 1;
            if self.parts > PARTS_MAX {
                return Err(Unsupported("a very large expression"));
            }
            let atom = self.atom()?;
            nodes.push(self.repeated(atom)?);
        }
        // A single part stays as it is: `(?:a*)*` repeats a repeat.
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::concat(nodes) })
    }

    /// Letters, digits and other signs that mean themselves, but for the last one, which may be repeated.
    fn plain_text(&mut self) -> Option<Vec<u8>> {
        if self.flags.ignore_case || self.flags.extended {
            return None;
        }
        let rest = self.rest().as_bytes();
        let plain = |byte: &u8| {
            let letter = matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_');
            letter
                || matches!(byte, b' ' | b'-' | b':' | b'/' | b',' | b';' | b'=' | b'<' | b'>' | b'"' | b'@')
        };
        let length = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
        let text = rest.get(..length.saturating_sub(1))?.to_vec();
        self.at += text.len();
        self.parts += text.len();
        Some(text).filter(|text| !text.is_empty())
    }

    fn atom(&mut self) -> Result<Node, Unsupported> {
        match self.next() {
            Some('(') => self.group(),
            Some('[') => self.class(),
            Some('\\') => self.escape(),
            Some('.') => Ok(Node::Set(self.dot())),
            Some('^') => Ok(Node::Assert(Assert::LineStart)),
            Some('$') => Ok(Node::Assert(Assert::LineEnd)),
            Some('*' | '+' | '?') => Err(Unsupported("a repeat of nothing")),
            Some('{') if self.interval().is_some() => Err(Unsupported("a repeat of nothing")),
            Some('#') if self.flags.extended => Err(Unsupported("a comment")),
            Some(c) => self.character(c),
            None => Err(Unsupported("an unfinished expression")),
        }
    }

    fn dot(&self) -> CharSet {
        let mut set = CharSet::all();
        if !self.flags.dot_all {
            set = CharSet::of('\n');
            set.negate();
        }
        set
    }

    fn character(&mut self, c: char) -> Result<Node, Unsupported> {
        if !self.flags.ignore_case {
            return Ok(Node::Literal(c.to_string().into_bytes()));
        }
        if !c.is_ascii() {
            return Err(Unsupported("letters beyond ASCII without regard to case"));
        }
        if !c.is_ascii_alphabetic() {
            return Ok(Node::Literal(vec![c as u8]));
        }
        let mut set = CharSet::of(c);
        set.fold_ascii();
        self.folded(set)
    }

    fn folded(&mut self, set: CharSet) -> Result<Node, Unsupported> {
        if self.behind {
            return Err(Unsupported("a look-behind without regard to case"));
        }
        self.ignores_case = true;
        Ok(Node::Set(set))
    }

    fn class(&mut self) -> Result<Node, Unsupported> {
        let (class, length) = class_reader::read(self.rest())?;
        self.at += length;
        let mut set = class.set;
        if self.flags.ignore_case {
            // Members beyond ASCII may fold to several letters.
            if !set.is_ascii() {
                return Err(Unsupported("a class beyond ASCII without regard to case"));
            }
            set.fold_ascii();
        }
        if class.negated {
            set.negate();
        }
        self.lists_all |= set == CharSet::all();
        match set.single() {
            _ if self.flags.ignore_case => self.folded(set),
            _ if set.is_empty() => Err(Unsupported("an empty class")),
            Some(c) => Ok(Node::Literal(c.to_string().into_bytes())),
            None => Ok(Node::Set(set)),
        }
    }

    fn escape(&mut self) -> Result<Node, Unsupported> {
        let Some(c) = self.next() else { return Err(Unsupported("an unfinished escape")) };
        let assert = match c {
            'A' => Assert::TextStart,
            'z' => Assert::TextEnd,
            'Z' => Assert::TextEndOrNewline,
            'G' => Assert::SearchStart,
            'b' => Assert::WordBoundary,
            'B' => Assert::NoWordBoundary,
            'k' => return Err(Unsupported("back-references")),
            '1'..='9' => return Err(Unsupported("back-references")),
            'g' => return Err(Unsupported("subexpression calls")),
            'K' => return Err(Unsupported("\\K")),
            'R' => return Err(Unsupported("\\R")),
            'X' | 'y' | 'Y' => return Err(Unsupported("text segments")),
            'p' | 'P' if self.flags.ignore_case => {
                return Err(Unsupported("a property without regard to case"));
            }
            _ => {
                let (member, length) = class_reader::escape(c, self.rest())?;
                self.at += length;
                return match member {
                    class_reader::Member::Char(c) => self.character(c),
                    class_reader::Member::Set(set) => Ok(Node::Set(set)),
                };
            }
        };
        Ok(Node::Assert(assert))
    }

    // ---- groups

    fn group(&mut self) -> Result<Node, Unsupported> {
        if self.take("?:") {
            return self.inner();
        }
        if self.take("?>") {
            return Ok(Node::Atomic(Box::new(self.inner()?)));
        }
        if self.take("?=") {
            return self.ahead(false);
        }
        if self.take("?!") {
            return self.ahead(true);
        }
        if self.take("?<=") {
            return self.look_behind(false);
        }
        if self.take("?<!") {
            return self.look_behind(true);
        }
        if self.take("?<g") {
            let end = self.rest().find('>').ok_or(Unsupported("an unfinished group"))?;
            self.at += end + 1;
            return self.capture();
        }
        if self.take("?(") {
            return Err(Unsupported("conditionals"));
        }
        if self.take("?~") {
            return Err(Unsupported("absent operators"));
        }
        if self.take("?") {
            return self.options();
        }
        if self.named { self.plain() } else { self.capture() }
    }

    fn inner(&mut self) -> Result<Node, Unsupported> {
        let node = self.alternatives()?;
        if self.take(")") { Ok(node) } else { Err(Unsupported("an unfinished group")) }
    }

    /// `(...)` beside named groups.
    fn plain(&mut self) -> Result<Node, Unsupported> {
        Ok(Node::Group(Box::new(self.inner()?), true))
    }

    fn capture(&mut self) -> Result<Node, Unsupported> {
        if self.behind {
            return Err(Unsupported("a capture in a look-behind"));
        }
        let number = self.groups;
        self.groups += 1;
        Ok(Node::Capture(number, Box::new(self.inner()?)))
    }

    fn ahead(&mut self, negate: bool) -> Result<Node, Unsupported> {
        if self.behind {
            return Err(Unsupported("a look-ahead in a look-behind"));
        }
        Ok(Node::Ahead { negate, node: Box::new(self.inner()?) })
    }

    fn look_behind(&mut self, negate: bool) -> Result<Node, Unsupported> {
        if self.behind {
            return Err(Unsupported("a look-behind in a look-behind"));
        }
        self.behind = true;
        let node = self.inner()?;
        self.behind = false;
        let nodes = if let Node::Alt(nodes) = node { nodes } else { vec![node] };
        let measured = nodes.into_iter().map(|node| Some((node.fixed_length()?, node)));
        let alternatives: Option<Vec<_>> = measured.collect();
        let alternatives = alternatives.ok_or(Unsupported("a look-behind of varying length"))?;
        Ok(Node::Behind { negate, alternatives })
    }

    /// `(?imx-imx)` or `(?imx-imx:...)`, behind the question mark.
    fn options(&mut self) -> Result<Node, Unsupported> {
        let outside = self.flags;
        let mut on = true;
        loop {
            match self.next() {
                Some('-') => on = false,
                Some('i') => self.flags.ignore_case = on,
                Some('m') => self.flags.dot_all = on,
                Some('x') => self.flags.extended = on,
                Some(':') => break,
                // The rest of the group, alternatives included, belongs to it.
                Some(')') => {
                    let node = self.alternatives()?;
                    self.flags = outside;
                    return Ok(Node::Group(Box::new(node), false));
                }
                _ => return Err(Unsupported("another kind of group")),
            }
        }
        let node = self.inner()?;
        self.flags = outside;
        // Unlike `(?:...)` it is not taken apart when it is repeated.
        Ok(Node::Group(Box::new(node), false))
    }

    // ---- repeats

    fn repeated(&mut self, mut atom: Node) -> Result<Node, Unsupported> {
        let mut merged = false;
        loop {
            self.skip_blanks();
            let Some(sign) = self.sign()? else { return Ok(atom) };
            if merged {
                return Err(Unsupported("a repeat of a repeat of a repeat"));
            }
            merged = matches!(atom, Node::Group(_, true));
            let invalid = |node: &Node| {
                matches!(node, Node::Assert(_) | Node::Ahead { .. } | Node::Behind { .. } | Node::Empty)
            };
            let anchors = match &atom {
                Node::Alt(nodes) => nodes.iter().any(|node| invalid(node) || matches!(node, Node::Alt(_))),
                node => invalid(node),
            };
            if anchors {
                return Err(Unsupported("a repeat of an anchor"));
            }
            atom = nest(atom, sign)?;
            if sign.possessive {
                atom = Node::Atomic(Box::new(atom));
            }
        }
    }

    fn sign(&mut self) -> Result<Option<Sign>, Unsupported> {
        let (min, max) = match self.peek() {
            Some('*') => (0, INFINITE),
            Some('+') => (1, INFINITE),
            Some('?') => (0, 1),
            Some('{') => {
                self.at += 1;
                let Some((min, max, length)) = self.interval() else {
                    self.at -= 1;
                    return Ok(None);
                };
                self.at += length;
                let sizes = [min, if max == INFINITE { 0 } else { max }];
                if min > max || sizes.iter().any(|size| *size > REPEAT_MAX) {
                    return Err(Unsupported("an odd interval"));
                }
                // After `{n}` a question mark makes it optional.
                let greedy = min == max || !self.take("?");
                return Ok(Some(Sign { min, max, greedy, possessive: false }));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        let greedy = !self.take("?");
        let possessive = greedy && self.take("+");
        Ok(Some(Sign { min, max, greedy, possessive }))
    }

    /// `n}`, `n,m}`, `n,}` or `,m}` and its length; anything else is text.
    fn interval(&self) -> Option<(u32, u32, usize)> {
        let inner = self.rest().split_once('}')?.0;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // One too large is an error for the other engine to tell.
            digits.then(|| text.parse().unwrap_or(INFINITE - 1))
        };
        let length = inner.len() + 1;
        match inner.split_once(',') {
            None => number(inner).map(|n| (n, n, length)),
            Some(("", high)) => Some((0, number(high)?, length)),
            Some((low, "")) => Some((number(low)?, INFINITE, length)),
            Some((low, high)) => Some((number(low)?, number(high)?, length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::tree::Repeat;

    fn reason(text: &str) -> Option<&'static str> {
        parse(text, false, false).err().map(|reason| reason.0)
    }

    #[test]
    fn what_is_left_to_the_other_engine() {
        for (text, expected) in [
            (r"(a)\1", "back-references"),
            (r"\k<g0>", "back-references"),
            (r"(?<g0>a\g<g0>?)", "subexpression calls"),
            (r"(a)?(?(1)b|c)", "conditionals"),
            (r"(?~a)", "absent operators"),
            (r"a\Kb", r"\K"),
            (r"\R", r"\R"),
            (r"\X", "text segments"),
            (r"(?i)é", "letters beyond ASCII without regard to case"),
            (r"(?i)[é]", "a class beyond ASCII without regard to case"),
            (r"(?i)\p{Lu}", "a property without regard to case"),
            (r"(?<=(?i)a)b", "a look-behind without regard to case"),
            (r"(?<=(a))b", "a capture in a look-behind"),
            (r"(?:^|a)*", "a repeat of an anchor"),
            (r"(?:a?){2}", "a counted repeat of what may be empty"),
            (r"a{3,2}", "an odd interval"),
            (r"*a", "a repeat of nothing"),
            (r"\y", "text segments"),
        ] {
            assert_eq!(reason(text), Some(expected), "{text}");
        }
        assert_eq!(reason(&"(?:".repeat(DEPTH_MAX + 1)), Some("nested too deeply"));
    }

    #[test]
    fn groups_are_counted_as_ruby_counts_them() {
        let groups = |text, named| parse(text, named, false).unwrap().groups;
        assert_eq!(groups("(a)(?:b)(c)", false), 3);
        assert_eq!(groups("(a)(?<g0>b)(c)", true), 2);
    }

    #[test]
    fn intervals_and_what_only_looks_like_one() {
        let repeat = |text| match parse(text, false, false).unwrap().node {
            Node::Repeat(repeat) => Some((repeat.min, repeat.max, repeat.greedy)),
            _ => None,
        };
        assert_eq!(repeat("a{2,3}?"), Some((2, 3, false)));
        assert_eq!(repeat("a{,3}"), Some((0, 3, true)));
        assert_eq!(repeat("a{2,}"), Some((2, INFINITE, true)));
        assert_eq!(repeat("a{2}?"), Some((0, 1, true)), "optional, not lazy");
        assert_eq!(repeat("a{2}{3}"), Some((6, 6, true)));
        for text in ["a{", "a{x}", "a{,}", "a{1", "{,x}"] {
            assert!(matches!(parse(text, false, false).unwrap().node, Node::Literal(_)), "{text}");
        }
    }

    #[test]
    fn a_repeat_of_a_repeat_becomes_one() {
        let read = |text, named| parse(text, named, false).unwrap().node;
        let letter = || Node::Literal(b"a".to_vec());
        let repeat = |min, max, greedy| Node::Repeat(Box::new(Repeat { node: letter(), min, max, greedy }));
        assert_eq!(read("(?:a+)+", false), repeat(1, INFINITE, true));
        assert_eq!(read("(?:a?)*", false), repeat(0, INFINITE, true));
        assert_eq!(read("(?:a*?)*", false), repeat(0, INFINITE, false));
        assert_eq!(
            read("(a+)+(?<g0>)", true),
            Node::concat(vec![repeat(1, INFINITE, true), read("(?<g0>)", true)])
        );
    }

    #[test]
    fn flags_last_to_the_end_of_the_group() {
        let parsed = |text| parse(text, false, false).unwrap();
        assert!(parsed("(?i)a").ignores_case && parsed("(?:(?i)a)b").ignores_case);
        assert!(!parsed("(?:(?i)1)a").ignores_case);
        assert_eq!(
            parsed("(?x: a b )c").node,
            Node::concat(vec![
                Node::Group(Box::new(Node::Literal(b"ab".to_vec())), false),
                Node::Literal(b"c".to_vec()),
            ])
        );
    }
}
