use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::shared::{Shared, View};
use crate::world::draft::{CHURN_TIME, CHURN_VERSION};
use crate::world::{KindKey, World};

/// How many clusters' objects stay in memory.
const KEPT: usize = 64;

/// An object, serialised once.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Box<str>,
    /// `{"metadata":{…},…}` without `apiVersion` and `kind`, which lists leave out.
    json: Bytes,
    /// Length of the metadata's value.
    metadata: usize,
    /// Whether the text holds marks for the time and version of the read.
    churns: bool,
}

/// What comes before the metadata's value in [`Stored::json`].
const HEAD: &str = "{\"metadata\":";

/// Time and version at which a read sees what changes by itself.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) time: String,
    pub(crate) version: String,
}

impl Stored {
    fn new(object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().map(Box::from);
        let metadata = object["metadata"].to_string();
        let mut json = format!("{HEAD}{metadata}");
        for (name, value) in object.as_object().into_iter().flatten() {
            if !["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
                let _ = write!(json, ",{}:{value}", Value::from(name.as_str()));
            }
        }
        json.push('}');
        let churns = json.contains(CHURN_TIME) || json.contains(CHURN_VERSION);
        Self {
            namespace: text("namespace"),
            name: text("name").unwrap_or_default(),
            metadata: metadata.len(),
            json: Bytes::from(json),
            churns,
        }
    }

    /// Appends the object as lists hold it.
    pub(crate) fn write_item(&self, out: &mut Vec<u8>, moment: &Moment) {
        self.write(out, &self.json, moment);
    }

    /// Appends the whole object.
    pub(crate) fn write_object(&self, out: &mut Vec<u8>, key: KindKey, moment: &Moment) {
        let head = format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",", key.api_version(), key.kind);
        out.extend_from_slice(head.as_bytes());
        self.write(out, &self.json[1..], moment);
    }

    /// Appends the metadata alone.
    pub(crate) fn write_metadata(&self, out: &mut Vec<u8>, moment: &Moment) {
        out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
        self.write(out, &self.json[HEAD.len()..HEAD.len() + self.metadata], moment);
        out.push(b'}');
    }

    /// The object as a value, for selectors.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    fn write(&self, out: &mut Vec<u8>, json: &[u8], moment: &Moment) {
        if self.churns {
            let text = String::from_utf8_lossy(json);
            let text = text.replace(CHURN_TIME, &moment.time).replace(CHURN_VERSION, &moment.version);
            out.extend_from_slice(text.as_bytes());
        } else {
            out.extend_from_slice(json);
        }
    }
}

/// All objects of a cluster, in the order of their keys.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    kinds: HashMap<KindKey, Vec<Stored>>,
}

impl Snapshot {
    fn of(world: &World, cluster: &str, generation: u64) -> Self {
        let mut kinds: HashMap<KindKey, Vec<Stored>> = HashMap::new();
        if let Some(cluster) = world.cluster(cluster) {
            for (key, object) in world.raw_objects(cluster) {
                kinds.entry(key).or_default().push(Stored::new(&object));
            }
        }
        for objects in kinds.values_mut() {
            objects.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        }
        Self { generation, kinds }
    }

    /// Objects of a kind, by namespace and name.
    pub(crate) fn of_kind(&self, key: KindKey) -> &[Stored] {
        self.kinds.get(&key).map_or(&[], Vec::as_slice)
    }
}

type Slot = Arc<OnceCell<Arc<Snapshot>>>;

/// Snapshots of the clusters that were asked for last.
#[derive(Debug, Default)]
pub(crate) struct Snapshots(Mutex<Vec<(String, u64, Slot)>>);

impl Snapshots {
    /// The cluster as of now, with its resource version; made on first use, by one caller while the others wait.
    pub(crate) async fn get(&self, shared: &Shared, cluster: &str) -> (Arc<Snapshot>, u64) {
        let View { world, generation, version } = shared.view(cluster);
        let slot = self.slot(cluster, generation);
        let made = slot.get_or_init(|| async {
            let name = cluster.to_owned();
            let task = tokio::task::spawn_blocking(move || Arc::new(Snapshot::of(&world, &name, generation)));
            task.await.expect("making objects does not panic")
        });
        (Arc::clone(made.await), version)
    }

    fn slot(&self, cluster: &str, generation: u64) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().position(|(name, of, _)| name == cluster && *of == generation);
        let entry = if let Some(index) = found {
            slots.remove(index)
        } else {
            slots.retain(|(name, _, _)| name != cluster);
            (cluster.to_owned(), generation, Slot::default())
        };
        let slot = Arc::clone(&entry.2);
        slots.push(entry);
        if slots.len() > KEPT {
            slots.remove(0);
        }
        slot
    }
}
