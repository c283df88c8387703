//! Identifiers, a type per meaning: mixing two does not compile.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name(pub $repr);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id!(/// Names a tree for the life of a store; never reused.
    TreeId(u64));
id!(/// A page's index in `data.serin`; its byte offset is `PageId × PAGE_SIZE`.
    PageId(u64));
id!(/// A byte position in the logical WAL stream.
    Lsn(u64));
id!(/// Commit order. 0 is before every commit; commit order = LSN order = timestamp order.
    Timestamp(u64));
id!(/// Names a writing transaction for the life of the process and in the WAL; never reused in a store.
    WriterId(u64));
id!(/// Orders the statements of one transaction, so that a statement does not see its own writes.
    CommandId(u32));

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp(0);
    /// As a view's horizon: every committed version, durable or not.
    pub const MAX: Timestamp = Timestamp(u64::MAX >> 2);
}
