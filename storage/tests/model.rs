//! Random operations against a `BTreeMap`: writes, transactions that move to disk, savepoints, rollbacks, old snapshots, folds, reopening. Every read
//! path (point, forward and backward scan, in batches of random size) must agree with the model at every step.

mod common;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn random_key(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..20) {
        0 => vec![b'x'; rng.random_range(1..=Tree::KEY_BYTES_MAX)],
        1 => {
            let mut key = vec![b'k'; rng.random_range(30..300)];
            key.push(rng.random_range(0..8));
            key
        }
        _ => format!("key{:04}", rng.random_range(0..600)).into_bytes(),
    }
}

fn random_value(rng: &mut StdRng) -> Vec<u8> {
    let length = match rng.random_range(0..40) {
        0 => rng.random_range(2000..2100),
        1 => rng.random_range(8000..40_000),
        2 => 0,
        _ => rng.random_range(1..120),
    };
    vec![rng.random(); length]
}

fn random_bound(rng: &mut StdRng) -> Bound<Vec<u8>> {
    match rng.random_range(0..4) {
        0 => Bound::Unbounded,
        1 => Bound::Included(random_key(rng)),
        2 => Bound::Excluded(random_key(rng)),
        _ => Bound::Included(format!("key{:04}", rng.random_range(0..600)).into_bytes()),
    }
}

fn check_view(tree: &Arc<Tree>, view: View<'_>, model: &Model, rng: &mut StdRng) {
    for _ in 0..5 {
        let key = random_key(rng);
        let found = tree.get(view, &key, &mut ()).unwrap();
        assert_eq!(found.as_deref(), model.get(&key).map(|value| value.as_slice()), "get {key:?}");
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let range = KeyRange { start: random_bound(rng), end: random_bound(rng) };
        let batch = *[1, 2, 7, 100, 1024].get(rng.random_range(0..5)).unwrap();
        let found = scan_in_batches(tree, view, range.clone(), direction, batch);
        let within = |key: &Vec<u8>| {
            (match &range.start {
                Bound::Unbounded => true,
                Bound::Included(start) => key >= start,
                Bound::Excluded(start) => key > start,
            }) && (match &range.end {
                Bound::Unbounded => true,
                Bound::Included(end) => key <= end,
                Bound::Excluded(end) => key < end,
            })
        };
        let mut expected: Vec<_> =
            model.iter().filter(|(key, _)| within(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        assert_eq!(found.len(), expected.len(), "{range:?} {direction:?} batch {batch}");
        assert!(found == expected, "{range:?} {direction:?} batch {batch}");
    }
}

fn run(seed: u64, steps: usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let options = || {
        let mut options = StoreOptions::new(dir.path());
        options.threads = false;
        options.page_cache_bytes = 256 << 10;
        options.wal_segment_bytes = 128 << 10;
        options.writer_bytes_max = [1 << 10, 10 << 10, 1 << 30][seed as usize % 3];
        options
    };
    let mut store = Store::open(options()).unwrap();
    let mut writer = store.writer();
    let id = store.create_tree(&mut writer).id();
    let at = writer.commit().unwrap().unwrap();
    store.wait_durable(at).unwrap();
    let mut tree = store.tree(id).unwrap();
    let mut model = Model::new();
    let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
    for step in 0..steps {
        match rng.random_range(0..20) {
            0 => store.fold_now().unwrap(),
            1 if step % 3 == 0 => {
                snapshots.clear();
                if rng.random() {
                    store.shutdown().unwrap();
                }
                drop(tree);
                drop(store);
                store = Store::open(options()).unwrap();
                tree = store.tree(id).unwrap();
            }
            2 => snapshots.push((store.snapshot(), model.clone())),
            3 => snapshots.push((store.snapshot_of_state(), model.clone())),
            4 => {
                if !snapshots.is_empty() {
                    snapshots.swap_remove(rng.random_range(0..snapshots.len()));
                }
            }
            _ => {
                let mut writer = store.writer();
                let mut working = model.clone();
                let mut marks: Vec<(Mark, Model)> = Vec::new();
                let mut command = 0;
                for _ in 0..rng.random_range(1..40) {
                    command += rng.random_range(0..2);
                    match rng.random_range(0..12) {
                        0 => {
                            command += 1;
                            marks.push((writer.mark(), working.clone()));
                        }
                        1 if !marks.is_empty() => {
                            let index = rng.random_range(0..marks.len());
                            marks.truncate(index + 1);
                            let (mark, state) = &marks[index];
                            writer.rollback_to(*mark);
                            working = state.clone();
                            command += 1;
                        }
                        2 => {
                            let snapshot = store.snapshot();
                            let own = Some((&**writer.state(), CommandId(u32::MAX)));
                            let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own };
                            check_view(&tree, view, &working, &mut rng);
                        }
                        _ => {
                            let key = random_key(&mut rng);
                            let value = (rng.random_range(0..3) > 0).then(|| random_value(&mut rng));
                            writer.admit().unwrap();
                            let installed = writer.install(
                                &tree,
                                &key,
                                value.as_deref(),
                                Intent::Replace,
                                CommandId(command),
                            );
                            assert!(installed.unwrap().is_ok());
                            match value {
                                Some(value) => working.insert(key, value),
                                None => working.remove(&key),
                            };
                        }
                    }
                }
                if rng.random_range(0..4) == 0 {
                    writer.rollback();
                } else {
                    if let Some(at) = writer.commit().unwrap() {
                        store.wait_durable(at).unwrap();
                    }
                    model = working;
                }
            }
        }
        let snapshot = store.snapshot();
        check_view(
            &tree,
            View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None },
            &model,
            &mut rng,
        );
        check_view(&tree, View { snapshot: &snapshot, horizon: Timestamp::MAX, own: None }, &model, &mut rng);
        if !snapshots.is_empty() {
            let (old, state) = &snapshots[rng.random_range(0..snapshots.len())];
            check_view(&tree, View { snapshot: old, horizon: old.timestamp(), own: None }, state, &mut rng);
            check_view(&tree, View { snapshot: old, horizon: Timestamp::MAX, own: None }, &model, &mut rng);
            for _ in 0..5 {
                let key = random_key(&mut rng);
                let changed = match tree.head(&key).unwrap() {
                    Head::Base { .. } => tree.differs_from(old, &key).unwrap(),
                    Head::Committed { at, exists, .. } => {
                        assert_eq!(exists, model.contains_key(&key));
                        at > old.timestamp()
                    }
                    Head::InProgress { .. } => panic!("nobody writes"),
                };
                assert!(changed || state.get(&key) == model.get(&key), "a change of {key:?} goes unnoticed");
            }
        }
    }
}

#[test]
fn agrees_with_a_map() {
    for seed in 0..30 {
        run(seed, 120);
    }
}

#[test]
fn agrees_with_a_map_for_long() {
    run(4711, 800);
}
