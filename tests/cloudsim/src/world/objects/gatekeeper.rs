use serde_json::json;

use super::base;
use crate::world::draft::{Draft, Object};
use crate::world::kinds::{self, Feature};
use crate::world::plan::Cluster;

const REGO: &str = r#"package k8spspprivileged

violation[{"msg": msg, "details": {}}] {
  c := input_containers[_]
  c.securityContext.privileged
  msg := sprintf("Privileged container is not allowed: %v, securityContext: %v", [c.name, c.securityContext])
}

input_containers[c] { c := input.review.object.spec.containers[_] }
input_containers[c] { c := input.review.object.spec.initContainers[_] }
input_containers[c] { c := input.review.object.spec.ephemeralContainers[_] }
"#;

/// Gatekeeper's namespace and webhook, a template of its library and a constraint that denies; nothing where it is not
/// installed.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    if !cluster.features.contains(&Feature::Gatekeeper) {
        return Vec::new();
    }
    let ignored = json!({ "admission.gatekeeper.sh/ignore": "no-self-managing" });
    let mut objects = base::namespace(cluster, "gatekeeper-system", &ignored);
    let template = json!({ "spec": {
        "crd": { "spec": { "names": { "kind": kinds::PRIVILEGED_CONTAINER.kind }, "validation": { "openAPIV3Schema": { "type": "object" } } } },
        "targets": [{ "target": "admission.k8s.gatekeeper.sh", "rego": REGO }],
    }, "status": { "created": true } });
    let constraint = json!({ "spec": {
        "enforcementAction": "deny",
        "match": { "kinds": [{ "apiGroups": [""], "kinds": ["Pod"] }], "excludedNamespaces": ["kube-*"] },
    }, "status": { "auditTimestamp": "2026-06-10T12:00:00Z", "totalViolations": 0 } });
    let webhook = json!({ "webhooks": [{
        "name": "validation.gatekeeper.sh", "admissionReviewVersions": ["v1", "v1beta1"], "sideEffects": "None",
        "failurePolicy": "Ignore", "timeoutSeconds": 3, "matchPolicy": "Exact", "objectSelector": {},
        "namespaceSelector": { "matchExpressions": [{ "key": "admission.gatekeeper.sh/ignore", "operator": "DoesNotExist" }] },
        "clientConfig": { "service": { "name": "gatekeeper-webhook-service", "namespace": "gatekeeper-system", "path": "/v1/admit", "port": 443 } },
        "rules": [{ "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["*"], "scope": "*" }],
    }] });
    let drafts = [
        Draft::new(kinds::CONSTRAINT_TEMPLATE, None, kinds::PRIVILEGED_CONTAINER.plural, template),
        Draft::new(kinds::PRIVILEGED_CONTAINER, None, "no-privileged-containers", constraint),
        Draft::new(kinds::VALIDATING_WEBHOOK, None, "gatekeeper-validating-webhook-configuration", webhook),
    ];
    objects.extend(drafts.into_iter().map(|draft| draft.managed_by("helm").build(cluster.seed)));
    objects
}
