use std::fmt::Display;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

use crate::{ConnectorError, ErrorKind};

/// Reads a body to its end, or fails with [`ErrorKind::TooLarge`] as soon as it exceeds `max` bytes.
///
/// A body that breaks off is [`ErrorKind::Transient`].
pub async fn read_capped<E: Display>(
    api: &str,
    body: impl Stream<Item = Result<Bytes, E>>,
    max: usize,
) -> Result<Bytes, ConnectorError> {
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| ConnectorError::new(ErrorKind::Transient, api, error.to_string()))?;
        if first.len() + rest.len() + chunk.len() > max {
            return Err(ConnectorError::new(
                ErrorKind::TooLarge,
                api,
                format!("the answer is larger than {max} bytes"),
            ));
        }
        // Most answers are one chunk: those are handed on without a copy.
        if first.is_empty() {
            first = chunk;
        } else {
            rest.extend_from_slice(&chunk);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    async fn check(chunks: &[Result<&'static str, &'static str>], max: usize) -> Result<Bytes, ErrorKind> {
        let body = stream::iter(chunks.to_vec()).map(|chunk| chunk.map(|text| Bytes::from_static(text.as_bytes())));
        read_capped("test:Get", body, max).await.map_err(|e| e.kind)
    }

    #[tokio::test]
    async fn bodies_are_joined_capped_and_never_cut_short() {
        assert_eq!(check(&[], 9).await, Ok(Bytes::new()));
        assert_eq!(check(&[Ok("abc"), Ok("de"), Ok("f")], 6).await, Ok(Bytes::from_static(b"abcdef")));
        assert_eq!(check(&[Ok("abc"), Ok("de"), Ok("fg")], 6).await, Err(ErrorKind::TooLarge));
        assert_eq!(check(&[Ok("abc"), Err("reset")], 6).await, Err(ErrorKind::Transient));
    }
}
