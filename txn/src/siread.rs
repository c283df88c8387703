//! SIREADs: who read which key or range, so that a later writer finds its readers. They block nobody.
//!
//! Exact keys live in sharded hash tables, ranges in [`KeyRanges`]. A reader registers, then reads; a writer installs,
//! then looks here. A transaction's SIREADs stay after its commit until every transaction concurrent with it has ended
//! (`ssi.rs` decides when).
//!
//! Memory: [`KEYS_MAX`] keys of one transaction are promoted to one range per tree, from its least to its greatest key
//! read. Coarser, never less: a range covers all that the keys did.

use crate::key_ranges::KeyRanges;
use crate::ssi::NodeId;
use crate::sync::{HashBuilder, Mutex};
use hashbrown::HashTable;
use serin_storage::{KeyRange, TreeId};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;

const SHARDS: usize = 64;
/// Exact keys that one transaction may register before they are promoted to ranges.
const KEYS_MAX: usize = if cfg!(feature = "shuttle") { 5 } else { 8192 };

struct KeyReaders {
    hash: u64,
    tree: TreeId,
    key: Arc<[u8]>,
    readers: SmallVec<[NodeId; 2]>,
}

pub(crate) struct Sireads {
    shards: Box<[Mutex<HashTable<KeyReaders>>]>,
    hasher: HashBuilder,
    ranges: KeyRanges<NodeId>,
}

/// What one transaction has registered, to be removed with it.
#[derive(Default)]
pub(crate) struct ReadSet {
    keys: Vec<(u64, TreeId, Arc<[u8]>)>,
    ranges: Vec<(TreeId, u64)>,
}

/// How much is in a [`ReadSet`], which grows at its ends until its keys are promoted.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReadSetSize {
    pub(crate) keys: usize,
    pub(crate) ranges: usize,
}

impl ReadSet {
    pub(crate) fn size(&self) -> ReadSetSize {
        ReadSetSize { keys: self.keys.len(), ranges: self.ranges.len() }
    }
    /// Whether nothing was added since it had this size but the key, if that.
    pub(crate) fn grew_only_by(&self, size: ReadSetSize, tree: TreeId, key: &[u8]) -> bool {
        if self.ranges.len() != size.ranges || self.keys.len() < size.keys {
            return false;
        }
        match &self.keys[size.keys..] {
            [] => true,
            [(_, of, only)] => *of == tree && **only == *key,
            _ => false,
        }
    }
}

/// Keys and ranges by tree: what a transaction has read, as it can be written down.
#[derive(Default)]
pub(crate) struct ReadList {
    pub(crate) keys: Vec<(TreeId, Arc<[u8]>)>,
    pub(crate) ranges: Vec<(TreeId, KeyRange)>,
}

impl Default for Sireads {
    fn default() -> Sireads {
        Sireads {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: HashBuilder::default(),
            ranges: KeyRanges::default(),
        }
    }
}

impl Sireads {
    fn shard(&self, hash: u64) -> &Mutex<HashTable<KeyReaders>> {
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    /// False: it was registered before.
    pub(crate) fn add_key(&self, node: NodeId, set: &mut ReadSet, tree: TreeId, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one((tree, key));
        {
            let mut shard = self.shard(hash).lock();
            let same = |entry: &KeyReaders| entry.tree == tree && *entry.key == *key;
            let mut entry = shard.entry(hash, same, |entry| entry.hash).or_insert_with(|| KeyReaders {
                hash,
                tree,
                key: key.into(),
                readers: SmallVec::new(),
            });
            let entry = entry.get_mut();
            if entry.readers.contains(&node) {
                return false;
            }
            entry.readers.push(node);
            set.keys.push((hash, tree, entry.key.clone()));
        }
        if set.keys.len() >= KEYS_MAX {
            self.promote(node, set);
        }
        true
    }

    pub(crate) fn add_range(&self, node: NodeId, set: &mut ReadSet, tree: TreeId, range: KeyRange) {
        let id = self.ranges.next_id();
        self.ranges.insert(tree, id, range, node);
        set.ranges.push((tree, id));
    }

    /// Registers the ranges first and removes the keys then: at no moment is anything uncovered.
    fn promote(&self, node: NodeId, set: &mut ReadSet) {
        let keys = std::mem::take(&mut set.keys);
        let mut bounds: BTreeMap<TreeId, (&[u8], &[u8])> = BTreeMap::new();
        for (_, tree, key) in &keys {
            let (least, greatest) = bounds.entry(*tree).or_insert((key, key));
            *least = (*least).min(key);
            *greatest = (*greatest).max(key);
        }
        for (tree, (least, greatest)) in bounds {
            let range =
                KeyRange { start: Bound::Included(least.to_vec()), end: Bound::Included(greatest.to_vec()) };
            self.add_range(node, set, tree, range);
        }
        self.remove_keys(node, &keys);
    }

    fn remove_keys(&self, node: NodeId, keys: &[(u64, TreeId, Arc<[u8]>)]) {
        for (hash, tree, key) in keys {
            let mut shard = self.shard(*hash).lock();
            let same = |entry: &KeyReaders| entry.tree == *tree && entry.key == *key;
            if let Ok(mut entry) = shard.find_entry(*hash, same) {
                entry.get_mut().readers.retain(|reader| *reader != node);
                if entry.get().readers.is_empty() {
                    entry.remove();
                }
            }
        }
    }

    /// What a set covers.
    pub(crate) fn list(&self, set: &ReadSet) -> ReadList {
        self.list_up_to(set, set.size())
    }
    /// What it covered when it had this size.
    pub(crate) fn list_up_to(&self, set: &ReadSet, size: ReadSetSize) -> ReadList {
        let keys = set.keys[..size.keys].iter().map(|(_, tree, key)| (*tree, key.clone())).collect();
        let range = |(tree, id): &(TreeId, u64)| Some((*tree, self.ranges.range(*tree, *id)?));
        ReadList { keys, ranges: set.ranges[..size.ranges].iter().filter_map(range).collect() }
    }

    pub(crate) fn remove(&self, node: NodeId, set: ReadSet) {
        self.remove_keys(node, &set.keys);
        for (tree, id) in set.ranges {
            self.ranges.remove(tree, id);
        }
    }

    /// Everyone but `writer` who has read `key`, directly or within a range.
    pub(crate) fn readers(&self, writer: NodeId, tree: TreeId, key: &[u8]) -> SmallVec<[NodeId; 4]> {
        let mut readers = SmallVec::new();
        let hash = self.hasher.hash_one((tree, key));
        let same = |entry: &KeyReaders| entry.tree == tree && *entry.key == *key;
        if let Some(entry) = self.shard(hash).lock().find(hash, same) {
            readers.extend(entry.readers.iter().copied());
        }
        if !self.ranges.is_empty() {
            self.ranges.containing(tree, key, |_, reader| {
                readers.push(*reader);
                true
            });
        }
        readers.retain(|reader| *reader != writer);
        readers
    }

    pub(crate) fn for_each(&self, mut visit: impl FnMut(TreeId, Option<&[u8]>, NodeId)) {
        for shard in &self.shards {
            for entry in shard.lock().iter() {
                entry.readers.iter().for_each(|reader| visit(entry.tree, Some(&entry.key), *reader));
            }
        }
        self.ranges.for_each(|tree, _, reader| visit(tree, None, *reader));
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn promotion_keeps_every_key_covered() {
        let sireads = Sireads::default();
        let (reader, writer) = (NodeId(1), NodeId(2));
        let mut set = ReadSet::default();
        for i in 0..KEYS_MAX as u32 + 10 {
            sireads.add_key(reader, &mut set, TreeId(i as u64 % 2), &i.to_be_bytes());
        }
        assert_eq!(set.ranges.len(), 2, "one range per tree");
        for i in 0..KEYS_MAX as u32 + 10 {
            let readers = sireads.readers(writer, TreeId(i as u64 % 2), &i.to_be_bytes());
            assert!(readers.contains(&reader), "key {i} lost its reader");
        }
        sireads.remove(reader, set);
        sireads.for_each(|tree, key, _| panic!("left over: {tree} {key:?}"));
    }
}
