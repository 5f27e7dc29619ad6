use serde_json::{Map, Value};

use super::Level;

/// What the labels of Pod Security admission begin with.
pub const PREFIX: &str = "pod-security.kubernetes.io/";

/// What one mode is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The level that it comes to.
    pub level: Level,
    /// The version as it stands in the label; `latest` where there is none.
    pub version: String,
}

/// What the labels of a namespace ask admission for. A mode without label has no setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Pods that violate it are refused.
    pub enforce: Option<Setting>,
    /// They are noted in the audit log.
    pub audit: Option<Setting>,
    /// Who makes them is warned.
    pub warn: Option<Setting>,
}

impl Labels {
    /// Reads the labels of a namespace as admission does: a word that is no level enforces the restricted one, and audits or
    /// warns of nothing.
    pub fn of(labels: &Map<String, Value>) -> Self {
        let text = |name: &str| labels.get(&format!("{PREFIX}{name}")).and_then(Value::as_str);
        let mode = |name: &str, otherwise: Level| {
            let word = text(name)?;
            let level = Level::ALL.into_iter().find(|level| level.as_str() == word).unwrap_or(otherwise);
            let version = text(&format!("{name}-version")).filter(|version| !version.is_empty());
            Some(Setting { level, version: version.unwrap_or("latest").to_owned() })
        };
        Self {
            enforce: mode("enforce", Level::Restricted),
            audit: mode("audit", Level::Privileged),
            warn: mode("warn", Level::Privileged),
        }
    }

    /// The level that is enforced; without a label, what the API server does where nobody configured it otherwise.
    pub fn enforced(&self) -> Level {
        self.enforce.as_ref().map_or(Level::Privileged, |setting| setting.level)
    }
}
