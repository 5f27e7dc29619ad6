use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::AwsError;

/// One page of `items`, and the token of the next. `most` is the largest page of the service; what is not asked for
/// otherwise comes in pages of at most one hundred.
pub(crate) fn page<T: Clone>(items: &[T], request: &Value, most: usize) -> Result<(Vec<T>, Option<String>), AwsError> {
    let start = match request["nextToken"].as_str() {
        None => 0,
        Some(token) => {
            offset(token).filter(|start| *start <= items.len()).ok_or_else(|| AwsError::invalid("Invalid nextToken"))?
        }
    };
    let size = match request["maxResults"].as_u64() {
        None => most.min(100),
        Some(size) if (1..=most as u64).contains(&size) => size as usize,
        Some(_) => return Err(AwsError::invalid(format!("maxResults must be between 1 and {most}"))),
    };
    let end = (start + size).min(items.len());
    let next = (end < items.len()).then(|| STANDARD.encode(format!("offset:{end}")));
    Ok((items[start..end].to_vec(), next))
}

fn offset(token: &str) -> Option<usize> {
    let bytes = STANDARD.decode(token).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("offset:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        let items: Vec<u32> = (0..7).collect();
        let mut request = json!({ "maxResults": 3 });
        let mut seen = Vec::new();
        loop {
            let (page, next) = page(&items, &request, 100).unwrap();
            assert!(page.len() <= 3);
            seen.extend(page);
            match next {
                Some(token) => request["nextToken"] = token.into(),
                None => break,
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn nonsense_is_refused() {
        for request in [json!({ "nextToken": "nonsense" }), json!({ "maxResults": 0 }), json!({ "maxResults": 101 })] {
            assert!(page(&[1], &request, 100).is_err(), "{request}");
        }
    }
}
