//! Large objects as a tree has them: strings of bytes, written and read in parts, with an owner and privileges of their own.
//!
//! One tree for the whole store, made when it is first opened by a program that knows of large objects; its id is in the catalog tree.
//!
//! | key | value |
//! |---|---|
//! | database, OID (4 bytes each, big-endian), 0 | owner, privileges and comment as JSON: while it is there the object is |
//! | database, OID, 1, page number (4 bytes) | up to [`PAGE_BYTES`] bytes of it |
//!
//! Pages need not be full or there at all: what is missing reads as zeros, up to the end of the last page (PostgreSQL's pg_largeobject has
//! the same pages). An object is only data, so transactions, savepoints, backups and recovery need not know of it.
//!
//! Rules:
//! 1. Who writes an object holds a lock on it until the transaction ends ([`lock`]), taken before the view it works with: in READ COMMITTED
//!    writers see each other's bytes, in the other levels the second one fails with 40001 (the pages are locked as rows too).
//! 2. A writer locks the first entry FOR KEY SHARE, who drops the object deletes it: no page is left of an object that is gone.
//!
//! Deviation: a reader sees the state of its statement, not that of lo_open().

use crate::catalog::Acl;
use crate::error::{Error, Result, SqlState};
use crate::exec::check_bytes;
use crate::types::Oid;
use serde::{Deserialize, Serialize};
use serin_storage::{Direction, KeyRange, Tree};
use serin_txn::{AdvisoryScope, Inserted, RowLock, RowLockMode, Transaction, WaitPolicy};
use std::cell::Cell;
use std::ops::Bound;
use std::sync::Arc;

/// PostgreSQL's LOBLKSIZE: what pg_largeobject shows.
pub const PAGE_BYTES: u64 = 2048;
pub const SIZE_MAX: u64 = i32::MAX as u64 * PAGE_BYTES;
/// Of what is read at once, PostgreSQL's largest allocation.
const READ_MAX: u64 = 0x3fff_ffff - 4;
/// Of advisory locks' keys: not one that pg_advisory_lock() can make.
const LOCK_KIND: u16 = 3;
const SCAN_BATCH: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metadata {
    pub owner: Oid,
    #[serde(default)]
    pub acl: Option<Acl>,
    #[serde(default)]
    pub comment: Option<String>,
}

pub fn missing(object: Oid) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("large object {object} does not exist"))
}

fn changed() -> Error {
    let message = "could not serialize access due to concurrent update";
    Error::new(SqlState::SERIALIZATION_FAILURE, message)
}

/// The large objects of a database.
#[derive(Clone)]
pub struct LargeObjects {
    pub tree: Arc<Tree>,
    pub database: Oid,
}

impl LargeObjects {
    fn head(&self, object: Oid) -> Vec<u8> {
        let mut key = self.database.to_be_bytes().to_vec();
        key.extend(object.to_be_bytes());
        key.push(0);
        key
    }

    fn page(&self, object: Oid, page: u32) -> Vec<u8> {
        let mut key = self.head(object);
        key[8] = 1;
        key.extend(page.to_be_bytes());
        key
    }

    fn pages(&self, object: Oid, first: u32, last: u32) -> KeyRange {
        KeyRange {
            start: Bound::Included(self.page(object, first)),
            end: Bound::Included(self.page(object, last)),
        }
    }

    /// Before writing: nobody else writes the object until this transaction ends.
    pub fn lock(&self, transaction: &mut Transaction, object: Oid) -> Result<()> {
        let key = (self.database, object, LOCK_KIND);
        transaction.lock_advisory(key, false, AdvisoryScope::Transaction, WaitPolicy::Block)?;
        Ok(())
    }

    fn put(&self, transaction: &mut Transaction, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if transaction.get(&self.tree, key)?.is_none() {
            let Some(value) = value else { return Ok(()) };
            return match transaction.insert(&self.tree, key, value)? {
                Inserted::Done => Ok(()),
                Inserted::Duplicate { .. } => Err(changed()),
            };
        }
        let mode = if value.is_some() { RowLockMode::NoKeyUpdate } else { RowLockMode::Update };
        if let RowLock::Changed(None) = transaction.lock_row(&self.tree, key, mode, WaitPolicy::Block)? {
            return Err(changed());
        }
        match value {
            Some(value) => transaction.update(&self.tree, key, value)?,
            None => transaction.delete(&self.tree, key)?,
        }
        Ok(())
    }

    pub fn find(&self, transaction: &mut Transaction, object: Oid) -> Result<Option<Metadata>> {
        let found = transaction.get(&self.tree, &self.head(object))?;
        found.map(|value| decode(object, &value)).transpose()
    }

    /// False: there is one already.
    pub fn create(&self, transaction: &mut Transaction, object: Oid, metadata: &Metadata) -> Result<bool> {
        let inserted = transaction.insert(&self.tree, &self.head(object), &encode(metadata)?)?;
        Ok(matches!(inserted, Inserted::Done))
    }

    pub fn put_metadata(
        &self,
        transaction: &mut Transaction,
        object: Oid,
        metadata: &Metadata,
    ) -> Result<()> {
        self.put(transaction, &self.head(object), Some(&encode(metadata)?))
    }

    /// Rule 2.
    fn hold(&self, transaction: &mut Transaction, object: Oid) -> Result<()> {
        let head = self.head(object);
        if transaction.get(&self.tree, &head)?.is_none() {
            return Err(missing(object));
        }
        match transaction.lock_row(&self.tree, &head, RowLockMode::KeyShare, WaitPolicy::Block)? {
            RowLock::Changed(None) => Err(missing(object)),
            _ => Ok(()),
        }
    }

    pub fn remove(&self, transaction: &mut Transaction, object: Oid) -> Result<()> {
        self.put(transaction, &self.head(object), None)?;
        for page in self.page_numbers(transaction, object, 0)? {
            self.put(transaction, &self.page(object, page), None)?;
        }
        Ok(())
    }

    fn visit_pages(
        &self,
        transaction: &mut Transaction,
        range: KeyRange,
        direction: Direction,
        mut visit: impl FnMut(u32, &[u8]) -> bool,
    ) -> Result<()> {
        let mut scan = transaction.scan(&self.tree, range, direction)?;
        let go_on = Cell::new(true);
        let mut each = |key: &[u8], value: &serin_storage::Value| {
            let number = key.get(9..13).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
            go_on.set(visit(number, value));
            go_on.get()
        };
        while scan.next_batch(transaction, SCAN_BATCH, &mut each)? && go_on.get() {}
        Ok(())
    }

    fn page_numbers(&self, transaction: &mut Transaction, object: Oid, first: u32) -> Result<Vec<u32>> {
        let mut numbers = Vec::new();
        let range = self.pages(object, first, u32::MAX);
        self.visit_pages(transaction, range, Direction::Forward, |number, _| {
            numbers.push(number);
            true
        })?;
        Ok(numbers)
    }

    pub fn size(&self, transaction: &mut Transaction, object: Oid) -> Result<u64> {
        let mut size = 0;
        let range = self.pages(object, 0, u32::MAX);
        self.visit_pages(transaction, range, Direction::Backward, |number, bytes| {
            size = u64::from(number) * PAGE_BYTES + bytes.len() as u64;
            false
        })?;
        Ok(size)
    }

    /// Up to `length` bytes from `at` on.
    pub fn read(&self, transaction: &mut Transaction, object: Oid, at: u64, length: u64) -> Result<Vec<u8>> {
        let end = self.size(transaction, object)?.min(at.saturating_add(length));
        let Some(count) = end.checked_sub(at).filter(|count| *count > 0) else { return Ok(Vec::new()) };
        if count > READ_MAX {
            let message = "large object read request is too large";
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let mut bytes = vec![0; count as usize];
        let range = self.pages(object, page_of(at), page_of(end - 1));
        self.visit_pages(transaction, range, Direction::Forward, |number, page| {
            let start = u64::from(number) * PAGE_BYTES;
            // What of the page lies between `at` and `end`.
            let (from, to) = (start.max(at), (start + page.len() as u64).min(end));
            if from < to {
                let part = &page[(from - start) as usize..(to - start) as usize];
                bytes[(from - at) as usize..(to - at) as usize].copy_from_slice(part);
            }
            true
        })?;
        Ok(bytes)
    }

    fn page_bytes(&self, transaction: &mut Transaction, object: Oid, page: u32) -> Result<Vec<u8>> {
        let found = transaction.get(&self.tree, &self.page(object, page))?;
        Ok(found.map_or_else(Vec::new, |value| value.to_vec()))
    }

    pub fn write(&self, transaction: &mut Transaction, object: Oid, at: u64, data: &[u8]) -> Result<()> {
        self.hold(transaction, object)?;
        let (mut at, mut data) = (at, data);
        while !data.is_empty() {
            let (page, offset) = (page_of(at), (at % PAGE_BYTES) as usize);
            let (part, rest) = data.split_at(data.len().min(PAGE_BYTES as usize - offset));
            let mut bytes = match part.len() == PAGE_BYTES as usize {
                true => Vec::new(),
                false => self.page_bytes(transaction, object, page)?,
            };
            bytes.resize(bytes.len().max(offset + part.len()), 0);
            bytes[offset..offset + part.len()].copy_from_slice(part);
            self.put(transaction, &self.page(object, page), Some(&bytes))?;
            at += part.len() as u64;
            data = rest;
        }
        Ok(())
    }

    /// Cuts the object, or makes it longer with zeros.
    pub fn truncate(&self, transaction: &mut Transaction, object: Oid, length: u64) -> Result<()> {
        self.hold(transaction, object)?;
        let (page, offset) = (page_of(length), (length % PAGE_BYTES) as usize);
        let mut bytes = self.page_bytes(transaction, object, page)?;
        bytes.resize(offset, 0);
        for later in self.page_numbers(transaction, object, page.saturating_add(1))? {
            self.put(transaction, &self.page(object, later), None)?;
        }
        self.put(transaction, &self.page(object, page), Some(&bytes))
    }

    /// Everything of the database, in order: objects, and with `pages` their pages too.
    fn visit_all(
        &self,
        transaction: &mut Transaction,
        mut visit: impl FnMut(Oid, Option<u32>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let start = self.database.to_be_bytes().to_vec();
        let end = match self.database.checked_add(1) {
            Some(next) => Bound::Excluded(next.to_be_bytes().to_vec()),
            None => Bound::Unbounded,
        };
        let range = KeyRange { start: Bound::Included(start), end };
        let mut scan = transaction.scan(&self.tree, range, Direction::Forward)?;
        let mut failure = None;
        let mut each = |key: &[u8], value: &serin_storage::Value| {
            let number = |at: usize| {
                key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
            };
            let page = if key.get(8) == Some(&1) { number(9) } else { None };
            if let Err(error) = visit(number(4).unwrap_or(0), page, value) {
                failure = Some(error);
            }
            failure.is_none()
        };
        while scan.next_batch(transaction, SCAN_BATCH, &mut each)? {}
        failure.map_or(Ok(()), Err)
    }

    pub fn all(&self, transaction: &mut Transaction) -> Result<Vec<(Oid, Metadata)>> {
        let mut found = Vec::new();
        self.visit_all(transaction, |object, page, value| {
            if page.is_none() {
                found.push((object, decode(object, value)?));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// pg_largeobject: object, page number, bytes; 53200 if they are more than a statement may hold.
    pub fn all_pages(
        &self,
        transaction: &mut Transaction,
        work_mem_bytes: usize,
    ) -> Result<Vec<(Oid, u32, Vec<u8>)>> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        self.visit_all(transaction, |object, page, value| {
            found.extend(page.map(|page| (object, page, value.to_vec())));
            bytes += value.len();
            check_bytes(bytes, work_mem_bytes, "large objects' pages")
        })?;
        Ok(found)
    }
}

fn page_of(at: u64) -> u32 {
    (at / PAGE_BYTES) as u32
}

fn encode(metadata: &Metadata) -> Result<Vec<u8>> {
    serde_json::to_vec(metadata).map_err(|error| Error::internal(error.to_string()))
}

fn decode(object: Oid, value: &[u8]) -> Result<Metadata> {
    serde_json::from_slice(value).map_err(|error| {
        let message = format!("the entry of large object {object} is damaged: {error}");
        Error::new(SqlState::DATA_CORRUPTED, message)
    })
}
