//! One scan against an API over TLS: paging, refusals, tokens, egress.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use rampart_connector::conformance::{Recording, record};
use rampart_connector::{
    Authorities, BearerToken, Caller, ClusterAccess, ClusterEndpoint, Connector, ConnectorError, Egress, ErrorKind,
    Event, Outcome, PermissionState, ScanContext, Sink,
};
use rampart_connector_kube::{KubeConnector, Options, StaticAccess};
use rampart_domain::{Cloud, CoverageState, Kind, Resource};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{Certificate, TOKEN, World, access, estate, identity, limits, loopback, serve, start, status};

const PODS: &str = "/api/v1/pods";

fn options() -> Options {
    Options { page: 500, ..Options::new([7; 32]) }
}

fn outcome(recording: &Recording, kind: Kind) -> &Outcome {
    let found = recording.listings.iter().find(|(listing, _)| listing.kind == kind);
    found.and_then(|(_, recorded)| recorded.outcome.as_ref()).unwrap()
}

fn incomplete(recording: &Recording, kind: Kind) -> &ConnectorError {
    match outcome(recording, kind) {
        Outcome::Incomplete(error) => error,
        other => panic!("{kind}: {other:?}"),
    }
}

/// Every resource of a scan of these kinds.
async fn resources(connector: &KubeConnector, kinds: &[Kind]) -> Vec<Resource> {
    let cx = ScanContext {
        cancel: CancellationToken::new(),
        kinds: kinds.to_vec(),
        started_at: chrono::DateTime::UNIX_EPOCH,
    };
    let (sink, mut events) = Sink::new(4);
    let scan = async {
        let result = connector.scan(&cx, &sink).await;
        drop(sink);
        result
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
    let (result, all) = tokio::join!(scan, read);
    result.unwrap();
    all
}

#[tokio::test]
async fn pages_are_followed_and_pods_roll_up() {
    let (world, connector, _guard) = start(estate(), Cloud::Aws, options()).await;
    let all = resources(&connector, &[]).await;
    let of = |kind| all.iter().filter(|it| it.kind == kind).collect::<Vec<_>>();
    assert_eq!(of(Kind::K8sPod).len(), 602);
    assert_eq!(world.requests(PODS), ["GET /api/v1/pods?limit=500", "GET /api/v1/pods?limit=500&continue=500"]);

    let ends = |owner: &str| {
        of(Kind::K8sPod).iter().filter(|pod| pod.owner.as_ref().unwrap().as_str().ends_with(owner)).count()
    };
    assert_eq!(ends("/apps/Deployment/shop/web"), 600);
    assert_eq!(ends("/argoproj.io/Rollout/shop/canary"), 1);
    assert_eq!(ends("//StaticPod/shop/blue:kube-proxy"), 1);
    let workload = of(Kind::K8sWorkload)[0];
    assert_eq!((workload.name.as_str(), &workload.config["kind"]), ("canary", &json!("Rollout")));
    let images = of(Kind::RunningImage);
    assert_eq!(images.len(), 2);
    assert_eq!(images[0].config["architectures"], json!(["arm64"]));
    assert_eq!(images[0].config["references"], json!(["docker.io/library/nginx"]));

    let cluster = of(Kind::K8sCluster)[0];
    assert_eq!(cluster.config["version"]["gitVersion"], "v1.33.1-eks-1");
    assert!(cluster.config["apiGroups"].as_array().unwrap().contains(&json!("apps")));
    assert!(all.iter().all(|it| it.cluster.as_ref() == Some(&cluster.native_id)));
    assert!(all.iter().all(|it| !it.config.to_string().contains("hunter2")), "no literal of an environment is kept");
}

#[tokio::test]
async fn constraints_are_read_kind_by_kind_as_their_templates_name_them() {
    let (world, connector, _guard) = start(estate(), Cloud::Aws, options()).await;
    let all = resources(&connector, &[Kind::K8sConstraint]).await;
    let [constraint] = &all[..] else { panic!("one constraint and nothing else: {all:?}") };
    assert!(constraint.native_id.as_str().ends_with("/constraints.gatekeeper.sh/K8sRequiredLabels//owner"));
    assert_eq!(constraint.config["kind"], "K8sRequiredLabels");
    assert_eq!(constraint.config["apiVersion"], "constraints.gatekeeper.sh/v1beta1");
    assert!(constraint.config.get("status").is_none(), "what its audit counts is not kept");
    assert_eq!(world.requests("/apis/constraints.gatekeeper.sh").len(), 2, "one list for each template");

    let mut world = estate();
    world.lists.retain(|path, _| !path.contains("gatekeeper"));
    let (_world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let recording = record(&connector, None).await;
    for kind in [Kind::K8sConstraintTemplate, Kind::K8sConstraint] {
        assert_eq!(*outcome(&recording, kind), Outcome::NotApplicable("Gatekeeper is not installed".to_owned()));
    }
}

#[tokio::test]
async fn constraints_are_not_whole_without_every_template_and_every_kind() {
    for path in [
        "/apis/templates.gatekeeper.sh/v1/constrainttemplates",
        "/apis/constraints.gatekeeper.sh/v1beta1/k8srequiredlabels",
    ] {
        let mut world = estate();
        world.once = vec![(path.to_owned(), 403, status(403, "Forbidden", "no"))].into();
        let (_world, connector, _guard) = start(world, Cloud::Aws, options()).await;
        let recording = record(&connector, None).await;
        assert_eq!(incomplete(&recording, Kind::K8sConstraint).coverage(), CoverageState::Denied, "{path}");
    }
}

#[tokio::test]
async fn secrets_are_never_asked_for_and_of_config_maps_only_the_identity_map() {
    let (world, connector, _guard) = start(estate(), Cloud::Aws, options()).await;
    let all = resources(&connector, &[]).await;
    assert!(world.requests("/api/v1/secrets").is_empty() && world.requests("/api/v1/configmaps").is_empty());
    let maps: Vec<_> = all.iter().filter(|it| it.kind == Kind::K8sConfigMap).collect();
    assert_eq!(maps.len(), 1);
    assert_eq!(maps[0].config["data"], json!({"mapRoles": "- rolearn: r\n"}));

    let (world, connector, _guard) = start(estate(), Cloud::OnPremises, options()).await;
    let recording = record(&connector, None).await;
    assert!(world.seen.lock().unwrap().iter().all(|line| !line.contains("configmaps") && !line.contains("secrets")));
    for kind in [Kind::K8sConfigMap, Kind::K8sSecret] {
        assert!(matches!(outcome(&recording, kind), Outcome::NotApplicable(why) if why.contains("option list_")));
    }
}

#[tokio::test]
async fn opted_in_names_come_without_their_content() {
    let options = Options { list_secret_names: true, list_config_map_names: true, ..options() };
    let (_world, connector, _guard) = start(estate(), Cloud::OnPremises, options).await;
    let all = resources(&connector, &[Kind::K8sSecret, Kind::K8sConfigMap]).await;
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|it| it.name == "aws-auth" || it.config.get("data").is_none()), "{all:?}");
    assert!(all.iter().all(|it| !it.config.to_string().contains("s3cr3t")));
}

#[tokio::test]
async fn an_expired_continue_token_begins_the_list_again_once() {
    let gone = || ("/api/v1/pods".to_owned(), 410, status(410, "Expired", "the continue parameter is too old"));
    let first = || {
        let items = json!([{"metadata": {"name": "a", "namespace": "n"}}]);
        ("/api/v1/pods".to_owned(), 200, json!({"metadata": {"continue": "500"}, "items": items}))
    };
    let mut world = estate();
    world.once = vec![first(), gone()].into();
    let (world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let recording = record(&connector, None).await;
    assert_eq!(*outcome(&recording, Kind::K8sPod), Outcome::Complete);
    assert_eq!(world.requests(PODS).len(), 4);

    let mut world = estate();
    world.once = vec![first(), gone(), first(), gone()].into();
    let (_world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let recording = record(&connector, None).await;
    assert_eq!(incomplete(&recording, Kind::K8sPod).kind, ErrorKind::Expired);
}

#[tokio::test]
async fn pages_that_are_too_large_are_asked_for_in_smaller_ones() {
    let world = World { longest_page: Some(200), ..estate() };
    let (world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let recording = record(&connector, None).await;
    assert_eq!(*outcome(&recording, Kind::K8sPod), Outcome::Complete);
    assert_eq!(world.requests(PODS).len(), 1 + 5, "one too large, then 602 in pages of 125");

    let world = World { longest_page: Some(20), ..estate() };
    let (_world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    assert_eq!(incomplete(&record(&connector, None).await, Kind::K8sPod).kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_refused_kind_costs_itself_and_what_is_made_from_it() {
    let mut world = estate();
    world.once = vec![("/apis/apps/v1/replicasets".to_owned(), 403, status(403, "Forbidden", "no"))].into();
    let (_world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let recording = record(&connector, None).await;
    recording.result.as_ref().unwrap();
    for kind in [Kind::K8sReplicaSet, Kind::K8sWorkload] {
        assert_eq!(incomplete(&recording, kind).coverage(), CoverageState::Denied);
    }
    assert_eq!(*outcome(&recording, Kind::K8sPod), Outcome::Complete);
}

#[tokio::test]
async fn what_is_not_installed_is_not_applicable() {
    let mut world = estate();
    world.lists.retain(|path, _| !path.contains("cilium") && !path.contains("v1alpha2/tcproutes"));
    let groups = world.single["/apis"]["groups"].as_array().unwrap().clone();
    let groups: Vec<Value> = groups.into_iter().filter(|group| group["name"] != "cilium.io").collect();
    world.single.insert("/apis".to_owned(), json!({ "groups": groups }));
    let (world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let recording = record(&connector, None).await;
    let absent = Outcome::NotApplicable("Cilium is not installed".to_owned());
    assert_eq!(*outcome(&recording, Kind::K8sCiliumNetworkPolicy), absent);
    assert!(world.requests("/apis/cilium.io").is_empty(), "the list of groups answers that");
    assert!(matches!(outcome(&recording, Kind::K8sTcpRoute), Outcome::NotApplicable(_)));
    assert_eq!(*outcome(&recording, Kind::K8sTlsRoute), Outcome::Complete);
}

#[tokio::test]
async fn only_the_asked_kinds_are_reported() {
    let (world, connector, _guard) = start(estate(), Cloud::Aws, options()).await;
    let all = resources(&connector, &[Kind::K8sPod, Kind::K8sService]).await;
    assert!(all.iter().all(|it| matches!(it.kind, Kind::K8sPod | Kind::K8sService)));
    assert!(all.iter().any(|it| it.owner.as_ref().is_some_and(|id| id.as_str().ends_with("Deployment/shop/web"))));
    assert!(world.requests("/apis/rbac.authorization.k8s.io").is_empty());
}

/// Gives a stale token first and then, each time it is asked, `later`.
struct Renewed {
    endpoint: ClusterEndpoint,
    later: &'static str,
    asked: AtomicUsize,
}

#[async_trait]
impl ClusterAccess for Renewed {
    async fn endpoint(&self) -> Result<ClusterEndpoint, ConnectorError> {
        Ok(self.endpoint.clone())
    }

    async fn token(&self) -> Result<BearerToken, ConnectorError> {
        let first = self.asked.fetch_add(1, Ordering::SeqCst) == 0;
        let token = if first { "stale-token" } else { self.later };
        Ok(BearerToken { token: token.to_owned().into(), expires_at: None })
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_believed() {
    for (later, expected) in [(TOKEN, None), ("other-token", Some(ErrorKind::Unauthorized))] {
        let world = Arc::new(estate());
        let certificate = Certificate::shared();
        let guard = serve(Arc::clone(&world), certificate).await;
        let endpoint = access(guard.port, certificate).endpoint().clone();
        let renewed = Arc::new(Renewed { endpoint, later, asked: AtomicUsize::new(0) });
        let caller = Caller::new(limits(), CancellationToken::new());
        let connector = KubeConnector::new(identity(Cloud::Aws), renewed.clone(), loopback(), options(), caller);
        let recording = record(&connector, None).await;
        assert_eq!(recording.result.err().map(|error| error.kind), expected);
        assert_eq!(renewed.asked.load(Ordering::SeqCst), 2);
        assert!(expected.is_none() || recording.listings.is_empty());
    }
}

/// The error of a scan through this access.
async fn failure(access: Arc<dyn ClusterAccess>, egress: Egress) -> ConnectorError {
    let caller = Caller::new(limits(), CancellationToken::new());
    let connector = KubeConnector::new(identity(Cloud::Aws), access, egress, options(), caller);
    record(&connector, None).await.result.unwrap_err()
}

#[tokio::test]
async fn only_allowed_addresses_and_known_authorities_are_spoken_to() {
    let world = Arc::new(estate());
    let certificate = Certificate::shared();
    let guard = serve(Arc::clone(&world), certificate).await;

    let error = failure(Arc::new(access(guard.port, certificate)), Egress::default()).await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains("RAMPART_EGRESS_ALLOW"), "{error}");

    let error = failure(Arc::new(access(guard.port, &Certificate::fresh())), loopback()).await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains("certificate"), "{error}");

    let mut endpoint = access(guard.port, certificate).endpoint().clone();
    endpoint.tls_server_name = Some("other.test".to_owned());
    let renewed = |endpoint| Arc::new(Renewed { endpoint, later: TOKEN, asked: AtomicUsize::new(1) });
    let error = failure(renewed(endpoint.clone()), loopback()).await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(world.seen.lock().unwrap().is_empty(), "nothing is sent before the certificate is checked");

    endpoint.tls_server_name = Some("kube.test".to_owned());
    let caller = Caller::new(limits(), CancellationToken::new());
    let connector = KubeConnector::new(identity(Cloud::Aws), renewed(endpoint), loopback(), options(), caller);
    record(&connector, None).await.result.unwrap();
}

#[tokio::test]
async fn a_cluster_without_an_authority_of_its_own_is_believed_by_the_operators() {
    let world = Arc::new(estate());
    let certificate = Certificate::shared();
    let guard = serve(Arc::clone(&world), certificate).await;
    let token = || SecretString::from(TOKEN.to_owned());
    let url = format!("https://localhost:{}", guard.port);
    let access = || Arc::new(StaticAccess::from_token(&url, token(), None).unwrap());

    let error = failure(access(), loopback()).await;
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains("certificate"), "{error}");

    let bundle = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(bundle.path(), &certificate.pem).unwrap();
    let egress = Egress { authorities: Authorities::read(bundle.path()).unwrap(), ..loopback() };
    let caller = Caller::new(limits(), CancellationToken::new());
    let connector = KubeConnector::new(identity(Cloud::Aws), access(), egress, options(), caller);
    record(&connector, None).await.result.unwrap();
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut world = estate();
    world.once = vec![("/api/v1/namespaces/kube-system".to_owned(), 302, json!({}))].into();
    let (world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let error = record(&connector, None).await.result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(error.message.contains("redirects are not followed"), "{error}");
    assert_eq!(world.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_preflight_lists_what_is_missing_with_the_rule_that_would_grant_it() {
    let world = World { denied: vec![("list", "deployments")], ..estate() };
    let (world, connector, _guard) = start(world, Cloud::Aws, options()).await;
    let cx =
        ScanContext { cancel: CancellationToken::new(), kinds: Vec::new(), started_at: chrono::DateTime::UNIX_EPOCH };
    let checks = connector.preflight(&cx).await.unwrap();
    assert_eq!(checks.len(), connector.permissions().len());
    let missing: Vec<_> = checks.iter().filter(|check| check.state != PermissionState::Granted).collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].permission.name, "list deployments.apps");
    assert_eq!(missing[0].permission.kinds, [Kind::K8sDeployment]);
    let PermissionState::Missing(gap) = &missing[0].state else { panic!("{missing:?}") };
    assert_eq!(gap.state, CoverageState::Denied);
    assert!(gap.remedy.contains(r#"resources: ["deployments"]"#));
    assert!(world.seen.lock().unwrap().iter().all(|line| line.starts_with("POST")), "no inventory is read");
}
