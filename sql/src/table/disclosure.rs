//! What an error may tell of a row: the columns that its reader could have selected, or has just written.
//! (PostgreSQL: `ExecBuildSlotValueDescription`, `BuildIndexValueDescription`.)

use crate::catalog::{ObjectClass, Privileges, Table};
use crate::exec::ExecContext;
use std::collections::BTreeSet;

/// Positions of the columns that may be shown; None: all.
pub(crate) fn shown_columns(
    table: &Table,
    written: &BTreeSet<i16>,
    context: &ExecContext<'_>,
) -> Option<BTreeSet<usize>> {
    let role = context.eval.services.acting_role();
    let catalog = context.eval.services.catalog();
    let whole = catalog.held(role, ObjectClass::Table, table.acl.as_ref(), table.owner).0;
    if whole.contains(Privileges::SELECT) {
        return None;
    }
    let may = |at: &usize| {
        let column = &table.columns[*at];
        let acl = column.acl.as_ref();
        written.contains(&column.number)
            || acl.is_some()
                && catalog.held(role, ObjectClass::Column, acl, table.owner).0.contains(Privileges::SELECT)
    };
    Some((0..table.columns.len()).filter(may).collect())
}

/// Whether all these columns may be shown.
pub(crate) fn may_show(
    table: &Table,
    columns: impl IntoIterator<Item = Option<usize>>,
    context: &ExecContext<'_>,
) -> bool {
    match shown_columns(table, &BTreeSet::new(), context) {
        None => true,
        // An expression shows its columns.
        Some(shown) => columns.into_iter().all(|column| column.is_some_and(|at| shown.contains(&at))),
    }
}
