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

#[derive(Deserialize)]
struct Overview {
    #[serde(default)]
    errors: bool,
    items: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Details {
    items: Vec<HashMap<String, Outcome>>,
}

impl Answer {
    /// Reads the body of an answer to a request for `sent` documents.
    pub(super) fn read(body: &[u8], sent: usize) -> Answer {
        let overview: Overview = match serde_json::from_slice(body) {
            Ok(overview) => overview,
            Err(error) => {
                return Answer::Unclear(format!("the answer to a bulk request is not understood: {error}"));
            }
        };
        match overview.items.as_ref().map(Vec::len) {
            // A bulk_path of one's own may ask for no items.
            None if !overview.errors => Answer::Accepted,
            Some(got) if got == sent && !overview.errors => Answer::Accepted,
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
