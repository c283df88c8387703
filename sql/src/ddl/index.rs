//! CREATE INDEX, REINDEX.

use super::{Ddl, names};
use crate::bind::Names;
use crate::catalog::system::operator_class_named;
use crate::catalog::{Index, IndexKey, Persistence, Relation, Table};
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr as Bound;
use crate::functions::{CastMethod, Volatility, operator_facts, resolve_operator};
use crate::index::{Method, Part, class_for, class_named};
use crate::parse::ast::{
    AlterTableAction, CreateIndex, Exclusion, Expr, IndexColumn, ObjectKind, ObjectName,
};
use crate::types::Type;
use serin_txn::RelationLockMode;
use std::sync::Arc;

impl Ddl<'_> {
    pub(super) fn create_index(&self, create: &CreateIndex) -> Result<()> {
        let method = method_named(create.method.as_deref())?;
        refuse_unsupported(
            create.unique,
            &create.columns.iter().collect::<Vec<_>>(),
            &create.include,
            method,
        )?;
        let options = index_options(&create.options, method)?;
        let table = self.open_indexed(&create.table, RelationLockMode::Share)?;
        let catalog = self.catalog();
        let schema = catalog.schema(table.schema).map_or(0, |schema| schema.oid);
        super::owner::check_create(&catalog, schema, self.core.role.get())?;
        self.acting_as(table.owner, || self.create_index_on(create, &table, method, options))
    }

    /// As the table's owner, whose index will be maintained by everybody who writes to the table: what its expressions call must not
    /// run with the privileges of who happens to create or rebuild it.
    fn create_index_on(
        &self,
        create: &CreateIndex,
        table: &Arc<Table>,
        method: Method,
        options: Vec<(String, Option<String>)>,
    ) -> Result<()> {
        let mut table = Table::clone(table);
        let keys = create.columns.iter().map(|column| self.index_key(&table, column, method));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let include = included(&table, &create.include)?;
        let predicate = self.index_predicate(&table, create.predicate.as_ref())?;
        if create.unique {
            self.check_unique_covers(
                &table,
                &keys.iter().map(|key| key.column).collect::<Vec<_>>(),
                "UNIQUE",
            )?;
        }
        if create.concurrently && table.is_partitioned() {
            let message = format!("cannot create index on partitioned table \"{}\" concurrently", table.name);
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        // Only now, as in PostgreSQL: what is wrong with the definition is said first.
        if let Some(name) = &create.name
            && names::is_relation_name_taken(&self.catalog(), table.schema, name)
        {
            if create.if_not_exists {
                self.notice_existing(
                    SqlState::DUPLICATE_TABLE,
                    &format!("relation \"{name}\" already exists"),
                );
                return Ok(());
            }
            return Err(names::relation_exists(name));
        }
        let joined = name_parts(&table, &keys).join("_");
        let name = self.index_name(&table, create.name.as_deref(), Some(&joined), "idx")?;
        let oid = self.new_oid()?;
        self.take_relation_name(table.schema, &name, oid)?;
        table.indexes.push(Index {
            oid,
            name,
            tree: self.create_tree()?.id(),
            keys,
            include,
            unique: create.unique,
            primary: false,
            clustered: false,
            nulls_not_distinct: create.nulls_not_distinct,
            deferrable: false,
            exclusion: Vec::new(),
            hidden: self.keeps_snapshot(),
            method,
            options,
            predicate,
            parent: 0,
            comment: None,
        });
        self.build_index(&table, table.indexes.len() - 1)?;
        let table = self.put_table(table)?;
        for &child in table.inheritance.children.iter().filter(|_| table.is_partitioned() && !create.only) {
            self.lock(child, RelationLockMode::Share)?;
            self.ensure_index(table.oid, oid, child)?;
        }
        Ok(())
    }

    fn index_predicate(&self, table: &Table, predicate: Option<&(Expr, String)>) -> Result<Option<String>> {
        let Some((expr, text)) = predicate else { return Ok(None) };
        let bound = self.with_plan_context(|context| {
            crate::bind::table_expression(expr, table, Some((Type::BOOL, -1)), context)
        })?;
        require_immutable(bound, "predicate")?;
        Ok(Some(self.spelled_out(text, Names::Table(table), Some((Type::BOOL, -1)))?))
    }

    /// Appends the index of an EXCLUDE constraint under its own name or one made up, with a fresh tree. Answers its position.
    pub(super) fn push_exclusion_index(
        &self,
        table: &mut Table,
        given: Option<&str>,
        exclusion: &Exclusion,
    ) -> Result<usize> {
        if table.is_partitioned() {
            let message = "exclusion constraints are not supported on partitioned tables";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let method = method_named(exclusion.method.as_deref())?;
        if method == Method::Gin {
            let message = "access method \"gin\" does not support exclusion constraints";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let columns: Vec<&IndexColumn> = exclusion.elements.iter().map(|(column, _)| column).collect();
        refuse_unsupported(false, &columns, &exclusion.include, method)?;
        let options = index_options(&exclusion.options, method)?;
        let include = included(table, &exclusion.include)?;
        let predicate = self.index_predicate(table, exclusion.predicate.as_ref())?;
        let mut keys = Vec::with_capacity(exclusion.elements.len());
        let mut operators = Vec::with_capacity(exclusion.elements.len());
        for (column, operator) in &exclusion.elements {
            if let Expr::Column(parts, _) = &column.expr
                && let [name] = &parts[..]
                && table.column_index(name).is_none()
            {
                let message = format!("column \"{name}\" named in key does not exist");
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
            }
            let key = self.index_key(table, column, method)?;
            operators.push(self.exclusion_operator(table, &key, operator, method)?);
            keys.push(key);
        }
        let joined = name_parts(table, &keys).join("_");
        let name = self.index_name(table, given, Some(&joined), "excl")?;
        let tree = self.create_tree()?.id();
        let position = self.push_index(table, name, &[], include, false)?;
        let index = &mut table.indexes[position];
        index.tree = tree;
        (index.keys, index.method, index.exclusion) = (keys, method, operators);
        (index.options, index.predicate) = (options, predicate);
        Ok(position)
    }

    /// After columns have got other types: the operators of the same names.
    pub(super) fn renew_exclusion_operators(&self, table: &mut Table) -> Result<()> {
        for position in 0..table.indexes.len() {
            let index = &table.indexes[position];
            let name =
                |oid| operator_facts().iter().find(|fact| fact.oid == oid).map_or("=", |fact| fact.name);
            let elements = index.keys.iter().zip(&index.exclusion);
            let renewed = elements
                .map(|(key, operator)| self.exclusion_operator(table, key, name(*operator), index.method))
                .collect::<Result<_>>()?;
            table.indexes[position].exclusion = renewed;
        }
        Ok(())
    }

    /// The operator of one element: it has to be its own commutator, and known to the element's operator class.
    fn exclusion_operator(
        &self,
        table: &Table,
        key: &IndexKey,
        operator: &str,
        method: Method,
    ) -> Result<crate::types::Oid> {
        let data_type = match (key.column, &key.expression) {
            (Some(column), _) => table.columns[column].data_type(),
            (None, text) => {
                let parsed = crate::parse::parse_expression(text.as_deref().unwrap_or_default())?;
                self.with_plan_context(|context| {
                    crate::bind::table_expression(&parsed, table, None, context)
                })?
                .data_type()
            }
        };
        let of = data_type.base();
        let resolved = resolve_operator(operator, &[Some(of), Some(of)])?;
        let operator = if operator == "!=" { "<>" } else { operator };
        let fact = operator_facts().iter().find(|fact| {
            fact.function == resolved.function.oid && fact.name == operator && fact.left.is_some()
        });
        let fact = fact.ok_or_else(|| Error::internal("an operator without its facts"))?;
        let shown =
            || format!("{operator}({},{})", fact.left.unwrap_or(fact.right).display(), fact.right.display());
        if fact.commutator != fact.oid {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("operator {} is not commutative", shown()),
            )
            .detail("Only commutative operators can be used in exclusion constraints."));
        }
        let catalog = self.catalog();
        let part = class_for(method, key.operator_class.as_deref(), data_type, |extension| {
            catalog.find_extension(extension).is_some()
        });
        let is_known = match (method, part) {
            (Method::Btree, _) => operator == "=",
            (_, Ok(Part::Scalar)) => matches!(operator, "=" | "<>"),
            (_, Ok(Part::Items(class))) => class.knows(operator),
            (_, Err(error)) => return Err(error),
        };
        if !is_known {
            let family = crate::catalog::system::operator_family(method, key.operator_class.as_deref(), of);
            let message = format!("operator {} is not a member of operator family \"{family}\"", shown());
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).detail(
                "The exclusion operator must be related to the index operator class for the constraint.",
            ));
        }
        Ok(fact.oid)
    }

    /// ALTER INDEX … SET and RESET.
    pub(super) fn alter_index_options(
        &self,
        table: &Arc<Table>,
        position: usize,
        action: &AlterTableAction,
    ) -> Result<()> {
        let mut changed = Table::clone(table);
        let index = &mut changed.indexes[position];
        match action {
            AlterTableAction::SetOptions(options) => {
                for (name, value) in index_options(options, index.method)? {
                    index.options.retain(|(known, _)| *known != name);
                    index.options.push((name, value));
                }
            }
            AlterTableAction::ResetOptions(names) => {
                index.options.retain(|(known, _)| !names.contains(known));
            }
            _ => return Ok(()),
        }
        self.put_table(changed).map(drop)
    }

    /// Of a schema, or of the current database: the user's own tables, each locked.
    fn tables_to_reindex(&self, object: ObjectKind, name: &ObjectName) -> Result<Vec<Arc<Table>>> {
        let catalog = self.catalog();
        let given = names::display(name);
        let schema = match object {
            ObjectKind::Schema => {
                let schema = catalog.find_schema(&given).ok_or_else(|| names::no_schema(&given))?;
                self.require_owner(schema.owner, "schema", &given)?;
                Some(schema.oid)
            }
            _ if given.is_empty() || given == catalog.database().name => {
                let database = catalog.database();
                self.require_owner(database.owner, "database", &database.name)?;
                None
            }
            _ => {
                let message = "can only reindex the currently open database";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
        };
        let mut found = Vec::new();
        for table in catalog.tables().filter(|table| !table.is_view()) {
            let is_wanted = schema.is_none_or(|schema| table.schema == schema);
            let is_own = catalog.has_privileges_of(self.core.role.get(), table.owner);
            // Other sessions' temporary tables are theirs.
            let is_theirs = table.persistence == Persistence::Temporary
                && Some(table.schema) != self.core.temporary_schema.get();
            if is_wanted && is_own && !is_theirs {
                self.lock(table.oid, RelationLockMode::AccessExclusive)?;
                found.extend(self.catalog().table(table.oid));
            }
        }
        Ok(found)
    }

    pub(super) fn index_key(&self, table: &Table, column: &IndexColumn, method: Method) -> Result<IndexKey> {
        let (found, expression, data_type) = match &column.expr {
            Expr::Column(parts, position) if parts.len() == 1 => {
                let found = table.column_index(&parts[0]).ok_or_else(|| {
                    let message = format!("column \"{}\" does not exist", parts[0]);
                    Error::new(SqlState::UNDEFINED_COLUMN, message).at(*position)
                })?;
                (Some(found), None, Type(table.columns[found].data_type))
            }
            expr => {
                let bound = self
                    .with_plan_context(|context| crate::bind::table_expression(expr, table, None, context))?;
                let data_type = bound.data_type();
                require_immutable(bound, "expression")?;
                (None, Some(self.spelled_out(&column.text, Names::Table(table), None)?), data_type)
            }
        };
        let operator_class = match &column.operator_class {
            Some(name) => own_operator_class(name, data_type, method)?,
            None => None,
        };
        if method == Method::Btree && !data_type.has_order() {
            return Err(crate::index::no_class(method, data_type));
        }
        if method != Method::Btree {
            let catalog = self.catalog();
            class_for(method, operator_class.as_deref(), data_type, |extension| {
                catalog.find_extension(extension).is_some()
            })?;
        }
        Ok(IndexKey {
            column: found,
            expression,
            operator_class,
            descending: column.descending,
            nulls_first: column.nulls_first.unwrap_or(column.descending),
        })
    }

    pub(super) fn reindex(&self, object: ObjectKind, name: &ObjectName) -> Result<()> {
        let tables = match object {
            ObjectKind::Index | ObjectKind::Table => {
                match self.open_relation(name, RelationLockMode::AccessExclusive)? {
                    Some(Relation::Table(table) | Relation::Index(table, _)) => vec![table],
                    Some(Relation::Sequence(_) | Relation::System(_)) => {
                        return Err(names::wrong_kind(name, "a table or index"));
                    }
                    None => return Err(names::no_relation(name)),
                }
            }
            _ => self.tables_to_reindex(object, name)?,
        };
        for old in tables.iter().filter(|table| !table.is_view()) {
            self.require_owner(old.owner, "table", &old.name)?;
            let mut new = Table::clone(old);
            self.acting_as(old.owner, || self.rewrite(old, &mut new, None))?;
            self.put_table(new)?;
        }
        Ok(())
    }
}

fn method_named(name: Option<&str>) -> Result<Method> {
    match name {
        // Equality by an ordered tree is as good as by hashes.
        None | Some("btree" | "hash") => Ok(Method::Btree),
        Some("gin") => Ok(Method::Gin),
        Some("gist") => Ok(Method::Gist),
        Some(method @ ("brin" | "spgist")) => Err(Error::unsupported(format!("access method \"{method}\""))),
        Some(method) => {
            let message = format!("access method \"{method}\" does not exist");
            Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
        }
    }
}

fn included(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    let position = |name: &String| {
        table.column_index(name).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
        })
    };
    names.iter().map(position).collect()
}

/// What only B-trees can.
fn refuse_unsupported(
    unique: bool,
    columns: &[&IndexColumn],
    include: &[String],
    method: Method,
) -> Result<()> {
    if method == Method::Btree {
        return Ok(());
    }
    let ordered = columns.iter().find_map(|column| match (column.descending, column.nulls_first) {
        (true, _) => Some("ASC/DESC"),
        (false, Some(_)) => Some("NULLS FIRST/LAST"),
        (false, None) => None,
    });
    let lacking = match ordered {
        _ if unique => "unique indexes",
        _ if method == Method::Gin && !include.is_empty() => "included columns",
        Some(order) => {
            let message = format!("access method \"{}\" does not support {order} options", method.name());
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        None => return Ok(()),
    };
    let message = format!("access method \"{}\" does not support {lacking}", method.name());
    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
}

/// WITH (…): parameters that the method has. They mean nothing to a store that has its own ways, but are shown again.
pub(super) fn index_options(
    given: &[(String, Option<String>)],
    method: Method,
) -> Result<Vec<(String, Option<String>)>> {
    let mut options: Vec<(String, Option<String>)> = Vec::with_capacity(given.len());
    for (name, value) in given {
        let invalid = |value: &str, kind: &str| {
            let message = match kind {
                "boolean" => format!("invalid value for boolean option \"{name}\": {value}"),
                "buffering" => format!("invalid value for enum option \"{name}\": {value}"),
                _ => format!("invalid value for integer option \"{name}\": {value}"),
            };
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        };
        let text = value.as_deref().unwrap_or("true");
        let is_boolean = || {
            let word = text.to_ascii_lowercase();
            matches!(
                &word[..],
                "on" | "off" | "true" | "false" | "yes" | "no" | "1" | "0" | "t" | "f" | "y" | "n"
            )
        };
        let bounds = match (method, &name[..]) {
            (Method::Btree, "deduplicate_items") | (Method::Gin, "fastupdate") => {
                if !is_boolean() {
                    return Err(invalid(text, "boolean"));
                }
                None
            }
            (Method::Gist, "buffering") => {
                if !matches!(text, "on" | "off" | "auto") {
                    return Err(invalid(text, "buffering"));
                }
                None
            }
            (Method::Btree, "fillfactor") => Some((10, 100)),
            (Method::Gist, "fillfactor") => Some((10, 100)),
            (Method::Gin, "gin_pending_list_limit") => Some((64, i64::from(i32::MAX))),
            _ => {
                let message = format!("unrecognized parameter \"{name}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        };
        if let Some((least, greatest)) = bounds {
            let number: i64 = text.parse().map_err(|_| invalid(text, "integer"))?;
            if !(least..=greatest).contains(&number) {
                let message = format!("value {text} out of bounds for option \"{name}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    .detail(format!("Valid values are between \"{least}\" and \"{greatest}\".")));
            }
        }
        options.retain(|(known, _)| known != name);
        options.push((name.clone(), value.clone()));
    }
    Ok(options)
}

/// A value that changed by itself would leave its index entry behind.
fn require_immutable(mut bound: Bound, what: &str) -> Result<()> {
    // The text of most types depends on no setting; of dates and times it does.
    fn strip(expr: &Bound) -> Option<Bound> {
        match expr {
            Bound::Cast { operand, method: CastMethod::InputOutput, to, modifier, explicit }
                if !matches!(operand.data_type().category(), 'D' | 'T')
                    && !matches!(to.category(), 'D' | 'T') =>
            {
                let mut operand = operand.clone();
                operand.rewrite(&mut strip);
                Some(Bound::Cast {
                    operand,
                    method: CastMethod::Relabel,
                    to: *to,
                    modifier: *modifier,
                    explicit: *explicit,
                })
            }
            _ => None,
        }
    }
    bound.rewrite(&mut strip);
    if bound.has_subquery() {
        let message = format!("cannot use subquery in index {what}");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    if bound.volatility() != Volatility::Immutable {
        let message = format!("functions in index {what} must be marked IMMUTABLE");
        return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
    }
    Ok(())
}

/// What a made-up name is made of: columns, the function that an expression calls, `expr` for any other.
pub(crate) fn name_parts(table: &Table, keys: &[IndexKey]) -> Vec<String> {
    let part = |key: &IndexKey| match (&key.column, &key.expression) {
        (Some(column), _) => table.columns[*column].name.clone(),
        (None, text) => match crate::parse::parse_expression(text.as_deref().unwrap_or("")) {
            Ok(Expr::Function(call)) => call.name.parts.last().cloned().unwrap_or_default(),
            Ok(Expr::Coalesce(..)) => "coalesce".into(),
            _ => "expr".into(),
        },
    };
    let mut parts: Vec<String> = Vec::with_capacity(keys.len());
    for key in keys {
        // As ChooseIndexColumnNames: a name that is taken gets a number.
        let name = part(key);
        let mut candidate = name.clone();
        let mut number = 1;
        while parts.contains(&candidate) {
            candidate = format!("{name}{number}");
            number += 1;
        }
        parts.push(candidate);
    }
    parts
}

/// The operator class that an index names, unless it is its type's default. Those of btree all order by the type's order here: the
/// collation is C everywhere, which is what `text_pattern_ops` and its kin are for.
pub(super) fn own_operator_class(
    name: &ObjectName,
    data_type: Type,
    method: Method,
) -> Result<Option<String>> {
    if method != Method::Btree {
        return own_class_of_items(name, data_type, method);
    }
    let shown = names::display(name);
    let found = match &name.parts[..] {
        [class] => operator_class_named(class),
        [schema, class] if schema == "pg_catalog" => operator_class_named(class),
        _ => None,
    };
    let Some(class) = found else {
        let message = format!("operator class \"{shown}\" does not exist for access method \"btree\"");
        return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
    };
    let text = |of: Type| if of == Type::VARCHAR { Type::TEXT } else { of };
    let accepts = match class.data_type {
        Type::ANYARRAY => data_type.is_array(),
        of => text(of) == text(data_type) || data_type.is_pseudo() || of.is_pseudo(),
    };
    if !accepts {
        let message = format!("operator class \"{shown}\" does not accept data type {}", data_type.display());
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    Ok((!class.is_default).then(|| class.name.to_owned()))
}

/// As [`own_operator_class`], for GIN and GiST.
fn own_class_of_items(name: &ObjectName, data_type: Type, method: Method) -> Result<Option<String>> {
    let shown = names::display(name);
    let found = match &name.parts[..] {
        [class] | [_, class] => class_named(method, class),
        _ => None,
    };
    let Some(class) = found else {
        let message =
            format!("operator class \"{shown}\" does not exist for access method \"{}\"", method.name());
        return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
    };
    if !class.accepts(data_type) {
        let message = format!("operator class \"{shown}\" does not accept data type {}", data_type.display());
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    Ok((!class.is_default).then(|| class.name.to_owned()))
}
