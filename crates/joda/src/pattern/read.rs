//! Reading a text with a pattern.

use super::layout::{DATE, WEEKDAY, bit};
use super::usual::{Found, digit, nanos_of};
use super::{FIELDS_MAX, Pattern, Step};
use std::cell::OnceCell;

use crate::civil::{DAY, civil_from_days, days_from_civil, days_in_month, weekday};
use crate::error::DateError;
use crate::field::{Field, OutOfRange, WallClock};
use crate::locale::TextKind;
use crate::parser::Precision;
use crate::scan::Scanner;
use crate::timestamp::Timestamp;
use crate::zone::{Local, Zone};

/// Two-digit years lie between 80 years ago and 19 years ahead.
const PIVOT_BACK: i64 = 80;

/// Zone names that Joda reads.
const ZONE_NAMES: [(&str, &str); 11] = [
    ("UTC", "UTC"),
    ("UT", "UTC"),
    ("GMT", "UTC"),
    ("EST", "America/New_York"),
    ("EDT", "America/New_York"),
    ("CST", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("MST", "America/Denver"),
    ("MDT", "America/Denver"),
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
];

/// What the fields hold that a text doesn't mention, when their places are those of [`Field`].
#[expect(clippy::indexing_slicing, reason = "there are fewer fields than FIELDS_MAX")]
const UNSAID: [i32; FIELDS_MAX] = {
    let mut values = [0; FIELDS_MAX];
    values[Field::Year as usize] = 1970;
    values[Field::Month as usize] = 1;
    values[Field::DayOfMonth as usize] = 1;
    values
};

/// The state of reading one text.
pub(super) struct Reader<'a> {
    pattern: &'a Pattern,
    scanner: Scanner<'a>,
    now: Timestamp,
    /// The year and the month of now, once they are needed.
    today: OnceCell<(i64, u32)>,
    /// What was read: each field at its own place when the pattern is plain, and otherwise in the order of the text.
    values: [i32; FIELDS_MAX],
    count: usize,
    /// Milliseconds east of UTC, from an offset; it outweighs a zone.
    offset: Option<i32>,
    zone: Option<Zone>,
    /// The fraction of the second with all its digits.
    nanos: Option<u32>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(pattern: &'a Pattern, text: &'a str, now: Timestamp) -> Reader<'a> {
        Reader {
            pattern,
            scanner: Scanner::new(text),
            now,
            today: OnceCell::new(),
            values: UNSAID,
            count: 0,
            offset: None,
            zone: None,
            nanos: None,
        }
    }

    pub(super) fn read(mut self, zone: &Zone, precision: Precision) -> Result<Timestamp, DateError> {
        let pattern = self.pattern;
        match pattern
            .usual
            .as_ref()
            .and_then(|usual| usual.read(self.scanner.rest().as_bytes(), pattern.locale, &mut self.values))
        {
            Some(Found { offset, nanos }) => (self.offset, self.nanos) = (offset, nanos),
            None => self.steps()?,
        }
        let local = self.wall_clock()?;
        let time = if pattern.has_year { self.instant(local, zone)? } else { self.guess_year(local, zone)? };
        match (precision, self.nanos) {
            (Precision::Nanoseconds, Some(nanos)) => {
                let below = nanos % 1_000_000;
                Ok(Timestamp::from_parts(time.secs(), time.nanos() / 1_000_000 * 1_000_000 + below))
            }
            _ => Ok(time),
        }
    }

    fn steps(&mut self) -> Result<(), DateError> {
        for step in &self.pattern.steps {
            let at = self.scanner.position();
            self.step(step).ok_or(DateError::Malformed { at })?;
        }
        if !self.scanner.is_at_end() {
            return Err(DateError::Malformed { at: self.scanner.position() });
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Literal(text) => self.literal(text),
            Step::Number { field, max, signed, .. } => {
                let pair = if *max == 2 { self.scanner.pair() } else { None };
                let value = pair.or_else(|| self.number(usize::from(*max), *signed))?;
                self.save(*field, value)
            }
            Step::TwoDigitYear { field, lenient } => {
                let value = if *lenient {
                    self.lenient_year()
                } else {
                    self.scanner.pair().map(|pair| self.pivot(pair))
                }?;
                self.save(*field, value)
            }
            Step::Fraction { digits } => self.fraction(usize::from(*digits)),
            Step::Text { kind, .. } => self.text(*kind),
            Step::Offset { .. } => {
                self.offset = Some(self.offset()?);
                Some(())
            }
            Step::ZoneId => {
                let (zone, length) = Zone::longest_prefix(self.scanner.rest(), true)?;
                self.scanner.advance(length);
                self.zone = Some(zone);
                Some(())
            }
            Step::ZoneName { long: true } => None,
            Step::ZoneName { long: false } => {
                let rest = self.scanner.rest();
                let (name, id) = ZONE_NAMES.iter().find(|(name, _)| rest.starts_with(name))?;
                self.scanner.advance(name.len());
                self.zone = Some(Zone::region(id)?);
                Some(())
            }
        }
    }

    fn text(&mut self, kind: TextKind) -> Option<()> {
        let (index, length) = self.pattern.locale.read(kind, self.scanner.rest().as_bytes())?;
        self.scanner.advance(length);
        self.save(kind.field(), kind.first() + i32::from(index))
    }

    fn save(&mut self, field: Field, value: i32) -> Option<()> {
        let place = if self.pattern.layout.plain { field as usize } else { self.count };
        *self.values.get_mut(place)? = value;
        self.count += 1;
        Some(())
    }

    fn literal(&mut self, text: &str) -> Option<()> {
        if let [byte] = text.as_bytes()
            && self.scanner.expect(*byte).is_some()
        {
            return Some(());
        }
        let rest = self.scanner.rest();
        if rest.as_bytes().starts_with(text.as_bytes()) {
            self.scanner.advance(text.len());
            return Some(());
        }
        let mut found = rest.chars();
        let same = text.chars().all(|expected| found.next().is_some_and(|c| same_letter(c, expected)));
        same.then(|| self.scanner.advance(rest.len() - found.as_str().len()))
    }

    /// Up to `max` digits; a sign, where one may be, doesn't count as one.
    fn number(&mut self, max: usize, signed: bool) -> Option<i32> {
        let mut negative = false;
        if signed && max > 1 && self.scanner.peek_at(1).is_some_and(|b| b.is_ascii_digit()) {
            negative = self.scanner.take_if(|b| matches!(b, b'-' | b'+')) == Some(b'-');
        }
        let value = self.scanner.digits(max)?.0;
        i32::try_from(if negative { -value } else { value }).ok()
    }

    /// The year with these last two digits.
    fn pivot(&self, pair: i32) -> i32 {
        let low = self.today().0 - PIVOT_BACK;
        (low + (i64::from(pair) - low).rem_euclid(100)) as i32
    }

    /// Two digits without a sign count from the pivot, anything else as it is.
    fn lenient_year(&mut self) -> Option<i32> {
        let start = self.scanner.position();
        if self.scanner.peek()?.is_ascii_digit() {
            let value = self.number(usize::MAX, false)?;
            return Some(if self.scanner.position() - start == 2 { self.pivot(value) } else { value });
        }
        self.number(usize::MAX, true)
    }

    /// Digits after the point: milliseconds as a field, and as nanoseconds on the side.
    fn fraction(&mut self, max: usize) -> Option<()> {
        let rest = self.scanner.rest().as_bytes();
        let width = rest.iter().take(max).take_while(|b| digit(**b)).count();
        let nanos = nanos_of(rest.get(..width)?)?;
        self.scanner.advance(width);
        self.nanos = Some(nanos);
        self.save(Field::Millis, (nanos / 1_000_000) as i32)
    }

    /// `Z` or a sign, two digits of hours and, with or without colons, minutes, seconds and milliseconds; in
    /// milliseconds.
    fn offset(&mut self) -> Option<i32> {
        if self.scanner.take_if(|b| matches!(b, b'Z' | b'z')).is_some() {
            return Some(0);
        }
        let negative = self.scanner.take_if(|b| matches!(b, b'+' | b'-'))? == b'-';
        let hours = self.scanner.pair().filter(|hours| *hours <= 23)?;
        let mut offset = hours * 3_600_000;
        let colon = self.scanner.expect(b':').is_some();
        if let Some(minutes) = self.sixty(colon)? {
            offset += minutes * 60_000;
            if let Some(seconds) = self.next_sixty(colon)? {
                offset += seconds * 1000 + self.offset_millis(colon)?;
            }
        }
        Some(if negative { -offset } else { offset })
    }

    /// Two digits up to 59; none at all only where a part may be missing.
    fn sixty(&mut self, required: bool) -> Option<Option<i32>> {
        if !required && !self.scanner.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Some(None);
        }
        self.scanner.pair().filter(|value| *value <= 59).map(Some)
    }

    fn next_sixty(&mut self, colon: bool) -> Option<Option<i32>> {
        if colon && self.scanner.expect(b':').is_none() {
            return Some(None);
        }
        self.sixty(colon)
    }

    fn offset_millis(&mut self, colon: bool) -> Option<i32> {
        if colon && self.scanner.take_if(|b| matches!(b, b'.' | b',')).is_none() {
            return Some(0);
        }
        match self.scanner.digits(3) {
            Some((value, width)) => Some(value as i32 * 10i32.pow(3 - width as u32)),
            None if colon => None,
            None => Some(0),
        }
    }

    fn today(&self) -> (i64, u32) {
        *self.today.get_or_init(|| {
            let (year, month, _) = civil_from_days(self.now.secs().div_euclid(DAY));
            (year, month)
        })
    }

    /// The date and time that the fields make.
    fn wall_clock(&self) -> Result<WallClock, DateError> {
        let layout = &self.pattern.layout;
        if layout.plain
            && let Some(clock) = self.plain_wall_clock()?
        {
            return Ok(clock);
        }
        let within_year = layout.order.first().is_some_and(|(field, _)| field.is_within_year());
        let default = within_year.then(|| self.today().0);
        let fields = layout.order.iter().map(|(field, place)| {
            let place = if layout.plain { *field as usize } else { *place };
            (*field, i64::from(self.values.get(place).copied().unwrap_or_default()))
        });
        Ok(set_all(default, fields)?)
    }

    /// The usual case, where no field contradicts another; nothing when the weekday does.
    #[expect(clippy::indexing_slicing, reason = "there are fewer fields than FIELDS_MAX")]
    fn plain_wall_clock(&self) -> Result<Option<WallClock>, OutOfRange> {
        let layout = &self.pattern.layout;
        let value = |field: Field| i64::from(self.values[field as usize]);
        let (mut year, month, day) = (value(Field::Year), value(Field::Month), value(Field::DayOfMonth));
        let (hour, minute, second) = (value(Field::HourOfDay), value(Field::Minute), value(Field::Second));
        let hour_of_half = value(Field::ClockhourOfHalfday);
        if !layout.has(bit(Field::Year)) && layout.has(DATE | WEEKDAY) {
            year = self.today().0;
        }
        let fits = |field: Field, value| field.check(value, field.plain_range()).is_ok();
        let all_fit = fits(Field::Year, year)
            & fits(Field::Month, month)
            & fits(Field::DayOfMonth, day)
            & fits(Field::HourOfDay, hour)
            & (fits(Field::ClockhourOfHalfday, hour_of_half) | !layout.has(bit(Field::ClockhourOfHalfday)))
            & (fits(Field::DayOfWeek, value(Field::DayOfWeek)) | !layout.has(WEEKDAY))
            & fits(Field::Minute, minute)
            & fits(Field::Second, second);
        if !all_fit {
            self.plain_misfit()?;
        }
        Field::DayOfMonth.check(day, (1, i64::from(days_in_month(year, month as u32))))?;
        let days = days_from_civil(year, month as u32, day as u32);
        if layout.has(WEEKDAY) && value(Field::DayOfWeek) != i64::from(weekday(days)) {
            return Ok(None);
        }
        let hour = hour + hour_of_half % 12 + 12 * value(Field::Halfday);
        let secs = (hour * 60 + minute) * 60 + second;
        Ok(Some(WallClock { days, millis: secs * 1000 + value(Field::Millis) }))
    }

    /// Of values that are too large or too small, the one that comes first in the text.
    #[cold]
    fn plain_misfit(&self) -> Result<(), OutOfRange> {
        self.pattern.steps.iter().filter_map(Step::field).try_for_each(|field| {
            let value = self.values.get(field as usize).copied().unwrap_or_default();
            field.check(i64::from(value), field.plain_range())
        })
    }

    #[inline]
    fn instant(&self, local: WallClock, zone: &Zone) -> Result<Timestamp, DateError> {
        match (self.offset, &self.zone) {
            (Some(offset), _) => Ok(at_offset(local, offset)),
            (None, Some(named)) => strict(local, named),
            (None, None) => strict(local, zone),
        }
    }

    /// Without a year in the pattern it is this year's, but last year's December in January and next year's January
    /// in December.
    fn guess_year(&self, local: WallClock, zone: &Zone) -> Result<Timestamp, DateError> {
        let time = match &self.zone {
            Some(named) if !self.pattern.has_zone => {
                // Joda checks the named zone and then forgets it.
                strict(local, named)?;
                strict(local, zone)?
            }
            _ => self.instant(local, zone)?,
        };
        // Where the text names no zone, the offset is the one that was just found.
        let offset = match (self.offset, &self.zone) {
            (None, None) => (local.secs() - time.secs()) as i32,
            _ => zone.offset_at(time.secs()),
        };
        let there = time.secs() + i64::from(offset);
        let clock = WallClock { days: there.div_euclid(DAY), millis: there.rem_euclid(DAY) * 1000 };
        let (year, month, _) = clock.date();
        let (this_year, this_month) = self.today();
        let wanted = match (month, this_month) {
            (12, 1) => this_year - 1,
            (1, 12) => this_year + 1,
            _ => this_year,
        };
        if year == wanted {
            return Ok(time);
        }
        let secs = clock.with_year(wanted).secs();
        let same_offset = secs - i64::from(offset);
        let secs = if zone.offset_at(same_offset) == offset {
            same_offset
        } else {
            match zone.resolve(secs) {
                Local::Unique(offset)
                | Local::Gap { before: offset }
                | Local::Overlap { before: offset, .. } => secs - i64::from(offset),
            }
        };
        Ok(Timestamp::from_parts(secs, time.nanos()))
    }
}

/// Sets the fields, which are in order, twice, as Joda does.
fn set_all(
    default_year: Option<i64>,
    fields: impl Iterator<Item = (Field, i64)> + Clone,
) -> Result<WallClock, OutOfRange> {
    let mut clock = WallClock::EPOCH;
    let all = default_year.map(|year| (Field::Year, year)).into_iter().chain(fields);
    let mut last = None;
    for (field, value) in all.clone() {
        clock.set(field, value)?;
        clock.floor(field);
        last = Some(field);
    }
    for (field, value) in all {
        clock.set(field, value)?;
    }
    if let Some(field) = last {
        clock.floor(field);
    }
    Ok(clock)
}

fn at_offset(local: WallClock, offset_ms: i32) -> Timestamp {
    let offset = offset_ms / 1000;
    if offset * 1000 == offset_ms {
        return Timestamp::from_parts(local.secs() - i64::from(offset), local.nanos());
    }
    let time = Timestamp::from_parts(local.secs(), local.nanos());
    Timestamp::from_nanos(time.to_nanos() - i128::from(offset_ms) * 1_000_000)
}

/// Joda refuses readings in a gap and takes the earlier of two.
fn strict(local: WallClock, zone: &Zone) -> Result<Timestamp, DateError> {
    let secs = local.secs();
    match zone.resolve(secs) {
        Local::Unique(offset) | Local::Overlap { before: offset, .. } => {
            Ok(Timestamp::from_parts(secs - i64::from(offset), local.nanos()))
        }
        Local::Gap { .. } => Err(DateError::Gap),
    }
}

/// Equal but for the case, as Java compares single characters.
fn same_letter(a: char, b: char) -> bool {
    a == b || a.to_uppercase().eq(b.to_uppercase()) || a.to_lowercase().eq(b.to_lowercase())
}

impl From<OutOfRange> for DateError {
    fn from(error: OutOfRange) -> DateError {
        let OutOfRange { field, value, min, max } = error;
        DateError::OutOfRange { field: field.name(), value, min, max }
    }
}
