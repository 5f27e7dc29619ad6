use std::collections::HashSet;

use rampart_connector::{ConnectorError, ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Accept, Api};
use crate::kinds::{Entry, Source};

/// The groups and versions that an API server serves beside the core group.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    served: HashSet<(String, String)>,
}

impl Groups {
    /// Names of the groups.
    pub(crate) fn names(&self) -> Vec<String> {
        let names: HashSet<&String> = self.served.iter().map(|(group, _)| group).collect();
        names.into_iter().cloned().collect()
    }
}

/// The sources of `entry` that are worth asking. Without a list of groups every one of them is.
pub(crate) fn candidates(groups: Option<&Groups>, entry: &Entry) -> Vec<Source> {
    let is_served = |source: &&Source| match groups {
        Some(groups) if !source.group.is_empty() => {
            groups.served.iter().any(|(group, version)| group == source.group && version == source.version)
        }
        _ => true,
    };
    entry.sources.iter().filter(is_served).copied().collect()
}

#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// The uid of the kube-system namespace, by which the cluster is known. An API server without that namespace is none.
pub(crate) async fn cluster_uid(api: &Api) -> Result<String, ConnectorError> {
    let path = "/api/v1/namespaces/kube-system";
    let answer = api.get(path, Accept::Full).await.map_err(|mut error| {
        if error.kind == ErrorKind::NotFound {
            error.kind = ErrorKind::Unsupported;
        }
        let message = format!("the cluster cannot be identified by its kube-system namespace: {}", error.message);
        ConnectorError::new(error.kind, error.api, message)
    })?;
    let namespace: Value = parse(path, &answer)?;
    let uid = namespace.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
    uid.map(str::to_owned).ok_or_else(|| malformed(path))
}

/// What `/version` answers.
pub(crate) async fn version(api: &Api) -> Result<Value, ConnectorError> {
    let mut version: Value = parse("/version", &api.get("/version", Accept::Full).await.map_err(absent)?)?;
    let Some(fields) = version.as_object_mut() else { return Err(malformed("/version")) };
    fields.retain(|field, _| matches!(field.as_str(), "major" | "minor" | "gitVersion" | "platform"));
    Ok(version)
}

/// The groups that the server says it serves.
pub(crate) async fn groups(api: &Api) -> Result<Groups, ConnectorError> {
    let list: GroupList = parse("/apis", &api.get("/apis", Accept::Full).await.map_err(absent)?)?;
    let pairs = |group: Group| group.versions.into_iter().map(move |version| (group.name.clone(), version.version));
    Ok(Groups { served: list.groups.into_iter().flat_map(pairs).collect() })
}

/// A path that every API server has and this one does not: the API is not there.
fn absent(mut error: ConnectorError) -> ConnectorError {
    if error.kind == ErrorKind::NotFound {
        error.kind = ErrorKind::Unsupported;
    }
    error
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ConnectorError> {
    serde_json::from_slice(bytes).map_err(|_| malformed(path))
}

fn malformed(path: &str) -> ConnectorError {
    ConnectorError::new(ErrorKind::Permanent, format!("GET {path}"), "the answer is malformed")
}
