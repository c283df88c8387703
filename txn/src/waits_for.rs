//! Deadlock detection: the waits-for graph, read from the queues when a wait starts.
//!
//! Nodes are sessions (a session waits for one lock at a time; its transaction and its session-scope advisory locks
//! wait together). An edge leads from a waiting session to the holders that exclude its request, and to the holders
//! that exclude any earlier waiter which its request has to stay behind: that waiter waits for nothing else, so its
//! edges can be taken over, and a hot row with n waiters costs one pass over its queue instead of n.
//!
//! Nothing is maintained between checks: waits are rare and cycles rarer. Shards are locked one at a time, so the graph
//! may be torn; a cycle counts when it was found twice in a row (`LockTable::check_deadlock`), and a cycle that was
//! missed is found at the next `deadlock_timeout`.
//!
//! A cycle need not be a deadlock: where one of its edges leads only to an earlier *waiter* (a soft edge), letting the later request
//! overtake opens it, and nobody has to die. [`LockTable::untangle`] tries that, as PostgreSQL does (`deadlock.c`): the soft edges
//! of the cycle from its far end, each tried by moving the waiter before the one it waits for; if another cycle remains, its
//! soft edges on top of that. The search with edges told apart costs a pass over the queue for each waiter, so it is made only
//! once the cheap search has found something.

use crate::conflict::{ConflictObject, ConflictStep};
use crate::key_ranges::point;
use crate::lock_mode::{LockMode, ModeSet};
use crate::lock_table::{LockObject, LockTable, ObjectRef, Owner};
use crate::session::{SessionHandle, Waiting};
use serin_storage::TreeId;
use std::sync::Arc;

/// How many waiters are moved to open one deadlock.
const MOVES_MAX: usize = 8;

/// `waiter` waits, with `wait`, for `blocker`: as a holder, or (soft) as an earlier waiter, with the ticket it waits by.
struct Edge {
    waiter: Arc<Owner>,
    wait: Waiting,
    blocker: Arc<Owner>,
    soft: Option<u64>,
}

/// A session on the search's frontier, and the wait that led to it.
struct Visit {
    owner: Arc<Owner>,
    parent: usize,
    /// The wait of the parent that this owner blocks.
    wait: Option<Waiting>,
}

impl LockTable {
    /// A cycle through the waiting `start`, as the steps of a report, beginning with `start`'s wait.
    pub(crate) fn find_cycle(&self, start: &Arc<Owner>) -> Option<Vec<ConflictStep>> {
        let mut visits = vec![Visit { owner: start.clone(), parent: usize::MAX, wait: None }];
        let mut next = 0;
        while next < visits.len() {
            let owner = visits[next].owner.clone();
            if let Some((wait, blockers)) = self.blockers(&owner.session) {
                for blocker in blockers {
                    let session = blocker.session.id;
                    let visit = Visit { owner: blocker, parent: next, wait: Some(wait.clone()) };
                    if session == start.session.id {
                        return Some(self.story(&visits, &visit));
                    }
                    if !visits.iter().any(|v| v.owner.session.id == session) {
                        visits.push(visit);
                    }
                }
            }
            next += 1;
        }
        None
    }

    /// What the session waits for, and the holders in its way, directly or through the queue.
    fn blockers(&self, session: &Arc<SessionHandle>) -> Option<(Waiting, Vec<Arc<Owner>>)> {
        let wait = session.waiting()?;
        let shard = self.shard(wait.hash);
        let queue = shard.queue(wait.hash, wait.object.as_ref())?;
        let position = queue.waiters.iter().position(|w| w.ticket == wait.ticket)?;
        // The modes of the earlier waiters that the request has to stay behind.
        let mut ahead = ModeSet::EMPTY;
        for earlier in queue.waiters.iter().take(position).rev() {
            if ahead.conflicts_with(earlier.mode) || ModeSet::from(wait.mode).conflicts_with(earlier.mode) {
                ahead.insert(earlier.mode);
            }
        }
        let keeps_ahead_out = |held: ModeSet| ahead.iter().any(|mode| held.conflicts_with(mode));
        // An own lock never excludes the own request, but it may exclude an earlier waiter: then the session stays
        // behind somebody who waits for it, and is its own blocker.
        let excludes =
            |held: ModeSet, own: bool| keeps_ahead_out(held) || !own && held.conflicts_with(wait.mode);
        let blockers = queue
            .holders
            .iter()
            .filter(|h| excludes(h.modes, h.owner.session.id == session.id))
            .map(|h| h.owner.clone())
            .collect();
        drop(shard);
        Some((wait, blockers))
    }

    /// Opens the cycles through `start` by letting waiters overtake. True: there is none left.
    pub(crate) fn untangle(&self, start: &Arc<Owner>) -> bool {
        self.open_gates(start);
        let mut touched = Vec::new();
        let open = self.open_cycles(&mut vec![start.clone()], &mut touched, MOVES_MAX);
        // Whoever stands in front of nobody now may go.
        for wait in touched {
            self.grant_in_queue(wait.hash, wait.object.as_ref());
        }
        open
    }

    /// Gates in cycles through `start` (rule 7 of the lock table) are opened: who waits at one asks for a range that nobody excludes.
    fn open_gates(&self, start: &Arc<Owner>) {
        while let Some(cycle) = self.exact_cycle(start) {
            let gate = cycle.iter().find_map(|edge| match &edge.wait.object {
                LockObject::Range(tree, id) if self.gates.range(*tree, *id).is_some() => {
                    Some((&edge.blocker, *tree, *id))
                }
                _ => None,
            });
            let Some((writer, tree, id)) = gate else { return };
            self.open_gate(writer, tree, id);
        }
    }

    pub(crate) fn open_gate(&self, writer: &Arc<Owner>, tree: TreeId, id: u64) {
        self.gates.remove(tree, id);
        self.release(writer, ObjectRef::Range(tree, id), LockMode::Exclusive);
    }

    fn open_cycles(&self, suspects: &mut Vec<Arc<Owner>>, touched: &mut Vec<Waiting>, moves: usize) -> bool {
        let Some(cycle) = suspects.iter().find_map(|owner| self.exact_cycle(owner)) else { return true };
        if moves == 0 {
            return false;
        }
        for edge in cycle.iter().rev() {
            let Some(blocker) = edge.soft else { continue };
            let Some(from) = self.overtake(&edge.wait, blocker) else { continue };
            touched.push(edge.wait.clone());
            suspects.extend([edge.waiter.clone(), edge.blocker.clone()]);
            if self.open_cycles(suspects, touched, moves - 1) {
                return true;
            }
            suspects.truncate(suspects.len() - 2);
            self.put_back(&edge.wait, from);
        }
        false
    }

    /// The edges of a cycle through the waiting `start`.
    fn exact_cycle(&self, start: &Arc<Owner>) -> Option<Vec<Edge>> {
        let mut visited = vec![(start.clone(), None::<(usize, Edge)>)];
        let mut next = 0;
        while next < visited.len() {
            let owner = visited[next].0.clone();
            for edge in self.edges(&owner) {
                let session = edge.blocker.session.id;
                if session == start.session.id {
                    let mut cycle = vec![edge];
                    let mut at = next;
                    while let Some((parent, edge)) = visited[at].1.take() {
                        cycle.push(edge);
                        at = parent;
                    }
                    cycle.reverse();
                    return Some(cycle);
                }
                if !visited.iter().any(|(owner, _)| owner.session.id == session) {
                    visited.push((edge.blocker.clone(), Some((next, edge))));
                }
            }
            next += 1;
        }
        None
    }

    /// Whom the session waits for: holders, then earlier waiters that are no such holders.
    fn edges(&self, waiter: &Arc<Owner>) -> Vec<Edge> {
        let Some(wait) = waiter.session.waiting() else { return Vec::new() };
        let shard = self.shard(wait.hash);
        let Some(queue) = shard.queue(wait.hash, wait.object.as_ref()) else { return Vec::new() };
        let Some(position) = queue.waiters.iter().position(|w| w.ticket == wait.ticket) else {
            return Vec::new();
        };
        let mine = waiter.session.id;
        let edge = |blocker: &Arc<Owner>, soft| Edge {
            waiter: waiter.clone(),
            wait: wait.clone(),
            blocker: blocker.clone(),
            soft,
        };
        let holders = queue.holders.iter();
        let holders = holders.filter(|h| h.owner.session.id != mine && h.modes.conflicts_with(wait.mode));
        let mut edges: Vec<Edge> = holders.map(|h| edge(&h.owner, None)).collect();
        for earlier in queue.waiters.iter().take(position) {
            let session = earlier.owner.session.id;
            if session != mine
                && ModeSet::from(earlier.mode).conflicts_with(wait.mode)
                && !edges.iter().any(|edge| edge.blocker.session.id == session)
            {
                edges.push(edge(&earlier.owner, Some(earlier.ticket)));
            }
        }
        edges
    }

    /// For `pg_blocking_pids`: the holders and the earlier waiters that exclude the request of session `pid`.
    pub(crate) fn blocking_pids(&self, pid: i32) -> Vec<i32> {
        let mut pids = Vec::new();
        self.for_each_queue(|queue| {
            let Some(position) = queue.waiters.iter().position(|w| w.owner.session.pid == pid) else {
                return;
            };
            let mode = queue.waiters[position].mode;
            let holders = queue.holders.iter().filter(|h| h.modes.conflicts_with(mode)).map(|h| &h.owner);
            let earlier = queue.waiters.iter().take(position);
            let earlier = earlier.filter(|w| ModeSet::from(w.mode).conflicts_with(mode)).map(|w| &w.owner);
            pids.extend(holders.chain(earlier).map(|owner| owner.session.pid).filter(|other| *other != pid));
        });
        pids.dedup();
        pids
    }

    /// The steps from `start` to the visit that closes the cycle.
    fn story(&self, visits: &[Visit], last: &Visit) -> Vec<ConflictStep> {
        let mut steps = Vec::new();
        let mut visit = last;
        while let Some(wait) = &visit.wait {
            let waiter = &visits[visit.parent].owner;
            steps.push(self.step(waiter, wait, &visit.owner));
            visit = &visits[visit.parent];
        }
        steps.reverse();
        steps
    }

    fn step(&self, waiter: &Owner, wait: &Waiting, blocker: &Owner) -> ConflictStep {
        let mut step = ConflictStep {
            pid: waiter.session.pid,
            transaction: waiter.id().unwrap_or(0),
            action: wait.mode.waiting_action(),
            tree: None,
            relation: None,
            key: None,
            object: ConflictObject::Named,
            other: blocker.id(),
            other_pid: Some(blocker.session.pid),
            statement: waiter.session.statement(),
        };
        match &wait.object {
            LockObject::Relation(oid) => step.relation = Some(*oid),
            LockObject::Key(tree, key) => {
                step.tree = Some(*tree);
                step.key = Some(key.to_vec());
            }
            LockObject::Range(tree, id) => {
                step.tree = Some(*tree);
                // A gate is at one key; a range may be gone by now, and with it the deadlock.
                let range = self.ranges.range(*tree, *id).or_else(|| self.gates.range(*tree, *id));
                match range {
                    Some(range) if point(&range).is_some() => step.key = point(&range).map(<[u8]>::to_vec),
                    Some(range) => step.object = ConflictObject::Range(range),
                    None => {}
                }
            }
            LockObject::Advisory(class, object, kind) => {
                step.object = ConflictObject::Advisory(*class, *object, *kind);
            }
            LockObject::SerialToken => step.object = ConflictObject::SerialToken,
        }
        step
    }
}
