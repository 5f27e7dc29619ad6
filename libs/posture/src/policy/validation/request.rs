use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::names::REQUEST;
use super::{Dialect, Scope, Subject, Target, Validation};
use crate::cel::{Admission, Missing, Val};
use crate::policy::{Operation, Review};

/// The plain fields of `request`: all but who asks and with which options.
pub(super) fn fields(subject: &Subject<'_>, dialect: Dialect) -> Value {
    let Subject { review, request, target } = *subject;
    let kind = json!({"group": target.group, "version": target.version, "kind": target.kind});
    let resource = json!({"group": target.group, "version": target.version, "resource": target.resource});
    // Where nothing happens, Gatekeeper's request names no operation.
    let operation = match (review.operation, dialect) {
        (None, Dialect::Gatekeeper) => "",
        _ => target.operation.as_str(),
    };
    let mut fields = Map::from_iter([
        ("requestKind".to_owned(), kind.clone()),
        ("requestResource".to_owned(), resource.clone()),
        ("kind".to_owned(), kind),
        ("resource".to_owned(), resource),
        ("operation".to_owned(), operation.into()),
        ("dryRun".to_owned(), false.into()),
    ]);
    let subresource = Some(target.subresource).filter(|text| !text.is_empty());
    let texts = [
        ("subResource", subresource),
        ("requestSubResource", subresource),
        ("name", target.name),
        ("namespace", target.namespace),
    ];
    for (name, text) in texts {
        fields.extend(text.map(|text| (name.to_owned(), text.into())));
    }
    // What a request says itself is taken as it says it.
    for name in REQUEST.into_iter().filter(|name| *name != "userInfo") {
        let said = request.and_then(|request| request.get(name)).filter(|said| !said.is_null());
        fields.extend(said.map(|said| (name.to_owned(), said.clone())));
    }
    Value::Object(fields)
}

/// What the expressions of a policy stand on.
pub(super) fn admission<'a>(
    validation: &'a Validation,
    subject: &Subject<'a>,
    fields: &'a Value,
    params: &'a Value,
) -> Admission<'a> {
    let Subject { review, request, target } = *subject;
    let goes = review.operation == Some(Operation::Delete);
    let object = Val::of(review.object);
    let old_object = match (review.operation, review.old_object) {
        (_, Some(old)) => Val::of(old),
        (Some(Operation::Delete), None) => object.clone(),
        (Some(Operation::Create | Operation::Connect), None) => Val::Null,
        (None, None) if validation.dialect == Dialect::Gatekeeper => Val::Null,
        (Some(Operation::Update) | None, None) => Val::Missing(Missing::OldObject),
    };
    let user = review.user.map_or(Val::Missing(Missing::User), Val::of);
    let known = fields.as_object().into_iter().flatten().map(|(name, value)| (Val::text(name), Val::of(value)));
    let mut fields: Vec<_> = known.chain([(Val::text("userInfo"), user)]).collect();
    if request.is_none() {
        fields.push((Val::text("options"), Val::Missing(Missing::Options)));
    }
    let params = if params.is_null() && validation.dialect == Dialect::Gatekeeper { &*EMPTY } else { params };
    let parameters = Val::of(params);
    Admission {
        any_object: object.clone(),
        object: if goes { Val::Null } else { object },
        old_object,
        request: Val::Map(fields.into()),
        params: match validation.dialect {
            Dialect::Kubernetes => parameters.clone(),
            Dialect::Gatekeeper => nested(["spec", "parameters"], parameters.clone()),
        },
        namespace: namespace(review, target),
        parameters,
        lets: &validation.programs,
    }
}

/// The parameters of a constraint that sets none.
static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

fn namespace<'a>(review: &Review<'a>, target: &Target<'_>) -> Val<'a> {
    match (review.namespace, target.scope) {
        _ if target.is_namespace() => Val::Null,
        (_, Scope::Cluster) => Val::Null,
        (Some(namespace), _) => Val::of(namespace),
        (None, Scope::Namespaced | Scope::Unknown) => Val::Missing(Missing::Namespace),
    }
}

/// A value in maps, by the outermost key first.
fn nested<'a, const N: usize>(keys: [&'a str; N], value: Val<'a>) -> Val<'a> {
    keys.into_iter().rev().fold(value, |value, key| Val::Map([(Val::text(key), value)].into()))
}
