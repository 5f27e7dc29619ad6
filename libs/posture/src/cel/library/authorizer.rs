use super::{Call, Form, Native};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// The methods of `authorizer`. There is none to ask, and naming it is an error already, so none of them ever runs on
/// one; on anything else they do not exist.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    let known = matches!(
        (name, args),
        ("path" | "group" | "resource" | "subresource" | "namespace" | "name" | "check", 2)
            | ("fieldSelector" | "labelSelector", 2)
            | ("serviceAccount", 3)
            | ("allowed" | "reason" | "errored" | "error", 1)
    );
    (known && form == Form::Method).then_some(nothing)
}

fn nothing<'a>(call: &Call<'_, 'a>, _: &[Val<'a>]) -> Outcome<'a> {
    Err(call.no_overload())
}
