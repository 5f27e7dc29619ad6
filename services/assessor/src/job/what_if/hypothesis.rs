use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_domain::{Family, Kind, UnitId, is_active, strip_nulls};
use rampart_posture::live::rolled_out;
use rampart_store::verdict::{DirtyRow, StoredResource};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Members that say which object it is, and whose.
const IDENTITY: [&str; 6] =
    ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace", "/metadata/uid", "/metadata/ownerReferences"];
/// Where clouds keep labels.
const LABELS: [&str; 3] = ["/tags", "/labels", "/resourceLabels"];

/// Resources as they would be.
#[derive(Default)]
pub(super) struct Hypothesis {
    /// `None` for what would be gone.
    resources: HashMap<Uuid, Option<Changed>>,
    /// What an assessment would be told of, by unit.
    pub(super) news: BTreeMap<Uuid, Vec<DirtyRow>>,
    /// Controls that are taken as healed, by resource.
    pub(super) assumed: HashMap<Uuid, BTreeSet<String>>,
}

struct Changed {
    /// As text, which takes a tenth of the room.
    config: Box<str>,
    labels: Value,
    active: bool,
}

impl Hypothesis {
    /// How many resources would differ or be gone.
    pub(super) fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether every resource would be as it is.
    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Makes resources what they would be, and takes away what would be gone.
    pub(super) fn impose(&self, resources: &mut Vec<StoredResource>) {
        if self.is_empty() {
            return;
        }
        resources.retain_mut(|resource| match self.resources.get(&resource.id) {
            None => true,
            Some(None) => false,
            Some(Some(changed)) => {
                resource.config = serde_json::from_str(&changed.config).expect("it was written from a value");
                resource.labels = changed.labels.clone();
                resource.active = changed.active;
                true
            }
        });
    }

    /// Gives a resource another configuration.
    pub(super) fn change(&mut self, unit: UnitId, resource: &StoredResource, config: Value) -> Result<(), String> {
        self.set(resource, config)?;
        self.tell(unit, resource);
        Ok(())
    }

    /// Takes a resource away.
    pub(super) fn remove(&mut self, unit: UnitId, resource: &StoredResource) {
        self.resources.insert(resource.id, None);
        self.tell(unit, resource);
    }

    /// Takes a control's verdict on a resource as healed.
    pub(super) fn assume(&mut self, unit: UnitId, resource: &StoredResource, control: &str) {
        self.assumed.entry(resource.id).or_default().insert(control.to_owned());
        self.tell(unit, resource);
    }

    /// Makes a workload's pods, and the replica sets and jobs between, what its new template makes of them.
    pub(super) fn follow(&mut self, unit: UnitId, before: &StoredResource, after: &Value, children: &[StoredResource]) {
        for child in children.iter().filter(|child| child.owner_id == Some(before.id)) {
            let config = followed(before, after, child);
            // What a template makes of a pod is an object, and who the pod is does not come from it.
            let _ = self.change(unit, child, config);
        }
    }

    fn set(&mut self, resource: &StoredResource, mut config: Value) -> Result<(), String> {
        strip_nulls(&mut config);
        let Value::Object(object) = &config else { return Err("what is left is no object".to_owned()) };
        if let Some(pointer) = IDENTITY.iter().find(|it| config.pointer(it) != resource.config.pointer(it)) {
            return Err(format!("`{pointer}` cannot change: it would be another resource"));
        }
        let changed = Changed {
            labels: labels(resource, &config),
            active: match resource.kind.family() {
                Family::Kubernetes => is_active(resource.kind, object),
                _ => resource.active,
            },
            config: config.to_string().into(),
        };
        self.resources.insert(resource.id, Some(changed));
        Ok(())
    }

    fn tell(&mut self, unit: UnitId, resource: &StoredResource) {
        let news = self.news.entry(unit.0).or_default();
        news.push(DirtyRow {
            resource_id: resource.id,
            kind: resource.kind,
            namespace: resource.namespace.clone(),
            region: resource.region.clone(),
            owner_id: resource.owner_id,
            outline_changed: true,
            marks: 0,
        });
    }
}

/// Whether a change of `kind` from one configuration to another reaches what it controls.
pub(super) fn has_another_template(kind: Kind, before: &Value, after: &Value) -> bool {
    let template = |config: &Value| template_of(kind).map(|pointer| config.pointer(pointer).cloned());
    kind != Kind::K8sPod && template(before) != template(after)
}

/// Where the pod template lies.
fn template_of(kind: Kind) -> Option<&'static str> {
    kind.pod_spec_pointer().and_then(|pointer| pointer.strip_suffix("/spec"))
}

fn followed(owner: &StoredResource, after: &Value, child: &StoredResource) -> Value {
    let mut config = child.config.clone();
    let (Some(from), Some(to)) = (template_of(owner.kind), template_of(child.kind)) else { return config };
    let (old, new) = (owner.config.pointer(from), after.pointer(from));
    let part = |template: Option<&Value>, pointer: &str| template.and_then(|it| it.pointer(pointer)).cloned();
    if let Some(template) = config.pointer_mut(to) {
        let spec = template.get("spec").cloned().unwrap_or_default();
        let spec = match child.kind {
            Kind::K8sPod => rolled_out(part(old, "/spec").as_ref(), part(new, "/spec").as_ref(), &spec),
            _ => part(new, "/spec").unwrap_or_default(),
        };
        template["spec"] = spec;
        let (gone, come) = (part(old, "/metadata/labels"), part(new, "/metadata/labels"));
        relabel(template, gone.as_ref(), come.as_ref());
    }
    config
}

fn relabel(object: &mut Value, gone: Option<&Value>, come: Option<&Value>) {
    let (Some(gone), Some(come)) = (members(gone), members(come)) else { return };
    if gone == come {
        return;
    }
    let metadata = object.as_object_mut().map(|it| it.entry("metadata").or_insert_with(|| Map::new().into()));
    let labels =
        metadata.and_then(Value::as_object_mut).map(|it| it.entry("labels").or_insert_with(|| Map::new().into()));
    let Some(labels) = labels.and_then(Value::as_object_mut) else { return };
    labels.retain(|key, _| !gone.contains_key(key));
    labels.extend(come);
}

/// The members of an object; none where there is none.
fn members(value: Option<&Value>) -> Option<Map<String, Value>> {
    value.map_or_else(|| Some(Map::new()), |value| value.as_object().cloned())
}

/// Labels with another configuration: Kubernetes and the clouds keep them in it.
fn labels(resource: &StoredResource, config: &Value) -> Value {
    let moved = |pointer: &&str| config.pointer(pointer) != resource.config.pointer(pointer);
    let pointer = match resource.kind.family() {
        Family::Kubernetes => Some("/metadata/labels").filter(moved),
        _ => LABELS.into_iter().find(moved),
    };
    let Some(pointer) = pointer else { return resource.labels.clone() };
    let found = config.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    found
        .filter(|(_, value)| value.is_string())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}
