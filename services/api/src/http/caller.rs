use std::marker::PhantomData;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::{header, request::Parts};
use rampart_domain::ConnectorId;
use rampart_store::access::Permission;
use rampart_store::{Access, Visible, token};

use super::{ApiError, Code};
use crate::App;

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
    /// Tokens.
    ManageTenant = ManageTenant, true, true;
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
    /// Tenant, token and grants.
    pub access: Access,
    permit: PhantomData<P>,
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
        let refused = || ApiError::new(Code::Unauthenticated, "give a valid token as `Authorization: Bearer rmp_…`");
        let secret = bearer(parts).ok_or_else(refused)?;
        let found = token::authenticate(app.store(), &token::hash(secret)).await?.ok_or_else(refused)?;
        app.admit(found.access.token).map_err(ApiError::rate_limited)?;
        if found.use_is_old {
            record_use(app, &found.access);
        }
        let access = found.access;
        let allowed = if P::EVERYWHERE {
            access.allows_everywhere(P::PERMISSION)
        } else {
            access.allows_somewhere(P::PERMISSION)
        };
        if allowed || (P::COLLECTOR && access.collector.is_some()) {
            Ok(Self { access, permit: PhantomData })
        } else if P::UNSEEN && access.allows_somewhere(P::PERMISSION) && names_something(parts) {
            Err(ApiError::not_found("what the path names was"))
        } else {
            Err(ApiError::new(Code::Forbidden, "no role of this token allows the operation where it would take effect"))
        }
    }
}

/// Whether the path names one thing.
fn names_something(parts: &Parts) -> bool {
    parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str().contains('{'))
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && secret.starts_with(token::PREFIX)).then_some(secret)
}

/// Beside the request: nobody waits for it, and a failure is only a note in the log.
fn record_use(app: &App, access: &Access) {
    let (app, tenant, token) = (app.clone(), access.tenant, access.token);
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
