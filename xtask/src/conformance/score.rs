//! The committed score: per area how many cases pass, and which do not.

use super::Verdict;
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Passed cases and red names, by area.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    areas: BTreeMap<String, Area>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Area {
    total: usize,
    red: BTreeSet<String>,
}

impl Score {
    /// The score of these verdicts.
    pub(crate) fn of(verdicts: &[Verdict]) -> Score {
        let mut score = Score::default();
        for verdict in verdicts {
            let area = score.areas.entry(verdict.case.area.clone()).or_default();
            area.total += 1;
            if !verdict.passed() {
                area.red.insert(verdict.case.name.clone());
            }
        }
        score
    }

    /// Reads the committed file.
    pub(crate) fn parse(text: &str) -> Result<Score> {
        let mut score = Score::default();
        let mut area = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("  ") {
                let area: &mut Area = area
                    .as_mut()
                    .and_then(|name| score.areas.get_mut(name))
                    .context("a case without area")?;
                area.red.insert(name.to_owned());
            } else if let Some((name, counts)) = line.rsplit_once(' ').filter(|(name, _)| *name != "total") {
                let (_, total) = counts.split_once('/').with_context(|| format!("no counts in: {line}"))?;
                score.areas.insert(name.to_owned(), Area { total: total.parse()?, red: BTreeSet::new() });
                area = Some(name.to_owned());
            }
        }
        Ok(score)
    }

    /// The committed form.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        for (name, area) in &self.areas {
            let _ = writeln!(out, "{name} {}/{}", area.passed(), area.total);
            for red in &area.red {
                let _ = writeln!(out, "  {red}");
            }
        }
        let _ = writeln!(out, "total {}/{}", self.passed(), self.total());
        out
    }

    /// A line per area.
    pub(crate) fn lines(&self, with_red: bool) -> String {
        let mut out = String::new();
        for (name, area) in &self.areas {
            let _ = writeln!(out, "{name} {}/{}", area.passed(), area.total);
            for red in area.red.iter().filter(|_| with_red) {
                let _ = writeln!(out, "  {name}/{red}");
            }
        }
        out
    }

    pub(crate) fn passed(&self) -> usize {
        self.areas.values().map(Area::passed).sum()
    }

    pub(crate) fn total(&self) -> usize {
        self.areas.values().map(|area| area.total).sum()
    }

    /// Cases of `now` that fail and were not red in this score.
    pub(crate) fn lost(&self, now: &Score) -> Vec<String> {
        let mut lost = Vec::new();
        for (name, area) in &now.areas {
            let Some(before) = self.areas.get(name) else { continue };
            lost.extend(area.red.difference(&before.red).map(|case| format!("{name}/{case}")));
        }
        lost
    }
}

impl Area {
    fn passed(&self) -> usize {
        self.total - self.red.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = "filter-csv 1/2\n  quotes\nfilter-kv 3/3\ntotal 4/5\n";

    #[test]
    fn reads_what_it_writes() {
        let score = Score::parse(COMMITTED).unwrap();
        assert_eq!((score.passed(), score.total()), (4, 5));
        assert_eq!(score.render(), COMMITTED);
    }

    #[test]
    fn finds_what_passed_before() {
        let committed = Score::parse(COMMITTED).unwrap();
        let now = Score::parse("filter-csv 1/2\n  quotes\nfilter-kv 2/3\n  trim\nnew 0/1\n  x\n").unwrap();
        assert_eq!(committed.lost(&now), ["filter-kv/trim"]);
        assert!(committed.lost(&committed).is_empty());
    }
}
