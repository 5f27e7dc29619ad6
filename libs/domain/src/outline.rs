use serde_json::{Map, Value, json};

use crate::Kind;

/// What others see of a workload, in the shape of its configuration: kind, name, the labels of its pods and the images of
/// their containers. `None` for what runs no pods.
///
/// It is small and seldom changes: whoever looks at the workloads around something needs neither to read nor to follow
/// the rest.
pub fn outline(kind: Kind, config: &Value) -> Option<Value> {
    let spec = kind.pod_spec_pointer()?;
    let template = spec.strip_suffix("/spec")?;
    let mut outline = Value::Object(Map::new());
    let mut keep = |pointer: &str, seen: &dyn Fn(&Value) -> Option<Value>| {
        if let Some(value) = config.pointer(pointer).and_then(seen) {
            put(&mut outline, pointer, value);
        }
    };
    let whole = |value: &Value| Some(value.clone());
    keep("/kind", &whole);
    keep("/metadata/name", &whole);
    if !template.is_empty() {
        // One without labels is still one whose labels are known.
        keep(template, &|template| template.is_object().then(|| json!({})));
    }
    keep(&format!("{template}/metadata/labels"), &whole);
    keep(&format!("{spec}/containers"), &|containers| {
        let image = |container: &Value| container.get("image").map_or(json!({}), |image| json!({ "image": image }));
        Some(containers.as_array()?.iter().map(image).collect())
    });
    Some(outline)
}

/// Puts a value where a JSON pointer without escapes leads, through objects.
fn put(root: &mut Value, pointer: &str, value: Value) {
    let mut at = root;
    for name in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[name];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(image: &str) -> Value {
        json!({
            "metadata": { "labels": { "app": "web" }, "annotations": { "note": "x" } },
            "spec": { "containers": [{ "name": "a", "image": image, "env": [{ "name": "A", "value": "1" }] }] },
        })
    }

    #[test]
    fn it_keeps_name_labels_and_images_where_they_are() {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "labels": { "own": "yes" } },
            "spec": { "replicas": 2, "template": template("web:1") },
        });
        let kept = json!({
            "kind": "Deployment", "metadata": { "name": "web" },
            "spec": { "template": {
                "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "image": "web:1" }] },
            } },
        });
        assert_eq!(outline(Kind::K8sDeployment, &deployment), Some(kept));
        let cron =
            json!({ "spec": { "schedule": "@daily", "jobTemplate": { "spec": { "template": template("job:1") } } } });
        let seen = outline(Kind::K8sCronJob, &cron).expect("an outline");
        assert_eq!(seen.pointer("/spec/jobTemplate/spec/template/metadata/labels/app"), Some(&json!("web")));
        assert_eq!(seen.pointer("/spec/schedule"), None);
    }

    #[test]
    fn a_pod_has_labels_of_its_own() {
        let pod = json!({ "kind": "Pod", "metadata": { "name": "p", "labels": { "a": "b" }, "uid": "1" },
            "spec": { "nodeName": "n", "containers": [{ "name": "c" }] }, "status": { "phase": "Running" } });
        let kept = json!({ "kind": "Pod", "metadata": { "name": "p", "labels": { "a": "b" } },
            "spec": { "containers": [{}] } });
        assert_eq!(outline(Kind::K8sPod, &pod), Some(kept));
    }

    #[test]
    fn a_template_without_labels_is_not_one_that_was_never_read() {
        let with = |spec: Value| outline(Kind::K8sDeployment, &json!({ "spec": spec })).expect("an outline");
        assert!(with(json!({ "template": { "spec": {} } })).pointer("/spec/template").is_some());
        assert!(with(json!({})).pointer("/spec/template").is_none());
        assert_eq!(with(json!({ "template": "odd" })), json!({}));
    }

    #[test]
    fn nothing_else_has_one() {
        assert_eq!(outline(Kind::K8sService, &json!({ "kind": "Service" })), None);
    }
}
