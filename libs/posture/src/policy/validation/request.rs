use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{Dialect, Scope, Target, Validation};
use crate::cel::{Admission, Missing, Val};
use crate::policy::{Operation, Review};

/// The plain fields of `request`: all but who asks and with which options.
pub(super) fn fields(target: &Target<'_>, review: &Review<'_>, dialect: Dialect) -> Value {
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
    Value::Object(fields)
}

/// What the expressions of a policy stand on.
pub(super) fn admission<'a>(
    validation: &'a Validation,
    review: &Review<'a>,
    target: &Target<'_>,
    fields: &'a Value,
    params: &'a Value,
) -> Admission<'a> {
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
    let unknown = [("userInfo", user), ("options", Val::Missing(Missing::Options))];
    let known = fields.as_object().into_iter().flatten().map(|(name, value)| (Val::text(name), Val::of(value)));
    let request = known.chain(unknown.map(|(name, value)| (Val::text(name), value)));
    let params = if params.is_null() && validation.dialect == Dialect::Gatekeeper { &*EMPTY } else { params };
    let parameters = Val::of(params);
    Admission {
        any_object: object.clone(),
        object: if goes { Val::Null } else { object },
        old_object,
        request: Val::Map(request.collect()),
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
