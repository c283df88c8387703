//! The real binary, started on a free port with a data directory of its own.

use crate::raw::RawClient;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, SystemTime};

/// Starting includes recovery.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

pub struct TestServer {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    /// Removes the data directory when the server is dropped.
    _dir: Option<tempfile::TempDir>,
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::start_with(&[])
    }

    /// With more flags than `--data` and `--listen`.
    pub fn start_with(flags: &[&str]) -> TestServer {
        let dir = tempfile::Builder::new().prefix("serin-test-").tempdir().expect("a temporary directory");
        let mut server =
            TestServer::start_in(&dir.path().join("data"), flags).unwrap_or_else(|error| panic!("{error}"));
        server._dir = Some(dir);
        server
    }

    /// On a data directory that outlives the server. The error is what the server said on standard error.
    pub fn start_in(data: &Path, flags: &[&str]) -> Result<TestServer, String> {
        TestServer::start_with_environment(data, flags, &[])
    }

    /// With variables of its own, also when it is started again.
    pub fn start_with_environment(
        data: &Path,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<TestServer, String> {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let (child, address) = spawn(data, "127.0.0.1:0", &flags, &environment)?;
        Ok(TestServer { child, address, data: data.to_owned(), flags, environment, _dir: None })
    }

    /// Sends a signal by its name without SIG.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
    pub fn port(&self) -> u16 {
        self.address.port()
    }
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// As a power cut would, but for what the kernel has buffered.
    pub fn kill_9(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("the server can be waited for");
    }

    /// Starts again on the same port and data, after [`TestServer::kill_9`] or [`TestServer::stop`].
    pub fn restart(&mut self) {
        let (child, address) = spawn(&self.data, &self.address.to_string(), &self.flags, &self.environment)
            .unwrap_or_else(|error| panic!("{error}"));
        (self.child, self.address) = (child, address);
    }

    /// SIGTERM, and the exit that follows.
    pub fn stop(&mut self) -> ExitStatus {
        signal(self.child.id(), "TERM");
        self.child.wait().expect("the server can be waited for")
    }

    /// `serin check` on the data directory of a server that does not run: what it says if it finds fault.
    pub fn check(&self) -> Result<(), String> {
        self.run(&["check"])
    }

    /// Another subcommand on the data directory, while no server runs.
    pub fn run(&self, arguments: &[&str]) -> Result<(), String> {
        TestServer::run_on(&self.data, arguments)
    }

    /// A subcommand on a directory.
    pub fn run_on(data: &Path, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(binary()).args(arguments).arg("--data").arg(data).output();
        let output = output.expect("serin runs");
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    pub fn connection_string(&self) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port())
    }
    pub fn connect(&self) -> postgres::Client {
        self.try_connect("").unwrap_or_else(|error| panic!("{error:?}"))
    }
    /// With more parameters, as in `options='-c concurrency_mode=2pl'`.
    pub fn try_connect(&self, parameters: &str) -> Result<postgres::Client, postgres::Error> {
        postgres::Client::connect(&format!("{} {parameters}", self.connection_string()), postgres::NoTls)
    }
    pub fn raw(&self) -> RawClient {
        RawClient::start_up(self.address, &[("user", "postgres"), ("database", "postgres")])
    }

    /// A command of PostgreSQL's client programs, told where the server is.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port().to_string());
        command.env("PGUSER", "postgres").env("PGDATABASE", "postgres").env("PGCONNECT_TIMEOUT", "20");
        command
    }

    /// psql with these arguments; unaligned, tuples only, no startup file.
    pub fn psql(&self, arguments: &[&str]) -> Output {
        self.client("psql")
            .args(["-X", "-q", "-A", "-t"])
            .args(arguments)
            .output()
            .expect("psql is installed")
    }

    /// A script through psql's standard input: what it prints, errors included.
    pub fn psql_script(&self, script: &str) -> String {
        let mut command = self.client("psql");
        command
            .args(["-X", "-q", "-A", "-t"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("psql is installed");
        let mut stdin = child.stdin.take().expect("piped");
        let script = script.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
        let output = child.wait_with_output().expect("psql can be waited for");
        writer.join().expect("the writer does not panic").expect("psql reads its script");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "process {pid} is there");
}

/// Starts the server and waits for the line that says that it accepts connections.
fn spawn(
    data: &Path,
    listen: &str,
    flags: &[String],
    environment: &[(String, String)],
) -> Result<(Child, SocketAddr), String> {
    let mut command = Command::new(binary());
    command.arg("--data").arg(data).args(["--listen", listen]).args(flags);
    // The settings under test are those given here.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SERIN_")) {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("could not start serin: {error}"))?;
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));

    let (sender, ready) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    // Shown by the test harness where the test fails, and read until the end, so that the server never waits for us.
    let log = std::thread::spawn(move || {
        let mut kept = String::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{line}");
            if kept.len() < 100_000 {
                kept.push_str(&line);
                kept.push('\n');
            }
        }
        kept
    });
    let line = match ready.recv_timeout(READY_TIMEOUT) {
        Ok(line) => line,
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let status = child.wait().map_err(|error| error.to_string())?;
            return Err(format!("{status}: {}", log.join().unwrap_or_default()));
        }
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("not ready in time: {}", log.join().unwrap_or_default()));
        }
    };
    let address = line
        .strip_prefix("serin: ready to accept connections on ")
        .and_then(|rest| rest.split([' ', ',']).next()?.parse().ok())
        .ok_or_else(|| format!("unexpected first line: {line}"))?;
    Ok((child, address))
}

/// The binary `serin` of the profile that this test or benchmark was built with; `SERIN_BINARY` names another. Built here when it
/// is missing or older than its sources.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("SERIN_BINARY") {
            return path.into();
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
        // target/PROFILE/deps/this, or target/PROFILE/this
        let this = std::env::current_exe().expect("the running program has a path");
        let profile = this.ancestors().skip(1).find(|dir| dir.file_name().is_some_and(|name| name != "deps"));
        let profile = profile.expect("cargo's layout of its target directory");
        let binary = profile.join("serin");
        let built = modified(&binary);
        if built.is_none() || built < newest_source(workspace) {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(workspace).args(["build", "-p", "serin-server", "--bin", "serin"]);
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().expect("cargo is installed").success(), "serin builds");
        }
        binary
    })
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn newest_source(workspace: &Path) -> Option<SystemTime> {
    let mut newest = modified(&workspace.join("Cargo.lock"));
    let mut dirs: Vec<PathBuf> =
        ["storage", "txn", "sql", "server"].map(|layer| workspace.join(layer)).into();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "toml") {
                newest = newest.max(modified(&path));
            }
        }
    }
    newest
}
