//! Settings (PostgreSQL's GUCs) in one table: name, type, unit, range, default, context, description. It feeds SHOW, SET,
//! `pg_settings`, ParameterStatus and the docs. <https://www.postgresql.org/docs/15/runtime-config.html>

use crate::error::Result;
use crate::types::RenderSettings;

/// Where a value came from, weakest first: each level overrides those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    Default,
    /// Command line, configuration file, ALTER SYSTEM.
    Server,
    Database,
    Role,
    RoleInDatabase,
    /// Start-up packet.
    Client,
    Session,
}

/// The values one session runs with. Changes are transactional: SET is undone by rollback, SET LOCAL by the transaction's end.
pub struct Settings {
    _private: (),
}

impl Settings {
    pub fn new() -> Settings {
        todo!()
    }
    /// Validates and sets; 42704 for an unknown name (names with a dot are custom), 22023 for a bad value, 55P02 for a fixed one.
    /// `value` None: back to the default of the levels below.
    pub fn set(&mut self, _name: &str, _value: Option<&str>, _source: Source, _local: bool) -> Result<()> {
        todo!()
    }
    /// As SHOW prints it. 42704 if unknown.
    pub fn show(&self, _name: &str) -> Result<String> {
        todo!()
    }
    /// name, setting, description: SHOW ALL.
    pub fn show_all(&self) -> Vec<(String, String, String)> {
        todo!()
    }
    pub fn reset_all(&mut self) {
        todo!()
    }
    /// Transaction boundaries: what to undo at ROLLBACK (and ROLLBACK TO), what SET LOCAL reverts at any end.
    pub fn begin_transaction(&mut self) {
        todo!()
    }
    pub fn end_transaction(&mut self, _committed: bool) {
        todo!()
    }
    pub fn savepoint(&mut self) -> usize {
        todo!()
    }
    pub fn rollback_to(&mut self, _savepoint: usize) {
        todo!()
    }
    /// Reported settings (ParameterStatus) that changed since the last call.
    pub fn take_changed_reports(&mut self) -> Vec<(&'static str, String)> {
        todo!()
    }
    /// All reported ones, for start-up.
    pub fn reports(&self) -> Vec<(&'static str, String)> {
        todo!()
    }
    /// Typed access to what the engine itself needs: cached, refreshed by `set`.
    pub fn typed(&self) -> &Typed {
        todo!()
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::new()
    }
}

/// The settings the engine reads on its hot paths, already parsed.
pub struct Typed {
    pub render: RenderSettings,
    pub search_path: std::sync::Arc<[String]>,
    pub concurrency_mode: serin_txn::Mode,
    pub default_isolation: serin_txn::Isolation,
    pub default_read_only: bool,
    pub default_deferrable: bool,
    /// Milliseconds; 0 = off.
    pub statement_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    pub deadlock_timeout_ms: u64,
    pub idle_in_transaction_session_timeout_ms: u64,
    pub transaction_timeout_ms: u64,
    pub synchronous_commit: bool,
    pub work_mem_bytes: usize,
    pub client_min_messages: crate::error::Severity,
    pub standard_conforming_strings: bool,
    pub planner: crate::plan::PlannerSettings,
}
