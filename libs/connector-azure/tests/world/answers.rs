use rampart_domain::Kind;
use serde_json::{Value, json};
use url::Url;

use super::Twist;
use rampart_connector::conformance::server::{Reply, Request};

pub(crate) const SUBSCRIPTION: &str = "0a0a0a0a-1111-2222-3333-444444444444";
/// What the issuer states for the audience of the commercial cloud.
pub(crate) const STATEMENT: &str = "statement for api://AzureADTokenExchange";
/// A subscription that was disabled.
pub(crate) const OTHER: &str = "0a0a0a0a-5555-2222-3333-444444444444";
pub(crate) const TENANT: &str = "0b0b0b0b-1111-2222-3333-444444444444";
pub(crate) const CLIENT: &str = "0c0c0c0c-1111-2222-3333-444444444444";
pub(crate) const SECRET: &str = "open sesame";
pub(crate) const REGISTRIES: [&str; 2] = ["shop", "tools"];
const PAIR: [&str; 2] = ["one", "two"];
const ROLE_ASSIGNMENTS: &str = "Microsoft.Authorization/roleAssignments/read";

/// Resources of the world; clusters, registries and connected clusters have everything twice each.
pub(crate) const EXPECTED: [(Kind, usize); 17] = [
    (Kind::AzureSubscription, 1),
    (Kind::AzureAksCluster, 2),
    (Kind::AzureAksAgentPool, 4),
    (Kind::AzureAksMaintenanceConfiguration, 4),
    (Kind::AzureAksTrustedAccessRoleBinding, 4),
    (Kind::AzureAcrRegistry, 2),
    (Kind::AzureAcrReplication, 4),
    (Kind::AzureAcrWebhook, 4),
    (Kind::AzureAcrToken, 4),
    (Kind::AzureAcrScopeMap, 4),
    (Kind::AzureAcrRepository, 4),
    (Kind::AzureAcrImage, 8),
    (Kind::AzureArcCluster, 2),
    (Kind::AzureArcExtension, 4),
    (Kind::AzureSecurityPlan, 2),
    (Kind::AzureRoleAssignment, 2),
    (Kind::AzureDiagnosticSetting, 4),
];

/// A request in Azure's words: the action that it needs, or the path for what needs none.
pub(crate) struct Call {
    pub(crate) api: &'static str,
    host: String,
    /// Whether the request says that no browser was tricked into making it.
    metadata: bool,
    path: Vec<String>,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

impl Call {
    pub(crate) fn is_data_plane(&self) -> bool {
        self.host.ends_with(".azurecr.io")
    }

    fn of(&self, name: &str) -> &str {
        let mut fields = self.query.iter().chain(&self.form);
        fields.find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn offset(&self) -> usize {
        self.of("$skiptoken").parse().unwrap_or_default()
    }
}

/// What a request asks for; `None` for a path that does not exist.
pub(crate) fn route(request: &Request) -> Option<Call> {
    let host = request.headers.get("host")?.clone();
    let url = Url::parse(&format!("https://{host}")).ok()?.join(&request.target).ok()?;
    let path: Vec<String> = url.path_segments()?.map(str::to_owned).collect();
    let pairs = |url: &Url| url.query_pairs().into_owned().collect::<Vec<_>>();
    let form = Url::parse(&format!("https://x/?{}", request.body)).map(|url| pairs(&url)).unwrap_or_default();
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let api = match host.as_str() {
        _ if words == ["metadata", "identity", "oauth2", "token"] => "machine token",
        "login.microsoftonline.com" => "token",
        "management.azure.com" => arm(&words)?,
        _ => data_plane(&words)?,
    };
    let metadata = request.headers.get("metadata").is_some_and(|value| value == "true");
    Some(Call { api, host, metadata, query: pairs(&url), path, form })
}

fn arm(path: &[&str]) -> Option<&'static str> {
    match path {
        ["subscriptions"] => return Some("Microsoft.Resources/subscriptions/read"),
        ["providers", "Microsoft.Management", "managementGroups", _] => {
            return Some("Microsoft.Management/managementGroups/read");
        }
        ["providers", "Microsoft.Management", "managementGroups", _, "descendants"] => {
            return Some("Microsoft.Management/managementGroups/descendants/read");
        }
        _ => {}
    }
    if path.get(1) != Some(&SUBSCRIPTION) {
        return None;
    }
    Some(match &path[2..] {
        [] => "Microsoft.Resources/subscriptions/read",
        ["providers", "Microsoft.ContainerService", "managedClusters"] => {
            "Microsoft.ContainerService/managedClusters/read"
        }
        ["providers", "Microsoft.ContainerRegistry", "registries"] => "Microsoft.ContainerRegistry/registries/read",
        ["providers", "Microsoft.Kubernetes", "connectedClusters"] => "Microsoft.Kubernetes/connectedClusters/read",
        ["resourceGroups", _, "providers", "Microsoft.ContainerService", "managedClusters", _, child] => match *child {
            "agentPools" => "Microsoft.ContainerService/managedClusters/agentPools/read",
            "maintenanceConfigurations" => "Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read",
            "trustedAccessRoleBindings" => "Microsoft.ContainerService/managedClusters/trustedAccessRoleBindings/read",
            "listClusterUserCredential" => {
                "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
            }
            _ => return None,
        },
        ["resourceGroups", _, "providers", "Microsoft.ContainerRegistry", "registries", _, child] => match *child {
            "replications" => "Microsoft.ContainerRegistry/registries/replications/read",
            "webhooks" => "Microsoft.ContainerRegistry/registries/webhooks/read",
            "tokens" => "Microsoft.ContainerRegistry/registries/tokens/read",
            "scopeMaps" => "Microsoft.ContainerRegistry/registries/scopeMaps/read",
            _ => return None,
        },
        [
            "resourceGroups",
            _,
            "providers",
            "Microsoft.Kubernetes",
            "connectedClusters",
            _,
            "providers",
            _,
            "extensions",
        ] => "Microsoft.KubernetesConfiguration/extensions/read",
        ["providers", "Microsoft.Security", "pricings"] => "Microsoft.Security/pricings/read",
        ["providers", "Microsoft.Authorization", "roleAssignments"] => ROLE_ASSIGNMENTS,
        [.., "managedClusters", _, "providers", "Microsoft.Insights", "diagnosticSettings"] => {
            "Microsoft.Insights/diagnosticSettings/read"
        }
        _ => return None,
    })
}

fn data_plane(path: &[&str]) -> Option<&'static str> {
    Some(match path {
        ["oauth2", "exchange"] => "exchange",
        ["oauth2", "token"] => "registry token",
        ["acr", "v1", "_catalog"] => "Microsoft.ContainerRegistry/registries/catalog/read",
        ["acr", "v1", ..] => "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
        _ => return None,
    })
}

/// A sound answer. `next_token` counts the tokens of Entra ID.
pub(crate) fn answer(call: &Call, twist: Twist, next_token: impl FnOnce() -> usize) -> Reply {
    match call.api {
        "token" => token(call, next_token),
        "machine token" => machine_token(call, next_token),
        "exchange" | "registry token" => registry_token(call, twist),
        _ if call.is_data_plane() => contents(call),
        "Microsoft.Management/managementGroups/read" => reply(&group(TENANT, None)),
        "Microsoft.Management/managementGroups/descendants/read" => descendants(call),
        "Microsoft.Resources/subscriptions/read" if call.path.len() == 1 => reply(&json!({"value": [
            {"subscriptionId": SUBSCRIPTION, "state": "Enabled"}, {"subscriptionId": OTHER, "state": "Disabled"}]})),
        "Microsoft.Resources/subscriptions/read" => reply(&json!({"id": format!("/subscriptions/{SUBSCRIPTION}"),
            "subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "displayName": "Shop", "state": "Enabled"})),
        "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action" => credential(),
        "Microsoft.Kubernetes/connectedClusters/read" if twist == Twist::WithoutArc => {
            error(409, "MissingSubscriptionRegistration")
        }
        "Microsoft.ContainerRegistry/registries/read"
            if twist == Twist::WithoutPreviews && call.of("api-version").ends_with("preview") =>
        {
            error(400, "NoRegisteredProviderFound")
        }
        _ => listed(call, twist),
    }
}

fn token(call: &Call, next_token: impl FnOnce() -> usize) -> Reply {
    let of_jwt = call.of("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let assertion = call.of("client_assertion");
    // A statement of the issuer, or of the application's own key: told apart by their form only.
    let stated = of_jwt && (assertion == STATEMENT || assertion.split('.').count() == 3);
    let known = call.path == [TENANT, "oauth2", "v2.0", "token"]
        && call.of("client_id") == CLIENT
        && (call.of("client_secret") == SECRET || stated);
    if !known {
        return Reply::new(401, "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: no\"}");
    }
    reply(&json!({"token_type": "Bearer", "expires_in": 3599, "access_token": format!("entra-{}", next_token())}))
}

/// What a machine's identity service says to those who know how to ask.
fn machine_token(call: &Call, next_token: impl FnOnce() -> usize) -> Reply {
    if !call.metadata || call.of("resource") != "https://management.azure.com" {
        return Reply::new(400, "{\"error\":\"invalid_request\",\"error_description\":\"no\"}");
    }
    reply(&json!({"expires_in": "86399", "access_token": format!("entra-{}", next_token())}))
}

/// A registry takes the token of Azure Resource Manager, and hands out one per scope.
fn registry_token(call: &Call, twist: Twist) -> Reply {
    if twist == Twist::RegistryClosed && call.host.starts_with(REGISTRIES[0]) {
        let message = "client with IP '192.0.2.1' is not allowed access";
        return Reply::new(403, &json!({"errors": [{"code": "DENIED", "message": message}]}).to_string());
    }
    let of_service = call.of("service") == call.host;
    match call.api {
        "exchange" if of_service && call.of("tenant") == TENANT && call.of("access_token").starts_with("entra-") => {
            reply(&json!({"refresh_token": format!("refresh-{}", call.host)}))
        }
        "registry token" if of_service && call.of("refresh_token") == format!("refresh-{}", call.host) => {
            reply(&json!({"access_token": format!("access {}", call.of("scope"))}))
        }
        _ => error(401, "UNAUTHORIZED"),
    }
}

fn contents(call: &Call) -> Reply {
    let words: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let last = call.of("last");
    // Names before `last` were on earlier pages.
    let at = PAIR.iter().position(|name| *name == last).map_or(0, |at| at + 1);
    let page = |field: &str, items: [Value; 2]| {
        let body = json!({"registry": call.host, field: items.get(at).into_iter().collect::<Vec<_>>()});
        let reply = reply(&body);
        if at + 1 < PAIR.len() {
            reply.header("link", &format!("</{}?last={}&n=1>; rel=\"next\"", call.path.join("/"), PAIR[at]))
        } else {
            reply
        }
    };
    match words[2..] {
        ["_catalog"] => page("repositories", PAIR.map(|name| json!(format!("team/{name}")))),
        [.., "_manifests"] => {
            page("manifests", PAIR.map(|name| json!({"digest": format!("sha256:{name}"), "tags": [name]})))
        }
        [.., "_tags"] => page("tags", PAIR.map(|name| json!({"name": name, "digest": format!("sha256:{name}")}))),
        _ => reply(&json!({"registry": call.host, "imageName": words[2..].join("/"), "tagCount": 2,
            "manifestCount": 2, "changeableAttributes": {"writeEnabled": true}})),
    }
}

fn credential() -> Reply {
    let ca = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
    let config = format!(
        "apiVersion: v1\nclusters:\n- name: one\n  cluster:\n    server: https://one.hcp.westeurope.azmk8s.io:443\n    \
         certificate-authority-data: {ca}\nusers:\n- name: u\n  user: {{token: local-token}}\n"
    );
    reply(&json!({"kubeconfigs": [{"name": "clusterUser", "value": config}]}))
}

fn group(name: &str, above: Option<&str>) -> Value {
    let id = |name: &str| format!("/providers/Microsoft.Management/managementGroups/{name}");
    let parent = above.map(|above| json!({"id": id(above)}));
    json!({"id": id(name), "name": name, "type": "Microsoft.Management/managementGroups",
        "properties": {"displayName": name, "parent": parent}})
}

/// A group with a subscription in it, and a subscription beside it; one per page.
fn descendants(call: &Call) -> Reply {
    let subscription = |id: &str, above: &str| {
        let mut one = group(id, Some(above));
        one["type"] = json!("/subscriptions");
        one
    };
    let all = [subscription(OTHER, "corp"), group("corp", Some(TENANT)), subscription(SUBSCRIPTION, TENANT)];
    let at = call.offset();
    let mut body = json!({"value": all.get(at).into_iter().collect::<Vec<_>>()});
    if at + 1 < all.len() {
        let (path, next) = (call.path.join("/"), at + 1);
        body["nextLink"] = json!(format!("https://{}/{path}?api-version=2021-04-01&$skiptoken={next}", call.host));
    }
    reply(&body)
}

/// The two items of any list of Azure Resource Manager, one per page.
fn listed(call: &Call, twist: Twist) -> Reply {
    let names = if call.api == "Microsoft.ContainerRegistry/registries/read" { REGISTRIES } else { PAIR };
    let path = call.path.join("/");
    let id = |name: &str| {
        let group = format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/RG/");
        match path.split_once("/providers/") {
            // The second one is inherited from above all management groups.
            Some((_, rest)) if call.api == ROLE_ASSIGNMENTS && name == PAIR[1] => format!("/providers/{rest}/{name}"),
            // Lists of a whole subscription tell ids inside a resource group, in a case of their own.
            Some((_, rest)) if call.path[2] == "providers" => format!("{group}providers/{rest}/{name}"),
            _ => format!("/{path}/{name}"),
        }
    };
    let at = call.offset();
    let Some(name) = names.get(at) else { return reply(&json!({"value": []})) };
    let mut item = json!({"id": id(name), "name": name, "location": "West Europe", "tags": {"team": "payments"}});
    item["properties"] = match call.api {
        "Microsoft.ContainerService/managedClusters/read" => json!({
            "provisioningState": "Succeeded", "powerState": {"code": "Running"}, "newerThanTheSdk": {"kept": true},
            "autoUpgradeProfile": ["not", "what the SDK expects"],
            "aadProfile": if *name == "one" { json!({"managed": true, "enableAzureRBAC": true}) } else { json!(null) },
        }),
        "Microsoft.ContainerRegistry/registries/read" => json!({"provisioningState": "Succeeded",
            "loginServer": format!("{name}.azurecr.io"), "policies": {"softDeletePolicy": {"status": "disabled"}}}),
        _ => json!({"count": 1}),
    };
    let mut body = json!({"value": [item]});
    if at + 1 < names.len() {
        let host = if twist == Twist::NextPageElsewhere { "evil.example" } else { call.host.as_str() };
        let version = call.of("api-version");
        body["nextLink"] = json!(format!("https://{host}/{path}?api-version={version}&$skiptoken={}", at + 1));
    }
    reply(&body).header("x-ms-ratelimit-remaining-subscription-reads", "11999")
}

fn reply(body: &Value) -> Reply {
    Reply::new(200, &body.to_string())
}

/// An error in the form of Azure Resource Manager, or of a registry.
pub(crate) fn error(status: u16, code: &str) -> Reply {
    let own = json!({"code": code, "message": "m"});
    let body = if code.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        json!({"errors": [own]})
    } else {
        json!({"error": own})
    };
    Reply::new(status, &body.to_string())
}
