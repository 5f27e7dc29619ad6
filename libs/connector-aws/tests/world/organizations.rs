use serde_json::{Value, json};

use super::answers::ACCOUNT;

/// How requests of the service name their operation.
pub(crate) const TARGET: &str = "AWSOrganizationsV20161128.";

/// Two units below the root, one of them with another below it; two accounts in each place but the root.
const UNITS: [(&str, &str); 3] = [("ou-a", "r-1"), ("ou-b", "r-1"), ("ou-a-deep", "ou-a")];

fn account(id: &str, state: &str) -> Value {
    json!({"Id": id, "Name": format!("name of {id}"), "State": state, "NewerThanTheSdk": {"a": 1}})
}

fn accounts_of(parent: &str) -> Vec<Value> {
    match parent {
        "r-1" => vec![account(ACCOUNT, "ACTIVE")],
        "ou-a" => vec![account("000000000001", "ACTIVE"), account("000000000002", "ACTIVE")],
        "ou-a-deep" => vec![account("000000000003", "SUSPENDED"), account("000000000004", "ACTIVE")],
        "ou-b" => vec![account("000000000005", "PENDING_CLOSURE"), account("000000000006", "ACTIVE")],
        _ => Vec::new(),
    }
}

/// Items and the field that lists them, or one answer without a list; `None` for what does not exist.
pub(crate) fn answer(api: &str, parent: Option<&str>) -> Option<(Option<&'static str>, Vec<Value>)> {
    Some(match api {
        "organizations:DescribeOrganization" => {
            let arn = format!("arn:aws:organizations::{ACCOUNT}:organization/o-world");
            let described = json!({"Id": "o-world", "Arn": arn, "MasterAccountId": ACCOUNT, "FeatureSet": "ALL"});
            (None, vec![json!({"Organization": described})])
        }
        "organizations:ListRoots" => (Some("Roots"), vec![json!({"Id": "r-1", "Name": "Root"})]),
        "organizations:ListOrganizationalUnitsForParent" => {
            let below = UNITS.iter().filter(|(_, above)| Some(*above) == parent);
            (Some("OrganizationalUnits"), below.map(|(id, _)| json!({"Id": id, "Name": id})).collect())
        }
        "organizations:ListAccountsForParent" => (Some("Accounts"), accounts_of(parent?)),
        "organizations:ListAccounts" => {
            let all = ["r-1", "ou-a", "ou-a-deep", "ou-b"].into_iter().flat_map(accounts_of);
            (Some("Accounts"), all.collect())
        }
        _ => return None,
    })
}
