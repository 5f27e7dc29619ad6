//! The conformance suite over the Google Cloud connector, and what is Google's own about its listings and credentials.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rampart_connector::conformance::{self, Expected, Fault, Harness, collect, context, record};
use rampart_connector::{
    Caller, Connector, ConnectorError, Egress, ErrorKind, Limits, Listing, MemberState, Organization, Outcome,
    Permission, PermissionState, WorkloadIdentity,
};
use rampart_connector_gcp::{GcpAuth, GcpConfig, GcpConnector, GcpOrganization, Login, ServiceAccountKey};
use rampart_domain::{Cloud, CoverageState, Kind, ManagedBy, Scope};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use world::{ACCOUNT, PROJECT, PROVIDER, STATEMENT, World, key};

/// What the DNS endpoint of a cluster asks for: no call of the scan of a project.
const CONNECT: &str = "container.clusters.connect";
/// Two container repositories in each of two locations, with two images each.
const EXPECTED: [(Kind, usize); 9] = [
    (Kind::GcpProject, 1),
    (Kind::GcpGkeCluster, 2),
    (Kind::GcpGkeNodePool, 3),
    (Kind::GcpArtifactRegistryRepository, 4),
    (Kind::GcpArtifactRegistryImage, 8),
    (Kind::GcpIamPolicy, 1),
    (Kind::GcpService, 2),
    (Kind::GcpComputeSubnetwork, 2),
    (Kind::GcpComputeFirewall, 2),
];

fn caller() -> Caller {
    let limits = Limits {
        rate: 10_000.0,
        burst: 10_000,
        attempts: 3,
        attempt_timeout: Duration::from_secs(20),
        wait_budget: Duration::from_secs(10),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        max_body: 1 << 16,
        ..Limits::default()
    };
    Caller::new(limits, CancellationToken::new())
}

fn login(auth: GcpAuth, url: &str) -> Login {
    Login { auth, operator: None, endpoint_override: Some(url.parse().unwrap()) }
}

fn by_key() -> GcpAuth {
    let key = ServiceAccountKey::parse(&key::file().to_string().into()).unwrap();
    GcpAuth::Key { key, impersonate: Some(ACCOUNT.into()) }
}

fn connector_as(auth: GcpAuth, url: &str, locations: Option<&[&str]>) -> GcpConnector {
    let locations = locations.map(|all| all.iter().map(ToString::to_string).collect());
    GcpConnector::new(
        GcpConfig { project_id: PROJECT.into(), locations, login: login(auth, url) },
        &caller(),
        &Egress::default(),
    )
    .unwrap()
}

fn connector(url: &str) -> GcpConnector {
    connector_as(by_key(), url, None)
}

fn listing(kind: Kind) -> Listing {
    let scope = Scope::Region { cloud: Cloud::Gcp, account: PROJECT.into(), region: "global".into() };
    Listing { scope, kind }
}

struct Gcp;

#[async_trait]
impl Harness for Gcp {
    async fn start(&self, broken: Option<(&Permission, Fault)>) -> conformance::World {
        let world = World::start(broken.map(|(permission, fault)| (permission.name.as_str(), fault))).await;
        conformance::World { connector: Arc::new(connector(&world.url)), guard: Box::new(world) }
    }

    fn expected(&self) -> Vec<Expected> {
        EXPECTED.map(|(kind, resources)| Expected { listing: listing(kind), resources }).to_vec()
    }

    fn applies(&self, permission: &Permission, _fault: Fault) -> bool {
        permission.name != CONNECT
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    if let Err(violations) = conformance::run(&Gcp).await {
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        panic!("{} broken promises:\n{}", lines.len(), lines.join("\n"));
    }
}

#[tokio::test]
async fn the_permissions_are_exactly_the_calls_of_a_scan() {
    let world = World::start(None).await;
    let connector = connector(&world.url);
    record(&connector, None).await.result.unwrap();
    let mut named: BTreeSet<_> = connector.permissions().into_iter().map(|permission| permission.name).collect();
    assert!(named.remove(CONNECT));
    assert_eq!(world.apis(), named);
}

#[tokio::test]
async fn configuration_keeps_what_rampart_does_not_know_and_no_secret() {
    let world = World::start(None).await;
    let (resources, clusters) = collect(&connector(&world.url), Vec::new()).await;
    let named = |name: &str| resources.iter().find(|resource| resource.name == name).unwrap();
    let prod = named("prod-a");
    assert_eq!(
        prod.native_id.as_str(),
        "//container.googleapis.com/projects/shop-prod/locations/europe-west1/clusters/prod-a"
    );
    assert_eq!(prod.config["newerThanRampart"]["kept"], true);
    assert_eq!(prod.config["legacyAbac"], serde_json::json!({}), "an empty message says something else than none");
    assert_eq!((prod.config.get("nodePools"), prod.config.get("etag")), (None, None));
    assert_eq!((prod.labels["team"].as_str(), prod.uid.as_deref(), prod.active), ("payments", Some("c0ffee01"), true));
    assert!(resources.iter().all(|resource| !resource.config.to_string().contains("do-not-keep")));
    let pool = named("default-pool");
    assert_eq!(pool.config["config"]["metadata"]["disable-legacy-endpoints"], "true");
    assert_eq!((pool.cluster.as_ref(), pool.managed_by), (Some(&prod.native_id), ManagedBy::Customer));
    assert_eq!((named("spot").active, named("spot").labels["cost"].as_str()), (false, "low"));
    assert_eq!(named("pool-1").managed_by, ManagedBy::Platform, "the nodes of Autopilot are Google's");
    let repository = named("gcr.io");
    assert_eq!(repository.config["iamPolicy"], serde_json::json!({ "bindings": [] }));
    assert_eq!(repository.config["newerThanRampart"]["kept"], true);
    let image = named("team/web:v1");
    assert!(image.native_id.as_str().contains("/dockerImages/team%2Fweb@sha256:"), "{}", image.native_id);

    let of = |kind: Kind| resources.iter().filter(|resource| resource.kind == kind).collect::<Vec<_>>();
    let subnetworks = of(Kind::GcpComputeSubnetwork);
    let regions: Vec<_> = subnetworks.iter().filter_map(|it| it.region.as_deref()).collect();
    assert_eq!(regions, ["europe-west1", "us-east4"]);
    for subnetwork in subnetworks {
        assert_eq!(subnetwork.config["enableFlowLogs"], false, "what is switched off is kept as it was said");
        assert_eq!(subnetwork.config.get("fingerprint"), None);
    }
    let policy = of(Kind::GcpIamPolicy)[0];
    assert_eq!(policy.config["bindings"][0]["condition"]["title"], "until spring");
    assert_eq!(policy.config.get("etag"), None);
    assert_eq!(named("container.googleapis.com").config["config"].get("quota"), None);
    assert_eq!(
        named("gke-prod-a-vms").native_id.as_str(),
        "//compute.googleapis.com/projects/shop-prod/global/firewalls/gke-prod-a-vms"
    );

    let reached = |name: &str| clusters.iter().find(|cluster| cluster.name == name).unwrap();
    let endpoint = reached("prod-a").access.endpoint().await.unwrap();
    assert_eq!((endpoint.url.as_str(), endpoint.ca_pem), ("https://gke-0123.europe-west1.gke.goog/", None));
    assert!(reached("prod-a").access.token().await.unwrap().expires_at.is_some());
    let pending = reached("pilot").access.endpoint().await.unwrap_err();
    assert_eq!(pending.kind, ErrorKind::Unreachable);
    assert!(pending.remedy.unwrap().contains("being created"));
}

#[tokio::test]
async fn chosen_locations_are_all_that_is_kept_or_asked_for() {
    let world = World::start(None).await;
    let (resources, clusters) =
        collect(&connector_as(by_key(), &world.url, Some(&["us-east4-a", "us-east4"])), vec![]).await;
    assert_eq!(clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>(), ["pilot"]);
    let places: BTreeSet<_> = resources.iter().filter_map(|resource| resource.region.as_deref()).collect();
    assert_eq!(places, BTreeSet::from(["us-east4"]));
    assert_eq!(
        (world.calls("artifactregistry.locations.list"), world.calls("artifactregistry.repositories.list")),
        (0, 3)
    );
}

#[tokio::test]
async fn zones_that_do_not_respond_make_the_listing_incomplete_where_they_matter() {
    let world = World::start(None).await;
    world.silence(&["us-east4-b"]);
    let seen = record(&connector(&world.url), None).await;
    for (kind, read) in [(Kind::GcpGkeCluster, 1), (Kind::GcpGkeNodePool, 2), (Kind::GcpComputeSubnetwork, 1)] {
        let seen = &seen.listings[&listing(kind)];
        assert_eq!(seen.resources, read);
        let Some(Outcome::Incomplete(error)) = &seen.outcome else { panic!("{:?}", seen.outcome) };
        assert!(error.message.contains("us-east4"), "{error}");
    }
    let elsewhere = record(&connector_as(by_key(), &world.url, Some(&["europe-west1"])), None).await;
    for kind in [Kind::GcpGkeCluster, Kind::GcpComputeSubnetwork] {
        assert_eq!(elsewhere.listings[&listing(kind)].outcome, Some(Outcome::Complete));
    }
}

#[tokio::test]
async fn a_token_is_kept_and_replaced_once_it_is_refused() {
    let world = World::start(None).await;
    let connector = connector(&world.url);
    for _ in 0..2 {
        record(&connector, None).await.result.unwrap();
    }
    assert_eq!(world.calls("iam.serviceAccounts.getAccessToken"), 1);
    world.revoke();
    let seen = record(&connector, None).await;
    assert!(seen.listings.values().all(|listing| listing.outcome == Some(Outcome::Complete)), "{seen:?}");
    assert_eq!(world.calls("iam.serviceAccounts.getAccessToken"), 2);
}

#[derive(Debug)]
struct Issuer(&'static str);

#[async_trait]
impl WorkloadIdentity for Issuer {
    async fn token(&self, audience: &str) -> Result<SecretString, ConnectorError> {
        assert_eq!(audience, format!("https://iam.googleapis.com/{PROVIDER}"));
        Ok(self.0.into())
    }
}

#[tokio::test]
async fn federation_and_the_machine_s_own_identity_need_no_key() {
    let world = World::start(None).await;
    let federated = |statement, impersonate: Option<&str>| {
        let impersonate = impersonate.map(str::to_owned);
        GcpAuth::Federated { provider: PROVIDER.into(), identity: Arc::new(Issuer(statement)), impersonate }
    };
    for auth in [
        federated(STATEMENT, None),
        federated(STATEMENT, Some(ACCOUNT)),
        GcpAuth::Impersonated { service_account: ACCOUNT.into() },
    ] {
        let seen = record(&connector_as(auth, &world.url, None), None).await;
        assert_eq!(seen.listings[&listing(Kind::GcpGkeCluster)].outcome, Some(Outcome::Complete), "{seen:?}");
    }
    assert_eq!(world.calls("metadata:token"), 1);
    let stranger = connector_as(federated("somebody else", None), &world.url, None);
    let error = record(&stranger, None).await.result.unwrap_err();
    assert_eq!((error.kind, error.api.as_str()), (ErrorKind::Unauthorized, "sts:token"));
    assert!(error.remedy.unwrap().contains(PROVIDER));
    let checks = stranger.preflight(&context(Vec::new())).await.unwrap();
    assert!(matches!(&checks[0].state, PermissionState::Missing(gap) if gap.state == CoverageState::Unauthorized));
    assert!(checks[1..].iter().all(|check| matches!(check.state, PermissionState::Unproven(_))), "{checks:?}");
}

#[tokio::test]
async fn the_preflight_names_what_is_missing_and_what_is_not_enabled() {
    let world = World::start(None).await;
    let checks = connector(&world.url).preflight(&context(Vec::new())).await.unwrap();
    let missing: Vec<_> = checks.iter().filter(|check| check.state != PermissionState::Granted).collect();
    assert_eq!((missing.len(), missing[0].permission.name.as_str()), (1, "artifactregistry.repositories.getIamPolicy"));
    assert!(matches!(&missing[0].state, PermissionState::Missing(gap) if gap.remedy.contains("getIamPolicy")));
    assert_eq!(world.calls("artifactregistry.repositories.list"), 0, "nothing of the inventory is read");

    let world = World::start(Some(("compute.firewalls.list", Fault::Unsupported))).await;
    let checks = connector(&world.url).preflight(&context(Vec::new())).await.unwrap();
    let of_compute: Vec<_> = checks.iter().filter(|check| check.permission.name.starts_with("compute.")).collect();
    assert_eq!(of_compute.len(), 2, "one call tells that the whole API is not enabled");
    for check in of_compute {
        assert!(matches!(&check.state, PermissionState::Missing(gap) if gap.state == CoverageState::Unsupported));
    }

    let world = World::start(Some(("container.clusters.list", Fault::Unsupported))).await;
    let checks = connector(&world.url).preflight(&context(Vec::new())).await.unwrap();
    let clusters = checks.iter().find(|check| check.permission.name == "container.clusters.list").unwrap();
    let PermissionState::Missing(gap) = &clusters.state else { panic!("{:?}", clusters.state) };
    assert_eq!(gap.state, CoverageState::Unsupported);
    assert!(gap.remedy.contains("gcloud services enable container.googleapis.com"), "{}", gap.remedy);
}

#[tokio::test]
async fn an_organisation_is_read_with_its_folders_and_what_is_marked_for_deletion() {
    let world = World::start(None).await;
    let organization = GcpOrganization::new(
        "organizations/1".parse().unwrap(),
        login(by_key(), &world.url),
        &caller(),
        &Egress::default(),
    )
    .unwrap();
    let membership = organization.members(&context(Vec::new())).await.unwrap();
    let units: Vec<_> = membership.units.iter().map(|unit| unit.config["name"].as_str().unwrap()).collect();
    assert_eq!(units, ["organizations/1", "folders/2", "folders/3", "folders/4"]);
    let members: Vec<_> =
        membership.members.iter().map(|member| (member.id.as_str(), member.path.join(">"), member.state)).collect();
    let deep = "organizations/1>folders/2>folders/4".to_owned();
    let want = [
        ("top-project", "organizations/1".to_owned(), MemberState::Active),
        ("deep-project", deep.clone(), MemberState::Active),
        ("gone-project", deep, MemberState::Suspended),
    ];
    assert_eq!(members, want);
    let used = world.apis().into_iter().filter(|api| !api.starts_with("iam.")).collect::<BTreeSet<_>>();
    assert_eq!(used, organization.permissions().into_iter().map(|permission| permission.name).collect());

    for (api, fault, kind) in [
        ("resourcemanager.folders.list", Fault::Forbidden, ErrorKind::Forbidden),
        ("resourcemanager.projects.list", Fault::ServerError, ErrorKind::Transient),
    ] {
        let world = World::start(Some((api, fault))).await;
        let login = login(by_key(), &world.url);
        let organization =
            GcpOrganization::new("organizations/1".parse().unwrap(), login, &caller(), &Egress::default()).unwrap();
        let error = organization.members(&context(Vec::new())).await.unwrap_err();
        assert_eq!((error.kind, error.api.as_str()), (kind, api), "half a membership is none");
    }
}
