//! Patterns of `java.time.format.DateTimeFormatter`, for `%{{…}}`: written only, always in UTC and American English.
//!
//! The letters look like Joda's and mean something else: `Y` is the year of the week, weeks begin on Sunday, `S` goes
//! to nanoseconds. Brackets mark optional parts; since a timestamp has every field, they are always written.

use crate::civil::{DAY, civil_from_days, day_of_year, days_from_civil, weekday};
use crate::digits::push_padded;
use crate::error::PatternError;
use crate::locale::{Locale, TextKind};
use crate::timestamp::Timestamp;

/// The widest a number can be made.
const WIDTH_MAX: usize = 19;
/// The widest a part can be padded to; Java has no bound, but a pattern may come from a stranger.
const PAD_MAX: usize = 1000;
/// The modified Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 40_587;

/// A compiled `java.time` pattern.
///
/// ```
/// use ferrostash_joda::{JavaPattern, Timestamp};
/// let pattern = JavaPattern::new("yyyy-MM-dd'T'HH:mm:ss.SSSX")?;
/// let mut out = String::new();
/// pattern.format(Timestamp::from_millis(1_767_323_045_678), &mut out)?;
/// assert_eq!(out, "2026-01-02T03:04:05.678Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaPattern {
    steps: Vec<Step>,
}

/// A padded part of a pattern came out wider than its pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Cannot print as output of {found} characters exceeds pad width of {width}")]
pub struct PadError {
    /// Characters of the part.
    pub found: usize,
    /// Characters there is room for.
    pub width: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// Blanks are put before until the part is so wide.
    pad: Option<usize>,
    part: Part,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Number {
        field: Field,
        min: usize,
        /// A plus when there are more digits than `min`.
        plus: bool,
    },
    /// The last two digits of a year.
    TwoDigits(Field),
    /// So many digits after the point.
    Fraction(usize),
    Text(Text, Style),
    /// What stands for UTC in the several forms of zones and offsets.
    Utc(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    ProlepticYear,
    YearOfEra,
    WeekYear,
    Quarter,
    Month,
    Week,
    WeekOfMonth,
    AlignedWeekOfMonth,
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    JulianDay,
    HourOfAmPm,
    ClockHourOfAmPm,
    Hour,
    ClockHour,
    Minute,
    Second,
    MilliOfDay,
    NanoOfSecond,
    NanoOfDay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Era,
    Quarter,
    Month,
    Weekday,
    AmPm,
    DayPeriod,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Short,
    Full,
    Narrow,
}

impl JavaPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When a letter or its number means nothing, a character is reserved, or quotes or brackets don't match.
    pub fn new(pattern: &str) -> Result<JavaPattern, PatternError> {
        Compiler { pattern, at: 0, steps: Vec::new(), optional: 0 }.compile()
    }

    /// Appends the time in UTC.
    ///
    /// # Errors
    /// When a part is wider than its pad; nothing is appended then.
    pub fn format(&self, time: Timestamp, out: &mut String) -> Result<(), PadError> {
        let start = out.len();
        let parts = Parts::new(time);
        for step in &self.steps {
            let before = out.len();
            parts.write(&step.part, out);
            let Some(width) = step.pad else { continue };
            let found = out.get(before..).map_or(0, |part| part.chars().count());
            if found > width {
                out.truncate(start);
                return Err(PadError { found, width });
            }
            out.insert_str(before, &" ".repeat(width - found));
        }
        Ok(())
    }
}

struct Compiler<'a> {
    pattern: &'a str,
    at: usize,
    steps: Vec<Step>,
    /// Open brackets.
    optional: usize,
}

impl Compiler<'_> {
    fn compile(mut self) -> Result<JavaPattern, PatternError> {
        while let Some(c) = self.peek() {
            let start = self.at;
            match c {
                'A'..='Z' | 'a'..='z' => self.letters()?,
                '\'' => self.quoted()?,
                '[' => {
                    self.optional += 1;
                    self.at += 1;
                }
                ']' if self.optional == 0 => {
                    return Err(self.error(start, "Pattern invalid as it contains ] without previous ["));
                }
                ']' => {
                    self.optional -= 1;
                    self.at += 1;
                }
                '{' | '}' | '#' => {
                    return Err(self.error(start, format!("Pattern includes reserved character: '{c}'")));
                }
                _ => {
                    self.at += c.len_utf8();
                    self.literal(c);
                }
            }
        }
        Ok(JavaPattern { steps: self.steps })
    }

    fn peek(&self) -> Option<char> {
        self.pattern.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn error(&self, at: usize, reason: impl Into<String>) -> PatternError {
        PatternError::at(self.pattern, at, reason)
    }

    fn literal(&mut self, c: char) {
        if let Some(Step { pad: None, part: Part::Literal(text) }) = self.steps.last_mut() {
            text.push(c);
        } else {
            self.steps.push(Step { pad: None, part: Part::Literal(c.to_string()) });
        }
    }

    fn quoted(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        self.at += 1;
        if self.peek() == Some('\'') {
            self.at += 1;
            self.literal('\'');
            return Ok(());
        }
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c != '\'' {
                self.literal(c);
            } else if self.peek() == Some('\'') {
                self.at += 1;
                self.literal('\'');
            } else {
                return Ok(());
            }
        }
        Err(self.error(start, format!("Pattern ends with an incomplete string literal: {}", self.pattern)))
    }

    /// Takes a run of one letter.
    fn run(&mut self) -> Option<(char, usize)> {
        let letter = self.peek().filter(char::is_ascii_alphabetic)?;
        let start = self.at;
        while self.peek() == Some(letter) {
            self.at += 1;
        }
        Some((letter, self.at - start))
    }

    fn letters(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        let Some((mut letter, mut count)) = self.run() else { return Ok(()) };
        let mut pad = None;
        if letter == 'p' {
            let next = self.run().filter(|_| count <= PAD_MAX);
            let Some(next) = next else {
                let reason =
                    format!("Pad letter 'p' must be followed by valid pad pattern: {}", self.pattern);
                return Err(self.error(start, reason));
            };
            pad = Some(count);
            (letter, count) = next;
        }
        let part = part(letter, count).map_err(|reason| self.error(start, reason))?;
        self.steps.push(Step { pad, part });
        Ok(())
    }
}

fn part(letter: char, count: usize) -> Result<Part, String> {
    let too_many = || Err(format!("Too many pattern letters: {letter}"));
    let number = |field, min, plus| {
        if min > WIDTH_MAX {
            return Err(format!("The minimum width must be from 1 to 19 inclusive but was {min}"));
        }
        Ok(Part::Number { field, min, plus })
    };
    let up_to = |max, field| if count > max { too_many() } else { number(field, count, false) };
    match letter {
        'u' | 'y' | 'Y' => {
            let field = match letter {
                'u' => Field::ProlepticYear,
                'y' => Field::YearOfEra,
                _ => Field::WeekYear,
            };
            if count == 2 { Ok(Part::TwoDigits(field)) } else { number(field, count, count >= 4) }
        }
        'G' => text(Text::Era, letter, count.max(3)),
        'M' | 'L' if count <= 2 => number(Field::Month, count, false),
        'M' | 'L' => text(Text::Month, letter, count),
        'Q' | 'q' if count <= 2 => number(Field::Quarter, count, false),
        'Q' | 'q' => text(Text::Quarter, letter, count),
        'E' => text(Text::Weekday, letter, count.max(3)),
        'c' if count == 2 => Err("Invalid pattern \"cc\"".to_owned()),
        'e' | 'c' if count <= 2 => number(Field::DayOfWeek, count, false),
        'e' | 'c' => text(Text::Weekday, letter, count),
        'a' if count > 1 => too_many(),
        'a' => Ok(Part::Text(Text::AmPm, Style::Short)),
        'B' => match count {
            1 => Ok(Part::Text(Text::DayPeriod, Style::Short)),
            4 => Ok(Part::Text(Text::DayPeriod, Style::Full)),
            5 => Ok(Part::Text(Text::DayPeriod, Style::Narrow)),
            _ => Err(format!("Wrong number of pattern letters: {letter}")),
        },
        'S' if count > 9 => Err(format!("Minimum width must be from 0 to 9 inclusive but was {count}")),
        'S' => Ok(Part::Fraction(count)),
        'w' => up_to(2, Field::Week),
        'W' => up_to(1, Field::WeekOfMonth),
        'F' => up_to(1, Field::AlignedWeekOfMonth),
        'd' => up_to(2, Field::DayOfMonth),
        'D' => up_to(3, Field::DayOfYear),
        'h' => up_to(2, Field::ClockHourOfAmPm),
        'H' => up_to(2, Field::Hour),
        'k' => up_to(2, Field::ClockHour),
        'K' => up_to(2, Field::HourOfAmPm),
        'm' => up_to(2, Field::Minute),
        's' => up_to(2, Field::Second),
        'A' => number(Field::MilliOfDay, count, false),
        'n' => number(Field::NanoOfSecond, count, false),
        'N' => number(Field::NanoOfDay, count, false),
        'g' => number(Field::JulianDay, count, false),
        _ => zone(letter, count),
    }
}

fn text(text: Text, letter: char, count: usize) -> Result<Part, String> {
    match count {
        3 => Ok(Part::Text(text, Style::Short)),
        4 => Ok(Part::Text(text, Style::Full)),
        5 => Ok(Part::Text(text, Style::Narrow)),
        _ => Err(format!("Too many pattern letters: {letter}")),
    }
}

/// The letters for zones and offsets, of which there is only one here.
fn zone(letter: char, count: usize) -> Result<Part, String> {
    let utc = |text| Ok(Part::Utc(text));
    let too_many = || Err(format!("Too many pattern letters: {letter}"));
    match (letter, count) {
        ('V', 2) => utc("Z"),
        ('V', _) => Err("Pattern letter count must be 2: V".to_owned()),
        ('v', 1 | 4) | ('z', 1..=4) | ('X', 1..=5) | ('Z', 5) => utc("Z"),
        ('v', _) => Err("Wrong number of pattern letters: v".to_owned()),
        ('O', 1 | 4) | ('Z', 4) => utc("GMT"),
        ('O', _) => Err("Pattern letter count must be 1 or 4: O".to_owned()),
        ('Z', 1..=3) | ('x', 2 | 4) => utc("+0000"),
        ('x', 1) => utc("+00"),
        ('x', 3 | 5) => utc("+00:00"),
        ('z' | 'X' | 'x' | 'Z', _) => too_many(),
        _ => Err(format!("Unknown pattern letter: {letter}")),
    }
}

/// A time taken apart, in UTC.
struct Parts {
    days: i64,
    year: i64,
    month: u32,
    day: u32,
    second_of_day: i64,
    nanos: u32,
}

impl Parts {
    fn new(time: Timestamp) -> Parts {
        let days = time.secs().div_euclid(DAY);
        let (year, month, day) = civil_from_days(days);
        Parts { days, year, month, day, second_of_day: time.secs().rem_euclid(DAY), nanos: time.nanos() }
    }

    fn write(&self, part: &Part, out: &mut String) {
        match part {
            Part::Literal(text) => out.push_str(text),
            Part::Number { field, min, plus } => {
                let value = self.value(*field);
                if *plus && value >= 0 && value.checked_ilog10().unwrap_or(0) as usize >= *min {
                    out.push('+');
                }
                push_padded(out, value, *min);
            }
            Part::TwoDigits(field) => push_padded(out, self.value(*field).abs() % 100, 2),
            Part::Fraction(digits) => {
                push_padded(out, i64::from(self.nanos / 10u32.pow(9 - *digits as u32)), *digits);
            }
            Part::Text(text, style) => out.push_str(self.text(*text, *style)),
            Part::Utc(text) => out.push_str(text),
        }
    }

    fn value(&self, field: Field) -> i64 {
        let hour = self.second_of_day / 3600;
        match field {
            Field::ProlepticYear => self.year,
            Field::YearOfEra => {
                if self.year > 0 {
                    self.year
                } else {
                    1 - self.year
                }
            }
            Field::WeekYear => self.week().0,
            Field::Week => self.week().1,
            Field::Quarter => i64::from((self.month - 1) / 3 + 1),
            Field::Month => i64::from(self.month),
            Field::WeekOfMonth => (i64::from(self.day) - self.sunday_based() + 12) / 7,
            Field::AlignedWeekOfMonth => i64::from((self.day - 1) / 7 + 1),
            Field::DayOfYear => i64::from(day_of_year(self.year, self.days)),
            Field::DayOfMonth => i64::from(self.day),
            Field::DayOfWeek => self.sunday_based(),
            Field::JulianDay => self.days + JULIAN_EPOCH,
            Field::HourOfAmPm => hour % 12,
            Field::ClockHourOfAmPm => {
                if hour % 12 == 0 {
                    12
                } else {
                    hour % 12
                }
            }
            Field::Hour => hour,
            Field::ClockHour => {
                if hour == 0 {
                    24
                } else {
                    hour
                }
            }
            Field::Minute => self.second_of_day / 60 % 60,
            Field::Second => self.second_of_day % 60,
            Field::MilliOfDay => self.second_of_day * 1000 + i64::from(self.nanos / 1_000_000),
            Field::NanoOfSecond => i64::from(self.nanos),
            Field::NanoOfDay => self.second_of_day * 1_000_000_000 + i64::from(self.nanos),
        }
    }

    /// Sunday = 1 to Saturday = 7.
    fn sunday_based(&self) -> i64 {
        i64::from(weekday(self.days) % 7 + 1)
    }

    /// The year and number of the American week, which begins on Sunday; week 1 is the one with January 1st.
    fn week(&self) -> (i64, i64) {
        let sunday = self.days - self.sunday_based() + 1;
        let (year, _, _) = civil_from_days(sunday + 6);
        let first = days_from_civil(year, 1, 1);
        let first_sunday = first - i64::from(weekday(first) % 7);
        (year, (sunday - first_sunday) / 7 + 1)
    }

    fn text(&self, text: Text, style: Style) -> &'static str {
        let (kind, index) = match text {
            Text::Month => (TextKind::Month, self.month as usize - 1),
            Text::Weekday => (TextKind::Weekday, weekday(self.days) as usize - 1),
            Text::AmPm => (TextKind::Halfday, (self.second_of_day / 43_200) as usize),
            Text::Era => return era(self.year > 0, style),
            Text::Quarter => return quarter(self.month, style),
            Text::DayPeriod => return day_period(self.second_of_day / 60, style == Style::Narrow),
        };
        let name = Locale::en_us().name(kind, index, style == Style::Short);
        if style == Style::Narrow { name.get(..1).unwrap_or(name) } else { name }
    }
}

fn era(common: bool, style: Style) -> &'static str {
    match (style, common) {
        (Style::Short, true) => "AD",
        (Style::Short, false) => "BC",
        (Style::Full, true) => "Anno Domini",
        (Style::Full, false) => "Before Christ",
        (Style::Narrow, true) => "A",
        (Style::Narrow, false) => "B",
    }
}

fn quarter(month: u32, style: Style) -> &'static str {
    match (style, (month - 1) / 3) {
        (Style::Short, 0) => "Q1",
        (Style::Short, 1) => "Q2",
        (Style::Short, 2) => "Q3",
        (Style::Short, _) => "Q4",
        (Style::Full, 0) => "1st quarter",
        (Style::Full, 1) => "2nd quarter",
        (Style::Full, 2) => "3rd quarter",
        (Style::Full, _) => "4th quarter",
        (Style::Narrow, 0) => "1",
        (Style::Narrow, 1) => "2",
        (Style::Narrow, 2) => "3",
        (Style::Narrow, _) => "4",
    }
}

/// What the hour is called, by CLDR's rules for English.
fn day_period(minute_of_day: i64, narrow: bool) -> &'static str {
    match (minute_of_day, minute_of_day / 60) {
        (0, _) => {
            if narrow {
                "mi"
            } else {
                "midnight"
            }
        }
        (720, _) => {
            if narrow {
                "n"
            } else {
                "noon"
            }
        }
        (_, 6..=11) => "in the morning",
        (_, 12..=17) => "in the afternoon",
        (_, 18..=20) => "in the evening",
        _ => "at night",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(pattern: &str, time: &str) -> String {
        let mut out = String::new();
        JavaPattern::new(pattern).unwrap().format(Timestamp::parse(time).unwrap(), &mut out).unwrap();
        out
    }

    fn error(pattern: &str) -> String {
        JavaPattern::new(pattern).unwrap_err().reason
    }

    #[test]
    fn usual_patterns() {
        let time = "2026-12-31T23:59:59.999999999Z";
        assert_eq!(write("yyyy.MM.dd", time), "2026.12.31");
        assert_eq!(write("yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", time), "2026-12-31T23:59:59.999999Z");
        assert_eq!(write("YYYY-'W'ww", time), "2027-W01");
        assert_eq!(write("YYYY-'W'ww", "2021-01-03"), "2021-W02");
        assert_eq!(write("EEE, dd MMM yyyy HH:mm:ss Z", time), "Thu, 31 Dec 2026 23:59:59 +0000");
        assert_eq!(write("h 'o''clock' a", time), "11 o'clock PM");
        assert_eq!(write("yyyy[-MM[-dd]]''", time), "2026-12-31'");
        assert_eq!(write("", time), "");
    }

    #[test]
    fn years_before_and_far_after_christ() {
        let (caesar, far) = ("-0044-03-15", "+12026-07-05");
        assert_eq!(write("u uu uuuu y yy yyyy G GGGG", caesar), "-44 44 -0044 45 45 0045 BC Before Christ");
        assert_eq!(write("u uuuu uuuuu yyyy YYYY g", far), "12026 +12026 12026 +12026 +12026 3713651");
    }

    #[test]
    fn widths_and_pads() {
        let time = "2026-01-02T03:04:05.678Z";
        assert_eq!(
            write("D DDD d dd S SSSS A NNN nnnnnnnnnnnn", time),
            "2 002 2 02 6 6780 11045678 11045678000000 000678000000"
        );
        assert_eq!(write("ppppH|ppppEEE|ppppppMMM", time), "   3| Fri|   Jan");
        let mut out = String::from("kept");
        let error = JavaPattern::new("HH ppEEEE").unwrap().format(Timestamp::EPOCH, &mut out);
        assert_eq!((error, out.as_str()), (Err(PadError { found: 8, width: 2 }), "kept"));
    }

    #[test]
    fn weeks_quarters_and_hours() {
        assert_eq!(
            write("e ee c W F w Q QQQ QQQQ B BBBBB", "2024-02-29T06:01:00Z"),
            "5 05 5 5 5 9 1 Q1 1st quarter in the morning in the morning"
        );
        assert_eq!(write("K k h H B BBBBB EEEEE MMMMM", "2026-01-02T00:00:00Z"), "0 24 12 0 midnight mi F J");
        assert_eq!(
            write("VV z zzzz v O OOOO ZZZZ ZZZZZ X x xx xxx", "2026-01-02"),
            "Z Z Z Z GMT GMT GMT Z Z +00 +0000 +00:00"
        );
    }

    #[test]
    fn errors_have_javas_words() {
        assert_eq!(error("b"), "Unknown pattern letter: b");
        assert_eq!(error("yyyy-MM-ddTHH"), "Unknown pattern letter: T");
        assert_eq!(error("yyyy#"), "Pattern includes reserved character: '#'");
        assert_eq!(error("VVV"), "Pattern letter count must be 2: V");
        assert_eq!(error("EEEEEE"), "Too many pattern letters: E");
        assert_eq!(error("'abc"), "Pattern ends with an incomplete string literal: 'abc");
        assert_eq!(error("yyyy]"), "Pattern invalid as it contains ] without previous [");
        assert_eq!(error("pp[yyyy]"), "Pad letter 'p' must be followed by valid pad pattern: pp[yyyy]");
        assert_eq!(error("cc"), "Invalid pattern \"cc\"");
        assert_eq!(JavaPattern::new("yyyy-MM-ddTHH").unwrap_err().offset, 10);
        for many in [
            "aa",
            "hhh",
            "DDDD",
            "zzzzz",
            "XXXXXX",
            "SSSSSSSSSS",
            "FF",
            "www",
            "GGGGGG",
            "BB",
            "vv",
            "OO",
            "nnnnnnnnnnnnnnnnnnnn",
        ] {
            assert!(JavaPattern::new(many).is_err(), "{many}");
        }
    }
}
