//! From the first byte of a connection to a session: encryption requests, cancel requests, the StartupMessage,
//! authentication, and the replies that end in the first ReadyForQuery.
//!
//! Everything here speaks to clients that have not said who they are: packets are small and bounded, the whole
//! phase has one deadline, and bytes sent in clear before a TLS handshake are refused rather than read as if they had come
//! through it (CVE-2021-23222).

use crate::backend::{Backend, BackendSession};
use crate::connection::{Connection, farewell, shutting_down};
use crate::hba::Origin;
use crate::listener::Shared;
use crate::socket::Socket;
use crate::wire::{self, Initial};
use crate::workers::Place;
use bytes::BytesMut;
use serin_sql::encoding::Encoding;
use serin_sql::{Error, Result as SqlResult, SqlState, Startup, TransactionStatus};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Reads of this phase; a start-up packet is a few hundred bytes.
const READ_BYTES: usize = 1024;

/// Why no session came of it.
enum Refusal {
    /// A cancel request, or a client that left: nothing to say.
    Silent,
    /// FATAL.
    Because(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Because(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(_: io::Error) -> Refusal {
        Refusal::Silent
    }
}

/// Serves one socket from its first byte to its last.
pub async fn serve<B: Backend>(shared: Arc<Shared<B>>, socket: Socket, place: Place) {
    let mut opening = Opening { shared: &shared, socket: Some(socket), input: BytesMut::new() };
    let opened = tokio::select! {
        opened = tokio::time::timeout(shared.authentication_timeout, opening.open()) => opened,
        () = shared.stopping() => Ok(Err(shutting_down().into())),
    };
    match opened {
        // The slot is given back when the connection is over.
        Ok(Ok((session, replies, _slot))) => {
            let Opening { socket, input, .. } = opening;
            let Some(socket) = socket else { return };
            Connection::new(shared.clone(), socket, session, input, replies, place).run().await;
        }
        Ok(Err(Refusal::Because(error))) => {
            tracing::debug!(%error, "connection refused");
            if let Some(socket) = opening.socket {
                let mut words = Vec::new();
                wire::error_response(&mut words, &error);
                farewell(socket, &words).await;
            }
        }
        Ok(Err(Refusal::Silent)) => {}
        Err(_) => tracing::info!("client did not authenticate in time"),
    }
}

/// A connection without a session yet.
struct Opening<'a, B: Backend> {
    shared: &'a Arc<Shared<B>>,
    /// `None` while the TLS handshake owns it, and after that failed.
    socket: Option<Socket>,
    input: BytesMut,
}

/// One of `max_connections`.
pub struct Slot<B: Backend>(Arc<Shared<B>>);

impl<B: Backend> Drop for Slot<B> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<B: Backend> Opening<'_, B> {
    async fn open(&mut self) -> Result<(B::Session, Vec<u8>, Slot<B>), Refusal> {
        let (minor, parameters) = self.startup_packet().await?;
        let client_address = self.socket.as_ref().and_then(Socket::peer);

        let mut replies = Vec::new();
        let (mut session_parameters, mut unsupported) = (Vec::new(), Vec::new());
        let (mut user, mut database, mut options) = (None, None, None);
        for (name, value) in parameters {
            match name.as_str() {
                "user" => user = Some(value).filter(|user| !user.is_empty()),
                "database" => database = Some(value).filter(|database| !database.is_empty()),
                "options" => options = Some(value),
                "replication" => refuse_replication(&value)?,
                _ if name.starts_with("_pq_.") => unsupported.push(name),
                _ => session_parameters.push((name, value)),
            }
        }
        if minor > 0 || !unsupported.is_empty() {
            wire::negotiate_protocol_version(&mut replies, unsupported);
        }
        let Some(user) = user else {
            return Err(Error::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                "no PostgreSQL user name specified in startup packet",
            )
            .fatal()
            .into());
        };
        // What the packet names itself wins over `options`, as it is set later.
        let mut settings = options.map_or(Ok(Vec::new()), |options| parse_options(&options))?;
        settings.append(&mut session_parameters);
        for (name, value) in &mut settings {
            if name.eq_ignore_ascii_case("client_encoding") {
                *value = client_encoding(value)?.to_owned();
            }
        }

        let database = database.unwrap_or_else(|| user.clone());
        self.authenticate(&user, &database, client_address).await?;
        let slot = self.shared.enter().map(|()| Slot(self.shared.clone())).ok_or_else(|| {
            Error::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already").fatal()
        })?;
        tracing::debug!(user, database, ?client_address, "connected");
        let startup = Startup { user, database, parameters: settings, client_address };
        let session = self.connect(startup)?;

        wire::authentication_ok(&mut replies);
        for (name, value) in session.reported_parameters() {
            wire::parameter_status(&mut replies, name, &value);
        }
        wire::backend_key_data(&mut replies, session.pid(), session.secret());
        wire::ready_for_query(&mut replies, TransactionStatus::Idle);
        Ok((session, replies, slot))
    }

    /// Returns once the client has proved what the rules want of it.
    async fn authenticate(
        &mut self,
        user: &str,
        database: &str,
        address: Option<SocketAddr>,
    ) -> Result<(), Refusal> {
        let shared = self.shared.clone();
        let encrypted = matches!(self.socket, Some(Socket::Tls(_)));
        let origin = Origin { address, encrypted, user, database };
        let is_member = |user: &str, role: &str| shared.backend.is_member(user, role);
        if !shared.authentication.must_authenticate(&origin, &is_member).await? {
            return Ok(());
        }
        let scram = shared.authentication.scram(encrypted)?;
        self.ask(|out| wire::authentication_sasl(out, scram.mechanisms())).await?;
        let first = self.password_message().await?;
        let (mechanism, data) = wire::sasl_initial_response(&first)?;
        let verifier = shared.backend.scram_verifier(user);
        let (reply, end) = scram.first(user, verifier, mechanism, data)?;
        self.ask(|out| wire::authentication_sasl_continue(out, reply)).await?;
        let last = self.password_message().await?;
        let host = address.map(|address| address.ip().to_canonical());
        let signature = match end.last(&last) {
            Ok(signature) => signature,
            Err(error) => {
                tokio::time::sleep(shared.authentication.failed(host, user)).await;
                return Err(error.into());
            }
        };
        shared.authentication.succeeded(host, user);
        self.ask(|out| wire::authentication_sasl_final(out, signature)).await
    }

    async fn ask(&mut self, message: impl FnOnce(&mut Vec<u8>)) -> Result<(), Refusal> {
        let mut out = Vec::new();
        message(&mut out);
        Ok(self.socket()?.write_all(&out).await?)
    }

    /// The body of a message of the password family.
    async fn password_message(&mut self) -> Result<BytesMut, Refusal> {
        loop {
            if let Some(body) = wire::decode_password_message(&mut self.input)? {
                return Ok(body);
            }
            self.read_more().await?;
        }
    }

    fn connect(&self, startup: Startup) -> SqlResult<B::Session> {
        let connect = std::panic::AssertUnwindSafe(|| self.shared.backend.connect(startup));
        std::panic::catch_unwind(connect)
            .unwrap_or_else(|_| Err(Error::internal("internal error while starting the session")))
            .map_err(Error::fatal)
    }

    /// Answers encryption requests, each at most once, until the StartupMessage is there.
    async fn startup_packet(&mut self) -> Result<(u16, Vec<(String, String)>), Refusal> {
        let (mut asked_ssl, mut asked_gss) = (false, false);
        loop {
            match self.packet().await? {
                Initial::Startup { minor, parameters } => return Ok((minor, parameters)),
                Initial::Cancel { pid, secret } => {
                    tracing::debug!(pid, "cancel request");
                    self.shared.backend.cancel(pid, secret);
                    return Err(Refusal::Silent);
                }
                Initial::Ssl if !asked_ssl => {
                    asked_ssl = true;
                    self.answer_ssl().await?;
                }
                Initial::GssEnc if !asked_gss => {
                    asked_gss = true;
                    self.reject_early_bytes("GSSAPI encryption")?;
                    self.socket()?.write_all(&[wire::ENCRYPTION_REFUSED]).await?;
                }
                Initial::Ssl | Initial::GssEnc => {
                    let error = Error::new(SqlState::PROTOCOL_VIOLATION, "repeated encryption request");
                    return Err(error.fatal().into());
                }
            }
        }
    }

    async fn answer_ssl(&mut self) -> Result<(), Refusal> {
        self.reject_early_bytes("SSL")?;
        let acceptor = match (self.socket.as_ref(), &self.shared.tls) {
            (Some(Socket::Tcp(_)), Some(acceptor)) => acceptor.clone(),
            _ => return Ok(self.socket()?.write_all(&[wire::ENCRYPTION_REFUSED]).await?),
        };
        self.socket()?.write_all(&[wire::ENCRYPTION_ACCEPTED]).await?;
        if let Some(Socket::Tcp(stream)) = self.socket.take() {
            // A failed handshake has no one to tell: the client does not speak TLS with us.
            let stream = acceptor.accept(stream).await?;
            self.socket = Some(Socket::Tls(Box::new(stream)));
        }
        Ok(())
    }

    /// A client waits for the answer to its encryption request. Whatever follows the request at once was put there
    /// by somebody in between, to be read as if it had come encrypted.
    fn reject_early_bytes(&self, request: &str) -> Result<(), Refusal> {
        if self.input.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            SqlState::PROTOCOL_VIOLATION,
            format!("received unencrypted data after {request} request"),
        )
        .detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.")
        .fatal()
        .into())
    }

    fn socket(&mut self) -> Result<&mut Socket, Refusal> {
        self.socket.as_mut().ok_or(Refusal::Silent)
    }

    async fn packet(&mut self) -> Result<Initial, Refusal> {
        loop {
            if let Some(packet) = wire::decode_initial(&mut self.input)? {
                return Ok(packet);
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), Refusal> {
        self.input.reserve(READ_BYTES);
        let Some(socket) = self.socket.as_mut() else { return Err(Refusal::Silent) };
        if socket.read_buf(&mut self.input).await? == 0 {
            return Err(Refusal::Silent);
        }
        Ok(())
    }
}

fn refuse_replication(value: &str) -> Result<(), Refusal> {
    match value.to_ascii_lowercase().as_str() {
        "" | "0" | "false" | "off" | "no" | "f" | "n" => Ok(()),
        _ => Err(Error::unsupported("a replication connection").fatal().into()),
    }
}

/// The `options` parameter: a command line's `-c name=value` and `--name=value`, words separated by white space, in
/// which a backslash takes the next character literally.
fn parse_options(options: &str) -> SqlResult<Vec<(String, String)>> {
    let invalid = |message: String| Error::new(SqlState::SYNTAX_ERROR, message).fatal();
    let mut settings = Vec::new();
    let mut words = split_options(options).into_iter();
    while let Some(word) = words.next() {
        let (assignment, dashes) = if word == "-c" {
            let next = words.next().ok_or_else(|| invalid("-c requires a value".into()))?;
            (next, "-c ")
        } else if let Some(rest) = word.strip_prefix("--").filter(|rest| !rest.is_empty()) {
            (rest.to_owned(), "--")
        } else if let Some(rest) = word.strip_prefix("-c") {
            (rest.to_owned(), "-c ")
        } else {
            return Err(invalid(format!("invalid command-line argument for server process: {word}")));
        };
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| invalid(format!("{dashes}{assignment} requires a value")))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn split_options(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            space if space.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Spelled with any case and punctuation, even in quotes.
fn client_encoding(value: &str) -> SqlResult<&'static str> {
    Encoding::named(value).map(Encoding::name).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"client_encoding\": \"{value}\""),
        )
        .fatal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_command_line() {
        let parse = |options| parse_options(options).map_err(|error| error.message().to_owned());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(
            parse(r"-c geqo=off  --statement-timeout=5min -cdatestyle=ISO,\ DMY -c x=a\\b"),
            Ok(vec![
                pair("geqo", "off"),
                pair("statement_timeout", "5min"),
                pair("datestyle", "ISO, DMY"),
                pair("x", r"a\b")
            ])
        );
        assert_eq!(parse("-c"), Err("-c requires a value".into()));
        assert_eq!(parse("-c geqo"), Err("-c geqo requires a value".into()));
        assert_eq!(parse("--geqo"), Err("--geqo requires a value".into()));
        assert_eq!(parse("-x"), Err("invalid command-line argument for server process: -x".into()));
    }

    #[test]
    fn client_encodings() {
        assert_eq!(client_encoding("'utf-8'").unwrap(), "UTF8");
        assert_eq!(client_encoding("UNICODE").unwrap(), "UTF8");
        assert_eq!(client_encoding("sql_ascii").unwrap(), "SQL_ASCII");
        assert_eq!(client_encoding("latin-1").unwrap(), "LATIN1");
        assert_eq!(client_encoding("LATIN").unwrap_err().state().as_str(), "22023");
    }
}
