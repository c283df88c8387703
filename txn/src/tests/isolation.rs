//! The classical anomalies as interleavings, in every mode and in mixtures.

use super::harness::*;
use crate::*;

const SERIALIZABLE: Isolation = Isolation::Serializable;
const MODES: [Mode; 3] = [Mode::Ssi, Mode::TwoPhase, Mode::Serial];

fn is_serialization_failure(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Error::DangerousStructure(_) | Error::ConcurrentUpdate { .. } | Error::Deadlock(_)))
}

#[test]
fn read_committed_does_not_see_uncommitted_rows_and_reevaluates() {
    let db = Db::with(&[("a", "1")]);
    let (s1, s2) = (
        db.session(1, Mode::Ssi, Isolation::ReadCommitted),
        db.session(2, Mode::Ssi, Isolation::ReadCommitted),
    );
    s1.update("a", "2").unwrap();
    assert_eq!(s2.get("a").unwrap(), "1", "no dirty read");
    s2.blocks(step_lock("a", RowLockMode::Update, WaitPolicy::Block));
    s1.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "changed 2");
    assert_eq!(s2.get("a").unwrap(), "2", "each statement has a snapshot of its own");
    s2.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn an_ssi_snapshot_moves_on_if_nothing_read_has_changed() {
    let db = Db::with(&[("a", "1"), ("b", "1"), ("c", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, SERIALIZABLE));
    assert_eq!(s2.get("b").unwrap(), "1");
    s1.update("a", "2").unwrap();
    s2.blocks(step_update("a", "3"));
    s1.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "1");
    assert_eq!(db.manager.stats().snapshots_moved, 1);
    // It is behind the first one now: what that one has read it may write.
    s2.update("c", "3").unwrap();
    s2.commit().unwrap();
    assert_eq!(db.rows(), [("a", "3"), ("b", "1"), ("c", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    db.check_quiescent();
}

#[test]
fn an_ssi_snapshot_stays_where_something_read_has_changed() {
    for read in ["a", "b", "all"] {
        let db = Db::with(&[("a", "1"), ("b", "1")]);
        let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, SERIALIZABLE));
        match read {
            "all" => s2.scan().unwrap(),
            name => s2.get(name).unwrap(),
        };
        s1.update("a", "2").unwrap();
        s1.update("b", "2").unwrap();
        s1.commit().unwrap();
        let outcome = s2.update("a", "3");
        assert!(matches!(outcome, Err(Error::ConcurrentUpdate { .. })), "after reading {read}: {outcome:?}");
        assert_eq!(db.manager.stats().snapshots_moved, 0);
        db.check_quiescent();
    }
}

#[test]
fn repeatable_read_fails_where_read_committed_goes_on() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let level = Isolation::RepeatableRead;
    let (s1, s2) = (db.session(1, Mode::Ssi, level), db.session(2, Mode::Ssi, level));
    assert_eq!(s2.get("a").unwrap(), "1");
    s1.update("a", "2").unwrap();
    s1.commit().unwrap();
    assert_eq!(s2.get("a").unwrap(), "1", "the snapshot is the transaction's");
    let outcome = s2.update("a", "3");
    assert!(
        matches!(outcome, Err(Error::ConcurrentUpdate { deleted: false, .. })),
        "lost update: {outcome:?}"
    );
    assert_eq!(s2.get("b").unwrap(), "1");
    s1.delete("b").unwrap();
    s1.commit().unwrap();
    assert!(matches!(s2.delete("b"), Err(Error::ConcurrentUpdate { deleted: true, .. })));
    db.check_quiescent();
}

/// Two transactions read both rows, then each writes one of them. Runs the writes as far as they go without failing or
/// blocking for ever and reports whether both committed.
fn write_skew(modes: [Mode; 2], read: fn(&Session) -> Outcome) -> bool {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let sessions = [db.session(1, modes[0], SERIALIZABLE), db.session(2, modes[1], SERIALIZABLE)];
    // A serial transaction takes the token with its first statement: the other one may have to wait from the start.
    let serial_both = modes == [Mode::Serial, Mode::Serial];
    if serial_both {
        assert_eq!(read(&sessions[0]).unwrap(), "a=1 b=1");
        sessions[1].blocks(step_scan());
        sessions[0].update("a", "2").unwrap();
        sessions[0].commit().unwrap();
        assert_eq!(sessions[1].outcome().unwrap(), "a=2 b=1", "the second runs after the first");
        sessions[1].rollback();
        return false;
    }
    assert_eq!(read(&sessions[0]).unwrap(), "a=1 b=1");
    assert_eq!(read(&sessions[1]).unwrap(), "a=1 b=1");
    let threads: Vec<_> = sessions
        .into_iter()
        .zip(["a", "b"])
        .map(|(session, name)| {
            std::thread::spawn(move || {
                session
                    .start_and_finish(step_update(name, "2"))
                    .and_then(|_| session.start_and_finish(step_commit()))
            })
        })
        .collect();
    let outcomes: Vec<Outcome> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for outcome in &outcomes {
        assert!(outcome.is_ok() || is_serialization_failure(outcome), "{modes:?}: {outcome:?}");
    }
    assert!(outcomes.iter().any(Result::is_ok), "{modes:?}: one of the two gets through: {outcomes:?}");
    db.check_quiescent();
    outcomes.iter().all(Result::is_ok)
}

#[test]
fn write_skew_is_prevented_in_every_mode_and_mixture() {
    for first in MODES {
        for second in MODES {
            assert!(!write_skew([first, second], Session::scan), "{first:?} with {second:?}");
        }
    }
}

#[test]
fn repeatable_read_allows_write_skew() {
    // So that the test above shows something.
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let level = Isolation::RepeatableRead;
    let (s1, s2) = (db.session(1, Mode::Ssi, level), db.session(2, Mode::Ssi, level));
    s1.scan().unwrap();
    s2.scan().unwrap();
    s1.update("a", "2").unwrap();
    s2.update("b", "2").unwrap();
    s1.commit().unwrap();
    s2.commit().unwrap();
    assert_eq!(db.rows(), [("a".into(), "2".into()), ("b".into(), "2".into())]);
}

#[test]
fn ssi_write_skew_on_items_and_its_story() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let (s1, s2) = (db.session(1, Mode::Ssi, SERIALIZABLE), db.session(2, Mode::Ssi, SERIALIZABLE));
    s1.handle.set_statement("first".into());
    s2.handle.set_statement("second".into());
    s1.get("b").unwrap();
    s2.get("a").unwrap();
    s1.update("a", "2").unwrap();
    s2.update("b", "2").unwrap();
    s1.commit().unwrap();
    let Err(Error::DangerousStructure(conflict)) = s2.commit() else { panic!("write skew committed") };
    let pids: Vec<i32> = conflict.steps.iter().map(|step| step.pid).collect();
    assert!(pids.contains(&1) && pids.contains(&2), "{conflict:?}");
    assert!(conflict.steps.iter().any(|step| step.key.as_deref() == Some(b"a")), "{conflict:?}");
    assert!(conflict.steps.iter().any(|step| step.statement.as_deref() == Some("second")), "{conflict:?}");
    assert_eq!(db.manager.recent_conflicts().len(), 1);
    assert_eq!(db.manager.stats().serialization_failures, 1);
}

#[test]
fn phantom_write_skew_is_prevented() {
    // Each counts the rows, then inserts one the other's count would have included.
    for modes in
        [[Mode::Ssi; 2], [Mode::TwoPhase; 2], [Mode::Ssi, Mode::TwoPhase], [Mode::TwoPhase, Mode::Ssi]]
    {
        let db = Db::with(&[("a", "1")]);
        let sessions = [db.session(1, modes[0], SERIALIZABLE), db.session(2, modes[1], SERIALIZABLE)];
        for session in &sessions {
            assert_eq!(session.scan().unwrap(), "a=1");
        }
        let threads: Vec<_> = sessions
            .into_iter()
            .zip(["b", "c"])
            .map(|(session, name)| {
                std::thread::spawn(move || {
                    session
                        .start_and_finish(step_insert(name, "2"))
                        .and_then(|_| session.start_and_finish(step_commit()))
                })
            })
            .collect();
        let outcomes: Vec<Outcome> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{modes:?}: {outcomes:?}");
        assert!(outcomes.iter().all(|o| o.is_ok() || is_serialization_failure(o)), "{modes:?}: {outcomes:?}");
        assert_eq!(db.rows().len(), 2);
    }
}

/// Fekete, O'Neil, O'Neil 2004: x = savings, y = checking. T2 (withdraw from x, sees y = 0) and T3 (deposit into y)
/// are serializable as T2, T3; a reader T1 that sees the deposit but not the withdrawal makes it a cycle.
fn read_only_anomaly(reader: Mode, declared: bool) -> bool {
    let db = Db::with(&[("x", "0"), ("y", "0")]);
    let t1 = db.session(1, reader, SERIALIZABLE);
    let t2 = db.session(2, Mode::Ssi, SERIALIZABLE);
    let t3 = db.session(3, Mode::Ssi, SERIALIZABLE);
    if declared {
        t1.read_only(false);
    }
    assert_eq!(t2.scan().unwrap(), "x=0 y=0");
    t3.update("y", "20").unwrap();
    t3.commit().unwrap();
    let read = t1.scan().and_then(|rows| {
        assert_eq!(rows, "x=0 y=20");
        t1.commit()
    });
    let wrote = t2.update("x", "-11").and_then(|_| t2.commit());
    assert!(read.is_ok() || is_serialization_failure(&read), "{read:?}");
    assert!(wrote.is_ok() || is_serialization_failure(&wrote), "{wrote:?}");
    read.is_ok() && wrote.is_ok()
}

#[test]
fn the_read_only_anomaly_is_prevented_for_readers_of_every_mode() {
    for reader in MODES {
        assert!(!read_only_anomaly(reader, true), "{reader:?}, declared read-only");
        assert!(!read_only_anomaly(reader, false), "{reader:?}");
    }
}

#[test]
fn a_reader_before_the_deposit_harms_nobody() {
    // The read-only optimisation: T1's snapshot is older than T3's commit.
    let db = Db::with(&[("x", "0"), ("y", "0")]);
    let [t1, t2, t3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, SERIALIZABLE));
    t1.read_only(false);
    t2.scan().unwrap();
    t1.scan().unwrap();
    t3.update("y", "20").unwrap();
    t3.commit().unwrap();
    t2.update("x", "-11").unwrap();
    t2.commit().unwrap();
    t1.commit().unwrap();
}

#[test]
fn deferrable_waits_for_a_safe_snapshot_and_then_remembers_nothing() {
    let db = Db::with(&[("x", "0")]);
    let writer = db.session(1, Mode::Ssi, SERIALIZABLE);
    let reader = db.session(2, Mode::Ssi, SERIALIZABLE);
    reader.read_only(true);
    writer.update("x", "1").unwrap();
    let (started, waits) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        started.send(()).unwrap();
        let outcome = reader.start_and_finish(step_scan());
        (reader, outcome)
    });
    waits.recv().unwrap();
    writer.commit().unwrap();
    let (reader, outcome) = thread.join().unwrap();
    assert!(["x=0", "x=1"].contains(&outcome.unwrap().as_str()), "either side of the writer");
    assert!(db.manager.locks().iter().all(|lock| lock.mode != "SIReadLock" || lock.pid != 2));
    reader.commit().unwrap();
}

#[test]
fn serial_transactions_run_one_after_the_other() {
    let db = Db::with(&[("a", "1")]);
    let (s1, s2) = (db.session(1, Mode::Serial, SERIALIZABLE), db.session(2, Mode::Serial, SERIALIZABLE));
    let reader = db.session(3, Mode::Serial, SERIALIZABLE);
    reader.read_only(false);
    s1.get("a").unwrap();
    s2.blocks(step_update("a", "3"));
    assert_eq!(db.manager.wait_event(2), Some(("Lock", "serialtoken")));
    assert_eq!(db.manager.blocking_pids(2), [1]);
    assert_eq!(reader.get("a").unwrap(), "1", "read-only work goes on beside the token");
    reader.commit().unwrap();
    s1.update("a", "2").unwrap();
    s1.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "1");
    s2.commit().unwrap();
    assert_eq!(db.rows(), [("a".into(), "3".into())]);
    db.check_quiescent();
}

#[test]
fn the_serial_gate_keeps_writers_of_other_modes_apart() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let other = db.session(1, Mode::Ssi, Isolation::ReadCommitted);
    let serial = db.session(2, Mode::Serial, SERIALIZABLE);
    let third = db.session(3, Mode::Ssi, Isolation::ReadCommitted);
    other.update("a", "2").unwrap();
    serial.blocks(step_get("a"));
    third.blocks(step_update("b", "2"));
    other.commit().unwrap();
    assert_eq!(serial.outcome().unwrap(), "2");
    serial.update("b", "5").unwrap();
    serial.commit().unwrap();
    assert_eq!(third.outcome().unwrap(), "1");
    third.commit().unwrap();
    assert_eq!(db.rows()[1].1, "2", "the writer that queued behind the token ran after it");
    db.check_quiescent();
}

#[test]
fn an_idle_holder_of_the_serial_token_is_ended() {
    let db = Db::with(&[("a", "1")]);
    let (s1, s2) = (db.session(1, Mode::Serial, SERIALIZABLE), db.session(2, Mode::Serial, SERIALIZABLE));
    s1.handle.set_serial_idle_timeout(std::time::Duration::from_millis(1));
    let (told, doomed) = std::sync::mpsc::channel();
    let told = parking_lot::Mutex::new(told);
    s1.handle.on_interrupt(move || told.lock().send(()).unwrap());
    s1.update("a", "9").unwrap();
    s2.blocks(step_get("a"));
    doomed.recv().unwrap();
    assert!(matches!(s1.get("a"), Err(Error::SerialTokenTimeout)));
    assert_eq!(s2.outcome().unwrap(), "1", "only after the first was rolled back");
    s2.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn two_phase_readers_block_writers_of_every_mode() {
    for writer in MODES {
        let db = Db::with(&[("a", "1"), ("c", "1")]);
        let reader = db.session(1, Mode::TwoPhase, SERIALIZABLE);
        let s2 = db.session(2, writer, Isolation::ReadCommitted);
        reader.scan().unwrap();
        s2.blocks(step_insert("b", "1"));
        assert_eq!(db.manager.wait_event(2), Some(("Lock", "keyrange")), "{writer:?}");
        reader.commit().unwrap();
        assert_eq!(s2.outcome().unwrap(), "done", "{writer:?}");
        s2.commit().unwrap();
        // A point read, of an absent key.
        reader.get("d").unwrap();
        s2.blocks(step_insert("d", "1"));
        assert_eq!(db.manager.wait_event(2), Some(("Lock", "tuple")), "{writer:?}");
        reader.commit().unwrap();
        assert_eq!(s2.outcome().unwrap(), "done", "{writer:?}");
        s2.commit().unwrap();
        db.check_quiescent();
    }
}

#[test]
fn two_phase_readers_wait_for_writers_and_see_the_latest() {
    for level in [Isolation::ReadCommitted, Isolation::RepeatableRead, SERIALIZABLE] {
        let db = Db::with(&[("a", "1"), ("b", "1")]);
        let writer = db.session(1, Mode::Ssi, Isolation::ReadCommitted);
        let reader = db.session(2, Mode::TwoPhase, level);
        writer.update("a", "2").unwrap();
        reader.blocks(step_get("a"));
        writer.commit().unwrap();
        assert_eq!(reader.outcome().unwrap(), "2", "{level:?}");
        reader.commit().unwrap();
        writer.insert("aa", "3").unwrap();
        reader.blocks(step_scan());
        writer.commit().unwrap();
        assert_eq!(reader.outcome().unwrap(), "a=2 aa=3 b=1", "{level:?}");
        reader.commit().unwrap();
        db.check_quiescent();
    }
}

#[test]
fn two_phase_read_locks_last_as_the_level_says() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let writer = db.session(1, Mode::Ssi, Isolation::ReadCommitted);
    let short = db.session(2, Mode::TwoPhase, Isolation::ReadCommitted);
    short.scan().unwrap();
    writer.update("a", "2").unwrap();
    writer.commit().unwrap();
    assert_eq!(short.get("a").unwrap(), "2", "READ COMMITTED holds no read lock");
    short.commit().unwrap();
    let long = db.session(3, Mode::TwoPhase, Isolation::RepeatableRead);
    long.scan().unwrap();
    writer.insert("c", "1").unwrap();
    writer.blocks(step_update("a", "3"));
    assert_eq!(long.get("a").unwrap(), "2", "REPEATABLE READ locks the rows it returned");
    long.commit().unwrap();
    writer.outcome().unwrap();
    writer.commit().unwrap();
    db.check_quiescent();
}

impl Session {
    /// Runs a step to its end, however long it blocks.
    fn start_and_finish(&self, step: impl FnOnce(&mut Worker) -> Outcome + Send + 'static) -> Outcome {
        self.begin_step(step);
        self.outcome()
    }
}

/// `loser` reads `a` and finds at its update that somebody else was faster.
fn lose_a(db: &Db, loser: &Session) {
    let winner = db.session(100, Mode::Ssi, SERIALIZABLE);
    loser.get("a").unwrap();
    winner.update("a", "won").unwrap();
    winner.commit().unwrap();
    assert!(matches!(loser.update("a", "lost"), Err(Error::ConcurrentUpdate { .. })));
}

#[test]
fn a_retry_locks_what_it_has_lost_before_it_reads() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, SERIALIZABLE));
    lose_a(&db, &s1);
    s2.update("a", "2").unwrap();
    assert_eq!(s3.get("a").unwrap(), "won", "who has lost nothing does not wait");
    s3.commit().unwrap();
    assert_eq!(s1.get("b").unwrap(), "1");
    s1.blocks(step_get("a"));
    s2.commit().unwrap();
    assert_eq!(s1.outcome().unwrap(), "2", "the snapshot has moved up to what was waited for");
    s3.blocks(step_update("a", "3"));
    s1.update("a", "4").unwrap();
    s1.commit().unwrap();
    assert_eq!(s3.outcome().unwrap(), "1");
    assert_eq!(s1.get("a").unwrap(), "4", "after a success it reads as before");
    s3.commit().unwrap();
    s1.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_retry_whose_snapshot_cannot_move_reads_the_old_one() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, SERIALIZABLE));
    lose_a(&db, &s1);
    assert_eq!(s1.get("b").unwrap(), "1");
    s2.update("a", "2").unwrap();
    s2.update("b", "2").unwrap();
    s1.blocks(step_get("a"));
    s2.commit().unwrap();
    assert_eq!(s1.outcome().unwrap(), "won", "b and a are of one moment");
    s1.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_retry_locks_what_it_had_read_when_that_was_overwritten() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, SERIALIZABLE));
    s1.get("a").unwrap();
    s2.get("b").unwrap();
    s1.update("b", "2").unwrap();
    s2.update("a", "2").unwrap();
    s2.commit().unwrap();
    assert!(matches!(s1.commit(), Err(Error::DangerousStructure(_))));
    s3.update("a", "3").unwrap();
    s1.blocks(step_get("a"));
    s3.commit().unwrap();
    assert_eq!(s1.outcome().unwrap(), "3");
    assert_eq!(s1.get("b").unwrap(), "1");
    s1.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_retry_that_reads_a_range_locks_what_it_has_lost_in_it() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, SERIALIZABLE));
    lose_a(&db, &s1);
    s2.update("a", "2").unwrap();
    s1.blocks(step_scan());
    s2.commit().unwrap();
    assert_eq!(s1.outcome().unwrap(), "a=2 b=1");
    s2.update("b", "2").unwrap();
    s2.commit().unwrap();
    s1.update("a", "3").unwrap();
    s1.commit().unwrap();
    db.check_quiescent();
}
