//! The answer to a bulk request.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// What became of one document.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    #[serde(default)]
    pub(super) status: u16,
    error: Option<Value>,
}

impl Outcome {
    /// The type of the error, as Elasticsearch names it.
    pub(super) fn error_type(&self) -> Option<&str> {
        self.error.as_ref()?.get("type")?.as_str()
    }

    /// The error as JSON.
    pub(super) fn error_text(&self) -> String {
        self.error.as_ref().map(Value::to_string).unwrap_or_default()
    }
}

/// What became of a request that was answered with success.
#[derive(Debug)]
pub(super) enum Answer {
    /// Every document is accepted.
    Accepted,
    /// One outcome for each document, in order.
    Outcomes(Vec<Outcome>),
    /// It can't be told which documents are accepted.
    Unclear(String),
}

/// The list of items, and the end of its first one, are looked for in so many bytes.
const FRONT_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
struct Overview {
    errors: Option<bool>,
    items: Option<Vec<IgnoredAny>>,
}

impl Overview {
    /// What is said of the whole request, with the number of items. An item that stands there again and again, as those of
    /// accepted documents do, is read once.
    fn read(body: &[u8]) -> serde_json::Result<(Overview, Option<usize>)> {
        let Some(Repeated { front, item, times, back }) = Repeated::find(body) else {
            let overview: Overview = serde_json::from_slice(body)?;
            let items = overview.items.as_ref().map(Vec::len);
            return Ok((overview, items));
        };
        let short = [front, item, back].concat();
        let overview: Overview = serde_json::from_slice(&short)?;
        let items = overview.items.as_ref().map(|items| items.len() + times - 1);
        Ok((overview, items))
    }
}

/// An answer whose list of items begins with the same item several times: `front`, the items, `back`.
struct Repeated<'b> {
    front: &'b [u8],
    item: &'b [u8],
    times: usize,
    back: &'b [u8],
}

impl Repeated<'_> {
    /// Without the repetitions the answer is as well formed as it is with them: the item is complete, and only plain
    /// members of the answer itself stand in front of the list.
    fn find(body: &[u8]) -> Option<Repeated<'_>> {
        const LIST: &[u8] = b"\"items\":[";
        const END: &[u8] = b"}}";
        let list =
            body.get(..FRONT_BYTES_MAX).unwrap_or(body).windows(LIST.len()).position(|part| part == LIST)?;
        let (members, rest) = (body.get(1..list)?, body.get(list + LIST.len()..)?);
        if body.first() != Some(&b'{') || members.iter().any(|byte| br"{[\".contains(byte)) {
            return None;
        }
        let end =
            rest.get(..FRONT_BYTES_MAX).unwrap_or(rest).windows(END.len()).position(|part| part == END)?;
        let (item, mut back) = rest.split_at_checked(end + END.len())?;
        serde_json::from_slice::<IgnoredAny>(item).ok()?;
        let mut times = 1;
        while let Some(next) = back.strip_prefix(b",").and_then(|next| next.strip_prefix(item)) {
            (times, back) = (times + 1, next);
        }
        Some(Repeated { front: body.get(..list + LIST.len())?, item, times, back })
    }
}

#[derive(Deserialize)]
struct Details {
    items: Vec<HashMap<String, Outcome>>,
}

impl Answer {
    /// Reads the body of an answer to a request for `sent` documents.
    pub(super) fn read(body: &[u8], sent: usize) -> Answer {
        let (overview, items) = match Overview::read(body) {
            Ok(overview) => overview,
            Err(error) => {
                return Answer::Unclear(format!("the answer to a bulk request is not understood: {error}"));
            }
        };
        match items {
            // A bulk_path of one's own may ask for no items.
            None if overview.errors == Some(false) || body.trim_ascii() == b"{}" => Answer::Accepted,
            Some(got) if got == sent && overview.errors == Some(false) => Answer::Accepted,
            Some(got) if got == sent => Answer::details(body),
            got => Answer::Unclear(format!(
                "Sent {sent} documents but Elasticsearch returned {} responses (likely a bug with _bulk endpoint)",
                got.unwrap_or(0)
            )),
        }
    }

    fn details(body: &[u8]) -> Answer {
        match serde_json::from_slice::<Details>(body) {
            Ok(Details { items }) if items.iter().all(|item| item.len() == 1) => {
                Answer::Outcomes(items.into_iter().flat_map(HashMap::into_values).collect())
            }
            Ok(_) => Answer::Unclear("an item of the answer to a bulk request has not one action".into()),
            Err(error) => Answer::Unclear(format!("the answer to a bulk request is not understood: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, sent: usize) -> Answer {
        Answer::read(body.as_bytes(), sent)
    }

    #[test]
    fn success_is_short() {
        assert!(matches!(
            read(r#"{"errors":false,"items":[{"index":{"status":201}}]}"#, 1),
            Answer::Accepted
        ));
        assert!(matches!(read(r#"{"errors":false}"#, 3), Answer::Accepted));
    }

    #[test]
    fn items_that_repeat_count_as_if_they_were_read_one_by_one() {
        let item = r#"{"create":{"status":201}}"#;
        let other = r#"{"create":{"status":409,"error":{"type":"x"}}}"#;
        let open = r#"{"create":{"a":{}},"b":1}"#;
        for front in [
            r#"{"took":1,"errors":false,"#,
            "{",
            " {",
            r#"{"a":{"#,
            r#"{"a":[""#,
            r#"{"a":"\","#,
            r#"{"items":[],"#,
            "[",
            "",
        ] {
            for items in [
                vec![],
                vec![item],
                vec![item; 5],
                vec![item, item, other, item],
                vec![other, other],
                vec![open, open],
                vec![r#"{"create":{"a":{}}"#, open],
                vec!["{}", "{}}"],
                vec!["1", "1"],
                vec![item, "", item],
            ] {
                for back in [r#"],"errors":true}"#, "]}", "]} ", "]", "]]}", ",]}", ""] {
                    let body = format!("{front}\"items\":[{}{back}", items.join(","));
                    let slow = serde_json::from_str::<Overview>(&body)
                        .map(|all| (all.errors, all.items.map(|all| all.len())));
                    let quick = Overview::read(body.as_bytes()).map(|(all, items)| (all.errors, items));
                    assert_eq!(quick.ok(), slow.ok(), "{body}");
                }
            }
        }
    }

    #[test]
    fn each_document_has_its_outcome() {
        let body = r#"{"errors":true,"items":[{"index":{"status":201}},
            {"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"x"}}}]}"#;
        let Answer::Outcomes(outcomes) = read(body, 2) else { panic!("no outcomes") };
        assert_eq!((outcomes[0].status, outcomes[0].error_type()), (201, None));
        assert_eq!((outcomes[1].status, outcomes[1].error_type()), (400, Some("mapper_parsing_exception")));
    }

    #[test]
    fn what_does_not_fit_is_unclear() {
        for body in [
            r#"{"errors":true,"items":[{"index":{"status":429}}]}"#,
            r#"{"errors":false,"items":[]}"#,
            r#"{"errors":true}"#,
            r#"{"errors":true,"items":[{},{}]}"#,
            "<html>",
            "",
        ] {
            assert!(matches!(read(body, 2), Answer::Unclear(_)), "{body}");
        }
    }
}
