//! The transaction block: PostgreSQL's xact.c as far as a client can see it.
//!
//! ```text
//!            first statement                BEGIN
//!   Idle ───────────────────▶ Implicit ─────────────▶ InBlock ──error──▶ Failed
//!    ▲   Sync / end of message   │ ▲ (BEGIN from Idle    │  ▲             │   │
//!    └───────── commit ──────────┘    goes straight)     │  └─ROLLBACK TO─┘   │
//!    └───────────────── COMMIT, ROLLBACK ────────────────┴────────────────────┘
//! ```
//!
//! Implicit is the transaction of a single statement, of a Query message's statements together, or of a pipeline up to its Sync; an
//! error rolls it back at once. In a block an error also gives everything back at once (its locks must not wait for a slow
//! client), down to the innermost savepoint; only the *state* Failed waits for the client's word.

use super::connection::Session;
use super::core::{Characteristics, Core};
use super::engine::now;
use crate::catalog::Catalog;
use crate::error::{Error, Result, SqlState};
use crate::exec::constraint::{DeferredMark, run_deferred};
use crate::parse::ast::{ObjectName, TransactionModes};
use crate::types::Oid;
use serin_txn::{Isolation, Mode, RelationLockMode, Savepoint, Transaction, WaitPolicy};
use std::cell::RefCell;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Idle,
    Implicit,
    InBlock,
    Failed,
}

pub(super) struct Block {
    pub state: State,
    /// None when idle, and in a failed block without savepoints.
    pub transaction: Option<RefCell<Transaction>>,
    savepoints: Vec<SavepointEntry>,
    /// Relation locks known to be held: statements in a block do not ask for them again.
    locks: Vec<(Oid, RelationLockMode)>,
    pub started: i64,
    /// Statements begun since the transaction began.
    pub statements: u32,
    /// The catalog's version when a transaction that keeps its snapshot took it.
    snapshot_version: u64,
}

struct SavepointEntry {
    name: String,
    savepoint: Savepoint,
    locks: usize,
    changes: usize,
    settings: Option<usize>,
    deferred: DeferredMark,
    notify: super::notify::Mark,
    large_objects: u64,
}

impl Block {
    pub fn new() -> Block {
        Block {
            state: State::Idle,
            transaction: None,
            savepoints: Vec::new(),
            locks: Vec::new(),
            started: 0,
            statements: 0,
            snapshot_version: 0,
        }
    }
    /// How many savepoints enclose what is made now.
    pub fn level(&self) -> usize {
        self.savepoints.len()
    }
    /// A statement has ended the transaction and begun another.
    pub fn move_on(&mut self, started: i64) {
        self.locks.clear();
        self.started = started;
    }
    pub fn lock_relation(&mut self, relation: Oid, mode: RelationLockMode, wait: WaitPolicy) -> Result<()> {
        if self.locks.iter().any(|&(held, held_mode)| held == relation && covers(held_mode, mode)) {
            return Ok(());
        }
        let transaction = self.transaction.as_ref().ok_or_else(no_transaction)?;
        transaction.borrow_mut().lock_relation(relation, mode, wait)?;
        self.locks.push((relation, mode));
        Ok(())
    }
    /// Begins a statement's reads and writes.
    pub fn start_statement(&mut self, catalog_version: u64) -> Result<()> {
        self.request_statement(catalog_version, WaitPolicy::Block).map(|_| ())
    }
    /// As [`Block::start_statement`]; false: by `WaitPolicy::Queue` it is not its turn yet.
    pub fn request_statement(&mut self, catalog_version: u64, wait: WaitPolicy) -> Result<bool> {
        let transaction = self.transaction.as_ref().ok_or_else(no_transaction)?;
        let mut transaction = transaction.borrow_mut();
        if !transaction.has_snapshot() {
            self.snapshot_version = catalog_version;
        }
        Ok(transaction.request_statement(wait)?)
    }
    /// The version a relation's trees may have at most to be readable under the snapshot that is kept.
    pub fn trees_version_max(&self) -> u64 {
        match &self.transaction {
            Some(transaction) => {
                let transaction = transaction.borrow();
                let keeps = transaction.isolation() != Isolation::ReadCommitted
                    && transaction.mode() == Mode::Ssi
                    && transaction.has_snapshot();
                if keeps { self.snapshot_version } else { u64::MAX }
            }
            None => u64::MAX,
        }
    }
}

fn no_transaction() -> Error {
    Error::internal("no transaction is in progress")
}

/// Whether holding one mode makes asking for the other pointless: it conflicts with all that the other conflicts with.
fn covers(held: RelationLockMode, wanted: RelationLockMode) -> bool {
    use RelationLockMode::*;
    match wanted {
        // ShareUpdateExclusive and Share conflict with each other, and neither implies the other.
        Share => matches!(held, Share | ShareRowExclusive | Exclusive | AccessExclusive),
        _ => held >= wanted,
    }
}

impl Session {
    /// Begins an implicit transaction if there is none. 25P02 in a failed block.
    pub(super) fn ensure_transaction(&mut self) -> Result<()> {
        match self.block.state {
            State::Idle => {
                self.begin(State::Implicit);
                Ok(())
            }
            State::Implicit | State::InBlock => Ok(()),
            State::Failed => Err(in_failed_transaction()),
        }
    }

    pub(super) fn begin(&mut self, state: State) {
        let transaction = self.core.begin_transaction();
        self.core.arm_transaction_timer();
        self.block.transaction = Some(RefCell::new(transaction));
        self.block.state = state;
        self.block.started = now();
        self.block.statements = 0;
        self.core.registration.activity.lock().transaction_start = Some(self.block.started);
    }

    /// Commits what is in progress, if anything is.
    pub(super) fn commit(&mut self) -> Result<()> {
        if self.core.deferred.borrow().has_events()
            && self.block.transaction.is_some()
            && let Err(error) = self.run_deferred(true)
        {
            self.rollback();
            return Err(error);
        }
        if let Err(error) = self.run_on_commit() {
            self.rollback();
            return Err(error);
        }
        if let Err(error) = self.fill_held_cursors() {
            self.rollback();
            return Err(error);
        }
        let Some(transaction) = self.block.transaction.take() else {
            self.end_transaction(false);
            return Ok(());
        };
        let result = self.core.commit_transaction(transaction.into_inner());
        self.end_transaction(result.is_ok());
        let activity = &self.core.database_activity;
        if result.is_ok() {
            activity.commits.add(1)
        } else {
            activity.rollbacks.add(1)
        }
        result
    }

    /// Checks constraints that were put off: all at commit, else those that are no longer to be.
    pub(super) fn run_deferred(&mut self, at_commit: bool) -> Result<()> {
        let version = self.core.catalog().version;
        self.block.start_statement(version)?;
        self.with_exec(|context| run_deferred(&self.core.deferred, at_commit, context))
    }

    fn run_on_commit(&mut self) -> Result<()> {
        if self.core.on_commit.borrow().is_empty() || self.block.transaction.is_none() {
            return Ok(());
        }
        let version = self.core.catalog().version;
        self.block.start_statement(version)?;
        self.with_exec(crate::ddl::on_commit::before_commit)
    }

    /// SET CONSTRAINTS.
    pub(super) fn set_constraints(&mut self, names: &[ObjectName], deferred: bool) -> Result<()> {
        if self.block.state == State::Implicit && self.block.statements <= 1 {
            let message = "SET CONSTRAINTS can only be used in transaction blocks";
            self.core.warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message);
        }
        let chosen = chosen_constraints(&self.core, names)?;
        self.core.deferred.borrow_mut().set(chosen.as_deref(), deferred);
        match deferred {
            true => Ok(()),
            false => self.run_deferred(false),
        }
    }

    pub(super) fn rollback(&mut self) {
        if let Some(transaction) = self.block.transaction.take() {
            transaction.into_inner().rollback();
            self.core.database_activity.rollbacks.add(1);
        }
        self.end_transaction(false);
    }

    pub(super) fn end_transaction(&mut self, committed: bool) {
        self.block.state = State::Idle;
        self.block.savepoints.clear();
        self.block.locks.clear();
        self.core.clear_transaction(committed);
        self.portals.end_transaction(committed);
        self.core.stop_acting(0);
        self.core.routine_stack.set(None);
    }

    /// A statement failed: everything back to the innermost savepoint, or all of it, is undone now.
    pub(super) fn abort(&mut self) {
        match self.block.state {
            State::Idle | State::Implicit => self.rollback(),
            State::InBlock => {
                let level = self.block.savepoints.len();
                let recovered = level > 0 && self.undo_to(level - 1).is_ok();
                if !recovered {
                    if let Some(transaction) = self.block.transaction.take() {
                        transaction.into_inner().rollback();
                    }
                    self.block.locks.clear();
                    self.core.deferred.borrow_mut().clear();
                    self.core.view.borrow_mut().truncate(&self.core.engine.publisher, 0);
                    self.portals.drop_above(0);
                    if level == 0 {
                        self.portals.end_transaction(false);
                    }
                }
                self.block.state = State::Failed;
            }
            State::Failed => {}
        }
    }

    /// Undoes what was done since a savepoint, which stays.
    fn undo_to(&mut self, index: usize) -> Result<()> {
        let entry = &self.block.savepoints[index];
        let transaction = self.block.transaction.as_ref().ok_or_else(no_transaction)?;
        transaction.borrow_mut().rollback_to(&entry.savepoint)?;
        self.block.locks.truncate(entry.locks);
        self.core.view.borrow_mut().truncate(&self.core.engine.publisher, entry.changes);
        self.core.settings_rollback_to(entry.settings);
        self.core.deferred.borrow_mut().rollback_to(&entry.deferred);
        self.core.notify.borrow_mut().rollback_to(entry.notify);
        self.core.large_objects.borrow_mut().rollback_to(entry.large_objects);
        self.portals.drop_above(index);
        Ok(())
    }

    // ---- statements ----

    pub(super) fn begin_block(&mut self, modes: &TransactionModes) -> Result<()> {
        match self.block.state {
            State::Failed => return Err(in_failed_transaction()),
            State::InBlock => {
                let message = "there is already a transaction in progress";
                self.core.warning(SqlState::ACTIVE_SQL_TRANSACTION, message);
            }
            State::Implicit => self.block.state = State::InBlock,
            State::Idle => self.begin(State::InBlock),
        }
        self.set_transaction_modes(modes)
    }

    pub(super) fn set_transaction_modes(&mut self, modes: &TransactionModes) -> Result<()> {
        let TransactionModes { isolation, read_only, deferrable } = *modes;
        let wanted = Characteristics { mode: None, isolation, read_only, deferrable };
        let transaction = self.block.transaction.as_ref().ok_or_else(no_transaction)?;
        self.core.set_characteristics(wanted, transaction)
    }

    /// SET TRANSACTION SNAPSHOT.
    pub(super) fn import_snapshot(&mut self, name: &str) -> Result<()> {
        let mut transaction = self.block.transaction.as_ref().ok_or_else(no_transaction)?.borrow_mut();
        if transaction.has_snapshot() {
            let message = "SET TRANSACTION SNAPSHOT must be called before any query";
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        let origin = transaction.import_snapshot(name, self.core.catalog().database().oid)?;
        self.block.snapshot_version = origin.catalog_version;
        Ok(())
    }

    /// COMMIT; the answer is its tag.
    pub(super) fn commit_block(&mut self, chain: bool) -> Result<&'static str> {
        let chained = self.chained(chain, "COMMIT")?;
        let tag = match self.block.state {
            State::Failed => {
                self.rollback();
                "ROLLBACK"
            }
            State::InBlock => {
                self.commit()?;
                "COMMIT"
            }
            State::Idle | State::Implicit => {
                self.core.warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                self.commit()?;
                "COMMIT"
            }
        };
        self.begin_chained(chained)?;
        Ok(tag)
    }

    pub(super) fn rollback_block(&mut self, chain: bool) -> Result<()> {
        let chained = self.chained(chain, "ROLLBACK")?;
        if matches!(self.block.state, State::Idle | State::Implicit) {
            self.core.warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
        }
        self.rollback();
        self.begin_chained(chained)
    }

    fn chained(&self, chain: bool, command: &str) -> Result<Option<Characteristics>> {
        if !chain {
            return Ok(None);
        }
        if matches!(self.block.state, State::Idle | State::Implicit) {
            return Err(only_in_block(&format!("{command} AND CHAIN")));
        }
        let mode = self.block.transaction.as_ref().map(|transaction| transaction.borrow().mode());
        let isolation = Some(self.core.isolation.get());
        let (read_only, deferrable) = (Some(self.core.read_only.get()), Some(self.core.deferrable.get()));
        Ok(Some(Characteristics { mode, isolation, read_only, deferrable }))
    }

    fn begin_chained(&mut self, chained: Option<Characteristics>) -> Result<()> {
        let Some(characteristics) = chained else { return Ok(()) };
        self.begin(State::InBlock);
        let transaction = self.block.transaction.as_ref().ok_or_else(no_transaction)?;
        self.core.set_characteristics(characteristics, transaction)
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<()> {
        self.require_block("SAVEPOINT")?;
        let transaction = self.block.transaction.as_ref().ok_or_else(no_transaction)?;
        let savepoint = transaction.borrow_mut().savepoint();
        self.block.savepoints.push(SavepointEntry {
            name: name.to_string(),
            savepoint,
            locks: self.block.locks.len(),
            changes: self.core.view.borrow().changes().len(),
            settings: self.core.settings_savepoint(),
            deferred: self.core.deferred.borrow().mark(),
            notify: self.core.notify.borrow().mark(),
            large_objects: self.core.large_objects.borrow().mark(),
        });
        Ok(())
    }

    pub(super) fn release_savepoint(&mut self, name: &str) -> Result<()> {
        self.require_block("RELEASE SAVEPOINT")?;
        let index = self.find_savepoint(name)?;
        self.block.savepoints.truncate(index);
        self.portals.release_above(index);
        Ok(())
    }

    pub(super) fn rollback_to_savepoint(&mut self, name: &str) -> Result<()> {
        if matches!(self.block.state, State::Idle | State::Implicit) {
            return Err(only_in_block("ROLLBACK TO SAVEPOINT"));
        }
        let index = self.find_savepoint(name)?;
        self.block.savepoints.truncate(index + 1);
        self.undo_to(index)?;
        self.block.state = State::InBlock;
        Ok(())
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        self.block.savepoints.iter().rposition(|entry| entry.name == name).ok_or_else(|| {
            let message = format!("savepoint \"{name}\" does not exist");
            Error::new(SqlState::INVALID_SAVEPOINT_SPECIFICATION, message)
        })
    }

    pub(super) fn require_block(&self, command: &str) -> Result<()> {
        match self.block.state {
            State::InBlock => Ok(()),
            State::Failed => Err(in_failed_transaction()),
            State::Idle | State::Implicit => Err(only_in_block(command)),
        }
    }

    /// CREATE DATABASE and others that can't be undone with a transaction.
    pub(super) fn forbid_block(&self, command: &str) -> Result<()> {
        if matches!(self.block.state, State::InBlock) || self.block.statements > 1 {
            let message = format!("{command} cannot run inside a transaction block");
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        Ok(())
    }
}

fn only_in_block(command: &str) -> Error {
    let message = format!("{command} can only be used in transaction blocks");
    Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message)
}

pub(super) fn in_failed_transaction() -> Error {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Error::new(SqlState::IN_FAILED_SQL_TRANSACTION, message)
}

/// What SET CONSTRAINTS names; None: ALL.
pub(super) fn chosen_constraints(core: &Core, names: &[ObjectName]) -> Result<Option<Vec<Oid>>> {
    if names.is_empty() {
        return Ok(None);
    }
    let catalog = core.catalog();
    let mut chosen = Vec::new();
    for name in names {
        find_constraints(core, &catalog, name, &mut chosen)?;
    }
    Ok(Some(chosen))
}

/// Constraints by name, in the first schema of the search path that has any.
fn find_constraints(core: &Core, catalog: &Catalog, name: &ObjectName, out: &mut Vec<Oid>) -> Result<()> {
    let (schema, constraint) = crate::ddl::names::split(catalog, name)?;
    let schemas: Vec<Oid> = match schema {
        Some(schema) => {
            let found = catalog.find_schema(schema);
            vec![found.ok_or_else(|| crate::ddl::names::no_schema(schema))?.oid]
        }
        None => {
            let path = core.search_path.borrow();
            path.iter().filter_map(|schema| catalog.find_schema(schema)).map(|schema| schema.oid).collect()
        }
    };
    for schema in schemas {
        let tables = catalog.tables().filter(|table| table.schema == schema);
        let found: Vec<(Oid, bool)> = tables
            .flat_map(|table| {
                let own = table.constraints.iter().filter(|found| found.name == constraint);
                let triggers = table.triggers.iter().filter(|t| t.constraint && t.name == constraint);
                own.map(|found| (found.oid, found.deferrable))
                    .chain(triggers.map(|found| (found.oid, found.deferrable)))
            })
            .collect();
        if found.is_empty() {
            continue;
        }
        for (oid, deferrable) in found {
            if !deferrable {
                let message = format!("constraint \"{constraint}\" is not deferrable");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            out.push(oid);
        }
        return Ok(());
    }
    let message = format!("constraint \"{constraint}\" does not exist");
    Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
}
