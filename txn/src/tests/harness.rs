//! Sessions on threads, driven step by step. A step either finishes or is seen to block: "blocked" is what the lock
//! table says, never a time-out.

use crate::*;
use serin_storage::{Direction, KeyRange, Store, StoreOptions, Timestamp, Tree, Value};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

pub(super) struct Db {
    pub(super) manager: Arc<TransactionManager>,
    pub(super) tree: Arc<Tree>,
    _dir: tempfile::TempDir,
}

pub(super) fn key(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

pub(super) fn all() -> KeyRange {
    KeyRange { start: Bound::Unbounded, end: Bound::Unbounded }
}

pub(super) fn options(session: &Arc<SessionHandle>, mode: Mode, isolation: Isolation) -> TransactionOptions {
    TransactionOptions { mode, isolation, read_only: false, deferrable: false, session: session.clone() }
}

impl Db {
    /// A store with one tree that holds `rows`.
    pub(super) fn with(rows: &[(&str, &str)]) -> Db {
        Db::in_dir(tempfile::tempdir().unwrap(), rows)
    }

    pub(super) fn in_dir(dir: tempfile::TempDir, rows: &[(&str, &str)]) -> Db {
        let store = Store::open(StoreOptions::new(dir.path())).unwrap();
        let manager = TransactionManager::new(store);
        let session = SessionHandle::new(1);
        let mut transaction = manager.begin(options(&session, Mode::Ssi, Isolation::ReadCommitted));
        let tree = transaction.create_tree().unwrap();
        for (name, value) in rows {
            transaction.insert(&tree, name.as_bytes(), value.as_bytes()).unwrap();
        }
        commit_durably(&manager, transaction).unwrap();
        Db { manager, tree, _dir: dir }
    }

    pub(super) fn begin(&self, mode: Mode, isolation: Isolation) -> Transaction {
        self.manager.begin(options(&SessionHandle::new(99), mode, isolation))
    }

    pub(super) fn session(&self, pid: i32, mode: Mode, isolation: Isolation) -> Session {
        Session::spawn(self, pid, mode, isolation)
    }

    /// The committed rows.
    pub(super) fn rows(&self) -> Vec<(String, String)> {
        let mut transaction = self.begin(Mode::Ssi, Isolation::ReadCommitted);
        transaction.start_statement().unwrap();
        scan(&mut transaction, &self.tree, all()).unwrap()
    }

    /// Nothing is locked and nothing remembered once everyone has gone.
    pub(super) fn check_quiescent(&self) {
        self.manager.locks.check();
        assert_eq!(
            self.manager.locks.explicit_count(),
            0,
            "locks were left over: {:?}",
            self.manager.locks()
        );
        assert!(self.manager.locks().is_empty() || self.manager.ssi.node_count() > 0);
    }
}

pub(super) fn commit_durably(manager: &TransactionManager, transaction: Transaction) -> Result<Committed> {
    let committed = transaction.commit()?;
    if let Some(ts) = committed.durable_at {
        manager.store().wait_durable(ts)?;
    }
    Ok(committed)
}

pub(super) fn scan(
    transaction: &mut Transaction,
    tree: &Arc<Tree>,
    range: KeyRange,
) -> Result<Vec<(String, String)>> {
    let mut rows = Vec::new();
    let mut scan = transaction.scan(tree, range, Direction::Forward)?;
    while scan.next_batch(transaction, 3, &mut |key, value| {
        rows.push((text(key), text(value)));
        true
    })? {}
    Ok(rows)
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(super) fn text_of(value: Option<Value>) -> Option<String> {
    value.map(|value| text(&value))
}

/// What a step came to, as text: specs compare it.
pub(super) type Outcome = Result<String, Error>;
type Step = Box<dyn FnOnce(&mut Worker) -> Outcome + Send>;

pub(super) struct Worker {
    pub(super) manager: Arc<TransactionManager>,
    tree: Arc<Tree>,
    pub(super) options: TransactionOptions,
    pub(super) transaction: Option<Transaction>,
    savepoints: Vec<Savepoint>,
}

impl Worker {
    fn transaction(&mut self) -> &mut Transaction {
        let (manager, options) = (&self.manager, &self.options);
        self.transaction.get_or_insert_with(|| manager.begin(options.clone()))
    }
    pub(super) fn statement<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction, &Arc<Tree>) -> Result<T>,
    ) -> Result<T> {
        let tree = self.tree.clone();
        let transaction = self.transaction();
        let result = transaction.start_statement().and_then(|()| work(transaction, &tree));
        transaction.end_statement();
        if result.is_err() {
            self.transaction = None;
        }
        result
    }
}

pub(super) struct Session {
    pub(super) handle: Arc<SessionHandle>,
    steps: Sender<Step>,
    outcomes: Receiver<Outcome>,
}

impl Session {
    fn spawn(db: &Db, pid: i32, mode: Mode, isolation: Isolation) -> Session {
        let handle = SessionHandle::new(pid);
        let (steps, work) = channel::<Step>();
        let (done, outcomes) = channel();
        let mut worker = Worker {
            manager: db.manager.clone(),
            tree: db.tree.clone(),
            options: options(&handle, mode, isolation),
            transaction: None,
            savepoints: Vec::new(),
        };
        std::thread::spawn(move || {
            for step in work {
                if done.send(step(&mut worker)).is_err() {
                    return;
                }
            }
        });
        Session { handle, steps, outcomes }
    }

    /// Runs a step that must not block.
    pub(super) fn run(&self, step: impl FnOnce(&mut Worker) -> Outcome + Send + 'static) -> Outcome {
        self.start(step);
        self.poll().unwrap_or_else(|| panic!("session {} blocks", self.handle.pid))
    }
    /// Runs a step that must block.
    pub(super) fn blocks(&self, step: impl FnOnce(&mut Worker) -> Outcome + Send + 'static) {
        self.start(step);
        if let Some(outcome) = self.poll() {
            panic!("session {} should block, but: {outcome:?}", self.handle.pid);
        }
    }
    /// Runs a step to its end, however long it waits.
    pub(super) fn run_to_end(
        &self,
        step: impl FnOnce(&mut Worker) -> Outcome + Send + 'static,
        judge: impl FnOnce(Outcome),
    ) {
        self.start(step);
        judge(self.outcome());
    }
    pub(super) fn begin_step(&self, step: impl FnOnce(&mut Worker) -> Outcome + Send + 'static) {
        self.start(step);
    }
    pub(super) fn start(&self, step: impl FnOnce(&mut Worker) -> Outcome + Send + 'static) {
        self.steps.send(Box::new(step)).unwrap();
    }
    /// The step's outcome, or `None` once the session waits for a lock.
    pub(super) fn poll(&self) -> Option<Outcome> {
        loop {
            match self.outcomes.try_recv() {
                Ok(outcome) => return Some(outcome),
                Err(TryRecvError::Empty) if self.handle.is_asleep() => {
                    // It may have stopped waiting since, and have an outcome: then the wait was short, and not blocking.
                    return self.outcomes.try_recv().ok();
                }
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                Err(TryRecvError::Disconnected) => panic!("session {} died", self.handle.pid),
            }
        }
    }
    /// The outcome of a step that blocked.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcomes.recv().unwrap()
    }

    // ---- steps ----

    pub(super) fn get(&self, name: &str) -> Outcome {
        self.run(step_get(name))
    }
    pub(super) fn scan(&self) -> Outcome {
        self.run(step_scan())
    }
    pub(super) fn update(&self, name: &str, value: &str) -> Outcome {
        self.run(step_update(name, value))
    }
    pub(super) fn insert(&self, name: &str, value: &str) -> Outcome {
        self.run(step_insert(name, value))
    }
    pub(super) fn delete(&self, name: &str) -> Outcome {
        self.run(step_delete(name))
    }
    pub(super) fn lock(&self, name: &str, mode: RowLockMode, wait: WaitPolicy) -> Outcome {
        self.run(step_lock(name, mode, wait))
    }
    pub(super) fn savepoint(&self) {
        self.run(|worker| {
            let savepoint = worker.transaction().savepoint();
            worker.savepoints.push(savepoint);
            Ok(String::new())
        })
        .unwrap();
    }
    pub(super) fn rollback_to(&self) {
        self.run(|worker| {
            let savepoint = worker.savepoints.last().unwrap().clone();
            worker.transaction().rollback_to(&savepoint)?;
            Ok(String::new())
        })
        .unwrap();
    }
    pub(super) fn commit(&self) -> Outcome {
        self.run(step_commit())
    }
    pub(super) fn rollback(&self) {
        self.run(|worker| {
            worker.transaction = None;
            Ok(String::new())
        })
        .unwrap();
    }
    pub(super) fn read_only(&self, deferrable: bool) {
        self.run(move |worker| {
            worker.options.read_only = true;
            worker.options.deferrable = deferrable;
            Ok(String::new())
        })
        .unwrap();
    }
}

pub(super) fn step_get(name: &str) -> impl FnOnce(&mut Worker) -> Outcome + Send + use<> {
    let name = key(name);
    move |worker| {
        let value = worker.statement(|transaction, tree| transaction.get(tree, &name))?;
        Ok(text_of(value).unwrap_or("none".to_owned()))
    }
}

pub(super) fn step_scan() -> impl FnOnce(&mut Worker) -> Outcome + Send {
    move |worker| {
        let rows = worker.statement(|transaction, tree| scan(transaction, tree, all()))?;
        Ok(rows.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "))
    }
}

/// An UPDATE by key, as `sql` does it.
pub(super) fn step_update(name: &str, value: &str) -> impl FnOnce(&mut Worker) -> Outcome + Send + use<> {
    let (name, value) = (key(name), value.to_owned());
    move |worker| {
        worker.statement(|transaction, tree| {
            transaction.intend_to_lock(tree, RowLockMode::NoKeyUpdate);
            if transaction.get(tree, &name)?.is_none() {
                return Ok("0".to_owned());
            }
            match transaction.lock_row(tree, &name, RowLockMode::NoKeyUpdate, WaitPolicy::Block)? {
                RowLock::Unchanged | RowLock::Changed(Some(_)) => {}
                RowLock::Changed(None) | RowLock::Skipped | RowLock::SelfModified { .. } => {
                    return Ok("0".to_owned());
                }
            }
            transaction.update(tree, &name, value.as_bytes())?;
            Ok("1".to_owned())
        })
    }
}

pub(super) fn step_delete(name: &str) -> impl FnOnce(&mut Worker) -> Outcome + Send + use<> {
    let name = key(name);
    move |worker| {
        worker.statement(|transaction, tree| {
            transaction.intend_to_lock(tree, RowLockMode::Update);
            if transaction.get(tree, &name)?.is_none() {
                return Ok("0".to_owned());
            }
            match transaction.lock_row(tree, &name, RowLockMode::Update, WaitPolicy::Block)? {
                RowLock::Unchanged | RowLock::Changed(Some(_)) => {}
                RowLock::Changed(None) | RowLock::Skipped | RowLock::SelfModified { .. } => {
                    return Ok("0".to_owned());
                }
            }
            transaction.delete(tree, &name)?;
            Ok("1".to_owned())
        })
    }
}

pub(super) fn step_insert(name: &str, value: &str) -> impl FnOnce(&mut Worker) -> Outcome + Send + use<> {
    let (name, value) = (key(name), value.to_owned());
    move |worker| {
        worker.statement(|transaction, tree| {
            Ok(match transaction.insert(tree, &name, value.as_bytes())? {
                Inserted::Done => "done".to_owned(),
                Inserted::Duplicate { visible } => format!("duplicate visible={visible}"),
            })
        })
    }
}

pub(super) fn step_lock(
    name: &str,
    mode: RowLockMode,
    wait: WaitPolicy,
) -> impl FnOnce(&mut Worker) -> Outcome + Send + use<> {
    let name = key(name);
    move |worker| {
        worker.statement(|transaction, tree| {
            Ok(match transaction.lock_row(tree, &name, mode, wait)? {
                RowLock::Unchanged => "unchanged".to_owned(),
                RowLock::Changed(value) => format!("changed {}", text_of(value).unwrap_or("none".to_owned())),
                RowLock::Skipped => "skipped".to_owned(),
                RowLock::SelfModified { .. } => "self-modified".to_owned(),
            })
        })
    }
}

pub(super) fn step_relation(
    relation: u32,
    mode: RelationLockMode,
    wait: WaitPolicy,
) -> impl FnOnce(&mut Worker) -> Outcome + Send {
    move |worker| {
        worker.statement(|transaction, _| transaction.lock_relation(relation, mode, wait))?;
        Ok(String::new())
    }
}

pub(super) fn step_commit() -> impl FnOnce(&mut Worker) -> Outcome + Send {
    move |worker| {
        let transaction = worker.transaction.take().expect("there is a transaction to commit");
        let committed = transaction.commit()?;
        if let Some(ts) = committed.durable_at {
            worker.manager.store().wait_durable(ts)?;
        }
        Ok(format!("{}", committed.durable_at.unwrap_or(Timestamp::ZERO)))
    }
}
