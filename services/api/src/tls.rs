//! TLS of the API: a certificate chain and its key in two PEM files, read again when they change.
//!
//! ```text
//! every 5 s, SIGHUP ─▶ both files ─▶ unchanged: nothing
//!                                 ├▶ a pair: new connections get it, open ones keep theirs
//!                                 └▶ no pair: a line in the log, and the one before stays
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(5);

/// Why two files are no pair to serve with. Nothing of the key is in the text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} holds no certificate in PEM")]
    NoCertificate { path: PathBuf },
    #[error("{path} holds no private key in PEM that is not encrypted")]
    NoKey { path: PathBuf },
    #[error("the certificate in {certificate} and the key in {key} cannot be used: {reason}")]
    Unusable { certificate: PathBuf, key: PathBuf, reason: rustls::Error },
}

/// The two files.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What was in them.
#[derive(PartialEq, Eq)]
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The pair that connections get.
pub(crate) struct Tls {
    files: Files,
    config: RustlsConfig,
    /// What was read last, whether or not it was a pair; `None` when it could not be read.
    seen: Option<Content>,
}

impl Files {
    async fn read(&self) -> Result<Content, TlsError> {
        Ok(Content { certificate: read(&self.certificate).await?, key: read(&self.key).await? })
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    fn pair(&self, content: &Content) -> Result<Arc<ServerConfig>, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| TlsError::NoCertificate { path: self.certificate.clone() })?;
        let key = PrivateKeyDer::from_pem_slice(&content.key).ok();
        let key = key.ok_or_else(|| TlsError::NoKey { path: self.key.clone() })?;
        let unusable =
            |reason| TlsError::Unusable { certificate: self.certificate.clone(), key: self.key.clone(), reason };
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

impl Tls {
    /// Reads the files, which must be a pair.
    pub(crate) async fn load(files: Files) -> Result<Self, TlsError> {
        let content = files.read().await?;
        let config = RustlsConfig::from_config(files.pair(&content)?);
        Ok(Self { files, config, seen: Some(content) })
    }

    /// What the server takes; it follows every change.
    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Takes over what changes in the files until `cancel` fires.
    pub(crate) async fn follow(mut self, mut hangup: Signal, cancel: CancellationToken) {
        let mut poll = tokio::time::interval(POLL);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = poll.tick() => {}
                // Whoever asks gets a line in the log, changed or not.
                _ = hangup.recv() => self.seen = None,
            }
            match self.refresh().await {
                Ok(false) => {}
                Ok(true) => {
                    metrics::counter!("rampart_tls_reloads_total", "outcome" => "taken").increment(1);
                    tracing::info!(certificate = %self.files.certificate.display(),
                        "new connections get the certificate as it is now");
                }
                Err(error) => {
                    metrics::counter!("rampart_tls_reloads_total", "outcome" => "refused").increment(1);
                    tracing::error!(error = %error, "the certificate was not taken over; the one before stays");
                }
            }
        }
    }

    /// Whether there was another pair.
    async fn refresh(&mut self) -> Result<bool, TlsError> {
        let content = match self.files.read().await {
            Ok(content) => content,
            // Said once, not at every look.
            Err(_) if self.seen.is_none() => return Ok(false),
            Err(error) => {
                self.seen = None;
                return Err(error);
            }
        };
        if self.seen.as_ref() == Some(&content) {
            return Ok(false);
        }
        let pair = self.files.pair(&content);
        self.seen = Some(content);
        self.config.reload_from_config(pair?);
        Ok(true)
    }
}
