//! Every descriptor of the store, by OID and by name, and the changes that turn one state into the next. Cloning shares
//! the descriptors, so that a DDL statement copies pointers only.

use super::{
    Acl, Database, Extension, Grants, INFORMATION_SCHEMA, PG_CATALOG, PG_TOAST, ROLE_POSTGRES, Role, Routine,
    Schema, Sequence, Table, UserType,
};
use crate::types::Oid;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a descriptor describes; the byte is its prefix in the catalog's tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Database = b'd',
    Role = b'r',
    Schema = b's',
    Table = b't',
    Sequence = b'q',
    Routine = b'p',
    Type = b'y',
    Extension = b'x',
    /// ALTER SYSTEM's values; OID 0.
    Settings = b'g',
    /// By database.
    Grants = b'a',
}

impl Kind {
    /// The inverse of `kind as u8`.
    pub(crate) fn from_byte(byte: u8) -> Option<Kind> {
        use Kind::*;
        let all = [Database, Role, Schema, Table, Sequence, Routine, Type, Extension, Settings, Grants];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone)]
pub(crate) enum Object {
    Database(Arc<Database>),
    Role(Arc<Role>),
    Schema(Arc<Schema>),
    Table(Arc<Table>),
    Sequence(Arc<Sequence>),
    Routine(Arc<Routine>),
    Type(Arc<UserType>),
    Extension(Arc<Extension>),
    Settings(Arc<Vec<(String, String)>>),
    Grants(Arc<Grants>),
}

impl Object {
    pub fn kind(&self) -> Kind {
        match self {
            Object::Database(_) => Kind::Database,
            Object::Role(_) => Kind::Role,
            Object::Schema(_) => Kind::Schema,
            Object::Table(_) => Kind::Table,
            Object::Sequence(_) => Kind::Sequence,
            Object::Routine(_) => Kind::Routine,
            Object::Type(_) => Kind::Type,
            Object::Extension(_) => Kind::Extension,
            Object::Settings(_) => Kind::Settings,
            Object::Grants(_) => Kind::Grants,
        }
    }
    pub fn oid(&self) -> Oid {
        match self {
            Object::Database(database) => database.oid,
            Object::Role(role) => role.oid,
            Object::Schema(schema) => schema.oid,
            Object::Table(table) => table.oid,
            Object::Sequence(sequence) => sequence.oid,
            Object::Routine(routine) => routine.oid,
            Object::Type(user_type) => user_type.oid,
            Object::Extension(extension) => extension.oid,
            Object::Settings(_) => 0,
            Object::Grants(grants) => grants.oid,
        }
    }
}

/// A descriptor's new state; none: it is gone.
#[derive(Clone)]
pub(crate) struct Change {
    pub kind: Kind,
    pub oid: Oid,
    pub object: Option<Object>,
}

impl Change {
    pub fn put(object: Object) -> Change {
        Change { kind: object.kind(), oid: object.oid(), object: Some(object) }
    }
    pub fn remove(kind: Kind, oid: Oid) -> Change {
        Change { kind, oid, object: None }
    }
}

#[derive(Clone)]
pub(crate) struct Objects {
    databases: BTreeMap<Oid, Arc<Database>>,
    roles: BTreeMap<Oid, Arc<Role>>,
    schemas: BTreeMap<Oid, Arc<Schema>>,
    tables: BTreeMap<Oid, Arc<Table>>,
    sequences: BTreeMap<Oid, Arc<Sequence>>,
    routines: BTreeMap<Oid, Arc<Routine>>,
    types: BTreeMap<Oid, Arc<UserType>>,
    extensions: BTreeMap<Oid, Arc<Extension>>,
    settings: Arc<Vec<(String, String)>>,
    grants: BTreeMap<Oid, Arc<Grants>>,
    /// Tables, views, sequences and indexes share a name space in each schema.
    relation_names: HashMap<Oid, HashMap<String, Oid>>,
    schema_names: HashMap<Oid, HashMap<String, Oid>>,
    index_tables: HashMap<Oid, Oid>,
    /// By schema and name; overloads in order of their OIDs.
    routine_names: HashMap<(Oid, String), Vec<Oid>>,
    /// By schema and name; tables' row types are found by the tables.
    type_names: HashMap<Oid, HashMap<String, Oid>>,
    /// Element types by the types of arrays of them: of types and of tables' rows.
    array_elements: HashMap<Oid, Oid>,
    /// Tables by their rows' types.
    row_types: HashMap<Oid, Oid>,
    /// By referenced table: referencing table and constraint, in order of the constraints' OIDs (the order of their actions).
    references: HashMap<Oid, Vec<(Oid, Oid)>>,
}

impl Objects {
    /// Without anything but the schemas that every database has, which are not stored.
    pub fn new() -> Objects {
        let mut objects = Objects {
            databases: BTreeMap::new(),
            roles: BTreeMap::new(),
            schemas: BTreeMap::new(),
            tables: BTreeMap::new(),
            sequences: BTreeMap::new(),
            routines: BTreeMap::new(),
            types: BTreeMap::new(),
            extensions: BTreeMap::new(),
            settings: Arc::default(),
            grants: BTreeMap::new(),
            relation_names: HashMap::new(),
            schema_names: HashMap::new(),
            index_tables: HashMap::new(),
            routine_names: HashMap::new(),
            type_names: HashMap::new(),
            array_elements: HashMap::new(),
            row_types: HashMap::new(),
            references: HashMap::new(),
        };
        let built_in =
            [(PG_CATALOG, "pg_catalog"), (INFORMATION_SCHEMA, "information_schema"), (PG_TOAST, "pg_toast")];
        for (oid, name) in built_in {
            let (owner, comment) = (ROLE_POSTGRES, None);
            let acl = (oid != PG_TOAST).then(|| Acl::of_schema(ROLE_POSTGRES));
            let schema = Schema { oid, database: 0, name: name.into(), owner, comment, acl };
            objects.apply(&Change::put(Object::Schema(Arc::new(schema))));
        }
        for role in super::acl::predefined_roles() {
            objects.apply(&Change::put(Object::Role(Arc::new(role))));
        }
        objects
    }

    pub fn apply(&mut self, change: &Change) {
        self.remove(change.kind, change.oid);
        match &change.object {
            None => {}
            Some(Object::Database(database)) => {
                self.databases.insert(change.oid, database.clone());
            }
            Some(Object::Role(role)) => {
                self.roles.insert(change.oid, role.clone());
            }
            Some(Object::Schema(schema)) => {
                self.schema_names.entry(schema.database).or_default().insert(schema.name.clone(), schema.oid);
                self.schemas.insert(change.oid, schema.clone());
            }
            Some(Object::Table(table)) => {
                let names = self.relation_names.entry(table.schema).or_default();
                names.insert(table.name.clone(), table.oid);
                for index in &table.indexes {
                    names.insert(index.name.clone(), index.oid);
                    self.index_tables.insert(index.oid, table.oid);
                }
                for constraint in &table.constraints {
                    if let Some(key) = constraint.foreign_key() {
                        let list = self.references.entry(key.referenced).or_default();
                        list.push((table.oid, constraint.oid));
                        list.sort_unstable_by_key(|&(_, constraint)| constraint);
                    }
                }
                if table.row_type != 0 {
                    self.row_types.insert(table.row_type, table.oid);
                    self.array_elements.insert(table.row_array_type, table.row_type);
                }
                self.tables.insert(change.oid, table.clone());
            }
            Some(Object::Sequence(sequence)) => {
                let names = self.relation_names.entry(sequence.schema).or_default();
                names.insert(sequence.name.clone(), sequence.oid);
                self.sequences.insert(change.oid, sequence.clone());
            }
            Some(Object::Routine(routine)) => {
                let names = self.routine_names.entry((routine.schema, routine.name.clone())).or_default();
                names.push(routine.oid);
                names.sort_unstable();
                self.routines.insert(change.oid, routine.clone());
            }
            Some(Object::Type(user_type)) => {
                let names = self.type_names.entry(user_type.schema).or_default();
                names.insert(user_type.name.clone(), user_type.oid);
                self.array_elements.insert(user_type.array, user_type.oid);
                self.types.insert(change.oid, user_type.clone());
            }
            Some(Object::Extension(extension)) => {
                self.extensions.insert(change.oid, extension.clone());
            }
            Some(Object::Settings(settings)) => self.settings = settings.clone(),
            Some(Object::Grants(grants)) => {
                self.grants.insert(change.oid, grants.clone());
            }
        }
    }

    fn remove(&mut self, kind: Kind, oid: Oid) {
        match kind {
            Kind::Database => {
                self.databases.remove(&oid);
            }
            Kind::Role => {
                self.roles.remove(&oid);
            }
            Kind::Schema => {
                if let Some(schema) = self.schemas.remove(&oid) {
                    forget(&mut self.schema_names, schema.database, &schema.name, oid);
                }
            }
            Kind::Table => {
                if let Some(table) = self.tables.remove(&oid) {
                    forget(&mut self.relation_names, table.schema, &table.name, oid);
                    self.row_types.remove(&table.row_type);
                    self.array_elements.remove(&table.row_array_type);
                    for index in &table.indexes {
                        forget(&mut self.relation_names, table.schema, &index.name, index.oid);
                        self.index_tables.remove(&index.oid);
                    }
                    for key in table.constraints.iter().filter_map(|constraint| constraint.foreign_key()) {
                        if let Some(list) = self.references.get_mut(&key.referenced) {
                            list.retain(|&(referencing, _)| referencing != oid);
                        }
                    }
                }
            }
            Kind::Sequence => {
                if let Some(sequence) = self.sequences.remove(&oid) {
                    forget(&mut self.relation_names, sequence.schema, &sequence.name, oid);
                }
            }
            Kind::Routine => {
                if let Some(routine) = self.routines.remove(&oid)
                    && let Some(names) = self.routine_names.get_mut(&(routine.schema, routine.name.clone()))
                {
                    names.retain(|named| *named != oid);
                }
            }
            Kind::Type => {
                if let Some(user_type) = self.types.remove(&oid) {
                    forget(&mut self.type_names, user_type.schema, &user_type.name, oid);
                    self.array_elements.remove(&user_type.array);
                }
            }
            Kind::Extension => {
                self.extensions.remove(&oid);
            }
            Kind::Settings => self.settings = Arc::default(),
            Kind::Grants => {
                self.grants.remove(&oid);
            }
        }
    }

    pub fn relation_named(&self, schema: Oid, name: &str) -> Option<Oid> {
        self.relation_names.get(&schema)?.get(name).copied()
    }
    pub fn table(&self, oid: Oid) -> Option<&Arc<Table>> {
        self.tables.get(&oid)
    }
    pub fn sequence(&self, oid: Oid) -> Option<&Arc<Sequence>> {
        self.sequences.get(&oid)
    }
    pub fn routine(&self, oid: Oid) -> Option<&Arc<Routine>> {
        self.routines.get(&oid)
    }
    pub fn routines(&self) -> impl Iterator<Item = &Arc<Routine>> {
        self.routines.values()
    }
    pub fn routines_named(&self, schema: Oid, name: &str) -> Vec<Arc<Routine>> {
        let oids = self.routine_names.get(&(schema, name.to_owned()));
        oids.into_iter().flatten().filter_map(|oid| self.routines.get(oid).cloned()).collect()
    }
    pub fn types(&self) -> impl Iterator<Item = &Arc<UserType>> {
        self.types.values()
    }
    pub fn user_type(&self, oid: Oid) -> Option<&Arc<UserType>> {
        self.types.get(&oid)
    }
    pub fn extensions(&self) -> impl Iterator<Item = &Arc<Extension>> {
        self.extensions.values()
    }
    pub fn type_named(&self, schema: Oid, name: &str) -> Option<Oid> {
        self.type_names.get(&schema)?.get(name).copied()
    }
    pub fn element_of_array(&self, array: Oid) -> Option<Oid> {
        self.array_elements.get(&array).copied()
    }
    pub fn table_of_row_type(&self, row_type: Oid) -> Option<Oid> {
        self.row_types.get(&row_type).copied()
    }
    pub fn table_of_index(&self, index: Oid) -> Option<Oid> {
        self.index_tables.get(&index).copied()
    }
    pub fn references_to(&self, table: Oid) -> &[(Oid, Oid)] {
        self.references.get(&table).map_or(&[], Vec::as_slice)
    }
    pub fn schema(&self, oid: Oid) -> Option<&Schema> {
        self.schemas.get(&oid).map(|schema| &**schema)
    }
    pub fn find_schema(&self, database: Oid, name: &str) -> Option<&Schema> {
        let named = |database| self.schema_names.get(&database)?.get(name);
        self.schema(*named(database).or_else(|| named(0))?)
    }
    pub fn database(&self, oid: Oid) -> Option<&Database> {
        self.databases.get(&oid).map(|database| &**database)
    }
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        self.databases.values().map(|database| &**database)
    }
    pub fn role(&self, oid: Oid) -> Option<&Role> {
        self.roles.get(&oid).map(|role| &**role)
    }
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values().map(|role| &**role)
    }
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.schemas.values().map(|schema| &**schema)
    }
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }
    pub fn sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        self.sequences.values()
    }
    pub fn grants(&self, database: Oid) -> Option<&Arc<Grants>> {
        self.grants.get(&database)
    }
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }
    /// Marks tables whose trees changed from `before`, so that older snapshots keep away from them.
    pub fn mark_new_trees(&mut self, before: &Objects, changes: &[Change], version: u64) {
        for change in changes {
            let (Kind::Table, Some(table)) = (change.kind, self.tables.get(&change.oid)) else { continue };
            let old = before.table(change.oid);
            if old.is_none() && table.indexes.iter().all(|index| !index.hidden) {
                continue;
            }
            let mut marked = (**table).clone();
            if let Some(old) = old {
                let is_new = table.tree != old.tree
                    || table.indexes.iter().any(|index| old.indexes.iter().all(|old| old.tree != index.tree));
                marked.trees_since = if is_new { version } else { old.trees_since };
            }
            marked.indexes.iter_mut().for_each(|index| index.hidden = false);
            self.tables.insert(change.oid, Arc::new(marked));
        }
    }
}

/// Takes a name off, unless it means another object by now (a change may have given it away already).
fn forget(names: &mut HashMap<Oid, HashMap<String, Oid>>, scope: Oid, name: &str, oid: Oid) {
    if let Some(names) = names.get_mut(&scope)
        && names.get(name) == Some(&oid)
    {
        names.remove(name);
    }
}
