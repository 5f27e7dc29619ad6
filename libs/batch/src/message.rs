use std::collections::BTreeMap;
use std::time::Duration;

use rampart_connector::{ConnectorError, ErrorKind, Event, Outcome};
use rampart_domain::{Kind, ManagedBy, NativeId, Resource, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the messages that this build writes and reads.
pub const FORMAT: u32 = 1;

/// One line of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// What the session is about; the first line of its first batch.
    Session(Manifest),
    /// Listings that are to come, for progress.
    Planned(Vec<Kind>),
    /// A listing begins.
    Started(Kind),
    /// A resource of a listing that began and did not end.
    Resource(Kind, Item),
    /// A listing ended, well or not.
    Finished(Kind, Ended),
    /// Nothing could be read at all.
    Failed(Failure),
}

/// What a session is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of its writer.
    pub format: u32,
    /// Uid of the kube-system namespace; none when the API server did not even tell that.
    pub cluster_uid: Option<String>,
    /// Name and version of the writer, for people.
    pub agent: String,
}

/// A resource as its listing found it. Kind, cluster, cloud, account and region are not its to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The native id, which names the session's cluster.
    pub id: NativeId,
    /// Short name.
    pub name: String,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// Native id of its controlling owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<NativeId>,
    /// Whether anything runs or answers.
    pub active: bool,
    /// The API server's uid of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The API server's version of the object within its uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Whether details are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Configuration in the provider's own shape, literals hidden.
    pub config: Value,
}

/// How a listing ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Every page was read.
    Complete,
    /// Something is missing.
    Incomplete(Failure),
    /// The feature is off; the text says why.
    NotApplicable(String),
}

/// A failed call, as the collector met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its class, in the words of [`ErrorKind::as_str`].
    pub kind: String,
    /// The call.
    pub api: String,
    /// What the API server said.
    pub message: String,
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self { kind: error.kind.as_str().to_owned(), api: error.api, message: error.message }
    }
}

impl From<Failure> for ConnectorError {
    /// A class that this build does not know is permanent.
    fn from(failure: Failure) -> Self {
        let kinds = [
            ErrorKind::Throttled { retry_after: None::<Duration> },
            ErrorKind::Unauthorized,
            ErrorKind::Forbidden,
            ErrorKind::NotFound,
            ErrorKind::Unsupported,
            ErrorKind::Unreachable,
            ErrorKind::Transient,
            ErrorKind::Expired,
            ErrorKind::TooLarge,
            ErrorKind::Cancelled,
        ];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == failure.kind).unwrap_or(ErrorKind::Permanent);
        let api: String = failure.api.chars().take(200).collect();
        Self::new(kind, api, failure.message)
    }
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete => Self::Complete,
            Outcome::Incomplete(error) => Self::Incomplete(error.into()),
            Outcome::NotApplicable(why) => Self::NotApplicable(why),
        }
    }
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Complete => Self::Complete,
            Ended::Incomplete(failure) => Self::Incomplete(failure.into()),
            Ended::NotApplicable(why) => Self::NotApplicable(why.chars().take(500).collect()),
        }
    }
}

impl From<Resource> for Item {
    fn from(resource: Resource) -> Self {
        Self {
            id: resource.native_id,
            name: resource.name,
            namespace: resource.namespace,
            labels: resource.labels,
            managed_by: resource.managed_by,
            owner: resource.owner,
            active: resource.active,
            uid: resource.uid,
            version: resource.version,
            partial: resource.partial,
            config: resource.config,
        }
    }
}

/// The uid of the cluster that an event is about, when it says so.
pub(crate) fn uid_of(event: &Event) -> Option<&str> {
    let scope = match event {
        Event::Planned { listings } => &listings.first()?.scope,
        Event::Started { listing } | Event::Page { listing, .. } | Event::Finished { listing, .. } => &listing.scope,
        Event::Cluster(_) => return None,
    };
    match scope {
        Scope::Cluster { uid, .. } => uid.as_deref(),
        Scope::Region { .. } => None,
    }
}

/// An event of a cluster's scan as messages, and the uid of the cluster. Clusters found in a cloud have no message: a
/// collector reads one cluster.
pub fn messages(event: Event) -> (Option<String>, Vec<Message>) {
    let uid = uid_of(&event).map(str::to_owned);
    let messages = match event {
        Event::Planned { listings } => vec![Message::Planned(listings.iter().map(|listing| listing.kind).collect())],
        Event::Started { listing } => vec![Message::Started(listing.kind)],
        Event::Page { listing, resources, .. } => {
            resources.into_iter().map(|resource| Message::Resource(listing.kind, resource.into())).collect()
        }
        Event::Finished { listing, outcome } => vec![Message::Finished(listing.kind, outcome.into())],
        Event::Cluster(_) => Vec::new(),
    };
    (uid, messages)
}
