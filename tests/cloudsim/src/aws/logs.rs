use serde_json::{Value, json};

use super::error::AwsError;
use super::paging::page;
use super::{Context, Operation};

/// Items per page at most.
const MOST: usize = 50;

/// Answers an operation of CloudWatch Logs.
pub(crate) fn answer(cx: &Context<'_>, operation: &Operation, request: &Value) -> Result<Value, AwsError> {
    if operation.name != "DescribeLogGroups" {
        return Err(cx.unknown_operation(&operation.name));
    }
    let prefix = request["logGroupNamePrefix"].as_str().unwrap_or_default();
    let named = |group: &&Value| group["logGroupName"].as_str().is_some_and(|name| name.starts_with(prefix));
    let mut groups: Vec<Value> = cx
        .world
        .clusters()
        .filter(|cluster| cluster.account() == Some(&cx.account) && cluster.region() == Some(&cx.region))
        .filter_map(|cluster| cx.world.eks(cluster.arn()?))
        .flat_map(|cluster| cluster.log_groups.iter().filter(named).cloned())
        .collect();
    groups.sort_by(|a, b| a["logGroupName"].as_str().cmp(&b["logGroupName"].as_str()));
    let paging = json!({ "nextToken": request["nextToken"], "maxResults": request["limit"] });
    let (groups, next) = page(&groups, &paging, MOST)?;
    let mut answer = json!({ "logGroups": groups });
    if let Some(token) = next {
        answer["nextToken"] = token.into();
    }
    Ok(answer)
}
