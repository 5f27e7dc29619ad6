//! TLS as clients see it: versions, protocols, headers, and certificates that change under way.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use rampart_api::Config;
use rampart_chassis::Ctx;
use rampart_store::keyring::Keyring;
use rampart_store::testing::database;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, SignatureScheme, SupportedProtocolVersion,
};

use crate::support::start;

/// Takes any certificate: the tests look at which one it is.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &default_provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &default_provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn connect(
    address: SocketAddr,
    version: &'static SupportedProtocolVersion,
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Any));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
}

/// The certificate that a new connection is shown.
async fn shown(address: SocketAddr) -> Vec<u8> {
    let stream = connect(address, &TLS13, "http/1.1").await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn request(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /v1/tenant HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8(answer).unwrap()
}

struct Pair {
    pem: String,
    key: String,
    der: Vec<u8>,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Pair { pem: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().to_vec() }
}

struct Files(TempDir);

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, certificate: &str, key: &str) {
        std::fs::write(self.path("tls.pem"), certificate).unwrap();
        std::fs::write(self.path("tls.key"), key).unwrap();
    }

    fn config(&self, listen: SocketAddr) -> Config {
        let (tls_certificate, tls_key) = (Some(self.path("tls.pem")), Some(self.path("tls.key")));
        Config { listen, tls_certificate, tls_key, ..Config::default() }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::parse(&SecretString::from(format!("test:{}=", "A".repeat(43)))).unwrap())
}

#[tokio::test]
async fn the_api_speaks_tls_and_follows_its_certificate() {
    let (db, files, first, second) = (database().await, Files(tempfile::tempdir().unwrap()), pair(), pair());
    files.put(&first.pem, &first.key);
    let (address, ctx) = (free_address(), Ctx::new());
    let api = rampart_api::run(files.config(address), ctx.clone(), db.store.clone(), keyring());
    let api = tokio::spawn(api);
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20) && !api.is_finished(), "the API does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let stream = connect(address, version, "h2").await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(name));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }
    let mut open = connect(address, &TLS13, "http/1.1").await.unwrap();
    let answer = request(&mut open).await.to_lowercase();
    for header in ["strict-transport-security: max-age=31536000", "x-content-type-options: nosniff", "no-store"] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /v1/tenant HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await;
    assert!(!said.starts_with(b"HTTP/"), "plain HTTP was answered");

    assert_eq!(shown(address).await, first.der);
    // A certificate of another key, then no certificate at all: what was there stays.
    files.put(&second.pem, &first.key);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(shown(address).await, first.der, "a pair that does not fit was taken over");
    files.put("no certificate", &second.key);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(shown(address).await, first.der);
    files.put(&second.pem, &second.key);
    let begun = Instant::now();
    while shown(address).await != second.der {
        assert!(begun.elapsed() < Duration::from_secs(10), "the new certificate was not taken over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("a new certificate was shown {} ms after it was written", begun.elapsed().as_millis());
    assert!(request(&mut open).await.starts_with("HTTP/1.1 401"), "a connection that was open goes on");
    drop(open);
    ctx.cancel.cancel();
    tokio::time::timeout(Duration::from_secs(10), api).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_pair_that_cannot_be_used_is_told_at_the_start() {
    let (db, files, first, second) = (database().await, Files(tempfile::tempdir().unwrap()), pair(), pair());
    let check = async |part: &str| {
        let run = rampart_api::run(files.config(free_address()), Ctx::new(), db.store.clone(), keyring());
        let error = tokio::time::timeout(Duration::from_secs(20), run).await.expect("it ends").unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("--tls-certificate") && text.contains(part), "{text}");
        let secret = first.key.lines().nth(1).unwrap();
        assert!(!text.contains(secret), "{text}");
    };
    check("cannot be read").await;
    files.put(&first.pem, "not PEM");
    check("tls.key holds no private key").await;
    files.put(&first.key, &first.key);
    check("tls.pem holds no certificate").await;
    files.put(&second.pem, &first.key);
    check("cannot be used").await;
}

#[tokio::test]
async fn every_answer_tells_browsers_what_not_to_do() {
    let api = start().await;
    for (path, status) in
        [("/v1/tenant", StatusCode::UNAUTHORIZED), ("/nothing", StatusCode::NOT_FOUND), ("/docs/", StatusCode::OK)]
    {
        let answered = api.get(path, "").await.expect(status);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answered.headers[name], value, "{path}");
        }
        let policy = answered.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(policy.contains("script-src 'self'"), path == "/docs/", "{path}: {policy}");
        assert!(!answered.headers.contains_key("strict-transport-security"), "without TLS it would lock browsers out");
    }
    // Scripts in the page itself would be kept from running.
    let page = api.get("/docs/", "").await.text;
    assert!(!page.contains("<script>") && page.contains("swagger-ui"), "{page}");
}
