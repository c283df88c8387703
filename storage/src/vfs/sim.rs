//! A file system in memory that misbehaves on a seed, within what [`Vfs`](super::Vfs) allows.
//!
//! | event | what happens |
//! | --- | --- |
//! | crash | of each write since the last sync of its file, any sectors (512 bytes) or pages (4096) arrive and others don't, in any combination; the same for changes of length; of names changed since the last directory sync, only the first few arrive |
//! | [`SimVfs::crash_after`] | counts writes, syncs and renames down; from then on every operation fails, until [`SimVfs::crash`] |
//! | [`SimVfs::fail_sync_after`] | that sync fails, once; what it should have written never becomes durable, though reads still show it, and later syncs succeed (as Linux does) |
//! | [`SimVfs::set_faults`] | one in so many calls of any kind fails (`EIO`), a write after some of it was done (a short write), a read after some of the buffer was filled (a short read); one in so many calls that need space finds none, though there may be some again for the next |
//! | [`SimVfs::set_capacity`] | growing files beyond it is `StorageFull` |
//! | [`SimVfs::flip_bit`] | a bit of a file changes |
//!
//! For who takes part in a clock (`virtual_time.rs`) calls take their time, in which others go on; what a call does it does at its end.
//!
//! Not simulated: reads that return stale data, sectors that tear within themselves, a lying `sync_data`.

use super::{Vfs, VfsFile};
use crate::virtual_time::{self, Call};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// How often calls fail: one in so many; 0 is never.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    pub io_error: u64,
    pub no_space: u64,
}

/// What was injected so far, by kind.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Injected {
    pub crashes: u64,
    pub torn_writes: u64,
    pub lost_writes: u64,
    pub lost_names: u64,
    pub io_errors: u64,
    pub short_writes: u64,
    pub short_reads: u64,
    pub failed_syncs: u64,
    pub no_space: u64,
    pub flipped_bits: u64,
}

impl std::ops::AddAssign for Injected {
    fn add_assign(&mut self, other: Injected) {
        self.crashes += other.crashes;
        self.torn_writes += other.torn_writes;
        self.lost_writes += other.lost_writes;
        self.lost_names += other.lost_names;
        self.io_errors += other.io_errors;
        self.short_writes += other.short_writes;
        self.short_reads += other.short_reads;
        self.failed_syncs += other.failed_syncs;
        self.no_space += other.no_space;
        self.flipped_bits += other.flipped_bits;
    }
}

/// SplitMix64: small, seedable, good enough to choose faults.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Default)]
struct SimFile {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// A failed sync left `current` with more than will ever be durable.
    torn: bool,
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            if content.len() < offset + bytes.len() {
                content.resize(offset + bytes.len(), 0);
            }
            content[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        Change::Length(length) => content.resize(*length, 0),
    }
}

enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    Rename { from: PathBuf, to: PathBuf, file: usize },
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    match change {
        NameChange::Set(path, file) => {
            names.insert(path.clone(), *file);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Rename { from, to, file } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
    }
}

struct State {
    random: Random,
    files: Vec<SimFile>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// In order: like a journal, later ones never arrive without earlier ones.
    pending_names: Vec<NameChange>,
    locked: BTreeMap<PathBuf, u64>,
    /// Handles and locks of an earlier life are void.
    life: u64,
    crash_in: Option<u64>,
    crashed: bool,
    fail_sync_in: Option<u64>,
    capacity: Option<u64>,
    faults: Faults,
    injected: Injected,
    operations: u64,
}

fn io_error() -> io::Error {
    io::Error::other("simulated I/O error")
}

impl State {
    /// Any call may fail.
    fn may_fail(&mut self) -> io::Result<()> {
        if self.faults.io_error > 0 && self.random.below(self.faults.io_error) == 0 {
            self.injected.io_errors += 1;
            return Err(io_error());
        }
        Ok(())
    }

    /// Counts an operation that changes something; fails once the crash has come.
    fn step(&mut self, life: u64) -> io::Result<()> {
        self.check(life)?;
        self.operations += 1;
        if let Some(left) = &mut self.crash_in {
            if *left == 0 {
                self.crashed = true;
                return Err(io::Error::other("simulated crash"));
            }
            *left -= 1;
        }
        Ok(())
    }

    fn check(&self, life: u64) -> io::Result<()> {
        if self.crashed || life != self.life { Err(io::Error::other("simulated crash")) } else { Ok(()) }
    }

    fn change(&mut self, file: usize, change: Change) -> io::Result<()> {
        let length = match &change {
            Change::Write { offset, bytes } => offset + bytes.len(),
            Change::Length(length) => *length,
        };
        let grows = length.saturating_sub(self.files[file].current.len()) as u64;
        if grows > 0 && self.faults.no_space > 0 && self.random.below(self.faults.no_space) == 0 {
            self.injected.no_space += 1;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if grows == 0 || self.capacity.is_none() {
            let file = &mut self.files[file];
            apply(&mut file.current, &change);
            file.pending.push(change);
            return Ok(());
        }
        let used: u64 = self.names.values().map(|file| self.files[*file].current.len() as u64).sum();
        if grows > 0 && self.capacity.is_some_and(|capacity| used + grows > capacity) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let file = &mut self.files[file];
        apply(&mut file.current, &change);
        file.pending.push(change);
        Ok(())
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, &change);
        self.pending_names.push(change);
    }

    /// Part of an unsynced change, sector by sector.
    fn tear(&mut self, file: usize, change: Change) {
        match change {
            Change::Length(_) => {
                if self.random.below(2) == 0 {
                    apply(&mut self.files[file].durable, &change);
                }
            }
            Change::Write { offset, bytes } => {
                // All, nothing, or some of it.
                let mode = self.random.below(4);
                let unit = if mode == 3 { PAGE } else { SECTOR };
                match mode {
                    0 => {}
                    2 => self.injected.lost_writes += 1,
                    _ => self.injected.torn_writes += 1,
                }
                let mut at = 0;
                while at < bytes.len() {
                    let end = bytes.len().min(at + unit - (offset + at) % unit);
                    if mode == 0 || mode != 2 && self.random.below(2) == 0 {
                        let part = Change::Write { offset: offset + at, bytes: bytes[at..end].to_vec() };
                        apply(&mut self.files[file].durable, &part);
                    }
                    at = end;
                }
            }
        }
    }
}

/// A share of one simulated disk; clones see the same files.
#[derive(Clone)]
pub struct SimVfs(Arc<Mutex<State>>);

impl SimVfs {
    pub fn new(seed: u64) -> SimVfs {
        SimVfs(Arc::new(Mutex::new(State {
            random: Random(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            locked: BTreeMap::new(),
            life: 0,
            crash_in: None,
            crashed: false,
            fail_sync_in: None,
            capacity: None,
            faults: Faults::default(),
            injected: Injected::default(),
            operations: 0,
        })))
    }

    /// Power loss and restart: what was not synced may be there or not. Open files and locks are void.
    pub fn crash(&self) {
        let mut state = self.0.lock();
        for file in 0..state.files.len() {
            let pending = std::mem::take(&mut state.files[file].pending);
            if pending.is_empty()
                && state.files[file].current.len() == state.files[file].durable.len()
                && !state.files[file].torn
            {
                continue;
            }
            for change in pending {
                state.tear(file, change);
            }
            state.files[file].torn = false;
            state.files[file].current = state.files[file].durable.clone();
        }
        state.injected.crashes += 1;
        state.faults = Faults::default();
        let pending = std::mem::take(&mut state.pending_names);
        let arrived = state.random.below(pending.len() as u64 + 1) as usize;
        state.injected.lost_names += (pending.len() - arrived) as u64;
        for change in &pending[..arrived] {
            apply_name(&mut state.durable_names, change);
        }
        state.names = state.durable_names.clone();
        state.locked.clear();
        state.life += 1;
        state.crash_in = None;
        state.crashed = false;
        state.fail_sync_in = None;
    }

    pub fn crash_after(&self, operations: u64) {
        self.0.lock().crash_in = Some(operations);
    }

    pub fn has_crashed(&self) -> bool {
        self.0.lock().crashed
    }

    pub fn fail_sync_after(&self, syncs: u64) {
        self.0.lock().fail_sync_in = Some(syncs);
    }

    /// In force until the next crash.
    pub fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    pub fn injected(&self) -> Injected {
        self.0.lock().injected
    }

    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    pub fn used_bytes(&self) -> u64 {
        let state = self.0.lock();
        state.names.values().map(|file| state.files[*file].current.len() as u64).sum()
    }

    /// Writes, syncs and renames so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        let mut state = self.0.lock();
        let file = state.names[path];
        state.injected.flipped_bits += 1;
        let SimFile { current, durable, .. } = &mut state.files[file];
        for content in [current, durable] {
            if let Some(byte) = content.get_mut(offset as usize) {
                *byte ^= 1 << bit;
            }
        }
    }

    pub fn file_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.0.lock();
        Some(state.files[*state.names.get(path)?].current.clone())
    }
}

struct SimHandle {
    vfs: SimVfs,
    file: usize,
    life: u64,
}

impl VfsFile for SimHandle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        virtual_time::disk(Call::Read);
        let mut state = self.vfs.0.lock();
        state.check(self.life)?;
        let fails = state.may_fail().is_err();
        let arrives = if fails { state.random.below(buffer.len() as u64 + 1) as usize } else { buffer.len() };
        let from = offset as usize;
        let content = &state.files[self.file].current;
        let bytes = content.get(from..from + arrives).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer[..arrives].copy_from_slice(bytes);
        if fails {
            state.injected.short_reads += u64::from(arrives > 0);
            return Err(io_error());
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        virtual_time::disk(Call::Write);
        let mut state = self.vfs.0.lock();
        let change = Change::Write { offset: offset as usize, bytes: bytes.to_vec() };
        if let Err(error) = state.step(self.life) {
            // The write during which the crash came may have got somewhere.
            if self.life == state.life && state.crash_in == Some(0) {
                state.crash_in = None;
                let _ = state.change(self.file, change);
            }
            return Err(error);
        }
        if state.may_fail().is_err() {
            let short = state.random.below(bytes.len() as u64 + 1) as usize;
            state.injected.short_writes += 1;
            let _ = state
                .change(self.file, Change::Write { offset: offset as usize, bytes: bytes[..short].to_vec() });
            return Err(io_error());
        }
        state.change(self.file, change)
    }

    fn sync_data(&self) -> io::Result<()> {
        virtual_time::disk(Call::Sync);
        let mut state = self.vfs.0.lock();
        state.step(self.life)?;
        if state.may_fail().is_err() {
            state.fail_sync_in = Some(0);
        }
        if let Some(left) = state.fail_sync_in {
            state.fail_sync_in = left.checked_sub(1);
            if left == 0 {
                state.files[self.file].pending.clear();
                state.files[self.file].torn = true;
                state.injected.failed_syncs += 1;
                return Err(io::Error::other("simulated sync failure"));
            }
        }
        let file = &mut state.files[self.file];
        for change in std::mem::take(&mut file.pending) {
            apply(&mut file.durable, &change);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.vfs.0.lock();
        state.check(self.life)?;
        state.may_fail()?;
        Ok(state.files[self.file].current.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        virtual_time::disk(Call::Write);
        let mut state = self.vfs.0.lock();
        state.step(self.life)?;
        state.may_fail()?;
        state.change(self.file, Change::Length(len as usize))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        virtual_time::disk(Call::Write);
        let mut state = self.vfs.0.lock();
        state.step(self.life)?;
        state.may_fail()?;
        if state.files[self.file].current.len() as u64 >= len {
            return Ok(());
        }
        state.change(self.file, Change::Length(len as usize))
    }

    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        virtual_time::disk(Call::Write);
        let mut state = self.vfs.0.lock();
        state.step(self.life)?;
        state.may_fail()?;
        let end = (state.files[self.file].current.len() as u64).min(offset + bytes);
        let zeros = vec![0; end.saturating_sub(offset) as usize];
        state.change(self.file, Change::Write { offset: offset as usize, bytes: zeros })
    }
}

struct SimLock {
    vfs: SimVfs,
    path: PathBuf,
    life: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.vfs.0.lock();
        if state.locked.get(&self.path) == Some(&self.life) {
            state.locked.remove(&self.path);
        }
    }
}

impl Vfs for SimVfs {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn VfsFile>> {
        virtual_time::disk(Call::Write);
        let mut state = self.0.lock();
        let life = state.life;
        state.check(life)?;
        state.may_fail()?;
        let file = match state.names.get(path) {
            Some(file) => *file,
            None if create => {
                state.step(life)?;
                state.files.push(SimFile::default());
                let file = state.files.len() - 1;
                state.change_name(NameChange::Set(path.to_owned(), file));
                file
            }
            None => return Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        Ok(Arc::new(SimHandle { vfs: self.clone(), file, life }))
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.lock().names.contains_key(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.0.lock();
        let life = state.life;
        state.check(life)?;
        state.may_fail()?;
        let names = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        virtual_time::disk(Call::Write);
        let mut state = self.0.lock();
        let life = state.life;
        state.step(life)?;
        state.may_fail()?;
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        virtual_time::disk(Call::Write);
        let mut state = self.0.lock();
        let life = state.life;
        state.step(life)?;
        state.may_fail()?;
        if !state.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        state.change_name(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        virtual_time::disk(Call::Sync);
        let mut state = self.0.lock();
        let life = state.life;
        state.step(life)?;
        state.may_fail()?;
        for change in std::mem::take(&mut state.pending_names) {
            let State { durable_names, .. } = &mut *state;
            apply_name(durable_names, &change);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut state = self.0.lock();
        let life = state.life;
        state.check(life)?;
        state.may_fail()?;
        if state.locked.contains_key(path) {
            return Ok(None);
        }
        state.locked.insert(path.to_owned(), life);
        Ok(Some(Box::new(SimLock { vfs: self.clone(), path: path.to_owned(), life })))
    }
}
