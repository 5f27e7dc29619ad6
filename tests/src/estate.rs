use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_assessor::{Knowledge, Summary, assess};
use rampart_domain::{
    Cloud, CoverageState, Gap, JobId, Kind, ManagedBy, NativeId, Resource, Scope, TenantId, TokenId, UnitId,
};
use rampart_store::connector::{KubernetesSettings, NewConnector, Settings};
use rampart_store::inventory::{
    Applied, ClusterRow, ClusterSeen, Ending, ListingEnd, Placed, Source, apply, finish_listing, prepare,
    resolve_cluster,
};
use rampart_store::job::{self, Job, JobKind};
use rampart_store::keyring::Keyring;
use rampart_store::testing::{TestDatabase, database};
use rampart_store::verdict::{self, Bitmap};
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::{Access, Actor, Store, StoreError, Transient, Visible, admin, connector};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Status by native id and control.
pub type Verdicts = BTreeMap<(String, String), String>;

/// One tenant with one cluster, listed and assessed by hand.
pub struct Estate {
    /// The database; dropped with the estate.
    pub database: Arc<TestDatabase>,
    /// Its store.
    pub store: Store,
    /// The tenant.
    pub tenant: TenantId,
    /// The connector that owns what is listed.
    pub source: Source,
    /// The cluster.
    pub cluster: ClusterRow,
    uid: String,
    knowledge: Arc<Knowledge>,
}

impl Estate {
    /// A tenant with an empty cluster in a new database.
    pub async fn new() -> Self {
        Self::beside(Arc::new(database().await)).await
    }

    /// Another tenant with an empty cluster in the same database.
    pub async fn beside(database: Arc<TestDatabase>) -> Self {
        let store = database.store.clone();
        let tenant = admin::create_tenant(&store, &Uuid::new_v4().to_string()).await.expect("a tenant");
        let keyring = Keyring::parse(&SecretString::from(format!("test:{}=", "A".repeat(43)))).expect("a key");
        let uid = Uuid::new_v4().to_string();
        let mut tx = store.tenant(tenant).await.expect("a transaction");
        let settings = Settings::Kubernetes(KubernetesSettings {
            server: Some("https://192.0.2.1".into()),
            ca_pem: None,
            context: None,
            tls_server_name: None,
            cluster_name: "test".into(),
            cloud: None,
            account: None,
            region: None,
            native_id: None,
            delivery: connector::Delivery::Pull,
            kinds: Vec::new(),
        });
        let new = NewConnector {
            name: "cluster".into(),
            settings,
            credentials: BTreeMap::from([("token".into(), SecretString::from("t"))]),
            interval_minutes: 60,
            watch: false,
        };
        let row = connector::create(&mut tx, &keyring, &new).await.expect("a connector");
        let seen = ClusterSeen { kube_uid: Some(uid.clone()), name: "test".into(), ..ClusterSeen::default() };
        let cluster = resolve_cluster(&mut tx, &seen, Utc::now()).await.expect("a cluster");
        tx.commit().await.expect("commits");
        let scope = Scope::Cluster { native_id: format!("k8s://{uid}"), uid: Some(uid.clone()) };
        let source = Source { connector: row.id, scope: scope.to_string() };
        let knowledge = Arc::new(Knowledge::embedded().expect("the built-in content compiles"));
        Self { database, store, tenant, source, cluster, uid, knowledge }
    }

    /// Another empty cluster of the same tenant.
    pub async fn another_cluster(&self, name: &str) -> Self {
        let uid = Uuid::new_v4().to_string();
        let seen = ClusterSeen { kube_uid: Some(uid.clone()), name: name.into(), ..ClusterSeen::default() };
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        let cluster = resolve_cluster(&mut tx, &seen, Utc::now()).await.expect("a cluster");
        tx.commit().await.expect("commits");
        let scope = Scope::Cluster { native_id: format!("k8s://{uid}"), uid: Some(uid.clone()) };
        let source = Source { connector: self.source.connector, scope: scope.to_string() };
        let (database, store, knowledge) = (self.database.clone(), self.store.clone(), self.knowledge.clone());
        Self { database, store, tenant: self.tenant, source, cluster, uid, knowledge }
    }

    /// The same estate, judged by this.
    #[must_use]
    pub fn judged_by(self, knowledge: Arc<Knowledge>) -> Self {
        Self { knowledge, ..self }
    }

    /// A Kubernetes object as the connector would normalise it: what says its group and kind is named by them.
    pub fn object(&self, kind: Kind, object: Value) -> Resource {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let name = text("/metadata/name").expect("objects have names");
        let namespace = text("/metadata/namespace");
        let labels = object.pointer("/metadata/labels").and_then(|l| serde_json::from_value(l.clone()).ok());
        let version = text("/apiVersion").unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let word = text("/kind").unwrap_or_else(|| kind.as_str().to_owned());
        Resource {
            native_id: NativeId::kubernetes(&self.uid, group, &word, namespace.as_deref().unwrap_or(""), &name),
            kind,
            name,
            cloud: Cloud::OnPremises,
            account: None,
            region: None,
            cluster: Some(NativeId::new(format!("k8s://{}", self.uid))),
            namespace,
            labels: labels.unwrap_or_default(),
            managed_by: ManagedBy::Customer,
            owner: None,
            active: true,
            uid: None,
            version: None,
            partial: false,
            config: object,
        }
    }

    /// Lists a kind to the end.
    pub async fn list(&self, kind: Kind, resources: Vec<Resource>) -> Applied {
        self.list_begun(Utc::now(), kind, resources).await
    }

    /// Takes up a list that began at a moment, and comes to its end now.
    pub async fn list_begun(&self, started_at: DateTime<Utc>, kind: Kind, resources: Vec<Resource>) -> Applied {
        let placed = resources.into_iter().map(|resource| Placed {
            resource,
            unit: UnitId::from(self.cluster.id),
            cluster: Some(self.cluster.id),
        });
        let page: Vec<_> = placed.map(|placed| prepare(self.tenant, placed)).collect();
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        let applied = apply(&mut tx, &self.source, started_at, &page).await.expect("applies");
        let seen = page.iter().map(|item| item.id().0).collect();
        finish_listing(&mut tx, &self.end(kind, started_at, Ending::Complete(seen))).await.expect("finishes");
        tx.commit().await.expect("commits");
        applied
    }

    /// Fails to list a kind.
    pub async fn deny(&self, kind: Kind) {
        let gap = Gap { state: CoverageState::Denied, message: "403".into(), remedy: "allow it".into() };
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        finish_listing(&mut tx, &self.end(kind, Utc::now(), Ending::Incomplete(gap))).await.expect("finishes");
        tx.commit().await.expect("commits");
    }

    fn end(&self, kind: Kind, started_at: DateTime<Utc>, ending: Ending) -> ListingEnd {
        ListingEnd {
            source: self.source.clone(),
            scope: Scope::Cluster { native_id: format!("k8s://{}", self.uid), uid: Some(self.uid.clone()) },
            kind,
            cluster: Some(self.cluster.id.0),
            place: ("on_premises".into(), None, None),
            started_at,
            ending,
        }
    }

    /// Puts a resource of the cloud into the cluster, or beside it into its account.
    pub async fn put(&self, resource: Resource, unit: UnitId) {
        let cluster = (unit == UnitId::from(self.cluster.id)).then_some(self.cluster.id);
        let page = [prepare(self.tenant, Placed { resource, unit, cluster })];
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        apply(&mut tx, &self.source, Utc::now(), &page).await.expect("applies");
        tx.commit().await.expect("commits");
    }

    /// Asks for the assessment of the cluster and takes the lease.
    pub async fn lease(&self) -> Lease {
        self.lease_of(self.cluster.id.into()).await
    }

    async fn lease_of(&self, unit: UnitId) -> Lease {
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        work::request(&mut tx, WorkKind::Assess, unit.0).await.expect("requests");
        tx.commit().await.expect("commits");
        let mut tx = self.store.worker().await.expect("a transaction");
        let leases = work::claim(&mut tx, &[WorkKind::Assess], 100, 100).await.expect("claims");
        tx.commit().await.expect("commits");
        leases.into_iter().find(|lease| lease.subject == unit.0).expect("the unit is due")
    }

    /// Assesses the cluster.
    pub async fn assess(&self) -> Summary {
        self.assess_unit(self.cluster.id.into()).await
    }

    /// Assesses any unit.
    pub async fn assess_unit(&self, unit: UnitId) -> Summary {
        let lease = self.lease_of(unit).await;
        let summary = assess(&self.store, &self.knowledge, &lease, &CancellationToken::new()).await.expect("assesses");
        let mut tx = self.store.worker().await.expect("a transaction");
        work::finish(&mut tx, &lease).await.expect("finishes");
        tx.commit().await.expect("commits");
        summary
    }

    /// Assesses the cluster as one of several replicas does: when it is due and nobody else is at it. Whether it came to its
    /// end with the lease, or lost that on the way.
    pub async fn contend(&self) -> Option<bool> {
        let subject = self.cluster.id.0;
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        work::request(&mut tx, WorkKind::Assess, subject).await.expect("requests");
        tx.commit().await.expect("commits");
        let mut tx = self.store.worker().await.expect("a transaction");
        let leases = work::claim(&mut tx, &[WorkKind::Assess], 100, 100).await.expect("claims");
        tx.commit().await.expect("commits");
        let lease = leases.into_iter().find(|lease| lease.subject == subject)?;
        if let Err(error) = assess(&self.store, &self.knowledge, &lease, &CancellationToken::new()).await {
            let is_lost = matches!(error.downcast_ref::<StoreError>(), Some(StoreError::LeaseLost));
            assert!(is_lost || Transient::behind(&*error).is_some(), "{error}");
            return Some(false);
        }
        let mut tx = self.store.worker().await.expect("a transaction");
        let is_finished = work::finish(&mut tx, &lease).await.is_ok();
        tx.commit().await.expect("commits");
        Some(is_finished)
    }

    /// Asks for a job with sight of a part of the tenant, runs it, and returns it as it ended.
    pub async fn ask(&self, kind: JobKind, visible: &Visible, request: &Value) -> Job {
        let access = Access {
            tenant: self.tenant,
            actor: Actor::token(TokenId(Uuid::nil()), "test"),
            grants: Vec::new(),
            collector: None,
        };
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        let id = job::request(&mut tx, kind, &access, visible, request).await.expect("requests").job_id;
        tx.commit().await.expect("commits");
        let mut tx = self.store.worker().await.expect("a transaction");
        let leases = work::claim(&mut tx, &[WorkKind::Job], 100, 100).await.expect("claims");
        tx.commit().await.expect("commits");
        let lease = leases.into_iter().find(|lease| lease.subject == id).expect("the job is due");
        let never = CancellationToken::new();
        rampart_assessor::run_job(&self.store, &self.knowledge, &lease, &never).await.expect("runs");
        let mut tx = self.store.worker().await.expect("a transaction");
        work::finish(&mut tx, &lease).await.expect("finishes");
        tx.commit().await.expect("commits");
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        job::get(&mut tx, kind, &access, visible, JobId(id)).await.expect("the job is there")
    }

    /// The compiled catalogue.
    pub fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// Every verdict that is stored, by native id without the cluster, and control.
    pub async fn verdicts(&self) -> Verdicts {
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        let unit = UnitId::from(self.cluster.id);
        let controls = verdict::check_controls(&mut tx).await.expect("reads");
        let packs = verdict::packs_of_unit(&mut tx, unit).await.expect("reads");
        let ids: Vec<Uuid> = packs.iter().map(|pack| pack.resource_id).collect();
        let resources = verdict::resources_by_id(&mut tx, unit, &ids).await.expect("reads");
        let names: BTreeMap<Uuid, String> =
            resources.into_iter().map(|r| (r.id, r.native_id.replace(&self.uid, ""))).collect();
        let name = |id: &Uuid| names.get(id).cloned().unwrap_or_else(|| format!("gone {id}"));
        let mut all = Verdicts::new();
        for pack in packs {
            let sets = [(pack.healthy, "healthy"), (pack.not_applicable, "not_applicable"), (pack.unknown, "unknown")];
            for (bytes, word) in sets {
                for ordinal in Bitmap::from_bytes(bytes).iter() {
                    // A kept verdict is marked unknown beside what it is.
                    all.entry((name(&pack.resource_id), controls[&ordinal].clone())).or_insert(word.to_owned());
                }
            }
        }
        for finding in verdict::findings_of(&mut tx, &ids).await.expect("reads") {
            if matches!(finding.status.as_str(), "unhealthy" | "exempt") {
                let key = (name(&finding.resource_id), controls[&finding.ordinal].clone());
                let before = all.insert(key.clone(), finding.status);
                let compatible = before.as_deref().is_none_or(|word| word == "unknown");
                assert!(compatible, "{key:?} has a packed verdict {before:?} and an open finding");
            }
        }
        all
    }

    /// Verdict counters per check, without zero rows, as JSON that compares across estates.
    pub async fn counters(&self) -> Value {
        let mut tx = self.store.tenant(self.tenant).await.expect("a transaction");
        let counts = verdict::counters(&mut tx, UnitId::from(self.cluster.id)).await.expect("reads");
        json!(counts)
    }
}
