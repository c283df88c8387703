//! Helpers of the storage tests.
#![allow(dead_code)] // Each test binary uses its own part of them.

pub mod simulation;

use serin_storage::*;
use std::ops::Bound;
use std::sync::Arc;

pub const ALL: KeyRange = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };

pub fn scan_in_batches(
    tree: &Arc<Tree>,
    view: View<'_>,
    range: KeyRange,
    direction: Direction,
    batch: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = tree.cursor(range, direction);
    let mut found = Vec::new();
    loop {
        let before = found.len();
        let more = cursor
            .next_batch(view, batch, &mut (), &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                true
            })
            .unwrap();
        assert!(found.len() - before <= batch);
        if !more {
            return found;
        }
        assert_eq!(found.len() - before, batch, "a batch is full unless it is the last");
    }
}

/// Everything committed and durable.
pub fn contents(store: &Arc<Store>, tree: &Arc<Tree>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let snapshot = store.snapshot();
    let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
    scan_in_batches(tree, view, ALL, Direction::Forward, 1000)
}

pub fn get(store: &Arc<Store>, tree: &Arc<Tree>, key: &[u8]) -> Option<Vec<u8>> {
    let snapshot = store.snapshot();
    let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
    tree.get(view, key, &mut ()).unwrap().map(|value| value.to_vec())
}

pub fn put(writer: &mut Writer, tree: &Arc<Tree>, key: &[u8], value: &[u8]) {
    writer.admit().unwrap();
    let installed = writer.install(tree, key, Some(value), Intent::Replace, CommandId(0)).unwrap();
    assert!(installed.is_ok(), "no conflict");
}

pub fn create_tree(store: &Arc<Store>) -> Arc<Tree> {
    let mut writer = store.writer();
    let tree = store.create_tree(&mut writer);
    let at = writer.commit().unwrap().expect("a tree was created");
    store.wait_durable(at).unwrap();
    tree
}

pub fn commit(store: &Arc<Store>, writer: Writer) {
    if let Some(at) = writer.commit().unwrap() {
        store.wait_durable(at).unwrap();
    }
}
