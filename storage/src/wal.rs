//! The write-ahead log: logical redo, group commit, early lock release.
//!
//! The log is one stream of bytes addressed by [`Lsn`], cut into segment files. A transaction is one *record*,
//! written when it commits; there is nothing to undo, for uncommitted data exists in memory only.
//!
//! # Commit in four steps
//! 1. The record's body and its checksum are built outside any lock.
//! 2. Under the log mutex, and nothing else happens there: take the next timestamp and LSN, put the record into the
//!    log buffer, store the timestamp into the writer's state word. So commit order = LSN order = timestamp order,
//!    and the locks of the transaction may be released (*early lock release*).
//! 3. The flusher takes the whole buffer, writes it, syncs it: one sync serves everyone who committed meanwhile.
//! 4. It raises the *watermark* and wakes who waits. Snapshots are taken at the watermark, so nobody but a reader
//!    of "the latest state" can see what a crash may still undo, and such a reader waits for that timestamp too.
//!
//! # Space is taken before it is needed
//! After step 2 a commit can't fail any more: others may have built on it. So the bytes of a segment are allocated on
//! disk before a record is placed in it, and placing happens in step 2. If no segment has room, the committer lets
//! go of the mutex and allocates one; if the disk is full it is told `DiskFull` and nothing has happened. Any
//! failure of a write or sync after that stops the store: nothing more is acknowledged, nothing is retried.
//!
//! # Segment: `wal/<start lsn, 16 hex digits>.wal`
//! | offset | size | meaning |
//! | --- | --- | --- |
//! | 0 | 8 | magic `SERINWAL` |
//! | 8 | 4 | format version |
//! | 12 | 4 | CRC32C of bytes 16..64 |
//! | 16 | 8 | LSN of the byte at offset 64 |
//! | 24 | 40 | zero |
//! | 64 | | records; a record never spans segments |
//!
//! A segment waiting for its turn is called `spare-*.wal`; segments that a fold made superfluous become spares again,
//! old bytes and all. Old bytes can't be taken for new ones: their LSNs are below the segment's.
//!
//! # Record
//! | offset | size | meaning |
//! | --- | --- | --- |
//! | 0 | 4 | magic |
//! | 4 | 4 | length of the body |
//! | 8 | 4 | CRC32C of the body |
//! | 12 | 4 | CRC32C of the header, this field as zero |
//! | 16 | 8 | LSN of this record |
//! | 24 | 8 | commit timestamp |
//! | 32 | 8 | LSN at which the batch began that it was written with |
//! | 40 | 8 | writer id |
//! | 48 | | body: operations, see [`Operation`] |
//!
//! A record is valid if and only if both checksums match and its LSN is where it is found. One transaction is one
//! record, however large (up to 4 GiB, which the delta's limit keeps out of reach).
//!
//! # A torn tail, or damage?
//! A crash may lose any part of the batch that was being written, even its beginning while its end survived. But a
//! batch is only written after everything before it was synced, and each record says where its batch began. So an
//! invalid record at LSN x is a torn tail, dropped in silence, unless a valid record follows whose batch began
//! above x: then x had been synced, somebody may have been told so, and it is an error naming file and offset.

use crate::base::TreeRoot;
use crate::mutation::{Mutation, planted};
use crate::sync::{self, Condvar, Mutex};
use crate::vfs::{IoContext, Vfs, VfsFile};
use crate::{Blocking, Error, Lsn, PageId, Result, Timestamp, TreeId, WriterId};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

pub(crate) const SEGMENT_HEADER_BYTES: u64 = 64;
pub(crate) const RECORD_HEADER_BYTES: usize = 48;
const SEGMENT_MAGIC: &[u8; 8] = b"SERINWAL";
const RECORD_MAGIC: u32 = 0x5253_4c57;
/// 2 has the operation `Layer`, 3 the time of the commit.
pub(crate) const WAL_FORMAT_VERSION: u32 = 3;
const WAL_FORMAT_VERSION_MIN: u32 = 1;
/// Above this many bytes in the log buffer committers wait for the flusher.
const BUFFER_BYTES_MAX: usize = 32 << 20;
/// A body above this size goes into the buffer as it is, rather than being copied under the mutex.
const BODY_COPY_BYTES_MAX: usize = 256 << 10;

// ---------------------------------------------------------------------------------------------------------
// Operations

/// One change in a record's body. Lengths and ids are LEB128 varints.
///
/// | tag | then |
/// | --- | --- |
/// | 1 create tree | tree |
/// | 2 drop tree | tree |
/// | 3 put | tree, key length, key, value length, value |
/// | 4 delete | tree, key length, key |
/// | 5 bulk install | tree, root page, height, entries, pages, overflow pages, extent count, (first page, page count)* |
/// | 6 layer | as 5, then count of discarded ranges, (from, to)* |
/// | 16 time | of the commit, microseconds since 2000 (only where the log is archived) |
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    CreateTree(TreeId),
    DropTree(TreeId),
    Put { tree: TreeId, key: &'a [u8], value: &'a [u8] },
    Delete { tree: TreeId, key: &'a [u8] },
    BulkInstall { tree: TreeId, root: TreeRoot, extents: Vec<(PageId, u64)> },
    Layer { tree: TreeId, root: TreeRoot, extents: Vec<(PageId, u64)>, discarded: Vec<(u32, u32)> },
    Time(u64),
}

pub(crate) fn encode_operation(operation: &Operation<'_>, body: &mut Vec<u8>) {
    match operation {
        Operation::CreateTree(tree) => {
            body.push(1);
            put_varint(body, tree.0);
        }
        Operation::DropTree(tree) => {
            body.push(2);
            put_varint(body, tree.0);
        }
        Operation::Put { tree, key, value } => {
            body.push(3);
            put_varint(body, tree.0);
            put_bytes(body, key);
            put_bytes(body, value);
        }
        Operation::Delete { tree, key } => {
            body.push(4);
            put_varint(body, tree.0);
            put_bytes(body, key);
        }
        Operation::BulkInstall { tree, root, extents } => {
            body.push(5);
            put_varint(body, tree.0);
            put_pages(body, root, extents);
        }
        Operation::Layer { tree, root, extents, discarded } => {
            body.push(6);
            put_varint(body, tree.0);
            put_pages(body, root, extents);
            put_varint(body, discarded.len() as u64);
            for (from, to) in discarded {
                put_varint(body, u64::from(*from));
                put_varint(body, u64::from(*to));
            }
        }
        Operation::Time(microseconds) => {
            body.push(16);
            put_varint(body, *microseconds);
        }
    }
}

/// Takes the next operation off `body`; `None` when it is malformed.
pub(crate) fn decode_operation<'a>(body: &mut &'a [u8]) -> Option<Operation<'a>> {
    let (tag, rest) = body.split_first()?;
    *body = rest;
    if *tag == 16 {
        return take_varint(body).map(Operation::Time);
    }
    let tree = TreeId(take_varint(body)?);
    Some(match tag {
        1 => Operation::CreateTree(tree),
        2 => Operation::DropTree(tree),
        3 => Operation::Put { tree, key: take_bytes(body)?, value: take_bytes(body)? },
        4 => Operation::Delete { tree, key: take_bytes(body)? },
        5 => {
            let (root, extents) = take_pages(body)?;
            Operation::BulkInstall { tree, root, extents }
        }
        6 => {
            let (root, extents) = take_pages(body)?;
            let count = take_count(body)?;
            let mut discarded = Vec::with_capacity(count);
            for _ in 0..count {
                let mut place = || u32::try_from(take_varint(body)?).ok();
                discarded.push((place()?, place()?));
            }
            Operation::Layer { tree, root, extents, discarded }
        }
        _ => return None,
    })
}

fn put_pages(body: &mut Vec<u8>, root: &TreeRoot, extents: &[(PageId, u64)]) {
    let fields = [root.page.0, u64::from(root.height), root.entries, root.pages, root.overflow_pages];
    fields.iter().for_each(|field| put_varint(body, *field));
    put_varint(body, extents.len() as u64);
    for (first, count) in extents {
        put_varint(body, first.0);
        put_varint(body, *count);
    }
}

fn take_pages(body: &mut &[u8]) -> Option<(TreeRoot, Vec<(PageId, u64)>)> {
    let root = TreeRoot {
        page: PageId(take_varint(body)?),
        height: u8::try_from(take_varint(body)?).ok()?,
        entries: take_varint(body)?,
        pages: take_varint(body)?,
        overflow_pages: take_varint(body)?,
    };
    let count = take_count(body)?;
    let mut extents = Vec::with_capacity(count);
    for _ in 0..count {
        extents.push((PageId(take_varint(body)?), take_varint(body)?));
    }
    Some((root, extents))
}

/// A count of things that take a byte at least: a wrong one costs no memory.
fn take_count(body: &mut &[u8]) -> Option<usize> {
    let count = usize::try_from(take_varint(body)?).ok()?;
    (count <= body.len()).then_some(count)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

// ---------------------------------------------------------------------------------------------------------
// Record and segment headers

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub body_bytes: u32,
    pub body_crc: u32,
    pub lsn: Lsn,
    pub timestamp: Timestamp,
    pub batch_start: Lsn,
    pub writer: WriterId,
}

impl RecordHeader {
    pub fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&RECORD_MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.lsn.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.timestamp.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.batch_start.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.writer.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Like `decode`, but turns most bytes down at a glance: for searching.
    pub fn decode_quick(bytes: &[u8]) -> Option<RecordHeader> {
        if bytes.get(..4)? == RECORD_MAGIC.to_le_bytes() { RecordHeader::decode(bytes) } else { None }
    }

    /// `None` if this is no record header.
    pub fn decode(bytes: &[u8]) -> Option<RecordHeader> {
        let mut copy: [u8; RECORD_HEADER_BYTES] = bytes.get(..RECORD_HEADER_BYTES)?.try_into().ok()?;
        copy[12..16].fill(0);
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if u32_at(0)? != RECORD_MAGIC || u32_at(12)? != crc32c::crc32c(&copy) {
            return None;
        }
        Some(RecordHeader {
            body_bytes: u32_at(4)?,
            body_crc: u32_at(8)?,
            lsn: Lsn(u64_at(16)?),
            timestamp: Timestamp(u64_at(24)?),
            batch_start: Lsn(u64_at(32)?),
            writer: WriterId(u64_at(40)?),
        })
    }
}

pub(crate) fn encode_segment_header(start: Lsn) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    bytes[0..8].copy_from_slice(SEGMENT_MAGIC);
    bytes[8..12].copy_from_slice(&WAL_FORMAT_VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&start.0.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The start LSN; `Ok(None)` if the bytes are no segment header.
pub(crate) fn decode_segment_header(bytes: &[u8], file: &Path) -> Result<Option<Lsn>> {
    let Some(bytes) = bytes.get(..SEGMENT_HEADER_BYTES as usize) else { return Ok(None) };
    let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if &bytes[0..8] != SEGMENT_MAGIC || u32_at(12) != crc32c::crc32c(&bytes[16..]) {
        return Ok(None);
    }
    if !(WAL_FORMAT_VERSION_MIN..=WAL_FORMAT_VERSION).contains(&u32_at(8)) {
        return Err(Error::FormatVersion {
            file: file.to_owned(),
            found: u32_at(8),
            supported: WAL_FORMAT_VERSION,
        });
    }
    let start = u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32;
    Ok(Some(Lsn(start)))
}

pub(crate) fn segment_name(start: Lsn) -> String {
    format!("{:016x}.wal", start.0)
}

pub(crate) fn parse_segment_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok().map(Lsn)).flatten()
}

// ---------------------------------------------------------------------------------------------------------
// The log

/// An allocated file that waits to become a segment.
struct Spare {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    capacity: u64,
}

struct Segment {
    start: Lsn,
    capacity: u64,
    file: Arc<dyn VfsFile>,
    /// The spare's name, until the flusher renames it.
    spare_path: PathBuf,
}

/// Bytes to be written to one segment, one after another.
struct Chunk {
    segment: Arc<Segment>,
    offset: u64,
    bytes: Vec<u8>,
}

struct LogState {
    chunks: Vec<Chunk>,
    bytes: usize,
    batch_start: Lsn,
    end: Lsn,
    last: Timestamp,
    segment: Arc<Segment>,
    segment_used: u64,
    spares: VecDeque<Spare>,
    /// A buffer that the flusher gave back.
    recycled: Vec<u8>,
    flusher_idle: bool,
    closing: bool,
    stopped: Option<String>,
}

/// Where the files are: belongs to whoever flushes.
struct FlushState {
    /// Segments that exist under their final names, oldest first.
    segments: VecDeque<Arc<Segment>>,
    durable: Lsn,
}

#[derive(Default)]
struct Waiters {
    wakers: Vec<(Timestamp, Waker)>,
    stopped: Option<String>,
}

pub(crate) struct Wal {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    segment_bytes: u64,
    threaded: bool,
    blocking: Arc<dyn Blocking>,
    log: Mutex<{ sync::LOG }, LogState>,
    /// There is something to flush, or the store closes.
    work: Condvar,
    /// The buffer was taken.
    room: Condvar,
    flush: Mutex<{ sync::FLUSH }, FlushState>,
    grow: Mutex<{ sync::GROW }, u64>,
    waiters: Mutex<{ sync::WAITERS }, Waiters>,
    durable_changed: Condvar,
    is_stopped: AtomicBool,
    last_commit: AtomicU64,
    durable: AtomicU64,
    watermark: AtomicU64,
    /// Segments from here on stay, whatever a fold says: the archive does not have them yet.
    hold: AtomicU64,
    pub bytes_written: AtomicU64,
    pub flushes: AtomicU64,
    pub commits: AtomicU64,
}

pub(crate) struct WalOptions {
    pub vfs: Arc<dyn Vfs>,
    pub dir: PathBuf,
    pub segment_bytes: u64,
    pub threaded: bool,
    pub blocking: Arc<dyn Blocking>,
}

/// What recovery found: where the log goes on.
pub(crate) struct WalPosition {
    pub end: Lsn,
    pub last: Timestamp,
    /// Older segments (start, path), still needed until the next fold.
    pub segments: Vec<(Lsn, PathBuf)>,
    pub spares: Vec<PathBuf>,
}

impl Wal {
    /// Opens the log at the position that recovery found, in a new segment.
    pub fn open(options: WalOptions, position: WalPosition) -> Result<Wal> {
        let WalOptions { vfs, dir, segment_bytes, threaded, blocking } = options;
        let mut spares = VecDeque::new();
        let mut next_spare = 0;
        for path in position.spares {
            let file = vfs.open(&path, false).context("open", &path)?;
            let capacity = file.len().context("read the size of", &path)?;
            if capacity < segment_bytes || spares.len() >= 2 {
                vfs.remove(&path).context("remove", &path)?;
                continue;
            }
            let number =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_prefix("spare-"));
            let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
            next_spare = next_spare.max(number + 1);
            spares.push_back(Spare { file, path, capacity });
        }
        if spares.is_empty() {
            spares.push_back(create_spare(&*vfs, &dir, next_spare, segment_bytes)?);
            next_spare += 1;
        }
        let mut segments = VecDeque::new();
        for (start, path) in position.segments {
            let file = vfs.open(&path, false).context("open", &path)?;
            let capacity = file.len().context("read the size of", &path)?;
            segments.push_back(Arc::new(Segment { start, capacity, file, spare_path: path }));
        }
        let first = spares.pop_front().expect("a spare was made above");
        let segment = Arc::new(Segment {
            start: position.end,
            capacity: first.capacity,
            file: first.file,
            spare_path: first.path,
        });
        activate(&*vfs, &dir, &segment)?;
        segment.file.sync_data().context("sync", &dir.join(segment_name(segment.start)))?;
        segments.push_back(segment.clone());
        Ok(Wal {
            vfs,
            dir,
            segment_bytes,
            threaded,
            blocking,
            log: Mutex::new(LogState {
                chunks: Vec::new(),
                bytes: 0,
                batch_start: position.end,
                end: position.end,
                last: position.last,
                segment,
                segment_used: SEGMENT_HEADER_BYTES,
                spares,
                recycled: Vec::new(),
                flusher_idle: false,
                closing: false,
                stopped: None,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            flush: Mutex::new(FlushState { segments, durable: position.end }),
            grow: Mutex::new(next_spare),
            waiters: Mutex::new(Waiters::default()),
            durable_changed: Condvar::new(),
            is_stopped: AtomicBool::new(false),
            last_commit: AtomicU64::new(position.last.0),
            durable: AtomicU64::new(position.last.0),
            watermark: AtomicU64::new(position.last.0),
            hold: AtomicU64::new(u64::MAX),
            bytes_written: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        })
    }

    // Pairs with the release in `commit`: who sees the timestamp sees the state words of all commits up to it.
    pub fn last_commit(&self) -> Timestamp {
        Timestamp(self.last_commit.load(Ordering::Acquire))
    }

    pub fn watermark(&self) -> Timestamp {
        Timestamp(self.watermark.load(Ordering::Acquire))
    }

    pub fn publish_early(&self, ts: Timestamp) {
        let ts = ts.min(self.last_commit());
        self.watermark.fetch_max(ts.0, Ordering::AcqRel);
    }

    /// Steps 2 of the header. `committed` runs under the log mutex, in commit order; it must be short.
    pub fn commit(
        &self,
        body: Vec<u8>,
        writer: WriterId,
        committed: impl FnOnce(Timestamp),
    ) -> Result<Timestamp> {
        let Ok(body_bytes) = u32::try_from(body.len()) else {
            return Err(Error::DeltaFull {
                used_bytes: body.len() as u64,
                budget_bytes: u64::from(u32::MAX),
            });
        };
        let body_crc = crc32c::crc32c(&body);
        let record_bytes = RECORD_HEADER_BYTES as u64 + u64::from(body_bytes);
        let mut log = self.lock_with_room(record_bytes)?;
        let lsn = log.end;
        let timestamp = Timestamp(log.last.0 + 1);
        let header =
            RecordHeader { body_bytes, body_crc, lsn, timestamp, batch_start: log.batch_start, writer }
                .encode();
        log.append(&header, body);
        log.last = timestamp;
        committed(timestamp);
        self.last_commit.store(timestamp.0, Ordering::Release);
        if planted(Mutation::AcknowledgeBeforeFlush) {
            self.durable.fetch_max(timestamp.0, Ordering::AcqRel);
        }
        let wake = std::mem::take(&mut log.flusher_idle);
        drop(log);
        if wake && !planted(Mutation::ForgetFlusher) {
            self.work.notify_one();
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(timestamp)
    }

    /// The log mutex, with `record_bytes` of room in the current segment.
    fn lock_with_room(&self, record_bytes: u64) -> Result<sync::MutexGuard<'_, { sync::LOG }, LogState>> {
        loop {
            let mut log = self.log.lock();
            if let Some(reason) = &log.stopped {
                return Err(Error::Stopped(reason.clone()));
            }
            if log.closing {
                return Err(Error::Stopped("it is shut down".to_owned()));
            }
            if log.bytes > BUFFER_BYTES_MAX {
                drop(log);
                self.wait_for_buffer()?;
                continue;
            }
            if log.segment.capacity - log.segment_used >= record_bytes {
                return Ok(log);
            }
            let needed = SEGMENT_HEADER_BYTES + record_bytes;
            if let Some(fitting) = log.spares.iter().position(|spare| spare.capacity >= needed) {
                let spare = log.spares.remove(fitting).expect("found at this position");
                log.segment = Arc::new(Segment {
                    start: log.end,
                    capacity: spare.capacity,
                    file: spare.file,
                    spare_path: spare.path,
                });
                log.segment_used = SEGMENT_HEADER_BYTES;
                return Ok(log);
            }
            drop(log);
            self.make_spare(needed)?;
        }
    }

    fn wait_for_buffer(&self) -> Result<()> {
        if !self.threaded {
            return self.flush();
        }
        self.blocking.run(&mut || {
            let mut log = self.log.lock();
            while log.bytes > BUFFER_BYTES_MAX && log.stopped.is_none() {
                log.wait(&self.room);
            }
        });
        Ok(())
    }

    /// Allocates a segment that has room for `needed` bytes, unless somebody else just did.
    fn make_spare(&self, needed: u64) -> Result<()> {
        self.blocking.call(|| {
            let mut next_spare = self.grow.lock();
            if self.log.lock().spares.iter().any(|spare| spare.capacity >= needed) {
                return Ok(());
            }
            let spare = create_spare(&*self.vfs, &self.dir, *next_spare, needed.max(self.segment_bytes))?;
            *next_spare += 1;
            self.log.lock().spares.push_back(spare);
            Ok(())
        })
    }

    /// Steps 3 and 4: makes everything in the buffer durable. Any failure stops the store.
    pub fn flush(&self) -> Result<()> {
        let mut flush = self.flush.lock();
        let (chunks, end, last) = {
            let mut log = self.log.lock();
            if let Some(reason) = &log.stopped {
                return Err(Error::Stopped(reason.clone()));
            }
            if log.chunks.is_empty() {
                return Ok(());
            }
            log.bytes = 0;
            log.batch_start = log.end;
            (std::mem::take(&mut log.chunks), log.end, log.last)
        };
        self.room.notify_all();
        if let Err(error) = self.write_chunks(&mut flush, &chunks)
            && !planted(Mutation::IgnoreFailedSync)
        {
            self.stop(&error);
            return Err(Error::Stopped(error.to_string()));
        }
        let last = match planted(Mutation::AcknowledgeLateComers) {
            true => self.log.lock().last,
            false => last,
        };
        // First the watermark: a fold reads the position, then the watermark, and must not find it below.
        self.durable.fetch_max(last.0, Ordering::AcqRel);
        self.watermark.fetch_max(last.0, Ordering::AcqRel);
        flush.durable = end;
        drop(flush);
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.wake_waiters(last);
        if let Some(mut chunk) = chunks.into_iter().next()
            && chunk.bytes.capacity() <= 1 << 20
        {
            chunk.bytes.clear();
            self.log.lock().recycled = chunk.bytes;
        }
        Ok(())
    }

    fn write_chunks(&self, flush: &mut FlushState, chunks: &[Chunk]) -> Result<()> {
        for (index, chunk) in chunks.iter().enumerate() {
            let segment = &chunk.segment;
            if !flush.segments.back().is_some_and(|newest| Arc::ptr_eq(newest, segment)) {
                activate(&*self.vfs, &self.dir, segment)?;
                // A segment that the first record of all was too large for: this one took its name and its place.
                flush.segments.pop_back_if(|newest| newest.start == segment.start);
                flush.segments.push_back(segment.clone());
            }
            segment.file.write_at(&chunk.bytes, chunk.offset).context("write", &self.path(segment))?;
            self.bytes_written.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
            let last_of_segment =
                chunks.get(index + 1).is_none_or(|next| !Arc::ptr_eq(&next.segment, segment));
            if last_of_segment && !planted(Mutation::SkipLogSync) {
                segment.file.sync_data().context("sync", &self.path(segment))?;
            }
        }
        Ok(())
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        self.dir.join(segment_name(segment.start))
    }

    fn wake_waiters(&self, durable: Timestamp) {
        assert!(
            durable.0 <= self.last_commit.load(Ordering::Acquire),
            "only what was committed becomes durable"
        );
        let mut ready = Vec::new();
        {
            let mut waiters = self.waiters.lock();
            waiters.wakers.retain(|(ts, waker)| {
                let waits = *ts > durable;
                if !waits {
                    ready.push(waker.clone());
                }
                waits
            });
        }
        if !planted(Mutation::ForgetWaiters) {
            self.durable_changed.notify_all();
        }
        ready.into_iter().for_each(Waker::wake);
    }

    /// After a failed write or sync: nothing is acknowledged any more.
    pub fn stop(&self, error: &Error) {
        tracing::error!(%error, "the store stops");
        let reason = error.to_string();
        self.log.lock().stopped.get_or_insert(reason.clone());
        self.is_stopped.store(true, Ordering::Release);
        let ready = {
            let mut waiters = self.waiters.lock();
            waiters.stopped.get_or_insert(reason);
            std::mem::take(&mut waiters.wakers)
        };
        self.durable_changed.notify_all();
        self.room.notify_all();
        self.work.notify_all();
        ready.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// After a failed sync nothing may be built on what is on disk.
    pub fn check_running(&self) -> Result<()> {
        match &self.waiters.lock().stopped {
            Some(reason) if !planted(Mutation::IgnoreFailedSync) => Err(Error::Stopped(reason.clone())),
            _ => Ok(()),
        }
    }

    /// Whether `ts` is durable; otherwise `waker` is called when that may have changed.
    pub fn poll_durable(&self, ts: Timestamp, waker: Option<&Waker>) -> Option<Result<()>> {
        if self.durable.load(Ordering::Acquire) >= ts.0 {
            return Some(Ok(()));
        }
        let mut waiters = self.waiters.lock();
        // Again, under the mutex: `flush` raises `durable` before it looks at the wakers.
        if self.durable.load(Ordering::Acquire) >= ts.0 {
            return Some(Ok(()));
        }
        if let Some(reason) = &waiters.stopped {
            return Some(Err(Error::Stopped(reason.clone())));
        }
        if let Some(waker) = waker {
            waiters.wakers.push((ts, waker.clone()));
        }
        None
    }

    pub fn wait_durable(&self, ts: Timestamp) -> Result<()> {
        if self.durable.load(Ordering::Acquire) >= ts.0 {
            return Ok(());
        }
        if !self.threaded {
            self.flush()?;
            return self.poll_durable(ts, None).unwrap_or_else(|| {
                Err(Error::Stopped("a timestamp was awaited that was never committed".into()))
            });
        }
        self.blocking.call(|| {
            let mut waiters = self.waiters.lock();
            while self.durable.load(Ordering::Acquire) < ts.0 {
                if let Some(reason) = &waiters.stopped {
                    return Err(Error::Stopped(reason.clone()));
                }
                waiters.wait(&self.durable_changed);
            }
            Ok(())
        })
    }

    pub fn is_threaded(&self) -> bool {
        self.threaded
    }

    /// The flusher thread.
    pub fn run_flusher(&self) {
        loop {
            let (room, spares) = {
                let mut log = self.log.lock();
                while log.chunks.is_empty() && !log.closing && log.stopped.is_none() {
                    log.flusher_idle = true;
                    log.wait(&self.work);
                }
                log.flusher_idle = false;
                if log.stopped.is_some() || log.chunks.is_empty() {
                    return;
                }
                (log.segment.capacity - log.segment_used, log.spares.len())
            };
            // Where processors are busy, whoever is about to commit does so first, and one sync serves more of them: a tenth
            // less CPU per transaction under TPC-B (ARCHITECTURE.md). On an idle machine this returns at once.
            std::thread::yield_now();
            if self.flush().is_err() {
                return;
            }
            // Ahead of need, so that a commit seldom has to; if the disk is full the commit will say so.
            if spares == 0 && room < self.segment_bytes / 2 {
                let _ = self.make_spare(self.segment_bytes);
            }
        }
    }

    pub fn close(&self) {
        self.log.lock().closing = true;
        self.work.notify_all();
    }

    /// A durable position: every commit logged below it is at or below the watermark.
    pub fn durable_lsn(&self) -> Lsn {
        self.flush.lock().durable
    }

    pub fn end(&self) -> Lsn {
        self.log.lock().end
    }

    /// Bytes from `from` to the end of the log.
    pub fn bytes_since(&self, from: Lsn) -> u64 {
        self.log.lock().end.0 - from.0
    }

    /// From now on segments that have records from `position` on stay.
    pub fn hold_from(&self, position: Lsn) {
        self.hold.store(position.0, Ordering::Release);
    }

    /// Durable bytes of the log from `from` on, whole records, from one segment, `bytes_max` or a record at least.
    /// Empty at the end of the log.
    pub fn read(&self, from: Lsn, bytes_max: u64) -> Result<Vec<u8>> {
        let (segment, end) = {
            let flush = self.flush.lock();
            let after = flush.segments.partition_point(|segment| segment.start <= from);
            let Some(segment) = after.checked_sub(1).and_then(|index| flush.segments.get(index)) else {
                return Err(Error::Archive(format!("the log from LSN {from} on is not there any more")));
            };
            // A segment that follows may be there before the end of this one is durable.
            let end = flush.segments.get(after).map_or(flush.durable, |next| next.start.min(flush.durable));
            (segment.clone(), end)
        };
        let path = self.path(&segment);
        let read = |at: Lsn, bytes: u64| -> Result<Vec<u8>> {
            let mut buffer = vec![0; bytes as usize];
            let offset = at.0 - segment.start.0 + SEGMENT_HEADER_BYTES;
            segment.file.read_at(&mut buffer, offset).context("read", &path)?;
            Ok(buffer)
        };
        let mut bytes = read(from, end.0.saturating_sub(from.0).min(bytes_max))?;
        let mut whole = 0;
        while whole < bytes.len() {
            let at = Lsn(from.0 + whole as u64);
            let left = end.0 - at.0;
            let header = match bytes.get(whole..whole + RECORD_HEADER_BYTES) {
                Some(header) => header.to_vec(),
                None if whole > 0 => break,
                None => read(at, left.min(RECORD_HEADER_BYTES as u64))?,
            };
            let header = RecordHeader::decode(&header).filter(|header| header.lsn == at);
            let length = header.map(|header| RECORD_HEADER_BYTES + header.body_bytes as usize);
            let Some(length) = length.filter(|length| *length as u64 <= left) else {
                let detail = format!("the record at LSN {at} does not read back as it was written");
                let offset = at.0 - segment.start.0 + SEGMENT_HEADER_BYTES;
                return Err(Error::Corrupt { file: path, offset, detail, tree: None });
            };
            if whole + length > bytes.len() {
                if whole > 0 {
                    break;
                }
                bytes = read(at, length as u64)?;
            }
            whole += length;
        }
        bytes.truncate(whole);
        Ok(bytes)
    }

    /// Restoring: everything up to `end` was applied without being logged here. The log goes on there, in a segment of its own.
    pub fn skip_to(&self, end: Lsn, last: Timestamp) -> Result<()> {
        assert!(!self.threaded, "nobody commits meanwhile");
        let mut flush = self.flush.lock();
        assert!(
            self.log.lock().chunks.is_empty() && end >= flush.durable,
            "nothing is logged while restoring"
        );
        if end > flush.durable {
            self.make_spare(self.segment_bytes)?;
            let spare = self.log.lock().spares.pop_front().expect("made above, and nobody else takes it");
            let Spare { file, path: spare_path, capacity } = spare;
            let segment = Arc::new(Segment { start: end, capacity, file, spare_path });
            activate(&*self.vfs, &self.dir, &segment)?;
            flush.segments.push_back(segment.clone());
            flush.durable = end;
            let mut log = self.log.lock();
            (log.segment, log.segment_used) = (segment, SEGMENT_HEADER_BYTES);
            (log.end, log.batch_start) = (end, end);
        }
        self.log.lock().last = last;
        for position in [&self.last_commit, &self.durable, &self.watermark] {
            position.store(last.0, Ordering::Release);
        }
        Ok(())
    }

    /// Gives up segments that lie wholly below `replay_start`.
    pub fn recycle(&self, replay_start: Lsn) -> Result<()> {
        let mut flush = self.flush.lock();
        let hold =
            if planted(Mutation::RecycleUnarchived) { u64::MAX } else { self.hold.load(Ordering::Acquire) };
        let needed_from = Lsn(replay_start.0.min(hold));
        while flush.segments.len() > 1 && flush.segments[1].start <= needed_from {
            let segment = flush.segments.pop_front().expect("there are two");
            let path = self.path(&segment);
            let mut next_spare = self.grow.lock();
            let keep = segment.capacity >= self.segment_bytes && self.log.lock().spares.len() < 2;
            if !keep {
                self.vfs.remove(&path).context("remove", &path)?;
                continue;
            }
            let spare_path = self.dir.join(spare_name(*next_spare));
            *next_spare += 1;
            self.vfs.rename(&path, &spare_path).context("rename", &path)?;
            let spare = Spare { file: segment.file.clone(), path: spare_path, capacity: segment.capacity };
            self.log.lock().spares.push_back(spare);
        }
        Ok(())
    }
}

impl LogState {
    fn append(&mut self, header: &[u8], body: Vec<u8>) {
        let bytes = header.len() + body.len();
        assert!(self.segment.capacity - self.segment_used >= bytes as u64, "room was made before");
        let offset = self.segment_used;
        debug_assert_eq!(
            self.end.0,
            self.segment.start.0 + offset - SEGMENT_HEADER_BYTES,
            "LSN order at append"
        );
        let continues = self.chunks.last().is_some_and(|chunk| Arc::ptr_eq(&chunk.segment, &self.segment));
        if !continues {
            let mut buffer = std::mem::take(&mut self.recycled);
            buffer.clear();
            self.chunks.push(Chunk { segment: self.segment.clone(), offset, bytes: buffer });
        }
        let buffer = &mut self.chunks.last_mut().expect("pushed above").bytes;
        buffer.extend_from_slice(header);
        if body.len() <= BODY_COPY_BYTES_MAX {
            buffer.extend_from_slice(&body);
        } else {
            let (segment, offset) = (self.segment.clone(), offset + header.len() as u64);
            self.chunks.push(Chunk { segment, offset, bytes: body });
        }
        self.bytes += bytes;
        self.segment_used += bytes as u64;
        self.end.0 += bytes as u64;
    }
}

fn spare_name(number: u64) -> String {
    format!("spare-{number:08x}.wal")
}

/// The space is granted here, so that no write to the segment can find the disk full.
fn create_spare(vfs: &dyn Vfs, dir: &Path, number: u64, capacity: u64) -> Result<Spare> {
    let path = dir.join(spare_name(number));
    let create = || -> Result<Arc<dyn VfsFile>> {
        let file = vfs.open(&path, true).context("create", &path)?;
        file.allocate(capacity).context("allocate space for", &path)?;
        file.sync_data().context("sync", &path)?;
        Ok(file)
    };
    match create() {
        Ok(file) => Ok(Spare { file, path, capacity }),
        Err(error) => {
            let _ = vfs.remove(&path);
            Err(error)
        }
    }
}

/// Gives a segment its header and its name, durably.
fn activate(vfs: &dyn Vfs, dir: &Path, segment: &Segment) -> Result<()> {
    let path = dir.join(segment_name(segment.start));
    segment.file.write_at(&encode_segment_header(segment.start), 0).context("write", &segment.spare_path)?;
    segment.file.sync_data().context("sync", &segment.spare_path)?;
    vfs.rename(&segment.spare_path, &path).context("rename", &segment.spare_path)?;
    if planted(Mutation::SkipDirectorySync) {
        return Ok(());
    }
    vfs.sync_dir(dir).context("sync", dir)
}
