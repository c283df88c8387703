//! The simulation: a random workload on a simulated disk that fails on a seed, and what must be true afterwards.
//!
//! A run has a few *lives*. Each opens the store, reads it, runs transactions (writes of several keys, savepoints,
//! trees created, dropped and bulk loaded, transactions that move to disk), folds, and old snapshots, until the disk
//! dies at some operation; in some lives calls fail at random, syncs fail, or space runs out before that. Then power comes
//! back with whatever sectors made it. After each life:
//!
//! 1. what was acknowledged is there; what was not is there entirely or not at all, in commit order;
//! 2. a snapshot shows one state, and the same one as long as it lives;
//! 3. `check` finds nothing wrong;
//! 4. after a bit of a file at rest was flipped, what can be read is still one of the states there were;
//! 5. in a third of the runs the log is archived (to the same disk) and backups are made, full and incremental: at the end one of the
//!    states since is restored from them, and is that state.
//!
//! In a quarter of the runs the disk is slow: the store's own threads flush, fold and archive beside the transactions, and virtual time
//! (`virtual_time.rs`) says who runs while a call of the disk or a mutex is waited for. In the others there are no threads.
//!
//! A violation is an `Err`, or a panic of an assertion in the store: see [`run_caught`].

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::vfs::sim::{Faults, Injected, SimVfs};
use serin_storage::virtual_time::{self, Clock, Pace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Runs that ended with a restored state, for whoever counts.
pub static RESTORED: AtomicU64 = AtomicU64::new(0);

type Table = BTreeMap<[u8; 4], Rc<[u8]>>;
type Tables = BTreeMap<TreeId, Rc<Table>>;
type Verdict<T = ()> = std::result::Result<T, String>;

const DATA: &str = "/sim/data.serin";

fn archive(vfs: &SimVfs) -> Arc<dyn ArchiveTarget> {
    Arc::new(DirectoryArchive::new(Arc::new(vfs.clone()), Path::new("/archive")))
}

/// What differs between runs.
#[derive(Clone, Copy)]
struct Setting {
    writer_bytes_max: u64,
    archives: bool,
    /// With threads, which need a clock to take turns by.
    slow: bool,
}

fn open(vfs: &SimVfs, setting: Setting) -> Result<Arc<Store>> {
    Store::open_with(Arc::new(vfs.clone()), options(vfs, setting))
}

fn options(vfs: &SimVfs, setting: Setting) -> StoreOptions {
    let mut options = StoreOptions::new(Path::new("/sim"));
    options.threads = setting.slow;
    options.page_cache_bytes = 256 << 10;
    options.wal_segment_bytes = 8 << 10;
    options.writer_bytes_max = setting.writer_bytes_max;
    if setting.slow {
        // Folds all the time, and now and then a writer that is delayed until the fold has made room.
        options.fold_interval_ms = 30;
        options.delta_bytes_soft = 32 << 10;
        options.delta_bytes_high = 128 << 10;
        options.delta_bytes_max = 1 << 20;
    }
    if setting.archives {
        options.archiving = Archiving::To { target: archive(vfs), timeout: Duration::MAX };
    }
    options
}

/// A disk whose sync takes up to 20 ms, and threads that are held up anywhere.
fn slow_clock(seed: u64) -> Clock {
    Clock::new(seed, Pace { read: 300, write: 500, sync: 20_000, preempt_one_in: 16 })
}

/// What `snapshot` shows, where pages can be read.
fn read_at(store: &Arc<Store>, snapshot: &Snapshot, trees: &[TreeId]) -> Result<Tables> {
    let mut tables = Tables::new();
    for id in trees {
        let Some(tree) = store.tree(*id) else { continue };
        let view = View { snapshot, horizon: snapshot.timestamp(), own: None };
        tables.insert(*id, Rc::new(read_table(&tree, view)?));
    }
    Ok(tables)
}

fn read_table(tree: &Arc<Tree>, view: View<'_>) -> Result<Table> {
    let mut table = Table::new();
    let mut cursor = tree.cursor(ALL, Direction::Forward);
    let mut each = |key: &[u8], value: &Value| {
        table.insert(key.try_into().expect("keys have four bytes"), Rc::from(&value[..]));
        true
    };
    while cursor.next_batch(view, 100, &mut (), &mut each)? {}
    Ok(table)
}

fn read_all(store: &Arc<Store>) -> Result<Tables> {
    read_at(store, &store.snapshot(), &store.trees())
}

/// The states after each commit that may have survived, oldest first: the last acknowledged one and all later.
struct History {
    states: Vec<(Timestamp, Tables)>,
    /// Those that were, before the last acknowledged one.
    past: Vec<Tables>,
}

impl History {
    fn newest(&self) -> &Tables {
        &self.states.last().expect("there is always one").1
    }

    fn acknowledge(&mut self) {
        let last = self.states.len() - 1;
        self.past.extend(self.states.drain(..last).map(|(_, state)| state));
    }

    fn may_be(&self, found: &Tables) -> bool {
        self.states.iter().any(|(_, state)| state == found)
    }

    /// The state at a timestamp that is at or above the last acknowledged one.
    fn at(&self, timestamp: Timestamp) -> &Tables {
        &self
            .states
            .iter()
            .rev()
            .find(|(at, _)| *at <= timestamp)
            .expect("the watermark does not fall back")
            .1
    }
}

struct Run<'a> {
    history: History,
    rng: &'a mut StdRng,
    /// Old snapshots, and what they show.
    snapshots: Vec<(Snapshot, Tables)>,
    setting: Setting,
    /// Complete ones in order, the last full one and those that continue it, with the commit that each has.
    backups: Vec<(PathBuf, Timestamp)>,
    backups_begun: u32,
    /// States that were acknowledged, and where the log ended with them.
    moments: Vec<(Timestamp, Lsn, Tables)>,
}

/// Errors of the store end a life, or not; a violation ends the run.
enum Failure {
    Store(Error),
    Violation(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Store(error)
    }
}

impl Run<'_> {
    fn transaction(&mut self, store: &Arc<Store>) -> Result<(), Failure> {
        let rng = &mut *self.rng;
        let mut tables = self.history.newest().clone();
        let mut writer = store.writer();
        let mut fresh = Vec::new();
        let mut savepoint = None;
        for step in 0..rng.random_range(1..5) {
            match rng.random_range(0..8) {
                0 => savepoint = Some((writer.mark(), tables.clone())),
                1 => {
                    if let Some((mark, then)) = savepoint.take() {
                        writer.rollback_to(mark);
                        tables = then;
                    }
                }
                _ => {}
            }
            match rng.random_range(0..14) {
                0 => {
                    let tree = store.create_tree(&mut writer);
                    let mut table = Table::new();
                    fresh.push(tree.id());
                    if rng.random() {
                        let mut loader = tree.bulk_loader()?;
                        for index in 0..rng.random_range(0..300u32) {
                            let (key, value) = (index.to_be_bytes(), vec![7; (index % 90) as usize]);
                            loader.append(&key, &value)?;
                            table.insert(key, value.into());
                        }
                        loader.finish(&mut writer)?;
                    }
                    tables.insert(tree.id(), Rc::new(table));
                }
                1 if tables.len() > 2 => {
                    let index = rng.random_range(0..tables.len());
                    let id = *tables.keys().nth(index).expect("within its length");
                    if !fresh.contains(&id) {
                        writer.drop_tree(id);
                        tables.remove(&id);
                    }
                }
                _ if !tables.is_empty() => {
                    let index = rng.random_range(0..tables.len());
                    let id = *tables.keys().nth(index).expect("within its length");
                    let Some(tree) = store.tree(id) else {
                        return Err(Failure::Violation(format!("tree {id} is gone")));
                    };
                    let table = Rc::make_mut(tables.get_mut(&id).expect("its own key"));
                    for _ in 0..rng.random_range(1..20) {
                        let key = rng.random_range(0..200u32).to_be_bytes();
                        let long = if rng.random_range(0..50) == 0 { 12_000 } else { 150 };
                        let value = (rng.random_range(0..4) > 0)
                            .then(|| vec![rng.random::<u8>(); rng.random_range(0..long)]);
                        writer.admit()?;
                        let put = writer.install(
                            &tree,
                            &key,
                            value.as_deref(),
                            Intent::Replace,
                            CommandId(step),
                        )?;
                        if put.is_err() {
                            return Err(Failure::Violation("a conflict with nobody".into()));
                        }
                        match value {
                            Some(value) => table.insert(key, value.into()),
                            None => table.remove(&key),
                        };
                    }
                }
                _ => {}
            }
        }
        if rng.random_range(0..4) == 0 {
            let snapshot = store.snapshot();
            let own = Some((&**writer.state(), CommandId(u32::MAX)));
            let view = View { snapshot: &snapshot, horizon: Timestamp::MAX, own };
            for (id, table) in &tables {
                let tree = store.tree(*id).ok_or_else(|| Failure::Violation(format!("tree {id} is gone")))?;
                if read_table(&tree, view)? != **table {
                    return Err(Failure::Violation(format!("own writes to tree {id} read otherwise")));
                }
            }
        }
        if self.rng.random_range(0..5) == 0 {
            writer.rollback();
            return Ok(());
        }
        let Some(at) = writer.commit()? else { return Ok(()) };
        self.history.states.push((at, tables));
        // Some commits are waited for, others pile up in the log buffer.
        if self.rng.random() {
            store.wait_durable(at)?;
            self.acknowledge(store);
        }
        Ok(())
    }

    fn acknowledge(&mut self, store: &Arc<Store>) {
        self.history.acknowledge();
        let (at, state) = self.history.states.last().expect("there is always one");
        if self.setting.archives && self.moments.last().is_none_or(|(known, ..)| known < at) {
            self.moments.push((*at, store.wal_end(), state.clone()));
        }
    }

    fn backup(&mut self, store: &Arc<Store>) -> Result<()> {
        self.backups_begun += 1;
        let dir = PathBuf::from(format!("/backup{}", self.backups_begun));
        let previous = self.backups.last().map(|(dir, _)| dir.clone()).filter(|_| self.rng.random());
        let report = store.backup(&dir, previous.as_deref())?;
        if previous.is_none() {
            self.backups.clear();
        }
        self.backups.push((dir, report.timestamp));
        self.acknowledge(store);
        Ok(())
    }

    fn step(&mut self, store: &Arc<Store>) -> Result<(), Failure> {
        match self.rng.random_range(0..if self.setting.archives { 15 } else { 12 }) {
            12 | 13 => store.archive_now()?,
            14 => self.backup(store)?,
            0 | 1 => {
                if self.rng.random_range(0..4) == 0 {
                    store.give_back_space()?;
                } else {
                    store.fold_now()?;
                }
                self.acknowledge(store);
            }
            2 => {
                let snapshot = if self.rng.random() { store.snapshot() } else { store.snapshot_of_state() };
                let state = self.history.at(snapshot.timestamp()).clone();
                self.snapshots.push((snapshot, state));
            }
            3 if !self.snapshots.is_empty() => {
                let index = self.rng.random_range(0..self.snapshots.len());
                let (snapshot, state) = self.snapshots.swap_remove(index);
                // Trees that were dropped since are not to be found by their id.
                let trees: Vec<TreeId> =
                    state.keys().copied().filter(|id| store.tree(*id).is_some()).collect();
                for (id, table) in read_at(store, &snapshot, &trees)? {
                    if table != state[&id] {
                        return Err(Failure::Violation(format!(
                            "tree {id} of the snapshot at {} reads otherwise",
                            snapshot.timestamp()
                        )));
                    }
                }
            }
            _ => self.transaction(store)?,
        }
        Ok(())
    }

    /// The state that a start found is what history goes on from.
    fn recovered(&mut self, store: &Arc<Store>, found: Tables) {
        let at = store.last_commit();
        if self.setting.archives && self.moments.last().is_none_or(|(known, ..)| *known < at) {
            self.moments.push((at, store.wal_end(), found.clone()));
        }
        self.history.states = vec![(at, found)];
    }

    /// One of the moments since the last full backup, from the archive and the backups up to then. Everything was archived when the
    /// store was shut down.
    fn restore(&mut self, vfs: &SimVfs) -> Verdict {
        let Some((_, first)) = self.backups.first() else { return Ok(()) };
        let since: Vec<_> = self.moments.iter().filter(|(at, ..)| at >= first).collect();
        if since.is_empty() {
            return Ok(());
        }
        let (at, lsn, state) = since[self.rng.random_range(0..since.len())];
        let chain: Vec<PathBuf> =
            self.backups.iter().filter(|(_, backup)| backup <= at).map(|(dir, _)| dir.clone()).collect();
        let mut options = options(vfs, Setting { archives: false, slow: false, ..self.setting });
        options.dir = PathBuf::from("/restored");
        let target = match self.rng.random_range(0..4) {
            0 if self.moments.last().is_some_and(|(last, ..)| last == at) => RestoreTarget::End,
            _ => RestoreTarget::Lsn(*lsn),
        };
        let report = restore_with(Arc::new(vfs.clone()), &chain, Some(archive(vfs)), target, options);
        let report = report.map_err(|error| format!("restoring to commit {at}: {error}"))?;
        if report.timestamp != *at {
            return Err(format!("restored to commit {} rather than {at}", report.timestamp));
        }
        let mut options = StoreOptions::new(Path::new("/restored"));
        options.threads = false;
        let store = Store::open_with(Arc::new(vfs.clone()), options).map_err(|error| error.to_string())?;
        let found = read_all(&store).map_err(|error| format!("what was restored does not read: {error}"))?;
        if found != *state {
            return Err(format!("what was restored is not the state of commit {at}"));
        }
        RESTORED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Until the disk dies, or the store stops.
    fn live(&mut self, store: &Arc<Store>, vfs: &SimVfs) -> Verdict {
        for _ in 0..40 {
            let failed_calls = vfs.injected().io_errors;
            // On a slow disk, where there is a clock: meanwhile the store's threads go on.
            virtual_time::sleep(Duration::from_micros(self.rng.random_range(0..6000)));
            let result = self.step(store);
            if std::env::var_os("SERIN_SEED").is_some() {
                let said = match &result {
                    Ok(()) => "done".to_owned(),
                    Err(Failure::Store(error)) => error.to_string(),
                    Err(Failure::Violation(what)) => what.clone(),
                };
                eprintln!("step: {said}");
            }
            match result {
                Ok(()) => {}
                Err(Failure::Violation(what)) => return Err(what),
                Err(Failure::Store(error)) if vfs.has_crashed() || matches!(error, Error::Stopped(_)) => {
                    break;
                }
                Err(Failure::Store(error @ Error::Io { operation: "verify", .. }))
                    if vfs.injected().io_errors == failed_calls =>
                {
                    return Err(error.to_string());
                }
                // Statements fail while the disk is full or does not answer; the store goes on.
                Err(Failure::Store(Error::DiskFull { .. } | Error::Io { .. })) => {}
                Err(Failure::Store(error)) => return Err(format!("an error without cause: {error}")),
            }
        }
        if self.rng.random_range(0..4) == 0 && store.shutdown().is_ok() {
            self.acknowledge(store);
        }
        Ok(())
    }
}

fn check_is_clean(vfs: &SimVfs) -> Verdict {
    if vfs.file_bytes(Path::new(DATA)).is_none() {
        return Ok(());
    }
    let report = check_with(Arc::new(vfs.clone()), Path::new("/sim")).map_err(|error| error.to_string())?;
    if report.is_clean() { Ok(()) } else { Err(format!("check: {:#?}", report.problems)) }
}

/// What a run went through.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Course {
    pub injected: Injected,
    /// Writes, syncs and renames.
    pub operations: u64,
    pub virtual_us: u64,
    /// Runs with a clock.
    pub slow: u64,
}

impl std::ops::AddAssign for Course {
    fn add_assign(&mut self, other: Course) {
        self.injected += other.injected;
        self.operations += other.operations;
        self.virtual_us += other.virtual_us;
        self.slow += other.slow;
    }
}

/// One seed. `Err` says what is wrong.
pub fn run(seed: u64) -> Verdict<Course> {
    let mut rng = StdRng::seed_from_u64(seed);
    let vfs = SimVfs::new(seed);
    let lives = rng.random_range(2..5);
    let history = History { states: vec![(Timestamp::ZERO, Tables::new())], past: Vec::new() };
    let setting = Setting {
        // In a part of the runs transactions have so little room that they move to disk all the time.
        writer_bytes_max: [1 << 10, 6 << 10, 1 << 20][rng.random_range(0..3)],
        archives: rng.random_range(0..3) == 0,
        slow: rng.random_range(0..4) == 0,
    };
    let clock = setting.slow.then(|| slow_clock(seed));
    let _presence = clock.as_ref().map(Clock::enter);
    let mut run = Run {
        history,
        rng: &mut rng,
        snapshots: Vec::new(),
        setting,
        backups: Vec::new(),
        backups_begun: 0,
        moments: Vec::new(),
    };
    for _ in 0..lives {
        // Now and then the crash comes while the store opens, or recovers from the crash before.
        let operations = if run.rng.random_range(0..3) == 0 { 12 } else { 250 };
        vfs.crash_after(run.rng.random_range(0..operations));
        match run.rng.random_range(0..6) {
            0 => vfs.set_faults(Faults { io_error: run.rng.random_range(20..400), no_space: 0 }),
            1 => vfs.set_faults(Faults { io_error: 0, no_space: run.rng.random_range(2..40) }),
            2 => vfs.fail_sync_after(run.rng.random_range(0..40)),
            _ => {}
        }
        if let Ok(store) = open(&vfs, setting) {
            if let Ok(found) = read_all(&store) {
                if !run.history.may_be(&found) {
                    return Err("what recovery found is none of the states that could have survived".into());
                }
                run.recovered(&store, found);
                run.live(&store, &vfs)?;
            }
            // Before the crash makes their files void.
            run.snapshots.clear();
        }
        vfs.crash();
        check_is_clean(&vfs)?;
    }
    let store = open(&vfs, setting).map_err(|error| format!("it does not open any more: {error}"))?;
    let found = read_all(&store).map_err(|error| format!("it does not read any more: {error}"))?;
    if !run.history.may_be(&found) {
        return Err("what recovery found is none of the states that could have survived".into());
    }
    run.recovered(&store, found);
    // It goes on working, and goes down well.
    for _ in 0..3 {
        match run.step(&store) {
            Ok(()) => {}
            Err(Failure::Violation(what)) => return Err(what),
            Err(Failure::Store(error)) => return Err(format!("it does not work any more: {error}")),
        }
    }
    run.snapshots.clear();
    store.shutdown().map_err(|error| format!("it does not close: {error}"))?;
    run.acknowledge(&store);
    drop(store);
    check_is_clean(&vfs)?;
    run.restore(&vfs)?;
    flip_a_bit(&vfs, &run.history, run.rng)?;
    let mut course =
        Course { injected: vfs.injected(), operations: vfs.operations(), virtual_us: 0, slow: 0 };
    if let Some(clock) = clock {
        if clock.panics() > 0 {
            return Err("a thread of the store ended in a panic".into());
        }
        course = Course { virtual_us: clock.now_us(), slow: 1, ..course };
    }
    Ok(course)
}

/// Corruption at rest is found or does not matter; it is never served as data. (The log is empty after a shutdown, and a
/// flip in the record that was written last can't be told from a write that did not complete: so the data file.)
fn flip_a_bit(vfs: &SimVfs, history: &History, rng: &mut StdRng) -> Verdict {
    let path = Path::new(DATA);
    let bytes = vfs.file_bytes(path).expect("the store was there").len() as u64;
    vfs.flip_bit(path, rng.random_range(0..bytes), rng.random_range(0..8));
    let Ok(store) = open(vfs, Setting { writer_bytes_max: 1 << 20, archives: false, slow: false }) else {
        return Ok(());
    };
    let newest = history.newest();
    for (id, table) in newest {
        let Some(tree) = store.tree(*id) else { continue };
        let snapshot = store.snapshot();
        let view = View { snapshot: &snapshot, horizon: snapshot.timestamp(), own: None };
        match read_table(&tree, view) {
            Ok(found) if found == **table => {}
            Ok(found) => {
                // The newer meta page was hit: the one before it is in force, and the log is replayed from there.
                let past =
                    history.past.iter().any(|state| state.get(id).is_some_and(|table| **table == found));
                if !past {
                    return Err(format!("tree {id} has data that never was, after a bit flipped"));
                }
            }
            Err(Error::Corrupt { .. }) => {}
            Err(error) => return Err(format!("after a bit flipped: {error}")),
        }
    }
    Ok(())
}

/// As [`run`], with panics as verdicts.
pub fn run_caught(seed: u64) -> Verdict<Course> {
    std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}

/// Seeds `from..to` on as many threads as there are processors; the first failure, if any.
pub fn run_many(from: u64, to: u64) -> std::result::Result<Course, (u64, String)> {
    use std::sync::Mutex;
    let next = AtomicU64::new(from);
    let outcome: Mutex<(Course, Option<(u64, String)>)> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to {
                        return;
                    }
                    let verdict = run_caught(seed);
                    let mut outcome = outcome.lock().expect("panics are caught");
                    match verdict {
                        Ok(course) => outcome.0 += course,
                        Err(what) => {
                            next.store(to, Ordering::Relaxed);
                            let _ = outcome.1.get_or_insert((seed, what));
                        }
                    }
                }
            });
        }
    });
    let (course, failure) = outcome.into_inner().expect("panics are caught");
    failure.map_or(Ok(course), Err)
}
