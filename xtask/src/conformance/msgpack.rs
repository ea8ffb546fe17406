//! MessagePack, as far as encoded events need it. Several values in a row become a list.

use crate::json::Json;
use anyhow::{Context as _, Result, bail};

/// Reads all values in `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json> {
    let mut reader = Reader { rest: bytes };
    let first = reader.value()?;
    if reader.rest.is_empty() {
        return Ok(first);
    }
    let mut values = vec![first];
    while !reader.rest.is_empty() {
        values.push(reader.value()?);
    }
    Ok(Json::List(values))
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).context("a value without end")?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, len: usize) -> Result<u64> {
        Ok(self.take(len)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn length(&mut self, len: usize) -> Result<usize> {
        Ok(usize::try_from(self.unsigned(len)?)?)
    }

    fn signed(&mut self, len: u32) -> Result<Json> {
        let unused = 64 - 8 * len;
        let value = self.unsigned(usize::try_from(len)?)? << unused;
        Ok(Json::Int((value.cast_signed() >> unused).to_string()))
    }

    fn value(&mut self) -> Result<Json> {
        let tag = self.unsigned(1)?;
        let low = |mask: u64| usize::try_from(tag & mask);
        match tag {
            0..=0x7f => Ok(Json::Int(tag.to_string())),
            0x80..=0x8f => self.map(low(0xf)?),
            0x90..=0x9f => self.list(low(0xf)?),
            0xa0..=0xbf => self.text(low(0x1f)?),
            0xc0 => Ok(Json::Null),
            0xc2 | 0xc3 => Ok(Json::Bool(tag == 0xc3)),
            0xc4..=0xc6 | 0xd9..=0xdb => {
                let width = 1 << ((tag - if tag < 0xd9 { 0xc4 } else { 0xd9 }) & 3);
                let len = self.length(width)?;
                self.text(len)
            }
            0xc7..=0xc9 => {
                let len = self.length(1 << (tag - 0xc7))?;
                self.extension(len)
            }
            0xca => Ok(Json::Float(f64::from(f32::from_bits(u32::try_from(self.unsigned(4)?)?)))),
            0xcb => Ok(Json::Float(f64::from_bits(self.unsigned(8)?))),
            0xcc..=0xcf => Ok(Json::Int(self.unsigned(1 << (tag - 0xcc))?.to_string())),
            0xd0..=0xd3 => self.signed(1 << (tag - 0xd0)),
            0xd4..=0xd8 => self.extension(1 << (tag - 0xd4)),
            0xdc | 0xdd => {
                let len = self.length(if tag == 0xdc { 2 } else { 4 })?;
                self.list(len)
            }
            0xde | 0xdf => {
                let len = self.length(if tag == 0xde { 2 } else { 4 })?;
                self.map(len)
            }
            0xe0..=0xff => Ok(Json::Int(format!("-{}", 0x100 - tag))),
            _ => bail!("no MessagePack: {tag:#x}"),
        }
    }

    fn map(&mut self, len: usize) -> Result<Json> {
        (0..len)
            .map(|_| Ok((self.value()?.to_setting(), self.value()?)))
            .collect::<Result<_>>()
            .map(Json::Map)
    }

    fn list(&mut self, len: usize) -> Result<Json> {
        (0..len).map(|_| self.value()).collect::<Result<_>>().map(Json::List)
    }

    fn text(&mut self, len: usize) -> Result<Json> {
        Ok(super::encoded::entry(self.take(len)?.to_vec()))
    }

    /// Type and bytes.
    fn extension(&mut self, len: usize) -> Result<Json> {
        let kind = self.unsigned(1)?;
        let bytes = self.take(len)?.iter().map(|byte| Json::Int(byte.to_string())).collect();
        Ok(Json::Map(vec![
            ("extension".into(), Json::Int(kind.to_string())),
            ("bytes".into(), Json::List(bytes)),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let read = |bytes: &[u8]| parse(bytes).unwrap().to_string();
        assert_eq!(
            read(&[0x83, 0xa1, b'a', 1, 0xa1, b'b', 0xd1, 0xff, 0x38, 0xa1, b'c', 0xc0]),
            r#"{"a": 1, "b": -200, "c": null}"#
        );
        assert_eq!(read(&[0x94, 0xc3, 0xff, 0xd9, 2, b'x', b'y', 0xcd, 1, 0]), r#"[true, -1, "xy", 256]"#);
        assert_eq!(
            read(&[0xd7, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
            r#"{"extension": 0, "bytes": [0, 0, 0, 1, 0, 0, 0, 2]}"#
        );
        assert_eq!(read(&[1, 2]), "[1, 2]");
        assert!(parse(&[0x92, 1]).is_err());
        assert!(parse(&[0xc1]).is_err());
    }
}
