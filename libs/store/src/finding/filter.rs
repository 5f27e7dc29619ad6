use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{COVERED_BY, FRESH};
use crate::moment::Rows;
use crate::page::Page;
use crate::{StoreError, Visible};

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The worst first.
    #[default]
    Severity,
    /// The oldest change first, so that a reader can follow along.
    ChangedAt,
    /// The riskiest first, and of those the most severe.
    Risk,
    /// The earliest due date first; without those that have none.
    DueAt,
}

impl Sort {
    pub(super) const fn order(self) -> &'static str {
        match self {
            Self::Severity => " order by f.severity desc, f.resource_id desc, f.ordinal desc",
            Self::ChangedAt => " order by f.changed_at, f.resource_id, f.ordinal",
            Self::Risk => " order by f.risk desc, f.severity desc, f.resource_id desc, f.ordinal desc",
            Self::DueAt => " order by f.due_at, f.resource_id, f.ordinal",
        }
    }

    pub(super) fn push_after(self, query: &mut QueryBuilder<Postgres>, page: &Page) -> Result<(), StoreError> {
        match self {
            Self::Severity => {
                if let Some((severity, resource, ordinal)) = page.after::<(i16, Uuid, i32)>()? {
                    query.push(" and (f.severity, f.resource_id, f.ordinal) < (").push_bind(severity);
                    query.push(", ").push_bind(resource).push(", ").push_bind(ordinal).push(")");
                }
            }
            Self::ChangedAt => {
                if let Some((at, resource, ordinal)) = page.after::<(DateTime<Utc>, Uuid, i32)>()? {
                    query.push(" and (f.changed_at, f.resource_id, f.ordinal) > (").push_bind(at);
                    query.push(", ").push_bind(resource).push(", ").push_bind(ordinal).push(")");
                }
            }
            Self::Risk => {
                if let Some((risk, severity, resource, ordinal)) = page.after::<(i16, i16, Uuid, i32)>()? {
                    query.push(" and (f.risk, f.severity, f.resource_id, f.ordinal) < (").push_bind(risk);
                    query.push(", ").push_bind(severity).push(", ").push_bind(resource);
                    query.push(", ").push_bind(ordinal).push(")");
                }
            }
            Self::DueAt => {
                query.push(" and f.due_at is not null");
                if let Some((at, resource, ordinal)) = page.after::<(DateTime<Utc>, Uuid, i32)>()? {
                    query.push(" and (f.due_at, f.resource_id, f.ordinal) > (").push_bind(at);
                    query.push(", ").push_bind(resource).push(", ").push_bind(ordinal).push(")");
                }
            }
        }
        Ok(())
    }
}

/// What findings can be counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    /// Control.
    Control,
    /// Severity, 1 to 5.
    Severity,
    /// Id of their cluster.
    Cluster,
    /// Kubernetes namespace.
    Namespace,
    /// Kind of their resource.
    Kind,
    /// Status.
    Status,
    /// Risk level, 1 to 4.
    Risk,
    /// Who mends them.
    Owner,
}

impl Facet {
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Control => "f.control_id",
            Self::Severity => "f.severity",
            Self::Cluster => "f.cluster_id",
            Self::Namespace => "f.namespace",
            Self::Kind => "f.kind",
            Self::Status => "f.status",
            Self::Risk => "f.risk",
            Self::Owner => "f.owner",
        }
    }
}

/// Which findings to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// With one of these statuses; empty means any.
    pub statuses: Vec<String>,
    /// With one of these severities, 1 to 5; empty means any.
    pub severities: Vec<i16>,
    /// Of one of these controls; empty means any.
    pub controls: Vec<String>,
    /// On resources of one of these kinds; empty means any.
    pub kinds: Vec<String>,
    /// In this cluster.
    pub cluster: Option<Uuid>,
    /// In this account.
    pub account: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// On this resource.
    pub resource: Option<Uuid>,
    /// On resources of this fix unit.
    pub fix_unit: Option<Uuid>,
    /// Whose status came about so.
    pub cause: Option<String>,
    /// Exempt by this exemption.
    pub exemption: Option<Uuid>,
    /// Resting on facts that could not be read again (or not).
    pub stale: Option<bool>,
    /// Changed at or after this time.
    pub changed_since: Option<DateTime<Utc>>,
    /// At one of these risk levels, 1 to 4; empty means any.
    pub risks: Vec<i16>,
    /// Mended by this owner.
    pub owner: Option<String>,
    /// With an owner (or without).
    pub owned: Option<bool>,
    /// Past due date and grace period (or not).
    pub overdue: Option<bool>,
    /// Due before this time.
    pub due_before: Option<DateTime<Utc>>,
}

impl Filter {
    /// The same filter over the counters of unhealthy findings, where they can tell how many there are per value.
    pub(super) fn over_counts(&self, visible: &Visible, facet: Facet) -> Option<Self> {
        let is_counted = matches!(facet, Facet::Control | Facet::Severity | Facet::Risk);
        let over = Self { statuses: Vec::new(), ..self.clone() };
        let mut rest = over.clone();
        rest.severities.clear();
        rest.controls.clear();
        rest.risks.clear();
        rest.cluster = None;
        let is_unhealthy = self.statuses == ["unhealthy"];
        (is_counted && is_unhealthy && visible.all && rest == Self::default()).then_some(over)
    }

    /// Appends ` where …` over the alias `f`.
    pub(crate) fn push(&self, query: &mut QueryBuilder<Postgres>, tenant: Uuid, visible: &Visible, rows: Rows) {
        query.push(" where f.tenant_id = ").push_bind(tenant);
        rows.push(query, "f");
        for (column, values) in
            [("f.status", &self.statuses), ("f.control_id", &self.controls), ("f.kind", &self.kinds)]
        {
            match values.as_slice() {
                [] => {}
                // Equality, not a set: it keeps the order of an index.
                [value] => {
                    query.push(format!(" and {column} = ")).push_bind(value.clone());
                }
                values => {
                    query.push(format!(" and {column} = any(")).push_bind(values.to_vec()).push(")");
                }
            }
        }
        push_levels(query, "f.severity", &self.severities);
        push_levels(query, "f.risk", &self.risks);
        if let Some(owned) = self.owned {
            query.push(if owned { " and f.owner is not null" } else { " and f.owner is null" });
        }
        match self.overdue {
            None => {}
            // What is overdue is past its due date, which has an index.
            Some(true) => {
                query.push(" and f.due_at <= ");
                rows.push_now(query);
                query.push(" and f.overdue_at <= ");
                rows.push_now(query);
            }
            Some(false) => {
                query.push(" and (f.overdue_at is null or f.overdue_at > ");
                rows.push_now(query);
                query.push(")");
            }
        }
        if let Some(before) = self.due_before {
            query.push(" and f.due_at < ").push_bind(before);
        }
        for (column, value) in [
            ("f.account", &self.account),
            ("f.namespace", &self.namespace),
            ("f.cause", &self.cause),
            ("f.owner", &self.owner),
        ] {
            if let Some(value) = value {
                query.push(format!(" and {column} = ")).push_bind(value.clone());
            }
        }
        if let Some(cluster) = self.cluster {
            // The unit of what belongs to a cluster is the cluster; the index is on the unit.
            query.push(" and f.unit_id = ").push_bind(cluster);
        }
        if let Some(resource) = self.resource {
            query.push(" and f.resource_id = ").push_bind(resource);
        }
        if let Some(unit) = self.fix_unit {
            query.push(" and f.resource_id in (select resource_id from resource_sources where tenant_id = ");
            query.push_bind(tenant).push(" and fix_unit_id = ").push_bind(unit).push(")");
        }
        if let Some(exemption) = self.exemption {
            query.push(" and f.exemption_id = ").push_bind(exemption);
        }
        if let Some(since) = self.changed_since {
            query.push(" and f.changed_at >= ").push_bind(since);
        }
        if let Some(stale) = self.stale {
            query.push(format!(
                " and {} exists (select from resources r where r.tenant_id = f.tenant_id
                  and r.resource_id = f.resource_id and not exists ({FRESH}{COVERED_BY}))",
                if stale { "" } else { "not" }
            ));
        }
        visible.push(query, "f");
    }
}

/// Appends that a column has one of some values; any, without values. Equality and bounds keep the order of an index, which a
/// set does not.
fn push_levels(query: &mut QueryBuilder<Postgres>, column: &str, values: &[i16]) {
    let (Some(least), Some(most)) = (values.iter().min(), values.iter().max()) else { return };
    if least == most {
        query.push(format!(" and {column} = ")).push_bind(*least);
        return;
    }
    query.push(format!(" and {column} between ")).push_bind(*least).push(" and ").push_bind(*most);
    query.push(format!(" and {column} = any(")).push_bind(values.to_vec()).push(")");
}
