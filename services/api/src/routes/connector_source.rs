use std::collections::BTreeMap;

use rampart_domain::{Cloud, Kind};
use rampart_store::connector::{AwsOrganization, AwsSettings, Delivery, KubernetesSettings, RoleTrust, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::azure_source::{AzureAuthWord, AzureOrganizationSource, AzureSource};
use super::gcp_source::{GcpCredentials, GcpOrganizationSource, GcpSource};
use super::selection::SelectionSource;
use crate::http::{ApiError, Code, FieldErrors};

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

/// An AWS account. Give `role_arn` (and `web_identity`), or `access_key_id` and `secret_access_key`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AwsSource {
    /// Role to assume. Its trust policy must demand the external id that is generated for the connector.
    #[schema(example = "arn:aws:iam::123456789012:role/rampart")]
    role_arn: Option<String>,
    /// Whether the role trusts statements of Rampart's OIDC issuer instead of Rampart's AWS identity with an external id.
    #[serde(default)]
    web_identity: bool,
    /// Id of a static key.
    #[schema(value_type = Option<String>, write_only)]
    access_key_id: Option<SecretString>,
    /// Secret of a static key.
    #[schema(value_type = Option<String>, write_only)]
    secret_access_key: Option<SecretString>,
    /// Session token that goes with temporary keys.
    #[schema(value_type = Option<String>, write_only)]
    session_token: Option<SecretString>,
    /// `"enabled"` for every region that the account has enabled, or a list of regions.
    regions: Option<Regions>,
    /// `aws`, `aws-us-gov` or `aws-cn`; read from `role_arn` when left out.
    #[schema(example = "aws")]
    partition: Option<String>,
    /// Read every account of the AWS Organization that the role or the keys belong to.
    organization: Option<AwsOrganizationSource>,
    /// Taken only to be refused by name.
    #[schema(ignore)]
    external_id: Option<serde_json::Value>,
}

/// The accounts of an AWS Organization. The role or the keys are of its management account or of a delegated administrator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AwsOrganizationSource {
    /// Name, with its path, of the role that every account has for Rampart, with the same external id. The account of
    /// `role_arn` is read by that role.
    #[serde(default = "reader")]
    #[schema(default = "RampartReader", example = "RampartReader")]
    role_name: String,
    #[serde(flatten)]
    selection: SelectionSource,
}

fn reader() -> String {
    "RampartReader".to_owned()
}

/// Regions of an account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Regions {
    /// The word `enabled`.
    Word(RegionWord),
    /// These.
    #[schema(example = json!(["eu-west-1", "us-east-1"]))]
    List(Vec<String>),
}

/// A word for regions.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RegionWord {
    /// Every region that the account has enabled.
    Enabled,
}

/// A Kubernetes API. Give `kubeconfig`, or `server` and `token`, or none of them with `"delivery": "push"`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KubernetesSource {
    /// `pull` when Rampart calls the API server; `push` when `rampart collect` runs beside the cluster and pushes what it
    /// reads, for clusters that cannot be reached from outside.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "pull")]
    delivery: Delivery,
    /// A kubeconfig with inlined certificates. Programs and files that it names are refused, never run or read.
    #[schema(value_type = Option<String>, write_only)]
    kubeconfig: Option<SecretString>,
    /// Context of the kubeconfig; its current one when left out.
    context: Option<String>,
    /// URL of the API server.
    #[schema(example = "https://10.0.0.10:6443")]
    server: Option<String>,
    /// CA bundle of the API server in PEM; the public roots when left out.
    ca_pem: Option<String>,
    /// Bearer token.
    #[schema(value_type = Option<String>, write_only)]
    token: Option<SecretString>,
    /// Name to check the server's certificate against, when it is not the host of `server`.
    tls_server_name: Option<String>,
    /// Name to show for the cluster; the connector's name when left out.
    cluster_name: Option<String>,
    /// Where the cluster runs, if in a cloud.
    #[schema(value_type = Option<String>, example = "on_premises")]
    cloud: Option<Cloud>,
    /// Cloud account that the cluster belongs to.
    account: Option<String>,
    /// Region that the cluster runs in.
    region: Option<String>,
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
    },
}

/// The accounts of an AWS Organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AwsOrganization)]
pub(crate) struct AwsOrganizationView {
    /// Name of the role that every account has for Rampart.
    role_name: String,
    #[serde(flatten)]
    selection: SelectionSource,
}

impl From<AwsOrganization> for AwsOrganizationView {
    fn from(organization: AwsOrganization) -> Self {
        Self { role_name: organization.role_name, selection: organization.selection.into() }
    }
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

impl AwsSource {
    fn parse(self, kinds: Vec<Kind>, errors: &mut FieldErrors) -> Result<Parsed, ApiError> {
        if self.external_id.is_some() {
            let detail = "leave `external_id` out: it is generated and returned, for use in the role's trust policy";
            return Err(ApiError::new(Code::ExternalIdNotAccepted, detail));
        }
        let (id, secret) = (given(self.access_key_id), given(self.secret_access_key));
        let ways = (self.role_arn.is_some(), id.is_some() || secret.is_some());
        errors.check(
            ways == (true, false) || (ways == (false, true) && id.is_some() && secret.is_some()),
            "/source",
            "give `role_arn`, or `access_key_id` and `secret_access_key`",
        );
        let of_role = self.role_arn.as_deref().and_then(partition_of_role);
        errors.check(
            self.role_arn.is_none() || of_role.is_some(),
            "/source/role_arn",
            "must be like arn:aws:iam::123456789012:role/name",
        );
        errors.check(
            !self.web_identity || self.role_arn.is_some(),
            "/source/web_identity",
            "goes with `role_arn` only",
        );
        let trust = if self.web_identity { RoleTrust::WebIdentity } else { RoleTrust::ExternalId };
        let partition = self.partition.as_deref().or(of_role).unwrap_or("aws").to_owned();
        errors.check(
            ["aws", "aws-us-gov", "aws-cn"].contains(&partition.as_str()),
            "/source/partition",
            "must be aws, aws-us-gov or aws-cn",
        );
        let regions = match self.regions {
            None | Some(Regions::Word(RegionWord::Enabled)) => None,
            Some(Regions::List(regions)) => Some(regions),
        };
        if let Some(regions) = &regions {
            let plain = |region: &String| {
                (6..=30).contains(&region.len())
                    && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            let fits = (1..=100).contains(&regions.len()) && regions.iter().all(plain);
            errors.check(fits, "/source/regions", "must be \"enabled\" or 1 to 100 names such as eu-west-1");
        }
        let organization = self.organization.map(|organization| organization.parse(errors));
        let settings = AwsSettings { role_arn: self.role_arn, regions, partition, kinds, trust, organization };
        let secrets = collect([
            ("access_key_id", id),
            ("secret_access_key", secret),
            ("session_token", given(self.session_token)),
        ]);
        Ok((Settings::Aws(settings), secrets))
    }
}

impl AwsOrganizationSource {
    fn parse(self, errors: &mut FieldErrors) -> AwsOrganization {
        let name = &self.role_name;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@/_-".contains(c));
        let fits = (1..=512).contains(&name.len()) && plain && !name.starts_with('/') && !name.ends_with('/');
        errors.check(fits, "/source/organization/role_name", "must be the name of an IAM role, such as RampartReader");
        AwsOrganization { selection: self.selection.parse("/source/organization", errors), role_name: self.role_name }
    }
}

fn partition_of_role(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let (_, partition) = (parts.next().filter(|p| *p == "arn")?, parts.next()?);
    let (_, _, account) = (parts.next().filter(|p| *p == "iam")?, parts.next()?, parts.next()?);
    let role = parts.next()?.strip_prefix("role/")?;
    let plain = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && !role.is_empty();
    (plain && arn.len() <= 2048).then_some(partition)
}

impl KubernetesSource {
    fn parse(self, name: &str, kinds: Vec<Kind>, errors: &mut FieldErrors) -> Parsed {
        let (kubeconfig, token) = (given(self.kubeconfig), given(self.token));
        let by_file = kubeconfig.is_some() && token.is_none() && self.server.is_none() && self.ca_pem.is_none();
        let by_token = kubeconfig.is_none() && token.is_some() && self.server.is_some() && self.context.is_none();
        let by_name = self.context.is_some() || self.tls_server_name.is_some();
        let by_none = kubeconfig.is_none() && token.is_none() && self.server.is_none() && self.ca_pem.is_none();
        match self.delivery {
            Delivery::Pull => errors.check(
                by_file || by_token,
                "/source",
                "give `kubeconfig` (and `context`), or `server` and `token` (and `ca_pem`)",
            ),
            Delivery::Push => {
                errors.check(
                    by_none && !by_name,
                    "/source",
                    "a cluster that is pushed has no address and no credentials",
                );
            }
        }
        let small = |secret: &SecretString| secret.expose_secret().len() <= 512 * 1024;
        errors.check(kubeconfig.as_ref().is_none_or(small), "/source/kubeconfig", "must be at most 512 KiB");
        if let Some(server) = &self.server {
            let url = url::Url::parse(server).ok().filter(|url| url.scheme() == "https" && url.has_host());
            let plain = url.is_some_and(|url| url.username().is_empty() && url.password().is_none());
            errors.check(plain, "/source/server", "must be an https URL without a user");
        }
        let pem = self.ca_pem.as_ref().is_none_or(|pem| pem.contains("-----BEGIN CERTIFICATE-----"));
        errors.check(pem, "/source/ca_pem", "must be certificates in PEM");
        let settings = KubernetesSettings {
            server: self.server,
            ca_pem: self.ca_pem,
            context: self.context,
            tls_server_name: self.tls_server_name,
            cluster_name: self.cluster_name.unwrap_or_else(|| name.to_owned()),
            cloud: self.cloud,
            account: self.account,
            region: self.region,
            delivery: self.delivery,
            kinds,
        };
        (Settings::Kubernetes(settings), collect([("kubeconfig", kubeconfig), ("token", token)]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(source: Value) -> Result<Parsed, String> {
        let source: Source = serde_json::from_value(source).map_err(|error| error.to_string())?;
        let mut errors = FieldErrors::default();
        let parsed = source.parse("prod", Vec::new(), &mut errors).map_err(|error| error.to_string())?;
        errors.finish().map_err(|error| error.to_string())?;
        Ok(parsed)
    }

    #[test]
    fn an_aws_account_needs_exactly_one_way_in() {
        let role = "arn:aws-us-gov:iam::123456789012:role/rampart";
        let (settings, secrets) = check(json!({"provider": "aws", "role_arn": role})).unwrap();
        let Settings::Aws(aws) = settings else { panic!("not aws") };
        assert_eq!((aws.partition.as_str(), aws.regions, secrets.len()), ("aws-us-gov", None, 0));
        let (federated, _) = check(json!({"provider": "aws", "role_arn": role, "web_identity": true})).unwrap();
        assert!(
            federated.needs_issuer() && !check(json!({"provider": "aws", "role_arn": role})).unwrap().0.needs_issuer()
        );
        let keys =
            json!({"provider": "aws", "access_key_id": "AKIA", "secret_access_key": "s", "regions": ["eu-west-1"]});
        assert_eq!(check(keys).unwrap().1.keys().collect::<Vec<_>>(), ["access_key_id", "secret_access_key"]);
        for (source, part) in [
            (json!({"provider": "aws"}), "/source"),
            (json!({"provider": "aws", "access_key_id": "AKIA"}), "/source"),
            (json!({"provider": "aws", "role_arn": role, "access_key_id": "a", "secret_access_key": "b"}), "/source"),
            (json!({"provider": "aws", "role_arn": "role/x"}), "/source/role_arn"),
            (
                json!({"provider": "aws", "access_key_id": "a", "secret_access_key": "b", "web_identity": true}),
                "/source/web_identity",
            ),
            (json!({"provider": "aws", "role_arn": role, "regions": []}), "/source/regions"),
            (json!({"provider": "aws", "role_arn": role, "external_id": "mine"}), "external_id"),
            (json!({"provider": "aws", "role_arn": role, "endpoint": "http://x"}), "unknown field"),
            (json!({"provider": "mainframe"}), "unknown variant"),
        ] {
            let error = check(source.clone()).unwrap_err();
            assert!(error.contains(part), "{source}: {error}");
        }
    }

    #[test]
    fn a_kubernetes_api_needs_exactly_one_way_in() {
        let token = json!({"provider": "kubernetes", "server": "https://k.example:6443", "token": "t"});
        let (Settings::Kubernetes(kubernetes), _) = check(token).unwrap() else { panic!("not kubernetes") };
        assert_eq!(kubernetes.cluster_name, "prod");
        assert!(check(json!({"provider": "kubernetes", "kubeconfig": "a: b", "context": "c"})).is_ok());
        let push = json!({"provider": "kubernetes", "delivery": "push", "cluster_name": "floor"});
        let (settings, secrets) = check(push).unwrap();
        assert!(settings.is_pushed() && secrets.is_empty());
        for (source, part) in [
            (json!({"provider": "kubernetes", "delivery": "push", "server": "https://k"}), "/source"),
            (json!({"provider": "kubernetes", "delivery": "push", "kubeconfig": "a"}), "/source"),
            (json!({"provider": "kubernetes", "delivery": "mail"}), "unknown variant"),
            (json!({"provider": "kubernetes", "server": "https://k"}), "/source"),
            (json!({"provider": "kubernetes", "server": "http://k", "token": "t"}), "/source/server"),
            (json!({"provider": "kubernetes", "server": "https://u:p@k", "token": "t"}), "/source/server"),
            (json!({"provider": "kubernetes", "server": "https://k", "token": "t", "ca_pem": "x"}), "/source/ca_pem"),
            (json!({"provider": "kubernetes", "kubeconfig": "a", "token": "t"}), "/source"),
        ] {
            let error = check(source.clone()).unwrap_err();
            assert!(error.contains(part), "{source}: {error}");
        }
    }
}
