//! Savepoints: what they undo, and which locks go with it.

use super::harness::*;
use crate::*;

const RC: Isolation = Isolation::ReadCommitted;

#[test]
fn rollback_to_a_savepoint_undoes_writes_and_releases_their_locks() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.update("a", "2").unwrap();
    s1.savepoint();
    s1.update("b", "2").unwrap();
    s1.insert("c", "2").unwrap();
    // The lock on b is implicit until somebody runs into it.
    s2.blocks(step_update("b", "3"));
    s3.blocks(step_insert("c", "3"));
    s1.rollback_to();
    assert_eq!(s2.outcome().unwrap(), "1");
    assert_eq!(s3.outcome().unwrap(), "done");
    s3.commit().unwrap();
    s3.blocks(step_update("a", "4"));
    s1.savepoint();
    s1.rollback_to();
    assert!(s3.handle.waiting().is_some(), "a was written before the savepoint");
    s1.commit().unwrap();
    s2.commit().unwrap();
    assert_eq!(s3.outcome().unwrap(), "1");
    s3.commit().unwrap();
    assert_eq!(db.rows(), [("a".into(), "4".into()), ("b".into(), "3".into()), ("c".into(), "3".into())]);
    db.check_quiescent();
}

#[test]
fn a_lock_taken_before_the_savepoint_survives_the_write_it_was_for() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2] = [1, 2].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.lock("a", RowLockMode::Update, WaitPolicy::Block).unwrap();
    s1.savepoint();
    s1.update("a", "2").unwrap();
    s1.rollback_to();
    s2.blocks(step_update("a", "3"));
    s1.commit().unwrap();
    s2.outcome().unwrap();
    s2.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_stronger_write_after_a_savepoint_leaves_the_weaker_one_locked() {
    let db = Db::with(&[("a", "1")]);
    let [s1, s2, s3] = [1, 2, 3].map(|pid| db.session(pid, Mode::Ssi, RC));
    s1.update("a", "2").unwrap();
    s1.savepoint();
    s1.delete("a").unwrap();
    s2.blocks(step_lock("a", RowLockMode::Update, WaitPolicy::Block));
    s1.rollback_to();
    assert!(s2.handle.waiting().is_some());
    s1.commit().unwrap();
    assert_eq!(s2.outcome().unwrap(), "changed 2");
    s2.commit().unwrap();
    assert_eq!(s3.get("a").unwrap(), "2");
    s3.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn a_row_lock_is_dropped_once_its_row_is_written() {
    let db = Db::with(&[]);
    let mut transaction = db.begin(Mode::Ssi, RC);
    transaction.start_statement().unwrap();
    let keys: Vec<Vec<u8>> = (0..1000u32).map(|i| i.to_be_bytes().to_vec()).collect();
    for key in &keys {
        transaction.insert(&db.tree, key, b"0").unwrap();
    }
    commit_durably(&db.manager, transaction).unwrap();
    let mut transaction = db.begin(Mode::Ssi, RC);
    transaction.start_statement().unwrap();
    for key in &keys {
        transaction.lock_row(&db.tree, key, RowLockMode::NoKeyUpdate, WaitPolicy::Block).unwrap();
    }
    assert_eq!(db.manager.locks.explicit_count(), keys.len());
    for key in &keys {
        transaction.update(&db.tree, key, b"1").unwrap();
    }
    assert_eq!(db.manager.locks.explicit_count(), 0, "the versions say it all");
    // And yet the rows are locked.
    let mut other = db.begin(Mode::Ssi, RC);
    other.start_statement().unwrap();
    let locked = other.lock_row(&db.tree, &keys[500], RowLockMode::Share, WaitPolicy::SkipLocked).unwrap();
    assert!(matches!(locked, RowLock::Skipped));
    drop((transaction, other));
    db.check_quiescent();
}

#[test]
fn two_phase_keeps_its_read_locks_over_a_rollback_to_a_savepoint() {
    let db = Db::with(&[("a", "1")]);
    let reader = db.session(1, Mode::TwoPhase, Isolation::Serializable);
    let writer = db.session(2, Mode::TwoPhase, Isolation::Serializable);
    reader.savepoint();
    reader.get("a").unwrap();
    reader.update("a", "2").unwrap();
    reader.rollback_to();
    writer.blocks(step_update("a", "3"));
    assert_eq!(reader.get("a").unwrap(), "1");
    reader.commit().unwrap();
    writer.outcome().unwrap();
    writer.commit().unwrap();
    db.check_quiescent();
}

#[test]
fn trees_come_and_go_with_their_savepoint_and_load_in_bulk_within_it() {
    let db = Db::with(&[]);
    let mut transaction = db.begin(Mode::Ssi, RC);
    transaction.start_statement().unwrap();
    let tree = transaction.create_tree().unwrap();
    assert!(transaction.bulk_loader(&db.tree).unwrap().is_none(), "not our tree");
    let savepoint = transaction.savepoint();
    assert!(
        transaction.bulk_loader(&tree).unwrap().is_none(),
        "a rollback to the savepoint could not undo it"
    );
    transaction.release(&savepoint);
    let mut loader = transaction.bulk_loader(&tree).unwrap().expect("created here and empty");
    loader.append(b"k", b"v").unwrap();
    transaction.finish_bulk(loader).unwrap();
    transaction.next_command();
    assert_eq!(text_of(transaction.get(&tree, b"k").unwrap()).unwrap(), "v");
    assert!(transaction.bulk_loader(&tree).unwrap().is_none(), "no longer empty");
    commit_durably(&db.manager, transaction).unwrap();
    let mut reader = db.begin(Mode::Ssi, RC);
    assert_eq!(text_of(reader.get(&tree, b"k").unwrap()).unwrap(), "v");
}
