use rampart_store::page::{Cursor, Page};

/// A cursor: one that is taken is given out again as it says, and continues a list without failing.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for filters in ["", "0011223344556677"] {
        let Ok(cursor) = Cursor::decode(text, filters) else { continue };
        let again = Cursor::decode(&cursor.encode(), filters).expect("what is given out is taken");
        assert_eq!(again, cursor);
        let page = Page { limit: 2, filters: filters.to_owned(), after: Some(cursor) };
        let rows = ["alpha", "beta", "delta"].map(str::to_owned);
        if let Ok(listed) = page.slice(rows, Clone::clone) {
            assert!(listed.items.len() <= 2, "{:?}", listed.items);
        }
    }
}
