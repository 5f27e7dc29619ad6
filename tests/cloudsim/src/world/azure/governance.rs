//! Plans of Defender for Cloud and role assignments, as Azure Resource Manager lists them for a subscription.

use serde_json::{Value, json};

use super::Subscription;
use crate::world::draft::timestamp;
use crate::world::plan::Cluster;
use crate::world::seed::Seed;

// Ids of built-in roles, the same in every directory.
const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const ACR_PULL: &str = "7f951dda-4ed3-4680-a7ca-43fe172d538d";
const ACR_PUSH: &str = "8311e382-0749-4cb8-b61a-304f252e45ec";

/// What a subscription pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defense {
    Free,
    Containers,
}

/// Who a role is given to.
struct Principal {
    kind: &'static str,
    id: String,
}

/// The plans of a subscription: every one is listed, paid or not.
pub(super) fn plans(subscription: &str, defense: Defense) -> Vec<Value> {
    let plan = |name: &str, mut properties: Value| {
        properties["freeTrialRemainingTime"] = json!("PT0S");
        let id = format!("/subscriptions/{subscription}/providers/Microsoft.Security/pricings/{name}");
        json!({ "id": id, "name": name, "type": "Microsoft.Security/pricings", "properties": properties })
    };
    let free = json!({ "pricingTier": "Free" });
    let extension = |name: &str, enabled: &str| json!({ "name": name, "isEnabled": enabled });
    let containers = match defense {
        Defense::Free => free.clone(),
        Defense::Containers => json!({ "pricingTier": "Standard", "enablementTime": timestamp(86_400), "extensions": [
            extension("ContainerRegistriesVulnerabilityAssessments", "True"),
            extension("AgentlessDiscoveryForKubernetes", "True"), extension("ContainerSensor", "True"),
            extension("AgentlessVmScanning", "False") ] }),
    };
    vec![plan("CloudPosture", free), plan("Containers", containers)]
}

/// A role in the whole directory: every subscription of it lists the same assignment.
pub(super) fn inherited(seed: Seed, subscription: &str, directory: &str) -> Value {
    let group = format!("/providers/Microsoft.Management/managementGroups/{directory}");
    let auditors = Principal { kind: "Group", id: seed.child("auditors").uuid() };
    assignment(seed, subscription, &group, READER, &auditors)
}

fn assignment(seed: Seed, subscription: &str, scope: &str, role: &str, principal: &Principal) -> Value {
    let name = seed.child("role").child(scope).child(role).child(&principal.id).uuid();
    let (time, writer) = (timestamp(604_800), seed.child("writer").uuid());
    json!({ "id": format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"), "name": name,
        "type": "Microsoft.Authorization/roleAssignments", "properties": {
            "roleDefinitionId":
                format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"),
            "principalId": principal.id, "principalType": principal.kind, "scope": scope,
            "condition": null, "conditionVersion": null, "description": null,
            "delegatedManagedIdentityResourceId": null,
            "createdOn": time, "updatedOn": time, "createdBy": writer, "updatedBy": writer } })
}

impl Subscription {
    /// Pays for the protection of containers.
    pub(crate) fn defend(&mut self) {
        self.plans = plans(&self.id, Defense::Containers);
    }

    /// Gives roles of its own: somebody owns the clusters' group; the cluster may pull from the registry, and one user
    /// may push to it.
    pub(crate) fn assign_roles(&mut self, seed: Seed, registry: &str, cluster: &Cluster) {
        let group = format!("/subscriptions/{}/resourceGroups/clusters", self.id);
        let registry = self.id_of("registries", "Microsoft.ContainerRegistry/registries", registry);
        let user = |name: &str| Principal { kind: "User", id: seed.child("user").child(name).uuid() };
        let kubelet = Principal { kind: "ServicePrincipal", id: super::aks::kubelet(cluster) };
        let (owner, release) = (user("platform"), user("release"));
        for (scope, role, principal) in
            [(&group, OWNER, owner), (&registry, ACR_PULL, kubelet), (&registry, ACR_PUSH, release)]
        {
            self.role_assignments.push(assignment(seed, &self.id, scope, role, &principal));
        }
    }
}
