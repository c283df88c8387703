//! `tpch`: TPC-H's 22 queries, with the validation parameters of its specification, on both servers: equal answers, and times.
//!
//! PostgreSQL runs without parallel workers and without JIT: one thread each. Both have the indexes of `tpch/indexes.sql`.

use crate::Tpch;
use crate::target::{Side, Target, copy, execute};
use postgres::{Client, SimpleQueryMessage};
use std::time::{Duration, Instant};
use tpchgen::csv::{
    CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv,
};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

const QUERIES: [&str; 22] = [
    include_str!("../tpch/q01.sql"),
    include_str!("../tpch/q02.sql"),
    include_str!("../tpch/q03.sql"),
    include_str!("../tpch/q04.sql"),
    include_str!("../tpch/q05.sql"),
    include_str!("../tpch/q06.sql"),
    include_str!("../tpch/q07.sql"),
    include_str!("../tpch/q08.sql"),
    include_str!("../tpch/q09.sql"),
    include_str!("../tpch/q10.sql"),
    include_str!("../tpch/q11.sql"),
    include_str!("../tpch/q12.sql"),
    include_str!("../tpch/q13.sql"),
    include_str!("../tpch/q14.sql"),
    include_str!("../tpch/q15.sql"),
    include_str!("../tpch/q16.sql"),
    include_str!("../tpch/q17.sql"),
    include_str!("../tpch/q18.sql"),
    include_str!("../tpch/q19.sql"),
    include_str!("../tpch/q20.sql"),
    include_str!("../tpch/q21.sql"),
    include_str!("../tpch/q22.sql"),
];

type Rows = Vec<Vec<Option<String>>>;

pub fn tpch(options: &Tpch) -> Result<(), String> {
    let sides: Vec<Side> = [Side::PostgreSql, Side::Serin]
        .into_iter()
        .filter(|side| options.side.is_none_or(|only| only == *side))
        .collect();
    let mut runs = Vec::new();
    for side in sides {
        let target = side.start(&options.serin_flags)?;
        load(&target, options.scale)?;
        let mut client = target.connect()?;
        if side == Side::PostgreSql {
            execute(&mut client, "set max_parallel_workers_per_gather = 0; set jit = off")?;
        }
        let answers = QUERIES.iter().map(|query| best(&mut client, query, options.rounds));
        runs.push(answers.collect::<Result<Vec<(Duration, Rows)>, String>>()?);
    }
    report(&runs);
    match &runs[..] {
        [theirs, ours] if theirs.iter().zip(ours).any(|((_, a), (_, b))| a != b) => {
            Err("the answers differ".to_owned())
        }
        _ => Ok(()),
    }
}

fn report(runs: &[Vec<(Duration, Rows)>]) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let total = |run: &[(Duration, Rows)]| run.iter().map(|(time, _)| *time).sum::<Duration>();
    let [theirs, ours] = runs else {
        runs.iter().flat_map(|run| run.iter().enumerate()).for_each(|(at, (time, rows))| {
            println!("{}: {:.0} ms, {} rows", at + 1, ms(*time), rows.len());
        });
        return;
    };
    println!("| query | PostgreSQL ms | Serin ms | ratio | rows | answers |\n|---|---|---|---|---|---|");
    for (at, ((their_time, their_rows), (our_time, our_rows))) in theirs.iter().zip(ours).enumerate() {
        let (a, b) = (ms(*their_time), ms(*our_time));
        let verdict = if their_rows == our_rows { "equal" } else { "DIFFERENT" };
        println!("| {} | {a:.0} | {b:.0} | {:.2} | {} | {verdict} |", at + 1, b / a, our_rows.len());
    }
    let (a, b) = (ms(total(theirs)), ms(total(ours)));
    println!("| total | {a:.0} | {b:.0} | {:.2} | | |", b / a);
}

/// The fastest of some runs, and the answer.
fn best(client: &mut Client, query: &str, rounds: u32) -> Result<(Duration, Rows), String> {
    let mut fastest = Duration::MAX;
    let mut rows = Vec::new();
    for _ in 0..rounds.max(1) {
        let started = Instant::now();
        let messages = execute(client, query)?;
        fastest = fastest.min(started.elapsed());
        rows = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .map(|row| (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            .collect();
    }
    Ok((fastest, rows))
}

fn load(target: &Target, scale: f64) -> Result<(), String> {
    let mut client = target.connect()?;
    execute(&mut client, include_str!("../tpch/schema.sql"))?;
    copy(&mut client, "region", RegionGenerator::new(scale, 1, 1).iter().map(RegionCsv::new))?;
    copy(&mut client, "nation", NationGenerator::new(scale, 1, 1).iter().map(NationCsv::new))?;
    copy(&mut client, "supplier", SupplierGenerator::new(scale, 1, 1).iter().map(SupplierCsv::new))?;
    copy(&mut client, "customer", CustomerGenerator::new(scale, 1, 1).iter().map(CustomerCsv::new))?;
    copy(&mut client, "part", PartGenerator::new(scale, 1, 1).iter().map(PartCsv::new))?;
    copy(&mut client, "partsupp", PartSuppGenerator::new(scale, 1, 1).iter().map(PartSuppCsv::new))?;
    copy(&mut client, "orders", OrderGenerator::new(scale, 1, 1).iter().map(OrderCsv::new))?;
    copy(&mut client, "lineitem", LineItemGenerator::new(scale, 1, 1).iter().map(LineItemCsv::new))?;
    for statement in include_str!("../tpch/indexes.sql").lines() {
        execute(&mut client, statement)?;
    }
    Ok(())
}
