//! Offline verification of a store, written from the invariants rather than from the code that keeps them.
//!
//! - Every page reachable from the newest meta page is valid, of the right kind, level and tree, and reached once.
//! - Keys ascend within a page, and lie between the separators on the path to it; separators ascend likewise.
//! - Entry and page counts of each root are right.
//! - Reachable pages and free list do not overlap, and together are the file.
//! - The log is readable from the replay position to its end; each record decodes; timestamps ascend by one.
//! - A bulk load or layer in the log occupies pages that are free otherwise, and its tree is as sound as the others.

use crate::base::TreeRoot;
use crate::meta::{META_PAGES, Meta};
use crate::page::{CellValue, Page, PageKind};
use crate::page_cache::Pager;
use crate::recovery::{self, LogReader};
use crate::vfs::{IoContext, RealVfs, Vfs};
use crate::wal::{Operation, decode_operation};
use crate::{Error, Inline, PageId, Result, TreeId, fold};
use std::path::Path;
use std::sync::Arc;

/// What [`check`] found.
#[derive(Clone, Default, Debug)]
pub struct CheckReport {
    /// Empty if the store is sound.
    pub problems: Vec<String>,
    pub generation: u64,
    pub trees: u64,
    pub entries: u64,
    pub pages: u64,
    pub free_pages: u64,
    pub wal_records: u64,
    pub wal_bytes: u64,
}

impl CheckReport {
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// After this many problems it is clear enough.
const PROBLEMS_MAX: usize = 1000;

/// Verifies the store in `dir`, which must not be open. Changes nothing. An error means that it could not be looked at.
pub fn check(dir: &Path) -> Result<CheckReport> {
    check_with(Arc::new(RealVfs), dir)
}

pub fn check_with(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<CheckReport> {
    let lock_path = dir.join("lock");
    let data_path = dir.join("data.serin");
    let data = vfs.open(&data_path, false).context("open", &data_path)?;
    let Some(_lock) = vfs.lock(&lock_path).context("lock", &lock_path)? else {
        return Err(Error::Locked { dir: dir.to_owned() });
    };
    let mut report = CheckReport::default();
    let meta = match recovery::read_meta(&*data, &data_path) {
        Ok(Some(meta)) => meta,
        Ok(None) => return Ok(report),
        Err(error) => {
            report.problems.push(error.to_string());
            return Ok(report);
        }
    };
    let pager = Pager::new(data, data_path, 8 << 20, Arc::new(Inline), meta.generation);
    let mut checker = Checker { pager, report, owners: vec![Owner::Nobody; meta.page_count as usize] };
    checker.check_pages(&meta);
    checker.check_log(&*vfs, &dir.join("wal"), &meta);
    checker.check_accounted_for();
    Ok(checker.report)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Nobody,
    Free,
    Used,
}

struct Checker {
    pager: Pager,
    report: CheckReport,
    /// By page id.
    owners: Vec<Owner>,
}

/// What walking a tree counted.
#[derive(Default)]
struct Counts {
    entries: u64,
    pages: u64,
    overflow_pages: u64,
}

impl Checker {
    fn problem(&mut self, text: String) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(text);
        }
    }

    /// Runs a step whose failure is a finding.
    fn found<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problem(error.to_string())).ok()
    }

    fn check_pages(&mut self, meta: &Meta) {
        self.report.generation = meta.generation;
        for page in 0..META_PAGES.min(meta.page_count) {
            self.owners[page as usize] = Owner::Used;
        }
        let free_list = fold::read_free_list(&self.pager, meta);
        if let Some((free, pages)) = self.found(free_list) {
            self.report.free_pages = free.pages();
            for (first, count) in free.iter() {
                // Bounds and disjointness were checked while reading.
                self.owners[first.0 as usize..(first.0 + count) as usize].fill(Owner::Free);
            }
            for page in pages {
                self.claim(page, "the free list");
            }
        }
        self.check_tree(TreeId(0), &meta.directory);
        let directory = fold::read_directory(&self.pager, &meta.directory);
        let Some(roots) = self.found(directory) else { return };
        let mut roots: Vec<_> = roots.into_iter().collect();
        roots.sort_unstable_by_key(|(id, _)| *id);
        for (id, root) in roots {
            if id >= meta.next_tree {
                self.problem(format!("tree {id} exists, but the next tree's id is to be {}", meta.next_tree));
            }
            self.report.trees += 1;
            self.report.entries += root.entries;
            self.check_tree(id, &root);
        }
    }

    fn claim(&mut self, page: PageId, by: &str) -> bool {
        let what = match self.owners.get_mut(page.0 as usize) {
            None => "beyond the end of the file",
            Some(Owner::Used) => "reached twice",
            Some(Owner::Free) => "in the free list",
            Some(owner) => {
                *owner = Owner::Used;
                return true;
            }
        };
        self.problem(format!("page {page} of {by} is {what}"));
        false
    }

    fn check_tree(&mut self, id: TreeId, root: &TreeRoot) {
        let mut counts = Counts::default();
        if !root.is_empty() {
            self.check_node(id, root.page, root.height, &[], None, &mut counts);
        }
        let expected = (root.entries, root.pages, root.overflow_pages);
        let counted = (counts.entries, counts.pages, counts.overflow_pages);
        if expected != counted {
            self.problem(format!(
                "tree {id} should have (entries, pages, overflow pages) = {expected:?}, but has {counted:?}"
            ));
        }
        self.report.pages += counts.pages;
    }

    fn check_node(
        &mut self,
        tree: TreeId,
        id: PageId,
        level: u8,
        lower: &[u8],
        upper: Option<&[u8]>,
        counts: &mut Counts,
    ) {
        if !self.claim(id, &format!("tree {tree}")) {
            return;
        }
        counts.pages += 1;
        let page = crate::base::read_node(&self.pager, id, level);
        let Some(page) = self.found(page) else { return };
        if page.tree() != tree {
            self.problem(format!(
                "page {id} belongs to tree {}, but is reached from tree {tree}",
                page.tree()
            ));
        }
        if level == 0 {
            self.check_leaf(tree, &page, lower, upper, counts);
            return;
        }
        for index in 0..page.count() {
            let child_lower = if index == 0 { lower } else { page.separator(index) };
            let child_upper = if index + 1 < page.count() { Some(page.separator(index + 1)) } else { upper };
            if child_lower < lower || child_upper.is_some_and(|upper| child_lower >= upper) {
                self.problem(format!("page {id} of tree {tree}: separator {index} is out of order"));
                continue;
            }
            self.check_node(tree, page.child(index), level - 1, child_lower, child_upper, counts);
        }
    }

    fn check_leaf(
        &mut self,
        tree: TreeId,
        page: &Page,
        lower: &[u8],
        upper: Option<&[u8]>,
        counts: &mut Counts,
    ) {
        let id = page.id();
        for index in 0..page.count() {
            let key = page.key(index);
            let in_order = index == 0 || page.key(index - 1) < key;
            if !in_order || key < lower || upper.is_some_and(|upper| key >= upper) {
                self.problem(format!("page {id} of tree {tree}: key {index} is out of order"));
            }
            counts.entries += 1;
            if let CellValue::Overflow { first, bytes } = page.value(index) {
                self.check_overflow(tree, first, bytes, counts);
            }
        }
    }

    fn check_overflow(&mut self, tree: TreeId, first: PageId, bytes: u32, counts: &mut Counts) {
        let mut remaining = bytes as usize;
        let mut next = first;
        while remaining > 0 {
            if !self.claim(next, &format!("tree {tree}")) {
                return;
            }
            let page = self.pager.read_uncached(next);
            let Some(page) = self.found(page) else { return };
            if page.kind() != PageKind::Overflow || page.tree() != tree || page.count() > remaining {
                self.problem(format!("page {next} does not continue an overflow chain of tree {tree}"));
                return;
            }
            counts.pages += 1;
            counts.overflow_pages += 1;
            remaining -= page.count();
            next = page.next();
        }
    }

    fn check_log(&mut self, vfs: &dyn Vfs, dir: &Path, meta: &Meta) {
        let reader = LogReader::open(vfs, dir, meta.replay_start);
        let Some(reader) = self.found(reader) else { return };
        let mut last = None;
        let mut loads = Vec::new();
        let mut problems = Vec::new();
        let mut records = 0;
        let end = reader.replay(meta.replay_start, None, &mut |header, mut body| {
            records += 1;
            if last.is_some_and(|last: u64| header.timestamp.0 != last + 1) {
                problems.push(format!("timestamp {} does not follow {last:?} in the log", header.timestamp));
            }
            last = Some(header.timestamp.0);
            while !body.is_empty() {
                match decode_operation(&mut body) {
                    None => {
                        problems.push(format!("the log record at LSN {} does not decode", header.lsn));
                        break;
                    }
                    Some(Operation::BulkInstall { tree, root, extents })
                        if header.timestamp > meta.fold_ts =>
                    {
                        loads.push((tree, root, extents, true));
                    }
                    // Its entries replace others of the tree: they are not counted.
                    Some(Operation::Layer { tree, root, extents, .. }) if header.timestamp > meta.fold_ts => {
                        loads.push((tree, root, extents, false));
                    }
                    Some(_) => {}
                }
            }
            Some(())
        });
        if let Some(end) = self.found(end) {
            self.report.wal_bytes = end.lsn.0 - meta.replay_start.0;
        }
        self.report.wal_records = records;
        problems.into_iter().for_each(|problem| self.problem(problem));
        for (tree, root, extents, counts) in loads {
            self.check_bulk_load(tree, &root, &extents);
            if counts {
                self.report.trees += 1;
                self.report.entries += root.entries;
            }
        }
    }

    /// The pages count as free in the file's list; for this check they change hands.
    fn check_bulk_load(&mut self, tree: TreeId, root: &TreeRoot, extents: &[(PageId, u64)]) {
        for (first, count) in extents {
            let end = first.0.saturating_add(*count);
            if end > self.owners.len() as u64 {
                if end > u64::from(u32::MAX) {
                    self.problem(format!("the bulk load of tree {tree} names pages {first}+{count}"));
                    return;
                }
                // What lies between is free too: other loads that did not commit.
                self.owners.resize(end as usize, Owner::Free);
            }
            for page in first.0..end {
                match self.owners[page as usize] {
                    Owner::Free => self.owners[page as usize] = Owner::Nobody,
                    _ => self.problem(format!("page {page} of the bulk load of tree {tree} is in use")),
                }
            }
        }
        self.check_tree(tree, root);
    }

    fn check_accounted_for(&mut self) {
        let lost: Vec<usize> =
            (0..self.owners.len()).filter(|page| self.owners[*page] == Owner::Nobody).collect();
        if let Some(first) = lost.first()
            // A damaged page hides those below it; that was reported.
            && self.report.problems.is_empty()
        {
            self.problem(format!(
                "{} pages are neither reachable nor free, the first is {first}",
                lost.len()
            ));
        }
    }
}
