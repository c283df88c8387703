//! The error every statement ends in: a SQLSTATE, a message in PostgreSQL's words, and the optional fields of an
//! ErrorResponse. Lower layers' errors are converted here; the text of conflict reports is built here.
//!
//! Codes: <https://www.postgresql.org/docs/15/errcodes-appendix.html>

use std::panic::Location;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("SQLSTATEs are ASCII")
    }
}

impl std::fmt::Debug for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! states {
    ($($name:ident = $code:literal;)*) => {
        impl SqlState { $(pub const $name: SqlState = SqlState(*$code);)* }
    };
}

states! {
    SUCCESSFUL_COMPLETION = b"00000";
    WARNING = b"01000";
    CONNECTION_EXCEPTION = b"08000";
    CONNECTION_FAILURE = b"08006";
    PROTOCOL_VIOLATION = b"08P01";
    FEATURE_NOT_SUPPORTED = b"0A000";
    CASE_NOT_FOUND = b"20000";
    CARDINALITY_VIOLATION = b"21000";
    DATA_EXCEPTION = b"22000";
    STRING_DATA_RIGHT_TRUNCATION = b"22001";
    NUMERIC_VALUE_OUT_OF_RANGE = b"22003";
    ERROR_IN_ASSIGNMENT = b"22005";
    NULL_VALUE_NOT_ALLOWED = b"22004";
    ZERO_LENGTH_CHARACTER_STRING = b"2200F";
    INVALID_DATETIME_FORMAT = b"22007";
    DATETIME_FIELD_OVERFLOW = b"22008";
    INVALID_PRECEDING_OR_FOLLOWING_SIZE = b"22013";
    INVALID_ARGUMENT_FOR_NTILE = b"22014";
    INVALID_ARGUMENT_FOR_NTH_VALUE = b"22016";
    DIVISION_BY_ZERO = b"22012";
    INTERVAL_FIELD_OVERFLOW = b"22015";
    INVALID_CHARACTER_VALUE_FOR_CAST = b"22018";
    INVALID_ESCAPE_SEQUENCE = b"22025";
    INVALID_REGULAR_EXPRESSION = b"2201B";
    INVALID_LOGARITHM_ARGUMENT = b"2201E";
    INVALID_POWER_ARGUMENT = b"2201F";
    INVALID_ROW_COUNT_IN_LIMIT = b"2201W";
    INVALID_ROW_COUNT_IN_OFFSET = b"2201X";
    CHARACTER_NOT_IN_REPERTOIRE = b"22021";
    INVALID_PARAMETER_VALUE = b"22023";
    SUBSTRING_ERROR = b"22011";
    INVALID_TEXT_REPRESENTATION = b"22P02";
    INVALID_BINARY_REPRESENTATION = b"22P03";
    BAD_COPY_FILE_FORMAT = b"22P04";
    UNTRANSLATABLE_CHARACTER = b"22P05";
    ARRAY_SUBSCRIPT_ERROR = b"2202E";
    SEQUENCE_GENERATOR_LIMIT_EXCEEDED = b"2200H";
    NOT_NULL_VIOLATION = b"23502";
    FOREIGN_KEY_VIOLATION = b"23503";
    UNIQUE_VIOLATION = b"23505";
    EXCLUSION_VIOLATION = b"23P01";
    CHECK_VIOLATION = b"23514";
    INVALID_CURSOR_STATE = b"24000";
    INVALID_TRANSACTION_STATE = b"25000";
    ACTIVE_SQL_TRANSACTION = b"25001";
    READ_ONLY_SQL_TRANSACTION = b"25006";
    NO_ACTIVE_SQL_TRANSACTION = b"25P01";
    IN_FAILED_SQL_TRANSACTION = b"25P02";
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = b"25P03";
    INVALID_SQL_STATEMENT_NAME = b"26000";
    TRIGGERED_DATA_CHANGE_VIOLATION = b"27000";
    INVALID_AUTHORIZATION_SPECIFICATION = b"28000";
    INVALID_PASSWORD = b"28P01";
    DEPENDENT_OBJECTS_STILL_EXIST = b"2BP01";
    FUNCTION_EXECUTED_NO_RETURN_STATEMENT = b"2F005";
    INVALID_CURSOR_NAME = b"34000";
    SAVEPOINT_EXCEPTION = b"3B000";
    INVALID_SAVEPOINT_SPECIFICATION = b"3B001";
    INVALID_CATALOG_NAME = b"3D000";
    INVALID_SCHEMA_NAME = b"3F000";
    SERIALIZATION_FAILURE = b"40001";
    DEADLOCK_DETECTED = b"40P01";
    SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION = b"42000";
    INSUFFICIENT_PRIVILEGE = b"42501";
    SYNTAX_ERROR = b"42601";
    INVALID_NAME = b"42602";
    INVALID_COLUMN_DEFINITION = b"42611";
    NAME_TOO_LONG = b"42622";
    DUPLICATE_COLUMN = b"42701";
    AMBIGUOUS_COLUMN = b"42702";
    UNDEFINED_COLUMN = b"42703";
    UNDEFINED_OBJECT = b"42704";
    DUPLICATE_OBJECT = b"42710";
    DUPLICATE_ALIAS = b"42712";
    DUPLICATE_FUNCTION = b"42723";
    AMBIGUOUS_FUNCTION = b"42725";
    GROUPING_ERROR = b"42803";
    DATATYPE_MISMATCH = b"42804";
    WRONG_OBJECT_TYPE = b"42809";
    INVALID_FOREIGN_KEY = b"42830";
    CANNOT_COERCE = b"42846";
    UNDEFINED_FUNCTION = b"42883";
    GENERATED_ALWAYS = b"428C9";
    RESERVED_NAME = b"42939";
    INVALID_GRANT_OPERATION = b"0LP01";
    UNDEFINED_TABLE = b"42P01";
    UNDEFINED_PARAMETER = b"42P02";
    DUPLICATE_CURSOR = b"42P03";
    DUPLICATE_DATABASE = b"42P04";
    DUPLICATE_PREPARED_STATEMENT = b"42P05";
    DUPLICATE_SCHEMA = b"42P06";
    DUPLICATE_TABLE = b"42P07";
    AMBIGUOUS_PARAMETER = b"42P08";
    AMBIGUOUS_ALIAS = b"42P09";
    INVALID_COLUMN_REFERENCE = b"42P10";
    INVALID_CURSOR_DEFINITION = b"42P11";
    INVALID_SCHEMA_DEFINITION = b"42P15";
    INVALID_TABLE_DEFINITION = b"42P16";
    INVALID_FUNCTION_DEFINITION = b"42P13";
    INVALID_OBJECT_DEFINITION = b"42P17";
    INDETERMINATE_DATATYPE = b"42P18";
    INVALID_RECURSION = b"42P19";
    WINDOWING_ERROR = b"42P20";
    COLLATION_MISMATCH = b"42P21";
    INDETERMINATE_COLLATION = b"42P22";
    WITH_CHECK_OPTION_VIOLATION = b"44000";
    INSUFFICIENT_RESOURCES = b"53000";
    DISK_FULL = b"53100";
    OUT_OF_MEMORY = b"53200";
    TOO_MANY_CONNECTIONS = b"53300";
    PROGRAM_LIMIT_EXCEEDED = b"54000";
    STATEMENT_TOO_COMPLEX = b"54001";
    TOO_MANY_COLUMNS = b"54011";
    TOO_MANY_ARGUMENTS = b"54023";
    OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000";
    OBJECT_IN_USE = b"55006";
    CANT_CHANGE_RUNTIME_PARAM = b"55P02";
    LOCK_NOT_AVAILABLE = b"55P03";
    QUERY_CANCELED = b"57014";
    ADMIN_SHUTDOWN = b"57P01";
    CANNOT_CONNECT_NOW = b"57P03";
    IO_ERROR = b"58030";
    SNAPSHOT_TOO_OLD = b"72000";
    RAISE_EXCEPTION = b"P0001";
    NO_DATA_FOUND = b"P0002";
    TOO_MANY_ROWS = b"P0003";
    ASSERT_FAILURE = b"P0004";
    STACKED_DIAGNOSTICS_WITHOUT_HANDLER = b"0Z002";
    TRIGGER_PROTOCOL_VIOLATED = b"39P01";
    INVALID_TRANSACTION_TERMINATION = b"2D000";
    INTERNAL_ERROR = b"XX000";
    DATA_CORRUPTED = b"XX001";
}

/// PostgreSQL's message levels for notices; errors are `Error`, and `Fatal` ends the session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    Error,
    Fatal,
}

/// Boxed inside, so that `Result<T>` stays small on the hot path.
#[derive(Clone, Debug)]
pub struct Error(Box<Fields>);

#[derive(Clone, Debug)]
pub struct Fields {
    pub severity: Severity,
    pub state: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Characters (from 1) into the statement text.
    pub position: Option<usize>,
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub data_type: Option<String>,
    pub constraint: Option<String>,
    /// Where in the source the error was made, as PostgreSQL reports its own.
    pub location: &'static Location<'static>,
    /// PostgreSQL's function that reports it, where clients tell by it what happened; else it is named after the source file.
    pub routine: Option<&'static str>,
    /// Of damaged data, until its relation is named.
    pub(crate) tree: Option<serin_storage::TreeId>,
    /// Of a serialization failure or deadlock, until its DETAIL is written.
    pub(crate) conflict: Option<std::sync::Arc<serin_txn::Conflict>>,
}

impl Error {
    #[track_caller]
    pub fn new(state: SqlState, message: impl Into<String>) -> Error {
        Error(Box::new(Fields {
            severity: Severity::Error,
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            data_type: None,
            constraint: None,
            location: Location::caller(),
            routine: None,
            tree: None,
            conflict: None,
        }))
    }
    /// 0A000: what PostgreSQL can do and Serin can't yet, by name.
    #[track_caller]
    pub fn unsupported(what: impl std::fmt::Display) -> Error {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported yet"))
    }
    /// XX000: a bug of ours that was caught in time.
    #[track_caller]
    pub fn internal(what: impl Into<String>) -> Error {
        Error::new(SqlState::INTERNAL_ERROR, what)
    }
    pub fn severity(mut self, severity: Severity) -> Error {
        self.0.severity = severity;
        self
    }
    pub fn fatal(mut self) -> Error {
        self.0.severity = Severity::Fatal;
        self
    }
    pub fn detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }
    pub fn routine(mut self, routine: &'static str) -> Error {
        self.0.routine = Some(routine);
        self
    }
    /// Keeps an inner position if one is set.
    pub fn at(mut self, position: usize) -> Error {
        self.0.position.get_or_insert(position);
        self
    }
    /// For a position in a text that is not the statement's.
    pub fn without_position(mut self) -> Error {
        self.0.position = None;
        self
    }
    pub fn context(mut self, context: impl Into<String>) -> Error {
        self.0.context = Some(context.into());
        self
    }
    /// Adds a line of context below those that are there, outermost last; a position within a function's statement means nothing to
    /// the client.
    pub fn within(mut self, line: impl AsRef<str>) -> Error {
        self.0.position = None;
        match &mut self.0.context {
            Some(context) => {
                context.push('\n');
                context.push_str(line.as_ref());
            }
            None => self.0.context = Some(line.as_ref().to_owned()),
        }
        self
    }
    pub(crate) fn fields_mut(&mut self) -> &mut Fields {
        &mut self.0
    }
    pub fn on_table(mut self, schema: &str, table: &str) -> Error {
        self.0.schema = Some(schema.into());
        self.0.table = Some(table.into());
        self
    }
    pub fn on_column(mut self, column: &str) -> Error {
        self.0.column = Some(column.into());
        self
    }
    pub fn on_constraint(mut self, constraint: &str) -> Error {
        self.0.constraint = Some(constraint.into());
        self
    }
    pub fn state(&self) -> SqlState {
        self.0.state
    }
    pub fn message(&self) -> &str {
        &self.0.message
    }
    pub fn fields(&self) -> &Fields {
        &self.0
    }
    pub(crate) fn conflict(&self) -> Option<&serin_txn::Conflict> {
        self.0.conflict.as_deref()
    }
    /// 40001 or 40P01: the same statement may succeed when run again.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.state, SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.state.as_str())
    }
}

impl std::error::Error for Error {}

impl From<serin_storage::Error> for Error {
    #[track_caller]
    fn from(error: serin_storage::Error) -> Error {
        use serin_storage::Error as E;
        let state = match &error {
            E::Io { .. } | E::Stopped(_) => SqlState::IO_ERROR,
            E::DiskFull { .. } => SqlState::DISK_FULL,
            E::Corrupt { .. } | E::FormatVersion { .. } => SqlState::DATA_CORRUPTED,
            E::Locked { .. } => SqlState::OBJECT_IN_USE,
            E::DeltaFull { .. } => SqlState::OUT_OF_MEMORY,
            E::SnapshotTooOld => SqlState::SNAPSHOT_TOO_OLD,
            E::KeyTooLarge { .. } => SqlState::PROGRAM_LIMIT_EXCEEDED,
            E::Archive(_) => SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            E::NotAscending => SqlState::INTERNAL_ERROR,
        };
        let message = error.to_string();
        let tree = if let E::Corrupt { tree, .. } = error { tree } else { None };
        let mut error = Error::new(state, message);
        error.0.tree = tree;
        error
    }
}

impl From<serin_txn::Error> for Error {
    #[track_caller]
    fn from(error: serin_txn::Error) -> Error {
        use serin_txn::Error as E;
        let state = match &error {
            E::Storage(inner) => return inner.clone().into(),
            E::ConcurrentUpdate { .. } | E::DangerousStructure(_) => SqlState::SERIALIZATION_FAILURE,
            E::Deadlock(_) => SqlState::DEADLOCK_DETECTED,
            E::LockNotAvailable(_) | E::LockTimeout => SqlState::LOCK_NOT_AVAILABLE,
            E::Interrupted => SqlState::QUERY_CANCELED,
            E::SerialTokenTimeout => SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            E::OutOfLocks | E::TooManyPrepared(_) => SqlState::OUT_OF_MEMORY,
            E::PreparedExists(_) => SqlState::DUPLICATE_OBJECT,
            E::NoSuchPrepared(_) => SqlState::UNDEFINED_OBJECT,
            E::PreparedBusy(_) | E::PreparedDisabled => SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            E::NoSuchSnapshot(_) => SqlState::INVALID_PARAMETER_VALUE,
            E::PreparedMixedLocks | E::SnapshotImport(_) => SqlState::FEATURE_NOT_SUPPORTED,
            E::PreparedDamaged(_) => SqlState::DATA_CORRUPTED,
        };
        let hint = match &error {
            E::PreparedDisabled => "Set max_prepared_transactions to a nonzero value.".to_owned(),
            E::TooManyPrepared(max) => format!("Increase max_prepared_transactions (currently {max})."),
            _ => String::new(),
        };
        let mut converted = Error::new(state, error.to_string());
        if !hint.is_empty() {
            converted = converted.hint(hint);
        }
        if let E::ConcurrentUpdate { conflict, .. }
        | E::DangerousStructure(conflict)
        | E::Deadlock(conflict) = error
        {
            converted.0.conflict = Some((*conflict).into());
        }
        converted
    }
}
