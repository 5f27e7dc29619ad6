//! Literal values of environments and arguments are replaced by hashes before anything is judged. What is printed says
//! that they are hidden: a hash under a key that is no secret would let a value be guessed.

use rampart_domain::Evidence;
use serde_json::Value;

/// How a hidden value begins.
const MARK: &str = "hmac:";
/// Digits after the mark.
const DIGITS: usize = 16;
/// What is printed instead.
const HIDDEN: &str = "(hidden)";

/// Hides values in the evidence of a verdict.
pub(crate) fn evidence(evidence: &mut Evidence) {
    text(&mut evidence.message);
    evidence.facts.iter_mut().filter_map(|fact| fact.value.as_mut()).for_each(value);
}

fn value(found: &mut Value) {
    match found {
        Value::String(found) => text(found),
        Value::Array(items) => items.iter_mut().for_each(value),
        Value::Object(map) => map.values_mut().for_each(value),
        _ => {}
    }
}

fn text(text: &mut String) {
    let mut from = 0;
    while let Some(at) = text[from..].find(MARK).map(|at| from + at) {
        let digits = at + MARK.len()..at + MARK.len() + DIGITS;
        let hash = text.get(digits.clone()).is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if hash {
            text.replace_range(at..digits.end, HIDDEN);
            from = at + HIDDEN.len();
        } else {
            from = digits.start;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn hashes_and_nothing_else_are_hidden() {
        let check = |given: &str, expected: &str| {
            let mut text = given.to_owned();
            super::text(&mut text);
            assert_eq!(text, expected);
        };
        check("--token=hmac:0123456789abcdef,hmac:fedcba9876543210", "--token=(hidden),(hidden)");
        check("hmac:0123", "hmac:0123");
        check("hmac:0123456789abcdeü", "hmac:0123456789abcdeü");
    }
}
