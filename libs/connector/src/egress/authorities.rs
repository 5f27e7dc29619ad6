use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{PemObject, SectionKind};

/// Certificate authorities that are believed beside the system's, such as that of a proxy which opens TLS.
#[derive(Debug, Clone, Default)]
pub struct Authorities {
    certificates: Arc<[CertificateDer<'static>]>,
    pem: Arc<[u8]>,
}

/// Why a file is no bundle of authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not PEM.
    #[error("{path} is not PEM: {reason}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// One of its certificates is no authority's.
    #[error("{path}: certificate {nth} cannot be an authority: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        nth: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file holds something else than certificates, such as a private key.
    #[error("{path} holds a {found}: a bundle of authorities holds certificates alone")]
    NotCertificates {
        /// The file.
        path: PathBuf,
        /// The kind of the first other section.
        found: &'static str,
    },
    /// The file holds no certificate.
    #[error("{path} holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Authorities {
    /// The certificates of a PEM file, at least one and nothing else.
    pub fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        let pem =
            std::fs::read(path).map_err(|source| AuthoritiesError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &pem)
    }

    fn parse(path: &Path, pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let path = || path.to_owned();
        let mut certificates = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            match section {
                Ok((SectionKind::Certificate, der)) => {
                    let certificate = CertificateDer::from(der);
                    RootCertStore::empty().add(certificate.clone()).map_err(|error| AuthoritiesError::Unusable {
                        path: path(),
                        nth: certificates.len() + 1,
                        reason: error.to_string(),
                    })?;
                    certificates.push(certificate);
                }
                Ok((other, _)) => {
                    return Err(AuthoritiesError::NotCertificates { path: path(), found: name(other) });
                }
                Err(error) => return Err(AuthoritiesError::NotPem { path: path(), reason: error.to_string() }),
            }
        }
        if certificates.is_empty() {
            return Err(AuthoritiesError::Empty { path: path() });
        }
        Ok(Self { certificates: certificates.into(), pem: pem.into() })
    }

    /// The certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The certificates as they were read; empty when there are none.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }
}

const fn name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => "private key",
        SectionKind::PublicKey => "public key",
        SectionKind::Csr => "certificate request",
        SectionKind::Crl => "revocation list",
        _ => "section of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(kind: &str) -> String {
        format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n")
    }

    #[test]
    fn a_bundle_holds_certificates_alone() {
        let parse = |text: &str| Authorities::parse(Path::new("ca.pem"), text.as_bytes());
        let authority = rcgen::generate_simple_self_signed(["proxy.example".to_owned()]).unwrap().cert.pem();
        let bundle = parse(&format!("# ours\n{authority}{authority}")).unwrap();
        assert_eq!((bundle.certificates().len(), bundle.pem().is_empty()), (2, false));
        for (text, said) in [
            (String::new(), "ca.pem holds no certificate"),
            ("not PEM at all".to_owned(), "ca.pem holds no certificate"),
            (
                authority.clone() + &section("PRIVATE KEY"),
                "ca.pem holds a private key: a bundle of authorities holds certificates alone",
            ),
        ] {
            assert_eq!(parse(&text).unwrap_err().to_string(), said);
        }
        let other = parse(&(authority.clone() + &section("CERTIFICATE"))).unwrap_err().to_string();
        assert!(other.starts_with("ca.pem: certificate 2 cannot be an authority"), "{other}");
        let cut = &authority[..40];
        assert!(parse(cut).unwrap_err().to_string().starts_with("ca.pem is not PEM"), "{:?}", parse(cut));
        let missing = Authorities::read(Path::new("/nowhere/ca.pem")).unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/ca.pem cannot be read"), "{missing}");
    }
}
