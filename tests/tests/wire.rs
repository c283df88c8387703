//! The real server under clients that misbehave, vanish, come by the thousand, or find it in a bad place. The protocol itself is
//! tested message by message in `server/src/tests/`; here is what needs an engine, a socket and a disk.

use serin_tests::raw::{bind, execute, parse, run, sync};
use serin_tests::{RawClient, TestServer, brief, error_field, frame, startup_packet};
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// After whatever a test did: the server answers new sessions, and the session given still works.
fn still_serves(server: &TestServer, old: &mut postgres::Client) {
    assert_eq!(server.connect().query_one("SELECT 1", &[]).unwrap().get::<_, i32>(0), 1);
    assert_eq!(old.query_one("SELECT 2", &[]).unwrap().get::<_, i32>(0), 2);
}

/// Waits for what a query says to become true: the effects of a client's end are not immediate.
fn eventually(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "not within 30 seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn malformed_messages_harm_nobody_else() {
    let server = TestServer::start();
    let mut bystander = server.connect();
    // Errors within a frame: reported, the session goes on.
    let mut client = server.raw();
    assert_eq!(client.ask(&frame(b'Q', b"SELECT 1")), "ERROR(08P01) Z(I)");
    assert_eq!(client.ask(&frame(b'Q', b"SELECT '\xff'\0")), "ERROR(22021) Z(I)");
    assert_eq!(client.ask(&frame(b'F', b"\0\0\0\x01")), "ERROR(08P01) Z(I)");
    assert_eq!(client.ask(&[frame(b'B', b"\0\0\xff\xff"), sync()].concat()), "ERROR(08P01) Z(I)");
    assert_eq!(client.ask(&[frame(b'E', b"p\0\0\0\0\0"), sync()].concat()), "ERROR(34000) Z(I)");
    // Errors of the frame itself: FATAL, the session ends.
    for bytes in [
        &b"?\0\0\0\x04"[..],
        b"Q\0\0\0\x03",
        b"Q\xff\xff\xff\xff",
        b"P\x7f\xff\xff\xff",
        b"S\x00\x01\x00\x00",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
    ] {
        let mut client = server.raw();
        client.send(bytes);
        assert_eq!(client.until_closed(), "FATAL(08P01)", "{bytes:?}");
    }
    still_serves(&server, &mut bystander);
}

#[test]
fn garbage_at_startup() {
    let server = TestServer::start();
    let mut bystander = server.connect();
    for (bytes, answer) in [
        (&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "FATAL(08P01)"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "FATAL(08P01)"),
        (b"\0\0\0\x09\0\x02\0\0\0", "FATAL(0A000)"),
        (b"\0\0\0\0", "FATAL(08P01)"),
        (b"\0\0\0\x10\0\x03\0\0user\0x\0\xff", "FATAL(08P01)"),
    ] {
        let mut client = RawClient::open(server.address());
        client.send(bytes);
        assert_eq!(client.until_closed(), answer, "{bytes:?}");
    }
    let refused = |parameters: &[(&str, &str)]| {
        let mut client = RawClient::open(server.address());
        client.send(&startup_packet(parameters));
        client.until_closed()
    };
    assert_eq!(refused(&[]), "FATAL(28000)");
    assert_eq!(refused(&[("user", "postgres"), ("database", "nowhere")]), "FATAL(3D000)");
    assert_eq!(refused(&[("user", "nobody"), ("database", "postgres")]), "FATAL(28000)");
    assert_eq!(refused(&[("user", "postgres"), ("replication", "true")]), "FATAL(0A000)");
    assert_eq!(refused(&[("user", "postgres"), ("options", "-c no_such_setting=1")]), "FATAL(42704)");
    still_serves(&server, &mut bystander);
}

#[test]
fn startup_parameters_become_settings() {
    let server = TestServer::start();
    let options = "options='-c concurrency_mode=2pl -c statement_timeout=5s' application_name=wire";
    let mut client = server.try_connect(options).unwrap();
    let mut show = |name: &str| client.query_one(&format!("SHOW {name}"), &[]).unwrap().get::<_, String>(0);
    assert_eq!(show("concurrency_mode"), "2pl");
    assert_eq!(show("statement_timeout"), "5s");
    assert_eq!(show("application_name"), "wire");
}

#[test]
fn half_a_message_and_gone() {
    let server = TestServer::start();
    let mut bystander = server.connect();
    for bytes in [&b"Q"[..], b"Q\0\0\0\xffSELECT", b"B\0\0", b"d\0\0\0\x10a"] {
        let mut client = server.raw();
        client.send(bytes);
    }
    still_serves(&server, &mut bystander);
}

#[test]
fn an_error_in_a_pipeline_skips_to_sync_and_undoes_it() {
    let server = TestServer::start();
    let mut client = server.raw();
    client.query("CREATE TABLE t (id int PRIMARY KEY)");
    let batch = [run("INSERT INTO t VALUES (1)"), run("SELECT 1/0"), run("INSERT INTO t VALUES (2)"), sync()];
    assert_eq!(client.ask(&batch.concat()), "1 2 C(INSERT 0 1) 1 2 ERROR(22012) Z(I)");
    let batch = [run("INSERT INTO t VALUES (3)"), sync(), run("SELECT id FROM t"), sync()];
    client.send(&batch.concat());
    assert_eq!(brief(&client.until_ready()), "1 2 C(INSERT 0 1) Z(I)");
    assert_eq!(brief(&client.until_ready()), "1 2 D*1 C(SELECT 1) Z(I)");
}

#[test]
fn portals_suspend() {
    let server = TestServer::start();
    let mut client = server.raw();
    let open = [parse("SELECT * FROM generate_series(1, 5)"), bind("")].concat();
    let batch = [open, execute(2), execute(2), execute(2), sync()].concat();
    assert_eq!(client.ask(&batch), "1 2 D*2 s D*2 s D*1 C(SELECT 1) Z(I)");
    // Larger than the output buffer, with a limit inside of it.
    let open = [parse("SELECT * FROM generate_series(1, 300000)"), bind("")].concat();
    let batch = [open, execute(200_000), execute(0), sync()].concat();
    assert_eq!(client.ask(&batch), "1 2 D*200000 s D*100000 C(SELECT 100000) Z(I)");
}

#[test]
fn portals_compute_what_is_fetched() {
    let server = TestServer::start();
    let mut client = server.raw();
    client.query("CREATE SEQUENCE s");
    let bytes =
        [parse("SELECT nextval('s') FROM generate_series(1, 100)"), bind(""), execute(3), sync()].concat();
    assert_eq!(client.ask(&bytes), "1 2 D*3 s Z(I)");
    client.send(&frame(b'Q', b"SELECT last_value FROM s\0"));
    let row = client.until_ready().into_iter().find(|(tag, _)| *tag == b'D').unwrap().1;
    assert_eq!(row[6..], *b"3");
}

#[test]
fn copy_out_sends_a_message_a_row() {
    let server = TestServer::start();
    let mut client = server.raw();
    let mut data = |sql: &str| -> Vec<Vec<u8>> {
        client.send(&frame(b'Q', format!("{sql}\0").as_bytes()));
        let messages = client.until_ready().into_iter();
        messages.filter(|(tag, _)| *tag == b'd').map(|(_, body)| body).collect()
    };
    let rows = data("COPY (SELECT generate_series(1, 3)) TO STDOUT");
    assert_eq!(rows, [b"1\n", b"2\n", b"3\n"]);
    let rows = data("COPY (SELECT generate_series(1, 2) AS a) TO STDOUT (FORMAT csv, HEADER)");
    assert_eq!(rows, [b"a\n", b"1\n", b"2\n"]);
    // The signature comes with the first row, the trailer by itself.
    let rows = data("COPY (SELECT generate_series(1, 2)::int2) TO STDOUT (FORMAT binary)");
    let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
    assert_eq!(lengths, [19 + 8, 8, 2]);
    let rows = data("COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT binary)");
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [19 + 2]);
}

#[test]
fn a_prepared_statement_keeps_its_result_type() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2)").unwrap();
    let all = client.prepare("SELECT * FROM t").unwrap();
    let one = client.prepare("SELECT a FROM t").unwrap();
    client.batch_execute("PREPARE p AS SELECT * FROM t; ALTER TABLE t ALTER b TYPE text").unwrap();
    let error = client.query(&all, &[]).unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "cached plan must not change result type");
    assert_eq!((error.code().code(), error.routine()), ("0A000", Some("RevalidateCachedQuery")));
    assert_eq!(client.query(&one, &[]).unwrap()[0].get::<_, i32>(0), 1);
    let error = client.batch_execute("EXECUTE p").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "0A000");
    // The same text prepared again is another statement; an unnamed one, too.
    let again = client.prepare("SELECT * FROM t").unwrap();
    assert_eq!(client.query(&again, &[]).unwrap()[0].get::<_, &str>(1), "2");
    // EXPLAIN ANALYZE runs a statement whose columns are not its own.
    let explain = client.prepare("EXPLAIN (ANALYZE) SELECT a, b FROM t WHERE a > $1").unwrap();
    assert!(!client.query(&explain, &[&0]).unwrap().is_empty());
    let mut raw = server.raw();
    let unnamed = [run("SELECT * FROM t"), sync()].concat();
    for change in ["SELECT 1", "SELECT 1", "ALTER TABLE t ADD c int", "ALTER TABLE t DROP c"] {
        client.batch_execute(change).unwrap();
        assert_eq!(raw.ask(&unnamed), "1 2 D*1 C(SELECT 1) Z(I)");
    }
}

/// What CALL takes is described as its procedure's, not as text: drivers encode their values by it.
#[test]
fn a_procedures_parameters_have_its_types() {
    let server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE seen (a int, b text, c numeric[]);
            CREATE PROCEDURE note(a int, b text, c numeric[] DEFAULT '{1.5}') LANGUAGE sql AS 'INSERT INTO seen VALUES (a, b, c)';
            CREATE PROCEDURE double(INOUT a bigint, OUT b text) LANGUAGE plpgsql AS 'BEGIN a := a * 2; b := a; END'",
        )
        .unwrap();
    let note = client.prepare("CALL note($1, $2 || $3)").unwrap();
    let types: Vec<&str> = note.params().iter().map(postgres::types::Type::name).collect();
    assert_eq!((types, note.columns().len()), (vec!["int4", "text", "text"], 0));
    client.execute(&note, &[&7, &"x", &"y"]).unwrap();
    client.execute(&note, &[&None::<i32>, &"null", &""]).unwrap();
    client.execute("CALL note($1 + 1, b => $2)", &[&1, &"named"]).unwrap();
    let seen = client.query("SELECT a, b, c::text FROM seen ORDER BY a", &[]).unwrap();
    let seen: Vec<(Option<i32>, &str, &str)> =
        seen.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(seen, [(Some(2), "named", "{1.5}"), (Some(7), "xy", "{1.5}"), (None, "null", "{1.5}")]);
    let double = client.prepare("CALL double($1, NULL)").unwrap();
    assert_eq!(double.columns().iter().map(|column| column.name()).collect::<Vec<_>>(), ["a", "b"]);
    let row = client.query_one(&double, &[&21i64]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (42, "42"));
    let error = client.prepare("CALL nobody($1)").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42883");
}

#[test]
fn drop_database_with_force() {
    let server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE DATABASE d").unwrap();
    let mut others: Vec<RawClient> = (0..4)
        .map(|_| RawClient::start_up(server.address(), &[("user", "postgres"), ("database", "d")]))
        .collect();
    // One of them in a transaction.
    assert_eq!(others[0].query("BEGIN"), "C(BEGIN) Z(T)");
    client.batch_execute("DROP DATABASE d WITH (FORCE)").unwrap();
    for other in &mut others {
        assert_eq!(other.until_closed(), "FATAL(57P01)");
    }
}

#[test]
fn cancel() {
    let server = TestServer::start();
    let mut client = server.connect();
    let token = client.cancel_token();
    let worker = std::thread::spawn(move || {
        let slow = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 1000) b";
        let error = client.batch_execute(slow).unwrap_err();
        (client, error.code().map(|code| code.code().to_owned()))
    });
    // A cancel request that comes before the statement has no effect: repeat it until it has.
    while !worker.is_finished() {
        token.cancel_query(postgres::NoTls).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let (mut client, code) = worker.join().unwrap();
    assert_eq!(code.as_deref(), Some("57014"));
    still_serves(&server, &mut client);
}

#[test]
fn a_client_that_vanishes_in_a_transaction_leaves_nothing() {
    let server = TestServer::start();
    let mut other = server.connect();
    other.batch_execute("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0)").unwrap();
    let mut client = server.raw();
    client.query("BEGIN; UPDATE t SET n = 1 WHERE id = 1; INSERT INTO t VALUES (2, 2)");
    drop(client);
    // Its row lock is gone, and so are its changes.
    other.batch_execute("SET lock_timeout = '30s'; UPDATE t SET n = n + 10 WHERE id = 1").unwrap();
    let rows = other.query("SELECT id, n FROM t", &[]).unwrap();
    let rows: Vec<(i32, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [(1, 10)]);
}

#[test]
fn a_client_that_vanishes_in_a_copy_leaves_nothing() {
    let server = TestServer::start();
    let mut other = server.connect();
    other.batch_execute("CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    let mut client = server.raw();
    client.send(&frame(b'Q', b"COPY t FROM STDIN\0"));
    assert_eq!(client.receive().unwrap().0, b'G');
    client.send(&[frame(b'd', b"1\n2\n3\n"), b"d\0\0\0\xff4\n".to_vec()].concat());
    drop(client);
    // A lock on the whole table is free again only when the COPY is over.
    other.batch_execute("SET lock_timeout = '30s'; BEGIN; LOCK TABLE t; COMMIT").unwrap();
    assert_eq!(other.query_one("SELECT count(*) FROM t", &[]).unwrap().get::<_, i64>(0), 0);
}

#[test]
fn copy_fail_and_bad_data() {
    let server = TestServer::start();
    let mut client = server.raw();
    client.query("CREATE TABLE t (id int PRIMARY KEY)");
    let mut copy = |rest: &[u8]| {
        client.send(&frame(b'Q', b"COPY t FROM STDIN\0"));
        client.receive();
        client.ask(rest)
    };
    assert_eq!(copy(&[frame(b'd', b"1\n"), frame(b'f', b"no\0")].concat()), "ERROR(57014) Z(I)");
    assert_eq!(copy(&[frame(b'd', b"1\nx\n"), frame(b'c', b"")].concat()), "ERROR(22P02) Z(I)");
    assert_eq!(copy(&frame(b'Q', b"SELECT 1\0")), "ERROR(08P01) Z(I)");
    // A line in pieces, and the last one without its end.
    let pieces =
        [frame(b'd', b"1"), frame(b'd', b"0\n1"), frame(b'd', b""), frame(b'd', b"1"), frame(b'c', b"")];
    assert_eq!(copy(&pieces.concat()), "C(COPY 2) Z(I)");
    assert_eq!(client.query("SELECT id FROM t WHERE id IN (10, 11)"), "T D*2 C(SELECT 2) Z(I)");
}

#[test]
fn statements_out_of_all_proportion() {
    let server = TestServer::start();
    let mut bystander = server.connect();
    let mut client = server.raw();
    // Nested too deep for any stack, in the ways that recurse differently.
    for sql in [
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1", "- ".repeat(100_000)),
        format!("SELECT {}true", "NOT ".repeat(100_000)),
        format!("SELECT {}1{}", "(SELECT ".repeat(50_000), ")".repeat(50_000)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(50_000), " END".repeat(50_000)),
    ] {
        client.send(&frame(b'Q', &[sql.as_bytes(), b"\0"].concat()));
        let replies = client.until_ready();
        let errors: Vec<_> = replies.iter().filter(|(tag, _)| *tag == b'E').collect();
        assert_eq!(errors.len(), 1, "{}", &sql[..40]);
        assert_eq!(error_field(&errors[0].1, b'C'), "54001", "{}", &sql[..40]);
    }
    // Long chains are ordinary, if odd.
    let sum = format!("SELECT 0{}", " + 1".repeat(200));
    assert_eq!(client.query(&sum), "T D*1 C(SELECT 1) Z(I)");
    // A literal of 20 MB comes back whole.
    let literal = format!("SELECT '{}'", "x".repeat(20 << 20));
    client.send(&frame(b'Q', &[literal.as_bytes(), b"\0"].concat()));
    let replies = client.until_ready();
    assert_eq!(replies[1].1.len(), 2 + 4 + (20 << 20));
    still_serves(&server, &mut bystander);
}

#[test]
fn messages_above_the_limit_are_refused() {
    let server = TestServer::start_with(&["--message-max", "100kB"]);
    let mut bystander = server.connect();
    let mut client = server.raw();
    assert_eq!(client.query(&format!("SELECT 1{}", " ".repeat(90_000))), "T D*1 C(SELECT 1) Z(I)");
    client.send(b"Q\0\x02\0\0");
    assert_eq!(client.until_closed(), "FATAL(08P01)");
    still_serves(&server, &mut bystander);
}

#[test]
fn thousands_of_connections_come_and_go() {
    let server = TestServer::start();
    let mut bystander = server.connect();
    for _ in 0..20 {
        let clients: Vec<RawClient> = (0..100).map(|_| server.raw()).collect();
        // Some say goodbye, some just leave.
        for (index, mut client) in clients.into_iter().enumerate() {
            if index % 2 == 0 {
                client.send(&frame(b'X', b""));
            }
        }
    }
    still_serves(&server, &mut bystander);
}

#[test]
fn too_many_connections() {
    let server = TestServer::start_with(&["--max-connections", "3"]);
    let clients: Vec<RawClient> = (0..3).map(|_| server.raw()).collect();
    let mut refused = RawClient::open(server.address());
    refused.send(&startup_packet(&[("user", "postgres")]));
    assert_eq!(refused.until_closed(), "FATAL(53300)");
    drop(clients);
    eventually(|| server.try_connect("").is_ok());
}

#[test]
fn a_second_server_on_the_same_directory() {
    let server = TestServer::start();
    let mut bystander = server.connect();
    let error = TestServer::start_in(server.data(), &[]).err().expect("the directory is taken");
    assert!(error.contains("exit status: 1"), "{error}");
    assert!(error.contains("is in use by another process"), "{error}");
    still_serves(&server, &mut bystander);
    assert!(server.check().unwrap_err().contains("in use"), "check wants the directory for itself");
}

#[test]
fn an_address_in_use() {
    let server = TestServer::start();
    let dir = tempfile::tempdir().unwrap();
    let listen = ["--listen", &server.address().to_string()];
    // The later --listen wins over the helper's own.
    let output =
        Command::new(serin_tests::binary()).arg("--data").arg(dir.path()).args(listen).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("could not listen on 127.0.0.1:"), "{error}");
}

/// A directory where nothing can be created. Permissions don't bind root, so a file stands where the directory should be.
#[test]
fn a_data_directory_that_can_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::File::create(&blocked).unwrap().write_all(b"not a directory").unwrap();
    for data in [blocked.join("data"), blocked, "/proc/serin".into()] {
        let error = TestServer::start_in(&data, &[]).err().expect("nothing can be created there");
        assert!(error.contains("exit status: 1: serin: could not"), "{error}");
        assert_eq!(error.trim().lines().count(), 1, "one clear line: {error}");
    }
}

#[test]
fn mistakes_on_the_command_line() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(serin_tests::binary()).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let hba = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hba.path(), "host all all all trust\nhost all all 10.0.0.0/64 trust\n").unwrap();
    let hba = refused(&["--hba-file", hba.path().to_str().unwrap()]);
    assert!(hba.contains("line 2: invalid CIDR address \"10.0.0.0/64\""), "{hba}");
    assert!(refused(&["--concurrency-mode", "mvcc"]).contains("one of ssi, 2pl, serial is expected"));
    assert!(refused(&["--page-cache", "huge"]).contains("page_cache"));
    assert!(refused(&["--config", "/nonexistent.toml"]).contains("/nonexistent.toml"));
    let version = Command::new(serin_tests::binary()).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("serin "));
}

#[test]
fn sigterm_ends_sessions_and_keeps_their_work() {
    let mut server = TestServer::start();
    let mut idle = server.raw();
    idle.query("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut open = server.raw();
    open.query("BEGIN; INSERT INTO t VALUES (2)");
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(idle.until_closed(), "FATAL(57P01)");
    assert_eq!(open.until_closed(), "FATAL(57P01)");
    server.check().unwrap();
    server.restart();
    assert_eq!(server.connect().query_one("SELECT count(*) FROM t", &[]).unwrap().get::<_, i64>(0), 1);
}

/// TLS needs a certificate, which openssl makes where it is installed.
#[test]
fn tls() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    let made = openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("openssl is not installed: nothing tested");
        return;
    }
    let (certificate, key) = (certificate.to_string_lossy(), key.to_string_lossy());
    let server = TestServer::start_with(&["--tls-cert", &certificate, "--tls-key", &key]);
    let output = server.psql(&["-d", "sslmode=require", "-c", "SELECT 'by TLS'"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "by TLS", "{output:?}");
    // In clear still works, and bytes put before the handshake do not survive it (CVE-2021-23222).
    assert_eq!(server.raw().query("SELECT 1"), "T D*1 C(SELECT 1) Z(I)");
    let mut client = RawClient::open(server.address());
    let early = startup_packet(&[("user", "postgres")]);
    client.send(&[&[0, 0, 0, 8, 4, 210, 22, 47][..], &early].concat());
    assert_eq!(client.until_closed(), "FATAL(08P01)");
}

#[test]
fn a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_string_lossy().into_owned();
    let mut server = TestServer::start_with(&["--unix-socket-dir", &path]);
    let output =
        server.client("psql").env("PGHOST", &path).args(["-X", "-A", "-t", "-c", "SELECT 1"]).output();
    assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout).trim(), "1");
    // Killed, it leaves the file behind; the next start replaces it.
    server.kill_9();
    server.restart();
    assert!(server.stop().success());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
