//! What is asked of partitioned tables by function: their keys, their trees.

use super::arguments::{OidValue, scalar};
use super::{EvalContext, Registry};
use crate::catalog::Relation;
use crate::catalog::system::deparse;
use crate::types::{Datum, Oid};
/// The table or the index's: OID, parent, children.
fn family(relation: Oid, context: &EvalContext<'_>) -> Option<(Oid, Vec<Oid>, bool)> {
    let catalog = context.services.catalog();
    match catalog.relation(relation)? {
        Relation::Table(table) if table.is_partitioned() || table.is_partition() => {
            let parent = match table.is_partition() {
                true => table.inheritance.parents.first().copied().unwrap_or(0),
                false => 0,
            };
            Some((parent, table.inheritance.children.clone(), !table.is_partitioned()))
        }
        Relation::Index(table, at) if table.is_partitioned() || table.indexes[at].parent != 0 => {
            let (own, children) = (table.indexes[at].oid, &table.inheritance.children);
            let parts = children.iter().filter_map(|oid| {
                let child = catalog.table(*oid)?;
                child.indexes.iter().find(|part| part.parent == own).map(|part| part.oid)
            });
            Some((table.indexes[at].parent, parts.collect(), !table.is_partitioned()))
        }
        _ => None,
    }
}

/// The relation and those above it.
fn ancestry(relation: Oid, context: &EvalContext<'_>) -> Vec<Oid> {
    let mut found = Vec::new();
    let mut at = relation;
    while let Some((parent, ..)) = family(at, context) {
        found.push(at);
        at = parent;
    }
    found
}

pub(super) fn register(r: &mut Registry) {
    scalar!(r, "pg_get_partkeydef", |context; relation: OidValue| {
        let table = context.services.catalog().table(relation.0);
        table.and_then(|table| deparse::partition_key(&table, context))
    });
    scalar!(r, "pg_get_partition_constraintdef", |context; relation: OidValue| {
        let catalog = context.services.catalog();
        let table = catalog.table(relation.0);
        table.and_then(|table| deparse::partition_constraint(&catalog, &table, context))
    });
    scalar!(r, "pg_partition_root", |context; relation: OidValue| {
        ancestry(relation.0, context).last().copied().map(Datum::Oid)
    });
    r.set("pg_partition_ancestors", |arguments, context| {
        let Some(Datum::Oid(relation)) = arguments.first() else { return Ok(Box::new(std::iter::empty())) };
        let rows: Vec<_> =
            ancestry(*relation, context).into_iter().map(|oid| Ok(vec![Datum::Oid(oid)])).collect();
        Ok(Box::new(rows.into_iter()))
    });
    r.set("pg_partition_tree", |arguments, context| {
        let Some(Datum::Oid(root)) = arguments.first() else { return Ok(Box::new(std::iter::empty())) };
        let mut rows = Vec::new();
        let mut level = vec![*root];
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for relation in level {
                let Some((parent, children, is_leaf)) = family(relation, context) else { continue };
                let parent = if parent == 0 { Datum::Null } else { Datum::Oid(parent) };
                rows.push(Ok(vec![Datum::Oid(relation), parent, Datum::Bool(is_leaf), Datum::Int4(depth)]));
                next.extend(children);
            }
            level = next;
            depth += 1;
        }
        Ok(Box::new(rows.into_iter()))
    });
}
