//! A quick way to read what logs usually hold: plain dates and times with years of four digits, literal text in the
//! pattern's own case, offsets of hours and minutes.
//!
//! It finds what the general reader finds or nothing at all, also for texts that are wrong; then that one is asked.

use super::{FIELDS_MAX, Step};
use crate::field::Field;
use crate::locale::{Locale, TextKind};

/// A plain pattern's steps, each with the byte that must follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Usual(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    kind: Kind,
    field: Field,
    /// Digits at most.
    max: u8,
    /// Which names, where the kind is text.
    text: TextKind,
    then: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One digit or two.
    Number,
    /// Four digits.
    Year,
    Fraction,
    Text,
    Offset,
    /// Only the byte that follows.
    Nothing,
}

/// What a text holds beside its fields.
#[derive(Default)]
pub(super) struct Found {
    /// Milliseconds east of UTC.
    pub(super) offset: Option<i32>,
    /// The fraction of the second.
    pub(super) nanos: Option<u32>,
}

impl Usual {
    /// The same as `steps`, where all of them are of the usual kinds.
    pub(super) fn new(steps: &[Step]) -> Option<Usual> {
        let mut parts: Vec<Part> = Vec::new();
        for step in steps {
            // The place of no field of a plain pattern is the one of the era.
            let field = step.field().unwrap_or(Field::Era);
            let mut text = TextKind::Era;
            let (kind, max) = match step {
                Step::Literal(literal) => {
                    for byte in literal.bytes() {
                        match parts.last_mut() {
                            Some(Part { then: then @ None, .. }) => *then = Some(byte),
                            _ => parts.push(Part {
                                kind: Kind::Nothing,
                                field,
                                max: 0,
                                text,
                                then: Some(byte),
                            }),
                        }
                    }
                    continue;
                }
                Step::Number { max: 2, .. } => (Kind::Number, 2),
                Step::Number { max, .. } if field == Field::Year && *max >= 4 => (Kind::Year, *max),
                Step::Fraction { digits } => (Kind::Fraction, *digits),
                Step::Text { kind, .. } => {
                    text = *kind;
                    (Kind::Text, 0)
                }
                Step::Offset { .. } => (Kind::Offset, 0),
                _ => return None,
            };
            parts.push(Part { kind, field, max, text, then: None });
        }
        Some(Usual(parts))
    }

    /// Reads a text; each value goes to the place that its field's number says.
    #[expect(clippy::indexing_slicing, reason = "there are fewer fields than FIELDS_MAX")]
    pub(super) fn read(&self, text: &[u8], locale: Locale, values: &mut [i32; FIELDS_MAX]) -> Option<Found> {
        let mut rest = text;
        let mut found = Found::default();
        for part in &self.0 {
            let value;
            (value, rest) = match part.kind {
                Kind::Number => match rest {
                    [a, b, rest @ ..] if digit(*a) && digit(*b) => (pair(*a, *b), rest),
                    [a, rest @ ..] if digit(*a) => (i32::from(a - b'0'), rest),
                    _ => return None,
                },
                Kind::Year => match rest {
                    [a, b, c, d, rest @ ..] if digit(*a) && digit(*b) && digit(*c) && digit(*d) => {
                        if part.max > 4 && rest.first().is_some_and(|b| digit(*b)) {
                            return None;
                        }
                        (pair(*a, *b) * 100 + pair(*c, *d), rest)
                    }
                    _ => return None,
                },
                Kind::Fraction => {
                    let width = rest.iter().take(usize::from(part.max)).take_while(|b| digit(**b)).count();
                    let (fraction, rest) = rest.split_at_checked(width)?;
                    let nanos = nanos_of(fraction)?;
                    found.nanos = Some(nanos);
                    ((nanos / 1_000_000) as i32, rest)
                }
                Kind::Text => {
                    let (index, length) = locale.read(part.text, rest)?;
                    (part.text.first() + i32::from(index), rest.get(length..)?)
                }
                Kind::Offset => {
                    let (offset, rest) = offset(rest)?;
                    found.offset = Some(offset);
                    (0, rest)
                }
                Kind::Nothing => (0, rest),
            };
            values[part.field as usize] = value;
            if let Some(then) = part.then {
                let [first, after @ ..] = rest else { return None };
                if *first != then {
                    return None;
                }
                rest = after;
            }
        }
        rest.is_empty().then_some(found)
    }
}

pub(super) fn digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// The number that two digits make.
fn pair(tens: u8, ones: u8) -> i32 {
    i32::from((tens - b'0') * 10 + (ones - b'0'))
}

/// The digits after a point as nanoseconds; nothing when there are none.
pub(super) fn nanos_of(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let (mut value, mut unit) = (0, 1_000_000_000);
    for digit in digits.iter().take(9) {
        unit /= 10;
        value += u32::from(digit - b'0') * unit;
    }
    Some(value)
}

/// `Z`, `+0100` or `+01:00`, and no more of it: milliseconds and what follows.
fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, hours, minutes, rest) = match text {
        [b'Z', rest @ ..] => return Some((0, rest)),
        [sign, a, b, b':', c, d, rest @ ..] | [sign, a, b, c, d, rest @ ..]
            if digit(*a) && digit(*b) && digit(*c) && digit(*d) =>
        {
            (*sign, pair(*a, *b), pair(*c, *d), rest)
        }
        _ => return None,
    };
    let longer = rest.first().is_some_and(|b| digit(*b) || *b == b':');
    if longer || hours > 23 || minutes > 59 || !matches!(sign, b'+' | b'-') {
        return None;
    }
    let size = (hours * 60 + minutes) * 60_000;
    Some((if sign == b'-' { -size } else { size }, rest))
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;
    use super::*;
    use crate::parser::Precision;
    use crate::timestamp::Timestamp;
    use crate::zone::Zone;

    /// What the pattern finds and what its general reader alone finds.
    fn both_ways(pattern: &Pattern, text: &str, zone: &Zone) -> bool {
        let slow = Pattern { usual: None, ..pattern.clone() };
        let now = Timestamp::from_parts(1_767_225_599, 0);
        let found = pattern.parse(text, zone, now, Precision::Nanoseconds);
        assert_eq!(found, slow.parse(text, zone, now, Precision::Nanoseconds), "{pattern:?} on {text}");
        found.is_ok()
    }

    #[test]
    fn what_is_read_quickly_is_what_the_general_reader_finds() {
        let patterns = [
            "dd/MMM/yyyy:HH:mm:ss Z",
            "yyyy-MM-dd HH:mm:ss,SSS",
            "MMM d HH:mm:ss",
            "EEE, d MMMM yyyy h:mm:ss a ZZ",
            "yyyyMMddHHmmssSSS",
            "'at' yyyyyy-MM'T'HH.SSSSSSSSSSS",
        ];
        let zone = Zone::parse("Europe/Paris").unwrap();
        let mut read = 0;
        for (pattern, tag) in patterns.iter().flat_map(|pattern| ["en", "fr", "ja"].map(|tag| (pattern, tag)))
        {
            let pattern = Pattern::new(pattern, Locale::for_tag(tag)).unwrap();
            assert!(pattern.usual.is_some());
            for number in 0..40 {
                let mut text = String::new();
                pattern.format(Timestamp::from_millis(number * 41_234_567_891), &mut text);
                read += usize::from(both_ways(&pattern, &text, &zone));
                let ends = text.char_indices().map(|(at, c)| (at, at + c.len_utf8()));
                for (at, end) in ends.collect::<Vec<_>>() {
                    for instead in ["", "0", "9", "-", ":", "Z", "é", "00"] {
                        both_ways(&pattern, &format!("{}{instead}{}", &text[..at], &text[end..]), &zone);
                    }
                    both_ways(&pattern, &text[..at], &zone);
                }
            }
        }
        assert!(read > 700, "{read}");
    }

    #[test]
    fn what_is_not_usual() {
        for pattern in ["yy-MM-dd", "yyyy-DDD", "yyyy-MM-dd ZZZ", "MM MM", "HH h", "e"] {
            assert_eq!(Pattern::new(pattern, Locale::en_us()).unwrap().usual, None, "{pattern}");
        }
    }
}
