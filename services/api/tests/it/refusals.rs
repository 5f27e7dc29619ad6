//! Documents inside of bodies that grow without end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{POLICY, control_source, start};

/// What reading any document may take, with room for a slow machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nine levels of ten references each.
fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{list}]");
    }
    text
}

#[tokio::test]
async fn a_document_that_explodes_is_refused_in_time() {
    let api = start().await;
    let world = api.world("alpha").await;
    let violation = |text: &str| control_source("custom.mine").replace("has(resource.labels.bad)", text);
    let deep_cel = "(".repeat(5_000) + "true" + &")".repeat(5_000);
    let nested = (0..40).fold("true".to_owned(), |inner, n| format!("[1, 2, 3, 4, 5, 6, 7, 8, 9].all(v{n}, {inner})"));
    let long_cel = vec!["true"; 100_000].join(" && ");
    let mut documents = vec![
        ("deep lists", "[".repeat(100_000), false),
        ("deep maps", "a: {".repeat(50_000), false),
        ("deep indentation", (0..2_000).flat_map(|n| [" ".repeat(n % 400), "a:\n".to_owned()]).collect(), false),
        ("aliases of aliases", alias_bomb(), false),
        ("an alias of itself", "a: &a [*a]\n".to_owned(), false),
        ("aliases below a control", control_source("custom.mine") + &alias_bomb(), false),
        ("a document without end", "- ".repeat(300_000), false),
        ("not closed", "'".to_owned() + &"x".repeat(500_000), false),
        ("parentheses", violation(&deep_cel), false),
        ("a very long condition", violation(&long_cel), false),
        ("a huge regex", violation("resource.name.matches('((((a{1,1000}){1,1000}){1,1000}){1,1000})$')"), false),
        // What is only slow is taken: every evaluation counts its steps.
        ("loops in loops", violation(&nested), true),
        ("a regex that backtracks elsewhere", violation("resource.name.matches('^(a+)+$')"), true),
    ];
    documents.push((
        "a megabyte of keys",
        (0..60_000).flat_map(|n| ["k".to_owned(), n.to_string(), ": 1\n".to_owned()]).collect(),
        false,
    ));
    for (what, source, may_fit) in &documents {
        for (path, body) in [
            ("/v1/custom-controls", json!({ "source": source })),
            ("/v1/policies", json!({ "name": "bomb", "source": source })),
            ("/v1/policy-trials", json!({ "format": "control", "source": source })),
            ("/v1/policy-trials", json!({ "format": "policies", "source": source })),
        ] {
            let begun = Instant::now();
            let answered = api.post(path, &world.owner, body).await;
            let took = begun.elapsed();
            assert!(took < PATIENCE, "{path} with {what} took {took:?}");
            let fits = *may_fit && answered.status.is_success();
            assert!(
                fits || answered.status.is_client_error(),
                "{path} with {what}: {} {:.300}",
                answered.status,
                answered.text
            );
            if took > Duration::from_millis(500) {
                eprintln!("{path} with {what}: {took:?}");
            }
        }
    }
    let expression = |text: &str| POLICY.replace("object.spec.replicas >= 2", text);
    for (what, source) in [
        ("parentheses", expression(&deep_cel)),
        ("aliases", POLICY.to_owned() + &alias_bomb()),
        (
            "Rego that calls itself",
            "package k8s\nviolation[{\"msg\": m}] { f(1); m := \"x\" }\nf(x) { f(x) }\n".to_owned(),
        ),
    ] {
        let begun = Instant::now();
        let answered = api.post("/v1/policies", &world.owner, json!({"name": "bomb", "source": source})).await;
        assert!(begun.elapsed() < PATIENCE, "{what} took {:?}", begun.elapsed());
        assert!(answered.status.is_client_error(), "{what}: {} {:.300}", answered.status, answered.text);
    }
    api.get("/v1/controls?limit=1", &world.owner).await.expect(StatusCode::OK);
}
