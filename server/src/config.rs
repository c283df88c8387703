//! Settings of the server: one table, from which the command-line flags, the keys of the configuration file, the `SERIN_*`
//! variables and their documentation come.
//!
//! A setting `page_cache` is the flag `--page-cache`, the variable `SERIN_PAGE_CACHE` and the key `page_cache` of the TOML
//! file. A flag wins over a variable, a variable over the file, the file over the default.
//!
//! SQL settings (`work_mem`, `lock_timeout`, …) get their server-wide values by `-c name=value`, `SERIN_SQL_<NAME>` and the file's
//! table `[sql]`; the SQL layer checks them. Rows of the table marked `sql` go there as well.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What a setting's value looks like.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Choice(&'static [&'static str]),
    Count {
        min: u64,
        max: u64,
    },
    /// With a unit: B, kB, MB, GB, TB; bare numbers are bytes.
    Bytes {
        min: u64,
        max: u64,
    },
    /// With a unit: ms, s, min, h; bare numbers are seconds.
    Time {
        min_ms: u64,
        max_ms: u64,
    },
}

enum Default {
    Is(&'static str),
    Unset,
    /// A share of the machine's memory, within bounds.
    OfMemory {
        percent: f64,
        min: u64,
        max: u64,
    },
}

struct Setting {
    name: &'static str,
    kind: Kind,
    default: Default,
    /// Also a setting of the SQL layer, by this name.
    sql: Option<&'static str>,
    help: &'static str,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR_MS: u64 = 3_600_000;

const SETTINGS: &[Setting] = &[
    Setting {
        name: "data",
        kind: Kind::Text,
        default: Default::Is("./serin-data"),
        sql: None,
        help: "Data directory; created on first start",
    },
    Setting {
        name: "listen",
        kind: Kind::Text,
        default: Default::Is("127.0.0.1:5432"),
        sql: None,
        help: "Addresses to listen on, as HOST:PORT, separated by commas; port 0 picks a free one",
    },
    Setting {
        name: "unix_socket_dir",
        kind: Kind::Text,
        default: Default::Unset,
        sql: None,
        help: "Also listen on a Unix-domain socket in this directory",
    },
    Setting {
        name: "hba_file",
        kind: Kind::Text,
        default: Default::Unset,
        sql: None,
        help: "Who may connect from where, and how they prove it: a file like PostgreSQL's, read again at SIGHUP (default: \
               pg_hba.conf in the data directory if there is one, else trust on this machine, a password elsewhere)",
    },
    Setting {
        name: "concurrency_mode",
        kind: Kind::Choice(&["ssi", "2pl", "serial"]),
        default: Default::Is("ssi"),
        sql: Some("concurrency_mode"),
        help: "How SERIALIZABLE transactions are made so, where a session does not say otherwise",
    },
    Setting {
        name: "max_connections",
        kind: Kind::Count { min: 1, max: 100_000 },
        default: Default::Is("1000"),
        sql: Some("max_connections"),
        help: "Connections at a time; an idle one costs some 20 kB",
    },
    Setting {
        name: "page_cache",
        kind: Kind::Bytes { min: MIB, max: u64::MAX },
        default: Default::OfMemory { percent: 25.0, min: 64 * MIB, max: u64::MAX },
        sql: None,
        help: "Memory for pages read from disk; raise it where data is larger and the machine has memory to spare \
               (default: 25% of memory)",
    },
    Setting {
        name: "delta_memory",
        kind: Kind::Bytes { min: 4 * MIB, max: u64::MAX },
        default: Default::OfMemory { percent: 12.5, min: 64 * MIB, max: u64::MAX },
        sql: None,
        help: "Memory for changes that are not folded into the data file yet; raise it for bulk writes (default: \
               12.5% of memory)",
    },
    Setting {
        name: "wal_segment",
        kind: Kind::Bytes { min: MIB, max: GIB },
        default: Default::Is("16MB"),
        sql: None,
        help: "Size of a write-ahead log file",
    },
    Setting {
        name: "max_wal_size",
        kind: Kind::Bytes { min: 4 * MIB, max: u64::MAX },
        default: Default::Is("512MB"),
        sql: None,
        help: "Fold changes into the data file when the log that a restart would replay reaches this size; larger makes \
               for less writing and a longer restart after a crash",
    },
    Setting {
        name: "restart_target",
        kind: Kind::Time { min_ms: 1000, max_ms: 24 * HOUR_MS },
        default: Default::Is("1min"),
        sql: None,
        help: "Fold changes into the data file early enough for a restart after a crash to replay the log in about this time",
    },
    Setting {
        name: "fold_interval",
        kind: Kind::Time { min_ms: 100, max_ms: 24 * HOUR_MS },
        default: Default::Is("1min"),
        sql: None,
        help: "Fold changes into the data file at least this often; shorter makes for a quicker restart after a crash \
               and more writing",
    },
    Setting {
        name: "give_up_old_snapshots",
        kind: Kind::Choice(&["on", "off"]),
        default: Default::Is("on"),
        sql: None,
        help: "When delta_memory is full because old serializable transactions keep versions in it: fail those (72000, snapshot \
               too old) rather than writers (53200)",
    },
    Setting {
        name: "archive",
        kind: Kind::Text,
        default: Default::Unset,
        sql: None,
        help: "Archive the write-ahead log to this directory, or URL of an object store, so that \"serin restore\" can go back \
               to any moment since a backup",
    },
    Setting {
        name: "archive_timeout",
        kind: Kind::Time { min_ms: 100, max_ms: 24 * HOUR_MS },
        default: Default::Is("1min"),
        sql: None,
        help: "Archive what was committed this long ago, though there is little of it; shorter loses less with the machine",
    },
    Setting {
        name: "worker_threads",
        kind: Kind::Count { min: 0, max: 1024 },
        default: Default::Is("0"),
        sql: None,
        help: "Threads that serve connections; 0 is one for each core",
    },
    Setting {
        name: "message_max",
        kind: Kind::Bytes { min: 10_000, max: GIB - 1 },
        default: Default::Is("1073741823"),
        sql: None,
        help: "Largest message accepted from a client; lower it where clients are not trusted with memory",
    },
    Setting {
        name: "authentication_timeout",
        kind: Kind::Time { min_ms: 1000, max_ms: HOUR_MS },
        default: Default::Is("60s"),
        sql: None,
        help: "Time a client has to complete its start-up",
    },
    Setting {
        name: "shutdown_timeout",
        kind: Kind::Time { min_ms: 0, max_ms: HOUR_MS },
        default: Default::Is("10s"),
        sql: None,
        help: "Time that sessions have to end at shutdown before they are cut off",
    },
    Setting {
        name: "tls_cert",
        kind: Kind::Text,
        default: Default::Unset,
        sql: None,
        help: "TLS certificate chain, PEM; needs tls_key",
    },
    Setting {
        name: "tls_key",
        kind: Kind::Text,
        default: Default::Unset,
        sql: None,
        help: "TLS private key, PEM; needs tls_cert",
    },
    Setting {
        name: "log",
        kind: Kind::Text,
        default: Default::Is("info"),
        sql: None,
        help: "What is logged to standard error: error, warn, info, debug (shows statements), trace; or per module, as \
               in \"info,serin_storage=debug\"",
    },
];

/// What the command line asks for.
#[derive(Debug)]
pub enum Action {
    Serve(Box<Config>),
    Check(PathBuf),
    Backup { data: PathBuf, to: PathBuf, previous: Option<PathBuf> },
    Restore(Restore),
}

#[derive(Debug)]
pub struct Restore {
    pub data: PathBuf,
    /// The full backup, then those that continue it.
    pub from: Vec<PathBuf>,
    pub archive: Option<String>,
    pub to_time: Option<SystemTime>,
    /// As PostgreSQL writes them: two hexadecimal numbers, a slash between.
    pub to_lsn: Option<u64>,
    pub page_cache_bytes: u64,
    pub delta_bytes: u64,
    pub log: String,
}

/// Every setting, checked.
#[derive(Debug)]
pub struct Config {
    pub data: PathBuf,
    pub listen: Vec<String>,
    pub unix_socket_dir: Option<PathBuf>,
    /// Rules of authentication; the built-in ones without.
    pub hba_file: Option<PathBuf>,
    pub concurrency_mode: String,
    pub max_connections: usize,
    pub page_cache_bytes: u64,
    pub delta_bytes: u64,
    pub wal_segment_bytes: u64,
    pub wal_bytes_soft: u64,
    pub restart_target: Duration,
    pub fold_interval: Duration,
    pub give_up_old_snapshots: bool,
    pub archive: Option<String>,
    pub archive_timeout: Duration,
    pub worker_threads: usize,
    pub message_max: usize,
    pub authentication_timeout: Duration,
    pub shutdown_timeout: Duration,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub log: String,
    /// For `Engine::open`.
    pub sql: Vec<(String, String)>,
}

/// A command line's outcome other than a configuration.
#[derive(Debug)]
pub enum Exit {
    /// `--help`, `--version` and mistakes in the flags: clap prints and chooses the exit code.
    Clap(clap::Error),
    /// One line.
    Invalid(String),
}

impl From<String> for Exit {
    fn from(message: String) -> Exit {
        Exit::Invalid(message)
    }
}

fn command() -> Command {
    let flags = SETTINGS.iter().map(|setting| {
        let flag = setting.name.replace('_', "-");
        let mut help = setting.help.to_owned();
        if let Default::Is(default) = setting.default {
            help += &format!(" [default: {default}]");
        }
        let arg = Arg::new(setting.name).long(flag).global(true).help(help);
        let arg = arg.env(format!("SERIN_{}", setting.name.to_ascii_uppercase())).hide_env_values(true);
        match setting.kind {
            Kind::Choice(choices) => arg.value_name(choices.join("|")),
            Kind::Count { .. } => arg.value_name("N"),
            Kind::Bytes { .. } => arg.value_name("SIZE"),
            Kind::Time { .. } => arg.value_name("TIME"),
            Kind::Text => arg.value_name(match setting.name {
                "data" | "unix_socket_dir" => "DIR",
                "listen" => "ADDR:PORT",
                "log" => "LEVEL",
                _ => "FILE",
            }),
        }
    });
    Command::new("serin")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A PostgreSQL-compatible transactional database")
        .args(flags)
        .arg(
            Arg::new("config")
                .long("config")
                .global(true)
                .env("SERIN_CONFIG")
                .value_name("FILE")
                .help("TOML file of settings, named as the flags are, with underscores"),
        )
        .arg(
            Arg::new("set")
                .short('c')
                .global(true)
                .action(ArgAction::Append)
                .value_name("NAME=VALUE")
                .help("Server-wide value of an SQL setting; may be repeated"),
        )
        .subcommand(Command::new("serve").about("Run the server (the default)"))
        .subcommand(Command::new("check").about("Verify a data directory that no server uses"))
        .subcommand(
            Command::new("backup")
                .about("Copy a data directory that no server uses; of a running server: BACKUP TO 'DIR'")
                .arg(Arg::new("to").long("to").value_name("DIR").required(true).help("Empty or absent"))
                .arg(
                    Arg::new("from")
                        .long("incremental-from")
                        .value_name("DIR")
                        .help("Only what changed since this backup"),
                ),
        )
        .subcommand(
            Command::new("restore")
                .about("Make a data directory from backups, and go on by the archived log (--archive) to its end or a moment before")
                .arg(
                    Arg::new("from")
                        .long("from")
                        .value_name("DIR")
                        .required(true)
                        .action(ArgAction::Append)
                        .help("A full backup; again for each incremental one, in order"),
                )
                .arg(
                    Arg::new("to_time")
                        .long("to-time")
                        .value_name("TIME")
                        .conflicts_with("to_lsn")
                        .help("Up to the last commit at or before it, as 2026-01-31 12:00:00+01 (UTC without an offset)"),
                )
                .arg(
                    Arg::new("to_lsn")
                        .long("to-lsn")
                        .value_name("LSN")
                        .help("Up to the last commit below it, as pg_current_wal_lsn() says"),
                ),
        )
}

/// Reads the command line, the environment and the configuration file.
pub fn from_command_line(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Action, Exit> {
    let matches = command().try_get_matches_from(arguments).map_err(Exit::Clap)?;
    // Global flags may stand before or behind the subcommand: its matches have both.
    let (action, matches) = match matches.subcommand() {
        Some((name, inner)) => (name, inner),
        None => ("serve", &matches),
    };
    let file = match matches.get_one::<String>("config") {
        Some(path) => read_file(Path::new(path))?,
        None => File::default(),
    };
    let values = Values { matches, file: &file };
    if action == "backup" {
        let data = values.text("data")?.unwrap_or_default().into();
        let to = matches.get_one::<String>("to").cloned().unwrap_or_default().into();
        let previous = matches.get_one::<String>("from").map(PathBuf::from);
        return Ok(Action::Backup { data, to, previous });
    }
    if action == "restore" {
        let text = |name: &str| matches.get_one::<String>(name);
        return Ok(Action::Restore(Restore {
            data: values.text("data")?.unwrap_or_default().into(),
            from: matches.get_many::<String>("from").into_iter().flatten().map(PathBuf::from).collect(),
            archive: values.text("archive")?,
            to_time: text("to_time").map(|text| parse_time(text)).transpose()?,
            to_lsn: text("to_lsn").map(|text| parse_lsn(text)).transpose()?,
            page_cache_bytes: values.number("page_cache")?,
            delta_bytes: values.number("delta_memory")?,
            log: values.text("log")?.unwrap_or_default(),
        }));
    }
    if action == "check" {
        return Ok(Action::Check(values.text("data")?.unwrap_or_default().into()));
    }
    let mut sql: BTreeMap<String, String> = file.sql.clone();
    for (name, value) in std::env::vars() {
        if let Some(name) = name.strip_prefix("SERIN_SQL_") {
            sql.insert(name.to_ascii_lowercase(), value);
        }
    }
    for setting in SETTINGS {
        if let (Some(name), Some(value)) = (setting.sql, values.text(setting.name)?) {
            sql.insert(name.to_owned(), value);
        }
    }
    for assignment in matches.get_many::<String>("set").into_iter().flatten() {
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| format!("invalid -c {assignment}: expected NAME=VALUE"))?;
        sql.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    let tls = match (values.text("tls_cert")?, values.text("tls_key")?) {
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        (None, None) => None,
        _ => return Err("tls_cert and tls_key are needed together".to_owned().into()),
    };
    let listen = values.text("listen")?.unwrap_or_default();
    let data = PathBuf::from(values.text("data")?.unwrap_or_default());
    let hba_file = match values.text("hba_file")? {
        Some(file) => Some(file.into()),
        None => Some(data.join("pg_hba.conf")).filter(|file| file.exists()),
    };
    Ok(Action::Serve(Box::new(Config {
        data,
        listen: listen.split(',').map(|address| address.trim().to_owned()).collect(),
        unix_socket_dir: values.text("unix_socket_dir")?.map(PathBuf::from),
        hba_file,
        // `-c concurrency_mode=` counts as well.
        concurrency_mode: sql.get("concurrency_mode").cloned().unwrap_or_default(),
        max_connections: values.number("max_connections")? as usize,
        page_cache_bytes: values.number("page_cache")?,
        delta_bytes: values.number("delta_memory")?,
        wal_segment_bytes: values.number("wal_segment")?,
        wal_bytes_soft: values.number("max_wal_size")?,
        restart_target: Duration::from_millis(values.number("restart_target")?),
        fold_interval: Duration::from_millis(values.number("fold_interval")?),
        give_up_old_snapshots: values.text("give_up_old_snapshots")?.as_deref() == Some("on"),
        archive: values.text("archive")?,
        archive_timeout: Duration::from_millis(values.number("archive_timeout")?),
        worker_threads: values.number("worker_threads")? as usize,
        message_max: values.number("message_max")? as usize,
        authentication_timeout: Duration::from_millis(values.number("authentication_timeout")?),
        shutdown_timeout: Duration::from_millis(values.number("shutdown_timeout")?),
        tls,
        log: values.text("log")?.unwrap_or_default(),
        sql: sql.into_iter().collect(),
    })))
}

/// A moment as people write it, or psql shows it; UTC where no offset is given.
fn parse_time(text: &str) -> Result<SystemTime, String> {
    let text = text.trim();
    let parsed = text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}Z").parse());
    parsed.map(SystemTime::from).map_err(|error| format!("invalid value for to-time: \"{text}\" ({error})"))
}

fn parse_lsn(text: &str) -> Result<u64, String> {
    let parts = text.trim().split_once('/');
    let part = |digits: &str| u32::from_str_radix(digits, 16).ok().map(u64::from);
    parts.and_then(|(high, low)| Some(part(high)? << 32 | part(low)?)).ok_or_else(|| {
        format!(
            "invalid value for to-lsn: \"{text}\" (two hexadecimal numbers with a slash between are expected)"
        )
    })
}

/// The configuration file.
#[derive(Default)]
struct File {
    settings: BTreeMap<String, String>,
    sql: BTreeMap<String, String>,
}

fn read_file(path: &Path) -> Result<File, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("could not read configuration file \"{}\": {error}", path.display()))?;
    parse_file(&text).map_err(|error| format!("configuration file \"{}\": {error}", path.display()))
}

fn parse_file(text: &str) -> Result<File, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })?;
    let mut file = File::default();
    for (key, value) in table {
        match value {
            toml::Value::Table(settings) if key == "sql" => {
                for (name, value) in settings {
                    let value = scalar(&format!("sql.{name}"), value)?;
                    file.sql.insert(name.to_ascii_lowercase(), value);
                }
            }
            value if SETTINGS.iter().any(|setting| setting.name == key) => {
                file.settings.insert(key.clone(), scalar(&key, value)?);
            }
            _ => {
                return Err(format!("unknown setting \"{key}\" (SQL settings belong under [sql])"));
            }
        }
    }
    Ok(file)
}

fn scalar(key: &str, value: toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(value) => Ok(if value { "on" } else { "off" }.to_owned()),
        other => Err(format!("setting \"{key}\" can't be a {}", other.type_str())),
    }
}

/// Where a setting's value comes from.
struct Values<'a> {
    matches: &'a ArgMatches,
    file: &'a File,
}

impl Values<'_> {
    /// The value as given, checked to be one of its kind.
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name).expect("a setting of the table");
        let given = match self.matches.value_source(name) {
            Some(ValueSource::CommandLine | ValueSource::EnvVariable) => self.matches.get_one::<String>(name),
            _ => self.file.settings.get(name),
        };
        let value = match (given, &setting.default) {
            (Some(given), _) => given.clone(),
            (None, Default::Is(default)) => (*default).to_owned(),
            (None, Default::Unset) => return Ok(None),
            (None, Default::OfMemory { percent, min, max }) => {
                ((memory_bytes() as f64 * percent / 100.0) as u64).clamp(*min, *max).to_string()
            }
        };
        setting
            .kind
            .number(&value)
            .map_err(|why| format!("invalid value for {name}: \"{value}\" ({why})"))?;
        Ok(Some(value))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name).expect("a setting of the table");
        let value = self.text(name)?.unwrap_or_default();
        setting.kind.number(&value)
    }
}

impl Kind {
    /// A value's number: bytes, milliseconds, a count; 0 for text. The error says what was expected.
    fn number(self, value: &str) -> Result<u64, String> {
        match self {
            Kind::Text if value.is_empty() => Err("it is empty".to_owned()),
            Kind::Text => Ok(0),
            Kind::Choice(choices) if choices.contains(&value) => Ok(0),
            Kind::Choice(choices) => Err(format!("one of {} is expected", choices.join(", "))),
            Kind::Count { min, max } => within(value.trim().parse().ok(), min, max, "a number"),
            Kind::Bytes { min, max } => {
                let units = [("TB", 1 << 40), ("GB", GIB), ("MB", MIB), ("kB", 1024), ("KB", 1024), ("B", 1)];
                within(scaled(value, &units, 1), min, max, "a size such as 64MB")
            }
            Kind::Time { min_ms, max_ms } => {
                let units = [("min", 60_000), ("ms", 1), ("s", 1000), ("h", HOUR_MS)];
                within(scaled(value, &units, 1000), min_ms, max_ms, "a time such as 5min")
            }
        }
    }
}

fn within(number: Option<u64>, min: u64, max: u64, expected: &str) -> Result<u64, String> {
    match number {
        None => Err(format!("{expected} is expected")),
        Some(number) if number < min || number > max => Err("it is out of range".to_owned()),
        Some(number) => Ok(number),
    }
}

/// A number and a unit, of which the first that matches counts.
fn scaled(value: &str, units: &[(&str, u64)], bare: u64) -> Option<u64> {
    let value = value.trim();
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((value.strip_suffix(name)?, *unit)))
        .unwrap_or((value, bare));
    number.trim().parse::<u64>().ok()?.checked_mul(unit)
}

/// Memory of the machine, or of the container where that is less; 1 GiB where it can't be told.
fn memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    machine.into_iter().chain(container).min().unwrap_or(GIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(arguments: &[&str]) -> Result<Config, String> {
        let arguments = ["serin"].iter().chain(arguments).map(Into::into);
        match from_command_line(arguments) {
            Ok(Action::Serve(config)) => Ok(*config),
            Ok(Action::Check(_)) => Err("check".into()),
            Ok(Action::Backup { .. }) => Err("backup".into()),
            Ok(Action::Restore(_)) => Err("restore".into()),
            Err(Exit::Clap(error)) => Err(error.to_string()),
            Err(Exit::Invalid(error)) => Err(error),
        }
    }

    #[test]
    fn defaults() {
        let config = config(&[]).unwrap();
        assert_eq!(config.data, Path::new("./serin-data"));
        assert_eq!(config.listen, ["127.0.0.1:5432"]);
        assert_eq!(config.concurrency_mode, "ssi");
        assert_eq!(config.authentication_timeout, Duration::from_secs(60));
        assert!(config.page_cache_bytes >= 64 * MIB && config.delta_bytes <= config.page_cache_bytes);
        assert!(config.sql.contains(&("concurrency_mode".to_owned(), "ssi".to_owned())));
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text =
            "page_cache = \"96MB\"\nmax_connections = 7\nhba_file = \"/x/hba\"\n[sql]\nwork_mem = \"8MB\"\n";
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        let config =
            config(&["serve", "--config", path, "--max-connections", "9", "-c", "Work_Mem=1MB"]).unwrap();
        assert_eq!(config.page_cache_bytes, 96 * MIB);
        assert_eq!(config.max_connections, 9);
        assert_eq!(config.hba_file, Some(PathBuf::from("/x/hba")));
        assert!(config.sql.contains(&("work_mem".to_owned(), "1MB".to_owned())));
    }

    #[test]
    fn mistakes_name_what_is_wrong() {
        let message = |arguments: &[&str]| config(arguments).unwrap_err();
        assert!(
            message(&["--page-cache", "lots"])
                .contains("page_cache: \"lots\" (a size such as 64MB is expected)")
        );
        assert!(message(&["--page-cache", "1kB"]).contains("out of range"));
        assert!(message(&["--concurrency-mode", "none"]).contains("one of ssi, 2pl, serial"));
        assert!(message(&["--nonsense"]).contains("--nonsense"));
        assert!(message(&["--tls-cert", "x"]).contains("tls_key"));
        assert!(message(&["-c", "x"]).contains("NAME=VALUE"));
        assert!(message(&["--config", "/nonexistent"]).contains("/nonexistent"));
        assert_eq!(message(&["check"]), "check");
        let file = |text| parse_file(text).err().unwrap();
        assert!(file("pagecache = 1").contains("unknown setting \"pagecache\""));
        assert!(file("page_cache = [1]").contains("can't be a array"));
        assert!(file("x = 1\npage_cache = ").contains("line 2"));
    }

    #[test]
    fn targets_of_a_restore() {
        let restore = |arguments: &[&str]| {
            let arguments =
                ["serin", "restore", "--data", "d", "--from", "a", "--from", "b"].iter().chain(arguments);
            match from_command_line(arguments.map(Into::into)) {
                Ok(Action::Restore(restore)) => Ok(restore),
                Ok(_) => panic!("another action"),
                Err(Exit::Clap(error)) => Err(error.to_string()),
                Err(Exit::Invalid(error)) => Err(error),
            }
        };
        assert_eq!(restore(&[]).unwrap().from, [Path::new("a"), Path::new("b")]);
        assert_eq!(restore(&["--to-lsn", "1/A0"]).unwrap().to_lsn, Some(0x1_0000_00a0));
        let seconds = |text| {
            let time = restore(&["--to-time", text]).unwrap().to_time.unwrap();
            time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
        };
        assert_eq!(seconds("1970-01-02 00:00:00.25"), 86_400.25);
        assert_eq!(seconds("1970-01-02 00:00:00.25+00"), 86_400.25);
        assert_eq!(seconds("1970-01-02T01:00:00+01:00"), 86_400.0);
        assert!(restore(&["--to-lsn", "12"]).unwrap_err().contains("to-lsn"));
        assert!(restore(&["--to-time", "soon"]).unwrap_err().contains("to-time"));
        assert!(restore(&["--to-time", "1970-01-02 00:00:00", "--to-lsn", "0/0"]).is_err());
    }

    #[test]
    fn units() {
        let bytes = Kind::Bytes { min: 0, max: u64::MAX };
        assert_eq!(bytes.number("8kB"), Ok(8192));
        assert_eq!(bytes.number("3 GB"), Ok(3 * GIB));
        assert_eq!(bytes.number("12"), Ok(12));
        assert!(bytes.number("99999999999TB").is_err());
        let time = Kind::Time { min_ms: 0, max_ms: HOUR_MS };
        assert_eq!(time.number("250ms"), Ok(250));
        assert_eq!(time.number("2min"), Ok(120_000));
        assert_eq!(time.number("5"), Ok(5000));
    }
}
