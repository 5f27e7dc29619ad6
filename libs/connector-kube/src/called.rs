use crate::kinds::CONSTRAINTS;

/// The permission under which a call was made, in the words of [`crate::KubeConnector`]'s permissions: `list pods`,
/// `list deployments.apps`, `get namespaces/kube-system`, `get /version`. A call that reads no resource by a known form
/// stands for itself.
pub fn permission_of(call: &str) -> String {
    let Some(path) = call.strip_prefix("GET ") else { return call.to_owned() };
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    // `/api/v1/…` is the core group, `/apis/<group>/<version>/…` any other.
    let (group, rest) = match segments.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => (path, &[] as &[&str]),
    };
    // Constraints are read under one permission, whatever their kind.
    let rest = match rest {
        [_, below @ ..] if group == CONSTRAINTS.sources[0].group => [&[CONSTRAINTS.plural], below].concat(),
        rest => rest.to_vec(),
    };
    let named = |resource: &str| if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
    match rest[..] {
        [resource] | ["namespaces", _, resource] => format!("list {}", named(resource)),
        [resource, name] | ["namespaces", _, resource, name] => format!("get {}/{name}", named(resource)),
        _ => format!("get {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::permission_of;
    use crate::Options;
    use crate::kinds::{Access, Aws, needs};

    #[test]
    fn every_permission_is_found_from_the_call_that_needs_it() {
        let options = Options { list_secret_names: true, list_config_map_names: true, ..Options::new([7; 32]) };
        for need in needs(&options, Aws::Yes) {
            let path = match need.access {
                Access::Path(path) => path.to_owned(),
                Access::Resource { group, resource, object, .. } => {
                    let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
                    match object {
                        None => format!("{root}/{resource}"),
                        Some(("", name)) => format!("{root}/{resource}/{name}"),
                        Some((namespace, name)) => format!("{root}/namespaces/{namespace}/{resource}/{name}"),
                    }
                }
            };
            assert_eq!(permission_of(&format!("GET {path}")), need.permission.name);
        }
    }

    #[test]
    fn other_calls_stand_for_themselves() {
        let review = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert_eq!(permission_of(review), review);
        assert_eq!(permission_of("GET /apis"), "get /apis");
        assert_eq!(permission_of("GET /api/v1/namespaces/shop/pods"), "list pods");
        let constraints = "GET /apis/constraints.gatekeeper.sh/v1beta1/k8srequiredlabels";
        assert_eq!(permission_of(constraints), "list *.constraints.gatekeeper.sh");
    }
}
