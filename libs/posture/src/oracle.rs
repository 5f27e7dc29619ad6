//! The `cel` crate's interpreter as the reference that our evaluator must agree with.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, OptionalValue};
use cel::{Context, Env, Value as Cel, extensions};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::cel::Val;

/// JSON as CEL sees it here: whole numbers are `int`.
pub(crate) fn of_json(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Cel::Int(int),
            (None, Some(uint)) => Cel::UInt(uint),
            (None, None) => Cel::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(of_json).collect())),
        Value::Object(map) => {
            let entry = |(key, item): (&String, &Value)| (Key::String(Arc::new(key.clone())), of_json(item));
            Cel::Map(cel::objects::Map::from(map.iter().map(entry).collect::<HashMap<Key, Cel>>()))
        }
    }
}

/// An environment with the extensions that ours has.
pub(crate) fn environment() -> Arc<Env> {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings).unwrap();
    env.add_extension(extensions::lists).unwrap();
    Arc::new(env)
}

/// Result of the reference: a canonical text, or `None` for an error.
pub(crate) fn reference(env: &Arc<Env>, source: &str, variables: &[(String, Cel)]) -> Option<Cel> {
    let program = env.compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut context = Context::with_env(Arc::clone(env));
    let minor = |version: Arc<String>| rampart_content::minor_version(&version).map_or(-1, i64::from);
    context.add_function("minor", minor).unwrap();
    context
        .add_function("quantity", |text: Arc<String>| crate::cel::parse_quantity(&text).unwrap_or(f64::NAN))
        .unwrap();
    for (name, value) in variables {
        context.add_variable_from_value(name.clone(), value.clone());
    }
    program.execute(&context).ok()
}

/// Canonical text of the reference's value: types kept apart, keys sorted.
pub(crate) fn describe_cel(value: &Cel) -> String {
    match value {
        Cel::Null => "null".into(),
        Cel::Bool(flag) => flag.to_string(),
        Cel::Int(int) => format!("{int}"),
        Cel::UInt(uint) => format!("{uint}u"),
        Cel::Float(double) => format!("{double:?}f"),
        Cel::String(text) => format!("{text:?}"),
        Cel::List(items) => format!("[{}]", items.iter().map(describe_cel).collect::<Vec<_>>().join(",")),
        Cel::Map(map) => {
            let key = |key: &Key| match key {
                Key::String(text) => format!("{text:?}"),
                Key::Int(int) => format!("{int}"),
                Key::Uint(uint) => format!("{uint}u"),
                Key::Bool(flag) => flag.to_string(),
            };
            entries(map.map.iter().map(|(k, v)| format!("{}:{}", key(k), describe_cel(v))).collect())
        }
        Cel::Timestamp(at) => format!("at {}", at.with_timezone(&Utc).to_rfc3339()),
        Cel::Duration(duration) => format!("for {duration}"),
        Cel::Opaque(_) => match <&OptionalValue>::try_from(value) {
            Ok(optional) => match optional.value() {
                Some(inner) => format!("some({})", describe_cel(inner)),
                None => "none".into(),
            },
            Err(_) => format!("{value:?}"),
        },
        other => format!("{other:?}"),
    }
}

/// Canonical text of our value.
pub(crate) fn describe(value: &Val<'_>) -> String {
    match value {
        Val::Null => "null".into(),
        Val::Bool(flag) => flag.to_string(),
        Val::Int(int) => format!("{int}"),
        Val::Uint(uint) => format!("{uint}u"),
        Val::Double(double) => format!("{double:?}f"),
        Val::Str(text) => format!("{:?}", text.as_str()),
        Val::Json(Value::Object(map)) => {
            entries(map.iter().map(|(key, item)| format!("{key:?}:{}", describe(&Val::of(item)))).collect())
        }
        Val::Json(Value::Array(items)) => list(items.iter().map(|item| describe(&Val::of(item)))),
        Val::Json(_) => unreachable!("scalars are unpacked"),
        Val::Neighbours(items) => list(items.iter().map(|item| describe(&Val::of(item.config)))),
        Val::List(items) => list(items.iter().map(describe)),
        Val::Map(map) => {
            entries(map.iter().map(|(key, item)| format!("{}:{}", describe(key), describe(item))).collect())
        }
        Val::Optional(None) => "none".into(),
        Val::Optional(Some(inner)) => format!("some({})", describe(inner)),
        Val::Timestamp(at) => format!("at {}", at.to_rfc3339()),
        Val::Duration(duration) => format!("for {duration}"),
        Val::Type(name) => format!("type {name}"),
        Val::Bytes(_) | Val::Opaque(_) | Val::Missing(_) => format!("{value:?}"),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn entries(mut entries: Vec<String>) -> String {
    entries.sort_unstable();
    format!("{{{}}}", entries.join(","))
}

/// The time that all comparisons happen at.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}
