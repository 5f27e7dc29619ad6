use std::fmt;
use std::time::Duration;

use futures::{StreamExt, stream};
use rampart_domain::CoverageState;

use super::{Expected, Fault, Harness, Recording, record};
use crate::{ErrorKind, Outcome, Permission};

/// Longest time from the cancellation to the end of a scan.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);
/// Rows of the table that run side by side: they mostly wait.
const ROWS_AT_ONCE: usize = 8;
/// When a hanging scan is told to stop.
const CANCEL_AFTER: Duration = Duration::from_millis(150);

/// A promise that the connector did not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The permission whose API was broken, and how; `None` in the sound world.
    pub broken: Option<(String, Fault)>,
    /// What was seen.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.broken {
            Some((api, fault)) => write!(f, "{api} × {fault:?}: {}", self.message),
            None => write!(f, "sound world: {}", self.message),
        }
    }
}

/// Runs the whole table, some rows side by side. The error lists every broken promise.
pub async fn run(harness: &dyn Harness) -> Result<(), Vec<Violation>> {
    let world = harness.start(None).await;
    let permissions = world.connector.permissions();
    let expected = harness.expected();
    let mut messages = table(&permissions, &expected);
    messages.extend(sound(&record(&*world.connector, None).await, &expected));
    drop(world);
    let mut violations: Vec<_> = messages.into_iter().map(|message| Violation { broken: None, message }).collect();

    let rows = permissions.iter().flat_map(|permission| Fault::ALL.map(|fault| (permission, fault)));
    let rows = rows.filter(|(permission, fault)| harness.applies(permission, *fault));
    let rows = rows.map(|(permission, fault)| row(harness, &expected, permission, fault));
    let found: Vec<Vec<Violation>> = stream::iter(rows).buffered(ROWS_AT_ONCE).collect().await;
    violations.extend(found.into_iter().flatten());
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

async fn row(harness: &dyn Harness, expected: &[Expected], permission: &Permission, fault: Fault) -> Vec<Violation> {
    let world = harness.start(Some((permission, fault))).await;
    let cancel = (fault == Fault::Hang).then_some(CANCEL_AFTER);
    let seen = record(&*world.connector, cancel).await;
    let broken = Some((permission.name.clone(), fault));
    let messages = judge(&seen, expected, permission, fault);
    messages.into_iter().map(|message| Violation { broken: broken.clone(), message }).collect()
}

/// Every kind of the world must hang on some permission, or the table has holes.
fn table(permissions: &[Permission], expected: &[Expected]) -> Vec<String> {
    let lost = |kind| permissions.iter().any(|permission| permission.kinds.contains(&kind));
    let holes = expected.iter().filter(|e| !lost(e.listing.kind));
    holes.map(|e| format!("no permission is named for {}", e.listing.kind)).collect()
}

fn sound(seen: &Recording, expected: &[Expected]) -> Vec<String> {
    let mut messages = seen.breaches.clone();
    if let Err(error) = &seen.result {
        messages.push(format!("the scan failed: {error}"));
    }
    messages.extend(expected.iter().filter_map(|e| whole(seen, e)));
    for listing in seen.listings.keys() {
        if !expected.iter().any(|e| e.listing == *listing) {
            messages.push(format!("{listing:?} was reported and is not in the world"));
        }
    }
    messages
}

fn judge(seen: &Recording, expected: &[Expected], permission: &Permission, fault: Fault) -> Vec<String> {
    match fault {
        Fault::ThrottledOnce => return sound(seen, expected),
        Fault::Hang => return cancelled(seen, permission),
        _ => {}
    }
    let mut messages = seen.breaches.clone();
    for e in expected {
        if permission.kinds.contains(&e.listing.kind) {
            messages.extend(lost(seen, e, fault));
        } else {
            messages.extend(whole(seen, e));
        }
    }
    messages
}

/// A listing that nothing is wrong with: complete, every object once.
fn whole(seen: &Recording, expected: &Expected) -> Option<String> {
    let Some(listing) = seen.listings.get(&expected.listing) else {
        return Some(format!("{:?} was not reported", expected.listing));
    };
    if listing.outcome != Some(Outcome::Complete) {
        return Some(format!("{:?} ended as {:?}", expected.listing, listing.outcome));
    }
    let (ids, resources, want) = (listing.ids.len(), listing.resources, expected.resources);
    (ids != want || resources != want)
        .then(|| format!("{:?} has {resources} resources with {ids} ids, not {want}", expected.listing))
}

/// A listing whose API is broken: incomplete, for the right reason. A scan that could not begin reports no listing.
fn lost(seen: &Recording, expected: &Expected, fault: Fault) -> Option<String> {
    let listing = &expected.listing;
    let error = match (seen.listings.get(listing).and_then(|recorded| recorded.outcome.as_ref()), &seen.result) {
        (Some(Outcome::Incomplete(error)), _) | (None, Err(error)) => error,
        (outcome, result) => return Some(format!("{listing:?} ended as {outcome:?}, the scan as {result:?}")),
    };
    let right = match fault {
        Fault::Throttled => error.coverage() == CoverageState::Throttled,
        Fault::Forbidden => error.coverage() == CoverageState::Denied,
        Fault::Unsupported => error.coverage() == CoverageState::Unsupported,
        Fault::ServerError => error.kind == ErrorKind::Transient,
        Fault::Cut => matches!(error.kind, ErrorKind::Transient | ErrorKind::Unreachable),
        Fault::Oversized => error.kind == ErrorKind::TooLarge,
        Fault::ThrottledOnce | Fault::Hang => false,
    };
    (!right).then(|| format!("{listing:?} is incomplete for the wrong reason: {:?}, {error}", error.kind))
}

/// A scan that was told to stop while a call hung.
fn cancelled(seen: &Recording, permission: &Permission) -> Vec<String> {
    let mut messages = seen.breaches.clone();
    if let Some(after) = seen.ended_after.filter(|after| *after > CANCEL_WITHIN) {
        messages.push(format!("the scan went on for {after:?} after it was told to stop"));
    }
    for (listing, recorded) in &seen.listings {
        if permission.kinds.contains(&listing.kind) && recorded.outcome == Some(Outcome::Complete) {
            messages.push(format!("{listing:?} is complete although its call never ended"));
        }
    }
    messages
}
