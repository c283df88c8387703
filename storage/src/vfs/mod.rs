//! Every byte that reaches or leaves a disk goes through [`Vfs`]: the real file system, or (feature `testing`) a
//! simulated one that crashes, tears, fills up, fails and flips bits on a seed.
//!
//! What the store relies on, and the simulation therefore promises no more than:
//! - bytes are on disk when `sync_data` returned after they were written; before that any subset of them may be;
//! - a file's name (creation, rename, removal) is on disk when `sync_dir` returned after it;
//! - space that `allocate` granted is there for later writes.

mod real;
#[cfg(any(test, feature = "testing"))]
pub mod sim;
#[cfg(any(test, feature = "testing"))]
pub mod slow;

pub use real::RealVfs;

use crate::{Error, Result};
use std::io;
use std::path::Path;
use std::sync::Arc;

pub trait Vfs: Send + Sync {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Opens for reading and writing; with `create`, makes an empty file if there is none.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn VfsFile>>;
    fn exists(&self, path: &Path) -> bool;
    /// The names of the files in `dir`, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the file as an exclusive lock, held until the result is dropped; `None` if another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

#[allow(clippy::len_without_is_empty)] // Nobody asks.
pub trait VfsFile: Send + Sync {
    /// Fills `buffer` or fails; reading past the end is `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes the file at least `len` bytes long, with the space for it granted.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Gives the space of a range back to the file system, where it can do that; its bytes read as zeros then. A hint:
    /// the range holds nothing.
    fn punch(&self, offset: u64, bytes: u64) -> io::Result<()>;
}

/// Attaches what was tried, and where, to an `io::Error`.
pub(crate) trait IoContext<T> {
    fn context(self, operation: &'static str, file: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, operation: &'static str, file: &Path) -> Result<T> {
        self.map_err(|error| match error.kind() {
            // A limit on the size of files (`ulimit -f`) is met as a full disk is.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Error::DiskFull { operation, file: file.to_owned() }
            }
            kind => Error::Io { operation, file: file.to_owned(), message: error.to_string(), kind },
        })
    }
}
