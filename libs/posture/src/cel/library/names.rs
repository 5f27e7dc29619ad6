//! The names that Kubernetes takes. Each function tells what is wrong with one.

const LABEL: usize = 63;
const SUBDOMAIN: usize = 253;

pub(super) fn dns1123_label(text: &str) -> Vec<String> {
    let mut problems = too_long(text, LABEL);
    if !is_label(text) {
        problems.push("a label has lower-case letters, digits and '-', and a letter or digit at either end".to_owned());
    }
    problems
}

pub(super) fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut problems = too_long(text, SUBDOMAIN);
    if !text.split('.').all(is_label) {
        problems
            .push("a subdomain has labels of lower-case letters, digits and '-', with dots between them".to_owned());
    }
    problems
}

pub(super) fn dns1035_label(text: &str) -> Vec<String> {
    let mut problems = too_long(text, LABEL);
    if !is_label(text) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        problems.push("a label has lower-case letters, digits and '-', a letter first, and no '-' last".to_owned());
    }
    problems
}

pub(super) fn qualified_name(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match text.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            return vec!["a qualified name has one '/' at most, after a subdomain".to_owned()];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                problems.push("the prefix is empty".to_owned());
            } else {
                problems.extend(dns1123_subdomain(prefix).into_iter().map(|problem| format!("the prefix: {problem}")));
            }
            name
        }
        None => text,
    };
    if name.is_empty() {
        problems.push("the name is empty".to_owned());
    }
    problems.extend(too_long(name, LABEL));
    if !is_name(name) {
        problems.push("the name has letters, digits, '-', '_' and '.', and a letter or digit at either end".to_owned());
    }
    problems
}

pub(super) fn label_value(text: &str) -> Vec<String> {
    let mut problems = too_long(text, LABEL);
    if !text.is_empty() && !is_name(text) {
        problems.push("a value has letters, digits, '-', '_' and '.', and a letter or digit at either end".to_owned());
    }
    problems
}

/// A prefix as if something followed it: a hyphen at its end is no fault.
pub(super) fn completed(prefix: &str) -> String {
    match prefix.len().checked_sub(2) {
        Some(end) if prefix.ends_with('-') => {
            let kept = prefix.char_indices().map(|(at, _)| at).take_while(|at| *at <= end).last().unwrap_or(0);
            format!("{}a", &prefix[..kept])
        }
        _ => prefix.to_owned(),
    }
}

fn too_long(text: &str, most: usize) -> Vec<String> {
    if text.len() > most { vec![format!("longer than {most} bytes")] } else { Vec::new() }
}

fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let end = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.bytes().all(inner) && end(text.bytes().next()) && end(text.bytes().last())
}
