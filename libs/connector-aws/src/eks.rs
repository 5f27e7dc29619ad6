//! EKS in one region: clusters, and what each of them has.
//!
//! ```text
//! ListClusters ─▶ per cluster: DescribeCluster ─▶ cluster, way to its Kubernetes API, authentication mode
//!                              List… + Describe… ─▶ six kinds of children, each with its own listing
//! ```
//! The listing of a child kind covers the region: it is complete when it was read in every cluster.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{Stream, StreamExt, stream};
use rampart_connector::{ConnectorError, DiscoveredCluster, ErrorKind, Event, Lister, Outcome, Sink};
use rampart_domain::{Cloud, Kind, Resource};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::calls::{EksCalls, PageOf, all, eks as api, pages, take};
use crate::normalize::{self, Place};
use crate::session::Session;
use crate::token::EksAccess;

const PAGE: i32 = 100;
const CLUSTERS_AT_ONCE: usize = 8;
const DETAILS_AT_ONCE: usize = 4;
/// In this mode a cluster has no access entries, and asking for them is an error.
const CONFIG_MAP: &str = "CONFIG_MAP";

struct EksScan<'a> {
    calls: EksCalls,
    place: &'a Place,
    session: &'a Arc<Session>,
    sink: &'a Sink,
    clusters: Lister<'a>,
    nodegroups: Lister<'a>,
    fargate_profiles: Lister<'a>,
    addons: Lister<'a>,
    access_entries: Lister<'a>,
    identity_providers: Lister<'a>,
    pod_identities: Lister<'a>,
    seen: AtomicUsize,
    without_entries: AtomicUsize,
}

/// What is known of a cluster before its children are read.
enum Described {
    /// Deleted since it was listed.
    Gone,
    /// Not described, or without a mode: only asking for access entries can tell.
    Unclear,
    Mode(String),
}

/// Reads all EKS kinds of a region.
pub(crate) async fn read(
    calls: EksCalls,
    place: &Place,
    session: &Arc<Session>,
    kinds: &[Kind],
    sink: &Sink,
    cancel: &CancellationToken,
) {
    let start = |kind| Lister::start(sink, place.scope(), kind, kinds, cancel.clone());
    let scan = EksScan {
        calls,
        place,
        session,
        sink,
        clusters: start(Kind::AwsEksCluster).await,
        nodegroups: start(Kind::AwsEksNodegroup).await,
        fargate_profiles: start(Kind::AwsEksFargateProfile).await,
        addons: start(Kind::AwsEksAddon).await,
        access_entries: start(Kind::AwsEksAccessEntry).await,
        identity_providers: start(Kind::AwsEksIdentityProviderConfig).await,
        pod_identities: start(Kind::AwsEksPodIdentityAssociation).await,
        seen: AtomicUsize::new(0),
        without_entries: AtomicUsize::new(0),
    };
    if scan.listers().iter().any(|lister| lister.is_wanted()) {
        scan.read().await;
    }
    scan.finish().await;
}

/// A cluster by the `cluster` object of `DescribeCluster`; `None` when it has no API now.
fn discovered(place: &Place, session: &Arc<Session>, name: &str, described: &Value) -> Option<DiscoveredCluster> {
    let answers = matches!(described["status"].as_str(), Some("ACTIVE" | "UPDATING"));
    if !answers || described["endpoint"].as_str().is_none_or(str::is_empty) {
        return None;
    }
    let access = EksAccess::new(Arc::clone(session), name, &place.region, described);
    Some(DiscoveredCluster {
        native_id: place.cluster(name),
        name: name.to_owned(),
        cloud: Cloud::Aws,
        account: Some(place.account.clone()),
        region: Some(place.region.clone()),
        access: Arc::new(access),
    })
}

/// One cluster, by name.
pub(crate) async fn find(
    calls: &EksCalls,
    place: &Place,
    session: &Arc<Session>,
    name: &str,
) -> Result<Option<DiscoveredCluster>, ConnectorError> {
    match calls.cluster(name).await {
        Ok(mut answer) => Ok(discovered(place, session, name, &take(&mut answer, "cluster"))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl<'a> EksScan<'a> {
    const fn listers(&self) -> [&Lister<'a>; 7] {
        [
            &self.clusters,
            &self.nodegroups,
            &self.fargate_profiles,
            &self.addons,
            &self.access_entries,
            &self.identity_providers,
            &self.pod_identities,
        ]
    }

    async fn read(&self) {
        let names = pages(&self.calls.line, api::LIST_CLUSTERS, "clusters", PAGE, |page| self.calls.clusters(page));
        let mut names = pin!(names);
        while let Some(page) = names.next().await {
            match page {
                Ok(names) => {
                    stream::iter(names)
                        .for_each_concurrent(CLUSTERS_AT_ONCE, |name| async move {
                            // Six listings side by side: too large to stand inline in every slot.
                            Box::pin(self.cluster(text(&name))).await;
                        })
                        .await;
                }
                Err(error) => self.listers().into_iter().for_each(|lister| lister.fail(error.clone())),
            }
        }
    }

    async fn finish(self) {
        let (seen, without) = (self.seen.into_inner(), self.without_entries.into_inner());
        let entries = if seen > 0 && seen == without {
            Outcome::NotApplicable(format!("every cluster here has authentication mode {CONFIG_MAP}"))
        } else {
            Outcome::Complete
        };
        self.access_entries.finish(entries).await;
        for lister in [
            self.clusters,
            self.nodegroups,
            self.fargate_profiles,
            self.addons,
            self.identity_providers,
            self.pod_identities,
        ] {
            lister.finish(Outcome::Complete).await;
        }
    }

    async fn cluster(&self, name: &str) {
        let mode = match self.describe(name).await {
            Described::Gone => return,
            Described::Unclear => None,
            Described::Mode(mode) => Some(mode),
        };
        self.seen.fetch_add(1, Ordering::Relaxed);
        tokio::join!(
            self.nodegroups(name),
            self.fargate_profiles(name),
            self.addons(name),
            self.access_entries(name, mode.as_deref()),
            self.identity_providers(name),
            self.pod_identities(name),
        );
    }

    async fn describe(&self, name: &str) -> Described {
        let for_entries = !self.clusters.is_wanted() && self.access_entries.is_open();
        if !self.clusters.is_open() && !for_entries {
            return Described::Unclear;
        }
        let described = match self.calls.cluster(name).await {
            Ok(mut answer) => take(&mut answer, "cluster"),
            Err(error) if error.kind == ErrorKind::NotFound => return Described::Gone,
            Err(error) => {
                self.clusters.fail(error);
                return Described::Unclear;
            }
        };
        self.clusters.succeed(api::DESCRIBE_CLUSTER);
        let mode = described["accessConfig"]["authenticationMode"].as_str().map(str::to_owned);
        if self.clusters.is_wanted() {
            self.announce(name, &described).await;
            self.clusters.push(api::DESCRIBE_CLUSTER, normalize::cluster(self.place, described)).await;
        }
        mode.map_or(Described::Unclear, Described::Mode)
    }

    /// Hands over the way to the Kubernetes API of a cluster that has one now. A private endpoint counts: whether it can be
    /// reached is for the attempt to find out.
    async fn announce(&self, name: &str, described: &Value) {
        if let Some(cluster) = discovered(self.place, self.session, name, described) {
            // A sink that is closed is noticed by the listing itself, with the next page.
            let _ = self.sink.send(Event::Cluster(cluster)).await;
        }
    }

    async fn nodegroups(&self, cluster: &str) {
        let list = |page| self.calls.nodegroups(cluster, page);
        let detail = |name: Value| async move {
            let mut answer = self.calls.nodegroup(cluster, text(&name)).await?;
            Ok(normalize::nodegroup(self.place, cluster, take(&mut answer, "nodegroup")))
        };
        let apis = [api::LIST_NODEGROUPS, api::DESCRIBE_NODEGROUP];
        self.children(&self.nodegroups, apis, self.list(apis[0], "nodegroups", list), detail).await;
    }

    async fn fargate_profiles(&self, cluster: &str) {
        let list = |page| self.calls.fargate_profiles(cluster, page);
        let detail = |name: Value| async move {
            let mut answer = self.calls.fargate_profile(cluster, text(&name)).await?;
            Ok(normalize::fargate_profile(self.place, cluster, take(&mut answer, "fargateProfile")))
        };
        let apis = [api::LIST_FARGATE_PROFILES, api::DESCRIBE_FARGATE_PROFILE];
        self.children(&self.fargate_profiles, apis, self.list(apis[0], "fargateProfileNames", list), detail).await;
    }

    async fn addons(&self, cluster: &str) {
        let list = |page| self.calls.addons(cluster, page);
        let detail = |name: Value| async move {
            let mut answer = self.calls.addon(cluster, text(&name)).await?;
            Ok(normalize::addon(self.place, cluster, take(&mut answer, "addon")))
        };
        let apis = [api::LIST_ADDONS, api::DESCRIBE_ADDON];
        self.children(&self.addons, apis, self.list(apis[0], "addons", list), detail).await;
    }

    async fn access_entries(&self, cluster: &str, mode: Option<&str>) {
        if mode == Some(CONFIG_MAP) {
            self.without_entries.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let list = |page| self.calls.access_entries(cluster, page);
        let detail = |principal: Value| async move {
            let principal = text(&principal);
            let mut answer = self.calls.access_entry(cluster, principal).await?;
            let list = |page| self.calls.access_policies(cluster, principal, page);
            let policies = all(self.list(api::LIST_ASSOCIATED_ACCESS_POLICIES, "associatedAccessPolicies", list)).await;
            let mut entry =
                |policies| normalize::access_entry(self.place, cluster, take(&mut answer, "accessEntry"), policies);
            match policies {
                Ok(policies) => Ok(entry(policies)),
                Err(error) if error.kind == ErrorKind::NotFound => Err(error),
                Err(error) => {
                    self.access_entries.fail(error);
                    Ok(entry(Vec::new()).map(|it| normalize::without(it, &["associatedAccessPolicies"])))
                }
            }
        };
        let apis = [api::LIST_ACCESS_ENTRIES, api::DESCRIBE_ACCESS_ENTRY];
        let pages = self.list(apis[0], "accessEntries", list).filter_map(|page| async move {
            match page {
                // The mode was not known, and the provider tells that it has none.
                Err(error) if mode.is_none() && is_mode_refusal(&error) => {
                    self.without_entries.fetch_add(1, Ordering::Relaxed);
                    None
                }
                page => Some(page),
            }
        });
        self.children(&self.access_entries, apis, pages, detail).await;
    }

    async fn identity_providers(&self, cluster: &str) {
        let list = |page| self.calls.identity_provider_configs(cluster, page);
        let detail = |item: Value| async move {
            let (of_type, name) = (text(&item["type"]), text(&item["name"]));
            let mut answer = self.calls.identity_provider_config(cluster, of_type, name).await?;
            let described = take(&mut answer, "identityProviderConfig");
            Ok(normalize::identity_provider_config(self.place, cluster, described))
        };
        let apis = [api::LIST_IDENTITY_PROVIDER_CONFIGS, api::DESCRIBE_IDENTITY_PROVIDER_CONFIG];
        let pages = self.list(apis[0], "identityProviderConfigs", list);
        self.children(&self.identity_providers, apis, pages, detail).await;
    }

    async fn pod_identities(&self, cluster: &str) {
        let list = |page| self.calls.pod_identity_associations(cluster, page);
        let detail = |item: Value| async move {
            let id = text(&item["associationId"]);
            let mut answer = self.calls.pod_identity_association(cluster, id).await?;
            Ok(normalize::pod_identity_association(self.place, cluster, take(&mut answer, "association")))
        };
        let apis = [api::LIST_POD_IDENTITY_ASSOCIATIONS, api::DESCRIBE_POD_IDENTITY_ASSOCIATION];
        self.children(&self.pod_identities, apis, self.list(apis[0], "associations", list), detail).await;
    }

    fn list<'s, F, Fut>(
        &'s self,
        api: &'static str,
        field: &'static str,
        fetch: F,
    ) -> impl Stream<Item = Result<Vec<Value>, ConnectorError>> + 's
    where
        F: FnMut(PageOf) -> Fut + 's,
        Fut: Future<Output = Result<Value, ConnectorError>> + 's,
    {
        pages(&self.calls.line, api, field, PAGE, fetch)
    }

    /// Lists one kind of children of one cluster and reads each of them. What is gone by the time it is asked for was
    /// deleted, which is no failure.
    async fn children<D, Fut>(
        &self,
        lister: &Lister<'_>,
        [list, describe]: [&'static str; 2],
        pages: impl Stream<Item = Result<Vec<Value>, ConnectorError>>,
        detail: D,
    ) where
        D: Fn(Value) -> Fut,
        Fut: Future<Output = Result<Option<Resource>, ConnectorError>>,
    {
        if !lister.is_open() {
            return;
        }
        let mut pages = pin!(pages);
        while let Some(page) = pages.next().await {
            let items = match page {
                Ok(items) => items,
                Err(error) if error.kind == ErrorKind::NotFound => return,
                Err(error) => return lister.fail(error),
            };
            lister.succeed(list);
            let read = |item| async {
                if !lister.is_open() {
                    return;
                }
                match detail(item).await {
                    Ok(resource) => {
                        lister.succeed(describe);
                        lister.push(describe, resource).await;
                    }
                    Err(error) if error.kind == ErrorKind::NotFound => {}
                    Err(error) => lister.fail(error),
                }
            };
            stream::iter(items).for_each_concurrent(DETAILS_AT_ONCE, read).await;
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_mode_refusal(error: &ConnectorError) -> bool {
    error.kind == ErrorKind::Permanent && error.message.contains("authentication mode")
}
