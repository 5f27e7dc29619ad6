use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use super::{Place, drop_fields, text};

/// Churn: changes without a change of configuration.
const STORED: &str = "storedBytes";

/// Whether an item of `DescribeLogGroups` is the log group of a control plane: `/aws/eks/<cluster>/cluster`. An item without
/// a name is one, too, so that it is told of.
pub(crate) fn is_of_control_plane(described: &Value) -> bool {
    let Some(name) = text(described, "logGroupName") else { return true };
    matches!(name.split('/').collect::<Vec<_>>()[..], ["", "aws", "eks", cluster, "cluster"] if !cluster.is_empty())
}

/// An item of `DescribeLogGroups`. Without `retentionInDays` its events are kept for ever.
///
/// It belongs to the account: it outlives its cluster. Older regions give no `logGroupArn` but an `arn` that ends in `:*`.
pub(crate) fn log_group(place: &Place, mut described: Value) -> Option<Resource> {
    let arn = text(&described, "logGroupArn").or_else(|| text(&described, "arn"))?;
    let id = NativeId::new(arn.strip_suffix(":*").unwrap_or(arn));
    let name = text(&described, "logGroupName")?.to_owned();
    drop_fields(&mut described, &[STORED]);
    Some(place.resource(Kind::AwsLogsLogGroup, id, &name, described))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::place;
    use super::*;

    const ARN: &str = "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/eks/prod/cluster";

    #[test]
    fn only_the_groups_of_control_planes_count() {
        for (name, expected) in [
            ("/aws/eks/prod/cluster", true),
            ("/aws/eks/prod/application", false),
            ("/aws/eks/prod/team/cluster", false),
            ("/aws/eks//cluster", false),
            ("/aws/eks/cluster", false),
        ] {
            assert_eq!(is_of_control_plane(&json!({ "logGroupName": name })), expected, "{name}");
        }
        assert!(is_of_control_plane(&json!({})), "what has no name is told of");
    }

    #[test]
    fn a_log_group_keeps_its_retention_and_loses_its_size() {
        let described = json!({
            "logGroupName": "/aws/eks/prod/cluster", "arn": format!("{ARN}:*"), "logGroupArn": ARN, "retentionInDays": 90,
            "storedBytes": 4711, "kmsKeyId": "arn:aws:kms:eu-west-1:111122223333:key/k", "newerThanTheSdk": 1
        });
        let resource = log_group(&place(), described).unwrap();
        assert_eq!((resource.native_id.as_str(), resource.name.as_str()), (ARN, "/aws/eks/prod/cluster"));
        assert_eq!((resource.cluster.as_ref(), resource.region.as_deref()), (None, Some("eu-west-1")));
        assert_eq!((&resource.config["retentionInDays"], &resource.config["newerThanTheSdk"]), (&json!(90), &json!(1)));
        assert_eq!(resource.config.get("storedBytes"), None);
    }

    #[test]
    fn older_answers_name_the_group_with_a_star() {
        let described = json!({"logGroupName": "/aws/eks/prod/cluster", "arn": format!("{ARN}:*")});
        assert_eq!(log_group(&place(), described).unwrap().native_id.as_str(), ARN);
        assert_eq!(log_group(&place(), json!({"logGroupName": "/aws/eks/prod/cluster"})), None);
    }
}
