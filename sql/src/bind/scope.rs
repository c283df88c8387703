//! What a name can mean at a point of a query.
//!
//! A [`Scope`] per query level holds its FROM items. An item can be visible by its name (`t.a`) and its columns by theirs alone
//! (`a`): a join makes an item for its own columns (merged by USING) and hides its sides' columns, not their names, as in
//! PostgreSQL's `ParseNamespaceItem`.

use super::Binder;
use crate::catalog::Table;
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, ColumnSet, Expr};
use crate::plan::VariableConflict;
use crate::plan::logical::{AggregateCall, WindowCall};
use crate::types::{Oid, Type};
use std::sync::Arc;

#[derive(Clone)]
pub struct NamedItem {
    pub alias: Arc<str>,
    /// The schema it may be qualified with: a table without alias.
    pub schema: Option<Oid>,
    pub columns: Vec<NamedColumn>,
    pub name_visible: bool,
    pub columns_visible: bool,
    pub locks: Locks,
    /// The system column of that name.
    pub table_oid: Option<ColumnId>,
    /// What `t` alone is: a row of this type. None: a record.
    pub row_type: Option<Type>,
    /// On the nullable side of an outer join.
    pub nullable: bool,
}

/// What FOR UPDATE of a FROM item locks.
#[derive(Clone)]
pub enum Locks {
    /// Nothing: the item is what this says.
    Nothing(&'static str),
    /// Rows of these tables: of the item itself, or of those that a subquery or view reads.
    Rows(Vec<Lockable>),
    /// Its query has been told to lock its rows itself.
    Within { nullable: bool },
}

#[derive(Clone)]
pub struct Lockable {
    pub table: Arc<Table>,
    pub ids: Vec<ColumnId>,
    pub key: ColumnId,
    /// Of a table with children: which of them the row is in.
    pub table_oid: Option<ColumnId>,
    /// On the nullable side of an outer join.
    pub nullable: bool,
}

#[derive(Clone)]
pub struct NamedColumn {
    pub name: String,
    pub expr: Expr,
}

impl NamedItem {
    /// It has come to the nullable side of an outer join.
    pub fn make_nullable(&mut self) {
        self.nullable = true;
        match &mut self.locks {
            Locks::Nothing(_) => {}
            Locks::Rows(tables) => tables.iter_mut().for_each(|table| table.nullable = true),
            Locks::Within { nullable } => *nullable = true,
        }
    }
    pub fn of_table(table: &Table, alias: Arc<str>, ids: &[ColumnId], schema: Option<Oid>) -> NamedItem {
        let columns = table
            .columns
            .iter()
            .zip(ids)
            .filter(|(column, _)| !column.dropped)
            .map(|(column, id)| NamedColumn {
                name: column.name.clone(),
                expr: Expr::column(*id, column.data_type()),
            })
            .collect();
        NamedItem {
            alias,
            schema,
            columns,
            name_visible: true,
            columns_visible: true,
            locks: Locks::Nothing("a table"),
            table_oid: None,
            row_type: table.type_of_rows(),
            nullable: false,
        }
    }
}

#[derive(Default)]
pub struct Scope {
    pub items: Vec<NamedItem>,
    /// Ids that the items' columns read.
    pub ids: ColumnSet,
    /// Aggregate calls found so far; they are columns of the Aggregate to be.
    pub aggregates: Vec<(ColumnId, AggregateCall)>,
    /// Set-returning calls of the target list.
    pub sets: Vec<(ColumnId, Expr)>,
    /// GROUPING calls found so far, with where they stand.
    pub groupings: Vec<(ColumnId, Vec<Expr>, usize)>,
    /// Window calls found so far.
    pub windows: Vec<(ColumnId, WindowCall)>,
    /// The WINDOW clause.
    pub window_names: Vec<(String, crate::parse::ast::WindowSpec)>,
}

impl Scope {
    pub fn new(items: Vec<NamedItem>) -> Scope {
        let mut ids = ColumnSet::new();
        items.iter().flat_map(|item| &item.columns).for_each(|column| column.expr.columns(&mut ids));
        items.iter().filter_map(|item| item.table_oid).for_each(|id| ids.insert(id));
        Scope { items, ids, ..Scope::default() }
    }
}

impl Binder<'_> {
    /// `a`, `t.a`, `s.t.a`, looked for from the innermost query outwards.
    pub fn resolve_column(&mut self, parts: &[String], position: usize) -> Result<Expr> {
        let conflict = self.context.variables.map(crate::plan::Variables::conflict);
        if conflict == Some(VariableConflict::Variable)
            && let Some(variable) = self.find_variable(parts, position)?
        {
            return Ok(variable);
        }
        match self.find_column(parts, position)? {
            Some(_)
                if conflict == Some(VariableConflict::Error)
                    && self.find_variable(parts, position)?.is_some() =>
            {
                let message = format!("column reference \"{}\" is ambiguous", parts.join("."));
                Err(Error::new(SqlState::AMBIGUOUS_COLUMN, message)
                    .detail("It could refer to either a PL/pgSQL variable or a table column.")
                    .at(position))
            }
            Some(expr) => {
                self.reads(&expr);
                if let Expr::Column { index, .. } = &expr {
                    self.mentions.entry(*index).or_insert(position);
                }
                Ok(expr)
            }
            None => match self.find_variable(parts, position)? {
                Some(variable) => Ok(variable),
                None => Err(self.no_such_column(parts).at(position)),
            },
        }
    }

    /// A variable of the function whose statement is bound.
    pub fn find_variable(&mut self, parts: &[String], position: usize) -> Result<Option<Expr>> {
        let Some(variables) = self.context.variables else { return Ok(None) };
        let found = variables.resolve(parts).map_err(|error| error.at(position))?;
        Ok(found.map(|(index, data_type)| self.variable(index, data_type)))
    }

    pub fn find_column(&self, parts: &[String], position: usize) -> Result<Option<Expr>> {
        let Some((name, qualifier)) = parts.split_last() else { return Ok(None) };
        for scope in self.scopes.iter().rev() {
            let mut found: Option<&Expr> = None;
            let mut named = false;
            for item in &scope.items {
                let matches = match qualifier {
                    [] => item.columns_visible,
                    _ => item.name_visible && self.qualifies(item, qualifier),
                };
                if !matches {
                    continue;
                }
                named = true;
                for column in item.columns.iter().filter(|column| column.name == *name) {
                    if found.is_some_and(|other| !other.same(&column.expr)) {
                        return Err(Error::new(
                            SqlState::AMBIGUOUS_COLUMN,
                            format!("column reference \"{name}\" is ambiguous"),
                        )
                        .at(position));
                    }
                    found = Some(&column.expr);
                }
            }
            if let Some(expr) = found {
                return Ok(Some(expr.clone()));
            }
            if name == "tableoid" {
                let mut items = scope.items.iter().filter(|item| match qualifier {
                    [] => item.columns_visible && item.table_oid.is_some(),
                    _ => item.name_visible && self.qualifies(item, qualifier),
                });
                if let (Some(id), None) = (items.next().and_then(|item| item.table_oid), items.next()) {
                    return Ok(Some(Expr::column(id, Type::OID)));
                }
            }
            // `t` alone: the whole row, if nothing has a column of that name.
            if qualifier.is_empty()
                && let Some(item) = scope.items.iter().find(|item| item.name_visible && *item.alias == **name)
                && !item.columns.is_empty()
            {
                let fields: Vec<Expr> = item.columns.iter().map(|column| column.expr.clone()).collect();
                let types = fields.iter().map(Expr::data_type).collect();
                let template = item.row_type.and_then(Type::row_template);
                let names = match template.and_then(|template| template.names) {
                    Some(names) => names,
                    None => item.columns.iter().map(|column| column.name.clone()).collect(),
                };
                let result = item.row_type.unwrap_or(Type::RECORD);
                let row = Expr::Row { fields, types, names: Some(names), data_type: result };
                // A row that an outer join did not find is no row, rather than a row of nulls. Every table's row has a tableoid.
                return Ok(Some(match (item.nullable, item.table_oid) {
                    (true, Some(id)) => {
                        let operand = Box::new(Expr::column(id, Type::OID));
                        let missing = Expr::IsNull { operand, negated: false };
                        Expr::Case {
                            operand: None,
                            arms: vec![(missing, Expr::null(result))],
                            otherwise: Some(Box::new(row)),
                            result,
                        }
                    }
                    _ => row,
                }));
            }
            if named && !qualifier.is_empty() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Whether `t` or `s.t` (or `db.s.t`) names the item.
    pub fn qualifies(&self, item: &NamedItem, qualifier: &[String]) -> bool {
        let Some((table, schemas)) = qualifier.split_last() else { return true };
        if *item.alias != **table {
            return false;
        }
        match schemas.last() {
            None => true,
            Some(schema) => item.schema.is_some_and(|oid| {
                self.context.catalog.schema(oid).is_some_and(|known| known.name == *schema)
                    || (oid == crate::catalog::PG_CATALOG && schema == "pg_catalog")
                    || (oid == crate::catalog::INFORMATION_SCHEMA && schema == "information_schema")
            }),
        }
    }

    fn no_such_column(&self, parts: &[String]) -> Error {
        let text = parts.join(".");
        match parts {
            [name] => {
                let error =
                    Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"));
                match self.similar_columns(None, name) {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
            [.., table, column] => {
                let known = self
                    .scopes
                    .iter()
                    .any(|s| s.items.iter().any(|item| item.name_visible && *item.alias == **table));
                match known {
                    true => {
                        let error =
                            Error::new(SqlState::UNDEFINED_COLUMN, format!("column {text} does not exist"));
                        match self.similar_columns(Some(table), column) {
                            Some(hint) => error.hint(hint),
                            None => error,
                        }
                    }
                    false => self.missing_from(table),
                }
            }
            [] => Error::internal("a column reference without a name"),
        }
    }

    pub fn missing_from(&self, table: &str) -> Error {
        let error =
            Error::new(SqlState::UNDEFINED_TABLE, format!("missing FROM-clause entry for table \"{table}\""));
        let hidden = self.scopes.iter().flat_map(|scope| &scope.items).any(|item| {
            matches!(&item.locks, Locks::Rows(tables) if tables.iter().any(|lockable| lockable.table.name == table))
                && *item.alias != *table
        });
        match hidden {
            true => Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("invalid reference to FROM-clause entry for table \"{table}\""),
            ),
            false => error,
        }
    }

    /// The columns that `*` or `t.*` stands for.
    pub fn expand_star(&mut self, qualifier: &[String], position: usize) -> Result<Vec<NamedColumn>> {
        if qualifier.is_empty() {
            let scope = self.scopes.last().expect("a target list has a scope");
            let visible = || scope.items.iter().filter(|item| item.columns_visible);
            if visible().next().is_none() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "SELECT * with no tables specified is not valid",
                )
                .at(position));
            }
            let columns: Vec<NamedColumn> = visible().flat_map(|item| item.columns.iter().cloned()).collect();
            columns.iter().for_each(|column| self.reads(&column.expr));
            return Ok(columns);
        }
        for scope in self.scopes.iter().rev() {
            if let Some(item) =
                scope.items.iter().find(|item| item.name_visible && self.qualifies(item, qualifier))
            {
                let columns = item.columns.clone();
                columns.iter().for_each(|column| self.reads(&column.expr));
                return Ok(columns);
            }
        }
        if let Some(variables) = self.context.variables
            && let Some(fields) = variables.expand(qualifier).map_err(|error| error.at(position))?
        {
            let column =
                |(name, index, data_type)| NamedColumn { name, expr: self.variable(index, data_type) };
            return Ok(fields.into_iter().map(column).collect());
        }
        let table = qualifier.last().expect("it is not empty");
        Err(self.missing_from(table).at(position))
    }
}
