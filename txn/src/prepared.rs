//! Two-phase commit: transactions that are neither committed nor rolled back, and survive the process.
//!
//! # Problem
//!
//! A transaction manager of the client's asks several databases whether they *can* commit and tells them later whether to. Between
//! the two a participant may not fail any more, whatever happens: its changes, its locks and what it has read must be there after a crash.
//!
//! # Idea
//!
//! The log and the fold know committed data only, and stay so. PREPARE writes the transaction down as *data*: a record of its write
//! set, its locks and its reads, in rows of an ordinary tree, by a small transaction of its own that commits at once. That is as durable
//! as anything else; folds, backups, archives and point-in-time recovery carry it without knowing. The transaction itself stays in
//! progress and waits here, under its global identifier.
//!
//! ```text
//!   PREPARE            rule 4 of ssi.rs is passed;   rows p‖gid‖0‖0… are committed            ← durable: the vote is yes
//!   COMMIT PREPARED    the transaction's own writer deletes the rows, and commits             ← one log record: both or neither
//!   ROLLBACK PREPARED  a small transaction deletes the rows and commits; then roll back
//!   start              every record found is carried out again, up to the point where it waits
//! ```
//!
//! So a crash leaves either the record and nothing of the transaction, or the transaction and no record.
//!
//! # Rules
//! 1. A prepared transaction ends only as it is told to. It can't be doomed (`ssi.rs`, rule 6), waits for nothing, and if its commit
//!    record can't be written (disk full) it goes on waiting.
//! 2. It belongs to no session: its locks are handed over to an owner whose session has pid 0 and never waits, so that the session
//!    that prepared it can be made to wait for them like any other.
//! 3. It reads no more. Its snapshot is given up, and so is its claim on committed nodes of the SSI graph: those matter to writers and
//!    readers to come, and it is neither. Its SIREADs stay.
//! 4. After a restart the graph of before is gone. The transaction counts as having an edge in and an edge out to something
//!    committed before it (as in PostgreSQL): whoever meets its writes or overwrites what it read, at SERIALIZABLE, fails. More aborts,
//!    no anomaly.
//! 5. In 2PL it keeps its locks, read locks and ranges included. In serial mode it keeps the token: it is the one transaction that runs, and
//!    what comes after it must see its outcome. Writers of every mode wait until it is decided.
//! 6. Memory: its versions stay in the delta like those of any transaction in progress, or in layers beyond that.
//!
//! # The record
//!
//! Values of rows `p`, gid, 0, number (4 bytes, big-endian). Each is a sequence of whole items; the first begins with [`Head`]. Lengths and
//! numbers are LEB128.
//!
//! Lock order: the table of prepared transactions is a mutex of its own, below which nothing is taken.
//!
//! PostgreSQL: `src/backend/access/transam/twophase.c`, `predicate.c` (`AtPrepare_PredicateLocks`).

use crate::lock_mode::LockMode;
use crate::lock_table::{Acquired, LockObject, ObjectRef, Owner, RangeReader};
use crate::protocol::Protocol;
use crate::session::SessionHandle;
use crate::siread::ReadList;
use crate::ssi::Kind;
use crate::two_phase::TwoPhase;
use crate::{
    Committed, Error, Isolation, Mode, Result, Transaction, TransactionManager, TransactionOptions,
    WaitPolicy,
};
use parking_lot::Mutex;
use serin_storage::{
    CommandId, Direction, Intent, KeyRange, Pending, Timestamp, Tree, TreeId, View, Writer, WriterId,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

const FORMAT: u8 = 1;
const PREFIX: u8 = b'p';
/// A row of the record is written when it has reached this size.
const ROW_BYTES: usize = 256 << 10;

/// A prepared transaction, for `pg_prepared_xacts`.
#[derive(Clone, Debug)]
pub struct PreparedInfo {
    pub gid: String,
    pub transaction: u64,
    /// What the layer above wanted to be kept.
    pub payload: Arc<[u8]>,
}

/// One that waits.
struct Waiting {
    transaction: Box<Transaction>,
    id: u64,
    payload: Arc<[u8]>,
    rows: u32,
}

enum Slot {
    /// Being prepared.
    Reserved,
    Waiting(Waiting),
    /// Being committed or rolled back.
    Ending(PreparedInfo),
}

/// All prepared transactions of a store.
#[derive(Default)]
pub(crate) struct Prepared {
    tree: OnceLock<Arc<Tree>>,
    max: AtomicUsize,
    slots: Mutex<BTreeMap<String, Slot>>,
}

/// What [`TransactionManager::open_prepared`] found.
#[derive(Default)]
pub struct Restored {
    pub transactions: usize,
    /// By tree: the greatest key of eight bytes that is waiting to be committed. Counters that give out such keys go on above it.
    pub counters: BTreeMap<TreeId, u64>,
}

// ---------------------------------------------------------------------------------------------------------
// The record

mod tag {
    pub const CREATE_TREE: u8 = 1;
    pub const DROP_TREE: u8 = 2;
    pub const MODIFY: u8 = 3;
    pub const REPLACE: u8 = 4;
    pub const DELETE: u8 = 5;
    pub const RELATION: u8 = 6;
    pub const KEY: u8 = 7;
    pub const ADVISORY: u8 = 8;
    pub const TOKEN: u8 = 9;
    pub const RANGE: u8 = 10;
    pub const READ_KEY: u8 = 11;
    pub const READ_RANGE: u8 = 12;
    pub const END: u8 = 13;
}

/// How the transaction takes part in the protocols.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A snapshot, or locks alone.
    Plain,
    /// A node of the SSI graph.
    Node,
}

struct Head {
    id: u64,
    mode: Mode,
    isolation: Isolation,
    read_only: bool,
    role: Role,
    /// It is in the register of writers.
    writes: bool,
    payload: Arc<[u8]>,
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_bound(out: &mut Vec<u8>, bound: &Bound<Vec<u8>>) {
    match bound {
        Bound::Unbounded => out.push(0),
        Bound::Included(key) => {
            out.push(1);
            put_bytes(out, key);
        }
        Bound::Excluded(key) => {
            out.push(2);
            put_bytes(out, key);
        }
    }
}

fn put_range(out: &mut Vec<u8>, tree: TreeId, range: &KeyRange) {
    put_number(out, tree.0);
    put_bound(out, &range.start);
    put_bound(out, &range.end);
}

/// Takes a record apart. Every answer is `None` where the bytes are not what was written.
struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
    fn number32(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
    fn tree(&mut self) -> Option<TreeId> {
        self.number().map(TreeId)
    }
    fn mode(&mut self) -> Option<LockMode> {
        LockMode::from_number(self.byte()?)
    }
    fn bound(&mut self) -> Option<Bound<Vec<u8>>> {
        Some(match self.byte()? {
            0 => Bound::Unbounded,
            1 => Bound::Included(self.bytes()?.to_vec()),
            2 => Bound::Excluded(self.bytes()?.to_vec()),
            _ => return None,
        })
    }
    fn range(&mut self) -> Option<KeyRange> {
        Some(KeyRange { start: self.bound()?, end: self.bound()? })
    }
    fn head(&mut self) -> Option<Head> {
        if self.byte()? != FORMAT {
            return None;
        }
        Some(Head {
            id: self.number()?,
            mode: match self.byte()? {
                0 => Mode::Ssi,
                1 => Mode::TwoPhase,
                2 => Mode::Serial,
                _ => return None,
            },
            isolation: match self.byte()? {
                0 => Isolation::ReadCommitted,
                1 => Isolation::RepeatableRead,
                2 => Isolation::Serializable,
                _ => return None,
            },
            read_only: self.byte()? != 0,
            role: if self.byte()? != 0 { Role::Node } else { Role::Plain },
            writes: self.byte()? != 0,
            payload: self.bytes()?.into(),
        })
    }
}

impl Head {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        put_number(out, self.id);
        out.push(match self.mode {
            Mode::Ssi => 0,
            Mode::TwoPhase => 1,
            Mode::Serial => 2,
        });
        out.push(match self.isolation {
            Isolation::ReadCommitted => 0,
            Isolation::RepeatableRead => 1,
            Isolation::Serializable => 2,
        });
        out.push(u8::from(self.read_only));
        out.push(u8::from(self.role == Role::Node));
        out.push(u8::from(self.writes));
        put_bytes(out, &self.payload);
    }
}

fn row_key(gid: &str, number: u32) -> Vec<u8> {
    let mut key = vec![PREFIX];
    key.extend_from_slice(gid.as_bytes());
    key.push(0);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Gid and number.
fn split_key(key: &[u8]) -> Option<(&str, u32)> {
    let (gid, number) = key.strip_prefix(&[PREFIX])?.split_at_checked(key.len().checked_sub(6)?)?;
    let number = number.strip_prefix(&[0])?.try_into().ok()?;
    Some((std::str::from_utf8(gid).ok()?, u32::from_be_bytes(number)))
}

fn damaged(gid: &str) -> Error {
    Error::PreparedDamaged(gid.to_owned())
}

/// Writes the rows of a record, in a transaction of its own.
struct RecordWriter<'a> {
    writer: Writer,
    tree: &'a Arc<Tree>,
    gid: &'a str,
    rows: u32,
    row: Vec<u8>,
}

impl RecordWriter<'_> {
    /// After each item.
    fn item_done(&mut self) -> serin_storage::Result<()> {
        if self.row.len() >= ROW_BYTES { self.end_row() } else { Ok(()) }
    }
    fn end_row(&mut self) -> serin_storage::Result<()> {
        let key = row_key(self.gid, self.rows);
        install(&mut self.writer, self.tree, &key, Some(&self.row))?;
        self.rows += 1;
        self.row.clear();
        Ok(())
    }
}

/// A write to the record: nobody else writes under this gid, which is reserved.
fn install(
    writer: &mut Writer,
    tree: &Arc<Tree>,
    key: &[u8],
    value: Option<&[u8]>,
) -> serin_storage::Result<()> {
    writer.admit()?;
    let installed = writer.install(tree, key, value, Intent::Replace, CommandId(u32::MAX - 1))?;
    assert!(installed.is_ok(), "a prepared transaction's record has one writer at a time");
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------
// PREPARE

impl Transaction {
    /// PREPARE TRANSACTION. From its durability on (see [`Committed`]) only [`TransactionManager::finish_prepared`] ends the
    /// transaction; on an error it is rolled back. `payload` is kept with it.
    pub fn prepare(mut self, gid: &str, payload: &[u8]) -> Result<Committed> {
        let manager = self.manager.clone();
        let tree = manager.prepared.tree.get().ok_or(Error::PreparedDisabled)?;
        self.refuse_mixed_advisory_locks()?;
        let reservation = Reservation::new(&manager.prepared, gid)?;
        self.before_commit()?;
        let id = self.writer_id().0;
        let payload: Arc<[u8]> = payload.into();
        let (rows, committed) = self.write_record(tree, gid, &payload)?;
        self.detach();
        let seen = committed.max(self.seen);
        let waiting = Waiting { transaction: Box::new(self), id, payload, rows };
        reservation.fill(waiting);
        Ok(Committed { durable_at: Some(seen) })
    }

    /// A session's lock would be left, and nobody could say whose it is.
    fn refuse_mixed_advisory_locks(&self) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let of_session = self.manager.session_owner(&self.options.session).held_locks();
        let mut own = owner.held_locks().into_iter();
        match own.any(|lock| of_session.iter().any(|other| other.object == lock.object)) {
            true => Err(Error::PreparedMixedLocks),
            false => Ok(()),
        }
    }

    fn write_record(&mut self, tree: &Arc<Tree>, gid: &str, payload: &Arc<[u8]>) -> Result<(u32, Timestamp)> {
        let participant = match &self.protocol {
            Protocol::Undecided | Protocol::Snapshot { .. } => None,
            Protocol::Ssi(participant) => Some(&**participant).filter(|participant| !participant.is_safe()),
            Protocol::TwoPhase(two_phase) => two_phase.participant.as_ref(),
            Protocol::Serial(participant) => participant.as_deref(),
        };
        let writer = self.writer.as_ref().expect("made by the caller");
        let head = Head {
            id: writer.state().id().0,
            mode: self.options.mode,
            isolation: self.options.isolation,
            read_only: self.options.read_only,
            role: if participant.is_some() { Role::Node } else { Role::Plain },
            writes: self.registered,
            payload: payload.clone(),
        };
        let manager = &self.manager;
        let writer_of_record = manager.store.writer();
        let mut record = RecordWriter { writer: writer_of_record, tree, gid, rows: 0, row: Vec::new() };
        head.encode(&mut record.row);
        writer.pending(&mut |pending| {
            let row = &mut record.row;
            match pending {
                Pending::CreateTree(tree) => {
                    row.push(tag::CREATE_TREE);
                    put_number(row, tree.0);
                }
                Pending::DropTree(tree) => {
                    row.push(tag::DROP_TREE);
                    put_number(row, tree.0);
                }
                Pending::Version { tree, key, value, intent } => {
                    row.push(match (value, intent) {
                        (None, _) => tag::DELETE,
                        (_, Intent::Modify) => tag::MODIFY,
                        (_, Intent::Replace) => tag::REPLACE,
                    });
                    put_number(row, tree.0);
                    put_bytes(row, key);
                    value.iter().for_each(|value| put_bytes(row, value));
                }
            }
            record.item_done()
        })?;
        for lock in self.owner.iter().flat_map(|owner| owner.held_locks()) {
            let row = &mut record.row;
            match &lock.object {
                LockObject::Relation(oid) => {
                    row.push(tag::RELATION);
                    put_number(row, u64::from(*oid));
                }
                LockObject::Key(tree, key) => {
                    row.push(tag::KEY);
                    put_number(row, tree.0);
                    put_bytes(row, key);
                }
                LockObject::Advisory(a, b, c) => {
                    row.push(tag::ADVISORY);
                    [u64::from(*a), u64::from(*b), u64::from(*c)]
                        .iter()
                        .for_each(|part| put_number(row, *part));
                }
                LockObject::SerialToken => row.push(tag::TOKEN),
                LockObject::Range(tree, id) => {
                    let (reader, range) =
                        (manager.locks.ranges.reader(*tree, *id), manager.locks.ranges.range(*tree, *id));
                    let (Some(reader), Some(range)) = (reader, range) else { continue };
                    row.push(tag::RANGE);
                    put_range(row, *tree, &range);
                    row.push(u8::from(reader.updates));
                }
            }
            row.push(lock.mode as u8);
            record.item_done()?;
        }
        if let (Some(participant), Protocol::Ssi(_)) = (participant, &self.protocol) {
            let ReadList { keys, ranges } = manager.ssi.reads_of(participant);
            for (tree, key) in keys {
                record.row.push(tag::READ_KEY);
                put_number(&mut record.row, tree.0);
                put_bytes(&mut record.row, &key);
                record.item_done()?;
            }
            for (tree, range) in ranges {
                record.row.push(tag::READ_RANGE);
                put_range(&mut record.row, tree, &range);
                record.item_done()?;
            }
        }
        record.row.push(tag::END);
        record.end_row()?;
        let rows = record.rows;
        let at = record.writer.commit()?;
        Ok((rows, at.expect("a record has a row at least")))
    }

    /// Rules 2 and 3.
    fn detach(&mut self) {
        let manager = self.manager.clone();
        let session = SessionHandle::new(0);
        self.options.session.set_running(None);
        if let Some(owner) = self.owner.take() {
            let heir = manager.locks.hand_over(&owner, session.clone());
            if let (true, Some(writer)) = (self.registered, self.own_id()) {
                manager.registry.replace(writer, heir.clone());
            }
            self.owner = Some(heir);
        }
        let participant = match &self.protocol {
            Protocol::Undecided | Protocol::Snapshot { .. } => None,
            Protocol::Ssi(participant) => Some(&**participant),
            Protocol::TwoPhase(two_phase) => two_phase.participant.as_ref(),
            Protocol::Serial(participant) => participant.as_deref(),
        };
        if let Some(participant) = participant {
            manager.ssi.park(participant, &session, &manager.store);
        }
        self.options.session = session;
        self.savepoints.clear();
        self.give_up_snapshots();
        self.prepared = true;
    }
}

/// A gid that is taken, until the transaction is prepared or has failed to be.
struct Reservation<'a> {
    prepared: &'a Prepared,
    gid: &'a str,
    filled: bool,
}

impl<'a> Reservation<'a> {
    fn new(prepared: &'a Prepared, gid: &'a str) -> Result<Reservation<'a>> {
        let mut slots = prepared.slots.lock();
        let max = prepared.max.load(Ordering::Relaxed);
        if max == 0 {
            return Err(Error::PreparedDisabled);
        }
        if slots.contains_key(gid) {
            return Err(Error::PreparedExists(gid.to_owned()));
        }
        if slots.len() >= max {
            return Err(Error::TooManyPrepared(max));
        }
        slots.insert(gid.to_owned(), Slot::Reserved);
        Ok(Reservation { prepared, gid, filled: false })
    }
    fn fill(mut self, waiting: Waiting) {
        self.filled = true;
        self.prepared.slots.lock().insert(self.gid.to_owned(), Slot::Waiting(waiting));
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.filled {
            self.prepared.slots.lock().remove(self.gid);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// COMMIT PREPARED, ROLLBACK PREPARED

/// A prepared transaction in the hands of the one who ends it. Dropped, it goes on waiting.
pub struct Finishing {
    manager: Arc<TransactionManager>,
    gid: String,
    waiting: Option<Waiting>,
}

impl Finishing {
    pub fn payload(&self) -> &[u8] {
        self.waiting.as_ref().map_or(&[], |waiting| &*waiting.payload)
    }

    /// On an error it is still prepared.
    pub fn commit(mut self, caller: &SessionHandle) -> Result<Committed> {
        let waiting = self.waiting.as_mut().expect("taken only at the end");
        let tree = self.manager.prepared.tree.get().ok_or(Error::PreparedDisabled)?;
        let writer = waiting.transaction.writer.as_mut().expect("made by `prepare`");
        let mark = writer.mark();
        let delete = |writer: &mut Writer| {
            (0..waiting.rows).try_for_each(|number| install(writer, tree, &row_key(&self.gid, number), None))
        };
        let deleted = delete(writer);
        let committed = deleted
            .map_err(Error::from)
            .and_then(|()| waiting.transaction.commit_in_place())
            .inspect_err(|_| {
                // Off the record again: it may be a rollback that deletes it next.
                waiting.transaction.writer.iter_mut().for_each(|writer| writer.rollback_to(mark));
            })?;
        committed.durable_at.iter().for_each(|at| caller.raise_must_see(*at));
        self.forget();
        Ok(committed)
    }

    /// On an error it is still prepared.
    pub fn rollback(mut self) -> Result<Committed> {
        let waiting = self.waiting.as_mut().expect("taken only at the end");
        let tree = self.manager.prepared.tree.get().ok_or(Error::PreparedDisabled)?;
        let mut writer = self.manager.store.writer();
        for number in 0..waiting.rows {
            install(&mut writer, tree, &row_key(&self.gid, number), None)?;
        }
        let durable_at = writer.commit()?;
        // Dropping it rolls back: after the record is gone, so that who builds on that comes later in the log.
        self.forget();
        Ok(Committed { durable_at })
    }

    fn forget(&mut self) {
        drop(self.waiting.take());
        self.manager.prepared.slots.lock().remove(&self.gid);
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.manager.prepared.slots.lock().insert(self.gid.clone(), Slot::Waiting(waiting));
        }
    }
}

impl TransactionManager {
    /// Takes a prepared transaction in hand. The caller looks at its payload, and commits it or rolls it back.
    pub fn finish_prepared(self: &Arc<Self>, gid: &str) -> Result<Finishing> {
        let mut slots = self.prepared.slots.lock();
        let info = match slots.get(gid) {
            None | Some(Slot::Reserved) => return Err(Error::NoSuchPrepared(gid.to_owned())),
            Some(Slot::Ending(_)) => return Err(Error::PreparedBusy(gid.to_owned())),
            Some(Slot::Waiting(waiting)) => waiting.info(gid),
        };
        let Some(Slot::Waiting(waiting)) = slots.insert(gid.to_owned(), Slot::Ending(info)) else {
            unreachable!("looked at above, under the same mutex");
        };
        Ok(Finishing { manager: self.clone(), gid: gid.to_owned(), waiting: Some(waiting) })
    }

    /// By gid.
    pub fn prepared(&self) -> Vec<PreparedInfo> {
        let slots = self.prepared.slots.lock();
        let info = |(gid, slot): (&String, &Slot)| match slot {
            Slot::Reserved => None,
            Slot::Waiting(waiting) => Some(waiting.info(gid)),
            Slot::Ending(info) => Some(info.clone()),
        };
        slots.iter().filter_map(info).collect()
    }

    /// At the end, after every session: prepared transactions keep this manager alive, and with it the store. What was prepared stays in
    /// the store, and waits there for the next start.
    pub fn leave_prepared(&self) {
        let left = std::mem::take(&mut *self.prepared.slots.lock());
        drop(left);
    }

    /// At start, before any other transaction: `tree` has the records, under keys that begin with `p`; what they tell is brought
    /// about again. At most `max` transactions may be prepared from here on, beside those found.
    pub fn open_prepared(self: &Arc<Self>, tree: Arc<Tree>, max: usize) -> Result<Restored> {
        let mut restored = Restored::default();
        let range = KeyRange { start: Bound::Included(vec![PREFIX]), end: Bound::Excluded(vec![PREFIX + 1]) };
        let snapshot = self.store.snapshot_of_state();
        let mut cursor = tree.cursor(range, Direction::Forward);
        let mut current: Option<Restoring> = None;
        loop {
            let mut row: Option<(Vec<u8>, Vec<u8>)> = None;
            let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
            cursor.next_batch(view, 1, &mut (), &mut |key, value| {
                row = Some((key.to_vec(), value.to_vec()));
                false
            })?;
            let Some((key, value)) = row else { break };
            let (gid, number) = split_key(&key).ok_or_else(|| damaged(&key.escape_ascii().to_string()))?;
            if number == 0 {
                if current.is_some() {
                    return Err(damaged(gid));
                }
                let mut decoder = Decoder(&value);
                let head = decoder.head().ok_or_else(|| damaged(gid))?;
                let restoring = current.insert(Restoring::new(self, gid, head)?);
                restoring.items(decoder, &mut restored)?;
            } else {
                let restoring = current.as_mut().filter(|restoring| restoring.gid == gid);
                let restoring = restoring.filter(|restoring| restoring.rows == number);
                restoring.ok_or_else(|| damaged(gid))?.items(Decoder(&value), &mut restored)?;
            }
            if let Some(done) = current.take_if(|restoring| restoring.complete) {
                let (gid, waiting) = done.finish()?;
                self.prepared.slots.lock().insert(gid, Slot::Waiting(waiting));
                restored.transactions += 1;
            }
        }
        if let Some(restoring) = current {
            return Err(damaged(&restoring.gid));
        }
        self.prepared.max.store(max, Ordering::Relaxed);
        let _ = self.prepared.tree.set(tree);
        Ok(restored)
    }
}

impl Waiting {
    fn info(&self, gid: &str) -> PreparedInfo {
        PreparedInfo { gid: gid.to_owned(), transaction: self.id, payload: self.payload.clone() }
    }
}

// ---------------------------------------------------------------------------------------------------------
// After a restart

/// A record that is being carried out again.
struct Restoring {
    gid: String,
    head: Head,
    transaction: Transaction,
    owner: Arc<Owner>,
    ranges: Vec<(TreeId, u64, KeyRange)>,
    read: ReadList,
    rows: u32,
    complete: bool,
}

impl Restoring {
    fn new(manager: &Arc<TransactionManager>, gid: &str, head: Head) -> Result<Restoring> {
        let session = SessionHandle::new(0);
        let mut transaction = manager.begin(TransactionOptions {
            mode: head.mode,
            isolation: head.isolation,
            read_only: head.read_only,
            deferrable: false,
            session,
        });
        transaction.restore_writer(manager.store.restored_writer(WriterId(head.id)));
        let owner = transaction.owner().clone();
        if head.mode == Mode::Serial && !head.read_only {
            manager.registry.serial_arrives();
            transaction.counted_serial = true;
        }
        if head.writes {
            manager.registry.insert(WriterId(head.id), owner.clone());
            transaction.registered = true;
        }
        Ok(Restoring {
            gid: gid.to_owned(),
            head,
            transaction,
            owner,
            ranges: Vec::new(),
            read: ReadList::default(),
            rows: 0,
            complete: false,
        })
    }

    /// Carries out the items of a row.
    fn items(&mut self, mut decoder: Decoder<'_>, restored: &mut Restored) -> Result<()> {
        self.rows += 1;
        while !decoder.0.is_empty() {
            let gid = self.gid.clone();
            self.item(&mut decoder, restored)?.ok_or_else(|| damaged(&gid))?;
        }
        Ok(())
    }

    fn item(&mut self, decoder: &mut Decoder<'_>, restored: &mut Restored) -> Result<Option<()>> {
        let Some(tag) = decoder.byte().filter(|_| !self.complete) else { return Ok(None) };
        match tag {
            tag::CREATE_TREE => {
                let Some(id) = decoder.tree() else { return Ok(None) };
                let store = self.transaction.manager.store.clone();
                let writer = self.transaction.writer.as_mut().expect("made in `new`");
                let Some(_) = store.restored_tree(writer, id) else { return Ok(None) };
                self.transaction.created.push(id);
            }
            tag::DROP_TREE => {
                let Some(id) = decoder.tree() else { return Ok(None) };
                self.transaction.writer.as_mut().expect("made in `new`").drop_tree(id);
            }
            tag::MODIFY | tag::REPLACE | tag::DELETE => {
                let (Some(id), Some(key)) = (decoder.tree(), decoder.bytes()) else { return Ok(None) };
                let value = if tag == tag::DELETE { None } else { decoder.bytes() };
                if value.is_none() && tag != tag::DELETE {
                    return Ok(None);
                }
                let Some(tree) = self.transaction.manager.store.tree(id) else { return Ok(None) };
                if let Ok(number) = <[u8; 8]>::try_from(key) {
                    let greatest = restored.counters.entry(id).or_default();
                    *greatest = (*greatest).max(u64::from_be_bytes(number));
                }
                let intent = if tag == tag::MODIFY { Intent::Modify } else { Intent::Replace };
                let writer = self.transaction.writer.as_mut().expect("made in `new`");
                writer.admit()?;
                if writer.install(&tree, key, value, intent, CommandId(0))?.is_err() {
                    return Ok(None);
                }
            }
            tag::RELATION => {
                let (Some(oid), Some(mode)) = (decoder.number32(), decoder.mode()) else { return Ok(None) };
                return self.lock(ObjectRef::Relation(oid), mode);
            }
            tag::KEY => {
                let (Some(tree), Some(key)) = (decoder.tree(), decoder.bytes()) else { return Ok(None) };
                let Some(mode) = decoder.mode() else { return Ok(None) };
                return self.lock(ObjectRef::Key(tree, key), mode);
            }
            tag::ADVISORY => {
                let (Some(a), Some(b)) = (decoder.number32(), decoder.number32()) else { return Ok(None) };
                let Some(c) = decoder.number32().and_then(|c| u16::try_from(c).ok()) else { return Ok(None) };
                let Some(mode) = decoder.mode() else { return Ok(None) };
                return self.lock(ObjectRef::Advisory(a, b, c), mode);
            }
            tag::TOKEN => {
                let Some(mode) = decoder.mode() else { return Ok(None) };
                return self.lock(ObjectRef::SerialToken, mode);
            }
            tag::RANGE => {
                let (Some(tree), Some(range)) = (decoder.tree(), decoder.range()) else { return Ok(None) };
                let (Some(updates), Some(mode)) = (decoder.byte(), decoder.mode()) else { return Ok(None) };
                let manager = self.transaction.manager.clone();
                let id = manager.locks.ranges.next_id();
                let locked = self.lock(ObjectRef::Range(tree, id), mode)?;
                let reader = RangeReader { owner: self.owner.clone(), updates: updates != 0, loads: false };
                manager.locks.ranges.insert(tree, id, range.clone(), reader);
                self.ranges.push((tree, id, range));
                return Ok(locked);
            }
            tag::READ_KEY => {
                let (Some(tree), Some(key)) = (decoder.tree(), decoder.bytes()) else { return Ok(None) };
                self.read.keys.push((tree, key.into()));
            }
            tag::READ_RANGE => {
                let (Some(tree), Some(range)) = (decoder.tree(), decoder.range()) else { return Ok(None) };
                self.read.ranges.push((tree, range));
            }
            tag::END => self.complete = true,
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    /// All that was held together before can be held together again.
    fn lock(&self, object: ObjectRef<'_>, mode: LockMode) -> Result<Option<()>> {
        let locks = &self.transaction.manager.locks;
        let acquired = locks.acquire(&self.owner, object, mode, WaitPolicy::NoWait)?;
        Ok((acquired != Acquired::Refused).then_some(()))
    }

    fn finish(self) -> Result<(String, Waiting)> {
        let Restoring { gid, head, mut transaction, ranges, read, rows, .. } = self;
        let manager = transaction.manager.clone();
        let session = transaction.options.session.clone();
        let writer = head.writes.then_some(WriterId(head.id));
        let join = |kind| {
            let node = head.role == Role::Node;
            node.then(|| manager.ssi.restore(&manager.store, kind, &session, writer, head.read_only, &read))
        };
        transaction.protocol = match head.mode {
            Mode::Ssi => match join(Kind::Ssi) {
                Some(participant) => Protocol::Ssi(Box::new(participant)),
                None => Protocol::Snapshot { per_statement: head.isolation == Isolation::ReadCommitted },
            },
            Mode::TwoPhase => {
                Protocol::TwoPhase(Box::new(TwoPhase::restored(head.isolation, join(Kind::TwoPhase), ranges)))
            }
            // READ ONLY transactions run beside the token on a snapshot, or in the graph.
            Mode::Serial if head.read_only => match join(Kind::Ssi) {
                Some(participant) => Protocol::Ssi(Box::new(participant)),
                None => Protocol::Snapshot { per_statement: false },
            },
            Mode::Serial => Protocol::Serial(join(Kind::Serial).map(Box::new)),
        };
        transaction.prepared = true;
        let (id, payload) = (head.id, head.payload);
        Ok((gid, Waiting { transaction: Box::new(transaction), id, payload, rows }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_records_are_told_apart() {
        for gid in ["", "a", "p\u{1}x", "ä"] {
            for number in [0, 1, u32::MAX] {
                assert_eq!(split_key(&row_key(gid, number)), Some((gid, number)));
            }
        }
        assert_eq!(split_key(b"p"), None);
        assert_eq!(split_key(b"o\0\0\0\0\0"), None);
    }

    #[test]
    fn a_cut_record_is_refused() {
        let head = Head {
            id: 300,
            mode: Mode::TwoPhase,
            isolation: Isolation::Serializable,
            read_only: false,
            role: Role::Node,
            writes: true,
            payload: Arc::from(&b"payload"[..]),
        };
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        assert!(Decoder(&bytes).head().is_some_and(|read| read.id == 300 && *read.payload == *b"payload"));
        for length in 0..bytes.len() {
            assert!(Decoder(&bytes[..length]).head().is_none(), "{length} bytes are no head");
        }
    }
}
