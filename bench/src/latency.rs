//! `latency`: how long transactions take while folds go on, over minutes of TPC-B.
//!
//! The averages of throughput runs hide stalls: a checkpoint that holds up everybody for two seconds costs a minute's run three per cent.
//! So every transaction's latency is taken from pgbench's log, and what is published are percentiles, the maximum, and the worst
//! second. Serin gets a small delta, so that folds follow each other; PostgreSQL checkpoints as often (`checkpoint_timeout = 30s`).

use crate::Latency;
use crate::pgbench;
use crate::target::{Side, Target};
use serin_tests::PgServer;
use std::path::Path;

const PERCENTILES: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

struct Measured {
    tps: f64,
    /// Milliseconds.
    percentiles: Vec<f64>,
    max: f64,
    /// Transactions of the second in which fewest ended.
    worst_second: usize,
}

pub fn latency(options: &Latency) -> Result<(), String> {
    println!("| | tps | p50 ms | p90 ms | p99 ms | p99.9 ms | max ms | worst second, tps | folds |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for side in [Side::Serin, Side::PostgreSql] {
        if options.side.is_some_and(|only| only != side) {
            continue;
        }
        let target = start(side, options)?;
        pgbench::initialize(&target, options.scale)?;
        let Measured { tps, percentiles, max, worst_second } = measure(&target, options)?;
        let percentiles: Vec<String> = percentiles.iter().map(|ms| format!("{ms:.1}")).collect();
        let folds = match side {
            Side::Serin => pgbench::psql(&target, "SELECT folds FROM serin_storage").unwrap_or_default(),
            Side::PostgreSql => {
                pgbench::psql(&target, "SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter")?
            }
        };
        println!(
            "| {side:?} | {tps:.0} | {} | {max:.0} | {worst_second} | {} |",
            percentiles.join(" | "),
            folds.trim()
        );
    }
    Ok(())
}

fn start(side: Side, options: &Latency) -> Result<Target, String> {
    match side {
        Side::Serin => {
            let mut flags = vec!["--delta-memory".to_owned(), "64MB".to_owned()];
            flags.extend(options.serin_flags.iter().cloned());
            side.start(&flags)
        }
        Side::PostgreSql => {
            PgServer::start(&["shared_buffers=1GB", "max_connections=600", "checkpoint_timeout=30s"])
                .map(Target::PostgreSql)
                .ok_or_else(|| "no PostgreSQL is installed (--side serin runs Serin alone)".to_owned())
        }
    }
}

fn measure(target: &Target, options: &Latency) -> Result<Measured, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let prefix = dir.path().join("log").display().to_string();
    let clients = options.clients.to_string();
    let seconds = options.minutes * 60;
    let arguments = ["-M", "prepared", "-c", &clients, "-j", "2", "-l", "--log-prefix", &prefix];
    let run = pgbench::run(target, seconds, &arguments)?;
    let (mut latencies, per_second) = read_logs(dir.path())?;
    latencies.sort_unstable();
    let at = |percent: f64| {
        let index = (latencies.len() as f64 * percent / 100.0) as usize;
        latencies
            .get(index.min(latencies.len() - 1))
            .map_or(0.0, |microseconds| *microseconds as f64 / 1000.0)
    };
    if latencies.is_empty() {
        return Err("pgbench logged no transactions".to_owned());
    }
    // The first and the last second are not whole ones.
    let whole = per_second.get(1..per_second.len().saturating_sub(1)).unwrap_or_default();
    Ok(Measured {
        tps: run.tps,
        percentiles: PERCENTILES.map(at).to_vec(),
        max: at(100.0),
        worst_second: whole.iter().copied().min().unwrap_or(0),
    })
}

/// Latencies in microseconds, and how many transactions ended in each second. A line of the log: client, number, latency, script,
/// seconds, microseconds.
fn read_logs(dir: &Path) -> Result<(Vec<u64>, Vec<usize>), String> {
    let mut latencies = Vec::new();
    let mut seconds: Vec<u64> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| error.to_string())? {
        let text = std::fs::read_to_string(entry.map_err(|error| error.to_string())?.path());
        for line in text.map_err(|error| error.to_string())?.lines() {
            let mut fields = line.split(' ');
            let mut field = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
            let parsed = field(2).zip(field(1));
            let (latency, second) = parsed.ok_or_else(|| format!("pgbench logged \"{line}\""))?;
            latencies.push(latency);
            seconds.push(second);
        }
    }
    let (Some(first), Some(last)) = (seconds.iter().min(), seconds.iter().max()) else {
        return Ok((latencies, Vec::new()));
    };
    let mut per_second = vec![0; (last - first) as usize + 1];
    seconds.iter().for_each(|second| per_second[(second - first) as usize] += 1);
    Ok((latencies, per_second))
}
