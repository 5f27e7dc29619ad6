use std::fmt;

use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Which accounts of an organisation are read.
///
/// `include` and `exclude` name accounts, or units (organisational units, management groups, folders) with all that lies
/// below them. The entry nearest to an account decides: its own id, then the unit it lies in, and so on up to the root.
/// Where none is named, the account is read if `include` is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// What is read; empty means everything that is not excluded.
    #[serde(default)]
    pub include: Vec<String>,
    /// What is not read.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Whether accounts that may be read are read by themselves; otherwise each waits until it is added.
    pub auto_add: bool,
}

/// What an operator decided about one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Read it, whatever the rules say.
    Added,
    /// Do not read it, whatever the rules say.
    Excluded,
}

/// Whether an account is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is read.
    Included,
    /// The rules or an operator leave it out.
    Excluded,
    /// The cloud does not let it be read: suspended, disabled, closing.
    Suspended,
    /// It may be read and was not added yet.
    Waiting,
    /// It does not belong to the organisation any more.
    Removed,
}

impl Choice {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Excluded => "excluded",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Added, Self::Excluded]
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| StoreError::Corrupt(format!("choice `{text}`")))
    }
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 5] = [Self::Included, Self::Excluded, Self::Suspended, Self::Waiting, Self::Removed];

    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Included => "included",
            Self::Excluded => "excluded",
            Self::Suspended => "suspended",
            Self::Waiting => "waiting",
            Self::Removed => "removed",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|decision| decision.as_str() == text)
            .ok_or_else(|| StoreError::Corrupt(format!("decision `{text}`")))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an account that belongs to the organisation is read, and why.
pub fn decide(
    selection: &Selection,
    choice: Option<Choice>,
    account: &str,
    path: &[String],
    is_active: IsActive,
) -> (Decision, String) {
    if choice == Some(Choice::Excluded) {
        return (Decision::Excluded, "an operator excluded it".to_owned());
    }
    let ruled = rule(selection, account, path);
    if let (Err(reason), None) = (&ruled, choice) {
        return (Decision::Excluded, reason.clone());
    }
    if is_active == IsActive::No {
        return (Decision::Suspended, "the cloud reports it as suspended or closing".to_owned());
    }
    match (choice, ruled) {
        (Some(_), _) => (Decision::Included, "an operator added it".to_owned()),
        (None, Ok(_)) if !selection.auto_add => (Decision::Waiting, "it may be read and waits to be added".to_owned()),
        (None, Ok(reason) | Err(reason)) => (Decision::Included, reason),
    }
}

/// Whether the cloud lets an account be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsActive {
    /// It is in use.
    Yes,
    /// It is suspended, disabled or closing.
    No,
}

/// What the nearest entry says, or why the account is left out.
fn rule(selection: &Selection, account: &str, path: &[String]) -> Result<String, String> {
    for place in std::iter::once(account).chain(path.iter().rev().map(String::as_str)) {
        if selection.exclude.iter().any(|entry| entry == place) {
            return Err(format!("{place} is excluded"));
        }
        if selection.include.iter().any(|entry| entry == place) {
            return Ok(format!("{place} is included"));
        }
    }
    if selection.include.is_empty() {
        Ok("everything is included".to_owned())
    } else {
        Err("it lies in nothing that is included".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account `a` in unit `u` below `r`.
    fn check(include: &[&str], exclude: &[&str], choice: Option<Choice>, active: IsActive) -> Decision {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let selection = Selection { include: owned(include), exclude: owned(exclude), auto_add: true };
        decide(&selection, choice, "a", &owned(&["r", "u"]), active).0
    }

    #[test]
    fn the_nearest_entry_decides() {
        use Decision::{Excluded, Included};
        for (include, exclude, expected) in [
            (&[][..], &[][..], Included),
            (&["a"], &[], Included),
            (&["u"], &[], Included),
            (&["r"], &[], Included),
            (&["other"], &[], Excluded),
            (&[], &["u"], Excluded),
            (&["r"], &["u"], Excluded),
            (&["u"], &["r"], Included),
            (&["a"], &["u", "r"], Included),
            (&["u"], &["a"], Excluded),
            (&["a"], &["a"], Excluded),
        ] {
            assert_eq!(check(include, exclude, None, IsActive::Yes), expected, "{include:?} {exclude:?}");
        }
    }

    #[test]
    fn a_choice_goes_before_the_rules_and_suspension_before_both() {
        let (added, excluded) = (Some(Choice::Added), Some(Choice::Excluded));
        assert_eq!(check(&[], &["u"], added, IsActive::Yes), Decision::Included);
        assert_eq!(check(&["a"], &[], excluded, IsActive::Yes), Decision::Excluded);
        assert_eq!(check(&[], &[], added, IsActive::No), Decision::Suspended);
        assert_eq!(check(&[], &["a"], None, IsActive::No), Decision::Excluded, "nobody waits for what is left out");
    }

    #[test]
    fn without_auto_add_only_chosen_accounts_are_read() {
        let selection = Selection { include: vec!["a".into()], ..Selection::default() };
        let decision = |choice| decide(&selection, choice, "a", &[], IsActive::Yes).0;
        assert_eq!((decision(None), decision(Some(Choice::Added))), (Decision::Waiting, Decision::Included));
    }
}
