//! Disks that are full, read-only, or give back other bytes than were written.
//!
//! The full and the read-only disk are small tmpfs mounts, which take root; without it these tests say so and pass.

use serin_tests::TestServer;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own, unmounted at the end.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn mount(size: &str) -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Disk { dir });
        }
        eprintln!("mounting a tmpfs takes root: nothing tested");
        None
    }
    fn remount(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.dir.path()).status();
        assert!(status.unwrap().success());
    }
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

fn count(client: &mut postgres::Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).unwrap().get(0)
}

#[test]
fn a_full_disk_fails_statements_and_loses_nothing() {
    let Some(disk) = Disk::mount("48m") else { return };
    let flags = ["--wal-segment", "4MB", "--delta-memory", "16MB", "--page-cache", "4MB"];
    let mut server = TestServer::start_in(&disk.data(), &flags).unwrap();
    let mut reader = server.connect();
    reader.batch_execute("CREATE TABLE t (id int PRIMARY KEY, filler text)").unwrap();
    let mut writer = server.connect();
    let mut acknowledged = 0;
    let error = loop {
        let insert =
            "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series($1::int, $1::int + 99) i";
        match writer.execute(insert, &[&(acknowledged * 100)]) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 2000, "the disk is never full");
    };
    // Disk full, or the store that stopped because of it: then the server says so rather than go on.
    let code = error.code().map(|code| code.code().to_owned());
    assert!(matches!(code.as_deref(), Some("53100" | "58030")), "{error:?}");
    let message = error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
    assert!(message.len() > 10, "the message says why: {message}");
    // Others still read what there is.
    assert!(count(&mut reader, "t") >= i64::from(acknowledged) * 100);
    server.kill_9();
    disk.remount("size=512m");
    server.restart();
    let mut client = server.connect();
    let rows = count(&mut client, "t");
    // The statement that failed may have happened after all, but not by half.
    let kept = i64::from(acknowledged) * 100;
    assert!(rows == kept || rows == kept + 100, "{rows} of {kept} rows");
    client.execute("INSERT INTO t VALUES (-1, 'room again')", &[]).unwrap();
    assert!(server.stop().success());
    server.check().unwrap();
}

#[test]
fn a_full_disk_that_gets_room_again_needs_no_restart() {
    use std::io::Write;
    let Some(disk) = Disk::mount("64m") else { return };
    let flags = ["--wal-segment", "1MB", "--delta-memory", "64MB", "--page-cache", "4MB"];
    let mut server = TestServer::start_in(&disk.data(), &flags).unwrap();
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, filler text)").unwrap();
    client.execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i", &[]).unwrap();
    // Both ways of filling it: by the log and the pages of large statements, and by a COPY.
    let mut next = 1_000_000;
    for round in 0..3 {
        let mut kept = count(&mut client, "t");
        let error = loop {
            let result = if next % 2 == 0 {
                let insert = "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series($1::int, $1::int + 999) i";
                client.execute(insert, &[&next])
            } else {
                client.copy_in("COPY t FROM STDIN").and_then(|mut writer| {
                    let filler = "x".repeat(1000);
                    for id in next..next + 1000 {
                        // Once it fails, the server says so at the end.
                        let _ = writer.write_all(format!("{id}\t{filler}\n").as_bytes());
                    }
                    writer.finish()
                })
            };
            next += 1001;
            match result {
                Ok(rows) => kept += rows as i64,
                Err(error) => break error,
            }
            assert!(next < 2_000_000, "the disk is never full");
        };
        assert_eq!(error.code().map(|code| code.code()), Some("53100"), "round {round}: {error:?}");
        assert_eq!(count(&mut client, "t"), kept, "round {round}: the failed statement left nothing");
        disk.remount(&format!("size={}m", 64 + 48 * (round + 1)));
        client.execute("INSERT INTO t VALUES ($1, 'room again')", &[&(-1 - round)]).unwrap();
    }
    assert!(server.stop().success());
    server.check().unwrap();
}

#[test]
fn a_read_only_disk_is_one_clear_line() {
    let Some(disk) = Disk::mount("48m") else { return };
    // Both an empty directory and a store that was written before.
    disk.remount("ro");
    let refused = |expected: &str| {
        let error = TestServer::start_in(&disk.data(), &[]).err().expect("nothing can be written");
        assert!(error.contains("exit status: 1: serin: "), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    refused("could not create");
    disk.remount("rw");
    let mut server = TestServer::start_in(&disk.data(), &[]).unwrap();
    assert!(server.stop().success());
    disk.remount("ro");
    refused("could not");
}

/// Changes one byte of the first place in `file` that holds `marker`. Returns whether there is one.
fn damage(file: &Path, marker: &[u8]) -> bool {
    let mut bytes = std::fs::read(file).unwrap();
    let found = bytes.windows(marker.len()).position(|window| window == marker);
    if let Some(at) = found {
        bytes[at + marker.len() / 2] ^= 0x20;
        std::fs::write(file, bytes).unwrap();
    }
    found.is_some()
}

fn segments(server: &TestServer) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(server.data().join("wal")).unwrap();
    let mut segments: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    segments
}

#[test]
fn a_corrupt_page_is_found_and_harms_nothing_else() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE good (id int PRIMARY KEY); INSERT INTO good VALUES (1);
             CREATE TABLE bad (id int PRIMARY KEY, t text);
             INSERT INTO bad SELECT i, 'innocent' || i FROM generate_series(1, 1000) i;
             INSERT INTO bad VALUES (500000, 'marked-for-damage')",
        )
        .unwrap();
    // A clean shutdown folds: the rows are in the data file then, and nowhere else.
    assert!(server.stop().success());
    server.check().unwrap();
    assert!(damage(&server.data().join("data.serin"), b"marked-for-damage"), "the row is in the data file");
    let found = server.check().unwrap_err();
    assert!(found.contains("data.serin") && found.contains("corrupt"), "{found}");

    server.restart();
    let mut client = server.connect();
    let error = client.query("SELECT * FROM bad WHERE id = 500000", &[]).unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("XX001"), "{error:?}");
    let said = error.as_db_error().unwrap();
    assert!(said.message().contains("data.serin") && said.message().contains("page"), "{error:?}");
    assert_eq!(said.detail(), Some("The page belongs to table \"bad\"."));
    // The session and the other table are none the worse for it.
    assert_eq!(count(&mut client, "good"), 1);
    client.execute("INSERT INTO good VALUES (2)", &[]).unwrap();
    assert_eq!(count(&mut server.connect(), "good"), 2);
}

#[test]
fn a_damaged_index_is_rebuilt_and_a_damaged_table_dropped() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, t text);
             INSERT INTO t SELECT i, 'row' || i FROM generate_series(1, 20000) i;
             CREATE INDEX t_marked ON t ((CASE WHEN id = 777 THEN 'only-in-the-index' ELSE t END));
             CREATE TABLE lost (id int PRIMARY KEY, t text);
             INSERT INTO lost SELECT i, CASE WHEN i = 5 THEN 'only-in-the-table' ELSE repeat('x', 5000) END
               FROM generate_series(1, 300) i",
        )
        .unwrap();
    assert!(server.stop().success());
    let data = server.data().join("data.serin");
    assert!(damage(&data, b"only-in-the-index") && damage(&data, b"only-in-the-table"));
    let found = server.check().unwrap_err();
    assert!(found.matches("checksum").count() >= 2, "all of it is listed: {found}");

    server.restart();
    let mut client = server.connect();
    let query = "SELECT id FROM t WHERE (CASE WHEN id = 777 THEN 'only-in-the-index' ELSE t END) = 'only-in-the-index'";
    let error = client.query(query, &[]).unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("XX001"), "{error:?}");
    assert!(error.as_db_error().unwrap().detail().unwrap_or_default().contains("t_marked"), "{error:?}");
    assert_eq!(count(&mut client, "t"), 20_000);
    client.batch_execute("REINDEX INDEX t_marked").unwrap();
    assert_eq!(client.query_one(query, &[]).unwrap().get::<_, i32>(0), 777);
    assert_eq!(
        client.query("SELECT * FROM lost", &[]).unwrap_err().code().map(|code| code.code()),
        Some("XX001")
    );
    client.batch_execute("DROP TABLE lost; CHECKPOINT").unwrap();
    client.batch_execute("INSERT INTO t VALUES (0, 'new'); CHECKPOINT").unwrap();
    assert!(server.stop().success());
    server.check().expect("what was damaged is gone");
}

#[test]
fn a_corrupt_log_record_is_an_error_not_a_silent_loss() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, t text)").unwrap();
    client.execute("INSERT INTO t VALUES (1, 'marked-for-damage')", &[]).unwrap();
    for id in 2..100 {
        client.execute("INSERT INTO t VALUES ($1, 'behind the damage')", &[&id]).unwrap();
    }
    server.kill_9();
    let damaged = segments(&server).into_iter().any(|segment| damage(&segment, b"marked-for-damage"));
    assert!(damaged, "the row is in the log");
    for said in [
        server.check().expect_err("the check finds it"),
        TestServer::start_in(server.data(), &[])
            .err()
            .expect("acknowledged rows behind the damage are not dropped"),
    ] {
        assert!(
            said.contains("corrupt data in file") && said.contains("/wal/") && said.contains("offset"),
            "{said}"
        );
    }
}

#[test]
fn a_torn_tail_of_the_log_is_dropped() {
    let mut server = TestServer::start();
    let mut client = server.connect();
    client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, t text)").unwrap();
    for id in 1..100 {
        client.execute("INSERT INTO t VALUES ($1, 'acknowledged')", &[&id]).unwrap();
    }
    client.execute("INSERT INTO t VALUES (100, 'last-of-the-log')", &[]).unwrap();
    server.kill_9();
    // As if the last record had been written in part only.
    let torn = segments(&server).into_iter().any(|segment| damage(&segment, b"last-of-the-log"));
    assert!(torn, "the row is in the log");
    server.restart();
    assert_eq!(count(&mut server.connect(), "t"), 99);
    assert!(server.stop().success());
    server.check().unwrap();
}
