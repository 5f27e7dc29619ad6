use rampart_domain::{Kind, NativeId, Resource};
use serde_json::json;

use super::{GLOBAL, Place};
use crate::partition::Partition;

/// The account itself. `regions` are those that this scan reads.
pub(crate) fn account(partition: Partition, account: &str, regions: &[String]) -> Resource {
    let place = Place { partition, account: account.to_owned(), region: GLOBAL.to_owned() };
    let id = NativeId::new(format!("arn:{partition}:iam::{account}:root"));
    let config = json!({ "accountId": account, "partition": partition.as_str(), "regions": regions });
    place.resource(Kind::AwsAccount, id, account, config)
}
