//! Signature Version 4, the verifying side, for signed headers and for presigned URLs.

use std::fmt::Write as _;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDateTime, Utc};
use http::HeaderMap;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A request as far as its signature covers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// As on the wire, still percent-encoded.
    pub(crate) path: &'a str,
    /// As on the wire.
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// What a signature says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) access_key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) signed_headers: Vec<String>,
    pub(crate) signature: String,
    pub(crate) signed_at: DateTime<Utc>,
    pub(crate) session_token: Option<String>,
}

impl Claim {
    /// From the `Authorization` header.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let fields = text("authorization")?.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            fields.split(',').find_map(|part| part.trim().strip_prefix(name).and_then(|part| part.strip_prefix('=')))
        };
        Self::new(
            field("Credential")?,
            field("SignedHeaders")?,
            field("Signature")?,
            text("x-amz-date")?,
            text("x-amz-security-token").map(ToOwned::to_owned),
        )
    }

    /// From the query of a presigned URL, decoded.
    pub(crate) fn from_query(pairs: &[(String, String)]) -> Option<Self> {
        let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if value("X-Amz-Algorithm")? != ALGORITHM {
            return None;
        }
        Self::new(
            value("X-Amz-Credential")?,
            value("X-Amz-SignedHeaders")?,
            value("X-Amz-Signature")?,
            value("X-Amz-Date")?,
            value("X-Amz-Security-Token").map(ToOwned::to_owned),
        )
    }

    fn new(credential: &str, headers: &str, signature: &str, at: &str, session_token: Option<String>) -> Option<Self> {
        let mut scope = credential.split('/');
        let [access_key_id, date, region, service] = [scope.next()?, scope.next()?, scope.next()?, scope.next()?];
        if scope.next()? != "aws4_request" || !at.starts_with(date) {
            return None;
        }
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: headers.split(';').map(ToOwned::to_owned).collect(),
            signature: signature.to_owned(),
            signed_at: NaiveDateTime::parse_from_str(at, TIME).ok()?.and_utc(),
            session_token,
        })
    }

    /// Whether the signature was made over this request with this secret.
    pub(crate) fn verify(&self, secret: &str, request: Signed<'_>) -> bool {
        let declared = request.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
        declared.is_none_or(|hash| hash == sha256(request.body))
            && self.signature(secret, request).is_some_and(|signature| {
                constant_time::verify_slices_are_equal(signature.as_bytes(), self.signature.as_bytes()).is_ok()
            })
    }

    /// The signature that this claim should have; `None` when a signed header is absent.
    fn signature(&self, secret: &str, request: Signed<'_>) -> Option<String> {
        let canonical = format!(
            "{}\n{}\n{}\n{}\n{}\n{}",
            request.method,
            encode(request.path, Slash::Kept),
            canonical_query(request.query),
            self.canonical_headers(request.headers)?,
            self.signed_headers.join(";"),
            sha256(request.body),
        );
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let time = self.signed_at.format(TIME);
        let message = format!("{ALGORITHM}\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        Some(hex(self.signing_key(secret, message.as_bytes()).as_ref()))
    }

    /// The key derived from the secret and the scope, applied to `message`.
    fn signing_key(&self, secret: &str, message: &[u8]) -> hmac::Tag {
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [self.date.as_str(), &self.region, &self.service, "aws4_request"] {
            key = sign(&key, part.as_bytes()).as_ref().to_vec();
        }
        sign(&key, message)
    }

    fn canonical_headers(&self, headers: &HeaderMap) -> Option<String> {
        let mut text = String::new();
        for name in &self.signed_headers {
            let values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")))
                .collect::<Result<_, _>>()
                .ok()?;
            if values.is_empty() {
                return None;
            }
            let _ = writeln!(text, "{name}:{}", values.join(","));
        }
        Some(text)
    }
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slash {
    Kept,
    Encoded,
}

fn encode(text: &str, slash: Slash) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            b'/' if slash == Slash::Kept => encoded.push('/'),
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The decoded pairs of a query.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// All pairs but the signature itself, encoded and in order.
fn canonical_query(query: &str) -> String {
    let mut encoded: Vec<(String, String)> = pairs(query)
        .into_iter()
        .filter(|(key, _)| key != "X-Amz-Signature")
        .map(|(key, value)| (encode(&key, Slash::Encoded), encode(&value, Slash::Encoded)))
        .collect();
    encoded.sort();
    encoded.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

/// Keys to sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The secret; worth nothing outside the simulator.
    pub secret_access_key: String,
    /// Of temporary keys.
    pub session_token: Option<String>,
}

impl Keys {
    fn claim(&self, region: &str, service: &str, now: DateTime<Utc>, signed_headers: &[&str]) -> Claim {
        Claim {
            access_key_id: self.access_key_id.clone(),
            date: now.format("%Y%m%d").to_string(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed_headers.iter().map(|name| (*name).to_owned()).collect(),
            signature: String::new(),
            signed_at: now,
            session_token: self.session_token.clone(),
        }
    }

    /// Headers that sign a request to `host`: names and values, `host` itself left out. `scope` is region and service,
    /// `request` method, path and query as they go over the wire.
    ///
    /// # Panics
    /// When `host` holds something that no HTTP header can.
    pub fn sign(
        &self,
        scope: (&str, &str),
        now: DateTime<Utc>,
        host: &str,
        request: (&str, &str, &str),
        body: &[u8],
    ) -> Vec<(&'static str, String)> {
        let (region, service) = scope;
        let (method, path, query) = request;
        let mut signed = vec![("x-amz-date", now.format(TIME).to_string())];
        signed.extend(self.session_token.clone().map(|token| ("x-amz-security-token", token)));
        let mut headers = HeaderMap::new();
        for (name, value) in signed.iter().map(|(name, value)| (*name, value.as_str())).chain([("host", host)]) {
            headers.insert(name, value.parse().expect("keys, times and hosts are ASCII"));
        }
        let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let claim = self.claim(region, service, now, &names);
        let request = Signed { method, path, query, headers: &headers, body };
        let signature = claim.signature(&self.secret_access_key, request).expect("every signed header is present");
        let scope = format!("{}/{}/{region}/{service}/aws4_request", self.access_key_id, claim.date);
        let value = format!("{ALGORITHM} Credential={scope}, SignedHeaders={}, Signature={signature}", names.join(";"));
        signed.push(("authorization", value));
        signed
    }

    /// A bearer token for an EKS cluster: a presigned `GetCallerIdentity` URL whose signature covers `cluster`.
    /// `sts` is the service's base URL, `expires` the seconds that the URL claims to live.
    ///
    /// # Panics
    /// When `sts` or `cluster` hold something that no HTTP header can.
    pub fn eks_token(&self, region: &str, sts: &str, cluster: &str, now: DateTime<Utc>, expires: u32) -> String {
        let claim = self.claim(region, "sts", now, &["host", "x-k8s-aws-id"]);
        let credential = format!("{}/{}/{region}/sts/aws4_request", self.access_key_id, claim.date);
        let mut query = vec![
            ("Action", "GetCallerIdentity".to_owned()),
            ("Version", "2011-06-15".to_owned()),
            ("X-Amz-Algorithm", ALGORITHM.to_owned()),
            ("X-Amz-Credential", credential),
            ("X-Amz-Date", now.format(TIME).to_string()),
            ("X-Amz-Expires", expires.to_string()),
            ("X-Amz-SignedHeaders", "host;x-k8s-aws-id".to_owned()),
        ];
        query.extend(self.session_token.clone().map(|token| ("X-Amz-Security-Token", token)));
        let encoded: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encode(value, Slash::Encoded))).collect();
        let query = encoded.join("&");
        let host = sts.split_once("://").map_or(sts, |(_, host)| host).trim_end_matches('/');
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", host), ("x-k8s-aws-id", cluster)] {
            headers.insert(name, value.parse().expect("hosts and cluster names are ASCII"));
        }
        let request = Signed { method: "GET", path: "/", query: &query, headers: &headers, body: b"" };
        let signature = claim.signature(&self.secret_access_key, request).expect("every signed header is present");
        let url = format!("{}/?{query}&X-Amz-Signature={signature}", sts.trim_end_matches('/'));
        format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `get-vanilla-query-order-key-case` case that AWS publishes with the algorithm.
    #[test]
    fn agrees_with_the_published_example() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "example.amazonaws.com".parse().unwrap());
        headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        headers.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
                .parse()
                .unwrap(),
        );
        let claim = Claim::from_headers(&headers).unwrap();
        let request =
            Signed { method: "GET", path: "/", query: "Param2=value2&Param1=value1", headers: &headers, body: b"" };
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        assert!(claim.verify(secret, request));
        assert!(!claim.verify(secret, Signed { method: "POST", ..request }));
        assert!(!claim.verify(secret, Signed { query: "Param2=value2", ..request }));
        assert!(!claim.verify("another secret", request));
    }
}
