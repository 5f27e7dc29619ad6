use serde_json::{Value, json};

use crate::world::{Cluster, KindKey, kinds};

fn served(cluster: &Cluster) -> impl Iterator<Item = &'static KindKey> {
    kinds::ALL.iter().filter(|key| cluster.serves(**key))
}

/// `/version`.
pub(crate) fn version(cluster: &Cluster) -> Value {
    let (major, minor) = cluster.version.split_once('.').unwrap_or(("1", "0"));
    json!({
        "major": major, "minor": minor, "gitVersion": cluster.git_version(), "gitCommit": "0d8f6e9bd1cd8bc3b2a9a7b1bf1ba0a8a1a4f3c2",
        "gitTreeState": "clean", "buildDate": "2026-06-10T12:00:00Z", "goVersion": "go1.24.5", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// `/api`.
pub(crate) fn core() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:443" }] })
}

/// `/apis`.
pub(crate) fn groups(cluster: &Cluster) -> Value {
    let mut groups: Vec<(&str, Vec<&str>)> = vec![("authorization.k8s.io", vec!["v1"])];
    for key in served(cluster).filter(|key| !key.group.is_empty()) {
        match groups.iter_mut().find(|(group, _)| *group == key.group) {
            Some((_, versions)) if versions.contains(&key.version) => {}
            Some((_, versions)) => versions.push(key.version),
            None => groups.push((key.group, vec![key.version])),
        }
    }
    let group = |(name, versions): &(&str, Vec<&str>)| {
        let versions: Vec<Value> = versions
            .iter()
            .map(|version| json!({ "groupVersion": format!("{name}/{version}"), "version": version }))
            .collect();
        json!({ "name": name, "versions": versions, "preferredVersion": versions[0] })
    };
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups.iter().map(group).collect::<Vec<_>>() })
}

/// `/api/v1` and `/apis/<group>/<version>`; `None` when the cluster has no such API.
pub(crate) fn resources(cluster: &Cluster, group: &str, version: &str) -> Option<Value> {
    let mut resources: Vec<Value> = served(cluster)
        .filter(|key| key.group == group && key.version == version)
        .map(|key| {
            json!({ "name": key.plural, "singularName": key.kind.to_lowercase(), "namespaced": key.namespaced(), "kind": key.kind,
                    "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"] })
        })
        .collect();
    if (group, version) == ("authorization.k8s.io", "v1") {
        resources.push(
            json!({ "name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview", "namespaced": false,
            "kind": "SelfSubjectAccessReview", "verbs": ["create"] }),
        );
    }
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!resources.is_empty())
        .then(|| json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources }))
}
