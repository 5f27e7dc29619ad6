//! Floating-point numbers as Go prints them.

/// The shortest text that reads back as the number; an exponent for the very small and for a million and more.
pub(super) fn general(number: f64) -> String {
    if let Some(text) = special(number) {
        return text;
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// With six digits after the point.
pub(super) fn plain(number: f64) -> String {
    special(number).unwrap_or_else(|| format!("{number:.6}"))
}

/// As American English writes it: that many digits after the point, thousands set apart.
pub(super) fn grouped(number: f64, digits: usize) -> String {
    if let Some(text) = local(number) {
        return text;
    }
    let text = format!("{number:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((&*text, None), |(whole, fraction)| (whole, Some(fraction)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.extend([".", fraction]);
    }
    grouped
}

/// As American English writes a power of ten: `2.718280 × 10⁰⁰`.
pub(super) fn power_of_ten(number: f64) -> String {
    if let Some(text) = local(number) {
        return text;
    }
    let text = format!("{number:.6e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |digits| ("\u{207b}", digits));
    let raised = format!("{digits:0>2}");
    let raised = raised.bytes().map(|digit| RAISED[usize::from(digit - b'0') % 10]);
    format!("{mantissa}\u{202f}\u{d7}\u{202f}10{sign}{}", raised.collect::<String>())
}

const RAISED: [char; 10] =
    ['\u{2070}', '\u{b9}', '\u{b2}', '\u{b3}', '\u{2074}', '\u{2075}', '\u{2076}', '\u{2077}', '\u{2078}', '\u{2079}'];

fn local(number: f64) -> Option<String> {
    let text = if number.is_nan() {
        "NaN"
    } else if number == f64::INFINITY {
        "\u{221e}"
    } else if number == f64::NEG_INFINITY {
        "-\u{221e}"
    } else {
        return None;
    };
    Some(text.to_owned())
}

fn special(number: f64) -> Option<String> {
    if number.is_nan() {
        return Some("NaN".to_owned());
    }
    number.is_infinite().then(|| if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() })
}
