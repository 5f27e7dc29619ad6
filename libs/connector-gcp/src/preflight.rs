//! Which permissions are there, without reading the inventory: Google answers for all of them at once, and each API is
//! asked for next to nothing, which also tells whether it is enabled.

use std::collections::BTreeSet;

use rampart_connector::{ConnectorError, ErrorKind, Permission, PermissionCheck, PermissionState};
use rampart_domain::{CoverageState, Gap};
use serde_json::Value;

use crate::auth::IMPERSONATE;
use crate::calls::{self as api, Calls, PageOf, TEST_PERMISSIONS};
use crate::config::GcpConfig;
use crate::permissions::permissions_of;

/// How a call went.
type Tried = Result<Value, ConnectorError>;

pub(crate) async fn run(config: &GcpConfig, calls: &Calls) -> Result<Vec<PermissionCheck>, ConnectorError> {
    let permissions = permissions_of(config);
    let project = &config.project_id;
    if let Err(error) = calls.sign_in().await {
        return if error.kind == ErrorKind::Cancelled {
            Err(error)
        } else {
            Ok(signed_out(config, permissions, &error))
        };
    }
    let on_project: Vec<_> =
        permissions.iter().map(|it| it.name.as_str()).filter(|name| *name != IMPERSONATE).collect();
    let (held, described, clusters, locations, services, firewalls) = tokio::join!(
        calls.test_permissions(project, &on_project),
        calls.project(project),
        calls.clusters(project, Some("clusters(name)")),
        calls.locations(project, PageOf::one()),
        calls.services(project, PageOf::one()),
        calls.firewalls(project, PageOf::one()),
    );
    if calls.caller.cancel().is_cancelled() {
        return Err(ConnectorError::new(ErrorKind::Cancelled, "preflight", "the preflight was told to stop"));
    }
    let held = held.map(|answer| names(&answer));
    let check = |permission: Permission| {
        let state = match permission.name.as_str() {
            IMPERSONATE => PermissionState::Granted,
            api::GET_PROJECT => tried(&permission.name, &described),
            api::LIST_CLUSTERS => tried(&permission.name, &clusters),
            api::LIST_LOCATIONS => tried(&permission.name, &locations),
            api::LIST_SERVICES => tried(&permission.name, &services),
            api::LIST_FIREWALLS => tried(&permission.name, &firewalls),
            name => {
                let there = of_service(name, [&described, &clusters, &locations, &firewalls]);
                match &held {
                    // An API that is not enabled answers nobody, whatever the permissions are.
                    _ if is_disabled(there) => tried(name, there),
                    Ok(held) if held.contains(name) => PermissionState::Granted,
                    Ok(_) => {
                        let message = format!("{TEST_PERMISSIONS}: {name} is not granted on the project");
                        missing(CoverageState::Denied, message, grant(name, project))
                    }
                    Err(error) => PermissionState::Unproven(error.to_string()),
                }
            }
        };
        PermissionCheck { permission, scope: project.clone(), state }
    };
    Ok(permissions.into_iter().map(check).collect())
}

/// The lines when there is no token: the credentials are refused, and nothing else could be tried.
fn signed_out(config: &GcpConfig, permissions: Vec<Permission>, error: &ConnectorError) -> Vec<PermissionCheck> {
    let refused = matches!(error.coverage(), CoverageState::Denied | CoverageState::Unauthorized);
    let state = |permission: &Permission| match permission.name.as_str() {
        IMPERSONATE if error.api == IMPERSONATE => tried(IMPERSONATE, &Err(error.clone())),
        // Without impersonation there is no line of its own for the credentials.
        api::GET_PROJECT if refused && error.api != IMPERSONATE => tried(api::GET_PROJECT, &Err(error.clone())),
        _ => PermissionState::Unproven(format!("there is no token: {error}")),
    };
    let line = |permission: Permission| PermissionCheck {
        state: state(&permission),
        scope: config.project_id.clone(),
        permission,
    };
    permissions.into_iter().map(line).collect()
}

/// The call that was tried at the service of a permission.
fn of_service<'a>(name: &str, [project, clusters, locations, firewalls]: [&'a Tried; 4]) -> &'a Tried {
    match name.split('.').next() {
        Some("container") => clusters,
        Some("artifactregistry") => locations,
        Some("compute") => firewalls,
        _ => project,
    }
}

fn is_disabled(answer: &Tried) -> bool {
    matches!(answer, Err(error) if error.kind == ErrorKind::Unsupported)
}

/// What a call proves about the permission that it needs.
fn tried(name: &str, answer: &Tried) -> PermissionState {
    match answer {
        Ok(_) => PermissionState::Granted,
        Err(error) => match (error.coverage(), error.remedy.as_deref()) {
            (state @ (CoverageState::Denied | CoverageState::Unauthorized), remedy) => {
                let remedy = remedy.map_or_else(|| format!("Grant {name} to the connector's identity."), str::to_owned);
                missing(state, error.to_string(), remedy)
            }
            (CoverageState::Unsupported, Some(remedy)) => {
                missing(CoverageState::Unsupported, error.to_string(), remedy.to_owned())
            }
            _ => PermissionState::Unproven(error.to_string()),
        },
    }
}

const fn missing(state: CoverageState, message: String, remedy: String) -> PermissionState {
    PermissionState::Missing(Gap { state, message, remedy })
}

fn grant(permission: &str, project: &str) -> String {
    format!("Grant a role with {permission} to the connector's identity on the project {project}.")
}

fn names(answer: &Value) -> BTreeSet<String> {
    let names = answer["permissions"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}
