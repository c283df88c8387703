//! What a server says to a statement, in a form that two servers can be compared by.

use serin_tests::{RawMessage, error_field};
use std::time::{SystemTime, UNIX_EPOCH};

/// The first OID that initdb gives away freely: those below are PostgreSQL's by definition and compared as they are.
const FIRST_FREE_OID: u32 = 10_000;

/// One message of an answer, without what is different on any two servers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// Name and type of each column, or the types of a statement's parameters.
    Columns(Vec<(String, String)>),
    Parameters(Vec<u32>),
    Row(Vec<Option<String>>),
    Tag(String),
    Error(String),
    Notice(String),
    /// CopyInResponse and CopyOutResponse: direction and formats.
    Copy(String),
    CopyData(String),
    /// The server hung up.
    Closed,
    /// I, T or E of ReadyForQuery.
    Status(char),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Columns(columns) => {
                let columns: Vec<String> =
                    columns.iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
                write!(f, "columns {}", columns.join(", "))
            }
            Part::Parameters(types) => write!(f, "parameters {types:?}"),
            Part::Row(values) => {
                let values: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("∅")).collect();
                write!(f, "row {}", values.join(" | "))
            }
            Part::Tag(text) => write!(f, "tag {text}"),
            Part::Error(text) => write!(f, "{text}"),
            Part::Notice(text) => write!(f, "{text}"),
            Part::Copy(text) => write!(f, "copy {text}"),
            Part::CopyData(text) => write!(f, "copied {text}"),
            Part::Closed => write!(f, "closed"),
            Part::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// The messages of one statement.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer(pub Vec<Part>);

impl Answer {
    /// SQLSTATE of the first error.
    pub fn error(&self) -> Option<&str> {
        self.0.iter().find_map(|part| match part {
            // "ERROR 42P01: message"
            Part::Error(text) => text.split([' ', ':']).nth(1),
            _ => None,
        })
    }
    pub fn status(&self) -> char {
        match self.0.last() {
            Some(Part::Status(status)) => *status,
            _ => 'I',
        }
    }
    /// Without the rows that came before an error: how many there are depends on how many are computed at a time.
    pub fn without_cut_rows(mut self) -> Answer {
        let is_row = |part: &Part| matches!(part, Part::Columns(_) | Part::Row(_) | Part::CopyData(_));
        if let Some(error) = self.0.iter().position(|part| matches!(part, Part::Error(_))) {
            let cut = self.0[..error].iter().rev().take_while(|part| is_row(part)).count();
            self.0.drain(error - cut..error);
        }
        self
    }
    /// Rows between two other messages in an order of their own, where the statement asks for none.
    pub fn without_order(mut self) -> Answer {
        for run in self.0.chunk_by_mut(|a, b| {
            matches!((a, b), (Part::Row(_), Part::Row(_)) | (Part::CopyData(_), Part::CopyData(_)))
        }) {
            run.sort();
        }
        self
    }
}

/// Turns messages into an [`Answer`]; knows the types of the columns on their way.
#[derive(Default)]
pub struct Reader {
    types: Vec<u32>,
    pub answer: Answer,
}

impl Reader {
    pub fn read(&mut self, (tag, body): &RawMessage) {
        let part = match tag {
            b'T' => self.columns(body),
            b't' => {
                let types = body[2..].chunks_exact(4).map(|oid| masked_type(be32(oid)));
                Part::Parameters(types.collect())
            }
            b'D' => self.row(body),
            b'C' => Part::Tag(text(&body[..body.len() - 1])),
            b'I' => Part::Tag(String::new()),
            b's' => Part::Tag("suspended".into()),
            b'E' => Part::Error(report(body)),
            b'N' => Part::Notice(report(body)),
            b'G' | b'H' | b'W' => Part::Copy(format!("{} {body:?}", *tag as char)),
            // A line each, however many are in a message.
            b'd' => {
                let said = masked(0, &text(body));
                self.answer.0.extend(said.lines().map(|line| Part::CopyData(line.to_owned())));
                return;
            }
            b'Z' => Part::Status(body[0] as char),
            // Parameter status, notifications; ParseComplete and its like say nothing that the rest doesn't.
            _ => return,
        };
        self.answer.0.push(part);
    }

    fn columns(&mut self, body: &[u8]) -> Part {
        self.types.clear();
        let mut columns = Vec::new();
        let mut rest = &body[2..];
        while let Some(end) = rest.iter().position(|&byte| byte == 0) {
            let name = text(&rest[..end]);
            // Table, attribute, type, size, modifier, format.
            let fields = &rest[end + 1..];
            let (kind, modifier) = (be32(&fields[6..10]), be32(&fields[12..16]) as i32);
            self.types.push(kind);
            let kind = masked_type(kind);
            columns
                .push((name, if modifier == -1 { kind.to_string() } else { format!("{kind}({modifier})") }));
            rest = &fields[18..];
        }
        Part::Columns(columns)
    }

    fn row(&self, body: &[u8]) -> Part {
        let mut rest = &body[2..];
        let mut values = Vec::new();
        while rest.len() >= 4 {
            let length = be32(rest) as i32;
            rest = &rest[4..];
            values.push((length >= 0).then(|| {
                let (value, after) = rest.split_at(length as usize);
                rest = after;
                masked(self.types.get(values.len()).copied().unwrap_or(0), &text(value))
            }));
        }
        Part::Row(values)
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
/// Severity, SQLSTATE, message and detail.
fn report(body: &[u8]) -> String {
    let field = |code| error_field(body, code);
    let detail = field(b'D');
    let separator = if detail.is_empty() { "" } else { " / " };
    // UUIDs first: they may begin with what looks like an OID.
    let said = with_oids_as("OID", &masked(0, &format!("{}{separator}{detail}", field(b'M'))));
    format!("{} {}: {said}", field(b'V'), field(b'C'))
}

/// Types that are created, by the statements or by initdb's scripts, have any OID.
fn masked_type(oid: u32) -> u32 {
    if oid >= FIRST_FREE_OID { FIRST_FREE_OID } else { oid }
}

/// Above what any OID of a test's server, or of the logged one, has reached: what is larger is another number.
const OID_MAX: u32 = 200_000;

/// OIDs that were given away freely, wherever they stand in a text, become this.
pub fn with_oids_as(word: &str, text: &str) -> String {
    with_numbers_as(word, text, OID_MAX)
}

fn with_numbers_as(word: &str, text: &str, limit: u32) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - start);
        let number = &rest[start..start + digits];
        let inside_word = rest[..start].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '-')
            || rest[start + digits..].starts_with(char::is_alphanumeric);
        masked.push_str(&rest[..start]);
        match number.parse::<u32>() {
            Ok(oid) if !inside_word && (FIRST_FREE_OID..limit).contains(&oid) => masked.push_str(word),
            _ => masked.push_str(number),
        }
        rest = &rest[start + digits..];
    }
    masked + rest
}

/// A value without what depends on the server's state and on the clock.
fn masked(kind: u32, value: &str) -> String {
    match kind {
        // oid, oid[], oidvector, and the reg* types, which print the number of what is no longer there
        26 | 1028 | 30 | 24 | 2202 | 2205 | 2206 => with_numbers_as("OID", value, u32::MAX),
        // xid, xid8, cid, tid: how many transactions there were, where the row is
        28 | 5069 | 29 | 27 => "MASKED".into(),
        _ => times_masked(&uuids_masked(value)),
    }
}

/// UUIDs of version 4 are random.
fn uuids_masked(text: &str) -> String {
    const LENGTH: usize = 36;
    let is_random = |candidate: &[u8]| {
        candidate.iter().enumerate().all(|(at, &byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let mut masked = String::from(text);
    while let Some(at) = masked.as_bytes().windows(LENGTH).position(is_random) {
        masked.replace_range(at..at + LENGTH, "UUID");
    }
    masked
}

/// Dates and timestamps of now, alone or within a row or a message.
fn times_masked(text: &str) -> String {
    let mut masked = String::from(text);
    let mut from = 0;
    while let Some(at) = masked[from..].find("20").map(|at| from + at) {
        let of_time = |c: char| !(c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | '+' | ' ' | 'T'));
        let end = masked[at..].find(of_time).map_or(masked.len(), |end| at + end);
        if is_now(&masked[at..end]) {
            masked.replace_range(at..end, "NOW");
        }
        from = at + 2;
    }
    masked
}

/// Within two days of the clock, whatever the time zone.
fn is_now(value: &str) -> bool {
    let mut fields = value.split(['-', ' ', 'T']);
    let mut next = || fields.next()?.parse::<i64>().ok();
    let (Some(year), Some(month), Some(day)) = (next(), next(), next()) else { return false };
    if !(2000..3000).contains(&year) {
        return false;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64 / 86_400;
    (days(year, month, day) - now).abs() <= 2
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
