//! Bound expressions: every name resolved, every cast explicit, every node typed.
//!
//! One type serves two phases. In a *logical* plan `Expr::Column::index` is a [`ColumnId`], unique in the statement, so that
//! expressions can be moved between operators without renumbering, and a reference to an enclosing query's column looks like any
//! other. The physical planner *places* expressions: `index` becomes a position in the operator's input, and what comes from
//! outside (an enclosing query, the outer side of a lateral or index nested-loop join) becomes a [`Expr::Slot`].

use crate::catalog::Routine;
use crate::functions::{CastMethod, Function, Volatility};
use crate::types::{Datum, Type};
use std::sync::Arc;

/// Names a column for the whole statement (see `plan::logical::ColumnInfo`).
pub type ColumnId = usize;

#[derive(Clone)]
pub enum Expr {
    Constant {
        value: Datum,
        data_type: Type,
    },
    /// Placed: a column of the input batch. In a logical plan: a [`ColumnId`].
    Column {
        index: usize,
        data_type: Type,
    },
    /// A value set by an operator further out before this one runs (PostgreSQL's PARAM_EXEC).
    Slot {
        index: usize,
        data_type: Type,
    },
    /// `$n`, from 0.
    Parameter {
        index: usize,
        data_type: Type,
    },
    Call {
        function: &'static Function,
        arguments: Vec<Expr>,
        result: Type,
    },
    /// A call of a user's function, whose inputs are all there and of the types it wants.
    Routine(Box<RoutineCall>),
    Cast {
        operand: Box<Expr>,
        method: CastMethod,
        to: Type,
        modifier: i32,
        explicit: bool,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    IsBool {
        operand: Box<Expr>,
        value: Option<bool>,
        negated: bool,
    },
    /// `equals` is the `=` of the operands' type.
    IsDistinctFrom {
        equals: &'static Function,
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    /// Searched CASE. `operand` (simple CASE) is evaluated once into the slot that the arms' conditions read.
    Case {
        operand: Option<(Box<Expr>, usize)>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        result: Type,
    },
    Coalesce {
        arguments: Vec<Expr>,
        result: Type,
    },
    /// `left` as it is, unless `equals(left, right)` (with the casts that `=` needs) is true.
    NullIf {
        left: Box<Expr>,
        equals: Box<Expr>,
    },
    MinMax {
        greatest: bool,
        less: &'static Function,
        arguments: Vec<Expr>,
        result: Type,
    },
    /// `x IN (list)`, `x op ANY (array)`: `list` is any number of values, or one array if `array`.
    Quantified {
        comparison: &'static Function,
        operand: Box<Expr>,
        list: Vec<Expr>,
        array: bool,
        all: bool,
    },
    /// `x IN (constants)`, `x <> ALL (constants)` if `negated`: made from long `Quantified` lists when planning.
    InSet {
        operand: Box<Expr>,
        set: Arc<ConstantSet>,
        negated: bool,
    },
    Array {
        elements: Vec<Expr>,
        element: Type,
        result: Type,
    },
    /// Each subscript: lower, upper, is it a slice.
    Subscript {
        operand: Box<Expr>,
        subscripts: Vec<(Option<Expr>, Option<Expr>, bool)>,
        result: Type,
    },
    Row {
        fields: Vec<Expr>,
        types: Vec<Type>,
        /// Of a FROM item's whole row: its columns'.
        names: Option<Arc<[String]>>,
        /// RECORD, or the composite type whose fields these are.
        data_type: Type,
    },
    Field {
        operand: Box<Expr>,
        index: usize,
        result: Type,
    },
    /// A bound subquery that is not planned yet: only in logical plans.
    Sublink(Box<crate::plan::logical::Sublink>),
    /// A planned one.
    Subquery(Arc<crate::plan::Subquery>),
}

#[derive(Clone)]
pub struct RoutineCall {
    pub routine: Arc<Routine>,
    pub arguments: Vec<Expr>,
    /// Of the inputs, after polymorphism.
    pub types: Arc<[Type]>,
    /// Of a row's columns; one for a function that returns values.
    pub columns: Arc<[(String, Type)]>,
    /// Yields rows (records), not values.
    pub is_row: bool,
    pub result: Type,
}

impl Expr {
    /// The fields of a row that is built on the spot and their names, also of one that is null where an outer join did not find it.
    pub fn row_shape(&self) -> Option<(&[Expr], &Arc<[String]>)> {
        match self {
            Expr::Row { fields, names: Some(names), .. } => Some((fields, names)),
            Expr::Case { operand: None, arms, otherwise: Some(otherwise), .. } => match arms.as_slice() {
                [(_, Expr::Constant { value: Datum::Null, .. })] => otherwise.row_shape(),
                _ => None,
            },
            _ => None,
        }
    }
    pub fn null(data_type: Type) -> Expr {
        Expr::Constant { value: Datum::Null, data_type }
    }
    pub fn bool(value: bool) -> Expr {
        Expr::Constant { value: Datum::Bool(value), data_type: Type::BOOL }
    }
    pub fn column(index: usize, data_type: Type) -> Expr {
        Expr::Column { index, data_type }
    }

    pub fn data_type(&self) -> Type {
        match self {
            Expr::Constant { data_type, .. }
            | Expr::Column { data_type, .. }
            | Expr::Slot { data_type, .. }
            | Expr::Parameter { data_type, .. }
            | Expr::Row { data_type, .. } => *data_type,
            Expr::Call { result, .. }
            | Expr::Case { result, .. }
            | Expr::Coalesce { result, .. }
            | Expr::MinMax { result, .. }
            | Expr::Array { result, .. }
            | Expr::Subscript { result, .. }
            | Expr::Field { result, .. } => *result,
            Expr::Routine(call) => call.result,
            Expr::Cast { to, .. } => *to,
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::IsBool { .. }
            | Expr::IsDistinctFrom { .. }
            | Expr::InSet { .. }
            | Expr::Quantified { .. } => Type::BOOL,
            Expr::NullIf { left, .. } => left.data_type(),
            Expr::Sublink(link) => link.data_type,
            Expr::Subquery(query) => query.data_type,
        }
    }

    pub fn is_constant(&self) -> bool {
        matches!(self, Expr::Constant { .. })
    }

    /// Calls `visit` on each direct child. A subquery's inside is not visited, but what it is given from this level is.
    pub fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Expr::Constant { .. } | Expr::Column { .. } | Expr::Slot { .. } | Expr::Parameter { .. } => {}
            Expr::Call { arguments, .. }
            | Expr::Coalesce { arguments, .. }
            | Expr::MinMax { arguments, .. } => arguments.iter().for_each(visit),
            Expr::Routine(call) => call.arguments.iter().for_each(visit),
            Expr::Cast { operand, .. }
            | Expr::Not(operand)
            | Expr::IsNull { operand, .. }
            | Expr::IsBool { operand, .. }
            | Expr::InSet { operand, .. }
            | Expr::Field { operand, .. } => visit(operand),
            Expr::And(terms) | Expr::Or(terms) => terms.iter().for_each(visit),
            Expr::IsDistinctFrom { left, right, .. } | Expr::NullIf { left, equals: right } => {
                visit(left);
                visit(right);
            }
            Expr::Case { operand, arms, otherwise, .. } => {
                if let Some((operand, _)) = operand {
                    visit(operand);
                }
                for (condition, value) in arms {
                    visit(condition);
                    visit(value);
                }
                if let Some(otherwise) = otherwise {
                    visit(otherwise);
                }
            }
            Expr::Quantified { operand, list, .. } => {
                visit(operand);
                list.iter().for_each(visit);
            }
            Expr::Array { elements, .. } => elements.iter().for_each(visit),
            Expr::Subscript { operand, subscripts, .. } => {
                visit(operand);
                for (lower, upper, _) in subscripts {
                    lower.iter().for_each(&mut *visit);
                    upper.iter().for_each(&mut *visit);
                }
            }
            Expr::Row { fields, .. } => fields.iter().for_each(visit),
            Expr::Sublink(link) => link.operands.iter().for_each(visit),
            Expr::Subquery(query) => {
                query.operands.iter().for_each(&mut *visit);
                query.inputs.iter().for_each(|(_, input)| visit(input));
            }
        }
    }

    /// As [`Expr::children`], to change them. A planned subquery is shared and has none here.
    pub fn children_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Expr::Constant { .. } | Expr::Column { .. } | Expr::Slot { .. } | Expr::Parameter { .. } => {}
            Expr::Call { arguments, .. }
            | Expr::Coalesce { arguments, .. }
            | Expr::MinMax { arguments, .. } => arguments.iter_mut().for_each(visit),
            Expr::Routine(call) => call.arguments.iter_mut().for_each(visit),
            Expr::Cast { operand, .. }
            | Expr::Not(operand)
            | Expr::IsNull { operand, .. }
            | Expr::IsBool { operand, .. }
            | Expr::InSet { operand, .. }
            | Expr::Field { operand, .. } => visit(operand),
            Expr::And(terms) | Expr::Or(terms) => terms.iter_mut().for_each(visit),
            Expr::IsDistinctFrom { left, right, .. } | Expr::NullIf { left, equals: right } => {
                visit(left);
                visit(right);
            }
            Expr::Case { operand, arms, otherwise, .. } => {
                if let Some((operand, _)) = operand {
                    visit(operand);
                }
                for (condition, value) in arms {
                    visit(condition);
                    visit(value);
                }
                if let Some(otherwise) = otherwise {
                    visit(otherwise);
                }
            }
            Expr::Quantified { operand, list, .. } => {
                visit(operand);
                list.iter_mut().for_each(visit);
            }
            Expr::Array { elements, .. } => elements.iter_mut().for_each(visit),
            Expr::Subscript { operand, subscripts, .. } => {
                visit(operand);
                for (lower, upper, _) in subscripts {
                    lower.iter_mut().for_each(&mut *visit);
                    upper.iter_mut().for_each(&mut *visit);
                }
            }
            Expr::Row { fields, .. } => fields.iter_mut().for_each(visit),
            Expr::Sublink(link) => link.operands.iter_mut().for_each(visit),
            Expr::Subquery(_) => {}
        }
    }

    /// Whether `test` holds anywhere in the expression.
    pub fn any(&self, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
        if test(self) {
            return true;
        }
        let mut found = false;
        self.children(&mut |child| found = found || child.any(test));
        found
    }

    /// The columns it reads, those of enclosing queries' rows inside of its subqueries included.
    pub fn columns(&self, out: &mut ColumnSet) {
        match self {
            Expr::Column { index, .. } => out.insert(*index),
            Expr::Sublink(link) => {
                link.operands.iter().for_each(|operand| operand.columns(out));
                out.extend(&link.free);
            }
            _ => self.children(&mut |child| child.columns(out)),
        }
    }

    pub fn volatility(&self) -> Volatility {
        let mut worst = Volatility::Immutable;
        self.any(&mut |expr| {
            let here = match expr {
                Expr::Call { function, .. }
                | Expr::IsDistinctFrom { equals: function, .. }
                | Expr::MinMax { less: function, .. }
                | Expr::Quantified { comparison: function, .. } => function.volatility,
                Expr::Cast { method: CastMethod::Function(function), .. } => function.volatility,
                Expr::Routine(call) => call.routine.volatility,
                // Text input and output depend on DateStyle and the like for some types; a domain's checks may call anything.
                Expr::Cast {
                    method:
                        CastMethod::InputOutput | CastMethod::Array | CastMethod::Row | CastMethod::Domain,
                    ..
                } => Volatility::Stable,
                Expr::Parameter { .. } | Expr::Slot { .. } | Expr::Sublink(_) | Expr::Subquery(_) => {
                    Volatility::Stable
                }
                _ => Volatility::Immutable,
            };
            worst = worst.max(here);
            worst == Volatility::Volatile
        });
        worst
    }

    pub fn is_volatile(&self) -> bool {
        self.volatility() == Volatility::Volatile
            || self.any(&mut |e| matches!(e, Expr::Sublink(link) if link.volatile))
    }

    /// Whether it is evaluated in no time.
    pub fn is_cheap(&self) -> bool {
        !self.any(&mut |part| match part {
            Expr::Call { function, .. } => !function.is_cheap(),
            Expr::Routine(_) => true,
            _ => false,
        })
    }

    /// Contains a subquery, planned or not.
    pub fn has_subquery(&self) -> bool {
        self.any(&mut |e| matches!(e, Expr::Sublink(_) | Expr::Subquery(_)))
    }

    /// Structural equality, as GROUP BY and ORDER BY match expressions.
    pub fn same(&self, other: &Expr) -> bool {
        let same_all = |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b));
        let same_option = |a: &Option<Box<Expr>>, b: &Option<Box<Expr>>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => a.same(b),
            _ => false,
        };
        match (self, other) {
            (Expr::Constant { value: a, data_type: t }, Expr::Constant { value: b, data_type: u }) => {
                t == u && format!("{a:?}") == format!("{b:?}")
            }
            (Expr::Column { index: a, .. }, Expr::Column { index: b, .. })
            | (Expr::Slot { index: a, .. }, Expr::Slot { index: b, .. })
            | (Expr::Parameter { index: a, .. }, Expr::Parameter { index: b, .. }) => a == b,
            (
                Expr::Call { function: f, arguments: a, result: r },
                Expr::Call { function: g, arguments: b, result: s },
            ) => std::ptr::eq(*f, *g) && r == s && same_all(a, b),
            (Expr::Routine(a), Expr::Routine(b)) => {
                a.routine.oid == b.routine.oid && a.types == b.types && same_all(&a.arguments, &b.arguments)
            }
            (
                Expr::Cast { operand: a, to: t, modifier: m, .. },
                Expr::Cast { operand: b, to: u, modifier: n, .. },
            ) => t == u && m == n && a.same(b),
            (Expr::And(a), Expr::And(b)) | (Expr::Or(a), Expr::Or(b)) => same_all(a, b),
            (Expr::Not(a), Expr::Not(b)) => a.same(b),
            (Expr::IsNull { operand: a, negated: n }, Expr::IsNull { operand: b, negated: m }) => {
                n == m && a.same(b)
            }
            (
                Expr::IsBool { operand: a, value: v, negated: n },
                Expr::IsBool { operand: b, value: w, negated: m },
            ) => n == m && v == w && a.same(b),
            (
                Expr::IsDistinctFrom { left: a, right: b, negated: n, .. },
                Expr::IsDistinctFrom { left: c, right: d, negated: m, .. },
            ) => n == m && a.same(c) && b.same(d),
            (
                Expr::Case { operand: None, arms: a, otherwise: x, .. },
                Expr::Case { operand: None, arms: b, otherwise: y, .. },
            ) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|((c, v), (d, w))| c.same(d) && v.same(w))
                    && same_option(x, y)
            }
            (Expr::Coalesce { arguments: a, .. }, Expr::Coalesce { arguments: b, .. }) => same_all(a, b),
            (Expr::NullIf { left: a, equals: b }, Expr::NullIf { left: c, equals: d }) => {
                a.same(c) && b.same(d)
            }
            (
                Expr::MinMax { greatest: g, arguments: a, .. },
                Expr::MinMax { greatest: h, arguments: b, .. },
            ) => g == h && same_all(a, b),
            (
                Expr::Quantified { comparison: f, operand: a, list: l, array: x, all: p },
                Expr::Quantified { comparison: g, operand: b, list: m, array: y, all: q },
            ) => std::ptr::eq(*f, *g) && x == y && p == q && a.same(b) && same_all(l, m),
            (Expr::Array { elements: a, result: r, .. }, Expr::Array { elements: b, result: s, .. }) => {
                r == s && same_all(a, b)
            }
            (
                Expr::InSet { operand: a, set: s, negated: n },
                Expr::InSet { operand: b, set: t, negated: m },
            ) => n == m && Arc::ptr_eq(s, t) && a.same(b),
            (Expr::Row { fields: a, .. }, Expr::Row { fields: b, .. }) => same_all(a, b),
            // Ids are made when a subquery is bound: copies of one subquery share them.
            (Expr::Sublink(a), Expr::Sublink(b)) => {
                a.kind == b.kind
                    && !a.columns.is_empty()
                    && a.columns == b.columns
                    && same_all(&a.operands, &b.operands)
            }
            (Expr::Field { operand: a, index: i, .. }, Expr::Field { operand: b, index: j, .. }) => {
                i == j && a.same(b)
            }
            (
                Expr::Subscript { operand: a, subscripts: s, .. },
                Expr::Subscript { operand: b, subscripts: t, .. },
            ) => {
                let same_opt = |a: &Option<Expr>, b: &Option<Expr>| match (a, b) {
                    (None, None) => true,
                    (Some(a), Some(b)) => a.same(b),
                    _ => false,
                };
                a.same(b)
                    && s.len() == t.len()
                    && s.iter()
                        .zip(t)
                        .all(|(x, y)| same_opt(&x.0, &y.0) && same_opt(&x.1, &y.1) && x.2 == y.2)
            }
            _ => false,
        }
    }

    /// Replaces nodes top-down: where `replace` answers, its answer stands and is not descended into.
    pub fn rewrite(&mut self, replace: &mut dyn FnMut(&Expr) -> Option<Expr>) {
        if let Some(new) = replace(self) {
            *self = new;
            return;
        }
        self.children_mut(&mut |child| child.rewrite(replace));
    }
}

/// The values of a long IN list, for membership tests by key encoding (integers by value).
pub struct ConstantSet {
    pub values: Vec<Datum>,
    pub data_type: Type,
    pub keys: hashbrown::HashSet<Vec<u8>>,
    pub integers: Option<hashbrown::HashSet<i64>>,
    pub has_null: bool,
}

impl ConstantSet {
    pub fn new(values: Vec<Datum>, data_type: Type) -> ConstantSet {
        let has_null = values.iter().any(Datum::is_null);
        let integer_type = matches!(data_type, Type::INT2 | Type::INT4 | Type::INT8);
        let integers = integer_type.then(|| values.iter().filter_map(integer).collect());
        let mut keys = hashbrown::HashSet::new();
        if integers.is_none() {
            for value in values.iter().filter(|value| !value.is_null()) {
                let mut key = Vec::new();
                crate::table::key::encode(value, data_type, crate::exec::PLAIN_ORDER, &mut key);
                keys.insert(key);
            }
        }
        ConstantSet { values, data_type, keys, integers, has_null }
    }

    /// `value` (not null) is one of them; `scratch` saves an allocation a call.
    pub fn contains(&self, value: &Datum, scratch: &mut Vec<u8>) -> bool {
        match (&self.integers, integer(value)) {
            (Some(integers), Some(value)) => integers.contains(&value),
            _ => {
                scratch.clear();
                crate::table::key::encode(value, self.data_type, crate::exec::PLAIN_ORDER, scratch);
                self.keys.contains(scratch.as_slice())
            }
        }
    }
}

/// An integer of any width.
pub fn integer(value: &Datum) -> Option<i64> {
    match value {
        Datum::Int2(value) => Some((*value).into()),
        Datum::Int4(value) => Some((*value).into()),
        Datum::Int8(value) => Some(*value),
        _ => None,
    }
}

/// The conjuncts of a condition, flattened.
pub fn conjuncts(expr: Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::And(terms) => terms.into_iter().for_each(|term| conjuncts(term, out)),
        other => out.push(other),
    }
}

/// The conjunction of conditions: none is `true`.
pub fn conjunction(mut terms: Vec<Expr>) -> Expr {
    match terms.len() {
        0 => Expr::bool(true),
        1 => terms.pop().expect("length was checked"),
        _ => Expr::And(terms),
    }
}

/// A set of column ids, as a bit map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSet {
    words: Vec<u64>,
}

impl ColumnSet {
    pub fn new() -> ColumnSet {
        ColumnSet::default()
    }
    pub fn insert(&mut self, id: ColumnId) {
        if self.words.len() <= id / 64 {
            self.words.resize(id / 64 + 1, 0);
        }
        self.words[id / 64] |= 1 << (id % 64);
    }
    pub fn contains(&self, id: ColumnId) -> bool {
        self.words.get(id / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }
    pub fn extend(&mut self, other: &ColumnSet) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }
    pub fn remove_all(&mut self, other: &ColumnSet) {
        for (word, gone) in self.words.iter_mut().zip(&other.words) {
            *word &= !gone;
        }
    }
    pub fn is_subset(&self, other: &ColumnSet) -> bool {
        self.words.iter().enumerate().all(|(i, word)| word & !other.words.get(i).copied().unwrap_or(0) == 0)
    }
    pub fn intersects(&self, other: &ColumnSet) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
    pub fn iter(&self) -> impl Iterator<Item = ColumnId> + '_ {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| i * 64 + bit)
        })
    }
}

impl FromIterator<ColumnId> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = ColumnId>>(ids: I) -> ColumnSet {
        let mut set = ColumnSet::new();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}
