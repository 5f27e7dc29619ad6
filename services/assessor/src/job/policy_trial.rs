//! What controls or policies would say of the inventory, before they are saved: nothing is written but the result.

mod tally;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::Utc;
use rampart_content::Control;
use rampart_domain::{ClusterId, Kind, UnitId};
use rampart_posture::custom::{Format, Source};
use rampart_posture::{Selection, examples};
use rampart_store::job::policy_trial::{ExampleTrial, TrialRequest, TrialResult};
use rampart_store::verdict::{self, StoredResource, UnitPlace};
use rampart_store::{AccessScope, StoreError, assignment, plan};
use serde_json::{Map, Value, json};
use tally::Tally;
use uuid::Uuid;

use super::{Desk, JobError};
use crate::policy::Policy;
use crate::tenant::{lay, read_format};
use crate::world::{Near, World};
use crate::{Knowledge, judge};

/// Resources judged at once.
const BATCH: usize = 1_000;

/// What is tried, ready to judge.
struct Trial {
    knowledge: Knowledge,
    controls: Vec<Control>,
    policy: Policy,
}

pub(super) async fn run(desk: &Desk<'_>, request: Value) -> Result<Value, JobError> {
    let request: TrialRequest =
        serde_json::from_value(request).map_err(|error| JobError::Refused(error.to_string()))?;
    let scope = match (&request.account, request.cluster_id, &request.namespace) {
        (Some(account), ..) => AccessScope::Account(account.clone()),
        (None, Some(cluster), None) => AccessScope::Cluster(ClusterId(cluster)),
        (None, Some(cluster), Some(namespace)) => AccessScope::Namespace(ClusterId(cluster), namespace.clone()),
        (None, None, _) => AccessScope::Tenant,
    };
    let source =
        Source { format: read_format(request.format()), name: request.name.clone(), text: request.source.clone() };
    let product = Arc::clone(desk.product);
    let (trial, examples) = blocking(move || {
        let trial = Trial::of(&product, &source)?;
        let examples = if source.format == Format::Control { trial.examples() } else { Vec::new() };
        Ok((Arc::new(trial), examples))
    })
    .await?;
    let mut tx = desk.store.tenant(desk.lease.tenant).await?;
    let units = assignment::units_in(&mut tx, &scope).await?;
    drop(tx);
    let mut tally = Tally::default();
    for (index, unit) in units.iter().enumerate() {
        desk.progress(index, units.len()).await?;
        tally = judge_unit(desk, &trial, UnitId(*unit), request.namespace.as_deref(), tally).await?;
    }
    desk.progress(units.len(), units.len()).await?;
    let result = TrialResult { examples, ..tally.result(&trial.controls) };
    Ok(json!(result))
}

/// Runs what takes the processor off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| JobError::Failed(error.into()))?
}

impl Trial {
    /// Reads the source. Nothing of the tenant's own stands beside it: it may be the next version of what does.
    fn of(product: &Knowledge, source: &Source) -> Result<Self, JobError> {
        let layer = source.read(&product.catalogue).map_err(|problems| {
            let words = problems.iter().map(|it| format!("{}:{}: {}", it.line, it.column, it.message));
            JobError::Refused(words.collect::<Vec<_>>().join("; "))
        })?;
        let controls: Vec<Control> = layer.controls().cloned().collect();
        let knowledge = lay(product, vec![layer], std::slice::from_ref(source));
        let selection = |control: &Control| {
            let (control_id, params) = (control.id.clone(), Value::Object(Map::new()));
            Selection { control_id, params, severity: None }
        };
        let selections: Vec<Selection> = controls.iter().map(selection).collect();
        let policy = Policy::of_selections(&knowledge.engine, &selections);
        let policy = policy.map_err(|error| JobError::Refused(error.to_string()))?;
        Ok(Self { knowledge, controls, policy })
    }

    /// Which examples do not come to what they state.
    fn examples(&self) -> Vec<ExampleTrial> {
        let all = self.controls.iter().flat_map(|control| control.examples.iter().map(move |it| (control, it)));
        let failed = all.filter_map(|(control, example)| {
            let message = examples::run(&self.knowledge.engine, control, example).err()?;
            Some(ExampleTrial { name: example.name.clone(), message })
        });
        failed.collect()
    }
}

/// Judges what the caller may see of a unit, as an assessment would.
async fn judge_unit(
    desk: &Desk<'_>,
    trial: &Arc<Trial>,
    unit: UnitId,
    namespace: Option<&str>,
    mut tally: Tally,
) -> Result<Tally, JobError> {
    let mut tx = desk.store.tenant(desk.lease.tenant).await?;
    let Some(place) = verdict::unit_place(&mut tx, unit).await? else { return Ok(tally) };
    if !plan::is_judged(&mut tx, unit, &place).await? {
        return Ok(tally);
    }
    let ids = verdict::resource_page(&mut tx, unit, &trial.policy.judged_kinds(), namespace, None).await?;
    let neighbours: Vec<Kind> = trial.neighbour_kinds().into_iter().collect();
    let mut neighbours = verdict::neighbours(&mut tx, unit, &place, &neighbours, None).await?;
    let mut coverage = verdict::coverage_of(&mut tx, unit, &place).await?;
    drop(tx);
    // What the caller may not see is not looked at either: a message could tell it. Then there may be more of the kind.
    let mut withheld = BTreeSet::new();
    neighbours.retain(|neighbour| {
        let is_seen = sees(desk, &place, neighbour);
        if !is_seen {
            withheld.insert(neighbour.kind);
        }
        is_seen
    });
    coverage.retain(|row| !withheld.contains(&row.kind));
    let world = Arc::new(World::new(Near { whole: neighbours, ..Near::default() }, coverage, place.clone()));
    for batch in ids.chunks(BATCH) {
        if desk.cancel.is_cancelled() {
            return Err(JobError::Failed("the trial was interrupted".into()));
        }
        let (resources, children) = load(desk, unit, &place, batch).await?;
        let (trial, world) = (Arc::clone(trial), Arc::clone(&world));
        tally = blocking(move || {
            let mut pods: HashMap<Uuid, Vec<&StoredResource>> = HashMap::new();
            for child in children.iter().filter(|child| child.kind == Kind::K8sPod) {
                pods.entry(child.owner_id.unwrap_or_default()).or_default().push(child);
            }
            let engine = &trial.knowledge.engine;
            let judged = judge::judge(engine, &trial.policy, &world, &resources, &pods, Utc::now())?;
            for (resource, judged) in resources.iter().zip(judged) {
                tally.add(resource, judged);
            }
            Ok(tally)
        })
        .await?;
    }
    Ok(tally)
}

/// Whether the caller may see a resource. Who sees a namespace sees its labels.
fn sees(desk: &Desk<'_>, place: &UnitPlace, resource: &StoredResource) -> bool {
    let account = resource.account.as_deref().or(place.account.as_deref());
    let namespace = match resource.kind {
        Kind::K8sNamespace => Some(resource.name.as_str()),
        _ => resource.namespace.as_deref(),
    };
    desk.visible.sees(account, resource.cluster_id, namespace)
}

/// The resources of a batch that are judged by themselves and that the caller may see, with the pods of their own.
async fn load(
    desk: &Desk<'_>,
    unit: UnitId,
    place: &UnitPlace,
    ids: &[Uuid],
) -> Result<(Vec<StoredResource>, Vec<StoredResource>), StoreError> {
    let mut tx = desk.store.tenant(desk.lease.tenant).await?;
    let mut found = verdict::resources_by_id(&mut tx, unit, ids).await?;
    found.retain(|resource| sees(desk, place, resource));
    let owners: Vec<Uuid> = found.iter().filter_map(|resource| resource.owner_id).collect();
    let owners: HashSet<Uuid> = verdict::existing(&mut tx, &owners).await?.into_iter().collect();
    found.retain(|resource| {
        !(resource.kind.is_workload() && resource.owner_id.is_some_and(|owner| owners.contains(&owner)))
    });
    let workloads: Vec<Uuid> = found.iter().filter(|it| it.kind.is_workload()).map(|it| it.id).collect();
    let children = verdict::children(&mut tx, &workloads).await?;
    Ok((found, children))
}

impl Trial {
    /// The kinds that what is tried looks at.
    fn neighbour_kinds(&self) -> BTreeSet<Kind> {
        let (engine, controls) = (&self.knowledge.engine, self.policy.controls());
        let is_looked_at = |kind: &Kind| engine.dependents(*kind).any(|looks| controls.contains(looks.control_id));
        engine.neighbour_kinds().into_keys().filter(is_looked_at).collect()
    }
}
