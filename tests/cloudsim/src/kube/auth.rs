use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;

use super::status::Failure;
use crate::aws::identity::Principal;
use crate::aws::sigv4::{Claim, Signed, pairs};
use crate::shared::Shared;
use crate::world::{Access, Cluster, Home};

/// What a token for the API servers of AKS is for.
const AKS_SCOPE: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
/// An EKS token stops working this long after it was signed.
const LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// Who is asking and what the cluster lets them do.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: String,
    access: Access,
    anonymous: bool,
}

impl Caller {
    /// Whether this caller may do this; `name` is set for single objects.
    pub(crate) fn may(&self, verb: &str, group: &str, resource: &str, name: Option<&str>) -> bool {
        if self.anonymous || !["get", "list", "watch"].contains(&verb) {
            return false;
        }
        match (self.access, group, resource) {
            (
                Access::Unmapped | Access::NoRights | Access::Unreachable | Access::NoCredential | Access::Throttled,
                _,
                _,
            )
            | (_, "", "secrets")
            | (Access::NoRbacObjects, "rbac.authorization.k8s.io", _) => false,
            (_, "", "configmaps") => verb == "get" && name == Some("aws-auth"),
            (Access::Reader | Access::NoRbacObjects, _, _) => true,
        }
    }
}

/// Finds out who sent a request.
pub(crate) fn authenticate(shared: &Shared, cluster: &Cluster, headers: &HeaderMap) -> Result<Caller, Failure> {
    if cluster.access == Access::Throttled {
        return Err(Failure::throttled(Some(1)));
    }
    let Some(value) = headers.get("authorization").and_then(|value| value.to_str().ok()) else {
        return Ok(Caller { name: "system:anonymous".to_owned(), access: Access::NoRights, anonymous: true });
    };
    let token = value.strip_prefix("Bearer ").ok_or_else(Failure::unauthorized)?;
    if shared.tokens.get(&cluster.name).is_some_and(|own| own == token) {
        let name = "system:serviceaccount:rampart:rampart".to_owned();
        return Ok(Caller { name, access: cluster.access, anonymous: false });
    }
    if let Home::Aks { subscription, entra: true, .. } = &cluster.home {
        return directory(shared, cluster, subscription, token);
    }
    if cluster.gke_place().is_some() {
        let name = shared.google.bearer(token, Utc::now()).ok_or_else(Failure::unauthorized)?;
        if !cluster.maps_reader() {
            return Err(Failure::unauthorized());
        }
        return Ok(Caller { name, access: cluster.access, anonymous: false });
    }
    let encoded = token.strip_prefix("k8s-aws-v1.").ok_or_else(Failure::unauthorized)?;
    let principal = presigned(shared, cluster, encoded, Utc::now()).ok_or_else(Failure::unauthorized)?;
    if !is_mapped(shared, cluster, &principal) {
        return Err(Failure::unauthorized());
    }
    Ok(Caller { name: principal.arn, access: cluster.access, anonymous: false })
}

/// Who a token of Entra ID is about; it must be for the API servers of AKS and of an application of the subscription.
fn directory(shared: &Shared, cluster: &Cluster, subscription: &str, token: &str) -> Result<Caller, Failure> {
    let token = shared.directory.token(token, &[AKS_SCOPE]).ok_or_else(Failure::unauthorized)?;
    let world = shared.world();
    let known = |one: &crate::world::Subscription| one.id == subscription && one.secret_of(&token.client_id).is_some();
    if !world.subscriptions().iter().any(known) {
        return Err(Failure::unauthorized());
    }
    if cluster.access == Access::Unmapped {
        return Err(Failure::unauthorized());
    }
    Ok(Caller { name: token.client_id, access: cluster.access, anonymous: false })
}

/// Who signed the `GetCallerIdentity` URL inside a token; `None` unless it was signed for this cluster and is fresh.
fn presigned(shared: &Shared, cluster: &Cluster, encoded: &str, now: DateTime<Utc>) -> Option<Principal> {
    let url = url::Url::parse(std::str::from_utf8(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?).ok()?;
    let host = match (url.host_str()?, url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let query = url.query().unwrap_or_default();
    let pairs = pairs(query);
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let claim = Claim::from_query(&pairs)?;
    let expires: u32 = value("X-Amz-Expires")?.parse().ok()?;
    let ours = host == shared.aws_host || host == format!("sts.{}.amazonaws.com", claim.region);
    let fresh = claim.signed_at <= now + TimeDelta::minutes(5) && now < claim.signed_at + LIFETIME;
    let bound = claim.signed_headers.iter().any(|name| name == "x-k8s-aws-id");
    if !ours || !fresh || !bound || value("Action")? != "GetCallerIdentity" || !(1..=900).contains(&expires) {
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert("host", host.parse().ok()?);
    headers.insert("x-k8s-aws-id", cluster.name.parse().ok()?);
    let request = Signed { method: "GET", path: url.path(), query, headers: &headers, body: b"" };
    shared.identities.authenticate(&claim, request, now).ok()
}

/// Whether access entries or the identity map know the caller, as the cluster's authentication mode has it.
fn is_mapped(shared: &Shared, cluster: &Cluster, principal: &Principal) -> bool {
    let world = shared.world();
    let mode = cluster.authentication_mode();
    let entered = mode != "CONFIG_MAP"
        && cluster
            .arn()
            .and_then(|arn| world.eks(arn))
            .is_some_and(|eks| eks.access_entries.contains_key(&principal.iam_arn));
    entered || (mode != "API" && maps(cluster, principal))
}

/// What the identity map of [`crate::world`] says about a caller.
fn maps(cluster: &Cluster, principal: &Principal) -> bool {
    use crate::world::aws::{OPEN_ROLE, READER_ROLE, READER_USER};
    let readers = [("role", READER_ROLE), ("role", OPEN_ROLE), ("user", READER_USER)];
    cluster.maps_reader()
        && cluster.account().is_some_and(|account| {
            readers.iter().any(|(sort, name)| principal.iam_arn == format!("arn:aws:iam::{account}:{sort}/{name}"))
        })
}
