//! From backups and an archive back to a data directory, as of its end or of a moment before (*point-in-time recovery*).
//!
//! 1. The pages of the full backup, then those of each incremental one in order, at their places: what the last map names is complete
//!    then, for each of its pages was written by the backup that it says has it, and by none later (`backup.rs`).
//! 2. The store is opened, and the archived records behind the backup are applied as recovery would apply them, in order, without being
//!    logged again. Timestamps are dense, so a hole in the archive shows.
//! 3. Pages that a record names lay elsewhere in the store that wrote it, where this one may have something else. Their entries are
//!    read from the archive and packed into pages of this store.
//! 4. Whenever the delta has grown, the log is moved on to what was applied and a fold makes it durable: memory is bounded.
//! 5. Everything is verified as `serin check` does.
//!
//! A file [`INCOMPLETE`] keeps the directory from being opened until all of that is done. What comes out is a store of its own, with another
//! identity: its log goes on from here, so it needs an archive of its own.

use crate::archive::{
    ArchiveTarget, PART_PAGES, for_each_record, microseconds_of, part_name, time_from, time_of,
};
use crate::backup::{DATA_FILE, Entry, MapReader, PAGES_FILE, page_crc, prepare_directory, write_empty_log};
use crate::base::BaseCursor;
use crate::bulk::{BulkLoad, BulkLoader};
use crate::fold;
use crate::meta::{Meta, random_id};
use crate::page::{PAGE_SIZE, Page};
use crate::page_cache::Pager;
use crate::recovery::read_meta;
use crate::replay::{Loads, Replayer};
use crate::store::Shared;
use crate::vfs::{IoContext, RealVfs, Vfs, VfsFile};
use crate::wal::{SEGMENT_HEADER_BYTES, decode_segment_header};
use crate::{
    Direction, Error, Inline, Lsn, PageId, Result, Store, StoreOptions, Timestamp, Tree, check_with,
};
use std::collections::VecDeque;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub(crate) const INCOMPLETE: &str = "restore.incomplete";

/// Up to where the archive is applied.
#[derive(Clone, Copy, Debug)]
pub enum RestoreTarget {
    /// All of it.
    End,
    /// Every commit whose record begins below this position.
    Lsn(Lsn),
    /// Every commit up to the first one later than this.
    Time(SystemTime),
}

#[derive(Clone, Debug)]
pub struct RestoreReport {
    /// The state is that of this commit, and of all before it.
    pub timestamp: Timestamp,
    /// The log goes on here.
    pub lsn: Lsn,
    /// When the last commit was made, where the archive tells.
    pub time: Option<SystemTime>,
    pub pages: u64,
    /// Records applied.
    pub records: u64,
}

/// Restores the chain of `backups`, the full one first, and what `archive` has of the log after them up to `target`, into the
/// directory of `options`, which must be empty or absent.
pub fn restore(
    backups: &[PathBuf],
    archive: Option<Arc<dyn ArchiveTarget>>,
    target: RestoreTarget,
    options: StoreOptions,
) -> Result<RestoreReport> {
    restore_with(Arc::new(RealVfs), backups, archive, target, options)
}

pub fn restore_with(
    vfs: Arc<dyn Vfs>,
    backups: &[PathBuf],
    archive: Option<Arc<dyn ArchiveTarget>>,
    target: RestoreTarget,
    mut options: StoreOptions,
) -> Result<RestoreReport> {
    let dir = options.dir.clone();
    let chain = open_chain(&*vfs, backups)?;
    let base = chain.last().expect("a chain has a backup").header;
    if let Some(archive) = &archive {
        let theirs = archive.get("store")?;
        if theirs.as_deref() != Some(format!("{:016x}", base.store_id).as_bytes()) {
            let message = "the archive is not that of the store that was backed up".to_owned();
            return Err(Error::Archive(message));
        }
    } else if !matches!(target, RestoreTarget::End) {
        return Err(Error::Archive("a target can only be reached with an archive".to_owned()));
    }
    if matches!(target, RestoreTarget::Time(time) if microseconds_of(time) < base.time) {
        return Err(made_after_target());
    }
    prepare_directory(&*vfs, &dir)?;
    let marker = dir.join(INCOMPLETE);
    vfs.open(&marker, true).context("create", &marker)?.sync_data().context("sync", &marker)?;
    vfs.sync_dir(&dir).context("sync", &dir)?;
    let meta = lay_down(&*vfs, &dir, backups, chain)?;
    write_empty_log(&*vfs, &dir, meta.replay_start)?;
    vfs.sync_dir(&dir).context("sync", &dir)?;

    options.threads = false;
    let store = Store::open_as(vfs.clone(), options, true)?;
    let mut replay = Replay {
        store: store.clone(),
        target,
        reached: meta.replay_start,
        last: meta.fold_ts,
        last_time: None,
        base: meta.fold_ts,
        records: 0,
        is_there: false,
    };
    if let Some(archive) = &archive {
        replay.run(archive)?;
        replay.checkpoint()?;
    }
    store.shutdown()?;
    let Replay { reached, last, last_time, records, .. } = replay;
    drop(store);
    let report = check_with(vfs.clone(), &dir)?;
    if let Some(problem) = report.problems.first() {
        let detail = format!("what was restored is not sound: {problem}");
        return Err(Error::Corrupt { file: dir.join(DATA_FILE), offset: 0, detail, tree: None });
    }
    vfs.remove(&marker).context("remove", &marker)?;
    vfs.sync_dir(&dir).context("sync", &dir)?;
    let time = last_time.map(time_from);
    Ok(RestoreReport { timestamp: last, lsn: reached, time, pages: report.pages, records })
}

fn made_after_target() -> Error {
    Error::Archive("the backup was made after the target: an earlier one is needed".to_owned())
}

fn open_chain(vfs: &dyn Vfs, backups: &[PathBuf]) -> Result<Vec<MapReader>> {
    let mut chain: Vec<MapReader> = Vec::new();
    for dir in backups {
        let map = MapReader::open(vfs, dir)?;
        let fits = match chain.last() {
            None => map.header.continues == 0,
            Some(before) => {
                map.header.continues == before.header.backup_id
                    && map.header.store_id == before.header.store_id
            }
        };
        if !fits {
            let what = if chain.is_empty() {
                "is incremental: a full backup comes first"
            } else {
                "does not continue the one before it"
            };
            return Err(Error::Archive(format!("the backup in \"{}\" {what}", dir.display())));
        }
        chain.push(map);
    }
    if chain.is_empty() {
        return Err(Error::Archive("no backup was given".to_owned()));
    }
    Ok(chain)
}

/// Step 1. Returns the meta page that is in force.
fn lay_down(vfs: &dyn Vfs, dir: &Path, backups: &[PathBuf], chain: Vec<MapReader>) -> Result<Meta> {
    let path = dir.join(DATA_FILE);
    let file = vfs.open(&path, true).context("create", &path)?;
    let mut meta = None;
    for (index, (mut map, backup)) in chain.into_iter().zip(backups).enumerate() {
        let full = index == 0;
        let from = backup.join(if full { DATA_FILE } else { PAGES_FILE });
        let source = vfs.open(&from, false).context("open", &from)?;
        let found = if full {
            read_meta(&*source, &from)?
        } else {
            let mut page = vec![0; PAGE_SIZE];
            source.read_at(&mut page, 0).context("read", &from)?;
            Meta::decode(&page, &from)?
        };
        let found = found.filter(|found| found.generation == map.header.generation);
        let Some(found) = found else {
            let message = format!(
                "the backup in \"{}\" is not as it was made: was it started as a server's data?",
                backup.display()
            );
            return Err(Error::Archive(message));
        };
        let mut place = 0;
        while let Some(entry) = map.next()? {
            if !entry.here {
                continue;
            }
            place += 1;
            let offset = if full { entry.page.0 } else { place } * PAGE_SIZE as u64;
            let page = read_backup_page(&*source, &from, offset, entry)?;
            file.write_at(&page, entry.page.0 * PAGE_SIZE as u64).context("write", &path)?;
        }
        meta = Some(found);
    }
    let mut meta = meta.expect("a chain has a backup");
    meta.store_id = random_id();
    file.truncate(meta.page_count * PAGE_SIZE as u64).context("extend", &path)?;
    file.write_at(&meta.encode(), meta.page().0 * PAGE_SIZE as u64).context("write", &path)?;
    file.sync_data().context("sync", &path)?;
    Ok(meta)
}

fn read_backup_page(file: &dyn VfsFile, path: &Path, offset: u64, entry: Entry) -> Result<Vec<u8>> {
    let mut page = vec![0; PAGE_SIZE];
    file.read_at(&mut page, offset).context("read", path)?;
    let verified = Page::verify(entry.page, page.as_slice().into());
    let detail = match verified {
        Ok(found) if found.generation() == entry.generation && page_crc(&page) == entry.crc => {
            return Ok(page);
        }
        Ok(_) => format!("page {} is another than the backup's map says", entry.page),
        Err(detail) => detail,
    };
    Err(Error::Corrupt { file: path.to_owned(), offset, detail, tree: None })
}

/// Step 2.
struct Replay {
    store: Arc<Store>,
    target: RestoreTarget,
    /// Everything below was applied, or is in the backup.
    reached: Lsn,
    last: Timestamp,
    last_time: Option<u64>,
    /// The backup's.
    base: Timestamp,
    records: u64,
    /// The target is reached.
    is_there: bool,
}

impl Replay {
    fn run(&mut self, archive: &Arc<dyn ArchiveTarget>) -> Result<()> {
        let mut pieces: Vec<(Lsn, Lsn, String)> = Vec::new();
        for name in archive.list("log")? {
            let lsn = |digits: &str| u64::from_str_radix(digits, 16).ok().map(Lsn);
            if let Some((from, to)) = name.split_once('-')
                && let (Some(from), Some(to)) = (lsn(from), lsn(to))
            {
                pieces.push((from, to, format!("log/{name}")));
            }
        }
        pieces.sort_unstable();
        let end = pieces.iter().map(|(_, to, _)| *to).max().unwrap_or_default();
        if let RestoreTarget::Lsn(target) = self.target
            && (target > end || target < self.reached)
        {
            let message = format!(
                "the target, LSN {target}, is not between the backup's {} and the archive's end {end}",
                self.reached
            );
            return Err(Error::Archive(message));
        }
        for (from, to, name) in pieces {
            if to <= self.reached || self.is_there {
                continue;
            }
            let damaged = |what: &str| Error::Archive(format!("the archived log \"{name}\" {what}"));
            let piece = archive.get(&name)?.ok_or_else(|| damaged("is gone"))?;
            let (head, records) = piece
                .split_at_checked(SEGMENT_HEADER_BYTES as usize)
                .ok_or_else(|| damaged("is too short"))?;
            if decode_segment_header(head, Path::new(&name))? != Some(from)
                || records.len() as u64 != to.0 - from.0
            {
                return Err(damaged("is not what its name says"));
            }
            for_each_record(records, from, &mut |header, body| {
                if header.lsn < self.reached || self.is_there {
                    return Ok(());
                }
                self.record(archive, header, body)
            })?;
        }
        match self.target {
            RestoreTarget::Time(target)
                if !self.is_there && self.last_time < Some(microseconds_of(target)) =>
            {
                let ends = self.last_time.map_or("no commit".to_owned(), |time| {
                    format!("a commit {:.3} s before it", (microseconds_of(target) - time) as f64 / 1e6)
                });
                Err(Error::Archive(format!(
                    "the archive does not reach the target time: it ends with {ends}"
                )))
            }
            _ => Ok(()),
        }
    }

    fn record(
        &mut self,
        archive: &Arc<dyn ArchiveTarget>,
        header: &crate::wal::RecordHeader,
        body: &[u8],
    ) -> Result<()> {
        let time = time_of(body);
        let beyond = match self.target {
            RestoreTarget::End => false,
            RestoreTarget::Lsn(target) => header.lsn >= target,
            RestoreTarget::Time(target) => time.is_some_and(|time| time > microseconds_of(target)),
        };
        let is_in_base = header.timestamp <= self.base;
        if beyond && is_in_base {
            return Err(made_after_target());
        }
        if beyond {
            self.is_there = true;
            return Ok(());
        }
        let end = Lsn(header.lsn.0 + crate::wal::RECORD_HEADER_BYTES as u64 + body.len() as u64);
        if is_in_base {
            self.reached = end;
            return Ok(());
        }
        if header.timestamp.0 != self.last.0 + 1 {
            let message = format!(
                "the archive has a hole: after commit {} the next one it has is {}, at LSN {}",
                self.last, header.timestamp, header.lsn
            );
            return Err(Error::Archive(message));
        }
        let mut loads = FromArchive { archive: archive.clone(), lsn: header.lsn, pages: 0, failed: None };
        let mut replay = Replayer::new(self.store.shared());
        let applied = replay.apply(header, body, &mut loads);
        replay.finish();
        if let Some(error) = loads.failed {
            return Err(error);
        }
        if applied.is_none() {
            let message = format!("the archived record at LSN {} can't be applied", header.lsn);
            return Err(Error::Archive(message));
        }
        (self.reached, self.last) = (end, header.timestamp);
        self.last_time = time.or(self.last_time);
        self.records += 1;
        if self.store.shared().delta_bytes() > self.store.shared().options.delta_bytes_soft {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Step 4.
    fn checkpoint(&self) -> Result<()> {
        self.store.shared().wal.skip_to(self.reached, self.last)?;
        tracing::info!(lsn = %self.reached, commit = %self.last, records = self.records, "restoring");
        fold::fold(self.store.shared())
    }
}

/// Step 3.
struct FromArchive {
    archive: Arc<dyn ArchiveTarget>,
    lsn: Lsn,
    /// Of the record, that loads before this one had.
    pages: u64,
    failed: Option<Error>,
}

impl Loads for FromArchive {
    fn place(&mut self, shared: &Arc<Shared>, tree: &Arc<Tree>, load: BulkLoad) -> Option<BulkLoad> {
        let copied = self.copy(shared, tree, &load);
        copied.map_err(|error| self.failed = Some(error)).ok()
    }
}

impl FromArchive {
    fn copy(&mut self, shared: &Arc<Shared>, tree: &Arc<Tree>, load: &BulkLoad) -> Result<BulkLoad> {
        let mut runs = Vec::new();
        for (first, count) in &load.extents {
            runs.push((*first, *count, self.pages));
            self.pages += count;
        }
        let path = PathBuf::from(format!("pages/{:016x}", self.lsn.0));
        let parts = parking_lot::Mutex::new(VecDeque::new());
        let file = ArchivedPages { archive: self.archive.clone(), lsn: self.lsn, runs, parts };
        // Pages of any generation: those of this store have nothing to do with them.
        let pager = Pager::new(Arc::new(file), path, 1 << 20, Arc::new(Inline), u64::MAX - 1);
        let mut cursor = BaseCursor::new(Direction::Forward);
        cursor.seek(&pager, &load.root, Bound::Unbounded, Bound::Unbounded)?;
        let mut loader = BulkLoader::for_layer(tree.clone());
        let mut last: Option<Vec<u8>> = None;
        while let Some((key, value)) = cursor.entry(&pager)? {
            if last.as_deref().is_some_and(|last| last >= key) {
                return Err(pager.corrupt(load.root.page, "archived entries are out of order".to_owned()));
            }
            loader.append_unchecked(key, value)?;
            let last = last.get_or_insert_default();
            key.clone_into(last);
            cursor.advance(&pager, Bound::Unbounded)?;
        }
        shared.wal.check_running()?;
        loader
            .finish_pages()?
            .ok_or_else(|| pager.corrupt(load.root.page, "an archived load is empty".to_owned()))
    }
}

/// The pages of one record, at the offsets that they had in the data file.
struct ArchivedPages {
    archive: Arc<dyn ArchiveTarget>,
    lsn: Lsn,
    /// First page, pages, and how many pages of the record come before.
    runs: Vec<(PageId, u64, u64)>,
    /// The parts read last.
    parts: parking_lot::Mutex<VecDeque<(usize, Arc<Vec<u8>>)>>,
}

impl ArchivedPages {
    fn part(&self, number: usize) -> io::Result<Arc<Vec<u8>>> {
        const PARTS_MAX: usize = 4;
        let mut parts = self.parts.lock();
        if let Some((_, part)) = parts.iter().find(|(known, _)| *known == number) {
            return Ok(part.clone());
        }
        let name = part_name(self.lsn, number);
        let bytes = self.archive.get(&name).map_err(io::Error::other)?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("\"{name}\" is not in the archive"));
        let part = Arc::new(bytes.ok_or_else(missing)?);
        if parts.len() == PARTS_MAX {
            parts.pop_front();
        }
        parts.push_back((number, part.clone()));
        Ok(part)
    }
}

impl VfsFile for ArchivedPages {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let page = offset / PAGE_SIZE as u64;
        let run = self.runs.iter().find(|(first, count, _)| (first.0..first.0 + count).contains(&page));
        let (first, _, before) = run.ok_or(io::ErrorKind::UnexpectedEof)?;
        let index = (before + page - first.0) as usize;
        let part = self.part(index / PART_PAGES)?;
        let at = index % PART_PAGES * PAGE_SIZE;
        let bytes = part.get(at..at + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.runs.iter().map(|(first, count, _)| (first.0 + count) * PAGE_SIZE as u64).max().unwrap_or(0))
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn punch(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
