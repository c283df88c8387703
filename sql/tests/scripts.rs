//! Runs `tests/scripts/*.slt` through sessions in this process: no sockets, a fresh store for each script.
//!
//! ```text
//! statement ok            the statements below, up to a blank line, succeed
//! statement error 23505   … fail with this SQLSTATE; text after it must be in "message|detail|hint"
//! query                   … answer the rows after `----` (columns separated by |, null as NULL)
//! tag INSERT 0 1          … end with this command tag
//! notice                  … raise the notices after `----`; notifications count as such, `channel: payload`
//! connection b            switches to (or opens) a session
//! restart                 closes the store and opens it again
//! ```

use serin_sql::column::Batch;
use serin_sql::types::{RenderSettings, format_datum};
use serin_sql::{Engine, Error, Field, Format, Output, Progress, Result, Session, Startup};
use serin_storage::{Store, StoreOptions};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

#[derive(Default)]
struct Recorder {
    rows: Vec<String>,
    notices: Vec<String>,
    copied: Vec<u8>,
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

/// Runs a message as the server does; the last statement's tag.
fn run(session: &mut Session, sql: &str, copy_in: &[u8], out: &mut Recorder) -> Result<String> {
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

fn describe(error: &Error) -> String {
    let fields = error.fields();
    let parts = [Some(&fields.message), fields.detail.as_ref(), fields.hint.as_ref()];
    parts.into_iter().flatten().cloned().collect::<Vec<_>>().join("|")
}

struct World {
    dir: tempfile::TempDir,
    engine: Option<Arc<Engine>>,
    sessions: HashMap<String, Session>,
    current: String,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World { dir, engine: None, sessions: HashMap::new(), current: "a".into() };
        world.open();
        world
    }
    fn open(&mut self) {
        let store = Store::open(StoreOptions::new(&self.dir.path().join("data"))).unwrap();
        let settings = [("data_directory".to_string(), self.dir.path().display().to_string())];
        self.engine = Some(Engine::open(store, &settings).unwrap());
    }
    fn restart(&mut self) {
        self.sessions.clear();
        let engine = self.engine.take().unwrap();
        engine.store().shutdown().unwrap();
        drop(engine);
        self.open();
    }
    fn session(&mut self) -> &mut Session {
        let engine = self.engine.as_ref().unwrap();
        self.sessions.entry(self.current.clone()).or_insert_with(|| {
            let startup = Startup {
                user: "postgres".into(),
                database: "postgres".into(),
                parameters: Vec::new(),
                client_address: None,
            };
            engine.connect(startup).unwrap()
        })
    }
}

fn run_script(path: &Path) {
    let script = std::fs::read_to_string(path).unwrap();
    let mut world = World::new();
    let mut failures = String::new();
    let mut lines = script.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "connection" => {
                world.current = argument.into();
                continue;
            }
            "restart" => {
                world.restart();
                continue;
            }
            "disconnect" => {
                world.sessions.remove(argument);
                continue;
            }
            _ => {}
        }
        let mut take_block = |until_marker: bool| {
            let mut block: Vec<&str> = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim_end().is_empty()) {
                if until_marker && line.trim_end() == "----" {
                    return (block, true);
                }
                block.push(line);
            }
            (block, false)
        };
        let (sql, has_result) = take_block(true);
        let expected = if has_result { take_block(false).0 } else { Vec::new() };
        let sql = sql.join("\n");
        let copy_in = if matches!(verb, "copy" | "statement") {
            expected.iter().map(|l| format!("{l}\n")).collect()
        } else {
            String::new()
        };
        let mut out = Recorder::default();
        let result = run(world.session(), &sql, copy_in.as_bytes(), &mut out);
        let mut fail = |what: String| {
            writeln!(failures, "{}:{}: {sql}\n  {what}", path.display(), number + 1).unwrap();
        };
        match (verb, &result) {
            ("statement", Err(error)) if argument.starts_with("error") => {
                let wanted = argument["error".len()..].trim();
                let (state, text) = wanted.split_once(' ').unwrap_or((wanted, ""));
                let got = describe(error);
                if !state.is_empty() && error.state().as_str() != state || !got.contains(text) {
                    fail(format!("expected {wanted}, got {} {got}", error.state().as_str()));
                }
            }
            ("statement", Ok(_)) if argument == "ok" => {}
            ("statement", Ok(tag)) => fail(format!("expected an error, got {tag}")),
            (_, Err(error)) => fail(format!("{} {}", error.state().as_str(), describe(error))),
            ("tag" | "copy", Ok(tag)) if tag == argument => {}
            ("tag" | "copy", Ok(tag)) => fail(format!("expected tag {argument}, got {tag}")),
            ("query", Ok(_)) => {
                let copied = String::from_utf8_lossy(&out.copied).into_owned();
                let mut rows = out.rows;
                rows.extend(copied.lines().map(str::to_string));
                if argument == "sorted" {
                    rows.sort();
                }
                if rows != expected {
                    fail(format!("expected\n{}\n  got\n{}", expected.join("\n"), rows.join("\n")));
                }
            }
            ("notice", Ok(_)) if out.notices == expected => {}
            ("notice", Ok(_)) => fail(format!("expected notices {expected:?}, got {:?}", out.notices)),
            _ => fail(format!("what is {line:?}?")),
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/", stringify!($name), ".slt");
            run_script(Path::new(file));
        })*

        /// A script that nobody runs proves nothing.
        #[test]
        fn every_script_is_listed() {
            let listed = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts")).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(listed.contains(&name), "{name} is not in the list");
            }
        }
    };
}

scripts! { partitions partition_definitions partition_changes inheritance grouping_sets views functions merge plpgsql privileges transactions triggers window definitions sequences constraints alter cursors copy select change plans parameters foreign_keys deferrable_unique indexes spill notify types ranges timetz ordered_sets }
