//! EXCLUDE constraints under many writers at once: whatever they do, in every mode and with modes mixed, no two rows that are
//! committed conflict.

use postgres::Client;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_tests::TestServer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const MODES: [&str; 3] = ["ssi", "2pl", "serial"];
const LEVELS: [&str; 3] = ["read committed", "repeatable read", "serializable"];
const WRITERS: u64 = 8;
const ROOMS: i32 = 2;
const HOURS: i32 = 120;

/// What may come of a statement here.
const EXPECTED: [&str; 4] = ["23P01", "40001", "40P01", "23505"];

fn statement(random: &mut StdRng, writer: u64, number: u64) -> String {
    let id = writer * 1_000_000 + number;
    let room = random.random_range(0..ROOMS);
    let from = random.random_range(0..HOURS);
    // Mostly short ones beside a few long ones.
    let length = if random.random_range(0..10) == 0 { 40 } else { random.random_range(1..6) };
    let during = format!("int4range({from}, {})", from + length);
    let place = random.random_range(0..HOURS);
    match random.random_range(0..10) {
        0..4 => format!("INSERT INTO booking VALUES ({id}, {room}, {during})"),
        4..6 => format!("INSERT INTO booking VALUES ({id}, {room}, {during}) ON CONFLICT DO NOTHING"),
        6 => format!(
            "UPDATE booking SET during = int4range(lower(during), upper(during) + 1)
             WHERE id = (SELECT id FROM booking WHERE during @> {place} LIMIT 1)"
        ),
        7 => format!("UPDATE booking SET room = 1 - room WHERE during @> {place}"),
        _ => format!("DELETE FROM booking WHERE room = {room} AND during @> {place}"),
    }
}

/// Answers how many transactions committed, and how many failed by which state.
fn write(mut client: Client, writer: u64, until: Instant) -> (u64, BTreeMap<String, u64>) {
    let mut random = StdRng::seed_from_u64(writer);
    let (mut committed, mut failed, mut number) = (0, BTreeMap::new(), 0);
    while Instant::now() < until {
        let statements = random.random_range(1..4);
        let mut outcome = client.batch_execute("BEGIN");
        for _ in 0..statements {
            number += 1;
            outcome = outcome.and_then(|()| client.batch_execute(&statement(&mut random, writer, number)));
        }
        let outcome = outcome.and_then(|()| client.batch_execute("COMMIT"));
        match outcome {
            Ok(()) => committed += 1,
            Err(error) => {
                let state = error.code().expect("the server said so").code().to_owned();
                assert!(EXPECTED.contains(&&state[..]), "{error}: {:?}", error.as_db_error());
                *failed.entry(state).or_default() += 1;
                client.batch_execute("ROLLBACK").unwrap();
            }
        }
    }
    (committed, failed)
}

fn run(constraint: &str, options: impl Fn(u64) -> (&'static str, &'static str)) {
    let server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(&format!(
            "CREATE EXTENSION btree_gist;
             CREATE TABLE booking (id int8 PRIMARY KEY, room int, during int4range, {constraint})"
        ))
        .unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut client = server.connect();
            let (mode, level) = options(writer);
            client
                .batch_execute(&format!(
                    "SET concurrency_mode = '{mode}'; SET default_transaction_isolation = '{level}';
                     SET deadlock_timeout = '10ms'"
                ))
                .unwrap();
            std::thread::spawn(move || write(client, writer, until))
        })
        .collect();
    // Whoever looks meanwhile finds no conflict either.
    let overlapping = "SELECT count(*) FROM booking a JOIN booking b
        ON a.id < b.id AND a.room = b.room AND a.during && b.during";
    while Instant::now() < until {
        let found: i64 = client.query_one(overlapping, &[]).unwrap().get(0);
        assert_eq!(found, 0, "{constraint}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let done: Vec<_> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
    let committed: u64 = done.iter().map(|(committed, _)| committed).sum();
    println!("{committed} committed; {:?}", done.iter().map(|(_, failed)| failed).collect::<Vec<_>>());
    assert!(committed > 20, "{done:?}");
    let found: i64 = client.query_one(overlapping, &[]).unwrap().get(0);
    assert_eq!(found, 0);
    // The constraint can be made again over what is there: the check of all rows agrees.
    client.batch_execute("ALTER TABLE booking ADD EXCLUDE USING gist (room WITH =, during WITH &&)").unwrap();
}

const AT_ONCE: &str = "EXCLUDE USING gist (room WITH =, during WITH &&)";

#[test]
fn conflicting_rows_never_both_commit_in_one_mode() {
    for mode in MODES {
        for level in LEVELS {
            run(AT_ONCE, |_| (mode, level));
        }
    }
}

#[test]
fn conflicting_rows_never_both_commit_in_mixed_modes() {
    run(AT_ONCE, |writer| (MODES[writer as usize % 3], LEVELS[writer as usize / 3]));
}

/// A deferred check waits at COMMIT; ON CONFLICT is not for such constraints.
#[test]
fn deferred_constraints_hold_at_commit() {
    let server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE shift (id int8 PRIMARY KEY, during int4range,
               EXCLUDE USING gist (during WITH &&) DEFERRABLE INITIALLY DEFERRED)",
        )
        .unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut client = server.connect();
            let mode = MODES[writer as usize % 3];
            client
                .batch_execute(&format!("SET concurrency_mode = '{mode}'; SET deadlock_timeout = '10ms'"))
                .unwrap();
            std::thread::spawn(move || {
                let mut random = StdRng::seed_from_u64(writer);
                let (mut committed, mut number) = (0, 0);
                while Instant::now() < until {
                    let mut sql = String::from("BEGIN;");
                    for _ in 0..random.random_range(1..3) {
                        number += 1;
                        let from = random.random_range(0..HOURS);
                        sql += &format!(
                            "INSERT INTO shift VALUES ({}, int4range({from}, {}));",
                            writer * 1_000_000 + number,
                            from + random.random_range(1..8)
                        );
                    }
                    if random.random_range(0..3) == 0 {
                        let place = random.random_range(0..HOURS);
                        sql += &format!("DELETE FROM shift WHERE during @> {place};");
                    }
                    match client.batch_execute(&(sql + "COMMIT")) {
                        Ok(()) => committed += 1,
                        Err(error) => {
                            let state = error.code().expect("the server said so").code().to_owned();
                            assert!(EXPECTED.contains(&&state[..]), "{error}");
                            client.batch_execute("ROLLBACK").unwrap();
                        }
                    }
                }
                committed
            })
        })
        .collect();
    let committed: u64 = writers.into_iter().map(|writer| writer.join().expect("a writer")).sum();
    assert!(committed > 20, "{committed}");
    let overlapping = "SELECT count(*) FROM shift a JOIN shift b ON a.id < b.id AND a.during && b.during";
    let found: i64 = client.query_one(overlapping, &[]).unwrap().get(0);
    assert_eq!(found, 0);
}
