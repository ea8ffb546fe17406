//! What is under way in a producer.
//!
//! Each event that is handed to librdkafka gets a number, and the events of one round have neighbouring ones. So librdkafka
//! carries nothing but the number with an event, and its answer is a look into a short list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::oneshot;

/// Events that were not accepted: the place in the round, and the answer.
pub(super) type Refusals = Vec<(usize, RDKafkaErrorCode)>;

/// All that is under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    table: Mutex<Table>,
    has_refusals: AtomicBool,
}

#[derive(Debug, Default)]
struct Table {
    /// By the number of the first event.
    flights: BTreeMap<usize, Flight>,
    next: usize,
}

/// The events of one round.
#[derive(Debug)]
struct Flight {
    unanswered: usize,
    refusals: Refusals,
    landed: oneshot::Sender<Refusals>,
}

impl Flights {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers for `count` events, of which the first is given; the receiver hears when all were answered.
    pub(super) fn begin(&self, count: usize) -> (usize, oneshot::Receiver<Refusals>) {
        let (landed, answers) = oneshot::channel();
        let flight = Flight { unanswered: count, refusals: Vec::new(), landed };
        let mut table = self.table();
        let first = table.next;
        if count == 0 {
            let _ = flight.landed.send(Refusals::new());
        } else {
            table.next = first.wrapping_add(count);
            table.flights.insert(first, flight);
        }
        (first, answers)
    }

    /// Whether an event was not accepted since the last [`Flights::forget_refusals`].
    pub(super) fn has_refusals(&self) -> bool {
        self.has_refusals.load(Ordering::Acquire)
    }

    pub(super) fn forget_refusals(&self) {
        self.has_refusals.store(false, Ordering::Release);
    }

    /// The event of this number was accepted, or not.
    pub(super) fn answer(&self, number: usize, refusal: Option<RDKafkaErrorCode>) {
        let mut table = self.table();
        let Some((&first, flight)) = table.flights.range_mut(..=number).next_back() else { return };
        if let Some(code) = refusal {
            self.has_refusals.store(true, Ordering::Release);
            flight.refusals.push((number - first, code));
        }
        flight.unanswered -= 1;
        if flight.unanswered > 0 {
            return;
        }
        if let Some(flight) = table.flights.remove(&first) {
            drop(table);
            // Where nobody waits any more the output has given up.
            let _ = flight.landed.send(flight.refusals);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_round() {
        let flights = Flights::default();
        let (a, mut of_a) = flights.begin(2);
        let (b, mut of_b) = flights.begin(3);
        let (_, mut of_none) = flights.begin(0);
        assert_eq!(of_none.try_recv().unwrap(), []);
        flights.answer(b + 2, None);
        flights.answer(a, None);
        flights.answer(b + 1, Some(RDKafkaErrorCode::InvalidTopic));
        flights.answer(b, None);
        assert_eq!(of_b.try_recv().unwrap(), [(1, RDKafkaErrorCode::InvalidTopic)]);
        assert!(of_a.try_recv().is_err());
        flights.answer(a + 1, None);
        assert_eq!(of_a.try_recv().unwrap(), []);
        assert!(flights.table().flights.is_empty());
    }
}
