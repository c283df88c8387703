//! What types that users have made look like, for code that has nothing but a type's OID.
//!
//! A [`Type`] is its OID. For a built-in one everything else follows from tables in the program; for others it is in the catalog, as the
//! statement that is running sees it. Passing a catalog to everything that formats a value or names a type in an error would make each
//! signature about it, so (as PostgreSQL does with its type cache) it is ambient: a session *enters* its catalog and search path
//! on the thread that runs it, before it runs anything, and again whenever they change. What was entered last on a thread is the
//! session that is running there; without it, only built-in types are known. The thread does not own what it was told of: a
//! session that ends takes its catalog (and the store under it) with it.

use super::{Oid, Record, Type};
use crate::catalog::user_type::{TypeInfo, TypeKind, UserType};
use crate::catalog::{Catalog, FIRST_USER_OID};
use crate::error::{Error, Result, SqlState};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

struct Scope {
    catalog: Weak<Catalog>,
    path: Arc<[String]>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Makes types be what this catalog says, on this thread, until another is entered.
pub(crate) fn enter(catalog: &Arc<Catalog>, path: &Arc<[String]>) {
    SCOPE.with_borrow_mut(|scope| match scope {
        Some(scope) if is(&scope.catalog, catalog) && Arc::ptr_eq(&scope.path, path) => {}
        scope => *scope = Some(Scope { catalog: Arc::downgrade(catalog), path: path.clone() }),
    });
}

/// A new catalog under the search path that was entered.
pub(crate) fn enter_catalog(catalog: &Arc<Catalog>) {
    SCOPE.with_borrow_mut(|scope| match scope {
        Some(scope) if is(&scope.catalog, catalog) => {}
        Some(scope) => scope.catalog = Arc::downgrade(catalog),
        None => *scope = Some(Scope { catalog: Arc::downgrade(catalog), path: Arc::from([]) }),
    });
}

/// A weak reference keeps the address taken, so equal addresses are the same catalog.
fn is(entered: &Weak<Catalog>, catalog: &Arc<Catalog>) -> bool {
    std::ptr::eq(entered.as_ptr(), Arc::as_ptr(catalog))
}

fn with<R>(read: impl FnOnce(&Catalog, &[String]) -> Option<R>) -> Option<R> {
    SCOPE.with_borrow(|scope| {
        let scope = scope.as_ref()?;
        read(&*scope.catalog.upgrade()?, &scope.path)
    })
}

/// None: not a user's type, or unknown.
pub(super) fn info(oid: Oid) -> Option<TypeInfo> {
    if oid < FIRST_USER_OID {
        return None;
    }
    with(|catalog, _| catalog.type_info(oid))
}

/// What a type that users made is; None: it is built in.
pub(crate) fn type_info(data_type: Type) -> Option<TypeInfo> {
    info(data_type.0)
}

pub(crate) fn find(oid: Oid) -> Option<Arc<UserType>> {
    if oid < FIRST_USER_OID {
        return None;
    }
    with(|catalog, _| catalog.user_type(oid))
}

/// By name: in a schema, or along the search path.
pub(crate) fn named(schema: Option<&str>, name: &str) -> Option<Type> {
    with(|catalog, path| catalog.find_type(schema, name, path)).map(Type)
}

/// Whether a name in this schema (none: along the search path) can mean a function or an operator that the program has: those of
/// an extension are where the extension is, the others in pg_catalog.
pub(crate) fn is_found(oid: Oid, schema: Option<&str>) -> bool {
    if !crate::extension::is_of_extension(oid) {
        return matches!(schema, None | Some("pg_catalog" | "information_schema"));
    }
    let found = with(|catalog, path| {
        let home = &catalog.schema(catalog.schema_of_built_in(oid)?)?.name;
        Some(match schema {
            Some(schema) => schema == home,
            None => home == "pg_catalog" || path.contains(home),
        })
    });
    found.unwrap_or(false)
}

/// The type of an array of these.
pub(super) fn array_of(oid: Oid) -> Option<Type> {
    if oid < FIRST_USER_OID {
        return None;
    }
    with(|catalog, _| catalog.array_type(oid)).map(Type)
}

/// pg_type.typname, and the schema if the search path does not lead to the type.
pub(super) fn name(oid: Oid) -> Option<(Option<String>, String)> {
    with(|catalog, path| {
        let (schema, name) = catalog.type_name(oid)?;
        let visible = catalog.find_type(None, &name, path) == Some(oid);
        let schema = catalog.schema(schema).filter(|_| !visible).map(|schema| schema.name.clone());
        Some((schema, name))
    })
}

/// What regclass calls a relation; None: it isn't one, or not of that type.
pub(crate) fn object_name(oid: Oid, data_type: Type) -> Option<String> {
    if data_type != Type::REGCLASS {
        return None;
    }
    with(|catalog, path| crate::catalog::system::deparse::relation_name(catalog, oid, path))
}

/// A row of nulls with the names and types of a composite type's (or a table's) columns.
pub(super) fn template(oid: Oid) -> Option<Record> {
    if oid < FIRST_USER_OID {
        return None;
    }
    with(|catalog, _| catalog.row_template(oid))
}

/// A function's name, with its schema where the search path does not lead to it.
pub(crate) fn routine_name(routine: &crate::catalog::Routine) -> String {
    let shown =
        with(|catalog, path| Some(crate::catalog::system::deparse::routine_name(catalog, routine, path)));
    shown.unwrap_or_else(|| crate::parse::quote_identifier(&routine.name))
}

impl Type {
    pub fn is_enum(self) -> bool {
        info(self.0) == Some(TypeInfo::Enum)
    }
    /// A composite type, or a table's row type.
    pub fn is_row(self) -> bool {
        info(self.0) == Some(TypeInfo::Row)
    }
    pub fn is_domain(self) -> bool {
        matches!(info(self.0), Some(TypeInfo::Domain(..)))
    }
    /// What a domain is over in the end, any other type itself.
    pub fn base(self) -> Type {
        let mut at = self;
        while let Some(TypeInfo::Domain(base, _)) = info(at.0) {
            at = base;
        }
        at
    }
    /// The modifier that values of a domain obey; -1: none, or no domain.
    pub fn base_modifier(self) -> i32 {
        let mut at = self;
        while let Some(TypeInfo::Domain(base, modifier)) = info(at.0) {
            if modifier != -1 {
                return modifier;
            }
            at = base;
        }
        -1
    }
    /// Whether values may have to be looked at for a domain's sake: a domain, or a type that may hold values of one.
    pub fn may_hold_domains(self) -> bool {
        match self.0 < FIRST_USER_OID {
            true => false,
            false => !self.is_enum(),
        }
    }
    /// Refuses what would make values of a row type hold values of the same type.
    pub(crate) fn check_not_within(self, row: Type) -> Result<()> {
        let mut pending = vec![self];
        let mut seen = Vec::new();
        while let Some(next) = pending.pop() {
            if next == row && row.0 != 0 {
                let message = format!("composite type {} cannot be made a member of itself", row.display());
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            if next.0 < FIRST_USER_OID || seen.contains(&next) {
                continue;
            }
            seen.push(next);
            pending.extend(next.element());
            pending.extend(next.range_element());
            pending.extend(Some(next.base()).filter(|base| *base != next));
            if let Some(template) = template(next.0) {
                pending.extend(template.iter().map(|field| field.0));
            }
        }
        Ok(())
    }
    /// A built-in type whose values are stored in the same way: what stays of a column's type when the column is dropped.
    pub fn as_stored(self) -> Type {
        match self.0 < FIRST_USER_OID {
            true => self,
            false if self.is_domain() => self.base().as_stored(),
            false if self.is_enum() => Type::INT8,
            // Of variable width, and not looked into.
            false => Type::BYTEA,
        }
    }
    /// The name of a field of a composite type.
    pub fn field_name(self, index: usize) -> Option<String> {
        self.row_template()?.names?.get(index).cloned()
    }
    /// A row of nulls with a composite type's names and types.
    pub fn row_template(self) -> Option<Record> {
        template(self.base().0)
    }
    /// The labels of an enum with their positions, in order.
    pub fn labels(self) -> Vec<(String, i64)> {
        match find(self.0).as_deref() {
            Some(UserType { kind: TypeKind::Enum(labels), .. }) => {
                labels.iter().map(|label| (label.name.clone(), label.position)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The label of an enum's value.
pub(super) fn label(data_type: Type, position: i64) -> Option<String> {
    let found = find(data_type.0)?;
    let labels = found.labels();
    let at = labels.binary_search_by_key(&position, |label| label.position).ok()?;
    Some(labels[at].name.clone())
}

/// The position of an enum's label.
pub(super) fn position(data_type: Type, label: &str) -> Option<i64> {
    let found = find(data_type.0)?;
    found.labels().iter().find(|known| known.name == label).map(|known| known.position)
}
