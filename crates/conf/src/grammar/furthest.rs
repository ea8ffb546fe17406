//! What could have stood at the furthest place that the grammar reached.

/// The furthest offset where a terminal did not fit, and the terminals tried there, in order.
///
/// Logstash prints this list, so its order and its oddities count: see [`Furthest::forget_last`].
#[derive(Default)]
pub(super) struct Furthest {
    at: usize,
    expected: Vec<&'static str>,
    /// Terminals that were taken off the list though they were tried there.
    lost: Vec<&'static str>,
}

impl Furthest {
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn record(&mut self, at: usize, terminal: &'static str) {
        if at < self.at {
            return;
        }
        if at > self.at {
            self.at = at;
            self.expected.clear();
            self.lost.clear();
        }
        self.expected.push(terminal);
    }

    /// Takes the last terminal off the list.
    ///
    /// A "not followed by" that holds at `at` unnotes the terminal it looked for, and does so also when that was
    /// never noted, because `at` lies before the furthest place; then it takes another one away.
    pub(super) fn forget_last(&mut self, at: usize) {
        let last = self.expected.pop();
        if at < self.at {
            self.lost.extend(last);
        }
    }

    /// Everything that was tried there, for messages of our own.
    pub(super) fn tried(&self) -> Vec<&'static str> {
        let mut all = self.expected();
        all.extend(&self.lost);
        all
    }

    /// The terminals, each once, in the order they were tried.
    pub(super) fn expected(&self) -> Vec<&'static str> {
        let mut seen = Vec::new();
        for terminal in &self.expected {
            if !seen.contains(terminal) {
                seen.push(*terminal);
            }
        }
        seen
    }
}
