//! Kubernetes APIs as clients see them: types, paging, tokens, rights, faults.

use std::collections::HashSet;

use crate::support::{Aws, Kube, simulator};
use chrono::{TimeDelta, Utc};
use cloudsim::world::{Preset, Subject, kinds};
use cloudsim::{Fault, FaultKind, Target};
use serde_json::Value;

/// All pages of a list.
async fn read(kube: &Kube, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut token, mut remaining) = (Vec::new(), String::new(), None);
    loop {
        let (status, list) = kube.get(&format!("{path}?limit={limit}{token}")).await;
        assert_eq!(status, 200, "{list}");
        let page = list["items"].as_array().unwrap();
        assert!(page.len() <= limit);
        if let Some(remaining) = remaining {
            assert!(page.len() as u64 <= remaining);
        }
        items.extend(page.iter().cloned());
        remaining = list["metadata"]["remainingItemCount"].as_u64();
        match list["metadata"]["continue"].as_str() {
            Some(next) => token = format!("&continue={next}"),
            None => return items,
        }
    }
}

#[tokio::test]
async fn pages_cover_everything_once() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let whole = kube.get("/api/v1/pods").await.1;
    assert_eq!(whole["kind"], "PodList");
    assert!(whole["metadata"]["continue"].is_null());
    let paged = read(&kube, "/api/v1/pods", 7).await;
    assert_eq!(Some(&paged), whole["items"].as_array());
    let uids: HashSet<&str> = paged.iter().map(|pod| pod["metadata"]["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), paged.len());
    assert!(paged.iter().all(|pod| pod["kind"].is_null()), "items of a list carry no kind");
    let tooling = read(&kube, "/api/v1/namespaces/tooling/pods", 5).await;
    let expected = paged.iter().filter(|pod| pod["metadata"]["namespace"] == "tooling").count();
    assert_eq!(tooling.len(), expected);
    let (_, selected) = kube.get("/api/v1/pods?fieldSelector=metadata.name%3Ddebug-shell&limit=500").await;
    assert_eq!(selected["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn metadata_can_be_had_alone() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let request = kube.client.get(format!("{}/apis/apiextensions.k8s.io/v1/customresourcedefinitions", kube.url));
    let answer = request.bearer_auth(kube.token.unwrap()).header("accept", accept).send().await.unwrap();
    let list: Value = answer.json().await.unwrap();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"PartialObjectMetadataList".into(), &"meta.k8s.io/v1".into()));
    let items = list["items"].as_array().unwrap();
    assert!(!items.is_empty());
    assert!(items.iter().all(|item| item["spec"].is_null() && item["metadata"]["name"].is_string()));
}

#[tokio::test]
async fn a_list_expires_when_the_world_changes() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let (_, first) = kube.get("/api/v1/pods?limit=2").await;
    let next = first["metadata"]["continue"].as_str().unwrap().to_owned();
    assert_eq!(kube.get(&format!("/api/v1/pods?limit=2&continue={next}")).await.0, 200);
    simulator.mutate(0.5, 1);
    let (status, failure) = kube.get(&format!("/api/v1/pods?limit=2&continue={next}")).await;
    assert_eq!((status, &failure["reason"]), (410, &"Expired".into()));
    assert_eq!(kube.get("/api/v1/pods?limit=2&continue=nonsense").await.0, 400);
}

#[tokio::test]
async fn changes_and_deletions_are_served() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let before = read(&kube, "/apis/apps/v1/deployments", 500).await;
    simulator.mutate(0.3, 9);
    let subject = Subject::Kube {
        cluster: "factory-floor".to_owned(),
        kind: kinds::DEPLOYMENT,
        namespace: Some("vault".to_owned()),
        name: "signer".to_owned(),
    };
    simulator.delete(&subject);
    let after = read(&kube, "/apis/apps/v1/deployments", 500).await;
    assert_eq!(after.len() + 1, before.len());
    let world = simulator.world();
    let announced = world
        .changed_objects(world.cluster("factory-floor").unwrap())
        .filter(|(key, _)| *key == kinds::DEPLOYMENT)
        .count();
    let changed = after.iter().filter(|deployment| !before.contains(deployment)).count();
    assert_eq!(changed, announced);
    assert!(changed * 10 > before.len() && changed * 2 < before.len(), "{changed} of {} changed", before.len());
    assert_eq!(kube.get("/apis/apps/v1/namespaces/vault/deployments/signer").await.0, 404);
    assert!(world.expected().iter().all(|expected| expected.subject != subject));
}

#[tokio::test]
async fn tokens_are_bound_to_cluster_account_and_time() {
    let simulator = simulator(Preset::Demo).await;
    let (region, cluster) = ("us-east-1", "payments-prod");
    let keys = Aws::new(&simulator, 0, region).keys;
    let sts = simulator.aws_endpoint();
    let now = Utc::now();
    let status = async |token: String| Kube::new(&simulator, cluster, Some(token)).get("/api/v1/nodes?limit=1").await.0;
    assert_eq!(status(keys.eks_token(region, &sts, cluster, now, 900)).await, 200);
    assert_eq!(status(keys.eks_token(region, "https://sts.us-east-1.amazonaws.com", cluster, now, 60)).await, 200);
    let refused = [
        ("for another cluster", keys.eks_token(region, &sts, "storefront-prod", now, 900)),
        ("signed too long ago", keys.eks_token(region, &sts, cluster, now - TimeDelta::minutes(16), 900)),
        ("living too long", keys.eks_token(region, &sts, cluster, now, 901)),
        ("for another host", keys.eks_token(region, "https://sts.evil.example", cluster, now, 900)),
        ("of another account", Aws::new(&simulator, 1, region).keys.eks_token(region, &sts, cluster, now, 900)),
        ("without secret", {
            let forged = cloudsim::Keys { secret_access_key: "guess".to_owned(), ..keys.clone() };
            forged.eks_token(region, &sts, cluster, now, 900)
        }),
        ("not a token", "k8s-aws-v1.bm9uc2Vuc2U".to_owned()),
        ("of a cluster on premises", simulator.bearer_token("factory-floor").unwrap()),
    ];
    for (case, token) in refused {
        assert_eq!(status(token).await, 401, "{case}");
    }
    let (status, anonymous) = Kube::new(&simulator, cluster, None).get("/api/v1/nodes").await;
    assert_eq!(status, 403, "{anonymous}");
    assert!(anonymous["message"].as_str().unwrap().contains("system:anonymous"));
    assert_eq!(Kube::new(&simulator, cluster, None).get("/version").await.1["minor"], "30");
}

#[tokio::test]
async fn rights_differ_between_clusters() {
    let simulator = simulator(Preset::Demo).await;
    let shop = Kube::eks(&simulator, "eu-west-1", "storefront-prod");
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles?limit=1";
    assert_eq!(shop.get(roles).await.0, 200);
    assert!(shop.may("list", "", "pods").await && shop.may("list", "rbac.authorization.k8s.io", "roles").await);
    assert!(!shop.may("list", "", "secrets").await && !shop.may("create", "", "pods").await);
    let (status, failure) = shop.get("/api/v1/secrets").await;
    assert_eq!((status, &failure["kind"], &failure["reason"]), (403, &"Status".into(), &"Forbidden".into()));
    assert_eq!(shop.get("/api/v1/configmaps").await.0, 403);

    let payments = Kube::eks(&simulator, "us-east-1", "payments-prod");
    let (status, map) = payments.get("/api/v1/namespaces/kube-system/configmaps/aws-auth").await;
    assert_eq!((status, &map["kind"], &map["apiVersion"]), (200, &"ConfigMap".into(), &"v1".into()));
    assert!(map["data"]["mapRoles"].as_str().unwrap().contains("role/RampartReader"));

    let staging = Kube::eks(&simulator, "eu-west-1", "data-staging");
    assert_eq!((staging.get(roles).await.0, staging.get("/api/v1/pods?limit=1").await.0), (403, 200));
    assert!(!staging.may("list", "rbac.authorization.k8s.io", "roles").await);
    let unmapped = Kube::eks(&simulator, "ap-southeast-2", "analytics");
    assert_eq!(unmapped.get("/api/v1/pods").await.0, 401);
    assert!(Kube::eks(&simulator, "us-east-1", "vaulted").send("/version").await.is_err());
}

#[tokio::test]
async fn apis_are_discovered_where_installed() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let (_, groups) = kube.get("/apis").await;
    let names: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"crd.projectcalico.org") && !names.contains(&"cilium.io"), "{names:?}");
    let (_, core) = kube.get("/api/v1").await;
    assert!(core["resources"].as_array().unwrap().iter().any(|resource| resource["name"] == "pods"));
    assert_eq!(kube.get("/apis/cilium.io/v2").await.0, 404);
    assert_eq!(kube.get("/apis/cilium.io/v2/ciliumnetworkpolicies").await.0, 404);
    assert_eq!(kube.get("/apis/crd.projectcalico.org/v1/globalnetworkpolicies").await.0, 200);
}

#[tokio::test]
async fn faults_hit_paths() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let inject = |kind, times| {
        simulator.faults().inject(Fault { target: Target::kube("factory-floor", "/api/v1/pods"), kind, times });
    };
    inject(FaultKind::Throttle { retry_after: Some(1) }, Some(1));
    let throttled = kube.send("/api/v1/pods").await.unwrap();
    assert_eq!((throttled.status().as_u16(), &throttled.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    for (kind, status) in [(FaultKind::Forbidden, 403), (FaultKind::Unauthorized, 401), (FaultKind::Status(500), 500)] {
        inject(kind, Some(1));
        let (answered, failure) = kube.get("/api/v1/pods").await;
        assert_eq!((answered, &failure["kind"]), (status, &"Status".into()));
    }
    inject(FaultKind::ExpiredToken, Some(1));
    let (_, first) = kube.get("/api/v1/pods?limit=2").await;
    let next = format!("/api/v1/pods?limit=2&continue={}", first["metadata"]["continue"].as_str().unwrap());
    assert_eq!(kube.get(&next).await.0, 410);
    assert_eq!(kube.get(&next).await.0, 200);
    inject(FaultKind::CutBody, Some(1));
    assert!(kube.send("/api/v1/pods").await.unwrap().bytes().await.is_err());
    inject(FaultKind::HalfPage, Some(1));
    assert!(serde_json::from_str::<Value>(&kube.send("/api/v1/pods").await.unwrap().text().await.unwrap()).is_err());
    inject(FaultKind::RepeatToken, Some(2));
    let repeated = kube.get(&next).await.1["metadata"]["continue"].clone();
    assert_eq!(repeated, first["metadata"]["continue"]);
    simulator.faults().clear();
    inject(FaultKind::HugeObject(3 << 20), Some(1));
    let (_, huge) = kube.get("/api/v1/pods?limit=3").await;
    assert!(huge["items"][0]["metadata"]["annotations"]["padding"].as_str().unwrap().len() == 3 << 20);
    assert_eq!(huge["items"].as_array().unwrap().len(), 3);
    assert!(simulator.calls().of("factory-floor GET /api/v1/pods") > 8);
}

#[tokio::test]
async fn a_fleet_shares_one_listener() {
    let simulator = simulator(Preset::Clusters500).await;
    let world = simulator.world();
    let cluster = world.clusters().nth(499).unwrap();
    let kube = Kube::eks(&simulator, cluster.region().unwrap(), &cluster.name);
    assert!(kube.url.ends_with(&format!("/c/{}", cluster.name)));
    assert_eq!(read(&kube, "/api/v1/nodes", 500).await.len(), 2);
    let other = Kube { url: simulator.cluster_url("fleet-000").unwrap(), ..kube };
    assert_eq!(other.get("/api/v1/nodes").await.0, 401);
}

#[tokio::test]
async fn heartbeats_go_on_between_two_reads() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let (first, second) = (read(&kube, "/api/v1/nodes", 500).await, read(&kube, "/api/v1/nodes", 500).await);
    assert!(
        first.iter().zip(&second).all(|(a, b)| a["metadata"]["resourceVersion"] != b["metadata"]["resourceVersion"])
    );
    let (first, second) = (read(&kube, "/api/v1/pods", 500).await, read(&kube, "/api/v1/pods", 500).await);
    assert_eq!(first, second);
}

#[tokio::test]
async fn it_stops_when_told() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    assert_eq!(kube.get("/version").await.0, 200);
    simulator.shutdown().await.unwrap();
    assert!(kube.send("/version").await.is_err());
}

/// The lines of a watch until it ends.
async fn lines(answer: reqwest::Response) -> Vec<Value> {
    let text = answer.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn watch(kube: &Kube, from: &str) -> reqwest::Response {
    let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={from}");
    let request = kube.client.get(format!("{}/apis/apps/v1/deployments?{query}", kube.url));
    request.bearer_auth(kube.token.as_ref().unwrap()).send().await.unwrap()
}

#[tokio::test]
async fn a_watch_tells_what_changed_after_a_list_and_in_which_order() {
    let simulator = simulator(Preset::Demo).await;
    simulator.set_bookmarks(std::time::Duration::from_millis(300));
    let kube = Kube::on_premises(&simulator);
    let (_, list) = kube.get("/apis/apps/v1/deployments").await;
    let from = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let metadata = &list["items"][0]["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap().to_owned();
    let subject = Subject::Kube {
        cluster: "factory-floor".to_owned(),
        kind: kinds::DEPLOYMENT,
        namespace: Some(text("namespace")),
        name: text("name"),
    };
    assert!(simulator.patch(&subject, &serde_json::json!({ "spec": { "replicas": 7 } })));
    let before = simulator.object(&subject).unwrap();
    simulator.delete(&subject);
    let mut again = before.clone();
    again["metadata"]["uid"] = Value::from("another");
    simulator.put("factory-floor", kinds::DEPLOYMENT, again);

    let told = lines(watch(&kube, &from).await).await;
    let sorts: Vec<&str> = told.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(sorts[..4], ["MODIFIED", "DELETED", "ADDED", "BOOKMARK"], "{told:?}");
    assert_eq!(told[0]["object"]["spec"]["replicas"], 7);
    assert_eq!(
        (&told[1]["object"]["metadata"]["uid"], &told[2]["object"]["metadata"]["uid"]),
        (&metadata["uid"], &"another".into())
    );
    let version =
        |line: &Value| line["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(version(&told[0]) > from.parse().unwrap());
    assert!(told[..4].windows(2).all(|pair| version(&pair[0]) < version(&pair[1])), "{told:?}");
    let (_, list) = kube.get("/apis/apps/v1/deployments").await;
    assert!(list["items"].as_array().unwrap().iter().any(|item| item["metadata"]["uid"] == "another"));
    let resumed = lines(watch(&kube, &version(&told[1]).to_string()).await).await;
    assert_eq!(resumed[0], told[2], "a watch goes on where another ended");

    simulator.compact("factory-floor");
    let refused = watch(&kube, &from).await;
    assert_eq!(refused.status(), 410);
    assert_eq!(refused.json::<Value>().await.unwrap()["reason"], "Expired");
}

#[tokio::test]
async fn an_open_watch_is_told_of_a_round_of_changes_and_of_its_end() {
    let simulator = simulator(Preset::Demo).await;
    let kube = Kube::on_premises(&simulator);
    let (_, list) = kube.get("/apis/apps/v1/deployments").await;
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    let open = watch(&kube, from).await;
    simulator.mutate(1.0, 3);
    let told = lines(open).await;
    assert_eq!(told.len(), list["items"].as_array().unwrap().len(), "every deployment changed");
    let open = watch(&kube, from).await;
    simulator.compact("factory-floor");
    let told = lines(open).await;
    assert_eq!(told.last().unwrap()["object"]["code"], 410, "{told:?}");
}
