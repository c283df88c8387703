//! The threads that run sessions: one runtime of a single worker for each, not one runtime with many workers.
//!
//! A worker waits for its own sockets in its own `epoll_wait`. In tokio's runtime of many workers one at a time does,
//! and wakes the others through a futex: with short statements that is a system call and a thread switch for much
//! of the work (numbers in ARCHITECTURE.md). What it would buy is that idle workers take work from busy ones. Here
//! nothing keeps a worker busy: statements that may take long, wait or read from disk run in `block_in_place`, which
//! passes the worker's other sessions to another thread at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle, Runtime};

/// How many tasks more than the least occupied a worker may have and still get one for being near: little enough to
/// matter to nobody, enough for clients whose threads connect at different speeds.
const NEARNESS: usize = 2;

/// Threads with a runtime each. Dropping it does not wait for what they run.
pub struct Workers {
    runtimes: Vec<Runtime>,
    pool: Pool,
}

/// To start tasks on the workers.
#[derive(Clone)]
pub struct Pool {
    workers: Arc<[Worker]>,
}

struct Worker {
    handle: Handle,
    /// Tasks that live here.
    tasks: AtomicUsize,
}

impl Workers {
    /// `count` workers; 0 stands for one per processor. Up to `blocking` tasks may block at once.
    pub fn start(count: usize, blocking: usize) -> std::io::Result<Workers> {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let count = if count == 0 { processors() } else { count };
        let runtimes = (0..count)
            .map(|_| {
                Builder::new_multi_thread()
                    .worker_threads(1)
                    // `block_in_place` hands the worker's other tasks to a thread of this pool, and every session may
                    // be in it, waiting for a lock that a session not yet scheduled holds: a smaller pool would be
                    // a deadlock.
                    .max_blocking_threads(blocking)
                    // Statements recurse on workers: virtual space, which costs nothing until it is touched.
                    .thread_stack_size(8 << 20)
                    .thread_name("serin")
                    .enable_all()
                    .build()
            })
            .collect::<std::io::Result<Vec<Runtime>>>()?;
        let workers = runtimes
            .iter()
            .map(|runtime| Worker { handle: runtime.handle().clone(), tasks: AtomicUsize::new(0) })
            .collect();
        Ok(Workers { runtimes, pool: Pool { workers } })
    }

    pub fn pool(&self) -> Pool {
        self.pool.clone()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for runtime in self.runtimes.drain(..) {
            runtime.shutdown_background();
        }
    }
}

impl Pool {
    /// Runs the future on a worker: the one that stands for the processor its client runs on, if known, unless that one has
    /// more than its share; then the one that has the fewest.
    ///
    /// Connections opened by one thread of a client then mostly share a worker, and the kernel's scheduler brings the two
    /// together on one processor: a request and its reply wake no other processor and stay in its cache. With 16 clients
    /// in two threads this is worth half of the throughput of short statements (numbers in ARCHITECTURE.md).
    pub fn spawn(&self, processor: Option<usize>, future: impl Future<Output = ()> + Send + 'static) {
        let tasks = |worker: usize| self.workers[worker].tasks.load(Ordering::Relaxed);
        let fewest = (0..self.workers.len()).min_by_key(|&worker| tasks(worker)).expect("there is a worker");
        let worker = processor
            .map(|processor| processor % self.workers.len())
            .filter(|&near| tasks(near) <= tasks(fewest) + NEARNESS)
            .unwrap_or(fewest);
        self.workers[worker].tasks.fetch_add(1, Ordering::Relaxed);
        let here = Occupied { workers: self.workers.clone(), worker };
        self.workers[worker].handle.spawn(async move {
            future.await;
            drop(here);
        });
    }
}

/// A task's place; left when the task ends, however it does.
struct Occupied {
    workers: Arc<[Worker]>,
    worker: usize,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.workers[self.worker].tasks.fetch_sub(1, Ordering::Relaxed);
    }
}
