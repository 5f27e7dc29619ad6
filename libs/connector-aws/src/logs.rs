//! CloudWatch Logs in one region: the log groups that control planes of EKS clusters write to.

use std::pin::pin;

use futures::StreamExt;
use rampart_connector::{Lister, Outcome, Sink};
use rampart_domain::Kind;
use tokio_util::sync::CancellationToken;

use crate::calls::{LogsCalls, logs as api, pages};
use crate::normalize::{self, Place};

/// Log groups per page; the API gives 50 at most.
const PAGE: i32 = 50;

/// Reads the log groups of a region. A cluster whose control plane logs nothing has none.
pub(crate) async fn read(calls: LogsCalls, place: &Place, kinds: &[Kind], sink: &Sink, cancel: &CancellationToken) {
    let lister = Lister::start(sink, place.scope(), Kind::AwsLogsLogGroup, kinds, cancel.clone()).await;
    if lister.is_open() {
        groups(&calls, place, &lister).await;
    }
    lister.finish(Outcome::Complete).await;
}

async fn groups(calls: &LogsCalls, place: &Place, lister: &Lister<'_>) {
    let list = |page| calls.log_groups(page);
    let mut pages = pin!(pages(&calls.line, api::DESCRIBE_LOG_GROUPS, "logGroups", PAGE, list));
    while let Some(page) = pages.next().await {
        match page {
            Ok(groups) => {
                for group in groups.into_iter().filter(normalize::is_of_control_plane) {
                    lister.push(api::DESCRIBE_LOG_GROUPS, normalize::log_group(place, group)).await;
                }
            }
            Err(error) => lister.fail(error),
        }
    }
}
