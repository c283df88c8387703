//! sqrt, exp, ln, log and power of numerics.
//!
//! The scale of each result follows numeric.c to the letter, for it shows: at least 16 significant digits, estimated from
//! the argument's magnitude. The digits are computed in fixed point (an integer times 10^-p) with a few guard digits
//! more than the result needs, by argument reduction and a short series, and rounded once at the end; numeric.c's
//! results are correctly rounded but for rare last digits, and so are these.

use super::{
    DECIMALS, Numeric, RESULT_SCALE_MAX, SIGNIFICANT_DIGITS_MIN, overflow, power_of_ten, round_divide,
};
use crate::error::{Error, Result, SqlState};
use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::cmp::Ordering;

/// Digits computed beyond those shown.
const GUARD: i32 = 12;
/// exp() beyond this can't be represented (NUMERIC_MAX_RESULT_SCALE * 3).
const EXPONENT_MAX: f64 = 6000.0;
/// log10(e) to the 15 digits that numeric.c has, for its estimates decide how many digits show.
#[allow(clippy::approx_constant)]
const LOG10_E: f64 = 0.434_294_481_903_252;

fn result_scale(weight: i32, least: i32) -> i32 {
    (SIGNIFICANT_DIGITS_MIN - weight).max(least).clamp(0, RESULT_SCALE_MAX)
}

impl Numeric {
    fn scale_or_zero(&self) -> i32 {
        self.scale().unwrap_or(0)
    }

    pub fn sqrt(&self) -> Result<Numeric> {
        if self.signum() < 0 {
            let message = "cannot take square root of a negative number";
            return Err(Error::new(SqlState::INVALID_POWER_ARGUMENT, message));
        }
        let Some(value) = self.digits() else { return Ok(self.clone()) };
        self.sqrt_to_scale(result_scale((value.weight + 1) * DECIMALS / 2 - 1, value.scale))
    }

    /// The square root of a finite value that is not negative, rounded at `scale`.
    pub fn sqrt_to_scale(&self, scale: i32) -> Result<Numeric> {
        let (value, value_scale) = self.to_scaled();
        // √(v·10^-s) at scale r+1, truncated; the extra digit decides the rounding (a truncated 5 is at least 5).
        let shift = 2 * (scale + 1) - value_scale;
        let shifted = match shift >= 0 {
            true => value * power_of_ten(shift as u32),
            false => value / power_of_ten(shift.unsigned_abs()),
        };
        let root = BigInt::from_biguint(Sign::Plus, shifted.magnitude().sqrt());
        Numeric::from_scaled(&round_divide(&root, &BigInt::from(10)), scale)
    }

    pub fn exp(&self) -> Result<Numeric> {
        match self {
            Numeric::NaN | Numeric::Infinity => return Ok(self.clone()),
            Numeric::NegativeInfinity => return Ok(Numeric::zero()),
            Numeric::Small { .. } | Numeric::Large(_) => {}
        }
        let value = self.to_f64();
        let weight = (value * LOG10_E).clamp(-2000.0, 2000.0) as i32;
        let scale = result_scale(weight, self.scale_or_zero());
        if value.abs() >= EXPONENT_MAX {
            return if value > 0.0 { Err(overflow()) } else { Ok(Numeric::zero().round_to(scale)) };
        }
        let precision = scale + weight.max(0) + GUARD;
        let result = exp_fixed(&self.fixed(precision), precision);
        Numeric::from_scaled(&rescale(&result, precision, scale), scale)
    }

    pub fn ln(&self) -> Result<Numeric> {
        self.check_logarithm()?;
        if !self.is_finite() {
            return Ok(self.clone());
        }
        let scale = result_scale(self.ln_weight(), self.scale_or_zero());
        self.ln_to_scale(scale)
    }

    /// log(base, value).
    pub fn log(base: &Numeric, value: &Numeric) -> Result<Numeric> {
        if base.is_nan() || value.is_nan() {
            return Ok(Numeric::NaN);
        }
        base.check_logarithm()?;
        value.check_logarithm()?;
        match (base.is_finite(), value.is_finite()) {
            (true, true) => {}
            (false, true) => return Ok(Numeric::zero()),
            (true, false) => return Ok(Numeric::Infinity),
            (false, false) => return Ok(Numeric::NaN),
        }
        let weight = value.ln_weight() - base.ln_weight();
        let scale = result_scale(weight, base.scale_or_zero().max(value.scale_or_zero()));
        let extra = scale + GUARD + base.ln_weight().unsigned_abs() as i32 + weight.abs();
        let (ln_base, ln_value) = (base.ln_to_scale(extra)?, value.ln_to_scale(extra)?);
        if ln_base.is_zero() {
            return Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        ln_value.div_to_scale(&ln_base, scale, true)
    }

    fn check_logarithm(&self) -> Result<()> {
        let message = match self.signum() {
            _ if self.is_nan() => return Ok(()),
            0 => "cannot take logarithm of zero",
            -1 => "cannot take logarithm of a negative number",
            _ => return Ok(()),
        };
        Err(Error::new(SqlState::INVALID_LOGARITHM_ARGUMENT, message))
    }

    /// The decimal weight of ln(self), estimated (estimate_ln_dweight).
    fn ln_weight(&self) -> i32 {
        let Some(value) = self.digits().filter(|value| !value.negative) else { return 0 };
        let (weight, digits) = (value.weight, &value.digits);
        let Some(first) = digits.first() else { return 0 };
        let one = Numeric::from_i64(1);
        if let Ok(distance) = self.sub(&one) {
            let tenth = Numeric::from_f64(0.1, 15);
            if distance.abs().compare(&tenth) != Ordering::Greater {
                let Some(distance) = distance.digits() else { return 0 };
                return distance
                    .digits
                    .first()
                    .map_or(0, |first| distance.weight * DECIMALS + f64::from(*first).log10() as i32);
            }
        }
        let (leading, exponent) = match digits.get(1) {
            Some(second) => (f64::from(*first) * 1e4 + f64::from(*second), (weight - 1) * DECIMALS),
            None => (f64::from(*first), weight * DECIMALS),
        };
        let ln = leading.ln() + f64::from(exponent) * std::f64::consts::LN_10;
        ln.abs().log10() as i32
    }

    fn ln_to_scale(&self, scale: i32) -> Result<Numeric> {
        let precision = scale + GUARD;
        let result = match self.sub(&Numeric::from_i64(1)) {
            Ok(distance) if distance.abs().compare(&Numeric::from_f64(0.5, 15)).is_le() => {
                ln_fixed(&self.fixed(precision), precision)
            }
            _ => {
                // self = f·10^e with 0.1 ≤ f < 1, so that the series sees no large number.
                let (value, value_scale) = self.to_scaled();
                let count = value.magnitude().to_radix_be(10).len() as i32;
                let exponent = count - value_scale;
                let fraction = rescale(&value, count, precision + GUARD);
                let ten = ln_fixed(&(power_of_ten((precision + GUARD) as u32) * 10), precision + GUARD);
                let sum = ln_fixed(&fraction, precision + GUARD) + ten * exponent;
                rescale(&sum, precision + GUARD, precision)
            }
        };
        Numeric::from_scaled(&rescale(&result, precision, scale), scale)
    }

    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        if let Some(special) = power_special(self, exponent)? {
            return Ok(special);
        }
        if let Some(whole) = exponent.as_i32() {
            return self.power_whole(whole);
        }
        if self.is_zero() {
            return Ok(Numeric::zero().round_to(SIGNIFICANT_DIGITS_MIN));
        }
        // A negative base has a whole exponent here, one too large for an i32.
        let negative = self.signum() < 0;
        let base = self.abs();
        let odd = negative && !exponent.rem(&Numeric::from_i64(2))?.is_zero();
        let local_scale = (8 - base.ln_weight()).max(0);
        let estimate = base.ln_to_scale(local_scale)?.mul(exponent)?.round_to(local_scale).to_f64();
        if estimate.abs() > EXPONENT_MAX * 1.003_333 {
            return if estimate > 0.0 {
                Err(overflow())
            } else {
                Ok(Numeric::zero().round_to(RESULT_SCALE_MAX))
            };
        }
        let weight = (estimate * LOG10_E) as i32;
        let scale = result_scale(weight, self.scale_or_zero().max(exponent.scale_or_zero()));
        let precision = scale + weight.max(0) + GUARD;
        // ln's error is multiplied by the exponent.
        let exponent_digits = exponent.digits().map_or(0, |value| (value.weight + 1).max(0) * DECIMALS);
        let product = base.ln_to_scale((precision + exponent_digits).min(super::SCALE_MAX))?.mul(exponent)?;
        let result = exp_fixed(&product.fixed(precision), precision);
        let result = Numeric::from_scaled(&rescale(&result, precision, scale), scale)?;
        Ok(if odd { result.neg() } else { result })
    }

    /// power_var_int: repeated squaring on as many digits as the result shows.
    fn power_whole(&self, exponent: i32) -> Result<Numeric> {
        let value = self.digits().expect("special values were handled");
        let digits = &value.digits;
        let mut leading = f64::from(digits.first().copied().unwrap_or(0));
        let mut power = value.weight * DECIMALS;
        for (index, digit) in digits.iter().enumerate().skip(1) {
            if index as i32 * DECIMALS >= 16 {
                break;
            }
            leading = leading * 1e4 + f64::from(*digit);
            power -= DECIMALS;
        }
        let log10 = match digits.is_empty() {
            true => 0.0,
            false => f64::from(exponent) * (leading.log10() + f64::from(power)),
        };
        if log10 > f64::from((super::WEIGHT_MAX + 1) * DECIMALS) {
            return Err(overflow());
        }
        // PostgreSQL 15's scale; 16 has 16 significant digits here too.
        let scale = result_scale(0, value.scale);
        if log10 + 1.0 < -f64::from(scale) {
            return Ok(Numeric::zero().round_to(scale));
        }
        if self.is_zero() {
            return match exponent {
                0 => Ok(Numeric::from_i64(1).round_to(scale)),
                1.. => Ok(Numeric::zero().round_to(scale)),
                _ => Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")),
            };
        }
        let significant =
            (1 + scale + log10 as i32).max(1) + GUARD + f64::from(exponent).abs().log10().max(0.0) as i32;
        let (value, value_scale) = self.to_scaled();
        let mut square = Floating { mantissa: value, exponent: -i64::from(value_scale) };
        let mut result = Floating { mantissa: BigInt::one(), exponent: 0 };
        let mut rest = exponent.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                result = result.multiply(&square, significant);
            }
            rest >>= 1;
            if rest > 0 {
                square = square.multiply(&square.clone(), significant);
            }
        }
        if exponent < 0 {
            // 1 ÷ (m·10^e) at the result's scale.
            let shift = i64::from(scale) - result.exponent;
            let one = if shift >= 0 { power_of_ten(shift as u32) } else { BigInt::zero() };
            return Numeric::from_scaled(&round_divide(&one, &result.mantissa), scale);
        }
        let shift = result.exponent + i64::from(scale);
        let scaled = match shift >= 0 {
            true => result.mantissa * power_of_ten(shift as u32),
            false => round_divide(&result.mantissa, &power_of_ten(shift.unsigned_abs() as u32)),
        };
        Numeric::from_scaled(&scaled, scale)
    }

    fn as_i32(&self) -> Option<i32> {
        match self.min_scale()? {
            0 => i32::try_from(self.to_i64()?).ok(),
            _ => None,
        }
    }

    /// value × 10^precision, rounded.
    fn fixed(&self, precision: i32) -> BigInt {
        let (value, scale) = self.to_scaled();
        rescale(&value, scale, precision)
    }
}

/// mantissa × 10^exponent.
#[derive(Clone)]
struct Floating {
    mantissa: BigInt,
    exponent: i64,
}

impl Floating {
    fn multiply(&self, other: &Floating, significant: i32) -> Floating {
        let mantissa = &self.mantissa * &other.mantissa;
        let exponent = self.exponent + other.exponent;
        let digits = (mantissa.bits() as f64 * std::f64::consts::LOG10_2) as i64;
        match digits - i64::from(significant) {
            excess @ 1.. => Floating {
                mantissa: round_divide(&mantissa, &power_of_ten(excess as u32)),
                exponent: exponent + excess,
            },
            _ => Floating { mantissa, exponent },
        }
    }
}

/// The cases of power() with zero, NaN and infinities (numeric_power).
fn power_special(base: &Numeric, exponent: &Numeric) -> Result<Option<Numeric>> {
    let one = Numeric::from_i64(1);
    let error = |message: &str| Err(Error::new(SqlState::INVALID_POWER_ARGUMENT, message));
    if base.is_nan() || exponent.is_nan() {
        let is_one = base.compare(&one).is_eq() || exponent.is_zero();
        return Ok(Some(if is_one { one } else { Numeric::NaN }));
    }
    if base.is_zero() && exponent.signum() < 0 {
        return error("zero raised to a negative power is undefined");
    }
    let whole = !exponent.is_finite() || exponent.min_scale() == Some(0);
    if base.signum() < 0 && !whole {
        return error("a negative number raised to a non-integer power yields a complex result");
    }
    if base.is_finite() && exponent.is_finite() {
        return Ok(None);
    }
    if base.compare(&one).is_eq() || exponent.is_zero() {
        return Ok(Some(one));
    }
    if !exponent.is_finite() {
        let magnitude = base.abs().compare(&one);
        let grows = exponent.signum() > 0;
        return Ok(Some(match magnitude {
            Ordering::Equal => one,
            Ordering::Greater if grows => Numeric::Infinity,
            Ordering::Less if !grows => Numeric::Infinity,
            _ => Numeric::zero(),
        }));
    }
    if exponent.signum() < 0 {
        return Ok(Some(Numeric::zero()));
    }
    let odd = !exponent.rem(&Numeric::from_i64(2))?.is_zero();
    Ok(Some(if base.signum() < 0 && odd { Numeric::NegativeInfinity } else { Numeric::Infinity }))
}

fn rescale(value: &BigInt, from: i32, to: i32) -> BigInt {
    match to - from {
        0 => value.clone(),
        up @ 1.. => value * power_of_ten(up as u32),
        down => round_divide(value, &power_of_ten(down.unsigned_abs())),
    }
}

/// e^x for fixed-point x: x is halved until small, the Taylor series summed, the result squared back.
fn exp_fixed(x: &BigInt, precision: i32) -> BigInt {
    let one = power_of_ten(precision as u32);
    let magnitude = x.abs();
    let whole = (&magnitude / &one).to_u32().unwrap_or(u32::MAX);
    let halvings = 40 - whole.leading_zeros().min(32) as i32;
    let extra = halvings + GUARD;
    let unit = power_of_ten((precision + extra) as u32);
    let reduced = (magnitude * power_of_ten(extra as u32)) >> halvings as usize;
    let (mut sum, mut term, mut n) = (unit.clone(), unit.clone(), 1u32);
    loop {
        term = &term * &reduced / &unit / n;
        if term.is_zero() {
            break;
        }
        sum += &term;
        n += 1;
    }
    for _ in 0..halvings {
        sum = &sum * &sum / &unit;
    }
    if x.is_negative() {
        sum = &unit * &unit / sum;
    }
    rescale(&sum, precision + extra, precision)
}

/// ln x for fixed-point x of moderate size: square roots bring x near 1, then ln x = 2·atanh((x-1)/(x+1)).
fn ln_fixed(x: &BigInt, precision: i32) -> BigInt {
    let precision_inner = precision + GUARD;
    let one = power_of_ten(precision_inner as u32);
    let mut x = rescale(x, precision, precision_inner);
    let mut roots = 0;
    let near = &one / 100;
    while (&x - &one).abs() > near {
        x = BigInt::from_biguint(Sign::Plus, (x * &one).magnitude().sqrt());
        roots += 1;
    }
    let y = (&x - &one) * &one / (&x + &one);
    let square = &y * &y / &one;
    let (mut sum, mut power, mut n) = (BigInt::zero(), y, 1u32);
    while !power.is_zero() {
        sum += &power / n;
        power = power * &square / &one;
        n += 2;
    }
    rescale(&(sum << (roots + 1)), precision_inner, precision)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values from PostgreSQL 15.
    #[test]
    fn functions_match_postgresql() {
        let n = |text: &str| Numeric::parse(text).unwrap();
        let check =
            |result: Result<Numeric>, expected: &str| assert_eq!(result.unwrap().to_string(), expected);
        check(n("2").sqrt(), "1.414213562373095");
        check(n("1").exp(), "2.7182818284590452");
        check(n("-1").exp(), "0.3678794411714423");
        check(n("2").ln(), "0.6931471805599453");
        check(n("1000000").ln(), "13.815510557964274");
        check(Numeric::log(&n("2"), &n("64")), "6.0000000000000000");
        check(n("2").power(&n("10")), "1024.0000000000000000");
        check(n("2").power(&n("0.5")), "1.4142135623730950");
        check(n("2").power(&n("-2")), "0.2500000000000000");
        assert!(n("-1").sqrt().is_err() && n("0").ln().is_err() && n("7000").exp().is_err());
    }
}
