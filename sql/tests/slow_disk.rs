//! Sessions over a disk that takes its time: every read, write and sync comes late, so locks are free long before commits are durable, and
//! folds and reads meet transactions that have gone on meanwhile.

mod common;

use common::{connect, run};
use serin_sql::{Engine, check};
use serin_storage::vfs::RealVfs;
use serin_storage::vfs::slow::{Delays, SlowVfs};
use serin_storage::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn open(dir: &Path, delays: Delays) -> Arc<Engine> {
    let mut options = StoreOptions::new(dir);
    // Folds all the time, and pages that have to be read again.
    options.page_cache_bytes = 256 << 10;
    options.delta_bytes_soft = 64 << 10;
    options.fold_interval_ms = 20;
    let disk = SlowVfs::new(Arc::new(RealVfs), delays, 1);
    Engine::open(Store::open_with(Arc::new(disk), options).unwrap(), &[]).unwrap()
}

const ACCOUNTS: usize = 60;
const TRANSFERS: usize = 25;

/// One transfer, tried until it commits.
fn transfer(session: &mut serin_sql::Session, number: usize) {
    let from = number * 7 % ACCOUNTS;
    let to = (number * 11 + 1) % ACCOUNTS;
    let text = format!(
        "begin isolation level serializable; update account set balance = balance - 1 where id = {from};
         update account set balance = balance + 1 where id = {to};
         insert into history values ({number}, repeat('x', 500)); commit"
    );
    while let Err(error) = run(session, &text) {
        assert!(matches!(error.state().as_str(), "40001" | "40P01"), "{error}");
        run(session, "rollback").unwrap();
    }
}

#[test]
fn nothing_is_lost_or_half_there() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ms = Duration::from_millis;
    let engine = open(&data, Delays { read: ms(1), write: ms(1), sync: ms(12) });
    let mut setup = connect(&engine);
    run(
        &mut setup,
        &format!(
            "create table account (id int primary key, balance int, pad text); create index on account (balance);
             insert into account select i, 0, repeat('y', 300) from generate_series(0, {ACCOUNTS} - 1) i;
             create table history (number int primary key, pad text)"
        ),
    )
    .unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut session = connect(&engine);
            while !done.load(Ordering::Relaxed) {
                let total = run(&mut session, "select sum(balance), count(*) from account").unwrap().1;
                assert_eq!(total, [format!("0|{ACCOUNTS}")]);
            }
        });
        let writers: Vec<_> = ["ssi", "2pl", "serial"]
            .into_iter()
            .cycle()
            .take(6)
            .enumerate()
            .map(|(writer, mode)| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut session = connect(engine);
                    run(&mut session, &format!("set concurrency_mode = '{mode}'")).unwrap();
                    (0..TRANSFERS).for_each(|i| transfer(&mut session, writer * TRANSFERS + i));
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    drop(setup);
    // As after a kill: nothing is told to end in order.
    drop(engine);
    let engine = open(&data, Delays::default());
    let mut session = connect(&engine);
    let rows = run(&mut session, "select count(*), count(distinct number) from history").unwrap().1;
    assert_eq!(rows, [format!("{0}|{0}", 6 * TRANSFERS)]);
    assert_eq!(run(&mut session, "select sum(balance) from account").unwrap().1, ["0"]);
    drop(session);
    engine.store().shutdown().unwrap();
    drop(engine);
    assert_eq!(check(Store::open(StoreOptions::new(&data)).unwrap()).unwrap().problems, Vec::<String>::new());
}

/// A statement by itself that fails is run again, with a snapshot that has the commit which it failed against, however long that takes to be
/// durable; its attempts are not used up before.
#[test]
fn a_retry_waits_for_what_it_failed_against() {
    let dir = tempfile::tempdir().unwrap();
    let engine =
        open(&dir.path().join("data"), Delays { sync: Duration::from_millis(80), ..Delays::default() });
    let mut a = connect(&engine);
    run(
        &mut a,
        "create table p (id int, v int) partition by range (id);
         create table p1 partition of p for values from (0) to (10);
         create table p2 partition of p for values from (10) to (20);
         insert into p values (1, 10); create table t (id int primary key, v int); insert into t values (1, 10)",
    )
    .unwrap();
    let mut outcome_after = |first: &str, second: &'static str| {
        run(&mut a, &format!("begin; {first}")).unwrap();
        let mut b = connect(&engine);
        let blockers = format!("select pg_blocking_pids({})", b.pid());
        let waiting = std::thread::spawn(move || run(&mut b, second).map(|(tag, _)| tag));
        let mut watcher = connect(&engine);
        while run(&mut watcher, &blockers).unwrap().1 == ["{}"] {
            assert!(!waiting.is_finished(), "{second}: did not wait");
            std::thread::yield_now();
        }
        run(&mut a, "commit").unwrap();
        waiting.join().unwrap().unwrap_or_else(|error| error.to_string())
    };
    assert_eq!(
        outcome_after("update p set id = 12 where id = 1", "update p set v = 0 where id = 1"),
        "UPDATE 0"
    );
    // In every other way in which a row can be lost to somebody else.
    assert_eq!(outcome_after("update t set v = 11", "update t set v = v + 1 where id = 1"), "UPDATE 1");
    assert_eq!(
        outcome_after("delete from t", "insert into t values (1, 0) on conflict do nothing"),
        "INSERT 0 1"
    );
}
