//! Two hundred clients on a few hot rows in all modes, with backends terminated and clients cut off at random: at the end nobody
//! waits, nothing is locked, and what was committed adds up.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_tests::TestServer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: u64 = 200;
const ACCOUNTS: i32 = 10;
/// The rounds of a client.
const ROUNDS: u64 = 6;

/// Moves an amount between two accounts, or only looks; anything may fail.
fn transfer(client: &mut postgres::Client, rng: &mut StdRng) -> Result<(), postgres::Error> {
    let level = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"][rng.random_range(0..3)];
    let (from, to) = (rng.random_range(0..ACCOUNTS), rng.random_range(0..ACCOUNTS));
    client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}"))?;
    match rng.random_range(0..4) {
        0 => client.batch_execute("SELECT sum(balance) FROM account")?,
        1 => client.batch_execute(&format!("SELECT pg_advisory_xact_lock_shared({from})"))?,
        2 => client.batch_execute(&format!("SELECT 1 FROM account WHERE id = {from} FOR UPDATE"))?,
        _ => client.batch_execute("SAVEPOINT a")?,
    }
    client.batch_execute(&format!("UPDATE account SET balance = balance - 1 WHERE id = {from}"))?;
    client.batch_execute(&format!("UPDATE account SET balance = balance + 1 WHERE id = {to}"))?;
    client.batch_execute(if rng.random_bool(0.9) { "COMMIT" } else { "ROLLBACK" })
}

fn connect(server: &TestServer, rng: &mut StdRng) -> postgres::Client {
    let mode = ["ssi", "ssi", "2pl", "serial"][rng.random_range(0..4)];
    server.try_connect(&format!("options='-c concurrency_mode={mode} -c serial_idle_timeout=500'")).expect("a connection")
}

#[test]
fn two_hundred_clients_and_kills_leave_no_lock_behind() {
    let server = TestServer::start_with(&["-c", "max_connections=300"]);
    let mut control = server.connect();
    control.batch_execute("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)").expect("a table");
    control
        .batch_execute(&format!("INSERT INTO account SELECT i, 100 FROM generate_series(0, {ACCOUNTS} - 1) i"))
        .expect("accounts");
    let (committed, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let (server, committed, over) = (&server, &committed, &over);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(number);
                    let mut client = connect(server, &mut rng);
                    for _ in 0..ROUNDS {
                        match transfer(&mut client, &mut rng) {
                            Ok(()) => _ = committed.fetch_add(1, Ordering::Relaxed),
                            Err(_) if client.is_closed() => client = connect(server, &mut rng),
                            Err(_) => _ = client.batch_execute("ROLLBACK"),
                        }
                        if client.is_closed() || rng.random_bool(0.05) {
                            // Cut off in the middle of a transaction.
                            _ = client.batch_execute("BEGIN; UPDATE account SET balance = balance + 1000 WHERE id = 0");
                            client = connect(server, &mut rng);
                        }
                    }
                })
            })
            .collect();
        let killer = scope.spawn(move || {
            let mut rng = StdRng::seed_from_u64(0);
            let mut client = server.connect();
            while !over.load(Ordering::Relaxed) {
                let kill = ["pg_terminate_backend", "pg_cancel_backend"][rng.random_range(0..2)];
                let victim = format!(
                    "SELECT {kill}(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle' \
                     AND query NOT LIKE '%sum%' ORDER BY random() LIMIT 1"
                );
                client.batch_execute(&victim).expect("the killer lives");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
        over.store(true, Ordering::Relaxed);
        killer.join().expect("the killer does not panic");
    });
    assert!(started.elapsed() < Duration::from_secs(300), "someone was stuck");
    assert!(committed.load(Ordering::Relaxed) > CLIENTS, "hardly anything was done");
    // The server learns of the last closed connections in its own time.
    loop {
        let left: i64 =
            control.query_one("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", &[]).expect("a count").get(0);
        if left == 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(330), "{left} sessions stay");
        std::thread::yield_now();
    }
    let locks = control.query("SELECT locktype || ' ' || mode FROM pg_locks WHERE pid <> pg_backend_pid()", &[]);
    let locks: Vec<String> = locks.expect("rows").iter().map(|row| row.get(0)).collect();
    assert!(locks.is_empty(), "left over: {locks:?}");
    let sum: i64 = control.query_one("SELECT sum(balance) FROM account", &[]).expect("a sum").get(0);
    assert_eq!(sum, i64::from(ACCOUNTS) * 100, "transfers keep the sum");
}
