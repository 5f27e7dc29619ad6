use std::collections::{BTreeMap, HashSet};

use rampart_connector::{ConnectorError, ErrorKind, Event, Listing, Outcome};
use rampart_domain::{Cloud, Family, Kind, NativeId, Resource, Scope};

use crate::{FORMAT, Item, Manifest, Message};

/// Resources that are handed on together.
const PAGE: usize = 500;
/// Bytes of messages after which a page is handed on all the same.
const PAGE_BYTES: usize = 4 << 20;
/// Most resources of one session.
const MOST: u64 = 2_000_000;

/// What the platform knows of the cluster, whatever a collector says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name shown for the cluster.
    pub name: String,
    /// Where it runs.
    pub cloud: Cloud,
    /// Account that it belongs to.
    pub account: Option<String>,
    /// Region that it runs in.
    pub region: Option<String>,
    /// Uid by which the connector's cluster is known, once a session told it.
    pub uid: Option<String>,
    /// Kinds that are wanted; empty means all.
    pub kinds: Vec<Kind>,
}

/// Turns the messages of a stored session back into the events of a scan, and refuses what a collector may not say.
#[derive(Debug)]
pub struct Replay {
    place: Place,
    /// Whether the session was closed. What ends in one that was not is not complete, whatever it seems.
    closed: bool,
    cluster: Option<Cluster>,
    open: BTreeMap<Kind, Held>,
    ended: HashSet<Kind>,
    count: u64,
}

#[derive(Debug)]
struct Cluster {
    native_id: NativeId,
    /// What native ids of its objects begin with.
    prefix: String,
    /// What native ids of its images end with.
    suffix: String,
    scope: Scope,
}

#[derive(Debug, Default)]
struct Held {
    resources: Vec<Resource>,
    bytes: usize,
}

fn refused(message: impl Into<String>) -> ConnectorError {
    ConnectorError::new(ErrorKind::Permanent, "pushed session", message)
}

impl Replay {
    /// The replay of one session of the cluster at `place`.
    pub fn new(place: Place, closed: bool) -> Self {
        Self { place, closed, cluster: None, open: BTreeMap::new(), ended: HashSet::new(), count: 0 }
    }

    /// Uid of the cluster that the session is about, once it was told.
    pub fn uid(&self) -> Option<&str> {
        match &self.cluster.as_ref()?.scope {
            Scope::Cluster { uid, .. } => uid.as_deref(),
            Scope::Region { .. } => None,
        }
    }

    /// What one line comes to.
    ///
    /// # Errors
    /// The line is malformed or speaks of what is not the collector's; or it says that nothing could be read.
    pub fn line(&mut self, line: &[u8]) -> Result<Vec<Event>, ConnectorError> {
        let message: Message = serde_json::from_slice(line)
            .map_err(|error| refused(format!("a message is malformed ({:?})", error.classify())))?;
        match message {
            Message::Session(manifest) => self.begin(manifest).map(|()| Vec::new()),
            Message::Failed(failure) => Err(failure.into()),
            Message::Planned(kinds) => {
                let wanted = kinds.into_iter().filter(|kind| self.wants(*kind));
                let listings = wanted.map(|kind| self.listing(kind)).collect::<Result<_, _>>()?;
                Ok(vec![Event::Planned { listings }])
            }
            Message::Started(kind) => self.started(kind),
            Message::Resource(kind, item) => self.resource(kind, item, line.len()),
            Message::Finished(kind, ended) => self.finished(kind, ended.into()),
        }
    }

    fn begin(&mut self, manifest: Manifest) -> Result<(), ConnectorError> {
        if manifest.format != FORMAT {
            return Err(refused(format!("format {} is not known here, only {FORMAT}", manifest.format)));
        }
        if self.cluster.is_some() {
            return Err(refused("the session begins twice"));
        }
        let Some(uid) = manifest.cluster_uid else { return Ok(()) };
        let plain = (1..=64).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain {
            return Err(refused("the uid of the cluster is malformed"));
        }
        if self.place.uid.as_ref().is_some_and(|known| *known != uid) {
            let message = "the session is about another cluster than the ones before; where the cluster was rebuilt, \
                rotate the collector token";
            return Err(refused(message));
        }
        let native_id = NativeId::new(format!("k8s://{uid}"));
        self.cluster = Some(Cluster {
            prefix: format!("{native_id}/"),
            suffix: format!("@{uid}"),
            scope: Scope::Cluster { native_id: native_id.to_string(), uid: Some(uid) },
            native_id,
        });
        Ok(())
    }

    fn wants(&self, kind: Kind) -> bool {
        self.place.kinds.is_empty() || self.place.kinds.contains(&kind)
    }

    fn listing(&self, kind: Kind) -> Result<Listing, ConnectorError> {
        let cluster =
            self.cluster.as_ref().ok_or_else(|| refused("the session does not say which cluster it is about"))?;
        if kind.family() != Family::Kubernetes && kind != Kind::RunningImage {
            return Err(refused(format!("{kind} is not read from a cluster")));
        }
        Ok(Listing { scope: cluster.scope.clone(), kind })
    }

    fn started(&mut self, kind: Kind) -> Result<Vec<Event>, ConnectorError> {
        let listing = self.listing(kind)?;
        if self.open.contains_key(&kind) || self.ended.contains(&kind) {
            return Err(refused(format!("the listing of {kind} begins twice")));
        }
        self.open.insert(kind, Held::default());
        Ok(if self.wants(kind) { vec![Event::Started { listing }] } else { Vec::new() })
    }

    fn resource(&mut self, kind: Kind, item: Item, bytes: usize) -> Result<Vec<Event>, ConnectorError> {
        let listing = self.listing(kind)?;
        self.count += 1;
        if self.count > MOST {
            return Err(refused(format!("the session holds more than {MOST} resources")));
        }
        let wanted = self.wants(kind);
        let resource = self.own(kind, item)?;
        let held = self.open.get_mut(&kind).ok_or_else(|| refused(format!("{kind} comes outside of its listing")))?;
        if !wanted {
            return Ok(Vec::new());
        }
        held.resources.push(resource);
        held.bytes += bytes;
        if held.resources.len() < PAGE && held.bytes < PAGE_BYTES {
            return Ok(Vec::new());
        }
        let resources = std::mem::take(held).resources;
        Ok(vec![Event::Page { listing, resources, remaining: None }])
    }

    fn finished(&mut self, kind: Kind, outcome: Outcome) -> Result<Vec<Event>, ConnectorError> {
        let listing = self.listing(kind)?;
        let held = self.open.remove(&kind).ok_or_else(|| refused(format!("the listing of {kind} ends unbegun")))?;
        self.ended.insert(kind);
        if !self.wants(kind) {
            return Ok(Vec::new());
        }
        let outcome = match outcome {
            Outcome::Complete | Outcome::NotApplicable(_) if !self.closed => Outcome::Incomplete(broken_off()),
            outcome => outcome,
        };
        let mut events = Vec::new();
        if !held.resources.is_empty() {
            events.push(Event::Page { listing: listing.clone(), resources: held.resources, remaining: None });
        }
        events.push(Event::Finished { listing, outcome });
        Ok(events)
    }

    /// What a session holds back at its end: pages of listings that did not end.
    pub fn rest(&mut self) -> Result<Vec<Event>, ConnectorError> {
        let open = std::mem::take(&mut self.open);
        let held = open.into_iter().filter(|(kind, held)| self.wants(*kind) && !held.resources.is_empty());
        held.map(|(kind, held)| {
            Ok(Event::Page { listing: self.listing(kind)?, resources: held.resources, remaining: None })
        })
        .collect()
    }

    /// The resource, when it lies in the session's own cluster.
    fn own(&self, kind: Kind, item: Item) -> Result<Resource, ConnectorError> {
        let cluster =
            self.cluster.as_ref().ok_or_else(|| refused("the session does not say which cluster it is about"))?;
        let id = item.id.as_str();
        let fits = match kind {
            Kind::K8sCluster => item.id == cluster.native_id,
            Kind::RunningImage => id.starts_with("image://") && id.ends_with(&cluster.suffix),
            _ => id.starts_with(&cluster.prefix),
        };
        let owner_fits = item.owner.as_ref().is_none_or(|owner| owner.as_str().starts_with(&cluster.prefix));
        if !fits || !owner_fits {
            return Err(refused(format!("a resource of {kind} lies outside of the session's cluster")));
        }
        if !item.config.is_object() {
            return Err(refused(format!("a resource of {kind} has no configuration")));
        }
        let name = if kind == Kind::K8sCluster { self.place.name.clone() } else { item.name };
        Ok(Resource {
            native_id: item.id,
            kind,
            name,
            cloud: self.place.cloud,
            account: self.place.account.clone(),
            region: self.place.region.clone(),
            cluster: Some(cluster.native_id.clone()),
            namespace: item.namespace,
            labels: item.labels,
            managed_by: item.managed_by,
            owner: item.owner,
            active: item.active,
            uid: item.uid,
            partial: item.partial,
            config: item.config,
        })
    }
}

fn broken_off() -> ConnectorError {
    let message = "the session did not come to its end: nothing of it counts as complete";
    ConnectorError::new(ErrorKind::Cancelled, "pushed session", message)
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
