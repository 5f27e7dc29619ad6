use std::cmp::Ordering;

use super::{Call, Form, Native};
use crate::cel::compare::order;
use crate::cel::error::ErrorKind;
use crate::cel::eval::Outcome;
use crate::cel::ir::Binary;
use crate::cel::value::Val;

/// Lists: order, sums, positions, parts.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Method, "isSorted", 1) => is_sorted,
        (Form::Method, "sum", 1) => sum,
        (Form::Method, "min", 1) => min,
        (Form::Method, "max", 1) => max,
        (Form::Method, "indexOf", 2 | 3) => index_of,
        (Form::Method, "lastIndexOf", 2 | 3) => last_index_of,
        (Form::Method, "slice", 3) => slice,
        (Form::Method, "flatten", 1 | 2) => flatten,
        (Form::Method, "first", 1) => first,
        (Form::Method, "last", 1) => last,
        (Form::Method, "unwrapOpt", 1) => unwrap,
        (Form::In("lists"), "range", 1) => range,
        _ => return None,
    })
}

fn is_sorted<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    for pair in call.items(&args[0])?.windows(2) {
        if order(&pair[0], &pair[1], call.node)? == Ordering::Greater {
            return Ok(Val::Bool(false));
        }
    }
    Ok(Val::Bool(true))
}

fn sum<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let mut items = call.items(&args[0])?.into_iter();
    let Some(first) = items.next() else { return Ok(Val::Int(0)) };
    if !matches!(first, Val::Int(_) | Val::Uint(_) | Val::Double(_) | Val::Duration(_)) {
        return Err(call.no_overload());
    }
    items.try_fold(first, |sum, item| call.run.binary(Binary::Add, &sum, &item, call.node))
}

fn min<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    extreme(call, &args[0], Ordering::Less)
}

fn max<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    extreme(call, &args[0], Ordering::Greater)
}

pub(super) fn extreme<'a>(call: &Call<'_, 'a>, list: &Val<'a>, wanted: Ordering) -> Outcome<'a> {
    let mut items = call.items(list)?.into_iter();
    let mut best = items.next().ok_or_else(|| call.fail(ErrorKind::OutOfRange))?;
    for item in items {
        if order(&item, &best, call.node)? == wanted {
            best = item;
        }
    }
    Ok(best)
}

fn index_of<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    if !args[0].is_list() {
        return super::text::index_of(call, args);
    }
    let [list, item] = args else { return Err(call.no_overload()) };
    position(call, call.items(list)?.iter().enumerate(), item)
}

fn last_index_of<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    if !args[0].is_list() {
        return super::text::last_index_of(call, args);
    }
    let [list, item] = args else { return Err(call.no_overload()) };
    position(call, call.items(list)?.iter().enumerate().rev(), item)
}

fn position<'a, 'v>(
    call: &Call<'_, 'a>,
    items: impl Iterator<Item = (usize, &'v Val<'a>)>,
    wanted: &Val<'a>,
) -> Outcome<'a>
where
    'a: 'v,
{
    for (index, item) in items {
        if call.equal(item, wanted)? {
            return Ok(Val::Int(index as i64));
        }
    }
    Ok(Val::Int(-1))
}

fn slice<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let (Val::Int(start), Val::Int(end)) = (&args[1], &args[2]) else { return Err(call.no_overload()) };
    let items = call.items(&args[0])?;
    let part = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
    let part = part.and_then(|(start, end)| items.get(start..end));
    part.map(|part| Val::List(part.into())).ok_or_else(|| call.fail(ErrorKind::OutOfRange))
}

fn flatten<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let depth = match args.get(1) {
        None => 1,
        Some(Val::Int(depth)) => u16::try_from(*depth).map_err(|_| call.fail(ErrorKind::OutOfRange))?,
        Some(_) => return Err(call.no_overload()),
    };
    let mut items = call.items(&args[0])?;
    for _ in 0..depth {
        if !items.iter().any(Val::is_list) {
            break;
        }
        let mut flat = Vec::new();
        for item in items {
            if item.is_list() { flat.extend(call.items(&item)?) } else { flat.push(item) }
        }
        items = flat;
    }
    Ok(Val::List(items.into()))
}

fn first<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    args[0].list_len().ok_or_else(|| call.no_overload())?;
    Ok(args[0].item(0).map_or(Val::NONE, Val::some))
}

fn last<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let length = args[0].list_len().ok_or_else(|| call.no_overload())?;
    Ok(length.checked_sub(1).and_then(|index| args[0].item(index)).map_or(Val::NONE, Val::some))
}

/// The values of the optionals that have one.
fn unwrap<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let mut values = Vec::new();
    for item in call.items(&args[0])? {
        let Val::Optional(inner) = item else { return Err(call.no_overload()) };
        values.extend(inner.map(|value| (*value).clone()));
    }
    Ok(Val::List(values.into()))
}

fn range<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let Val::Int(length) = args[0] else { return Err(call.no_overload()) };
    call.charge(usize::try_from(length).unwrap_or(0))?;
    Ok(Val::List((0..length).map(Val::Int).collect()))
}

/// `reverse` of a list.
pub(super) fn reverse<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::List(call.items(&args[0])?.into_iter().rev().collect()))
}
