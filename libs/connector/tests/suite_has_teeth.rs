//! The conformance suite over a toy connector: it passes when the toy behaves, and finds every way in which it does not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rampart_connector::conformance::{Expected, Fault, Harness, World, run};
use rampart_connector::{
    Bucket, Caller, Connector, ConnectorError, ErrorKind, Event, Limits, Listing, Outcome, Permission, PermissionCheck,
    ScanContext, Sink,
};
use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, Scope};
use tokio_util::sync::CancellationToken;

/// A way to be wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Vice {
    None,
    SaysComplete,
    ReadsOnePage,
    GivesUpOnTheRest,
    IgnoresThrottling,
    IgnoresCancellation,
}

const KINDS: [(&str, Kind); 2] = [("list nodes", Kind::K8sNode), ("list pods", Kind::K8sPod)];
const PAGES: usize = 2;

struct Toy {
    vice: Vice,
    broken: Option<(String, Fault)>,
}

impl Toy {
    /// Two pages of one object; the fault lies in what comes back, as if a provider had sent it.
    async fn page(&self, api: &str, page: usize, attempt: usize) -> Result<NativeId, ConnectorError> {
        let fail = |kind| Err(ConnectorError::new(kind, api, "fault"));
        let retry_after = Some(Duration::ZERO);
        match self.broken.as_ref().filter(|(broken, _)| broken == api).map(|(_, fault)| *fault) {
            Some(Fault::ThrottledOnce) if page == 0 && attempt == 0 => fail(ErrorKind::Throttled { retry_after }),
            Some(Fault::Throttled) => fail(ErrorKind::Throttled { retry_after }),
            Some(Fault::Forbidden) => fail(ErrorKind::Forbidden),
            Some(Fault::ServerError | Fault::Cut) if page > 0 => fail(ErrorKind::Transient),
            Some(Fault::Oversized) => fail(ErrorKind::TooLarge),
            Some(Fault::Unsupported) => fail(ErrorKind::Unsupported),
            Some(Fault::Hang) if self.vice == Vice::IgnoresCancellation => {
                tokio::time::sleep(Duration::from_millis(1200)).await;
                Ok(NativeId::new(format!("{api}/{page}")))
            }
            Some(Fault::Hang) => std::future::pending().await,
            _ => Ok(NativeId::new(format!("{api}/{page}"))),
        }
    }

    async fn list(&self, caller: &Caller, api: &str, kind: Kind, sink: &Sink) -> Result<(), ConnectorError> {
        let pages = if self.vice == Vice::ReadsOnePage { 1 } else { PAGES };
        for page in 0..pages {
            let mut attempt = 0;
            let bucket = Bucket::new("toy", "", "toy");
            let op = || {
                attempt += 1;
                self.page(api, page, attempt - 1)
            };
            let id = caller.call(&bucket, api, op).await?;
            let _ = sink
                .send(Event::Page { listing: listing(kind), resources: vec![node(id, kind)], remaining: None })
                .await;
        }
        Ok(())
    }
}

#[async_trait]
impl Connector for Toy {
    fn permissions(&self) -> Vec<Permission> {
        KINDS.map(|(name, kind)| Permission { name: name.into(), kinds: vec![kind] }).to_vec()
    }

    async fn scan(&self, cx: &ScanContext, sink: &Sink) -> Result<(), ConnectorError> {
        let ms = Duration::from_millis;
        let attempts = if self.vice == Vice::IgnoresThrottling { 1 } else { 3 };
        let limits = Limits { backoff_min: ms(1), backoff_max: ms(2), attempts, ..Limits::default() };
        let ignores = self.vice == Vice::IgnoresCancellation;
        let cancel = if ignores { CancellationToken::new() } else { cx.cancel.clone() };
        let caller = Caller::new(limits, cancel);
        for (api, kind) in KINDS {
            let _ = sink.send(Event::Started { listing: listing(kind) }).await;
            let outcome = match self.list(&caller, api, kind, sink).await {
                Err(error) if self.vice == Vice::GivesUpOnTheRest => return Err(error),
                Err(error) if self.vice != Vice::SaysComplete => Outcome::Incomplete(error),
                _ => Outcome::Complete,
            };
            let _ = sink.send(Event::Finished { listing: listing(kind), outcome }).await;
        }
        Ok(())
    }

    async fn preflight(&self, _: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        Ok(Vec::new())
    }
}

fn listing(kind: Kind) -> Listing {
    let scope = Scope::Region { cloud: Cloud::OnPremises, account: "toy".into(), region: "global".into() };
    Listing { scope, kind }
}

fn node(native_id: NativeId, kind: Kind) -> Resource {
    Resource {
        name: native_id.to_string(),
        native_id,
        kind,
        cloud: Cloud::OnPremises,
        account: None,
        region: None,
        cluster: None,
        namespace: None,
        labels: std::collections::BTreeMap::new(),
        managed_by: ManagedBy::Customer,
        owner: None,
        active: true,
        uid: None,
        version: None,
        partial: false,
        config: serde_json::json!({}),
    }
}

struct ToyWorld(Vice);

#[async_trait]
impl Harness for ToyWorld {
    async fn start(&self, broken: Option<(&Permission, Fault)>) -> World {
        let broken = broken.map(|(permission, fault)| (permission.name.clone(), fault));
        World { connector: Arc::new(Toy { vice: self.0, broken }), guard: Box::new(()) }
    }

    fn expected(&self) -> Vec<Expected> {
        KINDS.map(|(_, kind)| Expected { listing: listing(kind), resources: PAGES }).to_vec()
    }
}

/// Faults under which the suite objects; `None` stands for the sound world.
async fn objections(vice: Vice) -> Vec<Option<Fault>> {
    let violations = run(&ToyWorld(vice)).await.err().unwrap_or_default();
    let mut faults: Vec<_> = violations.into_iter().map(|violation| violation.broken.map(|(_, fault)| fault)).collect();
    faults.dedup();
    faults
}

#[tokio::test]
async fn a_sound_connector_passes() {
    assert_eq!(objections(Vice::None).await, []);
}

#[tokio::test]
async fn every_vice_is_found() {
    for (vice, fault) in [
        (Vice::SaysComplete, Some(Fault::Forbidden)),
        (Vice::SaysComplete, Some(Fault::ServerError)),
        (Vice::SaysComplete, Some(Fault::Hang)),
        (Vice::ReadsOnePage, None),
        (Vice::GivesUpOnTheRest, Some(Fault::Forbidden)),
        (Vice::IgnoresThrottling, Some(Fault::ThrottledOnce)),
        (Vice::IgnoresCancellation, Some(Fault::Hang)),
    ] {
        let found = objections(vice).await;
        assert!(found.contains(&fault), "{vice:?} under {fault:?}: {found:?}");
    }
}
