//! Fills fresh trees in bulk: COPY and CREATE TABLE AS into a table made by the same transaction, CREATE INDEX, and everything that
//! rewrites a table.
//!
//! A bulk load writes sorted keys straight into base pages: nothing goes through the delta, the log has only the pages'
//! extents, and memory stays bounded whatever the table's size. So the work here is to bring keys in order:
//!
//! - Row ids ascend by themselves, and a primary key often does too (data loaded from a dump, pgbench's accounts): a tree is
//!   loaded directly for as long as its keys ascend.
//! - Entries of secondary indexes are gathered in a [`Sorter`] and loaded when all rows are there.

use super::shape::{IndexShape, Shape};
use super::sorter::{Sorted, Sorter};
use super::writer::{Arbiter, TableWriter, key_description};
use crate::catalog::Table;
use crate::error::{Error, Result, SqlState};
use crate::exec::ExecContext;
use crate::types::Datum;
use serin_storage::{BulkLoader, KeyRange, Tree, Value};
use std::ops::Bound;
use std::sync::Arc;

/// Rows between two looks at the interrupt flag.
const BATCH_ROWS: usize = 1024;

/// Calls `visit` with every row of a tree that the latest committed state or this transaction has. For DDL, whose relation
/// lock keeps writers out.
pub(crate) fn scan_all(
    tree: &Arc<Tree>,
    context: &ExecContext<'_>,
    mut visit: impl FnMut(&[u8], &Value) -> Result<()>,
) -> Result<()> {
    let range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let mut scan = context.transaction.borrow_mut().catalog_scan(tree, range)?;
    let mut keys = Vec::new();
    let mut rows: Vec<(usize, Value)> = Vec::with_capacity(BATCH_ROWS);
    loop {
        keys.clear();
        rows.clear();
        // `visit` may evaluate expressions, which may need the transaction: so not under its borrow.
        let more =
            scan.next_batch(&mut context.transaction.borrow_mut(), BATCH_ROWS, &mut |key, value| {
                keys.extend_from_slice(key);
                rows.push((keys.len(), value.clone()));
                true
            })?;
        context.eval.services.check_interrupt()?;
        let mut start = 0;
        for (end, value) in &rows {
            visit(&keys[start..*end], value)?;
            start = *end;
        }
        if !more {
            return Ok(());
        }
    }
}

/// As [`scan_all`], for a `visit` that has no need of the transaction: it sees the rows where they lie.
pub(crate) fn scan_in_place(
    tree: &Arc<Tree>,
    context: &ExecContext<'_>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let mut scan = context.transaction.borrow_mut().catalog_scan(tree, range)?;
    loop {
        let mut outcome = Ok(());
        let more =
            scan.next_batch(&mut context.transaction.borrow_mut(), BATCH_ROWS, &mut |key, value| {
                outcome = visit(key, value);
                outcome.is_ok()
            })?;
        outcome?;
        context.eval.services.check_interrupt()?;
        if !more {
            return Ok(());
        }
    }
}

/// What became of a key offered to a [`TreeFiller`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    Appended,
    Duplicate,
    /// Below the last one: the load can't take it.
    OutOfOrder,
}

/// Loads one tree directly.
pub(crate) struct TreeFiller {
    loader: BulkLoader,
    last: Vec<u8>,
    rows: u64,
}

impl TreeFiller {
    /// None: the tree is not one that this transaction made and left empty.
    pub fn new(tree: &Arc<Tree>, context: &ExecContext<'_>) -> Result<Option<TreeFiller>> {
        let loader = context.transaction.borrow_mut().bulk_loader(tree)?;
        Ok(loader.map(|loader| TreeFiller { loader, last: Vec::new(), rows: 0 }))
    }
    pub fn append(&mut self, key: &[u8], value: &[u8]) -> Result<Filled> {
        if self.rows > 0 && key <= &self.last[..] {
            return Ok(if key == self.last { Filled::Duplicate } else { Filled::OutOfOrder });
        }
        self.loader.append(key, value)?;
        self.last.clear();
        self.last.extend_from_slice(key);
        self.rows += 1;
        Ok(Filled::Appended)
    }
    pub fn finish(self, context: &ExecContext<'_>) -> Result<u64> {
        Ok(context.transaction.borrow_mut().finish_bulk(self.loader)?)
    }
}

/// Loads sorted pairs into a fresh tree; `duplicate` makes the error for a key that comes twice, from its value.
pub(crate) fn fill_sorted(
    tree: &Arc<Tree>,
    mut sorted: Sorted,
    context: &ExecContext<'_>,
    mut duplicate: impl FnMut(&[u8], &[u8]) -> Error,
) -> Result<u64> {
    let filler = TreeFiller::new(tree, context)?;
    let mut filler = filler.ok_or_else(|| Error::internal("a tree to be filled is not fresh"))?;
    while let Some((key, value)) = sorted.next()? {
        if filler.append(key, value)? != Filled::Appended {
            return Err(duplicate(key, value));
        }
        if filler.rows % BATCH_ROWS as u64 == 0 {
            context.eval.services.check_interrupt()?;
        }
    }
    filler.finish(context)
}

/// The entries of one secondary index, on their way into its fresh tree.
pub(crate) struct IndexLoad {
    /// In `Table::indexes`.
    position: usize,
    sorter: Sorter,
    entry: Vec<u8>,
}

impl IndexLoad {
    /// One for each secondary index, sharing a memory budget.
    pub fn for_table(shape: &Shape, budget_bytes: usize, context: &ExecContext<'_>) -> Vec<IndexLoad> {
        let positions: Vec<usize> =
            (0..shape.indexes.len()).filter(|&position| !shape.indexes[position].clustered).collect();
        let each = budget_bytes / positions.len().max(1);
        positions.into_iter().map(|position| IndexLoad::new(position, each, context)).collect()
    }
    pub fn new(position: usize, budget_bytes: usize, context: &ExecContext<'_>) -> IndexLoad {
        let dir = context.catalog.runtime().temporary_dir();
        IndexLoad { position, sorter: Sorter::with_helper(budget_bytes, dir), entry: Vec::new() }
    }
    pub fn add(
        &mut self,
        shape: &Shape,
        row: &[Datum],
        table_key: &[u8],
        context: &ExecContext<'_>,
    ) -> Result<()> {
        let index = &shape.indexes[self.position];
        if !index.has_row(row, context)? {
            return Ok(());
        }
        if let Some(entries) = &index.entries {
            for entry in index.entries_of(entries, row, table_key, context)? {
                check_key_bytes(&entry)?;
                self.sorter.push(&entry, &[])?;
            }
            return Ok(());
        }
        self.entry.clear();
        let by_itself = index.encode_entry(row, table_key, context, &mut self.entry)?;
        let value = if by_itself { table_key } else { &[] };
        check_key_bytes(&self.entry)?;
        self.sorter.push(&self.entry, value)
    }
    /// `find_row` gives the row at a table key, for the message when a unique key comes twice.
    pub fn finish(
        self,
        table: &Table,
        shape: &Shape,
        context: &ExecContext<'_>,
        mut find_row: impl FnMut(&[u8]) -> Option<Vec<Datum>>,
    ) -> Result<()> {
        let index: &IndexShape = &shape.indexes[self.position];
        let duplicate = |_: &[u8], table_key: &[u8]| {
            let row = find_row(table_key);
            not_unique(table, self.position, row.as_deref(), context)
        };
        fill_sorted(&index.tree, self.sorter.finish()?, context, duplicate).map(drop)
    }
}

/// 23505 for an index that can't be built.
pub(crate) fn not_unique(
    table: &Table,
    index: usize,
    row: Option<&[Datum]>,
    context: &ExecContext<'_>,
) -> Error {
    let name = &table.indexes[index].name;
    let message = format!("could not create unique index \"{name}\"");
    let error = Error::new(SqlState::UNIQUE_VIOLATION, message).on_constraint(name);
    match row.and_then(|row| key_description(table, index, row, context)) {
        Some(key) => error.detail(format!("Key {key} is duplicated.")),
        None => error,
    }
}

pub(super) fn check_key_bytes(key: &[u8]) -> Result<()> {
    if key.len() <= Tree::KEY_BYTES_MAX {
        return Ok(());
    }
    Err(serin_storage::Error::KeyTooLarge { bytes: key.len(), max: Tree::KEY_BYTES_MAX }.into())
}

/// Loads rows into a table whose trees are all fresh; falls back to ordinary inserts when the clustering keys stop ascending.
pub(crate) struct TableLoader {
    table: Arc<Table>,
    shape: Arc<Shape>,
    /// None once it has fallen back.
    direct: Option<Direct>,
    writer: TableWriter,
    key: Vec<u8>,
    row: Vec<u8>,
}

struct Direct {
    filler: TreeFiller,
    indexes: Vec<IndexLoad>,
    next_row_id: u64,
}

impl TableLoader {
    /// None: some tree of the table is not fresh.
    pub fn new(
        table: &Arc<Table>,
        budget_bytes: usize,
        context: &ExecContext<'_>,
    ) -> Result<Option<TableLoader>> {
        let shape = Shape::of(table, context)?;
        let Some(filler) = TreeFiller::new(&shape.tree, context)? else { return Ok(None) };
        for index in shape.indexes.iter().filter(|index| !index.clustered) {
            if TreeFiller::new(&index.tree, context)?.is_none() {
                return Ok(None);
            }
        }
        let indexes = IndexLoad::for_table(&shape, budget_bytes, context);
        let next_row_id = match shape.key.is_empty() {
            true => context.catalog.runtime().next_row_id(&shape.tree)?,
            false => 0,
        };
        Ok(Some(TableLoader {
            table: table.clone(),
            direct: Some(Direct { filler, indexes, next_row_id }),
            writer: TableWriter::new(table, context)?,
            shape,
            key: Vec::new(),
            row: Vec::new(),
        }))
    }

    /// Takes a row that [`TableWriter::check`] has passed.
    pub fn append(&mut self, row: &[Datum], context: &ExecContext<'_>) -> Result<()> {
        let Some(direct) = &mut self.direct else {
            self.writer.insert(row, &Arbiter::None, context)?;
            return Ok(());
        };
        self.shape.activity.inserted.add(1);
        self.key.clear();
        if self.shape.key.is_empty() {
            self.key.extend_from_slice(&direct.next_row_id.to_be_bytes());
            direct.next_row_id += 1;
        } else {
            self.shape.encode_key(row, &mut self.key);
            check_key_bytes(&self.key)?;
        }
        self.row.clear();
        super::row::encode(row, &self.shape.types, &mut self.row);
        match direct.filler.append(&self.key, &self.row)? {
            Filled::Appended => {}
            Filled::Duplicate => {
                let index = self.shape.clustered.expect("row ids ascend");
                return Err(super::writer::unique_violation(&self.table, index, row, context));
            }
            Filled::OutOfOrder => {
                self.finish_direct(context)?;
                return self.append(row, context);
            }
        }
        for index in &mut direct.indexes {
            index.add(&self.shape, row, &self.key, context)?;
        }
        Ok(())
    }

    fn finish_direct(&mut self, context: &ExecContext<'_>) -> Result<()> {
        let Some(direct) = self.direct.take() else { return Ok(()) };
        direct.filler.finish(context)?;
        if self.shape.key.is_empty() {
            context.catalog.runtime().set_row_ids(self.shape.tree.id(), direct.next_row_id);
        }
        // The rows loaded are to be seen by the look-ups below and the inserts after.
        context.transaction.borrow_mut().next_command();
        let shape = &self.shape;
        for index in direct.indexes {
            let position = index.position;
            let find_row = |key: &[u8]| {
                let value = context.transaction.borrow_mut().catalog_get(&shape.tree, key).ok()??;
                shape.decode_row(&value).ok()
            };
            index.finish(&self.table, shape, context, find_row).map_err(|error| {
                // A load is an insert to its user.
                if error.state() != SqlState::UNIQUE_VIOLATION {
                    return error;
                }
                let name = &self.table.indexes[position].name;
                let detail =
                    error.fields().detail.clone().map(|d| d.replace("is duplicated", "already exists"));
                let message = format!("duplicate key value violates unique constraint \"{name}\"");
                let renamed = Error::new(SqlState::UNIQUE_VIOLATION, message).on_constraint(name);
                detail.into_iter().fold(renamed, |error, detail| error.detail(detail))
            })?;
        }
        Ok(())
    }

    pub fn finish(mut self, context: &ExecContext<'_>) -> Result<()> {
        self.finish_direct(context)
    }
}
