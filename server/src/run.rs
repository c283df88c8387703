//! From a configuration to a running server, and back to a clean exit.

use crate::archive;
use crate::auth::Authentication;
use crate::backend::Sql;
use crate::blocking::BlockInPlace;
use crate::config::{Action, Config, Exit, Restore};
use crate::listener::{Limits, Listener, Server, Shared};
use crate::tls;
use crate::workers::Workers;
use serin_sql::Engine;
use serin_storage::{Archiving, Lsn, RestoreTarget, Store, StoreOptions};
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::{TcpSocket, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

/// The program: everything that can go wrong ends in one line on standard error and a non-zero exit code.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let action = match crate::config::from_command_line(arguments) {
        Ok(action) => action,
        Err(Exit::Clap(error)) => error.exit(),
        Err(Exit::Invalid(message)) => {
            eprintln!("serin: {message}");
            return ExitCode::FAILURE;
        }
    };
    let act = move || match action {
        Action::Serve(config) => serve(*config),
        Action::Check(data) => check(&data),
        Action::Backup { data, to, previous } => backup(&data, &to, previous.as_deref()),
        Action::Restore(options) => restore(options),
    };
    // Nothing is used again after a panic that came this far: it ends the program, with a line like any other error.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err("internal error, see the log".into()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("serin: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `serin backup`: what BACKUP TO does, for a directory that no server uses.
fn backup(data: &Path, to: &Path, previous: Option<&Path>) -> Result<(), String> {
    if !data.join("data.serin").exists() {
        return Err(format!("there is no store in \"{}\"", data.display()));
    }
    // What the archive does not have yet is not to get lost in between.
    let options = StoreOptions { archiving: Archiving::Hold, ..StoreOptions::new(data) };
    let store = Store::open(options).map_err(|error| error.to_string())?;
    let report = store.backup(to, previous).map_err(|error| error.to_string())?;
    store.shutdown().map_err(|error| error.to_string())?;
    println!(
        "serin: \"{}\" is a backup of \"{}\" ({} pages, of which {} changed, {} bytes)",
        to.display(),
        data.display(),
        report.pages,
        report.pages_written,
        report.bytes,
    );
    Ok(())
}

/// `serin restore`: backups, then the archived log.
fn restore(request: Restore) -> Result<(), String> {
    start_logging(&request.log)?;
    let archive = request.archive.as_deref().map(archive::open).transpose()?;
    let target = match (request.to_lsn, request.to_time) {
        (Some(lsn), _) => RestoreTarget::Lsn(Lsn(lsn)),
        (None, Some(time)) => RestoreTarget::Time(time),
        (None, None) => RestoreTarget::End,
    };
    let mut options = StoreOptions::new(&request.data);
    options.page_cache_bytes = request.page_cache_bytes;
    set_delta_bytes(&mut options, request.delta_bytes);
    let report =
        serin_storage::restore(&request.from, archive, target, options).map_err(|error| error.to_string())?;
    let time = report.time.and_then(|time| jiff::Timestamp::try_from(time).ok());
    println!(
        "serin: \"{}\" is restored: {} pages, {} transactions of the archived log, up to LSN {:X}/{:X}{}",
        request.data.display(),
        report.pages,
        report.records,
        report.lsn.0 >> 32,
        report.lsn.0 & 0xffff_ffff,
        time.map_or(String::new(), |time| format!(" of {time}")),
    );
    Ok(())
}

fn set_delta_bytes(options: &mut StoreOptions, bytes: u64) {
    options.delta_bytes_max = bytes;
    options.delta_bytes_high = bytes / 4 * 3;
    options.delta_bytes_soft = bytes / 4;
}

/// `serin check`: a line for each problem, or one that sums up.
fn check(data: &Path) -> Result<(), String> {
    let report = serin_storage::check(data).map_err(|error| error.to_string())?;
    for problem in &report.problems {
        eprintln!("serin: {problem}");
    }
    if !report.is_clean() {
        return Err(format!("{} problems found in \"{}\"", report.problems.len(), data.display()));
    }
    let relations = check_relations(data)?;
    for problem in &relations.problems {
        eprintln!("serin: {problem}");
    }
    if !relations.problems.is_empty() {
        return Err(format!("{} problems found in \"{}\"", relations.problems.len(), data.display()));
    }
    println!(
        "serin: \"{}\" is sound ({} tables, {} rows, {} trees, {} entries, {} pages of which {} free, {} log records)",
        data.display(),
        relations.tables,
        relations.rows,
        report.trees,
        report.entries,
        report.pages,
        report.free_pages,
        report.wal_records,
    );
    Ok(())
}

/// Tables against indexes. Pages and log are sound by now, so the store can be opened: without its threads, it folds nothing.
fn check_relations(data: &Path) -> Result<serin_sql::CheckReport, String> {
    let options = StoreOptions { threads: false, archiving: Archiving::Hold, ..StoreOptions::new(data) };
    let store = Store::open(options).map_err(|error| error.to_string())?;
    serin_sql::check(store).map_err(|error| error.message().to_string())
}

fn serve(config: Config) -> Result<(), String> {
    start_logging(&config.log)?;
    let failed = |error: std::io::Error| format!("could not start the runtime: {error}");
    let workers = Workers::start(config.worker_threads, config.max_connections + 64).map_err(failed)?;
    // Accepting and signals have a thread of their own: whatever sessions do, the server can be told to stop.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let outcome = runtime.block_on(serve_until_signal(config, &workers));
    // Sessions that outlived the patience of the shutdown end with the process.
    drop(workers);
    runtime.shutdown_background();
    outcome
}

/// Reads the HBA file again. With a mistake in it the rules stay as they were.
fn reload(shared: &Shared<Sql>) -> bool {
    match shared.authentication.reload() {
        Ok(()) => tracing::info!("read pg_hba.conf again"),
        Err(error) => tracing::error!("pg_hba.conf was not reloaded: {error}"),
    }
    true
}

async fn serve_until_signal(config: Config, workers: &Workers) -> Result<(), String> {
    let certificate = config.tls.as_ref().map(|(certificate, _)| certificate);
    let certificate = certificate.map(std::fs::read).transpose();
    let certificate = certificate.map_err(|error| format!("could not read the TLS certificate: {error}"))?;
    let authentication = Authentication::open(config.hba_file.clone(), certificate)?;
    let tls = config.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
    // A file that may not grow (`ulimit -f`) shall be an error of the write rather than the end of the process.
    const SIGXFSZ: i32 = 25;
    let _files_too_large =
        signal(SignalKind::from_raw(SIGXFSZ)).map_err(|error| format!("signals: {error}"))?;
    // Sockets first: an address in use should not cost a recovery.
    let listeners = listen(&config)?;
    let (store, engine) = open(&config)?;
    let limits = Limits {
        message_max: config.message_max,
        authentication_timeout: config.authentication_timeout,
        max_connections: config.max_connections,
    };
    let shared = Shared::new(Sql(engine.clone()), limits, authentication, tls);
    // The engine is not to keep the server alive.
    let (for_reload, for_rules) = (Arc::downgrade(&shared), Arc::downgrade(&shared));
    engine.set_host(
        Box::new(move || for_reload.upgrade().is_some_and(|shared| reload(&shared))),
        Box::new(move || {
            for_rules.upgrade().map_or_else(Vec::new, |shared| shared.authentication.describe())
        }),
    );
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("signals: {error}"))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| format!("signals: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("signals: {error}"))?;
    let server = Server::start(shared.clone(), listeners.sockets, &workers.pool());
    println!(
        "serin: ready to accept connections on {} (data {}, mode {})",
        listeners.addresses.join(", "),
        config.data.display(),
        config.concurrency_mode,
    );
    // A reader of the line may be waiting behind a pipe.
    let _ = std::io::stdout().flush();

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                reload(&shared);
            }
        }
    }
    drop(shared);
    tracing::info!("shutting down");
    tokio::select! {
        gone = server.stop(config.shutdown_timeout) => if !gone {
            tracing::warn!("some sessions did not end in time and are cut off");
        },
        _ = terminate.recv() => return Err("second signal: exiting at once".into()),
        _ = interrupt.recv() => return Err("second signal: exiting at once".into()),
    }
    let closing = tokio::task::spawn_blocking(move || store.shutdown());
    let closed = tokio::select! {
        closed = closing => closed,
        _ = terminate.recv() => return Err("second signal: exiting at once".into()),
        _ = interrupt.recv() => return Err("second signal: exiting at once".into()),
    };
    drop(listeners.unix_file);
    match closed {
        Ok(Ok(())) => {
            tracing::info!("shut down");
            Ok(())
        }
        Ok(Err(error)) => Err(format!("could not shut down cleanly: {error}")),
        Err(error) => Err(format!("could not shut down cleanly: {error}")),
    }
}

fn open(config: &Config) -> Result<(Arc<Store>, Arc<Engine>), String> {
    let mut options = StoreOptions::new(&config.data);
    options.page_cache_bytes = config.page_cache_bytes;
    set_delta_bytes(&mut options, config.delta_bytes);
    options.wal_segment_bytes = config.wal_segment_bytes;
    options.wal_bytes_soft = config.wal_bytes_soft;
    options.restart_target_ms = config.restart_target.as_millis() as u64;
    options.fold_interval_ms = config.fold_interval.as_millis() as u64;
    options.blocking = Arc::new(BlockInPlace);
    options.give_up_old_snapshots = config.give_up_old_snapshots;
    if let Some(place) = &config.archive {
        options.archiving = Archiving::To { target: archive::open(place)?, timeout: config.archive_timeout };
    }
    let started = std::time::Instant::now();
    let store = Store::open(options).map_err(|error| error.to_string())?;
    let engine = Engine::open(store.clone(), &config.sql).map_err(|error| error.message().to_owned())?;
    tracing::info!(milliseconds = started.elapsed().as_millis() as u64, "opened the data directory");
    Ok((store, engine))
}

/// Sockets that listen, and what to call them.
struct Listeners {
    sockets: Vec<Listener>,
    addresses: Vec<String>,
    unix_file: Option<SocketFile>,
}

/// A Unix-domain socket's file, which the kernel leaves behind.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn listen(config: &Config) -> Result<Listeners, String> {
    let mut listeners = Listeners { sockets: Vec::new(), addresses: Vec::new(), unix_file: None };
    let mut port = 5432;
    for name in &config.listen {
        let addresses =
            name.to_socket_addrs().map_err(|error| format!("could not resolve \"{name}\": {error}"))?;
        for address in addresses {
            let (listener, bound) =
                listen_on(address).map_err(|error| format!("could not listen on {address}: {error}"))?;
            port = bound.port();
            listeners.addresses.push(bound.to_string());
            listeners.sockets.push(listener);
        }
    }
    if let Some(dir) = &config.unix_socket_dir {
        let file = dir.join(format!(".s.PGSQL.{port}"));
        let failed = |error| format!("could not listen on \"{}\": {error}", file.display());
        // A server that was killed leaves its file; one that runs answers on it.
        if std::os::unix::net::UnixStream::connect(&file).is_err() {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        listeners.sockets.push(Listener::Unix(UnixListener::bind(&file).map_err(failed)?));
        listeners.addresses.push(file.display().to_string());
        listeners.unix_file = Some(SocketFile(file));
    }
    Ok(listeners)
}

fn listen_on(address: SocketAddr) -> std::io::Result<(Listener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Inherited by accepted sockets: a host that vanished is noticed some day, and its session's locks with it.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok((Listener::Tcp(listener), bound))
}

fn start_logging(level: &str) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::builder()
        .parse(level)
        .map_err(|error| format!("invalid value for log: \"{level}\" ({error})"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    // Panics in statements are caught and answered; where they came from belongs in the log.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("panic");
        tracing::error!(location, %backtrace, "internal error: {message}");
    }));
    Ok(())
}
