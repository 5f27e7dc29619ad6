use std::fmt;
use std::sync::Arc;

use rampart_connector::{Limits, WorkloadIdentity};
use secrecy::SecretString;
use url::Url;

use crate::partition::{Partition, UnknownPartition};

/// How one AWS account is reached and how much of it is read.
#[derive(Debug, Clone)]
pub struct AwsConfig {
    /// Whose rights are used.
    pub auth: AwsAuth,
    /// The partition; for a role it is taken from the ARN, and this, when set, must agree. Default `aws`.
    pub partition: Option<Partition>,
    /// Which regions are read.
    pub regions: Regions,
    /// Every API is asked here instead of at AWS. Set by the operator only, never by a tenant.
    pub endpoint_override: Option<Url>,
    /// Rampart's own identity, with which roles are assumed; `None` takes it from the environment of the process.
    pub base: Option<StaticKeys>,
}

/// Whose rights are used.
#[derive(Debug, Clone)]
pub enum AwsAuth {
    /// A role in the customer's account that trusts Rampart's identity.
    Role {
        /// `arn:<partition>:iam::<account>:role/<name>`.
        role_arn: String,
        /// The id that Rampart generated for the tenant; the role's trust policy must ask for it.
        external_id: String,
        /// Shown in the customer's audit log.
        session_name: String,
    },
    /// A role in the customer's account that trusts statements of Rampart as an OIDC issuer.
    WebIdentity {
        /// `arn:<partition>:iam::<account>:role/<name>`.
        role_arn: String,
        /// Shown in the customer's audit log.
        session_name: String,
        /// Who states it.
        identity: Federation,
    },
    /// Keys of a user in the customer's account.
    Static(StaticKeys),
}

/// The audience of statements that are meant for AWS; the customer's identity provider lists it as its client id.
pub const WEB_IDENTITY_AUDIENCE: &str = "sts.amazonaws.com";

/// Who states to AWS which connector this is.
#[derive(Clone)]
pub struct Federation(pub Arc<dyn WorkloadIdentity>);

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Federation")
    }
}

/// An access key.
#[derive(Debug, Clone)]
pub struct StaticKeys {
    /// `AKIA…` or `ASIA…`; not a secret.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: SecretString,
    /// For temporary keys.
    pub session_token: Option<SecretString>,
}

/// Which regions are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Regions {
    /// All that are enabled for the account.
    Enabled,
    /// These.
    Chosen(Vec<String>),
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsConfigError {
    /// The role's ARN has another form than `arn:<partition>:iam::<account>:role/<name>`.
    #[error("{0:?} is not the ARN of an IAM role")]
    RoleArn(String),
    /// The partition is unknown.
    #[error(transparent)]
    Partition(#[from] UnknownPartition),
    /// The role's ARN names another partition than the configuration.
    #[error("the role is in partition {role}, not in {configured}")]
    OtherPartition {
        /// The partition in the ARN.
        role: Partition,
        /// The partition in the configuration.
        configured: Partition,
    },
    /// The external id does not have 2 to 1,224 characters of the set that STS takes.
    #[error("the external id must have 2 to 1224 letters, digits or + = , . @ : / _ -")]
    ExternalId,
    /// The session name does not have 2 to 64 characters of the set that STS takes.
    #[error("the session name must have 2 to 64 letters, digits or + = , . @ _ -")]
    SessionName,
    /// An access key without an id.
    #[error("the access key id is empty")]
    AccessKeyId,
    /// A region that is not in the partition.
    #[error("{region:?} is not a region of partition {partition}")]
    Region {
        /// The region.
        region: String,
        /// The partition.
        partition: Partition,
    },
    /// An empty choice of regions.
    #[error("no region is chosen")]
    NoRegion,
}

impl AwsConfig {
    /// Checks everything that can be checked without a call and returns the partition.
    pub fn validate(&self) -> Result<Partition, AwsConfigError> {
        let partition = match &self.auth {
            AwsAuth::Role { role_arn, external_id, session_name } => {
                if !is_word(external_id, 2..=1224, "+=,.@:/_-") {
                    return Err(AwsConfigError::ExternalId);
                }
                self.role(role_arn, session_name)?
            }
            AwsAuth::WebIdentity { role_arn, session_name, .. } => self.role(role_arn, session_name)?,
            AwsAuth::Static(keys) if keys.access_key_id.is_empty() => return Err(AwsConfigError::AccessKeyId),
            AwsAuth::Static(_) => self.partition.unwrap_or(Partition::Aws),
        };
        if let Regions::Chosen(regions) = &self.regions {
            if regions.is_empty() {
                return Err(AwsConfigError::NoRegion);
            }
            if let Some(region) = regions.iter().find(|region| !partition.has_region(region)) {
                return Err(AwsConfigError::Region { region: region.clone(), partition });
            }
        }
        Ok(partition)
    }

    /// The partition of a role, where the role and the name of its sessions are well-formed.
    fn role(&self, arn: &str, session_name: &str) -> Result<Partition, AwsConfigError> {
        if !is_word(session_name, 2..=64, "+=,.@_-") {
            return Err(AwsConfigError::SessionName);
        }
        let role = role_partition(arn)?;
        match self.partition.filter(|configured| *configured != role) {
            Some(configured) => Err(AwsConfigError::OtherPartition { role, configured }),
            None => Ok(role),
        }
    }

    /// Where account-wide APIs are asked: the first chosen region, as policies may close all others.
    pub(crate) fn home_region(&self, partition: Partition) -> &str {
        match &self.regions {
            Regions::Chosen(regions) => regions.first().map_or(partition.home_region(), String::as_str),
            Regions::Enabled => partition.home_region(),
        }
    }

    /// A name for the credentials that is no secret.
    pub(crate) fn identity(&self) -> &str {
        match &self.auth {
            AwsAuth::Role { role_arn, .. } | AwsAuth::WebIdentity { role_arn, .. } => role_arn,
            AwsAuth::Static(keys) => &keys.access_key_id,
        }
    }
}

/// Limits that suit the AWS control-plane APIs: one page or description is far below a megabyte.
pub fn default_limits() -> Limits {
    Limits { max_body: 16 << 20, ..Limits::default() }
}

fn role_partition(arn: &str) -> Result<Partition, AwsConfigError> {
    let bad = || AwsConfigError::RoleArn(arn.to_owned());
    let fields: Vec<_> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, role] = fields[..] else { return Err(bad()) };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let name = role.strip_prefix("role/").ok_or_else(bad)?;
    if !is_account || !is_word(name, 1..=576, "+=,.@/_-") {
        return Err(bad());
    }
    Ok(partition.parse()?)
}

fn is_word(text: &str, length: std::ops::RangeInclusive<usize>, extra: &str) -> bool {
    length.contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(arn: &str) -> AwsConfig {
        AwsConfig {
            auth: AwsAuth::Role {
                role_arn: arn.into(),
                external_id: "rampart-0123".into(),
                session_name: "rampart".into(),
            },
            partition: None,
            regions: Regions::Enabled,
            endpoint_override: None,
            base: None,
        }
    }

    fn chosen(arn: &str, regions: &[&str]) -> Result<Partition, AwsConfigError> {
        let regions = Regions::Chosen(regions.iter().map(ToString::to_string).collect());
        AwsConfig { regions, ..role(arn) }.validate()
    }

    const GOV: &str = "arn:aws-us-gov:iam::123456789012:role/security/rampart";

    #[test]
    fn the_role_decides_the_partition_and_regions_must_lie_in_it() {
        assert_eq!(role("arn:aws:iam::123456789012:role/rampart").validate(), Ok(Partition::Aws));
        assert_eq!(chosen(GOV, &["us-gov-east-1"]), Ok(Partition::UsGov));
        assert!(matches!(chosen(GOV, &["us-east-1"]), Err(AwsConfigError::Region { .. })));
        assert_eq!(chosen(GOV, &[]), Err(AwsConfigError::NoRegion));
        let contradiction = AwsConfig { partition: Some(Partition::China), ..role(GOV) };
        assert!(matches!(contradiction.validate(), Err(AwsConfigError::OtherPartition { .. })));
    }

    #[test]
    fn what_is_not_a_role_is_refused() {
        for arn in [
            "",
            "rampart",
            "arn:aws:iam::123456789012:user/rampart",
            "arn:aws:iam::12345:role/rampart",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:sts::123456789012:role/rampart",
        ] {
            assert_eq!(role(arn).validate(), Err(AwsConfigError::RoleArn(arn.into())));
        }
        assert!(matches!(role("arn:evil:iam::123456789012:role/r").validate(), Err(AwsConfigError::Partition(_))));
    }
}
