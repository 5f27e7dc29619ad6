use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::error::ErrorKind;
use super::eval::{Outcome, error};
use super::ir::{Function, Node};
use super::value::Val;

/// `timestamp()` and `duration()`.
pub(super) fn convert<'a>(function: Function, value: &Val<'a>, node: &Node) -> Outcome<'a> {
    let conversion = || error(node, ErrorKind::Conversion);
    match (function, value) {
        (Function::Timestamp, Val::Timestamp(_)) | (Function::Duration, Val::Duration(_)) => Ok(value.clone()),
        (Function::Timestamp, Val::Str(text)) => DateTime::parse_from_rfc3339(text.as_str())
            .map(|at| Val::Timestamp(at.with_timezone(&Utc)))
            .map_err(|_| conversion()),
        (Function::Timestamp, Val::Int(seconds)) => {
            DateTime::from_timestamp(*seconds, 0).map(Val::Timestamp).ok_or_else(conversion)
        }
        (Function::Duration, Val::Str(text)) => duration(text.as_str()).map(Val::Duration).ok_or_else(conversion),
        _ => Err(error(node, ErrorKind::NoSuchOverload)),
    }
}

/// Whether a text is what `timestamp()` or `duration()` take.
pub(super) fn spells(function: Function, text: &str) -> bool {
    match function {
        Function::Timestamp => DateTime::parse_from_rfc3339(text).is_ok(),
        _ => duration(text).is_some(),
    }
}

/// `string()` of a timestamp or duration.
pub(super) fn render<'a>(value: &Val<'a>) -> Val<'a> {
    match value {
        Val::Timestamp(at) => Val::owned(trim_fraction(&at.to_rfc3339_opts(SecondsFormat::Nanos, true), 'Z')),
        Val::Duration(duration) => {
            let (seconds, nanos) = (duration.num_seconds(), duration.subsec_nanos());
            let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:09}s", seconds.unsigned_abs(), nanos.unsigned_abs());
            Val::owned(trim_fraction(&text, 's'))
        }
        other => other.clone(),
    }
}

/// `12.500s` becomes `12.5s`, `12.000s` becomes `12s`.
fn trim_fraction(text: &str, unit: char) -> String {
    let number = text.trim_end_matches(unit).trim_end_matches('0').trim_end_matches('.');
    format!("{number}{unit}")
}

/// A duration such as `1h30m` or `-1.5s`.
fn duration(text: &str) -> Option<TimeDelta> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(TimeDelta::zero());
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum = TimeDelta::zero();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (nanos, unit) = [(1e3, "us"), (1e6, "ms"), (1.0, "ns"), (1e9, "s"), (60e9, "m"), (3600e9, "h")]
            .into_iter()
            .find(|(_, unit)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        let nanos = number * nanos;
        if nanos >= i64::MAX as f64 {
            return None;
        }
        sum = sum.checked_add(&TimeDelta::nanoseconds(nanos as i64))?;
    }
    Some(if negative { -sum } else { sum })
}
