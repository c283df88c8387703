//! Temporary tables made with ON COMMIT DROP or DELETE ROWS: what happens to them before each commit. The session remembers them
//! ([`Core::on_commit`](crate::session::core::Core)); those whose CREATE was rolled back are forgotten here.
//! Deviation: views that go with a dropped table are told of in a notice.

use super::Ddl;
use crate::catalog::Table;
use crate::error::Result;
use crate::exec::ExecContext;
use serin_storage::{Direction, KeyRange};
use serin_txn::RelationLockMode;
use std::ops::Bound;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnCommit {
    DeleteRows,
    Drop,
}

/// Runs as a statement of the transaction that is about to be committed.
pub(crate) fn before_commit(context: &ExecContext<'_>) -> Result<()> {
    let Some(core) = context.core else { return Ok(()) };
    let ddl = Ddl::new(core, context.transaction, &context.eval);
    core.on_commit.borrow_mut().retain(|(oid, _)| core.catalog().table(*oid).is_some());
    let actions = core.on_commit.borrow().clone();
    for (oid, action) in actions {
        // One may have gone with another.
        let Some(table) = core.catalog().table(oid) else { continue };
        match action {
            OnCommit::Drop => {
                ddl.lock(oid, RelationLockMode::AccessExclusive)?;
                ddl.clear_dependents(&[oid], true)?;
                ddl.remove_table(&table)?;
            }
            OnCommit::DeleteRows => ddl.empty(&table)?,
        }
    }
    Ok(())
}

impl Ddl<'_> {
    fn empty(&self, table: &Table) -> Result<()> {
        let has_rows = {
            let mut transaction = self.transaction.borrow_mut();
            let tree = self.catalog().tree(table.tree)?;
            let range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
            let mut found = false;
            let mut scan = transaction.scan(&tree, range, Direction::Forward)?;
            scan.next_batch(&mut transaction, 1, &mut |_, _| {
                found = true;
                false
            })?;
            found
        };
        if !has_rows {
            return Ok(());
        }
        self.lock(table.oid, RelationLockMode::AccessExclusive)?;
        let mut new = table.clone();
        self.fresh_trees(&mut new)?;
        new.statistics = None;
        self.drop_trees(table)?;
        self.put_table(new).map(drop)
    }
}
