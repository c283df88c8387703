//! Damaged files: a torn tail is dropped, everything else is an error that names the place; never wrong data.

mod common;

use common::*;
use serin_storage::vfs::sim::SimVfs;
use serin_storage::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn options() -> StoreOptions {
    let mut options = StoreOptions::new(Path::new("/sim"));
    options.threads = false;
    options.wal_segment_bytes = 16 << 10;
    options.page_cache_bytes = 256 << 10;
    options
}

fn open(vfs: &SimVfs) -> Result<Arc<Store>> {
    Store::open_with(Arc::new(vfs.clone()), options())
}

fn first_segment(vfs: &SimVfs) -> PathBuf {
    let names = vfs::Vfs::list(vfs, Path::new("/sim/wal")).unwrap();
    Path::new("/sim/wal").join(names.iter().find(|name| !name.starts_with("spare")).unwrap())
}

/// A store with `commits` rows, each synced, that was not shut down.
fn written(commits: u8) -> (SimVfs, TreeId) {
    let vfs = SimVfs::new(7);
    let store = open(&vfs).unwrap();
    let tree = create_tree(&store);
    for key in 0..commits {
        let mut writer = store.writer();
        put(&mut writer, &tree, &[key], &[key; 50]);
        commit(&store, writer);
    }
    let id = tree.id();
    drop((store, tree));
    (vfs, id)
}

#[test]
fn every_flipped_bit_in_the_log_is_noticed() {
    // Somewhere in the last record a flip makes a torn tail; anywhere before, an error.
    let (pristine, _) = written(6);
    let bytes = pristine.file_bytes(&first_segment(&pristine)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    let last_record = end - 48 - 55;
    for offset in (0..end).step_by(3) {
        let (vfs, id) = written(6);
        let segment = first_segment(&vfs);
        vfs.flip_bit(&segment, offset, (offset % 8) as u8);
        match open(&vfs) {
            Err(Error::Corrupt { file, .. }) => assert_eq!(file, segment, "offset {offset}"),
            Err(Error::FormatVersion { .. }) => assert!((8..12).contains(&offset)),
            Err(error) => panic!("offset {offset}: {error}"),
            Ok(store) => {
                assert!(offset >= last_record, "offset {offset} was not noticed");
                assert_eq!(contents(&store, &store.tree(id).unwrap()).len(), 5, "offset {offset}");
            }
        }
    }
}

#[test]
fn log_goes_on_after_a_torn_tail() {
    let (vfs, id) = written(6);
    let segment = first_segment(&vfs);
    let end = vfs.file_bytes(&segment).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
    vfs.flip_bit(&segment, end, 0);
    for round in 0..3u8 {
        let store = open(&vfs).unwrap();
        let tree = store.tree(id).unwrap();
        assert_eq!(contents(&store, &tree).len(), 5 + round as usize);
        let mut writer = store.writer();
        // As long as the record that was dropped, so that it would fit exactly in front of anything left over.
        put(&mut writer, &tree, &[100 + round], &[1; 50]);
        commit(&store, writer);
        drop((store, tree));
        vfs.crash();
    }
}

#[test]
fn missing_segment_is_an_error() {
    let (vfs, _) = written(3);
    vfs::Vfs::remove(&vfs, &first_segment(&vfs)).unwrap();
    assert!(matches!(open(&vfs), Err(Error::Corrupt { .. })));
}

/// A store whose rows are all in the base.
fn folded() -> (SimVfs, TreeId) {
    let vfs = SimVfs::new(7);
    let store = open(&vfs).unwrap();
    let tree = create_tree(&store);
    let mut writer = store.writer();
    for key in 0..2000u32 {
        put(&mut writer, &tree, &key.to_be_bytes(), &[key as u8; 50]);
    }
    put(&mut writer, &tree, b"long", &[9; 30_000]);
    commit(&store, writer);
    store.shutdown().unwrap();
    let id = tree.id();
    drop((store, tree));
    (vfs, id)
}

#[test]
fn flipped_bits_in_pages_are_noticed_when_read_and_by_check() {
    let data = Path::new("/sim/data.serin");
    let (pristine, _) = folded();
    let pages = pristine.file_bytes(data).unwrap().len() as u64 / 8192;
    let report = check_with(Arc::new(pristine), Path::new("/sim")).unwrap();
    assert!(report.is_clean() && report.entries == 2001, "{report:?}");
    let mut errors = 0;
    for page in 2..pages {
        let (vfs, id) = folded();
        let offset = page * 8192 + page * 97 % 8192;
        vfs.flip_bit(data, offset, (page % 8) as u8);
        let report = check_with(Arc::new(vfs.clone()), Path::new("/sim")).unwrap();
        let read = open(&vfs).and_then(|store| {
            let tree = store.tree(id).unwrap();
            let snapshot = store.snapshot();
            let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
            let mut rows = 0;
            let mut cursor = tree.cursor(ALL, Direction::Forward);
            while cursor.next_batch(view, 100, &mut (), &mut |_, _| {
                rows += 1;
                true
            })? {}
            Ok(rows)
        });
        match read {
            // A page that nothing refers to.
            Ok(rows) => assert!(rows == 2001 && report.is_clean(), "page {page}: {report:?}"),
            Err(Error::Corrupt { file, offset, .. }) => {
                errors += 1;
                assert_eq!((file.as_path(), offset), (data, page * 8192));
                assert!(!report.is_clean(), "check missed page {page}");
            }
            Err(error) => panic!("page {page}: {error}"),
        }
    }
    assert!(errors > 15, "{errors} of {pages} pages were in use");
}

#[test]
fn a_bad_meta_page_is_survived_or_an_error_and_never_wrong_data() {
    let data = Path::new("/sim/data.serin");
    let mut survived = 0;
    for folds in 1..6 {
        for page in 0..2 {
            let (vfs, id) = folded();
            let store = open(&vfs).unwrap();
            let tree = store.tree(id).unwrap();
            for round in 0..folds {
                let mut writer = store.writer();
                for key in 0..2000u32 {
                    put(&mut writer, &tree, &key.to_be_bytes(), &[round; 60]);
                }
                commit(&store, writer);
                if round + 1 < folds {
                    store.fold_now().unwrap();
                }
            }
            let expected = contents(&store, &tree);
            drop((store, tree));
            vfs.flip_bit(data, page * 8192 + 20, 3);
            let found = open(&vfs).and_then(|store| {
                let tree = store.tree(id).unwrap();
                let snapshot = store.snapshot();
                let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
                let mut found = Vec::new();
                let mut cursor = tree.cursor(ALL, Direction::Forward);
                while cursor.next_batch(view, 100, &mut (), &mut |key, value| {
                    found.push((key.to_vec(), value.to_vec()));
                    true
                })? {}
                Ok(found)
            });
            match found {
                Ok(found) => {
                    survived += 1;
                    assert!(found == expected, "{folds} folds, meta page {page}");
                }
                Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
            }
        }
    }
    assert!(survived >= 5, "the older meta page is not needed");
    let (vfs, _) = folded();
    vfs.flip_bit(data, 20, 3);
    vfs.flip_bit(data, 8192 + 20, 3);
    assert!(matches!(open(&vfs), Err(Error::Corrupt { .. })));
}
