//! What customers write: errors with their lines, policies beside controls, budgets.

use std::borrow::Cow;
use std::sync::Arc;

use rampart_content::{Catalogue, SourceProblem};
use rampart_domain::{Cloud, Kind, ManagedBy, Status, Verdict};
use rampart_posture::custom::{Format, Source, layered};
use rampart_posture::{
    Check, Completeness, Engine, Facts, Input, Meter, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours,
    Selection,
};
use serde_json::{Value, json};

fn control(violation: &str, lets: &str) -> String {
    format!(
        "id: custom.own\nversion: 1\ntitle: Own\nseverity: high\ngroup: security_configurations\ntype: data_plane\n\
         kinds: [workload]\nrationale: Why.\n{lets}violation: {violation}\nmessage: \"'wrong'\"\n\
         remediation: {{ text: Do., manual: by hand }}\nexamples:\n  - {{ name: a, status: healthy, object: {{}} }}\n  \
         - {{ name: b, status: unhealthy, object: {{}} }}\n"
    )
}

const TEMPLATE: &str = r#"
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: { name: nolatest }
spec:
  crd: { spec: { names: { kind: NoLatest } } }
  targets:
    - target: admission.k8s.gatekeeper.sh
      rego: |
        package nolatest
        violation[{"msg": msg}] {
          image := input.review.object.spec.containers[_].image
          endswith(image, ":latest")
          msg := sprintf("%v is not pinned", [image])
        }
---
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: NoLatest
metadata: { name: pods, annotations: { rampart.dev/severity: high } }
spec:
  match:
    kinds: [{ apiGroups: [""], kinds: [Pod] }]
    namespaceSelector: { matchLabels: { tier: prod } }
"#;

const ADMISSION: &str = r"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: replicas.example.com }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments] }]
  validations:
    - expression: >-
        object.spec.replicas
        >= 2
      message: too few replicas
";

fn source(format: Format, text: &str) -> Source {
    Source { format, name: "mine".into(), text: text.into() }
}

fn refused(format: Format, text: &str) -> Vec<SourceProblem> {
    let read = source(format, text).read(&Catalogue::embedded().unwrap());
    read.err().unwrap_or_else(|| panic!("was taken:\n{text}"))
}

#[track_caller]
fn check_refused(format: Format, text: &str, pointer: &str, needle: &str, message: &str) {
    // The place is where the needle stands in the text.
    let at = text.find(needle).unwrap();
    let line = text[..at].matches('\n').count() + 1;
    let column = at - text[..at].rfind('\n').map_or(0, |index| index + 1) + 1;
    let problems = refused(format, text);
    let found = problems
        .iter()
        .any(|it| (it.pointer.as_str(), it.line, it.column) == (pointer, line, column) && it.message.contains(message));
    assert!(found, "wanted {message} at {pointer} {line}:{column}, got {problems:?}");
}

#[test]
fn errors_have_pointer_line_and_column() {
    let own = |violation: &str| control(violation, "");
    check_refused(Format::Control, &own("object.a == nothing"), "/violation", "nothing", "`nothing` is not declared");
    check_refused(Format::Control, &own("|\n  true &&\n    unknown(1)"), "/violation", "(1)", "unknown function");
    let lets = control("sc", "let:\n  sc: it.x\n");
    check_refused(Format::Control, &lets, "/let/sc", "it.x", "`it` is not declared");
    let rego = TEMPLATE.replace("endswith(image", "http.send(image");
    check_refused(Format::Policies, &rego, "/spec/targets/0/rego", "http.send(image", "http.send");
    let cel = ADMISSION.replace("object.spec.replicas", "object.spec.replicas + variables.none");
    check_refused(Format::Policies, &cel, "/spec/validations/0/expression", ".none", "no variable `none`");
    let missing = ADMISSION.replace("kind: ValidatingAdmissionPolicy", "kind: ConfigMap");
    assert!(refused(Format::Policies, &missing)[0].message.contains("holds neither"));
    let referential =
        TEMPLATE.replace("endswith(image", "data.inventory.cluster[_][_][_].x == 1\n          endswith(image");
    check_refused(Format::Policies, &referential, "", "apiVersion: constraints", "data.inventory");
    assert!(refused(Format::Policies, &format!("{TEMPLATE}{}", "# x\n".repeat(70_000)))[0].message.contains("longer"));
}

/// Namespaces, each with its labels.
struct Namespaces(Vec<Value>);

impl Neighbours for Namespaces {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let named = self.0.iter().filter(|it| it["metadata"]["name"].as_str() == query.name);
        let items: Vec<_> = named.map(|config| NeighbourItem { config, native_id: "namespace" }).collect();
        NeighbourSet { items: Cow::Owned(items), completeness: Completeness::Complete }
    }
}

struct Layered {
    catalogue: Catalogue,
    engine: Engine,
}

impl Layered {
    fn new(sources: &[Source]) -> Self {
        let base = Catalogue::embedded().unwrap();
        let engine = Engine::compile_some(&base, |control| control.id == "k8s.pod.privileged").unwrap();
        let layers = sources.iter().map(|source| source.read(&base).unwrap_or_else(|it| panic!("{it:?}")));
        let (catalogue, engine) = layered((&base, &engine), layers.collect(), |_, policy| Arc::from(policy));
        Self { catalogue, engine }
    }

    fn judge(&self, control: &str, kind: Kind, object: &Value) -> Verdict {
        let labels = json!({});
        let namespaces = Namespaces(vec![
            json!({"metadata": {"name": "shop", "labels": {"tier": "prod"}}}),
            json!({"metadata": {"name": "lab", "labels": {"tier": "test"}}}),
        ]);
        let facts = Facts {
            kind,
            name: object["metadata"]["name"].as_str().unwrap_or("x"),
            namespace: object["metadata"]["namespace"].as_str(),
            cloud: Cloud::OnPremises,
            account: None,
            region: None,
            labels: &labels,
            managed_by: ManagedBy::Customer,
            active: true,
            native_id: "x",
        };
        let input =
            Input { facts, config: object, live: None, neighbours: &namespaces, now: chrono::DateTime::default() };
        self.engine.judge(&self.check(control), &input)
    }

    fn check(&self, control: &str) -> Check {
        let selection = Selection { control_id: control.into(), params: json!({}), severity: None };
        self.engine.checks(&[selection]).unwrap().checks()[0].clone()
    }
}

fn deployment(namespace: &str, image: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
           "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "c", "image": image}]}}}})
}

#[test]
fn policies_judge_beside_controls() {
    let layered = Layered::new(&[
        source(Format::Policies, &format!("{TEMPLATE}---{ADMISSION}")),
        source(Format::Control, &control("resource.name == 'web'", "")),
    ]);
    let (pods, replicas) = ("policy.mine.NoLatest.pods", "policy.mine.replicas.example.com");
    let stated = layered.catalogue.control(pods).unwrap();
    assert_eq!((stated.title.as_str(), stated.severity.as_str()), ("NoLatest/pods", "high"));
    assert!(layered.engine.kinds(pods).contains(&Kind::K8sDeployment), "by the pods that it makes");
    assert!(!layered.engine.kinds(pods).contains(&Kind::K8sStaticPod));
    assert_eq!(layered.engine.kinds(replicas), [Kind::K8sDeployment]);
    let check = |control, object: &Value, expected: Status| {
        let verdict = layered.judge(control, Kind::K8sDeployment, object);
        assert_eq!(verdict.status(), expected, "{control}: {verdict:?}");
        verdict
    };
    let verdict = check(pods, &deployment("shop", "a:latest", 1), Status::Unhealthy);
    assert!(matches!(verdict, Verdict::Unhealthy(evidence) if evidence.message == "a:latest is not pinned"));
    check(pods, &deployment("shop", "a:1", 1), Status::Healthy);
    check(pods, &deployment("lab", "a:latest", 1), Status::NotApplicable);
    check(pods, &deployment("unread", "a:latest", 1), Status::Unknown);
    check(replicas, &deployment("shop", "a:1", 1), Status::Unhealthy);
    check(replicas, &deployment("shop", "a:1", 2), Status::Healthy);
    check("custom.own", &deployment("shop", "a:1", 2), Status::Unhealthy);
    // A workload whose template was not read passes nothing.
    let bare = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w", "namespace": "shop"}});
    check(pods, &bare, Status::Unknown);
    let depends = layered.engine.dependents(Kind::K8sNamespace).any(|looks| looks.control_id == pods);
    assert!(depends, "the labels of a namespace decide");
}

#[test]
fn hostile_expressions_run_out_of_their_budget() {
    let doubling: Vec<_> = (1..26).map(|n| format!("  v{n}: v{} + v{}\n", n - 1, n - 1)).collect();
    let doubling = doubling.concat();
    let doubling = format!("let:\n  v0: \"'0123456789abcdef'\"\n{doubling}");
    let list = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]";
    let nested =
        format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, {list}.all(e, a + b + c + d + e > 0)))))");
    let bomb = "'a'.matches('(a{1,100}){1,100}{1,100}' + resource.name)";
    for (what, violation, lets) in [
        ("text that doubles", "v25.size() > 0", doubling.as_str()),
        ("loops in loops", nested.as_str(), ""),
        ("a pattern that unfolds", bomb, ""),
    ] {
        let layered = Layered::new(&[source(Format::Control, &control(&format!("\"{violation}\""), lets))]);
        let began = std::time::Instant::now();
        let verdict = layered.judge("custom.own", Kind::K8sDeployment, &deployment("shop", "a:1", 2));
        assert!(matches!(verdict, Verdict::Unknown(_)), "{what}: {verdict:?}");
        assert!(began.elapsed().as_secs() < 5, "{what} took {:?}", began.elapsed());
    }
    let deep = format!("{}1{} > 0", "(-".repeat(200), ")".repeat(200));
    assert!(!refused(Format::Control, &control(&format!("\"{deep}\""), "")).is_empty(), "nesting is bounded at load");
}

/// Lets nothing run.
struct Closed(usize);

impl Meter for Closed {
    fn begin(&mut self, _: &Check) -> Result<(), String> {
        self.0 += 1;
        Err("no time is left".into())
    }

    fn end(&mut self, _: &Check) {}
}

#[test]
fn the_meter_stops_what_customers_wrote_and_nothing_else() {
    let layered = Layered::new(&[source(Format::Control, &control("true", ""))]);
    let select = |id: &str| Selection { control_id: id.into(), params: json!({}), severity: None };
    let checks = layered.engine.checks(&[select("custom.own"), select("k8s.pod.privileged")]).unwrap();
    let (object, labels) = (deployment("shop", "a:1", 1), json!({}));
    let facts = Facts {
        kind: Kind::K8sDeployment,
        name: "web",
        namespace: Some("shop"),
        cloud: Cloud::OnPremises,
        account: None,
        region: None,
        labels: &labels,
        managed_by: ManagedBy::Customer,
        active: true,
        native_id: "x",
    };
    let neighbours = Namespaces(Vec::new());
    let input = Input { facts, config: &object, live: None, neighbours: &neighbours, now: chrono::DateTime::default() };
    let mut meter = Closed(0);
    let mut verdicts = Vec::new();
    layered.engine.evaluate_metered(&checks, &input, &mut meter, |check, verdict| {
        verdicts.push((check.control_id.clone(), verdict.status()));
    });
    let expected = [("custom.own".to_owned(), Status::Unknown), ("k8s.pod.privileged".to_owned(), Status::Healthy)];
    assert_eq!((verdicts.as_slice(), meter.0), (&expected[..], 1));
}
