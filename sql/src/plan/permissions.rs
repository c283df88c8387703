//! What a statement must be allowed to do, collected while its names are bound and checked when it starts to run.
//!
//! There is an entry for each relation that the statement mentions, as in PostgreSQL's range table: what it does with the
//! relation, with which columns, and as whom: a view's relations are read with its owner's privileges, everything else with those of
//! the role that runs the statement. A privilege on the relation is worth as much as one on each of its columns; a query that names
//! no column (`count(*)`) needs one on any of them.
//!
//! A plan holds for one version of the catalog, and privileges and memberships are part of that. So a check that has
//! succeeded for a role holds as long as the plan: running it again costs one comparison.
//!
//! PostgreSQL: `ExecCheckRTPerms` in `src/backend/executor/execMain.c`.

use crate::catalog::acl::denied;
use crate::catalog::{Acl, Catalog, ObjectClass, Privileges, ROLE_POSTGRES, Relation, Table};
use crate::error::{Error, Result};
use crate::types::Oid;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is done with one relation.
#[derive(Clone, Debug)]
pub struct RelationUse {
    pub relation: Oid,
    /// The owner of the view that mentions it. None: whoever runs the statement.
    pub check_as: Option<Oid>,
    pub required: Privileges,
    /// Column numbers.
    pub selected: BTreeSet<i16>,
    pub inserted: BTreeSet<i16>,
    pub updated: BTreeSet<i16>,
}

impl RelationUse {
    pub fn new(relation: Oid, check_as: Option<Oid>, required: Privileges) -> RelationUse {
        RelationUse {
            relation,
            check_as,
            required,
            selected: BTreeSet::new(),
            inserted: BTreeSet::new(),
            updated: BTreeSet::new(),
        }
    }
}

#[derive(Default)]
pub struct Permissions {
    pub relations: Vec<RelationUse>,
    /// Users' functions that are called, and built-in ones that not everybody may call.
    pub functions: Vec<Oid>,
    /// The role that was found to have them all; 0: none yet.
    checked: AtomicU32,
}

impl Permissions {
    pub fn new(relations: Vec<RelationUse>, functions: Vec<Oid>) -> Permissions {
        Permissions { relations, functions, checked: AtomicU32::new(0) }
    }

    /// 42501 unless the role has what is needed. `catalog` gives the catalog that the plan was made for.
    #[inline]
    pub fn check<C: AsRef<Catalog>>(&self, role: Oid, catalog: impl FnOnce() -> C) -> Result<()> {
        // The value stands alone: nothing else is published with it.
        if self.checked.load(Ordering::Relaxed) == role {
            return Ok(());
        }
        self.check_now(role, catalog().as_ref())?;
        self.checked.store(role, Ordering::Relaxed);
        Ok(())
    }

    fn check_now(&self, role: Oid, catalog: &Catalog) -> Result<()> {
        for used in &self.relations {
            check_relation(used, used.check_as.unwrap_or(role), catalog)?;
        }
        self.functions.iter().try_for_each(|function| check_function(*function, role, catalog))
    }
}

/// A relation's class, owner and list, and what messages call it.
pub(crate) struct Guarded<'a> {
    pub class: ObjectClass,
    pub acl: Option<&'a Acl>,
    pub owner: Oid,
    pub word: &'static str,
    pub name: &'a str,
}

impl Guarded<'_> {
    /// Privileges and grant options of a role.
    pub fn held(&self, role: Oid, catalog: &Catalog) -> (Privileges, Privileges) {
        catalog.held(role, self.class, self.acl, self.owner)
    }
}

pub(crate) fn guarded<'a>(relation: &'a Relation, catalog: &'a Catalog) -> Guarded<'a> {
    match relation {
        Relation::Table(table) => guarded_table(table),
        Relation::Sequence(sequence) => Guarded {
            class: ObjectClass::Sequence,
            acl: sequence.acl.as_ref(),
            owner: sequence.owner,
            word: "sequence",
            name: &sequence.name,
        },
        Relation::Index(table, at) => Guarded {
            class: ObjectClass::Table,
            acl: None,
            owner: table.owner,
            word: "index",
            name: &table.indexes[*at].name,
        },
        Relation::System(system) => Guarded {
            class: ObjectClass::Table,
            acl: Some(catalog.built_in_acl(ObjectClass::Table, system.oid)),
            owner: ROLE_POSTGRES,
            word: if crate::catalog::system::is_view(system.oid) { "view" } else { "table" },
            name: system.name,
        },
    }
}

pub(crate) fn guarded_table(table: &Table) -> Guarded<'_> {
    Guarded {
        class: ObjectClass::Table,
        acl: table.acl.as_ref(),
        owner: table.owner,
        word: relation_word(table),
        name: &table.name,
    }
}

/// As messages call it.
pub(crate) fn relation_word(table: &Table) -> &'static str {
    match table {
        _ if table.is_materialized() => "materialized view",
        _ if table.is_view() => "view",
        _ => "table",
    }
}

fn column_acl<'a>(relation: &'a Relation, number: i16, catalog: &'a Catalog) -> Option<&'a Acl> {
    match relation {
        Relation::Table(table) => table.columns.iter().find(|column| column.number == number)?.acl.as_ref(),
        Relation::System(system) => catalog.built_in_column_acl(system.oid, number),
        _ => None,
    }
}

/// Numbers of a relation's live columns.
fn column_numbers(relation: &Relation) -> Vec<i16> {
    match relation {
        Relation::Table(table) => {
            table.columns.iter().filter(|column| !column.dropped).map(|column| column.number).collect()
        }
        Relation::System(system) => (1..=system.columns.len() as i16).collect(),
        _ => Vec::new(),
    }
}

/// Whether a role has a privilege on these columns by columns' lists (none given: on any column).
pub(crate) fn has_on_columns(
    relation: &Relation,
    owner: Oid,
    columns: &BTreeSet<i16>,
    wanted: Privileges,
    role: Oid,
    catalog: &Catalog,
) -> bool {
    let has = |number: i16| {
        column_acl(relation, number, catalog)
            .is_some_and(|acl| catalog.held(role, ObjectClass::Column, Some(acl), owner).0.contains(wanted))
    };
    match columns.is_empty() {
        true => column_numbers(relation).into_iter().any(has),
        false => columns.iter().all(|number| has(*number)),
    }
}

pub(crate) fn check_relation(used: &RelationUse, role: Oid, catalog: &Catalog) -> Result<()> {
    // It can only have gone together with the catalog's version.
    let Some(relation) = catalog.relation(used.relation) else { return Ok(()) };
    if let Relation::Table(table) = &relation {
        check_row_security(table, role, catalog)?;
    }
    let object = guarded(&relation, catalog);
    let missing = used.required & !object.held(role, catalog).0;
    if missing.is_empty() {
        return Ok(());
    }
    let by_columns = [
        (Privileges::SELECT, &used.selected),
        (Privileges::INSERT, &used.inserted),
        (Privileges::UPDATE, &used.updated),
    ];
    let on_columns = Privileges::SELECT | Privileges::INSERT | Privileges::UPDATE;
    let allowed = (missing & !on_columns).is_empty()
        && by_columns
            .into_iter()
            .filter(|(wanted, _)| missing.contains(*wanted))
            .all(|(wanted, columns)| has_on_columns(&relation, object.owner, columns, wanted, role, catalog));
    match allowed {
        true => Ok(()),
        false => Err(denied(object.word, object.name)),
    }
}

/// Row-level security without policies shows no rows; until there are policies, whom it applies to is told so.
fn check_row_security(table: &Table, role: Oid, catalog: &Catalog) -> Result<()> {
    let exempt = || {
        let known = catalog.role(role).is_some_and(|role| role.superuser || role.bypass_rls);
        known || (!table.force_row_security && catalog.privileges_of(role).contains(&table.owner))
    };
    match table.row_security && !exempt() {
        true => Err(Error::unsupported(format!("row-level security of table \"{}\"", table.name))),
        false => Ok(()),
    }
}

pub(crate) fn check_function(function: Oid, role: Oid, catalog: &Catalog) -> Result<()> {
    let (word, name, owner, acl) = match catalog.objects().routine(function) {
        Some(routine) => (routine.word(), routine.name.as_str(), routine.owner, routine.acl.as_ref()),
        None => match crate::functions::function_by_oid(function) {
            Some(known) => {
                let acl = catalog.built_in_acl(ObjectClass::Function, function);
                ("function", known.name, ROLE_POSTGRES, Some(acl))
            }
            None => return Ok(()),
        },
    };
    match catalog.held(role, ObjectClass::Function, acl, owner).0.contains(Privileges::EXECUTE) {
        true => Ok(()),
        false => Err(denied(word, name)),
    }
}

/// 42501 unless the role may look things up in the schema.
pub(crate) fn check_schema(schema: &str, role: Oid, catalog: &Catalog) -> Result<()> {
    // A session's temporary schema is its own.
    if schema == "pg_temp" {
        return Ok(());
    }
    let Some(found) = catalog.find_schema(schema) else { return Ok(()) };
    let held = catalog.held(role, ObjectClass::Schema, found.acl.as_ref(), found.owner);
    match held.0.contains(Privileges::USAGE) {
        true => Ok(()),
        false => Err(denied("schema", schema)),
    }
}
