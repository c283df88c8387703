//! What the victim of a deadlock is told: the cycle, each wait with its object, those in it, and what they were running. The other goes on.

use serin_tests::TestServer;
use std::time::{Duration, Instant};

/// Two clients, each after statements of its own; the first's last one waits for the second, whose last one closes the
/// cycle. Answers the DETAIL, with the processes called A and B and transaction numbers left out.
fn detail(server: &TestServer, mode: &str, first: [&str; 2], second: [&str; 2]) -> String {
    let connect = || {
        let mut client = server.connect();
        client
            .batch_execute(&format!("SET concurrency_mode = '{mode}'; BEGIN ISOLATION LEVEL SERIALIZABLE"))
            .unwrap();
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
        (client, pid)
    };
    let ((mut a, a_pid), (mut b, b_pid)) = (connect(), connect());
    a.batch_execute(first[0]).unwrap();
    b.batch_execute(second[0]).unwrap();
    let waits_for = first[1].to_owned();
    let waiting = std::thread::spawn(move || {
        let outcome = a.batch_execute(&waits_for);
        (a, outcome)
    });
    let mut control = server.connect();
    let since = Instant::now();
    let blocked = "SELECT cardinality(pg_blocking_pids($1))";
    while control.query_one(blocked, &[&a_pid]).unwrap().get::<_, i32>(0) == 0 {
        assert!(since.elapsed() < Duration::from_secs(30), "{} does not wait", first[1]);
    }
    let error = b.batch_execute(second[1]).expect_err("it closes a cycle");
    let error = error.as_db_error().expect("the server said so");
    assert_eq!(error.code().code(), "40P01", "{error}");
    assert_eq!(error.message(), "deadlock detected");
    assert!(error.hint().is_some());
    let (mut a, outcome) = waiting.join().unwrap();
    outcome.expect("one victim is enough");
    a.batch_execute("ROLLBACK").unwrap();

    let mut detail = error.detail().expect("the story").to_owned();
    while let Some(from) = detail.find(" (transaction ") {
        let to = from + detail[from..].find(')').expect("it ends");
        detail.replace_range(from..=to, "");
    }
    let named = |text: String, pid: i32, name: &str| {
        text.replace(&format!("Process {pid} "), &format!("{name} "))
            .replace(&format!("Process {pid}:"), &format!("{name}:"))
            .replace(&format!("process {pid}."), &format!("{name}."))
    };
    named(named(detail, a_pid, "A"), b_pid, "B")
}

#[test]
fn the_victim_is_told_the_cycle() {
    let server = TestServer::start();
    let mut client = server.connect();
    let setup = "CREATE TABLE a (id int PRIMARY KEY, v int, name text UNIQUE);
        CREATE TABLE b (id int PRIMARY KEY);
        INSERT INTO a SELECT i, i, 'n' || i FROM generate_series(1, 9) i";
    client.batch_execute(setup).unwrap();

    for mode in ["ssi", "2pl"] {
        let first = ["UPDATE a SET v = 0 WHERE id = 1", "UPDATE a SET v = 0 WHERE id = 2"];
        let second = ["UPDATE a SET v = 1 WHERE id = 2", "UPDATE a SET v = 1 WHERE id = 1"];
        assert_eq!(
            detail(&server, mode, first, second),
            "B waits for ExclusiveLock on row (id)=(1) of relation \"a\"; blocked by A. B: UPDATE a SET v = 1 WHERE id = 1\n\
             A waits for ExclusiveLock on row (id)=(2) of relation \"a\"; blocked by B. A: UPDATE a SET v = 0 WHERE id = 2"
        );
        let first = ["INSERT INTO a VALUES (21, 0, 'x')", "INSERT INTO a VALUES (22, 0, 'y')"];
        let second = ["INSERT INTO a VALUES (23, 0, 'y')", "INSERT INTO a VALUES (24, 0, 'x')"];
        assert_eq!(
            detail(&server, mode, first, second),
            "B waits for AccessExclusiveLock on key (name)=(x) of index \"a_name_key\" of relation \"a\"; blocked by A. B: INSERT INTO a VALUES (24, 0, 'x')\n\
             A waits for AccessExclusiveLock on key (name)=(y) of index \"a_name_key\" of relation \"a\"; blocked by B. A: INSERT INTO a VALUES (22, 0, 'y')"
        );
        let first = ["LOCK TABLE a", "LOCK TABLE b"];
        let second = ["LOCK TABLE b", "LOCK TABLE a"];
        assert_eq!(
            detail(&server, mode, first, second),
            "B waits for AccessExclusiveLock on relation \"a\"; blocked by A. B: LOCK TABLE a\n\
             A waits for AccessExclusiveLock on relation \"b\"; blocked by B. A: LOCK TABLE b"
        );
        let first = ["SELECT pg_advisory_xact_lock(7)", "SELECT pg_advisory_xact_lock(8)"];
        let second = ["SELECT pg_advisory_xact_lock(8)", "SELECT pg_advisory_xact_lock(7)"];
        assert_eq!(
            detail(&server, mode, first, second),
            "B waits for ExclusiveLock on advisory lock [0,7,1]; blocked by A. B: SELECT pg_advisory_xact_lock(7)\n\
             A waits for ExclusiveLock on advisory lock [0,8,1]; blocked by B. A: SELECT pg_advisory_xact_lock(8)"
        );
    }
    // What was read is a range of keys: as far as it can be told, the range.
    let first = ["SELECT FROM a WHERE id BETWEEN 101 AND 103", "INSERT INTO a VALUES (107, 0, 'p')"];
    let second = ["SELECT FROM a WHERE id > 105", "INSERT INTO a VALUES (102, 0, 'q')"];
    assert_eq!(
        detail(&server, "2pl", first, second),
        "B waits for RowExclusiveLock on keys from (id)=(101) before (id)=(104) of relation \"a\"; blocked by A. B: INSERT INTO a VALUES (102, 0, 'q')\n\
         A waits for RowExclusiveLock on keys from (id)=(106) of relation \"a\"; blocked by B. A: INSERT INTO a VALUES (107, 0, 'p')"
    );
    let kept = "SELECT key FROM serin_conflicts WHERE kind = 'deadlock' ORDER BY conflict DESC, step LIMIT 1";
    let key: String = client.query_one(kept, &[]).unwrap().get(0);
    assert_eq!(key, "keys from (id)=(101) before (id)=(104)");
}
