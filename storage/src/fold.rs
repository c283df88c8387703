use crate::alloc::Extents;
use crate::base::{BaseCursor, TreeRoot};
use crate::meta::{Meta, decode_root};
use crate::page::{PAGE_SIZE, PageKind};
use crate::page_cache::Pager;
use crate::store::Shared;
use crate::vfs::IoContext;
use crate::{Direction, PageId, Result, TreeId};
use hashbrown::HashMap;
use std::ops::Bound;

pub(crate) struct FoldState {
    pub meta: Meta,
}

impl FoldState {
    pub fn new(meta: Meta) -> FoldState {
        FoldState { meta }
    }
}

pub(crate) fn write_meta(pager: &Pager, meta: &Meta) -> Result<()> {
    pager.file.write_at(&meta.encode(), meta.page().0 * PAGE_SIZE as u64).context("write", &pager.path)?;
    pager.file.sync_data().context("sync", &pager.path)
}

pub(crate) fn read_directory(pager: &Pager, directory: &TreeRoot) -> Result<HashMap<TreeId, TreeRoot>> {
    let mut roots = HashMap::new();
    let mut cursor = BaseCursor::new(Direction::Forward);
    cursor.seek(pager, directory, Bound::Unbounded, Bound::Unbounded)?;
    while let Some((key, value)) = cursor.entry(pager)? {
        let id = <[u8; 8]>::try_from(key).ok().map(|key| TreeId(u64::from_be_bytes(key)));
        let (Some(id), Some(root)) = (id, decode_root(value)) else {
            return Err(pager.corrupt(directory.page, "an entry of the tree directory is malformed".into()));
        };
        roots.insert(id, root);
        cursor.advance(pager, Bound::Unbounded)?;
    }
    Ok(roots)
}

pub(crate) fn read_free_list(pager: &Pager, meta: &Meta) -> Result<Extents> {
    let mut free = Extents::default();
    let mut next = meta.free_list;
    let mut seen = 0;
    while next != PageId(0) {
        let page = pager.read_uncached(next)?;
        seen += 1;
        if page.kind() != PageKind::FreeList || seen > meta.page_count {
            return Err(pager.corrupt(next, format!("page {next} does not continue the free list")));
        }
        for (first, count) in page.extents() {
            let end = first.0.checked_add(count);
            if first.0 < 2 || end.is_none_or(|end| end > meta.page_count) || !free.add(first, count) {
                return Err(pager.corrupt(next, format!("the free list names pages {first}+{count} wrongly")));
            }
        }
        next = page.next();
    }
    Ok(free)
}

pub(crate) fn fold(_shared: &Shared) -> Result<()> {
    Ok(())
}
pub(crate) fn trim(_shared: &Shared) {}
