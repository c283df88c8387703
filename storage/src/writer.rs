//! A writing transaction as storage sees it: its state word, its write set, its commit.

use crate::bulk::BulkLoad;
use crate::delta::{Chain, DeltaKey, Version};
use crate::store::Shared;
use crate::tree::NEVER;
use crate::wal::{Operation, encode_operation};
use crate::{CommandId, Result, Timestamp, Tree, TreeId, WriterId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How strongly an in-progress version claims its row. `Modify` leaves the key alone, so that it does not
/// conflict with a `FOR KEY SHARE` lock (PostgreSQL's NO KEY UPDATE); `Replace` covers insert, delete and key changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    Modify,
    Replace,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriterStatus {
    InProgress,
    Committed(Timestamp),
    Aborted,
}

const WORD_IN_PROGRESS: u64 = 0;
const WORD_ABORTED: u64 = 1;
const WORD_COMMITTED: u64 = 2;
const WORD_SHIFT: u32 = 2;

/// Shared by every version a transaction wrote: commit is one atomic store here.
pub struct WriterState {
    id: WriterId,
    /// In progress, aborted, or committed with the timestamp above two tag bits. Changes once.
    word: AtomicU64,
}

impl WriterState {
    pub(crate) fn new(id: WriterId) -> WriterState {
        WriterState { id, word: AtomicU64::new(WORD_IN_PROGRESS) }
    }

    pub(crate) fn committed(id: WriterId, at: Timestamp) -> WriterState {
        WriterState { id, word: AtomicU64::new(at.0 << WORD_SHIFT | WORD_COMMITTED) }
    }

    pub fn id(&self) -> WriterId {
        self.id
    }

    // Acquire pairs with the release in `decide`: who sees the commit sees all that happened before it.
    #[inline]
    pub fn status(&self) -> WriterStatus {
        match self.word.load(Ordering::Acquire) {
            WORD_IN_PROGRESS => WriterStatus::InProgress,
            WORD_ABORTED => WriterStatus::Aborted,
            word => WriterStatus::Committed(Timestamp(word >> WORD_SHIFT)),
        }
    }

    fn decide(&self, word: u64) {
        let before = self.word.swap(word, Ordering::AcqRel);
        assert_eq!(before, WORD_IN_PROGRESS, "a transaction ends once");
    }
}

/// The newest version of the key belongs to another transaction that is still in progress.
pub struct WriteConflict {
    pub writer: Arc<WriterState>,
    pub intent: Intent,
}

/// A position in the write set to roll back to (a savepoint).
#[derive(Clone, Copy, Debug)]
pub struct Mark(pub(crate) usize);

/// What the transaction did, in order.
enum Change {
    /// A version was put on this chain; the tree is an index into `Writer::trees`.
    Version {
        tree: u32,
        key: DeltaKey,
        chain: Arc<Chain>,
    },
    CreateTree(Arc<Tree>),
    DropTree(TreeId),
    BulkLoad(Arc<Tree>, BulkLoad),
}

/// The write set of one transaction. Dropping it without [`Writer::commit`] rolls back.
pub struct Writer {
    shared: Arc<Shared>,
    state: Arc<WriterState>,
    changes: Vec<Change>,
    /// Trees written to.
    trees: Vec<Arc<Tree>>,
    /// Write-set length at the newest mark: versions below it must stay as they are. Atomic only because `mark`
    /// takes `&self`.
    mark_floor: AtomicUsize,
    /// Delta bytes of this write set, roughly.
    bytes: u64,
    ended: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, id: WriterId) -> Writer {
        Writer {
            shared,
            state: Arc::new(WriterState::new(id)),
            changes: Vec::new(),
            trees: Vec::new(),
            mark_floor: AtomicUsize::new(0),
            bytes: 0,
            ended: false,
        }
    }

    pub fn state(&self) -> &Arc<WriterState> {
        &self.state
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Puts a version on the key's chain: `None` is a tombstone. Checks under the chain's mutex that no other
    /// writer's in-progress version is on top; a conflict changes nothing. Whether a *committed* newer version
    /// may be overwritten is the caller's business.
    pub fn install(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        value: Option<&[u8]>,
        intent: Intent,
        command: CommandId,
    ) -> Result<Result<(), WriteConflict>> {
        Tree::check_size(key, value)?;
        self.shared.admit(self.bytes)?;
        let mut version = Version {
            writer: self.state.clone(),
            value: value.map(Arc::from),
            command,
            write_index: u32::try_from(self.changes.len())
                .expect("the delta's limit is far below 4 billion writes"),
            intent,
        };
        loop {
            let chain = tree.delta.get_or_insert(key);
            let mut state = chain.lock();
            if state.dead {
                drop(state);
                tree.delta.remove_dead(key, &chain);
                continue;
            }
            let mut delta_bytes = version.bytes() as i64;
            if state.versions.last().is_some_and(|top| top.writer.status() == WriterStatus::Aborted) {
                delta_bytes -= state.drop_aborted() as i64;
            }
            if let Some(top) = state.versions.last_mut() {
                let own = Arc::ptr_eq(&top.writer, &self.state);
                if !own && top.writer.status() == WriterStatus::InProgress {
                    return Ok(Err(WriteConflict { writer: top.writer.clone(), intent: top.intent }));
                }
                if own && top.intent == Intent::Replace {
                    version.intent = Intent::Replace;
                }
                let floor = *self.mark_floor.get_mut();
                if own && top.command == command && top.write_index as usize >= floor {
                    delta_bytes -= top.bytes() as i64;
                    version.write_index = top.write_index;
                    *top = version;
                    drop(state);
                    tree.delta.account(delta_bytes);
                    self.bytes = self.bytes.saturating_add_signed(delta_bytes);
                    return Ok(Ok(()));
                }
            }
            let own_bytes = version.bytes() as u64;
            state.versions.push(version);
            if state.wants_pruning() {
                delta_bytes -= self.shared.with_live_snapshots(|live| state.prune(live)) as i64;
            }
            drop(state);
            tree.delta.account(delta_bytes);
            self.bytes += own_bytes;
            let tree = self.tree_index(tree);
            self.changes.push(Change::Version { tree, key: DeltaKey::new(key), chain });
            return Ok(Ok(()));
        }
    }

    fn tree_index(&mut self, tree: &Arc<Tree>) -> u32 {
        // From the end: writes come in runs.
        if let Some(index) = self.trees.iter().rposition(|known| Arc::ptr_eq(known, tree)) {
            return index as u32;
        }
        self.trees.push(tree.clone());
        (self.trees.len() - 1) as u32
    }

    /// The tree disappears when this transaction commits; its pages are freed once no snapshot needs them.
    pub fn drop_tree(&mut self, tree: TreeId) {
        self.changes.push(Change::DropTree(tree));
    }

    pub(crate) fn add_created(&mut self, tree: Arc<Tree>) {
        self.changes.push(Change::CreateTree(tree));
    }

    pub(crate) fn add_bulk_load(&mut self, tree: Arc<Tree>, load: BulkLoad) {
        self.changes.push(Change::BulkLoad(tree, load));
    }

    pub fn mark(&self) -> Mark {
        self.mark_floor.store(self.changes.len(), Ordering::Relaxed);
        Mark(self.changes.len())
    }

    /// Takes the versions (and tree creations and drops) since `mark` off again.
    pub fn rollback_to(&mut self, mark: Mark) {
        while self.changes.len() > mark.0 {
            let index = self.changes.len() - 1;
            let change = self.changes.pop().expect("longer than the mark");
            self.undo(change, index);
        }
        let floor = self.mark_floor.get_mut();
        *floor = (*floor).min(mark.0);
    }

    fn undo(&mut self, change: Change, index: usize) {
        match change {
            Change::Version { tree, key, chain } => {
                let tree = &self.trees[tree as usize];
                let mut state = chain.lock();
                let freed = state.drop_where(|version| {
                    Arc::ptr_eq(&version.writer, &self.state) && version.write_index as usize >= index
                });
                tree.delta.account(-(freed as i64));
                tree.delta.bury_if_empty(key.as_slice(), &chain, state);
                self.bytes = self.bytes.saturating_sub(freed as u64);
            }
            Change::CreateTree(tree) => self.shared.forget_tree(tree.id()),
            Change::DropTree(_) => {}
            Change::BulkLoad(tree, load) => {
                tree.set_initial_base(None);
                self.shared.abandon_bulk_load(load);
            }
        }
    }

    /// Appends the commit record to the log buffer and marks every version committed, in commit order. It is
    /// *not* durable yet: wait with [`crate::Store::durable`] or [`crate::Store::wait_durable`] for the
    /// returned timestamp before anyone is told. An empty writer commits without a record (`None`).
    /// On an error nothing was committed.
    pub fn commit(mut self) -> Result<Option<Timestamp>> {
        if self.changes.is_empty() {
            self.ended = true;
            self.state.decide(self.shared.wal.last_commit().0 << WORD_SHIFT | WORD_COMMITTED);
            return Ok(None);
        }
        let body = self.encode_changes();
        // Gathered here, for the closure runs under the log mutex and the write set may be long.
        let about_trees: Vec<&Change> =
            self.changes.iter().filter(|change| !matches!(change, Change::Version { .. })).collect();
        let at = self.shared.wal.commit(body, self.state.id, |at| {
            // Trees first: who sees the commit must see them created.
            for tree in &self.trees {
                tree.last_commit.store(at.0, Ordering::Release);
            }
            for change in &about_trees {
                match change {
                    Change::Version { .. } => {}
                    Change::CreateTree(tree) => tree.created_at.store(at.0, Ordering::Release),
                    Change::BulkLoad(tree, load) => self.shared.add_bulk_load(tree.id(), load),
                    Change::DropTree(id) => self.shared.mark_dropped(*id, at),
                }
            }
            self.state.decide(at.0 << WORD_SHIFT | WORD_COMMITTED);
        })?;
        self.ended = true;
        self.shared.after_commit();
        Ok(Some(at))
    }

    /// The log record: the final version of each key. Older versions of this writer's own are taken off the
    /// chains, for nobody will read them any more.
    fn encode_changes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes.min(1 << 30) as usize / 2 + 64);
        for (index, change) in self.changes.iter().enumerate() {
            match change {
                Change::Version { tree, key, chain } => {
                    let tree = &self.trees[*tree as usize];
                    let mut state = chain.lock();
                    let top = state.versions.last().expect("an uncommitted version stays on its chain");
                    assert!(Arc::ptr_eq(&top.writer, &self.state), "nobody covers an uncommitted version");
                    if top.write_index as usize != index {
                        continue;
                    }
                    let key = key.as_slice();
                    encode_operation(
                        &match &top.value {
                            Some(value) => Operation::Put { tree: tree.id(), key, value },
                            None => Operation::Delete { tree: tree.id(), key },
                        },
                        &mut body,
                    );
                    if index > 0 && state.versions.len() > 1 {
                        let freed = state.drop_where(|version| {
                            Arc::ptr_eq(&version.writer, &self.state)
                                && (version.write_index as usize) < index
                        });
                        tree.delta.account(-(freed as i64));
                    }
                }
                Change::CreateTree(tree) => encode_operation(&Operation::CreateTree(tree.id()), &mut body),
                Change::DropTree(tree) => encode_operation(&Operation::DropTree(*tree), &mut body),
                Change::BulkLoad(tree, load) => encode_operation(
                    &Operation::BulkInstall {
                        tree: tree.id(),
                        root: load.root,
                        extents: load.extents.clone(),
                    },
                    &mut body,
                ),
            }
        }
        body
    }

    pub fn rollback(self) {}
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // First the word, so that readers and writers pass over the versions; then take them off.
        self.state.decide(WORD_ABORTED);
        self.rollback_to(Mark(0));
    }
}

const _: () =
    assert!(Timestamp::MAX.0 << WORD_SHIFT >> WORD_SHIFT == Timestamp::MAX.0 && NEVER > Timestamp::MAX.0);
