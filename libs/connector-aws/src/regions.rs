use rampart_connector::ConnectorError;

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
        return Reach { regions: regions.clone(), doubt: None };
    }
    let listed = all(pages(line, LIST_REGIONS, "Regions", PAGE, |page| calls.regions(page))).await;
    match listed {
        Ok(listed) => {
            let names = listed.iter().filter_map(|region| region["RegionName"].as_str());
            let mut regions: Vec<_> = names.filter(|name| partition.has_region(name)).map(str::to_owned).collect();
            regions.sort_unstable();
            Reach { regions, doubt: None }
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
