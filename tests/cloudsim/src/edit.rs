//! Changes of the world while it is served: lists show them, watches are told.

use std::time::Duration;

use serde_json::Value;

use crate::Simulator;
use crate::kube::log::Logged;
use crate::world::{KindKey, Subject, World, settle};

impl Simulator {
    /// Changes about `fraction` of the Kubernetes objects; lists in progress expire.
    pub fn mutate(&self, fraction: f64, seed: u64) {
        let clusters = self.shared.logs.clusters();
        self.shared.change(|world, version| {
            world.mutate_at(fraction, seed, version);
            let clusters = clusters.iter().filter_map(|name| world.cluster(name));
            let changed = clusters.flat_map(|cluster| {
                world.last_changed(cluster).map(|object| logged(&cluster.name, object, version, "MODIFIED"))
            });
            let events = changed.collect();
            ((), events)
        });
    }

    /// Makes a cluster anew under its name, as who deletes one and creates another does.
    pub fn recreate(&self, cluster: &str) {
        self.shared.change(|world, _| {
            world.recreate(cluster);
            ((), Vec::new())
        });
        self.compact(cluster);
    }

    /// Takes a thing out of the world; lists in progress expire.
    pub fn delete(&self, subject: &Subject) {
        self.shared.change(|world, version| {
            let event = deleted(world, subject, version);
            world.delete(subject);
            ((), event.into_iter().collect())
        });
    }

    /// Puts an object into a cluster, new or in place of the one with its name; whoever brings no uid keeps the old one's.
    /// Returns what tells it apart, or nothing when there is no such cluster.
    pub fn put(&self, cluster: &str, kind: KindKey, mut object: Value) -> Option<Subject> {
        self.shared.change(|world, version| {
            let text = |field: &str| object["metadata"][field].as_str().map(ToOwned::to_owned);
            let (namespace, name) = (text("namespace"), text("name").unwrap_or_default());
            let before = Subject::Kube { cluster: cluster.to_owned(), kind, namespace, name };
            let before = world.raw_object(&before);
            if object["metadata"]["uid"].is_null() {
                let kept = before.as_ref().map(|(_, before)| before["metadata"]["uid"].clone());
                object["metadata"]["uid"] = kept.unwrap_or_else(|| uuid::Uuid::new_v4().to_string().into());
            }
            object["metadata"]["resourceVersion"] = version.to_string().into();
            let Some(subject) = world.put(cluster, (kind, object.clone())) else { return (None, Vec::new()) };
            let sort = if before.is_some() { "MODIFIED" } else { "ADDED" };
            (Some(subject), vec![logged(cluster, (kind, object), version, sort)])
        })
    }

    /// Changes an object by a JSON merge patch; whether it is there.
    pub fn patch(&self, subject: &Subject, patch: &Value) -> bool {
        let Subject::Kube { cluster, kind, .. } = subject else { return false };
        let Some(mut object) = self.object(subject) else { return false };
        merge(&mut object, patch);
        self.put(cluster, *kind, object).is_some()
    }

    /// An object of a cluster as it is now.
    pub fn object(&self, subject: &Subject) -> Option<Value> {
        self.world().raw_object(subject).map(|(_, object)| object)
    }

    /// Forgets what changed in a cluster so far: watches that come from before get a 410, open ones an error.
    pub fn compact(&self, cluster: &str) {
        let version = self.shared.view(cluster).version;
        self.shared.logs.compact(cluster, version);
    }

    /// Breaks the connections of all watches of a cluster.
    pub fn cut_watches(&self, cluster: &str) {
        self.shared.logs.cut(cluster);
    }

    /// How often watches say up to where everything was told; once a minute without this.
    pub fn set_bookmarks(&self, every: Duration) {
        self.shared.set_bookmarks(every);
    }
}

fn deleted(world: &World, subject: &Subject, version: u64) -> Option<Logged> {
    let Subject::Kube { cluster, .. } = subject else { return None };
    Some(logged(cluster, world.raw_object(subject)?, version, "DELETED"))
}

fn logged(cluster: &str, (key, mut object): (KindKey, Value), version: u64, sort: &'static str) -> Logged {
    object["apiVersion"] = key.api_version().into();
    object["kind"] = key.kind.into();
    object["metadata"]["resourceVersion"] = version.to_string().into();
    settle(&mut object, "2026-11-01T00:00:00Z", &version.to_string());
    Logged { cluster: cluster.to_owned(), key, version, sort, object }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (name, change) in changes {
        if change.is_null() {
            target.as_object_mut().expect("made one above").remove(name);
        } else {
            merge(&mut target[name], change);
        }
    }
}
