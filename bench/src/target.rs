//! The two servers that are compared, behind one face.

use postgres::{Client, SimpleQueryMessage};
use serin_tests::{PgServer, TestServer, cpu_seconds, disk_bytes, memory_bytes, peak_memory_bytes};
use std::fmt::Display;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

pub enum Target {
    Serin(TestServer),
    PostgreSql(PgServer),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Side {
    #[value(name = "postgresql")]
    PostgreSql,
    Serin,
}

impl Side {
    pub fn start(self, serin_flags: &[String]) -> Result<Target, String> {
        match self {
            Side::Serin => {
                let flags: Vec<&str> = serin_flags.iter().map(String::as_str).collect();
                Ok(Target::Serin(TestServer::start_with(&flags)))
            }
            // Room for the memory workload's 500 connections; nothing else depends on it.
            Side::PostgreSql => PgServer::start(&["shared_buffers=1GB", "max_connections=600"])
                .map(Target::PostgreSql)
                .ok_or_else(|| "no PostgreSQL is installed (--side serin runs Serin alone)".to_owned()),
        }
    }
}

impl Target {
    pub fn port(&self) -> u16 {
        match self {
            Target::Serin(server) => server.port(),
            Target::PostgreSql(server) => server.port(),
        }
    }
    pub fn connect(&self) -> Result<Client, String> {
        let parameters = match self {
            Target::Serin(server) => server.connection_string(),
            Target::PostgreSql(server) => server.connection_string(),
        };
        Client::connect(&parameters, postgres::NoTls).map_err(|error| format!("connect: {error:?}"))
    }
    /// A client program, told where the server is.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port().to_string());
        command.env("PGUSER", "postgres").env("PGDATABASE", "postgres");
        command
    }
    /// CPU time of all the server's processes so far.
    pub fn cpu_seconds(&self) -> f64 {
        match self {
            Target::Serin(server) => cpu_seconds(server.pid()),
            Target::PostgreSql(server) => cpu_seconds(server.pid()),
        }
    }
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Target::Serin(server) => memory_bytes(server.pid()),
            Target::PostgreSql(server) => server.pids().into_iter().map(memory_bytes).sum(),
        }
    }
    /// Of Serin's one process; PostgreSQL's many share memory, so that the sum of theirs would say nothing.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        match self {
            Target::Serin(server) => Some(peak_memory_bytes(server.pid())),
            Target::PostgreSql(_) => None,
        }
    }
    /// What the data directory takes, log and all.
    pub fn disk_bytes(&self) -> u64 {
        match self {
            Target::Serin(server) => disk_bytes(server.data()),
            Target::PostgreSql(server) => disk_bytes(&server.data()),
        }
    }
    /// Kills the server, starts it again, and returns how long it took until it answered a query.
    pub fn kill_and_restart(&mut self) -> Result<Duration, String> {
        let started = match self {
            Target::Serin(server) => {
                server.kill_9();
                let started = Instant::now();
                server.restart();
                started
            }
            Target::PostgreSql(server) => {
                server.kill_9();
                let started = Instant::now();
                server.restart();
                started
            }
        };
        let mut client = self.connect()?;
        client.simple_query("SELECT 1").map_err(|error| format!("after the restart: {error:?}"))?;
        Ok(started.elapsed())
    }
}

pub fn execute(client: &mut Client, sql: &str) -> Result<Vec<SimpleQueryMessage>, String> {
    client.simple_query(sql).map_err(|error| format!("{error:?}: {sql}"))
}

/// COPY of lines of CSV.
pub fn copy(
    client: &mut Client,
    table: &str,
    rows: impl Iterator<Item = impl Display>,
) -> Result<(), String> {
    let failed = |error: &dyn Display| format!("copy {table}: {error}");
    let writer = client.copy_in(&format!("copy {table} from stdin (format csv)"));
    let mut writer = std::io::BufWriter::with_capacity(64 << 10, writer.map_err(|error| failed(&error))?);
    for row in rows {
        writeln!(writer, "{row}").map_err(|error| failed(&error))?;
    }
    let writer = writer.into_inner().map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error)).map(drop)
}
