//! Exemptions: which resources, and which elements of them, a deviation is accepted for.

mod place;
mod read;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::place::Place;
pub use self::read::Misfit;
use crate::text_enum::text_enum;
use crate::{Kind, selects};

text_enum! {
    /// Why a deviation is accepted.
    pub enum ExemptionCategory as "exemption category" {
        /// The risk is accepted.
        Waiver = "waiver",
        /// Something else takes care of the risk.
        Mitigated = "mitigated",
    }
}

/// What an exemption holds for. Everything that is given must hold; what is left out holds for all, so that the empty
/// condition is the whole tenant. Names, namespaces and elements may have `*` for any characters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Cloud account, with its clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Id of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Uuid>,
    /// Kubernetes namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Kubernetes label selector over the labels or tags of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Value>,
    /// Id of a resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Uuid>,
    /// Kind of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Name of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Element of the resource as evidence names it, such as `container web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// At least one of these, where any are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Self>,
    /// All of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<Self>,
}

/// A resource as conditions see it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Account, subscription or project.
    pub account: Option<&'a str>,
    /// Its cluster.
    pub cluster: Option<Uuid>,
    /// Its namespace.
    pub namespace: Option<&'a str>,
    /// Labels or tags; `None` when it has none.
    pub labels: Option<&'a Map<String, Value>>,
    /// Its id.
    pub resource: Uuid,
    /// What it is.
    pub kind: Kind,
    /// Short name.
    pub name: &'a str,
}

/// How much of a violation a condition covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// All of it.
    Whole,
    /// Some of the violating elements, and not all.
    Part,
    /// Nothing.
    None,
}

impl Condition {
    /// How much of a violation is covered. `elements` are the violating elements as evidence names them; none means that
    /// the resource violates as a whole, which a condition on elements never covers.
    pub fn covers(&self, subject: &Subject<'_>, elements: &[impl AsRef<str>]) -> Cover {
        if elements.is_empty() {
            return if self.holds(subject, None) { Cover::Whole } else { Cover::None };
        }
        let covered = elements.iter().filter(|element| self.holds(subject, Some(element.as_ref()))).count();
        match covered {
            0 => Cover::None,
            all if all == elements.len() => Cover::Whole,
            _ => Cover::Part,
        }
    }

    fn holds(&self, subject: &Subject<'_>, element: Option<&str>) -> bool {
        let (namespace, nothing) = (subject.namespace, Map::new());
        self.account.as_ref().is_none_or(|account| subject.account == Some(account))
            && self.cluster.is_none_or(|cluster| subject.cluster == Some(cluster))
            && self.namespace.as_ref().is_none_or(|pattern| namespace.is_some_and(|it| fits(pattern, it)))
            && self.resource.is_none_or(|resource| subject.resource == resource)
            && self.kind.is_none_or(|kind| subject.kind == kind)
            && self.name.as_ref().is_none_or(|pattern| fits(pattern, subject.name))
            && self.element.as_ref().is_none_or(|pattern| element.is_some_and(|element| fits(pattern, element)))
            && self.labels.as_ref().is_none_or(|selector| selects(selector, subject.labels.unwrap_or(&nothing)))
            && self.all_of.iter().all(|part| part.holds(subject, element))
            && (self.any_of.is_empty() || self.any_of.iter().any(|part| part.holds(subject, element)))
    }

    /// Whether elements matter to it.
    pub fn looks_at_elements(&self) -> bool {
        self.element.is_some() || self.parts().any(Self::looks_at_elements)
    }

    /// The conditions that it is made of.
    fn parts(&self) -> impl Iterator<Item = &Self> {
        self.all_of.iter().chain(&self.any_of)
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters, or none.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};
    use uuid::Uuid;

    use super::{Condition, Cover, Subject, fits};
    use crate::Kind;

    const CLUSTER: Uuid = Uuid::from_u128(1);
    const RESOURCE: Uuid = Uuid::from_u128(2);

    fn labels() -> Map<String, Value> {
        json!({"app": "web", "tier": "front"}).as_object().cloned().unwrap()
    }

    #[track_caller]
    fn check(condition: &Value, elements: &[&str], expected: Cover) {
        let labels = labels();
        let subject = Subject {
            account: Some("111"),
            cluster: Some(CLUSTER),
            namespace: Some("payments-eu"),
            labels: Some(&labels),
            resource: RESOURCE,
            kind: Kind::K8sDeployment,
            name: "web",
        };
        let parsed = Condition::read(condition, "").unwrap_or_else(|misfits| panic!("{condition}: {misfits:?}"));
        assert_eq!(parsed.covers(&subject, elements), expected, "{condition} on {elements:?}");
        let stored: Condition = serde_json::from_value(serde_json::to_value(&parsed).unwrap()).unwrap();
        assert_eq!(stored, parsed, "it reads back");
    }

    #[test]
    fn everything_that_is_given_must_hold() {
        check(&json!({}), &[], Cover::Whole);
        check(&json!({"account": "111", "cluster": CLUSTER, "namespace": "payments-*"}), &[], Cover::Whole);
        check(&json!({"account": "111", "namespace": "payments"}), &[], Cover::None);
        check(&json!({"resource": RESOURCE, "kind": "k8s.deployment", "name": "w*"}), &[], Cover::Whole);
        check(&json!({"kind": "k8s.daemonset"}), &[], Cover::None);
    }

    #[test]
    fn any_of_wants_one_and_all_of_wants_all() {
        let right = json!({"account": "111"});
        let wrong = json!({"account": "222"});
        for (condition, expected) in [
            (json!({"any_of": [wrong, right]}), Cover::Whole),
            (json!({"any_of": [wrong, wrong]}), Cover::None),
            (json!({"all_of": [right, right]}), Cover::Whole),
            (json!({"all_of": [right, wrong]}), Cover::None),
            (json!({"all_of": [right], "any_of": [wrong]}), Cover::None),
            (json!({"any_of": [{"all_of": [right, wrong]}, {"any_of": [wrong, right]}]}), Cover::Whole),
        ] {
            check(&condition, &[], expected);
        }
    }

    #[test]
    fn labels_are_selected_as_kubernetes_does() {
        check(&json!({"labels": {"matchLabels": {"app": "web"}}}), &[], Cover::Whole);
        let not_in = json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]});
        check(&json!({"labels": not_in}), &[], Cover::None);
    }

    #[test]
    fn every_violating_element_must_be_covered() {
        let sidecar = json!({"element": "container sidecar"});
        check(&sidecar, &["container sidecar"], Cover::Whole);
        check(&sidecar, &["container sidecar", "container web"], Cover::Part);
        check(&sidecar, &["container web"], Cover::None);
        check(&sidecar, &[], Cover::None);
        check(&sidecar, &["init container sidecar"], Cover::None);
        let both = json!({"any_of": [{"element": "* sidecar"}, {"element": "container web"}]});
        check(&both, &["container sidecar", "container web"], Cover::Whole);
        check(&json!({"name": "web"}), &["container sidecar", "container web"], Cover::Whole);
        check(&json!({"name": "db", "element": "*"}), &["container sidecar"], Cover::None);
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("web", "web", true),
            ("web", "webs", false),
            ("*", "", true),
            ("web*", "web-1", true),
            ("*web", "a-web", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
