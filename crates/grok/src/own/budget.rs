//! Bounds the time of a search, by steps and, once they are many, by the clock.

use std::time::{Duration, Instant};

use crate::matcher::MatchError;

/// Steps back between two looks at the clock, well below a millisecond.
const STEPS_PER_LOOK: u32 = 1 << 14;

/// Why a machine stopped without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// It has taken long, for the first time: there may be a cheaper way to see that nothing matches.
    Doubt,
    /// The search is given up.
    Error(MatchError),
}

/// Bounds the time of a search.
#[derive(Debug)]
pub(super) struct Budget {
    steps: u32,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    doubted: bool,
}

impl Budget {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { steps: STEPS_PER_LOOK, timeout, deadline: None, doubted: false }
    }

    /// Counts steps.
    ///
    /// # Errors
    /// [`Halt`] when too many were counted.
    #[inline]
    pub(super) fn spend(&mut self, steps: u32) -> Result<(), Halt> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => self.look(),
        }
    }

    /// The first look starts the clock, so that ordinary searches never read it.
    #[cold]
    fn look(&mut self) -> Result<(), Halt> {
        self.steps = STEPS_PER_LOOK;
        if let Some(timeout) = self.timeout {
            let now = Instant::now();
            let deadline = *self.deadline.get_or_insert_with(|| now.checked_add(timeout).unwrap_or(now));
            if now >= deadline {
                return Err(Halt::Error(MatchError::Timeout));
            }
        }
        if std::mem::replace(&mut self.doubted, true) { Ok(()) } else { Err(Halt::Doubt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_look_doubts_and_a_later_one_ends() {
        let mut budget = Budget::new(Some(Duration::from_secs(60)));
        assert_eq!((0..STEPS_PER_LOOK).find_map(|_| budget.spend(1).err()), None);
        assert_eq!(budget.spend(1), Err(Halt::Doubt));
        assert_eq!((0..=STEPS_PER_LOOK).find_map(|_| budget.spend(1).err()), None);
        let mut budget = Budget::new(Some(Duration::ZERO));
        assert_eq!(budget.spend(u32::MAX), Err(Halt::Error(MatchError::Timeout)));
        let mut budget = Budget::new(None);
        assert_eq!((budget.spend(u32::MAX), budget.spend(u32::MAX)), (Err(Halt::Doubt), Ok(())));
    }
}
