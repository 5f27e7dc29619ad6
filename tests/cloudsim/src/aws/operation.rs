use http::{HeaderMap, Method};

use super::sigv4::pairs;

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// EKS, Account.
    RestJson,
    /// ECR, CloudWatch Logs, Organizations.
    Json,
    /// STS, IAM.
    Query,
}

/// A service that is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Eks,
    Ecr,
    Sts,
    Account,
    Organizations,
    Iam,
    Logs,
}

impl Service {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Eks => "eks",
            Self::Ecr => "ecr",
            Self::Sts => "sts",
            Self::Account => "account",
            Self::Organizations => "organizations",
            Self::Iam => "iam",
            Self::Logs => "logs",
        }
    }

    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Eks | Self::Account => Protocol::RestJson,
            Self::Ecr | Self::Organizations | Self::Logs => Protocol::Json,
            Self::Sts | Self::Iam => Protocol::Query,
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) service: Service,
    /// `DescribeCluster`; what the request says when the simulator does not know it.
    pub(crate) name: String,
    /// Values of the variable parts of the path, in order.
    pub(crate) path: Vec<String>,
}

/// Services that name the operation in a header, by how it begins.
const TARGETS: [(&str, Service); 3] = [
    ("AmazonEC2ContainerRegistry_V20150921.", Service::Ecr),
    ("AWSOrganizationsV20161128.", Service::Organizations),
    ("Logs_20140328.", Service::Logs),
];

/// EKS routes: method, path with `*` for its variable parts, operation.
const EKS: &[(&str, &str, &str)] = &[
    ("GET", "clusters", "ListClusters"),
    ("GET", "cluster-versions", "DescribeClusterVersions"),
    ("GET", "clusters/*", "DescribeCluster"),
    ("GET", "clusters/*/node-groups", "ListNodegroups"),
    ("GET", "clusters/*/node-groups/*", "DescribeNodegroup"),
    ("GET", "clusters/*/fargate-profiles", "ListFargateProfiles"),
    ("GET", "clusters/*/fargate-profiles/*", "DescribeFargateProfile"),
    ("GET", "clusters/*/addons", "ListAddons"),
    ("GET", "clusters/*/addons/*", "DescribeAddon"),
    ("GET", "clusters/*/access-entries", "ListAccessEntries"),
    ("GET", "clusters/*/access-entries/*", "DescribeAccessEntry"),
    ("GET", "clusters/*/access-entries/*/access-policies", "ListAssociatedAccessPolicies"),
    ("GET", "clusters/*/identity-provider-configs", "ListIdentityProviderConfigs"),
    ("POST", "clusters/*/identity-provider-configs/describe", "DescribeIdentityProviderConfig"),
    ("GET", "clusters/*/pod-identity-associations", "ListPodIdentityAssociations"),
    ("GET", "clusters/*/pod-identity-associations/*", "DescribePodIdentityAssociation"),
];

impl Operation {
    /// Recognises a request; `scope` is the service of the credential scope, when the request is signed.
    pub(crate) fn of(
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
        scope: Option<&str>,
    ) -> Option<Self> {
        let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        for (prefix, service) in TARGETS {
            if let Some(name) = target.and_then(|target| target.strip_prefix(prefix)) {
                return Some(Self { service, name: name.to_owned(), path: Vec::new() });
            }
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if segments.is_empty() {
            let form = std::str::from_utf8(body).unwrap_or_default();
            let (_, name) = pairs(query).into_iter().chain(pairs(form)).find(|(key, _)| key == "Action")?;
            let service = if scope == Some("iam") { Service::Iam } else { Service::Sts };
            return Some(Self { service, name, path: Vec::new() });
        }
        if segments == ["listRegions"] || scope == Some("account") {
            let name = segments[0];
            let name = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
            return Some(Self { service: Service::Account, name, path: Vec::new() });
        }
        EKS.iter().find_map(|(verb, pattern, name)| {
            let variables = variables(pattern, &segments).filter(|_| *verb == method.as_str())?;
            Some(Self { service: Service::Eks, name: (*name).to_owned(), path: variables })
        })
    }
}

/// Decoded values of the stars of a pattern, when the path matches it.
fn variables(pattern: &str, segments: &[&str]) -> Option<Vec<String>> {
    let parts: Vec<&str> = pattern.split('/').collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut variables = Vec::new();
    for (part, segment) in parts.iter().zip(segments) {
        if *part == "*" {
            variables.push(decode(segment));
        } else if part != segment {
            return None;
        }
    }
    Some(variables)
}

/// Undoes percent encoding; a plus stays a plus, as in paths.
fn decode(segment: &str) -> String {
    let form = segment.replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}
