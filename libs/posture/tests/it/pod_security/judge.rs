//! Pods judged by the initiatives of the Pod Security Standards at a version.

use std::collections::BTreeSet;

use rampart_content::{Catalogue, NEWEST_MINOR};
use rampart_domain::{Cloud, Kind, ManagedBy, Verdict};
use rampart_posture::{Engine, Facts, Input, NoNeighbours, resolve};
use serde_json::{Value, json};

use Level::{Baseline, Restricted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Baseline,
    Restricted,
}

pub(crate) struct Judge {
    pub(crate) catalogue: Catalogue,
    pub(crate) engine: Engine,
}

impl Judge {
    pub(crate) fn new() -> Self {
        let catalogue = Catalogue::embedded().unwrap();
        let engine = Engine::compile(&catalogue).unwrap();
        Self { catalogue, engine }
    }

    /// The controls of the level at `v1.minor` that the pod violates. Nothing may stay unknown.
    pub(crate) fn violated(&self, level: Level, minor: u32, pod: &Value) -> BTreeSet<String> {
        let id = if level == Baseline { "pss-baseline" } else { "pss-restricted" };
        let params = json!({id: {"version": format!("v1.{minor}")}});
        let initiative = self.catalogue.initiative(id).unwrap();
        let selections = resolve(&self.catalogue, initiative, params.as_object().unwrap()).unwrap();
        let set = self.engine.checks(&selections).unwrap();
        let (labels, now) = (json!({}), "2026-06-01T12:00:00Z".parse().unwrap());
        let facts = Facts {
            kind: Kind::K8sPod,
            name: "web",
            namespace: Some("default"),
            cloud: Cloud::Aws,
            account: None,
            region: None,
            labels: &labels,
            managed_by: ManagedBy::Customer,
            active: true,
            native_id: "judged",
        };
        let input = Input { facts, config: pod, live: None, neighbours: &NoNeighbours, now };
        let mut violated = BTreeSet::new();
        for check in set.of(Kind::K8sPod) {
            match self.engine.judge(check, &input) {
                Verdict::Unhealthy(_) => _ = violated.insert(check.control_id.clone()),
                Verdict::Healthy | Verdict::NotApplicable(_) => {}
                verdict @ Verdict::Unknown(_) => panic!("{} at v1.{minor} of {pod}: {verdict:?}", check.control_id),
            }
        }
        violated
    }

    /// A change to the smallest valid pod is refused in the versions `from..until`, and only in those.
    #[track_caller]
    pub(crate) fn refused(&self, level: Level, from: u32, until: u32, change: &Value) {
        for minor in 0..=NEWEST_MINOR {
            let mut pod = smallest(level, minor);
            merge(&mut pod, change);
            let violated = self.violated(level, minor, &pod);
            let refused = (from..until).contains(&minor);
            assert_eq!(!violated.is_empty(), refused, "{level:?} v1.{minor}: {violated:?} for {change}");
        }
    }
}

/// First version that has no end.
pub(crate) const OPEN: u32 = NEWEST_MINOR + 1;

/// The smallest pod that a level accepts at `v1.minor`. Containers are maps by name here, so that changes can be merged;
/// [`Judge::violated`] gets lists.
pub(crate) fn smallest(level: Level, minor: u32) -> Value {
    let mut container = json!({"image": "registry.example/pause:3.10"});
    let mut spec = json!({});
    if level == Restricted {
        spec["securityContext"] = json!({"runAsNonRoot": true});
        if minor >= 8 {
            container["securityContext"] = json!({"allowPrivilegeEscalation": false});
        }
        if minor >= 19 {
            spec["securityContext"]["seccompProfile"] = json!({"type": "RuntimeDefault"});
        }
        if minor >= 22 {
            container["securityContext"]["capabilities"] = json!({"drop": ["ALL"]});
        }
    }
    spec["initContainers"] = json!({"setup": container});
    spec["containers"] = json!({"app": container});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec})
}

/// RFC 7386; maps of containers become lists at the end.
pub(crate) fn merge(pod: &mut Value, change: &Value) {
    patch(pod, change);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let Some(Value::Object(map)) = pod["spec"].get(list).cloned() else { continue };
        let named = map.into_iter().map(|(name, mut container)| {
            container["name"] = name.into();
            container
        });
        pod["spec"][list] = named.collect();
    }
}

fn patch(target: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let map = target.as_object_mut().unwrap();
    for (key, value) in change {
        if value.is_null() {
            map.remove(key);
        } else {
            patch(map.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

pub(crate) fn spec(spec: &Value) -> Value {
    json!({"spec": spec})
}

/// The same change to an ordinary, an init and an ephemeral container.
pub(crate) fn containers(change: &Value) -> [Value; 3] {
    let debug = json!({"ephemeralContainers": {"debug": {"image": "registry.example/debug:1", "securityContext": {
        "runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}}}}});
    let mut debug = spec(&debug);
    patch(&mut debug, &spec(&json!({"ephemeralContainers": {"debug": change}})));
    [spec(&json!({"containers": {"app": change}})), spec(&json!({"initContainers": {"setup": change}})), debug]
}

pub(crate) fn contexts(change: &Value) -> [Value; 3] {
    containers(&json!({"securityContext": change}))
}

pub(crate) fn annotated(key: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {key: value}}})
}
