use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use rampart_connector::{
    Caller, ConnectorError, Egress, ErrorKind, Member, MemberState, Membership, Organization, Permission, ScanContext,
};
use rampart_domain::Kind;
use serde_json::Value;

use crate::arm::Arm;
use crate::config::{AzureConfigError, AzureIdentity};
use crate::normalize::{self, text};
use crate::permissions::SUBSCRIPTION;
use crate::session::Session;

const GROUP: &str = "Microsoft.Management/managementGroups/read";
const DESCENDANTS: &str = "Microsoft.Management/managementGroups/descendants/read";
const GROUPS_VERSION: &str = "2021-04-01";
const SUBSCRIPTIONS_VERSION: &str = "2022-12-01";
/// Deeper than Azure lets groups be nested, so that a circle is noticed.
const DEEPEST: usize = 16;

/// Where an organisation begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureRoot {
    /// The whole directory: the group above all others, which is named like the directory.
    Tenant,
    /// A management group, by its id (not the name that is shown).
    ManagementGroup(String),
}

/// The subscriptions below a directory or management group.
#[derive(Debug)]
pub struct AzureOrganization {
    root: String,
    tenant: String,
    caller: Caller,
    session: Arc<Session>,
}

impl AzureOrganization {
    /// Checks the configuration. Makes no call.
    pub fn new(
        identity: AzureIdentity,
        root: AzureRoot,
        caller: Caller,
        egress: Egress,
    ) -> Result<Self, AzureConfigError> {
        identity.validate()?;
        let tenant = identity.tenant_id.to_ascii_lowercase();
        let root = match root {
            AzureRoot::Tenant => tenant.clone(),
            AzureRoot::ManagementGroup(id) if is_group(&id) => id,
            AzureRoot::ManagementGroup(_) => return Err(AzureConfigError::ManagementGroup),
        };
        let session = Session::open(identity, egress, &caller)?;
        Ok(Self { root, tenant, caller, session })
    }
}

/// Every action that reading a directory or management group uses.
pub fn organization_permissions() -> Vec<Permission> {
    let of = |name: &str, kind| Permission { name: name.to_owned(), kinds: vec![kind] };
    vec![
        of(GROUP, Kind::AzureManagementGroup),
        of(DESCENDANTS, Kind::AzureManagementGroup),
        of(SUBSCRIPTION, Kind::AzureSubscription),
    ]
}

#[async_trait]
impl Organization for AzureOrganization {
    fn permissions(&self) -> Vec<Permission> {
        organization_permissions()
    }

    async fn members(&self, cx: &ScanContext) -> Result<Membership, ConnectorError> {
        let arm = Arm::new(Arc::clone(&self.session), self.caller.with_cancel(cx.cancel.clone()), &self.tenant);
        let path = format!("/providers/Microsoft.Management/managementGroups/{}", self.root);
        let root = arm.get(GROUP, arm.address(&path, GROUPS_VERSION)).await?;
        let descendants = arm.address(&format!("{path}/descendants"), GROUPS_VERSION);
        let descendants: Vec<Value> = arm.pages(DESCENDANTS, descendants).try_concat().await?;
        let subscriptions = arm.address("/subscriptions", SUBSCRIPTIONS_VERSION);
        let subscriptions: Vec<Value> = arm.pages(SUBSCRIPTION, subscriptions).try_concat().await?;
        membership(root, descendants, &subscriptions)
    }
}

/// Puts three answers together: the root, what lies below it, and what is known of the subscriptions.
fn membership(root: Value, descendants: Vec<Value>, subscriptions: &[Value]) -> Result<Membership, ConnectorError> {
    let bad = |message: String| ConnectorError::new(ErrorKind::Permanent, DESCENDANTS, message);
    let nameless = |what: &str| bad(format!("{what} without an id was returned"));
    let root_name = text(&root, "name").map(str::to_ascii_lowercase).ok_or_else(|| nameless("a management group"))?;
    let (found, groups): (Vec<_>, Vec<_>) = descendants.into_iter().partition(is_subscription);

    let mut above = HashMap::new();
    let mut names = HashMap::from([(root_name.clone(), text(&root, "name").unwrap_or_default().to_owned())]);
    for group in &groups {
        let name = text(group, "name").ok_or_else(|| nameless("a management group"))?;
        names.insert(name.to_ascii_lowercase(), name.to_owned());
        above.insert(name.to_ascii_lowercase(), parent(group));
    }
    let path_of = |start: Option<String>| {
        let mut path = Vec::new();
        let mut next = start;
        while let Some(name) = next {
            path.push(names.get(&name).cloned().ok_or_else(|| bad(format!("the group {name} is not below the root")))?);
            if name == root_name {
                path.reverse();
                return Ok(path);
            }
            if path.len() > DEEPEST {
                return Err(bad(format!("the group {name} lies in a circle")));
            }
            next = above.get(&name).cloned().flatten();
        }
        Err(bad("a group or subscription does not say what it is in".to_owned()))
    };
    let states: HashMap<String, &str> = subscriptions
        .iter()
        .filter_map(|one| Some((text(one, "subscriptionId")?.to_ascii_lowercase(), text(one, "state")?)))
        .collect();
    let mut seen = HashSet::new();
    let mut members = Vec::with_capacity(found.len());
    for one in &found {
        let id = text(one, "name").map(str::to_ascii_lowercase).ok_or_else(|| nameless("a subscription"))?;
        if !seen.insert(id.clone()) {
            continue;
        }
        let state = match states.get(&id).copied() {
            Some("Disabled" | "Deleted") => MemberState::Suspended,
            // One that is not listed gives this identity no role yet: reading it says so better than leaving it out.
            _ => MemberState::Active,
        };
        let name = one["properties"]["displayName"].as_str().unwrap_or(&id).to_owned();
        members.push(Member { id, name, path: path_of(parent(one))?, state });
    }
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let units = std::iter::once(root).chain(groups).map(normalize::management_group);
    let units = units.collect::<Option<Vec<_>>>().ok_or_else(|| nameless("a management group"))?;
    Ok(Membership { members, units })
}

fn is_subscription(one: &Value) -> bool {
    text(one, "type").is_some_and(|word| word.to_ascii_lowercase().ends_with("/subscriptions"))
}

/// Name of the group that something lies in, in lower case.
fn parent(one: &Value) -> Option<String> {
    let id = one["properties"]["parent"]["id"].as_str()?;
    Some(id.trim_end_matches('/').rsplit('/').next()?.to_ascii_lowercase())
}

fn is_group(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_().".contains(c);
    (1..=90).contains(&id.len()) && id.chars().all(plain) && !id.ends_with('.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(name: &str, parent: &str) -> Value {
        json!({"id": format!("/providers/Microsoft.Management/managementGroups/{name}"), "name": name,
            "type": "Microsoft.Management/managementGroups", "properties": {"displayName": format!("The {name}"),
            "parent": {"id": format!("/providers/Microsoft.Management/managementGroups/{parent}")}}})
    }

    fn subscription(id: &str, parent: &str) -> Value {
        json!({"id": format!("/subscriptions/{id}"), "name": id, "type": "/subscriptions", "properties": {
            "displayName": format!("Sub {id}"), "parent": {"id": format!("/providers/Microsoft.Management/managementGroups/{parent}")}}})
    }

    #[test]
    fn paths_lead_from_the_root_down_and_disabled_subscriptions_are_suspended() {
        let below = vec![
            subscription("S2", "prod"),
            group("Prod", "corp"),
            group("corp", "ROOT"),
            subscription("s1", "root"),
            subscription("s1", "root"),
        ];
        let states =
            [json!({"subscriptionId": "s2", "state": "Disabled"}), json!({"subscriptionId": "s1", "state": "Enabled"})];
        let found = membership(group("root", ""), below, &states).unwrap();
        let seen: Vec<_> = found.members.iter().map(|m| (m.id.as_str(), m.path.join("/"), m.state)).collect();
        let want = [
            ("s1", "root".to_owned(), MemberState::Active),
            ("s2", "root/corp/Prod".to_owned(), MemberState::Suspended),
        ];
        assert_eq!(seen, want);
        assert_eq!(
            found.units.iter().map(|unit| unit.name.as_str()).collect::<Vec<_>>(),
            ["The root", "The Prod", "The corp"]
        );
    }

    #[test]
    fn a_membership_that_does_not_hang_together_is_refused() {
        let of = |below| membership(group("root", ""), below, &[]).map_err(|error| error.kind);
        assert!(of(vec![subscription("s1", "elsewhere")]).is_err());
        assert!(of(vec![group("a", "b"), group("b", "a"), subscription("s1", "a")]).is_err());
        assert!(of(vec![json!({"type": "/subscriptions"})]).is_err());
    }

    #[test]
    fn ids_of_groups_do_not_change_a_path() {
        assert!(is_group("corp-prod_(eu).1"));
        assert!(!is_group("") && !is_group("a/b") && !is_group("a?b") && !is_group("..") && !is_group(&"a".repeat(91)));
    }
}
