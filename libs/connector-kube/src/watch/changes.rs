use std::sync::Arc;
use std::time::Duration;

use rampart_connector::{ConnectorError, ErrorKind};
use rampart_domain::{Kind, NativeId, Resource};
use serde::Deserialize;
use serde_json::Value;

use super::lines::Lines;
use crate::client::{Api, Status, watch_name};
use crate::kinds::{Entry, Source};
use crate::normalize::{self, Cluster, Meta};
use crate::scan::api_version;

/// Seconds that the server is asked to keep a watch open: at least this, and up to twice as long, so that the watches of a
/// fleet do not end together.
const OPEN_FOR: u64 = 300;
/// The server ends a watch by itself; one that does neither this nor say anything is dead.
const GRACE: Duration = Duration::from_secs(30);
/// Larger events are parsed off the async threads.
const LARGE: usize = 128 << 10;

/// A step of a watch.
#[derive(Debug)]
pub struct Change {
    /// Up to here everything has been told: where the watch goes on when it breaks off.
    pub position: String,
    /// What happened.
    pub what: What,
}

/// What a step tells.
#[derive(Debug)]
pub enum What {
    /// An object is new or different. Pods come with their direct controller as owner: they are to be rolled up.
    Put(Box<Resource>),
    /// An object is gone.
    Gone(Gone),
    /// Nothing that is kept: only the position moved.
    Nothing,
}

/// An object that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its native id.
    pub native_id: NativeId,
    /// Its uid: another object of the same name is not meant.
    pub uid: Option<String>,
}

/// A running watch of one kind.
pub struct Changes {
    name: String,
    entry: &'static Entry,
    source: Source,
    cluster: Arc<Cluster>,
    lines: Lines,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    sort: String,
    object: Value,
}

impl Changes {
    pub(super) async fn open(
        api: &Api,
        cluster: &Arc<Cluster>,
        (entry, source): (&'static Entry, Source),
        position: &str,
    ) -> Result<Self, ConnectorError> {
        let seconds = OPEN_FOR + spread(&cluster.uid, entry.kind);
        let path = format!("{}?{}", source.path(entry.plural), query(position, seconds));
        let body = api.watch(&path, entry.accept).await?;
        let name = watch_name(&path);
        let patience = Duration::from_secs(seconds) + GRACE;
        let lines = Lines::new(name.clone(), body, api.caller().limits().max_body, patience);
        Ok(Self { name, entry, source, cluster: Arc::clone(cluster), lines })
    }

    /// The kind that is watched.
    pub const fn kind(&self) -> Kind {
        self.entry.kind
    }

    /// Waits for the next step; `None` when the server ended the watch, which it does every few minutes.
    ///
    /// # Errors
    /// [`ErrorKind::Expired`] and [`ErrorKind::TooLarge`]: the kind must be listed anew. Anything else: the watch may be
    /// opened again at the last position.
    pub async fn next(&mut self) -> Result<Option<Change>, ConnectorError> {
        let Some(line) = self.lines.next().await? else { return Ok(None) };
        if line.len() < LARGE {
            return self.read(&line).map(Some);
        }
        let (name, entry, source, cluster) = (self.name.clone(), self.entry, self.source, Arc::clone(&self.cluster));
        let work = tokio::task::spawn_blocking(move || read(&name, entry, source, &cluster, &line));
        let read =
            work.await.map_err(|_| ConnectorError::new(ErrorKind::Permanent, &*self.name, "reading panicked"))?;
        read.map(Some)
    }

    fn read(&self, line: &[u8]) -> Result<Change, ConnectorError> {
        read(&self.name, self.entry, self.source, &self.cluster, line)
    }
}

fn query(position: &str, seconds: u64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("watch", "true").append_pair("allowWatchBookmarks", "true");
    query.append_pair("resourceVersion", position).append_pair("timeoutSeconds", &seconds.to_string());
    query.finish()
}

fn read(
    name: &str,
    entry: &'static Entry,
    source: Source,
    cluster: &Cluster,
    line: &[u8],
) -> Result<Change, ConnectorError> {
    let malformed = || ConnectorError::new(ErrorKind::Transient, name, "an event is malformed");
    let Line { sort, object } = serde_json::from_slice(line).map_err(|_| malformed())?;
    if sort == "ERROR" {
        let status: Status = serde_json::from_value(object).map_err(|_| malformed())?;
        return Err(status.into_error(name));
    }
    let position = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let position = position.filter(|it| !it.is_empty()).ok_or_else(malformed)?.to_owned();
    let what = match sort.as_str() {
        "ADDED" | "MODIFIED" => {
            let resource = normalize::object(cluster, entry, source.group, &api_version(source), object);
            resource.map_or(What::Nothing, |resource| What::Put(Box::new(resource)))
        }
        "DELETED" => gone(cluster, entry, source, object).map_or(What::Nothing, What::Gone),
        _ => What::Nothing,
    };
    Ok(Change { position, what })
}

fn gone(cluster: &Cluster, entry: &Entry, source: Source, object: Value) -> Option<Gone> {
    let Value::Object(mut object) = object else { return None };
    let meta = Meta::take(&mut object)?;
    let native_id = cluster.id(source.group, entry.name, meta.namespace.as_deref(), &meta.name);
    Some(Gone { native_id, uid: meta.uid })
}

/// Between nothing and [`OPEN_FOR`], different for every cluster and kind.
fn spread(uid: &str, kind: Kind) -> u64 {
    let hash = blake3::hash(format!("{uid}/{kind}").as_bytes());
    u64::from(u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])) % OPEN_FOR
}
