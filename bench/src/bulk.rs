//! `bulk`: millions of rows by COPY, INSERT … SELECT and CREATE INDEX, both servers in turn, and the memory that Serin took.

use crate::Bulk;
use crate::figures::{Figure, table};
use crate::pgbench;
use crate::target::{Side, Target, copy, execute};
use std::time::Instant;

const MIB: f64 = (1 << 20) as f64;

pub fn bulk(options: &Bulk) -> Result<(), String> {
    let sides = options.side.map_or(vec![Side::PostgreSql, Side::Serin], |side| vec![side]);
    // Budgets that the rows are many times larger than.
    let mut flags: Vec<String> =
        ["--page-cache", "256MB", "--delta-memory", "256MB"].map(str::to_owned).into();
    flags.extend(options.serin_flags.iter().cloned());
    let targets: Vec<(Side, Target)> =
        sides.into_iter().map(|side| Ok((side, side.start(&flags)?))).collect::<Result<_, String>>()?;

    let names = ["COPY", "INSERT … SELECT", "CREATE INDEX"];
    let mut figures: Vec<Figure> = names
        .iter()
        .flat_map(|name| {
            [Figure::new(*name, "s", false), Figure::new(format!("{name}: server CPU"), "s", false)]
        })
        .collect();
    for round in 1..=options.rounds {
        for (side, target) in &targets {
            for (at, (seconds, cpu)) in measure(target, options.rows)?.into_iter().enumerate() {
                eprintln!("{}, round {round}, {side:?}: {seconds:.2} s, CPU {cpu:.2} s", names[at]);
                figures[at * 2].push(*side, seconds);
                figures[at * 2 + 1].push(*side, cpu);
            }
        }
    }
    let mut peak = Figure::new("resident memory at most, over all of that", "MiB", false);
    for (side, target) in &targets {
        target.peak_memory_bytes().into_iter().for_each(|bytes| peak.push(*side, bytes as f64 / MIB));
    }
    figures.push(peak);
    println!("{} rows of (int, int, text), primary key on the first column\n", options.rows);
    println!("{}", table(&figures, targets.len() == 2));
    Ok(())
}

/// Seconds of the clock and of CPU of each of the three.
fn measure(target: &Target, rows: u64) -> Result<[(f64, f64); 3], String> {
    let mut client = target.connect()?;
    execute(&mut client, "DROP TABLE IF EXISTS bulk, bulk_again")?;
    execute(&mut client, "CREATE TABLE bulk (a int PRIMARY KEY, b int, c text)")?;
    execute(&mut client, "CREATE TABLE bulk_again (a int PRIMARY KEY, b int, c text)")?;
    let timed = |work: &mut dyn FnMut() -> Result<(), String>| {
        let (started, before) = (Instant::now(), target.cpu_seconds());
        work()?;
        Ok::<_, String>((started.elapsed().as_secs_f64(), target.cpu_seconds() - before))
    };
    // The second column in no order: what an index on it has to sort.
    let scattered = |row: u64| row * 7919 % 10_000_019;
    let lines = || (1..=rows).map(|row| format!("{row},{},padding {row}", scattered(row)));
    let copied = timed(&mut || copy(&mut client, "bulk", lines()))?;
    let inserted =
        timed(&mut || execute(&mut client, "INSERT INTO bulk_again SELECT * FROM bulk").map(drop))?;
    let indexed = timed(&mut || execute(&mut client, "CREATE INDEX bulk_b ON bulk (b)").map(drop))?;
    let expected = format!("{rows}|{}", (1..=rows).map(scattered).sum::<u64>());
    for relation in ["bulk", "bulk_again"] {
        let found = pgbench::psql(target, &format!("SELECT count(*), sum(b) FROM {relation}"))?;
        if found.trim() != expected {
            return Err(format!("{relation} has {}, not {expected}", found.trim()));
        }
    }
    Ok([copied, inserted, indexed])
}
