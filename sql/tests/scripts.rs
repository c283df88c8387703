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

mod common;

use common::{Recorder, connect, run_recorded};
use serin_sql::{Engine, Error, Session};
use serin_storage::{Store, StoreOptions};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

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
        self.sessions.entry(self.current.clone()).or_insert_with(|| connect(engine))
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
        let result = run_recorded(world.session(), &sql, copy_in.as_bytes(), &mut out);
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

scripts! { partitions partition_definitions partition_changes inheritance grouping_sets views functions merge plpgsql privileges transactions exported_snapshots triggers window definitions sequences constraints alter cursors copy select change plans parameters foreign_keys deferrable_unique indexes spill notify types ranges timetz ordered_sets }
