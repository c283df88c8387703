//! The protocol as clients see it, byte by byte, with a fake engine behind it (`fake.rs`).

mod fake;
mod protocol;
mod tls;

use crate::auth::Authentication;
use crate::listener::{Limits, Listener, Server, Shared};
use crate::workers::Workers;
use fake::{Fake, World};
use pgwire::tokio::TlsAcceptor;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A server on a free port, with its own runtimes.
pub struct TestServer {
    runtime: tokio::runtime::Runtime,
    _workers: Workers,
    server: Option<Server<Fake>>,
    pub address: SocketAddr,
    pub world: Arc<World>,
}

pub fn start() -> TestServer {
    start_with(20, 1 << 20)
}

pub fn start_tls(tls: Option<TlsAcceptor>) -> TestServer {
    start_shared(20, 1 << 20, tls)
}

pub fn start_with(max_connections: usize, message_max: usize) -> TestServer {
    start_shared(max_connections, message_max, None)
}

fn start_shared(max_connections: usize, message_max: usize, tls: Option<TlsAcceptor>) -> TestServer {
    // Accepts on a thread that is always there, as the program's main thread is.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let workers = Workers::start(2, 512).unwrap();
    let world = Arc::new(World::default());
    let limits = Limits { message_max, authentication_timeout: Duration::from_secs(20), max_connections };
    let shared = Shared::new(Fake(world.clone()), limits, Authentication::open(None, None).unwrap(), tls);
    let (server, address) = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Server::start(shared, vec![Listener::Tcp(listener)], &workers.pool()), address)
    });
    TestServer { runtime, _workers: workers, server: Some(server), address, world }
}

impl TestServer {
    pub fn raw(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, pid: 0 }
    }
    /// A client after start-up.
    pub fn connect(&self) -> Client {
        let mut client = self.raw();
        client.send(&startup(&[("user", "me")]));
        let replies = client.until_ready();
        let key = replies.iter().find(|(tag, _)| *tag == b'K').unwrap();
        client.pid = i32::from_be_bytes(key.1[..4].try_into().unwrap());
        client
    }
    pub fn stop(&mut self) -> bool {
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.stop(Duration::from_secs(10)))
    }
}

/// A client that knows frames and nothing else.
pub struct Client {
    pub stream: TcpStream,
    pub pid: i32,
}

type Message = (u8, Vec<u8>);

impl Client {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }
    /// `None`: the server closed the connection.
    pub fn receive(&mut self) -> Option<Message> {
        let mut header = [0; 5];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer"),
            Err(_) => return None,
        }
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).unwrap();
        Some((header[0], body))
    }
    pub fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.receive().expect("a ReadyForQuery");
            let ready = message.0 == b'Z';
            messages.push(message);
            if ready {
                return messages;
            }
        }
    }
    /// The replies to `bytes` up to ReadyForQuery, in short.
    pub fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes);
        brief(&self.until_ready())
    }
    pub fn query(&mut self, sql: &str) -> String {
        self.ask(&message(b'Q', &[sql.as_bytes(), b"\0"].concat()))
    }
    /// Everything until the server closes the connection.
    pub fn until_closed(&mut self) -> String {
        let mut messages = Vec::new();
        while let Some(message) = self.receive() {
            messages.push(message);
        }
        brief(&messages)
    }
}

/// Messages by their type bytes; with the tag, code or status where they have one. Runs of rows are counted.
pub fn brief(messages: &[Message]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rows = 0;
    for (tag, body) in messages {
        if *tag == b'D' {
            rows += 1;
            continue;
        }
        if rows > 0 {
            words.push(format!("D*{rows}"));
            rows = 0;
        }
        words.push(match tag {
            b'C' => format!("C({})", String::from_utf8_lossy(&body[..body.len() - 1])),
            b'Z' => format!("Z({})", body[0] as char),
            b'E' => format!("{}({})", field(body, b'S'), field(body, b'C')),
            other => (*other as char).to_string(),
        });
    }
    if rows > 0 {
        words.push(format!("D*{rows}"));
    }
    words.join(" ")
}

/// A field of an ErrorResponse.
pub fn field(body: &[u8], code: u8) -> String {
    body.split(|&byte| byte == 0)
        .find(|field| field.first() == Some(&code))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .unwrap_or_default()
}

pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}
/// Result formats: none, so text.
pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}
pub fn execute(portal: &str, max_rows: i32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &max_rows.to_be_bytes()].concat())
}
pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}
