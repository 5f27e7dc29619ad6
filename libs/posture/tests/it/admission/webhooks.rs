//! Which webhooks are asked about a pod.

use rampart_posture::policy::admission::webhook::{Asked, Webhook};
use rampart_posture::policy::{Inventory, Operation, Review};
use serde_json::{Value, json};

fn asked(change: &Value, namespace: Option<&Value>) -> Asked {
    let mut webhook = json!({"name": "w.example", "failurePolicy": "Ignore", "namespaceSelector": {},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}]});
    webhook.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "c"}, "webhooks": [webhook]});
    let webhooks = Webhook::of(&configuration);
    let [webhook] = &webhooks[..] else { panic!("one webhook") };
    assert_eq!((&*webhook.configuration, &*webhook.name), ("c", "w.example"));
    assert!(!webhook.is_mutating && !webhook.fails_closed);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop", "labels": {"a": "b"}}});
    webhook.asked(&Review {
        object: &pod,
        old_object: None,
        operation: Some(Operation::Create),
        namespace,
        user: None,
        inventory: &Inventory::default(),
    })
}

#[test]
fn rules_and_selectors_decide_and_conditions_may() {
    let shop =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"guarded": "no"}}});
    let check = |change: Value, expected| assert_eq!(asked(&change, Some(&shop)), expected, "{change}");
    check(json!({}), Asked::Yes);
    check(json!({"rules": []}), Asked::No);
    check(
        json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]}),
        Asked::Yes,
    );
    check(
        json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}]}),
        Asked::No,
    );
    check(json!({"objectSelector": {"matchLabels": {"a": "c"}}}), Asked::No);
    check(json!({"matchConditions": [{"name": "n", "expression": "true"}]}), Asked::Perhaps);
    check(json!({"rules": "broken"}), Asked::Perhaps);
    let guarded = json!({"namespaceSelector": {"matchLabels": {"guarded": "yes"}}});
    check(guarded.clone(), Asked::No);
    assert_eq!(asked(&guarded, None), Asked::Perhaps, "the labels of the namespace are not known");
}
