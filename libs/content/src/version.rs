/// The newest Kubernetes minor version whose rules are known.
pub const NEWEST_MINOR: u32 = 38;

/// The minor version that `text` names: `latest` or `v1.N` without leading zeros, up to the newest known.
pub fn minor_version(text: &str) -> Option<u32> {
    if text == "latest" {
        return Some(NEWEST_MINOR);
    }
    let digits = text.strip_prefix("v1.")?;
    let minor: u32 = digits.parse().ok()?;
    (minor <= NEWEST_MINOR && digits == minor.to_string()).then_some(minor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NEWEST_MINOR, minor_version};
    use crate::ParameterType;

    #[test]
    fn versions_are_spelt_as_in_labels() {
        assert_eq!(minor_version("latest"), Some(NEWEST_MINOR));
        assert_eq!(minor_version("v1.0"), Some(0));
        assert_eq!(minor_version("v1.25"), Some(25));
        assert_eq!(minor_version("v1.38"), Some(NEWEST_MINOR));
        for text in ["", "1.25", "v1.025", "v1.39", "v1.+5", "v1.", "v2.0", "v1.25.3", "Latest"] {
            assert_eq!(minor_version(text), None, "{text}");
        }
    }

    #[test]
    fn the_words_of_the_type_name_the_newest_version() {
        let words = ParameterType::KubernetesVersion.as_str();
        assert!(words.ends_with(&format!("v1.{NEWEST_MINOR}")), "{words}");
        assert!(!ParameterType::KubernetesVersion.accepts(&json!(25)));
    }
}
