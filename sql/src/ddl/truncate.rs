//! TRUNCATE: a new tree for each table and index; the old ones go at commit. As in PostgreSQL it is not seen by snapshots
//! that are older than its commit: they fail rather than read an empty table.

use super::{Ddl, names};
use crate::catalog::{Privileges, Relation, Sequence, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::ObjectName;
use crate::parse::routine_ast::TriggerTiming;
use serin_txn::RelationLockMode;
use std::sync::Arc;

impl Ddl<'_> {
    pub(super) fn truncate(
        &self,
        tables: &[(ObjectName, bool)],
        restart_identity: bool,
        cascade: bool,
    ) -> Result<()> {
        let mut chosen: Vec<Arc<Table>> = Vec::new();
        for (name, only) in tables {
            let may = |found: &Relation| self.require_privilege(found, Privileges::TRUNCATE, &[]);
            let table = match self.open_relation_if(name, RelationLockMode::AccessExclusive, may)? {
                None => return Err(names::no_relation(name)),
                Some(Relation::Table(table)) if table.view.is_none() => table,
                Some(_) => return Err(names::wrong_kind(name, "a table")),
            };
            if *only && table.is_partitioned() {
                let message = "cannot truncate only a partitioned table";
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).hint(
                    "Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly.",
                ));
            }
            let mut family = vec![table.oid];
            if !only {
                family.extend(self.catalog().descendants(&table).iter().map(|child| child.oid));
            }
            for oid in family {
                self.lock(oid, RelationLockMode::AccessExclusive)?;
                // As it is now that nobody else can change it.
                let Some(table) = self.catalog().table(oid) else { continue };
                if chosen.iter().all(|other| other.oid != table.oid) {
                    chosen.push(table);
                }
            }
        }
        self.add_referencing(&mut chosen, cascade)?;
        for old in &chosen {
            self.refuse_pending(old, "TRUNCATE")?;
        }
        self.fire_truncate(&chosen, TriggerTiming::Before)?;
        for old in &chosen {
            let mut new = Table::clone(old);
            self.fresh_trees(&mut new)?;
            new.statistics = None;
            self.drop_trees(old)?;
            self.put_table(new)?;
            if restart_identity {
                let catalog = self.catalog();
                let owned =
                    catalog.sequences().filter(|s| s.owned_by.is_some_and(|(owner, _)| owner == old.oid));
                for sequence in owned {
                    self.require_owner(sequence.owner, "sequence", &sequence.name)?;
                    let mut restarted = Sequence::clone(sequence);
                    self.restart_sequence(&mut restarted, None)?;
                    self.put_sequence(restarted)?;
                }
            }
        }
        self.fire_truncate(&chosen, TriggerTiming::After)
    }

    fn fire_truncate(&self, tables: &[Arc<Table>], timing: TriggerTiming) -> Result<()> {
        for table in tables.iter().filter(|table| !table.triggers.is_empty()) {
            self.with_exec(|context| crate::exec::trigger::truncate(table, timing, context))?;
        }
        Ok(())
    }

    /// Tables whose foreign keys reference those to be emptied are emptied too, or stand in the way.
    fn add_referencing(&self, chosen: &mut Vec<Arc<Table>>, cascade: bool) -> Result<()> {
        let mut at = 0;
        while at < chosen.len() {
            let table = chosen[at].clone();
            at += 1;
            let catalog = self.catalog();
            for &(referencing, _) in catalog.references_to(table.oid) {
                if chosen.iter().any(|other| other.oid == referencing) {
                    continue;
                }
                let Some(found) = catalog.table(referencing) else { continue };
                if !cascade {
                    let message = "cannot truncate a table referenced in a foreign key constraint";
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                        .detail(format!("Table \"{}\" references \"{}\".", found.name, table.name))
                        .hint(format!(
                            "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                            found.name
                        )));
                }
                self.notice(format!("truncate cascades to table \"{}\"", found.name));
                self.require_privilege(&Relation::Table(found.clone()), Privileges::TRUNCATE, &[])?;
                self.lock(referencing, RelationLockMode::AccessExclusive)?;
                // As it is now that nobody else can change it.
                chosen.extend(self.catalog().table(referencing));
                for child in self.catalog().descendants(&found) {
                    self.lock(child.oid, RelationLockMode::AccessExclusive)?;
                    if chosen.iter().all(|other| other.oid != child.oid) {
                        chosen.extend(self.catalog().table(child.oid));
                    }
                }
            }
        }
        Ok(())
    }
}
