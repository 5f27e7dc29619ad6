use serde_json::{Value, json};

use super::error::AwsError;
use super::paging::page;
use super::{Context, Operation};

/// Regions that exist and that no simulated account has enabled.
const OTHERS: [&str; 4] = ["af-south-1", "ap-east-1", "eu-south-2", "me-central-1"];

/// Answers an operation of the Account service.
pub(crate) fn answer(cx: &Context<'_>, operation: &Operation, request: &Value) -> Result<Value, AwsError> {
    if operation.name != "ListRegions" {
        return Err(cx.unknown_operation(&operation.name));
    }
    let account = cx.world.accounts().iter().find(|account| account.id == cx.account);
    let enabled =
        account.into_iter().flat_map(|account| &account.regions).map(|region| (region.as_str(), "ENABLED_BY_DEFAULT"));
    let wanted: Vec<&str> =
        request["RegionOptStatusContains"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let regions: Vec<Value> = enabled
        .chain(OTHERS.map(|region| (region, "DISABLED")))
        .filter(|(_, status)| wanted.is_empty() || wanted.contains(status))
        .map(|(region, status)| json!({ "RegionName": region, "RegionOptStatus": status }))
        .collect();
    let paging = json!({ "nextToken": request["NextToken"], "maxResults": request["MaxResults"] });
    let (regions, next) = page(&regions, &paging, 50)?;
    let mut answer = json!({ "Regions": regions });
    if let Some(token) = next {
        answer["NextToken"] = token.into();
    }
    Ok(answer)
}
