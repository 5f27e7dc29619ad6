//! Which level a namespace could enforce, and what is told to do for it.

use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, Kind, ManagedBy};
use rampart_posture::pod_security::{
    Conformity, Labels, Ladder, Level, Standards, cluster_minor, command, judged_minor, recreated, shape,
};
use rampart_posture::{Facts, Input, NoNeighbours};
use serde_json::{Value, json};

use super::judge::Judge;

fn hardened() -> Value {
    json!({"containers": [{"name": "app", "image": "i", "securityContext": {
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}}}]})
}

fn plain() -> Value {
    json!({"containers": [{"name": "app", "image": "i"}]})
}

fn on_the_host() -> Value {
    json!({"hostNetwork": true, "containers": [{"name": "app", "image": "i"}]})
}

fn probing() -> Value {
    let mut spec = hardened();
    spec["containers"][0]["livenessProbe"] = json!({"httpGet": {"host": "127.0.0.1", "port": 80}});
    spec
}

fn judge(judge: &Judge, minor: u32, kind: Kind, config: &Value) -> Conformity {
    let (labels, now): (_, DateTime<Utc>) = (json!({}), "2026-06-01T12:00:00Z".parse().unwrap());
    let facts = Facts {
        kind,
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
    let input = Input { facts, config, live: None, neighbours: &NoNeighbours, now };
    Standards::of(&judge.catalogue, &judge.engine, minor).unwrap().judge(&judge.engine, &input)
}

#[track_caller]
fn check(judged: &[Conformity], complete: bool, level: Option<Level>, next: Option<Level>) {
    assert_eq!(Ladder::of(judged, complete), Ladder { level, next });
}

#[test]
fn a_namespace_goes_as_far_as_its_worst_pod() {
    use Level::{Baseline, Privileged, Restricted};
    let knowledge = Judge::new();
    let pod = |spec: Value| judge(&knowledge, 33, Kind::K8sPod, &json!({"metadata": {}, "spec": spec}));
    let template = |spec: Value| {
        judge(&knowledge, 33, Kind::K8sDeployment, &json!({"spec": {"replicas": 0, "template": {"spec": spec}}}))
    };
    check(&[], true, Some(Restricted), None);
    check(&[pod(hardened()), template(hardened())], true, Some(Restricted), None);
    check(&[pod(hardened()), template(plain())], true, Some(Baseline), Some(Restricted));
    check(&[pod(hardened()), pod(plain()), template(on_the_host())], true, Some(Privileged), Some(Baseline));
    // What was not read may be anything; what is known to be refused stays so.
    check(&[pod(hardened())], false, None, Some(Baseline));
    check(&[pod(plain())], false, None, Some(Restricted));
    check(&[pod(on_the_host())], false, Some(Privileged), Some(Baseline));
    // A workload without a template leaves both levels open.
    check(&[judge(&knowledge, 33, Kind::K8sWorkload, &json!({"spec": {}}))], true, None, Some(Baseline));
}

#[test]
fn what_only_the_higher_level_cannot_tell_leaves_the_lower_one_safe() {
    let undecided = |level| {
        let control = "k8s.pod.volume_types".to_owned();
        let refusal = rampart_posture::pod_security::Refusal { level, control, message: "unknown".to_owned() };
        Conformity { refusals: Vec::new(), undecided: vec![refusal] }
    };
    let ladder = Ladder::of(&[undecided(Level::Restricted)], true);
    assert_eq!(ladder, Ladder { level: Some(Level::Baseline), next: Some(Level::Restricted) });
    assert_eq!(Ladder::of(&[undecided(Level::Baseline)], true).level, None);
}

#[test]
fn each_version_judges_as_that_kubernetes_does() {
    let knowledge = Judge::new();
    for (minor, level) in [(33, Level::Restricted), (34, Level::Privileged)] {
        let found = judge(&knowledge, minor, Kind::K8sPod, &json!({"metadata": {}, "spec": probing()}));
        assert_eq!(Ladder::of([&found], true).level, Some(level), "v1.{minor}: {found:?}");
    }
    assert_eq!(judged_minor("latest", Some(27)), 27);
    assert_eq!(judged_minor("v1.30", Some(27)), 27, "a newer version than the cluster's means its own");
    assert_eq!(judged_minor("v1.25", Some(27)), 25);
    assert_eq!(judged_minor("nonsense", Some(27)), 27);
    assert_eq!(judged_minor("latest", None), rampart_content::NEWEST_MINOR);
    assert_eq!(judged_minor("latest", Some(99)), rampart_content::NEWEST_MINOR);
    for (text, minor) in
        [("v1.33.1-eks-1", Some(33)), ("1.27", Some(27)), ("v1.30+", Some(30)), ("2.0", None), ("", None)]
    {
        assert_eq!(cluster_minor(text), minor, "{text}");
    }
}

#[test]
fn labels_are_read_as_admission_reads_them() {
    let of = |labels: Value| Labels::of(labels.as_object().unwrap());
    let key = |mode: &str| format!("pod-security.kubernetes.io/{mode}");
    assert_eq!(of(json!({"enforce": "restricted"})), Labels::default(), "labels of others mean nothing");
    let strange = of(json!({key("enforce"): "strict", key("audit"): "", key("warn"): "Baseline"}));
    assert_eq!(strange.enforced(), Level::Restricted);
    assert_eq!(strange.audit.unwrap().level, Level::Privileged);
    assert_eq!(strange.warn.unwrap().level, Level::Privileged);
    let pinned = of(json!({key("enforce"): "baseline", key("enforce-version"): "v1.28"})).enforce.unwrap();
    assert_eq!((pinned.level, &*pinned.version), (Level::Baseline, "v1.28"));
    assert_eq!(of(json!({})).enforced(), Level::Privileged);
}

#[test]
fn the_command_says_what_to_do_and_nothing_that_is_done() {
    use Level::{Baseline, Privileged, Restricted};
    let ladder = |level: Option<Level>| Ladder { level, next: level.and_then(Level::next) };
    let key = |mode: &str| format!("pod-security.kubernetes.io/{mode}");
    let of = |level, labels: Value| command("shop", ladder(level), "v1.33", &Labels::of(labels.as_object().unwrap()));
    assert_eq!(
        of(Some(Restricted), json!({})).unwrap(),
        "kubectl label --overwrite namespace shop pod-security.kubernetes.io/enforce=restricted \
         pod-security.kubernetes.io/enforce-version=v1.33"
    );
    assert_eq!(
        of(Some(Baseline), json!({})).unwrap(),
        "kubectl label --overwrite namespace shop pod-security.kubernetes.io/enforce=baseline \
         pod-security.kubernetes.io/enforce-version=v1.33 pod-security.kubernetes.io/warn=restricted \
         pod-security.kubernetes.io/warn-version=v1.33 pod-security.kubernetes.io/audit=restricted \
         pod-security.kubernetes.io/audit-version=v1.33"
    );
    let watching = of(Some(Privileged), json!({key("audit"): "restricted"})).unwrap();
    assert!(
        watching.ends_with(
            "namespace shop pod-security.kubernetes.io/warn=baseline pod-security.kubernetes.io/warn-version=v1.33"
        ),
        "{watching}"
    );
    let done = json!({key("enforce"): "restricted", key("enforce-version"): "v1.33"});
    assert_eq!(of(Some(Restricted), done), None);
    assert_eq!(of(None, json!({})), None, "what is not known is not advised");
    let odd = command("shop; rm -rf /", ladder(Some(Restricted)), "v1.33", &Labels::default());
    assert_eq!(odd, None);
}

#[test]
fn a_pod_is_created_again_without_what_came_later() {
    let pod = |name: &str, node: &str, token: &str| {
        let mut spec = hardened();
        spec["nodeName"] = node.into();
        spec["volumes"] = json!([{"name": token, "projected": {}}, {"name": "data", "emptyDir": {}}]);
        spec["containers"][0]["volumeMounts"] = json!([{"name": token, "mountPath": "/t"}]);
        spec["ephemeralContainers"] = json!([{"name": "debug", "securityContext": {"privileged": true}}]);
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": name, "labels": {"app": "web"}},
               "spec": spec, "status": {"phase": "Running"}})
    };
    let (one, other) = (pod("web-1", "node-1", "kube-api-access-a"), pod("web-2", "node-2", "kube-api-access-b"));
    let again = recreated(&one);
    assert!(again.get("status").is_none() && again["metadata"].get("uid").is_none());
    assert!(again["spec"].get("nodeName").is_none() && again["spec"].get("ephemeralContainers").is_none());
    assert_eq!(again["spec"]["volumes"][0]["name"], "kube-api-access-a", "what admission added stays");
    assert_eq!(shape(&one), shape(&other));
    let mut injected = other;
    injected["spec"]["volumes"][1] = json!({"name": "data", "hostPath": {"path": "/"}});
    assert_ne!(shape(&one), shape(&injected));
}
