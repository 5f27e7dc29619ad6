use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_connector_kube::{Change, Gone, What};
use rampart_domain::{Kind, NativeId, Resource};
use rampart_store::watch::Positions;
use tokio::time::Instant;

/// How long the first change waits for others.
const LINGER: Duration = Duration::from_millis(400);
/// Changes that are written at once, whatever the time.
const FULL: usize = 500;

/// Changes of one cluster that are written together: of each object the latest.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) puts: HashMap<NativeId, Resource>,
    pub(super) gone: Vec<Gone>,
    /// Up to where everything is in this batch or was written.
    pub(super) positions: Positions,
    /// Arrival of the first change.
    pub(super) first: Option<(Instant, DateTime<Utc>)>,
}

impl Batch {
    /// Takes a change in.
    pub(super) fn add(&mut self, kind: Kind, change: Change, now: DateTime<Utc>) {
        self.positions.insert(kind, change.position);
        match change.what {
            What::Nothing => return,
            What::Put(resource) => {
                self.puts.insert(resource.native_id.clone(), *resource);
            }
            What::Gone(gone) => {
                self.puts.remove(&gone.native_id);
                self.gone.push(gone);
            }
        }
        self.first.get_or_insert((Instant::now(), now));
    }

    /// Puts back a change that could not be written yet, unless there is a newer one.
    pub(super) fn put_back(&mut self, resource: Resource, now: DateTime<Utc>) {
        if !self.gone.iter().any(|gone| gone.native_id == resource.native_id && gone.uid == resource.uid) {
            self.puts.entry(resource.native_id.clone()).or_insert(resource);
            self.first.get_or_insert((Instant::now(), now));
        }
    }

    /// When it is to be written; `None` while there is nothing to write.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, _) = self.first?;
        Some(if self.puts.len() + self.gone.len() >= FULL { first } else { first + LINGER })
    }
}

#[cfg(test)]
mod tests {
    use rampart_domain::{Cloud, ManagedBy};
    use serde_json::json;

    use super::*;

    fn pod(uid: &str) -> Resource {
        Resource {
            native_id: NativeId::new("k8s://c//Pod/shop/a"),
            kind: Kind::K8sPod,
            name: "a".into(),
            cloud: Cloud::OnPremises,
            account: None,
            region: None,
            cluster: None,
            namespace: Some("shop".into()),
            labels: std::collections::BTreeMap::new(),
            managed_by: ManagedBy::Customer,
            owner: None,
            active: true,
            uid: Some(uid.into()),
            version: None,
            partial: false,
            config: json!({}),
        }
    }

    fn put(uid: &str, position: &str) -> Change {
        Change { position: position.into(), what: What::Put(Box::new(pod(uid))) }
    }

    fn gone(uid: &str, position: &str) -> Change {
        let gone = Gone { native_id: NativeId::new("k8s://c//Pod/shop/a"), uid: Some(uid.into()) };
        Change { position: position.into(), what: What::Gone(gone) }
    }

    fn batch(changes: Vec<Change>) -> Batch {
        let mut batch = Batch::default();
        for change in changes {
            batch.add(Kind::K8sPod, change, Utc::now());
        }
        batch
    }

    #[test]
    fn of_each_object_the_latest_counts() {
        let batch = batch(vec![put("1", "1"), gone("1", "2"), put("2", "3")]);
        assert_eq!((batch.puts.len(), batch.gone.len()), (1, 1), "the first is gone, another took its name");
        assert_eq!(batch.puts.values().next().unwrap().uid.as_deref(), Some("2"));
        assert_eq!(batch.positions[&Kind::K8sPod], "3");
        assert!(batch.due().is_some());
    }

    #[test]
    fn what_is_put_back_does_not_outlive_its_end() {
        let mut batch = batch(vec![gone("1", "2")]);
        batch.put_back(pod("1"), Utc::now());
        assert!(batch.puts.is_empty());
        batch.put_back(pod("2"), Utc::now());
        batch.put_back(pod("3"), Utc::now());
        assert_eq!(batch.puts.values().next().unwrap().uid.as_deref(), Some("2"), "the newer one stays");
    }

    #[test]
    fn a_moved_position_alone_is_nothing_to_write() {
        let batch = batch(vec![Change { position: "7".into(), what: What::Nothing }]);
        assert!(batch.due().is_none() && batch.positions[&Kind::K8sPod] == "7");
    }
}
