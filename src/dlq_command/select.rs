//! Which entries are meant.

use ferrostash_event::Timestamp;
use ferrostash_queue::dead_letter_queue::DeadLetter;
use std::time::Duration;

/// What an entry must have to be shown or replayed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selection {
    reason: Option<String>,
    plugin: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Selection {
    pub(crate) fn new(
        reason: Option<String>,
        plugin: Option<String>,
        since: Option<String>,
        until: Option<String>,
    ) -> Result<Selection, String> {
        let time = |text: Option<String>| {
            let time = |text: String| {
                Timestamp::parse(&text).ok_or_else(|| format!("dlq: `{text}` is no ISO 8601 time"))
            };
            text.map(time).transpose()
        };
        Ok(Selection { reason, plugin, since: time(since)?, until: time(until)? })
    }

    /// Whether `letter` is meant.
    pub(crate) fn has(&self, letter: &DeadLetter) -> bool {
        let plugin = |name: &String| letter.plugin_type == *name || letter.plugin_id == *name;
        self.reason.as_ref().is_none_or(|reason| letter.reason.contains(reason.as_str()))
            && self.plugin.as_ref().is_none_or(plugin)
            && self.since.is_none_or(|since| letter.entry_time >= since)
            && self.until.is_none_or(|until| letter.entry_time < until)
    }
}

/// `5d`, `12h`, `30m`, `10s`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let invalid = || format!("dlq: `{text}` is no age such as 5d, 12h, 30m or 10s");
    let unit = match text.chars().last() {
        Some('d') => 86_400,
        Some('h') => 3600,
        Some('m') => 60,
        Some('s') => 1,
        _ => return Err(invalid()),
    };
    let number: u64 =
        text.get(..text.len() - 1).and_then(|number| number.parse().ok()).ok_or_else(invalid)?;
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}
