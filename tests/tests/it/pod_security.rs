//! Which level each namespace could enforce and which pods would not come back, from an inventory in Postgres.

use std::sync::{Arc, LazyLock};

use platform_tests::Estate;
use rampart_assessor::{Knowledge, run_job};
use rampart_domain::{JobId, Kind, NativeId, Resource, TokenId};
use rampart_store::job::{self, JobKind};
use rampart_store::work::{self, WorkKind};
use rampart_store::{Access, Actor, Visible};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

static KNOWLEDGE: LazyLock<Arc<Knowledge>> = LazyLock::new(|| Arc::new(Knowledge::embedded().unwrap()));

/// Kinds that are read for a readiness.
const KINDS: [Kind; 17] = [
    Kind::K8sNamespace,
    Kind::K8sPod,
    Kind::K8sDeployment,
    Kind::K8sDaemonSet,
    Kind::K8sStatefulSet,
    Kind::K8sReplicaSet,
    Kind::K8sReplicationController,
    Kind::K8sJob,
    Kind::K8sCronJob,
    Kind::K8sWorkload,
    Kind::K8sStaticPod,
    Kind::K8sValidatingAdmissionPolicy,
    Kind::K8sValidatingAdmissionPolicyBinding,
    Kind::K8sConstraintTemplate,
    Kind::K8sConstraint,
    Kind::K8sValidatingWebhookConfiguration,
    Kind::K8sMutatingWebhookConfiguration,
];

fn hardened() -> Value {
    json!({"containers": [{"name": "app", "image": "i", "securityContext": {
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}}}]})
}

fn plain() -> Value {
    json!({"containers": [{"name": "app", "image": "i"}]})
}

fn privileged() -> Value {
    json!({"containers": [{"name": "app", "image": "i", "securityContext": {"privileged": true}}]})
}

fn with_host_path() -> Value {
    let mut spec = hardened();
    spec["volumes"] = json!([{"name": "agent", "hostPath": {"path": "/var/run/agent"}}]);
    spec
}

#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn namespace(estate: &Estate, name: &str, labels: Value) -> Resource {
    let metadata = json!({"name": name, "labels": labels});
    estate.object(Kind::K8sNamespace, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
}

#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn deployment(estate: &Estate, namespace: &str, name: &str, replicas: u32, spec: Value) -> Resource {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": name}}, "spec": spec}}});
    Resource { active: replicas > 0, ..estate.object(Kind::K8sDeployment, object) }
}

/// A running pod; `owner` is the deployment that a connector would have found above it.
#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn pod(estate: &Estate, namespace: &str, name: &str, owner: Option<&Resource>, spec: Value) -> Resource {
    let mut metadata = json!({"name": name, "namespace": namespace, "labels": {"app": "web"}});
    if owner.is_some() {
        metadata["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "controller": true}]);
    }
    let object =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}});
    let owner: Option<NativeId> = owner.map(|owner| owner.native_id.clone());
    Resource { owner, ..estate.object(Kind::K8sPod, object) }
}

/// Lists every kind to its end, with these objects.
async fn fill(estate: &Estate, objects: Vec<Resource>) {
    for kind in KINDS {
        estate.list(kind, objects.iter().filter(|object| object.kind == kind).cloned().collect()).await;
    }
}

fn access(estate: &Estate) -> Access {
    Access {
        tenant: estate.tenant,
        actor: Actor::token(TokenId(Uuid::new_v4()), "test"),
        grants: Vec::new(),
        collector: None,
    }
}

/// Runs a job as a worker would, and gives its result, or why there is none.
async fn run(estate: &Estate, visible: &Visible, request: Value) -> Result<Value, String> {
    let access = access(estate);
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let asked = job::request(&mut tx, JobKind::PodSecurity, &access, visible, &request).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = estate.store.worker().await.unwrap();
    let lease = work::claim(&mut tx, &[WorkKind::Job], 10, 10).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    run_job(&estate.store, &KNOWLEDGE, &lease, &CancellationToken::new()).await.unwrap();
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let ended = job::get(&mut tx, JobKind::PodSecurity, &access, visible, JobId(asked.job_id)).await.unwrap();
    assert_eq!(ended.total, ended.result.as_ref().and(Some(ended.done)), "progress reaches its end");
    ended.result.ok_or_else(|| ended.error.unwrap())
}

fn everything() -> Visible {
    Visible { all: true, ..Visible::default() }
}

fn request(estate: &Estate) -> Value {
    json!({"cluster_id": estate.cluster.id.0, "version": "v1.33"})
}

fn of<'a>(report: &'a Value, namespace: &str) -> &'a Value {
    let all = report["namespaces"].as_array().unwrap();
    all.iter().find(|it| it["namespace"] == namespace).unwrap_or_else(|| panic!("{namespace} in {report}"))
}

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

#[tokio::test(flavor = "multi_thread")]
async fn each_namespace_is_told_the_highest_level_that_breaks_nothing() {
    let estate = Estate::new().await;
    let injected = deployment(&estate, "mesh", "web", 1, hardened());
    let mut debugged = hardened();
    debugged["ephemeralContainers"] = json!([{"name": "debug", "image": "i", "securityContext": {"privileged": true}}]);
    let mut ended = pod(&estate, "sound", "migrated", None, privileged());
    ended.active = false;
    let finished = estate.object(
        Kind::K8sJob,
        json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "once", "namespace": "sound"}, "spec": {"template": {"spec": privileged()}},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
    );
    fill(
        &estate,
        vec![
            namespace(&estate, "sound", json!({})),
            deployment(&estate, "sound", "web", 2, hardened()),
            pod(&estate, "sound", "debugged", None, debugged),
            ended,
            finished,
            namespace(&estate, "mesh", json!({ENFORCE: "restricted"})),
            pod(&estate, "mesh", "web-1", Some(&injected), with_host_path()),
            pod(&estate, "mesh", "web-2", Some(&injected), with_host_path()),
            injected,
            namespace(&estate, "asleep", json!({})),
            deployment(&estate, "asleep", "batch", 0, plain()),
            namespace(
                &estate,
                "done",
                json!({ENFORCE: "restricted", "pod-security.kubernetes.io/enforce-version": "v1.33"}),
            ),
            namespace(&estate, "kube-system", json!({})),
        ],
    )
    .await;
    let report = run(&estate, &everything(), request(&estate)).await.unwrap();
    assert_eq!((&report["judged_version"], &report["unread"]), (&json!("v1.33"), &json!([])), "{report}");

    let sound = of(&report, "sound");
    assert_eq!(sound["level"], "restricted", "{sound}");
    assert_eq!(
        sound["command"],
        "kubectl label --overwrite namespace sound pod-security.kubernetes.io/enforce=restricted \
         pod-security.kubernetes.io/enforce-version=v1.33"
    );
    assert_eq!((&sound["standing"], &sound["blockers"]), (&json!("below"), &json!([])));
    assert!(sound["cautions"][0].as_str().unwrap().starts_with("1 running pod"), "{sound}");

    let mesh = of(&report, "mesh");
    let what = ["level", "enforced", "standing", "command"].map(|field| mesh[field].clone());
    assert_eq!(what, [json!("privileged"), json!("restricted"), json!("above"), json!(null)], "{mesh}");
    let blocker = &mesh["blockers"][0];
    let what = ["kind", "name", "template", "pods", "running"].map(|field| blocker[field].clone());
    assert_eq!(what, [json!("Deployment"), json!("web"), json!(false), json!(2), json!(true)], "admission put it in");
    assert_eq!(blocker["controls"][0]["control"], "k8s.pod.host_path");

    let asleep = of(&report, "asleep");
    assert_eq!((&asleep["level"], &asleep["next_level"]), (&json!("baseline"), &json!("restricted")));
    assert_eq!((&asleep["blockers"][0]["running"], &asleep["blockers"][0]["pods"]), (&json!(false), &json!(0)));
    assert!(asleep["command"].as_str().unwrap().contains("enforce=baseline"), "{asleep}");

    let done = of(&report, "done");
    assert_eq!((&done["standing"], &done["command"]), (&json!("met"), &json!(null)), "{done}");
    let system = of(&report, "kube-system");
    assert_eq!((&system["system"], &system["command"]), (&json!(true), &json!(null)));
    let summary = json!({"namespaces": {"privileged": 1, "baseline": 1, "restricted": 2}, "could_rise": 2, "overstretched": 1,
        "pods": 3, "will_not_come_back": 2});
    assert_eq!(report["summary"], summary);
    let stranded = &report["will_not_come_back"][0];
    assert_eq!((&stranded["name"], &stranded["pods"], &stranded["running"]), (&json!("web"), &json!(2), &json!(2)));
    assert_eq!(stranded["refused_by"][0]["type"], "pod_security");
    assert_eq!(stranded["refused_by"][0]["name"], "restricted:latest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_read_is_unknown_and_nothing_is_advised() {
    let estate = Estate::new().await;
    fill(
        &estate,
        vec![
            namespace(&estate, "sound", json!({})),
            pod(&estate, "sound", "web", None, hardened()),
            namespace(&estate, "weak", json!({})),
            pod(&estate, "weak", "web", None, privileged()),
        ],
    )
    .await;
    estate.deny(Kind::K8sDaemonSet).await;
    estate.deny(Kind::K8sConstraint).await;
    let report = run(&estate, &everything(), request(&estate)).await.unwrap();
    assert_eq!(report["unread"], json!(["k8s.daemonset", "k8s.constraint"]));
    let sound = of(&report, "sound");
    assert_eq!((&sound["level"], &sound["command"]), (&json!(null), &json!(null)), "{sound}");
    assert_eq!(sound["unknown"], json!(["k8s.daemonset was not read to the end"]));
    let weak = of(&report, "weak");
    assert_eq!(weak["level"], "privileged", "what is known to be refused stays so: {weak}");
    assert!(!weak["command"].as_str().unwrap().contains("enforce="), "{weak}");
    assert_eq!(report["summary"]["namespaces"], json!({"unknown": 1, "privileged": 1}));
}

/// A policy with its binding, both under the name.
#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn policy(estate: &Estate, name: &str, action: &str, spec: Value, binding: Value) -> [Resource; 2] {
    let of = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
    let mut whole = json!({"matchConstraints": {"resourceRules": rules}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let mut bound = json!({"policyName": name, "validationActions": [action]});
    bound.as_object_mut().unwrap().extend(binding.as_object().unwrap().clone());
    [
        estate.object(Kind::K8sValidatingAdmissionPolicy, of("ValidatingAdmissionPolicy", whole)),
        estate.object(Kind::K8sValidatingAdmissionPolicyBinding, of("ValidatingAdmissionPolicyBinding", bound)),
    ]
}

fn template(estate: &Estate, kind: &str, rego: &str) -> Resource {
    let target = json!({"target": "admission.k8s.gatekeeper.sh", "rego": rego});
    estate.object(Kind::K8sConstraintTemplate, json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": kind.to_lowercase()},
        "spec": {"crd": {"spec": {"names": {"kind": kind}}}, "targets": [target]},
    }))
}

fn constraint(estate: &Estate, kind: &str, name: &str, action: &str) -> Resource {
    let matching = json!({"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]});
    estate.object(
        Kind::K8sConstraint,
        json!({
            "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": name},
            "spec": {"enforcementAction": action, "match": matching},
        }),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
fn webhook(estate: &Estate, configuration: &str, name: &str, selector: Value) -> Resource {
    let rules = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}]);
    estate.object(
        Kind::K8sValidatingWebhookConfiguration,
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": configuration},
            "webhooks": [{"name": name, "rules": rules, "namespaceSelector": selector, "failurePolicy": "Fail"}],
        }),
    )
}

const LATEST: &str = r#"package latest
violation[{"msg": msg}] {
  container := input.review.object.spec.containers[_]
  endswith(container.image, ":latest")
  msg := sprintf("container %v runs latest", [container.name])
}"#;
const UNIQUE: &str = r#"package unique
violation[{"msg": "taken"}] { data.inventory.namespace[_]["v1"]["Pod"][_].spec == input.review.object.spec }"#;

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_policies_of_the_cluster_refuse_do_not_come_back() {
    let estate = Estate::new().await;
    let image = |spec: Value, image: &str| {
        let mut spec = spec;
        spec["containers"][0]["image"] = image.into();
        spec
    };
    let owner = deployment(&estate, "shop", "web", 3, hardened());
    let by_controller = "request.userInfo.username == 'system:serviceaccount:kube-system:replicaset-controller'";
    let mut objects = vec![
        namespace(&estate, "shop", json!({"team": "shop"})),
        namespace(&estate, "free", json!({"admission.gatekeeper.sh/ignore": "yes"})),
        pod(&estate, "shop", "web-1", Some(&owner), image(hardened(), "registry/app:1")),
        pod(&estate, "shop", "web-2", Some(&owner), image(hardened(), "registry/app:latest")),
        pod(&estate, "shop", "web-3", Some(&owner), image(hardened(), "registry/app:latest")),
        pod(&estate, "shop", "alone", None, privileged()),
        pod(&estate, "free", "alone", None, image(privileged(), "registry/app:latest")),
        owner,
        template(&estate, "K8sNoLatest", LATEST),
        template(&estate, "K8sUnique", UNIQUE),
        constraint(&estate, "K8sNoLatest", "deny", "deny"),
        constraint(&estate, "K8sNoLatest", "watch", "dryrun"),
        constraint(&estate, "K8sUnique", "unique", "deny"),
        webhook(
            &estate,
            "gatekeeper",
            "validation.gatekeeper.sh",
            json!({"matchExpressions": [
            {"key": "admission.gatekeeper.sh/ignore", "operator": "DoesNotExist"}]}),
        ),
        webhook(&estate, "scanner", "images.scanner.example", json!({"matchLabels": {"team": "shop"}})),
    ];
    let privileged_pods = "!object.spec.containers.exists(c, c.?securityContext.?privileged.orValue(false))";
    let validation = json!({"validations": [{"expression": privileged_pods, "message": "no privileged pods"}]});
    let in_shop = json!({"matchResources": {"namespaceSelector": {"matchLabels": {"team": "shop"}}}});
    objects.extend(policy(&estate, "no-privileged", "Deny", validation.clone(), in_shop));
    objects.extend(policy(&estate, "only-audited", "Audit", validation, json!({})));
    let of_people = json!({"validations": [{"expression": by_controller, "message": "pods are for controllers"}]});
    objects.extend(policy(&estate, "controllers-only", "Deny", of_people, json!({})));
    let with_params = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "params.data.allow == 'yes'"}]});
    let params = json!({"paramRef": {"name": "p", "namespace": "default", "parameterNotFoundAction": "Deny"}});
    objects.extend(policy(&estate, "with-params", "Deny", with_params, params));
    fill(&estate, objects).await;

    let report = run(&estate, &everything(), request(&estate)).await.unwrap();
    let stranded = report["will_not_come_back"].as_array().unwrap();
    let [alone, web] = &stranded[..] else { panic!("two owners: {report}") };
    let what = ["namespace", "kind", "name", "pods", "running"].map(|field| web[field].clone());
    assert_eq!(what, [json!("shop"), json!("Deployment"), json!("web"), json!(2), json!(3)]);
    let refuser = json!({"type": "gatekeeper", "name": "K8sNoLatest/deny", "message": "container app runs latest"});
    assert_eq!(web["refused_by"], json!([refuser]), "the controller that makes them may: {report}");
    assert_eq!((&alone["namespace"], &alone["kind"], &alone["pods"]), (&json!("shop"), &json!("Pod"), &json!(1)));
    let refuser = json!({"type": "validating_admission_policy", "name": "no-privileged/no-privileged",
        "message": "no privileged pods"});
    assert_eq!(alone["refused_by"], json!([refuser]), "who makes a pod of nobody is not known");
    assert_eq!(report["summary"]["will_not_come_back"], 3);

    let unjudged = |kind: &str, name: &str| {
        let all = report["may_also_refuse"].as_array().unwrap();
        let found = all.iter().find(|it| it["type"] == kind && it["name"] == name);
        found.unwrap_or_else(|| panic!("{kind} {name} in {report}"))["namespaces"].clone()
    };
    assert_eq!(unjudged("validating_webhook", "scanner/images.scanner.example"), json!(["shop"]));
    assert_eq!(unjudged("validating_admission_policy", "with-params/with-params"), json!([]));
    assert_eq!(unjudged("gatekeeper", "K8sUnique/unique"), json!([]));
    assert_eq!(unjudged("validating_admission_policy", "controllers-only/controllers-only"), json!(["free", "shop"]));
    assert_eq!(report["may_also_refuse"].as_array().unwrap().len(), 4, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_shows_no_more_than_its_caller_sees() {
    let estate = Estate::new().await;
    let objects = ["own", "other"].map(|name| namespace(&estate, name, json!({})));
    fill(&estate, objects.into()).await;
    let cluster = estate.cluster.id.0;
    let own = Visible { namespace_clusters: vec![cluster], namespaces: vec!["own".into()], ..Visible::default() };
    let mut asked = request(&estate);
    asked["namespaces"] = json!(["own", "other", "missing"]);
    let report = run(&estate, &own, asked).await.unwrap();
    assert_eq!(report["namespaces"].as_array().unwrap().len(), 1);
    assert_eq!(report["not_found"], json!(["other", "missing"]), "what is not seen is not there");
    let report = run(&estate, &own, request(&estate)).await.unwrap();
    assert_eq!((report["namespaces"].as_array().unwrap().len(), &report["not_found"]), (1, &json!([])));
    let elsewhere = Visible { clusters: vec![Uuid::new_v4()], ..Visible::default() };
    assert_eq!(run(&estate, &elsewhere, request(&estate)).await.unwrap_err(), "cluster not found");
    let strange = json!({"cluster_id": cluster});
    assert!(run(&estate, &everything(), strange).await.unwrap_err().contains("version"));
}
