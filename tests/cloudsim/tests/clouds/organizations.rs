//! The Organizations API as clients see it: who may ask, what lies where, in pages.

use cloudsim::world::Preset;
use serde_json::{Value, json};

use crate::support::{Aws, simulator};

async fn call(aws: &Aws, operation: &str, members: &Value) -> (u16, Value) {
    let target = format!("AWSOrganizationsV20161128.{operation}");
    let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
    let response = aws.send("organizations", "POST", "/", &headers, &members.to_string()).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn ids(aws: &Aws, operation: &str, field: &str, mut members: Value) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let (status, page) = call(aws, operation, &members).await;
        assert_eq!(status, 200, "{operation}: {page}");
        ids.extend(page[field].as_array().unwrap().iter().map(|item| item["Id"].as_str().unwrap().to_owned()));
        match page["NextToken"].as_str() {
            Some(token) => members["NextToken"] = token.into(),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn the_tree_has_every_account_once() {
    let simulator = simulator(Preset::Organization).await;
    let aws = Aws::new(&simulator, 0, "us-east-1");
    let mut units = ids(&aws, "ListRoots", "Roots", json!({})).await;
    let mut found = Vec::new();
    while let Some(unit) = units.pop() {
        let parent = json!({ "ParentId": unit, "MaxResults": 1 });
        found.extend(ids(&aws, "ListAccountsForParent", "Accounts", parent.clone()).await);
        units.extend(ids(&aws, "ListOrganizationalUnitsForParent", "OrganizationalUnits", parent).await);
    }
    let mut all = ids(&aws, "ListAccounts", "Accounts", json!({ "MaxResults": 3 })).await;
    found.sort_unstable();
    all.sort_unstable();
    assert_eq!(found, all);
    assert_eq!(all.len(), simulator.accounts().len());
    let (_, described) = call(&aws, "DescribeOrganization", &json!({})).await;
    assert_eq!(described["Organization"]["MasterAccountId"], simulator.accounts()[0].id);
    let (status, error) = call(&aws, "ListAccountsForParent", &json!({ "ParentId": "ou-none" })).await;
    assert_eq!((status, error["__type"].as_str()), (400, Some("ParentNotFoundException")));
    let (status, _) = call(&aws, "ListAccounts", &json!({ "MaxResults": 21 })).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn only_the_owner_of_an_organisation_may_ask() {
    let organized = simulator(Preset::Organization).await;
    let (status, error) = call(&Aws::new(&organized, 1, "us-east-1"), "ListAccounts", &json!({})).await;
    assert_eq!((status, error["__type"].as_str()), (400, Some("AccessDeniedException")));
    let alone = simulator(Preset::Pods10k).await;
    let (status, error) = call(&Aws::new(&alone, 0, "us-east-1"), "ListAccounts", &json!({})).await;
    assert_eq!((status, error["__type"].as_str()), (400, Some("AWSOrganizationsNotInUseException")));
}
