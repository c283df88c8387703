//! External sort of key-value pairs by key: what index builds and rewrites need to feed a bulk load.
//!
//! Pairs are gathered in an arena; when it is full they are sorted and written to a *run*, a temporary file whose name is removed
//! at once, so that nothing is left behind by a crash. At the end the runs are merged with a heap. An input that fits in memory never
//! touches the disk. Of equal keys the order is unspecified: callers treat them as duplicates.
//!
//! An index build is alone with its table, and whoever waits for it waits for one thread. So its sorter ([`Sorter::with_helper`]) has two arenas
//! of half the size and a thread that sorts and writes the one while the other is filled, and that merges ahead of the loader. (PostgreSQL
//! has parallel workers scan and sort for the same reason.) Queries' sorts stay on their own thread: there may be many of them.
//!
//! ```text
//!   caller   fill A   fill B   fill A   fill B         load  load  load
//!   helper            sort A   sort B   sort A  sort B  merge merge
//! ```
//!
//! Run format: (key length u32, value length u32, key, value)*, little-endian.

use crate::error::{Error, Result, SqlState};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Runs merged at once: each needs a read buffer.
const RUNS_MAX: usize = 64;
const BUFFER_BYTES: usize = 256 * 1024;
/// What the helper merges between two hand-overs, and how many of these it may be ahead.
const BLOCK_BYTES: usize = 256 * 1024;
const BLOCKS_AHEAD: usize = 4;

pub struct Sorter {
    /// For one arena.
    budget_bytes: usize,
    dir: PathBuf,
    arena: Arena,
    runs: Vec<File>,
    has_helper: bool,
    /// Started when the first arena is full.
    helper: Option<Helper>,
}

#[derive(Default)]
struct Arena {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A pair in the arena. The key's first bytes decide most comparisons without a look at the arena.
#[derive(Clone, Copy)]
struct Entry {
    prefix: u64,
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
}

impl Entry {
    fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start..][..self.key_bytes as usize]
    }
    fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start + self.key_bytes as usize..][..self.value_bytes as usize]
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

impl Arena {
    fn used(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let too_long = || Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too large to sort");
        let key_bytes = u32::try_from(key.len()).map_err(|_| too_long())?;
        let value_bytes = u32::try_from(value.len()).map_err(|_| too_long())?;
        self.entries.push(Entry { prefix: prefix(key), start: self.bytes.len(), key_bytes, value_bytes });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        Ok(())
    }
    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries
            .sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix).then_with(|| a.key(bytes).cmp(b.key(bytes))));
    }
    /// Sorts and writes its pairs, and is empty then.
    fn spill(&mut self, dir: &Path) -> Result<File> {
        self.sort();
        let mut run = RunWriter::create(dir)?;
        for entry in &self.entries {
            run.append(entry.key(&self.bytes), entry.value(&self.bytes))?;
        }
        self.entries.clear();
        self.bytes.clear();
        run.finish()
    }
}

/// A thread that spills arenas. It ends when nobody has one for it any more.
struct Helper {
    full: SyncSender<Arena>,
    done: Receiver<(Result<File>, Arena)>,
    busy: bool,
}

fn helper_is_gone() -> Error {
    Error::internal("the thread that sorts has ended")
}

impl Helper {
    fn start(dir: PathBuf) -> Result<Helper> {
        let (full, to_do) = sync_channel::<Arena>(1);
        let (finished, done) = sync_channel(1);
        let work = move || {
            for mut arena in to_do {
                let run = arena.spill(&dir);
                if finished.send((run, arena)).is_err() {
                    return;
                }
            }
        };
        spawn("sort", work)?;
        Ok(Helper { full, done, busy: false })
    }

    /// What it has made since the last call, if it was given anything; and the arena, which is empty.
    fn wait(&mut self) -> Result<Option<(File, Arena)>> {
        if !std::mem::take(&mut self.busy) {
            return Ok(None);
        }
        let (run, arena) = self.done.recv().map_err(|_| helper_is_gone())?;
        Ok(Some((run?, arena)))
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| {
        Error::new(SqlState::INSUFFICIENT_RESOURCES, format!("could not start a thread: {error}"))
    })
}

impl Sorter {
    /// Uses about `budget_bytes` of memory, and files in `dir` beyond that.
    pub fn new(budget_bytes: usize, dir: &Path) -> Sorter {
        Sorter {
            budget_bytes,
            dir: dir.to_path_buf(),
            arena: Arena::default(),
            runs: Vec::new(),
            has_helper: false,
            helper: None,
        }
    }
    /// As [`Sorter::new`], with another thread that sorts what does not fit in half of the memory.
    pub fn with_helper(budget_bytes: usize, dir: &Path) -> Sorter {
        Sorter { has_helper: true, ..Sorter::new(budget_bytes / 2, dir) }
    }

    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let entry_bytes = key.len() + value.len() + size_of::<Entry>();
        if self.arena.used() + entry_bytes > self.budget_bytes && !self.arena.entries.is_empty() {
            self.spill()?;
        }
        self.arena.push(key, value)
    }

    fn spill(&mut self) -> Result<()> {
        if !self.has_helper {
            let run = self.arena.spill(&self.dir)?;
            return self.add_run(run);
        }
        if self.helper.is_none() {
            self.helper = Some(Helper::start(self.dir.clone())?);
        }
        let helper = self.helper.as_mut().expect("it was just started");
        let (run, empty) = helper.wait()?.map_or_else(Default::default, |(run, arena)| (Some(run), arena));
        let full = std::mem::replace(&mut self.arena, empty);
        helper.full.send(full).map_err(|_| helper_is_gone())?;
        helper.busy = true;
        run.map_or(Ok(()), |run| self.add_run(run))
    }

    fn add_run(&mut self, run: File) -> Result<()> {
        self.runs.push(run);
        if self.runs.len() == RUNS_MAX {
            let mut merge = Merge::new(std::mem::take(&mut self.runs))?;
            let mut run = RunWriter::create(&self.dir)?;
            while let Some((key, value)) = merge.next()? {
                run.append(key, value)?;
            }
            self.runs.push(run.finish()?);
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Sorted> {
        if self.runs.is_empty() && self.helper.is_none() {
            self.arena.sort();
            return Ok(Sorted(From::Memory { arena: self.arena, next: 0 }));
        }
        if !self.arena.entries.is_empty() {
            self.spill()?;
        }
        if let Some((run, _)) = self.helper.as_mut().map(Helper::wait).transpose()?.flatten() {
            self.add_run(run)?;
        }
        let merge = Merge::new(self.runs)?;
        Ok(Sorted(match self.has_helper {
            true => From::Ahead(MergeAhead::start(merge)?),
            false => From::Merge(merge),
        }))
    }
}

/// The pairs in ascending order of their keys.
pub struct Sorted(From);

enum From {
    Memory { arena: Arena, next: usize },
    Merge(Merge),
    Ahead(MergeAhead),
}

impl Sorted {
    /// The next pair; a lending iterator, since pairs stay in the sort's buffers.
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match &mut self.0 {
            From::Memory { arena, next } => {
                let entry = arena.entries.get(*next);
                *next += 1;
                Ok(entry.map(|entry| (entry.key(&arena.bytes), entry.value(&arena.bytes))))
            }
            From::Merge(merge) => merge.next(),
            From::Ahead(ahead) => ahead.next(),
        }
    }
}

pub struct Merge {
    runs: BinaryHeap<Reverse<RunReader>>,
    /// The first run's head was handed out by the last call: it moves on at the next.
    handed_out: bool,
}

impl Merge {
    fn new(files: Vec<File>) -> Result<Merge> {
        let mut runs = BinaryHeap::with_capacity(files.len());
        for file in files {
            let mut run = RunReader::open(&file)?;
            if run.advance()? {
                runs.push(Reverse(run));
            }
        }
        Ok(Merge { runs, handed_out: false })
    }

    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if std::mem::take(&mut self.handed_out)
            && let Some(mut first) = self.runs.peek_mut()
            && !first.0.advance()?
        {
            PeekMut::pop(first);
        }
        self.handed_out = true;
        Ok(self.runs.peek().map(|Reverse(run)| (&run.key[..], &run.value[..])))
    }
}

/// A merge on a thread of its own, some blocks ahead.
struct MergeAhead {
    blocks: Receiver<Result<Block>>,
    block: Block,
    next: usize,
}

/// Pairs, one after the other, and where their keys and values end.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
}

impl Block {
    /// None: there are no more.
    fn fill(merge: &mut Merge) -> Result<Option<Block>> {
        let mut block = Block { bytes: Vec::with_capacity(BLOCK_BYTES), ends: Vec::new() };
        while block.bytes.len() < BLOCK_BYTES
            && let Some((key, value)) = merge.next()?
        {
            block.bytes.extend_from_slice(key);
            let key_end = block.bytes.len();
            block.bytes.extend_from_slice(value);
            let end = |at: usize| {
                u32::try_from(at)
                    .map_err(|_| Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too large to sort"))
            };
            block.ends.push((end(key_end)?, end(block.bytes.len())?));
        }
        Ok((!block.ends.is_empty()).then_some(block))
    }
}

impl MergeAhead {
    fn start(mut merge: Merge) -> Result<MergeAhead> {
        let (ready, blocks) = sync_channel(BLOCKS_AHEAD);
        // Ends when all is merged, or when nobody takes it any more.
        spawn("merge", move || {
            while let Some(block) = Block::fill(&mut merge).transpose() {
                let failed = block.is_err();
                if ready.send(block).is_err() || failed {
                    return;
                }
            }
            // Its end is told, so that a thread that ends otherwise is not taken for it.
            drop(ready.send(Ok(Block::default())));
        })?;
        Ok(MergeAhead { blocks, block: Block::default(), next: 0 })
    }

    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.next == self.block.ends.len() {
            self.block = self.blocks.recv().map_err(|_| helper_is_gone())??;
            self.next = 0;
        }
        let start = self.next.checked_sub(1).map_or(0, |before| self.block.ends[before].1 as usize);
        let Some(&(key_end, end)) = self.block.ends.get(self.next) else { return Ok(None) };
        self.next += 1;
        Ok(Some((
            &self.block.bytes[start..key_end as usize],
            &self.block.bytes[key_end as usize..end as usize],
        )))
    }
}

/// Reads a run, or any other file of pairs, from its beginning.
pub struct RunReader {
    reader: BufReader<File>,
    prefix: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl RunReader {
    /// A reader with a position of its own, though only one at a time may be in use: the file's is moved.
    pub fn open(file: &File) -> Result<RunReader> {
        let mut file = file.try_clone().map_err(|error| io_error("read", &error))?;
        file.rewind().map_err(|error| io_error("read", &error))?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(RunReader { reader, prefix: 0, key: Vec::new(), value: Vec::new() })
    }

    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Reads the next pair; false at the end.
    pub fn advance(&mut self) -> Result<bool> {
        let mut lengths = [0; 8];
        match self.reader.read_exact(&mut lengths) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other.map_err(|error| io_error("read", &error))?,
        }
        let [a, b, c, d, e, f, g, h] = lengths;
        self.key.resize(u32::from_le_bytes([a, b, c, d]) as usize, 0);
        self.value.resize(u32::from_le_bytes([e, f, g, h]) as usize, 0);
        self.reader.read_exact(&mut self.key).map_err(|error| io_error("read", &error))?;
        self.reader.read_exact(&mut self.value).map_err(|error| io_error("read", &error))?;
        self.prefix = prefix(&self.key);
        Ok(true)
    }
}

impl Ord for RunReader {
    fn cmp(&self, other: &RunReader) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.key.cmp(&other.key))
    }
}
impl PartialOrd for RunReader {
    fn partial_cmp(&self, other: &RunReader) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for RunReader {
    fn eq(&self, other: &RunReader) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for RunReader {}

/// Writes a file of pairs that has no name.
pub struct RunWriter(BufWriter<File>);

impl RunWriter {
    pub fn create(dir: &Path) -> Result<RunWriter> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, AtomicOrdering::Relaxed);
        let path = dir.join(format!("sort.{}.{number}", std::process::id()));
        std::fs::create_dir_all(dir).map_err(|error| io_error("create", &error))?;
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(|error| io_error("create", &error))?;
        std::fs::remove_file(&path).map_err(|error| io_error("remove", &error))?;
        Ok(RunWriter(BufWriter::with_capacity(BUFFER_BYTES, file)))
    }
    pub fn append(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        // `Sorter::push` checked that both lengths fit.
        let lengths = [(key.len() as u32).to_le_bytes(), (value.len() as u32).to_le_bytes()].concat();
        for part in [&lengths, key, value] {
            self.0.write_all(part).map_err(|error| io_error("write", &error))?;
        }
        Ok(())
    }
    pub fn finish(self) -> Result<File> {
        self.0.into_inner().map_err(|error| io_error("write", error.error()))
    }
}

pub fn io_error(operation: &str, error: &std::io::Error) -> Error {
    let state = match error.kind() {
        std::io::ErrorKind::StorageFull
        | std::io::ErrorKind::QuotaExceeded
        | std::io::ErrorKind::FileTooLarge => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    Error::new(state, format!("could not {operation} temporary file: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random keys through a sorter of this budget come out as a plain sort gives them.
    fn check(budget_bytes: usize, spills: bool) {
        let dir = tempfile::tempdir().unwrap();
        check_sorter(Sorter::new(budget_bytes, dir.path()), dir.path(), spills);
        check_sorter(Sorter::with_helper(budget_bytes, dir.path()), dir.path(), spills);
    }

    fn check_sorter(mut sorter: Sorter, dir: &Path, spills: bool) {
        let mut expected = Vec::new();
        let mut seed = 7u64;
        for i in 0..20_000u32 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = format!("k{:x}", seed >> 40);
            expected.push((key.clone().into_bytes(), i.to_le_bytes().to_vec()));
            sorter.push(key.as_bytes(), &i.to_le_bytes()).unwrap();
        }
        assert_eq!(!sorter.runs.is_empty() || sorter.helper.is_some(), spills);
        let mut sorted = sorter.finish().unwrap();
        let mut actual = Vec::new();
        while let Some((key, value)) = sorted.next().unwrap() {
            actual.push((key.to_vec(), value.to_vec()));
        }
        assert!(actual.is_sorted_by(|a, b| a.0 <= b.0));
        actual.sort();
        expected.sort();
        assert_eq!(actual, expected);
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "runs have no names");
    }

    #[test]
    fn sorts_in_memory() {
        check(64 << 20, false);
    }

    #[test]
    fn sorts_with_few_runs() {
        check(100_000, true);
    }

    #[test]
    fn merges_runs_when_there_are_many() {
        check(6_000, true);
    }

    #[test]
    fn a_helper_that_cannot_write_is_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        // A file where the directory of the runs would be.
        let taken = dir.path().join("taken");
        std::fs::write(&taken, "").unwrap();
        let mut sorter = Sorter::with_helper(10_000, &taken);
        let pushed = (0..1_000u32).try_for_each(|i| sorter.push(&i.to_be_bytes(), &[]));
        assert!(pushed.and_then(|()| sorter.finish().map(drop)).is_err());
    }
}
