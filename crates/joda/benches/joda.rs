//! What it costs to read and write times.
//!
//! `cargo bench -p ferrostash-joda`. Every format reads a thousand texts, whose times lie some hours apart and so on both
//! sides of changes of the clock; figures are per thousand.

#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use divan::{Bencher, black_box, counter::ItemsCount};
use ferrostash_joda::{DateParser, Locale, Pattern, Precision, Timestamp, Zone};

/// Texts per figure.
const TEXTS: usize = 1000;
/// Milliseconds between two times of a bench of reading: 13 hours and a bit.
const STEP: i64 = 47_111_129;

/// Name, pattern, zone of texts that name none.
const FORMATS: [(&str, &str, &str); 10] = [
    ("access log", "dd/MMM/yyyy:HH:mm:ss Z", "UTC"),
    ("zoned", "yyyy-MM-dd HH:mm:ss,SSS", "America/New_York"),
    ("syslog", "MMM d HH:mm:ss", "UTC"),
    ("syslog zoned", "MMM d HH:mm:ss", "Europe/Paris"),
    ("mail", "EEE, dd MMM yyyy HH:mm:ss Z", "UTC"),
    ("twelve hours", "M/d/yyyy h:mm:ss a", "UTC"),
    ("day of year", "yyyyDDDHHmmss", "UTC"),
    ("zone id", "yyyy-MM-dd HH:mm:ss ZZZ", "UTC"),
    ("compact", "yyyyMMddHHmmssSSS", "UTC"),
    ("offset", "yyyy-MM-dd'T'HH:mm:ss.SSSZZ", "UTC"),
];

fn main() {
    divan::main();
}

/// Times that all lie in 2025 and 2026.
fn times() -> impl Iterator<Item = Timestamp> {
    (0..TEXTS as i64).map(|number| Timestamp::from_millis(1_735_700_000_000 + number * STEP))
}

fn texts(write: impl Fn(Timestamp) -> String) -> Vec<String> {
    times().map(write).collect()
}

fn read(bencher: Bencher<'_, '_>, parser: &DateParser, texts: &[String], zone: &str) {
    let (zone, now) = (Zone::parse(zone).unwrap(), Timestamp::from_millis(1_780_000_000_000));
    let all = || texts.iter().filter(|text| parser.parse(black_box(text), &zone, now).is_ok()).count();
    assert!(all() + 2 >= TEXTS, "only {} are read", all());
    bencher.counter(ItemsCount::new(texts.len())).bench_local(all);
}

#[divan::bench(args = FORMATS.map(|(name, ..)| name))]
fn pattern(bencher: Bencher<'_, '_>, name: &str) {
    let (_, format, zone) = FORMATS.into_iter().find(|(known, ..)| *known == name).unwrap();
    let pattern = Pattern::new(format, Locale::en_us()).unwrap();
    let parser = DateParser::new(format, Locale::en_us(), Precision::default()).unwrap();
    let texts = texts(|time| {
        let mut text = String::new();
        pattern.format(time, &mut text);
        text
    });
    read(bencher, &parser, &texts, zone);
}

#[divan::bench(args = ["ISO8601", "ISO8601 offset", "ISO8601 zoned", "UNIX", "UNIX_MS"])]
fn special(bencher: Bencher<'_, '_>, name: &str) {
    let (format, _) = name.split_once(' ').unwrap_or((name, ""));
    let parser = DateParser::new(format, Locale::en_us(), Precision::default()).unwrap();
    let texts = texts(|time| match name {
        "ISO8601 offset" => time.to_string().replace('Z', "+02:00"),
        "ISO8601 zoned" => time.to_string().replace('Z', ""),
        "UNIX" => format!("{}.{:03}", time.secs(), time.nanos() / 1_000_000),
        "UNIX_MS" => time.to_millis().to_string(),
        _ => time.to_string(),
    });
    read(bencher, &parser, &texts, "America/New_York");
}

#[divan::bench(args = [("same second", 1), ("next second", 1000), ("other day", 86_461_001)])]
fn write_iso8601(bencher: Bencher<'_, '_>, (_, step): (&str, i64)) {
    let times: Vec<Timestamp> =
        (0..TEXTS as i64).map(|number| Timestamp::from_millis(1_780_000_000_000 + number * step)).collect();
    let mut out = Vec::with_capacity(64);
    bencher.counter(ItemsCount::new(TEXTS)).bench_local(|| {
        for time in &times {
            out.clear();
            black_box(time).write_iso8601_bytes(&mut out);
            black_box(&out);
        }
    });
}
