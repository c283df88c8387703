//! Character encodings: text is UTF-8 inside, and what clients and `convert_to` want outside.
//!
//! An encoding is a table from codes of one, two or three bytes to characters, recorded from PostgreSQL's own conversions (`facts/`), since
//! tables that go by the same names elsewhere differ in places (the holes of Windows-1252, the wave dash of EUC_JP). ASCII is itself in all
//! of them. A table is read when it is first used, and kept.
//!
//! Names that PostgreSQL knows and that have no table here can be set, as text of ASCII alone needs none; anything else through
//! them is 0A000.

mod table;

use crate::error::{Error, Result, SqlState};
use std::borrow::Cow;
use table::Table;

/// pg_encoding_to_char's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoding(u8);

/// By number (pg_enc), with other spellings of the name as clean_encoding_name leaves them.
const NAMES: [(&str, &[&str]); 42] = [
    ("SQL_ASCII", &[]),
    ("EUC_JP", &[]),
    ("EUC_CN", &[]),
    ("EUC_KR", &[]),
    ("EUC_TW", &[]),
    ("EUC_JIS_2004", &[]),
    ("UTF8", &["unicode"]),
    ("MULE_INTERNAL", &[]),
    ("LATIN1", &["iso88591"]),
    ("LATIN2", &["iso88592"]),
    ("LATIN3", &["iso88593"]),
    ("LATIN4", &["iso88594"]),
    ("LATIN5", &["iso88599"]),
    ("LATIN6", &["iso885910"]),
    ("LATIN7", &["iso885913"]),
    ("LATIN8", &["iso885914"]),
    ("LATIN9", &["iso885915"]),
    ("LATIN10", &["iso885916"]),
    ("WIN1256", &["windows1256"]),
    ("WIN1258", &["windows1258", "abc", "tcvn", "tcvn5712", "vscii"]),
    ("WIN866", &["windows866", "alt"]),
    ("WIN874", &["windows874"]),
    ("KOI8R", &["koi8"]),
    ("WIN1251", &["windows1251", "win"]),
    ("WIN1252", &["windows1252"]),
    ("ISO_8859_5", &[]),
    ("ISO_8859_6", &[]),
    ("ISO_8859_7", &[]),
    ("ISO_8859_8", &[]),
    ("WIN1250", &["windows1250"]),
    ("WIN1253", &["windows1253"]),
    ("WIN1254", &["windows1254"]),
    ("WIN1255", &["windows1255"]),
    ("WIN1257", &["windows1257"]),
    ("KOI8U", &[]),
    ("SJIS", &["shiftjis", "mskanji", "win932", "windows932"]),
    ("BIG5", &["win950", "windows950"]),
    ("GBK", &["win936", "windows936"]),
    ("UHC", &["win949", "windows949"]),
    ("GB18030", &[]),
    ("JOHAB", &[]),
    ("SHIFT_JIS_2004", &[]),
];

impl Encoding {
    pub const SQL_ASCII: Encoding = Encoding(0);
    pub const UTF8: Encoding = Encoding(6);

    /// Case and everything but letters and digits aside (clean_encoding_name).
    pub fn named(name: &str) -> Option<Encoding> {
        let clean = |name: &str| -> String {
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
        };
        let wanted = clean(name);
        let is = |entry: &(&str, &[&str])| clean(entry.0) == wanted || entry.1.contains(&wanted.as_str());
        NAMES.iter().position(is).map(|number| Encoding(number as u8))
    }
    pub fn from_number(number: i32) -> Option<Encoding> {
        u8::try_from(number).ok().filter(|number| usize::from(*number) < NAMES.len()).map(Encoding)
    }
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)].0
    }
    /// Text in it is as it is inside. SQL_ASCII promises nothing, so nothing is converted.
    pub fn is_native(self) -> bool {
        self == Encoding::UTF8 || self == Encoding::SQL_ASCII
    }

    fn table(self) -> Result<&'static Table> {
        Table::of(self.name()).ok_or_else(|| {
            Error::unsupported(format!("conversion between encodings \"{}\" and \"UTF8\"", self.name()))
        })
    }

    /// 22021: not text in this encoding; 22P05: a character that UTF-8 lacks.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>> {
        if self.is_native() {
            return crate::types::binary::read_text(bytes).map(Cow::Borrowed);
        }
        if bytes.is_ascii()
            && memchr::memchr(0, bytes).is_none()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Ok(Cow::Borrowed(text));
        }
        let table = self.table()?;
        let mut out = String::with_capacity(bytes.len() + bytes.len() / 2);
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if first == 0 {
                return Err(self.invalid(&rest[..1]));
            }
            if first.is_ascii() {
                out.push(char::from(first));
                rest = &rest[1..];
                continue;
            }
            let length = table.length(first).min(rest.len());
            let (code, after) = rest.split_at(length);
            if length < table.length(first) || !table.is_code(code) {
                return Err(self.invalid(code));
            }
            out.push(table.decode(code).ok_or_else(|| untranslatable(code, self, Encoding::UTF8))?);
            rest = after;
        }
        Ok(Cow::Owned(out))
    }

    /// 22P05: a character that this encoding lacks.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>> {
        if self.is_native() || text.is_ascii() {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        let mut out = Vec::with_capacity(text.len());
        self.encode_into(text, &mut out, |c| {
            Err(untranslatable(c.encode_utf8(&mut [0; 4]).as_bytes(), Encoding::UTF8, self))
        })?;
        Ok(Cow::Owned(out))
    }

    /// For messages, which must not fail: what can't be said becomes a question mark.
    pub fn encode_lossy(self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let encoded = match self.is_native() {
            true => return text.as_bytes().to_vec(),
            false => self.encode_into(text, &mut out, |_| Ok(b"?".as_slice())),
        };
        match encoded {
            Ok(()) => out,
            Err(_) => text.bytes().map(|byte| if byte.is_ascii() { byte } else { b'?' }).collect(),
        }
    }

    fn encode_into(
        self,
        text: &str,
        out: &mut Vec<u8>,
        missing: impl Fn(char) -> Result<&'static [u8]>,
    ) -> Result<()> {
        let table = self.table()?;
        for c in text.chars() {
            match c.is_ascii() {
                true => out.push(c as u8),
                false => match table.encode(c) {
                    Some(code) => out.extend_from_slice(code),
                    None => out.extend_from_slice(missing(c)?),
                },
            }
        }
        Ok(())
    }

    /// How much of a chunk is whole characters, if more is to come.
    pub fn whole(self, bytes: &[u8]) -> usize {
        let Ok(table) = self.table() else { return bytes.len() };
        let mut at = 0;
        while let Some(first) = bytes.get(at) {
            let length = if first.is_ascii() { 1 } else { table.length(*first) };
            if at + length > bytes.len() {
                break;
            }
            at += length;
        }
        at
    }

    fn invalid(self, code: &[u8]) -> Error {
        let message = format!("invalid byte sequence for encoding \"{}\": {}", self.name(), shown(code));
        Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
    }
}

fn shown(bytes: &[u8]) -> String {
    let each: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
    each.join(" ")
}

fn untranslatable(bytes: &[u8], from: Encoding, to: Encoding) -> Error {
    let message = format!(
        "character with byte sequence {} in encoding \"{}\" has no equivalent in encoding \"{}\"",
        shown(bytes),
        from.name(),
        to.name()
    );
    Error::new(SqlState::UNTRANSLATABLE_CHARACTER, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelled() {
        for (name, found) in
            [("utf-8", "UTF8"), ("'Latin1'", "LATIN1"), ("iso8859-15", "LATIN9"), ("euc_jp", "EUC_JP")]
        {
            assert_eq!(Encoding::named(name).map(Encoding::name), Some(found));
        }
        assert_eq!(Encoding::named("latin"), None);
    }

    #[test]
    fn text_is_converted_both_ways() {
        let encoding = |name: &str| Encoding::named(name).unwrap();
        for (name, text, bytes) in [
            ("LATIN1", "dé", &b"d\xe9"[..]),
            ("LATIN9", "5 €", b"5 \xa4"),
            ("WIN1252", "€", b"\x80"),
            ("KOI8R", "да", b"\xc4\xc1"),
            ("EUC_JP", "日本～", b"\xc6\xfc\xcb\xdc\xa1\xc1"),
            ("SJIS", "日本ｱ", b"\x93\xfa\x96\x7b\xb1"),
            ("GBK", "中", b"\xd6\xd0"),
            ("BIG5", "中", b"\xa4\xa4"),
            ("EUC_KR", "한", b"\xc7\xd1"),
        ] {
            assert_eq!(&*encoding(name).encode(text).unwrap(), bytes, "{name}");
            assert_eq!(encoding(name).decode(bytes).unwrap(), text, "{name}");
            for end in 0..bytes.len() {
                let whole = encoding(name).whole(&bytes[..end]);
                assert!(encoding(name).decode(&bytes[..whole]).is_ok(), "{name}");
            }
        }
        let state = |result: Result<()>| result.unwrap_err().state().as_str().to_owned();
        assert_eq!(state(encoding("LATIN1").encode("€").map(drop)), "22P05");
        assert_eq!(state(encoding("WIN1252").decode(b"\x81").map(drop)), "22P05");
        assert_eq!(state(encoding("EUC_JP").decode(b"\xa1 ").map(drop)), "22021");
        assert_eq!(state(encoding("EUC_TW").encode("日").map(drop)), "0A000");
        assert_eq!(encoding("LATIN1").encode_lossy("€é"), b"?\xe9");
    }

    /// Every code of every table decodes to a character that encodes to a code of that character.
    #[test]
    fn tables_are_consistent() {
        for (name, _) in NAMES {
            let Some(table) = Table::of(name) else { continue };
            for (code, c) in table.codes() {
                if let Some(back) = table.encode(c) {
                    assert_eq!(table.decode(back), Some(c), "{name} {code:x?}");
                }
            }
        }
    }
}
