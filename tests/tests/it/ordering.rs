//! Lists and watches of one cluster may reach the store in any order: the newer reading wins.

use chrono::{DateTime, TimeDelta, Utc};
use platform_tests::Estate;
use rampart_domain::{Kind, Resource, Scope, UnitId};
use rampart_store::inventory::{
    Applied, Ended, Ending, ListingEnd, Placed, Prepared, apply, end, finish_listing, follow, prepare,
};
use rampart_store::verdict;
use serde_json::{Value, json};

const KIND: Kind = Kind::K8sDeployment;

/// A deployment as some reading saw it.
fn seen(estate: &Estate, uid: &str, version: i64, replicas: u32) -> Resource {
    let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": replicas}});
    Resource { uid: Some(uid.to_owned()), version: Some(version), ..estate.object(KIND, object) }
}

fn prepared(estate: &Estate, resource: Resource) -> Vec<Prepared> {
    let (unit, cluster) = (estate.cluster.id.into(), Some(estate.cluster.id));
    vec![prepare(estate.tenant, Placed { resource, unit, cluster })]
}

/// A page of a list that began at `at`.
async fn list(estate: &Estate, at: DateTime<Utc>, resource: Resource) -> Applied {
    let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
    let applied = apply(&mut tx, &estate.source, at, &prepared(estate, resource)).await.expect("applies");
    tx.commit().await.expect("commits");
    applied
}

/// The end of a list that began at `at` and saw nothing.
async fn list_nothing(estate: &Estate, at: DateTime<Utc>) {
    let scope = Scope::Cluster { native_id: estate.source.scope.replace("cluster/", ""), uid: None };
    let listing = ListingEnd {
        source: estate.source.clone(),
        scope,
        kind: KIND,
        cluster: Some(estate.cluster.id.0),
        place: ("on_premises".into(), None, None),
        started_at: at,
        ending: Ending::Complete(Vec::new()),
    };
    let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
    finish_listing(&mut tx, &listing).await.expect("finishes");
    tx.commit().await.expect("commits");
}

/// An event that arrived at `at`.
async fn event(estate: &Estate, at: DateTime<Utc>, resource: Resource) {
    let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
    follow(&mut tx, &estate.source, at, &prepared(estate, resource)).await.expect("follows");
    tx.commit().await.expect("commits");
}

async fn gone(estate: &Estate, at: DateTime<Utc>, resource: Resource, uid: Option<&str>) -> u64 {
    let id = prepared(estate, resource)[0].id();
    let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
    let ended = Ended { id, uid: uid.map(str::to_owned) };
    let ended = end(&mut tx, estate.cluster.id.into(), &[ended], at).await.expect("ends");
    tx.commit().await.expect("commits");
    ended
}

/// Replicas of the one deployment, null when there is none.
async fn replicas(estate: &Estate) -> Value {
    let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
    let unit = UnitId::from(estate.cluster.id);
    let ids = verdict::resource_page(&mut tx, unit, &[KIND], None, None).await.expect("reads");
    let found = verdict::resources_by_id(&mut tx, unit, &ids).await.expect("reads");
    found.first().map_or(Value::Null, |resource| resource.config["spec"]["replicas"].clone())
}

#[tokio::test]
async fn within_one_uid_the_version_decides_whatever_the_time() {
    let estate = Estate::new().await;
    let (early, late) = (Utc::now() - TimeDelta::minutes(1), Utc::now());
    event(&estate, late, seen(&estate, "a", 5, 5)).await;
    list(&estate, early, seen(&estate, "a", 4, 4)).await;
    assert_eq!(replicas(&estate).await, 5, "a list that began before brings an older version");
    list(&estate, early, seen(&estate, "a", 6, 6)).await;
    assert_eq!(replicas(&estate).await, 6, "a page may be newer than the moment at which its list began");
    event(&estate, late + TimeDelta::minutes(1), seen(&estate, "a", 5, 5)).await;
    assert_eq!(replicas(&estate).await, 6, "a watch that goes on from an old position repeats itself");
    list(&estate, early, seen(&estate, "b", 1, 1)).await;
    assert_eq!(replicas(&estate).await, 6, "of another uid nothing is known but the time");
    list(&estate, late + TimeDelta::minutes(2), seen(&estate, "b", 1, 1)).await;
    assert_eq!(replicas(&estate).await, 1);
}

#[tokio::test]
async fn what_differs_in_nothing_is_remembered_as_seen() {
    let estate = Estate::new().await;
    let begun = Utc::now() - TimeDelta::minutes(1);
    event(&estate, begun - TimeDelta::minutes(1), seen(&estate, "a", 5, 5)).await;
    // 6 was different, 7 is as 5 was; both came in one batch.
    event(&estate, Utc::now(), seen(&estate, "a", 7, 5)).await;
    list(&estate, begun, seen(&estate, "a", 6, 6)).await;
    assert_eq!(replicas(&estate).await, 5, "the list still saw 6");
    list(&estate, begun, seen(&estate, "a", 8, 8)).await;
    assert_eq!(replicas(&estate).await, 8);
}

#[tokio::test]
async fn what_is_gone_does_not_come_back_and_its_successor_stays() {
    let estate = Estate::new().await;
    let begun = Utc::now() - TimeDelta::minutes(1);
    list(&estate, begun - TimeDelta::minutes(1), seen(&estate, "a", 5, 5)).await;
    assert_eq!(gone(&estate, Utc::now(), seen(&estate, "a", 5, 5), Some("a")).await, 1);
    assert_eq!(list(&estate, begun, seen(&estate, "a", 5, 5)).await.added, 0);
    assert_eq!(replicas(&estate).await, Value::Null, "a list that began before does not bring it back");
    list(&estate, begun, seen(&estate, "b", 9, 9)).await;
    assert_eq!(replicas(&estate).await, 9, "another of the same name is not meant");
    assert_eq!(gone(&estate, Utc::now(), seen(&estate, "a", 5, 5), Some("a")).await, 0, "nor is it by a late end");
    assert_eq!(replicas(&estate).await, 9);
}

#[tokio::test]
async fn a_list_that_began_before_does_not_end_what_came_since() {
    let estate = Estate::new().await;
    let begun = Utc::now() - TimeDelta::minutes(1);
    event(&estate, Utc::now(), seen(&estate, "a", 5, 5)).await;
    list_nothing(&estate, begun).await;
    assert_eq!(replicas(&estate).await, 5);
    list_nothing(&estate, Utc::now()).await;
    assert_eq!(replicas(&estate).await, Value::Null);
}

#[tokio::test]
async fn for_what_is_derived_time_decides() {
    let estate = Estate::new().await;
    let begun = Utc::now() - TimeDelta::minutes(1);
    let derived = |replicas| Resource { uid: None, version: None, ..seen(&estate, "", 0, replicas) };
    event(&estate, begun - TimeDelta::minutes(1), derived(1)).await;
    gone(&estate, Utc::now(), derived(1), None).await;
    list(&estate, begun, derived(1)).await;
    assert_eq!(replicas(&estate).await, Value::Null, "its last pod went after the list had begun");
    event(&estate, Utc::now(), derived(2)).await;
    assert_eq!(replicas(&estate).await, 2, "and it comes back with the next pod");
}
