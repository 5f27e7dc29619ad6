//! RE2 patterns, written so that the `regex` crate means the same: the classes of letters are those of ASCII, and a
//! brace, a bracket in a class, or a quoted part stand for themselves where RE2 lets them.

/// The pattern in the syntax of the `regex` crate. A malformed pattern stays malformed.
pub(crate) fn translate(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\\' => escape(after, Place::Outside, &mut translated),
            '[' => class(after, &mut translated),
            '{' if !is_repetition(after) => {
                translated.push_str(r"\{");
                after
            }
            _ => {
                translated.push(c);
                after
            }
        };
    }
    translated
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Class,
}

/// What follows a backslash; gives what is left.
fn escape<'p>(rest: &'p str, place: Place, translated: &mut String) -> &'p str {
    let Some(c) = rest.chars().next() else {
        translated.push('\\');
        return rest;
    };
    let after = &rest[c.len_utf8()..];
    if c == 'Q' && place == Place::Outside {
        let (quoted, after) = after.split_once(r"\E").unwrap_or((after, ""));
        translated.push_str(&regex::escape(quoted));
        return after;
    }
    match c {
        'd' => translated.push_str("[0-9]"),
        'D' => translated.push_str("[^0-9]"),
        'w' => translated.push_str("[0-9A-Za-z_]"),
        'W' => translated.push_str("[^0-9A-Za-z_]"),
        's' => translated.push_str(r"[\t\n\f\r ]"),
        'S' => translated.push_str(r"[^\t\n\f\r ]"),
        'b' if place == Place::Outside => translated.push_str(r"(?-u:\b)"),
        'B' if place == Place::Outside => translated.push_str(r"(?-u:\B)"),
        // Elsewhere these two are the ends of a word.
        '<' | '>' => translated.push(c),
        _ => translated.extend(['\\', c]),
    }
    after
}

/// What follows the bracket that opens a class; gives what is left after the one that closes it.
fn class<'p>(rest: &'p str, translated: &mut String) -> &'p str {
    translated.push('[');
    let mut rest = rest;
    if let Some(after) = rest.strip_prefix('^') {
        translated.push('^');
        rest = after;
    }
    // A bracket in the first place does not close.
    if let Some(after) = rest.strip_prefix(']') {
        translated.push_str(r"\]");
        rest = after;
    }
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            ']' => {
                translated.push(']');
                return after;
            }
            '\\' => escape(after, Place::Class, translated),
            '[' => {
                let named = named(rest).unwrap_or(0);
                translated.push_str(if named == 0 { r"\[" } else { &rest[..named] });
                &rest[named.max(1)..]
            }
            // Doubled, these would combine classes.
            '&' | '~' => {
                translated.extend(['\\', c]);
                after
            }
            _ => {
                translated.push(c);
                after
            }
        };
    }
    rest
}

/// Length of a class such as `[:alpha:]` that the text begins with.
fn named(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("[:")?;
    let length = inner.find(":]")?;
    inner[..length].chars().all(|c| c == '^' || c.is_ascii_lowercase()).then_some(length + 4)
}

/// Whether what follows a brace makes it a repetition: `3}`, `3,}` or `3,5}`.
fn is_repetition(rest: &str) -> bool {
    let Some((inner, _)) = rest.split_once('}') else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[track_caller]
    fn check(pattern: &str, matches: &[&str], differs: &[&str]) {
        let regex = regex::Regex::new(&translate(pattern)).unwrap();
        for text in matches {
            assert!(regex.is_match(text), "{pattern} and {text}");
        }
        for text in differs {
            assert!(!regex.is_match(text), "{pattern} and {text}");
        }
    }

    #[test]
    fn classes_are_those_of_ascii() {
        check(r"^\w+$", &["a_9"], &["ü", "-"]);
        check(r"^[\d\s]+$", &["1 2"], &["٣", "\u{a0}"]);
        check(r"^[^\D]$", &["7"], &["a"]);
        check(r"\bcat\b", &["a cat!", "ücatü"], &["cats"]);
        check(r"^[[:alpha:]]$", &["a"], &["ä", "1"]);
    }

    #[test]
    fn what_stands_for_itself_does_so() {
        check(r"^a{,2}$", &["a{,2}"], &["aa"]);
        check(r"^a{2}$", &["aa"], &["a"]);
        check(r"^{{x}}$", &["{{x}}"], &["x"]);
        check(r"^[[a]$", &["[", "a"], &["b"]);
        check(r"^[]a]$", &["]"], &["b"]);
        check(r"^[a&&b]$", &["&", "a", "b"], &["c"]);
        check(r"^\Qa.b\E$", &["a.b"], &["axb"]);
        check(r"^\<x\>$", &["<x>"], &["x"]);
    }

    #[test]
    fn a_malformed_pattern_stays_malformed() {
        for pattern in ["(", "[a", r"\", "(?=x)"] {
            assert!(regex::Regex::new(&translate(pattern)).is_err(), "{pattern}");
        }
    }
}
