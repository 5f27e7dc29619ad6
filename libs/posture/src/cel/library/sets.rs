use super::{Call, Form, Native};
use crate::cel::error::EvalError;
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// Lists as sets.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::In("sets"), "contains", 2) => contains,
        (Form::In("sets"), "equivalent", 2) => equivalent,
        (Form::In("sets"), "intersects", 2) => intersects,
        _ => return None,
    })
}

fn contains<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    covers(call, &args[0], &args[1]).map(Val::Bool)
}

fn equivalent<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Bool(covers(call, &args[0], &args[1])? && covers(call, &args[1], &args[0])?))
}

fn intersects<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let (list, items) = (call.items(&args[0])?, call.items(&args[1])?);
    for item in &items {
        if has(call, &list, item)? {
            return Ok(Val::Bool(true));
        }
    }
    Ok(Val::Bool(false))
}

/// Whether every item of `items` is in `list`.
fn covers<'a>(call: &Call<'_, 'a>, list: &Val<'a>, items: &Val<'a>) -> Result<bool, EvalError> {
    let (list, items) = (call.items(list)?, call.items(items)?);
    for item in &items {
        if !has(call, &list, item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has<'a>(call: &Call<'_, 'a>, list: &[Val<'a>], item: &Val<'a>) -> Result<bool, EvalError> {
    for known in list {
        if call.equal(known, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
