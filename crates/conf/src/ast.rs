//! The configuration as written: what the grammar read, with the place of everything and nothing interpreted.
//!
//! Numbers are not yet numbers, quotes are still there and `and` and `or` stand in a row; [`crate::lower`] makes
//! sense of them. Every node knows its [`Span`]; its text is there.

use crate::source::Span;

/// A whole text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its sections, in order.
    pub sections: Vec<Section>,
}

/// Name of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// `input { … }`
    Input,
    /// `filter { … }`
    Filter,
    /// `output { … }`
    Output,
}

/// `input { … }`, `filter { … }` or `output { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Which of the three.
    pub kind: SectionKind,
    /// From its name to its brace.
    pub span: Span,
    /// What is in it.
    pub body: Vec<Node>,
}

/// One entry of a section or branch.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A plugin.
    Plugin(Plugin),
    /// `if … else if … else …`
    Branch(Branch),
}

/// `name { option => value … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// From its name to its brace.
    pub span: Span,
    /// The name as written; a quoted one keeps its quotes.
    pub name: Span,
    /// Its options, in order, also repeated ones.
    pub attributes: Vec<Attribute>,
}

/// `name => value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The name as written.
    pub name: Span,
    /// Whether the name is in quotes.
    pub quoted: bool,
    /// What is behind the arrow.
    pub value: Value,
}

/// A value of an option.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its whole text, quotes and brackets included.
    pub span: Span,
    /// What it is.
    pub kind: ValueKind,
}

/// The forms of values.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// `json { … }`
    Plugin(Box<Plugin>),
    /// A word without quotes.
    Bareword,
    /// `"…"` or `'…'`
    String,
    /// `-12.5`
    Number,
    /// `[ … ]`
    Array(Vec<Value>),
    /// `{ … }`
    Hash(Vec<Entry>),
}

/// `key => value` in a hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key: a number, a bareword or a string.
    pub key: Value,
    /// What is behind the arrow.
    pub value: Value,
}

/// `if` with everything that belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// From `if` to the last brace.
    pub span: Span,
    /// `if` and each `else if`, in order.
    pub arms: Vec<Arm>,
    /// What is in `else`, if there is one.
    pub otherwise: Option<Vec<Node>>,
}

/// `if condition { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// The condition.
    pub condition: Condition,
    /// What is in the braces.
    pub body: Vec<Node>,
}

/// Expressions joined by operators, in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Its whole text.
    pub span: Span,
    /// The first expression.
    pub first: Expression,
    /// The others, each with the operator before it.
    pub rest: Vec<(BooleanOperator, Span, Expression)>,
}

/// What joins two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BooleanOperator {
    /// `and`
    And,
    /// `or`
    Or,
    /// `xor`
    Xor,
    /// `nand`
    Nand,
}

/// What compares two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOperator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    LessOrEqual,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
}

/// One operand or comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// Its whole text.
    pub span: Span,
    /// What it is.
    pub kind: ExpressionKind,
}

/// The forms of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    /// `( … )`
    Group(Box<Condition>),
    /// `!( … )`
    NotGroup(Box<Condition>),
    /// `![field]`, with the place of the field.
    NotSelector(Span),
    /// `x in y`, `x not in y`
    In {
        /// Whether `not` is there.
        negated: bool,
        /// What is looked for.
        item: Operand,
        /// Where it is looked for.
        list: Operand,
    },
    /// `x == y` and its kin.
    Compare {
        /// Left side.
        left: Operand,
        /// The operator.
        operator: CompareOperator,
        /// Right side.
        right: Operand,
    },
    /// `x =~ /…/`, `x !~ "…"`
    Match {
        /// Whether it is `!~`.
        negated: bool,
        /// Left side.
        left: Operand,
        /// A string or a regular expression.
        pattern: Operand,
    },
    /// An operand alone.
    Operand(Operand),
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Its whole text.
    pub span: Span,
    /// What it is.
    pub kind: OperandKind,
}

/// The forms of operands.
#[derive(Clone, Debug, PartialEq)]
pub enum OperandKind {
    /// `"…"` or `'…'`
    String,
    /// `-12.5`
    Number,
    /// `[a][b]`
    Selector,
    /// `["a", "b"]`
    Array(Vec<Value>),
    /// `name( … )`, which nothing implements.
    Call,
    /// `/…/`
    Regexp,
}
