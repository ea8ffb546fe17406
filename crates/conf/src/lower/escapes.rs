//! Escapes in strings, for `config.support_escapes`.

/// Replaces `\" \' \\ \n \r \t \0`; any other pair stays as it is.
pub(super) fn process(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(c @ ('"' | '\'' | '\\')) => out.push(c),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            other => {
                out.push('\\');
                out.extend(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::process;

    #[test]
    fn known_escapes_only() {
        assert_eq!(process(r#"a\tb\"c\\n\d\x41\0"#), "a\tb\"c\\n\\d\\x41\0");
        assert_eq!(process("end\\"), "end\\");
    }
}
