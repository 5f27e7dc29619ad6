use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use rampart_connector::{
    Bucket, Caller, Connector, ConnectorError, DiscoveredCluster, Egress, ErrorKind, Event, Lister, Listing, Outcome,
    Permission, PermissionCheck, ScanContext, Sink,
};
use rampart_domain::{Kind, NativeId};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::calls::account::AccountCalls;
use crate::calls::{EcrCalls, EksCalls, IamCalls, Line, LogsCalls};
use crate::config::{AwsConfig, AwsConfigError};
use crate::normalize::{GLOBAL, Place, account};
use crate::partition::Partition;
use crate::permissions::{REACHES, permissions};
use crate::preflight;
use crate::regions::{Reach, reach};
use crate::session::Session;
use crate::{ecr, eks, iam, logs};

/// Regions that are read side by side.
pub(crate) const REGIONS_AT_ONCE: usize = 4;

/// Reads one AWS account.
#[derive(Debug)]
pub struct AwsConnector {
    pub(crate) config: AwsConfig,
    pub(crate) partition: Partition,
    caller: Caller,
    egress: Egress,
    session: OnceCell<Arc<Session>>,
}

/// A session for the length of one scan or preflight.
pub(crate) struct Run {
    pub(crate) session: Arc<Session>,
    pub(crate) caller: Caller,
    pub(crate) calls: AccountCalls,
    pub(crate) line: Line,
    home: String,
}

impl AwsConnector {
    /// Checks the configuration. Makes no call; credentials are fetched by the first scan or preflight.
    ///
    /// `caller` brings limits and buckets (see [`crate::default_limits`]). Its cancellation ends what outlives a scan:
    /// the tokens of discovered clusters.
    pub fn new(config: AwsConfig, caller: Caller, egress: Egress) -> Result<Self, AwsConfigError> {
        let partition = config.validate()?;
        Ok(Self { config, partition, caller, egress, session: OnceCell::new() })
    }

    /// Calls of this run stop with `cancel`.
    pub(crate) async fn run(&self, cancel: CancellationToken) -> Result<Run, ConnectorError> {
        let open = || async {
            let session = Session::open(&self.config, self.partition, &self.caller, &self.egress).await?;
            Ok::<_, ConnectorError>(Arc::new(session))
        };
        let session = Arc::clone(self.session.get_or_try_init(open).await?);
        let caller = self.caller.with_cancel(cancel);
        let home = self.config.home_region(self.partition);
        // Which account this is, is not known yet; the credentials are what is counted.
        let bucket = Bucket::new(self.config.identity(), home, "account");
        let line = Line { caller: caller.clone(), bucket };
        let calls = AccountCalls::new(&session.region(home), line.clone());
        Ok(Run { session, caller, calls, line, home: home.to_owned() })
    }
}

impl Run {
    pub(crate) fn eks(&self, place: &Place) -> EksCalls {
        EksCalls::new(&self.session.region(&place.region), self.line_of(place, "eks"))
    }

    pub(crate) fn ecr(&self, place: &Place) -> EcrCalls {
        EcrCalls::new(&self.session.region(&place.region), self.line_of(place, "ecr"))
    }

    pub(crate) fn logs(&self, place: &Place) -> LogsCalls {
        LogsCalls::new(&self.session.region(&place.region), self.line_of(place, "logs"))
    }

    /// IAM answers for a whole partition; the SDK knows where, from any of its regions.
    pub(crate) fn iam(&self, of_account: &Place) -> IamCalls {
        IamCalls::new(&self.session.region(&self.home), self.line_of(of_account, "iam"))
    }

    fn line_of(&self, place: &Place, family: &'static str) -> Line {
        let bucket = Bucket::new(place.account.as_str(), place.region.as_str(), family);
        Line { caller: self.caller.clone(), bucket }
    }
}

#[async_trait]
impl Connector for AwsConnector {
    fn permissions(&self) -> Vec<Permission> {
        permissions(&self.config.regions)
    }

    async fn scan(&self, cx: &ScanContext, sink: &Sink) -> Result<(), ConnectorError> {
        // A child: when nobody takes the results any more, the scan stops itself and nothing else.
        let cancel = cx.cancel.child_token();
        let run = self.run(cancel.clone()).await?;
        let identity = run.calls.identity().await?;
        let reach = reach(&self.config.regions, self.partition, &run.calls, &run.line).await;
        if cancel.is_cancelled() {
            return Err(ConnectorError::new(ErrorKind::Cancelled, "scan", "the scan was told to stop"));
        }
        let place = |region: &String| Place {
            partition: self.partition,
            account: identity.account.clone(),
            region: region.clone(),
        };
        let places: Vec<_> = reach.regions.iter().map(place).collect();
        let of_account = place(&GLOBAL.to_owned());

        let listings = plan(&of_account, &places, &cx.kinds);
        if sink.send(Event::Planned { listings }).await.is_err() {
            return Ok(());
        }
        read_account(&of_account, reach, &cx.kinds, sink, cancel.clone()).await;
        let roles = iam::read(run.iam(&of_account), &of_account, &cx.kinds, sink, cancel);
        let regions = places.into_iter().map(|place| read_region(&run, place, &cx.kinds, sink));
        let regions = stream::iter(regions).buffer_unordered(REGIONS_AT_ONCE).collect::<()>();
        tokio::join!(roles, regions);
        Ok(())
    }

    async fn cluster(&self, native_id: &NativeId) -> Result<Option<DiscoveredCluster>, ConnectorError> {
        // arn:aws:eks:<region>:<account>:cluster/<name>
        let parts: Vec<&str> = native_id.as_str().split(':').collect();
        let [_, _, "eks", region, account, cluster] = parts[..] else { return Ok(None) };
        let Some(name) = cluster.strip_prefix("cluster/") else { return Ok(None) };
        let place = Place { partition: self.partition, account: account.to_owned(), region: region.to_owned() };
        let run = self.run(self.caller.cancel().clone()).await?;
        eks::find(&run.eks(&place), &place, &run.session, name).await
    }

    async fn preflight(&self, cx: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        let run = self.run(cx.cancel.child_token()).await?;
        preflight::run(&run, &self.config.regions, self.partition).await
    }
}

async fn read_region(run: &Run, place: Place, kinds: &[Kind], sink: &Sink) {
    let cancel = run.caller.cancel();
    let eks = eks::read(run.eks(&place), &place, &run.session, kinds, sink, cancel);
    let ecr = ecr::read(run.ecr(&place), &place, kinds, sink, cancel);
    let logs = logs::read(run.logs(&place), &place, kinds, sink, cancel);
    tokio::join!(eks, ecr, logs);
}

async fn read_account(place: &Place, reach: Reach, kinds: &[Kind], sink: &Sink, cancel: CancellationToken) {
    let lister = Lister::start(sink, place.scope(), Kind::AwsAccount, kinds, cancel).await;
    if lister.is_open() {
        lister.push("account", Some(account(place.partition, &place.account, &reach.regions))).await;
    }
    if let Some(doubt) = reach.doubt {
        lister.fail(doubt);
    }
    lister.finish(Outcome::Complete).await;
}

fn plan(of_account: &Place, places: &[Place], kinds: &[Kind]) -> Vec<Listing> {
    let wanted = |kind: &Kind| kinds.is_empty() || kinds.contains(kind);
    let (global, regional) = REACHES;
    let of = |place: &Place, kinds: &[Kind]| -> Vec<Listing> {
        let kinds = kinds.iter().copied().filter(wanted);
        kinds.map(|kind| Listing { scope: place.scope(), kind }).collect()
    };
    let regional = places.iter().flat_map(|place| of(place, regional));
    of(of_account, global).into_iter().chain(regional).collect()
}
