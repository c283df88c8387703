//! Deferrable PRIMARY KEY and UNIQUE constraints. Equal keys may lie beside each other until the check, so entries of such an index
//! end in the table's key like those of any other, and uniqueness is looked up: is there an entry with the same values that leads to
//! another row?
//!
//! Two transactions that bring in the same value don't meet in the tree. They meet at a lock on the bare value as a key of the index's
//! tree, where nothing ever is: each takes it before it looks, and keeps it to its end. The second waits for the first, and then finds
//! its entry.

use super::ExecContext;
use super::scan::all_with;
use crate::catalog::{Constraint, ConstraintKind, Table};
use crate::error::{Error, Result};
use crate::table::{IndexShape, Shape, unique_violation};
use crate::types::Datum;
use serin_txn::RowLockMode;

fn index_of(table: &Table, constraint: &Constraint) -> Result<usize> {
    let (ConstraintKind::PrimaryKey(oid) | ConstraintKind::Unique(oid)) = constraint.kind else {
        return Err(Error::internal("not a unique constraint"));
    };
    let found = table.index(oid).map(|(position, _)| position);
    found.ok_or_else(|| Error::internal("a unique constraint without its index"))
}

/// Whether a row's values in the index are others than before.
pub fn changes(
    table: &Table,
    constraint: &Constraint,
    old: &[Datum],
    new: &[Datum],
    context: &ExecContext<'_>,
) -> Result<bool> {
    let shape = Shape::of(table, context)?;
    let index = &shape.indexes[index_of(table, constraint)?];
    let (mut before, mut after) = (Vec::new(), Vec::new());
    index.encode_values(old, context, &mut before)?;
    index.encode_values(new, context, &mut after)?;
    Ok(before != after)
}

/// Whether the row is the only one with its values.
pub fn holds(
    table: &Table,
    constraint: &Constraint,
    key: &[u8],
    row: &[Datum],
    context: &ExecContext<'_>,
) -> Result<bool> {
    let shape = Shape::of(table, context)?;
    let index = &shape.indexes[index_of(table, constraint)?];
    let mut values = Vec::new();
    if index.encode_values(row, context, &mut values)? && !index.nulls_not_distinct {
        return Ok(true);
    }
    let mut transaction = context.transaction.borrow_mut();
    transaction.get_latest_locked(&index.tree, &values, RowLockMode::Update)?;
    drop(transaction);
    is_alone(index, &values, key, context)
}

/// In the latest committed state, with what this transaction has done.
fn is_alone(index: &IndexShape, values: &[u8], key: &[u8], context: &ExecContext<'_>) -> Result<bool> {
    let mut transaction = context.transaction.borrow_mut();
    let mut scan = transaction.catalog_scan(&index.tree, all_with(values))?;
    let mut alone = true;
    let mut malformed = false;
    while alone
        && scan.next_batch(&mut transaction, 16, &mut |entry, value| {
            match index.table_key(entry, value) {
                Some(found) => alone &= found == key,
                None => malformed = true,
            }
            alone
        })?
    {}
    match malformed {
        true => Err(Error::internal("a malformed index entry")),
        false => Ok(alone),
    }
}

/// The event: 23505 if the row, as it is now, is not the only one.
pub fn check_row(
    table: &Table,
    constraint: &Constraint,
    key: &[u8],
    context: &ExecContext<'_>,
) -> Result<()> {
    let shape = Shape::of(table, context)?;
    let Some(bytes) = context.transaction.borrow_mut().catalog_get(&shape.tree, key)? else { return Ok(()) };
    let row = shape.decode_row(&bytes)?;
    match holds(table, constraint, key, &row, context)? {
        true => Ok(()),
        false => Err(unique_violation(table, index_of(table, constraint)?, &row, context)),
    }
}
