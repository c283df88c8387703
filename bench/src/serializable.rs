//! `serializable`: what serializability costs, side by side.
//!
//! Each load of `loads.rs` is run by pgbench against PostgreSQL and against Serin in its modes, in turn, as often as `--rounds` says; a
//! transaction that fails with 40001 or 40P01 is retried by the client until it succeeds (`--max-tries`), with the same random numbers.
//! Reported are the medians of committed transactions per second, retries per commit, and the server's CPU seconds per 1,000 commits;
//! after each load what must hold is checked on both.

use crate::Serializable;
use crate::figures::median;
use crate::loads::{LOADS, Load, Script, TPCB_ONE_MESSAGE};
use crate::pgbench::{self, Run};
use crate::target::{Side, Target};
use std::fmt::Write as _;

/// How a load is run: on which side, with which settings, and whether as one message.
struct Variant {
    side: Side,
    name: &'static str,
    isolation: &'static str,
    mode: Option<&'static str>,
    one_message: bool,
}

const fn postgresql(name: &'static str, isolation: &'static str) -> Variant {
    Variant { side: Side::PostgreSql, name, isolation, mode: None, one_message: false }
}
const fn serin(name: &'static str, mode: &'static str, isolation: &'static str) -> Variant {
    Variant { side: Side::Serin, name, isolation, mode: Some(mode), one_message: false }
}
const fn in_one_message(variant: Variant) -> Variant {
    Variant { one_message: true, ..variant }
}

const SER: &str = "serializable";
const RR: &str = "repeatable\\ read";
const RC: &str = "read\\ committed";

/// The first one is what the others are compared with.
const TPCB: &[Variant] = &[
    postgresql("PostgreSQL", SER),
    serin("ssi", "ssi", SER),
    serin("2pl", "2pl", SER),
    serin("serial", "serial", SER),
    in_one_message(serin("serial, one message", "serial", SER)),
    in_one_message(postgresql("PostgreSQL, one message", SER)),
    postgresql("PostgreSQL, READ COMMITTED", RC),
    serin("ssi, READ COMMITTED", "ssi", RC),
];
const MODES: &[Variant] = &[
    postgresql("PostgreSQL", SER),
    serin("ssi", "ssi", SER),
    serin("2pl", "2pl", SER),
    serin("serial", "serial", SER),
];
const LEVELS: &[Variant] = &[
    postgresql("PostgreSQL", SER),
    postgresql("PostgreSQL, REPEATABLE READ", RR),
    serin("ssi, REPEATABLE READ", "ssi", RR),
    serin("ssi", "ssi", SER),
];

fn variants(load: &Load) -> &'static [Variant] {
    match load.name {
        "tpcb" => TPCB,
        "free" | "free-reads" => LEVELS,
        _ => MODES,
    }
}

pub fn serializable(options: &Serializable) -> Result<(), String> {
    let chosen = |load: &&Load| options.only.is_empty() || options.only.iter().any(|only| only == load.name);
    let mut targets = Vec::new();
    for side in [Side::PostgreSql, Side::Serin] {
        if options.side.is_none_or(|only| only == side) {
            targets.push((side, side.start(&options.serin_flags)?));
        }
    }
    println!(
        "| load | | tps | × PostgreSQL | retries per commit | server CPU s / 1,000 |\n|---|---|---:|---:|---:|---:|"
    );
    for load in LOADS.iter().filter(chosen) {
        for (side, target) in &targets {
            eprintln!("loading {}, {side:?}", load.name);
            match load.setup {
                "" => pgbench::initialize(target, options.scale)?,
                setup => pgbench::psql(target, setup).map(|_| ())?,
            }
        }
        print!("{}", run_load(load, options, &targets)?);
        for (side, target) in &targets {
            let holds = pgbench::psql(target, load.holds)?;
            if holds.trim() != "t" {
                return Err(format!("{side:?}, after {}: not true: {}", load.name, load.holds));
            }
        }
    }
    Ok(())
}

/// Runs the load's variants in turn and returns its lines of the table.
fn run_load(load: &Load, options: &Serializable, targets: &[(Side, Target)]) -> Result<String, String> {
    let files = scripts_in_files(load.scripts)?;
    let one_message = scripts_in_files(&[TPCB_ONE_MESSAGE])?;
    let mut runs: Vec<(&Variant, Vec<Run>)> = Vec::new();
    for round in 1..=options.rounds {
        let mut at = 0;
        for variant in variants(load) {
            let Some((_, target)) = targets.iter().find(|(side, _)| *side == variant.side) else { continue };
            let scripts = if variant.one_message { &one_message } else { &files };
            let run = run_variant(variant, target, options, scripts)?;
            eprintln!(
                "{}, {}, round {round}: {:.0} tps, {:.3} retries per commit, CPU {:.4} s/1000",
                load.name, variant.name, run.tps, run.retries, run.cpu
            );
            match runs.get_mut(at) {
                Some((_, measured)) => measured.push(run),
                None => runs.push((variant, vec![run])),
            }
            at += 1;
        }
    }
    let of = |runs: &[Run], what: fn(&Run) -> f64| {
        median(&runs.iter().map(what).collect::<Vec<f64>>()).unwrap_or(f64::NAN)
    };
    let reference = runs.first().filter(|(variant, _)| variant.side == Side::PostgreSql);
    let reference = reference.map(|(_, runs)| of(runs, |run| run.tps));
    let mut text = String::new();
    for (variant, runs) in &runs {
        let tps = of(runs, |run| run.tps);
        let ratio = reference.map_or("–".to_owned(), |reference| format!("{:.2}×", tps / reference));
        let (retries, cpu) = (of(runs, |run| run.retries), of(runs, |run| run.cpu));
        let name = variant.name;
        let _ = writeln!(text, "| {} | {name} | {tps:.0} | {ratio} | {retries:.3} | {cpu:.3} |", load.name);
    }
    Ok(text)
}

fn run_variant(
    variant: &Variant,
    target: &Target,
    options: &Serializable,
    scripts: &[(u32, tempfile::NamedTempFile)],
) -> Result<Run, String> {
    let mut settings = format!("-c default_transaction_isolation={}", variant.isolation);
    if let Some(mode) = variant.mode {
        let _ = write!(settings, " -c concurrency_mode={mode}");
    }
    let clients = options.clients.to_string();
    let protocol = if variant.one_message { "simple" } else { "prepared" };
    let mut arguments: Vec<String> =
        ["-c", &clients, "-j", "2", "-M", protocol, "--max-tries", "1000000", "--random-seed", "1"]
            .map(str::to_owned)
            .to_vec();
    if scripts.is_empty() {
        arguments.extend(["-b".to_owned(), "tpcb-like".to_owned()]);
    }
    if scripts.is_empty() || variant.one_message {
        // Custom scripts are not told.
        arguments.extend(["-D".to_owned(), format!("scale={}", options.scale)]);
    }
    for (weight, file) in scripts {
        arguments.extend(["-f".to_owned(), format!("{}@{weight}", file.path().display())]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    pgbench::run_with(target, options.seconds, &arguments, &[("PGOPTIONS", &settings)])
}

fn scripts_in_files(scripts: &[Script]) -> Result<Vec<(u32, tempfile::NamedTempFile)>, String> {
    let write = |script: &Script| {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), script.text)?;
        Ok((script.weight, file))
    };
    scripts.iter().map(write).collect::<std::io::Result<_>>().map_err(|error| error.to_string())
}
