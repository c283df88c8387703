//! The store: opening (recovery), snapshots, trees, durability, shutdown.
//!
//! [`Store`] is the handle and owns the background threads; what they and the trees share is [`Shared`]. Two threads:
//! the *flusher* (group commit, `wal.rs`) and the *folder* (`fold.rs`: checkpoints and trimming). With
//! [`StoreOptions::threads`] off there are none: `wait_durable` flushes in the caller, `fold_now` folds, and nothing
//! depends on time, which is what the simulation needs.

use crate::alloc::{Allocator, Extents};
use crate::archive::{self, ArchiveStats, Archiver, Archiving};
use crate::bulk::BulkLoad;
use crate::delta::LiveSnapshots;
use crate::fold;
use crate::key_filter::KeyFilter;
use crate::meta::{META_PAGES, Meta};
use crate::mutation::{Mutation, planted};
use crate::page_cache::Pager;
use crate::recovery::{self, LogReader};
use crate::replay::{InPlace, Replayer};
use crate::snapshot::{Generation, Registry, Request};
use crate::sync::{self, Mutex, Thread};
use crate::tree::NEVER;
use crate::vfs::{IoContext, RealVfs, Vfs, VfsFile};
use crate::wal::{Wal, WalOptions, WalPosition};
use crate::{Error, Lsn, PageId, Result, Snapshot, Timestamp, Tree, TreeId, Writer, WriterId};
use hashbrown::HashMap;
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Told before anything that may block or run long, so that an async edge can move its other work elsewhere.
/// The server's implementation is `tokio::task::block_in_place`.
pub trait Blocking: Send + Sync {
    fn run(&self, work: &mut dyn FnMut());
}

impl dyn Blocking {
    /// As [`Blocking::run`], for work that has a result.
    pub fn call<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut work = Some(work);
        let mut result = None;
        self.run(&mut || {
            if let Some(work) = work.take() {
                result = Some(work());
            }
        });
        result.expect("`run` runs the work")
    }
}

/// Runs the work in place: for tests and tools.
pub struct Inline;

impl Blocking for Inline {
    fn run(&self, work: &mut dyn FnMut()) {
        work()
    }
}

pub struct StoreOptions {
    pub dir: PathBuf,
    pub page_cache_bytes: u64,
    /// Delta sizes at which a fold starts, writers are delayed, and the writer is refused.
    pub delta_bytes_soft: u64,
    pub delta_bytes_high: u64,
    pub delta_bytes_max: u64,
    /// A transaction whose own changes take more than this moves them to disk.
    pub writer_bytes_max: u64,
    /// Whether a snapshot that tracks newer versions for SSI may lose them (72000) when the delta is full otherwise.
    pub give_up_old_snapshots: bool,
    pub wal_segment_bytes: u64,
    /// Fold when the log that a restart would replay has this size.
    pub wal_bytes_soft: u64,
    /// Fold early enough for a restart after a crash to replay the log in about this time.
    pub restart_target_ms: u64,
    /// Fold at least this often while there is anything to fold.
    pub fold_interval_ms: u64,
    pub blocking: Arc<dyn Blocking>,
    pub archiving: Archiving,
    /// Background threads for flushing and folding. Without them waiters flush, and only `fold_now` folds.
    pub threads: bool,
}

impl StoreOptions {
    /// Budgets from the machine's memory: a quarter for the page cache, an eighth for the delta at most.
    pub fn new(dir: &Path) -> StoreOptions {
        let memory = machine_memory_bytes();
        let delta_bytes_max = (memory / 8).clamp(64 << 20, 16 << 30);
        StoreOptions {
            dir: dir.to_owned(),
            page_cache_bytes: (memory / 4).clamp(32 << 20, 64 << 30),
            delta_bytes_soft: delta_bytes_max / 4,
            delta_bytes_high: delta_bytes_max / 4 * 3,
            delta_bytes_max,
            // More would not be faster: what is on disk already needs no record in the log, and no fold.
            writer_bytes_max: (delta_bytes_max / 8).min(32 << 20),
            give_up_old_snapshots: true,
            wal_segment_bytes: 16 << 20,
            wal_bytes_soft: 512 << 20,
            restart_target_ms: 60_000,
            fold_interval_ms: 60_000,
            blocking: Arc::new(Inline),
            archiving: Archiving::Off,
            threads: true,
        }
    }
}

/// What `/proc/meminfo` says, or 2 GiB where there is none.
fn machine_memory_bytes() -> u64 {
    let parse = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    };
    parse().unwrap_or(2 << 30)
}

#[derive(Clone, Default, Debug)]
pub struct StoreStats {
    pub wal_bytes: u64,
    pub wal_flushes: u64,
    pub commits: u64,
    pub folds: u64,
    pub pages_written: u64,
    pub delta_bytes: u64,
    pub page_cache_hits: u64,
    pub page_cache_misses: u64,
    pub data_file_bytes: u64,
    pub free_pages: u64,
    /// Keys with versions in memory.
    pub delta_keys: u64,
    pub generation: u64,
    pub fold_ts: Timestamp,
    pub snapshots: u64,
    /// Who pins old versions: the timestamp of the oldest live snapshot.
    pub oldest_snapshot: Option<Timestamp>,
    /// Log that a restart would replay.
    pub wal_replay_bytes: u64,
    /// Writers that were made to wait because the delta was too large.
    pub writer_delays: u64,
    /// Times a transaction moved its changes to disk.
    pub spills: u64,
    /// End of the log: what commits from now on is behind it.
    pub wal_end: Lsn,
    /// How far the fold under way is, from 0 to 1.
    pub fold_progress: Option<f64>,
    pub last_fold_ms: Option<u64>,
    pub delta_bytes_max: u64,
    pub page_cache_bytes: u64,
    /// `None` where the log is not archived.
    pub archive: Option<ArchiveStats>,
}

/// What the store's threads, trees and writers share.
pub(crate) struct Shared {
    pub vfs: Arc<dyn Vfs>,
    pub options: StoreOptions,
    pub wal: Wal,
    pub registry: Arc<Registry>,
    pub pager: Pager,
    pub trees: RwLock<HashMap<TreeId, Arc<Tree>>>,
    pub alloc: Mutex<{ sync::ALLOC }, Allocator>,
    /// The meta page in force. Its mutex is held by whoever folds or trims.
    pub fold: Mutex<{ sync::FOLD }, fold::FoldState>,
    /// Of all trees together.
    pub delta_bytes: Arc<AtomicI64>,
    pub next_tree: AtomicU64,
    pub next_writer: AtomicU64,
    /// Bulk loads that no fold has included yet.
    pub bulk_loads: Mutex<{ sync::CACHE }, HashMap<TreeId, BulkLoad>>,
    pub replay_start: AtomicU64,
    /// Bytes of log that a replay takes in a second, as far as is known.
    replay_rate: AtomicU64,
    pub folds: AtomicU64,
    /// Delta bytes when the last trim was done.
    pub delta_bytes_left: AtomicU64,
    writer_delays: AtomicU64,
    pub spills: AtomicU64,
    /// Bytes of all layers' filters.
    key_filter_bytes: Arc<AtomicUsize>,
    /// How far the fold under way has got, in thousandths of the delta; `u64::MAX` when there is none.
    pub fold_progress: AtomicU64,
    /// Delta bytes when it began.
    pub fold_began_with: AtomicU64,
    /// How long the last one took; `u64::MAX` before the first.
    pub last_fold_ms: AtomicU64,
    /// `None`: the log is not archived.
    pub archiver: Option<Archiver>,
}

impl Shared {
    pub fn snapshot(&self) -> Snapshot {
        self.registry.snapshot(false, || self.wal.watermark())
    }

    /// A layer's filter, as long as all of them take no more than half as much as the delta may.
    pub fn key_filter(&self, keys: usize) -> Option<KeyFilter> {
        let limit = usize::try_from(self.options.delta_bytes_max / 2).unwrap_or(usize::MAX);
        KeyFilter::new(keys, &self.key_filter_bytes, limit)
    }

    /// Syncs the data file for pages that a commit record is about to name. A failure may concern a fold's pages as
    /// well: it stops the store.
    pub fn sync_data_file(&self) -> Result<()> {
        if planted(Mutation::SkipLayerSync) {
            return Ok(());
        }
        self.pager.sync().inspect_err(|error| self.wal.stop(error))
    }

    pub fn with_live_snapshots<T>(&self, work: impl FnOnce(&LiveSnapshots<'_>) -> T) -> T {
        self.registry.with_live(|| self.wal.watermark(), work)
    }

    pub fn forget_tree(&self, id: TreeId) {
        self.trees.write().remove(&id);
    }

    pub fn trees_by_id(&self) -> Vec<Arc<Tree>> {
        let mut trees: Vec<Arc<Tree>> = self.trees.read().values().cloned().collect();
        trees.sort_unstable_by_key(|tree| tree.id());
        trees
    }

    pub fn mark_dropped(&self, id: TreeId, at: Timestamp) {
        if let Some(tree) = self.trees.read().get(&id) {
            tree.dropped_at.store(at.0, Ordering::Release);
        }
    }

    pub fn delta_bytes(&self) -> u64 {
        self.delta_bytes.load(Ordering::Relaxed).max(0) as u64
    }

    pub fn add_bulk_load(&self, tree: TreeId, load: &BulkLoad) {
        self.bulk_loads.lock().insert(tree, load.clone());
    }

    pub fn abandon_bulk_load(&self, load: BulkLoad) {
        let mut alloc = self.alloc.lock();
        for (first, count) in load.extents {
            alloc.abandon_loading(first, count);
        }
    }

    // ---- back-pressure ----
    //
    // Writers are to be slowed down a little and early rather than much and late. Memory is given back at the end of
    // a fold, so what matters while one runs is whether the room that is left will last: the part of it that was used since the
    // fold began may not run ahead of the part of its work that is done. Above the high mark without a fold under way
    // one is asked for. Each write pays in proportion to how far ahead it is; payments are saved up until they
    // are worth a wait, and no wait is longer than `WAIT_MAX`.

    #[inline]
    pub fn needs_no_admission(&self, own_bytes: u64) -> bool {
        self.delta_bytes() <= self.options.delta_bytes_soft && own_bytes <= self.writer_bytes_max()
    }

    /// Several writers have to fit.
    #[inline]
    fn writer_bytes_max(&self) -> u64 {
        self.options.writer_bytes_max.min(self.options.delta_bytes_max / 8)
    }

    /// Whether a writer should move its own changes to disk: they are large, or memory is short and a part of it is theirs.
    pub fn should_spill(&self, own_bytes: u64) -> bool {
        let max = self.writer_bytes_max();
        own_bytes > max || (own_bytes > max / 8 && self.delta_bytes() > self.options.delta_bytes_high)
    }

    /// How far writers are ahead of what the memory left allows: 0 not at all, 1 all of it.
    fn excess(&self) -> f64 {
        let (high, max) = (self.options.delta_bytes_high, self.options.delta_bytes_max);
        let used = self.delta_bytes();
        let progress = self.fold_progress.load(Ordering::Relaxed);
        if progress == u64::MAX {
            return used.saturating_sub(high) as f64 / (max - high).max(1) as f64;
        }
        let began = self.fold_began_with.load(Ordering::Relaxed).min(max);
        let room = (max - began).max(1) as f64;
        // Not exact in its steps and for what a fold leaves: it may begin with a fifth of the room free of charge.
        used.saturating_sub(began) as f64 / room - progress as f64 / 1000.0 - 0.2
    }

    pub fn throttle(&self, debt: &mut Duration) -> Result<()> {
        const PRICE_MAX: Duration = Duration::from_millis(2);
        const WAIT_MIN: Duration = Duration::from_micros(500);
        const WAIT_MAX: Duration = Duration::from_millis(50);
        const WAITS_MAX: u32 = 1200;
        if !self.wal.is_threaded() {
            return self.refuse_when_full();
        }
        let excess = self.excess();
        if excess <= 0.0 && self.delta_bytes() <= self.options.delta_bytes_max {
            return Ok(());
        }
        *debt += PRICE_MAX.mul_f64(excess.clamp(0.0, 1.0));
        if self.fold_progress.load(Ordering::Relaxed) == u64::MAX {
            self.after_commit();
        }
        if *debt >= WAIT_MIN {
            self.writer_delays.fetch_add(1, Ordering::Relaxed);
            let wait = std::mem::take(debt).min(WAIT_MAX);
            self.options.blocking.run(&mut || self.registry.requests.wait_pass(wait));
        }
        // Full all the same: nothing can be written before something is given back.
        let mut fruitless = 0;
        for _ in 0..WAITS_MAX {
            let used = self.delta_bytes();
            if used <= self.options.delta_bytes_max {
                return Ok(());
            }
            let passes = self.registry.requests.passes();
            if self.fold_progress.load(Ordering::Relaxed) == u64::MAX {
                self.registry.requests.fold();
            }
            self.options.blocking.run(&mut || self.registry.requests.wait_pass(WAIT_MAX));
            // Folds that end without giving anything back: somebody holds on to it.
            fruitless += u32::from(self.registry.requests.passes() > passes && self.delta_bytes() >= used);
            if fruitless >= 3 {
                if !self.options.give_up_old_snapshots || !self.give_up_tracking() {
                    break;
                }
                fruitless = 0;
            }
        }
        self.refuse_when_full()
    }

    /// Gives up what snapshots track, if there are any; returns whether that gave memory back.
    fn give_up_tracking(&self) -> bool {
        let before = self.delta_bytes();
        if !self.registry.give_up_tracking() {
            return false;
        }
        tracing::warn!(
            delta_bytes = before,
            "old serializable snapshots were given up to make room for new versions"
        );
        self.options.blocking.run(&mut || fold::trim(self));
        self.delta_bytes() < before
    }

    /// The hard limit, with some room for writers that were admitted at the same time.
    #[inline]
    pub fn refuse_when_full(&self) -> Result<()> {
        let (used_bytes, budget_bytes) = (self.delta_bytes(), self.options.delta_bytes_max);
        if used_bytes <= budget_bytes + budget_bytes / 16 {
            return Ok(());
        }
        Err(Error::DeltaFull { used_bytes, budget_bytes })
    }

    /// Asks for a fold when the delta has grown enough: beyond the mark, and by a good part of it since the last
    /// fold, which may have had to leave much behind that an old snapshot pins.
    pub fn after_commit(&self) {
        let soft = self.options.delta_bytes_soft;
        let used = self.delta_bytes();
        if used > soft && used > self.delta_bytes_left.load(Ordering::Relaxed) + soft / 4 {
            self.registry.requests.fold();
        }
    }

    /// How large the log that a restart would replay may become. It grows on while a fold runs: hence the half.
    fn replay_bytes_max(&self) -> u64 {
        let rate = self.replay_rate.load(Ordering::Relaxed);
        let in_time = (rate / 1000).saturating_mul(self.options.restart_target_ms) / 2;
        in_time.min(self.options.wal_bytes_soft)
    }

    pub fn replay_bytes(&self) -> u64 {
        self.wal.bytes_since(Lsn(self.replay_start.load(Ordering::Relaxed)))
    }

    pub fn create_tree(self: &Arc<Self>, id: TreeId, created_at: u64) -> Arc<Tree> {
        let tree = Arc::new(Tree::new(id, self.clone(), created_at));
        self.trees.write().insert(id, tree.clone());
        tree
    }

    /// The archive has everything below `noted`, which is where it goes on; without, it begins here.
    fn start_archiving(&self, noted: Option<Lsn>) -> Result<()> {
        let Archiving::To { target, .. } = &self.options.archiving else { return Ok(()) };
        if self.fold.lock().changed {
            fold::fold(self)?;
        }
        let store_id = self.fold.lock().meta().store_id;
        archive::claim(&**target, store_id)?;
        if noted.is_none() {
            let begins = self.wal.durable_lsn();
            tracing::info!(lsn = %begins, "archiving of the log begins: backups made from now on can be rolled forward");
            archive::write_position(&*self.vfs, &self.options.dir, begins)?;
        }
        Ok(())
    }

    /// Recovery: pages that the archive does not have yet.
    fn pin(&self, extents: &[(PageId, u64)]) -> Result<()> {
        if planted(Mutation::ForgetPins) {
            return Ok(());
        }
        let mut alloc = self.alloc.lock();
        for (first, count) in extents {
            if first.0.checked_add(*count).is_none_or(|end| end > alloc.page_count()) || first.0 < META_PAGES
            {
                return Err(self
                    .pager
                    .corrupt(*first, format!("the log names pages {first}+{count} that are not there")));
            }
            alloc.pin(*first, *count);
        }
        Ok(())
    }

    /// The pages of a logged bulk load or layer.
    pub fn occupy(&self, extents: &[(PageId, u64)]) -> Option<()> {
        if planted(Mutation::ForgetLoadedPages) {
            return Some(());
        }
        let mut alloc = self.alloc.lock();
        for (first, count) in extents {
            if first.0 < META_PAGES || *count > u64::MAX / 2 - first.0 {
                return None;
            }
            alloc.occupy_loading(*first, *count);
        }
        Some(())
    }
}

pub struct Store {
    shared: Arc<Shared>,
    threads: Mutex<{ sync::WAITERS }, Vec<Thread>>,
    closed: AtomicBool,
    lock: Mutex<{ sync::WAITERS }, Option<Box<dyn Send + Sync>>>,
}

/// Trees hold what the map's owner holds: a start that fails lets go of them, or nothing of it would ever be freed.
struct Starting(Option<Arc<Shared>>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.trees.write().clear();
        }
    }
}

/// A long recovery says how far it is.
const RECOVERY_SAYS_EVERY: Duration = Duration::from_secs(5);

/// What a replay takes in a second, cautiously, until one was measured on this machine: 64-byte rows at 250,000 a second.
const REPLAY_RATE: u64 = 24 << 20;
/// Replays of less than this say little about the next one.
const REPLAY_MEASURED_BYTES_MIN: u64 = 16 << 20;

/// Writer ids are skipped at each start by this many: ids of transactions that never reached the log since the last
/// fold may have been shown to users.
const WRITER_IDS_SKIPPED: u64 = 1 << 16;

impl Store {
    /// Opens the store at `options.dir`, creating it if the directory is empty or absent; replays the log.
    pub fn open(options: StoreOptions) -> Result<Arc<Store>> {
        Store::open_with(Arc::new(RealVfs), options)
    }

    pub fn open_with(vfs: Arc<dyn Vfs>, options: StoreOptions) -> Result<Arc<Store>> {
        Store::open_as(vfs, options, false)
    }

    /// With `restoring`, also a directory into which a restore is under way.
    pub(crate) fn open_as(vfs: Arc<dyn Vfs>, options: StoreOptions, restoring: bool) -> Result<Arc<Store>> {
        let dir = options.dir.clone();
        let wal_dir = dir.join("wal");
        vfs.create_dir_all(&dir).context("create", &dir)?;
        let lock_path = dir.join("lock");
        let Some(lock) = vfs.lock(&lock_path).context("lock", &lock_path)? else {
            return Err(Error::Locked { dir });
        };
        vfs.create_dir_all(&wal_dir).context("create", &wal_dir)?;
        let data_path = dir.join("data.serin");
        if vfs.exists(&dir.join(crate::restore::INCOMPLETE)) && !restoring {
            let message =
                format!("the restore into \"{}\" did not complete: delete it and start over", dir.display());
            return Err(Error::Archive(message));
        }
        let data = vfs.open(&data_path, true).context("open", &data_path)?;
        let noted = match &options.archiving {
            Archiving::Off => {
                archive::forget_position(&*vfs, &dir)?;
                None
            }
            _ => archive::read_position(&*vfs, &dir)?,
        };
        let shared = match recovery::read_meta(&*data, &data_path)? {
            Some(meta) => Store::recover(vfs, options, data, data_path, meta, noted)?,
            None => Store::create(vfs, options, data, data_path)?,
        };
        shared.start_archiving(noted)?;
        let store = Arc::new(Store {
            shared,
            threads: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
        });
        if store.shared.options.threads {
            store.start_threads()?;
        }
        Ok(store)
    }

    /// A new store: first the log segment that a replay would start in, then the meta page that makes it a store.
    fn create(
        vfs: Arc<dyn Vfs>,
        options: StoreOptions,
        data: Arc<dyn VfsFile>,
        data_path: PathBuf,
    ) -> Result<Arc<Shared>> {
        let wal_dir = options.dir.join("wal");
        for name in vfs.list(&wal_dir).context("list", &wal_dir)? {
            // Left over from a creation that did not get to its end; a log without data is never deleted.
            if crate::wal::parse_segment_name(&name).is_some_and(|start| start != Lsn(0)) {
                let detail = "there is a log, but no valid data file".to_owned();
                return Err(Error::Corrupt { file: wal_dir.join(name), offset: 0, detail, tree: None });
            }
        }
        let meta = Meta::initial();
        let position =
            WalPosition { end: Lsn(0), last: Timestamp::ZERO, segments: Vec::new(), spares: Vec::new() };
        let dir = options.dir.clone();
        let shared = Store::assemble(
            vfs,
            options,
            data,
            data_path,
            meta,
            (Extents::default(), Vec::new()),
            HashMap::new(),
            position,
            Lsn(0),
        )?;
        // Room for both: that the disk is full must not be found out when a fold writes the other one.
        let meta_bytes = META_PAGES * crate::page::PAGE_SIZE as u64;
        shared.pager.file.allocate(meta_bytes).context("allocate space for", &shared.pager.path)?;
        fold::write_meta(&shared.pager, &meta)?;
        shared.vfs.sync_dir(&dir).context("sync", &dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            shared.vfs.sync_dir(parent).context("sync", parent)?;
        }
        Ok(shared)
    }

    fn recover(
        vfs: Arc<dyn Vfs>,
        options: StoreOptions,
        data: Arc<dyn VfsFile>,
        data_path: PathBuf,
        mut meta: Meta,
        noted: Option<Lsn>,
    ) -> Result<Arc<Shared>> {
        let is_new = meta.store_id == 0;
        if is_new {
            meta.store_id = crate::meta::random_id();
        }
        let wal_dir = options.dir.join("wal");
        let pager =
            Pager::new(data.clone(), data_path.clone(), 1 << 20, options.blocking.clone(), meta.generation);
        let roots = fold::read_directory(&pager, &meta.directory)?;
        let (free, free_list) = fold::read_free_list(&pager, &meta)?;
        // What the archive does not have yet is read as well, for the pages that it names.
        let read_from = noted.map_or(meta.replay_start, |noted| meta.replay_start.min(noted));
        let reader = LogReader::open(&*vfs, &wal_dir, read_from)?;
        // Twice over the log: first to find its end, for the store is put together around it; then to apply it.
        // The second time it comes from the operating system's cache.
        let mut last = meta.fold_ts;
        let mut pinned = Vec::new();
        let end = reader.replay(read_from, None, &mut |header, body| {
            if noted.is_some_and(|noted| header.lsn >= noted) {
                pinned.extend(archive::pages_named(body));
            }
            let ascends = header.timestamp <= meta.fold_ts || header.timestamp.0 == last.0 + 1;
            last = last.max(header.timestamp);
            ascends.then_some(())
        })?;
        if let Some(noted) = noted.filter(|noted| *noted > end.lsn) {
            let message =
                format!("the archive has the log up to LSN {noted}, this store only up to {}", end.lsn);
            return Err(Error::Archive(message));
        }
        let position = reader.cut(&*vfs, &wal_dir, &end, last)?;
        let again = LogReader::open(&*vfs, &wal_dir, read_from)?;
        let archived = noted.unwrap_or(end.lsn);
        let free = (free, free_list);
        let shared = Store::assemble(vfs, options, data, data_path, meta, free, roots, position, archived)?;
        let mut starting = Starting(Some(shared.clone()));
        shared.fold.lock().changed = is_new;
        let mut done = Timestamp::ZERO;
        let mut said = std::time::Instant::now();
        let began = said;
        let mut replay = Replayer::new(&shared);
        again.replay(read_from, Some(end.lsn), &mut |header, body| {
            if said.elapsed() > RECOVERY_SAYS_EVERY {
                said = std::time::Instant::now();
                let [replayed, of] = [header.lsn, end.lsn].map(|at| at.0.saturating_sub(meta.replay_start.0));
                tracing::info!(replayed, of, "replaying the log (bytes)");
            }
            if header.timestamp <= meta.fold_ts || header.timestamp > last || header.timestamp <= done {
                return Some(());
            }
            done = header.timestamp;
            if planted(Mutation::LoseLogTail) && done == last
                || planted(Mutation::ReplayOneTooFew) && done.0 == meta.fold_ts.0 + 1
            {
                return Some(());
            }
            replay.apply(header, body, &mut InPlace)
        })?;
        replay.finish();
        let replayed = end.lsn.0.saturating_sub(meta.replay_start.0);
        if replayed >= REPLAY_MEASURED_BYTES_MIN {
            let rate = replayed as f64 / began.elapsed().as_secs_f64().max(0.001);
            shared.replay_rate.store(rate as u64, Ordering::Relaxed);
        }
        if done < last && last > meta.fold_ts {
            let detail =
                format!("the log could be read up to timestamp {last} once, but only to {done} again");
            return Err(Error::Corrupt { file: wal_dir, offset: 0, detail, tree: None });
        }
        shared.pin(&pinned)?;
        shared.next_writer.fetch_add(WRITER_IDS_SKIPPED, Ordering::Relaxed);
        tracing::info!(generation = meta.generation, fold_ts = %meta.fold_ts, last = %last, "recovered");
        starting.0 = None;
        Ok(shared)
    }

    #[allow(clippy::too_many_arguments)] // The parts, each from its own source, called from two places above.
    fn assemble(
        vfs: Arc<dyn Vfs>,
        options: StoreOptions,
        data: Arc<dyn VfsFile>,
        data_path: PathBuf,
        meta: Meta,
        (free, free_list): (Extents, Vec<PageId>),
        roots: HashMap<TreeId, crate::base::TreeRoot>,
        position: WalPosition,
        archived: Lsn,
    ) -> Result<Arc<Shared>> {
        let archiver = match &options.archiving {
            Archiving::Off => None,
            Archiving::Hold => Some(Archiver::new(None, Duration::ZERO, archived)),
            Archiving::To { target, timeout } => {
                Some(Archiver::new(Some(target.clone()), *timeout, archived))
            }
        };
        let ids: Vec<TreeId> = roots.keys().copied().collect();
        let wal = Wal::open(
            WalOptions {
                vfs: vfs.clone(),
                dir: options.dir.join("wal"),
                segment_bytes: options.wal_segment_bytes,
                threaded: options.threads,
                blocking: options.blocking.clone(),
            },
            position,
        )?;
        let shared = Arc::new(Shared {
            vfs,
            pager: Pager::new(
                data,
                data_path,
                options.page_cache_bytes,
                options.blocking.clone(),
                meta.generation,
            ),
            wal,
            registry: Registry::new(Generation { number: meta.generation, fold_ts: meta.fold_ts, roots }),
            trees: RwLock::new(HashMap::new()),
            alloc: Mutex::new(Allocator::new(free, meta.page_count)),
            fold: Mutex::new(fold::FoldState::new(meta, free_list)),
            delta_bytes: Arc::new(AtomicI64::new(0)),
            next_tree: AtomicU64::new(meta.next_tree.0),
            next_writer: AtomicU64::new(meta.next_writer.0),
            bulk_loads: Mutex::new(HashMap::new()),
            replay_start: AtomicU64::new(meta.replay_start.0),
            replay_rate: AtomicU64::new(REPLAY_RATE),
            folds: AtomicU64::new(0),
            delta_bytes_left: AtomicU64::new(0),
            writer_delays: AtomicU64::new(0),
            spills: AtomicU64::new(0),
            key_filter_bytes: Arc::default(),
            fold_progress: AtomicU64::new(u64::MAX),
            fold_began_with: AtomicU64::new(0),
            last_fold_ms: AtomicU64::new(u64::MAX),
            archiver,
            options,
        });
        if shared.archiver.is_some() {
            shared.wal.hold_from(archived);
        }
        for id in ids {
            shared.create_tree(id, 0);
        }
        Ok(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn start_threads(&self) -> Result<()> {
        let spawn = |name: &str, work: fn(&Shared)| -> Result<Thread> {
            let shared = self.shared.clone();
            Thread::start(name, move || work(&shared)).context("start a thread for", &self.shared.options.dir)
        };
        let flusher = spawn("serin-flusher", |shared| shared.wal.run_flusher())?;
        let folder = spawn("serin-folder", run_folder)?;
        self.threads.lock().extend([flusher, folder]);
        if self.shared.archiver.as_ref().is_some_and(Archiver::has_target) {
            let archiver = spawn("serin-archiver", |shared| {
                shared.archiver.iter().for_each(|archiver| archiver.run(shared));
            })?;
            self.threads.lock().push(archiver);
        }
        Ok(())
    }

    /// The durable state now: timestamp = watermark, generation = current. Reads are told of every version newer
    /// than it ([`ReadObserver::skipped`](crate::ReadObserver)), for as long as there is memory for them.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.registry.snapshot(true, || self.shared.wal.watermark())
    }

    /// As [`Store::snapshot`], for readers that need to see the state and no more: newer versions that are in the base
    /// already are not kept in memory for it. Whether a key has changed since is told by [`Tree::differs_from`].
    pub fn snapshot_of_state(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// The highest timestamp whose commit is durable (or acknowledged by `synchronous_commit = off`).
    pub fn watermark(&self) -> Timestamp {
        self.shared.wal.watermark()
    }

    /// The timestamp of the newest commit, durable or not.
    pub fn last_commit(&self) -> Timestamp {
        self.shared.wal.last_commit()
    }

    pub fn writer(self: &Arc<Self>) -> Writer {
        let id = WriterId(self.shared.next_writer.fetch_add(1, Ordering::Relaxed));
        Writer::new(self.shared.clone(), id)
    }

    pub fn tree(&self, id: TreeId) -> Option<Arc<Tree>> {
        self.shared.trees.read().get(&id).cloned()
    }

    /// The trees that exist as of the watermark, by id.
    pub fn trees(&self) -> Vec<TreeId> {
        let now = self.watermark();
        let trees = self.shared.trees.read();
        let mut ids: Vec<TreeId> =
            trees.values().filter(|tree| tree.exists_at(now)).map(|tree| tree.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// A new empty tree, private to `writer` until it commits, gone if it rolls back.
    pub fn create_tree(self: &Arc<Self>, writer: &mut Writer) -> Arc<Tree> {
        let id = TreeId(self.shared.next_tree.fetch_add(1, Ordering::Relaxed));
        let tree = self.shared.create_tree(id, NEVER);
        writer.add_created(tree.clone());
        tree
    }

    /// A writer under an id that it had in an earlier process ([`Writer::pending`]).
    pub fn restored_writer(self: &Arc<Self>, id: WriterId) -> Writer {
        self.shared.next_writer.fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
        Writer::new(self.shared.clone(), id)
    }

    /// As [`Store::create_tree`], under the id that the tree had in an earlier process. `None` if the id is taken. To be called
    /// before any other tree is made: ids of trees that were never committed are given out again.
    pub fn restored_tree(self: &Arc<Self>, writer: &mut Writer, id: TreeId) -> Option<Arc<Tree>> {
        if self.tree(id).is_some() {
            return None;
        }
        self.shared.next_tree.fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
        let tree = self.shared.create_tree(id, NEVER);
        writer.add_created(tree.clone());
        Some(tree)
    }

    /// Resolves when every commit at or below `ts` is durable; fails when the store stopped.
    pub fn durable(self: &Arc<Self>, ts: Timestamp) -> impl Future<Output = Result<()>> + Send + use<> {
        Durable { shared: self.shared.clone(), ts }
    }

    /// The hook of [`StoreOptions::blocking`], for the layers above: their lock waits block as well.
    pub fn blocking(&self) -> Arc<dyn Blocking> {
        self.shared.options.blocking.clone()
    }

    pub fn wait_durable(&self, ts: Timestamp) -> Result<()> {
        self.shared.wal.wait_durable(ts)
    }

    /// `synchronous_commit = off`: let readers see `ts` now; the flush follows within milliseconds.
    pub fn publish_early(&self, ts: Timestamp) {
        self.shared.wal.publish_early(ts);
    }

    /// Folds everything committed so far; returns when it is durable.
    pub fn fold_now(&self) -> Result<()> {
        let last = self.last_commit();
        self.wait_durable(last)?;
        self.shared.options.blocking.call(|| fold::fold(&self.shared))
    }

    /// Folds, and gives the space of free pages back to the file system: what VACUUM does.
    pub fn give_back_space(&self) -> Result<()> {
        self.fold_now()?;
        self.shared.options.blocking.call(|| fold::give_back_space(&self.shared))
    }

    pub fn stats(&self) -> StoreStats {
        let shared = &self.shared;
        let generation = shared.registry.current();
        let (page_count, free_pages) = {
            let alloc = shared.alloc.lock();
            (alloc.page_count(), alloc.free_pages())
        };
        StoreStats {
            wal_bytes: shared.wal.bytes_written.load(Ordering::Relaxed),
            wal_flushes: shared.wal.flushes.load(Ordering::Relaxed),
            commits: shared.wal.commits.load(Ordering::Relaxed),
            folds: shared.folds.load(Ordering::Relaxed),
            pages_written: shared.pager.pages_written.load(Ordering::Relaxed),
            delta_bytes: shared.delta_bytes(),
            page_cache_hits: shared.pager.hits.load(Ordering::Relaxed),
            page_cache_misses: shared.pager.misses.load(Ordering::Relaxed),
            data_file_bytes: page_count * crate::page::PAGE_SIZE as u64,
            free_pages,
            delta_keys: shared.trees.read().values().map(|tree| tree.delta.len() as u64).sum(),
            generation: generation.number,
            fold_ts: generation.fold_ts,
            snapshots: shared.registry.snapshot_count() as u64,
            oldest_snapshot: shared.registry.oldest_snapshot(),
            wal_replay_bytes: shared.replay_bytes(),
            writer_delays: shared.writer_delays.load(Ordering::Relaxed),
            spills: shared.spills.load(Ordering::Relaxed),
            wal_end: shared.wal.end(),
            fold_progress: Some(shared.fold_progress.load(Ordering::Relaxed))
                .filter(|progress| *progress != u64::MAX)
                .map(|progress| progress as f64 / 1000.0),
            last_fold_ms: Some(shared.last_fold_ms.load(Ordering::Relaxed)).filter(|ms| *ms != u64::MAX),
            delta_bytes_max: shared.options.delta_bytes_max,
            page_cache_bytes: shared.options.page_cache_bytes,
            archive: shared.archiver.as_ref().filter(|archiver| archiver.has_target()).map(Archiver::stats),
        }
    }

    /// Archives everything that is durable, now. Nothing to do where the log is not archived.
    pub fn archive_now(&self) -> Result<()> {
        let Some(archiver) = &self.shared.archiver else { return Ok(()) };
        self.shared.options.blocking.call(|| archiver.pass(&self.shared, true))
    }

    /// End of the log: what commits from now on is behind it.
    pub fn wal_end(&self) -> Lsn {
        self.shared.wal.end()
    }

    /// Flushes the log, folds, closes. Idempotent.
    pub fn shutdown(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let result = self.fold_now();
        self.stop_threads();
        // Where the archive can't be reached now, the next start goes on with it.
        let _ = self.archive_now();
        // Trees hold what the map's owner holds: let go, or it would never be freed.
        self.shared.trees.write().clear();
        self.lock.lock().take();
        result
    }

    fn stop_threads(&self) {
        self.shared.registry.requests.close();
        self.shared.archiver.iter().for_each(Archiver::close);
        self.shared.wal.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a storage thread ended in a panic");
            }
        }
    }
}

impl Drop for Store {
    /// Without `shutdown` this is like a crash, but for the threads: what was acknowledged is in the log.
    fn drop(&mut self) {
        self.stop_threads();
        self.shared.trees.write().clear();
    }
}

/// The folder thread.
fn run_folder(shared: &Shared) {
    const TICK_MS: u64 = 1000;
    let tick = Duration::from_millis(shared.options.fold_interval_ms.clamp(1, TICK_MS));
    let ticks_per_interval = (shared.options.fold_interval_ms / TICK_MS).max(1);
    let mut ticks = 0;
    loop {
        let result = match shared.registry.requests.next(tick) {
            Request::Close => return,
            Request::Trim => {
                fold::trim(shared);
                Ok(())
            }
            Request::Fold => fold::fold(shared),
            Request::Tick => {
                ticks += 1;
                if ticks < ticks_per_interval && shared.replay_bytes() < shared.replay_bytes_max() {
                    continue;
                }
                ticks = 0;
                fold::fold(shared)
            }
        };
        if let Err(error) = result {
            tracing::error!(%error, "the fold failed");
        }
        shared.registry.requests.pass_done();
    }
}

/// [`Store::durable`]: any executor can await it.
struct Durable {
    shared: Arc<Shared>,
    ts: Timestamp,
}

impl Future for Durable {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let wal = &self.shared.wal;
        if !wal.is_threaded() {
            return Poll::Ready(wal.wait_durable(self.ts));
        }
        match wal.poll_durable(self.ts, Some(context.waker())) {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    }
}
