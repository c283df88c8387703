//! The table that INSERT, UPDATE or DELETE names, and the one whose rows they change: where it names a view, not the same.
//!
//! A *simple* view selects columns and expressions of one table (or of another such view), and nothing but WHERE decides which of its
//! rows are there: no grouping, no DISTINCT, no LIMIT, no set operation. What is done to its rows can be done to the table's:
//!
//! ```text
//! CREATE VIEW v AS SELECT id AS k, upper(name) AS n, place FROM t WHERE place > 0;
//! UPDATE v SET place = place + 1 WHERE k = 7      →  UPDATE t SET place = place + 1 WHERE place > 0 AND id = 7
//! ```
//!
//! The statement is bound over the view's columns: names, types and privileges are the view's. Then each of these columns is
//! replaced by what it stands for ([`Target::settle`]), subqueries included, before anything is planned; the plan knows the table alone.
//! It is not a projection below the change because a row that turns out to have a newer version is judged again by its columns
//! (`exec/modify.rs`), and those must be the table's. RETURNING and CHECK OPTION do the same with the new row's columns, `excluded`
//! with the proposed row's.
//!
//! Only columns that are plain columns of the table can be assigned to. Privileges: the role that runs the statement needs them on
//! the view, the view's owner (security_invoker: the role) on what is below, level by level. Conditions of a security barrier
//! are below a fence that nothing passes.
//!
//! A view with an INSTEAD OF trigger for the event is a table as far as this file goes ([`Target::instead`]).
//!
//! PostgreSQL: `rewriteTargetView` and `view_query_is_auto_updatable` in `src/backend/rewrite/rewriteHandler.c`.

use super::scope::{NamedItem, Scope};
use super::{Binder, Clause};
use crate::catalog::{Privileges, Relation, SimpleView, Table};
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, Expr};
use crate::parse::ast;
use crate::parse::routine_ast::TriggerTiming;
use crate::plan::PlanContext;
use crate::plan::logical::{Logical, ModifyKind, ViewCheck};
use crate::plan::rules::{expressions_mut, inputs_mut};
use serin_txn::RelationLockMode;
use std::collections::HashMap;
use std::sync::Arc;

/// Views on views deeper than this are taken for a cycle.
const DEPTH_MAX: usize = 100;

pub(super) struct Target {
    /// What names mean: the table, or the view with the defaults of the columns that its own stand for.
    pub named: Arc<Table>,
    /// Where the rows are.
    pub base: Arc<Table>,
    /// ONLY stands before `base`, in the statement or in the view.
    pub only: bool,
    /// `base` is a view whose INSTEAD OF triggers do what is to be done.
    pub instead: bool,
    /// The views from `named` down to `base`; none: they are the same.
    links: Vec<Link>,
    base_need: usize,
    /// The base's columns in the fields below.
    ids: Vec<ColumnId>,
    /// What the columns of `named` are, over `ids`.
    columns: Vec<Expr>,
    /// The columns of `named` that the statement has been given so far.
    meaning: HashMap<ColumnId, Expr>,
}

/// A view in the way.
struct Link {
    view: Arc<Table>,
    need: usize,
    /// By column: its place in the relation below, or why it can't be assigned to.
    places: Vec<std::result::Result<usize, &'static str>>,
    /// Which of the rows below it shows, over `Target::ids`.
    conditions: Vec<Expr>,
}

const NOT_A_COLUMN: &str = "View columns that are not columns of their base relation are not updatable.";
const WHOLE_ROW: &str = "View columns that return whole-row references are not updatable.";
const SYSTEM_COLUMN: &str = "View columns that refer to system columns are not updatable.";

impl Target {
    fn of_table(table: Arc<Table>, only: bool, need: usize) -> Target {
        Target {
            named: table.clone(),
            base: table,
            only,
            instead: false,
            links: Vec::new(),
            base_need: need,
            ids: Vec::new(),
            columns: Vec::new(),
            meaning: HashMap::new(),
        }
    }

    pub fn is_view(&self) -> bool {
        !self.links.is_empty()
    }

    /// The base's column that a column of `named` is.
    pub fn position(&self, column: usize, kind: ModifyKind) -> Result<usize> {
        let mut at = column;
        for link in &self.links {
            at = link.places[at].map_err(|reason| {
                let verb = if kind == ModifyKind::Insert { "insert into" } else { "update" };
                let (column, view) = (&link.view.columns[at].name, &link.view.name);
                let message = format!("cannot {verb} column \"{column}\" of view \"{view}\"");
                Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(reason)
            })?;
        }
        Ok(at)
    }

    /// The column of `named` that is a base's column.
    pub fn standing_for(&self, base: usize) -> Option<usize> {
        (0..self.named.columns.len()).find(|at| {
            let mut place = Some(*at);
            for link in &self.links {
                place = place.and_then(|at| link.places[at].ok());
            }
            place == Some(base)
        })
    }

    /// Assignments to columns of `named` as ones to the base's.
    pub fn assigned(&self, assignments: Vec<(usize, Expr)>, kind: ModifyKind) -> Result<Vec<(usize, Expr)>> {
        if !self.is_view() {
            return Ok(assignments);
        }
        let mut out: Vec<(usize, Expr)> = Vec::with_capacity(assignments.len());
        for (column, value) in assignments {
            let at = self.position(column, kind)?;
            if out.iter().any(|(other, _)| *other == at) {
                let name = &self.base.columns[at].name;
                let message = format!("multiple assignments to same column \"{name}\"");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            out.push((at, self.settle(value)));
        }
        Ok(out)
    }

    /// An expression over columns of `named` as one over the base's.
    pub fn settle(&self, mut expr: Expr) -> Expr {
        if !self.meaning.is_empty() {
            replace(&mut expr, &self.meaning);
        }
        expr
    }

    pub fn settle_all(&self, exprs: Vec<Expr>) -> Vec<Expr> {
        exprs.into_iter().map(|expr| self.settle(expr)).collect()
    }

    /// An expression over positions in `named` as one over positions in the base.
    pub fn by_position(&self, mut expr: Expr) -> Expr {
        if !self.is_view() {
            return expr;
        }
        let places: HashMap<ColumnId, Expr> = (self.ids.iter().enumerate())
            .map(|(at, id)| (*id, Expr::column(at, self.base.columns[at].data_type())))
            .collect();
        let columns: HashMap<ColumnId, Expr> = (self.columns.iter().enumerate())
            .map(|(at, column)| {
                let mut column = column.clone();
                replace(&mut column, &places);
                (at, column)
            })
            .collect();
        replace(&mut expr, &columns);
        expr
    }

    /// What CHECK OPTION asks of a new row that has these columns: the innermost view's conditions first. A cascaded option is one of
    /// every view below.
    pub fn checks(&self, ids: &[ColumnId]) -> Vec<ViewCheck> {
        let map = self.renamed(ids);
        let mut checks = Vec::new();
        let mut cascaded = false;
        for link in &self.links {
            let option = link.view.check_option();
            let has = option.is_some() || cascaded;
            cascaded |= option == Some(true);
            if has && !link.conditions.is_empty() {
                let mut conditions = link.conditions.clone();
                conditions.iter_mut().for_each(|expr| replace(expr, &map));
                checks.push(ViewCheck { view: link.view.name.as_str().into(), conditions });
            }
        }
        checks.reverse();
        checks
    }

    fn renamed(&self, ids: &[ColumnId]) -> HashMap<ColumnId, Expr> {
        let columns = self.ids.iter().zip(ids).zip(&self.base.columns);
        columns.map(|((from, to), column)| (*from, Expr::column(*to, column.data_type()))).collect()
    }

    /// The rows of `input`, a scan of the base with these columns, that the views show.
    pub fn shown(&self, mut input: Logical, ids: &[ColumnId]) -> Logical {
        let map = self.renamed(ids);
        for link in self.links.iter().rev() {
            if !link.conditions.is_empty() {
                let mut conditions = link.conditions.clone();
                conditions.iter_mut().for_each(|expr| replace(expr, &map));
                input = Logical::Filter { input: Box::new(input), conditions };
            }
            if link.view.is_security_barrier() {
                input = super::from::fence(input);
            }
        }
        input
    }
}

impl Binder<'_> {
    /// The target of a statement, opened and locked.
    pub(super) fn target(&mut self, name: &ast::ObjectName, only: bool, kind: ModifyKind) -> Result<Target> {
        if let [single] = name.parts.as_slice()
            && self.context.eval.services.transitions().is_some_and(|tables| tables.rows(single).is_some())
        {
            let message = format!("relation \"{single}\" cannot be the target of a modifying statement");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(name.position));
        }
        let found = self.find_relation(name)?;
        self.target_of(found, only, kind, 0)
    }

    fn target_of(&mut self, found: Relation, only: bool, kind: ModifyKind, depth: usize) -> Result<Target> {
        let view = match found {
            Relation::Table(table) if table.is_view() && kind != ModifyKind::Merge => table,
            found => {
                let need = self.needs.relations.len();
                return self.target_table(found).map(|table| Target::of_table(table, only, need));
            }
        };
        self.lock_relation(view.oid, RelationLockMode::RowExclusive);
        let need = self.mention(view.oid, Privileges::NONE);
        if has_instead_trigger(&view, kind) {
            return Ok(Target { instead: true, ..Target::of_table(view, only, need) });
        }
        if depth >= DEPTH_MAX {
            let message = format!("infinite recursion detected in rules for relation \"{}\"", view.name);
            return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
        }
        self.through_view(&view, need, kind, depth)
    }

    /// Binds a view's definition where it sees none of the names around it, and with its owner's privileges.
    fn through_view(
        &mut self,
        view: &Arc<Table>,
        need: usize,
        kind: ModifyKind,
        depth: usize,
    ) -> Result<Target> {
        let definition = view.query_text(self.context.catalog, |_| false).unwrap_or_default();
        let statements = crate::parse::parse(&definition)?;
        let Some(ast::StatementKind::Query(query)) = statements.first().map(|statement| &statement.kind)
        else {
            return Err(Error::internal(format!("the definition of view \"{}\" is not a query", view.name)));
        };
        let parts = simple_query(query).map_err(|reason| not_updatable(view, kind, reason))?;
        let scopes = std::mem::take(&mut self.scopes);
        let ctes = std::mem::take(&mut self.cte_names);
        let locking = std::mem::take(&mut self.locking);
        let clause = std::mem::replace(&mut self.clause, Clause::plain("view"));
        let check_as = (!view.is_security_invoker()).then_some(view.owner);
        let check_as = std::mem::replace(&mut self.needs.check_as, check_as);
        self.view_depth += 1;
        let bound = self.through(view, parts, need, kind, depth);
        self.view_depth -= 1;
        self.needs.check_as = check_as;
        (self.scopes, self.cte_names, self.locking, self.clause) = (scopes, ctes, locking, clause);
        bound
    }

    fn through(
        &mut self,
        view: &Arc<Table>,
        (select, name, only, alias): SimpleQuery<'_>,
        need: usize,
        kind: ModifyKind,
        depth: usize,
    ) -> Result<Target> {
        let found = self.find_relation(name)?;
        let schema = match &found {
            Relation::Table(table) if !table.is_materialized() => alias.is_none().then_some(table.schema),
            _ => return Err(not_updatable(view, kind, NOT_ONE_TABLE)),
        };
        let mut below = self.target_of(found, only, kind, depth + 1)?;
        let label: Arc<str> = alias.map_or(below.named.name.as_str(), |alias| alias.name.as_str()).into();
        if below.ids.is_empty() {
            let base = below.base.clone();
            below.ids = self.table_columns(&base, &base.name.as_str().into());
            self.own_columns(below.base_need, &below.ids.clone());
        }
        let ids = below.ids.clone();
        let (mut item, own) = self.target_item(&mut below, &label, schema, &ids);
        let table_oid = match below.is_view() || below.instead {
            true => None,
            false => Some(self.table_oid(&below.base, &label)),
        };
        item.table_oid = table_oid;
        super::from::rename(&mut item.columns, &label, alias)?;
        self.scopes.push(Scope::new(vec![item]));
        let everything = Clause { name: "SELECT", aggregates: true, sets: true, windows: true };
        let bound = (|| {
            let targets = self.within(everything, |binder| binder.targets(&select.targets))?;
            let mut outputs = Vec::with_capacity(targets.len());
            for target in targets {
                outputs.push(self.resolve_unknown(target.expr)?);
            }
            let scope = self.scope();
            let reason = match scope {
                _ if !scope.aggregates.is_empty() || !scope.groupings.is_empty() => Some("aggregate"),
                _ if !scope.windows.is_empty() => Some("window"),
                _ if !scope.sets.is_empty() => Some("set-returning"),
                _ => None,
            };
            if let Some(reason) = reason {
                let reason = format!("Views that return {reason} functions are not automatically updatable.");
                return Err(not_updatable(view, kind, &reason));
            }
            let conditions = match &select.filter {
                Some(filter) => self.condition(filter, "WHERE")?,
                None => Vec::new(),
            };
            Ok((outputs, conditions))
        })();
        self.scopes.pop();
        let (outputs, conditions) = bound?;
        let mut live = outputs.iter();
        let places: Vec<_> = view
            .columns
            .iter()
            .map(|column| match if column.dropped { None } else { live.next() } {
                Some(Expr::Column { index, .. }) if Some(*index) == table_oid => Err(SYSTEM_COLUMN),
                Some(Expr::Column { index, .. }) => own.iter().position(|id| id == index).ok_or(NOT_A_COLUMN),
                Some(Expr::Row { names: Some(_), .. }) => Err(WHOLE_ROW),
                _ => Err(NOT_A_COLUMN),
            })
            .collect();
        if kind != ModifyKind::Delete && places.iter().all(std::result::Result::is_err) {
            return Err(not_updatable(view, kind, NO_COLUMNS));
        }
        let conditions = below.settle_all(conditions);
        let mut outputs = outputs.into_iter();
        below.columns = view
            .columns
            .iter()
            .map(|column| match if column.dropped { None } else { outputs.next() } {
                Some(output) => below.settle(output),
                None => Expr::null(column.data_type()),
            })
            .collect();
        below.meaning.clear();
        below.named = with_defaults(view, &below.named, &places);
        below.links.insert(0, Link { view: view.clone(), need, places, conditions });
        Ok(below)
    }

    /// The ids of the base's columns in the statement's input.
    pub(super) fn target_ids(&mut self, target: &Target, label: &Arc<str>) -> Vec<ColumnId> {
        match target.ids.is_empty() {
            true => self.target_columns(&target.base, label),
            false => target.ids.clone(),
        }
    }

    /// The target in a scope, over columns of the base; and the ids of its columns.
    pub(super) fn target_item(
        &mut self,
        target: &mut Target,
        label: &Arc<str>,
        schema: Option<u32>,
        base: &[ColumnId],
    ) -> (NamedItem, Vec<ColumnId>) {
        if !target.is_view() {
            return (NamedItem::of_table(&target.base, label.clone(), base, schema), base.to_vec());
        }
        let named = target.named.clone();
        let ids = self.table_columns(&named, label);
        self.own_columns(target.links[0].need, &ids);
        let renamed = target.renamed(base);
        for (id, column) in ids.iter().zip(&target.columns) {
            let mut meaning = column.clone();
            replace(&mut meaning, &renamed);
            target.meaning.insert(*id, meaning);
        }
        (NamedItem::of_table(&named, label.clone(), &ids, schema), ids)
    }

    /// What is done with the target, besides what is read of it. Columns by position in `named`.
    pub(super) fn need_target(&mut self, target: &Target, required: Privileges, columns: &[usize]) {
        if !target.is_view() {
            return self.need_on_target(&target.base, required, columns.iter().copied());
        }
        let mut columns = columns.to_vec();
        for link in &target.links {
            self.need_of(link.need, &link.view, required, &columns);
            columns = columns.iter().filter_map(|at| link.places[*at].ok()).collect();
        }
        self.need_of(target.base_need, &target.base, required, &columns);
    }

    /// Once the statement is bound. What a view reads takes a privilege only if the statement reads the view.
    pub(super) fn finish_target(&mut self, target: &Target, ctes: usize) {
        let Some(first) = target.links.first() else { return };
        if !self.needs.relations[first.need].required.contains(Privileges::SELECT) {
            let below = target.links[1..].iter().map(|link| link.need).chain([target.base_need]);
            below.for_each(|at| self.needs.relations[at].required &= !Privileges::SELECT);
        }
        self.ctes[ctes..].iter_mut().for_each(|cte| replace_in_plan(&mut cte.plan, &target.meaning));
    }
}

/// What a view's columns are of the relation below it; None: it isn't automatically updatable.
pub(crate) fn simple_view(view: &Arc<Table>, context: &PlanContext<'_>) -> Result<Option<SimpleView>> {
    match bind_simple_view(view, context) {
        Ok(simple) => Ok(Some(simple)),
        Err(error) if error.state() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same, with the reason as detail of 55000.
pub(crate) fn bind_simple_view(view: &Arc<Table>, context: &PlanContext<'_>) -> Result<SimpleView> {
    let mut binder = Binder::new(context);
    // Deleting asks least of it.
    let target = binder.through_view(view, 0, ModifyKind::Delete, 0)?;
    let link = &target.links[0];
    let below = target.links.get(1).map_or(target.base.oid, |link| link.view.oid);
    Ok(SimpleView { below, columns: link.places.iter().map(|place| place.ok()).collect() })
}

fn verb(kind: ModifyKind) -> &'static str {
    match kind {
        ModifyKind::Insert => "insert into",
        ModifyKind::Update => "update",
        ModifyKind::Delete => "delete from",
        ModifyKind::Merge => "merge into",
    }
}

fn has_instead_trigger(view: &Table, kind: ModifyKind) -> bool {
    view.triggers.iter().any(|trigger| {
        trigger.timing == TriggerTiming::InsteadOf
            && match kind {
                ModifyKind::Insert => trigger.insert,
                ModifyKind::Update => trigger.update,
                ModifyKind::Delete => trigger.delete,
                ModifyKind::Merge => false,
            }
    })
}

fn not_updatable(view: &Table, kind: ModifyKind, reason: &str) -> Error {
    let (gerund, event) = match kind {
        ModifyKind::Insert => ("inserting into", "INSERT"),
        ModifyKind::Update | ModifyKind::Merge => ("updating", "UPDATE"),
        ModifyKind::Delete => ("deleting from", "DELETE"),
    };
    let message = format!("cannot {} view \"{}\"", verb(kind), view.name);
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).detail(reason).hint(format!(
        "To enable {gerund} the view, provide an INSTEAD OF {event} trigger or an unconditional ON {event} DO INSTEAD rule."
    ))
}

const NOT_ONE_TABLE: &str =
    "Views that do not select from a single table or view are not automatically updatable.";
const NO_COLUMNS: &str = "Views that have no updatable columns are not automatically updatable.";

/// SELECT … FROM name, with ONLY and an alias.
type SimpleQuery<'q> = (&'q ast::Select, &'q ast::ObjectName, bool, Option<&'q ast::Alias>);

/// The one relation of a query, or why its rows are not that relation's.
fn simple_query(query: &ast::Query) -> std::result::Result<SimpleQuery<'_>, &'static str> {
    let select = match &query.body {
        ast::SetExpr::Select(select) => select,
        ast::SetExpr::Operation { .. } => {
            return Err("Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.");
        }
        ast::SetExpr::Query(inner) if query.limit.is_none() && query.offset.is_none() => {
            return simple_query(inner);
        }
        ast::SetExpr::Values(_) | ast::SetExpr::Query(_) => return Err(NOT_ONE_TABLE),
    };
    match &**select {
        select if select.distinct != ast::Distinct::No => {
            Err("Views containing DISTINCT are not automatically updatable.")
        }
        select if !select.group_by.is_empty() => {
            Err("Views containing GROUP BY are not automatically updatable.")
        }
        select if select.having.is_some() => Err("Views containing HAVING are not automatically updatable."),
        _ if query.with.is_some() => Err("Views containing WITH are not automatically updatable."),
        _ if query.limit.is_some() || query.offset.is_some() => {
            Err("Views containing LIMIT or OFFSET are not automatically updatable.")
        }
        select => match select.from.as_slice() {
            [ast::TableRef::Table { sample: Some(_), .. }] => {
                Err("Views containing TABLESAMPLE are not automatically updatable.")
            }
            [ast::TableRef::Table { name, only, alias, sample: None }] => {
                Ok((select, name, *only, alias.as_ref()))
            }
            _ => Err(NOT_ONE_TABLE),
        },
    }
}

/// The view as INSERT and SET … = DEFAULT see it: a column without a default of its own has that of the column that it stands for.
fn with_defaults(
    view: &Arc<Table>,
    below: &Table,
    places: &[std::result::Result<usize, &'static str>],
) -> Arc<Table> {
    let mut named = Table::clone(view);
    for (column, place) in named.columns.iter_mut().zip(places) {
        let Ok(place) = place else { continue };
        let source = &below.columns[*place];
        column.generated = source.generated;
        column.identity = source.identity;
        if column.default.is_none() {
            column.default.clone_from(&source.default);
            column.sequence = source.sequence;
        } else {
            column.identity = None;
        }
    }
    Arc::new(named)
}

/// Columns by what they stand for, inside of subqueries too.
fn replace(expr: &mut Expr, map: &HashMap<ColumnId, Expr>) {
    match expr {
        Expr::Column { index, .. } => {
            if let Some(meaning) = map.get(index) {
                *expr = meaning.clone();
            }
        }
        Expr::Sublink(link) => {
            link.operands.iter_mut().for_each(|operand| replace(operand, map));
            if link.free.iter().any(|column| map.contains_key(&column)) {
                replace_in_plan(&mut link.plan, map);
                link.free = link.plan.free_columns();
            }
        }
        _ => expr.children_mut(&mut |child| replace(child, map)),
    }
}

fn replace_in_plan(plan: &mut Logical, map: &HashMap<ColumnId, Expr>) {
    expressions_mut(plan, &mut |expr| replace(expr, map));
    inputs_mut(plan, &mut |input| replace_in_plan(input, map));
}
