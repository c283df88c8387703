//! Exact decimals, as PostgreSQL's numeric.c has them: base-10000 digits with a weight, and a *display scale* that says how
//! many digits after the point are shown, trailing zeros included. What a result's display scale is belongs to the
//! semantics (`1.0 * 1.00` is `1.000`), so each operation below states its rule.
//!
//! What fits is a machine word and a power of ten instead (`decimal.rs`); every finite value has one form only. Otherwise addition,
//! subtraction and multiplication work on the digits, division and everything transcendental (`transcendental.rs`) on big
//! integers scaled by a power of ten, rounded half away from zero at the result's scale.

mod decimal;
mod transcendental;

use crate::error::{Error, Result, SqlState};
use decimal::Decimal;
use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{ToPrimitive, Zero};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::Hasher;
use std::sync::Arc;

type BaseDigits = SmallVec<[i16; 6]>;

const BASE: i32 = 10_000;
/// Decimal digits in a base digit.
const DECIMALS: i32 = 4;
/// The largest weight of a value: 131072 digits before the point.
const WEIGHT_MAX: i32 = 32_767;
/// The most digits after the point that a value can have.
pub const SCALE_MAX: i32 = 16_383;
/// The most that division and functions give.
pub(super) const RESULT_SCALE_MAX: i32 = 1000;
/// Inexact results have at least this many significant digits.
pub(super) const SIGNIFICANT_DIGITS_MIN: i32 = 16;

pub(super) fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// An exact decimal of up to 131072 digits before and 16383 after the point, or NaN or ±infinity.
#[derive(Clone, Debug)]
pub enum Numeric {
    /// A [`Decimal`], taken apart so that a `Numeric` has 16 bytes: whatever fits one.
    Small {
        mantissa: i64,
        scale: u8,
    },
    Large(Arc<Digits>),
    NaN,
    Infinity,
    NegativeInfinity,
}

/// (-1)^`negative` × Σ `digits`\[i\] × 10000^(`weight` - i), as in PostgreSQL's numeric.c; `scale` digits after the point are shown. No digit
/// at either end is zero. Zero has no digits and weight 0.
#[derive(Clone, Debug)]
pub struct Digits {
    pub negative: bool,
    pub weight: i32,
    pub scale: i32,
    pub digits: SmallVec<[i16; 6]>,
}

/// Zero.
impl Default for Numeric {
    fn default() -> Numeric {
        Numeric::zero()
    }
}

impl From<Decimal> for Numeric {
    #[inline]
    fn from(Decimal { mantissa, scale }: Decimal) -> Numeric {
        Numeric::Small { mantissa, scale }
    }
}

impl From<Decimal> for Digits {
    fn from(Decimal { mantissa, scale }: Decimal) -> Digits {
        // Whole base digits after the point; then under 10^19 × 10^3.
        let padding = (DECIMALS as u8 - scale % DECIMALS as u8) % DECIMALS as u8;
        let mut rest = u128::from(mantissa.unsigned_abs()) * 10u128.pow(u32::from(padding));
        let after = i32::from(scale + padding) / DECIMALS;
        let mut digits = BaseDigits::new();
        let mut weight = -1 - after;
        while rest != 0 {
            let digit = (rest % BASE as u128) as i16;
            rest /= BASE as u128;
            weight += 1;
            if digit != 0 || !digits.is_empty() {
                digits.push(digit);
            }
        }
        digits.reverse();
        let weight = if digits.is_empty() { 0 } else { weight };
        Digits { negative: mantissa < 0, weight, scale: i32::from(scale), digits }
    }
}

impl Digits {
    /// What fits.
    fn to_decimal(&self) -> Option<Decimal> {
        if self.digits.len() > 6 || self.scale > i32::from(Decimal::SCALE_MAX) {
            return None;
        }
        let magnitude =
            self.digits.iter().fold(0i128, |sum, digit| sum * i128::from(BASE) + i128::from(*digit));
        let after = (self.digits.len() as i32 - 1 - self.weight) * DECIMALS;
        // With a scale that shows less than there is, it is not the same value.
        let magnitude = match self.scale - after {
            _ if magnitude == 0 => 0,
            more @ 0..=18 => magnitude.checked_mul(10i128.pow(more as u32))?,
            less @ -3..0 => {
                let unit = 10i128.pow(less.unsigned_abs());
                (magnitude % unit == 0).then_some(magnitude / unit)?
            }
            _ => return None,
        };
        Decimal::new(if self.negative { -magnitude } else { magnitude }, self.scale)
    }
}

impl Numeric {
    pub fn zero() -> Numeric {
        Decimal::ZERO.into()
    }
    fn zero_scaled(scale: i32) -> Numeric {
        Numeric::finite(false, 0, scale, BaseDigits::new())
    }

    /// Normalises.
    fn finite(negative: bool, mut weight: i32, scale: i32, mut digits: BaseDigits) -> Numeric {
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        if leading > 0 {
            digits.drain(..leading);
            weight -= leading as i32;
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let is_zero = digits.is_empty();
        let weight = if is_zero { 0 } else { weight };
        let value = Digits { negative: negative && !is_zero, weight, scale, digits };
        match value.to_decimal() {
            Some(decimal) => decimal.into(),
            None => Numeric::Large(Arc::new(value)),
        }
    }

    #[inline]
    fn decimal(&self) -> Option<Decimal> {
        match self {
            Numeric::Small { mantissa, scale } => Some(Decimal { mantissa: *mantissa, scale: *scale }),
            _ => None,
        }
    }

    /// A finite value's base-10000 form, which storage and the wire have.
    pub fn digits(&self) -> Option<Cow<'_, Digits>> {
        match self {
            Numeric::Small { mantissa, scale } => {
                Some(Cow::Owned(Decimal { mantissa: *mantissa, scale: *scale }.into()))
            }
            Numeric::Large(digits) => Some(Cow::Borrowed(digits)),
            _ => None,
        }
    }

    pub fn from_i64(value: i64) -> Numeric {
        Numeric::from_i128(i128::from(value))
    }
    pub fn from_i128(value: i128) -> Numeric {
        if let Some(decimal) = Decimal::new(value, 0) {
            return decimal.into();
        }
        let mut rest = value.unsigned_abs();
        let mut digits = BaseDigits::new();
        while rest != 0 {
            digits.push((rest % BASE as u128) as i16);
            rest /= BASE as u128;
        }
        digits.reverse();
        let weight = digits.len() as i32 - 1;
        Numeric::finite(value < 0, weight, 0, digits)
    }
    /// As float8_numeric: the 15 digits that a double surely has (6 for a float4).
    pub fn from_f64(value: f64, significant: usize) -> Numeric {
        if value.is_nan() {
            return Numeric::NaN;
        }
        if value.is_infinite() {
            return if value > 0.0 { Numeric::Infinity } else { Numeric::NegativeInfinity };
        }
        // C's %.*g: as many significant digits, without trailing zeros.
        let text = format!("{:.*e}", significant - 1, value);
        let (mantissa, exponent) = text.split_once('e').expect("LowerExp writes an exponent");
        let trimmed = match mantissa.contains('.') {
            true => mantissa.trim_end_matches('0').trim_end_matches('.'),
            false => mantissa,
        };
        Numeric::parse(&format!("{trimmed}e{exponent}")).expect("a finite double is a valid numeric")
    }

    /// Parses PostgreSQL's input syntax. None: not a number. Out of range is an `Err`.
    fn parse_inner(text: &str) -> Option<Result<Numeric>> {
        let text = text.trim_matches(is_space);
        let (negative, body) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if text.eq_ignore_ascii_case("nan") {
            return Some(Ok(Numeric::NaN));
        }
        if body.eq_ignore_ascii_case("infinity") || body.eq_ignore_ascii_case("inf") {
            return Some(Ok(if negative { Numeric::NegativeInfinity } else { Numeric::Infinity }));
        }
        let bytes = body.as_bytes();
        let whole = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut end = whole;
        let mut fraction = &bytes[..0];
        if bytes.get(whole) == Some(&b'.') {
            let rest = &bytes[whole + 1..];
            fraction = &rest[..rest.iter().take_while(|byte| byte.is_ascii_digit()).count()];
            end = whole + 1 + fraction.len();
        }
        if whole + fraction.len() == 0 {
            return None;
        }
        let mut exponent = 0i64;
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let digits = &body[end + 1..];
            let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            exponent = match digits.parse::<i64>() {
                Ok(exponent) if exponent.abs() < i64::from(i32::MAX / 2) => exponent,
                _ => return Some(Err(overflow())),
            };
            end = bytes.len();
        }
        if end != bytes.len() {
            return None;
        }
        let scale = (fraction.len() as i64 - exponent).max(0);
        let decimals: Vec<u8> = bytes[..whole].iter().chain(fraction).map(|byte| byte - b'0').collect();
        Some(Numeric::from_decimals(negative, &decimals, whole as i64 + exponent, scale))
    }

    /// Decimal digits of which the first `point` stand before the decimal point.
    fn from_decimals(negative: bool, decimals: &[u8], point: i64, scale: i64) -> Result<Numeric> {
        let leading = decimals.iter().take_while(|digit| **digit == 0).count();
        let (decimals, point) = (&decimals[leading..], point - leading as i64);
        if scale > i64::from(SCALE_MAX) {
            // PostgreSQL rounds what it can't show away.
            let parsed = match decimals.is_empty() {
                true => return Ok(Numeric::zero_scaled(SCALE_MAX)),
                false => Numeric::from_aligned(negative, decimals, point, SCALE_MAX + DECIMALS)?,
            };
            return Ok(parsed.round_to(SCALE_MAX));
        }
        if decimals.is_empty() {
            return Ok(Numeric::zero_scaled(scale as i32));
        }
        Numeric::from_aligned(negative, decimals, point, scale as i32)
    }

    fn from_aligned(negative: bool, decimals: &[u8], point: i64, scale: i32) -> Result<Numeric> {
        let weight = (point + 3).div_euclid(4) - 1;
        if weight > i64::from(WEIGHT_MAX) {
            return Err(overflow());
        }
        // The first base digit holds `first` decimals.
        let first = (point - weight * 4) as usize;
        let mut digits = BaseDigits::with_capacity(decimals.len() / 4 + 2);
        let (mut index, mut taken) = (0, first);
        while index < decimals.len() {
            let digit = (0..taken).fold(0, |digit, offset| {
                digit * 10 + i16::from(decimals.get(index + offset).copied().unwrap_or(0))
            });
            digits.push(digit);
            index += taken;
            taken = 4;
        }
        Ok(Numeric::finite(negative, weight as i32, scale, digits))
    }

    pub fn parse(text: &str) -> Result<Numeric> {
        Numeric::parse_inner(text).unwrap_or_else(|| {
            let message = format!("invalid input syntax for type numeric: \"{text}\"");
            Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message))
        })
    }

    pub fn write_text(&self, out: &mut Vec<u8>) {
        let Digits { negative, weight, scale, digits } = match self {
            Numeric::NaN => return out.extend_from_slice(b"NaN"),
            Numeric::Infinity => return out.extend_from_slice(b"Infinity"),
            Numeric::NegativeInfinity => return out.extend_from_slice(b"-Infinity"),
            Numeric::Small { mantissa, scale } => {
                return Decimal { mantissa: *mantissa, scale: *scale }.write_text(out);
            }
            Numeric::Large(digits) => &**digits,
        };
        let (weight, scale) = (*weight, *scale);
        if *negative {
            out.push(b'-');
        }
        let digit =
            |index: i32| digits.get(usize::try_from(index).unwrap_or(usize::MAX)).copied().unwrap_or(0);
        if weight < 0 || digits.is_empty() {
            out.push(b'0');
        } else {
            let first = digits[0].to_string();
            out.extend_from_slice(first.as_bytes());
            let written = weight.min(digits.len() as i32 - 1);
            (1..=written).for_each(|index| push_digit(out, digit(index)));
            // An exponent's zeros: there may be a hundred thousand of them.
            out.resize(out.len() + ((weight - written) * DECIMALS) as usize, b'0');
        }
        if scale > 0 {
            out.push(b'.');
            let end = out.len() + scale as usize;
            let mut index = weight + 1;
            while out.len() < end {
                push_digit(out, digit(index));
                index += 1;
            }
            out.truncate(end);
        }
    }

    /// No less than what `write_text` appends.
    pub fn text_bytes_bound(&self) -> usize {
        match self {
            Numeric::Large(value) => 8 + (value.weight.max(0) * DECIMALS + value.scale) as usize,
            // A sign, 19 digits, a zero before the point, the point; "-Infinity".
            _ => 22,
        }
    }

    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }
    pub fn is_finite(&self) -> bool {
        matches!(self, Numeric::Small { .. } | Numeric::Large(_))
    }
    /// A rough size in memory, for budgets.
    pub fn bytes(&self) -> usize {
        match self {
            Numeric::Large(value) => size_of::<Numeric>() + size_of::<Digits>() + value.digits.len() * 2,
            _ => size_of::<Numeric>(),
        }
    }
    /// -1, 0 or 1; NaN counts as 1.
    pub fn signum(&self) -> i32 {
        match self {
            Numeric::Small { mantissa, .. } => mantissa.signum() as i32,
            Numeric::Large(digits) if digits.digits.is_empty() => 0,
            Numeric::Large(digits) if digits.negative => -1,
            Numeric::NegativeInfinity => -1,
            _ => 1,
        }
    }
    pub fn is_zero(&self) -> bool {
        self.signum() == 0
    }
    /// Digits shown after the point; None for NaN and infinities.
    pub fn scale(&self) -> Option<i32> {
        match self {
            Numeric::Small { scale, .. } => Some(i32::from(*scale)),
            Numeric::Large(digits) => Some(digits.scale),
            _ => None,
        }
    }
    /// The smallest scale that loses nothing.
    pub fn min_scale(&self) -> Option<i32> {
        let value = self.digits()?;
        let Some(last) = value.digits.last() else { return Some(0) };
        let zeros = (0..3).take_while(|power| last % 10i16.pow(power + 1) == 0).count() as i32;
        Some(((value.digits.len() as i32 - 1 - value.weight) * DECIMALS - zeros).max(0))
    }
    pub fn trim_scale(&self) -> Numeric {
        match self.min_scale() {
            Some(scale) => self.with_scale(scale),
            None => self.clone(),
        }
    }
    /// The same value shown with another scale, which suffices.
    fn with_scale(&self, scale: i32) -> Numeric {
        match self.digits() {
            Some(value) => {
                let value = value.into_owned();
                Numeric::finite(value.negative, value.weight, scale, value.digits)
            }
            None => self.clone(),
        }
    }

    /// The order of numeric's btree: NaN is greatest and equals itself.
    pub fn compare(&self, other: &Numeric) -> Ordering {
        if let (Some(a), Some(b)) = (self.decimal(), other.decimal()) {
            return a.compare(b);
        }
        let rank = |value: &Numeric| match value {
            Numeric::NegativeInfinity => 0,
            Numeric::Small { .. } | Numeric::Large(_) => 1,
            Numeric::Infinity => 2,
            Numeric::NaN => 3,
        };
        let (Some(a), Some(b)) = (self.digits(), other.digits()) else { return rank(self).cmp(&rank(other)) };
        match self.signum().cmp(&other.signum()) {
            Ordering::Equal if a.negative => compare_magnitudes(&b, &a),
            Ordering::Equal => compare_magnitudes(&a, &b),
            unequal => unequal,
        }
    }

    /// Equal values hash equally, whatever their display scales and forms.
    pub fn hash_value<H: Hasher>(&self, state: &mut H) {
        let decimal = match self {
            // Only the value matters: hidden zeros may be what made it large.
            Numeric::Large(digits) => {
                let scale = self.min_scale().unwrap_or(digits.scale);
                Digits { scale, ..(**digits).clone() }.to_decimal()
            }
            _ => self.decimal(),
        };
        match (decimal, self) {
            (Some(decimal), _) => {
                let (mantissa, scale) = decimal.stripped();
                state.write_i64(mantissa);
                state.write_i32(scale);
            }
            (None, Numeric::Large(value)) => {
                state.write_u8(u8::from(value.negative));
                state.write_i32(value.weight);
                value.digits.iter().for_each(|digit| state.write_i16(*digit));
            }
            (None, Numeric::NaN) => state.write_u8(2),
            (None, Numeric::Infinity) => state.write_u8(3),
            (None, _) => state.write_u8(4),
        }
    }

    pub fn neg(&self) -> Numeric {
        match self {
            Numeric::NaN => Numeric::NaN,
            Numeric::Infinity => Numeric::NegativeInfinity,
            Numeric::NegativeInfinity => Numeric::Infinity,
            Numeric::Small { mantissa, scale } => Decimal { mantissa: *mantissa, scale: *scale }.neg().into(),
            Numeric::Large(value) => {
                let value = Digits::clone(value);
                Numeric::finite(!value.negative, value.weight, value.scale, value.digits)
            }
        }
    }
    pub fn abs(&self) -> Numeric {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// Scale: the larger of the two.
    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        if let (Some(a), Some(b)) = (self.decimal(), other.decimal())
            && let Some(sum) = a.add(b)
        {
            return Ok(sum.into());
        }
        let (Some(a), Some(b)) = (self.digits(), other.digits()) else {
            return Ok(match (self, other) {
                (Numeric::NaN, _) | (_, Numeric::NaN) => Numeric::NaN,
                (Numeric::Infinity, Numeric::NegativeInfinity) => Numeric::NaN,
                (Numeric::NegativeInfinity, Numeric::Infinity) => Numeric::NaN,
                (special, finite) if finite.is_finite() => special.clone(),
                (_, special) => special.clone(),
            });
        };
        let scale = a.scale.max(b.scale);
        let sum = match (a.negative == b.negative, compare_magnitudes(&a, &b)) {
            (true, _) => add_magnitudes(&a, &b, scale),
            (false, Ordering::Less) => subtract_magnitudes(&b, &a, scale),
            (false, _) => subtract_magnitudes(&a, &b, scale),
        };
        sum.check_range()
    }
    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        self.add(&other.neg())
    }

    /// Scale: the sum of the two.
    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        if let (Some(a), Some(b)) = (self.decimal(), other.decimal())
            && let Some(product) = a.mul(b)
        {
            return Ok(product.into());
        }
        let (Some(a), Some(b)) = (self.digits(), other.digits()) else {
            return Ok(match (self, other) {
                (Numeric::NaN, _) | (_, Numeric::NaN) => Numeric::NaN,
                _ => Numeric::infinity_of_sign(self.signum() * other.signum()),
            });
        };
        let mut sums = vec![0u64; a.digits.len() + b.digits.len()];
        for (i, x) in a.digits.iter().enumerate().rev() {
            let mut carry = 0;
            for (j, y) in b.digits.iter().enumerate().rev() {
                let sum = sums[i + j + 1] + *x as u64 * *y as u64 + carry;
                sums[i + j + 1] = sum % BASE as u64;
                carry = sum / BASE as u64;
            }
            sums[i] += carry;
        }
        let digits = sums.into_iter().map(|digit| digit as i16).collect();
        let scale = a.scale + b.scale;
        let product =
            Numeric::finite(a.negative != b.negative, a.weight + b.weight + 1, scale.min(SCALE_MAX), digits);
        match scale > SCALE_MAX {
            true => product.round_to(SCALE_MAX).check_range(),
            false => product.check_range(),
        }
    }

    fn infinity_of_sign(sign: i32) -> Numeric {
        match sign {
            1 => Numeric::Infinity,
            -1 => Numeric::NegativeInfinity,
            _ => Numeric::NaN,
        }
    }

    /// Scale: enough for 16 significant digits, and no less than either input's (select_div_scale).
    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(special) = self.div_special(other)? {
            return Ok(special);
        }
        let scale = self.div_scale(other);
        self.div_to_scale(other, scale, true)
    }
    /// div(): the quotient truncated to an integer.
    pub fn div_trunc(&self, other: &Numeric) -> Result<Numeric> {
        match self.div_special(other)? {
            Some(special) => Ok(special),
            None => self.div_to_scale(other, 0, false),
        }
    }
    fn div_special(&self, other: &Numeric) -> Result<Option<Numeric>> {
        match (self, other) {
            (Numeric::NaN, _) | (_, Numeric::NaN) => Ok(Some(Numeric::NaN)),
            (_, divisor) if divisor.is_zero() => Err(division_by_zero()),
            (dividend, divisor) => Ok(match (dividend.is_finite(), divisor.is_finite()) {
                (true, true) => None,
                (true, false) => Some(Numeric::zero()),
                (false, true) => Some(Numeric::infinity_of_sign(dividend.signum() * divisor.signum())),
                (false, false) => Some(Numeric::NaN),
            }),
        }
    }
    fn div_scale(&self, other: &Numeric) -> i32 {
        let (Some(a), Some(b)) = (self.digits(), other.digits()) else { return 0 };
        let first = |value: &Digits| match value.digits.first() {
            Some(digit) => (value.weight, *digit),
            None => (0, 0),
        };
        let ((weight_a, first_a), (weight_b, first_b)) = (first(&a), first(&b));
        let weight = weight_a - weight_b - i32::from(first_a <= first_b);
        let scale = SIGNIFICANT_DIGITS_MIN - weight * DECIMALS;
        scale.max(a.scale).max(b.scale).clamp(0, RESULT_SCALE_MAX)
    }
    /// Both finite, `other` not zero. Rounded half away from zero, or truncated.
    pub(super) fn div_to_scale(&self, other: &Numeric, scale: i32, round: bool) -> Result<Numeric> {
        // a/10^sa ÷ b/10^sb, times 10^scale: shift whichever side needs it.
        let (a, scale_a) = self.to_scaled();
        let (b, scale_b) = other.to_scaled();
        let shift = scale + scale_b - scale_a;
        let (a, b) = match shift >= 0 {
            true => (a * power_of_ten(shift as u32), b),
            false => (a, b * power_of_ten(shift.unsigned_abs())),
        };
        let quotient = match (a.to_i128(), b.to_i128()) {
            (Some(a), Some(b)) if b.unsigned_abs() < u128::MAX / 2 => {
                let (quotient, rest) = (a / b, a % b);
                let up = round && rest.unsigned_abs() >= b.unsigned_abs().div_ceil(2);
                BigInt::from(quotient + i128::from(up) * a.signum() * b.signum())
            }
            _ if round => round_divide(&a, &b),
            _ => a / b,
        };
        Numeric::from_scaled(&quotient, scale)
    }

    /// The remainder with the dividend's sign; scale: the larger of the two.
    pub fn rem(&self, other: &Numeric) -> Result<Numeric> {
        match (self, other) {
            (Numeric::NaN, _) | (_, Numeric::NaN) => return Ok(Numeric::NaN),
            (_, divisor) if divisor.is_zero() => return Err(division_by_zero()),
            (Numeric::Infinity | Numeric::NegativeInfinity, _) => return Ok(Numeric::NaN),
            (_, Numeric::Infinity | Numeric::NegativeInfinity) => return Ok(self.clone()),
            _ => {}
        }
        if let (Some(a), Some(b)) = (self.decimal(), other.decimal())
            && let Some(rest) = a.rem(b)
        {
            return Ok(rest.into());
        }
        let whole = self.div_to_scale(other, 0, false)?;
        let scale = self.scale().max(other.scale()).unwrap_or(0);
        Ok(self.sub(&whole.mul(other)?)?.with_scale(scale))
    }

    /// round(): half away from zero, to `scale` digits after the point (negative: before it).
    pub fn round(&self, scale: i32) -> Result<Numeric> {
        let scale = scale.clamp(-(WEIGHT_MAX + 1) * DECIMALS, SCALE_MAX);
        self.round_to(scale).check_range()
    }
    pub(super) fn round_to(&self, scale: i32) -> Numeric {
        self.cut(scale, true)
    }
    pub fn trunc(&self, scale: i32) -> Numeric {
        self.cut(scale.clamp(-(WEIGHT_MAX + 1) * DECIMALS, SCALE_MAX), false)
    }
    fn cut(&self, scale: i32, round: bool) -> Numeric {
        if let Some(decimal) = self.decimal()
            && let Some(cut) = decimal.cut(scale, round)
        {
            return cut.into();
        }
        let Some(parts) = self.digits() else { return self.clone() };
        let shown = scale.max(0);
        // Decimals kept, counted from the first decimal of the first digit.
        let kept = (parts.weight + 1) * DECIMALS + scale;
        if kept < 0 {
            return Numeric::zero_scaled(shown);
        }
        let (whole, part) = ((kept / DECIMALS) as usize, kept % DECIMALS);
        if whole >= parts.digits.len() {
            return self.with_scale(shown);
        }
        let unit = 10i16.pow((DECIMALS - part) as u32 % 4);
        // A leading zero takes the carry.
        let mut digits = BaseDigits::with_capacity(whole + 2);
        digits.push(0);
        digits.extend_from_slice(&parts.digits[..whole]);
        let next = parts.digits[whole];
        let carry = if part == 0 {
            round && next >= BASE as i16 / 2
        } else {
            digits.push(next / unit * unit);
            round && next % unit >= unit / 2
        };
        if carry {
            let mut add = if part == 0 { 1 } else { unit };
            for digit in digits.iter_mut().rev() {
                let sum = i32::from(*digit) + i32::from(add);
                *digit = (sum % BASE) as i16;
                add = (sum / BASE) as i16;
            }
        }
        Numeric::finite(parts.negative, parts.weight + 1, shown, digits)
    }

    pub fn ceil(&self) -> Result<Numeric> {
        self.towards(1)
    }
    pub fn floor(&self) -> Result<Numeric> {
        self.towards(-1)
    }
    fn towards(&self, sign: i32) -> Result<Numeric> {
        let whole = self.trunc(0);
        match self.signum() == sign && whole.compare(self).is_ne() {
            true => whole.add(&Numeric::from_i64(i64::from(sign))),
            false => Ok(whole),
        }
    }

    /// Applies numeric(precision, scale): rounds, and fails where the integer part has too many digits.
    pub fn apply_modifier(&self, modifier: i32) -> Result<Numeric> {
        let Some((precision, scale)) = super::numeric_modifier(modifier) else { return Ok(self.clone()) };
        let error = |detail: String| {
            Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(detail))
        };
        match self {
            Numeric::NaN => return Ok(Numeric::NaN),
            Numeric::Infinity | Numeric::NegativeInfinity => {
                return error(format!(
                    "A field with precision {precision}, scale {scale} cannot hold an infinite value."
                ));
            }
            Numeric::Small { .. } | Numeric::Large(_) => {}
        }
        let rounded = self.round_to(scale);
        if rounded.is_zero() {
            return Ok(rounded);
        }
        // Decimal digits before the point (negative: zeros after it).
        let whole = match rounded.decimal() {
            Some(decimal) => decimal.whole_digits(),
            None => {
                let value = rounded.digits().expect("a rounded finite value is finite");
                value.weight * DECIMALS + value.digits.first().map_or(0, |first| first.ilog10() as i32 + 1)
            }
        };
        let room = precision - scale;
        if whole > room {
            let power = if room == 0 { "1".to_string() } else { format!("10^{room}") };
            return error(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {power}."
            ));
        }
        Ok(rounded)
    }

    /// Rounded to an integer; None out of range, for NaN and infinities.
    pub fn to_i64(&self) -> Option<i64> {
        let rounded = self.round_to(0);
        match &rounded {
            Numeric::Small { mantissa, .. } => Some(*mantissa),
            // The one integer that is an i64 and no decimal.
            Numeric::Large(_) => {
                let least = Numeric::from_i128(i128::from(i64::MIN));
                rounded.compare(&least).is_eq().then_some(i64::MIN)
            }
            _ => None,
        }
    }
    pub fn to_f64(&self) -> f64 {
        match self {
            Numeric::NaN => f64::NAN,
            Numeric::Infinity => f64::INFINITY,
            Numeric::NegativeInfinity => f64::NEG_INFINITY,
            Numeric::Small { .. } | Numeric::Large(_) => self
                .decimal()
                .and_then(Decimal::to_f64)
                .unwrap_or_else(|| self.to_string().parse().expect("a numeric's text is a float")),
        }
    }

    /// value × 10^scale as an integer, and that scale (enough to be exact).
    pub(super) fn to_scaled(&self) -> (BigInt, i32) {
        if let Some(decimal) = self.decimal() {
            return (BigInt::from(decimal.mantissa), i32::from(decimal.scale));
        }
        let Some(parts) = self.digits() else { return (BigInt::zero(), 0) };
        let after = (parts.digits.len() as i32 - 1 - parts.weight).max(0);
        let places = (parts.weight + 1 + after).max(0) as usize;
        let magnitude = if places <= 9 {
            let value = (0..places).fold(0u128, |sum, index| {
                sum * BASE as u128 + parts.digits.get(index).copied().unwrap_or(0) as u128
            });
            BigUint::from(value)
        } else {
            big_from_digits(&parts.digits, places)
        };
        let sign = if parts.negative { Sign::Minus } else { Sign::Plus };
        (BigInt::from_biguint(sign, magnitude), after * DECIMALS)
    }
    /// scaled ÷ 10^scale.
    pub(super) fn from_scaled(scaled: &BigInt, scale: i32) -> Result<Numeric> {
        let negative = scaled.sign() == Sign::Minus;
        let decimals = scaled.magnitude().to_radix_be(10);
        let point = decimals.len() as i64 - i64::from(scale);
        Numeric::from_decimals(negative, &decimals, point, i64::from(scale.max(0)))
    }

    /// value × 10^scale, if it is a small one and that is an integer.
    #[inline]
    pub fn mantissa_at(&self, scale: u8) -> Option<i128> {
        self.decimal()?.mantissa_at(scale)
    }
    pub fn from_scaled_i128(scaled: i128, scale: u8) -> Result<Numeric> {
        match Decimal::new(scaled, i32::from(scale)) {
            Some(decimal) => Ok(decimal.into()),
            None => Numeric::from_scaled(&BigInt::from(scaled), i32::from(scale)),
        }
    }

    fn check_range(self) -> Result<Numeric> {
        match &self {
            Numeric::Large(digits) if digits.weight > WEIGHT_MAX => Err(overflow()),
            _ => Ok(self),
        }
    }

    /// From a form of unknown origin: None if a digit is out of range.
    pub fn from_raw(negative: bool, weight: i32, scale: u16, digits: &[i16]) -> Option<Numeric> {
        let valid = digits.iter().all(|digit| (0..BASE as i16).contains(digit))
            && (-WEIGHT_MAX - 1..=WEIGHT_MAX).contains(&weight)
            && i32::from(scale) <= SCALE_MAX;
        valid.then(|| Numeric::finite(negative, weight, i32::from(scale), SmallVec::from_slice(digits)))
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        self.write_text(&mut out);
        f.write_str(std::str::from_utf8(&out).expect("numbers are written in ASCII"))
    }
}

/// isspace() of the C locale.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

fn push_digit(out: &mut Vec<u8>, digit: i16) {
    out.extend([1000, 100, 10, 1].map(|power| b'0' + (digit / power % 10) as u8));
}

fn big_from_digits(digits: &[i16], places: usize) -> BigUint {
    let decimals: Vec<u8> = (0..places)
        .flat_map(|index| {
            let digit = digits.get(index).copied().unwrap_or(0);
            [1000, 100, 10, 1].map(|power| (digit / power % 10) as u8)
        })
        .collect();
    BigUint::from_radix_be(&decimals, 10).unwrap_or_default()
}

pub(super) fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

/// a ÷ b, rounded half away from zero.
pub(super) fn round_divide(a: &BigInt, b: &BigInt) -> BigInt {
    let quotient = a / b;
    let rest = a - &quotient * b;
    match rest.magnitude() * 2u32 >= *b.magnitude() {
        true if (a.sign() == Sign::Minus) != (b.sign() == Sign::Minus) => quotient - 1,
        true => quotient + 1,
        false => quotient,
    }
}

fn compare_magnitudes(a: &Digits, b: &Digits) -> Ordering {
    match (a.digits.is_empty(), b.digits.is_empty()) {
        (false, false) => a.weight.cmp(&b.weight).then_with(|| a.digits.cmp(&b.digits)),
        (empty_a, empty_b) => empty_b.cmp(&empty_a),
    }
}

/// The digit of weight `weight`.
fn digit_at(value: &Digits, weight: i32) -> i16 {
    usize::try_from(value.weight - weight)
        .ok()
        .and_then(|index| value.digits.get(index))
        .copied()
        .unwrap_or(0)
}

fn lowest_weight(value: &Digits) -> i32 {
    value.weight + 1 - value.digits.len() as i32
}

/// |a| + |b| with a's sign.
fn add_magnitudes(a: &Digits, b: &Digits, scale: i32) -> Numeric {
    let high = a.weight.max(b.weight) + 1;
    let low = lowest_weight(a).min(lowest_weight(b));
    let mut digits = BaseDigits::from_elem(0, (high - low + 1) as usize);
    let mut carry = 0;
    for weight in low..=high {
        let sum = digit_at(a, weight) + digit_at(b, weight) + carry;
        carry = i16::from(sum >= BASE as i16);
        digits[(high - weight) as usize] = sum - carry * BASE as i16;
    }
    Numeric::finite(a.negative, high, scale, digits)
}

/// |a| - |b| with a's sign, where |a| ≥ |b|.
fn subtract_magnitudes(a: &Digits, b: &Digits, scale: i32) -> Numeric {
    let high = a.weight.max(b.weight);
    let low = lowest_weight(a).min(lowest_weight(b));
    let mut digits = BaseDigits::from_elem(0, (high - low + 1) as usize);
    let mut borrow = 0;
    for weight in low..=high {
        let difference = digit_at(a, weight) - digit_at(b, weight) - borrow;
        borrow = i16::from(difference < 0);
        digits[(high - weight) as usize] = difference + borrow * BASE as i16;
    }
    Numeric::finite(a.negative, high, scale, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Numeric {
        Numeric::parse(text).unwrap()
    }

    #[test]
    fn text_round_trips_with_its_scale() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1.50",
            "12345678901234567890.123456789",
            "0.0001",
            "0.00010",
            "10000",
            "NaN",
            "-Infinity",
        ] {
            assert_eq!(n(text).to_string(), text);
        }
        assert_eq!(n("  +1.5e3 ").to_string(), "1500");
        assert_eq!(n("1e-3").to_string(), "0.001");
        assert_eq!(n(".5").to_string(), "0.5");
        assert_eq!(n("5.").to_string(), "5");
        assert!(
            Numeric::parse("1e").is_err() && Numeric::parse("").is_err() && Numeric::parse("1 2").is_err()
        );
        assert_eq!(Numeric::parse("1e200000").unwrap_err().state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    }

    /// Golden values from PostgreSQL 15.
    #[test]
    fn arithmetic_has_postgresqls_scales() {
        let check =
            |result: Result<Numeric>, expected: &str| assert_eq!(result.unwrap().to_string(), expected);
        check(n("1.5").add(&n("2.25")), "3.75");
        check(n("1.5").sub(&n("2.25")), "-0.75");
        check(n("9999.99").add(&n("0.01")), "10000.00");
        check(n("1.0").mul(&n("1.00")), "1.000");
        check(n("-12345.678").mul(&n("98765.4321")), "-1219326222.2374638");
        check(n("1").div(&n("3")), "0.33333333333333333333");
        check(n("10").div(&n("4")), "2.5000000000000000");
        check(n("2").div(&n("3")), "0.66666666666666666667");
        check(n("1").div(&n("0.00007")), "14285.714285714286");
        check(n("-7.5").rem(&n("2")), "-1.5");
        check(n("7").div_trunc(&n("-2")), "-3");
        check(n("2.5").round(0), "3");
        check(n("-2.5").round(0), "-3");
        check(n("9999.5").round(0), "10000");
        check(n("15").round(-1), "20");
        check(n("44").round(-2), "0");
        check(n("1.2345").round(2), "1.23");
        check(Ok(n("-1.999").trunc(1)), "-1.9");
        check(n("-1.5").floor(), "-2");
        check(n("-1.5").ceil(), "-1");
        check(n("0.1").ceil(), "1");
        assert_eq!(n("1").div(&n("0")).unwrap_err().state(), SqlState::DIVISION_BY_ZERO);
    }

    /// What goes through the machine word gives what the digits give.
    #[test]
    fn small_and_large_agree() {
        fn large(value: &Numeric) -> Numeric {
            Numeric::Large(Arc::new(value.digits().unwrap().into_owned()))
        }
        let max = i64::MAX.to_string();
        let texts = [
            "0",
            "0.00",
            "1",
            "-1",
            "0.5",
            "-0.05",
            "9.99",
            "10000",
            "-10000.0001",
            "99999999.9999",
            "123.4500",
            "0.000000000000000001",
            "-999999999999999999",
            "0.123456789012345678",
            &max,
            "92233720368547758.07",
            "9223372036854775808",
            "1e18",
        ];
        let values: Vec<Numeric> = texts.iter().map(|text| n(text)).collect();
        let hash = |value: &Numeric| {
            let mut state = std::hash::DefaultHasher::new();
            value.hash_value(&mut state);
            state.finish()
        };
        for a in &values {
            assert_eq!(large(a).to_string(), a.to_string());
            assert_eq!(large(a).neg().to_string(), a.neg().to_string());
            assert_eq!(hash(&large(a)), hash(a), "{a}");
            assert_eq!(hash(&a.with_scale(30)), hash(a), "{a}");
            assert_eq!(large(a).to_i64(), a.to_i64(), "{a}");
            assert_eq!(large(a).to_f64(), a.to_f64(), "{a}");
            for scale in -21..22 {
                assert_eq!(
                    large(a).round_to(scale).to_string(),
                    a.round_to(scale).to_string(),
                    "{a} {scale}"
                );
                assert_eq!(large(a).trunc(scale).to_string(), a.trunc(scale).to_string(), "{a} {scale}");
            }
            for b in &values {
                let (x, y) = (large(a), large(b));
                assert_eq!(x.compare(&y), a.compare(b), "{a} {b}");
                let same = |one: Result<Numeric>, other: Result<Numeric>| {
                    assert_eq!(one.map(|v| v.to_string()).ok(), other.map(|v| v.to_string()).ok(), "{a} {b}");
                };
                same(x.add(&y), a.add(b));
                same(x.sub(&y), a.sub(b));
                same(x.mul(&y), a.mul(b));
                same(x.div(&y), a.div(b));
                same(x.rem(&y), a.rem(b));
            }
        }
    }

    #[test]
    fn modifiers_round_or_fail() {
        let modifier = super::super::make_numeric_modifier(5, 2);
        assert_eq!(n("123.456").apply_modifier(modifier).unwrap().to_string(), "123.46");
        let error = n("999.995").apply_modifier(modifier).unwrap_err();
        assert_eq!(
            error.fields().detail.as_deref(),
            Some("A field with precision 5, scale 2 must round to an absolute value less than 10^3.")
        );
    }

    #[test]
    fn conversions_round() {
        assert_eq!(n("2.5").to_i64(), Some(3));
        assert_eq!(n("-9223372036854775808").to_i64(), Some(i64::MIN));
        assert_eq!(n("9223372036854775808").to_i64(), None);
        assert_eq!(Numeric::from_f64(0.1, 15).to_string(), "0.1");
        assert_eq!(Numeric::from_f64(1e20, 15).to_string(), "100000000000000000000");
        assert_eq!(Numeric::from_f64(123456.789, 6).to_string(), "123457");
        assert_eq!(n("0.00001").to_f64(), 0.00001);
    }
}
