//! Random expressions, and texts on which they have a chance to match.

use crate::random::Random;

const CLASS_PARTS: [&str; 24] = [
    "a",
    "b",
    "a-c",
    "1",
    "0-9",
    " ",
    "é",
    "\\w",
    "\\d",
    "\\s",
    ".",
    "-",
    "[:alpha:]",
    "\\n",
    "à-ü",
    "\\-",
    "[bc]",
    "[^a]",
    "&&[ab1]",
    "\\p{Lu}",
    "_",
    "A-Z",
    "[:^digit:]",
    "\\x41",
];
const SIGNS: [&str; 24] = [
    "*", "+", "?", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,3}", "{2,}", "{,2}", "*+", "++",
    "?+", "{1,3}?", "{2}+", "{2}?", "{3}", "{1,40}", "{2,}?", "{x}",
];

pub(crate) fn expression(random: &mut Random) -> String {
    let named = random.below(2) == 0;
    alternatives(random, 3, named)
}

fn alternatives(random: &mut Random, depth: usize, named: bool) -> String {
    let count = [1, 1, 1, 1, 1, 2, 2, 4][random.below(8)];
    (0..count).map(|_| sequence(random, depth, named)).collect::<Vec<_>>().join("|")
}

fn sequence(random: &mut Random, depth: usize, named: bool) -> String {
    let mut text = String::new();
    for _ in 0..[0, 1, 1, 1, 2, 2, 2, 2, 3, 3][random.below(10)] {
        text += &atom(random, depth, named);
        if random.below(5) < 2 {
            text += random.pick(&SIGNS);
            if random.below(12) == 0 {
                text += random.pick(&["*", "+", "?", "??", "{2}"]);
            }
        }
    }
    text
}

fn atom(random: &mut Random, depth: usize, named: bool) -> String {
    let kind = random.below(if depth == 0 { 14 } else { 24 });
    let inner = |random: &mut Random| alternatives(random, depth.saturating_sub(1), named);
    match kind {
        0..=6 => random.pick(&["a", "b", "c", "1", " ", "ab", "é", "-", "\\.", "aé"]).to_owned(),
        7 => random.pick(&[".", "[^\\n]", "[^\"]", "\\p{L}", "\\P{Lu}", "[[:space:]]", "\\n"]).to_owned(),
        8 => random.pick(&["\\w", "\\d", "\\s", "\\S", "\\W", "\\D", "\\h"]).to_owned(),
        9 | 10 => class(random),
        11 => random.pick(&["^", "$", "\\b", "\\b", "\\B", "\\A", "\\z", "\\Z", "\\G"]).to_owned(),
        12 | 13 => random.pick(&["a", "b", "[ab]", "\\d", "\\w", "."]).to_owned(),
        14..=16 => format!("(?:{})", inner(random)),
        17..=19 if named => format!("(?<n{}>{})", random.below(4), inner(random)),
        17..=19 => format!("({})", inner(random)),
        20 => format!("(?>{})", inner(random)),
        21 => format!("(?{}{})", random.pick(&["=", "!"]), inner(random)),
        22 => look_behind(random),
        _ => {
            let open = random.pick(&["(?i:", "(?-m:", "(", "(?x: ", "(?:(?i)"]);
            format!("{open}{})", inner(random))
        }
    }
}

fn class(random: &mut Random) -> String {
    let parts: String = (0..1 + random.below(3)).map(|_| random.pick(&CLASS_PARTS)).collect();
    format!("[{}{parts}]", random.pick(&["", "", "^"]))
}

fn look_behind(random: &mut Random) -> String {
    let mut alternative = || -> String {
        let parts = ["a", "b", "\\d", "[^a]", "\\w", "é", " "];
        (0..1 + random.below(2)).map(|_| random.pick(&parts)).collect()
    };
    let (one, other) = (alternative(), alternative());
    match random.below(4) {
        0 => format!("(?<={one})"),
        1 => format!("(?<!{one})"),
        2 => format!("(?<={one}|{other})"),
        _ => format!("(?<!{one}|{other})"),
    }
}

pub(crate) fn text(random: &mut Random, ascii: bool) -> String {
    let plain = ["a", "b", "c", "1", " ", "A", "B", "-", ".", "\n", "_", "a", "b", "\"", "2"];
    let wide = ["a", "b", "é", "É", "1", " ", "ü", "\n", "a", "漢", "-", "😀", "\u{a0}", "c", "ß"];
    let signs = if ascii { plain } else { wide };
    (0..random.below(14)).map(|_| random.pick(&signs)).collect()
}
