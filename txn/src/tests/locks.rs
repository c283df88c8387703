//! Queues, deadlocks, time-outs and interrupts.

use super::harness::*;
use crate::*;
use serin_storage::KeyRange;
use std::ops::Bound;
use std::time::Duration;

const RC: Isolation = Isolation::ReadCommitted;

#[test]
fn a_hot_row_is_handed_on_in_order_of_arrival_one_at_a_time() {
    let db = Db::with(&[("hot", "0")]);
    let sessions: Vec<Session> = (1..=12).map(|pid| db.session(pid, Mode::Ssi, RC)).collect();
    sessions[0].update("hot", "0").unwrap();
    for (i, session) in sessions.iter().enumerate().skip(1) {
        session.blocks(step_update("hot", &i.to_string()));
    }
    db.manager.locks.check();
    for i in 1..sessions.len() {
        sessions[i - 1].commit().unwrap();
        assert_eq!(sessions[i].outcome().unwrap(), "1");
        for later in &sessions[i + 1..] {
            assert!(later.handle.waiting().is_some(), "only the first of the queue is woken");
        }
    }
    sessions.last().unwrap().commit().unwrap();
    assert_eq!(db.rows(), [("hot".into(), (sessions.len() - 1).to_string())]);
    db.check_quiescent();
}

#[test]
fn a_deadlock_ends_with_the_requester_and_tells_every_step() {
    let db = Db::with(&[("a", "1"), ("b", "1"), ("c", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.update("a", "2").unwrap();
    s2.update("b", "2").unwrap();
    s3.update("c", "2").unwrap();
    s1.blocks(step_update("b", "3"));
    s2.blocks(step_update("c", "3"));
    let Err(Error::Deadlock(conflict)) = s3.update("a", "3") else { panic!("no deadlock found") };
    let steps: Vec<(i32, Option<i32>)> = conflict.steps.iter().map(|s| (s.pid, s.other_pid)).collect();
    assert_eq!(steps, [(3, Some(1)), (1, Some(2)), (2, Some(3))]);
    assert_eq!(conflict.steps[0].key.as_deref(), Some(&b"a"[..]));
    // The victim's transaction is rolled back: the others go on.
    assert_eq!(s2.outcome().unwrap(), "1");
    s2.commit().unwrap();
    assert_eq!(s1.outcome().unwrap(), "1");
    s1.commit().unwrap();
    assert_eq!(db.manager.stats().deadlocks, 1);
    db.check_quiescent();
}

#[test]
fn a_deadlock_across_kinds_of_locks_is_found() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.run(step_relation(7, RelationLockMode::AccessExclusive, WaitPolicy::Block)).unwrap();
    s2.update("a", "2").unwrap();
    s2.blocks(step_relation(7, RelationLockMode::AccessShare, WaitPolicy::Block));
    assert!(matches!(s1.update("a", "3"), Err(Error::Deadlock(_))));
    s2.outcome().unwrap();
    s2.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn two_upgrades_of_one_row_deadlock() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.lock("a", RowLockMode::Share, WaitPolicy::Block).unwrap();
    s2.lock("a", RowLockMode::Share, WaitPolicy::Block).unwrap();
    s1.blocks(step_update("a", "2"));
    assert!(matches!(s2.update("a", "3"), Err(Error::Deadlock(_))));
    s1.outcome().unwrap();
    s1.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn an_upgrade_goes_before_the_queue() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.lock("a", RowLockMode::KeyShare, WaitPolicy::Block).unwrap();
    s2.blocks(step_lock("a", RowLockMode::Update, WaitPolicy::Block));
    s1.update("a", "2").unwrap();
    s1.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "changed 2");
    s2.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_reader_queues_behind_a_waiting_writer() {
    let db = Db::with(&[]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, RC));
    let share = RelationLockMode::AccessShare;
    s1.run(step_relation(1, share, WaitPolicy::Block)).unwrap();
    s2.blocks(step_relation(1, RelationLockMode::AccessExclusive, WaitPolicy::Block));
    s3.blocks(step_relation(1, share, WaitPolicy::Block));
    let mut blockers = db.manager.blocking_pids(3);
    blockers.sort();
    assert_eq!(blockers, [2]);
    assert_eq!(db.manager.wait_event(3), Some(("Lock", "relation")));
    s1.commit().unwrap();
    s2.outcome().unwrap();
    assert!(s3.handle.waiting().is_some());
    s2.commit().unwrap();
    s3.outcome().unwrap();
    s3.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_key_share_lock_lets_updates_pass_but_not_deletes() {
    let db = Db::with(&[("parent", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.lock("parent", RowLockMode::KeyShare, WaitPolicy::Block).unwrap();
    s2.update("parent", "2").unwrap();
    assert_eq!(s3.lock("parent", RowLockMode::KeyShare, WaitPolicy::Block).unwrap(), "unchanged");
    s2.commit().unwrap();
    s2.blocks(step_delete("parent"));
    s1.commit().unwrap();
    assert!(s2.handle.waiting().is_some());
    s3.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "1");
    s2.commit().unwrap();
    assert!(db.rows().is_empty());
    db.check_quiescent();
}

#[test]
fn nowait_and_skip_locked_do_not_wait() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, RC));
    // Against an implicit lock, and against an explicit one.
    for explicit in [false, true] {
        if explicit {
            s1.lock("a", RowLockMode::Update, WaitPolicy::Block).unwrap();
        } else {
            s1.update("a", "1").unwrap();
        }
        assert_eq!(s2.lock("a", RowLockMode::Share, WaitPolicy::SkipLocked).unwrap(), "skipped");
        let refused = s2.lock("a", RowLockMode::Share, WaitPolicy::NoWait);
        assert!(matches!(refused, Err(Error::LockNotAvailable(_))), "{refused:?}");
        s2.rollback();
        s1.commit().unwrap();
        db.check_quiescent();
    }
    assert_eq!(s2.lock("a", RowLockMode::Share, WaitPolicy::NoWait).unwrap(), "unchanged");
    s2.commit().unwrap();
    s1.run(step_relation(1, RelationLockMode::Exclusive, WaitPolicy::Block)).unwrap();
    let refused = s2.run(step_relation(1, RelationLockMode::RowShare, WaitPolicy::NoWait));
    assert!(matches!(refused, Err(Error::LockNotAvailable(_))));
    s1.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn interrupts_and_time_outs_end_a_wait_and_free_the_queue_behind_it() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::TwoPhase, RC));
    s1.lock("a", RowLockMode::Share, WaitPolicy::Block).unwrap();
    s2.blocks(step_lock("a", RowLockMode::Update, WaitPolicy::Block));
    s3.blocks(step_lock("a", RowLockMode::Share, WaitPolicy::Block));
    s2.handle.interrupt();
    assert!(matches!(s2.outcome(), Err(Error::Interrupted)));
    assert_eq!(s3.outcome().unwrap(), "unchanged", "the reader waited only behind the interrupted writer");
    s2.handle.clear_interrupt();
    s2.handle.set_lock_timeout(Duration::from_millis(5));
    s2.run_to_end(step_lock("a", RowLockMode::Update, WaitPolicy::Block), |outcome| {
        assert!(matches!(outcome, Err(Error::LockTimeout)), "{outcome:?}");
    });
    s1.commit().unwrap();
    s3.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_row_lock_of_a_snapshot_transaction_passes_waiters_that_it_does_not_concern() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.lock("a", RowLockMode::Share, WaitPolicy::Block).unwrap();
    s2.blocks(step_lock("a", RowLockMode::Update, WaitPolicy::Block));
    assert_eq!(s3.lock("a", RowLockMode::Share, WaitPolicy::Block).unwrap(), "unchanged");
    // Holding the row, s3 upgrades before s2 as well.
    s3.begin_step(step_lock("a", RowLockMode::Update, WaitPolicy::Block));
    s1.commit().unwrap();
    assert_eq!(s3.outcome().unwrap(), "unchanged");
    assert!(s2.handle.waiting().is_some());
    s3.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "unchanged");
    s2.commit().unwrap();
    db.check_quiescent();
}

/// d2 waits for e1 only because e1 came first, d1 for e2 likewise; e1 waits for d1 and e2 for d2.
#[test]
fn a_cycle_through_queues_alone_is_opened_by_overtaking() {
    use RelationLockMode::{AccessExclusive, AccessShare};
    let db = Db::with(&[]);
    let [d1, d2, e1, e2] = [1, 2, 3, 4].map(|pid| db.session(pid, Mode::Ssi, RC));
    let lock = |relation, mode| step_relation(relation, mode, WaitPolicy::Block);
    d1.run(lock(1, AccessShare)).unwrap();
    d2.run(lock(2, AccessShare)).unwrap();
    e1.blocks(lock(1, AccessExclusive));
    e2.blocks(lock(2, AccessExclusive));
    d1.blocks(lock(2, AccessShare));
    d2.blocks(lock(1, AccessShare));
    d1.outcome().unwrap();
    d1.commit().unwrap();
    e1.outcome().unwrap();
    e1.commit().unwrap();
    d2.outcome().unwrap();
    d2.commit().unwrap();
    e2.outcome().unwrap();
    e2.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn one_of_many_racing_inserts_wins() {
    let db = Db::with(&[]);
    for round in 0..50 {
        let name = format!("k{round}");
        let sessions: Vec<Session> = (1..=6).map(|pid| db.session(pid, Mode::Ssi, RC)).collect();
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|session| {
                let name = name.clone();
                std::thread::spawn(move || {
                    session.begin_step(step_insert(&name, "x"));
                    let outcome = session.outcome().unwrap();
                    session.begin_step(step_commit());
                    session.outcome().unwrap();
                    outcome
                })
            })
            .collect();
        let outcomes: Vec<String> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|o| *o == "done").count(), 1, "{outcomes:?}");
    }
    db.check_quiescent();
}

#[test]
fn an_insert_waits_for_the_other_insert_of_its_key() {
    let db = Db::with(&[]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.insert("a", "1").unwrap();
    s2.blocks(step_insert("a", "2"));
    s1.rollback();
    assert_eq!(s2.outcome().unwrap(), "done");
    s1.blocks(step_insert("a", "3"));
    s2.commit().unwrap();
    assert!(s1.outcome().unwrap().starts_with("duplicate"));
    assert_eq!(s1.insert("a", "3").unwrap(), "duplicate visible=true");
    s1.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_second_write_of_a_row_by_one_command_is_skipped() {
    let db = Db::with(&[("a", "1")]);
    let mut transaction = db.begin(Mode::Ssi, RC);
    transaction.start_statement().unwrap();
    transaction.lock_row(&db.tree, b"a", RowLockMode::NoKeyUpdate, WaitPolicy::Block).unwrap();
    transaction.update(&db.tree, b"a", b"2").unwrap();
    let again = transaction.lock_row(&db.tree, b"a", RowLockMode::NoKeyUpdate, WaitPolicy::Block).unwrap();
    assert!(matches!(again, RowLock::SelfModified { by_this_command: true }));
    assert_eq!(
        text_of(transaction.get(&db.tree, b"a").unwrap()).unwrap(),
        "1",
        "its own writes are not visible"
    );
    transaction.next_command();
    assert_eq!(text_of(transaction.get(&db.tree, b"a").unwrap()).unwrap(), "2");
    let next = transaction.lock_row(&db.tree, b"a", RowLockMode::NoKeyUpdate, WaitPolicy::Block).unwrap();
    assert!(matches!(next, RowLock::Unchanged));
}

#[test]
fn what_a_nested_command_wrote_is_told_from_what_the_command_itself_wrote() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let mut transaction = db.begin(Mode::Ssi, RC);
    transaction.start_statement().unwrap();
    transaction.update(&db.tree, b"b", b"2").unwrap();
    assert!(!transaction.has_run_nested());
    let outer = transaction.start_nested().unwrap();
    for key in [b"a", b"b"] {
        transaction.update(&db.tree, key, b"3").unwrap();
    }
    transaction.resume(outer);
    assert!(transaction.has_run_nested());
    for (key, by_itself) in [(b"a", false), (b"b", true)] {
        let locked = transaction.lock_row(&db.tree, key, RowLockMode::NoKeyUpdate, WaitPolicy::Block);
        let RowLock::SelfModified { by_this_command } = locked.unwrap() else { panic!("it was written") };
        assert_eq!(by_this_command, by_itself);
    }
    transaction.start_statement().unwrap();
    let locked = transaction.lock_row(&db.tree, b"b", RowLockMode::NoKeyUpdate, WaitPolicy::Block);
    assert!(matches!(locked, Ok(RowLock::Unchanged)));
}

/// PostgreSQL follows the chain to its end there.
#[test]
fn over_another_transactions_change_the_last_own_one_counts() {
    let db = Db::with(&[("a", "1")]);
    let mut transaction = db.begin(Mode::Ssi, RC);
    transaction.start_statement().unwrap();
    let mut other = db.begin(Mode::Ssi, RC);
    other.start_statement().unwrap();
    other.update(&db.tree, b"a", b"2").unwrap();
    commit_durably(&db.manager, other).unwrap();
    let lock = |transaction: &mut Transaction| {
        transaction.lock_row(&db.tree, b"a", RowLockMode::NoKeyUpdate, WaitPolicy::Block).unwrap()
    };
    assert!(matches!(lock(&mut transaction), RowLock::Changed(Some(_))));
    transaction.update(&db.tree, b"a", b"3").unwrap();
    assert!(matches!(lock(&mut transaction), RowLock::SelfModified { by_this_command: true }));
    let outer = transaction.start_nested().unwrap();
    transaction.update(&db.tree, b"a", b"4").unwrap();
    transaction.resume(outer);
    assert!(matches!(lock(&mut transaction), RowLock::SelfModified { by_this_command: false }));
}

#[test]
fn advisory_locks_of_a_session_are_counted_and_outlive_transactions() {
    let db = Db::with(&[]);
    let [one, two] = [1, 2].map(SessionHandle::new);
    let key = (0, 42, 1);
    let lock = |session: &std::sync::Arc<SessionHandle>, scope| {
        let mut transaction = db.manager.begin(harness_options(session));
        let taken = transaction.lock_advisory(key, false, scope, WaitPolicy::NoWait).unwrap();
        transaction.commit().unwrap();
        taken
    };
    assert!(lock(&one, AdvisoryScope::Session));
    assert!(lock(&one, AdvisoryScope::Session));
    assert!(lock(&one, AdvisoryScope::Transaction), "a session does not exclude itself");
    assert!(!lock(&two, AdvisoryScope::Transaction));
    assert!(db.manager.advisory_unlock(&one, key, false));
    assert!(!lock(&two, AdvisoryScope::Transaction), "taken twice, released once");
    assert!(db.manager.advisory_unlock(&one, key, false));
    assert!(!db.manager.advisory_unlock(&one, key, false));
    assert!(lock(&two, AdvisoryScope::Session));
    assert_eq!(db.manager.locks().iter().filter(|l| l.kind == "advisory").count(), 1);
    db.manager.advisory_unlock_all(&two);
    assert!(lock(&one, AdvisoryScope::Transaction));
    db.check_quiescent();
}

fn harness_options(session: &std::sync::Arc<SessionHandle>) -> TransactionOptions {
    options(session, Mode::Ssi, RC)
}

#[test]
fn pg_locks_shows_holders_waiters_ranges_and_sireads() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let ssi = db.session(1, Mode::Ssi, Isolation::Serializable);
    let two_phase = db.session(2, Mode::TwoPhase, Isolation::Serializable);
    let waiter = db.session(3, Mode::Ssi, RC);
    ssi.get("a").unwrap();
    ssi.run(step_relation(5, RelationLockMode::RowExclusive, WaitPolicy::Block)).unwrap();
    two_phase.scan().unwrap();
    waiter.blocks(step_update("b", "2"));
    let shown: Vec<String> = db
        .manager
        .locks()
        .iter()
        .map(|l| format!("{} {} {} {}", l.pid, l.kind, l.mode, if l.granted { "granted" } else { "waits" }))
        .collect();
    for expected in [
        "1 tuple SIReadLock granted",
        "1 relation RowExclusiveLock granted",
        "2 keyrange ShareLock granted",
        "3 keyrange RowExclusiveLock waits",
        "3 transactionid ExclusiveLock granted",
    ] {
        assert!(shown.iter().any(|line| line == expected), "{expected} not in {shown:#?}");
    }
    two_phase.commit().unwrap();
    waiter.outcome().unwrap();
    waiter.commit().unwrap();
    ssi.commit().unwrap();
    db.check_quiescent();
}

/// Reads up to `rows` rows from the start, as a LIMIT would, and means to write them if `updates`.
fn step_read_some(rows: usize, updates: bool) -> impl FnOnce(&mut Worker) -> Outcome + Send {
    move |worker| {
        worker.statement(|transaction, tree| {
            if updates {
                transaction.intend_to_lock(tree, RowLockMode::NoKeyUpdate);
            }
            let mut scan = transaction.scan(tree, all(), serin_storage::Direction::Forward)?;
            let mut read = Vec::new();
            scan.next_batch(transaction, rows, &mut |key, _| {
                read.push(text(key));
                true
            })?;
            Ok(read.join(" "))
        })
    }
}

#[test]
fn a_scan_in_two_phase_locking_locks_what_it_has_read_and_no_more() {
    let db = Db::with(&[("a", "1"), ("c", "1"), ("e", "1")]);
    let [reader, writer] = [1, 2].map(|pid| db.session(pid, Mode::TwoPhase, Isolation::Serializable));
    assert_eq!(reader.run(step_read_some(2, false)).unwrap(), "a c");
    // Beyond what was read: both a row and a gap.
    writer.insert("d", "1").unwrap();
    writer.update("e", "2").unwrap();
    writer.blocks(step_insert("b", "1"));
    reader.commit().unwrap();
    assert_eq!(writer.outcome().unwrap(), "done");
    writer.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn scans_that_will_write_what_they_read_do_not_deadlock() {
    let db = Db::with(&[("a", "1"), ("c", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::TwoPhase, Isolation::Serializable));
    assert_eq!(s1.run(step_read_some(9, true)).unwrap(), "a c");
    s2.blocks(step_read_some(9, true));
    // Who only reads need not wait yet.
    assert_eq!(s3.run(step_read_some(9, false)).unwrap(), "a c");
    s3.commit().unwrap();
    s1.update("a", "2").unwrap();
    s1.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "a c");
    s2.update("a", "3").unwrap();
    s2.commit().unwrap();
    assert_eq!(db.rows()[0].1, "3");
    db.check_quiescent();
}

#[test]
fn many_row_locks_become_one_on_the_tree() {
    let names: Vec<String> = (0..100).map(|i| format!("k{i:03}")).collect();
    let rows: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let db = Db::with(&rows);
    let [reader, writer] = [1, 2].map(|pid| db.session(pid, Mode::TwoPhase, Isolation::RepeatableRead));
    reader.handle.set_row_locks_max(10);
    reader.run(step_read_some(100, false)).unwrap();
    assert!(db.manager.locks.explicit_count() < 20, "{}", db.manager.locks.explicit_count());
    writer.blocks(step_update("k050", "2"));
    reader.commit().unwrap();
    assert_eq!(writer.outcome().unwrap(), "1");
    writer.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn point_reads_become_ranges_and_then_the_tree() {
    let names: Vec<String> = (0..200).map(|i| format!("k{i:03}")).collect();
    let rows: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let db = Db::with(&rows);
    let [reader, writer, other] =
        [1, 2, 3].map(|pid| db.session(pid, Mode::TwoPhase, Isolation::Serializable));
    reader.handle.set_row_locks_max(10);
    for name in &names[50..65] {
        reader.get(name).unwrap();
    }
    assert!(db.manager.locks.explicit_count() < 20, "{}", db.manager.locks.explicit_count());
    // Between the least and the greatest key of the first ten nobody may write, read or not; elsewhere one may.
    other.update("k195", "2").unwrap();
    other.commit().unwrap();
    writer.blocks(step_insert("k0505", "2"));
    for name in &names[100..150] {
        reader.get(name).unwrap();
    }
    other.blocks(step_update("k196", "2"));
    reader.commit().unwrap();
    assert_eq!(writer.outcome().unwrap(), "done");
    assert_eq!(other.outcome().unwrap(), "1");
    writer.commit().unwrap();
    other.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn many_ranges_become_one() {
    let names: Vec<String> = (0..1000).map(|i| format!("k{i:03}")).collect();
    let rows: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let db = Db::with(&rows);
    let [reader, writer] = [1, 2].map(|pid| db.session(pid, Mode::TwoPhase, Isolation::Serializable));
    let pairs = names.clone();
    reader
        .run(move |worker| {
            worker.statement(|transaction, tree| {
                for pair in pairs.chunks(2) {
                    let bound = |name: &str| Bound::Included(key(name));
                    scan(transaction, tree, KeyRange { start: bound(&pair[0]), end: bound(&pair[1]) })?;
                }
                Ok(String::new())
            })
        })
        .unwrap();
    assert!(db.manager.locks.explicit_count() < 300, "{}", db.manager.locks.explicit_count());
    writer.blocks(step_update("k777", "2"));
    reader.commit().unwrap();
    assert_eq!(writer.outcome().unwrap(), "1");
    writer.commit().unwrap();
    db.check_quiescent();
}

/// Readers that overlap each other must not keep a writer out for ever.
#[test]
fn a_range_waits_behind_a_writer_that_waits_for_ranges() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let [first, writer, second] =
        [1, 2, 3].map(|pid| db.session(pid, Mode::TwoPhase, Isolation::Serializable));
    assert_eq!(first.scan().unwrap(), "a=1 b=1");
    writer.blocks(step_update("a", "2"));
    second.blocks(step_scan());
    // The one that is waited for goes on.
    assert_eq!(first.scan().unwrap(), "a=1 b=1");
    first.commit().unwrap();
    assert_eq!(writer.outcome().unwrap(), "1");
    writer.commit().unwrap();
    assert_eq!(second.outcome().unwrap(), "a=2 b=1");
    second.commit().unwrap();
    db.check_quiescent();
}

/// The first reader waits for the second one's row, the writer for the first one's range, and the second reader, which came later, would
/// have to wait for the writer. No lock excludes it: so it goes on.
#[test]
fn waiting_behind_a_writer_is_no_deadlock() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let [first, writer, second] =
        [1, 2, 3].map(|pid| db.session(pid, Mode::TwoPhase, Isolation::Serializable));
    let only_a = |worker: &mut Worker| {
        worker.statement(|transaction, tree| {
            let range = KeyRange { start: Bound::Included(key("a")), end: Bound::Excluded(key("b")) };
            let rows = scan(transaction, tree, range)?;
            Ok(rows.into_iter().map(|(key, value)| format!("{key}={value}")).collect())
        })
    };
    assert_eq!(first.run(only_a).unwrap(), "a=1");
    second.update("b", "2").unwrap();
    writer.blocks(step_update("a", "2"));
    first.blocks(step_get("b"));
    assert_eq!(second.run(only_a).unwrap(), "a=1");
    second.commit().unwrap();
    assert_eq!(first.outcome().unwrap(), "2");
    first.commit().unwrap();
    assert_eq!(writer.outcome().unwrap(), "1");
    writer.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn what_nobody_is_concurrent_with_is_forgotten_when_somebody_looks() {
    let db = Db::with(&[("a", "1")]);
    let s1 = db.session(1, Mode::Ssi, Isolation::Serializable);
    s1.get("a").unwrap();
    s1.update("a", "2").unwrap();
    s1.commit().unwrap();
    assert!(db.manager.locks().is_empty(), "{:?}", db.manager.locks());
    assert_eq!(db.manager.ssi.node_count(), 0);
}
