//! The same chart in several clusters is one unit, however its releases are called, and follows what happens to them.

use std::collections::{BTreeMap, BTreeSet};

use platform_tests::{Estate, Platform};
use rampart_domain::{FixUnitId, Kind, Resource, SourceType};
use rampart_store::Visible;
use rampart_store::fix_unit::{self, Filter, FixUnit, Sort};
use rampart_store::page::Page;
use serde_json::{Value, json};

/// The controller of a release of ingress-nginx.
fn controller(estate: &Estate, release: &str, version: &str, edit: impl FnOnce(&mut Value)) -> Resource {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": format!("{release}-ingress-nginx-controller"), "namespace": "ingress",
            "labels": {"helm.sh/chart": format!("ingress-nginx-{version}"), "app.kubernetes.io/managed-by": "Helm",
                "app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/instance": release},
            "annotations": {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "ingress"},
        },
        "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "ingress"}}, "spec": {
            "serviceAccountName": "ingress",
            "containers": [{"name": "controller", "image": "registry.example/controller:1.13.3",
                "securityContext": {"privileged": true}}],
        }}},
    });
    edit(&mut object);
    estate.object(Kind::K8sDeployment, object)
}

fn everything() -> Visible {
    Visible { all: true, ..Visible::default() }
}

async fn units(estate: &Estate) -> Vec<FixUnit> {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let page = Page::first(100);
    fix_unit::list(&mut tx, &everything(), &Filter::default(), Sort::Findings, &page).await.unwrap().items
}

/// Clusters by version.
async fn versions(estate: &Estate, unit: FixUnitId) -> BTreeMap<String, i64> {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let rows = fix_unit::versions(&mut tx, &everything(), &[unit.0], 10).await.unwrap();
    rows.into_iter().map(|row| (row.version, row.clusters)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_one_unit_across_clusters_and_follows_its_releases() {
    let first = Estate::new().await;
    let mut estates = vec![];
    for name in ["b", "c", "d"] {
        estates.push(first.another_cluster(name).await);
    }
    estates.insert(0, first);
    let same = |_: &mut Value| {};
    for (index, estate) in estates.iter().enumerate() {
        let release = format!("edge-{index}");
        let shell = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shell", "namespace": "a"},
            "spec": {"template": {"spec": {"containers": [{"name": "shell", "image": "busybox:1.36"}]}}}});
        let made = match index {
            3 => controller(estate, &release, "4.12.1", |object| {
                object["spec"]["template"]["spec"]["hostNetwork"] = true.into();
            }),
            _ => controller(estate, &release, "4.13.3", same),
        };
        estate.list(Kind::K8sDeployment, vec![made, estate.object(Kind::K8sDeployment, shell)]).await;
        estate.assess().await;
    }
    let home = &estates[0];
    let chart = FixUnitId::derive(home.tenant, SourceType::HelmChart, "ingress-nginx");
    let found = units(home).await;
    let names: Vec<&str> = found.iter().map(|unit| unit.source_name.as_str()).collect();
    assert!(names.contains(&"ingress-nginx") && names.contains(&"Deployment shell") && names.len() == 2, "{names:?}");
    for unit in &found {
        assert_eq!((unit.clusters, unit.resources), (4, 4), "{unit:?}");
        assert_eq!(unit.by_severity.iter().sum::<i64>(), unit.findings);
    }
    let of_chart = found.iter().find(|unit| unit.fix_unit_id == chart.0).unwrap().findings;
    assert_eq!(versions(home, chart).await, [("4.12.1".into(), 1), ("4.13.3".into(), 3)].into());

    let mut tx = home.store.tenant(home.tenant).await.unwrap();
    let outliers = fix_unit::outliers(&mut tx, &everything(), chart, &Page::first(10)).await.unwrap().items;
    let [outlier] = outliers.as_slice() else { panic!("{outliers:?}") };
    assert_eq!(outlier.cluster_id, Some(estates[3].cluster.id.0));
    assert_eq!((outlier.part.as_str(), outlier.instance.as_deref()), ("controller", Some("edge-3")));
    let typical = outlier.typical_controls.as_ref().unwrap();
    assert!(typical.contains(&"k8s.pod.privileged".to_owned()));
    assert!(!typical.contains(&"k8s.pod.host_network".to_owned()));
    assert!(outlier.controls.contains(&"k8s.pod.host_network".to_owned()) && outlier.configuration_differs);
    drop(tx);

    // One more cluster moves on; another one loses its release.
    let next = controller(&estates[1], "edge-1", "4.14.0", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = false.into();
    });
    estates[1].list(Kind::K8sDeployment, vec![next]).await;
    estates[1].assess().await;
    estates[2].list(Kind::K8sDeployment, vec![]).await;
    estates[2].assess().await;
    let expected = [("4.12.1", 1), ("4.13.3", 1), ("4.14.0", 1)].map(|(version, count)| (version.to_owned(), count));
    assert_eq!(versions(home, chart).await, expected.into());
    let found = units(home).await;
    let unit = found.iter().find(|unit| unit.fix_unit_id == chart.0).unwrap();
    assert_eq!(unit.clusters, 3);
    assert!(unit.findings < of_chart);
    let shell = found.iter().find(|unit| unit.source_type == "manifest").unwrap();
    assert_eq!(shell.clusters, 2, "in one cluster it was removed, in another listed no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_the_rules_gets_its_source_with_the_next_assessment() {
    let estate = Estate::new().await;
    estate.list(Kind::K8sDeployment, vec![controller(&estate, "edge", "4.13.3", |_| {})]).await;
    estate.assess().await;
    assert_eq!(units(&estate).await.len(), 1);
    estate.database.run("delete from resource_sources").await;
    assert_eq!(estate.assess().await.judged, 0);
    assert!(units(&estate).await.is_empty(), "nothing changed, and the rules are the same");
    estate.database.run("update assessments set source_rules = 0").await;
    assert_eq!(estate.assess().await.judged, 0, "only sources are derived");
    assert_eq!(units(&estate).await[0].source_name, "ingress-nginx");
    // Rules that changed replace what is there.
    estate.database.run("update assessments set source_rules = -1; update resource_sources set part = 'x'").await;
    estate.assess().await;
    let chart = FixUnitId::derive(estate.tenant, SourceType::HelmChart, "ingress-nginx");
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let places = fix_unit::instances(&mut tx, &everything(), chart, 10).await.unwrap();
    assert_eq!((places[0].instance.as_deref(), places[0].resources), (Some("edge"), 1));
    let renamed = estate.object(Kind::K8sDeployment, json!({"kind": "Deployment", "metadata": {"name": "own"}}));
    drop(tx);
    estate.list(Kind::K8sDeployment, vec![renamed]).await;
    estate.assess().await;
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let gone = fix_unit::known(&mut tx, &everything(), chart).await;
    assert!(matches!(gone, Err(rampart_store::StoreError::NotFound { .. })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_estate_shows_sources_of_every_type() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, "factory-floor", "factory-floor").await;
    client.onboard_account(&platform.simulator, "main", &platform.simulator.accounts()[0].id).await;
    platform.scan(&client, &["factory-floor", "main"]).await;
    let units = client.list("/v1/fix-units").await;
    for source_type in SourceType::ALL.iter().filter(|word| **word != SourceType::Operator) {
        assert!(units.iter().any(|unit| unit["type"] == source_type.as_str()), "{source_type}");
    }
    let of = |name: &str| units.iter().find(|unit| unit["name"] == name).unwrap_or_else(|| panic!("no unit {name}"));
    // Every cluster has an application of Argo CD of its own; the chart is one.
    let rollouts = client.get(&format!("/v1/fix-units/{}", of("argo-rollouts")["id"].as_str().unwrap())).await;
    let applications: BTreeSet<&str> =
        rollouts["instances"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(applications.len() > 1, "{applications:?}");
    let id = of("ingress-nginx")["id"].as_str().unwrap();
    let findings = client.list(&format!("/v1/findings?fix_unit={id}")).await;
    assert_eq!(json!(findings.len()), of("ingress-nginx")["findings"]);
}
