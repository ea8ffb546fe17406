//! Action lines that are the same for many events: written once, then copied.

use ferrostash_event::{Event, Template};

use super::action::{Action, Facts};

/// Letters of time formats that stand for days and what is longer. Times are printed in UTC.
const DATE_LETTERS: &str = "GCYyxwDdMEe";
const DAY_SECONDS: i64 = 86_400;

/// How often something changes from one event to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    Never,
    /// With the day of `@timestamp`.
    Daily,
    /// With each event.
    Always,
}

impl Pace {
    /// How often the text of a template changes.
    pub(super) fn of(template: &Template) -> Pace {
        if template.as_constant().is_some() {
            return Pace::Never;
        }
        let is_date = |tag: &str| {
            let format = tag.strip_prefix('+').and_then(|tag| tag.split('}').next()).unwrap_or("%");
            format.chars().all(|letter| {
                !letter.is_ascii_alphanumeric() && letter != '%' || DATE_LETTERS.contains(letter)
            })
        };
        match template.as_str().split("%{").skip(1).all(is_date) {
            true => Pace::Daily,
            false => Pace::Always,
        }
    }

    /// How often it changes with this event; `None` where it tells nothing of the next one.
    pub(super) fn stretch_of(self, event: &Event) -> Option<i64> {
        match self {
            Pace::Never => Some(0),
            Pace::Daily => Some(event.timestamp()?.secs().div_euclid(DAY_SECONDS)),
            Pace::Always => None,
        }
    }
}

/// The last action line that other events may share.
#[derive(Debug, Default)]
pub(super) struct Repetition {
    line: Vec<u8>,
    of: Option<(i64, Facts, Action)>,
}

impl Repetition {
    /// Writes the line again, if it was made in the same stretch of time.
    pub(super) fn write(&self, stretch: i64, facts: Facts, out: &mut Vec<u8>) -> Option<Action> {
        let (_, _, action) = self.of.filter(|(last, known, _)| (*last, *known) == (stretch, facts))?;
        out.extend_from_slice(&self.line);
        Some(action)
    }

    /// Keeps a line.
    pub(super) fn keep(&mut self, stretch: i64, facts: Facts, action: Action, line: &[u8]) {
        self.line.clear();
        self.line.extend_from_slice(line);
        self.of = Some((stretch, facts, action));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_change_as_often_as_what_they_name() {
        let pace = |text: &str| Pace::of(&Template::parse(text));
        assert_eq!(pace("logs"), Pace::Never);
        for daily in ["logs-%{+yyyy.MM.dd}", "%{+xxxx.ww}-%{+YYYY}", "%{+dd''}"] {
            assert_eq!(pace(daily), Pace::Daily, "{daily}");
        }
        let each = [
            "a-%{b}",
            "%{+yyyy.MM.dd.HH}",
            "%{+%s}",
            "%{+yyyy}-%{b}",
            "%{{yyyy}}",
            "%{+yyyy SSS}",
            "%{}",
            "%{[+y]}",
        ];
        for always in each {
            assert_eq!(pace(always), Pace::Always, "{always}");
        }
    }
}
