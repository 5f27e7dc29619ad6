//! `?watch=true`: what changes, line by line, for as long as the client asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::list::Query;
use super::log::{Logged, Read};
use super::status::Failure;
use super::{Asked, auth, find};
use crate::faults::FaultKind;
use crate::shared::Shared;
use crate::world::{Cluster, KindKey};

/// How long a watch lasts when the client does not say.
const LASTS: Duration = Duration::from_mins(30);

/// Whether a list is to go on as a watch.
pub(super) fn is_asked_for(query: &[(String, String)]) -> bool {
    query.iter().any(|(name, value)| name == "watch" && !matches!(value.as_str(), "" | "false" | "0"))
}

/// Opens a watch.
pub(super) fn answer(shared: &Arc<Shared>, cluster: &Cluster, asked: Asked<'_>) -> Result<Response, Failure> {
    let caller = auth::authenticate(shared, cluster, &asked.parts.headers)?;
    let segments: Vec<&str> = asked.path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (group, version, namespace, plural) = match segments.as_slice() {
        ["api", version, plural] => ("", *version, None, *plural),
        ["api", version, "namespaces", namespace, plural] => ("", *version, Some(*namespace), *plural),
        ["apis", group, version, plural] => (*group, *version, None, *plural),
        ["apis", group, version, "namespaces", namespace, plural] => (*group, *version, Some(*namespace), *plural),
        _ => return Err(Failure::no_such_api()),
    };
    let key = find(cluster, group, version, plural)?;
    if asked.parts.method != Method::GET {
        return Err(Failure::method_not_allowed());
    }
    if !caller.may("watch", group, plural, None) {
        return Err(Failure::forbidden(&caller.name, "watch", group, plural));
    }
    let accept = asked.parts.headers.get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let query = Query::parse(namespace, asked.query, accept)?;
    let text = |name: &str| asked.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let now = shared.view(&cluster.name).version;
    let from = match text("resourceVersion") {
        None | Some("" | "0") => now,
        Some(version) => version.parse().map_err(|_| Failure::bad_request("invalid resource version"))?,
    };
    let seconds = text("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let (cuts, changed) = shared.logs.follow(&cluster.name).ok_or_else(Failure::no_such_api)?;
    if matches!(shared.logs.read(&cluster.name, key, from, cuts), Read::Expired) {
        return Err(Failure::too_old(from));
    }
    let began = Instant::now();
    let bookmarks = text("allowWatchBookmarks") == Some("true");
    let watching = Watching {
        shared: Arc::clone(shared),
        cluster: cluster.name.clone(),
        key,
        query,
        version: from,
        cuts,
        changed,
        ends_at: began + seconds.unwrap_or(LASTS),
        bookmark_at: bookmarks.then(|| began + shared.bookmark_every()),
        lines: VecDeque::new(),
        padding: asked.faults.iter().find_map(|fault| match fault {
            FaultKind::HugeObject(size) => Some(*size),
            _ => None,
        }),
        breaks: asked.faults.contains(&FaultKind::CutBody),
        over: false,
    };
    let mut response = Response::new(Body::from_stream(stream::unfold(watching, |mut watching| async move {
        let line = watching.next().await?;
        Some((line, watching))
    })));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

struct Watching {
    shared: Arc<Shared>,
    cluster: String,
    key: KindKey,
    query: Query,
    version: u64,
    cuts: u64,
    changed: watch::Receiver<()>,
    ends_at: Instant,
    bookmark_at: Option<Instant>,
    lines: VecDeque<Bytes>,
    /// Bytes that the first object is padded with.
    padding: Option<usize>,
    /// Breaks off in the middle of the first object.
    breaks: bool,
    over: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                if self.breaks {
                    self.lines.clear();
                    (self.breaks, self.cuts) = (false, 0);
                    self.over = true;
                    return Some(Ok(line.slice(..line.len() / 2)));
                }
                return Some(Ok(line));
            }
            if self.over {
                return None;
            }
            self.changed.mark_unchanged();
            match self.shared.logs.read(&self.cluster, self.key, self.version, self.cuts) {
                Read::Cut => {
                    self.over = true;
                    return Some(Err(std::io::ErrorKind::ConnectionReset.into()));
                }
                Read::Expired => {
                    self.over = true;
                    self.lines.push_back(line("ERROR", &Failure::too_old(self.version).status()));
                    continue;
                }
                Read::Events(events) => events.iter().for_each(|event| self.tell(event)),
            }
            if !self.lines.is_empty() {
                continue;
            }
            let bookmark_at = self.bookmark_at.unwrap_or(self.ends_at);
            tokio::select! {
                () = tokio::time::sleep_until(self.ends_at) => self.over = true,
                () = tokio::time::sleep_until(bookmark_at) => self.bookmark(),
                // The sender lives as long as the simulator.
                _ = self.changed.changed() => {}
            }
        }
    }

    fn tell(&mut self, event: &Logged) {
        self.version = event.version;
        if !self.query.selects_object(&event.object) {
            return;
        }
        let mut object = event.object.clone();
        if let Some(size) = self.padding.take() {
            object["metadata"]["annotations"]["padding"] = "x".repeat(size).into();
        }
        if self.query.metadata_only {
            object = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] });
        }
        self.lines.push_back(line(event.sort, &object));
    }

    /// Says up to where everything was told.
    fn bookmark(&mut self) {
        let version = self.shared.view(&self.cluster).version;
        // What came since the last look is told first.
        if let Read::Events(events) = self.shared.logs.read(&self.cluster, self.key, self.version, self.cuts) {
            for event in &events {
                self.tell(event);
            }
            self.version = self.version.max(version);
            let object = json!({ "kind": self.key.kind, "apiVersion": self.key.api_version(),
                                 "metadata": { "resourceVersion": self.version.to_string() } });
            self.lines.push_back(line("BOOKMARK", &object));
        }
        self.bookmark_at = Some(Instant::now() + self.shared.bookmark_every());
    }
}

fn line(sort: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({ "type": sort, "object": object })))
}
