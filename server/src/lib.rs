//! Serin's asynchronous edge: sockets, the wire protocol, sessions' connection loops, configuration, shutdown.
//!
//! | file | what |
//! |---|---|
//! | `config.rs` | the one table of settings: flag, TOML key, `SERIN_*` variable, default |
//! | `run.rs` | from a configuration to an open store, a listening server, a clean exit |
//! | `listener.rs` | accepting, limits, what all connections share, shutdown |
//! | `socket.rs` | TCP, Unix and TLS streams as one type |
//! | `startup.rs` | from the first byte to an authenticated session |
//! | `tls.rs` | certificate and key files |
//! | `auth.rs` | who may connect how |
//! | `connection.rs` | the loop: frames in, replies out, one read and one write a batch |
//! | `wire.rs` | the only place that knows message layouts (pgwire is used here) |
//! | `encode.rs` | result columns to DataRow messages |
//! | `archive.rs` | where the log is archived: a directory, or an object store |
//! | `backend.rs` | what a connection needs of the SQL engine, so that tests can stand in for it |
//! | `blocking.rs` | storage's hook for what may block |
//!
//! Below this crate everything is synchronous; nothing but this crate knows tokio.

mod archive;
mod aside;
mod auth;
mod backend;
pub mod blocking;
pub mod config;
mod connection;
mod encode;
mod hba;
mod listener;
mod recode;
pub mod run;
mod socket;
mod startup;
mod tls;
mod wire;
mod workers;

#[cfg(test)]
mod tests;

pub use config::Config;
