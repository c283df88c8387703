//! Faults of the real server's surroundings, under load and in all three modes: a disk that fails to sync or hangs, a process that is stopped and
//! goes on, files that may not grow.
//!
//! Writers add rows numbered one after another, two tables at a time, and note what was acknowledged. Afterwards, and after a
//! restart, both tables have the same rows: all that were acknowledged, and of each writer at most one more.

use postgres::{Client, NoTls};
use serin_tests::TestServer;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

const WRITERS: i32 = 6;
const MODES: [&str; 3] = ["ssi", "2pl", "serial"];
const FLAGS: [&str; 6] = ["--delta-memory", "8MB", "--wal-segment", "1MB", "--page-cache", "4MB"];

/// Writers at work. What each had acknowledged, and the error that ended it, come out of [`Load::finish`].
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
    writers: Vec<std::thread::JoinHandle<(i64, Option<postgres::Error>)>>,
}

impl Load {
    fn start(server: &TestServer, mode: &str, from: &[i64]) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicI64::new(0));
        let connection = format!("{} options='-c concurrency_mode={mode}'", server.connection_string());
        let start = |(writer, last): (i32, &i64)| {
            let (stop, acknowledged, connection, last) =
                (stop.clone(), acknowledged.clone(), connection.clone(), *last);
            std::thread::spawn(move || write(&connection, writer, last, &stop, &acknowledged))
        };
        let writers = (0..).zip(from).map(start).collect();
        Load { stop, acknowledged, writers }
    }

    /// Waits until this many more transactions were acknowledged.
    fn progress(&self, more: i64) {
        let (target, since) = (self.acknowledged.load(Ordering::Relaxed) + more, Instant::now());
        while self.acknowledged.load(Ordering::Relaxed) < target {
            if since.elapsed() > Duration::from_secs(60) {
                self.stop.store(true, Ordering::Relaxed);
                panic!("the writers do not get on");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn finish(self) -> Vec<(i64, Option<postgres::Error>)> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().map(|writer| writer.join().expect("a writer")).collect()
    }
}

/// Ends at the first error that is not a conflict.
fn write(
    connection: &str,
    writer: i32,
    mut last: i64,
    stop: &AtomicBool,
    acknowledged: &AtomicI64,
) -> (i64, Option<postgres::Error>) {
    let mut client = match Client::connect(connection, NoTls) {
        Ok(client) => client,
        Err(error) => return (last, Some(error)),
    };
    while !stop.load(Ordering::Relaxed) {
        let mut insert = || {
            let mut transaction = client.transaction()?;
            transaction
                .execute("INSERT INTO a VALUES ($1, $2, repeat('x', 200))", &[&writer, &(last + 1)])?;
            transaction.execute("INSERT INTO b VALUES ($1, $2)", &[&writer, &(last + 1)])?;
            transaction.commit()
        };
        match insert() {
            Ok(()) => {
                last += 1;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.code().is_some_and(|code| code.code().starts_with("40")) => {}
            Err(error) => return (last, Some(error)),
        }
    }
    (last, None)
}

fn create(client: &mut Client) {
    let tables = "CREATE TABLE a (writer int, seq bigint, filler text, PRIMARY KEY (writer, seq));
                  CREATE TABLE b (writer int, seq bigint, PRIMARY KEY (writer, seq))";
    client.batch_execute(tables).unwrap();
}

/// What is there of each writer; that it is what it should be.
fn judge(client: &mut Client, acknowledged: &[i64], unanswered: i64) -> Vec<i64> {
    (0..)
        .zip(acknowledged)
        .map(|(writer, last)| {
            let query = "SELECT (SELECT array_agg(seq ORDER BY seq) FROM a WHERE writer = $1),
                                (SELECT array_agg(seq ORDER BY seq) FROM b WHERE writer = $1)";
            let row = client.query_one(query, &[&writer]).unwrap();
            let [a, b] = [0, 1].map(|column| row.get::<_, Option<Vec<i64>>>(column).unwrap_or_default());
            assert_eq!(a, b, "writer {writer}: a transaction is half there");
            assert_eq!(a, (1..=a.len() as i64).collect::<Vec<_>>(), "writer {writer}");
            let there = a.len() as i64;
            assert!((*last..=*last + unanswered).contains(&there), "writer {writer}: {there} of {last}");
            there
        })
        .collect()
}

/// A library whose `fsync` and `fdatasync` fail with EIO, or wait, while a file exists; `None` where there is no C compiler.
fn interfering_library(dir: &Path) -> Option<std::path::PathBuf> {
    let source = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <unistd.h>
        static int is_there(const char *variable) {
            const char *switch_file = getenv(variable);
            return switch_file && access(switch_file, F_OK) == 0;
        }
        static int interfere(void) {
            while (is_there("HANG_SYNC_WHILE")) usleep(1000);
            return is_there("FAIL_SYNC_WHILE");
        }
        int fdatasync(int fd) {
            static int (*real)(int);
            if (interfere()) { errno = EIO; return -1; }
            if (!real) real = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
            return real(fd);
        }
        int fsync(int fd) {
            static int (*real)(int);
            if (interfere()) { errno = EIO; return -1; }
            if (!real) real = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
            return real(fd);
        }"#;
    let (code, library) = (dir.join("interfere.c"), dir.join("interfere.so"));
    std::fs::write(&code, source).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code).arg("-ldl").status();
    if built.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    eprintln!("no C compiler: nothing tested");
    None
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let Some(library) = interfering_library(dir.path()) else { return };
        let switch = dir.path().join("fail-now");
        let environment =
            [("LD_PRELOAD", library.to_str().unwrap()), ("FAIL_SYNC_WHILE", switch.to_str().unwrap())];
        let data = dir.path().join("data");
        let mut server = TestServer::start_with_environment(&data, &FLAGS, &environment).unwrap();
        let mut client = server.connect();
        create(&mut client);
        let load = Load::start(&server, mode, &[0; WRITERS as usize]);
        load.progress(200);
        std::fs::write(&switch, "").unwrap();
        // Every writer is told.
        let since = Instant::now();
        while !load.writers.iter().all(|writer| writer.is_finished()) {
            assert!(since.elapsed() < Duration::from_secs(60), "{mode}: a writer goes on");
            std::thread::sleep(Duration::from_millis(2));
        }
        let outcome = load.finish();
        for (_, error) in &outcome {
            let error = error.as_ref().expect("it was told");
            // Who waited for a commit is told and disconnected, for what became of it is not known.
            let code = error.code().map(|code| code.code().to_owned());
            assert!(error.is_closed() || code.as_deref() == Some("58030"), "{mode}: {error:?}");
        }
        // The disk is well again; what it has of the past is not known, so nobody is told that anything was done.
        std::fs::remove_file(&switch).unwrap();
        for _ in 0..3 {
            let refused = client.execute("INSERT INTO a VALUES (100, 1, '')", &[]).unwrap_err();
            assert_eq!(refused.code().map(|code| code.code()), Some("58030"), "{mode}: {refused:?}");
        }
        assert!(client.batch_execute("CHECKPOINT").is_err());
        let rows: i64 = client.query_one("SELECT count(*) FROM a", &[]).unwrap().get(0);
        assert!(rows >= 200, "{mode}: reads go on");
        server.kill_9();
        server.check().unwrap();
        server.restart();
        let acknowledged: Vec<i64> = outcome.iter().map(|(last, _)| *last).collect();
        let mut client = server.connect();
        let there = judge(&mut client, &acknowledged, 1);
        assert_eq!(
            client.query_one("SELECT count(*) FROM a WHERE writer = 100", &[]).unwrap().get::<_, i64>(0),
            0
        );
        let load = Load::start(&server, mode, &there);
        load.progress(50);
        assert!(load.finish().iter().all(|(_, error)| error.is_none()), "{mode}: it goes on as before");
        assert!(server.stop().success());
        server.check().unwrap();
    }
}

/// While a sync does not return, nobody is told that he has committed, and whoever reads by a snapshot is answered. (Who reads by locks meets
/// what isn't durable yet, and waits for it.)
#[test]
fn a_disk_that_hangs_holds_up_commits_and_nobody_else() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let Some(library) = interfering_library(dir.path()) else { return };
        let switch = dir.path().join("hang-now");
        let environment =
            [("LD_PRELOAD", library.to_str().unwrap()), ("HANG_SYNC_WHILE", switch.to_str().unwrap())];
        let mut server =
            TestServer::start_with_environment(&dir.path().join("data"), &FLAGS, &environment).unwrap();
        create(&mut server.connect());
        let load = Load::start(&server, mode, &[0; WRITERS as usize]);
        for _ in 0..3 {
            load.progress(100);
            std::fs::write(&switch, "").unwrap();
            // The sync that was under way may still return; the next one doesn't.
            let mut before = -1;
            let stuck = loop {
                let now = load.acknowledged.load(Ordering::Relaxed);
                if now == before {
                    break now;
                }
                before = now;
                std::thread::sleep(Duration::from_millis(200));
            };
            let mut client = server.connect();
            for _ in 0..20 {
                let rows: i64 = client.query_one("SELECT count(*) FROM a", &[]).unwrap().get(0);
                assert!(rows >= stuck, "{mode}: {rows} of {stuck}");
            }
            assert_eq!(
                load.acknowledged.load(Ordering::Relaxed),
                stuck,
                "{mode}: acknowledged without a sync"
            );
            std::fs::remove_file(&switch).unwrap();
        }
        load.progress(100);
        std::fs::write(&switch, "").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        server.kill_9();
        std::fs::remove_file(&switch).unwrap();
        let outcome = load.finish();
        server.check().unwrap_or_else(|error| panic!("{mode}: {error}"));
        server.restart();
        let acknowledged: Vec<i64> = outcome.iter().map(|(last, _)| *last).collect();
        judge(&mut server.connect(), &acknowledged, 1);
        assert!(server.stop().success());
    }
}

#[test]
fn a_process_that_was_stopped_goes_on() {
    let mut server = TestServer::start_with(&FLAGS);
    create(&mut server.connect());
    let mut last = vec![0; WRITERS as usize];
    for mode in MODES {
        let load = Load::start(&server, mode, &last);
        for _ in 0..3 {
            load.progress(60);
            server.signal("STOP");
            // Long enough for clients to be waiting, for commits to be on their way.
            std::thread::sleep(Duration::from_millis(150));
            server.signal("CONT");
        }
        load.progress(60);
        server.signal("STOP");
        // Killed while it stands still.
        server.kill_9();
        let outcome = load.finish();
        server.check().unwrap_or_else(|error| panic!("{mode}: {error}"));
        server.restart();
        let acknowledged: Vec<i64> = outcome.iter().map(|(last, _)| *last).collect();
        last = judge(&mut server.connect(), &acknowledged, 1);
    }
    assert!(server.stop().success());
    server.check().unwrap();
}

#[test]
fn files_that_may_not_grow_are_a_full_disk() {
    for mode in MODES {
        let mut server = TestServer::start_with(&FLAGS);
        let mut client = server.try_connect(&format!("options='-c concurrency_mode={mode}'")).unwrap();
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, filler text)").unwrap();
        let limit = |server: &TestServer, bytes: &str| {
            let pid = server.pid().to_string();
            let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
            status.is_ok_and(|status| status.success())
        };
        // What `ulimit -f` sets, for the server alone and while it runs.
        if !limit(&server, "12000000") {
            eprintln!("prlimit is missing: nothing tested");
            return;
        }
        let insert =
            "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series($1::int, $1::int + 499) i";
        let mut rows = 0;
        let error = loop {
            match client.execute(insert, &[&rows]) {
                Ok(_) => rows += 500,
                Err(error) => break error,
            }
            assert!(rows < 200_000, "the limit is never met");
        };
        assert_eq!(error.code().map(|code| code.code()), Some("53100"), "{mode}: {error:?}");
        let count =
            |client: &mut Client| client.query_one("SELECT count(*) FROM t", &[]).unwrap().get::<_, i64>(0);
        assert_eq!(
            count(&mut client),
            i64::from(rows),
            "{mode}: reads go on, the failed statement left nothing"
        );
        assert!(limit(&server, "unlimited"));
        client.execute(insert, &[&rows]).unwrap_or_else(|error| panic!("{mode}: room again: {error:?}"));
        client.batch_execute("CHECKPOINT").unwrap();
        server.kill_9();
        server.check().unwrap();
        server.restart();
        assert_eq!(count(&mut server.connect()), i64::from(rows) + 500, "{mode}");
        assert!(server.stop().success());
    }
}
