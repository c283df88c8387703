//! What one statement costs the engine, without network: `cargo bench -p serin-bench`. A table of 100,000 rows in
//! a temporary directory, commits durable in the background (nothing here waits for an fsync).

use criterion::{Criterion, criterion_group, criterion_main};
use serin_sql::column::Batch;
use serin_sql::types::RenderSettings;
use serin_sql::{Engine, Error, Field, Format, Output, Progress, Result, Session, Startup};
use serin_storage::{Store, StoreOptions};
use std::hint::black_box;
use std::sync::Arc;

const ROWS: i64 = 100_000;
const SELECT: &str = "SELECT abalance FROM accounts WHERE aid = $1";
const UPDATE: &str = "UPDATE accounts SET abalance = abalance + 1 WHERE aid = $1";
const JOIN: &str = "SELECT count(*), sum(a.abalance) FROM accounts a JOIN branches b USING (bid) WHERE a.aid BETWEEN 1 AND 1000";

/// Counts rows, and throws them away.
#[derive(Default)]
struct Count(usize);

impl Output for Count {
    fn row_description(&mut self, _: &[Field]) {}
    fn rows(&mut self, batch: &Batch, _: &[Field], _: &[Format], _: &RenderSettings) -> Result<()> {
        self.0 += batch.rows;
        Ok(())
    }
    fn copy_data(&mut self, _: &[u8]) {}
    fn notice(&mut self, _: Error) {}
    fn parameter_status(&mut self, _: &str, _: &str) {}
    fn buffered_bytes(&self) -> usize {
        0
    }
}

struct Client {
    session: Session,
    next: i64,
}

impl Client {
    fn connect(engine: &Arc<Engine>) -> Client {
        let startup = Startup {
            user: "postgres".into(),
            database: "postgres".into(),
            parameters: Vec::new(),
            client_address: None,
        };
        Client { session: engine.connect(startup).expect("connect"), next: 0 }
    }

    fn finish(&mut self, portal: &str) -> usize {
        let mut rows = Count::default();
        while let Progress::Paused = self.session.execute(portal, 0, &mut rows).expect("execute") {}
        rows.0
    }

    /// A query string, as the simple protocol sends it.
    fn simple(&mut self, sql: &str) -> usize {
        let parsed = self.session.parse(sql).expect("parse");
        let mut rows = 0;
        for index in 0..parsed.len() {
            self.session.start_simple(&parsed, index, &mut Count::default()).expect("start");
            rows += self.finish("");
        }
        self.session.sync(&mut Count::default()).expect("sync");
        let _ = self.session.take_durable_at();
        rows
    }

    /// A prepared statement with a key that differs each time: Bind, Execute, Sync.
    fn prepared(&mut self, name: &str) -> usize {
        self.next = (self.next + 7919) % ROWS;
        let key = (self.next + 1).to_string();
        self.session.bind("", name, &[Some(key.as_bytes())], &[], &[]).expect("bind");
        let rows = self.finish("");
        self.session.sync(&mut Count::default()).expect("sync");
        let _ = self.session.take_durable_at();
        rows
    }
}

fn statements(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(StoreOptions::new(&dir.path().join("data"))).expect("open");
    let engine = Engine::open(store, &[]).expect("engine");
    let mut client = Client::connect(&engine);
    client.simple("CREATE TABLE branches (bid int PRIMARY KEY, name text)");
    client.simple("CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))");
    client.simple("INSERT INTO branches SELECT g, 'branch ' || g FROM generate_series(1, 10) g");
    client.simple(&format!(
        "INSERT INTO accounts SELECT g, g % 10 + 1, 0, '' FROM generate_series(1, {ROWS}) g"
    ));
    client.session.prepare("select", SELECT, &[]).expect("prepare");
    client.session.prepare("update", UPDATE, &[]).expect("prepare");

    criterion.bench_function("parse a point select", |bencher| {
        bencher.iter(|| serin_sql::parse::parse(black_box(SELECT)).expect("parse"));
    });
    criterion.bench_function("point select, prepared", |bencher| {
        bencher.iter(|| assert_eq!(client.prepared("select"), 1));
    });
    criterion.bench_function("point select, simple protocol", |bencher| {
        bencher.iter(|| assert_eq!(client.simple("SELECT abalance FROM accounts WHERE aid = 4711"), 1));
    });
    criterion.bench_function("point update, prepared", |bencher| {
        bencher.iter(|| client.prepared("update"));
    });
    criterion.bench_function("join of 1,000 rows and aggregate", |bencher| {
        bencher.iter(|| assert_eq!(client.simple(JOIN), 1));
    });
    for mode in ["ssi", "2pl", "serial"] {
        client.simple(&format!(
            "SET concurrency_mode = '{mode}'; SET default_transaction_isolation = serializable"
        ));
        criterion.bench_function(&format!("point update, prepared, serializable by {mode}"), |bencher| {
            bencher.iter(|| client.prepared("update"));
        });
    }
}

criterion_group!(benches, statements);
criterion_main!(benches);
