use chrono::{DateTime, SecondsFormat, Utc};
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::compliance::{Basis, ControlView, RequirementView};
use super::compliance_report::{ControlEvidence, FindingEvidence, Report};
use super::scope::Scope;
use crate::http::inert;

/// The page; everything in it is escaped as HTML, which its name asks for.
const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/compliance.html"));
const PAGE_NAME: &str = "compliance.html";

const COLUMNS: [&str; 26] = [
    "framework",
    "version",
    "as_of",
    "scope",
    "requirement",
    "requirement_title",
    "level",
    "status",
    "reason",
    "control",
    "control_title",
    "severity",
    "healthy",
    "unhealthy",
    "not_applicable",
    "unknown",
    "stale",
    "exempt",
    "resource",
    "kind",
    "account",
    "cluster",
    "namespace",
    "message",
    "pointers",
    "first_seen",
];

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn scope(basis: &Basis) -> String {
    let scope = match &basis.scope {
        Scope::Tenant {} => "tenant".to_owned(),
        Scope::Account { account } => format!("account {account}"),
        Scope::Cluster { cluster_id } => format!("cluster {cluster_id}"),
        Scope::Namespace { cluster_id, namespace } => format!("namespace {namespace} of cluster {cluster_id}"),
    };
    if basis.narrowed { format!("{scope}, as far as the token sees it") } else { scope }
}

fn level(requirement: &RequirementView) -> String {
    requirement.level.map(|level| level.to_string()).unwrap_or_default()
}

fn cluster(finding: &FindingEvidence) -> String {
    finding.cluster.clone().or_else(|| finding.cluster_id.map(|id| id.to_string())).unwrap_or_default()
}

fn evidence_of<'r>(report: &'r Report, control: &ControlView) -> Option<&'r ControlEvidence> {
    report.evidence.iter().find(|evidence| evidence.control_id == control.control_id)
}

/// A line for every finding, and for every requirement or control that has none. Each says of which report it is, so
/// that the lines of many can lie together.
pub(super) fn to_csv(report: &Report) -> anyhow::Result<String> {
    let mut text = Vec::new();
    {
        let mut writer = csv::Writer::from_writer(&mut text);
        writer.write_record(COLUMNS)?;
        let mut write = |requirement: &RequirementView, control, finding| {
            let line = line(report, requirement, control, finding);
            writer.write_record(line.into_iter().map(inert))
        };
        for requirement in &report.requirements {
            if requirement.controls.is_empty() {
                write(requirement, None, None)?;
            }
            for control in &requirement.controls {
                let findings: &[FindingEvidence] =
                    evidence_of(report, control).map_or(&[], |evidence| evidence.findings.as_slice());
                if findings.is_empty() {
                    write(requirement, Some(control), None)?;
                }
                for finding in findings {
                    write(requirement, Some(control), Some(finding))?;
                }
            }
        }
        writer.flush()?;
    }
    Ok(String::from_utf8(text)?)
}

fn line(
    report: &Report,
    requirement: &RequirementView,
    control: Option<&ControlView>,
    finding: Option<&FindingEvidence>,
) -> [String; COLUMNS.len()] {
    let of_control = |part: fn(&ControlView) -> String| control.map(part).unwrap_or_default();
    let of_finding = |part: fn(&FindingEvidence) -> String| finding.map(part).unwrap_or_default();
    [
        report.standing.id.clone(),
        report.standing.version.clone(),
        time(report.basis.as_of),
        scope(&report.basis),
        requirement.id.clone(),
        requirement.title.clone(),
        level(requirement),
        requirement.status.as_str().to_owned(),
        requirement.reason.clone().unwrap_or_default(),
        of_control(|control| control.control_id.clone()),
        of_control(|control| control.title.clone()),
        of_control(|control| control.severity.clone()),
        of_control(|control| control.healthy.to_string()),
        of_control(|control| control.unhealthy.to_string()),
        of_control(|control| control.not_applicable.to_string()),
        of_control(|control| control.unknown.to_string()),
        of_control(|control| control.stale.to_string()),
        of_control(|control| control.exempt.to_string()),
        of_finding(|finding| finding.resource_native_id.clone().unwrap_or_else(|| finding.resource_id.to_string())),
        of_finding(|finding| finding.kind.clone()),
        of_finding(|finding| finding.account.clone().unwrap_or_default()),
        of_finding(cluster),
        of_finding(|finding| finding.namespace.clone().unwrap_or_default()),
        of_finding(|finding| finding.message.clone()),
        of_finding(|finding| finding.pointers.join(" ")),
        of_finding(|finding| time(finding.first_seen)),
    ]
}

/// A page for people, in one piece.
pub(super) fn to_html(report: &Report) -> anyhow::Result<String> {
    let (basis, standing) = (&report.basis, &report.standing);
    let requirements: Vec<Value> = report.requirements.iter().map(requirement_value).collect();
    let evidence: Vec<Value> = report.evidence.iter().map(evidence_value).collect();
    let values = context! {
        title => standing.title.clone(),
        version => standing.version.clone(),
        publisher => standing.publisher.clone(),
        as_of => time(basis.as_of),
        scope => scope(basis),
        listings => basis.listings,
        whole => basis.whole,
        percent => standing.percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1} %")),
        passed => standing.passed,
        failed => standing.failed,
        unknown => standing.unknown,
        manual => standing.manual,
        not_assessed => standing.not_assessed,
        requirements,
        evidence,
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    Ok(environment.render_named_str(PAGE_NAME, PAGE, values)?)
}

fn requirement_value(requirement: &RequirementView) -> Value {
    let control = |control: &ControlView| {
        context! {
            id => control.control_id.clone(), healthy => control.healthy, unhealthy => control.unhealthy,
            not_applicable => control.not_applicable, unknown => control.unknown, stale => control.stale,
            exempt => control.exempt,
        }
    };
    let controls: Vec<Value> = requirement.controls.iter().map(control).collect();
    context! {
        id => requirement.id.clone(),
        title => requirement.title.clone(),
        level => level(requirement),
        status => requirement.status.as_str(),
        reason => requirement.reason.clone().unwrap_or_default(),
        controls,
    }
}

fn evidence_value(evidence: &ControlEvidence) -> Value {
    let finding = |finding: &FindingEvidence| {
        context! {
            resource => finding.resource_native_id.clone().unwrap_or_else(|| finding.resource_id.to_string()),
            kind => finding.kind.clone(),
            account => finding.account.clone().unwrap_or_default(),
            cluster => cluster(finding),
            namespace => finding.namespace.clone().unwrap_or_default(),
            message => finding.message.clone(),
            pointers => finding.pointers.clone(),
            first_seen => time(finding.first_seen),
        }
    };
    let findings: Vec<Value> = evidence.findings.iter().map(finding).collect();
    context! {
        id => evidence.control_id.clone(),
        title => evidence.title.clone(),
        severity => evidence.severity.clone(),
        total => evidence.total,
        shown => evidence.findings.len(),
        findings,
    }
}
