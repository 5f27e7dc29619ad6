//! Entra ID: hands out tokens to applications that know their secret, and remembers them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde_json::json;

use super::Received;
use super::error::AzureError;
use crate::answer::Answer;
use crate::shared::Shared;

/// How long a token is good for.
const LIFE: TimeDelta = TimeDelta::seconds(3_599);

/// A token that was handed out.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) client_id: String,
    pub(crate) scope: String,
    expires_at: DateTime<Utc>,
}

/// Tokens handed out so far.
#[derive(Debug, Default)]
pub(crate) struct Directory(Mutex<HashMap<String, Token>>);

impl Directory {
    fn issue(&self, client_id: &str, scope: &str) -> String {
        let text = format!("eyJ.{}", uuid::Uuid::new_v4().simple());
        let token = Token { client_id: client_id.to_owned(), scope: scope.to_owned(), expires_at: Utc::now() + LIFE };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone(), token);
        text
    }

    /// What a token stands for, as long as it is good and is for one of these scopes.
    pub(crate) fn token(&self, text: &str, scopes: &[&str]) -> Option<Token> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(text)?;
        (Utc::now() < token.expires_at && scopes.contains(&token.scope.as_str())).then(|| token.clone())
    }

    /// Makes all tokens handed out so far worthless.
    pub(crate) fn expire(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// `POST /<directory>/oauth2/v2.0/token` with the client credentials grant.
pub(crate) fn answer(shared: &Shared, received: &Received<'_>) -> Result<Answer, AzureError> {
    let [directory, "oauth2", "v2.0", "token"] = received.path[..] else {
        return Err(AzureError::not_found("invalid_request"));
    };
    if received.form("grant_type") != "client_credentials" {
        let message = "AADSTS70003: The grant type is not supported.";
        return Err(AzureError::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", message));
    }
    let world = shared.world();
    let (client_id, secret) = (received.form("client_id"), received.form("client_secret"));
    let mut known = world.subscriptions().iter().filter(|one| one.tenant_id == directory);
    let known = known.find_map(|one| one.secret_of(client_id)).ok_or_else(|| {
        let message = format!("AADSTS700016: Application '{client_id}' was not found in the directory.");
        AzureError::new(StatusCode::BAD_REQUEST, "unauthorized_client", message)
    })?;
    if known != secret {
        let message = "AADSTS7000215: Invalid client secret provided.";
        return Err(AzureError::new(StatusCode::UNAUTHORIZED, "invalid_client", message));
    }
    let scope = received.form("scope");
    if !scope.ends_with("/.default") {
        let message = "AADSTS1002012: The provided value for scope is not valid.";
        return Err(AzureError::new(StatusCode::BAD_REQUEST, "invalid_scope", message));
    }
    let token = shared.directory.issue(client_id, scope);
    let body = json!({ "token_type": "Bearer", "expires_in": LIFE.num_seconds(), "ext_expires_in": LIFE.num_seconds(),
        "access_token": token });
    Ok(Answer::new(StatusCode::OK, "application/json; charset=utf-8", body.to_string()))
}
