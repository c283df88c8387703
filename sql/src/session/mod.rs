//! What the server talks to: an [`Engine`] per store, a [`Session`] per connection. Synchronous; statements run
//! inline on the caller's thread. Named statements and portals live here, because PREPARE, DECLARE and the extended
//! protocol share them.
//!
//! - `engine.rs`: what sessions share; `registry.rs`: who is connected, how to interrupt them; `timers.rs`: timeouts.
//! - `connection.rs`: [`Session`], the protocol's verbs. `block.rs`: the transaction block's states.
//! - `statement.rs`: parsed and planned statements and their cache. `portal.rs`: a statement being run.
//! - `utility.rs`: statements that are not planned, one by one; `cursor.rs`, `copy_in.rs`, `copy_out.rs`, `explain.rs`, `maintenance.rs`.
//! - `control.rs`: COMMIT in procedures.
//! - `large_object.rs`: large objects' descriptors.
//! - `core.rs`: the session as functions see it (`functions::Services`).

mod block;
mod check;
pub(crate) mod conflict;
mod connection;
mod control;
mod copy;
pub(crate) mod core;
mod cursor;
pub(crate) mod engine;
pub(crate) mod explain;
pub(crate) mod large_object;
mod maintenance;
pub(crate) mod nested;
pub(crate) mod notify;
mod portal;
mod prepared;
mod registry;
mod shape;
mod statement;
mod timers;
mod utility;

pub use check::{CheckReport, check};
pub use connection::Session;
pub use engine::{Engine, HbaRule};
pub(crate) use prepared::prepared_of;
pub use registry::Activity;
pub use statement::Parsed;
pub(crate) use statement::make_plan as plan_statement;
pub(crate) use utility::set_value_text;

use crate::column::Batch;
use crate::error::{Error, Result};
use crate::types::{Oid, Type};

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

/// Sends notices while their statement runs. Waits for the client to take them, unless the function given says that the statement is
/// interrupted.
pub type NoticeSink = Box<dyn Fn(Vec<Error>, &dyn Fn() -> bool) -> Said + Send>;

/// What became of notices.
pub enum Said {
    Yes,
    /// They have to wait for the statement's answer.
    NotNow(Vec<Error>),
    /// There is no client any more.
    Lost,
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
    /// One row of COPY TO (binary: with what comes before the rows, or what comes behind them).
    fn copy_data(&mut self, data: &[u8]);
    /// NOTICE, WARNING, …
    fn notice(&mut self, notice: Error);
    /// A reported setting changed (ParameterStatus).
    fn parameter_status(&mut self, name: &str, value: &str);
    /// What the session listens to was notified (NotificationResponse). `pid` is the sender's.
    fn notification(&mut self, _pid: i32, _channel: &str, _payload: &str) {}
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
    /// Another transaction has a lock that the statement needs: call again when [`Session::poll_wait`] says so. Only for who said
    /// [`Session::may_wait_outside`].
    Waiting,
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
