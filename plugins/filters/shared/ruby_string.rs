//! `String#strip` and `String#split` as Ruby has them.

/// Blanks of Ruby's `strip` and of `split(" ")`: those of ASCII only.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// `String#strip`: blanks and NULs are taken off both ends.
pub(crate) fn ruby_strip(text: &str) -> &str {
    text.trim_matches(|c| c == '\0' || is_blank(c))
}

/// `String#split` with a string: one blank means any run of blanks, an empty string every character. Empty pieces at the
/// end are left out unless `keep_trailing` (Ruby's limit of -1).
pub(crate) fn ruby_split<'t>(text: &'t str, separator: &str, keep_trailing: bool) -> Vec<&'t str> {
    let mut pieces: Vec<&str> = match separator {
        _ if text.is_empty() => return Vec::new(),
        " " => split_at_blanks(text),
        "" => text.char_indices().filter_map(|(at, c)| text.get(at..at + c.len_utf8())).collect(),
        _ => text.split(separator).collect(),
    };
    if keep_trailing && separator.is_empty() {
        pieces.push("");
    }
    while !keep_trailing && pieces.last().is_some_and(|piece| piece.is_empty()) {
        pieces.pop();
    }
    pieces
}

/// Blanks at the beginning make no piece; what stands behind the last ones is one, also where it is empty.
fn split_at_blanks(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text.trim_start_matches(is_blank));
    while let Some((piece, after)) = rest.split_once(is_blank) {
        pieces.push(piece);
        rest = after.trim_start_matches(is_blank);
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strip() {
        assert_eq!(ruby_strip("\0\t a b\u{b}\r\n\0"), "a b");
        assert_eq!(ruby_strip("\u{a0}a\u{3000}"), "\u{a0}a\u{3000}");
    }

    #[test]
    fn split() {
        let table: [(&str, &str, &[&str], &[&str]); 9] = [
            ("a,b,,", ",", &["a", "b"], &["a", "b", "", ""]),
            (",a", ",", &["", "a"], &["", "a"]),
            (",", ",", &[], &["", ""]),
            ("", ",", &[], &[]),
            ("a::b:c", "::", &["a", "b:c"], &["a", "b:c"]),
            ("aé", "", &["a", "é"], &["a", "é", ""]),
            ("  a \t b\n", " ", &["a", "b"], &["a", "b", ""]),
            ("a", " ", &["a"], &["a"]),
            ("  ", " ", &[], &[""]),
        ];
        for (text, separator, dropped, kept) in table {
            assert_eq!(ruby_split(text, separator, false), dropped, "{text:?} at {separator:?}");
            assert_eq!(ruby_split(text, separator, true), kept, "{text:?} at {separator:?}, all");
        }
    }
}
