//! pgbench as its users run it: loaded by itself, every built-in script in every protocol, in every concurrency mode, at READ
//! COMMITTED and SERIALIZABLE, by one client and by many. Nothing may fail, and at the end the sums of branches, tellers,
//! accounts and history agree.
//!
//! Scale 1 and a few transactions each. `SERIN_PGBENCH_SCALE=100` takes that scale, 64 clients as well and more transactions, and the
//! server's memory must stay within its budgets.

use serin_tests::{TestServer, peak_memory_bytes};
use std::process::Command;

/// Of the page cache and of the delta, in bytes.
const BUDGET_EACH: u64 = 256 << 20;

/// What 64 sessions and the server itself may take beside those, in bytes.
const OTHER_MEMORY: u64 = 256 << 20;

fn installed() -> bool {
    let installed = Command::new("pgbench").arg("--version").output().is_ok();
    if !installed {
        eprintln!("pgbench is not installed: nothing tested");
    }
    installed
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// The figure behind a label of pgbench's report.
fn figure(report: &str, label: &str) -> Option<u64> {
    let line = report.lines().find_map(|line| line.strip_prefix(label))?;
    line.trim().split([' ', '/']).next()?.parse().ok()
}

fn check_sums(server: &TestServer) {
    let sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),
                       (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)";
    let row = server.connect().query_one(sums, &[]).unwrap();
    let sums: Vec<i64> = (0..4).map(|column| row.get(column)).collect();
    assert!(sums.iter().all(|sum| *sum == sums[3]), "accounts, branches, tellers, history: {sums:?}");
}

fn run_mode(mode: &str) {
    if !installed() {
        return;
    }
    let scale = std::env::var("SERIN_PGBENCH_SCALE");
    let (clients, transactions): (&[u32], _) =
        if scale.is_ok() { (&[1, 16, 64], 200) } else { (&[1, 16], 20) };
    let scale = scale.as_deref().unwrap_or("1");
    let mut server = TestServer::start_with(&[
        "--concurrency-mode",
        mode,
        "--page-cache",
        &BUDGET_EACH.to_string(),
        "--delta-memory",
        &BUDGET_EACH.to_string(),
    ]);
    succeed(server.client("pgbench").args(["-i", "-q", "-s", scale]));
    let accounts: i64 =
        server.connect().query_one("SELECT count(*) FROM pgbench_accounts", &[]).unwrap().get(0);
    assert_eq!(accounts, scale.parse::<i64>().unwrap() * 100_000);

    let mut written = 0;
    for isolation in ["read committed", "serializable"] {
        for script in ["tpcb-like", "simple-update", "select-only"] {
            for protocol in ["simple", "extended", "prepared"] {
                for &clients in clients {
                    let mut command = server.client("pgbench");
                    let options =
                        format!("-c default_transaction_isolation={}", isolation.replace(' ', "\\ "));
                    command.env("PGOPTIONS", options);
                    command.args(["-n", "-b", script, "-M", protocol, "-j", "2", "--max-tries", "10000"]);
                    command.args(["-c", &clients.to_string(), "-t", &transactions.to_string()]);
                    let report = succeed(&mut command);
                    let expected = u64::from(clients) * transactions;
                    let label = "number of transactions actually processed:";
                    assert_eq!(figure(&report, label), Some(expected), "{command:?}: {report}");
                    if script != "select-only" {
                        written += expected as i64;
                    }
                }
            }
        }
        check_sums_of_tpcb(&server);
    }
    let history: i64 =
        server.connect().query_one("SELECT count(*) FROM pgbench_history", &[]).unwrap().get(0);
    assert_eq!(history, written);
    let peak = peak_memory_bytes(server.pid());
    assert!(peak < 2 * BUDGET_EACH + OTHER_MEMORY, "{peak} bytes");
    assert!(server.stop().success());
    server.check().unwrap();
}

/// simple-update leaves tellers and branches alone: only accounts and history can be compared after it.
fn check_sums_of_tpcb(server: &TestServer) {
    let sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(delta) FROM pgbench_history),
                       (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers)";
    let row = server.connect().query_one(sums, &[]).unwrap();
    let sums: Vec<i64> = (0..4).map(|column| row.get(column)).collect();
    assert_eq!(sums[0], sums[1], "accounts and history");
    assert_eq!(sums[2], sums[3], "branches and tellers");
}

#[test]
fn ssi() {
    run_mode("ssi");
}

#[test]
fn two_phase_locking() {
    run_mode("2pl");
}

#[test]
fn serial() {
    run_mode("serial");
}

/// tpcb-like alone, in all three modes at once, so that all four sums must agree.
#[test]
fn mixed_modes() {
    if !installed() {
        return;
    }
    let server = TestServer::start();
    succeed(server.client("pgbench").args(["-i", "-q", "-s", "1"]));
    let runs: Vec<_> = ["ssi", "2pl", "serial"]
        .map(|mode| {
            let mut command = server.client("pgbench");
            let options = format!("-c concurrency_mode={mode} -c default_transaction_isolation=serializable");
            command.env("PGOPTIONS", options);
            command.args(["-n", "-M", "prepared", "-c", "4", "-j", "1", "-t", "50", "--max-tries", "10000"]);
            std::thread::spawn(move || succeed(&mut command))
        })
        .into();
    for run in runs {
        let report = run.join().unwrap();
        assert_eq!(figure(&report, "number of transactions actually processed:"), Some(200), "{report}");
    }
    check_sums(&server);
}
