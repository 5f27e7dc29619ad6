//! Paths, queries, headers and cursors that no client makes. The lists and their filters are taken from the document.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use rampart_store::page::Cursor;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use crate::authorisation::path;
use crate::document::{Operation, operations};
use crate::support::{Answered, TestApi, World, start};

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// The names of an operation's query parameters.
fn parameters(operation: &Operation) -> Vec<String> {
    let document = serde_json::to_value(rampart_api::openapi()).unwrap();
    let stated = &document["paths"][&operation.path][operation.method.as_str().to_lowercase()];
    let parameters = stated["parameters"].as_array().cloned().unwrap_or_default();
    let queries = parameters.iter().filter(|parameter| parameter["in"] == "query");
    queries.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

/// Fills lists, so that most have a second page.
async fn fill(api: &TestApi, world: &World) {
    for n in 0..2 {
        for (path, body) in [
            ("/v1/preflights", json!(null)),
            (
                "/v1/tokens",
                json!({"name": format!("t{n}"), "grants": [{"role": "owner", "scope": {"type": "tenant"}}]}),
            ),
            ("/v1/what-if", json!({"changes": [{"type": "delete", "resource_id": world.resource}]})),
            (
                "/v1/exemptions",
                json!({"name": format!("e{n}"), "category": "waiver", "reason": "r",
                    "controls": ["k8s.pod.privileged"], "where": {"cluster": world.cluster}}),
            ),
            (
                "/v1/governance-rules",
                json!({"name": format!("g{n}"), "priority": 7 + n, "owner": "jo", "scope": {"type": "tenant"}}),
            ),
            ("/v1/criticality-rules", json!({"name": format!("c{n}"), "level": "low", "scope": {"type": "tenant"}})),
            (
                "/v1/disabled-controls",
                json!({"control": (["k8s.pod.privileged", "k8s.pod.host_pid"][n]), "reason": "r",
                    "scope": {"type": "cluster", "cluster_id": world.cluster}}),
            ),
        ] {
            if !body.is_null() {
                api.post(path, &world.owner, body).await;
            }
        }
    }
}

fn with_cursor(operation: &Operation, world: &World, cursor: &str) -> String {
    format!("{}&cursor={}", path(operation, world).replace("limit=100", "limit=1"), encoded(cursor))
}

#[track_caller]
fn check_invalid(operation: &Operation, what: &str, answered: &Answered) {
    let refused = answered.status == StatusCode::BAD_REQUEST && answered.code() == "invalid_cursor";
    assert!(refused, "{} with {what}: {} {}", operation.id, answered.status, answered.text);
}

#[tokio::test]
async fn no_cursor_but_the_lists_own_is_taken() {
    let api = start().await;
    let (world, other) = (api.world("alpha").await, api.world("beta").await);
    fill(&api, &world).await;
    fill(&api, &other).await;
    let lists: Vec<Operation> = operations().into_iter().filter(|operation| operation.is_list).collect();
    let next = async |operation: &Operation, world: &World| {
        let first = path(operation, world).replace("limit=100", "limit=1");
        let page = api.get(&first, &world.owner).await.expect(StatusCode::OK).json();
        page["next_cursor"].as_str().map(str::to_owned)
    };
    let garbage = [
        String::new(),
        "x".to_owned(),
        "null".to_owned(),
        "AAAA".to_owned(),
        "' or 1=1 --".to_owned(),
        "a\u{fffd}".to_owned(),
        "A".repeat(60_000),
        forged("", &json!(null)),
        forged("' or 1=1 --", &json!(["x"])),
    ];
    let (mut paged, mut bent, mut forgeries) = (0, 0, 0);
    for operation in &lists {
        for text in &garbage {
            check_invalid(operation, text, &api.get(&with_cursor(operation, &world, text), &world.owner).await);
        }
        let Some(cursor) = next(operation, &world).await else { continue };
        paged += 1;
        for at in 0..cursor.len() {
            let mut text = cursor.clone();
            text.replace_range(at..=at, if &cursor[at..=at] == "A" { "B" } else { "A" });
            check_invalid(operation, &text, &api.get(&with_cursor(operation, &world, &text), &world.owner).await);
            bent += 1;
        }
        for cut in [1, cursor.len() / 2, cursor.len() - 1] {
            let cut = &cursor[..cut];
            check_invalid(operation, cut, &api.get(&with_cursor(operation, &world, cut), &world.owner).await);
        }
        // A caller who knows how cursors are made, and the other tenant's, choose a place in their own list at most.
        let sound = read(&cursor);
        let mut texts: Vec<String> =
            hostile_keys(&sound["k"]).iter().map(|key| forged(sound["f"].as_str().unwrap(), key)).collect();
        texts.extend(next(operation, &other).await);
        for text in texts {
            let answered = api.get(&with_cursor(operation, &world, &text), &world.owner).await;
            forgeries += 1;
            assert!(
                answered.status == StatusCode::OK || answered.status.is_client_error(),
                "{} with {}: {} {}",
                operation.id,
                read(&text),
                answered.status,
                answered.text
            );
            assert!(!answered.text.contains("beta"), "{}: {}", operation.id, answered.text);
        }
    }
    eprintln!(
        "{} lists, {paged} with a second page: {bent} bent cursors refused, {forgeries} forged ones harmless",
        lists.len()
    );
    assert!(paged >= 15, "{paged} lists have a second page");
}

fn forged(filters: &str, key: &Value) -> String {
    serde_json::from_value::<Cursor>(json!({ "f": filters, "k": key })).unwrap().encode()
}

/// What a cursor says.
fn read(cursor: &str) -> Value {
    const DIGEST: usize = 6;
    let bytes = base64_url(cursor);
    serde_json::from_slice(bytes.get(DIGEST..).unwrap_or_default()).unwrap_or_default()
}

fn base64_url(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'-' => 62,
        _ => 63,
    };
    let chunks = text.as_bytes().chunks(4).flat_map(|chunk| {
        let bits = (0..4).fold(0, |bits, at| (bits << 6) | chunk.get(at).map_or(0, |byte| digit(*byte)));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    });
    chunks.collect()
}

/// The same key with each of its parts replaced.
fn hostile_keys(key: &Value) -> Vec<Value> {
    let hostile = [
        json!("' or 1=1 --"),
        json!("a\u{0}b"),
        json!(""),
        json!("ffffffff-ffff-ffff-ffff-ffffffffffff"),
        json!("+262142-12-31T23:59:59Z"),
        json!("-262143-01-01T00:00:00Z"),
        json!("0001-01-01T00:00:00Z"),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(-1),
        json!(1e300),
        json!(null),
        json!([[[]]]),
        json!({}),
    ];
    let mut keys = hostile.to_vec();
    for at in 0..key.as_array().map_or(0, Vec::len) {
        for value in &hostile {
            let mut bent = key.clone();
            bent[at] = value.clone();
            keys.push(bent);
        }
    }
    keys
}

/// Fingerprints of all that a read does not write: it may note who asks, and what was refused.
async fn written(api: &TestApi) -> BTreeMap<String, String> {
    let mut tables = api.db.fingerprints(&["tokens", "rate_windows"]).await;
    tables.retain(|table, _| !table.starts_with("audit_log"));
    tables
}

#[tokio::test]
async fn no_filter_is_run_or_breaks_the_server() {
    let api = start().await;
    let (world, _other) = (api.world("alpha").await, api.world("beta").await);
    let before = written(&api).await;
    let hostile = [
        "' or '1'='1' --",
        "'; drop table resources cascade; --",
        "') union select tenant_id::text, hash::text from tokens --",
        "%",
        "_%\\",
        "\\",
        "app=web' or ''='",
        "a=b,c!=d",
        "true || resource.name.matches('(a+)+$')",
        "[1].all(a, [1].all(b, true))",
        "\u{fffd}\u{202e}",
        "-1",
        "99999999999999999999999",
        "1e309",
        "00000000-0000-0000-0000-000000000000",
        "+262142-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "null",
        "",
    ];
    let long = "x".repeat(20_000);
    let mut sent = 0;
    for operation in operations().into_iter().filter(|it| it.method == Method::GET && !it.is_public) {
        let base = path(&operation, &world);
        let mark = if base.contains('?') { '&' } else { '?' };
        for parameter in parameters(&operation) {
            for value in hostile.iter().chain([&long.as_str()]) {
                // Raw bytes and a NUL beside what is text.
                for value in [encoded(value), format!("{}%00", encoded(value)), format!("%ff{}", encoded(value))] {
                    let base = if parameter == "limit" { base.split('?').next().unwrap() } else { &base };
                    let mark = if parameter == "limit" { '?' } else { mark };
                    let answered = api.get(&format!("{base}{mark}{parameter}={value}"), &world.owner).await;
                    sent += 1;
                    assert!(
                        !answered.status.is_server_error(),
                        "{} {parameter}={value:.80}: {} {}",
                        operation.id,
                        answered.status,
                        answered.text
                    );
                    assert!(!answered.text.contains("beta"), "{} {parameter}={value:.80}", operation.id);
                }
            }
        }
    }
    eprintln!("{sent} hostile filters, no server error");
    assert_eq!(written(&api).await, before, "a filter wrote something");
}

#[tokio::test]
async fn paths_and_headers_need_not_be_text() {
    let api = start().await;
    let world = api.world("alpha").await;
    let call = async |method: &Method, uri: &str, header: Option<(&str, &[u8])>| {
        let mut request = Request::builder().method(method.clone()).uri(uri);
        request = request.header("authorization", format!("Bearer {}", world.owner));
        if let Some((name, value)) = header {
            request = request.header(name, HeaderValue::from_bytes(value).unwrap());
        }
        api.send(request.body(Body::empty()).unwrap()).await
    };
    for operation in operations() {
        for part in ["%ff%fe", "%00", "a%00b", "%c3%28", "..%2f..%2fetc%2fpasswd", "'%20or%201=1", "%25", "~"] {
            let mut uri = String::new();
            for segment in operation.path.split_inclusive('/') {
                let is_variable = segment.starts_with('{');
                uri += if is_variable { part } else { segment };
                uri += if is_variable && segment.ends_with('/') { "/" } else { "" };
            }
            if uri == operation.path {
                continue;
            }
            let answered = call(&operation.method, &uri, None).await;
            assert!(answered.status.is_client_error(), "{} {uri}: {} {}", operation.id, answered.status, answered.text);
        }
        if operation.is_public {
            continue;
        }
        let uri = path(&operation, &world);
        for name in ["if-match", "idempotency-key", "prefer", "x-request-id", "content-type", "accept-encoding"] {
            let answered = call(&operation.method, &uri, Some((name, b"\xff\xfe\x80"))).await;
            assert!(!answered.status.is_server_error(), "{} with {name}: {}", operation.id, answered.text);
            if operation.method == Method::DELETE {
                break;
            }
        }
    }
    let mut request = Request::get("/v1/tenant").body(Body::empty()).unwrap();
    request.headers_mut().insert("authorization", HeaderValue::from_bytes(b"Bearer rmp_\xff\xfe").unwrap());
    assert_eq!(api.send(request).await.code(), "unauthenticated");
}
