//! SQL texts that nobody would write: statements of the tests' own scripts, taken apart and put together wrong.
//!
//! A script's statements run in order, and after each some of its mutants: tokens left out, doubled, swapped, replaced by extreme values, or
//! mixed with those of other statements. So the mutants meet tables, views, functions and transactions that mean something to them, and most get
//! past the parser.
//!
//! Asked of every text: an answer, or an error with an SQLSTATE that is not an internal one (class XX); no panic, on a worker's stack; an end, soon
//! after a cancel. The session goes on. After each script `check` finds nothing wrong with the tables and their indexes, after a restart.
//!
//! `SERIN_FUZZ_SECONDS=600 cargo test -p serin-sql --test hostile_texts -- --nocapture` runs for longer, with a seed of its own; `SERIN_FUZZ_SEED` repeats a run.
//! What ran last is in `target/tmp/hostile_text.sql`, should the process not live to tell.

mod common;

use common::{engine, run};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serin_sql::column::Batch;
use serin_sql::types::RenderSettings;
use serin_sql::{
    Engine, Error, Field, Format, Output, Progress, Result, Session, Startup, TransactionStatus, check,
};
use serin_storage::{Store, StoreOptions};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the server's workers have.
const STACK_BYTES: usize = 8 << 20;
/// When a statement is cancelled, and by when it has to have ended.
const PATIENCE: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(60);
/// Without `SERIN_FUZZ_SECONDS`.
const TEXTS: usize = 6_000;

// ---- Texts ----

/// Splits a text into words, numbers, quoted parts and symbols. Comments and psql's own lines are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let quoted = |quote: char| {
            let mut ends = rest[1..].match_indices(quote);
            ends.next().map_or(rest.len(), |(at, _)| at + 2)
        };
        let run = |fits: fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let length = match first {
            c if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '\\' => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '-' if rest.starts_with("--") => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '\'' | '"' => quoted(first),
            '$' => match rest[1..].find('$').map(|at| &rest[..at + 2]) {
                Some(tag) if tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_') => {
                    rest[tag.len()..].find(tag).map_or(rest.len(), |at| at + 2 * tag.len())
                }
                _ => run(|c| c == '$' || c.is_alphanumeric()),
            },
            c if c.is_alphabetic() || c == '_' => run(|c| c == '_' || c == '$' || c.is_alphanumeric()),
            c if c.is_ascii_digit() => run(|c| c == '.' || c.is_alphanumeric()),
            '(' | ')' | '[' | ']' | ',' | ';' => 1,
            c if c.is_ascii() => run(|c| c.is_ascii_punctuation() && !"()[],;'\"$_".contains(c)).max(1),
            c => c.len_utf8(),
        };
        found.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    found
}

/// The statements of a script, as tokens.
fn statements(text: &str) -> Vec<Vec<String>> {
    let all = tokens(text);
    all.split(|token| token == ";").filter(|statement| !statement.is_empty()).map(<[_]>::to_vec).collect()
}

/// What the blocks of an .slt file tell the server.
fn slt_texts(file: &str) -> String {
    let mut texts = String::new();
    for block in file.split("\n\n") {
        let mut lines = block.lines().skip_while(|line| line.starts_with('#'));
        let verb = lines.next().unwrap_or_default();
        if !["statement", "query", "tag", "notice"].iter().any(|known| verb.starts_with(known)) {
            continue;
        }
        for line in lines.take_while(|line| *line != "----") {
            texts.push_str(line);
            texts.push('\n');
        }
        texts.push_str(";\n");
    }
    texts
}

fn scripts() -> Vec<Vec<Vec<String>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = [root.join("tests/scripts"), root.join("../tests/statements")]
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    // In an order that a seed can rely on.
    files.sort();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let texts = files.iter().filter_map(|path| match path.extension()?.to_str()? {
        "sql" => Some(read(path)),
        "slt" => Some(slt_texts(&read(path))),
        _ => None,
    });
    texts.map(|text| statements(&text)).filter(|statements| !statements.is_empty()).collect()
}

const EXTREMES: &[&str] = &[
    "null",
    "0",
    "-1",
    "2147483647",
    "-2147483648",
    "9223372036854775807",
    "1e308",
    "'NaN'",
    "'infinity'",
    "''",
    "'{}'",
    "'[]'",
    "default",
    "*",
    "(select 1)",
    "row(1, null)",
    "array[1, null]",
    "array[]::int[]",
    "current_date",
    "true",
    "$1",
    "()",
    "not",
    "all",
    "generate_series(1, 3)",
    "repeat('x', 1000000)",
    "(values (1), (2))",
    "sum(1) over ()",
    "count(*)",
    "cast(null as text)",
    "interval '1 month'",
];

fn mutant(statement: &[String], scripts: &[Vec<Vec<String>>], source: &mut StdRng) -> Vec<String> {
    let mut text = statement.to_vec();
    for _ in 0..source.random_range(1..4) {
        if text.is_empty() {
            break;
        }
        let other =
            scripts.choose(source).and_then(|script| script.choose(source)).expect("scripts have statements");
        let at = source.random_range(0..text.len());
        let piece = |of: &[String], source: &mut StdRng| {
            let from = source.random_range(0..of.len());
            let to = (from + source.random_range(1..6)).min(of.len());
            of[from..to].to_vec()
        };
        match source.random_range(0..10) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, text[at].clone()),
            2 => {
                let with = source.random_range(0..text.len());
                text.swap(at, with);
            }
            3 | 4 => text[at] = EXTREMES.choose(source).expect("there are some").to_string(),
            5 => text[at] = other.choose(source).expect("statements have tokens").clone(),
            6 => drop(text.splice(at..at, piece(other, source))),
            7 => {
                let again = piece(&text, source);
                text.splice(at..at, again);
            }
            8 => text.truncate(at + 1),
            _ => {
                let to = source.random_range(at..text.len());
                text.insert(to + 1, ")".to_owned());
                text.insert(at, "(".to_owned());
            }
        }
    }
    text
}

// ---- Sessions ----

/// Rows are not kept: there may be any number of them.
struct Forgetting;

impl Output for Forgetting {
    fn row_description(&mut self, _: &[Field]) {}
    fn rows(&mut self, batch: &Batch, fields: &[Field], _: &[Format], render: &RenderSettings) -> Result<()> {
        for row in 0..batch.rows {
            for (value, field) in batch.row(row).iter().zip(fields) {
                if !value.is_null() {
                    serin_sql::types::format_datum(value, field.data_type, render);
                }
            }
        }
        Ok(())
    }
    fn copy_data(&mut self, _: &[u8]) {}
    fn notice(&mut self, _: Error) {}
    fn parameter_status(&mut self, _: &str, _: &str) {}
    fn notification(&mut self, _: i32, _: &str, _: &str) {}
    fn buffered_bytes(&self) -> usize {
        0
    }
}

fn connect(engine: &Arc<Engine>) -> Session {
    let startup = Startup {
        user: "anybody".into(),
        database: "postgres".into(),
        parameters: vec![("lock_timeout".into(), "100ms".into())],
        client_address: None,
    };
    engine.connect(startup).unwrap()
}

/// As the server runs a message of the simple protocol.
fn send(session: &mut Session, text: &str) -> Result<()> {
    let out = &mut Forgetting;
    let result = (|| {
        let parsed = session.parse(text)?;
        for index in 0..parsed.len() {
            session.start_simple(&parsed, index, out)?;
            loop {
                match session.execute("", 0, out)? {
                    Progress::Complete(_) | Progress::EmptyQuery | Progress::Suspended => break,
                    Progress::CopyIn { .. } => {
                        session.copy_in_data(b"1\t2\n\\.\n", out)?;
                        session.copy_in_done(out)?;
                        break;
                    }
                    Progress::Paused | Progress::Waiting | Progress::CopyOut { .. } => {}
                }
            }
        }
        Ok(())
    })();
    let synced = session.sync(out);
    session.take_durable_at();
    result.and(synced)
}

/// What runs now, for the one who cancels it.
type Running = Arc<Mutex<Option<(Instant, Arc<Engine>, i32, i32)>>>;

fn cancel_what_takes_long(running: Running) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(PATIENCE / 10);
            let Some((since, engine, pid, secret)) = running.lock().unwrap().clone() else { continue };
            if since.elapsed() > LIMIT {
                eprintln!("does not end: {}", std::fs::read_to_string(last_text()).unwrap_or_default());
                std::process::exit(1);
            }
            if since.elapsed() > PATIENCE {
                engine.cancel(pid, secret);
            }
        }
    });
}

fn last_text() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile_text.sql")
}

#[derive(Default, Debug)]
struct Totals {
    texts: usize,
    succeeded: usize,
    canceled: usize,
    complaints: Vec<String>,
}

/// One text in a session that goes on, or is replaced by another one if its end was asked for.
fn try_text(text: &str, session: &mut Session, engine: &Arc<Engine>, running: &Running, totals: &mut Totals) {
    std::fs::write(last_text(), text).unwrap();
    *running.lock().unwrap() = Some((Instant::now(), engine.clone(), session.pid(), session.secret()));
    let outcome = catch_unwind(AssertUnwindSafe(|| send(session, text)));
    *running.lock().unwrap() = None;
    totals.texts += 1;
    match outcome {
        Ok(Ok(())) => totals.succeeded += 1,
        Ok(Err(error)) => match error.state().as_str() {
            // pg_terminate_backend(pg_backend_pid()) is a way to end.
            "57P01" => *session = connect(engine),
            "57014" => totals.canceled += 1,
            state if state.starts_with("XX") => {
                totals.complaints.push(format!("{state} {}: {text}", error.message()));
            }
            _ => {}
        },
        Err(_) => {
            totals.complaints.push(format!("panicked: {text}"));
            *session = connect(engine);
        }
    }
    if session.transaction_status() == TransactionStatus::Failed {
        send(session, "rollback").unwrap();
    }
}

/// A script in a database of its own, with mutants.
fn try_script(
    script: &[Vec<String>],
    scripts: &[Vec<Vec<String>>],
    enough: &dyn Fn(usize) -> bool,
    source: &mut StdRng,
    running: &Running,
    totals: &mut Totals,
) {
    let (dir, engine) = engine(&[]);
    run(
        &mut common::connect(&engine),
        "create role anybody login createrole createdb; grant all on schema public to anybody; grant create on database postgres to anybody",
    )
    .unwrap();
    let mut session = connect(&engine);
    for statement in script {
        if enough(totals.texts) {
            break;
        }
        try_text(&statement.join(" "), &mut session, &engine, running, totals);
        for _ in 0..source.random_range(0..5) {
            let text = mutant(statement, scripts, source).join(" ");
            try_text(&text, &mut session, &engine, running, totals);
        }
    }
    drop(session);
    engine.store().shutdown().unwrap();
    drop(engine);
    let store = Store::open(StoreOptions::new(&dir.path().join("data"))).unwrap();
    let report = check(store).unwrap();
    totals.complaints.extend(report.problems.iter().map(|problem| format!("check: {problem}")));
}

#[test]
fn any_text_gets_an_answer_or_an_error() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("SERIN_FUZZ_SECONDS");
    let seed = number("SERIN_FUZZ_SEED").unwrap_or(if seconds.is_some() { rand::random() } else { 1 });
    println!("SERIN_FUZZ_SEED={seed}");
    let mut source = StdRng::seed_from_u64(seed);
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let enough = move |texts: usize| end.map_or(texts >= TEXTS, |end| Instant::now() > end);
    let running = Running::default();
    cancel_what_takes_long(running.clone());
    let work = move || {
        let all = scripts();
        let mut totals = Totals::default();
        while !enough(totals.texts) {
            let mut order: Vec<usize> = (0..all.len()).collect();
            order.shuffle(&mut source);
            for at in order {
                if enough(totals.texts) {
                    break;
                }
                try_script(&all[at], &all, &enough, &mut source, &running, &mut totals);
            }
        }
        totals
    };
    let worker = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap();
    let totals = worker.join().unwrap();
    println!("{} texts, {} succeeded, {} canceled", totals.texts, totals.succeeded, totals.canceled);
    assert!(totals.succeeded > totals.texts / 20, "hardly anything ran");
    assert!(totals.complaints.is_empty(), "{}", totals.complaints.join("\n\n"));
}
