//! One file per noun: its operations and its views.

mod access_receipt;
mod accounts;
mod admission_policy;
mod assignments;
mod audit_log;
mod aws_source;
mod azure_source;
mod batches;
mod clusters;
mod collectors;
mod compliance;
mod compliance_export;
mod compliance_report;
mod compliance_status;
mod connector_source;
mod connectors;
mod controls;
mod coverage;
mod criticality_rules;
mod custom_controls;
mod custom_source;
mod disabled_controls;
mod exemption_preview;
mod exemption_terms;
mod exemptions;
mod export_lines;
mod exports;
mod finding_assignments;
mod finding_bundles;
mod finding_diff;
mod findings;
mod fix_unit_outliers;
mod fix_unit_remediation;
mod fix_units;
mod frameworks;
mod gcp_source;
mod governance;
mod governance_rules;
mod identity_providers;
mod images;
mod initiatives;
mod issuer;
mod jobs;
mod kubernetes_source;
mod label_selector;
mod not_applicable;
mod onboarding;
mod pod_security_readiness;
mod policies;
mod policy_trials;
mod preflights;
mod previews;
mod pricings;
mod recommendations;
mod resource_diff;
mod resources;
mod risk_factors;
mod scan_estimate;
mod scan_events;
mod scans;
mod scope;
mod secure_score;
mod secure_score_history;
mod selection;
mod templates;
mod tenant;
mod tokens;
mod webhook_deliveries;
mod webhooks;
mod what_if;
mod what_if_change;
mod what_if_outcome;

use utoipa_axum::router::OpenApiRouter;

pub use templates::permissions as template_permissions;

use crate::App;

/// Every operation.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(crate::document::base())
        .merge(connectors::router())
        .merge(collectors::router())
        .merge(batches::router())
        .merge(preflights::router())
        .merge(access_receipt::router())
        .merge(scan_estimate::router())
        .merge(accounts::router())
        .merge(previews::router())
        .merge(pricings::router())
        .merge(scans::router())
        .merge(scan_events::router())
        .merge(clusters::router())
        .merge(resources::router())
        .merge(resource_diff::router())
        .merge(images::router())
        .merge(findings::router())
        .merge(finding_diff::router())
        .merge(exports::router())
        .merge(criticality_rules::router())
        .merge(finding_assignments::router())
        .merge(finding_bundles::router())
        .merge(fix_unit_outliers::router())
        .merge(fix_units::router())
        .merge(governance::router())
        .merge(governance_rules::router())
        .merge(recommendations::router())
        .merge(pod_security_readiness::router())
        .merge(not_applicable::router())
        .merge(controls::router())
        .merge(admission_policy::router())
        .merge(custom_controls::router())
        .merge(policies::router())
        .merge(policy_trials::router())
        .merge(frameworks::router())
        .merge(initiatives::router())
        .merge(assignments::router())
        .merge(exemptions::router())
        .merge(exemption_preview::router())
        .merge(disabled_controls::router())
        .merge(secure_score::router())
        .merge(secure_score_history::router())
        .merge(compliance::router())
        .merge(compliance_report::router())
        .merge(what_if::router())
        .merge(coverage::router())
        .merge(tenant::router())
        .merge(tokens::router())
        .merge(identity_providers::router())
        .merge(audit_log::router())
        .merge(webhooks::router())
        .merge(webhook_deliveries::router())
        .merge(templates::router())
        .merge(issuer::router())
}

/// A number of rows with one value of a column.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct GroupCount {
    /// The value; null for rows without one.
    pub key: Option<String>,
    /// How many rows.
    pub count: i64,
}

impl From<rampart_store::resource::Count> for GroupCount {
    fn from(count: rampart_store::resource::Count) -> Self {
        Self { key: count.key, count: count.count }
    }
}

/// Names that callers choose: letters, digits, `-`, `_` and `.`, 1 to 100, not in the form of an id.
pub(crate) fn check_name(errors: &mut crate::http::FieldErrors, field: &str, name: &str) {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let fits = (1..=100).contains(&name.len()) && plain && name.parse::<uuid::Uuid>().is_err();
    errors.check(fits, field, "must be 1 to 100 letters, digits, `-`, `_` or `.`, and not look like an id");
}

/// Patterns of names: at most 100, each of 1 to 200 characters.
pub(crate) fn check_patterns(errors: &mut crate::http::FieldErrors, field: &str, patterns: &[String]) {
    errors.check(patterns.len() <= 100, field, "must be at most 100");
    for (index, pattern) in patterns.iter().enumerate() {
        let fits = (1..=200).contains(&pattern.chars().count());
        errors.check(fits, &format!("{field}/{index}"), "must have 1 to 200 characters");
    }
}

/// Who mends findings: an e-mail address or the name of a team, as it is shown and searched for.
pub(crate) fn check_owner(errors: &mut crate::http::FieldErrors, field: &str, owner: &str) {
    let fits = (1..=200).contains(&owner.chars().count()) && owner.trim() == owner && !owner.contains(char::is_control);
    errors.check(fits, field, "must have 1 to 200 characters, without space around");
}
