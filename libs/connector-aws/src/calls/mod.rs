//! One function per API that a scan uses. Each returns the provider's JSON.

pub(crate) mod account;
pub(crate) mod ecr;
pub(crate) mod eks;
pub(crate) mod iam;
pub(crate) mod logs;
pub(crate) mod organizations;

use std::future::Future;

use futures::{Stream, TryStreamExt};
use rampart_connector::{Bucket, Caller, ConnectorError, ErrorKind, Page, paginate};
use serde_json::Value;

pub(crate) use ecr::EcrCalls;
pub(crate) use eks::EksCalls;
pub(crate) use iam::IamCalls;
pub(crate) use logs::LogsCalls;

/// Which page of a listing is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageOf {
    /// From the page before.
    pub(crate) token: Option<String>,
    /// Most items in it; `None` leaves it to the provider.
    pub(crate) size: Option<i32>,
}

/// Caller and bucket of one service in one region.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) caller: Caller,
    pub(crate) bucket: Bucket,
}

/// Sends a request, once per attempt, and settles on its JSON.
macro_rules! ask {
    ($line:expr, $api:expr, $request:expr) => {
        $line
            .caller
            .call(&$line.bucket, $api, || async {
                let raw = $crate::raw::RawAnswer::default();
                let typed = $request.customize().interceptor(raw.clone()).send().await;
                raw.settle($api, typed)
            })
            .await
    };
}
pub(crate) use ask;

/// All pages of a listing whose items are in `field`, `size` at a time.
pub(crate) fn pages<'a, F, Fut>(
    line: &'a Line,
    api: &'a str,
    field: &'a str,
    size: i32,
    mut fetch: F,
) -> impl Stream<Item = Result<Vec<Value>, ConnectorError>> + 'a
where
    F: FnMut(PageOf) -> Fut + 'a,
    Fut: Future<Output = Result<Value, ConnectorError>> + 'a,
{
    let limits = line.caller.limits();
    let page = move |token| {
        let answer = fetch(PageOf { token, size: Some(size) });
        async move {
            let mut answer = answer.await?;
            // Services differ in the case of the first letter, and IAM has a word of its own.
            let next = ["nextToken", "NextToken", "Marker"].into_iter().find_map(|field| answer[field].as_str());
            let next = next.map(str::to_owned);
            Ok(Page { items: items(api, &mut answer, field)?, next })
        }
    };
    paginate(api, limits.max_pages, line.caller.cancel(), page)
}

/// All items of a short listing.
pub(crate) async fn all(
    pages: impl Stream<Item = Result<Vec<Value>, ConnectorError>>,
) -> Result<Vec<Value>, ConnectorError> {
    pages.try_concat().await
}

/// The list in `field`. An answer without it is not an empty list.
pub(crate) fn items(api: &str, answer: &mut Value, field: &str) -> Result<Vec<Value>, ConnectorError> {
    match take(answer, field) {
        Value::Array(items) => Ok(items),
        _ => Err(ConnectorError::new(ErrorKind::Permanent, api, format!("the answer has no list {field}"))),
    }
}

/// Removes and returns a field, or null.
pub(crate) fn take(value: &mut Value, field: &str) -> Value {
    value.get_mut(field).map(Value::take).unwrap_or_default()
}
