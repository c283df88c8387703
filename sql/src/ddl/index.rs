//! CREATE INDEX, REINDEX.

use super::{Ddl, constraint, names};
use crate::catalog::{Index, IndexKey, Relation, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{CreateIndex, Expr, ObjectKind, ObjectName};
use serin_txn::RelationLockMode;

impl Ddl<'_> {
    pub(super) fn create_index(&self, create: &CreateIndex) -> Result<()> {
        match create.method.as_deref() {
            None | Some("btree") => {}
            // Equality by an ordered tree is as good.
            Some("hash") => {}
            Some(method) => return Err(Error::unsupported(format!("access method \"{method}\""))),
        }
        if create.predicate.is_some() {
            return Err(Error::unsupported("CREATE INDEX ... WHERE"));
        }
        let table = self.open_table(&create.table, RelationLockMode::Share)?;
        let catalog = self.catalog();
        if let Some(name) = &create.name
            && names::is_relation_name_taken(&catalog, table.schema, name)
        {
            if create.if_not_exists {
                self.notice(format!("relation \"{name}\" already exists, skipping"));
                return Ok(());
            }
            return Err(names::relation_exists(name));
        }
        let mut table = Table::clone(&table);
        let keys = create.columns.iter().map(|column| {
            let Expr::Column(parts, position) = &column.expr else {
                return Err(Error::unsupported("an index on an expression"));
            };
            let name = parts.last().map_or("", |name| name);
            if let Some(class) = &column.operator_class
                && !names::display(class).ends_with("_ops")
            {
                let message = format!("operator class \"{}\" does not exist", names::display(class));
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
            let found = table.column_index(name).ok_or_else(|| {
                let message = format!("column \"{name}\" does not exist");
                Error::new(SqlState::UNDEFINED_COLUMN, message).at(*position)
            })?;
            Ok(IndexKey {
                column: Some(found),
                expression: None,
                descending: column.descending,
                nulls_first: column.nulls_first.unwrap_or(column.descending),
            })
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let include = create.include.iter().map(|name| {
            table.column_index(name).ok_or_else(|| {
                Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
            })
        });
        let include = include.collect::<Result<Vec<_>>>()?;
        let columns: Vec<usize> = keys.iter().filter_map(|key| key.column).collect();
        let joined = constraint::joined(&table, &columns);
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
            hidden: self.keeps_snapshot(),
            predicate: None,
            comment: None,
        });
        self.build_index(&table, table.indexes.len() - 1)?;
        self.put_table(table)?;
        Ok(())
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
            _ => return Err(Error::unsupported("REINDEX of more than one table")),
        };
        for old in tables.iter().filter(|table| !table.is_view()) {
            self.require_owner(old.owner, "table", &old.name)?;
            let mut new = Table::clone(old);
            self.rewrite(old, &mut new, None)?;
            self.put_table(new)?;
        }
        Ok(())
    }
}
