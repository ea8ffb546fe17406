//! What is known of a pattern's fields before any text is read.

use super::Step;
use crate::field::Field;
use crate::locale::TextKind;

/// The fields of a plain date and time, as bits by field, and those of a clock of twelve hours.
pub(super) const DATE: u32 = bit(Field::Year) | bit(Field::Month) | bit(Field::DayOfMonth);
const TIME: u32 = bit(Field::HourOfDay) | bit(Field::Minute) | bit(Field::Second) | bit(Field::Millis);
const TWELVE: u32 = bit(Field::Halfday) | bit(Field::ClockhourOfHalfday);
pub(super) const WEEKDAY: u32 = bit(Field::DayOfWeek);

pub(super) const fn bit(field: Field) -> u32 {
    1 << field as u8
}

/// The fields that a pattern reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// In the order in which Joda sets them, each with its place in the text.
    pub(super) order: Vec<(Field, usize)>,
    /// The same as bits.
    pub(super) seen: u32,
    /// Whether they are a plain date and time, or parts of one, where none contradicts another but for the weekday.
    pub(super) plain: bool,
}

impl Layout {
    pub(super) fn new(steps: &[Step]) -> Layout {
        let mut order: Vec<(Field, usize)> =
            steps.iter().filter_map(Step::field).enumerate().map(|(place, field)| (field, place)).collect();
        // Stable, so that of equal ones the later in the text is set later.
        order.sort_by_key(|(field, _)| field.rank());
        let seen = order.iter().fold(0, |seen, (field, _)| seen | bit(*field));
        let two_clocks = seen & TWELVE != 0 && seen & bit(Field::HourOfDay) != 0;
        let repeated = seen.count_ones() as usize != order.len();
        let plain = seen & !(DATE | TIME | TWELVE | WEEKDAY) == 0 && !two_clocks && !repeated;
        Layout { order, seen, plain }
    }

    pub(super) fn has(&self, fields: u32) -> bool {
        self.seen & fields != 0
    }
}

impl Step {
    /// The field that it reads, if it does.
    pub(super) fn field(&self) -> Option<Field> {
        match self {
            Step::Number { field, .. } | Step::TwoDigitYear { field, .. } => Some(*field),
            Step::Fraction { .. } => Some(Field::Millis),
            Step::Text { kind, .. } => Some(kind.field()),
            Step::Literal(_) | Step::Offset { .. } | Step::ZoneId | Step::ZoneName { .. } => None,
        }
    }
}

impl TextKind {
    pub(super) fn field(self) -> Field {
        match self {
            TextKind::Month => Field::Month,
            TextKind::Weekday => Field::DayOfWeek,
            TextKind::Halfday => Field::Halfday,
            TextKind::Era => Field::Era,
        }
    }

    /// The value of its first name.
    pub(super) fn first(self) -> i32 {
        i32::from(matches!(self, TextKind::Month | TextKind::Weekday))
    }
}
