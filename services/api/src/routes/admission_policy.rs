use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use rampart_posture::policy::admission::export::{Action, ExportError, export};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::http::{ApiError, Caller, Code, Params, PathOf, Problem, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_validating_admission_policy))
}

/// How the policy is to be made.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Parameters of the control other than its defaults: a JSON object.
    #[param(example = r#"{"allowed":["registry.example.com/"]}"#)]
    params: Option<String>,
    /// What the API server does about a violation: `Audit`, `Warn` and `Deny`, separated by commas; `Audit` when left
    /// out. `Warn` and `Deny` exclude each other.
    #[param(example = "Audit,Warn")]
    actions: Option<String>,
}

impl Wanted {
    fn params(&self) -> Result<Map<String, Value>, ApiError> {
        let Some(text) = &self.params else { return Ok(Map::new()) };
        serde_json::from_str(text).map_err(|_| ApiError::new(Code::InvalidQuery, "`params` must be a JSON object"))
    }

    fn actions(&self) -> Result<Vec<Action>, ApiError> {
        let invalid = |message: &str| ApiError::new(Code::InvalidQuery, message);
        let mut actions = Vec::new();
        for word in self.actions.as_deref().unwrap_or("Audit").split(',') {
            let action = [Action::Audit, Action::Warn, Action::Deny].into_iter().find(|action| action.as_str() == word);
            match action {
                Some(action) if !actions.contains(&action) => actions.push(action),
                _ => {
                    return Err(invalid("`actions` must be `Audit`, `Warn` or `Deny`, each once, separated by commas"));
                }
            }
        }
        if actions.contains(&Action::Warn) && actions.contains(&Action::Deny) {
            return Err(invalid("`actions`: a cluster takes no policy that warns and denies"));
        }
        Ok(actions)
    }
}

/// Get a control as a `ValidatingAdmissionPolicy` with its binding.
///
/// The policy refuses what the control finds unhealthy and lets pass whatever else the control says. It needs Kubernetes
/// 1.30 or later. A control that looks at more than the object, or at anything that no admission policy can say, is
/// refused with the reason.
#[utoipa::path(get, path = "/v1/controls/{control_id}/validating-admission-policy", tag = "controls",
    params(("control_id" = String, Path), Wanted),
    responses((status = 200, content_type = "application/yaml", body = String),
        (status = 422, content_type = "application/problem+json", body = Problem,
            description = "No admission policy can say what the control says.")))]
async fn get_validating_admission_policy(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<String>,
    Params(wanted): Params<Wanted>,
) -> Result<Response, ApiError> {
    let catalogue = app.catalogue_of(&mut app.tx(&caller).await?).await?;
    let control = catalogue.control(&id).ok_or_else(|| ApiError::not_found("control"))?;
    if control.is_imported() {
        return Err(ApiError::new(
            Code::NotExportable,
            "it is a policy as it is, in the bundle that it was imported with",
        ));
    }
    let exported = export(control, &wanted.params()?, &wanted.actions()?).map_err(|error| match error {
        ExportError::Parameters(error) => ApiError::new(Code::InvalidQuery, error.to_string()),
        error => ApiError::new(Code::NotExportable, error.to_string()),
    })?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], exported.to_yaml()).into_response())
}
