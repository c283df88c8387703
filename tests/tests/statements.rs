//! Each group of statements through the two clients that matter most. The psql scripts in `tests/statements/` have the answers of
//! PostgreSQL 15 beside them (`.out`), recorded from it; where one is installed, they are checked against it again. The
//! `postgres` crate goes the other way: extended protocol, binary format, typed parameters.

use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, SimpleQueryMessage};
use serin_tests::{PgServer, TestServer};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const GROUPS: &[&str] = &[
    "tables",
    "constraints",
    "collations",
    "changes",
    "self_modified",
    "row_locks",
    "search_path",
    "row_by_row",
    "queries",
    "types",
    "transactions",
    "functions",
    "triggers",
    "updatable_views",
    "explain",
    "extensions",
    "ltree",
    "large_objects",
    "transaction_control",
    "on_commit",
    "entries",
    "exclusion",
    "geometry",
    "money",
    "lsn",
    "textsearch",
];

fn file(group: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("statements").join(group).with_extension(extension)
}

/// What psql prints for the script, errors included. The statement's excerpt below an error (LINE and its caret) is left out: we
/// point at the cast where PostgreSQL points at the literal that is cast.
fn psql(port: u16, database: &str, group: &str) -> String {
    let script = std::fs::File::open(file(group, "sql")).expect("the group has a script");
    let (reader, writer) = std::io::pipe().expect("pipe");
    let mut child = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres", database])
        .env("PGCLIENTENCODING", "UTF8")
        .stdin(script)
        .stdout(writer.try_clone().expect("pipe"))
        .stderr(writer)
        .spawn()
        .expect("psql is installed (Debian: apt-get install postgresql-client)");
    let mut printed = String::new();
    let mut reader = reader;
    reader.read_to_string(&mut printed).expect("psql prints UTF-8");
    assert!(child.wait().expect("psql ends").success() || !printed.is_empty());
    without_excerpts(&printed)
}

fn without_excerpts(printed: &str) -> String {
    let mut lines = printed.lines();
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("LINE ") {
            lines.next();
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}

fn expected(group: &str) -> String {
    without_excerpts(&std::fs::read_to_string(file(group, "out")).expect("the group has its answers"))
}

/// The first line where two outputs part, with what came before it.
fn assert_same(group: &str, who: &str, printed: &str, expected: &str) {
    for (number, (ours, theirs)) in printed.lines().zip(expected.lines()).enumerate() {
        let before: Vec<&str> = printed.lines().take(number).collect();
        let before = before[before.len().saturating_sub(6)..].join("\n");
        assert_eq!(ours, theirs, "{group}, line {}, {who}; before it:\n{before}", number + 1);
    }
    assert_eq!(printed.lines().count(), expected.lines().count(), "{group}: {who} printed more or less");
}

/// Every group in a database of its own, so that none sees what another left behind.
fn assert_groups(who: &str, port: u16, client: &mut Client) {
    for group in GROUPS {
        let create =
            "CREATE DATABASE golden TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' ENCODING 'UTF8'";
        client.batch_execute(create).expect("create database");
        assert_same(group, who, &psql(port, "golden", group), &expected(group));
        client.batch_execute("DROP DATABASE golden WITH (FORCE)").expect("drop database");
    }
}

#[test]
fn psql_prints_what_postgresql_15_prints() {
    let server = TestServer::start();
    assert_groups("Serin", server.port(), &mut server.connect());
}

#[test]
fn the_expected_answers_are_postgresqls_own() {
    let Some(server) = PgServer::start(&[]) else {
        eprintln!("skipped: no PostgreSQL server is installed to check the answers against");
        return;
    };
    let mut client = Client::connect(&server.connection_string(), postgres::NoTls).expect("connect");
    assert_groups("PostgreSQL", server.port(), &mut client);
}

fn state(error: &postgres::Error) -> &str {
    error.code().expect("the server sent an error").code()
}

#[test]
fn definitions_and_changes_with_parameters() {
    let server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute("CREATE TABLE t (id bigserial PRIMARY KEY, name text UNIQUE, n int NOT NULL CHECK (n > 0)); CREATE INDEX ON t (n)")
        .unwrap();
    let insert = client.prepare("INSERT INTO t (name, n) VALUES ($1, $2) RETURNING id").unwrap();
    for n in 1..=100i32 {
        let id: i64 = client.query_one(&insert, &[&format!("row {n}"), &n]).unwrap().get(0);
        assert_eq!(id, i64::from(n));
    }
    assert_eq!(state(&client.execute(&insert, &[&"row 1", &1]).unwrap_err()), "23505");
    assert_eq!(state(&client.execute(&insert, &[&"other", &0]).unwrap_err()), "23514");
    assert_eq!(state(&client.execute(&insert, &[&"other", &None::<i32>]).unwrap_err()), "23502");
    assert_eq!(
        client.execute("UPDATE t SET n = n + $1 WHERE n BETWEEN $2 AND $3", &[&1000, &10, &19]).unwrap(),
        10
    );
    assert_eq!(client.execute("DELETE FROM t WHERE n > $1", &[&1000]).unwrap(), 10);
    let upsert = "INSERT INTO t (name, n) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = t.n + excluded.n RETURNING n";
    assert_eq!(client.query_one(upsert, &[&"row 1", &41]).unwrap().get::<_, i32>(0), 42);
    client.batch_execute("ALTER TABLE t ADD COLUMN extra int DEFAULT 5").unwrap();
    let sum: i64 = client.query_one("SELECT sum(extra) FROM t", &[]).unwrap().get(0);
    assert_eq!(sum, 450);
    client.batch_execute("ALTER TABLE t DROP COLUMN n; TRUNCATE t").unwrap();
    assert_eq!(client.query("SELECT * FROM t", &[]).unwrap().len(), 0);
    client.batch_execute("DROP TABLE t").unwrap();
    assert_eq!(state(&client.query("SELECT * FROM t", &[]).unwrap_err()), "42P01");
}

#[test]
fn a_database_is_dropped_with_its_sessions() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE DATABASE busy").unwrap();
    let inside = || {
        let parameters = server.connection_string().replace("dbname=postgres", "dbname=busy");
        Client::connect(&parameters, postgres::NoTls).expect("connect")
    };
    let mut session = inside();
    client.batch_execute("DROP DATABASE busy WITH (FORCE)").unwrap();
    let error = session.batch_execute("SELECT 1").unwrap_err();
    assert!(error.is_closed() || state(&error) == "57P01", "{error}");
    assert_eq!(state(&client.batch_execute("DROP DATABASE busy").unwrap_err()), "3D000");

    // Whoever has just left is waited for.
    client.batch_execute("CREATE DATABASE busy").unwrap();
    drop(inside());
    client.batch_execute("DROP DATABASE busy").unwrap();
}

#[test]
fn queries_with_parameters() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT g, 'v' || g FROM generate_series(1, 50) g").unwrap();
    let rows = client
        .query(
            "WITH low AS (SELECT id FROM a WHERE id <= $1) \
             SELECT a.id, count(l.id) FROM a LEFT JOIN low l ON l.id < a.id WHERE a.v = ANY($2) GROUP BY a.id \
             HAVING count(l.id) > $3 UNION ALL SELECT $1, -1 ORDER BY 1 DESC LIMIT 3",
            &[&5i32, &vec!["v2", "v4", "v40"], &1i64],
        )
        .unwrap();
    let pairs: Vec<(i32, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(pairs, [(40, 5), (5, -1), (4, 3)]);
    let one =
        client.query_one("SELECT v FROM a WHERE id = (SELECT max(id) FROM a WHERE id < $1)", &[&10]).unwrap();
    assert_eq!(one.get::<_, &str>(0), "v9");
    assert_eq!(state(&client.query("SELECT 1 / ($1::int - 1)", &[&1]).unwrap_err()), "22012");
}

#[test]
fn values_in_binary_format() {
    let server = TestServer::start();
    let mut client = server.connect();
    let row = client
        .query_one(
            "SELECT $1::smallint, $2::int, $3::bigint, $4::real, $5::double precision, $6::boolean, $7::text, $8::bytea, \
             $9::int[], $10::text[], $11::varchar, $12::\"char\"",
            &[
                &i16::MIN, &i32::MAX, &i64::MIN, &1.5f32, &f64::MAX, &true, &"häß\u{1f426}", &&b"\x00\xff"[..],
                &vec![Some(1), None], &vec!["a", "b c"], &"v", &65i8,
            ],
        )
        .unwrap();
    assert_eq!(
        (row.get::<_, i16>(0), row.get::<_, i32>(1), row.get::<_, i64>(2)),
        (i16::MIN, i32::MAX, i64::MIN)
    );
    assert_eq!((row.get::<_, f32>(3), row.get::<_, f64>(4), row.get::<_, bool>(5)), (1.5, f64::MAX, true));
    assert_eq!((row.get::<_, &str>(6), row.get::<_, &[u8]>(7)), ("häß\u{1f426}", &b"\x00\xff"[..]));
    assert_eq!(row.get::<_, Vec<Option<i32>>>(8), [Some(1), None]);
    assert_eq!(row.get::<_, Vec<String>>(9), ["a", "b c"]);
    assert_eq!((row.get::<_, &str>(10), row.get::<_, i8>(11)), ("v", 65));
    let time: std::time::SystemTime =
        client.query_one("SELECT timestamptz '2000-01-01 00:00:01+00'", &[]).unwrap().get(0);
    assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 946_684_801);
}

#[test]
fn transactions_cursors_and_copy() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE t (a int PRIMARY KEY, b text)").unwrap();
    let mut transaction = client.transaction().unwrap();
    transaction.execute("INSERT INTO t VALUES (1, 'kept')", &[]).unwrap();
    let mut savepoint = transaction.savepoint("s").unwrap();
    assert_eq!(state(&savepoint.execute("INSERT INTO t VALUES (1, 'again')", &[]).unwrap_err()), "23505");
    savepoint.rollback().unwrap();
    transaction.commit().unwrap();

    let mut writer = client.copy_in("COPY t FROM STDIN").unwrap();
    for n in 2..=1000 {
        writeln!(writer, "{n}\ttext\\t{n}").unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 999);
    let mut text = String::new();
    client
        .copy_out("COPY (SELECT * FROM t WHERE a > 998 ORDER BY a) TO STDOUT (FORMAT csv)")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "999,text\t999\n1000,text\t1000\n");

    let mut transaction = client.transaction().unwrap();
    let portal = transaction.bind("SELECT a FROM t WHERE a > $1 ORDER BY a", &[&990]).unwrap();
    let pages: Vec<usize> = (0..4).map(|_| transaction.query_portal(&portal, 4).unwrap().len()).collect();
    assert_eq!(pages, [4, 4, 2, 0]);
    let locked = transaction.query("SELECT a FROM t WHERE a = 5 FOR UPDATE", &[]).unwrap();
    assert_eq!(locked.len(), 1);
    let mut other = server.connect();
    assert_eq!(
        state(&other.query("SELECT a FROM t WHERE a = 5 FOR UPDATE NOWAIT", &[]).unwrap_err()),
        "55P03"
    );
    let skipped =
        other.query("SELECT a FROM t WHERE a IN (5, 6) ORDER BY a FOR UPDATE SKIP LOCKED", &[]).unwrap();
    assert_eq!(skipped.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [6]);
    transaction.rollback().unwrap();

    let many: Vec<i32> = client
        .query_raw("SELECT generate_series(1, 3)", std::iter::empty::<i32>())
        .unwrap()
        .map(|row| Ok(row.get(0)))
        .collect()
        .unwrap();
    assert_eq!(many, [1, 2, 3]);
    let shown = client.simple_query("SET work_mem = '8MB'; SHOW work_mem").unwrap();
    assert!(
        shown
            .iter()
            .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("8MB")))
    );
}
