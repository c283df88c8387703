//! Sessions that insert, move and delete referenced and referencing rows at once, in every mode and level: whatever fails may fail, but at the
//! end no row may reference another that is not there, and no key of a deferrable unique constraint may be there twice.

mod common;

use common::{connect, engine, run};
use serin_sql::{Engine, Error};
use std::sync::Arc;

/// xorshift: the same histories for the same seed, as far as threads allow.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

const SESSIONS: u64 = 8;
const TRANSACTIONS: u64 = 250;
const KEYS: u64 = 5;

fn statement(random: &mut Random) -> String {
    let (key, other) = (random.below(KEYS), random.below(KEYS));
    match random.below(11) {
        0 | 1 => format!("insert into parent (id, code) values ({key}, {other}) on conflict do nothing"),
        2 => format!("delete from parent where id = {key}"),
        3 => format!("update parent set id = {other} where id = {key}"),
        4 => format!("update parent set n = n + 1 where id = {key}"),
        5 | 6 => format!("insert into child (p) values ({key})"),
        7 => format!("insert into by_code (c) values ({key})"),
        8 => format!("update child set p = {other} where p = {key}"),
        9 => format!("insert into slot values ({key})"),
        _ => format!("update slot set n = {other} where n = {key}"),
    }
}

/// What a transaction may fail with.
fn is_expected(error: &Error) -> bool {
    matches!(error.state().as_str(), "23503" | "23505" | "40001" | "40P01" | "25P02")
}

/// Answers how many transactions committed.
fn history(engine: &Arc<Engine>, seed: u64, levels: &[&str]) -> u64 {
    let mut committed = 0;
    let mut random = Random(seed);
    let mut session = connect(engine);
    for _ in 0..TRANSACTIONS {
        let level = levels[random.below(levels.len() as u64) as usize];
        let mut sql = format!("begin isolation level {level};");
        if random.below(3) == 0 {
            sql.push_str("set constraints all deferred;");
        }
        let mut outcome = run(&mut session, &sql);
        for _ in 0..=random.below(3) {
            if outcome.is_ok() {
                outcome = run(&mut session, &statement(&mut random));
                // Let others in between: there are more sessions than processors.
                std::thread::yield_now();
            }
        }
        let outcome = match outcome {
            Ok(_) => run(&mut session, "commit"),
            failed => failed,
        };
        match outcome {
            Ok(_) => committed += 1,
            Err(error) => {
                assert!(is_expected(&error), "{} {}", error.state().as_str(), error.message());
                run(&mut session, "rollback").unwrap();
            }
        }
    }
    committed
}

fn check(mode: &str, levels: &[&str], indexed: bool) {
    let (_dir, engine) = engine(&[("concurrency_mode".into(), mode.into())]);
    let mut session = connect(&engine);
    let actions = "on delete cascade on update cascade";
    run(
        &mut session,
        &format!(
            "create table parent (id int primary key, code int unique, n int default 0);
             create table child (p int references parent {actions});
             create table by_code (c bigint references parent (code) on delete set null on update no action
                                     deferrable initially deferred);
             create table slot (n int unique deferrable);"
        ),
    )
    .unwrap();
    if indexed {
        run(&mut session, "create index on child (p); create index on by_code (c)").unwrap();
    }
    let committed: u64 = std::thread::scope(|scope| {
        let engine = &engine;
        let seed = |at: u64| 0x9E37_79B9 + at * 7919 + u64::from(indexed);
        let start = |at| scope.spawn(move || history(engine, seed(at), levels));
        let threads: Vec<_> = (0..SESSIONS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(committed > SESSIONS * TRANSACTIONS / 10, "{mode} {levels:?}: only {committed} committed");
    for query in [
        "select p from child where p is not null and not exists (select from parent where id = p)",
        "select c from by_code where c is not null and not exists (select from parent where code = c)",
        "select n from slot group by n having count(*) > 1",
    ] {
        assert_eq!(run(&mut session, query).unwrap().1, Vec::<String>::new(), "{mode} {levels:?}: {query}");
    }
}

const ALL: [&str; 3] = ["read committed", "repeatable read", "serializable"];

#[test]
fn nothing_is_orphaned_under_snapshots() {
    for level in ALL {
        check("ssi", &[level], true);
    }
    check("ssi", &ALL, false);
}

#[test]
fn nothing_is_orphaned_under_two_phase_locking() {
    for level in ALL {
        check("2pl", &[level], true);
    }
    check("2pl", &ALL, false);
}

#[test]
fn nothing_is_orphaned_under_serial_execution() {
    check("serial", &ALL, true);
    check("serial", &ALL, false);
}
