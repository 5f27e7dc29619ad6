use rampart_domain::Factor;
use serde_json::Value;

use super::Circumstance;

/// Capabilities with which a container leaves its confinement.
const CAPABILITIES: [&str; 6] = ["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "BPF"];

/// Paths of the node through which it is taken over; what lies below the last three counts, too.
const PATHS: [&str; 3] = ["/", "/var", "/var/run"];
const TREES: [&str; 6] = ["/etc", "/root", "/proc", "/var/lib/kubelet", "/var/lib/docker", "/var/run/docker.sock"];

/// How what runs by a pod spec could take over its node; `None` when it cannot.
pub fn privilege(spec: &Value) -> Option<Circumstance> {
    let because = privileged_container(spec).or_else(|| shares_processes(spec)).or_else(|| mounts_node(spec))?;
    Some(Circumstance::new(Factor::Privileged, because))
}

fn privileged_container(spec: &Value) -> Option<String> {
    let lists = ["containers", "initContainers", "ephemeralContainers"].into_iter();
    lists.flat_map(|list| items(spec, list)).find_map(|container| {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let context = container.get("securityContext")?;
        if context.get("privileged") == Some(&Value::Bool(true)) {
            return Some(format!("container {name} is privileged"));
        }
        if windows_host_process(context) {
            return Some(format!("container {name} is a process of its Windows host"));
        }
        let added = context.pointer("/capabilities/add").and_then(Value::as_array).into_iter().flatten();
        let added = added.filter_map(Value::as_str).map(str::to_ascii_uppercase);
        let mut plain = added.map(|it| it.strip_prefix("CAP_").map_or_else(|| it.clone(), str::to_owned));
        let found = plain.find(|capability| CAPABILITIES.contains(&capability.as_str()))?;
        Some(format!("container {name} has the capability {found}"))
    })
}

fn windows_host_process(context: &Value) -> bool {
    context.pointer("/windowsOptions/hostProcess") == Some(&Value::Bool(true))
}

fn shares_processes(spec: &Value) -> Option<String> {
    if spec.get("hostPID") == Some(&Value::Bool(true)) {
        return Some("it shares the processes of its node".to_owned());
    }
    let windows = spec.get("securityContext").is_some_and(windows_host_process);
    windows.then(|| "it is a process of its Windows host".to_owned())
}

fn mounts_node(spec: &Value) -> Option<String> {
    items(spec, "volumes").find_map(|volume| {
        let given = volume.pointer("/hostPath/path")?.as_str()?;
        let path = match given.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        let below = |tree: &str| path == tree || path.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/'));
        let socket = path.rsplit_once('.').is_some_and(|(_, end)| end == "sock");
        let takes_over = PATHS.contains(&path) || path == "/run" || socket || TREES.iter().any(|tree| below(tree));
        takes_over.then(|| format!("it mounts {given} of its node"))
    })
}

fn items<'a>(holder: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    holder.get(field).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::privilege;

    #[track_caller]
    fn check(spec: &Value, expected: Option<&str>) {
        assert_eq!(privilege(spec).map(|found| found.because).as_deref(), expected, "{spec}");
    }

    #[test]
    fn containers_of_every_sort_count() {
        let of = |list: &str, context: Value| json!({ list: [{"name": "a", "securityContext": context}] });
        check(&of("containers", json!({"privileged": true})), Some("container a is privileged"));
        check(&of("ephemeralContainers", json!({"privileged": true})), Some("container a is privileged"));
        check(&of("containers", json!({"privileged": false})), None);
        check(&of("containers", json!({})), None);
        let adds = |capability: &str| of("initContainers", json!({"capabilities": {"add": [capability]}}));
        check(&adds("CAP_SYS_ADMIN"), Some("container a has the capability SYS_ADMIN"));
        check(&adds("all"), Some("container a has the capability ALL"));
        check(&adds("NET_BIND_SERVICE"), None);
    }

    #[test]
    fn so_do_the_nodes_processes_and_files() {
        check(&json!({"hostPID": true}), Some("it shares the processes of its node"));
        let mounts = |path: &str| json!({"volumes": [{"name": "v", "hostPath": {"path": path}}]});
        check(&mounts("/"), Some("it mounts / of its node"));
        check(&mounts("/etc/kubernetes/"), Some("it mounts /etc/kubernetes/ of its node"));
        check(
            &mounts("/run/containerd/containerd.sock"),
            Some("it mounts /run/containerd/containerd.sock of its node"),
        );
        check(&mounts("/var/log"), None);
        check(&mounts("/etcetera"), None);
        check(&json!({"volumes": [{"name": "v", "emptyDir": {}}]}), None);
    }
}
