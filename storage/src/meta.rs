//! The two meta pages of `data.serin`, and the switch between generations.
//!
//! Pages 0 and 1 are written in turn: a fold writes all its pages, syncs, writes the meta page that is *not* the current
//! one, syncs. Whichever valid one has the higher generation is the truth. A crash in between leaves the
//! other intact, and with it a complete older generation, whose pages nothing has overwritten yet.
//!
//! A meta page that is lost later (rot rather than a torn write) makes the store fall back to the older generation, too.
//! That is right only as long as its log and pages are still there. If not, it is an error: the log segment is missing,
//! or a page is stamped with a generation that should not exist yet (`page.rs`). It never is wrong data.
//!
//! | offset | size | meaning |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of bytes 4..128 |
//! | 4 | 4 | format version |
//! | 8 | 8 | magic `SERINDAT` |
//! | 16 | 8 | generation number; its parity is the page it is on |
//! | 24 | 8 | fold timestamp: the base holds exactly the commits up to it |
//! | 32 | 8 | LSN to replay from; records at or below the fold timestamp are skipped |
//! | 40 | 8 | page count of the file |
//! | 48 | 8 | first page of the free list, 0 if there is none |
//! | 56 | 8 | next tree id |
//! | 64 | 8 | next writer id |
//! | 72 | 40 | root of the directory: page, height, entries, pages, overflow pages |
//! | 112 | 4 | page size |
//! | 116 | 8 | identity of the store, drawn at random; 0 where it was made before there was one |
//!
//! The directory is itself a B+tree, of tree id 0: key = tree id (8 bytes, big-endian), value = the tree's root as above.

use crate::base::TreeRoot;
use crate::page::PAGE_SIZE;
use crate::{Error, Lsn, PageId, Result, Timestamp, TreeId, WriterId};
use std::path::Path;

pub(crate) const DATA_FORMAT_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"SERINDAT";
const META_BYTES: usize = 128;
pub(crate) const ROOT_BYTES: usize = 40;
/// Pages 0 and 1.
pub(crate) const META_PAGES: u64 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Meta {
    pub generation: u64,
    pub fold_ts: Timestamp,
    pub replay_start: Lsn,
    pub page_count: u64,
    pub free_list: PageId,
    pub next_tree: TreeId,
    pub next_writer: WriterId,
    pub directory: TreeRoot,
    /// Tells this store from its copies: backups and archives are of one store.
    pub store_id: u64,
}

impl Meta {
    pub fn initial() -> Meta {
        Meta {
            generation: 1,
            fold_ts: Timestamp::ZERO,
            replay_start: Lsn(0),
            page_count: META_PAGES,
            free_list: PageId(0),
            next_tree: TreeId(1),
            next_writer: WriterId(1),
            directory: TreeRoot::default(),
            store_id: random_id(),
        }
    }

    /// Which of the two pages it belongs on.
    pub fn page(&self) -> PageId {
        PageId(self.generation % META_PAGES)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE_SIZE];
        page[4..8].copy_from_slice(&DATA_FORMAT_VERSION.to_le_bytes());
        page[8..16].copy_from_slice(MAGIC);
        let fields = [
            self.generation,
            self.fold_ts.0,
            self.replay_start.0,
            self.page_count,
            self.free_list.0,
            self.next_tree.0,
            self.next_writer.0,
        ];
        for (index, field) in fields.iter().enumerate() {
            page[16 + index * 8..24 + index * 8].copy_from_slice(&field.to_le_bytes());
        }
        page[72..72 + ROOT_BYTES].copy_from_slice(&encode_root(&self.directory));
        page[112..116].copy_from_slice(&(PAGE_SIZE as u32).to_le_bytes());
        page[116..124].copy_from_slice(&self.store_id.to_le_bytes());
        let crc = crc32c::crc32c(&page[4..META_BYTES]);
        page[0..4].copy_from_slice(&crc.to_le_bytes());
        page
    }

    /// `Ok(None)` if the bytes are no meta page; an error if they are one of another format.
    pub fn decode(page: &[u8], file: &Path) -> Result<Option<Meta>> {
        let Some(bytes) = page.get(..META_BYTES) else { return Ok(None) };
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if &bytes[8..16] != MAGIC || u32_at(0) != crc32c::crc32c(&bytes[4..]) {
            return Ok(None);
        }
        if u32_at(4) != DATA_FORMAT_VERSION {
            return Err(Error::FormatVersion {
                file: file.to_owned(),
                found: u32_at(4),
                supported: DATA_FORMAT_VERSION,
            });
        }
        if u32_at(112) as usize != PAGE_SIZE {
            return Ok(None);
        }
        let Some(directory) = decode_root(&bytes[72..72 + ROOT_BYTES]) else { return Ok(None) };
        Ok(Some(Meta {
            generation: u64_at(16),
            fold_ts: Timestamp(u64_at(24)),
            replay_start: Lsn(u64_at(32)),
            page_count: u64_at(40),
            free_list: PageId(u64_at(48)),
            next_tree: TreeId(u64_at(56)),
            next_writer: WriterId(u64_at(64)),
            directory,
            store_id: u64_at(116),
        }))
    }
}

/// Not 0. What the standard library seeds its hash maps with is random enough to tell stores apart.
pub(crate) fn random_id() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish().max(1)
}

pub(crate) fn encode_root(root: &TreeRoot) -> [u8; ROOT_BYTES] {
    let mut bytes = [0; ROOT_BYTES];
    let fields = [root.page.0, u64::from(root.height), root.entries, root.pages, root.overflow_pages];
    for (index, field) in fields.iter().enumerate() {
        bytes[index * 8..index * 8 + 8].copy_from_slice(&field.to_le_bytes());
    }
    bytes
}

pub(crate) fn decode_root(bytes: &[u8]) -> Option<TreeRoot> {
    if bytes.len() != ROOT_BYTES {
        return None;
    }
    let field =
        |index: usize| u64::from_le_bytes(bytes[index * 8..index * 8 + 8].try_into().expect("eight bytes"));
    Some(TreeRoot {
        page: PageId(field(0)),
        height: u8::try_from(field(1)).ok()?,
        entries: field(2),
        pages: field(3),
        overflow_pages: field(4),
    })
}
