//! What whole-system tests and benchmarks are made of: real servers as child processes, clients, and their figures.
//!
//! Everything here talks to the binary `serin` as a user would: over the wire, by signals, through its data directory.

mod cluster;
mod interleaving;
mod process;
pub mod raw;
mod server;

pub use cluster::PgServer;
pub use interleaving::{Played, Script};
pub use process::{cpu_seconds, disk_bytes, memory_bytes, peak_memory_bytes};
pub use raw::{RawClient, RawMessage, brief, error_field, frame, startup_packet};
pub use server::{TestServer, binary};
