//! Rows as bytes in trees: key and row encodings, and the readers and writers that keep a table and its indexes in
//! step. `key.rs` and `row.rs` are pure; `reader.rs` and `writer.rs` go through the transaction.

pub(crate) mod check;
pub(crate) mod disclosure;
pub mod key;
pub(crate) mod loader;
pub(crate) mod partition;
pub mod row;
pub(crate) mod runs;
mod shape;
pub(crate) mod sorter;
pub(crate) mod writer;

pub use shape::{IndexShape, KeyPart, KeySource, Shape};
pub(crate) use shape::{ShapeCell, to_catalog_text, to_text};
pub use writer::{Arbiter, InsertOutcome, TableWriter};
pub(crate) use writer::{key_description, on_table, unique_violation, values_description};
