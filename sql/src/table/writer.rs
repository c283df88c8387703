//! Changes rows of a table and its indexes together.

use crate::catalog::Table;
use crate::error::Result;
use crate::exec::ExecContext;
use crate::types::Datum;
use std::sync::Arc;

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

/// Made once per statement. Rows have one datum per table column (dropped columns null), already cast to the column types.
pub struct TableWriter {
    _private: (),
}

impl TableWriter {
    pub fn new(_table: &Arc<Table>, _context: &ExecContext<'_>) -> Result<TableWriter> {
        todo!()
    }
    /// Checks NOT NULL (23502) and CHECK (23514) of a new row version; generated columns are computed by `fill_generated`.
    pub fn check(&self, _row: &[Datum], _context: &ExecContext<'_>) -> Result<()> {
        todo!()
    }
    pub fn fill_generated(&self, _row: &mut [Datum], _context: &ExecContext<'_>) -> Result<()> {
        todo!()
    }
    pub fn insert(
        &mut self,
        _row: &[Datum],
        _arbiter: &Arbiter,
        _context: &ExecContext<'_>,
    ) -> Result<InsertOutcome> {
        todo!()
    }
    /// The row at `key` was locked by `lock_row` (`NoKeyUpdate`, or `Update` if [`TableWriter::changes_key`]).
    pub fn update(
        &mut self,
        _key: &[u8],
        _old: &[Datum],
        _new: &[Datum],
        _context: &ExecContext<'_>,
    ) -> Result<()> {
        todo!()
    }
    /// Whether an update of these columns (positions) can change a key that others may reference.
    pub fn changes_key(&self, _columns: &[usize]) -> bool {
        todo!()
    }
    /// The row at `key` was locked by `lock_row` (`Update`).
    pub fn delete(&mut self, _key: &[u8], _old: &[Datum], _context: &ExecContext<'_>) -> Result<()> {
        todo!()
    }
}
