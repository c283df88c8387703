//! TRUNCATE: a new tree for each table and index; the old ones go at commit. As in PostgreSQL it is not seen by snapshots
//! that are older than its commit: they fail rather than read an empty table.

use super::Ddl;
use crate::catalog::{Sequence, Table};
use crate::error::Result;
use crate::parse::ast::ObjectName;
use serin_txn::RelationLockMode;

impl Ddl<'_> {
    pub(super) fn truncate(&self, tables: &[ObjectName], restart_identity: bool) -> Result<()> {
        let mut done = Vec::new();
        for name in tables {
            let old = self.open_table(name, RelationLockMode::AccessExclusive)?;
            if done.contains(&old.oid) {
                continue;
            }
            done.push(old.oid);
            let mut new = Table::clone(&old);
            self.fresh_trees(&mut new)?;
            new.statistics = None;
            self.drop_trees(&old)?;
            self.put_table(new)?;
            if restart_identity {
                let catalog = self.catalog();
                let owned =
                    catalog.sequences().filter(|s| s.owned_by.is_some_and(|(owner, _)| owner == old.oid));
                for sequence in owned {
                    let mut restarted = Sequence::clone(sequence);
                    self.restart_sequence(&mut restarted, None)?;
                    self.put_sequence(restarted)?;
                }
            }
        }
        Ok(())
    }
}
