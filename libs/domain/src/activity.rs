use serde_json::{Map, Value};

use crate::Kind;

/// Whether anything of a Kubernetes object runs or answers, as far as the object itself tells.
pub fn is_active(kind: Kind, object: &Map<String, Value>) -> bool {
    let spec = object.get("spec");
    let flag = |name: &str| spec.and_then(|spec| spec.get(name)).and_then(Value::as_bool) == Some(true);
    let replicas = || spec.and_then(|spec| spec.get("replicas")).and_then(Value::as_u64);
    match kind {
        Kind::K8sPod => {
            !matches!(object.get("status").and_then(|s| s.get("phase")?.as_str()), Some("Succeeded" | "Failed"))
        }
        Kind::K8sDeployment | Kind::K8sStatefulSet | Kind::K8sReplicaSet | Kind::K8sReplicationController => {
            replicas() != Some(0)
        }
        Kind::K8sCronJob => !flag("suspend"),
        Kind::K8sJob => !flag("suspend") && !is_finished(object),
        _ => true,
    }
}

fn is_finished(job: &Map<String, Value>) -> bool {
    let conditions = job.get("status").and_then(|status| status.get("conditions")).and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        matches!(condition.get("type").and_then(Value::as_str), Some("Complete" | "Failed"))
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}
