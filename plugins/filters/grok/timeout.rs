//! How long a search may take.

use std::time::{Duration, Instant};

/// `timeout_millis` and `timeout_scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    /// No limit.
    None,
    /// For each pattern.
    PerPattern(Duration),
    /// For all patterns that one value is matched against.
    PerValue(Duration),
}

/// The time that is left for one value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// No limit.
    None,
    /// The same for each pattern.
    PerPattern(Duration),
    /// Until then.
    Until(Instant),
}

impl Timeout {
    /// From milliseconds; 0, less, and what no clock can count are no limit.
    pub(super) fn new(millis: f64, per_value: bool) -> Timeout {
        match Duration::try_from_secs_f64(millis / 1000.0) {
            Ok(Duration::ZERO) | Err(_) => Timeout::None,
            Ok(limit) if per_value => Timeout::PerValue(limit),
            Ok(limit) => Timeout::PerPattern(limit),
        }
    }

    /// Starts on a value.
    pub(super) fn start(self) -> Clock {
        match self {
            Timeout::None => Clock::None,
            Timeout::PerPattern(limit) => Clock::PerPattern(limit),
            Timeout::PerValue(limit) => Instant::now().checked_add(limit).map_or(Clock::None, Clock::Until),
        }
    }
}

impl Clock {
    /// The time that the next pattern may take; `Some(Duration::ZERO)` when there is none left.
    pub(super) fn left(self) -> Option<Duration> {
        match self {
            Clock::None => None,
            Clock::PerPattern(limit) => Some(limit),
            Clock::Until(end) => Some(end.saturating_duration_since(Instant::now())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_the_unthinkable_are_no_limit() {
        for millis in [0.0, -5.0, f64::MAX, f64::NAN] {
            assert_eq!(Timeout::new(millis, false), Timeout::None, "{millis}");
        }
        assert_eq!(Timeout::new(0.5, false).start().left(), Some(Duration::from_micros(500)));
    }

    #[test]
    fn patterns_share_the_time_of_a_value() {
        let clock = Timeout::new(1.0, true).start();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.left(), Some(Duration::ZERO));
    }
}
