use super::*;
use crate::catalog::{
    Catalog, Change, Database, Object, Objects, PG_CATALOG, PUBLIC, Role, Runtime, Schema, Sequence, Table,
};
use crate::error::{Error, Result};
use crate::functions::{EvalContext, Services, resolve_function};
use crate::types::{Datum, RenderSettings, Repr, Type};
use serde_json::json;
use std::sync::Arc;

/// A session that only knows its catalog.
struct CatalogOnly(Arc<Catalog>);

impl Services for CatalogOnly {
    fn current_user(&self) -> Arc<str> {
        "postgres".into()
    }
    fn session_user(&self) -> Arc<str> {
        "postgres".into()
    }
    fn database(&self) -> Arc<str> {
        "postgres".into()
    }
    fn search_path(&self) -> Arc<[String]> {
        Arc::new(["public".to_owned()])
    }
    fn backend_pid(&self) -> i32 {
        1
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn set_setting(&self, _: &str, _: Option<&str>, _: bool) -> Result<String> {
        Err(Error::unsupported("settings"))
    }
    fn catalog(&self) -> Arc<Catalog> {
        self.0.clone()
    }
    fn nextval(&self, _: Oid) -> Result<i64> {
        Err(Error::unsupported("nextval"))
    }
    fn currval(&self, _: Oid) -> Result<i64> {
        Err(Error::unsupported("currval"))
    }
    fn lastval(&self) -> Result<i64> {
        Err(Error::unsupported("lastval"))
    }
    fn setval(&self, _: Oid, _: i64, _: bool) -> Result<i64> {
        Err(Error::unsupported("setval"))
    }
    fn transaction_id(&self) -> Result<u64> {
        Ok(1)
    }
    fn transaction_id_if_assigned(&self) -> Option<u64> {
        None
    }
    fn advisory_lock(&self, _: (u32, u32, u16), _: bool, _: bool, _: bool) -> Result<bool> {
        Err(Error::unsupported("advisory locks"))
    }
    fn advisory_unlock(&self, _: Option<(u32, u32, u16)>, _: bool) -> Result<bool> {
        Err(Error::unsupported("advisory locks"))
    }
    fn sleep(&self, _: f64) -> Result<()> {
        Ok(())
    }
    fn signal_backend(&self, _: i32, _: bool) -> Result<bool> {
        Ok(false)
    }
    fn blocking_pids(&self, _: i32) -> Vec<i32> {
        Vec::new()
    }
    fn relation_size(&self, _: Oid) -> Result<Option<i64>> {
        Ok(None)
    }
    fn setting_rows(&self) -> Result<Vec<crate::settings::SettingRow>> {
        Ok(crate::settings::Settings::new().rows())
    }
    fn activities(&self) -> Result<Vec<crate::session::Activity>> {
        Ok(vec![crate::session::Activity {
            running: None,
            pid: 7,
            database: 5,
            user: 10,
            application_name: "psql".into(),
            client_address: None,
            backend_start: 0,
            transaction_start: None,
            query_start: None,
            state_change: 0,
            state: "active",
            wait: None,
            query: "select 1".into(),
        }])
    }
    fn locks(&self) -> Result<Vec<serin_txn::LockInfo>> {
        Ok(Vec::new())
    }
    fn prepared_transactions(&self) -> Result<Vec<PreparedTransaction>> {
        Ok(Vec::new())
    }
    fn prepared_statements(&self) -> Result<Vec<PreparedStatement>> {
        let parameter_types = vec![Type::INT4];
        let statement = "select $1".into();
        Ok(vec![PreparedStatement {
            name: "p".into(),
            statement,
            prepared_at: 0,
            parameter_types,
            from_sql: true,
        }])
    }
    fn cursors(&self) -> Result<Vec<Cursor>> {
        Ok(Vec::new())
    }
    fn sequence_position(&self, _: Oid) -> Result<crate::sequence::Position> {
        Ok(crate::sequence::Position { value: 3, is_called: true })
    }
    fn notice(&self, _: Error) {}
    fn check_interrupt(&self) -> Result<()> {
        Ok(())
    }
}

fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).expect("a descriptor"))
}

/// `create table public.t (id serial primary key, "Name" varchar(20) not null, gone int, n numeric(10,2) default 1.5
/// check (n > 0))` with column `gone` dropped, an index and a comment; and a view.
fn sample() -> Vec<Object> {
    let column = |name: &str, number: i16, data_type: Type, modifier: i32, rest: serde_json::Value| {
        let mut column = json!({"name": name, "number": number, "data_type": data_type.0, "modifier": modifier, "not_null": false});
        column.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        column
    };
    let key = |column: Option<usize>, expression: Option<&str>, descending: bool| json!({"column": column, "expression": expression, "descending": descending, "nulls_first": descending});
    let table = json!({
        "oid": 20000, "database": 5, "schema": PUBLIC, "name": "t", "owner": 10, "persistence": "Permanent", "tree": 1,
        "columns": [
            column("id", 1, Type::INT4, -1, json!({"not_null": true, "default": "nextval('t_id_seq'::regclass)", "sequence": 20001})),
            column("Name", 2, Type::VARCHAR, 24, json!({"not_null": true, "comment": "what it is called"})),
            column("gone", 3, Type::INT4, -1, json!({"dropped": true})),
            column("n", 4, Type::NUMERIC, (10 << 16 | 2) + 4, json!({"default": "1.5"})),
        ],
        "primary_key": [0],
        "indexes": [
            {"oid": 20002, "name": "t_pkey", "tree": 1, "keys": [key(Some(0), None, false)], "unique": true, "primary": true, "clustered": true},
            {"oid": 20003, "name": "t_lower", "tree": 2, "keys": [key(None, Some("lower(\"Name\")"), false), key(Some(3), None, true)],
             "include": [0], "unique": false, "primary": false, "clustered": false, "predicate": "n > 1"},
        ],
        "constraints": [
            {"oid": 20004, "name": "t_pkey", "kind": {"PrimaryKey": 20002}},
            {"oid": 20005, "name": "t_n_check", "kind": {"Check": "n > 0"}},
        ],
    });
    let view = json!({
        "oid": 20010, "database": 5, "schema": PUBLIC, "name": "v", "owner": 10, "persistence": "Permanent", "tree": 0,
        "columns": [column("id", 1, Type::INT4, -1, json!({}))], "primary_key": [], "indexes": [], "constraints": [],
        "view": "SELECT id FROM t", "depends_on": [20000],
    });
    vec![
        Object::Database(read::<Database>(json!({"oid": 5, "name": "postgres", "owner": 10}))),
        Object::Role(read::<Role>(json!({
            "oid": 10, "name": "postgres", "superuser": true, "login": true, "create_database": true,
            "create_role": true, "inherit": true,
        }))),
        Object::Schema(read::<Schema>(json!({"oid": PUBLIC, "database": 5, "name": "public", "owner": 10}))),
        Object::Table(read::<Table>(table)),
        Object::Table(read::<Table>(view)),
        Object::Sequence(read::<Sequence>(json!({
            "oid": 20001, "database": 5, "schema": PUBLIC, "name": "t_id_seq", "owner": 10, "data_type": 23,
            "start": 1, "increment": 1, "min": 1, "max": 2147483647i64, "cache": 1, "cycle": false, "owned_by": [20000, 1],
        }))),
    ]
}

fn with_sample(test: impl FnOnce(&EvalContext<'_>)) {
    let directory = tempfile::tempdir().expect("a directory");
    let options = serin_storage::StoreOptions::new(&directory.path().join("store"));
    let store = serin_storage::Store::open(options).expect("a store");
    let mut objects = Objects::new();
    for object in sample() {
        objects.apply(&Change::put(object));
    }
    let runtime = Runtime::new(store, directory.path().join("temporary"));
    let catalog = Arc::new(Catalog::new(1, 5, Arc::new(objects), runtime));
    let render = RenderSettings::default();
    let services = CatalogOnly(catalog);
    test(&EvalContext { render: &render, transaction_time: 0, statement_time: 0, services: &services });
}

/// The text of one function call's result.
fn call(name: &str, arguments: &[(Type, Datum)], context: &EvalContext<'_>) -> Option<String> {
    let types: Vec<Option<Type>> = arguments.iter().map(|(data_type, _)| Some(*data_type)).collect();
    let resolved = resolve_function(name, &types, false).unwrap_or_else(|error| panic!("{name}: {error}"));
    let crate::functions::Body::Scalar { scalar, .. } = &resolved.function.body else {
        panic!("{name} is scalar");
    };
    let values: Vec<Datum> = arguments.iter().map(|(_, value)| value.clone()).collect();
    match scalar(&values, context).unwrap_or_else(|error| panic!("{name}: {error}")) {
        Datum::Null => None,
        value => Some(crate::types::format_datum(&value, resolved.result, context.render)),
    }
}

/// Rows of a relation as name → text of the named columns.
fn scan(name: &str, columns: &[&str], context: &EvalContext<'_>) -> Vec<Vec<String>> {
    let relation = find(PG_CATALOG, name).expect(name);
    let places: Vec<usize> = columns
        .iter()
        .map(|column| relation.columns.iter().position(|(of, _)| of == column).expect("a column"))
        .collect();
    let rows = (relation.rows)(context).expect("rows");
    rows.iter()
        .map(|row| {
            places
                .iter()
                .map(|&at| match &row[at] {
                    Datum::Null => "-".to_owned(),
                    value => crate::types::format_datum(value, relation.columns[at].1, context.render),
                })
                .collect()
        })
        .collect()
}

#[test]
fn every_relation_gives_rows_of_its_own_columns() {
    with_sample(|context| {
        for (relation, _) in all() {
            let rows = (relation.rows)(context).unwrap_or_else(|error| panic!("{}: {error}", relation.name));
            for row in rows {
                assert_eq!(row.len(), relation.columns.len(), "{}", relation.name);
                for (value, (column, data_type)) in row.iter().zip(relation.columns) {
                    let wanted = data_type.repr();
                    let fits = value.repr().is_none_or(|repr| repr == wanted)
                        || (wanted == Repr::Int8 && *data_type == Type::XID8);
                    assert!(fits, "{}.{column} is {wanted:?}, not {value:?}", relation.name);
                }
            }
        }
    });
}

#[test]
fn well_known_oids_are_postgresqls() {
    for (name, oid) in [
        ("pg_class", 1259),
        ("pg_attribute", 1249),
        ("pg_type", 1247),
        ("pg_proc", 1255),
        ("pg_namespace", 2615),
        ("pg_database", 1262),
        ("pg_index", 2610),
        ("pg_constraint", 2606),
    ] {
        let relation = find(PG_CATALOG, name).expect(name);
        assert_eq!(relation.oid, oid);
        assert_eq!(by_oid(oid).expect(name).name, name);
    }
    assert!(find(PG_CATALOG, "pg_nonsense").is_none());
}

#[test]
fn descriptors_show_in_the_catalogs() {
    with_sample(|context| {
        let mut classes = scan("pg_class", &["oid", "relname", "relkind", "relam", "relchecks"], context);
        classes.retain(|row| row[0].parse::<u32>().is_ok_and(|oid| oid >= 20_000));
        assert_eq!(
            classes,
            [
                ["20000", "t", "r", "2", "1"],
                ["20002", "t_pkey", "i", "403", "0"],
                ["20003", "t_lower", "i", "403", "0"],
                ["20010", "v", "v", "0", "0"],
                ["20001", "t_id_seq", "S", "0", "0"],
            ]
        );
        let mut columns = scan(
            "pg_attribute",
            &["attrelid", "attname", "attnum", "atttypid", "attnotnull", "atthasdef"],
            context,
        );
        columns.retain(|row| row[0] == "20000");
        assert_eq!(
            columns,
            [
                ["20000", "id", "1", "23", "t", "t"],
                ["20000", "Name", "2", "1043", "t", "f"],
                ["20000", "........pg.dropped.3........", "3", "0", "f", "f"],
                ["20000", "n", "4", "1700", "f", "t"],
            ]
        );
        assert_eq!(
            scan("pg_index", &["indexrelid", "indkey", "indoption", "indclass", "indpred"], context),
            [["20002", "1", "0", "1978", "-"], ["20003", "0 4 1", "0 3", "3126 3125", "n > 1"]]
        );
        assert_eq!(
            scan("pg_constraint", &["conname", "contype", "conindid", "conkey"], context),
            [["t_pkey", "p", "20002", "{1}"], ["t_n_check", "c", "0", "{4}"]]
        );
        let sequences = scan("pg_sequences", &["schemaname", "sequencename", "last_value"], context);
        assert_eq!(sequences, [["public", "t_id_seq", "3"]]);
    });
}

#[test]
fn definitions_are_sql() {
    with_sample(|context| {
        let oid = |value: Oid| (Type::OID, Datum::Oid(value));
        let int = |value: i32| (Type::INT4, Datum::Int4(value));
        let text = |value: &str| (Type::TEXT, Datum::text(value));
        let yes = (Type::BOOL, Datum::Bool(true));
        for (found, expected) in [
            (
                call("pg_get_indexdef", &[oid(20002)], context),
                "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)",
            ),
            (
                call("pg_get_indexdef", &[oid(20003), int(0), yes.clone()], context),
                "CREATE INDEX t_lower ON t USING btree (lower(\"Name\"::text), n DESC) INCLUDE (id) WHERE n > 1::numeric",
            ),
            (call("pg_get_indexdef", &[oid(20003), int(2), yes.clone()], context), "n"),
            (call("pg_get_constraintdef", &[oid(20004)], context), "PRIMARY KEY (id)"),
            (call("pg_get_constraintdef", &[oid(20005)], context), "CHECK ((n > (0)::numeric))"),
            (call("pg_get_viewdef", &[oid(20010)], context), " SELECT id FROM t;"),
            (call("pg_get_serial_sequence", &[text("t"), text("id")], context), "public.t_id_seq"),
            (call("pg_get_userbyid", &[oid(10)], context), "postgres"),
            (call("pg_get_userbyid", &[oid(11)], context), "unknown (OID=11)"),
            (call("col_description", &[oid(20000), int(2)], context), "what it is called"),
            (call("format_type", &[oid(1043), int(24)], context), "character varying(20)"),
            (call("pg_table_is_visible", &[oid(20000)], context), "t"),
            (call("pg_encoding_to_char", &[int(6)], context), "UTF8"),
            (call("has_table_privilege", &[text("t"), text("select")], context), "t"),
        ] {
            assert_eq!(found.as_deref(), Some(expected));
        }
        assert_eq!(call("to_regclass", &[text("nowhere")], context), None);
        assert_eq!(call("pg_table_is_visible", &[oid(99)], context), None);
    });
}
