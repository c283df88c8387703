//! Ordered-set and hypothetical-set aggregates (WITHIN GROUP; orderedsetaggs.c).
//!
//! The executor sorts a group's rows before it adds them. An ordered-set aggregate gets its direct arguments (the same in every row) and
//! then the sorted values. A hypothetical-set aggregate asks where a row would stand among the others, which the executor, who
//! knows the order, answers: per row, in order, whether it comes before (-1), with (0) or after (1) the hypothetical one, and
//! whether it differs from the row before it.

use super::{Accumulator, AggregateKind, EvalContext, Operand, Registry};
use crate::error::{Error, Result, SqlState};
use crate::types::{ArrayValue, Datum, Type, compare_as};

fn get(arguments: &[Operand], index: usize, row: u32) -> Result<Datum> {
    match arguments.get(index) {
        Some(Operand::Column(column)) => Ok(column.get(row as usize)),
        Some(Operand::Constant(value)) => Ok(value.clone()),
        None => Err(Error::internal("an ordered-set aggregate lacks an argument")),
    }
}

/// percentile_disc and percentile_cont, of one fraction or an array of them.
struct Percentile {
    fractions: Option<Datum>,
    values: Vec<Datum>,
    bytes: usize,
    continuous: bool,
    result_element: Type,
}

impl Percentile {
    fn at(&self, fraction: &Datum) -> Result<Datum> {
        let Some(fraction) = fraction.as_f64() else { return Ok(Datum::Null) };
        if !(0.0..=1.0).contains(&fraction) {
            let message = format!("percentile value {fraction} is not between 0 and 1");
            return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        let count = self.values.len();
        if !self.continuous {
            let row = (fraction * count as f64).ceil() as usize;
            return Ok(self.values[row.clamp(1, count) - 1].clone());
        }
        let place = fraction * (count - 1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let share = place - place.floor();
        match (&self.values[low], &self.values[high.min(count - 1)]) {
            (Datum::Float8(low), Datum::Float8(high)) => Ok(Datum::Float8(low + share * (high - low))),
            (Datum::Interval(low), Datum::Interval(high)) => {
                let step = high.checked_sub(*low)?.multiply(share)?;
                step.checked_add(*low).map(Datum::Interval)
            }
            _ => Err(super::kernel::not_vectors()),
        }
    }
}

impl Accumulator for Percentile {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        for row in rows {
            direct(&mut self.fractions, get(arguments, 0, *row)?)?;
            let value = get(arguments, 1, *row)?;
            if !value.is_null() {
                self.bytes += value.bytes();
                self.values.push(value);
            }
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        match (&self.fractions, self.values.is_empty()) {
            (None, _) | (_, true) => Ok(Datum::Null),
            (Some(Datum::Array(fractions)), _) => {
                let elements = fractions.elements.iter().map(|fraction| self.at(fraction));
                let elements = elements.collect::<Result<Vec<_>>>()?;
                let (element, dimensions) = (self.result_element, fractions.dimensions.clone());
                Ok(Datum::array(ArrayValue { element, dimensions, elements }))
            }
            (Some(fraction), _) => self.at(fraction),
        }
    }
    fn bytes(&self) -> usize {
        64 + self.bytes
    }
}

/// Keeps the first of what must be the same in every row of a group.
fn direct(kept: &mut Option<Datum>, value: Datum) -> Result<()> {
    match kept {
        Some(kept) if *kept == value => Ok(()),
        Some(_) => Err(varying()),
        None => {
            *kept = Some(value);
            Ok(())
        }
    }
}

/// A direct argument that is not the group's.
pub(crate) fn varying() -> Error {
    let message = "direct arguments of an ordered-set aggregate must use only grouped columns";
    Error::new(SqlState::GROUPING_ERROR, message)
}

/// mode: the commonest value, of several the first.
struct Mode {
    data_type: Type,
    best: Datum,
    best_count: u64,
    current: Datum,
    count: u64,
}

impl Accumulator for Mode {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        for row in rows {
            let value = get(arguments, 0, *row)?;
            if value.is_null() {
                continue;
            }
            match !self.current.is_null() && compare_as(&self.current, &value, self.data_type).is_eq() {
                true => self.count += 1,
                false => (self.current, self.count) = (value, 1),
            }
            if self.count > self.best_count {
                (self.best, self.best_count) = (self.current.clone(), self.count);
            }
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.best.clone())
    }
}

/// Where the hypothetical row stands.
#[derive(Default)]
struct Standing {
    rows: i64,
    before: i64,
    distinct_before: i64,
    with: i64,
    answer: Answer,
}

#[derive(Default, Clone, Copy)]
enum Answer {
    #[default]
    Rank,
    DenseRank,
    PercentRank,
    Share,
}

impl Accumulator for Standing {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        for row in rows {
            self.rows += 1;
            let differs = get(arguments, 1, *row)?.as_bool() == Some(true);
            match get(arguments, 0, *row)?.as_i32() {
                Some(-1) => {
                    self.before += 1;
                    self.distinct_before += i64::from(differs);
                }
                Some(0) => self.with += 1,
                _ => {}
            }
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(match self.answer {
            Answer::Rank => Datum::Int8(self.before + 1),
            Answer::DenseRank => Datum::Int8(self.distinct_before + 1),
            Answer::PercentRank if self.rows == 0 => Datum::Float8(0.0),
            Answer::PercentRank => Datum::Float8(self.before as f64 / self.rows as f64),
            Answer::Share => Datum::Float8((self.before + self.with + 1) as f64 / (self.rows + 1) as f64),
        })
    }
}

fn percentile(types: &[Type], continuous: bool) -> Box<dyn Accumulator> {
    let result_element = types.get(1).copied().unwrap_or(Type::FLOAT8);
    Box::new(Percentile { fractions: None, values: Vec::new(), bytes: 0, continuous, result_element })
}

fn standing(answer: Answer) -> Box<dyn Accumulator> {
    Box::new(Standing { answer, ..Standing::default() })
}

pub fn register(r: &mut Registry) {
    r.aggregate_of("agg:percentile_disc", AggregateKind::OrderedSet, |types| percentile(types, false));
    r.aggregate_of("agg:percentile_cont", AggregateKind::OrderedSet, |types| percentile(types, true));
    r.aggregate_of("agg:mode", AggregateKind::OrderedSet, |types| {
        let data_type = types.first().copied().unwrap_or(Type::ANY);
        Box::new(Mode { data_type, best: Datum::Null, best_count: 0, current: Datum::Null, count: 0 })
    });
    r.aggregate_of("agg:rank", AggregateKind::Hypothetical, |_| standing(Answer::Rank));
    r.aggregate_of("agg:dense_rank", AggregateKind::Hypothetical, |_| standing(Answer::DenseRank));
    r.aggregate_of("agg:percent_rank", AggregateKind::Hypothetical, |_| standing(Answer::PercentRank));
    r.aggregate_of("agg:cume_dist", AggregateKind::Hypothetical, |_| standing(Answer::Share));
}
