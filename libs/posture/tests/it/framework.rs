//! Initiatives that follow a framework are resolved like any other.

use rampart_content::Catalogue;
use rampart_posture::{Engine, SelectionError, resolve};
use serde_json::{Map, json};

#[test]
fn every_initiative_of_a_framework_becomes_checks() {
    let catalogue = Catalogue::embedded().unwrap();
    let engine = Engine::compile(&catalogue).unwrap();
    for framework in catalogue.frameworks() {
        let following = catalogue.initiatives().filter(|it| it.framework.as_ref() == Some(&framework.id));
        for initiative in following {
            let selections = resolve(&catalogue, initiative, &Map::new()).unwrap();
            let answering = catalogue.controls().filter(|control| framework.answered_by(control).next().is_some());
            let answering: Vec<&str> = answering.map(|control| control.id.as_str()).collect();
            let selected: Vec<&str> = selections.iter().map(|selection| selection.control_id.as_str()).collect();
            assert_eq!(selected, answering, "{}", initiative.id);
            assert_eq!(engine.checks(&selections).unwrap().checks().len(), selected.len(), "{}", initiative.id);
        }
    }
}

#[test]
fn parameters_reach_controls_that_the_framework_brought() {
    let catalogue = Catalogue::embedded().unwrap();
    let initiative = catalogue.initiative("cis-eks").unwrap();
    let given = |control: &str| Map::from_iter([(control.to_owned(), json!({ "allowed": ["x"] }))]);
    let selections = resolve(&catalogue, initiative, &given("eks.access_entry_iam_user")).unwrap();
    let entry = selections.iter().find(|selection| selection.control_id == "eks.access_entry_iam_user").unwrap();
    assert_eq!(entry.params, json!({ "allowed": ["x"] }));
    let outside = resolve(&catalogue, initiative, &given("k8s.pod.host_port"));
    assert_eq!(outside, Err(SelectionError::UnknownControl { control: "k8s.pod.host_port".into() }));
}
