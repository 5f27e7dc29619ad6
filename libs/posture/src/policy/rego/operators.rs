//! Operators as functions: Gatekeeper's engine takes one between values that it does not know for undefined, where the
//! reference engine fails.

use regorus::Value;

use super::builtins::Added;

/// What `some … in` goes through.
pub(super) const ITEMS: &str = "__items";

/// The functions, to be added to the engine.
pub(super) const FUNCTIONS: [Added; 8] = [
    ("__add", 2, |arguments| match arguments {
        [Value::Number(left), Value::Number(right)] => left.add(right).ok().map(Value::from),
        _ => None,
    }),
    ("__subtract", 2, |arguments| match arguments {
        [Value::Number(left), Value::Number(right)] => left.sub(right).ok().map(Value::from),
        [Value::Set(left), Value::Set(right)] => Some(left.difference(right).into_value()),
        _ => None,
    }),
    ("__multiply", 2, |arguments| match arguments {
        [Value::Number(left), Value::Number(right)] => left.mul(right).ok().map(Value::from),
        _ => None,
    }),
    ("__divide", 2, |arguments| match arguments {
        [Value::Number(left), Value::Number(right)] if !is_zero(&arguments[1]) => {
            left.clone().divide(right).ok().map(Value::from)
        }
        _ => None,
    }),
    ("__modulo", 2, |arguments| match arguments {
        [Value::Number(left), Value::Number(right)]
            if left.is_integer() && right.is_integer() && !is_zero(&arguments[1]) =>
        {
            left.clone().modulo(right).ok().map(Value::from)
        }
        _ => None,
    }),
    ("__unite", 2, |arguments| match arguments {
        [Value::Set(left), Value::Set(right)] => Some(left.union(right).into_value()),
        _ => None,
    }),
    ("__intersect", 2, |arguments| match arguments {
        [Value::Set(left), Value::Set(right)] => Some(left.intersection(right).into_value()),
        _ => None,
    }),
    (ITEMS, 1, |arguments| {
        matches!(arguments[0], Value::Array(_) | Value::Set(_) | Value::Object(_)).then(|| arguments[0].clone())
    }),
];

/// The function that does what an operator does.
pub(super) fn function(sign: &str) -> Option<&'static str> {
    Some(match sign {
        "+" => "__add",
        "-" => "__subtract",
        "*" => "__multiply",
        "/" => "__divide",
        "%" => "__modulo",
        "|" => "__unite",
        "&" => "__intersect",
        _ => return None,
    })
}

fn is_zero(value: &Value) -> bool {
    *value == Value::from(0_u64)
}
