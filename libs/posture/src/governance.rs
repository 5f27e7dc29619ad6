//! Who mends a finding, and by when: the first rule that matches decides.
//!
//! A rule gives an owner, a number of days per severity, or both. The due date is that many days after the finding was last
//! seen to turn unhealthy; for as long again as the grace period the finding is in grace, and overdue from then on. The
//! store computes these moments, since they move with the finding and not with the rule.

use rampart_domain::{Risk, Severity, glob_matches, selects};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A rule, as far as it holds where the finding lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its id.
    pub id: Uuid,
    /// Holds only in this namespace; `None` for everywhere.
    pub namespace: Option<String>,
    /// Severities; empty means any.
    pub severities: Vec<Severity>,
    /// Risk levels; empty means any.
    pub risks: Vec<Risk>,
    /// Patterns of control ids; empty means any.
    pub controls: Vec<String>,
    /// Label selector over the labels of the resource and of its namespace; `None` means any.
    pub selector: Option<Value>,
    /// The owner, or the one where the label is missing.
    pub owner: Option<String>,
    /// Label that names the owner.
    pub owner_label: Option<String>,
    /// Days until due, by severity in the order of [`Severity::ALL`].
    pub due_days: [Option<i16>; 5],
    /// Days after the due date until it counts as overdue.
    pub grace_period_days: i16,
}

/// The resource of a finding.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its namespace.
    pub namespace: Option<&'a str>,
    /// Its labels over those of its namespace.
    pub labels: &'a Map<String, Value>,
}

/// What a rule is asked about, beside the place.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Severity of the finding.
    pub severity: Severity,
    /// Risk level of the finding.
    pub risk: Risk,
    /// Control of the finding.
    pub control: &'a str,
}

/// What the deciding rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The rule.
    pub rule: Uuid,
    /// Who mends it; `None` when the rule names nobody.
    pub owner: Option<String>,
    /// Days until due; `None` when the rule sets no date for the severity.
    pub due_days: Option<i16>,
    /// Days after the due date until it counts as overdue.
    pub grace_period_days: i16,
}

/// The rules that hold for a resource, in the order given.
pub fn rules_at<'r>(rules: &'r [Rule], place: Place<'_>) -> Vec<&'r Rule> {
    let here = |rule: &&Rule| {
        rule.namespace.as_deref().is_none_or(|namespace| place.namespace == Some(namespace))
            && rule.selector.as_ref().is_none_or(|selector| selects(selector, place.labels))
    };
    rules.iter().filter(here).collect()
}

/// What the first matching of some rules says of a finding; `None` when none matches.
pub fn decide(rules: &[&Rule], place: Place<'_>, subject: Subject<'_>) -> Option<Decision> {
    let matches = |rule: &&&Rule| {
        (rule.severities.is_empty() || rule.severities.contains(&subject.severity))
            && (rule.risks.is_empty() || rule.risks.contains(&subject.risk))
            && (rule.controls.is_empty() || rule.controls.iter().any(|glob| glob_matches(glob, subject.control)))
    };
    let rule = rules.iter().find(matches)?;
    let labelled = rule.owner_label.as_ref().and_then(|label| place.labels.get(label)?.as_str());
    let labelled = labelled.filter(|owner| !owner.is_empty()).map(str::to_owned);
    let index = Severity::ALL.iter().position(|severity| *severity == subject.severity).unwrap_or_default();
    Some(Decision {
        rule: rule.id,
        owner: labelled.or_else(|| rule.owner.clone()),
        due_days: rule.due_days[index],
        grace_period_days: rule.grace_period_days,
    })
}

#[cfg(test)]
mod tests {
    use rampart_domain::{Risk, Severity};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{Place, Rule, Subject, decide, rules_at};

    fn rule(id: u128) -> Rule {
        Rule {
            id: Uuid::from_u128(id),
            namespace: None,
            severities: Vec::new(),
            risks: Vec::new(),
            controls: Vec::new(),
            selector: None,
            owner: Some(format!("team-{id}")),
            owner_label: None,
            due_days: [None, None, None, Some(30), Some(7)],
            grace_period_days: 3,
        }
    }

    /// Owner and days that rules give a critical finding of control `k8s.pod.privileged` at high risk.
    fn decided(rules: &[Rule], namespace: Option<&str>, labels: &Value) -> Option<(Option<String>, Option<i16>)> {
        let place = Place { namespace, labels: labels.as_object().unwrap() };
        let subject = Subject { severity: Severity::Critical, risk: Risk::High, control: "k8s.pod.privileged" };
        let decision = decide(&rules_at(rules, place), place, subject)?;
        Some((decision.owner, decision.due_days))
    }

    #[test]
    fn the_first_that_matches_in_every_respect_decides() {
        let none = json!({});
        let tried = [
            Rule { severities: vec![Severity::Low], ..rule(1) },
            Rule { risks: vec![Risk::Critical], ..rule(2) },
            Rule { controls: vec!["aws.*".into(), "k8s.rbac.*".into()], ..rule(3) },
            Rule { namespace: Some("shop".into()), ..rule(4) },
            Rule { selector: Some(json!({"matchLabels": {"app": "web"}})), ..rule(5) },
            Rule { controls: vec!["k8s.pod.*".into()], severities: vec![Severity::Critical], ..rule(6) },
            rule(7),
        ];
        let team = |id: u8| Some((Some(format!("team-{id}")), Some(7)));
        assert_eq!(decided(&tried, None, &none), team(6));
        assert_eq!(decided(&tried, Some("shop"), &none), team(4));
        assert_eq!(decided(&tried, Some("other"), &json!({"app": "web"})), team(5));
        assert_eq!(decided(&tried[..3], None, &none), None);
    }

    #[test]
    fn an_owner_comes_from_a_label_before_the_rule() {
        let labelled = [Rule { owner_label: Some("team".into()), ..rule(1) }];
        let owner = |labels: &Value| decided(&labelled, None, labels).and_then(|(owner, _)| owner);
        assert_eq!(owner(&json!({"team": "payments"})).as_deref(), Some("payments"));
        assert_eq!(owner(&json!({"team": ""})).as_deref(), Some("team-1"));
        assert_eq!(owner(&json!({})).as_deref(), Some("team-1"));
        let only = [Rule { owner: None, ..labelled[0].clone() }, rule(2)];
        assert_eq!(
            decided(&only, None, &json!({})),
            Some((None, Some(7))),
            "the first rule decides, even with no owner"
        );
    }
}
