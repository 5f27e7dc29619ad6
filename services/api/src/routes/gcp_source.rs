use std::collections::BTreeMap;

use rampart_domain::Kind;
use rampart_store::connector::{GcpAuth, GcpOrganization, GcpSettings, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::connector_source::{collect, given};
use super::selection::SelectionSource;
use crate::http::FieldErrors;

/// A Google Cloud project, or with `organization` all of an organisation or folder. Give exactly one of `service_account_key`, `workload_identity_provider` and
/// `impersonation: true`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GcpSource {
    /// The project's id, not its number; left out with `organization`.
    #[schema(example = "shop-prod")]
    project_id: Option<String>,
    /// Key of a service account: the JSON file as Google issued it.
    #[schema(value_type = Option<String>, write_only)]
    service_account_key: Option<SecretString>,
    /// Provider of a workload identity pool that trusts Rampart's OIDC issuer.
    #[schema(example = "projects/123456789012/locations/global/workloadIdentityPools/rampart/providers/rampart")]
    workload_identity_provider: Option<String>,
    /// Let Rampart's own identity act as a service account that is named by the external id which is generated for the
    /// connector: grant it `roles/iam.serviceAccountTokenCreator` there.
    #[serde(default)]
    impersonation: bool,
    /// Service account that the key or the federated identity acts as; not with `impersonation`, which names its own.
    #[schema(example = "rampart@shop-prod.iam.gserviceaccount.com")]
    service_account: Option<String>,
    /// Project of the service account of `impersonation`; `project_id` when left out.
    service_account_project: Option<String>,
    /// Regions, multi-regions and zones to read; a region covers its zones. All when left out.
    #[schema(example = json!(["europe-west1", "europe"]))]
    locations: Option<Vec<String>>,
    /// For the projects of a whole organisation or folder, those that come later included.
    organization: Option<GcpOrganizationSource>,
}

/// The projects of an organisation or folder.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GcpOrganizationSource {
    /// `organizations/<number>` or `folders/<number>`.
    #[schema(example = "organizations/123456789012")]
    parent: String,
    #[serde(flatten)]
    selection: SelectionSource,
}

impl GcpOrganizationSource {
    fn parse(self, errors: &mut FieldErrors) -> GcpOrganization {
        let number = self.parent.strip_prefix("organizations/").or_else(|| self.parent.strip_prefix("folders/"));
        let fits = number.is_some_and(|number| {
            (1..=20).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        errors.check(fits, "/source/organization/parent", "must be organizations/<number> or folders/<number>");
        GcpOrganization { parent: self.parent, selection: self.selection.parse("/source/organization", errors) }
    }
}

impl From<GcpOrganization> for GcpOrganizationSource {
    fn from(organization: GcpOrganization) -> Self {
        Self { parent: organization.parent, selection: organization.selection.into() }
    }
}

/// How a Google Cloud project is signed in to, without secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum GcpCredentials {
    /// A key of a service account.
    ServiceAccountKey {
        /// Service account that it acts as; null for its own.
        service_account: Option<String>,
    },
    /// A provider of a workload identity pool that trusts Rampart's OIDC issuer.
    WorkloadIdentity {
        /// The provider.
        provider: String,
        /// Service account that the federated identity acts as; null when roles are granted to it directly.
        service_account: Option<String>,
    },
    /// Rampart's own identity, which acts as the service account that is named by the connector's external id.
    Impersonation {
        /// Project of that service account.
        service_account_project: String,
    },
}

impl From<GcpAuth> for GcpCredentials {
    fn from(auth: GcpAuth) -> Self {
        match auth {
            GcpAuth::ServiceAccountKey { service_account } => Self::ServiceAccountKey { service_account },
            GcpAuth::WorkloadIdentity { provider, service_account } => {
                Self::WorkloadIdentity { provider, service_account }
            }
            GcpAuth::Impersonation { service_account_project } => Self::Impersonation { service_account_project },
        }
    }
}

impl GcpSource {
    pub(super) fn parse(
        self,
        kinds: Vec<Kind>,
        errors: &mut FieldErrors,
    ) -> (Settings, BTreeMap<String, SecretString>) {
        let project = "must be the id of a project: 6 to 30 lower-case letters, digits and hyphens";
        match (&self.project_id, &self.organization) {
            (Some(id), None) => errors.check(is_project(id), "/source/project_id", project),
            (of_project, organization) => errors.check(
                of_project.is_some() != organization.is_some(),
                "/source",
                "give either `project_id` or `organization`",
            ),
        }
        errors.check(
            !self.impersonation || self.organization.is_none() || self.service_account_project.is_some(),
            "/source/service_account_project",
            "must say where the service account of an organisation is",
        );
        let key = given(self.service_account_key);
        let ways = [key.is_some(), self.workload_identity_provider.is_some(), self.impersonation];
        errors.check(
            ways.into_iter().filter(|way| *way).count() == 1,
            "/source",
            "give exactly one of `service_account_key`, `workload_identity_provider` and `impersonation`",
        );
        if let Some(key) = &key {
            errors.check(
                is_key(key.expose_secret()),
                "/source/service_account_key",
                "must be the JSON key file of a service account, with Google's own token_uri",
            );
        }
        if let Some(provider) = &self.workload_identity_provider {
            errors.check(
                is_provider(provider),
                "/source/workload_identity_provider",
                "must be projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>",
            );
        }
        if let Some(account) = &self.service_account {
            errors.check(
                !self.impersonation && is_service_account(account),
                "/source/service_account",
                "must be like name@project.iam.gserviceaccount.com, and left out with `impersonation`",
            );
        }
        if let Some(of_account) = &self.service_account_project {
            errors.check(
                self.impersonation && is_project(of_account),
                "/source/service_account_project",
                "must be the id of a project, and goes with `impersonation` only",
            );
        }
        if let Some(locations) = &self.locations {
            let plain = |place: &String| (2..=40).contains(&place.len()) && is_plain(place, "-");
            errors.check(
                (1..=100).contains(&locations.len()) && locations.iter().all(plain),
                "/source/locations",
                "must be 1 to 100 names such as europe-west1 or europe",
            );
        }
        let service_account = self.service_account;
        let project_id = self.project_id.unwrap_or_default();
        let auth = match (self.workload_identity_provider, self.impersonation) {
            (Some(provider), _) => GcpAuth::WorkloadIdentity { provider, service_account },
            (None, true) => GcpAuth::Impersonation {
                service_account_project: self.service_account_project.unwrap_or_else(|| project_id.clone()),
            },
            (None, false) => GcpAuth::ServiceAccountKey { service_account },
        };
        let settings = GcpSettings {
            project_id,
            auth,
            locations: self.locations,
            kinds,
            organization: self.organization.map(|organization| organization.parse(errors)),
        };
        (Settings::Gcp(settings), collect([("service_account_key", key)]))
    }
}

fn is_plain(text: &str, extra: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || extra.contains(c))
}

fn is_project(id: &str) -> bool {
    let (domain, name) = id.split_once(':').map_or((None, id), |(domain, name)| (Some(domain), name));
    let named = is_plain(name, "-") && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
    // Ids from before 2012 may begin with a domain.
    let placed = domain.is_none_or(|domain| is_plain(domain, "-.") && domain.contains('.') && !domain.starts_with('.'));
    (6..=30).contains(&id.len()) && named && placed
}

fn is_service_account(email: &str) -> bool {
    let parts = email.split_once('@');
    parts.is_some_and(|(name, domain)| {
        is_plain(name, "-") && is_plain(domain, "-.") && domain.ends_with(".gserviceaccount.com") && email.len() <= 200
    })
}

fn is_provider(name: &str) -> bool {
    let parts: Vec<_> = name.split('/').collect();
    matches!(parts[..], ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", provider]
        if is_plain(number, "") && number.bytes().all(|b| b.is_ascii_digit()) && is_plain(pool, "-") && is_plain(provider, "-"))
        && name.len() <= 300
}

/// The parts of a key file that tell a mistake. Whether the key works is for the preflight to find out.
#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    of_type: String,
    client_email: String,
    private_key: SecretString,
    token_uri: Option<String>,
}

fn is_key(text: &str) -> bool {
    let Ok(file) = serde_json::from_str::<KeyFile>(text) else { return false };
    let of_google = |uri: &String| {
        let host = url::Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.is_some_and(|host| {
            host == "googleapis.com" || host.ends_with(".googleapis.com") || host == "accounts.google.com"
        })
    };
    text.len() <= 16 * 1024
        && file.of_type == "service_account"
        && is_service_account(&file.client_email)
        && file.private_key.expose_secret().contains("PRIVATE KEY")
        && file.token_uri.as_ref().is_none_or(of_google)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(source: &Value) -> Result<(GcpSettings, usize), String> {
        let source: GcpSource = serde_json::from_value(source.clone()).map_err(|error| error.to_string())?;
        let mut errors = FieldErrors::default();
        let (settings, secrets) = source.parse(Vec::new(), &mut errors);
        errors.finish().map_err(|error| error.to_string())?;
        let Settings::Gcp(gcp) = settings else { panic!("not a project") };
        Ok((gcp, secrets.len()))
    }

    fn key(change: impl FnOnce(&mut Value)) -> String {
        let mut file = json!({ "type": "service_account", "client_email": "rampart@shop-prod.iam.gserviceaccount.com",
            "private_key": "-----BEGIN PRIVATE KEY-----", "token_uri": "https://oauth2.googleapis.com/token" });
        change(&mut file);
        file.to_string()
    }

    #[test]
    fn a_project_needs_exactly_one_way_in() {
        const PROVIDER: &str = "projects/12/locations/global/workloadIdentityPools/rampart/providers/oidc";
        let source = |more: Value| {
            let mut source = json!({ "project_id": "shop-prod" });
            source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            check(&source)
        };
        let (by_key, secrets) = source(json!({ "service_account_key": key(|_| ()) })).unwrap();
        assert_eq!((by_key.auth, secrets), (GcpAuth::ServiceAccountKey { service_account: None }, 1));
        let (federated, secrets) = source(json!({ "workload_identity_provider": PROVIDER })).unwrap();
        assert!(matches!(federated.auth, GcpAuth::WorkloadIdentity { .. }) && secrets == 0);
        let (acting, _) = source(json!({ "impersonation": true, "locations": ["europe-west1"] })).unwrap();
        let account = acting.auth.service_account(Some("rampart-0123")).unwrap();
        assert_eq!(account, "rampart-0123@shop-prod.iam.gserviceaccount.com", "nobody else's account can be named");
        let whole = |parent: &str| {
            let organization = json!({ "parent": parent, "include": ["folders/7"] });
            check(&json!({ "service_account_key": key(|_| ()), "organization": organization }))
        };
        assert_eq!(whole("organizations/12").unwrap().0.organization.unwrap().selection.include, ["folders/7"]);
        assert!(whole("projects/12").unwrap_err().contains("/source/organization/parent"));
        for (more, part) in [
            (json!({}), "/source"),
            (json!({ "impersonation": true, "workload_identity_provider": PROVIDER }), "/source"),
            (
                json!({ "impersonation": true, "service_account": "a@b.iam.gserviceaccount.com" }),
                "/source/service_account",
            ),
            (json!({ "impersonation": true, "organization": { "parent": "folders/1" } }), "/source"),
            (json!({ "impersonation": true, "project_id": "Shop" }), "/source/project_id"),
            (json!({ "impersonation": true, "project_id": "shop/../x" }), "/source/project_id"),
            (json!({ "impersonation": true, "locations": ["a/b"] }), "/source/locations"),
            (json!({ "workload_identity_provider": "projects/x" }), "/source/workload_identity_provider"),
            (json!({ "service_account_key": "{}" }), "/source/service_account_key"),
            (
                json!({ "service_account_key": key(|file| file["token_uri"] = json!("https://evil.example/token")) }),
                "/source/service_account_key",
            ),
            (json!({ "impersonation": true, "endpoint": "http://x" }), "unknown field"),
        ] {
            let error = source(more.clone()).unwrap_err();
            assert!(error.contains(part), "{more}: {error}");
        }
    }
}
