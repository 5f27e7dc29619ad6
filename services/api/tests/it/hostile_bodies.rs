//! Bodies that no caller means: too large, too deep, not text, and strings that other languages would run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::authorisation::{body, path};
use crate::document::{Operation, operations};
use crate::support::{Answered, TestApi, World, start};

const CHUNK: usize = 64 << 10;
/// The largest limit of any operation, that of batches, and what may lie in buffers.
const MOST_READ: usize = (9 << 20) + 4 * CHUNK;

/// Operations whose description has a body, each with the one that the authorisation test sends.
fn with_body(world: &World) -> Vec<(Operation, Value)> {
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let found = operations().into_iter().filter_map(|operation| {
        let stated = &document["paths"][&operation.path][operation.method.as_str().to_lowercase()];
        stated.get("requestBody")?;
        let body = body(&operation, world)?;
        Some((operation, body))
    });
    found.collect()
}

async fn send(api: &TestApi, operation: &Operation, world: &World, body: Body) -> Answered {
    let request = Request::builder().method(operation.method.clone()).uri(path(operation, world));
    let request = request.header("authorization", format!("Bearer {}", world.owner)).header("if-match", "*");
    api.send(request.header("content-type", "application/json").body(body).unwrap()).await
}

#[track_caller]
fn check_refused(operation: &Operation, what: &str, answered: &Answered) {
    assert!(answered.status.is_client_error(), "{} {what}: {} {}", operation.id, answered.status, answered.text);
    answered.code();
}

#[tokio::test]
async fn a_body_of_100_mb_is_refused_before_it_is_read() {
    let api = start().await;
    let world = api.world("alpha").await;
    let mut most = 0;
    for operation in operations().into_iter().filter(|it| it.method != Method::GET) {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let chunks = futures::stream::iter(0..(100 << 20) / CHUNK).map(move |_| {
            counted.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![b' '; CHUNK]))
        });
        let answered = send(&api, &operation, &world, Body::from_stream(chunks)).await;
        let read = read.load(Ordering::Relaxed);
        most = most.max(read);
        assert!(read <= MOST_READ, "{} read {read} bytes", operation.id);
        // What takes no body does not look at one.
        if read > 0 {
            assert_eq!(answered.code(), "body_too_large", "{}", operation.id);
        }
        assert!(!answered.status.is_server_error(), "{}: {}", operation.id, answered.text);
    }
    eprintln!("most read of 100 MB by any operation: {} KiB", most >> 10);
}

#[tokio::test]
async fn what_is_no_json_of_reasonable_depth_is_malformed() {
    let api = start().await;
    let world = api.world("alpha").await;
    let lists = "[".repeat(10_000) + &"]".repeat(10_000);
    let objects = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    for (operation, sound) in with_body(&world) {
        let mut bodies = vec![
            ("lists", lists.clone().into_bytes()),
            ("objects", objects.clone().into_bytes()),
            ("not closed", "[".repeat(10_000).into_bytes()),
            ("not UTF-8", b"{\"name\": \"\xff\xfe\"}".to_vec()),
            ("half a surrogate", br#"{"name": "\ud800"}"#.to_vec()),
            ("a NUL", br#"{"name": "a\u0000b"}"#.to_vec()),
            ("raw control characters", b"{\"name\": \"a\x00b\"}".to_vec()),
        ];
        // The same below each field that the operation knows.
        for field in sound.as_object().into_iter().flat_map(|fields| fields.keys()) {
            bodies.push(("a deep field", format!("{{\"{field}\": {lists}}}").into_bytes()));
        }
        for (what, bytes) in bodies {
            check_refused(&operation, what, &send(&api, &operation, &world, Body::from(bytes)).await);
        }
    }
}

const INJECTED: [&str; 12] = [
    "' or '1'='1' --",
    "'; drop table resources cascade; --",
    "\"; select pg_sleep(60); --",
    "%' escape '\\",
    "\\",
    "$1",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "resource.labels.all(a, resource.labels.all(b, true))",
    "true || has(object.spec)",
    "\u{202e}\u{0007}\u{feff}",
    "00000000-0000-0000-0000-000000000000",
    "+262142-12-31T23:59:59.999999999Z",
];

/// Every place of a text or a number in a document.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(value, &format!("{at}/{key}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| leaves(item, &format!("{at}/{i}"), found)),
        _ => found.push(at.to_owned()),
    }
}

#[tokio::test]
async fn no_text_of_a_body_is_run_or_breaks_the_server() {
    let api = start().await;
    let (world, other) = (api.world("alpha").await, api.world("beta").await);
    let long = "x".repeat(100_000);
    let long = long.as_str();
    let mut sent = 0;
    for (operation, sound) in with_body(&world) {
        let mut places = Vec::new();
        leaves(&sound, "", &mut places);
        for place in places {
            let texts = INJECTED.iter().chain([&long]).map(|text| json!(text));
            for hostile in texts.chain([json!(-1), json!(i64::MAX), json!(u64::MAX), json!(1e308), Value::Null]) {
                let mut body = sound.clone();
                *body.pointer_mut(&place).unwrap() = hostile.clone();
                let answered = send(&api, &operation, &world, Body::from(body.to_string())).await;
                sent += 1;
                assert!(
                    !answered.status.is_server_error(),
                    "{} with {hostile:.80} at {place}: {} {}",
                    operation.id,
                    answered.status,
                    answered.text
                );
                assert!(!answered.text.contains("beta"), "{} at {place}: {}", operation.id, answered.text);
            }
        }
    }
    eprintln!("{sent} bodies with hostile values, no server error");
    let kept = api.get(&format!("/v1/resources/{}", other.resource), &other.owner).await;
    kept.expect(StatusCode::OK);
}
