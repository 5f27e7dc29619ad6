//! Names and versions as Helm and container registries spell them.

/// Chart and version out of `name-version`, the value of the label `helm.sh/chart`.
///
/// The version begins after the first `-` that a full version follows: charts may have dashes in their names, and versions
/// in their pre-release part. Labels cannot hold `+`, so charts write `_`. What does not end in a version is all name.
pub(crate) fn chart_and_version(label: &str) -> (&str, Option<String>) {
    let split = label.match_indices('-').find(|(at, _)| *at > 0 && is_version(&label[at + 1..]));
    match split {
        Some((at, _)) => (&label[..at], Some(label[at + 1..].replacen('_', "+", 1))),
        None => (label, None),
    }
}

/// Name and version out of `name.version`, as cluster service versions are called.
pub(crate) fn package_and_version(name: &str) -> (&str, Option<String>) {
    let split = name.match_indices('.').find(|(at, _)| *at > 0 && is_version(&name[at + 1..]));
    match split {
        Some((at, _)) => (&name[..at], Some(name[at + 1..].trim_start_matches('v').to_owned())),
        None => (name, None),
    }
}

/// Whether this is `1.2.3`, with what may stand before and after it.
fn is_version(text: &str) -> bool {
    let core = text.strip_prefix('v').unwrap_or(text);
    let core = core.split(['-', '+', '_']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// Last part of an image's repository, and its tag or the first digits of its digest. Registries and mirrors in front of
/// it differ from cluster to cluster.
pub(crate) fn image(reference: &str) -> (&str, Option<&str>) {
    let (named, digest) = reference.split_once('@').map_or((reference, None), |(named, digest)| (named, Some(digest)));
    let last = named.rsplit('/').next().unwrap_or(named);
    let (name, tag) = last.split_once(':').map_or((last, None), |(name, tag)| (name, Some(tag)));
    (name, tag.or_else(|| digest.map(|digest| digest.get(..19).unwrap_or(digest))))
}

/// `name` without the names that stand at its beginning, one after the other; the last of them when nothing is left.
pub(crate) fn without<'a>(name: &'a str, prefixes: &[&'a str]) -> &'a str {
    let mut rest = name;
    for prefix in prefixes.iter().filter(|prefix| !prefix.is_empty()) {
        match rest.strip_prefix(prefix) {
            Some("") => return prefixes.last().copied().unwrap_or(name),
            Some(after) => rest = after.strip_prefix(['-', '.', '_', ':']).unwrap_or(rest),
            None => {}
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::{chart_and_version, image, package_and_version, without};

    #[test]
    fn charts_and_their_versions_are_told_apart() {
        for (label, chart, version) in [
            ("ingress-nginx-4.11.3", "ingress-nginx", Some("4.11.3")),
            ("cert-manager-v1.19.1", "cert-manager", Some("v1.19.1")),
            ("web-2-1.0.0-rc.1", "web-2", Some("1.0.0-rc.1")),
            ("web-0.1.0-0.20240101.7", "web", Some("0.1.0-0.20240101.7")),
            ("vault-0.28.1_build.5", "vault", Some("0.28.1+build.5")),
            ("k8s-1.2", "k8s-1.2", None),
            ("plain", "plain", None),
            ("-1.2.3", "-1.2.3", None),
        ] {
            assert_eq!(chart_and_version(label), (chart, version.map(str::to_owned)), "{label}");
        }
        assert_eq!(package_and_version("etcdoperator.v0.9.4"), ("etcdoperator", Some("0.9.4".into())));
        assert_eq!(package_and_version("loki.operator"), ("loki.operator", None));
    }

    #[test]
    fn images_are_known_by_their_last_part() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(image("nginx"), ("nginx", None));
        assert_eq!(image("registry.example:5000/team/nginx:1.27"), ("nginx", Some("1.27")));
        assert_eq!(image(&format!("docker.io/library/nginx:1.27@{digest}")), ("nginx", Some("1.27")));
        assert_eq!(image(&format!("nginx@{digest}")), ("nginx", Some("sha256:aaaaaaaaaaaa")));
    }

    #[test]
    fn a_part_is_called_the_same_in_every_release() {
        let chart = "ingress-nginx";
        assert_eq!(without("ingress-nginx-controller", &["ingress-nginx", chart]), "controller");
        assert_eq!(without("prod-ingress-nginx-controller", &["prod", chart]), "controller");
        assert_eq!(without("prod-ingress-nginx", &["prod", chart]), chart);
        assert_eq!(without("prod", &["prod", chart]), chart);
        assert_eq!(without("production", &["prod", chart]), "production", "only whole words");
        assert_eq!(without("other", &["prod"]), "other");
    }
}
