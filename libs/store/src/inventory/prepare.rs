use rampart_domain::{ClusterId, Kind, Resource, ResourceId, TenantId, UnitId, hash_json, outline};
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
    pub(super) outline: Option<String>,
    pub(super) partial: bool,
    pub(super) version: Option<i64>,
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
        resource.kind,
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
        outline: outline(resource.kind, &resource.config).map(|outline| without_nul(outline.to_string())),
        partial: resource.partial,
        version: resource.version,
        resource: Facts {
            native_id: storable(resource.native_id.as_str()),
            kind: resource.kind,
            name: storable(&resource.name),
            cloud: resource.cloud.as_str(),
            account: resource.account.as_deref().map(storable),
            region: resource.region.as_deref().map(storable),
            namespace: resource.namespace.as_deref().map(storable),
            managed_by: resource.managed_by.as_str(),
            active: resource.active,
            uid: resource.uid.as_deref().map(storable),
        },
    }
}

/// Longest text in an indexed column, in bytes. Longer than any name a provider gives, and short enough for an index row.
const LONGEST: usize = 1_000;

/// Text that Postgres can hold and index: what a cluster's users can write must not stop a whole scan.
fn storable(text: &str) -> String {
    let mut out = text.replace('\0', "\u{fffd}");
    if out.len() > LONGEST {
        let cut = (0..=LONGEST).rev().find(|at| out.is_char_boundary(*at)).unwrap_or_default();
        out.truncate(cut);
    }
    out
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
    use super::{LONGEST, storable, without_nul};

    #[test]
    fn hostile_names_become_storable() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        let long = "ä".repeat(LONGEST);
        assert!(storable(&long).len() <= LONGEST && long.starts_with(&storable(&long)));
        assert_eq!(storable("web-1"), "web-1");
    }

    #[test]
    fn only_real_nul_escapes_are_replaced() {
        assert_eq!(without_nul(r#"{"a":"x\u0000y"}"#.into()), "{\"a\":\"x\u{fffd}y\"}");
        assert_eq!(without_nul(r#"{"a":"x\\u0000y"}"#.into()), r#"{"a":"x\\u0000y"}"#);
    }
}
