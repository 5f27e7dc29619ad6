use super::{Call, Form, Native};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// The methods of `authorizer`. There is none to ask, and naming it is an error already, so none of them ever runs on
/// one; on anything else they do not exist.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    let wanted = match name {
        "allowed" | "reason" | "errored" | "error" => 1,
        "path" | "group" | "resource" | "subresource" | "namespace" | "name" | "fieldSelector" | "labelSelector"
        | "check" => 2,
        "serviceAccount" => 3,
        _ => return None,
    };
    (wanted == args && form == Form::Method).then_some(nothing)
}

fn nothing<'a>(call: &Call<'_, 'a>, _: &[Val<'a>]) -> Outcome<'a> {
    Err(call.no_overload())
}
