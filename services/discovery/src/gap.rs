use rampart_connector::{ConnectorError, ErrorKind};
use rampart_domain::Gap;

/// What a failed call leaves in the coverage ledger: the state, the provider's words and what to do.
pub(crate) fn gap_of(error: &ConnectorError) -> Gap {
    let remedy = error.remedy.as_deref().map_or_else(|| remedy(error), str::to_owned);
    Gap { state: error.coverage(), message: error.to_string(), remedy }
}

fn remedy(error: &ConnectorError) -> String {
    let api = &error.api;
    // Calls of a Kubernetes API are named by verb and path; those of a cloud by the permission that they need.
    let kubernetes = api.contains(' ') || api == "connect";
    match error.kind {
        ErrorKind::Throttled { .. } => {
            format!("{api} is throttled; the next scan tries again. If it stays so, lengthen the connector's interval.")
        }
        ErrorKind::Unauthorized if kubernetes => "The API server does not accept the identity. On EKS, add an access \
            entry for the connector's role; elsewhere, supply a valid token or kubeconfig."
            .to_owned(),
        ErrorKind::Unauthorized => {
            "The credentials were refused. Check the role's trust policy and external id, or replace the keys."
                .to_owned()
        }
        ErrorKind::Forbidden if kubernetes => {
            format!("Allow `{api}` to the connector's identity: bind it to a ClusterRole with get, list and watch.")
        }
        ErrorKind::Forbidden => format!("Allow the action {api} in the connector's role, or remove the deny."),
        ErrorKind::NotFound => "It vanished while it was read; the next scan settles it.".to_owned(),
        ErrorKind::Unsupported => format!("{api} is not offered here."),
        ErrorKind::Unreachable => "There is no network path from Rampart to the endpoint. For private endpoints, let \
            `rampart collect` push from beside the cluster (a connector with delivery `push`), or run Rampart where it can \
            reach them and allow the range with RAMPART_EGRESS_ALLOW."
            .to_owned(),
        ErrorKind::Transient => "The provider failed to answer; the next scan tries again.".to_owned(),
        ErrorKind::Expired => {
            "The listing took longer than the API server keeps it; the next scan tries again.".to_owned()
        }
        ErrorKind::TooLarge => {
            "An answer exceeded the size cap; look for unusually large objects of this kind.".to_owned()
        }
        ErrorKind::Permanent => "The answer could not be used; see the message.".to_owned(),
        ErrorKind::Cancelled => "The scan was stopped before it got here; start another.".to_owned(),
    }
}
