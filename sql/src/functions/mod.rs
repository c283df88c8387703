//! Functions, operators, casts and aggregates: which exist, how a call is resolved to one (PostgreSQL's rules:
//! exact match, then implicit casts, preferred types), and the code that computes them.
//!
//! Every function has a scalar form; the hot ones also have a kernel that loops over typed columns. A macro makes
//! both from one Rust closure over typed values, so that they can't disagree.
//!
//! What exists is a matter of facts: `facts/*.tsv` are PostgreSQL 15's pg_proc, pg_operator and pg_cast, so OIDs, types,
//! strictness and volatility are PostgreSQL's. How it is computed is code: each module registers implementations under
//! the facts' implementation names (`int4pl`), and `registry.rs` joins the two. A fact without code doesn't exist.
//!
//! - `registry.rs`, `resolve.rs`, `cast.rs`: the join; overload resolution; conversions.
//! - `arguments.rs`, `kernel.rs`: typed access to arguments; loops over columns.
//! - one module per family: `comparison`, `math`, `numeric`, `text`, `pattern`, `datetime`, `array`, `series`,
//!   `aggregate`, `system`.

mod aggregate;
pub(crate) mod arguments;
mod array;
pub mod assign;
mod bits;
mod cast;
mod catalog;
mod comparison;
mod datetime;
#[cfg(test)]
mod differential;
pub mod domain;
mod enumeration;
mod formatting;
mod geometry;
mod json;
mod kernel;
mod large_object;
mod lsn;
mod math;
mod money;
mod network;
mod numeric;
pub(crate) mod ordered_set;
pub mod parameters;
mod partition;
pub(crate) mod pattern;
pub(crate) mod privilege;
mod range;
mod registry;
mod resolve;
mod series;
pub(crate) mod system;
pub(crate) mod text;
mod textsearch;
mod timetz;
mod window;

pub use cast::{cast_datum, find_cast, format_in_context, parse_in_context};
pub(crate) use geometry::line_through;
pub(crate) use pattern::compile_regex;
pub use registry::{
    CastFact, OperatorFact, Registry, SupportFunction, all, cast_facts, function_by_oid, functions_named,
    operator_facts, operator_symbol, support_function, support_functions,
};
pub use resolve::{
    Callee, ResolvedCall, Source, common_type, range_constructor, resolve_call, resolve_function,
    resolve_operator,
};
pub use window::WindowFunction;

use crate::column::Column;
use crate::error::Result;
use crate::plan::cost::Comparison;
use crate::types::{Datum, Oid, RenderSettings, Type};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub enum Volatility {
    /// Foldable when planning.
    Immutable,
    /// Constant within a statement.
    Stable,
    Volatile,
}

/// An argument of a kernel: a column of the batch's length or one value for all rows.
#[derive(Clone)]
pub enum Operand {
    Column(Arc<Column>),
    Constant(Datum),
}

pub type Scalar = fn(&[Datum], &EvalContext<'_>) -> Result<Datum>;
/// Computes `rows` results. Strictness is the caller's: a kernel may compute garbage where an argument is null, but must
/// not fail there (the null bitmap is passed in the columns).
pub type Kernel = fn(&[Operand], usize, &EvalContext<'_>) -> Result<Column>;
/// Rows of a set-returning function, produced lazily; each row has as many values as the function has columns.
pub type SetIterator = Box<dyn Iterator<Item = Result<Vec<Datum>>> + Send>;
pub type SetFunction = fn(&[Datum], &EvalContext<'_>) -> Result<SetIterator>;

/// What a call's arguments and result are, for functions that take `any`: values don't carry their type.
pub struct CallTypes<'a> {
    pub arguments: &'a [Type],
    pub result: Type,
}
impl CallTypes<'_> {
    /// The call was written with VARIADIC: its last argument is an array of the last arguments.
    pub fn is_variadic(&self) -> bool {
        self.arguments.last() == Some(&Type::ANYARRAY)
    }
}

pub type TypedScalar = fn(&[Datum], &CallTypes<'_>, &EvalContext<'_>) -> Result<Datum>;

pub enum Body {
    Scalar { scalar: Scalar, kernel: Option<Kernel> },
    Typed(TypedScalar),
    Set { function: SetFunction, columns: &'static [(&'static str, Type)] },
    Aggregate(Aggregate),
    Window(WindowFunction),
}

/// An entry of pg_proc (or, when it implements an operator, of pg_operator too).
pub struct Function {
    pub oid: Oid,
    pub name: &'static str,
    pub arguments: &'static [Type],
    /// The last argument repeats (VARIADIC).
    pub variadic: bool,
    pub result: Type,
    /// A null argument gives null without a call.
    pub strict: bool,
    pub volatility: Volatility,
    pub body: Body,
}

impl Function {
    /// Whether calling it takes a privilege that not everybody has.
    pub fn is_restricted(&self, catalog: &crate::catalog::Catalog) -> bool {
        catalog.is_built_in_restricted(crate::catalog::ObjectClass::Function, self.oid)
    }

    /// Whether a call is done in no time: its values are of fixed size, or it is one of those that go through theirs once.
    /// (What waits or sleeps says so itself.)
    pub fn is_cheap(&'static self) -> bool {
        const LINEAR: &[&str] = &[
            "char_length",
            "length",
            "lower",
            "numeric_abs",
            "numeric_add",
            "numeric_mul",
            "numeric_round",
            "numeric_sub",
            "numeric_uminus",
            "octet_length",
            "substr",
            "substring",
            "textcat",
            "upper",
        ];
        let fixed = |data_type: &Type| data_type.typlen() > 0;
        self.arguments.iter().all(fixed) && fixed(&self.result)
            || LINEAR.binary_search(&self.name).is_ok()
            || Comparison::of(self).is_some()
    }
}

/// The type of a set-returning function's column: anyelement is what the first array among the arguments is of.
pub fn set_column(declared: Type, mut elements: impl Iterator<Item = Option<Type>>) -> Type {
    match declared {
        Type::ANYELEMENT => elements.find_map(|element| element).unwrap_or(declared),
        declared => declared,
    }
}

/// A resolved call: the function and, after polymorphism, what its arguments must be cast to and what it returns.
pub struct Resolved {
    pub function: &'static Function,
    pub arguments: Vec<Type>,
    pub result: Type,
}

/// pg_aggregate.aggkind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AggregateKind {
    Normal,
    /// WITHIN GROUP: direct arguments and sorted values.
    OrderedSet,
    /// WITHIN GROUP: where the direct arguments would stand among the sorted rows.
    Hypothetical,
}

/// How an aggregate is computed: one accumulator a group.
pub struct Aggregate {
    pub kind: AggregateKind,
    pub new: fn(arguments: &[Type]) -> Box<dyn Accumulator>,
}

pub trait Accumulator: Send {
    /// Adds rows `rows` of the argument columns (one entry per argument; `count(*)` has none).
    fn add(&mut self, arguments: &[Operand], rows: &[u32], context: &EvalContext<'_>) -> Result<()>;
    fn finish(&mut self, context: &EvalContext<'_>) -> Result<Datum>;
    /// For the memory budget.
    fn bytes(&self) -> usize {
        64
    }
}

/// What functions may ask of the session that runs them. Implemented by the session; a null object for tests.
pub trait Services {
    fn current_user(&self) -> Arc<str>;
    fn session_user(&self) -> Arc<str>;
    /// The role whose privileges count.
    fn acting_role(&self) -> Oid {
        crate::catalog::ROLE_POSTGRES
    }
    fn database(&self) -> Arc<str>;
    fn search_path(&self) -> Arc<[String]>;
    fn backend_pid(&self) -> i32;
    /// current_setting: None if there is no such setting.
    fn setting(&self, name: &str) -> Option<String>;
    fn set_setting(&self, name: &str, value: Option<&str>, local: bool) -> Result<String>;
    fn catalog(&self) -> Arc<crate::catalog::Catalog>;
    /// pg_notify.
    fn notify(&self, _channel: &str, _payload: &str) -> Result<()> {
        Err(crate::error::Error::internal("NOTIFY outside of a session"))
    }
    /// pg_reload_conf.
    fn reload(&self) -> bool {
        false
    }
    fn hba_rules(&self) -> Vec<crate::session::HbaRule> {
        Vec::new()
    }
    fn listening_channels(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
    fn notification_queue_usage(&self) -> f64 {
        0.0
    }
    fn nextval(&self, sequence: Oid) -> Result<i64>;
    /// As `nextval`, for an identity column: who may insert into the table needs no privilege on its sequence.
    fn next_identity(&self, sequence: Oid) -> Result<i64> {
        self.nextval(sequence)
    }
    fn currval(&self, sequence: Oid) -> Result<i64>;
    fn lastval(&self) -> Result<i64>;
    fn setval(&self, sequence: Oid, value: i64, is_called: bool) -> Result<i64>;
    fn transaction_id(&self) -> Result<u64>;
    fn transaction_id_if_assigned(&self) -> Option<u64>;
    /// pg_export_snapshot.
    fn export_snapshot(&self) -> Result<String> {
        Err(crate::error::Error::internal("a snapshot outside of a session"))
    }
    /// pg_advisory_lock family. False: a try-lock found it taken.
    fn advisory_lock(
        &self,
        key: (u32, u32, u16),
        shared: bool,
        transaction: bool,
        wait: bool,
    ) -> Result<bool>;
    fn advisory_unlock(&self, key: Option<(u32, u32, u16)>, shared: bool) -> Result<bool>;
    /// Sleeps interruptibly.
    fn sleep(&self, seconds: f64) -> Result<()>;
    /// Runs what may take long where it keeps no other session waiting.
    fn run_long(&self, work: &mut dyn FnMut()) {
        work()
    }
    /// pg_cancel_backend (terminate: false), pg_terminate_backend.
    fn signal_backend(&self, pid: i32, terminate: bool) -> Result<bool>;
    fn blocking_pids(&self, pid: i32) -> Vec<i32>;
    fn safe_snapshot_blocking_pids(&self, _pid: i32) -> Vec<i32> {
        Vec::new()
    }
    /// For serin_conflicts.
    fn recent_conflicts(&self) -> Vec<serin_txn::PastConflict> {
        Vec::new()
    }
    /// rw-antidependencies by pid, for serin_transactions.
    fn dependencies(&self) -> Vec<(i32, i32)> {
        Vec::new()
    }
    /// Size of a relation's trees in bytes (pg_relation_size …).
    fn relation_size(&self, relation: Oid) -> Result<Option<i64>>;
    // ---- what pg_catalog shows of the live state ----
    /// The rows of pg_settings ([`crate::settings::Settings::rows`]).
    fn setting_rows(&self) -> Result<Vec<crate::settings::SettingRow>> {
        Err(crate::error::Error::unsupported("pg_settings"))
    }
    /// Every session, for pg_stat_activity.
    fn activities(&self) -> Result<Vec<crate::session::Activity>> {
        Err(crate::error::Error::unsupported("pg_stat_activity"))
    }
    fn locks(&self) -> Result<Vec<serin_txn::LockInfo>> {
        Err(crate::error::Error::unsupported("pg_locks"))
    }
    fn prepared_statements(&self) -> Result<Vec<crate::catalog::system::PreparedStatement>> {
        Err(crate::error::Error::unsupported("pg_prepared_statements"))
    }
    fn prepared_transactions(&self) -> Result<Vec<crate::catalog::system::PreparedTransaction>> {
        Err(crate::error::Error::unsupported("pg_prepared_xacts"))
    }
    fn cursors(&self) -> Result<Vec<crate::catalog::system::Cursor>> {
        Err(crate::error::Error::unsupported("pg_cursors"))
    }
    fn sequence_position(&self, _sequence: Oid) -> Result<crate::sequence::Position> {
        Err(crate::error::Error::unsupported("pg_sequences"))
    }
    /// Constraint checks that the transaction has put off. None: there is nowhere to put them.
    fn deferred(&self) -> Option<&std::cell::RefCell<crate::exec::constraint::Deferred>> {
        None
    }
    /// How many trigger functions are running, one within the other.
    fn trigger_depth(&self) -> i32 {
        0
    }
    /// The transition tables that the statement may name.
    fn transitions(&self) -> Option<Arc<crate::exec::transition::Transitions>> {
        None
    }
    /// Whether a domain (its own constraints only) will have a value.
    fn check_domain(&self, _domain: Oid, _value: &Datum) -> Result<()> {
        Err(crate::error::Error::unsupported("a domain's constraint here"))
    }
    /// None outside of a session.
    fn large_objects(&self) -> Option<&crate::session::core::StatementContext<'_>> {
        None
    }
    /// For what there is to know of the log, folds and memory.
    fn store(&self) -> Option<Arc<serin_storage::Store>> {
        None
    }
    fn notice(&self, notice: crate::error::Error);
    /// 57014 and friends, if the statement shall stop: called by long loops.
    fn check_interrupt(&self) -> Result<()>;
}

/// What an evaluation depends on besides its arguments.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    pub render: &'a RenderSettings,
    /// Microseconds since 2000-01-01 UTC.
    pub transaction_time: i64,
    pub statement_time: i64,
    pub services: &'a dyn Services,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CastContext {
    Implicit,
    Assignment,
    Explicit,
}

/// A way to convert values. `function` has the value (and the type modifier and whether the cast is explicit, as int4 and
/// bool, if it takes three arguments).
#[derive(Clone, Copy)]
pub enum CastMethod {
    /// Same representation: nothing to do.
    Relabel,
    Function(&'static Function),
    /// Through the text form: output function of the one, input function of the other.
    InputOutput,
    /// Element by element.
    Array,
    /// A record as a composite type, field by field.
    Row,
    /// To the domain's base type; then its constraints are checked. A null is converted too.
    Domain,
}
