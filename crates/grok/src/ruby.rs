//! Ruby's dialect, as JRuby runs it, put into the words of the Oniguruma port.
//!
//! Both speak almost the same language. Four things differ and are translated here:
//!
//! * `\w \d \s \h` mean ASCII in Ruby, while `\b` and `[[:alpha:]]` mean Unicode. Oniguruma's options only
//!   switch all of them together, so the four classes are written out.
//! * Group names: Ruby takes `[source][ip]` and `WORD:a-b`, Oniguruma wants word characters. Every name
//!   becomes `gN`, and the real names are kept beside.
//! * The flags `(?a) (?d) (?u)` exist in Ruby only. `u` makes the four classes Unicode.
//! * Comments, `(?#...)` and those of `(?x)`, are dropped: a parenthesis in one would confuse the reader below.
//!
//! Errors that need only this reading (an open group or class, a bad name) are found here, with their offset.

use std::collections::HashMap;

use crate::matcher::GroupName;
use crate::regex::PatternError;

/// An expression in the port's words.
pub(crate) struct Translated {
    /// The expression to compile.
    pub(crate) text: String,
    /// Named groups in the order in which the names first appear. When there is one, plain groups don't
    /// capture, so that numbers count named groups alone.
    pub(crate) names: Vec<GroupName>,
}

/// Translates an expression.
pub(crate) fn translate(pattern: &str) -> Result<Translated, PatternError> {
    let mut reader = Reader::new(pattern);
    reader.run()?;
    reader.check_ends()?;
    Ok(Translated { text: reader.out, names: reader.names })
}

/// Translates the beginning of an expression: open groups are closed. `None` when it ends inside a token.
pub(crate) fn translate_beginning(pattern: &str) -> Option<String> {
    let mut reader = Reader::new(pattern);
    reader.run().ok()?;
    let open = reader.open.len();
    reader.out.extend(std::iter::repeat_n(')', open));
    Some(reader.out)
}

/// What `(?...)` switches for the rest of a group.
#[derive(Clone, Copy, Default)]
struct Flags {
    ignore_case: bool,
    extended: bool,
    unicode: bool,
}

/// A group that is still open.
struct Open {
    offset: usize,
    flags_outside: Flags,
}

struct Reader<'p> {
    pattern: &'p str,
    at: usize,
    out: String,
    flags: Flags,
    open: Vec<Open>,
    names: Vec<GroupName>,
    named_groups: usize,
    /// Where a name stands in `known`: this is the number N of its `gN`.
    ids: HashMap<&'p str, usize>,
    known: Vec<Known>,
}

/// What is known of a name so far.
enum Known {
    /// Mentioned at this offset, not defined yet.
    Mentioned(usize),
    /// Defined; the position in `names`.
    Defined(usize),
}

impl<'p> Reader<'p> {
    fn new(pattern: &'p str) -> Self {
        Self {
            pattern,
            at: 0,
            out: String::with_capacity(pattern.len() + pattern.len() / 2),
            flags: Flags::default(),
            open: Vec::new(),
            names: Vec::new(),
            named_groups: 0,
            ids: HashMap::new(),
            known: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), PatternError> {
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => self.close()?,
                '#' if self.flags.extended => self.skip_line(),
                _ => self.out.push(c),
            }
        }
        Ok(())
    }

    /// What only the end of the expression can tell: nothing may be left open or undefined.
    fn check_ends(&self) -> Result<(), PatternError> {
        if let Some(open) = self.open.last() {
            return Err(self.error("end pattern with unmatched parenthesis", open.offset));
        }
        let undefined = self.ids.iter().filter_map(|(name, id)| match self.known.get(*id) {
            Some(Known::Mentioned(offset)) => Some((*offset, *name)),
            _ => None,
        });
        if let Some((offset, name)) = undefined.min() {
            return Err(self.error(&format!("undefined name <{name}> reference"), offset));
        }
        Ok(())
    }

    fn rest(&self) -> &'p str {
        self.pattern.get(self.at..).unwrap_or_default()
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

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').map_or(self.rest().len(), |end| end + 1);
    }

    fn error(&self, message: &str, offset: usize) -> PatternError {
        PatternError::new(self.pattern, message, Some(offset))
    }

    /// Copies the next `count` characters as they are.
    fn copy(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(c) = self.next() {
                self.out.push(c);
            }
        }
    }

    // ---- escapes

    fn escape(&mut self) -> Result<(), PatternError> {
        let offset = self.at - 1;
        let Some(c) = self.next() else { return Err(self.error("too short escape sequence", offset)) };
        match (self.ascii_class(c), c) {
            (Some(class), _) => self.out.push_str(&class),
            (None, 'k' | 'g') => return self.reference(c, offset),
            (None, 'c') => {
                self.out.push_str("\\c");
                self.copy(1);
            }
            (None, 'C' | 'M') => {
                self.out.extend(['\\', c]);
                self.copy(2);
            }
            (None, _) => self.out.extend(['\\', c]),
        }
        Ok(())
    }

    /// The class that `\c` stands for, written out; `None` for other escapes and under `(?u)`.
    fn ascii_class(&self, c: char) -> Option<String> {
        let members = ascii_members(c)?;
        if self.flags.unicode {
            return None;
        }
        let class = format!("[{}{members}]", if c.is_ascii_uppercase() { "^" } else { "" });
        // Case folding would add U+017F and U+212A, the long s and the Kelvin sign.
        let folds = self.flags.ignore_case && matches!(c, 'w' | 'W');
        Some(if folds { format!("(?-i:{class})") } else { class })
    }

    /// `\k<name>` and `\g<name>`, or with quotes.
    fn reference(&mut self, kind: char, offset: usize) -> Result<(), PatternError> {
        let end = match self.peek() {
            Some('<') => '>',
            Some('\'') => '\'',
            _ => {
                self.out.extend(['\\', kind]);
                return Ok(());
            }
        };
        self.next();
        let name = self.name(end, offset)?;
        let text = if name.trim_start_matches(['-', '+']).bytes().all(|b| b.is_ascii_digit()) {
            format!("\\{kind}<{name}>")
        } else {
            let id = self.mention(name, offset);
            format!("\\{kind}<g{id}>")
        };
        self.out.push_str(&text);
        Ok(())
    }

    /// Reads a name up to its closing sign.
    fn name(&mut self, end: char, offset: usize) -> Result<&'p str, PatternError> {
        let rest = self.rest();
        let length = rest.find(end).ok_or_else(|| self.error("end pattern in group", offset))?;
        let name = rest.get(..length).unwrap_or_default();
        self.at += length + end.len_utf8();
        match name {
            "" => Err(self.error("group name is empty", offset)),
            _ if name.contains(')') => Err(self.error(&format!("invalid group name <{name}>"), offset)),
            _ => Ok(name),
        }
    }

    /// The number that stands for a name mentioned at `offset`.
    fn mention(&mut self, name: &'p str, offset: usize) -> usize {
        let next = self.known.len();
        let id = *self.ids.entry(name).or_insert(next);
        if id == next {
            self.known.push(Known::Mentioned(offset));
        }
        id
    }

    /// The number that stands for the name of the group that opens at `offset`.
    fn define(&mut self, name: &'p str, offset: usize) -> usize {
        let id = self.mention(name, offset);
        self.named_groups += 1;
        let number = self.named_groups;
        match self.known.get_mut(id) {
            Some(Known::Defined(at)) => {
                self.names.get_mut(*at).into_iter().for_each(|known| known.numbers.push(number));
            }
            Some(known) => {
                *known = Known::Defined(self.names.len());
                self.names.push(GroupName { name: name.to_owned(), numbers: vec![number] });
            }
            None => {}
        }
        id
    }

    // ---- groups

    fn group(&mut self) -> Result<(), PatternError> {
        let offset = self.at - 1;
        if self.take("?#") {
            let end = self.rest().find(')').ok_or_else(|| self.error("end pattern in group", offset))?;
            self.at += end + 1;
            return Ok(());
        }
        let outside = self.flags;
        if self.take("?<=") {
            self.out.push_str("(?<=");
        } else if self.take("?<!") {
            self.out.push_str("(?<!");
        } else if self.take("?<") {
            self.named('>', offset)?;
        } else if self.take("?'") {
            self.named('\'', offset)?;
        } else if self.take("?(") {
            self.condition(offset)?;
        } else if self.rest().starts_with('?') {
            if !self.options(offset)? {
                return Ok(());
            }
        } else {
            self.out.push('(');
        }
        self.open.push(Open { offset, flags_outside: outside });
        Ok(())
    }

    fn named(&mut self, end: char, offset: usize) -> Result<(), PatternError> {
        let name = self.name(end, offset)?;
        if name.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Err(self.error(&format!("invalid group name <{name}>"), offset));
        }
        let id = self.define(name, offset);
        self.out.push_str(&format!("(?<g{id}>"));
        Ok(())
    }

    /// `(?(<name>)yes|no)`: the condition; the rest is an ordinary group.
    fn condition(&mut self, offset: usize) -> Result<(), PatternError> {
        self.out.push_str("(?(");
        let end = match self.peek() {
            Some('<') => '>',
            Some('\'') => '\'',
            _ => {
                let length =
                    self.rest().find(')').ok_or_else(|| self.error("end pattern in group", offset))?;
                self.copy(length + 1);
                return Ok(());
            }
        };
        self.next();
        let name = self.name(end, offset)?;
        if !self.take(")") {
            return Err(self.error("invalid conditional pattern", offset));
        }
        let id = self.mention(name, offset);
        self.out.push_str(&format!("<g{id}>)"));
        Ok(())
    }

    /// What follows `(?`: options, or the sign of another kind of group. False when it opened no group.
    fn options(&mut self, offset: usize) -> Result<bool, PatternError> {
        let after = self.rest().get(1..).unwrap_or_default();
        let letters = after.bytes().take_while(|b| b"imxadu-".contains(b)).count();
        let (letters, end) = (after.get(..letters).unwrap_or_default(), after.as_bytes().get(letters));
        let scoped = match (end, letters) {
            (Some(b':'), _) => true,
            (Some(b')'), l) if !l.is_empty() => false,
            (None, _) => return Err(self.error("end pattern in group", offset)),
            _ => {
                self.out.push('(');
                self.copy(2);
                return Ok(true);
            }
        };
        self.at += 1 + letters.len() + 1;
        self.switch(letters);
        let kept: String = letters.chars().filter(|c| !"adu".contains(*c)).collect();
        let kept = kept.trim_end_matches('-');
        if scoped {
            self.out.push_str(&format!("(?{kept}:"));
        } else if !kept.is_empty() {
            self.out.push_str(&format!("(?{kept})"));
        }
        Ok(scoped)
    }

    fn switch(&mut self, letters: &str) {
        let mut on = true;
        for letter in letters.chars() {
            match letter {
                '-' => on = false,
                'i' => self.flags.ignore_case = on,
                'x' => self.flags.extended = on,
                'u' => self.flags.unicode = on,
                'a' | 'd' => self.flags.unicode = !on,
                _ => {}
            }
        }
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let Some(open) = self.open.pop() else {
            return Err(self.error("unmatched close parenthesis", self.at - 1));
        };
        self.flags = open.flags_outside;
        self.out.push(')');
        Ok(())
    }

    // ---- classes

    /// The inside of `[...]`, nested classes included.
    fn class(&mut self) -> Result<(), PatternError> {
        let offset = self.at - 1;
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        // A bracket that would leave the class empty stands for itself, if another one closes.
        if self.rest().starts_with(']') && self.rest().get(1..).is_some_and(|rest| rest.contains(']')) {
            self.next();
            self.out.push_str("\\]");
        }
        while let Some(c) = self.next() {
            match c {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' => match posix_bracket(self.rest()) {
                    Some(length) => {
                        self.out.push('[');
                        self.copy(length);
                    }
                    None => self.class()?,
                },
                '\\' => self.class_escape()?,
                _ => self.out.push(c),
            }
        }
        Err(self.error("premature end of char-class", offset))
    }

    fn class_escape(&mut self) -> Result<(), PatternError> {
        let offset = self.at - 1;
        let Some(c) = self.next() else { return Err(self.error("too short escape sequence", offset)) };
        match ascii_members(c) {
            Some(_) if self.flags.unicode => self.out.extend(['\\', c]),
            Some(members) if c.is_ascii_lowercase() => self.out.push_str(members),
            Some(members) => self.out.push_str(&format!("[^{members}]")),
            None => {
                self.out.extend(['\\', c]);
                return Ok(());
            }
        }
        // After a class a hyphen stands for itself; after the ranges put here it might not.
        if self.rest().starts_with('-') && !self.rest().starts_with("-]") {
            self.next();
            self.out.push_str("\\-");
        }
        Ok(())
    }
}

/// The ASCII members of the class that `\c` stands for.
fn ascii_members(c: char) -> Option<&'static str> {
    match c.to_ascii_lowercase() {
        'w' => Some("_a-zA-Z0-9"),
        'd' => Some("0-9"),
        's' => Some("\\t-\\r "),
        'h' => Some("0-9a-fA-F"),
        _ => None,
    }
}

/// The length of `:alpha:]` or `:^alpha:]` at the start of `rest`.
fn posix_bracket(rest: &str) -> Option<usize> {
    let name = rest.strip_prefix(':')?;
    let name = name.strip_prefix('^').unwrap_or(name);
    let after = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let tail = after.strip_prefix(":]")?;
    Some(rest.len() - tail.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pattern: &str) -> String {
        translate(pattern).map_or_else(|error| error.to_string(), |translated| translated.text)
    }

    #[test]
    fn shorthand_classes_are_ascii() {
        assert_eq!(text(r"\w\D\s"), r"[_a-zA-Z0-9][^0-9][\t-\r ]");
        assert_eq!(text(r"[\w-]"), "[_a-zA-Z0-9-]");
        assert_eq!(text(r"[\w-x\S]"), r"[_a-zA-Z0-9\-x[^\t-\r ]]");
        assert_eq!(text(r"(?i)\w(?-i:\w)"), "(?i)(?-i:[_a-zA-Z0-9])(?-i:[_a-zA-Z0-9])");
        assert_eq!(text(r"(?u)\w(?a:\w)"), r"\w(?:[_a-zA-Z0-9])");
        assert_eq!(text(r"\\w[[:alpha:]\\w]"), r"\\w[[:alpha:]\\w]");
    }

    #[test]
    fn names_become_numbers() {
        let translated = translate(r"(?<[a][b]>x)(?<WORD:c-d>y)\k<[a][b]>(?<[a][b]>z)").unwrap();
        assert_eq!(translated.text, r"(?<g0>x)(?<g1>y)\k<g0>(?<g0>z)");
        let names: Vec<_> =
            translated.names.iter().map(|n| (n.name.as_str(), n.numbers.as_slice())).collect();
        assert_eq!(names, [("[a][b]", &[1, 3][..]), ("WORD:c-d", &[2])]);
        assert_eq!(text(r"\g<later>(?'later'x)(?(<later>)a|b)"), r"\g<g0>(?<g0>x)(?(<g0>)a|b)");
    }

    #[test]
    fn what_looks_like_a_group_but_is_none() {
        assert_eq!(text(r"\((?#(?<x>)[(?<n>]"), r"\([(?<n>]");
        assert_eq!(text("(?x) a # (\n b"), "(?x) a  b");
        assert_eq!(text(r"(?<=a)(?<!b)(?>c)(?=d)(?~e)"), r"(?<=a)(?<!b)(?>c)(?=d)(?~e)");
        assert_eq!(text("[]a]"), r"[\]a]");
        assert_eq!(text("[[:^digit:][a]&&[^b]]"), "[[:^digit:][a]&&[^b]]");
    }

    #[test]
    fn errors_have_an_offset() {
        for (pattern, message, offset) in [
            ("a(b(c)", "end pattern with unmatched parenthesis", 1),
            ("ab)", "unmatched close parenthesis", 2),
            ("a[b", "premature end of char-class", 1),
            ("(?<>a)", "group name is empty", 0),
            ("é(?<1a>a)", "invalid group name <1a>", 2),
            (r"a\k<nope>", "undefined name <nope> reference", 1),
            (r"a\", "too short escape sequence", 1),
        ] {
            let error = translate(pattern).err().unwrap();
            assert_eq!((error.message(), error.offset()), (message, Some(offset)), "{pattern}");
        }
    }
}
