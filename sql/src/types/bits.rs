//! bit and bit varying: held as text of `0` and `1`, whose order is theirs (bit by bit, the shorter of equals first).

use super::Type;
use crate::error::{Error, Result, SqlState};

/// Bits of one value, at most: half a gigabyte of text would be more than anyone can want.
pub const BITS_MAX: usize = 83_886_080;

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

/// `101`, `b101` or `x1F`.
pub fn parse(text: &str) -> Result<String> {
    let (hex, digits) = match text.as_bytes().first() {
        Some(b'x' | b'X') => (true, &text[1..]),
        Some(b'b' | b'B') => (false, &text[1..]),
        _ => (false, text),
    };
    let mut bits = String::with_capacity(digits.len() * if hex { 4 } else { 1 });
    for c in digits.chars() {
        match (hex, c.to_digit(16)) {
            (true, Some(digit)) => bits.push_str(&format!("{digit:04b}")),
            (true, None) => return Err(invalid(format!("\"{c}\" is not a valid hexadecimal digit"))),
            (false, Some(0 | 1)) => bits.push(c),
            (false, _) => return Err(invalid(format!("\"{c}\" is not a valid binary digit"))),
        }
    }
    match bits.len() > BITS_MAX {
        true => {
            let message = format!("bit string length exceeds the maximum allowed ({BITS_MAX})");
            Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
        }
        false => Ok(bits),
    }
}

/// Bits as a column's length has them; explicit casts cut and fill where assignments fail. None: as they are.
pub fn fit(bits: &str, data_type: Type, length: usize, explicit: bool) -> Result<Option<String>> {
    if bits.len() == length || (data_type == Type::VARBIT && bits.len() < length) {
        return Ok(None);
    }
    if !explicit {
        return Err(match data_type {
            Type::BIT => Error::new(
                SqlState(*b"22026"),
                format!("bit string length {} does not match type bit({length})", bits.len()),
            ),
            _ => Error::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("bit string too long for type bit varying({length})"),
            ),
        });
    }
    let mut fitted: String = bits.chars().take(length).collect();
    fitted.extend(std::iter::repeat_n('0', length - fitted.len()));
    Ok(Some(fitted))
}

/// The number of bits, then the bits in bytes.
pub fn write_binary(out: &mut Vec<u8>, bits: &[u8]) {
    out.extend((bits.len() as u32).to_be_bytes());
    for chunk in bits.chunks(8) {
        let byte = chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | (bit - b'0') << (7 - at));
        out.push(byte);
    }
}

pub fn read_binary(bytes: &[u8]) -> Result<String> {
    let short = || Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message");
    let (length, rest) = bytes.split_at_checked(4).ok_or_else(short)?;
    let length = i32::from_be_bytes(length.try_into().map_err(|_| short())?);
    let length = usize::try_from(length).ok().filter(|length| *length <= BITS_MAX).ok_or_else(|| {
        Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "invalid length in external bit string")
    })?;
    if rest.len() != length.div_ceil(8) {
        return Err(short());
    }
    let bit = |at: usize| if rest[at / 8] & (0x80 >> (at % 8)) != 0 { '1' } else { '0' };
    Ok((0..length).map(bit).collect())
}
