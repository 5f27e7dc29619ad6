use std::fmt;
use std::str::FromStr;

use url::Url;

/// A separate Azure with its own directory, addresses and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AzureCloud {
    /// The commercial cloud.
    #[default]
    Commercial,
    /// The cloud of the US Government.
    UsGovernment,
    /// The cloud in China, run by 21Vianet.
    China,
}

/// A word that names no Azure cloud.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an Azure cloud: it must be commercial, us_government or china")]
pub struct UnknownCloud(pub String);

impl AzureCloud {
    /// The word used in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commercial => "commercial",
            Self::UsGovernment => "us_government",
            Self::China => "china",
        }
    }

    /// Where Entra ID hands out tokens.
    pub(crate) fn authority(self) -> Url {
        address(match self {
            Self::Commercial => "https://login.microsoftonline.com/",
            Self::UsGovernment => "https://login.microsoftonline.us/",
            Self::China => "https://login.chinacloudapi.cn/",
        })
    }

    /// Where Azure Resource Manager answers.
    pub(crate) fn resource_manager(self) -> Url {
        address(match self {
            Self::Commercial => "https://management.azure.com/",
            Self::UsGovernment => "https://management.usgovcloudapi.net/",
            Self::China => "https://management.chinacloudapi.cn/",
        })
    }

    /// The scope of a token for Azure Resource Manager.
    pub(crate) fn resource_manager_scope(self) -> String {
        format!("{}.default", self.resource_manager())
    }

    /// What the host of every registry's data plane ends with.
    pub(crate) const fn registry_suffix(self) -> &'static str {
        match self {
            Self::Commercial => ".azurecr.io",
            Self::UsGovernment => ".azurecr.us",
            Self::China => ".azurecr.cn",
        }
    }

    /// Audience of a statement of identity that Entra ID takes in place of a secret.
    pub(crate) const fn federation_audience(self) -> &'static str {
        match self {
            Self::Commercial => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }
}

fn address(text: &'static str) -> Url {
    Url::parse(text).expect("the addresses above are URLs")
}

impl fmt::Display for AzureCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AzureCloud {
    type Err = UnknownCloud;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let all = [Self::Commercial, Self::UsGovernment, Self::China];
        all.into_iter().find(|cloud| cloud.as_str() == word).ok_or_else(|| UnknownCloud(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_addresses_of_its_own() {
        for (word, login, arm, registry) in [
            ("commercial", "login.microsoftonline.com", "management.azure.com", ".azurecr.io"),
            ("us_government", "login.microsoftonline.us", "management.usgovcloudapi.net", ".azurecr.us"),
            ("china", "login.chinacloudapi.cn", "management.chinacloudapi.cn", ".azurecr.cn"),
        ] {
            let cloud: AzureCloud = word.parse().unwrap();
            assert_eq!(cloud.authority().host_str(), Some(login));
            assert_eq!(cloud.resource_manager_scope(), format!("https://{arm}/.default"));
            assert_eq!((cloud.registry_suffix(), cloud.as_str()), (registry, word));
        }
        assert!("germany".parse::<AzureCloud>().is_err());
    }
}
