//! The tests a condition is made of.

use super::Unanswered;
use super::compare::{equal, equal_fields, order};
use ahash::AHashSet;
use ferrostash_conf::CompareOperator;
use ferrostash_event::number::{Decimal, write_ruby_float};
use ferrostash_event::{Event, FieldRef, ValueRef};
use ferrostash_grok::Regex;
use std::cmp::Ordering;

/// From this length on a list of texts is looked up instead of searched.
const LIST_HASHED_FROM: usize = 12;

/// One node of a compiled condition.
#[derive(Debug)]
pub(super) enum Test {
    Constant(bool),
    And(Box<(Test, Test)>),
    Or(Box<(Test, Test)>),
    Xor(Box<(Test, Test)>),
    Not(Box<Test>),
    Truthy(FieldRef),
    Equal(FieldRef, Constant),
    EqualFields(FieldRef, FieldRef),
    Order(FieldRef, Order, Constant),
    OrderFields(FieldRef, Order, FieldRef),
    /// `[f] in "text"`
    FieldInText(FieldRef, Box<str>),
    /// `"text" in [f]`
    TextInField(Box<str>, FieldRef),
    /// `5 in [f]`
    NumberInField(Constant, FieldRef),
    /// `[f] in ["a", "b"]`
    FieldInList(FieldRef, Texts),
    /// `[a] in [b]`
    FieldInField(FieldRef, FieldRef),
    Match(FieldRef, Regex),
}

/// A scalar of the configuration.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Text(Box<str>),
    Int(i64),
    BigInt(Box<str>),
    Float(f64),
}

/// Which orders satisfy an operator.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A list of texts, in the form that suits its length.
#[derive(Debug)]
pub(super) enum Texts {
    Few(Box<[Box<str>]>),
    Many(AHashSet<Box<str>>),
}

impl Test {
    pub(super) fn ask(&self, event: &Event, scratch: &mut String) -> Result<bool, Unanswered> {
        Ok(match self {
            Test::Constant(answer) => *answer,
            Test::And(sides) => sides.0.ask(event, scratch)? && sides.1.ask(event, scratch)?,
            Test::Or(sides) => sides.0.ask(event, scratch)? || sides.1.ask(event, scratch)?,
            Test::Xor(sides) => sides.0.ask(event, scratch)? != sides.1.ask(event, scratch)?,
            Test::Not(test) => !test.ask(event, scratch)?,
            Test::Truthy(field) => event.get(field).is_some_and(ValueRef::is_truthy),
            Test::Equal(field, constant) => {
                event.get(field).is_some_and(|value| equal(value, constant.value()))
            }
            Test::EqualFields(left, right) => equal_fields(event.get(left), event.get(right)),
            Test::Order(field, wanted, constant) => {
                wanted.accepts(order(event.get(field), Some(constant.value()))?)
            }
            Test::OrderFields(left, wanted, right) => {
                wanted.accepts(order(event.get(left), event.get(right))?)
            }
            Test::FieldInText(field, text) => event.get_str(field).is_some_and(|part| contains(text, part)),
            Test::TextInField(part, field) => match event.get(field) {
                Some(ValueRef::Str(text)) => contains(text, part),
                Some(ValueRef::Array(list)) => list.iter().any(|item| item.as_str() == Some(part)),
                _ => false,
            },
            Test::NumberInField(number, field) => match event.get(field) {
                Some(ValueRef::Array(list)) => list.iter().any(|item| equal(number.value(), item)),
                _ => false,
            },
            Test::FieldInList(field, texts) => {
                event.get(field).is_some_and(|value| texts.contain(value, scratch))
            }
            Test::FieldInField(item, list) => field_in_field(event.get(item), event.get(list)),
            Test::Match(field, regex) => match event.get_str(field) {
                Some(text) => regex.is_match(text)?,
                None => false,
            },
        })
    }
}

/// A missing field is in nothing; Logstash stops there when the list is not empty.
fn field_in_field(item: Option<ValueRef<'_>>, list: Option<ValueRef<'_>>) -> bool {
    match (item, list) {
        (None, _) | (_, None) | (Some(ValueRef::Array(_) | ValueRef::Object(_)), _) => false,
        (Some(ValueRef::Str(part)), Some(ValueRef::Str(text))) => contains(text, part),
        (Some(item), Some(ValueRef::Array(list))) => list.iter().any(|member| equal(item, member)),
        (Some(item), Some(other)) => equal(item, other),
    }
}

fn contains(text: &str, part: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some()
}

impl Constant {
    pub(super) fn value(&self) -> ValueRef<'_> {
        match self {
            Constant::Text(text) => ValueRef::Str(text),
            Constant::Int(i) => ValueRef::Int(*i),
            Constant::BigInt(text) => ValueRef::BigInt(text),
            Constant::Float(f) => ValueRef::Float(*f),
        }
    }

    /// The text that stands for it in a list.
    pub(super) fn text(&self) -> Box<str> {
        let mut scratch = String::new();
        text_of(self.value(), &mut scratch).unwrap_or_default().into()
    }

    /// The name of the Java class that Logstash keeps it in.
    pub(super) fn java_class(&self) -> &'static str {
        match self {
            Constant::Text(_) => "java.lang.String",
            Constant::Int(_) => "java.lang.Long",
            Constant::BigInt(_) => "java.math.BigInteger",
            Constant::Float(_) => "java.lang.Double",
        }
    }
}

/// The text by which a value is looked for in a list of constants; `None` for what is in none.
fn text_of<'a>(value: ValueRef<'a>, scratch: &'a mut String) -> Option<&'a str> {
    scratch.clear();
    match value {
        // A list's own text is that of a Java object, which nobody writes into a configuration.
        ValueRef::Null | ValueRef::Array(_) => return None,
        ValueRef::Str(text) => return Some(text),
        ValueRef::Float(f) => write_ruby_float(f, scratch),
        ValueRef::Decimal(text) => scratch.push_str(&Decimal::parse(text)?.to_ruby()),
        _ => value.write_java(scratch),
    }
    Some(scratch)
}

impl Order {
    /// The order that `operator` asks for; `None` for (in)equality.
    pub(super) fn of(operator: CompareOperator) -> Option<Order> {
        match operator {
            CompareOperator::Less => Some(Order::Less),
            CompareOperator::LessOrEqual => Some(Order::LessOrEqual),
            CompareOperator::Greater => Some(Order::Greater),
            CompareOperator::GreaterOrEqual => Some(Order::GreaterOrEqual),
            CompareOperator::Equal | CompareOperator::NotEqual => None,
        }
    }

    /// With the sides exchanged.
    pub(super) fn swapped(self) -> Order {
        match self {
            Order::Less => Order::Greater,
            Order::LessOrEqual => Order::GreaterOrEqual,
            Order::Greater => Order::Less,
            Order::GreaterOrEqual => Order::LessOrEqual,
        }
    }

    pub(super) fn accepts(self, order: Ordering) -> bool {
        match self {
            Order::Less => order.is_lt(),
            Order::LessOrEqual => order.is_le(),
            Order::Greater => order.is_gt(),
            Order::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Texts {
    pub(super) fn new(texts: Vec<Box<str>>) -> Texts {
        if texts.len() < LIST_HASHED_FROM {
            Texts::Few(texts.into())
        } else {
            Texts::Many(texts.into_iter().collect())
        }
    }

    fn contain(&self, value: ValueRef<'_>, scratch: &mut String) -> bool {
        let Some(text) = text_of(value, scratch) else { return false };
        match self {
            Texts::Few(texts) => texts.iter().any(|known| &**known == text),
            Texts::Many(texts) => texts.contains(text),
        }
    }
}
