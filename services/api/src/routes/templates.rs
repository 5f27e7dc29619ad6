use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use rampart_connector_aws::Regions;
use rampart_domain::Cloud;
use rampart_onboarding::{DOCUMENTS, Document, Fill, Permissions, Trust, find, render};
use rampart_store::connector;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::http::{ApiError, Caller, Code, Params, PathOf, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_onboarding_template))
}

/// What the connectors declare: what the templates grant.
pub fn permissions() -> Permissions {
    Permissions {
        aws: rampart_connector_aws::permissions(&Regions::Enabled),
        aws_organization: rampart_connector_aws::organization_permissions(),
        azure: rampart_connector_azure::permissions(),
        azure_organization: rampart_connector_azure::organization_permissions(),
        gcp: rampart_connector_gcp::permissions(),
        gcp_organization: rampart_connector_gcp::organization_permissions(),
        kubernetes: rampart_connector_kube::permissions(Cloud::OnPremises),
        eks: rampart_connector_kube::permissions(Cloud::Aws),
    }
}

/// Which template, and for whom it is filled in.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// `cloudformation`, `stackset`, `terraform`, `organization_terraform`, `bicep`, `identity_bicep`, `script`, `manifest`,
    /// `fleet_terraform` or `fleet_script`, as far as the cloud has it; the cloud's first when left out.
    #[param(example = "terraform")]
    format: Option<String>,
    /// Name or id of the connector whose external id and subject are filled in; without it they stay parameters.
    connector: Option<String>,
}

/// Get a template that grants a connector what it needs and nothing else.
///
/// The list of permissions is the one that the connector's code calls; the tenant's ids, the issuer and Rampart's own
/// identity are filled in as far as they are known.
#[utoipa::path(get, path = "/v1/onboarding/{cloud}/template", tag = "onboarding",
    params(("cloud" = String, Path, description = "`aws`, `azure`, `gcp` or `kubernetes`"), Wanted),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn get_onboarding_template(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(cloud): PathOf<String>,
    Params(wanted): Params<Wanted>,
) -> Result<Response, ApiError> {
    let permissions = permissions();
    let document = document(&cloud, wanted.format.as_deref(), &permissions)?;
    let mut fill = Fill {
        aws_principal: app.aws_principal().map(str::to_owned),
        issuer_url: app.issuer_url().map(ToString::to_string),
        ..Fill::default()
    };
    if let Some(name) = &wanted.connector {
        caller.must_see_everything("connector")?;
        let mut tx = app.tx(&caller).await?;
        let id = connector::resolve(&mut tx, name).await?;
        let row = connector::get(&mut tx, id).await?;
        fill.trust = if row.settings.needs_issuer() { Trust::WebIdentity } else { Trust::ExternalId };
        fill.external_id = row.external_id;
        fill.subject = Some(format!("{}:{id}", caller.access.tenant));
    }
    let text = render(document, &permissions, &fill).map_err(|error| {
        tracing::error!(%error, cloud, format = document.format, "a template could not be made");
        ApiError::new(Code::Internal, "the template could not be made")
    })?;
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", document.file));
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment"))),
    ];
    Ok((headers, text).into_response())
}

fn document(cloud: &str, format: Option<&str>, permissions: &Permissions) -> Result<&'static Document, ApiError> {
    let mut of_cloud = DOCUMENTS.iter().filter(|document| document.cloud == cloud && permissions.has(cloud));
    let first = of_cloud.next().ok_or_else(|| ApiError::not_found("templates of this cloud"))?;
    let Some(format) = format else { return Ok(first) };
    find(cloud, format).ok_or_else(|| {
        let formats: Vec<_> = std::iter::once(first).chain(of_cloud).map(|document| document.format).collect();
        ApiError::new(Code::InvalidQuery, format!("`format` must be one of {}", formats.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_templates_are_what_the_connectors_declare() {
        let permissions = permissions();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/onboarding");
        let made = DOCUMENTS.iter().filter(|document| permissions.has(document.cloud));
        let mut files = 0;
        for document in made {
            let name = format!("{}/{}", document.cloud, document.file);
            let text = render(document, &permissions, &Fill::default()).unwrap();
            if std::env::var_os("UPDATE").is_some() {
                std::fs::create_dir_all(root.join(document.cloud)).unwrap();
                std::fs::write(root.join(&name), &text).unwrap();
            }
            let committed = std::fs::read_to_string(root.join(&name)).unwrap_or_default();
            assert!(committed == text, "infra/onboarding/{name} is stale: run `cargo xtask templates` and commit it");
            files += 1;
        }
        let committed = std::fs::read_dir(&root).unwrap().flatten().filter(|entry| entry.path().is_dir());
        let committed = committed.flat_map(|dir| std::fs::read_dir(dir.path()).unwrap().flatten());
        // The collector's manifest has a test of its own.
        let committed = committed.filter(|file| file.file_name() != "collector.yaml").count();
        assert_eq!(committed, files, "a file that nothing generates");
    }
}
