//! Statements as text, as syntax and as plans, and the caches between them.
//!
//! A [`Prepared`] is shared by named statements, portals and the session's text cache. Its plan holds while the catalog's version and the
//! session's plan epoch (search path, planner settings) stand: two comparisons per execution.
//!
//! The text cache serves the simple protocol and unnamed statements, where clients send the same text again and again. A text is
//! admitted when it comes the second time, so that statements with literals in them, which never come twice, take no memory.
//! Texts of the simple protocol that differ only in their integers share a plan where they can ([`shape`](super::shape)).

use super::Field;
use super::core::Core;
use super::shape::{self, Instance, Shape};
use crate::catalog::Catalog;
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::parse::ast::{Statement, StatementKind};
use crate::plan::{Plan, PlanContext};
use crate::types::{Oid, Type};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

/// One parsed statement of a simple Query message.
pub struct Parsed {
    pub(super) prepared: Arc<Prepared>,
    /// What was in the text if `prepared` is but its shape.
    pub(super) instance: Option<Instance>,
}

impl Parsed {
    fn whole(prepared: Arc<Prepared>) -> Parsed {
        Parsed { prepared, instance: None }
    }
}

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
    /// What the client was told, or could have asked for, when it prepared the statement: no later plan may answer otherwise.
    promised: OnceLock<Option<Box<[Field]>>>,
}

impl Prepared {
    pub fn new(text: Arc<str>, statement: Option<Statement>, declared: Vec<Option<Type>>) -> Arc<Prepared> {
        Arc::new(Prepared::of(text, statement, declared))
    }
    /// Of PREPARE.
    pub fn from_sql(text: Arc<str>, statement: Statement, declared: Vec<Option<Type>>) -> Arc<Prepared> {
        Arc::new(Prepared { from_sql: true, ..Prepared::of(text, Some(statement), declared) })
    }
    fn of(text: Arc<str>, statement: Option<Statement>, declared: Vec<Option<Type>>) -> Prepared {
        Prepared {
            text,
            statement,
            declared,
            prepared_at: super::engine::now(),
            from_sql: false,
            plan: Mutex::new(None),
            promised: OnceLock::new(),
        }
    }
    /// From now on its result's columns are what its plan's are.
    pub fn promise(&self, plan: &Plan) {
        // EXPLAIN's and CREATE TABLE AS's is not.
        if self.kind().zip(self.planned()).is_none_or(|(kind, planned)| !std::ptr::eq(kind, planned)) {
            return;
        }
        self.promised.get_or_init(|| plan.fields.as_deref().map(Box::from));
    }
    fn keeps_promise(&self, plan: &Plan) -> bool {
        let same = |a: &Field, b: &Field| {
            a.name == b.name && a.data_type == b.data_type && a.type_modifier == b.type_modifier
        };
        match (self.promised.get(), &plan.fields) {
            (None, _) | (Some(None), None) => true,
            (Some(Some(promised)), Some(fields)) => {
                promised.len() == fields.len() && promised.iter().zip(fields.iter()).all(|(a, b)| same(a, b))
            }
            _ => false,
        }
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
        if !self.keeps_promise(&plan) {
            return Err(result_type_changed());
        }
        *self.plan.lock() = Some((plan.clone(), core.plan_epoch.get()));
        Ok(plan)
    }
}

pub(super) fn result_type_changed() -> Error {
    // asyncpg and pgjdbc prepare anew when they see the routine.
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
        .routine("RevalidateCachedQuery")
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
    by_text: Recent<Entry>,
    shapes: Recent<Arc<Shape>>,
    seen: [u64; SEEN],
    hasher: RandomState,
    /// Where the next text's shape is written.
    shape: String,
}

enum Entry {
    Simple(Vec<Arc<Prepared>>),
    Extended(Arc<Prepared>),
}

/// The last [`TEXTS_MAX`] that came.
struct Recent<V> {
    by_text: HashMap<Arc<str>, V>,
    /// In the order they came, for eviction.
    order: VecDeque<Arc<str>>,
}

impl<V> Recent<V> {
    fn new() -> Recent<V> {
        Recent { by_text: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, text: &str) -> Option<&V> {
        self.by_text.get(text)
    }

    fn insert(&mut self, text: &str, value: V) {
        if self.order.len() == TEXTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_text.remove(&oldest);
        }
        let text: Arc<str> = text.into();
        if self.by_text.insert(text.clone(), value).is_none() {
            self.order.push_back(text);
        }
    }

    fn clear(&mut self) {
        self.by_text.clear();
        self.order.clear();
    }
}

impl StatementCache {
    pub fn new() -> StatementCache {
        StatementCache {
            by_text: Recent::new(),
            shapes: Recent::new(),
            seen: [0; SEEN],
            hasher: RandomState::new(),
            shape: String::new(),
        }
    }

    /// The statements of a Query message.
    pub fn simple(&mut self, sql: &str) -> Result<Vec<Parsed>> {
        if let Some(Entry::Simple(statements)) = self.by_text.get(sql) {
            return Ok(statements.iter().cloned().map(Parsed::whole).collect());
        }
        if let Some(parsed) = self.instance(sql) {
            return Ok(vec![parsed]);
        }
        let statements = parse(sql)?;
        if self.admits(sql) {
            self.by_text.insert(sql, Entry::Simple(statements.clone()));
        }
        Ok(statements.into_iter().map(Parsed::whole).collect())
    }

    /// The text as one of a shape that has been seen before.
    fn instance(&mut self, sql: &str) -> Option<Parsed> {
        let mut text = std::mem::take(&mut self.shape);
        let instance = shape::split(sql, &mut text).and_then(|values| {
            let known = self.shapes.get(&text).cloned();
            let shape = match known {
                Some(shape) => shape,
                None if self.admits(&text) => {
                    let shape = Arc::new(Shape::new(&text, values.len()));
                    self.shapes.insert(&text, shape.clone());
                    shape
                }
                None => return None,
            };
            shape.instance(sql, values)
        });
        self.shape = text;
        let (prepared, instance) = instance?;
        Some(Parsed { prepared, instance: Some(instance) })
    }

    /// An unnamed prepared statement. One whose plan has expired is none: it would keep to what was promised with that plan.
    pub fn extended(&mut self, sql: &str, types: &[Oid], core: &Core) -> Result<Arc<Prepared>> {
        if let Some(Entry::Extended(prepared)) = self.by_text.get(sql)
            && prepared.declared == declared_types(types)
            && (prepared.planned().is_none() || prepared.current_plan(core).is_some())
        {
            return Ok(prepared.clone());
        }
        let prepared = parse_one(sql, types)?;
        if self.admits(sql) {
            self.by_text.insert(sql, Entry::Extended(prepared.clone()));
        }
        Ok(prepared)
    }

    /// Whether it has been asked about this text not long ago.
    fn admits(&mut self, text: &str) -> bool {
        if text.len() > TEXT_BYTES_MAX {
            return false;
        }
        let hash = self.hasher.hash_one(text);
        let slot = &mut self.seen[(hash % SEEN as u64) as usize];
        std::mem::replace(slot, hash) == hash
    }

    pub fn clear(&mut self) {
        self.by_text.clear();
        self.shapes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_comes_again_is_kept() {
        let mut cache = StatementCache::new();
        let mut shape_of = |id: i32| {
            let mut parsed = cache.simple(&format!("select v from t where id = {id}")).unwrap();
            let parsed = parsed.pop().unwrap();
            parsed.instance.map(|instance| (parsed.prepared, instance))
        };
        assert!(shape_of(1).is_none());
        // Other texts may have taken its place among those seen.
        let (first, _) = (2..100).find_map(&mut shape_of).unwrap();
        let (again, instance) = shape_of(300).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(&*instance.text, "select v from t where id = 300");
        instance.is_unfit();
        assert!(shape_of(400).is_none());
    }
}
