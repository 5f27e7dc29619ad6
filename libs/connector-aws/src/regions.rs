use rampart_connector::{ConnectorError, ErrorKind};
use serde_json::Value;

use crate::calls::account::{AccountCalls, LIST_REGIONS};
use crate::calls::{Line, all, pages};
use crate::config::Regions;
use crate::partition::Partition;

/// Regions per page; the API gives 50 at most.
const PAGE: i32 = 50;

/// The regions that a scan reads.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) regions: Vec<String>,
    /// Set when the enabled regions could not be had and the partition's default regions are read instead.
    pub(crate) doubt: Option<ConnectorError>,
}

pub(crate) async fn reach(wanted: &Regions, partition: Partition, calls: &AccountCalls, line: &Line) -> Reach {
    if let Regions::Chosen(regions) = wanted {
        let mut regions = regions.clone();
        regions.sort_unstable();
        // One listing per region and kind, however often it was chosen.
        regions.dedup();
        return Reach { regions, doubt: None };
    }
    let listed = all(pages(line, LIST_REGIONS, "Regions", PAGE, |page| calls.regions(page))).await;
    match listed {
        Ok(listed) => {
            let name =
                |region: &Value| region["RegionName"].as_str().filter(|name| is_host_label(name)).map(str::to_owned);
            let mut regions: Vec<_> = listed.iter().filter_map(name).collect();
            regions.sort_unstable();
            let unread = listed.len() - regions.len();
            let doubt = (unread > 0).then(|| {
                let message = format!("{unread} of the listed regions have no usable name");
                ConnectorError::new(ErrorKind::Permanent, LIST_REGIONS, message)
            });
            Reach { regions, doubt }
        }
        Err(error) => {
            let message = format!(
                "{}; only the {} regions that are enabled by default were read: allow {LIST_REGIONS} or choose the regions",
                error.message,
                partition.default_regions().len()
            );
            let regions = partition.default_regions().iter().map(ToString::to_string).collect();
            Reach { regions, doubt: Some(ConnectorError::new(error.kind, error.api, message)) }
        }
    }
}

/// A region becomes a part of host names. AWS may name new areas at any time, so only the form is checked.
fn is_host_label(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
