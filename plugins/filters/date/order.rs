//! In which order formats are tried.

use ferrostash_joda::DateParser;

/// For each format, the order in which all are tried when it read the last text: itself first, as far as the result
/// can't depend on it.
///
/// An earlier format that may read the same texts must come before it, and before that one those earlier still that
/// may read the same texts as it.
pub(super) fn orders(parsers: &[DateParser]) -> Vec<Vec<usize>> {
    let excludes = |a: usize, b: usize| match (parsers.get(a), parsers.get(b)) {
        (Some(a), Some(b)) => a.excludes(b),
        _ => true,
    };
    let order = |last: usize| {
        let mut first = vec![last];
        for earlier in (0..last).rev() {
            if first.iter().any(|later| !excludes(earlier, *later)) {
                first.push(earlier);
            }
        }
        first.reverse();
        let rest: Vec<usize> = (0..parsers.len()).filter(|at| !first.contains(at)).collect();
        [first, rest].concat()
    };
    (0..parsers.len()).map(order).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_joda::{Locale, Precision};

    #[test]
    fn the_last_one_comes_first_unless_an_earlier_one_may_read_its_texts() {
        let formats = [
            "dd/MMM/yyyy:HH:mm:ss Z",
            "ISO8601",
            "UNIX",
            "yyyy-MM-dd HH:mm:ss",
            "UNIX_MS",
            "yyyyMMdd",
            "MMM d",
        ];
        let parser = |format| DateParser::new(format, Locale::en_us(), Precision::default()).unwrap();
        assert_eq!(
            orders(&formats.map(parser)),
            [
                [0, 1, 2, 3, 4, 5, 6],
                [1, 0, 2, 3, 4, 5, 6],
                [2, 0, 1, 3, 4, 5, 6],
                [1, 3, 0, 2, 4, 5, 6],
                [2, 4, 0, 1, 3, 5, 6],
                [2, 4, 5, 0, 1, 3, 6],
                [6, 0, 1, 2, 3, 4, 5],
            ]
        );
    }
}
