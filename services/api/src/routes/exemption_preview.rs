use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use rampart_content::Catalogue;
use rampart_domain::exemption::Cover;
use rampart_store::exemption::{self, Candidate};
use rampart_store::finding;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::exemption_terms::{ExemptionCondition, controls_of, must_decide, read_selected, read_where, refuse_unknown};
use super::findings::severity_word;
use crate::App;
use crate::app::control_title;
use crate::http::{Answer, ApiError, Caller, Code, FieldErrors, ManagePolicy, Payload};

/// Findings read at once.
const AT_ONCE: u16 = 5_000;
/// Findings shown.
const SAMPLE: usize = 20;
/// Namespaces and accounts shown.
const OWNERS: usize = 50;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(preview_exemption))
}

/// What an exemption would say.
#[derive(Debug, Deserialize, ToSchema)]
struct PreviewExemption {
    /// Ids of controls or `prefix.*`.
    controls: Option<Vec<String>>,
    /// Instead of `controls`: id of a built-in initiative or name of a custom one.
    initiative: Option<String>,
    #[schema(value_type = ExemptionCondition)]
    r#where: Value,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Map<String, Value>,
}

/// What an exemption would hide.
#[derive(Debug, Serialize, ToSchema)]
struct ExemptionPreview {
    /// Findings that are unhealthy now and would be exempt.
    findings: usize,
    /// Resources that these are about.
    resources: usize,
    /// Findings that would stay unhealthy, because only some of the elements that violate are covered.
    partly: usize,
    /// Controls that it would hide something of, the most first.
    by_control: Vec<ControlPreview>,
    /// Where it would hide something, the most first, at most 50.
    by_place: Vec<PlacePreview>,
    /// Some of the findings, at most 20.
    sample: Vec<SampleView>,
}

/// What would be hidden of a control.
#[derive(Debug, Serialize, ToSchema)]
struct ControlPreview {
    #[schema(example = "k8s.pod.privileged")]
    control_id: String,
    title: String,
    findings: usize,
}

/// What would be hidden in a namespace, or in what has none of a cluster or account.
#[derive(Debug, Serialize, ToSchema)]
struct PlacePreview {
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    findings: usize,
}

/// A finding that would be hidden.
#[derive(Debug, Serialize, ToSchema)]
struct SampleView {
    /// Id of the finding.
    #[schema(example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")]
    finding_id: String,
    control_id: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    severity: &'static str,
    resource_id: Uuid,
    resource_name: Option<String>,
    kind: String,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    /// One sentence that names the element and the value.
    message: String,
}

/// Account, cluster and namespace.
type Place = (Option<String>, Option<Uuid>, Option<String>);

#[derive(Default)]
struct Counted {
    findings: usize,
    partly: usize,
    resources: BTreeSet<Uuid>,
    by_control: BTreeMap<String, usize>,
    by_place: BTreeMap<Place, usize>,
    sample: Vec<(Uuid, i32)>,
}

impl Counted {
    fn add(&mut self, candidate: Candidate) {
        self.findings += 1;
        self.resources.insert(candidate.resource_id);
        if self.sample.len() < SAMPLE {
            self.sample.push((candidate.resource_id, candidate.ordinal));
        }
        *self.by_control.entry(candidate.control_id).or_default() += 1;
        let place = (candidate.account, candidate.cluster_id, candidate.namespace);
        *self.by_place.entry(place).or_default() += 1;
    }
}

/// Try what an exemption would hide, without making it.
///
/// From the findings as they are stored: what an assessment would make of them with this exemption.
#[utoipa::path(post, path = "/v1/exemptions/preview", tag = "exemptions", request_body = PreviewExemption,
    responses((status = 200, body = ExemptionPreview)))]
async fn preview_exemption(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    Payload(body): Payload<PreviewExemption>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let mut errors = FieldErrors::default();
    refuse_unknown(&mut errors, &body.rest);
    let selected = read_selected(&app, &mut tx, &mut errors, body.controls, body.initiative).await?;
    let condition = read_where(&mut errors, &body.r#where);
    errors.finish()?;
    let selected = selected.ok_or_else(|| ApiError::new(Code::InvalidBody, "give `controls` or `initiative`"))?;
    must_decide(&mut tx, &caller, &condition).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let controls = controls_of(&catalogue, &mut tx, &selected).await?;
    let visible = caller.visible_findings();
    let mut counted = Counted::default();
    let mut after = None;
    loop {
        let page = exemption::candidates(&mut tx, &visible, &controls, &condition, after, AT_ONCE).await?;
        let is_last = page.len() < usize::from(AT_ONCE);
        after = page.last().map(|candidate| (candidate.resource_id, candidate.ordinal));
        for candidate in page {
            match candidate.covered_by(&condition)? {
                Cover::Whole => counted.add(candidate),
                Cover::Part => counted.partly += 1,
                Cover::None => {}
            }
        }
        if is_last {
            break;
        }
    }
    let mut sample = Vec::with_capacity(counted.sample.len());
    for (resource, ordinal) in &counted.sample {
        let row = finding::get(&mut tx, &visible, (*resource).into(), *ordinal).await?;
        sample.push(SampleView {
            finding_id: format!("{resource}.{ordinal}"),
            control_id: row.control_id,
            severity: severity_word(row.severity),
            resource_id: row.resource_id,
            resource_name: row.resource_name,
            kind: row.kind,
            cluster_id: row.cluster_id,
            namespace: row.namespace,
            message: row.evidence.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        });
    }
    Ok(Answer::ok(view(&catalogue, counted, sample)))
}

fn view(catalogue: &Catalogue, counted: Counted, sample: Vec<SampleView>) -> ExemptionPreview {
    let by_control = counted.by_control.into_iter().map(|(control_id, findings)| {
        let title = control_title(catalogue, &control_id);
        ControlPreview { control_id, title, findings }
    });
    let mut by_control: Vec<ControlPreview> = by_control.collect();
    by_control.sort_by_key(|control| std::cmp::Reverse(control.findings));
    let by_place = counted.by_place.into_iter().map(|((account, cluster_id, namespace), findings)| PlacePreview {
        account,
        cluster_id,
        namespace,
        findings,
    });
    let mut by_place: Vec<PlacePreview> = by_place.collect();
    by_place.sort_by_key(|place| std::cmp::Reverse(place.findings));
    by_place.truncate(OWNERS);
    ExemptionPreview {
        findings: counted.findings,
        resources: counted.resources.len(),
        partly: counted.partly,
        by_control,
        by_place,
        sample,
    }
}
