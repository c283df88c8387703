//! Writing: every version goes onto its chain through [`Transaction::try_install`].

use crate::lock_mode::of_intent;
use crate::lock_table::{Acquired, Request, Requested};
use crate::protocol::{Protocol, key_object};
use crate::rules::Rule;
use crate::{Inserted, Isolation, Result, Transaction, WaitPolicy};
use serin_storage::{BulkLoader, Head, Intent, Tree, TreeId};
use std::sync::Arc;

/// What came of one attempt to install a version.
enum Attempt {
    Installed,
    /// Somebody was in the way; now they aren't, and the key may have changed.
    Waited,
    /// Other versions went onto chains of the key's shard since the caller judged the key.
    Stale,
}

impl Transaction {
    /// Inserts a key that must not exist in the latest committed state, waiting for an in-progress writer of it.
    pub fn insert(&mut self, tree: &Arc<Tree>, key: &[u8], value: &[u8]) -> Result<Inserted> {
        self.before_operation()?;
        self.ensure_writing()?;
        let manager = self.manager.clone();
        let hash = manager.locks.hash(key_object(tree, key));
        let replace = of_intent(Intent::Replace);
        let mut locked = Acquired::Before;
        loop {
            // Judged outside the shard's mutex, because it may read a page; the number tells whether it still holds.
            let installs = manager.locks.installs(hash);
            let duplicate = match tree.head_of_new(key)? {
                Head::Base { exists: false } if self.deleted_in_base(tree, key)? => {
                    return Err(self.concurrent_update(tree, key, true));
                }
                Head::Base { exists } => exists,
                Head::Committed { at, exists, .. } => {
                    if !exists
                        && matches!(self.protocol, Protocol::Ssi(_))
                        && at > self.horizon()
                        && !self.refresh(tree, key, at)?
                    {
                        // Deleted by a concurrent transaction: our snapshot still has it.
                        return Err(self.concurrent_update(tree, key, true));
                    }
                    exists
                }
                Head::InProgress { writer, exists, .. } if Some(writer.id()) == self.own_id() => exists,
                Head::InProgress { .. } => {
                    if self.lock_key(tree, key, replace, WaitPolicy::Block)? == Acquired::Now {
                        locked = Acquired::Now;
                    }
                    continue;
                }
            };
            if duplicate {
                if locked == Acquired::Now {
                    let owner = self.owner().clone();
                    manager.locks.release(&owner, key_object(tree, key), replace);
                }
                return self.duplicate(tree, key);
            }
            match self.try_install(tree, key, Some(value), Intent::Replace, Some(installs))? {
                Attempt::Installed => return Ok(Inserted::Done),
                Attempt::Waited | Attempt::Stale => {}
            }
        }
    }

    /// SSI: as a concurrent deletion that is still in the delta.
    fn deleted_in_base(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<bool> {
        if !matches!(self.protocol, Protocol::Ssi(_)) {
            return Ok(false);
        }
        let Some(at) = self.changed_in_base(tree, key)? else { return Ok(false) };
        Ok(!self.refresh(tree, key, at)?)
    }

    /// That the key exists is something the transaction has read, if its snapshot knows of it. If it does not, the insert counts as
    /// a write for those who had read the key: an application that looked first and found nothing must hear of the conflict
    /// with whoever looked and inserted at the same time, rather than of a violation that no serial order explains.
    fn duplicate(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<Inserted> {
        Ok(Inserted::Duplicate { visible: self.meet(tree, key)? })
    }

    /// Replaces the value of a row locked by `lock_row` (`NoKeyUpdate` or stronger).
    pub fn update(&mut self, tree: &Arc<Tree>, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(tree, key, Some(value), Intent::Modify)
    }
    /// Deletes a row locked by `lock_row` (`Update`).
    pub fn delete(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<()> {
        self.write(tree, key, None, Intent::Replace)
    }
    /// Writes without conflict checks of any kind, for keys that another lock already protects: entries of non-unique
    /// secondary indexes (their row is locked; the key ends in its primary key), catalog rows. Still checks the
    /// range locks and SIREADs on the tree: that is how phantoms are caught.
    pub fn put(&mut self, tree: &Arc<Tree>, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.write(tree, key, value, Intent::Replace)
    }

    fn write(&mut self, tree: &Arc<Tree>, key: &[u8], value: Option<&[u8]>, intent: Intent) -> Result<()> {
        self.before_operation()?;
        self.ensure_writing()?;
        loop {
            if let Attempt::Installed = self.try_install(tree, key, value, intent, None)? {
                return Ok(());
            }
        }
    }

    /// One attempt: no explicit lock, range lock or version of another in the way, then the version on the chain, then
    /// the protocol's look at who had read the key.
    fn try_install(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        value: Option<&[u8]>,
        intent: Intent,
        installs: Option<u64>,
    ) -> Result<Attempt> {
        if self.conflicting_range(tree, key).is_some() {
            self.wait_for_ranges(tree, key).inspect_err(|_| self.gate = None)?;
            return Ok(Attempt::Waited);
        }
        let manager = self.manager.clone();
        let locks = &manager.locks;
        let object = key_object(tree, key);
        let hash = locks.hash(object);
        let mode = of_intent(intent);
        let owner = self.owner().clone();
        let may_drop = self.may_drop_implied();
        let command = self.command;
        let writer = self.writer.as_mut().expect("ensure_writing comes first");
        // May wait or write to disk: so not under the shard's mutex.
        writer.admit()?;
        let mut shard = locks.shard(hash);
        if installs.is_some_and(|judged_at| judged_at != locks.installs(hash)) {
            return Ok(Attempt::Stale);
        }
        let has_queue = shard.queue(hash, object).is_some();
        let mut ticket = None;
        if has_queue {
            let requested = locks.request(&mut shard, hash, object, &owner, mode, WaitPolicy::Block)?;
            if let Requested::Queued(queued) = requested {
                ticket = Some(queued);
            }
        }
        let mark = writer.mark();
        if ticket.is_none() {
            let mut installed = writer.install(tree, key, value, intent, command)?;
            if let Err(conflict) = &installed {
                let implied = of_intent(conflict.intent);
                let other = manager.registry.owner(conflict.writer.id());
                let Some(other) = other else {
                    drop(shard);
                    crate::sync::yield_now();
                    return Ok(Attempt::Waited);
                };
                if !locks.materialise(&mut shard, hash, object, &other, implied) {
                    return Ok(Attempt::Waited);
                }
                // Popped meanwhile? Then the materialised lock must not stay (rule 4).
                if !manager.ssi.rules.is_off(Rule::MaterialiserLooks) {
                    installed = writer.install(tree, key, value, intent, command)?;
                }
                if installed.is_ok() {
                    let lock = crate::lock_table::HeldLock {
                        hash,
                        object: crate::lock_table::LockObject::Key(tree.id(), key.into()),
                        mode: implied,
                    };
                    locks.unmaterialise(&mut shard, &lock, &other);
                } else {
                    ticket = Some(locks.queue_behind(&mut shard, hash, object, &owner, mode));
                }
            }
        }
        if let Some(ticket) = ticket {
            drop(shard);
            locks.await_grant(Request { owner: &owner, hash, object, ticket }, WaitPolicy::Block)?;
            return Ok(Attempt::Waited);
        }
        locks.installed(hash);
        drop(shard);
        if self.conflicting_range(tree, key).is_some() {
            // A 2PL reader registered between our two looks. Off the chain again, or we would wait for each other. The
            // row's explicit lock is still ours: what the caller judged under it stands.
            self.writer.as_mut().expect("ensure_writing comes first").rollback_to(mark);
            self.recheck_materialised()?;
            self.wait_for_ranges(tree, key).inspect_err(|_| self.gate = None)?;
            return Ok(Attempt::Waited);
        }
        self.gate = None;
        if has_queue && may_drop {
            locks.drop_implied(&mut locks.shard(hash), hash, object, &owner, mode);
        }
        self.after_write(tree, key)?;
        Ok(Attempt::Installed)
    }

    /// 2PL keeps the read lock on a row whose version a rollback to a savepoint may take away.
    fn may_drop_implied(&self) -> bool {
        match &self.protocol {
            Protocol::TwoPhase(two_phase) if two_phase.level != Isolation::ReadCommitted => {
                self.savepoints.is_empty()
            }
            _ => true,
        }
    }

    // ---- trees ----

    pub fn create_tree(&mut self) -> Result<Arc<Tree>> {
        self.before_operation()?;
        self.ensure_writing()?;
        let writer = self.writer.as_mut().expect("ensure_writing comes first");
        let tree = self.manager.store.create_tree(writer);
        self.created.push(tree.id());
        Ok(tree)
    }

    pub fn drop_tree(&mut self, tree: TreeId) -> Result<()> {
        self.before_operation()?;
        self.ensure_writing()?;
        self.writer.as_mut().expect("ensure_writing comes first").drop_tree(tree);
        Ok(())
    }

    /// The tree was created by this transaction, since its newest savepoint, and is empty: a bulk load may fill it.
    pub fn bulk_loader(&mut self, tree: &Arc<Tree>) -> Result<Option<BulkLoader>> {
        self.before_operation()?;
        let since = self.savepoints.last().map_or(0, |savepoint| savepoint.created);
        if !self.created[since..].contains(&tree.id()) || !tree.is_untouched() {
            return Ok(None);
        }
        Ok(Some(tree.bulk_loader()?))
    }

    pub fn finish_bulk(&mut self, loader: BulkLoader) -> Result<u64> {
        self.before_operation()?;
        self.ensure_writing()?;
        Ok(loader.finish(self.writer.as_mut().expect("ensure_writing comes first"))?)
    }
}
