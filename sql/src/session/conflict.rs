//! Errors as the client gets them: interrupts by their reason, and the story of a serialization failure or deadlock with the
//! names of what it happened on.

use super::connection::Session;
use crate::catalog::{Catalog, Table};
use crate::error::{Error, SqlState};
use crate::functions::EvalContext;
use crate::table::key::{self, KeyOrder};
use crate::types::{Datum, Oid, Repr, Type};
use serin_storage::{KeyRange, TreeId};
use serin_txn::{Conflict, ConflictKind, ConflictObject, ConflictStep};
use std::ops::Bound;

impl Session {
    /// An error of the transaction layer, explained with this session's catalog.
    pub(super) fn explain_error(&self, error: serin_txn::Error) -> Error {
        Error::from(error)
    }

    /// Says which relation a damaged page is of.
    fn name_damaged(&self, error: Error, tree: serin_storage::TreeId) -> Error {
        let catalog = self.core.catalog();
        for table in catalog.tables() {
            if table.tree == tree {
                let detail = format!("The page belongs to table \"{}\".", table.name);
                return error
                    .detail(detail)
                    .hint("\"serin check\" lists all damage. Restore the table from a backup.");
            }
            if let Some(index) = table.indexes.iter().find(|index| index.tree == tree) {
                let detail =
                    format!("The page belongs to index \"{}\" of table \"{}\".", index.name, table.name);
                return error.detail(detail).hint("Drop the index and create it again.");
            }
        }
        error
    }

    /// The last touch before an error leaves the session.
    pub(super) fn explain(&self, error: Error) -> Error {
        // A lock wait or a loop was cut short: the registration knows by whom.
        if error.state() == SqlState::QUERY_CANCELED && error.message() == "interrupted" {
            return self.core.registration.take_interrupt();
        }
        if let Some(tree) = error.fields().tree {
            return self.name_damaged(error, tree);
        }
        if !error.is_retryable() || error.fields().detail.is_some() {
            return error;
        }
        match error.conflict().cloned() {
            Some(conflict) => {
                let context = self.context();
                let detail = describe(&conflict, &self.core.catalog(), &context.eval());
                let error = if detail.is_empty() { error } else { error.detail(detail) };
                match error.state() {
                    SqlState::SERIALIZATION_FAILURE => {
                        error.hint("The transaction might succeed if retried.")
                    }
                    _ => error.hint("The other transactions went on; this one might succeed if retried."),
                }
            }
            None => error,
        }
    }
}

/// One line a step: who, did what, to which row of which relation, for whom, running what.
pub(crate) fn describe(conflict: &Conflict, catalog: &Catalog, eval: &EvalContext<'_>) -> String {
    let lines = conflict.steps.iter().map(|step| describe_step(conflict.kind, step, catalog, eval));
    lines.collect::<Vec<_>>().join("\n")
}

fn describe_step(
    kind: ConflictKind,
    step: &ConflictStep,
    catalog: &Catalog,
    eval: &EvalContext<'_>,
) -> String {
    // A transaction that has locked, and written nothing, has no number.
    let numbered = |id: u64| if id == 0 { String::new() } else { format!(" (transaction {id})") };
    let mut line = format!("Process {}{} {}", step.pid, numbered(step.transaction), step.action);
    if let Some(what) = object(step, catalog, eval) {
        line.push(' ');
        line.push_str(&what);
    }
    if kind == ConflictKind::Dependencies {
        if let (Some(other), Some(pid)) = (step.other, step.other_pid) {
            let did = if step.action == "read" { "overwritten by" } else { "read before by" };
            line.push_str(&format!(", {did} process {pid}{}", numbered(other)));
        }
    } else if let Some(other) = step.other_pid {
        line.push_str(&format!("; blocked by process {other}{}", numbered(step.other.unwrap_or(0))));
    } else if let Some(other) = step.other {
        line.push_str(&format!(", written by transaction {other} after this one's snapshot"));
    }
    line.push('.');
    if let Some(statement) = &step.statement {
        line.push_str(&format!(" Process {}: {statement}", step.pid));
    }
    line
}

fn object(step: &ConflictStep, catalog: &Catalog, eval: &EvalContext<'_>) -> Option<String> {
    if let Some(tree) = step.tree
        && let Some((table, index)) = find_tree(catalog, tree)
    {
        let key = step.key.as_deref().and_then(|key| describe_key(table, index, key, eval));
        if let ConflictObject::Range(range) = &step.object {
            let keys = describe_range(table, index, range, eval);
            return Some(match index {
                None => format!("{keys} of relation \"{}\"", table.name),
                Some(index) => {
                    let name = &table.indexes[index].name;
                    format!("{keys} of index \"{name}\" of relation \"{}\"", table.name)
                }
            });
        }
        return Some(match (index, key) {
            (None, Some(key)) => format!("row {key} of relation \"{}\"", table.name),
            (None, None) => format!("relation \"{}\"", table.name),
            (Some(index), Some(key)) => {
                let name = &table.indexes[index].name;
                format!("key {key} of index \"{name}\" of relation \"{}\"", table.name)
            }
            (Some(index), None) => {
                format!("index \"{}\" of relation \"{}\"", table.indexes[index].name, table.name)
            }
        });
    }
    match step.object {
        ConflictObject::Advisory(class, object, kind) => {
            return Some(format!("advisory lock [{class},{object},{kind}]"));
        }
        ConflictObject::SerialToken => return Some("the token of serial execution".to_owned()),
        ConflictObject::Named | ConflictObject::Range(_) => {}
    }
    step.relation.map(|relation| match relation_name(catalog, relation) {
        Some(name) => format!("relation \"{name}\""),
        None => format!("relation {relation}"),
    })
}

/// `keys from (id)=(1) to (id)=(3)`, as far as the bounds can be read.
pub(crate) fn describe_range(
    table: &Table,
    index: Option<usize>,
    range: &KeyRange,
    eval: &EvalContext<'_>,
) -> String {
    let bound = |bound: &Bound<Vec<u8>>, included: &str, excluded: &str| {
        let (word, key) = match bound {
            Bound::Included(key) => (included, key),
            // Nulls sort behind everything that the scan asked for.
            Bound::Excluded(key) if key.first() != Some(&key::VALUE_TAG) => return String::new(),
            Bound::Excluded(key) => (excluded, key),
            Bound::Unbounded => return String::new(),
        };
        describe_key(table, index, key, eval).map_or_else(String::new, |key| format!(" {word} {key}"))
    };
    let start = bound(&range.start, "from", "after");
    let end = bound(&range.end, "to", "before");
    if start.is_empty() && end.is_empty() { "keys".to_owned() } else { format!("keys{start}{end}") }
}

fn relation_name(catalog: &Catalog, oid: Oid) -> Option<String> {
    catalog.table(oid).map(|table| table.name.clone())
}

/// The table (and the position of the index) that a tree belongs to.
pub(crate) fn find_tree(catalog: &Catalog, tree: TreeId) -> Option<(&Table, Option<usize>)> {
    catalog.tables().filter(|table| !table.is_view()).find_map(|table| {
        if table.tree == tree {
            return Some((&**table, None));
        }
        let index = table.indexes.iter().position(|index| index.tree == tree)?;
        Some((&**table, Some(index)))
    })
}

/// `(id)=(42)`, as far as the key can be read.
pub(crate) fn describe_key(
    table: &Table,
    index: Option<usize>,
    key: &[u8],
    eval: &EvalContext<'_>,
) -> Option<String> {
    // Items are not values: there is nothing to show of them.
    if index.is_some_and(|index| table.indexes[index].method != crate::index::Method::Btree) {
        return None;
    }
    let parts: Vec<(usize, KeyOrder)> = match index {
        None => {
            let order = KeyOrder { descending: false, nulls_first: false };
            table.primary_key.iter().map(|&column| (column, order)).collect()
        }
        Some(index) => {
            let keys = table.indexes[index].keys.iter();
            let order = |key: &crate::catalog::IndexKey| KeyOrder {
                descending: key.descending,
                nulls_first: key.nulls_first,
            };
            keys.map(|key| Some((key.column?, order(key)))).collect::<Option<_>>()?
        }
    };
    if parts.is_empty() {
        let row_id = u64::from_be_bytes(key.try_into().ok()?);
        return Some(format!("(row id)=({row_id})"));
    }
    let mut rest = key;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (column, order) in parts {
        let data_type = Type(table.columns[column].data_type);
        let end = key::skip(rest, data_type, order)?;
        names.push(table.columns[column].name.as_str());
        values.push(decode_key_value(&rest[..end], data_type, order, eval).unwrap_or_else(|| "?".into()));
        rest = &rest[end..];
    }
    Some(format!("({})=({})", names.join(", "), values.join(", ")))
}

/// The text of an encoded column: keys were made to be compared, so only types whose encoding keeps the value can be shown.
fn decode_key_value(
    bytes: &[u8],
    data_type: Type,
    order: KeyOrder,
    eval: &EvalContext<'_>,
) -> Option<String> {
    let (&tag, payload) = bytes.split_first()?;
    if tag != key::VALUE_TAG {
        return Some("null".into());
    }
    let mut payload = payload.to_vec();
    if order.descending {
        payload.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let value = decode_payload(&payload, data_type)?;
    crate::table::to_text(&value, data_type, eval)
}

fn decode_payload(payload: &[u8], data_type: Type) -> Option<Datum> {
    let int4 = || Some((u32::from_be_bytes(payload.try_into().ok()?) ^ 1 << 31) as i32);
    let int8 = || Some((u64::from_be_bytes(payload.try_into().ok()?) ^ 1 << 63) as i64);
    Some(match data_type.repr() {
        Repr::Bool => Datum::Bool(*payload.first()? == 1),
        Repr::Int2 => Datum::Int2((u16::from_be_bytes(payload.try_into().ok()?) ^ 1 << 15) as i16),
        Repr::Int4 => Datum::Int4(int4()?),
        Repr::Int8 => Datum::Int8(int8()?),
        Repr::Date => Datum::Date(int4()?),
        Repr::Time => Datum::Time(int8()?),
        Repr::Timestamp => Datum::Timestamp(int8()?),
        Repr::Oid => Datum::Oid(u32::from_be_bytes(payload.try_into().ok()?)),
        Repr::Uuid => Datum::Uuid(payload.try_into().ok()?),
        // Without the end mark; a text has no zero bytes to unescape.
        Repr::Text => Datum::text(std::str::from_utf8(payload.get(..payload.len().checked_sub(2)?)?).ok()?),
        _ => return None,
    })
}
