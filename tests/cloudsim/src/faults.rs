use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A fault waiting for calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Calls that it hits.
    pub target: Target,
    /// What happens to them.
    pub kind: FaultKind,
    /// How many calls it hits; `None` means all.
    pub times: Option<u32>,
}

/// Calls to hit. In every text `*` stands for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Calls of an AWS service: `eks`, `ecr`, `sts`, `account`, `organizations`.
    Aws {
        /// Service.
        service: String,
        /// Operation: `ListClusters`.
        operation: String,
        /// Region of the credential scope.
        region: String,
    },
    /// Calls of Azure.
    Azure {
        /// `entra`, `arm` or `acr`.
        service: String,
        /// Last word of the type (`managedClusters`), or of the registry's path (`manifests`).
        operation: String,
        /// Directory, subscription or registry.
        account: String,
    },
    /// Calls of a Google API.
    Gcp {
        /// The permission that the call needs, or `<service>:<operation>` where it needs none:
        /// `container.clusters.list`, `oauth2:token`.
        operation: String,
    },
    /// Calls of a Kubernetes API.
    Kube {
        /// Name of the cluster.
        cluster: String,
        /// Path without query: `/api/v1/pods`.
        path: String,
    },
}

impl Target {
    /// All calls of an AWS operation in every region.
    pub fn aws(service: &str, operation: &str) -> Self {
        Self::Aws { service: service.to_owned(), operation: operation.to_owned(), region: "*".to_owned() }
    }

    /// All calls of an operation of Azure in every subscription.
    pub fn azure(service: &str, operation: &str) -> Self {
        Self::Azure { service: service.to_owned(), operation: operation.to_owned(), account: "*".to_owned() }
    }
    /// All calls of a Google API.
    pub fn gcp(operation: &str) -> Self {
        Self::Gcp { operation: operation.to_owned() }
    }

    /// All calls of a path of a cluster.
    pub fn kube(cluster: &str, path: &str) -> Self {
        Self::Kube { cluster: cluster.to_owned(), path: path.to_owned() }
    }
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// 429, with Retry-After in seconds when given.
    Throttle {
        /// Value of Retry-After.
        retry_after: Option<u64>,
    },
    /// 401 (403 with an expired-token code on AWS, which knows no 401).
    Unauthorized,
    /// 403.
    Forbidden,
    /// Any other status, such as 500 or 503.
    Status(u16),
    /// The answer comes later.
    Delay(Duration),
    /// The connection breaks in the middle of the body.
    CutBody,
    /// A body that ends in the middle of its JSON, with a matching length.
    HalfPage,
    /// 410 for a call that continues a list; an invalid token on AWS.
    ExpiredToken,
    /// The answer's next token is the one that the call came with.
    RepeatToken,
    /// The body is padded to this many bytes with white space.
    HugeBody(usize),
    /// The first object of a list carries an annotation (on AWS: a tag) of this many bytes.
    HugeObject(usize),
    /// Google: the API is not enabled in the project.
    Disabled,
    /// Google: the list of clusters or subnetworks lacks those of the last location, and says so.
    MissingZones,
}

/// The call that faults are matched with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call<'a> {
    Aws { service: &'a str, operation: &'a str, region: &'a str, continues: bool },
    Azure { service: &'a str, operation: &'a str, account: &'a str, continues: bool },
    Gcp { operation: &'a str, continues: bool },
    Kube { cluster: &'a str, path: &'a str, continues: bool },
}

impl Call<'_> {
    const fn continues(&self) -> bool {
        match self {
            Self::Aws { continues, .. }
            | Self::Azure { continues, .. }
            | Self::Gcp { continues, .. }
            | Self::Kube { continues, .. } => *continues,
        }
    }
}

/// Faults that can be set and cleared while the simulator runs.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Armed>>);

/// A fault with the number of calls that it hit.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    hits: u32,
}

impl Faults {
    /// Arms a fault.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Armed { fault, hits: 0 });
    }

    /// Disarms all of them.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The faults that wait for calls still, with the number of calls that each has hit.
    pub fn armed(&self) -> Vec<(Fault, u32)> {
        let armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        armed.iter().map(|one| (one.fault.clone(), one.hits)).collect()
    }

    /// The faults that hit this call, each used up by one.
    pub(crate) fn hit(&self, call: Call<'_>) -> Vec<FaultKind> {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hits = Vec::new();
        armed.retain_mut(|Armed { fault, hits: count }| {
            let waits = fault.kind == FaultKind::ExpiredToken && !call.continues();
            if waits || !matches(&fault.target, call) {
                return true;
            }
            hits.push(fault.kind);
            *count += 1;
            match &mut fault.times {
                Some(times) => {
                    *times = times.saturating_sub(1);
                    *times > 0
                }
                None => true,
            }
        });
        hits
    }
}

fn matches(target: &Target, call: Call<'_>) -> bool {
    match (target, call) {
        (Target::Aws { service, operation, region }, Call::Aws { service: s, operation: o, region: r, .. }) => {
            glob(service, s) && glob(operation, o) && glob(region, r)
        }
        (Target::Azure { service, operation, account }, Call::Azure { service: s, operation: o, account: a, .. }) => {
            glob(service, s) && glob(operation, o) && glob(account, a)
        }
        (Target::Gcp { operation }, Call::Gcp { operation: o, .. }) => glob(operation, o),
        (Target::Kube { cluster, path }, Call::Kube { cluster: c, path: p, .. }) => glob(cluster, c) && glob(path, p),
        _ => false,
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            tail.is_empty() || rest.char_indices().map(|(i, _)| i).chain([rest.len()]).any(|i| glob(tail, &rest[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("/api/v1/pods", "/api/v1/pods", true),
            ("/api/v1/pods", "/api/v1/podsx", false),
            ("/api/*/pods", "/api/v1/namespaces/a/pods", true),
            ("*pods", "/api/v1/nodes", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_fault_is_used_up() {
        let faults = Faults::default();
        let target = Target::kube("*", "/api/v1/pods");
        faults.inject(Fault { target, kind: FaultKind::Forbidden, times: Some(2) });
        let call = |path| faults.hit(Call::Kube { cluster: "a", path, continues: false }).len();
        assert_eq!(
            [call("/api/v1/pods"), call("/api/v1/nodes"), call("/api/v1/pods"), call("/api/v1/pods")],
            [1, 0, 1, 0]
        );
    }

    #[test]
    fn an_expired_token_waits_for_a_continued_list() {
        let faults = Faults::default();
        faults.inject(Fault { target: Target::kube("*", "*"), kind: FaultKind::ExpiredToken, times: Some(1) });
        assert_eq!(faults.hit(Call::Kube { cluster: "a", path: "/", continues: false }), []);
        assert_eq!(faults.hit(Call::Kube { cluster: "a", path: "/", continues: true }), [FaultKind::ExpiredToken]);
    }
}
