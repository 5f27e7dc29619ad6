use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::faults::FaultKind;

/// An answer before faults distort it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// The response, distorted by the faults that act on bodies.
    pub(crate) fn into_response(self, faults: &[FaultKind]) -> Response {
        let Self { status, headers, mut body } = self;
        let mut cut = false;
        for fault in faults {
            match fault {
                FaultKind::HalfPage => body.truncate(body.len() / 2),
                FaultKind::HugeBody(size) => body = padded(&body, *size),
                FaultKind::CutBody => cut = true,
                _ => {}
            }
        }
        let length = body.len();
        let mut response =
            if cut { Response::new(broken(body.split_to(length / 2))) } else { Response::new(Body::from(body)) };
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        if cut {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

fn padded(body: &Bytes, size: usize) -> Bytes {
    let mut padded = BytesMut::with_capacity(size.max(body.len()));
    padded.extend_from_slice(body);
    padded.put_bytes(b' ', size.saturating_sub(body.len()));
    padded.freeze()
}

/// A body that sends its bytes and then breaks the connection.
fn broken(bytes: Bytes) -> Body {
    let sent = stream::once(async move { Ok::<_, std::io::Error>(bytes) });
    let error = stream::once(async {
        // What was sent must leave the server's buffer first, or the client would not even see a status.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(sent.chain(error))
}
