//! Conditions with their structure: what `if` tests.

use ferrostash_event::FieldRef;

pub use crate::ast::CompareOperator;
use crate::conf_value::ConfValue;
use crate::source::Span;

/// A condition.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Where it is written.
    pub span: Span,
    /// What it tests.
    pub kind: ConditionKind,
}

/// The forms of conditions. `nand` is a negated [`And`](ConditionKind::And), `!=`-like negations are [`Not`](ConditionKind::Not).
#[derive(Clone, Debug)]
pub enum ConditionKind {
    /// Both; the right one is only asked when the left one holds.
    And(Box<Condition>, Box<Condition>),
    /// Either; the right one is only asked when the left one does not hold.
    Or(Box<Condition>, Box<Condition>),
    /// `(!a and b) or (a and !b)`, both asked in that order.
    Xor(Box<Condition>, Box<Condition>),
    /// The opposite.
    Not(Box<Condition>),
    /// `if [field]`, or a constant alone.
    Truthy(Operand),
    /// `==`, `!=`, `<`, …
    Compare {
        /// Left side.
        left: Operand,
        /// The operator.
        operator: CompareOperator,
        /// Right side.
        right: Operand,
    },
    /// `item in list`
    In {
        /// What is looked for.
        item: Operand,
        /// Where it is looked for.
        list: Operand,
    },
    /// `subject =~ pattern`
    Match {
        /// What is searched.
        subject: Operand,
        /// The regular expression, without slashes or quotes. Variables are not replaced in it.
        pattern: String,
        /// Where the pattern is written, delimiters included.
        pattern_span: Span,
    },
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A field of the event.
    Field {
        /// Where it is written.
        span: Span,
        /// The field.
        field: FieldRef,
    },
    /// A constant: string, number or list.
    Constant(ConfValue),
}

impl Operand {
    /// Where it is written.
    pub fn span(&self) -> Span {
        match self {
            Operand::Field { span, .. } => *span,
            Operand::Constant(value) => value.span,
        }
    }
}
