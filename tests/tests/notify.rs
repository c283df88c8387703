//! NOTIFY across real connections: idle clients are told without asking, in the order of the commits, and busy ones when they are done.

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serin_tests::TestServer;
use std::time::Duration;

/// The next `count` notifications, for which nothing is asked.
fn hear(client: &mut Client, count: usize) -> Vec<(String, String)> {
    let mut notifications = client.notifications();
    let heard = notifications.timeout_iter(Duration::from_secs(20)).take(count);
    heard.map(|heard| Ok((heard.channel().to_owned(), heard.payload().to_owned()))).collect().unwrap()
}

fn heard(payloads: &[&str]) -> Vec<(String, String)> {
    payloads.iter().map(|payload| ("c".to_owned(), (*payload).to_owned())).collect()
}

#[test]
fn idle_clients_are_told() {
    let server = TestServer::start();
    let mut listeners: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for listener in &mut listeners {
        listener.batch_execute("LISTEN c").unwrap();
    }
    let mut busy = server.connect();
    busy.batch_execute("LISTEN c").unwrap();
    busy.batch_execute("BEGIN; SELECT 1").unwrap();
    let (mut one, mut two) = (server.connect(), server.connect());
    one.batch_execute("BEGIN; NOTIFY c, 'begun first'").unwrap();
    two.batch_execute("NOTIFY c, 'committed first'; NOTIFY other, 'x'").unwrap();
    one.batch_execute("COMMIT").unwrap();
    two.batch_execute("BEGIN; NOTIFY c, 'never'; ROLLBACK").unwrap();
    one.execute("SELECT pg_notify('c', $1)", &[&"last"]).unwrap();
    let all = heard(&["committed first", "begun first", "last"]);
    for listener in &mut listeners {
        assert_eq!(hear(listener, 3), all);
    }
    // In a transaction nothing is heard; then everything at once.
    busy.batch_execute("SELECT 1").unwrap();
    assert_eq!(busy.notifications().iter().count().unwrap(), 0);
    busy.batch_execute("COMMIT").unwrap();
    assert_eq!(hear(&mut busy, 3), all);
}

/// Many small and large notifications to clients that read at their own pace: none is lost or out of order.
#[test]
fn nothing_is_lost() {
    let server = TestServer::start();
    let mut listeners: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for listener in &mut listeners {
        listener.batch_execute("LISTEN c").unwrap();
    }
    let mut sender = server.connect();
    for round in 0..20 {
        let statement = format!(
            "SELECT pg_notify('c', {round} * 100 + g || repeat('.', 5000)) FROM generate_series(0, 99) g"
        );
        sender.batch_execute(&statement).unwrap();
    }
    for listener in &mut listeners {
        let heard = hear(listener, 2000);
        assert_eq!(heard.len(), 2000);
        for (number, (_, payload)) in heard.iter().enumerate() {
            assert_eq!(payload.trim_end_matches('.'), number.to_string());
        }
    }
    let usage: f64 = sender.query_one("SELECT pg_notification_queue_usage()", &[]).unwrap().get(0);
    assert_eq!(usage, 0.0);
}
