//! The pages of `data.serin`: layout, building, checked reading.
//!
//! A page is [`PAGE_SIZE`] bytes at offset `page id × PAGE_SIZE`. It is written once, before anything refers to it,
//! and never changes until it is free and used anew. All numbers are little-endian.
//!
//! # Header, of every page but the two meta pages
//! | offset | size | meaning |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of bytes 4.. |
//! | 4 | 1 | kind: 1 leaf, 2 interior, 3 overflow, 4 free list |
//! | 5 | 1 | level: 0 for a leaf, 1 for its parent, … |
//! | 6 | 2 | count: cells; bytes (overflow); extents (free list) |
//! | 8 | 8 | page id: a page found in the wrong place is as bad as a torn one |
//! | 16 | 8 | tree id |
//! | 24 | 8 | next page of an overflow or free-list chain, 0 at its end |
//! | 32 | 8 | the generation that the page was written for: one above the one in force at the time |
//!
//! # Leaf and interior
//! From 40: `count` slots of 2 bytes, each the offset of a cell, in key order. The cells follow.
//!
//! | leaf cell | size | | interior cell | size |
//! | --- | --- | --- | --- | --- |
//! | key length | 2 | | child page id | 8 |
//! | value length, or 0xFFFF | 2 | | key length | 2 |
//! | key | | | separator | |
//! | value; or its length (4) and first overflow page (8) | | | | |
//!
//! An interior cell's separator is a lower bound of its child's keys, and above every key of the child before. The
//! first separator on a page is empty, standing for the page's own lower bound. A separator is the shortest prefix
//! that tells two neighbours apart.
//!
//! # Overflow
//! From 40: `count` bytes of the value.
//!
//! # Free list
//! From 40: `count` × (first page 8, pages 8).

use crate::mutation::{Mutation, planted};
use crate::{PageId, TreeId};

pub(crate) const PAGE_SIZE: usize = 8192;
pub(crate) const PAGE_HEADER_BYTES: usize = 40;
/// What cells and slots may take.
pub(crate) const PAGE_ROOM: usize = PAGE_SIZE - PAGE_HEADER_BYTES;
const SLOT_BYTES: usize = 2;
const LEAF_CELL_HEADER: usize = 4;
const INTERIOR_CELL_HEADER: usize = 10;
const OVERFLOW_MARK: u16 = u16::MAX;
const OVERFLOW_REFERENCE_BYTES: usize = 12;
/// Longer values go to overflow pages.
pub(crate) const VALUE_INLINE_BYTES_MAX: usize = PAGE_SIZE / 4;
pub(crate) const EXTENTS_PER_PAGE: usize = PAGE_ROOM / 16;

const _: () = assert!(PAGE_SIZE <= u16::MAX as usize, "offsets within a page are 16 bits");
const _: () = assert!(
    3 * (crate::Tree::KEY_BYTES_MAX + INTERIOR_CELL_HEADER + SLOT_BYTES) <= PAGE_ROOM,
    "an interior page has at least three children"
);
const _: () = assert!(
    crate::Tree::KEY_BYTES_MAX + VALUE_INLINE_BYTES_MAX + LEAF_CELL_HEADER + SLOT_BYTES <= PAGE_ROOM,
    "the largest cell fits a leaf"
);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum PageKind {
    Leaf = 1,
    Interior = 2,
    Overflow = 3,
    FreeList = 4,
}

/// A verified page: the constructor checked everything that the accessors rely on.
pub(crate) struct Page {
    bytes: Box<[u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CellValue {
    /// Offset and length in the page.
    Inline(u16, u16),
    Overflow {
        first: PageId,
        bytes: u32,
    },
}

impl Page {
    /// Checks checksum, identity and structure; says what is wrong.
    pub fn verify(id: PageId, bytes: Box<[u8]>) -> Result<Page, String> {
        if bytes.len() != PAGE_SIZE {
            return Err(format!("page {id} is cut off"));
        }
        let page = Page { bytes };
        let (stored, computed) = (page.u32_at(0), crc32c::crc32c(&page.bytes[4..]));
        if stored != computed && !planted(Mutation::IgnoreChecksum) {
            return Err(format!("checksum of page {id} is {computed:08x}, not {stored:08x}"));
        }
        if page.id() != id {
            return Err(format!("page {id} claims to be page {}", page.id()));
        }
        page.check_structure().map_err(|what| format!("page {id}: {what}"))?;
        Ok(page)
    }

    fn check_structure(&self) -> Result<(), &'static str> {
        let count = self.count();
        match self.bytes[4] {
            1 | 2 => {}
            3 if count <= PAGE_ROOM => return Ok(()),
            4 if count <= EXTENTS_PER_PAGE => return Ok(()),
            3 | 4 => return Err("count is too large"),
            _ => return Err("unknown page kind"),
        }
        let leaf = self.bytes[4] == 1;
        if leaf != (self.level() == 0) {
            return Err("level does not fit the page kind");
        }
        let slots_end = PAGE_HEADER_BYTES + count * SLOT_BYTES;
        if count == 0 || slots_end > PAGE_SIZE {
            return Err("count is out of range");
        }
        for index in 0..count {
            let cell = self.cell_offset(index);
            let header = if leaf { LEAF_CELL_HEADER } else { INTERIOR_CELL_HEADER };
            if cell < slots_end || cell + header > PAGE_SIZE {
                return Err("a cell is out of bounds");
            }
            let payload = if leaf {
                let value = match self.u16_at(cell + 2) {
                    OVERFLOW_MARK => OVERFLOW_REFERENCE_BYTES,
                    inline => inline as usize,
                };
                self.u16_at(cell) as usize + value
            } else {
                self.u16_at(cell + 8) as usize
            };
            if cell + header + payload > PAGE_SIZE {
                return Err("a cell is out of bounds");
            }
        }
        Ok(())
    }

    #[inline]
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    #[inline]
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }

    #[inline]
    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn kind(&self) -> PageKind {
        match self.bytes[4] {
            1 => PageKind::Leaf,
            2 => PageKind::Interior,
            3 => PageKind::Overflow,
            _ => PageKind::FreeList,
        }
    }

    pub fn level(&self) -> u8 {
        self.bytes[5]
    }

    #[inline]
    pub fn count(&self) -> usize {
        self.u16_at(6) as usize
    }

    pub fn id(&self) -> PageId {
        PageId(self.u64_at(8))
    }

    pub fn tree(&self) -> TreeId {
        TreeId(self.u64_at(16))
    }

    pub fn next(&self) -> PageId {
        PageId(self.u64_at(24))
    }

    pub fn generation(&self) -> u64 {
        self.u64_at(32)
    }

    #[inline]
    fn cell_offset(&self, index: usize) -> usize {
        self.u16_at(PAGE_HEADER_BYTES + index * SLOT_BYTES) as usize
    }

    /// The key of a leaf's cell.
    #[inline]
    pub fn key(&self, index: usize) -> &[u8] {
        let cell = self.cell_offset(index);
        let start = cell + LEAF_CELL_HEADER;
        &self.bytes[start..start + self.u16_at(cell) as usize]
    }

    #[inline]
    pub fn value(&self, index: usize) -> CellValue {
        let cell = self.cell_offset(index);
        let start = cell + LEAF_CELL_HEADER + self.u16_at(cell) as usize;
        match self.u16_at(cell + 2) {
            OVERFLOW_MARK => {
                CellValue::Overflow { bytes: self.u32_at(start), first: PageId(self.u64_at(start + 4)) }
            }
            bytes => CellValue::Inline(start as u16, bytes),
        }
    }

    /// A leaf's cell as it is on the page, to be copied to another.
    pub fn leaf_cell(&self, index: usize) -> &[u8] {
        let cell = self.cell_offset(index);
        let value = match self.u16_at(cell + 2) {
            OVERFLOW_MARK => OVERFLOW_REFERENCE_BYTES,
            inline => inline as usize,
        };
        &self.bytes[cell..cell + LEAF_CELL_HEADER + self.u16_at(cell) as usize + value]
    }

    #[inline]
    pub fn separator(&self, index: usize) -> &[u8] {
        let cell = self.cell_offset(index);
        let start = cell + INTERIOR_CELL_HEADER;
        &self.bytes[start..start + self.u16_at(cell + 8) as usize]
    }

    #[inline]
    pub fn child(&self, index: usize) -> PageId {
        PageId(self.u64_at(self.cell_offset(index)))
    }

    /// A leaf: `Ok` is where the key is, `Err` where it would be.
    #[inline]
    pub fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = (low + high) / 2;
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// An interior page: the child whose range holds `key`.
    #[inline]
    pub fn child_index(&self, key: &[u8]) -> usize {
        // The first separator stands for "everything below the second".
        let (mut low, mut high) = (1, self.count());
        while low < high {
            let middle = (low + high) / 2;
            if self.separator(middle) <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low - 1
    }

    /// An interior page: whether `key`, which is in the page's range, is in the range of this child.
    #[inline]
    pub fn child_holds(&self, index: usize, key: &[u8]) -> bool {
        (index == 0 || self.separator(index) <= key)
            && (index + 1 == self.count() || key < self.separator(index + 1))
    }

    /// An overflow page's share of the value.
    pub fn overflow_bytes(&self) -> &[u8] {
        &self.bytes[PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + self.count()]
    }

    /// A free-list page's extents.
    pub fn extents(&self) -> impl Iterator<Item = (PageId, u64)> + '_ {
        (0..self.count()).map(|index| {
            let at = PAGE_HEADER_BYTES + index * 16;
            (PageId(self.u64_at(at)), self.u64_at(at + 8))
        })
    }
}

// ---------------------------------------------------------------------------------------------------------
// Building

/// Cells in key order, encoded as they will be on the page: what is left of a node between reading and writing it.
#[derive(Default, Clone)]
pub(crate) struct Cells {
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<u32>,
}

impl Cells {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Page bytes that the cells take, slots included.
    pub fn page_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * SLOT_BYTES
    }

    /// Page bytes of the cells `from..to`.
    pub fn page_bytes_of(&self, from: usize, to: usize) -> usize {
        self.start(to) - self.start(from) + (to - from) * SLOT_BYTES
    }

    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] as usize }
    }

    pub fn cell(&self, index: usize) -> &[u8] {
        &self.bytes[self.start(index)..self.ends[index] as usize]
    }

    fn end_cell(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    pub fn push_raw(&mut self, cell: &[u8]) {
        self.bytes.extend_from_slice(cell);
        self.end_cell();
    }

    pub fn push_leaf(&mut self, key: &[u8], value: &[u8]) {
        debug_assert!(value.len() <= VALUE_INLINE_BYTES_MAX);
        self.bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.end_cell();
    }

    pub fn push_overflow(&mut self, key: &[u8], value_bytes: u32, first: PageId) {
        self.bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(&OVERFLOW_MARK.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(&value_bytes.to_le_bytes());
        self.bytes.extend_from_slice(&first.0.to_le_bytes());
        self.end_cell();
    }

    pub fn push_child(&mut self, child: PageId, separator: &[u8]) {
        self.bytes.extend_from_slice(&child.0.to_le_bytes());
        self.bytes.extend_from_slice(&(separator.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(separator);
        self.end_cell();
    }

    pub fn leaf_key(&self, index: usize) -> &[u8] {
        let cell = self.cell(index);
        &cell[LEAF_CELL_HEADER..LEAF_CELL_HEADER + u16::from_le_bytes([cell[0], cell[1]]) as usize]
    }

    pub fn child(&self, index: usize) -> PageId {
        PageId(u64::from_le_bytes(self.cell(index)[..8].try_into().expect("eight bytes")))
    }

    pub fn separator(&self, index: usize) -> &[u8] {
        &self.cell(index)[INTERIOR_CELL_HEADER..]
    }

    /// Takes off the first `count` cells.
    pub fn drop_front(&mut self, count: usize) {
        let cut = self.start(count);
        self.bytes.drain(..cut);
        self.ends.drain(..count);
        self.ends.iter_mut().for_each(|end| *end -= cut as u32);
    }

    pub fn append(&mut self, other: &Cells) {
        let base = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }
}

/// What a page's header says beside its kind and contents.
#[derive(Clone, Copy)]
pub(crate) struct PageStamp {
    pub id: PageId,
    pub tree: TreeId,
    pub generation: u64,
}

/// Finishes `page` with the cells `from..to` as a leaf or interior page. An interior page's first separator is
/// written empty.
pub(crate) fn encode_node(
    page: &mut [u8],
    stamp: PageStamp,
    level: u8,
    cells: &Cells,
    from: usize,
    to: usize,
) {
    let kind = if level == 0 { PageKind::Leaf } else { PageKind::Interior };
    encode_header(page, kind, level, (to - from) as u16, stamp, PageId(0));
    let mut at = PAGE_HEADER_BYTES + (to - from) * SLOT_BYTES;
    for (slot, index) in (from..to).enumerate() {
        let slot_at = PAGE_HEADER_BYTES + slot * SLOT_BYTES;
        page[slot_at..slot_at + 2].copy_from_slice(&(at as u16).to_le_bytes());
        let cell = cells.cell(index);
        if level > 0 && slot == 0 {
            page[at..at + 8].copy_from_slice(&cell[..8]);
            page[at + 8..at + 10].fill(0);
            at += INTERIOR_CELL_HEADER;
        } else {
            page[at..at + cell.len()].copy_from_slice(cell);
            at += cell.len();
        }
    }
    page[at..].fill(0);
    seal(page);
}

pub(crate) fn encode_overflow(page: &mut [u8], stamp: PageStamp, bytes: &[u8], next: PageId) {
    encode_header(page, PageKind::Overflow, 0, bytes.len() as u16, stamp, next);
    page[PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + bytes.len()].copy_from_slice(bytes);
    page[PAGE_HEADER_BYTES + bytes.len()..].fill(0);
    seal(page);
}

pub(crate) fn encode_free_list(page: &mut [u8], stamp: PageStamp, extents: &[(PageId, u64)], next: PageId) {
    encode_header(page, PageKind::FreeList, 0, extents.len() as u16, stamp, next);
    page[PAGE_HEADER_BYTES..].fill(0);
    for (index, (first, count)) in extents.iter().enumerate() {
        let at = PAGE_HEADER_BYTES + index * 16;
        page[at..at + 8].copy_from_slice(&first.0.to_le_bytes());
        page[at + 8..at + 16].copy_from_slice(&count.to_le_bytes());
    }
    seal(page);
}

fn encode_header(page: &mut [u8], kind: PageKind, level: u8, count: u16, stamp: PageStamp, next: PageId) {
    assert_eq!(page.len(), PAGE_SIZE);
    page[4] = kind as u8;
    page[5] = level;
    page[6..8].copy_from_slice(&count.to_le_bytes());
    page[8..16].copy_from_slice(&stamp.id.0.to_le_bytes());
    page[16..24].copy_from_slice(&stamp.tree.0.to_le_bytes());
    page[24..32].copy_from_slice(&next.0.to_le_bytes());
    page[32..40].copy_from_slice(&stamp.generation.to_le_bytes());
}

fn seal(page: &mut [u8]) {
    let crc = crc32c::crc32c(&page[4..]);
    page[0..4].copy_from_slice(&crc.to_le_bytes());
}

/// The shortest byte string above `left` and not above `right`.
pub(crate) fn shortest_separator<'a>(left: &[u8], right: &'a [u8]) -> &'a [u8] {
    debug_assert!(left < right, "neighbours ascend");
    let common = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    &right[..(common + 1).min(right.len())]
}
