use http::StatusCode;
use serde_json::{Value, json};

use super::error::AwsError;
use super::paging::page;
use super::{Context, Operation};

/// Items per page at most.
const MOST: usize = 20;

/// Answers an operation of the Organizations service, to the account that owns the organisation.
pub(crate) fn answer(cx: &Context<'_>, operation: &Operation, request: &Value) -> Result<Value, AwsError> {
    let member = |code: &'static str, message: &str| AwsError::new(StatusCode::BAD_REQUEST, code, message);
    let Some(organization) = cx.world.organization() else {
        let message = "Your account is not a member of an organization.";
        return Err(member("AWSOrganizationsNotInUseException", message));
    };
    if cx.account != organization.management {
        let message = "You don't have permissions to access this resource.";
        return Err(member("AccessDeniedException", message));
    }
    let parent = || {
        let id = request["ParentId"].as_str().unwrap_or_default();
        let missing = || member("ParentNotFoundException", "You specified a parent that doesn't exist.");
        organization.has_parent(id).then_some(id).ok_or_else(missing)
    };
    let (field, items) = match operation.name.as_str() {
        "DescribeOrganization" => return Ok(json!({ "Organization": organization.description() })),
        "ListRoots" => ("Roots", organization.roots()),
        "ListOrganizationalUnitsForParent" => ("OrganizationalUnits", organization.units_of(parent()?)),
        "ListAccountsForParent" => ("Accounts", organization.accounts_of(Some(parent()?))),
        "ListAccounts" => ("Accounts", organization.accounts_of(None)),
        name => return Err(cx.unknown_operation(name)),
    };
    let paging = json!({ "nextToken": request["NextToken"], "maxResults": request["MaxResults"] });
    let (items, next) = page(&items, &paging, MOST)?;
    let mut answer = json!({ field: items });
    if let Some(token) = next {
        answer["NextToken"] = token.into();
    }
    Ok(answer)
}
