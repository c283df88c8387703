//! How clients prove who they are: the rules of `hba.rs`, and SCRAM-SHA-256 with channel binding on TLS, whose messages
//! and checks are pgwire's.

use crate::hba::{self, Match, Method, Origin, Rules};
use parking_lot::{Mutex, RwLock};
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal};
use pgwire::error::PgWireError;
use serin_sql::{Error, HbaRule, Result, ScramVerifier, SqlState};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const SCRAM: &str = "SCRAM-SHA-256";
/// With the server's certificate bound in: nobody in between can pass the exchange on.
pub const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

pub struct Authentication {
    rules: RwLock<Arc<Rules>>,
    file: Option<PathBuf>,
    /// For clients on TLS.
    certificate: Option<Vec<u8>>,
    /// What the answers for roles without a password are made of.
    secret: [u8; 32],
    failures: Mutex<HashMap<(Option<IpAddr>, String), Failures>>,
}

/// Wrong passwords in a row.
#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Failures are forgotten after this.
const FAILURES_FORGOTTEN: Duration = Duration::from_secs(60);
/// More than this many who fail at a time are not told apart.
const FAILURES_MAX: usize = 4096;
const DELAY_FIRST: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(3);

impl Authentication {
    /// Rules from a file, or those built in. `certificate`: PEM, when the server speaks TLS.
    pub fn open(
        file: Option<PathBuf>,
        certificate: Option<Vec<u8>>,
    ) -> std::result::Result<Authentication, String> {
        let rules = match &file {
            Some(file) => read(file)?,
            None => Rules::default(),
        };
        if let Some(certificate) = &certificate {
            let checked = ScramServerAuth::new().configure_certificate(certificate);
            checked
                .map_err(|error| format!("could not use the TLS certificate for channel binding: {error}"))?;
        }
        Ok(Authentication {
            rules: RwLock::new(Arc::new(rules)),
            file,
            certificate,
            secret: rand::random(),
            failures: Mutex::default(),
        })
    }

    /// Reads the file again. With a mistake in it the rules stay as they were.
    pub fn reload(&self) -> std::result::Result<(), String> {
        if let Some(file) = &self.file {
            *self.rules.write() = Arc::new(read(file)?);
        }
        Ok(())
    }

    /// The file's lines as they are now.
    pub fn describe(&self) -> Vec<HbaRule> {
        let Some(file) = &self.file else { return hba::describe(hba::DEFAULT, Path::new("")) };
        match std::fs::read_to_string(file) {
            Ok(text) => hba::describe(&text, file.parent().unwrap_or(Path::new(""))),
            Err(error) => {
                let error = format!("could not open file \"{}\": {error}", file.display());
                vec![HbaRule { error: Some(error), ..HbaRule::default() }]
            }
        }
    }

    /// The method of the first rule that matches. `is_member` says whether a user belongs to a role.
    async fn method(
        &self,
        origin: &Origin<'_>,
        is_member: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Option<Method> {
        let rules = self.rules.read().clone();
        // Looked at one by one: a name's addresses are looked up only if the rules before it have not decided.
        for at in 0.. {
            let is_member = |user: &str, role: &str| is_member(user, role);
            match rules.at(at, origin, &is_member)? {
                Match::No => {}
                Match::Yes(method) => return Some(method),
                Match::IfHost(name, method) => {
                    let client = origin.address?.ip().to_canonical();
                    match tokio::net::lookup_host((name, 0)).await {
                        Ok(mut found) => {
                            if found.any(|address| address.ip().to_canonical() == client) {
                                return Some(method);
                            }
                        }
                        Err(error) => tracing::warn!("could not look up host name \"{name}\": {error}"),
                    }
                }
            }
        }
        None
    }

    /// Whether the client must prove something; a FATAL error where no rule lets it in.
    pub async fn must_authenticate(
        &self,
        origin: &Origin<'_>,
        is_member: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<bool> {
        let method = self.method(origin, is_member).await;
        let from = || {
            let Origin { user, database, encrypted, .. } = origin;
            let encryption = if *encrypted { "SSL encryption" } else { "no encryption" };
            let host =
                origin.address.map_or("[local]".into(), |address| address.ip().to_canonical().to_string());
            format!("host \"{host}\", user \"{user}\", database \"{database}\", {encryption}")
        };
        let refused =
            |message| Err(Error::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message).fatal());
        match method {
            Some(Method::Trust) => Ok(false),
            Some(Method::Scram) => Ok(true),
            Some(Method::Reject) => refused(format!("pg_hba.conf rejects connection for {}", from())),
            None => refused(format!("no pg_hba.conf entry for {}", from())),
        }
    }

    /// How long to wait before a wrong password is answered: longer each time, so that guessing in a loop gets nowhere. What is slow is the
    /// refusal, not the way in: nobody can lock another out.
    pub fn failed(&self, address: Option<IpAddr>, user: &str) -> Duration {
        let mut failures = self.failures.lock();
        let now = Instant::now();
        if failures.len() >= FAILURES_MAX {
            failures.retain(|_, found| now.duration_since(found.last) < FAILURES_FORGOTTEN);
            if failures.len() >= FAILURES_MAX {
                return DELAY_MAX;
            }
        }
        let entry = failures.entry((address, user.to_owned())).or_insert(Failures { count: 0, last: now });
        if now.duration_since(entry.last) > FAILURES_FORGOTTEN {
            entry.count = 0;
        }
        let delay = DELAY_FIRST.saturating_mul(1 << entry.count.min(5)).min(DELAY_MAX);
        *entry = Failures { count: entry.count + 1, last: now };
        delay
    }
    pub fn succeeded(&self, address: Option<IpAddr>, user: &str) {
        self.failures.lock().remove(&(address, user.to_owned()));
    }

    /// Starts an exchange for a client on this kind of connection.
    pub fn scram(&self, encrypted: bool) -> Result<Scram<'_>> {
        let mut server = ScramServerAuth::new();
        if let Some(certificate) = self.certificate.as_ref().filter(|_| encrypted) {
            server.configure_certificate(certificate).map_err(|error| Error::internal(error.to_string()))?;
        }
        Ok(Scram { server, secret: &self.secret })
    }
}

fn read(file: &Path) -> std::result::Result<Rules, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("could not read \"{}\": {error}", file.display()))?;
    Rules::parse(&text, file.parent().unwrap_or(Path::new("")))
        .map_err(|error| format!("\"{}\" {error}", file.display()))
}

/// An exchange: two messages from the client, two from us.
pub struct Scram<'a> {
    server: ScramServerAuth,
    secret: &'a [u8],
}

impl Scram<'_> {
    /// Strongest first.
    pub fn mechanisms(&self) -> Vec<String> {
        let plus = self.server.supports_channel_binding().then_some(SCRAM_PLUS);
        plus.into_iter().chain([SCRAM]).map(str::to_owned).collect()
    }

    /// The client's choice of mechanism and first message → our first, and what judges the client's last.
    pub fn first(
        self,
        user: &str,
        verifier: Option<ScramVerifier>,
        mechanism: &str,
        message: &[u8],
    ) -> Result<(String, ScramEnd)> {
        if !self.mechanisms().iter().any(|offered| offered == mechanism) {
            return Err(violation("client selected an invalid SASL authentication mechanism"));
        }
        if message.starts_with(b"p=") != (mechanism == SCRAM_PLUS) {
            return Err(violation("malformed SCRAM message")
                .detail("The channel-binding flag does not fit the mechanism that the client selected."));
        }
        let verifier = verifier.unwrap_or_else(|| ScramVerifier::mock(user, self.secret));
        let secret = ScramSecret::Verifier {
            salt: verifier.salt,
            iterations: verifier.iterations as usize,
            stored_key: verifier.stored_key,
            server_key: verifier.server_key,
        };
        let user = user.to_owned();
        let (reply, waiting) = self
            .server
            .on_client_first_message_with_secret(message, secret)
            .map_err(|error| refusal(&user, &error))?;
        Ok((reply, ScramEnd { waiting, user }))
    }
}

/// The second half of an exchange.
pub struct ScramEnd {
    waiting: ScramServerAuthWaitingForClientFinal,
    user: String,
}

impl ScramEnd {
    /// The client's last message, with its proof → our last, with ours.
    pub fn last(self, message: &[u8]) -> Result<String> {
        self.waiting.on_client_final_message(message).map_err(|error| refusal(&self.user, &error))
    }
}

pub fn violation(message: &str) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message).fatal()
}

fn refusal(user: &str, error: &PgWireError) -> Error {
    match error {
        PgWireError::InvalidPassword(_) => Error::new(
            SqlState::INVALID_PASSWORD,
            format!("password authentication failed for user \"{user}\""),
        )
        .fatal(),
        error => violation("malformed SCRAM message").detail(error.to_string()),
    }
}
