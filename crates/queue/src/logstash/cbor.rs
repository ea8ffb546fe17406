//! CBOR as Jackson writes it for Logstash: the few kinds that occur, and string references (tags 256 and 25).

use ahash::AHashMap;
use ferrostash_event::json::JSON_DEPTH_MAX;
use std::borrow::Cow;

/// How deep values may lie in each other. A hash or list of an event takes two levels, and events are no deeper than JSON.
pub const CBOR_DEPTH_MAX: usize = 2 * JSON_DEPTH_MAX + 100;

/// Major types, in the upper three bits of a head.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// The argument of a head whose length is not said.
const INDEFINITE: u8 = 31;
const BREAK: u8 = 0xff;

const TAG_BIG_POSITIVE: u64 = 2;
const TAG_BIG_NEGATIVE: u64 = 3;
const TAG_DECIMAL: u64 = 4;
const TAG_REFERENCE: u64 = 25;
const TAG_NAMESPACE: u64 = 256;

/// What is wrong with a text of CBOR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// It ends within a value.
    #[error("it ends within a value, at byte {0}")]
    Short(usize),
    /// Something follows the value.
    #[error("there is something behind the value, at byte {0}")]
    Long(usize),
    /// A kind of value that Logstash does not write.
    #[error("byte {at} ({head:#04x}) begins nothing that Logstash writes")]
    Unknown {
        /// Where, in bytes.
        at: usize,
        /// What stands there.
        head: u8,
    },
    /// A text that is not UTF-8.
    #[error("the text at byte {0} is not UTF-8")]
    NotUtf8(usize),
    /// A reference to a string that was not there before.
    #[error("byte {at} refers to string {index}, of {known}")]
    Reference {
        /// Where, in bytes.
        at: usize,
        /// Which string is meant.
        index: u64,
        /// How many there were.
        known: usize,
    },
    /// More than [`CBOR_DEPTH_MAX`] values within each other.
    #[error("values lie more than {CBOR_DEPTH_MAX} deep in each other")]
    Deep,
    /// A number out of the range of its kind.
    #[error("the number at byte {0} is out of range")]
    Number(usize),
    /// The value is not what is expected here.
    #[error("{0}")]
    Shape(String),
}

/// A value as it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// The digits, with a sign.
    BigInt(String),
    Float(f64),
    /// Unscaled digits with a sign, and the decimal exponent.
    Decimal(String, i64),
    Text(Cow<'a, str>),
    List(Vec<Item<'a>>),
    Map(Vec<(Cow<'a, str>, Item<'a>)>),
}

/// Whether a string of `len` bytes gets number `index`: only where a reference is shorter than it.
fn is_numbered(index: usize, len: usize) -> bool {
    let shortest = match index {
        0..24 => 3,
        24..256 => 4,
        256..65536 => 5,
        _ => 7,
    };
    len >= shortest
}

/// Reads one value.
pub(super) struct Reader<'a> {
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

type Result<T> = std::result::Result<T, CborError>;

impl<'a> Reader<'a> {
    /// Reads `data` as a whole.
    pub(super) fn read(data: &'a [u8]) -> Result<Item<'a>> {
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

/// Longest integer, in bytes: as many digits as a number of an event may have.
const BIG_NUMBER_BYTES_MAX: u64 = 1024;

/// The decimal digits of an amount in base 256.
fn decimal_digits(bytes: &[u8]) -> String {
    // Base 10⁹, lowest first.
    let mut groups: Vec<u64> = Vec::new();
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for group in &mut groups {
            let value = (*group << 8) + carry;
            (*group, carry) = (value % 1_000_000_000, value / 1_000_000_000);
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let mut groups = groups.into_iter().rev();
    let mut digits = groups.next().unwrap_or(0).to_string();
    groups.for_each(|group| digits.push_str(&format!("{group:09}")));
    digits
}

/// An amount in base 256, from its decimal digits. The first bit is 0, as Java's `toByteArray` has it.
fn amount_bytes(digits: &str) -> Vec<u8> {
    // Lowest first.
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        let mut carry = u16::from(digit - b'0');
        for byte in &mut bytes {
            let value = u16::from(*byte) * 10 + carry;
            (*byte, carry) = (value as u8, value >> 8);
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    if bytes.last().is_none_or(|last| *last >= 0x80) {
        bytes.push(0);
    }
    bytes.reverse();
    bytes
}

/// Writes values as Logstash's Jackson does. Names and texts that came before are written as references.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    strings: AHashMap<String, usize>,
    count: usize,
    /// Whether later strings are not numbered: readers differ in whether bytes have a number, and references to what came
    /// before the first bytes are the same for all.
    is_closed: bool,
}

/// Longer texts are not remembered, since they hardly ever come twice.
const REMEMBERED_BYTES_MAX: usize = 256;

impl<'a> Writer<'a> {
    /// A writer of one value, at the end of `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        out.extend_from_slice(&[TAG << 5 | 25, 1, 0]);
        Writer { out, strings: AHashMap::new(), count: 0, is_closed: false }
    }

    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        match argument {
            0..24 => self.out.push(major | argument as u8),
            24..0x100 => self.out.extend_from_slice(&[major | 24, argument as u8]),
            0x100..0x1_0000 => {
                self.out.push(major | 25);
                self.out.extend_from_slice(&(argument as u16).to_be_bytes());
            }
            0x1_0000..0x1_0000_0000 => {
                self.out.push(major | 26);
                self.out.extend_from_slice(&(argument as u32).to_be_bytes());
            }
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&argument.to_be_bytes());
            }
        }
    }

    pub(super) fn begin_list(&mut self) {
        self.out.push(LIST << 5 | INDEFINITE);
    }

    pub(super) fn begin_map(&mut self) {
        self.out.push(MAP << 5 | INDEFINITE);
    }

    pub(super) fn end(&mut self) {
        self.out.push(BREAK);
    }

    pub(super) fn null(&mut self) {
        self.out.push(SIMPLE << 5 | 22);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.out.push(SIMPLE << 5 | if value { 21 } else { 20 });
    }

    /// In eight bytes always: Java reads fewer as an `Integer`.
    pub(super) fn int(&mut self, value: i64) {
        let (major, argument) = if value < 0 { (NEGATIVE, -1 - value) } else { (UNSIGNED, value) };
        self.out.push(major << 5 | 27);
        self.out.extend_from_slice(&argument.to_be_bytes());
    }

    pub(super) fn float(&mut self, value: f64) {
        self.out.push(SIMPLE << 5 | 27);
        self.out.extend_from_slice(&value.to_bits().to_be_bytes());
    }

    /// `digits` with or without a sign.
    pub(super) fn big_int(&mut self, digits: &str) {
        let tag = if digits.starts_with('-') { TAG_BIG_NEGATIVE } else { TAG_BIG_POSITIVE };
        self.head(TAG, tag);
        let bytes = amount_bytes(digits);
        self.head(BYTES, bytes.len() as u64);
        self.out.extend_from_slice(&bytes);
        self.is_closed = true;
    }

    /// Unscaled digits with or without a sign, and the decimal exponent.
    pub(super) fn decimal(&mut self, digits: &str, exponent: i64) {
        self.head(TAG, TAG_DECIMAL);
        self.head(LIST, 2);
        self.int(exponent);
        match digits.parse() {
            Ok(int) => self.int(int),
            Err(_) => self.big_int(digits),
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        if let Some(index) = self.strings.get(text) {
            let index = *index as u64;
            self.head(TAG, TAG_REFERENCE);
            return self.head(UNSIGNED, index);
        }
        if !self.is_closed && is_numbered(self.count, text.len()) {
            if text.len() <= REMEMBERED_BYTES_MAX {
                self.strings.insert(text.to_owned(), self.count);
            }
            self.count += 1;
        }
        self.head(TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_all_digits() {
        for digits in ["0", "255", "256", "12345678901234567890", "340282366920938463463374607431768211456"] {
            let bytes = amount_bytes(digits);
            assert!(bytes.first().is_some_and(|first| *first < 0x80));
            assert_eq!(decimal_digits(&bytes), digits);
        }
    }

    #[test]
    fn halves() {
        assert_eq!((half(0x3c00), half(0xc000), half(0x7c00)), (1.0, -2.0, f64::INFINITY));
        assert_eq!(half(1), 5.960_464_477_539_063e-8);
    }

    #[test]
    fn rubbish_is_refused_and_depth_is_bounded() {
        let all = |data: &[u8]| Reader::read(data).map(|_| ());
        assert_eq!(all(&[]), Err(CborError::Short(0)));
        assert_eq!(all(&[0x9f]), Err(CborError::Short(1)));
        assert_eq!(all(&[0xf6, 0]), Err(CborError::Long(1)));
        assert_eq!(all(&[0x61, 0xff]), Err(CborError::NotUtf8(1)));
        assert_eq!(all(&[0x1c]), Err(CborError::Unknown { at: 0, head: 0x1c }));
        assert_eq!(all(&[0xff]), Err(CborError::Unknown { at: 0, head: 0xff }));
        assert_eq!(all(&[0xd8, 25, 0]), Err(CborError::Reference { at: 0, index: 0, known: 0 }));
        assert_eq!(all(&[0x9f; 100_000]), Err(CborError::Deep));
        assert_eq!(all(&[0xd9, 1, 0].repeat(100_000)), Err(CborError::Deep));
        assert_eq!(all(&[0xc4; 100_000]), Err(CborError::Deep));
        assert!(all(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(all(&[0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
