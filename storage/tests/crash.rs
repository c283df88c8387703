//! Crashes and failures on a simulated disk, on many seeds: see `common/simulation.rs`.
//!
//! ```text
//! cargo test -p serin-storage --test crash                                          the seeds of the test run
//! SERIN_SEED=4711 cargo test -p serin-storage --test crash acknowledged             one seed again
//! SERIN_FIRST_SEED=1000000 SERIN_SEEDS=5000000 cargo test --release -p serin-storage --test crash acknowledged    a soak
//! ```

mod common;

use common::simulation::{self, RESTORED, run_many};
use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::vfs::sim::SimVfs;
use serin_storage::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn open(vfs: &SimVfs) -> Result<Arc<Store>> {
    let mut options = StoreOptions::new(Path::new("/sim"));
    options.threads = false;
    options.page_cache_bytes = 256 << 10;
    options.wal_segment_bytes = 16 << 10;
    Store::open_with(Arc::new(vfs.clone()), options)
}

#[test]
fn acknowledged_survives_and_nothing_is_half_there() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("SERIN_SEED") {
        Some(seed) => (seed, 1),
        None => (number("SERIN_FIRST_SEED").unwrap_or(0), number("SERIN_SEEDS").unwrap_or(20_000)),
    };
    match run_many(first, first + count) {
        Ok(course) => eprintln!(
            "{count} seeds: {course:?}, restored {}",
            RESTORED.load(std::sync::atomic::Ordering::Relaxed)
        ),
        Err((seed, what)) => panic!(
            "seed {seed}: {what}\nagain: SERIN_SEED={seed} cargo test -p serin-storage --test crash acknowledged"
        ),
    }
}

/// Also where the store's threads take part: who runs when is decided by the seed.
#[test]
fn a_seed_is_a_run() {
    let slow = (0..).filter_map(|seed| {
        let course = simulation::run(seed).expect("a run without a failure");
        (course.slow > 0).then_some((seed, course))
    });
    for (seed, course) in slow.take(40) {
        assert_eq!(simulation::run(seed).as_ref(), Ok(&course), "seed {seed}, for a second time");
    }
}

#[test]
fn failed_sync_stops_the_store_and_a_restart_recovers() {
    for seed in 0..100 {
        let mut rng = StdRng::seed_from_u64(seed);
        let vfs = SimVfs::new(seed);
        let store = open(&vfs).unwrap();
        let tree = create_tree(&store);
        vfs.fail_sync_after(rng.random_range(0..20));
        let mut acknowledged = 0u32;
        let failed = loop {
            let mut writer = store.writer();
            put(&mut writer, &tree, &acknowledged.to_be_bytes(), b"value");
            let result = writer.commit().and_then(|at| store.wait_durable(at.unwrap()));
            match result {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
            if acknowledged % 5 == 4
                && let Err(error) = store.fold_now()
            {
                break error;
            }
        };
        assert!(matches!(failed, Error::Stopped(_) | Error::Io { .. }), "{failed}");
        // Nothing is acknowledged from now on, though syncs work again.
        let mut writer = store.writer();
        put(&mut writer, &tree, b"later", b"value");
        let result = writer.commit().and_then(|at| store.wait_durable(at.unwrap()));
        assert!(matches!(result, Err(Error::Stopped(_))), "seed {seed}");
        let before = contents(&store, &tree).len();
        assert!(before >= acknowledged as usize, "reads go on");
        let id = tree.id();
        drop((tree, store));
        vfs.crash();
        let store = open(&vfs).unwrap();
        let found = contents(&store, &store.tree(id).unwrap());
        assert!(
            found.len() >= acknowledged as usize && found.len() <= acknowledged as usize + 1,
            "seed {seed}"
        );
    }
}

#[test]
fn full_disk_fails_the_commit_and_nothing_else() {
    let vfs = SimVfs::new(1);
    let store = open(&vfs).unwrap();
    let tree = create_tree(&store);
    let mut writer = store.writer();
    put(&mut writer, &tree, b"before", b"value");
    commit(&store, writer);
    vfs.set_capacity(Some(vfs.used_bytes()));
    // The current segment still takes something; then a new one is needed and there is no room.
    let mut committed = 0u32;
    let error = loop {
        let mut writer = store.writer();
        put(&mut writer, &tree, &committed.to_be_bytes(), &[1; 1000]);
        match writer.commit() {
            Ok(at) => store.wait_durable(at.unwrap()).unwrap(),
            Err(error) => break error,
        }
        committed += 1;
    };
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert_eq!(contents(&store, &tree).len(), committed as usize + 1, "the failed one is rolled back");
    assert!(matches!(store.fold_now(), Err(Error::DiskFull { .. })), "the fold gives up");
    assert_eq!(contents(&store, &tree).len(), committed as usize + 1);
    // Room again: everything goes on.
    vfs.set_capacity(None);
    let mut writer = store.writer();
    put(&mut writer, &tree, b"after", b"value");
    commit(&store, writer);
    store.fold_now().unwrap();
    let id = tree.id();
    drop((tree, store));
    vfs.crash();
    let store = open(&vfs).unwrap();
    assert_eq!(contents(&store, &store.tree(id).unwrap()).len(), committed as usize + 2);
    drop(store);
    let report = check_with(Arc::new(vfs.clone()), &PathBuf::from("/sim")).unwrap();
    assert!(report.is_clean(), "{:#?}", report.problems);
}

/// A start that fails, wherever it does, leaves nothing behind in memory: who opens stores again and again would run out of it.
#[test]
fn failed_starts_leave_nothing_behind() {
    for operations in 0.. {
        let vfs = SimVfs::new(operations);
        let store = open(&vfs).unwrap();
        let tree = create_tree(&store);
        let mut writer = store.writer();
        put(&mut writer, &tree, b"key", b"value");
        commit(&store, writer);
        drop((tree, store));
        vfs.crash();
        vfs.crash_after(operations);
        let blocking: Arc<dyn Blocking> = Arc::new(Inline);
        let mut options = StoreOptions::new(Path::new("/sim"));
        options.threads = false;
        options.blocking = blocking.clone();
        let opened = Store::open_with(Arc::new(vfs.clone()), options);
        let succeeded = opened.is_ok();
        drop(opened);
        assert_eq!(Arc::strong_count(&blocking), 1, "after {operations} operations, success: {succeeded}");
        if succeeded {
            assert!(operations > 1, "starts do write");
            return;
        }
    }
}
