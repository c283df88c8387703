//! Data directories written by each format version so far must open and hold what was written.
//!
//! `storage/tests/golden/<version>/` are copies of stores that were not shut down: pages in the data file, and commits, a bulk load
//! and (from 2 on) a transaction that moved to disk in the log only; from 3 on with commit times. A new format version gets a
//! directory of its own:
//! `SERIN_WRITE_GOLDEN=3 cargo test -p serin-storage --test golden_directories`.

mod common;

use common::*;
use serin_storage::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn options(dir: &Path) -> StoreOptions {
    let mut options = StoreOptions::new(dir);
    options.threads = false;
    options.wal_segment_bytes = 16 << 10;
    options.writer_bytes_max = 4 << 10;
    options
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn row(key: u32, version: u8) -> (Vec<u8>, Vec<u8>) {
    (key.to_be_bytes().to_vec(), vec![version; (key % 60) as usize])
}

/// What the two trees hold, by format version.
fn expected(version: u32) -> [Rows; 2] {
    let first = (0..400u32).filter(|key| key % 7 != 0 || *key >= 100).map(|key| match key {
        0..50 => row(key, 2),
        50..300 => row(key, 1),
        // Large enough for pages of its own.
        300 => (key.to_be_bytes().to_vec(), vec![3; 20_000]),
        _ => row(key, if version >= 2 { 4 } else { 3 }),
    });
    [first.collect(), (0..500).map(|key| row(key, 5)).collect()]
}

fn write(dir: &Path, version: u32) {
    let mut options = options(dir);
    let archive = tempfile::tempdir().unwrap();
    if version >= 3 {
        // Records say when they were written where the log is archived.
        let target = Arc::new(DirectoryArchive::new(Arc::new(vfs::RealVfs), archive.path()));
        options.archiving = Archiving::To { target, timeout: std::time::Duration::MAX };
    }
    let store = Store::open(options).unwrap();
    let tree = create_tree(&store);
    let put_all = |writer: &mut Writer, keys: std::ops::Range<u32>, version: u8| {
        for (key, value) in keys.map(|key| row(key, version)) {
            assert!(
                writer.install(&tree, &key, Some(&value), Intent::Replace, CommandId(0)).unwrap().is_ok()
            );
        }
    };
    let mut writer = store.writer();
    put_all(&mut writer, 0..300, 1);
    commit(&store, writer);
    store.fold_now().unwrap();
    let mut writer = store.writer();
    put_all(&mut writer, 0..50, 2);
    put_all(&mut writer, 300..400, 3);
    let key = 300u32.to_be_bytes();
    assert!(writer.install(&tree, &key, Some(&[3; 20_000]), Intent::Replace, CommandId(0)).unwrap().is_ok());
    for key in (0..100u32).filter(|key| key % 7 == 0) {
        assert!(
            writer.install(&tree, &key.to_be_bytes(), None, Intent::Replace, CommandId(0)).unwrap().is_ok()
        );
    }
    commit(&store, writer);
    let mut writer = store.writer();
    let loaded = store.create_tree(&mut writer);
    let mut loader = loaded.bulk_loader().unwrap();
    expected(version)[1].iter().for_each(|(key, value)| loader.append(key, value).unwrap());
    loader.finish(&mut writer).unwrap();
    commit(&store, writer);
    if version >= 2 {
        let mut writer = store.writer();
        for (key, value) in (301..400).map(|key| row(key, 4)) {
            put(&mut writer, &tree, &key, &value);
        }
        assert!(store.stats().spills > 0);
        commit(&store, writer);
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn directories_of_every_format_version_open() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    if let Ok(version) = std::env::var("SERIN_WRITE_GOLDEN") {
        write(&golden.join(&version), version.parse().unwrap());
    }
    let mut versions = 0;
    for entry in std::fs::read_dir(&golden).unwrap().map(Result::unwrap) {
        let version: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&entry.path(), dir.path());
        let report = check(dir.path()).unwrap();
        assert!(report.is_clean(), "version {version}: {:?}", report.problems);
        let store: Arc<Store> = Store::open(options(dir.path())).unwrap();
        let [first, second] = [1, 2].map(|id| contents(&store, &store.tree(TreeId(id)).unwrap()));
        assert!([first, second] == expected(version), "version {version} holds what was written");
        store.shutdown().unwrap();
        drop(store);
        assert!(check(dir.path()).unwrap().is_clean());
        versions += 1;
    }
    assert!(versions >= 3);
}

#[test]
fn a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/2");
    copy_dir(&golden, dir.path());
    for entry in std::fs::read_dir(dir.path().join("wal")).unwrap().map(Result::unwrap) {
        let mut bytes = std::fs::read(entry.path()).unwrap();
        bytes[8] = 99;
        std::fs::write(entry.path(), bytes).unwrap();
    }
    let error = Store::open(options(dir.path())).err().expect("it is refused");
    assert!(matches!(error, Error::FormatVersion { found: 99, .. }), "{error}");
    assert!(error.to_string().contains(".wal\" has format version 99, this server reads"), "{error}");
}
