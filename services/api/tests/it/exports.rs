use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use futures::StreamExt as _;
use rampart_store::Role;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{Answered, TestApi, World, start};

/// More than two pages of findings, on a name that a spreadsheet would take for a formula.
const MANY: usize = 4_500;

async fn many(api: &TestApi, world: &World) {
    let World { tenant, cluster, connector, .. } = world;
    api.db
        .run(&format!(
            "insert into resources (tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud,
                managed_by, active, config, hash, connector_id, scope, first_seen, changed_at)
             select '{tenant}', md5(n::text)::uuid, '{cluster}', '{cluster}', 'n' || n, 'k8s.deployment', '=cmd()' || n,
                '=cmd()' || n, 'aws', 'customer', true, '{{\"spec\": {{}}}}', 'x', '{connector}', 'x', now(), now()
             from generate_series(1, {MANY}) n;
             insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, cluster_id,
                kind, first_seen, since, changed_at, evidence, scored)
             select tenant_id, resource_id, 0, 'k8s.pod.privileged', 4, 'unhealthy', 'discovered', unit_id, cluster_id,
                kind, now(), now(), now(), '{{\"message\": \"m\", \"facts\": [{{\"pointer\": \"/spec\"}}]}}', true
             from resources where tenant_id = '{tenant}' and native_id like 'n%'"
        ))
        .await;
}

/// The rows of an export, and its closing line.
fn lines(answered: &Answered) -> (Vec<Value>, Value) {
    assert_eq!(answered.headers[header::CONTENT_TYPE], "application/x-ndjson");
    assert!(answered.text.ends_with('\n'));
    let mut lines: Vec<Value> = answered.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    assert_eq!(last["summary"]["rows"], lines.len(), "{last}");
    (lines, last["summary"].clone())
}

#[tokio::test]
async fn an_export_is_of_one_moment_whatever_happens_meanwhile() {
    let api = start().await;
    let world = api.world("alpha").await;
    many(&api, &world).await;
    let request = Request::builder()
        .method(Method::GET)
        .uri("/v1/exports/findings")
        .header(header::AUTHORIZATION, format!("Bearer {}", world.owner))
        .body(Body::empty())
        .unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    let as_of = response.headers()["rampart-as-of"].to_str().unwrap().to_owned();
    let mut chunks = response.into_body().into_data_stream();
    let mut text = chunks.next().await.unwrap().unwrap().to_vec();
    api.db.run("update findings set status = 'healthy'; delete from findings where resource_id::text < '8'").await;
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    let text = String::from_utf8(text).unwrap();
    let answered = Answered { status: StatusCode::OK, headers: header_of("application/x-ndjson"), text };
    let (rows, summary) = lines(&answered);
    assert_eq!((rows.len(), &summary["as_of"]), (MANY + 2, &json!(as_of)));
    assert!(rows.iter().all(|row| row["status"] == "unhealthy" && row["evidence"]["message"] != ""));
    assert!(rows.is_sorted_by(|a, b| a["id"].as_str() < b["id"].as_str()), "in order of ids, none twice");

    // Cut anywhere, it goes on after the last row that came whole, and is the same moment.
    for cut in [0, 1, 1_999, 2_000, MANY + 1] {
        let after = rows[cut]["id"].as_str().unwrap();
        let rest = api.get(&format!("/v1/exports/findings?as_of={as_of}&after={after}"), &world.owner).await;
        assert_eq!(lines(&rest.expect(StatusCode::OK)).0, rows[cut + 1..], "after row {cut}");
    }
    let now = api.get("/v1/exports/findings", &world.owner).await.expect(StatusCode::OK);
    assert_eq!(lines(&now).0, Vec::<Value>::new());
}

fn header_of(content_type: &'static str) -> axum::http::HeaderMap {
    [(header::CONTENT_TYPE, content_type.parse().unwrap())].into_iter().collect()
}

#[tokio::test]
async fn every_export_comes_in_both_forms_and_only_with_what_the_caller_sees() {
    let api = start().await;
    let (world, _) = (api.world("alpha").await, api.world("beta").await);
    let scoped = api.scoped(&world, Role::SecurityReader, world.cluster).await;
    for (what, whole, part) in [("resources", 3, 1), ("findings", 2, 1), ("recommendations", 1, 1), ("coverage", 2, 1)]
    {
        for (token, expected) in [(&world.owner, whole), (&scoped, part)] {
            let answered = api.get(&format!("/v1/exports/{what}"), token).await.expect(StatusCode::OK);
            let (rows, _) = lines(&answered);
            assert_eq!(rows.len(), expected, "{what}: {rows:?}");
            let csv = api.get(&format!("/v1/exports/{what}?format=csv"), token).await.expect(StatusCode::OK);
            let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
            let columns = reader.headers().unwrap().clone();
            let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            assert_eq!(records.len(), expected + 1, "{what}: {}", csv.text);
            let end = records.last().unwrap();
            assert_eq!((&end[0], &end[1], end.len()), ("#end", expected.to_string().as_str(), columns.len()));
            assert_eq!(records[0][0], rows[0][&columns[0]], "{what}: the first column is the id");
        }
    }
    let (rows, _) = lines(&api.get("/v1/exports/resources?kind=k8s.deployment", &scoped).await);
    assert_eq!(
        (rows.len(), &rows[0]["config"], &rows[0]["health"]["status"]),
        (1, &json!({"spec": {}}), &json!("unhealthy"))
    );
    for (path, code) in [
        ("findings?sort=risk", "invalid_query"),
        ("findings?limit=5", "invalid_query"),
        ("findings?after=x", "invalid_query"),
        ("findings?format=xml", "invalid_query"),
        ("findings?colour=red", "invalid_query"),
        ("findings?as_of=2001-01-01T00:00:00Z", "history_gone"),
        ("resources?kind=k8s.pod", "invalid_query"),
        ("coverage?after=x", "invalid_query"),
        ("coverage?as_of=2001-01-01T00:00:00Z", "invalid_query"),
        ("verdicts", "not_found"),
    ] {
        let answered = api.get(&format!("/v1/exports/{path}"), &world.owner).await;
        assert_eq!(answered.code(), code, "{path}: {}", answered.text);
    }
}

#[tokio::test]
async fn a_spreadsheet_finds_no_formula_and_a_slow_line_fewer_bytes() {
    let api = start().await;
    let world = api.world("alpha").await;
    many(&api, &world).await;
    let csv = api.get("/v1/exports/findings?format=csv", &world.owner).await.expect(StatusCode::OK);
    let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
    let cells: Vec<String> =
        reader.records().flat_map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(cells.iter().any(|cell| cell == "'=cmd()7") && cells.iter().all(|cell| !cell.starts_with(['=', '+', '@'])));
    let request = Request::builder()
        .uri("/v1/exports/findings?format=csv")
        .header(header::AUTHORIZATION, format!("Bearer {}", world.owner))
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Body::empty())
        .unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(bytes.len() * 5 < csv.text.len(), "{} of {} bytes", bytes.len(), csv.text.len());
}
