//! What the texts of a format look like, roughly: enough to prove that two formats never read the same text.
//!
//! Every text that a format reads has one of its shapes; other texts may have it, too. So formats without a common
//! text of their shapes have none at all, while the opposite says nothing.

use crate::locale::{Locale, TextKind};

/// More optional digits than this count as any number of them.
const OPTIONAL_MAX: usize = 18;
/// The last place of a set stands for every byte beyond ASCII.
const BEYOND_ASCII: u8 = 127;

/// A set of bytes, as bits.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(u128);

/// A chain of bytes.
#[derive(Clone, Default)]
pub(crate) struct Shape(Vec<Link>);

#[derive(Clone, Copy)]
struct Link {
    bytes: Bytes,
    presence: Presence,
}

/// How often a link's byte comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Once,
    Perhaps,
    /// Also not at all.
    Repeated,
}

impl Bytes {
    pub(crate) const ANY: Bytes = Bytes(u128::MAX);
    pub(crate) const BEYOND_ASCII: Bytes = Bytes(1 << BEYOND_ASCII);

    pub(crate) fn new(bytes: impl IntoIterator<Item = u8>) -> Bytes {
        Bytes(bytes.into_iter().fold(0, |set, byte| set | 1 << byte.min(BEYOND_ASCII)))
    }

    pub(crate) fn digits() -> Bytes {
        Bytes::new(b'0'..=b'9')
    }

    pub(crate) fn letters() -> Bytes {
        Bytes::new((b'a'..=b'z').chain(b'A'..=b'Z'))
    }

    #[must_use]
    pub(crate) fn and(self, other: Bytes) -> Bytes {
        Bytes(self.0 | other.0)
    }

    fn meets(self, other: Bytes) -> bool {
        self.0 & other.0 != 0
    }
}

impl Shape {
    /// Then comes one of `bytes`.
    #[must_use]
    pub(crate) fn once(self, bytes: Bytes) -> Shape {
        self.link(bytes, Presence::Once)
    }

    #[must_use]
    pub(crate) fn perhaps(self, bytes: Bytes) -> Shape {
        self.link(bytes, Presence::Perhaps)
    }

    /// Then come any number of `bytes`, or none.
    #[must_use]
    pub(crate) fn repeated(self, bytes: Bytes) -> Shape {
        self.link(bytes, Presence::Repeated)
    }

    /// Then come from `min` to `max` of `bytes`.
    #[must_use]
    pub(crate) fn between(mut self, min: usize, max: usize, bytes: Bytes) -> Shape {
        for _ in 0..min {
            self = self.once(bytes);
        }
        match max.saturating_sub(min) {
            more @ ..=OPTIONAL_MAX => (0..more).fold(self, |shape, _| shape.perhaps(bytes)),
            _ => self.repeated(bytes),
        }
    }

    /// Then comes a plus or a minus, or none.
    #[must_use]
    pub(crate) fn perhaps_sign(self) -> Shape {
        self.perhaps(Bytes::new(*b"+-"))
    }

    /// Then comes a literal text, in any case. Letters of ASCII have relatives beyond it (`K` and the sign of kelvin).
    #[must_use]
    pub(crate) fn literal(self, text: &str) -> Shape {
        text.chars().fold(self, |shape, c| match u8::try_from(c) {
            Ok(byte) if byte.is_ascii_alphabetic() => {
                let bytes = Bytes::new([byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
                shape.once(bytes.and(Bytes::BEYOND_ASCII)).repeated(Bytes::BEYOND_ASCII)
            }
            Ok(byte) if byte.is_ascii() => shape.once(Bytes::new([byte])),
            _ => {
                let bytes = Bytes::BEYOND_ASCII.and(Bytes::letters());
                shape.once(bytes).repeated(Bytes::BEYOND_ASCII)
            }
        })
    }

    /// Then comes a name.
    #[must_use]
    pub(crate) fn name(self, locale: Locale, kind: TextKind) -> Shape {
        let forms = || locale.forms(kind);
        let (min, max) = (forms().map(str::len).min(), forms().map(str::len).max());
        (0..max.unwrap_or(0)).fold(self, |shape, at| {
            let bytes = Bytes::new(forms().filter_map(|form| form.as_bytes().get(at).copied()));
            if min.is_some_and(|min| at < min) { shape.once(bytes) } else { shape.perhaps(bytes) }
        })
    }

    fn link(mut self, bytes: Bytes, presence: Presence) -> Shape {
        self.0.push(Link { bytes, presence });
        self
    }

    /// Whether a text can have both shapes.
    pub(crate) fn meets(&self, other: &Shape) -> bool {
        let width = other.0.len() + 1;
        let mut seen = vec![false; (self.0.len() + 1) * width];
        let mut open = vec![(0, 0)];
        while let Some((a, b)) = open.pop() {
            match seen.get_mut(a * width + b) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            if self.may_end(a) && other.may_end(b) {
                return true;
            }
            for (bytes, next_a) in self.next(a) {
                let common = other.next(b).filter(|(others, _)| bytes.meets(*others));
                open.extend(common.map(|(_, next_b)| (next_a, next_b)));
            }
        }
        false
    }

    fn may_end(&self, at: usize) -> bool {
        self.0.iter().skip(at).all(|link| link.presence != Presence::Once)
    }

    /// The bytes that may come at link `at`, and where each leads.
    fn next(&self, at: usize) -> impl Iterator<Item = (Bytes, usize)> {
        let mut is_open = true;
        self.0.iter().enumerate().skip(at).map_while(move |(at, link)| {
            let was_open = is_open;
            is_open = is_open && link.presence != Presence::Once;
            was_open.then(|| (link.bytes, at + usize::from(link.presence != Presence::Repeated)))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{DateParser, Locale, Pattern, Precision, Timestamp, Zone};

    const FORMATS: [&str; 14] = [
        "ISO8601",
        "UNIX",
        "UNIX_MS",
        "TAI64N",
        "dd/MMM/yyyy:HH:mm:ss Z",
        "yyyy-MM-dd HH:mm:ss",
        "yyyy-MM-dd HH:mm:ss,SSS",
        "yyyy-MM-dd HH:mm:ss.SSS",
        "MMM dd HH:mm:ss",
        "MMM  d HH:mm:ss",
        "yyyyMMdd",
        "yyyyMMddHHmmss",
        "yy 'k' D ZZZ",
        "d. MMMM yyyy",
    ];

    fn parser(format: &str) -> DateParser {
        DateParser::new(format, Locale::for_tag("de"), Precision::Nanoseconds).unwrap()
    }

    #[test]
    fn formats_that_never_read_the_same_text() {
        for (a, b, excludes) in [
            ("ISO8601", "UNIX", true),
            ("UNIX", "UNIX_MS", false),
            ("ISO8601", "dd/MMM/yyyy:HH:mm:ss Z", true),
            ("ISO8601", "yyyy-MM-dd HH:mm:ss,SSS", false),
            ("yyyy-MM-dd HH:mm:ss,SSS", "yyyy-MM-dd HH:mm:ss.SSS", true),
            ("yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss.SSS", true),
            ("MMM dd HH:mm:ss", "MMM  d HH:mm:ss", true),
            ("MMM dd HH:mm:ss", "MMM d HH:mm:ss", false),
            ("MMM dd HH:mm:ss", "UNIX", true),
            ("yyyyMMdd", "yyyyMMddHHmmss", false),
            ("UNIX", "yyyyMMdd", false),
            ("'k' d", "'x' d", false),
            ("'k-' d", "'k:' d", true),
            ("TAI64N", "UNIX_MS", false),
        ] {
            assert_eq!(parser(a).excludes(&parser(b)), excludes, "{a} and {b}");
            assert_eq!(parser(b).excludes(&parser(a)), excludes, "{b} and {a}");
        }
    }

    #[test]
    fn what_one_reads_an_excluded_one_does_not() {
        let parsers = FORMATS.map(parser);
        let reads = |at: usize, text: &str| parsers[at].parse(text, Zone::utc(), Timestamp::EPOCH).is_ok();
        let mut texts: Vec<String> =
            ["1767323045.5", "-17", "\u{661}", "@4000000052f88ea32489532c", "26 \u{212a} 7 UTC"]
                .map(String::from)
                .to_vec();
        for format in FORMATS {
            for millis in (0..30).map(|number| number * 61_234_567_891) {
                let mut text = Timestamp::from_millis(millis).to_string();
                if format.len() > 7 {
                    text.clear();
                    Pattern::new(format, Locale::for_tag("de"))
                        .unwrap()
                        .format(Timestamp::from_millis(millis), &mut text);
                }
                texts.extend([" ", "0", "Z"].map(|more| format!("{text}{more}")));
                texts.push(text);
            }
        }
        let mut counts = (0, 0);
        for text in &texts {
            for a in (0..FORMATS.len()).filter(|a| reads(*a, text)) {
                // A format can't exclude itself.
                assert!(!parsers[a].excludes(&parsers[a]));
                counts.0 += 1;
                for b in (0..FORMATS.len()).filter(|b| parsers[a].excludes(&parsers[*b])) {
                    assert!(!reads(b, text), "{text} is read by {} and {}", FORMATS[a], FORMATS[b]);
                    counts.1 += 1;
                }
            }
        }
        assert!(counts.0 > 300 && counts.1 > 1000, "{counts:?}");
    }
}
