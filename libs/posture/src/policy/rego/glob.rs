//! `glob.match` as Gatekeeper's engine does it: one star stays between delimiters, two cross them wherever they stand.

use std::iter::Peekable;
use std::str::Chars;

use regorus::Value;

use crate::cel::{Syntax, with_pattern};

/// Patterns of more bytes are not followed.
const MAX_PATTERN: usize = 4096;

/// Whether a pattern matches all of a text. Null stands for no delimiters, an empty list for the dot. Nothing where the
/// pattern is malformed or too long.
pub(super) fn matches(pattern: &Value, delimiters: &Value, text: &Value) -> Option<Value> {
    let (pattern, text) = (pattern.as_string().ok()?, text.as_string().ok()?);
    let delimiters: Vec<char> = match delimiters {
        Value::Null => Vec::new(),
        Value::Array(items) if items.iter().next().is_none() => vec!['.'],
        Value::Array(items) => items.iter().map(character).collect::<Option<_>>()?,
        _ => return None,
    };
    let regex = translate(pattern, &delimiters)?;
    with_pattern(&regex, Syntax::Own, |regex| Value::from(regex.is_match(text)))
}

fn character(value: &Value) -> Option<char> {
    let mut characters = value.as_string().ok()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// The regular expression for a pattern.
fn translate(pattern: &str, delimiters: &[char]) -> Option<String> {
    if pattern.len() > MAX_PATTERN {
        return None;
    }
    let other = match delimiters {
        [] => ".".to_owned(),
        listed => format!("[^{}]", listed.iter().map(|one| literal(*one)).collect::<String>()),
    };
    let mut regex = String::from(r"(?s)\A");
    let mut open = 0_usize;
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => regex.push_str(".*"),
            '*' => {
                regex.push_str(&other);
                regex.push('*');
            }
            '?' => regex.push_str(&other),
            '[' => regex.push_str(&class(&mut rest)?),
            '{' => {
                open += 1;
                regex.push_str("(?:");
            }
            ',' if open > 0 => regex.push('|'),
            '}' if open > 0 => {
                open -= 1;
                regex.push(')');
            }
            '\\' => regex.extend(rest.next().map(literal)),
            other => regex.push_str(&literal(other)),
        }
    }
    regex.push_str(&")".repeat(open));
    regex.push_str(r"\z");
    Some(regex)
}

/// The characters in square brackets: one span, or a list. Delimiters are among them like any other.
fn class(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let sign = if rest.next_if_eq(&'!').is_some() { "^" } else { "" };
    let mut ahead = rest.clone();
    if let (Some(low), Some('-')) = (ahead.next(), ahead.next()) {
        let high = ahead.next().filter(|high| low <= *high)?;
        ahead.next().filter(|end| *end == ']')?;
        *rest = ahead;
        return Some(format!("[{sign}{}-{}]", literal(low), literal(high)));
    }
    let mut listed = String::new();
    loop {
        match rest.next()? {
            ']' => break,
            '\\' => listed.push_str(&literal(rest.next()?)),
            other => listed.push_str(&literal(other)),
        }
    }
    (!listed.is_empty()).then(|| format!("[{sign}{listed}]"))
}

/// A character as a regular expression, within brackets too.
fn literal(character: char) -> String {
    format!("\\x{{{:x}}}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, delimiters: &str, text: &str, expected: Option<bool>) {
        let delimiters = Value::from_json_str(delimiters).unwrap();
        let said = matches(&Value::from(pattern), &delimiters, &Value::from(text));
        assert_eq!(said, expected.map(Value::from), "{pattern} {text}");
    }

    #[test]
    fn stars_and_delimiters() {
        check("*.example.com", "[]", "api.example.com", Some(true));
        check("*.example.com", "[]", "v1.api.example.com", Some(false));
        check("*.example.com", "null", "v1.api.example.com", Some(true));
        check("**.example.com", "[]", "v1.api.example.com", Some(true));
        check("*.svc**", "[]", "a.svc.cluster.local", Some(true));
        check("a/**/z*", r#"["/"]"#, "a/b/c/z.y", Some(true));
        check("a/*/z", r#"["/"]"#, "a/b/c/z", Some(false));
        check("a?c", "[]", "a.c", Some(false));
        check("a:*", r#"["/", ":"]"#, "a:b:c", Some(false));
        check("*", "null", "two\nlines", Some(true));
        check("a", "null", "ab", Some(false));
    }

    #[test]
    fn lists_and_spans() {
        check("{api,www}.*", "[]", "www.org", Some(true));
        check("{api,www}.*", "[]", "ftp.org", Some(false));
        check("{a{b,c},d}", "[]", "ac", Some(true));
        check("a,b}", "[]", "a,b}", Some(true));
        check("[abc]x[!0-9]", "[]", "bx.", Some(true));
        check("[a-c]", "[]", "d", Some(false));
        check(r"\*\{", "[]", "*{", Some(true));
        check("(a|b)+", "null", "(a|b)+", Some(true));
    }

    #[test]
    fn what_is_malformed_is_undefined() {
        check("[a", "[]", "a", None);
        check("[z-a]", "[]", "a", None);
        check("a", r#"["ab"]"#, "a", None);
        check("a", "3", "a", None);
        check(&"?".repeat(MAX_PATTERN + 1), "null", "a", None);
    }
}
