use serde_json::{Value, json};

use super::*;

const UID: &str = "0c9d1f7e";

fn place() -> Place {
    let cloud = Cloud::OnPremises;
    Place { name: "floor".into(), cloud, account: None, region: Some("r".into()), uid: None, kinds: Vec::new() }
}

fn pod(name: &str) -> Value {
    json!({"id": format!("k8s://{UID}//Pod/ns/{name}"), "name": name, "namespace": "ns", "managed_by": "customer",
        "active": true, "config": {"spec": {}}})
}

fn session() -> Value {
    json!({"session": {"format": 1, "cluster_uid": UID, "agent": "test"}})
}

/// Feeds lines; every event in short, or the message of the refusal.
fn run(replay: &mut Replay, lines: &[Value]) -> Result<Vec<String>, String> {
    let mut events = Vec::new();
    for line in lines {
        events.extend(replay.line(line.to_string().as_bytes()).map_err(|error| error.to_string())?);
    }
    events.extend(replay.rest().map_err(|error| error.to_string())?);
    let words = events.into_iter().map(|event| match event {
        Event::Planned { listings } => format!("planned {}", listings.len()),
        Event::Started { listing } => format!("started {} {}", listing.kind, listing.scope),
        Event::Page { listing, resources, .. } => format!("page {} {}", listing.kind, resources.len()),
        Event::Finished { listing, outcome: Outcome::Complete } => format!("complete {}", listing.kind),
        Event::Finished { listing, .. } => format!("incomplete {}", listing.kind),
        Event::Cluster(_) => "cluster".to_owned(),
    });
    Ok(words.collect())
}

#[track_caller]
fn check(lines: &[Value], expected: Result<&[&str], &str>) {
    let found = run(&mut Replay::new(place(), true), lines);
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[test]
fn a_session_becomes_the_events_of_a_scan() {
    let lines = [
        session(),
        json!({"planned": ["k8s.pod", "k8s.node"]}),
        json!({"started": "k8s.pod"}),
        json!({"resource": ["k8s.pod", pod("a")]}),
        json!({"resource": ["k8s.pod", pod("b")]}),
        json!({"finished": ["k8s.pod", "complete"]}),
        json!({"started": "k8s.node"}),
        json!({"finished": ["k8s.node", {"incomplete": {"kind": "forbidden", "api": "GET x", "message": "no"}}]}),
    ];
    let started = format!("started k8s.pod cluster/k8s://{UID}");
    let node = format!("started k8s.node cluster/k8s://{UID}");
    check(&lines, Ok(&["planned 2", &started, "page k8s.pod 2", "complete k8s.pod", &node, "incomplete k8s.node"]));
    // The same without its end: what came is kept, nothing is complete.
    let found = run(&mut Replay::new(place(), false), &lines[..6]).unwrap();
    assert_eq!(found[2..], ["page k8s.pod 2", "incomplete k8s.pod"]);
    let found = run(&mut Replay::new(place(), false), &lines[..4]).unwrap();
    assert_eq!(found[2..], ["page k8s.pod 1"]);
}

#[test]
fn the_platform_says_where_the_cluster_is() {
    let mut replay = Replay::new(place(), true);
    let server = json!({"id": format!("k8s://{UID}"), "name": "mine", "managed_by": "customer", "active": true,
        "config": {}});
    let lines = [session(), json!({"started": "k8s.cluster"}), json!({"resource": ["k8s.cluster", server]})];
    for line in &lines {
        replay.line(line.to_string().as_bytes()).unwrap();
    }
    let events = replay.line(br#"{"finished":["k8s.cluster","complete"]}"#).unwrap();
    let Event::Page { resources, .. } = &events[0] else { panic!("a page") };
    let resource = &resources[0];
    assert_eq!(
        (resource.name.as_str(), resource.cloud, resource.region.as_deref()),
        ("floor", Cloud::OnPremises, Some("r"))
    );
    assert_eq!(replay.uid(), Some(UID));
}

#[test]
fn what_is_not_the_collectors_is_refused() {
    let start = json!({"started": "k8s.pod"});
    let with = |change: &dyn Fn(&mut Value)| {
        let mut pod = pod("a");
        change(&mut pod);
        vec![session(), start.clone(), json!({"resource": ["k8s.pod", pod]})]
    };
    check(&with(&|pod| pod["id"] = "k8s://other//Pod/ns/a".into()), Err("outside of the session's cluster"));
    check(&with(&|pod| pod["owner"] = "k8s://other/apps/Deployment/ns/a".into()), Err("outside"));
    check(&with(&|pod| pod["account"] = "1".into()), Err("malformed"));
    check(&with(&|pod| pod["config"] = "text".into()), Err("no configuration"));
    check(&[session(), json!({"started": "aws.eks.cluster"})], Err("not read from a cluster"));
    check(&[session(), json!({"resource": ["k8s.pod", pod("a")]})], Err("outside of its listing"));
    check(&[session(), start.clone(), start.clone()], Err("begins twice"));
    check(&[session(), session()], Err("begins twice"));
    check(&[session(), json!({"finished": ["k8s.pod", "complete"]})], Err("unbegun"));
    check(std::slice::from_ref(&start), Err("which cluster"));
    check(&[json!({"session": {"format": 2, "cluster_uid": UID, "agent": "x"}})], Err("format 2"));
    check(&[json!({"session": {"format": 1, "cluster_uid": "a/b", "agent": "x"}})], Err("malformed"));
    check(&[json!({"failed": {"kind": "unauthorized", "api": "GET /version", "message": "401"}})], Err("401"));
    let image =
        json!({"id": "image://sha256:00@other", "name": "i", "managed_by": "customer", "active": true, "config": {}});
    check(
        &[session(), json!({"started": "image.running"}), json!({"resource": ["image.running", image]})],
        Err("outside"),
    );
    let known = Place { uid: Some("another".into()), ..place() };
    let refusal = run(&mut Replay::new(known, true), &[session()]).unwrap_err();
    assert!(refusal.contains("rotate the collector token"), "{refusal}");
}

#[test]
fn kinds_that_nobody_wants_are_left_out() {
    let lines = [
        session(),
        json!({"started": "k8s.pod"}),
        json!({"resource": ["k8s.pod", pod("a")]}),
        json!({"finished": ["k8s.pod", "complete"]}),
    ];
    let wanting = Place { kinds: vec![Kind::K8sNode], ..place() };
    assert_eq!(run(&mut Replay::new(wanting, true), &lines), Ok(Vec::new()));
}
