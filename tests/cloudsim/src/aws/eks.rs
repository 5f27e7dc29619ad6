use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::error::AwsError;
use super::paging::page;
use super::{Context, Operation};
use crate::world::EksCluster;

/// Answers an EKS operation; `request` holds the query and body members.
pub(crate) fn answer(cx: &Context<'_>, operation: &Operation, request: &Value) -> Result<Value, AwsError> {
    let variable = |index: usize| operation.path.get(index).map(String::as_str).unwrap_or_default();
    match operation.name.as_str() {
        "ListClusters" => list_clusters(cx, request),
        "DescribeClusterVersions" => Ok(versions()),
        "DescribeCluster" => describe_cluster(cx, variable(0)),
        name => {
            let cluster = find(cx, variable(0))?;
            of_cluster(cx, name, cluster, variable(0), variable(1), request)
        }
    }
}

fn of_cluster(
    cx: &Context<'_>,
    operation: &str,
    cluster: &EksCluster,
    name: &str,
    item: &str,
    request: &Value,
) -> Result<Value, AwsError> {
    if operation.contains("AccessEntr") || operation == "ListAssociatedAccessPolicies" {
        return access(operation, cluster, name, item, request);
    }
    match operation {
        "ListNodegroups" => names(&cluster.nodegroups, "nodegroups", request),
        "DescribeNodegroup" => one(&cluster.nodegroups, "nodegroup", "node group", item),
        "ListFargateProfiles" => names(&cluster.fargate_profiles, "fargateProfileNames", request),
        "DescribeFargateProfile" => one(&cluster.fargate_profiles, "fargateProfile", "Fargate profile", item),
        "ListAddons" => names(&cluster.addons, "addons", request),
        "DescribeAddon" => one(&cluster.addons, "addon", "addon", item),
        "ListIdentityProviderConfigs" => {
            let configs: Vec<Value> =
                cluster.identity_providers.keys().map(|name| json!({ "type": "oidc", "name": name })).collect();
            listed("identityProviderConfigs", &configs, request)
        }
        "DescribeIdentityProviderConfig" => {
            let wanted = request["identityProviderConfig"]["name"].as_str().unwrap_or_default();
            let found = one(&cluster.identity_providers, "oidc", "identity provider config", wanted)?;
            Ok(json!({ "identityProviderConfig": found }))
        }
        "ListPodIdentityAssociations" => {
            const SUMMARY: [&str; 5] =
                ["clusterName", "namespace", "serviceAccount", "associationArn", "associationId"];
            let summaries: Vec<Value> = cluster
                .pod_identities
                .values()
                .map(|full| SUMMARY.iter().map(|field| ((*field).to_owned(), full[*field].clone())).collect())
                .collect();
            listed("associations", &summaries, request)
        }
        "DescribePodIdentityAssociation" => one(&cluster.pod_identities, "association", "association", item),
        _ => Err(cx.unknown_operation(operation)),
    }
}

fn list_clusters(cx: &Context<'_>, request: &Value) -> Result<Value, AwsError> {
    let mut names: Vec<Value> = cx
        .world
        .clusters()
        .filter(|cluster| cluster.account() == Some(&cx.account) && cluster.region() == Some(&cx.region))
        .map(|cluster| cluster.name.clone().into())
        .collect();
    names.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    listed("clusters", &names, request)
}

fn find<'a>(cx: &'a Context<'_>, name: &str) -> Result<&'a EksCluster, AwsError> {
    let arn = format!("arn:aws:eks:{}:{}:cluster/{name}", cx.region, cx.account);
    cx.world.eks(&arn).ok_or_else(|| not_found(&format!("No cluster found for name: {name}.")))
}

fn describe_cluster(cx: &Context<'_>, name: &str) -> Result<Value, AwsError> {
    let mut cluster = find(cx, name)?.cluster.clone();
    cluster["endpoint"] = cx.shared.cluster_url(name).into();
    cluster["certificateAuthority"] = json!({ "data": STANDARD.encode(&cx.shared.ca_pem) });
    Ok(json!({ "cluster": cluster }))
}

/// Access entries exist only where the cluster asks the access entry API at all.
fn access(
    operation: &str,
    cluster: &EksCluster,
    name: &str,
    principal: &str,
    request: &Value,
) -> Result<Value, AwsError> {
    if cluster.cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP" {
        return Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "InvalidRequestException",
            "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
        ));
    }
    if operation == "ListAccessEntries" {
        return names(&cluster.access_entries, "accessEntries", request);
    }
    let (entry, policies) = cluster
        .access_entries
        .get(principal)
        .ok_or_else(|| not_found(&format!("The specified principalArn could not be found: {principal}")))?;
    if operation == "DescribeAccessEntry" {
        return Ok(json!({ "accessEntry": entry }));
    }
    let mut answer = listed("associatedAccessPolicies", policies, request)?;
    answer["clusterName"] = name.into();
    answer["principalArn"] = principal.into();
    Ok(answer)
}

fn names<T>(items: &BTreeMap<String, T>, member: &str, request: &Value) -> Result<Value, AwsError> {
    let names: Vec<Value> = items.keys().map(|name| name.clone().into()).collect();
    listed(member, &names, request)
}

fn listed(member: &str, items: &[Value], request: &Value) -> Result<Value, AwsError> {
    let (items, next) = page(items, request, 100)?;
    let mut answer = json!({ member: items });
    if let Some(token) = next {
        answer["nextToken"] = token.into();
    }
    Ok(answer)
}

fn one(items: &BTreeMap<String, Value>, member: &str, what: &str, name: &str) -> Result<Value, AwsError> {
    let item = items.get(name).ok_or_else(|| not_found(&format!("No {what} found for name: {name}.")))?;
    Ok(json!({ member: item }))
}

fn not_found(message: &str) -> AwsError {
    AwsError::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

fn versions() -> Value {
    const DAY: f64 = 86_400.0;
    /// Release of 1.28 in epoch days.
    const FIRST: f64 = 19_626.0;
    let versions: Vec<Value> = (28..=34_u32)
        .map(|minor| {
            let release = (FIRST + f64::from(minor - 28) * 130.0) * DAY;
            let (status, word) = match minor {
                33.. => ("STANDARD_SUPPORT", "standard-support"),
                30..33 => ("EXTENDED_SUPPORT", "extended-support"),
                _ => ("UNSUPPORTED", "unsupported"),
            };
            json!({
                "clusterVersion": format!("1.{minor}"), "clusterType": "eks", "defaultVersion": minor == 34, "releaseDate": release,
                "defaultPlatformVersion": "eks.12", "kubernetesPatchVersion": format!("1.{minor}.4"), "status": word,
                "versionStatus": status, "endOfStandardSupportDate": release + 420.0 * DAY, "endOfExtendedSupportDate": release + 785.0 * DAY,
            })
        })
        .rev()
        .collect();
    json!({ "clusterVersions": versions })
}
