//! An engine in a directory of its own, and sessions that run texts and keep what came of them.

// Every test binary takes what it needs of it.
#![allow(dead_code)]

use serin_sql::column::Batch;
use serin_sql::types::{RenderSettings, format_datum};
use serin_sql::{Engine, Error, Field, Format, Output, Progress, Result, Session, Startup};
use serin_storage::{Store, StoreOptions};
use std::sync::Arc;

/// What came of statements.
#[derive(Default)]
pub struct Recorder {
    pub rows: Vec<String>,
    pub notices: Vec<String>,
    pub copied: Vec<u8>,
}

impl Output for Recorder {
    fn row_description(&mut self, _fields: &[Field]) {}
    fn rows(&mut self, batch: &Batch, fields: &[Field], _: &[Format], render: &RenderSettings) -> Result<()> {
        for row in 0..batch.rows {
            let values = batch.row(row);
            let shown = values.iter().zip(fields).map(|(value, field)| match value.is_null() {
                true => "NULL".to_string(),
                false => format_datum(value, field.data_type, render),
            });
            self.rows.push(shown.collect::<Vec<_>>().join("|"));
        }
        Ok(())
    }
    fn copy_data(&mut self, data: &[u8]) {
        self.copied.extend_from_slice(data);
    }
    fn notice(&mut self, notice: Error) {
        self.notices.push(notice.message().to_string());
    }
    fn parameter_status(&mut self, _: &str, _: &str) {}
    fn notification(&mut self, _: i32, channel: &str, payload: &str) {
        self.notices.push(format!("{channel}: {payload}"));
    }
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
    let mut out = Recorder::default();
    let tag = run_recorded(session, sql, &[], &mut out)?;
    Ok((tag, out.rows))
}

/// Runs a message as the server does, COPY with the input given; the last statement's tag.
pub fn run_recorded(session: &mut Session, sql: &str, copy_in: &[u8], out: &mut Recorder) -> Result<String> {
    let result = run_message(session, sql, copy_in, out);
    let synced = session.sync(out);
    if let Some(at) = session.take_durable_at() {
        session.engine().store().wait_durable(at).unwrap();
    }
    let tag = result?;
    synced?;
    Ok(tag)
}

fn run_message(session: &mut Session, sql: &str, copy_in: &[u8], out: &mut Recorder) -> Result<String> {
    let parsed = session.parse(sql)?;
    let mut tag = String::new();
    for index in 0..parsed.len() {
        session.start_simple(&parsed, index, out)?;
        loop {
            match session.execute("", 0, out)? {
                Progress::Complete(done) => {
                    tag = done;
                    break;
                }
                Progress::CopyIn { .. } => {
                    // In odd pieces, as a socket delivers them.
                    for piece in copy_in.chunks(7) {
                        session.copy_in_data(piece, out)?;
                    }
                    if let Progress::Complete(done) = session.copy_in_done(out)? {
                        tag = done;
                    }
                    break;
                }
                Progress::EmptyQuery | Progress::Suspended => break,
                Progress::Paused | Progress::Waiting | Progress::CopyOut { .. } => {}
            }
        }
    }
    Ok(tag)
}
