//! Values: borrowed from an event ([`ValueRef`]) and owned ([`Value`]).

use crate::event::{ArrayRef, ObjectRef};
use crate::number::{Decimal, write_java_double};
use ferrostash_joda::Timestamp;

/// A value that stands by itself: for scripts, state, options and tests.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON's null.
    Null,
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// An integer beyond 64 bits, as its digits.
    BigInt(String),
    /// A double.
    Float(f64),
    /// A decimal number with all its digits, as `BigDecimal.toString` writes them.
    Decimal(String),
    /// A point in time.
    Timestamp(Timestamp),
    /// Text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Named values, in the order they were set.
    Object(Vec<(String, Value)>),
}

/// A value inside an event.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// JSON's null.
    Null,
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// An integer beyond 64 bits, as its digits.
    BigInt(&'a str),
    /// A double.
    Float(f64),
    /// A decimal number with all its digits, as `BigDecimal.toString` writes them.
    Decimal(&'a str),
    /// A point in time.
    Timestamp(Timestamp),
    /// Text.
    Str(&'a str),
    /// A list.
    Array(ArrayRef<'a>),
    /// Named values.
    Object(ObjectRef<'a>),
}

impl<'a> ValueRef<'a> {
    /// The text of a string; `None` for every other kind.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            ValueRef::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The list; `None` for every other kind.
    pub fn as_array(self) -> Option<ArrayRef<'a>> {
        match self {
            ValueRef::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The named values; `None` for every other kind.
    pub fn as_object(self) -> Option<ObjectRef<'a>> {
        match self {
            ValueRef::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Whether this is null.
    pub fn is_null(self) -> bool {
        matches!(self, ValueRef::Null)
    }

    /// An owned copy.
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(b) => Value::Bool(b),
            ValueRef::Int(i) => Value::Int(i),
            ValueRef::BigInt(text) => Value::BigInt(text.to_owned()),
            ValueRef::Float(f) => Value::Float(f),
            ValueRef::Decimal(text) => Value::Decimal(text.to_owned()),
            ValueRef::Timestamp(timestamp) => Value::Timestamp(timestamp),
            ValueRef::Str(text) => Value::String(text.to_owned()),
            ValueRef::Array(array) => Value::Array(array.iter().map(ValueRef::to_value).collect()),
            ValueRef::Object(object) => {
                Value::Object(object.iter().map(|(k, v)| (k.to_owned(), v.to_value())).collect())
            }
        }
    }

    /// Appends the text that sprintf gives: lists joined with commas, hashes as JSON, nothing for null.
    pub fn write_sprintf(self, out: &mut String) {
        match self {
            ValueRef::Null => {}
            ValueRef::Array(array) => write_joined(array, out),
            ValueRef::Object(_) => crate::json::append_value(self, out),
            _ => self.write_java(out),
        }
    }

    /// Appends Java's `toString`: `{k=v}` for a hash, `[a, b]` for a list.
    pub fn write_java(self, out: &mut String) {
        match self {
            ValueRef::Null => out.push_str("null"),
            ValueRef::Bool(b) => out.push_str(if b { "true" } else { "false" }),
            ValueRef::Int(i) => out.push_str(itoa::Buffer::new().format(i)),
            ValueRef::Float(f) => write_java_double(f, out),
            ValueRef::BigInt(text) | ValueRef::Decimal(text) | ValueRef::Str(text) => out.push_str(text),
            ValueRef::Timestamp(timestamp) => timestamp.write_iso8601(out),
            ValueRef::Array(array) => {
                out.push('[');
                array.iter().enumerate().for_each(|(i, value)| {
                    out.push_str(if i > 0 { ", " } else { "" });
                    value.write_java(out);
                });
                out.push(']');
            }
            ValueRef::Object(object) => {
                out.push('{');
                object.iter().enumerate().for_each(|(i, (key, value))| {
                    out.push_str(if i > 0 { ", " } else { "" });
                    out.push_str(key);
                    out.push('=');
                    value.write_java(out);
                });
                out.push('}');
            }
        }
    }

    /// Logstash's truth: not null, not `false`, not `""`, not the string `"false"`.
    pub fn is_truthy(self) -> bool {
        match self {
            ValueRef::Null => false,
            ValueRef::Bool(b) => b,
            ValueRef::Str(text) => !text.is_empty() && text != "false",
            _ => true,
        }
    }

    /// Equality as conditions see it: same kind and same value; integers and decimals never equal floats.
    pub fn same_as(self, other: ValueRef<'_>) -> bool {
        match (self, other) {
            (ValueRef::Null, ValueRef::Null) => true,
            (ValueRef::Bool(a), ValueRef::Bool(b)) => a == b,
            (ValueRef::Int(a), ValueRef::Int(b)) => a == b,
            (ValueRef::Float(a), ValueRef::Float(b)) => a == b,
            (ValueRef::BigInt(a), ValueRef::BigInt(b)) | (ValueRef::Str(a), ValueRef::Str(b)) => a == b,
            (ValueRef::Decimal(a), ValueRef::Decimal(b)) => a == b || Decimal::parse(a) == Decimal::parse(b),
            (ValueRef::Timestamp(a), ValueRef::Timestamp(b)) => a == b,
            (ValueRef::Array(a), ValueRef::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same_as(b))
            }
            (ValueRef::Object(a), ValueRef::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.same_as(b)))
            }
            _ => false,
        }
    }
}

/// Elements joined with commas; nested lists are flattened, null is empty, a hash is in Java's form.
fn write_joined(array: ArrayRef<'_>, out: &mut String) {
    for (i, value) in array.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match value {
            ValueRef::Null => {}
            ValueRef::Array(inner) => write_joined(inner, out),
            _ => value.write_java(out),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Value::Int(i)
    }
}

impl From<f64> for Value {
    fn from(f: f64) -> Self {
        Value::Float(f)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<Timestamp> for Value {
    fn from(timestamp: Timestamp) -> Self {
        Value::Timestamp(timestamp)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(list: Vec<T>) -> Self {
        Value::Array(list.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
