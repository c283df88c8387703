//! Functions of numeric; the arithmetic itself is `types/numeric`.

use super::Registry;
use super::arguments::scalar;
use super::kernel::numeric;
use super::math::{bucket_error, out_of_range};
use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, Numeric};
use num_bigint::BigInt;
use num_traits::One;

/// numeric_fac refuses more (the result would have over 131072 digits).
const FACTORIAL_MAX: i64 = 32177;

fn factorial(n: i64) -> Result<Numeric> {
    if n < 0 {
        return Err(out_of_range_error("factorial of a negative number is undefined"));
    }
    if n > FACTORIAL_MAX {
        return Err(out_of_range_error("value overflows numeric format"));
    }
    let product = (2..=n).fold(BigInt::one(), |product, factor| product * factor);
    Numeric::parse(&product.to_string())
}

fn out_of_range_error(message: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

fn to_integer<T: TryFrom<i64>>(value: &Numeric, name: &str) -> Result<T> {
    let special = match value {
        Numeric::NaN => Some("NaN"),
        Numeric::Infinity | Numeric::NegativeInfinity => Some("infinity"),
        Numeric::Small { .. } | Numeric::Large(_) => None,
    };
    if let Some(special) = special {
        let message = format!("cannot convert {special} to {name}");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    value.to_i64().and_then(|value| T::try_from(value).ok()).ok_or_else(|| out_of_range(name))
}

fn gcd(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if !a.is_finite() || !b.is_finite() {
        return Ok(Numeric::NaN);
    }
    let scale = a.scale().max(b.scale()).unwrap_or(0);
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        let rest = a.rem(&b)?;
        (a, b) = (b, rest);
    }
    a.round(scale)
}

fn lcm(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if !a.is_finite() || !b.is_finite() {
        return Ok(Numeric::NaN);
    }
    let scale = a.scale().max(b.scale()).unwrap_or(0);
    if a.is_zero() || b.is_zero() {
        return Numeric::zero().round(scale);
    }
    a.div_trunc(&gcd(a, b)?)?.mul(b)?.abs().round(scale)
}

fn width_bucket(value: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> Result<i32> {
    if count <= 0 {
        return Err(bucket_error("count must be greater than zero"));
    }
    if value.is_nan() || low.is_nan() || high.is_nan() {
        return Err(bucket_error("operand, lower bound, and upper bound cannot be NaN"));
    }
    if !low.is_finite() || !high.is_finite() {
        return Err(bucket_error("lower and upper bounds must be finite"));
    }
    let past = || count.checked_add(1).ok_or_else(|| out_of_range("integer"));
    let order = low.compare(high);
    if order.is_eq() {
        return Err(bucket_error("lower bound cannot equal upper bound"));
    }
    // `order` says which way the buckets go.
    if value.compare(low) == order {
        return Ok(0);
    }
    if value.compare(high) != order {
        return past();
    }
    let position =
        value.sub(low)?.mul(&Numeric::from_i64(i64::from(count)))?.div(&high.sub(low)?)?.floor()?;
    Ok(position.to_i64().map_or(0, |bucket| bucket.clamp(0, i64::from(count) - 1) as i32) + 1)
}

pub fn register(r: &mut Registry) {
    numeric!(r, "numeric_add" => Numeric, Numeric::add);
    numeric!(r, "numeric_sub" => Numeric, Numeric::sub);
    numeric!(r, "numeric_mul" => Numeric, Numeric::mul);
    numeric!(r, "numeric_div" => Numeric, Numeric::div);
    scalar!(r, "numeric_div_trunc", |a: &Numeric, b: &Numeric| a.div_trunc(b));
    numeric!(r, "numeric_mod" => Numeric, Numeric::rem);
    scalar!(r, "numeric_power", |a: &Numeric, b: &Numeric| a.power(b));
    scalar!(r, "numeric_sqrt", |a: &Numeric| a.sqrt());
    scalar!(r, "numeric_exp", |a: &Numeric| a.exp());
    scalar!(r, "numeric_ln", |a: &Numeric| a.ln());
    scalar!(r, "numeric_log", |a: &Numeric, b: &Numeric| Numeric::log(a, b));
    scalar!(r, "sql:log/1", |a: &Numeric| Numeric::log(&Numeric::from_i64(10), a));
    scalar!(r, "sql:log10/1", |a: &Numeric| Numeric::log(&Numeric::from_i64(10), a));
    scalar!(r, "numeric_abs", |a: &Numeric| a.abs());
    scalar!(r, "numeric_uminus", |a: &Numeric| a.neg());
    scalar!(r, "numeric_uplus", |a: &Datum| a.clone());
    scalar!(r, "numeric_sign", |a: &Numeric| match a {
        Numeric::NaN => Numeric::NaN,
        _ => Numeric::from_i64(i64::from(a.signum())),
    });
    scalar!(r, "numeric_ceil", |a: &Numeric| a.ceil());
    scalar!(r, "numeric_floor", |a: &Numeric| a.floor());
    scalar!(r, "numeric_round", |a: &Numeric, scale: i32| a.round(scale));
    scalar!(r, "numeric_trunc", |a: &Numeric, scale: i32| a.trunc(scale));
    scalar!(r, "sql:round/1", |a: &Numeric| a.round(0));
    scalar!(r, "sql:trunc/1", |a: &Numeric| a.trunc(0));
    scalar!(r, "numeric_inc", |a: &Numeric| a.add(&Numeric::from_i64(1)));
    scalar!(r, "numeric_larger", |a: &Numeric, b: &Numeric| if a.compare(b).is_gt() {
        a.clone()
    } else {
        b.clone()
    });
    scalar!(r, "numeric_smaller", |a: &Numeric, b: &Numeric| if a.compare(b).is_lt() {
        a.clone()
    } else {
        b.clone()
    });
    scalar!(r, "numeric_scale", |a: &Numeric| a.scale());
    scalar!(r, "numeric_min_scale", |a: &Numeric| a.min_scale());
    scalar!(r, "numeric_trim_scale", |a: &Numeric| a.trim_scale());
    scalar!(r, "numeric_fac", |a: i64| factorial(a));
    scalar!(r, "numeric_gcd", |a: &Numeric, b: &Numeric| gcd(a, b));
    scalar!(r, "numeric_lcm", |a: &Numeric, b: &Numeric| lcm(a, b));
    scalar!(r, "width_bucket_numeric", |a: &Numeric, low: &Numeric, high: &Numeric, count: i32| {
        width_bucket(a, low, high, count)
    });
    scalar!(r, "int2_numeric", |a: i16| Numeric::from_i64(i64::from(a)));
    scalar!(r, "int4_numeric", |a: i32| Numeric::from_i64(i64::from(a)));
    scalar!(r, "int8_numeric", |a: i64| Numeric::from_i64(a));
    scalar!(r, "float4_numeric", |a: f32| Numeric::from_f64(f64::from(a), 6));
    scalar!(r, "float8_numeric", |a: f64| Numeric::from_f64(a, 15));
    scalar!(r, "numeric_int2", |a: &Numeric| to_integer::<i16>(a, "smallint"));
    scalar!(r, "numeric_int4", |a: &Numeric| to_integer::<i32>(a, "integer"));
    scalar!(r, "numeric_int8", |a: &Numeric| to_integer::<i64>(a, "bigint"));
    scalar!(r, "numeric_float4", |a: &Numeric| {
        let value = a.to_f64();
        let narrowed = a.to_string().parse::<f32>().unwrap_or(value as f32);
        match narrowed.is_infinite() && a.is_finite() {
            true => Err(out_of_range_error(&format!("\"{a}\" is out of range for type real"))),
            false => Ok(narrowed),
        }
    });
    scalar!(r, "numeric_float8", |a: &Numeric| {
        let value = a.to_f64();
        match value.is_infinite() && a.is_finite() {
            true => Err(out_of_range_error(&format!("\"{a}\" is out of range for type double precision"))),
            false => Ok(value),
        }
    });
}
