use rampart_domain::{Kind, selects, selects_pairs};
use serde_json::Value;

use crate::{Edge, EdgeKind, Node};

/// The `selects` edges of a service or network policy to those of `workloads` (workloads and pods, of any namespace) that
/// lie in its namespace and cluster and have the labels. Other kinds of `selector` have none.
pub fn select<'a>(selector: &Node<'_>, workloads: impl IntoIterator<Item = Node<'a>>) -> Vec<Edge> {
    let Some(wanted) = Wanted::of(selector) else { return Vec::new() };
    let is_beside = |it: &Node<'a>| it.cluster_uid == selector.cluster_uid && it.namespace == selector.namespace;
    let taken = workloads.into_iter().filter(is_beside).filter(|workload| wanted.takes(workload));
    let edge = |workload: Node<'a>| Edge {
        kind: EdgeKind::Selects,
        from: selector.native_id.clone(),
        to: workload.native_id.clone(),
        expects: Some(workload.kind),
    };
    taken.map(edge).collect()
}

/// The two forms of selectors.
enum Wanted<'a> {
    Pairs(&'a serde_json::Map<String, Value>),
    Selector(&'a Value),
}

impl<'a> Wanted<'a> {
    fn of(node: &Node<'a>) -> Option<Self> {
        match node.kind {
            // A service without a selector has endpoints of its own and selects nothing.
            Kind::K8sService => {
                let pairs = node.config.pointer("/spec/selector")?.as_object()?;
                (!pairs.is_empty()).then_some(Self::Pairs(pairs))
            }
            Kind::K8sNetworkPolicy => Some(Self::Selector(node.config.pointer("/spec/podSelector")?)),
            _ => None,
        }
    }

    fn takes(&self, workload: &Node<'_>) -> bool {
        let none = serde_json::Map::new();
        if !workload.kind.is_workload() {
            return false;
        }
        let labels = workload.pod_labels().unwrap_or(&none);
        match self {
            Self::Pairs(pairs) => selects_pairs(pairs, labels),
            Self::Selector(selector) => selects(selector, labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use rampart_domain::{Kind, NativeId};
    use serde_json::{Value, json};

    use super::select;
    use crate::Node;

    fn node<'a>(kind: Kind, id: &'a NativeId, namespace: &'a str, config: &'a Value) -> Node<'a> {
        Node { kind, native_id: id, cluster_uid: "c1", namespace: Some(namespace), owner: None, config }
    }

    #[track_caller]
    fn check(kind: Kind, spec: &Value, expected: &[&str]) {
        let [selector, web, db, other, bare] = ["selector", "web", "db", "other", "bare"].map(NativeId::new);
        let template = |app: &str| json!({"spec": {"template": {"metadata": {"labels": {"app": app}}}}});
        let (web_config, db_config) = (template("web"), json!({"metadata": {"labels": {"app": "db"}}}));
        let (config, bare_config) = (json!({ "spec": spec }), json!({}));
        let workloads = [
            node(Kind::K8sDeployment, &web, "a", &web_config),
            node(Kind::K8sPod, &db, "a", &db_config),
            node(Kind::K8sDeployment, &other, "b", &web_config),
            node(Kind::K8sPod, &bare, "a", &bare_config),
        ];
        let edges = select(&node(kind, &selector, "a", &config), workloads);
        assert_eq!(edges.iter().map(|edge| edge.to.as_str()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn services_select_by_pairs_within_their_namespace() {
        check(Kind::K8sService, &json!({"selector": {"app": "web"}}), &["web"]);
        check(Kind::K8sService, &json!({"selector": {}}), &[]);
        check(Kind::K8sService, &json!({}), &[]);
    }

    #[test]
    fn network_policies_select_by_selector_and_everything_when_empty() {
        check(Kind::K8sNetworkPolicy, &json!({"podSelector": {}}), &["web", "db", "bare"]);
        check(Kind::K8sNetworkPolicy, &json!({"podSelector": {"matchLabels": {"app": "db"}}}), &["db"]);
        let exists = json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}});
        check(Kind::K8sNetworkPolicy, &exists, &["web", "db"]);
        check(Kind::K8sIngress, &json!({"podSelector": {}}), &[]);
    }
}
