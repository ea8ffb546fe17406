//! YAML files of cases as [`Json`].

use crate::json::Json;
use anyhow::{Context as _, Result, bail};
use granit_parser::{Event, Parser, ScalarStyle, options};

enum Open {
    List(Vec<Json>),
    Map(Vec<(String, Json)>, Option<String>),
}

/// Reads the one document of `text`.
pub(crate) fn parse(text: &str) -> Result<Json> {
    let mut open: Vec<Open> = Vec::new();
    for next in Parser::new_from_str_with_options(text, options! { emit_comments: false }) {
        let (event, _) = next.map_err(|error| anyhow::anyhow!("{error}"))?;
        let value = match event {
            Event::Scalar(value, style, ..) => scalar(&value, style),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop().context("an end without a start")? {
                Open::List(items) => Json::List(items),
                Open::Map(entries, _) => Json::Map(entries),
            },
            Event::Alias(_) => bail!("aliases are not supported"),
            _ => continue,
        };
        match open.last_mut() {
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, value)),
                None => *key = Some(value.to_setting()),
            },
            None => return Ok(value),
        }
    }
    Ok(Json::Null)
}

/// What YAML 1.1 makes of a scalar: a number with an exponent needs a point, `yes` is true.
fn scalar(value: &str, style: ScalarStyle) -> Json {
    if style != ScalarStyle::Plain {
        return Json::Text(value.to_owned());
    }
    match value {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "on" | "On" => return Json::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "off" | "Off" => return Json::Bool(false),
        _ => {}
    }
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits != ".";
    if is_number && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Json::Int(value.trim_start_matches('+').to_owned());
    }
    match value.parse::<f64>() {
        Ok(number) if is_number && digits.contains('.') => Json::Float(number),
        _ => Json::Text(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cases() {
        let text = "- name: a\n  config: |\n    filter { }\n  input:\n    - {\"n\": 1.0, \"s\": \"1\", b: [yes, null, 1e5]}\n";
        let expected = r#"[{"name": "a", "config": "filter { }\n", "input": [{"n": 1.0, "s": "1", "b": [true, null, "1e5"]}]}]"#;
        assert_eq!(parse(text).unwrap().to_string(), expected);
    }

    #[test]
    fn plain_scalars_have_their_types() {
        let plain = |text: &str| scalar(text, ScalarStyle::Plain).to_string();
        assert_eq!(plain("12345678901234567890"), "12345678901234567890");
        assert_eq!(plain("-0.0"), "-0.0");
        assert_eq!(plain("1.0e+20"), "1e20");
        assert_eq!(plain("1.2.3"), "\"1.2.3\"");
        assert_eq!(plain("nan"), "\"nan\"");
    }
}
