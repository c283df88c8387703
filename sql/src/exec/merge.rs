//! MERGE. The input is the source joined with the target; a source row without a match has a null key.
//!
//! For a matched row the first WHEN MATCHED clause whose condition holds is taken; its row is locked. If somebody changed the row
//! meanwhile (READ COMMITTED), the join condition is judged again with the row as it is now: while it holds, the WHEN MATCHED clauses are
//! gone through again from the first; when it does not, or the row is gone, the WHEN NOT MATCHED clauses are. A row that
//! this command has changed already is an error (21000), and so is one that a function of it has changed (27000).

use super::eval::row_passes;
use super::modify::{Changer, announce_all, new_row};
use super::runtime::Runtime;
use super::targets::Targets;
use super::trigger::Event;
use crate::error::{Error, Result, SqlState};
use crate::plan::logical::ModifyKind;
use crate::plan::node;
use crate::types::Datum;
use serin_txn::{RowLock, WaitPolicy};
use std::borrow::Cow;
use std::sync::Arc;

pub struct Merger {
    modify: Arc<node::Modify>,
    /// By `node::Merge::kinds`.
    changers: Vec<Changer>,
    /// Where the rows are in children or partitions.
    targets: Option<Targets>,
}

impl Merger {
    pub fn new(modify: &Arc<node::Modify>, merge: &node::Merge, rt: &Runtime<'_>) -> Result<Merger> {
        let changers = merge.kinds.iter().map(|kind| Changer::new(kind, rt)).collect::<Result<Vec<_>>>()?;
        let targets =
            (modify.targets_others || modify.table.is_partitioned()).then(|| Targets::new(&modify.table));
        Ok(Merger { modify: modify.clone(), changers, targets })
    }

    pub fn begin(&self, rt: &Runtime<'_>) -> Result<()> {
        self.changers.iter().try_for_each(|changer| changer.begin(rt))?;
        if self.targets.is_some() {
            return announce_all(&self.modify, rt);
        }
        self.changers.iter().for_each(|changer| changer.announce(rt));
        Ok(())
    }

    pub fn end(&mut self, rt: &Runtime<'_>) {
        if let Some(targets) = &mut self.targets {
            targets.end(rt);
        }
        // AFTER triggers fire in the opposite order.
        self.changers.iter_mut().rev().for_each(|changer| changer.end(rt));
    }

    /// Whether the row was affected.
    pub fn row(&mut self, merge: &node::Merge, input: &mut [Datum], rt: &Runtime<'_>) -> Result<bool> {
        let modify = self.modify.clone();
        if let (Datum::Bytea(key), Datum::Bytea(old)) = (&input[modify.key], &input[modify.row]) {
            let (key, old) = (key.clone(), old.clone());
            if let Some(affected) = self.matched(merge, &key, &old, input, rt)? {
                return Ok(affected);
            }
        }
        self.not_matched(merge, input, rt)
    }

    /// None: it turned out not to match.
    fn matched(
        &mut self,
        merge: &node::Merge,
        key: &[u8],
        old: &[u8],
        input: &mut [Datum],
        rt: &Runtime<'_>,
    ) -> Result<Option<bool>> {
        let modify = self.modify.clone();
        // The row's latest version, once it is locked, and its key.
        let mut locked: Option<Vec<Datum>> = None;
        let mut key = Cow::Borrowed(key);
        loop {
            let mut chosen = None;
            for clause in merge.clauses.iter().filter(|clause| clause.matched) {
                if row_passes(&clause.conditions, input, rt)? {
                    chosen = Some(clause);
                    break;
                }
            }
            let Some((at, action)) = chosen.and_then(|clause| clause.action.as_ref()) else {
                return Ok(Some(false));
            };
            let table = modify.table_oid.map(|at| input[at].clone());
            let changer = match (&mut self.targets, table) {
                (Some(targets), Some(Datum::Oid(table))) => {
                    let action = targets.action(action, table, rt)?;
                    let changer = targets.changer(&merge.kinds[*at], table, rt)?;
                    changer.modify = action;
                    changer
                }
                _ => {
                    let changer = &mut self.changers[*at];
                    changer.modify = action.clone();
                    changer
                }
            };
            changer.merges = true;
            // What the input has of the row, by the columns of the row's own table.
            let columns = changer.modify.columns.clone();
            let current = match locked.take() {
                Some(current) => current,
                None => {
                    let mut lock = {
                        let mut transaction = rt.context.transaction.borrow_mut();
                        let tree = &changer.shape.tree;
                        let moved = &rt.context.catalog.runtime().moved;
                        transaction
                            .lock_row(tree, &key, changer.lock_mode, WaitPolicy::Block)
                            .map_err(|error| moved.explain(error, &transaction, tree, &key))?
                    };
                    if let RowLock::Changed(None) = lock
                        && let Some((now_at, value)) = changer.gone(&key, rt)?
                    {
                        lock = RowLock::Changed(Some(value));
                        key = Cow::Owned(now_at);
                    }
                    match lock {
                        RowLock::Unchanged => changer.shape.decode_row(old)?,
                        RowLock::SelfModified { by_this_command } => {
                            changer.check_self_modified(by_this_command)?;
                            return Err(twice());
                        }
                        RowLock::Skipped => unreachable!("only by SKIP LOCKED"),
                        RowLock::Changed(None) => {
                            for (place, _) in &modify.columns {
                                input[*place] = Datum::Null;
                            }
                            return Ok(None);
                        }
                        RowLock::Changed(Some(latest)) => {
                            let latest = changer.shape.decode_row(&latest)?;
                            for (place, column) in &columns {
                                input[*place] = latest[*column].clone();
                            }
                            if !row_passes(&modify.recheck, input, rt)? {
                                for (place, _) in &modify.columns {
                                    input[*place] = Datum::Null;
                                }
                                return Ok(None);
                            }
                            locked = Some(latest);
                            continue;
                        }
                    }
                }
            };
            let applied = changer.apply(&key, current, input, rt)?.is_some();
            let from = changer.modify.table.oid;
            return match (changer.moved.take(), &mut self.targets) {
                (Some(moved), Some(targets)) => {
                    Ok(Some(targets.relocate(&merge.kinds[*at], from, moved, input, rt)?.is_some()))
                }
                _ => Ok(Some(applied)),
            };
        }
    }

    fn not_matched(&mut self, merge: &node::Merge, input: &[Datum], rt: &Runtime<'_>) -> Result<bool> {
        for clause in merge.clauses.iter().filter(|clause| !clause.matched) {
            if !row_passes(&clause.conditions, input, rt)? {
                continue;
            }
            let Some((at, action)) = &clause.action else { return Ok(false) };
            if let Some(targets) = &mut self.targets {
                let row = new_row(action, input, rt)?;
                return Ok(targets.insert(&merge.kinds[*at], row, input, rt)?.is_some());
            }
            let changer = &mut self.changers[*at];
            changer.modify = action.clone();
            return Ok(changer.insert(input, rt)?.is_some());
        }
        Ok(false)
    }
}

/// The kinds of change that clauses ask for, in the order in which their statement triggers fire.
pub const KINDS: [ModifyKind; 3] = [ModifyKind::Insert, ModifyKind::Update, ModifyKind::Delete];

pub fn event_of(kind: ModifyKind) -> Event {
    match kind {
        ModifyKind::Insert => Event::Insert,
        ModifyKind::Update | ModifyKind::Merge => Event::Update,
        ModifyKind::Delete => Event::Delete,
    }
}

fn twice() -> Error {
    Error::new(SqlState::CARDINALITY_VIOLATION, "MERGE command cannot affect row a second time")
        .hint("Ensure that not more than one source row matches any one target row.")
}
