//! Ids of Azure Resource Manager. Their case varies from one answer to the next, so that there is one spelling for
//! Rampart: lower case, made here and nowhere else.

use rampart_connector::{ConnectorError, ErrorKind};
use rampart_domain::NativeId;

/// The id as it is stored and compared; `None` for a text that is no path.
pub(crate) fn native_id(id: &str) -> Option<NativeId> {
    let id = id.trim().trim_end_matches('/');
    (id.starts_with('/') && id.len() > 1).then(|| NativeId::new(id.to_ascii_lowercase()))
}

/// Where a resource lies, for asking about it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) group: String,
    pub(crate) name: String,
}

impl Located {
    /// Resource group and name in `id`. They end up in addresses, so that nothing passes that would change a path.
    pub(crate) fn parse(api: &str, id: &str) -> Result<Self, ConnectorError> {
        let bad = |message: &str| ConnectorError::new(ErrorKind::Permanent, api, format!("{message}: {id}"));
        let segments: Vec<_> = id.split('/').collect();
        let group = segments.iter().position(|segment| segment.eq_ignore_ascii_case("resourceGroups"));
        let group = group.and_then(|at| segments.get(at + 1)).copied().unwrap_or_default();
        let name = segments.last().copied().unwrap_or_default();
        if group.is_empty() || segments.len() < 9 {
            return Err(bad("the id names no resource in a resource group"));
        }
        let plain = |text: &str| {
            text.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c)) && !text.is_empty() && !text.contains("..")
        };
        if !plain(group) || !plain(name) {
            return Err(bad("the id has characters that Azure does not allow in names"));
        }
        Ok(Self { group: group.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_has_one_spelling() {
        let listed = "/subscriptions/S/resourcegroups/RG/providers/Microsoft.ContainerService/managedClusters/Prod";
        let got = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/ManagedClusters/prod/";
        assert_eq!(native_id(listed), native_id(got));
        for nothing in ["", "/", "prod"] {
            assert_eq!(native_id(nothing), None);
        }
    }

    #[test]
    fn names_that_would_change_a_path_are_refused() {
        let of = |group: &str, name: &str| {
            let id = format!("/subscriptions/s/resourcegroups/{group}/providers/Microsoft.X/things/{name}");
            Located::parse("api", &id)
        };
        assert_eq!(of("RG-1", "prod.(a)_b").unwrap(), Located { group: "RG-1".into(), name: "prod.(a)_b".into() });
        for (group, name) in [("rg", "a?b"), ("r%2fg", "a"), ("rg", ".."), ("rg", "a#b"), ("rg", "")] {
            assert_eq!(of(group, name).unwrap_err().kind, ErrorKind::Permanent, "{group} {name}");
        }
        let sloppy = "/subscriptions/s/providers/Microsoft.ContainerService/managedClusters";
        assert!(Located::parse("api", sloppy).is_err());
    }
}
