//! Callers with a JWT of an identity provider that their tenant trusts.
//!
//! ```text
//! JWT ─▶ tenant (its audience or `Rampart-Tenant`) ─▶ provider of that tenant with `iss` and `aud`
//!     ─▶ key of the issuer (cached, read through the egress guard) ─▶ signature ─▶ times ─▶ rules ─▶ grants
//! ```
//! Two tenants may trust one issuer for one audience, as with an issuer of a whole cloud. So a token alone never decides
//! whose data it opens: the tenant is said by an audience that belongs to it alone, `rampart:<tenant id>`, or by the
//! client. No tenant's providers are looked at for a request that means another, so that nobody can claim an issuer
//! before its owner does, nor learn whether somebody did.

mod claims;
mod fetch;
mod keys;

use std::time::Instant;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use rampart_connector::{Egress, IssuerUrl};
use rampart_domain::{ActorId, TenantId};
use rampart_store::identity_provider::{self, IdentityProvider};
use rampart_store::{Actor, Grant, Identity, Store, StoreError};
use serde_json::{Map, Value};

use fetch::Http;
use keys::{Issuers, KeyError, Wanted};

/// Names the tenant of a request whose token does not.
pub(crate) const TENANT_HEADER: &str = "rampart-tenant";
/// What an audience begins with that names a tenant, whose id follows.
const TENANT_AUDIENCE: &str = "rampart:";
/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// What tokens may be signed with. Nothing symmetric: a public key must never be taken for a shared secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The audience that names a tenant.
pub(crate) fn audience_of(tenant: TenantId) -> String {
    format!("{TENANT_AUDIENCE}{tenant}")
}

/// The tenant that an audience names.
pub(crate) fn tenant_of(audience: &str) -> Option<TenantId> {
    audience.strip_prefix(TENANT_AUDIENCE)?.parse().ok().map(TenantId)
}

/// Whether a text can be the issuer of tokens: an https URL without user, query or fragment.
pub(crate) fn is_issuer(text: &str) -> bool {
    text.parse::<IssuerUrl>().is_ok()
}

/// A caller whose token holds.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    pub tenant: TenantId,
    pub actor: Actor,
    /// What the claims grant; may be nothing.
    pub grants: Vec<Grant>,
}

/// Why a token does not hold.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody can be told from it.
    Unknown(&'static str),
    /// It is somebody's, and not valid now.
    Untimely { tenant: TenantId, actor: Actor, why: &'static str },
    /// Its provider cannot be asked for keys; worth another try after so many seconds.
    Unavailable { retry_after: u64 },
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Who vouches for callers, and their keys.
pub(crate) struct Oidc {
    issuers: Issuers<Http>,
}

impl Oidc {
    pub(crate) fn new(egress: Egress) -> Self {
        Self { issuers: Issuers::new(Http::new(egress)) }
    }

    /// Who calls with this token.
    pub(crate) async fn identify(
        &self,
        store: &Store,
        headers: &HeaderMap,
        token: &str,
    ) -> Result<Identified, Refusal> {
        let unsigned = Unsigned::read(token)?;
        let tenant = unsigned.tenant(headers)?;
        let trusted = identity_provider::trusted(store, tenant, &unsigned.issuer, &unsigned.audiences).await?;
        let trusted =
            trusted.ok_or(Refusal::Unknown("no identity provider of the tenant takes this issuer and audience"))?;
        let key =
            self.issuers.key(&unsigned.issuer, &unsigned.wanted, Instant::now).await.map_err(|error| match error {
                KeyError::Unknown => Refusal::Unknown("the issuer does not know the key of this token"),
                KeyError::Unreachable { retry_after } => {
                    Refusal::Unavailable { retry_after: retry_after.as_secs() + 1 }
                }
            })?;
        let mut validation = Validation::new(unsigned.wanted.algorithm);
        // What the signature does not cover is judged below, once it is known whose token it is.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims: Map<String, Value> = decode(token, &key, &validation)
            .map_err(|_| Refusal::Unknown("the signature of the token does not fit"))?
            .claims;
        identified(tenant, trusted, &claims)
    }
}

/// What a token says whose signature was checked.
fn identified(tenant: TenantId, trusted: IdentityProvider, claims: &Map<String, Value>) -> Result<Identified, Refusal> {
    let subject = claims::subject(claims).ok_or(Refusal::Unknown("the token has no subject"))?;
    let actor = Actor {
        id: ActorId::derive(trusted.id, subject),
        name: claims::name(claims).unwrap_or(subject).to_owned(),
        identity: Some(Identity { provider: trusted.provider.name, subject: subject.to_owned() }),
    };
    if let Err(why) = claims::check_times(claims, Utc::now()) {
        return Err(Refusal::Untimely { tenant, actor, why });
    }
    Ok(Identified { tenant, actor, grants: claims::grants(&trusted.provider.rules, claims) })
}

/// What a token says of itself, before anything of it is believed.
#[derive(Debug)]
struct Unsigned {
    issuer: String,
    audiences: Vec<String>,
    wanted: Wanted,
}

impl Unsigned {
    fn read(token: &str) -> Result<Self, Refusal> {
        let malformed = || Refusal::Unknown("give a token of this API, or a JWT of an identity provider");
        if token.len() > LONGEST {
            return Err(malformed());
        }
        let header = decode_header(token).map_err(|_| malformed())?;
        if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
            return Err(Refusal::Unknown("the token is signed in a way that is not taken"));
        }
        let payload =
            token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or_else(malformed)?;
        let claims: Map<String, Value> = serde_json::from_slice(&payload).map_err(|_| malformed())?;
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or_else(malformed)?.to_owned();
        let audiences = claims::texts(claims.get("aud").unwrap_or(&Value::Null));
        Ok(Self { issuer, audiences, wanted: Wanted { key_id: header.kid, algorithm: header.alg } })
    }

    /// The tenant that is meant: the one that an audience names, else the one that the client does; never two.
    fn tenant(&self, headers: &HeaderMap) -> Result<TenantId, Refusal> {
        let given = match headers.get(TENANT_HEADER) {
            None => None,
            Some(value) => {
                let id = value.to_str().ok().and_then(|text| text.trim().parse().ok()).map(TenantId);
                Some(id.ok_or(Refusal::Unknown("`Rampart-Tenant` must be the id of a tenant"))?)
            }
        };
        let mut named = self.audiences.iter().filter_map(|audience| tenant_of(audience)).chain(given);
        let tenant = named.next().ok_or(Refusal::Unknown(
            "say whose data is meant: `Rampart-Tenant`, or an audience `rampart:<tenant id>`",
        ))?;
        if named.all(|other| other == tenant) {
            Ok(tenant)
        } else {
            Err(Refusal::Unknown("the token and `Rampart-Tenant` name different tenants"))
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn only_asymmetric_algorithms_are_looked_at() {
        let payload = r#"{"iss": "https://i.example", "aud": "a"}"#;
        for alg in ["none", "HS256", "HS384", "HS512", "ES512", "dir"] {
            assert!(Unsigned::read(&token(&format!(r#"{{"alg": "{alg}"}}"#), payload)).is_err(), "{alg}");
        }
        let read = Unsigned::read(&token(r#"{"alg": "ES256", "kid": "k"}"#, payload)).unwrap();
        assert_eq!((read.issuer.as_str(), read.audiences), ("https://i.example", vec!["a".to_owned()]));
        assert!(Unsigned::read(&token(r#"{"alg": "ES256", "crit": ["b64"]}"#, payload)).is_err());
        assert!(Unsigned::read(&token(r#"{"alg": "ES256"}"#, r#"{"aud": "a"}"#)).is_err(), "no issuer");
        assert!(Unsigned::read("a.b").is_err() && Unsigned::read(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn a_token_opens_the_tenant_that_it_or_the_client_names_and_never_two() {
        let (one, two) = (TenantId(Uuid::new_v4()), TenantId(Uuid::new_v4()));
        let check = |audiences: &[String], header: Option<String>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = header {
                headers.insert(TENANT_HEADER, text.parse().unwrap());
            }
            let wanted = Wanted { key_id: None, algorithm: Algorithm::RS256 };
            Unsigned { issuer: String::new(), audiences: audiences.to_vec(), wanted }.tenant(&headers).ok()
        };
        assert_eq!(check(&[audience_of(one)], None), Some(one));
        assert_eq!(check(&["client".to_owned()], Some(one.to_string())), Some(one));
        assert_eq!(check(&[audience_of(one), "client".to_owned()], Some(one.to_string())), Some(one));
        assert_eq!(check(&["client".to_owned()], None), None);
        assert_eq!(check(&[audience_of(one)], Some(two.to_string())), None);
        assert_eq!(check(&[audience_of(one), audience_of(two)], None), None);
        assert_eq!(check(&[audience_of(one)], Some("one".to_owned())), None);
    }
}
