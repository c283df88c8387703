//! Notices reach the client while their statement runs.

use serin_tests::raw::query;
use serin_tests::{RawClient, TestServer, brief, error_field, frame};

/// The next message, which is a notice.
fn notice(client: &mut RawClient) -> String {
    let (tag, body) = client.receive().expect("a message");
    assert_eq!(tag, b'N', "{}", String::from_utf8_lossy(&body));
    error_field(&body, b'M')
}

const WAITS: &str =
    "DO $$ BEGIN RAISE NOTICE 'before'; PERFORM pg_advisory_lock(1); RAISE NOTICE 'after'; END $$";

#[test]
fn a_notice_does_not_wait_for_the_end_of_its_statement() {
    let server = TestServer::start();
    let mut holder = server.connect();
    let functions = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
            BEGIN RAISE NOTICE 'before'; PERFORM pg_advisory_lock(1); RAISE NOTICE 'after'; RETURN 1; END $$;
        CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); RETURN new; END $$;
        CREATE TABLE a (id int PRIMARY KEY);
        CREATE TRIGGER t BEFORE INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION t();
        CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); END $$";
    holder.batch_execute(functions).unwrap();
    let scripts = [
        (WAITS, "N C(DO) Z(I)"),
        ("SELECT f()", "N T D*1 C(SELECT 1) Z(I)"),
        ("INSERT INTO a VALUES (1)", "N C(INSERT 0 1) Z(I)"),
        ("UPDATE a SET id = 2 WHERE id = 1", "N C(UPDATE 1) Z(I)"),
        ("CALL p()", "N C(CALL) Z(I)"),
    ];
    for (sql, rest) in scripts {
        holder.batch_execute("SELECT pg_advisory_lock(1)").unwrap();
        let mut client = server.raw();
        client.send(&query(sql));
        assert_eq!(notice(&mut client), "before", "{sql}");
        holder.batch_execute("SELECT pg_advisory_unlock(1)").unwrap();
        let all = client.until_ready();
        assert_eq!(brief(&all), rest, "{sql}");
    }
}

#[test]
fn what_stands_before_a_notice_comes_before_it() {
    let server = TestServer::start();
    let mut holder = server.connect();
    holder.batch_execute("CREATE TABLE t (id int); SELECT pg_advisory_lock(1)").unwrap();
    let mut client = server.raw();
    client.send(&query(&format!("SELECT 1; INSERT INTO t VALUES (1); {WAITS}; SELECT 2")));
    let mut messages = Vec::new();
    while messages.last().is_none_or(|(tag, _)| *tag != b'N') {
        messages.push(client.receive().expect("a message"));
    }
    assert_eq!(brief(&messages), "T D*1 C(SELECT 1) C(INSERT 0 1) N");
    holder.batch_execute("SELECT pg_advisory_unlock(1)").unwrap();
    assert_eq!(brief(&client.until_ready()), "N C(DO) T D*1 C(SELECT 1) Z(I)");
    // The answer to a commit waits for it to be durable, and a notice behind it for the answer.
    let pipeline = [
        frame(b'P', b"\0COMMIT\0\0\0"),
        frame(b'B', b"\0\0\0\0\0\0\0\0"),
        frame(b'E', b"\0\0\0\0\0"),
        frame(b'P', b"\0DO 'BEGIN RAISE NOTICE ''said''; END'\0\0\0"),
        frame(b'B', b"\0\0\0\0\0\0\0\0"),
        frame(b'E', b"\0\0\0\0\0"),
        frame(b'S', b""),
    ];
    assert_eq!(client.query("BEGIN; INSERT INTO t VALUES (2)"), "C(BEGIN) C(INSERT 0 1) Z(T)");
    assert_eq!(client.ask(&pipeline.concat()), "1 2 C(COMMIT) 1 2 N C(DO) Z(I)");
}

#[test]
fn notices_are_in_the_clients_encoding() {
    let server = TestServer::start();
    let mut client =
        RawClient::start_up(server.address(), &[("user", "postgres"), ("client_encoding", "LATIN1")]);
    client.send(&query("DO $$ BEGIN RAISE NOTICE '%', chr(252); END $$"));
    let (_, body) = client.receive().expect("a message");
    assert!(body.windows(3).any(|bytes| bytes == b"M\xfc\0"), "{body:?}");
    assert_eq!(brief(&client.until_ready()), "C(DO) Z(I)");
}

#[test]
fn a_client_that_does_not_read_its_notices_takes_no_memory_and_can_be_cancelled() {
    let server = TestServer::start();
    let mut other = server.connect();
    let mut client = server.raw();
    client.send(&query("SELECT pg_backend_pid()"));
    let row = client.until_ready().into_iter().find(|(tag, _)| *tag == b'D').expect("a row").1;
    let pid: i32 = std::str::from_utf8(&row[6..]).unwrap().parse().unwrap();
    let before = serin_tests::memory_bytes(server.pid());
    client.send(&query("DO $$ BEGIN LOOP RAISE NOTICE '%', repeat('x', 10000); END LOOP; END $$"));
    let waits = |other: &mut postgres::Client| {
        // It stands still once the socket's buffers are full: no processor time passes.
        let cpu = serin_tests::cpu_seconds(server.pid());
        std::thread::sleep(std::time::Duration::from_millis(300));
        other.batch_execute("SELECT 1").unwrap();
        serin_tests::cpu_seconds(server.pid()) - cpu < 0.1
    };
    while !waits(&mut other) {}
    let grown = serin_tests::memory_bytes(server.pid()).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    assert!(other.query_one("SELECT pg_cancel_backend($1)", &[&pid]).unwrap().get::<_, bool>(0));
    let messages = client.until_ready();
    let end: Vec<_> = messages.into_iter().skip_while(|(tag, _)| *tag == b'N').collect();
    assert_eq!(brief(&end), "ERROR(57014) Z(I)");
    // One who goes away while he is being told things is gone.
    client.send(&query("DO $$ BEGIN LOOP RAISE NOTICE '%', repeat('x', 10000); END LOOP; END $$"));
    let _ = client.receive();
    drop(client);
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
    while other.query_one(gone, &[&pid]).unwrap().get::<_, i64>(0) > 0 {
        std::thread::yield_now();
    }
}
