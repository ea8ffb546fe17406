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

/// The zone named last, so that events of one zone in a row look it up once.
#[derive(Clone)]
pub(super) struct OfEvent {
    id: Arc<Template>,
    last_id: String,
    last: Option<Zone>,
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
            let (last_id, last, scratch) = (String::new(), None, String::new());
            return Ok(Zones::OfEvent(Box::new(OfEvent { id, last_id, last, scratch })));
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
        if self.scratch != self.last_id {
            std::mem::swap(&mut self.scratch, &mut self.last_id);
            self.last = Zone::parse(&self.last_id).ok();
        }
        self.last.as_ref()
    }
}
