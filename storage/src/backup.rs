//! Backup of a store that is in use: the pages of one generation, copied while newer ones come and go.
//!
//! # The idea
//! Pages never change in place, and a snapshot keeps those of its generation. So a backup folds, takes a snapshot and the meta page of
//! its generation, and copies every page that is not in that generation's free list: free ∪ reachable = file. Commits and folds go on.
//! Pages keep their places, so the file has holes where pages were free.
//!
//! A page is known by its place, the generation that it is stamped with and its checksum: a place is used again only for a generation
//! that is later than the one whose page was freed. So an *incremental* backup is every page that is not the one that the backup before
//! it noted for that place. It reads the whole file, in order, and writes what changed.
//!
//! # Files
//! A full backup is a data directory: `data.serin`, and in `wal/` an empty segment. It can be started as it is; it is another store
//! from then on, and no base for anything (its identity is its own, and a restore checks that its generation is still that of the map).
//! An incremental backup has `pages.serin`: the meta page, then the changed pages in order of their places. Both have `backup.map`:
//!
//! | offset | size | meaning |
//! | --- | --- | --- |
//! | 0 | 8 | magic `SERINMAP` |
//! | 8 | 4 | format version |
//! | 12 | 4 | CRC32C of bytes 16..128, then of the entries |
//! | 16 | 8 | identity of the store that was copied |
//! | 24 | 8 | identity of this backup |
//! | 32 | 8 | identity of the backup that this one continues, 0 if it is a full one |
//! | 40 | 8 | generation |
//! | 48 | 8 | fold timestamp: the state is that of this commit |
//! | 56 | 8 | LSN from which to replay |
//! | 64 | 8 | time of the state at the latest, microseconds since 2000 |
//! | 72 | 8 | entries |
//! | 80 | 48 | zero |
//! | 128 | | entries in ascending order: page (8), generation (8, the top bit set if the page is in this backup), its CRC32C (4) |
//!
//! The map is written last, after everything else is synced: a directory without one is no backup. [`Store::backup`] reads back what it
//! wrote before it says that there is one.

use crate::archive::now_microseconds;
use crate::fold;
use crate::meta::{META_PAGES, Meta, random_id};
use crate::page::{PAGE_SIZE, Page};
use crate::vfs::{IoContext, Vfs, VfsFile};
use crate::wal::{encode_segment_header, segment_name};
use crate::{Error, Lsn, PageId, Result, Store, Timestamp, check_with};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was written.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The state is that of this commit, and of all before it.
    pub timestamp: Timestamp,
    /// Pages of that state, and how many of them are in this backup.
    pub pages: u64,
    pub pages_written: u64,
    pub bytes: u64,
}

pub(crate) const MAP_FILE: &str = "backup.map";
pub(crate) const DATA_FILE: &str = "data.serin";
pub(crate) const PAGES_FILE: &str = "pages.serin";
const MAP_MAGIC: &[u8; 8] = b"SERINMAP";
const MAP_FORMAT_VERSION: u32 = 1;
const MAP_HEADER_BYTES: usize = 128;
const ENTRY_BYTES: usize = 20;
const IN_THIS_BACKUP: u64 = 1 << 63;
const CHUNK_PAGES: u64 = 128;

#[derive(Clone, Copy, Debug)]
pub(crate) struct MapHeader {
    pub store_id: u64,
    pub backup_id: u64,
    /// 0: a full backup.
    pub continues: u64,
    pub generation: u64,
    pub fold_ts: Timestamp,
    pub replay_start: Lsn,
    pub time: u64,
    pub entries: u64,
}

impl MapHeader {
    fn encode(&self, entries_crc: impl FnOnce(u32) -> u32) -> [u8; MAP_HEADER_BYTES] {
        let mut bytes = [0; MAP_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAP_MAGIC);
        bytes[8..12].copy_from_slice(&MAP_FORMAT_VERSION.to_le_bytes());
        let fields = [
            self.store_id,
            self.backup_id,
            self.continues,
            self.generation,
            self.fold_ts.0,
            self.replay_start.0,
            self.time,
            self.entries,
        ];
        for (index, field) in fields.iter().enumerate() {
            bytes[16 + index * 8..24 + index * 8].copy_from_slice(&field.to_le_bytes());
        }
        let crc = entries_crc(crc32c::crc32c(&bytes[16..]));
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// An entry of the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub page: PageId,
    pub generation: u64,
    pub crc: u32,
    pub here: bool,
}

impl Entry {
    fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let flag = if self.here { IN_THIS_BACKUP } else { 0 };
        bytes[..8].copy_from_slice(&self.page.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&(self.generation | flag).to_le_bytes());
        bytes[16..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Entry {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let (page, generation) = (PageId(word(0)), word(8));
        let crc = u32::from_le_bytes(bytes[16..20].try_into().expect("four bytes"));
        Entry { page, generation: generation & !IN_THIS_BACKUP, crc, here: generation & IN_THIS_BACKUP != 0 }
    }
}

/// Reads a map, entry by entry.
pub(crate) struct MapReader {
    pub header: MapHeader,
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    read: u64,
    window: Vec<u8>,
    at: usize,
    last: Option<PageId>,
}

impl MapReader {
    /// Opens the map of the backup in `dir` and verifies its checksum.
    pub fn open(vfs: &dyn Vfs, dir: &Path) -> Result<MapReader> {
        let path = dir.join(MAP_FILE);
        if !vfs.exists(&path) {
            let message =
                format!("there is no complete backup in \"{}\": \"{MAP_FILE}\" is missing", dir.display());
            return Err(Error::Archive(message));
        }
        let file = vfs.open(&path, false).context("open", &path)?;
        let corrupt = |detail: &str| Error::Corrupt {
            file: path.clone(),
            offset: 0,
            detail: detail.to_owned(),
            tree: None,
        };
        let length = file.len().context("read the size of", &path)?;
        if length < MAP_HEADER_BYTES as u64 {
            return Err(corrupt("the file is too short"));
        }
        let mut bytes = [0; MAP_HEADER_BYTES];
        file.read_at(&mut bytes, 0).context("read", &path)?;
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let [version, crc] =
            [8, 12].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")));
        if &bytes[..8] != MAP_MAGIC {
            return Err(corrupt("it is no map of a backup"));
        }
        if version != MAP_FORMAT_VERSION {
            return Err(Error::FormatVersion { file: path, found: version, supported: MAP_FORMAT_VERSION });
        }
        let header = MapHeader {
            store_id: word(16),
            backup_id: word(24),
            continues: word(32),
            generation: word(40),
            fold_ts: Timestamp(word(48)),
            replay_start: Lsn(word(56)),
            time: word(64),
            entries: word(72),
        };
        if (length - MAP_HEADER_BYTES as u64) / ENTRY_BYTES as u64 != header.entries {
            return Err(corrupt("its length is not that of its entries"));
        }
        let (window, at) = (Vec::new(), 0);
        let mut reader = MapReader { header, path: path.clone(), file, read: 0, window, at, last: None };
        let mut found = crc32c::crc32c(&bytes[16..]);
        while reader.fill()? {
            found = crc32c::crc32c_append(found, &reader.window);
            reader.at = reader.window.len();
        }
        if found != crc {
            return Err(corrupt("the checksum does not match"));
        }
        (reader.read, reader.at, reader.last) = (0, 0, None);
        reader.window.clear();
        Ok(reader)
    }

    /// Sees to it that there is something in the window; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        if self.at < self.window.len() {
            return Ok(true);
        }
        let entries = (self.header.entries - self.read).min(4096);
        self.window.resize(entries as usize * ENTRY_BYTES, 0);
        let offset = MAP_HEADER_BYTES as u64 + self.read * ENTRY_BYTES as u64;
        self.file.read_at(&mut self.window, offset).context("read", &self.path)?;
        (self.read, self.at) = (self.read + entries, 0);
        Ok(entries > 0)
    }

    pub fn next(&mut self) -> Result<Option<Entry>> {
        if !self.fill()? {
            return Ok(None);
        }
        let entry = Entry::decode(&self.window[self.at..self.at + ENTRY_BYTES]);
        self.at += ENTRY_BYTES;
        if entry.page.0 < META_PAGES || self.last.replace(entry.page).is_some_and(|last| last >= entry.page) {
            let detail = "its entries are out of order".to_owned();
            return Err(Error::Corrupt { file: self.path.clone(), offset: 0, detail, tree: None });
        }
        Ok(Some(entry))
    }
}

struct MapWriter {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    buffer: Vec<u8>,
    written: u64,
}

impl MapWriter {
    fn push(&mut self, entry: Entry) -> Result<()> {
        self.buffer.extend_from_slice(&entry.encode());
        if self.buffer.len() >= 4096 * ENTRY_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let offset = MAP_HEADER_BYTES as u64 + self.written * ENTRY_BYTES as u64;
        self.file.write_at(&self.buffer, offset).context("write", &self.path)?;
        self.written += (self.buffer.len() / ENTRY_BYTES) as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Returns the number of entries.
    fn finish(mut self, mut header: MapHeader) -> Result<u64> {
        self.flush()?;
        header.entries = self.written;
        // The checksum runs from the header to the entries, which are read back for it.
        let mut failed = Ok(());
        let bytes = header.encode(|crc| {
            let mut crc = crc;
            let mut at = 0;
            while at < self.written && failed.is_ok() {
                let entries = (self.written - at).min(4096);
                let mut window = vec![0; entries as usize * ENTRY_BYTES];
                let offset = MAP_HEADER_BYTES as u64 + at * ENTRY_BYTES as u64;
                failed = self.file.read_at(&mut window, offset).context("read", &self.path);
                crc = crc32c::crc32c_append(crc, &window);
                at += entries;
            }
            crc
        });
        failed?;
        self.file.write_at(&bytes, 0).context("write", &self.path)?;
        self.file.sync_data().context("sync", &self.path)?;
        Ok(self.written)
    }
}

impl Store {
    /// Copies the state of now into `dir`, which must be empty or absent: all of it, or what changed since the backup in `previous`.
    /// Commits and folds go on meanwhile.
    pub fn backup(&self, dir: &Path, previous: Option<&Path>) -> Result<BackupReport> {
        self.blocking().call(|| self.copy_to(dir, previous))
    }

    fn copy_to(&self, dir: &Path, previous: Option<&Path>) -> Result<BackupReport> {
        let shared = self.shared();
        let vfs = shared.vfs.clone();
        prepare_directory(&*vfs, dir)?;
        let mut before = previous.map(|previous| MapReader::open(&*vfs, previous)).transpose()?;
        self.fold_now()?;
        // The generation in force, its meta page, and a snapshot that keeps its pages.
        let (meta, snapshot) = {
            let state = shared.fold.lock();
            (*state.meta(), self.snapshot_of_state())
        };
        let time = now_microseconds();
        assert_eq!(snapshot.generation.number, meta.generation, "no fold went between the two");
        if let Some(before) = &before {
            let MapHeader { store_id, generation, .. } = before.header;
            if store_id != meta.store_id || generation > meta.generation {
                let message = "the backup to continue is of another store".to_owned();
                return Err(Error::Archive(message));
            }
        }
        let (free, _) = fold::read_free_list(&shared.pager, &meta)?;
        let map_path = dir.join(MAP_FILE);
        let temporary = map_path.with_extension("partial");
        let file = vfs.open(&temporary, true).context("create", &temporary)?;
        let mut map = MapWriter { file, path: temporary.clone(), buffer: Vec::new(), written: 0 };
        let mut copy = Copy::create(&*vfs, dir, before.is_some())?;
        let mut known = before.as_mut().map(MapReader::next).transpose()?.flatten();
        for (first, count, is_free) in free.split(PageId(META_PAGES), meta.page_count - META_PAGES) {
            let chunks = (0..count).step_by(CHUNK_PAGES as usize).filter(|_| !is_free);
            for chunk in chunks {
                let first = PageId(first.0 + chunk);
                let pages = (count - chunk).min(CHUNK_PAGES);
                let mut bytes = vec![0; pages as usize * PAGE_SIZE];
                let offset = first.0 * PAGE_SIZE as u64;
                shared.pager.file.read_at(&mut bytes, offset).context("read", &shared.pager.path)?;
                for (index, page) in bytes.chunks_exact(PAGE_SIZE).enumerate() {
                    let id = PageId(first.0 + index as u64);
                    let verified =
                        Page::verify(id, page.into()).map_err(|detail| shared.pager.corrupt(id, detail))?;
                    let generation = verified.generation();
                    if generation > meta.generation {
                        let detail = format!("page {id} was written for the later generation {generation}");
                        return Err(shared.pager.corrupt(id, detail));
                    }
                    while let (Some(entry), Some(before)) = (known, &mut before)
                        && entry.page < id
                    {
                        known = before.next()?;
                    }
                    let crc = page_crc(page);
                    let found = Entry { page: id, generation, crc, here: false };
                    let same = known.is_some_and(|entry| Entry { here: false, ..entry } == found);
                    map.push(Entry { here: !same, ..found })?;
                    if !same {
                        copy.write(id, page)?;
                    }
                }
            }
        }
        let pages_written = copy.pages;
        let bytes = copy.finish(&meta)?;
        if before.is_none() {
            write_empty_log(&*vfs, dir, meta.replay_start)?;
        }
        let header = MapHeader {
            store_id: meta.store_id,
            backup_id: random_id(),
            continues: before.as_ref().map_or(0, |before| before.header.backup_id),
            generation: meta.generation,
            fold_ts: meta.fold_ts,
            replay_start: meta.replay_start,
            time,
            entries: 0,
        };
        let pages = map.finish(header)?;
        drop(snapshot);
        verify(&vfs, dir, before.is_none())?;
        vfs.rename(&temporary, &map_path).context("rename", &temporary)?;
        vfs.sync_dir(dir).context("sync", dir)?;
        Ok(BackupReport { timestamp: meta.fold_ts, pages, pages_written, bytes })
    }
}

pub(crate) fn page_crc(page: &[u8]) -> u32 {
    u32::from_le_bytes(page[..4].try_into().expect("four bytes"))
}

/// Where the pages go.
struct Copy {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    incremental: bool,
    pages: u64,
    /// What is to be written there.
    at: u64,
    buffer: Vec<u8>,
}

impl Copy {
    fn create(vfs: &dyn Vfs, dir: &Path, incremental: bool) -> Result<Copy> {
        let path = dir.join(if incremental { PAGES_FILE } else { DATA_FILE });
        let file = vfs.open(&path, true).context("create", &path)?;
        Ok(Copy { file, path, incremental, pages: 0, at: 0, buffer: Vec::new() })
    }

    fn write(&mut self, id: PageId, page: &[u8]) -> Result<()> {
        let place = if self.incremental { 1 + self.pages } else { id.0 };
        let offset = place * PAGE_SIZE as u64;
        if self.at + self.buffer.len() as u64 != offset || self.buffer.len() >= 1 << 20 {
            self.flush()?;
            self.at = offset;
        }
        self.buffer.extend_from_slice(page);
        self.pages += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_at(&self.buffer, self.at).context("write", &self.path)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The meta page, last: without it there is no store. A copy is a store of its own.
    fn finish(mut self, meta: &Meta) -> Result<u64> {
        self.flush()?;
        let place = if self.incremental { PageId(0) } else { meta.page() };
        if !self.incremental {
            let bytes = meta.page_count * PAGE_SIZE as u64;
            self.file.truncate(bytes).context("extend", &self.path)?;
            self.file.sync_data().context("sync", &self.path)?;
        }
        let copied = Meta { store_id: random_id(), ..*meta };
        self.file.write_at(&copied.encode(), place.0 * PAGE_SIZE as u64).context("write", &self.path)?;
        self.file.sync_data().context("sync", &self.path)?;
        Ok((self.pages + 1) * PAGE_SIZE as u64)
    }
}

/// Makes the directory, if there is none, and sees to it that it is empty.
pub(crate) fn prepare_directory(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    vfs.create_dir_all(dir).context("create", dir)?;
    if vfs.list(dir).context("list", dir)?.is_empty() {
        return Ok(());
    }
    let message = "the directory is not empty".to_owned();
    let kind = std::io::ErrorKind::DirectoryNotEmpty;
    Err(Error::Io { operation: "write to", file: dir.to_owned(), message, kind })
}

/// A log without records, that goes on at `start`.
pub(crate) fn write_empty_log(vfs: &dyn Vfs, dir: &Path, start: Lsn) -> Result<()> {
    let dir = dir.join("wal");
    vfs.create_dir_all(&dir).context("create", &dir)?;
    let path = dir.join(segment_name(start));
    let file = vfs.open(&path, true).context("create", &path)?;
    file.write_at(&encode_segment_header(start), 0).context("write", &path)?;
    file.sync_data().context("sync", &path)?;
    vfs.sync_dir(&dir).context("sync", &dir)
}

/// Reads all of it again.
fn verify(vfs: &Arc<dyn Vfs>, dir: &Path, full: bool) -> Result<()> {
    if full {
        let report = check_with(vfs.clone(), dir)?;
        let Some(problem) = report.problems.first() else { return Ok(()) };
        let message = format!("it does not read back as it was written: {problem}");
        let kind = std::io::ErrorKind::InvalidData;
        return Err(Error::Io { operation: "verify", file: dir.join(DATA_FILE), message, kind });
    }
    let path = dir.join(PAGES_FILE);
    let file = vfs.open(&path, false).context("open", &path)?;
    let pages = file.len().context("read the size of", &path)? / PAGE_SIZE as u64;
    for place in 1..pages {
        let mut page = vec![0; PAGE_SIZE].into_boxed_slice();
        file.read_at(&mut page, place * PAGE_SIZE as u64).context("read", &path)?;
        let id = PageId(u64::from_le_bytes(page[8..16].try_into().expect("eight bytes")));
        let corrupt = |detail| Error::Corrupt {
            file: path.clone(),
            offset: place * PAGE_SIZE as u64,
            detail,
            tree: None,
        };
        Page::verify(id, page).map_err(corrupt)?;
    }
    Ok(())
}
