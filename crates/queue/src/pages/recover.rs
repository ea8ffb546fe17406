//! Makes a queue out of what a process left behind, however it ended.

use std::time::{Duration, Instant};

use super::OpenError;
use super::checkpoint::Checkpoints;
use super::damage::{Damage, DamageLog, Damaged};
use super::folder::{Access, Folder};
use super::format::{BadHeader, Checkpoint, QueueId, page_name};
use super::scan::{PageInfo, Walk};
use super::survey::{Inside, PageSeen, Survey, look_inside, open_page, page_info};
use crate::crash::crash_point;

/// The number of the first record of a new queue.
pub(super) const FIRST_NUMBER: u64 = 1;

/// What was found when a queue was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// There was no queue before.
    pub is_new: bool,
    /// Pages that are left.
    pub pages: u64,
    /// Records that are not acked, as far as known before they are read.
    pub records: u64,
    /// The events in them.
    pub events: u64,
    /// Bytes at the end that were written when the process died, and were never durable: the normal end.
    pub torn_bytes: u64,
    /// What is damaged, as far as seen at the opening: last page, headers and checkpoints.
    pub damaged: Damaged,
    /// How long it took.
    pub time: Duration,
}

/// A queue, ready to go on.
pub(super) struct Recovered {
    pub(super) id: QueueId,
    pub(super) pages: Vec<PageInfo>,
    /// The first record that is not acked.
    pub(super) acked: u64,
    /// The number behind the last record that is there.
    pub(super) found: u64,
    /// The number of the next new record; more than `found` when records at the end are lost.
    pub(super) next: u64,
    pub(super) next_events: u64,
    pub(super) next_page: u64,
    pub(super) checkpoints: Checkpoints,
    pub(super) damage: DamageLog,
    pub(super) recovery: Recovery,
}

/// A page without any record at the end.
struct Hollow {
    seen: PageSeen,
    garbage: bool,
}

/// # Errors
/// The folder can't be read or is none of ours. Damage is no error.
pub(super) fn recover(folder: &dyn Folder) -> Result<Recovered, OpenError> {
    let begin = Instant::now();
    let survey = Survey::new(folder)?;
    let failed = |error| OpenError::io(folder, error);
    let is_new = survey.id.is_none();
    let id = survey.id.unwrap_or_else(|| uuid::Uuid::new_v4().into_bytes());
    let mut log = DamageLog::new(folder);
    log.found.checkpoints = survey.bad_checkpoints();
    let checkpoints_whole = log.found.checkpoints == 0;
    let next_page = survey.pages.iter().map(|page| page.page + 1).max().unwrap_or(1);
    let checkpoint = survey.checkpoint.map(|(checkpoint, _)| checkpoint);

    let mut pages = only_ours(folder, &id, survey.pages, &mut log);
    let end = Ending::find(folder, &id, &mut pages, checkpoint).map_err(failed)?;
    let torn_bytes = end.tidy(folder, &mut log);

    let mut infos = Vec::new();
    for seen in &pages {
        match page_info(folder, &id, seen).map_err(failed)? {
            Some(info) => infos.push(info),
            None => put_aside(folder, seen, &mut log),
        }
    }
    if let Some(inside) = &end.inside {
        infos.push(PageInfo { bytes: inside.intact_bytes, ..inside.info });
    }

    let mut acked = checkpoint.map_or(0, |checkpoint| checkpoint.acked);
    delete_acked(folder, &mut infos, acked, end.found);
    match infos.first() {
        Some(first) if first.first > acked => {
            // Without the newest checkpoint nobody knows whether they were acked.
            if checkpoint.is_some() && checkpoints_whole {
                let records = acked..first.first;
                let (page, reason) = (first.page.saturating_sub(1), "pages are missing before the first one");
                log.note(folder, &Damage { page, from: 0, to: 0, reason, records, events: None }, None);
            }
            acked = first.first;
        }
        Some(_) => {}
        None => acked = end.next,
    }
    let events_acked = infos.first().and_then(|first| events_before(folder, &id, first, acked));
    let recovery = Recovery {
        is_new,
        pages: infos.len() as u64,
        records: end.found.saturating_sub(acked),
        events: events_acked.map_or(0, |acked| end.found_events.saturating_sub(acked)),
        torn_bytes,
        damaged: log.found,
        time: begin.elapsed(),
    };
    let last = Checkpoint {
        id,
        sequence: checkpoint.map_or(0, |checkpoint| checkpoint.sequence),
        acked,
        next: end.next,
        next_events: end.next_events,
    };
    let turn = survey.checkpoint.map_or(0, |(_, place)| 1 - place);
    let mut checkpoints = Checkpoints::new(last, turn);
    let stale = checkpoint.is_some_and(|checkpoint| (checkpoint.acked, checkpoint.next) != (acked, end.next));
    if !checkpoints_whole || is_new || stale {
        // Both are there from now on, so that no later one needs room on the disk.
        let count = if checkpoint.is_none() { 2 } else { 1 };
        for _ in 0..count {
            match checkpoints.write(folder, acked, end.next, end.next_events) {
                Ok(()) => {}
                Err(error) if is_new => return Err(failed(error)),
                Err(error) => tracing::warn!(
                    target: "logstash.queue",
                    path = %folder.path().display(),
                    "the checkpoint can't be written: {error}"
                ),
            }
        }
    }
    let Ending { found, next, next_events, .. } = end;
    Ok(Recovered {
        id,
        pages: infos,
        acked,
        found,
        next,
        next_events,
        next_page,
        checkpoints,
        damage: log,
        recovery,
    })
}

/// Moves pages of other queues, and those with the name of another page, out of the way.
fn only_ours(folder: &dyn Folder, id: &QueueId, pages: Vec<PageSeen>, log: &mut DamageLog) -> Vec<PageSeen> {
    let (ours, others): (Vec<_>, Vec<_>) =
        pages.into_iter().partition(|seen| seen.header.as_ref().is_err() || foreign(id, seen).is_none());
    others.iter().for_each(|seen| put_aside_for(folder, seen, foreign(id, seen).unwrap_or_default(), log));
    ours
}

/// Why a page with an intact header is none of this queue.
pub(super) fn foreign(id: &QueueId, seen: &PageSeen) -> Option<&'static str> {
    match seen.header {
        Ok(header) if header.id != *id => Some("it is a page of another queue"),
        Ok(header) if header.page != seen.page => Some("it is another page than its name says"),
        _ => None,
    }
}

fn put_aside(folder: &dyn Folder, seen: &PageSeen, log: &mut DamageLog) {
    let reason = seen.header.as_ref().map_or_else(|bad| bad.reason(), |_| "there is no intact record in it");
    put_aside_for(folder, seen, reason, log);
}

fn put_aside_for(folder: &dyn Folder, seen: &PageSeen, reason: &'static str, log: &mut DamageLog) {
    let damage = Damage { page: seen.page, from: 0, to: seen.bytes, reason, records: 0..0, events: Some(0) };
    if let Err(error) = log.put_aside(folder, &damage) {
        // It is left where it is, and nothing is read from it.
        warn_left(folder, seen.page, &error);
    }
}

fn warn_left(folder: &dyn Folder, page: u64, error: &std::io::Error) {
    let path = folder.path().join(page_name(page));
    tracing::warn!(target: "logstash.queue", path = %path.display(), "the page can't be put away: {error}");
}

pub(super) fn remove_page(folder: &dyn Folder, page: u64) -> std::io::Result<()> {
    crash_point("page.delete.before");
    folder.remove(&page_name(page))?;
    crash_point("page.delete.after");
    Ok(())
}

/// Where the queue ends.
struct Ending {
    /// The last page with a record.
    inside: Option<Inside>,
    /// Pages behind it.
    hollow: Vec<Hollow>,
    /// The number behind the last record that is there, and the events up to it.
    found: u64,
    found_events: u64,
    /// The same for the last record that was there.
    next: u64,
    next_events: u64,
    acked: u64,
    /// Records at the end are known to be lost.
    lost: bool,
}

impl Ending {
    /// Takes the pages off the end up to the last one with a record.
    fn find(
        folder: &dyn Folder,
        id: &QueueId,
        pages: &mut Vec<PageSeen>,
        checkpoint: Option<Checkpoint>,
    ) -> std::io::Result<Ending> {
        let (mut inside, mut hollow) = (None, Vec::new());
        // No number is given twice, so it goes on behind all that anything speaks of.
        let mut floor = checkpoint.map_or((0, 0), |checkpoint| (checkpoint.next, checkpoint.next_events));
        while let Some(seen) = pages.pop() {
            inside = look_inside(folder, id, &seen)?;
            if inside.is_some() {
                break;
            }
            if let Ok(header) = seen.header {
                floor = floor.max((header.first, header.events_before));
            }
            let garbage = matches!(seen.header, Err(BadHeader::Magic | BadHeader::Checksum));
            hollow.push(Hollow { seen, garbage });
        }
        let acked = checkpoint.map_or(floor.0, |checkpoint| checkpoint.acked).max(FIRST_NUMBER);
        let (found, found_events) =
            inside.as_ref().map_or((acked, floor.1), |inside| (inside.next, inside.next_events));
        // A record may have been acked from memory before it was on the disk.
        let base = found.max(acked);
        let lost = floor.0 > base;
        let (next, next_events) = if lost { floor } else { (base, found_events.max(floor.1)) };
        Ok(Ending { inside, hollow, found, found_events, next, next_events, acked, lost })
    }

    /// Cuts what was never durable, and keeps what is damaged; the bytes that were cut.
    fn tidy(&self, folder: &dyn Folder, log: &mut DamageLog) -> u64 {
        let lost = self.lost;
        let mut torn_bytes = 0;
        for Hollow { seen, garbage } in &self.hollow {
            if *garbage || lost {
                put_aside(folder, seen, log);
            } else {
                torn_bytes += seen.bytes;
                if let Err(error) = remove_page(folder, seen.page) {
                    warn_left(folder, seen.page, &error);
                }
            }
        }
        let Some(inside) = &self.inside else {
            if lost {
                log.note(folder, &self.lost(0, 0, 0), None);
            }
            return torn_bytes;
        };
        let (page, intact, bytes) = (inside.info.page, inside.intact_bytes, inside.info.bytes);
        let file = open_page(folder, page).ok();
        for damage in &inside.damage {
            log.note(folder, damage, file.as_deref());
        }
        if lost {
            log.note(folder, &self.lost(page, intact, bytes), file.as_deref());
        } else {
            torn_bytes += bytes - intact;
        }
        crash_point("recover.cut.before");
        // What the last process wrote may still be on its way to the disk.
        let cut = folder.open(&page_name(page), Access::Write).and_then(|file| {
            if bytes > intact {
                file.set_len(intact)?;
            }
            file.sync()?;
            folder.sync()
        });
        crash_point("recover.cut.after");
        if let Err(error) = cut {
            // The next page says where this one ends.
            warn_left(folder, page, &error);
        }
        torn_bytes
    }

    fn lost(&self, page: u64, from: u64, to: u64) -> Damage {
        let records = self.found.max(self.acked)..self.next;
        let events = self.next_events.saturating_sub(self.found_events);
        // How many were in acked records, nobody knows.
        let events = (self.inside.is_some() && self.acked <= self.found).then_some(events);
        Damage { page, from, to, reason: "the end of the queue is missing", records, events }
    }
}

/// Deletes pages of which the last record is acked.
fn delete_acked(folder: &dyn Folder, infos: &mut Vec<PageInfo>, acked: u64, found: u64) {
    let uppers = infos.iter().skip(1).map(|info| info.first).chain([found]);
    let gone = uppers.take(infos.len()).take_while(|upper| *upper <= acked).count();
    for info in infos.drain(..gone) {
        if let Err(error) = remove_page(folder, info.page) {
            warn_left(folder, info.page, &error);
        }
    }
}

/// The events of all records before a record of a page.
fn events_before(folder: &dyn Folder, id: &QueueId, info: &PageInfo, number: u64) -> Option<u64> {
    let mut walk = Walk::new(open_page(folder, info.page).ok()?, id, info, number, None);
    while walk.expected < number {
        if matches!(walk.next(number), super::scan::Item::End { .. }) {
            break;
        }
    }
    walk.expected_events
}
