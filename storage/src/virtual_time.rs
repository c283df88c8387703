//! Virtual time, for simulations with threads that one seed decides.
//!
//! Threads that take part in a [`Clock`] run one at a time. Who waits (for the simulated disk, a mutex, a condition, a point of time) hands the turn to
//! whoever is due next, and time jumps there: a sync of ten milliseconds costs nothing, and is long enough for everyone else to
//! do a lot meanwhile. Nothing depends on the machine's scheduler or its clock, so a seed is a run, store's background threads and all
//! (those that a participant starts take part). Where all wait for each other, or only regular rounds are left for an
//! hour, that is a deadlock or a lost wake-up, and a panic.
//!
//! The primitives of `sync.rs` and the simulated disk ([`sim`](crate::vfs::sim)) call in here; for threads that take no part in a clock
//! nothing changes. What waits by other means while it has the turn stops everyone: no participant may keep a lock that is not of `sync.rs`
//! where it may wait.

use crate::vfs::sim::Random;
use parking_lot::{Condvar, Mutex};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long things take at most, in microseconds; each time is drawn anew.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub read: u64,
    /// Of bytes or of names.
    pub write: u64,
    pub sync: u64,
    /// At one in so many acquisitions of a mutex others go first for a while. 0: never.
    pub preempt_one_in: u64,
}

/// A call of the disk, for its time.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Read,
    Write,
    Sync,
}

/// What is waited for: the address of a mutex, a condition or a seat.
type Event = usize;

/// "Until woken": no time comes after it.
const NEVER: u64 = u64::MAX;
const PREEMPTED_MAX_US: u64 = 50;
/// A simulation that lasts for so long waits for something that never comes, while somebody does a round every now and then.
const LIMIT_US: u64 = 3_600_000_000;

/// A participant's place.
struct Seat {
    number: u64,
    turn: Condvar,
    /// Woken by the event rather than the time.
    notified: AtomicBool,
    ended: AtomicBool,
}

struct Sleeper {
    seat: Arc<Seat>,
    event: Option<Event>,
}

struct State {
    now_us: u64,
    random: Random,
    /// Whose turn it is.
    running: Option<u64>,
    /// By when they are due; among those due at one time, by when they began to wait.
    sleepers: BTreeMap<(u64, u64), Sleeper>,
    order: u64,
    seats: u64,
    stuck: bool,
    panics: u32,
}

impl State {
    fn seat(&mut self) -> Arc<Seat> {
        self.seats += 1;
        Arc::new(Seat {
            number: self.seats,
            turn: Condvar::new(),
            notified: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    fn sleep(&mut self, due_us: u64, sleeper: Sleeper) {
        self.order += 1;
        self.sleepers.insert((due_us, self.order), sleeper);
    }

    /// Whoever is due first has the turn, and time is then.
    fn hand_over(&mut self) {
        self.running = None;
        let Some(entry) = self.sleepers.first_entry() else { return };
        let (due_us, _) = *entry.key();
        if due_us > LIMIT_US {
            self.stuck = true;
            self.sleepers.values().for_each(|sleeper| _ = sleeper.seat.turn.notify_one());
            return;
        }
        let next = entry.remove().seat;
        self.now_us = self.now_us.max(due_us);
        self.running = Some(next.number);
        next.turn.notify_one();
    }

    fn wake(&mut self, event: Event) {
        let waiting: Vec<(u64, u64)> = self
            .sleepers
            .iter()
            .filter(|(_, sleeper)| sleeper.event == Some(event))
            .map(|(key, _)| *key)
            .collect();
        for key in waiting {
            let Some(sleeper) = self.sleepers.remove(&key) else { continue };
            sleeper.seat.notified.store(true, Ordering::Relaxed);
            self.sleep(self.now_us, Sleeper { event: None, ..sleeper });
        }
    }
}

/// A clock of its own for those who [`enter`](Clock::enter), and for the threads that they start.
#[derive(Clone)]
pub struct Clock {
    state: Arc<Mutex<State>>,
    pace: Pace,
}

struct Participant {
    clock: Clock,
    seat: Arc<Seat>,
}

thread_local! {
    static PARTICIPANT: RefCell<Option<Participant>> = const { RefCell::new(None) };
}

/// The thread takes part until this goes.
pub struct Presence(());

impl Clock {
    pub fn new(seed: u64, pace: Pace) -> Clock {
        let state = State {
            now_us: 0,
            random: Random(seed),
            running: None,
            sleepers: BTreeMap::new(),
            order: 0,
            seats: 0,
            stuck: false,
            panics: 0,
        };
        Clock { state: Arc::new(Mutex::new(state)), pace }
    }

    /// The calling thread takes part from now on, and has the turn: for the first one.
    ///
    /// # Panics
    /// If somebody else has the turn, or the thread takes part in a clock already.
    pub fn enter(&self) -> Presence {
        let mut state = self.state.lock();
        assert!(state.running.is_none(), "somebody has the turn");
        let seat = state.seat();
        state.running = Some(seat.number);
        drop(state);
        self.sit(seat);
        Presence(())
    }

    fn sit(&self, seat: Arc<Seat>) {
        let before = PARTICIPANT.replace(Some(Participant { clock: self.clone(), seat }));
        assert!(before.is_none(), "a thread takes part in one clock");
    }

    /// Microseconds since the beginning.
    pub fn now_us(&self) -> u64 {
        self.state.lock().now_us
    }

    /// Threads that ended in a panic, so far.
    pub fn panics(&self) -> u32 {
        self.state.lock().panics
    }

    /// Hands the turn on until `event`, or until `after_us` have passed. Returns whether it was the event.
    fn wait(&self, seat: &Arc<Seat>, event: Option<Event>, after_us: Option<u64>) -> bool {
        let mut state = self.state.lock();
        if !state.stuck {
            let due_us = after_us.map_or(NEVER, |after| state.now_us.saturating_add(after));
            state.sleep(due_us, Sleeper { seat: seat.clone(), event });
            state.hand_over();
        }
        while state.running != Some(seat.number) {
            if state.stuck {
                drop(state);
                assert!(std::thread::panicking(), "all wait for each other, or for a wake-up that got lost");
                return true;
            }
            seat.turn.wait(&mut state);
        }
        drop(state);
        seat.notified.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Some(Participant { clock, seat }) = PARTICIPANT.take() else { return };
        let mut state = clock.state.lock();
        state.panics += u32::from(std::thread::panicking());
        seat.ended.store(true, Ordering::Release);
        state.wake(Arc::as_ptr(&seat).addr());
        if state.running == Some(seat.number) {
            state.hand_over();
        }
    }
}

fn with<T>(work: impl FnOnce(&Clock, &Arc<Seat>) -> T) -> Option<T> {
    let (clock, seat) = PARTICIPANT.with_borrow(|participant| {
        participant.as_ref().map(|participant| (participant.clock.clone(), participant.seat.clone()))
    })?;
    Some(work(&clock, &seat))
}

pub(crate) fn takes_part() -> bool {
    PARTICIPANT.with_borrow(Option::is_some)
}

/// Time passes for the calling thread, if it takes part in a clock; others do what they do meanwhile.
pub fn sleep(time: Duration) {
    with(|clock, seat| clock.wait(seat, None, Some(micros(time))));
}

/// Waits for [`notify`]. Returns whether it came before the time was over.
pub(crate) fn wait(event: Event, timeout: Option<Duration>) -> bool {
    with(|clock, seat| clock.wait(seat, Some(event), timeout.map(micros))).unwrap_or(true)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NEVER)
}

/// All who wait for `event` go on when their turn comes.
pub(crate) fn notify(event: Event) {
    with(|clock, _| clock.state.lock().wake(event));
}

pub(crate) fn disk(call: Call) {
    with(|clock, seat| {
        let longest_us = match call {
            Call::Read => clock.pace.read,
            Call::Write => clock.pace.write,
            Call::Sync => clock.pace.sync,
        };
        let takes_us = clock.state.lock().random.below(longest_us + 1);
        clock.wait(seat, None, Some(takes_us))
    });
}

/// Somebody else may run here.
pub(crate) fn preempt() {
    with(|clock, seat| {
        let one_in = clock.pace.preempt_one_in;
        let mut state = clock.state.lock();
        if one_in > 0 && state.random.below(one_in) == 0 {
            let away_us = state.random.below(PREEMPTED_MAX_US);
            drop(state);
            clock.wait(seat, None, Some(away_us));
        }
    });
}

/// A place in its starter's clock for a thread about to start: it runs when its turn comes.
pub(crate) struct Reserved {
    clock: Clock,
    seat: Arc<Seat>,
}

/// Who waits for a thread's end.
pub(crate) struct Ending(Arc<Seat>);

pub(crate) fn reserve() -> Option<(Reserved, Ending)> {
    with(|clock, _| {
        let seat = clock.state.lock().seat();
        (Reserved { clock: clock.clone(), seat: seat.clone() }, Ending(seat))
    })
}

impl Reserved {
    pub(crate) fn start(
        self,
        builder: std::thread::Builder,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let (clock, seat) = (self.clock.clone(), self.seat.clone());
        let handle = builder.spawn(move || {
            let _presence = self.take();
            work();
        })?;
        let mut state = clock.state.lock();
        let now_us = state.now_us;
        state.sleep(now_us, Sleeper { seat, event: None });
        Ok(handle)
    }

    fn take(self) -> Presence {
        let mut state = self.clock.state.lock();
        while state.running != Some(self.seat.number) && !state.stuck {
            self.seat.turn.wait(&mut state);
        }
        drop(state);
        self.clock.sit(self.seat.clone());
        Presence(())
    }
}

impl Ending {
    pub(crate) fn wait(&self) {
        while !self.0.ended.load(Ordering::Acquire) {
            wait(Arc::as_ptr(&self.0).addr(), None);
        }
    }
}
