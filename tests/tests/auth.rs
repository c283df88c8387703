//! Who gets in: the HBA file, SCRAM with and without TLS, what is said to those who don't, and what is kept of passwords. The
//! client is psql, which checks the server's proof and binds the channel on its own account.

use serin_tests::{RawClient, TestServer, error_field, frame, startup_packet};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const TRUST: &str = "host all all 127.0.0.1/32 trust\n";
const PASSWORDS: &str = "host all all 127.0.0.1/32 scram-sha-256\n";

struct Guarded {
    server: TestServer,
    dir: tempfile::TempDir,
}

impl Guarded {
    /// A server with a role `alice` whose password is `sesame`, that asks for passwords.
    fn start(more_rules: &str, flags: &[&str]) -> Guarded {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hba");
        std::fs::write(&file, TRUST).unwrap();
        let server = TestServer::start_with(&[&["--hba-file", file.to_str().unwrap()], flags].concat());
        let mut client = server.connect();
        client.batch_execute("CREATE ROLE alice LOGIN PASSWORD 'sesame'").unwrap();
        let guarded = Guarded { server, dir };
        guarded.set_rules(&format!("{more_rules}{PASSWORDS}"));
        // Signals are not answered: wait for the effect.
        let started = Instant::now();
        while guarded.psql("alice", None, "").status.success() {
            assert!(started.elapsed() < Duration::from_secs(20), "the new rules are not read");
        }
        guarded
    }

    fn set_rules(&self, rules: &str) {
        std::fs::write(self.dir.path().join("hba"), rules).unwrap();
        let pid = self.server.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    fn psql(&self, user: &str, password: Option<&str>, options: &str) -> Output {
        let mut command = Command::new("psql");
        let port = self.server.port();
        command.arg(format!("host=127.0.0.1 port={port} user={user} dbname=postgres {options}"));
        command.args(["-Xwtc", "SELECT 'in as ' || current_user"]).env_remove("PGPASSWORD");
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        command.output().unwrap()
    }

    fn gets_in(&self, user: &str, password: &str, options: &str) {
        let output = self.psql(user, Some(password), options);
        assert!(output.status.success(), "{user} with {options}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("in as {user}"));
    }

    fn kept_out(&self, user: &str, password: &str, options: &str, why: &str) {
        let output = self.psql(user, Some(password), options);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(why), "{user} with {options}: {error}");
    }
}

fn installed() -> bool {
    let installed = Command::new("psql").arg("--version").output().is_ok();
    if !installed {
        eprintln!("psql is not installed: nothing tested");
    }
    installed
}

#[test]
fn scram_lets_in_who_knows_the_password() {
    if !installed() {
        return;
    }
    let guarded = Guarded::start("host all nobody all reject\nhost forbidden all all trust\n", &[]);
    guarded.gets_in("alice", "sesame", "");
    let wrong = "password authentication failed for user";
    guarded.kept_out("alice", "Sesame", "", wrong);
    guarded.kept_out("alice", "", "", "no password supplied");
    // No telling from the answer whether there is such a role, or has a password.
    guarded.kept_out("mallory", "sesame", "", wrong);
    guarded.kept_out("postgres", "sesame", "", wrong);
    guarded.kept_out(
        "nobody",
        "",
        "",
        "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"nobody\"",
    );

    // A mistake in the file leaves the old rules in force.
    guarded.set_rules("host all all 127.0.0.1/32 trusty\n");
    guarded.kept_out("alice", "Sesame", "", wrong);
    guarded.set_rules("host all alice 192.0.2.0/24 trust\n");
    let started = Instant::now();
    loop {
        let error = guarded.psql("alice", Some("sesame"), "").stderr;
        if String::from_utf8_lossy(&error)
            .contains("no pg_hba.conf entry for host \"127.0.0.1\", user \"alice\"")
        {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "the new rules are not read");
    }
}

#[test]
fn passwords_change_expire_and_are_not_kept() {
    if !installed() {
        return;
    }
    let guarded = Guarded::start("host all postgres all trust\n", &[]);
    let mut admin = guarded.server.connect();
    let kept = |admin: &mut postgres::Client| -> Option<String> {
        admin.query_one("SELECT rolpassword FROM pg_authid WHERE rolname = 'alice'", &[]).unwrap().get(0)
    };
    let verifier = kept(&mut admin).unwrap();
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:") && !verifier.contains("sesame"), "{verifier}");
    // Nobody else sees it, and nobody acts as another role.
    let mut alice = guarded.server.try_connect("user=alice password=sesame").unwrap();
    admin.batch_execute("CREATE TABLE hers (id int)").unwrap();
    for statement in [
        "SELECT max(rolpassword) FROM pg_authid",
        "SELECT max(passwd) FROM pg_shadow",
        "SELECT pg_reload_conf()",
        "SELECT * FROM pg_hba_file_rules",
        "TRUNCATE hers",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER ROLE alice SUPERUSER",
        "GRANT postgres TO alice",
    ] {
        let error = alice.batch_execute(statement).unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{statement}");
    }
    let mask = "SELECT rolpassword FROM pg_roles WHERE rolname = 'alice'";
    assert_eq!(alice.query_one(mask, &[]).unwrap().get::<_, String>(0), "********");
    admin.batch_execute("ALTER ROLE alice PASSWORD 'пароль'").unwrap();
    guarded.gets_in("alice", "пароль", "");
    guarded.kept_out("alice", "sesame", "", "password authentication failed");
    // A dump brings the verifier.
    admin.batch_execute(&format!("ALTER ROLE alice PASSWORD '{verifier}'")).unwrap();
    guarded.gets_in("alice", "sesame", "");
    admin.batch_execute("ALTER ROLE alice VALID UNTIL '2001-01-01'").unwrap();
    guarded.kept_out("alice", "sesame", "", "password authentication failed");
    admin.batch_execute("ALTER ROLE alice VALID UNTIL 'infinity'").unwrap();
    guarded.gets_in("alice", "sesame", "");
    admin.batch_execute("ALTER ROLE alice NOLOGIN").unwrap();
    guarded.kept_out("alice", "sesame", "", "role \"alice\" is not permitted to log in");
    admin.batch_execute("ALTER ROLE alice LOGIN PASSWORD NULL").unwrap();
    assert_eq!(kept(&mut admin), None);
    guarded.kept_out("alice", "sesame", "", "password authentication failed");
}

/// Waits until psql says this of a user who comes without a password.
fn wait_for(guarded: &Guarded, user: &str, what: &str) {
    let started = Instant::now();
    loop {
        let output = guarded.psql(user, None, "");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if said.contains(what) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{user}: {said}");
    }
}

#[test]
fn rules_know_members_files_and_hosts() {
    if !installed() {
        return;
    }
    let guarded = Guarded::start("host all postgres all trust\n", &[]);
    let mut admin = guarded.server.connect();
    admin
        .batch_execute(
            "CREATE ROLE staff; CREATE ROLE night IN ROLE staff; CREATE ROLE mary LOGIN IN ROLE night;
             CREATE ROLE bob LOGIN; CREATE ROLE eve LOGIN",
        )
        .unwrap();
    std::fs::write(guarded.dir.path().join("friends"), "bob, # and nobody else\n").unwrap();
    guarded.set_rules(
        "host all +staff 127.0.0.1/32 trust\nhost all @friends localhost trust\n\
         host all postgres all trust\nhost all eve no-such-host.invalid trust\n",
    );
    wait_for(&guarded, "mary", "in as mary");
    wait_for(&guarded, "bob", "in as bob");
    wait_for(&guarded, "eve", "no pg_hba.conf entry");
    // Membership is looked at when somebody comes.
    admin.batch_execute("REVOKE staff FROM night").unwrap();
    guarded.kept_out("mary", "", "", "no pg_hba.conf entry");

    // A mistake in the file leaves the rules as they are, and shows.
    std::fs::write(guarded.dir.path().join("hba"), "host all all all trusty\n").unwrap();
    assert!(admin.query_one("SELECT pg_reload_conf()", &[]).unwrap().get::<_, bool>(0));
    let row = admin.query_one("SELECT line_number, error FROM pg_hba_file_rules", &[]).unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
    assert_eq!(row.get::<_, &str>(1), "invalid authentication method \"trusty\"");
    guarded.gets_in("bob", "", "");
    std::fs::write(guarded.dir.path().join("hba"), "host all all 127.0.0.0/8 trust\n").unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").unwrap();
    guarded.gets_in("eve", "", "");
    let row = admin
        .query_one("SELECT type, array_to_string(database, ','), address, netmask, auth_method FROM pg_hba_file_rules", &[])
        .unwrap();
    let fields: Vec<&str> = (0..5).map(|at| row.get(at)).collect();
    assert_eq!(fields, ["host", "all", "127.0.0.0", "255.0.0.0", "trust"]);
}

#[test]
fn databases_and_roles_limit_who_connects() {
    if !installed() {
        return;
    }
    let guarded = Guarded::start("host all postgres all trust\n", &[]);
    let mut admin = guarded.server.connect();
    admin.batch_execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC").unwrap();
    guarded.kept_out("alice", "sesame", "", "permission denied for database \"postgres\"");
    admin
        .batch_execute("GRANT CONNECT ON DATABASE postgres TO alice; ALTER ROLE alice CONNECTION LIMIT 1")
        .unwrap();
    let first = guarded.server.try_connect("user=alice password=sesame").unwrap();
    guarded.kept_out("alice", "sesame", "", "too many connections for role \"alice\"");
    drop(first);
    // The session's end is not the client's.
    let started = Instant::now();
    while !guarded.psql("alice", Some("sesame"), "").status.success() {
        assert!(started.elapsed() < Duration::from_secs(20), "the connection is not given back");
    }
}

#[test]
fn guessing_passwords_takes_time() {
    if !installed() {
        return;
    }
    let guarded = Guarded::start("", &[]);
    let started = Instant::now();
    for guess in ["a", "b", "c", "d"] {
        guarded.kept_out("alice", guess, "", "password authentication failed");
    }
    // 100 + 200 + 400 + 800 ms.
    assert!(started.elapsed() >= Duration::from_millis(1500), "{:?}", started.elapsed());
    // Who knows it does not wait.
    let started = Instant::now();
    guarded.gets_in("alice", "sesame", "");
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

fn certificate(dir: &Path) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(dir);
    openssl.output().is_ok_and(|output| output.status.success())
}

#[test]
fn every_sslmode_and_channel_binding() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    if !installed() || !certificate(dir.path()) || !certificate(other.path()) {
        return;
    }
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let stranger = other.path().join("cert.pem").to_str().unwrap().to_owned();
    let guarded =
        Guarded::start("hostnossl safe all all reject\n", &["--tls-cert", &cert, "--tls-key", &key]);
    for mode in ["disable", "allow", "prefer", "require"] {
        guarded.gets_in("alice", "sesame", &format!("sslmode={mode}"));
    }
    for mode in ["verify-ca", "verify-full"] {
        guarded.gets_in("alice", "sesame", &format!("sslmode={mode} sslrootcert={cert}"));
        guarded.kept_out(
            "alice",
            "sesame",
            &format!("sslmode={mode} sslrootcert={stranger}"),
            "verify failed",
        );
    }
    guarded.gets_in("alice", "sesame", "sslmode=require channel_binding=require");
    guarded.gets_in("alice", "sesame", "sslmode=require channel_binding=disable");
    guarded.kept_out("alice", "sesame", "sslmode=disable channel_binding=require", "channel binding");
    guarded.kept_out("alice", "Sesame", "sslmode=require channel_binding=require", "authentication failed");
    guarded.kept_out("alice", "sesame", "sslmode=disable dbname=safe", "rejects connection");
}

#[test]
fn nonsense_instead_of_a_password() {
    let guarded = Guarded::start("", &[]);
    let initial = |mechanism: &str, data: &[u8]| {
        frame(b'p', &[mechanism.as_bytes(), b"\0", &(data.len() as i32).to_be_bytes(), data].concat())
    };
    let cases: [(Vec<u8>, &str); 8] = [
        (frame(b'p', b""), "08P01"),
        (frame(b'p', b"SCRAM-SHA-256"), "08P01"),
        (frame(b'p', b"SCRAM-SHA-256\0\xff\xff\xff\xff"), "08P01"),
        (initial("SCRAM-SHA-1", b"n,,n=,r=abc"), "08P01"),
        (initial("SCRAM-SHA-256", b"\xff\xfe"), "08P01"),
        (initial("SCRAM-SHA-256", b""), "08P01"),
        (initial("SCRAM-SHA-256", b"p=tls-unique,,n=,r=abc"), "08P01"),
        (frame(b'Q', b"SELECT 1\0"), "08P01"),
    ];
    for (message, state) in cases {
        let mut client = RawClient::open(guarded.server.address());
        client.send(&startup_packet(&[("user", "alice"), ("database", "postgres")]));
        let (tag, _) = client.receive().unwrap();
        assert_eq!(tag, b'R');
        client.send(&message);
        let (tag, body) = client.receive().unwrap();
        assert_eq!((tag, error_field(&body, b'C').as_str()), (b'E', state), "{message:?}");
    }
    // Nothing is answered before it is proved who asks.
    let mut client = RawClient::open(guarded.server.address());
    client.send(&startup_packet(&[("user", "alice"), ("database", "postgres")]));
    let (_, body) = client.receive().unwrap();
    assert_eq!(&body[..4], &10i32.to_be_bytes());
    client.send(&initial("SCRAM-SHA-256", b"n,,n=,r=abc"));
    let (_, body) = client.receive().unwrap();
    assert_eq!(&body[..4], &11i32.to_be_bytes());
    client.send(&frame(b'p', b"c=biws,r=abc,p=AAAA"));
    assert_eq!(client.receive().unwrap().0, b'E');
}
