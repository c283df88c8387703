//! Bulk inserts into a table that others use: chunks of rows whose keys ascend go to disk as a run (`txn/src/run.rs`) instead of one
//! by one through the delta. For a table without secondary indexes; where keys stop ascending, or something is in the way, rows are
//! inserted the ordinary way from there on.

use super::shape::Shape;
use super::writer::{Arbiter, TableWriter, unique_violation};
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::exec::ExecContext;
use serin_txn::{Inserted, KeyRun};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows that are judged, and registered, at a time.
const CHUNK_ROWS: usize = 1024;
const CHUNK_BYTES: usize = 1 << 20;

pub(crate) struct RunLoader {
    table: Arc<Table>,
    shape: Arc<Shape>,
    /// Row ids, for a table without a primary key: nobody else gets the same.
    row_ids: Option<Arc<AtomicU64>>,
    writer: TableWriter,
    /// None: from now on one by one.
    run: Option<KeyRun>,
    /// Keys and rows of the chunk, one after another.
    bytes: Vec<u8>,
    rows: Vec<Encoded>,
}

struct Encoded {
    start: usize,
    key_end: usize,
    end: usize,
    /// Where the input has it, for an error.
    line: u64,
}

impl RunLoader {
    /// None: this table, or this transaction, takes rows one by one only.
    pub fn new(table: &Arc<Table>, context: &ExecContext<'_>) -> Result<Option<RunLoader>> {
        let shape = Shape::of(table, context)?;
        if !shape.indexes.iter().all(|index| index.clustered) {
            return Ok(None);
        }
        let row_ids = match shape.key.is_empty() {
            true => Some(context.catalog.runtime().row_ids(&shape.tree)?),
            false => None,
        };
        let run = context.transaction.borrow_mut().begin_run(&shape.tree, row_ids.is_some())?;
        let Some(run) = run else { return Ok(None) };
        Ok(Some(RunLoader {
            table: table.clone(),
            row_ids,
            writer: TableWriter::new(table, context)?,
            run: Some(run),
            bytes: Vec::new(),
            rows: Vec::new(),
            shape,
        }))
    }

    /// Takes a row that [`TableWriter::check`] has passed.
    pub fn append(
        &mut self,
        row: &[crate::types::Datum],
        line: u64,
        context: &ExecContext<'_>,
    ) -> Result<()> {
        if self.run.is_none() {
            return self.writer.insert(row, &Arbiter::None, context).map(drop);
        }
        self.shape.activity.inserted.add(1);
        let start = self.bytes.len();
        match &self.row_ids {
            Some(row_ids) => {
                let id = row_ids.fetch_add(1, Ordering::Relaxed);
                self.bytes.extend_from_slice(&id.to_be_bytes());
            }
            None => self.shape.encode_key(row, &mut self.bytes),
        }
        let key_end = self.bytes.len();
        super::row::encode(row, &self.shape.types, &mut self.bytes);
        let end = self.bytes.len();
        let encoded = Encoded { start, key_end, end, line };
        let ascends = self.rows.last().is_none_or(|last| self.key(last) < &self.bytes[start..key_end]);
        self.rows.push(encoded);
        if !ascends {
            return self.go_on_one_by_one(context);
        }
        if self.rows.len() >= CHUNK_ROWS || end >= CHUNK_BYTES { self.flush(context) } else { Ok(()) }
    }

    fn key(&self, row: &Encoded) -> &[u8] {
        &self.bytes[row.start..row.key_end]
    }

    fn value(&self, row: &Encoded) -> &[u8] {
        &self.bytes[row.key_end..row.end]
    }

    fn flush(&mut self, context: &ExecContext<'_>) -> Result<()> {
        let (Some(mut run), Some(first), Some(last)) = (self.run.take(), self.rows.first(), self.rows.last())
        else {
            return Ok(());
        };
        let rows = self.rows.iter().map(|row| (self.key(row), self.value(row)));
        let (first, last) = (self.key(first), self.key(last));
        let taken = context.transaction.borrow_mut().extend_run(&mut run, first, last, rows)?;
        if !taken {
            self.run = Some(run);
            return self.go_on_one_by_one(context);
        }
        self.bytes.clear();
        self.rows.clear();
        if run.is_full() {
            let mut transaction = context.transaction.borrow_mut();
            transaction.finish_run(run)?;
            self.run = transaction.begin_run(&self.shape.tree, self.row_ids.is_some())?;
        } else {
            self.run = Some(run);
        }
        Ok(())
    }

    /// Lists the run, then inserts what it did not take.
    fn go_on_one_by_one(&mut self, context: &ExecContext<'_>) -> Result<()> {
        if let Some(run) = self.run.take() {
            context.transaction.borrow_mut().finish_run(run)?;
        }
        for row in &self.rows {
            let (key, value) = (self.key(row), self.value(row));
            let inserted = match &self.row_ids {
                Some(_) => context
                    .transaction
                    .borrow_mut()
                    .put(&self.shape.tree, key, Some(value))
                    .map(|()| Inserted::Done),
                None => context.transaction.borrow_mut().insert(&self.shape.tree, key, value),
            };
            let in_line =
                |error: Error| error.context(format!("COPY {}, line {}", self.table.name, row.line));
            if let Inserted::Duplicate { .. } = inserted.map_err(|error| in_line(error.into()))? {
                let values = self.shape.decode_row(value)?;
                let index = self.shape.clustered.ok_or_else(|| Error::internal("a row id came twice"))?;
                return Err(in_line(unique_violation(&self.table, index, &values, context)));
            }
        }
        self.bytes = Vec::new();
        self.rows = Vec::new();
        Ok(())
    }

    pub fn finish(mut self, context: &ExecContext<'_>) -> Result<()> {
        self.flush(context)?;
        match self.run.take() {
            Some(run) => Ok(context.transaction.borrow_mut().finish_run(run)?),
            None => Ok(()),
        }
    }
}
