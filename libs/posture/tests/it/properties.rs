//! What holds for every pod: verdicts do not depend on order, on what the API server fills in, on how a value is spelled,
//! or on what kind of workload carries the template; and nothing that is added heals.

mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use pods::{Pod, pod, wrapped};
use proptest::prelude::*;
use rampart_content::KindSelector;
use rampart_domain::{Cloud, Kind, ManagedBy, Status, Verdict, strip_nulls};
use rampart_posture::{CheckSet, Engine, Facts, Input, NoNeighbours, Selection};
use serde_json::{Value, json};

use crate::sources::sources;

struct Judge {
    engine: Engine,
    checks: CheckSet,
}

/// Every control of workloads, with its defaults and with the parameters of each of its examples.
static JUDGE: LazyLock<Judge> = LazyLock::new(|| {
    let catalogue = sources();
    let engine = Engine::compile(&catalogue).unwrap();
    let mut selections = Vec::new();
    let of_pods = |kind: KindSelector| kind.kinds().iter().any(|kind| kind.is_workload());
    for control in catalogue.controls().filter(|control| control.kinds().any(of_pods)) {
        let selection = |params| Selection { control_id: control.id.clone(), params, severity: None };
        selections.push(selection(json!({})));
        selections.extend(control.examples.iter().map(|example| selection(json!(example.params))));
    }
    let checks = engine.checks(&selections).unwrap();
    assert!(checks.checks().len() > 120, "{}", checks.checks().len());
    Judge { engine, checks }
});

/// What a verdict stands on: the fields by their pointers without places in lists, and their elements.
type Grounds = BTreeSet<(String, Option<String>)>;
type Verdicts = BTreeMap<(&'static str, String), (Status, Grounds)>;

fn judge(kind: Kind, object: &Value) -> Verdicts {
    let mut object = object.clone();
    strip_nulls(&mut object);
    let labels = json!({});
    let facts = Facts {
        kind,
        name: "it",
        namespace: Some("shop"),
        cloud: Cloud::Azure,
        account: None,
        region: None,
        labels: &labels,
        managed_by: ManagedBy::Customer,
        active: true,
        native_id: "judged",
    };
    let now = "2026-06-01T12:00:00Z".parse().unwrap();
    let input = Input { facts, config: &object, live: None, neighbours: &NoNeighbours, now };
    let mut verdicts = Verdicts::new();
    JUDGE.engine.evaluate(&JUDGE.checks, &input, |check, verdict| {
        let grounds = match &verdict {
            Verdict::Unhealthy(evidence) => evidence
                .facts
                .iter()
                .map(|fact| {
                    let segments =
                        fact.pointer.split('/').map(|part| if part.parse::<usize>().is_ok() { "*" } else { part });
                    let pointer: Vec<&str> = segments.collect();
                    (pointer.join("/"), fact.element.clone())
                })
                .collect(),
            _ => Grounds::new(),
        };
        verdicts.insert((&check.control_id, check.params.to_string()), (verdict.status(), grounds));
    });
    verdicts
}

/// The checks that say something else of either, but for those that may.
fn differing(left: &Verdicts, right: &Verdicts, grounds: bool, may: &[&str]) -> Vec<String> {
    let differs = |key: &&(&'static str, String)| {
        let (Some(left), Some(right)) = (left.get(*key), right.get(*key)) else { return false };
        !may.contains(&key.0) && (left.0 != right.0 || (grounds && left.1 != right.1))
    };
    left.keys().filter(differs).map(|key| format!("{} {}: {:?} {:?}", key.0, key.1, left[key], right[key])).collect()
}

fn same_status(left: &Pod, right: &Pod, may: &[&str]) -> Result<(), TestCaseError> {
    let found = differing(&judge(Kind::K8sPod, &left.object()), &judge(Kind::K8sPod, &right.object()), false, may);
    prop_assert!(found.is_empty(), "{found:#?}\n{}\n{}", left.object(), right.object());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_never_matters(pod in pod()) {
        let found = differing(&judge(Kind::K8sPod, &pod.object()), &judge(Kind::K8sPod, &pod.reversed().object()), true, &[]);
        prop_assert!(found.is_empty(), "{found:#?}\n{}", pod.object());
    }

    #[test]
    fn another_container_or_volume_never_heals(pod in pod(), more in pod()) {
        let before = judge(Kind::K8sPod, &pod.object());
        let after = judge(Kind::K8sPod, &pod.with(&more).object());
        for (key, (status, _)) in &before {
            prop_assert!(*status != Status::Unhealthy || after[key].0 == Status::Unhealthy, "{key:?}\n{}\n{}", pod.object(), more.object());
        }
    }

    #[test]
    fn what_the_api_server_fills_in_changes_nothing(pod in pod()) {
        same_status(&pod, &pod.defaulted(), &[])?;
    }

    #[test]
    fn null_and_empty_are_as_absent(pod in pod()) {
        same_status(&pod, &pod.with_nulls(), &[])?;
        same_status(&pod, &pod.with_empties(), &[])?;
    }

    #[test]
    fn a_value_is_the_same_in_every_spelling(pod in pod()) {
        same_status(&pod, &pod.respelled(), &[])?;
    }

    #[test]
    fn a_template_is_judged_alike_in_every_workload(pod in pod()) {
        let reference = judge(Kind::K8sDeployment, &wrapped(Kind::K8sDeployment, &pod));
        for kind in pods::KINDS {
            let found = differing(&reference, &judge(kind, &wrapped(kind, &pod)), false, OF_THE_KIND);
            prop_assert!(found.is_empty(), "{kind}: {found:#?}\n{}", pod.object());
        }
    }
}

/// Controls that judge more than the template.
const OF_THE_KIND: &[&str] = &[
    // Jobs end by themselves, and daemons belong on every node.
    "k8s.pod.liveness_probe",
    "k8s.pod.readiness_probe",
    "k8s.pod.system_pool_toleration",
    // They look at the labels and annotations of the workload too, which for a pod are those of the template.
    "k8s.meta.aks_reserved_label",
    "k8s.meta.annotation_missing",
];
