//! `${VAR}` and `${VAR:default}` in settings files.
//!
//! The variables are those of configurations. In `logstash.yml` a replaced value is also *refined*: one pair of enclosing
//! quotes goes, and `[a, b]` becomes a list.

use super::kind::Raw;
use ferrostash_conf::Vars;

/// The text with its variables replaced, or `None` when that changes nothing.
pub(crate) fn expand(vars: &Vars, text: &str) -> Result<Option<String>, String> {
    let replaced = vars.replace(text)?;
    Ok((replaced != text).then_some(replaced))
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

    #[test]
    fn variables_are_those_of_configurations() {
        let vars = Vars::new().with_environment([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand(&vars, "x${A}y${NO:a:b}"), Ok(Some("x1ya:b".into())));
        assert_eq!(expand(&vars, "plain ${1A}"), Ok(None));
        assert!(expand(&vars, "${NO}").unwrap_err().starts_with("Cannot evaluate `${NO}`."));
    }

    #[test]
    fn refine_strips_quotes_and_makes_lists() {
        assert_eq!(refine("'\"x\"'"), Raw::Text("x".into()));
        assert_eq!(refine("'"), Raw::Text("'".into()));
        assert_eq!(refine("[a, 'b']"), Raw::List(vec![Raw::Text("a".into()), Raw::Text("b".into())]));
    }
}
