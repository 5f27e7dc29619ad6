use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use super::ClusterWatch;
use crate::normalize::Owners;
use crate::normalize::rollup::{self, Place};

/// What is known of the objects that pods roll up through.
#[derive(Debug, Default)]
pub struct Known(Owners);

impl Known {
    /// Adds an object by its normalised configuration. Other kinds than controllers and nodes tell nothing.
    pub fn note(&mut self, kind: Kind, config: &Value) {
        self.0.note(kind, config);
    }
}

/// What became of a pod's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolledUp {
    /// The pod has its owner, which is in the inventory by itself, or none.
    Settled,
    /// The pod has its owner, and all pods of that owner together tell what it is.
    Derived(NativeId),
    /// Its controller is not known yet. The owner is what can be said without.
    Unseen,
}

impl ClusterWatch {
    /// Gives a pod its top owner.
    pub fn roll_up(&self, known: &Known, pod: &mut Resource) -> RolledUp {
        let place = rollup::place(&self.cluster, &known.0, pod);
        let unseen = place == Place::Unseen;
        let place = if unseen { rollup::last_resort(&self.cluster, &known.0, pod) } else { place };
        let rolled = match place {
            Place::Alone | Place::Unseen => RolledUp::Settled,
            Place::Listed(owner) => {
                pod.owner = Some(owner);
                RolledUp::Settled
            }
            Place::Derived(owner) => {
                pod.owner = Some(owner.clone());
                RolledUp::Derived(owner)
            }
        };
        if unseen { RolledUp::Unseen } else { rolled }
    }

    /// The owner that `pods`, all pods that belong to it, tell about; `None` when they tell nothing.
    pub fn derive(&self, known: &Known, pods: &[Resource]) -> Option<Resource> {
        rollup::derived(&self.cluster, &known.0, pods)
    }

    /// The images that run in `pods`, all pods of the cluster; `None` when they are too many to be remembered.
    pub fn images(&self, known: &Known, pods: &[Resource]) -> Option<Vec<Resource>> {
        let (images, too_many) = rollup::images(&self.cluster, &known.0, pods);
        (!too_many).then_some(images)
    }
}
