/// The repository of an image reference in its long form, without tag and digest: `nginx:1.27` is
/// `docker.io/library/nginx`. `None` for a bare digest.
pub(crate) fn repository(reference: &str) -> Option<String> {
    let reference = reference.split_once("://").map_or(reference, |(_, rest)| rest);
    let reference = reference.split_once('@').map_or(reference, |(name, _)| name);
    if reference.is_empty() || reference.starts_with("sha256:") {
        return None;
    }
    let (path, name) = reference.rsplit_once('/').unwrap_or(("", reference));
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let path = path.strip_prefix("index.").filter(|path| path.starts_with("docker.io")).unwrap_or(path);
    let host = path.split('/').next().unwrap_or_default();
    let has_registry = host.contains(['.', ':']) || host == "localhost";
    let long = match path {
        "" | "docker.io" => format!("docker.io/library/{name}"),
        path if has_registry => format!("{path}/{name}"),
        path => format!("docker.io/{path}/{name}"),
    };
    Some(long)
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn repositories_in_their_long_form() {
        let check = |short: &str, long: &str| assert_eq!(repository(short).as_deref(), Some(long));
        check("nginx", "docker.io/library/nginx");
        check("nginx:1.27", "docker.io/library/nginx");
        check("bitnami/redis:7", "docker.io/bitnami/redis");
        check("docker.io/nginx", "docker.io/library/nginx");
        check("index.docker.io/bitnami/redis", "docker.io/bitnami/redis");
        check("localhost:5000/app:v1", "localhost:5000/app");
        check("docker-pullable://quay.io/org/app@sha256:00", "quay.io/org/app");
        check(
            "602401143452.dkr.ecr.us-east-1.amazonaws.com/eks/coredns:v1.11",
            "602401143452.dkr.ecr.us-east-1.amazonaws.com/eks/coredns",
        );
        assert_eq!(repository("sha256:0011"), None);
    }
}
