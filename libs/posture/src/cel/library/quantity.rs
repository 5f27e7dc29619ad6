use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::{Call, Form, Native, Opaque};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// Decimal places that a quantity has; a finer one is rounded away from zero.
const PLACES: i32 = 9;
/// Largest exponent that is taken: what is larger is no amount of anything.
const LARGEST_EXPONENT: i64 = 4096;
/// Longest text in bytes that is taken.
const LONGEST: usize = 512;
/// Decimal digits of which Kubernetes keeps a decimal number as a scaled integer, and those for a binary one.
const DECIMAL_DIGITS: i64 = 18;
const BINARY_DIGITS: i64 = 15;

/// An amount, exactly, as Kubernetes' `resource.Quantity` has it.
#[derive(Debug, Clone)]
pub(crate) struct Quantity {
    nanos: BigInt,
    /// The integer and its power of ten, where Kubernetes keeps one: only then can a quantity be an integer.
    scaled: Option<(i64, i32)>,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

/// Quantities.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Function, "quantity", 1) => quantity,
        (Form::Function, "isQuantity", 1) => is_quantity,
        (Form::Method, "isInteger", 1) => |call, args| Ok(Val::Bool(this(call, &args[0])?.integer().is_some())),
        (Form::Method, "asInteger", 1) => as_integer,
        (Form::Method, "asApproximateFloat", 1) => |call, args| Ok(Val::Double(this(call, &args[0])?.float())),
        (Form::Method, "sign", 1) => sign,
        (Form::Method, "add", 2) => |call, args| combine(call, args, 1),
        (Form::Method, "sub", 2) => |call, args| combine(call, args, -1),
        (Form::Method, "isLessThan", 2) => |call, args| Ok(Val::Bool(compare(call, args)? == Ordering::Less)),
        (Form::Method, "isGreaterThan", 2) => |call, args| Ok(Val::Bool(compare(call, args)? == Ordering::Greater)),
        (Form::Method, "compareTo", 2) => |call, args| Ok(Val::Int(compare(call, args)? as i64)),
        _ => return None,
    })
}

impl Quantity {
    fn of_int(int: i64) -> Self {
        Self { nanos: scale(BigInt::from(int), PLACES), scaled: Some((int, 0)) }
    }

    /// Reads a quantity: a decimal number and a suffix or an exponent.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let rest = rest.trim_start_matches('0');
        let (whole, rest) = digits(rest);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
        let whole = if whole.is_empty() { "0" } else { whole };
        let suffix = Suffix::parse(suffix)?;
        let shifted: BigInt = format!("{whole}{fraction}").parse().ok()?;
        let (whole, fraction) = (i64::try_from(whole.len()).ok()?, i64::try_from(fraction.len()).ok()?);
        let sign = if negative { -1 } else { 1 };
        let (exponent, binary) = match suffix {
            Suffix::Decimal(exponent) => (exponent - fraction, 0),
            Suffix::Binary(power) => (-fraction, power),
        };
        let exponent = i32::try_from(exponent).ok()?;
        let number = (shifted << binary) * sign;
        let scaled = match suffix {
            _ if exponent < -PLACES => None,
            Suffix::Decimal(_) if whole + fraction <= DECIMAL_DIGITS => i64::try_from(&number).ok(),
            Suffix::Binary(power) if fraction == 0 && whole < BINARY_DIGITS - i64::from(power) * 3 / 10 => {
                i64::try_from(&number).ok()
            }
            _ => None,
        };
        let mut nanos = scale(number, exponent + PLACES);
        if let Suffix::Binary(_) = suffix {
            // Kubernetes caps what has a binary suffix, and nothing else.
            let most = scale(BigInt::from(i64::MAX), PLACES);
            nanos = nanos.clamp(-&most, most);
        }
        Some(Self { nanos, scaled: scaled.map(|number| (number, exponent)) })
    }

    fn integer(&self) -> Option<i64> {
        let (number, exponent) = self.scaled?;
        10_i64.checked_pow(u32::try_from(exponent).ok()?).and_then(|power| number.checked_mul(power)).or({
            // Zero stays zero, however large the power.
            if number == 0 && exponent > 0 { Some(0) } else { None }
        })
    }

    fn float(&self) -> f64 {
        let (number, exponent) = match self.scaled {
            Some((number, exponent)) => (number as f64, exponent),
            None => (self.nanos.to_string().parse().unwrap_or(f64::NAN), -PLACES),
        };
        // Parsed, so that the power is the nearest one.
        if exponent == 0 { number } else { number * format!("1e{exponent}").parse::<f64>().unwrap_or(f64::INFINITY) }
    }

    /// The sum with `other` taken `sign` times.
    fn plus(&self, other: &Self, sign: i64) -> Self {
        let scaled = self.scaled.zip(other.scaled).and_then(|(this, (number, exponent))| {
            let other = (number.checked_mul(sign)?, exponent);
            match (this.0, other.0) {
                (_, 0) => Some(this),
                (0, _) => Some(other),
                _ => {
                    let exponent = this.1.min(other.1);
                    Some((rescale(this, exponent)?.checked_add(rescale(other, exponent)?)?, exponent))
                }
            }
        });
        Self { nanos: &self.nanos + &other.nanos * sign, scaled }
    }
}

/// A scaled integer with a smaller exponent.
fn rescale((number, from): (i64, i32), to: i32) -> Option<i64> {
    number.checked_mul(10_i64.checked_pow(u32::try_from(from - to).ok()?)?)
}

/// Times a power of ten; what a negative one cuts off counts as one.
fn scale(number: BigInt, exponent: i32) -> BigInt {
    let power = BigInt::from(10).pow(exponent.unsigned_abs());
    if exponent >= 0 {
        return number * power;
    }
    let (quotient, remainder) = (&number / &power, &number % &power);
    match remainder.sign() {
        Sign::NoSign => quotient,
        Sign::Plus => quotient + 1,
        Sign::Minus => quotient - 1,
    }
}

/// The digits that a text begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[derive(Clone, Copy)]
enum Suffix {
    /// A power of ten.
    Decimal(i64),
    /// A power of two.
    Binary(u16),
}

impl Suffix {
    fn parse(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "" => Self::Decimal(0),
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            _ => {
                let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
                // However small, it is rounded up to a billionth.
                let exponent = exponent.max(-LARGEST_EXPONENT);
                Self::Decimal(Some(exponent).filter(|exponent| *exponent <= LARGEST_EXPONENT)?)
            }
        })
    }
}

fn quantity<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let quantity = Quantity::parse(call.text(&args[0])?).ok_or_else(|| call.fail(ErrorKind::Conversion))?;
    Ok(Val::Opaque(Opaque::Quantity(quantity.into())))
}

fn is_quantity<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Bool(Quantity::parse(call.text(&args[0])?).is_some()))
}

fn this<'v>(call: &Call<'_, '_>, value: &'v Val<'_>) -> Result<&'v Quantity, EvalError> {
    match value {
        Val::Opaque(Opaque::Quantity(quantity)) => Ok(quantity),
        _ => Err(call.no_overload()),
    }
}

fn as_integer<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    this(call, &args[0])?.integer().map(Val::Int).ok_or_else(|| call.fail(ErrorKind::Conversion))
}

fn sign<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Int(match this(call, &args[0])?.nanos.sign() {
        Sign::Minus => -1,
        Sign::NoSign => 0,
        Sign::Plus => 1,
    }))
}

fn combine<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], sign: i64) -> Outcome<'a> {
    let quantity = this(call, &args[0])?;
    let sum = match &args[1] {
        Val::Int(int) => quantity.plus(&Quantity::of_int(*int), sign),
        other => quantity.plus(this(call, other)?, sign),
    };
    Ok(Val::Opaque(Opaque::Quantity(sum.into())))
}

/// The order of two quantities, or of two versions: the methods have the same names.
fn compare<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Result<Ordering, EvalError> {
    match (&args[0], &args[1]) {
        (Val::Opaque(Opaque::Quantity(a)), Val::Opaque(Opaque::Quantity(b))) => Ok(a.nanos.cmp(&b.nanos)),
        (Val::Opaque(Opaque::Semver(a)), Val::Opaque(Opaque::Semver(b))) => Ok(a.order(b)),
        _ => Err(call.no_overload()),
    }
}
