use std::collections::HashMap;

use rampart_domain::{Kind, NativeId, UnitId};
use rampart_graph::{Delivered, SOURCE_RULES};
use rampart_store::fix_unit::{self, SourceWrite};
use rampart_store::verdict::StoredResource;
use rampart_store::{StoreError, TenantTx};
use uuid::Uuid;

use crate::edges::node;

/// The sources of some resources. `owners` are the ids of what controls them.
pub(crate) fn of(
    resources: &[StoredResource],
    owners: &HashMap<Uuid, NativeId>,
) -> Result<Vec<SourceWrite>, StoreError> {
    let mut sources = Vec::new();
    for resource in resources {
        let native = NativeId::new(resource.native_id.as_str());
        let owner = resource.owner_id.and_then(|owner| owners.get(&owner));
        let delivered = Delivered {
            node: node(resource, &native, owner),
            name: &resource.name,
            labels: &resource.labels,
            managed_by: resource.managed_by.parse()?,
            cloud: resource.cloud.parse()?,
        };
        let Some(source) = rampart_graph::source(&delivered) else { continue };
        sources.push(SourceWrite {
            resource_id: resource.id,
            source_type: source.source_type,
            name: source.name,
            key: source.key,
            deliverer: source.deliverer,
            instance: source.instance,
            instance_namespace: source.instance_namespace,
            part: source.part,
            version: source.version,
            fingerprint: source.fingerprint.map(|hash| hash.0.to_vec()),
        });
    }
    Ok(sources)
}

/// Resources of a unit whose sources are missing, or were derived by other rules than today's.
pub(crate) async fn outdated(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<Uuid>, StoreError> {
    let rules = fix_unit::rules(tx, unit).await?;
    if rules == SOURCE_RULES {
        return Ok(Vec::new());
    }
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| rampart_graph::has_source(*kind)).collect();
    fix_unit::of_kinds(tx, unit, &kinds, rules == 0).await
}
