//! From checked values to Rust types.

use std::path::PathBuf;
use std::time::Duration;

use ferrostash_event::{FieldRef, Template};

use crate::bytes::Bytes;
use crate::codec_conf::CodecConf;
use crate::conf_value::{ConfKind, ConfValue, Pair};
use crate::option_kind::OptionKind;
use crate::password::Password;
use crate::source::Span;
use crate::uri::Uri;

/// Why a value that its option accepts does not fit the Rust type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertError {
    /// The place; nowhere means the whole value.
    pub span: Span,
    /// What was expected.
    pub message: String,
}

impl ConvertError {
    /// An error about one value.
    pub fn new(value: &ConfValue, message: impl Into<String>) -> ConvertError {
        ConvertError { span: value.span, message: message.into() }
    }
}

/// A type that an option can have.
pub trait FromConf: Sized {
    /// The validator that goes with it, unless the option names another one.
    const KIND: OptionKind;
    /// For lists: the validator of an element.
    const ELEMENT: OptionKind = Self::KIND;
    /// For enumerations: the values.
    const VALUES: &'static [&'static str] = &[];

    /// Takes a value that has passed its validator.
    ///
    /// # Errors
    /// The value is beyond what the type can hold.
    fn convert(value: &ConfValue) -> Result<Self, ConvertError>;

    /// What an empty list means where one value is wanted; Logstash takes it for nil.
    fn nothing() -> Option<Self> {
        None
    }
}

/// The text of a scalar.
fn text_of(value: &ConfValue) -> Result<String, ConvertError> {
    let one = match &value.kind {
        ConfKind::Array(values) => match values.as_slice() {
            [one] => one,
            _ => value,
        },
        _ => value,
    };
    one.to_text()
        .ok_or_else(|| ConvertError::new(value, format!("expected a string, got {}", value.inspect())))
}

impl FromConf for String {
    const KIND: OptionKind = OptionKind::String;
    fn convert(value: &ConfValue) -> Result<String, ConvertError> {
        text_of(value)
    }
    fn nothing() -> Option<String> {
        Some(String::new())
    }
}

impl FromConf for Template {
    const KIND: OptionKind = OptionKind::String;
    fn convert(value: &ConfValue) -> Result<Template, ConvertError> {
        text_of(value).map(|text| Template::parse(&text))
    }
    fn nothing() -> Option<Template> {
        Some(Template::parse(""))
    }
}

impl FromConf for FieldRef {
    const KIND: OptionKind = OptionKind::String;
    fn convert(value: &ConfValue) -> Result<FieldRef, ConvertError> {
        FieldRef::parse(&text_of(value)?).map_err(|error| ConvertError::new(value, error.to_string()))
    }
    fn nothing() -> Option<FieldRef> {
        FieldRef::parse("").ok()
    }
}

impl FromConf for Password {
    const KIND: OptionKind = OptionKind::Password;
    fn convert(value: &ConfValue) -> Result<Password, ConvertError> {
        value.to_text().map(Password::new).ok_or_else(|| ConvertError::new(value, "expected a password"))
    }
}

impl FromConf for Uri {
    const KIND: OptionKind = OptionKind::Uri;
    fn convert(value: &ConfValue) -> Result<Uri, ConvertError> {
        Uri::parse(&value.to_text().unwrap_or_default()).map_err(|reason| ConvertError::new(value, reason))
    }
}

impl FromConf for PathBuf {
    const KIND: OptionKind = OptionKind::Path;
    fn convert(value: &ConfValue) -> Result<PathBuf, ConvertError> {
        text_of(value).map(PathBuf::from)
    }
}

impl FromConf for Bytes {
    const KIND: OptionKind = OptionKind::Bytes;
    fn convert(value: &ConfValue) -> Result<Bytes, ConvertError> {
        Bytes::parse(&text_of(value)?).ok_or_else(|| ConvertError::new(value, "expected a size of 0 or more"))
    }
}

impl FromConf for Duration {
    const KIND: OptionKind = OptionKind::FriendlyDuration;
    fn convert(value: &ConfValue) -> Result<Duration, ConvertError> {
        let seconds = f64::convert(value)?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| ConvertError::new(value, "expected a duration of 0 or more"))
    }
}

impl FromConf for bool {
    const KIND: OptionKind = OptionKind::Boolean;
    fn convert(value: &ConfValue) -> Result<bool, ConvertError> {
        match &value.kind {
            ConfKind::Bool(value) => Ok(*value),
            _ => Err(ConvertError::new(value, "expected true or false")),
        }
    }
}

impl FromConf for f64 {
    const KIND: OptionKind = OptionKind::Number;
    fn convert(value: &ConfValue) -> Result<f64, ConvertError> {
        match &value.kind {
            ConfKind::Int(number) => Ok(*number as f64),
            ConfKind::Float(number) => Ok(*number),
            ConfKind::BigInt(text) => text.parse().map_err(|_| ConvertError::new(value, "expected a number")),
            _ => Err(ConvertError::new(value, "expected a number")),
        }
    }
}

/// Whole numbers: a decimal without fraction counts, and what is out of range is said.
macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl FromConf for $type {
            const KIND: OptionKind = OptionKind::Number;
            fn convert(value: &ConfValue) -> Result<$type, ConvertError> {
                let number = match &value.kind {
                    ConfKind::Int(number) => Some(i128::from(*number)),
                    ConfKind::BigInt(text) => text.parse().ok(),
                    ConfKind::Float(number) if number.fract() == 0.0 && number.abs() < 1e18 => Some(*number as i128),
                    _ => return Err(ConvertError::new(value, "expected a whole number")),
                };
                number.and_then(|number| <$type>::try_from(number).ok()).ok_or_else(|| {
                    ConvertError::new(value, format!("expected a number from {} to {}", <$type>::MIN, <$type>::MAX))
                })
            }
        }
    )*};
}
whole_number!(i32, i64, u8, u16, u32, u64, usize);

impl FromConf for ConfValue {
    const KIND: OptionKind = OptionKind::Any;
    fn convert(value: &ConfValue) -> Result<ConfValue, ConvertError> {
        Ok(value.clone())
    }
}

impl FromConf for CodecConf {
    const KIND: OptionKind = OptionKind::Codec;
    fn convert(value: &ConfValue) -> Result<CodecConf, ConvertError> {
        CodecConf::from_value(value).ok_or_else(|| ConvertError::new(value, "expected a codec"))
    }
}

/// For options that are declared only to be refused: obsolete or not supported.
impl FromConf for () {
    const KIND: OptionKind = OptionKind::Any;
    fn convert(_: &ConfValue) -> Result<(), ConvertError> {
        Ok(())
    }
    fn nothing() -> Option<()> {
        Some(())
    }
}

impl<T: FromConf> FromConf for Vec<T> {
    const KIND: OptionKind = OptionKind::Array;
    const ELEMENT: OptionKind = T::KIND;
    const VALUES: &'static [&'static str] = T::VALUES;
    fn convert(value: &ConfValue) -> Result<Vec<T>, ConvertError> {
        let list: Result<Vec<T>, ConvertError> = value.clone().into_list().iter().map(T::convert).collect();
        match (&value.kind, list) {
            // Logstash starts with a hash in place of a list, too; the reader warns about it.
            (ConfKind::Hash(_), Err(_)) => Ok(Vec::new()),
            (_, list) => list,
        }
    }
    fn nothing() -> Option<Vec<T>> {
        Some(Vec::new())
    }
}

/// A hash whose keys and values have types of their own, in the order that Logstash works in.
impl<K: FromConf, V: FromConf> FromConf for Vec<(K, V)> {
    const KIND: OptionKind = OptionKind::Hash;
    fn convert(value: &ConfValue) -> Result<Vec<(K, V)>, ConvertError> {
        let ConfKind::Hash(pairs) = &value.kind else {
            return Err(ConvertError::new(value, format!("expected a hash, got {}", value.inspect())));
        };
        let pair = |pair: &Pair| {
            let key = ConfValue::new(pair.key_span, ConfKind::Text(pair.key.clone()));
            Ok((K::convert(&key)?, V::convert(&pair.value)?))
        };
        pairs.iter().map(pair).collect()
    }
    fn nothing() -> Option<Vec<(K, V)>> {
        Some(Vec::new())
    }
}

/// A value with its place, for options whose meaning is checked later.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it is written; nowhere for a default.
    pub span: Span,
}

impl<T: FromConf> FromConf for Spanned<T> {
    const KIND: OptionKind = T::KIND;
    const ELEMENT: OptionKind = T::ELEMENT;
    const VALUES: &'static [&'static str] = T::VALUES;
    fn convert(value: &ConfValue) -> Result<Spanned<T>, ConvertError> {
        T::convert(value).map(|inner| Spanned { value: inner, span: value.span })
    }
    fn nothing() -> Option<Spanned<T>> {
        T::nothing().map(|value| Spanned { value, span: Span::nowhere() })
    }
}

/// An enumeration of words; written by `#[derive(OptionEnum)]`.
pub trait OptionEnum: Sized {
    /// The words, in order.
    const NAMES: &'static [&'static str];

    /// The variant with this name.
    fn from_name(name: &str) -> Option<Self>;

    /// The name of a variant.
    fn name(&self) -> &'static str;
}
