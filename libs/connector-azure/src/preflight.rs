//! Tries every action once, on the first thing found, without reading the inventory.

use futures::TryStreamExt;
use rampart_connector::{ConnectorError, ErrorKind, Permission, PermissionCheck, PermissionState};
use serde_json::Value;

use crate::aks::diagnostic_settings;
use crate::arm_id::Located;
use crate::connector::Run;
use crate::draft::{ACR_VERSION, Draft};
use crate::normalize::{self, is_stopped, text};
use crate::permissions::{
    AGENT_POOLS, CATALOG, CLUSTERS, CONNECTED_CLUSTERS, DIAGNOSTIC_SETTINGS, EXTENSIONS, MAINTENANCE, METADATA,
    REGISTRIES, REPLICATIONS, ROLE_ASSIGNMENTS, SCOPE_MAPS, SECURITY_PLANS, SUBSCRIPTION, TOKENS, TRUSTED_ACCESS,
    USER_CREDENTIAL, WEBHOOKS, permissions,
};
use crate::registry::{DataPlane, Grant, first_repository};
use crate::{arc, governance};

struct Report<'a> {
    run: &'a Run,
    permissions: Vec<Permission>,
    checks: Vec<PermissionCheck>,
}

pub(crate) async fn run(run: &Run) -> Result<Vec<PermissionCheck>, ConnectorError> {
    let mut report = Report { run, permissions: permissions(), checks: Vec::new() };
    if let Err(error) = run.arm.sign_in().await {
        if error.kind == ErrorKind::Cancelled {
            return Err(error);
        }
        report.untried(&format!("there is no token: {}", error.message));
        return Ok(report.checks);
    }
    report.tried(SUBSCRIPTION, &run.subscription().await);
    report.aks().await;
    report.acr().await;
    report.arc().await;
    report.governance().await;
    if run.cancel().is_cancelled() {
        return Err(ConnectorError::new(ErrorKind::Cancelled, "preflight", "the preflight was told to stop"));
    }
    Ok(report.checks)
}

impl Report<'_> {
    async fn aks(&mut self) {
        let needing = [AGENT_POOLS, MAINTENANCE, TRUSTED_ACCESS, DIAGNOSTIC_SETTINGS, USER_CREDENTIAL];
        let aks = self.run.aks();
        let clusters = self.first_page(CLUSTERS, aks.clusters(CLUSTERS)).await;
        let Some((cluster, at)) = self.first(CLUSTERS, &needing, clusters) else { return };
        self.try_page(AGENT_POOLS, aks.agent_pools(AGENT_POOLS, &at)).await;
        self.try_page(MAINTENANCE, aks.maintenance_configurations(MAINTENANCE, &at)).await;
        self.try_page(TRUSTED_ACCESS, aks.trusted_access_role_bindings(TRUSTED_ACCESS, &at)).await;
        self.try_page(DIAGNOSTIC_SETTINGS, Ok(diagnostic_settings(self.run, &at))).await;
        if is_stopped(&cluster["properties"]) {
            self.unproven(&[USER_CREDENTIAL], "the first cluster is stopped");
            return;
        }
        let answer = match aks.user_credentials(USER_CREDENTIAL, &at) {
            Ok(draft) => self.run.arm.call(USER_CREDENTIAL, draft).await.map(drop),
            Err(error) => Err(error),
        };
        self.tried_maybe(USER_CREDENTIAL, answer);
    }

    async fn acr(&mut self) {
        let needing = [REPLICATIONS, WEBHOOKS, TOKENS, SCOPE_MAPS, CATALOG, METADATA];
        let acr = self.run.acr();
        let registries = self.first_page(REGISTRIES, acr.registries(REGISTRIES, ACR_VERSION)).await;
        let Some((registry, at)) = self.first(REGISTRIES, &needing, registries) else { return };
        self.try_page(REPLICATIONS, acr.replications(REPLICATIONS, &at)).await;
        self.try_page(WEBHOOKS, acr.webhooks(WEBHOOKS, &at)).await;
        self.try_page(TOKENS, acr.tokens(TOKENS, &at)).await;
        self.try_page(SCOPE_MAPS, acr.scope_maps(SCOPE_MAPS, &at)).await;
        self.data_plane(registry).await;
    }

    async fn data_plane(&mut self, registry: Value) {
        let Some(registry) = normalize::registry(&self.run.place, registry) else {
            return self.unproven(&[CATALOG, METADATA], "the first registry has no id");
        };
        let plane = match DataPlane::of(self.run, &registry).await {
            Ok(plane) => plane,
            Err(error) => return self.unproven(&[CATALOG, METADATA], &error.message),
        };
        let found = first_repository(&plane).await;
        self.tried(CATALOG, &found);
        match found {
            Ok(Some(name)) => {
                let grant = Grant::metadata(&name);
                let answer = plane.get(METADATA, &grant, &format!("/acr/v1/{name}")).await.map(drop);
                self.tried_maybe(METADATA, answer);
            }
            _ => self.unproven(&[METADATA], "no repository is known to try it on"),
        }
    }

    async fn arc(&mut self) {
        let clusters = self.first_page(CONNECTED_CLUSTERS, Ok(arc::connected_clusters(self.run))).await;
        let Some((_, at)) = self.first(CONNECTED_CLUSTERS, &[EXTENSIONS], clusters) else { return };
        self.try_page(EXTENSIONS, Ok(arc::extensions_of(self.run, &at))).await;
    }

    async fn governance(&mut self) {
        let plans = self.first_page(SECURITY_PLANS, Ok(governance::security_plans(self.run))).await;
        self.tried(SECURITY_PLANS, &plans);
        let assignments = self.first_page(ROLE_ASSIGNMENTS, Ok(governance::role_assignments(self.run))).await;
        self.tried(ROLE_ASSIGNMENTS, &assignments);
    }

    async fn first_page(&self, api: &str, draft: Result<Draft, ConnectorError>) -> Result<Vec<Value>, ConnectorError> {
        let mut pages = std::pin::pin!(self.run.arm.pages(api, draft?.url));
        Ok(pages.try_next().await?.unwrap_or_default())
    }

    async fn try_page(&mut self, api: &str, draft: Result<Draft, ConnectorError>) {
        let answer = self.first_page(api, draft).await.map(drop);
        self.tried_maybe(api, answer);
    }

    /// Notes a listing; returns its first item, or notes that the actions in `needing` had nothing to be tried on.
    fn first(
        &mut self,
        api: &str,
        needing: &[&str],
        answer: Result<Vec<Value>, ConnectorError>,
    ) -> Option<(Value, Located)> {
        self.tried(api, &answer);
        let first = answer.ok().and_then(|items| items.into_iter().next());
        let at = first.as_ref().and_then(|item| Located::parse(api, text(item, "id")?).ok());
        if at.is_none() {
            self.unproven(needing, &format!("{api} gave nothing to try it on"));
        }
        first.zip(at)
    }

    fn tried<T>(&mut self, api: &str, result: &Result<T, ConnectorError>) {
        if let Some(permission) = self.permissions.iter().find(|permission| permission.name == api) {
            let scope = &self.run.place.subscription;
            let remedy = format!("assign a role with {api} to the scanning identity, in subscription {scope}");
            self.checks.push(PermissionCheck::from_call(permission.clone(), scope, result, &remedy));
        }
    }

    /// Asks for something that may be gone: then the answer, too, proves the permission.
    fn tried_maybe(&mut self, api: &str, result: Result<(), ConnectorError>) {
        match result {
            Err(error) if error.kind == ErrorKind::NotFound => self.tried(api, &Ok(())),
            result => self.tried(api, &result),
        }
    }

    fn unproven(&mut self, apis: &[&str], why: &str) {
        for permission in self.permissions.iter().filter(|permission| apis.contains(&permission.name.as_str())) {
            let state = PermissionState::Unproven(why.to_owned());
            let scope = self.run.place.subscription.clone();
            self.checks.push(PermissionCheck { permission: permission.clone(), scope, state });
        }
    }

    fn untried(&mut self, why: &str) {
        let names: Vec<_> = self.permissions.iter().map(|permission| permission.name.clone()).collect();
        self.unproven(&names.iter().map(String::as_str).collect::<Vec<_>>(), why);
    }
}
