//! How many of SSI's aborts were needed? Four loads, run by sixteen clients; of each transaction that failed with 40001 it is decided exactly
//! whether the dependencies would have had a cycle, had it committed when it failed with what it had done so far.
//!
//! The graph is known without looking at values: the committed transactions have a snapshot and a commit timestamp, so which version of a key
//! a read saw, and who wrote the next one, follows. To it is added the aborted transaction X at its place, just behind the newest
//! commit of that moment:
//!
//! - into X: from the writers of what it read; from the writer of what it wrote over; from whoever had read a key that X wrote, below X;
//! - out of X: to the writer of the next version of what it read; to who wrote its keys, or read them, after it.
//!
//! X was a *false positive* if there is no way from X back to X. That is an upper bound of needless aborts: transactions that could not have
//! committed beside X, since they wrote one of its keys under a snapshot without X, are left out; and so are those that failed
//! themselves, though two may have failed for one cycle.
//!
//! `cargo test -p serin-txn false_positives -- --nocapture` prints the table of docs/isolation.md; `SERIN_HISTORY` sets the number of transactions.

use super::harness::*;
use crate::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::{Direction, KeyRange, Store, StoreOptions, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CLIENTS: u64 = 16;

type Key = u64;

/// Places in the order of commits: twice the timestamp for a commit, one more for an abort behind it.
type Place = u64;

#[derive(Default, Clone)]
struct Record {
    /// What its snapshot has: all up to this place.
    sees: Place,
    place: Place,
    reads: BTreeSet<Key>,
    scans: Vec<(Key, Key)>,
    writes: BTreeSet<Key>,
}

impl Record {
    fn has_read(&self, key: Key) -> bool {
        self.reads.contains(&key) || self.scans.iter().any(|(from, to)| (*from..=*to).contains(&key))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Committed,
    /// A row had been updated since the snapshot.
    ConcurrentUpdate,
    DangerousStructure,
    /// No matter of dependencies.
    Deadlock,
}

/// A transaction and what it has done.
struct Client<'a> {
    transaction: Transaction,
    tree: &'a Arc<Tree>,
    statements: &'a AtomicU64,
    rng: &'a mut StdRng,
    record: Record,
}

impl Client<'_> {
    fn statement<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.transaction.start_statement()?;
        let outcome = work(self)?;
        self.transaction.end_statement();
        // A round trip: on few cores transactions overlap only if they are made to.
        let target = self.statements.fetch_add(1, Ordering::Relaxed) + self.rng.random_range(0..CLIENTS * 2);
        for _ in 0..30 {
            if self.statements.load(Ordering::Relaxed) >= target {
                break;
            }
            std::thread::yield_now();
        }
        Ok(outcome)
    }

    fn get(&mut self, key: Key) -> Result<()> {
        self.statement(|client| {
            if !client.record.writes.contains(&key) {
                client.record.reads.insert(key);
            }
            client.transaction.get(client.tree, &key.to_be_bytes())?;
            Ok(())
        })
    }

    /// The keys found.
    fn scan(&mut self, from: Key, to: Key, limit: usize) -> Result<Vec<Key>> {
        self.statement(|client| {
            let bound = |key: Key| Bound::Included(key.to_be_bytes().to_vec());
            let range = KeyRange { start: bound(from), end: bound(to) };
            client.record.scans.push((from, to));
            let mut scan = client.transaction.scan(client.tree, range, Direction::Forward)?;
            let mut found = Vec::new();
            while scan.next_batch(&mut client.transaction, 64, &mut |key, _| {
                found.push(Key::from_be_bytes(key.try_into().unwrap()));
                found.len() < limit
            })? && found.len() < limit
            {}
            // Of what is behind the last one that was wanted it has seen nothing.
            if let (true, Some(last), Some(read)) =
                (found.len() >= limit, found.last(), client.record.scans.last_mut())
            {
                read.1 = *last;
            }
            Ok(found)
        })
    }

    /// `UPDATE … SET v = v + 1 WHERE key = …`, or the DELETE of it.
    fn change(&mut self, key: Key, delete: bool) -> Result<()> {
        self.statement(|client| {
            let (tree, name) = (client.tree, key.to_be_bytes());
            client.record.writes.insert(key);
            let strength = if delete { RowLockMode::Update } else { RowLockMode::NoKeyUpdate };
            let there = match client.transaction.lock_row(tree, &name, strength, WaitPolicy::Block)? {
                RowLock::Unchanged => client.transaction.get(tree, &name)?.is_some(),
                RowLock::Changed(now) => now.is_some(),
                RowLock::Skipped | RowLock::SelfModified { .. } => panic!("nobody skips here"),
            };
            match (there, delete) {
                (false, _) => {
                    client.record.writes.remove(&key);
                    client.record.reads.insert(key);
                    Ok(())
                }
                (true, true) => client.transaction.delete(tree, &name),
                (true, false) => client.transaction.update(tree, &name, b"v"),
            }
        })
    }
    fn update(&mut self, key: Key) -> Result<()> {
        self.change(key, false)
    }

    fn insert(&mut self, key: Key) -> Result<()> {
        self.statement(|client| {
            client.record.writes.insert(key);
            client.transaction.insert(client.tree, &key.to_be_bytes(), b"v")?;
            Ok(())
        })
    }
}

// ---- the loads ----

struct Load {
    name: &'static str,
    rows: fn() -> Vec<Key>,
    run: fn(&mut Client<'_>) -> Result<()>,
}

/// A key of one of several tables in the tree.
fn in_table(table: u64, row: u64) -> Key {
    table << 48 | row
}

fn small_bank(client: &mut Client<'_>) -> Result<()> {
    // A few of the 1,000 customers are hot: with probability 1/2 among the first ten.
    let mut customer = || match client.rng.random_bool(0.5) {
        true => client.rng.random_range(0..10),
        false => client.rng.random_range(0..1000),
    };
    let (one, two) = (customer(), customer());
    let (saving, checking) = (in_table(1, one), in_table(2, one));
    let kind = client.rng.random_range(0..5);
    client.get(in_table(0, one))?;
    match kind {
        0 => {
            client.get(saving)?;
            client.get(checking)
        }
        1 => client.update(checking),
        2 => {
            client.get(saving)?;
            client.update(saving)
        }
        3 => {
            client.get(in_table(0, two))?;
            client.get(saving)?;
            client.get(checking)?;
            client.update(saving)?;
            client.update(checking)?;
            client.update(in_table(2, two))
        }
        _ => {
            client.get(saving)?;
            client.get(checking)?;
            client.update(checking)
        }
    }
}

fn sibench(client: &mut Client<'_>) -> Result<()> {
    match client.rng.random() {
        true => client.scan(0, 99, usize::MAX).map(|_| ()),
        false => {
            let row = client.rng.random_range(0..100);
            client.update(row)
        }
    }
}

/// Two warehouses of ten districts; 1,000 kinds of stock in each, 100 customers in each district.
fn tpcc(client: &mut Client<'_>) -> Result<()> {
    let (warehouse, district) = (client.rng.random_range(0..2u64), client.rng.random_range(0..10));
    let place = warehouse * 10 + district;
    let customer = in_table(2, place * 100 + client.rng.random_range(0..100));
    let stock = |item: u64| in_table(3, warehouse * 1000 + item);
    // Orders of a district follow each other; their numbers are made up here.
    let order = |order: u64| in_table(4, place << 32 | order);
    let orders = (order(0), order(u64::from(u32::MAX)));
    match client.rng.random_range(0..100) {
        0..45 => {
            client.get(in_table(0, warehouse))?;
            client.update(in_table(1, place))?;
            let number = client.statements.load(Ordering::Relaxed) << 6 | client.rng.random_range(0..64);
            client.insert(order(number & u64::from(u32::MAX)))?;
            for item in [0..330, 330..660, 660..1000] {
                let item = client.rng.random_range(item);
                client.update(stock(item))?;
            }
            Ok(())
        }
        45..88 => {
            client.update(in_table(5, warehouse))?;
            client.update(in_table(6, place))?;
            client.update(customer)
        }
        88..92 => {
            client.get(customer)?;
            client.scan(orders.0, orders.1, 5).map(|_| ())
        }
        92..96 => {
            let Some(oldest) = client.scan(orders.0, orders.1, 1)?.first().copied() else { return Ok(()) };
            client.change(oldest, true)?;
            client.update(customer)
        }
        _ => {
            client.get(in_table(1, place))?;
            for _ in 0..5 {
                let item = client.rng.random_range(0..1000);
                client.get(stock(item))?;
            }
            Ok(())
        }
    }
}

fn random(client: &mut Client<'_>) -> Result<()> {
    let mut row = || client.rng.random_range(0..300);
    let (a, b, c, d) = (row(), row(), row(), row());
    client.get(a)?;
    client.get(b)?;
    client.scan(c, c + 4, usize::MAX)?;
    client.update(d)
}

const LOADS: [Load; 4] = [
    Load {
        name: "SmallBank",
        rows: || (0..3).flat_map(|table| (0..1000).map(move |row| in_table(table, row))).collect(),
        run: small_bank,
    },
    Load { name: "SIBENCH", rows: || (0..100).collect(), run: sibench },
    Load {
        name: "TPC-C-like",
        rows: || {
            let tables = [2, 20, 2000, 2000, 0, 2, 20].into_iter().enumerate();
            tables.flat_map(|(table, rows)| (0..rows).map(move |row| in_table(table as u64, row))).collect()
        },
        run: tpcc,
    },
    Load { name: "random", rows: || (0..305).collect(), run: random },
];

// ---- running ----

fn run(load: &Load, transactions: u64) -> Vec<(Record, Outcome)> {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let manager = TransactionManager::new(Store::open(StoreOptions::new(dir.path())).unwrap());
    let mut loading = manager.begin(options(&SessionHandle::new(1), Mode::Ssi, Isolation::ReadCommitted));
    let tree = loading.create_tree().unwrap();
    for row in (load.rows)() {
        loading.insert(&tree, &row.to_be_bytes(), b"v").unwrap();
    }
    commit_durably(&manager, loading).unwrap();
    let statements = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (manager, tree, statements) = (&manager, &tree, &statements);
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(client);
                    let session = SessionHandle::new(client as i32 + 10);
                    let mut records = Vec::new();
                    for _ in 0..transactions / CLIENTS {
                        records.push(one(load, manager, tree, statements, &mut rng, &session));
                    }
                    records
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn one(
    load: &Load,
    manager: &Arc<TransactionManager>,
    tree: &Arc<Tree>,
    statements: &AtomicU64,
    rng: &mut StdRng,
    session: &Arc<SessionHandle>,
) -> (Record, Outcome) {
    let transaction = manager.begin(options(session, Mode::Ssi, Isolation::Serializable));
    let mut client = Client { transaction, tree, statements, rng, record: Record::default() };
    let done = (load.run)(&mut client);
    let Client { transaction, mut record, .. } = client;
    // A snapshot that has moved on reads what it would have read from the start.
    record.sees = transaction.snapshot_timestamp().0 * 2;
    let outcome = match done.and_then(|()| transaction.commit()) {
        Ok(committed) => {
            record.place = match committed.durable_at {
                Some(at) if !record.writes.is_empty() => at.0 * 2,
                // It only read: anywhere behind what it saw.
                _ => record.sees,
            };
            if let Some(at) = committed.durable_at {
                manager.store().publish_early(at);
            }
            return (record, Outcome::Committed);
        }
        Err(Error::ConcurrentUpdate { .. }) => Outcome::ConcurrentUpdate,
        Err(Error::DangerousStructure(_)) => Outcome::DangerousStructure,
        Err(Error::Deadlock(_)) => Outcome::Deadlock,
        Err(error) => panic!("{error}"),
    };
    record.place = manager.store().last_commit().0 * 2 + 1;
    (record, outcome)
}

// ---- judging ----

struct Graph<'a> {
    committed: Vec<&'a Record>,
    /// Versions of each key, by place, with their writer.
    versions: BTreeMap<Key, Vec<(Place, usize)>>,
    out: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn new(committed: Vec<&'a Record>) -> Graph<'a> {
        let mut graph =
            Graph { out: vec![Vec::new(); committed.len()], committed, versions: BTreeMap::new() };
        for (writer, record) in graph.committed.iter().enumerate() {
            for key in &record.writes {
                graph.versions.entry(*key).or_default().push((record.place, writer));
            }
        }
        graph.versions.values_mut().for_each(|versions| versions.sort_unstable());
        for versions in graph.versions.values() {
            versions.windows(2).for_each(|pair| graph.out[pair[0].1].push(pair[1].1));
        }
        for (reader, record) in graph.committed.iter().enumerate() {
            for key in graph.keys_read(record) {
                let (before, after) = graph.around(key, record.sees);
                before.into_iter().for_each(|writer| graph.out[writer].push(reader));
                graph.out[reader].extend(after);
            }
        }
        graph
    }

    /// Keys that were read, as far as anybody wrote them.
    fn keys_read(&self, record: &Record) -> Vec<Key> {
        let scanned = record.scans.iter().flat_map(|(from, to)| self.versions.range(*from..=*to));
        let exact = record.reads.iter().copied().filter(|key| self.versions.contains_key(key));
        exact.chain(scanned.map(|(key, _)| *key)).collect()
    }

    /// Who wrote the version of a key that is seen from a place, and the one after it.
    fn around(&self, key: Key, sees: Place) -> (Option<usize>, Option<usize>) {
        let Some(versions) = self.versions.get(&key) else { return (None, None) };
        let next = versions.partition_point(|(place, _)| *place <= sees);
        (next.checked_sub(1).map(|at| versions[at].1), versions.get(next).map(|(_, writer)| *writer))
    }

    fn has_cycle(&self) -> bool {
        // Kahn: what can't be taken away is on or behind a cycle.
        let mut inward = vec![0; self.out.len()];
        let edges = |from: usize| self.out[from].iter().copied().filter(move |to| *to != from);
        (0..self.out.len()).flat_map(edges).for_each(|to| inward[to] += 1);
        let mut free: Vec<usize> = (0..self.out.len()).filter(|node| inward[*node] == 0).collect();
        let mut taken = 0;
        while let Some(node) = free.pop() {
            taken += 1;
            for to in edges(node) {
                inward[to] -= 1;
                if inward[to] == 0 {
                    free.push(to);
                }
            }
        }
        taken < self.out.len()
    }

    /// Whether the graph with `x` in it has a cycle through `x`.
    fn closes_cycle(&self, x: &Record) -> bool {
        let excluded = |other: usize| {
            let other = self.committed[other];
            other.sees < x.place && other.place > x.place && !other.writes.is_disjoint(&x.writes)
        };
        let (mut into, mut reached) = (BTreeSet::new(), Vec::new());
        for key in self.keys_read(x) {
            let (before, after) = self.around(key, x.sees);
            into.extend(before);
            reached.extend(after);
        }
        for key in &x.writes {
            let (before, after) = self.around(*key, x.place);
            into.extend(before);
            reached.extend(after);
            for (reader, record) in self.committed.iter().enumerate() {
                match record.has_read(*key) {
                    true if record.sees < x.place => drop(into.insert(reader)),
                    true => reached.push(reader),
                    false => {}
                }
            }
        }
        let mut seen = vec![false; self.out.len()];
        while let Some(node) = reached.pop() {
            if std::mem::replace(&mut seen[node], true) || excluded(node) {
                continue;
            }
            if into.contains(&node) {
                return true;
            }
            reached.extend(&self.out[node]);
        }
        false
    }
}

#[test]
fn most_aborts_are_needed() {
    let transactions = std::env::var("SERIN_HISTORY").map_or(4_000, |count| count.parse().expect("a number"));
    println!(
        "| load | commits | aborts per commit | first updater wins | dangerous structures | false positives |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for load in &LOADS {
        let records = run(load, transactions);
        let of = |wanted: Outcome| {
            let matching = records.iter().filter(move |(_, outcome)| *outcome == wanted);
            matching.map(|(record, _)| record).collect::<Vec<_>>()
        };
        let graph = Graph::new(of(Outcome::Committed));
        assert!(!graph.has_cycle(), "{}: a history that is not serializable", load.name);
        let commits = graph.committed.len();
        let judge = |outcome: Outcome| {
            let aborted = of(outcome);
            (aborted.len(), aborted.iter().filter(|x| !graph.closes_cycle(x)).count())
        };
        let (updates, needless_updates) = judge(Outcome::ConcurrentUpdate);
        let (structures, needless_structures) = judge(Outcome::DangerousStructure);
        let (aborts, needless) = (updates + structures, needless_updates + needless_structures);
        println!(
            "| {} | {commits} | {:.3} | {updates} ({needless_updates} needless) | {structures} ({needless_structures} needless) | {:.0} % |",
            load.name,
            aborts as f64 / commits as f64,
            100.0 * needless as f64 / aborts.max(1) as f64,
        );
        assert!(aborts < commits, "{}: more aborts than commits", load.name);
    }
}

#[test]
fn the_judge_knows_a_write_skew_from_a_harmless_structure() {
    let record = |sees: u64, place: u64, reads: &[Key], writes: &[Key]| Record {
        sees: sees * 2,
        place,
        reads: reads.iter().copied().collect(),
        scans: Vec::new(),
        writes: writes.iter().copied().collect(),
    };
    // Both saw the state of 1; the first to commit read 2 and wrote 1.
    let first = record(1, 4, &[2], &[1]);
    let graph = Graph::new(vec![&first]);
    assert!(graph.closes_cycle(&record(1, 5, &[1], &[2])), "the other half of a write skew");
    assert!(!graph.closes_cycle(&record(1, 5, &[1], &[3])), "it only has to come before the first");
    assert!(!graph.closes_cycle(&record(2, 5, &[1], &[2])), "it has seen what the first wrote");
}
