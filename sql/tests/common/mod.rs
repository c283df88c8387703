//! An engine in a directory of its own, and sessions that run texts and keep what came of them.

use serin_sql::column::Batch;
use serin_sql::types::{RenderSettings, format_datum};
use serin_sql::{Engine, Error, Field, Format, Output, Progress, Result, Session, Startup};
use serin_storage::{Store, StoreOptions};
use std::sync::Arc;

#[derive(Default)]
struct Rows(Vec<String>);

impl Output for Rows {
    fn row_description(&mut self, _: &[Field]) {}
    fn rows(&mut self, batch: &Batch, fields: &[Field], _: &[Format], render: &RenderSettings) -> Result<()> {
        for row in 0..batch.rows {
            let values = batch.row(row);
            let shown = values.iter().zip(fields).map(|(value, field)| match value.is_null() {
                true => "NULL".to_string(),
                false => format_datum(value, field.data_type, render),
            });
            self.0.push(shown.collect::<Vec<_>>().join("|"));
        }
        Ok(())
    }
    fn copy_data(&mut self, _: &[u8]) {}
    fn notice(&mut self, _: Error) {}
    fn parameter_status(&mut self, _: &str, _: &str) {}
    fn buffered_bytes(&self) -> usize {
        0
    }
}

pub fn connect(engine: &Arc<Engine>) -> Session {
    let startup = Startup {
        user: "postgres".into(),
        database: "postgres".into(),
        parameters: Vec::new(),
        client_address: None,
    };
    engine.connect(startup).unwrap()
}

/// A new database. The directory goes with the first of the two.
pub fn engine(settings: &[(String, String)]) -> (tempfile::TempDir, Arc<Engine>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions::new(&dir.path().join("data"))).unwrap();
    let engine = Engine::open(store, settings).unwrap();
    (dir, engine)
}

/// The last statement's tag and all rows.
pub fn run(session: &mut Session, sql: &str) -> Result<(String, Vec<String>)> {
    let mut out = Rows::default();
    let mut tag = String::new();
    let result = (|| -> Result<()> {
        let parsed = session.parse(sql)?;
        for index in 0..parsed.len() {
            session.start_simple(&parsed, index, &mut out)?;
            tag = loop {
                match session.execute("", 0, &mut out)? {
                    Progress::Paused => {}
                    Progress::Complete(done) => break done,
                    other => panic!("{other:?}"),
                }
            };
        }
        Ok(())
    })();
    let synced = session.sync(&mut out);
    if let Some(at) = session.take_durable_at() {
        session.engine().store().wait_durable(at).unwrap();
    }
    result?;
    synced?;
    Ok((tag, out.0))
}
