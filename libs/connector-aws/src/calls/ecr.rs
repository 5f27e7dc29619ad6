use aws_config::SdkConfig;
use rampart_connector::ConnectorError;
use serde_json::Value;

use super::{Line, PageOf, ask};

pub(crate) const GET_REGISTRY_SCANNING_CONFIGURATION: &str = "ecr:GetRegistryScanningConfiguration";
pub(crate) const DESCRIBE_REPOSITORIES: &str = "ecr:DescribeRepositories";
pub(crate) const GET_REPOSITORY_POLICY: &str = "ecr:GetRepositoryPolicy";
pub(crate) const GET_LIFECYCLE_POLICY: &str = "ecr:GetLifecyclePolicy";
pub(crate) const DESCRIBE_IMAGES: &str = "ecr:DescribeImages";

/// The ECR API of one region.
#[derive(Debug)]
pub(crate) struct EcrCalls {
    client: aws_sdk_ecr::Client,
    pub(crate) line: Line,
}

impl EcrCalls {
    pub(crate) fn new(config: &SdkConfig, line: Line) -> Self {
        Self { client: aws_sdk_ecr::Client::new(config), line }
    }

    pub(crate) async fn scanning_configuration(&self) -> Result<Value, ConnectorError> {
        ask!(self.line, GET_REGISTRY_SCANNING_CONFIGURATION, self.client.get_registry_scanning_configuration())
    }

    pub(crate) async fn repositories(&self, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.describe_repositories().set_next_token(page.token.clone());
        ask!(self.line, DESCRIBE_REPOSITORIES, request().set_max_results(page.size))
    }

    pub(crate) async fn repository_policy(&self, repository: &str) -> Result<Value, ConnectorError> {
        ask!(self.line, GET_REPOSITORY_POLICY, self.client.get_repository_policy().repository_name(repository))
    }

    pub(crate) async fn lifecycle_policy(&self, repository: &str) -> Result<Value, ConnectorError> {
        ask!(self.line, GET_LIFECYCLE_POLICY, self.client.get_lifecycle_policy().repository_name(repository))
    }

    pub(crate) async fn images(&self, repository: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.describe_images().repository_name(repository);
        ask!(self.line, DESCRIBE_IMAGES, request().set_next_token(page.token.clone()).set_max_results(page.size))
    }
}
