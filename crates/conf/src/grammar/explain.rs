//! Why a text is refused: our words, and Logstash's sentence.

use super::{Grammar, NESTING_MAX};
use crate::diagnostics::{Diagnostic, suggest};
use crate::source::Span;

const SECTIONS: [&str; 3] = ["input", "filter", "output"];

/// The error of a reading that stopped; `rest` begins with the section that could not be finished.
pub(super) fn explain(grammar: &Grammar<'_>, rest: &str) -> Diagnostic {
    if let Some(at) = grammar.too_deep.get() {
        return Diagnostic::error(format!("more than {NESTING_MAX} levels of brackets"))
            .at(grammar.char_at(at), "this one is too deep");
    }
    let failure = Failure::new(grammar);
    let diagnostic = failure.unterminated().unwrap_or_else(|| failure.unexpected());
    diagnostic.logstash("LogStash::ConfigurationError", failure.sentence(rest))
}

impl Grammar<'_> {
    /// The character at an offset.
    fn char_at(&self, at: usize) -> Span {
        let length = self.text.get(at..).and_then(|s| s.chars().next()).map_or(0, char::len_utf8);
        Span::new(self.source, at..at + length)
    }
}

/// The furthest place and what surrounds it.
struct Failure<'g, 'a> {
    grammar: &'g Grammar<'a>,
    at: usize,
    expected: Vec<&'static str>,
    tried: Vec<&'static str>,
    /// What was read before, without blanks behind it.
    before: &'a str,
    /// What could not be read.
    rest: &'a str,
}

impl<'g, 'a> Failure<'g, 'a> {
    fn new(grammar: &'g Grammar<'a>) -> Failure<'g, 'a> {
        let furthest = grammar.furthest.borrow();
        let at = furthest.at();
        let (before, rest) = grammar.text.split_at_checked(at).unwrap_or((grammar.text, ""));
        Failure {
            grammar,
            at,
            expected: furthest.expected(),
            tried: furthest.tried(),
            before: before.trim_end(),
            rest,
        }
    }

    fn expects(&self, terminal: &str) -> bool {
        self.tried.contains(&terminal)
    }

    /// Treetop's message: offsets and columns count characters, the quoted text begins where reading stopped.
    fn sentence(&self, unfinished: &str) -> String {
        let text = self.grammar.text;
        let before = text.get(..self.at).unwrap_or(text);
        let offset = before.chars().count();
        let line = before.matches('\n').count() + 1;
        let column =
            before.rfind('\n').map_or(offset, |nl| before.get(nl + 1..).unwrap_or("").chars().count());
        if self.expected.is_empty() {
            // Its list can get lost; then the exception has no message but its own name.
            return "LogStash::ConfigurationError".to_owned();
        }
        let list = self.expected.join(", ");
        let list = if self.expected.len() == 1 { list } else { format!("one of {list}") };
        let after = before.get(text.len() - unfinished.len()..).unwrap_or("");
        let after = if offset > 0 { format!(" after {after}") } else { String::new() };
        format!("Expected {list} at line {line}, column {} (byte {}){after}", column + 1, offset + 1)
    }

    /// A string or expression without end: its start is the place to look at.
    fn unterminated(&self) -> Option<Diagnostic> {
        let at = self.grammar.unterminated.get()?;
        let opening = self.grammar.char_at(at);
        let what =
            if self.grammar.text.get(at..)?.starts_with('/') { "regular expression" } else { "string" };
        let mut diagnostic =
            Diagnostic::error(format!("this {what} never ends")).at(opening, "it begins here");
        let line = self.grammar.text.get(at + 1..)?.lines().next().unwrap_or("");
        let quote = self.grammar.text.get(opening.start..opening.end)?;
        if line.contains(&format!("\\{quote}")) {
            diagnostic = diagnostic.help(format!(
                "`\\{quote}` does not end it: a backslash always keeps the next {quote} inside, also behind another \
                 backslash"
            ));
        } else if what == "string" {
            diagnostic =
                diagnostic.help("perhaps the quote that is missing belongs to a string before this one");
        }
        Some(diagnostic)
    }

    fn unexpected(&self) -> Diagnostic {
        let span = self.grammar.char_at(self.at);
        let what = match self.rest.chars().next() {
            None => "the text ends too early".to_owned(),
            Some(c) => format!("unexpected {}", show(c)),
        };
        let mut diagnostic = Diagnostic::error(what).at(span, self.wanted());
        if let Some(help) = self.advice() {
            diagnostic = diagnostic.help(help);
        }
        if (self.rest.is_empty() || self.is_swallowed_name())
            && let Some(open) = self.unclosed()
        {
            diagnostic = diagnostic.also(self.grammar.char_at(open), "this is still open");
        }
        diagnostic
    }

    /// What would fit, in few words.
    fn wanted(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        let mut add = |condition: bool, word: &'static str| {
            if condition {
                words.push(word);
            }
        };
        let value = self.expects("\"[\"") && self.expects("[A-Za-z_]");
        let name = self.expects("[A-Za-z0-9_-]") && !value && !self.is_in_name();
        add(self.expects("\"input\""), "`input`, `filter` or `output`");
        add(value, "a value");
        add(name, if self.expects("\"if\"") { "a plugin" } else { "an option" });
        add(self.expects("\"=>\""), "`=>`");
        add(self.expects("\"and\""), "`and`, `or`");
        add(self.expects("\"==\""), "a comparison");
        add(self.expects("\",\""), "`,`");
        add(self.expects("\"{\"") && !value, "`{`");
        add(self.expects("[A-Za-z_]") && self.expects("\"}\"") && !name, "a key");
        add(self.expects("\"}\""), "`}`");
        add(self.expects("\"]\"") && !value, "`]`");
        add(self.expects("\")\""), "`)`");
        if words.is_empty() { String::new() } else { format!("expected {}", words.join(" or ")) }
    }

    /// Whether the name that was being read could simply have gone on.
    fn is_in_name(&self) -> bool {
        self.before.len() == self.at
            && self.before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    }

    /// Whether a block's name was taken for an option, because a brace is missing before it.
    fn is_swallowed_name(&self) -> bool {
        self.expects("\"=>\"") && self.rest.starts_with('{')
    }

    /// The bracket that probably lacks its partner: the innermost one, unless that belongs to a section that was
    /// taken for a plugin.
    fn unclosed(&self) -> Option<usize> {
        let unclosed = self.grammar.unclosed.borrow();
        let innermost = *unclosed.1.first()?;
        let before = self.grammar.text.get(..innermost)?.trim_end();
        let is_section = SECTIONS.iter().any(|name| before.ends_with(name));
        unclosed.1.get(1).copied().filter(|_| is_section).or(Some(innermost))
    }

    /// What was probably meant.
    fn advice(&self) -> Option<String> {
        self.advice_on_character().or_else(|| self.advice_on_words()).or_else(|| self.advice_on_structure())
    }

    fn advice_on_character(&self) -> Option<String> {
        let value = self.expects("\"[\"") && self.expects("[A-Za-z_]");
        let list = self.expects("\",\"");
        let text = match self.rest.chars().next()? {
            '\u{feff}' => "the file begins with a byte-order mark: save it as UTF-8 without one",
            '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' | '\u{201e}' => "use straight quotes: \" or '",
            '$' => "variables stand in quotes: \"${NAME}\"",
            '.' if value => "write a digit before the point: 0.5",
            '/' if value => "an option takes no regular expression: write it as a string, in quotes",
            ']' if value => "there is no comma behind the last element of a list",
            ',' if value => "there is a comma too many",
            ',' if !list && self.expects("\"}\"") => {
                "options, and the entries of a hash, are separated by blanks, without commas"
            }
            '"' | '\'' if list => "a comma is missing between the elements of the list",
            '.' | ':' | '@' if self.expects("\"{\"") => "put names with such characters in quotes",
            '=' | ':' if self.expects("\"=>\"") => "name and value are joined by =>",
            '=' if self.expects("\"==\"") => "compare with ==",
            '&' if self.expects("\"and\"") => "write `and`",
            '|' if self.expects("\"and\"") => "write `or`",
            '[' if self.expects("[A-Za-z_]") && self.expects("\"}\"") => {
                "put field references in quotes: \"[field]\""
            }
            '!' if self.before.ends_with('!') => "there is no double negation",
            '"' | '\'' | '0'..='9' if self.before.ends_with('!') => {
                "`!` stands before a field or parentheses: write `!(…)`, or `not in`"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    fn advice_on_words(&self) -> Option<String> {
        let next: String = self.rest.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
        let before = self.before;
        let last_start =
            before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        let last = before.get(last_start..).unwrap_or("");
        if self.expects("\"input\"") {
            if self.rest.starts_with('}') {
                return Some("there is a closing brace too many".to_owned());
            }
            return suggest(&next, SECTIONS).map(|name| format!("did you mean `{name}`?"));
        }
        if matches!(last, "elsif" | "elif") {
            return Some("write `else if`".to_owned());
        }
        if last == "else" && self.expects("\"if\"") {
            return Some("`else` takes no condition: write `else if`".to_owned());
        }
        if last == "else" && self.expects("\"{\"") {
            return Some("`else` comes last, and once".to_owned());
        }
        if last == "not" && self.expects("\"(\"") {
            return Some("write `!(…)`, or `not in`".to_owned());
        }
        if matches!(last, "true" | "false" | "null" | "nil") && self.expects("\"(\"") {
            return Some(format!(
                "a condition has no word `{last}`: test `[field]`, or compare with \"{last}\""
            ));
        }
        if self.expects("\"and\"") && matches!(next.as_str(), "AND" | "OR" | "NOT" | "IN" | "XOR") {
            return Some(format!("operators are lower case: `{}`", next.to_lowercase()));
        }
        if self.expects("\"and\"") && before.ends_with(']') && self.rest.starts_with(['=', '!', '<', '>']) {
            return Some("`!` binds the field alone: write `!([field] == …)`".to_owned());
        }
        None
    }

    fn advice_on_structure(&self) -> Option<String> {
        if self.is_swallowed_name() {
            return Some("a closing brace is missing before this".to_owned());
        }
        if self.rest.is_empty() && self.expects("\"}\"") {
            return Some("a closing brace is missing".to_owned());
        }
        let word_start = self.before.rfind(|c: char| c.is_whitespace() || c == '>').map_or(0, |at| at + 1);
        let word = self.before.get(word_start..)?;
        let is_value = self.before.get(..word_start)?.trim_end().ends_with("=>");
        if word.is_empty() {
            return None;
        }
        if is_value && word.chars().count() == 1 && word.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
        {
            return Some(format!("a word of one letter needs quotes: \"{word}\""));
        }
        if is_value && !word.starts_with(['"', '\'', '[', '{']) && self.expects("\"{\"") {
            return Some(format!("put this value in quotes: \"{word}\""));
        }
        if self.before.len() == self.at && self.expects("\"}\"") {
            return Some("options are separated by blanks".to_owned());
        }
        None
    }
}

fn show(c: char) -> String {
    match c {
        '\n' | '\r' => "end of line".to_owned(),
        '\u{feff}' => "byte-order mark".to_owned(),
        c => format!("`{c}`"),
    }
}
