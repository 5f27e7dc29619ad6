//! Azure Resource Manager: lists of a subscription and of single resources, a few items a page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::error::AzureError;
use super::groups::{self, Found};
use super::{MANAGEMENT, Received};
use crate::answer::Answer;
use crate::faults::FaultKind;
use crate::kubeconfig;
use crate::shared::Shared;
use crate::world::{Access, Subscription};

/// Items of a page: few, so that small worlds have several.
const PAGE: usize = 2;
const SCOPE: &str = "https://management.azure.com/.default";
/// Versions that are served, by the last word of the type.
const VERSIONS: &[(&str, &[&str])] = &[
    ("subscriptions", &["2022-12-01"]),
    ("managementGroups", &["2021-04-01"]),
    ("descendants", &["2021-04-01"]),
    ("managedClusters", &["2025-10-01"]),
    ("agentPools", &["2025-10-01"]),
    ("maintenanceConfigurations", &["2025-10-01"]),
    ("trustedAccessRoleBindings", &["2025-10-01"]),
    ("listClusterUserCredential", &["2025-10-01"]),
    ("registries", &["2025-05-01-preview", "2025-11-01"]),
    ("replications", &["2025-11-01"]),
    ("webhooks", &["2025-11-01"]),
    ("tokens", &["2025-11-01"]),
    ("scopeMaps", &["2025-11-01"]),
    ("connectedClusters", &["2024-01-01"]),
    ("extensions", &["2023-05-01"]),
    ("pricings", &["2024-01-01"]),
    ("roleAssignments", &["2022-04-01"]),
    ("diagnosticSettings", &["2021-05-01-preview"]),
];

/// What a path asks for, by the last word of the type; the empty word for what is not known.
pub(crate) fn operation(path: &[&str]) -> &'static str {
    let word = match path {
        ["subscriptions", _] => path.first(),
        ["providers", "Microsoft.Management", word, _] => Some(word),
        _ => path.last(),
    };
    let known = VERSIONS.iter().find(|(known, _)| word.is_some_and(|word| known.eq_ignore_ascii_case(word)));
    known.map_or("", |(known, _)| *known)
}

/// Answers a request that no fault hit.
pub(crate) fn answer(shared: &Shared, received: &Received<'_>) -> Result<Answer, AzureError> {
    let token = received.bearer().ok_or_else(|| AzureError::unauthorized("AuthenticationFailedMissingToken"))?;
    let token = shared
        .directory
        .token(token, &[SCOPE])
        .ok_or_else(|| AzureError::unauthorized("ExpiredAuthenticationToken"))?;
    let operation = operation(&received.path);
    let version = received.query("api-version");
    if version.is_empty() {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(AzureError::new(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message));
    }
    let served = VERSIONS.iter().find(|(known, _)| *known == operation).map_or(&[][..], |(_, versions)| *versions);
    if !served.contains(&version) {
        let message = format!("No registered resource provider found for API version '{version}'.");
        return Err(AzureError::new(StatusCode::BAD_REQUEST, "NoRegisteredProviderFound", message));
    }
    let world = shared.world();
    let id = received.path.get(1).copied().unwrap_or_default();
    let mut own = world.subscriptions().iter().filter(|one| one.secret_of(&token.client_id).is_some());
    match received.path[..] {
        ["subscriptions"] => return page(received, own.map(Subscription::value).collect()).map(|body| ok(&body)),
        ["providers", "Microsoft.Management", _, group, ..] => {
            let directory = own.find(|one| one.reader.client_id == token.client_id);
            let directory =
                directory.ok_or_else(|| AzureError::denied("Microsoft.Management/managementGroups/read"))?;
            return groups::answer(world.subscriptions(), &directory.tenant_id, group, operation)
                .and_then(|found| match found {
                    Found::Group(group) => Ok(group),
                    Found::Descendants(all) => page(received, all),
                })
                .map(|body| ok(&body));
        }
        _ => {}
    }
    let subscription =
        own.find(|one| one.id.eq_ignore_ascii_case(id)).ok_or_else(|| AzureError::not_found("SubscriptionNotFound"))?;
    if operation == "listClusterUserCredential" {
        if received.parts.method != Method::POST {
            return Err(AzureError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "POST only"));
        }
        return credential(shared, subscription, &received.path).map(|body| ok(&body));
    }
    if operation == "subscriptions" {
        return Ok(ok(&subscription.value()));
    }
    let Some(items) = items(subscription, operation, &received.path) else {
        // The providers of children tell it in a shape of their own.
        return Ok(AzureError::not_found("NotFound").flat());
    };
    page(received, items).map(|body| ok(&body))
}

fn ok(body: &Value) -> Answer {
    Answer::new(StatusCode::OK, "application/json; charset=utf-8", body.to_string())
        .header("x-ms-ratelimit-remaining-subscription-reads", "249")
        .header("x-ms-request-id", &uuid::Uuid::new_v4().to_string())
}

/// The whole list that a path names; `None` when its parent does not exist.
fn items(subscription: &Subscription, operation: &str, path: &[&str]) -> Option<Vec<Value>> {
    let cluster = || path.get(7).and_then(|name| subscription.clusters.get(*name));
    let registry = || path.get(7).and_then(|name| subscription.registries.get(*name));
    Some(match operation {
        "managedClusters" => subscription.clusters.values().map(|one| one.cluster.clone()).collect(),
        "agentPools" => cluster()?.agent_pools.clone(),
        "maintenanceConfigurations" => cluster()?.maintenance.clone(),
        "trustedAccessRoleBindings" => cluster()?.trusted_access.clone(),
        "diagnosticSettings" => cluster()?.diagnostics.clone(),
        "registries" => subscription.registries.values().map(|one| one.registry.clone()).collect(),
        "connectedClusters" => subscription.connected.values().map(|(cluster, _)| cluster.clone()).collect(),
        "extensions" => subscription.connected.get(*path.get(7)?)?.1.clone(),
        "pricings" => subscription.plans.clone(),
        "roleAssignments" => subscription.role_assignments.clone(),
        child => registry()?.children.get(child)?.clone(),
    })
}

fn page(received: &Received<'_>, items: Vec<Value>) -> Result<Value, AzureError> {
    let bad = || AzureError::new(StatusCode::BAD_REQUEST, "InvalidSkipToken", "The skip token is invalid.");
    let at = match received.query("$skiptoken") {
        "" => 0,
        token => {
            let bytes = STANDARD.decode(token).map_err(|_| bad())?;
            std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(bad)?
        }
    };
    let repeats = received.faults.contains(&FaultKind::RepeatToken);
    let next = at + PAGE;
    let more = next < items.len() || repeats;
    let mut page: Vec<Value> = items.into_iter().skip(at).take(PAGE).collect();
    for fault in received.faults {
        if let (FaultKind::HugeObject(size), Some(first)) = (fault, page.first_mut()) {
            first["tags"] = json!({ "padding": "x".repeat(*size) });
        }
    }
    let mut body = json!({ "value": page });
    if more {
        let mut link =
            url::Url::parse(&format!("https://{MANAGEMENT}{}", received.parts.uri.path())).map_err(|_| bad())?;
        let position = if repeats { at } else { next };
        let token = STANDARD.encode(position.to_string());
        link.query_pairs_mut()
            .append_pair("api-version", received.query("api-version"))
            .append_pair("$skiptoken", &token);
        body["nextLink"] = link.as_str().into();
    }
    Ok(body)
}

/// The user kubeconfig: with a program for clusters that know Entra ID, else with a token.
fn credential(shared: &Shared, subscription: &Subscription, path: &[&str]) -> Result<Value, AzureError> {
    let name = path.get(7).copied().unwrap_or_default();
    let world = shared.world();
    let cluster = world.cluster(name).filter(|_| subscription.clusters.contains_key(name));
    let cluster = cluster.ok_or_else(|| AzureError::not_found("ResourceNotFound"))?;
    if cluster.access == Access::NoCredential {
        return Err(AzureError::denied("listClusterUserCredential/action"));
    }
    let user = match shared.tokens.get(name) {
        Some(token) => kubeconfig::token(token),
        None => kubeconfig::kubelogin(),
    };
    let text = kubeconfig::kubeconfig(name, &shared.cluster_url(name), &shared.ca_pem, &user);
    Ok(json!({ "kubeconfigs": [{ "name": "clusterUser", "value": STANDARD.encode(text) }] }))
}
