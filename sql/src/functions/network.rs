//! Functions and operators of inet, cidr, macaddr and macaddr8.

use super::Registry;
use super::arguments::scalar;
use crate::error::{Error, Result, SqlState};
use crate::types::network::Inet;
use crate::types::{Datum, Type};

fn inet(bytes: &[u8]) -> Result<Inet> {
    Inet::from_bytes(bytes).ok_or_else(|| Error::new(SqlState::DATA_CORRUPTED, "damaged network address"))
}

fn one(bytes: &[u8], change: impl Fn(Inet) -> Inet) -> Result<Datum> {
    inet(bytes).map(|inet| change(inet).to_datum())
}

fn two(a: &[u8], b: &[u8], what: &str, combine: impl Fn(u8, u8) -> u8) -> Result<Datum> {
    let (a, b) = (inet(a)?, inet(b)?);
    match a.v6 == b.v6 {
        true => Ok(a.map(&b, combine).to_datum()),
        false => {
            let message = format!("cannot {what} inet values of different sizes");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

/// `<<`, `<<=` and their mirrors: is `a` within the network of `b`?
fn within(a: &[u8], b: &[u8], or_equal: bool) -> Result<bool> {
    let (a, b) = (inet(a)?, inet(b)?);
    let longer = if or_equal { a.bits >= b.bits } else { a.bits > b.bits };
    Ok(longer && a.shares_prefix(&b, b.bits))
}

fn set_masklen(bytes: &[u8], bits: i32, cidr: bool) -> Result<Datum> {
    let value = inet(bytes)?;
    let bits = if bits == -1 { i32::from(value.bits_max()) } else { bits };
    if !(0..=i32::from(value.bits_max())).contains(&bits) {
        let message = format!("invalid mask length: {bits}");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let changed = Inet { bits: bits as u8, ..value };
    Ok(if cidr { changed.network() } else { changed }.to_datum())
}

/// The address as a number, moved.
fn add(bytes: &[u8], delta: i128) -> Result<Datum> {
    let value = inet(bytes)?;
    let out_of_range = || Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "result is out of range");
    let number = value.bytes().iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    let moved = match delta < 0 {
        true => number.checked_sub(delta.unsigned_abs()),
        false => number.checked_add(delta.unsigned_abs()),
    };
    let moved = moved.filter(|moved| value.v6 || *moved <= u128::from(u32::MAX)).ok_or_else(out_of_range)?;
    let mut address = [0; 16];
    let width = value.width();
    address[..width].copy_from_slice(&moved.to_be_bytes()[16 - width..]);
    Ok(Inet { address, ..value }.to_datum())
}

fn difference(a: &[u8], b: &[u8]) -> Result<i64> {
    let (a, b) = (inet(a)?, inet(b)?);
    if a.v6 != b.v6 {
        let message = "cannot subtract inet values of different sizes";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let number =
        |inet: &Inet| inet.bytes().iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    let (x, y) = (number(&a), number(&b));
    let difference = if x >= y { i128::try_from(x - y) } else { i128::try_from(y - x).map(|d| -d) };
    difference
        .ok()
        .and_then(|difference| i64::try_from(difference).ok())
        .ok_or_else(|| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "result is out of range"))
}

/// cidr without the octets beyond the mask.
fn cidr_abbreviated(bytes: &[u8]) -> Result<String> {
    let value = inet(bytes)?;
    if value.v6 {
        return Ok(value.text(Type::CIDR));
    }
    let octets = usize::from(value.bits).div_ceil(8).max(1);
    let shown: Vec<String> = value.address[..octets].iter().map(u8::to_string).collect();
    Ok(format!("{}/{}", shown.join("."), value.bits))
}

fn merge(a: &[u8], b: &[u8]) -> Result<Datum> {
    let (a, b) = (inet(a)?, inet(b)?);
    if a.v6 != b.v6 {
        let message = "cannot merge addresses from different families";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let bits = (0..=a.bits.min(b.bits)).rev().find(|bits| a.shares_prefix(&b, *bits)).unwrap_or(0);
    Ok(Inet { bits, ..a }.network().to_datum())
}

fn bytewise(a: &[u8], b: &[u8], combine: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| combine(*a, *b)).collect()
}

pub fn register(r: &mut Registry) {
    macro_rules! compared {
        ($($name:literal, $test:ident;)*) => {$(
            for family in ["network", "macaddr", "macaddr8"] {
                let name: &'static str = match family {
                    "network" => concat!("network_", $name),
                    "macaddr" => concat!("macaddr_", $name),
                    _ => concat!("macaddr8_", $name),
                };
                r.scalar(name, |arguments, _| match arguments {
                    [Datum::Bytea(a), Datum::Bytea(b)] => Ok(Datum::Bool(a.cmp(b).$test())),
                    _ => Err(super::kernel::not_vectors()),
                });
            }
        )*};
    }
    compared! {
        "eq", is_eq;
        "ne", is_ne;
        "lt", is_lt;
        "le", is_le;
        "gt", is_gt;
        "ge", is_ge;
    }
    for name in ["network_cmp", "macaddr_cmp", "macaddr8_cmp"] {
        scalar!(r, name, |a: &[u8], b: &[u8]| a.cmp(b) as i32);
    }
    scalar!(r, "network_larger", |a: &[u8], b: &[u8]| a.max(b));
    scalar!(r, "network_smaller", |a: &[u8], b: &[u8]| a.min(b));
    scalar!(r, "network_sub", |a: &[u8], b: &[u8]| within(a, b, false));
    scalar!(r, "network_subeq", |a: &[u8], b: &[u8]| within(a, b, true));
    scalar!(r, "network_sup", |a: &[u8], b: &[u8]| within(b, a, false));
    scalar!(r, "network_supeq", |a: &[u8], b: &[u8]| within(b, a, true));
    scalar!(r, "network_overlap", |a: &[u8], b: &[u8]| {
        let (a, b) = (inet(a)?, inet(b)?);
        Ok::<bool, Error>(a.shares_prefix(&b, a.bits.min(b.bits)))
    });
    scalar!(r, "network_host", |a: &[u8]| inet(a).map(|inet| inet.host()));
    // With the mask's length, always.
    scalar!(r, "network_show", |a: &[u8]| inet(a).map(|inet| inet.text(Type::CIDR)));
    scalar!(r, "inet_abbrev", |a: &[u8]| inet(a).map(|inet| inet.text(Type::INET)));
    scalar!(r, "cidr_abbrev", |a: &[u8]| cidr_abbreviated(a));
    scalar!(r, "network_masklen", |a: &[u8]| inet(a).map(|inet| i32::from(inet.bits)));
    scalar!(r, "network_family", |a: &[u8]| inet(a).map(|inet| if inet.v6 { 6 } else { 4 }));
    scalar!(r, "network_network", |a: &[u8]| one(a, |inet| inet.network()));
    scalar!(r, "inet_to_cidr", |a: &[u8]| one(a, |inet| inet.network()));
    scalar!(r, "network_broadcast", |a: &[u8]| one(a, |inet| inet.broadcast()));
    scalar!(r, "network_netmask", |a: &[u8]| one(a, |inet| inet.netmask()));
    scalar!(r, "network_hostmask", |a: &[u8]| one(a, |inet| {
        let mask = inet.netmask();
        mask.map(&mask, |byte, _| !byte)
    }));
    scalar!(r, "inet_set_masklen", |a: &[u8], bits: i32| set_masklen(a, bits, false));
    scalar!(r, "cidr_set_masklen", |a: &[u8], bits: i32| set_masklen(a, bits, true));
    scalar!(r, "inetnot", |a: &[u8]| one(a, |inet| inet.map(&inet, |byte, _| !byte)));
    scalar!(r, "inetand", |a: &[u8], b: &[u8]| two(a, b, "AND", |a, b| a & b));
    scalar!(r, "inetor", |a: &[u8], b: &[u8]| two(a, b, "OR", |a, b| a | b));
    scalar!(r, "inetpl", |a: &[u8], delta: i64| add(a, delta.into()));
    scalar!(r, "inetmi_int8", |a: &[u8], delta: i64| add(a, -i128::from(delta)));
    scalar!(r, "inetmi", |a: &[u8], b: &[u8]| difference(a, b));
    scalar!(r, "inet_same_family", |a: &[u8], b: &[u8]| Ok::<bool, Error>(inet(a)?.v6 == inet(b)?.v6));
    scalar!(r, "inet_merge", |a: &[u8], b: &[u8]| merge(a, b));
    for name in ["macaddr_not", "macaddr8_not"] {
        scalar!(r, name, |a: &[u8]| bytewise(a, a, |byte, _| !byte));
    }
    for name in ["macaddr_and", "macaddr8_and"] {
        scalar!(r, name, |a: &[u8], b: &[u8]| bytewise(a, b, |a, b| a & b));
    }
    for name in ["macaddr_or", "macaddr8_or"] {
        scalar!(r, name, |a: &[u8], b: &[u8]| bytewise(a, b, |a, b| a | b));
    }
    for name in ["macaddr_trunc", "macaddr8_trunc"] {
        scalar!(r, name, |a: &[u8]| a
            .iter()
            .enumerate()
            .map(|(at, byte)| if at < 3 { *byte } else { 0 })
            .collect::<Vec<u8>>());
    }
    scalar!(r, "macaddrtomacaddr8", |a: &[u8]| [&a[..3.min(a.len())], &[0xff, 0xfe], &a[3.min(a.len())..]]
        .concat());
    scalar!(r, "macaddr8tomacaddr", |a: &[u8]| {
        match a {
        [a, b, c, 0xff, 0xfe, d, e, f] => Ok(vec![*a, *b, *c, *d, *e, *f]),
        _ => Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "macaddr8 data out of range to convert to macaddr"
        )
        .hint("Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr.")),
    }
    });
    scalar!(r, "macaddr8_set7bit", |a: &[u8]| {
        let mut bytes = a.to_vec();
        if let Some(first) = bytes.first_mut() {
            *first |= 2;
        }
        bytes
    });
}
