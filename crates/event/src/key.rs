//! Field names as small numbers.
//!
//! A pipeline sees the same few hundred names millions of times, so a name is stored once for the process and an event
//! holds its number. The table is append-only and bounded: names arrive from strangers, and a sender that invents a new
//! one per event must not make the process grow. A name that does not fit stays inside its event (see [`crate::Event`]).

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
    /// `"name":`, escaped, so that an encoder copies instead of scanning.
    json: &'static str,
    /// Whether the name as a field reference means the top-level field of that name, and that field has no rules.
    plain: bool,
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

    fn info(self) -> Option<&'static Info> {
        let at = self.0 as usize;
        NAMES.get(at / CHUNK)?.get()?.get(at % CHUNK)?.get()
    }

    pub(crate) fn name(self) -> &'static str {
        self.info().map_or("", |info| info.name)
    }

    /// Whether a hash's member of this name may become a top-level field without further ado.
    pub(crate) fn is_plain(self) -> bool {
        self.info().is_some_and(|info| info.plain)
    }

    /// The name as a JSON key with its colon.
    pub(crate) fn json(self) -> &'static str {
        self.info().map_or("\"\":", |info| info.json)
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
    let mut json = Vec::with_capacity(name.len() + 3);
    crate::json::write_string(name, &mut json);
    json.push(b':');
    let json: &'static str = Box::leak(String::from_utf8(json).unwrap_or_default().into_boxed_str());
    let plain =
        !name.contains(['[', ']']) && ![crate::TIMESTAMP, crate::METADATA, crate::TAGS].contains(&name);
    chunk.get(at % CHUNK)?.set(Info { name, json, plain }).ok()?;
    let id = u32::try_from(at).ok()?;
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
        assert_eq!(KeyId::intern("a\"b").unwrap().json(), "\"a\\\"b\":");
    }

    #[test]
    fn long_names_stay_outside_the_table() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        assert!(KeyId::intern(&long).is_none());
        assert_eq!(Key::new(&long).as_str(), long);
    }
}
