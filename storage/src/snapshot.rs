//! Snapshots, generations, and who keeps what alive.
//!
//! A [`Generation`] is one set of base roots: what a fold published. A [`Snapshot`] pins a timestamp and the
//! generation that was current when it was taken; a generation never holds anything newer than the timestamps of
//! its snapshots (`fold_ts ≤ timestamp`), and the delta holds everything newer than the oldest live generation.
//!
//! From the live snapshots follow three things, all decided under this registry's mutex:
//! - which versions pruning must keep (`delta.rs`, rule 3);
//! - the *trim timestamp*: the lowest `fold_ts` of a live generation; versions up to it are in every base;
//! - which replaced pages may be reused: those of generations older than the oldest live one.

use crate::base::TreeRoot;
use crate::delta::LiveSnapshots;
use crate::sync::{self, Mutex};
use crate::{Timestamp, TreeId};
use hashbrown::HashMap;
use parking_lot::Condvar;
use std::sync::Arc;

pub(crate) struct Generation {
    pub number: u64,
    pub fold_ts: Timestamp,
    pub roots: HashMap<TreeId, TreeRoot>,
}

/// A timestamp and the base generation it reads; versions and pages it needs stay until it is dropped.
pub struct Snapshot {
    timestamp: Timestamp,
    pub(crate) generation: Arc<Generation>,
    registry: Arc<Registry>,
}

impl Snapshot {
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.registry.release(self.timestamp, &self.generation);
    }
}

struct State {
    current: Arc<Generation>,
    /// Live snapshots: timestamp and how many, ascending. New ones come at the end, so this is short work.
    timestamps: Vec<(Timestamp, u32)>,
    /// Generations with live snapshots: number, `fold_ts`, how many; ascending.
    generations: Vec<(u64, Timestamp, u32)>,
}

pub(crate) struct Registry {
    state: Mutex<{ sync::REGISTRY }, State>,
    /// What the background thread is asked for.
    pub requests: Requests,
}

impl Registry {
    pub fn new(current: Generation) -> Arc<Registry> {
        Arc::new(Registry {
            state: Mutex::new(State {
                current: Arc::new(current),
                timestamps: Vec::new(),
                generations: Vec::new(),
            }),
            requests: Requests::default(),
        })
    }

    /// `watermark` is read under the mutex: it must not be that a prune, having seen fewer snapshots but a higher
    /// watermark, dropped what this snapshot needs.
    pub fn snapshot(self: &Arc<Self>, watermark: impl FnOnce() -> Timestamp) -> Snapshot {
        let mut state = self.state.lock();
        let timestamp = watermark();
        let generation = state.current.clone();
        assert!(generation.fold_ts <= timestamp, "a generation holds nothing newer than its snapshots");
        match state.timestamps.last_mut() {
            Some((last, count)) if *last == timestamp => *count += 1,
            last => {
                debug_assert!(last.is_none_or(|(last, _)| *last < timestamp), "the watermark only rises");
                state.timestamps.push((timestamp, 1));
            }
        }
        match state.generations.last_mut() {
            Some((number, _, count)) if *number == generation.number => *count += 1,
            _ => state.generations.push((generation.number, generation.fold_ts, 1)),
        }
        Snapshot { timestamp, generation, registry: self.clone() }
    }

    fn release(&self, timestamp: Timestamp, generation: &Generation) {
        let mut state = self.state.lock();
        let at = state.timestamps.partition_point(|(live, _)| *live < timestamp);
        state.timestamps[at].1 -= 1;
        if state.timestamps[at].1 == 0 {
            state.timestamps.remove(at);
        }
        let at = state.generations.partition_point(|(live, ..)| *live < generation.number);
        state.generations[at].2 -= 1;
        let gone = state.generations[at].2 == 0;
        if gone {
            state.generations.remove(at);
        }
        let old = generation.number != state.current.number;
        drop(state);
        if gone && old {
            self.requests.trim();
        }
    }

    pub fn current(&self) -> Arc<Generation> {
        self.state.lock().current.clone()
    }

    pub fn publish(&self, generation: Generation) {
        let mut state = self.state.lock();
        assert!(generation.number > state.current.number && generation.fold_ts >= state.current.fold_ts);
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
            timestamps: &state.timestamps,
            watermark: watermark(),
            trim: state.trim_timestamp(),
        })
    }

    /// What every live generation's base contains, and the oldest live generation.
    pub fn trim_limit(&self) -> (Timestamp, u64) {
        let state = self.state.lock();
        let oldest = state.generations.first().map_or(state.current.number, |(number, ..)| *number);
        (state.trim_timestamp(), oldest)
    }

    pub fn oldest_snapshot(&self) -> Option<Timestamp> {
        self.state.lock().timestamps.first().map(|(timestamp, _)| *timestamp)
    }

    pub fn snapshot_count(&self) -> usize {
        self.state.lock().timestamps.iter().map(|(_, count)| *count as usize).sum()
    }
}

impl State {
    fn trim_timestamp(&self) -> Timestamp {
        self.generations.first().map_or(self.current.fold_ts, |(_, fold_ts, _)| *fold_ts)
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
