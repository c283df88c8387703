//! Who may connect, and how they prove who they are.
//!
//! Loopback and Unix-socket connections are trusted, as in PostgreSQL's default for a development cluster. There is no
//! password authentication yet, so a server refuses to listen elsewhere unless `allow_insecure_listen` says that
//! something else guards the port ([`check_listen`]). [`method`] is where SCRAM-SHA-256 will be chosen for roles with a
//! password: pgwire's implementation of it works on the same messages.

use serin_sql::{Error, Result, SqlState};
use std::net::SocketAddr;

/// What the server asks of a connecting client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Trust,
}

/// The method for a client; a FATAL error where none lets it in. `None` is a Unix-domain socket.
pub fn method(client: Option<SocketAddr>, user: &str, allow_insecure: bool) -> Result<Method> {
    match client {
        None => Ok(Method::Trust),
        Some(address) if address.ip().to_canonical().is_loopback() || allow_insecure => Ok(Method::Trust),
        Some(address) => Err(Error::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!("no authentication method lets user \"{user}\" connect from \"{}\"", address.ip()),
        )
        .hint("Password authentication is not supported yet.")
        .fatal()),
    }
}

/// Whether the server may listen on `address` at all.
pub fn check_listen(address: SocketAddr, allow_insecure: bool) -> Result<(), String> {
    if address.ip().to_canonical().is_loopback() || allow_insecure {
        return Ok(());
    }
    Err(format!(
        "refusing to listen on {address}: not a loopback address, and connections are not authenticated \
         (--allow-insecure-listen overrides)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_trusted_by_default() {
        let loopback = "127.0.0.1:5432".parse().unwrap();
        let mapped = "[::ffff:127.0.0.1]:5432".parse().unwrap();
        let any = "0.0.0.0:5432".parse().unwrap();
        let remote: SocketAddr = "192.0.2.1:5432".parse().unwrap();
        assert!(check_listen(loopback, false).is_ok());
        assert!(check_listen(mapped, false).is_ok());
        assert!(check_listen(any, false).unwrap_err().contains("refusing to listen on 0.0.0.0:5432"));
        assert!(check_listen(any, true).is_ok());
        assert_eq!(method(Some(loopback), "postgres", false).unwrap(), Method::Trust);
        assert_eq!(method(Some(remote), "postgres", false).unwrap_err().state().as_str(), "28000");
        assert_eq!(method(None, "postgres", false).unwrap(), Method::Trust);
    }
}
