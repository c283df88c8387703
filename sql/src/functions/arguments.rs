//! Typed access to arguments and results, and the macros with which families register implementations.

use crate::error::{Error, Result};
use crate::types::range::RangeValue;
use crate::types::{ArrayValue, Datum, Interval, Numeric, Oid, TimeTz};
use std::sync::Arc;

/// A value of type date.
#[derive(Clone, Copy)]
pub struct Date(pub i32);
/// A value of type time.
#[derive(Clone, Copy)]
pub struct Time(pub i64);
/// A value of type timestamp or timestamptz.
#[derive(Clone, Copy)]
pub struct Timestamp(pub i64);
/// A value of type uuid.
pub struct Uuid(pub [u8; 16]);
/// A value of type oid or a reg type.
#[derive(Clone, Copy)]
pub struct OidValue(pub Oid);

/// What an implementation can take as an argument. A mismatch is a bug of the binder.
pub trait Argument<'a>: Sized {
    fn take(datum: &'a Datum) -> Result<Self>;
}

fn mismatch(datum: &Datum, wanted: &str) -> Error {
    Error::internal(format!("a function got {datum:?} where it takes {wanted}"))
}

macro_rules! arguments {
    ($($type:ty, $pattern:pat => $value:expr;)*) => {$(
        impl<'a> Argument<'a> for $type {
            #[inline]
            fn take(datum: &'a Datum) -> Result<Self> {
                match datum {
                    $pattern => Ok($value),
                    _ => Err(mismatch(datum, stringify!($type))),
                }
            }
        }
    )*};
}

arguments! {
    bool, Datum::Bool(value) => *value;
    i16, Datum::Int2(value) => *value;
    i32, Datum::Int4(value) => *value;
    i64, Datum::Int8(value) => *value;
    f32, Datum::Float4(value) => *value;
    f64, Datum::Float8(value) => *value;
    &'a Numeric, Datum::Numeric(value) => value;
    &'a str, Datum::Text(value) => value;
    &'a [u8], Datum::Bytea(value) => value;
    Date, Datum::Date(value) => Date(*value);
    Time, Datum::Time(value) => Time(*value);
    Timestamp, Datum::Timestamp(value) => Timestamp(*value);
    Interval, Datum::Interval(value) => *value;
    Uuid, Datum::Uuid(value) => Uuid(*value);
    OidValue, Datum::Oid(value) => OidValue(*value);
    &'a ArrayValue, Datum::Array(value) => value;
    &'a RangeValue, Datum::Range(value) => value;
    TimeTz, Datum::TimeTz(value) => *value;
}

impl<'a> Argument<'a> for &'a Datum {
    #[inline]
    fn take(datum: &'a Datum) -> Result<Self> {
        Ok(datum)
    }
}

/// For functions that are not strict.
impl<'a, T: Argument<'a>> Argument<'a> for Option<T> {
    #[inline]
    fn take(datum: &'a Datum) -> Result<Self> {
        match datum {
            Datum::Null => Ok(None),
            _ => T::take(datum).map(Some),
        }
    }
}

/// What an implementation can give.
pub trait IntoDatum {
    fn into_datum(self) -> Result<Datum>;
}

macro_rules! results {
    ($($type:ty, $value:ident => $datum:expr;)*) => {$(
        impl IntoDatum for $type {
            #[inline]
            fn into_datum(self) -> Result<Datum> {
                let $value = self;
                Ok($datum)
            }
        }
    )*};
}

results! {
    Datum, value => value;
    bool, value => Datum::Bool(value);
    i16, value => Datum::Int2(value);
    i32, value => Datum::Int4(value);
    i64, value => Datum::Int8(value);
    f32, value => Datum::Float4(value);
    f64, value => Datum::Float8(value);
    Numeric, value => Datum::numeric(value);
    &str, value => Datum::text(value);
    String, value => Datum::text(value);
    Arc<str>, value => Datum::Text(value);
    Vec<u8>, value => Datum::Bytea(value.into());
    &[u8], value => Datum::Bytea(value.into());
    Date, value => Datum::Date(value.0);
    Time, value => Datum::Time(value.0);
    Timestamp, value => Datum::Timestamp(value.0);
    Interval, value => Datum::Interval(value);
    Uuid, value => Datum::Uuid(value.0);
    OidValue, value => Datum::Oid(value.0);
    ArrayValue, value => Datum::array(value);
    RangeValue, value => Datum::range(value);
    TimeTz, value => Datum::TimeTz(value);
    (), _value => Datum::text("");
}

impl<T: IntoDatum> IntoDatum for Result<T> {
    #[inline]
    fn into_datum(self) -> Result<Datum> {
        self?.into_datum()
    }
}

impl<T: IntoDatum> IntoDatum for Option<T> {
    #[inline]
    fn into_datum(self) -> Result<Datum> {
        self.map_or(Ok(Datum::Null), T::into_datum)
    }
}

pub fn wrong_count(count: usize) -> Error {
    Error::internal(format!("a function got {count} arguments, which is not what it takes"))
}

/// `scalar!(registry, "name", |a: i32, b: &str| …)`; with `context;` before the arguments, the evaluation context too.
macro_rules! scalar {
    ($registry:expr, $name:expr, || $body:expr) => {
        $registry.scalar($name, |_, _| $crate::functions::arguments::IntoDatum::into_datum($body))
    };
    ($registry:expr, $name:expr, |$context:ident; $($argument:ident : $type:ty),*| $body:expr) => {
        $registry.scalar($name, |arguments, $context| {
            let [$($argument),*] = arguments else { return Err($crate::functions::arguments::wrong_count(arguments.len())) };
            $(let $argument: $type = $crate::functions::arguments::Argument::take($argument)?;)*
            $crate::functions::arguments::IntoDatum::into_datum($body)
        })
    };
    ($registry:expr, $name:expr, |$($argument:ident : $type:ty),*| $body:expr) => {
        $registry.scalar($name, |arguments, _| {
            let [$($argument),*] = arguments else { return Err($crate::functions::arguments::wrong_count(arguments.len())) };
            $(let $argument: $type = $crate::functions::arguments::Argument::take($argument)?;)*
            $crate::functions::arguments::IntoDatum::into_datum($body)
        })
    };
}

pub(crate) use scalar;
