use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use super::{Place, drop_fields};

/// Churn: who wrote an assignment, and when, says nothing of what it grants.
const WRITTEN: &[&str] = &["createdOn", "createdBy", "updatedOn", "updatedBy"];
const SUBSCRIPTIONS: &str = "/subscriptions/";

/// A plan of Defender for Cloud. What is left of a free trial counts down by itself.
pub(crate) fn security_plan(place: &Place, mut listed: Value) -> Option<Resource> {
    if let Some(properties) = listed.get_mut("properties") {
        drop_fields(properties, &["freeTrialRemainingTime"]);
    }
    place.object(Kind::AzureSecurityPlan, listed)
}

/// An assignment of a role.
///
/// One that is inherited, from a management group or from above all of them, has an id outside of every subscription,
/// and each subscription below lists it. It is kept once per subscription, so that no two connectors claim the same
/// resource: its native id is `/subscriptions/{subscription}` with the whole id that Azure gave it behind.
pub(crate) fn role_assignment(place: &Place, mut listed: Value) -> Option<Resource> {
    if let Some(properties) = listed.get_mut("properties") {
        drop_fields(properties, WRITTEN);
    }
    let mut resource = place.object(Kind::AzureRoleAssignment, listed)?;
    if !resource.native_id.as_str().starts_with(SUBSCRIPTIONS) {
        resource.native_id = NativeId::new(format!("{SUBSCRIPTIONS}{}{}", place.subscription, resource.native_id));
    }
    Some(resource)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ROLE: &str = "/providers/Microsoft.Authorization/roleAssignments/0A";

    #[test]
    fn a_trial_that_runs_out_changes_no_plan() {
        let of = |left: &str| {
            let id = "/subscriptions/S/providers/Microsoft.Security/pricings/Containers";
            let extensions = json!([{"name": "AgentlessDiscoveryForKubernetes", "isEnabled": "True"}]);
            let listed = json!({"id": id, "name": "Containers", "type": "Microsoft.Security/pricings", "properties": {
                "pricingTier": "Standard", "subPlan": null, "freeTrialRemainingTime": left, "extensions": extensions}});
            security_plan(&Place::new("S"), listed).unwrap()
        };
        let plan = of("P29DT23H");
        assert_eq!(plan, of("PT0S"));
        assert_eq!(plan.native_id.as_str(), "/subscriptions/s/providers/microsoft.security/pricings/containers");
        assert_eq!((plan.name.as_str(), plan.account.as_deref(), plan.region), ("Containers", Some("s"), None));
        assert_eq!(plan.config["properties"]["extensions"][0]["isEnabled"], "True");
        assert_eq!(plan.config["properties"]["pricingTier"], "Standard");
    }

    #[test]
    fn an_assignment_is_what_it_grants_and_not_when_it_was_written() {
        let (scope, time) = ("/subscriptions/S/resourceGroups/RG", "2026-01-01T00:00:00Z");
        let listed = json!({"id": format!("{scope}{ROLE}"), "name": "0A", "properties": {
            "roleDefinitionId": "r", "principalId": "p", "principalType": "User", "scope": scope, "condition": null,
            "createdOn": time, "createdBy": "c", "updatedOn": time, "updatedBy": "u"}});
        let one = role_assignment(&Place::new("S"), listed).unwrap();
        let want = json!({"roleDefinitionId": "r", "principalId": "p", "principalType": "User", "scope": scope});
        assert_eq!(one.config["properties"], want);
        let id = format!("/subscriptions/s/resourcegroups/rg{}", ROLE.to_lowercase());
        assert_eq!((one.native_id.as_str(), one.account.as_deref()), (id.as_str(), Some("s")));
    }

    #[test]
    fn an_inherited_assignment_is_one_resource_in_each_subscription() {
        for above in ["", "/providers/Microsoft.Management/managementGroups/Corp"] {
            let given = format!("{above}{ROLE}");
            let of = |subscription: &str| {
                role_assignment(&Place::new(subscription), json!({"id": given, "name": "0A"})).unwrap()
            };
            let (one, other) = (of("S"), of("T"));
            assert_eq!(one.native_id.as_str(), format!("/subscriptions/s{}", given.to_lowercase()));
            assert_eq!(other.native_id.as_str(), format!("/subscriptions/t{}", given.to_lowercase()));
            assert_eq!((one.account.as_deref(), &one.config["id"]), (Some("s"), &json!(given)), "Azure's own id stays");
        }
        assert_eq!(role_assignment(&Place::new("S"), json!({"name": "0A"})), None);
    }
}
