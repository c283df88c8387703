//! CREATE [OR REPLACE] VIEW. A view is a table descriptor with a query's text in place of a tree.

use super::create_table::push_plain_column;
use super::{Ddl, names};
use crate::catalog::{Index, ObjectClass, Persistence, Relation, SimpleView, Table, ViewName};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{Name, ObjectName, Query, StatementKind};
use crate::plan::logical::TableName;
use crate::types::Type;
use serin_storage::TreeId;
use serin_txn::RelationLockMode;
use std::sync::Arc;

impl Ddl<'_> {
    pub(super) fn create_view(
        &self,
        (name, columns): (&ObjectName, &[Name]),
        (replace, temporary): (bool, bool),
        options: &[(String, Option<String>)],
        query: &Query,
        text: &str,
    ) -> Result<()> {
        let statement = StatementKind::Query(Box::new(query.clone()));
        let text = &*self.spelled_out_query(text)?;
        let catalog = self.catalog();
        let plan = crate::session::plan_statement(&statement, &[], &catalog, self.core, self.eval)?;
        let fields = plan.fields.clone().unwrap_or_default();
        if columns.len() > fields.len() {
            let message = "CREATE VIEW specifies more column names than columns";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        for &(relation, mode) in &plan.relations {
            self.lock(relation, mode)?;
        }
        let (schema, name) = self.new_relation_name(name, temporary)?;
        let mut view = Table {
            row_type: self.new_oid()?,
            row_array_type: self.new_oid()?,
            oid: 0,
            database: self.core.database_oid,
            schema: schema.oid,
            name: name.clone(),
            owner: self.core.role.get(),
            persistence: if temporary { Persistence::Temporary } else { Persistence::Permanent },
            unlogged: false,
            tree: TreeId(0),
            columns: Vec::new(),
            primary_key: Vec::new(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            triggers: Vec::new(),
            options: view_options(options)?,
            comment: None,
            acl: self.new_acl(ObjectClass::Table, schema.oid)?,
            view: Some(text.to_string()),
            view_names: self.view_names(text)?,
            simple_view: None,
            populated: None,
            statistics: None,
            depends_on: plan.relations[..plan.named].iter().map(|&(relation, _)| relation).collect(),
            inheritance: Default::default(),
            row_security: false,
            force_row_security: false,
            shape: Default::default(),
            routing: Default::default(),
            trees_since: 0,
        };
        for (position, field) in fields.iter().enumerate() {
            let name = columns.get(position).unwrap_or(&field.name);
            super::column::check_name(&view, name)?;
            let data_type = if field.data_type == Type::UNKNOWN { Type::TEXT } else { field.data_type };
            push_plain_column(&mut view, name, data_type, field.type_modifier)?;
        }
        match catalog.find_in_schema(schema.oid, &name) {
            Some(Relation::Table(old)) if replace && old.is_view() => {
                self.require_owner(old.owner, "view", &name)?;
                self.lock(old.oid, RelationLockMode::AccessExclusive)?;
                check_replacement(&old, &view)?;
                view.oid = old.oid;
                view.owner = old.owner;
                view.acl.clone_from(&old.acl);
                view.comment.clone_from(&old.comment);
            }
            Some(Relation::Table(old)) if replace && !old.is_view() => {
                let message = format!("\"{name}\" is not a view");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            Some(_) => return Err(names::relation_exists(&name)),
            None => {
                view.oid = self.new_oid()?;
                self.lock(view.oid, RelationLockMode::AccessExclusive)?;
                self.take_relation_name(schema.oid, &name, view.oid)?;
            }
        }
        self.put_view(view)
    }

    /// Writes a view, with what is known of it once it has its columns.
    pub(super) fn put_view(&self, mut view: Table) -> Result<()> {
        view.simple_view = self.simple_view(&view)?;
        self.put_table(view)?;
        Ok(())
    }

    /// What an automatically updatable view stands for. CHECK OPTION requires it to be one.
    pub(super) fn simple_view(&self, view: &Table) -> Result<Option<SimpleView>> {
        let this = Arc::new(view.clone());
        self.with_plan_context(|context| match view.check_option() {
            None => crate::bind::target::simple_view(&this, context),
            Some(_) => match crate::bind::target::bind_simple_view(&this, context) {
                Ok(simple) => Ok(Some(simple)),
                Err(error) => Err(no_check_option(error)),
            },
        })
    }

    /// What the names in a view's query mean now.
    pub(super) fn view_names(&self, text: &str) -> Result<Vec<ViewName>> {
        let parsed = crate::parse::parse(text)?;
        let Some(statement) = parsed.first() else { return Ok(Vec::new()) };
        let bound =
            self.with_plan_context(|context| crate::bind::statement(&statement.kind, &[], context))?;
        let name = |name: &TableName| ViewName::new(text, name.position, name.relation, name.aliased);
        let mut names: Vec<ViewName> = bound.names.iter().map(name).collect();
        names.sort_by_key(|name| name.at);
        names.dedup();
        Ok(names)
    }

    /// REFRESH MATERIALIZED VIEW: the query's rows as of now in new trees. CONCURRENTLY is not: it needs what PostgreSQL needs for it,
    /// but readers wait.
    pub(super) fn refresh_materialized_view(
        &self,
        name: &ObjectName,
        concurrently: bool,
        with_data: bool,
    ) -> Result<()> {
        let may = |found: &Relation| match found {
            Relation::Table(table) => self.require_owner(table.owner, "materialized view", &table.name),
            _ => Ok(()),
        };
        let old = match self.open_relation_if(name, RelationLockMode::AccessExclusive, may)? {
            Some(Relation::Table(table)) if table.is_materialized() => table,
            Some(_) => {
                let message = format!("\"{}\" is not a materialized view", names::display(name));
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            None => return Err(names::no_relation(name)),
        };
        self.acting_as(old.owner, || self.refresh(&old, concurrently, with_data))
    }

    /// With the owner's privileges, whoever of its members asked for it.
    fn refresh(&self, old: &Arc<Table>, concurrently: bool, with_data: bool) -> Result<()> {
        if concurrently {
            self.check_concurrent_refresh(old, with_data)?;
        }
        let catalog = self.catalog();
        let text = old.query_text(&catalog, |_| false).unwrap_or_default();
        let parsed = crate::parse::parse(&text)?;
        let query = &parsed.first().ok_or_else(|| Error::internal("a view without a query"))?.kind;
        let plan = crate::session::plan_statement(query, &[], &catalog, self.core, self.eval)?;
        for &(relation, mode) in &plan.relations {
            self.lock(relation, mode)?;
        }
        self.core.check_permissions(&plan)?;
        let mut new = Table::clone(old);
        self.fresh_trees(&mut new)?;
        self.drop_trees(old)?;
        new.statistics = None;
        new.populated = Some(with_data);
        let new = self.put_table(new)?;
        if with_data {
            self.fill_from(&new, plan)?;
        }
        Ok(())
    }

    fn check_concurrent_refresh(&self, view: &Table, with_data: bool) -> Result<()> {
        if !with_data {
            let message = "CONCURRENTLY and WITH NO DATA options cannot be used together";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        if view.populated == Some(false) {
            let message = "CONCURRENTLY cannot be used when the materialized view is not populated";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let covers = |index: &Index| {
            index.unique && index.predicate.is_none() && index.keys.iter().all(|key| key.column.is_some())
        };
        if !view.indexes.iter().any(covers) {
            let schema = self.catalog().schema(view.schema).map_or_else(String::new, |s| s.name.clone());
            let name =
                format!("{}.{}", names::quote_identifier(&schema), names::quote_identifier(&view.name));
            let message = format!("cannot refresh materialized view \"{name}\" concurrently");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(
                "Create a unique index with no WHERE clause on one or more columns of the materialized view.",
            ));
        }
        Ok(())
    }
}

/// The options of a view, with what they are set to.
pub(super) fn view_options(options: &[(String, Option<String>)]) -> Result<Vec<(String, Option<String>)>> {
    let mut found = Vec::with_capacity(options.len());
    for (name, value) in options {
        match name.as_str() {
            "security_invoker" | "security_barrier" => {
                let text = value.as_deref().unwrap_or("true");
                if crate::session::core::parse_bool(text).is_none() {
                    let message = format!("invalid value for boolean option \"{name}\": {text}");
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                found.push((name.clone(), Some(text.to_owned())));
            }
            "check_option" => {
                let text = value.as_deref().unwrap_or("true").to_lowercase();
                if text != "local" && text != "cascaded" {
                    let shown = value.as_deref().unwrap_or("true");
                    let message = format!("invalid value for enum option \"check_option\": {shown}");
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                        .detail("Valid values are \"local\" and \"cascaded\"."));
                }
                found.push((name.clone(), Some(text)));
            }
            other => {
                let message = format!("unrecognized parameter \"{other}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        }
    }
    Ok(found)
}

fn no_check_option(error: Error) -> Error {
    if error.state() != SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE {
        return error;
    }
    let message = "WITH CHECK OPTION is supported only on automatically updatable views";
    let reason = error.fields().detail.clone().unwrap_or_default();
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(reason)
}

/// OR REPLACE may only add columns at the end.
fn check_replacement(old: &Table, new: &Table) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
    if new.columns.len() < old.columns.len() {
        return invalid("cannot drop columns from view".to_string());
    }
    for (old, new) in old.columns.iter().zip(&new.columns) {
        if old.name != new.name {
            return invalid(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                old.name, new.name
            ));
        }
        if old.data_type != new.data_type || old.modifier != new.modifier {
            let display = |column: &crate::catalog::Column| {
                crate::types::format_type(column.data_type(), column.modifier)
            };
            return invalid(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name,
                display(old),
                display(new)
            ));
        }
    }
    Ok(())
}
