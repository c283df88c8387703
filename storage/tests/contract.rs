//! What the layers above rely on, promise by promise.

mod common;

use common::*;
use serin_storage::*;
use std::ops::Bound;
use std::sync::Arc;

fn options(dir: &std::path::Path) -> StoreOptions {
    let mut options = StoreOptions::new(dir);
    options.threads = false;
    options.page_cache_bytes = 1 << 20;
    options.wal_segment_bytes = 64 << 10;
    options
}

fn new_store() -> (tempfile::TempDir, Arc<Store>, Arc<Tree>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let tree = create_tree(&store);
    (dir, store, tree)
}

#[derive(Default, PartialEq, Debug)]
struct Seen {
    skipped: Vec<(Vec<u8>, WriterId)>,
    saw: Vec<(Vec<u8>, Timestamp)>,
}

impl ReadObserver for Seen {
    fn skipped(&mut self, key: &[u8], writer: &Arc<WriterState>) {
        self.skipped.push((key.to_vec(), writer.id()));
    }
    fn saw(&mut self, key: &[u8], ts: Timestamp) {
        self.saw.push((key.to_vec(), ts));
    }
}

fn latest(snapshot: &Snapshot) -> View<'_> {
    View { snapshot, horizon: Timestamp::MAX, own: None }
}

fn at_snapshot(snapshot: &Snapshot) -> View<'_> {
    View { snapshot, horizon: snapshot.timestamp(), own: None }
}

#[test]
fn observer_is_told_of_what_was_passed_over_and_seen() {
    let (_dir, store, tree) = new_store();
    let mut writer = store.writer();
    put(&mut writer, &tree, b"k", b"1");
    let first = writer.commit().unwrap().unwrap();
    store.wait_durable(first).unwrap();
    let snapshot = store.snapshot();
    let mut second = store.writer();
    put(&mut second, &tree, b"k", b"2");
    let second_id = second.state().id();
    let second_at = second.commit().unwrap().unwrap();
    store.wait_durable(second_at).unwrap();
    let mut third = store.writer();
    put(&mut third, &tree, b"k", b"3");
    let third_id = third.state().id();

    for by_scan in [false, true] {
        let mut seen = Seen::default();
        if by_scan {
            let mut cursor = tree.cursor(ALL, Direction::Forward);
            cursor
                .next_batch(at_snapshot(&snapshot), 10, &mut seen, &mut |_, value| value[..] == *b"1")
                .unwrap();
        } else {
            let value = tree.get(at_snapshot(&snapshot), b"k", &mut seen).unwrap().unwrap();
            assert_eq!(&*value, b"1");
        }
        assert_eq!(seen.skipped, [(b"k".to_vec(), third_id), (b"k".to_vec(), second_id)]);
        assert_eq!(seen.saw, [(b"k".to_vec(), first)]);
    }
    let mut seen = Seen::default();
    assert_eq!(&*tree.get(latest(&snapshot), b"k", &mut seen).unwrap().unwrap(), b"2");
    assert_eq!(
        seen,
        Seen { skipped: vec![(b"k".to_vec(), third_id)], saw: vec![(b"k".to_vec(), second_at)] }
    );
}

#[test]
fn observer_keeps_being_told_after_folds_and_pruning() {
    // The direct successor of what a live snapshot reads must stay known, however often the key is overwritten and
    // folded: SSI's edge goes to it.
    let (_dir, store, tree) = new_store();
    let mut writer = store.writer();
    put(&mut writer, &tree, b"k", b"old");
    commit(&store, writer);
    store.fold_now().unwrap();
    let snapshot = store.snapshot();
    let mut successor = None;
    for round in 0..50u32 {
        let mut writer = store.writer();
        put(&mut writer, &tree, b"k", &round.to_be_bytes());
        successor.get_or_insert(writer.state().id());
        commit(&store, writer);
        if round % 10 == 0 {
            store.fold_now().unwrap();
        }
    }
    let mut seen = Seen::default();
    assert_eq!(&*tree.get(at_snapshot(&snapshot), b"k", &mut seen).unwrap().unwrap(), b"old");
    assert_eq!(seen.skipped.last().unwrap().1, successor.unwrap());
    assert!(seen.skipped.len() < 12, "superseded versions nobody can read are gone: {}", seen.skipped.len());
    assert!(matches!(tree.head(b"k").unwrap(), Head::Committed { at, .. } if at > snapshot.timestamp()));
    drop(snapshot);
    store.fold_now().unwrap();
    assert_eq!(store.stats().delta_keys, 0);
    assert_eq!(store.stats().delta_bytes, 0);
    assert!(matches!(tree.head(b"k").unwrap(), Head::Base { exists: true }));
}

#[test]
fn one_writer_in_progress_per_key() {
    let (_dir, store, tree) = new_store();
    let (mut first, mut second) = (store.writer(), store.writer());
    put(&mut first, &tree, b"k", b"1");
    let install =
        |writer: &mut Writer| writer.install(&tree, b"k", Some(b"2"), Intent::Modify, CommandId(0)).unwrap();
    let conflict = install(&mut second).err().unwrap();
    assert_eq!((conflict.writer.id(), conflict.intent), (first.state().id(), Intent::Replace));
    assert!(matches!(tree.head(b"k").unwrap(), Head::InProgress { exists: true, .. }));
    let state = first.state().clone();
    first.rollback();
    assert_eq!(state.status(), WriterStatus::Aborted);
    assert!(install(&mut second).is_ok());
    let at = second.commit().unwrap().unwrap();
    assert!(matches!(tree.head(b"k").unwrap(), Head::Committed { at: head, .. } if head == at));
}

#[test]
fn commands_do_not_see_themselves() {
    let (_dir, store, tree) = new_store();
    let mut writer = store.writer();
    for command in 0..3u32 {
        let value = command.to_be_bytes();
        assert!(
            writer.install(&tree, b"k", Some(&value), Intent::Modify, CommandId(command)).unwrap().is_ok()
        );
    }
    let snapshot = store.snapshot();
    for command in 0..4u32 {
        let own = Some((&**writer.state(), CommandId(command)));
        let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own };
        let found = tree.get(view, b"k", &mut ()).unwrap().map(|value| value.to_vec());
        assert_eq!(found, command.checked_sub(1).map(|seen| seen.to_be_bytes().to_vec()));
    }
}

#[test]
fn empty_commit_and_rolled_back_tree_leave_nothing() {
    let (_dir, store, _tree) = new_store();
    assert_eq!(store.writer().commit().unwrap(), None);
    let before = store.stats();
    let mut writer = store.writer();
    let mark = writer.mark();
    let tree = store.create_tree(&mut writer);
    put(&mut writer, &tree, b"k", b"v");
    writer.rollback_to(mark);
    assert!(store.tree(tree.id()).is_none());
    assert!(writer.is_empty());
    assert_eq!(writer.commit().unwrap(), None);
    assert_eq!(store.stats().delta_bytes, before.delta_bytes);
}

#[test]
fn second_open_is_refused() {
    let (dir, store, tree) = new_store();
    assert!(matches!(Store::open(options(dir.path())), Err(Error::Locked { .. })));
    assert!(matches!(check(dir.path()), Err(Error::Locked { .. })));
    store.shutdown().unwrap();
    drop((store, tree));
    drop(Store::open(options(dir.path())).unwrap());
}

#[test]
fn keys_and_values_at_their_limits() {
    let (dir, store, tree) = new_store();
    let mut writer = store.writer();
    let too_long = vec![0; Tree::KEY_BYTES_MAX + 1];
    let refused = writer.install(&tree, &too_long, None, Intent::Replace, CommandId(0));
    assert!(matches!(refused, Err(Error::KeyTooLarge { .. })));
    let mut expected = Vec::new();
    for (index, bytes) in
        [0, 1, 2047, 2048, 2049, 8159, 8160, 8161, 8192 * 3, 3 << 20].into_iter().enumerate()
    {
        let mut key = vec![index as u8; Tree::KEY_BYTES_MAX];
        key[Tree::KEY_BYTES_MAX - 1] = 7;
        put(&mut writer, &tree, &key, &vec![index as u8; bytes]);
        expected.push((key, vec![index as u8; bytes]));
    }
    put(&mut writer, &tree, b"", b"the empty key");
    expected.insert(0, (Vec::new(), b"the empty key".to_vec()));
    commit(&store, writer);
    assert!(contents(&store, &tree) == expected);
    store.fold_now().unwrap();
    assert!(contents(&store, &tree) == expected);
    // Overwriting and deleting frees the overflow pages again.
    let mut writer = store.writer();
    for (key, _) in &expected {
        put(&mut writer, &tree, key, b"short");
    }
    commit(&store, writer);
    store.fold_now().unwrap();
    let id = tree.id();
    store.shutdown().unwrap();
    drop((store, tree));
    let report = check(dir.path()).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert!(report.pages < 20, "{report:?}");
    let store = Store::open(options(dir.path())).unwrap();
    assert_eq!(contents(&store, &store.tree(id).unwrap()).len(), expected.len());
}

#[test]
fn data_twenty_times_the_cache() {
    let (dir, store, tree) = new_store();
    let rows = 200_000u32;
    let row = |key: u32| {
        let mut value = [b'.'; 100];
        value[..4].copy_from_slice(&key.to_be_bytes());
        value
    };
    for from in (0..rows).step_by(20_000) {
        let mut writer = store.writer();
        // Scattered over the key space, so that folds rewrite pages everywhere.
        for key in (from..from + 20_000).map(|key| (u64::from(key) * 7919 % u64::from(rows)) as u32) {
            put(&mut writer, &tree, &key.to_be_bytes(), &row(key));
        }
        commit(&store, writer);
        store.fold_now().unwrap();
    }
    let check_all = |store: &Arc<Store>, tree: &Arc<Tree>| {
        let snapshot = store.snapshot();
        for direction in [Direction::Forward, Direction::Backward] {
            let found = scan_in_batches(tree, at_snapshot(&snapshot), ALL, direction, 1000);
            assert_eq!(found.len(), rows as usize);
            for (index, (key, value)) in found.iter().enumerate() {
                let expected =
                    if direction == Direction::Forward { index as u32 } else { rows - 1 - index as u32 };
                assert!(*key == expected.to_be_bytes() && *value == row(expected));
            }
        }
        for key in (0..rows).step_by(997) {
            assert_eq!(get(store, tree, &key.to_be_bytes()).unwrap(), row(key));
        }
    };
    check_all(&store, &tree);
    let stats = store.stats();
    assert!(stats.data_file_bytes - stats.free_pages * 8192 > 20 << 20, "{stats:?}");
    let id = tree.id();
    drop((store, tree));
    let store = Store::open(options(dir.path())).unwrap();
    check_all(&store, &store.tree(id).unwrap());
}

#[test]
fn pages_are_reused_and_the_file_stays_small() {
    let (_dir, store, tree) = new_store();
    for round in 0..30u32 {
        let mut writer = store.writer();
        for key in 0..5000u32 {
            put(&mut writer, &tree, &key.to_be_bytes(), &[round as u8; 100]);
        }
        commit(&store, writer);
        store.fold_now().unwrap();
    }
    // 5000 rows take about 70 pages; two generations of them and some slack.
    assert!(store.stats().data_file_bytes < 300 * 8192, "{:?}", store.stats());
    let mut writer = store.writer();
    for key in 0..5000u32 {
        assert!(
            writer.install(&tree, &key.to_be_bytes(), None, Intent::Replace, CommandId(0)).unwrap().is_ok()
        );
    }
    commit(&store, writer);
    store.fold_now().unwrap();
    assert_eq!(contents(&store, &tree), []);
    assert_eq!(tree.size_bytes_estimate(), 0, "deleting everything leaves no pages");
}

#[test]
fn dropped_tree_stays_for_old_snapshots_and_then_frees_its_pages() {
    let (_dir, store, _) = new_store();
    let mut writer = store.writer();
    let tree = store.create_tree(&mut writer);
    for key in 0..10_000u32 {
        put(&mut writer, &tree, &key.to_be_bytes(), &[1; 100]);
    }
    commit(&store, writer);
    store.fold_now().unwrap();
    let snapshot = store.snapshot();
    let mut writer = store.writer();
    writer.drop_tree(tree.id());
    commit(&store, writer);
    store.fold_now().unwrap();
    assert_eq!(scan_in_batches(&tree, at_snapshot(&snapshot), ALL, Direction::Forward, 100).len(), 10_000);
    assert!(!store.trees().contains(&tree.id()));
    let free = store.stats().free_pages;
    drop(snapshot);
    store.fold_now().unwrap();
    assert!(store.stats().free_pages > free + 100);
    assert!(store.tree(tree.id()).is_none());
}

#[test]
fn bulk_load_is_private_until_commit_and_gone_on_rollback() {
    let (dir, store, _) = new_store();
    let load = |writer: &mut Writer, rows: u32| {
        let tree = store.create_tree(writer);
        let mut loader = tree.bulk_loader().unwrap();
        for key in 0..rows {
            loader.append(&key.to_be_bytes(), &[2; 100]).unwrap();
        }
        assert!(matches!(loader.append(&0u32.to_be_bytes(), b""), Err(Error::NotAscending)));
        assert_eq!(loader.finish(writer).unwrap(), u64::from(rows));
        tree
    };
    let mut writer = store.writer();
    let gone = load(&mut writer, 20_000);
    let snapshot = store.snapshot();
    assert_eq!(scan_in_batches(&gone, at_snapshot(&snapshot), ALL, Direction::Forward, 100).len(), 20_000);
    drop(snapshot);
    writer.rollback();
    let file_bytes = store.stats().data_file_bytes;
    let mut writer = store.writer();
    let mut unfinished = store.create_tree(&mut writer).bulk_loader().unwrap();
    unfinished.append(b"k", b"v").unwrap();
    drop(unfinished);
    let tree = load(&mut writer, 20_000);
    // Written on top of it before and after the commit, and folded with it.
    put(&mut writer, &tree, &5u32.to_be_bytes(), b"changed");
    let one = load(&mut writer, 1);
    let none = load_nothing(&store, &mut writer);
    commit(&store, writer);
    assert!(store.stats().data_file_bytes <= file_bytes + 8192 * 16, "the rolled back pages are used again");
    let before = contents(&store, &tree);
    assert_eq!((before.len(), &*before[5].1), (20_000, &b"changed"[..]));
    // Crash (drop without shutdown), replay, then fold.
    let ids = [tree.id(), one.id(), none.id()];
    drop((gone, tree, one, none));
    drop(store);
    let report = check(dir.path()).unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    for _ in 0..2 {
        let store = Store::open(options(dir.path())).unwrap();
        let trees = ids.map(|id| store.tree(id).unwrap());
        assert!(contents(&store, &trees[0]) == before);
        assert_eq!((contents(&store, &trees[1]).len(), contents(&store, &trees[2]).len()), (1, 0));
        store.fold_now().unwrap();
        assert!(contents(&store, &trees[0]) == before);
        drop((trees, store));
        let report = check(dir.path()).unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
    }
}

fn load_nothing(store: &Arc<Store>, writer: &mut Writer) -> Arc<Tree> {
    let tree = store.create_tree(writer);
    assert_eq!(tree.bulk_loader().unwrap().finish(writer).unwrap(), 0);
    tree
}

#[test]
fn cursor_survives_a_change_of_generation() {
    let (_dir, store, tree) = new_store();
    let mut writer = store.writer();
    for key in 0..1000u32 {
        put(&mut writer, &tree, &key.to_be_bytes(), b"v");
    }
    commit(&store, writer);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut cursor = tree.cursor(ALL, direction);
        let mut found = Vec::new();
        for round in 0.. {
            let snapshot = store.snapshot();
            let more = cursor
                .next_batch(at_snapshot(&snapshot), 37, &mut (), &mut |key, _| {
                    found.push(u32::from_be_bytes(key.try_into().unwrap()));
                    true
                })
                .unwrap();
            if !more {
                break;
            }
            // Changes behind the cursor, and a fold: the next batch comes from another base.
            let behind = if direction == Direction::Forward { 0 } else { 999u32 };
            let mut writer = store.writer();
            put(&mut writer, &tree, &behind.to_be_bytes(), &[round]);
            commit(&store, writer);
            store.fold_now().unwrap();
        }
        let mut expected: Vec<u32> = (0..1000).collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn stopping_early_counts_the_entry_as_read() {
    let (_dir, store, tree) = new_store();
    let mut writer = store.writer();
    for key in 0..10u8 {
        put(&mut writer, &tree, &[key], b"v");
    }
    commit(&store, writer);
    let snapshot = store.snapshot();
    let range = KeyRange { start: Bound::Excluded(vec![1]), end: Bound::Included(vec![8]) };
    let mut cursor = tree.cursor(range, Direction::Backward);
    let mut found = Vec::new();
    for _ in 0..7 {
        let more = cursor
            .next_batch(at_snapshot(&snapshot), 100, &mut (), &mut |key, _| {
                found.push(key[0]);
                false
            })
            .unwrap();
        assert!(more);
    }
    assert!(!cursor.next_batch(at_snapshot(&snapshot), 100, &mut (), &mut |_, _| unreachable!()).unwrap());
    assert_eq!(found, [8, 7, 6, 5, 4, 3, 2]);
}

#[test]
fn nothing_commits_after_shutdown() {
    let (_dir, store, tree) = new_store();
    let mut writer = store.writer();
    put(&mut writer, &tree, b"k", b"v");
    store.shutdown().unwrap();
    assert!(matches!(writer.commit(), Err(Error::Stopped(_))));
}

/// A store that folds on demand, with little room for a transaction.
fn small_store(dir: &std::path::Path) -> Arc<Store> {
    let mut options = StoreOptions::new(dir);
    options.threads = false;
    options.writer_bytes_max = 4 << 10;
    Store::open(options).unwrap()
}

#[test]
fn a_transaction_on_disk_conflicts_and_rolls_back_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_store(dir.path());
    let tree = create_tree(&store);
    let mut writer = store.writer();
    put(&mut writer, &tree, b"old", b"1");
    commit(&store, writer);
    let mut large = store.writer();
    let mark = large.mark();
    put(&mut large, &tree, b"old", b"2");
    for key in 0..1000u32 {
        put(&mut large, &tree, &key.to_be_bytes(), &[3; 50]);
    }
    assert!(store.stats().spills > 0 && store.stats().delta_bytes < 16 << 10, "{:?}", store.stats());
    // Nobody else may write what it wrote, and everybody is told whose it is.
    let mut other = store.writer();
    let refused = other.install(&tree, b"old", Some(b"x"), Intent::Modify, CommandId(0)).unwrap();
    assert!(refused.is_err_and(|conflict| conflict.writer.id() == large.state().id()));
    assert!(matches!(tree.head(b"old").unwrap(), Head::InProgress { exists: true, .. }));
    // Nobody sees it, but those who ask learn that they passed it over.
    struct Passed(Vec<WriterId>);
    impl ReadObserver for Passed {
        fn skipped(&mut self, _: &[u8], writer: &Arc<WriterState>) {
            self.0.push(writer.id());
        }
    }
    let snapshot = store.snapshot();
    let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
    let mut passed = Passed(Vec::new());
    assert_eq!(tree.get(view, b"old", &mut passed).unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(passed.0, [large.state().id()]);
    passed.0.clear();
    let mut cursor = tree.cursor(ALL, Direction::Backward);
    let mut rows = 0;
    cursor
        .next_batch(view, 10, &mut passed, &mut |_, _| {
            rows += 1;
            true
        })
        .unwrap();
    assert!(rows == 1 && passed.0.len() == 1001, "{rows} rows, {} passed over", passed.0.len());
    // A rollback to a savepoint lets the key go, and the pages.
    large.rollback_to(mark);
    put(&mut other, &tree, b"old", b"x");
    put(&mut large, &tree, b"new", b"4");
    commit(&store, large);
    commit(&store, other);
    assert_eq!(contents(&store, &tree), [(b"new".to_vec(), b"4".to_vec()), (b"old".to_vec(), b"x".to_vec())]);
    drop((snapshot, cursor));
    store.fold_now().unwrap();
    let pages = store.stats().data_file_bytes / 8192;
    assert!(store.stats().free_pages + 10 > pages, "{:?}", store.stats());
    store.shutdown().unwrap();
    drop((tree, store));
    assert!(check(dir.path()).unwrap().is_clean());
}

#[test]
fn a_reader_of_hours_pins_no_memory_and_loses_nothing() {
    for spilled in [false, true] {
        reader_of_hours(spilled);
    }
}

fn reader_of_hours(spilled: bool) {
    let dir = tempfile::tempdir().unwrap();
    let store = small_store(dir.path());
    let tree = create_tree(&store);
    let write = |round: u32| {
        let mut writer = store.writer();
        for key in 0..500u32 {
            put(&mut writer, &tree, &key.to_be_bytes(), &[round as u8; 100]);
            if !spilled && key % 10 == 9 {
                commit(&store, std::mem::replace(&mut writer, store.writer()));
            }
        }
        commit(&store, writer);
    };
    write(0);
    let reader = store.snapshot_of_state();
    // One that tracks keeps every layer since.
    let tracker = (!spilled).then(|| store.snapshot());
    let mut sizes = Vec::new();
    for round in 1..60 {
        write(round);
        store.fold_now().unwrap();
        sizes.push(store.stats().data_file_bytes);
    }
    // The one that tracks pins the first version that overwrote what it reads, and the newest.
    let tracked = store.stats().delta_bytes;
    drop(tracker);
    store.fold_now().unwrap();
    let pinned = store.stats().delta_bytes;
    assert!(spilled || tracked > 500 * 200);
    assert!(pinned < 500 * 400 && pinned <= tracked, "{pinned} of {tracked} bytes of delta stay");
    // Nor does the file grow by what came and went since.
    assert_eq!(sizes[20], sizes[58], "{sizes:?}");
    let view = View { snapshot: &reader, horizon: reader.timestamp(), own: None };
    let seen = scan_in_batches(&tree, view, ALL, Direction::Forward, 64);
    assert!(seen.len() == 500 && seen.iter().all(|(_, value)| value[0] == 0));
    assert!(tree.differs_from(&reader, &7u32.to_be_bytes()).unwrap());
    assert_eq!(get(&store, &tree, &7u32.to_be_bytes()), Some(vec![59; 100]));
}

#[test]
fn a_serializable_reader_gives_way_at_last_if_the_setting_says_so() {
    for give_up_old_snapshots in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new(dir.path());
        options.delta_bytes_soft = 256 << 10;
        options.delta_bytes_high = 512 << 10;
        options.delta_bytes_max = 1 << 20;
        options.give_up_old_snapshots = give_up_old_snapshots;
        let store = Store::open(options).unwrap();
        let tree = create_tree(&store);
        let (tracker, reader) = (store.snapshot(), store.snapshot_of_state());
        let outcome = (0..20_000u32).try_for_each(|key| {
            let mut writer = store.writer();
            writer.admit()?;
            let _ =
                writer.install(&tree, &key.to_be_bytes(), Some(&[1; 200]), Intent::Replace, CommandId(0))?;
            writer.commit().map(drop)
        });
        let read = |snapshot: &Snapshot| {
            let view = View { snapshot, horizon: snapshot.timestamp(), own: None };
            tree.get(view, b"key", &mut ()).map(|value| value.is_some())
        };
        match give_up_old_snapshots {
            true => {
                outcome.unwrap();
                assert!(matches!(read(&tracker), Err(Error::SnapshotTooOld)));
            }
            false => {
                assert!(matches!(outcome, Err(Error::DeltaFull { .. })));
                assert!(!read(&tracker).unwrap());
            }
        }
        assert!(!read(&reader).unwrap(), "who only reads the state goes on");
    }
}

#[test]
fn steady_updates_reuse_space_and_dropping_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = small_store(dir.path());
    let tree = create_tree(&store);
    let mut sizes = Vec::new();
    for round in 0..40u32 {
        let mut writer = store.writer();
        for key in 0..1000u32 {
            put(&mut writer, &tree, &(key * 7 % 1000).to_be_bytes(), &[round as u8; 200]);
        }
        commit(&store, writer);
        store.fold_now().unwrap();
        sizes.push(std::fs::metadata(dir.path().join("data.serin")).unwrap().len());
    }
    assert_eq!(sizes[10], sizes[39], "the file does not grow under steady updates");
    // A huge tree goes at once: its pages are freed by the fold, which reads none of its leaves.
    let mut writer = store.writer();
    let huge = store.create_tree(&mut writer);
    let mut loader = huge.bulk_loader().unwrap();
    (0..200_000u32).for_each(|key| loader.append(&key.to_be_bytes(), &[1; 200]).unwrap());
    loader.finish(&mut writer).unwrap();
    commit(&store, writer);
    store.fold_now().unwrap();
    let used = || {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(dir.path().join("data.serin")).unwrap().blocks() * 512
    };
    let before = used();
    assert!(before > 40 << 20);
    let misses = store.stats().page_cache_misses;
    let mut writer = store.writer();
    writer.drop_tree(huge.id());
    commit(&store, writer);
    store.give_back_space().unwrap();
    assert!(store.stats().page_cache_misses - misses < 100, "the leaves are not read");
    assert!(used() < before / 10, "{} of {before} bytes are still used", used());
    assert_eq!(contents(&store, &tree).len(), 1000);
    drop((tree, huge, store));
    assert!(check(dir.path()).unwrap().is_clean());
}

#[test]
fn a_backup_is_the_state_of_one_moment() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut options = StoreOptions::new(dir.path());
    options.delta_bytes_soft = 256 << 10;
    options.delta_bytes_high = 512 << 10;
    options.delta_bytes_max = 4 << 20;
    options.writer_bytes_max = 16 << 10;
    let store = Store::open(options).unwrap();
    let trees = [create_tree(&store), create_tree(&store)];
    let dropped = create_tree(&store);
    let mut writer = store.writer();
    writer.drop_tree(dropped.id());
    commit(&store, writer);
    // Both trees always have the same rows; a writer goes on while the backups are made.
    let write = |round: u32| {
        let mut writer = store.writer();
        for key in 0..500u32 {
            for tree in &trees {
                put(&mut writer, tree, &(round % 40 * 500 + key).to_be_bytes(), &round.to_be_bytes());
            }
        }
        put(&mut writer, &trees[round as usize % 2], b"long", &vec![round as u8; 50_000]);
        put(&mut writer, &trees[(round as usize + 1) % 2], b"long", &vec![round as u8; 50_000]);
        commit(&store, writer);
    };
    (0..40).for_each(write);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 40;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                write(round);
                round += 1;
            }
        });
        for number in 0..5 {
            let to = other.path().join(number.to_string());
            let before = store.snapshot();
            let report = store.backup(&to, None).unwrap();
            assert!(report.timestamp >= before.timestamp() && report.pages == report.pages_written);
            let copy = Store::open(StoreOptions::new(&to)).unwrap();
            let [first, second] = [0, 1].map(|index| contents(&copy, &copy.tree(trees[index].id()).unwrap()));
            assert!(first == second && first.len() == 20_001);
            // It is a store like any other, and new trees do not get old ids.
            assert!(create_tree(&copy).id() > dropped.id());
            assert!(store.backup(&to, None).is_err(), "not over another store");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn the_log_is_folded_before_a_restart_would_take_longer_than_its_target() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.threads = true;
    // Nothing else asks for a fold.
    (options.delta_bytes_soft, options.delta_bytes_high, options.delta_bytes_max) =
        (1 << 30, 2 << 30, 4 << 30);
    options.wal_bytes_soft = u64::MAX;
    options.fold_interval_ms = 3_600_000;
    options.restart_target_ms = 500;
    let store = Store::open(options).unwrap();
    let tree = create_tree(&store);
    let value = [7; 1000];
    for transaction in 0..80u32 {
        let mut writer = store.writer();
        for row in 0..100u32 {
            put(&mut writer, &tree, &(transaction * 100 + row).to_be_bytes(), &value);
        }
        writer.commit().unwrap();
    }
    // 8 MB: beyond half of what is replayed in half a second.
    let given_up_at = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while store.stats().folds == 0 {
        assert!(std::time::Instant::now() < given_up_at, "no fold: {:?}", store.stats());
        std::thread::yield_now();
    }
    store.wait_durable(store.last_commit()).unwrap();
    assert_eq!(store.snapshot().timestamp(), store.last_commit());
    store.shutdown().unwrap();
}

#[test]
fn a_replay_of_several_batches_keeps_the_last_change_of_each_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap();
    let (first, second) = (create_tree(&store), create_tree(&store));
    let mut model = std::collections::BTreeMap::new();
    // More than a batch takes, in transactions of all sizes, with a tree made in between.
    let mut number = 0u64;
    let mut third = None;
    for transaction in 0..40u64 {
        let mut writer = store.writer();
        if transaction == 20 {
            let tree = store.create_tree(&mut writer);
            put(&mut writer, &tree, b"early", b"1");
            third = Some(tree);
        }
        for _ in 0..transaction * 500 {
            number += 1;
            let key = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 5000).to_be_bytes();
            let (tree, value) =
                (if number.is_multiple_of(3) { &first } else { &second }, number.to_be_bytes());
            match number % 11 {
                0 => {
                    let deleted = writer.install(tree, &key, None, Intent::Replace, CommandId(0)).unwrap();
                    assert!(deleted.is_ok());
                    model.remove(&(tree.id(), key));
                }
                _ => {
                    put(&mut writer, tree, &key, &value);
                    model.insert((tree.id(), key), value);
                }
            }
        }
        if let Some(tree) = &third {
            put(&mut writer, tree, b"late", &transaction.to_be_bytes());
        }
        writer.commit().unwrap();
    }
    store.wait_durable(store.last_commit()).unwrap();
    let third = third.unwrap().id();
    drop((first, second, store));
    let store = Store::open(options(dir.path())).unwrap();
    let mut expected: std::collections::BTreeMap<TreeId, Vec<_>> = std::collections::BTreeMap::new();
    for ((tree, key), value) in &model {
        expected.entry(*tree).or_default().push((key.to_vec(), value.to_vec()));
    }
    expected.insert(
        third,
        vec![(b"early".to_vec(), b"1".to_vec()), (b"late".to_vec(), 39u64.to_be_bytes().to_vec())],
    );
    for (tree, rows) in expected {
        assert_eq!(contents(&store, &store.tree(tree).unwrap()), rows);
    }
}
