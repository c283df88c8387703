//! The archiver: copies the log, and the pages that it names, to where they survive the machine.
//!
//! # The problem
//! With a backup and every record written since, the state of any moment can be had again (*point-in-time recovery*,
//! `restore.rs`). But the log is recycled by each fold, and some records are only pointers: those of bulk loads and of transactions
//! that moved to disk name pages of the data file (`bulk.rs`, `layer.rs`), which are used for something else once a fold has merged
//! them. Logging those pages as well while archiving is on would write them twice where it hurts, before the commit.
//!
//! # The idea
//! The archiver follows the log at some distance, always with durable, whole records. What it has not stored yet is *held*:
//!
//! - *segments*: a fold recycles none that begin behind the archiver's position ([`Wal::hold_from`](crate::wal::Wal::hold_from));
//! - *pages*: a commit pins the pages that its record names (`alloc.rs`); they may become free, but are not handed out. Pages never change,
//!   so whenever the archiver comes to the record it finds them as they were.
//!
//! So commits never wait for the archive. One that can't be reached costs disk space, as with PostgreSQL, and says so in the log and in
//! `pg_stat_archiver`.
//!
//! # Objects
//! | name | content |
//! | --- | --- |
//! | `store` | identity of the store, 16 hex digits: nobody else's log is mixed in |
//! | `log/<from>-<to>` | a segment header (`wal.rs`) for LSN `from`, then the records up to LSN `to`, as in the log |
//! | `pages/<lsn>-<part>` | pages that the record at this LSN names, in its order, [`PART_PAGES`] in each part |
//!
//! Numbers are LSNs of 16 hex digits, a part's number has 8. Pages are stored before the piece of log that needs them: a piece in the archive
//! can be applied. Pieces may overlap after a crash between storing an object and noting it; their records are the same.
//!
//! # Position
//! `archive.position` in the data directory: two slots of a sector each, of which the one with the greater position counts; the other is
//! written next, after the object is stored, so that a write that fails or tears costs nothing. A slot has magic `SERINARC`, CRC32C
//! of what follows (4), zero (4), LSN (8). Recovery reads the log from there rather than from the replay position, and pins what it names.
//! A start without archiving removes it: pages are not pinned then, and the archive would have a hole. A later start with archiving begins
//! at the end of the log, and says that a new backup is needed.

use crate::mutation::{Mutation, planted};
use crate::page::{PAGE_SIZE, Page};
use crate::store::Shared;
use crate::sync::{self, Condvar, Mutex};
use crate::vfs::{IoContext, Vfs, VfsFile};
use crate::wal::{Operation, RECORD_HEADER_BYTES, RecordHeader, decode_operation, encode_segment_header};
use crate::{Error, Lsn, PageId, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// Where archived objects go. Called from one thread; may block.
pub trait ArchiveTarget: Send + Sync {
    /// Stores an object, durably, whole or not at all. Again with the same bytes is fine; with others it is an error.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()>;
    /// `None`: there is no such object.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>>;
    /// The names of the objects in `log` or `pages`, without that prefix, sorted.
    fn list(&self, folder: &str) -> Result<Vec<String>>;
}

/// What becomes of the log.
#[derive(Clone)]
pub enum Archiving {
    /// It is not archived.
    Off,
    /// Nothing is archived now, but what the archive is to have is kept: for tools that open a store between two runs of its server.
    Hold,
    To {
        target: Arc<dyn ArchiveTarget>,
        /// How old an acknowledged commit may become before it is archived, though there is little to store yet.
        timeout: Duration,
    },
}

/// What became of it so far.
#[derive(Clone, Default, Debug)]
pub struct ArchiveStats {
    pub archived_count: u64,
    pub last_archived: Option<String>,
    pub last_archived_time: Option<SystemTime>,
    pub failed_count: u64,
    pub last_failed: Option<String>,
    pub last_failed_time: Option<SystemTime>,
    /// The archive has everything below.
    pub position: Lsn,
}

pub(crate) const PART_PAGES: usize = 1024;
const POSITION_BYTES: usize = 24;
const SLOT_BYTES: u64 = 512;
const POSITION_MAGIC: &[u8; 8] = b"SERINARC";
const POSITION_FILE: &str = "archive.position";

pub(crate) struct Archiver {
    target: Option<Arc<dyn ArchiveTarget>>,
    timeout: Duration,
    state: Mutex<{ sync::ARCHIVE }, State>,
    stats: Mutex<{ sync::WAITERS }, ArchiveStats>,
    closing: Mutex<{ sync::WAITERS }, bool>,
    wake: Condvar,
}

struct State {
    position: Lsn,
    /// Since when there is something to archive.
    pending_since: Option<Instant>,
}

impl Archiver {
    pub fn new(target: Option<Arc<dyn ArchiveTarget>>, timeout: Duration, position: Lsn) -> Archiver {
        Archiver {
            target,
            timeout,
            state: Mutex::new(State { position, pending_since: None }),
            stats: Mutex::new(ArchiveStats { position, ..ArchiveStats::default() }),
            closing: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    pub fn stats(&self) -> ArchiveStats {
        self.stats.lock().clone()
    }

    pub fn has_target(&self) -> bool {
        self.target.is_some()
    }

    pub fn close(&self) {
        *self.closing.lock() = true;
        self.wake.notify_all();
    }

    /// The archiver's thread.
    pub fn run(&self, shared: &Shared) {
        const TICK: Duration = Duration::from_secs(1);
        const RETRY_MAX: Duration = Duration::from_secs(30);
        let tick = TICK.min(self.timeout);
        let mut wait = tick;
        loop {
            {
                let mut closing = self.closing.lock();
                if !*closing {
                    closing.wait_for(&self.wake, wait);
                }
                if *closing {
                    return;
                }
            }
            wait = match self.pass(shared, false) {
                Ok(()) => tick,
                Err(_) => (wait * 2).min(RETRY_MAX),
            };
        }
    }

    /// Archives what is worth it; with `all`, everything that is durable.
    pub fn pass(&self, shared: &Shared, all: bool) -> Result<()> {
        let Some(target) = &self.target else { return Ok(()) };
        let mut state = self.state.lock();
        let result = self.archive(shared, &**target, &mut state, all);
        if let Err(error) = &result {
            tracing::warn!(%error, position = %state.position, "the log could not be archived");
            let mut stats = self.stats.lock();
            stats.failed_count += 1;
            stats.last_failed = Some(format!("log/{:016x}", state.position.0));
            stats.last_failed_time = Some(SystemTime::now());
        }
        result
    }

    fn archive(
        &self,
        shared: &Shared,
        target: &dyn ArchiveTarget,
        state: &mut State,
        all: bool,
    ) -> Result<()> {
        let piece_bytes = shared.options.wal_segment_bytes;
        loop {
            let durable = shared.wal.durable_lsn();
            let pending = durable.0.checked_sub(state.position.0).expect("only what is durable was archived");
            if pending == 0 {
                state.pending_since = None;
                return Ok(());
            }
            let since = *state.pending_since.get_or_insert_with(Instant::now);
            if !all && pending < piece_bytes && since.elapsed() < self.timeout {
                return Ok(());
            }
            let from = state.position;
            let records = shared.wal.read(from, piece_bytes)?;
            let to = Lsn(from.0 + records.len() as u64);
            let name = format!("log/{:016x}-{:016x}", from.0, to.0);
            let mut extents = Vec::new();
            for_each_record(&records, from, &mut |header, body| {
                let named = pages_named(body);
                store_pages(shared, target, header.lsn, &named)?;
                extents.extend(named);
                Ok(())
            })?;
            let mut piece = encode_segment_header(from).to_vec();
            piece.extend_from_slice(&records);
            if planted(Mutation::ArchiveAhead) {
                write_position(&*shared.vfs, &shared.options.dir, to)?;
            }
            target.put(&name, piece)?;
            write_position(&*shared.vfs, &shared.options.dir, to)?;
            state.position = to;
            state.pending_since = None;
            shared.wal.hold_from(to);
            // What folds left for our sake.
            shared.wal.recycle(Lsn(shared.replay_start.load(Ordering::Relaxed)))?;
            {
                let mut alloc = shared.alloc.lock();
                extents.iter().for_each(|(first, count)| alloc.unpin(*first, *count));
            }
            let mut stats = self.stats.lock();
            stats.archived_count += 1;
            stats.last_archived = Some(name);
            stats.last_archived_time = Some(SystemTime::now());
            stats.position = to;
        }
    }
}

/// Visits whole records that begin at `from`.
pub(crate) fn for_each_record(
    mut records: &[u8],
    from: Lsn,
    each: &mut dyn FnMut(&RecordHeader, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut at = from;
    while !records.is_empty() {
        let header = RecordHeader::decode(records).filter(|header| header.lsn == at);
        let taken = header.and_then(|header| {
            let (head, rest) = records.split_at(RECORD_HEADER_BYTES);
            let (body, rest) = rest.split_at_checked(header.body_bytes as usize)?;
            debug_assert!(!head.is_empty());
            (crc32c::crc32c(body) == header.body_crc).then_some((header, body, rest))
        });
        let Some((header, body, rest)) = taken else {
            return Err(Error::Archive(format!("the log record at LSN {at} is damaged")));
        };
        each(&header, body)?;
        records = rest;
        at.0 += RECORD_HEADER_BYTES as u64 + body.len() as u64;
    }
    Ok(())
}

/// The extents that a record names, in its order.
pub(crate) fn pages_named(mut body: &[u8]) -> Vec<(PageId, u64)> {
    let mut named = Vec::new();
    while !body.is_empty() {
        match decode_operation(&mut body) {
            Some(Operation::BulkInstall { extents, .. } | Operation::Layer { extents, .. }) => {
                named.extend(extents)
            }
            Some(_) => {}
            // What can't be decoded is refused where it is applied.
            None => break,
        }
    }
    named
}

/// The commit time in a record.
pub(crate) fn time_of(mut body: &[u8]) -> Option<u64> {
    let mut time = None;
    while !body.is_empty() {
        match decode_operation(&mut body)? {
            Operation::Time(microseconds) => time = Some(microseconds),
            _ => continue,
        }
    }
    time
}

pub(crate) fn part_name(lsn: Lsn, part: usize) -> String {
    format!("pages/{:016x}-{part:08x}", lsn.0)
}

fn store_pages(shared: &Shared, target: &dyn ArchiveTarget, lsn: Lsn, named: &[(PageId, u64)]) -> Result<()> {
    let pages: u64 = named.iter().map(|(_, count)| count).sum();
    let mut part = Vec::with_capacity((pages as usize).min(PART_PAGES) * PAGE_SIZE);
    let mut parts = 0;
    for page in named.iter().flat_map(|(first, count)| first.0..first.0 + count) {
        let mut bytes = vec![0; PAGE_SIZE].into_boxed_slice();
        shared.pager.file.read_at(&mut bytes, page * PAGE_SIZE as u64).context("read", &shared.pager.path)?;
        let page =
            Page::verify(PageId(page), bytes).map_err(|detail| shared.pager.corrupt(PageId(page), detail))?;
        part.extend_from_slice(page.bytes());
        if part.len() == PART_PAGES * PAGE_SIZE {
            target.put(&part_name(lsn, parts), std::mem::take(&mut part))?;
            parts += 1;
        }
    }
    if !part.is_empty() {
        target.put(&part_name(lsn, parts), part)?;
    }
    Ok(())
}

/// Sees to it that the archive is this store's.
pub(crate) fn claim(target: &dyn ArchiveTarget, store_id: u64) -> Result<()> {
    let ours = format!("{store_id:016x}").into_bytes();
    match target.get("store")? {
        None => target.put("store", ours),
        Some(theirs) if theirs == ours => Ok(()),
        Some(theirs) => Err(Error::Archive(format!(
            "the archive belongs to store {}, this one is {store_id:016x}: a restored or copied store needs an archive of its own",
            String::from_utf8_lossy(&theirs)
        ))),
    }
}

/// The position noted in the data directory; `None` if there is none, or it can't be read.
pub(crate) fn read_position(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Lsn>> {
    let path = dir.join(POSITION_FILE);
    if !vfs.exists(&path) {
        return Ok(None);
    }
    let slots = read_slots(&*vfs.open(&path, false).context("open", &path)?, &path)?;
    Ok(slots.into_iter().max().expect("there are two"))
}

fn read_slots(file: &dyn VfsFile, path: &Path) -> Result<[Option<Lsn>; 2]> {
    let length = file.len().context("read the size of", path)?;
    let mut slots = [None; 2];
    for (index, slot) in slots.iter_mut().enumerate() {
        let offset = index as u64 * SLOT_BYTES;
        if length < offset + POSITION_BYTES as u64 {
            break;
        }
        let mut bytes = [0; POSITION_BYTES];
        file.read_at(&mut bytes, offset).context("read", path)?;
        let crc = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        let sound = &bytes[..8] == POSITION_MAGIC && crc == crc32c::crc32c(&bytes[12..]);
        let lsn = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
        *slot = sound.then_some(Lsn(lsn));
    }
    Ok(slots)
}

pub(crate) fn write_position(vfs: &dyn Vfs, dir: &Path, position: Lsn) -> Result<()> {
    let path = dir.join(POSITION_FILE);
    let file = vfs.open(&path, true).context("create", &path)?;
    let [first, second] = read_slots(&*file, &path)?;
    let offset = if first > second { SLOT_BYTES } else { 0 };
    let mut bytes = [0; POSITION_BYTES];
    bytes[..8].copy_from_slice(POSITION_MAGIC);
    bytes[16..].copy_from_slice(&position.0.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    file.write_at(&bytes, offset).context("write", &path)?;
    file.sync_data().context("sync", &path)?;
    // Not only when it is new: the sync of its first write may have failed.
    vfs.sync_dir(dir).context("sync", dir)
}

pub(crate) fn forget_position(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let path = dir.join(POSITION_FILE);
    if vfs.exists(&path) {
        vfs.remove(&path).context("remove", &path)?;
        vfs.sync_dir(dir).context("sync", dir)?;
    }
    Ok(())
}

/// A directory as an archive. Objects are written under another name, synced and renamed.
pub struct DirectoryArchive {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
}

impl DirectoryArchive {
    pub fn new(vfs: Arc<dyn Vfs>, dir: &Path) -> DirectoryArchive {
        DirectoryArchive { vfs, dir: dir.to_owned() }
    }
}

impl ArchiveTarget for DirectoryArchive {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let path = self.dir.join(name);
        let dir = path.parent().expect("a name in a directory");
        if let Some(there) = self.get(name)? {
            if there != bytes {
                return Err(differs(name));
            }
            // It may be the work of an attempt whose last sync failed: to be seen is not to be durable.
            self.vfs.sync_dir(dir).context("sync", dir)?;
            return self.vfs.sync_dir(&self.dir).context("sync", &self.dir);
        }
        if !self.vfs.exists(dir) {
            self.vfs.create_dir_all(dir).context("create", dir)?;
        }
        let temporary = path.with_extension("partial");
        if self.vfs.exists(&temporary) {
            self.vfs.remove(&temporary).context("remove", &temporary)?;
        }
        let file = self.vfs.open(&temporary, true).context("create", &temporary)?;
        file.write_at(&bytes, 0).context("write", &temporary)?;
        file.sync_data().context("sync", &temporary)?;
        self.vfs.rename(&temporary, &path).context("rename", &temporary)?;
        self.vfs.sync_dir(dir).context("sync", dir)?;
        self.vfs.sync_dir(&self.dir).context("sync", &self.dir)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.dir.join(name);
        if !self.vfs.exists(&path) {
            return Ok(None);
        }
        let file = self.vfs.open(&path, false).context("open", &path)?;
        let mut bytes = vec![0; file.len().context("read the size of", &path)? as usize];
        file.read_at(&mut bytes, 0).context("read", &path)?;
        Ok(Some(bytes))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let dir = self.dir.join(folder);
        if !self.vfs.exists(&dir) && !self.vfs.exists(&self.dir.join("store")) {
            return Ok(Vec::new());
        }
        let mut names = match self.vfs.list(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            names => names.context("list", &dir)?,
        };
        names.retain(|name| !name.ends_with(".partial"));
        Ok(names)
    }
}

pub fn differs(name: &str) -> Error {
    Error::Archive(format!("the archive has another \"{name}\" already: is it used by two stores?"))
}

/// Microseconds since 2000, as commit times are in the log.
pub(crate) fn now_microseconds() -> u64 {
    microseconds_of(SystemTime::now())
}

/// Seconds from 1970 to 2000.
const EPOCH_SECONDS: u64 = 946_684_800;

pub(crate) fn microseconds_of(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since_1970.as_micros() as u64).saturating_sub(EPOCH_SECONDS * 1_000_000)
}

pub(crate) fn time_from(microseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS) + Duration::from_micros(microseconds)
}
