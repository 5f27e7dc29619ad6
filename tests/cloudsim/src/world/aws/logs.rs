use serde_json::{Value, json};

use super::{Care, epoch};
use crate::world::plan::Cluster;

/// The log groups of a cluster: its control plane's, and one that its owner gave a name like that.
pub(crate) fn groups(cluster: &Cluster, account: &str, region: &str, care: Care) -> Vec<Value> {
    let seed = cluster.seed.child("log-group");
    let group = |name: &str| {
        let name = format!("/aws/eks/{}/{name}", cluster.name);
        let arn = format!("arn:aws:logs:{region}:{account}:log-group:{name}");
        let created = epoch(seed, 900).as_f64().unwrap_or_default() as i64 * 1_000;
        json!({
            "logGroupName": name, "creationTime": created, "metricFilterCount": 0, "arn": format!("{arn}:*"),
            "storedBytes": seed.below(4_000_000_000), "logGroupClass": "STANDARD", "logGroupArn": arn,
            "deletionProtectionEnabled": false,
        })
    };
    let mut own = group("cluster");
    match care {
        Care::Sound => {
            own["retentionInDays"] = json!(365);
            let key = format!("arn:aws:kms:{region}:{account}:key/{}", seed.child("key").uuid());
            own["kmsKeyId"] = json!(key);
        }
        Care::Weak => own["retentionInDays"] = json!(7),
        // What EKS makes itself has no retention.
        Care::Mixed => {}
    }
    vec![group("application"), own]
}
