//! A disk that takes its time: calls of another [`Vfs`] go through after a delay, drawn anew for each up to a limit.
//!
//! What a slow disk changes is who meets whom: locks are free long before a commit is durable, folds lag behind, reads end after what they read was
//! replaced. For tests with real threads; the simulated disk (`sim.rs`) knows no time, there a late sync is one that comes after more steps.

use super::{Vfs, VfsFile};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest that calls of a kind take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    pub read: Duration,
    pub write: Duration,
    /// Of files' data and of directories.
    pub sync: Duration,
}

#[derive(Clone)]
pub struct SlowVfs {
    disk: Arc<dyn Vfs>,
    pace: Arc<Pace>,
}

struct Pace {
    delays: Delays,
    random: AtomicU64,
}

impl Pace {
    fn wait(&self, longest: Duration) {
        if longest.is_zero() {
            return;
        }
        // SplitMix64: a shared counter, and a hash of it.
        let mut x = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let part = (x >> 32) as f64 / f64::from(u32::MAX);
        std::thread::sleep(longest.mul_f64(0.5 + part / 2.0));
    }
}

impl SlowVfs {
    /// Delays lie between half of the limit and all of it.
    pub fn new(disk: Arc<dyn Vfs>, delays: Delays, seed: u64) -> SlowVfs {
        SlowVfs { disk, pace: Arc::new(Pace { delays, random: AtomicU64::new(seed) }) }
    }
}

impl Vfs for SlowVfs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn VfsFile>> {
        let file = self.disk.open(path, create)?;
        Ok(Arc::new(SlowFile { file, pace: self.pace.clone() }))
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pace.wait(self.pace.delays.write);
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pace.wait(self.pace.delays.write);
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.pace.wait(self.pace.delays.sync);
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.disk.lock(path)
    }
}

struct SlowFile {
    file: Arc<dyn VfsFile>,
    pace: Arc<Pace>,
}

impl VfsFile for SlowFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.pace.wait(self.pace.delays.read);
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.pace.wait(self.pace.delays.write);
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.pace.wait(self.pace.delays.sync);
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.pace.wait(self.pace.delays.write);
        self.file.truncate(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.pace.wait(self.pace.delays.write);
        self.file.allocate(len)
    }
    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.pace.wait(self.pace.delays.write);
        self.file.punch(offset, bytes)
    }
}
