use serde_json::{Value, json};

use super::delivery::Delivery;
use super::pod::{self, App, Placement, Style};
use super::{images, node};
use crate::world::draft::{Draft, Object, Owner};
use crate::world::kinds;
use crate::world::plan::{Cluster, Space};

/// What runs the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Deployment,
    StatefulSet,
    DaemonSet,
    CronJob,
    Rollout,
}

/// A workload with all that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Workload<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) controller: Controller,
    pub(crate) app: App<'a>,
    pub(crate) spec: Value,
    /// Pods that run.
    pub(crate) replicas: u64,
    /// Replica sets of earlier revisions, at zero.
    pub(crate) revisions: u64,
    pub(crate) service: bool,
}

/// The `index`th workload of a namespace.
pub(crate) fn of_team(cluster: &Cluster, space: &Space, index: u64) -> Vec<Object> {
    let seed = cluster.seed.child("workload").child(&space.name).nth(index);
    let component = (index % images::COMPONENTS.len() as u64) as usize;
    let name = name(component, index / images::COMPONENTS.len() as u64);
    let style = match seed.child("style").below(100) {
        0..15 => Style::Hardened,
        15..75 => Style::Typical,
        _ => Style::Sloppy,
    };
    let mix = &cluster.mix;
    let controller = match seed.child("controller").below(100) {
        roll if roll < mix.cron_jobs => Controller::CronJob,
        roll if roll < mix.cron_jobs + mix.stateful_sets => Controller::StatefulSet,
        roll if roll < mix.cron_jobs + mix.stateful_sets + mix.daemon_sets => Controller::DaemonSet,
        roll if roll < mix.cron_jobs + mix.stateful_sets + mix.daemon_sets + mix.rollouts => Controller::Rollout,
        _ => Controller::Deployment,
    };
    let app = App {
        seed,
        name: &name,
        team: &space.team,
        style,
        image: images::for_component(cluster.world, &cluster.registry, &space.team, component, seed.child("image")),
        service_account: if style == Style::Sloppy { "default".to_owned() } else { name.clone() },
    };
    let spec = pod::spec(&app);
    let replicas = mix.replicas.0 + seed.child("replicas").below(mix.replicas.1 - mix.replicas.0 + 1);
    let service = controller != Controller::CronJob && seed.child("service").chance(mix.services);
    let workload =
        Workload { namespace: &space.name, controller, app, spec, replicas, revisions: mix.revisions, service };
    let mut objects = objects(cluster, &workload);
    // Teams deliver in their own ways; some by hand.
    match space.team.as_str() {
        "payments" => Delivery::Argo { application: &space.team }.mark(&mut objects),
        "data" => Delivery::FluxKustomization { name: &space.team }.mark(&mut objects),
        _ => {}
    }
    objects
}

fn name(component: usize, round: u64) -> String {
    const ROLES: &[&str] = &["core", "edge", "batch", "admin", "internal", "public", "legacy", "canary"];
    let role = ROLES[(round % ROLES.len() as u64) as usize];
    let component = images::COMPONENTS[component];
    match round / ROLES.len() as u64 {
        0 => format!("{component}-{role}"),
        copy => format!("{component}-{role}-{copy}"),
    }
}

/// A workload, its pods, its service account and its service.
pub(crate) fn objects(cluster: &Cluster, workload: &Workload<'_>) -> Vec<Object> {
    let seed = cluster.seed;
    let labels = pod::labels(&workload.app);
    let mut objects = Vec::new();
    if workload.app.service_account != "default" {
        objects.push(service_account(cluster, workload));
    }
    let draft = controller(workload, &labels).labels(labels.clone()).applied();
    let owner = draft.as_owner(seed);
    objects.push(draft.build(seed));
    match workload.controller {
        Controller::Deployment | Controller::Rollout => {
            objects.extend(replica_sets(cluster, workload, &owner, &labels));
        }
        Controller::StatefulSet => {
            let names = (0..workload.replicas).map(|i| format!("{}-{i}", workload.app.name));
            objects.extend(pods(cluster, workload, names, &owner, &labels));
        }
        Controller::DaemonSet => {
            let identity = seed.child(workload.namespace).child(workload.app.name);
            let names = (0..workload.replicas).map(|i| format!("{}-{}", workload.app.name, identity.nth(i).suffix(5)));
            objects.extend(pods(cluster, workload, names, &owner, &labels));
        }
        Controller::CronJob => {}
    }
    if workload.service {
        let slice = service(cluster, workload, &labels, &objects);
        objects.extend(slice);
    }
    objects
}

fn template(workload: &Workload<'_>, labels: &Value) -> Value {
    json!({ "metadata": pod::template_metadata(labels, workload.app.seed), "spec": workload.spec })
}

fn controller(workload: &Workload<'_>, labels: &Value) -> Draft {
    let selector = json!({ "matchLabels": { "app.kubernetes.io/name": workload.app.name } });
    let template = template(workload, labels);
    let replicas = workload.replicas;
    let counts = json!({ "observedGeneration": 3, "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
        "availableReplicas": replicas });
    let (key, body) = match workload.controller {
        Controller::Deployment => {
            let mut status = counts;
            status["conditions"] = json!([
                { "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
                  "message": "Deployment has minimum availability.",
                  "lastUpdateTime": "2026-09-01T10:00:00Z", "lastTransitionTime": "2026-09-01T10:00:00Z" },
                { "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                  "message": format!("ReplicaSet \"{}\" has successfully progressed.", workload.app.name),
                  "lastUpdateTime": "2026-09-01T10:00:00Z", "lastTransitionTime": "2026-09-01T10:00:00Z" },
            ]);
            (
                kinds::DEPLOYMENT,
                json!({
                    "spec": { "replicas": replicas, "selector": selector, "template": template, "revisionHistoryLimit": 10,
                              "progressDeadlineSeconds": 600,
                              "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } } },
                    "status": status,
                }),
            )
        }
        Controller::Rollout => (
            kinds::ROLLOUT,
            json!({
                "spec": { "replicas": replicas, "selector": selector, "template": template,
                          "strategy": { "canary": { "steps": [{ "setWeight": 20 }, { "pause": {} }] } } },
                "status": { "phase": "Healthy", "replicas": replicas },
            }),
        ),
        Controller::StatefulSet => {
            let mut status = counts;
            status["currentReplicas"] = json!(replicas);
            (
                kinds::STATEFUL_SET,
                json!({
                    "spec": { "replicas": replicas, "selector": selector, "template": template, "serviceName": workload.app.name,
                              "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
                              "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } } },
                    "status": status,
                }),
            )
        }
        Controller::DaemonSet => (
            kinds::DAEMON_SET,
            json!({
                "spec": { "selector": selector, "template": template, "revisionHistoryLimit": 10,
                          "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 } } },
                "status": { "observedGeneration": 3, "currentNumberScheduled": replicas, "desiredNumberScheduled": replicas,
                            "numberAvailable": replicas, "numberMisscheduled": 0, "numberReady": replicas,
                            "updatedNumberScheduled": replicas },
            }),
        ),
        Controller::CronJob => {
            let mut template = template;
            template["spec"]["restartPolicy"] = json!("OnFailure");
            (
                kinds::CRON_JOB,
                json!({
                    "spec": { "schedule": "15 3 * * *", "concurrencyPolicy": "Forbid", "suspend": false,
                              "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
                              "jobTemplate": { "metadata": { "creationTimestamp": null, "labels": labels },
                                               "spec": { "backoffLimit": 2, "template": template } } },
                    "status": { "lastScheduleTime": "2026-10-01T03:15:00Z", "lastSuccessfulTime": "2026-10-01T03:16:12Z" },
                }),
            )
        }
    };
    let draft = Draft::new(key, Some(workload.namespace), workload.app.name, body);
    match workload.controller {
        Controller::Deployment => {
            draft.annotation("deployment.kubernetes.io/revision", (workload.revisions + 1).to_string())
        }
        _ => draft,
    }
}

/// The replica sets of all revisions; the newest has the pods.
fn replica_sets(cluster: &Cluster, workload: &Workload<'_>, owner: &Owner, labels: &Value) -> Vec<Object> {
    let identity = cluster.seed.child("revision").child(workload.namespace).child(workload.app.name);
    let mut objects = Vec::new();
    for revision in 0..=workload.revisions {
        let hash = identity.nth(revision).suffix(10);
        let current = revision == workload.revisions;
        let replicas = if current { workload.replicas } else { 0 };
        let mut labels = labels.clone();
        labels["pod-template-hash"] = hash.clone().into();
        let name = format!("{}-{hash}", workload.app.name);
        let body = json!({
            "spec": { "replicas": replicas, "template": template(workload, &labels),
                      "selector": { "matchLabels": { "app.kubernetes.io/name": workload.app.name, "pod-template-hash": hash } } },
            "status": { "observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas,
                        "availableReplicas": replicas, "fullyLabeledReplicas": replicas },
        });
        let draft = Draft::new(kinds::REPLICA_SET, Some(workload.namespace), name.clone(), body)
            .labels(labels.clone())
            .annotation("deployment.kubernetes.io/revision", (revision + 1).to_string())
            .annotation("deployment.kubernetes.io/desired-replicas", replicas.to_string())
            .owned_by(owner.clone());
        let own = draft.as_owner(cluster.seed);
        objects.push(draft.build(cluster.seed));
        if current {
            let names = (0..replicas).map(|i| format!("{name}-{}", identity.nth(revision).nth(i).suffix(5)));
            objects.extend(pods(cluster, workload, names, &own, &labels));
        }
    }
    objects
}

fn pods(
    cluster: &Cluster,
    workload: &Workload<'_>,
    names: impl Iterator<Item = String>,
    owner: &Owner,
    labels: &Value,
) -> Vec<Object> {
    let place = |(index, name): (usize, String)| {
        let at = match workload.controller {
            Controller::DaemonSet => index as u64,
            _ => cluster.seed.child("placement").child(workload.namespace).child(&name).below(cluster.nodes),
        };
        let placement = Placement {
            namespace: workload.namespace,
            name,
            node: node::name(cluster, at),
            owner: Some(owner.clone()),
        };
        pod::running(cluster.world, cluster.seed, &workload.spec, labels, &placement)
    };
    names.enumerate().map(place).collect()
}

fn service_account(cluster: &Cluster, workload: &Workload<'_>) -> Object {
    let body = json!({ "automountServiceAccountToken": workload.app.style != Style::Hardened });
    let mut draft =
        Draft::new(kinds::SERVICE_ACCOUNT, Some(workload.namespace), workload.app.service_account.clone(), body)
            .labels(pod::labels(&workload.app))
            .managed_by("helm");
    if let Some(account) = cluster.account() {
        draft = draft.annotation(
            "eks.amazonaws.com/role-arn",
            format!("arn:aws:iam::{account}:role/{}-{}", workload.app.team, workload.app.name),
        );
    }
    draft.build(cluster.seed)
}

fn service(cluster: &Cluster, workload: &Workload<'_>, labels: &Value, objects: &[Object]) -> [Object; 2] {
    let seed = cluster.seed.child("service").child(workload.namespace).child(workload.app.name);
    let address = format!("172.20.{}.{}", seed.below(250), seed.nth(1).below(250) + 1);
    let body = json!({
        "spec": { "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
                  "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
                  "selector": { "app.kubernetes.io/name": workload.app.name },
                  "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": "http" },
                            { "name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": "metrics" }] },
        "status": { "loadBalancer": {} },
    });
    let service =
        Draft::new(kinds::SERVICE, Some(workload.namespace), workload.app.name, body).labels(labels.clone()).applied();
    let owner = service.as_owner(cluster.seed);
    let endpoint = |pod: &Value| {
        json!({
            "addresses": [pod["status"]["podIP"]],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": pod["spec"]["nodeName"],
            "targetRef": { "kind": "Pod", "namespace": workload.namespace, "name": pod["metadata"]["name"],
                           "uid": pod["metadata"]["uid"] },
        })
    };
    let endpoints: Vec<Value> =
        objects.iter().filter(|(key, _)| *key == kinds::POD).map(|(_, pod)| endpoint(pod)).collect();
    let slice = json!({ "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }, { "name": "metrics", "port": 9090, "protocol": "TCP" }] });
    let slice = Draft::new(
        kinds::ENDPOINT_SLICE,
        Some(workload.namespace),
        format!("{}-{}", workload.app.name, seed.suffix(5)),
        slice,
    )
    .labels(json!({ "kubernetes.io/service-name": workload.app.name,
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io" }))
    .annotation("endpoints.kubernetes.io/last-change-trigger-time", "2026-09-30T08:00:00Z")
    .owned_by(owner);
    [service.build(cluster.seed), slice.build(cluster.seed)]
}
