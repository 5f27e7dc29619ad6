use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};

use super::sigv4::{Claim, Keys, Signed};
use crate::world::World;

/// Account that the scanning product itself runs in.
const OPERATOR_ACCOUNT: &str = "999900001111";

/// Somebody who can sign requests.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) account: String,
    /// As `GetCallerIdentity` returns it.
    pub(crate) arn: String,
    /// The IAM user or role behind it, as access entries name it.
    pub(crate) iam_arn: String,
    pub(crate) user_id: String,
    keys: Keys,
    expires_at: Option<DateTime<Utc>>,
}

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    MissingToken,
    UnknownKey,
    BadSignature,
    Expired,
}

/// Who may assume a role.
#[derive(Debug, Clone)]
enum Trust {
    /// With one of these external ids.
    ExternalIds(HashSet<String>),
    /// Without any.
    Open,
}

/// A statement that a role trusts: issuer, and the subject where the trust policy names one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Federated {
    issuer: String,
    subject: Option<String>,
}

/// Keys and trust of all accounts.
#[derive(Debug)]
pub(crate) struct Identities {
    principals: RwLock<HashMap<String, Principal>>,
    trust: RwLock<HashMap<String, Trust>>,
    federated: RwLock<HashMap<String, HashSet<Federated>>>,
    operator: Keys,
    /// Seconds by which the clock here is ahead of the machine's.
    ahead: AtomicI64,
}

impl Identities {
    pub(crate) fn new(world: &World) -> Self {
        let seed = crate::world::seed::Seed::new(world.spec().seed).child("operator");
        let operator = Keys {
            access_key_id: format!("AKIA{}", seed.upper(16)),
            secret_access_key: seed.child("secret").hex(40),
            session_token: None,
        };
        let mut principals = HashMap::new();
        let mut add = |account: &str, name: &str, keys: Keys| {
            let arn = format!("arn:aws:iam::{account}:user/{name}");
            let user_id = format!("AIDA{}", &keys.access_key_id[4..]);
            let principal = Principal {
                account: account.to_owned(),
                arn: arn.clone(),
                iam_arn: arn,
                user_id,
                keys,
                expires_at: None,
            };
            principals.insert(principal.keys.access_key_id.clone(), principal);
        };
        add(OPERATOR_ACCOUNT, "rampart", operator.clone());
        let mut trust = HashMap::new();
        for account in world.accounts() {
            let keys = Keys {
                access_key_id: account.access_key_id.clone(),
                secret_access_key: account.secret_access_key.clone(),
                session_token: None,
            };
            add(&account.id, crate::world::aws::READER_USER, keys);
            trust.insert(account.role_arn.clone(), Trust::ExternalIds(HashSet::new()));
            trust.insert(account.open_role_arn.clone(), Trust::Open);
        }
        Self {
            principals: RwLock::new(principals),
            trust: RwLock::new(trust),
            federated: RwLock::default(),
            operator,
            ahead: AtomicI64::new(0),
        }
    }

    /// What the time is by the clock of this cloud.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.ahead.load(Ordering::Relaxed))
    }

    /// Puts that clock ahead of the machine's, or behind it.
    pub(crate) fn set_clock(&self, ahead: TimeDelta) {
        self.ahead.store(ahead.num_seconds(), Ordering::Relaxed);
    }

    /// Keys of the account in which the scanner runs: they may try to assume any role.
    pub(crate) const fn operator(&self) -> &Keys {
        &self.operator
    }

    /// From now on the role can be assumed with this external id, too.
    pub(crate) fn trust(&self, role_arn: &str, external_id: &str) {
        let mut trust = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        match trust.entry(role_arn.to_owned()).or_insert_with(|| Trust::ExternalIds(HashSet::new())) {
            Trust::ExternalIds(ids) => drop(ids.insert(external_id.to_owned())),
            Trust::Open => {}
        }
    }

    /// Who signed a request.
    pub(crate) fn authenticate(
        &self,
        claim: &Claim,
        request: Signed<'_>,
        now: DateTime<Utc>,
    ) -> Result<Principal, Refusal> {
        let principals = self.principals.read().unwrap_or_else(PoisonError::into_inner);
        let principal = principals.get(&claim.access_key_id).ok_or(Refusal::UnknownKey)?;
        if principal.keys.session_token != claim.session_token {
            return Err(Refusal::UnknownKey);
        }
        if !claim.verify(&principal.keys.secret_access_key, request) {
            return Err(Refusal::BadSignature);
        }
        if principal.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Refusal::Expired);
        }
        Ok(principal.clone())
    }

    /// Temporary keys of a role, when its trust policy lets the caller have them.
    pub(crate) fn assume(
        &self,
        role_arn: &str,
        session: &str,
        external_id: Option<&str>,
        lifetime: TimeDelta,
    ) -> Option<Session> {
        {
            let trust = self.trust.read().unwrap_or_else(PoisonError::into_inner);
            match trust.get(role_arn)? {
                Trust::Open => {}
                Trust::ExternalIds(ids) => {
                    ids.get(external_id?)?;
                }
            }
        }
        self.open_session(role_arn, session, lifetime)
    }

    /// From now on the role can be assumed with statements of this issuer: about this subject, or about anybody.
    pub(crate) fn federate(&self, role_arn: &str, issuer: &str, subject: Option<&str>) {
        let mut federated = self.federated.write().unwrap_or_else(PoisonError::into_inner);
        let trusted = Federated { issuer: issuer.to_owned(), subject: subject.map(str::to_owned) };
        federated.entry(role_arn.to_owned()).or_default().insert(trusted);
    }

    /// Issuers whose statements the role trusts at all.
    pub(crate) fn issuers_of(&self, role_arn: &str) -> HashSet<String> {
        let federated = self.federated.read().unwrap_or_else(PoisonError::into_inner);
        federated.get(role_arn).into_iter().flatten().map(|trusted| trusted.issuer.clone()).collect()
    }

    /// Temporary keys of a role for the subject of a statement that was checked already.
    pub(crate) fn assume_by_statement(
        &self,
        role_arn: &str,
        session: &str,
        (issuer, subject): (&str, &str),
        lifetime: TimeDelta,
    ) -> Option<Session> {
        let believes = |trusted: &Federated| {
            trusted.issuer == issuer && trusted.subject.as_deref().is_none_or(|named| named == subject)
        };
        let federated = self.federated.read().unwrap_or_else(PoisonError::into_inner);
        federated.get(role_arn)?.iter().find(|trusted| believes(trusted))?;
        drop(federated);
        self.open_session(role_arn, session, lifetime)
    }

    fn open_session(&self, role_arn: &str, session: &str, lifetime: TimeDelta) -> Option<Session> {
        let account = role_arn.split(':').nth(4)?.to_owned();
        let role = role_arn.rsplit('/').next()?;
        let random = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
        let keys = Keys {
            access_key_id: format!("ASIA{}", &random[..16]),
            secret_access_key: format!("{}{}", uuid::Uuid::new_v4().simple(), &random[16..24]),
            session_token: Some(format!(
                "session/{}+{}==",
                uuid::Uuid::new_v4().simple(),
                uuid::Uuid::new_v4().simple()
            )),
        };
        let expires_at = self.now() + lifetime;
        let principal = Principal {
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            account,
            iam_arn: role_arn.to_owned(),
            user_id: format!("AROA{}:{session}", &random[4..20]),
            keys: keys.clone(),
            expires_at: Some(expires_at),
        };
        let session =
            Session { keys: keys.clone(), arn: principal.arn.clone(), id: principal.user_id.clone(), expires_at };
        self.principals.write().unwrap_or_else(PoisonError::into_inner).insert(keys.access_key_id, principal);
        Some(session)
    }

    /// Makes every temporary key worthless, as when a role's sessions are revoked.
    pub(crate) fn expire_sessions(&self) {
        let mut principals = self.principals.write().unwrap_or_else(PoisonError::into_inner);
        for principal in principals.values_mut() {
            if principal.expires_at.is_some() {
                principal.expires_at = Some(DateTime::UNIX_EPOCH);
            }
        }
    }
}

/// What `AssumeRole` hands out.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) keys: Keys,
    pub(crate) arn: String,
    pub(crate) id: String,
    pub(crate) expires_at: DateTime<Utc>,
}
