//! PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED: what a session has to do with two-phase commit. How a prepared transaction
//! survives, and what it does to others meanwhile, is in `txn/src/prepared.rs`.
//!
//! Here is what only this layer knows: who prepared it, in which database, and which changes of the catalog it made. Those are published
//! by whoever commits it, which may be another session after a restart, so they are always taken from what was written down, never from
//! memory. A transaction that has to do with its session (temporary objects, cursors WITH HOLD, LISTEN) can't be prepared.

use super::block::State;
use super::connection::Session;
use super::core::Core;
use super::engine::now;
use crate::catalog::store::{decode_change, encode_change};
use crate::catalog::system::PreparedTransaction;
use crate::catalog::{Change, Object, Persistence};
use crate::error::{Error, Result, SqlState};
use crate::types::Oid;
use serde::{Deserialize, Serialize};
use serin_txn::{Committed, Finishing, Transaction};
use std::cell::RefCell;

/// PostgreSQL's GIDSIZE counts a terminating zero.
const GID_BYTES_MAX: usize = 199;

#[derive(Serialize, Deserialize)]
struct Payload {
    owner: Oid,
    database: Oid,
    /// Microseconds since 2000.
    prepared_at: i64,
    /// Keys and values as in the catalog's tree.
    changes: Vec<(Vec<u8>, Option<String>)>,
}

impl Payload {
    fn decode(bytes: &[u8]) -> Result<Payload> {
        serde_json::from_slice(bytes).map_err(|error| {
            let message = format!("a prepared transaction's description is damaged: {error}");
            Error::new(SqlState::DATA_CORRUPTED, message)
        })
    }
    fn catalog_changes(&self) -> Result<Vec<Change>> {
        let change = |(key, value): &(Vec<u8>, Option<String>)| {
            decode_change(key, value.as_ref().map(|value| value.as_bytes()))
        };
        self.changes.iter().map(change).collect()
    }
}

/// For pg_prepared_xacts.
pub(super) fn list(core: &Core) -> Result<Vec<PreparedTransaction>> {
    let prepared = core.engine.transactions.prepared();
    let row = |info: serin_txn::PreparedInfo| {
        let Payload { owner, database, prepared_at, .. } = Payload::decode(&info.payload)?;
        let (transaction, gid) = (info.transaction, info.gid);
        Ok(PreparedTransaction { transaction, gid, prepared_at, owner, database })
    };
    prepared.into_iter().map(row).collect()
}

/// How many belong to a database.
pub(crate) fn prepared_of(core: &Core, database: Oid) -> Result<usize> {
    Ok(list(core)?.iter().filter(|prepared| prepared.database == database).count())
}

fn unsupported(what: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("cannot PREPARE a transaction that has {what}"))
}

impl Session {
    /// PREPARE TRANSACTION; the answer is its tag. The transaction is over for this session, whatever comes of it.
    pub(super) fn prepare_transaction(&mut self, gid: &str) -> Result<&'static str> {
        match self.block.state {
            State::Failed => {
                self.rollback();
                return Ok("ROLLBACK");
            }
            State::Idle | State::Implicit => {
                self.core.warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                self.commit()?;
                return Ok("ROLLBACK");
            }
            State::InBlock => {}
        }
        let prepared = self.prepare_in_block(gid);
        match prepared {
            Ok(committed) => {
                self.end_transaction(true);
                // A vote counts when it is durable, whatever synchronous_commit says.
                self.core.await_durable(committed.durable_at);
                Ok("PREPARE TRANSACTION")
            }
            Err(error) => {
                self.rollback();
                Err(error)
            }
        }
    }

    fn prepare_in_block(&mut self, gid: &str) -> Result<Committed> {
        if gid.len() > GID_BYTES_MAX {
            let message = format!("transaction identifier \"{gid}\" is too long");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        if self.core.deferred.borrow().has_events() {
            self.run_deferred(true)?;
        }
        if !self.portals.to_hold().is_empty() {
            return Err(unsupported("created a cursor WITH HOLD"));
        }
        if !self.core.notify.borrow().is_empty() {
            return Err(unsupported("executed LISTEN, UNLISTEN, or NOTIFY"));
        }
        let no_transaction = || Error::internal("a block has a transaction");
        let transaction = self.block.transaction.take().ok_or_else(no_transaction)?;
        if transaction.borrow().has_exported() {
            return Err(unsupported("exported snapshots"));
        }
        if self.is_temporary(&transaction) {
            return Err(unsupported("operated on temporary objects"));
        }
        let written = |change: &Change| {
            let (key, value) = encode_change(change);
            let text = |value| String::from_utf8(value).map_err(|_| Error::internal("descriptors are JSON"));
            Ok((key, value.map(text).transpose()?))
        };
        let changes: Result<_> = self.core.view.borrow().changes().iter().map(written).collect();
        let payload = Payload {
            owner: self.core.role.get(),
            database: self.core.catalog().database().oid,
            prepared_at: now(),
            changes: changes?,
        };
        let payload = serde_json::to_vec(&payload).map_err(|error| Error::internal(error.to_string()))?;
        let transaction = transaction.into_inner();
        transaction.prepare(gid, &payload).map_err(|error| self.explain_error(error))
    }

    /// Whether the transaction has to do with temporary objects: it has a lock on one, or made or dropped one.
    fn is_temporary(&self, transaction: &RefCell<Transaction>) -> bool {
        let Some(schema) = self.core.temporary_schema.get() else { return false };
        let (now, before) = (self.core.catalog(), self.core.engine.publisher.objects());
        let of_temporary = |oid: Oid| {
            let temporary = |table: &crate::catalog::Table| table.persistence == Persistence::Temporary;
            now.table(oid).is_some_and(|table| temporary(&table))
                || before.table(oid).is_some_and(|table| temporary(table))
        };
        let view = self.core.view.borrow();
        let mut changes = view.changes().iter();
        let changed = |change: &Change| match &change.object {
            Some(Object::Schema(changed)) => changed.oid == schema,
            Some(Object::Table(table)) => table.persistence == Persistence::Temporary,
            Some(Object::Sequence(sequence)) => sequence.schema == schema,
            _ => change.oid == schema || of_temporary(change.oid),
        };
        changes.any(changed) || transaction.borrow().locked_relations().into_iter().any(of_temporary)
    }

    pub(super) fn commit_prepared(&mut self, gid: &str) -> Result<()> {
        self.forbid_block("COMMIT PREPARED")?;
        let (finishing, payload) = self.take_prepared(gid)?;
        let changes = payload.catalog_changes()?;
        let engine = self.core.engine.clone();
        let handle = self.core.registration.handle.clone();
        let commit = || finishing.commit(&handle).map_err(Error::from);
        let committed = match &*changes {
            [] => commit()?,
            changes => engine.publisher.commit(changes, commit)?,
        };
        self.core.await_durable(committed.durable_at);
        Ok(())
    }

    pub(super) fn rollback_prepared(&mut self, gid: &str) -> Result<()> {
        self.forbid_block("ROLLBACK PREPARED")?;
        let (finishing, _) = self.take_prepared(gid)?;
        let decided = finishing.rollback()?;
        self.core.await_durable(decided.durable_at);
        Ok(())
    }

    fn take_prepared(&self, gid: &str) -> Result<(Finishing, Payload)> {
        let finishing = self.core.engine.transactions.finish_prepared(gid)?;
        let payload = Payload::decode(finishing.payload())?;
        if payload.owner != self.core.role.get() && !self.core.is_superuser() {
            let message = "permission denied to finish prepared transaction";
            let hint = "Must be superuser or the user that prepared the transaction.";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message).hint(hint));
        }
        if payload.database != self.core.catalog().database().oid {
            let message = "prepared transaction belongs to another database";
            let hint = "Connect to the database where the transaction was prepared to finish it.";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint));
        }
        Ok((finishing, payload))
    }
}
