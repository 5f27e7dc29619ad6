//! One watch against an API over TLS: what it tells, where it goes on, how it ends, and how pods roll up one by one.

use rampart_connector::{Connector as _, ErrorKind, Event, ScanContext, Sink};
use rampart_connector_kube::{Changes, ClusterWatch, Known, KubeConnector, Options, RolledUp, What};
use rampart_domain::{Cloud, Kind, Resource};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{Script, World, estate, start, status};

const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";

fn line(sort: &str, object: &Value) -> String {
    format!("{}\n", json!({ "type": sort, "object": object }))
}

fn deployment(version: u64, replicas: u64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
        "metadata": {"name": "web", "namespace": "shop", "uid": "uid-web", "resourceVersion": version.to_string()}})
}

fn bookmark(version: u64) -> Value {
    json!({"kind": "Deployment", "metadata": {"resourceVersion": version.to_string()}})
}

async fn watch(scripts: Vec<Script>) -> (std::sync::Arc<World>, ClusterWatch, crate::world::Guard) {
    let mut world = estate();
    world.watches = scripts.into_iter().map(|script| (DEPLOYMENTS, script)).collect::<Vec<_>>().into();
    let (world, connector, guard) = start(world, Cloud::OnPremises, Options::new([7; 32])).await;
    let watch = connector.watch(CancellationToken::new()).await.unwrap();
    (world, watch, guard)
}

async fn opened(watch: &ClusterWatch, position: &str) -> Changes {
    watch.open(Kind::K8sDeployment, position).await.unwrap()
}

#[tokio::test]
async fn changes_come_normalised_with_the_position_to_go_on_from() {
    let told = [
        line("ADDED", &deployment(11, 1)),
        line("MODIFIED", &deployment(12, 0)),
        line("DELETED", &deployment(13, 0)),
        line("BOOKMARK", &bookmark(20)),
    ];
    let (world, watch, _guard) = watch(vec![Script::Ends(told.concat())]).await;
    let mut changes = opened(&watch, "10").await;
    let added = changes.next().await.unwrap().unwrap();
    let What::Put(resource) = added.what else { panic!("{added:?}") };
    assert_eq!((added.position.as_str(), resource.version, resource.active), ("11", Some(11), true));
    assert!(resource.native_id.as_str().ends_with("/apps/Deployment/shop/web"), "{}", resource.native_id);
    assert!(resource.config.pointer("/metadata/resourceVersion").is_none(), "versions are no configuration");
    let modified = changes.next().await.unwrap().unwrap();
    assert!(matches!(modified.what, What::Put(resource) if !resource.active && resource.version == Some(12)));
    let gone = changes.next().await.unwrap().unwrap();
    assert!(matches!(gone.what, What::Gone(gone) if gone.uid.as_deref() == Some("uid-web")));
    let moved = changes.next().await.unwrap().unwrap();
    assert!(matches!(moved.what, What::Nothing) && moved.position == "20");
    assert!(changes.next().await.unwrap().is_none(), "the server ended it");

    let request = world.requests(DEPLOYMENTS).pop().unwrap();
    for part in ["watch=true", "allowWatchBookmarks=true", "resourceVersion=10", "timeoutSeconds="] {
        assert!(request.contains(part), "{request}");
    }
}

#[tokio::test]
async fn what_the_server_no_longer_keeps_must_be_listed() {
    let gone = status(410, "Expired", "too old resource version: 10");
    let error = line("ERROR", &gone);
    let later = line("ERROR", &status(500, "InternalError", "boom"));
    let scripts = vec![Script::Refused(410, gone), Script::Ends(error), Script::Ends(later)];
    let (_world, watch, _guard) = watch(scripts).await;
    let refused = watch.open(Kind::K8sDeployment, "10").await.unwrap_err();
    assert_eq!((refused.kind, refused.api.as_str()), (ErrorKind::Expired, "WATCH /apis/apps/v1/deployments"));
    let told = opened(&watch, "10").await.next().await.unwrap_err();
    assert_eq!(told.kind, ErrorKind::Expired, "{told}");
    let told = opened(&watch, "10").await.next().await.unwrap_err();
    assert_eq!(told.kind, ErrorKind::Transient, "{told}");
}

#[tokio::test]
async fn half_an_event_is_none() {
    let half = line("MODIFIED", &deployment(12, 0));
    let body = [line("ADDED", &deployment(11, 1)), half[..half.len() / 2].to_owned()].concat();
    let (_world, watch, _guard) = watch(vec![Script::Breaks(body.clone()), Script::Ends(body)]).await;
    let mut broken = opened(&watch, "10").await;
    assert_eq!(broken.next().await.unwrap().unwrap().position, "11");
    assert_eq!(broken.next().await.unwrap_err().kind, ErrorKind::Transient);
    let mut ended = opened(&watch, "11").await;
    assert_eq!(ended.next().await.unwrap().unwrap().position, "11");
    assert!(ended.next().await.unwrap().is_none());
}

#[tokio::test]
async fn an_event_beyond_the_cap_is_not_kept_in_memory() {
    let mut huge = deployment(11, 1);
    huge["metadata"]["annotations"] = json!({"padding": "x".repeat(3 << 20)});
    let large = line("ADDED", &huge);
    huge["metadata"]["annotations"] = json!({"padding": "x".repeat(1 << 20)});
    let (_world, watch, _guard) = watch(vec![Script::Ends(large), Script::Ends(line("ADDED", &huge))]).await;
    assert_eq!(opened(&watch, "10").await.next().await.unwrap_err().kind, ErrorKind::TooLarge);
    assert_eq!(opened(&watch, "10").await.next().await.unwrap().unwrap().position, "11", "a large one is read");
}

#[tokio::test]
async fn a_refusal_names_the_watch_and_what_is_not_watched_is_unsupported() {
    let (_world, watch, _guard) = watch(vec![Script::Refused(403, status(403, "Forbidden", "cannot watch"))]).await;
    let refused = watch.open(Kind::K8sDeployment, "10").await.unwrap_err();
    assert_eq!((refused.kind, refused.api.as_str()), (ErrorKind::Forbidden, "WATCH /apis/apps/v1/deployments"));
    for kind in [Kind::K8sSecret, Kind::K8sConfigMap, Kind::K8sWorkload, Kind::K8sCluster] {
        assert_eq!(watch.open(kind, "10").await.unwrap_err().kind, ErrorKind::Unsupported, "{kind}");
    }
}

async fn scanned(connector: &KubeConnector) -> Vec<Resource> {
    let cx =
        ScanContext { cancel: CancellationToken::new(), kinds: Vec::new(), started_at: chrono::DateTime::UNIX_EPOCH };
    let (sink, mut events) = Sink::new(4);
    let scan = async {
        connector.scan(&cx, &sink).await.unwrap();
        drop(sink);
    };
    let read = async {
        let mut all = Vec::new();
        while let Some(event) = events.recv().await {
            if let Event::Page { resources, .. } = event {
                all.extend(resources);
            }
        }
        all
    };
    tokio::join!(scan, read).1
}

#[tokio::test]
async fn pods_that_come_one_by_one_roll_up_as_in_a_list() {
    let (_world, connector, _guard) = start(estate(), Cloud::OnPremises, Options::new([7; 32])).await;
    let all = scanned(&connector).await;
    let (scope, positions) = connector.positions().unwrap();
    assert_eq!(positions[&Kind::K8sPod], "42", "where a watch goes on");
    assert!(!positions.contains_key(&Kind::K8sSecret) && !positions.contains_key(&Kind::K8sWorkload));
    let watch = connector.watch(CancellationToken::new()).await.unwrap();
    assert_eq!(watch.scope(), &scope);

    let of = |kind: Kind| all.iter().filter(move |it| it.kind == kind);
    let mut known = Known::default();
    for link in of(Kind::K8sNode).chain(of(Kind::K8sReplicaSet)) {
        known.note(link.kind, &link.config);
    }
    let listed: Vec<Resource> = of(Kind::K8sPod).cloned().collect();
    let links = watch.links(&listed);
    assert_eq!(links.len(), 3, "two replica sets and a node: {links:?}");
    for pod in &listed {
        let mut alone = Resource { owner: None, ..pod.clone() };
        let rolled = watch.roll_up(&known, &mut alone);
        assert_eq!(alone.owner, pod.owner);
        let derived =
            of(Kind::K8sWorkload).chain(of(Kind::K8sStaticPod)).any(|it| Some(&it.native_id) == pod.owner.as_ref());
        assert_eq!(matches!(rolled, RolledUp::Derived(_)), derived, "{}", pod.name);
        let mut unknown = Resource { owner: None, ..pod.clone() };
        assert_eq!(watch.roll_up(&Known::default(), &mut unknown), RolledUp::Unseen);
    }
    for owner in of(Kind::K8sWorkload).chain(of(Kind::K8sStaticPod)) {
        let pods: Vec<Resource> =
            listed.iter().filter(|pod| pod.owner.as_ref() == Some(&owner.native_id)).rev().cloned().collect();
        assert_eq!(watch.derive(&known, &pods).as_ref(), Some(owner));
    }
    let images = watch.images(&known, &listed).unwrap();
    assert_eq!(images, of(Kind::RunningImage).cloned().collect::<Vec<_>>());
}
