//! The threads that run sessions: one runtime of a single worker for each, not one runtime with many workers.
//!
//! A worker waits for its own sockets in its own `epoll_wait`. In tokio's runtime of many workers one at a time does,
//! and wakes the others through a futex: with short statements that is a system call and a thread switch for much
//! of the work (numbers in ARCHITECTURE.md). What it would buy is that idle workers take work from busy ones. Here
//! nothing keeps a worker busy: statements that may take long, wait or read from disk run in `block_in_place`, which
//! passes the worker's other sessions to another thread at once.
//!
//! A session lives where its client does: a request and its reply then wake no other processor and stay in its cache. At first that is the
//! worker that stands for the processor its connection came from; the threads of a client that just connects move about, though, so
//! every thousand requests it looks again, and moves to the worker that was last seen on its client's processor.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
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
    /// Where a task last found it.
    processor: AtomicUsize,
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
            .map(|runtime| Worker {
                handle: runtime.handle().clone(),
                tasks: AtomicUsize::new(0),
                processor: AtomicUsize::new(usize::MAX),
            })
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
    /// Runs the future on the worker that stands for the processor its client runs on, if known, unless that one has more
    /// than its share; then on the one that has the fewest.
    pub fn spawn<F>(&self, processor: Option<usize>, task: impl FnOnce(Place) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = |worker: usize| self.workers[worker].tasks.load(Ordering::Relaxed);
        let fewest = (0..self.workers.len()).min_by_key(|&worker| tasks(worker)).expect("there is a worker");
        let worker = processor
            .map(|processor| processor % self.workers.len())
            .filter(|&near| tasks(near) <= tasks(fewest) + NEARNESS)
            .unwrap_or(fewest);
        let place = Place::take(self.workers.clone(), worker);
        let future = Box::pin(task(place.clone()));
        self.workers[worker].handle.spawn(Task { future: Some(future), place });
    }
}

/// Where a task lives, and may ask to live; the worker's count of tasks has it until the last clone is gone.
#[derive(Clone)]
pub struct Place(Arc<Occupied>);

struct Occupied {
    workers: Arc<[Worker]>,
    worker: AtomicUsize,
    /// Where to go next; the worker itself: nowhere.
    wanted: AtomicUsize,
}

impl Place {
    fn take(workers: Arc<[Worker]>, worker: usize) -> Place {
        workers[worker].tasks.fetch_add(1, Ordering::Relaxed);
        Place(Arc::new(Occupied { workers, worker: worker.into(), wanted: worker.into() }))
    }

    fn worker(&self) -> usize {
        self.0.worker.load(Ordering::Relaxed)
    }

    /// The worker where a task whose client runs on this processor would be nearer to it, if that has no more to do than this one.
    /// To be asked on the task's own worker.
    pub fn nearer(&self, client: usize) -> Option<usize> {
        let (workers, own) = (&self.0.workers, self.worker());
        let here = rustix::thread::sched_getcpu();
        workers[own].processor.store(here, Ordering::Relaxed);
        if here == client {
            return None;
        }
        let tasks = |worker: usize| workers[worker].tasks.load(Ordering::Relaxed);
        (0..workers.len()).find(|&worker| {
            worker != own
                && workers[worker].processor.load(Ordering::Relaxed) == client
                && tasks(worker) <= tasks(own) + NEARNESS
        })
    }

    /// Goes on on another worker. What the task has registered with its runtime (sockets, timers) stays behind.
    pub async fn move_to(&self, worker: usize) {
        self.0.wanted.store(worker, Ordering::Relaxed);
        let mut asked = false;
        // Nobody has to wake it: `Task` sees the wish when this is pending, and it is polled anew where it goes.
        poll_fn(|_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.workers[*self.worker.get_mut()].tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A future that takes itself to another runtime when it wants to.
struct Task<F> {
    /// None once it has gone.
    future: Option<Pin<Box<F>>>,
    place: Place,
}

impl<F: Future<Output = ()> + Send + 'static> Future for Task<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else { return Poll::Ready(()) };
        if future.as_mut().poll(context).is_ready() {
            self.future = None;
            return Poll::Ready(());
        }
        let Occupied { workers, worker, wanted } = &*self.place.0;
        let (from, to) = (worker.load(Ordering::Relaxed), wanted.load(Ordering::Relaxed));
        if from == to {
            return Poll::Pending;
        }
        workers[from].tasks.fetch_sub(1, Ordering::Relaxed);
        workers[to].tasks.fetch_add(1, Ordering::Relaxed);
        worker.store(to, Ordering::Relaxed);
        let handle = workers[to].handle.clone();
        let (future, place) = (self.future.take(), self.place.clone());
        handle.spawn(Task { future, place });
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// A server that moves to the other worker after each byte it sends back.
    #[test]
    fn a_task_goes_on_where_it_moves_to() {
        let workers = Workers::start(2, 4).unwrap();
        let pool = workers.pool();
        let counts = |pool: &Pool| -> Vec<usize> {
            pool.workers.iter().map(|worker| worker.tasks.load(Ordering::Relaxed)).collect()
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        let (homes, seen) = std::sync::mpsc::channel();
        pool.spawn(Some(1), move |place| async move {
            let mut stream = TcpStream::from_std(accepted).unwrap();
            loop {
                let mut byte = [0];
                if stream.read(&mut byte).await.unwrap() == 0 {
                    return;
                }
                homes.send((place.worker(), Handle::current().id())).unwrap();
                stream.write_all(&byte).await.unwrap();
                place.move_to(1 - place.worker()).await;
                stream = TcpStream::from_std(stream.into_std().unwrap()).unwrap();
            }
        });
        use std::io::{Read, Write};
        for turn in 0..20u8 {
            client.write_all(&[turn]).unwrap();
            let mut back = [0];
            client.read_exact(&mut back).unwrap();
            assert_eq!(back, [turn]);
            let at = usize::from(turn + 1) % 2;
            assert_eq!(seen.recv().unwrap(), (at, pool.workers[at].handle.id()));
        }
        assert_eq!(counts(&pool).iter().sum::<usize>(), 1);
        drop(client);
        assert!(seen.recv().is_err(), "the task has ended");
        while counts(&pool) != [0, 0] {
            std::thread::yield_now();
        }
    }
}
