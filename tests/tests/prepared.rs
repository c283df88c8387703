//! Two-phase commit through the server: a prepared transaction outlives SIGKILL, keeps its locks, and ends as it is told to, in each mode.

use postgres::Client;
use postgres::error::SqlState;
use serin_tests::TestServer;

const MODES: [&str; 3] = ["ssi", "2pl", "serial"];

fn sum(client: &mut Client, table: &str) -> i64 {
    let query = format!("SELECT coalesce(sum(v), 0)::int8 FROM {table}");
    client.query_one(&query, &[]).expect("a sum").get(0)
}

fn waits(client: &mut Client, statement: &str) -> bool {
    match client.batch_execute(statement) {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE), "{statement}: {error}");
            true
        }
    }
}

#[test]
fn a_prepared_transaction_outlives_kill_9_in_every_mode() {
    for mode in MODES {
        for commits in [true, false] {
            outlives(mode, commits);
        }
    }
}

fn outlives(mode: &str, commits: bool) {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 10) i;
             CREATE TABLE heap (v int); INSERT INTO heap VALUES (1)",
        )
        .expect("tables");
    // An update, a delete, inserts with keys of their own and with hidden ones, a new table with an index, a dropped savepoint.
    client
        .batch_execute(&format!(
            "SET concurrency_mode = '{mode}'; BEGIN ISOLATION LEVEL SERIALIZABLE;
             SELECT sum(v) FROM t; UPDATE t SET v = 100 WHERE id = 1; DELETE FROM t WHERE id = 2;
             INSERT INTO t VALUES (11, 1000); INSERT INTO heap VALUES (2);
             SAVEPOINT s; INSERT INTO t VALUES (12, 5000); ROLLBACK TO s;
             CREATE TABLE made (v int); INSERT INTO made SELECT generate_series(1, 1000); CREATE INDEX ON made (v);
             PREPARE TRANSACTION 'outlives'"
        ))
        .expect("prepared");
    // The second kill finds the record in the base: a checkpoint has folded it.
    for checkpoint in [false, true] {
        if checkpoint {
            server.connect().batch_execute("CHECKPOINT").expect("a checkpoint");
        }
        server.kill_9();
        server.check().unwrap_or_else(|error| panic!("{mode}: {error}"));
        server.restart();
        let mut other = server.connect();
        assert_eq!(sum(&mut other, "t"), 55, "{mode}: nothing of it shows");
        let gid: String =
            other.query_one("SELECT gid FROM pg_prepared_xacts", &[]).expect("one is prepared").get(0);
        assert_eq!(gid, "outlives");
        other.batch_execute("SET lock_timeout = '50ms'").expect("a timeout");
        for statement in [
            "UPDATE t SET v = 0 WHERE id = 1",
            "INSERT INTO t VALUES (11, 0)",
            "SELECT * FROM t WHERE id = 2 FOR UPDATE",
            "CREATE TABLE made (v int)",
            "LOCK TABLE t",
        ] {
            let statement = format!("BEGIN; {statement}; ROLLBACK");
            assert!(waits(&mut other, &statement), "{mode}: {statement} went by a prepared transaction");
            other.batch_execute("ROLLBACK").expect("a rollback");
        }
        if mode != "serial" {
            // Hidden row ids go on above the prepared one's.
            other.batch_execute("INSERT INTO heap VALUES (0)").expect("an insert beside it");
        }
    }
    let mut other = server.connect();
    let (end, of_t, of_heap) =
        if commits { ("COMMIT", 55 - 1 + 100 - 2 + 1000, 3) } else { ("ROLLBACK", 55, 1) };
    other.batch_execute(&format!("{end} PREPARED 'outlives'")).expect("its end");
    // And what ended it is durable.
    server.kill_9();
    server.check().unwrap_or_else(|error| panic!("{mode}: {error}"));
    server.restart();
    let mut other = server.connect();
    assert_eq!(sum(&mut other, "t"), of_t, "{mode}");
    assert_eq!(sum(&mut other, "heap"), of_heap, "{mode}");
    let made = other.query("SELECT FROM made WHERE v = 700", &[]);
    assert_eq!(made.map_or(0, |rows| rows.len()), usize::from(commits), "{mode}: its table");
    assert!(other.query("SELECT FROM pg_prepared_xacts", &[]).expect("the view").is_empty());
    other.batch_execute("UPDATE t SET v = 0 WHERE id = 1").expect("its locks are gone");
    assert!(other.query("SELECT FROM pg_locks WHERE pid IS NULL", &[]).expect("the view").is_empty());
    drop(other);
    assert!(server.stop().success());
}

/// Write skew of which one half is prepared before a crash and the other comes after it: what the prepared one had read is remembered.
#[test]
fn after_a_restart_nobody_overwrites_what_a_prepared_transaction_has_read() {
    for mode in MODES {
        let mut server = TestServer::start();
        let setup = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 1)";
        server.connect().batch_execute(setup).expect("a table");
        server
            .connect()
            .batch_execute(&format!(
                "SET concurrency_mode = '{mode}'; BEGIN ISOLATION LEVEL SERIALIZABLE;
                 SELECT v FROM t WHERE id = 2; UPDATE t SET v = 0 WHERE id = 1; PREPARE TRANSACTION 'half'"
            ))
            .expect("prepared");
        server.kill_9();
        server.restart();
        let mut other = server.connect();
        let skew = "SET lock_timeout = '50ms'; BEGIN ISOLATION LEVEL SERIALIZABLE;
                    SELECT v FROM t WHERE id = 1; UPDATE t SET v = 0 WHERE id = 2; COMMIT";
        other.batch_execute(skew).expect_err("the other half of a write skew");
        other.batch_execute("ROLLBACK").expect("a rollback");
        other.batch_execute("COMMIT PREPARED 'half'").expect("the prepared one can't be the victim");
        assert_eq!(sum(&mut other, "t"), 1, "{mode}");
        drop(other);
        assert!(server.stop().success());
    }
}
