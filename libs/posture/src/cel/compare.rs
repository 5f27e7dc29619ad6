use std::cmp::Ordering;

use serde_json::Value;

use super::error::{ErrorKind, EvalError};
use super::eval::{Run, error};
use super::ir::Node;
use super::value::Val;

impl<'a> Run<'a> {
    /// CEL equality: numbers by value across types, lists in order, maps by key, values of different types unequal.
    pub(super) fn equal(&self, left: &Val<'a>, right: &Val<'a>, node: &Node) -> Result<bool, EvalError> {
        self.charge(node, 1)?;
        Ok(match (left, right) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Str(a), Val::Str(b)) => {
                self.charge(node, a.as_str().len() / 64)?;
                a.as_str() == b.as_str()
            }
            (Val::Timestamp(a), Val::Timestamp(b)) => a == b,
            (Val::Duration(a), Val::Duration(b)) => a == b,
            (Val::Type(a), Val::Type(b)) => a == b,
            (Val::Bytes(a), Val::Bytes(b)) => a == b,
            (Val::Opaque(a), Val::Opaque(b)) => a == b,
            (Val::Missing(missing), _) | (_, Val::Missing(missing)) => {
                return Err(error(node, ErrorKind::Missing(*missing)));
            }
            (Val::Optional(a), Val::Optional(b)) => match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) => self.equal(a, b, node)?,
                _ => false,
            },
            (Val::Json(a), Val::Json(b)) if std::ptr::eq(*a, *b) => true,
            _ => match (number(left), number(right)) {
                (Some(a), Some(b)) => compare_numbers(a, b) == Some(Ordering::Equal),
                _ => self.equal_containers(left, right, node)?,
            },
        })
    }

    fn equal_containers(&self, left: &Val<'a>, right: &Val<'a>, node: &Node) -> Result<bool, EvalError> {
        if let (Some(a), Some(b)) = (left.list_len(), right.list_len()) {
            if a != b {
                return Ok(false);
            }
            for index in 0..a {
                let (Some(x), Some(y)) = (left.item(index), right.item(index)) else { return Ok(false) };
                if !self.equal(&x, &y, node)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let (Some(a), Some(b), Some(keys)) = (left.map_len(), right.map_len(), left.keys()) else { return Ok(false) };
        if a != b {
            return Ok(false);
        }
        for key in keys {
            let (Some(x), Some(y)) = (self.entry(left, &key, node)?, self.entry(right, &key, node)?) else {
                return Ok(false);
            };
            if !self.equal(&x, &y, node)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The value under `key`, numbers matched by value.
    pub(super) fn entry(&self, map: &Val<'a>, key: &Val<'a>, node: &Node) -> Result<Option<Val<'a>>, EvalError> {
        match map {
            Val::Json(Value::Object(object)) => Ok(key.as_str().and_then(|key| object.get(key)).map(Val::of)),
            Val::Map(entries) => {
                for (known, value) in entries.iter() {
                    if self.equal(known, key, node)? {
                        return match value {
                            Val::Missing(missing) => Err(error(node, ErrorKind::Missing(*missing))),
                            value => Ok(Some(value.clone())),
                        };
                    }
                }
                Ok(None)
            }
            _ => Err(error(node, ErrorKind::NoSuchOverload)),
        }
    }
}

/// The order of two values, where one exists.
pub(super) fn order(left: &Val<'_>, right: &Val<'_>, node: &Node) -> Result<Ordering, EvalError> {
    let incomparable = || error(node, ErrorKind::NotComparable);
    match (left, right) {
        (Val::Bool(a), Val::Bool(b)) => Ok(a.cmp(b)),
        (Val::Str(a), Val::Str(b)) => Ok(a.as_str().cmp(b.as_str())),
        (Val::Timestamp(a), Val::Timestamp(b)) => Ok(a.cmp(b)),
        (Val::Duration(a), Val::Duration(b)) => Ok(a.cmp(b)),
        (Val::Bytes(a), Val::Bytes(b)) => Ok(a.cmp(b)),
        _ => {
            let (a, b) = number(left).zip(number(right)).ok_or_else(incomparable)?;
            compare_numbers(a, b).ok_or_else(incomparable)
        }
    }
}

/// A number of any type. Every `i64` and `u64` fits an `i128`, so whole numbers compare exactly.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Double(f64),
}

fn number(value: &Val<'_>) -> Option<Number> {
    match value {
        Val::Int(int) => Some(Number::Whole(i128::from(*int))),
        Val::Uint(uint) => Some(Number::Whole(i128::from(*uint))),
        Val::Double(double) => Some(Number::Double(*double)),
        _ => None,
    }
}

fn compare_numbers(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Whole(a), Number::Whole(b)) => Some(a.cmp(&b)),
        (Number::Whole(a), Number::Double(b)) => (a as f64).partial_cmp(&b),
        (Number::Double(a), Number::Whole(b)) => a.partial_cmp(&(b as f64)),
        (Number::Double(a), Number::Double(b)) => a.partial_cmp(&b),
    }
}
