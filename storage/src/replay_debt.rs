//! How long a restart would take: what bounds it by time rather than by bytes.
//!
//! The log is measured in bytes, but replaying it costs by row change: a gigabyte of wide rows is back sooner than one of counters. So
//! commits count their changes, a fold takes off what its replay position has passed, and the folder starts a fold when the rest, at the
//! rate at which this machine replays, would take half of `recovery_target`: the other half is for what is committed while that fold runs.
//! A recovery that was long enough to tell measures the rate; before the first such one a cautious guess stands.
//!
//! What moved to disk as layers or was loaded in bulk is named by one record however much it is, and costs a restart next to nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Until a recovery has measured it. (Measured: 0.8 to 2.3 million a second, see docs/reliability.md.)
const CHANGES_PER_SECOND_GUESS: u64 = 500_000;
/// A recovery of less says nothing about the rate.
const CHANGES_TO_MEASURE: u64 = 200_000;
/// A machine that was busy at the wrong moment is not that slow.
const CHANGES_PER_SECOND_MIN: u64 = 100_000;

pub(crate) struct ReplayDebt {
    /// Row changes in the log since the store was opened, and those that the recovery replayed.
    logged: AtomicU64,
    /// Of them, those that a fold has put into the base.
    folded: AtomicU64,
    changes_per_second: AtomicU64,
}

impl Default for ReplayDebt {
    fn default() -> ReplayDebt {
        ReplayDebt {
            logged: AtomicU64::new(0),
            folded: AtomicU64::new(0),
            changes_per_second: AtomicU64::new(CHANGES_PER_SECOND_GUESS),
        }
    }
}

impl ReplayDebt {
    pub fn logged(&self, changes: u64) {
        self.logged.fetch_add(changes, Ordering::Relaxed);
    }

    /// To be taken before the log's position from which a restart will replay: what is counted in between is counted as still to be
    /// replayed.
    pub fn position(&self) -> u64 {
        self.logged.load(Ordering::Relaxed)
    }

    pub fn folded(&self, position: u64) {
        self.folded.fetch_max(position, Ordering::Relaxed);
    }

    /// Everything logged so far was replayed in this time.
    pub fn replayed(&self, took: Duration) {
        let changes = self.position();
        if changes >= CHANGES_TO_MEASURE {
            let rate = changes as f64 / took.as_secs_f64().max(1e-6);
            self.changes_per_second.store((rate as u64).max(CHANGES_PER_SECOND_MIN), Ordering::Relaxed);
        }
    }

    /// What replaying the rest would take.
    pub fn restart_estimate(&self) -> Duration {
        let left = self.position().saturating_sub(self.folded.load(Ordering::Relaxed));
        Duration::from_secs_f64(left as f64 / self.changes_per_second.load(Ordering::Relaxed) as f64)
    }

    /// Whether it is time for a fold. A target of zero: never.
    pub fn is_due(&self, target: Duration) -> bool {
        !target.is_zero() && self.restart_estimate() >= target / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_due_at_half_the_target() {
        let debt = ReplayDebt::default();
        let target = Duration::from_secs(4);
        debt.logged(2 * CHANGES_PER_SECOND_GUESS - 1);
        assert!(!debt.is_due(target));
        debt.logged(1);
        assert!(debt.is_due(target));
        assert!(!debt.is_due(Duration::ZERO), "no target, no fold for its sake");
        let position = debt.position();
        debt.logged(CHANGES_PER_SECOND_GUESS / 2);
        debt.folded(position);
        assert_eq!(debt.restart_estimate(), Duration::from_millis(500), "what came during the fold is left");
    }

    #[test]
    fn a_long_recovery_tells_the_rate() {
        let debt = ReplayDebt::default();
        debt.logged(CHANGES_TO_MEASURE - 1);
        debt.replayed(Duration::from_secs(3600));
        assert_eq!(debt.changes_per_second.load(Ordering::Relaxed), CHANGES_PER_SECOND_GUESS);
        debt.logged(1_000_001 - CHANGES_TO_MEASURE);
        debt.replayed(Duration::from_secs(4));
        assert_eq!(debt.restart_estimate(), Duration::from_secs(4), "as long as it has just taken");
        debt.replayed(Duration::from_secs(3600));
        assert_eq!(debt.changes_per_second.load(Ordering::Relaxed), CHANGES_PER_SECOND_MIN);
    }
}
