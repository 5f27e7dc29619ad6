use rampart_domain::{Cloud, NativeId, Resource};
use serde_json::Value;

use crate::kinds::{CONFIG_MAPS, Entry, FIRST, PODS, REST, SECRETS};
use crate::normalize::{Cluster, Owners, Pods, Redactor, page};

/// What a scan makes of one object, whatever it is, and of the pods that it may be: for tests that feed what no API server
/// returns.
pub fn resources_of_anything(object: &Value) -> Vec<Resource> {
    let cluster = Cluster {
        uid: "uid".to_owned(),
        native_id: NativeId::new("k8s://uid"),
        name: "any".to_owned(),
        cloud: Cloud::OnPremises,
        account: None,
        region: None,
        redactor: Redactor::new([0; 32]),
    };
    let mut owners = Owners::default();
    let mut found = Vec::new();
    for entry in FIRST.iter().chain(REST).chain([&CONFIG_MAPS, &SECRETS]) {
        owners.note(entry.kind, object);
        found.extend(page(&cluster, entry, group(entry), "v1", std::iter::once(object.clone())));
    }
    let mut pods = Pods::default();
    let read = pods.page(&cluster, &owners, std::iter::repeat_n(object.clone(), 2));
    found.extend([read.pods, read.workloads, read.static_pods].concat());
    let kinds: Vec<_> = found.iter().map(|resource| resource.kind).collect();
    found.extend(kinds.into_iter().flat_map(|kind| pods.idle(kind)).collect::<Vec<_>>());
    found.extend(pods.images(&cluster).0);
    found.extend(page(&cluster, &PODS, group(&PODS), "v1", std::iter::once(object.clone())));
    found
}

fn group(entry: &Entry) -> &'static str {
    entry.sources.first().map_or("", |source| source.group)
}
