//! What the engine makes of controls, parameters, elements, neighbours and errors.
use std::collections::BTreeMap;

use rampart_content::{Catalogue, Within};
use rampart_domain::{Cloud, CoverageState, Kind, ManagedBy, Severity, UnknownReason, Verdict};
use rampart_posture::{
    Check, Completeness, Engine, Facts, Input, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours, NoNeighbours,
    Selection, SelectionError, live, resolve,
};
use serde_json::{Map, Value, json};

/// A catalogue of one control, `test.one`, with `body` for what differs.
fn files(body: &str) -> BTreeMap<String, String> {
    let control = format!(
        "id: test.one\nversion: 1\ntitle: The title\nseverity: medium\ngroup: g\ntype: data_plane\nrationale: Why.\n\
         remediation: {{ text: Do., manual: by hand }}\nexamples:\n  - {{ name: a, status: healthy, object: {{}} }}\n  \
         - {{ name: b, status: unhealthy, object: {{}} }}\n{body}"
    );
    let groups = "- { id: g, title: G, points: 4 }".to_owned();
    let initiative =
        "id: own\nversion: 1\ntitle: Own\ndescription: Ours.\ncontrols:\n  - { id: 'test.*', severity: low }\n";
    BTreeMap::from([
        ("controls/test/one.yaml".to_owned(), control),
        ("groups.yaml".to_owned(), groups),
        ("initiatives/own.yaml".to_owned(), initiative.to_owned()),
    ])
}

fn catalogue(body: &str) -> Catalogue {
    Catalogue::of_files(&files(body)).unwrap_or_else(|error| panic!("{error}"))
}

fn engine(body: &str) -> Engine {
    Engine::compile(&catalogue(body)).unwrap_or_else(|error| panic!("{error}"))
}

fn selection(params: Value) -> Selection {
    Selection { control_id: "test.one".into(), params, severity: None }
}

fn check_of(engine: &Engine) -> Check {
    engine.checks(&[selection(json!({}))]).unwrap().checks()[0].clone()
}

struct Case<'a> {
    kind: Kind,
    object: Value,
    live: Option<Value>,
    neighbours: &'a dyn Neighbours,
}

impl Case<'_> {
    fn pod(object: Value) -> Self {
        Self { kind: Kind::K8sPod, object, live: None, neighbours: &NoNeighbours }
    }

    fn judge(&self, engine: &Engine) -> Verdict {
        let labels = json!({});
        let facts = Facts {
            kind: self.kind,
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
        let now = "2026-06-01T12:00:00Z".parse().unwrap();
        let live = self.live.as_ref();
        let input = Input { facts, config: &self.object, live, neighbours: self.neighbours, now };
        engine.judge(&check_of(engine), &input)
    }
}

/// Pointer, element and resource of a fact.
type Place = (String, Option<String>, Option<String>);

#[track_caller]
fn evidence(verdict: Verdict) -> (String, Vec<Place>) {
    let Verdict::Unhealthy(evidence) = verdict else { panic!("wanted unhealthy, got {verdict:?}") };
    let facts = evidence.facts.into_iter().map(|fact| (fact.pointer, fact.element, fact.resource));
    (evidence.message, facts.collect())
}

const CONTAINERS: &str = "kinds: [workload]\nfor_each: [containers]\nviolation: it.bad\n\
                          message: \"'container ' + name + ' is bad'\"\nevidence: [bad]\n";

#[test]
fn every_violating_element_is_evidence() {
    let spec = json!({
        "initContainers": [{"name": "setup", "bad": true}],
        "containers": [{"name": "a", "bad": false}, {"name": "b", "bad": true}],
    });
    let (message, facts) = evidence(Case::pod(json!({"spec": spec})).judge(&engine(CONTAINERS)));
    assert_eq!(message, "container b is bad and 1 more");
    let fact = |pointer: &str, element: &str| (pointer.to_owned(), Some(element.to_owned()), None);
    assert_eq!(
        facts,
        [fact("/spec/containers/1/bad", "container b"), fact("/spec/initContainers/0/bad", "init container setup")]
    );
}

#[test]
fn a_violation_outweighs_an_error_and_an_error_outweighs_health() {
    let engine = engine(CONTAINERS);
    let judge = |containers: Value| Case::pod(json!({"spec": {"containers": containers}})).judge(&engine);
    let verdict = judge(json!([{"name": "broken"}, {"name": "bad", "bad": true}]));
    assert!(matches!(verdict, Verdict::Unhealthy(_)), "{verdict:?}");
    let verdict = judge(json!([{"name": "fine", "bad": false}, {"name": "broken"}]));
    let Verdict::Unknown(UnknownReason::Error { message }) = verdict else { panic!("{verdict:?}") };
    assert_eq!(message, "no such key at 1:3 (`.bad`)");
    assert_eq!(judge(json!([])), Verdict::Healthy, "nothing violates");
}

#[test]
fn a_failing_message_leaves_the_title() {
    let engine = engine("kinds: [k8s.pod]\nviolation: 'true'\nmessage: object.missing\nevidence: [missing]\n");
    let (message, facts) = evidence(Case::pod(json!({})).judge(&engine));
    assert_eq!(message, "The title");
    assert_eq!(facts, [("/missing".to_owned(), None, None)], "the absence is the evidence");
}

#[test]
fn a_template_that_was_never_seen_is_unknown_until_a_live_pod_violates() {
    let engine = engine(CONTAINERS);
    let mut case = Case { kind: Kind::K8sWorkload, ..Case::pod(json!({})) };
    let blind = Verdict::Unknown(UnknownReason::Undetermined { needs: "the pod template".into() });
    assert_eq!(case.judge(&engine), blind);
    let live = |bad: bool| {
        let spec = json!({"containers": [{"name": "x"}, {"name": "sidecar", "bad": bad}]});
        let pods = [live::LivePod { native_id: "pod-1", spec: &spec }];
        live::differences(Some(&json!({"containers": [{"name": "x"}]})), &pods)
    };
    case.live = Some(live(false));
    assert_eq!(case.judge(&engine), blind, "healthy sidecars do not tell of the template");
    case.live = Some(live(true));
    let (message, facts) = evidence(case.judge(&engine));
    assert_eq!(message, "container sidecar is bad");
    let expected =
        ("/spec/containers/1/bad".to_owned(), Some("container sidecar".to_owned()), Some("pod-1".to_owned()));
    assert_eq!(facts, [expected]);
}

const NEIGHBOURS: &str = "kinds: [k8s.pod]\nviolation: object.open && neighbours.policies.size() == 0\n\
                          message: \"'open'\"\nevidence: [open]\n";

struct Policies<'a> {
    configs: &'a [Value],
    completeness: Completeness,
}

impl Neighbours for Policies<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        assert_eq!((query.label, query.kinds, query.name), ("policies", &[Kind::K8sNetworkPolicy][..], Some("web")));
        let items = self.configs.iter().map(|config| NeighbourItem { config, native_id: "policy" }).collect();
        NeighbourSet { items, completeness: self.completeness }
    }
}

fn with_policies(complete: bool) -> String {
    format!(
        "{NEIGHBOURS}neighbours:\n  policies: {{ kinds: [k8s.networkpolicy], in: namespace, name: object.name, complete: {complete} }}\n"
    )
}

#[test]
fn what_is_absent_counts_only_when_all_was_listed() {
    let denied =
        Completeness::Incomplete { kind: Kind::K8sNetworkPolicy, state: Some(CoverageState::Denied), expired: false };
    let judge = |complete: bool, open: bool, configs: &[Value], completeness: Completeness| {
        let object = json!({"open": open, "name": "web"});
        let neighbours = Policies { configs, completeness };
        Case { kind: Kind::K8sPod, object, live: None, neighbours: &neighbours }
            .judge(&engine(&with_policies(complete)))
    };
    assert!(matches!(judge(true, true, &[], Completeness::Complete), Verdict::Unhealthy(_)));
    assert_eq!(judge(true, true, &[json!({})], Completeness::Complete), Verdict::Healthy);
    let unread =
        UnknownReason::Unread { kind: Kind::K8sNetworkPolicy, state: Some(CoverageState::Denied), expired: false };
    assert_eq!(judge(true, true, &[], denied), Verdict::Unknown(unread));
    assert_eq!(judge(true, false, &[], denied), Verdict::Healthy, "decided without the neighbours");
    assert!(matches!(judge(false, true, &[], denied), Verdict::Unhealthy(_)), "the control does with what was read");
}

#[test]
fn a_change_reaches_the_controls_that_look_at_its_kind() {
    let engine = engine(&with_policies(true));
    let dependents: Vec<_> = engine.dependents(Kind::K8sNetworkPolicy).collect();
    assert_eq!(dependents.len(), 1);
    assert_eq!((dependents[0].control_id, dependents[0].judged), ("test.one", &[Kind::K8sPod][..]));
    assert_eq!((dependents[0].within, dependents[0].through, dependents[0].outline), (Within::Namespace, None, false));
    assert_eq!(engine.dependents(Kind::K8sRole).count(), 0);
}

const VARIANTS: &str = "variants:\n\
    - { kinds: [aws.eks.cluster], violation: object.open, message: \"'open'\", evidence: [open], \
        remediation: { manual: m } }\n\
    - kinds: [azure.aks.cluster]\n  neighbours: { plans: { kinds: [azure.security.plan], in: unit } }\n  \
      violation: object.properties.open || neighbours.plans.size() == 0\n  message: \"'wide open'\"\n  \
      evidence: [properties/open]\n  remediation: { manual: m }\n";

#[test]
fn the_kind_picks_the_variant() {
    let files = files(VARIANTS).into_iter().map(|(path, text)| {
        let azure = "- { name: c, status: healthy, object: {}, kind: azure.aks.cluster }\n  \
                     - { name: d, status: unhealthy, object: {}, kind: azure.aks.cluster }\n";
        (path, text.replace(", manual: by hand", "").replace("variants:", &format!("  {azure}variants:")))
    });
    let engine = Engine::compile(&Catalogue::of_files(&files.collect()).unwrap()).unwrap();
    let judge = |kind: Kind, object: Value| Case { kind, ..Case::pod(object) }.judge(&engine);
    let open = json!({"open": true, "properties": {"open": true}});
    let (message, facts) = evidence(judge(Kind::AwsEksCluster, open.clone()));
    assert_eq!((&*message, &*facts[0].0), ("open", "/open"));
    let (message, facts) = evidence(judge(Kind::AzureAksCluster, open));
    assert_eq!((&*message, &*facts[0].0), ("wide open", "/properties/open"));
    let unread = judge(Kind::AzureAksCluster, json!({"properties": {"open": false}}));
    assert!(matches!(unread, Verdict::Unknown(UnknownReason::Unread { kind: Kind::AzureSecurityPlan, .. })));
    assert_eq!(engine.kinds("test.one"), [Kind::AwsEksCluster, Kind::AzureAksCluster]);
    assert_eq!(engine.checks(&[selection(json!({}))]).unwrap().of(Kind::AzureAksCluster).len(), 1);
    let dependents: Vec<_> = engine.dependents(Kind::AzureSecurityPlan).map(|d| d.judged).collect();
    assert_eq!(dependents, [&[Kind::AzureAksCluster][..]], "the other variant does not look at plans");
}

const PARAMETERS: &str = "kinds: [k8s.pod]\nviolation: '!(object.image in params.allowed) && params.strict'\n\
    message: \"'image'\"\nevidence: [image]\nparameters:\n  allowed: { type: array, default: [a], description: Images. }\n  \
    strict: { type: boolean, default: true, description: Whether. }\n";

#[test]
fn parameters_are_checked_and_defaults_filled_in() {
    let engine = engine(PARAMETERS);
    let check = |params: Value| engine.checks(&[selection(params)]).map(|set| set.checks()[0].clone());
    let plain = check(json!({})).unwrap();
    assert_eq!(plain.params, json!({"allowed": ["a"], "strict": true}));
    assert_eq!(plain.params_hash, check(json!({"allowed": ["a"]})).unwrap().params_hash, "the default, spelled out");
    assert_ne!(plain.params_hash, check(json!({"allowed": ["b"]})).unwrap().params_hash);
    let message = |params: Value| check(params).unwrap_err().to_string();
    assert_eq!(message(json!({"allowed": "a"})), "parameter `allowed` of `test.one` is not a list of strings");
    assert_eq!(message(json!({"alowed": []})), "`test.one` has no parameter `alowed`");
    assert_eq!(message(json!([])), "parameters of `test.one` are not an object");
}

#[test]
fn equal_selections_are_one_check_of_the_worse_severity() {
    let engine = engine(PARAMETERS);
    let severe = Selection { severity: Some(Severity::Critical), ..selection(json!({"strict": true})) };
    let other = selection(json!({"strict": false}));
    let set = engine.checks(&[selection(json!({})), severe, other]).unwrap();
    assert_eq!(
        set.checks().iter().map(|check| check.severity).collect::<Vec<_>>(),
        [Severity::Critical, Severity::Medium]
    );
    assert_eq!((set.of(Kind::K8sPod).len(), set.of(Kind::K8sNode).len()), (2, 0));
}

#[test]
fn an_assignment_lays_its_parameters_over_the_initiative() {
    let catalogue = catalogue(PARAMETERS);
    let initiative = catalogue.initiative("own").unwrap();
    let resolve = |params: Value| resolve(&catalogue, initiative, params.as_object().unwrap_or(&Map::new()));
    let selections = resolve(json!({"test.one": {"strict": false}})).unwrap();
    assert_eq!(selections, [Selection { severity: Some(Severity::Low), ..selection(json!({"strict": false})) }]);
    assert_eq!(resolve(json!({"gone": {}})), Err(SelectionError::UnknownControl { control: "gone".into() }));
}

#[track_caller]
fn refused(body: &str, message: &str) {
    let error = Engine::compile(&catalogue(body)).unwrap_err().to_string();
    let expected = format!("1 expression(s) refused:\ncontrols/test/one.yaml: {message}");
    assert!(error.starts_with(&expected), "wanted {expected}\ngot {error}");
}

#[test]
fn mistakes_are_found_when_content_is_compiled() {
    let body = |violation: &str| format!("kinds: [k8s.pod]\nviolation: \"{violation}\"\nmessage: \"'m'\"\n");
    refused(&body("objekt.a"), "violation: 1:1: `objekt` is not declared");
    refused(&body("it.a"), "violation: 1:1: `it` is not declared");
    refused(&body("resource.nam == ''"), "violation: 1:9: `resource` has no field `nam`");
    refused(&body("params.x"), "violation: 1:7: no parameter `x` is declared");
    refused(&body("neighbours.x.size() > 0"), "violation: 1:11: no neighbour `x` is declared here");
    refused(&body("true && "), "violation: 1:9: Syntax error: mismatched input '<EOF>'");
    let lets = "kinds: [k8s.node]\nlet: { a: b, b: '1' }\nviolation: 'true'\nmessage: \"'m'\"\n";
    refused(lets, "let.a: 1:1: `b` is not declared");
    let pods = "kinds: [k8s.node]\nfor_each: [containers]\nviolation: 'true'\nmessage: \"'m'\"\n";
    refused(pods, "for_each.0: none of the kinds has a pod template");
    let guard = "kinds: [k8s.pod]\nfor_each: [containers]\nnot_applicable: [{ if: it.x, cause: c }]\n\
                 violation: 'true'\nmessage: \"'m'\"\n";
    refused(guard, "not_applicable.0.if: 1:1: `it` is not declared");
}

#[test]
fn the_engine_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
}
