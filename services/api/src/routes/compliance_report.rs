use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use rampart_store::compliance::{self, Evidence};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::compliance::{Basis, Read, RequirementView, StandingView};
use super::compliance_export::{to_csv, to_html};
use super::frameworks::find;
use super::scope::ScopeQuery;
use crate::App;
use crate::http::{Answer, ApiError, Caller, Code, Params, PathOf, ReadFindings};

/// Findings of one control in a report.
const EACH: u16 = 50;

/// A report shows; it neither runs nor loads anything.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_compliance_report))
}

/// How far a framework is met, with the findings that say why not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComplianceReport)]
pub(super) struct Report {
    #[serde(flatten)]
    pub basis: Basis,
    #[serde(flatten)]
    pub standing: StandingView,
    /// In the publisher's order.
    pub requirements: Vec<RequirementView>,
    /// What is unhealthy, by control; each control once, however many requirements it answers.
    pub evidence: Vec<ControlEvidence>,
}

/// The unhealthy findings of a control.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ControlEvidence {
    #[schema(example = "k8s.pod.privileged")]
    pub control_id: String,
    pub title: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "high")]
    pub severity: String,
    /// Unhealthy findings in all.
    pub total: i64,
    /// The first of them, at most 50.
    pub findings: Vec<FindingEvidence>,
}

/// One unhealthy finding.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FindingEvidence {
    /// Id of the finding.
    #[schema(example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")]
    pub finding_id: String,
    pub resource_id: Uuid,
    /// Null when the resource is gone.
    pub resource_native_id: Option<String>,
    pub kind: String,
    pub account: Option<String>,
    pub cluster_id: Option<Uuid>,
    /// Name of the cluster.
    pub cluster: Option<String>,
    pub namespace: Option<String>,
    /// One sentence that names the element and the value.
    pub message: String,
    /// The fields that decided: JSON pointers into the resource's configuration, or into that of another that is named.
    #[schema(example = json!(["/spec/containers/0/securityContext/privileged"]))]
    pub pointers: Vec<String>,
    pub first_seen: DateTime<Utc>,
}

impl From<Evidence> for FindingEvidence {
    fn from(row: Evidence) -> Self {
        let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let pointer = |fact: &Value| {
            let pointer = text(fact, "pointer")?;
            Some(text(fact, "resource").map_or_else(|| pointer.clone(), |other| format!("{other} {pointer}")))
        };
        let facts = row.evidence.get("facts").and_then(Value::as_array);
        Self {
            finding_id: format!("{}.{}", row.resource_id, row.ordinal),
            resource_id: row.resource_id,
            resource_native_id: row.native_id,
            kind: row.kind,
            account: row.account,
            cluster_id: row.cluster_id,
            cluster: row.cluster,
            namespace: row.namespace,
            message: text(&row.evidence, "message").unwrap_or_default(),
            pointers: facts.map(|facts| facts.iter().filter_map(pointer).collect()).unwrap_or_default(),
            first_seen: row.first_seen,
        }
    }
}

/// Every unhealthy control of the requirements once, with its findings.
fn by_control(requirements: &[RequirementView], rows: Vec<Evidence>) -> Vec<ControlEvidence> {
    let mut found: BTreeMap<String, Vec<FindingEvidence>> = BTreeMap::new();
    for row in rows {
        found.entry(row.control_id.clone()).or_default().push(row.into());
    }
    let mut seen = BTreeSet::new();
    let controls = requirements.iter().flat_map(|requirement| &requirement.controls);
    let unhealthy = controls.filter(|control| control.unhealthy > 0 && seen.insert(control.control_id.as_str()));
    unhealthy
        .map(|control| ControlEvidence {
            control_id: control.control_id.clone(),
            title: control.title.clone(),
            severity: control.severity.clone(),
            total: control.unhealthy,
            findings: found.remove(&control.control_id).unwrap_or_default(),
        })
        .collect()
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FormatWord {
    #[default]
    Json,
    Csv,
    Html,
}

/// Which form the report has, and the part of the tenant that it is about; without any, all that the caller may see.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// `json`; `csv`: a line for every finding, and for every requirement or control without one; `html`: a page for
    /// people that needs nothing else.
    #[serde(default)]
    #[param(inline)]
    format: FormatWord,
    /// A cloud account with its clusters.
    account: Option<String>,
    /// Id of a cluster.
    cluster: Option<Uuid>,
    /// A namespace of `cluster`.
    namespace: Option<String>,
}

/// Get a report of a framework: every requirement with its verdicts, and the evidence of what is unhealthy.
///
/// At most 50 findings of each control are in it, beside their number; `GET /v1/findings?control=…` has all of them.
#[utoipa::path(get, path = "/v1/compliance/{framework}/report", tag = "compliance",
    params(("framework" = String, Path, example = "cis-eks-1.8.0"), ReportQuery),
    responses((status = 200, content((Report = "application/json"), (String = "text/csv"), (String = "text/html")))))]
async fn get_compliance_report(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<String>,
    Params(query): Params<ReportQuery>,
) -> Result<Response, ApiError> {
    let framework = find(&app, &id)?;
    let scope = ScopeQuery { account: query.account, cluster: query.cluster, namespace: query.namespace }.scope()?;
    let mut read = Read::new(&app, &caller, scope).await?;
    let (standing, requirements) = read.standing(framework);
    let unhealthy = requirements.iter().flat_map(|requirement| &requirement.controls);
    let unhealthy: BTreeSet<String> =
        unhealthy.filter(|control| control.unhealthy > 0).map(|control| control.control_id.clone()).collect();
    let controls: Vec<String> = unhealthy.into_iter().collect();
    let rows = compliance::evidence(&mut read.tx, &read.reach, &controls, EACH).await?;
    let evidence = by_control(&requirements, rows);
    let report = Report { basis: read.basis, standing, requirements, evidence };
    match query.format {
        FormatWord::Json => Ok(Answer::ok(report).into_response()),
        FormatWord::Csv => file(&report, "csv", "text/csv; charset=utf-8", to_csv(&report)),
        FormatWord::Html => file(&report, "html", "text/html; charset=utf-8", to_html(&report)),
    }
}

/// A file to keep.
fn file(
    report: &Report,
    ending: &str,
    content_type: &'static str,
    text: anyhow::Result<String>,
) -> Result<Response, ApiError> {
    let text = text.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), framework = report.standing.id, "a report could not be made");
        ApiError::new(Code::Internal, "the report could not be made")
    })?;
    let name = format!("{}-{}.{ending}", report.standing.id, report.basis.as_of.date_naive());
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment"))),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    Ok((headers, text).into_response())
}
