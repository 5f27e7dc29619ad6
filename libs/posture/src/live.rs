//! What runs in live pods without being in the template that their owner states.

use std::collections::BTreeMap;

use rampart_domain::canonical_json;
use serde_json::{Value, json};

use crate::element::{CONTAINER_LISTS, pod_pointer};

/// Pods named per difference; the rest adds nothing that a reader could act on.
const MAX_PODS: usize = 3;

/// A live pod of a workload.
#[derive(Debug, Clone, Copy)]
pub struct LivePod<'a> {
    /// What the provider calls it.
    pub native_id: &'a str,
    /// Its spec.
    pub spec: &'a Value,
}

/// Containers of live pods that the template does not have (injected sidecars, ephemeral containers), or has with
/// another security context. Each is listed once per list, name and security context, with up to three pods.
///
/// The result is JSON, so that it can be stored beside the workload: a list of `{name, level, container, pods}` with
/// `pods` a list of `{native_id, pointer}`. It does not depend on the order of `pods`.
pub fn differences(template: Option<&Value>, pods: &[LivePod<'_>]) -> Value {
    let mut pods = pods.to_vec();
    pods.sort_unstable_by_key(|pod| pod.native_id);
    let mut found: BTreeMap<(usize, &str, String), (&Value, Vec<Value>)> = BTreeMap::new();
    for pod in pods {
        for (order, (list, _)) in CONTAINER_LISTS.into_iter().enumerate() {
            for (index, container) in containers(pod.spec, list).enumerate() {
                let Some(name) = container.get("name").and_then(Value::as_str) else { continue };
                let context = context(container);
                let stated = template.into_iter().flat_map(|template| containers(template, list));
                let mut stated = stated.filter(|other| other.get("name").and_then(Value::as_str) == Some(name));
                if stated.any(|other| self::context(other) == context) {
                    continue;
                }
                let (_, seen) = found.entry((order, name, context)).or_insert((container, Vec::new()));
                if seen.len() < MAX_PODS {
                    seen.push(json!({"native_id": pod.native_id, "pointer": pod_pointer(list, index)}));
                }
            }
        }
    }
    let listed = found.into_iter().map(|((order, name, _), (container, pods))| {
        json!({"name": name, "level": CONTAINER_LISTS[order].1, "container": container, "pods": pods})
    });
    listed.collect()
}

/// The spec of a pod as it comes back after the template of its workload changed from `before` to `after`: what is as the
/// old template states comes as the new one states it, or not at all. What was injected, or changed on the way in, stays.
pub fn rolled_out(before: Option<&Value>, after: Option<&Value>, spec: &Value) -> Value {
    let mut spec = spec.clone();
    let Some(members) = spec.as_object_mut() else { return spec };
    let stated = |template: Option<&Value>| template.and_then(Value::as_object).cloned().unwrap_or_default();
    let (old, new) = (stated(before), stated(after));
    let lists = CONTAINER_LISTS.map(|(list, _)| list);
    for name in old.keys().chain(new.keys()).filter(|name| !lists.contains(&name.as_str())) {
        if members.get(name) != old.get(name) {
            continue;
        }
        match new.get(name) {
            Some(value) => members.insert(name.clone(), value.clone()),
            None => members.remove(name),
        };
    }
    for list in lists {
        let own = members.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let named = |template: Option<&Value>, like: &Value| {
            let mut all = template.into_iter().flat_map(|template| containers(template, list));
            all.find(|container| container.get("name") == like.get("name")).cloned()
        };
        let is_stated = |container: &Value| {
            let mut old = before.into_iter().flat_map(|template| containers(template, list));
            old.any(|old| old.get("name") == container.get("name") && context(old) == context(container))
        };
        let kept =
            own.iter().filter_map(
                |container| if is_stated(container) { named(after, container) } else { Some(container.clone()) },
            );
        let mut rolled: Vec<Value> = kept.collect();
        let added = after.into_iter().flat_map(|template| containers(template, list));
        let is_new =
            |it: &&Value| named(before, it).is_none() && own.iter().all(|own| own.get("name") != it.get("name"));
        rolled.extend(added.filter(is_new).cloned());
        if rolled.is_empty() {
            members.remove(list);
        } else {
            members.insert(list.to_owned(), rolled.into());
        }
    }
    spec
}

fn containers<'a>(spec: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    spec.get(list).and_then(Value::as_array).into_iter().flatten()
}

/// The security context in a comparable form; an absent one equals an empty one.
fn context(container: &Value) -> String {
    container.get("securityContext").map_or_else(|| "{}".to_owned(), canonical_json)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{LivePod, differences, rolled_out};

    #[track_caller]
    fn check(template: &Value, pods: &[Value], expected: &Value) {
        let ids: Vec<_> = (0..pods.len()).map(|index| format!("pod-{index}")).collect();
        let mut live: Vec<_> = pods.iter().zip(&ids).map(|(spec, native_id)| LivePod { native_id, spec }).collect();
        assert_eq!(differences(Some(template), &live), *expected);
        live.reverse();
        assert_eq!(differences(Some(template), &live), *expected, "the order of pods does not matter");
    }

    #[test]
    fn what_the_template_states_is_no_difference() {
        let template = json!({"containers": [{"name": "web", "image": "web:1"}]});
        let defaulted =
            json!({"containers": [{"name": "web", "image": "web:1", "resources": {}, "securityContext": {}}]});
        check(&template, &[defaulted], &json!([]));
    }

    #[test]
    fn injected_and_changed_containers_are_listed_once_with_three_pods() {
        let web = json!({"name": "web"});
        let changed = json!({"name": "web", "securityContext": {"privileged": true}});
        let sidecar = json!({"name": "proxy"});
        let debug = json!({"name": "debug"});
        let plain = json!({"containers": [web, sidecar]});
        let odd = json!({"containers": [changed], "ephemeralContainers": [debug]});
        let at = |pod: usize, pointer: &str| json!({"native_id": format!("pod-{pod}"), "pointer": pointer});
        let proxies: Vec<_> = [0, 1, 2].map(|pod| at(pod, "/spec/containers/1")).into();
        check(
            &json!({"containers": [{"name": "web"}]}),
            &[plain.clone(), plain.clone(), plain.clone(), plain, odd],
            &json!([
                {"name": "proxy", "level": "container", "container": sidecar, "pods": proxies},
                {"name": "web", "level": "container", "container": changed, "pods": [at(4, "/spec/containers/0")]},
                {"name": "debug", "level": "ephemeral_container", "container": debug,
                 "pods": [at(4, "/spec/ephemeralContainers/0")]},
            ]),
        );
    }

    #[test]
    fn pods_follow_the_template_and_keep_what_was_injected() {
        let bad = json!({"privileged": true});
        let before = json!({"hostPID": true, "containers": [{"name": "web", "securityContext": bad}, {"name": "old"}]});
        let after = json!({"hostNetwork": true, "containers": [{"name": "web"}, {"name": "new"}]});
        let proxy = json!({"name": "proxy", "securityContext": bad});
        let web = json!({"name": "web", "image": "web:1", "securityContext": bad});
        let pod = json!({"hostPID": true, "nodeName": "n", "containers": [web, {"name": "old"}, proxy]});
        let rolled = json!({
            "hostNetwork": true, "nodeName": "n", "containers": [{"name": "web"}, proxy, {"name": "new"}],
        });
        assert_eq!(rolled_out(Some(&before), Some(&after), &pod), rolled);
        let mutated = json!({"containers": [{"name": "web", "securityContext": {"runAsUser": 0}}, {"name": "new"}]});
        assert_eq!(rolled_out(Some(&before), Some(&after), &mutated)["containers"], mutated["containers"]);
    }
}
