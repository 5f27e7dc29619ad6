use std::collections::BTreeMap;

use rampart_domain::{Cloud, Kind};
use rampart_store::connector::{Delivery, RoleTrust, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::aws_source::{AwsOrganizationView, AwsSource, RegionWord, Regions};
use super::azure_source::{AzureAuthWord, AzureOrganizationSource, AzureSource};
use super::gcp_source::{GcpCredentials, GcpOrganizationSource, GcpSource};
use super::kubernetes_source::KubernetesSource;
use crate::http::{ApiError, FieldErrors};

/// What to read, and with which credentials.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "provider", rename_all = "snake_case")]
pub(crate) enum Source {
    /// An AWS account, by a role to assume or by static keys.
    Aws(AwsSource),
    /// An Azure subscription, by an application or a managed identity.
    Azure(AzureSource),
    /// A Google Cloud project, by a service account's key, a workload identity pool, or impersonation.
    Gcp(GcpSource),
    /// A Kubernetes API, by a kubeconfig or by a token.
    Kubernetes(KubernetesSource),
}

/// What is read, without secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "provider", rename_all = "snake_case")]
#[schema(as = SourceView)]
pub(crate) enum SourceView {
    /// An AWS account.
    Aws {
        /// Role to assume; null with static keys.
        role_arn: Option<String>,
        /// Whether the role trusts statements of Rampart's OIDC issuer.
        web_identity: bool,
        /// `"enabled"` or a list of regions.
        regions: Regions,
        /// `aws`, `aws-us-gov` or `aws-cn`.
        partition: String,
        /// The accounts that are read, for an organisation; null for a single account.
        organization: Option<AwsOrganizationView>,
    },
    /// An Azure subscription.
    Azure {
        /// UUID of the subscription; null for an organisation.
        subscription_id: Option<String>,
        /// UUID of the directory that the identity is in.
        tenant_id: String,
        /// How the identity proves itself.
        auth: AzureAuthWord,
        /// UUID of the application or user-assigned identity.
        client_id: Option<String>,
        /// `commercial`, `us_government` or `china`.
        cloud: String,
        /// Whether clusters without Entra ID are read with their user kubeconfig.
        local_accounts: bool,
        /// Which subscriptions of the directory are read; null for one subscription.
        organization: Option<AzureOrganizationSource>,
    },
    /// A Google Cloud project.
    Gcp {
        /// The project's id; null for an organisation.
        project_id: Option<String>,
        /// The credentials, without their secret.
        credentials: GcpCredentials,
        /// Regions, multi-regions and zones that are read; null for all.
        locations: Option<Vec<String>>,
        /// Which projects of an organisation or folder are read; null for one project.
        organization: Option<GcpOrganizationSource>,
    },
    /// A Kubernetes API.
    Kubernetes {
        /// `pull`, or `push` for a cluster that a collector reads.
        #[schema(value_type = String)]
        delivery: Delivery,
        /// URL of the API server; null when the kubeconfig says it.
        server: Option<String>,
        /// Context of the kubeconfig.
        context: Option<String>,
        /// Name to check the server's certificate against.
        tls_server_name: Option<String>,
        /// Name shown for the cluster.
        cluster_name: String,
        /// Where the cluster runs.
        #[schema(value_type = Option<String>)]
        cloud: Option<Cloud>,
        /// Cloud account that the cluster belongs to.
        account: Option<String>,
        /// Region that the cluster runs in.
        region: Option<String>,
        /// Id that its cloud has for the cluster.
        native_id: Option<String>,
    },
}

impl From<Settings> for SourceView {
    fn from(settings: Settings) -> Self {
        match settings {
            Settings::Aws(aws) => Self::Aws {
                role_arn: aws.role_arn,
                web_identity: aws.trust == RoleTrust::WebIdentity,
                regions: aws.regions.map_or(Regions::Word(RegionWord::Enabled), Regions::List),
                partition: aws.partition,
                organization: aws.organization.map(AwsOrganizationView::from),
            },
            Settings::Azure(azure) => Self::Azure {
                subscription_id: Some(azure.subscription_id).filter(|id| !id.is_empty()),
                tenant_id: azure.tenant_id,
                auth: azure.auth.into(),
                client_id: azure.client_id,
                cloud: azure.cloud,
                local_accounts: azure.local_accounts,
                organization: azure.organization.map(Into::into),
            },
            Settings::Gcp(gcp) => Self::Gcp {
                project_id: Some(gcp.project_id).filter(|id| !id.is_empty()),
                credentials: gcp.auth.into(),
                locations: gcp.locations,
                organization: gcp.organization.map(Into::into),
            },
            Settings::Kubernetes(kubernetes) => Self::Kubernetes {
                delivery: kubernetes.delivery,
                server: kubernetes.server,
                context: kubernetes.context,
                tls_server_name: kubernetes.tls_server_name,
                cluster_name: kubernetes.cluster_name,
                cloud: kubernetes.cloud,
                account: kubernetes.account,
                region: kubernetes.region,
                native_id: kubernetes.native_id,
            },
        }
    }
}

/// Settings and secrets of a source.
pub(crate) type Parsed = (Settings, BTreeMap<String, SecretString>);

impl Source {
    /// Notes everything that does not fit. An external id is refused at once: whoever sends one misunderstands what it
    /// is for.
    pub(crate) fn parse(self, name: &str, kinds: Vec<Kind>, errors: &mut FieldErrors) -> Result<Parsed, ApiError> {
        match self {
            Self::Aws(aws) => aws.parse(kinds, errors),
            Self::Azure(azure) => Ok(azure.parse(kinds, errors)),
            Self::Gcp(gcp) => Ok(gcp.parse(kinds, errors)),
            Self::Kubernetes(kubernetes) => Ok(kubernetes.parse(name, kinds, errors)),
        }
    }
}

pub(super) fn given(secret: Option<SecretString>) -> Option<SecretString> {
    secret.filter(|secret| !secret.expose_secret().trim().is_empty())
}

pub(super) fn collect<const N: usize>(fields: [(&str, Option<SecretString>); N]) -> BTreeMap<String, SecretString> {
    fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect()
}

#[cfg(test)]
pub(super) mod testing {
    use serde_json::Value;

    use super::{Parsed, Source};
    use crate::http::FieldErrors;

    /// What comes of a source, or every objection to it.
    pub(crate) fn check(source: Value) -> Result<Parsed, String> {
        let source: Source = serde_json::from_value(source).map_err(|error| error.to_string())?;
        let mut errors = FieldErrors::default();
        let parsed = source.parse("prod", Vec::new(), &mut errors).map_err(|error| error.to_string())?;
        errors.finish().map_err(|error| error.to_string())?;
        Ok(parsed)
    }
}
