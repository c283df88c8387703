//! Settings (PostgreSQL's GUCs) in one table: name, type, unit, range, default, context, description. It feeds SHOW, SET,
//! `pg_settings`, ParameterStatus and the docs. <https://www.postgresql.org/docs/15/runtime-config.html>
//!
//! A session holds only what differs from the defaults. Each setting that does has up to three parts:
//!
//! - *levels*: values from before the session's first statement (server, database, role, start-up packet). The highest
//!   is what RESET returns to.
//! - *session*: what SET said. Undone when its transaction rolls back.
//! - *local*: what SET LOCAL said. Gone at the end of the transaction; SET ends it too, as in PostgreSQL.
//!
//! Every change inside a transaction pushes what it replaced on an undo log, so ROLLBACK, and ROLLBACK TO by position,
//! put back exactly what was there.

mod definition;
mod table;
#[cfg(test)]
mod tests;
mod typed;

use crate::error::{Error, Result, SqlState};
use crate::parse::{ast, quote_identifier};
use definition::{Context, Definition, HIDDEN, Kind, LIST, NO_RESET, REPORT};
use hashbrown::HashMap;

pub use definition::parse_bool;
pub use typed::{IsolationLevel, Typed, split_identifiers};

/// Where a value came from, weakest first: each level overrides those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    Default,
    /// Command line, configuration file, ALTER SYSTEM.
    Server,
    Database,
    Role,
    RoleInDatabase,
    /// Start-up packet.
    Client,
    Session,
}

impl Source {
    /// pg_settings.source.
    pub fn text(self) -> &'static str {
        match self {
            Source::Default => "default",
            Source::Server => "configuration file",
            Source::Database => "database",
            Source::Role => "user",
            Source::RoleInDatabase => "database user",
            Source::Client => "client",
            Source::Session => "session",
        }
    }
}

/// A setting's values in one session; absent: the default.
#[derive(Clone, Default)]
struct Entry {
    /// By source, ascending.
    levels: Vec<(Source, String)>,
    session: Option<String>,
    local: Option<String>,
}

impl Entry {
    fn reset_value(&self) -> Option<&str> {
        self.levels.last().map(|(_, value)| value.as_str())
    }
    fn value(&self) -> Option<&str> {
        self.local.as_deref().or(self.session.as_deref()).or(self.reset_value())
    }
    fn source(&self) -> Source {
        match self {
            Entry { local: Some(_), .. } | Entry { session: Some(_), .. } => Source::Session,
            Entry { levels, .. } => levels.last().map_or(Source::Default, |(source, _)| *source),
        }
    }
}

struct Undo {
    key: Key,
    session: Option<String>,
    local: Option<String>,
}

/// A setting of the table by its position, or a custom one by its name in lower case.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Known(u16),
    Custom(String),
}

/// The values one session runs with. Changes are transactional: SET is undone by rollback, SET LOCAL by the transaction's end.
pub struct Settings {
    entries: HashMap<Key, Entry>,
    undo: Vec<Undo>,
    in_transaction: bool,
    /// What the client was last told, by position in the table.
    reported: Vec<(u16, String)>,
    reports_dirty: bool,
    typed: Typed,
}

/// A row of pg_settings.
pub struct SettingRow {
    pub name: String,
    pub setting: String,
    pub unit: Option<&'static str>,
    pub category: &'static str,
    pub description: &'static str,
    pub context: &'static str,
    pub type_name: &'static str,
    pub source: &'static str,
    pub min: Option<String>,
    pub max: Option<String>,
    pub values: Option<Vec<&'static str>>,
    pub boot_value: &'static str,
    pub reset_value: String,
}

fn find(name: &str) -> Option<u16> {
    // Names before PostgreSQL 8, and 16's rename.
    let name = match name {
        "sort_mem" => "work_mem",
        "vacuum_mem" => "maintenance_work_mem",
        "force_parallel_mode" => "debug_parallel_query",
        other => other,
    };
    table::SETTINGS
        .binary_search_by(|definition| compare_lower(definition.name, name))
        .ok()
        .map(|position| position as u16)
}

/// Compares as if both were in lower case (ASCII).
fn compare_lower(left: &str, right: &str) -> std::cmp::Ordering {
    let lower = |text: &str| {
        text.bytes().map(|byte| byte.to_ascii_lowercase()).collect::<smallvec::SmallVec<[u8; 48]>>()
    };
    lower(left).cmp(&lower(right))
}

/// A setting's key; a dotted name need not be known.
fn key(name: &str) -> Result<Key> {
    if let Some(position) = find(name) {
        return Ok(Key::Known(position));
    }
    if !name.contains('.') {
        return Err(unknown(name));
    }
    let valid = name.split('.').all(|part| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$')
    });
    if !valid {
        return Err(Error::new(
            SqlState::INVALID_NAME,
            format!("invalid configuration parameter name \"{name}\""),
        )
        .detail("Custom parameter names must be two or more simple identifiers separated by dots."));
    }
    Ok(Key::Custom(name.to_ascii_lowercase()))
}

fn unknown(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

fn definition(position: u16) -> &'static Definition {
    &table::SETTINGS[position as usize]
}

/// The values of a SET statement as one text: lists are joined, their items quoted where they need it.
pub fn flatten(name: &str, values: &[String]) -> Result<String> {
    let list = find(name).is_some_and(|position| definition(position).has(LIST));
    match values {
        [value] if !list => Ok(value.clone()),
        _ if list => {
            let quoted: Vec<String> = values
                .iter()
                .map(|value| {
                    if name.eq_ignore_ascii_case("datestyle") {
                        value.clone()
                    } else {
                        quote_identifier(value)
                    }
                })
                .collect();
            Ok(quoted.join(", "))
        }
        _ => {
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("SET {name} takes only one argument")))
        }
    }
}

/// The text of a [`ast::SetValue`] for [`Settings::set`]. None: DEFAULT.
pub fn set_value(name: &str, value: &ast::SetValue) -> Result<Option<String>> {
    match value {
        ast::SetValue::Default => Ok(None),
        ast::SetValue::Values(values) => flatten(name, values).map(Some),
    }
}

/// Checks a value that is stored for later sessions (ALTER SYSTEM / DATABASE / ROLE … SET), and brings it to its stored form.
pub fn validate(name: &str, value: &str) -> Result<String> {
    match key(name)? {
        Key::Known(position) => typed::canonical(definition(position), value),
        Key::Custom(_) => Ok(value.to_owned()),
    }
}

impl Settings {
    pub fn new() -> Settings {
        let mut settings = Settings {
            entries: HashMap::new(),
            undo: Vec::new(),
            in_transaction: false,
            reported: Vec::new(),
            reports_dirty: false,
            typed: Typed::default(),
        };
        settings.refresh();
        settings
    }

    /// Validates and sets; 42704 for an unknown name (names with a dot are custom), 22023 for a bad value, 55P02 for a fixed one.
    /// `value` None: back to the default of the levels below.
    pub fn set(&mut self, name: &str, value: Option<&str>, source: Source, local: bool) -> Result<()> {
        let key = key(name)?;
        let value = match (&key, value) {
            (Key::Known(position), value) => {
                check_context(definition(*position), source)?;
                value.map(|value| typed::canonical(definition(*position), value)).transpose()?
            }
            (Key::Custom(_), value) => value.map(str::to_owned),
        };
        if source < Source::Session {
            self.set_level(key, source, value);
        } else {
            self.set_session(key, value, local);
        }
        self.refresh();
        Ok(())
    }

    /// Whether only superusers may change it in a session.
    pub fn requires_superuser(name: &str) -> bool {
        find(name).is_some_and(|position| definition(position).context == Context::Superuser)
    }

    fn set_level(&mut self, key: Key, source: Source, value: Option<String>) {
        let levels = &mut self.entries.entry(key).or_default().levels;
        levels.retain(|(existing, _)| *existing != source);
        if let Some(value) = value {
            let position = levels.partition_point(|(existing, _)| *existing < source);
            levels.insert(position, (source, value));
        }
    }

    fn set_session(&mut self, key: Key, value: Option<String>, local: bool) {
        if !self.in_transaction && local {
            // SET LOCAL outside a transaction has no effect; the session warns.
            return;
        }
        let default = match &key {
            Key::Known(position) => definition(*position).default,
            Key::Custom(_) => "",
        };
        let entry = self.entries.entry(key.clone()).or_default();
        if self.in_transaction {
            self.undo.push(Undo { key, session: entry.session.clone(), local: entry.local.clone() });
        }
        if local {
            // SET LOCAL … TO DEFAULT must hide a session value too.
            let reset = || entry.reset_value().unwrap_or(default).to_owned();
            entry.local = Some(value.unwrap_or_else(reset));
        } else {
            entry.session = value;
            entry.local = None;
        }
    }

    /// As SHOW prints it. 42704 if unknown.
    pub fn show(&self, name: &str) -> Result<String> {
        match key(name).map_err(|_| unknown(name))? {
            Key::Known(position) => Ok(definition(position).show(self.stored(position))),
            key @ Key::Custom(_) => match self.entries.get(&key).and_then(Entry::value) {
                Some(value) => Ok(value.to_owned()),
                None => Err(unknown(name)),
            },
        }
    }

    /// The canonical name of a setting ("TimeZone" for `timezone`): SHOW's column is called after it.
    pub fn canonical_name(name: &str) -> Option<&'static str> {
        find(name).map(|position| definition(position).name)
    }

    /// name, setting, description: SHOW ALL.
    pub fn show_all(&self) -> Vec<(String, String, String)> {
        let mut rows: Vec<(String, String, String)> = (0..table::SETTINGS.len() as u16)
            .filter(|&position| !definition(position).has(HIDDEN))
            .map(|position| {
                let definition = definition(position);
                let value = definition.show(self.stored(position));
                (definition.name.to_owned(), value, definition.description.to_owned())
            })
            .collect();
        rows.extend(self.custom().map(|(name, entry)| {
            (name.to_owned(), entry.value().unwrap_or_default().to_owned(), String::new())
        }));
        rows.sort_by(|left, right| compare_lower(&left.0, &right.0));
        rows
    }

    /// The rows of pg_settings, sorted by name.
    pub fn rows(&self) -> Vec<SettingRow> {
        let known = (0..table::SETTINGS.len() as u16)
            .filter(|&position| !definition(position).has(HIDDEN))
            .map(|position| {
                let definition = definition(position);
                let entry = self.entries.get(&Key::Known(position));
                let (min, max) = match definition.kind {
                    Kind::Integer { min, max, .. } => (Some(min.to_string()), Some(max.to_string())),
                    Kind::Real { min, max, .. } if max == f64::MAX => {
                        (Some(min.to_string()), Some("1.79769e+308".to_owned()))
                    }
                    Kind::Real { min, max, .. } => (Some(min.to_string()), Some(max.to_string())),
                    _ => (None, None),
                };
                SettingRow {
                    name: definition.name.to_owned(),
                    setting: self.stored(position).to_owned(),
                    unit: definition.unit().text(),
                    category: definition.category,
                    description: definition.description,
                    context: definition.context.text(),
                    type_name: definition.type_text(),
                    source: entry.map_or(Source::Default, Entry::source).text(),
                    min,
                    max,
                    values: match definition.kind {
                        Kind::Enum(values) => Some(values.to_vec()),
                        _ => None,
                    },
                    boot_value: definition.default,
                    reset_value: entry.and_then(Entry::reset_value).unwrap_or(definition.default).to_owned(),
                }
            });
        let custom = self.custom().map(|(name, entry)| SettingRow {
            name: name.to_owned(),
            setting: entry.value().unwrap_or_default().to_owned(),
            unit: None,
            category: "Customized Options",
            description: "",
            context: "user",
            type_name: "string",
            source: entry.source().text(),
            min: None,
            max: None,
            values: None,
            boot_value: "",
            reset_value: entry.reset_value().unwrap_or_default().to_owned(),
        });
        let mut rows: Vec<SettingRow> = known.chain(custom).collect();
        rows.sort_by(|left, right| compare_lower(&left.name, &right.name));
        rows
    }

    fn custom(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().filter_map(|(key, entry)| match key {
            Key::Custom(name) if entry.value().is_some() => Some((name.as_str(), entry)),
            _ => None,
        })
    }

    /// The value in its stored form: numbers in the setting's own unit.
    fn stored(&self, position: u16) -> &str {
        if let Some(value) = self.entries.get(&Key::Known(position)).and_then(Entry::value) {
            return value;
        }
        // What the transaction of the asking statement started with.
        match definition(position).name {
            "transaction_isolation" => self.by_name("default_transaction_isolation"),
            "transaction_read_only" => self.by_name("default_transaction_read_only"),
            "transaction_deferrable" => self.by_name("default_transaction_deferrable"),
            _ => definition(position).default,
        }
    }

    /// The stored value of a setting of the table.
    fn by_name(&self, name: &str) -> &str {
        self.stored(find(name).expect("only names of the table are asked for"))
    }

    /// RESET ALL.
    pub fn reset_all(&mut self) {
        let keys: Vec<Key> = self
            .entries
            .iter()
            .filter(|(key, entry)| {
                let kept = matches!(key, Key::Known(position)
                    if definition(*position).flags & (NO_RESET | HIDDEN) != 0);
                !kept && (entry.session.is_some() || entry.local.is_some())
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.set_session(key, None, false);
        }
        self.refresh();
    }

    /// Transaction boundaries: what to undo at ROLLBACK (and ROLLBACK TO), what SET LOCAL reverts at any end.
    pub fn begin_transaction(&mut self) {
        self.in_transaction = true;
    }

    pub fn end_transaction(&mut self, committed: bool) {
        self.in_transaction = false;
        if self.undo.is_empty() {
            return;
        }
        if committed {
            for undo in std::mem::take(&mut self.undo) {
                if let Some(entry) = self.entries.get_mut(&undo.key) {
                    entry.local = None;
                }
            }
        } else {
            self.undo_to(0);
        }
        self.refresh();
    }

    /// A place to come back to with [`Settings::rollback_to`].
    pub fn savepoint(&mut self) -> usize {
        self.undo.len()
    }

    pub fn rollback_to(&mut self, savepoint: usize) {
        if self.undo.len() > savepoint {
            self.undo_to(savepoint);
            self.refresh();
        }
    }

    fn undo_to(&mut self, length: usize) {
        while self.undo.len() > length {
            let Some(undo) = self.undo.pop() else { return };
            if let Some(entry) = self.entries.get_mut(&undo.key) {
                entry.session = undo.session;
                entry.local = undo.local;
            }
        }
    }

    /// Reported settings (ParameterStatus) that changed since the last call.
    pub fn take_changed_reports(&mut self) -> Vec<(&'static str, String)> {
        if !std::mem::take(&mut self.reports_dirty) {
            return Vec::new();
        }
        let now = self.report_values();
        let changed = now
            .iter()
            .filter(|(position, value)| {
                !self.reported.iter().any(|(known, told)| known == position && told == value)
            })
            .map(|(position, value)| (definition(*position).name, value.clone()))
            .collect();
        self.reported = now;
        changed
    }

    /// All reported ones, for start-up.
    pub fn reports(&self) -> Vec<(&'static str, String)> {
        self.report_values().into_iter().map(|(position, value)| (definition(position).name, value)).collect()
    }

    fn report_values(&self) -> Vec<(u16, String)> {
        (0..table::SETTINGS.len() as u16)
            .filter(|&position| definition(position).has(REPORT))
            .map(|position| (position, definition(position).show(self.stored(position))))
            .collect()
    }

    /// Typed access to what the engine itself needs: cached, refreshed by `set`.
    pub fn typed(&self) -> &Typed {
        &self.typed
    }

    fn refresh(&mut self) {
        self.reports_dirty = true;
        let zone = self.typed.render.time_zone.clone();
        self.typed = Typed::read(|name| self.by_name(name), &zone);
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::new()
    }
}

/// Whether a setting may change from this source.
fn check_context(definition: &Definition, source: Source) -> Result<()> {
    // The engine itself says what is_superuser and its like are.
    if source == Source::Server {
        return Ok(());
    }
    let how = match definition.context {
        Context::Internal => "cannot be changed",
        Context::Postmaster => "cannot be changed without restarting the server",
        Context::Sighup => "cannot be changed now",
        Context::Backend if source == Source::Session => "cannot be set after connection start",
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, format!("parameter \"{}\" {how}", definition.name)))
}
