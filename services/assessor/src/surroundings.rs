use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rampart_domain::{Cloud, Criticality, Factor, Kind, NativeId, UnitId, selects_pairs};
use rampart_posture::risk::{self, Circumstance};
use rampart_store::context::{self, Context};
use rampart_store::verdict::{self, StoredResource, UnitPlace};
use rampart_store::{StoreError, TenantTx};
use serde_json::{Map, Value};

use crate::edges;
use crate::identities::Identities;
use crate::rules::Rules;

/// Routes of the Gateway API. They may lead to services of other namespaces.
pub(crate) const ROUTES: [Kind; 4] = [Kind::K8sHttpRoute, Kind::K8sGrpcRoute, Kind::K8sTlsRoute, Kind::K8sTcpRoute];

/// What the resources of a unit stand among, as far as it bears on risk and on who mends what.
///
/// It is read from the inventory and not from stored edges: those are derived at the end of a run, and a context must not be
/// a run behind the verdicts beside it.
pub(crate) struct Surroundings {
    rules: Arc<Rules>,
    identities: Arc<Identities>,
    cloud: Cloud,
    /// Labels of namespaces.
    labels: HashMap<String, Map<String, Value>>,
    /// Services that lead to pods from outside, by namespace.
    leads: HashMap<String, Vec<Lead>>,
}

/// A service that leads to pods from outside of the cluster.
pub(crate) struct Lead {
    selector: Map<String, Value>,
    ways: Vec<Circumstance>,
}

/// A judged resource as findings on it stand.
pub(crate) struct Stand {
    /// Its context.
    pub(crate) context: Context,
    /// Its labels over those of its namespace.
    pub(crate) labels: Map<String, Value>,
}

impl Surroundings {
    /// Reads what lies around the resources of some namespaces, or of all.
    pub(crate) async fn load(
        tx: &mut TenantTx,
        (unit, place): (UnitId, &UnitPlace),
        (rules, identities): (Arc<Rules>, Arc<Identities>),
        namespaces: Option<&[String]>,
    ) -> Result<Self, StoreError> {
        let mut around = Self { rules, identities, cloud: place.cloud, labels: HashMap::new(), leads: HashMap::new() };
        if !place.is_cluster {
            return Ok(around);
        }
        for (name, labels) in context::namespace_labels(tx, unit).await? {
            around.labels.insert(name, labels.as_object().cloned().unwrap_or_default());
        }
        let near = [Kind::K8sService, Kind::K8sIngress];
        let mut found = verdict::neighbours(tx, unit, place, &near, namespaces).await?;
        found.extend(verdict::neighbours(tx, unit, place, &ROUTES, None).await?);
        around.leads = leads(&found, place.cloud);
        Ok(around)
    }

    /// How findings on a resource stand.
    pub(crate) fn stand(&self, resource: &StoredResource) -> Stand {
        let of_namespace = resource.namespace.as_ref().and_then(|namespace| self.labels.get(namespace));
        let own = resource.labels.as_object();
        let mut labels = of_namespace.cloned().unwrap_or_default();
        labels.extend(own.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
        let mut found: Vec<Circumstance> = self.environment(resource, own, of_namespace).into_iter().collect();
        found.extend(self.importance(resource, &labels));
        found.extend(self.exposure(resource));
        found.extend(self.power(resource));
        found.sort_unstable();
        found.dedup();
        let context = Context {
            resource_id: resource.id,
            namespace: resource.namespace.clone(),
            weight: risk::weigh(&found),
            factors: found.iter().map(Circumstance::to_json).collect(),
        };
        Stand { context, labels }
    }

    /// The nearest label speaks: of the resource, its namespace, its cluster.
    fn environment(
        &self,
        resource: &StoredResource,
        own: Option<&Map<String, Value>>,
        of_namespace: Option<&Map<String, Value>>,
    ) -> Option<Circumstance> {
        let near = own.and_then(|labels| risk::environment(labels, "it"));
        let namespace = || {
            let whose = format!("its namespace {}", resource.namespace.as_deref().unwrap_or_default());
            risk::environment(of_namespace?, &whose)
        };
        let cluster = || {
            let (name, labels) = self.rules.cluster.as_ref()?;
            risk::environment(labels, &format!("its cluster {name}"))
        };
        near.or_else(namespace).or_else(cluster)
    }

    fn importance(&self, resource: &StoredResource, labels: &Map<String, Value>) -> Option<Circumstance> {
        // A namespace lies in itself.
        let own = (resource.kind == Kind::K8sNamespace).then_some(resource.name.as_str());
        let (level, rule) = self.rules.importance(resource.namespace.as_deref().or(own), labels)?;
        let factor = match level {
            Criticality::Critical => Factor::CriticalityCritical,
            Criticality::High => Factor::CriticalityHigh,
            Criticality::Low => Factor::CriticalityLow,
        };
        Some(Circumstance::new(factor, format!("criticality rule {rule}")))
    }

    fn exposure(&self, resource: &StoredResource) -> Vec<Circumstance> {
        if resource.kind == Kind::K8sService {
            let own = risk::service(&resource.name, &resource.config, self.cloud);
            let kind = resource.config.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP");
            let because = format!("it is a service of type {kind}");
            return own.map(|own| Circumstance::new(own.factor, because)).into_iter().collect();
        }
        if let Some(endpoint) = risk::endpoint(resource.kind, &resource.config) {
            return vec![endpoint];
        }
        // What does not run answers nobody.
        if !resource.kind.is_workload() || !resource.active {
            return Vec::new();
        }
        let spec = resource.kind.pod_spec_pointer().and_then(|pointer| resource.config.pointer(pointer));
        let own = spec.and_then(risk::node_port);
        let leads = resource.namespace.as_ref().and_then(|namespace| self.leads.get(namespace));
        let native = NativeId::new(resource.native_id.as_str());
        let none = Map::new();
        let pods = edges::node(resource, &native, None).pod_labels().unwrap_or(&none);
        let leading = leads.into_iter().flatten().filter(|lead| selects_pairs(&lead.selector, pods));
        leading.flat_map(|lead| lead.ways.iter().cloned()).chain(own).collect()
    }

    fn power(&self, resource: &StoredResource) -> Vec<Circumstance> {
        let namespace = resource.namespace.as_deref().unwrap_or_default();
        if resource.kind == Kind::K8sServiceAccount {
            let may = self.identities.of_account(namespace, &resource.name);
            return may
                .map(|may| Circumstance::new(Factor::SensitiveIdentity, format!("it {may}")))
                .into_iter()
                .collect();
        }
        let spec = resource.kind.pod_spec_pointer().and_then(|pointer| resource.config.pointer(pointer));
        let Some(spec) = spec else { return Vec::new() };
        let identity = self.identities.of_pods(resource.kind, namespace, spec).map(|(account, may)| {
            Circumstance::new(Factor::SensitiveIdentity, format!("its service account {account} {may}"))
        });
        risk::privilege(spec).into_iter().chain(identity).collect()
    }
}

/// The services among some resources that lead to pods from outside, by namespace.
pub(crate) fn leads(found: &[StoredResource], cloud: Cloud) -> HashMap<String, Vec<Lead>> {
    let mut through: BTreeMap<(String, String), Vec<Circumstance>> = BTreeMap::new();
    for resource in found.iter().filter(|resource| resource.kind != Kind::K8sService) {
        let namespace = resource.namespace.as_deref().unwrap_or_default();
        for backend in risk::backends(resource.kind, &resource.name, namespace, &resource.config) {
            through.entry((backend.namespace, backend.service)).or_default().push(backend.circumstance);
        }
    }
    let mut leads: HashMap<String, Vec<Lead>> = HashMap::new();
    for service in found.iter().filter(|resource| resource.kind == Kind::K8sService) {
        let selector = service.config.pointer("/spec/selector").and_then(Value::as_object);
        // A service without a selector selects nothing.
        let Some(selector) = selector.filter(|selector| !selector.is_empty()) else { continue };
        let namespace = service.namespace.clone().unwrap_or_default();
        let mut ways = through.remove(&(namespace.clone(), service.name.clone())).unwrap_or_default();
        ways.extend(risk::service(&service.name, &service.config, cloud));
        if !ways.is_empty() {
            leads.entry(namespace).or_default().push(Lead { selector: selector.clone(), ways });
        }
    }
    leads
}
