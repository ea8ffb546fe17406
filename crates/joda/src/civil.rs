//! The proleptic Gregorian calendar as integer arithmetic.
//!
//! Joda's ISO chronology and `java.time` both use it, with no switch to the Julian calendar and with a year 0.
//! Everything here works on `i64`, because Joda's years reach ±292 million and an `i64` of seconds far more.

/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;

/// Whether `year` has 366 days.
pub(crate) const fn is_leap(year: i64) -> bool {
    // A multiple of 100 is one of 400 when it is one of 16.
    if year % 100 == 0 { year % 16 == 0 } else { year % 4 == 0 }
}

/// Days of a month, 1 to 12.
pub(crate) const fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the date.
pub(crate) const fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    // Years begin in March here, so that the leap day is the last one of its year.
    let (year, month) = if month <= 2 { (year - 1, month + 12) } else { (year, month) };
    let century = year.div_euclid(100);
    let of_year = (153 * month - 457) / 5 + day - 1;
    365 * year + (year >> 2) - century + (century >> 2) + of_year as i64 - 719_468
}

/// The date, as (year, month, day), that lies `days` after 1970-01-01.
pub(crate) const fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    // In an era of 400 years everything fits 32 bits, and divisions become multiplications with what is left over
    // (Neri and Schneider, "Euclidean affine functions and their application to calendar algorithms").
    let quarters = 4 * (shifted - era * 146_097) as u32 + 3;
    let century = quarters / 146_097;
    let product = 2_939_745 * ((quarters % 146_097) | 3) as u64;
    let year_of_century = (product >> 32) as u32;
    let of_year = product as u32 / 2_939_745 / 4;
    let months = 2141 * of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2141 + 1);
    let year = era * 400 + (100 * century + year_of_century) as i64;
    if month > 12 { (year + 1, month - 12, day) } else { (year, month, day) }
}

/// The day of the week, Monday = 1 to Sunday = 7.
pub(crate) const fn weekday(days: i64) -> u32 {
    (days + 3).rem_euclid(7) as u32 + 1
}

/// The day of the year, from 1.
pub(crate) const fn day_of_year(year: i64, days: i64) -> u32 {
    (days - days_from_civil(year, 1, 1)) as u32 + 1
}

/// The day on which the first ISO week of `year` begins: the Monday of the week with January 4th.
pub(crate) const fn iso_year_start(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (weekday(fourth) as i64 - 1)
}

/// The ISO week-based year and week of a day.
pub(crate) const fn iso_week(days: i64) -> (i64, u32) {
    // The Thursday decides to which year a week belongs.
    let thursday = days - (weekday(days) as i64 - 1) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (year, ((days - iso_year_start(year)) / 7) as u32 + 1)
}

/// The number of ISO weeks in a week-based year.
pub(crate) const fn iso_weeks_in_year(year: i64) -> u32 {
    ((iso_year_start(year + 1) - iso_year_start(year)) / 7) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-400_000..400_000).chain((-106_000_000_000..-105_999_900_000).step_by(97)) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!((1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day));
        }
    }

    #[test]
    fn known_days() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
        assert_eq!(civil_from_days(-1), (1969, 12, 31));
        assert_eq!(weekday(0), 4);
        assert_eq!(day_of_year(2024, days_from_civil(2024, 12, 31)), 366);
    }

    #[test]
    fn iso_weeks_at_the_turn_of_the_year() {
        assert_eq!(iso_week(days_from_civil(2024, 12, 30)), (2025, 1));
        assert_eq!(iso_week(days_from_civil(2027, 1, 3)), (2026, 53));
        assert_eq!(iso_week(days_from_civil(2024, 2, 29)), (2024, 9));
        assert_eq!((iso_weeks_in_year(2026), iso_weeks_in_year(2025)), (53, 52));
    }
}
