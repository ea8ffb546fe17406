//! Writing a time with a pattern.

use super::Step;
use crate::civil::{civil_from_days, day_of_year, iso_week, weekday};
use crate::digits::push_padded;
use crate::field::Field;
use crate::locale::{Locale, TextKind};
use crate::timestamp::Timestamp;

/// A time taken apart, in UTC.
struct Parts {
    days: i64,
    year: i64,
    month: u32,
    day: u32,
    second_of_day: i64,
    millis: u32,
}

pub(super) fn write(steps: &[Step], locale: Locale, time: Timestamp, out: &mut String) {
    let days = time.secs().div_euclid(crate::civil::DAY);
    let (year, month, day) = civil_from_days(days);
    let second_of_day = time.secs().rem_euclid(crate::civil::DAY);
    let parts = Parts { days, year, month, day, second_of_day, millis: time.nanos() / 1_000_000 };
    for step in steps {
        parts.write(step, locale, out);
    }
}

impl Parts {
    fn write(&self, step: &Step, locale: Locale, out: &mut String) {
        match step {
            Step::Literal(text) => out.push_str(text),
            Step::Number { field, min, .. } => push_padded(out, self.value(*field), usize::from(*min)),
            Step::TwoDigitYear { field, .. } => push_padded(out, self.value(*field).abs() % 100, 2),
            Step::Fraction { digits } => self.fraction(usize::from(*digits), out),
            Step::Text { kind, short } => {
                let index = match kind {
                    TextKind::Month => self.month as usize - 1,
                    TextKind::Weekday => self.value(Field::DayOfWeek) as usize - 1,
                    TextKind::Halfday => self.value(Field::Halfday) as usize,
                    TextKind::Era => usize::from(self.year > 0),
                };
                out.push_str(locale.name(*kind, index, *short));
            }
            Step::Offset { colon: false } => out.push_str("+0000"),
            Step::Offset { colon: true } => out.push_str("+00:00"),
            Step::ZoneId | Step::ZoneName { long: false } => out.push_str("UTC"),
            Step::ZoneName { long: true } => out.push_str("Coordinated Universal Time"),
        }
    }

    fn value(&self, field: Field) -> i64 {
        let hour = self.second_of_day / 3600;
        match field {
            Field::Era => i64::from(self.year > 0),
            Field::CenturyOfEra => self.year.abs() / 100,
            Field::Year => self.year,
            Field::YearOfEra => {
                if self.year > 0 {
                    self.year
                } else {
                    1 - self.year
                }
            }
            Field::Weekyear => iso_week(self.days).0,
            Field::Month => i64::from(self.month),
            Field::Week => i64::from(iso_week(self.days).1),
            Field::DayOfYear => i64::from(day_of_year(self.year, self.days)),
            Field::DayOfMonth => i64::from(self.day),
            Field::DayOfWeek => i64::from(weekday(self.days)),
            Field::Halfday => hour / 12,
            Field::HourOfDay => hour,
            Field::ClockhourOfDay => {
                if hour == 0 {
                    24
                } else {
                    hour
                }
            }
            Field::HourOfHalfday => hour % 12,
            Field::ClockhourOfHalfday => {
                if hour % 12 == 0 {
                    12
                } else {
                    hour % 12
                }
            }
            Field::Minute => self.second_of_day / 60 % 60,
            Field::Second => self.second_of_day % 60,
            Field::Millis => i64::from(self.millis),
        }
    }

    /// Milliseconds as a decimal fraction, cut or filled with zeros.
    fn fraction(&self, digits: usize, out: &mut String) {
        let cut = digits.min(3);
        push_padded(out, i64::from(self.millis / 10u32.pow(3 - cut as u32)), cut);
        out.extend(std::iter::repeat_n('0', digits - cut));
    }
}
