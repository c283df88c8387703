//! External sort of key-value pairs by key: what index builds and rewrites need to feed a bulk load.
//!
//! Pairs are gathered in an arena; when it is full they are sorted and written to a *run*, a temporary file whose name is removed
//! at once, so that nothing is left behind by a crash. At the end the runs are merged with a heap. An input that fits in memory never
//! touches the disk. Of equal keys the order is unspecified: callers treat them as duplicates.
//!
//! Run format: (key length u32, value length u32, key, value)*, little-endian.

use crate::error::{Error, Result, SqlState};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};

/// Runs merged at once: each needs a read buffer.
const RUNS_MAX: usize = 64;
const BUFFER_BYTES: usize = 256 * 1024;

pub struct Sorter {
    budget_bytes: usize,
    dir: PathBuf,
    arena: Vec<u8>,
    entries: Vec<Entry>,
    runs: Vec<File>,
}

/// A pair in the arena. The key's first bytes decide most comparisons without a look at the arena.
#[derive(Clone, Copy)]
pub struct Entry {
    prefix: u64,
    start: usize,
    key_bytes: u32,
    value_bytes: u32,
}

impl Entry {
    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start..][..self.key_bytes as usize]
    }
    fn value<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start + self.key_bytes as usize..][..self.value_bytes as usize]
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

impl Sorter {
    /// Uses about `budget_bytes` of memory, and files in `dir` beyond that.
    pub fn new(budget_bytes: usize, dir: &Path) -> Sorter {
        Sorter {
            budget_bytes,
            dir: dir.to_path_buf(),
            arena: Vec::new(),
            entries: Vec::new(),
            runs: Vec::new(),
        }
    }

    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let entry_bytes = key.len() + value.len() + size_of::<Entry>();
        let used = self.arena.len() + self.entries.len() * size_of::<Entry>();
        if used + entry_bytes > self.budget_bytes && !self.entries.is_empty() {
            self.spill()?;
        }
        let too_long = || Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too large to sort");
        let key_bytes = u32::try_from(key.len()).map_err(|_| too_long())?;
        let value_bytes = u32::try_from(value.len()).map_err(|_| too_long())?;
        self.entries.push(Entry { prefix: prefix(key), start: self.arena.len(), key_bytes, value_bytes });
        self.arena.extend_from_slice(key);
        self.arena.extend_from_slice(value);
        Ok(())
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        self.entries
            .sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix).then_with(|| a.key(arena).cmp(b.key(arena))));
    }

    fn spill(&mut self) -> Result<()> {
        self.sort();
        let mut run = RunWriter::create(&self.dir)?;
        for entry in &self.entries {
            run.append(entry.key(&self.arena), entry.value(&self.arena))?;
        }
        self.runs.push(run.finish()?);
        self.entries.clear();
        self.arena.clear();
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
        if self.runs.is_empty() {
            self.sort();
            return Ok(Sorted::Memory { arena: self.arena, entries: self.entries, next: 0 });
        }
        if !self.entries.is_empty() {
            self.spill()?;
        }
        Ok(Sorted::Merge(Merge::new(self.runs)?))
    }
}

/// The pairs in ascending order of their keys.
pub enum Sorted {
    Memory { arena: Vec<u8>, entries: Vec<Entry>, next: usize },
    Merge(Merge),
}

impl Sorted {
    /// The next pair; a lending iterator, since pairs stay in the sort's buffers.
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match self {
            Sorted::Memory { arena, entries, next } => {
                let entry = entries.get(*next);
                *next += 1;
                Ok(entry.map(|entry| (entry.key(arena), entry.value(arena))))
            }
            Sorted::Merge(merge) => merge.next(),
        }
    }
}

pub struct Merge {
    runs: BinaryHeap<Reverse<RunReader>>,
    /// The run whose head was handed out by the last call: it moves on at the next.
    current: Option<RunReader>,
}

/// Reads a run, or any other file of pairs, from its beginning.
pub struct RunReader {
    reader: BufReader<File>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl RunReader {
    /// A reader with a position of its own, though only one at a time may be in use: the file's is moved.
    pub fn open(file: &File) -> Result<RunReader> {
        let mut file = file.try_clone().map_err(|error| io_error("read", &error))?;
        file.rewind().map_err(|error| io_error("read", &error))?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(RunReader { reader, key: Vec::new(), value: Vec::new() })
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
        Ok(true)
    }
}

impl Ord for RunReader {
    fn cmp(&self, other: &RunReader) -> Ordering {
        self.key.cmp(&other.key)
    }
}
impl PartialOrd for RunReader {
    fn partial_cmp(&self, other: &RunReader) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for RunReader {
    fn eq(&self, other: &RunReader) -> bool {
        self.key == other.key
    }
}
impl Eq for RunReader {}

impl Merge {
    fn new(files: Vec<File>) -> Result<Merge> {
        let mut runs = BinaryHeap::with_capacity(files.len());
        for file in files {
            let mut run = RunReader::open(&file)?;
            if run.advance()? {
                runs.push(Reverse(run));
            }
        }
        Ok(Merge { runs, current: None })
    }

    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if let Some(mut run) = self.current.take()
            && run.advance()?
        {
            self.runs.push(Reverse(run));
        }
        self.current = self.runs.pop().map(|Reverse(run)| run);
        Ok(self.current.as_ref().map(|run| (&run.key[..], &run.value[..])))
    }
}

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
        let mut sorter = Sorter::new(budget_bytes, dir.path());
        let mut expected = Vec::new();
        let mut seed = 7u64;
        for i in 0..20_000u32 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = format!("k{:x}", seed >> 40);
            expected.push((key.clone().into_bytes(), i.to_le_bytes().to_vec()));
            sorter.push(key.as_bytes(), &i.to_le_bytes()).unwrap();
        }
        assert_eq!(!sorter.runs.is_empty(), spills);
        let mut sorted = sorter.finish().unwrap();
        let mut actual = Vec::new();
        while let Some((key, value)) = sorted.next().unwrap() {
            actual.push((key.to_vec(), value.to_vec()));
        }
        assert!(actual.is_sorted_by(|a, b| a.0 <= b.0));
        actual.sort();
        expected.sort();
        assert_eq!(actual, expected);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "runs have no names");
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
}
