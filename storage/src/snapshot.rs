//! Snapshots, generations, and who keeps what alive.
//!
//! A [`Generation`] is one set of base roots: what a fold published. A [`Snapshot`] pins a timestamp and the
//! generation that was current when it was taken; a generation never holds anything newer than the timestamps of
//! its snapshots (`fold_ts ≤ timestamp`).
//!
//! # What a snapshot needs in memory
//! It reads its generation's base, and above that the versions committed in `(fold_ts, timestamp]`: those must stay in the
//! delta as long as it lives. What was committed *after* its timestamp it never reads; once that is in the current
//! base it may leave memory, however old the snapshot is. So a reader that runs for hours pins no more memory than
//! the delta had when it started; the old versions it may still want are on disk, in the pages of its generation.
//!
//! One kind needs more. SSI has to learn that something it read was overwritten, and by whom: a snapshot that *tracks* pins
//! every version newer than its `fold_ts`. If that comes to fill the delta, tracking is given up for the oldest ones
//! ([`Registry::give_up_tracking`]), whose next read is refused with [`Error::SnapshotTooOld`].
//!
//! From the live snapshots follow three things, all decided under this registry's mutex:
//! - which versions pruning must keep (`delta.rs`, rules 3 and 4);
//! - the *trim timestamp*: the lowest `fold_ts` of a live generation; versions up to it are in every base;
//! - which replaced pages may be reused: those that no live generation reaches.

use crate::base::TreeRoot;
use crate::delta::LiveSnapshots;
use crate::sync::{self, Condvar, Mutex};
use crate::{Error, Result, Timestamp, TreeId};
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Generation {
    pub number: u64,
    pub fold_ts: Timestamp,
    pub roots: HashMap<TreeId, TreeRoot>,
}

/// A timestamp and the base generation it reads; versions and pages it needs stay until it is dropped.
pub struct Snapshot {
    timestamp: Timestamp,
    pub(crate) generation: Arc<Generation>,
    tracks: bool,
    registry: Arc<Registry>,
}

impl Snapshot {
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Whether no fold has been published since.
    pub fn is_of_current_generation(&self) -> bool {
        self.registry.current_number.load(Ordering::Acquire) == self.generation.number
    }

    /// Refuses to go on where versions that it tracked were given up.
    #[inline]
    pub(crate) fn check_tracking(&self) -> Result<()> {
        let given_up = || self.timestamp.0 < self.registry.given_up.load(Ordering::Acquire);
        if self.tracks && given_up() { Err(Error::SnapshotTooOld) } else { Ok(()) }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.registry.release(self.timestamp, &self.generation, self.tracks);
    }
}

/// Live snapshots of one timestamp and generation.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub timestamp: Timestamp,
    pub generation: u64,
    pub fold_ts: Timestamp,
    count: u32,
    /// How many of them track.
    tracking: u32,
}

/// What the live snapshots keep from being trimmed: nothing new to trim as long as it is the same.
#[derive(PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Live generations and the current one, ascending, with the youngest snapshot of each.
    generations: Vec<(u64, Timestamp)>,
    tracked_from: Timestamp,
}

impl Needs {
    pub fn generations(&self) -> Vec<u64> {
        self.generations.iter().map(|(number, _)| *number).collect()
    }
}

struct State {
    current: Arc<Generation>,
    /// Ascending by timestamp and generation alike. New ones come at the end, so this is short work.
    pins: Vec<Pin>,
}

pub(crate) struct Registry {
    state: Mutex<{ sync::REGISTRY }, State>,
    current_number: AtomicU64,
    /// The current generation's `fold_ts`.
    folded: AtomicU64,
    /// Snapshots below this timestamp do not get what they tracked any more.
    given_up: AtomicU64,
    /// What the background thread is asked for.
    pub requests: Requests,
}

impl Registry {
    pub fn new(current: Generation) -> Arc<Registry> {
        Arc::new(Registry {
            current_number: AtomicU64::new(current.number),
            folded: AtomicU64::new(current.fold_ts.0),
            state: Mutex::new(State { current: Arc::new(current), pins: Vec::new() }),
            given_up: AtomicU64::new(0),
            requests: Requests::default(),
        })
    }

    /// `watermark` is read under the mutex: it must not be that a prune, having seen fewer snapshots but a higher
    /// watermark, dropped what this snapshot needs.
    pub fn snapshot(self: &Arc<Self>, tracks: bool, watermark: impl FnOnce() -> Timestamp) -> Snapshot {
        let mut state = self.state.lock();
        let timestamp = watermark();
        let generation = state.current.clone();
        let (number, fold_ts) = (generation.number, generation.fold_ts);
        assert!(fold_ts <= timestamp, "a generation holds nothing newer than its snapshots");
        let tracking = u32::from(tracks);
        match state.pins.last_mut() {
            Some(last) if (last.timestamp, last.generation) == (timestamp, number) => {
                last.count += 1;
                last.tracking += tracking;
            }
            last => {
                debug_assert!(
                    last.is_none_or(|last| last.timestamp <= timestamp),
                    "the watermark only rises"
                );
                state.pins.push(Pin { timestamp, generation: number, fold_ts, count: 1, tracking });
            }
        }
        Snapshot { timestamp, generation, tracks, registry: self.clone() }
    }

    fn release(&self, timestamp: Timestamp, generation: &Generation, tracks: bool) {
        let mut state = self.state.lock();
        let key = (timestamp, generation.number);
        let at = state.pins.partition_point(|pin| (pin.timestamp, pin.generation) < key);
        let tracked_from = state.tracked_from();
        let pin = &mut state.pins[at];
        pin.count -= 1;
        // None left where tracking was given up.
        pin.tracking = pin.tracking.saturating_sub(u32::from(tracks));
        let mut frees = false;
        if pin.count == 0 {
            state.pins.remove(at);
            // The youngest of its generation: what was between it and the one before is not needed any more.
            frees = state.pins.get(at).is_none_or(|next| next.generation != generation.number);
        }
        frees |= tracks && state.tracked_from() != tracked_from;
        let old = generation.number != state.current.number;
        drop(state);
        if frees && old {
            self.requests.trim();
        }
    }

    /// The last resort against a full delta: nothing is kept any more only because a snapshot older than the current
    /// generation tracks it. Returns whether there was any.
    pub fn give_up_tracking(&self) -> bool {
        let mut state = self.state.lock();
        let State { current, pins } = &mut *state;
        let mut newest = None;
        for pin in pins.iter_mut().filter(|pin| pin.generation != current.number && pin.tracking > 0) {
            pin.tracking = 0;
            newest = Some(pin.timestamp);
        }
        let Some(newest) = newest else { return false };
        self.given_up.fetch_max(newest.0 + 1, Ordering::AcqRel);
        true
    }

    /// What the current base contains, at least.
    #[inline]
    pub fn folded(&self) -> Timestamp {
        Timestamp(self.folded.load(Ordering::Acquire))
    }

    pub fn current(&self) -> Arc<Generation> {
        self.state.lock().current.clone()
    }

    pub fn publish(&self, generation: Generation) {
        let mut state = self.state.lock();
        assert!(generation.number > state.current.number && generation.fold_ts >= state.current.fold_ts);
        self.current_number.store(generation.number, Ordering::Release);
        self.folded.store(generation.fold_ts.0, Ordering::Release);
        state.current = Arc::new(generation);
    }

    /// Runs `work` with what pruning needs to know, consistently.
    pub fn with_live<T>(
        &self,
        watermark: impl FnOnce() -> Timestamp,
        work: impl FnOnce(&LiveSnapshots<'_>) -> T,
    ) -> T {
        let state = self.state.lock();
        work(&LiveSnapshots {
            pins: &state.pins,
            tracked_from: state.tracked_from(),
            watermark: watermark(),
            folded: state.current.fold_ts,
        })
    }

    /// What every live generation's base contains, and what follows from the live snapshots.
    pub fn trim_limit(&self) -> (Timestamp, Needs) {
        let state = self.state.lock();
        let mut generations: Vec<(u64, Timestamp)> = Vec::new();
        for pin in &state.pins {
            match generations.last_mut() {
                Some((number, youngest)) if *number == pin.generation => *youngest = pin.timestamp,
                _ => generations.push((pin.generation, pin.timestamp)),
            }
        }
        if generations.last().is_none_or(|(number, _)| *number != state.current.number) {
            generations.push((state.current.number, Timestamp::MAX));
        }
        let limit = state.pins.first().map_or(state.current.fold_ts, |pin| pin.fold_ts);
        (limit, Needs { generations, tracked_from: state.tracked_from() })
    }

    /// A copy of what lives now, for a walk over everything. Snapshots taken from now on are at or above this
    /// watermark and of this generation or a later one, so they need nothing that this copy allows to drop.
    pub fn live(&self, watermark: impl FnOnce() -> Timestamp) -> Live {
        let state = self.state.lock();
        Live {
            pins: state.pins.clone(),
            tracked_from: state.tracked_from(),
            watermark: watermark(),
            folded: state.current.fold_ts,
        }
    }

    pub fn oldest_snapshot(&self) -> Option<Timestamp> {
        self.state.lock().pins.first().map(|pin| pin.timestamp)
    }

    pub fn snapshot_count(&self) -> usize {
        self.state.lock().pins.iter().map(|pin| pin.count as usize).sum()
    }
}

impl State {
    /// Everything newer than this is tracked by somebody.
    fn tracked_from(&self) -> Timestamp {
        self.pins.iter().find(|pin| pin.tracking > 0).map_or(Timestamp::MAX, |pin| pin.fold_ts)
    }
}

pub(crate) struct Live {
    pins: Vec<Pin>,
    tracked_from: Timestamp,
    watermark: Timestamp,
    folded: Timestamp,
}

impl Live {
    pub fn borrow(&self) -> LiveSnapshots<'_> {
        let Live { pins, tracked_from, watermark, folded } = self;
        LiveSnapshots { pins, tracked_from: *tracked_from, watermark: *watermark, folded: *folded }
    }
}

/// What the background thread is asked for, and its reports.
#[derive(Default)]
pub(crate) struct Requests {
    state: Mutex<{ sync::WAITERS }, RequestState>,
    changed: Condvar,
}

#[derive(Default)]
struct RequestState {
    fold: bool,
    trim: bool,
    closing: bool,
    /// Counts completed passes, so that a throttled writer can wait for the next one.
    passes: u64,
}

pub(crate) enum Request {
    Fold,
    Trim,
    /// The interval went by.
    Tick,
    Close,
}

impl<T: Default> Default for Mutex<{ sync::WAITERS }, T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl Requests {
    pub fn fold(&self) {
        self.state.lock().fold = true;
        self.changed.notify_all();
    }

    pub fn trim(&self) {
        self.state.lock().trim = true;
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
    }

    /// The background thread's wait.
    pub fn next(&self, interval: std::time::Duration) -> Request {
        let mut state = self.state.lock();
        loop {
            if state.closing {
                return Request::Close;
            }
            if std::mem::take(&mut state.fold) {
                return Request::Fold;
            }
            if std::mem::take(&mut state.trim) {
                return Request::Trim;
            }
            if state.wait_for(&self.changed, interval) {
                return Request::Tick;
            }
        }
    }

    pub fn pass_done(&self) {
        self.state.lock().passes += 1;
        self.changed.notify_all();
    }

    pub fn passes(&self) -> u64 {
        self.state.lock().passes
    }

    /// Waits until a pass ends, or the time is over.
    pub fn wait_pass(&self, timeout: std::time::Duration) {
        let mut state = self.state.lock();
        let before = state.passes;
        while state.passes == before && !state.closing {
            if state.wait_for(&self.changed, timeout) {
                return;
            }
        }
    }
}
