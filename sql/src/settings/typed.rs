//! The settings that the engine reads on its hot paths, parsed; and the values that need more than their type to be
//! checked (DateStyle, TimeZone, client_encoding, lists of names).

use super::definition::Definition;
use crate::encoding::Encoding;
use crate::error::{Error, Result, Severity, SqlState};
use crate::plan::PlannerSettings;
use crate::types::{DateFormat, DateOrder, DateStyle, IntervalStyle, RenderSettings, TimeZone};
use serin_txn::{Isolation, Mode};
use std::sync::Arc;

/// The settings the engine reads on its hot paths, already parsed.
pub struct Typed {
    pub render: RenderSettings,
    pub search_path: Arc<[String]>,
    pub concurrency_mode: Mode,
    pub default_isolation: IsolationLevel,
    pub default_read_only: bool,
    pub default_deferrable: bool,
    /// Milliseconds; 0 = off.
    pub statement_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    pub deadlock_timeout_ms: u64,
    pub serial_idle_timeout_ms: u64,
    pub lock_escalation_rows: u64,
    pub idle_in_transaction_session_timeout_ms: u64,
    pub transaction_timeout_ms: u64,
    pub synchronous_commit: bool,
    pub work_mem_bytes: usize,
    pub client_min_messages: Severity,
    pub standard_conforming_strings: bool,
    pub planner: PlannerSettings,
    /// session_replication_role: the session applies what another server has changed.
    pub is_replica: bool,
}

impl Default for Typed {
    fn default() -> Typed {
        Typed::read(
            |name| super::find(name).map_or("", |position| super::definition(position).default),
            &Arc::new(TimeZone::utc()),
        )
    }
}

impl Typed {
    /// Values are canonical already; `zone` is the time zone so far, kept if its name is still the same.
    pub fn read<'a>(value: impl Fn(&'static str) -> &'a str, zone: &Arc<TimeZone>) -> Typed {
        let on = |name| value(name) == "on";
        let number = |name| value(name).parse::<u64>().unwrap_or(0);
        let zone_name = value("timezone");
        let time_zone = if zone.name == zone_name {
            zone.clone()
        } else {
            TimeZone::named(zone_name).map_or_else(|| zone.clone(), Arc::new)
        };
        let work_mem_bytes = number("work_mem") as usize * 1024;
        Typed {
            render: RenderSettings {
                date_style: parse_date_style(value("datestyle"), DEFAULT_DATE_STYLE)
                    .unwrap_or(DEFAULT_DATE_STYLE),
                interval_style: match value("intervalstyle") {
                    "postgres_verbose" => IntervalStyle::PostgresVerbose,
                    "sql_standard" => IntervalStyle::SqlStandard,
                    "iso_8601" => IntervalStyle::Iso8601,
                    _ => IntervalStyle::Postgres,
                },
                time_zone,
                extra_float_digits: value("extra_float_digits").parse().unwrap_or(1),
                bytea_escape: value("bytea_output") == "escape",
            },
            search_path: split_identifiers(value("search_path")).unwrap_or_default().into(),
            concurrency_mode: match value("concurrency_mode") {
                "2pl" => Mode::TwoPhase,
                "serial" => Mode::Serial,
                _ => Mode::Ssi,
            },
            default_isolation: IsolationLevel::named(value("default_transaction_isolation"))
                .unwrap_or(IsolationLevel::ReadCommitted),
            default_read_only: on("default_transaction_read_only"),
            default_deferrable: on("default_transaction_deferrable"),
            statement_timeout_ms: number("statement_timeout"),
            lock_timeout_ms: number("lock_timeout"),
            deadlock_timeout_ms: number("deadlock_timeout"),
            serial_idle_timeout_ms: number("serial_idle_timeout"),
            lock_escalation_rows: number("lock_escalation_rows"),
            idle_in_transaction_session_timeout_ms: number("idle_in_transaction_session_timeout"),
            transaction_timeout_ms: number("transaction_timeout"),
            synchronous_commit: value("synchronous_commit") != "off",
            work_mem_bytes,
            client_min_messages: match value("client_min_messages") {
                "log" => Severity::Log,
                "info" => Severity::Info,
                "notice" => Severity::Notice,
                "warning" => Severity::Warning,
                "error" => Severity::Error,
                _ => Severity::Debug,
            },
            is_replica: value("session_replication_role") == "replica",
            standard_conforming_strings: on("standard_conforming_strings"),
            planner: PlannerSettings {
                enable_index_scan: on("enable_indexscan"),
                enable_bitmap_scan: on("enable_bitmapscan"),
                enable_hash_join: on("enable_hashjoin"),
                enable_nested_loop: on("enable_nestloop"),
                enable_sequential_scan: on("enable_seqscan"),
                enable_sort: on("enable_sort"),
                work_mem_bytes,
            },
        }
    }
}

/// The standard's levels. READ UNCOMMITTED keeps its name but is READ COMMITTED, as in PostgreSQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl IsolationLevel {
    const ALL: [IsolationLevel; 4] =
        [Self::ReadUncommitted, Self::ReadCommitted, Self::RepeatableRead, Self::Serializable];

    pub fn name(self) -> &'static str {
        match self {
            IsolationLevel::ReadUncommitted => "read uncommitted",
            IsolationLevel::ReadCommitted => "read committed",
            IsolationLevel::RepeatableRead => "repeatable read",
            IsolationLevel::Serializable => "serializable",
        }
    }

    pub fn named(name: &str) -> Option<IsolationLevel> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// What the transaction layer does for it.
    pub fn isolation(self) -> Isolation {
        match self {
            IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => Isolation::ReadCommitted,
            IsolationLevel::RepeatableRead => Isolation::RepeatableRead,
            IsolationLevel::Serializable => Isolation::Serializable,
        }
    }
}

/// The stored form of a value, with the checks that its type alone doesn't make.
pub fn canonical(definition: &Definition, value: &str) -> Result<String> {
    match definition.name {
        "DateStyle" => {
            let style = parse_date_style(value, DEFAULT_DATE_STYLE)
                .map_err(|detail| definition.invalid(value).detail(detail))?;
            Ok(show_date_style(style))
        }
        "TimeZone" | "log_timezone" => time_zone(definition, value),
        "client_encoding" => client_encoding(definition, value),
        "search_path" | "temp_tablespaces" => match split_identifiers(value) {
            Some(_) => Ok(value.to_owned()),
            None => Err(definition.invalid(value).detail("List syntax is invalid.")),
        },
        "standard_conforming_strings" => match definition.parse(value)?.as_str() {
            "on" => Ok("on".into()),
            _ => Err(Error::unsupported("standard_conforming_strings = off")),
        },
        "application_name" => {
            // Cut to 63 bytes; what isn't printable ASCII becomes `?`, as in PostgreSQL before 16 shows it.
            let clean: String =
                value.chars().map(|letter| if matches!(letter, ' '..='~') { letter } else { '?' }).collect();
            Ok(clean.chars().take(63).collect())
        }
        _ => definition.parse(value),
    }
}

fn time_zone(definition: &Definition, value: &str) -> Result<String> {
    // SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE, and pg_dump's `interval '…'` inside a string.
    if let Some(rest) =
        value.get(..8).filter(|prefix| prefix.eq_ignore_ascii_case("interval")).map(|_| &value[8..])
    {
        let offset = rest.trim().trim_matches('\'');
        let seconds = crate::types::timezone_offset(offset).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"TimeZone\": \"{value}\""),
            )
        })?;
        return TimeZone::fixed(seconds).map(|zone| zone.name).ok_or_else(|| definition.invalid(value));
    }
    TimeZone::named(value).map(|zone| zone.name).ok_or_else(|| definition.invalid(value))
}

fn client_encoding(definition: &Definition, value: &str) -> Result<String> {
    Encoding::named(value).map(|encoding| encoding.name().to_owned()).ok_or_else(|| definition.invalid(value))
}

const DEFAULT_DATE_STYLE: DateStyle = DateStyle { format: DateFormat::Iso, order: DateOrder::Mdy };

/// Words in any order and case, as in assign_datestyle; `base` is what unmentioned parts keep. Err: the error's detail.
fn parse_date_style(value: &str, base: DateStyle) -> Result<DateStyle, String> {
    let (mut format, mut order) = (None, None);
    let conflict = || "Conflicting \"datestyle\" specifications.".to_owned();
    for word in value.split(',') {
        let word = word.trim().trim_matches('"').to_ascii_lowercase();
        let (new_format, new_order) = match word.as_str() {
            "iso" => (Some(DateFormat::Iso), None),
            "sql" => (Some(DateFormat::Sql), None),
            "german" => (Some(DateFormat::German), None),
            "ymd" => (None, Some(DateOrder::Ymd)),
            "us" | "mdy" => (None, Some(DateOrder::Mdy)),
            "dmy" => (None, Some(DateOrder::Dmy)),
            "default" => (Some(DEFAULT_DATE_STYLE.format), Some(DEFAULT_DATE_STYLE.order)),
            _ if word.starts_with("postgres") => (Some(DateFormat::Postgres), None),
            _ if word.starts_with("noneuro") => (None, Some(DateOrder::Mdy)),
            _ if word.starts_with("euro") => (None, Some(DateOrder::Dmy)),
            _ => return Err(format!("Unrecognized key word: \"{word}\".")),
        };
        if let Some(new) = new_format
            && format.replace(new).is_some_and(|old| old != new)
        {
            return Err(conflict());
        }
        if let Some(new) = new_order
            && order.replace(new).is_some_and(|old| old != new)
        {
            return Err(conflict());
        }
    }
    // German dates are day first unless something else is said.
    if format == Some(DateFormat::German) && order.is_none() {
        order = Some(DateOrder::Dmy);
    }
    Ok(DateStyle { format: format.unwrap_or(base.format), order: order.unwrap_or(base.order) })
}

fn show_date_style(style: DateStyle) -> String {
    let format = match style.format {
        DateFormat::Iso => "ISO",
        DateFormat::Sql => "SQL",
        DateFormat::Postgres => "Postgres",
        DateFormat::German => "German",
    };
    let order = match style.order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    };
    format!("{format}, {order}")
}

/// SplitIdentifierString: names separated by commas, folded unless quoted. None: bad syntax.
pub fn split_identifiers(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut tail = quoted;
            loop {
                let end = tail.find('"')?;
                name.push_str(&tail[..end]);
                tail = &tail[end + 1..];
                match tail.strip_prefix('"') {
                    Some(more) => {
                        name.push('"');
                        tail = more;
                    }
                    None => break,
                }
            }
            names.push(name);
            rest = tail.trim_start();
        } else {
            let end = rest.find(|letter: char| letter == ',' || letter.is_whitespace()).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            names.push(rest[..end].to_ascii_lowercase());
            rest = rest[end..].trim_start();
        }
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}
