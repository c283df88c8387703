//! How many rows a condition lets through, and what operators cost.
//!
//! Units are PostgreSQL's (a sequential page read is 1), with constants for this store: pages are mostly in memory, a row found by
//! key costs a descent of the tree.

use super::logical::ColumnInfo;
use crate::catalog::{ColumnStatistics, Table};
use crate::expr::{ColumnId, ColumnSet, Expr};
use crate::functions::Function;
use crate::table::key::{self, KeyOrder};
use crate::types::Datum;
use std::collections::HashMap;
use std::sync::Arc;

pub const PAGE_BYTES: f64 = 8192.0;
pub const SEQUENTIAL_PAGE: f64 = 1.0;
pub const ROW: f64 = 0.01;
pub const OPERATOR: f64 = 0.0025;
/// A descent of a tree to one key.
pub const DESCENT: f64 = 0.25;
/// From an index entry to its row.
pub const LOOKUP: f64 = 0.2;
/// The same to one on the page of the one before: many rows behind an index are read in the table's order.
pub const LOOKUP_NEAR: f64 = 0.03;
/// A row read in key order.
pub const NEXT: f64 = 0.015;
pub const HASH_BUILD: f64 = 0.02;
pub const HASH_PROBE: f64 = 0.0125;

const EQUALITY: f64 = 0.005;
const INEQUALITY: f64 = 1.0 / 3.0;
const RANGE: f64 = 0.005;
const PATTERN: f64 = 0.05;
const NULLS: f64 = 0.005;
const CONTAINS: f64 = 0.005;
const OVERLAPS: f64 = 0.01;
const DISTINCT_DEFAULT: f64 = 200.0;
/// Tables nobody has counted.
const ROWS_DEFAULT: f64 = 1000.0;

/// What is known of the base tables' columns.
#[derive(Default)]
pub struct Knowledge {
    tables: HashMap<ColumnId, (Arc<Table>, usize)>,
    rows: HashMap<u32, f64>,
}

impl Knowledge {
    pub fn add_table(&mut self, table: &Arc<Table>, columns: &[ColumnId], rows: f64) {
        self.rows.insert(table.oid, rows);
        for (position, id) in columns.iter().enumerate() {
            self.tables.insert(*id, (table.clone(), position));
        }
    }

    fn statistics(&self, id: ColumnId) -> Option<&ColumnStatistics> {
        let (table, position) = self.tables.get(&id)?;
        table.statistics.as_ref()?.columns.get(*position)?.as_ref()
    }

    fn table_rows(&self, id: ColumnId) -> Option<f64> {
        self.rows.get(&self.tables.get(&id)?.0.oid).copied()
    }

    /// Distinct values of a column.
    pub fn distinct(&self, id: ColumnId) -> f64 {
        let rows = self.table_rows(id).unwrap_or(ROWS_DEFAULT).max(1.0);
        if let Some(statistics) = self.statistics(id) {
            return match statistics.distinct {
                d if d < 0.0 => (-d * rows).max(1.0),
                d if d > 0.0 => d,
                _ => rows.min(DISTINCT_DEFAULT),
            };
        }
        let unique = self.tables.get(&id).is_some_and(|(table, position)| {
            table.indexes.iter().any(|index| {
                index.is_unique_now()
                    && index.predicate.is_none()
                    && index.keys.len() == 1
                    && index.keys[0].column == Some(*position)
            })
        });
        if unique { rows } else { rows.min(DISTINCT_DEFAULT) }
    }

    pub fn distinct_of(&self, expr: &Expr) -> f64 {
        match expr {
            Expr::Column { index, .. } => self.distinct(*index),
            Expr::Cast { operand, .. } => self.distinct_of(operand),
            _ => DISTINCT_DEFAULT,
        }
    }

    pub fn selectivity_of_all(&self, conditions: &[Expr]) -> f64 {
        // A lower and an upper bound on one column make a range.
        let mut bounded: HashMap<ColumnId, (Option<f64>, Option<f64>)> = HashMap::new();
        let mut result = 1.0;
        for condition in conditions {
            if let Some((id, upper, fraction)) = self.bound(condition) {
                let entry = bounded.entry(id).or_default();
                let side = if upper { &mut entry.1 } else { &mut entry.0 };
                *side = Some(side.map_or(fraction, |other: f64| other.min(fraction)));
                continue;
            }
            result *= self.selectivity(condition);
        }
        for (id, (lower, upper)) in bounded {
            result *= match (lower, upper) {
                (Some(a), Some(b)) if self.statistics(id).is_some_and(|s| s.histogram.len() > 1) => {
                    (a + b - 1.0).max(RANGE / 5.0)
                }
                (Some(_), Some(_)) => RANGE,
                (Some(a), None) | (None, Some(a)) => a,
                (None, None) => 1.0,
            };
        }
        result.clamp(1e-9, 1.0)
    }

    /// `column < value` and the like: the column, whether it bounds from above, the fraction below or above it.
    fn bound(&self, condition: &Expr) -> Option<(ColumnId, bool, f64)> {
        let Expr::Call { function, arguments, .. } = condition else { return None };
        let comparison = Comparison::of(function)?;
        let (id, value, comparison) = match (arguments.first()?, arguments.get(1)?) {
            (Expr::Column { index, .. }, value) if columns(value).is_empty() => (*index, value, comparison),
            (value, Expr::Column { index, .. }) if columns(value).is_empty() => {
                (*index, value, comparison.flipped())
            }
            _ => return None,
        };
        let upper = match comparison {
            Comparison::Less | Comparison::LessEqual => true,
            Comparison::Greater | Comparison::GreaterEqual => false,
            Comparison::Equal | Comparison::NotEqual => return None,
        };
        let below = match (self.statistics(id), value) {
            (Some(statistics), Expr::Constant { value, data_type })
                if statistics.histogram.len() > 1 && !value.is_null() =>
            {
                let mut bytes = Vec::new();
                key::encode(value, *data_type, KeyOrder::ASCENDING, &mut bytes);
                let at = statistics.histogram.partition_point(|bound| *bound < bytes);
                at as f64 / statistics.histogram.len() as f64
            }
            _ => return Some((id, upper, INEQUALITY)),
        };
        Some((id, upper, (if upper { below } else { 1.0 - below }).clamp(0.0001, 1.0)))
    }

    fn selectivity(&self, condition: &Expr) -> f64 {
        match condition {
            Expr::Constant { value: Datum::Bool(true), .. } => 1.0,
            Expr::Constant { .. } => 0.0,
            Expr::And(terms) => self.selectivity_of_all(terms),
            Expr::Or(terms) => 1.0 - terms.iter().map(|term| 1.0 - self.selectivity(term)).product::<f64>(),
            Expr::Not(inner) => 1.0 - self.selectivity(inner),
            Expr::IsNull { operand, negated } => {
                let fraction = match &**operand {
                    Expr::Column { index, .. } => self.statistics(*index).map_or(NULLS, |s| s.null_fraction),
                    _ => NULLS,
                };
                if *negated { 1.0 - fraction } else { fraction }
            }
            Expr::InSet { operand, set, negated } => {
                let each = self.equality(operand, None);
                let some = (each * set.values.len() as f64).min(1.0);
                if *negated { 1.0 - some } else { some }
            }
            Expr::Quantified { comparison, operand, list, array, all } => {
                let count = if *array { 10.0 } else { list.len() as f64 };
                match (Comparison::of(comparison), all) {
                    (Some(Comparison::Equal), false) => (self.equality(operand, None) * count).min(1.0),
                    (Some(Comparison::NotEqual), true) => {
                        1.0 - (self.equality(operand, None) * count).min(1.0)
                    }
                    _ => 0.5,
                }
            }
            Expr::Call { function, arguments, .. } => {
                match (Comparison::of(function), arguments.as_slice()) {
                    (Some(Comparison::Equal), [a, b]) => match (columns(a).is_empty(), columns(b).is_empty())
                    {
                        (false, false) => 1.0 / self.distinct_of(a).max(self.distinct_of(b)).max(1.0),
                        (false, true) => self.equality(a, Some(b)),
                        _ => self.equality(b, Some(a)),
                    },
                    (Some(Comparison::NotEqual), _) => 1.0 - EQUALITY,
                    (Some(_), _) => INEQUALITY,
                    (None, _) if function.name.contains("like") || function.name.contains("regex") => PATTERN,
                    (None, _) => match crate::functions::operator_symbol(function) {
                        Some("@>" | "<@" | "?" | "?&" | "@?" | "@@" | "-|-") => CONTAINS,
                        Some("&&" | "?|") => OVERLAPS,
                        _ => INEQUALITY,
                    },
                }
            }
            Expr::Column { .. } => 0.5,
            _ => 0.5,
        }
    }

    fn equality(&self, operand: &Expr, value: Option<&Expr>) -> f64 {
        let Expr::Column { index, .. } = operand else { return EQUALITY };
        if let (Some(statistics), Some(Expr::Constant { value, data_type })) =
            (self.statistics(*index), value)
        {
            let mut bytes = Vec::new();
            key::encode(value, *data_type, KeyOrder::ASCENDING, &mut bytes);
            if let Some((_, frequency)) = statistics.most_common.iter().find(|(common, _)| *common == bytes) {
                return *frequency;
            }
        }
        let nulls = self.statistics(*index).map_or(0.0, |statistics| statistics.null_fraction);
        (1.0 - nulls) / self.distinct(*index).max(1.0)
    }
}

/// Rows of a table, by ANALYZE or by the tree's own count.
pub fn table_rows(table: &Table, context: &super::PlanContext<'_>) -> f64 {
    let counted = context.catalog.tree(table.tree).ok().map(|tree| tree.entry_count_estimate() as f64);
    match (&table.statistics, counted) {
        (_, Some(counted)) => counted.max(1.0),
        (Some(statistics), None) => statistics.rows.max(1.0),
        (None, None) => ROWS_DEFAULT,
    }
}

pub fn table_bytes(table: &Table, context: &super::PlanContext<'_>) -> f64 {
    context
        .catalog
        .tree(table.tree)
        .map_or(PAGE_BYTES, |tree| tree.size_bytes_estimate() as f64)
        .max(PAGE_BYTES)
}

/// Average bytes of a row with these columns.
pub fn width(columns: &[ColumnId], infos: &[ColumnInfo]) -> f64 {
    columns
        .iter()
        .map(|id| {
            let info = &infos[*id];
            match (info.data_type.typlen(), info.modifier) {
                (length @ 1.., _) => f64::from(length),
                (_, modifier @ 5..) if info.data_type == crate::types::Type::BPCHAR => {
                    f64::from(modifier - 4 + 1)
                }
                (_, modifier @ 5..) if info.data_type == crate::types::Type::VARCHAR => {
                    f64::from((modifier - 4) / 2 + 1).min(32.0)
                }
                _ => 32.0,
            }
        })
        .sum()
}

pub fn columns(expr: &Expr) -> ColumnSet {
    let mut used = ColumnSet::new();
    expr.columns(&mut used);
    used
}

/// The six comparison operators, told by their functions' names (PostgreSQL's: int4eq, text_lt, date_ge, …).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    pub fn of(function: &'static Function) -> Option<Comparison> {
        use std::sync::{LazyLock, RwLock};
        static KNOWN: LazyLock<RwLock<HashMap<usize, Option<Comparison>>>> = LazyLock::new(RwLock::default);
        if function.arguments.len() != 2 {
            return None;
        }
        // Which operator a function implements is asked of the operators themselves, once a function.
        let address = std::ptr::from_ref(function) as usize;
        if let Some(known) = KNOWN.read().ok().and_then(|known| known.get(&address).copied()) {
            return known;
        }
        let operators = [
            ("=", Comparison::Equal),
            ("<>", Comparison::NotEqual),
            ("<", Comparison::Less),
            ("<=", Comparison::LessEqual),
            (">", Comparison::Greater),
            (">=", Comparison::GreaterEqual),
        ];
        let found = operators.into_iter().find_map(|(operator, comparison)| {
            let mut facts = crate::functions::operator_facts().iter();
            facts.find(|fact| fact.function == function.oid && fact.name == operator).map(|_| comparison)
        });
        if let Ok(mut known) = KNOWN.write() {
            known.insert(address, found);
        }
        found
    }

    pub fn flipped(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessEqual => Comparison::GreaterEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterEqual => Comparison::LessEqual,
            other => other,
        }
    }
}

/// Sorting this many rows.
pub fn sort_cost(rows: f64) -> f64 {
    let rows = rows.max(2.0);
    2.0 * OPERATOR * rows * rows.log2()
}
