//! The protocols' rules by name, so that a test can switch one off and show that the history checker notices. Outside of tests a rule
//! is never off, and asking costs nothing.

#[cfg(test)]
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// SSI, rule 1: a reader enters an edge to whoever wrote what it passed over.
    ReaderLooks,
    /// SSI, rule 1: a writer looks for those who had read.
    WriterLooks,
    /// SSI, rule 3.
    DangerousEdge,
    /// SSI, rule 4.
    CommitCheck,
    /// SSI: a snapshot moves forward only if nothing that was read has changed (`refresh.rs`, rule 2).
    RefreshValidates,
    /// SSI: what a row was found to be once it was locked has been read (`refresh.rs`).
    RefreshRegisters,
    /// What a 2PL transaction had read stays known after its commit.
    LockedReadsStay,
    /// A committed serial transaction counts as having read everything.
    SerialReadsEverything,
    /// 2PL: reads lock keys.
    KeyLocks,
    /// 2PL: scans lock ranges, and writers respect them.
    RangeLocks,
    /// 2PL: who asks for a range waits behind the writers that wait for ranges over the same keys. (Fairness, not isolation.)
    Gates,
    /// Lock table, rule 4: whoever materialised a lock looks whether the version is still there. (That nobody waits for nothing, not isolation.)
    MaterialiserLooks,
    /// The same: whoever took versions off their chains looks for locks materialised for them.
    PopperLooks,
    /// Writers of other modes wait for the serial transaction, and it for them.
    SerialGate,
    /// Snapshots have what is durable. Without, they have what has committed when its locks are free. (Durability, not isolation: for tests in
    /// which it would be a matter of timing.)
    DurableSnapshots,
}

#[derive(Default)]
pub(crate) struct Rules {
    #[cfg(test)]
    off: AtomicU32,
}

impl Rules {
    #[cfg(test)]
    pub(crate) fn is_off(&self, rule: Rule) -> bool {
        self.off.load(Ordering::Relaxed) & 1 << rule as u32 != 0
    }
    #[cfg(not(test))]
    #[inline(always)]
    pub(crate) fn is_off(&self, _rule: Rule) -> bool {
        false
    }
    #[cfg(test)]
    pub(crate) fn switch_off(&self, rule: Rule) {
        self.off.fetch_or(1 << rule as u32, Ordering::Relaxed);
    }
}
