//! COMMIT and ROLLBACK in procedures and DO blocks.
//!
//! A CALL or DO that is alone in its transaction, not within BEGIN … COMMIT, may end that transaction and go on in another. What runs
//! inside of it holds the transaction by a cell: its content is replaced, and everything else that a transaction's end brings (catalog changes
//! published, SET LOCAL undone, notifications sent) happens as if the statement were over.
//!
//! Rules, PostgreSQL's:
//! 1. Only procedures called by CALL and DO blocks, one within the other, may; whatever runs in a query (functions, triggers), with SECURITY
//!    DEFINER or with SET clauses may not: 2D000.
//! 2. Not while a block with handlers runs its body, whose savepoint would be gone.
//! 3. A FOR loop over a query whose body may end the transaction reads all its rows first (PostgreSQL does at the first COMMIT).
//! 4. A statement that has ended a transaction is not tried again by itself when it fails: half of it would be done twice.
//!
//! After it, snapshots that were set aside (`Suspended`) belong to a transaction that is over: who has one compares [`Control::ended`] before
//! going back to it.

use super::Session;
use super::core::Core;
use super::engine::now;
use super::nested::Nested;
use super::registry::Reason;
use super::timers::{Slot, Timers};
use crate::error::{Error, Result, SqlState};
use crate::exec::constraint::run_deferred;
use serin_storage::Timestamp;
use serin_txn::{Committed, Isolation, Mode, Transaction, TransactionOptions};
use std::cell::Cell;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Control {
    /// Rule 1 holds for what runs now.
    pub allowed: Cell<bool>,
    /// Rule 2.
    pub guarded: Cell<u32>,
    /// How many transactions the statement that runs has ended.
    pub ended: Cell<u64>,
    /// When the transaction under way began, if that was within the statement.
    pub started: Cell<Option<i64>>,
}

impl Core {
    /// By the session's defaults.
    pub fn begin_transaction(&self) -> Transaction {
        let settings = self.settings.borrow();
        let typed = settings.typed();
        self.isolation.set(typed.default_isolation);
        self.read_only.set(typed.default_read_only);
        self.deferrable.set(typed.default_deferrable);
        self.engine.transactions.begin(TransactionOptions {
            mode: typed.concurrency_mode,
            isolation: typed.default_isolation.isolation(),
            read_only: typed.default_read_only,
            deferrable: typed.default_deferrable,
            session: self.registration.handle.clone(),
        })
    }

    pub fn arm_transaction_timer(&self) {
        let timeout = self.settings.borrow().typed().transaction_timeout_ms;
        if timeout > 0 {
            let timeout = Duration::from_millis(timeout);
            self.engine.timers.arm(
                &self.registration,
                Slot::Transaction,
                timeout,
                Reason::TransactionTimeout,
            );
        }
    }

    /// Commits with the catalog's changes and the notifications of the session.
    pub fn commit_transaction(&self, transaction: Transaction) -> Result<()> {
        let engine = self.engine.clone();
        let synchronous = self.synchronous_commit.get();
        let pending = self.notify.take();
        let result: Result<Committed> = {
            let view = self.view.borrow();
            let commit = || match view.changes() {
                [] => transaction.commit().map_err(Error::from),
                changes => engine.publisher.commit(changes, || transaction.commit().map_err(Error::from)),
            };
            match pending.is_empty() {
                true => commit(),
                false => {
                    let durable_at = |committed: &Committed| -> Option<Timestamp> {
                        committed.durable_at.filter(|_| synchronous)
                    };
                    engine.notifications.commit(pending, self, commit, durable_at)
                }
            }
        };
        let committed = result?;
        match committed.durable_at {
            Some(at) if !synchronous => engine.store().publish_early(at),
            at => self.await_durable(at),
        }
        Ok(())
    }

    /// What of the session lasts as long as a transaction ends with it.
    pub fn clear_transaction(&self, committed: bool) {
        self.deferred.borrow_mut().clear();
        self.notify.borrow_mut().clear();
        self.large_objects.borrow_mut().clear();
        self.view.borrow_mut().clear(&self.engine.publisher);
        self.settings_end_transaction(committed);
        self.cursors.borrow_mut().clear();
        self.transitions.take();
        let mut created = self.created_trees.borrow_mut();
        if !created.is_empty() {
            self.engine.runtime.trees_settled(&created);
            created.clear();
        }
        drop(created);
        // A rolled back CREATE SCHEMA pg_temp_N.
        if let Some(schema) = self.temporary_schema.get()
            && !committed
            && self.catalog().schema(schema).is_none()
        {
            self.temporary_schema.set(None);
            self.settings_changed();
        }
        Timers::disarm(&self.registration, Slot::Transaction);
        self.registration.activity.lock().transaction_start = None;
    }
}

impl Nested<'_> {
    /// COMMIT or ROLLBACK in a procedure: ends the transaction under way and begins the next.
    pub fn end_transaction(&self, commit: bool) -> Result<()> {
        let core = self.core;
        if !core.control.allowed.get() {
            let message = "invalid transaction termination";
            return Err(Error::new(SqlState::INVALID_TRANSACTION_TERMINATION, message));
        }
        if core.control.guarded.get() > 0 {
            let what = if commit { "commit" } else { "roll back" };
            let message = format!("cannot {what} while a subtransaction is active");
            return Err(Error::new(SqlState::INVALID_TRANSACTION_TERMINATION, message));
        }
        if commit && core.deferred.borrow().has_events() {
            self.within_statement(|| {
                self.with_context(&[], |context| run_deferred(&core.deferred, true, context))
            })?;
        }
        if commit && !core.on_commit.borrow().is_empty() {
            self.within_statement(|| self.with_context(&[], crate::ddl::on_commit::before_commit))?;
        }
        let cell = self.context.transaction;
        let mut next = core.begin_transaction();
        std::mem::swap(&mut next, &mut *cell.borrow_mut());
        let ended = next;
        core.control.ended.set(core.control.ended.get() + 1);
        let result = match commit {
            true => core.commit_transaction(ended),
            false => {
                ended.rollback();
                Ok(())
            }
        };
        let committed = commit && result.is_ok();
        core.clear_transaction(committed);
        match committed {
            true => core.database_activity.commits.add(1),
            false => core.database_activity.rollbacks.add(1),
        }
        result?;
        let started = now();
        core.control.started.set(Some(started));
        core.registration.activity.lock().transaction_start = Some(started);
        core.arm_transaction_timer();
        core.enter_types();
        let mut transaction = cell.borrow_mut();
        transaction.start_statement()?;
        let keeps = transaction.isolation() != Isolation::ReadCommitted && transaction.mode() == Mode::Ssi;
        core.trees_version_max.set(if keeps { core.catalog().version } else { u64::MAX });
        Ok(())
    }
}

impl Session {
    /// Lets the statement that is about to run end its transaction, if it is alone in it.
    pub(super) fn allow_control(&self, alone: bool) {
        self.core.control.allowed.set(alone);
        self.core.control.guarded.set(0);
    }

    /// After it: the block is that of the last transaction that it began.
    pub(super) fn settle_control(&mut self) {
        self.core.control.allowed.set(false);
        if let Some(started) = self.core.control.started.take() {
            self.block.move_on(started);
        }
    }
}
