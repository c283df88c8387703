//! Where descriptors are kept: three trees with fixed ids, the first that a new store creates.
//!
//! | tree | key | value |
//! |---|---|---|
//! | 1 catalog | `F` | format version, decimal |
//! | | kind, OID (4 bytes, big-endian) | descriptor as JSON; kinds are [`Kind`]'s bytes |
//! | | `L` | the id of the tree of large objects (8 bytes), see `large_object.rs` |
//! | | `N`, name space, scope OID, name | the OID that has the name |
//! | 2 sequences | state OID | see `sequence.rs` |
//! | 3 counters | `o` | the first OID not yet given out (4 bytes) |
//! | | `p`, gid, 0, number | a prepared transaction's record (`txn/src/prepared.rs`) |
//!
//! Names have entries of their own, inserted with the key's uniqueness check: of two transactions that create the same name, the
//! second waits for the first. Descriptors are written without checks; whoever writes one holds a relation lock on its OID
//! that conflicts with itself.
//!
//! JSON because descriptors are read once per start and change with every feature: a new field has a default, and an old file
//! needs no conversion.

use super::acl::DATABASE_OWNER;
use super::{
    Acl, Change, DATABASE_POSTGRES, Database, FIRST_USER_OID, Kind, Object, Objects, PUBLIC, ROLE_POSTGRES,
    Role, Schema,
};
use crate::error::{Error, Result, SqlState};
use crate::types::Oid;
use serin_storage::{KeyRange, Store, Tree, TreeId};
use serin_txn::{Inserted, Transaction};
use std::ops::Bound;
use std::sync::Arc;

const CATALOG: TreeId = TreeId(1);
const SEQUENCES: TreeId = TreeId(2);
const COUNTERS: TreeId = TreeId(3);
/// 2: schemas have access control lists.
const FORMAT_VERSION: u32 = 2;

/// OIDs of the databases that PostgreSQL's tools expect beside `postgres`.
const DATABASE_TEMPLATE1: Oid = 1;
const DATABASE_TEMPLATE0: Oid = 4;

/// The name spaces: scope is the schema of a relation, the database of a schema, 0 for what the whole store has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum NameSpace {
    Relation = b't',
    Schema = b's',
    Database = b'd',
    Role = b'r',
    /// Functions and procedures: scope is the schema, the name ends in the input types.
    Routine = b'p',
    /// Scope is the schema. Tables' row types are not here: their names are their tables'.
    Type = b'y',
}

pub(crate) struct CatalogTrees {
    pub catalog: Arc<Tree>,
    pub sequences: Arc<Tree>,
    pub counters: Arc<Tree>,
    pub large_objects: Arc<Tree>,
}

impl CatalogTrees {
    /// The fixed trees; creates them with their first contents in a new store. `begin` starts a transaction.
    pub fn open(store: &Arc<Store>, begin: impl Fn() -> Transaction) -> Result<CatalogTrees> {
        let tree = |id| {
            let missing =
                || Error::new(SqlState::DATA_CORRUPTED, format!("catalog tree {id} does not exist"));
            store.tree(id).ok_or_else(missing)
        };
        if store.tree(CATALOG).is_none() {
            create(&begin)?;
        }
        let catalog = tree(CATALOG)?;
        let large_objects = match large_objects(&catalog, &begin)? {
            Some(id) => tree(id)?,
            None => create_large_objects(&catalog, &begin)?,
        };
        let trees =
            CatalogTrees { catalog, sequences: tree(SEQUENCES)?, counters: tree(COUNTERS)?, large_objects };
        trees.upgrade(&begin)?;
        Ok(trees)
    }

    /// From format 1, which knew no privileges: `public` gets those that it has in a new database.
    fn upgrade(&self, begin: &impl Fn() -> Transaction) -> Result<()> {
        let mut transaction = begin();
        transaction.start_statement()?;
        let version = transaction.catalog_get(&self.catalog, b"F")?;
        if version.as_deref() != Some(b"1".as_slice()) {
            transaction.rollback();
            return Ok(());
        }
        let objects = self.load(&mut transaction)?;
        for schema in objects.schemas().filter(|schema| schema.name == "public") {
            let schema = Schema { acl: Some(Acl::of_schema(schema.owner)), ..schema.clone() };
            self.write(&mut transaction, &Change::put(Object::Schema(Arc::new(schema))))?;
        }
        transaction.put(&self.catalog, b"F", Some(FORMAT_VERSION.to_string().as_bytes()))?;
        transaction.commit()?;
        Ok(())
    }

    pub fn load(&self, transaction: &mut Transaction) -> Result<Objects> {
        transaction.start_statement()?;
        let version = transaction.catalog_get(&self.catalog, b"F")?;
        let version =
            version.as_deref().and_then(|value| std::str::from_utf8(value).ok()?.parse::<u32>().ok());
        match version {
            Some(1..=FORMAT_VERSION) => {}
            Some(found) => {
                let message =
                    format!("the catalog has format version {found}, this server reads {FORMAT_VERSION}");
                return Err(Error::new(SqlState::DATA_CORRUPTED, message));
            }
            None => return Err(Error::new(SqlState::DATA_CORRUPTED, "the catalog has no format version")),
        }
        let mut objects = Objects::new();
        let range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
        let mut scan = transaction.catalog_scan(&self.catalog, range)?;
        let mut failure = None;
        let mut visit = |key: &[u8], value: &serin_storage::Value| {
            match decode(key, value) {
                Ok(Some(object)) => objects.apply(&Change::put(object)),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
            failure.is_none()
        };
        while scan.next_batch(transaction, 1024, &mut visit)? {}
        failure.map_or(Ok(objects), Err)
    }

    pub fn write(&self, transaction: &mut Transaction, change: &Change) -> Result<()> {
        let value = change.object.as_ref().map(encode);
        Ok(transaction.put(&self.catalog, &object_key(change.kind, change.oid), value.as_deref())?)
    }

    /// Takes a name; false if it is taken. Waits for a transaction that took or gave it and has not ended.
    pub fn take_name(
        &self,
        transaction: &mut Transaction,
        (space, scope): (NameSpace, Oid),
        name: &str,
        oid: Oid,
    ) -> Result<bool> {
        let inserted =
            transaction.insert(&self.catalog, &name_key(space, scope, name), &oid.to_be_bytes())?;
        Ok(matches!(inserted, Inserted::Done))
    }

    pub fn give_name(
        &self,
        transaction: &mut Transaction,
        (space, scope): (NameSpace, Oid),
        name: &str,
    ) -> Result<()> {
        Ok(transaction.put(&self.catalog, &name_key(space, scope, name), None)?)
    }
}

/// A change as the catalog tree has it, and back: for transactions that are committed in another session, or after a restart.
pub(crate) fn encode_change(change: &Change) -> (Vec<u8>, Option<Vec<u8>>) {
    (object_key(change.kind, change.oid).to_vec(), change.object.as_ref().map(encode))
}

pub(crate) fn decode_change(key: &[u8], value: Option<&[u8]>) -> Result<Change> {
    let damaged = || Error::new(SqlState::DATA_CORRUPTED, "a change of the catalog is damaged");
    if let Some(value) = value {
        return Ok(Change::put(decode(key, value)?.ok_or_else(damaged)?));
    }
    let [kind, oid @ ..] = key else { return Err(damaged()) };
    let oid = Oid::from_be_bytes(oid.try_into().map_err(|_| damaged())?);
    Ok(Change::remove(Kind::from_byte(*kind).ok_or_else(damaged)?, oid))
}

fn object_key(kind: Kind, oid: Oid) -> [u8; 5] {
    let mut key = [kind as u8; 5];
    key[1..].copy_from_slice(&oid.to_be_bytes());
    key
}

fn name_key(space: NameSpace, scope: Oid, name: &str) -> Vec<u8> {
    let mut key = vec![b'N', space as u8];
    key.extend_from_slice(&scope.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

fn encode(object: &Object) -> Vec<u8> {
    match object {
        Object::Database(database) => serde_json::to_vec(&**database),
        Object::Role(role) => serde_json::to_vec(&**role),
        Object::Schema(schema) => serde_json::to_vec(&**schema),
        Object::Table(table) => serde_json::to_vec(&**table),
        Object::Sequence(sequence) => serde_json::to_vec(&**sequence),
        Object::Routine(routine) => serde_json::to_vec(&**routine),
        Object::Type(user_type) => serde_json::to_vec(&**user_type),
        Object::Extension(extension) => serde_json::to_vec(&**extension),
        Object::Settings(settings) => serde_json::to_vec(&**settings),
        Object::Grants(grants) => serde_json::to_vec(&**grants),
    }
    .expect("descriptors have string keys and no failing serializer")
}

/// None for keys that are not descriptors.
fn decode(key: &[u8], value: &[u8]) -> Result<Option<Object>> {
    let json = |error: serde_json::Error| {
        let message = format!("catalog entry {} is damaged: {error}", key.escape_ascii());
        Error::new(SqlState::DATA_CORRUPTED, message)
    };
    let [kind, _, _, _, _] = key else { return Ok(None) };
    Ok(Some(match kind {
        b'd' => Object::Database(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b'r' => Object::Role(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b's' => Object::Schema(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b't' => Object::Table(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b'q' => Object::Sequence(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b'p' => Object::Routine(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b'a' => Object::Grants(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b'x' => Object::Extension(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b'y' => Object::Type(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        b'g' => Object::Settings(Arc::new(serde_json::from_slice(value).map_err(json)?)),
        _ => return Ok(None),
    }))
}

/// Where a store has its large objects; None: it is from before there were any.
fn large_objects(catalog: &Arc<Tree>, begin: &impl Fn() -> Transaction) -> Result<Option<TreeId>> {
    let mut transaction = begin();
    transaction.start_statement()?;
    let found = transaction.catalog_get(catalog, b"L")?;
    transaction.rollback();
    let damaged = || Error::new(SqlState::DATA_CORRUPTED, "the catalog's entry of large objects is damaged");
    let id =
        |value: serin_storage::Value| Ok(u64::from_be_bytes((*value).try_into().map_err(|_| damaged())?));
    found.map(id).transpose().map(|id| id.map(TreeId))
}

fn create_large_objects(catalog: &Arc<Tree>, begin: &impl Fn() -> Transaction) -> Result<Arc<Tree>> {
    let mut transaction = begin();
    transaction.start_statement()?;
    let tree = transaction.create_tree()?;
    transaction.put(catalog, b"L", Some(&tree.id().0.to_be_bytes()))?;
    transaction.commit()?;
    Ok(tree)
}

/// First start: one transaction, so that a crash leaves either an empty store or a whole catalog.
fn create(begin: &impl Fn() -> Transaction) -> Result<()> {
    let mut transaction = begin();
    transaction.start_statement()?;
    let trees = CatalogTrees {
        catalog: transaction.create_tree()?,
        sequences: transaction.create_tree()?,
        counters: transaction.create_tree()?,
        large_objects: transaction.create_tree()?,
    };
    transaction.put(&trees.catalog, b"L", Some(&trees.large_objects.id().0.to_be_bytes()))?;
    let ids = [trees.catalog.id(), trees.sequences.id(), trees.counters.id()];
    if ids != [CATALOG, SEQUENCES, COUNTERS] {
        return Err(Error::internal(format!("a new store gave the catalog trees {ids:?}")));
    }
    transaction.put(&trees.catalog, b"F", Some(FORMAT_VERSION.to_string().as_bytes()))?;
    transaction.put(&trees.counters, b"o", Some(&FIRST_USER_OID.to_be_bytes()))?;
    for object in first_objects() {
        if let Some((space, scope, name)) = name_of(&object) {
            trees.take_name(&mut transaction, (space, scope), name, object.oid())?;
        }
        trees.write(&mut transaction, &Change::put(object))?;
    }
    transaction.commit()?;
    Ok(())
}

fn name_of(object: &Object) -> Option<(NameSpace, Oid, &str)> {
    match object {
        Object::Database(database) => Some((NameSpace::Database, 0, &database.name)),
        Object::Role(role) => Some((NameSpace::Role, 0, &role.name)),
        Object::Schema(schema) => Some((NameSpace::Schema, schema.database, &schema.name)),
        Object::Table(_)
        | Object::Sequence(_)
        | Object::Routine(_)
        | Object::Type(_)
        | Object::Extension(_)
        | Object::Settings(_)
        | Object::Grants(_) => None,
    }
}

fn first_objects() -> Vec<Object> {
    let database = |oid, name: &str, is_template| {
        Object::Database(Arc::new(Database {
            oid,
            name: name.into(),
            owner: ROLE_POSTGRES,
            settings: Vec::new(),
            is_template,
            role_settings: Vec::new(),
            comment: None,
            acl: None,
        }))
    };
    // Only `postgres` has the well-known OID of `public`; other databases' schemas have their own.
    let public = |oid, database| {
        let owner = DATABASE_OWNER;
        let comment = Some("standard public schema".to_string());
        let acl = Some(Acl::of_schema(owner));
        Object::Schema(Arc::new(Schema { oid, database, name: "public".into(), owner, comment, acl }))
    };
    vec![
        database(DATABASE_POSTGRES, "postgres", false),
        database(DATABASE_TEMPLATE1, "template1", true),
        database(DATABASE_TEMPLATE0, "template0", true),
        public(PUBLIC, DATABASE_POSTGRES),
        public(PUBLIC + 1, DATABASE_TEMPLATE1),
        public(PUBLIC + 2, DATABASE_TEMPLATE0),
        Object::Role(Arc::new(Role {
            oid: ROLE_POSTGRES,
            name: "postgres".into(),
            superuser: true,
            login: true,
            create_database: true,
            create_role: true,
            inherit: true,
            settings: Vec::new(),
            password: None,
            connection_limit: -1,
            replication: true,
            bypass_rls: true,
            valid_until: None,
            comment: None,
            member_of: Vec::new(),
        })),
    ]
}
