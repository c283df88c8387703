//! LISTEN, NOTIFY, UNLISTEN.
//!
//! What a transaction wants to notify or listen to waits in its session ([`Pending`]) until it commits. Then, under the [`Hub`]'s
//! mutex, which is held across the commit itself (an append to the log buffer, never an fsync), its notifications join one queue for
//! the whole server: the queue's order is the order of commits, and nothing is queued that did not commit. A session that starts to listen
//! does so under the same mutex, so it hears exactly of the transactions that commit after its own.
//!
//! Listeners keep a position in the queue and no copies; what all have passed is dropped. So memory is bounded by
//! [`QUEUE_BYTES_MAX`] whoever does not read: when the queue is full, transactions with notifications fail at commit (54000), as in
//! PostgreSQL. A session in a transaction hears nothing until it is over. An idle one is waked through its connection's waker, which costs
//! no thread: the runtime that serves the connection comes back and finds the flag set.
//!
//! A notification may come from a commit that is in the log buffer and not yet durable. What is sent to its reader is therefore held back
//! until it is ([`super::core::Core::await_durable`]), like the writer's own answer.
//!
//! PostgreSQL: `src/backend/commands/async.c`.

use super::core::Core;
use super::registry::Registration;
use super::{Output, block};
use crate::error::{Error, Result, SqlState};
use crate::types::Oid;
use parking_lot::Mutex;
use serin_storage::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Notifications that not all listeners have read. (PostgreSQL allows 8 GB on disk.)
const QUEUE_BYTES_MAX: usize = 64 << 20;
const CHANNEL_BYTES_MAX: usize = 63;
const PAYLOAD_BYTES_MAX: usize = 7999;
/// What a queue entry takes besides its texts, about.
const ENTRY_BYTES: usize = 96;
/// Notifications sent to a client between two looks at its buffer.
const BATCH: usize = 256;

/// Channel and payload.
type Note = (Arc<str>, Arc<str>);

#[derive(Clone)]
enum Action {
    Listen(Arc<str>),
    Unlisten(Arc<str>),
    UnlistenAll,
}

/// What a transaction has asked for so far.
#[derive(Default)]
pub(crate) struct Pending {
    notes: Vec<Note>,
    /// Of `notes`: a transaction sends the same only once.
    seen: HashSet<Note>,
    actions: Vec<Action>,
    bytes: usize,
}

/// A savepoint in [`Pending`].
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    notes: usize,
    actions: usize,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.actions.is_empty()
    }
    pub fn mark(&self) -> Mark {
        Mark { notes: self.notes.len(), actions: self.actions.len() }
    }
    pub fn rollback_to(&mut self, mark: Mark) {
        self.actions.truncate(mark.actions);
        for note in self.notes.drain(mark.notes.min(self.notes.len())..) {
            self.bytes -= size(&note);
            self.seen.remove(&note);
        }
    }
    pub fn clear(&mut self) {
        if !self.is_empty() {
            *self = Pending::default();
        }
    }
    fn notify(&mut self, channel: &str, payload: &str) -> Result<()> {
        let note: Note = (channel.into(), payload.into());
        if self.seen.contains(&note) {
            return Ok(());
        }
        self.bytes += size(&note);
        if self.bytes > QUEUE_BYTES_MAX {
            self.bytes -= size(&note);
            return Err(queue_full());
        }
        self.seen.insert(note.clone());
        self.notes.push(note);
        Ok(())
    }
}

fn size((channel, payload): &Note) -> usize {
    channel.len() + payload.len() + ENTRY_BYTES
}

fn queue_full() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many notifications in the NOTIFY queue")
}

struct Entry {
    database: Oid,
    /// Who sent it.
    pid: i32,
    note: Note,
    durable_at: Option<Timestamp>,
}

struct Listener {
    registration: Arc<Registration>,
    database: Oid,
    channels: BTreeSet<Arc<str>>,
    /// The number of the first entry that it has not read.
    position: u64,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Arc<Entry>>,
    /// The number of the first of `entries`.
    first: u64,
    bytes: usize,
    listeners: HashMap<i32, Listener>,
}

impl Queue {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
    /// Drops what everybody has read.
    fn trim(&mut self) {
        let read = self.listeners.values().map(|listener| listener.position).min().unwrap_or(self.end());
        while self.first < read
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes -= size(&entry.note);
            self.first += 1;
        }
    }
}

/// All sessions' channels and the queue between them.
#[derive(Default)]
pub(crate) struct Hub {
    queue: Mutex<Queue>,
}

impl Hub {
    /// Commits with `commit`, which answers since when the commit's effects are to be waited for, and publishes what the transaction
    /// wanted to say.
    pub fn commit<T>(
        &self,
        pending: Pending,
        core: &Core,
        commit: impl FnOnce() -> Result<T>,
        durable_at: impl FnOnce(&T) -> Option<Timestamp>,
    ) -> Result<T> {
        let mut queue = self.queue.lock();
        if queue.bytes + pending.bytes > QUEUE_BYTES_MAX && !pending.notes.is_empty() {
            queue.trim();
            if queue.bytes + pending.bytes > QUEUE_BYTES_MAX {
                return Err(queue_full());
            }
        }
        let committed = commit()?;
        let durable_at = durable_at(&committed);
        let registration = &core.registration;
        for action in pending.actions {
            queue.act(action, registration, core.database_oid);
        }
        // Nobody listens: nobody will ever read it.
        if queue.listeners.is_empty() || pending.notes.is_empty() {
            return Ok(committed);
        }
        let (database, pid) = (core.database_oid, registration.pid);
        let (end, count) = (queue.end(), pending.notes.len() as u64);
        for listener in queue.listeners.values_mut() {
            let concerned = |(channel, _): &Note| listener.channels.contains(channel);
            if listener.database == database && pending.notes.iter().any(concerned) {
                listener.registration.notified();
            } else if listener.position == end {
                // Nobody will wake it for these, so it may not hold them.
                listener.position += count;
            }
        }
        for note in pending.notes {
            queue.bytes += size(&note);
            queue.entries.push_back(Arc::new(Entry { database, pid, note, durable_at }));
        }
        queue.trim();
        Ok(committed)
    }

    /// The next notifications for a session, and whether there may be more.
    fn take(&self, pid: i32) -> (Vec<Arc<Entry>>, bool) {
        let mut queue = self.queue.lock();
        let Queue { entries, first, listeners, .. } = &mut *queue;
        let Some(listener) = listeners.get_mut(&pid) else { return (Vec::new(), false) };
        let mut found = Vec::new();
        let from = (listener.position - *first) as usize;
        for entry in entries.range(from..) {
            if found.len() == BATCH {
                break;
            }
            listener.position += 1;
            if entry.database == listener.database && listener.channels.contains(&entry.note.0) {
                found.push(entry.clone());
            }
        }
        let more = found.len() == BATCH;
        queue.trim();
        (found, more)
    }

    pub fn forget(&self, pid: i32) {
        let mut queue = self.queue.lock();
        if queue.listeners.remove(&pid).is_some() {
            queue.trim();
        }
    }

    pub fn channels(&self, pid: i32) -> Vec<Arc<str>> {
        let queue = self.queue.lock();
        queue.listeners.get(&pid).map_or_else(Vec::new, |l| l.channels.iter().cloned().collect())
    }

    /// The part of the queue that is full.
    pub fn usage(&self) -> f64 {
        let mut queue = self.queue.lock();
        queue.trim();
        queue.bytes as f64 / QUEUE_BYTES_MAX as f64
    }
}

impl Queue {
    fn act(&mut self, action: Action, registration: &Arc<Registration>, database: Oid) {
        let (pid, position) = (registration.pid, self.end());
        match action {
            Action::Listen(channel) => {
                let listener = self.listeners.entry(pid).or_insert_with(|| Listener {
                    registration: registration.clone(),
                    database,
                    channels: BTreeSet::new(),
                    position,
                });
                listener.channels.insert(channel);
            }
            Action::Unlisten(channel) => {
                if let Some(listener) = self.listeners.get_mut(&pid) {
                    listener.channels.remove(&channel);
                    if listener.channels.is_empty() {
                        self.listeners.remove(&pid);
                    }
                }
            }
            Action::UnlistenAll => {
                self.listeners.remove(&pid);
            }
        }
        self.trim();
    }
}

impl Core {
    /// NOTIFY and pg_notify.
    pub fn notify(&self, channel: &str, payload: &str) -> Result<()> {
        let invalid = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        if channel.is_empty() {
            return invalid("channel name cannot be empty");
        }
        if channel.len() > CHANNEL_BYTES_MAX {
            return invalid("channel name too long");
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return invalid("payload string too long");
        }
        self.notify.borrow_mut().notify(channel, payload)
    }
    pub fn listen(&self, channel: &str) {
        self.notify.borrow_mut().actions.push(Action::Listen(channel.into()));
    }
    /// None: all channels.
    pub fn unlisten(&self, channel: Option<&str>) {
        let action = channel.map_or(Action::UnlistenAll, |channel| Action::Unlisten(channel.into()));
        self.notify.borrow_mut().actions.push(action);
    }

    /// Tells the client what it listens to. Cheap while there is nothing.
    pub fn deliver(&self, out: &mut dyn Output) {
        if !self.registration.take_notified() {
            return;
        }
        let mut more = true;
        while more && out.buffered_bytes() < super::OUTPUT_BYTES_MAX {
            let found;
            (found, more) = self.engine.notifications.take(self.registration.pid);
            for entry in found {
                self.await_durable(entry.durable_at);
                out.notification(entry.pid, &entry.note.0, &entry.note.1);
            }
        }
        if more {
            // The rest when the client has read this.
            self.registration.notified();
        }
    }
}

impl super::Session {
    /// Whether the client can be told of notifications now, and there may be some.
    pub fn has_notifications(&self) -> bool {
        self.block.state == block::State::Idle && self.core.registration.is_notified()
    }
    /// Sends an idle client what it listens to.
    pub fn deliver_notifications(&mut self, out: &mut dyn Output) {
        if self.block.state == block::State::Idle {
            self.core.deliver(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_folded_and_savepoints_forget() {
        let mut pending = Pending::default();
        pending.notify("a", "1").unwrap();
        pending.notify("a", "1").unwrap();
        let mark = pending.mark();
        pending.notify("a", "2").unwrap();
        pending.notify("a", "1").unwrap();
        assert_eq!(pending.notes.len(), 2);
        pending.rollback_to(mark);
        assert_eq!(pending.notes.len(), 1);
        pending.notify("a", "2").unwrap();
        assert_eq!(pending.notes.len(), 2);
    }

    #[test]
    fn a_transaction_cannot_want_to_say_more_than_the_queue_holds() {
        let mut pending = Pending::default();
        let payload = "x".repeat(PAYLOAD_BYTES_MAX - 8);
        let full = (0..).find(|n| pending.notify("a", &format!("{payload}{n}")).is_err()).unwrap();
        assert!(full > 1000 && pending.bytes <= QUEUE_BYTES_MAX);
    }
}
