//! PARTITION BY and partition bounds: what is written made into descriptors, and checked against what is there.

use super::{Ddl, names};
use crate::bind::Names;
use crate::catalog::{PartitionBound, PartitionKey, Partitioning, RangeDatum, Strategy, Table};
use crate::error::{Error, Result, SqlState};
use crate::exec::ExecContext;
use crate::exec::eval::eval_row;
use crate::functions::Volatility;
use crate::parse::ast::{Expr, PartitionBoundSpec, PartitionBy};
use crate::table::partition::{Lineage, Routing, carried, is_hashable, places};
use crate::table::{Shape, loader, to_catalog_text};
use crate::types::{Datum, Oid, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

/// As PostgreSQL's PARTITION_MAX_KEYS.
const KEYS_MAX: usize = 32;
/// A hash table's slots are kept in memory.
const MODULUS_MAX: i64 = 1 << 20;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_OBJECT_DEFINITION, message)
}

/// Of a bound that can't be what it is written to be.
fn bad_bound(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
}

impl Ddl<'_> {
    pub(super) fn partitioning(&self, table: &Table, by: &PartitionBy) -> Result<Partitioning> {
        let strategy = match by.strategy.to_ascii_lowercase().as_str() {
            "range" => Strategy::Range,
            "list" => Strategy::List,
            "hash" => Strategy::Hash,
            other => {
                let message = format!("unrecognized partitioning strategy \"{other}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        };
        if strategy == Strategy::List && by.keys.len() != 1 {
            return Err(invalid("cannot use \"list\" partition strategy with more than one column"));
        }
        if by.keys.len() > KEYS_MAX {
            let message = format!("cannot partition using more than {KEYS_MAX} columns");
            return Err(Error::new(SqlState::TOO_MANY_COLUMNS, message).at(by.position));
        }
        let mut keys = Vec::with_capacity(by.keys.len());
        for part in &by.keys {
            if let Some(class) = &part.operator_class {
                let name = names::display(class);
                // Types have one operator class each here, by their usual names.
                if !name.ends_with("_ops") || name.starts_with("part_") {
                    let method = if strategy == Strategy::Hash { "hash" } else { "btree" };
                    let message =
                        format!("operator class \"{name}\" does not exist for access method \"{method}\"");
                    return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
                }
            }
            let key = match &part.expr {
                Expr::Column(path, _) if path.len() == 1 => {
                    let name = &path[0];
                    let column = table.column_index(name).ok_or_else(|| {
                        let message = format!("column \"{name}\" named in partition key does not exist");
                        Error::new(SqlState::UNDEFINED_COLUMN, message).at(part.position)
                    })?;
                    if table.columns[column].generated {
                        return Err(invalid("cannot use generated column in partition key")
                            .detail(format!("Column \"{name}\" is a generated column."))
                            .at(part.position));
                    }
                    let data_type = table.columns[column].data_type;
                    PartitionKey { column: Some(column), expression: None, data_type }
                }
                expr => {
                    let bound = self.with_plan_context(|context| {
                        crate::bind::table_expression(expr, table, None, context)
                    })?;
                    if bound.has_subquery() {
                        return Err(Error::new(
                            SqlState::FEATURE_NOT_SUPPORTED,
                            "cannot use subquery in partition key expression",
                        ));
                    }
                    if bound.volatility() != Volatility::Immutable {
                        return Err(invalid(
                            "functions in partition key expression must be marked IMMUTABLE",
                        ));
                    }
                    let mut columns = crate::expr::ColumnSet::new();
                    bound.columns(&mut columns);
                    if columns.iter().next().is_none() {
                        return Err(invalid("cannot use constant expression as partition key"));
                    }
                    if columns.iter().any(|at| table.columns[at].generated) {
                        return Err(invalid("cannot use generated column in partition key"));
                    }
                    PartitionKey {
                        column: None,
                        expression: Some(self.spelled_out(&part.text, Names::Table(table), None)?),
                        data_type: bound.data_type().0,
                    }
                }
            };
            let data_type = Type(key.data_type);
            if data_type.is_pseudo() {
                let column = key.column.map_or("", |column| &table.columns[column].name);
                let message =
                    format!("partition key column \"{column}\" has pseudo-type {}", data_type.display());
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            if strategy == Strategy::Hash && !is_hashable(data_type) {
                return Err(Error::unsupported(format!("hash partitioning by type {}", data_type.display())));
            }
            keys.push(key);
        }
        Ok(Partitioning { strategy, keys })
    }

    /// A bound for a partition of `parent`, checked against its other partitions.
    pub(super) fn partition_bound(
        &self,
        parent: &Arc<Table>,
        name: &str,
        spec: &PartitionBoundSpec,
    ) -> Result<PartitionBound> {
        let partitioning = parent.inheritance.partitioning.as_ref().ok_or_else(|| {
            let message = format!("\"{}\" is not partitioned", parent.name);
            Error::new(SqlState::WRONG_OBJECT_TYPE, message)
        })?;
        let bound = match (partitioning.strategy, spec) {
            (Strategy::Hash, PartitionBoundSpec::Default(_)) => {
                return Err(bad_bound("a hash-partitioned table may not have a default partition"));
            }
            (_, PartitionBoundSpec::Default(_)) => PartitionBound::Default,
            (Strategy::List, PartitionBoundSpec::List(values, _)) => {
                let mut list: Vec<Option<String>> = Vec::with_capacity(values.len());
                for value in values {
                    let value = self.bound_value(parent, &partitioning.keys[0], value)?;
                    if !list.contains(&value) {
                        list.push(value);
                    }
                }
                PartitionBound::List(list)
            }
            (Strategy::Range, PartitionBoundSpec::Range { from, to, .. }) => {
                for (side, word) in [(from, "FROM"), (to, "TO")] {
                    if side.len() != partitioning.keys.len() {
                        let message =
                            format!("{word} must specify exactly one value per partitioning column");
                        return Err(bad_bound(message));
                    }
                }
                PartitionBound::Range {
                    from: self.range_end(parent, &partitioning.keys, from)?,
                    to: self.range_end(parent, &partitioning.keys, to)?,
                }
            }
            (Strategy::Hash, PartitionBoundSpec::Hash { modulus, remainder, .. }) => {
                if *modulus <= 0 {
                    let message = "modulus for hash partition must be an integer value greater than zero";
                    return Err(bad_bound(message));
                }
                if *remainder < 0 {
                    let message =
                        "remainder for hash partition must be an integer value greater than or equal to zero";
                    return Err(bad_bound(message));
                }
                if remainder >= modulus {
                    let message = "remainder for hash partition must be less than modulus";
                    return Err(bad_bound(message));
                }
                if *modulus > MODULUS_MAX {
                    return Err(Error::unsupported(format!("a modulus above {MODULUS_MAX}")));
                }
                PartitionBound::Hash { modulus: *modulus as u32, remainder: *remainder as u32 }
            }
            (strategy, _) => {
                let article = if strategy == Strategy::List { "a list" } else { "a" };
                let word = match strategy {
                    Strategy::List => String::new(),
                    strategy => format!(" {}", strategy.name()),
                };
                let message = format!("invalid bound specification for {article}{word} partition");
                return Err(bad_bound(message).at(spec_position(spec)));
            }
        };
        let at = first_position(spec);
        self.check_bound(parent, name, &bound).map_err(|error| error.at(at))?;
        Ok(bound)
    }

    fn range_end(&self, parent: &Table, keys: &[PartitionKey], end: &[Expr]) -> Result<Vec<RangeDatum>> {
        let mut out: Vec<RangeDatum> = Vec::with_capacity(end.len());
        for (expr, key) in end.iter().zip(keys) {
            let datum = match expr {
                Expr::Column(path, _) if matches!(&path[..], [word] if word == "minvalue") => {
                    RangeDatum::MinValue
                }
                Expr::Column(path, _) if matches!(&path[..], [word] if word == "maxvalue") => {
                    RangeDatum::MaxValue
                }
                expr => match self.bound_value(parent, key, expr)? {
                    Some(text) => RangeDatum::Value(text),
                    None => return Err(invalid("cannot specify NULL in range bound")),
                },
            };
            match (out.last(), &datum) {
                (Some(RangeDatum::MinValue), RangeDatum::Value(_) | RangeDatum::MaxValue) => {
                    let message = "every bound following MINVALUE must also be MINVALUE";
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
                }
                (Some(RangeDatum::MaxValue), RangeDatum::Value(_) | RangeDatum::MinValue) => {
                    let message = "every bound following MAXVALUE must also be MAXVALUE";
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
                }
                _ => out.push(datum),
            }
        }
        Ok(out)
    }

    fn bound_value(&self, parent: &Table, key: &PartitionKey, expr: &Expr) -> Result<Option<String>> {
        let data_type = Type(key.data_type);
        let modifier = key.column.map_or(-1, |column| parent.columns[column].modifier);
        if has_column(expr) {
            let message = "cannot use column reference in partition bound expression";
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        let bound = self.with_plan_context(|context| {
            crate::bind::standalone_expression(expr, (data_type, modifier), context)
        });
        let bound = bound.map_err(|error| match error.state() {
            SqlState::DATATYPE_MISMATCH | SqlState::CANNOT_COERCE => {
                let name = match key.column {
                    Some(column) => parent.columns[column].name.clone(),
                    None => key.expression.clone().unwrap_or_default(),
                };
                let message = format!(
                    "specified value cannot be cast to type {} for column \"{name}\"",
                    data_type.display()
                );
                Error::new(SqlState::DATATYPE_MISMATCH, message)
            }
            _ => error,
        })?;
        let value = self.with_exec(|context| eval_row(&bound, &[], context))?;
        Ok(to_catalog_text(&value, data_type))
    }

    fn check_bound(&self, parent: &Arc<Table>, name: &str, bound: &PartitionBound) -> Result<()> {
        let catalog = self.catalog();
        let routing = Routing::get(parent, &catalog, self.eval)?;
        let named = |oid: Oid| catalog.table(oid).map_or(String::new(), |table| table.name.clone());
        if let PartitionBound::Range { from, to } = bound
            && routing.is_empty_range(bound)?
        {
            let shown =
                |end: &[RangeDatum]| crate::catalog::system::deparse::range_end(end, &routing.types());
            return Err(invalid(format!("empty range bound specified for partition \"{name}\"")).detail(
                format!(
                    "Specified lower bound {} is greater than or equal to upper bound {}.",
                    shown(from),
                    shown(to)
                ),
            ));
        }
        if let PartitionBound::Hash { modulus, .. } = bound {
            self.check_modulus(parent, *modulus)?;
        }
        let Some(other) = routing.overlap(bound)? else { return Ok(()) };
        Err(match bound {
            PartitionBound::Default => invalid(format!(
                "partition \"{name}\" conflicts with existing default partition \"{}\"",
                named(other)
            )),
            _ => invalid(format!("partition \"{name}\" would overlap partition \"{}\"", named(other))),
        })
    }

    /// Every modulus must divide the next greater one.
    fn check_modulus(&self, parent: &Table, modulus: u32) -> Result<()> {
        let catalog = self.catalog();
        let others = parent.inheritance.children.iter().filter_map(|oid| {
            let child = catalog.table(*oid)?;
            match child.inheritance.bound {
                Some(PartitionBound::Hash { modulus, .. }) => Some((modulus, child.name.clone())),
                _ => None,
            }
        });
        let mut others: Vec<(u32, String)> = others.collect();
        others.sort();
        let error = |detail: String| {
            Err(invalid("every hash partition modulus must be a factor of the next larger modulus")
                .detail(detail))
        };
        if let Some((below, name)) = others.iter().rfind(|(other, _)| *other <= modulus)
            && !modulus.is_multiple_of(*below)
        {
            return error(format!(
                "The new modulus {modulus} is not divisible by {below}, the modulus of existing partition \"{name}\"."
            ));
        }
        if let Some((above, name)) = others.iter().find(|(other, _)| *other >= modulus)
            && !above.is_multiple_of(modulus)
        {
            return error(format!(
                "The new modulus {modulus} is not a factor of {above}, the modulus of existing partition \"{name}\"."
            ));
        }
        Ok(())
    }

    /// The tables below that have rows, itself if it has.
    pub(super) fn leaves(&self, table: &Arc<Table>) -> Vec<Arc<Table>> {
        let catalog = self.catalog();
        let all = catalog.descendants(table);
        all.into_iter().chain([table.clone()]).filter(|table| !table.is_partitioned()).collect()
    }

    /// A new partition takes values away from the DEFAULT partition: 23514 if that has rows with some.
    pub(super) fn check_default_partition(
        &self,
        parent: &Arc<Table>,
        child: Oid,
        bound: &PartitionBound,
    ) -> Result<()> {
        let catalog = self.catalog();
        let current = Routing::get(parent, &catalog, self.eval)?;
        let Some(default) = current.default_partition().filter(|oid| *oid != child) else { return Ok(()) };
        self.lock(default, RelationLockMode::AccessExclusive)?;
        let Some(default) = self.catalog().table(default) else { return Ok(()) };
        let siblings = parent.inheritance.children.iter().filter_map(|oid| {
            let bound = catalog.table(*oid)?.inheritance.bound.clone()?;
            Some((*oid, bound))
        });
        let siblings = siblings.filter(|(oid, _)| *oid != child).chain([(child, bound.clone())]).collect();
        let routing = Routing::new(parent, siblings, &catalog, self.eval)?;
        for leaf in self.leaves(&default) {
            let map = places(parent, &leaf);
            self.each_row(&leaf, |row, context| {
                let at = routing.route(&carried(row, &map), context)?;
                if at.map(|at| routing.children[at]) != Some(child) {
                    return Ok(());
                }
                let message = format!(
                    "updated partition constraint for default partition \"{}\" would be violated by some row",
                    leaf.name
                );
                Err(Error::new(SqlState::CHECK_VIOLATION, message))
            })?;
        }
        Ok(())
    }

    /// Every row of a table that is about to be a partition has to be within its bounds: those that its descriptor and its ancestors have by now.
    pub(super) fn check_partition_rows(&self, table: &Arc<Table>) -> Result<()> {
        for leaf in self.leaves(table) {
            let lineage = self.with_exec(|context| Lineage::of(&leaf, context))?;
            let Some(lineage) = lineage else { continue };
            self.each_row(&leaf, |row, context| match lineage.fits(row, context)? {
                true => Ok(()),
                false => {
                    let message =
                        format!("partition constraint of relation \"{}\" is violated by some row", leaf.name);
                    Err(Error::new(SqlState::CHECK_VIOLATION, message))
                }
            })?;
        }
        Ok(())
    }

    fn each_row(
        &self,
        table: &Arc<Table>,
        mut visit: impl FnMut(&[Datum], &ExecContext<'_>) -> Result<()>,
    ) -> Result<()> {
        self.transaction.borrow_mut().next_command();
        self.with_exec(|context| {
            let shape = Shape::of_draft(table, context)?;
            loader::scan_all(&shape.tree, context, |_, value| visit(&shape.decode_row(value)?, context))
        })
    }

    /// A unique key of a partitioned table must have the whole partition key in it, or partitions could not see to it each for itself.
    pub(super) fn check_unique_covers(
        &self,
        table: &Table,
        columns: &[Option<usize>],
        what: &str,
    ) -> Result<()> {
        let Some(partitioning) = &table.inheritance.partitioning else { return Ok(()) };
        for key in &partitioning.keys {
            let Some(column) = key.column else {
                let message = format!("unsupported {what} constraint with partition key definition");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(format!(
                    "{what} constraints cannot be used when partition keys include expressions."
                )));
            };
            if !columns.contains(&Some(column)) {
                let message = "unique constraint on partitioned table must include all partitioning columns";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(format!(
                    "{what} constraint on table \"{}\" lacks column \"{}\" which is part of the partition key.",
                    table.name, table.columns[column].name
                )));
            }
        }
        Ok(())
    }
}

fn spec_position(spec: &PartitionBoundSpec) -> usize {
    match spec {
        PartitionBoundSpec::Default(position)
        | PartitionBoundSpec::List(_, position)
        | PartitionBoundSpec::Range { position, .. }
        | PartitionBoundSpec::Hash { position, .. } => *position,
    }
}

/// Of its first value.
fn first_position(spec: &PartitionBoundSpec) -> usize {
    let position = match spec {
        PartitionBoundSpec::List(values, _) | PartitionBoundSpec::Range { from: values, .. } => {
            values.first().map_or(0, crate::bind::position_of)
        }
        _ => 0,
    };
    if position == 0 { spec_position(spec) } else { position }
}

/// A reference to a column anywhere in the parts of a bound that are looked into; others fail when they are bound.
fn has_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(..))
}
