//! Looks at the files of a queue without changing any.

use std::io;
use std::sync::Arc;

use super::checkpoint::{SLOT_NAMES, Slot, read_slots};
use super::folder::{Access, Folder, PageFile, read_fully};
use super::format::{BadHeader, Checkpoint, PAGE_HEADER_BYTES, PageHeader, QueueId, page_name, page_number};
use super::scan::{Item, PageInfo, Walk};
use super::{OpenError, RECORD_BYTES_MAX};

/// A file that is called like a page.
pub(super) struct PageSeen {
    pub(super) page: u64,
    pub(super) bytes: u64,
    pub(super) header: Result<PageHeader, BadHeader>,
}

/// What is in the folder of a queue.
pub(super) struct Survey {
    /// The identity of the queue; none when there is nothing that has one.
    pub(super) id: Option<QueueId>,
    /// By number.
    pub(super) pages: Vec<PageSeen>,
    pub(super) slots: [Slot; 2],
    /// The last good checkpoint of this queue, and the file that it is in.
    pub(super) checkpoint: Option<(Checkpoint, usize)>,
}

impl Survey {
    /// Lists the folder and reads checkpoints and headers.
    ///
    /// # Errors
    /// The folder can't be read, is one of Logstash's, or was written by a newer version.
    pub(super) fn new(folder: &dyn Folder) -> Result<Survey, OpenError> {
        let failed = |error| OpenError::io(folder, error);
        let names = folder.list("").map_err(failed)?;
        if names.iter().any(|(name, _)| is_of_logstash(name)) {
            return Err(OpenError::Logstash { dir: folder.path().to_owned() });
        }
        let mut pages = Vec::new();
        for (name, bytes) in &names {
            let Some(page) = page_number(name) else { continue };
            let header = read_header(folder, page).map_err(failed)?;
            if let Err(BadHeader::Newer(version)) = header {
                return Err(OpenError::Newer { dir: folder.path().to_owned(), page, version });
            }
            pages.push(PageSeen { page, bytes: *bytes, header });
        }
        pages.sort_by_key(|page| page.page);
        let slots = read_slots(folder);
        let id = identity(&pages, slots);
        let of_ours =
            |(place, slot): (usize, &Slot)| Some((slot.good().filter(|c| Some(c.id) == id)?, place));
        let checkpoint = slots.iter().enumerate().filter_map(of_ours).max_by_key(|(c, _)| c.sequence);
        Ok(Survey { id, pages, slots, checkpoint })
    }

    /// Checkpoints that are there and can't be used, or of which only one is there.
    pub(super) fn bad_checkpoints(&self) -> u64 {
        let bad = |slot: &&Slot| match slot {
            Slot::Missing => self.checkpoint.is_some(),
            Slot::Bad => true,
            Slot::Good(checkpoint) => Some(checkpoint.id) != self.id,
        };
        let all = self.slots.iter().filter(bad).count() as u64;
        // Without any checkpoint, a queue that has pages has lost both.
        let lost = self.slots == [Slot::Missing; 2] && self.pages.iter().any(|page| page.header.is_ok());
        if lost { SLOT_NAMES.len() as u64 } else { all }
    }
}

/// Files of Logstash's own persistent queue: `page.N`, `checkpoint.head`, `checkpoint.N`.
fn is_of_logstash(name: &str) -> bool {
    let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix("page.").is_some_and(digits)
        || name.strip_prefix("checkpoint.").is_some_and(|rest| rest == "head" || digits(rest))
        || name == ".queue-version"
}

/// Whether a folder has files of a queue, ours or Logstash's.
#[must_use]
pub fn is_queue(dir: &std::path::Path) -> bool {
    let names = super::folder::DiskFolder::new(dir).list("").unwrap_or_default();
    names.iter().any(|(name, _)| {
        page_number(name).is_some() || SLOT_NAMES.contains(&name.as_str()) || is_of_logstash(name)
    })
}

/// What most files say; a single stray file decides nothing.
fn identity(pages: &[PageSeen], slots: [Slot; 2]) -> Option<QueueId> {
    let of_pages = pages.iter().filter_map(|page| page.header.as_ref().ok()).map(|header| header.id);
    let of_slots = slots.iter().filter_map(|slot| slot.good()).map(|checkpoint| checkpoint.id);
    let mut votes: Vec<(QueueId, usize)> = Vec::new();
    for id in of_slots.chain(of_pages) {
        match votes.iter_mut().find(|(other, _)| *other == id) {
            Some((_, count)) => *count += 1,
            None => votes.push((id, 1)),
        }
    }
    let most = votes.iter().map(|(_, count)| *count).max()?;
    // Where as many say one as the other, the checkpoints, which come first, are right.
    votes.into_iter().find(|(_, count)| *count == most).map(|(id, _)| id)
}

fn read_header(folder: &dyn Folder, page: u64) -> io::Result<Result<PageHeader, BadHeader>> {
    let mut bytes = [0; PAGE_HEADER_BYTES];
    let read = open_page(folder, page).and_then(|file| read_fully(&*file, &mut bytes, 0));
    match read {
        Ok(count) => Ok(PageHeader::decode(bytes.get(..count).unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // A disk that can't read the header may still read the rest.
        Err(_) => Ok(Err(BadHeader::Checksum)),
    }
}

pub(super) fn open_page(folder: &dyn Folder, page: u64) -> io::Result<Arc<dyn PageFile>> {
    folder.open(&page_name(page), Access::Read)
}

/// What a walk over a page found that nobody has looked into yet.
pub(super) struct Inside {
    pub(super) info: PageInfo,
    /// The number behind its last intact record, and the events up to there.
    pub(super) next: u64,
    pub(super) next_events: u64,
    /// Where the last intact record ends.
    pub(super) intact_bytes: u64,
    pub(super) damage: Vec<super::Damage>,
}

/// What is known of a page after a look at its header or, where that is broken, for its first intact record; none when
/// there is neither.
pub(super) fn page_info(folder: &dyn Folder, id: &QueueId, seen: &PageSeen) -> io::Result<Option<PageInfo>> {
    let header = seen.header.as_ref().ok().filter(|header| header.id == *id && header.page == seen.page);
    let mut info = PageInfo {
        page: seen.page,
        first: header.map_or(0, |header| header.first),
        first_events: header.map(|header| header.events_before),
        bytes: seen.bytes,
        has_header: header.is_some(),
    };
    if header.is_none() {
        let mut walk = Walk::new(open_page(folder, seen.page)?, id, &info, u64::MAX, None);
        let Some(first) = walk.first_record() else { return Ok(None) };
        (info.first, info.first_events) = (first.number, Some(first.events_before));
    }
    Ok(Some(info))
}

/// Looks through a whole page that is not known to end at a certain record; none when there is no record in it.
pub(super) fn look_inside(folder: &dyn Folder, id: &QueueId, seen: &PageSeen) -> io::Result<Option<Inside>> {
    let Some(info) = page_info(folder, id, seen)? else { return Ok(None) };
    let mut walk = Walk::new(open_page(folder, seen.page)?, id, &info, u64::MAX, None);
    let mut damage = Vec::new();
    loop {
        match walk.next(0) {
            Item::Damage(found) => damage.push(found),
            Item::Record { .. } | Item::Passed | Item::Lost { .. } => {}
            Item::End { intact_bytes } => {
                let next_events = walk.expected_events.or(info.first_events).unwrap_or(0);
                let next = walk.expected;
                let found = next > info.first;
                return Ok(found.then_some(Inside { info, next, next_events, intact_bytes, damage }));
            }
        }
    }
}

const _: () = assert!(RECORD_BYTES_MAX < u32::MAX as usize, "lengths are stored in 32 bits");
