//! Statements as text, as syntax and as plans, and the caches between them.
//!
//! A [`Prepared`] is shared by named statements, portals and the session's text cache. Its plan holds while the catalog's version and the
//! session's plan epoch (search path, planner settings) stand: two comparisons per execution.
//!
//! The text cache serves the simple protocol and unnamed statements, where clients send the same text again and again. A text is
//! admitted when it comes the second time, so that statements with literals in them, which never come twice, take no memory.

use super::core::Core;
use crate::catalog::Catalog;
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::parse::ast::{Statement, StatementKind};
use crate::plan::{Plan, PlanContext};
use crate::types::{Oid, Type};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// One parsed statement of a simple Query message.
pub struct Parsed(pub(super) Arc<Prepared>);

pub(crate) struct Prepared {
    /// The statement's own text, without its neighbours.
    pub text: Arc<str>,
    /// None: an empty query.
    pub statement: Option<Statement>,
    /// Parameter types the client gave.
    pub declared: Vec<Option<Type>>,
    /// For pg_prepared_statements.
    pub prepared_at: i64,
    pub from_sql: bool,
    plan: Mutex<Option<(Arc<Plan>, u64)>>,
}

impl Prepared {
    pub fn new(text: Arc<str>, statement: Option<Statement>, declared: Vec<Option<Type>>) -> Arc<Prepared> {
        let prepared_at = super::engine::now();
        Arc::new(Prepared { text, statement, declared, prepared_at, from_sql: false, plan: Mutex::new(None) })
    }
    /// Of PREPARE.
    pub fn from_sql(text: Arc<str>, statement: Statement, declared: Vec<Option<Type>>) -> Arc<Prepared> {
        let prepared_at = super::engine::now();
        let statement = Some(statement);
        Arc::new(Prepared { text, statement, declared, prepared_at, from_sql: true, plan: Mutex::new(None) })
    }
    pub fn kind(&self) -> Option<&StatementKind> {
        self.statement.as_ref().map(|statement| &statement.kind)
    }
    /// The statement that is planned: itself, or what EXPLAIN, DECLARE and CREATE TABLE AS wrap.
    pub fn planned(&self) -> Option<&StatementKind> {
        planned(self.kind()?)
    }
    /// The plan, if it still holds.
    pub fn current_plan(&self, core: &Core) -> Option<Arc<Plan>> {
        let cached = self.plan.lock();
        let (plan, epoch) = cached.as_ref()?;
        let holds = *epoch == core.plan_epoch.get()
            && core.view.borrow().is_current(&core.engine.publisher, plan.catalog_version);
        holds.then(|| plan.clone())
    }
    /// The plan that was last made, whether it holds or not.
    pub fn last_plan(&self) -> Option<Arc<Plan>> {
        self.plan.lock().as_ref().map(|(plan, _)| plan.clone())
    }
    /// The plan for the catalog now.
    pub fn plan(&self, core: &Core, eval: &EvalContext<'_>) -> Result<Arc<Plan>> {
        if let Some(plan) = self.current_plan(core) {
            return Ok(plan);
        }
        let statement = self.planned().ok_or_else(|| Error::internal("a utility statement has no plan"))?;
        let plan = make_plan(statement, &self.declared, &core.catalog(), core, eval)?;
        *self.plan.lock() = Some((plan.clone(), core.plan_epoch.get()));
        Ok(plan)
    }
}

fn planned(kind: &StatementKind) -> Option<&StatementKind> {
    match kind {
        StatementKind::Query(_)
        | StatementKind::Insert(_)
        | StatementKind::Update(_)
        | StatementKind::Delete(_)
        | StatementKind::Merge(_) => Some(kind),
        StatementKind::Explain(explain) => planned(&explain.statement),
        StatementKind::CreateTableAs { query, .. } => planned(query),
        _ => None,
    }
}

pub(crate) fn make_plan(
    statement: &StatementKind,
    types: &[Option<Type>],
    catalog: &Arc<Catalog>,
    core: &Core,
    eval: &EvalContext<'_>,
) -> Result<Arc<Plan>> {
    make_plan_with(statement, types, catalog, core, eval, None)
}

/// As [`make_plan`], for a statement of a function's body.
pub(super) fn make_plan_with(
    statement: &StatementKind,
    types: &[Option<Type>],
    catalog: &Arc<Catalog>,
    core: &Core,
    eval: &EvalContext<'_>,
    variables: Option<&dyn crate::plan::Variables>,
) -> Result<Arc<Plan>> {
    let search_path = core.search_path.borrow().clone();
    let settings = core.settings.borrow().typed().planner;
    let context = PlanContext { catalog, search_path: &search_path, eval, settings, variables };
    crate::plan::plan(statement, types, &context)
}

/// Parses a text into its statements.
pub(super) fn parse(sql: &str) -> Result<Vec<Arc<Prepared>>> {
    let statements = crate::parse::parse(sql)?;
    let prepared = statements.into_iter().map(|statement| {
        let text = sql.get(statement.span.clone()).unwrap_or(sql).trim();
        Prepared::new(text.into(), Some(statement), Vec::new())
    });
    Ok(prepared.collect())
}

/// Parses a text that must be one statement, or empty.
pub(super) fn parse_one(sql: &str, types: &[Oid]) -> Result<Arc<Prepared>> {
    let mut statements = crate::parse::parse(sql)?;
    if statements.len() > 1 {
        let message = "cannot insert multiple commands into a prepared statement";
        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    Ok(Prepared::new(sql.into(), statements.pop(), declared_types(types)))
}

pub(super) fn declared_types(types: &[Oid]) -> Vec<Option<Type>> {
    let known = |&oid: &Oid| (oid != 0 && Type(oid) != Type::UNKNOWN).then_some(Type(oid));
    types.iter().map(known).collect()
}

/// Texts cached per session, and how long one may be.
const TEXTS_MAX: usize = 128;
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Hashes of texts seen once.
const SEEN: usize = 64;

pub(super) struct StatementCache {
    by_text: HashMap<Arc<str>, Entry>,
    /// In the order they came, for eviction.
    order: VecDeque<Arc<str>>,
    seen: [u64; SEEN],
    hasher: RandomState,
}

enum Entry {
    Simple(Vec<Arc<Prepared>>),
    Extended(Arc<Prepared>),
}

impl StatementCache {
    pub fn new() -> StatementCache {
        StatementCache {
            by_text: HashMap::new(),
            order: VecDeque::new(),
            seen: [0; SEEN],
            hasher: RandomState::new(),
        }
    }

    /// The statements of a Query message.
    pub fn simple(&mut self, sql: &str) -> Result<Vec<Arc<Prepared>>> {
        if let Some(Entry::Simple(statements)) = self.by_text.get(sql) {
            return Ok(statements.clone());
        }
        let statements = parse(sql)?;
        if self.admits(sql) {
            self.insert(sql, Entry::Simple(statements.clone()));
        }
        Ok(statements)
    }

    /// An unnamed prepared statement.
    pub fn extended(&mut self, sql: &str, types: &[Oid]) -> Result<Arc<Prepared>> {
        if let Some(Entry::Extended(prepared)) = self.by_text.get(sql)
            && prepared.declared == declared_types(types)
        {
            return Ok(prepared.clone());
        }
        let prepared = parse_one(sql, types)?;
        if self.admits(sql) {
            self.insert(sql, Entry::Extended(prepared.clone()));
        }
        Ok(prepared)
    }

    fn admits(&mut self, sql: &str) -> bool {
        if sql.len() > TEXT_BYTES_MAX {
            return false;
        }
        let hash = self.hasher.hash_one(sql);
        let slot = &mut self.seen[(hash % SEEN as u64) as usize];
        std::mem::replace(slot, hash) == hash
    }

    fn insert(&mut self, sql: &str, entry: Entry) {
        if self.order.len() == TEXTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_text.remove(&oldest);
        }
        let text: Arc<str> = sql.into();
        if self.by_text.insert(text.clone(), entry).is_none() {
            self.order.push_back(text);
        }
    }

    pub fn clear(&mut self) {
        self.by_text.clear();
        self.order.clear();
    }
}
