//! Every statement that the clients of `tests/clients/logs` sent to a PostgreSQL, to Serin and to a PostgreSQL 15 side by side:
//! rows, names and types of columns and parameters, command tags, errors, notices and the state of the transaction must be the same.
//!
//! The logs have each distinct statement once, without the order in which they came, so a schema in which as many as possible
//! mean something is made of them first: whatever creates, alters or fills (`Logged::builds`) is tried in turn until nothing more
//! succeeds on PostgreSQL. Then every other statement runs in a transaction of its own that is rolled back, so that what it
//! destroys is there for the next. Creating what is there already (the logs have many definitions of the same table) runs after
//! a DROP. What defines two tables of one name can't meet in one schema: the statements that failed for something missing
//! run once more in a second database, built the other way around.
//!
//! Treated apart: pg_sleep sleeps for nothing; COPY FROM STDIN gets no data; OIDs of the logged server are those of objects of
//! `tests/clients/psql/objects.sql`, which every database has too. Values that no two servers share (OIDs given away freely, xids,
//! the time) are masked by their types (`answer`); rows are compared as sets where no ORDER BY is at the top.
//!
//! `differences.txt` lists what differs, with reasons. `SERIN_LOGS_REPORT=file` writes everything that differs to a file,
//! `SERIN_LOGS=name,name` plays some logs only.

#[path = "client_logs/answer.rs"]
mod answer;
#[path = "client_logs/play.rs"]
mod play;
#[path = "client_logs/statement.rs"]
mod statement;

use answer::{Answer, Part};
use play::{Answers, Pair};
use serin_tests::{PgServer, TestServer};
use statement::{Before, Logged, Stage, read_log};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What is there already, or can't be: another attempt would fare no better.
const FINAL: &[&str] =
    &["42P07", "42710", "42P06", "42701", "42723", "42P16", "23505", "42601", "0A000", "42P17"];
/// Objects whose OIDs stand for those of the logged server.
const OBJECTS: &[&str] = &[
    "'app.people'::regclass::oid",
    "'app.events'::regclass::oid",
    "'app.child'::regclass::oid",
    "'app.happy'::regclass::oid",
    "'app.counts'::regclass::oid",
    "'app.numbers'::regclass::oid",
    "'app.people_lower'::regclass::oid",
    "(SELECT oid FROM pg_type WHERE typname = 'mood' AND typnamespace = 'app'::regnamespace)",
    "'app.add'::regproc::oid",
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/logs")
}

/// One log's statements on both servers.
struct Player<'a> {
    name: &'a str,
    pair: Pair,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    statements: usize,
    /// Those whose last answer of PostgreSQL's was no error.
    succeeded: BTreeSet<usize>,
    /// By line: text and both answers.
    differences: BTreeMap<usize, (String, Answers)>,
}

impl Player<'_> {
    /// Compares; keeps the first difference of a statement.
    fn judge(&mut self, logged: &Logged, answers: Answers) {
        let succeeded = answers.theirs.error().is_none();
        if succeeded {
            self.tally.succeeded.insert(logged.line);
        }
        if answers.ours == answers.theirs {
            return;
        }
        let (ours, theirs) = (answers.ours.without_cut_rows(), answers.theirs.without_cut_rows());
        let (ours, theirs) = match logged.is_ordered() {
            true => (ours, theirs),
            false => (ours.without_order(), theirs.without_order()),
        };
        if ours != theirs {
            self.tally
                .differences
                .entry(logged.line)
                .or_insert((logged.text.clone(), Answers { ours, theirs }));
        }
    }

    /// Not of the log: must do the same on both.
    fn both(&mut self, sql: &str) {
        let answers = self.pair.query(sql);
        assert_eq!(answers.ours, answers.theirs, "{}: {sql}", self.name);
    }

    fn end_block(&mut self, last: &Answers) {
        if last.ours.status() != 'I' || last.theirs.status() != 'I' {
            self.pair.query("ROLLBACK");
        }
    }

    /// A database with prepared transactions can't be dropped.
    fn roll_back_prepared(&mut self) {
        let quoted = "SELECT quote_literal(gid) FROM pg_prepared_xacts WHERE database = current_database()";
        let (ours, theirs) = self.pair.values(quoted);
        for name in ours.iter().chain(&theirs) {
            self.pair.query(&format!("ROLLBACK PREPARED {name}"));
        }
    }

    /// Tries everything until nothing more succeeds. What is left.
    fn build(&mut self, mut statements: Vec<(Stage, Logged)>) -> Vec<Logged> {
        let mut left = Vec::new();
        for stage in [Stage::Create, Stage::Alter, Stage::Insert] {
            loop {
                let mut again = Vec::new();
                let mut progress = false;
                for (of, logged) in std::mem::take(&mut statements) {
                    if of > stage {
                        again.push((of, logged));
                        continue;
                    }
                    let answers = self.pair.query(&logged.without_sleep());
                    self.end_block(&answers);
                    match answers.theirs.error() {
                        None => {
                            progress = true;
                            self.judge(&logged, answers);
                        }
                        Some(code) if FINAL.contains(&code) => left.push(logged),
                        Some(_) => again.push((of, logged)),
                    }
                }
                statements = again;
                if !progress {
                    break;
                }
            }
        }
        left.extend(statements.into_iter().map(|(_, logged)| logged));
        left
    }

    /// In a transaction that is rolled back, unless it can't be in one.
    fn run(&mut self, logged: &Logged) {
        let text = logged.without_sleep();
        match logged.before() {
            Before::Nothing => {}
            Before::Block(prelude) => {
                self.pair.query(&format!("BEGIN; {prelude}"));
            }
            Before::Prepared(name) => {
                self.pair.query(&format!("BEGIN; SELECT 1; PREPARE TRANSACTION {name}"));
            }
        }
        let mut answers = self.ask(logged, &text);
        if answers.theirs.error().is_some_and(|code| FINAL.contains(&code))
            && let Some(undo) = logged.undo()
        {
            self.pair.query("ROLLBACK; BEGIN");
            self.pair.query(&undo);
            answers = self.ask(logged, &text);
        }
        self.end_block(&answers);
        if answers.theirs.error() == Some("25001") {
            // VACUUM, CREATE DATABASE, CREATE INDEX CONCURRENTLY
            self.judge(logged, answers);
            answers = self.ask(logged, &text);
            self.end_block(&answers);
        }
        if let Before::Prepared(name) = logged.before() {
            self.pair.query(&format!("ROLLBACK PREPARED {name}"));
        }
        self.judge(logged, answers);
    }

    fn ask(&mut self, logged: &Logged, text: &str) -> Answers {
        match logged.has_parameters() {
            true => self.pair.prepared(text),
            false => self.pair.query(text),
        }
    }

    /// Once for each of the objects.
    fn run_for_objects(&mut self, logged: &Logged, ours: &[String], theirs: &[String]) {
        for (ours, theirs) in ours.iter().zip(theirs) {
            let answers = self.pair.query_each(
                &answer::with_oids_as(ours, &logged.text),
                &answer::with_oids_as(theirs, &logged.text),
            );
            self.end_block(&answers);
            self.judge(logged, answers);
        }
    }

    /// Builds what comes first first, and then runs the rest and everything that `wanted` has.
    fn world(
        &mut self,
        statements: &[Logged],
        first: &BTreeSet<usize>,
        wanted: impl Fn(&Logged) -> bool,
    ) -> Vec<Logged> {
        let builders = statements.iter().filter_map(|logged| Some((logged.builds()?, logged.clone())));
        let (before, after): (Vec<_>, Vec<_>) =
            builders.partition(|(_, logged)| first.contains(&logged.line));
        let left = self.build(before.into_iter().chain(after).collect());
        let (ours, theirs) =
            self.pair.values(&format!("SELECT unnest(ARRAY[{}])::bigint::text", OBJECTS.join(", ")));
        assert_eq!(
            (ours.len(), theirs.len()),
            (OBJECTS.len(), OBJECTS.len()),
            "{}: the objects are there",
            self.name
        );
        let left_lines: BTreeSet<usize> = left.iter().map(|logged| logged.line).collect();
        for logged in statements {
            let built = logged.builds().is_some() && !left_lines.contains(&logged.line);
            if built || !wanted(logged) {
                continue;
            }
            if logged.names_oid() && !logged.has_parameters() {
                self.run_for_objects(logged, &ours, &theirs);
            } else {
                self.run(logged);
            }
        }
        left
    }
}

fn create_database(ours: SocketAddr, theirs: SocketAddr, database: &str) {
    let mut pair = Pair::connect(ours, theirs, "postgres");
    let create = format!(
        "CREATE DATABASE \"{database}\" TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' ENCODING 'UTF8'"
    );
    let answers = pair.query(&create);
    assert_eq!((answers.ours.error(), answers.theirs.error()), (None, None), "{create}");
}

fn drop_database(ours: SocketAddr, theirs: SocketAddr, database: &str) {
    let mut pair = Pair::connect(ours, theirs, "postgres");
    let answers = pair.query(&format!("DROP DATABASE \"{database}\" WITH (FORCE)"));
    assert_eq!(
        (answers.ours.error(), answers.theirs.error()),
        (None, None),
        "{:?}, {:?}",
        answers.ours,
        answers.theirs
    );
}

fn play(name: &str, ours: SocketAddr, theirs: SocketAddr) -> Tally {
    let text =
        std::fs::read_to_string(directory().join(name).with_extension("sql")).expect("the log is there");
    let statements = read_log(&text);
    let objects =
        std::fs::read_to_string(directory().join("../psql/objects.sql")).expect("the objects are there");
    let objects: String = objects
        .lines()
        .filter(|line| !line.contains("ROLE") && !line.contains("DEFAULT PRIVILEGES"))
        .fold(String::new(), |all, line| all + line + "\n");
    let mut tally = Tally { statements: statements.len(), ..Tally::default() };
    let mut first = BTreeSet::new();
    for world in 0..2 {
        let database = "client_logs";
        create_database(ours, theirs, database);
        let mut player = Player { name, pair: Pair::connect(ours, theirs, database), tally };
        player.both(&objects);
        let succeeded = player.tally.succeeded.clone();
        let left =
            player.world(&statements, &first, |logged| world == 0 || !succeeded.contains(&logged.line));
        first = left.iter().map(|logged| logged.line).collect();
        player.roll_back_prepared();
        tally = player.tally;
        drop(player.pair);
        drop_database(ours, theirs, database);
    }
    tally
}

#[test]
fn every_statement_is_answered_as_by_postgresql() {
    let Some(theirs) = PgServer::start(&[
        "fsync=off",
        "autovacuum=off",
        "max_prepared_transactions=64",
        "jit=off",
        "lc_messages=C",
    ]) else {
        eprintln!("skipped: no PostgreSQL server is installed to compare with");
        return;
    };
    let ours = TestServer::start();
    let their_address = SocketAddr::from(([127, 0, 0, 1], theirs.port()));
    let mut pair = Pair::connect(ours.address(), their_address, "postgres");
    let version = pair.values("SELECT current_setting('server_version_num')::int / 10000").1;
    if version != ["15"] {
        eprintln!("skipped: what differs is known of PostgreSQL 15, installed is {version:?}");
        return;
    }
    for role in ["psql_reader", "psql_writer"] {
        pair.query(&format!("CREATE ROLE {role} NOLOGIN"));
    }
    let chosen = std::env::var("SERIN_LOGS").ok();
    let chosen: Option<Vec<&str>> = chosen.as_deref().map(|names| names.split(',').collect());
    let entries = std::fs::read_dir(directory()).expect("the logs are there").flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".sql")?.to_owned()))
        .filter(|name| chosen.as_ref().is_none_or(|chosen| chosen.contains(&name.as_str())))
        .collect();
    names.sort();
    let mut report = String::new();
    let mut found = BTreeMap::new();
    for name in &names {
        let started = std::time::Instant::now();
        let tally = play(name, ours.address(), their_address);
        eprintln!(
            "{name}: {} statements, {} succeed on PostgreSQL, {} differ ({:.1?})",
            tally.statements,
            tally.succeeded.len(),
            tally.differences.len(),
            started.elapsed()
        );
        for (line, (text, Answers { ours, theirs })) in &tally.differences {
            let _ = writeln!(report, "=== {name}:{line}\n{text}\n{}", difference(ours, theirs));
        }
        found.extend(tally.differences.into_iter().map(|(line, (text, _))| (format!("{name}:{line}"), text)));
    }
    if let Ok(path) = std::env::var("SERIN_LOGS_REPORT") {
        std::fs::write(path, &report).expect("the report can be written");
    }
    let mut known = Known::read(&names);
    if std::env::var_os("SERIN_BLESS").is_some() && chosen.is_none() {
        known.take(&found);
        known.write();
    }
    known.check(&found, &report);
}

/// `differences.txt`: reasons, and below each the statements that differ for it. `# ` begins a remark.
struct Known {
    /// Reason, and places of its statements.
    reasons: Vec<(String, Vec<String>)>,
}

const UNEXPLAINED: &str = "?";

/// How a reason begins whose statements may happen to be answered alike: numbers of processes, of the clock, of the machine's locales.
const BY_CHANCE: &str = "By chance equal or not: ";

impl Known {
    fn path() -> PathBuf {
        directory().join("differences.txt")
    }

    /// Of these logs.
    fn read(names: &[String]) -> Known {
        let text = std::fs::read_to_string(Known::path()).expect("the known differences are there");
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let place = line.split(' ').next().unwrap_or_default();
            match line.strip_prefix("== ") {
                Some(reason) => reasons.push((reason.to_owned(), Vec::new())),
                None if place.is_empty() => {}
                None => {
                    let log = place.split(':').next().unwrap_or_default();
                    let (_, places) = reasons.last_mut().expect("a reason comes first");
                    if names.iter().any(|name| name == log) {
                        places.push(place.to_owned());
                    }
                }
            }
        }
        Known { reasons }
    }

    /// Drops what no longer differs, adds the rest without a reason.
    fn take(&mut self, found: &BTreeMap<String, String>) {
        let mut unexplained: BTreeSet<&String> = found.keys().collect();
        for (reason, places) in &mut self.reasons {
            places.retain(|place| unexplained.remove(place) || reason.starts_with(BY_CHANCE));
        }
        if !unexplained.is_empty() {
            self.reasons.push((UNEXPLAINED.into(), unexplained.into_iter().cloned().collect()));
        }
    }

    fn write(&self) {
        let mut text = String::from(
            "# Statements of the logs beside this file that Serin answers differently from PostgreSQL 15, below the reason.\n\
             # `SERIN_BLESS=1 cargo test -p serin-tests --test client_logs` drops those that no longer differ and adds new ones under `== ?`.\n",
        );
        for (reason, places) in self.reasons.iter().filter(|(_, places)| !places.is_empty()) {
            let _ = write!(text, "\n== {reason}\n");
            for place in places {
                let _ = writeln!(text, "{place} {}", excerpt(place));
            }
        }
        std::fs::write(Known::path(), text).expect("the known differences can be written");
    }

    fn check(&self, found: &BTreeMap<String, String>, report: &str) {
        let known: BTreeSet<&String> = self.reasons.iter().flat_map(|(_, places)| places).collect();
        let new: Vec<&String> = found.keys().filter(|place| !known.contains(place)).collect();
        if !new.is_empty() {
            let of_new = |entry: &&str| new.iter().any(|place| entry.lines().next() == Some(place.as_str()));
            let shown: Vec<&str> = report.split("=== ").filter(of_new).take(20).collect();
            panic!("{} statements are answered differently:\n{}", new.len(), shown.join("\n"));
        }
        let must_differ = self.reasons.iter().filter(|(reason, _)| !reason.starts_with(BY_CHANCE));
        let gone: Vec<&String> =
            must_differ.flat_map(|(_, places)| places).filter(|place| !found.contains_key(*place)).collect();
        assert!(gone.is_empty(), "no longer different, but in differences.txt: {gone:?}");
        for (reason, places) in &self.reasons {
            assert!(reason != UNEXPLAINED || places.is_empty(), "without a reason: {places:?}");
        }
    }
}

/// The beginning of the statement at `log:line`.
fn excerpt(place: &str) -> String {
    let (name, line) = place.split_once(':').expect("a place is log:line");
    let text =
        std::fs::read_to_string(directory().join(name).with_extension("sql")).expect("the log is there");
    let line = text.lines().nth(line.parse::<usize>().expect("a line number") - 1).unwrap_or_default();
    line.chars().take(100).collect()
}

/// The parts that one has and the other hasn't.
fn difference(ours: &Answer, theirs: &Answer) -> String {
    let only = |a: &Answer, b: &Answer, sign: &str| {
        let parts = a.0.iter().filter(|part| !b.0.contains(part)).take(6);
        parts.fold(String::new(), |all, part: &Part| {
            let text: String = part.to_string().chars().take(600).collect();
            format!("{all}{sign} {text}\n")
        })
    };
    let all = |answer: &Answer| {
        answer.0.iter().take(12).fold(String::new(), |all, part| format!("{all}  {part}\n"))
    };
    let (less, more) = (only(theirs, ours, "-"), only(ours, theirs, "+"));
    if less.is_empty() && more.is_empty() {
        return format!("another order, or number\n{}---\n{}", all(theirs), all(ours));
    }
    less + &more
}

#[test]
fn only_whole_numbers_are_oids() {
    let masked = |text: &str| answer::with_oids_as("OID", text);
    assert_eq!(masked("type 16520, pg_toast_16521_index"), "type OID, pg_toast_OID_index");
    for text in ["20520c79-638f-451b-bd8b-fb76c4d16137", "a16520", "1.16520", "9999", "9999999"] {
        assert_eq!(masked(text), text);
    }
}
