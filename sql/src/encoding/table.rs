//! The tables of `facts/`, one file an encoding, made by `convert_from` and `convert_to` of PostgreSQL 15.
//!
//! A line is the code's leading bytes in hex, a blank, and the characters of all last bytes from 80 on (of double bytes from 40 on), in
//! order; U+FFFD where there is none. `<` begins a line of exceptions for encoding: a character and its code, where the first code that
//! means it is not the one that PostgreSQL writes (`-`: it can't be written).

use hashbrown::HashMap;
use std::sync::OnceLock;

pub struct Table {
    characters: HashMap<u32, char>,
    codes: HashMap<char, Vec<u8>>,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Single,
    /// Two bytes from 80 on; EUC_JP's SS3 begins three.
    Euc,
    /// Two bytes, of which the second may be ASCII; SJIS has single ones too.
    Wide,
    ShiftJis,
}

const NONE: char = '\u{fffd}';

macro_rules! tables {
    ($($name:literal $shape:ident;)*) => {
        impl Table {
            /// None: there is no table of the encoding.
            pub fn of(name: &str) -> Option<&'static Table> {
                match name {
                    $($name => {
                        static TABLE: OnceLock<Table> = OnceLock::new();
                        Some(TABLE.get_or_init(|| {
                            Table::read(include_str!(concat!("facts/", $name, ".txt")), Shape::$shape)
                        }))
                    })*
                    _ => None,
                }
            }
        }
    };
}

tables! {
    "LATIN1" Single; "LATIN2" Single; "LATIN3" Single; "LATIN4" Single; "LATIN5" Single; "LATIN6" Single;
    "LATIN7" Single; "LATIN8" Single; "LATIN9" Single; "LATIN10" Single; "WIN1250" Single; "WIN1251" Single;
    "WIN1252" Single; "WIN1253" Single; "WIN1254" Single; "WIN1255" Single; "WIN1256" Single;
    "WIN1257" Single; "WIN1258" Single; "WIN866" Single; "WIN874" Single; "KOI8R" Single; "KOI8U" Single;
    "ISO_8859_5" Single; "ISO_8859_6" Single; "ISO_8859_7" Single; "ISO_8859_8" Single;
    "EUC_JP" Euc; "EUC_KR" Euc; "EUC_CN" Euc; "SJIS" ShiftJis; "BIG5" Wide; "GBK" Wide; "UHC" Wide;
}

fn packed(code: &[u8]) -> u32 {
    code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte))
}

fn unpacked(code: u32) -> Vec<u8> {
    code.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

impl Table {
    fn read(facts: &str, shape: Shape) -> Table {
        let mut table = Table { characters: HashMap::new(), codes: HashMap::new(), shape };
        let hex = |text: &str| u32::from_str_radix(text, 16).expect("the facts hold hexadecimal numbers");
        for line in facts.lines() {
            if let Some(exception) = line.strip_prefix('<') {
                let c = exception.chars().next().expect("an exception is about a character");
                match exception[c.len_utf8()..].trim() {
                    "-" => drop(table.codes.remove(&c)),
                    code => drop(table.codes.insert(c, unpacked(hex(code)))),
                }
                continue;
            }
            let (lead, characters) = line.split_once(' ').expect("leading bytes and characters");
            let (lead, first) = match lead {
                "-" => (0, 0x80),
                lead => (hex(lead) << 8, 0x40),
            };
            for (index, c) in characters.chars().enumerate().filter(|(_, c)| *c != NONE) {
                let code = lead | (first + index as u32);
                table.characters.insert(code, c);
                table.codes.entry(c).or_insert_with(|| unpacked(code));
            }
        }
        table
    }

    /// Bytes of the character that begins with this one, which is not ASCII.
    pub fn length(&self, first: u8) -> usize {
        match (self.shape, first) {
            (Shape::Single, _) => 1,
            (Shape::Euc, 0x8f) => 3,
            (Shape::ShiftJis, 0xa1..=0xdf) => 1,
            _ => 2,
        }
    }

    /// Whether the bytes have the form of a character of this encoding, known or not.
    pub fn is_code(&self, code: &[u8]) -> bool {
        match self.shape {
            Shape::Single => true,
            Shape::Euc => code[1..].iter().all(|byte| *byte >= 0x80),
            Shape::Wide | Shape::ShiftJis => code[1..].iter().all(|byte| *byte >= 0x40),
        }
    }
    pub fn decode(&self, code: &[u8]) -> Option<char> {
        self.characters.get(&packed(code)).copied()
    }
    pub fn encode(&self, c: char) -> Option<&[u8]> {
        self.codes.get(&c).map(Vec::as_slice)
    }
    #[cfg(test)]
    pub fn codes(&self) -> impl Iterator<Item = (u32, char)> {
        self.characters.iter().map(|(code, c)| (*code, *c))
    }
}
