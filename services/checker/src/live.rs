//! What a live cluster holds, read only, for verdicts that rest on more than the input.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::Utc;
use rampart_connector::{Caller, Connector, Egress, EgressPolicy, Event, Limits, Outcome, ScanContext, Sink};
use rampart_connector_kube::{KubeConnector, KubeIdentity, Options, parse_kubeconfig};
use rampart_domain::{Cloud, Kind, Resource};
use tokio_util::sync::CancellationToken;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) resources: Vec<Resource>,
    /// Kinds of which everything was.
    pub(crate) complete: HashSet<Kind>,
    /// What was not, and why.
    pub(crate) warnings: Vec<String>,
}

/// Reads the objects of `kinds` from the cluster of a kubeconfig.
pub(crate) fn read(kubeconfig: &Path, context: Option<&str>, kinds: Vec<Kind>, key: [u8; 32]) -> anyhow::Result<Live> {
    if kinds.is_empty() {
        return Ok(Live::default());
    }
    let text = std::fs::read_to_string(kubeconfig);
    let text = text.context("could not be read")?;
    let access = parse_kubeconfig(&text, context);
    let access = access.context("cannot be used as a kubeconfig")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        let identity = KubeIdentity {
            native_id: None,
            name: "live".to_owned(),
            cloud: Cloud::OnPremises,
            account: None,
            region: None,
        };
        // Whoever runs a check chose the cluster: every network is theirs, save the clouds' metadata services.
        let everywhere = Egress::from(EgressPolicy::anywhere());
        let caller = Caller::new(Limits::default(), cancel.clone());
        let connector = KubeConnector::new(identity, Arc::new(access), everywhere, Options::new(key), caller);
        let cx = ScanContext { cancel, kinds, started_at: Utc::now() };
        let (sink, mut events) = Sink::new(1);
        let reading = async {
            let read = connector.scan(&cx, &sink).await;
            drop(sink);
            read
        };
        let taking = async {
            let mut live = Live::default();
            while let Some(event) = events.recv().await {
                live.take(event);
            }
            live
        };
        let (read, live) = tokio::join!(Box::pin(reading), taking);
        read.context("the cluster could not be read")?;
        Ok(live)
    })
}

impl Live {
    fn take(&mut self, event: Event) {
        match event {
            Event::Page { resources, .. } => self.resources.extend(resources),
            Event::Finished { listing, outcome } => match outcome {
                // Their names are not asked for; any other kind is not installed, and so has no objects.
                Outcome::NotApplicable(_) if matches!(listing.kind, Kind::K8sSecret | Kind::K8sConfigMap) => {}
                Outcome::Complete | Outcome::NotApplicable(_) => {
                    self.complete.insert(listing.kind);
                }
                Outcome::Incomplete(error) => self.warnings.push(format!("{} was not read: {error}", listing.kind)),
            },
            Event::Planned { .. } | Event::Started { .. } | Event::Cluster(_) => {}
        }
    }
}
