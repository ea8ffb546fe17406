//! Durations such as `5 min`.

/// Seconds of a text like `200 usec`, `1.5h` or `60`; a number alone counts in `unit`. `None` if it is none.
pub(crate) fn seconds(text: &str, unit: &str) -> Option<f64> {
    let text = text.trim();
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(number_end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let rest = rest.strip_prefix(char::is_whitespace).unwrap_or(rest);
    let factor = unit_seconds(if rest.is_empty() { unit } else { rest })?;
    Some(number.parse::<f64>().ok()? * factor)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" | "usec" | "usecs" => 1e-6,
        "ms" | "msec" | "msecs" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn numbers_and_units() {
        assert_eq!(seconds("15", "seconds"), Some(15.0));
        assert_eq!(seconds("14", "days"), Some(14.0 * 86_400.0));
        assert_eq!(seconds("250ms", "s"), Some(0.25));
        assert_eq!(seconds("21.5d", "s"), Some(21.5 * 86_400.0));
        assert_eq!(seconds("1 hour", "s"), Some(3_600.0));
        assert_eq!(seconds("-1", "s"), None);
        assert_eq!(seconds("5 parsecs", "s"), None);
        assert_eq!(seconds("5.", "s"), None);
    }
}
