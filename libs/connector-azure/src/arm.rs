//! Calls of Azure Resource Manager: paced, repeated, with a token that is renewed once when it is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::Stream;
use http::HeaderMap;
use rampart_connector::{Bucket, Caller, ConnectorError, ErrorKind, Page, paginate};
use serde_json::Value;
use url::Url;

use crate::cloud::AzureCloud;
use crate::credentials::Token;
use crate::draft::Draft;
use crate::errors;
use crate::http::{Answer, Body, Chosen, Request};
use crate::session::Session;

/// Reads left in a quota below which the next call waits. A subscription's quota refills with 25 reads a second.
const LOW: u64 = 10;
/// How long it waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Azure Resource Manager as one subscription or directory sees it.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    session: Arc<Session>,
    pub(crate) caller: Caller,
    bucket: Bucket,
    pause_until: Arc<Mutex<Option<Instant>>>,
}

impl Arm {
    /// `account` is what the provider counts calls by: the subscription, or the directory.
    pub(crate) fn new(session: Arc<Session>, caller: Caller, account: &str) -> Self {
        let bucket = Bucket::new(account, "", "arm");
        Self { session, caller, bucket, pause_until: Arc::default() }
    }

    /// The same calls under another cancellation.
    pub(crate) fn with_caller(&self, caller: Caller) -> Self {
        Self { caller, ..self.clone() }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(crate) fn cloud(&self) -> AzureCloud {
        self.session.credentials.identity().cloud
    }

    /// An address below the endpoint. `path` begins with `/`.
    pub(crate) fn address(&self, path: &str, version: &str) -> Url {
        let mut url = self.cloud().resource_manager();
        url.set_path(path);
        url.query_pairs_mut().append_pair("api-version", version);
        url
    }

    /// Fetches a token, so that refused credentials are told before anything else.
    pub(crate) async fn sign_in(&self) -> Result<Token, ConnectorError> {
        self.session.credentials.token(&self.caller, &self.cloud().resource_manager_scope()).await
    }

    /// The answer of an operation.
    pub(crate) async fn call(&self, api: &str, draft: Draft) -> Result<Value, ConnectorError> {
        let Draft { method, url } = draft;
        let token = self.sign_in().await?;
        let request = Request { method, url, bearer: Some(token.secret.clone()), body: Body::Empty };
        let answer = match self.attempts(api, &request).await {
            // A token may be revoked before its end: one fresh one, and no more.
            Err(error) if error.kind == ErrorKind::Unauthorized => {
                let scope = self.cloud().resource_manager_scope();
                self.session.credentials.refused(&scope, &token).await;
                let token = self.sign_in().await?;
                self.attempts(api, &Request { bearer: Some(token.secret), ..request }).await?
            }
            answer => answer?,
        };
        let parsed = serde_json::from_slice(&answer.body);
        parsed.map_err(|_| ConnectorError::new(ErrorKind::Permanent, api, "the answer is not JSON"))
    }

    /// The answer at an address.
    pub(crate) async fn get(&self, api: &str, url: Url) -> Result<Value, ConnectorError> {
        self.call(api, Draft { method: http::Method::GET, url }).await
    }

    /// All pages of a listing. The address of a next page is taken as it is, but only on the same host: it gets our token.
    pub(crate) fn pages<'a>(
        &'a self,
        api: &'a str,
        first: Url,
    ) -> impl Stream<Item = Result<Vec<Value>, ConnectorError>> + 'a {
        let limits = self.caller.limits();
        let fetch = move |next: Option<String>| {
            let first = first.clone();
            async move {
                let url = match next {
                    None => first,
                    Some(next) => same_host(api, &first, &next)?,
                };
                let mut answer = self.get(api, url).await?;
                let next = answer["nextLink"].as_str().map(str::to_owned);
                Ok(Page { items: items(api, &mut answer, "value")?, next })
            }
        };
        paginate(api, limits.max_pages, self.caller.cancel(), fetch)
    }

    async fn attempts(&self, api: &str, request: &Request) -> Result<Answer, ConnectorError> {
        self.caller
            .call(&self.bucket, api, || async {
                self.pause().await;
                let answer = self.session.http.send(api, Chosen::Here, request.clone()).await?;
                self.heed(&answer.headers);
                if answer.status == 200 { Ok(answer) } else { Err(errors::answered(api, &answer)) }
            })
            .await
    }

    async fn pause(&self) {
        let until = *self.pause_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// Slows down before the provider has to say so.
    fn heed(&self, headers: &HeaderMap) {
        if remaining(headers).is_some_and(|left| left < LOW) {
            let mut until = self.pause_until.lock().unwrap_or_else(PoisonError::into_inner);
            *until = Some(Instant::now() + PAUSE);
        }
    }
}

/// The list in `field`. An answer without it is not an empty list.
pub(crate) fn items(api: &str, answer: &mut Value, field: &str) -> Result<Vec<Value>, ConnectorError> {
    match answer.get_mut(field).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Err(ConnectorError::new(ErrorKind::Permanent, api, format!("the answer has no list {field}"))),
    }
}

/// The smallest of the quotas that an answer tells.
fn remaining(headers: &HeaderMap) -> Option<u64> {
    let quotas = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-ms-ratelimit-remaining-"));
    quotas.filter_map(|(_, value)| value.to_str().ok()?.parse().ok()).min()
}

fn same_host(api: &str, first: &Url, next: &str) -> Result<Url, ConnectorError> {
    let url = Url::parse(next).ok().filter(|url| url.origin() == first.origin());
    url.ok_or_else(|| {
        let message = "the address of the next page is not on the host of the first; it is not followed";
        ConnectorError::new(ErrorKind::Permanent, api, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_page_is_taken_verbatim_and_only_from_the_same_host() {
        let first: Url = "https://management.azure.com/a?api-version=1".parse().unwrap();
        let next = "https://management.azure.com/a?api-version=1&$skiptoken=abc%3D";
        assert_eq!(same_host("api", &first, next).unwrap().as_str(), next);
        for other in [
            "https://management.azure.com.evil.example/a",
            "http://management.azure.com/a",
            "https://management.azure.com:8443/a",
            "/a?$skiptoken=1",
        ] {
            assert_eq!(same_host("api", &first, other).unwrap_err().kind, ErrorKind::Permanent, "{other}");
        }
    }

    #[test]
    fn the_smallest_quota_counts() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
        };
        let subscription = ("x-ms-ratelimit-remaining-subscription-reads", "249");
        let global = ("x-ms-ratelimit-remaining-subscription-global-reads", "3");
        assert_eq!(remaining(&headers(&[subscription, global])), Some(3));
        assert_eq!(remaining(&headers(&[("retry-after", "1")])), None);
    }
}
