//! Two servers that are asked the same.

use crate::answer::{Answer, Part, Reader};
use serin_tests::{RawClient, frame, raw};
use std::net::SocketAddr;

/// A session on one of the servers.
struct Side {
    address: SocketAddr,
    database: String,
    client: RawClient,
}

impl Side {
    fn connect(address: SocketAddr, database: &str) -> Side {
        let parameters =
            [("user", "postgres"), ("database", database), ("TimeZone", "UTC"), ("application_name", "logs")];
        let client = RawClient::start_up(address, &parameters);
        Side { address, database: database.to_owned(), client }
    }

    fn answer(&mut self, extended: bool) -> Answer {
        let mut reader = Reader::default();
        loop {
            let Some(message) = self.client.receive() else {
                reader.answer.0.push(Part::Closed);
                *self = Side::connect(self.address, &self.database);
                return reader.answer;
            };
            reader.read(&message);
            match message.0 {
                b'Z' => return reader.answer,
                // No data: that the server asks for it, in which formats, and what it says to its end.
                b'G' => {
                    self.client.send(&frame(b'c', b""));
                    if extended {
                        self.client.send(&raw::sync());
                    }
                }
                _ => {}
            }
        }
    }
}

/// What the two said to one statement.
pub struct Answers {
    pub ours: Answer,
    pub theirs: Answer,
}

pub struct Pair {
    ours: Side,
    theirs: Side,
}

impl Pair {
    pub fn connect(ours: SocketAddr, theirs: SocketAddr, database: &str) -> Pair {
        Pair { ours: Side::connect(ours, database), theirs: Side::connect(theirs, database) }
    }

    pub fn send(&mut self, ours: &[u8], theirs: &[u8], extended: bool) -> Answers {
        self.theirs.client.send(theirs);
        self.ours.client.send(ours);
        Answers { theirs: self.theirs.answer(extended), ours: self.ours.answer(extended) }
    }

    /// By the simple protocol.
    pub fn query(&mut self, sql: &str) -> Answers {
        self.query_each(sql, sql)
    }

    /// A query with another text on each, for an OID in it.
    pub fn query_each(&mut self, ours: &str, theirs: &str) -> Answers {
        self.send(&raw::query(ours), &raw::query(theirs), false)
    }

    /// By the extended protocol: parsed and described, and then run with a value of each parameter's type.
    pub fn prepared(&mut self, sql: &str) -> Answers {
        let describe = [raw::parse(sql), frame(b'D', b"S\0"), raw::sync()].concat();
        let mut described = self.send(&describe, &describe, true);
        let types = described.theirs.0.iter().find_map(|part| match part {
            Part::Parameters(types) => Some(types.clone()),
            _ => None,
        });
        let Some(types) = types else { return described };
        if described.theirs != described.ours {
            return described;
        }
        let mut bind = vec![0, 0, 0, 0];
        bind.extend_from_slice(&(types.len() as u16).to_be_bytes());
        for kind in types {
            // No backend has this pid.
            let value = if sql.contains("_backend(") { Some("2147483647") } else { sample(kind) };
            match value {
                Some(value) => {
                    bind.extend_from_slice(&(value.len() as u32).to_be_bytes());
                    bind.extend_from_slice(value.as_bytes());
                }
                None => bind.extend_from_slice(&(-1i32).to_be_bytes()),
            }
        }
        bind.extend_from_slice(&[0, 0]);
        let run = [frame(b'B', &bind), frame(b'D', b"P\0"), raw::execute(0), raw::sync()].concat();
        let ran = self.send(&run, &run, true);
        described.ours.0.extend(ran.ours.0);
        described.theirs.0.extend(ran.theirs.0);
        described
    }

    /// The first column of a query on each.
    pub fn values(&mut self, sql: &str) -> (Vec<String>, Vec<String>) {
        self.query("ROLLBACK");
        let answers = self.query(sql);
        assert_eq!(
            (answers.ours.error(), answers.theirs.error()),
            (None, None),
            "{:?}, {:?}",
            answers.ours,
            answers.theirs
        );
        let first = |answer: Answer| {
            let rows = answer.0.into_iter().filter_map(|part| match part {
                Part::Row(mut values) => values.swap_remove(0),
                _ => None,
            });
            rows.collect()
        };
        (first(answers.ours), first(answers.theirs))
    }
}

/// A value of a type, in its text format; NULL for types of the user.
fn sample(kind: u32) -> Option<&'static str> {
    Some(match kind {
        16 => "t",
        17 => "\\x01",
        20 | 21 | 23 | 700 | 701 | 1700 | 790 => "1",
        // pg_class and its row type
        26 => "1259",
        18 | 19 | 25 | 1042 | 1043 | 705 => "a",
        114 | 3802 => "{\"a\": 1}",
        869 | 650 => "127.0.0.1",
        1082 => "2020-01-02",
        1083 | 1266 => "03:04:05",
        1114 | 1184 => "2020-01-02 03:04:05",
        1186 => "1 day",
        2950 => "11111111-2222-3333-4444-555555555555",
        2205 => "pg_class",
        2206 => "integer",
        1005 | 1007 | 1016 | 1021 | 1022 | 1231 => "{1,2}",
        1028 => "{1259}",
        1002 | 1003 | 1009 | 1014 | 1015 => "{a,b}",
        1560 | 1562 => "1",
        3904 | 3926 | 3906 => "[1,3)",
        3220 => "0/1",
        _ => return None,
    })
}
