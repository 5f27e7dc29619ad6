//! Tries every action once per region, on the first thing found, without reading the inventory.

use futures::{StreamExt, stream};
use rampart_connector::{ConnectorError, ErrorKind, Permission, PermissionCheck, PermissionState};
use rampart_domain::{CoverageState, Gap};
use serde_json::Value;

use crate::calls::account::{GET_CALLER_IDENTITY, LIST_REGIONS};
use crate::calls::iam::{GET_ACCOUNT_AUTHORIZATION_DETAILS, Part};
use crate::calls::logs::DESCRIBE_LOG_GROUPS;
use crate::calls::{EcrCalls, EksCalls, PageOf, ecr, eks};
use crate::config::Regions;
use crate::connector::{REGIONS_AT_ONCE, Run};
use crate::normalize::{GLOBAL, Place};
use crate::partition::Partition;
use crate::permissions::{KINDS, permissions};
use crate::regions::reach;
use crate::role::{ASSUME_ROLE_WITH_WEB_IDENTITY, RoleCredentials, Showing};

type Answer = Result<Value, ConnectorError>;

/// The lines of one region.
struct Report<'a> {
    permissions: &'a [Permission],
    region: &'a str,
    checks: Vec<PermissionCheck>,
}

pub(crate) async fn run(
    run: &Run,
    regions: &Regions,
    partition: Partition,
) -> Result<Vec<PermissionCheck>, ConnectorError> {
    let permissions = permissions(regions);
    let mut report = Report { permissions: &permissions, region: GLOBAL, checks: Vec::new() };
    if let Some(role) = &run.session.role {
        let (check, usable) = trust(role).await?;
        report.checks.push(check);
        if let Err(error) = usable {
            report.untried(&format!("the role cannot be assumed: {}", error.message));
            return Ok(report.checks);
        }
    }
    let identity = run.calls.identity().await;
    report.tried(GET_CALLER_IDENTITY, &identity);
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
        Err(error) => {
            report.untried(&format!("the account is not known: {}", error.message));
            return Ok(report.checks);
        }
    };
    let reach = reach(regions, partition, &run.calls, &run.line).await;
    if *regions == Regions::Enabled {
        report.tried(LIST_REGIONS, &reach.doubt.map_or(Ok(()), Err));
    }
    let of_account = Place { partition, account: identity.account.clone(), region: GLOBAL.to_owned() };
    let roles = run.iam(&of_account).details(Part::Roles, one()).await;
    report.tried(GET_ACCOUNT_AUTHORIZATION_DETAILS, &roles);
    let mut checks = report.checks;
    let regional = reach.regions.into_iter().map(|region| {
        let place = Place { partition, account: identity.account.clone(), region };
        let permissions = &permissions;
        async move {
            let mut report = Report { permissions, region: &place.region, checks: Vec::new() };
            try_eks(&run.eks(&place), &mut report).await;
            try_ecr(&run.ecr(&place), &mut report).await;
            report.tried(DESCRIBE_LOG_GROUPS, &run.logs(&place).log_groups(one()).await);
            report.checks
        }
    });
    checks.extend(stream::iter(regional).buffered(REGIONS_AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten());
    if run.caller.cancel().is_cancelled() {
        return Err(ConnectorError::new(ErrorKind::Cancelled, "preflight", "the preflight was told to stop"));
    }
    Ok(checks)
}

/// Whether the role can be had with what proves the connector, and only with it. The second result says whether it can
/// be used.
pub(crate) async fn trust(
    role: &RoleCredentials,
) -> Result<(PermissionCheck, Result<(), ConnectorError>), ConnectorError> {
    let api = role.api();
    let by_statement = api == ASSUME_ROLE_WITH_WEB_IDENTITY;
    let permission = Permission { name: api.to_owned(), kinds: KINDS.to_vec() };
    let with = role.assume(Showing::Proof).await.map(drop);
    if let Err(error) = with {
        let remedy = if by_statement {
            "add Rampart's issuer as an OIDC identity provider with the client id sts.amazonaws.com, and let the trust \
             policy of the role name it and the subject of this connector"
        } else {
            "let the trust policy of the role name Rampart's identity and the external id of this connector"
        };
        let check = PermissionCheck::from_call::<()>(permission, GLOBAL, &Err(error.clone()), remedy);
        return if error.kind == ErrorKind::Cancelled { Err(error) } else { Ok((check, Err(error))) };
    }
    let (open, remedy) = if by_statement {
        (
            "by any connector of this Rampart",
            "add a condition StringEquals on the `sub` of the issuer to the trust policy of the role",
        )
    } else {
        ("without the external id", "add the condition StringEquals sts:ExternalId to the trust policy of the role")
    };
    let state = match role.assume(Showing::NoProof).await {
        Ok(_) => PermissionState::Missing(Gap {
            state: CoverageState::Failed,
            message: format!("{api}: the role can be assumed {open}"),
            remedy: remedy.to_owned(),
        }),
        Err(error) if error.kind == ErrorKind::Forbidden => PermissionState::Granted,
        Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
        Err(error) => PermissionState::Unproven(format!("whether the role asks for proof: {}", error.message)),
    };
    Ok((PermissionCheck { permission, scope: GLOBAL.to_owned(), state }, Ok(())))
}

impl Report<'_> {
    fn tried<T>(&mut self, api: &str, result: &Result<T, ConnectorError>) {
        if let Some(permission) = self.permissions.iter().find(|permission| permission.name == api) {
            let remedy = format!("allow {api} in a policy of the scanning identity, also in {}", self.region);
            self.checks.push(PermissionCheck::from_call(permission.clone(), self.region, result, &remedy));
        }
    }

    /// Asks for something that may not exist: then the answer, too, proves the permission.
    fn tried_maybe(&mut self, api: &str, result: Answer) {
        match result {
            Err(error) if error.kind == ErrorKind::NotFound => self.tried(api, &Ok(())),
            result => self.tried(api, &result),
        }
    }

    fn unproven(&mut self, apis: &[&str], why: &str) {
        for permission in self.permissions.iter().filter(|permission| apis.contains(&permission.name.as_str())) {
            let state = PermissionState::Unproven(why.to_owned());
            let scope = self.region.to_owned();
            self.checks.push(PermissionCheck { permission: permission.clone(), scope, state });
        }
    }

    fn untried(&mut self, why: &str) {
        let tried = |name: &str| self.checks.iter().any(|check| check.permission.name == name);
        let rest: Vec<_> = self.permissions.iter().map(|p| p.name.as_str()).filter(|name| !tried(name)).collect();
        self.unproven(&rest, why);
    }

    /// Notes a listing; returns its first item, or notes that the actions in `needing` had nothing to be tried on.
    fn listed(&mut self, api: &str, field: &str, needing: &[&str], answer: Answer) -> Option<Value> {
        self.tried(api, &answer);
        let first = answer.ok().and_then(|answer| answer[field].get(0).cloned());
        if first.is_none() {
            self.unproven(needing, &format!("{api} gave nothing to try it on"));
        }
        first
    }
}

const OF_CLUSTER: [&str; 14] = [
    eks::DESCRIBE_CLUSTER,
    eks::LIST_NODEGROUPS,
    eks::DESCRIBE_NODEGROUP,
    eks::LIST_FARGATE_PROFILES,
    eks::DESCRIBE_FARGATE_PROFILE,
    eks::LIST_ADDONS,
    eks::DESCRIBE_ADDON,
    eks::LIST_ACCESS_ENTRIES,
    eks::DESCRIBE_ACCESS_ENTRY,
    eks::LIST_ASSOCIATED_ACCESS_POLICIES,
    eks::LIST_IDENTITY_PROVIDER_CONFIGS,
    eks::DESCRIBE_IDENTITY_PROVIDER_CONFIG,
    eks::LIST_POD_IDENTITY_ASSOCIATIONS,
    eks::DESCRIBE_POD_IDENTITY_ASSOCIATION,
];

async fn try_eks(calls: &EksCalls, report: &mut Report<'_>) {
    let clusters = calls.clusters(one()).await;
    let Some(cluster) = report.listed(eks::LIST_CLUSTERS, "clusters", &OF_CLUSTER, clusters) else { return };
    let cluster = cluster.as_str().unwrap_or_default();
    report.tried_maybe(eks::DESCRIBE_CLUSTER, calls.cluster(cluster).await);

    let describe = [eks::DESCRIBE_NODEGROUP];
    let answer = calls.nodegroups(cluster, one()).await;
    if let Some(name) = report.listed(eks::LIST_NODEGROUPS, "nodegroups", &describe, answer) {
        report.tried_maybe(describe[0], calls.nodegroup(cluster, text(&name)).await);
    }
    let describe = [eks::DESCRIBE_FARGATE_PROFILE];
    let answer = calls.fargate_profiles(cluster, one()).await;
    if let Some(name) = report.listed(eks::LIST_FARGATE_PROFILES, "fargateProfileNames", &describe, answer) {
        report.tried_maybe(describe[0], calls.fargate_profile(cluster, text(&name)).await);
    }
    let describe = [eks::DESCRIBE_ADDON];
    let answer = calls.addons(cluster, one()).await;
    if let Some(name) = report.listed(eks::LIST_ADDONS, "addons", &describe, answer) {
        report.tried_maybe(describe[0], calls.addon(cluster, text(&name)).await);
    }
    let describe = [eks::DESCRIBE_ACCESS_ENTRY, eks::LIST_ASSOCIATED_ACCESS_POLICIES];
    let answer = calls.access_entries(cluster, one()).await;
    if let Some(principal) = report.listed(eks::LIST_ACCESS_ENTRIES, "accessEntries", &describe, answer) {
        report.tried_maybe(describe[0], calls.access_entry(cluster, text(&principal)).await);
        report.tried_maybe(describe[1], calls.access_policies(cluster, text(&principal), one()).await);
    }
    let describe = [eks::DESCRIBE_IDENTITY_PROVIDER_CONFIG];
    let answer = calls.identity_provider_configs(cluster, one()).await;
    let listed = report.listed(eks::LIST_IDENTITY_PROVIDER_CONFIGS, "identityProviderConfigs", &describe, answer);
    if let Some(item) = listed {
        let answer = calls.identity_provider_config(cluster, text(&item["type"]), text(&item["name"])).await;
        report.tried_maybe(describe[0], answer);
    }
    let describe = [eks::DESCRIBE_POD_IDENTITY_ASSOCIATION];
    let answer = calls.pod_identity_associations(cluster, one()).await;
    if let Some(item) = report.listed(eks::LIST_POD_IDENTITY_ASSOCIATIONS, "associations", &describe, answer) {
        let answer = calls.pod_identity_association(cluster, text(&item["associationId"])).await;
        report.tried_maybe(describe[0], answer);
    }
}

async fn try_ecr(calls: &EcrCalls, report: &mut Report<'_>) {
    report.tried(ecr::GET_REGISTRY_SCANNING_CONFIGURATION, &calls.scanning_configuration().await);
    let needing = [ecr::GET_REPOSITORY_POLICY, ecr::GET_LIFECYCLE_POLICY, ecr::DESCRIBE_IMAGES];
    let answer = calls.repositories(one()).await;
    let Some(item) = report.listed(ecr::DESCRIBE_REPOSITORIES, "repositories", &needing, answer) else { return };
    let name = text(&item["repositoryName"]);
    report.tried_maybe(needing[0], calls.repository_policy(name).await);
    report.tried_maybe(needing[1], calls.lifecycle_policy(name).await);
    report.tried_maybe(needing[2], calls.images(name, one()).await);
}

/// The shortest page.
const fn one() -> PageOf {
    PageOf { token: None, size: Some(1) }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
