//! What is broken is put aside, counted and told once.

use std::collections::HashSet;
use std::io::IoSlice;
use std::ops::Range;

use super::folder::{Folder, PageFile, read_fully};
use super::format::page_name;

/// The folder for what is broken, inside the folder of the queue.
pub const DAMAGED_DIR: &str = "damaged";
/// Bytes that are kept there; what is more is only counted.
pub const DAMAGED_BYTES_MAX: u64 = 1 << 30;
/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// A range of a page that is broken, or records that are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The number of the page.
    pub page: u64,
    /// Where the range begins, in bytes.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// What is wrong.
    pub reason: &'static str,
    /// The numbers of the records that are lost.
    pub records: Range<u64>,
    /// The events in them, where that is known.
    pub events: Option<u64>,
}

/// Damage that was found since the queue was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damaged {
    /// Ranges of pages, and gaps between pages.
    pub ranges: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Records that are lost.
    pub records: u64,
    /// Events that are lost, as far as known.
    pub events: u64,
    /// Records of which nobody knows how many events they stood for.
    pub records_of_unknown_events: u64,
    /// Checkpoints that could not be used.
    pub checkpoints: u64,
}

impl Damaged {
    /// Whether anything was.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Damaged::default()
    }

    fn add(&mut self, damage: &Damage) {
        let records = damage.records.end.saturating_sub(damage.records.start);
        self.ranges += 1;
        self.bytes += damage.to.saturating_sub(damage.from);
        self.records += records;
        match damage.events {
            Some(events) => self.events += events,
            None => self.records_of_unknown_events += records,
        }
    }
}

/// The damage of a queue.
#[derive(Debug, Default)]
pub(super) struct DamageLog {
    /// Page and beginning of what is known already.
    known: HashSet<(u64, u64)>,
    pub(super) found: Damaged,
    kept_bytes: u64,
}

impl DamageLog {
    pub(super) fn new(folder: &dyn Folder) -> DamageLog {
        let kept = folder.list(DAMAGED_DIR).unwrap_or_default();
        DamageLog { kept_bytes: kept.iter().map(|(_, bytes)| bytes).sum(), ..DamageLog::default() }
    }

    /// Counts a range, tells of it, and copies its bytes; nothing of it where it is known already.
    pub(super) fn note(&mut self, folder: &dyn Folder, damage: &Damage, file: Option<&dyn PageFile>) -> bool {
        if !self.known.insert((damage.page, damage.from)) {
            return false;
        }
        self.tell(folder, damage);
        let bytes = damage.to - damage.from;
        if let Some(file) = file
            && bytes > 0
        {
            let name = format!("{}.{}-{}", page_name(damage.page), damage.from, damage.to);
            self.keep(folder, &name, bytes, damage, |to| copy(file, damage.from..damage.to, to));
        }
        true
    }

    /// Counts a whole page, tells of it, and moves it out of the way. `bytes` of it are counted.
    pub(super) fn put_aside(&mut self, folder: &dyn Folder, damage: &Damage) -> std::io::Result<()> {
        if self.known.insert((damage.page, damage.from)) {
            self.tell(folder, damage);
        }
        folder.make_sub(DAMAGED_DIR)?;
        let kept = folder.list(DAMAGED_DIR)?;
        let name = page_name(damage.page);
        // What is there is kept: a page may have the number of one that was put aside long ago.
        let free = (0_u32..)
            .map(|count| if count == 0 { name.clone() } else { format!("{name}.{count}") })
            .find(|name| kept.iter().all(|(taken, _)| taken != name));
        let Some(free) = free else { return Ok(()) };
        folder.rename(&name, &format!("{DAMAGED_DIR}/{free}"))?;
        self.kept_bytes += damage.to;
        let _ = write_new(folder, &format!("{DAMAGED_DIR}/{free}.txt"), describe(damage).as_bytes());
        Ok(())
    }

    fn tell(&mut self, folder: &dyn Folder, damage: &Damage) {
        self.found.add(damage);
        tracing::error!(
            target: "logstash.queue",
            path = %folder.path().display(),
            page = damage.page,
            from = damage.from,
            to = damage.to,
            "records.lost" = damage.records.end.saturating_sub(damage.records.start),
            "events.lost" = damage.events,
            "a part of the queue is damaged: {}; what is intact is used, and what is not is kept in {DAMAGED_DIR}/",
            damage.reason
        );
    }

    fn keep(
        &mut self,
        folder: &dyn Folder,
        name: &str,
        bytes: u64,
        damage: &Damage,
        fill: impl FnOnce(&dyn PageFile) -> std::io::Result<()>,
    ) {
        if self.kept_bytes.saturating_add(bytes) > DAMAGED_BYTES_MAX {
            return;
        }
        let path = format!("{DAMAGED_DIR}/{name}");
        let kept = folder.make_sub(DAMAGED_DIR).and_then(|()| folder.create(&path)).and_then(|file| {
            self.kept_bytes += bytes;
            fill(&*file)?;
            file.sync()?;
            write_new(folder, &format!("{path}.txt"), describe(damage).as_bytes())
        });
        match kept {
            Ok(()) => {}
            // From the last start.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => tracing::warn!(
                target: "logstash.queue",
                path = %folder.path().display(),
                file = path,
                "damaged bytes can't be kept: {error}"
            ),
        }
    }
}

fn describe(damage: &Damage) -> String {
    let Damage { page, from, to, reason, records, events } = damage;
    let events = events.map_or_else(|| "an unknown number of".to_owned(), |events| events.to_string());
    format!(
        "page: {page}\nbytes: {from} to {to}\nreason: {reason}\nrecords lost: {} (from number {})\nevents lost: {events}\n",
        records.end.saturating_sub(records.start),
        records.start
    )
}

pub(super) fn write_new(folder: &dyn Folder, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let file = folder.create(name)?;
    file.append(&mut [IoSlice::new(bytes)])?;
    file.sync()
}

/// Copies a range; what can't be read is zeros.
fn copy(from: &dyn PageFile, range: Range<u64>, to: &dyn PageFile) -> std::io::Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        let wanted = usize::try_from(range.end - offset).map_or(COPY_BYTES, |rest| rest.min(COPY_BYTES));
        let mut bytes = vec![0; wanted];
        let _ = read_fully(from, &mut bytes, offset);
        to.append(&mut [IoSlice::new(&bytes)])?;
        offset += wanted as u64;
    }
    Ok(())
}
