//! Access tokens: where they come from, and how long they are kept.
//!
//! ```text
//! key ──────── signed assertion ──▶ oauth2 ─┐
//! federation ─ statement of ours ─▶ sts ────┼─▶ token ─▶ (iamcredentials: acting as a service account) ─▶ token
//! operator ─── key or metadata service ─────┘
//! ```

mod exchange;
mod key;

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use rampart_connector::{BearerToken, Bucket, Caller, ConnectorError};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use crate::config::{GcpAuth, Login};
use crate::http::Http;

pub use key::{InvalidKey, ServiceAccountKey};

pub(crate) use exchange::IMPERSONATE;

/// A token this close to its end is replaced before it is used. Longer than what a call may wait in all.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(4);

/// The current token of one login, shared by its calls and by the clusters that it finds.
#[derive(Debug)]
pub(crate) struct Tokens {
    login: Login,
    http: Arc<Http>,
    caller: Caller,
    bucket: Bucket,
    held: Mutex<Option<BearerToken>>,
}

impl Tokens {
    pub(crate) fn new(login: Login, http: Arc<Http>, caller: Caller) -> Self {
        let bucket = Bucket::new(login.identity(), "", "gcp-token");
        Self { login, http, caller, bucket, held: Mutex::new(None) }
    }

    /// Whose token it is.
    pub(crate) fn identity(&self) -> &str {
        self.login.identity()
    }

    /// Notes that a permission was used beside the calls.
    pub(crate) fn note(&self, permission: &str) {
        self.caller.note(self.bucket.family, permission);
    }

    /// The current token; a new one when there is none, it nears its end, or it is the `refused` one.
    pub(crate) async fn token(&self, refused: Option<&BearerToken>) -> Result<BearerToken, ConnectorError> {
        let mut held = self.held.lock().await;
        if let Some(token) = &*held {
            let ends = token.expires_at.is_some_and(|at| at - RENEW_BEFORE <= Utc::now());
            let is_refused = refused.is_some_and(|old| old.token.expose_secret() == token.token.expose_secret());
            if !ends && !is_refused {
                return Ok(token.clone());
            }
        }
        let fresh = self.fetch().await?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }

    async fn fetch(&self) -> Result<BearerToken, ConnectorError> {
        let base = match &self.login.auth {
            GcpAuth::Key { key, .. } => self.of_key(key).await?,
            GcpAuth::Federated { provider, identity, .. } => self.of_statement(provider, identity.as_ref()).await?,
            GcpAuth::Impersonated { .. } => match &self.login.operator {
                Some(key) => self.of_key(key).await?,
                None => self.of_machine().await?,
            },
        };
        match self.login.impersonates() {
            Some(account) => self.acting_as(account, &base).await,
            None => Ok(base),
        }
    }
}
