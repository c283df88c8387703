//! COPY's file formats: text, csv, binary. Pure: bytes to fields and back; `session` and `table` do the rest.
//!
//! - `options.rs`: the options of a COPY statement, validated.
//! - `reader.rs`: chunks of bytes to rows of fields (COPY FROM).
//! - `writer.rs`: rows to bytes (COPY TO).

mod options;
mod reader;
mod writer;

pub use options::{Columns, CopyFormat, CopyOptions, Header};
pub use reader::{CopyReader, Row};
pub use writer::CopyWriter;
