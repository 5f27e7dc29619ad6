use serde_json::{Value, json};

use super::templates;

/// Pointers of every container of every template, as they were written.
#[track_caller]
fn check(object: &Value, expected: &[&[&str]]) {
    let found: Vec<Vec<String>> = templates(object)
        .iter()
        .map(|template| {
            let containers = template.object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
            let pointers = (0..containers.len())
                .map(|index| template.origins.original(&format!("/spec/template/spec/containers/{index}/image")));
            pointers.inspect(|pointer| assert!(object.pointer(pointer).is_some(), "{pointer}")).collect()
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn templates_are_found_wherever_they_lie() {
    let pod = json!({"containers": [{"name": "a", "image": "a:1"}]});
    check(
        &json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"template": {"spec": pod}}}),
        &[&["/spec/template/spec/containers/0/image"]],
    );
    check(
        &json!({"apiVersion": "kubeflow.org/v1", "kind": "TFJob",
            "spec": {"tfReplicaSpecs": {"PS": {"template": {"spec": pod}}, "Worker": {"template": {"spec": pod}}}}}),
        &[
            &["/spec/tfReplicaSpecs/PS/template/spec/containers/0/image"],
            &["/spec/tfReplicaSpecs/Worker/template/spec/containers/0/image"],
        ],
    );
    check(
        &json!({"apiVersion": "example.com/v1", "kind": "X", "spec": {"podSpec": pod}}),
        &[&["/spec/podSpec/containers/0/image"]],
    );
    check(
        &json!({"apiVersion": "v1", "kind": "PodTemplate", "template": {"spec": pod}}),
        &[&["/template/spec/containers/0/image"]],
    );
    check(
        &json!({"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "spec": pod}),
        &[&["/spec/containers/0/image"]],
    );
}

#[test]
fn what_only_overrides_containers_is_no_template() {
    let object = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
        "spec": {"containers": [{"name": "prometheus", "args": ["-x"]}]}});
    check(&object, &[]);
}

#[test]
fn steps_and_workflow_templates_are_containers() {
    check(
        &json!({"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "spec": {"tasks": [{"taskSpec": {
            "steps": [{"name": "a", "image": "a:1"}, {"name": "b", "ref": {"name": "x"}}, {"name": "c", "image": "c:1"}],
            "sidecars": [{"name": "d", "image": "d:1"}]}}]}}),
        &[&[
            "/spec/tasks/0/taskSpec/steps/0/image",
            "/spec/tasks/0/taskSpec/steps/2/image",
            "/spec/tasks/0/taskSpec/sidecars/0/image",
        ]],
    );
    check(
        &json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "spec": {"workflowSpec": {"templates": [
            {"name": "main", "dag": {}}, {"name": "b", "script": {"image": "b:1"}, "sidecars": [{"name": "s", "image": "s:1"}]}]}}}),
        &[&["/spec/workflowSpec/templates/1/script/image", "/spec/workflowSpec/templates/1/sidecars/0/image"]],
    );
}

#[test]
fn labels_of_a_template_come_with_it() {
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "metadata": {"name": "x"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "a", "image": "a:1"}]}}}});
    let found = &templates(&object)[0];
    assert_eq!(found.object.pointer("/spec/template/metadata/labels/app"), Some(&json!("x")));
    assert_eq!(found.origins.original("/spec/template/metadata/labels"), "/spec/template/metadata/labels");
    assert_eq!(found.origins.original("/metadata/name"), "/metadata/name");
}
