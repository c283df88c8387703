//! Backup of a store that is in use: a compact copy of what one snapshot shows, as a store of its own.
//!
//! The copy is logical: each tree is read through a cursor, base, layers and delta together, and bulk loaded into a new
//! store under the same id. So it is consistent (one timestamp), complete without any log, has its own checksums, and no
//! free pages; it can be opened as it is. The price is reading and writing every row, and that a next backup starts
//! over: there are no incremental ones. The snapshot that is read keeps no memory (`snapshot.rs`); the pages it reads stay on
//! disk for the duration.
//!
//! A backup that ends before it is complete has no valid meta page that names its trees: it opens as an empty store at
//! best. [`Store::backup`] verifies what it wrote before it says that there is one.

use crate::vfs::{IoContext, Vfs};
use crate::{
    CheckReport, Direction, Error, KeyRange, Result, Store, StoreOptions, Timestamp, Tree, View, check_with,
};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What was written.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The state is that of this commit, and of all before it.
    pub timestamp: Timestamp,
    pub trees: u64,
    pub entries: u64,
    pub bytes: u64,
}

impl Store {
    /// Copies the durable state of now into `dir`, which must be empty or absent. Commits and folds go on meanwhile.
    pub fn backup(&self, dir: &Path) -> Result<BackupReport> {
        let mut result = Err(Error::Stopped("the backup did not run".to_owned()));
        self.blocking().run(&mut || result = self.copy_to(dir));
        result
    }

    fn copy_to(&self, dir: &Path) -> Result<BackupReport> {
        let vfs = self.shared().vfs.clone();
        vfs.create_dir_all(dir).context("create", dir)?;
        if !vfs.list(dir).context("list", dir)?.is_empty() {
            let message = "the directory is not empty".to_owned();
            let kind = std::io::ErrorKind::DirectoryNotEmpty;
            return Err(Error::Io { operation: "write a backup to", file: dir.to_owned(), message, kind });
        }
        let snapshot = self.snapshot_of_state();
        let timestamp = snapshot.timestamp();
        self.wait_durable(timestamp)?;
        let trees = self.shared().trees_at(timestamp);
        let mut options = StoreOptions::new(dir);
        options.threads = false;
        options.page_cache_bytes = 1 << 20;
        options.wal_segment_bytes = 64 << 10;
        let copy = Store::open_with(vfs.clone(), options)?;
        let mut writer = copy.writer();
        let mut entries = 0;
        for tree in &trees {
            let target = copy.shared().create_tree_as(tree.id());
            writer.add_created(target.clone());
            let mut loader = target.bulk_loader()?;
            let view = View { snapshot: &snapshot, horizon: timestamp, own: None };
            copy_rows(tree, view, &mut |key, value| loader.append(key, value))?;
            entries += loader.finish(&mut writer)?;
        }
        writer.commit()?;
        let (from, to) = (self.shared(), copy.shared());
        to.next_tree.fetch_max(from.next_tree.load(Ordering::Relaxed), Ordering::Relaxed);
        to.next_writer.fetch_max(from.next_writer.load(Ordering::Relaxed), Ordering::Relaxed);
        copy.shutdown()?;
        drop((copy, snapshot));
        let report = verify(vfs, dir)?;
        let bytes = report.pages * crate::page::PAGE_SIZE as u64;
        Ok(BackupReport { timestamp, trees: trees.len() as u64, entries, bytes })
    }
}

fn copy_rows(tree: &Arc<Tree>, view: View<'_>, append: &mut dyn FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    const BATCH: usize = 1024;
    let mut cursor = tree.cursor(KeyRange { start: Bound::Unbounded, end: Bound::Unbounded }, Direction::Forward);
    let mut outcome = Ok(());
    let mut more = true;
    while more {
        more = cursor.next_batch(view, BATCH, &mut (), &mut |key, value| {
            outcome = append(key, value);
            outcome.is_ok()
        })?;
        std::mem::replace(&mut outcome, Ok(()))?;
    }
    Ok(())
}

/// Reads all of it again.
fn verify(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<CheckReport> {
    let report = check_with(vfs, dir)?;
    match report.problems.first() {
        None => Ok(report),
        Some(problem) => Err(Error::Corrupt {
            file: dir.join("data.serin"),
            offset: 0,
            detail: format!("the backup does not read back as it was written: {problem}"),
            tree: None,
        }),
    }
}
