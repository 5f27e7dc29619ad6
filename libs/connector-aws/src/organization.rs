//! Reads who belongs to an AWS Organization: the tree of units with the accounts in each, held against the plain list.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use async_trait::async_trait;
use rampart_connector::{
    Bucket, Caller, ConnectorError, Egress, ErrorKind, Member, Membership, Organization, Permission, PermissionCheck,
    ScanContext,
};
use rampart_domain::Kind;
use serde_json::Value;

use crate::calls::organizations::{
    DESCRIBE_ORGANIZATION, LIST_ACCOUNTS, LIST_ACCOUNTS_OF_PARENT, LIST_ROOTS, LIST_UNITS, OrganizationCalls,
};
use crate::calls::{Line, all, pages, take};
use crate::config::{AwsConfig, AwsConfigError};
use crate::connector::{AwsConnector, Run};
use crate::normalize::organization;
use crate::preflight;

/// Items per page; the API gives 20 at most.
const PAGE: i32 = 20;
/// Units deep; AWS allows five below a root.
const DEPTH: usize = 16;

/// What reading the membership uses.
const ACTIONS: [&str; 5] = [DESCRIBE_ORGANIZATION, LIST_ACCOUNTS, LIST_ROOTS, LIST_UNITS, LIST_ACCOUNTS_OF_PARENT];

/// Every action that reading an AWS Organization uses.
pub fn organization_permissions() -> Vec<Permission> {
    let permission = |name: &str| Permission { name: name.to_owned(), kinds: vec![Kind::AwsOrganization] };
    ACTIONS.into_iter().map(permission).collect()
}

/// Reads an AWS Organization with the rights of its management account or of a delegated administrator.
#[derive(Debug)]
pub struct AwsOrganization {
    inner: AwsConnector,
}

impl AwsOrganization {
    /// Checks the configuration. Makes no call.
    ///
    /// `caller` brings limits and buckets (see [`crate::default_limits`]).
    pub fn new(config: AwsConfig, caller: Caller, egress: Egress) -> Result<Self, AwsConfigError> {
        Ok(Self { inner: AwsConnector::new(config, caller, egress)? })
    }

    async fn calls(&self, cx: &ScanContext) -> Result<(Run, OrganizationCalls), ConnectorError> {
        let run = self.inner.run(cx.cancel.child_token()).await?;
        let region = self.inner.partition.organizations_region();
        let bucket = Bucket::new(self.inner.config.identity(), region, "organizations");
        let line = Line { caller: run.caller.clone(), bucket };
        let calls = OrganizationCalls::new(&run.session.region(region), line);
        Ok((run, calls))
    }
}

#[async_trait]
impl Organization for AwsOrganization {
    fn permissions(&self) -> Vec<Permission> {
        organization_permissions()
    }

    async fn members(&self, cx: &ScanContext) -> Result<Membership, ConnectorError> {
        let (_, calls) = self.calls(cx).await?;
        let described = take(&mut calls.organization().await?, "Organization");
        // First the plain list: what joins while the tree is read is then found in the tree, never the other way round.
        let listed = all(pages(&calls.line, LIST_ACCOUNTS, "Accounts", PAGE, |page| calls.accounts(page))).await?;
        let tree = Tree::read(&calls).await?;
        let missing = listed.iter().filter_map(|account| account["Id"].as_str());
        if let Some(id) = missing.into_iter().find(|id| !tree.members.contains_key(*id)) {
            let message = format!("account {id} was in no unit: it moved while the organisation was read");
            return Err(ConnectorError::new(ErrorKind::Transient, LIST_ACCOUNTS_OF_PARENT, message));
        }
        let resource = organization::organization(self.inner.partition, described, tree.units);
        let resource = resource.ok_or_else(|| nameless(DESCRIBE_ORGANIZATION))?;
        Ok(Membership { members: tree.members.into_values().collect(), units: vec![resource] })
    }

    async fn preflight(&self, cx: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        let run = self.inner.run(cx.cancel.child_token()).await?;
        let mut checks = Vec::new();
        if let Some(role) = &run.session.role {
            let (check, usable) = preflight::trust(role).await?;
            checks.push(check);
            if let Err(error) = usable {
                let why = format!("the role cannot be assumed: {}", error.message);
                checks.extend(rampart_connector::untried(self.permissions(), &why));
                return Ok(checks);
            }
        }
        checks.extend(rampart_connector::tried_together(self.permissions(), self.members(cx).await.map(drop))?);
        Ok(checks)
    }
}

/// The units and the accounts below them.
#[derive(Default)]
struct Tree {
    units: Vec<Value>,
    /// By id, so that each is there once.
    members: BTreeMap<String, Member>,
}

impl Tree {
    async fn read(calls: &OrganizationCalls) -> Result<Self, ConnectorError> {
        let mut tree = Self::default();
        let mut seen = BTreeSet::new();
        let mut waiting: VecDeque<Vec<String>> = VecDeque::new();
        let roots = all(pages(&calls.line, LIST_ROOTS, "Roots", PAGE, |page| calls.roots(page))).await?;
        for root in roots {
            waiting.push_back(tree.enter(LIST_ROOTS, &root, &[], &mut seen)?);
        }
        while let Some(path) = waiting.pop_front() {
            let parent = path.last().map_or("", String::as_str);
            let fetch = |page| calls.accounts_of(parent, page);
            for account in all(pages(&calls.line, LIST_ACCOUNTS_OF_PARENT, "Accounts", PAGE, fetch)).await? {
                let member = organization::member(&account, &path).ok_or_else(|| nameless(LIST_ACCOUNTS_OF_PARENT))?;
                tree.members.insert(member.id.clone(), member);
            }
            let fetch = |page| calls.units(parent, page);
            for unit in all(pages(&calls.line, LIST_UNITS, "OrganizationalUnits", PAGE, fetch)).await? {
                waiting.push_back(tree.enter(LIST_UNITS, &unit, &path, &mut seen)?);
            }
        }
        Ok(tree)
    }

    /// Notes a unit and returns the path of what lies in it. A tree that never ends is no tree.
    fn enter(
        &mut self,
        api: &str,
        unit: &Value,
        above: &[String],
        seen: &mut BTreeSet<String>,
    ) -> Result<Vec<String>, ConnectorError> {
        let parent = above.last().map(String::as_str);
        let noted = organization::unit(unit, parent).ok_or_else(|| nameless(api))?;
        let id = noted["Id"].as_str().unwrap_or_default().to_owned();
        if above.len() >= DEPTH || !seen.insert(id.clone()) {
            let message = format!("unit {id} is listed in more than one place or too deep");
            return Err(ConnectorError::new(ErrorKind::Permanent, api, message));
        }
        self.units.push(noted);
        Ok(above.iter().cloned().chain([id]).collect())
    }
}

fn nameless(api: &str) -> ConnectorError {
    ConnectorError::new(ErrorKind::Permanent, api, "an object without an id or a state was returned")
}
