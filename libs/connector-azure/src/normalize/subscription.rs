use rampart_domain::{Kind, Resource};
use serde_json::Value;

use super::{Place, text};
use crate::arm_id::native_id;

/// A subscription; a disabled one is not active.
pub(crate) fn subscription(place: &Place, answer: Value) -> Option<Resource> {
    let name = text(&answer, "displayName").or_else(|| text(&answer, "subscriptionId"))?.to_owned();
    let active = matches!(text(&answer, "state"), Some("Enabled" | "Warned" | "PastDue"));
    Some(Resource { name, active, ..place.object(Kind::AzureSubscription, answer)? })
}

/// A management group. It belongs to no subscription.
pub(crate) fn management_group(answer: Value) -> Option<Resource> {
    let id = native_id(text(&answer, "id")?)?;
    let shown = answer["properties"].get("displayName").and_then(Value::as_str);
    let name = shown.or_else(|| text(&answer, "name"))?.to_owned();
    let resource = Place::new("").resource(Kind::AzureManagementGroup, id, &name, answer);
    Some(Resource { account: None, ..resource })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_subscriptions_in_use_are_active() {
        let of = |state: &str| {
            let answer =
                json!({"id": "/subscriptions/S1", "subscriptionId": "S1", "displayName": "Shop", "state": state});
            let resource = subscription(&Place::new("S1"), answer).unwrap();
            (resource.name, resource.native_id.to_string(), resource.active)
        };
        assert_eq!(of("Enabled"), ("Shop".into(), "/subscriptions/s1".into(), true));
        assert!(of("PastDue").2 && !of("Disabled").2 && !of("Deleted").2);
    }

    #[test]
    fn a_management_group_belongs_to_no_subscription() {
        let id = "/providers/Microsoft.Management/managementGroups/Prod";
        let group = management_group(json!({"id": id, "name": "Prod", "properties": {"displayName": "Production"}}));
        let group = group.unwrap();
        assert_eq!((group.name.as_str(), group.account), ("Production", None));
        assert_eq!(group.native_id.as_str(), "/providers/microsoft.management/managementgroups/prod");
    }
}
