//! The conformance suite over the AWS connector, and what is AWS's own about its listings.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod organization;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rampart_connector::conformance::{self, Expected, Fault, Harness, collect, context, record};
use rampart_connector::{
    Caller, Connector, Egress, ErrorKind, Event, Limits, Listing, Outcome, Permission, PermissionState, Sink,
};
use rampart_connector_aws::{AwsAuth, AwsConfig, AwsConnector, Regions, StaticKeys};
use rampart_domain::{Cloud, Kind, Scope};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use world::{ACCOUNT, EXTERNAL_ID, REGIONS, World};

/// Resources per region; children are only in one of the two clusters, images in both repositories.
const PER_REGION: [(Kind, usize); 11] = [
    (Kind::AwsEksCluster, 2),
    (Kind::AwsEksNodegroup, 2),
    (Kind::AwsEksFargateProfile, 2),
    (Kind::AwsEksAddon, 2),
    (Kind::AwsEksAccessEntry, 2),
    (Kind::AwsEksIdentityProviderConfig, 2),
    (Kind::AwsEksPodIdentityAssociation, 2),
    (Kind::AwsEcrRegistry, 1),
    (Kind::AwsEcrRepository, 2),
    (Kind::AwsEcrImage, 4),
    (Kind::AwsLogsLogGroup, 2),
];

fn keys() -> StaticKeys {
    StaticKeys {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "secret".to_owned().into(),
        session_token: None,
    }
}

fn connector(url: &str, regions: Regions) -> AwsConnector {
    connector_as(AwsAuth::Static(keys()), url, regions)
}

fn limits() -> Limits {
    Limits {
        rate: 10_000.0,
        burst: 10_000,
        attempts: 3,
        attempt_timeout: Duration::from_secs(20),
        wait_budget: Duration::from_secs(10),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        max_body: 1 << 16,
        ..Limits::default()
    }
}

fn connector_as(auth: AwsAuth, url: &str, regions: Regions) -> AwsConnector {
    let config =
        AwsConfig { auth, partition: None, regions, endpoint_override: Some(url.parse().unwrap()), base: Some(keys()) };
    AwsConnector::new(config, Caller::new(limits(), CancellationToken::new()), Egress::default()).unwrap()
}

fn listing(region: &str, kind: Kind) -> Listing {
    let scope = Scope::Region { cloud: Cloud::Aws, account: ACCOUNT.into(), region: region.into() };
    Listing { scope, kind }
}

struct Aws;

#[async_trait]
impl Harness for Aws {
    async fn start(&self, broken: Option<(&Permission, Fault)>) -> conformance::World {
        let world = World::start(broken.map(|(permission, fault)| (permission.name.as_str(), fault))).await;
        let connector = Arc::new(connector(&world.url, Regions::Enabled));
        conformance::World { connector, guard: Box::new(world) }
    }

    fn expected(&self) -> Vec<Expected> {
        let of_account = [(Kind::AwsAccount, 1), (Kind::AwsIamRole, 2)];
        let of_account = of_account.map(|(kind, resources)| Expected { listing: listing("global", kind), resources });
        let regional = REGIONS.iter().flat_map(|region| {
            PER_REGION.map(|(kind, resources)| Expected { listing: listing(region, kind), resources })
        });
        of_account.into_iter().chain(regional).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    if let Err(violations) = conformance::run(&Aws).await {
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        panic!("{} broken promises:\n{}", lines.len(), lines.join("\n"));
    }
}

#[tokio::test]
async fn the_permissions_are_exactly_the_calls_of_a_scan() {
    let world = World::start(None).await;
    let connector = connector(&world.url, Regions::Enabled);
    record(&connector, None).await.result.unwrap();
    let named: BTreeSet<_> = connector.permissions().into_iter().map(|permission| permission.name).collect();
    assert_eq!(world.apis(), named);
}

#[tokio::test]
async fn configuration_keeps_what_the_sdk_does_not_know() {
    let world = World::start(None).await;
    let connector = connector(&world.url, Regions::Chosen(vec![REGIONS[0].into(); 2]));
    let (resources, clusters) = collect(&connector, vec![Kind::AwsEksCluster]).await;
    let alpha = resources.iter().find(|resource| resource.name == "alpha").unwrap();
    assert_eq!(alpha.config["newerThanTheSdk"]["kept"], true);
    assert_eq!(alpha.config["createdAt"]["not"], "what the SDK expects", "no typed model may lose a cluster");
    assert_eq!(alpha.labels["team"], "payments");
    assert_eq!(world.calls("eks:ListNodegroups"), 0, "a kind that is not wanted costs nothing");
    assert_eq!((world.calls("account:ListRegions"), world.calls("eks:DescribeCluster")), (0, 2));

    let cluster = clusters.iter().find(|cluster| cluster.name == "alpha").unwrap();
    assert_eq!(cluster.native_id, alpha.native_id);
    let token = cluster.access.token().await.unwrap();
    assert!(token.expires_at.is_some_and(|at| at > chrono::Utc::now() + chrono::Duration::minutes(10)));
    assert!(cluster.access.endpoint().await.unwrap().ca_pem.is_some());
}

#[tokio::test]
async fn roles_come_with_the_documents_of_their_policies() {
    let world = World::start(None).await;
    let connector = connector(&world.url, Regions::Chosen(vec![REGIONS[0].into()]));
    let (roles, _) = collect(&connector, vec![Kind::AwsIamRole]).await;
    assert_eq!(world.calls("iam:GetAccountAuthorizationDetails"), 5, "two pages of policies, three of roles");
    assert_eq!(world.calls("logs:DescribeLogGroups"), 0, "a kind that is not wanted costs nothing");
    let role = roles.iter().find(|role| role.name == "two").unwrap();
    let own = format!("arn:aws:iam::{ACCOUNT}");
    let document = json!({"Statement": [{"Effect": "Allow", "Action": "ecr:*"}]});
    let want = json!({
        "Path": "/team/", "RoleName": "two", "Arn": format!("{own}:role/team/two"), "CreateDate": "2026-01-01T00:00:00Z",
        "AssumeRolePolicyDocument": document,
        "InstanceProfileList": [{"Path": "/team/", "InstanceProfileName": "two", "InstanceProfileId": "AIPAtwo",
            "Arn": format!("{own}:instance-profile/team/two"), "CreateDate": "2026-01-01T00:00:00Z"}],
        "RolePolicyList": [{"PolicyName": "inline", "PolicyDocument": document}],
        "AttachedManagedPolicies": [
            {"PolicyName": "p", "PolicyArn": format!("{own}:policy/push"), "PolicyDocument": document},
            {"PolicyName": "p", "PolicyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"}],
        "Tags": [{"Key": "team", "Value": "payments"}],
    });
    assert_eq!((&role.config, role.labels["team"].as_str()), (&want, "payments"));
}

#[tokio::test]
async fn without_the_region_list_the_default_regions_are_read_and_the_account_says_so() {
    let world = World::start(Some(("account:ListRegions", Fault::Forbidden))).await;
    let seen = record(&connector(&world.url, Regions::Enabled), None).await;
    assert_eq!(seen.result, Ok(()));
    let account = &seen.listings[&listing("global", Kind::AwsAccount)];
    assert_eq!(account.resources, 1);
    let Some(Outcome::Incomplete(error)) = &account.outcome else { panic!("{:?}", account.outcome) };
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.message.contains("17 regions"), "{error}");
    let clusters = seen.listings.iter().filter(|(listing, _)| listing.kind == Kind::AwsEksCluster);
    assert_eq!(clusters.filter(|(_, recorded)| recorded.outcome == Some(Outcome::Complete)).count(), 17);
}

#[tokio::test]
async fn the_preflight_tries_every_permission_once_per_region_and_names_the_missing_one() {
    let world = World::start(Some(("eks:DescribeAddon", Fault::Forbidden))).await;
    let connector = connector(&world.url, Regions::Chosen(REGIONS.map(str::to_owned).to_vec()));
    let checks = connector.preflight(&context(Vec::new())).await.unwrap();
    for region in REGIONS {
        let regional: Vec<_> = checks.iter().filter(|check| check.scope == region).collect();
        assert_eq!(regional.len() + 2, connector.permissions().len(), "all but the account-wide ones");
        for check in regional {
            match (&check.state, check.permission.name.as_str()) {
                (PermissionState::Missing(gap), "eks:DescribeAddon") => {
                    assert!(gap.remedy.contains("eks:DescribeAddon"), "{}", gap.remedy);
                    assert_eq!(check.permission.kinds, [Kind::AwsEksAddon]);
                }
                (PermissionState::Granted, name) => assert_ne!(name, "eks:DescribeAddon"),
                (state, name) => panic!("{name}: {state:?}"),
            }
        }
    }
    assert_eq!(world.calls("eks:DescribeCluster"), 2);
}

#[tokio::test]
async fn a_refused_permission_is_not_asked_for_without_end() {
    let world = World::start(Some(("eks:DescribeCluster", Fault::Forbidden))).await;
    let seen = record(&connector(&world.url, Regions::Chosen(vec![REGIONS[0].into()])), None).await;
    // The authentication mode is unknown then; the provider's own refusal tells that a cluster has no access entries.
    let entries = &seen.listings[&listing(REGIONS[0], Kind::AwsEksAccessEntry)];
    assert_eq!((entries.resources, entries.outcome.as_ref()), (2, Some(&Outcome::Complete)));
    assert_eq!(world.calls("eks:DescribeCluster"), 2, "refusals are not repeated");
}

#[tokio::test]
async fn a_scan_ends_when_nobody_takes_its_results() {
    let world = World::start(Some(("eks:DescribeAddon", Fault::Hang))).await;
    let connector = connector(&world.url, Regions::Enabled);
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

fn as_role(url: &str, external_id: &str) -> AwsConnector {
    let auth = AwsAuth::Role {
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/rampart"),
        external_id: external_id.into(),
        session_name: "rampart".into(),
    };
    connector_as(auth, url, Regions::Chosen(vec![REGIONS[0].into()]))
}

#[tokio::test]
async fn a_role_is_good_only_with_its_external_id() {
    let world = World::start(None).await;
    let role = as_role(&world.url, EXTERNAL_ID);
    let seen = record(&role, None).await;
    assert_eq!(seen.result, Ok(()));
    assert_eq!(seen.listings[&listing(REGIONS[0], Kind::AwsEksCluster)].outcome, Some(Outcome::Complete));
    let checks = role.preflight(&context(Vec::new())).await.unwrap();
    assert_eq!((checks[0].permission.name.as_str(), &checks[0].state), ("sts:AssumeRole", &PermissionState::Granted));

    let stranger = as_role(&world.url, "rampart-0000");
    let error = record(&stranger, None).await.result.unwrap_err();
    assert_eq!((error.kind, error.api.as_str()), (ErrorKind::Forbidden, "sts:AssumeRole"));
    let checks = stranger.preflight(&context(Vec::new())).await.unwrap();
    assert_eq!(checks.len(), stranger.permissions().len() + 1);
    assert!(matches!(checks[0].state, PermissionState::Missing(_)));
    assert!(checks[1..].iter().all(|check| matches!(check.state, PermissionState::Unproven(_))));
}
