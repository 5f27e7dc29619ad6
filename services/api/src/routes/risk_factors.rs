use rampart_domain::{Factor, Kind, Risk};
use rampart_posture::risk;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The word for a stored risk level, 1 to 4.
pub(super) fn risk_word(risk: i16) -> &'static str {
    let index = usize::try_from(risk - 1).unwrap_or_default();
    Risk::ALL.get(index).unwrap_or(&Risk::Critical).as_str()
}

pub(super) fn risk_number(risk: Risk) -> i16 {
    Risk::ALL.iter().position(|other| *other == risk).map_or(4, |index| index as i16 + 1)
}

/// A circumstance of a resource that raises or lowers the risk level of findings on it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RiskFactor)]
pub(super) struct FactorView {
    /// `internet_exposed` (+2) or `network_exposed` (+1), `privileged` (+1), `sensitive_identity` (+1), `production` (+1) or
    /// `non_production` (−1), `criticality_critical` (+2), `criticality_high` (+1) or `criticality_low` (−2).
    #[schema(example = "internet_exposed")]
    factor: String,
    /// What it adds.
    #[schema(example = 2)]
    effect: i16,
    /// What it was seen by.
    #[schema(example = "service web of type LoadBalancer selects it")]
    because: String,
}

impl FactorView {
    /// From the store: `{factor, because}`.
    pub(super) fn of(stored: &Value) -> Option<Self> {
        let text = |field: &str| stored.get(field).and_then(Value::as_str);
        let factor: Factor = text("factor")?.parse().ok()?;
        let because = text("because").unwrap_or_default().to_owned();
        Some(Self { factor: factor.to_string(), effect: risk::effect(factor), because })
    }
}

/// Kinds that the factors of what lies in a cluster are read from.
pub(super) const FACTOR_KINDS: [Kind; 10] = [
    Kind::K8sNamespace,
    Kind::K8sService,
    Kind::K8sIngress,
    Kind::K8sHttpRoute,
    Kind::K8sGrpcRoute,
    Kind::K8sTlsRoute,
    Kind::K8sTcpRoute,
    Kind::K8sServiceAccount,
    Kind::K8sClusterRole,
    Kind::K8sClusterRoleBinding,
];

#[cfg(test)]
mod tests {
    use rampart_domain::Risk;
    use serde_json::json;

    use super::{FactorView, risk_number, risk_word};

    #[test]
    fn risk_levels_read_back() {
        for risk in Risk::ALL {
            assert_eq!(risk_word(risk_number(*risk)), risk.as_str());
        }
    }

    #[test]
    fn a_factor_is_shown_with_its_effect() {
        let shown =
            FactorView::of(&json!({"factor": "non_production", "because": "it has the label env=dev"})).unwrap();
        assert_eq!((shown.factor.as_str(), shown.effect), ("non_production", -1));
        assert!(FactorView::of(&json!({"factor": "haunted"})).is_none());
    }
}
