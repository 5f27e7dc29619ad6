use std::cmp::Ordering;

use super::{Call, Form, Native, Opaque};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// A semantic version; what it was built of does not tell versions apart.
#[derive(Debug, Clone)]
pub(crate) struct Semver(::semver::Version);

impl PartialEq for Semver {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl Semver {
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

/// Versions. `isLessThan` and the like are with the quantities.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Function, "semver", 1 | 2) => semver,
        (Form::Function, "isSemver", 1 | 2) => is_semver,
        (Form::Method, "major", 1) => |call, args| number(call, args, |version| version.major),
        (Form::Method, "minor", 1) => |call, args| number(call, args, |version| version.minor),
        (Form::Method, "patch", 1) => |call, args| number(call, args, |version| version.patch),
        _ => return None,
    })
}

fn parse(call: &Call<'_, '_>, args: &[Val<'_>]) -> Result<Option<Semver>, EvalError> {
    let text = args[0].as_str().ok_or_else(|| call.no_overload())?;
    let version = match args.get(1) {
        None | Some(Val::Bool(false)) => ::semver::Version::parse(text).ok(),
        Some(Val::Bool(true)) => normalise(text).and_then(|text| ::semver::Version::parse(&text).ok()),
        Some(_) => return Err(call.no_overload()),
    };
    Ok(version.map(Semver))
}

/// Without a leading `v` and leading zeros, and with all three numbers.
fn normalise(text: &str) -> Option<String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeros).collect();
    if parts.len() < 3 && parts.last().is_some_and(|part| part.contains(['+', '-'])) {
        return None;
    }
    parts.resize(3, "0".to_owned());
    Some(parts.join("."))
}

fn without_zeros(part: &str) -> String {
    if part.len() < 2 {
        return part.to_owned();
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest.to_owned() } else { format!("0{rest}") }
}

fn semver<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let version = parse(call, args)?.ok_or_else(|| call.fail(ErrorKind::Conversion))?;
    Ok(Val::Opaque(Opaque::Semver(version.into())))
}

fn is_semver<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Bool(parse(call, args)?.is_some()))
}

fn number<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], part: fn(&::semver::Version) -> u64) -> Outcome<'a> {
    match &args[0] {
        Val::Opaque(Opaque::Semver(version)) => {
            i64::try_from(part(&version.0)).map(Val::Int).map_err(|_| call.fail(ErrorKind::Overflow))
        }
        _ => Err(call.no_overload()),
    }
}
