use http::StatusCode;
use serde_json::{Value, json};

use super::error::AwsError;
use super::paging::page;
use super::{Context, Operation};
use crate::world::{Registry, Repository};

/// Answers an ECR operation.
pub(crate) fn answer(cx: &Context<'_>, operation: &Operation, request: &Value) -> Result<Value, AwsError> {
    if request["registryId"].as_str().is_some_and(|id| id != cx.account) {
        return Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "AccessDeniedException",
            format!("User: {} is not authorized to perform: ecr:{}", cx.caller, operation.name),
        ));
    }
    let registry = cx.world.registry(&cx.account, &cx.region).ok_or_else(|| cx.unknown_operation(&operation.name))?;
    match operation.name.as_str() {
        "DescribeRepositories" => repositories(registry, request),
        "DescribeImages" => images(registry, request),
        "GetRepositoryPolicy" => policy(cx, registry, request),
        "GetLifecyclePolicy" => lifecycle(cx, registry, request),
        "GetRegistryScanningConfiguration" => {
            Ok(json!({ "registryId": cx.account, "scanningConfiguration": registry.scanning }))
        }
        "DescribeRegistry" => Ok(json!({ "registryId": cx.account, "replicationConfiguration": { "rules": [] } })),
        "GetRegistryPolicy" => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "RegistryPolicyNotFoundException",
            format!("Registry policy does not exist in registry with id '{}'", cx.account),
        )),
        "ListTagsForResource" => {
            let arn = request["resourceArn"].as_str().unwrap_or_default();
            let repository = find(registry, arn.split_once(":repository/").map_or("", |(_, name)| name))?;
            Ok(json!({ "tags": repository.tags }))
        }
        "BatchGetRepositoryScanningConfiguration" => Ok(scanning(registry, request)),
        name => Err(cx.unknown_operation(name)),
    }
}

fn find<'a>(registry: &'a Registry, name: &str) -> Result<&'a Repository, AwsError> {
    registry.repositories.get(name).ok_or_else(|| {
        let message = format!("The repository with name '{name}' does not exist in the registry");
        AwsError::new(StatusCode::BAD_REQUEST, "RepositoryNotFoundException", message)
    })
}

fn named<'a>(registry: &'a Registry, request: &Value) -> Result<(&'a Repository, String), AwsError> {
    let name = request["repositoryName"].as_str().unwrap_or_default();
    Ok((find(registry, name)?, name.to_owned()))
}

fn listed(member: &str, items: &[Value], request: &Value) -> Result<Value, AwsError> {
    let (items, next) = page(items, request, 1_000)?;
    let mut answer = json!({ member: items });
    if let Some(token) = next {
        answer["nextToken"] = token.into();
    }
    Ok(answer)
}

fn repositories(registry: &Registry, request: &Value) -> Result<Value, AwsError> {
    let repositories: Vec<Value> = match request["repositoryNames"].as_array() {
        None => registry.repositories.values().map(|repository| repository.repository.clone()).collect(),
        Some(names) => names
            .iter()
            .map(|name| {
                find(registry, name.as_str().unwrap_or_default()).map(|repository| repository.repository.clone())
            })
            .collect::<Result<_, _>>()?,
    };
    listed("repositories", &repositories, request)
}

fn images(registry: &Registry, request: &Value) -> Result<Value, AwsError> {
    let (repository, _) = named(registry, request)?;
    let tagged = request["filter"]["tagStatus"].as_str();
    let images: Vec<Value> = repository
        .images
        .iter()
        .filter(|image| match tagged {
            Some("TAGGED") => image["imageTags"].is_array(),
            Some("UNTAGGED") => !image["imageTags"].is_array(),
            _ => true,
        })
        .cloned()
        .collect();
    listed("imageDetails", &images, request)
}

fn policy(cx: &Context<'_>, registry: &Registry, request: &Value) -> Result<Value, AwsError> {
    let (repository, name) = named(registry, request)?;
    match &repository.policy {
        Some(text) => Ok(json!({ "registryId": cx.account, "repositoryName": name, "policyText": text })),
        None => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "RepositoryPolicyNotFoundException",
            format!(
                "Repository policy does not exist for the repository with name '{name}' in the registry with id '{}'",
                cx.account
            ),
        )),
    }
}

fn lifecycle(cx: &Context<'_>, registry: &Registry, request: &Value) -> Result<Value, AwsError> {
    let (repository, name) = named(registry, request)?;
    match &repository.lifecycle {
        Some(text) => Ok(json!({ "registryId": cx.account, "repositoryName": name, "lifecyclePolicyText": text,
            "lastEvaluatedAt": 1_790_726_400.0 })),
        None => Err(AwsError::new(
            StatusCode::BAD_REQUEST,
            "LifecyclePolicyNotFoundException",
            format!(
                "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{}'",
                cx.account
            ),
        )),
    }
}

/// Which repositories are scanned: by the registry's rules where it has any, else by the repository's own setting.
fn scanning(registry: &Registry, request: &Value) -> Value {
    let (mut configurations, mut failures) = (Vec::new(), Vec::new());
    for name in request["repositoryNames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let Some(repository) = registry.repositories.get(name) else {
            failures.push(json!({ "repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND",
                "failureReason": format!("The repository with name '{name}' does not exist") }));
            continue;
        };
        let rules = registry.scanning["rules"].as_array();
        let applied: Vec<&Value> = rules
            .into_iter()
            .flatten()
            .flat_map(|rule| rule["repositoryFilters"].as_array().into_iter().flatten())
            .filter(|filter| filter["filter"].as_str().is_some_and(|text| name.starts_with(text.trim_end_matches('*'))))
            .collect();
        let own = repository.repository["imageScanningConfiguration"]["scanOnPush"] == Value::Bool(true);
        let ruled = registry.scanning["rules"].as_array().is_some_and(|rules| !rules.is_empty());
        let on_push = if ruled { !applied.is_empty() } else { own };
        configurations.push(json!({
            "repositoryArn": repository.repository["repositoryArn"], "repositoryName": name, "scanOnPush": on_push,
            "scanFrequency": if on_push { "SCAN_ON_PUSH" } else { "MANUAL" }, "appliedScanFilters": applied,
        }));
    }
    json!({ "scanningConfigurations": configurations, "failures": failures })
}
