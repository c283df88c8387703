//! Whether a table's indexes say what the table says, for `serin check`: each row of the latest state has its entry in every index that it
//! belongs in, with the right value, and every entry leads to a row that has it. Both ways, because a count that agrees may hide an entry
//! that is missing behind one that is too many.

use super::loader::scan_all;
use super::shape::{IndexShape, Shape};
use crate::catalog::Table;
use crate::error::Result;
use crate::exec::ExecContext;
use std::sync::Arc;

/// What was found wrong: which index (None: the table's own tree), what is wrong, and the key at which.
pub struct Finding {
    pub index: Option<usize>,
    pub what: &'static str,
    pub key: Vec<u8>,
}

/// After this many findings in a table it is clear enough.
const FINDINGS_MAX: usize = 100;

/// Answers the number of rows.
pub fn check_table(table: &Arc<Table>, context: &ExecContext<'_>, found: &mut Vec<Finding>) -> Result<u64> {
    let shape = Shape::of(table, context)?;
    let mut rows = 0;
    let mut entry = Vec::new();
    let note = |index: Option<usize>, what: &'static str, key: &[u8], found: &mut Vec<Finding>| {
        if found.len() < FINDINGS_MAX {
            found.push(Finding { index, what, key: key.to_vec() });
        }
    };
    scan_all(&shape.tree, context, |key, value| {
        rows += 1;
        let Ok(row) = shape.decode_row(value) else {
            note(None, "a row can't be decoded", key, found);
            return Ok(());
        };
        if !shape.key.is_empty() {
            entry.clear();
            shape.encode_key(&row, &mut entry);
            if entry != key {
                note(None, "a row lies at another row's key", key, found);
            }
        }
        for (position, index) in shape.indexes.iter().enumerate().filter(|(_, index)| !index.clustered) {
            if !index.has_row(&row, context)? {
                continue;
            }
            if let Some(entries) = &index.entries {
                for entry in index.entries_of(entries, &row, key, context)? {
                    if context.transaction.borrow_mut().catalog_get(&index.tree, &entry)?.is_none() {
                        note(Some(position), "a row has no entry", &entry, found);
                    }
                }
                continue;
            }
            entry.clear();
            let by_itself = index.encode_entry(&row, key, context, &mut entry)?;
            let wanted: &[u8] = if by_itself { key } else { &[] };
            match context.transaction.borrow_mut().catalog_get(&index.tree, &entry)? {
                None => note(Some(position), "a row has no entry", &entry, found),
                Some(value) if value[..] != *wanted => {
                    note(Some(position), "a row's entry leads to another row", &entry, found);
                }
                Some(_) => {}
            }
        }
        Ok(())
    })?;
    for (position, index) in shape.indexes.iter().enumerate().filter(|(_, index)| !index.clustered) {
        scan_all(&index.tree, context, |key, value| {
            if !belongs(&shape, index, key, value, context)? {
                note(Some(position), "an entry leads to no row that has it", key, found);
            }
            Ok(())
        })?;
    }
    Ok(rows)
}

fn belongs(
    shape: &Shape,
    index: &IndexShape,
    key: &[u8],
    value: &[u8],
    context: &ExecContext<'_>,
) -> Result<bool> {
    let Some(place) = index.table_key(key, value) else { return Ok(false) };
    let Some(bytes) = context.transaction.borrow_mut().catalog_get(&shape.tree, place)? else {
        return Ok(false);
    };
    let Ok(row) = shape.decode_row(&bytes) else { return Ok(false) };
    if !index.has_row(&row, context)? {
        return Ok(false);
    }
    if let Some(entries) = &index.entries {
        let entries = index.entries_of(entries, &row, place, context)?;
        return Ok(entries.iter().any(|entry| entry == key));
    }
    let mut entry = Vec::with_capacity(key.len());
    index.encode_entry(&row, place, context, &mut entry)?;
    Ok(entry == key)
}
