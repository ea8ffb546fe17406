//! Names of months, weekdays, halves of the day and eras, by language.
//!
//! The table has the forms that are used inside dates ("2 января", not "январь"), since those are what Java's
//! symbols give to Joda. A locale that is not in the table gets its language's names, and an unknown language gets
//! English ones, as Java's root locale does.

use std::fmt;
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

/// The names of a locale, as patterns read and write them. Copying is free.
#[derive(Clone, Copy)]
pub struct Locale(&'static Names);

/// What a text field holds; it also numbers the lists of [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    Month,
    Weekday,
    Halfday,
    Era,
}

struct Names {
    tag: &'static str,
    /// Lists as in [`TextKind`], each with long and short forms.
    lists: [List; 4],
}

struct List {
    long: Vec<&'static str>,
    short: Vec<&'static str>,
    /// Every form that is read with its index, by head and then the longest first.
    forms: Vec<(String, u8)>,
    heads: Heads,
}

/// Which forms begin with a head: a table of hashes, a quarter full at most.
struct Heads(Vec<(u32, Range<u8>)>);

impl Heads {
    fn new(forms: &[(String, u8)]) -> Heads {
        let mut found: Vec<(u32, Range<u8>)> = Vec::new();
        for (at, (form, _)) in (0u8..).zip(forms) {
            let head = head(form.as_bytes());
            match found.last_mut() {
                Some((last, range)) if *last == head => range.end = at + 1,
                _ => found.push((head, at..at + 1)),
            }
        }
        let mut table = vec![(0, 0..0); (4 * found.len()).next_power_of_two()];
        for (head, range) in found {
            let free =
                places(head, table.len()).find(|at| table.get(*at).is_some_and(|(known, _)| *known == 0));
            if let Some(place) = free.and_then(|at| table.get_mut(at)) {
                *place = (head, range);
            }
        }
        Heads(table)
    }

    /// The forms that begin with `head`; none, where there are none.
    fn get(&self, head: u32) -> Range<usize> {
        let found = places(head, self.0.len())
            .map_while(|at| self.0.get(at).filter(|(known, _)| *known != 0))
            .find(|(known, _)| *known == head);
        found.map_or(0..0, |(_, range)| usize::from(range.start)..usize::from(range.end))
    }
}

/// Where a head may be in a table of `size` places, a power of two: from its hash on, round about.
fn places(head: u32, size: usize) -> impl Iterator<Item = usize> {
    let hash = head.wrapping_mul(0x9e37_79b1) >> 16;
    (0..size).map(move |step| (hash as usize + step) & (size - 1))
}

/// Most bytes of a form's head.
const HEAD_MAX: usize = 3;

/// The first bytes of a form, three where it has as many, as one number.
fn head(bytes: &[u8]) -> u32 {
    match *bytes {
        [] => 0,
        [a] => u32::from_be_bytes([1, a, 0, 0]),
        [a, b] => u32::from_be_bytes([2, a, b, 0]),
        [a, b, c, ..] => u32::from_be_bytes([3, a, b, c]),
    }
}

/// A row of the table: its tag, its other columns, and the names once somebody asked for them.
struct Row {
    tag: &'static str,
    columns: &'static str,
    names: OnceLock<Option<Names>>,
}

static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    include_str!("locales.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .map(|(tag, columns)| Row { tag, columns, names: OnceLock::new() })
        .collect()
});

impl Locale {
    /// American English, which is Logstash's default here.
    pub fn en_us() -> Locale {
        Locale::for_tag("en")
    }

    /// The locale of a language tag such as `fr`, `pt-BR` or `pt_BR`.
    pub fn for_tag(tag: &str) -> Locale {
        let (language, region) = split(tag);
        let full = format!("{language}-{region}");
        let named = |tag: &str| TABLE.iter().find(|row| row.tag == tag);
        let found = named(&full).or_else(|| named(&language)).or_else(|| named("en"));
        // The table is part of the program and has English.
        Locale(found.map_or(&EMPTY, Row::names))
    }

    /// The name number `index`, from 0; empty when there is none.
    pub(crate) fn name(&self, kind: TextKind, index: usize, short: bool) -> &'static str {
        let list = self.0.list(kind);
        if short { &list.short } else { &list.long }.get(index).copied().unwrap_or_default()
    }

    /// Every form in which names of that kind are read.
    pub(crate) fn forms(&self, kind: TextKind) -> impl Iterator<Item = &'static str> {
        self.0.list(kind).forms.iter().map(|(form, _)| form.as_str())
    }

    /// The longest name of that kind that `text` begins with: its index and its length in bytes. As in Joda, a name
    /// counts as written here, all in lower case or all in upper case, and long and short ones alike.
    pub(crate) fn read(&self, kind: TextKind, text: &[u8]) -> Option<(u8, usize)> {
        let list = self.0.list(kind);
        (1..=HEAD_MAX).rev().find_map(|length| {
            let (start, rest) = text.split_at_checked(length)?;
            let forms = list.forms.get(list.heads.get(head(start)))?;
            let is_here = |form: &str| {
                let tail = form.as_bytes().get(length..).unwrap_or_default();
                // Not `starts_with`: nearly always the first byte decides, or there is none.
                tail.len() <= rest.len() && tail.iter().zip(rest).all(|(a, b)| a == b)
            };
            forms.iter().find(|(form, _)| is_here(form)).map(|(form, index)| (*index, form.len()))
        })
    }
}

impl PartialEq for Locale {
    fn eq(&self, other: &Locale) -> bool {
        self.0.tag == other.0.tag
    }
}

impl Eq for Locale {}

impl fmt::Debug for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locale({})", self.0.tag)
    }
}

static EMPTY: Names = Names {
    tag: "",
    lists: [const { List { long: Vec::new(), short: Vec::new(), forms: Vec::new(), heads: Heads(Vec::new()) } };
        4],
};

impl Row {
    fn names(&'static self) -> &'static Names {
        self.names.get_or_init(|| Names::read(self.tag, self.columns)).as_ref().unwrap_or(&EMPTY)
    }
}

impl Names {
    fn read(tag: &'static str, columns: &'static str) -> Option<Names> {
        let mut columns = columns.split('\t');
        let mut list = || Some(columns.next()?.split('|').collect::<Vec<_>>());
        let (months, short_months, weekdays, short_weekdays) = (list()?, list()?, list()?, list()?);
        let (halfdays, eras) = (list()?, list()?);
        Some(Names {
            tag,
            lists: [
                List::new(tag, months, short_months, &[]),
                List::new(tag, weekdays, short_weekdays, &[]),
                List::new(tag, halfdays.clone(), halfdays, &[]),
                List::new(tag, eras.clone(), eras, if split(tag).0 == "en" { &["BCE", "CE"] } else { &[] }),
            ],
        })
    }

    fn list(&self, kind: TextKind) -> &List {
        let [months, weekdays, halfdays, eras] = &self.lists;
        match kind {
            TextKind::Month => months,
            TextKind::Weekday => weekdays,
            TextKind::Halfday => halfdays,
            TextKind::Era => eras,
        }
    }
}

impl List {
    fn new(tag: &str, long: Vec<&'static str>, short: Vec<&'static str>, more: &[&'static str]) -> List {
        let mut forms: Vec<(String, u8)> = Vec::new();
        for (index, name) in [&long, &short]
            .into_iter()
            .flat_map(|names| names.iter().enumerate())
            .chain(more.iter().enumerate())
        {
            for form in [(*name).to_owned(), lower(tag, name), upper(tag, name)] {
                if !forms.iter().any(|(known, _)| *known == form) {
                    forms.push((form, index as u8));
                }
            }
        }
        forms.sort_by_key(|(form, _)| (head(form.as_bytes()), std::cmp::Reverse(form.len())));
        let heads = Heads::new(&forms);
        List { long, short, forms, heads }
    }
}

/// Turkish has an i with and one without a dot, each with its capital.
fn upper(tag: &str, name: &str) -> String {
    if tag == "tr" { name.replace('i', "İ").to_uppercase() } else { name.to_uppercase() }
}

fn lower(tag: &str, name: &str) -> String {
    if tag == "tr" { name.replace('İ', "i").replace('I', "ı").to_lowercase() } else { name.to_lowercase() }
}

/// Language in lower case and region in upper case; scripts and variants don't matter here.
fn split(tag: &str) -> (String, String) {
    let mut parts = tag.split(['-', '_']);
    let language = parts.next().unwrap_or_default().to_ascii_lowercase();
    let region = parts.find(|part| part.len() == 2).unwrap_or_default().to_ascii_uppercase();
    (language, region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(tag: &str, text: &str) -> Option<u8> {
        Locale::for_tag(tag)
            .read(TextKind::Month, text.as_bytes())
            .filter(|(_, length)| *length == text.len())
            .map(|(index, _)| index + 1)
    }

    #[test]
    fn every_row_is_complete() {
        assert!(TABLE.len() > 50);
        for names in TABLE.iter().map(Row::names) {
            let lengths: Vec<usize> = names.lists.iter().map(|list| list.long.len()).collect();
            assert_eq!(lengths, [12, 7, 2, 2], "{}", names.tag);
        }
    }

    #[test]
    fn names_as_written_or_in_one_case() {
        for text in ["Oct", "OCT", "oct", "October", "OCTOBER", "october"] {
            assert_eq!(month("en", text), Some(10), "{text}");
        }
        for text in ["oCT", "Okt", "Octo"] {
            assert_eq!(month("en", text), None, "{text}");
        }
        assert_eq!((month("en-US", "Sept"), month("en-US", "Sep")), (None, Some(9)));
        assert_eq!((month("en_GB", "Sept"), month("en-GB", "Sep")), (Some(9), None));
        assert_eq!(
            (month("fr", "janv."), month("fr", "janv"), month("fr", "FÉVRIER")),
            (Some(1), None, Some(2))
        );
        assert_eq!((month("ru", "мая"), month("ru", "январь")), (Some(5), None));
        assert_eq!(month("tr", "NİSAN"), Some(4));
    }

    #[test]
    fn unknown_locales_fall_back() {
        assert_eq!(month("xx", "Jan"), Some(1));
        assert_eq!(month("de-LI", "Dez."), Some(12));
        assert_eq!(month("", "December"), Some(12));
        assert_eq!(Locale::for_tag("de-AT").name(TextKind::Month, 0, false), "Jänner");
        assert_eq!(Locale::for_tag("zh-Hans-CN").name(TextKind::Month, 0, true), "1月");
        assert_eq!(Locale::en_us().read(TextKind::Era, b"BCE"), Some((0, 3)));
        assert_eq!(Locale::for_tag("nl").name(TextKind::Month, 12, false), "");
    }
}
