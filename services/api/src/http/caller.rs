use std::marker::PhantomData;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::{HeaderMap, header, request::Parts};
use rampart_domain::{ConnectorId, TokenId};
use rampart_store::access::Permission;
use rampart_store::{Access, StoreError, TenantTx, Visible, token};
use secrecy::{ExposeSecret as _, SecretString};

use super::{ApiError, Code, RequestContext};
use crate::App;
use crate::oidc::{Identified, Refusal};

/// What an operation needs; named in the handler's signature.
pub(crate) trait Permit {
    /// The permission.
    const PERMISSION: Permission;
    /// Whether a grant over the whole tenant is needed, because what is touched belongs to no scope.
    const EVERYWHERE: bool;
    /// Whether what is touched is seen by nobody who does not see the whole tenant.
    const UNSEEN: bool = false;
    /// Whether a collector may too, on its own connector: the handler asks [`Caller::must_reach`].
    const COLLECTOR: bool = false;
}

macro_rules! permits {
    ($($(#[$meta:meta])* $name:ident = $permission:ident, $everywhere:literal, $unseen:literal;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name;

        impl Permit for $name {
            const PERMISSION: Permission = Permission::$permission;
            const EVERYWHERE: bool = $everywhere;
            const UNSEEN: bool = $unseen;
        }
    )+};
}

permits! {
    /// Inventory, coverage, scans.
    ReadInventory = ReadInventory, false, false;
    /// Findings, recommendations, score.
    ReadFindings = ReadFindings, false, false;
    /// Connectors and scans.
    ManageConnectors = ManageConnectors, true, true;
    /// Assignments, each within its scope.
    ManagePolicy = ManagePolicy, false, false;
    /// Initiatives, which belong to the whole tenant.
    ManageInitiatives = ManagePolicy, true, false;
    /// Webhooks, which are told of the whole tenant.
    ManageWebhooks = ManagePolicy, true, true;
    /// Tokens and identity providers.
    ManageTenant = ManageTenant, true, true;
    /// The audit log.
    ReadAuditLog = ReadAuditLog, true, true;
}

/// Pushing batches to a connector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PushBatches;

impl Permit for PushBatches {
    const PERMISSION: Permission = Permission::ManageConnectors;
    const EVERYWHERE: bool = true;
    const UNSEEN: bool = true;
    const COLLECTOR: bool = true;
}

/// Reading how far a session of batches came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadBatches;

impl Permit for ReadBatches {
    const PERMISSION: Permission = Permission::ReadInventory;
    const EVERYWHERE: bool = false;
    const COLLECTOR: bool = true;
}

/// Who calls, with the permission `P` somewhere (or everywhere, where the permit says so).
#[derive(Debug)]
pub(crate) struct Caller<P> {
    /// Tenant, actor and grants.
    pub access: Access,
    context: RequestContext,
    permit: PhantomData<P>,
}

impl<P> Caller<P> {
    /// Has the transaction write the entry of the change that it makes into the audit log.
    pub(crate) fn audit(&self, tx: TenantTx) -> TenantTx {
        self.context.audit(tx)
    }
}

impl<P: Permit> Caller<P> {
    /// What the grants that allow the operation make visible.
    pub(crate) fn visible(&self) -> Visible {
        self.access.visible(P::PERMISSION)
    }

    /// What the grants that allow reading findings make visible.
    pub(crate) fn visible_findings(&self) -> Visible {
        self.access.visible(Permission::ReadFindings)
    }

    /// Connectors and scans belong to no scope: only who sees the whole tenant sees them.
    pub(crate) fn must_see_everything(&self, what: &str) -> Result<(), ApiError> {
        if self.visible().all { Ok(()) } else { Err(ApiError::not_found(what)) }
    }

    /// A collector reaches its own connector and no other; everybody else must see the whole tenant.
    pub(crate) fn must_reach(&self, connector: ConnectorId) -> Result<(), ApiError> {
        let reaches = self.access.collector.map_or_else(|| self.visible().all, |own| own == connector);
        if reaches { Ok(()) } else { Err(ApiError::not_found("connector")) }
    }
}

impl<P: Permit> FromRequestParts<App> for Caller<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let context = parts.extensions.get::<RequestContext>().cloned().unwrap_or_default();
        let access = authenticate(parts, app, &context).await?;
        context.is_of(access.tenant, &access.actor);
        let admission = app.callers().admit(app.store(), access.tenant, access.actor.id).await?;
        context.counted(admission);
        if !admission.admitted {
            return Err(ApiError::rate_limited(admission.reset));
        }
        let allowed = if P::EVERYWHERE {
            access.allows_everywhere(P::PERMISSION)
        } else {
            access.allows_somewhere(P::PERMISSION)
        };
        if allowed || (P::COLLECTOR && access.collector.is_some()) {
            Ok(Self { access, context, permit: PhantomData })
        } else if P::UNSEEN && access.allows_somewhere(P::PERMISSION) && names_something(parts) {
            Err(ApiError::not_found("what the path names was"))
        } else {
            Err(ApiError::new(Code::Forbidden, "no role of the caller allows the operation where it would take effect"))
        }
    }
}

/// Who calls, by an API token or by the token of an identity provider.
async fn authenticate(parts: &Parts, app: &App, context: &RequestContext) -> Result<Access, ApiError> {
    let refused = |why: &str| ApiError::new(Code::Unauthenticated, why);
    let secret = bearer(parts).ok_or_else(|| refused("give a valid token as `Authorization: Bearer …`"))?;
    if secret.starts_with(token::PREFIX) {
        let hash = token::hash(secret);
        if let Some(found) = token::authenticate(app.store(), &hash).await? {
            if found.use_is_old {
                record_use(app, &found.access);
            }
            return Ok(found.access);
        }
        if let Some((tenant, actor)) = token::ended(app.store(), &hash).await? {
            context.is_of(tenant, &actor);
        }
        return Err(refused("give a valid token as `Authorization: Bearer rmp_…`"));
    }
    match app.oidc().identify(app.store(), &parts.headers, secret).await {
        Ok(Identified { tenant, actor, grants }) => Ok(Access { tenant, actor, grants, collector: None }),
        Err(Refusal::Unknown(why)) => Err(refused(why)),
        Err(Refusal::Untimely { tenant, actor, why }) => {
            context.is_of(tenant, &actor);
            Err(refused(why))
        }
        Err(Refusal::Unavailable { retry_after }) => Err(ApiError::provider_unavailable(retry_after)),
        Err(Refusal::Store(error)) => Err(error.into()),
    }
}

/// The token of a request, for answers that go on for longer than a look at it lasts.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    secret: SecretString,
    headers: HeaderMap,
}

impl Bearer {
    /// Whether the token still allows what `P` needs, in the whole tenant.
    pub(crate) async fn still_holds<P: Permit>(&self, app: &App) -> Result<bool, StoreError> {
        let secret = self.secret.expose_secret();
        let access = if secret.starts_with(token::PREFIX) {
            token::authenticate(app.store(), &token::hash(secret)).await?.map(|found| found.access)
        } else {
            match app.oidc().identify(app.store(), &self.headers, secret).await {
                Ok(Identified { tenant, actor, grants }) => Some(Access { tenant, actor, grants, collector: None }),
                Err(Refusal::Store(error)) => return Err(error),
                Err(_) => None,
            }
        };
        Ok(access.is_some_and(|access| access.allows_everywhere(P::PERMISSION)))
    }
}

impl FromRequestParts<App> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let secret = bearer(parts).ok_or_else(|| ApiError::new(Code::Unauthenticated, "give a valid token"))?;
        Ok(Self { secret: SecretString::from(secret), headers: parts.headers.clone() })
    }
}

/// Whether the path names one thing.
fn names_something(parts: &Parts) -> bool {
    parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str().contains('{'))
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
}

/// Beside the request: nobody waits for it, and a failure is only a note in the log.
fn record_use(app: &App, access: &Access) {
    let (app, tenant, token) = (app.clone(), access.tenant, TokenId(access.actor.id.0));
    tokio::spawn(async move {
        let recorded = async {
            let mut tx = app.store().tenant(tenant).await?;
            token::touch(&mut tx, token).await?;
            tx.commit().await
        };
        if let Err(error) = recorded.await {
            tracing::warn!(%error, "the use of a token could not be recorded");
        }
    });
}
