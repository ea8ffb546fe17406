//! Writing.

use super::amount::amount_bytes;
use super::{
    BREAK, BYTES, INDEFINITE, LIST, MAP, NEGATIVE, SIMPLE, TAG, TAG_BIG_NEGATIVE, TAG_BIG_POSITIVE,
    TAG_DECIMAL, TAG_REFERENCE, TEXT, UNSIGNED, is_numbered,
};
use ahash::AHashMap;

/// Writes values as Logstash's Jackson does. Names and texts that came before are written as references.
pub(in crate::logstash) struct Writer<'a> {
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
    pub(in crate::logstash) fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
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

    pub(in crate::logstash) fn begin_list(&mut self) {
        self.out.push(LIST << 5 | INDEFINITE);
    }

    pub(in crate::logstash) fn begin_map(&mut self) {
        self.out.push(MAP << 5 | INDEFINITE);
    }

    pub(in crate::logstash) fn end(&mut self) {
        self.out.push(BREAK);
    }

    pub(in crate::logstash) fn null(&mut self) {
        self.out.push(SIMPLE << 5 | 22);
    }

    pub(in crate::logstash) fn bool(&mut self, value: bool) {
        self.out.push(SIMPLE << 5 | if value { 21 } else { 20 });
    }

    /// In eight bytes always: Java reads fewer as an `Integer`.
    pub(in crate::logstash) fn int(&mut self, value: i64) {
        let (major, argument) = if value < 0 { (NEGATIVE, -1 - value) } else { (UNSIGNED, value) };
        self.out.push(major << 5 | 27);
        self.out.extend_from_slice(&argument.to_be_bytes());
    }

    pub(in crate::logstash) fn float(&mut self, value: f64) {
        self.out.push(SIMPLE << 5 | 27);
        self.out.extend_from_slice(&value.to_bits().to_be_bytes());
    }

    /// `digits` with or without a sign.
    pub(in crate::logstash) fn big_int(&mut self, digits: &str) {
        let tag = if digits.starts_with('-') { TAG_BIG_NEGATIVE } else { TAG_BIG_POSITIVE };
        self.head(TAG, tag);
        let bytes = amount_bytes(digits);
        self.head(BYTES, bytes.len() as u64);
        self.out.extend_from_slice(&bytes);
        self.is_closed = true;
    }

    /// Unscaled digits with or without a sign, and the decimal exponent.
    pub(in crate::logstash) fn decimal(&mut self, digits: &str, exponent: i64) {
        self.head(TAG, TAG_DECIMAL);
        self.head(LIST, 2);
        self.int(exponent);
        match digits.parse() {
            Ok(int) => self.int(int),
            Err(_) => self.big_int(digits),
        }
    }

    pub(in crate::logstash) fn text(&mut self, text: &str) {
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
