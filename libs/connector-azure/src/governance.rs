//! What governs the subscription: its plans of Defender for Cloud, and who has which role.

use std::pin::pin;

use futures::StreamExt;
use rampart_connector::{Lister, Outcome, Sink};
use rampart_domain::{Kind, Resource};
use serde_json::Value;

use crate::connector::{Run, lost};
use crate::draft::Draft;
use crate::normalize::{self, Place};
use crate::permissions::{ROLE_ASSIGNMENTS, SECURITY_PLANS};

const SECURITY_PLANS_VERSION: &str = "2024-01-01";
const ROLE_ASSIGNMENTS_VERSION: &str = "2022-04-01";

/// Reads the plans and role assignments of the subscription.
pub(crate) async fn read(run: &Run, kinds: &[Kind], sink: &Sink) {
    let start = |kind| Lister::start(sink, run.place.scope(), kind, kinds, run.cancel().clone());
    let (plans, assignments) = (start(Kind::AzureSecurityPlan).await, start(Kind::AzureRoleAssignment).await);
    tokio::join!(
        list(run, &plans, SECURITY_PLANS, security_plans(run), normalize::security_plan),
        list(run, &assignments, ROLE_ASSIGNMENTS, role_assignments(run), normalize::role_assignment),
    );
    for lister in [plans, assignments] {
        lister.finish(Outcome::Complete).await;
    }
}

async fn list(
    run: &Run,
    lister: &Lister<'_>,
    api: &str,
    draft: Draft,
    normalize: fn(&Place, Value) -> Option<Resource>,
) {
    if !lister.is_open() {
        return;
    }
    let mut pages = pin!(run.arm.pages(api, draft.url));
    while let Some(page) = pages.next().await {
        match page {
            Ok(items) => {
                for one in items {
                    lister.push(api, normalize(&run.place, one)).await;
                }
            }
            Err(error) => lost(&[lister], &error),
        }
    }
}

/// The listing of Defender plans.
pub(crate) fn security_plans(run: &Run) -> Draft {
    let path = format!("/subscriptions/{}/providers/Microsoft.Security/pricings", run.place.subscription);
    Draft { method: http::Method::GET, url: run.arm.address(&path, SECURITY_PLANS_VERSION) }
}

/// The listing of role assignments: those above the subscription, of it and below it.
pub(crate) fn role_assignments(run: &Run) -> Draft {
    let path = format!("/subscriptions/{}/providers/Microsoft.Authorization/roleAssignments", run.place.subscription);
    Draft { method: http::Method::GET, url: run.arm.address(&path, ROLE_ASSIGNMENTS_VERSION) }
}
