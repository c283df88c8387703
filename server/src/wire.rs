//! Message layouts of PostgreSQL's frontend/backend protocol 3.0, in one place: nothing else looks into pgwire's
//! messages.
//!
//! From pgwire come the message codes, the start-up packets (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest), the
//! replies of the start-up and COPY phases (and TLS, in `tls.rs`). Its codec of the query phase is not used, for reasons that
//! each cost something real:
//!
//! - `decode_body` reads past the end of a frame into the next one, and `get_u16`/`split_to` panic on a short body: a
//!   frame is isolated here first, and [`Reader`] checks every length against what the frame holds.
//! - It copies every name, query and parameter into a new `String` or `Bytes`, and replaces invalid UTF-8 silently. Here
//!   they are slices of the read buffer, and invalid UTF-8 is error 22021.
//! - `encode` puts the type byte before it refuses a message above its own limit, which leaves half a message in the
//!   buffer. Replies of unbounded size are written here, with the length patched in at the end.
//!
//! A frame that lies about its own length can't be skipped: [`frame_header`] gives a FATAL error and the connection ends.
//! A well-framed message with a malformed body is an ordinary error: the next frame starts where this one ends.

use bytes::{BufMut, BytesMut};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::copy::{
    CopyInResponse, CopyOutResponse, MESSAGE_TYPE_BYTE_COPY_DATA, MESSAGE_TYPE_BYTE_COPY_DONE,
    MESSAGE_TYPE_BYTE_COPY_FAIL,
};
use pgwire::messages::data::{
    MESSAGE_TYPE_BYTE_NO_DATA, MESSAGE_TYPE_BYTE_PARAMETER_DESCRITION, MESSAGE_TYPE_BYTE_ROW_DESCRITION,
};
use pgwire::messages::extendedquery::{
    MESSAGE_TYPE_BYTE_BIND, MESSAGE_TYPE_BYTE_BIND_COMPLETE, MESSAGE_TYPE_BYTE_CLOSE,
    MESSAGE_TYPE_BYTE_CLOSE_COMPLETE, MESSAGE_TYPE_BYTE_DESCRIBE, MESSAGE_TYPE_BYTE_EXECUTE,
    MESSAGE_TYPE_BYTE_FLUSH, MESSAGE_TYPE_BYTE_PARSE, MESSAGE_TYPE_BYTE_PARSE_COMPLETE,
    MESSAGE_TYPE_BYTE_PORTAL_SUSPENDED, MESSAGE_TYPE_BYTE_SYNC, TARGET_TYPE_BYTE_PORTAL,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{
    MESSAGE_TYPE_BYTE_COMMAND_COMPLETE, MESSAGE_TYPE_BYTE_EMPTY_QUERY_RESPONSE,
    MESSAGE_TYPE_BYTE_ERROR_RESPONSE, MESSAGE_TYPE_BYTE_NOTICE_RESPONSE,
    MESSAGE_TYPE_BYTE_NOTIFICATION_RESPONSE, MESSAGE_TYPE_BYTE_READY_FOR_QUERY,
    READY_STATUS_FAILED_TRANSACTION_BLOCK, READY_STATUS_IDLE, READY_STATUS_TRANSACTION_BLOCK,
};
use pgwire::messages::simplequery::MESSAGE_TYPE_BYTE_QUERY;
use pgwire::messages::startup::{
    Authentication, BackendKeyData, GssEncRequest, MESSAGE_TYPE_BYTE_PARAMETER_STATUS,
    MESSAGE_TYPE_BYTE_PASSWORD_MESSAGE_FAMILY, NegotiateProtocolVersion, SecretKey, SslRequest,
    Startup as StartupMessage,
};
use pgwire::messages::terminate::MESSAGE_TYPE_BYTE_TERMINATE;
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};
use serin_sql::types::Oid;
use serin_sql::{Error, Field, Format, Result, Severity, SqlState, TransactionStatus};
use smallvec::SmallVec;

/// FunctionCall, which pgwire does not know.
const MESSAGE_TYPE_BYTE_FUNCTION_CALL: u8 = b'F';

/// Bytes before a message's body: type and length.
pub const HEADER: usize = 5;

/// PostgreSQL's limits: messages that carry SQL or data may be large, no other has a reason to be.
const SMALL_MESSAGE_MAX: usize = 10_000;
const STARTUP_MESSAGE_MAX: usize = 10_000;

fn violation(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

// ---- frames from the client ----

/// The first bytes of a message, checked: its type is known and its length is plausible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub tag: u8,
    /// Bytes of the body.
    pub body: usize,
}

impl Header {
    pub fn is_copy_data(&self) -> bool {
        self.tag == MESSAGE_TYPE_BYTE_COPY_DATA
    }
}

/// `None`: fewer than [`HEADER`] bytes are there. The error is FATAL, as where the next message starts is unknown.
pub fn frame_header(input: &[u8], message_max: usize) -> Result<Option<Header>> {
    let Some(&tag) = input.first() else { return Ok(None) };
    // Checked before the length is there: a client of another protocol should hear of it at its first byte.
    let max = match tag {
        MESSAGE_TYPE_BYTE_QUERY
        | MESSAGE_TYPE_BYTE_PARSE
        | MESSAGE_TYPE_BYTE_BIND
        | MESSAGE_TYPE_BYTE_FUNCTION_CALL
        | MESSAGE_TYPE_BYTE_COPY_DATA
        | MESSAGE_TYPE_BYTE_COPY_FAIL => message_max,
        MESSAGE_TYPE_BYTE_CLOSE
        | MESSAGE_TYPE_BYTE_DESCRIBE
        | MESSAGE_TYPE_BYTE_EXECUTE
        | MESSAGE_TYPE_BYTE_FLUSH
        | MESSAGE_TYPE_BYTE_SYNC
        | MESSAGE_TYPE_BYTE_TERMINATE
        | MESSAGE_TYPE_BYTE_COPY_DONE
        | MESSAGE_TYPE_BYTE_PASSWORD_MESSAGE_FAMILY => SMALL_MESSAGE_MAX,
        _ => return Err(violation(format!("invalid frontend message type {tag}")).fatal()),
    };
    let Some(length) = input.get(1..HEADER) else { return Ok(None) };
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    if length < 4 {
        return Err(violation("invalid message length").fatal());
    }
    if length > max {
        return Err(violation("invalid message length")
            .detail(format!("Message type {tag} has length {length}, the limit is {max}."))
            .fatal());
    }
    Ok(Some(Header { tag, body: length - 4 }))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Statement,
    Portal,
}

/// A message from the client; everything in it borrows from the read buffer.
#[derive(Debug, PartialEq)]
pub enum Frontend<'a> {
    Query(&'a str),
    Parse { name: &'a str, sql: &'a str, types: SmallVec<[Oid; 8]> },
    Bind(Bind<'a>),
    Describe(Target, &'a str),
    Execute { portal: &'a str, max_rows: u64 },
    Close(Target, &'a str),
    Flush,
    Sync,
    FunctionCall(FunctionCall<'a>),
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail(&'a str),
    Password,
    Terminate,
}

/// A function called by its OID, without SQL: libpq's PQfn(), which its large-object interface is made of.
#[derive(Debug, PartialEq)]
pub struct FunctionCall<'a> {
    pub function: Oid,
    pub argument_formats: SmallVec<[Format; 8]>,
    pub arguments: SmallVec<[Option<&'a [u8]>; 8]>,
    pub result_format: Format,
}

#[derive(Debug, PartialEq)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    /// As sent: none (all text), one (for all), or one each.
    pub parameter_formats: SmallVec<[Format; 8]>,
    pub parameters: SmallVec<[Option<&'a [u8]>; 8]>,
    pub result_formats: SmallVec<[Format; 8]>,
}

/// Whether a message belongs to the extended protocol: an error in it skips to the next Sync.
pub fn is_extended(tag: u8) -> bool {
    matches!(
        tag,
        MESSAGE_TYPE_BYTE_PARSE
            | MESSAGE_TYPE_BYTE_BIND
            | MESSAGE_TYPE_BYTE_DESCRIBE
            | MESSAGE_TYPE_BYTE_EXECUTE
            | MESSAGE_TYPE_BYTE_CLOSE
            | MESSAGE_TYPE_BYTE_FLUSH
    )
}

/// What a connection that skips to Sync still looks at.
pub fn is_sync_or_terminate(tag: u8) -> bool {
    matches!(tag, MESSAGE_TYPE_BYTE_SYNC | MESSAGE_TYPE_BYTE_TERMINATE)
}

/// Decodes the body of a message whose header passed [`frame_header`].
pub fn decode(tag: u8, body: &[u8]) -> Result<Frontend<'_>> {
    let mut body = Reader(body);
    let message = match tag {
        MESSAGE_TYPE_BYTE_QUERY => Frontend::Query(body.string()?),
        MESSAGE_TYPE_BYTE_PARSE => {
            let (name, sql) = (body.string()?, body.string()?);
            let count = body.count(4)?;
            let types = (0..count).map(|_| body.u32()).collect::<Result<_>>()?;
            Frontend::Parse { name, sql, types }
        }
        MESSAGE_TYPE_BYTE_BIND => {
            let (portal, statement) = (body.string()?, body.string()?);
            let parameter_formats = body.formats()?;
            let parameters = body.values()?;
            let result_formats = body.formats()?;
            Frontend::Bind(Bind { portal, statement, parameter_formats, parameters, result_formats })
        }
        MESSAGE_TYPE_BYTE_DESCRIBE => Frontend::Describe(body.target("DESCRIBE")?, body.string()?),
        MESSAGE_TYPE_BYTE_CLOSE => Frontend::Close(body.target("CLOSE")?, body.string()?),
        MESSAGE_TYPE_BYTE_EXECUTE => {
            let portal = body.string()?;
            // Zero and below mean no limit.
            let max_rows = u64::try_from(body.u32()? as i32).unwrap_or(0);
            Frontend::Execute { portal, max_rows }
        }
        MESSAGE_TYPE_BYTE_FLUSH => Frontend::Flush,
        MESSAGE_TYPE_BYTE_SYNC => Frontend::Sync,
        MESSAGE_TYPE_BYTE_TERMINATE => Frontend::Terminate,
        MESSAGE_TYPE_BYTE_COPY_DATA => Frontend::CopyData(body.take(body.0.len())?),
        MESSAGE_TYPE_BYTE_COPY_DONE => Frontend::CopyDone,
        MESSAGE_TYPE_BYTE_COPY_FAIL => Frontend::CopyFail(body.string()?),
        MESSAGE_TYPE_BYTE_FUNCTION_CALL => {
            let function = body.u32()?;
            let argument_formats = body.formats()?;
            let arguments = body.values()?;
            let result_format = body.format()?;
            Frontend::FunctionCall(FunctionCall { function, argument_formats, arguments, result_format })
        }
        // Not decoded: it is refused whatever it says.
        MESSAGE_TYPE_BYTE_PASSWORD_MESSAGE_FAMILY => return Ok(Frontend::Password),
        _ => return Err(violation(format!("invalid frontend message type {tag}")).fatal()),
    };
    match body.0 {
        [] => Ok(message),
        _ => Err(violation("invalid message format")),
    }
}

/// Reads the fields of one message's body; running out is an error, never a panic.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| violation("insufficient data left in message"))?;
        self.0 = rest;
        Ok(taken)
    }
    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }
    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().expect("two bytes")))
    }
    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().expect("four bytes")))
    }
    /// A count of elements of at least `size` bytes each: refused before anything is allocated for it.
    fn count(&mut self, size: usize) -> Result<usize> {
        let count = self.u16()? as usize;
        if count * size > self.0.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(count)
    }
    fn formats(&mut self) -> Result<SmallVec<[Format; 8]>> {
        let count = self.count(2)?;
        (0..count).map(|_| self.format()).collect()
    }
    fn format(&mut self) -> Result<Format> {
        match self.u16()? {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {}", other as i16),
            )),
        }
    }
    /// Parameters: a count, then length (-1: null) and bytes of each.
    fn values(&mut self) -> Result<SmallVec<[Option<&'a [u8]>; 8]>> {
        let count = self.count(4)?;
        (0..count)
            .map(|_| match self.u32()? as i32 {
                -1 => Ok(None),
                length => match usize::try_from(length) {
                    Ok(length) => Ok(Some(self.take(length)?)),
                    Err(_) => Err(violation("invalid message format")),
                },
            })
            .collect()
    }
    fn string(&mut self) -> Result<&'a str> {
        let end = memchr(self.0).ok_or_else(|| violation("invalid string in message"))?;
        let bytes = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(bytes).map_err(|error| invalid_utf8(bytes, error))
    }
    fn target(&mut self, message: &str) -> Result<Target> {
        match self.u8()? {
            TARGET_TYPE_BYTE_STATEMENT => Ok(Target::Statement),
            TARGET_TYPE_BYTE_PORTAL => Ok(Target::Portal),
            other => Err(violation(format!("invalid {message} message subtype {other}"))),
        }
    }
}

/// The position of the terminating zero.
fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == 0)
}

/// 22021, naming the offending bytes as PostgreSQL does.
fn invalid_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Error {
    let start = error.valid_up_to();
    let end = error.error_len().map_or(bytes.len(), |length| start + length);
    let shown: Vec<String> = bytes[start..end].iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
    )
}

// ---- start-up packets ----

/// A packet before the session exists. These have no type byte, but a code where a version would be.
#[derive(Debug, PartialEq)]
pub enum Initial {
    Ssl,
    GssEnc,
    Cancel { pid: i32, secret: i32 },
    Startup { minor: u16, parameters: Vec<(String, String)> },
}

/// Takes a message of the password family off the front of `input`: its body. `None`: incomplete.
pub fn decode_password_message(input: &mut BytesMut) -> Result<Option<BytesMut>> {
    let Some(header) = frame_header(input, SMALL_MESSAGE_MAX).map_err(Error::fatal)? else { return Ok(None) };
    if header.tag != MESSAGE_TYPE_BYTE_PASSWORD_MESSAGE_FAMILY {
        let tag = header.tag;
        return Err(violation(format!("expected SASL response, got message type {tag}")).fatal());
    }
    if input.len() < HEADER + header.body {
        return Ok(None);
    }
    let mut message = input.split_to(HEADER + header.body);
    Ok(Some(message.split_off(HEADER)))
}

/// SASLInitialResponse: the mechanism chosen, and the client's first message.
pub fn sasl_initial_response(body: &[u8]) -> Result<(&str, &[u8])> {
    let malformed = || violation("malformed SASLInitialResponse message").fatal();
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
    let mechanism = std::str::from_utf8(&body[..end]).map_err(|_| malformed())?;
    let (length, data) = body[end + 1..].split_first_chunk::<4>().ok_or_else(malformed)?;
    if usize::try_from(i32::from_be_bytes(*length)) != Ok(data.len()) {
        return Err(malformed());
    }
    Ok((mechanism, data))
}

/// Takes one start-up packet off the front of `input`; `None`: incomplete.
pub fn decode_initial(input: &mut BytesMut) -> Result<Option<Initial>> {
    let Some(length) = input.get(..4) else { return Ok(None) };
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    if !(8..=STARTUP_MESSAGE_MAX).contains(&length) {
        return Err(violation("invalid length of startup packet").fatal());
    }
    if input.len() < length {
        return Ok(None);
    }
    // pgwire's readers see this packet and nothing behind it.
    let mut packet = input.split_to(length);
    let malformed = |_| violation("invalid startup packet layout: expected terminator as last byte").fatal();
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    if SslRequest::is_ssl_request_packet(&packet) {
        return Ok(Some(Initial::Ssl));
    }
    if GssEncRequest::is_gss_enc_request_packet(&packet) {
        return Ok(Some(Initial::GssEnc));
    }
    if CancelRequest::is_cancel_request_packet(&packet) {
        let request = CancelRequest::decode(&mut packet, &context)
            .map_err(malformed)?
            .ok_or_else(|| violation("invalid length of startup packet").fatal())?;
        let secret = request.secret_key.as_i32().unwrap_or_default();
        return Ok(Some(Initial::Cancel { pid: request.pid, secret }));
    }
    let (major, minor) =
        (u16::from_be_bytes([packet[4], packet[5]]), u16::from_be_bytes([packet[6], packet[7]]));
    if major != StartupMessage::PG_PROTOCOL_LATEST {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
        )
        .fatal());
    }
    // The last value's zero and the list's.
    if !(packet.ends_with(&[0, 0]) || packet[8..] == [0]) {
        return Err(violation("invalid startup packet layout: expected terminator as last byte").fatal());
    }
    if let Err(error) = std::str::from_utf8(&packet[8..]) {
        return Err(invalid_utf8(&packet[8..], error).fatal());
    }
    let startup = StartupMessage::decode(&mut packet, &context)
        .map_err(malformed)?
        .ok_or_else(|| violation("invalid length of startup packet").fatal())?;
    if !packet.is_empty() {
        return Err(violation("invalid startup packet layout: expected terminator as last byte").fatal());
    }
    Ok(Some(Initial::Startup { minor, parameters: startup.parameters.into_iter().collect() }))
}

// ---- replies ----

/// A message whose length is not known beforehand.
fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.put_u8(tag);
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// A string and its zero. A zero inside would end it early and shift the rest of the message: it is cut there.
fn cstring(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.put_slice(&bytes[..memchr(bytes).unwrap_or(bytes.len())]);
    out.put_u8(0);
}

fn bare(out: &mut Vec<u8>, tag: u8) {
    out.put_slice(&[tag, 0, 0, 0, 4]);
}

pub fn parse_complete(out: &mut Vec<u8>) {
    bare(out, MESSAGE_TYPE_BYTE_PARSE_COMPLETE)
}
pub fn bind_complete(out: &mut Vec<u8>) {
    bare(out, MESSAGE_TYPE_BYTE_BIND_COMPLETE)
}
pub fn close_complete(out: &mut Vec<u8>) {
    bare(out, MESSAGE_TYPE_BYTE_CLOSE_COMPLETE)
}
pub fn no_data(out: &mut Vec<u8>) {
    bare(out, MESSAGE_TYPE_BYTE_NO_DATA)
}
pub fn portal_suspended(out: &mut Vec<u8>) {
    bare(out, MESSAGE_TYPE_BYTE_PORTAL_SUSPENDED)
}
pub fn empty_query_response(out: &mut Vec<u8>) {
    bare(out, MESSAGE_TYPE_BYTE_EMPTY_QUERY_RESPONSE)
}
pub fn copy_done(out: &mut Vec<u8>) {
    bare(out, MESSAGE_TYPE_BYTE_COPY_DONE)
}

pub fn command_complete(out: &mut Vec<u8>, tag: &str) {
    message(out, MESSAGE_TYPE_BYTE_COMMAND_COMPLETE, |out| cstring(out, tag))
}

pub fn ready_for_query(out: &mut Vec<u8>, status: TransactionStatus) {
    let status = match status {
        TransactionStatus::Idle => READY_STATUS_IDLE,
        TransactionStatus::InBlock => READY_STATUS_TRANSACTION_BLOCK,
        TransactionStatus::Failed => READY_STATUS_FAILED_TRANSACTION_BLOCK,
    };
    out.put_slice(&[MESSAGE_TYPE_BYTE_READY_FOR_QUERY, 0, 0, 0, 5, status]);
}

pub fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, MESSAGE_TYPE_BYTE_PARAMETER_STATUS, |out| {
        cstring(out, name);
        cstring(out, value);
    })
}

pub fn parameter_description(out: &mut Vec<u8>, types: &[Oid]) {
    message(out, MESSAGE_TYPE_BYTE_PARAMETER_DESCRITION, |out| {
        out.put_u16(types.len() as u16);
        types.iter().for_each(|&oid| out.put_u32(oid));
    })
}

/// `formats`: as chosen by Bind; empty where it is not known yet (text).
pub fn row_description(out: &mut Vec<u8>, fields: &[Field], formats: &[Format]) {
    message(out, MESSAGE_TYPE_BYTE_ROW_DESCRITION, |out| {
        out.put_u16(fields.len() as u16);
        for (index, field) in fields.iter().enumerate() {
            cstring(out, &field.name);
            out.put_u32(field.table);
            out.put_i16(field.column);
            out.put_u32(field.data_type.0);
            out.put_i16(field.type_size);
            out.put_i32(field.type_modifier);
            // One format stands for all columns.
            let format = match formats {
                [all] => *all,
                each => each.get(index).copied().unwrap_or(Format::Text),
            };
            out.put_i16(matches!(format, Format::Binary) as i16);
        }
    })
}

pub fn copy_data(out: &mut Vec<u8>, data: &[u8]) {
    message(out, MESSAGE_TYPE_BYTE_COPY_DATA, |out| out.put_slice(data))
}

/// Replies of bounded size, in pgwire's encoding.
fn bounded(out: &mut Vec<u8>, message: impl Message) {
    let mut encoded = BytesMut::new();
    message.encode(&mut encoded).expect("below pgwire's limit by construction: see each caller");
    out.put_slice(&encoded);
}

/// 1600 columns, at most, are far below pgwire's limit of 15000.
pub fn copy_in_response(out: &mut Vec<u8>, binary: bool, columns: usize) {
    bounded(out, CopyInResponse::new(binary as i8, columns as i16, vec![binary as i16; columns]))
}
pub fn copy_out_response(out: &mut Vec<u8>, binary: bool, columns: usize) {
    bounded(out, CopyOutResponse::new(binary as i8, columns as i16, vec![binary as i16; columns]))
}

pub fn authentication_ok(out: &mut Vec<u8>) {
    bounded(out, Authentication::Ok)
}
pub fn authentication_sasl(out: &mut Vec<u8>, mechanisms: Vec<String>) {
    bounded(out, Authentication::SASL(mechanisms))
}
pub fn authentication_sasl_continue(out: &mut Vec<u8>, data: String) {
    bounded(out, Authentication::SASLContinue(data.into()))
}
pub fn authentication_sasl_final(out: &mut Vec<u8>, data: String) {
    bounded(out, Authentication::SASLFinal(data.into()))
}
pub fn backend_key_data(out: &mut Vec<u8>, pid: i32, secret: i32) {
    bounded(out, BackendKeyData::new(pid, SecretKey::I32(secret)))
}
/// The options came in a packet of at most 10,000 bytes.
pub fn negotiate_protocol_version(out: &mut Vec<u8>, unsupported: Vec<String>) {
    bounded(out, NegotiateProtocolVersion::new(0, unsupported))
}

/// Answers to SSLRequest and GSSENCRequest.
pub const ENCRYPTION_ACCEPTED: u8 = b'S';
pub const ENCRYPTION_REFUSED: u8 = b'N';

pub fn error_response(out: &mut Vec<u8>, error: &Error) {
    message(out, MESSAGE_TYPE_BYTE_ERROR_RESPONSE, |out| error_fields(out, error))
}

pub fn notification_response(out: &mut Vec<u8>, pid: i32, channel: &str, payload: &str) {
    message(out, MESSAGE_TYPE_BYTE_NOTIFICATION_RESPONSE, |out| {
        out.put_i32(pid);
        cstring(out, channel);
        cstring(out, payload);
    })
}

pub fn notice_response(out: &mut Vec<u8>, notice: &Error) {
    message(out, MESSAGE_TYPE_BYTE_NOTICE_RESPONSE, |out| error_fields(out, notice))
}

fn error_fields(out: &mut Vec<u8>, error: &Error) {
    let fields = error.fields();
    let severity = match fields.severity {
        Severity::Debug => "DEBUG",
        Severity::Log => "LOG",
        Severity::Info => "INFO",
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let mut field = |code: u8, value: Option<&str>| {
        if let Some(value) = value {
            out.put_u8(code);
            cstring(out, value);
        }
    };
    field(b'S', Some(severity));
    field(b'V', Some(severity));
    field(b'C', Some(fields.state.as_str()));
    field(b'M', Some(&fields.message));
    field(b'D', fields.detail.as_deref());
    field(b'H', fields.hint.as_deref());
    field(b'P', fields.position.map(|position| position.to_string()).as_deref());
    field(b'W', fields.context.as_deref());
    field(b's', fields.schema.as_deref());
    field(b't', fields.table.as_deref());
    field(b'c', fields.column.as_deref());
    field(b'd', fields.data_type.as_deref());
    field(b'n', fields.constraint.as_deref());
    let file = fields.location.file();
    let (_, name) = file.rsplit_once('/').unwrap_or(("", file));
    field(b'F', Some(name));
    field(b'L', Some(&fields.location.line().to_string()));
    field(b'R', Some(fields.routine.unwrap_or(name.trim_end_matches(".rs"))));
    out.put_u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn state<T: std::fmt::Debug>(result: Result<T>) -> String {
        let error = result.expect_err("an error");
        format!("{:?} {}", error.fields().severity, error.state().as_str())
    }

    #[test]
    fn headers_are_checked_before_anything_is_allocated() {
        assert_eq!(frame_header(b"", MAX).unwrap(), None);
        assert_eq!(frame_header(b"Q\0\0\0", MAX).unwrap(), None);
        assert_eq!(frame_header(b"Q\0\0\0\x04", MAX).unwrap(), Some(Header { tag: b'Q', body: 0 }));
        assert_eq!(state(frame_header(b"Q\0\0\0\x03", MAX)), "Fatal 08P01");
        assert_eq!(state(frame_header(b"Q\xff\xff\xff\xff", MAX)), "Fatal 08P01");
        assert_eq!(state(frame_header(b"Q\0\x10\0\x01", MAX)), "Fatal 08P01");
        assert_eq!(state(frame_header(b"S\0\0\x27\x11", MAX)), "Fatal 08P01");
        assert_eq!(state(frame_header(b"?", MAX)), "Fatal 08P01");
    }

    #[test]
    fn bodies_that_lie_are_errors() {
        for (tag, body) in [
            (b'Q', &b"select 1"[..]),                      // no terminator
            (b'Q', b"select 1\0x"),                        // something behind it
            (b'P', b"\0select 1\0"),                       // no count
            (b'P', b"\0select 1\0\xff\xff\0\0\0\x17"),     // a count with nothing behind it
            (b'B', b"\0\0\0\0\0\x01\0\0\0\x05abcd\0\0"),   // a parameter longer than the message
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"), // length -2
            (b'B', b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0"),     // five result formats in six bytes
            (b'D', b"X\0"),                                // neither statement nor portal
            (b'C', b""),
            (b'E', b"\0\0\0"),
            (b'S', b"\0"),
        ] {
            assert_eq!(state(decode(tag, body)), "Error 08P01", "{} {body:?}", tag as char);
        }
        assert_eq!(state(decode(b'B', b"\0\0\0\x01\0\x02\0\0\0\0")), "Error 22023");
        assert_eq!(state(decode(b'Q', b"select '\xff'\0")), "Error 22021");
    }

    #[test]
    fn every_prefix_and_every_flipped_byte_of_a_bind_is_survived() {
        let good = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x03abc\xff\xff\xff\xff\0\x01\0\x01";
        assert!(
            matches!(decode(b'B', good), Ok(Frontend::Bind(bind)) if bind.parameters[0] == Some(&b"abc"[..])
            && bind.parameters[1].is_none() && bind.result_formats[..] == [Format::Binary])
        );
        for end in 0..good.len() {
            assert!(decode(b'B', &good[..end]).is_err());
        }
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.to_vec();
                bad[index] ^= 1 << bit;
                let _ = decode(b'B', &bad); // no panic, and whatever decodes borrows from `bad`
            }
        }
    }

    #[test]
    fn startup_packets() {
        let initial = |bytes: &[u8]| decode_initial(&mut BytesMut::from(bytes));
        assert_eq!(initial(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap(), Some(Initial::Ssl));
        assert_eq!(initial(&[0, 0, 0, 8, 4, 210, 22, 48]).unwrap(), Some(Initial::GssEnc));
        assert_eq!(
            initial(&[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 7, 0, 0, 0, 9]).unwrap(),
            Some(Initial::Cancel { pid: 7, secret: 9 })
        );
        assert_eq!(
            initial(b"\0\0\0\x19\0\x03\0\0user\0a\0options\0\0\0").unwrap(),
            Some(Initial::Startup {
                minor: 0,
                parameters: vec![("options".into(), "".into()), ("user".into(), "a".into())]
            })
        );
        assert_eq!(initial(b"\0\0\0\x19\0\x03\0\0user").unwrap(), None);
        assert_eq!(state(initial(b"\0\0\0\x04")), "Fatal 08P01");
        assert_eq!(state(initial(b"\xff\xff\xff\xff")), "Fatal 08P01");
        assert_eq!(state(initial(b"GET / HTTP/1.1\r\n")), "Fatal 08P01");
        assert_eq!(state(initial(b"\0\0\0\x09\0\x02\0\0\0")), "Fatal 0A000");
        assert_eq!(state(initial(b"\0\0\0\x08\0\x03\0\0")), "Fatal 08P01");
        assert_eq!(state(initial(b"\0\0\0\x0d\0\x03\0\0user\0")), "Fatal 08P01");
        assert_eq!(state(initial(b"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\x07")), "Fatal 08P01");
    }
}
