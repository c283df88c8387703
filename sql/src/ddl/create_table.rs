//! CREATE TABLE, CREATE TABLE AS, SELECT INTO.

use super::column::Pending;
use super::on_commit::OnCommit;
use super::{Ddl, names};
use crate::catalog::{ConstraintKind, Index, ObjectClass, Persistence, Privileges, Relation, Schema, Table};
use crate::column::Batch;
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution};
use crate::functions::operator_facts;
use crate::parse::ast::{
    ColumnConstraintKind, CreateTable, Deferrable, Exclusion, Expr, IndexColumn, Name, ObjectName, Query,
    SetExpr, StatementKind, TableConstraint, TableConstraintKind,
};
use crate::plan::Plan;
use crate::table::loader::TableLoader;
use crate::table::{Arbiter, ShapeCell, TableWriter};
use crate::types::{Datum, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

/// CREATE TABLE … AS, SELECT INTO, CREATE MATERIALIZED VIEW.
pub(super) struct CreateTableAs<'a> {
    pub name: &'a ObjectName,
    pub columns: &'a [Name],
    pub if_not_exists: bool,
    pub temporary: bool,
    pub on_commit: Option<&'a str>,
    pub with_data: bool,
    /// Of a materialized view: the query's text.
    pub materialized: Option<&'a str>,
    pub query: &'a StatementKind,
}

impl Ddl<'_> {
    /// `action`: as the parser has it.
    fn remember_on_commit(&self, table: &Table, action: Option<&str>) -> Result<()> {
        let Some(action) = action else { return Ok(()) };
        if table.persistence != Persistence::Temporary {
            let message = "ON COMMIT can only be used on temporary tables";
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        let action = match action {
            "drop" => OnCommit::Drop,
            "delete rows" => OnCommit::DeleteRows,
            _ => return Ok(()),
        };
        self.core.on_commit.borrow_mut().push((table.oid, action));
        Ok(())
    }

    pub(super) fn create_table(&self, create: &CreateTable) -> Result<()> {
        let mut table = match self.new_table(&create.name, create.temporary, create.if_not_exists) {
            Ok(Some(table)) => table,
            Ok(None) => return Ok(()),
            Err(error) if error.state() == SqlState::DUPLICATE_TABLE => {
                // PostgreSQL looks at the name when it has looked at the columns.
                for column in &create.columns {
                    self.check_column_type(column).map_err(|error| error.at(column.position))?;
                }
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        self.remember_on_commit(&table, create.on_commit.as_deref())?;
        table.options.clone_from(&create.options);
        table.unlogged = create.unlogged && table.persistence == Persistence::Permanent;
        let parents = self.open_parents(create)?;
        let mut conflicts = self.inherit_columns(&mut table, &parents)?;
        let mut pending = Vec::new();
        let mut indexes = Vec::new();
        for (source, options) in &create.like {
            self.copy_columns(&mut table, source, options, &mut pending, &mut indexes)?;
        }
        for column in &create.columns {
            match table
                .column_index(&column.name)
                .filter(|at| table.columns[*at].inherited > 0 && !table.columns[*at].local)
            {
                Some(at) => self.merge_column(&mut table, at, column, &mut pending),
                None => self.add_column(&mut table, column, &mut pending),
            }
            .map_err(|error| error.at(column.position))?;
        }
        for (name, constraints, position) in &create.partition_columns {
            let at = table.column_index(name).ok_or_else(|| {
                let message = format!("column \"{name}\" does not exist");
                Error::new(SqlState::UNDEFINED_COLUMN, message).at(*position)
            })?;
            self.column_constraints(&mut table, at, constraints, &mut pending)?;
        }
        conflicts.retain(|at| {
            let column = &table.columns[*at];
            let given = create.columns.iter().filter(|definition| definition.name == column.name);
            let mut constraints = given.flat_map(|definition| &definition.constraints);
            !constraints.any(|constraint| matches!(constraint.kind, ColumnConstraintKind::Default(..)))
        });
        if let Some(at) = conflicts.first() {
            let message =
                format!("column \"{}\" inherits conflicting default values", table.columns[*at].name);
            return Err(Error::new(SqlState::INVALID_COLUMN_DEFINITION, message)
                .hint("To resolve the conflict, specify a default explicitly."));
        }
        self.inherit_checks(&mut table, &parents)?;
        if let Some(by) = &create.partition_by {
            if !create.inherits.is_empty() {
                let message = "cannot create partitioned table as inheritance child";
                return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
            }
            table.inheritance.partitioning = Some(self.partitioning(&table, by)?);
        }
        table.inheritance.parents = parents.iter().map(|parent| parent.oid).collect();
        if let (Some((_, spec)), [parent]) = (&create.partition_of, &parents[..]) {
            let bound = self.partition_bound(parent, &table.name, spec)?;
            self.check_default_partition(parent, table.oid, &bound)?;
            table.inheritance.bound = Some(bound);
        }
        pending.extend(
            create
                .constraints
                .iter()
                .map(|constraint| Pending { constraint: constraint.clone(), column: None }),
        );
        // As PostgreSQL does: the primary key's index comes first; foreign keys last, as they may reference the table itself.
        pending.sort_by_key(|pending| match pending.constraint.kind {
            TableConstraintKind::PrimaryKey { .. } => 0,
            TableConstraintKind::ForeignKey { .. } => 2,
            _ => 1,
        });
        for pending in &pending {
            self.add_constraint(&mut table, pending)?;
        }
        for index in indexes {
            self.add_copied_index(&mut table, index)?;
        }
        let table = self.put_table(table)?;
        for parent in &parents {
            self.link(parent.oid, table.oid)?;
        }
        if let (true, [parent]) = (table.is_partition(), &parents[..]) {
            self.carry_down(parent.oid, table.oid)?;
        }
        Ok(())
    }

    /// An empty descriptor with its tree, its name taken; None if IF NOT EXISTS finds it.
    pub(super) fn new_table(
        &self,
        name: &ObjectName,
        temporary: bool,
        if_not_exists: bool,
    ) -> Result<Option<Table>> {
        let (schema, name) = self.new_relation_name(name, temporary)?;
        let catalog = self.catalog();
        if names::is_relation_name_taken(&catalog, schema.oid, &name) {
            if if_not_exists {
                self.notice_existing(
                    SqlState::DUPLICATE_TABLE,
                    &format!("relation \"{name}\" already exists"),
                );
                return Ok(None);
            }
            return Err(names::relation_exists(&name));
        }
        let oid = self.new_oid()?;
        self.lock(oid, RelationLockMode::AccessExclusive)?;
        self.take_relation_name(schema.oid, &name, oid)?;
        let tree = self.create_tree()?.id();
        let is_temporary = Some(schema.oid) == self.core.temporary_schema.get();
        Ok(Some(Table {
            row_type: self.new_oid()?,
            row_array_type: self.new_oid()?,
            oid,
            database: self.core.database_oid,
            schema: schema.oid,
            name,
            owner: self.core.role.get(),
            persistence: if is_temporary { Persistence::Temporary } else { Persistence::Permanent },
            unlogged: false,
            tree,
            columns: Vec::new(),
            primary_key: Vec::new(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            triggers: Vec::new(),
            options: Vec::new(),
            comment: None,
            acl: self.new_acl(ObjectClass::Table, schema.oid)?,
            view: None,
            statistics: None,
            view_names: Vec::new(),
            simple_view: None,
            populated: None,
            depends_on: Vec::new(),
            inheritance: Default::default(),
            row_security: false,
            force_row_security: false,
            shape: ShapeCell::default(),
            routing: Default::default(),
            trees_since: 0,
        }))
    }

    /// The schema in which a new relation goes, and its name.
    pub(super) fn new_relation_name(&self, name: &ObjectName, temporary: bool) -> Result<(Schema, String)> {
        let catalog = self.catalog();
        let (schema, relation) = names::split(&catalog, name)?;
        let in_temporary = temporary || schema == Some("pg_temp");
        if in_temporary {
            if let Some(schema) = schema
                && schema != "pg_temp"
                && !schema.starts_with("pg_temp_")
            {
                let message = "cannot create temporary relation in non-temporary schema";
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            return Ok((self.temporary_schema()?, relation.to_string()));
        }
        let found = names::creation_schema(&catalog, &self.search_path(), schema)?;
        super::owner::check_create(&catalog, found.oid, self.core.role.get())?;
        Ok((found.clone(), relation.to_string()))
    }

    /// LIKE: columns, and what its options ask for.
    fn copy_columns(
        &self,
        table: &mut Table,
        source: &ObjectName,
        options: &[(String, bool)],
        pending: &mut Vec<Pending>,
        indexes: &mut Vec<Index>,
    ) -> Result<()> {
        if let [.., schema, _] = &source.parts[..] {
            crate::plan::permissions::check_schema(schema, self.core.role.get(), &self.catalog())?;
        }
        let source = names::find_table(&self.catalog(), &self.search_path(), source)?;
        self.require_privilege(&Relation::Table(source.clone()), Privileges::SELECT, &[])?;
        self.lock(source.oid, RelationLockMode::AccessShare)?;
        let including = |wanted: &str| {
            options
                .iter()
                .rfind(|(name, _)| name.eq_ignore_ascii_case(wanted) || name.eq_ignore_ascii_case("all"))
                .is_some_and(|(_, including)| *including)
        };
        // Where each of its columns goes.
        let mut places = vec![usize::MAX; source.columns.len()];
        for (from, column) in source.columns.iter().enumerate().filter(|(_, column)| !column.dropped) {
            super::column::check_name(table, &column.name)?;
            places[from] = table.columns.len();
            let mut copy = column.clone();
            copy.number = i16::try_from(table.columns.len() + 1)
                .map_err(|_| Error::new(SqlState::TOO_MANY_COLUMNS, "too many columns"))?;
            copy.missing = None;
            copy.identity = None;
            copy.sequence = None;
            copy.inherited = 0;
            copy.local = true;
            if !including(if copy.generated { "generated" } else { "defaults" }) {
                copy.default = None;
                copy.generated = false;
            }
            if !including("comments") {
                copy.comment = None;
            }
            table.columns.push(copy);
            if column.identity.is_some() && including("identity") {
                let position = table.columns.len() - 1;
                self.set_identity(table, position, column.identity == Some(true), &Default::default())?;
            }
        }
        let named = |columns: Vec<usize>| -> Vec<Name> {
            columns.iter().map(|&column| source.columns[column].name.clone()).collect()
        };
        let mut queue = |name: Option<String>, kind| {
            let constraint = TableConstraint { name, kind, position: 0 };
            pending.push(Pending { constraint, column: None });
        };
        if including("constraints") {
            for constraint in &source.constraints {
                if let ConstraintKind::Check(text) = &constraint.kind {
                    let expr = crate::parse::parse_expression(text)?;
                    let kind = TableConstraintKind::Check { expr, text: text.clone(), no_inherit: false };
                    queue(Some(constraint.name.clone()), kind);
                }
            }
        }
        if including("indexes") {
            for index in &source.indexes {
                if source.constraint_of_index(index.oid).is_none() {
                    let mut copy = index.clone();
                    for key in &mut copy.keys {
                        key.column = key.column.map(|column| places[column]);
                    }
                    copy.include.iter_mut().for_each(|column| *column = places[*column]);
                    if !including("comments") {
                        copy.comment = None;
                    }
                    indexes.push(copy);
                    continue;
                }
                if !index.exclusion.is_empty() {
                    let exclusion = exclusion_again(&source, index)?;
                    queue(None, TableConstraintKind::Exclude(Box::new(exclusion)));
                    continue;
                }
                let columns = named(index.keys.iter().filter_map(|key| key.column).collect());
                let include = named(index.include.clone());
                queue(
                    None,
                    match index.primary {
                        true => TableConstraintKind::PrimaryKey {
                            columns,
                            include,
                            using_index: None,
                            deferrable: deferrable_of(&source, index.oid),
                        },
                        false => TableConstraintKind::Unique {
                            columns,
                            include,
                            nulls_not_distinct: index.nulls_not_distinct,
                            using_index: None,
                            deferrable: deferrable_of(&source, index.oid),
                        },
                    },
                );
            }
        }
        Ok(())
    }

    /// LIKE … INCLUDING INDEXES: an index that no constraint has, under a name of its own.
    fn add_copied_index(&self, table: &mut Table, mut index: Index) -> Result<()> {
        let joined = super::index::name_parts(table, &index.keys).join("_");
        index.name = self.index_name(table, None, Some(&joined), "idx")?;
        index.oid = self.new_oid()?;
        self.take_relation_name(table.schema, &index.name, index.oid)?;
        index.tree = self.create_tree()?.id();
        index.hidden = false;
        index.parent = 0;
        table.indexes.push(index);
        Ok(())
    }

    // ---- from a query ----

    pub(super) fn select_into(&self, query: &Query) -> Result<String> {
        let mut query = query.clone();
        let (name, temporary) =
            take_into(&mut query.body).ok_or_else(|| Error::internal("SELECT INTO without a target"))?;
        let statement = StatementKind::Query(Box::new(query));
        self.create_table_as(&CreateTableAs {
            name: &name,
            columns: &[],
            if_not_exists: false,
            temporary,
            on_commit: None,
            with_data: true,
            materialized: None,
            query: &statement,
        })
    }

    pub(super) fn create_table_as(&self, create: &CreateTableAs<'_>) -> Result<String> {
        let &CreateTableAs {
            name,
            columns,
            if_not_exists,
            temporary,
            on_commit,
            with_data,
            materialized,
            query,
        } = create;
        let command = if materialized.is_some() { "CREATE MATERIALIZED VIEW" } else { "CREATE TABLE AS" };
        let types: Vec<Option<Type>> = self.parameter_types.iter().copied().map(Some).collect();
        let plan = crate::session::plan_statement(query, &types, &self.catalog(), self.core, self.eval)?;
        for &(relation, mode) in &plan.relations {
            self.lock(relation, mode)?;
        }
        self.core.check_permissions(&plan)?;
        let fields = plan.fields.clone().unwrap_or_default();
        if columns.len() > fields.len() {
            let message = "too many column names were specified";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let Some(mut table) = self.new_table(name, temporary, if_not_exists)? else {
            return Ok(command.to_string());
        };
        self.remember_on_commit(&table, on_commit)?;
        if let Some(text) = materialized {
            let text = self.spelled_out_query(text)?;
            table.view_names = self.view_names(&text)?;
            table.view = Some(text);
            table.depends_on = plan.relations.iter().map(|&(relation, _)| relation).collect();
            table.populated = Some(with_data);
        }
        for (position, field) in fields.iter().enumerate() {
            let name = columns.get(position).unwrap_or(&field.name);
            super::column::check_name(&table, name)?;
            let data_type = if field.data_type == Type::UNKNOWN { Type::TEXT } else { field.data_type };
            push_plain_column(&mut table, name, data_type, field.type_modifier)?;
        }
        let table = self.put_table(table)?;
        if !with_data {
            return Ok(command.to_string());
        }
        let rows = self.fill_from(&table, plan)?;
        Ok(format!("SELECT {rows}"))
    }

    /// Runs a plan into a table that is empty.
    pub(super) fn fill_from(&self, table: &Arc<Table>, plan: Arc<Plan>) -> Result<u64> {
        self.with_exec(|context| fill(table, &mut Execution::new(plan), self.sort_bytes(), context))
    }
}

/// An EXCLUDE constraint as it might have been written.
fn exclusion_again(table: &Table, index: &Index) -> Result<Exclusion> {
    let mut elements = Vec::with_capacity(index.keys.len());
    for (key, operator) in index.keys.iter().zip(&index.exclusion) {
        let (expr, text) = match (key.column, &key.expression) {
            (Some(column), _) => {
                let name = table.columns[column].name.clone();
                (Expr::Column(vec![name.clone()], 0), name)
            }
            (None, text) => {
                let text = text.clone().unwrap_or_default();
                (crate::parse::parse_expression(&text)?, text)
            }
        };
        let class = key.operator_class.clone();
        let column = IndexColumn {
            expr,
            text,
            operator_class: class.map(|class| ObjectName { parts: vec![class], position: 0 }),
            descending: key.descending,
            nulls_first: (key.nulls_first != key.descending).then_some(key.nulls_first),
        };
        let fact = operator_facts().iter().find(|fact| fact.oid == *operator);
        elements.push((column, fact.map_or_else(String::new, |fact| fact.name.to_owned())));
    }
    let predicate = match &index.predicate {
        Some(text) => Some((crate::parse::parse_expression(text)?, text.clone())),
        None => None,
    };
    Ok(Exclusion {
        method: Some(index.method.name().to_owned()),
        elements,
        include: index.include.iter().map(|&column| table.columns[column].name.clone()).collect(),
        options: index.options.clone(),
        predicate,
        deferrable: deferrable_of(table, index.oid),
    })
}

fn deferrable_of(table: &Table, index: crate::types::Oid) -> Deferrable {
    table.constraint_of_index(index).map_or_else(Deferrable::default, |constraint| Deferrable {
        deferrable: constraint.deferrable,
        initially_deferred: constraint.initially_deferred,
    })
}

pub(super) fn push_plain_column(table: &mut Table, name: &str, data_type: Type, modifier: i32) -> Result<()> {
    let number = i16::try_from(table.columns.len() + 1)
        .map_err(|_| Error::new(SqlState::TOO_MANY_COLUMNS, "too many columns"))?;
    table.columns.push(crate::catalog::Column {
        name: name.to_string(),
        number,
        data_type: data_type.0,
        modifier,
        collation: None,
        not_null: false,
        default: None,
        generated: false,
        identity: None,
        sequence: None,
        missing: None,
        dropped: false,
        inherited: 0,
        local: true,
        comment: None,
        acl: None,
    });
    Ok(())
}

/// Below this many rows a bulk load is not worth its pages.
const LOAD_ROWS_MIN: usize = 1024;

/// Runs the execution into a fresh table.
fn fill(
    table: &Arc<Table>,
    execution: &mut Execution,
    sort_bytes: usize,
    context: &ExecContext<'_>,
) -> Result<u64> {
    let mut count = 0;
    // A first batch that is the last as well is inserted.
    let first = execution.next(context)?;
    let second = execution.next(context)?;
    let is_small = second.is_none() && first.as_ref().is_none_or(|batch| batch.rows < LOAD_ROWS_MIN);
    let mut loader = if is_small { None } else { TableLoader::new(table, sort_bytes, context)? };
    let mut writer = TableWriter::new(table, context)?;
    let mut take = |batch: Batch| -> Result<()> {
        for row in 0..batch.rows {
            let values: Vec<Datum> = batch.row(row);
            match &mut loader {
                Some(loader) => loader.append(&values, context)?,
                None => {
                    writer.insert(&values, &Arbiter::None, context)?;
                }
            }
        }
        count += batch.rows as u64;
        Ok(())
    };
    for batch in first.into_iter().chain(second) {
        take(batch)?;
    }
    while let Some(batch) = execution.next(context)? {
        take(batch)?;
    }
    if let Some(loader) = loader {
        loader.finish(context)?;
    }
    Ok(count)
}

fn take_into(body: &mut SetExpr) -> Option<(ObjectName, bool)> {
    match body {
        SetExpr::Select(select) => select.into.take(),
        SetExpr::Operation { left, .. } => take_into(left),
        SetExpr::Query(query) => take_into(&mut query.body),
        SetExpr::Values(_) => None,
    }
}
