//! No statement keeps other sessions waiting, whatever it is about: with a single worker, while one session is in an endless one, another
//! is served; and the endless one hears its cancel.

use postgres::{Client, NoTls};
use serin_tests::TestServer;
use serin_tests::raw::{self, RawClient};
use std::time::{Duration, Instant};

const SCHEMA: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int);
    INSERT INTO t VALUES (1, 1);
    CREATE FUNCTION endless() RETURNS int LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$;
    CREATE FUNCTION endless_immutable(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN LOOP END LOOP; END $$;
    CREATE FUNCTION endless_sql() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM generate_series(1, 1000000000000)';
    CREATE PROCEDURE endlessly() LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$;
    CREATE FUNCTION endless_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$;
    CREATE TABLE before (id int PRIMARY KEY, n int);
    INSERT INTO before VALUES (1, 1);
    CREATE TRIGGER a BEFORE UPDATE ON before FOR EACH ROW EXECUTE FUNCTION endless_trigger();
    CREATE TABLE deferred (id int PRIMARY KEY, n int);
    CREATE CONSTRAINT TRIGGER a AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION endless_trigger();
    CREATE TABLE defaults (id int PRIMARY KEY, n int DEFAULT endless());
    CREATE TABLE checks (id int PRIMARY KEY, n int CHECK (endless_immutable(n) > 0));
    CREATE TABLE generated (id int PRIMARY KEY, n int GENERATED ALWAYS AS (endless_immutable(id)) STORED);
    CREATE DOMAIN checked AS int CHECK (endless_immutable(VALUE) > 0);
    CREATE VIEW v AS SELECT endless() AS n;
    CREATE MATERIALIZED VIEW m AS SELECT endless() AS n WITH NO DATA;
";

/// Scripts, each a statement that never ends after some that prepare it.
const ENDLESS: &[&[&str]] = &[
    &["DO $$ BEGIN LOOP END LOOP; END $$"],
    &["CALL endlessly()"],
    &["SELECT endless()"],
    &["SELECT endless_immutable(1)"],
    &["SELECT endless_sql()"],
    &["SELECT n + endless() FROM t WHERE id = 1"],
    &["SELECT endless_immutable(1) FROM t WHERE id = 1"],
    &["SELECT * FROM t WHERE id = endless()"],
    &["SELECT * FROM t WHERE id = 1 AND endless() = 1"],
    &["SELECT pg_sleep(1000)"],
    &["UPDATE t SET n = 2 WHERE id = 1 AND pg_sleep(1000) IS NULL"],
    &["UPDATE t SET n = endless() WHERE id = 1"],
    &["UPDATE before SET n = 2 WHERE id = 1"],
    &["BEGIN", "INSERT INTO deferred VALUES (1, 1)", "COMMIT"],
    &["INSERT INTO deferred VALUES (1, 1)"],
    &["INSERT INTO defaults VALUES (1)"],
    &["INSERT INTO checks VALUES (1, 1)"],
    &["INSERT INTO generated VALUES (1)"],
    &["INSERT INTO t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = endless()"],
    &["DELETE FROM t WHERE id = 1 RETURNING endless()"],
    &["MERGE INTO t USING (VALUES (1)) v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET n = endless()"],
    &["SELECT 1::checked"],
    &["SELECT * FROM v"],
    &["REFRESH MATERIALIZED VIEW m"],
    &["CREATE TABLE made AS SELECT endless()"],
    &["CREATE INDEX ON t (endless_immutable(n))"],
    &["ALTER TABLE t ADD COLUMN m int DEFAULT endless()"],
    &["PREPARE p AS SELECT endless()", "EXECUTE p"],
    &["PREPARE q AS UPDATE t SET n = endless() WHERE id = $1", "EXECUTE q (1)"],
    &["EXPLAIN ANALYZE SELECT endless()"],
    &["COPY (SELECT endless()) TO '/dev/null'"],
    &["BEGIN", "DECLARE c CURSOR FOR SELECT endless()", "FETCH c"],
    &["SELECT count(*) FROM generate_series(1, 1000000000000)"],
    &["WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT count(*) FROM r"],
    &["SELECT pg_advisory_lock(1)"],
    &["BEGIN", "LOCK TABLE locked"],
    &["SELECT * FROM locked"],
];

fn served(client: &mut Client, script: &[&str]) {
    let since = Instant::now();
    client.batch_execute("SELECT 1").unwrap();
    // An error of the test's own, much later than what is right and much earlier than what is wrong.
    assert!(since.elapsed() < Duration::from_secs(20), "{script:?} keeps others waiting");
}

fn is_active(client: &mut Client) -> bool {
    let query =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'endless' AND state = 'active'";
    client.query_one(query, &[]).unwrap().get::<_, i64>(0) == 1
}

#[test]
fn an_endless_statement_keeps_nobody_waiting() {
    let server = TestServer::start_with(&["--worker-threads", "1"]);
    // One that has been served before is a task of the worker; a new one has to be accepted by it.
    let mut other = server.connect();
    other.batch_execute(SCHEMA).unwrap();
    other.batch_execute("CREATE TABLE locked (id int)").unwrap();
    other.batch_execute("BEGIN; LOCK TABLE locked; SELECT pg_advisory_lock(1)").unwrap();
    for extended in [false, true] {
        for script in ENDLESS {
            let connection = format!("{} application_name=endless", server.connection_string());
            let mut client = Client::connect(&connection, NoTls).unwrap();
            let (last, before) = script.split_last().expect("it is not empty");
            for sql in before {
                client.batch_execute(sql).unwrap();
            }
            let cancel = client.cancel_token();
            let last = (*last).to_owned();
            let running = std::thread::spawn(move || match extended {
                true => client.execute(&last, &[]).map(drop),
                false => client.batch_execute(&last),
            });
            while !is_active(&mut other) {
                assert!(!running.is_finished(), "{script:?}: {:?}", running.join());
                std::thread::yield_now();
            }
            for _ in 0..3 {
                served(&mut other, script);
            }
            served(&mut server.connect(), script);
            while !running.is_finished() {
                cancel.cancel_query(NoTls).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            let error = running.join().unwrap().expect_err("it was cancelled");
            assert_eq!(error.code().map(|code| code.code()), Some("57014"), "{script:?}: {error:?}");
        }
    }
}

/// FETCH runs the plan of a portal that Bind made and nobody has executed.
#[test]
fn a_fetch_from_a_portal_that_was_only_bound_keeps_nobody_waiting() {
    let server = TestServer::start_with(&["--worker-threads", "1"]);
    let mut other = server.connect();
    other.batch_execute(SCHEMA).unwrap();
    let name = [("user", "postgres"), ("application_name", "endless")];
    let mut client = RawClient::start_up(server.address(), &name);
    client.query("BEGIN");
    let bound = [raw::parse("SELECT endless()"), raw::bind("p"), raw::sync()].concat();
    assert_eq!(client.ask(&bound), "1 2 Z(T)");
    let (pid, running) = (client.pid, std::thread::spawn(move || client.query("FETCH p")));
    while !is_active(&mut other) {
        assert!(!running.is_finished(), "{:?}", running.join());
        std::thread::yield_now();
    }
    served(&mut other, &["FETCH p"]);
    while !running.is_finished() {
        other.execute("SELECT pg_cancel_backend($1)", &[&pid]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(running.join().unwrap(), "ERROR(57014) Z(E)");
}
