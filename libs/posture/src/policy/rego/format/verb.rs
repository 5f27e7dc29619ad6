use std::fmt::Write as _;

use super::{Argument, number, quoted};

/// One directive of a pattern.
#[derive(Debug, Default)]
pub(super) struct Directive {
    flags: Vec<u8>,
    width: Option<usize>,
    precision: Option<usize>,
    /// Index of the argument that it asks for.
    pub(super) position: Option<usize>,
    /// `None` where the pattern ends before it.
    pub(super) verb: Option<char>,
}

/// A width or precision beyond this is not followed.
const MAX_WIDTH: usize = 1_000;

/// Reads what follows a percent sign, with its length.
pub(super) fn read(rest: &str) -> (Directive, usize) {
    let mut directive = Directive::default();
    let mut at = 0;
    let bytes = rest.as_bytes();
    while let Some(flag) = bytes.get(at).filter(|byte| b"+-# 0".contains(byte)) {
        directive.flags.push(*flag);
        at += 1;
    }
    at += position(&rest[at..], &mut directive);
    let (width, length) = digits(&rest[at..]);
    directive.width = width;
    at += length;
    if rest[at..].starts_with('.') {
        let (precision, length) = digits(&rest[at + 1..]);
        directive.precision = Some(precision.unwrap_or(0));
        at += 1 + length;
    }
    at += position(&rest[at..], &mut directive);
    directive.verb = rest[at..].chars().next();
    (directive, at + rest[at..].chars().next().map_or(0, char::len_utf8))
}

fn digits(rest: &str) -> (Option<usize>, usize) {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let value = rest[..length].parse().ok().map(|value: usize| value.min(MAX_WIDTH));
    (value, length)
}

fn position(rest: &str, directive: &mut Directive) -> usize {
    let Some(inner) = rest.strip_prefix('[') else { return 0 };
    let (value, length) = digits(inner);
    match value.and_then(|value| value.checked_sub(1)) {
        Some(index) if inner[length..].starts_with(']') => {
            directive.position = Some(index);
            length + 2
        }
        _ => 0,
    }
}

impl Directive {
    fn has(&self, flag: u8) -> bool {
        self.flags.contains(&flag)
    }

    /// Prints an argument.
    pub(super) fn write(&self, verb: char, argument: &Argument, out: &mut String) {
        let printed = match argument {
            Argument::Integer(integer) => self.integer(verb, *integer),
            Argument::Big(digits) => matches!(verb, 'v' | 'd' | 's').then(|| digits.clone()),
            Argument::Float(float) => self.float(verb, *float),
            Argument::Text(text) => self.string(verb, text),
        };
        let Some(printed) = printed else {
            let _ = write!(out, "%!{verb}({}={})", argument.type_name(), argument.plain());
            return;
        };
        self.pad(&printed, matches!(argument, Argument::Text(_)), out);
    }

    fn pad(&self, printed: &str, is_text: bool, out: &mut String) {
        let missing = self.width.unwrap_or(0).saturating_sub(printed.chars().count());
        if self.has(b'-') {
            out.push_str(printed);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if self.has(b'0') && !is_text {
            let (sign, digits) = printed.split_at(usize::from(printed.starts_with(['+', '-'])));
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(digits);
        } else {
            out.extend(std::iter::repeat_n(if self.has(b'0') { '0' } else { ' ' }, missing));
            out.push_str(printed);
        }
    }

    fn signed(&self, negative: bool, digits: String) -> String {
        match (negative, self.has(b'+'), self.has(b' ')) {
            (true, ..) => format!("-{digits}"),
            (_, true, _) => format!("+{digits}"),
            (_, _, true) => format!(" {digits}"),
            _ => digits,
        }
    }

    fn integer(&self, verb: char, integer: i128) -> Option<String> {
        let magnitude = integer.unsigned_abs();
        let digits = match verb {
            'v' | 'd' => magnitude.to_string(),
            's' if i64::try_from(integer).is_err() => magnitude.to_string(),
            'x' if self.has(b'#') => format!("{magnitude:#x}"),
            'x' => format!("{magnitude:x}"),
            'X' if self.has(b'#') => format!("0X{magnitude:X}"),
            'X' => format!("{magnitude:X}"),
            'o' if self.has(b'#') => format!("0{magnitude:o}"),
            'o' => format!("{magnitude:o}"),
            'O' => format!("0o{magnitude:o}"),
            'b' => format!("{magnitude:b}"),
            'U' => return Some(format!("U+{magnitude:04X}")),
            'c' | 'q' => {
                let character = u32::try_from(integer).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                return Some(if verb == 'c' { character.to_string() } else { format!("'{character}'") });
            }
            _ => return None,
        };
        let digits = match self.precision {
            Some(least) => format!("{digits:0>least$}"),
            None => digits,
        };
        Some(self.signed(integer < 0, digits))
    }

    fn float(&self, verb: char, float: f64) -> Option<String> {
        let magnitude = float.abs();
        let digits = match verb {
            'v' | 'g' | 'G' => number::general(magnitude, self.precision, verb == 'G'),
            'f' | 'F' => format!("{magnitude:.*}", self.precision.unwrap_or(6)),
            'e' | 'E' => number::scientific(magnitude, Some(self.precision.unwrap_or(6)), verb == 'E'),
            _ => return None,
        };
        Some(self.signed(float.is_sign_negative(), digits))
    }

    fn string(&self, verb: char, text: &str) -> Option<String> {
        let cut: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        match verb {
            'v' if self.has(b'#') => Some(quoted(&cut)),
            'v' | 's' => Some(cut),
            'q' => Some(quoted(&cut)),
            'x' => Some(hexadecimal(&cut)),
            'X' => Some(hexadecimal(&cut).to_uppercase()),
            _ => None,
        }
    }
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
