//! From a version's writer to the transaction behind it, while that transaction is active. Also the fast side of the
//! serial gate: see `serial.rs`.

use crate::lock_table::Owner;
use crate::sync::{AtomicUsize, Mutex};
use hashbrown::HashMap;
use serin_storage::WriterId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SHARDS: usize = 16;

pub(crate) struct Registry {
    shards: [Mutex<HashMap<WriterId, Arc<Owner>>>; SHARDS],
    /// Serial transactions that hold or await the token.
    serial_count: AtomicUsize,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry { shards: std::array::from_fn(|_| Mutex::default()), serial_count: AtomicUsize::new(0) }
    }
}

impl Registry {
    fn shard(&self, writer: WriterId) -> &Mutex<HashMap<WriterId, Arc<Owner>>> {
        &self.shards[writer.0 as usize % SHARDS]
    }

    /// Enters a writer. True: it passed the serial gate on the way, since nobody wants the token; decided under the
    /// shard's mutex, so that a serial transaction that arrives later finds the mark ([`Registry::serial_arrives`]).
    pub(crate) fn insert(&self, writer: WriterId, owner: Arc<Owner>) -> bool {
        let mut shard = self.shard(writer).lock();
        let fast = self.serial_count.load(Ordering::SeqCst) == 0;
        owner.gate_fast.store(fast, Ordering::Relaxed);
        shard.insert(writer, owner);
        fast
    }

    /// The transaction goes on under another owner. It stays as it passed the gate.
    pub(crate) fn replace(&self, writer: WriterId, owner: Arc<Owner>) {
        let mut shard = self.shard(writer).lock();
        if let Some(before) = shard.get(&writer) {
            owner.gate_fast.store(before.gate_fast.load(Ordering::Relaxed), Ordering::Relaxed);
            shard.insert(writer, owner);
        }
    }

    pub(crate) fn remove(&self, writer: WriterId) {
        self.shard(writer).lock().remove(&writer);
    }

    pub(crate) fn owner(&self, writer: WriterId) -> Option<Arc<Owner>> {
        self.shard(writer).lock().get(&writer).cloned()
    }

    /// Closes the fast gate and returns everyone who passed it and is still active.
    pub(crate) fn serial_arrives(&self) -> Vec<Arc<Owner>> {
        self.serial_count.fetch_add(1, Ordering::SeqCst);
        let mut passed = Vec::new();
        for shard in &self.shards {
            passed.extend(shard.lock().values().filter(|o| o.gate_fast.load(Ordering::Relaxed)).cloned());
        }
        passed
    }

    pub(crate) fn serial_leaves(&self) {
        self.serial_count.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn for_each(&self, mut visit: impl FnMut(WriterId, &Arc<Owner>)) {
        for shard in &self.shards {
            shard.lock().iter().for_each(|(writer, owner)| visit(*writer, owner));
        }
    }
}
