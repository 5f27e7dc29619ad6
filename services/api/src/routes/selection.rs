use rampart_store::organization::Selection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::FieldErrors;

/// Most entries of a list of accounts and units.
const ENTRIES: usize = 1_000;

/// Which accounts of an organisation are read.
///
/// `include` and `exclude` name accounts, or units (organisational units, management groups, folders) with all that lies
/// below them. The entry nearest to an account decides: its own id, then the unit it lies in, and so on up to the root.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = AccountSelection)]
pub(crate) struct SelectionSource {
    /// Accounts and units to read; empty means all that are not excluded.
    #[serde(default)]
    #[schema(example = json!(["ou-ab12-workloads"]))]
    include: Vec<String>,
    /// Accounts and units not to read.
    #[serde(default)]
    #[schema(example = json!(["123456789012"]))]
    exclude: Vec<String>,
    /// Whether accounts that may be read are read by themselves, new ones included; otherwise each waits until it is added.
    #[serde(default = "yes")]
    #[schema(default = true)]
    auto_add: bool,
}

const fn yes() -> bool {
    true
}

impl SelectionSource {
    /// Notes everything below the field `at` that does not fit.
    pub(crate) fn parse(self, at: &str, errors: &mut FieldErrors) -> Selection {
        for (field, entries) in [("include", &self.include), ("exclude", &self.exclude)] {
            let plain =
                |entry: &String| (1..=200).contains(&entry.len()) && entry.chars().all(|c| c.is_ascii_graphic());
            let fits = entries.len() <= ENTRIES && entries.iter().all(plain);
            errors.check(fits, &format!("{at}/{field}"), "must be at most 1000 ids of accounts or units");
        }
        Selection { include: self.include, exclude: self.exclude, auto_add: self.auto_add }
    }
}

impl From<Selection> for SelectionSource {
    fn from(selection: Selection) -> Self {
        Self { include: selection.include, exclude: selection.exclude, auto_add: selection.auto_add }
    }
}
