//! Field names as small numbers.
//!
//! A pipeline sees the same few hundred names millions of times, so a name is stored once for the process and an event
//! holds its number. The table is append-only and bounded: names arrive from strangers, and a sender that invents a new
//! one per event must not make the process grow. A name that does not fit stays inside its event (see [`crate::Event`]).

use crate::json::writer::{self, Writer};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Longest name, in bytes, that the process-wide table takes.
pub const KEY_BYTES_MAX: usize = 256;
/// Most names that the process-wide table takes.
pub const KEYS_MAX: usize = CHUNKS * CHUNK;

const CHUNKS: usize = 64;
const CHUNK: usize = 4096;

/// What the table knows of a name.
struct Info {
    name: &'static str,
    json: JsonKey,
}

/// A bit of the number of a name that, as a field reference, means something else than the top-level field of that name,
/// or a field with rules of its own.
const SPECIAL: u32 = 1 << 30;

/// `,"name":`, escaped, so that an encoder copies instead of scanning, and a decoder compares instead of reading.
///
/// The text is filled up to whole blocks: copying and comparing bytes of a fixed number is the quickest.
#[derive(Clone, Copy)]
pub(crate) struct JsonKey {
    first: u128,
    /// The bytes of the first block that count, but for the comma.
    first_mask: u128,
    rest: &'static [u8],
    len: usize,
}

impl JsonKey {
    const BLOCK: usize = writer::BLOCK;
    /// No key at all.
    const NONE: JsonKey = JsonKey { first: 0, first_mask: 0, rest: &[], len: 0 };

    fn new(name: &str) -> JsonKey {
        let mut json = vec![b','];
        crate::json::write_string(name, &mut json);
        json.push(b':');
        let len = json.len();
        json.resize(len.next_multiple_of(Self::BLOCK), 0);
        // Never freed: the table lives as long as the process and is bounded by KEYS_MAX.
        let Some((first, rest)) = json.leak().split_first_chunk() else { return Self::NONE };
        let filling = Self::BLOCK.saturating_sub(len);
        let first_mask = u128::MAX >> (8 * filling) & !0xff;
        JsonKey { first: u128::from_le_bytes(*first), first_mask, rest, len }
    }

    /// Writes a comma and the key.
    #[inline]
    pub(crate) fn write(self, out: &mut Writer<'_>) {
        out.room(self.len);
        out.block(self.first.to_le_bytes(), self.len.min(Self::BLOCK));
        if self.len > Self::BLOCK {
            out.part(self.rest, 0, self.len - Self::BLOCK);
        }
    }

    /// Whether the key stands in `text` behind its first byte. At the very end of a text it may say no where yes is true.
    #[inline]
    pub(crate) fn follows(self, text: &[u8]) -> bool {
        let Some(there) = text.first_chunk() else { return false };
        (u128::from_le_bytes(*there) ^ self.first) & self.first_mask == 0
            && (self.len <= Self::BLOCK || self.rest_follows(text))
    }

    fn rest_follows(self, text: &[u8]) -> bool {
        let rest = self.rest.get(..self.len - Self::BLOCK);
        rest.is_some() && text.get(Self::BLOCK..self.len) == rest
    }

    /// Length in bytes, comma and colon included.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len
    }
}

type Chunk = Box<[OnceLock<Info>]>;

/// Names by number; read without a lock.
static NAMES: [OnceLock<Chunk>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
/// Numbers by name; asked once per thread and name.
static NUMBERS: Mutex<Option<HashMap<&'static str, u32, ahash::RandomState>>> = Mutex::new(None);

thread_local! {
    static SEEN: RefCell<HashMap<&'static str, u32, ahash::RandomState>> = RefCell::default();
}

/// A name in the process-wide table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub(crate) struct KeyId(pub(crate) u32);

impl KeyId {
    /// The number of `name`, entering it if there is room.
    pub(crate) fn intern(name: &str) -> Option<KeyId> {
        SEEN.with_borrow_mut(|seen| {
            if let Some(&id) = seen.get(name) {
                return Some(KeyId(id));
            }
            let (name, id) = enter(name)?;
            seen.insert(name, id);
            Some(KeyId(id))
        })
    }

    #[inline]
    fn info(self) -> Option<&'static Info> {
        let at = (self.0 & !SPECIAL) as usize;
        NAMES.get(at / CHUNK)?.get()?.get(at % CHUNK)?.get()
    }

    pub(crate) fn name(self) -> &'static str {
        self.info().map_or("", |info| info.name)
    }

    /// Whether a hash's member of this name may become a top-level field without further ado.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & SPECIAL == 0
    }

    /// The name as a JSON key with its colon.
    #[inline]
    pub(crate) fn json(self) -> JsonKey {
        self.info().map_or(JsonKey::NONE, |info| info.json)
    }
}

fn enter(name: &str) -> Option<(&'static str, u32)> {
    if name.len() > KEY_BYTES_MAX {
        return None;
    }
    let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    let numbers = numbers.get_or_insert_default();
    if let Some((&name, &id)) = numbers.get_key_value(name) {
        return Some((name, id));
    }
    let at = numbers.len();
    let chunk = NAMES.get(at / CHUNK)?.get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect());
    // Never freed: the table lives as long as the process and is bounded by KEYS_MAX.
    let name: &'static str = Box::leak(name.into());
    let json = JsonKey::new(name);
    chunk.get(at % CHUNK)?.set(Info { name, json }).ok()?;
    let special =
        name.contains(['[', ']']) || [crate::TIMESTAMP, crate::METADATA, crate::TAGS].contains(&name);
    let id = u32::try_from(at).ok()? | if special { SPECIAL } else { 0 };
    numbers.insert(name, id);
    Some((name, id))
}

/// A field name, as references and templates hold it.
#[derive(Clone)]
pub struct Key(pub(crate) KeyRepr);

#[derive(Clone)]
pub(crate) enum KeyRepr {
    Interned(KeyId),
    /// Too long, or the table is full.
    Owned(Arc<str>),
}

impl Key {
    /// The key named `name`.
    pub fn new(name: &str) -> Self {
        match KeyId::intern(name) {
            Some(id) => Key(KeyRepr::Interned(id)),
            None => Key(KeyRepr::Owned(name.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            KeyRepr::Interned(id) => id.name(),
            KeyRepr::Owned(name) => name,
        }
    }

    pub(crate) fn id(&self) -> Option<KeyId> {
        match self.0 {
            KeyRepr::Interned(id) => Some(id),
            KeyRepr::Owned(_) => None,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (KeyRepr::Interned(a), KeyRepr::Interned(b)) => a == b,
            _ => self.as_str() == other.as_str(),
        }
    }
}

impl Eq for Key {}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_name_same_number_on_every_thread() {
        let here = KeyId::intern("message").unwrap();
        let there = std::thread::spawn(|| KeyId::intern("message").unwrap()).join().unwrap();
        assert_eq!(here, there);
        assert_eq!(here.name(), "message");
        for (name, json) in
            [("a\"b", r#","a\"b":"#), ("a name of more than a block", r#","a name of more than a block":"#)]
        {
            let (key, mut text) = (KeyId::intern(name).unwrap().json(), Vec::new());
            let mut writer = Writer::new(&mut text);
            key.write(&mut writer);
            writer.finish();
            assert_eq!((String::from_utf8_lossy(&text), key.len()), (json.into(), json.len()));
            let filling = "x".repeat(JsonKey::BLOCK);
            assert!(key.follows(format!("{{{}{filling}", &json[1..]).as_bytes()));
            assert!(!key.follows(format!("{}x{filling}", &json[..json.len() - 1]).as_bytes()));
            assert!(!key.follows(format!(",x{}{filling}", &json[2..]).as_bytes()));
        }
    }

    #[test]
    fn long_names_stay_outside_the_table() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        assert!(KeyId::intern(&long).is_none());
        assert_eq!(Key::new(&long).as_str(), long);
    }
}
