//! A list of named checks, run in order; each may fail. The last line is what docs/clients.md counts.

use std::future::Future;

pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

pub struct Checks {
    client: &'static str,
    passed: usize,
    total: usize,
}

impl Checks {
    pub fn new(client: &'static str) -> Checks {
        Checks { client, passed: 0, total: 0 }
    }
    pub fn note(&mut self, name: &str, outcome: Outcome) {
        self.total += 1;
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => println!("{}: FAILED {name}: {error}", self.client),
        }
    }
    pub async fn run(&mut self, name: &str, check: impl Future<Output = Outcome>) {
        let outcome = check.await;
        self.note(name, outcome);
    }
    pub fn finish(self) {
        println!("{}: {}/{}", self.client, self.passed, self.total);
        std::process::exit(i32::from(self.passed < self.total));
    }
}

/// An error that names what was expected, rather than a panic: the other checks go on.
#[macro_export]
macro_rules! same {
    ($got:expr, $expected:expr) => {{
        let (got, expected) = (&$got, &$expected);
        if got != expected {
            return Err(format!("line {}: expected {expected:?}, got {got:?}", line!()).into());
        }
    }};
}

/// The server's database with a schema of one's own.
pub fn url(schema: &str) -> String {
    let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    format!(
        "postgres://{}@{}:{}/{}?options=-csearch_path%3D{schema}",
        setting("PGUSER", "postgres"),
        setting("PGHOST", "127.0.0.1"),
        setting("PGPORT", "5432"),
        setting("PGDATABASE", "postgres"),
    )
}
