//! Start-up, both query protocols, COPY, cancel, errors and clients that misbehave.

use super::*;

#[test]
fn startup_answers_what_drivers_wait_for() {
    let server = start();
    let mut client = server.raw();
    client.send(&[0, 0, 0, 8, 4, 210, 22, 48]); // GSSENCRequest
    let mut answer = [0];
    client.stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    client.send(&[0, 0, 0, 8, 4, 210, 22, 47]); // SSLRequest
    client.stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    let options = ("options", r"-c geqo=off --statement-timeout=1s");
    client.send(&startup(&[("user", "me"), ("database", "db"), options, ("client_encoding", "'utf-8'")]));
    assert_eq!(brief(&client.until_ready()), "R S S K Z(I)");
    let settings = [("geqo", "off"), ("statement_timeout", "1s"), ("client_encoding", "UTF8")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    server.world.wait_for(&format!("connect me db {settings:?}"));
    // The database defaults to the user's name.
    server.connect();
    server.world.wait_for("connect me me []");
}

#[test]
fn startup_refuses_with_a_reason() {
    let server = start();
    let refused = |bytes: &[u8]| {
        let mut client = server.raw();
        client.send(bytes);
        client.until_closed()
    };
    assert_eq!(refused(&startup(&[])), "FATAL(28000)");
    assert_eq!(refused(&startup(&[("user", "")])), "FATAL(28000)");
    assert_eq!(refused(&startup(&[("user", "me"), ("replication", "true")])), "FATAL(0A000)");
    assert_eq!(refused(&startup(&[("user", "me"), ("client_encoding", "LATIN")])), "FATAL(22023)");
    assert_eq!(refused(&startup(&[("user", "me"), ("options", "-q")])), "FATAL(42601)");
    assert_eq!(refused(&startup(&[("user", "me"), ("database", "nowhere")])), "FATAL(3D000)");
    assert_eq!(refused(&startup(&[("user", "me"), ("database", "panic")])), "FATAL(XX000)");
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "FATAL(08P01)");
    assert_eq!(refused(b"\0\0\0\x09\0\x02\0\0\0"), "FATAL(0A000)");
    assert_eq!(refused(b"\x7f\xff\xff\xff"), "FATAL(08P01)");
    // An SSLRequest with the next packet already behind it: nothing of that may be believed (CVE-2021-23222).
    assert_eq!(
        refused(&[&[0, 0, 0, 8, 4, 210, 22, 47][..], &startup(&[("user", "me")])].concat()),
        "FATAL(08P01)"
    );
    // And the server is as good as new.
    assert_eq!(server.connect().query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
}

#[test]
fn newer_protocol_versions_are_negotiated_down() {
    let server = start();
    let mut client = server.raw();
    let mut packet = startup(&[("user", "me"), ("_pq_.thing", "1")]);
    packet[7] = 2;
    client.send(&packet);
    let replies = client.until_ready();
    assert_eq!(brief(&replies), "v R S S K Z(I)");
    assert_eq!(replies[0].1, b"\0\0\0\0\0\0\0\x01_pq_.thing\0");
}

#[test]
fn too_many_clients() {
    let server = start_with(2, 1 << 20);
    let (first, _second) = (server.connect(), server.connect());
    let mut third = server.raw();
    third.send(&startup(&[("user", "me")]));
    assert_eq!(third.until_closed(), "FATAL(53300)");
    drop(first);
    server.world.wait_for("drop 1");
    // The slot is free a moment after the session is gone.
    loop {
        let mut client = server.raw();
        client.send(&startup(&[("user", "me")]));
        match client.receive() {
            Some((b'R', _)) => break,
            other => assert_eq!(field(&other.unwrap().1, b'C'), "53300"),
        }
    }
}

#[test]
fn simple_queries() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.query("rows 3"), "T D*3 C(SELECT 3) Z(I)");
    assert_eq!(client.query("rows 1; begin; notice"), "T D*1 C(SELECT 1) C(BEGIN) N S C(NOTICE) Z(T)");
    assert_eq!(client.query("error; rows 1"), "ERROR(22012) Z(E)");
    assert_eq!(client.query("commit"), "C(COMMIT) Z(I)");
    assert_eq!(client.query(""), "I Z(I)");
    assert_eq!(client.query(" ; ; "), "I Z(I)");
    assert_eq!(client.query("rows 1; syntax error"), "ERROR(42601) Z(I)");
    client.send(&message(b'Q', b"rows 1\0"));
    let rows = client.until_ready();
    assert_eq!(rows[1].1, b"\0\x02\0\0\0\x010\0\0\0\x05row 0");
}

#[test]
fn errors_carry_their_fields() {
    let server = start();
    let mut client = server.connect();
    client.send(&message(b'Q', b"error\0"));
    let (_, body) = client.receive().unwrap();
    let fields = b"SVCMDHstcn".map(|code| field(&body, code));
    let expected =
        ["ERROR", "ERROR", "22012", "division by zero", "Detail.", "Hint.", "public", "t", "c", "k"];
    assert_eq!(fields, expected);
    client.until_ready();
    client.send(&message(b'Q', b"syntax error\0"));
    assert_eq!(field(&client.receive().unwrap().1, b'P'), "3");
}

#[test]
fn large_results_pause_and_arrive_whole() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.query("rows 100000"), "T D*100000 C(SELECT 100000) Z(I)");
    // The same through a portal with a limit that falls into the middle of a buffer.
    let batch =
        [parse("", "rows 100000"), bind("", ""), execute("", 50_000), execute("", 0), sync()].concat();
    assert_eq!(client.ask(&batch), "1 2 D*50000 s D*50000 C(SELECT 100000) Z(I)");
}

#[test]
fn extended_queries() {
    let server = start();
    let mut client = server.connect();
    let describe = [message(b'D', b"Ss\0"), message(b'D', b"Pp\0")].concat();
    let batch = [parse("s", "rows 2"), bind("p", "s"), describe, execute("p", 0), sync()].concat();
    assert_eq!(client.ask(&batch), "1 2 t T T D*2 C(SELECT 2) Z(I)");
    let batch = [parse("", "begin"), bind("", ""), message(b'D', b"P\0"), execute("", 0), sync()].concat();
    assert_eq!(client.ask(&batch), "1 2 n C(BEGIN) Z(T)");
    let batch = [parse("", ""), bind("", ""), execute("", 0), message(b'C', b"Ss\0"), sync()].concat();
    assert_eq!(client.ask(&batch), "1 2 I 3 Z(T)");
    assert_eq!(client.ask(&[bind("", "s"), sync()].concat()), "ERROR(26000) Z(T)");
}

#[test]
fn binary_results() {
    let server = start();
    let mut client = server.connect();
    let bind = message(b'B', b"\0\0\0\0\0\0\0\x01\0\x01");
    client.send(&[parse("", "rows 1"), bind, message(b'D', b"P\0"), execute("", 0), sync()].concat());
    let replies = client.until_ready();
    assert_eq!(brief(&replies), "1 2 T D*1 C(SELECT 1) Z(I)");
    assert!(replies[2].1.ends_with(b"\0\x01"), "the description says binary");
    assert_eq!(replies[3].1, b"\0\x02\0\0\0\x04\0\0\0\0\0\0\0\x05row 0");
}

#[test]
fn portals_suspend() {
    let server = start();
    let mut client = server.connect();
    let batch =
        [parse("", "rows 5"), bind("p", ""), execute("p", 2), execute("p", 2), execute("p", 2), sync()];
    assert_eq!(client.ask(&batch.concat()), "1 2 D*2 s D*2 s D*1 C(SELECT 5) Z(I)");
}

#[test]
fn an_error_in_a_pipeline_skips_to_sync() {
    let server = start();
    let mut client = server.connect();
    let failing = [parse("", "error"), bind("", ""), execute("", 0)].concat();
    let skipped =
        [parse("", "never"), message(b'Q', b"rows 1\0"), message(b'H', b""), message(b'E', b"")].concat();
    let good = [parse("", "rows 1"), bind("", ""), execute("", 0)].concat();
    client.send(&[good.clone(), failing, skipped, sync(), good, sync()].concat());
    assert_eq!(brief(&client.until_ready()), "1 2 D*1 C(SELECT 1) 1 2 ERROR(22012) Z(I)");
    assert_eq!(brief(&client.until_ready()), "1 2 D*1 C(SELECT 1) Z(I)");
    assert!(!server.world.log().contains(&"prepare never".to_owned()));
}

#[test]
fn an_error_is_sent_at_once() {
    let server = start();
    let mut client = server.connect();
    // No Sync: a client that waits for the error before it sends one must get it.
    client.send(&parse("", "syntax error"));
    assert_eq!(brief(&[client.receive().unwrap()]), "ERROR(42601)");
    assert_eq!(client.ask(&sync()), "Z(I)");
}

#[test]
fn flush_sends_what_there_is() {
    let server = start();
    let mut client = server.connect();
    client.send(&[parse("", "rows 1"), message(b'H', b"")].concat());
    assert_eq!(brief(&[client.receive().unwrap()]), "1");
}

#[test]
fn malformed_messages() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.ask(&message(b'Q', b"no terminator")), "ERROR(08P01) Z(I)");
    assert_eq!(client.ask(&message(b'Q', b"'\xff'\0")), "ERROR(22021) Z(I)");
    assert_eq!(client.ask(&message(b'F', b"whatever")), "ERROR(08P01) Z(I)");
    assert_eq!(client.ask(&[message(b'B', b"\0\0\xff\xff"), sync()].concat()), "ERROR(08P01) Z(I)");
    assert_eq!(client.ask(&[message(b'D', b"X\0"), sync()].concat()), "ERROR(08P01) Z(I)");
    assert_eq!(client.ask(&[message(b'E', b"p\0"), sync()].concat()), "ERROR(08P01) Z(I)");
    // A malformed message fails the transaction like any other error.
    assert_eq!(client.query("begin"), "C(BEGIN) Z(T)");
    assert_eq!(client.ask(&message(b'Q', b"")), "ERROR(08P01) Z(E)");

    let fatal = |bytes: &[u8]| {
        let mut client = server.connect();
        client.send(bytes);
        client.until_closed()
    };
    assert_eq!(fatal(b"?\0\0\0\x04"), "FATAL(08P01)");
    assert_eq!(fatal(b"Q\0\0\0\x03"), "FATAL(08P01)");
    assert_eq!(fatal(b"Q\xff\xff\xff\xff"), "FATAL(08P01)");
    assert_eq!(fatal(b"B\x7f\xff\xff\xff"), "FATAL(08P01)");
    assert_eq!(fatal(b"S\0\0\x30\0"), "FATAL(08P01)");
    assert_eq!(fatal(&message(b'p', b"password\0")), "FATAL(08P01)");
    // Answers to what came before are delivered.
    assert_eq!(
        fatal(&[&message(b'Q', b"rows 1\0")[..], b"?"].concat()),
        "T D*1 C(SELECT 1) Z(I) FATAL(08P01)"
    );
    assert_eq!(server.connect().query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
}

#[test]
fn messages_arrive_in_any_pieces() {
    let server = start();
    let mut client = server.connect();
    let batch = [parse("s", "rows 2"), bind("", "s"), execute("", 0), sync()].concat();
    for byte in batch {
        client.send(&[byte]);
    }
    assert_eq!(brief(&client.until_ready()), "1 2 D*2 C(SELECT 2) Z(I)");
    // A message larger than any buffer.
    let sql = format!("rows 2{}", " ".repeat(500_000));
    assert_eq!(client.query(&sql), "T D*2 C(SELECT 2) Z(I)");
}

#[test]
fn panics_are_errors() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.query("begin"), "C(BEGIN) Z(T)");
    assert_eq!(client.query("panic"), "ERROR(XX000) Z(E)");
    // Two whole rows were there already, half of another is not sent.
    assert_eq!(client.query("panic in row"), "T D*3 ERROR(XX000) Z(E)");
    let batch = [parse("", "panic"), bind("", ""), execute("", 0), sync()].concat();
    assert_eq!(client.ask(&batch), "1 2 ERROR(XX000) Z(E)");
    client.send(&message(b'Q', b"panic for good\0"));
    assert_eq!(client.until_closed(), "FATAL(XX000)");
    assert_eq!(server.connect().query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.query("commit"), "C(COMMIT) Z(I)");
    assert!(server.world.log().contains(&"durable 42".to_owned()));
    client.send(&message(b'Q', b"commit in vain\0"));
    assert_eq!(client.until_closed(), "FATAL(58030)");
}

#[test]
fn copy_in() {
    let server = start();
    let mut client = server.connect();
    let data = |text: &[u8]| message(b'd', text);
    client.send(&message(b'Q', b"copy in; rows 1\0"));
    assert_eq!(client.receive().unwrap(), (b'G', b"\0\0\x02\0\0\0\0".to_vec()));
    // Flush and Sync are ignored while it runs; the statement behind it runs after.
    let batch = [data(b"1\ta\n"), message(b'H', b""), sync(), data(b""), data(b"2\tb"), data(b"\n")].concat();
    client.send(&batch);
    assert_eq!(client.ask(&message(b'c', b"")), "C(COPY 8) T D*1 C(SELECT 1) Z(I)");

    let batch = [parse("", "copy in"), bind("", ""), execute("", 0)].concat();
    client.send(&[batch, data(b"1\ta\n"), message(b'c', b""), sync()].concat());
    assert_eq!(brief(&client.until_ready()), "1 2 G C(COPY 4) Z(I)");
}

#[test]
fn copy_in_streams_large_frames() {
    let server = start();
    let mut client = server.connect();
    client.send(&message(b'Q', b"copy in\0"));
    client.receive();
    let frame = message(b'd', &vec![b'x'; 1_000_000]);
    for _ in 0..20 {
        client.send(&frame);
    }
    assert_eq!(client.ask(&message(b'c', b"")), "C(COPY 20000000) Z(I)");
}

#[test]
fn copy_in_fails() {
    let server = start();
    let mut client = server.connect();
    client.send(&message(b'Q', b"copy in; rows 1\0"));
    client.receive();
    assert_eq!(client.ask(&message(b'f', b"no more\0")), "ERROR(57014) Z(I)");
    // Bad data: the error comes at once, what the client still sends is ignored.
    client.send(&message(b'Q', b"copy in\0"));
    client.receive();
    let rest = [message(b'd', b"!\n"), message(b'd', b"1\n"), message(b'c', b"")].concat();
    assert_eq!(client.ask(&rest), "ERROR(22P04) Z(I)");
    assert_eq!(client.query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
    // In the extended protocol everything up to Sync is ignored.
    let batch = [parse("", "copy in"), bind("", ""), execute("", 0)].concat();
    client.send(&[batch, message(b'd', b"!\n"), message(b'd', b"1\n"), message(b'c', b""), sync()].concat());
    assert_eq!(brief(&client.until_ready()), "1 2 G ERROR(22P04) Z(I)");
    // Another statement in the middle.
    client.send(&message(b'Q', b"copy in\0"));
    client.receive();
    assert_eq!(client.query("rows 1"), "ERROR(08P01) Z(I)");
    // A client that vanishes.
    client.send(&message(b'Q', b"copy in\0"));
    client.receive();
    let pid = client.pid;
    client.send(b"d\0\0\0\xff1\ta");
    drop(client);
    server.world.wait_for("copy failed: client connection lost");
    server.world.wait_for(&format!("drop {pid}"));
}

#[test]
fn copy_out() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.query("copy out"), "H d c C(COPY 2) Z(I)");
}

#[test]
fn cancel() {
    let server = start();
    let mut client = server.connect();
    client.send(&message(b'Q', b"wait\0"));
    server.world.wait_for("waiting");
    let request = |secret: i32| {
        let code = [0, 0, 0, 16, 4, 210, 22, 46];
        let bytes = [&code[..], &client.pid.to_be_bytes(), &secret.to_be_bytes()].concat();
        let mut canceler = server.raw();
        canceler.send(&bytes);
        assert_eq!(canceler.receive(), None);
    };
    request(1);
    request(4711);
    assert_eq!(brief(&client.until_ready()), "ERROR(57014) Z(I)");
}

#[test]
fn long_statements_do_not_hold_up_others() {
    let server = start();
    let mut waiting: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    // More than there are workers.
    for client in &mut waiting {
        client.send(&message(b'Q', b"wait\0"));
    }
    assert_eq!(server.connect().query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
    drop(waiting);
    use crate::backend::Backend;
    Fake(server.world.clone()).terminate_all();
}

#[test]
fn clients_that_vanish() {
    let server = start();
    for bytes in [&b""[..], b"Q", b"Q\0\0\0\x20sel", b"X\0\0\0\x04"] {
        let mut client = server.connect();
        client.query("begin");
        client.send(bytes);
        let pid = client.pid;
        drop(client);
        server.world.wait_for(&format!("drop {pid}"));
    }
    // Before start-up, by the hundred.
    for _ in 0..300 {
        server.raw().send(b"\0\0");
    }
    assert_eq!(server.connect().query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
}

#[test]
fn shutdown_tells_clients() {
    let mut server = start();
    let mut idle = server.connect();
    let mut waiting = server.connect();
    let mut silent = server.raw();
    waiting.send(&message(b'Q', b"wait\0"));
    server.world.wait_for("waiting");
    assert!(server.stop(), "every connection ended in time");
    assert_eq!(idle.until_closed(), "FATAL(57P01)");
    assert_eq!(waiting.until_closed(), "ERROR(57014) Z(I) FATAL(57P01)");
    let ended = silent.until_closed();
    assert!(ended.is_empty() || ended == "FATAL(57P01)", "{ended}");
}

#[test]
fn an_idle_session_can_be_terminated() {
    let server = start();
    let mut client = server.connect();
    server.world.terminate(client.pid);
    assert_eq!(client.until_closed(), "FATAL(57P01)");
    assert_eq!(server.connect().query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
}

#[test]
fn a_session_that_does_not_read_can_be_terminated() {
    let server = start();
    let mut client = server.connect();
    // Far more than the sockets' buffers take.
    client.send(&message(b'Q', b"rows 10000000\0"));
    assert_eq!(client.receive().unwrap().0, b'T');
    server.world.terminate(client.pid);
    server.world.wait_for(&format!("drop {}", client.pid));
}
