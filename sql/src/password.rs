//! Passwords as roles keep them: SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677), in PostgreSQL's text form
//! `SCRAM-SHA-256$iterations:salt$stored key:server key`. The password itself is kept nowhere; a dump's verifier is taken
//! over as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::fmt;
use std::num::NonZeroU32;

/// PostgreSQL's `scram_iterations`.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
const PREFIX: &str = "SCRAM-SHA-256$";

/// What the server needs to check that a client knows a password, and to show that it knew it before.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    pub salt: Vec<u8>,
    pub iterations: u32,
    /// SHA-256 of the client key.
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
}

impl ScramVerifier {
    pub fn of(password: &str) -> ScramVerifier {
        ScramVerifier::with(password, &rand::random::<[u8; SALT_BYTES]>(), ITERATIONS)
    }

    fn with(password: &str, salt: &[u8], iterations: NonZeroU32) -> ScramVerifier {
        // A password that SASLprep refuses is used as it is, on both sides (PostgreSQL's pg_saslprep).
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, prepared.as_bytes(), &mut salted);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&key, b"Client Key");
        ScramVerifier {
            salt: salt.to_vec(),
            iterations: iterations.get(),
            stored_key: digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().to_vec(),
            server_key: hmac::sign(&key, b"Server Key").as_ref().to_vec(),
        }
    }

    /// One that no password fits, the same for the same name: a client that asks for a role that has none must not
    /// learn that from the answer. `secret` is the server's.
    pub fn mock(name: &str, secret: &[u8]) -> ScramVerifier {
        let salt = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), name.as_bytes());
        ScramVerifier {
            salt: salt.as_ref()[..SALT_BYTES].to_vec(),
            iterations: ITERATIONS.get(),
            stored_key: rand::random::<[u8; KEY_BYTES]>().to_vec(),
            server_key: rand::random::<[u8; KEY_BYTES]>().to_vec(),
        }
    }

    pub fn parse(text: &str) -> Option<ScramVerifier> {
        let (head, keys) = text.strip_prefix(PREFIX)?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).ok().filter(|key| key.len() == KEY_BYTES);
        Some(ScramVerifier {
            salt: STANDARD.decode(salt).ok()?,
            iterations: iterations.parse().ok().filter(|iterations| *iterations > 0)?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt, &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        write!(out, "{PREFIX}{}:{salt}${stored}:{server}", self.iterations)
    }
}

/// No key in a log.
impl fmt::Debug for ScramVerifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ScramVerifier").finish_non_exhaustive()
    }
}

/// What CREATE ROLE … PASSWORD keeps: a verifier of the password; one that is a verifier already, or an MD5 hash from a
/// dump, as it is (nobody can log in with the latter).
pub(crate) fn encrypt(password: &str) -> String {
    let md5 = password.strip_prefix("md5").is_some_and(|hash| {
        hash.len() == 32 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    if md5 || ScramVerifier::parse(password).is_some() {
        return password.to_owned();
    }
    ScramVerifier::of(password).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = ScramVerifier::with("pencil", &salt, ITERATIONS);
        // Computed from the RFC's exchange: what PostgreSQL 15 stores for this password and salt.
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(verifier.to_string(), text);
        assert_eq!(ScramVerifier::parse(text), Some(verifier));
        assert_eq!(encrypt(text), text);
    }

    #[test]
    fn what_is_no_verifier() {
        for text in
            ["", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:YQ==$YQ==:YQ==", "SCRAM-SHA-256$4096:YQ==$YQ==:YQ=="]
        {
            assert_eq!(ScramVerifier::parse(text), None, "{text}");
        }
        assert!(encrypt("secret").starts_with(PREFIX));
        assert_ne!(encrypt("secret"), encrypt("secret"));
        assert_eq!(encrypt("md50123456789abcdef0123456789abcdef"), "md50123456789abcdef0123456789abcdef");
        assert_eq!(ScramVerifier::mock("a", b"s").salt, ScramVerifier::mock("a", b"s").salt);
    }
}
