//! Keeps passwords out of excerpts.
//!
//! An error may stand on the same line as a password, and before a file has been understood nobody knows which
//! option is one. So excerpts hide by look: strings behind a telling option name, and the password of a URL.

use std::borrow::Cow;

/// What the name of an option with a secret contains.
const TELLING: [&str; 7] =
    ["password", "passphrase", "secret", "token", "api_key", "cloud_auth", "jaas_config"];

/// The same text, byte for byte as long, with `*` in place of secrets.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    let mut hidden = Vec::new();
    option_values(text, &mut hidden);
    url_passwords(text, &mut hidden);
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let cover = |(at, c): (usize, char)| {
        let inside = hidden.iter().any(|range| range.contains(&at));
        if inside && c != '\n' && c != '\r' { "*".repeat(c.len_utf8()) } else { c.to_string() }
    };
    Cow::Owned(text.char_indices().map(cover).collect())
}

type Ranges = Vec<std::ops::Range<usize>>;

/// `…password… => "…"`, also with quotes around the name.
fn option_values(text: &str, hidden: &mut Ranges) {
    for (arrow, _) in text.match_indices("=>") {
        let before = text.get(..arrow).unwrap_or("").trim_end().trim_end_matches(['"', '\'']);
        let name_start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let name = before.get(name_start.map_or(0, |at| at + 1)..).unwrap_or("").to_ascii_lowercase();
        if !TELLING.iter().any(|word| name.contains(word)) {
            continue;
        }
        strings_at(text, arrow + 2, hidden);
    }
}

/// The string behind `start`, or all strings of the list there.
fn strings_at(text: &str, start: usize, hidden: &mut Ranges) {
    let blanks = |at: usize| {
        let rest = text.get(at..).unwrap_or("");
        at + (rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',').len())
    };
    let mut at = blanks(start);
    let in_list = text.get(at..).is_some_and(|rest| rest.starts_with('['));
    if in_list {
        at = blanks(at + 1);
    }
    while let Some(quote) =
        text.get(at..).and_then(|rest| rest.chars().next()).filter(|c| matches!(c, '"' | '\''))
    {
        let inner = text.get(at + 1..).unwrap_or("");
        let length = inner.find(quote).unwrap_or(inner.len());
        // A variable names a secret without being one.
        if !inner.starts_with("${") {
            hidden.push(at + 1..at + 1 + length);
        }
        if !in_list {
            return;
        }
        at = blanks(at + 1 + length + 1);
    }
}

/// `scheme://user:password@host`.
fn url_passwords(text: &str, hidden: &mut Ranges) {
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = text.get(start..).unwrap_or("");
        let authority = rest.find(|c: char| c.is_whitespace() || "/\"'?#".contains(c)).unwrap_or(rest.len());
        let authority = rest.get(..authority).unwrap_or("");
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some(colon) = user.find(':')
        {
            hidden.push(start + colon + 1..start + user.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn hides_what_looks_like_a_secret() {
        assert_eq!(mask("password => \"hunter2\" port => 1"), "password => \"*******\" port => 1");
        assert_eq!(mask("token => ['ab', \"c\"] x => 'y'"), "token => ['**', \"*\"] x => 'y'");
        assert_eq!(mask("'api_key' => 'a:b'"), "'api_key' => '***'");
        assert_eq!(mask("hosts => [\"http://me:pw@es:9200\"]"), "hosts => [\"http://me:**@es:9200\"]");
        assert_eq!(mask("password => \"${ES_PW}\""), "password => \"${ES_PW}\"");
        assert_eq!(mask("tokenizer"), "tokenizer");
        let line = "sasl_jaas_config => 'a.B required password=\"x\";' topics => 'y'";
        assert_eq!(mask(line), "sasl_jaas_config => '**************************' topics => 'y'");
    }
}
