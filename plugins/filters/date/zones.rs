//! The zone of dates that name none.

use super::local_zone::local_zone;
use ferrostash_conf::Spanned;
use ferrostash_event::{Event, Template};
use ferrostash_joda::Zone;
use ferrostash_plugin::{BuildContext, BuildResult};
use std::sync::Arc;

/// `timezone`: one zone for all events, or one that each event names.
#[derive(Clone)]
pub(super) enum Zones {
    Fixed(Zone),
    OfEvent(Box<OfEvent>),
}

/// As many names of zones are remembered; events have few.
const NAMES_MAX: usize = 64;

/// The zones named so far, and those that are none, so that each is looked up once.
#[derive(Clone)]
pub(super) struct OfEvent {
    id: Arc<Template>,
    named: Vec<(String, Option<Zone>)>,
    /// Which of them was named last.
    last: usize,
    scratch: String,
}

impl Zones {
    pub(super) fn new(option: Option<&Spanned<String>>, cx: &mut BuildContext<'_>) -> BuildResult<Zones> {
        let Some(Spanned { value, span }) = option else { return Ok(Zones::Fixed(local_zone())) };
        if value.contains("%{") {
            let id = Arc::new(Template::parse(value));
            if let Some(problem) = id.problems().next() {
                return Err(cx.refuse_at(*span, problem.to_string()));
            }
            let (named, last, scratch) = (Vec::new(), 0, String::new());
            return Ok(Zones::OfEvent(Box::new(OfEvent { id, named, last, scratch })));
        }
        Zone::parse(value).map(Zones::Fixed).map_err(|error| cx.refuse_at(*span, error.to_string()))
    }

    /// The zone for an event; `None` where what it names is none.
    pub(super) fn of(&mut self, event: &Event) -> Option<&Zone> {
        match self {
            Zones::Fixed(zone) => Some(zone),
            Zones::OfEvent(zones) => zones.of(event),
        }
    }
}

impl OfEvent {
    fn of(&mut self, event: &Event) -> Option<&Zone> {
        self.scratch.clear();
        self.id.render(event, &mut self.scratch).ok()?;
        if self.named.get(self.last).is_none_or(|(id, _)| *id != self.scratch) {
            self.last = self.place_of_scratch();
        }
        self.named.get(self.last)?.1.as_ref()
    }

    fn place_of_scratch(&mut self) -> usize {
        if let Some(known) = self.named.iter().position(|(id, _)| *id == self.scratch) {
            return known;
        }
        if self.named.len() == NAMES_MAX {
            self.named.clear();
        }
        self.named.push((self.scratch.clone(), Zone::parse(&self.scratch).ok()));
        self.named.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_event::Timestamp;

    #[test]
    fn names_are_remembered_within_bounds() {
        let id = Arc::new(Template::parse("%{message}"));
        let mut zones = OfEvent { id, named: Vec::new(), last: 0, scratch: String::new() };
        for round in 0..3 {
            for number in 0..NAMES_MAX {
                let name = format!("Mars/{number}");
                assert_eq!(zones.of(&Event::from_message(&name, Timestamp::EPOCH)), None);
                let known = zones.of(&Event::from_message("Asia/Tokyo", Timestamp::EPOCH)).cloned();
                assert_eq!(known, Zone::parse("Asia/Tokyo").ok(), "{round} {number}");
                assert!(zones.named.len() <= NAMES_MAX);
            }
        }
    }
}
