use std::collections::HashSet;

use rampart_connector::{ConnectorError, ErrorKind};
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::client::{Accept, Api};

/// The smallest page that is tried when answers are too large.
const SMALLEST_PAGE: usize = 25;

/// The objects of a page, each parsed when it is asked for: parsed objects take ten times the room of their text.
pub(crate) type Items<'a> = &'a mut dyn Iterator<Item = Value>;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default, borrow)]
    items: Option<Vec<&'a RawValue>>,
}

fn read<T>(bytes: &[u8], make: impl FnOnce(Items<'_>) -> T) -> Result<(T, ListMeta), Category> {
    let body: Body<'_> = serde_json::from_slice(bytes).map_err(|error| error.classify())?;
    let mut broken = None;
    let mut items = body
        .items
        .unwrap_or_default()
        .into_iter()
        .map_while(|item| serde_json::from_str(item.get()).map_err(|error| broken = Some(error.classify())).ok());
    let page = make(&mut items);
    drop(items);
    broken.map_or(Ok((page, body.metadata)), Err)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
    resource_version: Option<String>,
    remaining_item_count: Option<u64>,
}

/// What a page was made into, and how many objects the server says are still to come.
#[derive(Debug)]
pub(crate) struct Read<T> {
    pub(crate) page: T,
    pub(crate) remaining: Option<u64>,
}

/// Walks one list page by page. A page is parsed and made into resources off the async threads and dropped before the
/// next one is asked for, so that memory holds one page and never the list.
pub(crate) struct Pager<'a> {
    api: &'a Api,
    path: String,
    accept: Accept,
    limit: usize,
    next: Option<String>,
    seen: HashSet<String>,
    restarted: bool,
    ended: bool,
    version: Option<String>,
}

impl<'a> Pager<'a> {
    /// A walk over the list at `path`, `limit` objects at a time.
    pub(crate) fn new(api: &'a Api, path: String, accept: Accept, limit: usize) -> Self {
        let seen = HashSet::new();
        Self { api, path, accept, limit, next: None, seen, restarted: false, ended: false, version: None }
    }

    /// The next page made into something by `make`; `None` after the last.
    ///
    /// A list whose continue token expired begins again, once: its objects then come a second time.
    pub(crate) async fn next<T, F>(&mut self, make: F) -> Result<Option<Read<T>>, ConnectorError>
    where
        T: Send + 'static,
        F: FnOnce(Items<'_>) -> T + Send + 'static,
    {
        if self.ended {
            return Ok(None);
        }
        let bytes = self.fetch().await?;
        let work = tokio::task::spawn_blocking(move || read(&bytes, make));
        let done = work.await.map_err(|_| self.permanent("reading the page panicked"))?;
        let (page, meta) = done.map_err(|category| self.permanent(&format!("the page is malformed ({category:?})")))?;
        // The first page's: what went between it and a list that had to begin again is then told by the watch.
        self.version = self.version.take().or(meta.resource_version);
        match meta.next.filter(|token| !token.is_empty()) {
            None => self.ended = true,
            Some(token) => {
                if !self.seen.insert(token.clone()) || self.seen.len() > self.api.caller().limits().max_pages {
                    return Err(self.permanent("the list goes in circles"));
                }
                self.next = Some(token);
            }
        }
        Ok(Some(Read { page, remaining: meta.remaining_item_count }))
    }

    /// `resourceVersion` of the list: a watch from there misses nothing that the list does not hold.
    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref().filter(|version| !version.is_empty())
    }

    async fn fetch(&mut self) -> Result<bytes::Bytes, ConnectorError> {
        loop {
            let error = match self.api.get(&self.request(), self.accept).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            match error.kind {
                ErrorKind::Expired if !self.restarted && self.next.is_some() => {
                    tracing::debug!(path = self.path, "the continue token expired, the list begins again");
                    self.restarted = true;
                    self.next = None;
                    self.seen.clear();
                }
                ErrorKind::TooLarge if self.limit > SMALLEST_PAGE => {
                    self.limit = (self.limit / 4).max(SMALLEST_PAGE);
                }
                _ => return Err(error),
            }
        }
    }

    fn request(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(token) = &self.next {
            query.append_pair("continue", token);
        }
        format!("{}?{}", self.path, query.finish())
    }

    fn permanent(&self, message: &str) -> ConnectorError {
        ConnectorError::new(ErrorKind::Permanent, format!("GET {}", self.path), message)
    }
}
