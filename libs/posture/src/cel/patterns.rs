//! Patterns that only evaluation tells, such as those in parameters. Compiling one costs a thousand times more than
//! matching it, so each thread keeps the last few.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::re2;

/// Patterns kept per thread. Parameters are few; values of configurations are not patterns in any built-in control.
const KEPT: usize = 64;
/// Largest compiled pattern in bytes: what needs more is refused.
const LARGEST: usize = 1 << 20;

thread_local! {
    static COMPILED: [RefCell<HashMap<String, Option<Regex>>>; 2] = [RefCell::default(), RefCell::default()];
}

/// How a pattern is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// As the `regex` crate reads it: controls.
    Own,
    /// As RE2 reads it: policies of Kubernetes.
    Re2,
}

/// Compiles a pattern.
pub(crate) fn compile(pattern: &str, syntax: Syntax) -> Result<Regex, regex::Error> {
    let translated;
    let pattern = match syntax {
        Syntax::Own => pattern,
        Syntax::Re2 => {
            translated = re2::translate(pattern);
            &translated
        }
    };
    RegexBuilder::new(pattern).size_limit(LARGEST).build()
}

/// Uses a pattern, kept from last time or compiled; `None` when it is malformed or too large.
pub(crate) fn with<T>(pattern: &str, syntax: Syntax, then: impl FnOnce(&Regex) -> T) -> Option<T> {
    COMPILED.with(|compiled| {
        let mut compiled = compiled[syntax as usize].borrow_mut();
        if let Some(known) = compiled.get(pattern) {
            return known.as_ref().map(then);
        }
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        let regex = compile(pattern, syntax).ok();
        let outcome = regex.as_ref().map(then);
        compiled.insert(pattern.to_owned(), regex);
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Syntax, with};

    #[test]
    fn a_pattern_means_the_same_every_time() {
        let is_match = |pattern: &str, text| with(pattern, Syntax::Own, |regex| regex.is_match(text));
        for round in 0..2 * KEPT {
            assert_eq!(is_match("^a+$", "aaa"), Some(true));
            assert_eq!(is_match("(", "a"), None);
            assert_eq!(is_match(&format!("^{round}$"), "x"), Some(false));
        }
    }

    #[test]
    fn the_two_syntaxes_are_kept_apart() {
        let is_match = |syntax| with(r"^\w$", syntax, |regex| regex.is_match("ü"));
        assert_eq!((is_match(Syntax::Own), is_match(Syntax::Re2)), (Some(true), Some(false)));
    }
}
