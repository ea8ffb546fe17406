//! A disk for tests: it forgets what was not synced, fills up, fails at will.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _};

use super::folder::{Access, Folder, PageFile};

/// Writes reach the disk in pieces of this.
const SECTOR: usize = 64;

#[derive(Clone, Default)]
struct Inode {
    /// What programs see.
    content: Vec<u8>,
    /// What is on the disk for sure.
    durable: Vec<u8>,
    /// What may get there.
    writes: Vec<(usize, Vec<u8>)>,
}

#[derive(Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// A handle of an older life of the machine does nothing.
    life: u64,
    operations: u64,
    dies_at: u64,
    syncs: u64,
    fails_sync: u64,
    room: usize,
    failing_opens: u32,
}

#[derive(Clone)]
pub(super) struct ModelFolder {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

impl ModelFolder {
    pub(super) fn new() -> ModelFolder {
        let disk = Disk { dies_at: u64::MAX, fails_sync: u64::MAX, room: usize::MAX, ..Disk::default() };
        ModelFolder { disk: Arc::new(Mutex::new(disk)), life: 0 }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk();
        disk.operations += 1;
        if disk.life != self.life || disk.operations > disk.dies_at {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(disk)
    }

    /// The power goes after this many more operations.
    pub(super) fn die_after(&self, operations: u64) {
        let mut disk = self.disk();
        disk.dies_at = disk.operations + operations;
    }

    pub(super) fn is_dead(&self) -> bool {
        let disk = self.disk();
        disk.life != self.life || disk.operations > disk.dies_at
    }

    /// The nth sync from now fails, and forgets what it should have written.
    pub(super) fn fail_sync(&self, nth: u64) {
        let mut disk = self.disk();
        disk.fails_sync = disk.syncs + nth;
    }

    /// So many times no file can be opened.
    pub(super) fn fail_opens(&self, count: u32) {
        self.disk().failing_opens = count;
    }

    /// Bytes that files may have.
    pub(super) fn set_room(&self, bytes: usize) {
        self.disk().room = bytes;
    }

    /// The machine after a power loss: of what was not synced, anything may be there.
    pub(super) fn after_power_loss(&self, rng: &mut StdRng) -> ModelFolder {
        let mut disk = self.disk();
        disk.life += 1;
        (disk.dies_at, disk.fails_sync, disk.room) = (u64::MAX, u64::MAX, usize::MAX);
        let mut names = disk.durable_names.clone();
        let all: Vec<String> = disk.names.keys().chain(disk.durable_names.keys()).cloned().collect();
        for name in all {
            if rng.random() {
                match disk.names.get(&name) {
                    Some(inode) => names.insert(name, *inode),
                    None => names.remove(&name),
                };
            }
        }
        for inode in &mut disk.inodes {
            let mut content = inode.durable.clone();
            for (offset, bytes) in std::mem::take(&mut inode.writes) {
                for (piece, chunk) in bytes.chunks(SECTOR).enumerate() {
                    if rng.random() {
                        let from = offset + piece * SECTOR;
                        content.resize(content.len().max(from + chunk.len()), 0);
                        content[from..from + chunk.len()].copy_from_slice(chunk);
                    }
                }
            }
            (inode.content, inode.durable) = (content.clone(), content);
        }
        (disk.names, disk.durable_names) = (names.clone(), names);
        ModelFolder { disk: Arc::clone(&self.disk), life: disk.life }
    }

    /// A machine of its own with the same files.
    pub(super) fn copy(&self) -> ModelFolder {
        let disk = self.disk();
        let copy = ModelFolder::new();
        *copy.disk() = Disk {
            inodes: disk.inodes.clone(),
            names: disk.names.clone(),
            durable_names: disk.names.clone(),
            dies_at: u64::MAX,
            fails_sync: u64::MAX,
            room: usize::MAX,
            ..Disk::default()
        };
        copy
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.disk().names.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        let disk = self.disk();
        disk.inodes[disk.names[name]].content.clone()
    }

    /// Puts a file there, or changes one.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let mut disk = self.disk();
        let inode = Inode { content: bytes.to_vec(), durable: bytes.to_vec(), writes: Vec::new() };
        disk.inodes.push(inode);
        let place = disk.inodes.len() - 1;
        disk.names.insert(name.to_owned(), place);
        disk.durable_names.insert(name.to_owned(), place);
    }

    pub(super) fn delete(&self, name: &str) {
        let mut disk = self.disk();
        disk.names.remove(name);
        disk.durable_names.remove(name);
    }

    pub(super) fn flip(&self, rng: &mut StdRng, name: &str) {
        let mut bytes = self.bytes(name);
        if bytes.is_empty() {
            return;
        }
        let bit = rng.next_u64() as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        self.put(name, &bytes);
    }
}

impl Disk {
    fn used(&self) -> usize {
        self.names.values().map(|inode| self.inodes[*inode].content.len()).sum()
    }
}

impl Folder for ModelFolder {
    fn path(&self) -> &Path {
        Path::new("/model")
    }

    fn list(&self, sub: &str) -> io::Result<Vec<(String, u64)>> {
        let disk = self.alive()?;
        let prefix = if sub.is_empty() { String::new() } else { format!("{sub}/") };
        let inside = disk.names.iter().filter_map(|(name, inode)| {
            let name = name.strip_prefix(&prefix)?;
            (!name.contains('/')).then(|| (name.to_owned(), disk.inodes[*inode].content.len() as u64))
        });
        Ok(inside.collect())
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<Arc<dyn PageFile>> {
        let mut disk = self.alive()?;
        if disk.failing_opens > 0 {
            disk.failing_opens -= 1;
            return Err(io::Error::other("too many open files"));
        }
        let inode = *disk.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(Arc::new(ModelFile { folder: self.clone(), inode }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn PageFile>> {
        let mut disk = self.alive()?;
        if disk.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        disk.inodes.push(Inode::default());
        let inode = disk.inodes.len() - 1;
        disk.names.insert(name.to_owned(), inode);
        Ok(Arc::new(ModelFile { folder: self.clone(), inode }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.alive()?;
        disk.names.remove(name).map(|_| ()).ok_or(ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.alive()?;
        let inode = disk.names.remove(from).ok_or(ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.alive()?;
        disk.durable_names = disk.names.clone();
        Ok(())
    }

    fn make_sub(&self, _sub: &str) -> io::Result<()> {
        self.alive().map(|_| ())
    }
}

struct ModelFile {
    folder: ModelFolder,
    inode: usize,
}

impl ModelFile {
    fn write(&self, bytes: &[u8], offset: Option<u64>) -> io::Result<()> {
        let mut disk = self.folder.alive()?;
        let used = disk.used();
        let room = disk.room.saturating_sub(used);
        let inode = &mut disk.inodes[self.inode];
        let offset = offset.map_or(inode.content.len(), |offset| offset as usize);
        let more = (offset + bytes.len()).saturating_sub(inode.content.len());
        // A disk that fills up takes what it can.
        let taken = if more > room { bytes.len() - (more - room) } else { bytes.len() };
        let end = (offset + taken).max(inode.content.len());
        inode.content.resize(end, 0);
        inode.content[offset..offset + taken].copy_from_slice(&bytes[..taken]);
        inode.writes.push((offset, bytes[..taken].to_vec()));
        if taken < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl PageFile for ModelFile {
    fn append(&self, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.write(&bytes, None)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write(bytes, Some(offset))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.folder.alive()?;
        let rest = disk.inodes[self.inode].content.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.folder.alive()?;
        let inode = &mut disk.inodes[self.inode];
        inode.content.resize(bytes as usize, 0);
        inode.writes.retain(|(offset, _)| *offset < bytes as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.folder.alive()?;
        disk.syncs += 1;
        let fails = disk.syncs == disk.fails_sync;
        let inode = &mut disk.inodes[self.inode];
        if fails {
            inode.writes.clear();
            return Err(io::Error::other("the disk has an error"));
        }
        inode.durable = inode.content.clone();
        inode.writes.clear();
        Ok(())
    }
}
