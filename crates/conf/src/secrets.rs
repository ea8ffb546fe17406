//! Keeps passwords out of excerpts.
//!
//! An error may stand on the same line as a password, or be one about it, and before a file has been understood nobody knows
//! which option is one. So excerpts hide by look: what stands behind a telling name, and the password of a URL. Rather too much
//! than too little.

use std::borrow::Cow;
use std::ops::Range;

/// What the name of something secret contains, with `_` for `-`.
const TELLING: [&str; 9] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "cloud_auth",
    "jaas_config",
    "authorization",
    "cookie",
];

/// The same text of a pipeline, byte for byte as long, with `*` in place of secrets.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    masked(text, false)
}

/// The same for YAML, where a value needs no quotes and ends with its line.
pub fn mask_yaml(text: &str) -> Cow<'_, str> {
    masked(text, true)
}

fn masked(text: &str, is_yaml: bool) -> Cow<'_, str> {
    let mut hidden = Vec::new();
    named_values(text, is_yaml, &mut hidden);
    url_passwords(text, &mut hidden);
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    hidden.sort_unstable_by_key(|range| range.start);
    let mut masked = String::with_capacity(text.len());
    let mut ranges = hidden.into_iter().peekable();
    for (at, c) in text.char_indices() {
        while ranges.next_if(|range| range.end <= at).is_some() {}
        let inside = ranges.peek().is_some_and(|range| range.contains(&at));
        match inside && c != '\n' && c != '\r' {
            true => masked.extend(std::iter::repeat_n('*', c.len_utf8())),
            false => masked.push(c),
        }
    }
    Cow::Owned(masked)
}

type Ranges = Vec<Range<usize>>;

/// `…password… => "…"`, also with quotes around the name, with a wrong mark for the arrow or none, and `…password…: …` of YAML.
fn named_values(text: &str, is_yaml: bool, hidden: &mut Ranges) {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let skipped = rest.find(is_of_name).unwrap_or(rest.len());
        let name = rest.get(skipped..).unwrap_or("");
        let name = name.get(..name.find(|c| !is_of_name(c)).unwrap_or(name.len())).unwrap_or("");
        at += skipped + name.len();
        let name = name.to_ascii_lowercase().replace('-', "_");
        if TELLING.iter().any(|word| name.contains(word)) {
            at = Values { text, is_yaml, at, hidden }.behind_a_name().max(at);
        }
    }
}

/// Looks through what stands behind a telling name.
struct Values<'t, 'h> {
    text: &'t str,
    is_yaml: bool,
    at: usize,
    hidden: &'h mut Ranges,
}

impl<'t> Values<'t, '_> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Steps over `mark` if it stands here.
    fn take(&mut self, mark: &str) -> bool {
        let is_here = self.rest().starts_with(mark);
        self.at += if is_here { mark.len() } else { 0 };
        is_here
    }

    /// Steps over blanks and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let rest = self.rest();
            if !rest.starts_with('#') {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// Hides the value; gives the place behind it.
    fn behind_a_name(mut self) -> usize {
        let _ = self.take("\"") || self.take("'");
        self.skip();
        let has_colon = self.take(":");
        let has_mark = self.take("=>") || self.take("=");
        if has_mark && self.rest().starts_with('=') {
            // A comparison.
            return self.at;
        }
        self.skip();
        match self.rest().chars().next() {
            Some('"' | '\'') => self.string(),
            Some('[') if has_mark || has_colon => self.items(']'),
            Some('{') if has_mark || has_colon => self.items('}'),
            Some(_) if has_colon && self.is_yaml => self.word(|c| c == '\n'),
            Some(_) if has_mark => self.word(|c| c.is_whitespace() || ",]}#".contains(c)),
            _ => {}
        }
        self.at
    }

    /// All strings and words up to `end`.
    fn items(&mut self, end: char) {
        self.at += 1;
        loop {
            self.skip();
            let Some(c) = self.rest().chars().next() else { return };
            match c {
                '"' | '\'' => self.string(),
                '[' => self.items(']'),
                '{' => self.items('}'),
                c if c == end => {
                    self.at += 1;
                    return;
                }
                c if c.is_ascii_alphanumeric() || c == '$' => {
                    self.word(|c| c.is_whitespace() || ",]}#=".contains(c));
                }
                c => self.at += c.len_utf8(),
            }
        }
    }

    /// A string ends at its own mark, unless a backslash stands before that.
    fn string(&mut self) {
        let Some(mark) = self.rest().chars().next() else { return };
        self.at += 1;
        let rest = self.rest();
        let mut end = 0;
        while let Some(found) = rest.get(end..).and_then(|rest| rest.find(mark)) {
            end += found;
            if !rest.get(..end).is_some_and(|before| before.ends_with('\\')) {
                break;
            }
            end += 1;
        }
        let is_closed = rest.get(end..).is_some_and(|rest| rest.starts_with(mark));
        let length = if is_closed { end } else { rest.len() };
        self.hide(length);
        self.at += usize::from(is_closed);
    }

    fn word(&mut self, is_end: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.hide(rest.find(is_end).unwrap_or(rest.len()));
    }

    /// Hides the next bytes, but for names of variables: they name a secret without being one. Their defaults may be one.
    fn hide(&mut self, length: usize) {
        let end = self.at + length;
        while self.at < end {
            let rest = self.text.get(self.at..end).unwrap_or("");
            let (plain, variable) = match rest.find("${") {
                Some(found) => (found, rest.get(found..).unwrap_or("")),
                None => (rest.len(), ""),
            };
            self.hidden.push(self.at..self.at + plain);
            self.at += plain;
            self.at += variable.find([':', '}']).map_or(variable.len(), |stop| stop + 1);
        }
        self.at = end;
    }
}

/// `scheme://user:password@host`. A password may hold what has no place in an address.
fn url_passwords(text: &str, hidden: &mut Ranges) {
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = text.get(start..).unwrap_or("");
        let end = rest.find(|c: char| c.is_whitespace() || "\"'".contains(c)).unwrap_or(rest.len());
        if let Some((user, _)) = rest.get(..end).unwrap_or("").rsplit_once('@')
            && let Some(colon) = user.find(':')
        {
            hidden.push(start + colon + 1..start + user.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{mask, mask_yaml};

    #[test]
    fn hides_what_looks_like_a_secret() {
        for (text, masked) in [
            ("password => \"hunter2\" port => 1", "password => \"*******\" port => 1"),
            ("token => ['ab', \"c\"] x => 'y'", "token => ['**', \"*\"] x => 'y'"),
            ("'api_key' => 'a:b'", "'api_key' => '***'"),
            ("{ \"X-Api-Key\" => \"a\" \"b\" => \"c\" }", "{ \"X-Api-Key\" => \"*\" \"b\" => \"c\" }"),
            ("{ 'Authorization' => 'ApiKey a' }", "{ 'Authorization' => '********' }"),
            ("secrets => { \"a\" => \"b\" } x => y", "secrets => { \"*\" => \"*\" } x => y"),
            // The other mark, and a mark with a backslash, end no string.
            (
                "jaas_config => 'a.B required password=\"x\";' topics => 'y'",
                "jaas_config => '**************************' topics => 'y'",
            ),
            (
                r#"jaas_config => "a password=\"x\";" topics => "y""#,
                r#"jaas_config => "*****************" topics => "y""#,
            ),
            // Words, numbers, and what is not written as it should be.
            ("password => changeme x", "password => ******** x"),
            ("password => 12345}", "password => *****}"),
            ("password \"hunter2\" x", "password \"*******\" x"),
            ("password = 'hunter2'", "password = '*******'"),
            ("password => 'hunter2", "password => '*******"),
            ("password => # prod\n 'x' y", "password => # prod\n '*' y"),
            ("password # prod\n => 'x' y", "password # prod\n => '*' y"),
            ("password: 'hunter2' x", "password: '*******' x"),
            ("the token: it has ended", "the token: it has ended"),
            // Variables, but not their defaults, nor what stands beside them.
            ("password => \"${ES_PW}\"", "password => \"${ES_PW}\""),
            ("password => \"${PW:hunter2}\"", "password => \"${PW:********\""),
            ("cloud_auth => \"${USER}:x\"", "cloud_auth => \"${USER}**\""),
            ("hosts => [\"http://me:pw@es:9200\"]", "hosts => [\"http://me:**@es:9200\"]"),
            ("hosts => 'http://me:a#b/c@es'", "hosts => 'http://me:*****@es'"),
            ("if [token] == \"x\" and [password] in ['y']", "if [token] == \"x\" and [password] in ['y']"),
            ("tokenizer", "tokenizer"),
            ("the option `password` of filter `x`", "the option `password` of filter `x`"),
        ] {
            assert_eq!(mask(text), masked);
        }
        assert_eq!(mask_yaml("a.password: my own one # x\nb: c"), "a.password: **************\nb: c");
    }
}
