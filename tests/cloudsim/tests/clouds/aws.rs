//! AWS as clients see it: models, paging, accounts, roles, faults.

use crate::iam_logs::{details_have_the_shape_of_the_model, read_logs};
use crate::support::{Aws, element, simulator};
use chrono::{TimeDelta, Utc};
use cloudsim::models::Model;
use cloudsim::world::{Preset, Subject};
use cloudsim::{Fault, FaultKind, Target};
use serde_json::{Value, json};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-2"];

/// Calls an EKS operation and holds its answer against the model.
async fn eks(aws: &Aws, operation: &str, target: &str) -> Value {
    let (status, answer) = aws.eks(target).await;
    assert_eq!(status, 200, "{target}: {answer}");
    assert_eq!(Model::Eks.check_output(operation, &answer), [] as [String; 0], "{target}");
    answer
}

async fn ecr(aws: &Aws, operation: &str, members: Value) -> Option<Value> {
    assert_eq!(Model::Ecr.check_input(operation, &members), [] as [String; 0], "{operation}");
    let (status, answer) = aws.ecr(operation, &members).await;
    if status == 400 {
        assert!(answer["__type"].as_str().unwrap().ends_with("PolicyNotFoundException"), "{operation}: {answer}");
        return None;
    }
    assert_eq!(status, 200, "{operation}: {answer}");
    assert_eq!(Model::Ecr.check_output(operation, &answer), [] as [String; 0], "{operation} {members}");
    Some(answer)
}

pub(crate) fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Every EKS operation for every cluster of a region.
async fn read_eks(aws: &Aws) -> usize {
    eks(aws, "DescribeClusterVersions", "/cluster-versions").await;
    let (mut clusters, mut token) = (Vec::new(), String::new());
    loop {
        let page = eks(aws, "ListClusters", &format!("/clusters?maxResults=100{token}")).await;
        clusters.extend(strings(&page["clusters"]));
        match page["nextToken"].as_str() {
            Some(next) => token = format!("&nextToken={}", escaped(next)),
            None => break,
        }
    }
    for name in &clusters {
        let base = format!("/clusters/{name}");
        let described = eks(aws, "DescribeCluster", &base).await;
        for (list, describe, path, member) in [
            ("ListNodegroups", "DescribeNodegroup", "node-groups", "nodegroups"),
            ("ListFargateProfiles", "DescribeFargateProfile", "fargate-profiles", "fargateProfileNames"),
            ("ListAddons", "DescribeAddon", "addons", "addons"),
        ] {
            let names = strings(&eks(aws, list, &format!("{base}/{path}")).await[member]);
            for item in names {
                eks(aws, describe, &format!("{base}/{path}/{item}")).await;
            }
        }
        let entries = format!("{base}/access-entries");
        if described["cluster"]["accessConfig"]["authenticationMode"] == "CONFIG_MAP" {
            assert_eq!(aws.eks(&entries).await.0, 400);
        } else {
            for principal in strings(&eks(aws, "ListAccessEntries", &entries).await["accessEntries"]) {
                let path = format!("{entries}/{}", escaped(&principal));
                eks(aws, "DescribeAccessEntry", &path).await;
                eks(aws, "ListAssociatedAccessPolicies", &format!("{path}/access-policies")).await;
            }
        }
        let providers = eks(aws, "ListIdentityProviderConfigs", &format!("{base}/identity-provider-configs")).await;
        for config in providers["identityProviderConfigs"].as_array().unwrap() {
            let body = json!({ "identityProviderConfig": config }).to_string();
            let target = format!("{base}/identity-provider-configs/describe");
            let answer: Value = aws.send("eks", "POST", &target, &[], &body).await.json().await.unwrap();
            assert_eq!(Model::Eks.check_output("DescribeIdentityProviderConfig", &answer), [] as [String; 0]);
        }
        let path = format!("{base}/pod-identity-associations");
        for association in eks(aws, "ListPodIdentityAssociations", &path).await["associations"].as_array().unwrap() {
            let id = association["associationId"].as_str().unwrap();
            eks(aws, "DescribePodIdentityAssociation", &format!("{path}/{id}")).await;
        }
    }
    clusters.len()
}

/// Every ECR operation for every repository of a region.
async fn read_ecr(aws: &Aws) {
    ecr(aws, "GetRegistryScanningConfiguration", json!({})).await.unwrap();
    ecr(aws, "DescribeRegistry", json!({})).await.unwrap();
    assert_eq!(ecr(aws, "GetRegistryPolicy", json!({})).await, None);
    let listed = ecr(aws, "DescribeRepositories", json!({ "maxResults": 1_000 })).await.unwrap();
    for repository in listed["repositories"].as_array().unwrap() {
        let name = json!({ "repositoryName": repository["repositoryName"] });
        ecr(aws, "DescribeImages", name.clone()).await.unwrap();
        ecr(aws, "GetRepositoryPolicy", name.clone()).await;
        ecr(aws, "GetLifecyclePolicy", name.clone()).await;
        ecr(aws, "ListTagsForResource", json!({ "resourceArn": repository["repositoryArn"] })).await.unwrap();
        let names = json!({ "repositoryNames": [repository["repositoryName"], "gone"] });
        ecr(aws, "BatchGetRepositoryScanningConfiguration", names).await.unwrap();
    }
}

async fn every_answer_has_the_shape_of_the_model(preset: Preset) {
    let simulator = simulator(preset).await;
    let mut clusters = 0;
    for account in 0..simulator.accounts().len() {
        for region in REGIONS {
            let aws = Aws::new(&simulator, account, region);
            clusters += read_eks(&aws).await;
            read_ecr(&aws).await;
            read_logs(&aws).await;
        }
        details_have_the_shape_of_the_model(&simulator, account);
    }
    assert_eq!(clusters, simulator.world().clusters().filter(|cluster| cluster.arn().is_some()).count());
    let called = simulator.calls();
    for operation in Model::Ecr.operations() {
        assert!(called.of(&format!("ecr:{operation}")) > 0, "{operation} was never called");
    }
    for operation in Model::Eks.operations() {
        let made = operation != "DescribeFargateProfile" && operation != "DescribeIdentityProviderConfig";
        assert!(!made || called.of(&format!("eks:{operation}")) > 0, "{operation} was never called");
    }
}

#[tokio::test]
async fn demo_answers_have_the_shape_of_the_model() {
    every_answer_has_the_shape_of_the_model(Preset::Demo).await;
}

#[tokio::test]
async fn fleet_answers_have_the_shape_of_the_model() {
    every_answer_has_the_shape_of_the_model(Preset::Clusters500).await;
}

#[tokio::test]
async fn small_worlds_answers_have_the_shape_of_the_model() {
    for preset in [Preset::Pods10k, Preset::Resources100k] {
        let simulator = simulator(preset).await;
        for region in REGIONS {
            read_eks(&Aws::new(&simulator, 0, region)).await;
        }
    }
}

#[test]
fn the_models_refuse_what_they_do_not_know() {
    let check = |answer: Value| Model::Eks.check_output("DescribeCluster", &answer).len();
    assert_eq!(check(json!({ "cluster": { "name": "a", "status": "ACTIVE", "createdAt": 1.5 } })), 0);
    assert_eq!(check(json!({ "cluster": { "colour": "red" } })), 1);
    assert_eq!(check(json!({ "cluster": { "status": "SLEEPING" } })), 1);
    assert_eq!(check(json!({ "cluster": { "createdAt": "2026-01-01T00:00:00Z" } })), 1);
    assert_eq!(check(json!({ "cluster": { "name": null } })), 1);
    let input = Model::Ecr.check_input("DescribeImages", &json!({}));
    assert_eq!(input, ["DescribeImages.repositoryName: required"]);
}

#[tokio::test]
async fn small_pages_cover_everything_once() {
    let simulator = simulator(Preset::Clusters500).await;
    let aws = Aws::new(&simulator, 0, REGIONS[0]);
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let answer = eks(&aws, "ListClusters", &format!("/clusters?maxResults=7{token}")).await;
        let page = strings(&answer["clusters"]);
        assert!(page.len() <= 7);
        seen.extend(page);
        match answer["nextToken"].as_str() {
            Some(next) => token = format!("&nextToken={}", escaped(next)),
            None => break,
        }
    }
    let whole: Vec<String> = simulator
        .world()
        .clusters()
        .filter(|cluster| cluster.region() == Some(REGIONS[0]))
        .map(|cluster| cluster.name.clone())
        .collect();
    assert_eq!(seen, whole);
    assert_eq!(aws.eks("/clusters?nextToken=nonsense").await.0, 400);
}

#[tokio::test]
async fn roles_want_their_external_id() {
    let simulator = simulator(Preset::Demo).await;
    let operator = Aws::with_keys(&simulator, simulator.operator_keys(), "eu-west-1");
    let account = &simulator.accounts()[1];
    let role = account.role_arn.as_str();
    assert_eq!(operator.assume(role, Some("mine")).await, Err("AccessDenied".to_owned()));
    simulator.trust(role, "mine");
    assert_eq!(operator.assume(role, None).await, Err("AccessDenied".to_owned()));
    assert_eq!(operator.assume(role, Some("yours")).await, Err("AccessDenied".to_owned()));
    let keys = operator.assume(role, Some("mine")).await.unwrap();
    assert!(operator.assume(&account.open_role_arn, None).await.is_ok());

    let assumed = Aws::with_keys(&simulator, keys.clone(), "eu-west-1");
    let (_, identity) = assumed.sts("Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!(element(&identity, "Account"), account.id);
    assert_eq!(assumed.eks("/clusters").await.1, json!({ "clusters": ["partner-exchange"] }));
    let first = Aws::new(&simulator, 0, "eu-west-1").eks("/clusters").await.1;
    assert_eq!(first, json!({ "clusters": ["data-staging", "storefront-prod"] }));

    let stolen = cloudsim::Keys { session_token: None, ..keys };
    assert_eq!(Aws::with_keys(&simulator, stolen, "eu-west-1").eks("/clusters").await.0, 403);
    simulator.expire_sessions();
    let refused = assumed.send("eks", "GET", "/clusters", &[], "").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-amzn-errortype"]),
        (403, &"ExpiredTokenException".parse().unwrap())
    );
}

#[tokio::test]
async fn signatures_are_verified() {
    let simulator = simulator(Preset::Demo).await;
    let aws = Aws::new(&simulator, 0, "eu-west-1");
    let unsigned = aws.client.get(format!("{}/clusters", aws.endpoint)).send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    let mut forged = aws.clone();
    forged.keys.secret_access_key.push('x');
    assert_eq!(forged.eks("/clusters").await.0, 403);
    let host = aws.endpoint.trim_start_matches("http://");
    let late =
        aws.keys.sign(("eu-west-1", "eks"), Utc::now() - TimeDelta::minutes(16), host, ("GET", "/clusters", ""), b"");
    let mut request = aws.client.get(format!("{}/clusters", aws.endpoint));
    for (name, value) in late {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn regions_are_listed_by_status() {
    let simulator = simulator(Preset::Demo).await;
    let aws = Aws::new(&simulator, 0, "us-east-1");
    let all: Value = aws.send("account", "POST", "/listRegions", &[], "{}").await.json().await.unwrap();
    assert_eq!(all["Regions"].as_array().unwrap().len(), 7);
    let body = json!({ "RegionOptStatusContains": ["ENABLED", "ENABLED_BY_DEFAULT"] }).to_string();
    let enabled: Value = aws.send("account", "POST", "/listRegions", &[], &body).await.json().await.unwrap();
    let names: Vec<&str> =
        enabled["Regions"].as_array().unwrap().iter().map(|region| region["RegionName"].as_str().unwrap()).collect();
    assert_eq!(names, REGIONS);
}

#[tokio::test]
async fn faults_come_and_go() {
    let simulator = simulator(Preset::Demo).await;
    let aws = Aws::new(&simulator, 0, "eu-west-1");
    let inject =
        |kind, times| simulator.faults().inject(Fault { target: Target::aws("eks", "ListClusters"), kind, times });
    inject(FaultKind::Throttle { retry_after: Some(3) }, Some(1));
    let throttled = aws.send("eks", "GET", "/clusters", &[], "").await;
    assert_eq!(throttled.status(), 429);
    assert_eq!(throttled.headers()["retry-after"], "3");
    assert_eq!(throttled.headers()["x-amzn-errortype"], "ThrottlingException");
    assert_eq!(aws.eks("/clusters").await.0, 200);
    for (kind, status) in [(FaultKind::Forbidden, 403), (FaultKind::Unauthorized, 403), (FaultKind::Status(503), 503)] {
        inject(kind, None);
        assert_eq!(aws.eks("/clusters").await.0, status);
        assert_eq!(aws.eks("/clusters/storefront-prod").await.0, 200, "other operations are not hit");
        simulator.faults().clear();
    }
    inject(FaultKind::HalfPage, Some(1));
    let half = aws.send("eks", "GET", "/clusters", &[], "").await.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&half).is_err());
    inject(FaultKind::CutBody, Some(1));
    assert!(aws.send("eks", "GET", "/clusters", &[], "").await.text().await.is_err());
    inject(FaultKind::RepeatToken, Some(2));
    let first = aws.eks("/clusters").await.1["nextToken"].clone();
    let target = format!("/clusters?nextToken={}", escaped(first.as_str().unwrap()));
    assert_eq!(aws.eks(&target).await.1["nextToken"], first);
    inject(FaultKind::HugeBody(1 << 20), Some(1));
    assert_eq!(aws.send("eks", "GET", "/clusters", &[], "").await.bytes().await.unwrap().len(), 1 << 20);
    let before = std::time::Instant::now();
    inject(FaultKind::Delay(std::time::Duration::from_millis(200)), Some(1));
    assert_eq!(aws.eks("/clusters").await.0, 200);
    assert!(before.elapsed().as_millis() >= 200);
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let simulator = simulator(Preset::Demo).await;
    let aws = Aws::new(&simulator, 0, "eu-west-1");
    let arn = simulator.world().cluster("data-staging").unwrap().arn().unwrap().to_owned();
    simulator.delete(&Subject::Native(arn));
    simulator.delete(&Subject::Native("arn:aws:ecr:eu-west-1:111122223333:repository/golden/base".to_owned()));
    assert_eq!(aws.eks("/clusters").await.1, json!({ "clusters": ["storefront-prod"] }));
    assert_eq!(aws.eks("/clusters/data-staging").await.0, 404);
    let (status, answer) = aws.ecr("DescribeImages", &json!({ "repositoryName": "golden/base" })).await;
    assert_eq!((status, &answer["__type"]), (400, &json!("RepositoryNotFoundException")));
}
