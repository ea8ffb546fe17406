//! The fields of a wall clock reading, and how Joda sets them.
//!
//! Joda starts from 1970-01-01T00:00 and sets every field that a text gave, the coarse ones first, each time clearing
//! what is finer; then it sets them all again. The order matters when fields contradict each other: a weekday
//! is set last and moves the date within its week.

use crate::civil::{
    DAY, civil_from_days, day_of_year, days_from_civil, days_in_month, is_leap, iso_week, iso_weeks_in_year,
    iso_year_start, weekday,
};

/// Milliseconds in a day.
const DAY_MS: i64 = DAY * 1000;
/// Milliseconds in half a day.
const HALFDAY_MS: i64 = DAY_MS / 2;
/// Joda's range of years, and one beyond at each end, as its parsers allow.
const YEAR_RANGE: (i64, i64) = (-292_275_055, 292_278_994);
/// Where Joda's era before Christ begins: the first day of an `i64` of milliseconds.
const BEGINNING: i64 = i64::MIN.div_euclid(DAY_MS);

/// A field that a pattern reads. The order is that in which Joda sets fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Era,
    CenturyOfEra,
    // These three rank equal in Joda: see `rank`.
    Year,
    YearOfEra,
    Weekyear,
    Month,
    Week,
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    Halfday,
    // Equal rank, too.
    HourOfDay,
    ClockhourOfDay,
    HourOfHalfday,
    ClockhourOfHalfday,
    Minute,
    Second,
    Millis,
}

/// A date and a time of day without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallClock {
    /// Days after 1970-01-01.
    pub(crate) days: i64,
    /// Milliseconds of the day.
    pub(crate) millis: i64,
}

/// A value that its field can't have, with the range it would have to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfRange {
    pub(crate) field: Field,
    pub(crate) value: i64,
    pub(crate) min: i64,
    pub(crate) max: i64,
}

impl Field {
    /// Joda's name of the field.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Field::Era => "era",
            Field::CenturyOfEra => "centuryOfEra",
            Field::Year => "year",
            Field::YearOfEra => "yearOfEra",
            Field::Weekyear => "weekyear",
            Field::Month => "monthOfYear",
            Field::Week => "weekOfWeekyear",
            Field::DayOfYear => "dayOfYear",
            Field::DayOfMonth => "dayOfMonth",
            Field::DayOfWeek => "dayOfWeek",
            Field::Halfday => "halfdayOfDay",
            Field::HourOfDay => "hourOfDay",
            Field::ClockhourOfDay => "clockhourOfDay",
            Field::HourOfHalfday => "hourOfHalfday",
            Field::ClockhourOfHalfday => "clockhourOfHalfday",
            Field::Minute => "minuteOfHour",
            Field::Second => "secondOfMinute",
            Field::Millis => "millisOfSecond",
        }
    }

    /// The place in the order of setting; fields of equal rank keep the order of the text.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Field::Year | Field::YearOfEra | Field::Weekyear => Field::Year as u8,
            Field::HourOfDay | Field::ClockhourOfDay => Field::HourOfDay as u8,
            Field::HourOfHalfday | Field::ClockhourOfHalfday => Field::HourOfHalfday as u8,
            other => other as u8,
        }
    }

    /// Whether the field is a month or a day of some kind, so that a text beginning with it needs a year.
    pub(crate) const fn is_within_year(self) -> bool {
        matches!(self, Field::Month | Field::Week | Field::DayOfYear | Field::DayOfMonth | Field::DayOfWeek)
    }

    /// The range of values that doesn't depend on the date, for the fields of a plain date and time.
    pub(crate) const fn plain_range(self) -> (i64, i64) {
        match self {
            Field::Era | Field::Halfday => (0, 1),
            Field::Year | Field::Weekyear => YEAR_RANGE,
            Field::YearOfEra => (1, YEAR_RANGE.1),
            Field::CenturyOfEra => (0, YEAR_RANGE.1 / 100),
            Field::Month => (1, 12),
            Field::Week => (1, 53),
            Field::DayOfYear => (1, 366),
            Field::DayOfMonth => (1, 31),
            Field::DayOfWeek => (1, 7),
            Field::HourOfDay => (0, 23),
            Field::ClockhourOfDay => (1, 24),
            Field::HourOfHalfday => (0, 11),
            Field::ClockhourOfHalfday => (1, 12),
            Field::Minute | Field::Second => (0, 59),
            Field::Millis => (0, 999),
        }
    }

    /// Checks a value against a range.
    pub(crate) const fn check(self, value: i64, (min, max): (i64, i64)) -> Result<(), OutOfRange> {
        if value < min || value > max { Err(OutOfRange { field: self, value, min, max }) } else { Ok(()) }
    }
}

impl WallClock {
    /// 1970-01-01T00:00.
    pub(crate) const EPOCH: WallClock = WallClock { days: 0, millis: 0 };

    pub(crate) const fn date(&self) -> (i64, u32, u32) {
        civil_from_days(self.days)
    }

    /// Seconds after 1970 as if the reading were UTC.
    pub(crate) const fn secs(&self) -> i64 {
        self.days * DAY + self.millis.div_euclid(1000)
    }

    /// Nanoseconds within the second.
    pub(crate) const fn nanos(&self) -> u32 {
        self.millis.rem_euclid(1000) as u32 * 1_000_000
    }

    /// The same month and day of another year; 29 February becomes the 28th where there is none.
    #[must_use]
    pub(crate) const fn with_year(self, year: i64) -> WallClock {
        let (_, month, day) = self.date();
        let last = days_in_month(year, month);
        WallClock { days: days_from_civil(year, month, if day > last { last } else { day }), ..self }
    }

    /// Sets a field and keeps the others as far as they can be kept.
    pub(crate) fn set(&mut self, field: Field, value: i64) -> Result<(), OutOfRange> {
        let (year, month, day) = self.date();
        let range = match field {
            Field::DayOfMonth => (1, i64::from(days_in_month(year, month))),
            Field::DayOfYear => (1, if is_leap(year) { 366 } else { 365 }),
            Field::Week => (1, i64::from(iso_weeks_in_year(iso_week(self.days).0))),
            _ => field.plain_range(),
        };
        field.check(value, range)?;
        match field {
            Field::Era if (year > 0) != (value == 1) => *self = self.with_year(-year),
            Field::Era => {}
            Field::CenturyOfEra => {
                let size = value * 100 + year.abs() % 100;
                *self = self.with_year(if year < 0 { -size } else { size });
            }
            Field::Year => *self = self.with_year(value),
            Field::YearOfEra => *self = self.with_year(if year <= 0 { 1 - value } else { value }),
            Field::Weekyear => self.set_weekyear(value),
            Field::Month => {
                let day = day.min(days_in_month(year, value as u32));
                self.days = days_from_civil(year, value as u32, day);
            }
            Field::Week => self.days += (value - i64::from(iso_week(self.days).1)) * 7,
            Field::DayOfYear => self.days += value - i64::from(day_of_year(year, self.days)),
            Field::DayOfMonth => self.days += value - i64::from(day),
            Field::DayOfWeek => self.days += value - i64::from(weekday(self.days)),
            Field::Halfday => self.millis = self.millis % HALFDAY_MS + value * HALFDAY_MS,
            Field::HourOfDay => self.set_part(value, 24, 3_600_000),
            Field::ClockhourOfDay => self.set_part(value % 24, 24, 3_600_000),
            Field::HourOfHalfday => self.set_part(value, 12, 3_600_000),
            Field::ClockhourOfHalfday => self.set_part(value % 12, 12, 3_600_000),
            Field::Minute => self.set_part(value, 60, 60_000),
            Field::Second => self.set_part(value, 60, 1000),
            Field::Millis => self.set_part(value, 1000, 1),
        }
        Ok(())
    }

    /// Sets one digit, so to speak, of the time of day: the count of `unit` milliseconds modulo `size`.
    fn set_part(&mut self, value: i64, size: i64, unit: i64) {
        self.millis += (value - self.millis / unit % size) * unit;
    }

    fn set_weekyear(&mut self, year: i64) {
        let (_, week) = iso_week(self.days);
        let week = week.min(iso_weeks_in_year(year));
        self.days = iso_year_start(year) + i64::from(week - 1) * 7 + i64::from(weekday(self.days) - 1);
    }

    /// Clears what is finer than the field.
    pub(crate) fn floor(&mut self, field: Field) {
        let (year, month, _) = self.date();
        let unit = match field {
            Field::Halfday => HALFDAY_MS,
            Field::HourOfDay | Field::ClockhourOfDay | Field::HourOfHalfday | Field::ClockhourOfHalfday => {
                3_600_000
            }
            Field::Minute => 60_000,
            Field::Second => 1000,
            Field::Millis => 1,
            _ => DAY_MS,
        };
        self.millis -= self.millis % unit;
        match field {
            Field::Era => self.days = if year > 0 { days_from_civil(1, 1, 1) } else { BEGINNING },
            Field::CenturyOfEra => {
                let start = year.abs() / 100 * 100;
                self.days = days_from_civil(if year < 0 { -start } else { start }, 1, 1);
            }
            Field::Year | Field::YearOfEra => self.days = days_from_civil(year, 1, 1),
            Field::Weekyear => self.days = iso_year_start(iso_week(self.days).0),
            Field::Month => self.days = days_from_civil(year, month, 1),
            Field::Week => self.days -= i64::from(weekday(self.days) - 1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(year: i64, month: u32, day: u32) -> WallClock {
        WallClock { days: days_from_civil(year, month, day), millis: 0 }
    }

    fn set(from: WallClock, field: Field, value: i64) -> (i64, u32, u32) {
        let mut clock = from;
        clock.set(field, value).unwrap();
        clock.date()
    }

    #[test]
    fn dates_are_kept_as_far_as_possible() {
        assert_eq!(set(clock(2024, 2, 29), Field::Year, 2026), (2026, 2, 28));
        assert_eq!(set(clock(2026, 1, 31), Field::Month, 2), (2026, 2, 28));
        assert_eq!(set(clock(2026, 1, 2), Field::DayOfWeek, 1), (2025, 12, 29));
        assert_eq!(set(clock(2026, 1, 2), Field::DayOfYear, 365), (2026, 12, 31));
        assert_eq!(set(clock(2026, 1, 2), Field::Week, 53), (2027, 1, 1));
        assert_eq!(set(clock(2020, 12, 31), Field::Weekyear, 2021), (2021, 12, 30));
        assert_eq!(set(clock(2026, 5, 6), Field::CenturyOfEra, 19), (1926, 5, 6));
        assert_eq!(set(clock(2026, 5, 6), Field::Era, 0), (-2026, 5, 6));
        assert_eq!(set(clock(-5, 5, 6), Field::YearOfEra, 44), (-43, 5, 6));
    }

    #[test]
    fn hours_of_all_kinds() {
        let mut time = WallClock { days: 0, millis: 13 * 3_600_000 + 1 };
        time.set(Field::ClockhourOfHalfday, 12).unwrap();
        assert_eq!(time.millis, 12 * 3_600_000 + 1);
        time.set(Field::ClockhourOfDay, 24).unwrap();
        time.set(Field::Halfday, 1).unwrap();
        assert_eq!(time.millis, 12 * 3_600_000 + 1);
        time.floor(Field::Second);
        assert_eq!(time.millis, 12 * 3_600_000);
    }

    #[test]
    fn what_a_field_cannot_have() {
        let mut date = clock(2026, 2, 1);
        assert_eq!(
            date.set(Field::DayOfMonth, 29),
            Err(OutOfRange { field: Field::DayOfMonth, value: 29, min: 1, max: 28 })
        );
        assert!(date.set(Field::DayOfYear, 366).is_err());
        assert!(date.set(Field::Week, 54).is_err());
        assert!(date.set(Field::ClockhourOfHalfday, 0).is_err());
        assert!(date.set(Field::Year, 300_000_000).is_err());
        assert_eq!(date, clock(2026, 2, 1));
    }
}
