//! `uppercase`, `lowercase`, `capitalize`: Ruby's full Unicode mappings, which know no word and no language.

/// Which letters a string gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LetterCase {
    Upper,
    Capital,
    Lower,
}

impl LetterCase {
    /// Appends `text` in this case to `out`; `false`, and nothing appended, where it is in that case already.
    pub(super) fn write(self, text: &str, out: &mut String) -> bool {
        if text.is_ascii() {
            return self.write_ascii(text, out);
        }
        match self {
            LetterCase::Upper => out.extend(text.chars().flat_map(char::to_uppercase)),
            LetterCase::Lower => out.extend(text.chars().flat_map(char::to_lowercase)),
            LetterCase::Capital => {
                let mut chars = text.chars();
                chars.next().into_iter().for_each(|first| write_title(first, out));
                out.extend(chars.flat_map(char::to_lowercase));
            }
        }
        true
    }

    fn write_ascii(self, text: &str, out: &mut String) -> bool {
        let (first, rest) = match self {
            LetterCase::Capital => text.split_at(text.len().min(1)),
            _ => ("", text),
        };
        let changes = |byte: &u8| match self {
            LetterCase::Upper => byte.is_ascii_lowercase(),
            _ => byte.is_ascii_uppercase(),
        };
        if !rest.as_bytes().iter().any(changes) && !first.as_bytes().iter().any(u8::is_ascii_lowercase) {
            return false;
        }
        let start = out.len();
        out.push_str(text);
        let (head, tail) = out.split_at_mut(start + first.len());
        if let Some(head) = head.get_mut(start..) {
            head.make_ascii_uppercase();
        }
        match self {
            LetterCase::Upper => tail.make_ascii_uppercase(),
            _ => tail.make_ascii_lowercase(),
        }
        true
    }
}

/// Appends the title case of a letter: what a capitalized word begins with. It differs from upper case for letters
/// that stand for several.
fn write_title(c: char, out: &mut String) {
    const IOTA: char = '\u{399}';
    const IOTA_BELOW: char = '\u{345}';
    let shifted = |by: u32| char::from_u32(c as u32 + by).unwrap_or(c);
    match c {
        'Ǆ'..='ǆ' => out.push('ǅ'),
        'Ǉ'..='ǉ' => out.push('ǈ'),
        'Ǌ'..='ǌ' => out.push('ǋ'),
        'Ǳ'..='ǳ' => out.push('ǲ'),
        // Georgian writes no capitals in titles.
        '\u{10d0}'..='\u{10ff}' => out.push(c),
        '\u{1f80}'..='\u{1faf}' => out.push(char::from_u32(c as u32 | 8).unwrap_or(c)),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => out.push(shifted(9)),
        '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}' => out.push(c),
        'ŉ' => out.extend(c.to_uppercase()),
        _ => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            out.extend(
                upper.flat_map(|c| if c == IOTA { IOTA_BELOW.to_lowercase() } else { c.to_lowercase() }),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(case: LetterCase, text: &str) -> String {
        let mut out = String::new();
        if case.write(text, &mut out) { out } else { text.to_owned() }
    }

    #[test]
    fn cases() {
        let table = [
            ("Hello World", "HELLO WORLD", "hello world", "Hello world"),
            ("éCOLE Été", "ÉCOLE ÉTÉ", "école été", "École été"),
            ("straße", "STRASSE", "straße", "Straße"),
            ("ß", "SS", "ß", "Ss"),
            ("ǆ Ǆ", "Ǆ Ǆ", "ǆ ǆ", "ǅ ǆ"),
            ("İstanbul ıI", "İSTANBUL II", "i̇stanbul ıi", "İstanbul ıi"),
            // No final sigma.
            ("ΑΣ ΣΑΣ", "ΑΣ ΣΑΣ", "ασ σασ", "Ασ σασ"),
            ("ﬁx", "FIX", "ﬁx", "Fix"),
            ("ŉ", "ʼN", "ŉ", "ʼN"),
            ("ᾳᾳ", "ΑΙΑΙ", "ᾳᾳ", "ᾼᾳ"),
            ("ᾴ", "ΆΙ", "ᾴ", "Ά\u{345}"),
            ("აბ", "ᲐᲑ", "აბ", "აბ"),
            ("1st PLACE", "1ST PLACE", "1st place", "1st place"),
            ("", "", "", ""),
        ];
        for (text, upper, lower, capital) in table {
            assert_eq!(write(LetterCase::Upper, text), upper);
            assert_eq!(write(LetterCase::Lower, text), lower);
            assert_eq!(write(LetterCase::Capital, text), capital);
        }
    }

    #[test]
    fn what_is_in_the_case_already_is_not_copied() {
        let mut out = String::new();
        assert!(!LetterCase::Lower.write("abc 1", &mut out));
        assert!(!LetterCase::Upper.write("ABC", &mut out));
        assert!(!LetterCase::Capital.write("Abc", &mut out));
        assert!(!LetterCase::Capital.write("", &mut out));
        assert_eq!(out, "");
    }
}
