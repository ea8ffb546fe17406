//! Looks through the queue of a folder that no process has open, and mends it.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::damage::DAMAGED_DIR;
use super::folder::{DiskFolder, Folder};
use super::format::{
    BadHeader, FLAG_LOST, PageHeader, QueueId, RecordHeader, lost_data, page_name, page_seed,
};
use super::recover::{Recovered, foreign, recover};
use super::scan::{Item, PageInfo, Walk};
use super::survey::{Survey, open_page, page_info};
use super::{Damage, OpenError};

/// What a look at a queue found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The folder.
    pub dir: PathBuf,
    /// A process has the queue open: what is at the end may just be on its way.
    pub in_use: bool,
    /// By number, those without any intact record left out.
    pub pages: Vec<PageReport>,
    /// The first record that is not acked, where a checkpoint says so.
    pub acked: Option<u64>,
    /// Intact records that are not acked.
    pub records: u64,
    /// The events in them.
    pub events: u64,
    /// Bytes at the end that were never durable.
    pub torn_bytes: u64,
    /// Checkpoints that are broken or missing.
    pub bad_checkpoints: u64,
    /// What is broken in pages, and what is missing. Records that were acked are no loss.
    pub damage: Vec<Damage>,
    /// Files that were put aside before, with their bytes.
    pub kept: (u64, u64),
    /// The damage was there, and is not any more.
    pub repaired: bool,
}

/// A page, looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageReport {
    /// Its number.
    pub page: u64,
    /// Its size.
    pub bytes: u64,
    /// The number of its first record.
    pub first: u64,
    /// Intact records.
    pub records: u64,
    /// The events in them.
    pub events: u64,
}

impl Report {
    /// Whether something is broken. A torn end is normal after a crash.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty() || self.bad_checkpoints > 0
    }
}

/// Looks through the queue of a folder and changes nothing.
///
/// # Errors
/// The folder can't be read, is one of Logstash's, or of a newer version.
pub fn check(dir: &Path) -> Result<Report, OpenError> {
    let folder = DiskFolder::new(dir);
    let in_use = folder.is_locked();
    Ok(Report { in_use, ..look(&folder)? })
}

/// Moves what is broken into `damaged/`, so that the queue is whole without it. The report says what was there before.
///
/// # Errors
/// Those of [`check`]; the queue is in use; the disk can't be written.
pub fn repair(dir: &Path) -> Result<Report, OpenError> {
    let folder = DiskFolder::new(dir);
    let failed = |error| OpenError::io(&folder, error);
    let report = look(&folder)?;
    let lock = folder.lock().map_err(failed)?.ok_or_else(|| OpenError::Locked(dir.to_owned()))?;
    mend(&folder)?;
    drop(lock);
    Ok(Report { repaired: report.is_damaged() || report.torn_bytes > 0, ..report })
}

pub(super) fn look(folder: &dyn Folder) -> Result<Report, OpenError> {
    let survey = Survey::new(folder)?;
    let kept = folder.list(DAMAGED_DIR).map_err(|error| OpenError::io(folder, error))?;
    let mut report = Report {
        dir: folder.path().to_owned(),
        acked: survey.checkpoint.map(|(checkpoint, _)| checkpoint.acked),
        bad_checkpoints: survey.bad_checkpoints(),
        kept: (kept.len() as u64, kept.iter().map(|(_, bytes)| bytes).sum()),
        ..Report::default()
    };
    let Some(id) = survey.id else { return Ok(report) };
    let mut infos: Vec<PageInfo> = Vec::new();
    let mut hollow = Vec::new();
    for seen in &survey.pages {
        let whole = |reason| {
            let records = 0..0;
            Damage { page: seen.page, from: 0, to: seen.bytes, reason, records, events: Some(0) }
        };
        if let Some(reason) = foreign(&id, seen) {
            report.damage.push(whole(reason));
            continue;
        }
        let failed = |error| OpenError::io(folder, error);
        match page_info(folder, &id, seen).map_err(failed)? {
            Some(info) => infos.push(info),
            None => {
                let reason =
                    seen.header.as_ref().map_or_else(|bad| bad.reason(), |_| "there is no record in it");
                let garbage = matches!(seen.header, Err(BadHeader::Magic | BadHeader::Checksum));
                hollow.push((garbage, whole(reason)));
            }
        }
    }
    // A page that was just made is no damage; one before others is.
    let last = infos.last().map_or(0, |info| info.page);
    for (garbage, damage) in hollow {
        if damage.page > last && !garbage {
            report.torn_bytes += damage.to;
        } else {
            report.damage.push(damage);
        }
    }
    look_inside(folder, &id, &infos, &survey, &mut report);
    Ok(report)
}

fn look_inside(folder: &dyn Folder, id: &QueueId, infos: &[PageInfo], survey: &Survey, report: &mut Report) {
    let acked = report.acked.unwrap_or(0);
    let (mut next, mut next_events) = (acked, None);
    if let Some(first) = infos.first()
        && first.first > acked
        && report.acked.is_some()
        && report.bad_checkpoints == 0
    {
        let (page, records) = (first.page.saturating_sub(1), acked..first.first);
        let reason = "pages are missing before the first one";
        report.damage.push(Damage { page, from: 0, to: 0, reason, records, events: None });
    }
    for (place, info) in infos.iter().enumerate() {
        let upper = infos.get(place + 1).map(|info| (info.first, info.first_events));
        let (upper, upper_events) = upper.unwrap_or((u64::MAX, None));
        let mut page =
            PageReport { page: info.page, bytes: info.bytes, first: info.first, records: 0, events: 0 };
        let Ok(file) = open_page(folder, info.page) else { continue };
        let mut walk = Walk::new(file, id, info, upper, upper_events);
        loop {
            match walk.next(0) {
                Item::Record { header, .. } => {
                    (page.records, page.events) = (page.records + 1, page.events + u64::from(header.events));
                    if header.number >= acked {
                        report.records += 1;
                        report.events += u64::from(header.events);
                    }
                }
                Item::Damage(damage) if damage.records.is_empty() || damage.records.end > acked => {
                    let records = damage.records.start.max(acked)..damage.records.end.max(acked);
                    report.damage.push(Damage { records, ..damage });
                }
                Item::Damage(_) | Item::Passed | Item::Lost { .. } => {}
                Item::End { intact_bytes } => {
                    if upper == u64::MAX {
                        end(survey, &walk, info, intact_bytes, report);
                    }
                    break;
                }
            }
        }
        (next, next_events) = (next.max(walk.expected), walk.expected_events);
        report.pages.push(page);
    }
    if infos.is_empty()
        && let Some((checkpoint, _)) = survey.checkpoint
        && checkpoint.next > next
    {
        let (records, reason) = (next..checkpoint.next, "all pages are missing");
        let events = next_events.map(|events: u64| checkpoint.next_events.saturating_sub(events));
        report.damage.push(Damage { page: 0, from: 0, to: 0, reason, records, events });
    }
}

/// What stands behind the last intact record.
fn end(survey: &Survey, walk: &Walk, info: &PageInfo, intact: u64, report: &mut Report) {
    let found = walk.expected.max(report.acked.unwrap_or(0));
    match survey.checkpoint {
        Some((checkpoint, _)) if checkpoint.next > found => {
            let events = walk.expected_events.map(|events| checkpoint.next_events.saturating_sub(events));
            let (page, records) = (info.page, found..checkpoint.next);
            let reason = "the end of the queue is missing";
            report.damage.push(Damage { page, from: intact, to: info.bytes, reason, records, events });
        }
        _ => report.torn_bytes += info.bytes - intact,
    }
}

pub(super) fn mend(folder: &dyn Folder) -> Result<(), OpenError> {
    let failed = |error| OpenError::io(folder, error);
    let mut found = recover(folder)?;
    for place in 0..found.pages.len() {
        rewrite_broken(folder, &mut found, place).map_err(failed)?;
    }
    Ok(())
}

/// Writes a page again, without what is broken in it; a page that is whole stays as it is.
fn rewrite_broken(folder: &dyn Folder, found: &mut Recovered, place: usize) -> io::Result<()> {
    let Some(info) = found.pages.get(place).copied() else { return Ok(()) };
    let next = found.pages.get(place + 1).map(|info| (info.first, info.first_events));
    let (upper, upper_events) = next.unwrap_or((found.next, Some(found.next_events)));
    let walk = || {
        Ok::<_, io::Error>(Walk::new(open_page(folder, info.page)?, &found.id, &info, upper, upper_events))
    };
    let mut first = walk()?;
    let mut whole = true;
    loop {
        match first.next(0) {
            Item::Damage(damage) => {
                whole = false;
                found.damage.note(folder, &damage, Some(first.file()));
            }
            Item::End { .. } => break,
            Item::Record { .. } | Item::Passed | Item::Lost { .. } => {}
        }
    }
    if whole {
        return Ok(());
    }
    let temporary = format!("{}.new", page_name(info.page));
    // Left by a repair that was interrupted.
    let _ = folder.remove(&temporary);
    let file = folder.create(&temporary)?;
    let header = PageHeader {
        id: found.id,
        page: info.page,
        first: info.first,
        events_before: info.first_events.unwrap_or(0),
    };
    file.append(&mut [IoSlice::new(&header.encode())])?;
    let seed = page_seed(&found.id, info.page);
    let mut second = walk()?.unexpanded();
    loop {
        let events_before = second.expected_events.unwrap_or(0);
        let (header, data) = match second.next(0) {
            Item::Record { header, data } => (header, data),
            Item::Lost { records, events } => lost_record(records.start, records.end, events_before, events),
            Item::Damage(damage) if !damage.records.is_empty() => {
                let events = second.expected_events.unwrap_or(events_before).saturating_sub(events_before);
                lost_record(damage.records.start, damage.records.end, events_before, events)
            }
            Item::Damage(_) | Item::Passed => continue,
            Item::End { .. } => break,
        };
        file.append(&mut [IoSlice::new(&header.encode(seed)), IoSlice::new(&data)])?;
    }
    file.sync()?;
    folder.rename(&temporary, &page_name(info.page))?;
    folder.sync()
}

fn lost_record(start: u64, end: u64, events_before: u64, events: u64) -> (RecordHeader, Vec<u8>) {
    let data = lost_data(end, events_before.saturating_add(events));
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let header = RecordHeader {
        stored: length,
        number: start,
        events_before,
        events: u32::try_from(events).unwrap_or(u32::MAX),
        flags: FLAG_LOST,
        raw: length,
        data_crc: crc32c::crc32c(&data),
    };
    (header, data)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "queue {}", self.dir.display())?;
        if self.in_use {
            writeln!(f, "  in use by a process: what is at the end may just be being written")?;
        }
        for PageReport { page, bytes, first, records, events } in &self.pages {
            writeln!(
                f,
                "  {}: {bytes} bytes, {records} records from number {first}, {events} events",
                page_name(*page)
            )?;
        }
        let acked = self.acked.map_or_else(|| "unknown".to_owned(), |acked| format!("before number {acked}"));
        writeln!(f, "  acked: {acked}")?;
        writeln!(f, "  not acked: {} records, {} events", self.records, self.events)?;
        if self.torn_bytes > 0 {
            writeln!(f, "  torn end, normal after a crash: {} bytes", self.torn_bytes)?;
        }
        if self.bad_checkpoints > 0 {
            writeln!(f, "  damaged: {} of the 2 checkpoints", self.bad_checkpoints)?;
        }
        for Damage { page, from, to, reason, records, events } in &self.damage {
            let lost = records.end.saturating_sub(records.start);
            let events =
                events.map_or_else(|| "an unknown number of".to_owned(), |events| events.to_string());
            writeln!(
                f,
                "  damaged: {} bytes {from} to {to}: {reason}; {lost} records from number {} lost, {events} events",
                page_name(*page),
                records.start
            )?;
        }
        let (files, bytes) = self.kept;
        if files > 0 {
            writeln!(f, "  kept in {DAMAGED_DIR}/ from before: {files} files, {bytes} bytes")?;
        }
        match (self.is_damaged(), self.repaired) {
            (true, true) => {
                writeln!(f, "  repaired: what was broken is in {DAMAGED_DIR}/, the rest is whole")
            }
            (false, true) => writeln!(f, "  repaired: the torn end is cut"),
            (true, false) => writeln!(
                f,
                "  DAMAGED: `ferrostash queue repair` moves what is broken aside; so does a start"
            ),
            (false, false) => writeln!(f, "  whole"),
        }
    }
}
