//! What the layer itself costs, printed (`--nocapture`); the assertions are about counts, never about time.

use super::harness::*;
use crate::*;
use std::time::Instant;

const ROUNDS: u32 = 20_000;

#[test]
fn cost_of_a_point_read_and_of_an_update() {
    let db = Db::with(&[("a", "1"), ("b", "1")]);
    let session = SessionHandle::new(1);
    for (mode, isolation) in [
        (Mode::Ssi, Isolation::ReadCommitted),
        (Mode::Ssi, Isolation::Serializable),
        (Mode::TwoPhase, Isolation::Serializable),
        (Mode::Serial, Isolation::Serializable),
    ] {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            let mut transaction = db.manager.begin(options(&session, mode, isolation));
            transaction.start_statement().unwrap();
            assert!(transaction.get(&db.tree, b"a").unwrap().is_some());
            transaction.end_statement();
            transaction.commit().unwrap();
        }
        let read = started.elapsed() / ROUNDS;
        let started = Instant::now();
        for _ in 0..ROUNDS {
            let mut transaction = db.manager.begin(options(&session, mode, isolation));
            transaction.start_statement().unwrap();
            transaction.lock_row(&db.tree, b"b", RowLockMode::NoKeyUpdate, WaitPolicy::Block).unwrap();
            transaction.update(&db.tree, b"b", b"2").unwrap();
            transaction.end_statement();
            let committed = transaction.commit().unwrap();
            db.manager.store().publish_early(committed.durable_at.unwrap());
        }
        println!("{mode:?} {isolation:?}: read {read:?}, update {:?}", started.elapsed() / ROUNDS);
    }
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let snapshot = db.manager.store().snapshot();
        let view = serin_storage::View { horizon: snapshot.timestamp(), snapshot: &snapshot, own: None };
        assert!(db.tree.get(view, b"a", &mut ()).unwrap().is_some());
    }
    println!("of which storage (snapshot + get): {:?}", started.elapsed() / ROUNDS);
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let mut transaction = db.manager.begin(options(&session, Mode::Ssi, Isolation::ReadCommitted));
        transaction.lock_relation(1, RelationLockMode::AccessShare, WaitPolicy::Block).unwrap();
        transaction.commit().unwrap();
    }
    println!("relation lock: {:?}", started.elapsed() / ROUNDS);
    assert_eq!(db.manager.stats().commits, u64::from(ROUNDS) * 9 + 1);
    db.check_quiescent();
}
