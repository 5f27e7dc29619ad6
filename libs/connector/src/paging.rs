use std::collections::HashSet;
use std::future::Future;

use futures::stream::{self, Stream};
use tokio_util::sync::CancellationToken;

use crate::caller::cancelled;
use crate::{ConnectorError, ErrorKind};

/// One answer of a token-paged API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What was listed.
    pub items: T,
    /// Where to go on; `None` and the empty text both mean the end.
    pub next: Option<String>,
}

/// All pages of a token-paged API, one call at a time.
///
/// `fetch` gets the token of the page, `None` first. A token that comes twice, or more than `max_pages` pages, end the
/// stream with [`ErrorKind::Permanent`]: a listing that goes in circles is never complete. The stream ends after its
/// first error.
pub fn paginate<'a, T, F, Fut>(
    api: &'a str,
    max_pages: usize,
    cancel: &'a CancellationToken,
    fetch: F,
) -> impl Stream<Item = Result<T, ConnectorError>> + 'a
where
    T: 'a,
    F: FnMut(Option<String>) -> Fut + 'a,
    Fut: Future<Output = Result<Page<T>, ConnectorError>> + 'a,
{
    enum Next {
        Page(Option<String>),
        End,
    }
    let start = (Next::Page(None), fetch, HashSet::new());
    stream::try_unfold(start, move |(next, mut fetch, mut seen)| async move {
        let Next::Page(token) = next else { return Ok(None) };
        if cancel.is_cancelled() {
            return Err(cancelled(api));
        }
        let page = fetch(token).await?;
        let next = match page.next.filter(|token| !token.is_empty()) {
            None => Next::End,
            Some(token) => {
                if !seen.insert(token.clone()) {
                    return Err(ConnectorError::new(ErrorKind::Permanent, api, "a page token came twice"));
                }
                if seen.len() >= max_pages {
                    let message = format!("the listing did not end within {max_pages} pages");
                    return Err(ConnectorError::new(ErrorKind::Permanent, api, message));
                }
                Next::Page(Some(token))
            }
        };
        Ok(Some((page.items, (next, fetch, seen))))
    })
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    /// Pages 0.. whose tokens are given by `next`.
    async fn list(max: usize, next: impl Fn(usize) -> Option<String>) -> Result<Vec<usize>, ErrorKind> {
        let cancel = CancellationToken::new();
        let mut n = 0;
        let fetch = |_| {
            let page = Page { items: n, next: next(n) };
            n += 1;
            async move { Ok(page) }
        };
        paginate("test:List", max, &cancel, fetch).try_collect().await.map_err(|e| e.kind)
    }

    #[tokio::test]
    async fn pages_are_followed_to_the_end() {
        assert_eq!(list(9, |n| (n < 2).then(|| n.to_string())).await, Ok(vec![0, 1, 2]));
        assert_eq!(list(9, |_| Some(String::new())).await, Ok(vec![0]));
    }

    #[tokio::test]
    async fn a_listing_that_goes_in_circles_fails() {
        assert_eq!(list(9, |_| Some("same".into())).await, Err(ErrorKind::Permanent));
        assert_eq!(list(9, |n| Some(n.to_string())).await, Err(ErrorKind::Permanent));
    }

    #[tokio::test]
    async fn cancellation_ends_the_listing() {
        let cancel = CancellationToken::new();
        let fetch = |_| {
            cancel.cancel();
            async { Ok(Page { items: (), next: Some("more".into()) }) }
        };
        let result: Result<Vec<()>, _> = paginate("test:List", 9, &cancel, fetch).try_collect().await;
        assert_eq!(result.unwrap_err().kind, ErrorKind::Cancelled);
    }
}
