//! What can go wrong below the transactions. Upper layers ask questions of an error rather than match on text.

use crate::TreeId;
use std::path::PathBuf;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file operation failed. Not retried: after a failed fsync the page cache can't be trusted.
    #[error("could not {operation} file \"{}\": {message}", file.display())]
    Io { operation: &'static str, file: PathBuf, message: String, kind: std::io::ErrorKind },
    /// The disk or a quota is full (SQLSTATE 53100).
    #[error("could not {operation} file \"{}\": no space left on device", file.display())]
    DiskFull { operation: &'static str, file: PathBuf },
    /// Bytes on disk are not what was written (SQLSTATE XX001).
    #[error("corrupt data in file \"{}\" at offset {offset}: {detail}", file.display())]
    Corrupt {
        file: PathBuf,
        offset: u64,
        detail: String,
        /// Whose page it is, where that is known.
        tree: Option<TreeId>,
    },
    /// A file of a format this build does not read.
    #[error("file \"{}\" has format version {found}, this server reads {supported}", file.display())]
    FormatVersion { file: PathBuf, found: u32, supported: u32 },
    /// Another process holds the store's lock file.
    #[error("data directory \"{}\" is in use by another process", dir.display())]
    Locked { dir: PathBuf },
    /// The delta reached its hard limit (SQLSTATE 53200).
    #[error("out of memory for uncommitted and unfolded changes ({used_bytes} of {budget_bytes} bytes used)")]
    DeltaFull { used_bytes: u64, budget_bytes: u64 },
    /// The snapshot's versions were given up to stay within memory (SQLSTATE 72000).
    #[error("snapshot too old")]
    SnapshotTooOld,
    /// A key longer than [`crate::Tree::KEY_BYTES_MAX`] (SQLSTATE 54000).
    #[error("key of {bytes} bytes exceeds the maximum of {max}")]
    KeyTooLarge { bytes: usize, max: usize },
    /// A bulk load's keys must ascend strictly.
    #[error("bulk load keys are not in ascending order")]
    NotAscending,
    /// An archive or a backup does not fit the store, or what was asked of it (SQLSTATE 55000).
    #[error("{0}")]
    Archive(String),
    /// An earlier write or fsync of the log failed: nothing more is acknowledged (SQLSTATE 58030).
    #[error("the store stopped after a write failure: {0}")]
    Stopped(String),
}

impl Error {
    /// Says which tree was being read.
    pub(crate) fn in_tree(mut self, id: TreeId) -> Error {
        if let Error::Corrupt { tree, .. } = &mut self {
            tree.get_or_insert(id);
        }
        self
    }
}
