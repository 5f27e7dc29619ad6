/// Where no precision is given, numbers from 10 to this power are written as scientific.
const LIMIT: i32 = 6;

/// The shorter of plain and scientific, as `%g`: scientific below 10⁻⁴ and from 10 to the power of the precision.
pub(super) fn general(float: f64, precision: Option<usize>, upper: bool) -> String {
    let least = precision.map(|digits| digits.max(1));
    let scientific_form = match least {
        Some(digits) => format!("{float:.*e}", digits - 1),
        None => format!("{float:e}"),
    };
    let (mantissa, exponent) = scientific_form.split_once('e').unwrap_or((&scientific_form, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = least.and_then(|digits| i32::try_from(digits).ok()).unwrap_or(LIMIT);
    if exponent < -4 || exponent >= limit {
        return power(trim(mantissa), exponent, upper);
    }
    match least {
        Some(digits) => {
            let decimals = i32::try_from(digits).unwrap_or(i32::MAX).saturating_sub(1).saturating_sub(exponent).max(0);
            trim(&format!("{float:.*}", usize::try_from(decimals).unwrap_or(0))).to_owned()
        }
        None => float.to_string(),
    }
}

/// As `%e`.
pub(super) fn scientific(float: f64, precision: Option<usize>, upper: bool) -> String {
    let written = match precision {
        Some(digits) => format!("{float:.digits$e}"),
        None => format!("{float:e}"),
    };
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    power(mantissa, exponent.parse().unwrap_or(0), upper)
}

fn power(mantissa: &str, exponent: i32, upper: bool) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{}{sign}{:02}", if upper { 'E' } else { 'e' }, exponent.unsigned_abs())
}

fn trim(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}
