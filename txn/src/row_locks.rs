//! Key locks: explicit ones, and running into the implicit ones that versions in progress are (`lock_table.rs`).

use crate::conflict::action;
use crate::lock_mode::{LockMode, ModeSet, of_intent};
use crate::lock_table::{Acquired, HeldLock, LockObject, Request};
use crate::protocol::{Protocol, key_object, refused};
use crate::rules::Rule;
use crate::{Conflict, ConflictStep, Error, Result, RowLock, RowLockMode, Transaction, WaitPolicy};
use serin_storage::{CommandId, Head, Timestamp, Tree, Value, View};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Transaction {
    /// Locks a row that this statement has read, waiting for its writer by `wait`. REPEATABLE READ and SERIALIZABLE
    /// (ssi) fail with `ConcurrentUpdate` where READ COMMITTED answers `Changed`.
    pub fn lock_row(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        mode: RowLockMode,
        wait: WaitPolicy,
    ) -> Result<RowLock> {
        debug_assert!(wait != WaitPolicy::Queue, "that is for `request_row`");
        let locked = self.request_row(tree, key, mode, wait)?;
        Ok(locked.expect("only by `Queue` a request stays behind"))
    }

    /// As [`Transaction::lock_row`]; None: by `WaitPolicy::Queue` the request was left in the queue, and once
    /// [`TransactionManager::poll_wait`](crate::TransactionManager::poll_wait) has seen it granted, ask again.
    pub fn request_row(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        mode: RowLockMode,
        wait: WaitPolicy,
    ) -> Result<Option<RowLock>> {
        self.before_operation()?;
        // Whoever locks rows means to write: through the serial gate first, or a serial transaction that meets the row
        // would wait for someone who waits for its token.
        self.ensure_writing()?;
        match self.lock_key(tree, key, mode.into(), wait)? {
            Acquired::Queued => return Ok(None),
            Acquired::Refused if wait == WaitPolicy::SkipLocked => return Ok(Some(RowLock::Skipped)),
            Acquired::Refused => return Err(refused(key_object(tree, key))),
            Acquired::Before | Acquired::Now => {}
        }
        self.judge_locked(tree, key, mode).map(Some)
    }

    /// Whether the locked row is still the one that the statement has read.
    fn judge_locked(&mut self, tree: &Arc<Tree>, key: &[u8], mode: RowLockMode) -> Result<RowLock> {
        let snapshot = self.snapshot_timestamp();
        let (at, exists) = match tree.head(key)? {
            Head::Base { exists } => match self.changed_in_base(tree, key)? {
                Some(at) => (at, exists),
                None => return Ok(RowLock::Unchanged),
            },
            Head::Committed { at, exists, .. } => (at, exists),
            Head::InProgress { writer, command, .. } if Some(writer.id()) == self.own_id() => {
                if command < self.command {
                    return Ok(RowLock::Unchanged);
                }
                // Whose change counts: that of the version which was read, or, where another transaction's came between, the latest one.
                let newest = tree.newest_committed_in_delta(key);
                let counts = match newest.is_some_and(|(at, _)| at > snapshot) {
                    true => Some(command),
                    false => tree.first_command_in_progress(key, self.command)?,
                };
                return Ok(RowLock::SelfModified { by_this_command: counts == Some(self.command) });
            }
            // Another's version that our strength doesn't exclude lies on top: judge what is below it.
            Head::InProgress { .. } => {
                let (value, at) = self.latest_committed(tree, key)?;
                let in_base = if at == Timestamp::ZERO { self.changed_in_base(tree, key)? } else { None };
                (in_base.unwrap_or(at), value.is_some())
            }
        };
        if at <= snapshot {
            return Ok(RowLock::Unchanged);
        }
        // An update that kept the key does not concern who wants nothing but the key to stay.
        if mode == RowLockMode::KeyShare && self.reads_snapshot() && tree.only_modified_since(key, snapshot) {
            return Ok(RowLock::Unchanged);
        }
        if self.first_updater_wins() && !self.refresh(tree, key, at)? {
            return Err(self.concurrent_update(tree, key, !exists));
        }
        let (value, _) = self.latest_committed(tree, key)?;
        Ok(RowLock::Changed(value))
    }

    /// When the key was changed, if that was after our snapshot, and has gone into the base since. For a snapshot that does not track, whose
    /// newer versions leave memory then, that is some time.
    pub(crate) fn changed_in_base(&self, tree: &Tree, key: &[u8]) -> Result<Option<Timestamp>> {
        if self.snapshot.as_ref().is_none_or(|snapshot| snapshot.is_of_current_generation()) {
            return Ok(None);
        }
        if matches!(self.protocol, Protocol::Ssi(_)) {
            let newest = tree.newest_committed_in_delta(key);
            return Ok(newest.map(|(at, _)| at).filter(|at| *at > self.snapshot_timestamp()));
        }
        Ok(match &self.snapshot {
            Some(snapshot) => tree.differs_from(snapshot, key)?.then_some(Timestamp::MAX),
            None => None,
        })
    }

    /// Which transaction wrote the newest version of the key, and whether that is a row. `None`: it is not committed, or
    /// was so long ago that it is not in memory any more.
    pub fn newest_committed(&self, tree: &Tree, key: &[u8]) -> Result<Option<(u64, bool)>> {
        Ok(match tree.head(key)? {
            Head::Committed { writer, exists, .. } => Some((writer.id().0, exists)),
            Head::Base { .. } | Head::InProgress { .. } => None,
        })
    }

    /// The transaction will fail because of the key's newest version: the session's next snapshot waits until that is durable, and has it.
    pub fn retry_after(&self, tree: &Tree, key: &[u8]) -> Result<()> {
        if let Head::Committed { at, .. } = tree.head(key)? {
            self.options.session.raise_must_see(at);
        }
        Ok(())
    }

    /// The latest committed value, and when it was committed if that was recent.
    pub(crate) fn latest_committed(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
    ) -> Result<(Option<Value>, Timestamp)> {
        let mut met = self.observe(false);
        let view = View { horizon: Timestamp::MAX, own: None, ..self.view() };
        let value = tree.get(view, key, &mut met)?;
        self.seen = self.seen.max(met.seen);
        Ok((value, met.seen))
    }

    /// Uniqueness and foreign keys: the latest committed state plus own writes. Waits for an in-progress writer of
    /// the key, takes the lock in `mode` and returns the value then current.
    pub fn get_latest_locked(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        mode: RowLockMode,
    ) -> Result<Option<Value>> {
        self.before_operation()?;
        self.ensure_writing()?;
        // Before the read, as any read: a later writer has to find it.
        self.register_key_read(tree, key);
        self.lock_key(tree, key, mode.into(), WaitPolicy::Block)?;
        let mut met = self.observe(false);
        let view = View {
            horizon: Timestamp::MAX,
            own: self.writer.as_ref().map(|writer| (&**writer.state(), CommandId(u32::MAX))),
            ..self.view()
        };
        let value = tree.get(view, key, &mut met)?;
        self.seen = self.seen.max(met.seen);
        self.check_seen_beyond_snapshot(tree, key, mode, &value, met.seen)?;
        Ok(value)
    }

    /// A serializable snapshot transaction that looks at the latest state must not learn what its snapshot doesn't
    /// know: that would order it behind a transaction it is concurrent with. KEY SHARE asks for existence only.
    fn check_seen_beyond_snapshot(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        mode: RowLockMode,
        latest: &Option<Value>,
        seen: Timestamp,
    ) -> Result<()> {
        let is_ssi = matches!(self.protocol, Protocol::Ssi(_));
        if !is_ssi || seen <= self.horizon() {
            return Ok(());
        }
        let mut met = self.observe(true);
        let known = tree.get(self.view(), key, &mut met)?;
        self.after_read(tree, met)?;
        let same = match mode {
            RowLockMode::KeyShare => known.is_some() == latest.is_some(),
            _ => known.as_deref() == latest.as_deref(),
        };
        if same || self.refresh(tree, key, seen)? {
            return Ok(());
        }
        Err(self.concurrent_update(tree, key, latest.is_none()))
    }

    /// Takes a key lock, explicit queue first, implicit locks second (rule 3 of the lock table).
    pub(crate) fn lock_key(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<Acquired> {
        let owner = self.owner().clone();
        let manager = self.manager.clone();
        let locks = &manager.locks;
        let object = key_object(tree, key);
        let acquired = locks.acquire(&owner, object, mode, wait)?;
        if matches!(acquired, Acquired::Refused | Acquired::Queued) {
            return Ok(acquired);
        }
        let hash = locks.hash(object);
        loop {
            let Head::InProgress { writer, intent, .. } = tree.head(key)? else { return Ok(acquired) };
            let implied = of_intent(intent);
            if Some(writer.id()) == self.own_id() || !ModeSet::from(implied).conflicts_with(mode) {
                return Ok(acquired);
            }
            if wait.refuses() {
                if acquired == Acquired::Now {
                    locks.release(&owner, object, mode);
                }
                return Ok(Acquired::Refused);
            }
            let Some(other) = manager.registry.owner(writer.id()) else {
                // It is ending: its state changes before it leaves the registry.
                crate::sync::yield_now();
                continue;
            };
            let ticket = {
                let mut shard = locks.shard(hash);
                if !locks.materialise(&mut shard, hash, object, &other, implied) {
                    continue;
                }
                let still = matches!(tree.head(key)?, Head::InProgress { writer: now, .. } if now.id() == writer.id());
                if !still && !manager.ssi.rules.is_off(Rule::MaterialiserLooks) {
                    let object = LockObject::Key(tree.id(), key.into());
                    locks.unmaterialise(&mut shard, &HeldLock { hash, object, mode: implied }, &other);
                    continue;
                }
                locks.give_way(&mut shard, hash, object, &owner, mode)
            };
            if locks.await_grant(Request { owner: &owner, hash, object, ticket }, wait)? == Acquired::Queued {
                return Ok(Acquired::Queued);
            }
        }
    }

    /// After own versions were taken off their chains: locks that others registered for them must not outlive them.
    pub(crate) fn recheck_materialised(&mut self) -> Result<()> {
        let Some(owner) = self.owner.clone() else { return Ok(()) };
        let manager = self.manager.clone();
        if manager.ssi.rules.is_off(Rule::PopperLooks) {
            return Ok(());
        }
        for lock in manager.locks.materialised_locks(&owner) {
            let LockObject::Key(tree, key) = &lock.object else { continue };
            let mut shard = manager.locks.shard(lock.hash);
            let stays = match manager.store.tree(*tree) {
                Some(tree) => matches!(
                    tree.head(key)?,
                    Head::InProgress { writer, .. } if Some(writer.id()) == self.own_id()
                ),
                None => false,
            };
            if !stays {
                manager.locks.unmaterialise(&mut shard, &lock, &owner);
            }
        }
        Ok(())
    }

    pub(crate) fn concurrent_update(&self, tree: &Tree, key: &[u8], deleted: bool) -> Error {
        let writer = match tree.head(key) {
            Ok(Head::Committed { writer, at, .. }) => {
                self.options.session.raise_must_see(at);
                Some(writer.id().0)
            }
            _ => None,
        };
        let conflict = Conflict {
            kind: crate::ConflictKind::ConcurrentUpdate,
            steps: vec![ConflictStep {
                pid: self.options.session.pid,
                transaction: self.id_if_assigned().unwrap_or(0),
                action: action::TRIED_TO_WRITE,
                tree: Some(tree.id()),
                relation: None,
                key: Some(key.to_vec()),
                object: crate::ConflictObject::Named,
                other: writer,
                other_pid: None,
                statement: self.options.session.statement(),
            }],
        };
        if matches!(self.protocol, Protocol::Ssi(_)) {
            self.options.session.lost(&conflict);
        }
        self.manager.concurrent_update_count.fetch_add(1, Ordering::Relaxed);
        self.manager.conflicts.push(conflict.clone());
        Error::ConcurrentUpdate { deleted, conflict: Box::new(conflict) }
    }
}
