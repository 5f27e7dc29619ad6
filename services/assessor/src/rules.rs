use rampart_domain::{Criticality, Severity, UnitId, glob_matches, hash_json, selects};
use rampart_posture::governance::Rule;
use rampart_store::governance_rule::{self, GovernanceRule};
use rampart_store::verdict::UnitPlace;
use rampart_store::{AccessScope, StoreError, TenantTx, context, criticality_rule};
use serde_json::{Map, Value, json};

/// Rises when the same rules come to give findings another standing.
const VERSION: u32 = 1;

/// What decides how the findings of a unit stand, besides its resources.
pub(crate) struct Rules {
    /// In the order in which they are asked.
    pub(crate) governance: Vec<Rule>,
    criticality: Vec<Importance>,
    /// Name and labels of the cluster, as its cloud tells of it.
    pub(crate) cluster: Option<(String, Map<String, Value>)>,
    /// Changes with any of the above.
    pub(crate) fingerprint: Vec<u8>,
}

/// A criticality rule that holds somewhere in the unit.
struct Importance {
    name: String,
    level: Criticality,
    namespace: Option<String>,
    namespaces: Vec<String>,
    selector: Option<Value>,
}

impl Rules {
    /// Reads the rules that reach into a unit.
    pub(crate) async fn load(tx: &mut TenantTx, unit: UnitId, place: &UnitPlace) -> Result<Self, StoreError> {
        let reaches = |scope: &AccessScope| match scope {
            AccessScope::Tenant => true,
            AccessScope::Account(account) => place.account.as_ref() == Some(account),
            AccessScope::Cluster(cluster) | AccessScope::Namespace(cluster, _) => UnitId::from(*cluster) == unit,
        };
        let governance = governance_rule::all(tx).await?;
        let governance: Vec<Rule> =
            governance.into_iter().filter(|it| it.rule.enabled && reaches(&it.rule.scope)).map(rule).collect();
        let criticality = criticality_rule::all(tx).await?;
        let criticality: Vec<Importance> = criticality
            .into_iter()
            .map(|it| it.rule)
            .filter(|it| it.enabled && reaches(&it.scope))
            .map(|it| Importance {
                namespace: namespace(&it.scope),
                name: it.name,
                level: it.level,
                namespaces: it.namespaces,
                selector: it.selector,
            })
            .collect();
        let clusters = if place.is_cluster { context::cluster_labels(tx, unit).await? } else { Vec::new() };
        let cluster = clusters.into_iter().next();
        let cluster = cluster.map(|(name, labels)| (name, labels.as_object().cloned().unwrap_or_default()));
        let fingerprint = fingerprint(&governance, &criticality, cluster.as_ref());
        Ok(Self { governance, criticality, cluster, fingerprint })
    }

    /// How much depends on a resource, and the rule that says so; the highest level of all that match.
    pub(crate) fn importance(
        &self,
        namespace: Option<&str>,
        labels: &Map<String, Value>,
    ) -> Option<(Criticality, &str)> {
        let matches = |it: &&Importance| {
            it.namespace.as_deref().is_none_or(|own| namespace == Some(own))
                && (it.namespaces.is_empty()
                    || namespace.is_some_and(|name| it.namespaces.iter().any(|glob| glob_matches(glob, name))))
                && it.selector.as_ref().is_none_or(|selector| selects(selector, labels))
        };
        let mut matching = self.criticality.iter().filter(matches);
        let first = matching.next()?;
        // Of equal ones the first by name.
        let strongest = matching.fold(first, |best, other| if other.level > best.level { other } else { best });
        Some((strongest.level, &strongest.name))
    }
}

fn namespace(scope: &AccessScope) -> Option<String> {
    match scope {
        AccessScope::Namespace(_, namespace) => Some(namespace.clone()),
        _ => None,
    }
}

fn rule(stored: GovernanceRule) -> Rule {
    let GovernanceRule { id, rule, .. } = stored;
    let mut due_days = [None; 5];
    for (days, severity) in due_days.iter_mut().zip(Severity::ALL) {
        *days = rule.due_days.get(severity).copied();
    }
    Rule {
        id: id.0,
        namespace: namespace(&rule.scope),
        severities: rule.severities,
        risks: rule.risks,
        controls: rule.controls,
        selector: rule.selector,
        owner: rule.owner,
        owner_label: rule.owner_label,
        due_days,
        grace_period_days: rule.grace_period_days,
    }
}

fn fingerprint(
    governance: &[Rule],
    criticality: &[Importance],
    cluster: Option<&(String, Map<String, Value>)>,
) -> Vec<u8> {
    let governance: Vec<Value> = governance
        .iter()
        .map(|r| {
            let matched = json!([r.namespace, r.severities, r.risks, r.controls, r.selector]);
            json!([r.id, matched, r.owner, r.owner_label, r.due_days, r.grace_period_days])
        })
        .collect();
    let criticality: Vec<Value> =
        criticality.iter().map(|it| json!([it.name, it.level, it.namespace, it.namespaces, it.selector])).collect();
    hash_json(&json!([VERSION, governance, criticality, cluster])).0.to_vec()
}
