//! A real PostgreSQL, where one is installed: the referee of tests and the other side of benchmarks.
//!
//! The postmaster is our own child (not pg_ctl's), so that after a kill it can be waited for: PostgreSQL takes the pid of a
//! zombie in its lock file for a running server.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_TIMEOUT: Duration = Duration::from_secs(120);

pub struct PgServer {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    postmaster: Option<Child>,
}

impl PgServer {
    /// The programs of the newest installed version, if any.
    pub fn find() -> Option<PathBuf> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let bins = versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists());
        bins.max()
    }

    /// A new cluster with fsync and synchronous_commit on, as they are by default, and `settings` ("name=value").
    /// `None`: no PostgreSQL is installed.
    pub fn start(settings: &[&str]) -> Option<PgServer> {
        let bin = PgServer::find()?;
        let dir = tempfile::Builder::new().prefix("serin-pg-").tempdir().expect("a temporary directory");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = PgServer { bin, dir, port: port.port(), settings, postmaster: None };
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(server.dir.path(), Some(user), Some(group))
                .expect("root may give files away");
        }
        let output = server
            .command("initdb")
            .args(["-A", "trust", "-U", "postgres", "-D"])
            .arg(server.data())
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.restart();
        Some(server)
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Starts it, after [`PgServer::stop`] or [`PgServer::kill_9`], and waits until it answers.
    pub fn restart(&mut self) {
        let log_path = self.dir.path().join("log");
        let log = std::fs::File::create(&log_path).expect("a file in our own directory");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).stdout(Stdio::null()).stderr(log);
        let port = format!("port={}", self.port);
        let ours = [port.as_str(), "listen_addresses=127.0.0.1", "unix_socket_directories="];
        for setting in ours.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let mut postmaster = command.spawn().expect("postgres runs");
        let log = || std::fs::read_to_string(&log_path).unwrap_or_default();
        let started = Instant::now();
        while postgres::Client::connect(&self.connection_string(), postgres::NoTls).is_err() {
            assert!(postmaster.try_wait().expect("our child").is_none(), "PostgreSQL ended: {}", log());
            assert!(started.elapsed() < READY_TIMEOUT, "PostgreSQL is not ready in time: {}", log());
            std::thread::sleep(Duration::from_millis(10)); // between polls of a condition
        }
        self.postmaster = Some(postmaster);
    }

    /// SIGINT, which is "fast" to PostgreSQL, and the exit that follows.
    pub fn stop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            signal("INT", postmaster.id());
            let _ = postmaster.wait();
        }
    }

    /// Kills every process of the cluster.
    pub fn kill_9(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else { return };
        let others = crate::process::children(postmaster.id());
        // The postmaster first: it would start what died anew.
        let _ = postmaster.kill();
        let _ = postmaster.wait();
        others.into_iter().for_each(|pid| signal("KILL", pid));
    }

    /// The postmaster's; it must run.
    pub fn pid(&self) -> u32 {
        self.postmaster.as_ref().expect("the cluster runs").id()
    }
    pub fn pids(&self) -> Vec<u32> {
        let pid = self.pid();
        std::iter::once(pid).chain(crate::process::children(pid)).collect()
    }
    pub fn port(&self) -> u16 {
        self.port
    }
    pub fn connection_string(&self) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port)
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            // "Immediate": its children go with it, and nobody reads this cluster again.
            signal("QUIT", postmaster.id());
            let _ = postmaster.wait();
        }
    }
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// PostgreSQL refuses to run as root: whom to run it as, where we are.
fn unprivileged() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().find_map(|line| line.strip_prefix("postgres:"))?;
    let mut fields = user.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
