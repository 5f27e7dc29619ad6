//! The data plane of the registries: the exchange of tokens, repositories, manifests and tags.

use http::StatusCode;
use serde_json::{Value, json};

use super::Received;
use super::error::AzureError;
use crate::answer::Answer;
use crate::shared::Shared;
use crate::world::AzureRegistry;

/// Items of a page: few, so that small registries have several.
const PAGE: usize = 3;
const SCOPES: [&str; 2] = ["https://management.azure.com/.default", "https://containerregistry.azure.net/.default"];

/// What a path asks for.
pub(crate) fn operation(path: &[&str]) -> &'static str {
    match path {
        ["oauth2", "exchange"] => "exchange",
        ["oauth2", "token"] => "token",
        ["acr", "v1", "_catalog"] => "catalog",
        ["acr", "v1", .., "_manifests"] => "manifests",
        ["acr", "v1", .., "_tags"] => "tags",
        ["acr", "v1", ..] => "attributes",
        _ => "",
    }
}

/// Answers a request that no fault hit. Tokens tell in clear what they cover: nobody is to be kept out who knows how.
pub(crate) fn answer(shared: &Shared, registry: &str, received: &Received<'_>) -> Result<Answer, AzureError> {
    let world = shared.world();
    let server = format!("{registry}.azurecr.io");
    let mut all = world.subscriptions().iter().filter_map(|one| Some((one, one.registries.get(registry)?)));
    let (subscription, found) = all.next().ok_or_else(|| AzureError::not_found("NAME_UNKNOWN"))?;
    let unauthorized = || AzureError::unauthorized("UNAUTHORIZED");
    match operation(&received.path) {
        "exchange" => {
            let token = shared.directory.token(received.form("access_token"), &SCOPES).ok_or_else(unauthorized)?;
            let of_us = received.form("service") == server && received.form("tenant") == subscription.tenant_id;
            if !of_us
                || subscription.secret_of(&token.client_id).is_none()
                || received.form("grant_type") != "access_token"
            {
                return Err(unauthorized());
            }
            Ok(ok(&json!({ "refresh_token": format!("refresh {server}") })))
        }
        "token" => {
            let good =
                received.form("refresh_token") == format!("refresh {server}") && received.form("service") == server;
            if !good || received.form("grant_type") != "refresh_token" {
                return Err(unauthorized());
            }
            Ok(ok(&json!({ "access_token": format!("access {server} {}", received.form("scope")) })))
        }
        operation => {
            let (prefix, repository) = (format!("access {server} "), repository(&received.path));
            let scope = received.bearer().and_then(|token| token.strip_prefix(&prefix)).ok_or_else(unauthorized)?;
            let needed = match operation {
                "catalog" => "registry:catalog:*".to_owned(),
                _ => format!("repository:{repository}:metadata_read"),
            };
            if scope != needed {
                return Err(AzureError::insufficient_scope());
            }
            contents(found, &server, operation, &repository, received)
        }
    }
}

fn ok(body: &Value) -> Answer {
    Answer::new(StatusCode::OK, "application/json; charset=utf-8", body.to_string())
}

/// The repository in `/acr/v1/<repository>[/_manifests]`.
fn repository(path: &[&str]) -> String {
    let own = path.get(2..).unwrap_or_default();
    own.iter().take_while(|part| !part.starts_with('_')).copied().collect::<Vec<_>>().join("/")
}

fn contents(
    registry: &AzureRegistry,
    server: &str,
    operation: &str,
    repository: &str,
    received: &Received<'_>,
) -> Result<Answer, AzureError> {
    if operation == "catalog" {
        let names = registry.repositories.keys().map(|name| (name.clone(), json!(name))).collect();
        return Ok(page(received, json!({}), "repositories", names));
    }
    let found = registry.repositories.get(repository).ok_or_else(|| AzureError::not_found("NAME_UNKNOWN"))?;
    let head = json!({ "registry": server, "imageName": repository });
    let keyed = |items: &[Value], key: &str| -> Vec<(String, Value)> {
        items.iter().map(|item| (item[key].as_str().unwrap_or_default().to_owned(), item.clone())).collect()
    };
    match operation {
        "manifests" => Ok(page(received, head, "manifests", keyed(&found.manifests, "digest"))),
        "tags" => Ok(page(received, head, "tags", keyed(&found.tags, "name"))),
        "attributes" => Ok(ok(&found.attributes)),
        _ => Err(AzureError::not_found("UNSUPPORTED")),
    }
}

/// A page of items in the order of their keys, with the address of the next one in a header.
fn page(received: &Received<'_>, mut head: Value, field: &str, mut items: Vec<(String, Value)>) -> Answer {
    items.sort_by(|a, b| a.0.cmp(&b.0));
    let last = received.query("last");
    items.retain(|(key, _)| key.as_str() > last);
    let more = items.len() > PAGE;
    items.truncate(PAGE);
    let next = items.last().map(|(key, _)| key.clone()).filter(|_| more);
    head[field] = items.into_iter().map(|(_, item)| item).collect();
    let answer = ok(&head);
    let Some(key) = next else { return answer };
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("last", &key).append_pair("n", "3").finish();
    answer.header("link", &format!("<{}?{query}>; rel=\"next\"", received.parts.uri.path()))
}
