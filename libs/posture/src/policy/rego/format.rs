//! `sprintf` as Gatekeeper's engine does it: that of Go, with integers, floats and strings as they are and all else as
//! text.

use std::fmt::Write as _;

use regorus::Value;

mod number;
mod verb;

/// Fills a pattern.
pub(super) fn sprintf(pattern: &str, arguments: &[Value]) -> String {
    let arguments: Vec<Argument> = arguments.iter().map(Argument::of).collect();
    let mut out = String::new();
    let mut next = 0;
    let mut reordered = false;
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (directive, length) = verb::read(&rest[at + 1..]);
        rest = &rest[at + 1 + length..];
        let Some(verb) = directive.verb else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        if let Some(position) = directive.position {
            next = position;
            reordered = true;
        }
        if let Some(argument) = arguments.get(next) {
            directive.write(verb, argument, &mut out);
        } else {
            let why = if directive.position.is_some() { "BADINDEX" } else { "MISSING" };
            let _ = write!(out, "%!{verb}({why})");
        }
        next += 1;
    }
    out.push_str(rest);
    if !reordered && next < arguments.len() {
        let extra: Vec<String> =
            arguments[next..].iter().map(|argument| format!("{}={}", argument.type_name(), argument.plain())).collect();
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

/// What Go gets to print.
#[derive(Debug, Clone, PartialEq)]
enum Argument {
    Integer(i128),
    /// Digits of an integer that is too big for anything else.
    Big(String),
    Float(f64),
    Text(String),
}

impl Argument {
    fn of(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.to_string()),
            Value::Number(number) => {
                // A big integer is written out, where the engine shortens it.
                let big = number.as_big().map(|big| big.to_string()).filter(|digits| digits.len() > 17);
                let written = big.unwrap_or_else(|| value.to_string());
                if let Ok(integer) = written.parse() {
                    Self::Integer(integer)
                } else if written.bytes().skip(usize::from(written.starts_with('-'))).all(|byte| byte.is_ascii_digit())
                {
                    Self::Big(written)
                } else {
                    written.parse().map_or(Self::Text(written), Self::Float)
                }
            }
            other => Self::Text(text(other)),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Integer(integer) if i64::try_from(*integer).is_ok() => "int",
            Self::Integer(_) | Self::Big(_) => "*big.Int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }

    /// As `%v` prints it.
    fn plain(&self) -> String {
        match self {
            Self::Integer(integer) => integer.to_string(),
            Self::Big(digits) => digits.clone(),
            Self::Float(float) => number::general(*float, None, false),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A value as Rego writes it.
pub(super) fn text(value: &Value) -> String {
    let joined = |items: &mut dyn Iterator<Item = &Value>| items.map(text).collect::<Vec<_>>().join(", ");
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", joined(&mut items.iter())),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", joined(&mut items.iter_sorted())),
        Value::Object(entries) => {
            let entries: Vec<String> =
                entries.iter_sorted().map(|(key, value)| format!("{}: {}", text(key), text(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// A string in Go's quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' || control == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(control));
            }
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, arguments: &str, expected: &str) {
        let arguments = Value::from_json_str(arguments).unwrap();
        let arguments: Vec<Value> = arguments.as_array().unwrap().iter().cloned().collect();
        assert_eq!(sprintf(pattern, &arguments), expected, "{pattern}");
    }

    #[test]
    fn values_print_as_in_go() {
        check("%v %v %v", r#"["a", 1, {"b": [true, null]}]"#, r#"a 1 {"b": [true, null]}"#);
        check("<%s> <%d> <%q>", r#"["a", 7, "say \"x\""]"#, r#"<a> <7> <"say \"x\"">"#);
        check(
            "%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c",
            "[42, 42, 42, 42, 255, 255, 8, 5, 65]",
            "   42|42   |00042|+42|ff|FF|10|101|A",
        );
        check("%.2f %8.3f %e %g %v", "[2.5, 3.14159, 1234.5, 0.00001, 2.5]", "2.50    3.142 1.234500e+03 1e-05 2.5");
        check("%5s|%-5s|%.2s|%x", r#"["ab", "ab", "abc", "hi"]"#, "   ab|ab   |ab|6869");
        check("100%% of %v", "[1]", "100% of 1");
    }

    #[test]
    fn mistakes_print_as_in_go() {
        check("%v and %v", r#"["a"]"#, "a and %!v(MISSING)");
        check("%v", r#"["a", 1]"#, "a%!(EXTRA int=1)");
        check("none", r#"["a"]"#, "none%!(EXTRA string=a)");
        check("%d", r#"["a"]"#, "%!d(string=a)");
        check("%s", "[5]", "%!s(int=5)");
        check("%s", "[2.5]", "%!s(float64=2.5)");
        check("%d", "[2.5]", "%!d(float64=2.5)");
        check("%z", "[1]", "%!z(int=1)");
        check("%", "[]", "%!(NOVERB)");
        check("%[2]v %[1]v", r#"["a", "b"]"#, "b a");
        check("%t", "[true]", "%!t(string=true)");
    }
}
