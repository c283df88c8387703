//! Threads: transfers between accounts while folds and snapshots come and go. The sum never changes, in no snapshot.

mod common;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const ACCOUNTS: u32 = 200;
const BALANCE: i64 = 1000;

fn options(dir: &std::path::Path) -> StoreOptions {
    let mut options = StoreOptions::new(dir);
    options.page_cache_bytes = 512 << 10;
    options.wal_segment_bytes = 256 << 10;
    options.fold_interval_ms = 5;
    options
}

fn amount(value: &[u8]) -> i64 {
    i64::from_be_bytes(value.try_into().unwrap())
}

/// Adds to a row: first claims it, then reads the latest committed state, which can't change any more.
fn add(writer: &mut Writer, store: &Arc<Store>, tree: &Arc<Tree>, account: u32, delta: i64) -> bool {
    let key = account.to_be_bytes();
    let mut install =
        |value: &[u8]| writer.install(tree, &key, Some(value), Intent::Modify, CommandId(0)).unwrap();
    if install(&[]).is_err() {
        return false;
    }
    let snapshot = store.snapshot();
    let view = View { snapshot: &snapshot, horizon: Timestamp::MAX, own: None };
    let balance = amount(&tree.get(view, &key, &mut ()).unwrap().unwrap());
    assert!(install(&(balance + delta).to_be_bytes()).is_ok());
    true
}

#[test]
fn sums_agree_in_every_snapshot_under_folds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let tree = create_tree(&store);
    let mut writer = store.writer();
    for account in 0..ACCOUNTS {
        put(&mut writer, &tree, &account.to_be_bytes(), &BALANCE.to_be_bytes());
    }
    commit(&store, writer);
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (store, tree, done, stop) = (&store, &tree, &done, &stop);
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(seed);
                while !stop.load(Ordering::Relaxed) {
                    let mut writer = store.writer();
                    let (from, to) = (rng.random_range(0..ACCOUNTS), rng.random_range(0..ACCOUNTS));
                    let moved = rng.random_range(1..10);
                    let ok = from != to
                        && add(&mut writer, store, tree, from, -moved)
                        && add(&mut writer, store, tree, to, moved);
                    if !ok || rng.random_range(0..10) == 0 {
                        writer.rollback();
                        continue;
                    }
                    let at = writer.commit().unwrap().unwrap();
                    if rng.random_range(0..4) == 0 {
                        store.wait_durable(at).unwrap();
                    }
                    if done.fetch_add(1, Ordering::Relaxed) > 30_000 {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
        for seed in 0..2 {
            let (store, tree, stop) = (&store, &tree, &stop);
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(100 + seed);
                let mut held: Vec<Snapshot> = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    held.push(store.snapshot());
                    let snapshot = &held[rng.random_range(0..held.len())];
                    let view = View { snapshot, horizon: snapshot.timestamp(), own: None };
                    let direction = if rng.random() { Direction::Forward } else { Direction::Backward };
                    let rows = scan_in_batches(tree, view, ALL, direction, rng.random_range(1..100));
                    assert_eq!(rows.len(), ACCOUNTS as usize);
                    let sum: i64 = rows.iter().map(|(_, value)| amount(value)).sum();
                    assert_eq!(sum, i64::from(ACCOUNTS) * BALANCE);
                    if held.len() > 5 {
                        held.swap_remove(rng.random_range(0..5));
                    }
                }
            });
        }
    });
    store.wait_durable(store.last_commit()).unwrap();
    let before = contents(&store, &tree);
    let stats = store.stats();
    assert!(stats.folds > 0 && stats.wal_flushes < stats.commits, "{stats:?}");
    let id = tree.id();
    // No shutdown: the state comes from base and log.
    drop((tree, store));
    let report = check(dir.path()).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    let store = Store::open(options(dir.path())).unwrap();
    assert_eq!(contents(&store, &store.tree(id).unwrap()), before);
}

#[test]
fn durable_future_resolves_on_any_executor() {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let tree = create_tree(&store);
    for key in 0..50u8 {
        let mut writer = store.writer();
        put(&mut writer, &tree, &[key], b"v");
        let at = writer.commit().unwrap().unwrap();
        let mut future = pin!(store.durable(at));
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            std::thread::park();
        }
        assert!(store.watermark() >= at);
    }
}

#[test]
fn full_delta_delays_writers_and_spills_large_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.fold_interval_ms = 60_000;
    options.delta_bytes_soft = 1 << 20;
    options.delta_bytes_high = 2 << 20;
    options.delta_bytes_max = 4 << 20;
    let store = Store::open(options).unwrap();
    let tree = create_tree(&store);
    // Many small transactions: the fold keeps up, or they wait for it, but none fails.
    for round in 0..400u32 {
        let mut writer = store.writer();
        for key in 0..100u32 {
            put(&mut writer, &tree, &(round * 100 + key).to_be_bytes(), &[1; 500]);
        }
        commit(&store, writer);
    }
    assert!(store.stats().folds > 0);
    // One transaction larger than the limit goes to disk, and is there or gone as any other.
    for keep in [false, true] {
        let mut writer = store.writer();
        for key in 0..40_000u32 {
            put(&mut writer, &tree, &key.to_be_bytes(), &[2; 500]);
            assert!(store.stats().delta_bytes <= 4 << 20);
        }
        if keep {
            commit(&store, writer);
        } else {
            writer.rollback();
            assert!(contents(&store, &tree).iter().all(|(_, value)| value[0] == 1));
        }
    }
    assert!(store.stats().spills > 10, "{:?}", store.stats());
    let found = contents(&store, &tree);
    assert!(found.len() == 40_000 && found.iter().all(|(_, value)| value[0] == 2));
    store.fold_now().unwrap();
    assert_eq!(contents(&store, &tree), found);
}
