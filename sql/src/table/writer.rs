//! Changes rows of a table and its indexes together.
//!
//! What protects what: a row's key in the table's tree is the thing that is locked. Entries of non-unique indexes end in that key,
//! so only the row's owner ever writes them: [`Transaction::put`]. Entries of unique indexes stand for themselves and are contended:
//! they are made with [`Transaction::insert`], which waits for whoever else is at the same key; taken away with `put`, since a live
//! entry belongs to a row that we hold. Old entries are tombstoned at once, not left to a vacuum: a version chain keeps
//! what older snapshots need.

use super::disclosure::{may_show, shown_columns};
use super::partition::Lineage;
use super::shape::{IndexShape, Shape, to_text};
use crate::catalog::Table;
use crate::error::{Error, Result, SqlState};
use crate::exec::ExecContext;
use crate::exec::eval::eval_row;
use crate::exec::exclusion::{self, Found};
use crate::types::Datum;
use serin_txn::Inserted;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of an insert.
pub enum InsertOutcome {
    /// With the row's key in the table's tree.
    Inserted(Vec<u8>),
    /// A live row has the same key in the index at this position of `Table::indexes`; nothing was written. `key` is that
    /// row's key in the table's tree; `visible` as in `serin_txn::Inserted::Duplicate`.
    Conflict { index: usize, key: Vec<u8>, visible: bool },
}

/// Which unique conflicts an INSERT … ON CONFLICT takes upon itself; others are 23505.
pub enum Arbiter {
    None,
    Any,
    /// Positions in `Table::indexes`.
    Indexes(Vec<usize>),
}

impl Arbiter {
    fn includes(&self, index: usize) -> bool {
        match self {
            Arbiter::None => false,
            Arbiter::Any => true,
            Arbiter::Indexes(indexes) => indexes.contains(&index),
        }
    }
}

/// Made once per statement. Rows have one datum per table column (dropped columns null), already cast to the column types.
pub struct TableWriter {
    table: Arc<Table>,
    shape: Arc<Shape>,
    row_ids: Option<Arc<AtomicU64>>,
    /// Of a partition: what its rows must satisfy.
    lineage: Option<Lineage>,
    /// Reused from row to row.
    row: Vec<u8>,
    entry: Vec<u8>,
    old_entry: Vec<u8>,
    /// Numbers of the columns that the statement names: it knows their values.
    written: BTreeSet<i16>,
}

impl TableWriter {
    pub fn new(table: &Arc<Table>, context: &ExecContext<'_>) -> Result<TableWriter> {
        let shape = Shape::of(table, context)?;
        let row_ids = match shape.key.is_empty() {
            true => Some(context.catalog.runtime().row_ids(&shape.tree)?),
            false => None,
        };
        Ok(TableWriter {
            table: table.clone(),
            shape,
            row_ids,
            lineage: Lineage::of(table, context)?,
            row: Vec::new(),
            entry: Vec::new(),
            old_entry: Vec::new(),
            written: BTreeSet::new(),
        })
    }

    /// Columns (by number) that errors may show, whatever the role may select.
    pub fn set_written(&mut self, columns: BTreeSet<i16>) {
        self.written = columns;
    }

    /// Checks NOT NULL (23502) and CHECK (23514) of a new row version; generated columns are computed by `fill_generated`.
    pub fn check(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<()> {
        for &column in &self.shape.not_null {
            if matches!(row[column], Datum::Null) {
                return Err(self.null_violation(column, row, context));
            }
        }
        for (name, condition) in &self.shape.checks {
            // Unknown passes.
            if matches!(eval_row(condition, row, context)?, Datum::Bool(false)) {
                let message = format!(
                    "new row for relation \"{}\" violates check constraint \"{name}\"",
                    self.table.name
                );
                let error = Error::new(SqlState::CHECK_VIOLATION, message).on_constraint(name);
                return Err(self.failing_row(error, row, context));
            }
        }
        self.check_partition(row, context)
    }

    /// 23514 if the row is outside of the partition's bounds.
    pub fn check_partition(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<()> {
        if self.fits(row, context)? {
            return Ok(());
        }
        let message = format!("new row for relation \"{}\" violates partition constraint", self.table.name);
        Err(self.failing_row(Error::new(SqlState::CHECK_VIOLATION, message), row, context))
    }

    /// Whether the row is within the partition's bounds.
    pub fn fits(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<bool> {
        match &self.lineage {
            None => Ok(true),
            Some(lineage) => lineage.fits(row, context),
        }
    }

    pub fn fill_generated(&self, row: &mut [Datum], context: &ExecContext<'_>) -> Result<()> {
        for (column, expr) in &self.shape.generated {
            row[*column] = eval_row(expr, row, context)?;
        }
        Ok(())
    }

    pub fn insert(
        &mut self,
        row: &[Datum],
        arbiter: &Arbiter,
        context: &ExecContext<'_>,
    ) -> Result<InsertOutcome> {
        let shape = self.shape.clone();
        let mut key = Vec::with_capacity(16);
        match &self.row_ids {
            Some(row_ids) => key.extend_from_slice(&row_ids.fetch_add(1, Ordering::Relaxed).to_be_bytes()),
            None => shape.encode_key(row, &mut key),
        }
        self.row.clear();
        super::row::encode(row, &shape.types, &mut self.row);

        if matches!(arbiter, Arbiter::None) {
            shape.activity.inserted.add(1);
            {
                let mut transaction = context.transaction.borrow_mut();
                // A row id is given out once: nobody else is at its key, and there is nothing to look for.
                if self.row_ids.is_some() {
                    transaction.put(&shape.tree, &key, Some(&self.row))?;
                } else if let Inserted::Duplicate { .. } = transaction.insert(&shape.tree, &key, &self.row)? {
                    drop(transaction);
                    return Err(self.clustered_duplicate(row, context));
                }
            }
            for (position, index) in shape.indexes.iter().enumerate() {
                if self.add_entry(index, row, &key, context)?.is_some() {
                    return Err(self.duplicate(position, row, context));
                }
            }
            return Ok(InsertOutcome::Inserted(key));
        }
        self.insert_arbitrated(row, key, arbiter, context)
    }

    /// ON CONFLICT: the arbiters' keys go first, so that their conflict is found before another index's violation, and a savepoint
    /// takes back what was written when a later one conflicts.
    fn insert_arbitrated(
        &mut self,
        row: &[Datum],
        key: Vec<u8>,
        arbiter: &Arbiter,
        context: &ExecContext<'_>,
    ) -> Result<InsertOutcome> {
        let shape = self.shape.clone();
        let mut order: Vec<usize> = (0..shape.indexes.len()).collect();
        order.sort_by_key(|&position| !(shape.indexes[position].unique && arbiter.includes(position)));
        // The first step conflicts before anything is written; with one arbiter there is nothing to take back.
        let arbiters = order
            .iter()
            .filter(|&&position| shape.indexes[position].unique && arbiter.includes(position))
            .count();
        let is_exclusion = |position: &usize| !shape.indexes[*position].exclusion.is_empty();
        let exclusions: Vec<usize> = (0..shape.indexes.len())
            .filter(|position| is_exclusion(position) && arbiter.includes(*position))
            .collect();
        'again: loop {
            context.eval.services.check_interrupt()?;
            for &position in &exclusions {
                let index = &shape.indexes[position];
                if let Found::Row { key, entry, .. } =
                    exclusion::find(&shape, index, None, row, true, context)?
                {
                    let visible = exclusion::meet(&shape, index, &key, &entry, context)?;
                    return Ok(InsertOutcome::Conflict { index: position, key, visible });
                }
            }
            let savepoint = (arbiters > 1 || !exclusions.is_empty())
                .then(|| context.transaction.borrow_mut().savepoint());
            let mut conflict = None;
            let mut row_written = false;
            for &position in &order {
                let index = &shape.indexes[position];
                let duplicate = if index.clustered {
                    row_written = true;
                    match context.transaction.borrow_mut().insert(&shape.tree, &key, &self.row)? {
                        Inserted::Done => None,
                        Inserted::Duplicate { visible } => Some((Some(key.clone()), visible)),
                    }
                } else {
                    self.add_entry(index, row, &key, context)?
                };
                if let Some((holder, visible)) = duplicate {
                    if !arbiter.includes(position) {
                        return Err(self.duplicate(position, row, context));
                    }
                    conflict = Some((position, holder, visible));
                    break;
                }
            }
            let Some((index, holder, visible)) = conflict else {
                if !row_written {
                    let inserted = context.transaction.borrow_mut().insert(&shape.tree, &key, &self.row)?;
                    if let Inserted::Duplicate { .. } = inserted {
                        return Err(self.clustered_duplicate(row, context));
                    }
                }
                for &position in &exclusions {
                    if !exclusion::may_stay(&shape, &shape.indexes[position], &key, row, context)? {
                        if let Some(savepoint) = &savepoint {
                            context.transaction.borrow_mut().rollback_to(savepoint)?;
                        }
                        continue 'again;
                    }
                }
                shape.activity.inserted.add(1);
                return Ok(InsertOutcome::Inserted(key));
            };
            if let Some(savepoint) = savepoint {
                context.transaction.borrow_mut().rollback_to(&savepoint)?;
            }
            // None: the holder went away between the conflict and our look at it. Try again.
            if let Some(key) = holder {
                return Ok(InsertOutcome::Conflict { index, key, visible });
            }
        }
    }

    /// Adds a row's entry to a secondary index. A duplicate answers the table key of the row that has the entry (None: it is gone
    /// by now) and whether the statement sees it.
    fn add_entry(
        &mut self,
        index: &IndexShape,
        row: &[Datum],
        key: &[u8],
        context: &ExecContext<'_>,
    ) -> Result<Option<(Option<Vec<u8>>, bool)>> {
        if index.clustered || !index.has_row(row, context)? {
            return Ok(None);
        }
        if let Some(entries) = &index.entries {
            let new = index.entries_of(entries, row, key, context)?;
            let mut transaction = context.transaction.borrow_mut();
            new.iter().try_for_each(|entry| transaction.put(&index.tree, entry, Some(&[])))?;
            return Ok(None);
        }
        self.entry.clear();
        let by_itself = index.encode_entry(row, key, context, &mut self.entry)?;
        let mut transaction = context.transaction.borrow_mut();
        if !by_itself {
            transaction.put(&index.tree, &self.entry, Some(&[]))?;
            return Ok(None);
        }
        match transaction.insert(&index.tree, &self.entry, key)? {
            Inserted::Done => Ok(None),
            Inserted::Duplicate { visible } => {
                let holder = transaction.catalog_get(&index.tree, &self.entry)?;
                Ok(Some((holder.map(|key| key.to_vec()), visible)))
            }
        }
    }

    /// The row at `key` was locked by `lock_row` (`NoKeyUpdate`, or `Update` if [`TableWriter::changes_key`]).
    pub fn update(
        &mut self,
        key: &[u8],
        old: &[Datum],
        new: &[Datum],
        context: &ExecContext<'_>,
    ) -> Result<()> {
        let shape = self.shape.clone();
        shape.activity.updated.add(1);
        self.row.clear();
        super::row::encode(new, &shape.types, &mut self.row);
        self.entry.clear();
        shape.encode_key(new, &mut self.entry);
        if shape.key.is_empty() || self.entry == key {
            context.transaction.borrow_mut().update(&shape.tree, key, &self.row)?;
            return self.update_entries(key, key, old, new, context);
        }
        // A new clustering key: another row, as far as trees are concerned.
        let new_key = self.entry.clone();
        {
            let mut transaction = context.transaction.borrow_mut();
            transaction.delete(&shape.tree, key)?;
            if let Inserted::Done = transaction.insert(&shape.tree, &new_key, &self.row)? {
                let moved = &context.catalog.runtime().moved;
                moved.to_key(shape.tree.id(), key, &new_key, &self.row, transaction.id());
                drop(transaction);
                return self.update_entries(key, &new_key, old, new, context);
            }
        }
        Err(self.clustered_duplicate(new, context))
    }

    fn update_entries(
        &mut self,
        old_key: &[u8],
        new_key: &[u8],
        old: &[Datum],
        new: &[Datum],
        context: &ExecContext<'_>,
    ) -> Result<()> {
        let shape = self.shape.clone();
        for (position, index) in shape.indexes.iter().enumerate().filter(|(_, index)| !index.clustered) {
            // A row outside of a partial index need not even have a value for its expressions.
            let was = index.has_row(old, context)?;
            let is = index.has_row(new, context)?;
            if let Some(entries) = &index.entries {
                let of = |row: &[Datum], key: &[u8], has: bool| match has {
                    true => index.entries_of(entries, row, key, context),
                    false => Ok(Vec::new()),
                };
                let (before, after) = (of(old, old_key, was)?, of(new, new_key, is)?);
                change_entries(index, &before, &after, context)?;
                continue;
            }
            self.old_entry.clear();
            let old_by_itself = was && index.encode_entry(old, old_key, context, &mut self.old_entry)?;
            self.entry.clear();
            let new_by_itself = is && index.encode_entry(new, new_key, context, &mut self.entry)?;
            if was && is && self.entry == self.old_entry && old_by_itself == new_by_itself {
                if new_by_itself && old_key != new_key {
                    // The same unique key, but the row moved.
                    context.transaction.borrow_mut().put(&index.tree, &self.entry, Some(new_key))?;
                }
                continue;
            }
            if was {
                context.transaction.borrow_mut().put(&index.tree, &self.old_entry, None)?;
            }
            if is && self.add_entry(index, new, new_key, context)?.is_some() {
                return Err(self.duplicate(position, new, context));
            }
        }
        Ok(())
    }

    /// Whether an update of these columns (positions) can change a key that others may reference.
    pub fn changes_key(&self, columns: &[usize]) -> bool {
        let is_key = |index: &&IndexShape| {
            index.unique
                && index.predicate.is_none()
                && index.parts.iter().all(|part| part.column().is_some())
        };
        let keys = self.shape.indexes.iter().filter(is_key);
        keys.flat_map(|index| &index.parts)
            .filter_map(|part| part.column())
            .any(|column| columns.contains(&column))
    }

    /// The row at `key` was locked by `lock_row` (`Update`).
    pub fn delete(&mut self, key: &[u8], old: &[Datum], context: &ExecContext<'_>) -> Result<()> {
        let shape = self.shape.clone();
        shape.activity.deleted.add(1);
        for index in shape.indexes.iter().filter(|index| !index.clustered) {
            if index.has_row(old, context)? {
                if let Some(entries) = &index.entries {
                    change_entries(index, &index.entries_of(entries, old, key, context)?, &[], context)?;
                    continue;
                }
                self.entry.clear();
                index.encode_entry(old, key, context, &mut self.entry)?;
                context.transaction.borrow_mut().put(&index.tree, &self.entry, None)?;
            }
        }
        Ok(context.transaction.borrow_mut().delete(&shape.tree, key)?)
    }

    // ---- errors ----

    fn null_violation(&self, column: usize, row: &[Datum], context: &ExecContext<'_>) -> Error {
        let name = &self.table.columns[column].name;
        let message = format!(
            "null value in column \"{name}\" of relation \"{}\" violates not-null constraint",
            self.table.name
        );
        let error = Error::new(SqlState::NOT_NULL_VIOLATION, message).on_column(name);
        self.failing_row(error, row, context)
    }

    fn failing_row(&self, error: Error, row: &[Datum], context: &ExecContext<'_>) -> Error {
        on_table(self.with_row(error, row, context), &self.table, context)
    }

    /// With the row in DETAIL, as far as it may be shown.
    pub fn with_row(&self, error: Error, row: &[Datum], context: &ExecContext<'_>) -> Error {
        with_row(&self.table, error, row, Some(&self.written), context)
    }

    fn clustered_duplicate(&self, row: &[Datum], context: &ExecContext<'_>) -> Error {
        match self.shape.clustered {
            Some(index) => self.duplicate(index, row, context),
            None => Error::internal("a row id was given out twice"),
        }
    }

    fn duplicate(&self, index: usize, row: &[Datum], context: &ExecContext<'_>) -> Error {
        unique_violation(&self.table, index, row, context)
    }
}

/// Takes away the entries that are only in the first list, adds those that are only in the second. Both are in order.
fn change_entries(
    index: &IndexShape,
    before: &[Vec<u8>],
    after: &[Vec<u8>],
    context: &ExecContext<'_>,
) -> Result<()> {
    let mut transaction = context.transaction.borrow_mut();
    let is_in = |list: &[Vec<u8>], entry: &Vec<u8>| list.binary_search(entry).is_ok();
    for entry in before.iter().filter(|entry| !is_in(after, entry)) {
        transaction.put(&index.tree, entry, None)?;
    }
    for entry in after.iter().filter(|entry| !is_in(before, entry)) {
        transaction.put(&index.tree, entry, Some(&[]))?;
    }
    Ok(())
}

pub(crate) fn on_table(error: Error, table: &Table, context: &ExecContext<'_>) -> Error {
    let schema = context.catalog.schema(table.schema).map_or("", |schema| &schema.name);
    error.on_table(schema, &table.name)
}

/// 23505 for a row that goes into a table with another like it.
pub(crate) fn unique_violation(
    table: &Table,
    index: usize,
    row: &[Datum],
    context: &ExecContext<'_>,
) -> Error {
    let name = &table.indexes[index].name;
    let message = format!("duplicate key value violates unique constraint \"{name}\"");
    let error = Error::new(SqlState::UNIQUE_VIOLATION, message).on_constraint(name);
    let error = match key_description(table, index, row, context) {
        Some(key) => error.detail(format!("Key {key} already exists.")),
        None => error,
    };
    on_table(error, table, context)
}

/// `(a, lower(b))=(1, x)`
pub(crate) fn key_description(
    table: &Table,
    index: usize,
    row: &[Datum],
    context: &ExecContext<'_>,
) -> Option<String> {
    let shape = Shape::of(table, context).ok()?;
    values_description(table, index, &shape.indexes[index].values(row, context).ok()?, context)
}

/// The same by a row's values in the index.
pub(crate) fn values_description(
    table: &Table,
    index: usize,
    values: &[Datum],
    context: &ExecContext<'_>,
) -> Option<String> {
    let shape = Shape::of(table, context).ok()?;
    if !may_show(table, table.indexes[index].keys.iter().map(|key| key.column), context) {
        return None;
    }
    let keys = table.indexes[index].keys.iter();
    let names = keys.map(|key| crate::catalog::system::deparse::key_text(table, key, true, &context.eval));
    let texts = values
        .iter()
        .zip(&shape.indexes[index].parts)
        .map(|(value, part)| to_text(value, part.data_type, &context.eval).unwrap_or_else(|| "null".into()));
    Some(format!("({})=({})", names.collect::<Vec<_>>().join(", "), texts.collect::<Vec<_>>().join(", ")))
}

/// PostgreSQL shows at most 64 bytes of a value in such a message.
fn shortened(text: &str) -> String {
    const BYTES_MAX: usize = 64;
    if text.len() <= BYTES_MAX {
        return text.to_string();
    }
    let mut end = BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

/// With a row in DETAIL, as far as it may be shown: columns that are `written`, or that the role may read.
pub(crate) fn with_row(
    table: &Table,
    error: Error,
    row: &[Datum],
    written: Option<&BTreeSet<i16>>,
    context: &ExecContext<'_>,
) -> Error {
    let none = BTreeSet::new();
    let shown = shown_columns(table, written.unwrap_or(&none), context);
    let live =
        table.columns.iter().zip(row).enumerate().filter(|(at, (column, _))| {
            !column.dropped && shown.as_ref().is_none_or(|shown| shown.contains(at))
        });
    let mut names = Vec::new();
    let values: Vec<String> = live
        .map(|(_, (column, value))| {
            names.push(column.name.as_str());
            let text = to_text(value, column.data_type(), &context.eval);
            text.map_or_else(|| "null".to_string(), |text| shortened(&text))
        })
        .collect();
    let values = values.join(", ");
    match shown {
        None => error.detail(format!("Failing row contains ({values}).")),
        Some(_) if names.is_empty() => error,
        Some(_) => error.detail(format!("Failing row contains ({}) = ({values}).", names.join(", "))),
    }
}
