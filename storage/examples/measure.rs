//! Rough figures of the storage layer alone: `cargo run --release -p serin-storage --example measure [DIR]`.

use serin_storage::*;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

const ROWS: u64 = 2_000_000;

fn rate(what: &str, count: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<44} {:>12.0} /s {:>10.1} ns each", count as f64 / seconds, seconds * 1e9 / count as f64);
}

fn scan(store: &Arc<Store>, tree: &Arc<Tree>, direction: Direction) -> u64 {
    let snapshot = store.snapshot();
    let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
    let mut cursor = tree.cursor(KeyRange { start: Bound::Unbounded, end: Bound::Unbounded }, direction);
    let (mut rows, mut bytes) = (0, 0);
    while cursor
        .next_batch(view, 1024, &mut (), &mut |key, value| {
            rows += 1;
            bytes += key.len() + value.len();
            true
        })
        .expect("scan")
    {}
    assert!(bytes > 0);
    rows
}

fn gets(store: &Arc<Store>, tree: &Arc<Tree>, keys: u64, what: &str) {
    let start = Instant::now();
    let count = 1_000_000;
    let mut key = 12345u64;
    for _ in 0..count {
        key = (key.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407)) >> 1;
        let snapshot = store.snapshot();
        let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
        assert!(tree.get(view, &(key % keys).to_be_bytes(), &mut ()).expect("get").is_some());
    }
    rate(what, count, start);
}

fn main() {
    let dir =
        std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("serin-measure"), PathBuf::from);
    let _ = std::fs::remove_dir_all(&dir);
    let options = || {
        let mut options = StoreOptions::new(&dir);
        options.delta_bytes_max = 4 << 30;
        options.delta_bytes_high = 3 << 30;
        options.delta_bytes_soft = 1 << 30;
        options
    };
    let store = Store::open(options()).expect("open");
    let value = [b'v'; 100];

    let start = Instant::now();
    let mut writer = store.writer();
    let tree = store.create_tree(&mut writer);
    let mut loader = tree.bulk_loader().expect("loader");
    for key in 0..ROWS {
        loader.append(&key.to_be_bytes(), &value).expect("append");
    }
    rate("bulk append", ROWS, start);
    loader.finish(&mut writer).expect("finish");
    let at = writer.commit().expect("commit").expect("not empty");
    store.wait_durable(at).expect("durable");
    rate("bulk load with sync and commit", ROWS, start);

    let start = Instant::now();
    rate("scan forward, cold cache", scan(&store, &tree, Direction::Forward), start);
    let start = Instant::now();
    rate("scan forward, warm", scan(&store, &tree, Direction::Forward), start);
    let start = Instant::now();
    rate("scan backward, warm", scan(&store, &tree, Direction::Backward), start);
    gets(&store, &tree, ROWS, "point get from base, with snapshot");
    gets(&store, &tree, 1000, "point get from base, 1000 keys");

    let start = Instant::now();
    let mut writer = store.writer();
    for key in 0..ROWS / 2 {
        let installed = writer.install(&tree, &key.to_be_bytes(), Some(&value), Intent::Modify, CommandId(0));
        assert!(installed.expect("install").is_ok());
    }
    rate("install, one transaction, ascending", ROWS / 2, start);
    let start = Instant::now();
    let at = writer.commit().expect("commit").expect("not empty");
    rate("  its commit", ROWS / 2, start);
    store.wait_durable(at).expect("durable");
    rate("  its durability", ROWS / 2, start);
    println!("delta: {:.0} bytes/key", store.stats().delta_bytes as f64 / (ROWS / 2) as f64);
    gets(&store, &tree, ROWS, "point get, half of it from the delta");
    let start = Instant::now();
    rate("scan forward, merged", scan(&store, &tree, Direction::Forward), start);

    let start = Instant::now();
    store.fold_now().expect("fold");
    rate("fold", ROWS / 2, start);
    println!(
        "delta after the fold: {} bytes, {:?} keys",
        store.stats().delta_bytes,
        store.stats().delta_keys
    );

    let start = Instant::now();
    let count = 200_000;
    let mut last = None;
    for index in 0..count {
        let mut writer = store.writer();
        let key = (index * 7919 % ROWS).to_be_bytes();
        let _ = writer.install(&tree, &key, Some(&value), Intent::Modify, CommandId(0)).expect("install");
        last = writer.commit().expect("commit");
    }
    rate("install + commit, not waiting", count, start);
    store.wait_durable(last.expect("committed")).expect("durable");
    rate("  until durable", count, start);

    for threads in [1, 16, 64] {
        let stop = AtomicBool::new(false);
        let done = AtomicU64::new(0);
        let flushes = store.stats().wal_flushes;
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (store, tree, stop, done) = (&store, &tree, &stop, &done);
                scope.spawn(move || {
                    let mut key = thread;
                    while !stop.load(Ordering::Relaxed) {
                        key = (key + 7919 * 64) % ROWS;
                        let mut writer = store.writer();
                        let installed = writer.install(
                            tree,
                            &key.to_be_bytes(),
                            Some(&value),
                            Intent::Modify,
                            CommandId(0),
                        );
                        if installed.expect("install").is_ok() {
                            let at = writer.commit().expect("commit").expect("not empty");
                            store.wait_durable(at).expect("durable");
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            std::thread::sleep(std::time::Duration::from_secs(3));
            stop.store(true, Ordering::Relaxed);
        });
        rate(&format!("durable commits, {threads} threads"), done.load(Ordering::Relaxed), start);
        println!(
            "  {:.0} syncs/s",
            (store.stats().wal_flushes - flushes) as f64 / start.elapsed().as_secs_f64()
        );
    }
    println!("{:#?}", store.stats());
    drop((tree, store));
    let start = Instant::now();
    let store = Store::open(options()).expect("reopen");
    println!("recovery: {:.2} s, {} keys", start.elapsed().as_secs_f64(), store.stats().delta_keys);
    let start = Instant::now();
    store.shutdown().expect("shutdown");
    println!("shutdown: {:.2} s", start.elapsed().as_secs_f64());
    drop(store);
    let start = Instant::now();
    let report = check(&dir).expect("check");
    println!("check: {:.2} s, {report:?}", start.elapsed().as_secs_f64());
    let _ = std::fs::remove_dir_all(&dir);
}
