use async_trait::async_trait;
use rampart_domain::Resource;

use crate::{ConnectorError, ErrorKind, Permission, PermissionCheck, PermissionState, ScanContext};

/// Whether an account of an organisation can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// In use.
    Active,
    /// Suspended, disabled or marked for deletion: known, and not read.
    Suspended,
}

/// An account, subscription or project below an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The cloud's id of the account: twelve digits, a subscription's UUID, a project's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Ids of the units above it (organisational units, management groups, folders), from the root down.
    pub path: Vec<String>,
    /// Whether it can be read.
    pub state: MemberState,
}

/// What an organisation consists of. Only a complete reading is returned: a page that fails fails the call.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// The accounts, each once.
    pub members: Vec<Member>,
    /// The organisation and its units as resources of the inventory.
    pub units: Vec<Resource>,
}

/// A source of accounts: an AWS Organization, an Azure tenant or management group, a Google Cloud organisation or folder.
#[async_trait]
pub trait Organization: Send + Sync {
    /// Every permission that reading the membership uses.
    fn permissions(&self) -> Vec<Permission>;

    /// Reads the whole membership, or fails.
    async fn members(&self, cx: &ScanContext) -> Result<Membership, ConnectorError>;

    /// Tries the permissions by reading the membership: it needs all of them, and stops at the first that is missing.
    async fn preflight(&self, cx: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        tried_together(self.permissions(), self.members(cx).await.map(drop))
    }
}

/// Where the permissions of an organisation are tried.
const SCOPE: &str = "organization";

/// The lines of permissions that one reading tried, each needed by it: all granted, or one failed and the others unproven.
/// The error is that the reading was told to stop.
pub fn tried_together(
    permissions: Vec<Permission>,
    reading: Result<(), ConnectorError>,
) -> Result<Vec<PermissionCheck>, ConnectorError> {
    let error = match reading {
        Ok(()) => {
            let granted =
                |permission| PermissionCheck { permission, scope: SCOPE.to_owned(), state: PermissionState::Granted };
            return Ok(permissions.into_iter().map(granted).collect());
        }
        Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
        Err(error) => error,
    };
    let known = permissions.iter().any(|permission| permission.name == error.api);
    let (failed, others): (Vec<_>, Vec<_>) =
        permissions.into_iter().partition(|permission| !known || permission.name == error.api);
    let remedy = format!("allow {} to the identity that reads the organisation", error.api);
    let result: Result<(), _> = Err(error.clone());
    let mut checks: Vec<_> =
        failed.into_iter().map(|permission| PermissionCheck::from_call(permission, SCOPE, &result, &remedy)).collect();
    checks.extend(untried(others, &format!("the reading ended before it: {}", error.message)));
    Ok(checks)
}

/// The lines of permissions that could not be tried.
pub fn untried(permissions: Vec<Permission>, why: &str) -> Vec<PermissionCheck> {
    let line = |permission| PermissionCheck {
        permission,
        scope: SCOPE.to_owned(),
        state: PermissionState::Unproven(why.to_owned()),
    };
    permissions.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use rampart_domain::Kind;

    use super::*;

    fn permissions() -> Vec<Permission> {
        let of = |name: &str| Permission { name: name.into(), kinds: vec![Kind::AwsOrganization] };
        vec![of("a"), of("b")]
    }

    fn check(kind: ErrorKind, api: &str) -> Vec<&'static str> {
        let failed = Err(ConnectorError::new(kind, api, "no"));
        let checks = tried_together(permissions(), failed).expect("it was not told to stop");
        let word = |state: &PermissionState| match state {
            PermissionState::Granted => "granted",
            PermissionState::Missing(_) => "missing",
            PermissionState::Unproven(_) => "unproven",
        };
        checks.iter().map(|check| word(&check.state)).collect()
    }

    #[test]
    fn one_reading_proves_all_permissions_or_names_the_one_that_failed() {
        let granted = tried_together(permissions(), Ok(())).expect("it was not told to stop");
        assert!(granted.iter().all(|check| check.state == PermissionState::Granted));
        assert_eq!(check(ErrorKind::Forbidden, "b"), ["missing", "unproven"]);
        assert_eq!(check(ErrorKind::Unauthorized, "sts"), ["missing", "missing"]);
        assert_eq!(check(ErrorKind::Throttled { retry_after: None }, "b"), ["unproven", "unproven"]);
        let stopped = Err(ConnectorError::new(ErrorKind::Cancelled, "a", "stop"));
        assert!(tried_together(permissions(), stopped).is_err());
    }
}
