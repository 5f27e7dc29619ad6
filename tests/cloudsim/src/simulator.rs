use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum_server::Handle;
use tokio::task::JoinSet;

use crate::aws::sigv4::Keys;
use crate::calls::Calls;
use crate::faults::Faults;
use crate::kube::tls::Authority;
use crate::kube::{Behind, router as kube_router};
use crate::kubeconfig;
use crate::shared::{Addresses, Shared};
use crate::world::{Access, Account, GcpProject, Home, Organization, Subscription, World, WorldSpec};

/// Up to this many clusters have a listener each; more share one.
const OWN_LISTENERS: usize = 32;
/// Where nothing listens: the discard port of the loopback.
const UNREACHABLE: &str = "https://127.0.0.1:9";

/// Running clouds. They stop when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    pub(crate) shared: Arc<Shared>,
    /// Host and port of Azure's services.
    azure_host: String,
    handle: Handle<SocketAddr>,
    servers: JoinSet<std::io::Result<()>>,
}

impl Simulator {
    /// Makes the world and serves it on ephemeral ports of the loopback.
    pub async fn start(spec: WorldSpec) -> anyhow::Result<Self> {
        let world = tokio::task::spawn_blocking(move || World::new(spec)).await?;
        Self::serve(world)
    }

    /// Serves a world; needs a Tokio runtime.
    pub fn serve(world: World) -> anyhow::Result<Self> {
        let authority = Authority::new()?;
        let (aws, gcp) = (listener()?, listener()?);
        let gcp_host = gcp.local_addr()?.to_string();
        let aws_host = aws.local_addr()?.to_string();
        let azure = listener()?;
        let azure_host = azure.local_addr()?.to_string();
        let names: Vec<String> = world
            .clusters()
            .filter(|cluster| cluster.access != Access::Unreachable)
            .map(|cluster| cluster.name.clone())
            .collect();
        let mut listeners = Vec::new();
        let mut urls: HashMap<String, String> =
            world.clusters().map(|cluster| (cluster.name.clone(), UNREACHABLE.to_owned())).collect();
        if names.len() <= OWN_LISTENERS {
            for name in names {
                let listener = listener()?;
                urls.insert(name.clone(), format!("https://{}", listener.local_addr()?));
                listeners.push((listener, Behind::One(name)));
            }
        } else {
            let listener = listener()?;
            let address = listener.local_addr()?;
            urls.extend(names.into_iter().map(|name| (name.clone(), format!("https://{address}/c/{name}"))));
            listeners.push((listener, Behind::Prefixed));
        }
        let tokens =
            world.clusters().map(|cluster| (cluster.name.clone(), cluster.seed.child("token").hex(48))).collect();
        let addresses = Addresses { ca_pem: authority.ca_pem, aws_host, gcp_host, urls, tokens };
        let shared = Arc::new(Shared::new(world, addresses));
        let handle = Handle::new();
        let mut servers = JoinSet::new();
        let server = axum_server::from_tcp(aws)?.handle(handle.clone());
        servers.spawn(server.serve(crate::aws::router(Arc::clone(&shared)).into_make_service()));
        let server = axum_server::from_tcp(azure)?.handle(handle.clone());
        servers.spawn(server.serve(crate::azure::router(Arc::clone(&shared)).into_make_service()));
        let server = axum_server::from_tcp(gcp)?.handle(handle.clone());
        servers.spawn(server.serve(crate::gcp::router(Arc::clone(&shared)).into_make_service()));
        for (listener, behind) in listeners {
            let router: Router = kube_router(Arc::clone(&shared), behind);
            let server = axum_server::from_tcp_rustls(listener, authority.server.clone())?.handle(handle.clone());
            servers.spawn(server.serve(router.into_make_service()));
        }
        Ok(Self { shared, azure_host, handle, servers })
    }

    /// Base URL of all AWS services.
    pub fn aws_endpoint(&self) -> String {
        format!("http://{}", self.shared.aws_host)
    }

    /// Where Azure answers: requests name the service that they are for in `Host`.
    pub fn azure_endpoint(&self) -> String {
        format!("http://{}", self.azure_host)
    }

    /// Azure subscriptions with the applications that may read them.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.world().subscriptions().to_vec()
    }
    /// Base URL of all Google APIs.
    pub fn gcp_endpoint(&self) -> String {
        format!("http://{}", self.shared.gcp_host)
    }

    /// A key file of a service account, as Google issues it. It may be of an account that has no rights anywhere.
    pub fn gcp_key(&self, service_account: &str) -> anyhow::Result<String> {
        self.shared.google.issue_key(service_account)
    }

    /// Lets whoever is `member` (a service account, or the subject of a federated identity) act as a service account.
    pub fn gcp_allow_acting(&self, member: &str, service_account: &str) {
        self.shared.google.allow_acting(member, service_account);
    }

    /// Lets statements about `subject` that a key of `jwks` signed be exchanged at a provider of a workload identity pool.
    pub fn gcp_federate(&self, provider: &str, jwks: &serde_json::Value, subject: &str) {
        self.shared.google.federate(provider, jwks, subject);
    }

    /// Lets somebody read every project, as a role on the organisation does.
    pub fn gcp_grant(&self, member: &str) {
        self.shared.google.grant(member);
    }

    /// AWS accounts with their roles and static keys.
    pub fn accounts(&self) -> Vec<Account> {
        self.world().accounts().to_vec()
    }

    /// Keys of the account that the scanner itself runs in: from there roles are assumed.
    pub fn operator_keys(&self) -> Keys {
        self.shared.identities.operator().clone()
    }

    /// Lets a role be assumed with this external id, as a customer does who sets up the trust policy.
    pub fn trust(&self, role_arn: &str, external_id: &str) {
        self.shared.identities.trust(role_arn, external_id);
    }

    /// Puts the clock of AWS ahead of the machine's, or behind it: signatures are checked and sessions end by it.
    pub fn set_aws_clock(&self, ahead: chrono::TimeDelta) {
        self.shared.identities.set_clock(ahead);
    }

    /// Lets a role be assumed with statements of an OIDC issuer, as a customer does who adds it as an identity provider:
    /// about this subject, or carelessly about anybody.
    pub fn federate(&self, role_arn: &str, issuer: &str, subject: Option<&str>) {
        self.shared.identities.federate(role_arn, issuer, subject);
    }

    /// Makes all temporary keys and tokens handed out so far worthless.
    pub fn expire_sessions(&self) {
        self.shared.google.expire_tokens();
        self.shared.identities.expire_sessions();
        self.shared.directory.expire();
    }

    /// Address of a cluster's Kubernetes API.
    pub fn cluster_url(&self, cluster: &str) -> Option<String> {
        self.shared.urls.get(cluster).cloned()
    }

    /// A kubeconfig with a bearer token, as the owner of a cluster on premises hands it out; `None` for other clusters.
    pub fn kubeconfig(&self, cluster: &str) -> Option<String> {
        let world = self.world();
        let home = &world.cluster(cluster)?.home;
        (*home == Home::OnPremises).then(|| self.inside_kubeconfig(cluster)).flatten()
    }

    /// A kubeconfig with the token of a service account, as a process inside any cluster has it.
    pub fn inside_kubeconfig(&self, cluster: &str) -> Option<String> {
        let user = kubeconfig::token(self.shared.tokens.get(cluster)?);
        Some(kubeconfig::kubeconfig(cluster, &self.cluster_url(cluster)?, self.ca_pem(), &user))
    }

    /// A kubeconfig whose user is a program to run, as `aws eks update-kubeconfig` writes it.
    pub fn exec_kubeconfig(&self, cluster: &str) -> Option<String> {
        let world = self.world();
        let user = kubeconfig::exec(cluster, world.cluster(cluster)?.region().unwrap_or("us-east-1"));
        Some(kubeconfig::kubeconfig(cluster, &self.cluster_url(cluster)?, self.ca_pem(), &user))
    }

    /// Bearer token of a service account of the cluster.
    pub fn bearer_token(&self, cluster: &str) -> Option<String> {
        self.shared.tokens.get(cluster).cloned()
    }

    /// Certificate authority of all Kubernetes APIs.
    pub fn ca_pem(&self) -> &str {
        &self.shared.ca_pem
    }

    /// The world as it is served now.
    pub fn world(&self) -> Arc<World> {
        self.shared.world()
    }

    /// Faults, settable at any time.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Calls made so far.
    pub fn calls(&self) -> &Calls {
        &self.shared.calls
    }

    /// Changes who belongs to the organisation of the accounts.
    pub fn reorganize(&self, change: impl FnOnce(&mut Organization)) {
        self.shared.change(|world, _| {
            world.reorganize(change);
            ((), Vec::new())
        });
    }

    /// Changes which Azure subscriptions there are, and where they lie.
    pub fn resubscribe(&self, change: impl FnOnce(&mut Vec<Subscription>)) {
        self.shared.change(|world, _| {
            world.resubscribe(change);
            ((), Vec::new())
        });
    }

    /// Changes which Google Cloud projects there are, and where they lie.
    pub fn rearrange(&self, change: impl FnOnce(&mut Vec<GcpProject>)) {
        self.shared.change(|world, _| {
            world.rearrange(change);
            ((), Vec::new())
        });
    }

    /// Makes the objects of these clusters now, so that no measurement pays for it later.
    pub async fn warm(&self, clusters: &[&str]) {
        for cluster in clusters {
            self.shared.snapshots.get(&self.shared, cluster).await;
        }
    }

    /// Stops serving and waits until all connections are closed, for at most a second.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        self.handle.graceful_shutdown(Some(Duration::from_secs(1)));
        while let Some(served) = self.servers.join_next().await {
            served?.context("a listener failed")?;
        }
        Ok(())
    }
}

fn listener() -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port on the loopback")?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
