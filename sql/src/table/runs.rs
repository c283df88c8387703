//! Bulk inserts into a table that others use: COPY and INSERT … SELECT of many rows.
//!
//! A row that is inserted by itself costs a version chain in memory and a record in the log, and so does each of its index entries; in
//! random order each is a search through a tree as well. Here chunks of ascending keys go to disk as a run (`txn/src/run.rs`), and what does
//! not come in order is brought in order first:
//!
//! - Rows are taken as they come while their keys ascend (row ids do, primary keys often). From the first on that does not, they go
//!   through a [`Sorter`] and into the tree at the end of the statement.
//! - Entries of secondary indexes are sorted likewise, and written when all rows are there. An entry that ends in the key of its row
//!   can be nobody else's, so its run has to look for nothing; one that stands for itself is contended like a primary key.
//!
//! A chunk that meets something (a key in its range, another run) is inserted one by one, still in order; then runs are
//! tried again, the less often the more was refused. Nothing is read from the table meanwhile that the statement could see: what it
//! writes is of its own command.

use super::loader::check_key_bytes;
use super::shape::Shape;
use super::sorter::Sorter;
use super::writer::unique_violation;
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::exec::ExecContext;
use crate::types::Datum;
use serin_storage::Tree;
use serin_txn::{Inserted, KeyRun};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries that are judged, and registered, at a time.
const CHUNK_ENTRIES: usize = 1024;
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that are inserted one by one before a run is tried again, at most.
const CHUNKS_PASSED_MAX: u32 = 64;
const LINE_BYTES: usize = size_of::<u64>();

/// Who else can have the keys of a [`TreeRun`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Nobody, not even this transaction.
    New,
    /// This transaction.
    Own,
    /// Anybody: each must be new.
    Contended,
}

/// Writes ascending entries into one tree.
struct TreeRun {
    table: Arc<Table>,
    tree: Arc<Tree>,
    keys: Keys,
    run: Option<KeyRun>,
    /// Chunks to insert one by one before the next run; `None`: this transaction makes none.
    passes: Option<u32>,
    passed_next: u32,
    /// Keys and values of the chunk, one after another.
    bytes: Vec<u8>,
    entries: Vec<Encoded>,
}

struct Encoded {
    start: usize,
    key_end: usize,
    end: usize,
    line: u64,
}

/// Makes the error for an entry whose key is there already, from its value.
type Duplicate<'d> = dyn FnMut(&[u8]) -> Error + 'd;

impl TreeRun {
    fn new(table: &Arc<Table>, tree: &Arc<Tree>, keys: Keys, context: &ExecContext<'_>) -> Result<TreeRun> {
        let run = match keys {
            Keys::Own => None,
            Keys::New | Keys::Contended => {
                context.transaction.borrow_mut().begin_run(tree, keys == Keys::New)?
            }
        };
        Ok(TreeRun {
            table: table.clone(),
            tree: tree.clone(),
            keys,
            passes: run.is_some().then_some(0),
            run,
            passed_next: 1,
            bytes: Vec::new(),
            entries: Vec::new(),
        })
    }

    fn key(&self, entry: &Encoded) -> &[u8] {
        &self.bytes[entry.start..entry.key_end]
    }

    fn value(&self, entry: &Encoded) -> &[u8] {
        &self.bytes[entry.key_end..entry.end]
    }

    /// Whether `key` may come next.
    fn ascends(&self, key: &[u8]) -> bool {
        self.entries.last().is_none_or(|last| self.key(last) < key)
    }

    /// An entry that does not ascend is refused by its key being there.
    fn push(
        &mut self,
        key: &[u8],
        value: &[u8],
        line: u64,
        context: &ExecContext<'_>,
        duplicate: &mut Duplicate<'_>,
    ) -> Result<()> {
        if !self.ascends(key) {
            self.flush(context, duplicate)?;
            self.list_run(context)?;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let end = self.bytes.len();
        self.entries.push(Encoded { start, key_end, end, line });
        if self.entries.len() >= CHUNK_ENTRIES || end >= CHUNK_BYTES {
            self.flush(context, duplicate)?;
        }
        Ok(())
    }

    fn flush(&mut self, context: &ExecContext<'_>, duplicate: &mut Duplicate<'_>) -> Result<()> {
        if !self.extend_run(context)? {
            self.list_run(context)?;
            self.insert_one_by_one(context, duplicate)?;
        }
        self.bytes.clear();
        self.entries.clear();
        context.eval.services.check_interrupt()
    }

    /// Adds the chunk to the run; false if it is to be inserted one by one.
    fn extend_run(&mut self, context: &ExecContext<'_>) -> Result<bool> {
        let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) else { return Ok(true) };
        let mut transaction = context.transaction.borrow_mut();
        if self.run.is_none() {
            match &mut self.passes {
                None => return Ok(false),
                Some(0) => self.run = transaction.begin_run(&self.tree, self.keys == Keys::New)?,
                Some(passes) => {
                    *passes -= 1;
                    return Ok(false);
                }
            }
        }
        let Some(mut run) = self.run.take() else { return Ok(false) };
        let entries = self.entries.iter().map(|entry| (self.key(entry), self.value(entry)));
        let taken = transaction.extend_run(&mut run, self.key(first), self.key(last), entries)?;
        if taken && run.is_full() {
            transaction.finish_run(run)?;
            self.passed_next = 1;
        } else {
            self.run = Some(run);
        }
        if !taken {
            self.passes = Some(self.passed_next);
            self.passed_next = (self.passed_next * 2).min(CHUNKS_PASSED_MAX);
        }
        Ok(taken)
    }

    /// Nothing is to be waited for while a run holds ranges.
    fn list_run(&mut self, context: &ExecContext<'_>) -> Result<()> {
        match self.run.take() {
            Some(run) => Ok(context.transaction.borrow_mut().finish_run(run)?),
            None => Ok(()),
        }
    }

    fn insert_one_by_one(&mut self, context: &ExecContext<'_>, duplicate: &mut Duplicate<'_>) -> Result<()> {
        for entry in &self.entries {
            let (key, value) = (self.key(entry), self.value(entry));
            let inserted = {
                let mut transaction = context.transaction.borrow_mut();
                match self.keys {
                    Keys::New | Keys::Own => {
                        transaction.put(&self.tree, key, Some(value)).map(|()| Inserted::Done)
                    }
                    Keys::Contended => transaction.insert(&self.tree, key, value),
                }
            };
            match inserted.map_err(|error| at_line(error.into(), &self.table, entry.line))? {
                Inserted::Done => {}
                Inserted::Duplicate { .. } => return Err(at_line(duplicate(value), &self.table, entry.line)),
            }
        }
        Ok(())
    }

    fn finish(mut self, context: &ExecContext<'_>, duplicate: &mut Duplicate<'_>) -> Result<()> {
        self.flush(context, duplicate)?;
        self.list_run(context)
    }
}

/// COPY says where its input has the row; line 0 is a statement's.
fn at_line(error: Error, table: &Table, line: u64) -> Error {
    match line {
        0 => error,
        _ => error.context(format!("COPY {}, line {line}", table.name)),
    }
}

pub(crate) struct RunLoader {
    table: Arc<Table>,
    shape: Arc<Shape>,
    /// For a table without a primary key: nobody else gets the same.
    row_ids: Option<Arc<AtomicU64>>,
    rows: TreeRun,
    /// Rows from the first on that was out of order, and entries of indexes. Before each value its line.
    unordered: Option<Sorter>,
    indexes: Vec<IndexEntries>,
    budget_bytes: usize,
    key: Vec<u8>,
    /// The line and the row.
    row: Vec<u8>,
    entry: Vec<u8>,
    entry_value: Vec<u8>,
}

struct IndexEntries {
    /// In `Table::indexes`.
    position: usize,
    sorter: Sorter,
}

impl RunLoader {
    /// None: this transaction takes rows one by one only. `budget_bytes` is what sorting may take.
    pub fn new(
        table: &Arc<Table>,
        budget_bytes: usize,
        context: &ExecContext<'_>,
    ) -> Result<Option<RunLoader>> {
        let shape = Shape::of(table, context)?;
        let row_ids = match shape.key.is_empty() {
            true => Some(context.catalog.runtime().row_ids(&shape.tree)?),
            false => None,
        };
        let keys = if row_ids.is_some() { Keys::New } else { Keys::Contended };
        let rows = TreeRun::new(table, &shape.tree, keys, context)?;
        if rows.passes.is_none() {
            return Ok(None);
        }
        let secondary = (0..shape.indexes.len()).filter(|&position| !shape.indexes[position].clustered);
        let secondary: Vec<usize> = secondary.collect();
        let budget_bytes = budget_bytes / (secondary.len() + usize::from(row_ids.is_none())).max(1);
        let dir = context.catalog.runtime().temporary_dir();
        let sorted = |position| IndexEntries { position, sorter: Sorter::new(budget_bytes, dir) };
        Ok(Some(RunLoader {
            table: table.clone(),
            row_ids,
            rows,
            unordered: None,
            indexes: secondary.into_iter().map(sorted).collect(),
            budget_bytes,
            key: Vec::new(),
            row: Vec::new(),
            entry: Vec::new(),
            entry_value: Vec::new(),
            shape,
        }))
    }

    /// Takes a row that `TableWriter::check` has passed. `line` is where COPY's input has it; 0 for an INSERT.
    pub fn append(&mut self, row: &[Datum], line: u64, context: &ExecContext<'_>) -> Result<()> {
        self.key.clear();
        match &self.row_ids {
            Some(row_ids) => {
                let id = row_ids.fetch_add(1, Ordering::Relaxed);
                self.key.extend_from_slice(&id.to_be_bytes());
            }
            None => self.shape.encode_key(row, &mut self.key),
        }
        check_key_bytes(&self.key)?;
        self.row.clear();
        self.row.extend_from_slice(&line.to_le_bytes());
        self.shape.activity.inserted.add(1);
        super::row::encode(row, &self.shape.types, &mut self.row);
        if self.unordered.is_none() && !self.rows.ascends(&self.key) {
            let dir = context.catalog.runtime().temporary_dir();
            self.unordered = Some(Sorter::new(self.budget_bytes, dir));
        }
        match &mut self.unordered {
            Some(sorter) => sorter.push(&self.key, &self.row)?,
            None => {
                let RunLoader { table, shape, rows, key, row, .. } = self;
                rows.push(key, &row[LINE_BYTES..], line, context, &mut |value| {
                    row_exists(table, shape, value, context)
                })?;
            }
        }
        for index in &mut self.indexes {
            let shape = &self.shape.indexes[index.position];
            if !shape.has_row(row, context)? {
                continue;
            }
            if let Some(entries) = &shape.entries {
                for entry in shape.entries_of(entries, row, &self.key, context)? {
                    check_key_bytes(&entry)?;
                    index.sorter.push(&entry, &line.to_le_bytes())?;
                }
                continue;
            }
            self.entry.clear();
            let by_itself = shape.encode_entry(row, &self.key, context, &mut self.entry)?;
            check_key_bytes(&self.entry)?;
            self.entry_value.clear();
            self.entry_value.extend_from_slice(&line.to_le_bytes());
            if by_itself {
                self.entry_value.extend_from_slice(&self.key);
            }
            index.sorter.push(&self.entry, &self.entry_value)?;
        }
        Ok(())
    }

    pub fn finish(self, context: &ExecContext<'_>) -> Result<()> {
        let RunLoader { table, shape, rows, unordered, indexes, .. } = self;
        let mut exists = |value: &[u8]| row_exists(&table, &shape, value, context);
        rows.finish(context, &mut exists)?;
        if let Some(sorter) = unordered {
            let run = TreeRun::new(&table, &shape.tree, Keys::Contended, context)?;
            write_sorted(run, sorter, context, &mut exists)?;
        }
        for IndexEntries { position, sorter } in indexes {
            let index = &shape.indexes[position];
            let keys = match index.unique {
                true => Keys::Contended,
                // Entries that this transaction removed or made before are in the way of a run's.
                false if context.transaction.borrow().has_written(&index.tree) => Keys::Own,
                false => Keys::New,
            };
            let run = TreeRun::new(&table, &index.tree, keys, context)?;
            write_sorted(run, sorter, context, &mut |table_key| {
                entry_exists(&table, &shape, position, table_key, context)
            })?;
        }
        Ok(())
    }
}

/// Writes pairs whose values begin with a line.
fn write_sorted(
    mut run: TreeRun,
    sorter: Sorter,
    context: &ExecContext<'_>,
    duplicate: &mut Duplicate<'_>,
) -> Result<()> {
    let mut sorted = sorter.finish()?;
    while let Some((key, value)) = sorted.next()? {
        let (line, value) =
            value.split_first_chunk().ok_or_else(|| Error::internal("a sorted value without its line"))?;
        run.push(key, value, u64::from_le_bytes(*line), context, duplicate)?;
    }
    run.finish(context, duplicate)
}

fn row_exists(table: &Table, shape: &Shape, row: &[u8], context: &ExecContext<'_>) -> Error {
    let (Some(index), Ok(values)) = (shape.clustered, shape.decode_row(row)) else {
        return Error::internal("a row id came twice");
    };
    unique_violation(table, index, &values, context)
}

fn entry_exists(
    table: &Table,
    shape: &Shape,
    position: usize,
    table_key: &[u8],
    context: &ExecContext<'_>,
) -> Error {
    let mut transaction = context.transaction.borrow_mut();
    // The statement fails: what it wrote itself is to be seen for the message.
    transaction.next_command();
    let row = transaction.catalog_get(&shape.tree, table_key);
    drop(transaction);
    match row.map(|row| row.and_then(|row| shape.decode_row(&row).ok())) {
        Ok(Some(values)) => unique_violation(table, position, &values, context),
        Ok(None) => Error::internal("an index entry without its row"),
        Err(error) => error.into(),
    }
}
