//! What may be the name of a topic.

/// Longest name of a topic, in bytes.
const TOPIC_BYTES_MAX: usize = 249;

/// Why brokers would refuse a topic of this name; nothing where they would not.
pub(super) fn problem_of(name: &str) -> Option<String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match name {
        "" => Some("the name of the topic is empty".into()),
        "." | ".." => Some(format!("\"{name}\" can't be the name of a topic")),
        _ if name.len() > TOPIC_BYTES_MAX => {
            let start: String = name.chars().take(32).collect();
            Some(format!(
                "the name of the topic has {} bytes, more than {TOPIC_BYTES_MAX}: \"{start}…\"",
                name.len()
            ))
        }
        _ if !name.bytes().all(is_legal) => Some(format!(
            "\"{name}\" can't be the name of a topic: a-z, A-Z, 0-9, '.', '_' and '-' are allowed"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_brokers_do() {
        for good in ["logs", "A.b_c-9", &"x".repeat(249)] {
            assert_eq!(problem_of(good), None);
        }
        for bad in ["", ".", "..", "a b", "logs-%{app}", "ä", "a/b", "a\0", &"x".repeat(250)] {
            assert!(problem_of(bad).is_some(), "{bad}");
        }
    }
}
