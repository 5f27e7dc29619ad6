use rampart_domain::Kind;
use rampart_store::connector::{AzureAuth, AzureOrganization, AzureSettings, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::connector_source::{Parsed, collect, given};
use super::selection::SelectionSource;
use crate::http::FieldErrors;

/// Largest certificate with key that is taken, in bytes.
const CERTIFICATE_LIMIT: usize = 64 * 1024;
const CLOUDS: [&str; 3] = ["commercial", "us_government", "china"];

/// An Azure subscription, or with `organization` all of a directory or management group. Which other fields there are is
/// decided by `auth`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AzureSource {
    /// UUID of the subscription; left out with `organization`.
    #[schema(example = "00000000-1111-2222-3333-444444444444")]
    subscription_id: Option<String>,
    /// UUID of the directory (Entra tenant) that the identity is in.
    #[schema(example = "00000000-1111-2222-3333-555555555555")]
    tenant_id: String,
    /// UUID of the application; with `managed_identity`, of a user-assigned identity, or left out for the machine's own.
    client_id: Option<String>,
    /// How the identity proves itself; told from the secret that is given when left out.
    auth: Option<AzureAuthWord>,
    /// Secret of the application, with `client_secret`.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretString>,
    /// Certificate and unencrypted RSA key of the application in PEM, with `certificate`.
    #[schema(value_type = Option<String>, write_only)]
    certificate: Option<SecretString>,
    /// `commercial` (when left out), `us_government` or `china`.
    #[schema(example = "commercial")]
    cloud: Option<String>,
    /// Also read clusters that do not use Entra ID, with the credentials of their user kubeconfig. Those are in effect an
    /// administrator's.
    #[serde(default)]
    local_accounts: bool,
    /// For the subscriptions of a whole directory or management group, those that come later included.
    organization: Option<AzureOrganizationSource>,
}

/// The subscriptions of a directory or management group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AzureOrganizationSource {
    /// Id of the management group; the whole directory when left out.
    #[schema(example = "production")]
    management_group: Option<String>,
    #[serde(flatten)]
    selection: SelectionSource,
}

impl AzureOrganizationSource {
    fn parse(self, errors: &mut FieldErrors) -> AzureOrganization {
        let plain = |id: &String| {
            (1..=90).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_().".contains(c))
        };
        let fits = self.management_group.as_ref().is_none_or(plain);
        errors.check(fits, "/source/organization/management_group", "must be the id of a management group");
        let selection = self.selection.parse("/source/organization", errors);
        AzureOrganization { management_group: self.management_group, selection }
    }
}

impl From<AzureOrganization> for AzureOrganizationSource {
    fn from(organization: AzureOrganization) -> Self {
        Self { management_group: organization.management_group, selection: organization.selection.into() }
    }
}

/// How an identity on Azure proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AzureAuthWord {
    /// By a secret.
    ClientSecret,
    /// By a certificate.
    Certificate,
    /// By a statement of Rampart's own issuer, which the application trusts: nothing secret is stored.
    WorkloadIdentity,
    /// By being on the machine that Rampart runs on, where the operator allows it.
    ManagedIdentity,
}

impl From<AzureAuth> for AzureAuthWord {
    fn from(auth: AzureAuth) -> Self {
        match auth {
            AzureAuth::ClientSecret => Self::ClientSecret,
            AzureAuth::Certificate => Self::Certificate,
            AzureAuth::WorkloadIdentity => Self::WorkloadIdentity,
            AzureAuth::ManagedIdentity => Self::ManagedIdentity,
        }
    }
}

impl From<AzureAuthWord> for AzureAuth {
    fn from(word: AzureAuthWord) -> Self {
        match word {
            AzureAuthWord::ClientSecret => Self::ClientSecret,
            AzureAuthWord::Certificate => Self::Certificate,
            AzureAuthWord::WorkloadIdentity => Self::WorkloadIdentity,
            AzureAuthWord::ManagedIdentity => Self::ManagedIdentity,
        }
    }
}

impl AzureSource {
    pub(super) fn parse(self, kinds: Vec<Kind>, errors: &mut FieldErrors) -> Parsed {
        let (secret, certificate) = (given(self.client_secret), given(self.certificate));
        let told = match (&secret, &certificate) {
            (Some(_), _) => Some(AzureAuthWord::ClientSecret),
            (_, Some(_)) => Some(AzureAuthWord::Certificate),
            _ => None,
        };
        let auth = self.auth.or(told);
        let fits = match auth {
            Some(AzureAuthWord::ClientSecret) => secret.is_some() && certificate.is_none(),
            Some(AzureAuthWord::Certificate) => certificate.is_some() && secret.is_none(),
            Some(AzureAuthWord::WorkloadIdentity | AzureAuthWord::ManagedIdentity) => {
                secret.is_none() && certificate.is_none()
            }
            None => false,
        };
        errors.check(
            fits,
            "/source",
            "give `client_secret`, or `certificate`, or `auth` as workload_identity or managed_identity and neither of them",
        );
        let uuid = |text: &str| text.parse::<Uuid>().is_ok();
        match (&self.subscription_id, &self.organization) {
            (Some(id), None) => errors.check(uuid(id), "/source/subscription_id", "must be a UUID"),
            (subscription, organization) => errors.check(
                subscription.is_some() != organization.is_some(),
                "/source",
                "give either `subscription_id` or `organization`",
            ),
        }
        errors.check(uuid(&self.tenant_id), "/source/tenant_id", "must be the UUID of the directory");
        let needs_client = auth != Some(AzureAuthWord::ManagedIdentity);
        let client = self.client_id.as_deref().map_or(!needs_client, uuid);
        errors.check(client, "/source/client_id", "must be the UUID of the application or user-assigned identity");
        if let Some(certificate) = &certificate {
            let text = certificate.expose_secret();
            let pem = text.contains("-----BEGIN CERTIFICATE-----") && text.contains("PRIVATE KEY-----");
            errors.check(
                pem && text.len() <= CERTIFICATE_LIMIT,
                "/source/certificate",
                "must be a certificate and its unencrypted key in PEM, 64 KiB at most",
            );
        }
        let cloud = self.cloud.unwrap_or_else(|| CLOUDS[0].to_owned());
        errors.check(CLOUDS.contains(&cloud.as_str()), "/source/cloud", "must be commercial, us_government or china");
        let settings = AzureSettings {
            subscription_id: self.subscription_id.unwrap_or_default().to_ascii_lowercase(),
            tenant_id: self.tenant_id.to_ascii_lowercase(),
            // Without a way in the errors above say so, and nothing of this is used.
            auth: auth.map_or(AzureAuth::ClientSecret, Into::into),
            client_id: self.client_id,
            cloud,
            local_accounts: self.local_accounts,
            kinds,
            organization: self.organization.map(|organization| organization.parse(errors)),
        };
        (Settings::Azure(settings), collect([("client_secret", secret), ("certificate", certificate)]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "00000000-1111-2222-3333-44444444AAAA";

    fn check(fields: &Value) -> Result<(AzureSettings, Vec<String>), String> {
        let mut source = json!({"subscription_id": ID, "tenant_id": ID, "client_id": ID});
        let all = source.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        all.retain(|_, value| !value.is_null());
        let source: AzureSource = serde_json::from_value(source).map_err(|error| error.to_string())?;
        let mut errors = FieldErrors::default();
        let (settings, secrets) = source.parse(Vec::new(), &mut errors);
        errors.finish().map_err(|error| error.to_string())?;
        let Settings::Azure(azure) = settings else { panic!("not azure") };
        Ok((azure, secrets.into_keys().collect()))
    }

    #[test]
    fn a_subscription_needs_exactly_one_way_in() {
        let (azure, secrets) = check(&json!({"client_secret": "s", "cloud": "china"})).unwrap();
        assert_eq!((azure.auth, azure.cloud.as_str(), azure.local_accounts), (AzureAuth::ClientSecret, "china", false));
        assert_eq!((azure.subscription_id, secrets), (ID.to_ascii_lowercase(), vec!["client_secret".to_owned()]));
        let pem = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----";
        assert_eq!(check(&json!({"certificate": pem})).unwrap().0.auth, AzureAuth::Certificate);
        assert!(check(&json!({"auth": "workload_identity"})).unwrap().1.is_empty());
        assert!(check(&json!({"auth": "managed_identity", "client_id": null})).is_ok());
        let whole = json!({"client_secret": "s", "subscription_id": null, "organization": {"exclude": ["sandboxes"]}});
        let organization = check(&whole).unwrap().0.organization.unwrap();
        assert_eq!((organization.management_group, organization.selection.auto_add), (None, true));
        for (fields, part) in [
            (json!({}), "/source"),
            (json!({"client_secret": "s", "certificate": pem}), "/source"),
            (json!({"auth": "managed_identity", "client_secret": "s"}), "/source"),
            (json!({"auth": "certificate", "client_secret": "s"}), "/source"),
            (json!({"client_secret": "s", "client_id": null}), "/source/client_id"),
            (json!({"client_secret": "s", "client_id": "app"}), "/source/client_id"),
            (json!({"client_secret": "s", "tenant_id": "example.com"}), "/source/tenant_id"),
            (json!({"client_secret": "s", "subscription_id": "prod"}), "/source/subscription_id"),
            (json!({"client_secret": "s", "organization": {}}), "/source"),
            (json!({"client_secret": "s", "subscription_id": null}), "/source"),
            (
                json!({"client_secret": "s", "subscription_id": null, "organization": {"management_group": "a/b"}}),
                "/source/organization/management_group",
            ),
            (json!({"client_secret": "s", "cloud": "germany"}), "/source/cloud"),
            (json!({"certificate": "words"}), "/source/certificate"),
            (json!({"client_secret": "s", "endpoint": "http://x"}), "unknown field"),
        ] {
            let error = check(&fields).unwrap_err();
            assert!(error.contains(part), "{fields}: {error}");
        }
    }
}
