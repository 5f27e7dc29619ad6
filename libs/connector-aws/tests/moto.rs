//! The connector against moto, an AWS that others wrote: two accounts, three regions.
//!
//! Moto is found through `RAMPART_MOTO_URL`, else started from the program that `RAMPART_TEST_MOTO` names, else `moto_server` on the path. Without either the test says so
//! and passes, unless `RAMPART_REQUIRE_CONTRACT=1`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod estate;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use rampart_connector::{
    Caller, Connector, Egress, ErrorKind, Event, Listing, Outcome, PermissionState, ScanContext, Sink,
};
use rampart_connector_aws::{AwsAuth, AwsConfig, AwsConnector, Regions, StaticKeys, default_limits};
use rampart_domain::{Kind, NativeId, Resource, Scope};
use secrecy::ExposeSecret;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

const REGIONS: [&str; 3] = ["ap-southeast-2", "eu-west-1", "us-east-1"];
/// Moto's account for keys that it did not hand out itself.
const FIRST: &str = "123456789012";
const SECOND: &str = "999900001111";

/// A running moto; `None` inside when it was started by somebody else.
struct Moto {
    url: String,
    _process: Option<Child>,
}

impl Moto {
    async fn find() -> Option<Self> {
        if let Ok(url) = std::env::var("RAMPART_MOTO_URL") {
            return Some(Self { url, _process: None });
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = std::env::var_os("RAMPART_TEST_MOTO").unwrap_or_else(|| "moto_server".into());
        let started = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) => {
                let why = format!("moto_server cannot be started: {error}");
                assert!(std::env::var("RAMPART_REQUIRE_CONTRACT").as_deref() != Ok("1"), "{why}");
                eprintln!("skipped: {why}; install moto[server] or set RAMPART_MOTO_URL");
                return None;
            }
        };
        for _ in 0..300 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(Self { url: format!("http://127.0.0.1:{port}"), _process: Some(process) });
            }
            assert_eq!(process.try_wait().unwrap(), None, "moto_server ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto_server does not listen after 30 s");
    }

    fn sdk(&self, region: &str, keys: &StaticKeys) -> SdkConfig {
        let token = keys.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let secret = keys.secret_access_key.expose_secret();
        let keys = Credentials::new(&keys.access_key_id, secret, token, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .endpoint_url(&self.url)
            .build()
    }

    /// Keys of the second account, had the way the connector has them.
    async fn assume(&self, role_arn: &str) -> StaticKeys {
        let sts = aws_sdk_sts::Client::new(&self.sdk(REGIONS[0], &first_keys()));
        let answer = sts.assume_role().role_arn(role_arn).role_session_name("estate").send().await.unwrap();
        let keys = answer.credentials.unwrap();
        StaticKeys {
            access_key_id: keys.access_key_id,
            secret_access_key: keys.secret_access_key.into(),
            session_token: Some(keys.session_token.into()),
        }
    }

    fn connector(&self, auth: AwsAuth) -> AwsConnector {
        let config = AwsConfig {
            auth,
            partition: None,
            regions: Regions::Chosen(REGIONS.map(str::to_owned).to_vec()),
            endpoint_override: Some(self.url.parse().unwrap()),
            base: Some(first_keys()),
        };
        AwsConnector::new(config, Caller::new(default_limits(), CancellationToken::new()), Egress::default()).unwrap()
    }
}

fn first_keys() -> StaticKeys {
    StaticKeys { access_key_id: "AKIAFIRST".into(), secret_access_key: "secret".to_owned().into(), session_token: None }
}

fn context() -> ScanContext {
    ScanContext { cancel: CancellationToken::new(), kinds: Vec::new(), started_at: chrono::DateTime::UNIX_EPOCH }
}

/// What a scan found, by kind and region.
#[derive(Default)]
struct Found {
    resources: BTreeMap<NativeId, Resource>,
    outcomes: BTreeMap<(String, Kind), Outcome>,
    clusters: BTreeSet<NativeId>,
}

impl Found {
    async fn by(connector: &AwsConnector, account: &str) -> Self {
        let (sink, mut events) = Sink::new(16);
        let cx = context();
        let scan = async {
            let result = connector.scan(&cx, &sink).await;
            drop(sink);
            result
        };
        let mut found = Self::default();
        let read = async {
            while let Some(event) = events.recv().await {
                found.take(event, account);
            }
        };
        tokio::join!(scan, read).0.unwrap();
        found
    }

    fn take(&mut self, event: Event, account: &str) {
        match event {
            Event::Page { resources, .. } => {
                self.resources.extend(resources.into_iter().map(|resource| (resource.native_id.clone(), resource)));
            }
            Event::Finished { listing: Listing { scope, kind }, outcome } => {
                let Scope::Region { account: of, region, .. } = scope else { panic!("{scope:?}") };
                assert_eq!(of, account);
                self.outcomes.insert((region, kind), outcome);
            }
            Event::Cluster(cluster) => assert!(self.clusters.insert(cluster.native_id)),
            Event::Planned { .. } | Event::Started { .. } => {}
        }
    }

    fn names(&self, region: &str, kind: Kind) -> Vec<&str> {
        let resources = self.resources.values();
        let here = resources.filter(|resource| resource.kind == kind && resource.region.as_deref() == Some(region));
        here.map(|resource| resource.name.as_str()).collect()
    }

    fn one(&self, region: &str, kind: Kind, name: &str) -> &Resource {
        let mut resources = self.resources.values();
        let is_it = |resource: &&Resource| {
            resource.kind == kind && resource.region.as_deref() == Some(region) && resource.name == name
        };
        resources.find(is_it).unwrap_or_else(|| panic!("{kind} {name} in {region}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accounts_and_three_regions() {
    let Some(moto) = Moto::find().await else { return };
    let role_arn = format!("arn:aws:iam::{SECOND}:role/rampart");
    let second_keys = moto.assume(&role_arn).await;
    for region in REGIONS {
        estate::build(&moto.sdk(region, &first_keys()), &["blue", "green"]).await;
    }
    estate::build(&moto.sdk(REGIONS[1], &second_keys), &["other"]).await;
    estate::build_role(&moto.sdk(REGIONS[0], &first_keys())).await;

    let first = Found::by(&moto.connector(AwsAuth::Static(first_keys())), FIRST).await;
    for region in REGIONS {
        everything_moto_has(&first, region, &["blue", "green"]);
    }
    assert_eq!(first.clusters.len(), 6);
    the_role_is_whole(&first);

    let role = AwsAuth::Role { role_arn, external_id: "rampart-4711".into(), session_name: "rampart".into() };
    let connector = moto.connector(role);
    let second = Found::by(&connector, SECOND).await;
    everything_moto_has(&second, REGIONS[1], &["other"]);
    assert!(second.resources.keys().all(|id| !id.as_str().contains(FIRST)), "accounts do not mix");
    assert!(first.resources.keys().all(|id| !id.as_str().contains(SECOND)), "accounts do not mix");
    for region in [REGIONS[0], REGIONS[2]] {
        assert_eq!(second.names(region, Kind::AwsEksCluster), Vec::<&str>::new());
        assert_eq!(second.outcomes[&(region.to_owned(), Kind::AwsEksCluster)], Outcome::Complete);
    }
    the_missing_external_id_is_told(&connector).await;
}

fn everything_moto_has(found: &Found, region: &str, clusters: &[&str]) {
    let outcome = |kind| &found.outcomes[&(region.to_owned(), kind)];
    for kind in [
        Kind::AwsEksCluster,
        Kind::AwsEksNodegroup,
        Kind::AwsEksFargateProfile,
        Kind::AwsEcrRegistry,
        Kind::AwsEcrRepository,
        Kind::AwsEcrImage,
        Kind::AwsLogsLogGroup,
    ] {
        assert_eq!(outcome(kind), &Outcome::Complete, "{kind} in {region}");
    }
    // Moto does not have these APIs: each says so for itself, and nothing stored before is taken for gone.
    for kind in [
        Kind::AwsEksAddon,
        Kind::AwsEksAccessEntry,
        Kind::AwsEksIdentityProviderConfig,
        Kind::AwsEksPodIdentityAssociation,
    ] {
        let Outcome::Incomplete(error) = outcome(kind) else { panic!("{kind}: {:?}", outcome(kind)) };
        assert_eq!(error.kind, ErrorKind::Unsupported, "{kind}: {error}");
        assert!(error.api.starts_with("eks:List"), "{error}");
    }

    assert_eq!(found.names(region, Kind::AwsEksCluster), clusters);
    assert_eq!(found.names(region, Kind::AwsEksNodegroup).len(), clusters.len());
    assert_eq!(found.names(region, Kind::AwsEksFargateProfile).len(), clusters.len());
    let cluster = found.one(region, Kind::AwsEksCluster, clusters[0]);
    assert_eq!(cluster.config["resourcesVpcConfig"]["endpointPublicAccess"], true);
    assert_eq!(cluster.labels["team"], "payments");
    let nodegroup = found.one(region, Kind::AwsEksNodegroup, &format!("{}-nodes", clusters[0]));
    assert_eq!(nodegroup.cluster.as_ref(), Some(&cluster.native_id));

    let groups: Vec<_> = clusters.iter().map(|cluster| format!("/aws/eks/{cluster}/cluster")).collect();
    assert_eq!(found.names(region, Kind::AwsLogsLogGroup), groups);
    assert_eq!(found.one(region, Kind::AwsLogsLogGroup, &groups[0]).config["retentionInDays"], 30);

    let public = found.one(region, Kind::AwsEcrRepository, "team/public");
    assert_eq!(public.config["policy"]["Statement"][0]["Principal"], "*");
    assert_eq!(public.config["imageTagMutability"], "IMMUTABLE");
    assert_eq!(public.config["lifecyclePolicy"]["rules"][0]["rulePriority"], 1);
    let plain = found.one(region, Kind::AwsEcrRepository, "plain");
    assert_eq!(plain.config.get("policyText"), None);
    let images = found.names(region, Kind::AwsEcrImage);
    assert_eq!(images, ["plain:v1", "plain:v2"]);
    let image = found.one(region, Kind::AwsEcrImage, "plain:v1");
    assert_eq!(image.owner.as_ref(), Some(&plain.native_id));
    assert!(image.config["imagePushedAt"].is_number());
    let registry =
        found.resources.values().find(|r| r.kind == Kind::AwsEcrRegistry && r.region.as_deref() == Some(region));
    let scanning = &registry.unwrap().config["scanningConfiguration"];
    assert_eq!((&scanning["scanType"], scanning["rules"].as_array().unwrap().len()), (&"ENHANCED".into(), 1));
}

fn the_role_is_whole(found: &Found) {
    assert_eq!(found.outcomes[&("global".to_owned(), Kind::AwsIamRole)], Outcome::Complete);
    let roles: Vec<_> = found.resources.values().filter(|resource| resource.kind == Kind::AwsIamRole).collect();
    assert_eq!(roles.len(), 1, "{roles:?}");
    let (role, config) = (roles[0], &roles[0].config);
    assert_eq!((role.native_id.as_str(), role.region.as_ref()), ("arn:aws:iam::123456789012:role/eks/nodes", None));
    assert_eq!(config["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"], "ec2.amazonaws.com");
    assert_eq!(config["RolePolicyList"][0]["PolicyDocument"]["Statement"][0]["Action"], "s3:GetObject");
    let attached = &config["AttachedManagedPolicies"];
    assert_eq!(attached[0]["PolicyArn"], "arn:aws:iam::123456789012:policy/push");
    assert_eq!(attached[0]["PolicyDocument"]["Statement"][0]["Action"], "ecr:Put*", "the default version");
}

/// Moto lets anybody assume any role: just what the preflight must not let pass.
async fn the_missing_external_id_is_told(connector: &AwsConnector) {
    let checks = connector.preflight(&context()).await.unwrap();
    let role = checks.iter().find(|check| check.permission.name == "sts:AssumeRole").unwrap();
    let PermissionState::Missing(gap) = &role.state else { panic!("{:?}", role.state) };
    assert!(gap.message.contains("without the external id"), "{}", gap.message);
    assert!(gap.remedy.contains("sts:ExternalId"));
    let state = |name: &str, region: &str| {
        let check = checks.iter().find(|check| check.permission.name == name && check.scope == region);
        &check.unwrap_or_else(|| panic!("{name} in {region}")).state
    };
    assert_eq!(state("eks:DescribeNodegroup", REGIONS[1]), &PermissionState::Granted);
    assert!(matches!(state("eks:ListAddons", REGIONS[1]), PermissionState::Unproven(_)));
    assert!(matches!(state("eks:DescribeCluster", REGIONS[0]), PermissionState::Unproven(_)), "no cluster there");
}
