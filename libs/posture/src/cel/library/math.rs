use std::cmp::Ordering;

use super::lists::extreme;
use super::{Call, Form, Native};
use crate::cel::error::ErrorKind;
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// Numbers.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    if form != Form::In("math") {
        return None;
    }
    Some(match (name, args) {
        ("greatest", 1..) => greatest,
        ("least", 1..) => least,
        ("ceil", 1) => |call, args| double(call, args, f64::ceil),
        ("floor", 1) => |call, args| double(call, args, f64::floor),
        ("round", 1) => |call, args| double(call, args, f64::round),
        ("trunc", 1) => |call, args| double(call, args, f64::trunc),
        ("isNaN", 1) => |call, args| test(call, args, f64::is_nan),
        ("isInf", 1) => |call, args| test(call, args, f64::is_infinite),
        ("isFinite", 1) => |call, args| test(call, args, f64::is_finite),
        ("abs", 1) => abs,
        ("sign", 1) => sign,
        ("sqrt", 1) => sqrt,
        ("bitAnd", 2) => |call, args| bits(call, args, |a, b| a & b),
        ("bitOr", 2) => |call, args| bits(call, args, |a, b| a | b),
        ("bitXor", 2) => |call, args| bits(call, args, |a, b| a ^ b),
        ("bitNot", 1) => bit_not,
        ("bitShiftLeft", 2) => |call, args| shift(call, args, u64::checked_shl),
        ("bitShiftRight", 2) => |call, args| shift(call, args, u64::checked_shr),
        _ => return None,
    })
}

fn greatest<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    best(call, args, Ordering::Greater)
}

fn least<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    best(call, args, Ordering::Less)
}

/// Of the arguments, or of the list that is the only one.
fn best<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], wanted: Ordering) -> Outcome<'a> {
    let list = match args {
        [only] if only.is_list() => only.clone(),
        _ => Val::List(args.into()),
    };
    let number = |value: &Val<'_>| matches!(value, Val::Int(_) | Val::Uint(_) | Val::Double(_));
    if !call.items(&list)?.iter().all(number) {
        return Err(call.no_overload());
    }
    extreme(call, &list, wanted)
}

fn double<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], round: fn(f64) -> f64) -> Outcome<'a> {
    let Val::Double(double) = args[0] else { return Err(call.no_overload()) };
    Ok(Val::Double(round(double)))
}

fn test<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], test: fn(f64) -> bool) -> Outcome<'a> {
    let Val::Double(double) = args[0] else { return Err(call.no_overload()) };
    Ok(Val::Bool(test(double)))
}

fn abs<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    match args[0] {
        Val::Int(int) => int.checked_abs().map(Val::Int).ok_or_else(|| call.fail(ErrorKind::Overflow)),
        Val::Uint(uint) => Ok(Val::Uint(uint)),
        Val::Double(double) => Ok(Val::Double(double.abs())),
        _ => Err(call.no_overload()),
    }
}

fn sign<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(match args[0] {
        Val::Int(int) => Val::Int(int.signum()),
        Val::Uint(uint) => Val::Uint(uint.min(1)),
        Val::Double(double) if double == 0.0 || double.is_nan() => Val::Double(double),
        Val::Double(double) => Val::Double(double.signum()),
        _ => return Err(call.no_overload()),
    })
}

fn sqrt<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Double(match args[0] {
        Val::Int(int) => (int as f64).sqrt(),
        Val::Uint(uint) => (uint as f64).sqrt(),
        Val::Double(double) => double.sqrt(),
        _ => return Err(call.no_overload()),
    }))
}

fn bits<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], combine: fn(u64, u64) -> u64) -> Outcome<'a> {
    match (&args[0], &args[1]) {
        (Val::Int(a), Val::Int(b)) => Ok(Val::Int(combine(*a as u64, *b as u64) as i64)),
        (Val::Uint(a), Val::Uint(b)) => Ok(Val::Uint(combine(*a, *b))),
        _ => Err(call.no_overload()),
    }
}

fn bit_not<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    match args[0] {
        Val::Int(int) => Ok(Val::Int(!int)),
        Val::Uint(uint) => Ok(Val::Uint(!uint)),
        _ => Err(call.no_overload()),
    }
}

/// Shifts by 64 bits or more give zero; the sign is shifted as any bit.
fn shift<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], shift: fn(u64, u32) -> Option<u64>) -> Outcome<'a> {
    let Val::Int(places) = args[1] else { return Err(call.no_overload()) };
    let places = u64::try_from(places).map_err(|_| call.fail(ErrorKind::OutOfRange))?;
    let shifted = |bits: u64| u32::try_from(places).ok().and_then(|places| shift(bits, places)).unwrap_or(0);
    match args[0] {
        Val::Int(int) => Ok(Val::Int(shifted(int as u64) as i64)),
        Val::Uint(uint) => Ok(Val::Uint(shifted(uint))),
        _ => Err(call.no_overload()),
    }
}
