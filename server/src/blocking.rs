//! What storage calls before anything that may block or run long: the worker's other tasks move to another thread.

use serin_storage::Blocking;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs blocking work with `tokio::task::block_in_place` when the caller is a worker of the multi-threaded runtime,
/// and in place on any other thread (the fold, recovery, tests).
pub struct BlockInPlace;

impl Blocking for BlockInPlace {
    fn run(&self, work: &mut dyn FnMut()) {
        block_in_place(work)
    }
}

/// `block_in_place`, where there is a worker to give up.
pub fn block_in_place<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}
