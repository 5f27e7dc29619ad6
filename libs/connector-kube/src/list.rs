use std::collections::HashSet;

use rampart_connector::{ConnectorError, ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Accept, Api};

/// Objects asked for at once.
const PAGE: usize = 500;
/// The smallest page that is tried when answers are too large.
const SMALLEST_PAGE: usize = 25;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Option<Vec<Value>>,
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
    pub(crate) fn new(api: &'a Api, path: String, accept: Accept) -> Self {
        let seen = HashSet::new();
        Self { api, path, accept, limit: PAGE, next: None, seen, restarted: false, ended: false, version: None }
    }

    /// The next page made into something by `make`; `None` after the last.
    ///
    /// A list whose continue token expired begins again, once: its objects then come a second time.
    pub(crate) async fn next<T, F>(&mut self, make: F) -> Result<Option<Read<T>>, ConnectorError>
    where
        T: Send + 'static,
        F: FnOnce(Vec<Value>) -> T + Send + 'static,
    {
        if self.ended {
            return Ok(None);
        }
        let bytes = self.fetch().await?;
        let work = tokio::task::spawn_blocking(move || {
            let body: Body = serde_json::from_slice(&bytes).map_err(|error| error.classify())?;
            drop(bytes);
            Ok((make(body.items.unwrap_or_default()), body.metadata))
        });
        let done: Result<_, serde_json::error::Category> =
            work.await.map_err(|_| self.permanent("reading the page panicked"))?;
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
