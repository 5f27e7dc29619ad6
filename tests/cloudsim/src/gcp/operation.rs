use http::Method;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The permission that it needs, or `<service>:<operation>`.
    pub(crate) name: &'static str,
    /// Values of the variable parts of the path, in order.
    pub(crate) parts: Vec<String>,
}

/// Routes: method, path with `*` for its variable parts, name. A colon in the last part of a path is its verb.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "token", "oauth2:token"),
    ("POST", "v1/token", "sts:token"),
    ("GET", "computeMetadata/v1/instance/service-accounts/default/token", "metadata:token"),
    ("POST", "v1/projects/-/serviceAccounts/*:generateAccessToken", "iam.serviceAccounts.getAccessToken"),
    ("POST", "v3/projects/*:testIamPermissions", "resourcemanager.projects.testIamPermissions"),
    ("POST", "v3/projects/*:getIamPolicy", "resourcemanager.projects.getIamPolicy"),
    ("GET", "v3/projects/*", "resourcemanager.projects.get"),
    ("GET", "v3/projects", "resourcemanager.projects.list"),
    ("GET", "v3/folders/*", "resourcemanager.folders.get"),
    ("GET", "v3/folders", "resourcemanager.folders.list"),
    ("GET", "v3/organizations/*", "resourcemanager.organizations.get"),
    ("GET", "v1/projects/*/locations/-/clusters", "container.clusters.list"),
    ("GET", "v1/projects/*/services", "serviceusage.services.list"),
    ("GET", "compute/v1/projects/*/aggregated/subnetworks", "compute.subnetworks.list"),
    ("GET", "compute/v1/projects/*/global/firewalls", "compute.firewalls.list"),
    ("GET", "v1/projects/*/locations", "artifactregistry.locations.list"),
    ("GET", "v1/projects/*/locations/*/repositories", "artifactregistry.repositories.list"),
    ("GET", "v1/projects/*/locations/*/repositories/*:getIamPolicy", "artifactregistry.repositories.getIamPolicy"),
    ("GET", "v1/projects/*/locations/*/repositories/*/dockerImages", "artifactregistry.dockerimages.list"),
];

impl Operation {
    /// Recognises a request.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        ROUTES.iter().find_map(|(verb, pattern, name)| {
            let parts = parts(pattern, &segments).filter(|_| *verb == method.as_str())?;
            Some(Self { name, parts })
        })
    }

    /// Id of the project that is asked about; `None` for what is about no single one.
    pub(crate) fn project(&self) -> Option<&str> {
        let service = self.name.split('.').next()?;
        let of_project = matches!(service, "container" | "artifactregistry" | "serviceusage" | "compute")
            || matches!(self.name, "resourcemanager.projects.get" | "resourcemanager.projects.getIamPolicy");
        of_project.then(|| self.parts.first().map(String::as_str)).flatten()
    }
}

/// Values of the stars of a pattern, when the path matches it.
fn parts(pattern: &str, segments: &[&str]) -> Option<Vec<String>> {
    let pattern: Vec<&str> = pattern.split('/').collect();
    if pattern.len() != segments.len() {
        return None;
    }
    let mut parts = Vec::new();
    for (part, segment) in pattern.iter().zip(segments) {
        match part.strip_prefix('*') {
            Some(verb) => {
                let value = segment.strip_suffix(verb).filter(|value| !verb.is_empty() || !value.contains(':'))?;
                parts.push(value.to_owned());
            }
            None if part != segment => return None,
            None => {}
        }
    }
    Some(parts)
}
