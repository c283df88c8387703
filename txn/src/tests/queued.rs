//! Requests that are left in the queue (`WaitPolicy::Queue`) and polled for, instead of blocking a thread.

use super::harness::*;
use crate::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

const RC: Isolation = Isolation::ReadCommitted;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Count>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// One session, driven on the test's own thread.
struct Queuer<'a> {
    db: &'a Db,
    handle: Arc<SessionHandle>,
    transaction: Option<Transaction>,
    woken: Arc<Count>,
}

impl<'a> Queuer<'a> {
    fn new(db: &'a Db, pid: i32, mode: Mode) -> Queuer<'a> {
        let handle = SessionHandle::new(pid);
        let transaction = Some(db.manager.begin(options(&handle, mode, RC)));
        Queuer { db, handle, transaction, woken: Arc::default() }
    }
    fn transaction(&mut self) -> &mut Transaction {
        self.transaction.as_mut().unwrap()
    }
    fn start(&mut self) -> Result<bool> {
        self.transaction().request_statement(WaitPolicy::Queue)
    }
    fn lock(&mut self, name: &str) -> Result<Option<RowLock>> {
        let tree = self.db.tree.clone();
        self.transaction().request_row(&tree, name.as_bytes(), RowLockMode::Update, WaitPolicy::Queue)
    }
    fn put(&mut self, name: &str, value: &str) {
        let tree = self.db.tree.clone();
        self.transaction().update(&tree, name.as_bytes(), value.as_bytes()).unwrap();
    }
    fn poll(&self) -> Result<Option<Instant>> {
        self.db.manager.poll_wait(&self.handle, &Waker::from(self.woken.clone()))
    }
    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }
    fn commit(&mut self) {
        commit_durably(&self.db.manager, self.transaction.take().unwrap()).unwrap();
    }
}

#[test]
fn a_grant_wakes_who_left_the_request() {
    for mode in [Mode::Ssi, Mode::TwoPhase] {
        let db = Db::with(&[("a", "0")]);
        let (mut first, mut second) = (Queuer::new(&db, 1, mode), Queuer::new(&db, 2, mode));
        assert!(first.start().unwrap() && second.start().unwrap());
        assert!(matches!(first.lock("a"), Ok(Some(RowLock::Unchanged))));
        first.put("a", "1");
        assert!(second.lock("a").unwrap().is_none());
        assert!(second.poll().unwrap().is_some(), "still waiting");
        assert_eq!(db.manager.blocking_pids(2), [1]);
        assert_eq!(second.woken(), 0);
        first.commit();
        assert_eq!(second.woken(), 1);
        assert!(second.poll().unwrap().is_none());
        let Ok(Some(RowLock::Changed(Some(value)))) = second.lock("a") else { panic!("the row has changed") };
        assert_eq!(text(&value), "1");
        second.put("a", "2");
        second.commit();
        assert_eq!(db.rows(), [("a".into(), "2".into())]);
        db.check_quiescent();
    }
}

#[test]
fn the_serial_token_is_handed_on_in_order() {
    let db = Db::with(&[("a", "0")]);
    let mut sessions = [1, 2, 3].map(|pid| Queuer::new(&db, pid, Mode::Serial));
    let started = [0, 1, 2].map(|i| sessions[i].start().unwrap());
    assert_eq!(started, [true, false, false]);
    for (i, value) in ["1", "2", "3"].into_iter().enumerate() {
        assert_eq!(sessions[i].poll().unwrap(), None);
        assert!(sessions[i].start().unwrap());
        for later in &sessions[i + 1..] {
            assert!(later.poll().unwrap().is_some() && later.woken() == 0);
        }
        assert!(matches!(sessions[i].lock("a"), Ok(Some(RowLock::Unchanged))));
        sessions[i].put("a", value);
        sessions[i].commit();
        if let Some(next) = sessions.get(i + 1) {
            assert_eq!(next.woken(), 1);
        }
    }
    assert_eq!(db.rows(), [("a".into(), "3".into())]);
    db.check_quiescent();
}

#[test]
fn who_goes_leaves_no_request_behind() {
    let db = Db::with(&[("a", "0"), ("b", "0")]);
    let [mut holder, mut gone, mut undone, mut last] =
        [1, 2, 3, 4].map(|pid| Queuer::new(&db, pid, Mode::Ssi));
    for session in [&mut holder, &mut gone, &mut undone, &mut last] {
        assert!(session.start().unwrap());
    }
    assert!(holder.lock("a").unwrap().is_some());
    let savepoint = undone.transaction().savepoint();
    for session in [&mut gone, &mut undone, &mut last] {
        assert!(session.lock("a").unwrap().is_none());
    }
    gone.transaction = None;
    undone.transaction().rollback_to(&savepoint).unwrap();
    assert_eq!(undone.poll().unwrap(), None);
    assert!(undone.lock("b").unwrap().is_some());
    holder.commit();
    assert_eq!(last.poll().unwrap(), None);
    assert!(last.lock("a").unwrap().is_some());
    last.commit();
    undone.commit();
    db.check_quiescent();
}

#[test]
fn granted_and_gone_before_it_came_back() {
    let db = Db::with(&[("a", "0")]);
    let [mut first, mut second, mut third] = [1, 2, 3].map(|pid| Queuer::new(&db, pid, Mode::Ssi));
    assert!(first.start().unwrap() && second.start().unwrap() && third.start().unwrap());
    assert!(first.lock("a").unwrap().is_some());
    assert!(second.lock("a").unwrap().is_none() && third.lock("a").unwrap().is_none());
    first.commit();
    second.transaction = None;
    assert_eq!(third.poll().unwrap(), None);
    assert!(third.lock("a").unwrap().is_some());
    third.commit();
    db.check_quiescent();
}

#[test]
fn interrupts_and_time_outs_end_the_wait() {
    let db = Db::with(&[("a", "0")]);
    let [mut holder, mut cancelled, mut impatient] = [1, 2, 3].map(|pid| Queuer::new(&db, pid, Mode::Ssi));
    assert!(holder.start().unwrap() && cancelled.start().unwrap() && impatient.start().unwrap());
    assert!(holder.lock("a").unwrap().is_some());
    assert!(cancelled.lock("a").unwrap().is_none());
    assert!(cancelled.poll().unwrap().is_some());
    cancelled.handle.interrupt();
    assert_eq!(cancelled.woken(), 1);
    assert!(matches!(cancelled.poll(), Err(Error::Interrupted)));
    assert!(cancelled.poll().unwrap().is_none(), "there is nothing to wait for any more");
    impatient.handle.set_lock_timeout(Duration::from_millis(1));
    assert!(impatient.lock("a").unwrap().is_none());
    let ended = loop {
        match impatient.poll() {
            Ok(Some(at)) => std::thread::sleep(at.saturating_duration_since(Instant::now())),
            ended => break ended,
        }
    };
    assert!(matches!(ended, Err(Error::LockTimeout)));
    (cancelled.transaction, impatient.transaction) = (None, None);
    holder.commit();
    db.check_quiescent();
}

#[test]
fn a_deadlock_is_found_before_the_request_is_left() {
    let db = Db::with(&[("a", "0"), ("b", "0")]);
    let [mut first, mut second] = [1, 2].map(|pid| Queuer::new(&db, pid, Mode::Ssi));
    assert!(first.start().unwrap() && second.start().unwrap());
    assert!(first.lock("a").unwrap().is_some() && second.lock("b").unwrap().is_some());
    assert!(first.lock("b").unwrap().is_none());
    assert!(matches!(second.lock("a"), Err(Error::Deadlock(_))));
    second.transaction = None;
    assert_eq!(first.woken(), 0, "it has not polled yet");
    assert_eq!(first.poll().unwrap(), None);
    assert!(first.lock("b").unwrap().is_some());
    first.commit();
    db.check_quiescent();
}
