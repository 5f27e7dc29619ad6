//! Patterns: Gatekeeper's engine reads them as RE2, and so does the reference engine here. The fast engine reads them as
//! the `regex` crate does, which for most comes to the same.

use regorus::Value;

use super::lexer::{Class, Tokens};
use crate::cel::translate_re2;

/// Whether a module spells out a pattern that the engines read differently.
pub(super) fn need_reference(tokens: &Tokens<'_>) -> bool {
    let differs = |at: usize| tokens.string(at).is_some_and(|text| !is_portable(&text));
    starts(tokens).into_iter().any(|at| is_literal(tokens, at) && differs(at))
        || are_worked_out(tokens) && (0..tokens.len()).any(differs)
}

/// Whether a module has patterns that only evaluation tells, such as those in parameters.
pub(super) fn are_worked_out(tokens: &Tokens<'_>) -> bool {
    starts(tokens).into_iter().any(|at| !is_literal(tokens, at))
}

/// Whether the parameters hold a text that, taken for a pattern, the engines read differently.
pub(super) fn may_differ(input: &Value) -> bool {
    let Value::Object(fields) = input else { return false };
    fields.get(&Value::from("parameters")).is_some_and(holds_difference)
}

fn holds_difference(value: &Value) -> bool {
    match value {
        Value::String(text) => !is_portable(text),
        Value::Array(items) => items.iter().any(holds_difference),
        Value::Set(members) => members.iter_sorted().any(holds_difference),
        Value::Object(fields) => {
            fields.iter_sorted().any(|(key, value)| holds_difference(key) || holds_difference(value))
        }
        _ => false,
    }
}

/// Whether both engines read a pattern alike.
fn is_portable(pattern: &str) -> bool {
    translate_re2(pattern) == pattern
}

/// Where the patterns of a module's matches begin.
fn starts(tokens: &Tokens<'_>) -> Vec<usize> {
    let opens = |at: &usize| tokens.is(*at, "(") && is_match(tokens, *at - 1);
    (1..tokens.len()).filter(opens).map(|at| at + 1).collect()
}

/// Whether a token ends the name of the function that matches patterns.
fn is_match(tokens: &Tokens<'_>, name: usize) -> bool {
    let named = tokens.is_name(name) && tokens.is(name, "re_match");
    named || name >= 2 && tokens.is(name, "match") && tokens.is(name - 1, ".") && tokens.is(name - 2, "regex")
}

fn is_literal(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.list.get(at).is_some_and(|token| token.class == Class::Text) && tokens.is(at + 1, ",")
}
