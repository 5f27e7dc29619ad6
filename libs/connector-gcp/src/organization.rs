//! What an organisation or folder consists of, read level by level: a search would answer only from what the identity
//! may see and from an index that lags behind.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use rampart_connector::{
    Caller, ConnectorError, Egress, ErrorKind, Member, MemberState, Membership, Organization, Permission, ScanContext,
};
use serde_json::Value;

use crate::auth::Tokens;
use crate::calls::{self as api, Calls};
use crate::config::{Login, Parent};
use crate::connector::GcpSetupError;
use crate::http::Http;
use crate::normalize;
use crate::permissions::organization_permissions;

/// Folders whose content is listed side by side.
const FOLDERS_AT_ONCE: usize = 4;
const PAGE: usize = 200;
/// Google Cloud nests folders at most ten deep.
const DEEPEST: usize = 16;

/// An organisation of Google Cloud, or a folder in one.
pub struct GcpOrganization {
    root: Parent,
    calls: Calls,
}

impl fmt::Debug for GcpOrganization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpOrganization").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A folder on the way down.
struct Unit {
    /// `folders/12`.
    name: String,
    /// From the root to this one.
    path: Vec<String>,
}

/// What lies directly below a folder.
struct Content {
    folders: Vec<Value>,
    projects: Vec<Value>,
    path: Vec<String>,
}

impl GcpOrganization {
    /// Checks the configuration. Makes no call. `login` must hold roles on `root`.
    pub fn new(root: Parent, login: Login, caller: &Caller, egress: &Egress) -> Result<Self, GcpSetupError> {
        login.validate()?;
        let http = Arc::new(Http::new(login.endpoint_override.as_ref(), caller.limits(), egress)?);
        let tokens = Arc::new(Tokens::new(login, Arc::clone(&http), caller.clone()));
        let calls = Calls::new(tokens, http, caller.clone(), root.as_str());
        Ok(Self { root, calls })
    }

    fn get_root(&self) -> &'static str {
        if self.root.is_organization() { api::GET_ORGANIZATION } else { api::GET_FOLDER }
    }
}

#[async_trait]
impl Organization for GcpOrganization {
    fn permissions(&self) -> Vec<Permission> {
        let other = if self.root.is_organization() { api::GET_FOLDER } else { api::GET_ORGANIZATION };
        organization_permissions().into_iter().filter(|permission| permission.name != other).collect()
    }

    async fn members(&self, cx: &ScanContext) -> Result<Membership, ConnectorError> {
        let calls = self.calls.until(cx.cancel.child_token());
        let root = self.root.as_str();
        let described =
            if self.root.is_organization() { calls.organization(root).await? } else { calls.folder(root).await? };
        let mut membership = Membership::default();
        membership.units.push(unit(self.get_root(), described)?);
        // What is moved while the rest is listed may come twice.
        let mut projects_seen = HashSet::new();
        let mut seen = HashSet::from([root.to_owned()]);
        let mut level = vec![Unit { name: root.to_owned(), path: vec![root.to_owned()] }];
        for _ in 0..DEEPEST {
            if level.is_empty() {
                return Ok(membership);
            }
            let contents: Vec<Content> = stream::iter(std::mem::take(&mut level))
                .map(|unit| content(&calls, unit))
                .buffered(FOLDERS_AT_ONCE)
                .try_collect()
                .await?;
            for Content { folders, projects, path } in contents {
                for project in projects {
                    let member = member(&project, &path)?;
                    if projects_seen.insert(member.id.clone()) {
                        membership.members.push(member);
                    }
                }
                for folder in folders {
                    let folder = unit(api::LIST_FOLDERS, folder)?;
                    let name = folder.config["name"].as_str().unwrap_or_default().to_owned();
                    if seen.insert(name.clone()) {
                        let path = path.iter().cloned().chain([name.clone()]).collect();
                        level.push(Unit { name, path });
                        membership.units.push(folder);
                    }
                }
            }
        }
        let message = format!("folders are nested deeper than {DEEPEST}");
        Err(ConnectorError::new(ErrorKind::Permanent, api::LIST_FOLDERS, message))
    }
}

async fn content(calls: &Calls, Unit { name, path }: Unit) -> Result<Content, ConnectorError> {
    let folders = calls.pages(api::LIST_FOLDERS, "folders", PAGE, |page| calls.folders(&name, page));
    let projects = calls.pages(api::LIST_PROJECTS, "projects", PAGE, |page| calls.projects(&name, page));
    let (folders, projects) = tokio::join!(folders.try_concat(), projects.try_concat());
    Ok(Content { folders: folders?, projects: projects?, path })
}

fn unit(api: &str, described: Value) -> Result<rampart_domain::Resource, ConnectorError> {
    let of_known = described["name"].as_str().is_some_and(|name| name.parse::<Parent>().is_ok());
    let resource = of_known.then(|| normalize::folder(described)).flatten();
    resource
        .ok_or_else(|| ConnectorError::new(ErrorKind::Permanent, api, "a folder without a usable name was returned"))
}

fn member(project: &Value, path: &[String]) -> Result<Member, ConnectorError> {
    let Some(id) = project["projectId"].as_str().filter(|id| !id.is_empty()) else {
        let message = "a project without an id was returned";
        return Err(ConnectorError::new(ErrorKind::Permanent, api::LIST_PROJECTS, message));
    };
    let name = project["displayName"].as_str().unwrap_or(id).to_owned();
    let active = project["state"] == "ACTIVE";
    let state = if active { MemberState::Active } else { MemberState::Suspended };
    Ok(Member { id: id.to_owned(), name, path: path.to_vec(), state })
}
