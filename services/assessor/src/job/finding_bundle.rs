//! Bundles of findings: the verdict reached once more from one snapshot of the inventory, with all that it looked at.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_domain::{Kind, ResourceId, Status, UnitId};
use rampart_posture::bundle::{Bundle, ControlRecord, FORMAT, FindingRecord, Form, Reading, Recorded, record};
use rampart_posture::{Check, Selection};
use rampart_store::custom::{self, Format};
use rampart_store::finding::{self, Finding};
use rampart_store::job::finding_bundle::{self as stored, Evaluated, Made, Request};
use rampart_store::verdict::{self, StoredResource, UnitPlace};
use rampart_store::{StoreError, TenantTx};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Desk, JobError};
use crate::world::World;
use crate::{judge, world};

/// Largest bundle in bytes.
const LARGEST: usize = 32 << 20;

pub(super) async fn run(desk: &Desk<'_>, request: Value) -> Result<Value, JobError> {
    let Request { resource_id, ordinal } =
        serde_json::from_value(request).map_err(|error| JobError::Refused(format!("the request: {error}")))?;
    let mut tx = desk.store.snapshot(desk.lease.tenant).await?;
    let row = finding::get(&mut tx, &desk.visible, ResourceId(resource_id), ordinal).await?;
    let gone = || JobError::Refused("the resource is gone, or is judged through its owner".to_owned());
    let evaluated = stored::evaluated(&mut tx, resource_id).await?.ok_or_else(gone)?;
    let unit = UnitId(evaluated.unit_id);
    let place = verdict::unit_place(&mut tx, unit).await?.ok_or_else(gone)?;
    let resource = verdict::resources_by_id(&mut tx, unit, &[resource_id]).await?.pop().ok_or_else(gone)?;
    if resource.revision != evaluated.revision {
        return Err(unsettled());
    }
    let control = control(desk, &mut tx, &row.control_id).await?;
    let check = check(desk, &row)?;
    let judged_at = Utc::now();
    let recorded = look(desk, &mut tx, (unit, &place), (resource, check), judged_at).await?;
    let judged = recorded.verdict.status();
    if judged != said(&row)? {
        let lost = judged == Status::Unknown;
        let old = "what the verdict rests on could not be read again: it stands, and cannot be reached anew";
        return Err(if lost { JobError::Refused(old.to_owned()) } else { unsettled() });
    }
    let mut kinds: BTreeSet<Kind> = recorded.reads.iter().flat_map(|read| read.kinds.iter().copied()).collect();
    kinds.insert(recorded.resource.kind);
    let kinds: Vec<Kind> = kinds.into_iter().collect();
    let coverage = stored::readings(&mut tx, unit, &place, &kinds).await?.into_iter().map(|row| Reading {
        kind: row.kind,
        scope: row.scope,
        state: row.state,
        expired: row.expired,
        attempted_at: row.attempted_at,
        whole_at: row.whole_at,
    });
    let Recorded { resource, reads, verdict } = recorded;
    let bundle = Bundle {
        format: FORMAT.to_owned(),
        finding: of_finding(&row, &evaluated),
        content_version: desk.knowledge.catalogue.version().to_string(),
        control,
        params: row.params,
        resource,
        judged_at,
        reads,
        coverage: coverage.collect(),
        verdict,
    };
    check_again(bundle).await
}

/// Reaches the verdict from the bundle alone, as whoever gets it will, and writes it down.
async fn check_again(bundle: Bundle) -> Result<Value, JobError> {
    let work = move || {
        let payload = json!(bundle).to_string();
        if payload.len() > LARGEST {
            return Err(JobError::Refused("what the verdict rests on is larger than 32 MiB".to_owned()));
        }
        if bundle.control.form == Form::Policies {
            // Policies of customers run in a process of their own and nowhere else.
            return Ok(json!(Made { payload }));
        }
        let read: Bundle = serde_json::from_str(&payload).map_err(|error| JobError::Failed(error.into()))?;
        let again = read.judge().map_err(|why| JobError::Refused(format!("it cannot be judged elsewhere: {why}")))?;
        if again == bundle.verdict {
            Ok(json!(Made { payload }))
        } else {
            Err(JobError::Refused("judged from the bundle alone the verdict is another".to_owned()))
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| JobError::Failed(error.into()))?
}

fn unsettled() -> JobError {
    JobError::Refused("something changed since the finding was last assessed; ask again when it was".to_owned())
}

/// What the control itself said: an exemption is laid over that.
fn said(row: &Finding) -> Result<Status, StoreError> {
    let status: Status = row.status.parse()?;
    Ok(if status == Status::Exempt { Status::Unhealthy } else { status })
}

fn of_finding(row: &Finding, evaluated: &Evaluated) -> FindingRecord {
    FindingRecord {
        id: format!("{}.{}", row.resource_id, row.ordinal),
        status: row.status.clone(),
        first_seen: row.first_seen,
        since: row.since,
        observed_at: row.observed_at,
        evaluated_at: evaluated.evaluated_at,
        revision: evaluated.revision,
    }
}

/// The control as it is written: a file of the product, or what the customer saved.
async fn control(desk: &Desk<'_>, tx: &mut TenantTx, id: &str) -> Result<ControlRecord, JobError> {
    let retired = || JobError::Refused(format!("there is no control `{id}` any more"));
    if let Some(text) = desk.knowledge.catalogue.control_text(id) {
        return Ok(ControlRecord::new(id, Form::Control, id, text));
    }
    let control = desk.knowledge.catalogue.control(id).ok_or_else(retired)?;
    let sources = custom::all(tx).await?;
    let all = sources.iter().filter_map(|(format, source)| {
        let form = match format {
            Format::Control if source.name == id => Form::Control,
            Format::Policies if control.is_imported() => Form::Policies,
            _ => return None,
        };
        Some(ControlRecord::new(id, form, &source.name, &source.source))
    });
    let all: Vec<ControlRecord> = all.collect();
    let own = tokio::task::spawn_blocking(move || all.into_iter().find(ControlRecord::holds)).await;
    own.map_err(|error| JobError::Failed(error.into()))?.ok_or_else(retired)
}

fn check(desk: &Desk<'_>, row: &Finding) -> Result<Check, JobError> {
    let selection = Selection { control_id: row.control_id.clone(), params: row.params.clone(), severity: None };
    let checks = desk.knowledge.engine.checks(&[selection]).map_err(|error| JobError::Refused(error.to_string()))?;
    let check = checks.checks().first().filter(|check| check.params == row.params).cloned();
    check.ok_or_else(|| JobError::Refused("the control has other parameters by now".to_owned()))
}

/// Judges as an assessment does, and keeps what that looks at.
async fn look(
    desk: &Desk<'_>,
    tx: &mut TenantTx,
    (unit, place): (UnitId, &UnitPlace),
    (resource, check): (StoredResource, Check),
    now: DateTime<Utc>,
) -> Result<Recorded, JobError> {
    let controls = BTreeSet::from([check.control_id.as_str()]);
    let (judged, ids) = (BTreeSet::from([resource.kind]), [resource.id]);
    let at = (unit, place);
    let neighbours = world::neighbours(tx, &desk.knowledge.engine, at, (judged, &controls), Some(&ids)).await?;
    let coverage = verdict::coverage_of(tx, unit, place).await?;
    let children = verdict::children(tx, &ids).await?;
    let near = neighbours.whole.iter().chain(&neighbours.outlines);
    let hidden: HashSet<String> = near.filter(|it| !sees(desk, place, it)).map(|it| it.native_id.clone()).collect();
    let world = World::new(neighbours, coverage, place.clone());
    let knowledge = Arc::clone(desk.knowledge);
    let work = move || {
        let pods: Vec<&StoredResource> = children.iter().filter(|child| child.kind == Kind::K8sPod).collect();
        let own = (!pods.is_empty()).then_some((resource.id, pods));
        let pods: HashMap<Uuid, Vec<&StoredResource>> = own.into_iter().collect();
        judge::with_input(&world, &resource, &pods, now, |input| record(&knowledge.engine, &check, input))
    };
    let recorded = tokio::task::spawn_blocking(work).await.map_err(|error| JobError::Failed(error.into()))??;
    if recorded.reads.iter().flat_map(|read| &read.items).any(|item| hidden.contains(&item.native_id)) {
        return Err(JobError::Refused("the verdict rests on resources that you may not see".to_owned()));
    }
    Ok(recorded)
}

/// Whether the caller may see a neighbour. Who sees a namespace sees its labels.
fn sees(desk: &Desk<'_>, place: &UnitPlace, resource: &StoredResource) -> bool {
    let account = resource.account.as_deref().or(place.account.as_deref());
    let namespace = match resource.kind {
        Kind::K8sNamespace => Some(resource.name.as_str()),
        _ => resource.namespace.as_deref(),
    };
    desk.visible.sees(account, resource.cluster_id, namespace)
}
