use regorus::Value;
use serde_json::Value as Json;

/// Objects nested deeper than this are not judged.
const MAX_DEPTH: usize = 120;

/// A document is nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) struct TooDeep;

/// The engine's form of a document.
pub(in crate::policy) fn convert(json: &Json) -> Result<Value, TooDeep> {
    at_depth(json, MAX_DEPTH)
}

fn at_depth(json: &Json, left: usize) -> Result<Value, TooDeep> {
    let left = left.checked_sub(1).ok_or(TooDeep)?;
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), ..) => Value::from(value),
            (_, Some(value), _) => Value::from(value),
            // A whole number is one however it is written.
            (_, _, Some(value)) if value.fract() == 0.0 && value.abs() < 9e15 => Value::from(value as i64),
            (_, _, Some(value)) => Value::from(value),
            _ => Value::Undefined,
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => {
            Value::from(items.iter().map(|item| at_depth(item, left)).collect::<Result<Vec<_>, _>>()?)
        }
        Json::Object(fields) => {
            let mut object = Value::new_object();
            if let Ok(target) = object.as_object_mut() {
                for (key, value) in fields {
                    target.insert(Value::from(key.as_str()), at_depth(value, left)?);
                }
            }
            object
        }
    })
}

/// An object of these fields.
pub(in crate::policy) fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut object = Value::new_object();
    if let Ok(target) = object.as_object_mut() {
        for (key, value) in fields {
            target.insert(Value::from(key), value);
        }
    }
    object
}

/// A value as a document; sets become arrays.
pub(in crate::policy) fn to_json(value: &Value) -> Json {
    value.to_json_str().ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Json::Null)
}
