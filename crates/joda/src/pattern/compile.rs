//! From the text of a pattern to its steps.

use super::{FIELDS_MAX, Step};
use crate::error::PatternError;
use crate::field::Field;
use crate::locale::TextKind;

/// The most digits of a year when no other number follows it.
const YEAR_DIGITS: usize = 9;
/// The longest fraction that Joda keeps.
const FRACTION_DIGITS: usize = 18;
/// The largest width of a number: Joda's widths are beyond use there, and ours are bytes.
const WIDTH_MAX: usize = u8::MAX as usize;

/// A run of one letter, or text between such runs.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Letters { letter: char, count: usize, at: usize },
    Text(String),
}

pub(super) fn compile(pattern: &str) -> Result<Vec<Step>, PatternError> {
    if pattern.is_empty() {
        return Err(PatternError::at(pattern, 0, "Invalid pattern specification"));
    }
    let tokens = tokens(pattern);
    let mut steps = Vec::with_capacity(tokens.len());
    let mut fields = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Text(text) if text.is_empty() => {}
            Token::Text(text) => steps.push(Step::Literal(text.as_str().into())),
            Token::Letters { letter, count, at } => {
                fields += 1;
                if fields > FIELDS_MAX {
                    return Err(PatternError::at(
                        pattern,
                        *at,
                        format!("More than {FIELDS_MAX} fields in a pattern"),
                    ));
                }
                let number_next = tokens.get(index + 1).is_some_and(Token::is_number);
                let step = (*count <= WIDTH_MAX).then(|| step(*letter, *count, number_next)).flatten();
                steps.push(step.ok_or_else(|| illegal(pattern, *letter, *count, *at))?);
            }
        }
    }
    Ok(steps)
}

fn illegal(pattern: &str, letter: char, count: usize, at: usize) -> PatternError {
    let component: String = std::iter::repeat_n(letter, count.min(20)).collect();
    PatternError::at(pattern, at, format!("Illegal pattern component: {component}"))
}

fn step(letter: char, count: usize, number_next: bool) -> Option<Step> {
    let text = |kind, short| Step::Text { kind, short };
    Some(match letter {
        'G' => text(TextKind::Era, true),
        'C' => number(Field::CenturyOfEra, count, count, true),
        'x' | 'y' | 'Y' => year(letter, count, number_next),
        'M' if count >= 3 => text(TextKind::Month, count == 3),
        'M' => number(Field::Month, count, 2, false),
        'd' => number(Field::DayOfMonth, count, 2, false),
        'D' => number(Field::DayOfYear, count, 3, false),
        'w' => number(Field::Week, count, 2, false),
        'e' => number(Field::DayOfWeek, count, 1, false),
        'E' => text(TextKind::Weekday, count < 4),
        'a' => text(TextKind::Halfday, true),
        'h' => number(Field::ClockhourOfHalfday, count, 2, false),
        'H' => number(Field::HourOfDay, count, 2, false),
        'k' => number(Field::ClockhourOfDay, count, 2, false),
        'K' => number(Field::HourOfHalfday, count, 2, false),
        'm' => number(Field::Minute, count, 2, false),
        's' => number(Field::Second, count, 2, false),
        'S' => Step::Fraction { digits: count.min(FRACTION_DIGITS) as u8 },
        'z' => Step::ZoneName { long: count >= 4 },
        'Z' if count >= 3 => Step::ZoneId,
        'Z' => Step::Offset { colon: count == 2 },
        _ => return None,
    })
}

fn number(field: Field, min: usize, max: usize, signed: bool) -> Step {
    Step::Number { field, min: min as u8, max: max.max(min) as u8, signed }
}

fn year(letter: char, count: usize, number_next: bool) -> Step {
    let field = match letter {
        'x' => Field::Weekyear,
        'Y' if count != 2 => Field::YearOfEra,
        _ => Field::Year,
    };
    if count == 2 {
        return Step::TwoDigitYear { field, lenient: !number_next };
    }
    number(field, count, if number_next { count } else { YEAR_DIGITS }, field != Field::YearOfEra)
}

impl Token {
    /// Whether Joda takes it for a number that leaves no room for a longer year before it.
    fn is_number(&self) -> bool {
        match self {
            Token::Letters { letter: 'M', count, .. } => *count <= 2,
            Token::Letters { letter, .. } => "cCxyYdhHmsSeDFwWkK".contains(*letter),
            Token::Text(_) => false,
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, first)) = chars.peek().copied() {
        if first.is_ascii_alphabetic() {
            let mut count = 0;
            while chars.next_if(|(_, c)| *c == first).is_some() {
                count += 1;
            }
            tokens.push(Token::Letters { letter: first, count, at });
        } else {
            tokens.push(Token::Text(text(&mut chars)));
        }
    }
    tokens
}

/// Text up to the next letter outside quotes. A quote that is never closed ends with the pattern.
fn text(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> String {
    let mut text = String::new();
    let mut quoted = false;
    while let Some((_, c)) = chars.next_if(|(_, c)| quoted || !c.is_ascii_alphabetic()) {
        if c != '\'' {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            text.push('\'');
        } else {
            quoted = !quoted;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        let literal = |pattern| match compile(pattern).unwrap().as_slice() {
            [Step::Literal(text)] => text.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(literal("'it''s'"), "it's");
        assert_eq!(literal("''"), "'");
        assert_eq!(literal("'abc"), "abc");
        assert_eq!(literal("- '年' -"), "- 年 -");
        assert_eq!(compile("yyyy'").unwrap().len(), 1);
    }

    #[test]
    fn numbers_side_by_side_have_fixed_widths() {
        let steps = compile("yyyyMMdd").unwrap();
        assert_eq!(steps.first(), Some(&number(Field::Year, 4, 4, true)));
        let steps = compile("yyyy-MM").unwrap();
        assert_eq!(steps.first(), Some(&number(Field::Year, 4, 9, true)));
        assert_eq!(
            compile("yyMM").unwrap().first(),
            Some(&Step::TwoDigitYear { field: Field::Year, lenient: false })
        );
        assert_eq!(
            compile("yyMMM").unwrap().first(),
            Some(&Step::TwoDigitYear { field: Field::Year, lenient: true })
        );
    }

    #[test]
    fn errors_say_what_and_where() {
        let error = |pattern: &str| compile(pattern).unwrap_err().to_string();
        assert_eq!(
            error("yyyy-MM-dd b"),
            "Illegal pattern component: b (at character 12 of \"yyyy-MM-dd b\")"
        );
        assert_eq!(error("'é'unix"), "Illegal pattern component: u (at character 4 of \"'é'unix\")");
        assert_eq!(error(""), "Invalid pattern specification (at character 1 of \"\")");
        assert!(error(&"y-".repeat(33)).starts_with("More than 32 fields"));
        assert!(error(&"y".repeat(300)).starts_with("Illegal pattern component: yyyyyyyyyyyyyyyyyyyy "));
    }
}
