//! The two servers that are compared, behind one face.

use serin_tests::{PgServer, TestServer, cpu_seconds, memory_bytes};
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
    pub fn connect(&self) -> Result<postgres::Client, String> {
        let parameters = match self {
            Target::Serin(server) => server.connection_string(),
            Target::PostgreSql(server) => server.connection_string(),
        };
        postgres::Client::connect(&parameters, postgres::NoTls).map_err(|error| format!("connect: {error:?}"))
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
