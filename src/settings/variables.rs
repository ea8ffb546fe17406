//! `${VAR}` and `${VAR:default}` in settings files.
//!
//! The keystore answers first (its names ignore case), then the environment, then the default. In `logstash.yml` a
//! replaced value is also *refined*: one pair of enclosing quotes goes, and `[a, b]` becomes a list.

use std::collections::BTreeMap;

use super::kind::Raw;

/// What a keystore answers for a name.
pub type KeystoreLookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where the values of variables come from.
#[derive(Clone, Copy)]
pub(crate) struct Variables<'a> {
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) keystore: Option<&'a KeystoreLookup>,
}

/// A variable that nobody defines.
#[derive(Debug, thiserror::Error)]
#[error(
    "Cannot evaluate `{placeholder}`. Replacement variable `{name}` is not defined in a Logstash secret store or \
     as an Environment entry and there is no default value given."
)]
pub(crate) struct Undefined {
    pub(crate) placeholder: String,
    pub(crate) name: String,
}

impl Variables<'_> {
    /// The text with its variables replaced, or `None` when it has none.
    pub(crate) fn expand(&self, text: &str) -> Result<Option<String>, Undefined> {
        let mut out = String::new();
        let mut rest = text;
        let mut found = false;
        while let Some((before, placeholder, name, default, after)) = next_placeholder(rest) {
            found = true;
            out.push_str(before);
            let value = self.keystore.and_then(|lookup| lookup(name));
            match value.as_deref().or_else(|| self.env.get(name).map(String::as_str)).or(default) {
                Some(value) => out.push_str(value),
                None => {
                    return Err(Undefined { placeholder: placeholder.to_owned(), name: name.to_owned() });
                }
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(found.then_some(out))
    }
}

/// Text before, the placeholder, its name and default, and the text after it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str, Option<&str>, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("${")?;
        let inside = text.get(start + 2..)?;
        let name_len = inside.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_.".contains(b)).count();
        let (name, tail) = inside.split_at(name_len);
        let named = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        let default_and_end = if tail.starts_with('}') {
            Some((None, 1))
        } else {
            tail.strip_prefix(':').and_then(|d| Some((d.get(..d.find('}')?), d.find('}')? + 2)))
        };
        if let (true, Some((default, used))) = (named, default_and_end) {
            let end = start + 2 + name_len + used;
            return Some((text.get(..start)?, text.get(start..end)?, name, default, text.get(end..)?));
        }
        from = start + 2;
    }
}

/// Strips one pair of `'…'`, then one of `"…"`; a text in brackets becomes a list.
pub(crate) fn refine(text: &str) -> Raw {
    let text = unquote(text);
    match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some("") => Raw::List(Vec::new()),
        Some(inside) => {
            Raw::List(inside.split(',').map(|item| Raw::Text(unquote(item.trim()).to_owned())).collect())
        }
        None => Raw::Text(text.to_owned()),
    }
}

fn unquote(text: &str) -> &str {
    let strip = |text| str::strip_prefix(text, '\'').and_then(|t: &str| t.strip_suffix('\'')).unwrap_or(text);
    let text = strip(text);
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<Option<String>, String> {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("Both".to_owned(), "env".to_owned())]);
        let keystore = |name: &str| name.eq_ignore_ascii_case("both").then(|| "store".to_owned());
        Variables { env: &env, keystore: Some(&keystore) }.expand(text).map_err(|e| e.to_string())
    }

    #[test]
    fn keystore_then_environment_then_default() {
        assert_eq!(expand("x${A}y${A}"), Ok(Some("x1y1".into())));
        assert_eq!(expand("${Both}"), Ok(Some("store".into())));
        assert_eq!(expand("${NO:a:b}"), Ok(Some("a:b".into())));
        assert_eq!(expand("${NO:}!"), Ok(Some("!".into())));
        assert!(
            expand("${NO}").unwrap_err().starts_with("Cannot evaluate `${NO}`. Replacement variable `NO`")
        );
    }

    #[test]
    fn other_dollars_stay() {
        for text in ["$A", "${}", "${1A}", "${A", "${A-b}", "plain", "${NO:open"] {
            assert_eq!(expand(text), Ok(None), "{text}");
        }
        assert_eq!(expand("${ ${A}"), Ok(Some("${ 1".into())));
    }

    #[test]
    fn refine_strips_quotes_and_makes_lists() {
        assert_eq!(refine("'\"x\"'"), Raw::Text("x".into()));
        assert_eq!(refine("'"), Raw::Text("'".into()));
        assert_eq!(refine("[a, 'b']"), Raw::List(vec![Raw::Text("a".into()), Raw::Text("b".into())]));
    }
}
