//! Functions, operators and aggregates of ranges and multiranges. What they compute is in `types::range`, once for both.

use super::arguments::scalar;
use super::{Accumulator, CallTypes, EvalContext, Operand, Registry, SetIterator};
use crate::error::{Error, Result, SqlState};
use crate::types::range::{Bound, RangeValue, Span};
use crate::types::{Datum, Type};

/// range_constructor2 and 3: two bounds, null for infinite, and how they are included.
fn construct(arguments: &[Datum], types: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Datum> {
    let (lower, upper, flags) = match arguments {
        [lower, upper] => (lower, upper, "[)"),
        [_, _, Datum::Null] => {
            let message = "range constructor flags argument must not be null";
            return Err(Error::new(SqlState::DATA_EXCEPTION, message));
        }
        [lower, upper, Datum::Text(flags)] => (lower, upper, &**flags),
        _ => return Err(super::arguments::wrong_count(arguments.len())),
    };
    let (lower_inclusive, upper_inclusive) = match flags {
        "[]" => (true, true),
        "[)" => (true, false),
        "(]" => (false, true),
        "()" => (false, false),
        _ => {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid range bound flags")
                .hint("Valid values are \"[]\", \"[)\", \"(]\", and \"()\"."));
        }
    };
    let (lower, upper) =
        (Bound::new(lower.clone(), lower_inclusive), Bound::new(upper.clone(), upper_inclusive));
    RangeValue::between(types.result, lower, upper).map(Datum::range)
}

/// multirange_constructor0, 1 and 2: of nothing, of a range, of an array of ranges.
fn construct_multirange(arguments: &[Datum], types: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Datum> {
    let mut spans: Vec<Span> = Vec::new();
    match arguments {
        [] => {}
        [Datum::Array(array)] => {
            if array.dimensions.len() > 1 {
                let message = "multiranges cannot be constructed from multidimensional arrays";
                return Err(Error::new(SqlState::CARDINALITY_VIOLATION, message));
            }
            for element in &array.elements {
                let range = element.as_range().ok_or_else(|| {
                    let message = "multirange values cannot contain null members";
                    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
                })?;
                spans.extend(range.spans.iter().cloned());
            }
        }
        ranges => {
            spans.extend(ranges.iter().filter_map(Datum::as_range).flat_map(|range| range.spans.clone()))
        }
    }
    RangeValue::of_spans(types.result, spans).map(Datum::range)
}

/// The cast of a range: what it is of is said by its own type.
fn to_multirange(range: &RangeValue) -> Result<RangeValue> {
    let multirange = range.data_type.multirange_of_range();
    let multirange = multirange.ok_or_else(|| Error::internal("a range type without its multirange type"))?;
    RangeValue::of_spans(multirange, range.spans.clone())
}

fn bound(bound: Option<&Bound>) -> Datum {
    bound.and_then(|bound| bound.value.clone()).unwrap_or_default()
}

fn ranges_of(range: &RangeValue) -> Vec<Datum> {
    let data_type = range.data_type.range_of_multirange().unwrap_or(range.data_type);
    let one = |span: &Span| RangeValue { data_type, element: range.element, spans: vec![span.clone()] };
    range.spans.iter().map(one).map(Datum::range).collect()
}

fn unnest(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let Some(Datum::Range(range)) = arguments.first() else { return Ok(Box::new(std::iter::empty())) };
    Ok(super::series::from_list(ranges_of(range)))
}

/// range_agg: everything that any of the inputs covers.
struct Cover {
    data_type: Type,
    spans: Vec<Span>,
    any: bool,
    bytes: usize,
}

fn each_range(arguments: &[Operand], rows: &[u32], mut each: impl FnMut(&RangeValue)) -> Result<()> {
    let operand = arguments.first().ok_or_else(|| Error::internal("an aggregate lacks its argument"))?;
    for row in rows {
        let value = match operand {
            Operand::Column(column) => column.get(*row as usize),
            Operand::Constant(value) => value.clone(),
        };
        if let Datum::Range(range) = &value {
            each(range);
        }
    }
    Ok(())
}

impl Accumulator for Cover {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        each_range(arguments, rows, |range| {
            self.any = true;
            self.bytes += range.spans.len() * 128;
            self.spans.extend(range.spans.iter().cloned());
        })
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        match self.any {
            true => RangeValue::of_spans(self.data_type, std::mem::take(&mut self.spans)).map(Datum::range),
            false => Ok(Datum::Null),
        }
    }
    fn bytes(&self) -> usize {
        64 + self.bytes
    }
}

/// range_intersect_agg: what all of the inputs cover.
#[derive(Default)]
struct Common(Option<RangeValue>);

impl Accumulator for Common {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        each_range(arguments, rows, |range| {
            self.0 = Some(match &self.0 {
                None => range.clone(),
                Some(common) => common.intersect(range),
            });
        })
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.0.take().map_or(Datum::Null, Datum::range))
    }
}

/// Registers one implementation for ranges and multiranges on either side, under pg_proc's names of it.
macro_rules! pairs {
    ($registry:expr, |$a:ident, $b:ident| $body:expr, $($name:literal)*) => {
        $(scalar!($registry, $name, |$a: &RangeValue, $b: &RangeValue| $body);)*
    };
}

pub fn register(r: &mut Registry) {
    r.typed("range_constructor2", construct);
    r.typed("range_constructor3", construct);
    r.typed("multirange_constructor0", construct_multirange);
    scalar!(r, "multirange_constructor1", |range: &RangeValue| to_multirange(range));
    r.typed("multirange_constructor2", construct_multirange);
    register_questions(r);
    register_operators(r);
    r.set("multirange_unnest", unnest);
    scalar!(r, "int4range_canonical", |range: &RangeValue| range.clone());
    scalar!(r, "int8range_canonical", |range: &RangeValue| range.clone());
    scalar!(r, "daterange_canonical", |range: &RangeValue| range.clone());
    scalar!(r, "int4range_subdiff", |a: i32, b: i32| f64::from(a) - f64::from(b));
    scalar!(r, "int8range_subdiff", |a: i64, b: i64| a as f64 - b as f64);
    r.aggregate("agg:range_agg", |types| {
        let given = types.first().copied().unwrap_or(Type::ANYMULTIRANGE).base();
        let data_type = given.multirange_of_range().unwrap_or(given);
        Box::new(Cover { data_type, spans: Vec::new(), any: false, bytes: 0 })
    });
    r.aggregate("agg:range_intersect_agg", |_| Box::new(Common::default()));
}

fn register_questions(r: &mut Registry) {
    macro_rules! both {
        ($range:literal, $multirange:literal, |$value:ident| $body:expr) => {
            scalar!(r, $range, |$value: &RangeValue| $body);
            scalar!(r, $multirange, |$value: &RangeValue| $body);
        };
    }
    both!("range_lower", "multirange_lower", |range| bound(range.lower()));
    both!("range_upper", "multirange_upper", |range| bound(range.upper()));
    both!("range_empty", "multirange_empty", |range| range.is_empty());
    both!("range_lower_inc", "multirange_lower_inc", |range| range.lower().is_some_and(|end| end.inclusive));
    both!("range_upper_inc", "multirange_upper_inc", |range| range.upper().is_some_and(|end| end.inclusive));
    both!("range_lower_inf", "multirange_lower_inf", |range| {
        range.lower().is_some_and(|end| end.value.is_none())
    });
    both!("range_upper_inf", "multirange_upper_inf", |range| {
        range.upper().is_some_and(|end| end.value.is_none())
    });
}

fn register_operators(r: &mut Registry) {
    pairs!(r, |a, b| a.compare(b).is_eq(), "range_eq" "multirange_eq");
    pairs!(r, |a, b| a.compare(b).is_ne(), "range_ne" "multirange_ne");
    pairs!(r, |a, b| a.compare(b).is_lt(), "range_lt" "multirange_lt");
    pairs!(r, |a, b| a.compare(b).is_le(), "range_le" "multirange_le");
    pairs!(r, |a, b| a.compare(b).is_gt(), "range_gt" "multirange_gt");
    pairs!(r, |a, b| a.compare(b).is_ge(), "range_ge" "multirange_ge");
    pairs!(r, |a, b| a.compare(b) as i32, "range_cmp" "multirange_cmp");
    for name in ["range_contains_elem", "multirange_contains_elem"] {
        scalar!(r, name, |range: &RangeValue, value: &Datum| range.contains_element(value));
    }
    for name in ["elem_contained_by_range", "elem_contained_by_multirange"] {
        scalar!(r, name, |value: &Datum, range: &RangeValue| range.contains_element(value));
    }
    pairs!(r, |a, b| a.overlaps(b),
        "range_overlaps" "range_overlaps_multirange" "multirange_overlaps_range" "multirange_overlaps_multirange");
    pairs!(r, |a, b| a.contains(b),
        "range_contains" "range_contains_multirange" "multirange_contains_range" "multirange_contains_multirange");
    pairs!(r, |a, b| b.contains(a),
        "range_contained_by" "range_contained_by_multirange" "multirange_contained_by_range" "multirange_contained_by_multirange");
    pairs!(r, |a, b| a.adjacent(b),
        "range_adjacent" "range_adjacent_multirange" "multirange_adjacent_range" "multirange_adjacent_multirange");
    pairs!(r, |a, b| a.before(b),
        "range_before" "range_before_multirange" "multirange_before_range" "multirange_before_multirange");
    pairs!(r, |a, b| b.before(a),
        "range_after" "range_after_multirange" "multirange_after_range" "multirange_after_multirange");
    pairs!(r, |a, b| a.ends_before(b),
        "range_overleft" "range_overleft_multirange" "multirange_overleft_range" "multirange_overleft_multirange");
    pairs!(r, |a, b| a.begins_after(b),
        "range_overright" "range_overright_multirange" "multirange_overright_range" "multirange_overright_multirange");
    pairs!(r, |a, b| a.union(b), "range_union" "multirange_union");
    pairs!(r, |a, b| a.intersect(b), "range_intersect" "multirange_intersect");
    pairs!(r, |a, b| a.minus(b), "range_minus" "multirange_minus");
    scalar!(r, "range_merge", |a: &RangeValue, b: &RangeValue| a.hull(b, a.data_type));
    scalar!(r, "range_merge_from_multirange", |a: &RangeValue| {
        let range = a.data_type.range_of_multirange().unwrap_or(a.data_type);
        a.hull(a, range)
    });
}
