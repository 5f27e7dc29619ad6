use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_content::Within;
use rampart_domain::{Cause, Kind, UnitId};
use rampart_posture::Engine;
use rampart_store::verdict::{self, DirtyRow, News, UnitPlace};
use rampart_store::{StoreError, TenantTx};
use uuid::Uuid;

use crate::policy::Policy;
use crate::rights::{Bindings, Rights};

/// What must be judged again, and why.
#[derive(Default)]
pub(crate) struct Targets {
    /// By resource; the first cause found stands.
    pub(crate) judge: BTreeMap<Uuid, Cause>,
    /// Resources that themselves changed or went: their edges are derived again.
    pub(crate) changed: Vec<Uuid>,
}

/// A neighbourhood to look at again.
#[derive(PartialEq, Eq, Hash)]
struct Area {
    /// Kinds that are judged by what lies there.
    judged: Vec<Kind>,
    namespace: Option<String>,
    region: Option<String>,
}

/// Follows what changed to everything whose verdicts may differ; `bindings` are those among what changed. Without them, only
/// what changed itself is found.
pub(crate) async fn of_dirty(
    tx: &mut TenantTx,
    engine: &Engine,
    (unit, place): (UnitId, &UnitPlace),
    policy: &Policy,
    dirty: &[DirtyRow],
    bindings: Option<&Bindings>,
) -> Result<Targets, StoreError> {
    let (judged, controls) = (policy.judged_kinds(), policy.controls());
    let mut targets = Targets::default();
    let mut areas: HashMap<Area, Cause> = HashMap::new();
    let mut rights = Rights::default();
    for row in dirty {
        let news = row.news();
        let itself = matches!(news, News::Resource(_));
        let cause = if news == News::Coverage { Cause::Coverage } else { Cause::Neighbour };
        match news {
            News::Resource(id) => {
                targets.changed.push(id);
                if judged.contains(&row.kind) {
                    targets.judge.insert(id, Cause::Resource);
                }
                if let Some(owner) = row.owner_id {
                    targets.judge.entry(owner).or_insert(Cause::Resource);
                }
            }
            News::Coverage if judged.contains(&row.kind) => {
                let region = row.region.clone().filter(|region| !place.is_cluster && region != "global");
                areas.entry(Area { judged: vec![row.kind], namespace: None, region }).or_insert(cause);
            }
            News::Coverage | News::Account => {}
        }
        let Some(bindings) = bindings else { continue };
        for dependent in engine.dependents(row.kind).filter(|dependent| controls.contains(dependent.control_id)) {
            if itself && (dependent.outline && !row.outline_changed || rights.take(row, &dependent, bindings)) {
                continue;
            }
            let (namespace, region) = match dependent.within {
                Within::Namespace if itself => (row.namespace.clone(), None),
                Within::Region => (None, row.region.clone()),
                Within::Namespace | Within::Unit => (None, None),
            };
            areas.entry(Area { judged: dependent.judged.to_vec(), namespace, region }).or_insert(cause);
        }
    }
    let Some(bindings) = bindings else { return Ok(targets) };
    for (area, cause) in areas {
        let (namespace, region) = (area.namespace.as_deref(), area.region.as_deref());
        let ids = verdict::resource_page(tx, unit, &area.judged, namespace, region).await?;
        for id in ids {
            targets.judge.entry(id).or_insert(cause);
        }
    }
    for id in rights.follow(tx, unit, bindings).await? {
        targets.judge.entry(id).or_insert(Cause::Neighbour);
    }
    Ok(targets)
}

/// What clusters of an account must be told: the kinds of which something changed in the account and that reach beyond
/// namespaces, and the kinds that are judged by them.
pub(crate) fn wide(engine: &Engine, dirty: &[DirtyRow]) -> (BTreeSet<Kind>, BTreeSet<Kind>) {
    let (mut changed, mut judged) = (BTreeSet::new(), BTreeSet::new());
    for row in dirty.iter().filter(|row| matches!(row.news(), News::Resource(_))) {
        if changed.contains(&row.kind) {
            continue;
        }
        for dependent in engine.dependents(row.kind).filter(|dependent| dependent.within != Within::Namespace) {
            changed.insert(row.kind);
            judged.extend(dependent.judged);
        }
    }
    (changed, judged)
}

/// Everything that any check judges, for when checks themselves changed, together with what had verdicts before.
pub(crate) async fn of_unit(
    tx: &mut TenantTx,
    unit: UnitId,
    judged: &[Kind],
    cause: Cause,
) -> Result<BTreeMap<Uuid, Cause>, StoreError> {
    let mut all: BTreeMap<Uuid, Cause> = BTreeMap::new();
    for id in verdict::resource_page(tx, unit, judged, None, None).await? {
        all.insert(id, cause);
    }
    for pack in verdict::packs_of_unit(tx, unit).await? {
        all.insert(pack.resource_id, cause);
    }
    Ok(all)
}
