use rampart_domain::{Kind, NativeId};
use serde_json::Value;

use crate::Node;

const RBAC: &str = "rbac.authorization.k8s.io";
/// How a service account is called where users are named: `system:serviceaccount:<namespace>:<name>`.
const ACCOUNT_USER: &str = "system:serviceaccount:";

/// The role and the subjects of a binding; nothing for other kinds.
pub(crate) fn binds(node: &Node<'_>) -> Vec<(NativeId, Option<Kind>)> {
    if !matches!(node.kind, Kind::K8sRoleBinding | Kind::K8sClusterRoleBinding) {
        return Vec::new();
    }
    let subjects = node.config.get("subjects").and_then(Value::as_array).into_iter().flatten();
    role(node).into_iter().chain(subjects.filter_map(|it| subject(node, it))).collect()
}

fn role(node: &Node<'_>) -> Option<(NativeId, Option<Kind>)> {
    let reference = node.config.get("roleRef")?;
    let name = reference.get("name")?.as_str()?;
    match reference.get("kind")?.as_str()? {
        "ClusterRole" => Some((node.object(RBAC, "ClusterRole", "", name), Some(Kind::K8sClusterRole))),
        "Role" => Some((node.sibling(RBAC, "Role", name), Some(Kind::K8sRole))),
        _ => None,
    }
}

fn subject(node: &Node<'_>, subject: &Value) -> Option<(NativeId, Option<Kind>)> {
    let name = subject.get("name")?.as_str()?;
    let account = |namespace: &str, name: &str| {
        (node.object("", "ServiceAccount", namespace, name), Some(Kind::K8sServiceAccount))
    };
    match subject.get("kind")?.as_str()? {
        "ServiceAccount" => {
            let namespace = subject.get("namespace").and_then(Value::as_str).or(node.namespace);
            Some(account(namespace.unwrap_or_default(), name))
        }
        "User" => match name.strip_prefix(ACCOUNT_USER).and_then(|account| account.split_once(':')) {
            Some((namespace, name)) => Some(account(namespace, name)),
            None => Some((node.object(RBAC, "User", "", name), None)),
        },
        "Group" => Some((node.object(RBAC, "Group", "", name), None)),
        _ => None,
    }
}
