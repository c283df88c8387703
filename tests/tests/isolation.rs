//! Which anomalies are possible where: every script of `tests/isolation/` in every mode and at every level, and the table in
//! `docs/isolation.md` that says so. `SERIN_BLESS=1 cargo test -p serin-tests --test isolation` writes the table anew; what must
//! never be possible is checked here in any case.

use serin_tests::{Played, Script, TestServer};
use std::path::{Path, PathBuf};

const MODES: [&str; 3] = ["ssi", "2pl", "serial"];
const LEVELS: [(&str, &str); 3] =
    [("RC", "read committed"), ("RR", "repeatable read"), ("SER", "serializable")];
const BEGIN: &str = "<!-- anomalies: begin (written by tests/tests/isolation.rs) -->";
const END: &str = "<!-- anomalies: end -->";

fn scripts() -> Vec<Script> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("isolation");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the scripts are there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| Script::read(path)).collect()
}

fn cell(played: &Played) -> &'static str {
    match (played.occurred, played.errors.is_empty()) {
        (true, _) => "**possible**",
        (false, true) => "–",
        (false, false) => "abort",
    }
}

fn table(server: &TestServer) -> (String, Vec<String>) {
    let mut table = String::from("| anomaly |");
    for mode in MODES {
        LEVELS.iter().for_each(|(level, _)| table += &format!(" {mode} {level} |"));
    }
    table += "\n|---|";
    table += &":-:|".repeat(MODES.len() * LEVELS.len());
    table.push('\n');
    let mut wrong = Vec::new();
    for script in scripts() {
        table += &format!("| **{}**: {} |", script.anomaly, script.title);
        for mode in MODES {
            for (short, level) in LEVELS {
                let level = level.replace(' ', "\\\\ ");
                let options = format!("-c concurrency_mode={mode} -c default_transaction_isolation={level}");
                let connect = || server.try_connect(&format!("options='{options}'")).expect("a connection");
                let played = script.play(server.connect(), &connect);
                table += &format!(" {} |", cell(&played));
                let never = short == "SER" || mode == "serial" || script.never;
                if played.occurred && never {
                    wrong.push(format!("{} in {mode} {short}:\n{}", script.anomaly, played.log.join("\n")));
                }
                let expected = ["40001", "40P01", "23503", "23505", "23P01"];
                for (session, state) in &played.errors {
                    if !expected.contains(&state.as_str()) {
                        let log = played.log.join("\n");
                        wrong.push(format!(
                            "{} in {mode} {short}: {session} failed with {state}:\n{log}",
                            script.anomaly
                        ));
                    }
                }
            }
        }
        table.push('\n');
    }
    (table, wrong)
}

#[test]
fn the_table_of_anomalies_is_what_the_server_does() {
    let server = TestServer::start();
    let (table, wrong) = table(&server);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/isolation.md");
    let document = std::fs::read_to_string(&path).expect("docs/isolation.md is there");
    let begin = document.find(BEGIN).expect("the table has its place") + BEGIN.len();
    let end = document.find(END).expect("the table's place ends");
    if std::env::var_os("SERIN_BLESS").is_some() {
        let written = format!("{}\n\n{table}\n{}", &document[..begin], &document[end..]);
        std::fs::write(&path, written).expect("the document can be written");
        return;
    }
    assert_eq!(document[begin..end].trim(), table.trim(), "docs/isolation.md differs from what was found");
}

/// The judge's own test: a script whose anomaly is an ordinary outcome, and one whose anomaly can't be.
#[test]
fn the_runner_sees_what_happens() {
    let server = TestServer::start();
    let play =
        |text: &str| Script::parse(text).expect("a script").play(server.connect(), &|| server.connect());
    let waits = "anomaly x\ntitle x\nsetup CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0);\n\
        s1 w1 UPDATE t SET v = 1 WHERE id = 1\ns2 w2 UPDATE t SET v = v + 10 WHERE id = 1\n\
        s2 c2 COMMIT\ns1 c1 COMMIT\noccurs committed s1 s2\noccurs final SELECT v FROM t = 11\n";
    let played = play(waits);
    assert!(played.occurred, "{:?}", played.log);
    let order: Vec<&str> = played.log.iter().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(order, ["s1 w1", "s1 c1", "s2 w2", "s2 c2"], "s2 waited, and its COMMIT with it");
    let fails = waits.replace("v + 10", "1 / v");
    let played = play(&fails.replace("SET v = 1", "SET v = 0"));
    assert!(!played.occurred);
    assert_eq!(played.errors.get("s2").map(String::as_str), Some("22012"));
}
