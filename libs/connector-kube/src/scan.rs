//! One scan: what is asked in which order, and what each listing came to.
//!
//! ```text
//! kube-system (identity) ─▶ /version, /apis ─▶ nodes, replica sets, jobs ─┬▶ pods ─▶ workloads, static pods, images
//!                                                                         └▶ everything else, a few lists at a time
//!                                                                            └▶ constraints, by their templates
//! ```

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::future::join_all;
use rampart_connector::{ConnectorError, ErrorKind, Event, Listing, Outcome, ScanContext, Sink, SinkClosed};
use rampart_domain::{Kind, Resource, Scope};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::client::{Accept, Api};
use crate::discover::{self, Groups, candidates};
use crate::kinds::{Aws, CONFIG_MAPS, CONSTRAINTS, DERIVED, Entry, FIRST, PODS, REST, SECRETS, Source};
use crate::list::{Items, Pager, Read};
use crate::normalize::{self, Cluster, Owners, Pods};
use crate::{KubeConnector, Positions};

/// Derived resources that are handed over at once.
const CHUNK: usize = 500;

struct Scan<'a> {
    connector: &'a KubeConnector,
    api: &'a Api,
    cx: &'a ScanContext,
    sink: &'a Sink,
    scope: Scope,
    cluster: Arc<Cluster>,
    groups: Result<Groups, ConnectorError>,
    owners: Arc<RwLock<Owners>>,
    gate: Semaphore,
    positions: Mutex<Positions>,
    /// Kinds that constraint templates make, as far as templates were read.
    constraint_kinds: Mutex<Vec<String>>,
}

/// Reads the cluster. An error means that not even its identity could be read, or that nobody takes results any more.
pub(crate) async fn run(
    connector: &KubeConnector,
    api: &Api,
    cx: &ScanContext,
    sink: &Sink,
) -> Result<(Scope, Positions), ConnectorError> {
    let uid = discover::cluster_uid(api).await?;
    let groups = discover::groups(api).await;
    let cluster = connector.cluster(&uid);
    let scan = Scan {
        connector,
        api,
        cx,
        sink,
        scope: connector.scope(&cluster),
        cluster: Arc::new(cluster),
        groups,
        owners: Arc::default(),
        gate: Semaphore::new(connector.options.lists_at_once.max(1)),
        positions: Mutex::default(),
        constraint_kinds: Mutex::default(),
    };
    let closed = |_: SinkClosed| ConnectorError::new(ErrorKind::Cancelled, "scan", "nobody takes the results any more");
    Box::pin(scan.everything()).await.map_err(closed)?;
    Ok((scan.scope, scan.positions.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Why a list ended before its end.
enum Stop {
    Failed(ConnectorError),
    /// The kind is not served: the text names what would serve it.
    Absent(&'static str),
    Closed(SinkClosed),
}

impl From<ConnectorError> for Stop {
    fn from(error: ConnectorError) -> Self {
        Self::Failed(error)
    }
}

impl From<SinkClosed> for Stop {
    fn from(closed: SinkClosed) -> Self {
        Self::Closed(closed)
    }
}

impl Scan<'_> {
    async fn everything(&self) -> Result<(), SinkClosed> {
        let plan = [Kind::K8sCluster, Kind::K8sConfigMap, Kind::K8sSecret, Kind::K8sPod, Kind::K8sConstraint]
            .into_iter()
            .chain(FIRST.iter().chain(REST).map(|entry| entry.kind))
            .chain(DERIVED)
            .filter(|kind| self.wants(*kind));
        self.sink.send(Event::Planned { listings: plan.map(|kind| self.listing(kind)).collect() }).await?;

        self.api_server().await?;
        let needs_pods = [Kind::K8sPod].iter().chain(&DERIVED).any(|kind| self.wants(*kind));
        let first = FIRST.iter().filter(|entry| needs_pods || self.wants(entry.kind));
        let first = join_all(first.map(|entry| self.list(entry))).await;
        let first: Vec<(Kind, Outcome)> = first.into_iter().collect::<Result<_, _>>()?;

        let pods = async { if needs_pods { self.pods(&first).await } else { Ok(()) } };
        let rest = REST.iter().filter(|entry| self.needs(entry.kind)).map(|entry| self.list(entry));
        let (pods, rest, config_maps, secrets) = tokio::join!(pods, join_all(rest), self.config_maps(), self.secrets());
        pods.and(config_maps).and(secrets)?;
        let rest = rest.into_iter().collect::<Result<Vec<_>, _>>()?;
        match rest.into_iter().find(|(kind, _)| *kind == Kind::K8sConstraintTemplate) {
            Some((_, templates)) if self.wants(Kind::K8sConstraint) => self.constraints(templates).await,
            _ => Ok(()),
        }
    }

    /// Whether a kind is asked for, or what is asked for cannot be read without it.
    fn needs(&self, kind: Kind) -> bool {
        self.wants(kind) || (kind == Kind::K8sConstraintTemplate && self.wants(Kind::K8sConstraint))
    }

    fn wants(&self, kind: Kind) -> bool {
        self.cx.kinds.is_empty() || self.cx.kinds.contains(&kind)
    }

    fn listing(&self, kind: Kind) -> Listing {
        Listing { scope: self.scope.clone(), kind }
    }

    async fn start(&self, kind: Kind) -> Result<(), SinkClosed> {
        if self.wants(kind) { self.sink.send(Event::Started { listing: self.listing(kind) }).await } else { Ok(()) }
    }

    async fn page(&self, kind: Kind, resources: Vec<Resource>, remaining: Option<u64>) -> Result<(), SinkClosed> {
        if !self.wants(kind) {
            return Ok(());
        }
        self.sink.send(Event::Page { listing: self.listing(kind), resources, remaining }).await
    }

    /// Ends a listing. What ends after the scan was told to stop is not complete, whatever it seems.
    async fn finish(&self, kind: Kind, outcome: Outcome) -> Result<Outcome, SinkClosed> {
        let outcome = if outcome == Outcome::Complete && self.cx.cancel.is_cancelled() {
            Outcome::Incomplete(ConnectorError::new(ErrorKind::Cancelled, "scan", "the scan was told to stop"))
        } else {
            outcome
        };
        if self.wants(kind) {
            self.sink.send(Event::Finished { listing: self.listing(kind), outcome: outcome.clone() }).await?;
        }
        Ok(outcome)
    }

    /// The API server as a resource. It is one only with both its version and its groups.
    async fn api_server(&self) -> Result<(), SinkClosed> {
        let kind = Kind::K8sCluster;
        if !self.wants(kind) {
            return Ok(());
        }
        self.start(kind).await?;
        let outcome = match (discover::version(self.api).await, &self.groups) {
            (Ok(version), Ok(groups)) => {
                let server = self.cluster.api_server(version, groups.names());
                self.page(kind, vec![server], Some(0)).await?;
                Outcome::Complete
            }
            (Err(error), _) => Outcome::Incomplete(error),
            (_, Err(error)) => Outcome::Incomplete(error.clone()),
        };
        self.finish(kind, outcome).await.map(drop)
    }

    /// Lists one kind from its start to its end.
    async fn list(&self, entry: &'static Entry) -> Result<(Kind, Outcome), SinkClosed> {
        let _permit = self.gate.acquire().await.expect("the semaphore is never closed");
        self.start(entry.kind).await?;
        let outcome = ended(self.objects(entry, |_| true).await)?;
        Ok((entry.kind, self.finish(entry.kind, outcome).await?))
    }

    /// Reads the objects of a kind and hands over those that `keep` lets through.
    async fn objects(&self, entry: &'static Entry, keep: fn(&Resource) -> bool) -> Result<(), Stop> {
        let indexed = FIRST.iter().any(|first| first.kind == entry.kind);
        let make = |source: Source| {
            let (cluster, owners) = (Arc::clone(&self.cluster), Arc::clone(&self.owners));
            move |items: Items<'_>| {
                let version = api_version(source);
                let mut owners = indexed.then(|| owners.write().unwrap_or_else(PoisonError::into_inner));
                let noted = items.inspect(|item| {
                    if let Some(owners) = &mut owners {
                        owners.note(entry.kind, item);
                    }
                });
                let resources = normalize::page(&cluster, entry, source.group, &version, noted);
                resources.filter(keep).collect::<Vec<_>>()
            }
        };
        let (mut pager, source, mut read) = self.open(entry, make).await?;
        while let Some(Read { page, remaining }) = read {
            if entry.kind == Kind::K8sConstraintTemplate {
                self.note_templates(&page);
            }
            self.page(entry.kind, page, remaining).await?;
            read = pager.next(make(source)).await?;
        }
        self.read_up_to(entry.kind, &pager);
        Ok(())
    }

    /// Remembers the kinds that templates make. A list that began again brings them a second time.
    fn note_templates(&self, templates: &[Resource]) {
        let made = templates.iter().filter_map(|it| it.config.pointer("/spec/crd/spec/names/kind")?.as_str());
        let is_name = |kind: &&str| !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let mut kinds = self.constraint_kinds.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in made.filter(is_name) {
            if !kinds.iter().any(|known| known == kind) {
                kinds.push(kind.to_owned());
            }
        }
    }

    /// Constraints of every kind that templates make. `templates` is what became of the list of templates.
    async fn constraints(&self, templates: Outcome) -> Result<(), SinkClosed> {
        let _permit = self.gate.acquire().await.expect("the semaphore is never closed");
        self.start(Kind::K8sConstraint).await?;
        let kinds = std::mem::take(&mut *self.constraint_kinds.lock().unwrap_or_else(PoisonError::into_inner));
        let mut outcome = templates;
        for kind in kinds {
            match self.constraints_of(&kind).await {
                // A template whose kind is not served yet has no constraints.
                Err(Stop::Failed(error)) if error.kind == ErrorKind::NotFound => {}
                listed => {
                    let listed = ended(listed)?;
                    if listed != Outcome::Complete {
                        outcome = listed;
                        break;
                    }
                }
            }
        }
        self.finish(Kind::K8sConstraint, outcome).await.map(drop)
    }

    async fn constraints_of(&self, kind: &str) -> Result<(), Stop> {
        let Some(source) = candidates(self.groups.as_ref().ok(), &CONSTRAINTS).first().copied() else { return Ok(()) };
        let make = || {
            let (cluster, kind) = (Arc::clone(&self.cluster), kind.to_owned());
            move |items: Items<'_>| {
                let version = api_version(source);
                let said = items.map(|mut item| {
                    if let Some(fields) = item.as_object_mut() {
                        fields.insert("kind".to_owned(), kind.as_str().into());
                    }
                    item
                });
                normalize::page(&cluster, &CONSTRAINTS, source.group, &version, said).collect::<Vec<_>>()
            }
        };
        // Gatekeeper names the resource by the kind in lower case.
        let path = source.path(&kind.to_lowercase());
        let mut pager = Pager::new(self.api, path, CONSTRAINTS.accept, self.connector.options.page.max(1));
        let mut read = pager.next(make()).await?;
        while let Some(Read { page, remaining }) = read {
            self.page(Kind::K8sConstraint, page, remaining).await?;
            read = pager.next(make()).await?;
        }
        Ok(())
    }

    /// Notes where a watch of the kind goes on.
    fn read_up_to(&self, kind: Kind, pager: &Pager<'_>) {
        if let Some(version) = pager.version().filter(|_| self.wants(kind)) {
            self.positions.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, version.to_owned());
        }
    }

    /// Reads the first page from the first source that serves the kind.
    async fn open<T, F>(
        &self,
        entry: &'static Entry,
        make: impl Fn(Source) -> F,
    ) -> Result<(Pager<'_>, Source, Option<Read<T>>), Stop>
    where
        T: Send + 'static,
        F: FnOnce(Items<'_>) -> T + Send + 'static,
    {
        let mut last = None;
        for source in candidates(self.groups.as_ref().ok(), entry) {
            let mut pager =
                Pager::new(self.api, source.path(entry.plural), entry.accept, self.connector.options.page.max(1));
            match pager.next(make(source)).await {
                Ok(read) => return Ok((pager, source, read)),
                Err(error) if error.kind == ErrorKind::NotFound => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(feature) = entry.feature {
            return Err(Stop::Absent(feature));
        }
        let api = last.map_or_else(|| format!("GET {}", entry.sources[0].path(entry.plural)), |error| error.api);
        Err(ConnectorError::new(ErrorKind::Unsupported, api, "the API server does not serve this kind").into())
    }

    /// Pods with what is made from them. `first` is what became of the lists that they roll up through.
    async fn pods(&self, first: &[(Kind, Outcome)]) -> Result<(), SinkClosed> {
        let _permit = self.gate.acquire().await.expect("the semaphore is never closed");
        let seen = Arc::new(Mutex::new(Pods::default()));
        for kind in [Kind::K8sPod].into_iter().chain(DERIVED) {
            self.start(kind).await?;
        }
        let outcome = ended(self.pod_pages(&seen).await)?;
        let outcome = self.finish(Kind::K8sPod, outcome).await?;

        let of = |kinds: &[Kind]| {
            let broken = first.iter().find(|(kind, outcome)| kinds.contains(kind) && *outcome != Outcome::Complete);
            match broken {
                Some((_, broken)) if outcome == Outcome::Complete => broken.clone(),
                _ => outcome.clone(),
            }
        };
        for kind in [Kind::K8sWorkload, Kind::K8sStaticPod] {
            let idle = seen.lock().unwrap_or_else(PoisonError::into_inner).idle(kind);
            self.chunks(kind, idle).await?;
        }
        let (images, too_many) = seen.lock().unwrap_or_else(PoisonError::into_inner).images(&self.cluster);
        self.chunks(Kind::RunningImage, images).await?;

        let owners = [Kind::K8sReplicaSet, Kind::K8sJob, Kind::K8sReplicationController];
        self.finish(Kind::K8sWorkload, of(&owners)).await?;
        self.finish(Kind::K8sStaticPod, of(&[Kind::K8sNode])).await?;
        let images = if too_many {
            let message = "more distinct images run than are remembered";
            Outcome::Incomplete(ConnectorError::new(ErrorKind::TooLarge, "GET /api/v1/pods", message))
        } else {
            of(&[Kind::K8sNode])
        };
        self.finish(Kind::RunningImage, images).await.map(drop)
    }

    async fn pod_pages(&self, seen: &Arc<Mutex<Pods>>) -> Result<(), Stop> {
        let make = |_: Source| {
            let (cluster, owners, seen) = (Arc::clone(&self.cluster), Arc::clone(&self.owners), Arc::clone(seen));
            move |items: Items<'_>| {
                let owners = owners.read().unwrap_or_else(PoisonError::into_inner);
                seen.lock().unwrap_or_else(PoisonError::into_inner).page(&cluster, &owners, items)
            }
        };
        let (mut pager, source, mut read) = self.open(&PODS, make).await?;
        while let Some(Read { page, remaining }) = read {
            self.page(Kind::K8sPod, page.pods, remaining).await?;
            for (kind, resources) in [(Kind::K8sWorkload, page.workloads), (Kind::K8sStaticPod, page.static_pods)] {
                if !resources.is_empty() {
                    self.page(kind, resources, None).await?;
                }
            }
            read = pager.next(make(source)).await?;
        }
        self.read_up_to(Kind::K8sPod, &pager);
        Ok(())
    }

    async fn chunks(&self, kind: Kind, resources: Vec<Resource>) -> Result<(), SinkClosed> {
        let mut rest = resources.into_iter();
        loop {
            let chunk: Vec<_> = rest.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(());
            }
            self.page(kind, chunk, Some(rest.len() as u64)).await?;
        }
    }

    /// The identity map of EKS, and the names of the others when they are asked for.
    async fn config_maps(&self) -> Result<(), SinkClosed> {
        let kind = Kind::K8sConfigMap;
        let (aws, names) = (self.connector.aws() == Aws::Yes, self.connector.options.list_config_map_names);
        if !self.wants(kind) {
            return Ok(());
        }
        self.start(kind).await?;
        let mut outcome = Outcome::Complete;
        if aws {
            match self.identity_map().await {
                Ok(found) => self.page(kind, found.into_iter().collect(), None).await?,
                Err(error) => outcome = Outcome::Incomplete(error),
            }
        }
        if names {
            let _permit = self.gate.acquire().await.expect("the semaphore is never closed");
            let listed = ended(self.objects(&CONFIG_MAPS, if aws { is_no_identity_map } else { |_| true }).await)?;
            outcome = if outcome == Outcome::Complete { listed } else { outcome };
        }
        if !aws && !names {
            let why =
                "config maps are not read: the right to list them grants their content (option list_config_map_names)";
            outcome = Outcome::NotApplicable(why.to_owned());
        }
        self.finish(kind, outcome).await.map(drop)
    }

    async fn identity_map(&self) -> Result<Option<Resource>, ConnectorError> {
        let path = "/api/v1/namespaces/kube-system/configmaps/aws-auth";
        match self.api.get(path, Accept::Full).await {
            Ok(bytes) => {
                let map: Value = discover::parse(path, &bytes)?;
                Ok(normalize::object(&self.cluster, &CONFIG_MAPS, "", "v1", map))
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn secrets(&self) -> Result<(), SinkClosed> {
        let kind = Kind::K8sSecret;
        if self.connector.options.list_secret_names && self.wants(kind) {
            return self.list(&SECRETS).await.map(drop);
        }
        self.start(kind).await?;
        let why = "secrets are not read: the right to list them grants their content (option list_secret_names)";
        self.finish(kind, Outcome::NotApplicable(why.to_owned())).await.map(drop)
    }
}

fn is_no_identity_map(resource: &Resource) -> bool {
    resource.name != "aws-auth" || resource.namespace.as_deref() != Some("kube-system")
}

pub(crate) fn api_version(source: Source) -> String {
    if source.group.is_empty() { source.version.to_owned() } else { format!("{}/{}", source.group, source.version) }
}

fn ended(result: Result<(), Stop>) -> Result<Outcome, SinkClosed> {
    match result {
        Ok(()) => Ok(Outcome::Complete),
        Err(Stop::Failed(error)) => Ok(Outcome::Incomplete(error)),
        Err(Stop::Absent(feature)) => Ok(Outcome::NotApplicable(format!("{feature} is not installed"))),
        Err(Stop::Closed(closed)) => Err(closed),
    }
}
