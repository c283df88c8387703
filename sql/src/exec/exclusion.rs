//! EXCLUDE constraints: of any two rows, at least one of the constraint's comparisons is not true.
//!
//! # Concurrency
//!
//! Two rows in conflict have nothing in common that their writers would both lock: `[9:00,11:00)` and `[10:00,12:00)` are different keys
//! of the index, and neither READ COMMITTED nor a snapshot shows one writer the other's. A lock on something coarser (the constraint, the
//! room) would make bookings wait for each other that have nothing to do with each other. So it is PostgreSQL's way:
//!
//! 1. A row and its entries are written first. Then the index is read for what may be in conflict, uncommitted rows of
//!    others included (`txn/src/dirty.rs`); the constraint's operators decide on the rows' own values.
//! 2. A conflict with a row of the latest committed state, or our own, is 23P01. One with a row (or the removal of a row) in progress
//!    has to wait for its transaction to end; then everything is looked at again.
//! 3. Of two that write conflicting rows at the same time, at least one sees the other's row, for both look after they have written. Say T2
//!    does not see T1's: then T1 looks after T2's row is there, and waits for T2. So never do both commit: the one that looked last either
//!    saw the other's row committed, or waited for it.
//! 4. If each has seen the other's, both wait, and one is given up as a deadlock's victim (40P01). That takes two who write within the
//!    same moment, or transactions that write several rows in different order, as with unique keys.
//! 5. ON CONFLICT must not fail so. It looks *before* it writes, and waits there, where nobody waits for it yet. What it then finds
//!    after it has written makes it take its row back and start over. Of two that do so, the older one looks a few times
//!    more before it takes its row back, so that not both do it again and again.
//!
//! This is the same in every mode: versions in progress are on the chains whatever protocol their writer follows. 2PL's range locks play no part (a
//! check locks no range, so bookings beside each other don't wait), and in serial mode there is never another row in progress.
//!
//! # Serializable snapshots
//!
//! The check looks at the latest state, which such a transaction may not know. What it finds there in conflict counts as a duplicate key
//! does: 40001 if those who had read that there is nothing come before it, else 23P01. If a row that its snapshot shows would
//! be in conflict and is so no more, the check must not profit from that: the snapshot moves on, or 40001.

use super::ExecContext;
use super::entries::{Condition, ranges_of};
use super::eval::eval_row;
use crate::catalog::{Constraint, ConstraintKind, Table};
use crate::error::{Error, Result, SqlState};
use crate::table::{IndexShape, Shape, key_description, loader, on_table, values_description};
use crate::types::Datum;
use serin_storage::KeyRange;

/// Entries looked at between two looks at whether to go on.
const BATCH: usize = 64;

/// A row in the way.
pub enum Found {
    Nothing,
    /// It is being written by another transaction, and was not waited for.
    InProgress {
        writer: u64,
    },
    Row {
        /// In the table's tree.
        key: Vec<u8>,
        /// Its entry in the index.
        entry: Vec<u8>,
        values: Vec<Datum>,
    },
}

enum Verdict {
    Free,
    InProgress { writer: u64 },
    Conflict(Vec<Datum>),
}

/// Looks for a row in conflict with one whose place is `own` (None: it is not written yet).
pub fn find(
    shape: &Shape,
    index: &IndexShape,
    own: Option<&[u8]>,
    row: &[Datum],
    waits: bool,
    context: &ExecContext<'_>,
) -> Result<Found> {
    if !index.has_row(row, context)? {
        return Ok(Found::Nothing);
    }
    let values = index.values(row, context)?;
    // Nothing compares with a null.
    if values.iter().any(Datum::is_null) {
        return Ok(Found::Nothing);
    }
    let ranges = ranges(index, row, &values, context)?;
    let mut entries = Vec::new();
    'again: loop {
        for range in &ranges {
            let mut scan = context.transaction.borrow_mut().dirty_scan(&index.tree, range.clone())?;
            let mut more = true;
            while more {
                context.eval.services.check_interrupt()?;
                entries.clear();
                more = scan.next_batch(&mut context.transaction.borrow_mut(), BATCH, &mut entries)?;
                for entry in &entries {
                    let key = index.table_key(entry, &[]);
                    let key = key.ok_or_else(|| Error::internal("a malformed index entry"))?;
                    if own == Some(key) {
                        continue;
                    }
                    match judge(shape, index, key, &values, context)? {
                        Verdict::Free => {}
                        Verdict::InProgress { .. } if waits => {
                            context.transaction.borrow_mut().await_writer(&shape.tree, key)?;
                            continue 'again;
                        }
                        Verdict::InProgress { writer } => return Ok(Found::InProgress { writer }),
                        Verdict::Conflict(values) => {
                            return Ok(Found::Row { key: key.to_vec(), entry: entry.to_vec(), values });
                        }
                    }
                }
            }
        }
        return Ok(Found::Nothing);
    }
}

/// Where entries of rows in conflict with these values may be.
fn ranges(
    index: &IndexShape,
    row: &[Datum],
    values: &[Datum],
    context: &ExecContext<'_>,
) -> Result<Vec<KeyRange>> {
    if index.entries.is_none() {
        // A B-tree's only operator here is `=`.
        let mut prefix = Vec::new();
        index.encode_values(row, context, &mut prefix)?;
        return Ok(vec![super::scan::all_with(&prefix)]);
    }
    let conditions =
        index.exclusion.iter().zip(values).enumerate().map(|(part, (operator, value))| Condition {
            part,
            operator: operator.symbol,
            value: value.clone(),
            data_type: index.parts[part].data_type,
        });
    ranges_of(index, &conditions.collect::<Vec<_>>())
}

fn judge(
    shape: &Shape,
    index: &IndexShape,
    key: &[u8],
    values: &[Datum],
    context: &ExecContext<'_>,
) -> Result<Verdict> {
    let found = context.transaction.borrow_mut().dirty_get(&shape.tree, key)?;
    let conflicting = |row: &Option<serin_storage::Value>| match row {
        Some(bytes) => conflicts(shape, index, bytes, values, context),
        None => Ok(None),
    };
    let latest = conflicting(&found.latest)?;
    if let Some((writer, other)) = &found.in_progress {
        let waits = latest.is_some() || conflicting(other)?.is_some();
        return Ok(if waits { Verdict::InProgress { writer: *writer } } else { Verdict::Free });
    }
    if let Some(existing) = latest {
        return Ok(Verdict::Conflict(existing));
    }
    let mut transaction = context.transaction.borrow_mut();
    if found.is_newer && transaction.may_not_rely_on_changes() {
        let known = transaction.get(&shape.tree, key)?;
        drop(transaction);
        if conflicting(&known)?.is_some() {
            context.transaction.borrow_mut().rely_on_change(&shape.tree, key)?;
        }
    }
    Ok(Verdict::Free)
}

/// The values of a row that is in conflict.
fn conflicts(
    shape: &Shape,
    index: &IndexShape,
    bytes: &[u8],
    values: &[Datum],
    context: &ExecContext<'_>,
) -> Result<Option<Vec<Datum>>> {
    let row = shape.decode_row(bytes)?;
    if !index.has_row(&row, context)? {
        return Ok(None);
    }
    let existing = index.values(&row, context)?;
    for (operator, (new, old)) in index.exclusion.iter().zip(values.iter().zip(&existing)) {
        if !matches!(eval_row(&operator.comparison, &[old.clone(), new.clone()], context)?, Datum::Bool(true))
        {
            return Ok(None);
        }
    }
    Ok(Some(existing))
}

/// Position in `Table::indexes` of a constraint's index.
fn index_of(table: &Table, constraint: &Constraint) -> Result<usize> {
    let ConstraintKind::Exclusion(oid) = constraint.kind else {
        return Err(Error::internal("not an exclusion constraint"));
    };
    let found = table.index(oid).map(|(position, _)| position);
    found.ok_or_else(|| Error::internal("an exclusion constraint without its index"))
}

/// Whether an update may bring the row into conflict.
pub fn changes(
    table: &Table,
    constraint: &Constraint,
    old: &[Datum],
    new: &[Datum],
    context: &ExecContext<'_>,
) -> Result<bool> {
    let shape = Shape::of(table, context)?;
    let index = &shape.indexes[index_of(table, constraint)?];
    if !index.has_row(new, context)? {
        return Ok(false);
    }
    if !index.has_row(old, context)? {
        return Ok(true);
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    index.encode_values(old, context, &mut before)?;
    index.encode_values(new, context, &mut after)?;
    Ok(before != after)
}

/// Whether nothing is in conflict, or in progress, with a row that is written: then nothing can come into conflict with it unnoticed.
pub fn holds(
    table: &Table,
    constraint: &Constraint,
    key: &[u8],
    row: &[Datum],
    context: &ExecContext<'_>,
) -> Result<bool> {
    let shape = Shape::of(table, context)?;
    let index = &shape.indexes[index_of(table, constraint)?];
    Ok(matches!(find(&shape, index, Some(key), row, false, context)?, Found::Nothing))
}

/// 23P01 if a row that is written is in conflict with another.
pub fn check(
    table: &Table,
    constraint: &Constraint,
    key: &[u8],
    row: &[Datum],
    context: &ExecContext<'_>,
) -> Result<()> {
    let shape = Shape::of(table, context)?;
    let position = index_of(table, constraint)?;
    match find(&shape, &shape.indexes[position], Some(key), row, true, context)? {
        Found::Nothing | Found::InProgress { .. } => Ok(()),
        Found::Row { key, entry, values } => {
            meet(&shape, &shape.indexes[position], &key, &entry, context)?;
            Err(violation(table, position, row, &values, context))
        }
    }
}

/// ON CONFLICT: whether a row that has just been written may stay (rule 5).
pub fn may_stay(
    shape: &Shape,
    index: &IndexShape,
    key: &[u8],
    row: &[Datum],
    context: &ExecContext<'_>,
) -> Result<bool> {
    const LOOKS: usize = 32;
    for _ in 0..LOOKS {
        match find(shape, index, Some(key), row, false, context)? {
            Found::Nothing => return Ok(true),
            Found::InProgress { writer } if context.transaction.borrow_mut().id() < writer => {
                std::thread::yield_now();
            }
            Found::InProgress { .. } | Found::Row { .. } => return Ok(false),
        }
    }
    Ok(false)
}

/// What a conflict means to the protocol; whether the statement sees the row in the way.
pub fn meet(
    shape: &Shape,
    index: &IndexShape,
    key: &[u8],
    entry: &[u8],
    context: &ExecContext<'_>,
) -> Result<bool> {
    let mut transaction = context.transaction.borrow_mut();
    transaction.meet(&index.tree, entry)?;
    Ok(transaction.meet(&shape.tree, key)?)
}

/// The deferred event: judges the row as it is now.
pub fn check_row(
    table: &Table,
    constraint: &Constraint,
    key: &[u8],
    context: &ExecContext<'_>,
) -> Result<()> {
    let shape = Shape::of(table, context)?;
    let Some(bytes) = context.transaction.borrow_mut().catalog_get(&shape.tree, key)? else { return Ok(()) };
    check(table, constraint, key, &shape.decode_row(&bytes)?, context)
}

/// Compares all rows of a table that nobody else writes to, by an index that has just been built.
pub fn validate(table: &Table, position: usize, context: &ExecContext<'_>) -> Result<()> {
    let shape = Shape::of_draft(table, context)?;
    let index = &shape.indexes[position];
    loader::scan_all(&shape.tree, context, |key, value| {
        let row = shape.decode_row(value)?;
        let Found::Row { values, .. } = find(&shape, index, Some(key), &row, true, context)? else {
            return Ok(());
        };
        let name = &table.indexes[position].name;
        let message = format!("could not create exclusion constraint \"{name}\"");
        let error = Error::new(SqlState::EXCLUSION_VIOLATION, message).on_constraint(name);
        let new = key_description(table, position, &row, context);
        let error = match (new, values_description(table, position, &values, context)) {
            (Some(new), Some(old)) => error.detail(format!("Key {new} conflicts with key {old}.")),
            _ => error.detail("Key conflicts exist."),
        };
        Err(on_table(error, table, context))
    })
}

fn violation(
    table: &Table,
    position: usize,
    row: &[Datum],
    existing: &[Datum],
    context: &ExecContext<'_>,
) -> Error {
    let name = &table.indexes[position].name;
    let message = format!("conflicting key value violates exclusion constraint \"{name}\"");
    let error = Error::new(SqlState::EXCLUSION_VIOLATION, message).on_constraint(name);
    let new = key_description(table, position, row, context);
    let error = match (new, values_description(table, position, existing, context)) {
        (Some(new), Some(old)) => error.detail(format!("Key {new} conflicts with existing key {old}.")),
        _ => error.detail("Key conflicts with existing key."),
    };
    on_table(error, table, context)
}
