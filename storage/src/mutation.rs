//! Faults planted into this crate by its own tests, to show that the simulation would find them.
//!
//! A test names one; the line that it breaks asks [`planted`]. In a build without the feature `testing` that is the
//! constant `false`. One test's mutations are not another's, for they run side by side: a mutation is a thread's, and its store's threads'.

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// The log is written but not synced before a commit is acknowledged.
    SkipLogSync,
    /// A commit is acknowledged when it is in the log buffer.
    AcknowledgeBeforeFlush,
    /// The log goes on after a sync that failed.
    IgnoreFailedSync,
    /// Recovery leaves out the last record of the log.
    LoseLogTail,
    /// Recovery takes a record whose body does not match its checksum.
    AcceptTornRecord,
    /// Recovery takes the first commit after a fold to be in the base.
    ReplayOneTooFew,
    /// Segments are recycled before the meta page says that they are not needed any more.
    RecycleTooEarly,
    /// A segment's new name is not made durable.
    SkipDirectorySync,
    /// A fold names pages in its meta page that are not synced.
    SkipDataSync,
    /// Log segments are recycled before the meta page is durable.
    SkipMetaSync,
    /// Pages are used again while an older generation is still read.
    ReusePagesTooEarly,
    /// The free list keeps quiet about the pages that a fold replaced.
    LeakReplacedPages,
    /// The commit record of a transaction that moved to disk is written before its pages are synced.
    SkipLayerSync,
    /// Replay does not take the pages of bulk loads and layers out of the free list.
    ForgetLoadedPages,
    /// The log does not say which parts of a layer were rolled back to a savepoint.
    ForgetDiscarded,
    /// Versions leave memory that an old snapshot still reads.
    TrimTooMuch,
    /// A page is taken for good whatever its checksum says.
    IgnoreChecksum,
    /// Log segments are recycled though the archive does not have them.
    RecycleUnarchived,
    /// Pages that the archive does not have yet are used again.
    ForgetPins,
    /// The archive's position moves on before the object is stored.
    ArchiveAhead,
    /// What was committed while a sync ran counts as synced.
    AcknowledgeLateComers,
    /// Replay begins where the log was when the fold ended, not where it was when it began.
    ReplayFromFoldEnd,
    /// A fold takes whatever is committed when it comes to a tree, not what was when it began.
    FoldLateComers,
    /// Who waits for durability is not told.
    ForgetWaiters,
    /// The flusher is not told of work.
    ForgetFlusher,
}

impl Mutation {
    pub const ALL: [Mutation; 25] = [
        Mutation::SkipLogSync,
        Mutation::AcknowledgeBeforeFlush,
        Mutation::IgnoreFailedSync,
        Mutation::LoseLogTail,
        Mutation::AcceptTornRecord,
        Mutation::ReplayOneTooFew,
        Mutation::RecycleTooEarly,
        Mutation::SkipDirectorySync,
        Mutation::SkipDataSync,
        Mutation::SkipMetaSync,
        Mutation::ReusePagesTooEarly,
        Mutation::LeakReplacedPages,
        Mutation::SkipLayerSync,
        Mutation::ForgetLoadedPages,
        Mutation::ForgetDiscarded,
        Mutation::TrimTooMuch,
        Mutation::IgnoreChecksum,
        Mutation::RecycleUnarchived,
        Mutation::ForgetPins,
        Mutation::ArchiveAhead,
        Mutation::AcknowledgeLateComers,
        Mutation::ReplayFromFoldEnd,
        Mutation::FoldLateComers,
        Mutation::ForgetWaiters,
        Mutation::ForgetFlusher,
    ];
}

#[cfg(any(test, feature = "testing"))]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// For this thread, until it is called again.
    pub fn plant(mutation: Option<Mutation>) {
        PLANTED.set(mutation);
    }

    pub(crate) fn planted(mutation: Mutation) -> bool {
        PLANTED.get() == Some(mutation)
    }

    /// What a thread that this one starts should [`plant`].
    pub(crate) fn inherited() -> Option<Mutation> {
        PLANTED.get()
    }
}

#[cfg(any(test, feature = "testing"))]
pub use switch::plant;
#[cfg(any(test, feature = "testing"))]
pub(crate) use switch::{inherited, planted};

#[cfg(not(any(test, feature = "testing")))]
#[inline(always)]
pub(crate) fn planted(_: Mutation) -> bool {
    false
}
