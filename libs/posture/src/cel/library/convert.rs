use super::{Call, Form, Native, Opaque, numbers};
use crate::cel::error::ErrorKind;
use crate::cel::eval::Outcome;
use crate::cel::ir::Function;
use crate::cel::value::Val;

/// Conversions of the values that libraries add.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Function, "string", 1) => string,
        (Form::Function, "bytes", 1) => bytes,
        _ => return None,
    })
}

pub(super) fn string<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    match &args[0] {
        Val::Opaque(Opaque::Ip(address)) => Ok(Val::owned(address.to_string())),
        Val::Opaque(Opaque::Cidr(network)) => Ok(Val::owned(network.to_string())),
        Val::Double(double) => Ok(Val::owned(numbers::general(*double))),
        Val::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Val::owned(text)),
            Err(_) => Err(call.fail(ErrorKind::Conversion)),
        },
        _ => call.core(Function::String, args),
    }
}

fn bytes<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    match &args[0] {
        Val::Bytes(_) => Ok(args[0].clone()),
        Val::Str(text) => Ok(Val::Bytes(text.as_str().as_bytes().into())),
        _ => Err(call.no_overload()),
    }
}
