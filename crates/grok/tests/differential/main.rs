//! Both engines find the same matches with the same groups: on log lines with every shipped definition, and on random
//! texts with random expressions. All is generated from fixed seeds.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests may fail loudly")]

mod expressions;
mod lines;
mod random;

use std::time::{Duration, Instant};

use ferrostash_grok::{Captures, Engine, Grok, MatchError, Matcher, OnigurumaMatcher, PatternLibrary, Regex};
use random::Random;

/// After it a search is given up; what is then compared is nothing.
const TIMEOUT: Duration = Duration::from_millis(100);

type Groups = Option<Vec<Option<(usize, usize)>>>;

fn groups(found: Result<bool, MatchError>, captures: &Captures) -> Option<Groups> {
    let list = || (0..captures.len()).map(|group| captures.get(group).map(|range| (range.start, range.end)));
    found.ok().map(|found| found.then(|| list().collect()))
}

/// Compares the engines on one text; true when it matched.
fn compare(regex: &Regex, exact: &OnigurumaMatcher, text: &str, start: usize) -> bool {
    let mut captures = Captures::new();
    let own = groups(regex.captures_at(text, start, &mut captures), &captures);
    let other = groups(exact.captures_at(text, start, Some(TIMEOUT), &mut captures), &captures);
    let (Some(own), Some(other)) = (own, other) else { return false };
    assert_eq!(own, other, "/{}/ on {text:?} at {start}", regex.as_str());
    let whole = regex.find_at(text, start).unwrap().map(|range| (range.start, range.end));
    assert_eq!(whole, own.as_ref().and_then(|groups| groups[0]), "/{}/ on {text:?}", regex.as_str());
    own.is_some()
}

fn check_library(library: &PatternLibrary) {
    let lines = lines::generate(&mut Random::new(7), 150);
    let mut matches = 0;
    for name in library.names() {
        let grok = Grok::compile(library, &format!("%{{{name}:field}}"), true).unwrap();
        assert!(matches!(grok.regex().engine(), Engine::Own | Engine::Literal), "{name}");
        let regex = grok.regex().clone().with_timeout(Some(TIMEOUT));
        let exact = OnigurumaMatcher::new(regex.as_str(), true).unwrap();
        matches += lines.iter().filter(|line| compare(&regex, &exact, line, 0)).count();
    }
    assert!(matches > lines.len() * 20, "{matches}");
}

#[test]
fn every_legacy_definition_on_log_lines() {
    check_library(&PatternLibrary::legacy());
}

#[test]
fn every_ecs_definition_on_log_lines() {
    check_library(&PatternLibrary::ecs_v1());
}

#[test]
fn random_expressions_on_random_texts() {
    let mut random = Random::new(20);
    let (mut own, mut matches) = (0, 0);
    for _ in 0..20_000 {
        let pattern = expressions::expression(&mut random);
        let dot_all = random.below(2) == 0;
        let compiled = if dot_all { Regex::new_dot_all(&pattern) } else { Regex::new(&pattern) };
        let Some(regex) = compiled.ok().filter(|regex| regex.engine() == Engine::Own) else { continue };
        own += 1;
        let regex = regex.with_timeout(Some(TIMEOUT));
        let exact = OnigurumaMatcher::new(&pattern, dot_all).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(regex.group_count(), exact.group_count(), "{pattern}");
        for round in 0..5 {
            let text = expressions::text(&mut random, round % 2 == 0);
            let start = if random.below(4) == 0 { random.below(text.len() + 2) } else { 0 };
            matches += usize::from(compare(&regex, &exact, &text, start));
        }
    }
    assert!(own > 8_000 && matches > own, "{own} {matches}");
}

#[test]
fn exponential_expressions_end_in_time() {
    let subject = "x".repeat(60);
    for pattern in ["^(?:x+x+)+y", "(?:x|xx|x)+[yz]", "((x*)*)*[yz]", "(?:(?:x{1,30}){1,30}){1,30}[yz]"] {
        let regex = Regex::new(pattern).unwrap().with_timeout(Some(Duration::from_millis(30)));
        assert_eq!(regex.engine(), Engine::Own, "{pattern}");
        let begun = Instant::now();
        // A text that is missing may be noticed sooner.
        assert!(matches!(regex.is_match(&subject), Err(MatchError::Timeout) | Ok(false)), "{pattern}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{pattern}");
    }
    let regex = Regex::new("(?:x|xx|x)+[yz]").unwrap().with_timeout(Some(Duration::ZERO));
    assert_eq!(regex.is_match(&subject), Err(MatchError::Timeout));
}
