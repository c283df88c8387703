//! What is run, and the table of what came out.

use crate::Compare;
use crate::figures::{Figure, table};
use crate::loads::SUMS_AGREE;
use crate::pgbench::{self, Run};
use crate::target::{Side, Target};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Both servers, loaded, and the options.
struct Bench<'a> {
    options: &'a Compare,
    sides: Vec<(Side, Target)>,
    figures: Vec<Figure>,
}

/// One row updated by everybody: how soon is a lock handed on that waits for an fsync?
const HOT_ROW: &str = "UPDATE hot SET n = n + 1 WHERE id = 1;\n";
const COPY_ROWS: u32 = 1_000_000;

pub fn compare(options: &Compare) -> Result<(), String> {
    let clients = options.clients.to_string();
    let chosen = |name: &str| options.only.is_empty() || options.only.iter().any(|only| name.contains(only));
    let sides = options.side.map_or(vec![Side::PostgreSql, Side::Serin], |side| vec![side]);
    let mut bench = Bench { options, sides: Vec::new(), figures: Vec::new() };
    for side in sides {
        let target = side.start(&options.serin_flags)?;
        bench.sides.push((side, target));
    }
    println!("{}", heading(options));

    // Memory first: it is about servers that have done nothing yet.
    if chosen("memory") {
        bench.memory()?;
    }
    if chosen("copy") {
        bench.copy()?;
    }
    if ["select-prepared", "tpcb-simple", "tpcb-prepared", "restart"].into_iter().any(&chosen) {
        for (side, target) in &bench.sides {
            eprintln!("loading {side:?}, scale {}", options.scale);
            pgbench::initialize(target, options.scale)?;
        }
    }
    let common = ["-c", &clients, "-j", "2"];
    for (name, arguments) in [
        ("select-prepared", &["-S", "-M", "prepared"][..]),
        ("tpcb-simple", &["-M", "simple"]),
        ("tpcb-prepared", &["-M", "prepared"]),
    ] {
        if chosen(name) {
            bench.pgbench(&format!("{name}, {clients} clients"), &[&common, arguments].concat())?;
            bench.check_sums()?;
        }
    }
    if chosen("hot-row") {
        let script = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        std::fs::write(script.path(), HOT_ROW).map_err(|error| error.to_string())?;
        for (_, target) in &bench.sides {
            pgbench::psql(target, "CREATE TABLE hot (id int PRIMARY KEY, n bigint)")?;
            pgbench::psql(target, "INSERT INTO hot VALUES (1, 0)")?;
        }
        let path = script.path().to_string_lossy().into_owned();
        let arguments = ["-c", "32", "-j", "2", "-M", "prepared", "-f", &path];
        bench.pgbench("hot-row, 32 clients", &arguments)?;
    }
    if chosen("restart") {
        bench.restart(&clients)?;
    }
    println!("{}", table(&bench.figures, bench.sides.len() == 2));
    Ok(())
}

impl Bench<'_> {
    fn pgbench(&mut self, name: &str, arguments: &[&str]) -> Result<(), String> {
        let mut tps = Figure::new(name, "tps", true);
        let mut cpu = Figure::new(format!("{name}: server CPU"), "s / 1000 transactions", false);
        for round in 1..=self.options.rounds {
            for (side, target) in &self.sides {
                let Run { tps: rate, cpu: spent, .. } =
                    pgbench::run(target, self.options.seconds, arguments)?;
                eprintln!("{name}, round {round}, {side:?}: {rate:.0} tps, CPU {spent:.4} s/1000");
                tps.push(*side, rate);
                cpu.push(*side, spent);
            }
        }
        self.figures.extend([tps, cpu]);
        Ok(())
    }

    /// A benchmark of wrong answers is worth nothing.
    fn check_sums(&self) -> Result<(), String> {
        for (side, target) in &self.sides {
            let sums = pgbench::psql(target, SUMS_AGREE)?;
            if sums.trim() != "t" {
                return Err(format!("{side:?}: the sums of accounts, branches, tellers and history differ"));
            }
        }
        Ok(())
    }

    /// A million account rows through psql, into a table with and without its primary key.
    fn copy(&mut self) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        write_accounts(file.path()).map_err(|error| error.to_string())?;
        let columns = |key: &str| {
            format!("CREATE TABLE copied (aid int NOT NULL {key}, bid int, abalance int, filler char(84))")
        };
        for (name, key) in [("copy, no key", ""), ("copy, primary key", "PRIMARY KEY")] {
            let mut time = Figure::new(format!("{name}, 1M rows"), "s", false);
            let mut cpu = Figure::new(format!("{name}: server CPU"), "s", false);
            for round in 1..=self.options.rounds {
                for (side, target) in &self.sides {
                    pgbench::psql(target, "DROP TABLE IF EXISTS copied")?;
                    pgbench::psql(target, &columns(key))?;
                    let (started, before) = (Instant::now(), target.cpu_seconds());
                    pgbench::psql(target, &format!("\\copy copied from '{}'", file.path().display()))?;
                    let (seconds, spent) = (started.elapsed().as_secs_f64(), target.cpu_seconds() - before);
                    let count = pgbench::psql(target, "SELECT count(*) FROM copied")?;
                    if count.trim() != COPY_ROWS.to_string() {
                        return Err(format!("{side:?}: {} rows after COPY of {COPY_ROWS}", count.trim()));
                    }
                    eprintln!("{name}, round {round}, {side:?}: {seconds:.2} s, CPU {spent:.2} s");
                    time.push(*side, seconds);
                    cpu.push(*side, spent);
                }
            }
            self.figures.extend([time, cpu]);
        }
        for (_, target) in &self.sides {
            pgbench::psql(target, "DROP TABLE copied")?;
        }
        Ok(())
    }

    /// Killed in the middle of TPC-B.
    fn restart(&mut self, clients: &str) -> Result<(), String> {
        let mut figure = Figure::new("restart after kill -9 under TPC-B", "s", false);
        let seconds = (self.options.seconds * 3).to_string();
        for (side, target) in &mut self.sides {
            // What the log has to replay: everything since the last checkpoint or fold.
            pgbench::run(target, self.options.seconds * 3, &["-c", clients, "-j", "2", "-M", "prepared"])?;
            let restarted = target.kill_and_restart()?.as_secs_f64();
            eprintln!("restart after {seconds} s of TPC-B, {side:?}: {restarted:.2} s");
            figure.push(*side, restarted);
        }
        self.figures.push(figure);
        self.check_sums()
    }

    fn memory(&mut self) -> Result<(), String> {
        const CONNECTIONS: u32 = 500;
        let mut idle = Figure::new("memory, idle", "MiB", false);
        let mut each = Figure::new(format!("memory, each of {CONNECTIONS} idle connections"), "KiB", false);
        for (side, target) in &self.sides {
            let before = target.memory_bytes();
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                let mut client = target.connect()?;
                client.simple_query("SELECT 1").map_err(|error| format!("{error:?}"))?;
                clients.push(client);
            }
            let after = target.memory_bytes();
            idle.push(*side, before as f64 / f64::from(1 << 20));
            each.push(*side, after.saturating_sub(before) as f64 / 1024.0 / f64::from(CONNECTIONS));
        }
        self.figures.extend([idle, each]);
        Ok(())
    }
}

/// pgbench_accounts of scale 10 as COPY text.
fn write_accounts(path: &Path) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for aid in 1..=COPY_ROWS {
        writeln!(file, "{aid}\t{}\t0\t{:84}", (aid - 1) / 100_000 + 1, "")?;
    }
    file.flush()
}

fn heading(options: &Compare) -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    format!(
        "serin {} · {} · {cores} cores, {} · {} rounds of {} s, scale {} · serin {:?}\n",
        said("git", &["rev-parse", "--short", "HEAD"]),
        said("pgbench", &["--version"]),
        said("uname", &["-sr"]),
        options.rounds,
        options.seconds,
        options.scale,
        options.serin_flags,
    )
}
