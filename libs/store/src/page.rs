//! Keyset paging: a cursor holds the sort key of the last row that was given out, bound to the filters of its list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{StoreError, token};

/// Bytes of the digest that a cursor begins with.
const DIGEST: usize = 6;

/// Where a page begins: after the row with this key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Fingerprint of the list and its filters.
    #[serde(rename = "f")]
    filters: String,
    /// Sort key of the last row.
    #[serde(rename = "k")]
    key: Value,
}

impl Cursor {
    /// Reads a cursor that must be whole and belong to a list with these filters.
    pub fn decode(text: &str, filters: &str) -> Result<Self, StoreError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::Cursor)?;
        let (digest, json) = bytes.split_at_checked(DIGEST).ok_or(StoreError::Cursor)?;
        let json = std::str::from_utf8(json).map_err(|_| StoreError::Cursor)?;
        if digest != &token::hash(json)[..DIGEST] {
            return Err(StoreError::Cursor);
        }
        let cursor: Self = serde_json::from_str(json).map_err(|_| StoreError::Cursor)?;
        if cursor.filters == filters { Ok(cursor) } else { Err(StoreError::Cursor) }
    }

    /// The text that callers hand back. It begins with a digest, so that a change of any letter shows. Whoever makes one of
    /// their own only chooses another place to begin: what a list shows never depends on its cursor.
    pub fn encode(&self) -> String {
        let json = serde_json::json!({ "f": self.filters, "k": self.key }).to_string();
        URL_SAFE_NO_PAD.encode([&token::hash(&json)[..DIGEST], json.as_bytes()].concat())
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone)]
pub struct Page {
    /// Rows at most.
    pub limit: u16,
    /// Fingerprint of the list and its filters; goes into the next cursor.
    pub filters: String,
    /// Where to begin; `None` for the first page.
    pub after: Option<Cursor>,
}

impl Page {
    /// Rows that a page may have.
    pub const LARGEST: u16 = 500;

    /// The first page of a list without filters.
    pub fn first(limit: u16) -> Self {
        Self { limit, filters: String::new(), after: None }
    }

    /// The key to begin after, in the shape that the list sorts by.
    pub(crate) fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, StoreError> {
        let Some(cursor) = &self.after else { return Ok(None) };
        serde_json::from_value(cursor.key.clone()).map(Some).map_err(|_| StoreError::Cursor)
    }

    /// Rows to ask for: one more than wanted tells whether there is a next page.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts the extra row off and makes the next cursor from the last row that stays.
    pub(crate) fn cut<T, K: Serialize>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Listed<T> {
        let more = rows.len() > usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let next = rows
            .last()
            .filter(|_| more)
            .map(|last| Cursor { filters: self.filters.clone(), key: serde_json::json!(key(last)) });
        Listed { items: rows, next: next.map(|cursor| cursor.encode()) }
    }
}

impl Page {
    /// A page of rows that are at hand, already in ascending order of `key`.
    pub fn slice<T, K: Ord + Serialize + DeserializeOwned>(
        &self,
        rows: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> K,
    ) -> Result<Listed<T>, StoreError> {
        let after = self.after::<K>()?;
        let rest = rows.into_iter().filter(|row| after.as_ref().is_none_or(|after| key(row) > *after));
        let rows = rest.take(usize::from(self.limit) + 1).collect();
        Ok(self.cut(rows, key))
    }
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// The smallest text above everything that begins with `prefix`, for a prefix search as a range.
/// `None` when there is none (every following text begins with it).
pub(crate) fn prefix_end(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=0x10_FFFF).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_only_with_its_own_filters() {
        let page = Page { limit: 2, filters: "abc".into(), after: None };
        let listed = page.cut(vec![1, 2, 3], |row| (row.to_string(), *row));
        assert_eq!(listed.items, [1, 2]);
        let text = listed.next.unwrap();
        let cursor = Cursor::decode(&text, "abc").unwrap();
        let next = Page { after: Some(cursor), ..page.clone() };
        assert_eq!(next.after::<(String, i64)>().unwrap(), Some(("2".into(), 2)));
        assert!(matches!(next.after::<(i64,)>(), Err(StoreError::Cursor)));
        assert!(matches!(Cursor::decode(&text, "other"), Err(StoreError::Cursor)));
        assert!(matches!(Cursor::decode("%%%", "abc"), Err(StoreError::Cursor)));
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let mut bent = text.clone();
            bent.replace_range(at..=at, other);
            assert!(matches!(Cursor::decode(&bent, "abc"), Err(StoreError::Cursor)), "{bent}");
        }
        assert!(page.cut(vec![1, 2], |row| *row).next.is_none());
    }

    #[test]
    fn prefix_ranges_end_right_after_the_prefix() {
        assert_eq!(prefix_end("ab").as_deref(), Some("ac"));
        assert_eq!(prefix_end("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(prefix_end("\u{10FFFF}"), None);
    }
}
