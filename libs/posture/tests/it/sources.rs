//! The content of the source tree, so that an edit needs no rebuild.

use std::path::Path;

use rampart_content::Catalogue;

pub(crate) fn sources() -> Catalogue {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content");
    Catalogue::with_overrides(&root).unwrap_or_else(|error| panic!("{error}"))
}
