//! What judging costs on one processor: the start of the engine, the conditions of the house on a pod, and pod policies of
//! others as Gatekeeper templates, by Rego and by CEL.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::path::Path;
use std::time::{Duration, Instant};

use rampart_content::Catalogue;
use rampart_domain::{Cloud, Kind, ManagedBy, Severity, Verdict};
use rampart_posture::policy::gatekeeper::{Constraint, Engine as Language, Template};
use rampart_posture::policy::{Decision, Inventory, Policy as _, Prepared, Review};
use rampart_posture::{Engine, Facts, Input, NoNeighbours, Selection};
use serde_json::{Value, json};

const PODS: usize = 1_000;
const POLICIES: usize = 44;
const CONDITIONS: usize = 40;

fn main() {
    start();
    conditions();
    policies(Language::Rego, "Rego", "2 s");
    policies(Language::Cel, "CEL", "0.5 s");
}

/// The CPU time of the process so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default())
}

fn start() {
    let begun = Instant::now();
    let catalogue = Catalogue::embedded().expect("the built-in content");
    let read = begun.elapsed();
    let begun = Instant::now();
    Engine::compile(&catalogue).expect("conditions that compile");
    println!(
        "start · catalogue read in {read:.0?} · {} controls compiled in {:.0?}",
        catalogue.controls().count(),
        begun.elapsed()
    );
}

/// The most severe controls of pods that need nothing but the pod.
fn conditions() {
    let catalogue = Catalogue::embedded().expect("the built-in content");
    let engine = Engine::compile(&catalogue).expect("conditions that compile");
    let mut controls: Vec<_> = catalogue
        .controls()
        .filter(|control| control.id.starts_with("k8s.pod.") && control.enforceable)
        .filter(|control| control.variant(Kind::K8sPod).is_some())
        .collect();
    controls.sort_by_key(|control| (std::cmp::Reverse(control.severity), &control.id));
    let selection = |id: &str| Selection { control_id: id.to_owned(), params: json!({}), severity: None::<Severity> };
    let selections: Vec<_> = controls.iter().take(CONDITIONS).map(|control| selection(&control.id)).collect();
    let checks = engine.checks(&selections).expect("selections of the catalogue");
    let (config, labels) = (pod(4, 0), json!({"app": "web"}));
    let facts = Facts {
        kind: Kind::K8sPod,
        name: "web",
        namespace: Some("shop"),
        cloud: Cloud::Aws,
        account: None,
        region: None,
        labels: &labels,
        managed_by: ManagedBy::Customer,
        active: true,
        native_id: "web",
    };
    let input =
        Input { facts, config: &config, live: None, neighbours: &NoNeighbours, now: chrono::DateTime::UNIX_EPOCH };
    let mut unhealthy = 0_usize;
    let mut judge = || {
        engine
            .evaluate(&checks, &input, |_, verdict| unhealthy += usize::from(matches!(verdict, Verdict::Unhealthy(_))));
    };
    (0..200).for_each(|_| judge());
    let rounds = 5_000_u32;
    let before = cpu();
    (0..rounds).for_each(|_| judge());
    println!(
        "conditions · {CONDITIONS} on a pod of {} bytes: CPU {:.1?} (goal 60 µs), {} unhealthy",
        config.to_string().len(),
        cpu().saturating_sub(before) / rounds,
        unhealthy / (rounds as usize + 200)
    );
}

/// The pod policies of the tests, under as many names as it takes.
fn constraints(language: Language) -> Vec<Constraint> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gatekeeper/both");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the policies").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).expect("a policy"));
    let texts: Vec<String> = texts.filter(|text| text.contains("objects: pod")).collect();
    let named = |(index, text): (usize, &String)| {
        let text = text.replace("Both", &format!("Both{index}x")).replace("both", &format!("both{index}x"));
        let policy: Value = serde_saphyr::from_str(&text).expect("YAML");
        let template = Template::parse(&policy["template"]).expect("a template");
        template.constraint_with(&policy["constraint"], language).expect("a constraint")
    };
    texts.iter().cycle().take(POLICIES).enumerate().map(named).collect()
}

fn policies(language: Language, name: &str, goal: &str) {
    let begun = cpu();
    let constraints = constraints(language);
    let compiled = cpu().saturating_sub(begun);
    let pods: Vec<Value> = (0..PODS).map(|index| pod(1, index)).collect();
    let inventory = Inventory::default();
    let mut violated = 0;
    let begun = cpu();
    for object in &pods {
        let review =
            Review { object, old_object: None, operation: None, namespace: None, user: None, inventory: &inventory };
        let prepared = Prepared::new(review);
        let decisions = constraints.iter().map(|constraint| constraint.review_prepared(&prepared));
        violated += decisions.filter(|decision| matches!(decision, Decision::Violated(_))).count();
    }
    println!(
        "policies · {PODS} pods of {} bytes × {POLICIES} templates by {name}: CPU {:.2} s (goal {goal}), {violated} violated, loaded in {:.2} s",
        pods[0].to_string().len(),
        cpu().saturating_sub(begun).as_secs_f64(),
        compiled.as_secs_f64(),
    );
}

/// A pod that is in order for the most part; each some other way.
fn pod(containers: usize, seed: usize) -> Value {
    let container = |index: usize| {
        let some = |every: usize| (seed + index) % every == every - 1;
        json!({
            "name": format!("c{index}"),
            "image": format!("{}/team/web:1.{seed}", if some(9) { "docker.io" } else { "ours.example.com" }),
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": if some(7) { "2" } else { "250m" }, "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 10},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
            "securityContext": {
                "allowPrivilegeEscalation": some(5), "privileged": some(11), "readOnlyRootFilesystem": true, "runAsUser": 1000,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "config", "mountPath": "/etc/web", "readOnly": true}, {"name": "tmp", "mountPath": "/tmp"}],
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("web-{seed}"), "namespace": "shop", "labels": {"app": "web", "owner": "shop", "tier": "front"}},
        "spec": {
            "serviceAccountName": "web", "automountServiceAccountToken": false, "nodeName": "node-1",
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": (0..containers).map(container).collect::<Vec<_>>(),
            "volumes": [{"name": "config", "configMap": {"name": "web"}}, {"name": "tmp", "emptyDir": {}}],
        },
    })
}
