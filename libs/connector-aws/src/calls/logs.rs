use aws_config::SdkConfig;
use rampart_connector::ConnectorError;
use serde_json::Value;

use super::{Line, PageOf, ask};

pub(crate) const DESCRIBE_LOG_GROUPS: &str = "logs:DescribeLogGroups";

/// What the names of all log groups of EKS begin with.
const OF_EKS: &str = "/aws/eks/";

/// The CloudWatch Logs API of one region.
#[derive(Debug)]
pub(crate) struct LogsCalls {
    client: aws_sdk_cloudwatchlogs::Client,
    pub(crate) line: Line,
}

impl LogsCalls {
    pub(crate) fn new(config: &SdkConfig, line: Line) -> Self {
        Self { client: aws_sdk_cloudwatchlogs::Client::new(config), line }
    }

    /// Log groups of EKS: those of control planes, and what else was named like them.
    pub(crate) async fn log_groups(&self, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.describe_log_groups().log_group_name_prefix(OF_EKS);
        ask!(self.line, DESCRIBE_LOG_GROUPS, request().set_next_token(page.token.clone()).set_limit(page.size))
    }
}
