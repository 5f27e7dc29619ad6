use rampart_domain::{ClusterId, Kind, Resource, ResourceId, TenantId, UnitId, hash_json};
use serde_json::{Value, json};

/// A resource with its place in the tenant.
#[derive(Debug)]
pub struct Placed {
    /// As the connector normalised it.
    pub resource: Resource,
    /// What it is assessed with.
    pub unit: UnitId,
    /// The cluster that it is part of.
    pub cluster: Option<ClusterId>,
}

/// A resource ready to be written: hashed and serialised outside the transaction.
#[derive(Debug)]
pub struct Prepared {
    pub(super) id: ResourceId,
    pub(super) unit: UnitId,
    pub(super) cluster: Option<ClusterId>,
    pub(super) owner: Option<ResourceId>,
    pub(super) hash: [u8; 16],
    pub(super) labels: String,
    pub(super) config: String,
    pub(super) resource: Facts,
}

/// What is left of a resource once its configuration is serialised.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) native_id: String,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) cloud: &'static str,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) managed_by: &'static str,
    pub(super) active: bool,
    pub(super) uid: Option<String>,
}

impl Prepared {
    /// The id under which the resource is stored.
    pub const fn id(&self) -> ResourceId {
        self.id
    }
}

/// Hashes and serialises. CPU work in proportion to the configuration; call it off the async threads.
pub fn prepare(tenant: TenantId, placed: Placed) -> Prepared {
    let Placed { resource, unit, cluster } = placed;
    let id = ResourceId::derive(tenant, &resource.native_id);
    let owner = resource.owner.as_ref().map(|owner| ResourceId::derive(tenant, owner));
    let hash = hash_json(&json!([
        hash_json(&resource.config).to_string(),
        unit,
        resource.name,
        resource.cloud,
        resource.account,
        resource.region,
        resource.namespace,
        resource.labels,
        resource.managed_by,
        owner,
        resource.active,
        resource.uid,
    ]));
    Prepared {
        id,
        unit,
        cluster,
        owner,
        hash: hash.0,
        labels: without_nul(json!(resource.labels).to_string()),
        config: without_nul(Value::to_string(&resource.config)),
        resource: Facts {
            native_id: resource.native_id.as_str().to_owned(),
            kind: resource.kind,
            name: resource.name,
            cloud: resource.cloud.as_str(),
            account: resource.account,
            region: resource.region,
            namespace: resource.namespace,
            managed_by: resource.managed_by.as_str(),
            active: resource.active,
            uid: resource.uid,
        },
    }
}

/// Postgres' jsonb has no U+0000; providers' strings may. It becomes U+FFFD, as a decoder would make of a bad byte.
fn without_nul(json: String) -> String {
    if !json.contains("\\u0000") {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find("\\u0000") {
        let escaped = rest[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        out.push_str(&rest[..at]);
        out.push_str(if escaped { "\\u0000" } else { "\u{fffd}" });
        rest = &rest[at + 6..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::without_nul;

    #[test]
    fn only_real_nul_escapes_are_replaced() {
        assert_eq!(without_nul(r#"{"a":"x\u0000y"}"#.into()), "{\"a\":\"x\u{fffd}y\"}");
        assert_eq!(without_nul(r#"{"a":"x\\u0000y"}"#.into()), r#"{"a":"x\\u0000y"}"#);
    }
}
