//! Which Pod Security level each namespace of a cluster could enforce, and which running pods would not come back.
//!
//! ```text
//! cluster, coverage, namespaces, policies ─▶ Ground (once)
//! each namespace: its workloads and pods ─▶ ladder: level, blockers, command
//!                                        └▶ admission: pods that would be refused
//! ```

mod admission;
mod ladder;
mod members;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_domain::{ClusterId, Kind, UnitId};
use rampart_posture::pod_security::{Labels, Standards, cluster_minor, judged_minor};
use rampart_store::cluster;
use rampart_store::job::pod_security::{Namespace, Report, Request, Stranded, Summary, Unjudged};
use rampart_store::verdict::{self, CoverageRow, StoredResource, UnitPlace};
use serde_json::{Value, json};

use self::admission::Admission;
use self::members::Members;
use super::{Desk, JobError};
use crate::Knowledge;

/// Kinds that make pods, and pods.
const WORKLOADS: [Kind; 10] = [
    Kind::K8sPod,
    Kind::K8sDeployment,
    Kind::K8sDaemonSet,
    Kind::K8sStatefulSet,
    Kind::K8sReplicaSet,
    Kind::K8sReplicationController,
    Kind::K8sJob,
    Kind::K8sCronJob,
    Kind::K8sWorkload,
    Kind::K8sStaticPod,
];
/// Kinds that decide whether a pod is created.
const ADMISSION: [Kind; 7] = [
    Kind::K8sNamespace,
    Kind::K8sValidatingAdmissionPolicy,
    Kind::K8sValidatingAdmissionPolicyBinding,
    Kind::K8sConstraintTemplate,
    Kind::K8sConstraint,
    Kind::K8sValidatingWebhookConfiguration,
    Kind::K8sMutatingWebhookConfiguration,
];

/// What every namespace is judged with.
struct Ground {
    knowledge: Arc<Knowledge>,
    /// By the minor version that they are of.
    standards: HashMap<u32, Standards>,
    /// The version that namespaces are judged by.
    minor: u32,
    cluster_minor: Option<u32>,
    /// Kinds of workloads that were not read to the end.
    unread: Vec<Kind>,
    admission: Admission,
    now: DateTime<Utc>,
}

/// What one namespace came to.
struct Judged {
    namespace: Namespace,
    pods: u64,
    stranded: Vec<Stranded>,
    unjudged: Unasked,
}

/// What could not be asked: type, name and reason of each.
type Unasked = BTreeSet<(String, String, String)>;

pub(super) async fn run(desk: &Desk<'_>, request: Value) -> Result<Value, JobError> {
    let request: Request = serde_json::from_value(request).map_err(|error| JobError::Refused(error.to_string()))?;
    let (unit, id) = (UnitId(request.cluster_id), ClusterId(request.cluster_id));
    let mut tx = desk.store.tenant(desk.lease.tenant).await?;
    let cluster = cluster::get(&mut tx, &desk.visible, id).await?;
    let place = verdict::unit_place(&mut tx, unit).await?;
    let place = place.ok_or_else(|| JobError::Refused("cluster not found".to_owned()))?;
    let coverage = verdict::coverage_of(&mut tx, unit, &place).await?;
    let around = verdict::neighbours(&mut tx, unit, &place, &ADMISSION, None).await?;
    drop(tx);

    let sees =
        |namespace: &str| desk.visible.sees(cluster.account.as_deref(), Some(cluster.cluster_id), Some(namespace));
    let (all, rules): (Vec<_>, Vec<_>) = around.into_iter().partition(|it| it.kind == Kind::K8sNamespace);
    let (mut namespaces, mut not_found) = (Vec::new(), request.namespaces.clone());
    for namespace in all.into_iter().filter(|it| sees(&it.name)) {
        not_found.retain(|name| *name != namespace.name);
        if request.namespaces.is_empty() || request.namespaces.contains(&namespace.name) {
            namespaces.push(namespace);
        }
    }
    let unread = |kinds: &[Kind]| kinds.iter().copied().filter(|kind| !is_whole(&coverage, *kind)).collect::<Vec<_>>();
    let (of_workloads, of_admission) = (unread(&WORKLOADS), unread(&ADMISSION));
    let cluster_minor = cluster.version.as_deref().and_then(cluster_minor);
    let minor = judged_minor(&request.version, cluster_minor);
    let standards = standards(desk.knowledge, minor, cluster_minor, &namespaces)?;
    let judged_version = format!("v1.{minor}");
    let ground = Arc::new(Ground {
        knowledge: desk.knowledge.clone(),
        standards,
        minor,
        cluster_minor,
        unread: of_workloads.clone(),
        admission: Admission::load(rules, &of_admission),
        now: Utc::now(),
    });
    let judged = each(desk, &ground, (unit, &place), namespaces).await?;
    let unread = of_workloads.iter().chain(&of_admission).map(ToString::to_string).collect();
    let (cluster_version, mut report) = (cluster.version, collect(judged));
    report.may_also_refuse.extend(ground.admission.unloaded());
    report.may_also_refuse.sort_unstable();
    Ok(json!(Report { cluster_version, judged_version, unread, not_found, ..report }))
}

/// Judges one namespace after the other: what one holds is in memory at a time.
async fn each(
    desk: &Desk<'_>,
    ground: &Arc<Ground>,
    (unit, place): (UnitId, &UnitPlace),
    namespaces: Vec<StoredResource>,
) -> Result<Vec<Judged>, JobError> {
    let total = namespaces.len();
    let mut all = Vec::with_capacity(total);
    for (done, namespace) in namespaces.into_iter().enumerate() {
        desk.progress(done, total).await?;
        let name = [namespace.name.clone()];
        let mut tx = desk.store.tenant(desk.lease.tenant).await?;
        let held = verdict::neighbours(&mut tx, unit, place, &WORKLOADS, Some(&name)).await?;
        drop(tx);
        let ground = ground.clone();
        let judged = tokio::task::spawn_blocking(move || ground.judge(&namespace, &held));
        all.push(judged.await.map_err(|error| JobError::Failed(error.into()))?.map_err(JobError::from)?);
    }
    desk.progress(total, total).await?;
    Ok(all)
}

/// The standards at every version that something is judged by: what was asked for, and what namespaces enforce.
fn standards(
    knowledge: &Knowledge,
    minor: u32,
    cluster: Option<u32>,
    namespaces: &[StoredResource],
) -> Result<HashMap<u32, Standards>, JobError> {
    let enforced = namespaces.iter().filter_map(|namespace| {
        let setting = labels_of(namespace).enforce?;
        Some(judged_minor(&setting.version, cluster))
    });
    let mut all = HashMap::new();
    for minor in enforced.chain([minor]).collect::<BTreeSet<u32>>() {
        let standards = Standards::of(&knowledge.catalogue, &knowledge.engine, minor);
        all.insert(minor, standards.map_err(|error| JobError::Refused(error.to_string()))?);
    }
    Ok(all)
}

fn labels_of(namespace: &StoredResource) -> Labels {
    namespace.labels.as_object().map(Labels::of).unwrap_or_default()
}

/// Whether all of a kind was read. Two sources may cover a kind; one whole reading is enough.
fn is_whole(coverage: &[CoverageRow], kind: Kind) -> bool {
    coverage.iter().any(|row| row.kind == kind && row.is_whole())
}

impl Ground {
    fn judge(&self, namespace: &StoredResource, held: &[StoredResource]) -> Result<Judged, rampart_store::StoreError> {
        let members = Members::of(held);
        let report = self.ladder(namespace, &members)?;
        let (stranded, unjudged) = self.stranded(namespace, &members)?;
        let pods = members.owners().map(|member| member.pods.len() as u64).sum();
        Ok(Judged { namespace: report, pods, stranded, unjudged })
    }

    /// The standards at a version that was prepared; those that namespaces are judged by otherwise.
    fn standards(&self, minor: u32) -> &Standards {
        &self.standards[if self.standards.contains_key(&minor) { &minor } else { &self.minor }]
    }
}

fn collect(judged: Vec<Judged>) -> Report {
    let mut summary = Summary::default();
    let (mut namespaces, mut will_not_come_back) = (Vec::new(), Vec::new());
    let mut unjudged: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
    for one in judged {
        let namespace = one.namespace;
        if !namespace.system {
            let level = namespace.level.clone().unwrap_or_else(|| "unknown".to_owned());
            *summary.namespaces.entry(level).or_default() += 1;
            summary.could_rise += u64::from(namespace.standing.as_deref() == Some("below"));
            summary.overstretched += u64::from(namespace.standing.as_deref() == Some("above"));
        }
        summary.pods += one.pods;
        summary.will_not_come_back += one.stranded.iter().map(|stranded| stranded.pods).sum::<u64>();
        for key in one.unjudged {
            unjudged.entry(key).or_default().push(namespace.namespace.clone());
        }
        will_not_come_back.extend(one.stranded);
        namespaces.push(namespace);
    }
    let may_also_refuse = unjudged
        .into_iter()
        .map(|((r#type, name, reason), namespaces)| Unjudged { r#type, name, reason, namespaces })
        .collect();
    Report {
        cluster_version: None,
        judged_version: String::new(),
        summary,
        namespaces,
        will_not_come_back,
        may_also_refuse,
        unread: Vec::new(),
        not_found: Vec::new(),
    }
}
