//! What a service or a network policy leads to is judged by the outlines of workloads: a change that they do not show
//! judges nobody else again, one that they show does.

use platform_tests::Estate;
use rampart_domain::{Family, Kind, Resource};
use rampart_store::assignment::{self, NewAssignment};
use rampart_store::{AccessScope, initiative};
use serde_json::json;

const LISTED: [Kind; 3] = [Kind::K8sDeployment, Kind::K8sService, Kind::K8sNetworkPolicy];

fn deployment(estate: &Estate, label: &str, image: &str, privileged: bool) -> Resource {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {
            "metadata": {"labels": {"app": label}},
            "spec": {"containers": [{"name": "web", "image": image, "securityContext": {"privileged": privileged}}]},
        }},
    });
    estate.object(Kind::K8sDeployment, object)
}

fn service(estate: &Estate) -> Resource {
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    estate.object(Kind::K8sService, object)
}

fn policy(estate: &Estate) -> Resource {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    });
    estate.object(Kind::K8sNetworkPolicy, object)
}

/// Statuses of what the outlines decide: service without pods, policy without pods, administration interface.
async fn led(estate: &Estate) -> [String; 3] {
    let verdicts = estate.verdicts().await;
    let of = |kind: &str, control: &str| {
        let found = verdicts.iter().find(|(key, _)| key.0.contains(&format!("/{kind}/")) && key.1 == control);
        found.map_or_else(String::new, |(_, status)| status.clone())
    };
    [
        of("Service", "k8s.net.service_without_pods"),
        of("NetworkPolicy", "k8s.net.policy_selects_nothing"),
        of("Service", "k8s.net.sensitive_interface_exposed"),
    ]
}

async fn with_everything() -> Estate {
    let estate = Estate::new().await;
    let choices = json!({"description": "", "controls": [{"id": "k8s.net.*"}, {"id": "k8s.pod.*"}]});
    let mut tx = estate.store.tenant(estate.tenant).await.expect("a transaction");
    initiative::create(&mut tx, "all", "All", &choices).await.expect("an initiative");
    let everywhere = NewAssignment {
        name: "all".to_owned(),
        initiative: "all".to_owned(),
        scope: AccessScope::Tenant,
        params: json!({}),
        excluded_namespaces: Vec::new(),
        enabled: true,
    };
    assignment::create(&mut tx, &everywhere).await.expect("an assignment");
    tx.commit().await.expect("commits");
    for kind in Kind::ALL.iter().filter(|kind| kind.family() == Family::Kubernetes && !LISTED.contains(kind)) {
        estate.list(*kind, Vec::new()).await;
    }
    estate.list(Kind::K8sService, vec![service(&estate)]).await;
    estate.list(Kind::K8sNetworkPolicy, vec![policy(&estate)]).await;
    estate
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_an_outline_shows_judges_others_again() {
    let estate = with_everything().await;
    let put = async |label: &str, image: &str, privileged: bool| {
        estate.list(Kind::K8sDeployment, vec![deployment(&estate, label, image, privileged)]).await;
        let judged = estate.assess().await.judged;
        (judged, led(&estate).await)
    };
    let all_well = ["healthy", "healthy", "healthy"].map(str::to_owned);
    assert_eq!(put("web", "web:1", false).await.1, all_well);

    let (judged, after) = put("web", "web:1", true).await;
    assert_eq!((judged, &after), (1, &all_well), "nobody else sees how its containers run");

    let (judged, after) = put("web", "kubernetesui/dashboard:2", true).await;
    assert!(judged > 1);
    assert_eq!(after, ["healthy", "healthy", "unhealthy"].map(str::to_owned), "the image is seen");

    let (judged, after) = put("shop", "web:1", true).await;
    assert!(judged > 1);
    assert_eq!(after, ["unhealthy", "unhealthy", "healthy"].map(str::to_owned), "the labels are seen");

    assert_eq!(put("web", "web:1", true).await.1, all_well);
    estate.list(Kind::K8sDeployment, Vec::new()).await;
    assert!(estate.assess().await.judged > 0);
    assert_eq!(led(&estate).await[..2], ["unhealthy", "unhealthy"].map(str::to_owned), "what went is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_shows_is_not_forgotten_behind_one_that_does_not() {
    let estate = with_everything().await;
    let put = async |label: &str, privileged: bool| {
        estate.list(Kind::K8sDeployment, vec![deployment(&estate, label, "web:1", privileged)]).await
    };
    put("web", false).await;
    estate.assess().await;
    put("shop", false).await;
    put("shop", true).await;
    estate.assess().await;
    assert_eq!(led(&estate).await[0], "unhealthy");
}
