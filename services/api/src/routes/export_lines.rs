//! The lines of exports.

use chrono::{DateTime, SecondsFormat, Utc};
use rampart_content::Catalogue;
use rampart_store::finding::Exported;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::coverage::CoverageView;
use super::findings::{ExemptedBy, severity_word};
use super::recommendations::RecommendationView;
use super::resources::ResourceView;
use super::risk_factors::risk_word;
use crate::http::Line;

/// A finding with its evidence.
#[derive(Debug, Serialize)]
pub(super) struct FindingLine<'a> {
    id: String,
    control_id: &'a str,
    title: &'a str,
    severity: &'static str,
    risk_level: &'static str,
    status: &'a str,
    cause: &'a str,
    scored: bool,
    resource_id: Uuid,
    resource_name: Option<&'a str>,
    resource_native_id: Option<&'a str>,
    kind: &'a str,
    account: Option<&'a str>,
    cluster_id: Option<Uuid>,
    namespace: Option<&'a str>,
    owner: Option<&'a str>,
    due_at: Option<DateTime<Utc>>,
    overdue_at: Option<DateTime<Utc>>,
    governance_state: Option<&'a str>,
    exemption: Option<ExemptedBy>,
    first_seen: DateTime<Utc>,
    since: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    params: &'a RawValue,
    evidence: &'a RawValue,
}

impl<'a> FindingLine<'a> {
    pub(super) fn of(row: &'a Exported, catalogue: &'a Catalogue) -> Self {
        Self {
            id: format!("{}.{}", row.resource_id, row.ordinal),
            control_id: &row.control_id,
            title: catalogue.control(&row.control_id).map_or(&row.control_id, |control| &control.title),
            severity: severity_word(row.severity),
            risk_level: risk_word(row.risk),
            status: &row.status,
            cause: &row.cause,
            scored: row.scored,
            resource_id: row.resource_id,
            resource_name: row.resource_name.as_deref(),
            resource_native_id: row.native_id.as_deref(),
            kind: &row.kind,
            account: row.account.as_deref(),
            cluster_id: row.cluster_id,
            namespace: row.namespace.as_deref(),
            owner: row.owner.as_deref(),
            due_at: row.due_at,
            overdue_at: row.overdue_at,
            governance_state: row.governance_state.as_deref(),
            exemption: row.exemption_id.map(|id| ExemptedBy { id, name: row.exemption_name.clone() }),
            first_seen: row.first_seen,
            since: row.since,
            changed_at: row.changed_at,
            params: &row.params.0,
            evidence: &row.evidence.0,
        }
    }
}

impl Line for FindingLine<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "control_id",
        "title",
        "severity",
        "risk_level",
        "status",
        "cause",
        "scored",
        "resource_id",
        "resource_name",
        "resource_native_id",
        "kind",
        "account",
        "cluster_id",
        "namespace",
        "owner",
        "due_at",
        "overdue_at",
        "governance_state",
        "exemption_id",
        "exemption_name",
        "first_seen",
        "since",
        "changed_at",
        "params",
        "evidence",
    ];

    fn json(&self) -> impl Serialize {
        self
    }

    fn cells(&self) -> Vec<String> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let exemption = self.exemption.as_ref();
        vec![
            self.id.clone(),
            self.control_id.to_owned(),
            self.title.to_owned(),
            self.severity.to_owned(),
            self.risk_level.to_owned(),
            self.status.to_owned(),
            self.cause.to_owned(),
            self.scored.to_string(),
            self.resource_id.to_string(),
            text(self.resource_name),
            text(self.resource_native_id),
            self.kind.to_owned(),
            text(self.account),
            id(self.cluster_id),
            text(self.namespace),
            text(self.owner),
            time(self.due_at),
            time(self.overdue_at),
            text(self.governance_state),
            id(exemption.map(|exemption| exemption.id)),
            text(exemption.and_then(|exemption| exemption.name.as_deref())),
            time(Some(self.first_seen)),
            time(Some(self.since)),
            time(Some(self.changed_at)),
            self.params.get().to_owned(),
            self.evidence.get().to_owned(),
        ]
    }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)).unwrap_or_default()
}

/// A resource with its configuration.
#[derive(Debug, Serialize)]
pub(super) struct ResourceLine<'a> {
    #[serde(flatten)]
    pub(super) resource: ResourceView,
    pub(super) revision: i64,
    pub(super) connector_id: Uuid,
    pub(super) config: Option<&'a RawValue>,
}

impl Line for ResourceLine<'_> {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "native_id",
        "kind",
        "name",
        "cloud",
        "account",
        "region",
        "cluster_id",
        "namespace",
        "labels",
        "managed_by",
        "owner_id",
        "active",
        "first_seen",
        "changed_at",
        "health.status",
        "health.unhealthy",
        "health.exempt",
        "revision",
        "connector_id",
        "config",
    ];

    fn json(&self) -> impl Serialize {
        self
    }

    fn cells(&self) -> Vec<String> {
        cells(self, Self::COLUMNS)
    }
}

impl Line for RecommendationView {
    const COLUMNS: &'static [&'static str] = &[
        "control_id",
        "title",
        "severity",
        "group",
        "affected",
        "risk_levels.low",
        "risk_levels.medium",
        "risk_levels.high",
        "risk_levels.critical",
        "healthy",
        "unknown",
        "stale",
        "not_applicable",
        "exempt",
        "score_gain",
    ];

    fn json(&self) -> impl Serialize {
        self
    }

    fn cells(&self) -> Vec<String> {
        cells(self, Self::COLUMNS)
    }
}

impl Line for CoverageView {
    const COLUMNS: &'static [&'static str] = &[
        "connector_id",
        "scope",
        "kind",
        "cloud",
        "account",
        "region",
        "cluster_id",
        "state",
        "message",
        "remedy",
        "resources",
        "attempted_at",
        "whole_at",
    ];

    fn json(&self) -> impl Serialize {
        self
    }

    fn cells(&self) -> Vec<String> {
        cells(self, Self::COLUMNS)
    }
}

/// The fields of a view, by their dotted names: texts as they are, nothing for null, JSON for the rest.
fn cells(view: &impl Serialize, columns: &[&str]) -> Vec<String> {
    let view = serde_json::to_value(view).unwrap_or_default();
    let field = |column: &&str| column.split('.').try_fold(&view, |value, key| value.get(key));
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    columns.iter().map(|column| text(field(column))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_found_by_their_dotted_names() {
        let view = json!({"id": "a", "none": null, "health": {"status": "healthy", "unhealthy": {"high": 1}}});
        let found = cells(&view, &["id", "none", "absent.more", "health.status", "health.unhealthy"]);
        assert_eq!(found, ["a", "", "", "healthy", "{\"high\":1}"]);
    }
}
