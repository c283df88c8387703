//! How to read one table: all of it, or a part of an index that its conditions bound.
//!
//! A condition bounds an index column when it compares the column with something that does not depend on the table's own row:
//! constants, parameters, columns of enclosing queries, columns of tables joined before (then the scan is the inner side of an index
//! nested-loop join). A prefix of the index's columns fixed by equality and a range on the next one make one key range; lists of
//! values make several. Conditions that became bounds are exact and are not checked again.
//!
//! A partial index is of use where the conditions imply its predicate (`implied.rs`); what of them is literally in the predicate needs no
//! check either. A key that is an expression is matched with the same expression in a condition.

use super::PlanContext;
use super::cost::{self, Comparison, Knowledge};
use super::implied;
use super::logical::{Scan, SortKey};
use super::node::{Bound, Bounds, Equal, Search};
use crate::catalog::Index;
use crate::expr::{ColumnId, ColumnSet, Expr};
use crate::functions::{CastMethod, operator_symbol};
use crate::index::{self, Class, Method, Part};
use crate::table::{KeyPart, KeySource, Shape};
use crate::types::Type;

pub struct Path {
    /// Position in `Table::indexes`, and the bounds over column ids.
    pub index: Option<(usize, Bounds)>,
    /// Of an index with several entries for a row: what is searched for (the bounds only have what EXPLAIN shows).
    pub searches: Vec<Search>,
    /// Which conditions the bounds guarantee.
    pub used: Vec<usize>,
    /// Rows it yields, after all conditions.
    pub rows: f64,
    pub startup: f64,
    pub total: f64,
    pub backward: bool,
    /// It yields the order that was asked for.
    pub ordered: bool,
}

pub struct Request<'r> {
    pub scan: &'r Scan,
    pub conditions: &'r [Expr],
    pub order: Option<&'r [SortKey]>,
    /// Rows that will be read of it, if a LIMIT is near.
    pub limit: Option<f64>,
}

pub fn best(request: &Request<'_>, knowledge: &Knowledge, context: &PlanContext<'_>) -> Path {
    if request.scan.children.is_some() {
        return of_children(request, knowledge, context);
    }
    let Request { scan, conditions, order, limit } = request;
    let table = &scan.table;
    let table_rows = cost::table_rows(table, context);
    let rows = (table_rows * knowledge.selectivity_of_all(conditions)).max(1.0);
    let quals = |used: usize| (conditions.len() - used) as f64 * cost::OPERATOR;
    let mut best: Option<(f64, Path)> = None;
    let mut offer = |mut path: Path| {
        let sort = match (order, path.ordered) {
            (Some(_), false) => cost::sort_cost(path.rows),
            _ => 0.0,
        };
        // With a LIMIT, an ordered path stops early; a sort has to read everything.
        let fraction = match limit {
            Some(limit) if sort == 0.0 => (limit / path.rows.max(1.0)).min(1.0),
            _ => 1.0,
        };
        let price = path.startup + (path.total - path.startup) * fraction + sort;
        if path.index.is_none() && !path.ordered {
            path.backward = false;
        }
        if best.as_ref().is_none_or(|(known, _)| price < *known) {
            best = Some((price, path));
        }
    };

    // The whole table, which is in the order of its primary key.
    let clustered = table.indexes.iter().position(|index| index.clustered);
    let whole_order = clustered.and_then(|at| {
        let index = &table.indexes[at];
        provides(index, &column_targets(index, scan)?, 0, (*order)?)
    });
    let penalty = if context.settings.enable_sequential_scan { 0.0 } else { 1e9 };
    let pages = cost::table_bytes(table, context) / cost::PAGE_BYTES;
    offer(Path {
        index: None,
        searches: Vec::new(),
        used: Vec::new(),
        rows,
        startup: penalty,
        total: penalty + pages * cost::SEQUENTIAL_PAGE + table_rows * (cost::ROW + quals(0)),
        backward: whole_order == Some(true),
        ordered: whole_order.is_some(),
    });

    let penalty = if context.settings.enable_index_scan { 0.0 } else { 1e9 };
    for (position, index) in table.indexes.iter().enumerate() {
        if index.hidden {
            continue;
        }
        let Some((targets, implied)) = usable(index, position, scan, conditions, context) else { continue };
        if index.method != Method::Btree {
            if let Some(path) =
                of_entries(position, &targets, &implied, request, (table_rows, pages), knowledge, context)
            {
                offer(path);
            }
            continue;
        }
        let mut matched = bounds(index, &targets, scan, conditions);
        matched.used.extend(implied);
        matched.used.sort_unstable();
        matched.used.dedup();
        let fixed = matched.bounds.equal.len();
        let single = matched.bounds.equal.iter().all(|equal| matches!(equal, Equal::Value(_) | Equal::Null));
        let provided = match (single, order) {
            (true, Some(order)) => provides(index, &targets, fixed, order),
            _ => None,
        };
        if matched.used.is_empty() && (provided.is_none() || index.clustered) {
            continue;
        }
        let used: Vec<Expr> = matched.used.iter().map(|at| conditions[*at].clone()).collect();
        let descents: f64 = matched
            .bounds
            .equal
            .iter()
            .map(|equal| match equal {
                Equal::Values(values) => values.len() as f64,
                Equal::Array(_) => 10.0,
                _ => 1.0,
            })
            .product();
        let mut fetched = (table_rows * knowledge.selectivity_of_all(&used)).max(1.0);
        if matched.bounds.is_point {
            fetched = fetched.min(descents);
        }
        let lookup = match index.clustered {
            true => 0.0,
            false if provided.is_some() || limit.is_some() => cost::LOOKUP,
            false => {
                let far = (pages / fetched).min(1.0);
                cost::LOOKUP * far + cost::LOOKUP_NEAR * (1.0 - far)
            }
        };
        let each = cost::NEXT + lookup + quals(matched.used.len());
        let startup = penalty + cost::DESCENT;
        offer(Path {
            rows: rows.min(fetched),
            startup,
            total: penalty + descents * cost::DESCENT + fetched * each,
            backward: provided == Some(true),
            ordered: provided.is_some(),
            used: matched.used,
            searches: Vec::new(),
            index: Some((position, matched.bounds)),
        });
    }
    best.expect("the whole table is always on offer").1
}

/// Through an index with several entries for a row. The conditions are checked again, so that none counts as used (but for those that the
/// index's predicate has).
fn of_entries(
    position: usize,
    targets: &[Target],
    implied: &[usize],
    request: &Request<'_>,
    (table_rows, pages): (f64, f64),
    knowledge: &Knowledge,
    context: &PlanContext<'_>,
) -> Option<Path> {
    let Request { scan, conditions, .. } = request;
    let shape = Shape::get(&scan.table, context.catalog, context.eval).ok()?;
    let entries = shape.indexes[position].entries.as_ref()?;
    let own: ColumnSet = scan.columns.iter().copied().collect();
    let mut searches = Vec::new();
    let mut bounds = Bounds::default();
    for condition in conditions.iter() {
        let found = targets.iter().enumerate().find_map(|(column, target)| {
            let (operator, value) = match entries.parts[column] {
                Part::Scalar => scalar_search(condition, target, &own)?,
                Part::Items(class) => item_search(condition, target, class, &own)?,
            };
            Some(Search { column, operator, value })
        });
        if let Some(search) = found {
            searches.push(search);
            bounds.conditions.push(condition.clone());
        }
    }
    let operators: Vec<(usize, &str)> =
        searches.iter().map(|search| (search.column, search.operator)).collect();
    if !entries.is_of_use(&operators) {
        return None;
    }
    let settings = &context.settings;
    let is_enabled = match entries.method {
        Method::Gist => settings.enable_index_scan || settings.enable_bitmap_scan,
        _ => settings.enable_bitmap_scan,
    };
    let penalty = if is_enabled { 0.0 } else { 1e9 };
    let found = (table_rows * knowledge.selectivity_of_all(&bounds.conditions)).max(1.0);
    let rows = (table_rows * knowledge.selectivity_of_all(conditions)).max(1.0);
    let far = (pages / found).min(1.0);
    let quals = (conditions.len() - implied.len()) as f64 * cost::OPERATOR;
    let each = cost::NEXT + cost::LOOKUP * far + cost::LOOKUP_NEAR * (1.0 - far) + quals;
    // The keys are gathered before the first row.
    let startup = penalty + searches.len() as f64 * cost::DESCENT + found * cost::NEXT;
    Some(Path {
        rows: rows.min(found),
        startup,
        total: startup + found * each,
        backward: false,
        ordered: false,
        used: implied.to_vec(),
        searches,
        index: Some((position, bounds)),
    })
}

fn scalar_search(condition: &Expr, target: &Target, own: &ColumnSet) -> Option<(&'static str, Expr)> {
    let (comparison, value) = range(condition, target, own)?;
    let operator = match comparison {
        Comparison::Equal => "=",
        Comparison::Less => "<",
        Comparison::LessEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterEqual => ">=",
        Comparison::NotEqual => return None,
    };
    Some((operator, value))
}

/// `column operator value`, whichever way round it was written.
fn item_search(
    condition: &Expr,
    target: &Target,
    class: &dyn Class,
    own: &ColumnSet,
) -> Option<(&'static str, Expr)> {
    let Expr::Call { function, arguments, .. } = condition else { return None };
    let [a, b] = arguments.as_slice() else { return None };
    let operator = operator_symbol(function)?;
    let (operator, value) = match () {
        () if target.is(a) && is_outside(b, own) => (operator, b),
        () if target.is(b) && is_outside(a, own) => (index::commuted(operator)?, a),
        () => return None,
    };
    class.knows(operator).then(|| (operator, value.clone()))
}

/// All children together, each by its own best path. The index and the conditions that it uses are the first child's: they only tell
/// that there are some.
fn of_children(request: &Request<'_>, knowledge: &Knowledge, context: &PlanContext<'_>) -> Path {
    let mut all = Path {
        index: None,
        searches: Vec::new(),
        used: Vec::new(),
        rows: 0.0,
        startup: 0.0,
        total: cost::ROW,
        backward: false,
        ordered: false,
    };
    // What fails here fails again when the scan is planned, and is reported then.
    let Ok(expanded) = super::prune::expand(request.scan, request.conditions, context) else { return all };
    for scan in &expanded.scans {
        let path = best(&Request { scan, order: None, ..*request }, knowledge, context);
        all.rows += path.rows;
        all.total += path.total;
        if all.index.is_none() {
            all.index = path.index;
            all.searches = path.searches;
            all.used = path.used;
        }
    }
    all.rows = all.rows.max(1.0);
    all
}

struct Matched {
    bounds: Bounds,
    used: Vec<usize>,
}

/// What an index's key is of, over the statement's columns.
pub enum Target {
    Column(ColumnId, Type, bool),
    Expression(Expr),
}

impl Target {
    pub fn data_type(&self) -> Type {
        match self {
            Target::Column(_, data_type, _) => *data_type,
            Target::Expression(expr) => expr.data_type(),
        }
    }
    fn is_not_null(&self) -> bool {
        matches!(self, Target::Column(_, _, true))
    }
    /// Itself, perhaps under a cast that keeps its order: varchar as text, a wider integer.
    pub fn is(&self, expr: &Expr) -> bool {
        let itself = match (self, expr) {
            (Target::Column(id, ..), Expr::Column { index, .. }) => index == id,
            (Target::Expression(target), expr) => target.same(expr),
            _ => false,
        };
        itself
            || match expr {
                Expr::Cast { operand, method, to, modifier: -1, .. } => {
                    let from = operand.data_type();
                    // These compare in their own ways.
                    let own_order = |t: Type| matches!(t, Type::BPCHAR | Type::CITEXT);
                    let relabel =
                        matches!(method, CastMethod::Relabel) && !own_order(from) && *to != Type::CITEXT;
                    (relabel || (is_integer(from) && is_integer(*to))) && self.is(operand)
                }
                _ => false,
            }
    }
}

/// Of an index on columns only.
fn column_targets(index: &Index, scan: &Scan) -> Option<Vec<Target>> {
    let target = |position: usize| {
        let column = &scan.table.columns[position];
        Target::Column(scan.columns[position], column.data_type(), column.not_null)
    };
    index.keys.iter().map(|key| key.column.map(target)).collect()
}

/// None: the conditions do not imply that the index has all rows that are asked for. Else what its keys are of, and which
/// conditions its predicate makes superfluous.
fn usable(
    index: &Index,
    position: usize,
    scan: &Scan,
    conditions: &[Expr],
    context: &PlanContext<'_>,
) -> Option<(Vec<Target>, Vec<usize>)> {
    if let (None, Some(targets)) = (&index.predicate, column_targets(index, scan)) {
        return Some((targets, Vec::new()));
    }
    let shape = Shape::get(&scan.table, context.catalog, context.eval).ok()?;
    let shape = &shape.indexes[position];
    let here = |expr: &Expr| {
        let mut expr = expr.clone();
        expr.rewrite(&mut |node| match node {
            Expr::Column { index, data_type } => {
                Some(Expr::Column { index: scan.columns[*index], data_type: *data_type })
            }
            _ => None,
        });
        super::fold_expression(expr, context)
    };
    let implied = match &shape.predicate {
        None => Vec::new(),
        Some(predicate) => implied::by(conditions, &here(predicate))?,
    };
    let target = |part: &KeyPart| match &part.source {
        KeySource::Column(column) => {
            let found = &scan.table.columns[*column];
            Target::Column(scan.columns[*column], found.data_type(), found.not_null)
        }
        KeySource::Expression(expr) => Target::Expression(here(expr)),
    };
    Some((shape.parts.iter().map(target).collect(), implied))
}

/// What the conditions say about a prefix of an index's columns.
fn bounds(index: &Index, targets: &[Target], scan: &Scan, conditions: &[Expr]) -> Matched {
    let own: ColumnSet = scan.columns.iter().copied().collect();
    let mut bounds = Bounds::default();
    let mut used = Vec::new();
    for target in targets {
        let equal = conditions.iter().enumerate().find_map(|(at, condition)| {
            (!used.contains(&at))
                .then(|| equality(condition, target, &own))
                .flatten()
                .map(|equal| (at, equal))
        });
        if let Some((at, equal)) = equal {
            bounds.equal.push(equal);
            bounds.conditions.push(conditions[at].clone());
            used.push(at);
            continue;
        }
        for (at, condition) in conditions.iter().enumerate() {
            let Some((comparison, value)) = range(condition, target, &own) else { continue };
            let (side, inclusive) = match comparison {
                Comparison::Less => (&mut bounds.upper, false),
                Comparison::LessEqual => (&mut bounds.upper, true),
                Comparison::Greater => (&mut bounds.lower, false),
                Comparison::GreaterEqual => (&mut bounds.lower, true),
                Comparison::Equal | Comparison::NotEqual => continue,
            };
            if side.is_none() {
                *side = Some(Bound { value, inclusive });
                bounds.conditions.push(condition.clone());
                used.push(at);
            }
        }
        break;
    }
    let no_nulls = !bounds.equal.iter().any(|equal| matches!(equal, Equal::Null));
    bounds.is_point = index.is_unique_now() && bounds.equal.len() == index.keys.len() && no_nulls;
    Matched { bounds, used }
}

/// Does not read the table's own row, and is the same however often it is asked.
fn is_outside(expr: &Expr, own: &ColumnSet) -> bool {
    !cost::columns(expr).intersects(own) && !expr.is_volatile()
}

pub fn equality(condition: &Expr, target: &Target, own: &ColumnSet) -> Option<Equal> {
    let data_type = target.data_type();
    match condition {
        Expr::Call { .. } => match range(condition, target, own)? {
            (Comparison::Equal, value) => Some(Equal::Value(value)),
            _ => None,
        },
        Expr::InSet { operand, set, negated: false }
            if target.is(operand) && fits(data_type, set.data_type) =>
        {
            let value = |value: &crate::types::Datum| Expr::Constant {
                value: value.clone(),
                data_type: set.data_type,
            };
            Some(Equal::Values(set.values.iter().filter(|v| !v.is_null()).map(value).collect()))
        }
        Expr::Quantified { comparison, operand, list, array, all: false }
            if target.is(operand)
                && Comparison::of(comparison) == Some(Comparison::Equal)
                && fits(data_type, comparison.arguments[1])
                && list.iter().all(|item| is_outside(item, own)) =>
        {
            Some(match array {
                true => Equal::Array(list[0].clone()),
                false => Equal::Values(list.clone()),
            })
        }
        Expr::IsNull { operand, negated: false } if target.is(operand) => Some(Equal::Null),
        _ => None,
    }
}

/// `column op value`, whichever way round it was written.
pub fn range(condition: &Expr, target: &Target, own: &ColumnSet) -> Option<(Comparison, Expr)> {
    let Expr::Call { function, arguments, .. } = condition else { return None };
    let [a, b] = arguments.as_slice() else { return None };
    let comparison = Comparison::of(function)?;
    let (value, comparison) = match () {
        () if target.is(a) && is_outside(b, own) => (b, comparison),
        () if target.is(b) && is_outside(a, own) => (a, comparison.flipped()),
        () => return None,
    };
    fits(target.data_type(), value.data_type()).then(|| (comparison, value.clone()))
}

pub fn is_integer(data_type: Type) -> bool {
    matches!(data_type, Type::INT2 | Type::INT4 | Type::INT8)
}

/// Whether values of type `value` can be turned into keys of a column: the executor converts integers.
fn fits(column: Type, value: Type) -> bool {
    let text = |t: Type| matches!(t, Type::TEXT | Type::VARCHAR);
    column == value || (is_integer(column) && is_integer(value)) || (text(column) && text(value))
}

/// Whether reading the index, its first `fixed` columns being constant, yields this order: Some(true) backwards.
fn provides(index: &Index, targets: &[Target], fixed: usize, order: &[SortKey]) -> Option<bool> {
    let mut at = fixed;
    let mut backward: Option<bool> = None;
    for key in order {
        let is = |at: usize| match (&targets[at], &key.expr) {
            (Target::Column(id, ..), Expr::Column { index, .. }) => index == id,
            (Target::Expression(target), expr) => target.same(expr),
            _ => false,
        };
        // A column that is fixed orders nothing.
        if (0..fixed).any(is) {
            continue;
        }
        if at >= targets.len() {
            return index.is_unique_now().then_some(backward.unwrap_or(false));
        }
        if !is(at) {
            return None;
        }
        let entry = &index.keys[at];
        let not_null = targets[at].is_not_null();
        let reversed = entry.descending != key.descending;
        // Nulls must lie at the right end, if there can be any.
        if !not_null && (entry.nulls_first != key.nulls_first) != reversed {
            return None;
        }
        if backward.is_some_and(|known| known != reversed) {
            return None;
        }
        backward = Some(reversed);
        at += 1;
    }
    Some(backward.unwrap_or(false))
}
