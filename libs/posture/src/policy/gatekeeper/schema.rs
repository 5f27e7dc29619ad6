use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::cel::{Syntax, compile_pattern};

/// The schema of a template's parameters, as the API server uses it for a custom resource.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    root: Option<Value>,
}

/// Path below `spec`, and what is wrong there.
type FieldError = (String, String);

impl Schema {
    /// Takes `openAPIV3Schema`; fails on patterns that cannot be read.
    pub(super) fn parse(schema: &Value) -> Result<Self, FieldError> {
        if schema.is_null() {
            return Ok(Self::default());
        }
        if !schema.is_object() {
            return Err((String::new(), "is not an object".to_owned()));
        }
        patterns(schema, "")?;
        Ok(Self { root: Some(schema.clone()) })
    }

    /// The parameters with defaults filled in, or the first thing that does not fit.
    pub(super) fn apply(&self, parameters: &Value) -> Result<Value, FieldError> {
        let mut parameters = parameters.clone();
        if let Some(root) = &self.root {
            if parameters.is_null()
                && let Some(value) = root.get("default")
            {
                parameters = value.clone();
            }
            if !parameters.is_null() {
                fill(&mut parameters, root);
                validate(&parameters, root, "parameters")?;
            }
        }
        if parameters.is_null() {
            parameters = Value::Object(Map::new());
        }
        Ok(parameters)
    }
}

fn patterns(schema: &Value, path: &str) -> Result<(), FieldError> {
    match schema {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let path = format!("{path}.{name}");
                match inner {
                    Value::String(pattern) if name == "pattern" => {
                        compile_pattern(pattern, Syntax::Re2).map_err(|error| (path, error.to_string()))?;
                    }
                    _ => patterns(inner, &path)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| patterns(item, path)),
        _ => Ok(()),
    }
}

/// Whether a value counts as absent because the schema does not allow null.
fn stray_null(value: &Value, schema: &Value) -> bool {
    value.is_null() && schema["nullable"] != true && schema.get("default").is_some()
}

fn fill(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema["properties"].as_object();
            for (name, property) in properties.into_iter().flatten() {
                let missing = fields.get(name).is_none_or(|value| stray_null(value, property));
                if let (true, Some(default)) = (missing, property.get("default")) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields {
                let inner = properties.and_then(|properties| properties.get(name));
                if let Some(inner) = inner.or(schema.get("additionalProperties")) {
                    replace_null(value, inner);
                    fill(value, inner);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                replace_null(item, &schema["items"]);
                fill(item, &schema["items"]);
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Value, schema: &Value) {
    if let (true, Some(default)) = (stray_null(value, schema), schema.get("default")) {
        *value = default.clone();
    }
}

fn validate(value: &Value, schema: &Value, path: &str) -> Result<(), FieldError> {
    let fail = |message: String| Err((path.to_owned(), message));
    if value.is_null() && schema["nullable"] == true {
        return Ok(());
    }
    if schema["x-kubernetes-int-or-string"] == true && !(is_integer(value) || value.is_string()) {
        return fail("is neither an integer nor a string".to_owned());
    }
    if let Some(name) = schema["type"].as_str()
        && !is_type(value, name)
    {
        return fail(format!("is not of type {name}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.iter().any(|one| equal(one, value))
    {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        return fail(format!("is none of {}", allowed.join(", ")));
    }
    match value {
        Value::String(text) => string(text, schema, path)?,
        Value::Number(_) => number(value, schema, path)?,
        Value::Array(items) => array(items, schema, path)?,
        Value::Object(fields) => object(fields, schema, path)?,
        _ => {}
    }
    combined(value, schema, path)
}

fn combined(value: &Value, schema: &Value, path: &str) -> Result<(), FieldError> {
    let fits = |inner: &&Value| validate(value, inner, path).is_ok();
    for inner in schema["allOf"].as_array().into_iter().flatten() {
        validate(value, inner, path)?;
    }
    if let Some(any) = schema["anyOf"].as_array()
        && !any.iter().any(|inner| fits(&inner))
    {
        return Err((path.to_owned(), "fits none of anyOf".to_owned()));
    }
    if let Some(one) = schema["oneOf"].as_array()
        && one.iter().filter(fits).count() != 1
    {
        return Err((path.to_owned(), "does not fit exactly one of oneOf".to_owned()));
    }
    match schema.get("not") {
        Some(inner) if validate(value, inner, path).is_ok() => {
            Err((path.to_owned(), "fits what it must not".to_owned()))
        }
        _ => Ok(()),
    }
}

fn string(text: &str, schema: &Value, path: &str) -> Result<(), FieldError> {
    let length = text.chars().count();
    bounds(length, schema, ["minLength", "maxLength"], path)?;
    let Some(pattern) = schema["pattern"].as_str() else { return Ok(()) };
    match compile_pattern(pattern, Syntax::Re2) {
        Ok(regex) if !regex.is_match(text) => Err((path.to_owned(), format!("does not match `{pattern}`"))),
        _ => Ok(()),
    }
}

fn number(value: &Value, schema: &Value, path: &str) -> Result<(), FieldError> {
    let given = value.as_f64().unwrap_or_default();
    let compare = |field: &str| schema[field].as_f64().and_then(|limit| given.partial_cmp(&limit));
    let beyond = |field: &str, exclusive: &str, wrong: Ordering| match compare(field) {
        Some(Ordering::Equal) => schema[exclusive] == true,
        Some(order) => order == wrong,
        None => false,
    };
    if beyond("minimum", "exclusiveMinimum", Ordering::Less) {
        return Err((path.to_owned(), format!("is below {}", schema["minimum"])));
    }
    if beyond("maximum", "exclusiveMaximum", Ordering::Greater) {
        return Err((path.to_owned(), format!("is above {}", schema["maximum"])));
    }
    let remainder = schema["multipleOf"].as_f64().filter(|unit| *unit > 0.0).map_or(0.0, |unit| given % unit);
    if remainder.abs() > f64::EPSILON {
        return Err((path.to_owned(), format!("is no multiple of {}", schema["multipleOf"])));
    }
    Ok(())
}

fn array(items: &[Value], schema: &Value, path: &str) -> Result<(), FieldError> {
    bounds(items.len(), schema, ["minItems", "maxItems"], path)?;
    let repeated = |(index, item): (usize, &Value)| items[..index].iter().any(|earlier| equal(earlier, item));
    if schema["uniqueItems"] == true && items.iter().enumerate().any(repeated) {
        return Err((path.to_owned(), "holds an item twice".to_owned()));
    }
    let Some(inner) = schema.get("items") else { return Ok(()) };
    items.iter().enumerate().try_for_each(|(index, item)| validate(item, inner, &format!("{path}[{index}]")))
}

fn object(fields: &Map<String, Value>, schema: &Value, path: &str) -> Result<(), FieldError> {
    bounds(fields.len(), schema, ["minProperties", "maxProperties"], path)?;
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            return Err((format!("{path}.{required}"), "is required".to_owned()));
        }
    }
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(inner), _) | (None, Some(inner @ Value::Object(_))) => validate(value, inner, &path)?,
            (None, Some(Value::Bool(false))) => return Err((path, "is not a known field".to_owned())),
            _ => {}
        }
    }
    Ok(())
}

fn bounds(count: usize, schema: &Value, [least, most]: [&str; 2], path: &str) -> Result<(), FieldError> {
    let limit = |field: &str| schema[field].as_u64().and_then(|limit| usize::try_from(limit).ok());
    if limit(least).is_some_and(|limit| count < limit) {
        return Err((path.to_owned(), format!("is smaller than {least} {}", schema[least])));
    }
    if limit(most).is_some_and(|limit| count > limit) {
        return Err((path.to_owned(), format!("is larger than {most} {}", schema[most])));
    }
    Ok(())
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => is_integer(value),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => true,
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    left == right || left.is_number() && right.is_number() && left.as_f64() == right.as_f64()
}
