use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Asked;
use super::error::GoogleError;

/// One page of `items` under `field`. What is not asked for otherwise comes in pages of at most `most`; a size beyond it
/// counts as it, as Google has it. An empty list is left out.
pub(crate) fn page(asked: &Asked<'_>, field: &str, items: &[Value], most: usize) -> Result<Value, GoogleError> {
    let start = match asked.parameter("pageToken") {
        None => 0,
        Some(token) => {
            let offset = offset(token).filter(|start| *start <= items.len());
            offset.ok_or_else(|| GoogleError::invalid("Invalid page token."))?
        }
    };
    let size: usize = match asked.parameter("pageSize").or_else(|| asked.parameter("maxResults")) {
        None => most,
        Some(size) => size.parse().map_err(|_| GoogleError::invalid("Invalid page size."))?,
    };
    let end = (start + size.clamp(1, most)).min(items.len());
    let mut answer = json!({});
    if start < end {
        answer[field] = items[start..end].into();
    }
    if end < items.len() {
        answer["nextPageToken"] = STANDARD.encode(format!("offset:{end}")).into();
    }
    Ok(answer)
}

fn offset(token: &str) -> Option<usize> {
    let bytes = STANDARD.decode(token).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("offset:")?.parse().ok()
}
