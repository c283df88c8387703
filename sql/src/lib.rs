//! SQL over `serin-txn`: parse → bind → plan → optimize → execute, with the catalog, types and functions.
//!
//! The server sees [`Engine`] and [`Session`] and the types of `session.rs`; nothing else is promised upwards.

pub mod bind;
pub mod catalog;
pub mod column;
pub mod copy;
mod ddl;
pub mod encoding;
mod error;
pub mod exec;
pub mod expr;
mod extension;
pub mod functions;
mod index;
mod large_object;
pub mod parse;
mod password;
pub mod plan;
mod plpgsql;
mod sequence;
mod session;
pub mod settings;
pub mod table;
pub mod types;

pub use error::{Error, Fields, Result, Severity, SqlState};
pub use password::ScramVerifier;
pub use session::*;
