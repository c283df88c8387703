//! The page cache, and the file under it.
//!
//! Pages never change, so the cache only ever answers "is it here": sharded maps from page id to a shared page, with
//! second-chance (clock) eviction under a byte budget. What a reader holds stays valid after eviction: it is
//! a share of the page. A page id is reused only when no live generation refers to it; its writer then replaces
//! or drops what the cache has under that id.

use crate::page::{PAGE_SIZE, Page};
use crate::sync::{self, Mutex};
use crate::vfs::{IoContext, VfsFile};
use crate::{Blocking, Error, PageId, Result};
use hashbrown::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

struct Slot {
    id: PageId,
    page: Arc<Page>,
    /// Used since the clock's hand last passed.
    used: AtomicBool,
}

#[derive(Default)]
struct Shard {
    index: HashMap<PageId, usize>,
    slots: Vec<Slot>,
    hand: usize,
}

struct PageCache {
    shards: Vec<Mutex<{ sync::CACHE }, Shard>>,
    slots_per_shard: usize,
}

impl PageCache {
    fn new(bytes: u64) -> PageCache {
        let pages = usize::try_from(bytes / PAGE_SIZE as u64).unwrap_or(usize::MAX).max(16);
        let shards = (pages / 32).clamp(1, 64).next_power_of_two();
        PageCache {
            shards: (0..shards).map(|_| Mutex::new(Shard::default())).collect(),
            slots_per_shard: pages / shards,
        }
    }

    fn shard(&self, id: PageId) -> &Mutex<{ sync::CACHE }, Shard> {
        &self.shards[id.0 as usize & (self.shards.len() - 1)]
    }

    fn get(&self, id: PageId) -> Option<Arc<Page>> {
        let shard = self.shard(id).lock();
        let slot = &shard.slots[*shard.index.get(&id)?];
        slot.used.store(true, Ordering::Relaxed);
        Some(slot.page.clone())
    }

    fn insert(&self, id: PageId, page: Arc<Page>) {
        let mut shard = self.shard(id).lock();
        let shard = &mut *shard;
        let slot = Slot { id, page, used: AtomicBool::new(false) };
        if let Some(at) = shard.index.get(&id) {
            shard.slots[*at] = slot;
            return;
        }
        if shard.slots.len() < self.slots_per_shard {
            shard.index.insert(id, shard.slots.len());
            shard.slots.push(slot);
            return;
        }
        while shard.slots[shard.hand].used.swap(false, Ordering::Relaxed) {
            shard.hand = (shard.hand + 1) % shard.slots.len();
        }
        shard.index.remove(&shard.slots[shard.hand].id);
        shard.index.insert(id, shard.hand);
        shard.slots[shard.hand] = slot;
        shard.hand = (shard.hand + 1) % shard.slots.len();
    }

    fn remove(&self, id: PageId) {
        let mut shard = self.shard(id).lock();
        let Some(at) = shard.index.remove(&id) else { return };
        shard.slots.swap_remove(at);
        if let Some(moved) = shard.slots.get(at) {
            let moved = moved.id;
            shard.index.insert(moved, at);
        }
        if shard.hand >= shard.slots.len() {
            shard.hand = 0;
        }
    }
}

/// Reads pages through the cache, and writes new ones.
pub(crate) struct Pager {
    pub file: Arc<dyn VfsFile>,
    pub path: PathBuf,
    cache: PageCache,
    /// Why a sync failed, once one did.
    sync_failed: Mutex<{ sync::SYNC }, Option<String>>,
    blocking: Arc<dyn Blocking>,
    /// The generation in force. A page written for a later one than the next can't belong to what is read: the newest
    /// meta page was lost, and pages of the older generation were used anew since.
    generation: AtomicU64,
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub pages_written: AtomicU64,
}

impl Pager {
    pub fn new(
        file: Arc<dyn VfsFile>,
        path: PathBuf,
        cache_bytes: u64,
        blocking: Arc<dyn Blocking>,
        generation: u64,
    ) -> Pager {
        Pager {
            generation: AtomicU64::new(generation),
            file,
            path,
            cache: PageCache::new(cache_bytes),
            sync_failed: Mutex::new(None),
            blocking,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            pages_written: AtomicU64::new(0),
        }
    }

    /// Makes all pages written so far durable. The operating system tells of a failure once, and may have lost whatever was written
    /// by then: others' pages, too, whose own sync it would let succeed. So one sync runs at a time, and after a failure none
    /// succeeds any more.
    pub fn sync(&self) -> Result<()> {
        self.blocking.call(|| {
            let mut failed = self.sync_failed.lock();
            match &*failed {
                Some(reason) => Err(Error::Stopped(reason.clone())),
                None => self.file.sync_data().context("sync", &self.path).inspect_err(|error| {
                    *failed = Some(error.to_string());
                }),
            }
        })
    }

    #[inline]
    pub fn read(&self, id: PageId) -> Result<Arc<Page>> {
        if let Some(page) = self.cache.get(id) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(page);
        }
        let page = self.read_uncached(id)?;
        self.cache.insert(id, page.clone());
        Ok(page)
    }

    /// Reads from disk and leaves the cache alone: for pages that are read once.
    pub fn read_uncached(&self, id: PageId) -> Result<Arc<Page>> {
        self.misses.fetch_add(1, Ordering::Relaxed);
        let mut bytes = vec![0; PAGE_SIZE].into_boxed_slice();
        match self.blocking.call(|| self.file.read_at(&mut bytes, id.0 * PAGE_SIZE as u64)) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(self.corrupt(id, format!("page {id} is beyond the end of the file")));
            }
            result => result.context("read", &self.path)?,
        }
        let page = Page::verify(id, bytes).map_err(|detail| self.corrupt(id, detail))?;
        if page.generation() > self.next_generation() {
            let detail = format!("page {id} was written for the later generation {}", page.generation());
            return Err(self.corrupt(id, detail));
        }
        Ok(Arc::new(page))
    }

    /// What pages are written for now.
    pub fn next_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire) + 1
    }

    pub fn set_generation(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    pub fn corrupt(&self, id: PageId, detail: String) -> Error {
        Error::Corrupt {
            file: self.path.clone(),
            offset: id.0.saturating_mul(PAGE_SIZE as u64),
            detail,
            tree: None,
        }
    }

    /// Writes pages with consecutive ids. They enter the cache if `keep`; what it had under these ids leaves it.
    pub fn write(&self, first: PageId, bytes: &[u8], keep: bool) -> Result<()> {
        debug_assert!(bytes.len().is_multiple_of(PAGE_SIZE) && first.0 >= 2);
        self.file.write_at(bytes, first.0 * PAGE_SIZE as u64).context("write", &self.path)?;
        for (index, page) in bytes.chunks_exact(PAGE_SIZE).enumerate() {
            let id = PageId(first.0 + index as u64);
            if keep {
                let page = Page::verify(id, page.into()).expect("a page just sealed is valid");
                self.cache.insert(id, Arc::new(page));
            } else {
                self.cache.remove(id);
            }
        }
        self.pages_written.fetch_add((bytes.len() / PAGE_SIZE) as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Inline;
    use crate::vfs::Vfs;
    use crate::vfs::sim::SimVfs;
    use std::path::Path;

    #[test]
    fn after_a_failed_sync_none_succeeds() {
        let vfs = SimVfs::new(1);
        let path = Path::new("/pages");
        let pager = Pager::new(vfs.open(path, true).unwrap(), path.into(), 1 << 20, Arc::new(Inline), 0);
        let page = vec![0; PAGE_SIZE];
        pager.write(PageId(2), &page, false).unwrap();
        pager.sync().unwrap();
        // Written by one, lost by the sync of another.
        pager.write(PageId(3), &page, false).unwrap();
        vfs.fail_sync_after(0);
        assert!(matches!(pager.sync(), Err(Error::Io { .. })));
        assert!(pager.file.sync_data().is_ok(), "the file system says no more of it");
        assert!(matches!(pager.sync(), Err(Error::Stopped(_))));
    }
}
