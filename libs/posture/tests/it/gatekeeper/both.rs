//! Templates with code for both engines: Rego and CEL say the same of objects that differ in every field that any of
//! them looks at.

use std::path::Path;

use rampart_posture::policy::gatekeeper::{Engine, Template};
use rampart_posture::policy::{Decision, Inventory, Policy as _, Prepared};
use serde_json::{Value, json};

use super::{judge, review, yaml};

/// Objects for each policy.
const OBJECTS: usize = 450;

#[test]
fn rego_and_cel_say_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gatekeeper/both");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let inventory = Inventory::default();
    let (mut judged, mut differing) = (0, Vec::new());
    for (index, file) in files.iter().enumerate() {
        let policy = yaml(&std::fs::read_to_string(file).unwrap());
        let template = Template::parse(&policy["template"]).unwrap_or_else(|error| panic!("{error}"));
        let [rego, cel] =
            [Engine::Rego, Engine::Cel].map(|engine| template.constraint_with(&policy["constraint"], engine).unwrap());
        let mut dice = Dice(index as u64 + 1);
        let (mut passed, mut violated) = (0, 0);
        for number in 0..OBJECTS {
            let object = object(policy["objects"].as_str().unwrap(), &mut dice);
            let (said, other) = (judge(&rego, &object, &inventory), judge(&cel, &object, &inventory));
            if number % 9 == 0 {
                let prepared = Prepared::new(review(&object, &inventory));
                assert_eq!(rego.review_prepared(&prepared), said, "{object}");
                assert_eq!(cel.review_prepared(&prepared), other, "{object}");
            }
            match (&said, other) {
                (Decision::Passed, Decision::Passed) => passed += 1,
                (Decision::Violated(_), Decision::Violated(_)) => violated += 1,
                (_, other) => differing.push(format!("{}: {said:?}, {other:?}: {object}", file.display())),
            }
        }
        judged += OBJECTS;
        assert!(!differing.is_empty() || passed >= 5, "{}: {passed} passed, {violated} violated", file.display());
        assert!(!differing.is_empty() || violated >= 5, "{}: {passed} passed, {violated} violated", file.display());
    }
    let shown: Vec<_> = differing.iter().take(10).collect();
    assert!(differing.is_empty(), "{} of {judged} differ: {shown:#?}", differing.len());
    assert!(judged >= 10_000, "{judged}");
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// Puts one of the values at each of the pointers, or nothing for null.
    fn fill(&mut self, object: &mut Value, fields: &[(&str, Value)]) {
        for (pointer, values) in fields {
            let values = values.as_array().unwrap();
            let value = values[self.below(values.len())].clone();
            if !value.is_null() {
                set(object, pointer, value);
            }
        }
    }

    fn containers(&mut self, least: usize, most: usize) -> Vec<Value> {
        let count = least + self.below(most + 1 - least);
        let container = |index: usize| {
            let mut container = json!({"name": format!("c{index}")});
            self.fill(&mut container, &container_fields());
            container
        };
        (0..count).map(container).collect()
    }
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for key in pointer.split('/') {
        if place.is_null() {
            *place = json!({});
        }
        place = &mut place[key];
    }
    *place = value;
}

fn object(sort: &str, dice: &mut Dice) -> Value {
    let named = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "it"}});
    match sort {
        "pod" => {
            let mut pod = named("v1", "Pod");
            dice.fill(&mut pod, &pod_fields());
            pod["spec"]["containers"] = dice.containers(1, 2).into();
            for (list, most) in [("initContainers", 1), ("ephemeralContainers", 1)] {
                let containers = if dice.below(3) == 0 { dice.containers(0, most) } else { Vec::new() };
                if !containers.is_empty() || dice.below(4) == 0 {
                    pod["spec"][list] = containers.into();
                }
            }
            pod
        }
        "deployment" => {
            let mut deployment = named("apps/v1", "Deployment");
            dice.fill(
                &mut deployment,
                &[
                    ("spec/replicas", json!([null, 0, 1, 2, 5, 6, 8, 9, 10])),
                    ("spec/selector/matchLabels", json!([null, {}, {"app": "a"}, {"app": "a", "tier": "x"}])),
                    (
                        "spec/template/metadata/labels",
                        json!([null, {"app": "a"}, {"app": "a", "tier": "x"}, {"app": "b"}]),
                    ),
                    ("spec/template/spec/priorityClassName", json!([null, "high", "low", "system"])),
                    ("spec/template/spec/containers", json!([[{"name": "c", "image": "x"}]])),
                ],
            );
            deployment
        }
        "service" => {
            let mut service = named("v1", "Service");
            dice.fill(
                &mut service,
                &[
                    ("spec/type", json!([null, "ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer"])),
                    ("spec/allocateLoadBalancerNodePorts", json!([null, true, false])),
                    ("spec/externalIPs", json!([null, [], ["203.0.113.1"], ["203.0.113.1", "203.0.113.2"]])),
                    ("spec/ports", json!([[{"port": 80}], [{"port": 443, "targetPort": "https"}]])),
                ],
            );
            service
        }
        _ => {
            let mut ingress = named("networking.k8s.io/v1", "Ingress");
            let allow = "kubernetes.io/ingress.allow-http";
            let hosts = json!([null, "", "a.example.com", "b.example.org", "*.example.com", "a.example.net"]);
            dice.fill(
                &mut ingress,
                &[
                    (
                        "metadata/annotations",
                        json!([null, {}, {"a": "b"}, {allow: "true"}, {allow: "false"}, {allow: "false"}]),
                    ),
                    ("spec/tls", json!([null, [], [{"hosts": ["a.example.com"]}], [{}]])),
                ],
            );
            let mut rules = Vec::new();
            for _ in 0..dice.below(3) {
                let mut rule = json!({});
                dice.fill(&mut rule, &[("host", hosts.clone()), ("http/paths", json!([null, []]))]);
                rules.push(rule);
            }
            set(&mut ingress, "spec/rules", rules.into());
            ingress
        }
    }
}

fn pod_fields() -> Vec<(&'static str, Value)> {
    vec![
        (
            "metadata/labels",
            json!([null, {}, {"owner": "me"}, {"owner": "me", "tier": "x"}, {"owner": "ME", "tier": ""}]),
        ),
        (
            "metadata/annotations",
            json!([null, {}, {"container.apparmor.security.beta.kubernetes.io/c0": "unconfined"},
                {"container.apparmor.security.beta.kubernetes.io/c0": "runtime/default"}]),
        ),
        ("spec/hostPID", json!([null, null, null, true, false])),
        ("spec/hostIPC", json!([null, null, null, true, false])),
        ("spec/hostNetwork", json!([null, null, true, false])),
        ("spec/automountServiceAccountToken", json!([null, true, false])),
        ("spec/securityContext/runAsUser", json!([null, 0, 150, 1000])),
        ("spec/securityContext/seccompProfile", json!([null, {"type": "RuntimeDefault"}, {"type": "Unconfined"}])),
        (
            "spec/volumes",
            json!([null, [], [{"name": "v", "emptyDir": {}}], [{"name": "v", "hostPath": {"path": "/var/log"}}],
                [{"name": "v", "hostPath": {"path": "/data/x"}}], [{"name": "v", "hostPath": {"path": "/database"}}],
                [{"name": "v", "configMap": {"name": "x"}}, {"name": "w", "nfs": {"server": "s", "path": "/"}}]]),
        ),
    ]
}

fn container_fields() -> Vec<(&'static str, Value)> {
    let digest = format!("ours.example.com/x@sha256:{}", "0".repeat(64));
    vec![
        (
            "image",
            json!([
                "ours.example.com/x:1",
                "ours.example.com/x:1",
                "tools/y",
                "theirs.example.com/z:latest",
                digest,
                "x:dev"
            ]),
        ),
        ("resources/limits/cpu", json!([null, "100m", "500m", "0.5", 1, "2", 0, 0.25, "501m"])),
        (
            "resources/limits/memory",
            json!([null, "64Mi", "1Gi", "1G", "1025Mi", 1_073_741_824, 1_073_741_825, "2G", "900M"]),
        ),
        ("resources/requests/cpu", json!([null, "100m", "500m", "0.5", 1, "2", 0, 0.25])),
        ("resources/requests/memory", json!([null, "64Mi", "1Gi", "1G", "1025Mi", 1_073_741_824, "1100M"])),
        (
            "ports",
            json!([null, null, [], [{"containerPort": 80}], [{"hostPort": 80}], [{"hostPort": 79}], [{"hostPort": 0}]]),
        ),
        ("readinessProbe", json!([null, {}, {"httpGet": {"port": "http"}}, {"tcpSocket": {"port": 1}}, {"exec": {}}])),
        (
            "volumeMounts",
            json!([null, [], [{"name": "v"}], [{"name": "v", "readOnly": true}], [{"name": "w", "readOnly": false}]]),
        ),
        ("securityContext", json!([null, null, {}])),
        ("securityContext/privileged", json!([null, null, null, true, false])),
        ("securityContext/runAsUser", json!([null, null, 0, 99, 100, 200, 201, 65_535])),
        ("securityContext/readOnlyRootFilesystem", json!([null, true, true, false])),
        ("securityContext/allowPrivilegeEscalation", json!([null, false, false, true])),
        ("securityContext/procMount", json!([null, null, null, "Default", "Unmasked"])),
        (
            "securityContext/seccompProfile",
            json!([null, null, {"type": "Localhost", "localhostProfile": "x"}, {"type": "Unconfined"}]),
        ),
        (
            "securityContext/appArmorProfile",
            json!([null, null, null, {"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
        ),
        ("securityContext/capabilities/add", json!([null, null, [], ["CHOWN"], ["CHOWN", "SYS_ADMIN"]])),
        ("securityContext/capabilities/drop", json!([null, [], ["ALL"], ["NET_RAW"], ["NET_RAW", "CHOWN"], ["ALL"]])),
    ]
}
