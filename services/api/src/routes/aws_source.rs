use rampart_domain::Kind;
use rampart_store::connector::{AwsOrganization, AwsSettings, RoleTrust, Settings};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::connector_source::{Parsed, collect, given};
use super::selection::SelectionSource;
use crate::http::{ApiError, Code, FieldErrors};

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

impl AwsSource {
    pub(super) fn parse(self, kinds: Vec<Kind>, errors: &mut FieldErrors) -> Result<Parsed, ApiError> {
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

#[cfg(test)]
mod tests {
    use rampart_store::connector::Settings;
    use serde_json::json;

    use crate::routes::connector_source::testing::check;

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
}
