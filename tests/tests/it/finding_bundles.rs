//! A finding that was taken away is judged again by a process that has nothing else, and no altered byte passes.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use chrono::Utc;
use platform_tests::Estate;
use rampart_assessor::{Isolation, Knowledge};
use rampart_content::Catalogue;
use rampart_domain::{Kind, Resource, TokenId};
use rampart_posture::bundle::{Bundle, envelope};
use rampart_store::assignment::{self, NewAssignment};
use rampart_store::bundle_key;
use rampart_store::custom::{self, Format};
use rampart_store::finding::{self, Filter, Finding, Sort};
use rampart_store::job::JobKind;
use rampart_store::keyring::Keyring;
use rampart_store::page::Page;
use rampart_store::{AccessScope, Visible, initiative};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

const CONTROL: &str = "
id: custom.own
version: 1
title: Own
severity: high
group: security_configurations
type: data_plane
kinds: [k8s.deployment]
rationale: Why.
violation: \"!has(object.metadata.labels.owner)\"
message: \"'nobody owns it'\"
remediation: { text: Do., manual: by hand }
examples:
  - { name: a, status: healthy, object: { metadata: { labels: { owner: x } } } }
  - { name: b, status: unhealthy, object: { metadata: { labels: {} } } }
";

const REGO: &str = "
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: { name: nolatest }
spec:
  crd: { spec: { names: { kind: NoLatest } } }
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package nolatest
        violation[{\"msg\": msg}] {
          endswith(input.review.object.spec.containers[_].image, \":latest\")
          msg := \"not pinned\"
        }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: NoLatest
metadata: { name: all }
spec:
  match: { kinds: [{ apiGroups: [\"\"], kinds: [Pod] }] }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: replicas }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments] }]
  validations:
    - expression: object.spec.replicas >= 2
";

const ABSENCE: &str = "k8s.net.no_policy_for_pod";

fn everything() -> Visible {
    Visible { all: true, ..Visible::default() }
}

fn deployment(estate: &Estate) -> Resource {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": 1, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{
                "name": "c", "image": "registry.example/web:latest", "securityContext": {"privileged": true},
            }]},
        }},
    });
    estate.object(Kind::K8sDeployment, object)
}

fn policy(estate: &Estate) -> Resource {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "other", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress", "Egress"]},
    });
    estate.object(Kind::K8sNetworkPolicy, object)
}

/// A deployment that violates controls of every sort, every kind of Kubernetes listed.
async fn estate() -> Estate {
    let program = Some(env!("CARGO_BIN_EXE_rampart-under-test").into());
    let product = Knowledge::new(Catalogue::embedded().unwrap()).unwrap();
    let knowledge = product.with_isolation(Isolation { program, ..Isolation::default() });
    let estate = Estate::new().await.judged_by(Arc::new(knowledge));
    let token = TokenId(Uuid::nil());
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    custom::create(&mut tx, Format::Control, "custom.own", CONTROL, token.into()).await.unwrap();
    custom::create(&mut tx, Format::Policies, "mine", REGO, token.into()).await.unwrap();
    let choices = json!([{"id": "custom.*"}, {"id": "policy.*"}, {"id": "k8s.pod.privileged"}, {"id": ABSENCE}]);
    initiative::create(&mut tx, "own", "Own", &json!({"description": "", "controls": choices})).await.unwrap();
    let new = NewAssignment {
        name: "own".into(),
        initiative: "own".into(),
        scope: AccessScope::Tenant,
        params: json!({}),
        excluded_namespaces: Vec::new(),
        enabled: true,
    };
    assignment::create(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.family() == rampart_domain::Family::Kubernetes) {
        let resources = match kind {
            Kind::K8sDeployment => vec![deployment(&estate)],
            Kind::K8sNetworkPolicy => vec![policy(&estate)],
            _ => Vec::new(),
        };
        estate.list(kind, resources).await;
    }
    estate.assess().await;
    estate
}

async fn findings(estate: &Estate) -> Vec<Finding> {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let filter = Filter { statuses: vec!["unhealthy".to_owned()], ..Filter::default() };
    let page = Page { limit: 500, filters: String::new(), after: None };
    finding::list(&mut tx, &everything(), &filter, Sort::Severity, &page).await.unwrap().items
}

async fn ask(estate: &Estate, finding: &Finding, visible: &Visible) -> Result<String, String> {
    let request = json!({"resource_id": finding.resource_id, "ordinal": finding.ordinal});
    let job = estate.ask(JobKind::FindingBundle, visible, &request).await;
    match job.result {
        Some(made) => Ok(made["payload"].as_str().unwrap().to_owned()),
        None => Err(job.error.unwrap()),
    }
}

fn keyring() -> Keyring {
    Keyring::parse(&SecretString::from(format!("test:{}=", "A".repeat(43)))).unwrap()
}

async fn sign(estate: &Estate, payload: &str) -> (String, String) {
    let signer = bundle_key::signing(&estate.store, &keyring(), Utc::now()).await.unwrap();
    let key = (signer.public.key_id.as_str(), &signer.public.public_key);
    (envelope::seal(payload, key, |message| signer.sign(message)), signer.public.key_id.clone())
}

fn verify(bundle: &Path, trust: [&str; 2]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rampart-under-test"));
    command.env_clear().arg("verify-finding").arg(bundle).args(trust);
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_the_bundle_alone_reaches_the_same_verdict() {
    let estate = estate().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("finding.jws");
    let found = findings(&estate).await;
    for control in ["custom.own", ABSENCE, "k8s.pod.privileged", "policy.mine.NoLatest.all", "policy.mine.replicas"] {
        assert!(found.iter().any(|finding| finding.control_id == control), "{control}: {found:?}");
    }
    for finding in &found {
        let payload = ask(&estate, finding, &everything()).await.unwrap();
        let (text, key_id) = sign(&estate, &payload).await;
        std::fs::write(&file, format!("{text}\n")).unwrap();
        let output = verify(&file, ["--key-id", &key_id]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}: {told} {output:?}", finding.control_id);
        assert!(told.contains("same verdict: unhealthy"), "{told}");
        if finding.control_id == ABSENCE {
            let bundle: Bundle = serde_json::from_str(&payload).unwrap();
            let read = bundle.reads.iter().find(|read| read.kinds.contains(&Kind::K8sNetworkPolicy)).unwrap();
            assert!(read.incomplete.is_none() && read.items.len() == 1, "all policies that there are: {read:?}");
            let listed = bundle.coverage.iter().find(|reading| reading.kind == Kind::K8sNetworkPolicy).unwrap();
            assert!(listed.whole_at.is_some());
            assert!(told.contains("1 read, all there were"), "{told}");
            // Had the policy covered it, the verdict would be another.
            let covers = payload.replace(r#""app":"other""#, r#""app":"web""#);
            let (text, key_id) = sign(&estate, &covers).await;
            std::fs::write(&file, text).unwrap();
            let output = verify(&file, ["--key-id", &key_id]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_altered_foreign_or_unknown_is_refused() {
    let estate = estate().await;
    let dir = tempfile::tempdir().unwrap();
    let (file, keys) = (dir.path().join("finding.jws"), dir.path().join("keys.json"));
    let found = findings(&estate).await;
    let finding = found.iter().find(|finding| finding.control_id == ABSENCE).unwrap();
    let payload = ask(&estate, finding, &everything()).await.unwrap();
    let (text, _) = sign(&estate, &payload).await;
    let public = bundle_key::published(&estate.store).await.unwrap();
    let jwk = envelope::Jwk::new(&public[0].public_key);
    std::fs::write(&keys, json!({"keys": [jwk]}).to_string()).unwrap();
    let trust = ["--key", keys.to_str().unwrap()];
    std::fs::write(&file, &text).unwrap();
    assert_eq!(verify(&file, trust).status.code(), Some(0));
    let step = (text.len() / 40).max(1);
    let last = text.len() - 1;
    for at in (0..text.len()).step_by(step).chain([last]) {
        for altered in [b'A', b'_', b'.', b'\n'] {
            let mut bytes = text.clone().into_bytes();
            if bytes[at] == altered {
                continue;
            }
            bytes[at] = altered;
            std::fs::write(&file, &bytes).unwrap();
            let output = verify(&file, trust);
            assert_eq!(output.status.code(), Some(2), "byte {at} as {altered}: {output:?}");
        }
    }
    for (what, text) in [
        ("one byte less", text[..last].to_owned()),
        ("one more", format!("{text}A")),
        ("two lines", format!("{text}\n\n")),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(verify(&file, trust).status.code(), Some(2), "{what}");
    }
    let unknown = payload.replace("rampart.finding-bundle/1", "rampart.finding-bundle/2");
    std::fs::write(&file, sign(&estate, &unknown).await.0).unwrap();
    assert_eq!(verify(&file, trust).status.code(), Some(2), "an unknown format");
    // A new key signs; whoever trusts the old one only refuses what it signs.
    bundle_key::rotate(&estate.store, &keyring(), Utc::now()).await.unwrap();
    let (text, new) = sign(&estate, &payload).await;
    std::fs::write(&file, text).unwrap();
    assert_eq!(verify(&file, trust).status.code(), Some(2), "another key");
    assert_eq!(verify(&file, ["--key-id", &new]).status.code(), Some(0));
    assert_eq!(bundle_key::published(&estate.store).await.unwrap().len(), 2, "the old key stays published");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_again_is_no_bundle() {
    let estate = estate().await;
    let found = findings(&estate).await;
    let of = |control: &str| found.iter().find(|finding| finding.control_id == control).unwrap();
    let namespaces = Visible {
        namespace_clusters: vec![estate.cluster.id.0],
        namespaces: vec!["elsewhere".to_owned()],
        ..Visible::default()
    };
    assert_eq!(ask(&estate, of(ABSENCE), &namespaces).await.unwrap_err(), "finding not found");
    estate.list(Kind::K8sNetworkPolicy, Vec::new()).await;
    estate.deny(Kind::K8sNetworkPolicy).await;
    estate.assess().await;
    let why = ask(&estate, of(ABSENCE), &everything()).await.unwrap_err();
    assert!(why.contains("could not be read again"), "{why}");
    let mut fixed = deployment(&estate);
    fixed.config["spec"]["template"]["spec"]["containers"][0]["securityContext"] = Value::Null;
    rampart_domain::strip_nulls(&mut fixed.config);
    estate.list(Kind::K8sDeployment, vec![fixed]).await;
    let why = ask(&estate, of("k8s.pod.privileged"), &everything()).await.unwrap_err();
    assert!(why.contains("changed since"), "{why}");
}
