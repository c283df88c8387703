//! One conflict matrix for every kind of lock: PostgreSQL's eight relation modes.
//!
//! Row locks map onto four of them exactly as PostgreSQL's `tupleLockExtraInfo` does, and that mapping reproduces
//! the row-lock matrix: KEY SHARE → AccessShare, SHARE → RowShare, NO KEY UPDATE → Exclusive, UPDATE →
//! AccessExclusive. Shared key ranges are held in Share and a writer that meets one asks for RowExclusive, which
//! conflicts with Share but not with itself, so that all writers behind a range go on together. The serial gate
//! is held in Share (writers of other modes) or Exclusive (the serial transaction).

use crate::{RelationLockMode, RowLockMode};
use serin_storage::Intent;

pub(crate) type LockMode = RelationLockMode;

const fn bits(modes: &[LockMode]) -> u8 {
    let mut set = 0;
    let mut i = 0;
    while i < modes.len() {
        set |= 1 << modes[i] as u8;
        i += 1;
    }
    set
}

/// By mode: the set of modes it conflicts with (PostgreSQL's `LockConflicts`).
const CONFLICTS: [u8; 8] = {
    use RelationLockMode::*;
    [
        bits(&[AccessExclusive]),
        bits(&[Exclusive, AccessExclusive]),
        bits(&[Share, ShareRowExclusive, Exclusive, AccessExclusive]),
        bits(&[ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive]),
        bits(&[RowExclusive, ShareUpdateExclusive, ShareRowExclusive, Exclusive, AccessExclusive]),
        bits(&[RowExclusive, ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive]),
        bits(&[
            RowShare,
            RowExclusive,
            ShareUpdateExclusive,
            Share,
            ShareRowExclusive,
            Exclusive,
            AccessExclusive,
        ]),
        0xff,
    ]
};

const ALL: [LockMode; 8] = {
    use RelationLockMode::*;
    [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ]
};

/// The modes that one owner holds on one object.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct ModeSet(u8);

impl ModeSet {
    pub(crate) const EMPTY: ModeSet = ModeSet(0);

    pub(crate) fn insert(&mut self, mode: LockMode) {
        self.0 |= 1 << mode as u8;
    }
    pub(crate) fn remove(&mut self, mode: LockMode) {
        self.0 &= !(1 << mode as u8);
    }
    pub(crate) fn contains(self, mode: LockMode) -> bool {
        self.0 & (1 << mode as u8) != 0
    }
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub(crate) fn conflicts_with(self, mode: LockMode) -> bool {
        self.0 & CONFLICTS[mode as usize] != 0
    }
    /// Whoever holds this set gains nothing by `mode`: one held mode conflicts with all that `mode` conflicts with.
    pub(crate) fn covers(self, mode: LockMode) -> bool {
        let wanted = CONFLICTS[mode as usize];
        self.iter().any(|held| CONFLICTS[held as usize] & wanted == wanted)
    }
    pub(crate) fn iter(self) -> impl Iterator<Item = LockMode> {
        ALL.into_iter().filter(move |mode| self.0 & (1 << *mode as u8) != 0)
    }
}

impl From<LockMode> for ModeSet {
    fn from(mode: LockMode) -> ModeSet {
        ModeSet(1 << mode as u8)
    }
}

impl RelationLockMode {
    /// PostgreSQL's name, as `pg_locks` shows it.
    pub fn name(self) -> &'static str {
        use RelationLockMode::*;
        match self {
            AccessShare => "AccessShareLock",
            RowShare => "RowShareLock",
            RowExclusive => "RowExclusiveLock",
            ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Share => "ShareLock",
            ShareRowExclusive => "ShareRowExclusiveLock",
            Exclusive => "ExclusiveLock",
            AccessExclusive => "AccessExclusiveLock",
        }
    }
    /// The inverse of `mode as u8`.
    pub(crate) fn from_number(number: u8) -> Option<LockMode> {
        ALL.get(usize::from(number)).copied()
    }
    pub(crate) fn waiting_action(self) -> &'static str {
        use RelationLockMode::*;
        match self {
            AccessShare => "waits for AccessShareLock on",
            RowShare => "waits for RowShareLock on",
            RowExclusive => "waits for RowExclusiveLock on",
            ShareUpdateExclusive => "waits for ShareUpdateExclusiveLock on",
            Share => "waits for ShareLock on",
            ShareRowExclusive => "waits for ShareRowExclusiveLock on",
            Exclusive => "waits for ExclusiveLock on",
            AccessExclusive => "waits for AccessExclusiveLock on",
        }
    }
}

impl From<RowLockMode> for LockMode {
    fn from(mode: RowLockMode) -> LockMode {
        match mode {
            RowLockMode::KeyShare => LockMode::AccessShare,
            RowLockMode::Share => LockMode::RowShare,
            RowLockMode::NoKeyUpdate => LockMode::Exclusive,
            RowLockMode::Update => LockMode::AccessExclusive,
        }
    }
}

/// The strength of the implicit lock that an in-progress version is.
pub(crate) fn of_intent(intent: Intent) -> LockMode {
    match intent {
        Intent::Modify => RowLockMode::NoKeyUpdate.into(),
        Intent::Replace => RowLockMode::Update.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_is_symmetric() {
        for a in ALL {
            for b in ALL {
                assert_eq!(
                    ModeSet::from(a).conflicts_with(b),
                    ModeSet::from(b).conflicts_with(a),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn row_locks_conflict_as_in_postgresql() {
        use RowLockMode::*;
        let expected = [
            (KeyShare, [false, false, false, true]),
            (Share, [false, false, true, true]),
            (NoKeyUpdate, [false, true, true, true]),
            (Update, [true, true, true, true]),
        ];
        for (held, row) in expected {
            for (wanted, conflict) in [KeyShare, Share, NoKeyUpdate, Update].into_iter().zip(row) {
                let held_set = ModeSet::from(LockMode::from(held));
                assert_eq!(held_set.conflicts_with(wanted.into()), conflict, "{held:?} {wanted:?}");
                assert_eq!(held_set.covers(wanted.into()), held >= wanted, "{held:?} {wanted:?}");
            }
        }
    }
}
