//! The conformance suite over the Azure connector, and what is Azure's own about its listings.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rampart_connector::conformance::{self, Expected, Fault, Harness, collect, context, record};
use rampart_connector::{
    Caller, Connector, ConnectorError, Egress, ErrorKind, Event, Limits, Listing, MemberState, Organization, Outcome,
    Permission, PermissionState, Sink, WorkloadIdentity,
};
use rampart_connector_azure::{
    AzureAuth, AzureCloud, AzureConfig, AzureConnector, AzureIdentity, AzureOrganization, AzureRoot, LocalAccounts,
};
use rampart_domain::{Cloud, CoverageState, Kind, Scope};
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use world::{CLIENT, EXPECTED, OTHER, REGISTRIES, SECRET, SUBSCRIPTION, TENANT, Twist, World};

const USER_CREDENTIAL: &str = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action";
const CLUSTERS: &str = "Microsoft.ContainerService/managedClusters/read";

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

fn identity(url: &str, secret: &str) -> AzureIdentity {
    AzureIdentity {
        tenant_id: TENANT.into(),
        cloud: AzureCloud::Commercial,
        auth: AzureAuth::ClientSecret { client_id: CLIENT.into(), secret: secret.to_owned().into() },
        endpoint_override: Some(url.parse().unwrap()),
    }
}

fn connector(url: &str, secret: &str, local_accounts: LocalAccounts) -> AzureConnector {
    let subscription_id = SUBSCRIPTION.to_uppercase();
    let config = AzureConfig { identity: identity(url, secret), subscription_id, local_accounts };
    AzureConnector::new(config, caller(), Egress::default()).unwrap()
}

fn reader(world: &World) -> AzureConnector {
    connector(&world.url, SECRET, LocalAccounts::Refused)
}

fn listing(kind: Kind) -> Listing {
    let scope = Scope::Region { cloud: Cloud::Azure, account: SUBSCRIPTION.into(), region: "global".into() };
    Listing { scope, kind }
}

struct Azure;

#[async_trait]
impl Harness for Azure {
    async fn start(&self, broken: Option<(&Permission, Fault)>) -> conformance::World {
        let world = World::start(broken.map(|(permission, fault)| (permission.name.as_str(), fault))).await;
        let connector = Arc::new(reader(&world));
        conformance::World { connector, guard: Box::new(world) }
    }

    fn expected(&self) -> Vec<Expected> {
        EXPECTED.map(|(kind, resources)| Expected { listing: listing(kind), resources }).into()
    }

    /// The way into a cluster is opened by whoever reads the cluster, not by a scan.
    fn applies(&self, permission: &Permission, _: Fault) -> bool {
        permission.name != USER_CREDENTIAL
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    if let Err(violations) = conformance::run(&Azure).await {
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        panic!("{} broken promises:\n{}", lines.len(), lines.join("\n"));
    }
}

#[tokio::test]
async fn the_permissions_are_exactly_the_calls_of_a_scan() {
    let world = World::start(None).await;
    let connector = reader(&world);
    let (_, clusters) = collect(&connector, Vec::new()).await;
    for cluster in &clusters {
        // The other one knows no Entra ID and is not read.
        let _ = cluster.access.endpoint().await;
    }
    let named: BTreeSet<_> = connector.permissions().into_iter().map(|permission| permission.name).collect();
    assert_eq!(world.apis(), named);
}

#[tokio::test]
async fn configuration_keeps_what_the_sdk_does_not_know() {
    let world = World::start(None).await;
    let (resources, clusters) = collect(&reader(&world), vec![Kind::AzureAksCluster]).await;
    let one = resources.iter().find(|resource| resource.name == "one").unwrap();
    assert_eq!(one.config["properties"]["newerThanTheSdk"]["kept"], true);
    assert!(one.config["properties"]["autoUpgradeProfile"].is_array(), "no typed model may lose a cluster");
    assert_eq!((one.labels["team"].as_str(), one.region.as_deref()), ("payments", Some("westeurope")));
    assert_eq!(one.native_id.as_str(), one.native_id.as_str().to_lowercase());
    assert_eq!(clusters.iter().find(|cluster| cluster.name == "one").unwrap().native_id, one.native_id);
    let pools = "Microsoft.ContainerService/managedClusters/agentPools/read";
    assert_eq!(world.calls(pools), 0, "a kind that is not wanted costs nothing");
    assert_eq!((world.calls("token"), world.calls("exchange")), (1, 0), "one token is enough for everything");
}

#[tokio::test]
async fn a_cluster_is_reached_with_a_token_of_entra_id_and_never_by_a_local_account_unless_told_so() {
    let world = World::start(None).await;
    for (accounts, local) in [(LocalAccounts::Refused, false), (LocalAccounts::Used, true)] {
        let connector = connector(&world.url, SECRET, accounts);
        let (_, clusters) = collect(&connector, vec![Kind::AzureAksCluster]).await;
        let of = |name: &str| &clusters.iter().find(|cluster| cluster.name == name).unwrap().access;
        let endpoint = of("one").endpoint().await.unwrap();
        assert_eq!(endpoint.url.host_str(), Some("one.hcp.westeurope.azmk8s.io"));
        assert!(endpoint.ca_pem.is_some());
        let token = of("one").token().await.unwrap();
        assert!(token.token.expose_secret().starts_with("entra-"), "what the kubeconfig holds is not used");
        match of("two").endpoint().await {
            Ok(_) if local => {
                assert_eq!(of("two").token().await.unwrap().token.expose_secret(), "local-token");
            }
            Err(error) if !local => {
                assert_eq!(error.coverage(), CoverageState::Unauthorized);
                assert!(of("two").remedy(&error).unwrap().contains("local_accounts"), "{error}");
            }
            other => panic!("{accounts:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_in_the_middle_is_renewed_once() {
    let world = World::twisted(None, Twist::RevokedAfter(9)).await;
    let seen = record(&reader(&world), None).await;
    assert_eq!(seen.result, Ok(()));
    for (kind, resources) in EXPECTED {
        let listing = &seen.listings[&listing(kind)];
        assert_eq!((listing.resources, &listing.outcome), (resources, &Some(Outcome::Complete)), "{kind}");
    }
    assert_eq!(world.calls("token"), 2);
}

#[tokio::test]
async fn refused_credentials_end_the_scan_with_their_reason() {
    let world = World::start(None).await;
    let stranger = connector(&world.url, "guess", LocalAccounts::Refused);
    let error = record(&stranger, None).await.result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthorized);
    assert!(error.message.contains("AADSTS7000215") && !error.to_string().contains("guess"), "{error}");
    let checks = stranger.preflight(&context(Vec::new())).await.unwrap();
    assert_eq!(checks.len(), stranger.permissions().len());
    assert!(checks.iter().all(|check| matches!(check.state, PermissionState::Unproven(_))));
}

/// An issuer that states what it was asked for.
struct Issuer;

#[async_trait]
impl WorkloadIdentity for Issuer {
    async fn token(&self, audience: &str) -> Result<SecretString, ConnectorError> {
        Ok(format!("statement for {audience}").into())
    }
}

#[tokio::test]
async fn every_way_of_proving_the_identity_opens_the_subscription() {
    let world = World::start(None).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["rampart".to_owned()]).unwrap().self_signed(&key).unwrap();
    let machine = format!("{}/metadata/identity/oauth2/token", world.url);
    for auth in [
        AzureAuth::Federated { client_id: CLIENT.into(), identity: Arc::new(Issuer) },
        AzureAuth::Certificate { client_id: CLIENT.into(), pem: (certificate.pem() + &key.serialize_pem()).into() },
        AzureAuth::Managed { client_id: None, endpoint: machine.parse().unwrap() },
    ] {
        let name = format!("{auth:?}");
        let identity = AzureIdentity { auth, ..identity(&world.url, SECRET) };
        let local_accounts = LocalAccounts::Refused;
        let config = AzureConfig { identity, subscription_id: SUBSCRIPTION.into(), local_accounts };
        let connector = AzureConnector::new(config, caller(), Egress::default()).unwrap();
        let (found, _) = collect(&connector, vec![Kind::AzureSubscription]).await;
        assert_eq!(found.len(), 1, "{name}");
    }
    assert_eq!((world.calls("token"), world.calls("machine token")), (2, 1));
}

#[tokio::test]
async fn a_service_that_was_never_switched_on_is_not_applicable_and_nothing_else_is() {
    let world = World::twisted(None, Twist::WithoutArc).await;
    let seen = record(&reader(&world), None).await;
    for (kind, _) in EXPECTED {
        let outcome = seen.listings[&listing(kind)].outcome.as_ref();
        let off = matches!(outcome, Some(Outcome::NotApplicable(why)) if why.starts_with("MissingSubscription"));
        let arc = [Kind::AzureArcCluster, Kind::AzureArcExtension].contains(&kind);
        assert!(if arc { off } else { outcome == Some(&Outcome::Complete) }, "{kind}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_followed() {
    let world = World::twisted(None, Twist::NextPageElsewhere).await;
    let seen = record(&reader(&world), None).await;
    let clusters = &seen.listings[&listing(Kind::AzureAksCluster)];
    let Some(Outcome::Incomplete(error)) = &clusters.outcome else { panic!("{:?}", clusters.outcome) };
    assert_eq!((error.kind, clusters.resources), (ErrorKind::Permanent, 1));
    assert_eq!(world.calls(CLUSTERS), 1);
}

#[tokio::test]
async fn withdrawn_previews_cost_nothing_but_what_only_they_tell() {
    let world = World::twisted(None, Twist::WithoutPreviews).await;
    let seen = record(&reader(&world), None).await;
    for (kind, resources) in EXPECTED {
        let listing = &seen.listings[&listing(kind)];
        assert_eq!((listing.resources, &listing.outcome), (resources, &Some(Outcome::Complete)), "{kind}");
    }
}

#[tokio::test]
async fn a_registry_that_keeps_us_out_hides_no_other() {
    let world = World::twisted(None, Twist::RegistryClosed).await;
    let seen = record(&reader(&world), None).await;
    for (kind, resources) in [(Kind::AzureAcrRepository, 2), (Kind::AzureAcrImage, 4)] {
        let listing = &seen.listings[&listing(kind)];
        let Some(Outcome::Incomplete(error)) = &listing.outcome else { panic!("{:?}", listing.outcome) };
        assert_eq!((error.kind, listing.resources), (ErrorKind::Forbidden, resources), "{kind}");
        assert!(error.remedy.as_ref().unwrap().contains("network rules"));
    }
    assert_eq!(seen.listings[&listing(Kind::AzureAcrRegistry)].resources, REGISTRIES.len());
}

#[tokio::test]
async fn the_preflight_tries_every_permission_and_names_the_missing_one() {
    let missing = "Microsoft.ContainerRegistry/registries/tokens/read";
    let world = World::start(Some((missing, Fault::Forbidden))).await;
    let connector = reader(&world);
    let checks = connector.preflight(&context(Vec::new())).await.unwrap();
    assert_eq!(checks.len(), connector.permissions().len());
    for check in &checks {
        assert_eq!(check.scope, SUBSCRIPTION);
        match (&check.state, check.permission.name.as_str()) {
            (PermissionState::Missing(gap), name) if name == missing => {
                assert!(gap.remedy.contains(missing), "{}", gap.remedy);
                assert_eq!(check.permission.kinds, [Kind::AzureAcrToken]);
            }
            (PermissionState::Granted, name) => assert_ne!(name, missing),
            (state, name) => panic!("{name}: {state:?}"),
        }
    }
    assert_eq!(world.calls(CLUSTERS), 1, "one page is proof enough");
}

#[tokio::test]
async fn an_organisation_is_read_whole_or_not_at_all() {
    let world = World::start(None).await;
    let organization = |world: &World| {
        let identity = identity(&world.url, SECRET);
        AzureOrganization::new(identity, AzureRoot::Tenant, caller(), Egress::default()).unwrap()
    };
    let found = organization(&world).members(&context(Vec::new())).await.unwrap();
    let members: Vec<_> = found.members.iter().map(|one| (one.id.as_str(), one.path.join("/"), one.state)).collect();
    let below = format!("{TENANT}/corp");
    let want = [(SUBSCRIPTION, TENANT.to_owned(), MemberState::Active), (OTHER, below, MemberState::Suspended)];
    assert_eq!(members, want);
    assert!(found.units.iter().all(|unit| unit.kind == Kind::AzureManagementGroup) && found.units.len() == 2);
    for permission in organization(&world).permissions() {
        for fault in [Fault::Forbidden, Fault::ServerError, Fault::Cut, Fault::Throttled] {
            let world = World::start(Some((permission.name.as_str(), fault))).await;
            let result = organization(&world).members(&context(Vec::new())).await;
            let once = permission.name == "Microsoft.Management/managementGroups/read";
            // What is asked once only has no later call that could fail.
            let spared = once && matches!(fault, Fault::ServerError | Fault::Cut);
            assert_eq!(result.is_ok(), spared, "{} × {fault:?}: {result:?}", permission.name);
        }
    }
}

#[tokio::test]
async fn a_scan_ends_when_nobody_takes_its_results() {
    let world = World::start(Some((CLUSTERS, Fault::Hang))).await;
    let connector = reader(&world);
    let (sink, mut events) = Sink::new(1);
    let cx = context(Vec::new());
    let read = async {
        while let Some(event) = events.recv().await {
            if matches!(event, Event::Page { .. }) {
                break;
            }
        }
        drop(events);
    };
    let scan = tokio::time::timeout(Duration::from_secs(10), connector.scan(&cx, &sink));
    assert_eq!(tokio::join!(scan, read).0, Ok(Ok(())), "it neither hangs nor fails");
    assert!(!cx.cancel.is_cancelled(), "it stops itself and nothing else");
}
