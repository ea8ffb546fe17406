//! Words, numbers, strings, blanks: the leaves of the grammar.

use nom::bytes::complete::{tag, take_while};
use nom::combinator::opt;
use nom::{Err, Parser};

use super::{Grammar, Parsed};
use crate::source::Span;

/// A closing mark with the names under which it is expected.
struct Delimiter {
    mark: char,
    /// `\` and the mark.
    escaped: &'static str,
    shown: &'static str,
    shown_escaped: &'static str,
    shown_other: &'static str,
}

const DOUBLE: Delimiter = Delimiter {
    mark: '"',
    escaped: "\\\"",
    shown: r#"'"'"#,
    shown_escaped: r#"'\"'"#,
    shown_other: r#"something other than '"'"#,
};
const SINGLE: Delimiter = Delimiter {
    mark: '\'',
    escaped: "\\'",
    shown: r#""'""#,
    shown_escaped: r#""\\'""#,
    shown_other: r#"something other than "'""#,
};
const SLASH: Delimiter = Delimiter {
    mark: '/',
    escaped: "\\/",
    shown: "'/'",
    shown_escaped: r"'\/'",
    shown_other: "something other than '/'",
};

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'a> Grammar<'a> {
    /// Notes that `terminal` is not at `i`.
    pub(super) fn fail(&self, i: &str, terminal: &'static str) {
        self.furthest.borrow_mut().record(self.at(i), terminal);
    }

    /// Exactly `token`, known as `shown` when it is missing.
    pub(super) fn literal(&self, i: &'a str, token: &'static str, shown: &'static str) -> Parsed<'a, Span> {
        let found: Parsed<'a, &str> = tag(token).parse(i);
        match found {
            Ok((rest, _)) => Ok((rest, self.span(i, rest))),
            Err(e) => {
                self.fail(i, shown);
                Err(e)
            }
        }
    }

    /// `[class]*`
    fn any_of(&self, i: &'a str, class: fn(char) -> bool, shown: &'static str) -> &'a str {
        let taken: Parsed<'a, &str> = take_while(class).parse(i);
        let rest = taken.map_or(i, |(rest, _)| rest);
        self.fail(rest, shown);
        rest
    }

    /// `[class]+`
    pub(super) fn some_of(&self, i: &'a str, class: fn(char) -> bool, shown: &'static str) -> Parsed<'a, ()> {
        let rest = self.any_of(i, class, shown);
        if rest.len() == i.len() { Err(nope()) } else { Ok((rest, ())) }
    }

    /// `[ \t\r\n]+`
    pub(super) fn whitespace(&self, i: &'a str) -> Parsed<'a, ()> {
        self.some_of(i, is_blank, r"[ \t\r\n]")
    }

    /// `(comment / whitespace)*`: comments and blanks, or nothing.
    pub(super) fn cs(&self, i: &'a str) -> &'a str {
        let mut rest = i;
        loop {
            let start = self.any_of(rest, is_blank, r"[ \t\r\n]");
            match self.comment(start) {
                Ok((after, ())) => rest = after,
                Err(_) => return start,
            }
        }
    }

    /// `"#" [^\r\n]* (("\r"? "\n") / end)`
    fn comment(&self, i: &'a str) -> Parsed<'a, ()> {
        let (rest, _) = self.literal(i, "#", "\"#\"")?;
        let end = self.any_of(rest, |c| c != '\r' && c != '\n', r"[^\r\n]");
        let rest = match opt(tag::<_, _, ()>("\r")).parse(end) {
            Ok((rest, Some(_))) => rest,
            _ => {
                self.fail(end, r#""\r""#);
                end
            }
        };
        match self.literal(rest, "\n", r#""\n""#) {
            Ok((rest, _)) => Ok((rest, ())),
            Err(_) if end.is_empty() => Ok((end, ())),
            Err(e) => Err(e),
        }
    }

    /// `[A-Za-z0-9_-]+ / string`; tells whether it is in quotes.
    pub(super) fn name(&self, i: &'a str) -> Parsed<'a, (Span, bool)> {
        if let Ok((rest, ())) = self.some_of(i, is_name, "[A-Za-z0-9_-]") {
            return Ok((rest, (self.span(i, rest), false)));
        }
        self.string(i).map(|(rest, span)| (rest, (span, true)))
    }

    /// `[A-Za-z_] [A-Za-z0-9_]+`: two characters at least.
    pub(super) fn bareword(&self, i: &'a str) -> Parsed<'a, Span> {
        if !i.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            self.fail(i, "[A-Za-z_]");
            return Err(nope());
        }
        let (rest, ()) = self.some_of(i.get(1..).unwrap_or(""), is_word, "[A-Za-z0-9_]")?;
        Ok((rest, self.span(i, rest)))
    }

    /// `"-"? [0-9]+ ("." [0-9]*)?`
    pub(super) fn number(&self, i: &'a str) -> Parsed<'a, Span> {
        let digits = self.literal(i, "-", "\"-\"").map_or(i, |(rest, _)| rest);
        let (mut rest, ()) = self.some_of(digits, |c| c.is_ascii_digit(), "[0-9]")?;
        if let Ok((fraction, _)) = self.literal(rest, ".", "\".\"") {
            rest = self.any_of(fraction, |c| c.is_ascii_digit(), "[0-9]");
        }
        Ok((rest, self.span(i, rest)))
    }

    /// `"…"` or `'…'`; a backslash keeps the next mark from ending it, and means nothing else.
    pub(super) fn string(&self, i: &'a str) -> Parsed<'a, Span> {
        self.delimited(i, &DOUBLE).or_else(|_| self.delimited(i, &SINGLE))
    }

    /// `/…/`
    pub(super) fn regexp(&self, i: &'a str) -> Parsed<'a, Span> {
        self.delimited(i, &SLASH)
    }

    /// Each string is read once: another reading would unnote terminals, see [`super::furthest`].
    fn delimited(&self, i: &'a str, d: &Delimiter) -> Parsed<'a, Span> {
        let Some(inner) = i.strip_prefix(d.mark) else {
            self.fail(i, d.shown);
            return Err(nope());
        };
        let start = self.at(i);
        let known = self.strings.borrow().get(&start).copied();
        let end = known.unwrap_or_else(|| {
            let end = self.closing(inner, d).map(|rest| self.at(rest));
            self.strings.borrow_mut().insert(start, end);
            end
        });
        match end.and_then(|end| self.text.get(end..)) {
            Some(rest) => Ok((rest, self.span(i, rest))),
            None => {
                self.unterminated.set(Some(start));
                Err(nope())
            }
        }
    }

    /// What is behind the closing mark of a string, if there is one.
    fn closing(&self, mut rest: &'a str, d: &Delimiter) -> Option<&'a str> {
        loop {
            if let Some(after) = rest.strip_prefix(d.escaped) {
                rest = after;
                continue;
            }
            self.fail(rest, d.shown_escaped);
            if let Some(after) = rest.strip_prefix(d.mark) {
                self.fail(rest, d.shown_other);
                return Some(after);
            }
            self.fail(rest, d.shown);
            self.furthest.borrow_mut().forget_last(self.at(rest));
            let mut chars = rest.chars();
            if chars.next().is_none() {
                self.fail(rest, "any character");
                self.fail(rest, d.shown);
                return None;
            }
            rest = chars.as_str();
        }
    }
}

/// The failure of an alternative: what is wrong with it has been noted already.
pub(super) fn nope() -> Err<()> {
    Err::Error(())
}
