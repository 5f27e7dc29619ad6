use aws_config::SdkConfig;
use rampart_connector::ConnectorError;
use serde_json::Value;

use super::{Line, PageOf, ask};

pub(crate) const DESCRIBE_ORGANIZATION: &str = "organizations:DescribeOrganization";
pub(crate) const LIST_ROOTS: &str = "organizations:ListRoots";
pub(crate) const LIST_UNITS: &str = "organizations:ListOrganizationalUnitsForParent";
pub(crate) const LIST_ACCOUNTS_OF_PARENT: &str = "organizations:ListAccountsForParent";
pub(crate) const LIST_ACCOUNTS: &str = "organizations:ListAccounts";

/// The Organizations API of a partition.
#[derive(Debug)]
pub(crate) struct OrganizationCalls {
    client: aws_sdk_organizations::Client,
    pub(crate) line: Line,
}

impl OrganizationCalls {
    pub(crate) fn new(config: &SdkConfig, line: Line) -> Self {
        Self { client: aws_sdk_organizations::Client::new(config), line }
    }

    pub(crate) async fn organization(&self) -> Result<Value, ConnectorError> {
        ask!(self.line, DESCRIBE_ORGANIZATION, self.client.describe_organization())
    }

    pub(crate) async fn roots(&self, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.list_roots().set_next_token(page.token.clone());
        ask!(self.line, LIST_ROOTS, request().set_max_results(page.size))
    }

    pub(crate) async fn units(&self, parent: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.list_organizational_units_for_parent().parent_id(parent);
        ask!(self.line, LIST_UNITS, request().set_next_token(page.token.clone()).set_max_results(page.size))
    }

    pub(crate) async fn accounts_of(&self, parent: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.list_accounts_for_parent().parent_id(parent);
        ask!(
            self.line,
            LIST_ACCOUNTS_OF_PARENT,
            request().set_next_token(page.token.clone()).set_max_results(page.size)
        )
    }

    pub(crate) async fn accounts(&self, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.list_accounts().set_next_token(page.token.clone());
        ask!(self.line, LIST_ACCOUNTS, request().set_max_results(page.size))
    }
}
