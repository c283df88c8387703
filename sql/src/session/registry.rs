//! Who is connected: what cancel requests, timeouts, termination and `pg_stat_activity` need of a session, shared with
//! other threads.

use crate::error::{Error, Result, SqlState};
use crate::types::Oid;
use parking_lot::Mutex;
use serin_txn::SessionHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// A session, for pg_stat_activity. Times are microseconds since 2000-01-01 UTC.
#[derive(Clone, Debug)]
pub struct Activity {
    pub pid: i32,
    pub database: Oid,
    pub user: Oid,
    pub application_name: String,
    pub client_address: Option<std::net::SocketAddr>,
    pub backend_start: i64,
    pub transaction_start: Option<i64>,
    pub query_start: Option<i64>,
    pub state_change: i64,
    /// "active", "idle", "idle in transaction", "idle in transaction (aborted)".
    pub state: &'static str,
    /// How its transaction runs, once a statement of it has started.
    pub running: Option<serin_txn::Running>,
    /// ("Lock", "relation"), …: what it waits for now.
    pub wait: Option<(&'static str, &'static str)>,
    pub query: Arc<str>,
}

/// Why a session was interrupted. A stronger reason is not overwritten by a weaker one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Reason {
    None,
    Cancel,
    StatementTimeout,
    TransactionTimeout,
    IdleTimeout,
    ClientLost,
    Terminate,
}

const REASONS: [Reason; 7] = [
    Reason::None,
    Reason::Cancel,
    Reason::StatementTimeout,
    Reason::TransactionTimeout,
    Reason::IdleTimeout,
    Reason::ClientLost,
    Reason::Terminate,
];

impl Reason {
    /// Whether it ends the session, not only the statement.
    pub fn is_fatal(self) -> bool {
        self >= Reason::TransactionTimeout
    }
    pub fn error(self) -> Error {
        let cancel =
            |why: &str| Error::new(SqlState::QUERY_CANCELED, format!("canceling statement due to {why}"));
        match self {
            Reason::None | Reason::Cancel => cancel("user request"),
            Reason::StatementTimeout => cancel("statement timeout"),
            Reason::TransactionTimeout => {
                Error::new(SqlState(*b"25P04"), "terminating connection due to transaction timeout").fatal()
            }
            Reason::IdleTimeout => Error::new(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            )
            .fatal(),
            Reason::ClientLost => {
                Error::new(SqlState::CONNECTION_FAILURE, "connection to client lost").fatal()
            }
            Reason::Terminate => {
                Error::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
                    .fatal()
            }
        }
    }
}

pub(crate) struct Registration {
    pub pid: i32,
    pub secret: i32,
    pub handle: Arc<SessionHandle>,
    reason: AtomicU8,
    /// There is something that the session listens to.
    notified: AtomicBool,
    pub activity: Mutex<Activity>,
    /// Which of its timers is armed: a firing timer with another number comes too late.
    pub timer: [AtomicU64; 2],
    /// Wakes the connection out of its wait for the client.
    waker: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Registration {
    pub fn new(pid: i32, secret: i32, activity: Activity) -> Registration {
        Registration {
            pid,
            secret,
            handle: SessionHandle::new(pid),
            reason: AtomicU8::new(0),
            notified: AtomicBool::new(false),
            activity: Mutex::new(activity),
            timer: Default::default(),
            waker: Mutex::new(None),
        }
    }

    pub fn interrupt(&self, reason: Reason) {
        // The reason goes first: whoever sees the flag finds it (the handle's flag is set with release order).
        self.reason.fetch_max(reason as u8, Ordering::AcqRel);
        self.handle.interrupt();
        if reason.is_fatal()
            && let Some(wake) = &*self.waker.lock()
        {
            wake();
        }
    }

    /// Notes that something was notified and wakes the connection, should it wait.
    pub fn notified(&self) {
        // The flag goes first: whoever is waked finds it.
        self.notified.store(true, Ordering::Release);
        if let Some(wake) = &*self.waker.lock() {
            wake();
        }
    }
    pub fn is_notified(&self) -> bool {
        self.notified.load(Ordering::Acquire)
    }
    pub fn take_notified(&self) -> bool {
        self.is_notified() && self.notified.swap(false, Ordering::AcqRel)
    }

    pub fn set_waker(&self, waker: Box<dyn Fn() + Send>) {
        *self.waker.lock() = Some(waker);
    }

    fn reason(&self) -> Reason {
        REASONS[usize::from(self.reason.load(Ordering::Acquire))]
    }

    /// The error of an interrupt that is pending, which it takes; a fatal one stays.
    pub fn check(&self) -> Result<()> {
        if !self.handle.interrupted() {
            return Ok(());
        }
        Err(self.take_interrupt())
    }

    pub fn take_interrupt(&self) -> Error {
        let reason = self.reason();
        if !reason.is_fatal() {
            self.handle.clear_interrupt();
            let _ = self.reason.compare_exchange(reason as u8, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
        reason.error()
    }

    /// A cancel request that came between statements means nothing.
    pub fn forget_cancel(&self) -> Result<()> {
        if !self.handle.interrupted() {
            return Ok(());
        }
        let error = self.take_interrupt();
        match self.reason().is_fatal() {
            true => Err(error),
            false => Ok(()),
        }
    }

    pub fn fatal(&self) -> Option<Error> {
        let reason = self.reason();
        reason.is_fatal().then(|| reason.error())
    }
}
