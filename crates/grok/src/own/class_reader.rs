//! The inside of `[...]`, and escapes that stand for a character or a set.

use super::class::CharSet;
use super::parse::Unsupported;

/// Classes within classes.
const DEPTH_MAX: usize = 20;

/// A class as read.
#[derive(Debug)]
pub(super) struct Class {
    /// What it lists.
    pub(super) set: CharSet,
    /// Whether it stands for everything else.
    pub(super) negated: bool,
}

/// What an escape stands for.
#[derive(Debug)]
pub(super) enum Member {
    /// One character.
    Char(char),
    /// Several.
    Set(CharSet),
}

/// Reads a class behind its bracket, and says how long it is.
pub(super) fn read(text: &str) -> Result<(Class, usize), Unsupported> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let class = reader.class()?;
    Ok((class, reader.at))
}

/// What `\c` stands for, in and outside of classes, and how long the part of it in `rest` is.
pub(super) fn escape(c: char, rest: &str) -> Result<(Member, usize), Unsupported> {
    let plain = |c| Ok((Member::Char(c), 0));
    match c {
        't' => plain('\t'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        'f' => plain('\x0C'),
        'v' => plain('\x0B'),
        'a' => plain('\x07'),
        'e' => plain('\x1B'),
        'x' => hexadecimal(rest),
        'u' => {
            let code = rest.get(..4).and_then(number).and_then(char::from_u32);
            code.map(|c| (Member::Char(c), 4)).ok_or(Unsupported("an odd escape"))
        }
        'p' | 'P' => property(c == 'P', rest),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => plain(c),
        _ => Err(Unsupported("an odd escape")),
    }
}

/// A hexadecimal number.
fn number(digits: &str) -> Option<u32> {
    let digits_only = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits_only { u32::from_str_radix(digits, 16).ok() } else { None }
}

/// `\xHH` below 80 and `\x{H...}`.
fn hexadecimal(rest: &str) -> Result<(Member, usize), Unsupported> {
    let odd = Unsupported("an odd escape");
    let (digits, length) = match rest.strip_prefix('{') {
        Some(inner) => {
            let end = inner.find('}').filter(|end| (1..=8).contains(end)).ok_or(odd)?;
            (inner.get(..end).ok_or(odd)?, end + 2)
        }
        None => {
            let digits = rest.get(..2).ok_or(odd)?;
            // Bytes of a longer character may be written one by one.
            if number(digits).is_none_or(|code| code >= 0x80) {
                return Err(odd);
            }
            (digits, 2)
        }
    };
    let c = number(digits).and_then(char::from_u32).ok_or(odd)?;
    Ok((Member::Char(c), length))
}

/// `\p{Name}`, `\p{^Name}` and `\P{Name}`.
fn property(negated: bool, rest: &str) -> Result<(Member, usize), Unsupported> {
    let unknown = Unsupported("an unknown property");
    let inner = rest.strip_prefix('{').ok_or(unknown)?;
    let end = inner.find('}').ok_or(unknown)?;
    let name = inner.get(..end).ok_or(unknown)?;
    let (name, not) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let mut set = CharSet::property(name).ok_or(unknown)?;
    if negated != not {
        set.negate();
    }
    if set.is_empty() {
        return Err(unknown);
    }
    Ok((Member::Set(set), end + 2))
}

/// What came last.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Nothing,
    /// One character, which may begin a range.
    Char(char),
    /// A character and a hyphen.
    Range(char),
    /// A range or a class.
    Whole,
    /// A property.
    Property,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
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

    fn class(&mut self) -> Result<Class, Unsupported> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Unsupported("nested too deeply"));
        }
        let negated = self.take("^");
        if self.rest().starts_with(']') {
            return Err(Unsupported("an odd class"));
        }
        let (mut all, mut part) = (None::<CharSet>, CharSet::default());
        let mut last = Last::Nothing;
        loop {
            let Some(c) = self.next() else { return Err(Unsupported("an unfinished class")) };
            match c {
                ']' => {
                    end_part(&mut part, last);
                    break;
                }
                '&' if self.take("&") => {
                    end_part(&mut part, last);
                    join(&mut all, std::mem::take(&mut part));
                    last = Last::Nothing;
                }
                '[' => {
                    finish(&mut part, last)?;
                    last = self.nested(&mut part)?;
                }
                '-' => last = self.hyphen(&mut part, last)?,
                '\\' => match self.escape()? {
                    Member::Char(c) => last = add(&mut part, last, c)?,
                    Member::Set(set) => {
                        finish(&mut part, last)?;
                        part.union(&set);
                        last = Last::Property;
                    }
                },
                c => last = add(&mut part, last, c)?,
            }
        }
        join(&mut all, part);
        self.depth -= 1;
        Ok(Class { set: all.unwrap_or_default(), negated })
    }

    /// A class or a POSIX bracket in a class.
    fn nested(&mut self, part: &mut CharSet) -> Result<Last, Unsupported> {
        if let Some((set, length)) = self.posix()? {
            self.at += length;
            part.union(&set);
            return Ok(Last::Property);
        }
        let inner = self.class()?;
        let mut set = inner.set;
        if inner.negated {
            set.negate();
        }
        part.union(&set);
        Ok(Last::Whole)
    }

    /// `:alpha:]` and its length.
    fn posix(&self) -> Result<Option<(CharSet, usize)>, Unsupported> {
        let Some(inner) = self.rest().strip_prefix(':') else { return Ok(None) };
        let odd = Unsupported("an odd class");
        let (name, _) = inner.split_once(":]").ok_or(odd)?;
        let length = 1 + name.len() + 2;
        let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
            "upper", "xdigit", "ascii", "word",
        ];
        let mut set = NAMES.contains(&name).then(|| CharSet::property(name)).flatten().ok_or(odd)?;
        if negated {
            self.refuse_nested_negation()?;
            set.negate();
        }
        Ok(Some((set, length)))
    }

    /// The other engine keeps more of a negated property than its members, which a nested negation then shows.
    fn refuse_nested_negation(&self) -> Result<(), Unsupported> {
        if self.depth > 1 { Err(Unsupported("a negated property in a nested class")) } else { Ok(()) }
    }

    fn hyphen(&mut self, part: &mut CharSet, last: Last) -> Result<Last, Unsupported> {
        let closes = self.rest().starts_with(']') || self.rest().starts_with("&&");
        match last {
            Last::Nothing => Ok(Last::Char('-')),
            Last::Char(c) if !closes => Ok(Last::Range(c)),
            Last::Char(_) | Last::Range(_) | Last::Whole => add(part, last, '-'),
            Last::Property if closes => add(part, last, '-'),
            Last::Property => Err(Unsupported("an odd class")),
        }
    }

    fn escape(&mut self) -> Result<Member, Unsupported> {
        let c = self.next().ok_or(Unsupported("an unfinished class"))?;
        if c == 'P' || (c == 'p' && self.rest().starts_with("{^")) {
            self.refuse_nested_negation()?;
        }
        let (member, length) = escape(c, self.rest())?;
        self.at += length;
        Ok(member)
    }
}

/// Takes a character in.
fn add(part: &mut CharSet, last: Last, c: char) -> Result<Last, Unsupported> {
    if let Last::Range(low) = last {
        if low > c {
            return Err(Unsupported("an empty range"));
        }
        part.add(u32::from(low), u32::from(c));
        return Ok(Last::Whole);
    }
    finish(part, last)?;
    Ok(Last::Char(c))
}

/// Before something that is no character.
fn finish(part: &mut CharSet, last: Last) -> Result<(), Unsupported> {
    match last {
        Last::Char(c) => part.add(u32::from(c), u32::from(c)),
        Last::Range(_) => return Err(Unsupported("an odd class")),
        Last::Nothing | Last::Whole | Last::Property => {}
    }
    Ok(())
}

/// At the end, where a hyphen has been read as itself.
fn end_part(part: &mut CharSet, last: Last) {
    if let Last::Char(c) = last {
        part.add(u32::from(c), u32::from(c));
    }
}

fn join(all: &mut Option<CharSet>, part: CharSet) {
    match all {
        Some(all) => all.intersect(&part),
        None => *all = Some(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Option<String> {
        let (class, length) = read(text.strip_prefix('[').unwrap()).ok()?;
        assert_eq!(length + 1, text.len(), "{text}");
        let mut set = class.set;
        if class.negated {
            set.negate();
        }
        Some("\t !&-0123abcxyzABCé漢".chars().filter(|c| set.contains(*c)).collect())
    }

    #[test]
    fn classes_list_their_members() {
        for (text, expected) in [
            ("[abc]", "abc"),
            ("[a-c0-2-]", "-012abc"),
            ("[-a]", "-a"),
            ("[^a-z\\t 0-9]", "!&-ABCé漢"),
            ("[a-z&&[^b]]", "acxyz"),
            ("[a[bc]]", "abc"),
            ("[[:alpha:]&&[^a-zA-Z]]", "é漢"),
            ("[a&&b]", ""),
            ("[\\x41\\u00e9\\x{6F22}]", "Aé漢"),
            ("[\\p{Lu}\\-]", "-ABC"),
            ("[a&b]", "&ab"),
            ("[ --]", " !&-"),
        ] {
            assert_eq!(members(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn doubtful_classes_are_for_the_other_engine() {
        for text in
            ["[z-a]", "[]a]", "[a", "[[:nope:]]", "[\\xE9]", "[\\w]", "[a-[b]]", "[\\p{Nope}]", "[\\p{Lu}-a]"]
        {
            assert!(read(&text[1..]).is_err(), "{text}");
        }
    }
}
