//! Replay: logged transactions back into the delta, after a crash and when a backup is rolled forward.
//!
//! Each row change is one search in an ordered map. In the log's order those are random reads all over memory, and they are what
//! a restart waits for. So changes are gathered: of several to one key only the last counts, since nobody has a
//! snapshot yet, and a batch that is applied in key order finds most of each search's way in the processor's cache.
//! Whatever changes what trees there are, or what lies below the delta, first has the changes before it applied.

use crate::bulk::BulkLoad;
use crate::delta::Version;
use crate::layer::Layer;
use crate::store::Shared;
use crate::wal::{Operation, RecordHeader, decode_operation};
use crate::{CommandId, Intent, Timestamp, Tree, TreeId, WriterState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A batch: more changes make for shorter searches, but for more memory beside the delta.
const BATCH_CHANGES: usize = 1 << 18;
const BATCH_BYTES: usize = 32 << 20;

pub(crate) struct Replayer<'s> {
    shared: &'s Arc<Shared>,
    /// Keys and values of the batch, one after another.
    bytes: Vec<u8>,
    changes: Vec<Change>,
    trees: Vec<Arc<Tree>>,
    writers: Vec<(Arc<WriterState>, Timestamp)>,
}

struct Change {
    /// The tree and the key's first bytes decide most comparisons.
    tree: u32,
    prefix: u64,
    key_start: usize,
    key_bytes: u32,
    /// `None`: a deletion.
    value_bytes: Option<u32>,
    writer: u32,
}

impl Change {
    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.key_start..][..self.key_bytes as usize]
    }

    fn value<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let start = self.key_start + self.key_bytes as usize;
        self.value_bytes.map(|length| &bytes[start..][..length as usize])
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

impl<'s> Replayer<'s> {
    pub fn new(shared: &'s Arc<Shared>) -> Replayer<'s> {
        let (bytes, changes, trees, writers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Replayer { shared, bytes, changes, trees, writers }
    }

    /// A tree that was dropped before the fold may still be named by a record after it: `Some(None)`. `None`: there was never such a tree.
    fn find(&self, id: TreeId) -> Option<Option<Arc<Tree>>> {
        match self.shared.trees.read().get(&id).cloned() {
            Some(tree) => Some(Some(tree)),
            None => (id.0 < self.shared.next_tree.load(Ordering::Relaxed)).then_some(None),
        }
    }

    /// Takes one logged transaction. `None`: the record makes no sense.
    pub fn apply(&mut self, header: &RecordHeader, mut body: &[u8], loads: &mut dyn Loads) -> Option<()> {
        let shared = self.shared;
        let writer = Arc::new(WriterState::committed(header.writer, header.timestamp));
        self.writers.push((writer.clone(), header.timestamp));
        shared.next_writer.fetch_max(header.writer.0 + 1, Ordering::Relaxed);
        while !body.is_empty() {
            let operation = decode_operation(&mut body)?;
            match operation {
                Operation::Put { tree, key, value } => self.change(tree, key, Some(value))?,
                Operation::Delete { tree, key } => self.change(tree, key, None)?,
                Operation::Time(_) => {}
                _ => self.apply_changes(),
            }
            if self.changes.len() >= BATCH_CHANGES || self.bytes.len() >= BATCH_BYTES {
                self.apply_changes();
            }
            if self.writers.is_empty() {
                // More changes of this transaction may follow.
                self.writers.push((writer.clone(), header.timestamp));
            }
            match operation {
                Operation::CreateTree(id) => {
                    shared.next_tree.fetch_max(id.0 + 1, Ordering::Relaxed);
                    shared.create_tree(id, header.timestamp.0);
                }
                Operation::DropTree(id) => shared.mark_dropped(id, header.timestamp),
                Operation::BulkInstall { tree: id, root, extents } => {
                    let Some(tree) = self.find(id)? else { continue };
                    let load = loads.place(shared, &tree, BulkLoad { root, extents })?;
                    tree.set_initial_base(Some(load.root));
                    shared.bulk_loads.lock().insert(id, load);
                }
                Operation::Layer { tree, root, extents, discarded } => {
                    let Some(tree) = self.find(tree)? else { continue };
                    let load = loads.place(shared, &tree, BulkLoad { root, extents })?;
                    let layer = Layer::recovered(shared, &writer, load, discarded);
                    tree.change_layers(|list| list.push(Arc::new(layer)));
                    tree.last_commit.store(header.timestamp.0, Ordering::Release);
                }
                Operation::Put { .. } | Operation::Delete { .. } | Operation::Time(_) => {}
            }
        }
        Some(())
    }

    fn change(&mut self, tree: TreeId, key: &[u8], value: Option<&[u8]>) -> Option<()> {
        // From the end: the trees of a transaction are mostly those of the one before.
        let known = self.trees.iter().rposition(|known| known.id() == tree);
        let tree = match known {
            Some(known) => known,
            None => {
                let Some(found) = self.find(tree)? else { return Some(()) };
                self.trees.push(found);
                self.trees.len() - 1
            }
        };
        let key_start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.changes.push(Change {
            tree: u32::try_from(tree).ok()?,
            prefix: prefix(key),
            key_start,
            key_bytes: u32::try_from(key.len()).ok()?,
            value_bytes: value.map(|value| u32::try_from(value.len())).transpose().ok()?,
            writer: u32::try_from(self.writers.len() - 1).ok()?,
        });
        Some(())
    }

    fn apply_changes(&mut self) {
        let bytes = &self.bytes;
        // Stable: of one key's changes the last comes last.
        self.changes.sort_by(|a, b| {
            (a.tree, a.prefix).cmp(&(b.tree, b.prefix)).then_with(|| a.key(bytes).cmp(b.key(bytes)))
        });
        for (at, change) in self.changes.iter().enumerate() {
            let key = change.key(bytes);
            let is_last = self
                .changes
                .get(at + 1)
                .is_none_or(|next| next.tree != change.tree || next.key(bytes) != key);
            if is_last {
                let (writer, written_at) = &self.writers[change.writer as usize];
                let tree = &self.trees[change.tree as usize];
                tree.replay_version(writer, *written_at, key, change.value(bytes));
            }
        }
        self.changes.clear();
        self.bytes.clear();
        self.trees.clear();
        self.writers.clear();
    }

    /// To be called when the last record was taken.
    pub fn finish(mut self) {
        self.apply_changes();
    }
}

/// Where the pages are that a replayed record names. `None`: that can't be.
pub(crate) trait Loads {
    fn place(&mut self, shared: &Arc<Shared>, tree: &Arc<Tree>, load: BulkLoad) -> Option<BulkLoad>;
}

/// In this store's own data file, as the record says.
pub(crate) struct InPlace;

impl Loads for InPlace {
    fn place(&mut self, shared: &Arc<Shared>, _: &Arc<Tree>, load: BulkLoad) -> Option<BulkLoad> {
        shared.occupy(&load.extents)?;
        Some(load)
    }
}

impl Tree {
    fn replay_version(&self, writer: &Arc<WriterState>, at: Timestamp, key: &[u8], value: Option<&[u8]>) {
        let chain = self.delta.get_or_insert(key);
        let mut state = chain.lock();
        // Nobody has a snapshot yet: only the newest version matters.
        let freed = state.drop_where(|_| true);
        let version = Version {
            writer: writer.clone(),
            value: value.map(Arc::from),
            command: CommandId(0),
            write_index: 0,
            intent: Intent::Replace,
        };
        let bytes = version.bytes() as i64 - freed as i64;
        state.versions.push(version);
        drop(state);
        self.delta.account(bytes);
        self.last_commit.fetch_max(at.0, Ordering::AcqRel);
    }
}
