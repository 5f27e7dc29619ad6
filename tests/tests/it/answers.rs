//! What the tables say of the inventory holds: kinds exist, and fields are where the providers' own models have them.

use std::collections::BTreeSet;
use std::path::Path;

use cloudsim::models::Model;
use cloudsim::openapi;
use cloudsim::schemas::Schema;
use rampart_domain::{Family, Kind};
use serde_json::{Value, json};

const TABLES: [&str; 5] = ["cis-aks", "cis-eks", "cis-gke", "defender", "prowler"];
const WAYS: [&str; 4] = ["reads", "unanswerable", "elsewhere", "missing"];

/// Below these, the inventory holds what other calls gave, or texts that it took apart.
const OWN: &[(Kind, &str)] = &[
    (Kind::AwsEcrRepository, "/policy"),
    (Kind::AwsEcrRepository, "/lifecyclePolicy"),
    (Kind::AwsEksAccessEntry, "/associatedAccessPolicies"),
    (Kind::AwsEksAddon, "/configuration"),
    (Kind::AwsIamRole, "/AttachedManagedPolicies/*/PolicyDocument"),
    (Kind::AwsIamRole, "/PermissionsBoundary/PolicyDocument"),
    (Kind::GcpArtifactRegistryRepository, "/iamPolicy"),
];

/// Fields of Azure that are younger than the documents at hand.
const NEWER: &[&str] = &[
    "/properties/azureMonitorProfile",
    "/properties/ingressProfile",
    "/properties/networkProfile/networkDataplane",
    "/properties/oidcIssuerProfile",
    "/properties/publicNetworkAccess",
    "/properties/securityProfile",
    "/properties/encryption",
    "/properties/privateEndpointConnections",
];

fn table(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../libs/content/answers/{name}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// An object with something at the pointer; `*` stands for the first of several.
fn holding(pointer: &str) -> Value {
    let words: Vec<&str> = pointer.split('/').skip(1).collect();
    words
        .into_iter()
        .rev()
        .fold(Value::Null, |inner, word| if word == "*" { json!([inner]) } else { json!({ word: inner }) })
}

/// What the provider's model says against a field of a kind; empty when it has it, or there is no model.
fn unknown(kind: Kind, pointer: &str) -> Vec<String> {
    if OWN.iter().any(|(own, below)| *own == kind && pointer.starts_with(below)) {
        return Vec::new();
    }
    let one = holding(pointer);
    let eks = |operation: &str, field: &str| Model::Eks.check_output(operation, &json!({ field: one }));
    let listed = |schema: &str| openapi::check(schema, &json!({ "value": [one] }));
    let said = match kind {
        Kind::AwsEksCluster => eks("DescribeCluster", "cluster"),
        Kind::AwsEksNodegroup => eks("DescribeNodegroup", "nodegroup"),
        Kind::AwsEksFargateProfile => eks("DescribeFargateProfile", "fargateProfile"),
        Kind::AwsEksAddon => eks("DescribeAddon", "addon"),
        Kind::AwsEksAccessEntry => eks("DescribeAccessEntry", "accessEntry"),
        Kind::AwsEksIdentityProviderConfig => eks("DescribeIdentityProviderConfig", "identityProviderConfig"),
        Kind::AwsEksPodIdentityAssociation => eks("DescribePodIdentityAssociation", "association"),
        Kind::AwsEcrRegistry => Model::Ecr.check_output("GetRegistryScanningConfiguration", &one),
        Kind::AwsEcrRepository => Model::Ecr.check_output("DescribeRepositories", &json!({ "repositories": [one] })),
        Kind::AwsEcrImage => Model::Ecr.check_output("DescribeImages", &json!({ "imageDetails": [one] })),
        Kind::AwsIamRole => {
            Model::Iam.check_output("GetAccountAuthorizationDetails", &json!({ "RoleDetailList": [one] }))
        }
        Kind::AwsLogsLogGroup => Model::Logs.check_output("DescribeLogGroups", &json!({ "logGroups": [one] })),
        Kind::AzureAksCluster | Kind::AzureAcrRegistry if NEWER.iter().any(|below| pointer.starts_with(below)) => {
            Vec::new()
        }
        Kind::AzureAksCluster => listed("aks/ManagedClusterListResult"),
        Kind::AzureAksAgentPool => listed("aks/AgentPoolListResult"),
        Kind::AzureAcrRegistry => listed("acr/RegistryListResult"),
        Kind::GcpGkeCluster => Schema::Container.check("Cluster", &one),
        Kind::GcpGkeNodePool => Schema::Container.check("NodePool", &one),
        Kind::GcpIamPolicy => Schema::ResourceManager.check("Policy", &one),
        Kind::GcpService => Schema::ServiceUsage.check("GoogleApiServiceusageV1Service", &one),
        Kind::GcpComputeSubnetwork => Schema::Compute.check("Subnetwork", &one),
        Kind::GcpComputeFirewall => Schema::Compute.check("Firewall", &one),
        Kind::GcpArtifactRegistryRepository => Schema::ArtifactRegistry.check("Repository", &one),
        _ => Vec::new(),
    };
    // Nothing stands at the end of the pointer, and nothing beside it: only that the way there exists is asked.
    let astray = ["no such member", "no such field", "is not in the document"];
    said.into_iter().filter(|problem| astray.iter().any(|words| problem.contains(words))).collect()
}

#[test]
fn every_item_is_read_somewhere_or_says_why_not() {
    let mut problems = Vec::new();
    let mut fields = 0;
    for name in TABLES {
        let table = table(name);
        let items = table["items"].as_array().expect("a table has items");
        assert!(items.len() > 40 && table["source"].is_string(), "{name}");
        let mut ids = BTreeSet::new();
        for item in items {
            let id = item["id"].as_str().unwrap_or_default();
            let ways: Vec<_> = WAYS.iter().filter(|way| !item[**way].is_null()).collect();
            if id.is_empty() || !ids.insert(id) || ways.len() != 1 {
                problems.push(format!("{name} {item}: needs one id of its own and one of {WAYS:?}"));
            }
            let reads = item["reads"].as_array().map(Vec::as_slice).unwrap_or_default();
            let says = item[*ways.first().copied().unwrap_or(&"reads")].as_str();
            if reads.is_empty() && says.is_none_or(|reason| reason.trim().len() < 10) {
                problems.push(format!("{name} {id}: neither fields nor a reason"));
            }
            for read in reads {
                let (kind, at) = (read["kind"].as_str().unwrap_or_default(), read["at"].as_str().unwrap_or_default());
                let Ok(kind) = kind.parse::<Kind>() else {
                    problems.push(format!("{name} {id}: there is no kind {kind}"));
                    continue;
                };
                if !at.starts_with('/') {
                    problems.push(format!("{name} {id}: {at} is no pointer"));
                }
                fields += usize::from(kind.family() != Family::Kubernetes);
                problems.extend(unknown(kind, at).into_iter().map(|said| format!("{name} {id}: {kind} {at}: {said}")));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(fields > 100, "{fields}");
}

#[test]
fn a_field_that_no_model_has_is_noticed() {
    for (kind, at) in [
        (Kind::AwsEksCluster, "/deletionProtected"),
        (Kind::AwsEcrRepository, "/imageScanningConfiguration/scan"),
        (Kind::AwsIamRole, "/RolePolicyList/*/Document"),
        (Kind::AwsLogsLogGroup, "/retention"),
        (Kind::GcpGkeCluster, "/shieldedNodes/on"),
        (Kind::AzureAksCluster, "/properties/enableRbac"),
    ] {
        assert!(!unknown(kind, at).is_empty(), "{kind} {at}");
    }
}
