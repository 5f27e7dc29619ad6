use std::fmt;

use async_trait::async_trait;
use rampart_connector::{
    BearerToken, Caller, ClusterAccess, ClusterEndpoint, ConnectorError, EGRESS_SETTING, ErrorKind,
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::arm::Arm;
use crate::arm_id::Located;
use crate::config::LocalAccounts;
use crate::connector::Run;
use crate::draft::Aks;
use crate::kubeconfig::{self, LocalUser};
use crate::normalize::is_stopped;
use crate::permissions::USER_CREDENTIAL;

/// The application that every API server of AKS takes tokens for, in every cloud.
const AKS_SCOPE: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
/// Stands for the call in errors that no call made.
const CLUSTER: &str = "AKS cluster";

/// The way to the Kubernetes API of one managed cluster.
pub(crate) struct AksAccess {
    arm: Arm,
    aks: Aks,
    at: Located,
    facts: Facts,
    local_accounts: LocalAccounts,
    found: OnceCell<(ClusterEndpoint, LocalUser)>,
}

/// What the description of a cluster says about reaching it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    stopped: bool,
    entra: bool,
    azure_rbac: bool,
    /// Only told of clusters that have a public address as well: the others have no use for ranges.
    network: Network,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Open,
    Private,
    AuthorizedRanges,
}

impl Facts {
    fn of(cluster: &Value) -> Self {
        let properties = &cluster["properties"];
        let access = &properties["apiServerAccessProfile"];
        let ranges = access["authorizedIPRanges"].as_array();
        let network = if access["enablePrivateCluster"] == true {
            Network::Private
        } else if ranges.is_some_and(|ranges| !ranges.is_empty()) {
            Network::AuthorizedRanges
        } else {
            Network::Open
        };
        let entra = &properties["aadProfile"];
        let azure_rbac = entra["enableAzureRBAC"] == true;
        Self { stopped: is_stopped(properties), entra: entra.is_object(), azure_rbac, network }
    }
}

impl AksAccess {
    /// From a cluster as it was listed.
    pub(crate) fn new(run: &Run, at: Located, cluster: &Value) -> Self {
        Self {
            arm: run.arm.with_caller(run.lasting.clone()),
            aks: run.aks(),
            at,
            facts: Facts::of(cluster),
            local_accounts: run.local_accounts,
            found: OnceCell::new(),
        }
    }

    fn caller(&self) -> &Caller {
        &self.arm.caller
    }

    async fn find(&self) -> Result<(ClusterEndpoint, LocalUser), ConnectorError> {
        let error = |kind, message| Err(ConnectorError::new(kind, CLUSTER, message));
        if self.facts.stopped {
            return error(ErrorKind::Unreachable, "the cluster is stopped");
        }
        if !self.facts.entra && self.local_accounts == LocalAccounts::Refused {
            let message = "the cluster does not use Entra ID, and this connector does not use local accounts";
            return error(ErrorKind::Unauthorized, message);
        }
        let draft = self.aks.user_credentials(USER_CREDENTIAL, &self.at)?;
        let mut answer = self.arm.call(USER_CREDENTIAL, draft).await?;
        let value = answer.pointer_mut("/kubeconfigs/0/value").map(Value::take);
        match value {
            Some(Value::String(value)) => kubeconfig::parse(&value.into()),
            _ => Err(ConnectorError::new(ErrorKind::Permanent, USER_CREDENTIAL, "the answer has no kubeconfig")),
        }
    }
}

#[async_trait]
impl ClusterAccess for AksAccess {
    async fn endpoint(&self) -> Result<ClusterEndpoint, ConnectorError> {
        let (endpoint, _) = self.found.get_or_try_init(|| self.find()).await?;
        Ok(endpoint.clone())
    }

    async fn token(&self) -> Result<BearerToken, ConnectorError> {
        if self.facts.entra {
            let token = self.arm.session().credentials.token(self.caller(), AKS_SCOPE).await?;
            return Ok(BearerToken { token: token.secret, expires_at: Some(token.expires_at) });
        }
        let (_, user) = self.found.get_or_try_init(|| self.find()).await?;
        Ok(BearerToken { token: user.token.clone().unwrap_or_default(), expires_at: None })
    }

    /// Only of clusters without Entra ID, whose kubeconfig was read by then: it says where the cluster is.
    fn client_identity_pem(&self) -> Option<SecretString> {
        let (_, user) = self.found.get().filter(|_| !self.facts.entra)?;
        user.identity_pem.clone()
    }

    fn remedy(&self, error: &ConnectorError) -> Option<String> {
        let Facts { stopped, entra, azure_rbac, network } = self.facts;
        let text = match error.kind {
            ErrorKind::Unreachable if stopped => {
                "Start the cluster; until then, what is known of it is kept and shown as stale.".to_owned()
            }
            ErrorKind::Unreachable => match network {
                Network::Private => format!(
                    "The cluster's API has a private address. Run Rampart where it reaches the cluster's network, and allow \
                     the range with {EGRESS_SETTING}."
                ),
                Network::AuthorizedRanges => "The cluster's API takes connections from authorised IP ranges only. Add the \
                     address from which Rampart connects to the cluster's authorizedIPRanges."
                    .to_owned(),
                Network::Open => return None,
            },
            ErrorKind::Unauthorized if !entra && self.local_accounts == LocalAccounts::Refused => {
                "Enable Entra ID for the cluster. Or set `local_accounts` on the connector: the user kubeconfig of such a \
                 cluster is in effect that of an administrator."
                    .to_owned()
            }
            ErrorKind::Unauthorized if entra => "The API server does not accept the token. The connector's identity must be \
                 in the directory that the cluster trusts (aadProfile.tenantID)."
                .to_owned(),
            ErrorKind::Forbidden if error.api == USER_CREDENTIAL => format!(
                "Assign a role with {USER_CREDENTIAL} to the connector's identity, such as Azure Kubernetes Service Cluster \
                 User Role."
            ),
            ErrorKind::Forbidden if azure_rbac => "Assign a role to the connector's identity on the cluster whose data \
                 actions cover what is read, such as Azure Kubernetes Service RBAC Reader with read on RBAC objects."
                .to_owned(),
            ErrorKind::Forbidden => "Bind a ClusterRole with get, list and watch to the object id of the connector's \
                 identity."
                .to_owned(),
            _ => return None,
        };
        Some(text)
    }
}

impl fmt::Debug for AksAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AksAccess").field("at", &self.at).field("facts", &self.facts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(properties: &Value) -> Facts {
        Facts::of(&json!({ "properties": properties }))
    }

    #[test]
    fn what_hinders_is_told_apart() {
        let open = Facts { stopped: false, entra: false, azure_rbac: false, network: Network::Open };
        assert_eq!(facts(&json!({})), open);
        assert_eq!(facts(&json!({"powerState": {"code": "Stopped"}})), Facts { stopped: true, ..open });
        let entra = json!({"aadProfile": {"managed": true, "enableAzureRBAC": true}});
        assert_eq!(facts(&entra), Facts { entra: true, azure_rbac: true, ..open });
        let ranges = json!({"apiServerAccessProfile": {"authorizedIPRanges": ["192.0.2.0/24"]}});
        assert_eq!(facts(&ranges).network, Network::AuthorizedRanges);
        let none = json!({"apiServerAccessProfile": {"authorizedIPRanges": []}});
        assert_eq!(facts(&none).network, Network::Open);
        let private = json!({"apiServerAccessProfile": {"enablePrivateCluster": true,
            "enablePrivateClusterPublicFQDN": true, "authorizedIPRanges": ["192.0.2.0/24"]}});
        assert_eq!(facts(&private).network, Network::Private, "a public name does not make a private address public");
    }
}
