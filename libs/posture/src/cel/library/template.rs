//! `'…'.format([…])`: a text with places for values.

use std::fmt::Write;

use super::{Call, convert, numbers};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// Most digits after the point that a place may ask for.
const MOST_DIGITS: usize = 1000;

pub(super) fn format<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let template = call.text(&args[0])?;
    let mut values = call.items(&args[1])?.into_iter();
    let mut text = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut digits = None;
        if rest.next_if_eq(&'.').is_some() {
            let mut count = String::new();
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                count.push(digit);
            }
            digits = count.parse().ok().filter(|count| *count <= MOST_DIGITS);
            digits.ok_or_else(|| call.fail(ErrorKind::Conversion))?;
        }
        match rest.next() {
            Some('%') if digits.is_none() => text.push('%'),
            Some(verb) => {
                let value = values.next().ok_or_else(|| call.fail(ErrorKind::OutOfRange))?;
                let before = text.len();
                place(call, verb, digits, &value, &mut text)?;
                call.charge((text.len() - before) / 16)?;
            }
            None => return Err(call.fail(ErrorKind::Conversion)),
        }
    }
    Ok(Val::owned(text))
}

fn place<'a>(
    call: &Call<'_, 'a>,
    verb: char,
    digits: Option<usize>,
    value: &Val<'a>,
    text: &mut String,
) -> Result<(), EvalError> {
    let number = || match value {
        Val::Double(double) => Ok(*double),
        Val::Str(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(call.no_overload()),
        },
        _ => Err(call.no_overload()),
    };
    match verb {
        's' => string(call, value, text)?,
        'd' => match value {
            Val::Int(_) | Val::Uint(_) => string(call, value, text)?,
            _ => return Err(call.no_overload()),
        },
        'f' => text.push_str(&numbers::grouped(number()?, digits.unwrap_or(6))),
        'e' => text.push_str(&numbers::power_of_ten(number()?)),
        'b' | 'o' | 'x' | 'X' => radix(call, verb, value, text)?,
        _ => return Err(call.fail(ErrorKind::Conversion)),
    }
    Ok(())
}

fn radix<'a>(call: &Call<'_, 'a>, verb: char, value: &Val<'a>, text: &mut String) -> Result<(), EvalError> {
    let (negative, number) = match value {
        Val::Int(int) => (*int < 0, int.unsigned_abs()),
        Val::Uint(uint) => (false, *uint),
        Val::Bool(flag) if verb == 'b' => (false, u64::from(*flag)),
        Val::Str(_) | Val::Bytes(_) if matches!(verb, 'x' | 'X') => {
            let bytes = match value {
                Val::Bytes(bytes) => bytes,
                other => call.text(other)?.as_bytes(),
            };
            for byte in bytes {
                // Writing to a string cannot fail.
                let _ = if verb == 'x' { write!(text, "{byte:02x}") } else { write!(text, "{byte:02X}") };
            }
            return Ok(());
        }
        _ => return Err(call.no_overload()),
    };
    if negative {
        text.push('-');
    }
    let _ = match verb {
        'b' => write!(text, "{number:b}"),
        'o' => write!(text, "{number:o}"),
        'x' => write!(text, "{number:x}"),
        _ => write!(text, "{number:X}"),
    };
    Ok(())
}

/// Any value, as people read it.
fn string<'a>(call: &Call<'_, 'a>, value: &Val<'a>, text: &mut String) -> Result<(), EvalError> {
    match value {
        Val::Null => text.push_str("null"),
        Val::Type(name) => text.push_str(name),
        _ if value.is_list() || value.map_len().is_some() => nested(call, value, text)?,
        Val::Opaque(_) => return Err(call.no_overload()),
        _ => text.push_str(call.text(&convert::string(call, std::slice::from_ref(value))?)?),
    }
    Ok(())
}

/// A value in a list or map: as it is written in an expression.
fn nested<'a>(call: &Call<'_, 'a>, value: &Val<'a>, text: &mut String) -> Result<(), EvalError> {
    call.charge(1)?;
    if value.is_list() {
        text.push('[');
        for (index, item) in call.items(value)?.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            nested(call, item, text)?;
        }
        text.push(']');
        return Ok(());
    }
    if let Some(keys) = value.keys() {
        let mut entries = Vec::new();
        for key in keys {
            let item = call.run.entry(value, &key, call.node)?.ok_or_else(|| call.no_overload())?;
            let (mut name, mut entry) = (String::new(), String::new());
            nested(call, &key, &mut name)?;
            nested(call, &item, &mut entry)?;
            entries.push((name, entry));
        }
        entries.sort_unstable();
        let entries: Vec<_> = entries.iter().map(|(name, entry)| format!("{name}:{entry}")).collect();
        text.extend(["{", &entries.join(", "), "}"]);
        return Ok(());
    }
    let mut inner = String::new();
    match value {
        Val::Double(double) if double.is_finite() => inner = numbers::plain(*double),
        Val::Double(double) => inner = format!("{:?}", numbers::plain(*double)),
        _ => string(call, value, &mut inner)?,
    }
    // Writing to a string cannot fail.
    let _ = match value {
        Val::Str(_) => write!(text, "{inner:?}"),
        Val::Bytes(_) => write!(text, "b{inner:?}"),
        Val::Timestamp(_) => write!(text, "timestamp({inner:?})"),
        Val::Duration(_) => write!(text, "duration({inner:?})"),
        _ => text.write_str(&inner),
    };
    Ok(())
}
