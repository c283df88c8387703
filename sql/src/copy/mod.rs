//! COPY's file formats: text and csv. Pure: bytes to fields and back; `session/copy.rs` does the rest.

mod options;
mod reader;
mod writer;

pub use options::{CopyFormat, CopyOptions, Header};
pub use reader::{Reader, Record};
pub use writer::Writer;
