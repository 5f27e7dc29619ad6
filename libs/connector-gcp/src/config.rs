use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rampart_connector::WorkloadIdentity;
use url::Url;

use crate::auth::ServiceAccountKey;

/// How one project is reached and how much of it is read.
#[derive(Debug, Clone)]
pub struct GcpConfig {
    /// The project's id, not its number: `shop-prod-4711`.
    pub project_id: String,
    /// Regions, multi-regions and zones to read; a region covers its zones. `None` reads all.
    pub locations: Option<Vec<String>>,
    /// Whose rights are used.
    pub login: Login,
}

/// Whose rights are used, and where the APIs answer.
#[derive(Debug, Clone)]
pub struct Login {
    /// The credentials.
    pub auth: GcpAuth,
    /// Rampart's own identity, with which service accounts are impersonated; `None` takes that of the machine from its
    /// metadata service.
    pub operator: Option<ServiceAccountKey>,
    /// Every API is asked here instead of at Google. Set by the operator only, never by a tenant.
    pub endpoint_override: Option<Url>,
}

/// Credentials for a project or an organisation.
#[derive(Clone)]
pub enum GcpAuth {
    /// A service account's key, supplied by the customer.
    Key {
        /// The key.
        key: ServiceAccountKey,
        /// Service account that it acts as, when that is another one.
        impersonate: Option<String>,
    },
    /// A statement of Rampart's own issuer, exchanged at the customer's workload identity pool.
    Federated {
        /// `projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>`.
        provider: String,
        /// Who states it.
        identity: Arc<dyn WorkloadIdentity>,
        /// Service account that the federated identity acts as; `None` when roles are granted to it directly.
        impersonate: Option<String>,
    },
    /// A service account of the customer that lets Rampart's own identity act as it.
    ///
    /// Whoever configures this must make sure that a customer can name accounts made for them only: Google Cloud has no
    /// external id that would.
    Impersonated {
        /// Its e-mail address.
        service_account: String,
    },
}

impl fmt::Debug for GcpAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { key, impersonate } => {
                f.debug_struct("Key").field("key", key).field("impersonate", impersonate).finish()
            }
            Self::Federated { provider, impersonate, .. } => f
                .debug_struct("Federated")
                .field("provider", provider)
                .field("impersonate", impersonate)
                .finish_non_exhaustive(),
            Self::Impersonated { service_account } => {
                f.debug_struct("Impersonated").field("service_account", service_account).finish()
            }
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GcpConfigError {
    /// Not the id of a project.
    #[error("{0:?} is not a project id: 6 to 30 lower-case letters, digits and hyphens that begin with a letter")]
    ProjectId(String),
    /// Not a place of the cloud.
    #[error("{0:?} is not a location such as europe-west1, europe-west1-b or europe")]
    Location(String),
    /// An empty choice of locations.
    #[error("no location is chosen")]
    NoLocation,
    /// Not the address of a service account.
    #[error("{0:?} is not the e-mail address of a service account, <name>@<project>.iam.gserviceaccount.com")]
    ServiceAccount(String),
    /// Not a provider of a workload identity pool.
    #[error("{0:?} is not projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>")]
    Provider(String),
    /// Not an organisation or folder.
    #[error("{0:?} is neither organizations/<number> nor folders/<number>")]
    Parent(String),
}

/// An organisation or a folder: what projects and folders lie in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parent(String);

impl Parent {
    /// `organizations/<number>` or `folders/<number>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_organization(&self) -> bool {
        self.0.starts_with("organizations/")
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Parent {
    type Err = GcpConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("organizations/").or_else(|| text.strip_prefix("folders/"));
        match number {
            Some(number) if is_number(number) => Ok(Self(text.to_owned())),
            _ => Err(GcpConfigError::Parent(text.to_owned())),
        }
    }
}

impl GcpConfig {
    /// Checks everything that can be checked without a call.
    pub fn validate(&self) -> Result<(), GcpConfigError> {
        if !is_project_id(&self.project_id) {
            return Err(GcpConfigError::ProjectId(self.project_id.clone()));
        }
        if let Some(locations) = &self.locations {
            if locations.is_empty() {
                return Err(GcpConfigError::NoLocation);
            }
            if let Some(location) = locations.iter().find(|location| !is_location(location)) {
                return Err(GcpConfigError::Location(location.clone()));
            }
        }
        self.login.validate()
    }

    /// Whether what lies in `location` is read.
    pub(crate) fn covers(&self, location: &str) -> bool {
        let Some(chosen) = &self.locations else { return true };
        chosen.iter().any(|chosen| chosen == location || region_of(location) == Some(chosen))
    }

    /// Whether what belongs to a region as a whole is read: some place in it is.
    pub(crate) fn covers_region(&self, region: &str) -> bool {
        let Some(chosen) = &self.locations else { return true };
        chosen.iter().any(|chosen| chosen == region || region_of(chosen) == Some(region))
    }

    /// Regions and multi-regions to read; `None` when all are.
    pub(crate) fn regions(&self) -> Option<Vec<String>> {
        let mut regions: Vec<_> =
            self.locations.as_ref()?.iter().map(|place| region_of(place).unwrap_or(place).to_owned()).collect();
        regions.sort_unstable();
        regions.dedup();
        Some(regions)
    }
}

impl Login {
    /// Checks the form of every name.
    pub fn validate(&self) -> Result<(), GcpConfigError> {
        let account = match &self.auth {
            GcpAuth::Key { impersonate, .. } => impersonate.as_ref(),
            GcpAuth::Federated { provider, impersonate, .. } => {
                if !is_provider(provider) {
                    return Err(GcpConfigError::Provider(provider.clone()));
                }
                impersonate.as_ref()
            }
            GcpAuth::Impersonated { service_account } => Some(service_account),
        };
        match account {
            Some(account) if !is_service_account(account) => Err(GcpConfigError::ServiceAccount(account.clone())),
            _ => Ok(()),
        }
    }

    /// The service account that calls are made as, when it is not the credential's own.
    pub(crate) fn impersonates(&self) -> Option<&str> {
        match &self.auth {
            GcpAuth::Key { impersonate, .. } | GcpAuth::Federated { impersonate, .. } => impersonate.as_deref(),
            GcpAuth::Impersonated { service_account } => Some(service_account),
        }
    }

    /// A name for the identity that is no secret.
    pub(crate) fn identity(&self) -> &str {
        match &self.auth {
            GcpAuth::Key { key, impersonate } => impersonate.as_deref().unwrap_or(key.client_email()),
            GcpAuth::Federated { provider, impersonate, .. } => impersonate.as_deref().unwrap_or(provider),
            GcpAuth::Impersonated { service_account } => service_account,
        }
    }
}

/// The region of a zone; `None` for what is no zone.
fn region_of(location: &str) -> Option<&str> {
    let (region, zone) = location.rsplit_once('-')?;
    let is_zone = zone.len() == 1 && region.ends_with(|c: char| c.is_ascii_digit());
    is_zone.then_some(region)
}

/// A word of a path: nothing that could leave its segment.
pub(crate) fn is_word(text: &str, extra: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

pub(crate) fn is_location(text: &str) -> bool {
    text.len() <= 40 && is_word(text, "-") && text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Ids from before 2012 may carry a domain: `example.com:shop`.
pub(crate) fn is_project_id(text: &str) -> bool {
    let (domain, id) = text.split_once(':').map_or((None, text), |(domain, id)| (Some(domain), id));
    let plain = |text: &str, extra: &str| {
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.as_bytes().contains(&b))
    };
    (6..=30).contains(&text.len())
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && !id.ends_with('-')
        && plain(id, "-")
        && domain.is_none_or(|domain| domain.contains('.') && !domain.starts_with('.') && plain(domain, "-."))
}

fn is_service_account(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    is_word(name, "-") && is_word(domain, "-.") && domain.ends_with(".gserviceaccount.com")
}

fn is_provider(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    matches!(parts[..], ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", provider]
        if is_number(number) && is_word(pool, "-") && is_word(provider, "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(locations: &[&str]) -> GcpConfig {
        let auth = GcpAuth::Impersonated { service_account: "rampart@shop-prod.iam.gserviceaccount.com".into() };
        let locations = (!locations.is_empty()).then(|| locations.iter().map(ToString::to_string).collect());
        let login = Login { auth, operator: None, endpoint_override: None };
        GcpConfig { project_id: "shop-prod".into(), locations, login }
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        assert_eq!(config(&["europe-west1", "europe"]).validate(), Ok(()));
        for id in ["shop-prod", "a23456", "example.com:shop-prod"] {
            assert!(is_project_id(id), "{id}");
        }
        for id in
            ["short", "Shop-prod", "1shop-prod", "shop-prod-", "shop/prod", "shop..prod", "../../v1/x", "x:shop-prod"]
        {
            assert!(!is_project_id(id), "{id}");
        }
        assert!(is_provider("projects/12/locations/global/workloadIdentityPools/rampart/providers/oidc"));
        assert!(!is_provider("projects/shop/locations/global/workloadIdentityPools/rampart/providers/oidc"));
        assert!(!is_provider("projects/12/locations/global/workloadIdentityPools/rampart"));
        for account in ["rampart@evil.example", "rampart", "a/b@shop.iam.gserviceaccount.com"] {
            let login = Login {
                auth: GcpAuth::Impersonated { service_account: account.into() },
                operator: None,
                endpoint_override: None,
            };
            assert_eq!(login.validate(), Err(GcpConfigError::ServiceAccount(account.into())));
        }
        assert_eq!(config(&["a/b"]).validate(), Err(GcpConfigError::Location("a/b".into())));
        assert!("folders/12".parse::<Parent>().is_ok() && "folders/x".parse::<Parent>().is_err());
    }

    #[test]
    fn a_region_covers_its_zones() {
        let config = config(&["europe-west1", "us-east4-b", "asia"]);
        for (location, covered) in [
            ("europe-west1", true),
            ("europe-west1-d", true),
            ("europe-west12", false),
            ("us-east4", false),
            ("us-east4-b", true),
            ("us-east4-c", false),
            ("asia", true),
            ("asia-east1", false),
        ] {
            assert_eq!(config.covers(location), covered, "{location}");
        }
        for (region, covered) in [("europe-west1", true), ("us-east4", true), ("europe-west12", false)] {
            assert_eq!(config.covers_region(region), covered, "{region}");
        }
        assert_eq!(config.regions().unwrap(), ["asia", "europe-west1", "us-east4"]);
    }
}
