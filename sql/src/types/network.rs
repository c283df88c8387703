//! inet, cidr, macaddr and macaddr8.
//!
//! A network address is held as bytes whose order is that of PostgreSQL's network_cmp, so that comparing, hashing and indexing it is
//! comparing bytes: family (4 or 6), the address with the bits beyond the mask cleared, the mask's length, the whole address. A
//! MAC address is its 6 or 8 bytes.

use super::{Datum, Type};
use crate::error::{Error, Result, SqlState};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inet {
    pub v6: bool,
    pub bits: u8,
    /// The first 4 for IPv4.
    pub address: [u8; 16],
}

impl Inet {
    pub fn width(&self) -> usize {
        if self.v6 { 16 } else { 4 }
    }
    pub fn bits_max(&self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }
    pub fn bytes(&self) -> &[u8] {
        &self.address[..self.width()]
    }
    /// The mask's bit `index` is set in a byte of the address.
    pub fn netmask(&self) -> Inet {
        let mut address = [0; 16];
        for index in 0..usize::from(self.bits) {
            address[index / 8] |= 0x80 >> (index % 8);
        }
        Inet { address, bits: self.bits_max(), ..*self }
    }
    pub fn map(&self, other: &Inet, combine: impl Fn(u8, u8) -> u8) -> Inet {
        let mut address = [0; 16];
        for (index, slot) in address.iter_mut().enumerate().take(self.width()) {
            *slot = combine(self.address[index], other.address[index]);
        }
        Inet { address, bits: self.bits.max(other.bits), v6: self.v6 }
    }
    /// The address with the bits beyond the mask cleared.
    pub fn network(&self) -> Inet {
        Inet { bits: self.bits, ..self.map(&self.netmask(), |byte, mask| byte & mask) }
    }
    pub fn broadcast(&self) -> Inet {
        Inet { bits: self.bits, ..self.map(&self.netmask(), |byte, mask| byte | !mask) }
    }
    /// Whether two addresses agree in their first bits.
    pub fn shares_prefix(&self, other: &Inet, bits: u8) -> bool {
        let cut = |inet: &Inet| Inet { bits, ..*inet }.network().address;
        self.v6 == other.v6 && cut(self) == cut(other)
    }

    pub fn to_datum(self) -> Datum {
        let width = self.width();
        let mut bytes = Vec::with_capacity(2 + 2 * width);
        bytes.push(if self.v6 { 6 } else { 4 });
        bytes.extend_from_slice(&self.network().address[..width]);
        bytes.push(self.bits);
        bytes.extend_from_slice(self.bytes());
        Datum::Bytea(bytes.into())
    }
    /// None: not made by [`Inet::to_datum`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Inet> {
        let v6 = match bytes.first()? {
            4 => false,
            6 => true,
            _ => return None,
        };
        let width = if v6 { 16 } else { 4 };
        let own = bytes.get(2 + width..2 + 2 * width)?;
        let mut address = [0; 16];
        address[..width].copy_from_slice(own);
        Some(Inet { v6, bits: bytes[1 + width], address })
    }

    /// The address without its mask.
    pub fn host(&self) -> String {
        if !self.v6 {
            return Ipv4Addr::new(self.address[0], self.address[1], self.address[2], self.address[3])
                .to_string();
        }
        let address = Ipv6Addr::from(self.address);
        let words = address.segments();
        // An IPv4 address in the last 32 bits is shown as one.
        let compatible = words[..6].iter().all(|word| *word == 0) && words[6] != 0;
        match compatible {
            true => {
                let [.., a, b, c, d] = self.address;
                format!("::{a}.{b}.{c}.{d}")
            }
            false => address.to_string(),
        }
    }
    pub fn text(&self, data_type: Type) -> String {
        match data_type == Type::CIDR || self.bits != self.bits_max() {
            true => format!("{}/{}", self.host(), self.bits),
            false => self.host(),
        }
    }
}

pub fn parse_inet(text: &str, data_type: Type) -> Result<Inet> {
    let cidr = data_type == Type::CIDR;
    let invalid = || {
        let message = format!("invalid input syntax for type {}: \"{text}\"", data_type.name());
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    };
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => {
            let digits =
                !bits.is_empty() && bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit());
            (host, Some(bits.parse::<u8>().ok().filter(|_| digits).ok_or_else(invalid)?))
        }
        None => (text, None),
    };
    let mut address = [0; 16];
    let v6 = host.contains(':');
    let mut octets = 4;
    if v6 {
        address = host.parse::<Ipv6Addr>().map_err(|_| invalid())?.octets();
    } else {
        let parts: Vec<&str> = host.split('.').collect();
        // A network may leave octets out that its mask leaves out.
        if parts.len() > 4 || (!cidr && parts.len() != 4) {
            return Err(invalid());
        }
        octets = parts.len();
        for (slot, part) in address.iter_mut().zip(&parts) {
            let digits =
                !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
            *slot = part.parse().ok().filter(|_| digits).ok_or_else(invalid)?;
        }
    }
    let bits_max = if v6 { 128 } else { 32 };
    let bits = match bits {
        Some(bits) if bits > bits_max => return Err(invalid()),
        Some(bits) => bits,
        // The class of the address, or as many octets as are written.
        None if cidr && !v6 => {
            let class = match address[0] {
                240.. => 32,
                224..240 => 8,
                192..224 => 24,
                128..192 => 16,
                _ => 8,
            };
            let bits = class.max(8 * octets as u8);
            if bits == 8 && address[0] == 224 { 4 } else { bits }
        }
        None => bits_max,
    };
    let inet = Inet { v6, bits, address };
    if cidr && inet.network().address != inet.address {
        let message = format!("invalid cidr value: \"{text}\"");
        return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
            .detail("Value has bits set to right of mask."));
    }
    Ok(inet)
}

/// Family, mask length, is a cidr, address length, address.
pub fn write_binary(out: &mut Vec<u8>, inet: &Inet, data_type: Type) {
    out.push(if inet.v6 { 3 } else { 2 });
    out.push(inet.bits);
    out.push(u8::from(data_type == Type::CIDR));
    out.push(inet.width() as u8);
    out.extend_from_slice(inet.bytes());
}

pub fn read_binary(bytes: &[u8], data_type: Type) -> Result<Inet> {
    let name = if data_type == Type::CIDR { "cidr" } else { "inet" };
    let invalid = |what: &str| {
        Error::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid {what} in external \"{name}\" value"),
        )
    };
    let [family, bits, _, length, rest @ ..] = bytes else {
        return Err(Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"));
    };
    let v6 = match family {
        2 => false,
        3 => true,
        _ => return Err(invalid("address family")),
    };
    let width = if v6 { 16 } else { 4 };
    if usize::from(*bits) > width * 8 {
        return Err(invalid("bits"));
    }
    if usize::from(*length) != width || rest.len() != width {
        return Err(invalid("length"));
    }
    let mut address = [0; 16];
    address[..width].copy_from_slice(rest);
    let inet = Inet { v6, bits: *bits, address };
    if data_type == Type::CIDR && inet.network().address != inet.address {
        return Err(Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "invalid external \"cidr\" value")
            .detail("Value has bits set to right of mask."));
    }
    Ok(inet)
}

/// Hex bytes with one kind of separator (or none), in pairs or longer groups: 6 for macaddr, 6 or 8 for macaddr8.
pub fn parse_mac(text: &str, data_type: Type) -> Result<Vec<u8>> {
    let invalid = || {
        let message = format!("invalid input syntax for type {}: \"{text}\"", data_type.name());
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    };
    let trimmed = text.trim_matches(super::numeric::is_space);
    let separator = trimmed.chars().find(|c| !c.is_ascii_hexdigit());
    if separator.is_some_and(|c| !matches!(c, ':' | '-' | '.')) {
        return Err(invalid());
    }
    let groups: Vec<&str> = match separator {
        Some(separator) => trimmed.split(separator).collect(),
        None => vec![trimmed],
    };
    // macaddr knows a few forms only: pairs, halves, groups of four with points or hyphens.
    let known = match (groups.len(), separator) {
        (1, None) | (6, Some(':' | '-')) | (2, Some(':' | '-')) => true,
        (3, Some('.' | '-')) => groups.iter().all(|group| group.len() == 4),
        _ => false,
    };
    if data_type == Type::MACADDR && !known {
        return Err(invalid());
    }
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = Vec::with_capacity(8);
    let pairs = groups.len() >= 6;
    for group in &groups {
        // Between separators a single digit will do for a byte.
        if !hex(group) || group.is_empty() {
            return Err(invalid());
        }
        if pairs && group.len() <= 2 {
            bytes.push(u8::from_str_radix(group, 16).map_err(|_| invalid())?);
            continue;
        }
        if group.len() % 2 != 0 {
            return Err(invalid());
        }
        for at in (0..group.len()).step_by(2) {
            bytes.push(u8::from_str_radix(&group[at..at + 2], 16).map_err(|_| invalid())?);
        }
    }
    match (data_type, bytes.len()) {
        (Type::MACADDR, 6) | (Type::MACADDR8, 8) => Ok(bytes),
        (Type::MACADDR8, 6) => Ok([&bytes[..3], &[0xff, 0xfe], &bytes[3..]].concat()),
        _ => Err(invalid()),
    }
}

pub fn mac_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// Whether values of a type are bytes that are not shown as bytea.
pub fn is_network(data_type: Type) -> bool {
    matches!(data_type, Type::INET | Type::CIDR | Type::MACADDR | Type::MACADDR8)
}

/// The text form of a value of these types.
pub fn format(bytes: &[u8], data_type: Type) -> String {
    match data_type {
        Type::INET | Type::CIDR => {
            Inet::from_bytes(bytes).map(|inet| inet.text(data_type)).unwrap_or_default()
        }
        _ => mac_text(bytes),
    }
}

pub fn parse(text: &str, data_type: Type) -> Result<Datum> {
    match data_type {
        Type::INET | Type::CIDR => parse_inet(text, data_type).map(Inet::to_datum),
        _ => parse_mac(text, data_type).map(|bytes| Datum::Bytea(bytes.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        let shown = |text: &str, data_type| match parse(text, data_type) {
            Ok(Datum::Bytea(bytes)) => format(&bytes, data_type),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(shown("10.1.2.3", Type::INET), "10.1.2.3");
        assert_eq!(shown("10.1.2.3/8", Type::INET), "10.1.2.3/8");
        assert_eq!(shown("10", Type::CIDR), "10.0.0.0/8");
        assert_eq!(shown("192.168.1", Type::CIDR), "192.168.1.0/24");
        assert_eq!(shown("192.168.1.2/24", Type::CIDR), "invalid cidr value: \"192.168.1.2/24\"");
        assert_eq!(shown("::FFFF:1.2.3.4/128", Type::CIDR), "::ffff:1.2.3.4/128");
        assert_eq!(shown("10:23::f1/64", Type::INET), "10:23::f1/64");
        assert_eq!(shown("1.2.3", Type::INET), "invalid input syntax for type inet: \"1.2.3\"");
        assert_eq!(shown("08002b010203", Type::MACADDR), "08:00:2b:01:02:03");
        assert_eq!(shown("08002b:010203", Type::MACADDR), "08:00:2b:01:02:03");
        assert_eq!(shown("0800.2b01.0203", Type::MACADDR), "08:00:2b:01:02:03");
        assert_eq!(shown("08:00:2b:01:02:03", Type::MACADDR8), "08:00:2b:ff:fe:01:02:03");
        assert_eq!(
            shown("08:00:2b:01:02", Type::MACADDR),
            "invalid input syntax for type macaddr: \"08:00:2b:01:02\""
        );
    }
}
