//! `larger`: a table many times larger than the page cache: reads and updates at random, range scans, an index build, what the files
//! come to under steady updates and after VACUUM FULL, and a restart.

use crate::Larger;
use crate::figures::{Figure, table};
use crate::pgbench;
use crate::target::{Side, Target, copy, execute};
use serin_tests::PgServer;
use std::time::Instant;

const MIB: f64 = (1 << 20) as f64;
/// Of a row's text; with its numbers and headers a row takes about 100 bytes on either side.
const PADDING: usize = 70;
const ROW_BYTES: u64 = 100;

pub fn larger(options: &Larger) -> Result<(), String> {
    let rows = options.cache * options.times * (1 << 20) / ROW_BYTES;
    let sides = options.side.map_or(vec![Side::PostgreSql, Side::Serin], |side| vec![side]);
    let mut figures = Figures::default();
    for side in sides.iter().copied() {
        measure(side, options, rows, &mut figures)?;
    }
    println!(
        "{rows} rows, {} times a page cache of {} MiB; {} clients\n",
        options.times, options.cache, options.clients
    );
    println!("{}", table(&figures.0, sides.len() == 2));
    Ok(())
}

/// In the order in which they are first measured.
#[derive(Default)]
struct Figures(Vec<Figure>);

impl Figures {
    fn push(&mut self, side: Side, name: &str, unit: &'static str, more_is_better: bool, value: f64) {
        eprintln!("{side:?}: {name}: {value:.2} {unit}");
        if !self.0.iter().any(|figure| figure.name() == name) {
            self.0.push(Figure::new(name, unit, more_is_better));
        }
        self.0.iter_mut().filter(|figure| figure.name() == name).for_each(|figure| figure.push(side, value));
    }
}

fn start(side: Side, options: &Larger) -> Result<Target, String> {
    let cache = format!("{}MB", options.cache);
    match side {
        Side::Serin => {
            // A delta as large as the cache: updates are folded into the tree all the time.
            let mut flags = ["--page-cache", &cache, "--delta-memory", &cache].map(str::to_owned).to_vec();
            flags.extend(options.serin_flags.iter().cloned());
            side.start(&flags)
        }
        Side::PostgreSql => PgServer::start(&[&format!("shared_buffers={cache}"), "max_connections=600"])
            .map(Target::PostgreSql)
            .ok_or_else(|| "no PostgreSQL is installed (--side serin runs Serin alone)".to_owned()),
    }
}

fn measure(side: Side, options: &Larger, rows: u64, figures: &mut Figures) -> Result<(), String> {
    let mut target = start(side, options)?;
    let mut client = target.connect()?;
    let timed = |figures: &mut Figures, name: &str, work: &mut dyn FnMut() -> Result<(), String>| {
        let started = Instant::now();
        work()?;
        figures.push(side, name, "s", false, started.elapsed().as_secs_f64());
        Ok::<_, String>(())
    };
    execute(&mut client, "CREATE TABLE larger (id bigint PRIMARY KEY, other bigint, n int, padding text)")?;
    let padding = "x".repeat(PADDING);
    let lines = || (1..=rows).map(|row| format!("{row},{},0,{padding}", row * 7919 % rows));
    timed(figures, "COPY", &mut || copy(&mut client, "larger", lines()))?;
    figures.push(side, "files, loaded", "MiB", false, target.disk_bytes() as f64 / MIB);
    timed(figures, "scan of all rows", &mut || {
        execute(&mut client, "SELECT count(*), sum(other) FROM larger").map(drop)
    })?;
    timed(figures, "CREATE INDEX", &mut || {
        execute(&mut client, "CREATE INDEX larger_other ON larger (other)").map(drop)
    })?;

    let any = format!("\\set id random(1, {rows})\n");
    let loads = [
        ("point reads", "SELECT n FROM larger WHERE id = :id;\n"),
        ("point reads by the index", "SELECT n FROM larger WHERE other = :id;\n"),
        ("ranges of 100 rows", "SELECT sum(n) FROM larger WHERE id BETWEEN :id AND :id + 99;\n"),
    ];
    for (name, statement) in loads {
        let run = run(&target, options, &format!("{any}{statement}"))?;
        figures.push(side, name, "tps", true, run.tps);
    }
    let mut updated = 0.0;
    for name in ["updates", "updates, again"] {
        let run = run(&target, options, &format!("{any}UPDATE larger SET n = n + 1 WHERE id = :id;\n"))?;
        updated += run.transactions;
        figures.push(side, name, "tps", true, run.tps);
        figures.push(side, &format!("files after {name}"), "MiB", false, target.disk_bytes() as f64 / MIB);
    }
    check(&target, rows, updated)?;
    let peak_before = target.peak_memory_bytes();
    let restarted = target.kill_and_restart()?;
    figures.push(side, "restart after kill -9", "s", false, restarted.as_secs_f64());
    check(&target, rows, updated)?;

    let mut client = target.connect()?;
    timed(figures, "DELETE of nine tenths", &mut || {
        execute(&mut client, "DELETE FROM larger WHERE id % 10 <> 0").map(drop)
    })?;
    timed(figures, "VACUUM FULL", &mut || execute(&mut client, "VACUUM FULL larger").map(drop))?;
    figures.push(side, "files after VACUUM FULL", "MiB", false, target.disk_bytes() as f64 / MIB);
    timed(figures, "DROP TABLE", &mut || execute(&mut client, "DROP TABLE larger").map(drop))?;
    if let Some(bytes) = target.peak_memory_bytes().max(peak_before) {
        figures.push(side, "resident memory at most, over all of that", "MiB", false, bytes as f64 / MIB);
    }
    Ok(())
}

fn run(target: &Target, options: &Larger, script: &str) -> Result<pgbench::Run, String> {
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), script).map_err(|error| error.to_string())?;
    let (clients, path) = (options.clients.to_string(), file.path().to_string_lossy().into_owned());
    pgbench::run(target, options.seconds, &["-c", &clients, "-j", "2", "-M", "prepared", "-f", &path])
}

/// Every row is there, and every update that was acknowledged.
fn check(target: &Target, rows: u64, updated: f64) -> Result<(), String> {
    let found = pgbench::psql(target, "SELECT count(*), sum(n) FROM larger")?;
    let expected = format!("{rows}|{updated}");
    match found.trim() == expected {
        true => Ok(()),
        false => Err(format!("rows and updates are {}, not {expected}", found.trim())),
    }
}
