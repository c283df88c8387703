//! What a table's descriptor means for reading and writing its rows: open trees, key orders, bound expressions. Worked out once per
//! descriptor and kept beside it, so that a statement starts without parsing a CHECK or looking a tree up.

use super::key::{self, KeyOrder};
use crate::catalog::activity::{IndexActivity, TableActivity};
use crate::catalog::{ConstraintKind, Table};
use crate::error::{Error, Result};
use crate::exec::ExecContext;
use crate::exec::eval::eval_row;
use crate::expr::{ColumnSet, Expr};
use crate::functions::{EvalContext, function_by_oid, operator_facts};
use crate::index::{Entries, Method, class_for};
use crate::plan::{PlanContext, PlannerSettings};
use crate::types::{Datum, Oid, RenderSettings, Type, format_datum, parse_datum};
use parking_lot::Mutex;
use serin_storage::Tree;
use std::sync::Arc;

/// Where a [`Table`] keeps its shape. Not part of the descriptor: a copy starts empty, for it is about to be changed.
#[derive(Default)]
pub(crate) struct ShapeCell(Mutex<Option<Arc<Shape>>>);

impl Clone for ShapeCell {
    fn clone(&self) -> ShapeCell {
        ShapeCell::default()
    }
}

impl std::fmt::Debug for ShapeCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShapeCell")
    }
}

pub struct Shape {
    pub types: Vec<Type>,
    pub layout: super::row::RowLayout,
    pub tree: Arc<Tree>,
    /// Of the clustering key; empty: row id.
    pub key: Vec<KeyPart>,
    /// Position in `Table::indexes` of the clustered one.
    pub clustered: Option<usize>,
    /// As `Table::indexes`.
    pub indexes: Vec<IndexShape>,
    pub not_null: Vec<usize>,
    /// Constraint name and condition.
    pub checks: Vec<(String, Expr)>,
    pub generated: Vec<(usize, Expr)>,
    /// By column: the value of rows that end before it.
    pub missing: Vec<Datum>,
    pub activity: Arc<TableActivity>,
}

pub struct KeyPart {
    pub source: KeySource,
    pub data_type: Type,
    pub order: KeyOrder,
}

pub enum KeySource {
    /// Position in the row.
    Column(usize),
    /// Over the row.
    Expression(Expr),
}

pub struct IndexShape {
    pub tree: Arc<Tree>,
    pub parts: Vec<KeyPart>,
    /// The tree enforces it: not so for a deferrable constraint.
    pub unique: bool,
    pub nulls_not_distinct: bool,
    /// The table's own tree: has no entries beside the rows.
    pub clustered: bool,
    pub predicate: Option<Expr>,
    /// Of an index that enters a row under several keys (`index/mod.rs`).
    pub entries: Option<Entries>,
    /// Of an EXCLUDE constraint: each part's operator; else empty.
    pub exclusion: Vec<ExclusionOperator>,
    pub activity: Arc<IndexActivity>,
}

pub struct ExclusionOperator {
    pub symbol: &'static str,
    /// Over two values.
    pub comparison: Expr,
}

impl ExclusionOperator {
    fn new(oid: Oid, data_type: Type) -> Result<ExclusionOperator> {
        let fact = operator_facts().iter().find(|fact| fact.oid == oid);
        let found = fact.and_then(|fact| Some((fact, function_by_oid(fact.function)?)));
        let (fact, function) = found.ok_or_else(|| Error::internal("an unknown exclusion operator"))?;
        let comparison = Expr::Call {
            function,
            arguments: vec![Expr::column(0, data_type.base()), Expr::column(1, data_type.base())],
            result: Type::BOOL,
        };
        Ok(ExclusionOperator { symbol: fact.name, comparison })
    }
}

impl Shape {
    pub fn of(table: &Table, context: &ExecContext<'_>) -> Result<Arc<Shape>> {
        Shape::get(table, context.catalog, &context.eval)
    }

    /// Of a table that DDL is still changing: what is cached would not follow.
    pub fn of_draft(table: &Table, context: &ExecContext<'_>) -> Result<Shape> {
        Shape::new(table, context.catalog, &context.eval)
    }

    /// For the planner, which has no execution's context.
    pub fn get(
        table: &Table,
        catalog: &Arc<crate::catalog::Catalog>,
        eval: &EvalContext<'_>,
    ) -> Result<Arc<Shape>> {
        let mut cell = table.shape.0.lock();
        if let Some(shape) = &*cell {
            return Ok(shape.clone());
        }
        let shape = Arc::new(Shape::new(table, catalog, eval)?);
        *cell = Some(shape.clone());
        Ok(shape)
    }

    fn new(table: &Table, catalog: &Arc<crate::catalog::Catalog>, eval: &EvalContext<'_>) -> Result<Shape> {
        let search_path = eval.services.search_path();
        let settings = PlannerSettings::for_catalog();
        let context = PlanContext { catalog, search_path: &search_path, eval, settings, variables: None };
        let bind = |text: &str, target| {
            crate::bind::table_expression(&crate::parse::parse_expression(text)?, table, target, &context)
        };
        let activity = catalog.runtime().activity();
        let types = table.types();
        let ascending = KeyOrder { descending: false, nulls_first: false };
        let part = |column: usize, order| KeyPart {
            source: KeySource::Column(column),
            data_type: types[column],
            order,
        };
        let mut indexes = Vec::with_capacity(table.indexes.len());
        for index in &table.indexes {
            let mut parts = Vec::with_capacity(index.keys.len());
            for key in &index.keys {
                let order = KeyOrder { descending: key.descending, nulls_first: key.nulls_first };
                parts.push(match (key.column, &key.expression) {
                    (Some(column), _) => part(column, order),
                    (None, Some(text)) => {
                        let expr = bind(text, None)?;
                        KeyPart { data_type: expr.data_type(), source: KeySource::Expression(expr), order }
                    }
                    (None, None) => return Err(Error::internal("an index key of nothing")),
                });
            }
            let entries = match index.method {
                Method::Btree => None,
                method => {
                    let keys = index.keys.iter().zip(&parts);
                    let classes = keys.map(|(key, part)| {
                        class_for(method, key.operator_class.as_deref(), part.data_type, |_| true)
                    });
                    let types = parts.iter().map(|part| part.data_type).collect();
                    Some(Entries::new(method, classes.collect::<Result<_>>()?, types))
                }
            };
            let operators = index.exclusion.iter().zip(&parts);
            let exclusion = operators.map(|(oid, part)| ExclusionOperator::new(*oid, part.data_type));
            indexes.push(IndexShape {
                exclusion: exclusion.collect::<Result<_>>()?,
                tree: catalog.tree(index.tree)?,
                entries,
                parts,
                unique: index.is_unique_now(),
                nulls_not_distinct: index.nulls_not_distinct,
                clustered: index.clustered,
                predicate: index
                    .predicate
                    .as_deref()
                    .map(|text| bind(text, Some((Type::BOOL, -1))))
                    .transpose()?,
                activity: activity.index(index.oid),
            });
        }
        let mut checks = Vec::new();
        for constraint in &table.constraints {
            if let ConstraintKind::Check(text) = &constraint.kind {
                checks.push((constraint.name.clone(), bind(text, Some((Type::BOOL, -1)))?));
            }
        }
        // PostgreSQL checks constraints in the order of their names.
        checks.sort_by(|a, b| a.0.cmp(&b.0));
        let live = || table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
        let mut generated = Vec::new();
        for (position, column) in live().filter(|(_, column)| column.generated) {
            let text = column.default.as_deref().unwrap_or("NULL");
            generated.push((position, bind(text, Some((column.data_type(), column.modifier)))?));
        }
        let mut missing = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            missing.push(match &column.missing {
                Some(text) => from_text(text, column.data_type())?,
                None => Datum::Null,
            });
        }
        Ok(Shape {
            tree: catalog.tree(table.tree)?,
            key: table.primary_key.iter().map(|&column| part(column, ascending)).collect(),
            clustered: table.indexes.iter().position(|index| index.clustered),
            indexes,
            not_null: live().filter(|(_, column)| column.not_null).map(|(position, _)| position).collect(),
            checks,
            generated,
            missing,
            activity: activity.table(table.oid),
            layout: super::row::RowLayout::new(&types),
            types,
        })
    }

    /// Appends the row's clustering key. Not for tables with row ids.
    pub fn encode_key(&self, row: &[Datum], out: &mut Vec<u8>) {
        self.key.iter().for_each(|part| part.encode_column(row, out));
    }

    /// The whole row at a place in the table's tree.
    /// See [`RowLayout::decode_columns`].
    pub fn decode_columns(&self, bytes: &[u8], wanted: &[usize], row: &mut [Datum]) -> Result<()> {
        self.layout.decode_columns(bytes, wanted, &self.missing, row)
    }
    pub fn decode_row(&self, bytes: &[u8]) -> Result<Vec<Datum>> {
        self.layout.decode_row(bytes, &self.missing)
    }
}

impl KeyPart {
    pub fn column(&self) -> Option<usize> {
        match self.source {
            KeySource::Column(column) => Some(column),
            KeySource::Expression(_) => None,
        }
    }
    /// For keys that are known to be of columns only: the clustering key, what a foreign key references.
    pub fn encode_column(&self, row: &[Datum], out: &mut Vec<u8>) {
        let KeySource::Column(column) = self.source else { unreachable!("a key of columns") };
        key::encode(&row[column], self.data_type, self.order, out);
    }
    pub fn value(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<Datum> {
        match &self.source {
            KeySource::Column(column) => Ok(row[*column].clone()),
            KeySource::Expression(expr) => eval_row(expr, row, context),
        }
    }
    /// Answers whether the value is null.
    fn encode(&self, row: &[Datum], context: &ExecContext<'_>, out: &mut Vec<u8>) -> Result<bool> {
        let computed;
        let value = match &self.source {
            KeySource::Column(column) => &row[*column],
            KeySource::Expression(_) => {
                computed = self.value(row, context)?;
                &computed
            }
        };
        key::encode(value, self.data_type, self.order, out);
        Ok(value.is_null())
    }
}

impl IndexShape {
    /// Whether an entry is made of columns as they are: nothing is evaluated.
    pub fn is_of_columns(&self) -> bool {
        self.predicate.is_none() && self.parts.iter().all(|part| part.column().is_some())
    }
    /// The table's columns that an entry is made of, or its absence.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = ColumnSet::new();
        for part in &self.parts {
            match &part.source {
                KeySource::Column(column) => columns.insert(*column),
                KeySource::Expression(expr) => expr.columns(&mut columns),
            };
        }
        if let Some(predicate) = &self.predicate {
            predicate.columns(&mut columns);
        }
        columns.iter().collect()
    }
    /// Appends a row's values in the index's key; answers whether one of them is null.
    pub fn encode_values(&self, row: &[Datum], context: &ExecContext<'_>, out: &mut Vec<u8>) -> Result<bool> {
        let mut has_null = false;
        for part in &self.parts {
            has_null |= part.encode(row, context, out)?;
        }
        Ok(has_null)
    }
    /// The entry of a row: appends the key, and answers whether the table's key is the entry's value (else it is part of the
    /// key and the value is empty): a unique index tells rows with nulls in the key apart by the table's key, as nulls are not equal.
    pub fn encode_entry(
        &self,
        row: &[Datum],
        table_key: &[u8],
        context: &ExecContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let has_null = self.encode_values(row, context, out)?;
        let by_itself = self.unique && (self.nulls_not_distinct || !has_null);
        if !by_itself {
            out.extend_from_slice(table_key);
        }
        Ok(by_itself)
    }
    /// A row's values in the index.
    pub fn values(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<Vec<Datum>> {
        self.parts.iter().map(|part| part.value(row, context)).collect()
    }
    /// The entries of a row in an index that may have several, in order and each once; none has a value.
    pub fn entries_of(
        &self,
        entries: &Entries,
        row: &[Datum],
        table_key: &[u8],
        context: &ExecContext<'_>,
    ) -> Result<Vec<Vec<u8>>> {
        let mut out = Vec::new();
        entries.entries(&self.values(row, context)?, table_key, &mut out)?;
        Ok(out)
    }
    /// The key in the table's tree that an entry leads to: its value, or the rest of its key. None: malformed.
    pub fn table_key<'e>(&self, key: &'e [u8], value: &'e [u8]) -> Option<&'e [u8]> {
        if !value.is_empty() {
            return Some(value);
        }
        if let Some(entries) = &self.entries {
            return entries.table_key(key);
        }
        let mut rest = key;
        for part in &self.parts {
            rest = rest.get(key::skip(rest, part.data_type, part.order)?..)?;
        }
        Some(rest)
    }
    /// Whether a partial index has an entry for the row.
    pub fn has_row(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<bool> {
        match &self.predicate {
            None => Ok(true),
            Some(predicate) => Ok(matches!(eval_row(predicate, row, context)?, Datum::Bool(true))),
        }
    }
}

/// A value from its text form, as the catalog keeps constants.
/// With the built-in render settings: a catalog's text must not change its meaning with a session's DateStyle or time zone.
pub fn from_text(text: &str, data_type: Type) -> Result<Datum> {
    parse_datum(text, data_type, -1, &RenderSettings::default())
}

/// The text form in which `from_text` reads a value back.
pub fn to_catalog_text(value: &Datum, data_type: Type) -> Option<String> {
    (!value.is_null()).then(|| format_datum(value, data_type, &RenderSettings::default()))
}

/// A value as the session shows it; None: null.
pub fn to_text(value: &Datum, data_type: Type, eval: &EvalContext<'_>) -> Option<String> {
    (!value.is_null()).then(|| format_datum(value, data_type, eval.render))
}
