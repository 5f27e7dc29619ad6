use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use futures::Stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Body as _;
use kube::client::Body;
use rampart_connector::{
    BearerToken, Bucket, Caller, ClusterAccess, ConnectorError, Egress, EgressError, ErrorKind, causes, read_capped,
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::connect::client;

/// A token this close to its end is replaced before it is used.
const TOKEN_MARGIN: TimeDelta = TimeDelta::seconds(60);
/// Largest error body that is read for its message.
const ERROR_BODY: usize = 64 * 1024;

/// What the API is asked to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Whole objects.
    Full,
    /// Metadata only: the rest never leaves the API server.
    Metadata,
}

impl Accept {
    const fn header(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Metadata => "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        }
    }

    const fn watch_header(self) -> &'static str {
        match self {
            Self::Full => "application/json",
            Self::Metadata => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Calls that are answered and done.
    Calls,
    /// Watches: many answers that go on for minutes, side by side on one connection where the server can.
    Watches,
}

/// One cluster's API: every call authenticated, paced, retried and capped.
pub(crate) struct Api {
    client: kube::Client,
    base: String,
    access: Arc<dyn ClusterAccess>,
    token: Mutex<Option<BearerToken>>,
    caller: Caller,
    bucket: Bucket,
}

impl Api {
    /// Prepares the client; no request is made.
    pub(crate) async fn connect(
        access: Arc<dyn ClusterAccess>,
        egress: &Egress,
        caller: Caller,
        region: &str,
        to: Use,
    ) -> Result<Self, ConnectorError> {
        let endpoint = access.endpoint().await?;
        let client = client(&*access, &endpoint, egress, to).await?;
        let base = endpoint.url.as_str().trim_end_matches('/').to_owned();
        let bucket = Bucket::new(base.as_str(), region, "kubernetes");
        Ok(Self { client, base, access, token: Mutex::new(None), caller, bucket })
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// GETs `path` (with its query); the name of the call in errors is the path without it.
    pub(crate) async fn get(&self, path: &str, accept: Accept) -> Result<Bytes, ConnectorError> {
        self.send(&Method::GET, path, accept, &Bytes::new()).await
    }

    /// POSTs JSON to `path`.
    pub(crate) async fn post(&self, path: &str, body: Bytes) -> Result<Bytes, ConnectorError> {
        self.send(&Method::POST, path, Accept::Full, &body).await
    }

    async fn send(&self, method: &Method, path: &str, accept: Accept, body: &Bytes) -> Result<Bytes, ConnectorError> {
        let name = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let attempt = || self.whole(&name, method, path, accept.header(), body);
        self.caller.call(&self.bucket, &name, attempt).await
    }

    /// Opens a watch: the call is paced and repeated as any other, what follows is the caller's to read and to end.
    pub(crate) async fn watch(&self, path: &str, accept: Accept) -> Result<Body, ConnectorError> {
        let name = watch_name(path);
        let attempt = || async {
            let response = self.attempt(&name, &Method::GET, path, accept.watch_header(), &Bytes::new()).await?;
            Ok(response.into_body())
        };
        self.caller.call(&self.bucket, &name, attempt).await
    }

    async fn attempt(
        &self,
        name: &str,
        method: &Method,
        path: &str,
        accept: &'static str,
        body: &Bytes,
    ) -> Result<Response<Body>, ConnectorError> {
        let token = self.token(None).await?;
        let mut response = self.exchange(name, request(method, &self.base, path, accept, &token, body)?).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let fresh = self.token(Some(&token)).await?;
            if fresh.token.expose_secret() != token.token.expose_secret() {
                response = self.exchange(name, request(method, &self.base, path, accept, &fresh, body)?).await?;
            }
        }
        if response.status().is_success() { Ok(response) } else { Err(refusal(name, response).await) }
    }

    async fn whole(
        &self,
        name: &str,
        method: &Method,
        path: &str,
        accept: &'static str,
        body: &Bytes,
    ) -> Result<Bytes, ConnectorError> {
        let response = self.attempt(name, method, path, accept, body).await?;
        let max = self.caller.limits().max_body;
        let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > max) {
            let message = format!("the answer is larger than {max} bytes");
            return Err(ConnectorError::new(ErrorKind::TooLarge, name, message));
        }
        read_capped(name, chunks(response.into_body()), max).await
    }

    async fn exchange(&self, name: &str, request: Request<Body>) -> Result<Response<Body>, ConnectorError> {
        self.client.send(request).await.map_err(|error| {
            let kind = if is_cut(&error) { ErrorKind::Transient } else { ErrorKind::Unreachable };
            let message = match &error {
                kube::Error::Service(cause) => causes(&**cause),
                other => causes(other),
            };
            ConnectorError::new(kind, name, message)
        })
    }

    /// The current token; a new one when there is none, it nears its end, or it is the `refused` one.
    async fn token(&self, refused: Option<&BearerToken>) -> Result<BearerToken, ConnectorError> {
        let mut held = self.token.lock().await;
        if let Some(token) = &*held {
            let ends = token.expires_at.is_some_and(|at| at - TOKEN_MARGIN <= Utc::now());
            let is_refused = refused.is_some_and(|old| old.token.expose_secret() == token.token.expose_secret());
            if !ends && !is_refused {
                return Ok(token.clone());
            }
        }
        let fresh = self.access.token().await?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }
}

fn request(
    method: &Method,
    base: &str,
    path: &str,
    accept: &'static str,
    token: &BearerToken,
    body: &Bytes,
) -> Result<Request<Body>, ConnectorError> {
    let malformed = |what: &str| ConnectorError::new(ErrorKind::Permanent, format!("{method} {path}"), what);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{base}{path}"))
        .header(ACCEPT, accept)
        .header(USER_AGENT, rampart_connector::USER_AGENT);
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    // The empty token stands for access by client certificate alone.
    if !token.token.expose_secret().is_empty() {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.token.expose_secret()))
            .map_err(|_| malformed("the token is not a header value"))?;
        bearer.set_sensitive(true);
        request = request.header(AUTHORIZATION, bearer);
    }
    request.body(Body::from(body.clone())).map_err(|_| malformed("the request is malformed"))
}

/// The name of a watch in errors.
pub(crate) fn watch_name(path: &str) -> String {
    format!("WATCH {}", path.split('?').next().unwrap_or(path))
}

pub(crate) fn chunks(body: Body) -> impl Stream<Item = Result<Bytes, kube::Error>> {
    let mut body = Box::pin(body);
    futures::stream::poll_fn(move |cx| {
        loop {
            match ready!(body.as_mut().poll_frame(cx)) {
                None => return std::task::Poll::Ready(None),
                Some(Err(error)) => return std::task::Poll::Ready(Some(Err(error))),
                // Trailers carry nothing that is read.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return std::task::Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    })
}

/// Whether a connection that stood broke off, as opposed to one that never came about.
fn is_cut(error: &kube::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.is::<EgressError>() {
            return false;
        }
        if let Some(error) = cause.downcast_ref::<hyper_util::client::legacy::Error>() {
            return !error.is_connect();
        }
        source = cause.source();
    }
    false
}

/// The parts of a Kubernetes `Status` that matter here.
#[derive(Default, Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    code: u16,
}

impl Status {
    /// The error that stands for this status inside a watch, whose answer itself was a success.
    pub(crate) fn into_error(self, name: &str) -> ConnectorError {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        failure(name, code, self, None)
    }
}

/// The error that an answer other than 2xx stands for.
async fn refusal(name: &str, response: Response<Body>) -> ConnectorError {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let retry_after = seconds.map(Duration::from_secs);
    let body = read_capped(name, chunks(response.into_body()), ERROR_BODY).await.unwrap_or_default();
    failure(name, status, serde_json::from_slice(&body).unwrap_or_default(), retry_after)
}

fn failure(name: &str, status: StatusCode, said: Status, retry_after: Option<Duration>) -> ConnectorError {
    let kind = match status {
        StatusCode::UNAUTHORIZED => ErrorKind::Unauthorized,
        StatusCode::FORBIDDEN => ErrorKind::Forbidden,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE => ErrorKind::Unsupported,
        StatusCode::GONE => ErrorKind::Expired,
        StatusCode::BAD_REQUEST if said.reason == "Expired" => ErrorKind::Expired,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::Throttled { retry_after },
        StatusCode::REQUEST_TIMEOUT => ErrorKind::Transient,
        status if status.is_server_error() => ErrorKind::Transient,
        _ => ErrorKind::Permanent,
    };
    let message = match said.message {
        _ if status.is_redirection() => format!("{status}: redirects are not followed"),
        words if words.is_empty() => status.to_string(),
        words => format!("{status}: {words}"),
    };
    ConnectorError::new(kind, name, message)
}
