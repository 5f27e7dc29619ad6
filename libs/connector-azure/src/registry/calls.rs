//! Calls of a registry's data plane. Its host is the registry's own login server and nothing else: the token that is
//! exchanged there opens Azure Resource Manager.

use futures::Stream;
use http::{HeaderMap, Method, header};
use rampart_connector::{Bucket, Caller, ConnectorError, ErrorKind, Page, paginate};
use rampart_domain::Resource;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::login_server;
use crate::arm::Arm;
use crate::connector::Run;
use crate::errors;
use crate::http::{Answer, Body, Chosen, Request, form};
use crate::permissions::CATALOG;

/// The calls that turn a token of Entra ID into one of the registry. There is no right to them alone.
const EXCHANGE: &str = "POST /oauth2/exchange";
const TOKEN: &str = "POST /oauth2/token";
/// The scope for registries that refuse tokens of Azure Resource Manager.
const REGISTRY_SCOPE: &str = "https://containerregistry.azure.net/.default";

/// The data plane of one registry.
pub(crate) struct DataPlane {
    arm: Arm,
    base: Url,
    server: String,
    bucket: Bucket,
    /// Scope of the token of Entra ID that the registry takes.
    scope: String,
    refresh: Mutex<Option<SecretString>>,
}

/// What a token of the registry covers, with the token once there is one.
pub(crate) struct Grant {
    scope: String,
    token: Mutex<Option<SecretString>>,
}

impl Grant {
    /// Listing repositories.
    pub(crate) fn catalog() -> Self {
        Self::new("registry:catalog:*".to_owned())
    }

    /// Manifests, tags and attributes of a repository; not its content.
    pub(crate) fn metadata(repository: &str) -> Self {
        Self::new(format!("repository:{repository}:metadata_read"))
    }

    fn new(scope: String) -> Self {
        Self { scope, token: Mutex::default() }
    }
}

impl DataPlane {
    /// The data plane of a registry as Azure Resource Manager described it.
    pub(crate) async fn of(run: &Run, registry: &Resource) -> Result<Self, ConnectorError> {
        let server = login_server(registry).unwrap_or_default().to_ascii_lowercase();
        let base = pinned(&server, run.arm.cloud().registry_suffix())?;
        run.arm.session().http.check(CATALOG, &base).await?;
        let policy = &registry.config["properties"]["policies"]["azureADAuthenticationAsArmPolicy"]["status"];
        let scope = match policy.as_str() {
            Some("disabled") => REGISTRY_SCOPE.to_owned(),
            _ => run.arm.cloud().resource_manager_scope(),
        };
        let bucket = Bucket::new(server.as_str(), "", "acr");
        Ok(Self { arm: run.arm.clone(), base, server, bucket, scope, refresh: Mutex::default() })
    }

    /// The answer at a path.
    pub(crate) async fn get(&self, api: &str, grant: &Grant, path: &str) -> Result<Value, ConnectorError> {
        let mut url = self.base.clone();
        url.set_path(path);
        json(api, &self.answer(api, grant, url).await?)
    }

    /// All pages of a listing whose items are in `field`.
    pub(crate) fn pages<'a>(
        &'a self,
        api: &'a str,
        grant: &'a Grant,
        path: &str,
        field: &'a str,
    ) -> impl Stream<Item = Result<Vec<Value>, ConnectorError>> + 'a {
        let mut first = self.base.clone();
        first.set_path(path);
        first.query_pairs_mut().append_pair("n", "100");
        let caller = &self.arm.caller;
        let fetch = move |next: Option<String>| {
            let first = first.clone();
            async move {
                let url = match next {
                    None => first,
                    Some(next) => self.next(api, &next)?,
                };
                let answer = self.answer(api, grant, url).await?;
                let next = next_link(&answer.headers);
                Ok(Page { items: items(api, json(api, &answer)?, field)?, next })
            }
        };
        paginate(api, caller.limits().max_pages, caller.cancel(), fetch)
    }

    /// The address of a next page, which may be relative, on the same host.
    fn next(&self, api: &str, next: &str) -> Result<Url, ConnectorError> {
        let url = self.base.join(next).ok().filter(|url| url.origin() == self.base.origin());
        url.ok_or_else(|| ConnectorError::new(ErrorKind::Permanent, api, "the next page is on another host"))
    }

    async fn answer(&self, api: &str, grant: &Grant, url: Url) -> Result<Answer, ConnectorError> {
        let request = |token| Request { method: Method::GET, url: url.clone(), bearer: Some(token), body: Body::Empty };
        let token = self.token(grant).await?;
        match self.attempts(api, request(token)).await {
            // Long listings outlive their token: one fresh one, and no more.
            Err(error) if error.kind == ErrorKind::Unauthorized => {
                *grant.token.lock().await = None;
                *self.refresh.lock().await = None;
                let token = self.token(grant).await?;
                self.attempts(api, request(token)).await
            }
            answer => answer,
        }
    }

    async fn token(&self, grant: &Grant) -> Result<SecretString, ConnectorError> {
        let mut held = grant.token.lock().await;
        if let Some(token) = &*held {
            return Ok(token.clone());
        }
        let refresh = self.refresh_token().await?;
        let fields = [
            ("grant_type", "refresh_token"),
            ("service", self.server.as_str()),
            ("scope", grant.scope.as_str()),
            ("refresh_token", refresh.expose_secret()),
        ];
        let token = self.exchange(TOKEN, "/oauth2/token", &fields, "access_token").await?;
        *held = Some(token.clone());
        Ok(token)
    }

    async fn refresh_token(&self) -> Result<SecretString, ConnectorError> {
        let mut held = self.refresh.lock().await;
        if let Some(token) = &*held {
            return Ok(token.clone());
        }
        let credentials = &self.arm.session().credentials;
        let entra = credentials.token(&self.arm.caller, &self.scope).await?;
        let fields = [
            ("grant_type", "access_token"),
            ("service", self.server.as_str()),
            ("tenant", credentials.identity().tenant_id.as_str()),
            ("access_token", entra.secret.expose_secret()),
        ];
        let token = self.exchange(EXCHANGE, "/oauth2/exchange", &fields, "refresh_token").await?;
        *held = Some(token.clone());
        Ok(token)
    }

    async fn exchange(
        &self,
        api: &str,
        path: &str,
        fields: &[(&str, &str)],
        wanted: &str,
    ) -> Result<SecretString, ConnectorError> {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = Request { method: Method::POST, url, bearer: None, body: form(fields) };
        let answer = json(api, &self.attempts(api, request).await?)?;
        let token = answer[wanted].as_str().filter(|token| !token.is_empty());
        let missing = || ConnectorError::new(ErrorKind::Permanent, api, "the answer has no token");
        token.map(|token| token.to_owned().into()).ok_or_else(missing)
    }

    async fn attempts(&self, api: &str, request: Request) -> Result<Answer, ConnectorError> {
        let caller: &Caller = &self.arm.caller;
        let http = &self.arm.session().http;
        caller
            .call(&self.bucket, api, || async {
                let answer = http.send(api, Chosen::ByAnswer, request.clone()).await?;
                if answer.status == 200 { Ok(answer) } else { Err(errors::answered(api, &answer)) }
            })
            .await
    }
}

/// The base address of a login server, if it is a name below the cloud's own suffix.
fn pinned(server: &str, suffix: &str) -> Result<Url, ConnectorError> {
    let plain = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !label.starts_with('-')
    };
    let label = server.strip_suffix(suffix).filter(|label| label.split('.').all(plain));
    let url = label.and_then(|_| Url::parse(&format!("https://{server}/")).ok());
    url.ok_or_else(|| {
        let message = format!("the login server {server:?} is not a host below {suffix}; nothing is sent there");
        ConnectorError::new(ErrorKind::Permanent, CATALOG, message)
    })
}

fn json(api: &str, answer: &Answer) -> Result<Value, ConnectorError> {
    let parsed = serde_json::from_slice(&answer.body);
    parsed.map_err(|_| ConnectorError::new(ErrorKind::Permanent, api, "the answer is not JSON"))
}

/// The list in `field`; an empty one is told as null. An answer without the field is not an empty list.
fn items(api: &str, mut answer: Value, field: &str) -> Result<Vec<Value>, ConnectorError> {
    match answer.get_mut(field).map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(ConnectorError::new(ErrorKind::Permanent, api, format!("the answer has no list {field}"))),
    }
}

/// `</acr/v1/_catalog?last=a&n=100>; rel="next"`
fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    let mut links = links.flat_map(|text| text.split(','));
    links.find_map(|link| {
        let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        rest.contains("rel=\"next\"").then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_hosts_of_the_cloud_only() {
        for server in ["shop.azurecr.io", "shop-h4sh.azurecr.io", "shop.privatelink.azurecr.io"] {
            assert_eq!(pinned(server, ".azurecr.io").unwrap().as_str(), format!("https://{server}/"));
        }
        for server in [
            "",
            ".azurecr.io",
            "azurecr.io",
            "evil.example",
            "shop.azurecr.io.evil.example",
            "a@b.azurecr.io",
            "evil.example/.azurecr.io",
            "shop.azurecr.cn",
            "10.0.0.1:80#.azurecr.io",
        ] {
            assert_eq!(pinned(server, ".azurecr.io").unwrap_err().kind, ErrorKind::Permanent, "{server}");
        }
    }

    #[test]
    fn the_next_page_is_in_a_header() {
        let of = |text: &str| next_link(&HeaderMap::from_iter([(header::LINK, text.parse().unwrap())]));
        assert_eq!(of("</acr/v1/_catalog?last=a&n=1>; rel=\"next\"").as_deref(), Some("/acr/v1/_catalog?last=a&n=1"));
        assert_eq!(of("</a>; rel=\"prev\""), None);
    }

    #[test]
    fn an_answer_without_its_list_is_not_empty() {
        assert_eq!(items("api", serde_json::json!({"tags": null}), "tags"), Ok(Vec::new()));
        assert!(items("api", serde_json::json!({}), "tags").is_err());
    }
}
