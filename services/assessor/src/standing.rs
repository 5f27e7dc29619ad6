use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rampart_domain::{Factor, Kind, Risk, Severity, UnitId};
use rampart_posture::governance::{Place, Rule, Subject, decide, rules_at};
use rampart_posture::risk;
use rampart_store::governance::{self, Graded, Standing};
use rampart_store::verdict::{self, DirtyRow, FindingWrite, News, UnitPlace};
use rampart_store::{StoreError, TenantTx, context};
use uuid::Uuid;

use crate::identities::Identities;
use crate::rules::Rules;
use crate::surroundings::{ROUTES, Stand, leads};

/// Kinds by which service accounts come to their rights.
const RIGHTS: [Kind; 2] = [Kind::K8sClusterRole, Kind::K8sClusterRoleBinding];
/// Kinds that lead to workloads of their namespace.
const LEADING: [Kind; 2] = [Kind::K8sService, Kind::K8sIngress];

/// The judged resources whose findings may stand otherwise after some changes, beside those that are judged again. `all`
/// says that the rules themselves changed.
pub(crate) async fn affected(
    tx: &mut TenantTx,
    (unit, place): (UnitId, &UnitPlace),
    identities: &Identities,
    dirty: &[DirtyRow],
    all: bool,
) -> Result<BTreeSet<Uuid>, StoreError> {
    if all {
        return Ok(governance::judged(tx, unit, None, None).await?.into_iter().collect());
    }
    let mut affected = BTreeSet::new();
    if !place.is_cluster {
        return Ok(affected);
    }
    let changed: Vec<&DirtyRow> = dirty.iter().filter(|row| matches!(row.news(), News::Resource(_))).collect();
    let concerns = |kinds: &[Kind]| changed.iter().any(|row| kinds.contains(&row.kind));
    let workloads: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| kind.is_workload()).collect();
    let within = |kinds: &[Kind]| -> Vec<String> {
        let rows = changed.iter().filter(|row| kinds.contains(&row.kind));
        rows.filter_map(|row| row.namespace.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    };
    if concerns(&LEADING) || concerns(&ROUTES) {
        // What leads outside now, and what did. Most services lead nowhere.
        let mut exposed = leading(tx, (unit, place), &within(&LEADING)).await?;
        let factors = [Factor::InternetExposed, Factor::NetworkExposed];
        exposed.extend(context::namespaces_with(tx, unit, &factors.map(Factor::as_str)).await?);
        if !concerns(&ROUTES) {
            let near = within(&LEADING);
            exposed.retain(|namespace| near.contains(namespace));
        }
        let near: Vec<String> = exposed.into_iter().collect();
        affected.extend(governance::judged(tx, unit, Some(&workloads), Some(&near)).await?);
    }
    if concerns(&RIGHTS) || concerns(&[Kind::K8sServiceAccount]) {
        let sensitive = [Factor::SensitiveIdentity.as_str()];
        let mut near: BTreeSet<String> = context::namespaces_with(tx, unit, &sensitive).await?.into_iter().collect();
        near.extend(identities.in_namespaces().cloned());
        let accounts = [&workloads[..], &[Kind::K8sServiceAccount]].concat();
        if !concerns(&RIGHTS) {
            let changed = within(&[Kind::K8sServiceAccount]);
            near.retain(|namespace| changed.contains(namespace));
            near.extend(changed.into_iter().filter(|_| identities.are_all()));
        }
        let near: Vec<String> = near.into_iter().collect();
        let anywhere = concerns(&RIGHTS) && identities.are_all();
        let near = (!anywhere).then_some(&near[..]);
        affected.extend(governance::judged(tx, unit, Some(&accounts), near).await?);
    }
    let namespaces: Vec<Uuid> =
        changed.iter().filter(|row| row.kind == Kind::K8sNamespace).map(|row| row.resource_id).collect();
    if !namespaces.is_empty() {
        let mut names = context::namespace_names(tx, &namespaces).await?;
        if names.len() < namespaces.len() {
            // Of one that is gone nothing tells the name any more; what still lies in it has none that is listed.
            names.extend(context::unlisted_namespaces(tx, unit).await?);
        }
        affected.extend(governance::judged(tx, unit, None, Some(&names)).await?);
    }
    Ok(affected)
}

/// The namespaces in which services lead to pods from outside: of some namespaces, and wherever routes lead.
async fn leading(
    tx: &mut TenantTx,
    (unit, place): (UnitId, &UnitPlace),
    namespaces: &[String],
) -> Result<BTreeSet<String>, StoreError> {
    let mut found = verdict::neighbours(tx, unit, place, &LEADING, Some(namespaces)).await?;
    let routes = verdict::neighbours(tx, unit, place, &ROUTES, None).await?;
    let backends = routes.iter().flat_map(|route| {
        risk::backends(route.kind, &route.name, route.namespace.as_deref().unwrap_or_default(), &route.config)
    });
    let behind: BTreeSet<String> = backends.map(|backend| backend.namespace).collect();
    found.extend(routes);
    Ok(leads(&found, place.cloud).into_keys().chain(behind).collect())
}

/// Rules as they hold for one resource.
pub(crate) struct Grader<'a> {
    stand: &'a Stand,
    rules: Vec<&'a Rule>,
}

impl<'a> Grader<'a> {
    pub(crate) fn new(rules: &'a Rules, stand: &'a Stand) -> Self {
        let place = Place { namespace: stand.context.namespace.as_deref(), labels: &stand.labels };
        Self { rules: rules_at(&rules.governance, place), stand }
    }

    /// How a finding stands; `severity` as the store has it, 1 to 5.
    pub(crate) fn standing(&self, severity: i16, control: &str) -> Standing {
        let severity = usize::try_from(severity - 1).ok().and_then(|index| Severity::ALL.get(index).copied());
        let severity = severity.unwrap_or(Severity::Critical);
        let risk = risk::level(severity, self.stand.context.weight);
        let place = Place { namespace: self.stand.context.namespace.as_deref(), labels: &self.stand.labels };
        let decision = decide(&self.rules, place, Subject { severity, risk, control });
        let risk = Risk::ALL.iter().position(|level| *level == risk).map_or(1, |index| index as i16 + 1);
        let Some(decision) = decision else { return Standing { risk, ..Standing::default() } };
        Standing {
            risk,
            rule: Some(decision.rule),
            owner: decision.owner,
            due_days: decision.due_days,
            grace_period_days: decision.grace_period_days,
        }
    }

    /// Tells new findings how they stand.
    pub(crate) fn grade(&self, findings: &mut [FindingWrite]) {
        for finding in findings.iter_mut().filter(|finding| finding.before.is_none()) {
            finding.standing = self.standing(finding.severity, &finding.control_id);
        }
    }
}

/// Stores the contexts of some resources and brings their findings into line, where anything differs. Of `new` resources
/// every finding is told already.
pub(crate) async fn settle(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    rules: &Rules,
    (old, new): (&[Stand], &[Stand]),
) -> Result<(), StoreError> {
    let contexts: Vec<_> = old.iter().chain(new).map(|stand| stand.context.clone()).collect();
    context::write(tx, unit, &contexts).await?;
    if old.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = old.iter().map(|stand| stand.context.resource_id).collect();
    governance::copy_assignments(tx, &ids).await?;
    let graders: HashMap<Uuid, Grader<'_>> =
        old.iter().map(|stand| (stand.context.resource_id, Grader::new(rules, stand))).collect();
    let stored = governance::graded(tx, &ids).await?;
    let moved = stored.into_iter().filter_map(|finding| {
        let standing = graders.get(&finding.resource_id)?.standing(finding.severity, &finding.control_id);
        (standing != finding.standing).then_some(Graded { standing, ..finding })
    });
    governance::grade(tx, now, &moved.collect::<Vec<_>>()).await
}
