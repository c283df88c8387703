//! All interleavings of a few small transactions, each step compared with a model of the protocol.
//!
//! A *program* is two operations and a commit. For every set of programs every order of steps is run on the real thing
//! (a stateless depth-first search: each schedule from the start), one step at a time; a session that waits for a lock takes
//! no turn until it has its outcome. After each step the model says what had to happen:
//!
//! | | 2PL | serial | SSI |
//! |---|---|---|---|
//! | a read returns | the latest committed state, and own writes | the same | the state of the snapshot, and own writes |
//! | a step waits | for a conflicting lock held by another, and only for one held or asked for earlier | for the token, held by another | for another's write of the same key; to read a key that the session has lost, for another's write or lock of it |
//! | a step fails | as a deadlock, when its wait closes a cycle, and then always | never | 40001 for a write committed since its snapshot, if something it had read was overwritten, too, and then always; or as part of a dangerous structure, which the model must see too |
//!
//! SSI's snapshot is the state at the first statement, or at a later write of something committed since then (`refresh.rs`), or at a later read
//! of a key that the session has lost (`retry.rs`), if nothing that was read before has changed.
//!
//! Whatever the model thinks: what the committed transactions read and left behind must be explained by running them one
//! after the other in some order; in 2PL and serial by one in which whoever committed before another began precedes it.
//! That is the definition of serializability, tried out on all orders.

use super::harness::*;
use crate::rules::Rule;
use crate::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::KeyRange;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

type Key = u8;
type State = BTreeMap<Key, String>;
const X: Key = b'x';
const Y: Key = b'y';
/// Absent at first.
const Z: Key = b'z';
const KEYS: [Key; 3] = [X, Y, Z];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Get(Key),
    Update(Key),
    Delete(Key),
    Insert(Key),
    Scan,
    Commit,
}

const OPS: [Op; 7] =
    [Op::Get(X), Op::Get(Y), Op::Get(Z), Op::Update(X), Op::Update(Y), Op::Insert(Z), Op::Scan];
/// With what they add to the conflicts of [`OPS`].
const MORE_OPS: [Op; 3] = [Op::Delete(X), Op::Delete(Y), Op::Update(Z)];

impl Op {
    fn reads(self) -> &'static [Key] {
        match self {
            Op::Get(X) | Op::Update(X) | Op::Delete(X) => &[X],
            Op::Get(Y) | Op::Update(Y) | Op::Delete(Y) => &[Y],
            Op::Get(_) | Op::Update(_) | Op::Delete(_) => &[Z],
            Op::Scan => &KEYS,
            Op::Insert(_) | Op::Commit => &[],
        }
    }
    fn writes(self) -> Option<Key> {
        match self {
            Op::Update(key) | Op::Delete(key) | Op::Insert(key) => Some(key),
            Op::Get(_) | Op::Scan | Op::Commit => None,
        }
    }

    /// What the operation answers on this state, and does to it; `None`: a duplicate key.
    fn apply(self, state: &mut State, value: &str) -> Option<String> {
        let show = |state: &State, key: Key| state.get(&key).cloned().unwrap_or("none".into());
        Some(match self {
            Op::Get(key) => show(state, key),
            Op::Update(key) => {
                let old = show(state, key);
                state.entry(key).and_modify(|now| value.clone_into(now));
                old
            }
            Op::Delete(key) => {
                let old = show(state, key);
                state.remove(&key);
                old
            }
            Op::Insert(key) if state.contains_key(&key) => return None,
            Op::Insert(key) => {
                state.insert(key, value.into());
                String::new()
            }
            Op::Scan => state
                .iter()
                .map(|(key, value)| format!("{}={value}", *key as char))
                .collect::<Vec<_>>()
                .join(" "),
            Op::Commit => String::new(),
        })
    }

    /// The same against the store. The keys of a run have a prefix of their own.
    fn run(self, worker: &mut Worker, prefix: &[u8], value: &str) -> Outcome {
        let name = |key: Key| [prefix, &[key]].concat();
        match self {
            Op::Get(key) => {
                let value = worker.statement(|transaction, tree| transaction.get(tree, &name(key)))?;
                Ok(text_of(value).unwrap_or("none".into()))
            }
            Op::Update(key) | Op::Delete(key) => worker.statement(|transaction, tree| {
                let strength = match self {
                    Op::Delete(_) => RowLockMode::Update,
                    _ => RowLockMode::NoKeyUpdate,
                };
                transaction.intend_to_lock(tree, strength);
                let Some(mut old) = transaction.get(tree, &name(key))? else { return Ok("none".into()) };
                match transaction.lock_row(tree, &name(key), strength, WaitPolicy::Block)? {
                    RowLock::Unchanged => {}
                    RowLock::Changed(None) => return Ok("none".into()),
                    RowLock::Changed(Some(now)) => old = now,
                    RowLock::Skipped | RowLock::SelfModified { .. } => panic!("nobody skips here"),
                }
                match self {
                    Op::Delete(_) => transaction.delete(tree, &name(key))?,
                    _ => transaction.update(tree, &name(key), value.as_bytes())?,
                }
                Ok(text(&old))
            }),
            Op::Insert(key) => {
                let inserted = worker
                    .statement(|transaction, tree| transaction.insert(tree, &name(key), value.as_bytes()))?;
                match inserted {
                    Inserted::Done => Ok(String::new()),
                    // SQL makes an error of it (23505, or 40001): the transaction is over.
                    Inserted::Duplicate { .. } => {
                        worker.transaction = None;
                        Ok("duplicate".into())
                    }
                }
            }
            Op::Scan => {
                let range = KeyRange { start: Bound::Included(name(X)), end: Bound::Included(name(Z)) };
                let rows = worker.statement(|transaction, tree| scan(transaction, tree, range))?;
                let rows = rows.iter().map(|(key, value)| format!("{}={value}", &key[prefix.len()..]));
                Ok(rows.collect::<Vec<_>>().join(" "))
            }
            Op::Commit => {
                let transaction = worker.transaction.take().expect("it ran a statement");
                transaction.commit().map(|_| String::new())
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    /// Not begun, or between two steps.
    Ready,
    Waiting,
    Committed,
    Aborted,
}

/// A transaction as the model knows it.
#[derive(Clone, Debug)]
struct Txn {
    program: Vec<Op>,
    /// Steps done.
    done: usize,
    status: Status,
    /// How many had committed at the first statement, and at the commit.
    begun: Option<usize>,
    committed: usize,
    answers: Vec<String>,
    reads: BTreeSet<Key>,
    writes: State,
    deletes: BTreeSet<Key>,
    /// SSI: what the session's failed attempts were about, and what of it this one has locked to read it.
    lost: BTreeSet<Key>,
    locked: BTreeSet<Key>,
    /// SSI: was the one of a dangerous structure that had to go. It finds out later, when others of it may have gone.
    doomed: bool,
    /// Arrival of the request that waits.
    ticket: usize,
}

impl Txn {
    fn is_active(&self) -> bool {
        self.begun.is_some() && matches!(self.status, Status::Ready | Status::Waiting)
    }
    fn changed(&self, key: Key) -> bool {
        self.writes.contains_key(&key) || self.deletes.contains(&key)
    }
    /// SSI: what it locks before it reads.
    fn lost_to(&self, op: Op) -> impl Iterator<Item = Key> {
        op.reads().iter().copied().filter(|key| self.lost.contains(key))
    }
    fn value(&self, index: usize, step: usize) -> String {
        format!("{}{step}", (b'a' + index as u8) as char)
    }
}

#[derive(Clone)]
struct Model {
    mode: Mode,
    txns: Vec<Txn>,
    /// The committed state after each commit; the first is the initial one.
    history: Vec<State>,
    tickets: usize,
}

fn initial() -> State {
    [(X, "x0".to_string()), (Y, "y0".to_string())].into()
}

impl Model {
    fn new(mode: Mode, programs: &[Vec<Op>], lost: &[BTreeSet<Key>]) -> Model {
        let txn = |(at, program): (usize, &Vec<Op>)| Txn {
            program: program.clone(),
            done: 0,
            status: Status::Ready,
            begun: None,
            committed: 0,
            answers: Vec::new(),
            reads: BTreeSet::new(),
            writes: State::new(),
            deletes: BTreeSet::new(),
            lost: lost.get(at).cloned().unwrap_or_default(),
            locked: BTreeSet::new(),
            doomed: false,
            ticket: 0,
        };
        Model {
            mode,
            txns: programs.iter().enumerate().map(txn).collect(),
            history: vec![initial()],
            tickets: 0,
        }
    }

    fn commits(&self) -> usize {
        self.history.len() - 1
    }
    fn op(&self, me: usize) -> Op {
        self.txns[me].program[self.txns[me].done]
    }

    /// The state that this one's next operation works on.
    fn view(&self, me: usize) -> State {
        let txn = &self.txns[me];
        let at = match self.mode {
            Mode::Ssi => txn.begun.unwrap_or(self.commits()),
            Mode::TwoPhase | Mode::Serial => self.commits(),
        };
        let mut state = self.history[at].clone();
        state.extend(txn.writes.clone());
        state.retain(|key, _| !txn.deletes.contains(key));
        state
    }

    /// What this one's operation asks for: keys, and whether exclusively. 2PL locks them all.
    fn asks(&self, me: usize) -> Vec<(Key, bool)> {
        let op = self.op(me);
        match op.writes() {
            Some(key) => vec![(key, true)],
            None => op.reads().iter().map(|key| (*key, self.txns[me].lost.contains(key))).collect(),
        }
    }

    /// The transactions whose locks the operation must wait for.
    fn holders_in_the_way(&self, me: usize) -> Vec<usize> {
        let others = || (0..self.txns.len()).filter(|other| *other != me && self.txns[*other].is_active());
        match (self.mode, self.op(me)) {
            (_, Op::Commit) => Vec::new(),
            (Mode::Serial, _) if self.txns[me].begun.is_some() => Vec::new(),
            (Mode::Serial, _) => others().collect(),
            (Mode::TwoPhase, op) => {
                let mut asks = self.asks(me);
                let there = self.view(me);
                match op {
                    // A duplicate at once: the transaction is over, and its answer with it.
                    Op::Insert(key) if there.contains_key(&key) => asks.clear(),
                    Op::Insert(_) => {}
                    // What isn't there is not written.
                    _ => asks.iter_mut().for_each(|(key, exclusive)| *exclusive &= there.contains_key(key)),
                }
                let conflicts = |other: &usize| {
                    let other = &self.txns[*other];
                    asks.iter().any(|(key, exclusive)| {
                        other.changed(*key) || other.reads.contains(key) && *exclusive
                    })
                };
                others().filter(conflicts).collect()
            }
            (Mode::Ssi, op) => {
                let txn = &self.txns[me];
                let has = |key: Key| txn.changed(key) || txn.locked.contains(&key);
                let mut locks: BTreeSet<Key> = txn.lost_to(op).filter(|key| !has(*key)).collect();
                let is_insert = matches!(op, Op::Insert(_));
                let writes = |key: &Key| is_insert || self.view(me).contains_key(key) && !txn.changed(*key);
                locks.extend(op.writes().filter(writes));
                // What is there is a duplicate, whoever has locked it; but that is a read, and who waits for the lock already gets it first.
                let is_duplicate = |key: &Key| {
                    is_insert
                        && txn.status != Status::Waiting
                        && self.history[self.commits()].contains_key(key)
                };
                let in_the_way = |other: &usize| {
                    let other = &self.txns[*other];
                    let locked = |key: &Key| {
                        other.locked.contains(key)
                            && (!is_duplicate(key) || txn.lost.contains(key) && !has(*key))
                    };
                    locks.iter().any(|key| other.changed(*key) || locked(key))
                };
                others().filter(in_the_way).collect()
            }
        }
    }

    /// Those for whom the operation may have to wait: they asked earlier, still wait, and want what this one wants.
    fn waiters_in_the_way(&self, me: usize) -> Vec<usize> {
        let asks = self.asks(me);
        let ticket = self.txns[me].ticket;
        (0..self.txns.len())
            .filter(|other| {
                // A scan has locked its range before it waits for a row in it.
                let scans = || self.mode == Mode::TwoPhase && self.op(*other) == Op::Scan;
                let earlier = self.txns[me].status != Status::Waiting || self.txns[*other].ticket < ticket;
                *other != me && self.txns[*other].status == Status::Waiting && (earlier || scans())
            })
            .filter(|other| {
                self.mode == Mode::Serial
                    || self.asks(*other).iter().any(|(key, exclusive)| {
                        asks.iter().any(|(mine, also)| mine == key && (*exclusive || *also))
                    })
            })
            // An update that finds nothing locks the key for a write all the same: one may have to wait.
            .chain((0..self.txns.len()).filter(|other| {
                let txn = &self.txns[*other];
                let mut tried = txn.program[..txn.done].iter().filter_map(|op| op.writes());
                *other != me
                    && self.mode == Mode::TwoPhase
                    && txn.is_active()
                    && (tried.any(|key| asks.iter().any(|(mine, _)| *mine == key))
                        || asks.iter().any(|(key, exclusive)| *exclusive && txn.reads.contains(key)))
            }))
            .collect()
    }

    /// Whether waiting would close a cycle of those who wait for holders (certain) or also for earlier waiters (possible).
    fn closes_cycle(&self, me: usize, with_waiters: bool) -> bool {
        let next = |txn: usize| {
            let mut found = self.holders_in_the_way(txn);
            if with_waiters {
                found.extend(self.waiters_in_the_way(txn));
            } else if found.len() > 1 {
                // Keys and ranges are waited for one after the other; in which order is not modelled.
                found.clear();
            }
            found
        };
        let (mut seen, mut reached) = (BTreeSet::new(), next(me));
        while let Some(txn) = reached.pop() {
            if txn == me {
                return true;
            }
            if self.txns[txn].status == Status::Waiting && seen.insert(txn) {
                reached.extend(next(txn));
            }
        }
        false
    }

    /// SSI: a write of this key by a transaction that committed after this one's snapshot.
    fn overwritten_since_snapshot(&self, me: usize) -> bool {
        let (Some(key), Some(begun)) = (self.op(me).writes(), self.txns[me].begun) else { return false };
        !self.txns[me].changed(key)
            && self.txns.iter().any(|other| {
                other.status == Status::Committed && other.committed > begun && other.changed(key)
            })
    }

    /// SSI: nothing that this one read before was overwritten since its snapshot.
    fn can_refresh(&self, me: usize) -> bool {
        let txn = &self.txns[me];
        let begun = txn.begun.unwrap_or(0);
        !self.txns.iter().any(|other| {
            other.status == Status::Committed
                && other.committed > begun
                && txn.reads.iter().any(|key| other.changed(*key))
        })
    }

    /// SSI: before it reads what it has lost, it locks it, and moves its snapshot up if it can. What was committed since then has to be in it.
    fn lock_lost(&mut self, me: usize, op: Op) {
        let txn = &self.txns[me];
        let begun = txn.begun.unwrap_or(0);
        let lost: BTreeSet<Key> = txn.lost_to(op).collect();
        let newer = self.txns.iter().any(|other| {
            other.status == Status::Committed
                && other.committed > begun
                && lost.iter().any(|key| other.changed(*key))
        });
        if newer && self.can_refresh(me) {
            self.txns[me].begun = Some(self.commits());
        }
        self.txns[me].locked.extend(lost);
    }

    /// `from —rw→ to`: concurrent, and the former read something that the latter has written, would write with its present
    /// operation, or the other way round.
    fn edge(&self, from: usize, to: usize, present: usize) -> bool {
        let (a, b) = (&self.txns[from], &self.txns[to]);
        let (Some(a_begun), Some(b_begun)) = (a.begun, b.begun) else { return false };
        let over = |txn: &Txn, before: usize| txn.status == Status::Committed && txn.committed <= before;
        if from == to || a.status == Status::Aborted || b.status == Status::Aborted {
            return false;
        }
        if over(a, b_begun) || over(b, a_begun) {
            return false;
        }
        let mut reads = a.reads.clone();
        let mut writes: BTreeSet<Key> = b.writes.keys().chain(&b.deletes).copied().collect();
        if (from == present || a.status == Status::Waiting) && a.is_active() {
            reads.extend(self.op(from).reads());
            // The check for a duplicate is a read.
            reads.extend(self.op(from).writes());
        }
        if to == present && b.is_active() {
            writes.extend(self.op(to).writes());
        }
        !reads.is_disjoint(&writes)
    }

    /// T1 —rw→ T2 —rw→ T3, T3 the first of them to commit, and this one is T1 or T2. It may have been there before
    /// the present operation, and found out only now.
    fn in_dangerous_structure(&self, me: usize, present: usize) -> bool {
        let all = 0..self.txns.len();
        let structure = |one: usize, two: usize, three: usize| {
            let [a, b, c] = [one, two, three].map(|txn| &self.txns[txn]);
            let first = |other: &Txn| other.status != Status::Committed || c.committed <= other.committed;
            c.status == Status::Committed
                && first(a)
                && first(b)
                && self.edge(one, two, present)
                && self.edge(two, three, present)
        };
        all.clone()
            .any(|other| all.clone().any(|third| structure(me, other, third) || structure(other, me, third)))
    }

    /// Takes the outcome as it is. For mixtures of modes, of which only the end is judged.
    fn follow(&mut self, me: usize, outcome: Option<&Outcome>) {
        let txn = &mut self.txns[me];
        match outcome {
            None => txn.status = Status::Waiting,
            Some(Ok(answer)) if answer != "duplicate" => {
                txn.answers.push(answer.clone());
                txn.done += 1;
                let over = txn.done == txn.program.len();
                txn.status = if over { Status::Committed } else { Status::Ready };
            }
            Some(_) => txn.status = Status::Aborted,
        }
    }

    /// The outcome of this one's present operation, `None` if it waits.
    fn judge(&mut self, me: usize, outcome: Option<&Outcome>) -> Result<(), String> {
        let op = self.op(me);
        if self.txns[me].begun.is_none() && self.mode != Mode::Serial {
            self.txns[me].begun = Some(self.commits());
        }
        let holders = self.holders_in_the_way(me);
        match outcome {
            None => {
                if holders.is_empty() && self.waiters_in_the_way(me).is_empty() {
                    return Err("waits for nobody".into());
                }
                if self.txns[me].status != Status::Waiting {
                    self.tickets += 1;
                    self.txns[me].ticket = self.tickets;
                }
                if self.mode != Mode::Serial && self.closes_cycle(me, false) {
                    return Err("waits in a deadlock".into());
                }
                self.txns[me].status = Status::Waiting;
                return Ok(());
            }
            Some(Ok(answer)) => {
                if !holders.is_empty() {
                    return Err(format!("went past a lock of {holders:?}"));
                }
                self.lock_lost(me, op);
                let finds = matches!(op, Op::Insert(_))
                    || op.writes().is_some_and(|key| self.view(me).contains_key(&key));
                if self.mode == Mode::Ssi
                    && answer != "duplicate"
                    && finds
                    && self.overwritten_since_snapshot(me)
                {
                    if !self.can_refresh(me) {
                        return Err("overwrote a version that it doesn't see".into());
                    }
                    self.txns[me].begun = Some(self.commits());
                }
                if answer == "duplicate" {
                    let key = op.writes().expect("an insert");
                    let there =
                        self.view(me).contains_key(&key) || self.history[self.commits()].contains_key(&key);
                    self.end(me, Status::Aborted);
                    return if there { Ok(()) } else { Err("a duplicate of nothing".into()) };
                }
                let mut state = self.view(me);
                let value = self.txns[me].value(me, self.txns[me].done);
                let expected = op.apply(&mut state, &value);
                if expected.as_ref() != Some(answer) {
                    return Err(format!("the model says {expected:?}"));
                }
            }
            Some(Err(error)) => {
                let justified = match error {
                    Error::ConcurrentUpdate { .. } => {
                        self.mode == Mode::Ssi && self.overwritten_since_snapshot(me) && !self.can_refresh(me)
                    }
                    Error::Deadlock(_) => {
                        self.mode == Mode::TwoPhase && self.closes_cycle(me, true)
                            || self.mode == Mode::Ssi && self.closes_cycle(me, true)
                    }
                    Error::DangerousStructure(_) => {
                        self.txns[me].doomed || self.mode == Mode::Ssi && self.in_dangerous_structure(me, me)
                    }
                    _ => false,
                };
                // What it read or wrote until it failed may have doomed others.
                self.look_for_the_doomed(me);
                self.end(me, Status::Aborted);
                return if justified { Ok(()) } else { Err("the model sees no reason".into()) };
            }
        }
        self.perform(me, op);
        Ok(())
    }

    fn perform(&mut self, me: usize, op: Op) {
        let visible = self.view(me);
        let value = self.txns[me].value(me, self.txns[me].done);
        let commits = self.commits();
        let txn = &mut self.txns[me];
        txn.begun.get_or_insert(commits);
        txn.status = Status::Ready;
        let answer = op.apply(&mut visible.clone(), &value).expect("judged");
        txn.answers.push(answer);
        txn.reads.extend(op.reads());
        // The check for a duplicate.
        txn.reads.extend(op.writes());
        txn.done += 1;
        match op {
            Op::Update(key) if !visible.contains_key(&key) => {}
            Op::Update(key) | Op::Insert(key) => {
                txn.deletes.remove(&key);
                txn.writes.insert(key, value);
            }
            Op::Delete(key) if visible.contains_key(&key) => {
                txn.writes.remove(&key);
                txn.deletes.insert(key);
            }
            Op::Delete(_) | Op::Get(_) | Op::Scan => {}
            Op::Commit => {
                let mut state = self.history[commits].clone();
                let txn = &self.txns[me];
                state.extend(txn.writes.clone());
                state.retain(|key, _| !txn.deletes.contains(key));
                self.history.push(state);
                self.txns[me].committed = commits + 1;
                self.end(me, Status::Committed);
            }
        }
        self.look_for_the_doomed(me);
    }

    fn look_for_the_doomed(&mut self, present: usize) {
        for txn in 0..self.txns.len() {
            if self.mode == Mode::Ssi && self.txns[txn].is_active() {
                self.txns[txn].doomed |= self.in_dangerous_structure(txn, present);
            }
        }
    }

    fn end(&mut self, me: usize, status: Status) {
        self.txns[me].status = status;
        self.txns[me].begun.get_or_insert(self.history.len() - 1);
    }

    /// An order in which the committed transactions, one after the other, do what they did.
    fn serial_order(&self, last: &State) -> Option<Vec<usize>> {
        let committed: Vec<usize> =
            (0..self.txns.len()).filter(|txn| self.txns[*txn].status == Status::Committed).collect();
        permutations(&committed).into_iter().find(|order| {
            let mut state = initial();
            let explained = order.iter().all(|&index| {
                let txn = &self.txns[index];
                txn.program.iter().zip(&txn.answers).enumerate().all(|(step, (op, answer))| {
                    op.apply(&mut state, &txn.value(index, step)).as_ref() == Some(answer)
                })
            });
            let in_time = |(at, later): (usize, &usize)| {
                let later = &self.txns[*later];
                order[at + 1..].iter().all(|next| self.txns[*next].committed > later.begun.unwrap_or(0))
            };
            explained && state == *last && (self.mode == Mode::Ssi || order.iter().enumerate().all(in_time))
        })
    }
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let rest = [&items[..at], &items[at + 1..]].concat();
        all.extend(permutations(&rest).into_iter().map(|order| [&[*first][..], &order].concat()));
    }
    all
}

#[derive(Default, Debug)]
struct Totals {
    schedules: usize,
    waits: usize,
    aborts: usize,
    /// Dangerous structures: of them, how many aborted though committing would have been serializable is for SSI to
    /// minimise, not for this test to forbid.
    dangerous: usize,
    deadlocks: usize,
}

/// The real thing: sessions on threads over one store.
struct Explorer {
    db: Db,
    mode: Mode,
    /// The sessions' modes differ.
    mixed: bool,
    sessions: Vec<Session>,
    /// What each session's failed attempts were about.
    lost: Vec<BTreeSet<Key>>,
    runs: u32,
    totals: Totals,
}

impl Explorer {
    fn new(mode: Mode) -> Explorer {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let db = Db::in_dir(dir, &[]);
        db.manager.ssi.rules.switch_off(Rule::DurableSnapshots);
        let sessions = (1..=3).map(|pid| db.session(pid, mode, Isolation::Serializable)).collect();
        Explorer { db, mode, mixed: false, sessions, lost: Vec::new(), runs: 0, totals: Totals::default() }
    }

    fn session(&self, mode: Mode) -> Session {
        self.db.session(1, mode, Isolation::Serializable)
    }

    /// All schedules of these programs.
    fn explore(&mut self, programs: &[Vec<Op>]) {
        let mut choices: Vec<(usize, usize)> = Vec::new();
        loop {
            let mut depth = 0;
            self.schedule(programs, &mut |enabled| {
                if depth == choices.len() {
                    choices.push((0, enabled));
                }
                // The same choices lead to the same state: otherwise the step has a race that a seed could not repeat.
                assert_eq!(choices[depth].1, enabled, "a schedule of {programs:?} can't be repeated");
                depth += 1;
                choices[depth - 1].0
            });
            choices.truncate(depth);
            while choices.last().is_some_and(|(choice, enabled)| choice + 1 == *enabled) {
                choices.pop();
            }
            match choices.last_mut() {
                Some((choice, _)) => *choice += 1,
                None => return,
            }
        }
    }

    /// One schedule: `choose` says which of so many sessions takes the next step.
    fn schedule(&mut self, programs: &[Vec<Op>], choose: &mut dyn FnMut(usize) -> usize) {
        self.runs += 1;
        let prefix = self.runs.to_be_bytes().map(|byte| format!("{byte:02x}")).concat().into_bytes();
        let mut setup = self.db.begin(Mode::Ssi, Isolation::ReadCommitted);
        setup.start_statement().unwrap();
        for (key, value) in initial() {
            setup.insert(&self.db.tree, &[&prefix[..], &[key]].concat(), value.as_bytes()).unwrap();
        }
        setup.commit().unwrap();

        for (session, lost) in self.sessions.iter().zip(&self.lost) {
            let lost: Vec<Vec<u8>> = lost.iter().map(|key| [&prefix[..], &[*key]].concat()).collect();
            session.handle.forget_lost();
            session.handle.lost_keys(lost.iter().map(|key| (self.db.tree.id(), &key[..])));
        }
        let mut model = Model::new(self.mode, programs, &self.lost);
        let mut trace =
            if self.lost.is_empty() { String::new() } else { format!("  lost: {:?}\n", self.lost) };
        loop {
            let ready = |txn: &usize| model.txns[*txn].status == Status::Ready;
            let enabled: Vec<usize> = (0..programs.len()).filter(ready).collect();
            if enabled.is_empty() {
                break;
            }
            let me = enabled[choose(enabled.len())];
            let (op, value) = (model.op(me), model.txns[me].value(me, model.txns[me].done));
            let name = prefix.clone();
            self.sessions[me].start(move |worker| op.run(worker, &name, &value));
            self.settle(&mut model, me, &mut trace);
        }
        self.totals.schedules += 1;
        let stuck = model.txns.iter().any(|txn| txn.status == Status::Waiting);
        assert!(!stuck, "somebody waits for ever\n{trace}{:#?}", self.db.manager.locks());
        let mut reader = self.db.begin(Mode::Ssi, Isolation::ReadCommitted);
        reader.start_statement().unwrap();
        let state = KEYS.iter().filter_map(|key| {
            let value = reader.get(&self.db.tree, &[&prefix[..], &[*key]].concat()).unwrap();
            Some((*key, text_of(value)?))
        });
        let state: State = state.collect();
        assert!(
            model.serial_order(&state).is_some(),
            "no serial order explains this {:?} run, which left {state:?}\n{trace}",
            self.mode
        );
    }

    /// Waits until every session has an outcome or sleeps, and has the outcomes judged. One transaction's end may let
    /// several go on, and one of those that goes on may let others go on again: in which order they did is not seen, so
    /// there must be one that the model agrees to.
    fn settle(&mut self, model: &mut Model, me: usize, trace: &mut String) {
        let mut running: Vec<usize> = (0..model.txns.len())
            .filter(|txn| *txn == me || model.txns[*txn].status == Status::Waiting)
            .collect();
        let mut outcomes: Vec<(usize, Option<Outcome>)> = Vec::new();
        // Everyone asleep, each seen twice in the same wait: then at the time between all slept at once.
        let mut before = None;
        loop {
            let finished = running.iter().position(|txn| {
                let outcome = self.sessions[*txn].poll();
                let any = outcome.is_some();
                outcomes.extend(any.then_some((*txn, outcome)));
                any
            });
            if let Some(at) = finished {
                running.remove(at);
                before = None;
                continue;
            }
            let ticket = |txn: &usize| self.sessions[*txn].handle.waiting().map(|waiting| waiting.ticket);
            let waits: Vec<_> = running.iter().map(ticket).collect();
            if before.as_ref() == Some(&waits) {
                break;
            }
            before = Some(waits);
        }
        if running.contains(&me) {
            self.totals.waits += 1;
            outcomes.insert(0, (me, None));
        }
        if self.mixed {
            for (txn, outcome) in &outcomes {
                *trace += &format!("  {txn}: {:?} -> {outcome:?}\n", model.op(*txn));
                self.totals.aborts += usize::from(matches!(outcome, Some(Err(_))));
                model.follow(*txn, outcome.as_ref());
            }
            return;
        }
        let Some((agreed, order)) = agree(model, &outcomes) else {
            let complaints: Vec<_> = outcomes
                .iter()
                .map(|(txn, outcome)| (txn, outcome, model.clone().judge(*txn, outcome.as_ref())))
                .collect();
            panic!("{:?}: {complaints:?}, after\n{trace}", self.mode);
        };
        for at in order {
            let (txn, outcome) = &outcomes[at];
            *trace += &format!("  {txn}: {:?} -> {outcome:?}\n", model.op(*txn));
            match outcome {
                Some(Err(Error::DangerousStructure(_))) => self.totals.dangerous += 1,
                Some(Err(Error::Deadlock(_))) => self.totals.deadlocks += 1,
                _ => {}
            }
            self.totals.aborts += usize::from(matches!(outcome, Some(Err(_))));
        }
        *model = agreed;
    }

    fn finish(self) -> Totals {
        drop(self.sessions);
        self.totals
    }
}

/// An order in which the model agrees to all outcomes, and what it is like afterwards.
fn agree(model: &Model, outcomes: &[(usize, Option<Outcome>)]) -> Option<(Model, Vec<usize>)> {
    let orders = permutations(&(0..outcomes.len()).collect::<Vec<_>>());
    orders.into_iter().find_map(|order| {
        let mut model = model.clone();
        let agreed = order.iter().all(|at| model.judge(outcomes[*at].0, outcomes[*at].1.as_ref()).is_ok());
        agreed.then_some((model, order))
    })
}

fn program(ops: &[Op]) -> Vec<Op> {
    [ops, &[Op::Commit]].concat()
}

fn explore_mode(mode: Mode) -> Totals {
    let mut explorer = Explorer::new(mode);
    // Two transactions of two operations: all of them.
    let all: Vec<Vec<Op>> =
        OPS.iter().flat_map(|first| OPS.iter().map(move |second| program(&[*first, *second]))).collect();
    for (at, one) in all.iter().enumerate() {
        for two in &all[at..] {
            explorer.explore(&[one.clone(), two.clone()]);
        }
    }
    // The rarer operations against everything.
    for rare in MORE_OPS {
        for first in OPS {
            for other in &all {
                explorer.explore(&[program(&[first, rare]), other.clone()]);
            }
        }
    }
    // Three of one operation: all of them.
    for (at, one) in OPS.iter().enumerate() {
        for (after, two) in OPS.iter().enumerate().skip(at) {
            for three in &OPS[after..] {
                explorer.explore(&[program(&[*one]), program(&[*two]), program(&[*three])]);
            }
        }
    }
    // The read-only anomaly, and a cycle of three: all interleavings.
    explorer.explore(&[
        program(&[Op::Get(X), Op::Get(Y)]),
        program(&[Op::Get(X), Op::Update(Y)]),
        program(&[Op::Update(X)]),
    ]);
    explorer.explore(&[
        program(&[Op::Get(X), Op::Update(Y)]),
        program(&[Op::Get(Y), Op::Insert(Z)]),
        program(&[Op::Get(Z), Op::Update(X)]),
    ]);
    // Three of two operations: too many to try all.
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..4000 {
        let programs: Vec<Vec<Op>> = (0..3).map(|_| all[rng.random_range(0..all.len())].clone()).collect();
        explorer.schedule(&programs, &mut |enabled| rng.random_range(0..enabled));
    }
    explorer.finish()
}

/// Transactions of different modes at once. SSI orders less than the others: any serial order will do.
#[test]
fn mixed_modes() {
    let mut explorer = Explorer::new(Mode::Ssi);
    explorer.mixed = true;
    let all: Vec<Vec<Op>> =
        OPS.iter().flat_map(|first| OPS.iter().map(move |second| program(&[*first, *second]))).collect();
    let modes = [Mode::Ssi, Mode::TwoPhase, Mode::Serial];
    for pair in [[0, 1], [0, 2], [1, 2]] {
        explorer.sessions = pair.map(|mode| explorer.session(modes[mode])).into();
        for one in &all {
            for two in &all {
                explorer.explore(&[one.clone(), two.clone()]);
            }
        }
    }
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..300 {
        explorer.sessions = (0..3).map(|_| explorer.session(modes[rng.random_range(0..3)])).collect();
        for _ in 0..30 {
            let programs: Vec<Vec<Op>> =
                (0..3).map(|_| all[rng.random_range(0..all.len())].clone()).collect();
            explorer.schedule(&programs, &mut |enabled| rng.random_range(0..enabled));
        }
    }
    let totals = explorer.finish();
    println!("{totals:?}");
    assert!(totals.schedules > 50_000 && totals.aborts > 0 && totals.waits > 0);
}

#[test]
fn two_phase_locking() {
    let totals = explore_mode(Mode::TwoPhase);
    println!("{totals:?}");
    assert!(totals.schedules > 20_000 && totals.deadlocks > 0 && totals.waits > 0 && totals.dangerous == 0);
}

#[test]
fn serial() {
    let totals = explore_mode(Mode::Serial);
    println!("{totals:?}");
    assert!(totals.schedules > 4_000 && totals.aborts == 0 && totals.waits > 0);
}

/// Sessions that have failed: what they lost they lock before they read it.
#[test]
fn ssi_retries() {
    let mut explorer = Explorer::new(Mode::Ssi);
    let all: Vec<Vec<Op>> =
        OPS.iter().flat_map(|first| OPS.iter().map(move |second| program(&[*first, *second]))).collect();
    let keys = |keys: &[Key]| keys.iter().copied().collect::<BTreeSet<Key>>();
    let (x, both, none) = (keys(&[X]), keys(&[X, Y]), keys(&[]));
    for lost in [[&x, &none], [&x, &x], [&x, &keys(&[Y])], [&both, &both]] {
        explorer.lost = lost.map(Clone::clone).into();
        for one in &all {
            for two in &all {
                explorer.explore(&[one.clone(), two.clone()]);
            }
        }
    }
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..4000 {
        let lost = || KEYS.into_iter().filter(|_| rng.random_bool(0.5)).collect();
        explorer.lost = std::iter::repeat_with(lost).take(3).collect();
        let programs: Vec<Vec<Op>> = (0..3).map(|_| all[rng.random_range(0..all.len())].clone()).collect();
        explorer.schedule(&programs, &mut |enabled| rng.random_range(0..enabled));
    }
    let totals = explorer.finish();
    println!("{totals:?}");
    assert!(totals.schedules > 50_000 && totals.dangerous > 0 && totals.waits > 0 && totals.deadlocks > 0);
}

#[test]
fn ssi() {
    let totals = explore_mode(Mode::Ssi);
    println!("{totals:?}");
    assert!(totals.schedules > 20_000 && totals.dangerous > 0 && totals.waits > 0);
}
