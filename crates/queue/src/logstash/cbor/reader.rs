//! Reading.

use super::amount::decimal_digits;
use super::{
    BREAK, BYTES, CBOR_DEPTH_MAX, CborError, INDEFINITE, Item, LIST, MAP, NEGATIVE, Result, SIMPLE, TAG,
    TAG_BIG_NEGATIVE, TAG_BIG_POSITIVE, TAG_DECIMAL, TAG_NAMESPACE, TAG_REFERENCE, TEXT, UNSIGNED,
    is_numbered,
};
use std::borrow::Cow;

/// Longest integer, in bytes: as many digits as a number of an event may have.
const BIG_NUMBER_BYTES_MAX: u64 = 1024;

/// Reads one value.
pub(in crate::logstash) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    /// Whether strings are numbered: within tag 256.
    strings: Option<Vec<Cow<'a, str>>>,
}

/// A value of which the end was not seen yet.
struct Open<'a> {
    at: usize,
    kind: OpenKind<'a>,
    /// Items that belong into it still; `None` up to a break.
    left: Option<u64>,
    /// The name of the next value of a map.
    key: Option<Cow<'a, str>>,
    /// The numbered strings around it.
    outer_strings: Option<Vec<Cow<'a, str>>>,
}

enum OpenKind<'a> {
    List(Vec<Item<'a>>),
    Map(Vec<(Cow<'a, str>, Item<'a>)>),
    Namespace(Option<Item<'a>>),
    Decimal(Option<Item<'a>>),
}

impl<'a> Open<'a> {
    fn take(&mut self, item: Item<'a>) -> Result<()> {
        match &mut self.kind {
            OpenKind::List(list) => list.push(item),
            OpenKind::Map(map) => match (self.key.take(), item) {
                (Some(key), item) => map.push((key, item)),
                (None, Item::Text(key)) => self.key = Some(key),
                (None, other) => return Err(CborError::Shape(format!("a name of a map is {other:?}"))),
            },
            OpenKind::Namespace(inner) | OpenKind::Decimal(inner) => *inner = Some(item),
        }
        Ok(())
    }
}

impl<'a> Reader<'a> {
    /// Reads `data` as a whole.
    pub(in crate::logstash) fn read(data: &'a [u8]) -> Result<Item<'a>> {
        let mut reader = Reader { data, at: 0, strings: None };
        let item = reader.item()?;
        match reader.at == data.len() {
            true => Ok(item),
            false => Err(CborError::Long(reader.at)),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or(CborError::Short(self.at))?;
        let taken = self.data.get(self.at..end).ok_or(CborError::Short(self.data.len()))?;
        self.at = end;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| CborError::Short(at))
    }

    /// The next head: its major type, the lower bits and the argument that these stand for.
    fn head(&mut self) -> Result<(u8, u8, u64)> {
        let at = self.at;
        let [first] = self.fixed::<1>()?;
        let (major, info) = (first >> 5, first & 31);
        let argument = match info {
            0..24 => u64::from(info),
            24 => u64::from(u8::from_be_bytes(self.fixed()?)),
            25 => u64::from(u16::from_be_bytes(self.fixed()?)),
            26 => u64::from(u32::from_be_bytes(self.fixed()?)),
            27 => u64::from_be_bytes(self.fixed()?),
            INDEFINITE => 0,
            _ => return Err(CborError::Unknown { at, head: first }),
        };
        Ok((major, info, argument))
    }

    fn is_at_break(&mut self) -> Result<bool> {
        let next = *self.data.get(self.at).ok_or(CborError::Short(self.at))?;
        self.at += usize::from(next == BREAK);
        Ok(next == BREAK)
    }

    /// The next value with all that lies in it. Nested values wait in a list, not on the stack.
    fn item(&mut self) -> Result<Item<'a>> {
        let mut open: Vec<Open<'a>> = Vec::new();
        loop {
            let mut item = match self.begin(&mut open)? {
                Some(item) => item,
                None => {
                    if open.len() > CBOR_DEPTH_MAX {
                        return Err(CborError::Deep);
                    }
                    match self.close(&mut open)? {
                        Some(item) => item,
                        None => continue,
                    }
                }
            };
            // A value that is complete may complete what it lies in.
            loop {
                let Some(outer) = open.last_mut() else { return Ok(item) };
                outer.take(item)?;
                match self.close(&mut open)? {
                    Some(outer) => item = outer,
                    None => break,
                }
            }
        }
    }

    /// Takes the innermost open value, if nothing more belongs into it.
    fn close(&mut self, open: &mut Vec<Open<'a>>) -> Result<Option<Item<'a>>> {
        let Some(innermost) = open.last_mut() else { return Ok(None) };
        let is_complete = match &mut innermost.left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => {
                let at = self.at;
                let ends = self.is_at_break()?;
                if ends && innermost.key.is_some() {
                    return Err(CborError::Unknown { at, head: BREAK });
                }
                ends
            }
        };
        if !is_complete {
            return Ok(None);
        }
        let Some(complete) = open.pop() else { return Ok(None) };
        self.complete(complete).map(Some)
    }

    fn complete(&mut self, Open { at, kind, outer_strings, .. }: Open<'a>) -> Result<Item<'a>> {
        Ok(match kind {
            OpenKind::List(list) => Item::List(list),
            OpenKind::Map(map) => Item::Map(map),
            OpenKind::Namespace(item) => {
                self.strings = outer_strings;
                item.ok_or(CborError::Short(at))?
            }
            OpenKind::Decimal(Some(Item::List(parts))) => match parts.as_slice() {
                [Item::Int(exponent), Item::Int(digits)] => Item::Decimal(digits.to_string(), *exponent),
                [Item::Int(exponent), Item::BigInt(digits)] => Item::Decimal(digits.clone(), *exponent),
                _ => return Err(CborError::Number(at)),
            },
            OpenKind::Decimal(_) => return Err(CborError::Number(at)),
        })
    }

    /// Reads a value that has nothing in it, or opens one that has.
    fn begin(&mut self, open: &mut Vec<Open<'a>>) -> Result<Option<Item<'a>>> {
        let at = self.at;
        let (major, info, argument) = self.head()?;
        let unknown = || CborError::Unknown { at, head: major << 5 | info };
        let mut begin = |kind, left, outer_strings| {
            open.push(Open { at, kind, left, key: None, outer_strings });
            Ok(None)
        };
        let left = (info != INDEFINITE).then_some(argument);
        let item = match (major, info) {
            (UNSIGNED, ..INDEFINITE) => match i64::try_from(argument) {
                Ok(int) => Item::Int(int),
                Err(_) => Item::BigInt(argument.to_string()),
            },
            (NEGATIVE, ..INDEFINITE) => match i64::try_from(argument) {
                Ok(int) => Item::Int(-1 - int),
                Err(_) => Item::BigInt((-1 - i128::from(argument)).to_string()),
            },
            (TEXT, _) => Item::Text(self.text(info, argument)?),
            (LIST, _) => return begin(OpenKind::List(Vec::new()), left, None),
            // A name and a value each.
            (MAP, _) => {
                let left = left.map(|left| left.checked_mul(2).ok_or(CborError::Short(at))).transpose()?;
                return begin(OpenKind::Map(Vec::new()), left, None);
            }
            (TAG, ..INDEFINITE) => match argument {
                TAG_NAMESPACE => {
                    let outer = self.strings.replace(Vec::new());
                    return begin(OpenKind::Namespace(None), Some(1), outer);
                }
                TAG_DECIMAL => return begin(OpenKind::Decimal(None), Some(1), None),
                TAG_REFERENCE => self.reference(at)?,
                TAG_BIG_POSITIVE | TAG_BIG_NEGATIVE => self.big_int(argument == TAG_BIG_NEGATIVE)?,
                _ => {
                    let reason = format!("the tag {argument} at byte {at} is not one of Logstash's");
                    return Err(CborError::Shape(reason));
                }
            },
            (SIMPLE, 20 | 21) => Item::Bool(info == 21),
            (SIMPLE, 22 | 23) => Item::Null,
            (SIMPLE, 25) => Item::Float(half(u16::try_from(argument).map_err(|_| unknown())?)),
            (SIMPLE, 26) => {
                let bits = u32::try_from(argument).map_err(|_| unknown())?;
                Item::Float(f64::from(f32::from_bits(bits)))
            }
            (SIMPLE, 27) => Item::Float(f64::from_bits(argument)),
            _ => return Err(unknown()),
        };
        Ok(Some(item))
    }

    fn text(&mut self, info: u8, argument: u64) -> Result<Cow<'a, str>> {
        let at = self.at;
        if info == INDEFINITE {
            let mut text = String::new();
            while !self.is_at_break()? {
                match self.head()? {
                    (TEXT, ..INDEFINITE, len) => text.push_str(self.utf8(len)?),
                    _ => {
                        return Err(CborError::Shape(format!("a piece of the text at byte {at} is no text")));
                    }
                }
            }
            return Ok(text.into());
        }
        let text = Cow::Borrowed(self.utf8(argument)?);
        if let Some(strings) = &mut self.strings
            && is_numbered(strings.len(), text.len())
        {
            strings.push(text.clone());
        }
        Ok(text)
    }

    fn utf8(&mut self, len: u64) -> Result<&'a str> {
        let at = self.at;
        let len = usize::try_from(len).map_err(|_| CborError::Short(at))?;
        std::str::from_utf8(self.take(len)?).map_err(|_| CborError::NotUtf8(at))
    }

    fn reference(&mut self, at: usize) -> Result<Item<'a>> {
        let (major, info, index) = self.head()?;
        let strings = self.strings.as_deref().unwrap_or_default();
        let lost = CborError::Reference { at, index, known: strings.len() };
        if major != UNSIGNED || info == INDEFINITE {
            return Err(lost);
        }
        let string = usize::try_from(index).ok().and_then(|index| strings.get(index));
        string.map(|string| Item::Text(string.clone())).ok_or(lost)
    }

    fn big_int(&mut self, is_negative: bool) -> Result<Item<'a>> {
        let mut digits = decimal_digits(self.bytes()?);
        // Jackson writes the amount of a negative number, not one less as the standard says.
        if is_negative && digits != "0" {
            digits.insert(0, '-');
        }
        Ok(match digits.parse() {
            Ok(int) => Item::Int(int),
            Err(_) => Item::BigInt(digits),
        })
    }

    /// The bytes of a big number. By the standard they have a number among the strings too.
    fn bytes(&mut self) -> Result<&'a [u8]> {
        let at = self.at;
        let (major, info, len) = self.head()?;
        if major != BYTES || info == INDEFINITE || len > BIG_NUMBER_BYTES_MAX {
            return Err(CborError::Number(at));
        }
        let bytes = self.take(usize::try_from(len).map_err(|_| CborError::Number(at))?)?;
        if let Some(strings) = &mut self.strings
            && is_numbered(strings.len(), bytes.len())
        {
            strings.push("".into());
        }
        Ok(bytes)
    }
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
    let amount = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -amount } else { amount }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        assert_eq!((half(0x3c00), half(0xc000), half(0x7c00)), (1.0, -2.0, f64::INFINITY));
        assert_eq!(half(1), 5.960_464_477_539_063e-8);
    }
}
