//! Percent signs in URLs.

use std::fmt::Write;

use indexmap::IndexMap;

/// Without its escapes, and with spaces for plus signs where those stand for them; `None` when an escape is malformed.
pub(super) fn unescape(text: &str, plus_is_space: bool) -> Option<String> {
    let bytes = if plus_is_space { raw(&text.replace('+', " "))? } else { raw(text)? };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A path, escaped where it has to be and as it was where it already is.
pub(super) fn escaped_path(path: &str) -> Option<String> {
    let bytes = raw(path)?;
    let valid = |c: u8| stays(c) || b"!'()*[]%".contains(&c);
    if path == "*" || path.bytes().all(valid) {
        return Some(path.to_owned());
    }
    let mut escaped = String::with_capacity(path.len());
    for byte in bytes {
        if stays(byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    Some(escaped)
}

fn stays(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&c)
}

/// The bytes that an escaped text stands for.
fn raw(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [c, after @ ..] = rest {
        rest = after;
        if *c == b'%' {
            let [high, low, after @ ..] = rest else { return None };
            let digit = |c: u8| char::from(c).to_digit(16);
            bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
            rest = after;
        } else {
            bytes.push(*c);
        }
    }
    Some(bytes)
}

/// The parameters of a query; malformed ones are left out.
pub(super) fn parse(query: &str) -> IndexMap<String, Vec<String>> {
    let mut parameters: IndexMap<String, Vec<String>> = IndexMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(key), Some(value)) = (unescape(key, true), unescape(value, true)) {
            parameters.entry(key).or_default().push(value);
        }
    }
    parameters
}
