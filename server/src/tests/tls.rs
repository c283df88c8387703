//! TLS: the handshake in the middle of start-up, and nothing from before it behind it. The certificate is made by openssl, where it is
//! installed.

use super::*;
use pgwire::tokio::tokio_rustls::rustls::crypto::ring;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use pgwire::tokio::tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::path::Path;

/// A certificate for localhost that signs itself, and its key.
fn make_certificate(dir: &Path) -> bool {
    let mut openssl = std::process::Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(dir);
    let made = openssl.output().is_ok_and(|output| output.status.success());
    if !made {
        eprintln!("openssl is not installed: nothing tested");
    }
    made
}

#[test]
fn a_session_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    if !make_certificate(dir.path()) {
        return;
    }
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let server = start_tls(Some(crate::tls::acceptor(&certificate, &key).unwrap()));
    let mut client = server.raw();
    client.send(&[0, 0, 0, 8, 4, 210, 22, 47]);
    let mut answer = [0];
    client.stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"S");

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session =
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, client.stream.try_clone().unwrap());
    stream.write_all(&startup(&[("user", "me")])).unwrap();
    stream.write_all(&message(b'Q', b"rows 100000\0")).unwrap();
    // Start-up's ReadyForQuery, then the query's: read until the second.
    let mut received = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while !received.ends_with(b"C\0\0\0\x12SELECT 100000\0Z\0\0\0\x05I") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed");
        received.extend_from_slice(&buffer[..count]);
    }
    assert!(received.len() > 2_000_000);

    // Bytes in clear behind the request are not taken for the session's.
    let mut client = server.raw();
    client.send(&[&[0, 0, 0, 8, 4, 210, 22, 47][..], &startup(&[("user", "me")])].concat());
    assert_eq!(client.until_closed(), "FATAL(08P01)");
    // And garbage for a handshake ends that connection alone.
    let mut client = server.raw();
    client.send(&[0, 0, 0, 8, 4, 210, 22, 47]);
    client.stream.read_exact(&mut answer).unwrap();
    client.send(&startup(&[("user", "me")]));
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert_eq!(server.connect().query("rows 1"), "T D*1 C(SELECT 1) Z(I)");
}

#[test]
fn unusable_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.pem");
    let error = crate::tls::acceptor(&missing, &missing).err().unwrap();
    assert!(error.contains("missing.pem"), "{error}");
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    assert!(crate::tls::acceptor(&empty, &empty).is_err());
}
