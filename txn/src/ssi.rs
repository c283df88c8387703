//! Serializable snapshot isolation: the graph of rw-antidependencies and the rules that abort a transaction.
//!
//! # Problem
//!
//! Under snapshot isolation a transaction that reads x and writes y and another that reads y and writes x both commit,
//! though no serial order explains both (write skew). First-updater-wins doesn't see it: nobody wrote the same key.
//!
//! # Idea (Cahill 2008; Ports & Grittner, VLDB 2012; PostgreSQL's README-SSI)
//!
//! `R —rw→ W` says: R read a version that W replaced, so R comes before W in any serial order. In every cycle of
//! dependencies among snapshot transactions two such edges meet:
//!
//! ```text
//!   T1 —rw→ T2 —rw→ T3      T1 ∥ T2, T2 ∥ T3, and T3 is the first of the whole cycle to commit (T1 may be T3)
//! ```
//!
//! So keep the edges between concurrent transactions and never let such a structure commit. Some structures are not
//! in a cycle: false positives, the price for not looking further.
//!
//! # Rules
//!
//! 1. *Register, then read; install, then look.* A reader enters a SIREAD before it reads (`siread.rs`); a writer looks
//!    for SIREADs once its version is on the chain. If the reader missed the version, the writer finds the SIREAD;
//!    otherwise the read reports the version as skipped. Either way the edge is entered.
//! 2. Two transactions are concurrent when one's snapshot is below the other's commit timestamp. A snapshot is
//!    taken under the graph's mutex, and nodes are removed under it, so nobody takes a snapshot below a node that is
//!    just being forgotten.
//! 3. When an edge `R —rw→ W` is entered, it is dangerous if
//!    a. W has an edge to a committed T3, with T3 no later than W and R where those have committed; or
//!    b. W has committed, and some T1 has an edge to R, with W no later than T1 if T1 has committed.
//!    In either case a read-only T1 matters only if T3 committed before T1's snapshot was taken (the read-only
//!    optimisation: otherwise T1 can be moved before T3).
//! 4. At commit, X is about to be a T3: if `T1 —rw→ T2 —rw→ X` with neither T1 nor T2 committed and T1 not
//!    read-only, then T2 goes.
//! 5. Who goes: the pivot T2 if it can, since then a retry meets T3 committed and succeeds. If T2 is past its own rule 4
//!    (prepared) or committed, whoever runs the check goes. Another's transaction is *doomed*: it finds out at its next
//!    operation or at commit.
//! 6. Between rule 4 and its commit record a transaction is *prepared*: its timestamp is not known yet, so it counts
//!    as committed first in every comparison. (Conservative, and short.)
//! 7. A committed node and its SIREADs stay until its timestamp is at or below every active snapshot *and* the
//!    watermark: while the commit is not durable, even a snapshot taken later is below it. When a node goes, those with
//!    an edge to it keep its timestamp (`summary_out`): rule 3a asks for no more.
//! 8. A read-only transaction whose snapshot is *safe* needs none of this: no read-write transaction was active
//!    when it was taken, or those that were ended without an edge to a T3 committed before the snapshot. DEFERRABLE waits
//!    for that before it reads.
//! 9. An edge leads to the writer of the *next* version only. Who wrote later versions comes after that writer by ww, so a
//!    cycle through it contains the next writer as well; an edge of its own would only make more structures look
//!    dangerous (PostgreSQL's `multiple-row-versions`). Where the next writer is no serializable transaction, the one after
//!    it takes its place.
//!
//! # Other modes in the graph
//!
//! Transactions in 2PL at SERIALIZABLE and in serial mode are nodes as well, though never pivots: `protocol.rs`
//! has the argument.
//!
//! # Lock order
//!
//! Graph mutex → SIREAD shards, ranges. No lock table shard and no chain mutex is taken below the graph, and it is not
//! taken while holding a SIREAD shard.
//!
//! # Deviations
//!
//! PostgreSQL locks tuples, pages and relations; we lock keys and key ranges, so that splits and page layouts don't
//! matter. PostgreSQL orders commits by a counter of its own; commit timestamps do it here. Its summary of old
//! transactions on disk has no counterpart: see [`RETAINED_MAX`].

use crate::conflict::{Conflict, ConflictKind, ConflictLog, ConflictStep, action};
use crate::lock_table::{HeldLock, LockObject};
use crate::rules::{Rule, Rules};
use crate::session::SessionHandle;
use crate::siread::{ReadList, ReadSet, ReadSetSize, Sireads};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, fence};
use crate::{Error, LockInfo, Result};
use hashbrown::{HashMap, HashSet};
use serin_storage::{KeyRange, Snapshot, Store, Timestamp, Tree, TreeId, WriterId};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Committed transactions kept for the sake of active ones. Above it the active transaction with the oldest snapshot,
/// which they are kept for, is doomed: bounded memory at the price of an abort that a retry cures.
const RETAINED_MAX: usize = 400_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct NodeId(pub(crate) u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ssi,
    TwoPhase,
    Serial,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    Active,
    Prepared,
    Committed(Timestamp),
}

impl Status {
    /// It committed, or may have (rule 6), no later than `other` did or will.
    fn no_later_than(self, other: Status) -> bool {
        match (self, other) {
            (Status::Active, _) => false,
            (_, Status::Active) | (Status::Prepared, _) | (_, Status::Prepared) => true,
            (Status::Committed(a), Status::Committed(b)) => a <= b,
        }
    }
    fn no_later_than_ts(self, ts: Timestamp) -> bool {
        self.no_later_than(Status::Committed(ts))
    }
    fn is_committed(self) -> bool {
        matches!(self, Status::Committed(_))
    }
}

/// What the graph tells a transaction outside its mutex.
#[derive(Default)]
pub(crate) struct Signals {
    doomed: AtomicBool,
    safe: AtomicBool,
}

/// An rw-antidependency, kept at both of its ends; tree and key are for the report.
#[derive(Clone)]
struct Edge {
    other: NodeId,
    /// `None`: a serial transaction's reads, which nobody listed.
    tree: Option<TreeId>,
    key: Arc<[u8]>,
    /// The end by which the edge was entered, and what it was running.
    entered_by: NodeId,
    statement: Option<Arc<str>>,
}

impl Edge {
    /// One that a restart made forget.
    fn unknown() -> Edge {
        Edge { other: NodeId(0), tree: None, key: Arc::from([]), entered_by: NodeId(0), statement: None }
    }
}

/// What a 2PL transaction has read, by its locks.
#[derive(Default)]
pub(crate) struct LockedReads {
    pub(crate) locks: Vec<HeldLock>,
    pub(crate) ranges: Vec<(TreeId, KeyRange)>,
}

struct Node {
    kind: Kind,
    session: Arc<SessionHandle>,
    writer: Option<WriterId>,
    /// SSI: its snapshot. Others read the latest state: nothing while active, the commit timestamp after.
    snapshot: Timestamp,
    status: Status,
    /// Declared so, or turned out so at commit.
    read_only: bool,
    declared_read_only: bool,
    signals: Arc<Signals>,
    /// Why it is doomed, for its own report.
    doom: Option<Conflict>,
    /// From readers of what this one wrote.
    edges_in: Vec<Edge>,
    /// To writers of what this one read.
    edges_out: Vec<Edge>,
    /// The earliest commit among forgotten ends of `edges_out`.
    summary_out: Timestamp,
    reads: ReadSet,
    /// What a committed 2PL transaction had read, not yet entered as SIREADs because no SSI transaction was active.
    pending_reads: LockedReads,
    /// Read-only SSI: the concurrent read-write transactions whose outcome decides whether the snapshot is safe.
    undecided: HashSet<NodeId>,
    /// One of them came out badly.
    unsafe_snapshot: bool,
    /// DEFERRABLE, and waiting to learn it.
    awaits_safe: bool,
    /// Prepared by PREPARE TRANSACTION: it reads and writes no more, and nothing is kept for its snapshot's sake.
    parked: bool,
    /// Restored after a restart: whoever had an edge to it is not known (`prepared.rs`, rule 4).
    summary_in: bool,
}

const NONE: Timestamp = Timestamp(u64::MAX);

#[derive(Default)]
struct Graph {
    nodes: HashMap<NodeId, Node>,
    by_writer: HashMap<WriterId, NodeId>,
    /// Snapshots of active SSI transactions, with how many use each.
    snapshots: BTreeMap<Timestamp, usize>,
    committed: BTreeSet<(Timestamp, NodeId)>,
    /// Committed serial transactions that are still kept: they count as having read everything.
    read_everything: HashSet<NodeId>,
    read_only_undecided: HashSet<NodeId>,
    next: u64,
}

#[derive(Default)]
pub(crate) struct Ssi {
    graph: Mutex<Graph>,
    sireads: Sireads,
    /// Active SSI transactions. Raised before the snapshot is taken: whoever reads 0 after taking a snapshot or installing
    /// a version knows that every SSI transaction still to come is newer.
    active_count: AtomicUsize,
    /// Read-write SSI nodes, active or kept. Raised before the snapshot is taken, likewise.
    pivot_count: AtomicUsize,
    pub(crate) failures: AtomicU64,
    pub(crate) conflicts: Arc<ConflictLog>,
    pub(crate) rules: Rules,
}

/// A transaction's side of its node.
pub(crate) struct Participant {
    pub(crate) node: NodeId,
    signals: Arc<Signals>,
    reads: ReadSet,
    read_only: bool,
    /// Writers whose edge is entered (true), or that are not in the graph: the newest few.
    known: SmallVec<[(WriterId, bool); 8]>,
    /// What had been read when the running statement started.
    before_statement: ReadSetSize,
    /// The running statement has read something that had been read before.
    reads_again: bool,
}

impl Participant {
    /// Rule 8: nothing needs to be remembered.
    pub(crate) fn is_safe(&self) -> bool {
        self.read_only && self.signals.safe.load(Ordering::Acquire)
    }
    pub(crate) fn start_statement(&mut self) {
        self.before_statement = self.reads.size();
        self.reads_again = false;
    }
    /// Whether the running statement has read nothing but this key, and that once, and no earlier one has (`refresh.rs`, rule 3).
    pub(crate) fn reads_only(&self, tree: TreeId, key: &[u8]) -> bool {
        !self.reads_again && self.reads.grew_only_by(self.before_statement, tree, key)
    }

    fn new(node: NodeId, signals: Arc<Signals>, reads: ReadSet, read_only: bool) -> Participant {
        let before_statement = reads.size();
        let known = SmallVec::new();
        Participant { node, signals, reads, read_only, known, before_statement, reads_again: false }
    }
}

impl Ssi {
    pub(crate) fn new(conflicts: Arc<ConflictLog>) -> Ssi {
        Ssi { conflicts, ..Ssi::default() }
    }

    /// Whether a writer that is no SSI transaction may skip [`Ssi::wrote`].
    pub(crate) fn nobody_active(&self) -> bool {
        fence(Ordering::SeqCst);
        self.active_count.load(Ordering::SeqCst) == 0
    }
    /// Asked by a serial read-only transaction after it took its snapshot (rule 8).
    pub(crate) fn no_pivots(&self) -> bool {
        fence(Ordering::SeqCst);
        self.pivot_count.load(Ordering::SeqCst) == 0
    }

    // ---- beginning ----

    /// Takes a snapshot and enters a node for it, as one step (rule 2).
    pub(crate) fn begin(
        &self,
        store: &Store,
        session: &Arc<SessionHandle>,
        read_only: bool,
    ) -> (Snapshot, Participant) {
        self.active_count.fetch_add(1, Ordering::SeqCst);
        if !read_only {
            self.pivot_count.fetch_add(1, Ordering::SeqCst);
        }
        let mut graph = self.graph.lock();
        let snapshot = store.snapshot();
        let ts = snapshot.timestamp();
        let mut node = Node::new(Kind::Ssi, session, ts, read_only);
        let signals = node.signals.clone();
        if read_only {
            graph.judge_snapshot(&mut node);
        }
        let undecided = !node.undecided.is_empty();
        let id = graph.insert(node);
        if undecided {
            graph.read_only_undecided.insert(id);
        }
        *graph.snapshots.entry(ts).or_default() += 1;
        self.enter_pending_reads(&mut graph, ts);
        (snapshot, Participant::new(id, signals, ReadSet::default(), read_only))
    }

    /// A 2PL or serial transaction joins with its first write, or at commit with its reads.
    pub(crate) fn join(
        &self,
        kind: Kind,
        session: &Arc<SessionHandle>,
        writer: Option<WriterId>,
    ) -> Participant {
        let mut node = Node::new(kind, session, Timestamp::ZERO, false);
        node.writer = writer;
        let signals = node.signals.clone();
        let mut graph = self.graph.lock();
        let id = graph.insert(node);
        if let Some(writer) = writer {
            graph.by_writer.insert(writer, id);
        }
        Participant::new(id, signals, ReadSet::default(), false)
    }

    /// An SSI transaction gets its writer. It holds the serial gate, so no serial transaction can commit from here
    /// to its end: those already committed and concurrent count as readers of whatever it will write.
    pub(crate) fn will_write(&self, me: &mut Participant, writer: WriterId) -> Result<()> {
        let mut graph = self.graph.lock();
        let graph = &mut *graph;
        graph.by_writer.insert(writer, me.node);
        let Some(node) = graph.nodes.get_mut(&me.node) else { return Ok(()) };
        node.writer = Some(writer);
        let readers: SmallVec<[NodeId; 4]> = graph.read_everything.iter().copied().collect();
        for reader in readers {
            self.edge_from(graph, reader, me.node, None, &[])?;
        }
        Ok(())
    }

    // ---- reading and writing ----

    pub(crate) fn read_key(&self, me: &mut Participant, tree: TreeId, key: &[u8]) {
        if !me.is_safe() {
            me.reads_again |= !self.sireads.add_key(me.node, &mut me.reads, tree, key);
        }
    }

    pub(crate) fn read_range(&self, me: &mut Participant, tree: TreeId, range: &KeyRange) {
        if !me.is_safe() {
            self.sireads.add_range(me.node, &mut me.reads, tree, range.clone());
        }
    }

    /// A read passed over the versions of `writers`, oldest first. The edge leads to the oldest alone (rule 9), unless that one
    /// is no serializable transaction.
    pub(crate) fn skipped(
        &self,
        me: &mut Participant,
        tree: TreeId,
        key: &[u8],
        writers: &[WriterId],
    ) -> Result<()> {
        if me.is_safe() || self.rules.is_off(Rule::ReaderLooks) {
            return Ok(());
        }
        for writer in writers {
            if let Some((_, entered)) = me.known.iter().find(|(known, _)| known == writer) {
                if *entered {
                    return Ok(());
                }
                continue;
            }
            let mut graph = self.graph.lock();
            let graph = &mut *graph;
            let other = graph.by_writer.get(writer).copied();
            if let Some(other) = other {
                self.add_edge(graph, me.node, other, me.node, Some(tree), key)?;
            }
            if me.known.len() == 32 {
                me.known.remove(0);
            }
            me.known.push((*writer, other.is_some()));
            if other.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Rule 1, second half: `me` has just installed a version of `key`.
    pub(crate) fn wrote(&self, me: &Participant, tree: &Tree, key: &[u8]) -> Result<()> {
        let replaced = || tree.newest_committed_in_delta(key);
        self.overwrote(me, tree.id(), key, replaced)
    }

    /// `me` found that it can't insert `key`: it comes after those who read the key before it was there.
    pub(crate) fn met_duplicate(&self, me: &Participant, tree: &Tree, key: &[u8]) -> Result<()> {
        self.overwrote(me, tree.id(), key, || None)?;
        self.check(me)
    }

    fn overwrote(
        &self,
        me: &Participant,
        tree: TreeId,
        key: &[u8],
        replaced: impl FnOnce() -> Option<(Timestamp, WriterId)>,
    ) -> Result<()> {
        let readers = self.sireads.readers(me.node, tree, key);
        if readers.is_empty() || self.rules.is_off(Rule::WriterLooks) {
            return Ok(());
        }
        let replaced = replaced();
        let mut graph = self.graph.lock();
        let graph = &mut *graph;
        for reader in readers {
            if let Some((at, writer)) = &replaced
                && graph.read_below(reader, *at)
                && graph.by_writer.contains_key(writer)
            {
                continue;
            }
            self.edge_from(graph, reader, me.node, Some(tree), key)?;
        }
        Ok(())
    }

    /// Enters `reader —rw→ writer` on behalf of the active `writer`, if the two are concurrent (rule 2).
    fn edge_from(
        &self,
        graph: &mut Graph,
        reader: NodeId,
        writer: NodeId,
        tree: Option<TreeId>,
        key: &[u8],
    ) -> Result<()> {
        let (Some(r), Some(w)) = (graph.nodes.get(&reader), graph.nodes.get(&writer)) else { return Ok(()) };
        if let Status::Committed(ts) = r.status {
            // A writer that is no SSI transaction is no pivot, and comes after what committed before it.
            if w.kind != Kind::Ssi || w.snapshot >= ts {
                return Ok(());
            }
        }
        self.add_edge(graph, reader, writer, writer, tree, key)
    }

    /// Enters an edge and applies rule 3. `me` is the end that runs.
    fn add_edge(
        &self,
        graph: &mut Graph,
        reader: NodeId,
        writer: NodeId,
        me: NodeId,
        tree: Option<TreeId>,
        key: &[u8],
    ) -> Result<()> {
        if reader == writer {
            return Ok(());
        }
        let (Some(r), Some(w)) = (graph.nodes.get(&reader), graph.nodes.get(&writer)) else { return Ok(()) };
        if w.edges_in.iter().any(|edge| edge.other == reader) || r.is_doomed() || w.is_doomed() {
            return self.check_doomed(graph, me);
        }
        let key: Arc<[u8]> = key.into();
        let statement = graph.nodes.get(&me).and_then(|node| node.session.statement());
        let edge =
            |other| Edge { other, tree, key: key.clone(), entered_by: me, statement: statement.clone() };
        graph.nodes.get_mut(&writer).expect("looked up above").edges_in.push(edge(reader));
        graph.nodes.get_mut(&reader).expect("looked up above").edges_out.push(edge(writer));
        let Some(conflict) = graph.dangerous(reader, writer) else { return Ok(()) };
        if self.rules.is_off(Rule::DangerousEdge) {
            return Ok(());
        }
        let can_doom_writer = writer != me && graph.nodes[&writer].status == Status::Active;
        if can_doom_writer {
            graph.doom(writer, conflict);
            return Ok(());
        }
        Err(self.failure(graph, me, conflict))
    }

    /// The retry's snapshot must cover the commits it failed against (see `SessionHandle::must_see`).
    fn failure(&self, graph: &Graph, me: NodeId, conflict: Conflict) -> Error {
        if let Some(node) = graph.nodes.get(&me) {
            if let Some((newest, _)) = graph.committed.last() {
                node.session.raise_must_see(*newest);
            }
            node.session.lost(&conflict);
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.conflicts.push(conflict.clone());
        Error::DangerousStructure(Box::new(conflict))
    }

    fn check_doomed(&self, graph: &mut Graph, me: NodeId) -> Result<()> {
        match graph.nodes.get_mut(&me) {
            Some(node) if node.is_doomed() => {
                let conflict = node.doom.take().unwrap_or_default();
                Err(self.failure(graph, me, conflict))
            }
            _ => Ok(()),
        }
    }

    /// Rule 5: an error if another transaction has doomed this one.
    pub(crate) fn check(&self, me: &Participant) -> Result<()> {
        if !me.signals.doomed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.check_doomed(&mut self.graph.lock(), me.node)
    }

    // ---- ending ----

    /// Rule 4. Afterwards the transaction is prepared: nobody can doom it any more.
    pub(crate) fn prepare(&self, me: &Participant) -> Result<()> {
        let mut graph = self.graph.lock();
        let graph = &mut *graph;
        self.check_doomed(graph, me.node)?;
        let Some(node) = graph.nodes.get(&me.node) else { return Ok(()) };
        let mut pivots: SmallVec<[Edge; 4]> = node.edges_in.iter().cloned().collect();
        if self.rules.is_off(Rule::CommitCheck) {
            pivots.clear();
        }
        for edge in pivots {
            let pivot = &graph.nodes[&edge.other];
            if pivot.status.is_committed() || pivot.is_doomed() {
                continue;
            }
            let far = pivot.edges_in.iter().find(|far| {
                let node = &graph.nodes[&far.other];
                far.other == me.node || (!node.status.is_committed() && !node.read_only && !node.is_doomed())
            });
            let unknown = Edge::unknown();
            let far = far.or(pivot.summary_in.then_some(&unknown));
            let Some(far) = far else { continue };
            let conflict = graph.story(far, edge.other, &edge, Some(me.node));
            if pivot.status == Status::Prepared {
                return Err(self.failure(graph, me.node, conflict));
            }
            graph.doom(edge.other, conflict);
        }
        graph.nodes.get_mut(&me.node).expect("looked up above").status = Status::Prepared;
        Ok(())
    }

    /// PREPARE TRANSACTION: a prepared node goes to a session of its own, and its snapshot holds nobody back any more.
    pub(crate) fn park(&self, me: &Participant, session: &Arc<SessionHandle>, store: &Store) {
        let mut graph = self.graph.lock();
        let Some(node) = graph.nodes.get_mut(&me.node) else { return };
        node.session = session.clone();
        if node.kind == Kind::Ssi && !std::mem::replace(&mut node.parked, true) {
            let snapshot = node.snapshot;
            graph.release_snapshot(snapshot);
        }
        self.clean(graph, store);
    }

    /// What had been read before the running statement, if that is not much.
    pub(crate) fn reads_before_statement(
        &self,
        me: &Participant,
        keys_max: usize,
        ranges_max: usize,
    ) -> Option<ReadList> {
        let size = me.before_statement;
        (size.keys <= keys_max && size.ranges <= ranges_max).then(|| self.sireads.list_up_to(&me.reads, size))
    }

    /// The active transaction's snapshot moves up to `to`: nothing it has read has changed in between (`refresh.rs`).
    pub(crate) fn refresh(&self, me: &Participant, to: Timestamp) -> Result<()> {
        let mut graph = self.graph.lock();
        let graph = &mut *graph;
        self.check_doomed(graph, me.node)?;
        let Some(node) = graph.nodes.get_mut(&me.node) else { return Ok(()) };
        let from = std::mem::replace(&mut node.snapshot, to);
        let (ins, outs) = (std::mem::take(&mut node.edges_in), std::mem::take(&mut node.edges_out));
        graph.release_snapshot(from);
        *graph.snapshots.entry(to).or_default() += 1;
        // What has committed up to there is no longer concurrent with it.
        let over = |edge: &Edge| matches!(graph.nodes[&edge.other].status, Status::Committed(at) if at <= to);
        let (gone_in, ins): (Vec<Edge>, Vec<Edge>) = ins.into_iter().partition(over);
        let (gone_out, outs): (Vec<Edge>, Vec<Edge>) = outs.into_iter().partition(over);
        for edge in gone_in {
            let reader = graph.nodes.get_mut(&edge.other).expect("edges lead to nodes");
            reader.edges_out.retain(|out| out.other != me.node);
        }
        for edge in gone_out {
            let writer = graph.nodes.get_mut(&edge.other).expect("edges lead to nodes");
            writer.edges_in.retain(|inward| inward.other != me.node);
        }
        let node = graph.nodes.get_mut(&me.node).expect("looked up above");
        (node.edges_in, node.edges_out) = (ins, outs);
        if node.summary_out <= to {
            node.summary_out = NONE;
        }
        Ok(())
    }

    /// The SIREADs of a transaction, for the record that outlives the process.
    pub(crate) fn reads_of(&self, me: &Participant) -> ReadList {
        self.sireads.list(&me.reads)
    }

    /// The node of a transaction that was prepared in an earlier process: prepared, and with an edge out to something committed before
    /// everything else, and one in from nobody knows whom.
    pub(crate) fn restore(
        &self,
        store: &Store,
        kind: Kind,
        session: &Arc<SessionHandle>,
        writer: Option<WriterId>,
        read_only: bool,
        read: &ReadList,
    ) -> Participant {
        let snapshot = if kind == Kind::Ssi { store.last_commit() } else { Timestamp::ZERO };
        let mut node = Node::new(kind, session, snapshot, read_only);
        node.writer = writer;
        node.status = Status::Prepared;
        node.parked = true;
        node.summary_in = true;
        node.summary_out = Timestamp::ZERO;
        let signals = node.signals.clone();
        let mut graph = self.graph.lock();
        if kind == Kind::Ssi {
            self.active_count.fetch_add(1, Ordering::SeqCst);
            if !read_only {
                self.pivot_count.fetch_add(1, Ordering::SeqCst);
            }
        }
        let id = graph.insert(node);
        if let Some(writer) = writer {
            graph.by_writer.insert(writer, id);
        }
        drop(graph);
        let mut reads = ReadSet::default();
        for (tree, key) in &read.keys {
            self.sireads.add_key(id, &mut reads, *tree, key);
        }
        read.ranges
            .iter()
            .for_each(|(tree, range)| self.sireads.add_range(id, &mut reads, *tree, range.clone()));
        Participant::new(id, signals, reads, read_only)
    }

    /// The commit record is in the log, locks are still held. `ts` is `None` for a transaction that wrote nothing:
    /// it takes its place behind the newest commit, and behind what it has `seen`: a commit shows in the chains
    /// a moment before it shows in `Store::last_commit`. `reads` is what a 2PL transaction has locked.
    pub(crate) fn committed(
        &self,
        me: Participant,
        store: &Store,
        ts: Option<Timestamp>,
        seen: Timestamp,
        reads: LockedReads,
    ) {
        let mut graph = self.graph.lock();
        let at = ts.unwrap_or_else(|| store.last_commit().max(seen));
        let Some(node) = graph.nodes.get_mut(&me.node) else { return };
        node.status = Status::Committed(at);
        node.read_only |= ts.is_none();
        node.reads = me.reads;
        let kind = node.kind;
        match kind {
            Kind::Ssi => {}
            Kind::TwoPhase => {
                node.snapshot = at;
                if !self.rules.is_off(Rule::LockedReadsStay) {
                    node.pending_reads = reads;
                }
            }
            Kind::Serial => {
                node.snapshot = at;
                if !self.rules.is_off(Rule::SerialReadsEverything) {
                    graph.read_everything.insert(me.node);
                }
            }
        }
        graph.committed.insert((at, me.node));
        if kind == Kind::Ssi {
            self.end_active(&mut graph, me.node, me.read_only);
        } else if let Some((&oldest, _)) = graph.snapshots.first_key_value() {
            self.enter_pending_reads(&mut graph, oldest);
        }
        self.clean(graph, store);
    }

    /// The transaction ended without a commit: its edges and SIREADs mean nothing any more.
    pub(crate) fn aborted(&self, me: Participant, store: &Store) {
        let mut graph = self.graph.lock();
        if let Some(node) = graph.nodes.get(&me.node)
            && node.kind == Kind::Ssi
        {
            self.end_active(&mut graph, me.node, me.read_only);
            if !me.read_only {
                self.pivot_count.fetch_sub(1, Ordering::SeqCst);
            }
        }
        graph.remove(me.node);
        self.clean(graph, store);
        self.sireads.remove(me.node, me.reads);
    }

    /// An SSI node is no longer active: its snapshot no longer holds others back, and read-only transactions that
    /// waited for its outcome learn it (rule 8).
    fn end_active(&self, graph: &mut Graph, id: NodeId, read_only: bool) {
        self.active_count.fetch_sub(1, Ordering::SeqCst);
        let node = &graph.nodes[&id];
        if !node.parked {
            graph.release_snapshot(node.snapshot);
        }
        if read_only {
            graph.read_only_undecided.remove(&id);
            return;
        }
        let waiting: SmallVec<[NodeId; 4]> = graph.read_only_undecided.iter().copied().collect();
        for reader in waiting {
            let bad = graph.spoils(id, graph.nodes[&reader].snapshot);
            let reader_node = graph.nodes.get_mut(&reader).expect("undecided readers are in the graph");
            if !reader_node.undecided.remove(&id) {
                continue;
            }
            reader_node.unsafe_snapshot |= bad;
            if reader_node.unsafe_snapshot || reader_node.undecided.is_empty() {
                reader_node.signals.safe.store(!reader_node.unsafe_snapshot, Ordering::Release);
                reader_node.session.nudge();
                graph.read_only_undecided.remove(&reader);
            }
        }
    }

    /// Makes SIREADs of the locks that committed 2PL transactions held, for those above the snapshot `ts`.
    fn enter_pending_reads(&self, graph: &mut Graph, ts: Timestamp) {
        let above = (Timestamp(ts.0.saturating_add(1)), NodeId(0));
        let ids: SmallVec<[NodeId; 4]> = graph.committed.range(above..).map(|(_, id)| *id).collect();
        for id in ids {
            let node = graph.nodes.get_mut(&id).expect("committed nodes are in the graph");
            let pending = std::mem::take(&mut node.pending_reads);
            for lock in pending.locks {
                if let LockObject::Key(tree, key) = &lock.object {
                    self.sireads.add_key(id, &mut node.reads, *tree, key);
                }
            }
            for (tree, range) in pending.ranges {
                self.sireads.add_range(id, &mut node.reads, tree, range);
            }
        }
    }

    /// Rule 7.
    fn clean(&self, mut graph: MutexGuard<'_, Graph>, store: &Store) {
        let oldest = graph.snapshots.first_key_value().map_or(Timestamp::MAX, |(ts, _)| *ts);
        let horizon = oldest.min(store.watermark());
        let mut forgotten: SmallVec<[(NodeId, ReadSet); 4]> = SmallVec::new();
        while let Some(&(ts, id)) = graph.committed.first() {
            if ts > horizon {
                break;
            }
            graph.committed.pop_first();
            graph.read_everything.remove(&id);
            if let Some(node) = graph.remove(id) {
                if node.kind == Kind::Ssi && !node.declared_read_only {
                    self.pivot_count.fetch_sub(1, Ordering::SeqCst);
                }
                forgotten.push((id, node.reads));
            }
        }
        if graph.committed.len() > RETAINED_MAX {
            graph.doom_oldest();
        }
        drop(graph);
        for (id, reads) in forgotten {
            self.sireads.remove(id, reads);
        }
    }

    // ---- safe snapshots ----

    /// Waits until the fate of a read-only transaction's snapshot is known. True: it is safe.
    pub(crate) fn wait_for_safe_snapshot(&self, me: &Participant, session: &SessionHandle) -> Result<bool> {
        loop {
            {
                let mut graph = self.graph.lock();
                let Some(node) = graph.nodes.get_mut(&me.node) else { return Ok(true) };
                node.awaits_safe = true;
                if node.unsafe_snapshot {
                    return Ok(false);
                }
                if me.signals.safe.load(Ordering::Acquire) {
                    return Ok(true);
                }
            }
            if session.interrupted() {
                return Err(Error::Interrupted);
            }
            session.wait_for_nudge(Instant::now() + Duration::from_secs(1));
        }
    }

    // ---- looking in ----

    /// The rw-antidependencies of active transactions, as (reader's pid, writer's pid).
    pub(crate) fn dependencies(&self) -> Vec<(i32, i32)> {
        let graph = self.graph.lock();
        let active = graph.nodes.values().filter(|node| !node.status.is_committed());
        let edges = active.flat_map(|node| {
            let pid = node.session.pid;
            let other = |edge: &Edge| graph.nodes.get(&edge.other).map(|other| other.session.pid);
            let to = node.edges_out.iter().filter_map(other).map(move |writer| (pid, writer));
            let from = node.edges_in.iter().filter_map(other).map(move |reader| (reader, pid));
            to.chain(from).collect::<Vec<_>>()
        });
        let mut edges: Vec<(i32, i32)> = edges.collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// Whose outcome decides whether the snapshot that session `pid` waits with is safe.
    pub(crate) fn safe_snapshot_blockers(&self, pid: i32) -> Vec<i32> {
        let graph = self.graph.lock();
        let waits = |node: &&Node| node.awaits_safe && node.session.pid == pid;
        let undecided = graph.nodes.values().find(waits).into_iter().flat_map(|node| &node.undecided);
        let mut pids: Vec<i32> =
            undecided.filter_map(|id| graph.nodes.get(id)).map(|node| node.session.pid).collect();
        pids.sort_unstable();
        pids
    }

    /// What no transaction, present or to come, is concurrent with any more goes first: a commit was not durable yet when its
    /// transaction ended, and nobody has ended since.
    pub(crate) fn infos(&self, store: &Store, infos: &mut Vec<LockInfo>) {
        self.clean(self.graph.lock(), store);
        let graph = self.graph.lock();
        self.sireads.for_each(|tree, key, id| {
            let Some(node) = graph.nodes.get(&id) else { return };
            infos.push(LockInfo {
                kind: if key.is_some() { "tuple" } else { "keyrange" },
                relation: None,
                tree: Some(tree),
                key: key.map(<[u8]>::to_vec),
                advisory: None,
                transaction: node.writer.map(|w| w.0),
                mode: "SIReadLock",
                pid: node.session.pid,
                granted: true,
            });
        });
    }

    #[cfg(all(test, not(feature = "shuttle")))]
    pub(crate) fn node_count(&self) -> usize {
        self.graph.lock().nodes.len()
    }
}

impl Node {
    fn new(kind: Kind, session: &Arc<SessionHandle>, snapshot: Timestamp, read_only: bool) -> Node {
        Node {
            kind,
            session: session.clone(),
            writer: None,
            snapshot,
            status: Status::Active,
            read_only,
            declared_read_only: read_only,
            signals: Arc::default(),
            doom: None,
            edges_in: Vec::new(),
            edges_out: Vec::new(),
            summary_out: NONE,
            reads: ReadSet::default(),
            pending_reads: LockedReads::default(),
            undecided: HashSet::new(),
            unsafe_snapshot: false,
            awaits_safe: false,
            parked: false,
            summary_in: false,
        }
    }
    fn is_doomed(&self) -> bool {
        self.signals.doomed.load(Ordering::Relaxed)
    }
}

impl Graph {
    fn insert(&mut self, node: Node) -> NodeId {
        self.next += 1;
        let id = NodeId(self.next);
        self.nodes.insert(id, node);
        id
    }

    fn release_snapshot(&mut self, snapshot: Timestamp) {
        if let Some(count) = self.snapshots.get_mut(&snapshot) {
            *count -= 1;
            if *count == 0 {
                self.snapshots.remove(&snapshot);
            }
        }
    }

    /// Takes the node out. What has an edge to it remembers when it committed (rule 7).
    fn remove(&mut self, id: NodeId) -> Option<Node> {
        let node = self.nodes.remove(&id)?;
        if let Some(writer) = node.writer {
            self.by_writer.remove(&writer);
        }
        for edge in &node.edges_in {
            if let Some(reader) = self.nodes.get_mut(&edge.other) {
                reader.edges_out.retain(|out| out.other != id);
                if let Status::Committed(ts) = node.status {
                    reader.summary_out = reader.summary_out.min(ts);
                }
            }
        }
        for edge in &node.edges_out {
            if let Some(writer) = self.nodes.get_mut(&edge.other) {
                writer.edges_in.retain(|inward| inward.other != id);
            }
        }
        Some(node)
    }

    /// Whether what `reader` read of a key is older than the version that was committed at `at`.
    fn read_below(&self, reader: NodeId, at: Timestamp) -> bool {
        self.nodes.get(&reader).is_some_and(|node| node.kind == Kind::Ssi && node.snapshot < at)
    }

    /// Rule 3, for the edge `reader —rw→ writer` just entered.
    fn dangerous(&self, reader: NodeId, writer: NodeId) -> Option<Conflict> {
        let (r, w) = (&self.nodes[&reader], &self.nodes[&writer]);
        let edge = w.edges_in.last().expect("the edge was entered just now");
        // Only snapshot transactions are pivots.
        if w.kind == Kind::Ssi {
            let first = |t3: Status| {
                t3.no_later_than(r.status)
                    && t3.no_later_than(w.status)
                    && (!r.read_only || t3.no_later_than_ts(r.snapshot))
            };
            if w.summary_out != NONE && first(Status::Committed(w.summary_out)) {
                return Some(self.story(edge, writer, edge, None));
            }
            if let Some(out) = w.edges_out.iter().find(|out| first(self.nodes[&out.other].status)) {
                return Some(self.story(edge, writer, out, Some(out.other)));
            }
        }
        if r.kind == Kind::Ssi && w.status != Status::Active && !r.read_only {
            let far = r.edges_in.iter().find(|far| {
                let t1 = &self.nodes[&far.other];
                !t1.is_doomed()
                    && w.status.no_later_than(t1.status)
                    && (!t1.read_only || w.status.no_later_than_ts(t1.snapshot))
            });
            if let Some(far) = far {
                let out = Edge { other: writer, ..edge.clone() };
                return Some(self.story(far, reader, &out, Some(writer)));
            }
        }
        None
    }

    /// The report of `T1 —rw→ T2 —rw→ T3`: `near` is the pivot's edge from T1, `out` the one towards T3.
    fn story(&self, near: &Edge, pivot: NodeId, out: &Edge, last: Option<NodeId>) -> Conflict {
        let identity = |id: NodeId| self.nodes.get(&id).and_then(|node| node.writer).map(|writer| writer.0);
        let pid = |id: NodeId| self.nodes.get(&id).map(|node| node.session.pid);
        let step = |id: NodeId, action, edge: Option<&Edge>, other: Option<NodeId>| ConflictStep {
            pid: pid(id).unwrap_or(0),
            transaction: identity(id).unwrap_or(0),
            action,
            tree: edge.and_then(|edge| edge.tree),
            relation: None,
            key: edge.filter(|edge| edge.tree.is_some()).map(|edge| edge.key.to_vec()),
            object: crate::ConflictObject::Named,
            other: other.and_then(identity),
            other_pid: other.and_then(pid),
            // Of the other end nobody remembers by which of its statements it was.
            statement: edge.filter(|edge| edge.entered_by == id).and_then(|edge| edge.statement.clone()),
        };
        let mut steps = vec![
            step(near.other, action::READ, Some(near), Some(pivot)),
            step(pivot, action::WROTE, Some(near), Some(near.other)),
        ];
        if let Some(last) = last {
            steps.push(step(pivot, action::READ, Some(out), Some(last)));
            steps.push(step(last, action::WROTE, Some(out), Some(pivot)));
        }
        Conflict { kind: ConflictKind::Dependencies, steps }
    }

    fn doom(&mut self, id: NodeId, conflict: Conflict) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.doom = Some(conflict);
            node.signals.doomed.store(true, Ordering::Release);
        }
    }

    fn doom_oldest(&mut self) {
        let active = self.nodes.iter().filter(|(_, n)| n.kind == Kind::Ssi && n.status == Status::Active);
        if let Some((&id, _)) = active.min_by_key(|(_, n)| n.snapshot) {
            self.doom(id, Conflict::default());
        }
    }

    /// Rule 8: has `id` committed with an edge to something that committed at or before `snapshot`?
    fn spoils(&self, id: NodeId, snapshot: Timestamp) -> bool {
        let node = &self.nodes[&id];
        node.status.is_committed()
            && (node.summary_out <= snapshot
                || node.edges_out.iter().any(|out| self.nodes[&out.other].status.no_later_than_ts(snapshot)))
    }

    fn judge_snapshot(&self, reader: &mut Node) {
        for (id, node) in &self.nodes {
            if node.kind != Kind::Ssi || node.read_only {
                continue;
            }
            match node.status {
                Status::Committed(ts) if ts <= reader.snapshot => {}
                Status::Committed(_) => reader.unsafe_snapshot |= self.spoils(*id, reader.snapshot),
                Status::Active | Status::Prepared => {
                    reader.undecided.insert(*id);
                }
            }
        }
        let safe = reader.undecided.is_empty() && !reader.unsafe_snapshot;
        reader.signals.safe.store(safe, Ordering::Release);
    }
}
