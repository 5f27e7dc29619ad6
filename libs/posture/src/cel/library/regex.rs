use super::{Call, Form, Native};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::patterns;
use crate::cel::value::Val;

/// What of a text matches a pattern.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Method, "find", 2) => first,
        (Form::Method, "findAll", 2 | 3) => all,
        _ => return None,
    })
}

fn first<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(matches(call, args, 1)?.into_iter().next().unwrap_or(Val::text("")))
}

fn all<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let limit = match args.get(2) {
        None => usize::MAX,
        Some(Val::Int(limit)) => usize::try_from(*limit).unwrap_or(usize::MAX),
        Some(_) => return Err(call.no_overload()),
    };
    Ok(Val::List(matches(call, args, limit)?.into()))
}

fn matches<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], limit: usize) -> Result<Vec<Val<'a>>, EvalError> {
    let (text, pattern) = (call.text(&args[0])?, call.text(&args[1])?);
    call.charge(200 + pattern.len() + text.len())?;
    let found = patterns::with(pattern, call.run.syntax(), |regex| {
        regex.find_iter(text).take(limit).map(|found| Val::owned(found.as_str())).collect()
    });
    found.ok_or_else(|| call.fail(ErrorKind::Pattern))
}
