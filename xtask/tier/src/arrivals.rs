//! What arrived in the stand-in for Elasticsearch, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ferrostash_doubles::Elasticsearch;
use serde_json::Value;

use crate::producer::Produced;
use crate::{http, wait};

/// A stand-in for Elasticsearch that outputs write to, and a list of all that it was given.
pub struct Arrivals {
    double: Elasticsearch,
    /// Of each number: when it came first, how often it came, and under which ids.
    seen: BTreeMap<u64, Arrival>,
    writes: u64,
}

#[derive(Debug)]
struct Arrival {
    first: Instant,
    writes: u64,
    /// Those that were given; without one each write is a document.
    ids: BTreeSet<String>,
    without_id: u64,
}

/// What was produced against what arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events that were written into the topic.
    pub produced: u64,
    /// Of these, those that arrived.
    pub arrived: u64,
    /// Numbers that never arrived.
    pub lost: Vec<u64>,
    /// How often an event was delivered beyond once, whether or not that made another document.
    pub repeated: u64,
    /// Messages beyond one for each event: the producer's own, when brokers die.
    pub written_again: u64,
    /// Documents beyond one for each message.
    pub duplicates: u64,
    /// The longest that an event was under way, from the producer to the stand-in.
    pub longest: Duration,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "produced {} (and {} again), arrived {}, lost {}, delivered again {}, duplicate documents {}, longest under way {:.1} s",
            self.produced,
            self.written_again,
            self.arrived,
            self.lost.len(),
            self.repeated,
            self.duplicates,
            self.longest.as_secs_f64()
        )?;
        if !self.lost.is_empty() {
            write!(f, "; lost: {:?}", self.lost.iter().take(20).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl Arrivals {
    /// Starts the stand-in.
    #[must_use]
    pub fn start() -> Arrivals {
        Arrivals { double: Elasticsearch::start(), seen: BTreeMap::new(), writes: 0 }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.double.url()
    }

    /// The stand-in, to misbehave.
    #[must_use]
    pub fn double(&self) -> &Elasticsearch {
        &self.double
    }

    /// Takes note of what has come since the last time; gives how many different events there are by now.
    ///
    /// # Errors
    /// A document has no number.
    pub fn look(&mut self) -> Result<u64> {
        let bulks = {
            let mut state = self.double.state();
            state.kept.clear();
            std::mem::take(&mut state.bulks)
        };
        for bulk in bulks {
            for (action, document) in bulk.lines {
                let document = document.context("an action without a document")?;
                let number = http::number(&document, "/n")?;
                let place = action.as_object().and_then(|action| action.values().next());
                let id = place.and_then(|place| place.get("_id")).and_then(Value::as_str);
                self.note(number, id, bulk.at);
            }
        }
        Ok(self.seen.len() as u64)
    }

    fn note(&mut self, number: u64, id: Option<&str>, at: Instant) {
        let new = || Arrival { first: at, writes: 0, ids: BTreeSet::new(), without_id: 0 };
        let arrival = self.seen.entry(number).or_insert_with(new);
        arrival.writes += 1;
        match id {
            Some(id) => drop(arrival.ids.insert(id.to_owned())),
            None => arrival.without_id += 1,
        }
        self.writes += 1;
    }

    /// How many documents came in all, also those that came again.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Waits until all that was produced is there.
    ///
    /// # Errors
    /// Something is missing after `limit`; with the account.
    pub fn wait_for(&mut self, produced: &Produced, limit: Duration) -> Result<()> {
        let all = produced.events - produced.unsure.len() as u64;
        let arrived = wait("all events", limit, || {
            let seen = self.look()?;
            let unsure = produced.unsure.iter().filter(|number| self.seen.contains_key(number)).count();
            Ok((seen - unsure as u64 >= all).then_some(()))
        });
        arrived.with_context(|| self.account(produced, &[]).to_string())
    }

    /// The account, by what was noted; `messages` are the numbers in the topic where they are known.
    #[must_use]
    pub fn account(&self, produced: &Produced, messages: &[u64]) -> Account {
        let mut written = BTreeMap::<u64, u64>::new();
        messages.iter().for_each(|number| *written.entry(*number).or_default() += 1);
        let written = |number: &u64| written.get(number).map_or(1, |count| *count);
        let missing = |number: &u64| !self.seen.contains_key(number) && !produced.unsure.contains(number);
        let way = |(number, arrival): (&u64, &Arrival)| {
            let sent = usize::try_from(*number).ok().and_then(|number| produced.times.get(number))?;
            Some(arrival.first.saturating_duration_since(*sent))
        };
        let documents = |arrival: &Arrival| arrival.ids.len() as u64 + arrival.without_id;
        Account {
            produced: produced.events,
            arrived: self.seen.len() as u64,
            lost: (0..produced.events).filter(missing).collect(),
            repeated: self
                .seen
                .iter()
                .map(|(number, arrival)| arrival.writes.saturating_sub(written(number)))
                .sum(),
            written_again: self.seen.keys().map(|number| written(number) - 1).sum(),
            duplicates: self
                .seen
                .iter()
                .map(|(number, arrival)| documents(arrival).saturating_sub(written(number)))
                .sum(),
            longest: self.seen.iter().filter_map(way).max().unwrap_or_default(),
        }
    }

    /// When the event of this number came first.
    #[must_use]
    pub fn first_arrival(&self, number: u64) -> Option<Instant> {
        self.seen.get(&number).map(|arrival| arrival.first)
    }

    /// One document as it lies in the stand-in.
    #[must_use]
    pub fn document(&self, number: u64) -> Option<Value> {
        let of = |source: &Value| source.get("n").and_then(Value::as_u64) == Some(number);
        self.double.documents().into_iter().map(|stored| stored.source).find(of)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_came_twice() {
        let mut arrivals = Arrivals::start();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (number, id, seconds) in
            [(0, Some("a"), 1), (0, Some("a"), 2), (1, None, 2), (1, None, 9), (2, Some("b"), 7)]
        {
            arrivals.note(number, id, after(seconds));
        }
        let produced = Produced { events: 5, unsure: BTreeSet::from([4]), times: vec![start; 5] };
        let account = arrivals.account(&produced, &[]);
        assert_eq!((account.produced, account.arrived, account.lost.as_slice()), (5, 3, [3].as_slice()));
        assert_eq!((account.repeated, account.duplicates), (2, 1));
        assert_eq!(account.longest, Duration::from_secs(7));
        let account = arrivals.account(&produced, &[0, 1, 1, 2, 3]);
        assert_eq!((account.written_again, account.repeated, account.duplicates), (1, 1, 0));
        let missing = arrivals.wait_for(&produced, Duration::ZERO).unwrap_err();
        assert!(format!("{missing:#}").contains("lost 1"), "{missing:#}");
    }
}
