//! From bytes in some charset to text.
//!
//! The names are those of Ruby's `Encoding.name_list`, which is what Logstash takes. UTF-8 that is valid is passed on
//! without a copy; UTF-8 that is not becomes the escaped text that Ruby's `inspect` shows, so nothing of it is lost.
//! Bytes that another charset does not define become U+FFFD.

use crate::inspect::escape_bytes;
use encoding_rs::Encoding;
use ferrostash_conf::{ConfValue, ConvertError, FromConf, OptionKind};
use ferrostash_plugin::Lines;
use std::borrow::Cow;
use std::sync::Arc;

/// Characters of a text that is not UTF-8 which the log shows.
const LOGGED_CHARS_MAX: usize = 256;

/// A charset, by one of Ruby's names.
#[derive(Clone)]
pub(crate) struct Charset {
    name: &'static str,
    decoder: Decoder,
}

#[derive(Clone)]
enum Decoder {
    Utf8,
    /// What the bytes from 0x80 mean; those below are ASCII.
    Bytes(Arc<[char; 128]>),
    /// A charset of several bytes a character.
    Library(&'static Encoding),
    Utf16(Order),
    Utf32(Order),
}

/// The order of the bytes in a unit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
    /// As the byte-order mark says; big without one.
    Marked,
}

/// Where the decoder of a charset comes from.
enum Source {
    Utf8,
    /// Nothing is defined from 0x80.
    Ascii,
    /// The code points of the same number.
    Latin1,
    /// Latin 1 with six Turkish letters.
    Latin5,
    /// Thai, with or without control characters from 0x80.
    Thai(bool),
    /// Single bytes.
    Single(&'static Encoding),
    /// Single bytes. The library reads what these leave undefined as control characters.
    Windows(&'static Encoding),
    /// Code pages of DOS.
    Dos(&'static [char; 128]),
    /// Code pages of DOS that leave bytes undefined.
    DosWithGaps(&'static [Option<char>; 128]),
    Multi(&'static Encoding),
    Utf16(Order),
    Utf32(Order),
    /// A name that Logstash knows and this program does not.
    Missing,
}

use Source::{
    Ascii, Dos, DosWithGaps, Latin1, Latin5, Missing, Multi, Single, Thai, Utf8, Utf16, Utf32, Windows,
};
use encoding_rs as e;
use oem_cp::code_table as dos;

static CHARSETS: [(&str, Source); 174] = [
    ("UTF-8", Utf8),
    ("CP65001", Utf8),
    ("locale", Utf8),
    ("external", Utf8),
    ("filesystem", Utf8),
    ("ASCII-8BIT", Ascii),
    ("BINARY", Ascii),
    ("US-ASCII", Ascii),
    ("ASCII", Ascii),
    ("ANSI_X3.4-1968", Ascii),
    ("646", Ascii),
    ("ISO-8859-1", Latin1),
    ("ISO8859-1", Latin1),
    ("ISO-8859-2", Single(&e::ISO_8859_2_INIT)),
    ("ISO8859-2", Single(&e::ISO_8859_2_INIT)),
    ("ISO-8859-3", Single(&e::ISO_8859_3_INIT)),
    ("ISO8859-3", Single(&e::ISO_8859_3_INIT)),
    ("ISO-8859-4", Single(&e::ISO_8859_4_INIT)),
    ("ISO8859-4", Single(&e::ISO_8859_4_INIT)),
    ("ISO-8859-5", Single(&e::ISO_8859_5_INIT)),
    ("ISO8859-5", Single(&e::ISO_8859_5_INIT)),
    ("ISO-8859-6", Single(&e::ISO_8859_6_INIT)),
    ("ISO8859-6", Single(&e::ISO_8859_6_INIT)),
    ("ISO-8859-7", Single(&e::ISO_8859_7_INIT)),
    ("ISO8859-7", Single(&e::ISO_8859_7_INIT)),
    ("ISO-8859-8", Single(&e::ISO_8859_8_INIT)),
    ("ISO8859-8", Single(&e::ISO_8859_8_INIT)),
    ("ISO-8859-10", Single(&e::ISO_8859_10_INIT)),
    ("ISO8859-10", Single(&e::ISO_8859_10_INIT)),
    ("ISO-8859-13", Single(&e::ISO_8859_13_INIT)),
    ("ISO8859-13", Single(&e::ISO_8859_13_INIT)),
    ("ISO-8859-14", Single(&e::ISO_8859_14_INIT)),
    ("ISO8859-14", Single(&e::ISO_8859_14_INIT)),
    ("ISO-8859-15", Single(&e::ISO_8859_15_INIT)),
    ("ISO8859-15", Single(&e::ISO_8859_15_INIT)),
    ("ISO-8859-16", Single(&e::ISO_8859_16_INIT)),
    ("ISO8859-16", Single(&e::ISO_8859_16_INIT)),
    ("ISO-8859-9", Latin5),
    ("ISO8859-9", Latin5),
    ("ISO-8859-11", Thai(true)),
    ("ISO8859-11", Thai(true)),
    ("TIS-620", Thai(false)),
    ("KOI8-R", Single(&e::KOI8_R_INIT)),
    ("CP878", Single(&e::KOI8_R_INIT)),
    ("KOI8-U", Single(&e::KOI8_U_INIT)),
    ("macRoman", Single(&e::MACINTOSH_INIT)),
    ("macUkraine", Single(&e::X_MAC_CYRILLIC_INIT)),
    ("Windows-1250", Windows(&e::WINDOWS_1250_INIT)),
    ("CP1250", Windows(&e::WINDOWS_1250_INIT)),
    ("Windows-1251", Windows(&e::WINDOWS_1251_INIT)),
    ("CP1251", Windows(&e::WINDOWS_1251_INIT)),
    ("Windows-1252", Windows(&e::WINDOWS_1252_INIT)),
    ("CP1252", Windows(&e::WINDOWS_1252_INIT)),
    ("Windows-1253", Windows(&e::WINDOWS_1253_INIT)),
    ("CP1253", Windows(&e::WINDOWS_1253_INIT)),
    ("Windows-1254", Windows(&e::WINDOWS_1254_INIT)),
    ("CP1254", Windows(&e::WINDOWS_1254_INIT)),
    ("Windows-1255", Windows(&e::WINDOWS_1255_INIT)),
    ("CP1255", Windows(&e::WINDOWS_1255_INIT)),
    ("Windows-1256", Windows(&e::WINDOWS_1256_INIT)),
    ("CP1256", Windows(&e::WINDOWS_1256_INIT)),
    ("Windows-1257", Windows(&e::WINDOWS_1257_INIT)),
    ("CP1257", Windows(&e::WINDOWS_1257_INIT)),
    ("Windows-1258", Windows(&e::WINDOWS_1258_INIT)),
    ("CP1258", Windows(&e::WINDOWS_1258_INIT)),
    ("Windows-874", Windows(&e::WINDOWS_874_INIT)),
    ("CP874", Windows(&e::WINDOWS_874_INIT)),
    ("IBM437", Dos(&dos::DECODING_TABLE_CP437)),
    ("CP437", Dos(&dos::DECODING_TABLE_CP437)),
    ("IBM720", Dos(&dos::DECODING_TABLE_CP720)),
    ("CP720", Dos(&dos::DECODING_TABLE_CP720)),
    ("IBM737", Dos(&dos::DECODING_TABLE_CP737)),
    ("CP737", Dos(&dos::DECODING_TABLE_CP737)),
    ("IBM775", Dos(&dos::DECODING_TABLE_CP775)),
    ("CP775", Dos(&dos::DECODING_TABLE_CP775)),
    ("IBM850", Dos(&dos::DECODING_TABLE_CP850)),
    ("CP850", Dos(&dos::DECODING_TABLE_CP850)),
    ("IBM852", Dos(&dos::DECODING_TABLE_CP852)),
    ("CP852", Dos(&dos::DECODING_TABLE_CP852)),
    ("IBM855", Dos(&dos::DECODING_TABLE_CP855)),
    ("CP855", Dos(&dos::DECODING_TABLE_CP855)),
    ("IBM860", Dos(&dos::DECODING_TABLE_CP860)),
    ("CP860", Dos(&dos::DECODING_TABLE_CP860)),
    ("IBM861", Dos(&dos::DECODING_TABLE_CP861)),
    ("CP861", Dos(&dos::DECODING_TABLE_CP861)),
    ("IBM862", Dos(&dos::DECODING_TABLE_CP862)),
    ("CP862", Dos(&dos::DECODING_TABLE_CP862)),
    ("IBM863", Dos(&dos::DECODING_TABLE_CP863)),
    ("CP863", Dos(&dos::DECODING_TABLE_CP863)),
    ("IBM865", Dos(&dos::DECODING_TABLE_CP865)),
    ("CP865", Dos(&dos::DECODING_TABLE_CP865)),
    ("IBM866", Dos(&dos::DECODING_TABLE_CP866)),
    ("CP866", Dos(&dos::DECODING_TABLE_CP866)),
    ("IBM869", Dos(&dos::DECODING_TABLE_CP869)),
    ("CP869", Dos(&dos::DECODING_TABLE_CP869)),
    ("IBM857", DosWithGaps(&dos::DECODING_TABLE_CP857)),
    ("CP857", DosWithGaps(&dos::DECODING_TABLE_CP857)),
    ("IBM864", DosWithGaps(&dos::DECODING_TABLE_CP864)),
    ("CP864", DosWithGaps(&dos::DECODING_TABLE_CP864)),
    ("Big5", Multi(&e::BIG5_INIT)),
    ("CP950", Multi(&e::BIG5_INIT)),
    ("CP951", Multi(&e::BIG5_INIT)),
    ("Big5-HKSCS", Multi(&e::BIG5_INIT)),
    ("Big5-HKSCS:2008", Multi(&e::BIG5_INIT)),
    ("GBK", Multi(&e::GBK_INIT)),
    ("CP936", Multi(&e::GBK_INIT)),
    ("GB2312", Multi(&e::GBK_INIT)),
    ("EUC-CN", Multi(&e::GBK_INIT)),
    ("eucCN", Multi(&e::GBK_INIT)),
    ("GB18030", Multi(&e::GB18030_INIT)),
    ("EUC-KR", Multi(&e::EUC_KR_INIT)),
    ("eucKR", Multi(&e::EUC_KR_INIT)),
    ("CP949", Multi(&e::EUC_KR_INIT)),
    ("EUC-JP", Multi(&e::EUC_JP_INIT)),
    ("eucJP", Multi(&e::EUC_JP_INIT)),
    ("eucJP-ms", Multi(&e::EUC_JP_INIT)),
    ("euc-jp-ms", Multi(&e::EUC_JP_INIT)),
    ("CP51932", Multi(&e::EUC_JP_INIT)),
    ("Shift_JIS", Multi(&e::SHIFT_JIS_INIT)),
    ("SJIS", Multi(&e::SHIFT_JIS_INIT)),
    ("PCK", Multi(&e::SHIFT_JIS_INIT)),
    ("Windows-31J", Multi(&e::SHIFT_JIS_INIT)),
    ("CP932", Multi(&e::SHIFT_JIS_INIT)),
    ("csWindows31J", Multi(&e::SHIFT_JIS_INIT)),
    ("ISO-2022-JP", Multi(&e::ISO_2022_JP_INIT)),
    ("ISO2022-JP", Multi(&e::ISO_2022_JP_INIT)),
    ("CP50220", Multi(&e::ISO_2022_JP_INIT)),
    ("CP50221", Multi(&e::ISO_2022_JP_INIT)),
    ("UTF-16", Utf16(Order::Marked)),
    ("UTF-16BE", Utf16(Order::Big)),
    ("UCS-2BE", Utf16(Order::Big)),
    ("UTF-16LE", Utf16(Order::Little)),
    ("UTF-32", Utf32(Order::Marked)),
    ("UTF-32BE", Utf32(Order::Big)),
    ("UCS-4BE", Utf32(Order::Big)),
    ("UTF-32LE", Utf32(Order::Little)),
    ("UCS-4LE", Utf32(Order::Little)),
    ("Big5-UAO", Missing),
    ("CESU-8", Missing),
    ("Emacs-Mule", Missing),
    ("EUC-TW", Missing),
    ("eucTW", Missing),
    ("EUC-JIS-2004", Missing),
    ("EUC-JISX0213", Missing),
    ("GB12345", Missing),
    ("GB1988", Missing),
    ("IBM037", Missing),
    ("ebcdic-cp-us", Missing),
    ("ISO-2022-JP-2", Missing),
    ("ISO2022-JP2", Missing),
    ("ISO-2022-JP-KDDI", Missing),
    ("MacJapanese", Missing),
    ("MacJapan", Missing),
    ("macCenEuro", Missing),
    ("macCroatian", Missing),
    ("macCyrillic", Missing),
    ("macGreek", Missing),
    ("macIceland", Missing),
    ("macRomania", Missing),
    ("macThai", Missing),
    ("macTurkish", Missing),
    ("SJIS-DoCoMo", Missing),
    ("SJIS-KDDI", Missing),
    ("SJIS-SoftBank", Missing),
    ("stateless-ISO-2022-JP", Missing),
    ("stateless-ISO-2022-JP-KDDI", Missing),
    ("UTF-7", Missing),
    ("CP65000", Missing),
    ("UTF8-DoCoMo", Missing),
    ("UTF8-KDDI", Missing),
    ("UTF8-SoftBank", Missing),
    ("UTF8-MAC", Missing),
    ("UTF-8-MAC", Missing),
    ("UTF-8-HFS", Missing),
];

#[expect(clippy::indexing_slicing, reason = "evaluated while compiling")]
static NAMES: [&str; CHARSETS.len()] = {
    let mut names = [""; CHARSETS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = CHARSETS[i].0;
        i += 1;
    }
    names
};

impl Charset {
    /// The charset of that name; `None` where there is none.
    fn named(name: &str) -> Option<Charset> {
        let (name, source) = CHARSETS.iter().find(|(known, _)| *known == name)?;
        Some(Charset { name, decoder: source.decoder()? })
    }

    /// The text of `bytes`.
    pub(crate) fn decode<'b>(&self, bytes: &'b [u8]) -> Cow<'b, str> {
        match &self.decoder {
            Decoder::Utf8 => match simdutf8::basic::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => Cow::Owned(self.escaped(bytes)),
            },
            Decoder::Bytes(table) => single_bytes(bytes, table),
            Decoder::Library(encoding) => encoding.decode_without_bom_handling(bytes).0,
            Decoder::Utf16(order) => Cow::Owned(utf16(bytes, *order)),
            Decoder::Utf32(order) => Cow::Owned(utf32(bytes, *order)),
        }
    }

    /// Calls `text` with the number and the text of each line. UTF-8 is checked for all lines at once.
    pub(crate) fn decode_lines(&self, lines: Lines<'_>, mut text: impl FnMut(usize, &str)) {
        let all = match self.decoder {
            Decoder::Utf8 => simdutf8::basic::from_utf8(lines.bytes()).ok(),
            _ => None,
        };
        match all {
            Some(all) => {
                let ranges = lines.ranges().enumerate();
                ranges.for_each(|(number, line)| text(number, all.get(line).unwrap_or_default()));
            }
            None => lines.iter().enumerate().for_each(|(number, line)| text(number, &self.decode(line))),
        }
    }

    /// The text of the first bytes of a longer text: half a character at the end is left out.
    pub(crate) fn decode_cut<'b>(&self, bytes: &'b [u8]) -> Cow<'b, str> {
        match self.decoder {
            Decoder::Utf8 => self.decode(without_half_character(bytes)),
            _ => self.decode(bytes),
        }
    }

    fn escaped(&self, bytes: &[u8]) -> String {
        let text = escape_bytes(bytes);
        let shown: String = text.chars().take(LOGGED_CHARS_MAX).collect();
        tracing::warn!(
            limited = true,
            text = shown,
            expected_charset = self.name,
            "Received an event that has a different character encoding than you configured."
        );
        text
    }
}

impl Source {
    fn decoder(&self) -> Option<Decoder> {
        let latin1 = |i: usize| char::from_u32(0x80 + i as u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        let is_control = |i: usize| i < 0x20;
        let table = |char_of: &dyn Fn(usize) -> char| Decoder::Bytes(Arc::new(std::array::from_fn(char_of)));
        Some(match self {
            Source::Utf8 => Decoder::Utf8,
            Source::Ascii => table(&|_| char::REPLACEMENT_CHARACTER),
            Source::Latin1 => table(&latin1),
            Source::Latin5 => table(&|i| match latin1(i) {
                'Ð' => 'Ğ',
                'Ý' => 'İ',
                'Þ' => 'Ş',
                'ð' => 'ğ',
                'ý' => 'ı',
                'þ' => 'ş',
                same => same,
            }),
            Source::Thai(controls) => table(&|i| match i {
                0..0x20 if *controls => latin1(i),
                0..0x20 => char::REPLACEMENT_CHARACTER,
                0x20 if !controls => char::REPLACEMENT_CHARACTER,
                _ => library_char(e::WINDOWS_874, i),
            }),
            Source::Single(encoding) => table(&|i| library_char(encoding, i)),
            Source::Windows(encoding) => table(&|i| match library_char(encoding, i) {
                control if is_control(i) && control == latin1(i) => char::REPLACEMENT_CHARACTER,
                defined => defined,
            }),
            Source::Dos(chars) => Decoder::Bytes(Arc::new(**chars)),
            Source::DosWithGaps(chars) => {
                Decoder::Bytes(Arc::new(chars.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))))
            }
            Source::Multi(encoding) => Decoder::Library(encoding),
            Source::Utf16(order) => Decoder::Utf16(*order),
            Source::Utf32(order) => Decoder::Utf32(*order),
            Source::Missing => return None,
        })
    }
}

/// What the byte `0x80 + i` means.
fn library_char(encoding: &'static Encoding, i: usize) -> char {
    let byte = [0x80 | i as u8];
    let (text, _) = encoding.decode_without_bom_handling(&byte);
    text.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn single_bytes<'b>(bytes: &'b [u8], table: &[char; 128]) -> Cow<'b, str> {
    if bytes.is_ascii()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    let char_of = |byte: &u8| match byte.checked_sub(0x80) {
        Some(i) => table.get(usize::from(i)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        None => char::from(*byte),
    };
    Cow::Owned(bytes.iter().map(char_of).collect())
}

fn utf16(bytes: &[u8], order: Order) -> String {
    let (little, bytes) = match (order, bytes) {
        (Order::Marked, [0xFF, 0xFE, rest @ ..]) => (true, rest),
        (Order::Marked, [0xFE, 0xFF, rest @ ..]) => (false, rest),
        _ => (order == Order::Little, bytes),
    };
    let encoding = if little { e::UTF_16LE } else { e::UTF_16BE };
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

fn utf32(bytes: &[u8], order: Order) -> String {
    let (little, bytes) = match (order, bytes) {
        (Order::Marked, [0xFF, 0xFE, 0, 0, rest @ ..]) => (true, rest),
        (Order::Marked, [0, 0, 0xFE, 0xFF, rest @ ..]) => (false, rest),
        _ => (order == Order::Little, bytes),
    };
    let (units, rest) = bytes.as_chunks::<4>();
    let code = |unit: &[u8; 4]| if little { u32::from_le_bytes(*unit) } else { u32::from_be_bytes(*unit) };
    let mut text: String =
        units.iter().map(|unit| char::from_u32(code(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

/// Leaves out a UTF-8 character at the end of which bytes are missing.
fn without_half_character(bytes: &[u8]) -> &[u8] {
    for back in 1..=bytes.len().min(3) {
        let (before, tail) = bytes.split_at(bytes.len() - back);
        match tail.first() {
            Some(0x80..=0xBF) => {}
            Some(lead) if back < sequence_length(*lead) => return before,
            _ => break,
        }
    }
    bytes
}

fn sequence_length(lead: u8) -> usize {
    match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}

impl FromConf for Charset {
    const KIND: OptionKind = OptionKind::Enum;
    const VALUES: &'static [&'static str] = &NAMES;

    fn convert(value: &ConfValue) -> Result<Charset, ConvertError> {
        let name = value.to_text().unwrap_or_default();
        Charset::named(&name).ok_or_else(|| {
            ConvertError::new(value, format!("the charset `{name}` is not built into this program"))
        })
    }
}

impl std::fmt::Debug for Charset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(charset: &str, bytes: &[u8]) -> String {
        Charset::named(charset).unwrap().decode(bytes).into_owned()
    }

    #[test]
    fn utf8_that_is_valid_is_not_copied() {
        let utf8 = Charset::named("UTF-8").unwrap();
        assert!(matches!(utf8.decode("Grüße 😀".as_bytes()), Cow::Borrowed("Grüße 😀")));
        assert_eq!(utf8.decode(b"bad \"\xff\xc0\x80\""), r#"bad \"\xFF\xC0\x80\""#);
        assert_eq!(utf8.decode(b"\xef\xbb\xbfx"), "\u{feff}x");
    }

    #[test]
    fn a_cut_leaves_no_half_character() {
        let utf8 = Charset::named("UTF-8").unwrap();
        let text = "a😀é".as_bytes();
        let cuts: Vec<_> = (0..=text.len()).map(|to| utf8.decode_cut(&text[..to]).into_owned()).collect();
        assert_eq!(cuts, ["", "a", "a", "a", "a", "a😀", "a😀", "a😀é"]);
        assert_eq!(utf8.decode_cut(b"x\x80"), r"x\x80");
    }

    #[test]
    fn single_bytes() {
        assert_eq!(decode("ISO-8859-1", b"caf\xe9 \x80"), "café \u{80}");
        assert_eq!(decode("ISO-8859-15", b"10 \xa4"), "10 €");
        assert_eq!(decode("ISO-8859-9", b"\xd0\xfd\xe9\x80"), "Ğıé\u{80}");
        assert_eq!(decode("CP1252", b"a\x81b\x80"), "a\u{FFFD}b€");
        assert_eq!(decode("Windows-1251", b"\xcf\xf0\xe8"), "При");
        assert_eq!(decode("TIS-620", b"\xa1\x80\xa0"), "ก\u{FFFD}\u{FFFD}");
        assert_eq!(decode("ISO-8859-11", b"\xa1\x80\xa0"), "ก\u{80}\u{a0}");
        assert_eq!(decode("CP437", b"\x81\xe1"), "üß");
        assert_eq!(decode("CP850", b"\x81\xe1\xd5"), "üßı");
        assert_eq!(decode("CP857", b"\xd5"), "\u{FFFD}");
        assert_eq!(decode("KOI8-R", b"\xf0"), "П");
        assert_eq!(decode("US-ASCII", b"a\xe9"), "a\u{FFFD}");
        assert_eq!(decode("BINARY", b"a\xe9\xff"), "a\u{FFFD}\u{FFFD}");
        let latin = Charset::named("ISO-8859-1").unwrap();
        assert!(matches!(latin.decode(b"plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn several_bytes() {
        assert_eq!(decode("GBK", b"\xc4\xe3\xba\xc3"), "你好");
        assert_eq!(decode("GB18030", b"\x81\x30\x81\x30"), "\u{80}");
        assert_eq!(decode("Shift_JIS", b"\x93\xfa\x96{"), "日本");
        assert_eq!(decode("EUC-JP", b"\xc6\xfc\xcb\xdc"), "日本");
        assert_eq!(decode("Big5", b"\xa4\xa4"), "中");
        assert_eq!(decode("EUC-KR", b"\xc7\xd1"), "한");
        assert_eq!(decode("GBK", b"a\xff"), "a\u{FFFD}");
    }

    #[test]
    fn units_of_two_and_four_bytes() {
        assert_eq!(decode("UTF-16LE", b"a\0=\xd8\0\xde"), "a😀");
        assert_eq!(decode("UTF-16BE", b"\0a\xd8\x3d"), "a\u{FFFD}");
        assert_eq!(decode("UTF-16", b"\xff\xfea\0"), "a");
        assert_eq!(decode("UTF-16", b"\0a"), "a");
        assert_eq!(decode("UTF-32LE", b"a\0\0\0\0\xf6\x01\0"), "a😀");
        assert_eq!(decode("UTF-32BE", b"\0\x11\0\0\0"), "\u{FFFD}\u{FFFD}");
        assert_eq!(decode("UTF-32", b"\0\0\xfe\xff\0\0\0a"), "a");
    }

    #[test]
    fn every_name_has_a_decoder_or_is_known_to_have_none() {
        for (name, source) in &CHARSETS {
            assert_eq!(Charset::named(name).is_none(), matches!(source, Source::Missing), "{name}");
        }
        assert!(Charset::named("utf-8").is_none());
        assert_eq!(NAMES.first(), Some(&"UTF-8"));
    }
}
