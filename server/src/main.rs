//! The binary `serin`. See `run.rs`.

/// Sessions allocate and free on whatever worker runs them, many small values at a time: what jemalloc's per-thread caches are
/// for. Not compared with the C library's allocator yet.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    serin_server::run::main(std::env::args_os())
}
