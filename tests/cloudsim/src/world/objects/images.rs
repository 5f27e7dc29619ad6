use crate::world::seed::Seed;

/// Components that teams build; the first [`OWN`] of them come from the team's own repositories.
pub(crate) const COMPONENTS: &[&str] = &[
    "api",
    "worker",
    "web",
    "ingest",
    "cache",
    "gateway",
    "search",
    "ledger",
    "mailer",
    "reports",
    "scheduler",
    "auth",
    "catalog",
    "pricing",
    "billing",
    "events",
    "sync",
    "export",
    "quotes",
    "orders",
    "images",
    "metrics",
    "proxy",
    "archive",
];
/// How many of the components have a repository per team.
pub(crate) const OWN: usize = 4;
/// How many versions of an own image exist.
pub(crate) const VERSIONS: u64 = 4;

const PUBLIC: &[(&str, &str)] = &[
    ("docker.io/library/nginx", "1.27.3"),
    ("docker.io/library/redis", "7.4.1"),
    ("docker.io/library/postgres", "16.6"),
    ("docker.io/bitnami/kafka", "3.9.0"),
    ("quay.io/oauth2-proxy/oauth2-proxy", "v7.7.1"),
    ("ghcr.io/kedacore/keda", "2.16.0"),
    ("registry.k8s.io/git-sync/git-sync", "v4.3.0"),
    ("docker.io/fluent/fluent-bit", "3.2.2"),
];

/// An image as a workload names it and as a node resolved it.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// Repository with its registry.
    pub(crate) repository: String,
    pub(crate) tag: String,
    /// `sha256:…`.
    pub(crate) digest: String,
}

impl Image {
    pub(crate) fn tagged(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    pub(crate) fn pinned(&self) -> String {
        format!("{}:{}@{}", self.repository, self.tag, self.digest)
    }
}

/// Digest of version `version` of a repository; registries and nodes agree on it.
pub(crate) fn digest(world: Seed, repository: &str, version: u64) -> String {
    format!("sha256:{}", world.child("image").child(repository).nth(version).hex(64))
}

/// Tag of version `version`.
pub(crate) fn tag(version: u64) -> String {
    format!("v1.{}.{}", version + 4, version * 3 % 10)
}

/// The image of a team's component: its own when the team builds it, else a public one.
pub(crate) fn for_component(world: Seed, registry: &str, team: &str, component: usize, pick: Seed) -> Image {
    if component < OWN {
        let name = format!("{team}/{}", COMPONENTS[component]);
        let version = pick.below(VERSIONS);
        let digest = digest(world, &name, version);
        Image { repository: format!("{registry}/{name}"), tag: tag(version), digest }
    } else {
        let (repository, tag) = *pick.pick(PUBLIC);
        public(world, repository, tag)
    }
}

/// An image of a public registry.
pub(crate) fn public(world: Seed, repository: &str, tag: &str) -> Image {
    let digest = digest(world, &format!("{repository}:{tag}"), 0);
    Image { repository: repository.to_owned(), tag: tag.to_owned(), digest }
}
