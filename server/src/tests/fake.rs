//! A backend whose statements are instructions, so that the connection loop is tested alone: each test says what the
//! "engine" does by the SQL text it sends.

use crate::backend::{Backend, BackendSession};
use crate::connection::shutting_down;
use parking_lot::{Condvar, Mutex};
use serin_sql::column::{Batch, Column, Strings, Values};
use serin_sql::types::{
    DateFormat, DateOrder, DateStyle, IntervalStyle, Oid, RenderSettings, TimeZone, Type,
};
use serin_sql::{
    Error, Field, Format, NoticeSink, OUTPUT_BYTES_MAX, Output, Progress, Result, ScramVerifier, SqlState,
    Startup, TransactionStatus,
};
use serin_storage::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// The timestamp that never becomes durable.
const LOST: u64 = 666;

#[derive(Default)]
pub struct World {
    /// Calls that tests ask about, in order.
    log: Mutex<Vec<String>>,
    logged: Condvar,
    /// Sessions told to stop waiting.
    canceled: Mutex<Vec<i32>>,
    cancel: Condvar,
    pids: Mutex<i32>,
    terminated: Mutex<Vec<i32>>,
    wakers: Mutex<HashMap<i32, Box<dyn Fn() + Send>>>,
}

impl World {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().push(what.into());
        self.logged.notify_all();
    }
    /// Waits until something was noted.
    pub fn wait_for(&self, what: &str) {
        let mut log = self.log.lock();
        while !log.iter().any(|line| line == what) {
            let timeout = self.logged.wait_for(&mut log, std::time::Duration::from_secs(20));
            assert!(!timeout.timed_out(), "{what:?} not in {log:?}");
        }
    }
    pub fn terminate(&self, pid: i32) {
        self.terminated.lock().push(pid);
        self.canceled.lock().push(pid);
        self.cancel.notify_all();
        if let Some(wake) = self.wakers.lock().get(&pid) {
            wake();
        }
    }
    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }
}

pub struct Fake(pub Arc<World>);

pub struct FakeSession {
    world: Arc<World>,
    pid: i32,
    status: TransactionStatus,
    durable_at: Option<Timestamp>,
    statements: HashMap<String, String>,
    /// Instruction and rows sent.
    portals: HashMap<String, (String, u64, Vec<Format>)>,
    copied: usize,
    fail_panics: bool,
}

impl Backend for Fake {
    type Session = FakeSession;

    fn scram_verifier(&self, role: &str) -> Option<ScramVerifier> {
        (role == "me").then(|| ScramVerifier::of("secret"))
    }
    fn is_member(&self, user: &str, role: &str) -> bool {
        user == role
    }
    fn connect(&self, startup: Startup) -> Result<FakeSession> {
        if startup.database == "nowhere" {
            return Err(Error::new(SqlState::INVALID_CATALOG_NAME, "database \"nowhere\" does not exist"));
        }
        if startup.database == "panic" {
            panic!("as told");
        }
        self.0.note(format!("connect {} {} {:?}", startup.user, startup.database, startup.parameters));
        let mut pids = self.0.pids.lock();
        *pids += 1;
        Ok(FakeSession {
            world: self.0.clone(),
            pid: *pids,
            status: TransactionStatus::Idle,
            durable_at: None,
            statements: HashMap::new(),
            portals: HashMap::new(),
            copied: 0,
            fail_panics: false,
        })
    }
    fn cancel(&self, pid: i32, secret: i32) {
        if secret == 4711 {
            self.0.canceled.lock().push(pid);
            self.0.cancel.notify_all();
        }
    }
    fn terminate_all(&self) {
        let pids = *self.0.pids.lock();
        (1..=pids).for_each(|pid| self.0.terminate(pid));
    }
    async fn durable(&self, ts: Timestamp) -> Result<()> {
        self.0.note(format!("durable {}", ts.0));
        if ts.0 == LOST { Err(Error::new(SqlState::IO_ERROR, "fsync failed")) } else { Ok(()) }
    }
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.world.note(format!("drop {}", self.pid));
    }
}

fn fields() -> Vec<Field> {
    let field = |name: &str, data_type, type_size| Field {
        name: name.into(),
        table: 0,
        column: 0,
        data_type,
        type_size,
        type_modifier: -1,
    };
    vec![field("n", Type::INT4, 4), field("t", Type::TEXT, -1)]
}

fn render() -> RenderSettings {
    RenderSettings {
        date_style: DateStyle { format: DateFormat::Iso, order: DateOrder::Mdy },
        interval_style: IntervalStyle::Postgres,
        time_zone: Arc::new(TimeZone::utc()),
        extra_float_digits: 1,
        bytea_escape: false,
    }
}

impl FakeSession {
    fn returns_rows(instruction: &str) -> bool {
        instruction.starts_with("rows") || instruction == "panic in row"
    }

    /// Rows `from..to`: the number, and a text of it.
    fn rows(&self, from: u64, to: u64, formats: &[Format], out: &mut dyn Output) -> Result<()> {
        let mut strings = Strings { offsets: vec![0], bytes: Vec::new() };
        for n in from..to {
            strings.bytes.extend_from_slice(format!("row {n}").as_bytes());
            strings.offsets.push(strings.bytes.len());
        }
        let numbers = (from..to).map(|n| n as i32).collect();
        let columns = [Values::Int4(numbers), Values::Text(strings)]
            .map(|values| Arc::new(Column { values, nulls: None }))
            .to_vec();
        let formats = match formats {
            [] => vec![Format::Text; 2],
            [all] => vec![*all; 2],
            each => each.to_vec(),
        };
        out.rows(&Batch { columns, rows: (to - from) as usize }, &fields(), &formats, &render())
    }
}

impl BackendSession for FakeSession {
    type Parsed = String;

    fn pid(&self) -> i32 {
        self.pid
    }
    fn secret(&self) -> i32 {
        4711
    }
    fn set_waker(&self, waker: Box<dyn Fn() + Send>) {
        self.world.wakers.lock().insert(self.pid, waker);
    }
    fn pending_fatal(&self) -> Option<Error> {
        self.world.terminated.lock().contains(&self.pid).then(shutting_down)
    }
    fn has_notifications(&self) -> bool {
        false
    }
    fn deliver_notifications(&mut self, _: &mut dyn Output) {}
    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }
    fn reported_parameters(&self) -> Vec<(&'static str, String)> {
        vec![("server_version", "16.0".into()), ("client_encoding", "UTF8".into())]
    }
    fn take_durable_at(&mut self) -> Option<Timestamp> {
        self.durable_at.take()
    }
    fn set_notice_sink(&self, _: NoticeSink) {}
    fn is_end_long(&self) -> bool {
        false
    }
    fn is_long(&self, portal: &str) -> bool {
        self.portals.get(portal).is_some_and(|(instruction, ..)| instruction == "wait")
    }
    fn parse(&mut self, sql: &str) -> Result<Vec<String>> {
        if sql.contains("syntax error") {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(3));
        }
        Ok(sql.split(';').map(str::trim).filter(|part| !part.is_empty()).map(Into::into).collect())
    }
    fn start_simple(&mut self, parsed: &[String], index: usize, out: &mut dyn Output) -> Result<()> {
        if Self::returns_rows(&parsed[index]) {
            out.row_description(&fields());
        }
        self.portals.insert(String::new(), (parsed[index].clone(), 0, vec![]));
        Ok(())
    }
    fn prepare(&mut self, name: &str, sql: &str, _types: &[Oid]) -> Result<()> {
        self.world.note(format!("prepare {sql}"));
        if sql.contains("syntax error") {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
        }
        self.statements.insert(name.into(), sql.into());
        Ok(())
    }
    fn describe_statement(&mut self, name: &str) -> Result<(Vec<Oid>, Option<Vec<Field>>)> {
        Ok((vec![23], Self::returns_rows(&self.statements[name]).then(fields)))
    }
    fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        _parameters: &[Option<&[u8]>],
        _parameter_formats: &[Format],
        result_formats: &[Format],
    ) -> Result<()> {
        let sql = self.statements.get(statement).ok_or_else(|| {
            let message = format!("prepared statement \"{statement}\" does not exist");
            Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })?;
        self.portals.insert(portal.into(), (sql.clone(), 0, result_formats.to_vec()));
        Ok(())
    }
    fn describe_portal(&mut self, portal: &str) -> Result<(Option<&[Field]>, &[Format])> {
        let (instruction, _, formats) = &self.portals[portal];
        let fields = Self::returns_rows(instruction).then(|| &*Vec::leak(fields()));
        Ok((fields, formats))
    }
    fn poll_wait(&mut self, _: &std::task::Waker) -> Option<std::time::Instant> {
        None
    }
    fn execute(&mut self, portal: &str, max_rows: u64, out: &mut dyn Output) -> Result<Progress> {
        let Some((instruction, sent, formats)) = self.portals.get(portal).cloned() else {
            let message = format!("portal \"{portal}\" does not exist");
            return Err(Error::new(SqlState::INVALID_CURSOR_NAME, message));
        };
        let complete = |tag: &str| Ok(Progress::Complete(tag.into()));
        match instruction.as_str() {
            "" => Ok(Progress::EmptyQuery),
            "begin" => {
                self.status = TransactionStatus::InBlock;
                complete("BEGIN")
            }
            "commit" => {
                self.status = TransactionStatus::Idle;
                self.durable_at = Some(Timestamp(42));
                complete("COMMIT")
            }
            "commit in vain" => {
                self.durable_at = Some(Timestamp(LOST));
                complete("COMMIT")
            }
            "error" => {
                if self.status == TransactionStatus::InBlock {
                    self.status = TransactionStatus::Failed;
                }
                Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
                    .detail("Detail.")
                    .hint("Hint.")
                    .on_table("public", "t")
                    .on_column("c")
                    .on_constraint("k"))
            }
            "notice" => {
                out.notice(Error::new(SqlState::WARNING, "attention"));
                out.parameter_status("application_name", "x");
                complete("NOTICE")
            }
            "panic" => panic!("as told"),
            "panic for good" => {
                self.fail_panics = true;
                panic!("as told")
            }
            "panic in row" => {
                self.rows(0, 2, &formats, out)?;
                let columns = vec![Arc::new(Column { values: Values::Int4(vec![1]), nulls: None })];
                // The second row is not there.
                out.rows(&Batch { columns, rows: 2 }, &fields(), &[Format::Text], &render())?;
                unreachable!()
            }
            "wait" => {
                self.world.note("waiting");
                let mut canceled = self.world.canceled.lock();
                while !canceled.contains(&self.pid) {
                    self.world.cancel.wait(&mut canceled);
                }
                Err(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"))
            }
            "copy in" => {
                self.copied = 0;
                Ok(Progress::CopyIn { binary: false, columns: 2 })
            }
            "copy out" if sent == 0 => {
                self.portals.insert(portal.into(), (instruction, 1, formats));
                Ok(Progress::CopyOut { binary: false, columns: 2 })
            }
            "copy out" => {
                out.copy_data(b"1\ta\n2\tb\n");
                complete("COPY 2")
            }
            rows => {
                let total: u64 = rows.strip_prefix("rows ").expect("an instruction").parse().unwrap();
                let limit = if max_rows == 0 { total } else { total.min(sent + max_rows) };
                let mut at = sent;
                let progress = loop {
                    let to = limit.min(at + 100);
                    self.rows(at, to, &formats, out)?;
                    at = to;
                    if at == limit {
                        break if max_rows != 0 && limit == sent + max_rows {
                            Progress::Suspended
                        } else {
                            Progress::Complete(format!("SELECT {total}"))
                        };
                    }
                    if out.buffered_bytes() > OUTPUT_BYTES_MAX {
                        break Progress::Paused;
                    }
                };
                self.portals.insert(portal.into(), (instruction, at, formats));
                Ok(progress)
            }
        }
    }
    fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }
    fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }
    fn sync(&mut self, _out: &mut dyn Output) -> Result<()> {
        self.world.note("sync");
        Ok(())
    }
    fn fail(&mut self) {
        if self.fail_panics {
            panic!("as told");
        }
        if self.status == TransactionStatus::InBlock {
            self.status = TransactionStatus::Failed;
        }
        self.world.note("fail");
    }
    fn copy_in_data(&mut self, data: &[u8], _out: &mut dyn Output) -> Result<()> {
        if data.contains(&b'!') {
            return Err(Error::new(SqlState::BAD_COPY_FILE_FORMAT, "bad data"));
        }
        self.copied += data.len();
        Ok(())
    }
    fn copy_in_done(&mut self, _out: &mut dyn Output) -> Result<Progress> {
        Ok(Progress::Complete(format!("COPY {}", self.copied)))
    }
    fn copy_in_fail(&mut self, message: &str) -> Error {
        self.world.note(format!("copy failed: {message}"));
        Error::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {message}"))
    }
}
