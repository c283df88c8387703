//! What a setting is, and how its values are read and shown (PostgreSQL's guc.c).

use crate::error::{Error, Result, SqlState};

/// When a setting can change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// Never: a fact about the server.
    Internal,
    /// At server start.
    Postmaster,
    /// By the server's configuration.
    Sighup,
    /// At connection start.
    Backend,
    /// By a superuser at any time.
    Superuser,
    User,
}

impl Context {
    /// pg_settings.context.
    pub fn text(self) -> &'static str {
        match self {
            Context::Internal => "internal",
            Context::Postmaster => "postmaster",
            Context::Sighup => "sighup",
            Context::Backend => "backend",
            Context::Superuser => "superuser",
            Context::User => "user",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    None,
    Byte,
    KiB,
    /// 8 KiB.
    Page,
    MiB,
    Millisecond,
    Second,
}

impl Unit {
    /// pg_settings.unit.
    pub fn text(self) -> Option<&'static str> {
        match self {
            Unit::None => None,
            Unit::Byte => Some("B"),
            Unit::KiB => Some("kB"),
            Unit::Page => Some("8kB"),
            Unit::MiB => Some("MB"),
            Unit::Millisecond => Some("ms"),
            Unit::Second => Some("s"),
        }
    }

    fn is_memory(self) -> bool {
        matches!(self, Unit::Byte | Unit::KiB | Unit::Page | Unit::MiB)
    }

    /// Bytes, or microseconds, in one of this unit.
    fn factor(self) -> f64 {
        match self {
            Unit::None => 1.0,
            Unit::Byte => 1.0,
            Unit::KiB => 1024.0,
            Unit::Page => 8192.0,
            Unit::MiB => 1048576.0,
            Unit::Millisecond => 1e3,
            Unit::Second => 1e6,
        }
    }

    /// Units a value may be written in, largest first, with their bytes or microseconds.
    fn written(self) -> &'static [(&'static str, f64)] {
        match self {
            Unit::None => &[],
            unit if unit.is_memory() => &[
                ("TB", 1099511627776.0),
                ("GB", 1073741824.0),
                ("MB", 1048576.0),
                ("kB", 1024.0),
                ("B", 1.0),
            ],
            _ => &[("d", 8.64e10), ("h", 3.6e9), ("min", 6e7), ("s", 1e6), ("ms", 1e3), ("us", 1.0)],
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Unit::None => None,
            unit if unit.is_memory() => {
                Some("Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".")
            }
            _ => Some("Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."),
        }
    }

    /// A count of this unit as SHOW prints it: in the largest unit that divides it.
    fn show(self, value: f64, text: String) -> String {
        if self == Unit::None || value <= 0.0 {
            return text;
        }
        let base = value * self.factor();
        for &(name, factor) in self.written() {
            let count = base / factor;
            if count >= 1.0 && count.fract() == 0.0 {
                return format!("{count}{name}");
            }
        }
        text
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    Integer { min: i64, max: i64, unit: Unit },
    Real { min: f64, max: f64, unit: Unit },
    Enum(&'static [&'static str]),
    Text,
}

/// Sent to the client whenever it changes (ParameterStatus).
pub const REPORT: u8 = 1;
/// A list of names: SET takes several values.
pub const LIST: u8 = 2;
/// Not among SHOW ALL and pg_settings.
pub const HIDDEN: u8 = 4;
/// RESET ALL leaves it.
pub const NO_RESET: u8 = 8;

pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    /// In the setting's own unit, as all stored values.
    pub default: &'static str,
    pub context: Context,
    pub flags: u8,
    pub category: &'static str,
    pub description: &'static str,
}

impl Definition {
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// pg_settings.vartype.
    pub fn type_text(&self) -> &'static str {
        match self.kind {
            Kind::Bool => "bool",
            Kind::Integer { .. } => "integer",
            Kind::Real { .. } => "real",
            Kind::Enum(_) => "enum",
            Kind::Text => "string",
        }
    }

    pub fn unit(&self) -> Unit {
        match self.kind {
            Kind::Integer { unit, .. } | Kind::Real { unit, .. } => unit,
            _ => Unit::None,
        }
    }

    /// A value as it is stored: `4MB` is 4096 where the unit is kB, `TRUE` is on.
    pub fn parse(&self, value: &str) -> Result<String> {
        match self.kind {
            Kind::Bool => match parse_bool(value) {
                Some(true) => Ok("on".into()),
                Some(false) => Ok("off".into()),
                None => Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("parameter \"{}\" requires a Boolean value", self.name),
                )),
            },
            Kind::Integer { min, max, unit } => {
                let number = self.number(value, unit)?.round_ties_even();
                if number < min as f64 || number > max as f64 {
                    return Err(self.out_of_range(number, min as f64, max as f64, unit));
                }
                Ok((number as i64).to_string())
            }
            Kind::Real { min, max, unit } => {
                let number = self.number(value, unit)?;
                if number < min || number > max {
                    return Err(self.out_of_range(number, min, max, unit));
                }
                Ok(number.to_string())
            }
            Kind::Enum(values) => self.parse_enum(value, values),
            Kind::Text => Ok(value.to_owned()),
        }
    }

    fn number(&self, value: &str, unit: Unit) -> Result<f64> {
        let text = value.trim();
        let digits_end = number_end(text);
        let (digits, suffix) = (&text[..digits_end], text[digits_end..].trim());
        let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => i64::from_str_radix(hex, 16).ok().map(|number| number as f64),
            None => digits.parse().ok(),
        };
        let number: f64 =
            number.filter(|number: &f64| number.is_finite()).ok_or_else(|| self.invalid(value))?;
        if suffix.is_empty() {
            return Ok(number);
        }
        match unit.written().iter().find(|(name, _)| *name == suffix) {
            Some((_, factor)) => Ok(number * factor / unit.factor()),
            None => {
                let error = self.invalid(value);
                Err(match unit.hint() {
                    Some(hint) => error.hint(hint),
                    None => error,
                })
            }
        }
    }

    fn parse_enum(&self, value: &str, values: &[&'static str]) -> Result<String> {
        if let Some(found) = values.iter().find(|known| known.eq_ignore_ascii_case(value)) {
            return Ok((*found).to_owned());
        }
        // Where there is on and off, all Boolean words mean them.
        if values.contains(&"on")
            && let Some(value) = parse_bool(value)
        {
            return Ok(if value { "on" } else { "off" }.into());
        }
        if values.contains(&"debug2") && value.eq_ignore_ascii_case("debug") {
            return Ok("debug2".into());
        }
        if self.name == "client_min_messages" && value.eq_ignore_ascii_case("info") {
            return Ok("info".into());
        }
        if self.name == "concurrency_mode" && value.eq_ignore_ascii_case("two_phase") {
            return Ok("2pl".into());
        }
        Err(self.invalid(value).hint(format!("Available values: {}.", values.join(", "))))
    }

    pub fn invalid(&self, value: &str) -> Error {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{}\": \"{value}\"", self.name),
        )
    }

    fn out_of_range(&self, value: f64, min: f64, max: f64, unit: Unit) -> Error {
        let unit = unit.text().map(|unit| format!(" {unit}")).unwrap_or_default();
        let show = |number: f64| if number.abs() > 1e18 { format!("{number:e}") } else { number.to_string() };
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "{}{unit} is outside the valid range for parameter \"{}\" ({}{unit} .. {}{unit})",
                show(value),
                self.name,
                show(min),
                show(max)
            ),
        )
    }

    /// A stored value as SHOW prints it.
    pub fn show(&self, stored: &str) -> String {
        match self.kind {
            // File modes are octal.
            Kind::Integer { .. } if self.name == "data_directory_mode" => match stored.parse::<u32>() {
                Ok(mode) => format!("{mode:04o}"),
                Err(_) => stored.to_owned(),
            },
            Kind::Integer { unit, .. } | Kind::Real { unit, .. } => match stored.parse() {
                Ok(number) => unit.show(number, stored.to_owned()),
                Err(_) => stored.to_owned(),
            },
            _ => stored.to_owned(),
        }
    }
}

/// Where the number at the start of a text ends.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    if matches!(bytes.get(at..at + 2), Some(b"0x" | b"0X")) {
        at += 2;
        while bytes.get(at).is_some_and(u8::is_ascii_hexdigit) {
            at += 1;
        }
        return at;
    }
    while bytes.get(at).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.') {
        at += 1;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            at += 1 + sign;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
        }
    }
    at
}

/// PostgreSQL's parse_bool: unique prefixes of true, false, yes, no; on, off; 1, 0.
pub fn parse_bool(value: &str) -> Option<bool> {
    let value = value.trim().to_ascii_lowercase();
    let prefix = |word: &str| !value.is_empty() && word.starts_with(value.as_str());
    if prefix("true") || prefix("yes") || value == "on" || value == "1" {
        return Some(true);
    }
    if prefix("false") || prefix("no") || value == "0" || (value.len() > 1 && prefix("off")) {
        return Some(false);
    }
    None
}
