use std::collections::HashMap;

use serde_json::{Value, json};
use url::Url;

use super::key;
use rampart_connector::conformance::server::{Reply, Request};

pub(crate) const PROJECT: &str = "shop-prod";
/// Service account whose key is used, and the one that it acts as.
pub(crate) const NAME: &str = "scanner@ops-tools.iam.gserviceaccount.com";
pub(crate) const ACCOUNT: &str = "rampart@shop-prod.iam.gserviceaccount.com";
pub(crate) const PROVIDER: &str = "projects/77/locations/global/workloadIdentityPools/rampart/providers/oidc";
/// What Rampart's issuer says in these tests.
pub(crate) const STATEMENT: &str = "statement-of-tenant-and-connector";
const COMPUTE: &str = "https://www.googleapis.com/compute/v1";
const EXAMPLES: &str = include_str!("../fixtures/clusters.json");

/// A request in Google's words.
pub(crate) struct Call {
    /// The permission, or `<service>:<operation>` for what needs none.
    pub(crate) api: &'static str,
    path: Vec<String>,
    form: HashMap<String, String>,
    /// Offset of the page.
    offset: usize,
    cut: bool,
}

/// What a request asks for; `None` for a path that does not exist.
pub(crate) fn route(request: &Request) -> Option<Call> {
    let url = Url::parse("http://world").unwrap().join(&request.target).ok()?;
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    let path: Vec<String> = url.path_segments()?.map(str::to_owned).collect();
    let segments: Vec<_> = path.iter().map(String::as_str).collect();
    let api = match segments[..] {
        ["token"] => "oauth2:token",
        ["v1", "token"] => "sts:token",
        ["computeMetadata", ..] => "metadata:token",
        ["v1", "projects", "-", "serviceAccounts", of] if of.ends_with(":generateAccessToken") => {
            "iam.serviceAccounts.getAccessToken"
        }
        ["v3", "projects", of] if of.ends_with(":testIamPermissions") => "resourcemanager:testIamPermissions",
        ["v3", "projects", of] if of.ends_with(":getIamPolicy") => "resourcemanager.projects.getIamPolicy",
        ["v3", "projects", _] => "resourcemanager.projects.get",
        ["v3", "organizations", _] => "resourcemanager.organizations.get",
        ["v3", "folders"] => "resourcemanager.folders.list",
        ["v3", "projects"] => "resourcemanager.projects.list",
        ["v1", "projects", PROJECT, "locations", "-", "clusters"] => "container.clusters.list",
        ["v1", "projects", PROJECT, "services"] => "serviceusage.services.list",
        ["compute", "v1", "projects", PROJECT, "aggregated", "subnetworks"] => "compute.subnetworks.list",
        ["compute", "v1", "projects", PROJECT, "global", "firewalls"] => "compute.firewalls.list",
        ["v1", "projects", PROJECT, "locations"] => "artifactregistry.locations.list",
        ["v1", "projects", PROJECT, "locations", _, "repositories"] => "artifactregistry.repositories.list",
        ["v1", "projects", PROJECT, "locations", _, "repositories", of] if of.ends_with(":getIamPolicy") => {
            "artifactregistry.repositories.getIamPolicy"
        }
        ["v1", "projects", PROJECT, "locations", _, "repositories", _, "dockerImages"] => {
            "artifactregistry.dockerimages.list"
        }
        _ => return None,
    };
    let form = url::form_urlencoded::parse(request.body.as_bytes()).into_owned();
    let form = form.chain(query.clone()).collect();
    let offset = query.get("pageToken").map_or(0, |token| token.parse().unwrap());
    Some(Call { api, path, form, offset, cut: query.contains_key("fields") })
}

/// The refusal of a request that does not carry what it must. Of the tokens of `ACCOUNT` the first `revoked` are void.
pub(crate) fn authenticate(call: &Call, request: &Request, revoked: usize) -> Option<Reply> {
    let bearer = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let accepted = match call.api {
        "oauth2:token" => {
            let claims = call.form.get("assertion").and_then(|assertion| key::verify(assertion)).unwrap_or_default();
            claims["iss"] == NAME && claims["aud"] == "https://oauth2.googleapis.com/token"
        }
        "sts:token" => {
            call.form.get("subject_token").is_some_and(|token| token == STATEMENT)
                && call
                    .form
                    .get("audience")
                    .is_some_and(|audience| *audience == format!("//iam.googleapis.com/{PROVIDER}"))
        }
        "metadata:token" => request.headers.get("metadata-flavor").is_some_and(|flavor| flavor == "Google"),
        "iam.serviceAccounts.getAccessToken" => bearer.is_some_and(|token| token.starts_with("base-")),
        _ => {
            let number = bearer.and_then(|token| token.strip_prefix("acting-")).and_then(|token| token.parse().ok());
            number.is_some_and(|number: usize| number > revoked) || bearer == Some("base-federated")
        }
    };
    (!accepted).then(|| match call.api {
        "oauth2:token" | "sts:token" => {
            Reply::new(400, &json!({ "error": "invalid_grant", "error_description": "m" }).to_string())
        }
        _ => error(401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    })
}

/// A sound answer.
pub(crate) fn answer(call: &Call, number: usize) -> Reply {
    let location = call.path.get(4).map_or("", String::as_str);
    let json = match call.api {
        "oauth2:token" => json!({ "access_token": "base-key", "expires_in": 3599, "token_type": "Bearer" }),
        "metadata:token" => json!({ "access_token": "base-machine", "expires_in": 3599, "token_type": "Bearer" }),
        "sts:token" => json!({ "access_token": "base-federated", "expires_in": 3599, "token_type": "Bearer" }),
        "iam.serviceAccounts.getAccessToken" => {
            let ends = chrono::Utc::now() + chrono::Duration::hours(1);
            json!({ "accessToken": format!("acting-{number}"), "expireTime": ends.to_rfc3339() })
        }
        "resourcemanager:testIamPermissions" => json!({ "permissions": [
            "resourcemanager.projects.get", "container.clusters.list", "artifactregistry.locations.list",
            "artifactregistry.repositories.list", "artifactregistry.dockerimages.list", "compute.subnetworks.list",
            "compute.firewalls.list", "resourcemanager.projects.getIamPolicy", "container.clusters.connect"] }),
        "resourcemanager.projects.get" => project(PROJECT, "ACTIVE"),
        "resourcemanager.projects.getIamPolicy" => json!({ "version": 3, "etag": "BwY=", "bindings": [
            { "role": "roles/viewer", "members": ["allAuthenticatedUsers"],
                "condition": { "title": "until spring" } }] }),
        "serviceusage.services.list" => {
            let service = |name: &str| {
                json!({ "name": format!("projects/77/services/{name}"), "parent": "projects/77", "state": "ENABLED",
                    "config": { "name": name, "title": "An API", "quota": {} } })
            };
            page(call, "services", &["compute.googleapis.com", "container.googleapis.com"].map(service))
        }
        "compute.subnetworks.list" => subnetworks(call),
        "compute.firewalls.list" => {
            let rule = |name: &str| json!({ "id": "7", "name": name, "direction": "INGRESS", "disabled": false });
            page(call, "items", &["allow-ssh", "gke-prod-a-vms"].map(rule))
        }
        "container.clusters.list" if call.cut => json!({}),
        "container.clusters.list" => serde_json::from_str(EXAMPLES).unwrap(),
        "artifactregistry.locations.list" => {
            page(call, "locations", &["europe-west1", "us"].map(|id| json!({ "locationId": id })))
        }
        "artifactregistry.repositories.list" => {
            let repository = |id: &str, format: &str| {
                let name = format!("projects/{PROJECT}/locations/{location}/repositories/{id}");
                json!({ "name": name, "format": format, "mode": "STANDARD_REPOSITORY", "sizeBytes": "123",
                    "newerThanRampart": { "kept": true } })
            };
            let all = [repository("apps", "DOCKER"), repository("gcr.io", "DOCKER"), repository("packages", "NPM")];
            page(call, "repositories", &all)
        }
        "artifactregistry.repositories.getIamPolicy" => json!({ "etag": "ACAB" }),
        "artifactregistry.dockerimages.list" => {
            let repository = call.path[6].as_str();
            let image = |digest: &str| {
                let path = format!("projects/{PROJECT}/locations/{location}/repositories/{repository}");
                json!({ "name": format!("{path}/dockerImages/team%2Fweb@sha256:{digest}"), "tags": ["v1"],
                    "uploadTime": "2026-01-01T00:00:00Z" })
            };
            page(call, "dockerImages", &["aa", "bb"].map(image))
        }
        "resourcemanager.organizations.get" => {
            json!({ "name": "organizations/1", "displayName": "example.com", "state": "ACTIVE" })
        }
        "resourcemanager.folders.list" => {
            let folder = |id: u8, parent: &str| json!({ "name": format!("folders/{id}"), "parent": parent, "displayName": format!("f{id}"), "state": "ACTIVE" });
            match call.form["parent"].as_str() {
                parent @ "organizations/1" => page(call, "folders", &[folder(2, parent), folder(3, parent)]),
                parent @ "folders/2" => page(call, "folders", &[folder(4, parent)]),
                _ => json!({}),
            }
        }
        "resourcemanager.projects.list" => match call.form["parent"].as_str() {
            "organizations/1" => page(call, "projects", &[project("top-project", "ACTIVE")]),
            "folders/4" => page(
                call,
                "projects",
                &[project("deep-project", "ACTIVE"), project("gone-project", "DELETE_REQUESTED")],
            ),
            _ => json!({}),
        },
        other => panic!("{other} has no answer"),
    };
    Reply::new(200, &json.to_string())
}

/// One subnetwork in each of two regions; the other regions of a page have a warning in its place.
fn subnetworks(call: &Call) -> Value {
    let regions = ["europe-west1", "us-east4"];
    let subnetwork = |region: &str| {
        json!({ "id": "9", "name": "nodes", "region": format!("{COMPUTE}/projects/{PROJECT}/regions/{region}"),
            "fingerprint": "x=", "privateIpGoogleAccess": true, "enableFlowLogs": false })
    };
    let listed = page(call, "here", &regions.map(subnetwork));
    let mut answer = json!({ "items": {
        "regions/asia-east1": nothing("NO_RESULTS_ON_PAGE"), "regions/europe-west1": nothing("NO_RESULTS_ON_PAGE"),
        "regions/us-east4": nothing("NO_RESULTS_ON_PAGE") } });
    if let Some(region) = regions.get(call.offset) {
        answer["items"][format!("regions/{region}")] = json!({ "subnetworks": listed["here"] });
    }
    if let Some(next) = listed.get("nextPageToken") {
        answer["nextPageToken"] = next.clone();
    }
    answer
}

fn nothing(code: &str) -> Value {
    json!({ "warning": { "code": code, "message": "m" } })
}

/// The answer of a listing of clusters or subnetworks that could not ask some zones.
pub(crate) fn without(zones: &[&str], call: &Call, whole: Reply) -> Reply {
    if zones.is_empty() {
        return whole;
    }
    match call.api {
        "container.clusters.list" => {}
        "compute.subnetworks.list" => {
            let mut answer = subnetworks(call);
            let region = |zone: &&str| format!("regions/{}", zone.rsplit_once('-').unwrap().0);
            let regions: Vec<_> = zones.iter().map(region).collect();
            for region in &regions {
                answer["items"][region] = nothing("UNREACHABLE");
            }
            answer["unreachables"] = json!(regions);
            return Reply::new(200, &answer.to_string());
        }
        _ => return whole,
    }
    let mut answer: Value = serde_json::from_str(EXAMPLES).unwrap();
    let asked = |cluster: &Value| zones.iter().all(|zone| !zone.starts_with(cluster["location"].as_str().unwrap()));
    answer["clusters"].as_array_mut().unwrap().retain(asked);
    answer["missingZones"] = json!(zones);
    Reply::new(200, &answer.to_string())
}

fn project(id: &str, state: &str) -> Value {
    json!({ "name": "projects/77", "projectId": id, "displayName": "Shop", "state": state, "etag": "x" })
}

/// The error shape that all APIs share.
pub(crate) fn error(status: u16, word: &str, reason: &str) -> Reply {
    let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
        "metadata": { "service": "container.googleapis.com", "consumer": "projects/77" } });
    let error = json!({ "code": status, "message": "m", "status": word, "details": [info] });
    Reply::new(status, &json!({ "error": error }).to_string())
}

pub(crate) fn throttled(delay: &str) -> Reply {
    let retry = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay });
    let error = json!({ "code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [retry] });
    Reply::new(429, &json!({ "error": error }).to_string())
}

/// One item per page.
fn page(call: &Call, field: &str, items: &[Value]) -> Value {
    let here: Vec<_> = items.iter().skip(call.offset).take(1).collect();
    let mut answer = json!({ field: here });
    if call.offset + 1 < items.len() {
        answer["nextPageToken"] = Value::from((call.offset + 1).to_string());
    }
    answer
}
