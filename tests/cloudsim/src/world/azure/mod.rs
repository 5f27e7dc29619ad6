//! Azure subscriptions with their clusters, registries, plans and role assignments, in the shapes of Azure's own APIs.

mod acr;
mod aks;
mod governance;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::plan::{Cluster, Home};
use super::seed::Seed;

pub(crate) use acr::registry;
pub(crate) use aks::cluster;
use governance::Defense;

/// An Azure subscription, with the application that may read it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// UUID.
    pub id: String,
    /// UUID of its directory.
    pub tenant_id: String,
    /// Name shown to people.
    pub name: String,
    /// UUID of the application.
    pub client_id: String,
    /// Its secret; worth nothing outside the simulator.
    pub client_secret: String,
    /// The application that may read every subscription of the directory.
    pub reader: Application,
    /// Management group that it lies in; directly below the directory's root without one.
    pub group: Option<String>,
    /// `Enabled`, `Disabled` and so on.
    pub state: &'static str,
    /// Clusters by name.
    pub clusters: BTreeMap<String, AksCluster>,
    /// Container registries by name.
    pub registries: BTreeMap<String, AzureRegistry>,
    /// Clusters connected through Arc, with their extensions, by name.
    pub connected: BTreeMap<String, (Value, Vec<Value>)>,
    /// Plans of Defender for Cloud.
    pub plans: Vec<Value>,
    /// Role assignments above the subscription, of it and below it.
    pub role_assignments: Vec<Value>,
}

/// An application of a directory.
#[derive(Debug, Clone)]
pub struct Application {
    /// UUID.
    pub client_id: String,
    /// Its secret; worth nothing outside the simulator.
    pub client_secret: String,
}

/// What Azure Resource Manager knows of a managed cluster; each value is an object as the API returns it.
#[derive(Debug, Clone)]
pub struct AksCluster {
    /// The cluster.
    pub cluster: Value,
    /// Its agent pools.
    pub agent_pools: Vec<Value>,
    /// Its maintenance configurations.
    pub maintenance: Vec<Value>,
    /// Its trusted-access role bindings.
    pub trusted_access: Vec<Value>,
    /// Its diagnostic settings.
    pub diagnostics: Vec<Value>,
}

/// What Azure knows of a container registry.
#[derive(Debug, Clone)]
pub struct AzureRegistry {
    /// The registry.
    pub registry: Value,
    /// What it has, by the last word of the type: `replications`, `webhooks`, `tokens`, `scopeMaps`.
    pub children: BTreeMap<&'static str, Vec<Value>>,
    /// Repositories by name.
    pub repositories: BTreeMap<String, AzureRepository>,
}

/// What a registry's data plane knows of a repository.
#[derive(Debug, Clone)]
pub struct AzureRepository {
    /// Its attributes.
    pub attributes: Value,
    /// Its manifests.
    pub manifests: Vec<Value>,
    /// Its tags.
    pub tags: Vec<Value>,
}

impl Subscription {
    pub(crate) fn new(seed: Seed, name: &str) -> Self {
        let own = seed.child("subscription").child(name);
        let directory = seed.child("directory");
        let (id, tenant_id) = (own.uuid(), directory.uuid());
        Self {
            plans: governance::plans(&id, Defense::Free),
            role_assignments: vec![governance::inherited(seed, &id, &tenant_id)],
            id,
            tenant_id,
            name: name.to_owned(),
            client_id: own.child("application").uuid(),
            client_secret: own.child("secret").hex(40),
            reader: Application {
                client_id: directory.child("application").uuid(),
                client_secret: directory.child("secret").hex(40),
            },
            group: None,
            state: "Enabled",
            clusters: BTreeMap::new(),
            registries: BTreeMap::new(),
            connected: BTreeMap::new(),
        }
    }

    /// The secret of an application that may read it.
    pub(crate) fn secret_of(&self, client_id: &str) -> Option<&str> {
        if client_id == self.client_id {
            return Some(&self.client_secret);
        }
        (client_id == self.reader.client_id).then_some(&*self.reader.client_secret)
    }

    /// As Azure Resource Manager returns it.
    pub fn value(&self) -> Value {
        json!({ "id": format!("/subscriptions/{}", self.id), "subscriptionId": self.id, "tenantId": self.tenant_id,
            "displayName": self.name, "state": self.state, "authorizationSource": "RoleBased", "managedByTenants": [],
            "subscriptionPolicies": { "locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off" } })
    }

    /// Puts in what Azure Resource Manager knows of a cluster of this subscription.
    pub(crate) fn place(&mut self, planned: &Cluster) {
        if let Home::Aks { subscription, .. } = &planned.home
            && *subscription == self.id
            && let Some(cluster) = cluster(planned)
        {
            self.clusters.insert(planned.name.clone(), cluster);
        }
    }

    /// A cluster of somebody's own that its owner connected through Arc.
    pub(crate) fn connect(&mut self, seed: Seed, name: &str) {
        let seed = seed.child("arc").child(name);
        let id = self.id_of("edge", "Microsoft.Kubernetes/connectedClusters", name);
        let cluster = json!({ "id": id, "name": name, "type": "Microsoft.Kubernetes/connectedClusters",
            "location": "West Europe", "tags": { "site": name }, "identity": { "type": "SystemAssigned",
                "principalId": seed.uuid(), "tenantId": self.tenant_id },
            "properties": { "agentPublicKeyCertificate": "MIICYzCCAcygAwIBAgIBADANBgkqhkiG9w0BAQUFADAu",
                "provisioningState": "Succeeded", "connectivityStatus": "Connected", "distribution": "k3s",
                "infrastructure": "generic", "kubernetesVersion": "1.33.4", "agentVersion": "1.21.10",
                "totalNodeCount": 3, "totalCoreCount": 12, "offering": "",
                "lastConnectivityTime": "2026-11-01T00:00:00Z", "managedIdentityCertificateExpirationTime": "2027-01-01T00:00:00Z" } });
        let extension = json!({ "id": format!("{id}/providers/Microsoft.KubernetesConfiguration/extensions/microsoft-defender"),
            "name": "microsoft-defender", "type": "Microsoft.KubernetesConfiguration/extensions",
            "properties": { "extensionType": "microsoft.azuredefender.kubernetes", "autoUpgradeMinorVersion": true,
                "releaseTrain": "Stable", "version": "1.7.4", "provisioningState": "Succeeded",
                "configurationSettings": {}, "configurationProtectedSettings": {}, "scope": { "cluster": { "releaseNamespace": "mdc" } } } });
        self.connected.insert(name.to_owned(), (cluster, vec![extension]));
    }

    pub(crate) fn id_of(&self, group: &str, of_type: &str, name: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/{group}/providers/{of_type}/{name}", self.id)
    }
}
