//! Crashes on a simulated disk, on many seeds. A random workload (writes of several keys, trees created, dropped and bulk
//! loaded, folds) runs until the disk dies at some operation; then power comes back with whatever sectors made it.
//! Afterwards: what was acknowledged is there, what was not is there entirely or not at all, in commit order, `check`
//! finds nothing, and the store goes on working.

mod common;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::vfs::sim::SimVfs;
use serin_storage::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Tables = BTreeMap<TreeId, BTreeMap<Vec<u8>, Vec<u8>>>;

fn options() -> StoreOptions {
    let mut options = StoreOptions::new(Path::new("/sim"));
    options.threads = false;
    options.page_cache_bytes = 256 << 10;
    options.wal_segment_bytes = 16 << 10;
    options
}

fn open(vfs: &SimVfs) -> Result<Arc<Store>> {
    Store::open_with(Arc::new(vfs.clone()), options())
}

/// In a part of the runs transactions have so little room that they move to disk all the time.
fn open_with_room(vfs: &SimVfs, writer_bytes_max: u64) -> Result<Arc<Store>> {
    let mut options = options();
    options.writer_bytes_max = writer_bytes_max;
    Store::open_with(Arc::new(vfs.clone()), options)
}

fn read_all(store: &Arc<Store>) -> Tables {
    let trees = store.trees().into_iter().filter_map(|id| Some((id, store.tree(id)?)));
    trees.map(|(id, tree)| (id, contents(store, &tree).into_iter().collect())).collect()
}

/// The states after each commit that may have survived, oldest first: the last acknowledged one and all later.
struct History {
    states: Vec<Tables>,
}

impl History {
    fn newest(&self) -> &Tables {
        self.states.last().unwrap()
    }

    fn acknowledge(&mut self) {
        self.states.drain(..self.states.len() - 1);
    }
}

fn transaction(store: &Arc<Store>, history: &mut History, rng: &mut StdRng) -> Result<()> {
    let mut tables = history.newest().clone();
    let mut writer = store.writer();
    let mut fresh = Vec::new();
    let mut savepoint = None;
    for step in 0..rng.random_range(1..6) {
        match rng.random_range(0..8) {
            0 => savepoint = Some((writer.mark(), tables.clone())),
            1 => {
                if let Some((mark, then)) = savepoint.take() {
                    writer.rollback_to(mark);
                    tables = then;
                }
            }
            _ => {}
        }
        match rng.random_range(0..12) {
            0 => {
                let tree = store.create_tree(&mut writer);
                tables.insert(tree.id(), BTreeMap::new());
                fresh.push(tree.id());
                if rng.random() {
                    let mut loader = tree.bulk_loader()?;
                    for index in 0..rng.random_range(0..2000u32) {
                        let (key, value) = (index.to_be_bytes(), vec![7; (index % 90) as usize]);
                        loader.append(&key, &value)?;
                        tables.get_mut(&tree.id()).unwrap().insert(key.to_vec(), value);
                    }
                    loader.finish(&mut writer)?;
                }
            }
            1 if tables.len() > 2 => {
                let id = *tables.keys().nth(rng.random_range(0..tables.len())).unwrap();
                if !fresh.contains(&id) {
                    writer.drop_tree(id);
                    tables.remove(&id);
                }
            }
            _ if !tables.is_empty() => {
                let id = *tables.keys().nth(rng.random_range(0..tables.len())).unwrap();
                let tree = store.tree(id).unwrap();
                for _ in 0..rng.random_range(1..30) {
                    let key = rng.random_range(0..300u32).to_be_bytes();
                    let long = if rng.random_range(0..50) == 0 { 20_000 } else { 200 };
                    let value =
                        (rng.random_range(0..4) > 0).then(|| vec![rng.random(); rng.random_range(0..long)]);
                    writer.admit()?;
                    let installed =
                        writer.install(&tree, &key, value.as_deref(), Intent::Replace, CommandId(step))?;
                    assert!(installed.is_ok());
                    let table = tables.get_mut(&id).unwrap();
                    match value {
                        Some(value) => table.insert(key.to_vec(), value),
                        None => table.remove(key.as_slice()),
                    };
                }
            }
            _ => {}
        }
    }
    let view = store.snapshot();
    for (id, table) in &tables {
        let tree = store.tree(*id).unwrap();
        let view = View {
            snapshot: &view,
            horizon: Timestamp::MAX,
            own: Some((writer.state(), CommandId(u32::MAX))),
        };
        let seen = scan_in_batches(&tree, view, ALL, Direction::Forward, 50);
        assert!(seen.iter().map(|(key, value)| (key, value)).eq(table.iter()), "own writes are seen");
    }
    if rng.random_range(0..5) == 0 {
        writer.rollback();
        return Ok(());
    }
    let Some(at) = writer.commit()? else { return Ok(()) };
    history.states.push(tables);
    // Some commits are waited for, others pile up in the log buffer.
    if rng.random() {
        store.wait_durable(at)?;
        history.acknowledge();
    }
    Ok(())
}

fn workload(store: &Arc<Store>, history: &mut History, rng: &mut StdRng) -> Result<()> {
    for _ in 0..60 {
        match rng.random_range(0..12) {
            0 => {
                store.fold_now()?;
                history.acknowledge();
            }
            1 => {
                let _snapshot = store.snapshot();
                transaction(store, history, rng)?;
                store.fold_now()?;
                history.acknowledge();
            }
            _ => transaction(store, history, rng)?,
        }
    }
    Ok(())
}

fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let vfs = SimVfs::new(seed);
    let mut history = History { states: vec![Tables::new()] };
    let room = [1 << 10, 8 << 10, 1 << 20][rng.random_range(0..3)];
    for _ in 0..4 {
        // Now and then the crash comes while the store opens, or recovers from the crash before.
        let operations = if rng.random_range(0..3) == 0 { 12 } else { 400 };
        vfs.crash_after(rng.random_range(0..operations));
        if let Ok(store) = open_with_room(&vfs, room) {
            let found = read_all(&store);
            assert!(
                history.states.contains(&found),
                "seed {seed}: the state is none that could have survived"
            );
            history.states = vec![found];
            let _ = workload(&store, &mut history, &mut rng);
            if rng.random_range(0..4) == 0 && store.shutdown().is_ok() {
                history.acknowledge();
            }
        }
        vfs.crash();
        if vfs.file_bytes(Path::new("/sim/data.serin")).is_some() {
            let report = check_with(Arc::new(vfs.clone()), Path::new("/sim")).unwrap();
            assert!(report.is_clean(), "seed {seed}: {:#?}", report.problems);
        }
    }
    let store = open(&vfs).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let found = read_all(&store);
    assert!(history.states.contains(&found), "seed {seed}: the state is none that could have survived");
    store.shutdown().unwrap();
    drop(store);
    let report = check_with(Arc::new(vfs.clone()), Path::new("/sim")).unwrap();
    assert!(report.is_clean(), "seed {seed}: {:#?}", report.problems);
}

#[test]
fn acknowledged_survives_and_nothing_is_half_there() {
    let seeds = std::env::var("SERIN_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    for seed in 0..seeds {
        run(seed);
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
