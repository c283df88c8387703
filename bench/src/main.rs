//! `serin-bench`: Serin and PostgreSQL side by side, on the same machine, with the same durability, under the same
//! client.
//!
//! `compare` starts both, loads both, and runs each workload in alternating rounds, so that what else the machine does
//! hits both alike. It reports medians, their ratio, and what the server's processes spent: CPU seconds per 1,000
//! transactions say more about a small machine, where the client takes a core of its own, than throughput does.
//! PostgreSQL is stock but for `shared_buffers = 1GB`; fsync and synchronous_commit are on on both sides.

mod bulk;
mod figures;
mod larger;
mod latency;
mod loads;
mod pgbench;
mod serializable;
mod target;
mod tpch;
mod workloads;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "serin-bench", about = "Side-by-side benchmarks of Serin and PostgreSQL")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the workloads and print a Markdown table
    Compare(Compare),
    /// Millions of rows by COPY, INSERT … SELECT and CREATE INDEX
    Bulk(Bulk),
    /// Data many times larger than the page cache: reads, updates, index builds, disk space, restart
    Larger(Larger),
    /// Percentiles of latencies over minutes of TPC-B, with folds going on
    Latency(Latency),
    /// SERIALIZABLE in every mode: throughput, retries and CPU on loads with conflicts and without
    Serializable(Serializable),
    /// TPC-H's 22 queries, one thread each: equal answers, and times
    Tpch(Tpch),
}

#[derive(clap::Args)]
struct Bulk {
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Runs on each side, alternating
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// More flags for serin
    #[arg(long = "serin", allow_hyphen_values = true)]
    serin_flags: Vec<String>,
    #[arg(long)]
    side: Option<target::Side>,
}

#[derive(clap::Args)]
struct Larger {
    /// The page cache, and PostgreSQL's shared_buffers, in MiB
    #[arg(long, default_value_t = 32)]
    cache: u64,
    /// The data's size in page caches
    #[arg(long, default_value_t = 20)]
    times: u64,
    /// Seconds of each pgbench run
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// More flags for serin
    #[arg(long = "serin", allow_hyphen_values = true)]
    serin_flags: Vec<String>,
    #[arg(long)]
    side: Option<target::Side>,
}

#[derive(clap::Args)]
struct Tpch {
    /// 1 is about a gigabyte
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    /// Runs of each query, of which the fastest counts
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// More flags for serin
    #[arg(long = "serin", allow_hyphen_values = true)]
    serin_flags: Vec<String>,
    #[arg(long)]
    side: Option<target::Side>,
}

#[derive(clap::Args)]
struct Serializable {
    /// Only the load of this name; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Seconds of each pgbench run
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Runs of each variant, in turn
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// pgbench's scale factor, for TPC-B
    #[arg(long, default_value_t = 10)]
    scale: u32,
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// More flags for serin
    #[arg(long = "serin", allow_hyphen_values = true)]
    serin_flags: Vec<String>,
    #[arg(long)]
    side: Option<target::Side>,
}

#[derive(clap::Args)]
struct Latency {
    #[arg(long, default_value_t = 10)]
    minutes: u32,
    /// pgbench's scale factor
    #[arg(long, default_value_t = 20)]
    scale: u32,
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// More flags for serin
    #[arg(long = "serin", allow_hyphen_values = true)]
    serin_flags: Vec<String>,
    #[arg(long)]
    side: Option<target::Side>,
}

#[derive(clap::Args)]
struct Compare {
    /// Only workloads whose name contains this; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Seconds of each pgbench run
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Runs on each side, alternating
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// pgbench's scale factor
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// Clients of select and TPC-B runs
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// More flags for serin, as in --serin=--concurrency-mode=2pl
    #[arg(long = "serin", allow_hyphen_values = true)]
    serin_flags: Vec<String>,
    /// Only one of the two: for profiling, and where no PostgreSQL is installed
    #[arg(long)]
    side: Option<target::Side>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Bulk(options) => bulk::bulk(&options),
        Command::Larger(options) => larger::larger(&options),
        Command::Compare(options) => workloads::compare(&options),
        Command::Latency(options) => latency::latency(&options),
        Command::Serializable(options) => serializable::serializable(&options),
        Command::Tpch(options) => tpch::tpch(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serin-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
