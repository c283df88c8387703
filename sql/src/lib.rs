//! SQL over `serin-txn`: parse → bind → plan → optimize → execute, with the catalog, types and functions.
//!
//! The server sees [`Engine`] and [`Session`] and the types of `session.rs`; nothing else is promised upwards.

pub mod column;
mod error;
mod session;
pub mod types;

pub use error::{Error, Fields, Result, Severity, SqlState};
pub use session::*;
