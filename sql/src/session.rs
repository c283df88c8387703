//! What the server talks to: an [`Engine`] per store, a [`Session`] per connection. Synchronous; statements run
//! inline on the caller's thread. Named statements and portals live here, because PREPARE, DECLARE and the extended
//! protocol share them.

use crate::column::Batch;
use crate::error::{Error, Result};
use crate::types::{Oid, Type};
use serin_storage::{Store, Timestamp};
use std::sync::Arc;

/// Shared by all sessions: store, transactions, catalog, settings.
pub struct Engine {
    _private: (),
}

impl Engine {
    /// Opens the catalog in the store, creating database `postgres` and superuser `postgres` on first start.
    /// `settings` are server-wide values from flags and configuration, by PostgreSQL or Serin setting name.
    pub fn open(_store: Arc<Store>, _settings: &[(String, String)]) -> Result<Arc<Engine>> {
        todo!()
    }
    pub fn store(&self) -> &Arc<Store> {
        todo!()
    }
    /// Starts a session after authentication. Errors are FATAL (unknown database, role, setting; too many).
    pub fn connect(self: &Arc<Self>, _startup: Startup) -> Result<Session> {
        todo!()
    }
    /// The value of a server-wide setting as text, if there is one.
    pub fn setting(&self, _name: &str) -> Option<String> {
        todo!()
    }
    /// A cancel request: interrupts the session if pid and secret match. Silent otherwise.
    pub fn cancel(&self, _pid: i32, _secret: i32) {
        todo!()
    }
    /// Interrupts every session with 57P01 (shutdown).
    pub fn terminate_all(&self) {
        todo!()
    }
}

pub struct Startup {
    pub user: String,
    pub database: String,
    /// The other start-up parameters, `options` already split into `-c name=value` pairs.
    pub parameters: Vec<(String, String)>,
    pub client_address: Option<std::net::SocketAddr>,
}

/// A result column as RowDescription gives it.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub table: Oid,
    pub column: i16,
    pub data_type: Type,
    pub type_size: i16,
    pub type_modifier: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Binary,
}

/// Receives what statements produce, in order; the server's implementation encodes into its output buffer.
pub trait Output {
    /// Before the first rows of a simple-protocol statement (and never for a portal: Describe does it there).
    fn row_description(&mut self, fields: &[Field]);
    /// A batch of result rows. `fields` and `formats` have one entry a column: a vector alone does not say whether its
    /// microseconds are a timestamp or a timestamptz. `render` holds what text output depends on.
    fn rows(
        &mut self,
        batch: &Batch,
        fields: &[Field],
        formats: &[Format],
        render: &crate::types::RenderSettings,
    ) -> Result<()>;
    /// A chunk of COPY TO data, one or more whole lines.
    fn copy_data(&mut self, data: &[u8]);
    /// NOTICE, WARNING, …
    fn notice(&mut self, notice: Error);
    /// A reported setting changed (ParameterStatus).
    fn parameter_status(&mut self, name: &str, value: &str);
    /// Bytes buffered so far; the executor pauses (`Progress::Paused`) when it exceeds [`OUTPUT_BYTES_MAX`].
    fn buffered_bytes(&self) -> usize;
}

pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// How far an execution got.
#[derive(Debug)]
pub enum Progress {
    /// Finished: the command tag ("SELECT 1", "INSERT 0 1"). An empty query string has `EmptyQuery` instead.
    Complete(String),
    EmptyQuery,
    /// The row limit was reached and the portal has more (PortalSuspended).
    Suspended,
    /// The output buffer is full: write it out, then call again.
    Paused,
    /// COPY FROM STDIN: answer CopyInResponse, feed `copy_in_data`, then `copy_in_done` or `copy_in_fail`.
    CopyIn {
        binary: bool,
        columns: usize,
    },
    /// COPY TO STDOUT starts: answer CopyOutResponse, then call again for the data.
    CopyOut {
        binary: bool,
        columns: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionStatus {
    Idle,
    InBlock,
    Failed,
}

/// One parsed statement of a simple Query message.
pub struct Parsed {
    pub(crate) _private: (),
}

pub struct Session {
    _private: (),
}

impl Session {
    pub fn pid(&self) -> i32 {
        todo!()
    }
    pub fn secret(&self) -> i32 {
        todo!()
    }
    /// `waker` is called, from any thread, when [`Session::pending_fatal`] has become something: the connection may be
    /// waiting for its client.
    pub fn set_waker(&self, _waker: Box<dyn Fn() + Send>) {
        todo!()
    }
    /// The FATAL error that ends the session, once an administrator or a timeout has terminated it.
    pub fn pending_fatal(&self) -> Option<Error> {
        todo!()
    }
    pub fn transaction_status(&self) -> TransactionStatus {
        todo!()
    }
    /// The settings that PostgreSQL reports at start-up, with their values.
    pub fn reported_parameters(&self) -> Vec<(&'static str, String)> {
        todo!()
    }
    /// Commits since the last call that the client must not hear of before they are durable: await
    /// [`Store::durable`] for it before writing out anything buffered since.
    pub fn take_durable_at(&mut self) -> Option<Timestamp> {
        todo!()
    }
    /// Whether what would run next (a simple statement, a portal) may take longer than about a millisecond, so that
    /// the server should run it with `block_in_place`.
    pub fn is_long(&self, _portal: &str) -> bool {
        todo!()
    }

    // ---- simple protocol ----

    /// Parses a whole Query message. A syntax error anywhere fails the message before any of it runs.
    pub fn parse(&mut self, _sql: &str) -> Result<Vec<Parsed>> {
        todo!()
    }
    /// Starts statement `index` of `parsed` as the unnamed portal, in the message's implicit transaction block;
    /// then call [`Session::execute`] on portal `""` until it completes.
    pub fn start_simple(&mut self, _parsed: &[Parsed], _index: usize, _out: &mut dyn Output) -> Result<()> {
        todo!()
    }

    // ---- extended protocol ----

    pub fn prepare(&mut self, _name: &str, _sql: &str, _parameter_types: &[Oid]) -> Result<()> {
        todo!()
    }
    /// Parameter types, and the result's fields (None: no rows).
    pub fn describe_statement(&mut self, _name: &str) -> Result<(Vec<Oid>, Option<Vec<Field>>)> {
        todo!()
    }
    pub fn bind(
        &mut self,
        _portal: &str,
        _statement: &str,
        _parameters: &[Option<&[u8]>],
        _parameter_formats: &[Format],
        _result_formats: &[Format],
    ) -> Result<()> {
        todo!()
    }
    /// The fields (None: no rows) and the formats the client chose.
    pub fn describe_portal(&mut self, _portal: &str) -> Result<(Option<&[Field]>, &[Format])> {
        todo!()
    }
    /// Runs the portal for up to `max_rows` rows (0 = all). A failure rolls back or fails the transaction as
    /// PostgreSQL would; the session stays usable.
    pub fn execute(&mut self, _portal: &str, _max_rows: u64, _out: &mut dyn Output) -> Result<Progress> {
        todo!()
    }
    pub fn close_statement(&mut self, _name: &str) {
        todo!()
    }
    pub fn close_portal(&mut self, _name: &str) {
        todo!()
    }
    /// Sync, and the end of a simple Query message: commits (or rolls back) the implicit transaction.
    pub fn sync(&mut self, _out: &mut dyn Output) -> Result<()> {
        todo!()
    }
    /// The server met an error of its own between messages (protocol violation, COPY failure): as if the statement
    /// had failed with it.
    pub fn fail(&mut self) {
        todo!()
    }

    // ---- COPY FROM STDIN ----

    pub fn copy_in_data(&mut self, _data: &[u8], _out: &mut dyn Output) -> Result<()> {
        todo!()
    }
    pub fn copy_in_done(&mut self, _out: &mut dyn Output) -> Result<Progress> {
        todo!()
    }
    /// CopyFail: returns the error to send (57014).
    pub fn copy_in_fail(&mut self, _message: &str) -> Error {
        todo!()
    }
}
