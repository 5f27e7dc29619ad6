//! How much a finding endangers: the severity of its control, moved by where its resource stands.
//!
//! Circumstances are [`Factor`]s. Those of one group do not add up, the strongest counts; the groups do:
//!
//! | group | factor | weight |
//! |---|---|---|
//! | exposure | `internet_exposed` | +2 |
//! | | `network_exposed` | +1 |
//! | power | `privileged` | +1 |
//! | identity | `sensitive_identity` | +1 |
//! | importance | `criticality_critical` | +2 |
//! | | `criticality_high` | +1 |
//! | | `criticality_low` | −2 |
//! | | `production`, where no criticality rule speaks | +1 |
//! | | `non_production`, where no criticality rule speaks | −1 |
//!
//! The level follows from the severity and the sum:
//!
//! | severity | ≤ −2 | −1 | 0 | +1 | +2 | +3 | ≥ +4 |
//! |---|---|---|---|---|---|---|---|
//! | informational | low | low | low | low | low | low | medium |
//! | low | low | low | low | low | medium | medium | high |
//! | medium | low | low | medium | medium | high | high | critical |
//! | high | low | medium | high | high | critical | critical | critical |
//! | critical | medium | high | critical | critical | critical | critical | critical |
//!
//! Without circumstances the level is the severity's own word. What was not read is no factor: who shows a level says
//! beside it which kinds are missing.

mod environment;
mod exposure;
mod identity;
mod privilege;

pub use environment::{ENVIRONMENT_KEYS, NON_PRODUCTION_VALUES, PRODUCTION_VALUES, environment};
pub use exposure::{Backend, backends, endpoint, node_port, service};
pub use identity::powers;
pub use privilege::privilege;

use rampart_domain::{Factor, Risk, Severity};
use serde_json::{Value, json};

/// A factor and what it was seen by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Circumstance {
    /// The factor.
    pub factor: Factor,
    /// One clause that names the object, label or rule.
    pub because: String,
}

impl Circumstance {
    /// Puts the two together.
    pub fn new(factor: Factor, because: impl Into<String>) -> Self {
        Self { factor, because: because.into() }
    }

    /// `{factor, because}`.
    pub fn to_json(&self) -> Value {
        json!({"factor": self.factor, "because": self.because})
    }
}

/// What a factor adds when it is the one that counts in its group.
pub const fn effect(factor: Factor) -> i16 {
    match factor {
        Factor::InternetExposed | Factor::CriticalityCritical => 2,
        Factor::NetworkExposed
        | Factor::Privileged
        | Factor::SensitiveIdentity
        | Factor::Production
        | Factor::CriticalityHigh => 1,
        Factor::NonProduction => -1,
        Factor::CriticalityLow => -2,
    }
}

/// The sum of what counts, −2 to 6.
pub fn weigh<'a>(circumstances: impl IntoIterator<Item = &'a Circumstance>) -> i16 {
    let (mut exposure, mut power, mut identity) = (0, 0, 0);
    let (mut environment, mut rule): (Option<i16>, Option<i16>) = (None, None);
    for factor in circumstances.into_iter().map(|circumstance| circumstance.factor) {
        let own = effect(factor);
        match factor {
            Factor::InternetExposed | Factor::NetworkExposed => exposure = own.max(exposure),
            Factor::Privileged => power = own,
            Factor::SensitiveIdentity => identity = own,
            Factor::Production | Factor::NonProduction => environment = environment.max(Some(own)),
            Factor::CriticalityCritical | Factor::CriticalityHigh | Factor::CriticalityLow => {
                rule = rule.max(Some(own));
            }
        }
    }
    exposure + power + identity + rule.or(environment).unwrap_or_default()
}

/// The level of a finding.
pub fn level(severity: Severity, weight: i16) -> Risk {
    const L: Risk = Risk::Low;
    const M: Risk = Risk::Medium;
    const H: Risk = Risk::High;
    const C: Risk = Risk::Critical;
    let row = match severity {
        Severity::Informational => [L, L, L, L, L, L, M],
        Severity::Low => [L, L, L, L, M, M, H],
        Severity::Medium => [L, L, M, M, H, H, C],
        Severity::High => [L, M, H, H, C, C, C],
        Severity::Critical => [M, H, C, C, C, C, C],
    };
    let column = usize::try_from(weight.clamp(-2, 4) + 2).unwrap_or_default();
    row[column]
}

#[cfg(test)]
mod tests {
    use rampart_domain::{Factor, Risk, Severity};

    use super::{Circumstance, level, weigh};

    fn weight(factors: &[Factor]) -> i16 {
        let all: Vec<Circumstance> = factors.iter().map(|factor| Circumstance::new(*factor, "")).collect();
        weigh(&all)
    }

    #[test]
    fn groups_add_up_and_their_members_do_not() {
        use Factor::{
            CriticalityCritical, CriticalityLow, InternetExposed, NetworkExposed, NonProduction, Privileged,
            Production, SensitiveIdentity,
        };
        for (factors, expected) in [
            (&[][..], 0),
            (&[InternetExposed, NetworkExposed], 2),
            (&[NetworkExposed, Privileged, Privileged], 2),
            (&[InternetExposed, Privileged, SensitiveIdentity, CriticalityCritical], 6),
            (&[Production, NonProduction], 1),
            (&[NonProduction], -1),
            (&[NonProduction, CriticalityCritical], 2),
            (&[Production, CriticalityLow], -2),
            (&[InternetExposed, CriticalityLow], 0),
        ] {
            assert_eq!(weight(factors), expected, "{factors:?}");
        }
    }

    #[test]
    fn without_circumstances_the_severity_speaks() {
        for severity in Severity::ALL {
            let word = if *severity == Severity::Informational { "low" } else { severity.as_str() };
            assert_eq!(level(*severity, 0).as_str(), word);
        }
    }

    #[test]
    fn more_of_either_never_lowers_the_level() {
        for pair in Severity::ALL.windows(2) {
            for weight in -9..=9 {
                assert!(level(pair[0], weight) <= level(pair[1], weight), "{pair:?} at {weight}");
                assert!(level(pair[1], weight) <= level(pair[1], weight + 1), "{} at {weight}", pair[1]);
            }
        }
        assert_eq!((level(Severity::Medium, 9), level(Severity::High, -9)), (Risk::Critical, Risk::Low));
    }
}
