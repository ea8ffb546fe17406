//! Reading a text with a pattern.

use super::{FIELDS_MAX, Pattern, Step};
use crate::civil::{DAY, civil_from_days, days_from_civil, days_in_month, weekday};
use crate::error::DateError;
use crate::field::{Field, OutOfRange, WallClock};
use crate::locale::{Locale, TextKind};
use crate::parser::Precision;
use crate::scan::Scanner;
use crate::timestamp::Timestamp;
use crate::zone::{Local, Zone};

/// Two-digit years lie between 80 years ago and 19 years ahead.
const PIVOT_BACK: i64 = 80;

/// The fields of a plain date and time, as bits by field, and those of a clock of twelve hours.
const DATE: u32 = bit(Field::Year) | bit(Field::Month) | bit(Field::DayOfMonth);
const TIME: u32 = bit(Field::HourOfDay) | bit(Field::Minute) | bit(Field::Second) | bit(Field::Millis);
const TWELVE: u32 = bit(Field::Halfday) | bit(Field::ClockhourOfHalfday);
const WEEKDAY: u32 = bit(Field::DayOfWeek);

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

const fn bit(field: Field) -> u32 {
    1 << field as u8
}

/// The state of reading one text.
pub(super) struct Reader<'a> {
    pattern: &'a Pattern,
    scanner: Scanner<'a>,
    now: Timestamp,
    fields: [(Field, i32); FIELDS_MAX],
    count: usize,
    /// Fields that were read, as bits.
    seen: u32,
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
            fields: [(Field::Era, 0); FIELDS_MAX],
            count: 0,
            seen: 0,
            offset: None,
            zone: None,
            nanos: None,
        }
    }

    pub(super) fn read(mut self, zone: &Zone, precision: Precision) -> Result<Timestamp, DateError> {
        let pattern = self.pattern;
        for step in &pattern.steps {
            let at = self.scanner.position();
            self.step(step, pattern.locale).ok_or(DateError::Malformed { at })?;
        }
        if !self.scanner.is_at_end() {
            return Err(DateError::Malformed { at: self.scanner.position() });
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

    fn step(&mut self, step: &Step, locale: Locale) -> Option<()> {
        match step {
            Step::Literal(text) => self.literal(text),
            Step::Number { field, max, signed, .. } => {
                let value = self.number(usize::from(*max), *signed)?;
                self.save(*field, value)
            }
            Step::TwoDigitYear { field, lenient } => {
                let value =
                    if *lenient { self.lenient_year() } else { self.pair().map(|pair| self.pivot(pair)) }?;
                self.save(*field, value)
            }
            Step::Fraction { digits } => self.fraction(usize::from(*digits)),
            Step::Text { kind, .. } => {
                let (index, length) = locale.read(*kind, self.scanner.rest())?;
                self.scanner.advance(length);
                let (field, first) = match kind {
                    TextKind::Month => (Field::Month, 1),
                    TextKind::Weekday => (Field::DayOfWeek, 1),
                    TextKind::Halfday => (Field::Halfday, 0),
                    TextKind::Era => (Field::Era, 0),
                };
                self.save(field, i32::from(index) + first)
            }
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

    fn save(&mut self, field: Field, value: i32) -> Option<()> {
        *self.fields.get_mut(self.count)? = (field, value);
        self.count += 1;
        self.seen |= bit(field);
        Some(())
    }

    fn literal(&mut self, text: &str) -> Option<()> {
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
        let (mut value, mut width) = (0i64, 0);
        while width < max
            && let Some(byte) = self.scanner.take_if(|b| b.is_ascii_digit())
        {
            value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
            width += 1;
        }
        if width == 0 {
            return None;
        }
        i32::try_from(if negative { -value } else { value }).ok()
    }

    fn pair(&mut self) -> Option<i32> {
        self.scanner.fixed_digits(2).map(|pair| pair as i32)
    }

    /// The year with these last two digits.
    fn pivot(&self, pair: i32) -> i32 {
        let low = self.year_now() - PIVOT_BACK;
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
        let (mut nanos, mut width, mut unit) = (0u32, 0, 100_000_000u32);
        while width < max
            && let Some(byte) = self.scanner.take_if(|b| b.is_ascii_digit())
        {
            nanos += u32::from(byte - b'0') * unit;
            unit /= 10;
            width += 1;
        }
        if width == 0 {
            return None;
        }
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
        let hours = self.pair().filter(|hours| *hours <= 23)?;
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
        self.pair().filter(|value| *value <= 59).map(Some)
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
            Some((value, width)) => Some(value as i32 * 10i32.pow(3 - width)),
            None if colon => None,
            None => Some(0),
        }
    }

    fn year_now(&self) -> i64 {
        civil_from_days(self.now.secs().div_euclid(DAY)).0
    }

    /// The date and time that the fields make.
    fn wall_clock(&mut self) -> Result<WallClock, DateError> {
        let two_clocks = self.seen & TWELVE != 0 && self.seen & bit(Field::HourOfDay) != 0;
        let repeated = self.seen.count_ones() as usize != self.count;
        if self.seen & !(DATE | TIME | TWELVE | WEEKDAY) == 0
            && !two_clocks
            && !repeated
            && let Some(clock) = self.plain_wall_clock()?
        {
            return Ok(clock);
        }
        let Some(fields) = self.fields.get_mut(..self.count) else { return Ok(WallClock::EPOCH) };
        // Stable, so that of equal ones the later in the text is set later.
        fields.sort_by_key(|(field, _)| field.rank());
        let within_year = fields.first().is_some_and(|(field, _)| field.is_within_year());
        let default = within_year.then(|| self.year_now());
        let fields = self.fields.get(..self.count).unwrap_or_default();
        Ok(set_all(default, fields)?)
    }

    /// The usual case, where no field contradicts another; nothing when the weekday does.
    fn plain_wall_clock(&self) -> Result<Option<WallClock>, OutOfRange> {
        let (mut year, mut month, mut day, mut day_of_week) = (1970, 1, 1, None);
        if self.seen & bit(Field::Year) == 0 && self.seen & (DATE | WEEKDAY) != 0 {
            year = self.year_now();
        }
        let mut millis = 0;
        for (field, value) in self.fields.iter().take(self.count) {
            let value = i64::from(*value);
            field.check(value, field.plain_range())?;
            match field {
                Field::Year => year = value,
                Field::Month => month = value as u32,
                Field::DayOfMonth => day = value,
                Field::DayOfWeek => day_of_week = Some(value),
                Field::Halfday => millis += value * 43_200_000,
                Field::ClockhourOfHalfday => millis += value % 12 * 3_600_000,
                Field::HourOfDay => millis += value * 3_600_000,
                Field::Minute => millis += value * 60_000,
                Field::Second => millis += value * 1000,
                _ => millis += value,
            }
        }
        Field::DayOfMonth.check(day, (1, i64::from(days_in_month(year, month))))?;
        let days = days_from_civil(year, month, day as u32);
        let agrees = day_of_week.is_none_or(|wanted| wanted == i64::from(weekday(days)));
        Ok(agrees.then_some(WallClock { days, millis }))
    }

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
        let offset = zone.offset_at(time.secs());
        let there = time.secs() + i64::from(offset);
        let clock = WallClock { days: there.div_euclid(DAY), millis: there.rem_euclid(DAY) * 1000 };
        let (year, month, _) = clock.date();
        let (this_year, this_month, _) = civil_from_days(self.now.secs().div_euclid(DAY));
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
fn set_all(default_year: Option<i64>, fields: &[(Field, i32)]) -> Result<WallClock, OutOfRange> {
    let mut clock = WallClock::EPOCH;
    let all = || {
        let year = default_year.map(|year| (Field::Year, year));
        year.into_iter().chain(fields.iter().map(|(field, value)| (*field, i64::from(*value))))
    };
    let mut last = None;
    for (field, value) in all() {
        clock.set(field, value)?;
        clock.floor(field);
        last = Some(field);
    }
    for (field, value) in all() {
        clock.set(field, value)?;
    }
    if let Some(field) = last {
        clock.floor(field);
    }
    Ok(clock)
}

fn at_offset(local: WallClock, offset_ms: i32) -> Timestamp {
    if offset_ms % 1000 == 0 {
        return Timestamp::from_parts(local.secs() - i64::from(offset_ms / 1000), local.nanos());
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
