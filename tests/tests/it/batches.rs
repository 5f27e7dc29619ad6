//! What a collector may push, and what is refused: batches of others, altered, out of order, or about what is not theirs.

use chrono::{DateTime, TimeDelta, Utc};
use platform_tests::{Client, Collector, Platform};
use rampart_batch::{CollectorToken, FORMAT, FRAME_LIMIT, Frame, Header, Manifest, Message, Packer, SigningKey};
use rampart_domain::Kind;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");
const CLUSTER: &str = "factory-floor";
const UID: &str = "6f1b0d5e-0000-4000-8000-000000000001";

async fn onboard(platform: &Platform, client: &Client, name: &str) -> Collector {
    Collector::onboard(BINARY, client, &platform.simulator, name, CLUSTER).await
}

/// A session made by hand.
struct Session {
    key: SigningKey,
    id: Uuid,
    started_at: DateTime<Utc>,
}

impl Session {
    fn of(collector: &Collector, started_at: DateTime<Utc>) -> Self {
        let token = CollectorToken::parse(&SecretString::from(collector.token.clone())).expect("a token");
        Self { key: token.key, id: Uuid::now_v7(), started_at }
    }

    fn batch(&self, sequence: u32, last: bool, messages: &[Message]) -> Vec<u8> {
        let mut packer = Packer::new(FRAME_LIMIT);
        for message in messages {
            packer.add(message).expect("short");
        }
        let body = packer.finish();
        let (session, started_at) = (self.id, self.started_at);
        let header = Header { session, sequence, last, started_at, length: 0, signature: String::new() };
        Frame { header: header.sign(&body, &self.key), body: &body }.to_bytes()
    }
}

fn begin(uid: &str) -> Message {
    Message::Session(Manifest { format: FORMAT, cluster_uid: Some(uid.into()), agent: "test".into() })
}

/// A listing of namespaces with one in it, in the cluster with this uid.
fn namespaces(uid: &str) -> Vec<Message> {
    let item = json!({"id": format!("k8s://{uid}//Namespace//one"), "name": "one", "managed_by": "customer",
        "active": true, "config": {"metadata": {"name": "one"}}});
    let kind = Kind::K8sNamespace;
    let item = serde_json::from_value(item).expect("an item");
    vec![Message::Started(kind), Message::Resource(kind, item), Message::Finished(kind, rampart_batch::Ended::Complete)]
}

#[track_caller]
fn check(answer: &(u16, Value), status: u16, code: &str) {
    let (found, body) = answer;
    let said = if *found == 202 { "" } else { body["code"].as_str().expect("problems have codes") };
    assert_eq!((*found, said), (status, code), "{body}");
}

/// The state of a session once nothing is left to do.
async fn state(platform: &Platform, client: &Client, session: &Session) -> (String, String) {
    platform.settle().await;
    let found = client.get(&format!("/v1/connectors/pushed/batches/{}", session.id)).await;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("error"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_whole_truth_of_the_collector_is_taken() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let collector = onboard(&platform, &client, "pushed").await;
    let beside = onboard(&platform, &client, "beside").await;
    let session = Session::of(&collector, Utc::now());
    let first = session.batch(0, false, &[begin(UID)]);
    let second = session.batch(1, true, &namespaces(UID));

    let mut bent = first.clone();
    let at = bent.len() - 5;
    bent[at] ^= 1;
    check(&collector.send(&client, &bent).await, 403, "invalid_signature");
    let (header, body) = first.split_at(first.iter().position(|byte| *byte == b'\n').expect("a header line"));
    let renamed = String::from_utf8_lossy(header).replace("\"sequence\":0", "\"sequence\":7");
    let renamed = [renamed.as_bytes(), body].concat();
    check(&collector.send(&client, &renamed).await, 403, "invalid_signature");
    check(&beside.send(&client, &first).await, 403, "invalid_signature");
    check(&collector.send(&client, &first[..first.len() - 10]).await, 400, "malformed_body");
    check(&collector.send(&client, b"").await, 400, "malformed_body");
    check(&collector.send(&client, &vec![b'x'; FRAME_LIMIT + (128 << 10)]).await, 413, "body_too_large");

    check(&collector.send(&client, &second).await, 409, "out_of_sequence");
    check(&collector.send(&client, &first).await, 202, "");
    let (status, again) = collector.send(&client, &first).await;
    assert_eq!((status, &again["next_sequence"]), (202, &json!(1)), "a batch that comes twice is taken once");
    let other = session.batch(0, false, &[begin(UID), Message::Planned(vec![Kind::K8sPod])]);
    check(&collector.send(&client, &other).await, 409, "out_of_sequence");
    check(&collector.send(&client, &session.batch(2, true, &[])).await, 409, "out_of_sequence");
    check(&collector.send(&client, &second).await, 202, "");
    assert_eq!(state(&platform, &client, &session).await.0, "applied");
    assert_eq!(client.list("/v1/resources").await.len(), 1);

    // What was taken up is over, and what is older than it came too late.
    check(&collector.send(&client, &second).await, 202, "");
    check(&collector.send(&client, &first).await, 409, "session_over");
    check(&collector.send(&client, &session.batch(2, true, &[])).await, 409, "session_over");
    let older = Session::of(&collector, session.started_at - TimeDelta::minutes(1));
    check(&collector.send(&client, &older.batch(0, true, &[begin(UID)])).await, 409, "session_over");
    let future = Session::of(&collector, Utc::now() + TimeDelta::hours(1));
    check(&collector.send(&client, &future.batch(0, true, &[begin(UID)])).await, 422, "invalid_body");
    let ancient = Session::of(&collector, Utc::now() - TimeDelta::days(31));
    check(&collector.send(&client, &ancient.batch(0, true, &[begin(UID)])).await, 422, "invalid_body");
    assert_eq!(client.list("/v1/resources").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_speaks_of_its_own_cluster_only() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let collector = onboard(&platform, &client, "pushed").await;
    let good = Session::of(&collector, Utc::now() - TimeDelta::minutes(9));
    let whole = [vec![begin(UID)], namespaces(UID)].concat();
    check(&collector.send(&client, &good.batch(0, true, &whole)).await, 202, "");
    assert_eq!(state(&platform, &client, &good).await.0, "applied");

    let foreign = "6f1b0d5e-0000-4000-8000-00000000ffff";
    let claims = [
        (vec![begin(UID), Message::Started(Kind::AwsEksCluster)], "not read from a cluster"),
        ([vec![begin(UID)], namespaces(foreign)].concat(), "outside of the session's cluster"),
        ([vec![begin(foreign)], namespaces(foreign)].concat(), "rotate the collector token"),
        (namespaces(UID), "which cluster"),
    ];
    for (minutes, (messages, words)) in (1..).zip(claims) {
        let session = Session::of(&collector, good.started_at + TimeDelta::minutes(minutes));
        check(&collector.send(&client, &session.batch(0, true, &messages)).await, 202, "");
        let (state, error) = state(&platform, &client, &session).await;
        assert_eq!(state, "failed");
        assert!(error.contains(words), "{error}");
    }
    let resources = client.list("/v1/resources").await;
    assert_eq!(resources.len(), 1, "nothing came of it, and nothing went");
    let coverage = client.list("/v1/coverage").await;
    assert!(!coverage.is_empty() && coverage.iter().all(|row| row["state"] == "failed"), "{coverage:?}");

    // A body that is no gzip, rightly signed.
    let session = Session::of(&collector, good.started_at + TimeDelta::minutes(6));
    let header = Header {
        session: session.id,
        sequence: 0,
        last: true,
        started_at: session.started_at,
        length: 0,
        signature: String::new(),
    };
    let frame = Frame { header: header.sign(b"plain", &session.key), body: b"plain" };
    check(&collector.send(&client, &frame.to_bytes()).await, 202, "");
    assert!(state(&platform, &client, &session).await.1.contains("gzip"));

    // A rebuilt cluster is accepted after a rotation, which ends what was signed before.
    let rotated = client.post("/v1/connectors/pushed/collector", &json!({})).await;
    let late = Session::of(&collector, good.started_at + TimeDelta::minutes(7));
    check(&collector.send(&client, &late.batch(0, true, &whole)).await, 403, "invalid_signature");
    let token =
        CollectorToken::parse(&SecretString::from(rotated["token"].as_str().expect("shown once"))).expect("a token");
    let session = Session { key: token.key, ..late };
    let rebuilt = [vec![begin(foreign)], namespaces(foreign)].concat();
    check(&collector.send(&client, &session.batch(0, true, &rebuilt)).await, 202, "");
    assert_eq!(state(&platform, &client, &session).await.0, "applied");
    let resources = client.list("/v1/resources").await;
    assert_eq!(resources.len(), 1, "the old cluster is gone, the new one is there: {resources:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collectors_token_does_one_thing() {
    let platform = Platform::start().await;
    let (client, stranger) = (platform.tenant("demo").await, platform.tenant("other").await);
    let collector = onboard(&platform, &client, "pushed").await;
    onboard(&platform, &client, "beside").await;
    let foreign = onboard(&platform, &stranger, "foreign").await;
    client.onboard_cluster(&platform.simulator, "direct", CLUSTER).await;
    let token = CollectorToken::parse(&SecretString::from(collector.token.clone())).expect("a token");
    let own = client.with_token(SecretString::from(token.bearer.expose_secret()));
    let session = Session::of(&collector, Utc::now());
    let batch = session.batch(0, false, &[begin(UID)]);

    check(&collector.send(&own, &batch).await, 202, "");
    let place = format!("batches/{}", session.id);
    assert_eq!(own.get(&format!("/v1/connectors/pushed/{place}")).await["state"], "open");
    for name in ["beside", "direct", "foreign"] {
        let (status, problem) = own.send(&format!("/v1/connectors/{name}/batches"), batch.clone()).await;
        check(&(status.as_u16(), problem), 404, "not_found");
        let (status, _) = own.request(Method::GET, &format!("/v1/connectors/{name}/{place}"), None).await;
        assert_eq!(status, 404, "{name}");
    }
    for path in
        ["/v1/resources?limit=1", "/v1/connectors?limit=1", "/v1/connectors/pushed", "/v1/tenant", "/v1/tokens?limit=1"]
    {
        let (status, problem) = own.request(Method::GET, path, None).await;
        assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("forbidden")), "{path}");
    }
    let (status, problem) = own.request(Method::POST, "/v1/connectors/pushed/collector", Some(&json!({}))).await;
    assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("forbidden")));

    // Another tenant's connector is not there, by its id either.
    let id = stranger.get("/v1/connectors/foreign").await["id"].as_str().expect("an id").to_owned();
    let theirs = Session::of(&foreign, Utc::now()).batch(0, true, &[begin(UID)]);
    for caller in [&own, &client] {
        let (status, problem) = caller.send(&format!("/v1/connectors/{id}/batches"), theirs.clone()).await;
        check(&(status.as_u16(), problem), 404, "not_found");
    }

    client.delete("/v1/connectors/pushed/collector").await;
    assert_eq!(own.request(Method::GET, "/v1/tenant", None).await.0, 401, "a revoked token ends at once");
    check(&collector.send(&client, &batch).await, 403, "invalid_signature");
    let view = client.get("/v1/connectors/pushed/collector").await;
    assert_eq!((&view["token_id"], &view["token"]), (&Value::Null, &Value::Null), "{view}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_silent_is_noticed() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let collector = onboard(&platform, &client, "pushed").await;
    let scan = platform.scan(&client, &["pushed"]).await.remove(0);
    assert_eq!(scan["status"], "failed", "nobody but the collector can begin: {scan}");
    assert!(scan["error"].as_str().is_some_and(|error| error.contains("rampart collect")), "{scan}");
    let session = Session::of(&collector, Utc::now());
    let whole = [vec![begin(UID)], namespaces(UID)].concat();
    check(&collector.send(&client, &session.batch(0, true, &whole)).await, 202, "");
    assert_eq!(state(&platform, &client, &session).await.0, "applied");
    assert_eq!(client.list("/v1/coverage?state=read").await.len(), 1);

    platform.scan(&client, &["pushed"]).await;
    assert_eq!(client.list("/v1/coverage?state=read").await.len(), 1, "within its interval nothing is missing");
    platform.database.run("update collectors set taken_at = taken_at - interval '2 hours'; update coverage set attempted_at = attempted_at - interval '2 hours'").await;
    platform.scan(&client, &["pushed"]).await;
    let coverage = client.list("/v1/coverage").await;
    assert_eq!((coverage.len(), &coverage[0]["state"]), (1, &json!("unreachable")), "{coverage:?}");
    assert!(coverage[0]["remedy"].as_str().is_some_and(|text| text.contains("rampart collect")), "{coverage:?}");
}
