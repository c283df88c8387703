//! Arithmetic of integers and floats, with PostgreSQL's overflow and division errors; trigonometry; random numbers.

use super::arguments::{OidValue, scalar};
use super::kernel::binary;
use super::{EvalContext, Registry};
use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, compare_floats};
use std::cell::RefCell;

pub fn out_of_range(name: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
}

pub fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// An integer type's name in its overflow error.
trait Integer: Copy + Into<i64> + TryFrom<i64> + Default {
    const NAME: &'static str;
}
impl Integer for i16 {
    const NAME: &'static str = "smallint";
}
impl Integer for i32 {
    const NAME: &'static str = "integer";
}
impl Integer for i64 {
    const NAME: &'static str = "bigint";
}

fn narrow<R: Integer>(value: Option<i64>) -> Result<R> {
    value.and_then(|value| R::try_from(value).ok()).ok_or_else(|| out_of_range(R::NAME))
}

fn divide<R: Integer>(a: impl Into<i64>, b: impl Into<i64>) -> Result<R> {
    match b.into() {
        0 => Err(division_by_zero()),
        b => narrow(a.into().checked_div(b)),
    }
}

/// The remainder of the smallest integer by -1 is 0, not an overflow.
fn modulo<R: Integer>(a: R, b: R) -> Result<R> {
    match b.into() {
        0 => Err(division_by_zero()),
        b => narrow(Some(a.into().wrapping_rem(b))),
    }
}

macro_rules! arithmetic {
    ($registry:expr, $prefix:literal, $a:ident, $b:ident => $r:ident, $type:ty) => {
        binary!($registry, concat!($prefix, "pl"), $a, $b => $r, |a, b| narrow::<$type>(i64::from(a).checked_add(i64::from(b))));
        binary!($registry, concat!($prefix, "mi"), $a, $b => $r, |a, b| narrow::<$type>(i64::from(a).checked_sub(i64::from(b))));
        binary!($registry, concat!($prefix, "mul"), $a, $b => $r, |a, b| narrow::<$type>(i64::from(a).checked_mul(i64::from(b))));
        binary!($registry, concat!($prefix, "div"), $a, $b => $r, |a, b| divide::<$type>(a, b));
    };
}

macro_rules! integer {
    ($registry:expr, $prefix:literal, $variant:ident, $type:ty) => {
        arithmetic!($registry, $prefix, $variant, $variant => $variant, $type);
        binary!($registry, concat!($prefix, "mod"), $variant, $variant => $variant, |a, b| modulo::<$type>(a, b));
        binary!($registry, concat!($prefix, "and"), $variant, $variant => $variant, |a, b| Ok::<$type, Error>(a & b));
        binary!($registry, concat!($prefix, "or"), $variant, $variant => $variant, |a, b| Ok::<$type, Error>(a | b));
        binary!($registry, concat!($prefix, "xor"), $variant, $variant => $variant, |a, b| Ok::<$type, Error>(a ^ b));
        scalar!($registry, concat!($prefix, "not"), |a: $type| !a);
        scalar!($registry, concat!($prefix, "shl"), |a: $type, b: i32| a.wrapping_shl(b as u32));
        scalar!($registry, concat!($prefix, "shr"), |a: $type, b: i32| a.wrapping_shr(b as u32));
        scalar!($registry, concat!($prefix, "um"), |a: $type| narrow::<$type>(i64::from(a).checked_neg()));
        scalar!($registry, concat!($prefix, "up"), |a: $type| a);
        scalar!($registry, concat!($prefix, "abs"), |a: $type| narrow::<$type>(i64::from(a).checked_abs()));
        scalar!($registry, concat!($prefix, "larger"), |a: $type, b: $type| a.max(b));
        scalar!($registry, concat!($prefix, "smaller"), |a: $type, b: $type| a.min(b));
    };
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

fn underflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// An infinity that no argument was, or a zero that should not be, is out of range.
fn checked(value: f64, infinite_input: bool, zero_allowed: bool) -> Result<f64> {
    if value.is_infinite() && !infinite_input {
        return Err(overflow());
    }
    if value == 0.0 && !zero_allowed {
        return Err(underflow());
    }
    Ok(value)
}

fn float_add(a: f64, b: f64) -> Result<f64> {
    checked(a + b, a.is_infinite() || b.is_infinite(), true)
}
fn float_sub(a: f64, b: f64) -> Result<f64> {
    checked(a - b, a.is_infinite() || b.is_infinite(), true)
}
fn float_mul(a: f64, b: f64) -> Result<f64> {
    checked(a * b, a.is_infinite() || b.is_infinite(), a == 0.0 || b == 0.0)
}
fn float_div(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 && !a.is_nan() {
        return Err(division_by_zero());
    }
    checked(a / b, a.is_infinite(), a == 0.0 || b.is_infinite())
}

/// The same in single precision: computed there, for rounding twice could differ.
fn float4_op(a: f32, b: f32, op: impl Fn(f32, f32) -> f32, divides: bool, multiplies: bool) -> Result<f32> {
    if divides && b == 0.0 && !a.is_nan() {
        return Err(division_by_zero());
    }
    let result = op(a, b);
    let infinite = a.is_infinite() || !divides && b.is_infinite();
    let zero = if multiplies { a == 0.0 || b == 0.0 } else { !divides || a == 0.0 || b.is_infinite() };
    checked(f64::from(result), infinite, zero)?;
    Ok(result)
}

/// Rounds half to even, as rint() does, and checks the range.
fn float_to_integer<R: Integer>(value: f64, least: f64, beyond: f64) -> Result<R> {
    let rounded = value.round_ties_even();
    match rounded >= least && rounded < beyond {
        true => narrow(Some(rounded as i64)),
        false => Err(out_of_range(R::NAME)),
    }
}

/// dpow: the C library's pow() with SQL's errors.
pub fn power(a: f64, b: f64) -> Result<f64> {
    let error = |message: &str| Err(Error::new(SqlState::INVALID_POWER_ARGUMENT, message));
    if a.is_nan() || b.is_nan() {
        return Ok(if b == 0.0 || a == 1.0 { 1.0 } else { f64::NAN });
    }
    if a == 0.0 && b < 0.0 {
        return error("zero raised to a negative power is undefined");
    }
    if a < 0.0 && b.floor() != b {
        return error("a negative number raised to a non-integer power yields a complex result");
    }
    checked(a.powf(b), a.is_infinite() || b.is_infinite(), a == 0.0 || b.is_infinite() || a.is_infinite())
}

fn logarithm(value: f64, log: fn(f64) -> f64) -> Result<f64> {
    let error = |message: &str| Err(Error::new(SqlState::INVALID_LOGARITHM_ARGUMENT, message));
    if value == 0.0 {
        return error("cannot take logarithm of zero");
    }
    if value < 0.0 {
        return error("cannot take logarithm of a negative number");
    }
    checked(log(value), value.is_infinite(), value == 1.0)
}

fn input_out_of_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn within(value: f64, valid: bool, function: fn(f64) -> f64) -> Result<f64> {
    if value.is_nan() {
        return Ok(f64::NAN);
    }
    if valid { Ok(function(value)) } else { Err(input_out_of_range()) }
}

const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

/// Scaled so that sind(30) is exactly 0.5.
fn sine_to_30(degrees: f64) -> f64 {
    (degrees * RADIANS_PER_DEGREE).sin() / (30.0 * RADIANS_PER_DEGREE).sin() / 2.0
}

/// Scaled so that cosd(60) is exactly 0.5.
fn cosine_to_60(degrees: f64) -> f64 {
    let fall = 1.0 - (degrees * RADIANS_PER_DEGREE).cos();
    1.0 - fall / (1.0 - (60.0 * RADIANS_PER_DEGREE).cos()) / 2.0
}

/// Sines of degrees, exact at the multiples of 30 and 45 where radians can't be.
fn sine_of_degrees(degrees: f64) -> f64 {
    let turned = degrees % 360.0;
    let (sign, turned) = if turned < 0.0 { (-1.0, -turned) } else { (1.0, turned) };
    let (sign, turned) = if turned > 180.0 { (-sign, turned - 180.0) } else { (sign, turned) };
    let folded = if turned > 90.0 { 180.0 - turned } else { turned };
    sign * if folded <= 30.0 { sine_to_30(folded) } else { cosine_to_60(90.0 - folded) }
}

fn cosine_of_degrees(degrees: f64) -> f64 {
    let turned = (degrees % 360.0).abs();
    let turned = if turned > 180.0 { 360.0 - turned } else { turned };
    let (sign, folded) = if turned > 90.0 { (-1.0, 180.0 - turned) } else { (1.0, turned) };
    sign * if folded <= 60.0 { cosine_to_60(folded) } else { sine_to_30(90.0 - folded) }
}

fn tangent_of_degrees(degrees: f64) -> f64 {
    match degrees % 180.0 {
        45.0 | -135.0 => 1.0,
        135.0 | -45.0 => -1.0,
        _ => sine_of_degrees(degrees) / cosine_of_degrees(degrees),
    }
}

fn gcd(a: i64, b: i64) -> u64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn checked_gcd<R: Integer>(a: R, b: R) -> Result<R> {
    narrow(i64::try_from(gcd(a.into(), b.into())).ok())
}

fn checked_lcm<R: Integer>(a: R, b: R) -> Result<R> {
    let (a, b) = (a.into(), b.into());
    if a == 0 || b == 0 {
        return narrow(Some(0));
    }
    let product = i128::from(a) / i128::from(gcd(a, b)) * i128::from(b);
    narrow(i64::try_from(product.abs()).ok())
}

pub(super) fn bucket_error(message: &str) -> Error {
    Error::new(SqlState(*b"2201G"), message)
}

fn width_bucket(value: f64, low: f64, high: f64, count: i32) -> Result<i32> {
    if count <= 0 {
        return Err(bucket_error("count must be greater than zero"));
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return Err(bucket_error("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(bucket_error("lower and upper bounds must be finite"));
    }
    let past = || count.checked_add(1).ok_or_else(|| out_of_range("integer"));
    let inside = |part: f64| (f64::from(count) * part).floor().min(f64::from(count) - 1.0) as i32 + 1;
    match compare_floats(low, high) {
        std::cmp::Ordering::Less if value < low => Ok(0),
        std::cmp::Ordering::Less if value >= high => past(),
        std::cmp::Ordering::Less => Ok(inside((value - low) / (high - low))),
        std::cmp::Ordering::Greater if value > low => Ok(0),
        std::cmp::Ordering::Greater if value <= high => past(),
        std::cmp::Ordering::Greater => Ok(inside((low - value) / (low - high))),
        std::cmp::Ordering::Equal => Err(bucket_error("lower bound cannot equal upper bound")),
    }
}

thread_local! {
    /// setseed()'s generator. Per thread rather than per session: a seeded sequence is repeatable within one statement
    /// batch of a session that stays on its thread, which is what tests use it for.
    static SEEDED: RefCell<Option<rand::rngs::StdRng>> = const { RefCell::new(None) };
}

fn random(_: &EvalContext<'_>) -> f64 {
    use rand::Rng;
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(source) => source.random(),
        None => rand::random(),
    })
}

fn set_seed(seed: f64) -> Result<()> {
    use rand::SeedableRng;
    if !(-1.0..=1.0).contains(&seed) {
        let message = format!("setseed parameter {seed} is out of allowed range [-1,1]");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    SEEDED.with_borrow_mut(|seeded| *seeded = Some(rand::rngs::StdRng::seed_from_u64(seed.to_bits())));
    Ok(())
}

pub fn register(r: &mut Registry) {
    integer!(r, "int2", Int2, i16);
    integer!(r, "int4", Int4, i32);
    integer!(r, "int8", Int8, i64);
    arithmetic!(r, "int24", Int2, Int4 => Int4, i32);
    arithmetic!(r, "int42", Int4, Int2 => Int4, i32);
    arithmetic!(r, "int28", Int2, Int8 => Int8, i64);
    arithmetic!(r, "int82", Int8, Int2 => Int8, i64);
    arithmetic!(r, "int48", Int4, Int8 => Int8, i64);
    arithmetic!(r, "int84", Int8, Int4 => Int8, i64);
    scalar!(r, "int4gcd", |a: i32, b: i32| checked_gcd(a, b));
    scalar!(r, "int8gcd", |a: i64, b: i64| checked_gcd(a, b));
    scalar!(r, "int4lcm", |a: i32, b: i32| checked_lcm(a, b));
    scalar!(r, "int8lcm", |a: i64, b: i64| checked_lcm(a, b));
    scalar!(r, "int8inc", |a: i64| narrow::<i64>(a.checked_add(1)));
    scalar!(r, "int8dec", |a: i64| narrow::<i64>(a.checked_sub(1)));
    register_casts(r);

    binary!(r, "float8pl", Float8, Float8 => Float8, float_add);
    binary!(r, "float8mi", Float8, Float8 => Float8, float_sub);
    binary!(r, "float8mul", Float8, Float8 => Float8, float_mul);
    binary!(r, "float8div", Float8, Float8 => Float8, float_div);
    binary!(r, "float48pl", Float4, Float8 => Float8, |a: f32, b| float_add(f64::from(a), b));
    binary!(r, "float48mi", Float4, Float8 => Float8, |a: f32, b| float_sub(f64::from(a), b));
    binary!(r, "float48mul", Float4, Float8 => Float8, |a: f32, b| float_mul(f64::from(a), b));
    binary!(r, "float48div", Float4, Float8 => Float8, |a: f32, b| float_div(f64::from(a), b));
    binary!(r, "float84pl", Float8, Float4 => Float8, |a, b: f32| float_add(a, f64::from(b)));
    binary!(r, "float84mi", Float8, Float4 => Float8, |a, b: f32| float_sub(a, f64::from(b)));
    binary!(r, "float84mul", Float8, Float4 => Float8, |a, b: f32| float_mul(a, f64::from(b)));
    binary!(r, "float84div", Float8, Float4 => Float8, |a, b: f32| float_div(a, f64::from(b)));
    binary!(r, "float4pl", Float4, Float4 => Float4, |a, b| float4_op(a, b, |a, b| a + b, false, false));
    binary!(r, "float4mi", Float4, Float4 => Float4, |a, b| float4_op(a, b, |a, b| a - b, false, false));
    binary!(r, "float4mul", Float4, Float4 => Float4, |a, b| float4_op(a, b, |a, b| a * b, false, true));
    binary!(r, "float4div", Float4, Float4 => Float4, |a, b| float4_op(a, b, |a, b| a / b, true, false));
    scalar!(r, "float4um", |a: f32| -a);
    scalar!(r, "float8um", |a: f64| -a);
    scalar!(r, "float4up", |a: f32| a);
    scalar!(r, "float8up", |a: f64| a);
    scalar!(r, "float4abs", |a: f32| a.abs());
    scalar!(r, "float8abs", |a: f64| a.abs());
    scalar!(r, "float8larger", |a: f64, b: f64| if compare_floats(a, b).is_gt() { a } else { b });
    scalar!(r, "float8smaller", |a: f64, b: f64| if compare_floats(a, b).is_lt() { a } else { b });

    scalar!(r, "dround", |a: f64| a.round_ties_even());
    scalar!(r, "dtrunc", |a: f64| a.trunc());
    scalar!(r, "dceil", |a: f64| a.ceil());
    scalar!(r, "dfloor", |a: f64| a.floor());
    scalar!(r, "dsign", |a: f64| if a > 0.0 {
        1.0
    } else if a < 0.0 {
        -1.0
    } else {
        0.0
    });
    scalar!(r, "dsqrt", |a: f64| match a < 0.0 {
        true =>
            Err(Error::new(SqlState::INVALID_POWER_ARGUMENT, "cannot take square root of a negative number")),
        false => Ok(a.sqrt()),
    });
    scalar!(r, "dcbrt", |a: f64| a.cbrt());
    scalar!(r, "dpow", |a: f64, b: f64| power(a, b));
    scalar!(r, "dexp", |a: f64| checked(a.exp(), a.is_infinite(), a == f64::NEG_INFINITY));
    scalar!(r, "dlog1", |a: f64| logarithm(a, f64::ln));
    scalar!(r, "dlog10", |a: f64| logarithm(a, f64::log10));
    scalar!(r, "dpi", || std::f64::consts::PI);
    scalar!(r, "degrees", |a: f64| checked(a / RADIANS_PER_DEGREE, a.is_infinite(), a == 0.0));
    scalar!(r, "radians", |a: f64| a * RADIANS_PER_DEGREE);
    scalar!(r, "dsin", |a: f64| within(a, a.is_finite(), f64::sin));
    scalar!(r, "dcos", |a: f64| within(a, a.is_finite(), f64::cos));
    scalar!(r, "dtan", |a: f64| within(a, a.is_finite(), f64::tan));
    scalar!(r, "dcot", |a: f64| within(a, a.is_finite(), |a| 1.0 / a.tan()));
    scalar!(r, "dasin", |a: f64| within(a, a.abs() <= 1.0, f64::asin));
    scalar!(r, "dacos", |a: f64| within(a, a.abs() <= 1.0, f64::acos));
    scalar!(r, "datan", |a: f64| a.atan());
    scalar!(r, "datan2", |a: f64, b: f64| a.atan2(b));
    scalar!(r, "dsinh", |a: f64| a.sinh());
    scalar!(r, "dcosh", |a: f64| a.cosh());
    scalar!(r, "dtanh", |a: f64| a.tanh());
    scalar!(r, "dasinh", |a: f64| a.asinh());
    scalar!(r, "dacosh", |a: f64| within(a, a >= 1.0, f64::acosh));
    scalar!(r, "datanh", |a: f64| within(a, a.abs() <= 1.0, f64::atanh));
    scalar!(r, "dsind", |a: f64| within(a, a.is_finite(), sine_of_degrees));
    scalar!(r, "dcosd", |a: f64| within(a, a.is_finite(), cosine_of_degrees));
    scalar!(r, "dtand", |a: f64| within(a, a.is_finite(), tangent_of_degrees));
    scalar!(r, "width_bucket_float8", |a: f64, low: f64, high: f64, count: i32| width_bucket(
        a, low, high, count
    ));
    scalar!(r, "drandom", |context;| random(context));
    scalar!(r, "setseed", |a: f64| set_seed(a));
}

fn register_casts(r: &mut Registry) {
    const I16: (f64, f64) = (-32768.0, 32768.0);
    const I32: (f64, f64) = (-2147483648.0, 2147483648.0);
    const I64: (f64, f64) = (-9223372036854775808.0, 9223372036854775808.0);
    scalar!(r, "i2toi4", |a: i16| i32::from(a));
    scalar!(r, "i4toi2", |a: i32| narrow::<i16>(Some(i64::from(a))));
    scalar!(r, "int48", |a: i32| i64::from(a));
    scalar!(r, "int84", |a: i64| narrow::<i32>(Some(a)));
    scalar!(r, "int28", |a: i16| i64::from(a));
    scalar!(r, "int82", |a: i64| narrow::<i16>(Some(a)));
    scalar!(r, "i2tod", |a: i16| f64::from(a));
    scalar!(r, "i2tof", |a: i16| f32::from(a));
    scalar!(r, "i4tod", |a: i32| f64::from(a));
    scalar!(r, "i4tof", |a: i32| a as f32);
    scalar!(r, "i8tod", |a: i64| a as f64);
    scalar!(r, "i8tof", |a: i64| a as f32);
    scalar!(r, "ftod", |a: f32| f64::from(a));
    scalar!(r, "dtof", |a: f64| {
        let narrowed = a as f32;
        checked(f64::from(narrowed), a.is_infinite(), a == 0.0).map(|_| narrowed)
    });
    scalar!(r, "dtoi2", |a: f64| float_to_integer::<i16>(a, I16.0, I16.1));
    scalar!(r, "dtoi4", |a: f64| float_to_integer::<i32>(a, I32.0, I32.1));
    scalar!(r, "dtoi8", |a: f64| float_to_integer::<i64>(a, I64.0, I64.1));
    scalar!(r, "ftoi2", |a: f32| float_to_integer::<i16>(f64::from(a), I16.0, I16.1));
    scalar!(r, "ftoi4", |a: f32| float_to_integer::<i32>(f64::from(a), I32.0, I32.1));
    scalar!(r, "ftoi8", |a: f32| float_to_integer::<i64>(f64::from(a), I64.0, I64.1));
    scalar!(r, "int4_bool", |a: i32| a != 0);
    scalar!(r, "bool_int4", |a: bool| i32::from(a));
    scalar!(r, "i8tooid", |a: i64| u32::try_from(a).map(OidValue).map_err(|_| out_of_range("OID")));
    scalar!(r, "oidtoi8", |a: OidValue| i64::from(a.0));
}
