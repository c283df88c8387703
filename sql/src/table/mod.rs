//! Rows as bytes in trees: key and row encodings, and the readers and writers that keep a table and its indexes in
//! step. `key.rs` and `row.rs` are pure; `reader.rs` and `writer.rs` go through the transaction.

pub mod key;
pub mod row;
mod writer;

pub use writer::{Arbiter, InsertOutcome, TableWriter};
