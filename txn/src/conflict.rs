//! The story of an abort, kept as structure: `sql` fills in names and builds the text.

use crate::sync::Mutex;
use serin_storage::{KeyRange, TreeId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

/// The story of an abort: who, on what, doing what. Names are filled in by `sql`, which knows the relations.
#[derive(Clone, Debug, Default)]
pub struct Conflict {
    pub kind: ConflictKind,
    pub steps: Vec<ConflictStep>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ConflictKind {
    /// Read/write dependencies that could not be put in an order.
    #[default]
    Dependencies,
    /// First updater wins.
    ConcurrentUpdate,
    Deadlock,
}

/// An abort that happened.
#[derive(Clone, Debug)]
pub struct PastConflict {
    /// Counted from 1 since the start.
    pub id: u64,
    pub at: SystemTime,
    pub conflict: Conflict,
}

/// What a step's transaction did.
pub(crate) mod action {
    pub(crate) const READ: &str = "read";
    pub(crate) const WROTE: &str = "wrote";
    pub(crate) const TRIED_TO_WRITE: &str = "tried to write over";
}

#[derive(Clone, Debug)]
pub struct ConflictStep {
    pub pid: i32,
    /// The transaction's identity as users see it (`txid`).
    pub transaction: u64,
    /// What it did: "read", "wrote", "waits for ShareLock on", …
    pub action: &'static str,
    pub tree: Option<TreeId>,
    pub relation: Option<u32>,
    pub key: Option<Vec<u8>>,
    pub object: ConflictObject,
    /// The transaction it did it to, or waits for.
    pub other: Option<u64>,
    pub other_pid: Option<i32>,
    pub statement: Option<Arc<str>>,
}

/// What a step is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ConflictObject {
    /// The relation, the tree or the key in the tree that the step names.
    #[default]
    Named,
    /// A range of keys of the tree, which a 2PL transaction has read or wants to read.
    Range(KeyRange),
    Advisory(u32, u32, u16),
    SerialToken,
}

const RECENT_CONFLICTS_MAX: usize = 256;

/// The most recent aborts, oldest dropped first.
#[derive(Default)]
pub(crate) struct ConflictLog(Mutex<(u64, VecDeque<PastConflict>)>);

impl ConflictLog {
    pub(crate) fn push(&self, conflict: Conflict) {
        let (last, recent) = &mut *self.0.lock();
        if recent.len() == RECENT_CONFLICTS_MAX {
            recent.pop_front();
        }
        *last += 1;
        recent.push_back(PastConflict { id: *last, at: SystemTime::now(), conflict });
    }
    pub(crate) fn recent(&self) -> Vec<PastConflict> {
        self.0.lock().1.iter().cloned().collect()
    }
}
