//! A client that knows frames and nothing else, to send what no driver would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Type byte and body.
pub type RawMessage = (u8, Vec<u8>);

pub struct RawClient {
    pub stream: TcpStream,
    pub pid: i32,
    pub secret: i32,
}

impl RawClient {
    pub fn open(address: SocketAddr) -> RawClient {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket option");
        stream.set_nodelay(true).expect("a socket option");
        RawClient { stream, pid: 0, secret: 0 }
    }
    pub fn start_up(address: SocketAddr, parameters: &[(&str, &str)]) -> RawClient {
        let mut client = RawClient::open(address);
        client.send(&startup_packet(parameters));
        let replies = client.until_ready();
        let key = replies.iter().find(|(tag, _)| *tag == b'K').expect("BackendKeyData");
        client.pid = i32::from_be_bytes(key.1[..4].try_into().expect("four bytes"));
        client.secret = i32::from_be_bytes(key.1[4..8].try_into().expect("four bytes"));
        client
    }
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }
    /// `None`: the server closed the connection.
    pub fn receive(&mut self) -> Option<RawMessage> {
        let mut header = [0; 5];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no answer within a minute")
            }
            Err(_) => return None,
        }
        let length = u32::from_be_bytes(header[1..].try_into().expect("four bytes")) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).ok()?;
        Some((header[0], body))
    }
    pub fn until_ready(&mut self) -> Vec<RawMessage> {
        let mut messages = Vec::new();
        loop {
            let message = self.receive().unwrap_or_else(|| panic!("closed after {}", brief(&messages)));
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
        self.ask(&query(sql))
    }
    /// Everything until the server closes the connection, in short.
    pub fn until_closed(&mut self) -> String {
        let mut messages = Vec::new();
        while let Some(message) = self.receive() {
            messages.push(message);
        }
        brief(&messages)
    }
}

/// Messages by their type bytes, with the tag, SQLSTATE or status where they have one; runs of rows are counted.
pub fn brief(messages: &[RawMessage]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rows = 0;
    let flush = |words: &mut Vec<String>, rows: &mut usize| {
        if *rows > 0 {
            words.push(format!("D*{rows}"));
        }
        *rows = 0;
    };
    for (tag, body) in messages {
        if *tag == b'D' {
            rows += 1;
            continue;
        }
        flush(&mut words, &mut rows);
        words.push(match tag {
            b'C' => format!("C({})", String::from_utf8_lossy(&body[..body.len() - 1])),
            b'Z' => format!("Z({})", body[0] as char),
            b'E' => format!("{}({})", error_field(body, b'S'), error_field(body, b'C')),
            other => (*other as char).to_string(),
        });
    }
    flush(&mut words, &mut rows);
    words.join(" ")
}

/// A field of an ErrorResponse's or NoticeResponse's body; empty where it is missing.
pub fn error_field(body: &[u8], code: u8) -> String {
    body.split(|&byte| byte == 0)
        .find(|field| field.first() == Some(&code))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .unwrap_or_default()
}

pub fn startup_packet(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// A message with a true length.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// A Query message.
pub fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', &[sql.as_bytes(), b"\0"].concat())
}
/// Parse, as the unnamed statement.
pub fn parse(sql: &str) -> Vec<u8> {
    frame(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}
/// Bind of the unnamed statement, without parameters, as a portal of this name.
pub fn bind(portal: &str) -> Vec<u8> {
    frame(b'B', &[portal.as_bytes(), b"\0\0\0\0\0\0\0\0"].concat())
}
/// Execute of the unnamed portal; 0: all rows.
pub fn execute(max_rows: i32) -> Vec<u8> {
    frame(b'E', &[&b"\0"[..], &max_rows.to_be_bytes()].concat())
}
pub fn sync() -> Vec<u8> {
    frame(b'S', b"")
}
/// A statement without parameters by the extended protocol, but for the Sync.
pub fn run(sql: &str) -> Vec<u8> {
    [parse(sql), bind(""), execute(0)].concat()
}
