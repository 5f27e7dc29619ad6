//! IAM: one operation, which answers in XML.

use http::StatusCode;
use serde_json::{Value, json};

use super::error::AwsError;
use super::paging::page;
use super::{Context, Operation, xml};

/// Items per page at most, and where nothing is asked for.
const MOST: usize = 1_000;
const USUAL: usize = 100;

/// Answers an IAM operation; `request` holds the members of the form.
pub(crate) fn answer(cx: &Context<'_>, operation: &Operation, request: &Value) -> Result<Value, AwsError> {
    if operation.name != "GetAccountAuthorizationDetails" {
        let message = format!("Could not find operation {} for version 2010-05-08", operation.name);
        return Err(AwsError::new(StatusCode::BAD_REQUEST, "InvalidAction", message));
    }
    let wanted = |entity: &str| {
        let mut filters = (1..=5).filter_map(|number| request[format!("Filter.member.{number}")].as_str()).peekable();
        filters.peek().is_none() || filters.any(|filter| filter == entity)
    };
    let iam = cx.world.iam(&cx.account).unwrap_or_default();
    let roles = iam.roles.into_iter().filter(|_| wanted("Role")).map(|role| ("RoleDetailList", role));
    let policies = iam.policies.into_iter().filter(|_| wanted("LocalManagedPolicy")).map(|it| ("Policies", it));
    let all: Vec<(&str, Value)> = roles.chain(policies).collect();
    let number = |field: &str| request[field].as_str().and_then(|text| text.parse().ok());
    let paging = json!({ "nextToken": request["Marker"], "maxResults": number("MaxItems").unwrap_or(USUAL) });
    let (items, marker) = page(&all, &paging, MOST)?;
    let mut answer = json!({ "UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": [],
        "IsTruncated": marker.is_some() });
    for (field, item) in items {
        answer[field].as_array_mut().expect("made above").push(item);
    }
    if let Some(marker) = marker {
        answer["Marker"] = marker.into();
    }
    Ok(answer)
}

/// The answer in the envelope of its operation.
pub(crate) fn wrapped(operation: &str, answer: &Value) -> String {
    let result = xml::members(answer);
    format!(
        "<{operation}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        uuid::Uuid::new_v4()
    )
}
