//! Kills the real server in the middle of TPC-B, again and again, and looks at what is there afterwards.
//!
//! Sixteen clients run pgbench's transaction, each marking its history rows with a number of its own that counts up. Right
//! after a COMMIT is acknowledged, the client notes the number. When they run well the server is killed with
//! SIGKILL, checked offline, and started again. Then
//!
//! - every noted transaction must be in the history (nothing acknowledged is lost);
//! - of those not noted, each client may have at most its last one there, and no number twice (a commit whose answer was
//!   under way may have happened, once);
//! - the sums of accounts, branches, tellers and history must agree (no transaction is half there);
//! - `serin check` must find nothing.
//!
//! Three rounds by default, in each mode one; `SERIN_CRASH_ROUNDS` runs more.

use postgres::{Client, NoTls};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serin_tests::TestServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: i32 = 16;
const BRANCHES: i32 = 4;
const TELLERS: i32 = 10 * BRANCHES;
const ACCOUNTS: i32 = 1000 * BRANCHES;
/// Transactions acknowledged in a round before the kill, at least.
const ENOUGH: u64 = 300;

/// What the clients know.
struct Shared {
    connection: String,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let rounds = std::env::var("SERIN_CRASH_ROUNDS").map_or(3, |rounds| rounds.parse().expect("a number"));
    let modes = ["ssi", "2pl", "serial"];
    // Small budgets, so that folds and new log segments are under way when the kill comes.
    let mut server =
        TestServer::start_with(&["--delta-memory", "8MB", "--wal-segment", "1MB", "--page-cache", "4MB"]);
    load(&mut server.connect());

    // The last number acknowledged to each client, over all rounds.
    let mut acknowledged = vec![0; CLIENTS as usize];
    for round in 0..rounds {
        let mode = modes[round % modes.len()];
        let shared = Arc::new(Shared {
            connection: format!("{} options='-c concurrency_mode={mode}'", server.connection_string()),
            acknowledged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let clients: Vec<_> = acknowledged
            .iter()
            .zip(0..)
            .map(|(&last, client)| {
                let shared = shared.clone();
                let seed = round as u64 * 1000 + client as u64;
                std::thread::spawn(move || run_client(&shared, client, last, seed))
            })
            .collect();
        // A little more each round, so that kills find it in different places.
        let target = ENOUGH + 97 * round as u64;
        let started = Instant::now();
        while shared.acknowledged.load(Ordering::Relaxed) < target {
            assert!(started.elapsed() < Duration::from_secs(120), "{mode}: the clients do not get on");
            std::thread::sleep(Duration::from_millis(2));
        }
        server.kill_9();
        shared.stop.store(true, Ordering::Relaxed);
        let before = acknowledged.clone();
        acknowledged = clients.into_iter().map(|client| client.join().expect("a client")).collect();

        server.check().unwrap_or_else(|error| panic!("round {round}, {mode}: {error}"));
        server.restart();
        let mut judge = server.connect();
        for client in 0..CLIENTS {
            let last = acknowledged[client as usize];
            assert!(last >= before[client as usize]);
            let rows =
                judge.query("SELECT seq FROM history WHERE client = $1 ORDER BY seq", &[&client]).unwrap();
            let there: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            let expected: Vec<i64> = (1..=last).collect();
            let with_unanswered: Vec<i64> = (1..=last + 1).collect();
            assert!(
                there == expected || there == with_unanswered,
                "round {round}, {mode}: client {client} had {last} acknowledged, there are {} of them: {:?} …",
                there.len(),
                there.iter().zip(1..).find(|(found, wanted)| **found != *wanted)
            );
            // The one whose answer was lost counts from now on: the next number must be new.
            acknowledged[client as usize] = there.len() as i64;
        }
        let sums = "SELECT (SELECT sum(balance) FROM accounts), (SELECT sum(balance) FROM branches),
                           (SELECT sum(balance) FROM tellers), (SELECT sum(delta) FROM history)";
        let row = judge.query_one(sums, &[]).unwrap();
        let sums: Vec<i64> = (0..4).map(|column| row.get(column)).collect();
        assert!(sums.iter().all(|sum| *sum == sums[3]), "round {round}, {mode}: sums differ: {sums:?}");
        eprintln!("round {round}, {mode}: {} transactions kept", acknowledged.iter().sum::<i64>());
    }
    assert!(server.stop().success());
    server.check().expect("clean after a clean shutdown");
}

fn load(client: &mut Client) {
    client
        .batch_execute(&format!(
            "CREATE TABLE branches (id int PRIMARY KEY, balance int NOT NULL);
             CREATE TABLE tellers (id int PRIMARY KEY, balance int NOT NULL);
             CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, filler char(84));
             CREATE TABLE history (client int, seq bigint, delta int, PRIMARY KEY (client, seq));
             INSERT INTO branches SELECT i, 0 FROM generate_series(1, {BRANCHES}) i;
             INSERT INTO tellers SELECT i, 0 FROM generate_series(1, {TELLERS}) i;
             INSERT INTO accounts SELECT i, 0, '' FROM generate_series(1, {ACCOUNTS}) i;"
        ))
        .unwrap();
}

/// Runs transactions until the server is gone; returns the number of the last that was acknowledged.
fn run_client(shared: &Shared, client: i32, mut last: i64, seed: u64) -> i64 {
    let mut random = StdRng::seed_from_u64(seed);
    let Ok(mut connection) = Client::connect(&shared.connection, NoTls) else { return last };
    while !shared.stop.load(Ordering::Relaxed) {
        match transaction(&mut connection, &mut random, client, last + 1) {
            Ok(()) => {
                last += 1;
                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // The server said no (a deadlock, a serialization failure), so nothing of it happened.
            Err(error) if error.code().is_some_and(|code| code.code().starts_with("40")) => {}
            Err(error) => {
                // Anything but the end of the connection would be news.
                assert!(error.code().is_none(), "client {client}: {error:?}");
                return last;
            }
        }
    }
    last
}

fn transaction(
    connection: &mut Client,
    random: &mut StdRng,
    client: i32,
    seq: i64,
) -> Result<(), postgres::Error> {
    let delta: i32 = random.random_range(-5000..=5000);
    let account: i32 = random.random_range(1..=ACCOUNTS);
    let teller: i32 = random.random_range(1..=TELLERS);
    let branch: i32 = random.random_range(1..=BRANCHES);
    let mut transaction = connection.transaction()?;
    transaction.execute("UPDATE accounts SET balance = balance + $1 WHERE id = $2", &[&delta, &account])?;
    transaction.query_one("SELECT balance FROM accounts WHERE id = $1", &[&account])?;
    transaction.execute("UPDATE tellers SET balance = balance + $1 WHERE id = $2", &[&delta, &teller])?;
    transaction.execute("UPDATE branches SET balance = balance + $1 WHERE id = $2", &[&delta, &branch])?;
    transaction.execute("INSERT INTO history VALUES ($1, $2, $3)", &[&client, &seq, &delta])?;
    transaction.commit()
}
