//! Writes new pages in long sequential runs.
//!
//! Pages get their ids from runs of consecutive pages taken from the allocator, are encoded one behind the other into a
//! buffer, and reach the file a mebibyte at a time. A writer that is dropped before `finish` gives all its pages back:
//! nothing refers to them.

use crate::page::{PAGE_ROOM, PAGE_SIZE, PageStamp, encode_overflow};
use crate::store::Shared;
use crate::{PageId, Result, TreeId};

const BUFFER_BYTES: usize = 1 << 20;
const RUN_PAGES_MAX: u64 = 512;
/// Pages are synced every so often, so that the sync at the end is short: the disk is the log's as well, and a sync of a gigabyte
/// would hold up every commit behind it.
const UNSYNCED_BYTES_MAX: u64 = 16 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Pages of the next generation; they enter the page cache, for some reader will want them soon.
    Fold,
    /// Pages of a bulk load: accounted as such until a fold includes them, and too many for the cache.
    BulkLoad,
}

pub(crate) struct PageWriter<'a> {
    shared: &'a Shared,
    state: PageWriterState,
}

/// The part that a bulk loader keeps between calls.
pub(crate) struct PageWriterState {
    purpose: Purpose,
    run_pages: u64,
    next: PageId,
    remaining: u64,
    buffer: Vec<u8>,
    buffer_first: PageId,
    /// Everything taken from the allocator.
    taken: Vec<(PageId, u64)>,
    unsynced_bytes: u64,
    pub pages_written: u64,
}

impl PageWriterState {
    pub fn new(purpose: Purpose) -> PageWriterState {
        PageWriterState {
            purpose,
            run_pages: 8,
            next: PageId(0),
            remaining: 0,
            buffer: Vec::new(),
            buffer_first: PageId(0),
            taken: Vec::new(),
            unsynced_bytes: 0,
            pages_written: 0,
        }
    }

    /// Writes a page of `tree` that `encode` fills.
    pub fn write(
        &mut self,
        shared: &Shared,
        tree: TreeId,
        encode: impl FnOnce(&mut [u8], PageStamp),
    ) -> Result<PageId> {
        if self.remaining == 0 {
            self.take_run(shared)?;
        }
        let id = self.next;
        let at = self.buffer.len();
        self.buffer.resize(at + PAGE_SIZE, 0);
        let generation = shared.pager.next_generation();
        encode(&mut self.buffer[at..], PageStamp { id, tree, generation });
        self.next.0 += 1;
        self.remaining -= 1;
        self.pages_written += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush(shared)?;
        }
        Ok(id)
    }

    /// Writes a value as a chain of overflow pages, last page first, so that each knows its successor.
    pub fn write_overflow(&mut self, shared: &Shared, tree: TreeId, value: &[u8]) -> Result<(PageId, u64)> {
        let mut next = PageId(0);
        let mut pages = 0;
        for share in value.chunks(PAGE_ROOM).rev() {
            next = self.write(shared, tree, |page, stamp| encode_overflow(page, stamp, share, next))?;
            pages += 1;
        }
        Ok((next, pages))
    }

    fn take_run(&mut self, shared: &Shared) -> Result<()> {
        let run_pages = self.run_pages;
        self.run_pages = (run_pages * 2).min(RUN_PAGES_MAX);
        let (first, count) = match self.purpose {
            Purpose::Fold => shared.alloc.lock().allocate(run_pages),
            Purpose::BulkLoad => (shared.alloc.lock().allocate_loading(run_pages), run_pages),
        };
        // First of all: what fails below must not lose them.
        self.taken.push((first, count));
        // Often it goes on where the last run ended: then so does the buffer.
        if first != self.next || self.buffer.is_empty() {
            self.flush(shared)?;
            self.buffer_first = first;
        }
        (self.next, self.remaining) = (first, count);
        Ok(())
    }

    fn flush(&mut self, shared: &Shared) -> Result<()> {
        if !self.buffer.is_empty() {
            let keep = self.purpose == Purpose::Fold;
            let written = shared.pager.write(self.buffer_first, &self.buffer, keep);
            self.buffer_first.0 += (self.buffer.len() / PAGE_SIZE) as u64;
            self.unsynced_bytes += self.buffer.len() as u64;
            self.buffer.clear();
            written?;
            if self.unsynced_bytes >= UNSYNCED_BYTES_MAX {
                self.unsynced_bytes = 0;
                shared.sync_data_file()?;
            }
        }
        Ok(())
    }

    /// Writes what is buffered and gives back what was not used. Not synced yet. Returns the extents written.
    pub fn finish(&mut self, shared: &Shared) -> Result<Vec<(PageId, u64)>> {
        self.flush(shared)?;
        if self.remaining > 0 {
            let mut alloc = shared.alloc.lock();
            match self.purpose {
                Purpose::Fold => alloc.give_back(self.next, self.remaining),
                Purpose::BulkLoad => alloc.abandon_loading(self.next, self.remaining),
            }
            let last = self.taken.last_mut().expect("pages remain of a run");
            last.1 -= self.remaining;
            self.remaining = 0;
        }
        self.buffer = Vec::new();
        let mut extents: Vec<(PageId, u64)> = Vec::new();
        for (first, count) in std::mem::take(&mut self.taken) {
            match extents.last_mut() {
                Some((previous, length)) if previous.0 + *length == first.0 => *length += count,
                _ if count > 0 => extents.push((first, count)),
                _ => {}
            }
        }
        Ok(extents)
    }

    /// Gives everything back.
    pub fn abandon(&mut self, shared: &Shared) {
        let mut alloc = shared.alloc.lock();
        for (first, count) in self.taken.drain(..) {
            match self.purpose {
                Purpose::Fold => alloc.give_back(first, count),
                Purpose::BulkLoad => alloc.abandon_loading(first, count),
            }
        }
        self.remaining = 0;
        self.buffer.clear();
    }
}

impl<'a> PageWriter<'a> {
    pub fn new(shared: &'a Shared, purpose: Purpose) -> PageWriter<'a> {
        PageWriter { shared, state: PageWriterState::new(purpose) }
    }

    pub fn write(&mut self, tree: TreeId, encode: impl FnOnce(&mut [u8], PageStamp)) -> Result<PageId> {
        self.state.write(self.shared, tree, encode)
    }

    pub fn write_overflow(&mut self, tree: TreeId, value: &[u8]) -> Result<(PageId, u64)> {
        self.state.write_overflow(self.shared, tree, value)
    }

    pub fn finish(&mut self) -> Result<Vec<(PageId, u64)>> {
        self.state.finish(self.shared)
    }
}

impl Drop for PageWriter<'_> {
    fn drop(&mut self) {
        self.state.abandon(self.shared);
    }
}
