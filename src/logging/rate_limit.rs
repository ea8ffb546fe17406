//! Lines that data can trigger must not fill the disk.

use std::time::{Duration, Instant};

/// At most so many per second; what is held back is counted.
#[derive(Debug)]
pub struct RateLimit {
    per_second: u32,
    window_start: Option<Instant>,
    passed: u32,
    suppressed: u64,
}

/// Whether something may happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may, and this many were held back before it since the last report.
    Granted {
        /// How many were held back.
        suppressed: u64,
    },
    /// It may not; it has been counted.
    Denied,
}

const WINDOW: Duration = Duration::from_secs(1);

impl RateLimit {
    /// A limit of this many per second.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self { per_second, window_start: None, passed: 0, suppressed: 0 }
    }

    /// Asks for one more at this time.
    pub fn ask(&mut self, now: Instant) -> Permit {
        if self.window_start.is_none_or(|start| now.saturating_duration_since(start) >= WINDOW) {
            self.window_start = Some(now);
            self.passed = 0;
        }
        if self.passed >= self.per_second {
            self.suppressed += 1;
            return Permit::Denied;
        }
        self.passed += 1;
        Permit::Granted { suppressed: std::mem::take(&mut self.suppressed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_second_is_held_back_and_counted() {
        let mut limit = RateLimit::new(2);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(limit.ask(at(0)), Permit::Granted { suppressed: 0 });
        assert_eq!(limit.ask(at(1)), Permit::Granted { suppressed: 0 });
        assert_eq!(limit.ask(at(2)), Permit::Denied);
        assert_eq!(limit.ask(at(999)), Permit::Denied);
        assert_eq!(limit.ask(at(1000)), Permit::Granted { suppressed: 2 });
        assert_eq!(limit.ask(at(1001)), Permit::Granted { suppressed: 0 });
        assert_eq!(limit.ask(at(1002)), Permit::Denied);
    }
}
