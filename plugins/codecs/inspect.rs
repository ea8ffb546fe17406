//! Text as Ruby's `String#inspect` shows it: in quotes, with escapes.

/// Appends `text` in quotes.
pub(crate) fn inspect(text: &str, out: &mut String) {
    out.push('"');
    escape(text, out);
    out.push('"');
}

/// The bytes without the quotes; what is not UTF-8 is written as `\xNN`.
pub(crate) fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        escape(chunk.valid(), &mut out);
        chunk.invalid().iter().for_each(|byte| push_hex(*byte, &mut out));
    }
    out
}

fn escape(text: &str, out: &mut String) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Otherwise Ruby would interpolate when it reads the text back.
            '#' if matches!(chars.peek(), Some('{' | '$' | '@')) => out.push_str("\\#"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            '\u{8}' => out.push_str("\\b"),
            '\u{7}' => out.push_str("\\a"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{7f}' => push_hex(0x7f, out),
            _ if is_printable(c) => out.push(c),
            _ if c <= '\u{ffff}' => out.push_str(&format!("\\u{:04X}", c as u32)),
            _ => out.push_str(&format!("\\u{{{:X}}}", c as u32)),
        }
    }
}

fn is_printable(c: char) -> bool {
    let noncharacter = c as u32 & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c);
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}') && !noncharacter
}

fn push_hex(byte: u8, out: &mut String) {
    out.push_str(&format!("\\x{byte:02X}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_ruby_shows_it() {
        let mut out = String::new();
        inspect("a\"b\\ #{x} #1 \n\t\u{1b}[0m\u{1}\u{7f}\u{85}\u{2028} é😀\u{10FFFF}", &mut out);
        let expected = r##""a\"b\\ \#{x} #1 \n\t\e[0m\u0001\x7F\u0085\u2028 é😀\u{10FFFF}""##;
        assert_eq!(out, expected);
    }

    #[test]
    fn what_is_not_utf8() {
        assert_eq!(escape_bytes(b"bad \xff\xc0\x80 \xe2\x82x \xc3("), r"bad \xFF\xC0\x80 \xE2\x82x \xC3(");
        assert_eq!(escape_bytes(b"{\"a\":\"x\xffy\"}"), r#"{\"a\":\"x\xFFy\"}"#);
    }
}
