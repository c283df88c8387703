//! Point-in-time recovery of the real server: backups and archived log of a server under load, restored to moments that were noted
//! while it ran, and compared with what it said then.
//!
//! Writers add rows to `t` and keep `total` in step, so that any state that is not one of a moment shows. Now and then a COPY or an UPDATE is
//! large enough to go to disk as pages that the log only names. A reader notes moments: position of the log, clock, a digest of all
//! rows.

use postgres::Client;
use serin_tests::TestServer;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// One transaction at a time, and none while a moment is noted. (A mutex alone may keep the one waiting who is not quick.)
#[derive(Default)]
struct Pause {
    transaction: Mutex<()>,
    wanted: AtomicBool,
}

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq)]
struct Moment {
    lsn: String,
    time: String,
    state: (i64, i64, String),
}

fn state(client: &mut Client) -> (i64, i64, String) {
    let query = "SELECT count(*), (SELECT sum(n)::bigint FROM total),
                        md5(coalesce(sum(id * 31 + v)::text, '') || (SELECT count(*) FROM big)::text
                            || (SELECT coalesce(sum(v), 0) FROM big)::text)
                   FROM t";
    let row = client.query_one(query, &[]).unwrap();
    (row.get(0), row.get(1), row.get(2))
}

/// Between writers, so that the position and the clock say which state it is.
fn note(client: &mut Client, pause: &Pause) -> Moment {
    pause.wanted.store(true, Ordering::Relaxed);
    let _quiet = pause.transaction.lock().unwrap();
    pause.wanted.store(false, Ordering::Relaxed);
    let state = state(client);
    let row = client.query_one("SELECT pg_current_wal_lsn()::text, clock_timestamp()::text", &[]).unwrap();
    // What follows is later than this by the clock as well.
    std::thread::sleep(std::time::Duration::from_millis(2));
    Moment { lsn: row.get(0), time: row.get(1), state }
}

fn flags(archive: &str) -> Vec<String> {
    [
        "--archive",
        archive,
        "--archive-timeout",
        "100ms",
        "--wal-segment",
        "1MB",
        "--delta-memory",
        "16MB",
        "--page-cache",
        "4MB",
    ]
    .map(str::to_owned)
    .into()
}

fn start(data: &Path, archive: &str) -> TestServer {
    let flags = flags(archive);
    TestServer::start_in(data, &flags.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

fn restore(to: &Path, backups: &[PathBuf], archive: &str, target: &[&str]) -> Result<(), String> {
    let mut arguments = vec!["restore", "--archive", archive];
    for backup in backups {
        arguments.extend(["--from", backup.to_str().unwrap()]);
    }
    arguments.extend(target);
    TestServer::run_on(to, &arguments)
}

fn run(archive: &str, dir: &Path) {
    let data = dir.join("data");
    let mut server = start(&data, archive);
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE t (id bigserial PRIMARY KEY, v bigint); CREATE INDEX ON t (v);
             CREATE TABLE big (id bigint PRIMARY KEY, v bigint, filler text);
             CREATE TABLE total (n bigint); INSERT INTO total VALUES (0)",
        )
        .unwrap();
    let (stop, pause, written) = (AtomicBool::new(false), Pause::default(), AtomicI64::new(0));
    let backup = |client: &mut Client, number: usize, previous: Option<&Path>| {
        let to = dir.join(format!("backup{number}"));
        let from = previous.map_or(String::new(), |from| format!(" INCREMENTAL FROM '{}'", from.display()));
        client.batch_execute(&format!("BACKUP TO '{}'{from}", to.display())).unwrap();
        to
    };
    let mut moments = Vec::new();
    let mut backups = vec![(0, backup(&mut client, 0, None))];
    let connection = server.connection_string();
    std::thread::scope(|scope| {
        for writer in 0..3i64 {
            let (stop, pause, written, connection) = (&stop, &pause, &written, &connection);
            scope.spawn(move || {
                let mut client = Client::connect(connection, postgres::NoTls).unwrap();
                let mut number = 0i64;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
// Moments are noted between transactions.
                    while pause.wanted.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    let quiet = pause.transaction.lock().unwrap();
                    let mut transaction = client.transaction().unwrap();
                    transaction.execute("INSERT INTO t (v) SELECT $1::bigint + i FROM generate_series(1, 20) i", &[&(number * 7 + writer)]).unwrap();
                    transaction.execute("UPDATE total SET n = n + 20", &[]).unwrap();
                    if writer == 0 && number % 40 == 3 {
                        let mut copy = transaction.copy_in("COPY big FROM STDIN").unwrap();
                        let filler = "x".repeat(100);
                        for id in number * 100_000..number * 100_000 + 20_000 {
                            copy.write_all(format!("{id}\t{number}\t{filler}\n").as_bytes()).unwrap();
                        }
                        copy.finish().unwrap();
                    }
                    if writer == 0 && number % 40 == 25 {
                        // More than a transaction may keep in memory.
                        transaction.execute("UPDATE big SET v = v + 1", &[]).unwrap();
                    }
                    if writer == 1 && number % 60 == 30 {
                        transaction.batch_execute("CREATE TABLE scratch AS SELECT i FROM generate_series(1, 5000) i; DROP TABLE scratch").unwrap();
                    }
                    transaction.commit().unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    drop(quiet);
                }
            });
        }
        for round in 1..=12usize {
            let target = written.load(Ordering::Relaxed) + 30;
            let since = std::time::Instant::now();
            while written.load(Ordering::Relaxed) < target {
                if since.elapsed().as_secs() > 60 {
                    stop.store(true, Ordering::Relaxed);
                    panic!("the writers do not get on");
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            moments.push(note(&mut client, &pause));
            if round % 5 == 0 {
                let made = backup(&mut client, round, Some(&backups.last().unwrap().1.clone()));
                backups.push((moments.len(), made));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    // A kill in between: the archiver goes on where it was.
    server.kill_9();
    server.restart();
    let mut client = server.connect();
    client
        .batch_execute("INSERT INTO t (v) VALUES (-1); UPDATE total SET n = n + 1; SELECT pg_switch_wal()")
        .unwrap();
    let last = note(&mut client, &pause);
    assert_eq!(last.state.0, last.state.1);
    let archived =
        client.query_one("SELECT archived_count, failed_count FROM pg_stat_archiver", &[]).unwrap();
    assert!(archived.get::<_, i64>(0) > 0 && archived.get::<_, i64>(1) == 0);
    assert!(server.stop().success());
    server.check().unwrap();

    let judge = |number: usize, expected: &Moment, chain: &[PathBuf], target: &[&str]| {
        let to = dir.join(format!("restored{number}"));
        restore(&to, chain, archive, target).unwrap_or_else(|error| panic!("{target:?}: {error}"));
        let mut copy = TestServer::start_in(&to, &[]).unwrap();
        let mut client = copy.connect();
        assert_eq!(state(&mut client), expected.state, "{target:?}");
        client.batch_execute("INSERT INTO t (v) VALUES (0)").unwrap();
        assert!(copy.stop().success());
        copy.check().unwrap();
        std::fs::remove_dir_all(&to).unwrap();
    };
    let first = vec![backups[0].1.clone()];
    let all: Vec<PathBuf> = backups.iter().map(|(_, dir)| dir.clone()).collect();
    judge(0, &moments[1], &first, &["--to-lsn", &moments[1].lsn]);
    judge(1, &moments[6], &first, &["--to-time", &moments[6].time]);
    judge(2, &moments[7], &all[..2], &["--to-lsn", &moments[7].lsn]);
    judge(3, moments.last().unwrap(), &all, &["--to-time", &moments.last().unwrap().time]);
    judge(4, &last, &all, &[]);
    judge(5, &last, &first, &[]);

    // What can't be is said, and nothing half done passes for a data directory.
    let refused = |chain: &[PathBuf], target: &[&str], expected: &str| {
        let to = dir.join("refused");
        let error = restore(&to, chain, archive, target).unwrap_err();
        assert!(error.contains(expected), "{error}");
        if to.join("data.serin").exists() {
            let error = TestServer::start_in(&to, &[]).err().expect("it is not complete");
            assert!(error.contains("did not complete"), "{error}");
        }
        let _ = std::fs::remove_dir_all(&to);
    };
    refused(&all, &["--to-lsn", &moments[0].lsn], "LSN");
    refused(&all, &["--to-time", &moments[0].time], "after the target");
    refused(&first, &["--to-lsn", "FF/0"], "archive's end");
    refused(&first, &["--to-time", "2100-01-01 00:00:00"], "does not reach the target time");
    refused(&all[1..], &[], "a full backup comes first");
    refused(&[all[0].clone(), all[2].clone()], &[], "does not continue");
    // Neither another store's archive, nor another store into this one's.
    let stranger =
        TestServer::start_in(&all[0], &flags(archive).iter().map(String::as_str).collect::<Vec<_>>());
    let error = stranger.err().expect("a copy has no part in the archive");
    assert!(error.contains("needs an archive of its own"), "{error}");
}

#[test]
fn any_moment_since_a_backup_can_be_had_again() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path().join("archive").to_str().unwrap(), dir.path());
}

#[test]
fn from_an_object_store_as_well() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("archive")).unwrap();
    run(&format!("file://{}/archive", dir.path().display()), dir.path());
}

#[test]
fn an_archive_out_of_reach_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("archive");
    // A file where the directory should be made.
    let mut server = start(&dir.path().join("data"), place.to_str().unwrap());
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, v text)").unwrap();
    let backup = dir.path().join("backup");
    client.batch_execute(&format!("BACKUP TO '{}'", backup.display())).unwrap();
    std::fs::rename(&place, dir.path().join("away")).unwrap();
    std::fs::write(&place, "").unwrap();
    let insert = "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series($1::int, $1::int + 999) i";
    for round in 0..20 {
        client.execute(insert, &[&(round * 1000)]).unwrap();
        client.batch_execute("CHECKPOINT").unwrap();
    }
    assert!(client.batch_execute("SELECT pg_switch_wal()").is_err());
    let failed: i64 = client.query_one("SELECT failed_count FROM pg_stat_archiver", &[]).unwrap().get(0);
    assert!(failed > 0);
    // Everything is still there when it comes back, also after a restart.
    server.kill_9();
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(dir.path().join("away"), &place).unwrap();
    server.restart();
    let mut client = server.connect();
    client.batch_execute("SELECT pg_switch_wal()").unwrap();
    let segments = |server: &TestServer| std::fs::read_dir(server.data().join("wal")).unwrap().count();
    client.batch_execute("INSERT INTO t VALUES (-1); SELECT pg_switch_wal(); CHECKPOINT; INSERT INTO t VALUES (-2); CHECKPOINT").unwrap();
    assert!(segments(&server) <= 5, "{} segments are kept", segments(&server));
    assert!(server.stop().success());
    let to = dir.path().join("restored");
    restore(&to, &[backup], place.to_str().unwrap(), &[]).unwrap();
    let copy = TestServer::start_in(&to, &[]).unwrap();
    let rows: i64 = copy.connect().query_one("SELECT count(*) FROM t", &[]).unwrap().get(0);
    assert_eq!(rows, 20_002);
}
