//! Time zones by id, and what a wall clock reading means in them.
//!
//! Rules come from the tz database that is built into the binary, so results never depend on the machine. Each zone
//! is expanded once, when it is first named, into a sorted table with an index by time; after that a look-up is a
//! step or two. Rules that go on for ever repeat with the Gregorian cycle of 400 years, so the table ends and later
//! times are mapped back into its last cycle.
//!
//! Two worlds of ids meet here. The `timezone` option and zones in ISO 8601 texts follow `java.time`, which knows
//! no `EST`, `MST` and `HST`; the pattern letters `ZZZ` follow Joda, which does.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, RwLock};

use jiff::tz::TimeZone;

use crate::civil::{DAY, days_from_civil};

/// From here on, times are looked up 400 years or a multiple of it earlier.
const TABLE_END: i64 = days_from_civil(2500, 1, 1) * DAY;
/// Seconds in 400 Gregorian years, which are whole weeks too.
const CYCLE: i64 = 146_097 * DAY;
/// Where the spans of a zone's index begin, in seconds after 1970: in 1833.
const SPANS_START: i64 = -(1 << 32);
/// The length of a span is this power of two of seconds, 97 days: there is rarely more than one change in it.
const SPAN_BITS: u32 = 23;
/// The largest offset from UTC that `java.time` allows, in seconds.
const OFFSET_MAX: i32 = 18 * 3600;
/// The longest id is shorter.
const ID_LENGTH_MAX: usize = 40;
/// How far Joda looks for the slash of an id: `Antarctica/` and no further.
const PREFIX_MAX: usize = 11;
/// Ids of the tz database that `java.time` doesn't know.
const JODA_ONLY: [&str; 3] = ["EST", "HST", "MST"];

/// A time zone. Cloning is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(Repr);

#[derive(Clone, PartialEq, Eq)]
enum Repr {
    /// Seconds east of UTC.
    Fixed(i32),
    Rules(Arc<Rules>),
}

#[derive(PartialEq, Eq)]
struct Rules {
    id: Box<str>,
    /// Sorted by time.
    changes: Vec<Change>,
    /// For each span of [`SPAN_BITS`], how many changes are over when it begins.
    spans: Vec<u16>,
    /// The offset before the first change.
    first: i32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Change {
    /// When, in seconds after 1970.
    at: i64,
    /// When the later of the two clocks has passed it: everything before is still undecided.
    local_end: i64,
    before: i32,
    after: i32,
}

/// What a wall clock reading stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// One instant, at this offset.
    Unique(i32),
    /// No instant: the clock was put forward over it.
    Gap { before: i32 },
    /// Two instants: the clock was put back.
    Overlap { before: i32, after: i32 },
}

/// A time zone id that names no zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The datetime zone id '{id}' is not recognised{}", .hint.as_deref().map(|h| format!(", did you mean '{h}'?")).unwrap_or_default())]
pub struct ZoneError {
    /// The id as given.
    pub id: String,
    /// An id that was perhaps meant.
    pub hint: Option<String>,
}

static UTC: Zone = Zone(Repr::Fixed(0));

/// Zones that were named so far; the tz database bounds it.
static KNOWN: LazyLock<RwLock<HashMap<Box<str>, Zone>>> = LazyLock::new(Default::default);

/// Every id of the tz database, sorted by its lower-case form.
static IDS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let mut ids: Vec<(String, String)> = jiff::tz::db()
        .available()
        .map(|name| (name.as_str().to_ascii_lowercase(), name.as_str().to_owned()))
        .collect();
    ids.sort();
    ids
});

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> &'static Zone {
        &UTC
    }

    /// A constant offset, in seconds east of UTC.
    pub const fn fixed(seconds: i32) -> Zone {
        Zone(Repr::Fixed(seconds))
    }

    /// The zone that an option names: an id of the tz database (`Europe/Paris`, case matters), an offset
    /// (`+02:00`, `-0530`, `+2`), `Z`, or an offset after `UTC`, `GMT` or `UT` (`UTC+01:00`).
    ///
    /// # Errors
    /// When there is no such zone. `EST`, `MST` and `HST` are refused, as in Logstash.
    pub fn parse(id: &str) -> Result<Zone, ZoneError> {
        if JODA_ONLY.contains(&id) {
            let hint = match id {
                "EST" => "America/New_York",
                "MST" => "America/Denver",
                _ => "Pacific/Honolulu",
            };
            return Err(ZoneError { id: id.to_owned(), hint: Some(hint.to_owned()) });
        }
        parse_offset_id(id).or_else(|| Zone::region(id)).ok_or_else(|| unknown(id))
    }

    /// The zone with exactly this id in the tz database.
    pub(crate) fn region(id: &str) -> Option<Zone> {
        if let Some(zone) = KNOWN.read().ok().and_then(|known| known.get(id).cloned()) {
            return Some(zone);
        }
        let found = exact_id(id)?;
        let zone = expand(found, &TimeZone::get(found).ok()?);
        if let Ok(mut known) = KNOWN.write() {
            known.insert(found.into(), zone.clone());
        }
        Some(zone)
    }

    /// The zone whose id is the longest that `text` begins with, and the length of that id. Joda's rule (`ZZZ`)
    /// minds the case and knows every id; that of `java.time` does neither.
    pub(crate) fn longest_prefix(text: &str, joda: bool) -> Option<(Zone, usize)> {
        let end = text.bytes().position(|b| !is_id_byte(b)).unwrap_or(text.len()).min(ID_LENGTH_MAX);
        // Joda takes everything up to a slash near the start for a continent, even if it is another word's.
        let shortest = if joda {
            text.bytes().take(PREFIX_MAX).position(|b| b == b'/').map_or(1, |at| at + 2)
        } else {
            1
        };
        (shortest..=end).rev().find_map(|length| {
            let candidate = text.get(..length)?;
            let zone = if joda { Zone::region(candidate)? } else { Zone::region_in_any_case(candidate)? };
            Some((zone, length))
        })
    }

    fn region_in_any_case(id: &str) -> Option<Zone> {
        let id = any_case_id(id).filter(|id| !JODA_ONLY.contains(id))?;
        Zone::region(id)
    }

    /// Seconds east of UTC at `secs` seconds after 1970.
    pub fn offset_at(&self, secs: i64) -> i32 {
        match &self.0 {
            Repr::Fixed(offset) => *offset,
            Repr::Rules(rules) => rules.offset_at(fold(secs)),
        }
    }

    /// What the wall clock reading `local` (seconds as if it were UTC) stands for.
    pub(crate) fn resolve(&self, local: i64) -> Local {
        match &self.0 {
            Repr::Fixed(offset) => Local::Unique(*offset),
            Repr::Rules(rules) => rules.resolve(fold(local)),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Fixed(0) => f.write_str("UTC"),
            Repr::Fixed(offset) => {
                let (sign, size) = (if *offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
                write!(f, "{sign}{:02}:{:02}", size / 3600, size / 60 % 60)?;
                if size.is_multiple_of(60) { Ok(()) } else { write!(f, ":{:02}", size % 60) }
            }
            Repr::Rules(rules) => f.write_str(&rules.id),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}

impl std::str::FromStr for Zone {
    type Err = ZoneError;
    fn from_str(id: &str) -> Result<Zone, ZoneError> {
        Zone::parse(id)
    }
}

impl Rules {
    fn new(id: &str, changes: Vec<Change>, first: i32) -> Rules {
        let last = changes.last().map_or(SPANS_START, Change::end);
        let spans = (SPANS_START..=last)
            .step_by(1 << SPAN_BITS)
            .map(|start| changes.iter().take_while(|change| change.end() <= start).count() as u16);
        Rules { id: id.into(), spans: spans.collect(), changes, first }
    }

    fn offset_at(&self, secs: i64) -> i32 {
        self.before(self.passed(secs, |change| change.at))
    }

    fn resolve(&self, local: i64) -> Local {
        let passed = self.passed(local, |change| change.local_end);
        match self.changes.get(passed) {
            Some(next) if local >= next.at + i64::from(next.before.min(next.after)) => {
                if next.after > next.before {
                    Local::Gap { before: next.before }
                } else {
                    Local::Overlap { before: next.before, after: next.after }
                }
            }
            _ => Local::Unique(self.before(passed)),
        }
    }

    /// How many changes are over, where `end` says when one is.
    fn passed(&self, secs: i64, end: impl Fn(&Change) -> i64) -> usize {
        let span = usize::try_from((secs - SPANS_START) >> SPAN_BITS).unwrap_or(0);
        let mut passed = self.spans.get(span).map_or(self.changes.len(), |passed| usize::from(*passed));
        while self.changes.get(passed).is_some_and(|change| end(change) <= secs) {
            passed += 1;
        }
        passed
    }

    /// The offset once `passed` changes are over.
    fn before(&self, passed: usize) -> i32 {
        passed
            .checked_sub(1)
            .and_then(|last| self.changes.get(last))
            .map_or(self.first, |change| change.after)
    }
}

impl Change {
    /// When it is over by every clock.
    fn end(&self) -> i64 {
        self.at.max(self.local_end)
    }
}

/// Maps a time beyond the table into its last 400 years.
const fn fold(secs: i64) -> i64 {
    if secs < TABLE_END { secs } else { TABLE_END - CYCLE + (secs - TABLE_END) % CYCLE }
}

fn expand(id: &str, tz: &TimeZone) -> Zone {
    let start = jiff::Timestamp::MIN;
    let first = tz.to_offset(start).seconds();
    let mut changes = Vec::new();
    let mut before = first;
    for transition in tz.following(start) {
        let at = transition.timestamp().as_second();
        if at >= TABLE_END {
            break;
        }
        let after = transition.offset().seconds();
        if after != before {
            changes.push(Change { at, local_end: at + i64::from(before.max(after)), before, after });
        }
        before = after;
    }
    if changes.is_empty() && matches!(id, "UTC" | "GMT") {
        return Zone(Repr::Fixed(0));
    }
    Zone(Repr::Rules(Arc::new(Rules::new(id, changes, first))))
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+')
}

fn any_case_id(id: &str) -> Option<&'static str> {
    let lower = id.to_ascii_lowercase();
    let at = IDS.binary_search_by(|(known, _)| known.as_str().cmp(&lower)).ok()?;
    IDS.get(at).map(|(_, name)| name.as_str())
}

fn exact_id(id: &str) -> Option<&'static str> {
    any_case_id(id).filter(|found| *found == id)
}

fn unknown(id: &str) -> ZoneError {
    let last = id.rsplit('/').next().unwrap_or(id).to_ascii_lowercase();
    let by_city =
        || IDS.iter().find(|(lower, _)| !last.is_empty() && lower.rsplit('/').next() == Some(last.as_str()));
    let hint = any_case_id(id).map(str::to_owned).or_else(|| by_city().map(|(_, name)| name.clone()));
    ZoneError { id: id.to_owned(), hint }
}

/// `Z`, `+2`, `+02`, `+02:00`, `+0200`, `+02:00:00`, `+020000`, each also after `UTC`, `GMT` or `UT`.
fn parse_offset_id(id: &str) -> Option<Zone> {
    if matches!(id, "Z" | "UTC" | "GMT" | "UT") {
        return Some(Zone::fixed(0));
    }
    let text = ["UTC", "GMT", "UT"].iter().find_map(|prefix| id.strip_prefix(prefix)).unwrap_or(id);
    let (negative, digits) = match text.as_bytes().first()? {
        b'+' => (false, text.get(1..)?),
        b'-' => (true, text.get(1..)?),
        _ => return None,
    };
    let part = |range: std::ops::Range<usize>| {
        let part = digits.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i32>().ok()).flatten()
    };
    let colon = |at: usize| digits.as_bytes().get(at) == Some(&b':');
    let (hours, minutes, seconds) = match digits.len() {
        1 => (part(0..1)?, 0, 0),
        2 => (part(0..2)?, 0, 0),
        4 => (part(0..2)?, part(2..4)?, 0),
        5 if colon(2) => (part(0..2)?, part(3..5)?, 0),
        6 => (part(0..2)?, part(2..4)?, part(4..6)?),
        8 if colon(2) && colon(5) => (part(0..2)?, part(3..5)?, part(6..8)?),
        _ => return None,
    };
    offset_of(negative, hours, minutes, seconds).map(Zone::fixed)
}

/// An offset in seconds, when it is one that `java.time` allows.
pub(crate) fn offset_of(negative: bool, hours: i32, minutes: i32, seconds: i32) -> Option<i32> {
    if minutes > 59 || seconds > 59 || !(0..=23).contains(&hours) {
        return None;
    }
    let total = hours * 3600 + minutes * 60 + seconds;
    (total <= OFFSET_MAX).then_some(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn local(text: &str) -> i64 {
        Timestamp::parse(text).unwrap().secs()
    }

    #[test]
    fn ids_of_the_option() {
        for id in [
            "UTC",
            "GMT",
            "Z",
            "Europe/Paris",
            "Etc/GMT+5",
            "CET",
            "EST5EDT",
            "+02:00",
            "-05:30",
            "+0200",
            "+2",
            "UTC+01:00",
        ] {
            assert!(Zone::parse(id).is_ok(), "{id}");
        }
        for id in [
            "EST",
            "MST",
            "HST",
            "europe/paris",
            "Mars/Olympus",
            "bad",
            "",
            "+19:00",
            "+2:00",
            "+02:60",
            "%{tz}",
            "é",
            "+é",
            "+0é",
        ] {
            assert!(Zone::parse(id).is_err(), "{id}");
        }
        assert_eq!(Zone::parse("-05:30").unwrap().to_string(), "-05:30");
        assert_eq!(Zone::parse("Asia/Tokyo").unwrap().to_string(), "Asia/Tokyo");
        assert_eq!("+01:02:03".parse::<Zone>().unwrap().to_string(), "+01:02:03");
    }

    #[test]
    fn unknown_ids_come_with_a_suggestion() {
        let hint = |id: &str| Zone::parse(id).unwrap_err().hint;
        assert_eq!(hint("europe/paris").as_deref(), Some("Europe/Paris"));
        assert_eq!(hint("Germany/Berlin").as_deref(), Some("Europe/Berlin"));
        assert_eq!(hint("bad"), None);
        assert_eq!(
            Zone::parse("bad").unwrap_err().to_string(),
            "The datetime zone id 'bad' is not recognised"
        );
    }

    #[test]
    fn gaps_and_overlaps() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        assert_eq!(paris.resolve(local("2026-03-29T01:59:59Z")), Local::Unique(3600));
        assert_eq!(paris.resolve(local("2026-03-29T02:00:00Z")), Local::Gap { before: 3600 });
        assert_eq!(paris.resolve(local("2026-03-29T03:00:00Z")), Local::Unique(7200));
        assert_eq!(
            paris.resolve(local("2026-10-25T02:00:00Z")),
            Local::Overlap { before: 7200, after: 3600 }
        );
        assert_eq!(paris.resolve(local("2026-10-25T03:00:00Z")), Local::Unique(3600));
        let york = Zone::parse("America/New_York").unwrap();
        assert_eq!(york.resolve(local("2026-03-08T02:30:00Z")), Local::Gap { before: -18000 });
        assert_eq!(
            york.resolve(local("2026-11-01T01:30:00Z")),
            Local::Overlap { before: -14400, after: -18000 }
        );
    }

    #[test]
    fn rules_never_end() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        for year in [2026, 2400, 2499, 2500, 2999, 9999, 250_000] {
            let july = days_from_civil(year, 7, 1) * DAY;
            let january = days_from_civil(year, 1, 15) * DAY;
            assert_eq!((paris.offset_at(july), paris.offset_at(january)), (7200, 3600), "{year}");
        }
        assert_eq!(paris.offset_at(i64::MIN), 561);
        assert!(paris.offset_at(i64::MAX) > 0);
    }

    #[test]
    fn longest_id_at_the_start_of_a_text() {
        let at =
            |text, joda| Zone::longest_prefix(text, joda).map(|(zone, length)| (zone.to_string(), length));
        assert_eq!(at("Europe/Paris rest", true), Some(("Europe/Paris".into(), 12)));
        assert_eq!(at("EST", true).map(|found| found.1), Some(3));
        assert_eq!(at("EST", false), None);
        assert_eq!(at("EST5EDT", false).map(|found| found.1), Some(7));
        assert_eq!(at("europe/paris", false).map(|found| found.1), Some(12));
        assert_eq!(at("europe/paris", true), None);
        assert_eq!(at("Mars/Olympus", true), None);
        assert_eq!(at("+01:00", true), None);
        assert_eq!(at("UTC 2026", true).map(|found| found.1), Some(3));
        assert_eq!(at("UTC 02/01/2026", true), None);
    }

    #[test]
    fn the_index_finds_what_a_search_finds() {
        for id in ["Europe/Amsterdam", "America/New_York", "Africa/Monrovia", "Pacific/Apia", "Etc/GMT+5"] {
            let Zone(Repr::Rules(rules)) = Zone::parse(id).unwrap() else { panic!("{id} has rules") };
            let marks = rules.changes.iter().flat_map(|change| [change.at, change.local_end]);
            let spans = [SPANS_START, SPANS_START + (1 << SPAN_BITS), i64::MIN / 2, TABLE_END - 1];
            for secs in marks.chain(spans).flat_map(|at| [at - 1, at, at + 1]) {
                let (utc, local) = (|change: &Change| change.at, |change: &Change| change.local_end);
                assert_eq!(
                    rules.passed(secs, utc),
                    rules.changes.partition_point(|c| utc(c) <= secs),
                    "{id} {secs}"
                );
                assert_eq!(
                    rules.passed(secs, local),
                    rules.changes.partition_point(|c| local(c) <= secs),
                    "{id} {secs}"
                );
            }
        }
    }
}
