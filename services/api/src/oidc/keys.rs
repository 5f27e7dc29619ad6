//! The keys of issuers, read when they are needed and kept for a while.
//!
//! One reading at a time per issuer, and at most one in [`FLOOR`], whatever tokens come: neither a stranger's key ids nor
//! an issuer that is down make us call more often. Keys are read anew after [`FRESH`], so that one which the issuer took
//! back ends then; while the issuer cannot be reached, known keys hold until [`STALE`].

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// How long keys are used without asking again.
const FRESH: Duration = Duration::from_mins(10);
/// How long keys are used while the issuer does not answer.
const STALE: Duration = Duration::from_hours(24);
/// Time between two readings of one issuer's keys.
const FLOOR: Duration = Duration::from_secs(30);
/// Issuers whose keys are kept; the one that was not used for the longest time goes.
const MOST_ISSUERS: usize = 500;
/// Keys of one issuer that are looked at.
const MOST_KEYS: usize = 100;

/// Where keys are read.
pub(super) trait ReadKeys: Send + Sync {
    /// The `keys` of the issuer's key set, as they are; the text says why there are none.
    fn read(&self, issuer: &str) -> impl Future<Output = Result<Vec<Value>, String>> + Send;
}

/// The key that a token says it was signed with.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) key_id: Option<String>,
    pub(super) algorithm: Algorithm,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The issuer could not be asked, and what is known of it does not fit.
    Unreachable { retry_after: Duration },
}

/// The issuers that were asked for.
pub(super) struct Issuers<R> {
    reader: R,
    known: Mutex<HashMap<String, (Instant, Arc<Issuer>)>>,
}

#[derive(Default)]
struct Issuer {
    keys: Mutex<Known>,
    /// Held by who reads.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Arc<[Key]>,
    read_at: Option<Instant>,
    tried_at: Option<Instant>,
    failed: bool,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: Arc<DecodingKey>,
}

impl<R: ReadKeys> Issuers<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, known: Mutex::default() }
    }

    /// The key of `issuer` that is wanted.
    pub(super) async fn key(
        &self,
        issuer: &str,
        wanted: &Wanted,
        clock: impl Fn() -> Instant,
    ) -> Result<Arc<DecodingKey>, KeyError> {
        let entry = self.entry(issuer, clock());
        let known = entry.known();
        if let Some(key) = known.find(wanted)
            && known.is_younger(FRESH, clock())
        {
            return Ok(key);
        }
        let _alone = entry.reading.lock().await;
        // Who held the lock before may have read what is wanted.
        let mut known = entry.known();
        let settled = known.find(wanted).is_some() && known.is_younger(FRESH, clock());
        if !settled && known.tried_at.is_none_or(|at| clock().saturating_duration_since(at) >= FLOOR) {
            let read = self.reader.read(issuer).await;
            known = entry.learn(issuer, read, clock());
        }
        let usable = known.is_younger(STALE, clock());
        match known.find(wanted).filter(|_| usable) {
            Some(key) => Ok(key),
            None if known.failed => {
                let passed = known.tried_at.map_or(FLOOR, |at| clock().saturating_duration_since(at));
                Err(KeyError::Unreachable { retry_after: FLOOR.saturating_sub(passed) })
            }
            None => Err(KeyError::Unknown),
        }
    }

    fn entry(&self, issuer: &str, now: Instant) -> Arc<Issuer> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((used, entry)) = known.get_mut(issuer) {
            *used = now;
            return Arc::clone(entry);
        }
        if known.len() >= MOST_ISSUERS {
            let oldest = known.iter().min_by_key(|(_, (used, _))| *used).map(|(issuer, _)| issuer.clone());
            oldest.map(|issuer| known.remove(&issuer));
        }
        let entry = Arc::new(Issuer::default());
        known.insert(issuer.to_owned(), (now, Arc::clone(&entry)));
        entry
    }
}

impl Issuer {
    fn known(&self) -> Known {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, issuer: &str, read: Result<Vec<Value>, String>, now: Instant) -> Known {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        known.tried_at = Some(now);
        known.failed = read.is_err();
        match read {
            Ok(keys) => {
                known.keys = keys.into_iter().take(MOST_KEYS).filter_map(Key::parse).collect();
                known.read_at = Some(now);
            }
            Err(error) => tracing::warn!(issuer, error, "the keys of an identity provider could not be read"),
        }
        known.clone()
    }
}

impl Known {
    fn is_younger(&self, age: Duration, now: Instant) -> bool {
        self.read_at.is_some_and(|at| now.saturating_duration_since(at) < age)
    }

    /// The key of that id; without an id, the only one that could have signed.
    fn find(&self, wanted: &Wanted) -> Option<Arc<DecodingKey>> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithms.contains(&wanted.algorithm) && (wanted.key_id.is_none() || key.id == wanted.key_id)
        });
        let first = fitting.next()?;
        fitting.next().is_none().then(|| Arc::clone(&first.decoding))
    }
}

impl Key {
    /// A key that signs; `None` for any other, such as one that encrypts or that is shared.
    fn parse(json: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|what| *what == PublicKeyUse::Signature);
        let operations = jwk.common.key_operations.as_ref();
        let verifies = operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !signs || !verifies {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => return None,
        };
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| word(*algorithm) == Some(only));
        }
        let decoding = Arc::new(DecodingKey::from_jwk(&jwk).ok()?);
        Some(Self { id: jwk.common.key_id, algorithms, decoding })
    }
}

/// How a key set spells an algorithm.
fn word(algorithm: Algorithm) -> Option<KeyAlgorithm> {
    serde_json::to_value(algorithm).and_then(serde_json::from_value).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    /// Gives what it holds, and counts how often.
    #[derive(Default)]
    struct Set {
        keys: Mutex<Option<Vec<Value>>>,
        reads: AtomicUsize,
    }

    impl ReadKeys for &Set {
        async fn read(&self, _: &str) -> Result<Vec<Value>, String> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.keys.lock().unwrap().clone().ok_or_else(|| "down".to_owned())
        }
    }

    /// A point of the curve, from RFC 7517.
    fn key(id: &str) -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
    }

    fn wanted(id: &str) -> Wanted {
        Wanted { key_id: Some(id.to_owned()), algorithm: Algorithm::ES256 }
    }

    #[tokio::test]
    async fn keys_are_read_rarely_rotated_and_survive_an_outage() {
        let set = Set::default();
        let issuers = Issuers::new(&set);
        let start = Instant::now();
        let ask = async |id: &str, after: u64| {
            let now = start + Duration::from_secs(after);
            let answer = issuers.key("i", &wanted(id), || now).await.map(drop);
            (answer, set.reads.load(Ordering::SeqCst))
        };
        let down = |s| Err(KeyError::Unreachable { retry_after: Duration::from_secs(s) });
        assert_eq!(ask("a", 0).await, (down(30), 1), "nothing is let through while nothing is known");
        assert_eq!(ask("a", 10).await, (down(20), 1));
        *set.keys.lock().unwrap() = Some(vec![key("a")]);
        assert_eq!(ask("a", 30).await, (Ok(()), 2));
        assert_eq!(ask("b", 40).await, (Err(KeyError::Unknown), 2), "a stranger's key id asks nobody");
        *set.keys.lock().unwrap() = Some(vec![key("b")]);
        assert_eq!(ask("b", 60).await, (Ok(()), 3), "a new key is found");
        assert_eq!(ask("a", 61).await, (Err(KeyError::Unknown), 3), "and the old one has ended");
        *set.keys.lock().unwrap() = None;
        assert_eq!(ask("b", 700).await, (Ok(()), 4), "known keys survive an outage");
        assert_eq!(ask("c", 701).await, (down(29), 4));
        assert_eq!(ask("b", 61 + 24 * 3600).await, (down(30), 5), "but not for ever");
    }

    #[tokio::test]
    async fn many_who_ask_at_once_make_one_reading() {
        let set = Set::default();
        *set.keys.lock().unwrap() = Some(vec![key("a")]);
        let issuers = Issuers::new(&set);
        let wanted = wanted("a");
        let all = (0..50).map(|_| issuers.key("i", &wanted, Instant::now));
        for answer in futures::future::join_all(all).await {
            assert!(answer.is_ok());
        }
        assert_eq!(set.reads.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_number_of_issuers_is_bounded() {
        let set = Set::default();
        let issuers = Issuers::new(&set);
        let start = Instant::now();
        for n in 0..=MOST_ISSUERS {
            issuers.entry(&n.to_string(), start + Duration::from_secs(n as u64));
        }
        let known = issuers.known.lock().unwrap();
        assert!(known.len() == MOST_ISSUERS && !known.contains_key("0"));
    }

    #[test]
    fn only_public_keys_that_sign_count() {
        assert_eq!(Key::parse(key("a")).unwrap().algorithms, [Algorithm::ES256]);
        let with = |field: &str, value: &str| {
            let mut key = key("a");
            key[field] = json!(value);
            Key::parse(key).map(|key| key.algorithms.len())
        };
        assert_eq!(with("use", "enc"), None);
        assert_eq!(with("alg", "ES256"), Some(1));
        assert_eq!(with("alg", "ES384"), Some(0), "a key for another algorithm fits none");
        assert!(Key::parse(json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a"})).is_none());
        assert!(Key::parse(json!({"kty": "new"})).is_none());
        let known =
            Known { keys: [key("a"), key("b")].into_iter().filter_map(Key::parse).collect(), ..Known::default() };
        assert!(known.find(&Wanted { key_id: None, algorithm: Algorithm::ES256 }).is_none(), "which of them?");
        assert!(known.find(&wanted("b")).is_some());
    }
}
