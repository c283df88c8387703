//! Names to columns, syntax to typed expressions, statements to logical plans.
//!
//! - `scope.rs`: what a name can mean: FROM items with their aliases, merged USING columns, enclosing queries.
//! - `expression.rs`, `call.rs`: expressions; `coerce.rs`: untyped literals, parameters and implicit casts.
//! - `from.rs`: FROM; `select.rs`: one SELECT; `grouping.rs`: GROUP BY's rules; `query.rs`: WITH, set operations, VALUES, LIMIT.
//! - `modify.rs`: INSERT, UPDATE, DELETE; `target.rs`: what they change where they name a view.
//! - `naming.rs`: what result columns are called; `similar.rs`: names that were perhaps meant.
//!
//! Every column gets an id that is unique in the statement (`ColumnId`), so a reference to an enclosing query's column is an
//! ordinary column reference: that the subquery is correlated shows in what it reads and does not make.
//!
//! PostgreSQL's counterpart is `src/backend/parser/parse_*.c`; error texts are its own.

mod call;
mod coerce;
mod expression;
mod from;
mod grouping;
mod locking;
mod merge;
mod modify;
mod naming;
mod permission;
mod query;
mod scope;
mod select;
mod similar;
pub(crate) mod target;
mod window;

pub(crate) use modify::position_of;

use crate::catalog::Table;
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, Expr};
use crate::functions::CastContext;
use crate::parse::ast;
use crate::plan::PlanContext;
use crate::plan::logical::{BoundStatement, ColumnInfo, CteDefinition, Logical};
use crate::plan::permissions::Permissions;
use crate::types::{Oid, Type};
use scope::{NamedColumn, NamedItem, Scope};
use serin_txn::RelationLockMode;
use std::collections::HashMap;
use std::sync::Arc;

/// Binds a Query, Insert, Update or Delete.
pub fn statement(
    statement: &ast::StatementKind,
    parameter_types: &[Option<Type>],
    context: &PlanContext<'_>,
) -> Result<BoundStatement> {
    let mut binder = Binder::new(context);
    binder.declare_parameters(parameter_types);
    let (plan, results) = match statement {
        ast::StatementKind::Query(query) => {
            let bound = binder.query(query)?;
            (bound.plan, Some(bound.columns))
        }
        ast::StatementKind::Insert(insert) => binder.insert(insert)?,
        ast::StatementKind::Update(update) => binder.update(update)?,
        ast::StatementKind::Delete(delete) => binder.delete(delete)?,
        ast::StatementKind::Merge(merge) => binder.merge(merge)?,
        _ => return Err(Error::internal("this statement has no plan")),
    };
    let results = results.map(|columns| {
        columns.into_iter().map(|id| (id, binder.columns[id].name.clone())).collect::<Vec<_>>()
    });
    let parameter_types = binder.parameter_types()?;
    Ok(BoundStatement {
        plan,
        results,
        ctes: binder.ctes,
        columns: binder.columns,
        parameter_types,
        relations: binder.relations,
        names: binder.names,
        permissions: Permissions::new(binder.needs.relations, binder.needs.functions),
        slots: binder.slots,
        work_tables: binder.work_tables,
        transitions: binder.transitions,
    })
}

/// Binds an expression over one table's columns (position in `Table::columns` = input column): CHECK, generated columns, index
/// expressions and predicates, ALTER … USING, COPY … WHERE. With `target`, an assignment cast to that type and modifier is added.
pub fn table_expression(
    expr: &ast::Expr,
    table: &Table,
    target: Option<(Type, i32)>,
    context: &PlanContext<'_>,
) -> Result<Expr> {
    table_expression_as_written(expr, table, target, context)
        .map(|bound| crate::plan::fold_expression(bound, context))
}

/// The same with its constants where they are, to be shown.
pub fn table_expression_as_written(
    expr: &ast::Expr,
    table: &Table,
    target: Option<(Type, i32)>,
    context: &PlanContext<'_>,
) -> Result<Expr> {
    let mut binder = Binder::new(context);
    let alias: Arc<str> = table.name.as_str().into();
    // Ids are given from 0, so that they are the positions.
    let ids: Vec<ColumnId> = table
        .columns
        .iter()
        .map(|c| binder.new_column(&c.name, c.data_type(), c.modifier, (table.oid, c.number), alias.clone()))
        .collect();
    // Its columns may be written with the table's name, and that with its schema.
    let item = NamedItem::of_table(table, alias, &ids, Some(table.schema));
    binder.scopes.push(Scope::new(vec![item]));
    binder.finish_single(expr, target)
}

/// Binds a domain's CHECK: its one input column is VALUE.
pub(crate) fn domain_check(expr: &ast::Expr, base: Type, context: &PlanContext<'_>) -> Result<Expr> {
    let mut binder = Binder::new(context);
    let alias: Arc<str> = "".into();
    let id = binder.new_column("value", base, -1, (0, 0), alias.clone());
    let columns = vec![NamedColumn { name: "value".into(), expr: Expr::column(id, base) }];
    let item = NamedItem {
        alias,
        schema: None,
        columns,
        name_visible: false,
        columns_visible: true,
        locks: scope::Locks::Nothing("a value"),
        table_oid: None,
        row_type: None,
        nullable: false,
    };
    binder.scopes.push(Scope::new(vec![item]));
    binder.finish_single(expr, Some((Type::BOOL, -1)))
}

/// Binds an expression without input columns (DEFAULT, EXECUTE arguments, partition bounds), cast for assignment to `target`.
pub fn standalone_expression(
    expr: &ast::Expr,
    target: (Type, i32),
    context: &PlanContext<'_>,
) -> Result<Expr> {
    let mut binder = Binder::new(context);
    binder.scopes.push(Scope::new(Vec::new()));
    let bound = binder.finish_single(expr, Some(target))?;
    Ok(crate::plan::fold_expression(bound, context))
}

/// Binds CALL, and says of which types its parameters are. What stands for an OUT parameter is only there for its place.
pub(crate) fn procedure_call(
    call: &ast::FunctionCall,
    parameter_types: &[Option<Type>],
    context: &PlanContext<'_>,
) -> Result<(crate::expr::RoutineCall, Vec<Type>)> {
    let mut binder = Binder::new(context);
    binder.declare_parameters(parameter_types);
    binder.scopes.push(Scope::new(Vec::new()));
    let bound = binder.procedure_call(call)?;
    Ok((bound, binder.parameter_types()?))
}

/// Binds an expression of a function's body. None: it takes more than evaluation (a subquery, an aggregate, a set).
pub(crate) fn simple_expression(expr: &ast::Expr, context: &PlanContext<'_>) -> Result<Option<Expr>> {
    let bound = simple_expression_as_written(expr, context)?;
    Ok(bound.map(|bound| crate::plan::fold_expression(bound, context)))
}

/// The same with its constants where they are, to be shown.
pub(crate) fn simple_expression_as_written(
    expr: &ast::Expr,
    context: &PlanContext<'_>,
) -> Result<Option<Expr>> {
    let mut binder = Binder::new(context);
    binder.scopes.push(Scope::new(Vec::new()));
    let clause = Clause { name: "SELECT", aggregates: true, sets: true, windows: true };
    let bound = binder.within(clause, |binder| binder.expr(expr))?;
    let scope = binder.scope();
    if bound.has_subquery()
        || !scope.aggregates.is_empty()
        || !scope.sets.is_empty()
        || !scope.windows.is_empty()
        || binder.slots > 0
    {
        return Ok(None);
    }
    let bound = binder.resolve_unknown(bound)?;
    binder.check_calls()?;
    Ok(Some(bound))
}

/// As [`resolve_type`], where there is no context.
pub(crate) fn type_by_name(name: &ast::TypeName) -> Result<(Type, i32)> {
    coerce::type_name(name)
}

/// The type a written type name stands for, with its modifier (-1: none): 42704 if there is none.
pub fn resolve_type(name: &ast::TypeName, _context: &PlanContext<'_>) -> Result<(Type, i32)> {
    coerce::type_name(name)
}

struct Binder<'a> {
    context: &'a PlanContext<'a>,
    columns: Vec<ColumnInfo>,
    parameters: Vec<Option<Type>>,
    /// Of the queries around the point being bound, outermost first.
    scopes: Vec<Scope>,
    ctes: Vec<CteDefinition>,
    /// Names that WITH clauses around the point define, outermost first.
    cte_names: Vec<CteName>,
    relations: Vec<(Oid, RelationLockMode)>,
    names: Vec<crate::plan::logical::TableName>,
    slots: usize,
    work_tables: usize,
    transitions: Vec<(usize, String)>,
    /// What is being bound, for errors: "WHERE", "GROUP BY", …
    clause: Clause,
    /// The query locks rows: scans of its FROM get a row key.
    locking: Vec<crate::parse::ast::LockingClause>,
    /// Where a column was first mentioned.
    mentions: HashMap<ColumnId, usize>,
    /// Where the untyped literals are written: a type that rejects one says so there.
    literals: Vec<(Arc<str>, usize)>,
    view_depth: usize,
    /// Privileges that the statement takes.
    needs: permission::Needs,
}

#[derive(Clone)]
struct CteName {
    name: String,
    binding: CteBinding,
}

#[derive(Clone)]
enum CteBinding {
    /// Position in `Binder::ctes`; what its columns are called.
    Defined { index: usize, names: Vec<String> },
    /// The recursive query's own name inside of its second half.
    WorkTable { index: usize, columns: Vec<(String, Type, i32)> },
    /// Where the recursive query must not refer to itself: what that is within.
    Forbidden(&'static str),
}

/// Where an expression stands decides what it may contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Clause {
    /// As errors name it.
    name: &'static str,
    aggregates: bool,
    sets: bool,
    windows: bool,
}

impl Clause {
    const fn plain(name: &'static str) -> Clause {
        Clause { name, aggregates: false, sets: false, windows: false }
    }
}

impl<'a> Binder<'a> {
    /// What the client has said of its parameters.
    fn declare_parameters(&mut self, types: &[Option<Type>]) {
        self.parameters = types.iter().map(|t| t.filter(|t| *t != Type::UNKNOWN)).collect();
    }
    /// What the parameters have turned out to be.
    fn parameter_types(&self) -> Result<Vec<Type>> {
        let types = self.parameters.iter().enumerate().map(|(index, found)| {
            found.ok_or_else(|| {
                let message = format!("could not determine data type of parameter ${}", index + 1);
                Error::new(SqlState::INDETERMINATE_DATATYPE, message)
            })
        });
        types.collect()
    }
    fn new(context: &'a PlanContext<'a>) -> Binder<'a> {
        Binder {
            context,
            columns: Vec::new(),
            parameters: Vec::new(),
            scopes: Vec::new(),
            ctes: Vec::new(),
            cte_names: Vec::new(),
            relations: Vec::new(),
            names: Vec::new(),
            slots: 0,
            work_tables: 0,
            transitions: Vec::new(),
            clause: Clause::plain("expressions"),
            locking: Vec::new(),
            mentions: HashMap::new(),
            literals: Vec::new(),
            view_depth: 0,
            needs: permission::Needs::default(),
        }
    }

    fn finish_single(&mut self, expr: &ast::Expr, target: Option<(Type, i32)>) -> Result<Expr> {
        let mut bound = self.expr(expr)?;
        if bound.has_subquery() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use subquery in this expression",
            ));
        }
        if let Some((data_type, modifier)) = target {
            let from = bound.data_type();
            bound =
                self.coerce(bound, data_type, modifier, CastContext::Assignment, 0)?.ok_or_else(|| {
                    Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "cannot cast type {} to {}",
                            coerce::display(from),
                            coerce::display(data_type)
                        ),
                    )
                })?;
        }
        self.check_calls()?;
        self.resolve_unknown(bound)
    }

    fn new_column(
        &mut self,
        name: &str,
        data_type: Type,
        modifier: i32,
        (table, number): (Oid, i16),
        relation: Arc<str>,
    ) -> ColumnId {
        let info = ColumnInfo { name: name.into(), data_type, modifier, table, number, relation, row: None };
        self.columns.push(info);
        self.columns.len() - 1
    }

    /// A new id for a computed column; a plain column keeps telling which table it comes from.
    fn output_column(&mut self, name: &str, expr: &Expr) -> ColumnId {
        let origin = match expr {
            Expr::Column { index, .. } => (self.columns[*index].table, self.columns[*index].number),
            _ => (0, 0),
        };
        let modifier = self.modifier(expr);
        let row = match expr {
            Expr::Column { index, .. } => self.columns[*index].row.clone(),
            _ => None,
        };
        let id = self.new_column(name, expr.data_type(), modifier, origin, "".into());
        self.columns[id].row = row;
        id
    }

    fn column(&self, id: ColumnId) -> Expr {
        Expr::Column { index: id, data_type: self.columns[id].data_type }
    }

    fn lock_relation(&mut self, oid: Oid, mode: RelationLockMode) {
        match self.relations.iter_mut().find(|(relation, _)| *relation == oid) {
            Some((_, strongest)) => *strongest = (*strongest).max(mode),
            None => self.relations.push((oid, mode)),
        }
    }

    /// Runs `body` with another clause in force.
    fn within<T>(&mut self, clause: Clause, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.clause, clause);
        let result = body(self);
        self.clause = outer;
        result
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("expressions are bound inside of a scope")
    }
}

/// A bound change of rows: its plan, and the columns of RETURNING.
type BoundStatementParts = (Logical, Option<Vec<ColumnId>>);

/// A bound query: its plan, and which of the plan's columns are the result, in order.
struct BoundQuery {
    plan: Logical,
    columns: Vec<ColumnId>,
}
