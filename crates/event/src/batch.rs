//! The events that a worker takes through the filters together.

use crate::event::Event;
use crate::selection::Selection;

/// Events in numbered slots.
///
/// A slot never moves while filters run, so that a [`crate::Selection`] stays true. Events that filters make get slots at
/// the end, each remembering the slot it belongs behind; [`Batch::into_events`] puts all in Logstash's order, once.
#[derive(Default, Debug)]
pub struct Batch {
    events: Vec<Event>,
    /// For each event beyond the first ones: the slot that it follows, and the step that made it.
    origins: Vec<Origin>,
    step: u32,
    /// The order of the slots before `origins`, where a condition has changed it.
    sequence: Option<Vec<usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Origin {
    /// `None` for events that no other one led to: they come last.
    parent: Option<usize>,
    step: u32,
}

impl Batch {
    /// A batch of `events`, in slots from 0.
    pub fn new(events: Vec<Event>) -> Batch {
        Batch { events, ..Batch::default() }
    }

    /// Number of slots, cancelled events included.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The event in `slot`.
    pub fn get(&self, slot: usize) -> Option<&Event> {
        self.events.get(slot)
    }

    /// The event in `slot`.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Event> {
        self.events.get_mut(slot)
    }

    /// The events by slot, cancelled ones included.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Event> {
        self.events.iter()
    }

    /// Says that another filter begins; what it makes stands before what earlier ones made of the same event.
    pub fn next_step(&mut self) {
        self.step += 1;
    }

    /// Adds an event behind the one in `parent`, or behind all others. Returns its slot.
    pub fn add(&mut self, event: Event, parent: Option<usize>) -> usize {
        self.events.push(event);
        self.origins.push(Origin { parent, step: self.step });
        self.events.len() - 1
    }

    /// Puts the events of `selection` for which a condition held in front of those for which it did not, as Logstash
    /// does with the events that reach a condition together.
    pub fn put_first(&mut self, held: &Selection, selection: &Selection) {
        if self.events.len() < 2 {
            return;
        }
        let mut sequence = self.order().unwrap_or_else(|| (0..self.events.len()).collect());
        let of_selection = |slot: &&usize| selection.contains(**slot);
        let (first, last): (Vec<usize>, Vec<usize>) =
            sequence.iter().filter(of_selection).partition(|slot| held.contains(**slot));
        let mut sorted = first.into_iter().chain(last);
        for place in sequence.iter_mut().filter(|slot| selection.contains(**slot)) {
            *place = sorted.next().unwrap_or(*place);
        }
        self.sequence = Some(sequence);
        self.origins.clear();
    }

    /// The events that were not cancelled, in Logstash's order.
    pub fn into_events(self) -> Vec<Event> {
        let Some(order) = self.order() else {
            return self.events.into_iter().filter(|event| !event.is_cancelled()).collect();
        };
        let mut slots: Vec<Option<Event>> = self.events.into_iter().map(Some).collect();
        let take = |slot: usize| slots.get_mut(slot).and_then(Option::take);
        order.into_iter().filter_map(take).filter(|event| !event.is_cancelled()).collect()
    }

    /// The slots in Logstash's order; `None` when that is the order of the slots.
    fn order(&self) -> Option<Vec<usize>> {
        if self.origins.is_empty() {
            return self.sequence.clone();
        }
        let first = self.events.len() - self.origins.len();
        let loose = (first..).zip(&self.origins).filter(|(_, origin)| origin.parent.is_none());
        let loose: Vec<usize> = loose.map(|(slot, _)| slot).collect();
        // A later filter puts its events right behind the one it saw, before those of earlier filters.
        let mut children: Vec<(usize, std::cmp::Reverse<u32>, usize)> = (first..)
            .zip(&self.origins)
            .filter_map(|(slot, origin)| Some((origin.parent?, std::cmp::Reverse(origin.step), slot)))
            .collect();
        children.sort_unstable();
        let of = |parent: usize| {
            let from = children.partition_point(|child| child.0 < parent);
            children.iter().skip(from).take_while(move |child| child.0 == parent).map(|child| child.2)
        };
        let mut order = Vec::with_capacity(self.events.len());
        let roots = self.sequence.clone().unwrap_or_else(|| (0..first).collect());
        let mut waiting: Vec<usize> = roots.into_iter().chain(loose).rev().collect();
        while let Some(slot) = waiting.pop() {
            order.push(slot);
            let before = waiting.len();
            waiting.extend(of(slot));
            if let Some(new) = waiting.get_mut(before..) {
                new.reverse();
            }
        }
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldRef, Timestamp, Value};

    fn event(name: &str) -> Event {
        let mut event = Event::at(Timestamp::EPOCH);
        event.set(&FieldRef::literal("n"), name).unwrap();
        event
    }

    fn names(batch: Batch) -> Vec<String> {
        let name = |event: Event| match event.get(&FieldRef::literal("n")).map(|v| v.to_value()) {
            Some(Value::String(name)) => name,
            _ => String::new(),
        };
        batch.into_events().into_iter().map(name).collect()
    }

    #[test]
    fn new_events_follow_the_one_they_came_from() {
        let mut batch = Batch::new(vec![event("a"), event("b")]);
        batch.next_step();
        batch.add(event("b1"), Some(1));
        let a1 = batch.add(event("a1"), Some(0));
        batch.add(event("a2"), Some(0));
        batch.next_step();
        batch.add(event("a-late"), Some(0));
        batch.add(event("a1-late"), Some(a1));
        batch.add(event("flushed"), None);
        assert_eq!(names(batch), ["a", "a-late", "a1", "a1-late", "a2", "b", "b1", "flushed"]);
    }

    #[test]
    fn a_condition_parts_the_events_that_reach_it_together() {
        let mut batch = Batch::new(vec![event("a")]);
        let copy = batch.add(event("copy"), Some(0));
        let other = batch.add(event("other"), Some(0));
        batch.put_first(&Selection::from_iter([copy, other]), &Selection::all(3));
        batch.put_first(&Selection::only(other), &Selection::from_iter([copy, other]));
        batch.add(event("late"), Some(other));
        assert_eq!(names(batch), ["other", "late", "copy", "a"]);
    }

    #[test]
    fn cancelled_events_are_gone() {
        let mut batch = Batch::new(vec![event("a"), event("b")]);
        batch.get_mut(0).unwrap().cancel();
        assert_eq!(names(batch), ["b"]);
    }
}
