use aws_config::SdkConfig;
use aws_sdk_account::types::RegionOptStatus;
use rampart_connector::{ConnectorError, ErrorKind};
use serde_json::Value;

use super::{Line, PageOf, ask};
use crate::errors;

pub(crate) const GET_CALLER_IDENTITY: &str = "sts:GetCallerIdentity";
pub(crate) const LIST_REGIONS: &str = "account:ListRegions";

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) account: String,
    pub(crate) arn: String,
}

/// Account-wide APIs, asked in the partition's home region.
#[derive(Debug)]
pub(crate) struct AccountCalls {
    sts: aws_sdk_sts::Client,
    account: aws_sdk_account::Client,
    line: Line,
}

impl AccountCalls {
    pub(crate) fn new(config: &SdkConfig, line: Line) -> Self {
        Self { sts: aws_sdk_sts::Client::new(config), account: aws_sdk_account::Client::new(config), line }
    }

    pub(crate) async fn identity(&self) -> Result<Identity, ConnectorError> {
        let line = &self.line;
        let answer = line
            .caller
            .call(&line.bucket, GET_CALLER_IDENTITY, || async {
                let answer = self.sts.get_caller_identity().send().await;
                answer.map_err(|error| errors::from_sdk(GET_CALLER_IDENTITY, &error))
            })
            .await?;
        match (answer.account, answer.arn) {
            (Some(account), Some(arn)) => Ok(Identity { account, arn }),
            _ => Err(ConnectorError::new(ErrorKind::Permanent, GET_CALLER_IDENTITY, "the answer names no account")),
        }
    }

    pub(crate) async fn regions(&self, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || {
            self.account
                .list_regions()
                .region_opt_status_contains(RegionOptStatus::Enabled)
                .region_opt_status_contains(RegionOptStatus::EnabledByDefault)
                .set_next_token(page.token.clone())
                .set_max_results(page.size)
        };
        ask!(self.line, LIST_REGIONS, request())
    }
}
