//! Kubernetes' quantities, such as the limits of containers: `500m`, `1.5`, `64Mi`, `1e3`.

use super::error::ErrorKind;
use super::eval::{Outcome, error};
use super::ir::Node;
use super::value::Val;

/// The number that a quantity stands for; numbers stand for themselves.
pub(super) fn convert<'a>(value: &Val<'a>, node: &Node) -> Outcome<'a> {
    match value {
        Val::Int(int) => Ok(Val::Double(*int as f64)),
        Val::Uint(uint) => Ok(Val::Double(*uint as f64)),
        Val::Double(_) => Ok(value.clone()),
        Val::Str(text) => parse(text.as_str()).map(Val::Double).ok_or_else(|| error(node, ErrorKind::Conversion)),
        _ => Err(error(node, ErrorKind::NoSuchOverload)),
    }
}

/// `None` where the text is no quantity.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_f64.powi(power)
        }
    };
    let number: f64 = number.parse().ok()?;
    Some(number * scale).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn quantities_are_numbers_with_a_suffix() {
        let cases = [
            ("500m", 0.5),
            ("2", 2.0),
            ("1.5", 1.5),
            ("-1", -1.0),
            ("64Mi", 67_108_864.0),
            ("1Gi", 1_073_741_824.0),
            ("1G", 1e9),
            ("1E", 1e18),
            ("1e3", 1000.0),
            ("1E3", 1000.0),
            ("1e-2", 0.01),
            ("100u", 1e-4),
        ];
        for (text, value) in cases {
            assert!(parse(text).is_some_and(|found| (found - value).abs() <= value.abs() * 1e-12), "{text}");
        }
        for text in ["", "m", "1 Gi", "1Kib", "one", "1e", "--1", "1.2.3", "NaN", "inf", "1e400"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
