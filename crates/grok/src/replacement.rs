//! Replacement texts of `gsub`, as Ruby's `String#gsub` reads them.

use crate::matcher::{Captures, GroupName};

/// A replacement text, read once and used for every match.
///
/// | text | stands for |
/// |---|---|
/// | `\0` `\&` | the match |
/// | `\1` … `\9` | a group; nothing when it took no part or does not exist |
/// | `\k<name>` | the last group of that name that took part |
/// | `` \` `` `\'` | the text before, after the match |
/// | `\+` | the last group that took part |
/// | `\\` | a backslash |
///
/// A backslash before anything else, or at the end, stands for itself; so does a `$`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement<'r> {
    parts: Vec<Part<'r>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'r> {
    Text(&'r str),
    Group(usize),
    Name(&'r str),
    Before,
    After,
    LastGroup,
}

impl<'r> Replacement<'r> {
    /// Reads a replacement text.
    pub fn new(text: &'r str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            let (before, escape) = rest.split_at(at);
            let (part, length) = read_escape(escape);
            if !before.is_empty() {
                parts.push(Part::Text(before));
            }
            parts.push(part);
            rest = escape.get(length..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest));
        }
        Self { parts }
    }

    /// Writes the replacement for one match, in `subject`, to the end of `out`.
    pub(crate) fn expand(&self, subject: &str, captures: &Captures, names: &[GroupName], out: &mut String) {
        let whole = captures.get(0).unwrap_or(0..0);
        for part in &self.parts {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Group(number) => captures.text(*number, subject).unwrap_or_default(),
                Part::Name(name) => {
                    let numbers = names.iter().find(|known| known.name == *name).map(|known| &known.numbers);
                    let mut last_first = numbers.into_iter().flatten().rev();
                    last_first.find_map(|number| captures.text(*number, subject)).unwrap_or_default()
                }
                Part::Before => subject.get(..whole.start).unwrap_or_default(),
                Part::After => subject.get(whole.end..).unwrap_or_default(),
                Part::LastGroup => {
                    let mut last_first = (1..captures.len()).rev();
                    last_first.find_map(|number| captures.text(number, subject)).unwrap_or_default()
                }
            });
        }
    }

    /// The first `\k<name>` whose name is none of `names`: Ruby raises an error for it.
    pub(crate) fn unknown_name(&self, names: &[GroupName]) -> Option<&'r str> {
        self.parts.iter().find_map(|part| match part {
            Part::Name(name) if !names.iter().any(|known| known.name == *name) => Some(*name),
            _ => None,
        })
    }
}

/// Reads an escape at the start of `text`, which begins with a backslash; gives its length too.
fn read_escape(text: &str) -> (Part<'_>, usize) {
    let part = match text.as_bytes().get(1) {
        Some(digit @ b'0'..=b'9') => Part::Group(usize::from(digit - b'0')),
        Some(b'&') => Part::Group(0),
        Some(b'`') => Part::Before,
        Some(b'\'') => Part::After,
        Some(b'+') => Part::LastGroup,
        Some(b'\\') => Part::Text("\\"),
        Some(b'k') => {
            let name = text.get(2..).and_then(|rest| rest.strip_prefix('<')?.split_once('>'));
            match name {
                Some((name, _)) => return (Part::Name(name), name.len() + 4),
                None => return (Part::Text("\\"), 1),
            }
        }
        _ => return (Part::Text("\\"), 1),
    };
    (part, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_ruby_reads_them() {
        use Part::{After, Before, Group, LastGroup, Name, Text};
        let parts = |text| Replacement::new(text).parts;
        assert_eq!(parts(r"\2 at \1"), [Group(2), Text(" at "), Group(1)]);
        assert_eq!(parts(r"<\0\&>"), [Text("<"), Group(0), Group(0), Text(">")]);
        assert_eq!(parts(r"\k<v>=\k<v"), [Name("v"), Text("="), Text("\\"), Text("k<v")]);
        assert_eq!(parts(r"\`\'\+\\"), [Before, After, LastGroup, Text("\\")]);
        assert_eq!(parts("$1\\x\\"), [Text("$1"), Text("\\"), Text("x"), Text("\\")]);
        assert_eq!(parts(""), []);
    }
}
