//! COPY of many rows into tables that others use: rows go to disk as runs, and must behave as if inserted one by one.

use postgres::{Client, NoTls};
use serin_tests::TestServer;
use std::io::Write;
use std::time::Duration;

fn copy(
    client: &mut impl postgres::GenericClient,
    rows: impl Iterator<Item = i64>,
) -> Result<u64, postgres::Error> {
    let mut data = String::new();
    rows.for_each(|id| data.push_str(&format!("{id}\trow {id}\n")));
    let mut writer = client.copy_in("COPY t FROM STDIN")?;
    writer.write_all(data.as_bytes()).expect("the connection takes it");
    writer.finish()
}

fn count(client: &mut Client, condition: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM t WHERE {condition}"), &[]).unwrap().get(0)
}

fn code(error: &postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

#[test]
fn copy_into_a_table_with_rows_behaves_as_inserts_do() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, b text); INSERT INTO t VALUES (7, 'old'), (90000, 'old')",
        )
        .unwrap();
    // Beside, below and above what is there, in order and not.
    assert_eq!(copy(&mut client, 10_000..20_000).unwrap(), 10_000);
    assert_eq!(copy(&mut client, 0..5).unwrap(), 5);
    assert_eq!(copy(&mut client, (30_000..33_000).rev()).unwrap(), 3000);
    assert_eq!(count(&mut client, "true"), 13_007);
    assert_eq!(count(&mut client, "id >= 15000 AND id < 15010 AND b = 'row ' || id"), 10);
    // A key that is there: nothing of the COPY stays, and the error says where.
    let error = copy(&mut client, 88_000..95_000).unwrap_err();
    assert_eq!(code(&error), "23505");
    let said = error.as_db_error().unwrap();
    assert!(said.where_().is_some_and(|place| place.contains("COPY t, line 2001")), "{said:?}");
    assert!(said.detail().is_some_and(|detail| detail.contains("(id)=(90000)")), "{said:?}");
    // One that comes twice in the input.
    let error = copy(&mut client, (40_000..45_000).chain([44_000])).unwrap_err();
    assert_eq!(code(&error), "23505");
    assert_eq!(count(&mut client, "true"), 13_007);
    // In a transaction: seen by later statements, changed by them, taken back with a savepoint.
    let mut transaction = client.transaction().unwrap();
    assert_eq!(copy(&mut transaction, 50_000..55_000).unwrap(), 5000);
    assert_eq!(
        transaction.execute("UPDATE t SET b = 'changed' WHERE id BETWEEN 50000 AND 50099", &[]).unwrap(),
        100
    );
    assert_eq!(transaction.execute("DELETE FROM t WHERE id >= 54000 AND id < 55000", &[]).unwrap(), 1000);
    let mut savepoint = transaction.savepoint("s").unwrap();
    // Keys that it deleted itself are free again.
    assert_eq!(copy(&mut savepoint, 54_000..56_000).unwrap(), 2000);
    savepoint.rollback().unwrap();
    transaction.commit().unwrap();
    assert_eq!(count(&mut client, "id >= 50000 AND id < 60000"), 4000);
    assert_eq!(count(&mut client, "b = 'changed'"), 100);
    // After a crash, and after a fold.
    server.kill_9();
    server.check().unwrap();
    server.restart();
    let mut client = server.connect();
    assert_eq!(count(&mut client, "true"), 17_007);
    client.batch_execute("VACUUM").unwrap();
    assert_eq!(count(&mut client, "true"), 17_007);
    assert!(server.stop().success());
    server.check().unwrap();
}

#[test]
fn copy_meets_others_as_inserts_do() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, b text)").unwrap();
    let connection = server.connection_string();
    let beside = |work: fn(&mut Client) -> Result<u64, postgres::Error>| {
        let connection = connection.clone();
        std::thread::spawn(move || work(&mut Client::connect(&connection, NoTls).unwrap()))
    };
    let waits = |client: &mut Client| {
        for _ in 0..2000 {
            let row = client.query_one("SELECT count(*) FROM pg_locks WHERE NOT granted", &[]).unwrap();
            if row.get::<_, i64>(0) > 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("nobody waits");
    };
    // A COPY that is not committed yet: an insert of one of its keys waits, and then fails or not.
    for commits in [true, false] {
        let mut judge = server.connect();
        let mut transaction = client.transaction().unwrap();
        copy(&mut transaction, 0..5000).unwrap();
        let other = beside(|other| other.execute("INSERT INTO t VALUES (4321, 'other')", &[]));
        waits(&mut judge);
        assert_eq!(count(&mut judge, "true"), 0, "nobody sees the rows");
        if commits {
            transaction.commit().unwrap();
            assert_eq!(code(&other.join().unwrap().unwrap_err()), "23505");
        } else {
            transaction.rollback().unwrap();
            assert_eq!(other.join().unwrap().unwrap(), 1);
        }
        client.batch_execute("TRUNCATE t").unwrap();
    }
    // A row that is not committed yet: the COPY waits for it.
    let mut judge = server.connect();
    let mut transaction = client.transaction().unwrap();
    transaction.execute("INSERT INTO t VALUES (4321, 'first')", &[]).unwrap();
    let other = beside(|other| copy(other, 0..5000));
    waits(&mut judge);
    transaction.commit().unwrap();
    assert_eq!(code(&other.join().unwrap().unwrap_err()), "23505");
    assert_eq!(count(&mut judge, "true"), 1);
    // Two that overlap: one of them wins, whole.
    for round in 0..5 {
        client.batch_execute("TRUNCATE t").unwrap();
        let (first, second) =
            (beside(|other| copy(other, 0..8000)), beside(|other| copy(other, 4000..12_000)));
        let outcomes = [first.join().unwrap(), second.join().unwrap()];
        let wins = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(wins <= 1, "round {round}: both have the keys 4000 to 7999");
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(["23505", "40P01"].contains(&code(error).as_str()), "{error:?}");
        }
        assert_eq!(count(&mut judge, "true"), 8000 * wins as i64);
    }
    // Without a key nothing can overlap.
    client.batch_execute("DROP TABLE t; CREATE TABLE t (id bigint, b text)").unwrap();
    let others: Vec<_> = (0..3).map(|_| beside(|other| copy(other, 0..6000))).collect();
    others.into_iter().for_each(|other| assert_eq!(other.join().unwrap().unwrap(), 6000));
    assert_eq!(count(&mut judge, "true"), 18_000);
}

#[test]
fn a_backup_of_a_running_server_starts_as_one() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE t (id bigserial PRIMARY KEY, b text UNIQUE);
             INSERT INTO t (b) SELECT 'row ' || i FROM generate_series(1, 5000) i",
        )
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (online, offline) = (dir.path().join("online"), dir.path().join("offline"));
    client.batch_execute(&format!("BACKUP TO '{}'", online.display())).unwrap();
    assert_eq!(
        code(&client.batch_execute(&format!("BACKUP TO '{}'", online.display())).unwrap_err()),
        "58030"
    );
    client.batch_execute("INSERT INTO t (b) VALUES ('after')").unwrap();
    assert!(server.stop().success());
    server.run(&["backup", "--to", offline.to_str().unwrap()]).unwrap();
    for (data, rows) in [(&online, 5000), (&offline, 5001)] {
        let mut copy = TestServer::start_in(data, &[]).unwrap();
        let mut client = copy.connect();
        assert_eq!(count(&mut client, "true"), rows);
        assert_eq!(code(&client.batch_execute("INSERT INTO t (b) VALUES ('row 7')").unwrap_err()), "23505");
        client.batch_execute("INSERT INTO t (b) VALUES ('new'); CREATE TABLE u (id int)").unwrap();
        assert_eq!(count(&mut client, "true"), rows + 1);
        assert!(copy.stop().success());
        copy.check().unwrap();
    }
}

#[test]
fn insert_select_behaves_as_single_inserts_do() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE s (a int, b int, c text);
             INSERT INTO s SELECT (g * 7919::bigint) % 20011, g % 100, 'r' || g FROM generate_series(1, 20000) g;
             CREATE TABLE t (id int PRIMARY KEY, b int, c text UNIQUE);
             CREATE INDEX t_b ON t (b);
             CREATE INDEX t_even ON t (c) WHERE b % 2 = 0;
             INSERT INTO t VALUES (-5, 1, 'old'), (50000, 2, 'older')",
        )
        .unwrap();
    let by_index = |client: &mut Client, condition: &str| {
        client.batch_execute("SET enable_seqscan = off").unwrap();
        count(client, condition)
    };
    // Keys in no order, into a table that has rows and indexes.
    assert_eq!(client.execute("INSERT INTO t SELECT * FROM s", &[]).unwrap(), 20_000);
    assert_eq!(count(&mut client, "true"), 20_002);
    assert_eq!(by_index(&mut client, "b = 7"), 200);
    assert_eq!(by_index(&mut client, "c = 'r777'"), 1);
    // A key that is there, in either unique index: the statement does nothing.
    for (insert, constraint) in [
        ("INSERT INTO t SELECT a, b, c || 'z' FROM s", "t_pkey"),
        ("INSERT INTO t SELECT a + 100000, b, c FROM s", "t_c_key"),
        // One that comes twice.
        ("INSERT INTO t SELECT 100000 + a / 2, b, c || 'z' FROM s", "t_pkey"),
        ("INSERT INTO t SELECT a + 100000, b, 'n' || a / 2 FROM s", "t_c_key"),
    ] {
        let error = client.execute(insert, &[]).unwrap_err();
        let said = error.as_db_error().unwrap();
        assert_eq!((said.code().code(), said.constraint()), ("23505", Some(constraint)), "{insert}");
        assert!(said.where_().is_none(), "{said:?}");
        assert_eq!(count(&mut client, "true"), 20_002);
    }
    // What has to be known of each row is: a view's condition, a trigger's transition table.
    client
        .batch_execute(
            "CREATE VIEW low AS SELECT * FROM t WHERE id < 120005 WITH CHECK OPTION;
             CREATE TABLE seen (rows bigint);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN INSERT INTO seen SELECT count(*) FROM new_rows; RETURN NULL; END';
             CREATE TABLE noted (a int);
             CREATE TRIGGER note AFTER INSERT ON noted REFERENCING NEW TABLE AS new_rows
                 FOR EACH STATEMENT EXECUTE FUNCTION note()",
        )
        .unwrap();
    let error = client.execute("INSERT INTO low SELECT a + 100000, b, c || 'z' FROM s", &[]).unwrap_err();
    assert_eq!(code(&error), "44000");
    assert_eq!(count(&mut client, "true"), 20_002);
    client.execute("INSERT INTO noted SELECT a FROM s", &[]).unwrap();
    assert_eq!(client.query_one("SELECT rows FROM seen", &[]).unwrap().get::<_, i64>(0), 20_000);
    // NULLs are not alike; a statement does not see itself.
    let inserted = client.execute("INSERT INTO t SELECT id + 200000, b, NULL FROM t", &[]).unwrap();
    assert_eq!(inserted, 20_002);
    assert_eq!(client.execute("INSERT INTO s SELECT a + 1000000, b, c FROM s", &[]).unwrap(), 20_000);
    // Beside what the transaction has done to the same keys, and taken back.
    let low = count(&mut client, "id BETWEEN 0 AND 9999") as u64;
    let mut transaction = client.transaction().unwrap();
    assert_eq!(transaction.execute("DELETE FROM t WHERE id BETWEEN 0 AND 9999", &[]).unwrap(), low);
    let again = "INSERT INTO t SELECT a, b, c FROM s WHERE a < 10000";
    assert_eq!(transaction.execute(again, &[]).unwrap(), low);
    let mut savepoint = transaction.savepoint("s").unwrap();
    let more = "INSERT INTO t SELECT a + 300000, b, c || 'more' FROM s WHERE a < 1000000";
    assert_eq!(savepoint.execute(more, &[]).unwrap(), 20_000);
    savepoint.rollback().unwrap();
    let changed =
        transaction.execute("UPDATE t SET b = 1000 WHERE id BETWEEN 1 AND 100", &[]).unwrap() as i64;
    assert!(changed > 90);
    transaction.commit().unwrap();
    assert_eq!(by_index(&mut client, "b = 1000"), changed);
    assert_eq!(by_index(&mut client, "b >= 0"), 40_004);
    // An uncommitted row with one of the keys: the INSERT waits for it.
    let mut transaction = client.transaction().unwrap();
    transaction.execute("INSERT INTO t VALUES (404321, 1, 'first')", &[]).unwrap();
    let connection = server.connection_string();
    let other = std::thread::spawn(move || {
        let mut other = Client::connect(&connection, NoTls).unwrap();
        other.execute("INSERT INTO t SELECT 400000 + a, b, 'w' || a FROM s WHERE a < 1000000", &[])
    });
    let mut judge = server.connect();
    let given_up_at = std::time::Instant::now() + Duration::from_secs(60);
    while judge.query_one("SELECT count(*) FROM pg_locks WHERE NOT granted", &[]).unwrap().get::<_, i64>(0)
        == 0
    {
        assert!(std::time::Instant::now() < given_up_at, "nobody waits");
    }
    transaction.commit().unwrap();
    assert_eq!(code(&other.join().unwrap().unwrap_err()), "23505");
    // After a crash every index agrees with its table.
    server.kill_9();
    server.check().unwrap();
    server.restart();
    let mut client = server.connect();
    assert_eq!(count(&mut client, "true"), 40_005);
    client.batch_execute("VACUUM").unwrap();
    assert_eq!(by_index(&mut client, "b = 1000"), changed);
    assert!(server.stop().success());
    server.check().unwrap();
}
