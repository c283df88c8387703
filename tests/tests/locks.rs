//! Two hundred clients on a few hot rows, in each mode and in all at once, beside readers that stay for long, with backends terminated and
//! clients cut off at random: at the end nobody waits, nothing is locked, memory is back, and what was committed adds up.
//!
//! `SERIN_ROUNDS=500 cargo test -p serin-tests --test locks` goes on for minutes.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_tests::{TestServer, memory_bytes};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: u64 = 200;
const ACCOUNTS: i32 = 10;
/// Sessions that look at everything, in one transaction for many looks.
const READERS: u64 = 4;
/// What of the server's memory after one storm may be more after some others: caches, the allocator's arenas.
const MEMORY_SLACK: u64 = 64 << 20;

/// The rounds of a client.
fn rounds(default: u64) -> u64 {
    std::env::var("SERIN_ROUNDS").map_or(default, |rounds| rounds.parse().expect("a number"))
}

/// Moves an amount between two accounts, or only looks; anything may fail.
fn transfer(client: &mut postgres::Client, rng: &mut StdRng) -> Result<(), postgres::Error> {
    let level = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"][rng.random_range(0..3)];
    let (mut from, mut to) = (rng.random_range(0..ACCOUNTS), rng.random_range(0..ACCOUNTS));
    if rng.random_bool(0.9) {
        // With ten rows and two hundred clients nearly every other order is a deadlock.
        (from, to) = (from.min(to), from.max(to));
    }
    client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level}"))?;
    match rng.random_range(0..16) {
        0 => client.batch_execute("SELECT sum(balance) FROM account")?,
        1..5 => client.batch_execute(&format!("SELECT pg_advisory_xact_lock_shared({from})"))?,
        5..10 => client.batch_execute(&format!("SELECT 1 FROM account WHERE id = {from} FOR UPDATE"))?,
        _ => client.batch_execute("SAVEPOINT a")?,
    }
    client.batch_execute(&format!("UPDATE account SET balance = balance - 1 WHERE id = {from}"))?;
    client.batch_execute(&format!("UPDATE account SET balance = balance + 1 WHERE id = {to}"))?;
    client.batch_execute(if rng.random_bool(0.9) { "COMMIT" } else { "ROLLBACK" })
}

fn connect(server: &TestServer, modes: &[&str], rng: &mut StdRng) -> postgres::Client {
    let mode = modes[rng.random_range(0..modes.len())];
    server
        .try_connect(&format!("options='-c concurrency_mode={mode} -c serial_idle_timeout=500'"))
        .expect("a connection")
}

/// One transaction that looks again and again; where it is ended, or refused what it has read, it begins anew.
fn read_for_long(server: &TestServer, modes: &[&str], over: &AtomicBool, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut client = connect(server, modes, &mut rng);
    let mut look = |client: &mut postgres::Client| {
        client.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY")?;
        let mut seen = None;
        while !over.load(Ordering::Relaxed) {
            let sum: i64 = client.query_one("SELECT sum(balance) FROM account", &[])?.get(0);
            assert_eq!(*seen.get_or_insert(sum), sum, "a serializable transaction sees one state");
            if rng.random_bool(0.02) {
                break;
            }
        }
        client.batch_execute("COMMIT")
    };
    while !over.load(Ordering::Relaxed) {
        if look(&mut client).is_err() {
            match client.is_closed() {
                true => client = connect(server, modes, &mut StdRng::seed_from_u64(seed)),
                false => _ = client.batch_execute("ROLLBACK"),
            }
        }
    }
}

/// Everybody at once. Returns how much was committed.
fn storm(server: &TestServer, modes: &[&str], rounds: u64) -> u64 {
    let (committed, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let failures = Mutex::new(BTreeMap::<String, u64>::new());
    std::thread::scope(|scope| {
        let (committed, over, failures) = (&committed, &over, &failures);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(number);
                    let mut client = connect(server, modes, &mut rng);
                    for _ in 0..rounds {
                        match transfer(&mut client, &mut rng) {
                            Ok(()) => _ = committed.fetch_add(1, Ordering::Relaxed),
                            Err(error) => {
                                let code = error.code().map_or("closed", |code| code.code()).to_owned();
                                *failures.lock().expect("nobody panics").entry(code).or_default() += 1;
                                match client.is_closed() {
                                    true => client = connect(server, modes, &mut rng),
                                    false => _ = client.batch_execute("ROLLBACK"),
                                }
                            }
                        }
                        if client.is_closed() || rng.random_bool(0.05) {
                            // Cut off in the middle of a transaction.
                            _ = client.batch_execute(
                                "BEGIN; UPDATE account SET balance = balance + 1000 WHERE id = 0",
                            );
                            client = connect(server, modes, &mut rng);
                        }
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|number| scope.spawn(move || read_for_long(server, modes, over, number)))
            .collect();
        let killer = scope.spawn(move || {
            let mut rng = StdRng::seed_from_u64(0);
            let mut client = server.connect();
            while !over.load(Ordering::Relaxed) {
                let kill = ["pg_terminate_backend", "pg_cancel_backend"][rng.random_range(0..2)];
                let victim = format!(
                    "SELECT {kill}(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state <> 'idle' \
                     ORDER BY random() LIMIT 1"
                );
                client.batch_execute(&victim).expect("the killer lives");
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
        over.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().expect("a reader does not panic"));
        killer.join().expect("the killer does not panic");
    });
    let committed = committed.load(Ordering::Relaxed);
    println!("{modes:?}: {committed} committed, failed: {:?}", failures.lock().expect("nobody panics"));
    committed
}

/// After a storm.
fn check_calm(control: &mut postgres::Client) {
    // The server learns of the last closed connections in its own time.
    let started = Instant::now();
    loop {
        let left: i64 = control
            .query_one("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", &[])
            .expect("a count")
            .get(0);
        if left == 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{left} sessions stay");
        std::thread::yield_now();
    }
    let locks =
        control.query("SELECT locktype || ' ' || mode FROM pg_locks WHERE pid <> pg_backend_pid()", &[]);
    let locks: Vec<String> = locks.expect("rows").iter().map(|row| row.get(0)).collect();
    assert!(locks.is_empty(), "left over: {locks:?}");
    let sum: i64 = control.query_one("SELECT sum(balance) FROM account", &[]).expect("a sum").get(0);
    assert_eq!(sum, i64::from(ACCOUNTS) * 100, "transfers keep the sum");
}

fn with_accounts() -> (TestServer, postgres::Client) {
    let server = TestServer::start_with(&["-c", "max_connections=300"]);
    let mut control = server.connect();
    control
        .batch_execute("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)")
        .expect("a table");
    control
        .batch_execute(&format!(
            "INSERT INTO account SELECT i, 100 FROM generate_series(0, {ACCOUNTS} - 1) i"
        ))
        .expect("accounts");
    (server, control)
}

#[test]
fn two_hundred_clients_and_kills_leave_no_lock_behind() {
    let (server, mut control) = with_accounts();
    let mut memory = None;
    for (modes, default) in
        [(&["ssi", "ssi", "2pl", "serial"][..], 6), (&["ssi"], 2), (&["2pl"], 2), (&["serial"], 2)]
    {
        let (started, rounds) = (Instant::now(), rounds(default));
        let committed = storm(&server, modes, rounds);
        println!("{modes:?}: in {:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(120 + 2 * rounds), "someone was stuck");
        assert!(committed > CLIENTS * rounds / 20, "{modes:?}: hardly anything was done");
        check_calm(&mut control);
        let now = memory_bytes(server.pid());
        let first = *memory.get_or_insert(now);
        assert!(now < first + MEMORY_SLACK, "{modes:?}: {first} bytes at first, {now} now");
    }
}

/// Who comes first is served first: while two hundred clients ask for the token again and again, all get on alike.
#[test]
fn the_serial_token_goes_round() {
    let (server, _control) = with_accounts();
    let over = AtomicBool::new(false);
    // All are connected before the first one starts; a second later they are asked how far they have come.
    let ready = std::sync::Barrier::new(CLIENTS as usize + 1);
    let done: Vec<AtomicU64> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for (number, done) in done.iter().enumerate() {
            let (server, over, ready) = (&server, &over, &ready);
            scope.spawn(move || {
                let mut client = connect(server, &["serial"], &mut StdRng::seed_from_u64(number as u64));
                ready.wait();
                while !over.load(Ordering::Relaxed) {
                    let account = number as i32 % ACCOUNTS;
                    let update = format!("UPDATE account SET balance = balance + 1 WHERE id = {account}");
                    client.batch_execute(&format!("BEGIN; {update}; COMMIT")).expect("it gets the token");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        ready.wait();
        let total = || done.iter().map(|done| done.load(Ordering::Relaxed)).sum::<u64>();
        while total() < CLIENTS * 20 {
            std::thread::sleep(Duration::from_millis(5));
        }
        over.store(true, Ordering::Relaxed);
    });
    let counts: Vec<u64> = done.iter().map(|done| done.load(Ordering::Relaxed)).collect();
    let (least, most) = (counts.iter().min().expect("clients"), counts.iter().max().expect("clients"));
    println!("between {least} and {most} transactions each");
    assert!(*least * 2 >= *most, "one client ran {least} transactions while another ran {most}");
}
