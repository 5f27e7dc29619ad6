use super::{Call, Form, Native, lists, template};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::ir::Function;
use crate::cel::value::Val;

/// The string functions that the language itself lacks.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Method, "format", 2) => template::format,
        (Form::Method, "reverse", 1) => reverse,
        (Form::In("strings"), "quote", 1) => quote,
        (Form::In("jsonpatch"), "escapeKey", 1) => escape_key,
        _ => return None,
    })
}

fn reverse<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    match args[0].as_str() {
        Some(text) => Ok(Val::owned(text.chars().rev().collect::<String>())),
        None => lists::reverse(call, args),
    }
}

fn quote<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let mut quoted = String::from('"');
    for c in call.text(&args[0])?.chars() {
        match c {
            '\u{07}' => quoted.push_str(r"\a"),
            '\u{08}' => quoted.push_str(r"\b"),
            '\u{0c}' => quoted.push_str(r"\f"),
            '\n' => quoted.push_str(r"\n"),
            '\r' => quoted.push_str(r"\r"),
            '\t' => quoted.push_str(r"\t"),
            '\u{0b}' => quoted.push_str(r"\v"),
            '\\' => quoted.push_str(r"\\"),
            '"' => quoted.push_str("\\\""),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(Val::owned(quoted))
}

fn escape_key<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::owned(call.text(&args[0])?.replace('~', "~0").replace('/', "~1")))
}

/// `indexOf` of a text, perhaps from an offset in code points.
pub(super) fn index_of<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let [this, wanted, from] = args else { return call.core(Function::IndexOf, args) };
    let Search { text, wanted, from } = search(call, this, wanted, from)?;
    if wanted.is_empty() {
        return Ok(Val::Int(from as i64));
    }
    let found = text.windows(wanted.len()).enumerate().skip(from).find(|(_, part)| *part == wanted);
    Ok(Val::Int(found.map_or(-1, |(index, _)| index as i64)))
}

/// `lastIndexOf` of a text, perhaps up to an offset in code points.
pub(super) fn last_index_of<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let [this, wanted, from] = args else { return call.core(Function::LastIndexOf, args) };
    let Search { text, wanted, from } = search(call, this, wanted, from)?;
    if wanted.is_empty() {
        return Ok(Val::Int(from as i64));
    }
    if from >= text.len() {
        return Ok(Val::Int(-1));
    }
    let found = text.windows(wanted.len()).take(from + 1).rposition(|part| part == wanted);
    Ok(Val::Int(found.map_or(-1, |index| index as i64)))
}

struct Search {
    text: Vec<char>,
    wanted: Vec<char>,
    from: usize,
}

fn search<'a>(call: &Call<'_, 'a>, text: &Val<'a>, wanted: &Val<'a>, from: &Val<'a>) -> Result<Search, EvalError> {
    let Val::Int(from) = from else { return Err(call.no_overload()) };
    Ok(Search {
        text: call.text(text)?.chars().collect(),
        wanted: call.text(wanted)?.chars().collect(),
        from: usize::try_from(*from).map_err(|_| call.fail(ErrorKind::OutOfRange))?,
    })
}
