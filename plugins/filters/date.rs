//! The date filter: a point in time out of a field.
//!
//! The first of the formats that reads a value wins: two of them may read the same one differently (a number is one
//! of seconds or of milliseconds). The one that matched last is tried first only where that makes no difference.

mod format_error;
mod local_zone;
mod order;
mod zones;

use crate::shared::excerpt;
use ferrostash_conf::{OptionEnum, Options, Spanned};
use ferrostash_event::{Event, FieldRef, Timestamp, ValueRef};
use ferrostash_joda::{DateParser, Locale, Precision, Zone};
use ferrostash_plugin::{
    BuildContext, BuildResult, EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, Tally, filter,
};
use order::orders;
use std::sync::Arc;
use zones::Zones;

/// Reads a date out of a field, and makes it the event's time.
///
/// `match` is the field's name and then the formats that are tried, in this order: `ISO8601`, `UNIX` (seconds),
/// `UNIX_MS` (milliseconds), `TAI64N`, or a pattern of Joda's letters such as `dd/MMM/yyyy:HH:mm:ss Z`. Where the
/// pattern has no year, the one that is nearest to now is taken.
///
/// ```conf
/// filter { date { match => ["time", "dd/MMM/yyyy:HH:mm:ss Z", "ISO8601", "UNIX"] remove_field => ["time"] } }
/// # in:  {"time": "10/Oct/2000:13:55:36 -0700"}
/// # out: {"@timestamp": "2000-10-10T20:55:36.000Z"}
/// # in:  {"time": 1700000000.5}
/// # out: {"@timestamp": "2023-11-14T22:13:20.500Z"}
/// # in:  {"time": "yesterday"}
/// # out: {"time": "yesterday", "tags": ["_dateparsefailure"]}
/// ```
///
/// ```conf
/// filter { date { match => ["due", "d. MMMM yyyy HH:mm"] locale => "de" timezone => "%{zone}" target => "due" } }
/// # in:  {"due": "3. Oktober 2026 08:30", "zone": "Europe/Berlin"}
/// # out: {"due": "2026-10-03T06:30:00.000Z", "zone": "Europe/Berlin"}
/// ```
#[derive(Options, Clone)]
#[plugin(filter = "date")]
pub(crate) struct DateOptions {
    /// Zone of dates that name none: an id such as `Europe/Paris`, an offset such as `+02:00`, or `%{field}`; the
    /// machine's own zone when absent.
    timezone: Option<Spanned<String>>,
    /// Language of the names of months and days, as a tag such as `fr` or `pt-BR`; American English when absent.
    locale: Option<String>,
    /// The field's name, and then one or more formats.
    #[option(rename = "match", default = [])]
    matches: Vec<Spanned<String>>,
    /// The field that gets the time.
    #[option(default = "@timestamp")]
    target: FieldRef,
    /// Tags of events whose field has none of the formats.
    #[option(default = ["_dateparsefailure"])]
    tag_on_failure: Vec<String>,
    /// How much of a second is kept: `ms` or `ns`.
    #[option(default = "ms")]
    precision: Digits,
}

/// The values of `precision`.
#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Ms,
    Ns,
}

/// The declaration.
pub(crate) static PLUGIN: PluginDef = filter::<Date>();

/// What the options ask for, shared by all workers, and the zones and the format that a worker used last.
#[derive(Clone)]
pub(crate) struct Date {
    plan: Arc<Plan>,
    zones: Zones,
    /// The number of the format that read the last text.
    last: usize,
    matches: Tally,
    failures: Tally,
}

struct Plan {
    source: FieldRef,
    target: FieldRef,
    parsers: Vec<DateParser>,
    /// For each format, in which order all are tried when it read the last text.
    orders: Vec<Vec<usize>>,
    tag_on_failure: Vec<String>,
}

impl FilterPlugin for Date {
    type Options = DateOptions;

    fn build(options: DateOptions, cx: &mut BuildContext<'_>) -> BuildResult<Date> {
        let [source, formats @ ..] = options.matches.as_slice() else { return Err(too_short(cx, "[]")) };
        if formats.is_empty() {
            return Err(too_short(cx, &format!("[{:?}]", source.value)));
        }
        cx.metrics.gauge(&["formats"]).set(formats.len() as u64);
        let field =
            FieldRef::parse(&source.value).map_err(|error| cx.refuse_at(source.span, error.to_string()));
        let zones = Zones::new(options.timezone.as_ref(), cx);
        let parsers = parsers(formats, options.locale.as_deref(), options.precision, cx);
        let parsers = parsers?;
        let plan = Plan {
            source: field?,
            target: options.target,
            orders: orders(&parsers),
            parsers,
            tag_on_failure: options.tag_on_failure,
        };
        let tally = |name| Tally::new(cx.metrics.counter(&[name]));
        Ok(Date {
            plan: Arc::new(plan),
            zones: zones?,
            last: 0,
            matches: tally("matches"),
            failures: tally("failures"),
        })
    }
}

fn too_short(cx: &mut BuildContext<'_>, given: &str) -> ferrostash_plugin::Refused {
    cx.refuse(format!(
        "The match setting should contains first a field name and at least one date format, current value is {given}"
    ))
}

/// Compiles the formats; every one that is wrong is reported.
fn parsers(
    formats: &[Spanned<String>],
    locale: Option<&str>,
    digits: Digits,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Vec<DateParser>> {
    if locale.is_some_and(|tag| tag.contains('_')) {
        cx.warn("language tags are written with a dash, as in `pt-BR`; it is read as such");
    }
    let locale = locale.map_or_else(Locale::en_us, Locale::for_tag);
    let precision = match digits {
        Digits::Ms => Precision::Milliseconds,
        Digits::Ns => Precision::Nanoseconds,
    };
    let mut parsers = Vec::with_capacity(formats.len());
    let mut all = Ok(());
    for format in formats {
        match DateParser::new(&format.value, locale, precision) {
            Ok(parser) => parsers.push(parser),
            Err(error) => all = Err(format_error::refuse(&error, format, cx)),
        }
    }
    all.map(|()| parsers)
}

impl Plan {
    /// The time that the first fitting format reads; strings and numbers only.
    fn parse(
        &self,
        value: ValueRef<'_>,
        zone: Option<&Zone>,
        now: Timestamp,
        last: &mut usize,
    ) -> Option<Timestamp> {
        match value {
            ValueRef::Str(text) => self.orders.get(*last)?.iter().find_map(|at| {
                let parser = self.parsers.get(*at)?;
                let zone = if parser.uses_zone() { zone? } else { Zone::utc() };
                let time = parser.parse(text, zone, now).ok()?;
                *last = *at;
                Some(time)
            }),
            ValueRef::Int(number) => self.parsers.iter().find_map(|parser| parser.parse_integer(number).ok()),
            ValueRef::Float(number) => self.parsers.iter().find_map(|parser| parser.parse_float(number).ok()),
            ValueRef::Decimal(number) => {
                self.parsers.iter().find_map(|parser| parser.parse_decimal(number).ok())
            }
            _ => None,
        }
    }

    fn uses_zone(&self) -> bool {
        self.parsers.iter().any(DateParser::uses_zone)
    }
}

impl EventFilter for Date {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched {
        let plan = &self.plan;
        let Some(value) = event.get(&plan.source).filter(|value| !value.is_null()) else {
            return Matched::No;
        };
        let zone = if value.as_str().is_some() && plan.uses_zone() { self.zones.of(event) } else { None };
        let stored = match plan.parse(value, zone, cx.now, &mut self.last) {
            Some(time) => event.set(&plan.target, time).map_err(|error| error.to_string()),
            None => {
                let value = excerpt(value.as_str().unwrap_or_default());
                let field = plan.source.as_str();
                tracing::debug!(field, value, "no date format fits");
                self.failures.count();
                let keeps_reasons = cx.keeps_reasons();
                let reason = keeps_reasons.then(|| format!("no format fits `{value}` in {field}"));
                let reason = reason.unwrap_or_default();
                cx.fail(event, &plan.tag_on_failure, reason);
                return Matched::No;
            }
        };
        if let Err(error) = stored {
            tracing::warn!(
                target_field = plan.target.as_str(),
                error,
                limited = true,
                "a date could not be stored"
            );
            self.failures.count();
            cx.fail(event, &plan.tag_on_failure, error);
            return Matched::No;
        }
        self.matches.count();
        Matched::Yes
    }

    fn batch_done(&mut self) {
        self.matches.hand_in();
        self.failures.hand_in();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_plugin::testing::{FilterHarness, Harness};

    fn date(options: &str) -> FilterHarness {
        Harness::new(&[&PLUGIN]).filter(&format!("date {{ {options} }}")).unwrap_or_else(|e| panic!("{e}"))
    }

    fn refused(options: &str) -> String {
        Harness::new(&[&PLUGIN]).filter(&format!("date {{ {options} }}")).err().unwrap()
    }

    /// What becomes of `t`: the time, or `-` after a failure.
    fn time(options: &str, t: &str) -> String {
        let found =
            date(&format!("{options} target => \"o\"")).run_json(&[&format!(r#"{{"t":{t}}}"#)]).remove(0);
        match found.split_once(r#""o":""#) {
            Some((_, time)) => time.trim_end_matches("\"}").to_owned(),
            None => {
                assert!(found.contains(r#""tags":["_dateparsefailure"]"#), "{found}");
                "-".to_owned()
            }
        }
    }

    #[test]
    fn strings_and_numbers() {
        let all = r#"match => ["t", "ISO8601", "UNIX", "TAI64N", "dd/MMM/yyyy"] timezone => "UTC""#;
        for (value, expected) in [
            (r#""2026-01-02T03:04:05+01:00""#, "2026-01-02T02:04:05.000Z"),
            (r#""2026-01-02""#, "2026-01-02T00:00:00.000Z"),
            (r#""1767323045.6789""#, "2026-01-02T03:04:05.678Z"),
            ("1767323045", "2026-01-02T03:04:05.000Z"),
            ("1767323045.678", "2026-01-02T03:04:05.678Z"),
            (r#""@4000000052f88ea32489532c""#, "2014-02-10T08:32:25.612Z"),
            (r#""05/Mar/2026""#, "2026-03-05T00:00:00.000Z"),
            (r#""nope""#, "-"),
            (r#""""#, "-"),
            ("12345678901234567890", "-"),
            ("true", "-"),
            (r#"["2026-01-02"]"#, "-"),
            (r#"{"a":1}"#, "-"),
        ] {
            assert_eq!(time(all, value), expected, "{value}");
        }
    }

    #[test]
    fn missing_and_null_are_no_failures() {
        let mut date = date(r#"match => ["t", "ISO8601"] add_tag => ["done"]"#);
        assert_eq!(date.run_json(&["{}", r#"{"t":null}"#]), ["{}", r#"{"t":null}"#]);
        assert_eq!(date.metrics.counter(&["failures"]).get(), 0);
    }

    #[test]
    fn formats_are_tried_in_order_whatever_matched_before() {
        let mut date = date(r#"match => ["t", "UNIX_MS", "UNIX"] target => "t""#);
        let found = date.run_json(&[r#"{"t":"1767323045.5"}"#, r#"{"t":1767323045}"#]);
        assert_eq!(found, [r#"{"t":"2026-01-02T03:04:05.500Z"}"#, r#"{"t":"1970-01-21T10:55:23.045Z"}"#]);
    }

    #[test]
    fn a_format_that_matched_before_is_no_reason_to_skip_an_earlier_one() {
        let formats = ["yyyy-MM-dd HH:mm:ss,SSS", "UNIX", "ISO8601", "yyyyMMdd", "yyyy-MM-dd HH:mm:ss"];
        let list = formats.map(|format| format!(", \"{format}\"")).concat();
        let mut date = date(&format!(r#"match => ["t"{list}] target => "o" timezone => "Europe/Paris""#));
        // The clock skips the third one: ISO8601 shifts it, after the pattern refused it.
        let texts = [
            "2026-01-02 03:04:05",
            "2026-01-02 03:04:05,678",
            "2026-03-29 02:30:00,000",
            "20260102",
            "nothing",
            "2026-01-02T03:04:05Z",
        ];
        let mut time = |text: &str| date.run_json(&[&format!(r#"{{"t":"{text}"}}"#)]).remove(0);
        let first: Vec<String> = texts.iter().map(|text| time(text)).collect();
        assert!(first[0].contains("2026-01-02T02:04:05.000Z"), "{first:?}");
        assert!(first[2].contains("2026-03-29T01:30:00.000Z"), "{first:?}");
        assert!(first[3].contains("1970-08-23T11:48:22.000Z"), "{first:?}");
        for before in texts {
            for (text, first) in texts.iter().zip(&first) {
                time(before);
                assert_eq!(&time(text), first, "{text} after {before}");
            }
        }
    }

    #[test]
    fn zones() {
        let paris = r#"match => ["t", "yyyy-MM-dd HH:mm", "ISO8601"] timezone => "Europe/Paris""#;
        for (value, expected) in [
            ("2026-01-02 03:04", "2026-01-02T02:04:00.000Z"),
            ("2026-07-02 03:04", "2026-07-02T01:04:00.000Z"),
            ("2026-03-29 02:30", "2026-03-29T01:30:00.000Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ] {
            assert_eq!(time(paris, &format!("\"{value}\"")), expected, "{value}");
        }
        // The hour that the clock skips: a pattern refuses it.
        let pattern = r#"match => ["t", "yyyy-MM-dd HH:mm"] timezone => "Europe/Paris""#;
        assert_eq!(time(pattern, r#""2026-03-29 02:30""#), "-");
    }

    #[test]
    fn the_zone_of_the_event() {
        let mut date = date(
            r#"match => ["t", "ISO8601", "UNIX"] target => "t" timezone => "%{[x][area]}/%{[x][city]}""#,
        );
        let event = |t: &str, area: &str| format!(r#"{{"t":{t},"x":{{"area":"{area}","city":"Tokyo"}}}}"#);
        let run = [
            ("\"2026-07-02\"", "Asia"),
            ("\"2026-07-02\"", "Mars"),
            ("\"2026-07-02\"", "Asia"),
            ("5", "Mars"),
        ];
        let found =
            run.map(|(t, area)| date.run_json(&[&event(t, area)]).remove(0).replace(r#""city":"Tokyo""#, ""));
        assert_eq!(
            found,
            [
                r#"{"t":"2026-07-01T15:00:00.000Z","x":{"area":"Asia",}}"#,
                r#"{"t":"2026-07-02","x":{"area":"Mars",},"tags":["_dateparsefailure"]}"#,
                r#"{"t":"2026-07-01T15:00:00.000Z","x":{"area":"Asia",}}"#,
                r#"{"t":"1970-01-01T00:00:05.000Z","x":{"area":"Mars",}}"#,
            ]
        );
    }

    #[test]
    fn languages_and_precision() {
        let french = r#"match => ["t", "d MMM yyyy"] timezone => "UTC" locale => "fr""#;
        assert_eq!(time(french, r#""2 févr. 2026""#), "2026-02-02T00:00:00.000Z");
        let brazil = r#"match => ["t", "dd/MMM/yyyy"] timezone => "UTC" locale => "pt_BR""#;
        assert_eq!(time(brazil, r#""02/fev./2026""#), "2026-02-02T00:00:00.000Z");
        let nanos = r#"match => ["t", "ISO8601"] precision => ns"#;
        assert_eq!(time(nanos, r#""2026-01-02T03:04:05.123456789Z""#), "2026-01-02T03:04:05.123456789Z");
    }

    #[test]
    fn a_year_that_is_not_there() {
        // The time of the batch is January 2026.
        let guess = r#"match => ["t", "MMM dd HH:mm"] timezone => "UTC""#;
        assert_eq!(time(guess, r#""Jan 05 10:00""#), "2026-01-05T10:00:00.000Z");
        assert_eq!(time(guess, r#""Dec 31 10:00""#), "2025-12-31T10:00:00.000Z");
    }

    #[test]
    fn targets_and_tags() {
        let run = |options: &str, event: &str| date(options).run_json(&[event]).remove(0);
        let default =
            r#"match => ["[a][t]", "ISO8601"] add_field => { "y" => "%{+yyyy}" } remove_field => "a""#;
        assert_eq!(
            run(default, r#"{"a":{"t":"2020-02-03T00:00:00Z"}}"#),
            r#"{"@timestamp":"2020-02-03T00:00:00.000Z","y":"2020"}"#
        );
        let below_text = r#"match => ["t", "UNIX"] target => "[t][x]" tag_on_failure => ["a", "b"]"#;
        assert_eq!(run(below_text, r#"{"t":5,"tags":"b"}"#), r#"{"t":5,"tags":["b","a"]}"#);
        assert_eq!(run(r#"match => ["t", "UNIX"] tag_on_failure => []"#, r#"{"t":"x"}"#), r#"{"t":"x"}"#);
    }

    #[test]
    fn what_is_counted() {
        let mut date = date(r#"match => ["t", "ISO8601", "UNIX"]"#);
        date.run_json(&[r#"{"t":5}"#, r#"{"t":6}"#, r#"{"t":"x"}"#, "{}"]);
        let count = |name| date.metrics.counter(&[name]).get();
        assert_eq!((count("matches"), count("failures"), count("formats")), (2, 1, 2));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let error = refused(r#"match => ["[t", "unix", "yyyy-bb", "UNIX"] timezone => "europe/paris""#);
        for part in [
            "Invalid FieldReference: `[t`",
            "did you mean `UNIX`?",
            "Illegal pattern component: bb (at character 6",
            "The datetime zone id 'europe/paris' is not recognised, did you mean 'Europe/Paris'?",
        ] {
            assert!(error.contains(part), "{part}\n---\n{error}");
        }
        assert_eq!(error.matches("error:").count(), 4, "{error}");
        for too_short in [r#"match => ["t"]"#, "match => []", ""] {
            let error = refused(too_short);
            assert!(error.contains("a field name and at least one date format"), "{error}");
        }
        assert!(refused(r#"match => ["t", "UNIX"] timezone => "EST""#).contains("'EST' is not recognised"));
        assert!(refused(r#"match => ["t", "UNIX"] precision => us"#).contains(r#"["ms", "ns"]"#));
    }
}
