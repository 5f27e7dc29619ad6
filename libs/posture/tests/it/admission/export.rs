//! Controls as admission policies: what a control finds unhealthy is what its policy refuses.

use std::collections::BTreeSet;

use rampart_content::{Control, Example};
use rampart_domain::{Status, strip_nulls};
use rampart_posture::policy::admission::export::{Action, ExportError, export};
use rampart_posture::policy::admission::{Unbound, load};
use rampart_posture::policy::{Decision, Policy};
use rampart_posture::{Check, Engine, examples};
use serde_json::{Map, Value, json};

use super::{Asked, documents, review};
use crate::sources::sources;

/// The policy of a control with the parameters of an example; `None` where there is none.
fn policy_of(control: &Control, example: &Example) -> Result<Box<dyn Policy>, ExportError> {
    let params: Map<String, Value> = example.params.clone().into_iter().collect();
    let exported = export(control, &params, &[Action::Audit])?;
    let (mut policies, errors) = load(&[exported.policy.clone(), exported.binding], Unbound::Idle);
    assert!(errors.is_empty() && policies.len() == 1, "{}: {errors:?}\n{}", control.id, exported.policy);
    Ok(policies.remove(0))
}

/// What the control says, and what the policy says of the same object.
fn both(engine: &Engine, control: &Control, example: &Example, object: &Value) -> (Status, Decision) {
    let check: Check = examples::check_of(engine, control, example).unwrap();
    let verdict = examples::with_input(control, example, object, |input| engine.judge(&check, input)).unwrap();
    let policy = policy_of(control, example).unwrap();
    (verdict.status(), review(&*policy, object, Asked::default()))
}

#[test]
fn policies_judge_as_their_controls_do() {
    let catalogue = sources();
    let engine = Engine::compile(&catalogue).unwrap_or_else(|error| panic!("{error}"));
    let (mut judged, mut exported, mut violated) = (0, BTreeSet::new(), BTreeSet::new());
    let mut differing = Vec::new();
    for control in catalogue.controls() {
        for example in control.examples.iter().filter(|example| example.resource.is_empty()) {
            let Ok(policy) = policy_of(control, example) else { continue };
            let check = examples::check_of(&engine, control, example).unwrap();
            exported.insert(&control.id);
            for mut object in changed(&example.object) {
                strip_nulls(&mut object);
                let version = object["apiVersion"].as_str().unwrap_or_default();
                if version.starts_with("extensions/") {
                    // No API server that has such policies serves the group.
                    continue;
                }
                let judge = |input: &rampart_posture::Input<'_>| engine.judge(&check, input).status();
                let status = examples::with_input(control, example, &object, judge).unwrap();
                let decision = review(&*policy, &object, Asked::default());
                judged += 1;
                if status == Status::Unhealthy {
                    violated.insert(&control.id);
                }
                if (status == Status::Unhealthy) != matches!(decision, Decision::Violated(_)) {
                    differing.push(format!("{}: {status:?} against {decision:?}: {object}", control.id));
                }
            }
        }
    }
    let shown: Vec<_> = differing.iter().take(40).collect();
    assert!(differing.is_empty(), "{} of {judged} differ: {shown:#?}", differing.len());
    assert_eq!(exported, violated, "every policy is seen to refuse something");
    assert!(exported.len() >= 85 && judged > 15_000, "{} policies, {judged} objects", exported.len());
}

/// The object, and the object without each of its fields or with something else there.
fn changed(object: &Value) -> Vec<Value> {
    let mut all = vec![object.clone()];
    let mut paths = Vec::new();
    collect(object, &mut String::new(), &mut paths);
    let fixed = ["/apiVersion", "/kind", "/metadata", "/metadata/name"];
    for path in paths.iter().filter(|path| !fixed.contains(&path.as_str())) {
        let old = object.pointer(path).unwrap();
        let mut others = vec![Value::Null];
        others.extend(match old {
            Value::Bool(flag) => vec![json!(!flag)],
            Value::Number(_) => vec![json!(0), json!(70_000)],
            Value::String(_) => vec![json!(""), json!("other")],
            Value::Array(items) => vec![json!([]), items.iter().chain(items).cloned().collect()],
            Value::Object(_) => vec![json!({})],
            Value::Null => vec![],
        });
        // No list of the API has nulls.
        if path.ends_with(|c: char| c.is_ascii_digit()) {
            others.remove(0);
        }
        for other in others {
            let mut copy = object.clone();
            *copy.pointer_mut(path).unwrap() = other;
            all.push(copy);
        }
    }
    all
}

fn collect(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => return,
    };
    for (key, child) in children {
        let length = path.len();
        path.push('/');
        path.push_str(&key);
        paths.push(path.clone());
        collect(child, path, paths);
        path.truncate(length);
    }
}

#[test]
fn what_a_policy_cannot_say_is_refused_with_the_reason() {
    let catalogue = sources();
    let reason = |id: &str| {
        let control = catalogue.control(id).unwrap();
        export(control, &Map::new(), &[Action::Audit]).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        reason("k8s.ns.resource_quota"),
        "`k8s.ns.resource_quota` is no admission policy: its neighbours.quotas looks at other objects"
    );
    assert!(reason("k8s.pod.selector_mismatch").contains("uses the function `selects`"));
    assert!(reason("k8s.rbac.system_masters").contains("asks who manages the resource"));
    assert!(reason("k8s.pod.capability_forbidden").contains("applies to nothing"));
    assert!(reason("eks.access_entry_iam_user").contains("configuration of a cloud"), "a cloud's");
    let control = catalogue.control("k8s.pod.host_path").unwrap();
    let stray = Map::from_iter([("allow".to_owned(), json!([]))]);
    assert!(matches!(export(control, &stray, &[]), Err(ExportError::Parameters(_))));
}

#[test]
fn a_policy_reads_as_one_writes_it() {
    let catalogue = sources();
    let control = catalogue.control("k8s.pod.host_path").unwrap();
    let params = Map::from_iter([("allowed".to_owned(), json!(["/var/log"]))]);
    let exported = export(control, &params, &[Action::Warn, Action::Audit]).unwrap();
    let spec = &exported.policy["spec"];
    assert_eq!(spec["failurePolicy"], "Ignore");
    assert_eq!(spec["validations"].as_array().map(Vec::len), Some(1));
    assert!(
        spec["validations"][0]["expression"]
            .as_str()
            .unwrap()
            .starts_with("variables.pod.?volumes.orValue([]).all(it, ")
    );
    assert_eq!(spec["variables"][1], json!({"name": "param_allowed", "expression": "['/var/log']"}));
    assert_eq!(exported.binding["spec"]["validationActions"], json!(["Warn", "Audit"]));
    assert_eq!(exported.binding["spec"]["policyName"], exported.policy["metadata"]["name"]);
    assert_eq!(documents(&exported.to_yaml()), [exported.policy, exported.binding]);
}

#[test]
fn a_message_names_what_violates() {
    let catalogue = sources();
    let control = catalogue.control("k8s.pod.privileged").unwrap();
    let engine = Engine::compile(&catalogue).unwrap();
    let example = &control.examples[0];
    let privileged = |name: &str| json!({"name": name, "image": "x", "securityContext": {"privileged": true}});
    let object = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "n"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {
            "containers": [privileged("a"), {"name": "b", "image": "x"}, privileged("c")],
            "initContainers": [privileged("i")],
        }}}}},
    });
    let example = Example { kind: Some(rampart_domain::Kind::K8sCronJob), params: [].into(), ..example.clone() };
    let (status, decision) = both(&engine, control, &example, &object);
    assert_eq!(status, Status::Unhealthy);
    assert_eq!(
        super::messages(decision),
        ["container a is privileged; container c is privileged", "container i is privileged"]
    );
}
