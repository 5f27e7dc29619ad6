use uuid::Uuid;

use super::Condition;

/// Places that a condition may spread over.
const PLACES: usize = 1000;

/// A part of a tenant that a condition cannot leave; everything that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Cloud account.
    pub account: Option<String>,
    /// Cluster.
    pub cluster: Option<Uuid>,
    /// Namespace, with `*` for any characters.
    pub namespace: Option<String>,
    /// Resource.
    pub resource: Option<Uuid>,
}

impl Place {
    /// Both at once; `None` when nothing can lie in both.
    fn and(&self, other: &Self) -> Option<Self> {
        let apart = differ(self.account.as_ref(), other.account.as_ref())
            || differ(self.cluster.as_ref(), other.cluster.as_ref())
            || differ(self.resource.as_ref(), other.resource.as_ref());
        (!apart).then(|| Self {
            account: self.account.clone().or_else(|| other.account.clone()),
            cluster: self.cluster.or(other.cluster),
            resource: self.resource.or(other.resource),
            // Two patterns may both fit: either alone is a bound.
            namespace: self.namespace.clone().or_else(|| other.namespace.clone()),
        })
    }
}

/// Whether both are given, and not the same.
fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

impl Condition {
    /// The places that it cannot leave, one of which everything lies in that it holds for. `None` when there are too many
    /// to tell; a condition that was read has no such many.
    pub fn places(&self) -> Option<Vec<Place>> {
        let own = Place {
            account: self.account.clone(),
            cluster: self.cluster,
            namespace: self.namespace.clone(),
            resource: self.resource,
        };
        let mut places = vec![own];
        for part in &self.all_of {
            places = product(&places, &part.places()?)?;
        }
        if !self.any_of.is_empty() {
            let mut any = Vec::new();
            for part in &self.any_of {
                any.extend(part.places()?);
            }
            places = product(&places, &any)?;
        }
        Some(places)
    }
}

fn product(places: &[Place], others: &[Place]) -> Option<Vec<Place>> {
    if places.len() * others.len() > PLACES {
        return None;
    }
    Some(places.iter().flat_map(|place| others.iter().filter_map(|other| place.and(other))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::{Condition, Place};

    #[test]
    fn places_bound_what_a_condition_may_hold_for() {
        let cluster = Uuid::from_u128(1);
        let condition = json!({
            "account": "111", "kind": "k8s.deployment",
            "any_of": [{"cluster": cluster, "namespace": "a"}, {"account": "222"}, {"element": "container web"}],
            "all_of": [{"name": "web"}],
        });
        let account = || Place { account: Some("111".into()), ..Place::default() };
        let inside = Place { cluster: Some(cluster), namespace: Some("a".into()), ..account() };
        assert_eq!(Condition::read(&condition, "").unwrap().places(), Some(vec![inside, account()]));
        assert_eq!(Condition::default().places(), Some(vec![Place::default()]));
    }
}
