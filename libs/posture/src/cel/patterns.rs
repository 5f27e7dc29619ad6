//! Patterns that only evaluation tells, such as those in parameters. Compiling one costs a thousand times more than
//! matching it, so each thread keeps the last few.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

/// Patterns kept per thread. Parameters are few; values of configurations are not patterns in any built-in control.
const KEPT: usize = 64;
/// Largest compiled pattern in bytes: what needs more is refused.
const LARGEST: usize = 1 << 20;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
}

/// Whether `text` matches `pattern`; `None` when the pattern is malformed or too large.
pub(super) fn is_match(pattern: &str, text: &str) -> Option<bool> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(known) = compiled.get(pattern) {
            return known.as_ref().map(|regex| regex.is_match(text));
        }
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        let regex = RegexBuilder::new(pattern).size_limit(LARGEST).build().ok();
        let outcome = regex.as_ref().map(|regex| regex.is_match(text));
        compiled.insert(pattern.to_owned(), regex);
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::{KEPT, is_match};

    #[test]
    fn a_pattern_means_the_same_every_time() {
        for round in 0..2 * KEPT {
            assert_eq!(is_match("^a+$", "aaa"), Some(true));
            assert_eq!(is_match("(", "a"), None);
            assert_eq!(is_match(&format!("^{round}$"), "x"), Some(false));
        }
    }
}
