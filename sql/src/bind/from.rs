//! FROM: tables, views, subqueries, functions, joins.

use super::locking::{LockedQuery, Part};
use super::scope::{Lockable, Locks, NamedColumn, NamedItem, Scope};
use super::{Binder, Clause, CteBinding};
use crate::catalog::{Privileges, Relation, Sequence, Table};
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, Expr};
use crate::functions::{Body, Callee, Resolved, ResolvedCall, resolve_function};
use crate::parse::ast;
use crate::plan::logical::{self, FunctionScan, JoinKind, Logical};
use crate::types::{Datum, Type};
use serin_txn::RelationLockMode;
use std::borrow::Cow;
use std::sync::Arc;

/// Views within views deeper than this are taken for a cycle.
const VIEW_DEPTH_MAX: usize = 64;

/// TableOidAttributeNumber
const TABLE_OID_NUMBER: i16 = -6;
/// A function in FROM with the columns it is declared to have.
type FromCall = (ast::Expr, Vec<ast::ColumnDefinitionItem>);

impl Binder<'_> {
    /// All FROM items, cross-joined.
    pub fn from_clause(&mut self, items: &[ast::TableRef]) -> Result<(Logical, Vec<NamedItem>)> {
        let mut plan: Option<Logical> = None;
        let mut names: Vec<NamedItem> = Vec::new();
        for item in items {
            let (right, more) = self.from_item(item, &names)?;
            check_duplicate_aliases(&names, &more)?;
            names.extend(more);
            plan = Some(match plan {
                None => right,
                Some(left) => cross(left, right),
            });
        }
        Ok((plan.unwrap_or(Logical::OneRow), names))
    }

    /// One item. `left` is what LATERAL may refer to.
    fn from_item(&mut self, item: &ast::TableRef, left: &[NamedItem]) -> Result<(Logical, Vec<NamedItem>)> {
        match item {
            ast::TableRef::Table { name, only, alias, sample } => {
                if sample.is_some() {
                    return Err(Error::unsupported("TABLESAMPLE").at(name.position));
                }
                let (plan, item) = self.named_relation(name, alias.as_ref(), *only)?;
                Ok((plan, vec![item]))
            }
            ast::TableRef::Subquery { query, lateral, alias } => {
                if *lateral {
                    self.scopes.push(Scope::new(left.to_vec()));
                }
                let item = self.from_subquery(query, *lateral, alias.as_ref());
                if *lateral {
                    self.scopes.pop();
                }
                item.map(|(plan, item)| (plan, vec![item]))
            }
            ast::TableRef::Function { calls, ordinality, alias, position, .. } => {
                // Function arguments may always look to the left.
                self.scopes.push(Scope::new(left.to_vec()));
                let result = self.from_function(calls, *ordinality, alias.as_ref(), *position);
                self.scopes.pop();
                result.map(|(plan, item)| (plan, vec![item]))
            }
            ast::TableRef::Join { kind, left: l, right: r, condition, alias } => {
                let (left_plan, left_items) = self.from_item(l, left)?;
                let mut visible = left.to_vec();
                visible.extend(left_items.iter().cloned());
                let (right_plan, right_items) = self.from_item(r, &visible)?;
                check_duplicate_aliases(&left_items, &right_items)?;
                self.join(
                    *kind,
                    (left_plan, left_items),
                    (right_plan, right_items),
                    condition,
                    alias.as_ref(),
                    left,
                )
            }
        }
    }

    pub fn named_relation(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::Alias>,
        only: bool,
    ) -> Result<(Logical, NamedItem)> {
        if let [single] = name.parts.as_slice()
            && let Some(cte) = self.cte_names.iter().rev().find(|cte| cte.name == *single)
        {
            let binding = cte.binding.clone();
            return self.cte_reference(single, binding, alias, name.position);
        }
        if let [single] = name.parts.as_slice()
            && let Some(binding) = self.transition_table(single)
        {
            return self.cte_reference(single, binding, alias, name.position);
        }
        match self.find_relation(name)? {
            Relation::Table(table) => {
                self.lock_relation(
                    table.oid,
                    if self.locking.is_empty() {
                        RelationLockMode::AccessShare
                    } else {
                        RelationLockMode::RowShare
                    },
                );
                let label = alias.map_or(table.name.as_str(), |alias| alias.name.as_str());
                if self.view_depth == 0 {
                    let (position, relation, aliased) = (name.position, table.oid, alias.is_some());
                    self.names.push(logical::TableName { position, relation, aliased });
                }
                match table.populated {
                    _ if table.is_view() => self.view(&table, label.into(), alias),
                    Some(false) => Err(Error::new(
                        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                        format!("materialized view \"{}\" has not been populated", table.name),
                    )
                    .hint("Use the REFRESH MATERIALIZED VIEW command.")),
                    _ => self.table(&table, label.into(), alias, only),
                }
            }
            Relation::System(relation) => {
                let label: Arc<str> = alias.map_or(relation.name, |alias| alias.name.as_str()).into();
                let mut ids = Vec::with_capacity(relation.columns.len());
                let mut columns = Vec::with_capacity(relation.columns.len());
                for (i, (column, data_type)) in relation.columns.iter().enumerate() {
                    let origin = (relation.oid, i as i16 + 1);
                    let id =
                        self.new_column(column, *data_type, relation.modifiers[i], origin, label.clone());
                    ids.push(id);
                    columns
                        .push(NamedColumn { name: column.to_string(), expr: Expr::column(id, *data_type) });
                }
                self.need(relation.oid, Privileges::SELECT, &ids);
                rename(&mut columns, &label, alias)?;
                // pg_dump names objects by the catalog they are in and their OID there.
                let table_oid = (!crate::catalog::system::is_view(relation.oid)).then(|| {
                    let origin = (relation.oid, TABLE_OID_NUMBER);
                    self.new_column("tableoid", Type::OID, -1, origin, label.clone())
                });
                ids.extend(table_oid);
                let item = NamedItem {
                    alias: label.clone(),
                    schema: alias.is_none().then_some(relation.schema),
                    columns,
                    name_visible: true,
                    columns_visible: true,
                    locks: Locks::Nothing("a system catalog"),
                    table_oid,
                    row_type: None,
                    nullable: false,
                };
                Ok((Logical::System { relation, alias: label, columns: ids }, item))
            }
            Relation::Sequence(sequence) => self.sequence(&sequence, alias),
            Relation::Index(table, index) => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot open relation \"{}\"", table.indexes[index].name),
            )
            .detail("This operation is not supported for indexes.")
            .at(name.position)),
        }
    }

    /// A transition table of the trigger function that the statement is in.
    fn transition_table(&mut self, name: &str) -> Option<CteBinding> {
        let transitions = self.context.eval.services.transitions()?;
        transitions.rows(name)?;
        let index = self.work_tables;
        self.work_tables += 1;
        self.transitions.push((index, name.to_owned()));
        let live = transitions.table.columns.iter().filter(|column| !column.dropped);
        let columns = live.map(|column| (column.name.clone(), column.data_type(), column.modifier));
        Some(CteBinding::WorkTable { index, columns: columns.collect() })
    }

    pub fn find_relation(&self, name: &ast::ObjectName) -> Result<Relation> {
        let (last, schemas) =
            name.parts.split_last().ok_or_else(|| Error::internal("a relation without a name"))?;
        if let [database, _] = schemas
            && *database != self.context.catalog.database().name
        {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cross-database references are not implemented: \"{}\"", name.parts.join(".")),
            )
            .at(name.position));
        }
        let schema = schemas.last().map(String::as_str);
        self.check_schema_use(schema)?;
        self.context.catalog.find_relation(schema, last, self.context.search_path).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", name.parts.join(".")),
            )
            .at(name.position)
        })
    }

    fn table(
        &mut self,
        table: &Arc<Table>,
        label: Arc<str>,
        alias: Option<&ast::Alias>,
        only: bool,
    ) -> Result<(Logical, NamedItem)> {
        let ids = self.table_columns(table, &label);
        self.need(table.oid, Privileges::SELECT, &ids);
        let schema = alias.is_none().then_some(table.schema);
        let mut item = NamedItem::of_table(table, label.clone(), &ids, schema);
        rename(&mut item.columns, &label, alias)?;
        let locks = !self.locking.is_empty();
        let key = locks.then(|| self.new_column("ctid", Type::BYTEA, -1, (0, 0), label.clone()));
        let table_oid = self.table_oid(table, &label);
        item.table_oid = Some(table_oid);
        let children = self.children(table, only, &label);
        if let Some(key) = key {
            item.locks = Locks::Rows(vec![Lockable {
                table: table.clone(),
                ids: ids.clone(),
                key,
                table_oid: children.map(|_| table_oid),
                nullable: false,
            }]);
        }
        let scan = logical::Scan {
            table: table.clone(),
            alias: label,
            columns: ids,
            key,
            row: None,
            table_oid: Some(table_oid),
            children,
        };
        Ok((Logical::Scan(scan), item))
    }

    pub fn table_oid(&mut self, table: &Table, label: &Arc<str>) -> ColumnId {
        self.new_column("tableoid", Type::OID, -1, (table.oid, TABLE_OID_NUMBER), label.clone())
    }

    /// `Scan::children`.
    pub fn children(&mut self, table: &Table, only: bool, label: &Arc<str>) -> Option<ColumnId> {
        // A partitioned table without its partitions has no rows, and neither has its tree.
        (!only && table.stands_for_others())
            .then(|| self.new_column("", Type::TEXT, -1, (0, 0), label.clone()))
    }

    pub fn table_columns(&mut self, table: &Table, label: &Arc<str>) -> Vec<ColumnId> {
        table
            .columns
            .iter()
            .map(|column| {
                let origin = (table.oid, column.number);
                self.new_column(&column.name, column.data_type(), column.modifier, origin, label.clone())
            })
            .collect()
    }

    /// A sequence as the table of one row that it is in PostgreSQL: pg_dump and ORMs read its position so.
    fn sequence(&mut self, sequence: &Sequence, alias: Option<&ast::Alias>) -> Result<(Logical, NamedItem)> {
        let relation = crate::catalog::system::sequence_positions();
        let label: Arc<str> = alias.map_or(&sequence.name, |alias| &alias.name).as_str().into();
        let mut ids = Vec::with_capacity(relation.columns.len());
        for (at, (column, data_type)) in relation.columns.iter().enumerate() {
            // The first column says which sequence a row is of; the others are the sequence's own.
            let origin = if at == 0 { (0, 0) } else { (sequence.oid, at as i16) };
            ids.push(self.new_column(column, *data_type, -1, origin, label.clone()));
        }
        self.need(sequence.oid, Privileges::SELECT, &ids[1..]);
        let mut columns: Vec<NamedColumn> = (1..ids.len())
            .map(|at| {
                let (name, data_type) = relation.columns[at];
                NamedColumn { name: name.to_owned(), expr: Expr::column(ids[at], data_type) }
            })
            .collect();
        rename(&mut columns, &label, alias)?;
        let item = NamedItem {
            alias: label.clone(),
            schema: alias.is_none().then_some(sequence.schema),
            columns,
            name_visible: true,
            columns_visible: true,
            locks: Locks::Nothing("a sequence"),
            table_oid: None,
            row_type: None,
            nullable: false,
        };
        let this = Expr::Constant { value: Datum::Oid(sequence.oid), data_type: Type::OID };
        let condition = self.operator("=", vec![Expr::column(ids[0], Type::OID), this], 0)?;
        let positions = Logical::System { relation, alias: label, columns: ids };
        Ok((Logical::Filter { input: Box::new(positions), conditions: vec![condition] }, item))
    }

    fn from_subquery(
        &mut self,
        query: &ast::Query,
        lateral: bool,
        alias: Option<&ast::Alias>,
    ) -> Result<(Logical, NamedItem)> {
        let label: Arc<str> = alias.map_or("", |alias| alias.name.as_str()).into();
        let bound = self.locked_query(query, &label, !lateral)?;
        match bound.part {
            Part::Merged(plan, mut item) => {
                rename(&mut item.columns, &label, alias)?;
                Ok((plan, NamedItem { alias: label, ..item }))
            }
            Part::Separate(query) => {
                let mut item = self.derived_item(label.clone(), alias, &query.columns)?;
                item.locks = bound.locks;
                Ok((Logical::Subquery { input: Box::new(query.plan), alias: label }, item))
            }
        }
    }

    /// A view is its definition, bound where it sees none of the names around it.
    pub(super) fn view(
        &mut self,
        view: &Table,
        label: Arc<str>,
        alias: Option<&ast::Alias>,
    ) -> Result<(Logical, NamedItem)> {
        if self.view_depth >= VIEW_DEPTH_MAX {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("infinite recursion detected in rules for relation \"{}\"", view.name),
            ));
        }
        let definition = view.query_text(self.context.catalog, |_| false).unwrap_or_default();
        let statements = crate::parse::parse(&definition)?;
        let Some(ast::StatementKind::Query(query)) = statements.first().map(|statement| &statement.kind)
        else {
            return Err(Error::internal(format!("the definition of view \"{}\" is not a query", view.name)));
        };
        let scopes = std::mem::take(&mut self.scopes);
        let ctes = std::mem::take(&mut self.cte_names);
        let clause = std::mem::replace(&mut self.clause, Clause::plain("view"));
        // Who may not use the view shall not hear of what it reads, which is its owner's business.
        let is_locked = !self.locking_of(&label).is_empty();
        let required = if is_locked { Privileges::SELECT | Privileges::UPDATE } else { Privileges::SELECT };
        let mention = self.mention(view.oid, required);
        let check_as = (!view.is_security_invoker()).then_some(view.owner);
        let check_as = std::mem::replace(&mut self.needs.check_as, check_as);
        self.view_depth += 1;
        let bound = self.locked_query(query, &label, !view.is_security_barrier());
        self.view_depth -= 1;
        self.needs.check_as = check_as;
        (self.scopes, self.cte_names, self.clause) = (scopes, ctes, clause);
        let LockedQuery { part, locks } = bound?;
        let schema = alias.is_none().then_some(view.schema);
        let live = view.columns.iter().filter(|column| !column.dropped);
        let bound = match part {
            Part::Merged(plan, mut item) => {
                for (named, column) in item.columns.iter_mut().zip(live) {
                    named.name.clone_from(&column.name);
                    // Which of them the statement reads can't be told any more.
                    self.needs.relations[mention].selected.insert(column.number);
                }
                rename(&mut item.columns, &label, alias)?;
                return Ok((plan, NamedItem { alias: label, schema, ..item }));
            }
            Part::Separate(bound) => bound,
        };
        let mut columns = Vec::with_capacity(view.columns.len());
        let mut outputs = Vec::with_capacity(view.columns.len());
        for (column, id) in live.zip(&bound.columns) {
            let expr = self.column(*id);
            let origin = (view.oid, column.number);
            let new = self.new_column(&column.name, expr.data_type(), column.modifier, origin, label.clone());
            columns.push(NamedColumn { name: column.name.clone(), expr: self.column(new) });
            outputs.push((new, expr));
        }
        let ids: Vec<ColumnId> = outputs.iter().map(|(id, _)| *id).collect();
        self.own_columns(mention, &ids);
        rename(&mut columns, &label, alias)?;
        let item = NamedItem {
            alias: label.clone(),
            schema,
            columns,
            name_visible: true,
            columns_visible: true,
            locks,
            table_oid: None,
            row_type: view.type_of_rows(),
            nullable: false,
        };
        let mut plan = bound.plan;
        if view.is_security_barrier() {
            plan = fence(plan);
        }
        let input = Box::new(Logical::Project { input: Box::new(plan), outputs });
        Ok((Logical::Subquery { input, alias: label }, item))
    }

    fn derived_item(
        &mut self,
        label: Arc<str>,
        alias: Option<&ast::Alias>,
        ids: &[ColumnId],
    ) -> Result<NamedItem> {
        let mut columns: Vec<NamedColumn> = ids
            .iter()
            .map(|id| NamedColumn { name: self.columns[*id].name.clone(), expr: self.column(*id) })
            .collect();
        rename(&mut columns, &label, alias)?;
        for (id, column) in ids.iter().zip(&columns) {
            if self.columns[*id].relation.is_empty() {
                self.columns[*id].relation = label.clone();
                self.columns[*id].name = column.name.clone();
            }
        }
        Ok(NamedItem {
            alias: label,
            schema: None,
            columns,
            name_visible: true,
            columns_visible: true,
            locks: Locks::Nothing("a subquery"),
            table_oid: None,
            row_type: None,
            nullable: false,
        })
    }

    fn cte_reference(
        &mut self,
        name: &str,
        binding: CteBinding,
        alias: Option<&ast::Alias>,
        position: usize,
    ) -> Result<(Logical, NamedItem)> {
        let label: Arc<str> = alias.map_or(name, |alias| alias.name.as_str()).into();
        let (plan, mut columns) = match binding {
            CteBinding::Forbidden(within) => {
                return Err(Error::new(
                    SqlState::INVALID_RECURSION,
                    format!("recursive reference to query \"{name}\" must not appear within {within}"),
                )
                .at(position));
            }
            CteBinding::WorkTable { index, columns } => {
                let mut ids = Vec::with_capacity(columns.len());
                let mut named = Vec::with_capacity(columns.len());
                for (name, data_type, modifier) in columns {
                    let id = self.new_column(&name, data_type, modifier, (0, 0), label.clone());
                    ids.push(id);
                    named.push(NamedColumn { name, expr: Expr::column(id, data_type) });
                }
                (Logical::WorkTable { work_table: index, columns: ids, alias: label.clone() }, named)
            }
            CteBinding::Defined { index, names } => {
                let sources = self.ctes[index].columns.clone();
                if sources.is_empty()
                    && matches!(&self.ctes[index].plan, Logical::Modify(m) if m.returning.is_none())
                {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!("WITH query \"{name}\" does not have a RETURNING clause"),
                    )
                    .at(position));
                }
                let mut ids = Vec::with_capacity(sources.len());
                let mut named = Vec::with_capacity(sources.len());
                for (source, name) in sources.into_iter().zip(names) {
                    let (data_type, modifier) =
                        (self.columns[source].data_type, self.columns[source].modifier);
                    let id = self.new_column(&name, data_type, modifier, (0, 0), label.clone());
                    ids.push((id, source));
                    named.push(NamedColumn { name, expr: Expr::column(id, data_type) });
                }
                (Logical::Cte { index, alias: label.clone(), columns: ids }, named)
            }
        };
        rename(&mut columns, &label, alias)?;
        let item = NamedItem {
            alias: label,
            schema: None,
            columns,
            name_visible: true,
            columns_visible: true,
            locks: Locks::Nothing("a WITH query"),
            table_oid: None,
            row_type: None,
            nullable: false,
        };
        Ok((plan, item))
    }

    fn from_function(
        &mut self,
        calls: &[FromCall],
        ordinality: bool,
        alias: Option<&ast::Alias>,
        _position: usize,
    ) -> Result<(Logical, NamedItem)> {
        let first_name = calls.first().map_or_else(String::new, |(expr, _)| super::naming::column_name(expr));
        let label: Arc<str> = alias.map_or(first_name.as_str(), |alias| alias.name.as_str()).into();
        let calls = &*unnest_each(calls);
        let mut scans = Vec::with_capacity(calls.len());
        let mut columns = Vec::new();
        for (expr, definitions) in calls {
            let name = super::naming::column_name(expr);
            let scan = self.function_scan(expr, definitions, &name, &label, alias, calls.len() == 1)?;
            for id in &scan.columns {
                columns.push(NamedColumn { name: self.columns[*id].name.clone(), expr: self.column(*id) });
            }
            scans.push(scan);
        }
        let mut ordinal = None;
        if ordinality {
            let id = self.new_column("ordinality", Type::INT8, -1, (0, 0), label.clone());
            columns.push(NamedColumn { name: "ordinality".into(), expr: Expr::column(id, Type::INT8) });
            ordinal = Some(id);
        }
        rename(&mut columns, &label, alias)?;
        for column in &columns {
            if let Expr::Column { index, .. } = &column.expr {
                self.columns[*index].name = column.name.clone();
            }
        }
        let item = NamedItem {
            alias: label.clone(),
            schema: None,
            columns,
            name_visible: true,
            columns_visible: true,
            locks: Locks::Nothing("a function"),
            table_oid: None,
            row_type: None,
            nullable: false,
        };
        Ok((Logical::Function { calls: scans, ordinality: ordinal, alias: label }, item))
    }

    fn function_scan(
        &mut self,
        expr: &ast::Expr,
        definitions: &[ast::ColumnDefinitionItem],
        name: &str,
        label: &Arc<str>,
        alias: Option<&ast::Alias>,
        alone: bool,
    ) -> Result<FunctionScan> {
        // A single-column function's column takes the table alias as its name.
        let single_name = |binder: &mut Self, data_type: Type| {
            let name = if alias.is_some() && alone { label.as_ref() } else { name };
            binder.new_column(name, data_type, -1, (0, 0), label.clone())
        };
        if let ast::Expr::Function(call) = expr {
            let call = &*self.placed_call(call)?;
            let arguments =
                self.within(Clause::plain("functions in FROM"), |binder| binder.written_arguments(call))?;
            let types: Vec<Option<Type>> = arguments.iter().map(Self::open_type).collect();
            let found = self.resolve_call(call, &types)?;
            if let Callee::Routine(routine) = &found.callee
                && !routine.procedure
            {
                // A single OUT parameter with a name gives it, before an alias does.
                let mut outputs = routine.outputs();
                let named = match (outputs.next(), outputs.next()) {
                    (Some(only), None) => only.name.clone(),
                    _ => None,
                };
                let expr = self.routine_call(&routine.clone(), arguments, &found, call.position)?;
                return self.routine_scan(
                    expr,
                    definitions,
                    label,
                    call.position,
                    &mut |binder, data_type| match &named {
                        Some(name) => binder.new_column(name, data_type, -1, (0, 0), label.clone()),
                        None => single_name(binder, data_type),
                    },
                );
            }
            let makes_records = matches!(
                &found.callee,
                Callee::BuiltIn(function) if function.result == Type::RECORD
                    && matches!(&function.body, Body::Set { columns, .. } if columns.len() == 1)
            );
            if makes_records == definitions.is_empty() {
                let message = match makes_records {
                    true => "a column definition list is required for functions returning \"record\"",
                    false => "a column definition list is only allowed for functions returning \"record\"",
                };
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(call.position));
            }
            if makes_records {
                return self.record_scan(arguments, found, definitions, label, call.position);
            }
            let Callee::BuiltIn(function) = found.callee else {
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{name} is a procedure"))
                    .hint("To call a procedure, use CALL.")
                    .at(call.position));
            };
            let resolved = Resolved { function, arguments: found.arguments, result: found.result };
            if let Body::Set { columns, .. } = &resolved.function.body {
                let mut arguments = arguments
                    .into_iter()
                    .enumerate()
                    .map(|(i, argument)| match resolved.arguments.get(i).or(resolved.arguments.last()) {
                        Some(to) => self.coerce_argument(argument, *to, call.position),
                        None => self.resolve_unknown(argument),
                    })
                    .collect::<Result<Vec<_>>>()?;
                let mut ids = Vec::new();
                let mut types = Vec::new();
                let composite = resolved.result.row_template().filter(|_| columns.len() == 1);
                // A single OUT parameter with a name gives it, before an alias does.
                let is_named = columns.first().is_some_and(|(column, _)| *column != resolved.function.name);
                if let Some(template) = composite {
                    // Rows of the type that the call has: its columns are this one's, and the function's last argument.
                    let names = template.names.clone().unwrap_or_else(|| Arc::from([]));
                    for (name, (data_type, _)) in names.iter().zip(template.iter()) {
                        ids.push(self.new_column(name, *data_type, -1, (0, 0), label.clone()));
                        types.push(*data_type);
                    }
                    let value = Datum::Record(Arc::new(template));
                    // unnest() gives rows that say themselves what they are.
                    if !resolved.function.strict {
                        arguments.push(Expr::Constant { value, data_type: Type::RECORD });
                    }
                } else if columns.is_empty() || (columns.len() == 1 && !is_named) {
                    ids.push(single_name(self, resolved.result));
                    types.push(resolved.result);
                } else {
                    for (column, data_type) in columns.iter() {
                        let data_type = super::call::set_column(*data_type, &arguments);
                        ids.push(self.new_column(column, data_type, -1, (0, 0), label.clone()));
                        types.push(data_type);
                    }
                }
                return Ok(FunctionScan {
                    function: resolved.function,
                    arguments,
                    columns: ids,
                    types,
                    scalar: None,
                });
            }
        }
        let scalar = self.plain_expr(expr, "functions in FROM")?;
        let scalar = self.resolve_unknown(scalar)?;
        let data_type = scalar.data_type();
        let function = match &scalar {
            Expr::Call { function, .. } => *function,
            _ => resolve_function("now", &[], false)?.function,
        };
        // One row of a composite type is its columns.
        if let (Some(template), ast::Expr::Function(_)) = (data_type.row_template(), expr) {
            let names = template.names.as_deref().unwrap_or_default();
            let columns = names
                .iter()
                .zip(template.iter())
                .map(|(name, (t, _))| self.new_column(name, *t, -1, (0, 0), label.clone()));
            return Ok(FunctionScan {
                function,
                arguments: Vec::new(),
                columns: columns.collect(),
                types: template.iter().map(|(data_type, _)| *data_type).collect(),
                scalar: Some(scalar),
            });
        }
        let id = single_name(self, data_type);
        Ok(FunctionScan {
            function,
            arguments: Vec::new(),
            columns: vec![id],
            types: vec![data_type],
            scalar: Some(scalar),
        })
    }

    /// A built-in function that makes rows of the columns which the query says: they are its last argument.
    fn record_scan(
        &mut self,
        arguments: Vec<Expr>,
        found: ResolvedCall,
        definitions: &[ast::ColumnDefinitionItem],
        label: &Arc<str>,
        position: usize,
    ) -> Result<FunctionScan> {
        let Callee::BuiltIn(function) = found.callee else {
            return Err(Error::internal("a column definition list for another function"));
        };
        let mut bound = Vec::with_capacity(arguments.len() + 1);
        for (argument, to) in arguments.into_iter().zip(&found.arguments) {
            bound.push(self.coerce_argument(argument, *to, position)?);
        }
        let mut columns = Vec::with_capacity(definitions.len());
        let mut types = Vec::with_capacity(definitions.len());
        let mut names = Vec::with_capacity(definitions.len());
        for definition in definitions {
            let (data_type, modifier) = super::coerce::type_name(&definition.data_type)?;
            columns.push(self.new_column(&definition.name, data_type, modifier, (0, 0), label.clone()));
            types.push(data_type);
            names.push(definition.name.clone());
        }
        let nulls = types.iter().map(|data_type| (*data_type, Datum::Null)).collect();
        let template = Datum::named_record(nulls, Some(names.into()));
        bound.push(Expr::Constant { value: template, data_type: Type::RECORD });
        Ok(FunctionScan { function, arguments: bound, columns, types, scalar: None })
    }

    /// A user's function in FROM: its rows, or its one value.
    fn routine_scan(
        &mut self,
        expr: Expr,
        definitions: &[ast::ColumnDefinitionItem],
        label: &Arc<str>,
        position: usize,
        single_name: &mut dyn FnMut(&mut Self, Type) -> ColumnId,
    ) -> Result<FunctionScan> {
        let Expr::Routine(mut call) = expr else {
            return Err(Error::internal("a routine's call of another kind"));
        };
        let unknown = call.is_row && call.columns.is_empty();
        if unknown == definitions.is_empty() {
            let message = match unknown {
                true => "a column definition list is required for functions returning \"record\"",
                false => "a column definition list is only allowed for functions returning \"record\"",
            };
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        if unknown {
            let mut columns = Vec::with_capacity(definitions.len());
            for definition in definitions {
                columns.push((definition.name.clone(), super::coerce::type_name(&definition.data_type)?.0));
            }
            call.columns = columns.into();
        }
        let types: Vec<Type> = call.columns.iter().map(|(_, data_type)| *data_type).collect();
        let columns = match call.is_row {
            false => vec![single_name(self, types[0])],
            true => {
                let named = call.columns.clone();
                named.iter().map(|(name, t)| self.new_column(name, *t, -1, (0, 0), label.clone())).collect()
            }
        };
        let function = resolve_function("now", &[], false)?.function;
        let scalar = Some(Expr::Routine(call));
        Ok(FunctionScan { function, arguments: Vec::new(), columns, types, scalar })
    }

    fn join(
        &mut self,
        kind: ast::JoinKind,
        (left_plan, mut left_items): (Logical, Vec<NamedItem>),
        (right_plan, mut right_items): (Logical, Vec<NamedItem>),
        condition: &ast::JoinCondition,
        alias: Option<&ast::Alias>,
        outer: &[NamedItem],
    ) -> Result<(Logical, Vec<NamedItem>)> {
        let kind = match kind {
            ast::JoinKind::Inner | ast::JoinKind::Cross => JoinKind::Inner,
            ast::JoinKind::Left => JoinKind::Left,
            ast::JoinKind::Right => JoinKind::Right,
            ast::JoinKind::Full => JoinKind::Full,
        };
        if matches!(kind, JoinKind::Right | JoinKind::Full)
            && right_plan.free_columns().intersects(&left_plan.output_set())
        {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "invalid reference to FROM-clause entry: the combining JOIN type must be INNER or LEFT for a LATERAL reference",
            ));
        }
        let natural;
        let (using, using_alias) = match condition {
            ast::JoinCondition::Using(names, alias) => (names.as_slice(), alias.as_ref()),
            ast::JoinCondition::Natural => {
                natural = common_names(&left_items, &right_items);
                (natural.as_slice(), None)
            }
            _ => (&[][..], None),
        };
        let mut merged: Vec<NamedColumn> = Vec::new();
        let mut conditions = Vec::new();
        for name in using {
            let left = using_column(&left_items, name, "left")?;
            let right = using_column(&right_items, name, "right")?;
            self.reads(&left);
            self.reads(&right);
            conditions.push(self.operator("=", vec![left.clone(), right.clone()], 0)?);
            let types = [Self::open_type(&left), Self::open_type(&right)];
            let common = crate::functions::common_type(&types, "JOIN/USING")?;
            let left = self.coerce_argument(left, common, 0)?;
            let right = self.coerce_argument(right, common, 0)?;
            let expr = match kind {
                JoinKind::Right => right,
                JoinKind::Full => Expr::Coalesce { arguments: vec![left, right], result: common },
                _ => left,
            };
            merged.push(NamedColumn { name: name.clone(), expr });
        }
        if let ast::JoinCondition::On(on) = condition {
            let mut items = outer.to_vec();
            for item in &mut items {
                item.columns_visible = false;
            }
            items.extend(left_items.iter().cloned());
            items.extend(right_items.iter().cloned());
            self.scopes.push(Scope::new(items));
            let bound = self.condition(on, "JOIN/ON");
            self.scopes.pop();
            conditions.extend(bound?);
        }
        if matches!(kind, JoinKind::Left | JoinKind::Full) {
            right_items.iter_mut().for_each(NamedItem::make_nullable);
        }
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            left_items.iter_mut().for_each(NamedItem::make_nullable);
        }
        let plan = Logical::Join { kind, left: Box::new(left_plan), right: Box::new(right_plan), conditions };
        let sides = || left_items.iter().chain(&right_items);
        if using.is_empty() && alias.is_none() {
            let mut items = left_items;
            items.extend(right_items);
            return Ok((plan, items));
        }
        // The join's own columns: merged ones first, then the rest of both sides.
        let rest = sides()
            .filter(|item| item.columns_visible)
            .flat_map(|item| &item.columns)
            .filter(|column| !using.contains(&column.name))
            .cloned();
        let mut columns: Vec<NamedColumn> = merged.iter().cloned().chain(rest).collect();
        let label: Arc<str> = alias.map_or("", |alias| alias.name.as_str()).into();
        rename(&mut columns, &label, alias)?;
        let own = NamedItem {
            alias: label,
            schema: None,
            columns,
            name_visible: alias.is_some(),
            columns_visible: true,
            locks: Locks::Nothing("a join"),
            table_oid: None,
            row_type: None,
            nullable: false,
        };
        let mut items = vec![own];
        if let Some(using_alias) = using_alias {
            items.push(NamedItem {
                alias: using_alias.as_str().into(),
                schema: None,
                columns: merged,
                name_visible: true,
                columns_visible: false,
                locks: Locks::Nothing("a join"),
                table_oid: None,
                row_type: None,
                nullable: false,
            });
        }
        for mut item in left_items.into_iter().chain(right_items) {
            item.columns_visible = false;
            item.name_visible &= alias.is_none();
            items.push(item);
        }
        Ok((plan, items))
    }
}

/// OFFSET 0
/// What conditions from outside stay above: a function in one could tell what the view below hides.
pub fn fence(input: Logical) -> Logical {
    Logical::Limit { input: Box::new(input), limit: None, offset: Some(no_offset()), ties: None }
}

fn no_offset() -> Expr {
    Expr::Constant { value: crate::types::Datum::Int8(0), data_type: Type::INT8 }
}

pub fn cross(left: Logical, right: Logical) -> Logical {
    match left {
        Logical::OneRow => right,
        left => Logical::Join {
            kind: JoinKind::Inner,
            left: Box::new(left),
            right: Box::new(right),
            conditions: Vec::new(),
        },
    }
}

fn check_duplicate_aliases(left: &[NamedItem], right: &[NamedItem]) -> Result<()> {
    for item in right.iter().filter(|item| item.name_visible && !item.alias.is_empty()) {
        let twice = |other: &&NamedItem| {
            other.name_visible && other.alias == item.alias && other.schema == item.schema
        };
        if left.iter().any(|other| twice(&other)) {
            return Err(Error::new(
                SqlState::DUPLICATE_ALIAS,
                format!("table name \"{}\" specified more than once", item.alias),
            ));
        }
    }
    Ok(())
}

/// Applies `AS t (a, b)`.
pub fn rename(columns: &mut [NamedColumn], label: &str, alias: Option<&ast::Alias>) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    if alias.columns.len() > columns.len() {
        return Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "table \"{label}\" has {} columns available but {} columns specified",
                columns.len(),
                alias.columns.len()
            ),
        ));
    }
    for (column, name) in columns.iter_mut().zip(&alias.columns) {
        column.name = name.clone();
    }
    Ok(())
}

/// `unnest(a, b)` in FROM is short for `ROWS FROM (unnest(a), unnest(b))`.
fn unnest_each(calls: &[FromCall]) -> Cow<'_, [FromCall]> {
    let several = |(expr, definitions): &FromCall| match expr {
        ast::Expr::Function(call) => {
            let name = call.name.parts.iter().map(|part| part.as_str());
            call.arguments.len() > 1
                && definitions.is_empty()
                && (name.clone().eq(["unnest"]) || name.eq(["pg_catalog", "unnest"]))
                && !call.variadic
        }
        _ => false,
    };
    if !calls.iter().any(several) {
        return Cow::Borrowed(calls);
    }
    let mut all = Vec::new();
    for from_call in calls {
        match from_call {
            (ast::Expr::Function(call), _) if several(from_call) => {
                all.extend(call.arguments.iter().map(|argument| {
                    let alone = ast::FunctionCall { arguments: vec![argument.clone()], ..(**call).clone() };
                    (ast::Expr::Function(alone.into()), Vec::new())
                }))
            }
            other => all.push(other.clone()),
        }
    }
    Cow::Owned(all)
}

fn common_names(left: &[NamedItem], right: &[NamedItem]) -> Vec<String> {
    let names = |items: &[NamedItem]| -> Vec<String> {
        items
            .iter()
            .filter(|i| i.columns_visible)
            .flat_map(|i| i.columns.iter().map(|c| c.name.clone()))
            .collect()
    };
    let right = names(right);
    names(left).into_iter().filter(|name| right.contains(name)).collect()
}

fn using_column(items: &[NamedItem], name: &str, side: &str) -> Result<Expr> {
    let mut found = items
        .iter()
        .filter(|item| item.columns_visible)
        .flat_map(|item| &item.columns)
        .filter(|column| column.name == *name);
    let first = found.next().ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )
    })?;
    match found.next() {
        None => Ok(first.expr.clone()),
        Some(_) => Err(Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )),
    }
}
