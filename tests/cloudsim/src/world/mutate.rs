use serde_json::{Value, json};

use super::draft::Object;
use super::kinds::{self, KindKey};
use super::seed::Seed;

/// One round of changes: which share of the objects, chosen by which seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) fraction: f64,
    pub(crate) seed: Seed,
    /// Resource version of what it changed.
    pub(crate) version: u64,
}

/// The seed of a round's change to an object, when the round chose it.
pub(crate) fn chosen(round: Round, cluster: &str, (key, object): &Object) -> Option<Seed> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let seed = round.seed.child(cluster).child(key.plural).child(text("namespace")).child(text("name"));
    (seed.unit() < round.fraction).then_some(seed)
}

/// Applies a round to an object.
pub(crate) fn apply(round: Round, cluster: &str, object: &mut Object) {
    if let Some(seed) = chosen(round, cluster, object) {
        change(object.0, &mut object.1, seed);
        object.1["metadata"]["resourceVersion"] = round.version.to_string().into();
    }
}

/// A change that matters to security where the kind allows one, else one of labels.
fn change(key: KindKey, object: &mut Value, seed: Seed) {
    let pod = match key {
        kinds::POD => object.pointer_mut("/spec"),
        kinds::CRON_JOB => object.pointer_mut("/spec/jobTemplate/spec/template/spec"),
        kinds::DEPLOYMENT | kinds::STATEFUL_SET | kinds::DAEMON_SET | kinds::REPLICA_SET | kinds::ROLLOUT => {
            object.pointer_mut("/spec/template/spec")
        }
        _ => None,
    };
    if let Some(spec) = pod {
        match seed.child("what").below(4) {
            0 => toggle(&mut spec["hostNetwork"]),
            1 => toggle(&mut spec["containers"][0]["securityContext"]["privileged"]),
            2 => toggle(&mut spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"]),
            _ => spec["containers"][0]["image"] = format!("docker.io/library/nginx:1.28.{}", seed.below(50)).into(),
        }
    } else if key == kinds::ROLE || key == kinds::CLUSTER_ROLE {
        if let Some(rules) = object["rules"].as_array_mut() {
            rules.push(json!({ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"] }));
        }
    } else if key == kinds::NETWORK_POLICY {
        object["spec"]["ingress"] = json!([{}]);
    } else if key == kinds::SERVICE {
        object["spec"]["externalIPs"] = json!([format!("203.0.113.{}", seed.below(250) + 1)]);
    } else {
        object["metadata"]["labels"]["revised"] = seed.suffix(8).into();
    }
}

fn toggle(field: &mut Value) {
    *field = Value::Bool(*field != Value::Bool(true));
}
